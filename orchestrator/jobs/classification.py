"""Whose fault was it? Evidence first; a model is asked only where the evidence does not decide.

`classify` takes what is known about one candidate and says who must be corrected, with the smallest failure that
helps: the failing call, what was expected, what came back, the last frames in the candidate's own file.

| evidence | fault |
|---|---|
| no usable code in the answer | format |
| the sandbox died | sandbox: nobody is corrected |
| a limit ended the run | resource limit |
| a trusted check fails | candidate |
| a model-written test fails that the reference passes | candidate |
| a model-written test fails on the reference too | tests |
| without a reference: another candidate that meets the trusted checks passes the test | candidate |
| without a reference: every such candidate fails the test, and there are several | tests |
| without a reference: the test raised in its own file, and not by an assertion | tests |
| else | undecided |

Only results of visible checks come in here. Those of hidden tests are another type, `loop.Sealed`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from orchestrator.llm.extraction import Extraction
from orchestrator.sources import parse
from orchestrator.types import ExecutionResult, Fault, OwnTests, RunReport, Status, TestOutcome, TestResult, Value, Verdict

LONGEST = 700
"""Characters of one failure in a prompt. Small models lose the thread of long ones."""

_NOISE = re.compile(
    r"^test_\w+\.py:\d+ in .*\n"  # the test's own source or message says the same
    r"|\n \* \(.*"  # signatures that a library lists, one below the other
    r"|(?P<message>^AssertionError: .*\bgot\b.*)\nassert .*(?:\n .*)*",  # pytest repeats what the message says
    re.MULTILINE,
)

_FAILED = (TestOutcome.FAILED, TestOutcome.ERROR)
_LIMITS = {
    Status.TIMED_OUT_WALL: "It did not end in time.",
    Status.TIMED_OUT_CPU: "It used too much computing time.",
    Status.MEMORY_EXCEEDED: "It used too much memory.",
    Status.OUTPUT_EXCEEDED: "It printed too much. Do not print.",
    Status.DISK_EXCEEDED: "It wrote too much to disk. Do not write files.",
    Status.PROCESS_LIMIT_EXCEEDED: "It started too many processes. Do not start processes or threads.",
}


class Diagnosis(Value):
    """Who must be corrected, and with what feedback."""

    fault: Fault
    feedback: str = ""
    """The smallest useful failure, from visible evidence alone."""
    hint: str = ""
    """What usually helps against it."""
    blamed: tuple[str, ...] = ()
    """Names of the model-written tests that `fault` follows from."""
    own_tests: OwnTests | None = None
    """What the model-written tests said; None where they were not run."""
    evidence: dict[str, object] = Field(default_factory=dict)
    """Facts behind `fault`, for people."""
    decided: bool = True
    """False: the evidence does not show whether the candidate or the tests are at fault; `fault` is a guess."""


class Failure(Value):
    """A failed attempt as a correction prompt may show it."""

    code: str
    """The code that failed, or the closest thing to code in the answer; may be empty."""
    fault: Fault
    feedback: str
    """The smallest useful failure, from visible evidence alone."""
    hint: str = ""
    """What usually helps against it."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What an application knows to help against failures."""

    hint: Callable[[str, str], str] = lambda message, code: ""
    """What usually helps against a failure, from its message and the code, in one sentence; empty where nothing does."""
    on_limits: Mapping[Status, str] = field(default_factory=dict)
    """How to stay within a limit: a sentence that follows what was exceeded."""


NO_ADVICE = Advice()


