"""From the best of a search to one result: new folds, the simpler of equals, and the sealed rows, once.

The best of many attempts on the same folds is partly luck. So the best three meet folds that nobody was chosen by. Of those
within one standard error of the best, the simplest wins (Breiman et al. 1984). Only that one meets the sealed rows, and beside it
what it is compared with.

Left out: going back to the search afterwards.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation, Execute, evaluate
from orchestrator.applications.tabular.metrics import Labels, Metric, interval
from orchestrator.applications.tabular.paired import over_rows
from orchestrator.applications.tabular.split import Split
from orchestrator.scoring.paired import Difference
from orchestrator.sources import parse
from orchestrator.types import Limits, Value

FINALISTS = 3


@dataclass(frozen=True)
class Finalist:
    """A candidate on the new folds."""

    candidate: Candidate
    evaluation: Evaluation

    @property
    def size(self) -> int:
        """Nodes of its syntax tree: what is simpler has fewer."""
        return sum(1 for _ in ast.walk(parse(self.candidate.code)))


class Sealed(Value):
    """One candidate on the sealed rows."""

    value: float | None
    """The metric; None where it failed or is not defined."""
    low: float | None = None
    """Of the 95 % bootstrap interval over rows."""
    high: float | None = None
    failure: str = ""
    lead: Difference | None = None
    """How much better the result is than this one, on the same rows; None for the result itself."""


@dataclass(frozen=True, kw_only=True)
class Final:
    """All that met the sealed rows."""

    by_name: dict[str, Sealed]
    predictions: dict[str, NDArray[np.float64]]
    """(rows, classes) or (rows,), of those that predicted."""
    labels: Labels
    opened: int
    """How often the sealed rows have been opened, this time included."""


async def choose(
    candidates: Sequence[Candidate], split: Split, metric: Metric, execute: Execute, *, limits: Limits, seed: int = 0
) -> tuple[Finalist, list[Finalist]]:
    """The best of at most three, which come best first, and all of them on the new folds.

    Where all of them fail there, the first is returned with its failure.
    """
    folds = split.folds(repeat=1)
    finalists = [
        Finalist(one, await evaluate(one, split.table, folds, metric, execute, limits=limits, seed=seed))
        for one in candidates[:FINALISTS]
    ]
    best = max(finalists, key=lambda one: one.evaluation.score)
    if best.evaluation.value is None:
        return finalists[0], finalists
    floor = best.evaluation.score - (best.evaluation.standard_error or 0.0)
    near = [one for one in finalists if one.evaluation.score >= floor]
    return min(near, key=lambda one: (one.size, -one.evaluation.score)), finalists


async def open_sealed(
    result: str,
    candidates: Mapping[str, Candidate],
    split: Split,
    metric: Metric,
    execute: Execute,
    *,
    limits: Limits,
    seed: int = 0,
) -> Final:
    """Let the candidates, `result` by its name among them, predict the sealed rows, which are opened once for all of them."""
    fold = split.open_sealed()
    found = await asyncio.gather(
        *(evaluate(one, split.table, [fold], metric, execute, limits=limits, seed=seed) for one in candidates.values())
    )
    by_name = dict(zip(candidates, found, strict=True))
    labels = split.table.y[fold.held_out]
    sealed = await asyncio.to_thread(_compared, result, by_name, metric, labels, seed)  # a bootstrap takes seconds
    predictions = {name: one.predictions for name, one in by_name.items() if one.predictions is not None}
    return Final(by_name=sealed, predictions=predictions, labels=labels, opened=split.opened)


def _compared(result: str, found: Mapping[str, Evaluation], metric: Metric, labels: Labels, seed: int) -> dict[str, Sealed]:
    """Each with its interval, and with the lead that the result has over it."""
    ours = found[result].predictions
    sealed = {}
    for name, one in found.items():
        theirs, bounds, lead = one.predictions, None, None
        if theirs is not None:
            bounds = interval(metric, labels, theirs, seed=seed)
            if name != result and ours is not None:
                lead = over_rows(metric, labels, ours, theirs, seed=seed)
        low, high = bounds or (None, None)
        sealed[name] = Sealed(value=one.value, low=low, high=high, failure=one.failure, lead=lead)
    return sealed
