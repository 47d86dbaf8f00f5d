from __future__ import annotations

from itertools import combinations

import pytest

from orchestrator.scoring.pass_at_k import compare, estimate, mcnemar, pass_at_k


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


def test_several_samples_are_compared_by_a_paired_bootstrap():
    first = {str(i): (10, 3 + i % 3) for i in range(60)}
    better = {str(i): (10, 5 + i % 3) for i in range(60)}
    shuffled = {str(i): (10, 3 + (i + 1) % 3) for i in range(60)}
    assert compare(first, better).test == "paired bootstrap"
    assert compare(first, better).p_value < 0.001
    assert compare(first, shuffled).p_value > 0.5
    assert compare(first, {"other": (1, 1)}) is None
