"""pass@k, how sure it is, and whether two models differ. Pure functions.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", for the estimator.

Left out: samples without a verdict. The caller leaves them out of the counts and says how many they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.types import Value, Verdict

DEFAULT_KS = (1, 5, 10)
RESAMPLES = 2000
"""How often the tasks are drawn anew: a bound of the interval then moves by less than a tenth of its width."""


class Estimate(Value):
    """pass@k over the tasks of a data set."""

    k: int
    value: float
    """Between 0 and 1."""
    low: float
    high: float
    """The middle 95 % of the values that other draws of tasks would have given."""
    tasks: int
    """Tasks with at least k samples: those it is computed from."""
    left_out: int = 0
    """Tasks with fewer samples."""


class Comparison(Value):
    """Two runs over the same tasks: the second minus the first."""

    tasks: int
    first: float
    """Mean pass rate over the common tasks."""
    second: float
    difference: float
    low: float
    high: float
    """95 % interval of the difference over tasks."""
    p_value: float
    """How often chance alone gives such a difference or a larger one, in either direction."""
    test: str
    """`mcnemar` (exact, one sample a task) or `paired bootstrap`."""
    better: tuple[str, ...] = ()
    """Tasks on which the second is better."""
    worse: tuple[str, ...] = ()


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that of k samples drawn out of n, c of them correct, at least one is correct: 1 - C(n-c, k) / C(n, k).

    Raises:
        ValueError: k is larger than n or not positive, or c is not between 0 and n.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"pass@{k} is not defined for {c} correct of {n} samples.")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def estimate(counts: Mapping[str, tuple[int, int]], k: int, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate | None:
    """pass@k over tasks with a bootstrap interval; `counts` is task -> (samples, correct). None where no task has k samples."""
    values = [pass_at_k(n, c, k) for n, c in counts.values() if n >= k]
    if not values:
        return None
    low, high = _interval(values, seed, resamples)
    mean = math.fsum(values) / len(values)
    return Estimate(k=k, value=mean, low=low, high=high, tasks=len(values), left_out=len(counts) - len(values))


def tally(verdicts: Iterable[tuple[str, Verdict]]) -> dict[str, tuple[int, int]]:
    """Task -> (scored samples, accepted ones), of each sample's task and verdict."""
    counts: dict[str, tuple[int, int]] = {}
    for task, verdict in verdicts:
        n, c = counts.get(task, (0, 0))
        if verdict is not Verdict.UNSCORED:
            counts[task] = (n + 1, c + (verdict is Verdict.ACCEPTED))
    return counts


def estimates_of(
    counts: Mapping[str, tuple[int, int]], ks: Sequence[int] = (), *, seed: int = 0
) -> tuple[list[Estimate], list[str]]:
    """`estimate` for each k, by default 1, 5 and 10 as far as there are samples; and sentences on what it could not tell."""
    most = max((n for n, _ in counts.values()), default=0)
    found, problems = [], []
    for k in ks or tuple(k for k in DEFAULT_KS if k <= most):
        one = estimate(counts, k, seed=seed)
        if one is None:
            problems.append(f"pass@{k} needs {k} samples of a task; the most there are is {most}")
            continue
        if one.left_out:
            problems.append(f"pass@{k} leaves out {one.left_out} tasks that have fewer than {k} scored samples")
        found.append(one)
    return found, problems


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value for `better` against `worse` tasks out of those on which two runs differ."""
    n = better + worse
    tail = sum(math.comb(n, i) for i in range(min(better, worse) + 1)) / (1 << n)
    return min(1.0, 2 * tail)


def compare(
    first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]], *, seed: int = 0, resamples: int = 10_000
) -> Comparison | None:
    """Compare two runs, each task -> (samples, correct), over the tasks that both have; None where they share none.

    With one sample for each task the test is McNemar's, else a paired bootstrap over tasks.
    """
    common = [task for task in first if task in second and first[task][0] and second[task][0]]
    if not common:
        return None
    rates = [(first[task][1] / first[task][0], second[task][1] / second[task][0]) for task in common]
    differences = [b - a for a, b in rates]
    mean = math.fsum(differences) / len(common)
    better = tuple(task for task, one in zip(common, differences, strict=True) if one > 0)
    worse = tuple(task for task, one in zip(common, differences, strict=True) if one < 0)
    single = all(first[task][0] == second[task][0] == 1 for task in common)
    low, high = _interval(differences, seed, resamples)
    return Comparison(
        tasks=len(common),
        first=math.fsum(a for a, _ in rates) / len(common),
        second=math.fsum(b for _, b in rates) / len(common),
        difference=mean,
        low=low,
        high=high,
        p_value=mcnemar(len(better), len(worse)) if single else _bootstrap_p(differences, seed, resamples),
        test="mcnemar" if single else "paired bootstrap",
        better=better,
        worse=worse,
    )


def _means(values: Sequence[float], seed: int, resamples: int) -> list[float]:
    import numpy as np

    numbers = np.asarray(values, dtype=float)
    random = np.random.default_rng(seed)
    # In slices, so that many tasks and resamples need little memory.
    slices = [random.choice(numbers, (min(500, resamples - done), len(numbers))).mean(1) for done in range(0, resamples, 500)]
    return [float(mean) for part in slices for mean in part]


def _interval(values: Sequence[float], seed: int, resamples: int) -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(_means(values, seed, resamples), [2.5, 97.5])
    return float(low), float(high)


def _bootstrap_p(differences: Sequence[float], seed: int, resamples: int) -> float:
    """Two-sided: how often the mean of differences, shifted to have none, is as far from 0 as the one that was seen."""
    mean = math.fsum(differences) / len(differences)
    drawn = _means([one - mean for one in differences], seed, resamples)
    # One is added to both, for what was seen is one of the draws: the value is never 0.
    return (1 + sum(abs(one) >= abs(mean) - 1e-12 for one in drawn)) / (resamples + 1)
