"""Notebooks as programs: their code cells in order, without what only Jupyter runs.

Lines that steer the page or install packages are left out, and that is said; any other `%` or `!` is refused, for the program
would be another one without it.

Left out: running the cells. `sandboxed/launch.py` does, and names each in its tracebacks.
"""

from __future__ import annotations

import json
import re

from orchestrator.errors import UsageError
from orchestrator.sources import is_python

_MAGIC = re.compile(r"^([ \t]*)([%!].*)$", re.MULTILINE)
_SKIPPED = {
    "it steers the page": re.compile(r"%(?:matplotlib|config|load_ext|reload_ext|autoreload|precision)\b"),
    "it only measures the time": re.compile(r"%%(?:time|capture)\b"),
    "packages come with the image (`fumehood image build --with`)": re.compile(r"[%!]\s*(?:python3? -m )?(?:pip3?|conda|uv)\b"),
}
"""What is left out of a cell, and why that changes nothing."""


def cells_of(text: str, name: str) -> tuple[list[str], list[str]]:
    """The source of each code cell of a notebook, and a sentence for each line that was left out.

    Cells are counted from 1, those with code alone, as Jupyter does where all are run.

    Raises:
        UsageError: it is not a notebook of Python, or has lines that only Jupyter can run.
    """
    try:
        notebook = json.loads(text)
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        sources = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = [source if isinstance(source, str) else "".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{name} is not a notebook.", remedy="Open and save it with a Jupyter of today (format 4).") from None
    if language != "python":
        raise UsageError(f"{name} is a notebook of {language}.", remedy="Sandboxes run Python: name one with Python cells.")
    if not sources:
        raise UsageError(f"{name} has no code cells.", remedy="Name a notebook that has some.")
    notes: list[str] = []
    return [_plain(source, f"cell {number} of {name}", notes) for number, source in enumerate(sources, 1)], notes


def _plain(source: str, cell: str, notes: list[str]) -> str:
    """A cell with its magics taken out; lines keep their numbers."""
    if is_python(source):  # `%` and `!` may begin a line of a text
        return source

    def replaced(found: re.Match[str]) -> str:
        line = found[2].strip()
        why = next((why for why, pattern in _SKIPPED.items() if pattern.match(line)), "")
        if not why:
            raise UsageError(
                f"{cell[0].upper()}{cell[1:]} has `{line[:80]}`, which only Jupyter runs.",
                remedy="Write it in Python, or take it out; data come along with --file.",
            )
        notes.append(f"Left out of {cell}: `{line[:80]}`; {why}.")
        return f"{found[1]}pass"

    return _MAGIC.sub(replaced, source)
