"""A recorded job: what the jobs of all applications share.

A job is recorded before its first step, and every attempt before the next one counts, so whatever was interrupted resumes where
it stopped. An application says what is to do (`load`), what one step does (`one`) and how the result reads (`result`):

    class Evaluation(RecordedJob[EvalJob, EvalResult]): ...

    result = await Evaluation(settings, store).run_job(EvalJob(dataset="humaneval"))
    result = await Evaluation(settings, store).resume_job(result.run.id)

Everything is written in threads, for the disk is waited for, and what is being written is written to its end.

Left out: rounds of correction (`jobs.loop`), and what a person sees of it all: that is the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from orchestrator.data.store import RunStore, State
from orchestrator.engine.base import Executor
from orchestrator.engine.engine import Engine
from orchestrator.errors import CompletionError, StoreError, UsageError
from orchestrator.jobs.endpoint import ModelEndpoint, embedded, remote
from orchestrator.jobs.loop import Pen
from orchestrator.jobs.refusals import Refusals, refusal
from orchestrator.jobs.steps import Shared, Step, run_concurrently, shielded
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.base import Model
from orchestrator.settings import Settings
from orchestrator.types import Attempt, Completion, Event, Limits, RunRecord, Value


@dataclass(frozen=True, kw_only=True)
class ResumeOverrides:
    """What may be otherwise when a job is resumed: where the model is served, not what was asked of it. None keeps it."""

    base_url: str | None = None
    model: str | None = None
    """Its name there."""
    parallel: int | None = None

    def of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A job's recorded options, with what is otherwise."""
        changes = {name: value for name, value in vars(self).items() if value is not None}
        if "options" in config and "parallel" in changes:
            changes["options"] = {**config["options"], "parallel": changes.pop("parallel")}
        return {**config, **changes}


AS_RECORDED = ResumeOverrides()


