"""Whose fault it was, from reports as a sandbox gives them."""

from __future__ import annotations

import ast

import pytest

from orchestrator.applications.loss_functions.hints import ADVICE
from orchestrator.engine.engine import judged
from orchestrator.jobs.classification import classify, drop_tests, smallest_failure
from orchestrator.llm.extraction import Extraction
from orchestrator.types import ExecutionResult, Fault, OwnTests, Program, RunReport, Status, TestOutcome, TestResult, Verdict

USABLE = Extraction(code="def loss(pred, target): ...\n", usable=True)
EXAMPLES = "from candidate import loss\n\ndef test_worked_example():\n    assert loss(1, 2) == 3\n"
TESTS = "from candidate import loss\n\ndef test_a():\n    assert loss(1, 1) == 0\n\ndef test_b():\n    assert loss(0, 1) == 2\n"

# As the sandbox reports them.
WRONG_VALUE = "test_candidate.py:4 in test_worked_example: assert loss(1, 2) == 3\nAssertionError: the worked example must be 3, got 7\nassert 7 == 3"
RAISED = (
    "test_candidate.py:91 in call: value = function(*tensors)\n"
    "candidate.py:5 in loss: return torch.abs(pred - targets).mean()\n"
    "NameError: name 'targets' is not defined\nwhile calling loss(pred, target) with pred of shape (12,)"
)
CONTRACT = "test_candidate.py:99 in fail: pytest.fail(message, pytrace=False)\nFailed: loss(pred, target) returned inf; expected a finite number"


def told(name: str, outcome: str = "passed", message: str = "", side: str = "") -> TestResult:
    return TestResult(name=name, outcome=TestOutcome(outcome), message=message, side=side)  # type: ignore[arg-type]


def ran(*tests: TestResult, status: Status = Status.OK, complete: bool = True, **more: object) -> ExecutionResult:
    report = RunReport(status=status, tests=tests, tests_collected=len(tests), tests_complete=complete, **more)  # type: ignore[arg-type]
    return judged(Program(code="", tests=""), report)


GOOD = ran(told("test_contract_scalar"), told("test_worked_example"))


def failing(name: str = "test_a", side: str = "tests", message: str = "AssertionError: assert 1 == 0") -> TestResult:
    return told(name, "failed", message, side)


def test_no_code_is_a_matter_of_format() -> None:
    found = classify(Extraction(reason="The answer holds no code."))
    assert found.fault is Fault.FORMAT
    assert found.feedback == "The answer holds no code."


def test_a_candidate_that_meets_the_checks_is_without_fault() -> None:
    assert classify(USABLE, GOOD).fault is Fault.NONE


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (Status.SANDBOX_ERROR, Fault.SANDBOX),
        (Status.TIMED_OUT_WALL, Fault.RESOURCE_LIMIT),
        (Status.TIMED_OUT_CPU, Fault.RESOURCE_LIMIT),
        (Status.MEMORY_EXCEEDED, Fault.RESOURCE_LIMIT),
        (Status.OUTPUT_EXCEEDED, Fault.RESOURCE_LIMIT),
        (Status.DISK_EXCEEDED, Fault.RESOURCE_LIMIT),
        (Status.PROCESS_LIMIT_EXCEEDED, Fault.RESOURCE_LIMIT),
        (Status.SIGNALLED, Fault.CANDIDATE),
        (Status.RUNTIME_ERROR, Fault.CANDIDATE),
    ],
)
def test_every_status_has_its_fault(status: Status, fault: Fault) -> None:
    found = classify(USABLE, ran(status=status, complete=False))
    assert found.fault is fault


def test_a_limit_tells_what_to_avoid() -> None:
    slow = ran(status=Status.TIMED_OUT_CPU, complete=False)
    assert classify(USABLE, slow).feedback == "It used too much computing time."
    assert classify(USABLE, slow, advice=ADVICE).feedback.startswith("It used too much computing time. Use tensor operations")


def test_a_trusted_check_that_fails_is_the_candidates_fault() -> None:
    found = classify(USABLE, ran(told("test_contract_finite", "failed", CONTRACT, "tests")))
    assert found.fault is Fault.CANDIDATE
    assert found.feedback.splitlines()[0] == "Failed: loss(pred, target) returned inf; expected a finite number"


