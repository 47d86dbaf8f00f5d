"""Steps of a job: done concurrently, counted, and brought to their end.

Left out: what a step is, and its record (`jobs.job`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from orchestrator.errors import CompletionError

REMINDER = 10.0
"""Seconds between two counts where nothing is done."""
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Step(NamedTuple):
    """One step of a job: a task, and which of its samples."""

    task: str
    sample: int = 0


async def run_concurrently(
    steps: Sequence[Step],
    one: Callable[[Step], Awaitable[None]],
    *,
    concurrency: int,
    on_silence: Callable[[Step, CompletionError], None],
    on_count: Callable[[int, int], None],
) -> None:
    """Do steps, `concurrency` of them at once; `on_count` is called with how many are done, of how many, and again in silence.

    Where the model stops answering, `on_silence` is called once and nothing more is begun; what had its answer is still
    brought to its end.

    Raises:
        Whatever else `one` raises first; the others are cancelled.
    """
    source = iter(steps)
    silent = False
    done = 0
    on_count(0, len(steps))

    async def work() -> None:
        nonlocal silent, done
        for step in source:
            if silent:
                return
            try:
                await one(step)
                done += 1
                on_count(done, len(steps))
            except CompletionError as exc:
                if not silent:
                    on_silence(step, exc)
                silent = True

    async def remind() -> None:
        while True:
            await asyncio.sleep(REMINDER)
            on_count(done, len(steps))

    reminder = asyncio.create_task(remind())
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(steps))):
                group.create_task(work())
    except BaseExceptionGroup as many:
        raise _first(many) from None
    finally:
        reminder.cancel()


def _first(many: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a group of tasks."""
    one = many.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


async def shielded(work: Awaitable[T]) -> T:
    """Await what a cancellation must not cut in two: it is brought to its end, and the cancellation comes then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Shared(Generic[K, T]):
    """Work that several steps need and that is done once for each key: who asks first starts it, the others wait for it too."""

    def __init__(self, work: Callable[[K], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K) -> T:
        """What the work gives for a key. A step that is cancelled does not cancel it for the others."""
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._work(key))
        return await asyncio.shield(self._tasks[key])

    def cancel(self) -> None:
        """Nobody needs it any more."""
        for task in self._tasks.values():
            task.cancel()
