"""From what happened to whether the work is right, and to a reward. Pure functions."""

from __future__ import annotations

from orchestrator.types import RunReport, Status, TestOutcome, Verdict

_BY_STATUS = {
    Status.SANDBOX_ERROR: Verdict.UNSCORED,
    Status.TIMED_OUT_WALL: Verdict.TIMED_OUT,
    Status.TIMED_OUT_CPU: Verdict.TIMED_OUT,
    Status.MEMORY_EXCEEDED: Verdict.MEMORY_EXCEEDED,
    Status.OUTPUT_EXCEEDED: Verdict.OUTPUT_EXCEEDED,
    Status.DISK_EXCEEDED: Verdict.RESOURCE_EXCEEDED,
    Status.PROCESS_LIMIT_EXCEEDED: Verdict.RESOURCE_EXCEEDED,
}
_FAILED = (TestOutcome.FAILED, TestOutcome.ERROR)


def verdict_of_tests(report: RunReport, *, apart: bool = False) -> Verdict:
    """The verdict of a run that had tests.

    Accepted means that every collected test ran, reported and passed: skipped, deselected and none collected do not pass.
    Judged `apart`, a test side that leaves early left by itself, so the tests are at fault; together it may have been the
    candidate. A run in which an attack was seen is tampered, whatever else it did, unless the sandbox itself failed.
    """
    if _is_tampered(report):
        return Verdict.TAMPERED
    if report.status in _BY_STATUS:
        return _BY_STATUS[report.status]
    if report.collection_error:
        if report.collection_error_side != "candidate":
            return Verdict.INVALID_TESTS
        broken = ("SyntaxError", "IndentationError", "TabError", "ImportError", "ModuleNotFoundError")
        last = report.collection_error.strip().splitlines()[-1]
        return Verdict.INVALID_CANDIDATE if last.startswith(broken) or "SyntaxError" in last else Verdict.RUNTIME_ERROR
    failed = [test for test in report.tests if test.outcome in _FAILED]
    if failed:
        raised = all(test.side == "candidate" for test in failed)
        return Verdict.RUNTIME_ERROR if raised else Verdict.WRONG_ANSWER
    if report.status is not Status.OK and not apart:
        return Verdict.RUNTIME_ERROR
    if not report.tests_collected:
        return Verdict.INVALID_TESTS
    if not report.tests_complete:
        return Verdict.INVALID_TESTS if apart else Verdict.RUNTIME_ERROR  # the process left before all tests had reported
    if report.status is not Status.OK:
        return Verdict.RUNTIME_ERROR
    if any(test.outcome is TestOutcome.SKIPPED for test in report.tests):
        return Verdict.INVALID_TESTS
    return Verdict.ACCEPTED


def _is_tampered(report: RunReport) -> bool:
    return bool(report.attack) and report.status is not Status.SANDBOX_ERROR


def verdict_of_program(report: RunReport) -> Verdict | None:
    """The verdict of a plain program: None when it ended well and attacked nothing, for nothing was judged."""
    if _is_tampered(report):
        return Verdict.TAMPERED
    if report.status is Status.OK:
        return None
    return _BY_STATUS.get(report.status, Verdict.RUNTIME_ERROR)


def binary_reward(verdict: Verdict | None) -> float | None:
    """1.0 for accepted, 0.0 for any other verdict, None where nothing was judged or the sandbox failed."""
    if verdict is None or verdict is Verdict.UNSCORED:
        return None
    return 1.0 if verdict is Verdict.ACCEPTED else 0.0