def test_what_the_candidate_raised_is_shown_alone_with_its_own_frames() -> None:
    checks = ran(
        told("test_contract_scalar", "failed", RAISED, "candidate"),
        told("test_worked_example", "failed", WRONG_VALUE, "tests"),
    )
    feedback = classify(USABLE, checks, checks_source=EXAMPLES).feedback
    assert feedback.startswith("candidate.py:5 in loss")
    assert "NameError" in feedback
    assert "test_candidate.py" not in feedback
    assert "worked example" not in feedback


def test_a_failing_example_is_shown_with_its_call_and_one_failing_check() -> None:
    checks = ran(
        told("test_contract_finite", "failed", CONTRACT, "tests"),
        told("test_contract_scalar", "failed", CONTRACT.replace("inf", "a list"), "tests"),
        told("test_worked_example", "failed", WRONG_VALUE, "tests"),
    )
    feedback = classify(USABLE, checks, checks_source=EXAMPLES).feedback
    assert "assert loss(1, 2) == 3" in feedback
    assert "must be 3, got 7" in feedback
    assert feedback.count("Failed:") == 1


def test_a_hint_follows_what_the_candidate_did_wrong_and_nothing_else() -> None:
    checks = ran(told("test_contract_finite", "failed", CONTRACT, "tests"))
    assert classify(USABLE, checks, advice=ADVICE).hint.startswith("never take torch.log of a sigmoid")
    slow = ran(told("test_contract_finite", "failed", CONTRACT, "tests"), status=Status.TIMED_OUT_CPU, complete=False)
    assert classify(USABLE, slow, advice=ADVICE).hint == ""


def test_what_the_message_told_is_not_told_again() -> None:
    retold = f"{WRONG_VALUE}\n +  where 7 = loss(1, 2)"
    assert (
        smallest_failure(ran(told("test_a", "failed", retold, "tests"))) == "AssertionError: the worked example must be 3, got 7"
    )


def test_values_that_only_pytest_tells_are_kept() -> None:
    bare = "AssertionError: assert False\n +  where False = allclose(tensor(0.3), tensor(0.5))"
    assert smallest_failure(ran(told("test_a", "failed", bare, "tests"))) == bare
    vague = "AssertionError: the loss should be small\nassert 7 == 3"
    assert smallest_failure(ran(told("test_a", "failed", vague, "tests"))) == vague


def test_torchs_list_of_signatures_is_left_out() -> None:
    message = (
        "candidate.py:5 in loss: return torch.max(0, x)\n"
        "TypeError: max() received an invalid combination of arguments - got (int, Tensor), but expected one of:\n"
        " * (Tensor input, *, tuple of Tensors out = None)\n"
        " * (Tensor input, Tensor other, *, Tensor out = None)"
    )
    feedback = smallest_failure(ran(told("test_a", "failed", message, "candidate")))
    assert feedback.endswith("expected one of:")
    assert "candidate.py:5" in feedback


def test_an_example_is_shown_without_the_message_that_its_failure_tells() -> None:
    source = EXAMPLES.replace("== 3", "== 3, f'must be 3, got {loss(1, 2)}'")
    feedback = smallest_failure(ran(told("test_worked_example", "failed", WRONG_VALUE, "tests")), source)
    assert "assert loss(1, 2) == 3\n" in feedback
    assert feedback.count("got") == 1


def test_leaving_early_is_the_candidates_fault() -> None:
    found = classify(USABLE, ran(told("test_contract_scalar"), complete=False))
    assert found.fault is Fault.CANDIDATE
    assert "ended before all tests" in found.feedback


def test_a_candidate_that_cannot_be_imported_says_why() -> None:
    checks = ran(collection_error="candidate.py:1 in <module>: import foo\nModuleNotFoundError: No module named 'foo'",
                 collection_error_side="candidate", complete=False)  # fmt: skip
    found = classify(USABLE, checks)
    assert found.fault is Fault.CANDIDATE
    assert "No module named 'foo'" in found.feedback


