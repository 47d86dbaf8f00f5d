"""pass@k, how sure it is, and whether two models differ. Pure functions.

Sources: the estimator is that of Chen et al. 2021, "Evaluating Large Language Models Trained on Code". With one sample for each
task its interval is Wilson's (1927, "Probable Inference, the Law of Succession, and Statistical Inference"), and that of the
difference of two runs is Bonett and Price's (2012, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
Based on Paired Data"). All other intervals are bootstraps over tasks (Efron 1979) with a floor, see `unseen`: draws of tasks that
are all alike show no spread, and 5 tasks that all pass do not say that every task does.

Left out: samples without a verdict. The caller leaves them out of the counts and says how many they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.printable import counted
from orchestrator.types import Value, Verdict

DEFAULT_KS = (1, 5, 10)
_Z = 1.959963984540054
"""Of the normal distribution 95 % lie within so many standard deviations."""
RESAMPLES = 2000
"""How often the tasks are drawn anew: a bound of the interval then moves by less than a tenth of its width."""


class Estimate(Value):
    """pass@k over the tasks of a data set."""

    k: int
    value: float
    """Between 0 and 1."""
    low: float
    high: float
    """95 % interval over tasks: what another choice of tasks could have given."""
    interval: Literal["wilson", "bootstrap"] = "bootstrap"
    tasks: int
    """Tasks with at least k samples: those it is computed from."""
    left_out: int = 0
    """Tasks with fewer samples."""


class Comparison(Value):
    """Two runs over the same tasks: the second minus the first."""

    tasks: int
    first: float
    """Mean pass rate over the common tasks, from 0 to 1."""
    second: float
    difference: float
    """`second - first`, from -1 to 1: a hundredth is a percentage point."""
    low: float
    high: float
    """95 % interval of the difference over tasks."""
    p_value: float
    """How often chance alone gives such a difference or a larger one, in either direction."""
    test: str
    """`mcnemar` (exact, one sample a task) or `sign flips`."""
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
    """pass@k over tasks and its interval; `counts` is task -> (samples, correct). None where no task has k samples.

    The interval is Wilson's where each task has one sample, else a bootstrap with a floor.
    """
    used = [(n, c) for n, c in counts.values() if n >= k]
    if not used:
        return None
    values = [pass_at_k(n, c, k) for n, c in used]
    single = all(n == 1 for n, _ in used)
    low, high = wilson(sum(c for _, c in used), len(used)) if single else _interval(values, 0, seed, resamples)
    return Estimate(
        k=k,
        value=math.fsum(values) / len(values),
        low=low,
        high=high,
        interval="wilson" if single else "bootstrap",
        tasks=len(values),
        left_out=len(counts) - len(values),
    )


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, `correct` of `n`. It never has no width: 5 of 5 is 57 to 100 %.

    Raises:
        ValueError: n is not positive, or `correct` is not between 0 and n.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"There is no share of {correct} in {n}.")
    share, square = correct / n, _Z**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # At the edges the bound is the edge itself, which rounding would miss.
    return 0.0 if correct == 0 else max(0.0, middle - half), 1.0 if correct == n else min(1.0, middle + half)


def unseen(n: int) -> float:
    """The largest share of tasks of a kind that none of `n` tasks shows, with 97.5 % confidence: 1 - 0.025 ** (1 / n).

    Source: Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits", for none of n; about 3.7 / n.
    """
    return 1.0 - math.pow(0.025, 1.0 / n)


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
    """`estimate` for each k, by default 1, 5 and 10 as far as there are samples; and sentences on what it could not estimate."""
    most = max((n for n, _ in counts.values()), default=0)
    found, problems = [], []
    for k in ks or tuple(k for k in DEFAULT_KS if k <= most):
        one = estimate(counts, k, seed=seed)
        if one is None:
            problems.append(f"pass@{k} needs {k} samples of a task; the most there are is {most}")
            continue
        if one.left_out:
            problems.append(f"pass@{k} leaves out {counted(one.left_out, 'task')} with fewer than {k} scored samples")
        found.append(one)
    return found, problems


def refuse_k(ks: Sequence[int], n: int) -> None:
    """Refuse a k for which there will never be samples enough, before the first is drawn.

    Raises:
        UsageError: a k is above `n`.
    """
    if ks and max(ks) > n:
        raise UsageError(
            f"pass@{max(ks)} needs {max(ks)} samples of each task, and {n} would be drawn.",
            remedy="Raise --n, or leave that k out.",
        )


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value for `better` against `worse` tasks out of those on which two runs differ."""
    n = better + worse
    tail = sum(math.comb(n, i) for i in range(min(better, worse) + 1)) / (1 << n)
    return min(1.0, 2 * tail)


def compare(
    first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]], *, seed: int = 0, resamples: int = 10_000
) -> Comparison | None:
    """Compare two runs, each task -> (samples, correct), over the tasks that both have; None where they share none.

    With one sample for each task the test is McNemar's and the interval Bonett and Price's. Else the test flips the signs of the
    tasks' differences, which is McNemar's where these are all 1, and the interval is a paired bootstrap over tasks with a floor.
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
    low, high = _paired(len(better), len(worse), len(common)) if single else _interval(differences, -1, seed, resamples)
    return Comparison(
        tasks=len(common),
        first=math.fsum(a for a, _ in rates) / len(common),
        second=math.fsum(b for _, b in rates) / len(common),
        difference=mean,
        low=low,
        high=high,
        p_value=mcnemar(len(better), len(worse)) if single else sign_flips(differences, seed, resamples),
        test="mcnemar" if single else "sign flips",
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


def _interval(values: Sequence[float], least: float, seed: int, resamples: int) -> tuple[float, float]:
    """The middle 95 % of the means of other draws of tasks, and at least what tasks of a kind that was never drawn could do.

    Values lie between `least` and 1. Where the tasks are all alike every draw is the same, however few they are; but a share
    `unseen` of all tasks may be unlike them, at worst with the least or the largest of values.
    """
    import numpy as np

    low, high = (float(bound) for bound in np.percentile(_means(values, seed, resamples), [2.5, 97.5]))
    share, mean = unseen(len(values)), math.fsum(values) / len(values)
    return min(low, mean + share * (least - mean)), max(high, mean + share * (1 - mean))


def _paired(better: int, worse: int, n: int) -> tuple[float, float]:
    """Bonett and Price's 95 % interval of the difference of two shares of the same `n` tasks."""
    up, down = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = _Z * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def sign_flips(differences: Sequence[float], seed: int, resamples: int) -> float:
    """Two-sided p-value: how often the sum is as far from 0 if each task might as well have differed the other way.

    All ways are tried where they are at most `resamples`, so that few tasks do not seem to say more than they do:
    one task alone shows nothing.
    """
    import numpy as np

    numbers = np.asarray([one for one in differences if one], dtype=float)
    seen = abs(numbers.sum()) - 1e-12
    if 2 ** len(numbers) <= resamples:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(numbers))))
        return float(np.mean(abs(signs @ numbers) >= seen)) if len(numbers) else 1.0
    random = np.random.default_rng(seed)
    extreme = 0
    # In slices, so that many tasks and resamples need little memory. What was seen is one of the ways: the value is never 0.
    for done in range(0, resamples, 500):
        signs = random.choice((-1, 1), (min(500, resamples - done), len(numbers)))
        extreme += int((abs(signs @ numbers) >= seen).sum())
    return (1 + extreme) / (resamples + 1)
