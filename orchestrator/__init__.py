"""Fumehood: containerized sandboxes for code written by language models.

    >>> import orchestrator
    >>> result = orchestrator.run(code, tests=tests, limits=orchestrator.Limits(wall_time=5))
    >>> result.verdict, result.reward

Names are imported when they are first used, so `import orchestrator` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.applications.loss_functions.door import solve_loss, train_loss
    from orchestrator.applications.model_research.assemble import assemble_model_code, save_model_code
    from orchestrator.applications.model_research.config import ModelConfig
    from orchestrator.applications.model_research.written import assemble_from_config
    from orchestrator.engine.background import run, run_many, session
    from orchestrator.engine.base import Executor
    from orchestrator.engine.engine import Engine
    from orchestrator.engine.outputs import judge_artefacts, judge_io
    from orchestrator.sandbox.base import Session
    from orchestrator.settings import Settings
    from orchestrator.training.reward_functions import CodeReward, compute_score
    from orchestrator.types import CheckerSource, ExecutionResult, IOCase, Limits, Program, Status, Verdict

__version__ = "0.1.0"
__all__ = [
    "CheckerSource",
    "CodeReward",
    "Engine",
    "ExecutionResult",
    "Executor",
    "IOCase",
    "Limits",
    "ModelConfig",
    "Program",
    "Session",
    "Settings",
    "Status",
    "Verdict",
    "assemble_from_config",
    "assemble_model_code",
    "compute_score",
    "judge_artefacts",
    "judge_io",
    "run",
    "run_many",
    "save_model_code",
    "session",
    "solve_loss",
    "train_loss",
]

_HOMES = {
    "ModelConfig": "orchestrator.applications.model_research.config",
    "assemble_from_config": "orchestrator.applications.model_research.written",
    "assemble_model_code": "orchestrator.applications.model_research.assemble",
    "save_model_code": "orchestrator.applications.model_research.assemble",
    "CodeReward": "orchestrator.training.reward_functions",
    "compute_score": "orchestrator.training.reward_functions",
    "Executor": "orchestrator.engine.base",
    "Engine": "orchestrator.engine.engine",
    "run": "orchestrator.engine.background",
    "run_many": "orchestrator.engine.background",
    "session": "orchestrator.engine.background",
    "judge_artefacts": "orchestrator.engine.outputs",
    "judge_io": "orchestrator.engine.outputs",
    "Session": "orchestrator.sandbox.base",
    "Settings": "orchestrator.settings",
    "solve_loss": "orchestrator.applications.loss_functions.door",
    "train_loss": "orchestrator.applications.loss_functions.door",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "orchestrator.types")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
