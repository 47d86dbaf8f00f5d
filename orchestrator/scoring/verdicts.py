"""From what happened to whether the work is right, and to a reward. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.types import Basis, ExecutionResult, RunReport, Status, TestOutcome, TestResult, Verdict

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

    Accepted means that every collected test ran, reported and passed; skipped ones do not decide where others passed. A failed
    test counts whatever became of the sandbox after it. The tests are at fault only where that is proved: they could not begin,
    nothing ran, or they fail whatever the candidate does. What befalls a test side that had something of the candidate's may be
    the candidate's doing, and is. A run in which an attack was seen is tampered, unless the sandbox itself failed.
    """
    failed = [test for test in report.tests if test.outcome in _FAILED and not test.proved]
    if _is_tampered(report):
        return Verdict.TAMPERED
    if report.status is Status.SANDBOX_ERROR:
        return _of_failed(failed) if failed else Verdict.UNSCORED
    if report.status in _BY_STATUS:
        return _BY_STATUS[report.status]
    if report.collection_error:
        return _of_collection(report, apart=apart)
    if failed:
        return _of_failed(failed)
    if report.not_apart or any(test.outcome in _FAILED for test in report.tests):
        return Verdict.INVALID_TESTS
    if report.status is not Status.OK and not apart:
        return Verdict.RUNTIME_ERROR
    if report.tests_collected and not report.tests_complete:  # the process left before all tests had reported
        return Verdict.INVALID_TESTS if apart and not report.received else Verdict.RUNTIME_ERROR
    if not report.tests_collected:
        return Verdict.RUNTIME_ERROR if report.received and report.status is not Status.OK else Verdict.INVALID_TESTS
    if report.status is not Status.OK:
        return Verdict.RUNTIME_ERROR
    passed = any(test.outcome is TestOutcome.PASSED for test in report.tests)
    return Verdict.ACCEPTED if passed else Verdict.INVALID_TESTS


def _of_failed(failed: list[TestResult]) -> Verdict:
    return Verdict.RUNTIME_ERROR if all(test.side == "candidate" for test in failed) else Verdict.WRONG_ANSWER


def _of_collection(report: RunReport, *, apart: bool) -> Verdict:
    side = report.collection_error_side
    if side == "tests" or (apart and not side):  # together, nobody's may be the candidate's
        return Verdict.INVALID_TESTS
    broken = ("SyntaxError", "IndentationError", "TabError", "ImportError", "ModuleNotFoundError")
    last = report.collection_error.strip().splitlines()[-1]
    return Verdict.INVALID_CANDIDATE if last.startswith(broken) or "SyntaxError" in last else Verdict.RUNTIME_ERROR


def _is_tampered(report: RunReport) -> bool:
    return bool(report.attack) and report.status is not Status.SANDBOX_ERROR


def basis_of(report: RunReport) -> Basis:
    """What a run rests on: the weakest of its tests."""
    return _weakest({test.basis for test in report.tests})


def agreed(first: ExecutionResult, second: ExecutionResult) -> ExecutionResult:
    """The first of two runs of the same tests, of which each rests on the weaker of what it rests on in both."""
    others = {test.name: test.basis for test in second.tests}
    tests = tuple(
        test.model_copy(update={"basis": _weakest({test.basis, others.get(test.name, test.basis)})}) for test in first.tests
    )
    result = first.model_copy(update={"tests": tests})
    return result.model_copy(update={"basis": basis_of(result)})


def _weakest(found: set[Basis]) -> Basis:
    order: tuple[Basis, ...] = ("word", "line_up", "data")
    return next((basis for basis in order if basis in found), "")


def together(results: Mapping[str, ExecutionResult]) -> ExecutionResult:
    """One result for runs of the same candidate with several files of tests, by the names of those.

    A failure in one is a failure of all; else one that could not be scored, or whose tests are at fault, leaves all without a
    score. The result that decides gives status, output and exit code; tests are put together, measures added up.
    """
    if len(results) == 1:
        return next(iter(results.values()))
    unjudged = (Verdict.ACCEPTED, Verdict.INVALID_TESTS, Verdict.UNSCORED)

    def weight(result: ExecutionResult) -> int:
        return -2 if result.verdict is Verdict.TAMPERED else -1 if result.verdict not in unjudged else 0

    one = min(results.values(), key=lambda found: (weight(found), -unjudged.index(found.verdict) if not weight(found) else 0))
    every = list(results.values())
    tests = tuple(
        test.model_copy(update={"name": f"{name}::{test.name}"}) for name, found in results.items() for test in found.tests
    )
    return one.model_copy(
        update={
            "tests": tests,
            "tests_collected": sum(found.tests_collected for found in every),
            "tests_complete": all(found.tests_complete for found in every),
            "collection_error": "\n".join(
                f"{name}: {it.collection_error}" for name, it in results.items() if it.collection_error
            ),
            "wall_time": sum(found.wall_time for found in every),
            "cpu_time": sum(found.cpu_time for found in every),
            "memory_peak": max(found.memory_peak for found in every),
            "judging": "together" if any(found.judging == "together" for found in every) else one.judging,
            "basis": _weakest({found.basis for found in every}),
            "unsure": tuple(dict.fromkeys(reason for found in every for reason in found.unsure)),
            "attack": tuple(dict.fromkeys(sign for found in every for sign in found.attack)),
            "attempts": max(found.attempts for found in every),
        }
    )


def verdict_of_program(report: RunReport) -> Verdict | None:
    """The verdict of a plain program: None when it ended well and attacked nothing, for nothing was judged."""
    if _is_tampered(report):
        return Verdict.TAMPERED
    if report.status is Status.OK:
        return None
    return _BY_STATUS.get(report.status, Verdict.RUNTIME_ERROR)


def binary_reward(verdict: Verdict | None) -> float | None:
    """1.0 for accepted, 0.0 for any other verdict, None where nothing was judged, or where sandbox or tests are at fault."""
    if verdict is None or verdict in (Verdict.UNSCORED, Verdict.INVALID_TESTS):
        return None
    return 1.0 if verdict is Verdict.ACCEPTED else 0.0