def classify(
    extraction: Extraction,
    checks: ExecutionResult | None = None,
    tests: ExecutionResult | None = None,
    *,
    checks_source: str = "",
    tests_source: str = "",
    on_reference: RunReport | None = None,
    on_others: Sequence[OwnTests] = (),
    advice: Advice = NO_ADVICE,
) -> Diagnosis:
    """Say whose fault a candidate's failure is; `Fault.NONE` when nothing failed.

    Args:
        extraction: what was found in the answer.
        checks: the run of the candidate with trusted, visible checks; None where there was no usable code.
        tests: the run of the candidate with model-written tests, if there was one.
        checks_source: pytest source of the visible examples, to show a failing one.
        tests_source: pytest source of the model-written tests, to show a failing one.
        on_reference: the model-written tests' run on the reference solution.
        on_others: what the same tests said of other candidates that meet the trusted checks.
        advice: what the application knows to help.
    """
    if not extraction.usable or checks is None:
        return Diagnosis(fault=Fault.FORMAT, feedback=extraction.reason, evidence={"problems": list(extraction.problems)})
    evidence: dict[str, object] = {
        "passed": sum(test.outcome is TestOutcome.PASSED for test in checks.tests),
        "collected": len(checks.tests),
        "failed": [test.name for test in checks.tests if test.outcome in _FAILED],
    }
    if extraction.problems:
        evidence["problems"] = list(extraction.problems)
    fault = _fault_of_checks(checks)
    if fault is not Fault.NONE:
        feedback = smallest_failure(checks, checks_source, advice)
        hint = advice.hint(feedback, extraction.code) if fault is Fault.CANDIDATE else ""
        return Diagnosis(fault=fault, feedback=feedback, hint=hint, evidence=evidence)
    if tests is None:
        return Diagnosis(fault=Fault.NONE, evidence=evidence)
    found = _classify_by_tests(tests, tests_source, on_reference=on_reference, on_others=on_others, advice=advice)
    own_tests = OwnTests(passed=tuple(sorted(passed_names(tests))), failed=tuple(sorted(failed_names(tests))))
    return found.model_copy(update={"own_tests": own_tests, "evidence": {**evidence, **found.evidence}})


def _fault_of_checks(report: ExecutionResult) -> Fault:
    """Trusted checks are right, so what fails is the candidate's, unless a limit or the sandbox ended the run."""
    if report.status is Status.SANDBOX_ERROR or report.verdict is Verdict.UNSCORED:
        return Fault.SANDBOX
    if report.status in _LIMITS:
        return Fault.RESOURCE_LIMIT
    return Fault.NONE if report.verdict is Verdict.ACCEPTED else Fault.CANDIDATE


def _classify_by_tests(
    tests: ExecutionResult,
    source: str,
    *,
    on_reference: RunReport | None,
    on_others: Sequence[OwnTests],
    advice: Advice,
) -> Diagnosis:
    failed = [test for test in tests.tests if test.outcome in _FAILED]
    if tests.status is Status.SANDBOX_ERROR:
        return Diagnosis(fault=Fault.SANDBOX)
    if tests.verdict is Verdict.ACCEPTED:
        return Diagnosis(fault=Fault.NONE)
    if tests.status in _LIMITS:
        # The candidate has met the trusted checks within the same limits.
        ends_elsewhere = on_reference is not None and on_reference.status is Status.OK
        fault = Fault.RESOURCE_LIMIT if ends_elsewhere else Fault.TESTS
        return Diagnosis(fault=fault, feedback=smallest_failure(tests, source, advice))
    if not failed:
        # Not collected, skipped, or left early, with a candidate that the trusted checks could import and run.
        return Diagnosis(fault=Fault.TESTS, feedback=smallest_failure(tests, source, advice))
    blames = [(test, _blame(test, on_reference, on_others)) for test in failed]
    for wanted in (Fault.CANDIDATE, None, Fault.TESTS):
        blamed = [test for test, blame in blames if blame is wanted]
        if blamed:
            return Diagnosis(
                fault=wanted or Fault.CANDIDATE,
                feedback=describe(blamed[0], source),
                blamed=tuple(test.name for test in blamed),
                evidence={"blames": {test.name: str(blame) for test, blame in blames}},
                decided=wanted is not None,
            )
    raise AssertionError("a failed test has a blame")


def _blame(test: TestResult, on_reference: RunReport | None, on_others: Sequence[OwnTests]) -> Fault | None:
    if on_reference is not None:
        return Fault.CANDIDATE if test.name in passed_names(on_reference) else Fault.TESTS
    if any(test.name in other.passed for other in on_others):
        return Fault.CANDIDATE
    if any(test.name in other.failed for other in on_others):
        return Fault.TESTS
    if test.side == "tests" and not _is_assertion(test.message):
        return Fault.TESTS
    return None


def _is_assertion(message: str) -> bool:
    return bool(re.search(r"^(?:AssertionError|assert |Failed)", message, re.MULTILINE))


