"""What is found in an answer.

Left out: how it is found.
"""

from __future__ import annotations

from orchestrator.types import Value

MODULE = "candidate"
"""The name under which tests import the code they test."""


class Extraction(Value):
    """What was found in an answer."""

    code: str = ""
    """Source that parses and defines what was asked; empty where nothing usable was found."""
    draft: str = ""
    """Where nothing usable was found: the closest thing to code, for a correction prompt to show."""
    problems: tuple[str, ...] = ()
    """What was dropped, merged or repaired, each a short phrase."""
    usable: bool = False
    reason: str = ""
    """Why nothing is usable: one sentence."""
