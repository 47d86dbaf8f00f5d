"""An attack that was seen decides the verdict, unless the sandbox itself failed."""

from __future__ import annotations

import pytest

from orchestrator.scoring.verdicts import binary_reward, verdict_of_program, verdict_of_tests
from orchestrator.types import RunReport, Status, TestOutcome, TestResult, Verdict

PASSED = TestResult(name="a", outcome=TestOutcome.PASSED)


@pytest.mark.parametrize("status", Status)
def test_an_attack_makes_any_run_tampered_but_not_a_sandbox_that_failed(status):
    report = RunReport(status=status, tests=(PASSED,), tests_collected=1, tests_complete=True, attack=("ptrace",))
    expected = Verdict.UNSCORED if status is Status.SANDBOX_ERROR else Verdict.TAMPERED
    assert verdict_of_tests(report) is expected
    assert verdict_of_program(report) is expected


def test_an_attack_seen_with_broken_tests_is_still_an_attack():
    assert verdict_of_tests(RunReport(status=Status.OK, collection_error="x", attack=("a",))) is Verdict.TAMPERED


def test_tampering_is_worth_nothing():
    assert binary_reward(Verdict.TAMPERED) == 0.0
