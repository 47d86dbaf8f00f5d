"""What all recorded jobs share: what they are opened with, their place in the run store, and work that goes on beside a model.

A job is recorded before its first attempt and every attempt before the next one counts, so whatever was interrupted goes on
where it stopped. What a job does, and what its result is, stands in its own file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.data.store import RunStore, State
from orchestrator.engine.base import Executor
from orchestrator.engine.engine import Engine
from orchestrator.errors import CompletionError, OrchestratorError, StoreError, UsageError
from orchestrator.llm.base import Model
from orchestrator.settings import Settings
from orchestrator.types import Attempt, Event, Limits, ModelInfo, RunRecord, Value

DEFAULT_MODEL = "1.5b"
"""Of the embedded server."""
_REMINDER = 10.0
"""Seconds between two counts where nothing is done."""
J = TypeVar("J", bound=Value)
K = TypeVar("K", bound=Hashable)


@dataclass
class Watcher:
    """Whom a job tells what happens."""

    on_start: Callable[[RunRecord], None] = lambda run: None
    """The run is in the store, and can be resumed from here on."""
    on_event: Callable[[Event], None] = lambda event: None
    on_bytes: Callable[[int, int], None] = lambda done, total: None
    """Weights being downloaded: bytes so far and in all."""
    on_count: Callable[[int, int], None] = lambda done, total: None
    """Samples judged, corrections included, of those that were left when the job began. Told again where that stays the same."""

    def say(self, sentence: str) -> None:
        """A note."""
        self.on_event(Event(kind="note", text=sentence))


@dataclass(frozen=True)
class Server:
    """Which model writes for a job."""

    base_url: str
    """Empty starts the embedded server for the time of the job."""
    model: str
    """Name at that server, or which embedded model."""
    parallel: int
    """Answers the server writes at once."""

    @property
    def patience(self) -> float:
        """Seconds of silence that are no failure: on a CPU the answers written at once share one speed."""
        return 300.0 * self.parallel


@dataclass(frozen=True)
class Elsewhere:
    """What may be otherwise when a job is gone on with: where the model is served, not what was asked of it. None keeps it."""

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


SAME_PLACE = Elsewhere()


def job_of(run: RunRecord, kind: str, job: type[J], what: str, elsewhere: Elsewhere = SAME_PLACE) -> J:
    """The job that a run is; `what` is its name in a sentence.

    Raises:
        UsageError: it is no such job, or one of another version.
    """
    if run.kind != kind:
        raise UsageError(f"Run {run.id} is no {what} but {run.kind!r}.", remedy="`fumehood runs ls` lists all runs.")
    try:
        return job.model_validate(elsewhere.of(run.config))
    except ValidationError as exc:
        if "parallel" in exc.errors()[0]["loc"]:
            raise UsageError("--parallel makes no sense.", remedy="Give a number from 1 to 64.") from exc
        raise UsageError(f"Run {run.id} has options that this version does not know.", remedy="Start it anew.") from exc


@contextlib.asynccontextmanager
async def opened(
    settings: Settings,
    watcher: Watcher,
    limits: Limits,
    server: Server | None,
    *,
    preload: bool = True,
    engine: Executor | None = None,
    model: Model | None = None,
) -> AsyncIterator[tuple[Executor, Model | None]]:
    """Sandboxes and the model, for the time of a job. Those that are given are used as they are; without `server` no model is.

    What fails soonest goes first: a URL that refuses, then the engine, then a server that takes seconds to load.

    Raises:
        PrerequisiteError: no engine, no image, no weights.
        CompletionError: the model server refused, or the embedded one died.
    """
    async with contextlib.AsyncExitStack() as stack:
        if model is None and server is not None and server.base_url:
            model = await stack.enter_async_context(_remote(server, settings, watcher))
        if engine is None:
            engine = await stack.enter_async_context(Engine(settings, limits=limits, preload=preload))
        if model is None and server is not None:
            watcher.say(f"Starting the embedded model server with {server.model or DEFAULT_MODEL}.")
            model = await stack.enter_async_context(_embedded(server, settings, watcher))
        yield engine, model


@contextlib.asynccontextmanager
async def _remote(server: Server, settings: Settings, watcher: Watcher) -> AsyncIterator[Model]:
    from orchestrator.llm.client import ModelClient

    async with ModelClient(
        server.base_url,
        model=server.model,
        api_key=settings.api_key,
        max_concurrency=server.parallel,
        timeout=server.patience,
        on_note=watcher.say,
    ) as client:
        await client.info()
        yield client


@contextlib.asynccontextmanager
async def _embedded(server: Server, settings: Settings, watcher: Watcher) -> AsyncIterator[Model]:
    from llm_server.launcher import start_async
    from orchestrator.llm.client import ModelClient

    running = await start_async(
        server.model or DEFAULT_MODEL,
        parallel=server.parallel,
        home=settings.home,
        progress=watcher.on_bytes,
        note=watcher.say,
    )
    try:
        async with ModelClient(running.base_url, max_concurrency=server.parallel, timeout=server.patience) as client:
            yield client
    except OrchestratorError as exc:
        if not running.alive:
            raise CompletionError(
                "The embedded model server died.", remedy="Memory may be short: try --model 0.5b, and see `fumehood doctor`."
            ) from exc
        raise
    finally:
        await asyncio.to_thread(running.close)


def time_spent(run: RunRecord | None) -> float:
    """Seconds that a run took before it is gone on with."""
    before = run.summary.get("wall_time") if run is not None else None
    return float(before) if isinstance(before, int | float) else 0.0


def begin(
    store: RunStore, kind: str, job: Value, before: RunRecord | None, info: ModelInfo | None, image: str, watcher: Watcher
) -> RunRecord:
    """Record a job, or take it up again, and tell the watcher.

    Raises:
        StoreError: it cannot be written.
        UsageError: another model answers than the one that it began with: its numbers would be nobody's.
    """
    if before is None:
        run = store.create_run(kind, job.model_dump(mode="json"), info, image)
    else:
        if before.model is not None and info is not None and (before.model.model, before.model.sha) != (info.model, info.sha):
            raise UsageError(
                f"Run {before.id} began with the model {before.model.model}; at this server {info.model} answers.",
                remedy="Serve the same model (--base-url, --model), or start a new run.",
            )
        if before.image and before.image != image:
            watcher.say("The run began with another sandbox image.")
        run = store.update_run(before.id, state="running")
    watcher.on_start(run)
    return run


@dataclass
class Ending:
    """How a run is recorded to have ended."""

    run: RunRecord
    state: State = "finished"


@contextlib.contextmanager
def ending(store: RunStore, run: RunRecord, summary: Callable[[], Mapping[str, Any]]) -> Iterator[Ending]:
    """Record the end of a run, with its summary then: as the body says, as `interrupted` where it was, else as `failed`.

    Raises:
        StoreError: it cannot be written; not in place of an error of the body.
    """
    end = Ending(run)
    try:
        yield end
    except BaseException as exc:
        stopped = isinstance(exc, asyncio.CancelledError | KeyboardInterrupt)
        with contextlib.suppress(StoreError):
            end.run = store.finish(run.id, "interrupted" if stopped else "failed", summary())
        raise
    end.run = store.finish(run.id, end.state, summary())


async def record(store: RunStore, run: RunRecord, attempt: Attempt) -> None:
    """Write an attempt in a thread, for the disk is waited for. What was judged is recorded under a cancellation too.

    Raises:
        StoreError: it cannot be written.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(store.add_attempt, run.id, attempt))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing
        raise


async def work_through(
    left: Sequence[K],
    one: Callable[[K], Awaitable[None]],
    side_by_side: int,
    on_silence: Callable[[K, CompletionError], None],
    on_count: Callable[[int, int], None],
) -> None:
    """Do what is left, so many side by side; `on_count` is told how many are done, of how many, and again in silence.

    Where the model stops answering, `on_silence` is told once and nothing more is begun; what had its answer is still
    brought to its end.

    Raises:
        Whatever else `one` raises first; the others are cancelled.
    """
    source = iter(left)
    silent = False
    done = 0
    on_count(0, len(left))

    async def work() -> None:
        nonlocal silent, done
        for key in source:
            if silent:
                return
            try:
                await one(key)
                done += 1
                on_count(done, len(left))
            except CompletionError as exc:
                if not silent:
                    on_silence(key, exc)
                silent = True

    async def remind() -> None:
        while True:
            await asyncio.sleep(_REMINDER)
            on_count(done, len(left))

    reminder = asyncio.create_task(remind())
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(side_by_side, len(left))):
                group.create_task(work())
    except BaseExceptionGroup as many:
        raise _first(many) from None
    finally:
        reminder.cancel()


def _first(many: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a group of tasks."""
    one = many.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one
