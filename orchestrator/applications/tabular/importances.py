"""What a result takes from each column: what it loses where the column's values are shuffled among the rows that it predicts.

The candidate learns from each fold as ever, and is asked for the held-out rows once as they are and once more for each column
with that column shuffled (permutation importance, Breiman 2001). It predicts all of them in one run, and does not learn which are
which. The metric is computed where the labels are, fold by fold, so that every loss has its noise.

Left out: what a column is worth beside others. Of two that say the same, either can stand in for the other, and both show little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Execute, evaluate
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.paired import over_folds
from orchestrator.applications.tabular.split import Fold
from orchestrator.applications.tabular.table import Table
from orchestrator.scoring.paired import Difference
from orchestrator.types import Limits, Value

_MOST_CELLS = 2_000_000
"""Of the rows that are asked about in one run."""
FEWEST_ROWS = 30


class Importance(Value):
    """One column."""

    column: str
    loss: Difference | None
    """By how much the metric is worse where it is shuffled, over the folds; None where that is not defined."""


async def importances(
    candidate: Candidate,
    table: Table,
    folds: Sequence[Fold],
    metric: Metric,
    execute: Execute,
    *,
    limits: Limits,
    seed: int = 0,
) -> tuple[Importance, ...]:
    """The columns of a table, the most important first. It takes one run for each fold.

    Raises:
        ValueError: the candidate failed, or there are too many columns; the message says which.
    """
    columns = list(table.features.columns)
    blocks = 1 + len(columns)
    most = _MOST_CELLS // (blocks * len(columns))
    if most < FEWEST_ROWS:
        raise ValueError(f"{len(columns)} columns are too many to shuffle each.")
    rng = np.random.default_rng(seed)
    asked = [_shuffled(table, replace(fold, held_out=fold.held_out[:most]), rng) for fold in folds]
    found = await asyncio.gather(
        *(evaluate(candidate, more, [fold], metric, execute, limits=limits, seed=seed) for more, fold in asked)
    )
    values: list[list[float | None]] = []
    """For each fold: the metric on the rows as they are, then with each column shuffled."""
    for one, (more, fold) in zip(found, asked, strict=True):
        if one.predictions is None:
            raise ValueError(one.failure)
        labels = np.split(more.y[fold.held_out], blocks)
        values.append([metric.value(y, part) for y, part in zip(labels, np.split(one.predictions, blocks), strict=True)])
    share = float(np.mean([len(fold.held_out) / len(fold.train) for fold in folds]))
    as_they_are, *shuffled = zip(*values, strict=True)
    losses = [
        Importance(column=str(column), loss=over_folds(metric, as_they_are, each, held_out=share))
        for column, each in zip(columns, shuffled, strict=True)
    ]
    return tuple(sorted(losses, key=lambda one: -one.loss.mean if one.loss is not None else np.inf))


def _shuffled(table: Table, fold: Fold, rng: np.random.Generator) -> tuple[Table, Fold]:
    """The table with the held-out rows once more for each column, that column shuffled; and the fold that asks for all."""
    import pandas as pd

    held_out = table.rows(fold.held_out)
    parts = [table.features]
    for column in table.features.columns:
        values = held_out.features[column].iloc[rng.permutation(len(held_out))]
        parts.append(held_out.features.assign(**{column: values.to_numpy()}))
    count = len(parts) - 1
    features = pd.concat(parts, ignore_index=True)
    more = replace(table, features=features, y=np.concatenate([table.y, *[held_out.y] * count]))
    asked = np.concatenate([fold.held_out, len(table) + np.arange(count * len(held_out))])
    return more, Fold(train=fold.train, held_out=asked)