def passed_names(report: RunReport) -> frozenset[str]:
    """Names of the tests that passed."""
    return frozenset(test.name for test in report.tests if test.outcome is TestOutcome.PASSED)


def failed_names(report: RunReport) -> frozenset[str]:
    """Names of the tests that failed."""
    return frozenset(test.name for test in report.tests if test.outcome in _FAILED)


def smallest_failure(report: ExecutionResult, source: str = "", advice: Advice = NO_ADVICE) -> str:
    """What a correction needs to know of a run that failed, and no more.

    A limit or a failure to import says all. Else what the candidate raised comes first, for it hides the rest; then a
    failing example, whose call and expected value say most about the formula; then one failed check.
    """
    if report.status in _LIMITS:
        return f"{_LIMITS[report.status]} {advice.on_limits.get(report.status, '')}".rstrip()
    if report.collection_error:
        return _shorten(report.collection_error)
    failed = [test for test in report.tests if test.outcome in _FAILED]
    raised = [test for test in failed if test.side == "candidate" and not _is_assertion(test.message)]
    if raised:
        return describe(raised[0], source)
    examples = [test for test in failed if _function(source, test.name)]
    checks = [test for test in failed if test not in examples]
    if examples:
        return "\n".join(describe(test, source) for test in [*examples[:1], *checks[:1]])
    if checks:
        return describe(checks[0], source)
    if report.signal is not None:
        return report.detail or f"The process was killed by signal {report.signal}."
    if not report.tests_complete:
        return "The program ended before all tests had run. Do not call exit."
    return _shorten(report.detail or report.stderr)


def describe(test: TestResult, source: str = "") -> str:
    """One failed test: its source where that may be shown, and what happened."""
    function = _function(source, test.name)
    message = _shorten(_NOISE.sub(r"\g<message>", test.message))
    return f"{function}\n{message}" if function else message


def drop_tests(source: str, names: Collection[str]) -> str:
    """pytest source without the tests of these names (`test_a`, `test_a[1]`, `TestB::test_c`); empty where none is left."""
    dropped = {name.partition("[")[0] for name in names}
    tree = parse(source)
    remove: list[tuple[int, int]] = []
    kept = 0
    for owner, function in _tests(tree):
        name = f"{owner}::{function.name}" if owner else function.name
        if name in dropped:
            first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
            remove.append((first, function.end_lineno or function.lineno))
        else:
            kept += 1
    if not kept:
        return ""
    lines = source.split("\n")
    for first, last in sorted(remove, reverse=True):
        del lines[first - 1 : last]
    rest = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip() + "\n"
    try:
        parse(rest)
    except SyntaxError:
        # A class whose only test went: leave it a body.
        return drop_tests_of_classes(source, dropped)
    return rest


def drop_tests_of_classes(source: str, names: Collection[str]) -> str:
    """As `drop_tests`, through the syntax tree; comments are lost."""
    tree = parse(source)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            node.body = [
                item for item in node.body if not (isinstance(item, ast.FunctionDef) and f"{node.name}::{item.name}" in names)
            ] or [ast.Pass()]
    tree.body = [item for item in tree.body if not (isinstance(item, ast.FunctionDef) and item.name in names)]
    return ast.unparse(tree) + "\n"


def _tests(tree: ast.Module) -> Iterable[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name.startswith("test"):
                    yield node.name, item


def _function(source: str, name: str) -> str:
    """Source of the test of this name, or nothing."""
    if not source:
        return ""
    plain = name.partition("[")[0]
    try:
        tree = parse(source)
    except SyntaxError:
        return ""
    for owner, function in _tests(tree):
        if plain == (f"{owner}::{function.name}" if owner else function.name):
            for node in ast.walk(function):
                if isinstance(node, ast.Assert):
                    node.msg = None  # said again by the failure
            return ast.unparse(function)[:LONGEST]
    return ""


def _shorten(message: str) -> str:
    """The end of a message, where the exception stands, in whole lines. Its first line is kept where it is an assertion's."""
    message = message.strip()
    if len(message) <= LONGEST:
        return message
    lines = message.split("\n")
    kept: list[str] = []
    for line in reversed(lines):
        if sum(map(len, kept)) + len(line) > LONGEST and kept:
            break
        kept.append(line[:LONGEST])
    return "\n".join(reversed(kept))