@dataclass(kw_only=True)
class JobResult(ABC):
    """What came of a job."""

    run: RunRecord

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What the run store keeps of it beside the attempts."""


J = TypeVar("J", bound=Value)
R = TypeVar("R", bound=JobResult)
K = TypeVar("K")
T = TypeVar("T")


class RecordedJob(ABC, Generic[J, R]):
    """One job of an application, from its options to its result. Each object does one job.

    Args:
        settings: where data sets, weights and files of results are, and how many sandboxes there may be.
        store: where the job is recorded.
        watcher: is notified of what happens.
        engine: used in place of the one that the settings name.
        model: used in place of the one that the options name.
    """

    kind: ClassVar[str]
    """`RunRecord.kind` of such jobs."""
    name: ClassVar[str]
    """What such a job is called in a sentence."""
    job_type: ClassVar[type[Value]]
    """The type of `job`."""
    preload: ClassVar[bool] = False
    """Whether sandboxes are started before the first program comes."""

    job: J
    """The options of this job; they are stored as the run's `config`."""
    run: RunRecord | None = None
    """Its record; None before there is one."""

    def __init__(
        self,
        settings: Settings,
        store: RunStore,
        *,
        watcher: Watcher | None = None,
        engine: Executor | None = None,
        model: Model | None = None,
    ) -> None:
        self.settings, self.store, self.watcher = settings, store, watcher or Watcher()
        self.attempts: dict[Step, Attempt] = {}
        """All recorded attempts by task and index, those before an interruption included."""
        self.left: list[Step] = []
        """Steps that were not done when the job began, or was resumed."""
        self.problems: list[str] = []
        """What was left out, or went wrong, and why."""
        self.error: CompletionError | None = None
        """Why the model stopped answering half-way."""
        self.pen = Pen()
        """The right to let the model write."""
        self._engine, self._model = engine, model
        self._refusals = Refusals()
        self._shared: list[Shared[Any, Any]] = []
        self._began = 0.0

    # What an application supplies.

    @property
    @abstractmethod
    def endpoint(self) -> ModelEndpoint | None:
        """Which model writes; None where none is asked."""

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """Of a run in a sandbox, at most."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """Steps that are under way at once."""

    @abstractmethod
    async def load(self) -> Sequence[Step]:
        """Read what the job is about, and say its steps in the order in which they are to be done.

        Raises:
            UsageError, PrerequisiteError: there is no such thing.
        """

    @abstractmethod
    async def one(self, step: Step) -> None:
        """Do one step, and record its attempts."""

    @abstractmethod
    def result(self, run: RunRecord) -> R:
        """What is known so far."""

    def is_done(self, step: Step) -> bool:
        """Whether nothing of a step is left to do."""
        return step in self.attempts

    def is_over(self) -> bool:
        """Whether a finished job has nothing to do beside its steps."""
        return True

    async def finish(self) -> None:
        """Do what is left when all steps are done. Called again when a finished job is looked at."""

    def place_of(self, task: str) -> str:
        """Where a task stands, as the beginning of a sentence about it."""
        return ""

    # What all jobs share.

    async def run_job(self, job: J) -> R:
        """Do a job from its beginning.

        Where the model stops answering half-way, what it wrote is judged and recorded.

        Raises:
            UsageError: the options make no sense.
            PrerequisiteError: no engine, no image, no weights, no data set.
            CompletionError: the model server refuses.
            StoreError: something could not be recorded; what was recorded before is kept.
        """
        self.job = job
        return await self._do()

    async def resume_job(self, run_id: str, overrides: ResumeOverrides = AS_RECORDED) -> R:
        """Resume a recorded job, with its own options and seeds. What was recorded is neither drawn nor judged again.

        Where nothing is left to do, the result comes back at once, without a model server and without sandboxes.

        Raises:
            UsageError: there is no such run, it is no such job, or it cannot be resumed.
            PrerequisiteError, CompletionError, StoreError: as `run_job`.
        """
        run = await asyncio.to_thread(self.store.run, run_id)
        self.job = self.job_of(run, overrides)
        await self._recall(run)
        return await self._do()

    @classmethod
    def job_of(cls, run: RunRecord, overrides: ResumeOverrides = AS_RECORDED) -> J:
        """The job that a run is.

        Raises:
            UsageError: it is another kind of job, or of another version.
        """
        if run.kind != cls.kind:
            raise UsageError(
                f"Run {run.id} is of another kind: {run.kind!r}, not {cls.name}.", remedy="`fumehood runs ls` lists all runs."
            )
        try:
            return cls.job_type.model_validate(overrides.of(run.config))  # type: ignore[return-value]  # `job_type` is J's class
        except ValidationError as exc:
            if "parallel" in exc.errors()[0]["loc"]:
                raise UsageError("--parallel is out of range.", remedy="Give a number from 1 to 64.") from exc
            raise UsageError(f"Run {run.id} has options that this version does not know.", remedy="Start it anew.") from exc

    @property
    def engine(self) -> Executor:
        """Where programs run, once the job is open."""
        assert self._engine is not None
        return self._engine

    @property
    def model(self) -> Model:
        """Who writes, once the job is open. Only a job with an `endpoint` has one."""
        assert self._model is not None
        return self._model

    @property
    def time_spent(self) -> float:
        """Seconds so far, those before an interruption included."""
        return time.monotonic() - self._began

    def shared(self, work: Callable[[K], Coroutine[Any, Any, T]]) -> Shared[K, T]:
        """Work that several steps need, done once for each key, and cancelled with the job."""
        self._shared.append(shared := Shared(work))
        return shared

    async def record(self, *attempts: Attempt) -> None:
        """Put attempts on the disk, then say that they are there.

        Raises:
            StoreError: one cannot be written.
        """
        await shielded(self._record(attempts))

    async def _record(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            attempt = attempt.model_copy(update={"created": attempt.created or time.time()})
            await self._keep(attempt)
            self.watcher.on_event(
                Event(kind="attempt_finished", task=attempt.task, round=attempt.round, sample=attempt.sample, attempt=attempt)
            )

    async def keep(self, attempt: Attempt) -> None:
        """As `record`, for who says himself that it is there."""
        await shielded(self._keep(attempt))

    async def _keep(self, attempt: Attempt) -> None:
        assert self.run is not None
        await asyncio.to_thread(self.store.add_attempt, self.run.id, attempt)
        self.attempts[Step(attempt.task, attempt.index)] = attempt

    async def save(self) -> None:
        """Put what the result says so far on the disk.

        Raises:
            StoreError: it cannot be written.
        """
        assert self.run is not None
        self.run = await self._stored(self.store.update_run, self.run.id, summary=self.result(self.run).summary())

    async def ask(self, asked: Attempt, write: Callable[[Attempt], Awaitable[Sequence[Completion]]]) -> Completion | None:
        """Let the model write what an attempt asks for, when it is its turn.

        A prompt that the server refuses is the record of its attempt, and None comes back.

        Raises:
            CompletionError: the server failed, or seems to refuse every prompt.
        """
        async with self.pen:
            self._refusals.asking(asked.task)
            try:
                completions = await write(asked)
            except CompletionError as error:
                refused = asked.model_copy(update={"completion": refusal(error)})
                await self.record(*self._refusals.refused(refused, error))
                return None
        await self.record(*self._refusals.answered())
        if not completions:
            raise CompletionError("The model server sent no completion.", remedy="Check the server's log.")
        return completions[0]

    async def _recall(self, run: RunRecord) -> None:
        """What was recorded before the interruption."""
        self.run = run
        recorded = await asyncio.to_thread(self.store.attempts, run.id)
        self.attempts = {Step(attempt.task, attempt.index): attempt for attempt in recorded}
        self._refusals = Refusals(recorded)

    async def _do(self) -> R:
        before = self.run.summary.get("wall_time") if self.run is not None else None
        self._began = time.monotonic() - (float(before) if isinstance(before, int | float) else 0.0)
        self.left = [step for step in await self.load() if not self.is_done(step)]
        if self.run is not None and self.run.state == "finished" and not self.left and self.is_over():
            self.watcher.on_start(self.run)
            self.watcher.say("This run is finished: nothing is left to do.")
            await self.finish()
            return self.result(self.run)
        async with self._open():
            run = self.run = await self._begin(self.run)
            self.watcher.on_start(run)
            try:
                await self._do_steps()
                await self.finish()
            except BaseException as exc:
                stopped = isinstance(exc, asyncio.CancelledError | KeyboardInterrupt)
                with contextlib.suppress(StoreError):  # not in place of what happened
                    await self._end(run, "interrupted" if stopped else "failed")
                raise
            return await self._end(run, "finished" if self.error is None else "interrupted")

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        """Sandboxes and the model, for the time of the job. Those that are given are used as they are.

        What fails soonest goes first: a URL that refuses, then the engine, then a server that takes seconds to load.
        """
        endpoint = self.endpoint
        async with contextlib.AsyncExitStack() as stack:
            if self._model is None and endpoint is not None and endpoint.base_url:
                self._model = await stack.enter_async_context(remote(endpoint, self.settings, self.watcher))
            if self._engine is None:
                engine = Engine(self.settings, limits=self.limits, preload=self.preload)
                self._engine = await stack.enter_async_context(engine)
            if self._model is None and endpoint is not None:
                self._model = await stack.enter_async_context(embedded(endpoint, self.settings, self.watcher))
            self.pen = Pen(endpoint.parallel if endpoint is not None else 1)
            yield

    async def _begin(self, before: RunRecord | None) -> RunRecord:
        """Record the job, or take it up again.

        Raises:
            UsageError: another model answers than the one that it began with: its numbers would be nobody's.
        """
        info = None if self._model is None else await self._model.info()
        if before is None:
            return await self._stored(self.store.create_run, self.kind, self.job.model_dump(mode="json"), info, self.engine.image)
        if before.model is not None and info is not None and (before.model.model, before.model.sha) != (info.model, info.sha):
            raise UsageError(
                f"Run {before.id} began with the model {before.model.model}; at this server {info.model} answers.",
                remedy="Serve the same model (--base-url, --model), or start a new run.",
            )
        if before.image and before.image != self.engine.image:
            self.watcher.say("The run began with another sandbox image.")
        return await self._stored(self.store.update_run, before.id, state="running")

    async def _do_steps(self) -> None:
        def on_silence(step: Step, error: CompletionError) -> None:
            self.error = error
            self.problems.append(f"{self.place_of(step.task)}the model stopped answering at {step.task}: {error.message}")

        try:
            await run_concurrently(
                self.left, self.one, concurrency=self.concurrency, on_silence=on_silence, on_count=self.watcher.on_count
            )
            if self.error is None:
                self._refusals.end()
        except CompletionError as error:
            self.error = error
            self.problems.append(error.message)
        finally:
            for shared in self._shared:
                shared.cancel()

    async def _end(self, run: RunRecord, state: State) -> R:
        """Record how the job ended, and what came of it."""
        result = self.result(run)
        result.run = await self._stored(self.store.finish, run.id, state, result.summary())
        return result

    async def _stored(self, write: Callable[..., T], *what: object, **more: object) -> T:
        return await shielded(asyncio.to_thread(write, *what, **more))
