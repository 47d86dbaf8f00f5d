"""Text of programs and models as people are shown it: what would steer a terminal is written as an escape.

Everything that is printed or put on a page goes through here at the last moment; what is recorded, and JSON, keep the text.

Left out: markup. Whoever makes HTML or Markdown escapes that as well.
"""

from __future__ import annotations

import re

_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters of both sets, but for tab, newline and carriage return
    "\u202a-\u202e\u2066-\u2069"  # those that turn the direction of what follows
    "\u2028\u2029\ud800-\udfff]"
    "|\r(?!\n)"
)


def printable(text: str) -> str:
    """The text with its control characters, changes of direction and lone surrogates as Python writes them: `\\x1b`, `\\u202e`.

    Tabs and ends of lines stay.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def counted(count: int, one: str, many: str = "") -> str:
    """A number and what it counts: `1 test is`, `2 tests are`. `many` is the plural where an s does not make it."""
    return f"{count} {one}" if count == 1 else f"{count} {many or f'{one}s'}"
