"""Comparisons of two candidates on the same rows: the difference, and what it may be by chance.

Left out: comparisons of numbers that were measured on different rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from orchestrator.applications.tabular.metrics import Labels, Metric, Predictions, bootstrap
from orchestrator.types import Value


class Difference(Value):
    """How much better one is than another, in the metric's units; above zero is better, whatever the metric's direction."""

    mean: float
    low: float
    high: float
    level: float
    """Of the interval from `low` to `high`, for example 0.95."""

    @property
    def is_resolved(self) -> bool:
        """Whether the data can tell the two apart."""
        return self.low > 0 or self.high < 0


def over_folds(
    metric: Metric, ours: Sequence[float | None], theirs: Sequence[float | None], *, held_out: float
) -> Difference | None:
    """From the values of both on the same folds; None below two folds on which both are defined.

    The two-sided 80 % interval, whose lower end is a one-sided 90 % bound. `held_out` is the ratio of rows predicted to rows
    learnt from in a fold: folds share rows, and the variance is corrected for that (Nadeau and Bengio 2003).
    """
    from scipy.stats import t as student_t

    pairs = [metric.score(a) - metric.score(b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    count = len(pairs)
    if count < 2:
        return None
    mean, spread = float(np.mean(pairs)), float(np.std(pairs, ddof=1))
    half = float(student_t.ppf(0.9, count - 1)) * spread * math.sqrt(1 / count + held_out)
    return Difference(mean=mean, low=mean - half, high=mean + half, level=0.8)


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
