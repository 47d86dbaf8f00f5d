"""Loss functions: from a description in plain language to a PyTorch loss that was tried and judged.

The model writes the function and unit tests for it. Sandboxes run them:

1. the loss contract and the examples of the description, which are trusted and visible;
2. the tests that the model wrote, as far as evidence does not speak against them; visible;
3. hidden tests, where the task has some. They alone say `accepted`, and nothing else about them leaves the record.

A task without hidden tests is accepted when 1 and 2 pass.

Left out: training with the loss (`training`), and storing what happened: that is the caller's `record`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from orchestrator.applications.loss_functions.contract import contract_program
from orchestrator.applications.loss_functions.hints import ADVICE
from orchestrator.applications.loss_functions.prompts import (
    Brief,
    ask_fault,
    correct_candidate,
    correct_tests,
    read_fault,
    write_candidate,
    write_tests,
)
from orchestrator.applications.loss_functions.tasks import TENSORS, LossTask, stub
from orchestrator.errors import CompletionError
from orchestrator.jobs.classification import (
    Diagnosis,
    Failure,
    classify,
    describe,
    drop_tests,
    passed_names,
    smallest_failure,
)
from orchestrator.jobs.loop import (
    Judged,
    Kind,
    Ledger,
    LoopOptions,
    OnEvent,
    Pen,
    Record,
    Sealed,
    begin_with,
    best,
    is_over,
    plan,
    plan_after,
    search,
    seed_of,
)
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import Extraction, extract
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    Limits,
    Message,
    OwnTests,
    Program,
    Sampling,
    Usage,
    Value,
    Verdict,
)

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]


class LossOptions(LoopOptions):
    """How to solve loss tasks."""

    write_tests: bool = True
    """Let the model write unit tests too."""
    tests_rounds: int = Field(default=2, ge=1, le=100)
    """Rounds for the tests, one answer each."""
    tests_tokens: int = Field(default=350, ge=1)
    """Longest answer with tests."""
    limits: Limits = Limits(wall_time=30.0, cpu_time=20.0)
    """Of each run in a sandbox."""
    tasks_at_once: int = Field(default=1, ge=1, le=256)
    """Tasks that a job solves at once."""
    start: str = ""
    """A loss that somebody has already, to be corrected: it is judged in the first round, in place of answers. For one task."""


class LossOutcome(Value):
    """What became of one task."""

    task: str
    title: str
    verdict: Verdict
    """`accepted`, or the verdict of the best attempt."""
    code: str = ""
    """The accepted loss, or the best one; empty where no answer held code."""
    tests: str = ""
    """Those of the model's tests that nothing speaks against."""
    attempts: int = 0
    """Answers that were judged, functions and tests."""
    rounds: int = 0
    """Rounds that were begun for the function."""
    first_failure: str = ""
    """The first failure of a function, in a line."""
    fixed_by: str = ""
    """What led to the accepted function, in a line; empty where the first answer was accepted."""
    decided_by: str = ""
    """What the verdict rests on."""
    accepted_at_first: bool = False
    usage: Usage = Usage()
    wall_time: float = 0.0
    """Seconds, of this call: a continued task does not count what was before."""


