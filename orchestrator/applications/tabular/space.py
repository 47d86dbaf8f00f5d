"""Search over the parameters that a candidate names itself, by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

A candidate may say `SPACE = {"depth": (2, 10), "rate": (0.01, 0.3, "log"), "kind": ["a", "b"]}`; what is chosen is passed to its
`build(columns, depth=..., rate=..., kind=...)`.

Left out: code in a space. It is read as a literal, and never run here.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation, Execute, evaluate
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.split import Fold
from orchestrator.applications.tabular.table import Table
from orchestrator.errors import PrerequisiteError
from orchestrator.sources import parse
from orchestrator.types import Limits

MOST_PARAMETERS = 12
Range = tuple[float, float, bool]
"""From, to, and whether on a logarithmic scale."""
Space = dict[str, Range | list[Any]]


def space_of(code: str) -> Space:
    """The space that a candidate names; empty where it names none.

    Raises:
        ValueError: it is written in another way; the message says how.
    """
    values = [
        node.value
        for node in parse(code).body
        if isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "SPACE" for name in node.targets)
    ]
    if not values:
        return {}
    try:
        found = ast.literal_eval(values[-1])
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError("SPACE must be written out: numbers and texts, no calls.") from None
    if not isinstance(found, dict) or len(found) > MOST_PARAMETERS:
        raise ValueError(f"SPACE must be a dictionary of at most {MOST_PARAMETERS} parameters.")
    return {str(name): _choice(str(name), value) for name, value in found.items()}


def _choice(name: str, value: object) -> Range | list[Any]:
    if isinstance(value, list) and value and all(isinstance(one, str | int | float | bool) or one is None for one in value):
        return value
    if isinstance(value, tuple) and len(value) in (2, 3) and all(isinstance(one, int | float) for one in value[:2]):
        low, high, log = value[0], value[1], len(value) == 3
        if low < high and (not log or (value[2] == "log" and low > 0)):
            return low, high, log
    raise ValueError(f'SPACE[{name!r}] must be (low, high), (low, high, "log") with low above 0, or a list of choices.')


async def tune(
    candidate: Candidate,
    space: Space,
    table: Table,
    folds: Sequence[Fold],
    metric: Metric,
    execute: Execute,
    *,
    trials: int,
    limits: Limits,
    seed: int = 0,
) -> tuple[Candidate, Evaluation]:
    """The candidate with the best of `trials` choices of parameters, its own defaults among them, on these folds.

    Raises:
        PrerequisiteError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise PrerequisiteError("The search over parameters needs Optuna.", remedy="pip install 'fumehood[tuning]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    best = candidate, await evaluate(candidate, table, folds, metric, execute, limits=limits, seed=seed)
    for _ in range(trials - 1):
        trial = study.ask()
        one = candidate.model_copy(update={"parameters": {name: _drawn(trial, name, choice) for name, choice in space.items()}})
        found = await evaluate(one, table, folds, metric, execute, limits=limits, seed=seed)
        if found.value is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, found.score)
        if found.score > best[1].score:
            best = one, found
    return best


def _drawn(trial: Any, name: str, choice: Range | list[Any]) -> Any:
    if isinstance(choice, list):
        return trial.suggest_categorical(name, choice)
    low, high, log = choice
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)
