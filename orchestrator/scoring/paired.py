"""Differences of two scores on the same folds or the same tables, and what they may be by chance.

Left out: comparisons of scores that were measured on different rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.scoring.pass_at_k import sign_flips
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


def corrected(differences: Sequence[float], *, held_out: float) -> Difference | None:
    """The mean of differences over folds with its two-sided 80 % interval, whose lower end is a one-sided 90 % bound.

    None below two folds. `held_out` is the ratio of rows predicted to rows learnt from in a fold: folds share rows, and the
    variance is corrected for that (Nadeau and Bengio 2003).
    """
    import numpy as np
    from scipy.stats import t as student_t

    count = len(differences)
    if count < 2:
        return None
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    half = float(student_t.ppf(0.9, count - 1)) * spread * math.sqrt(1 / count + held_out)
    return Difference(mean=mean, low=mean - half, high=mean + half, level=0.8)


def signed_ranks(differences: Sequence[float], *, seed: int = 0, resamples: int = 10_000) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (1945): exact where there are few, differences of zero left out.

    Of n differences none can be below 2 ** (1 - n): with fewer than six nothing is below 0.05.
    """
    import numpy as np
    from scipy.stats import rankdata

    numbers = np.asarray([one for one in differences if one], dtype=float)
    return sign_flips((rankdata(abs(numbers)) * np.sign(numbers)).tolist(), seed, resamples)