async def solve(
    task: LossTask,
    model: Model,
    execute: Execute,
    options: LossOptions | None = None,
    *,
    record: Record,
    previous: Sequence[Attempt] = (),
    on_event: OnEvent = lambda event: None,
    pen: Pen | None = None,
) -> LossOutcome:
    """Let the model write a loss function and its tests, judge, and correct until it is accepted or the rounds are out.

    Args:
        task: what is wanted.
        model: who writes.
        execute: runs a program in a sandbox within limits and judges it.
        options: rounds, samples, seed, limits.
        record: puts each attempt on the disk as soon as it is judged, before it counts.
        previous: attempts of an interrupted call with the same options: they are not repeated.
        on_event: called with rounds, tokens and attempts.
        pen: shared by callers that let one model write for several tasks.

    Raises:
        CompletionError: the model server failed; what was recorded stays.
        PrerequisiteError, SandboxError: no sandbox; what was recorded stays.
    """
    started = time.monotonic()
    options = options or LossOptions()
    pen = pen or Pen(options.parallel)
    attempts = [attempt for attempt in previous if attempt.task == task.name]
    ledger = Ledger(task=task.name, record=record, on_event=on_event, attempts=attempts)
    on_event(Event(kind="task_started", task=task.name, text=task.title))
    brief = brief_of(task)
    tests = _Tests(spec=task, brief=brief, execute=execute, limits_from=options)
    tests.recall(ledger)
    candidates = _Candidates(
        spec=task, brief=brief, model=model, execute=execute, options=options, ledger=ledger, pen=pen, tests=tests
    )
    accepted = next((attempt for attempt in ledger.of("candidate") if attempt.done), None)
    if not is_over(ledger.of("candidate"), options):
        accepted = await _find(candidates, tests)
    outcome = _outcome(task, ledger, accepted, tests.standing(ledger), time.monotonic() - started)
    on_event(
        Event(
            kind="task_finished", task=task.name, verdict=outcome.verdict, attempts=outcome.attempts, wall_time=outcome.wall_time
        )
    )
    return outcome


async def _find(candidates: _Candidates, tests: _Tests) -> Attempt | None:
    """Search for the function and for its tests, side by side."""
    model, ledger, pen = candidates.model, candidates.ledger, candidates.pen
    # The function is asked for first; the model writes the tests while the sandbox is busy with it.
    finding = asyncio.create_task(_find_function(candidates))
    if candidates.options.write_tests:
        tests.writing = asyncio.create_task(search(tests, model, tests.options, ledger=ledger, pen=pen))
    try:
        accepted = await finding
        if accepted is not None and tests.writing is not None:
            tests.wanted = False  # one answer is worth waiting for, a correction of it is not
            await tests.writing
    finally:
        running = [item for item in (finding, tests.writing) if item is not None and not item.done()]
        for item in running:
            item.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return accepted


async def _find_function(candidates: _Candidates) -> Attempt | None:
    model, options, ledger = candidates.model, candidates.options, candidates.ledger
    if options.start:
        await begin_with(candidates, options.start, ledger)
    planner = plan_after if options.start else plan
    return await search(candidates, model, options, ledger=ledger, pen=candidates.pen, planner=planner)


def brief_of(task: LossTask) -> Brief:
    """The description in the prompt. A stub's docstring would be copied token by token, so the text says what it said."""
    inputs = ", ".join(f"`{name}` is a {text}" for name, text in zip(task.parameters, TENSORS[task.inputs], strict=True))
    contract = f"{inputs}. The function returns a scalar tensor (zero dimensions) that gradients flow through."
    head = stub(task).partition('"""')[0].rstrip()
    description = f"{task.description.strip()}\n{contract}"
    return Brief(description=description, signature=task.signature, entry_point=task.entry_point, stub=head)


