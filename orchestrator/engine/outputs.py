"""Judge programs by what they leave behind: output for an input, or artefacts. Compared outside of the sandbox that ran them.

The candidate's sandbox never receives what is expected, so nothing that the candidate does there can reach the verdict but by
writing what is right. Plain comparisons run here (`scoring/checkers.py`); a checker that comes as source runs in a second
sandbox, with the data as files, and its answer passes a strict gate.

Left out: interactive programs, which read what depends on what they wrote.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from orchestrator.engine.base import Executor
from orchestrator.engine.concurrency import map_concurrently
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import UsageError
from orchestrator.printable import counted
from orchestrator.scoring.checkers import ArtefactChecker, Checker, by_name
from orchestrator.scoring.verdicts import binary_reward, verdict_of_program
from orchestrator.types import (
    CheckerSource,
    ExecutionResult,
    IOCase,
    KiB,
    Limits,
    MiB,
    Program,
    Status,
    TestOutcome,
    TestResult,
    Verdict,
)

WORST_FIRST = (
    Verdict.UNSCORED,
    Verdict.INVALID_TESTS,
    Verdict.TAMPERED,
    Verdict.INVALID_CANDIDATE,
    Verdict.MEMORY_EXCEEDED,
    Verdict.OUTPUT_EXCEEDED,
    Verdict.RESOURCE_EXCEEDED,
    Verdict.TIMED_OUT,
    Verdict.RUNTIME_ERROR,
    Verdict.WRONG_ANSWER,
    Verdict.ACCEPTED,
)
"""Of several cases the worst verdict counts. A sandbox that failed comes first: a missing case makes no zero."""
_LARGE = 64 * KiB
"""Characters beyond which a comparison leaves the event loop."""
_BATCH = 8 * MiB
"""Bytes of cases that one run of a foreign checker is given."""
_SYNTAX = ("SyntaxError:", "IndentationError:", "TabError:")
_SIDES: dict[Verdict, Literal["", "tests"]] = {Verdict.ACCEPTED: "", Verdict.UNSCORED: "", Verdict.INVALID_TESTS: "tests"}


@dataclass(frozen=True)
class _Answer:
    """What one case, or one check of artefacts, is worth."""

    verdict: Verdict
    message: str = ""
    unproved: bool = False
    """A checker broke on it, which may be the doing of what it was asked about."""


_RIGHT = _Answer(Verdict.ACCEPTED)


def _answer(wrong: str) -> _Answer:
    return _Answer(Verdict.WRONG_ANSWER, wrong) if wrong else _RIGHT


async def judge_io(
    engine: Executor,
    program: Program,
    cases: Sequence[IOCase],
    checker: Checker | CheckerSource | str = "token",
    *,
    limits: Limits | None = None,
    checker_limits: Limits | None = None,
    stop_early: bool = False,
) -> ExecutionResult:
    """Run a program once for each case, in a sandbox each, and compare what it wrote to stdout with what is right.

    `checker` is a name (see `checkers.by_name`), a comparison of ours, or source for a sandbox of its own. With `stop_early`
    the cases run one after the other, and none after the first that is not right.

    The verdict is the worst of the cases, `tests` has one result for each that ran, and its messages quote what is expected.
    Of the measures, times are sums and the memory peak is the largest; output, exit code and status are those of the case
    that decided. A checker that breaks on one output, and not on what is expected there, fails that case alone; one that breaks
    on both makes it `invalid_tests`, as do no cases at all.

    Raises:
        UsageError: the program has tests or stdin of its own, or there is no such checker.
        PoolExhausted: no sandbox became free.
    """
    if program.tests is not None or program.stdin:
        raise UsageError("A program judged by its output has neither tests nor stdin of its own.", remedy="Give them as cases.")
    compare = by_name(checker) if isinstance(checker, str) else checker

    async def run(case: IOCase) -> ExecutionResult:
        return await engine.execute(_with_input(program, case), limits)

    results: list[ExecutionResult] = []
    answers: list[_Answer] = []
    if stop_early:
        for case in cases:
            results.append(await run(case))
            answers += await _judge_outputs(engine, compare, [case], results[-1:], checker_limits)
            if answers[-1] != _RIGHT:
                break
    else:
        # Keeps every sandbox busy, and makes no queue of thousands.
        results = await map_concurrently(run, cases, 2 * engine.workers)
        answers = await _judge_outputs(engine, compare, cases, results, checker_limits)
    return _by_case(cases, results, answers)


def programs_of(program: Program, cases: Sequence[IOCase]) -> list[Program]:
    """The program with the input of each case, for callers that run programs themselves and then call `judged_outputs`."""
    return [_with_input(program, case) for case in cases]


def judged_outputs(cases: Sequence[IOCase], results: Sequence[ExecutionResult], checker: Checker) -> ExecutionResult:
    """Results of `programs_of` as `judge_io` gives them, by a comparison of ours."""
    answers = [
        _failure(result) or _answer(checker(case.expected, result.stdout)) for case, result in zip(cases, results, strict=True)
    ]
    return _by_case(cases, results, answers)


def _by_case(cases: Sequence[IOCase], results: Sequence[ExecutionResult], answers: Sequence[_Answer]) -> ExecutionResult:
    """The summary of all cases, of which the last may not have been run."""
    names = [case.name or f"case {number}" for number, case in enumerate(cases, 1)]
    return _summary(list(zip(names, results, answers, strict=False)), len(cases))


async def judge_artefacts(
    engine: Executor,
    program: Program,
    checker: ArtefactChecker | CheckerSource,
    *,
    data: Mapping[str, bytes] | None = None,
    limits: Limits | None = None,
    checker_limits: Limits | None = None,
) -> ExecutionResult:
    """Run a program (Python or any command) and judge the artefacts that it left.

    `checker` is a function of ours (see `checkers.artefacts`), called here, or source for a second sandbox, where the artefacts
    lie in `artefacts/` and `data` (labels, references: nothing the candidate sees) in `data/`. `tests` has one result for each
    answer of the checker. A checker must not unpickle artefacts: that would run the candidate's code in the checker's place.

    Raises:
        UsageError: the program has tests, or asks for no artefacts; `data` for a function of ours.
        PoolExhausted: no sandbox became free.
    """
    if program.tests is not None or not program.artifacts:
        raise UsageError("A program judged by its artefacts names them, and has no tests.", remedy="Set Program.artifacts.")
    if data and not isinstance(checker, CheckerSource):
        raise UsageError("Only a checker that comes as source is given data.", remedy="Let the function hold its data itself.")
    result = await engine.execute(program, limits)
    if failed := _failure(result):
        return _summary([("program", result, failed)], 1)
    if isinstance(checker, CheckerSource):
        files = {f"artefacts/{path}": content for path, content in result.artifacts.items()}
        files |= {f"data/{path}": content for path, content in (data or {}).items()}
        answers = await _ask(engine, checker, {}, files, checker_limits)
        answers = [(name, _broken_by(answer, "artefacts") if answer.unproved else answer) for name, answer in answers]
    else:
        found = await asyncio.to_thread(checker, result.artifacts)
        answers = [(name, _answer(wrong)) for name, wrong in found.items()]
    if not answers:
        answers = [("artefacts", _Answer(Verdict.INVALID_TESTS, "The checker looked at nothing."))]
    left = "".join(f"; {path} was not carried out: {why}" for path, why in result.artifact_errors.items())
    answers = [
        (name, replace(answer, message=answer.message + left) if answer.verdict is Verdict.WRONG_ANSWER else answer)
        for name, answer in answers
    ]
    summary = _summary([(name, result, answer) for name, answer in answers], len(answers))
    # One run was judged several times: its measures count once.
    return summary.model_copy(update={key: getattr(result, key) for key in ("wall_time", "cpu_time", "stages")})


def _with_input(program: Program, case: IOCase) -> Program:
    changes: dict[str, object] = {
        "stdin": case.stdin.encode("utf-8", "surrogateescape"),
        "files": {**program.files, **case.files},
    }
    if program.argv is not None:
        changes["argv"] = (*program.argv, *case.args)
    else:
        changes["args"] = (*program.args, *case.args)
    return program.model_copy(update=changes)


def _failure(result: ExecutionResult) -> _Answer | None:
    """The answer for a run that did not end well, whatever it wrote."""
    if result.attack:
        return _Answer(Verdict.TAMPERED, "; ".join(result.attack))
    verdict = verdict_of_program(result)
    if verdict is None:
        return None
    last = result.stderr.rstrip().rpartition("\n")[2]
    if verdict is Verdict.RUNTIME_ERROR and last.startswith(_SYNTAX):
        verdict = Verdict.INVALID_CANDIDATE
    ended = f"exit code {result.exit_code}" if result.exit_code else f"signal {result.signal}" if result.signal else ""
    return _Answer(verdict, ": ".join(part for part in (str(result.status), result.detail or last[:300] or ended) if part))


async def _judge_outputs(
    engine: Executor,
    checker: Checker | CheckerSource,
    cases: Sequence[IOCase],
    results: Sequence[ExecutionResult],
    limits: Limits | None,
) -> list[_Answer]:
    failures = [_failure(result) for result in results]
    if isinstance(checker, CheckerSource):
        ended_well = [index for index, failure in enumerate(failures) if failure is None]
        answered = await _ask_about_outputs(engine, checker, [(cases[i], results[i].stdout) for i in ended_well], limits)
        by_index = dict(zip(ended_well, answered, strict=True))
        return [failure or by_index[index] for index, failure in enumerate(failures)]
    return [
        failure or _answer(await _compare(checker, case.expected, result.stdout))
        for case, result, failure in zip(cases, results, failures, strict=True)
    ]


async def _compare(checker: Checker, expected: str, got: str) -> str:
    if len(expected) + len(got) > _LARGE:
        return await asyncio.to_thread(checker, expected, got)
    return checker(expected, got)


async def _ask_about_outputs(
    engine: Executor, checker: CheckerSource, outputs: Sequence[tuple[IOCase, str]], limits: Limits | None
) -> list[_Answer]:
    """Ask a foreign checker, many cases in one run."""
    room = min(_BATCH, (limits or engine.limits).disk // 4)
    answers = [_RIGHT] * len(outputs)
    batches: list[list[int]] = []
    left = 0
    for index, (case, got) in enumerate(outputs):
        size = 6 * (len(case.stdin) + len(case.expected) + len(got))  # as JSON writes the longest of characters
        if size > room:
            answers[index] = _answer(f"the output has {len(got)} characters, more than the checker's sandbox takes in")
            continue
        if size > left:
            batches.append([])
            left = room
        batches[-1].append(index)
        left -= size

    async def ask(batch: list[int]) -> None:
        order = {"cases": [[outputs[i][0].stdin, outputs[i][0].expected, outputs[i][1]] for i in batch]}
        answered = [answer for _, answer in await _ask(engine, checker, order, {}, limits)]
        if len(answered) != len(batch) and len(batch) > 1:  # one output may have ended it for all: each is asked about alone
            await map_concurrently(ask, [[index] for index in batch])
            return
        if len(answered) != len(batch):
            answered = [
                _fault(f"it gave {counted(len(answered), 'answer')} for {counted(len(batch), 'case')}", unproved=True)
            ] * len(batch)
        for index, answer in zip(batch, answered, strict=True):
            answers[index] = await proved(outputs[index][0], answer) if answer.unproved else answer

    async def proved(case: IOCase, answer: _Answer) -> _Answer:
        """Whose fault it is that the checker broke: its own only where it breaks on what is expected, too."""
        again = await _ask(engine, checker, {"cases": [[case.stdin, case.expected, case.expected]]}, {}, limits)
        if len(again) != 1 or again[0][1].verdict is Verdict.INVALID_TESTS:
            return answer
        return again[0][1] if again[0][1].verdict is Verdict.UNSCORED else _broken_by(answer, "output")

    await map_concurrently(ask, batches)
    return answers


def _fault(what: str, *, unproved: bool = False) -> _Answer:
    return _Answer(Verdict.INVALID_TESTS, f"The checker is at fault: {what}", unproved)


def _broken_by(answer: _Answer, what: str) -> _Answer:
    """The answer for something that a checker broke on, and on nothing else."""
    return _answer(f"The checker could not take the {what}: {answer.message.partition(': ')[2]}"[:4000])


async def _ask(
    engine: Executor, checker: CheckerSource, order: Mapping[str, object], files: Mapping[str, bytes], limits: Limits | None
) -> list[tuple[str, _Answer]]:
    """Run a foreign checker in a sandbox of its own. What goes wrong there is the sandbox's fault, or unproved."""
    asked = Program(
        code=sandboxed("orchestrator.engine", "check_outputs"),
        files={**files, "checker.py": checker.code.encode("utf-8", "surrogatepass"), "order.json": json.dumps(order).encode()},
    )
    result = await engine.execute(asked, limits)
    if result.status is Status.SANDBOX_ERROR:
        return [("checker", _Answer(Verdict.UNSCORED, result.detail))]
    if result.status is not Status.OK:
        return [("checker", _fault(f"it ended with {result.status}. {result.stderr[-1000:]}".rstrip(), unproved=True))]
    try:
        return [(str(name), _read(answer)) for name, answer in json.loads(result.stdout)]
    except (ValueError, TypeError, RecursionError):
        return [("checker", _fault("its answer is not a list of names and verdicts", unproved=True))]


