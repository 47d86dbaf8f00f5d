"""The loop: generate, extract, check, run and judge, classify, correct, until something is accepted or the rounds are out.

`search` is the story that all applications share. It knows rounds, samples, temperatures and repeated answers. What to
ask and how to judge an answer is the application's `Work`.

Every round is a fresh conversation built from the best state so far, never a growing chat. A round draws several
samples; while one is judged, the model writes the next. The first that is accepted ends the search and cancels the rest.

Everything the loop decides, it decides from recorded attempts of earlier rounds, and seeds are derived, not drawn: a
search that is given the attempts of an interrupted one continues it and repeats nothing.

Left out: prompts, programs and verdicts of any one application.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, Protocol

from pydantic import Field, JsonValue

from orchestrator.errors import CompletionError, OrchestratorError
from orchestrator.jobs.classification import Diagnosis, Failure
from orchestrator.jobs.refusals import refusal
from orchestrator.jobs.steps import shielded
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import Extraction, normalised
from orchestrator.scoring.verdicts import binary_reward
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    Message,
    Sampling,
    Usage,
    Value,
    Verdict,
)

Kind = Literal["candidate", "tests", "control"]
"""What answers are: `control` are candidates that are drawn for comparison and never corrected."""
Record = Callable[[Attempt], Awaitable[None]]
OnEvent = Callable[[Event], None]

HOTTEST = 1.3
"""Highest temperature the loop goes to: beyond it small models write no Python."""
HEAT = 0.3
"""What each round of repeated answers adds to the temperature."""


class LoopOptions(Value):
    """How long and how widely to search."""

    rounds: int = Field(default=4, ge=1, le=1000)
    """Rounds at most; the first is the first try, the others correct."""
    samples: int = Field(default=3, ge=1, le=64)
    """Answers drawn in a round."""
    first_temperature: float = Field(default=0.2, ge=0, le=2)
    """Of the first sample of a round: close to the model's best guess."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Of the other samples: far enough apart to differ."""
    max_new_tokens: int = Field(default=400, ge=1)
    seed: int = 0
    """Every sample's own seed is derived from this one, the task, and the sample's place."""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the model writes at once. A small server on a CPU is no faster with more."""


class Sealed:
    """The result of a hidden run: it shows its verdict, and is opened only to be recorded.

    Prompts and feedback are built from other types, so that what is in here cannot reach a model by way of them.
    """

    __slots__ = ("_result",)

    def __init__(self, result: ExecutionResult) -> None:
        self._result = result

    @property
    def verdict(self) -> Verdict:
        """Whether the work is right."""
        return self._result.verdict or Verdict.UNSCORED

    def open_for_record(self) -> ExecutionResult:
        """All of it, for `Attempt.hidden`."""
        return self._result


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of the code in an answer."""

    diagnosis: Diagnosis
    verdict: Verdict
    code: str = ""
    """What is kept of it; empty where nothing usable was found."""
    score: float = 0.0
    """How good it is as a starting point, by visible evidence: higher is better."""
    done: bool = False
    """The search is over."""
    details: dict[str, JsonValue] = field(default_factory=dict)
    """What the application reads back from the attempt."""
    report: ExecutionResult | None = None
    hidden: Sealed | None = None


class Work(Protocol):
    """What the loop asks of an application, for one kind of answer to one task."""

    @property
    def task(self) -> str:
        """The task's name."""
        ...

    @property
    def kind(self) -> Kind:
        """What the answers are."""
        ...

    @property
    def wanted(self) -> bool:
        """Asked before each round: does anybody still wait for an answer?"""
        ...

    def first(self, sample: int) -> tuple[Message, ...]:
        """Ask afresh, for this one of a round's answers."""
        ...

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        """Ask for something better than what failed."""
        ...

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        """Take an answer apart; `parent` is what it corrects. The same text and parent always give the same result."""
        ...

    async def judge(self, extraction: Extraction) -> Judged:
        """Run the code and say what it is worth. A failing program is data, never an exception."""
        ...


