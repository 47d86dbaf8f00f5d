"""What children a job needs, guessed from its text: with which libraries, and whether fully isolated.

Only time depends on these guesses. A child without a library imports it, and a quiet one that is not is run again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .zygote import BARE

if TYPE_CHECKING:
    from .schema import Job, Libraries

_HEAVY_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pytest|pandas|sklearn|scipy)\b", re.MULTILINE)
_ARRAYS = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pandas|sklearn|scipy)\b", re.MULTILINE)
_TABLES = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:pandas|sklearn|scipy)\b", re.MULTILINE)
_OTHERS = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:torch|pytest)\b", re.MULTILINE)
_IMPORTED = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_NOISE = re.compile(rb"\b(?:open|input|exec|eval|__import__)[ \t]*\(")
_QUIET_MODULES = {name.encode() for name in (*BARE, "abc", "enum", "sys", "time")}
"""Modules that every child has; others are files."""


def sides(job: Job, parts: list[bytes]) -> list[tuple[Libraries, bool]]:
    """The children that a job needs: for each, which libraries it has imported, and whether it judges."""
    mode, count = job["mode"], len(job["files"]) + len(job["test_files"])
    if mode in ("apart", "candidate", "judge"):
        texts = [part.decode("utf-8", "surrogateescape") for part in parts[1 + count :]]
        values = job["heavy"] or any(_ARRAYS.search(text) for text in texts)  # both sides need the library to pass its values
        # Of two sides in one sandbox both are seen, so that they get the same; of one alone the other may need PyTorch.
        libraries = _libraries(texts) if mode == "apart" else "arrays"
        found: list[tuple[Libraries, bool]] = [(libraries if values else "", False)] if mode != "judge" else []
        judges = values or _HEAVY_IMPORT.search(texts[-1]) is not None
        return found + ([(libraries if judges else "", True)] if mode != "candidate" else [])
    if mode != "python":
        return [("arrays" if mode == "pytest" else "", False)]
    texts = [part.decode("utf-8", "replace") for path, part in zip(job["files"], parts[1:], strict=False) if path.endswith(".py")]
    heavy = job["heavy"] or any(_HEAVY_IMPORT.search(text) for text in texts)
    return [(_libraries(texts) if heavy else "", False)]


def _libraries(texts: list[str]) -> Libraries:
    """Those for tables, where these are imported and PyTorch and pytest are not."""
    tables = any(_TABLES.search(text) for text in texts) and not any(_OTHERS.search(text) for text in texts)
    return "tables" if tables else "arrays"


def is_quiet(job: Job, parts: list[bytes]) -> bool:
    """Whether a job looks as if neither side asked the kernel for more than memory and time.

    A guess, for speed alone: quiet children are killed at the first call that is more, and the job is run again, fully isolated.
    """
    if job["mode"] != "apart" or job["files"] or job["test_files"] or job["stream"]:
        return False
    known = {*_QUIET_MODULES, job["module"].encode()}
    for source in parts[-2:]:
        names = (name for line in _IMPORTED.findall(source) for name in line[0].split(b",") + line[1].split(b","))
        if _NOISE.search(source) or any(name.split()[0].split(b".")[0] not in known for name in names if name.strip()):
            return False
    return True
