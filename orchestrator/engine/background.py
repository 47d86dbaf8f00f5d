"""One engine in the background, for callers that are not async: scripts, notebooks, trainers.

Left out: settings of its own. It has those of the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from orchestrator.engine.base import OnOutput
from orchestrator.engine.engine import Engine
from orchestrator.errors import UsageError
from orchestrator.files import read_bytes
from orchestrator.types import ExecutionResult, Limits, Program

OnResult = Callable[[int, ExecutionResult], None]
"""Called with a program's place in the input, from 0, and its result."""
Content = bytes | str | Path
"""What is in a file: that itself, or where on this machine it lies."""
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

    def execute(self, program: Program, limits: Limits | None, on_output: OnOutput | None, image: str) -> ExecutionResult:
        return self.do(self._engine.execute(program, limits, on_output, image=image))

    def map(
        self,
        programs: Iterable[Program],
        limits: Limits | None,
        in_flight: int | None,
        image: str,
        on_result: OnResult | None,
    ) -> list[ExecutionResult]:
        async def collect() -> list[ExecutionResult]:
            results = {}
            stream = self._engine.execute_many(programs, limits, in_flight, image=image)
            async with contextlib.aclosing(stream):
                async for place, result in stream:
                    results[place] = result
                    if on_result is not None:
                        on_result(place, result)
            return [results[place] for place in range(len(results))]

        return self.do(collect())

    def close(self) -> None:
        if self._loop.is_closed():
            return
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
    entry_point: str = "",
    module: str = "candidate",
    judging: Literal["auto", "apart", "together"] = "auto",
    in_place: bool = False,
    limits: Limits | None = None,
    argv: Sequence[str] | None = None,
    args: Sequence[str] = (),
    stdin: bytes | str = b"",
    env: Mapping[str, str] | None = None,
    files: Mapping[str, Content] | None = None,
    test_files: Mapping[str, Content] | None = None,
    artifacts: Sequence[str] = (),
    image: str = "",
    on_output: OnOutput | None = None,
) -> ExecutionResult:
    """Run Python code (with or without pytest tests) or a command in a sandbox, and wait.

    The sandboxes are started at the first call and end with the interpreter.

    Args:
        code: Python source.
        tests: pytest source that imports `code` by the name in `module`.
        entry_point: where `tests` define `check(candidate)`: the function of `code` that is passed to it.
        module: what `tests` import `code` as.
        judging: candidate and tests in two sandboxes (`apart`) or in one interpreter (`together`); `auto`: apart where possible.
        in_place: tests may look at what a function did to its arguments.
        limits: seconds and bytes that it may use; see `help(Limits)`.
        argv: a command line in place of `code`.
        args: `sys.argv[1:]` for `code`.
        stdin: what it reads.
        env: environment variables.
        files: path in the work folder -> content (bytes or text), or a `Path` of this machine that is read.
        test_files: the same for files of the tests alone.
        artifacts: paths or globs of files that are carried out, into the result's `artifacts`.
        image: another sandbox image than the one of the settings.
        on_output: called with "stdout" or "stderr" and a piece of output while it runs, in another thread.

    Raises:
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: the program is contradictory, a path in it does not pass the gate, or a file cannot be read.
    """
    program = Program(
        code=code,
        tests=tests,
        entry_point=entry_point,
        module=module,
        judging=judging,
        in_place=in_place,
        argv=None if argv is None else tuple(argv),
        args=tuple(args),
        stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        env=dict(env or {}),
        files=_contents(files),
        test_files=_contents(test_files),
        artifacts=tuple(artifacts),
    )
    return _shared().execute(program, limits, on_output, image)


def run_many(
    programs: Iterable[Program | str],
    limits: Limits | None = None,
    *,
    tests: str | None = None,
    entry_point: str = "",
    module: str = "candidate",
    judging: Literal["auto", "apart", "together"] = "auto",
    in_place: bool = False,
    files: Mapping[str, Content] | None = None,
    test_files: Mapping[str, Content] | None = None,
    image: str = "",
    in_flight: int | None = None,
    on_result: OnResult | None = None,
) -> list[ExecutionResult]:
    """Run programs in the sandboxes that `run` uses, several at once, and return their results in the order of the input.

    Args:
        programs: programs in full, or the source of each: then `tests` and the others below, as `run` has them, are for all of
            these.
        limits: seconds and bytes that each may use; see `help(Limits)`.
        in_flight: how many run or wait for a sandbox at once; twice the number of sandboxes unless told otherwise.
        on_result: called with (place in the input, result) when one is done, in another thread: for a progress bar, or to keep
            results as they come. What it raises ends everything.

    Raises:
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: a program is contradictory, a path in it does not pass the gate, or a file cannot be read.
    """
    if isinstance(programs, str):
        raise UsageError("run_many takes several programs, and this is one.", remedy="Use run, or give a list.")
    common = Program(
        code="",
        tests=tests,
        entry_point=entry_point,
        module=module,
        judging=judging,
        in_place=in_place,
        files=_contents(files),
        test_files=_contents(test_files),
    )
    every = (common.model_copy(update={"code": one}) if isinstance(one, str) else one for one in programs)
    return _shared().map(every, limits, in_flight, image, on_result)


def _contents(given: Mapping[str, Content] | None) -> dict[str, bytes]:
    """Files as they travel. Raises UsageError where one cannot be read."""
    return {name: _content(content) for name, content in (given or {}).items()}


def _content(given: Content) -> bytes:
    if isinstance(given, Path):
        return read_bytes(given, "The file")
    return given.encode() if isinstance(given, str) else given


def _shared() -> _Background:
    global _background
    with _starting:
        if _background is None:
            _background = _Background()
        return _background