@dataclass(kw_only=True)
class Ledger:
    """All attempts of one task, of all kinds, in the order they were finished."""

    task: str
    record: Record
    on_event: OnEvent = lambda event: None
    attempts: list[Attempt] = field(default_factory=list)
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Attempts are recorded in the order of their indices."""

    def of(self, kind: Kind) -> list[Attempt]:
        """Attempts of a kind in the order of rounds and samples, which does not depend on who finished first."""
        return sorted((item for item in self.attempts if item.kind == kind), key=lambda item: (item.round, item.sample))

    def find(self, kind: Kind, round_: int, sample: int) -> Attempt | None:
        """The attempt of this place."""
        places = {(item.kind, item.round, item.sample): item for item in self.attempts}
        return places.get((kind, round_, sample))

    def like(self, kind: Kind, code: str, text: str) -> Attempt | None:
        """The first attempt whose code is the same program; for an answer without code, the one with the same text."""
        wanted = normalised(code)
        for item in self.of(kind):
            same = normalised(item.code) == wanted if code and item.code else not code and item.completion.text == text
            if same and item.fault is not Fault.SANDBOX and not item.completion.refused:
                return item
        return None

    async def add(self, attempt: Attempt) -> Attempt:
        """Record an attempt with the next index, then notify the watcher. What was judged is recorded even when cancelled."""
        index = 1 + max((item.index for item in self.attempts), default=-1)
        attempt = attempt.model_copy(update={"index": index})
        self.attempts.append(attempt)  # its index is taken, and a repetition of it is known from here on
        await shielded(self._record(attempt))
        return attempt

    async def _record(self, attempt: Attempt) -> None:
        async with self._recording:
            await self.record(attempt)
        self.on_event(Event(kind="attempt_finished", task=self.task, round=attempt.round, sample=attempt.sample, attempt=attempt))

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        return usage_of(self.attempts)


def usage_of(attempts: Iterable[Attempt]) -> Usage:
    """Tokens of all these attempts."""
    return sum((attempt.completion.usage for attempt in attempts), Usage())


@dataclass(frozen=True)
class Draft:
    """A sample to be drawn."""

    parent: Attempt | None
    """The attempt it corrects; None for a fresh start."""
    temperature: float


Planner = Callable[[Sequence[Attempt], int, LoopOptions], list[Draft]]
"""The samples of a round, from the attempts so far, its number and the options; an empty list ends the search. It decides by
attempts of earlier rounds alone, so that a search that is resumed plans the same."""


def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
    """The samples of a round, decided by the attempts of the rounds before it.

    The first round asks afresh, once cool and then warmer. Later rounds correct the best attempt; with three samples or
    more the last one starts afresh, because a wrong idea is more often dropped than mended. When the round before gave
    an answer that was there already, the temperature goes up; when two rounds did, all samples start afresh.
    """
    earlier = [attempt for attempt in attempts if attempt.round < round_]
    stuck = rounds_of_repeats(earlier)
    parent = best(earlier) if stuck < 2 else None
    drafts = []
    for sample in range(options.samples):
        cool = sample == 0
        temperature = (options.first_temperature if cool else options.temperature) + HEAT * stuck
        fresh = round_ > 0 and not cool and sample == options.samples - 1 and options.samples >= 3
        if round_ > 0 and (parent is None or fresh):
            # The cool first try is known already; asking the same again wants warmth.
            temperature = max(temperature, options.temperature)
        drafts.append(Draft(None if fresh else parent, round(min(temperature, HOTTEST), 3)))
    return drafts


def best(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt to continue from: one that has a failure to show, of the highest score, less often corrected, latest.

    Before all of those comes an attempt whose failure has a known remedy that was not tried yet: such errors are simple, and
    what is behind them is not known before they are gone.
    """
    showable = [item for item in attempts if item.feedback and item.fault not in (Fault.SANDBOX, Fault.NONE)]
    refused = {item.parent for item in attempts if item.completion.refused}  # a correction of it is too long, or filtered
    showable = [item for item in showable if item.same_as is None and item.index not in refused]
    if not showable:
        return None
    tried = {item.index: sum(other.parent == item.index for other in attempts) for item in showable}
    remedy = {item.index: bool(item.hint) and not tried[item.index] for item in showable}
    return max(showable, key=lambda item: (remedy[item.index], item.score, -tried[item.index], item.round, item.sample))


