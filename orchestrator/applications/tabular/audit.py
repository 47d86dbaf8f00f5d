"""What a good result was looked at for before it is believed.

- *The canary*: fitted on targets that were shuffled among the training rows, a candidate knows nothing. If it still predicts,
  it has the answers from elsewhere: rows that it remembers, a file, the test batch.
- *The test batch*: half of the held-out rows, in another order, must get the predictions that they got among all of them.
- *Constant predictions* say nothing of a row.

A canary is held against the prior by squared error (of probabilities: Brier 1950), where noise cannot win, and over several
shufflings: one alone may by luck point the right way.

Left out: proof. What is found is called suspicious, and a person decides.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation, Execute, evaluate
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.split import Fold, Split
from orchestrator.applications.tabular.table import Table
from orchestrator.types import Limits, Value

SHUFFLINGS = 4
_SHARE = 0.25
"""Of the gain over the prior with true targets, what is suspicious with shuffled ones."""
_ERRORS = 3.0
_SAME = 1e-6
"""Of the spread of predictions: what two sums in another order may differ by."""


class Audit(Value):
    """What was found of one candidate on one fold."""

    gain: float
    """Squared error of the prior less that of the candidate, mean over the rows: what it knows."""
    canary: float | None
    """The same with shuffled targets, mean over the shufflings; None where it did not run with them."""
    canary_error: float | None
    """Standard error of that, over the shufflings."""
    remembers: bool
    """It predicts although the targets that it learnt from were shuffled."""
    deterministic: bool
    """A second run with the same rows gave the same predictions."""
    uses_batch: bool
    """Predictions of a row depend on the other rows that are asked about."""
    constant: bool
    """All rows get the same prediction."""
    failures: tuple[str, ...] = ()
    """Checks that could not be made, and why."""

    @property
    def findings(self) -> list[str]:
        """What speaks against it, a sentence each; empty where nothing does."""
        found = []
        if self.remembers:
            found.append(
                f"suspicious: with shuffled targets it keeps {self.canary or 0:.3g} of a gain of {self.gain:.3g} over the prior, "
                "so that it knows the answers from elsewhere"
            )
        if self.uses_batch:
            found.append("uses the test batch: half of the rows, in another order, get other predictions")
        if self.constant:
            found.append("constant: all rows get the same prediction")
        if not self.deterministic:
            found.append("not deterministic: the same rows get other predictions in a second run")
        return [*found, *self.failures]


async def audit(candidate: Candidate, split: Split, metric: Metric, execute: Execute, *, limits: Limits, seed: int = 0) -> Audit:
    """Look at a candidate on the first fold of the search. It takes three sandboxes, and one for each shuffling.

    Raises:
        ValueError: it does not predict the fold as it is.
    """
    table, fold = split.table, split.search_folds()[0]
    rng = np.random.default_rng(split.seed)
    half = replace(fold, held_out=rng.permutation(fold.held_out)[: max(2, len(fold.held_out) // 2)])
    shuffled = [_shuffled(table, fold, rng) for _ in range(SHUFFLINGS)]

    async def run(table: Table, fold: Fold) -> Evaluation:
        return await evaluate(candidate, table, [fold], metric, execute, limits=limits, seed=seed)

    true, again, part, *canaries = await asyncio.gather(
        run(table, fold), run(table, fold), run(table, half), *(run(one, fold) for one in shuffled)
    )
    if true.predictions is None:
        raise ValueError(true.failure)
    failures = [
        f"could not be {what}: {one.failure.splitlines()[-1]}"
        for what, one in (("repeated", again), ("asked for half of the rows", part))
        if one.failure
    ]
    failures += [
        f"could not be fitted on shuffled targets: {one.failure.splitlines()[-1]}" for one in canaries[:1] if one.failure
    ]
    prior = _squared_error(table, fold, _prior(table, fold))
    gain = float(np.mean(prior - _squared_error(table, fold, true.predictions)))
    gains = [
        float(np.mean(prior - _squared_error(table, fold, one.predictions))) for one in canaries if one.predictions is not None
    ]
    canary = float(np.mean(gains)) if gains else None
    error = float(np.std(gains, ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else None
    same = again.predictions is None or _distance(true.predictions, again.predictions) == 0
    return Audit(
        gain=gain,
        canary=canary,
        canary_error=error,
        remembers=canary is not None and error is not None and canary > max(_SHARE * gain, _ERRORS * error, 0),
        deterministic=same,
        uses_batch=_uses_batch(fold, half, true, again, part),
        constant=bool(np.ptp(true.predictions, axis=0).max() == 0),
        failures=tuple(failures),
    )


def _shuffled(table: Table, fold: Fold, rng: np.random.Generator) -> Table:
    """The table with the targets of the rows to learn from shuffled among them."""
    y = table.y.copy()
    y[fold.train] = y[rng.permutation(fold.train)]
    return replace(table, y=y)


def _prior(table: Table, fold: Fold) -> NDArray[np.float64]:
    """What one predicts who has seen no feature: shares of the classes, or the mean."""
    known = table.y[fold.train]
    if not table.classes:
        return np.full(len(fold.held_out), float(known.mean()))
    shares = np.bincount(known, minlength=len(table.classes)) / len(known)
    return np.tile(shares, (len(fold.held_out), 1))


def _squared_error(table: Table, fold: Fold, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows,)"""
    labels = table.y[fold.held_out]
    if not table.classes:
        return np.asarray((predictions - labels) ** 2, dtype=np.float64)
    return np.asarray(((predictions - np.eye(len(table.classes))[labels]) ** 2).sum(axis=1), dtype=np.float64)


def _distance(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Mean distance of predictions, in units of their spread; 0 where sums in another order explain it."""
    spread = float(np.std(ours)) or 1.0
    found = float(np.mean(np.abs(ours - theirs))) / spread
    return found if found > _SAME else 0.0


def _uses_batch(fold: Fold, half: Fold, true: Evaluation, again: Evaluation, part: Evaluation) -> bool:
    """Whether rows of the half differ by more than a repetition does."""
    if true.predictions is None or again.predictions is None or part.predictions is None:
        return False
    place = {int(row): index for index, row in enumerate(fold.held_out)}
    rows = [place[int(row)] for row in half.held_out]
    noise = _distance(true.predictions[rows], again.predictions[rows])
    return _distance(true.predictions[rows], part.predictions) > 10 * noise
