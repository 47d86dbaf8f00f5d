"""Fumehood: containerized sandboxes for code written by language models.

    >>> import orchestrator
    >>> result = orchestrator.run(code, tests=tests, limits=orchestrator.Limits(wall_time=5))
    >>> result.verdict, result.reward

Names are imported when they are first used, so `import orchestrator` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.types import CheckerSource, ExecutionResult, IOCase, Limits, Program, Status, Verdict
    from orchestrator.workflows.execution import Engine, run, run_many
    from orchestrator.workflows.judge_outputs import judge_artefacts, judge_io

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
    "Engine": "orchestrator.workflows.execution",
    "run": "orchestrator.workflows.execution",
    "run_many": "orchestrator.workflows.execution",
    "judge_artefacts": "orchestrator.workflows.judge_outputs",
    "judge_io": "orchestrator.workflows.judge_outputs",
    "Settings": "orchestrator.settings",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "orchestrator.types")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
