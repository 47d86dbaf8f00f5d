from __future__ import annotations

from itertools import combinations

import pytest

from orchestrator.errors import UsageError
from orchestrator.scoring.pass_at_k import compare, estimate, mcnemar, pass_at_k, refuse_k, unseen, wilson


@pytest.mark.parametrize("n", [1, 4, 7])
def test_the_estimator_is_the_share_of_draws_that_hold_a_correct_sample(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_what_is_not_defined_is_an_error(n, c, k):
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, c, k)


def test_tasks_with_fewer_than_k_samples_are_left_out_and_counted():
    found = estimate({"a": (5, 5), "b": (5, 0), "c": (1, 1)}, 5)
    assert found is not None
    assert (found.value, found.tasks, found.left_out) == (0.5, 2, 1)
    assert estimate({"a": (2, 1)}, 3) is None


def test_the_interval_holds_the_value_and_narrows_with_more_tasks():
    few = estimate({str(i): (1, i % 2) for i in range(20)}, 1)
    many = estimate({str(i): (1, i % 2) for i in range(2000)}, 1)
    assert few.low < 0.5 < few.high
    assert many.high - many.low < 0.2 * (few.high - few.low)
    # The binomial's own: 1.96 * sqrt(0.25 / 2000) to each side.
    assert many.high - many.low == pytest.approx(2 * 0.0219, rel=0.15)
    assert many == estimate({str(i): (1, i % 2) for i in range(2000)}, 1)


def test_mcnemar_is_the_exact_binomial():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(6, 0) == mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)


def test_one_sample_a_task_is_compared_by_mcnemar():
    first = {str(i): (1, 0) for i in range(12)} | {"only here": (1, 1)}
    second = {str(i): (1, int(i < 8)) for i in range(12)}
    found = compare(first, second)
    assert (found.test, found.tasks, found.difference) == ("mcnemar", 12, pytest.approx(8 / 12))
    assert found.p_value == pytest.approx(2 / 256)
    assert found.better == tuple(map(str, range(8)))
    assert found.worse == ()


def test_several_samples_are_compared_by_sign_flips():
    first = {str(i): (10, 3 + i % 3) for i in range(60)}
    better = {str(i): (10, 5 + i % 3) for i in range(60)}
    shuffled = {str(i): (10, 3 + (i + 1) % 3) for i in range(60)}
    assert compare(first, better).test == "sign flips"
    assert compare(first, better).p_value < 0.001
    assert compare(first, shuffled).p_value > 0.5
    assert compare(first, {"other": (1, 1)}) is None


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(5, 5, 0.5655, 1.0), (0, 5, 0.0, 0.4345), (1, 1, 0.2065, 1.0), (10, 20, 0.2993, 0.7007), (86, 164, 0.4483, 0.5994)],
)
def test_one_sample_a_task_has_wilsons_interval(correct, n, low, high):
    """The figures are those of scipy.stats.binomtest(...).proportion_ci(method="wilson")."""
    found = estimate({str(i): (1, int(i < correct)) for i in range(n)}, 1)
    assert (found.low, found.high) == wilson(correct, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
    assert found.interval == "wilson"


@pytest.mark.parametrize("correct", [0, 2, 4])
@pytest.mark.parametrize("k", [1, 2])
def test_tasks_that_are_all_alike_still_leave_an_interval(correct, k):
    found = estimate({str(i): (4, correct) for i in range(5)}, k)
    share = unseen(5)
    assert found.low == pytest.approx(found.value * (1 - share))
    assert found.high == pytest.approx(found.value + share * (1 - found.value))
    assert found.interval == "bootstrap"


def test_the_unseen_share_is_the_exact_bound_for_none_of_n():
    assert (1 - unseen(5)) ** 5 == pytest.approx(0.025)
    assert unseen(5) == pytest.approx(0.5218, abs=1e-4)
    assert unseen(500) < 0.008


def test_the_floor_gives_way_where_tasks_differ():
    wide = estimate({str(i): (2, 2 * (i % 2)) for i in range(164)}, 1)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * (0.25 / 164) ** 0.5, rel=0.1)


def test_runs_that_agree_in_all_tasks_may_still_differ_elsewhere():
    same = {str(i): (1, 1) for i in range(5)}
    found = compare(same, same)
    assert (found.low, found.difference, found.high) == (pytest.approx(-0.396, abs=1e-3), 0, pytest.approx(0.396, abs=1e-3))
    several = {str(i): (4, 4) for i in range(5)}
    found = compare(several, several)
    assert (found.low, found.high) == (pytest.approx(-unseen(5)), pytest.approx(unseen(5)))


def test_the_paired_interval_holds_the_difference():
    for better, worse, n in [(5, 0, 5), (0, 3, 10), (10, 4, 100), (1, 1, 2)]:
        first = {str(i): (1, int(better <= i < better + worse)) for i in range(n)}
        second = {str(i): (1, int(i < better)) for i in range(n)}
        found = compare(first, second)
        assert found.difference == pytest.approx((better - worse) / n)
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert found.low < found.high


def test_a_k_for_which_there_will_never_be_samples_is_refused():
    refuse_k((1, 5), 5)
    refuse_k((), 1)
    with pytest.raises(UsageError, match=r"pass@10 needs 10 samples of each task, and 5 would be drawn"):
        refuse_k((1, 10), 5)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 20])
def test_few_tasks_say_no_more_with_many_samples_than_with_one(n):
    """Each task gets better by all it can: with one sample McNemar says how sure that makes."""

    def run(samples, right):
        return {str(task): (samples, samples if right else 0) for task in range(n)}

    one, many = compare(run(1, False), run(1, True)), compare(run(5, False), run(5, True))
    assert one is not None
    assert many is not None
    assert many.p_value == pytest.approx(one.p_value, rel=0.2, abs=2e-4)


def test_no_difference_has_the_p_value_1():
    same = {str(task): (3, task % 4) for task in range(4)}
    found = compare(same, same)
    assert found is not None
    assert found.p_value == 1.0