def test_the_reference_decides_on_a_model_written_test() -> None:
    tests = ran(failing("test_a"), told("test_b"))
    right = ran(told("test_a"), told("test_b"))
    wrong = ran(failing("test_a"), told("test_b"))
    assert classify(USABLE, GOOD, tests, on_reference=right).fault is Fault.CANDIDATE
    assert classify(USABLE, GOOD, tests, on_reference=wrong).fault is Fault.TESTS


def test_one_test_that_the_reference_passes_is_enough() -> None:
    tests = ran(failing("test_a"), failing("test_b"))
    found = classify(USABLE, GOOD, tests, tests_source=TESTS, on_reference=ran(failing("test_a"), told("test_b")))
    assert found.fault is Fault.CANDIDATE
    assert found.blamed == ("test_b",)
    assert "assert loss(0, 1) == 2" in found.feedback


def test_without_a_reference_another_candidate_decides() -> None:
    tests = ran(failing("test_a"), told("test_b"))
    passes = OwnTests(passed=("test_a", "test_b"))
    fails = OwnTests(passed=("test_b",), failed=("test_a",))
    assert classify(USABLE, GOOD, tests, on_others=[passes, fails]).fault is Fault.CANDIDATE
    suspect = classify(USABLE, GOOD, tests, on_others=[fails, fails])
    assert suspect.fault is Fault.TESTS
    assert suspect.decided


def test_a_test_that_breaks_in_its_own_file_is_at_fault() -> None:
    found = classify(
        USABLE, GOOD, ran(failing(side="tests", message="test_candidate.py:3 in test_a: x\nNameError: name 'x' is not defined"))
    )
    assert found.fault is Fault.TESTS
    assert found.decided


def test_tests_that_cannot_be_collected_are_at_fault() -> None:
    tests = ran(collection_error="ImportError: cannot import name 'helper'", collection_error_side="tests", complete=False)
    assert classify(USABLE, GOOD, tests).fault is Fault.TESTS


def test_without_evidence_nothing_is_decided() -> None:
    found = classify(USABLE, GOOD, ran(failing("test_a")), tests_source=TESTS)
    assert not found.decided
    assert "assert loss(1, 1) == 0" in found.feedback


def test_a_dead_sandbox_under_the_tests_blames_nobody() -> None:
    assert classify(USABLE, GOOD, ran(status=Status.SANDBOX_ERROR, complete=False)).fault is Fault.SANDBOX


def test_a_long_failure_keeps_its_end() -> None:
    message = "\n".join(f"candidate.py:{i} in loss: line {i}" for i in range(200)) + "\nValueError: the point"
    feedback = smallest_failure(ran(told("test_a", "failed", message, "candidate")))
    assert len(feedback) < 1000
    assert feedback.endswith("ValueError: the point")


@pytest.mark.parametrize(
    ("names", "left", "gone"),
    [
        (["test_a"], ["test_b", "test_p", "test_c"], ["test_a"]),
        (["test_p[1]"], ["test_a", "test_b", "test_c"], ["test_p"]),
        (["TestMore::test_c"], ["test_a", "test_b", "test_p"], ["test_c"]),
        (["test_a", "test_b", "test_p"], ["test_c"], ["test_a", "test_b", "test_p"]),
    ],
)
def test_named_tests_are_dropped(names: list[str], left: list[str], gone: list[str]) -> None:
    source = TESTS + (
        "\nimport pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_p(n):\n    assert n\n"
        "\nclass TestMore:\n    def test_c(self):\n        assert True\n"
    )
    kept = drop_tests(source, names)
    ast.parse(kept)
    assert all(f"def {name}(" in kept for name in left)
    assert not any(f"def {name}(" in kept for name in gone)


def test_nothing_is_left_when_all_tests_go() -> None:
    assert drop_tests(TESTS, ["test_a", "test_b"]) == ""


def test_every_verdict_of_a_failing_check_leads_to_a_fault() -> None:
    for verdict in Verdict:
        result = GOOD.model_copy(update={"verdict": verdict})
        assert (classify(USABLE, result).fault is Fault.NONE) is (verdict is Verdict.ACCEPTED)
