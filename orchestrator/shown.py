"""Results as people meet them: one line in a console, a table in a notebook, and what helps where something is missing.

What programs and models wrote is a stranger's: it is escaped here.

Left out: the command line's own view (`cli/execute.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from orchestrator.printable import printable

_MOST = 20_000
"""Characters of one output that a page shows."""
_MISSING = re.compile(r"^(?:E\s+)?(?:\w+: )?ModuleNotFoundError: No module named '([A-Za-z_]\w*)", re.MULTILINE)
_OFFLINE = re.compile(
    "Network is unreachable|Address family not supported by protocol"
    "|Temporary failure in name resolution|Name or service not known"
)
_NO_INPUT = re.compile(r"^EOFError: EOF when reading a line", re.MULTILINE)
_DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "mpl_toolkits": "matplotlib",
    "PIL": "pillow",
    "pptx": "python-pptx",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Modules whose distribution has another name."""


class Ways(NamedTuple):
    """How a program is given what it lacks."""

    image: str
    file: str
    stdin: str
    module: str


IN_PYTHON = Ways("image=", "files=", "stdin=", "module=")
AS_OPTIONS = Ways("--image", "--file", "--stdin or a pipe", "--module")


def hints_for(texts: Iterable[str], tests: Sequence[str] = (), *, ways: Ways = IN_PYTHON) -> list[str]:
    """What helps with what a sandbox does not have, by the last words of a program: one sentence for each thing.

    A missing module that the source of the `tests` imports is most likely the program itself. `ways` are those of the reader.
    """
    text = "\n".join(texts)
    found = []
    for module in dict.fromkeys(_MISSING.findall(text)):
        package = _DISTRIBUTIONS.get(module, module)
        imported = re.compile(rf"^\s*(?:from|import)\s+{module}\b", re.MULTILINE)
        hint = (
            f"The sandbox has no module `{module}`: a package comes with an image that has it (`fumehood image build --with"
            f" {package}`, then {ways.image}), a module of your own as a file ({ways.file})."
        )
        if any(map(imported.search, tests)):
            hint = f"The tests import `{module}`. If that is the program, name it so with {ways.module}. {hint}"
        found.append(hint)
    if _OFFLINE.search(text):
        found.append(f"Sandboxes have no network: fetch what the program needs before, and give it as a file ({ways.file}).")
    if _NO_INPUT.search(text):
        found.append(f"The program read more input than it was given: give it some ({ways.stdin}).")
    return found


def page(title: str, facts: Iterable[str], rows: Iterable[tuple[str, str, str]], texts: Iterable[tuple[str, str]]) -> str:
    """A piece of HTML: a title and facts in a line, a table, and texts by their names. All of it is escaped."""
    head = f"<p><b>{_html(title)}</b> {_html(', '.join(facts))}</p>"
    table = "".join(
        f'<tr><td>{_html(mark)}</td><td>{_html(name)}</td><td style="text-align:left"><pre>{_html(text)}</pre></td></tr>'
        for mark, name, text in rows
    )
    blocks = "".join(f"<details open><summary>{_html(name)}</summary><pre>{_html(text)}</pre></details>" for name, text in texts)
    return f"<div>{head}{f'<table>{table}</table>' if table else ''}{blocks}</div>"


def _html(text: str) -> str:
    shown = text if len(text) <= _MOST else f"{text[:_MOST]}\n... and {len(text) - _MOST} more characters"
    return escape(printable(shown))
