"""Providers that answer from a list or by a function: for tests and examples without an engine. Run nothing.

Sandboxes can be slow, serve several runs with one sandbox, and fail at random from a seed, as real ones do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.sandbox.base import OnOutput, content_of
from orchestrator.types import CellResult, Entry, ExecResult, Limits, Program, RunReport, Status
from sandbox_image.agent.protocol import check_path

Answer = RunReport | SandboxUnavailable


class ScriptedSandbox:
    """A sandbox whose report is known beforehand."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self._provider = provider
        self._gone: asyncio.Future[None] | None = None
        self.runs = 0
        self.closed = False
        self.spent = False

    async def run(self, program: Program, limits: Limits, on_output: Callable[[str, bytes], None] | None = None) -> RunReport:
        """Give the next answer; see `base.Sandbox`."""
        if self.spent or self.closed:
            raise SandboxUnavailable("This sandbox takes no further run.")
        script = self._provider
        self.runs += 1
        self.spent = self.runs >= script.runs
        if script.record:
            script.programs.append(program)
        script.running += 1
        script.most_running = max(script.most_running, script.running)
        try:
            delay = script.run_delay(program) if callable(script.run_delay) else script.run_delay
            if delay:
                await self._sleep(delay)
        finally:
            script.running -= 1
        if script.death_rate and script.random.random() < script.death_rate:
            self.spent = True
            raise SandboxUnavailable("It died, by the script.")
        answer = script.answer(program)
        if isinstance(answer, SandboxUnavailable):
            self.spent = True
            raise answer
        if on_output is not None and answer.stdout:
            on_output("stdout", answer.stdout.encode())
        return answer

    async def _sleep(self, seconds: float) -> None:
        """Until the time is over or the sandbox is destroyed."""
        loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        timer = loop.call_later(seconds, _finish, self._gone)
        try:
            await self._gone
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Be destroyed, under a run too. Safe to call twice."""
        self.closed = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_exception(SandboxUnavailable("It was destroyed while a program ran."))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ScriptedProvider:
    """Makes sandboxes that answer in the order of a list, or by a function of the program.

    A sandbox serves `runs` runs. Starting one takes `start_delay` seconds and fails at the rate `start_failure_rate`; a run
    takes `run_delay` seconds (or what that says of the program) and ends in the sandbox's death at the rate `death_rate`.
    What fails is drawn with `seed`. `record=False` keeps neither programs nor sandboxes, for runs by the thousand.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[Program], Answer],
        *,
        runs: int = 1,
        start_delay: float = 0.0,
        run_delay: float | Callable[[Program], float] = 0.0,
        start_failure_rate: float = 0.0,
        death_rate: float = 0.0,
        seed: int = 0,
        judges_apart: bool = False,
        record: bool = True,
    ) -> None:
        self._function = answers if callable(answers) else None
        self._answers: Iterator[Answer] = iter(()) if callable(answers) else iter(answers)
        self.runs = runs
        self.start_delay, self.run_delay = start_delay, run_delay
        self.start_failure_rate, self.death_rate = start_failure_rate, death_rate
        self.random = random.Random(seed)
        self.judges_apart = judges_apart
        self.record = record
        self.programs: list[Program] = []
        """What was asked, in order."""
        self.sandboxes: list[ScriptedSandbox] = []
        self.created = 0
        self.running = 0
        self.most_running = 0
        """How many ran at once at most."""
        self.closed = False

    def answer(self, program: Program) -> Answer:
        """The next report.

        Raises:
            SandboxUnavailable: the script is used up.
        """
        if self._function is not None:
            return self._function(program)
        try:
            return next(self._answers)
        except StopIteration:
            raise SandboxUnavailable("The script has no answer left.") from None

    async def create(self) -> ScriptedSandbox:
        """A sandbox, after the scripted time.

        Raises:
            SandboxUnavailable: by the script.
        """
        if self.start_delay:
            await asyncio.sleep(self.start_delay)
        if self.start_failure_rate and self.random.random() < self.start_failure_rate:
            raise SandboxUnavailable("It did not start, by the script.")
        self.created += 1
        sandbox = ScriptedSandbox(self)
        if self.record:
            self.sandboxes.append(sandbox)
        return sandbox

    async def close(self) -> None:
        """Close all. Safe to call twice."""
        self.closed = True
        for sandbox in self.sandboxes:
            await sandbox.close()


class ScriptedSession:
    """A session whose answers are known beforehand, with files that it keeps in memory."""

    def __init__(self, script: ScriptedSessions) -> None:
        self._script = script
        self.limits = Limits()
        self.ttl = 0.0
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, ...] | str] = []
        """Commands and cells, in order."""
        self.spent = self.closed = False

    async def open(self, limits: Limits, ttl: float) -> None:
        """Become the caller's; see `base.OpenableSession`."""
        self._look_open()
        if self.spent:
            raise SandboxUnavailable("This session has an owner.")
        self.limits, self.ttl, self.spent = limits, ttl, True

    def _look_open(self) -> None:
        if self.closed:
            raise SandboxUnavailable("The session is closed.")

    async def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | str = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """What the script says of a command."""
        self._look_open()
        self.asked.append(tuple(argv))
        result = self._script.command(list(argv))
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            if on_output is not None and text:
                on_output(stream, text.encode())
        return result

    async def run_cell(self, code: str, *, timeout: float | None = None, on_output: OnOutput | None = None) -> CellResult:
        """What the script says of a cell."""
        self._look_open()
        self.asked.append(code)
        return self._script.cell(code)

    async def read_file(self, path: str) -> bytes:
        """What was written."""
        self._look_open()
        if path not in self.files:
            raise UsageError(f"The file {path!r} cannot be read: No such file or directory.")
        return self.files[path]

    async def write_file(self, path: str, content: bytes | str) -> None:
        """Keep a file."""
        self._look_open()
        data = content_of(path, content)
        try:
            self.files[check_path(path)] = data
        except ValueError as exc:
            raise UsageError(str(exc)) from exc

    async def list(self, path: str = "") -> tuple[Entry, ...]:
        """The files of a folder, and the folders in it."""
        self._look_open()
        start = f"{path}/" if path else ""
        below = {name.removeprefix(start): len(content) for name, content in self.files.items() if name.startswith(start)}
        folders = {name.partition("/")[0] for name in below if "/" in name}
        entries = [Entry(name=name, kind="file", size=size) for name, size in below.items() if "/" not in name]
        return tuple(sorted([*entries, *(Entry(name=name, kind="folder") for name in folders)], key=lambda entry: entry.name))

    async def interrupt(self) -> None:
        """Nothing runs."""

    async def restart(self) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """End. Safe to call twice."""
        self.closed = True


class ScriptedSessions:
    """Makes sessions that answer by functions of the command line and of a cell's code, for `Engine(sessions_of=...)`."""

    def __init__(
        self,
        command: Callable[[list[str]], ExecResult] = lambda argv: ExecResult(status=Status.OK, exit_code=0),
        cell: Callable[[str], CellResult] = lambda code: CellResult(status=Status.OK),
    ) -> None:
        self.command, self.cell = command, cell
        self.sessions: list[ScriptedSession] = []
        """All that were made, in order."""

    async def create(self) -> ScriptedSession:
        """A session that waits for its owner."""
        self.sessions.append(ScriptedSession(self))
        return self.sessions[-1]

    async def close(self) -> None:
        """Close all. Safe to call twice."""
        for session in self.sessions:
            await session.close()
