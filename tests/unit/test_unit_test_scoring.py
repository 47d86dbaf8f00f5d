"""What unit tests earn for what was seen of them."""

from __future__ import annotations

import pytest
from worthless_tests import GOOD, WORDS, WORTHLESS

from orchestrator.applications.unit_tests.score import Observed, Weights, accepted, copied, score, uses

SOLID = Observed(
    parses=True,
    uses=True,
    collected=3,
    passed=3,
    calls=5,
    lines=(3, 4),
    branches=(1, 2),
    mutants={"a": "killed", "b": "killed", "c": "killed", "d": "survived", "e": "equivalent"},
    sharp=True,
)


def changed(**values: object) -> Observed:
    return SOLID.model_copy(update=values)


def test_all_steps_add_up():
    found = score(SOLID)
    assert found.valid
    assert not found.worthless
    assert found.mutation_score == 0.75
    assert (found.killed, found.survived, found.equivalent) == (3, 1, 1)
    assert found.components == pytest.approx(
        {"syntax": 0.05, "runs": 0.05, "passes": 0.1, "line_coverage": 0.075, "branch_coverage": 0.05, "mutation": 0.45}
    )
    assert found.reward == pytest.approx(0.775)


def test_the_sum_of_the_weights_is_the_most_there_is():
    best = changed(lines=(4, 4), branches=(2, 2), mutants={"a": "killed"}, sharp=True)
    assert score(best).reward == pytest.approx(1.0)
    weights = Weights(syntax=0, runs=0, passes=0, line_coverage=1, branch_coverage=2, mutation=3)
    assert score(best, weights).reward == pytest.approx(6.0)


def test_a_function_without_branches_has_all_of_them_passed():
    assert score(changed(branches=(0, 0))).branch_coverage == 1.0


def test_tests_that_fail_in_part_get_no_further_than_to_run():
    found = score(changed(passed=2, mutants={}))
    assert not found.valid
    assert found.mutation_score is None
    assert found.reward == pytest.approx(0.1)


def test_tests_that_are_not_collected_earn_their_syntax():
    found = score(Observed(parses=True, uses=True))
    assert found.reward == pytest.approx(0.05)


def test_what_does_not_parse_earns_nothing():
    assert score(Observed()).reward == 0.0


def test_equivalent_mutants_do_not_count():
    assert score(changed(mutants={"a": "killed", "b": "equivalent", "c": "equivalent"})).mutation_score == 1.0


def test_a_function_without_faults_to_notice_leaves_the_tests_unscored():
    found = score(changed(mutants={"a": "equivalent"}, sharp=False))
    assert found.valid
    assert found.mutation_score is None
    assert found.reward is None
    assert not accepted(found, 0.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"calls": 0}, "never call"),
        ({"passed": 0, "mutants": {}}, "None of them passes"),
        ({"stable": False, "mutants": {}}, "not always pass"),
        ({"broken": True, "passed": 0, "mutants": {}}, "break off"),
        ({"copies": ("oracle",)}, "oracle"),
        ({"mutants": {"a": "survived", "b": "equivalent"}, "sharp": False}, "No mutant"),
        ({"sharp": False}, "no wrong value"),
    ],
)
def test_tests_that_tell_nothing_earn_nothing_at_all(values, words):
    found = score(changed(**values))
    assert words in found.worthless
    assert found.reward == 0.0
    assert not any(found.components.values())
    assert not accepted(found, 0.0)


def test_skipped_tests_are_not_valid():
    assert not score(changed(collected=4, skipped=1, mutants={})).valid


def test_acceptance_needs_the_threshold():
    assert accepted(score(SOLID), 0.75)
    assert not accepted(score(SOLID), 0.76)


def test_a_name_in_an_import_is_no_use():
    assert not uses("from candidate import words\n", "words")
    assert uses("import candidate\nassert candidate.words('a') == []\n", "words")
    assert not uses("def test(:", "words")


@pytest.mark.parametrize("name", GOOD)
def test_honest_tests_are_no_copies(name):
    assert copied(GOOD[name], WORDS.module, "words") == ""


@pytest.mark.parametrize("name", ["a copy under another name", "a copy inside a test"])
def test_a_copy_is_known_by_its_form_under_any_names(name):
    assert copied(WORTHLESS[name], WORDS.module, "words")


def test_a_small_function_is_not_taken_for_a_copy():
    tests = "from candidate import add\ndef test_a():\n    assert add(1, 2) == 3\n    assert add(2, 2) == 2 + 2\n"
    assert copied(tests, "def add(a, b):\n    return a + b\n", "add") == ""
