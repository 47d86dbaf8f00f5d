"""What children a job needs, guessed from its text: with which libraries, and whether fully isolated.

Only time depends on these guesses. A child without a library imports it, and a quiet one that is not is run again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .zygote import BARE

if TYPE_CHECKING:
    from .schema import Job

_HEAVY_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pytest|pandas|sklearn|scipy)\b", re.MULTILINE)
_ARRAYS = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pandas|sklearn|scipy)\b", re.MULTILINE)
_IMPORTED = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_NOISE = re.compile(rb"\b(?:open|input|exec|eval|__import__)[ \t]*\(")
_QUIET_MODULES = {name.encode() for name in (*BARE, "abc", "enum", "sys", "time")}
"""Modules that every child has; others are files."""


def sides(job: Job, parts: list[bytes]) -> list[tuple[bool, bool]]:
    """The children that a job needs: for each, whether with the heavy libraries imported, and whether it judges."""
    mode, count = job["mode"], len(job["files"]) + len(job["test_files"])
    if mode in ("apart", "candidate", "judge"):
        texts = [part.decode("utf-8", "surrogateescape") for part in parts[1 + count :]]
        values = job["heavy"] or any(_ARRAYS.search(text) for text in texts)  # both sides need the library to pass its values
        found = [(values, False)] if mode != "judge" else []
        return found + ([(values or _HEAVY_IMPORT.search(texts[-1]) is not None, True)] if mode != "candidate" else [])
    if mode != "python":
        return [(mode == "pytest", False)]
    texts = [part.decode("utf-8", "replace") for path, part in zip(job["files"], parts[1:], strict=False) if path.endswith(".py")]
    return [(job["heavy"] or any(_HEAVY_IMPORT.search(text) for text in texts), False)]


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