@dataclass(kw_only=True)
class _Tests:
    """The model's unit tests. A `Work` of the loop."""

    spec: LossTask
    brief: Brief
    execute: Execute
    limits_from: LossOptions
    wanted: bool = True
    writing: asyncio.Task[Attempt | None] | None = None
    dropped: set[str] = field(default_factory=set)
    """Names of tests that evidence came to speak against."""
    kind: Kind = "tests"

    @property
    def task(self) -> str:
        return self.spec.name

    @property
    def options(self) -> LoopOptions:
        """One answer a round: tests are not worth a wide search."""
        chosen = self.limits_from
        return LoopOptions(
            rounds=chosen.tests_rounds,
            samples=1,
            first_temperature=chosen.first_temperature,
            temperature=chosen.temperature,
            max_new_tokens=chosen.tests_tokens,
            seed=chosen.seed,
            parallel=chosen.parallel,
        )

    def recall(self, ledger: Ledger) -> None:
        """Drop again what an interrupted call had come to drop."""
        for attempt in ledger.of("candidate"):
            if attempt.own_tests is not None:
                self.dropped.update(attempt.own_tests.dropped)

    async def current(self) -> str:
        """The tests as they stand, once they are written; empty where there are none."""
        if self.writing is None:
            return ""
        attempt = await asyncio.shield(self.writing)
        return self._left(attempt)

    def standing(self, ledger: Ledger) -> str:
        """The tests that nothing speaks against, without waiting for any."""
        return self._left(next((attempt for attempt in ledger.of("tests") if attempt.done), None))

    def _left(self, attempt: Attempt | None) -> str:
        return drop_tests(attempt.code, self.dropped) if attempt is not None and attempt.code else ""

    def first(self, sample: int) -> tuple[Message, ...]:
        return write_tests(self.brief)

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        return correct_tests(self.brief, failure)

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        return extract(text, entry_point=self.brief.entry_point, prompt=self.brief.stub, kind="tests")

    async def judge(self, extraction: Extraction) -> Judged:
        """Tests must pass on the reference, where there is one, and must not all pass on a function that returns zero."""
        if not extraction.usable:
            return Judged(diagnosis=Diagnosis(fault=Fault.FORMAT, feedback=extraction.reason), verdict=Verdict.INVALID_TESTS)
        code = extraction.code
        idle = f"{self.brief.stub.rstrip()}\n    return sum(x.sum() * 0 for x in ({', '.join(self.spec.parameters)},))\n"
        runs = [self._run(idle, code)]
        if self.spec.reference:
            runs.append(self._run(self.spec.reference, code))
        on_idle, *on_reference = await asyncio.gather(*runs)
        report = on_reference[0] if on_reference else on_idle
        evidence: dict[str, object] = {"problems": list(extraction.problems)}
        if any(run.verdict is Verdict.UNSCORED for run in (on_idle, report)):
            return Judged(diagnosis=Diagnosis(fault=Fault.SANDBOX, evidence=evidence), verdict=Verdict.UNSCORED, report=report)
        if not report.tests:
            diagnosis = Diagnosis(fault=Fault.TESTS, feedback=smallest_failure(report, code, ADVICE), evidence=evidence)
            return Judged(diagnosis=diagnosis, verdict=Verdict.INVALID_TESTS, report=report)
        idle_passes = passed_names(on_idle)
        if not on_reference:
            evidence["unproven"] = True
            if len(idle_passes) == len(report.tests):
                return self._vacuous(evidence, report)
            diagnosis = Diagnosis(fault=Fault.NONE, evidence=evidence)
            return Judged(diagnosis=diagnosis, verdict=Verdict.UNSCORED, code=code, score=1.0, done=True, report=report)
        good = passed_names(report)
        wrong = [test for test in report.tests if test.name not in good]
        evidence |= {"passed": len(good), "collected": len(report.tests), "dropped": sorted(test.name for test in wrong)}
        if not wrong and not good - idle_passes:
            return self._vacuous(evidence, report)
        if not wrong:
            diagnosis = Diagnosis(fault=Fault.NONE, evidence=evidence)
            return Judged(
                diagnosis=diagnosis, verdict=Verdict.ACCEPTED, code=code, score=float(len(good)), done=True, report=report
            )
        # The tests that the reference passes are worth keeping, if one of them rejects something that is not a loss.
        kept = drop_tests(code, [test.name for test in wrong])
        diagnosis = Diagnosis(fault=Fault.TESTS, feedback=describe(wrong[0], code), evidence=evidence)
        done = bool(kept) and bool(good - idle_passes)
        return Judged(
            diagnosis=diagnosis,
            verdict=Verdict.INVALID_TESTS,
            code=kept if done else code,
            score=float(len(good)),
            done=done,
            report=report,
        )

    def _vacuous(self, evidence: dict[str, object], report: ExecutionResult) -> Judged:
        feedback = "All of these tests also pass for a function that always returns 0. Test a value or an order of two values."
        diagnosis = Diagnosis(fault=Fault.TESTS, feedback=feedback, evidence={**evidence, "vacuous": True})
        return Judged(diagnosis=diagnosis, verdict=Verdict.INVALID_TESTS, score=0.5, report=report)

    async def _run(self, code: str, tests: str) -> ExecutionResult:
        return await self.execute(Program(code=code, tests=tests), self.limits_from.limits)


