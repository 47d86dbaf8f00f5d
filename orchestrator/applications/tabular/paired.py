"""Comparisons of two candidates on the same rows: the difference, and what it may be by chance.

Left out: comparisons of numbers that were measured on different rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.applications.tabular.metrics import Labels, Metric, Predictions, bootstrap
from orchestrator.scoring.paired import Difference, corrected


def over_folds(
    metric: Metric, ours: Sequence[float | None], theirs: Sequence[float | None], *, held_out: float
) -> Difference | None:
    """From the values of both on the same folds (80 %, as `corrected`); None below two folds on which both are defined."""
    pairs = [metric.score(a) - metric.score(b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    return corrected(pairs, held_out=held_out)


def over_rows(metric: Metric, labels: Labels, ours: Predictions, theirs: Predictions, *, seed: int = 0) -> Difference | None:
    """From the predictions of both for the same rows, by bootstrap over rows (95 %, percentile); None where it is not defined."""
    first, second = metric.value(labels, ours), metric.value(labels, theirs)
    draws = bootstrap(metric, labels, [ours, theirs], seed=seed)
    draws = draws[np.isfinite(draws).all(axis=1)]
    if first is None or second is None or len(draws) < 2:
        return None
    sign = 1 if metric.greater_is_better else -1
    low, high = np.quantile(sign * (draws[:, 0] - draws[:, 1]), [0.025, 0.975])
    return Difference(mean=metric.score(first) - metric.score(second), low=float(low), high=float(high), level=0.95)
