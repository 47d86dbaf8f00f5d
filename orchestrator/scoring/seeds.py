"""The same work repeated with several seeds: its mean, and whether it beats another on the same seeds.

A difference of two means is a claim only from five paired seeds on; with fewer it is called indicative. Five are the fewest with
which a one-sided test that flips signs can come below 0.05: it is 1/32 where all five differences have one sign.

Left out: different rows. All seeds are of one split, so an interval speaks of other seeds and not of other data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from orchestrator.scoring.metrics import Metric
from orchestrator.scoring.paired import Difference
from orchestrator.scoring.pass_at_k import sign_flips
from orchestrator.types import Value

FEWEST = 5
"""Paired seeds that a claim takes."""
LEVEL = 0.95
_SMALL = 0.05
"""Of the one-sided p-value, which is half of the two-sided one."""
_RESAMPLES = 10_000


class SeedMean(Value):
    """A mean over seeds and its interval by Student's t."""

    mean: float
    low: float | None
    """None for a single seed, of which nobody knows how it varies."""
    high: float | None
    n: int
    level: float = LEVEL

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.4g} (one seed)"
        return f"{self.mean:.4g} ({self.level:.0%} interval {self.low:.4g} to {self.high:.4g}, {self.n} seeds)"


class SeedComparison(Value):
    """One against another on the same seeds."""

    n: int
    """Seeds on which both have a value."""
    difference: Difference | None
    """95 %; above zero is better, whatever the metric's direction. None below two seeds."""
    p: float | None
    """Two-sided, by flipping signs; None below two seeds."""
    claim: Literal["better", "worse", "not resolved", "indicative", "too few seeds"]
    sentence: str
    """The claim in words, with its numbers."""


def mean_of(values: Sequence[float | None]) -> SeedMean | None:
    """Mean over the seeds that have a value, with the 95 % interval; None where none has."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    half = _half(known)
    mean = math.fsum(known) / len(known)
    return SeedMean(
        mean=mean, low=None if half is None else mean - half, high=None if half is None else mean + half, n=len(known)
    )


def compare(metric: Metric, ours: Sequence[float | None], theirs: Sequence[float | None]) -> SeedComparison:
    """From the values of both, seed by seed in the same order.

    Raises:
        ValueError: they have different numbers of seeds.
    """
    pairs = [metric.score(a) - metric.score(b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    n, half = len(pairs), _half(pairs)
    if half is None:
        return SeedComparison(
            n=n, difference=None, p=None, claim="too few seeds", sentence=f"Compared on {n} seed(s): nothing can be said."
        )
    mean = math.fsum(pairs) / n
    difference = Difference(mean=mean, low=mean - half, high=mean + half, level=LEVEL)
    p = sign_flips(pairs, 0, _RESAMPLES)
    resolved = difference.is_resolved and p <= 2 * _SMALL
    what = f"{metric.name} {abs(mean):.4g} {'better' if mean > 0 else 'worse'} on {n} paired seeds"
    numbers = f"difference {mean:+.4g}, 95 % interval {difference.low:+.4g} to {difference.high:+.4g}"
    if n < FEWEST:
        return SeedComparison(
            n=n,
            difference=difference,
            p=p,
            claim="indicative",
            sentence=f"Indicative only: {what} ({numbers}); a claim takes {FEWEST}.",
        )
    if not resolved:
        sentence = f"The data cannot tell the two apart on {n} paired seeds ({numbers})."
        return SeedComparison(n=n, difference=difference, p=p, claim="not resolved", sentence=sentence)
    return SeedComparison(
        n=n, difference=difference, p=p, claim="better" if mean > 0 else "worse", sentence=f"{what} ({numbers})."
    )


def _half(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval of a mean (Student's t); None below two values."""
    from scipy.stats import t as student_t

    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1))
    return float(student_t.ppf((1 + LEVEL) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
