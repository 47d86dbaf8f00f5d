"""What a candidate is worth: it predicts held-out rows fold by fold, and the predictions are scored here.

Each fold is a sandbox of its own, for the rows held out of one are rows with their target in all others. What a program prints,
or says of itself, scores nothing.

Left out: which candidates there are, and what is asked of a model.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.candidate import STAGE_NAMES, STAGES, Candidate, program
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.predictions import ARRAY, CSV, read_csv_predictions, read_predictions
from orchestrator.applications.tabular.split import Fold, Places
from orchestrator.applications.tabular.table import Table
from orchestrator.types import ExecutionResult, Limits, Program, Status

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]


@dataclass(frozen=True, kw_only=True)
class FoldOutcome:
    """One fold: predictions as they can be believed, or why there are none."""

    predictions: NDArray[np.float64] | None = None
    failure: str = ""
    """One sentence, or the last lines of a traceback."""
    stages: tuple[str, ...] = ()
    """Those of `STAGE_NAMES` that it says it reached."""
    result: ExecutionResult


@dataclass(kw_only=True)
class Evaluation:
    """What became of a candidate on some folds."""

    metric: Metric
    values: list[float | None] = field(default_factory=list)
    """The metric on each fold; None where it is not defined there."""
    rows: Places = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """The rows that were held out, as places in the table, fold after fold."""
    predictions: NDArray[np.float64] | None = None
    """Theirs, in the same order."""
    outcomes: list[FoldOutcome] = field(default_factory=list)

    @property
    def failure(self) -> str:
        """Why there is no value; empty where there is one."""
        return next((outcome.failure for outcome in self.outcomes if outcome.failure), "")

    @property
    def value(self) -> float | None:
        """Mean over the folds; None where a fold failed or none has a value."""
        known = [value for value in self.values if value is not None]
        return None if self.failure or not known else math.fsum(known) / len(known)

    @property
    def score(self) -> float:
        """`value` so that larger is better, and less than any where there is none."""
        return -math.inf if self.value is None else self.metric.score(self.value)

    @property
    def standard_error(self) -> float | None:
        """Of the mean over the folds (which overlap in what they learn from, so it is a little too small); None below two."""
        known = [value for value in self.values if value is not None]
        return None if len(known) < 2 or self.failure else float(np.std(known, ddof=1)) / math.sqrt(len(known))

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that the candidate reached in every fold that was run."""
        return tuple(name for name in STAGE_NAMES if self.outcomes and all(name in one.stages for one in self.outcomes))

    @property
    def wall_time(self) -> float:
        """Seconds in sandboxes."""
        return math.fsum(outcome.result.wall_time for outcome in self.outcomes)

    @property
    def is_of_the_sandbox(self) -> bool:
        """Whether it failed for no fault of its own."""
        return any(outcome.result.status is Status.SANDBOX_ERROR for outcome in self.outcomes)


async def evaluate(
    candidate: Candidate,
    table: Table,
    folds: Sequence[Fold],
    metric: Metric,
    execute: Execute,
    *,
    limits: Limits,
    seed: int = 0,
) -> Evaluation:
    """Let a candidate predict the held-out rows of each fold, and score that.

    The first fold goes alone: most failures are seen there. A candidate that fails gives an evaluation with its failure, never
    an exception.
    """
    first = await _one(candidate, table, folds[0], execute, limits, seed)
    rest: list[FoldOutcome] = []
    if not first.failure:
        rest = await asyncio.gather(*(_one(candidate, table, fold, execute, limits, seed) for fold in folds[1:]))
    found = Evaluation(metric=metric, outcomes=[first, *rest])
    if found.failure:
        return found
    found.rows = np.concatenate([fold.held_out for fold in folds])
    each = [outcome.predictions for outcome in found.outcomes if outcome.predictions is not None]
    found.predictions = np.concatenate(each)
    found.values = [metric.value(table.y[fold.held_out], one) for fold, one in zip(folds, each, strict=True)]
    return found


async def _one(candidate: Candidate, table: Table, fold: Fold, execute: Execute, limits: Limits, seed: int) -> FoldOutcome:
    result = await execute(await asyncio.to_thread(program, candidate, table, fold, seed=seed), limits)
    stages, failure = _said(result)
    name = CSV if candidate.form == "script" else ARRAY
    if result.status is not Status.OK:
        return FoldOutcome(failure=failure or _why(result), stages=stages, result=result)
    if failure:
        return FoldOutcome(failure=failure, stages=stages, result=result)
    if name not in result.artifacts:
        why = result.artifact_errors.get(name, "")
        return FoldOutcome(failure=f"It wrote no {name}. {why}".strip(), stages=stages, result=result)
    try:
        read = read_csv_predictions if candidate.form == "script" else read_predictions
        predictions = read(result.artifacts[name], table, len(fold.held_out))
    except ValueError as error:
        return FoldOutcome(failure=f"The predictions were refused. {error}", stages=stages, result=result)
    return FoldOutcome(predictions=predictions, stages=STAGE_NAMES, result=result)


def _said(result: ExecutionResult) -> tuple[tuple[str, ...], str]:
    """Stages and failure as the program in the sandbox wrote them; nothing is decided by the stages."""
    try:
        said = json.loads(result.artifacts.get(STAGES, b"{}"))
    except (ValueError, RecursionError):
        return (), ""
    if not isinstance(said, dict):
        return (), ""
    reached, failure, trace = said.get("reached"), said.get("failure"), said.get("traceback")
    stages = tuple(name for name in STAGE_NAMES if isinstance(reached, list) and name in reached)
    text = (trace if isinstance(trace, str) and trace else failure) if isinstance(failure, str) else ""
    return stages, text.strip()[-2000:] if isinstance(text, str) else ""


def _why(result: ExecutionResult) -> str:
    """What ended a run, from its status and the end of what it wrote."""
    if result.status is Status.RUNTIME_ERROR:
        return "\n".join(result.stderr.strip().splitlines()[-12:]) or "The program failed and said nothing."
    return f"It ended with {result.status.value}. {result.detail}".strip()
