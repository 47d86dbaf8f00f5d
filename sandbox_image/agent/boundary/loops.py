"""Event loops of both sides that turn as one: coroutines of the candidate's run beside each other and beside the tests'.

Each turn of the tests' loop is one of the candidate's as well, and where the tests' waits for nothing else, the candidate's turns
until something that they wait for is at its end. A coroutine takes its first step where it is first awaited, as in one loop. A
coroutine of the tests' that the candidate awaits becomes a task of the tests' loop.

Left out: loops that a candidate runs of its own, in a function that the tests call. The tests wait for those.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .link import Link

_LONGEST = 0.05
"""Seconds that the candidate's loop may wait while the tests' waits too: threads of the tests' may have something for theirs."""


def running() -> Any:
    """The event loop that runs in this thread, if any."""
    import asyncio  # half of the start of a zygote, for the few who need it

    return asyncio._get_running_loop()


class TestsLoops:
    """The tests' end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: dict[int, Any] = {}
        """What the tests wait for, by its number: futures of their loop."""
        self._over: set[int] = set()
        """Those that are at their end and have not been asked for what they gave."""
        self._ended: list[int] = []
        """Coroutines of the tests' that the candidate awaits and that are at their end, until it is told."""
        self._busy = False
        """Whether the candidate's loop may have something to do."""
        self._count = self._asked = 0
        """How many loops have used the candidate, and how often they have awaited something of its."""

    def number(self) -> int:
        """The number of the loop that runs: 1, 2, ... in the order in which loops used the candidate; 0 where none runs."""
        loop = running()
        if loop is None:
            return 0
        if not hasattr(loop, "_fumehood_number"):
            self._count += 1
            loop._fumehood_number = self._count
            loop._selector.select = functools.partial(self._select, loop, loop._selector.select)
        self._busy = True
        return int(loop._fumehood_number)

    async def result(self, source: Any) -> Any:
        """What an awaitable of the candidate's gives."""
        ask, loop = self._link.ask, running()
        if loop is None:  # stepped by hand
            return ask("run", source)
        number = self._asked = self._asked + 1
        ended, value = self._pair(ask("start", source, number))
        return value if ended else await self._waited(number, loop)

    async def _waited(self, number: int, loop: Any) -> Any:
        from asyncio import CancelledError

        cancelled = None
        while number not in self._over:
            future = self._waiting[number] = loop.create_future()
            try:
                await future
            except CancelledError as exc:
                cancelled = exc
                self._leave()
                self._link.ask("cancel", number)
        del self._waiting[number]
        self._over.discard(number)
        try:
            ended, value = self._pair(self._link.ask("result", number, cancelled is not None))
        except BaseException as exc:
            self._link.unreached.passed_on(exc)
            raise
        if cancelled is not None and not ended:
            raise cancelled
        return value

    def _leave(self) -> None:
        """A task that waits for the candidate is cancelled, and with it an assertion: by the tests, or at the end of all."""
        stack: list[types.FrameType] = []
        frame: Any = sys._getframe(1)
        while frame is not None:
            stack.append(frame)
            frame = frame.f_back
        chain = itertools.takewhile(lambda one: one.f_code.co_flags & inspect.CO_COROUTINE, stack[1:])
        if not (what := self._link.unreached.before(list(chain))):
            return
        from asyncio import current_task

        once = current_task().cancelling() < 2  # type: ignore[union-attr]
        if once and any(one.f_code.co_name == "_cancel_all_tasks" for one in stack):
            self._link.unreached.abandoned(what)
        else:
            self._link.rest_on("word")

    def finish(self, task: Any) -> None:
        """A test is at its end and a task is not: what it waits for may be the candidate."""
        frames, awaited = [], task.get_coro()
        while (frame := getattr(awaited, "cr_frame", None)) is not None:
            frames.append(frame)
            awaited = awaited.cr_await
        waits = any(frame.f_code is TestsLoops._waited.__code__ for frame in frames)
        if waits and (what := self._link.unreached.before(frames)):
            self._link.unreached.abandoned(what)

    def _select(self, loop: Any, select: Callable[[float | None], Any], timeout: float | None = None) -> Any:
        """What the tests' loop does once in each turn: it waits until something happens, on the candidate's side too."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._busy:
            left = _LONGEST if end is None else max(0.0, min(_LONGEST, end - time.monotonic()))
            self._turn(left)
            if loop._ready or not left:
                return select(0)
            if events := select(0):
                return events
        return select(None if end is None else max(0.0, end - time.monotonic()))

    def _turn(self, wait: float) -> None:
        ended, self._ended = self._ended, []
        told, busy = self._pair(self._link.ask("turn", ended, wait))
        if type(told) is not list or type(busy) is not bool or any(type(number) is not int for number in told):
            self._link.tamper("a turn that is none")
        _wake(told, self._waiting, self._over)
        self._busy = busy

    def _pair(self, answer: Any) -> tuple[Any, Any]:
        if type(answer) is not tuple or len(answer) != 2:
            self._link.tamper("an answer of no kind")
        return answer  # type: ignore[no-any-return]

    def serving(self, coroutine: Any, number: Callable[[], int]) -> Callable[[str], Any]:
        """What is called for what the candidate asks of a coroutine of the tests', which it knows by a number."""
        task: Any = None
        cancelled = False

        def ended(_: Any) -> None:
            self._link.handed.pop(id(coroutine), None)
            self._ended.append(number())
            self._busy = True

        def serve(how: str) -> Any:
            nonlocal task, cancelled
            if how == "start" and task is None:
                self._link.handed[id(coroutine)] = coroutine  # until it is at its end
                task = running().create_task(coroutine)
                task.add_done_callback(ended)
            elif how == "cancel" and task is not None:
                task.cancel()
                cancelled = True
            elif how == "result":
                if task is None:
                    return True, run_apart(coroutine)
                if cancelled and task.cancelled():
                    self._link.unreached.ended(_cancellation(task))
                    return False, None
                return True, task.result()

        return serve