@dataclass(kw_only=True)
class _Candidates:
    """The function itself. A `Work` of the loop."""

    spec: LossTask
    brief: Brief
    model: Model
    execute: Execute
    options: LossOptions
    ledger: Ledger
    pen: Pen
    tests: _Tests
    wanted: bool = True
    kind: Kind = "candidate"

    @property
    def task(self) -> str:
        return self.spec.name

    def first(self, sample: int) -> tuple[Message, ...]:
        return write_candidate(self.brief)

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        return correct_candidate(self.brief, failure)

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        return extract(text, entry_point=self.brief.entry_point, prompt=self.brief.stub)

    async def judge(self, extraction: Extraction) -> Judged:
        """Trusted checks first; what meets them is decided by the hidden tests, or by the model's tests where there are none."""
        if not extraction.usable:
            return Judged(diagnosis=classify(extraction), verdict=Verdict.INVALID_CANDIDATE)
        code = extraction.code
        checks = await self.execute(contract_program(self.spec, code), self.options.limits)
        diagnosis = classify(extraction, checks, checks_source=self.spec.visible_tests, advice=ADVICE)
        score = float(len(passed_names(checks)))
        if diagnosis.fault is not Fault.NONE:
            # The checks are ours, so they are not at fault, however early the candidate broke them.
            verdict = Verdict.INVALID_CANDIDATE if checks.verdict is Verdict.INVALID_TESTS else checks.verdict
            return Judged(diagnosis=diagnosis, verdict=verdict or Verdict.UNSCORED, code=code, score=score, report=checks)
        if self.spec.hidden_tests:
            return await self._decide_by_hidden(extraction, checks, diagnosis, score)
        diagnosis = await self._try_tests(extraction, checks)
        if diagnosis.fault is not Fault.NONE:
            verdicts = {Fault.SANDBOX: Verdict.UNSCORED, Fault.RESOURCE_LIMIT: Verdict.RESOURCE_EXCEEDED}
            refused = verdicts.get(diagnosis.fault, Verdict.WRONG_ANSWER)
            return Judged(diagnosis=diagnosis, verdict=refused, code=code, score=score + 0.5, report=checks)
        return Judged(diagnosis=diagnosis, verdict=Verdict.ACCEPTED, code=code, score=score + 1, done=True, report=checks)

    async def _decide_by_hidden(
        self, extraction: Extraction, checks: ExecutionResult, diagnosis: Diagnosis, score: float
    ) -> Judged:
        """The hidden tests decide. Where they say no, only the model's own tests may show what is wrong."""
        code = extraction.code
        hidden = Sealed(await self.execute(Program(code=code, tests=self.spec.hidden_tests), self.options.limits))
        accepted = hidden.verdict is Verdict.ACCEPTED
        if hidden.verdict in (Verdict.ACCEPTED, Verdict.UNSCORED):
            diagnosis = diagnosis.model_copy(update={"fault": Fault.NONE if accepted else Fault.SANDBOX})
        else:
            diagnosis = await self._try_tests(extraction, checks)
            if diagnosis.fault not in (Fault.CANDIDATE, Fault.RESOURCE_LIMIT):
                # Nothing visible is wrong with it: there is no feedback to give the model, so it starts afresh.
                diagnosis = diagnosis.model_copy(update={"fault": Fault.CANDIDATE, "feedback": ""})
        return Judged(
            diagnosis=diagnosis,
            verdict=hidden.verdict,
            code=code,
            score=score + accepted,
            done=accepted,
            report=checks,
            hidden=hidden,
        )

    async def _try_tests(self, extraction: Extraction, checks: ExecutionResult) -> Diagnosis:
        """Run the model's tests on a candidate that meets the trusted checks; drop those that evidence speaks against."""
        source = await self.tests.current()
        if not source:
            return classify(extraction, checks)
        result = await self.execute(Program(code=extraction.code, tests=source), self.options.limits)
        writing = await asyncio.shield(self.tests.writing) if self.tests.writing is not None else None
        found = classify(
            extraction,
            checks,
            result,
            tests_source=source,
            on_reference=writing.report if writing is not None and self.spec.reference else None,
            on_others=self._others(extraction.code),
            advice=ADVICE,
        )
        if not found.decided:
            found = await self._ask(extraction, found, source)
        if found.fault is not Fault.TESTS or found.own_tests is None:
            return found
        names = found.blamed or (*found.own_tests.passed, *found.own_tests.failed)
        self.tests.dropped.update(names)
        own_tests = found.own_tests.model_copy(update={"dropped": tuple(sorted(names))})
        # The other tests have passed, or some test would be blamed on the candidate.
        return found.model_copy(update={"fault": Fault.NONE, "feedback": "", "own_tests": own_tests})

    def _others(self, code: str) -> list[OwnTests]:
        """What the model's tests said of the other candidates that met the trusted checks."""
        return [
            attempt.own_tests for attempt in self.ledger.of("candidate") if attempt.code != code and attempt.own_tests is not None
        ]

    async def _ask(self, extraction: Extraction, found: Diagnosis, source: str) -> Diagnosis:
        """The evidence does not decide: ask the model. No clear answer leaves the blame with the candidate."""
        failure = Failure(code=source, fault=found.fault, feedback=found.feedback)
        sampling = Sampling(
            temperature=0.0, max_new_tokens=8, seed=seed_of(self.options.seed, self.task, "tests", 0, len(self.ledger.attempts))
        )
        answers: list[Completion] = []
        try:
            async with self.pen:
                answers = await self.model.chat(ask_fault(self.brief, extraction.code, failure), sampling)
        except CompletionError as error:
            if not error.prompt_refused:
                raise
        fault = (read_fault(answers[0].text) if answers else None) or Fault.CANDIDATE
        evidence = {**found.evidence, "asked_model": str(fault)}
        return found.model_copy(update={"fault": fault, "decided": True, "evidence": evidence})


