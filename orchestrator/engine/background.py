"""One engine in the background, for callers that are not async: scripts, notebooks, trainers.

Left out: settings of its own. It has those of the environment.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from orchestrator.engine.base import OnOutput
from orchestrator.engine.engine import Engine
from orchestrator.types import ExecutionResult, Limits, Program

_T = TypeVar("_T")


class _Background:
    """One event loop in a thread, with one engine, for callers that are not async (scripts, notebooks)."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fumehood", daemon=True)
        self._thread.start()
        self._engine = Engine()
        try:
            self.do(self._engine.__aenter__())
        except BaseException:
            self._stop()
            raise
        # An interpreter at its end first joins its thread pools, so the engine must close before that.
        threading._register_atexit(self.close)  # type: ignore[attr-defined]

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def execute(self, program: Program, limits: Limits | None, on_output: OnOutput | None) -> ExecutionResult:
        return self.do(self._engine.execute(program, limits, on_output))

    def map(self, programs: Iterable[Program], limits: Limits | None, in_flight: int | None) -> list[ExecutionResult]:
        return self.do(self._engine.map(programs, limits, in_flight))

    def close(self) -> None:
        self.do(self._engine.__aexit__(None, None, None))
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


_background: _Background | None = None
_starting = threading.Lock()


def run(
    code: str | None = None,
    *,
    tests: str | None = None,
    limits: Limits | None = None,
    argv: tuple[str, ...] | None = None,
    args: tuple[str, ...] = (),
    stdin: bytes | str = b"",
    env: dict[str, str] | None = None,
    files: dict[str, bytes] | None = None,
    test_files: dict[str, bytes] | None = None,
    artifacts: tuple[str, ...] = (),
    on_output: OnOutput | None = None,
) -> ExecutionResult:
    """Run Python code (with or without pytest tests, which import it as `candidate`) or a command in a sandbox, and wait.

    The sandboxes are started at the first call and end with the interpreter. See `types.Program` for the arguments.

    Raises:
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: the program is contradictory, or a path in it does not pass the gate.
    """
    program = Program(
        code=code,
        tests=tests,
        argv=argv,
        args=args,
        stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        env=env or {},
        files=files or {},
        test_files=test_files or {},
        artifacts=artifacts,
    )
    return _shared().execute(program, limits, on_output)


def run_many(programs: Iterable[Program], limits: Limits | None = None, *, in_flight: int | None = None) -> list[ExecutionResult]:
    """Run programs in the sandboxes that `run` uses, several at once, and return their results in the order of the input.

    Raises:
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: a program is contradictory, or a path in it does not pass the gate.
    """
    return _shared().map(programs, limits, in_flight)


def _shared() -> _Background:
    global _background
    with _starting:
        if _background is None:
            _background = _Background()
        return _background