def _cancellation(task: Any) -> BaseException:
    """What ended a task that was cancelled, with the place where it stood."""
    try:
        task.result()
    except BaseException as exc:
        return exc
    raise AssertionError  # not reached


def _wake(told: list[int], waiting: dict[int, Any], over: set[int]) -> None:
    """Note what is at its end, and wake who waits for it."""
    for number in told:
        future = waiting.get(number)
        if future is not None:
            over.add(number)
            if not future.done():
                future.set_result(None)


def run_apart(coroutine: Any) -> Any:
    """Run a coroutine to its end, whatever loop runs already.

    In this thread: another one could not ask the other side anything, which waits for what the coroutine gives.
    """
    import asyncio

    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
        asyncio._set_running_loop(outer)


class CandidatesLoops:
    """The candidate's end. `ask` asks something of a coroutine of the tests'."""

    def __init__(self, ask: Callable[[int, str], Any]) -> None:
        self._ask = ask
        self._loop: Any = None
        self._number = 0
        self._tasks: dict[int, Any] = {}
        """What the tests wait for, by its number."""
        self._ended: list[int] = []
        """Numbers of those at their end, until the tests are told."""
        self._awaited: dict[int, Any] = {}
        """Coroutines of the tests' that are awaited: futures of our loop."""
        self._over: set[int] = set()
        """Those at their end."""

    def _enter(self, number: int) -> Any:
        """The loop that goes with one of the tests'. What an earlier one left behind ends with it, as in one interpreter."""
        import asyncio

        if number != self._number:
            if self._loop is not None:
                for task in asyncio.all_tasks(self._loop):
                    task.cancel()
                self._turn()
                self._loop.close()
            self._number, self._loop = number, asyncio.new_event_loop()
        return self._loop

    @contextlib.contextmanager
    def within(self, number: int) -> Iterator[None]:
        """What is done for a loop of the tests' that runs: it may make tasks."""
        import asyncio

        if asyncio._get_running_loop() is not None:
            yield
            return
        asyncio._set_running_loop(self._enter(number))
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def start(self, loop_number: int, awaitable: Any, number: int) -> tuple[bool, Any]:
        """Take the first step of an awaitable, which has this number: (whether it is at its end, what it gave)."""
        if running() is not None or not loop_number:
            return True, self.run(awaitable)
        loop = self._enter(loop_number)
        waiting = list(loop._ready)
        loop._ready.clear()
        task = loop.create_task(_awaiting(awaitable))
        self._turn()
        loop._ready.extendleft(reversed(waiting))
        if task.done():
            return True, task.result()
        self._tasks[number] = task
        task.add_done_callback(functools.partial(self._has_ended, number))
        return False, None

    def run(self, awaitable: Any) -> Any:
        """Run an awaitable to its end, in a loop of its own."""
        return run_apart(_awaiting(awaitable))

    def _has_ended(self, number: int, task: Any) -> None:
        self._ended.append(number)
        self._loop.stop()

    def _turn(self) -> None:
        self._loop.call_soon(self._loop.stop)
        with contextlib.suppress(SystemExit, KeyboardInterrupt):  # a task that raised them gives them to who awaits it
            self._loop.run_forever()

    def turn(self, ended: list[int], wait: float) -> tuple[list[int], bool]:
        """Turn once, or until something has ended where the tests wait: (what has ended, whether there is more to do)."""
        import asyncio

        loop = self._loop
        if loop is None or running() is not None:
            return [], False
        _wake(ended, self._awaited, self._over)
        asked = len(self._awaited)
        self._turn()
        if wait and not self._ended and len(self._awaited) == asked:
            end = loop.call_later(wait, loop.stop)
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
            end.cancel()
        told, self._ended = self._ended, []
        return told, bool(loop._ready or loop._scheduled or asyncio.all_tasks(loop))

    def cancel(self, number: int) -> None:
        """The tests cancelled what waits for this."""
        self._tasks[number].cancel()

    def result(self, number: int, cancelled: bool) -> tuple[bool, Any]:
        """What something at its end gave: (True, value), or (False, None) where it was cancelled by the tests."""
        task = self._tasks.pop(number)
        return (False, None) if cancelled and task.cancelled() else (True, task.result())

    async def theirs(self, number: int) -> Any:
        """A coroutine of the tests'."""
        loop = running()
        if loop is self._loop:
            self._ask(number, "start")
            await self._waited(number, loop)
            del self._awaited[number]
            self._over.discard(number)
        ended, value = self._ask(number, "result")
        if not ended:
            from asyncio import CancelledError

            raise CancelledError
        return value

    async def _waited(self, number: int, loop: Any) -> None:
        from asyncio import CancelledError

        while number not in self._over:
            future = self._awaited[number] = loop.create_future()
            loop.stop()  # the tests go on with it
            try:
                await future
            except CancelledError:
                self._ask(number, "cancel")


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable
