"""Run programs and judge them: a pool of sandboxes, retries when a sandbox dies, a verdict at the end.

For now tests run in the candidate's interpreter, so a result with tests says `judging: together`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.errors import PrerequisiteError, SandboxError
from orchestrator.sandbox.base import Provider
from orchestrator.sandbox.pool import Pool
from orchestrator.scoring.verdicts import binary_reward, verdict_of_program, verdict_of_tests
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, Program, RunReport, Status

OnOutput = Callable[[str, bytes], None]
_T = TypeVar("_T")


class Engine:
    """Executes programs in warm sandboxes. Use it as an async context manager.

    Entering starts the sandboxes in the background and removes what a crashed process left behind.

    Raises (on entry):
        PrerequisiteError: no engine, no permission, or no sandbox image.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        limits: Limits | None = None,
        provider: Provider | None = None,
        retries: int = 2,
        preload: bool = True,
    ) -> None:
        self.settings = settings or Settings()
        self.limits = limits or Limits()
        """What sandboxes are made for and what a run gets unless it says otherwise."""
        self._provider = provider
        self._retries = retries
        self._preload = preload
        """Whether sandboxes wait with numpy, torch and pytest imported: seconds more to warm up, nothing to pay at the run."""
        self._pool: Pool | None = None
        self.image = ""
        """Digest of the sandbox image."""

    async def __aenter__(self) -> Engine:
        if self._provider is None:
            self._provider = await asyncio.to_thread(self._docker)
        self._pool = Pool(self._provider, self.settings.workers)
        await self._pool.__aenter__()
        return self

    def _docker(self) -> Provider:
        from orchestrator.sandbox.docker import ContainerSpec, DockerProvider
        from orchestrator.sandbox.image import image_tag

        image = self.settings.image or image_tag()
        spec = ContainerSpec(image=image, limits=self.limits, runtime=self.settings.runtime, preload=self._preload)
        provider = DockerProvider(spec)
        provider.reap()
        atexit.register(provider.close_now)
        self.image = provider.image_id
        return provider

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def execute(self, program: Program, limits: Limits | None = None, on_output: OnOutput | None = None) -> ExecutionResult:
        """Run a program, judge it if it has tests, and say what it is worth.

        A program that crashes, hangs or floods its output is a normal result. A sandbox that dies is replaced and the
        program sent again; if that keeps failing the result is `sandbox_error`, verdict `unscored`, reward None: never the
        program's fault.
        A wall-clock timeout on a saturated host is run once more before it counts.

        Raises:
            UsageError: the program is contradictory, or a path in it does not pass the gate.
            PoolExhausted: no sandbox became free.
        """
        if self._pool is None:
            raise RuntimeError("Enter the engine first: `async with Engine() as engine`.")
        limits = limits or self.limits
        failures: list[str] = []
        waited_again = False
        while True:
            try:
                async with self._pool.acquire() as sandbox:
                    report = await sandbox.run(program, limits, on_output)
            except PrerequisiteError:
                raise
            except SandboxError as exc:
                failures.append(str(exc))
                if len(failures) > self._retries:
                    report = RunReport(status=Status.SANDBOX_ERROR, detail=failures[-1])
                else:
                    continue
            attempts = len(failures) + waited_again + (report.status is not Status.SANDBOX_ERROR)
            if report.status is Status.TIMED_OUT_WALL and not waited_again and _saturated():
                waited_again = True
                continue
            return judged(program, report, attempts)


def _saturated() -> bool:
    """Whether more work wants to run than the host has cores, so that a wall clock says little."""
    with contextlib.suppress(OSError):
        return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
    return False


def judged(program: Program, report: RunReport, attempts: int = 1) -> ExecutionResult:
    """A report with its verdict and reward."""
    verdict = verdict_of_tests(report) if program.tests is not None else verdict_of_program(report)
    return ExecutionResult(
        **dict(report),
        verdict=verdict,
        reward=binary_reward(verdict) if program.tests is not None else None,
        judging="together" if program.tests is not None else "none",
        attempts=attempts,
    )


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
    artifacts: tuple[str, ...] = (),
    on_output: OnOutput | None = None,
) -> ExecutionResult:
    """Run Python code (with or without pytest tests, which import it as `candidate`) or a command in a sandbox, and wait.

    The sandboxes are started at the first call and end with the interpreter. See `types.Program` for the arguments.

    Raises:
        PrerequisiteError: no engine, no permission, or no sandbox image; the remedy says what helps.
        UsageError: the program is contradictory, or a path in it does not pass the gate.
    """
    global _background
    program = Program(
        code=code,
        tests=tests,
        argv=argv,
        args=args,
        stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        env=env or {},
        files=files or {},
        artifacts=artifacts,
    )
    with _starting:
        if _background is None:
            _background = _Background()
    return _background.execute(program, limits, on_output)