def rounds_of_repeats(attempts: Sequence[Attempt]) -> int:
    """How many of the latest rounds, one after another, gave an answer that was there already."""
    count = 0
    for round_ in sorted({item.round for item in attempts}, reverse=True):
        if not any(item.same_as is not None for item in attempts if item.round == round_):
            break
        count += 1
    return count


def seed_of(seed: int, task: str, kind: Kind, round_: int, sample: int) -> int:
    """The seed of one sample: between 0 and 2**31 - 1, the same in every run."""
    digest = hashlib.sha256(f"{seed}/{task}/{kind}/{round_}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Pen:
    """The right to let the model write: as many holders as it may write answers at once, first come, first served."""

    def __init__(self, parallel: int = 1) -> None:
        self._free = asyncio.Semaphore(parallel)

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(self, *exc: object) -> None:
        self._free.release()


async def search(
    work: Work, model: Model, options: LoopOptions, *, ledger: Ledger, pen: Pen, planner: Planner = plan
) -> Attempt | None:
    """Draw, judge and correct until an answer is done or the rounds are out; return the attempt that was done.

    `planner` says what is drawn in each round; an empty round of it ends the search.

    Attempts that the ledger holds already are not repeated. A round in which the sandbox failed under every sample, or the
    server refused the question itself, ends the search: what is broken is not the answers.

    Raises:
        CompletionError: the model server failed; what was recorded stays.
        PrerequisiteError, SandboxError: no sandbox; what was recorded stays.
    """
    for round_ in range(options.rounds):
        done = next((item for item in ledger.of(work.kind) if item.done), None)
        if done is not None:
            return done
        drafts = planner(ledger.of(work.kind), round_, options)
        if not drafts:
            return None
        missing = [(sample, draft) for sample, draft in enumerate(drafts) if ledger.find(work.kind, round_, sample) is None]
        if not missing:
            continue
        if not work.wanted:
            return None
        ledger.on_event(Event(kind="round_started", task=work.task, round=round_, text=work.kind))
        samples = _Round(work=work, model=model, options=options, ledger=ledger, pen=pen, round=round_)
        done = await samples.draw(missing)
        if done is not None:
            return done
        if all(_is_hopeless(item) for item in ledger.of(work.kind) if item.round == round_):
            return None
    return None


async def begin_with(work: Work, code: str, ledger: Ledger) -> None:
    """Judge code that is there already as the only answer of the first round, unless an interrupted search did."""
    if ledger.find(work.kind, 0, 0) is None:
        given = Attempt(task=work.task, index=0, kind=work.kind, completion=Completion(text=code), created=time.time())
        await _judge(work, ledger, given)


def plan_after(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
    """`plan`, for a search whose first round is `begin_with`."""
    return plan(attempts, round_, options) if round_ else [Draft(None, options.first_temperature)]


def is_over(attempts: Sequence[Attempt], options: LoopOptions) -> bool:
    """Would a search with these attempts of its kind ask nothing more: one is done, or every sample of every round is there?"""
    places = {(item.round, item.sample) for item in attempts}
    return any(item.done for item in attempts) or places >= set(product(range(options.rounds), range(options.samples)))


def _is_hopeless(attempt: Attempt) -> bool:
    """The next would end alike: the sandbox failed, or the server refused the question itself."""
    return attempt.fault is Fault.SANDBOX or (bool(attempt.completion.refused) and attempt.parent is None)


@dataclass(kw_only=True)
class _Round:
    """The samples of one round: each is judged while the next is written."""

    work: Work
    model: Model
    options: LoopOptions
    ledger: Ledger
    pen: Pen
    round: int

    async def draw(self, drafts: Sequence[tuple[int, Draft]]) -> Attempt | None:
        """Draw and judge the samples until one is done; that one cancels the rest.

        When the model or the sandboxes fail, what is written already is still judged and recorded before the error rises.
        """
        rest = iter(drafts)
        tasks: set[asyncio.Task[Attempt | None]] = set()
        finished: asyncio.Queue[asyncio.Task[Attempt | None]] = asyncio.Queue()

        def start(work: Coroutine[None, None, Attempt | None]) -> asyncio.Task[Attempt | None]:
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(finished.put_nowait)
            return task

        async def write() -> None:
            # One sample after the other, so that another search comes to the pen between two of ours.
            for sample, draft in rest:
                start(_judge(self.work, self.ledger, await self._write(sample, draft)))

        writers = [start(write()) for _ in range(min(self.options.parallel, len(drafts)))]
        error: OrchestratorError | None = None
        try:
            while tasks:
                task = await finished.get()
                tasks.discard(task)
                if task.cancelled():
                    continue
                try:
                    attempt = task.result()
                except OrchestratorError as exc:
                    error = error or exc
                    for writer in writers:
                        writer.cancel()
                    continue
                if attempt is not None and attempt.done:
                    return attempt
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if error is not None:
            raise error
        return None

    async def _write(self, sample: int, draft: Draft) -> Attempt:
        """Let the model write an answer; a refusal of this one prompt is one."""
        work = self.work
        asked = Attempt(
            task=work.task,
            index=0,
            kind=work.kind,
            round=self.round,
            sample=sample,
            parent=None if draft.parent is None else draft.parent.index,
            messages=work.first(sample) if draft.parent is None else work.correction(self._failure(draft.parent)),
            sampling=Sampling(
                temperature=draft.temperature,
                max_new_tokens=self.options.max_new_tokens,
                seed=seed_of(self.options.seed, work.task, work.kind, self.round, sample),
            ),
            completion=Completion(text=""),
        )

        def on_token(text: str) -> None:
            self.ledger.on_event(Event(kind="token", task=work.task, round=self.round, sample=sample, text=text))

        try:
            async with self.pen:
                completions = await self.model.chat(asked.messages, asked.sampling, on_token)
        except CompletionError as error:
            completions = [refusal(error)]
        if not completions:
            raise CompletionError("The model server sent no completion.", remedy="Check the server's log.")
        return asked.model_copy(update={"completion": completions[0], "created": time.time()})

    def _failure(self, parent: Attempt) -> Failure:
        """What a correction may know of the attempt it corrects. `Attempt.hidden` has no place in it."""
        code = parent.code or self.work.extract(parent.completion.text).draft
        return Failure(code=code, fault=parent.fault, feedback=parent.feedback, hint=parent.hint)


async def _judge(work: Work, ledger: Ledger, attempt: Attempt) -> Attempt:
    """Extract, look whether it was there already, run and judge, record."""
    completion = attempt.completion
    if completion.refused:
        return await ledger.add(attempt.model_copy(update={"feedback": f"not answerable: {completion.refused}"}))
    parent = next((item for item in ledger.attempts if item.index == attempt.parent), None)
    extraction = work.extract(completion.text, parent)
    known = ledger.like(work.kind, extraction.code, completion.text)
    if known is not None:
        return await ledger.add(_repeated(attempt, known))
    judged = await work.judge(extraction)
    if judged.diagnosis.fault is Fault.SANDBOX:
        judged = await work.judge(extraction)
    return await ledger.add(_judged(attempt, judged))


_OF_CODE = (
    *("code", "fault", "feedback", "hint", "blamed", "own_tests", "score", "details", "evidence"),
    *("report", "hidden", "verdict", "reward"),
)
"""Fields of an attempt that its code alone decides."""


def _repeated(attempt: Attempt, known: Attempt) -> Attempt:
    """The record of an answer that was there already: what became of that one."""
    return attempt.model_copy(update={name: getattr(known, name) for name in _OF_CODE} | {"same_as": known.index})


def _judged(attempt: Attempt, judged: Judged) -> Attempt:
    """The record of an answer and what became of it."""
    diagnosis = judged.diagnosis
    return attempt.model_copy(
        update={
            "code": judged.code,
            "fault": diagnosis.fault,
            "feedback": diagnosis.feedback,
            "hint": diagnosis.hint,
            "blamed": diagnosis.blamed,
            "own_tests": diagnosis.own_tests,
            "evidence": diagnosis.evidence,
            "score": judged.score,
            "details": judged.details,
            "done": judged.done,
            "report": judged.report,
            "hidden": None if judged.hidden is None else judged.hidden.open_for_record(),
            "verdict": judged.verdict,
            "reward": binary_reward(judged.verdict),
        }
    )