def _read(answer: object) -> _Answer:
    """One answer as `check_outputs.py` writes it.

    Raises:
        ValueError: it has another form.
    """
    match answer:
        case True:
            return _RIGHT
        case str() if answer:
            return _answer(answer[:4000])
        case {"fault": str(what), **more} if not more:
            return _fault(what)
        case {"raised": str(what), **more} if not more:
            return _fault(what, unproved=True)
    raise ValueError("no answer")


def _summary(judged: Sequence[tuple[str, ExecutionResult, _Answer]], collected: int) -> ExecutionResult:
    """Results of cases as one: the worst verdict, and the report of the case that had it."""
    if not judged:
        return ExecutionResult(
            status=Status.OK,
            verdict=Verdict.INVALID_TESTS,
            reward=binary_reward(Verdict.INVALID_TESTS),
            judging="apart",
            detail="There are no cases.",
        )
    _, deciding, worst = min(judged, key=lambda one: WORST_FIRST.index(one[2].verdict))
    reports = [report for _, report, _ in judged]
    stages: dict[str, float] = {}
    for report in reports:
        for stage, seconds in report.stages.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    outcomes = {Verdict.ACCEPTED: TestOutcome.PASSED, Verdict.WRONG_ANSWER: TestOutcome.FAILED}
    tests = tuple(
        TestResult(
            name=name,
            outcome=outcomes.get(answer.verdict, TestOutcome.ERROR),
            message=answer.message,
            side=_SIDES.get(answer.verdict, "candidate"),
        )
        for name, _, answer in judged
    )
    changes: dict[str, Any] = {
        "tests": tests,
        "tests_collected": collected,
        "tests_complete": len(judged) == collected and worst.verdict not in (Verdict.UNSCORED, Verdict.INVALID_TESTS),
        "wall_time": sum(report.wall_time for report in reports),
        "cpu_time": sum(report.cpu_time for report in reports),
        "memory_peak": max(report.memory_peak for report in reports),
        "stages": stages,
        "attempts": max(report.attempts for report in reports),
        "attack": tuple(dict.fromkeys(seen for report in reports for seen in report.attack)),
        "detail": deciding.detail or ("" if worst == _RIGHT else worst.message[:1000]),
        "verdict": worst.verdict,
        "reward": binary_reward(worst.verdict),
        "judging": "apart",
    }
    return deciding.model_copy(update=changes)
