"""Fumehood: containerized sandboxes for code written by language models.

    >>> import orchestrator
    >>> result = orchestrator.run(code, tests=tests, limits=orchestrator.Limits(wall_time=5))
    >>> result.verdict, result.reward

Names are imported when they are first used, so `import orchestrator` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine, run, run_many
    from orchestrator.engine.outputs import judge_artefacts, judge_io
    from orchestrator.settings import Settings
    from orchestrator.types import CheckerSource, ExecutionResult, IOCase, Limits, Program, Status, Verdict

__version__ = "0.1.0"
__all__ = [
    "CheckerSource",
    "Engine",
    "ExecutionResult",
    "IOCase",
    "Limits",
    "Program",
    "Settings",
    "Status",
    "Verdict",
    "judge_artefacts",
    "judge_io",
    "run",
    "run_many",
]

_HOMES = {
    "Engine": "orchestrator.engine.engine",
    "run": "orchestrator.engine.engine",
    "run_many": "orchestrator.engine.engine",
    "judge_artefacts": "orchestrator.engine.outputs",
    "judge_io": "orchestrator.engine.outputs",
    "Settings": "orchestrator.settings",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "orchestrator.types")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