def _outcome(task: LossTask, ledger: Ledger, accepted: Attempt | None, tests: str, wall_time: float) -> LossOutcome:
    candidates = ledger.of("candidate")
    chosen = accepted or best(candidates) or max(candidates, key=lambda attempt: attempt.score, default=None)
    failed = next((attempt for attempt in candidates if attempt.verdict is not Verdict.ACCEPTED), None)
    at_first = accepted is not None and (accepted.round, accepted.sample) == (0, 0)
    return LossOutcome(
        task=task.name,
        title=task.title,
        verdict=chosen.verdict if chosen is not None else Verdict.UNSCORED,
        code=chosen.code if chosen is not None else "",
        tests=tests,
        attempts=len(ledger.attempts),
        rounds=1 + max((attempt.round for attempt in candidates), default=-1),
        first_failure=_line(failed) if failed is not None and not at_first else "",
        fixed_by=_fixed_by(accepted, ledger) if accepted is not None and not at_first else "",
        decided_by=_decided_by(chosen) if chosen is not None else "",
        accepted_at_first=at_first,
        usage=ledger.usage,
        wall_time=wall_time,
    )


def _decided_by(chosen: Attempt) -> str:
    """What a verdict rests on."""
    if chosen.hidden is not None:
        return "hidden tests"
    return "trusted checks and model-written tests" if chosen.own_tests and chosen.own_tests.passed else "trusted checks"


def _fixed_by(accepted: Attempt, ledger: Ledger) -> str:
    parent = next((attempt for attempt in ledger.attempts if attempt.index == accepted.parent), None)
    if parent is None:
        return "another sample"
    return f"a correction of: {_line(parent)}"


def _line(attempt: Attempt) -> str:
    """A failure in a line of at most 120 characters."""
    lines = [line.strip() for line in attempt.feedback.splitlines() if line.strip()]
    if not lines:
        return f"{attempt.verdict} (hidden tests)" if attempt.hidden is not None else str(attempt.verdict)
    named = [line for line in lines if re.match(r"(?:\w+Error|\w+Exception|Failed)\b", line)]
    line = re.sub(r"^(?:AssertionError|Failed): ", "", named[-1] if named else lines[-1])
    return line if len(line) <= 120 else line[:119].rstrip() + "…"
