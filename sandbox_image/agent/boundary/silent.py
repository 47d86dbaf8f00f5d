"""Errors that end a thread, a task or a future of the tests' in silence: the test goes on without the assertion in it.

Where nobody asks a future for its result, or a thread ends with an error, Python writes a line and goes on. If an assertion was
begun there or stood next, it has not been made, and the test failed, as where the candidate ends an error (`unreached.py`).
Where it was the candidate's and left out none, and where a thread goes on after its test with one to make, its word is left.

An error that the tests are given as a value (`gather(return_exceptions=True)`, `exception()` of a future) they may have looked
at: it leaves the candidate's word, if it left out an assertion.

Left out: `exception()` of a task, and what is raised while objects go.
"""

from __future__ import annotations

import _thread
import importlib
import logging
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any

from .exceptions import marked


class Silent:
    """Watches how threads, tasks and futures end.

    `ended` is called with an error that nobody has asked for, `pending` with a task that has not ended, `given` with an error
    that the tests got as a value.
    """

    def __init__(
        self,
        ended: Callable[[BaseException], None],
        pending: Callable[[Any], None],
        given: Callable[[BaseException], None],
    ) -> None:
        self._ended, self._pending, self._given = ended, pending, given
        self._waiting: dict[int, tuple[Any, BaseException]] = {}
        """Futures that ended with an error, until they are asked."""
        self._said: weakref.WeakSet[Any] = weakref.WeakSet()
        """Tasks that were passed on."""
        self._threads = False
        """Whether the tests may start threads."""

    def begin(self) -> None:
        """A test begins."""
        self._waiting.clear()

    def finish(self) -> None:
        """A test is at its end."""
        for _, error in list(self._waiting.values()):
            self._ended(error)
        self._waiting.clear()
        tasks = getattr(sys.modules.get("asyncio.tasks"), "_all_tasks", ())
        for task in list(tasks):  # those that are held: of others the loop says so when they go
            if not task.done() and task not in self._said:
                self._said.add(task)
                self._pending(task)
            held = getattr(task, "_exception", None)
            if isinstance(held, BaseException) and task._log_traceback and task not in self._said:
                self._said.add(task)
                self._ended(held)

    def running(self) -> list[list[types.FrameType]]:
        """The frames of each other thread that goes on, where the tests may have any."""
        if not self._threads:
            return []
        own = threading.get_ident()
        return [[one for one, _ in traceback.walk_stack(frame)] for ident, frame in sys._current_frames().items() if ident != own]

    def watch(self, tests: str) -> None:
        """Watch what these tests use."""
        self._threads = "thread" in tests.lower() or "concurrent" in tests
        if "thread" in tests.lower():
            self._watch_threads()
        if "concurrent" in tests:
            self._watch_futures()
        if "asyncio" in tests:
            self._watch_loops()
        if "return_exceptions" in tests:
            self._watch_gathering()

    def _watch_threads(self) -> None:
        module: Any = threading
        made = module._make_invoke_excepthook

        def make() -> Callable[[Any], None]:
            invoke = made()

            def noting(thread: Any) -> None:
                error = sys.exc_info()[1]
                if error is not None:
                    self._ended(error)
                invoke(thread)

            return noting

        module._make_invoke_excepthook = make
        unraisable = sys.unraisablehook

        def noting_bare(about: Any) -> None:
            if "thread" in (about.err_msg or "") and isinstance(about.exc_value, BaseException):
                self._ended(about.exc_value)
            unraisable(about)

        sys.unraisablehook = noting_bare
        start = _thread.start_new_thread

        def start_new_thread(function: Callable[..., Any], *given: Any) -> int:
            def noting_exit(*args: Any, **kwargs: Any) -> None:
                try:
                    function(*args, **kwargs)
                except SystemExit as exc:  # of which Python says nothing at all
                    self._ended(exc)

            return start(noting_exit, *given)

        bare: Any = _thread
        bare.start_new_thread = start_new_thread

    def _watch_futures(self) -> None:
        kind: Any = importlib.import_module("concurrent.futures").Future
        logging.getLogger("concurrent.futures").addFilter(self._noting_logged)
        failed, result, exception = kind.set_exception, kind.result, kind.exception

        def set_exception(future: Any, error: Any) -> None:
            if isinstance(error, BaseException):
                self._waiting[id(future)] = (future, error)
            failed(future, error)

        def asked(ask: Callable[..., Any]) -> Callable[..., Any]:
            def asking(future: Any, timeout: float | None = None) -> Any:
                try:
                    return ask(future, timeout)
                finally:
                    if future.done():
                        self._waiting.pop(id(future), None)

            return asking

        def as_value(future: Any, timeout: float | None = None) -> Any:
            error = exception(future, timeout)
            if error is not None:
                self._given(error)
            return error

        kind.set_exception, kind.result, kind.exception = set_exception, asked(result), asked(as_value)

    def _noting_logged(self, record: logging.LogRecord) -> bool:
        """Note what a callback or an initializer raised, which is no more than logged."""
        if record.exc_info and record.exc_info[1] is not None:
            self._ended(record.exc_info[1])
        return True

    def _watch_loops(self) -> None:
        loop: Any = importlib.import_module("asyncio").BaseEventLoop
        handle = loop.call_exception_handler

        def call_exception_handler(own: Any, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, BaseException):
                self._ended(error)
            handle(own, context)

        loop.call_exception_handler = call_exception_handler

    def _watch_gathering(self) -> None:
        asyncio: Any = importlib.import_module("asyncio")
        gather = asyncio.gather

        def gathering(*awaited: Any, return_exceptions: bool = False) -> Any:
            future = gather(*awaited, return_exceptions=return_exceptions)
            if return_exceptions:
                future.add_done_callback(self._look_at)
            return future

        asyncio.gather = gathering

    def _look_at(self, future: Any) -> None:
        """Pass on what a gathering gives as values. Whom the tests cancelled has no error."""
        cancelled: Any = importlib.import_module("asyncio").CancelledError
        for one in () if future.cancelled() else future.result():
            if isinstance(one, BaseException) and not (isinstance(one, cancelled) and marked(one) is None):
                self._given(one)
