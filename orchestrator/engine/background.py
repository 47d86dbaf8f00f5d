"""One engine in the background, for callers that are not async: scripts, notebooks, trainers.

Left out: settings of its own. It has those of the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from pydantic import ValidationError

from orchestrator.engine.base import TIME_TO_LIVE, OnOutput
from orchestrator.engine.engine import Engine
from orchestrator.errors import UsageError
from orchestrator.files import read_bytes
from orchestrator.sandbox.base import Session
from orchestrator.types import ExecutionResult, Limits, Program

OnResult = Callable[[int, ExecutionResult], None]
"""Called with a program's place in the input, from 0, and its result."""
Content = bytes | str | Path
"""What is in a file: that itself, or where on this machine it lies."""
P = ParamSpec("P")
_T = TypeVar("_T")


def _waiting(
    method: Callable[Concatenate[Session, P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[SyncSession, P], _T]:
    """A method of a session as one that returns when all is done."""

    def wait(self: SyncSession, /, *args: P.args, **kwargs: P.kwargs) -> _T:
        work: Coroutine[Any, Any, _T] = getattr(self._session, method.__name__)(*args, **kwargs)
        return self._engine.do(work)

    functools.update_wrapper(wait, method)
    return wait


class SyncSession:
    """A session for callers that are not async. Each method waits until its work is done; Ctrl-C cancels the work.

    It may be used by several threads. `on_output` is called in a thread of the engine's.
    """

    def __init__(self, engine: Background, session: Session) -> None:
        self._engine, self._session = engine, session

    @property
    def limits(self) -> Limits:
        """What its commands may use."""
        return self._session.limits

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._session.closed

    exec = _waiting(Session.exec)
    read_file = _waiting(Session.read_file)
    write_file = _waiting(Session.write_file)
    list = _waiting(Session.list)
    run_cell = _waiting(Session.run_cell)
    interrupt = _waiting(Session.interrupt)
    restart = _waiting(Session.restart)
    close = _waiting(Session.close)


class Background:
    """One event loop in a thread, with one engine, for callers that are not async (scripts, notebooks).

    Raises (constructor) as entering the engine does.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fumehood", daemon=True)
        self._thread.start()
        self.engine = engine or Engine()
        try:
            self.do(self.engine.__aenter__())
        except BaseException:
            self._stop()
            raise

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do async work in the loop, and wait. Whatever interrupts the waiting cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @contextlib.contextmanager
    def session(self, limits: Limits | None, **options: Any) -> Iterator[SyncSession]:
        """A session, until the block is left."""
        opened = self.engine.session(limits, **options)
        session = self.do(_entered(opened))
        try:
            yield SyncSession(self, session)
        finally:
            self.do(_left(opened))

    def execute(self, program: Program, limits: Limits | None, on_output: OnOutput | None, image: str) -> ExecutionResult:
        """Run a program."""
        return self.do(self.engine.execute(program, limits, on_output, image=image))

    def map(
        self,
        programs: Iterable[Program],
        limits: Limits | None,
        in_flight: int | None,
        image: str,
        on_result: OnResult | None,
    ) -> list[ExecutionResult]:
        """Run programs."""

        async def collect() -> list[ExecutionResult]:
            results = {}
            stream = self.engine.execute_many(programs, limits, in_flight, image=image)
            async with contextlib.aclosing(stream):
                async for place, result in stream:
                    results[place] = result
                    if on_result is not None:
                        on_result(place, result)
            return [results[place] for place in range(len(results))]

        return self.do(collect())

    def close(self) -> None:
        """Close the engine, and with it everything that is open. Safe to call twice."""
        if self._loop.is_closed():
            return
        self.do(self.engine.__aexit__(None, None, None))
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _entered(opened: contextlib.AbstractAsyncContextManager[Session]) -> Session:
    return await opened.__aenter__()


async def _left(opened: contextlib.AbstractAsyncContextManager[Session]) -> None:
    await opened.__aexit__(None, None, None)


_background: Background | None = None
_starting = threading.Lock()


def _program(**values: Any) -> Program:
    """A program of arguments. Raises UsageError for one of another type."""
    try:
        return Program(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = first["msg"].removeprefix("Input should be ")
        raise UsageError(f"`{first['loc'][0]}` must be {what}.", remedy="`help(orchestrator.run)` says what each is.") from None


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
    if limits is not None and not isinstance(limits, Limits):
        raise UsageError(f"`limits` is a {type(limits).__name__}.", remedy="Give Limits(...), as Limits(wall_time=5).")
    program = _program(
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
    return shared().execute(program, limits, on_output, image)


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
        in_flight: how many run or wait for a sandbox at once; by default twice the number of sandboxes.
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
    return shared().map(every, limits, in_flight, image, on_result)


def _contents(given: Mapping[str, Content] | None) -> dict[str, bytes]:
    """Files as they travel. Raises UsageError where one cannot be read."""
    return {name: _content(content) for name, content in (given or {}).items()}


def _content(given: Content) -> bytes:
    if isinstance(given, Path):
        return read_bytes(given, "The file")
    return given.encode() if isinstance(given, str) else given


@contextlib.contextmanager
def session(limits: Limits | None = None, *, image: str = "", gpus: int = 0, ttl: float = TIME_TO_LIVE) -> Iterator[SyncSession]:
    """A sandbox of its own for many steps, until the block is left and for `ttl` seconds at most.

        with fumehood.session() as session:
            session.write_file("data.csv", "a,b\\n1,2\\n")
            print(session.exec(["wc", "-l", "data.csv"]).stdout)
            print(session.run_cell("1 + 1").value)

    `sandbox.base.Session` says what it can do, and why nothing that comes out of it is a verdict.

    Raises (on entry):
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: the limits do not fit this host, or the time to live is not valid.
    """
    with shared().session(limits, image=image, gpus=gpus, ttl=ttl) as opened:
        yield opened


def shared() -> Background:
    """The engine of this process, started when it is first asked for; it ends with the interpreter."""
    global _background
    with _starting:
        if _background is None:
            _background = Background()
            # An interpreter at its end first joins its thread pools, so the engine must close before that.
            threading._register_atexit(_background.close)  # type: ignore[attr-defined]
        return _background
