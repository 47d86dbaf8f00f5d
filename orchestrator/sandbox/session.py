"""Sessions on Docker: a container of its own for one owner, spoken to over the stream that runs use.

No command needs `docker exec`, whose start costs more than most commands: the agent inside (`sandbox_image/agent/session.py`)
starts them. It is another user than they are, and their output reaches the host in frames of its making.

Left out: keeping sessions warm (`pool.py`), cells (`cells.py`), and trust in what a session says; see `base.Session`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.sandbox.base import OnOutput, content_of
from orchestrator.sandbox.cells import Cells
from orchestrator.sandbox.channel import Channel
from orchestrator.sandbox.commands import Command, read_end, seconds, text, variables, words
from orchestrator.sandbox.commands import path as checked_path
from orchestrator.sandbox.docker import DockerProvider
from orchestrator.sandbox.engine import end_state
from orchestrator.sandbox.hardening import ROOM, ContainerSpec
from orchestrator.types import CellResult, Entry, ExecResult, Limits, MiB, Status
from sandbox_image.agent import protocol, schema

GRACE = 15.0
"""Seconds beyond a command's time limit before a silent agent counts as dead."""
_FILE_TIMEOUT = 60.0
"""Seconds for a file's way in or out."""
_MESSAGE = 4096
"""Bytes of what is said of a file that could not be read or written."""
_ENTRIES = TypeAdapter(list[tuple[str, str, int]])


class DockerSession:
    """One container for one owner; see `base.Session`. Made by `DockerSessions`, and nobody's until `open`."""

    def __init__(self, provider: DockerProvider, container: str, channel: Channel, spec: ContainerSpec) -> None:
        self._provider, self.container, self._channel, self._spec = provider, container, channel, spec
        self.limits = spec.limits
        self._ttl = 0.0
        self._opened = 0.0
        self._commands: dict[int, Command] = {}
        self._count = 0
        self._sending: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: SandboxUnavailable | None = None
        """Why it takes no further command."""
        self._destroying, self._gone = threading.Lock(), False
        self._closing: asyncio.Future[None] | None = None
        self._cells = Cells(self)

    @property
    def spent(self) -> bool:
        """Whether somebody has it, or had it."""
        return self._loop is not None or self._over is not None

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._over is not None

    @property
    def bounds(self) -> schema.Bounds:
        """What each command may use, unless it is given more."""
        return {"processes": self.limits.processes, "cpu_time": self.limits.cpu_time}

    async def open(self, limits: Limits, ttl: float) -> None:
        """Become the session of whoever calls this, for `ttl` seconds.

        Raises:
            SandboxUnavailable: it is somebody's already, or has died.
        """
        if self.spent:
            raise SandboxUnavailable("This session has an owner.")
        self._loop = asyncio.get_running_loop()
        self.limits, self._ttl, self._opened = limits, ttl, time.monotonic()
        await self._provider.in_thread(self._begin)
        threading.Thread(target=self._listen, name="fumehood-session", daemon=True).start()

    def _begin(self) -> None:
        if self.limits.memory != self._spec.limits.memory or self.limits.processes != self._spec.limits.processes:
            self._provider.set_limits(self.container, self.limits.memory, self.limits.processes + protocol.MOST_COMMANDS + ROOM)
        self._channel.set_deadline(time.monotonic() + GRACE)
        try:
            begin: schema.Begin = {"type": "begin", "ttl": self._ttl}
            self._channel.send(protocol.encode(begin))
            said, _ = protocol.read(self._channel.read_exactly)
        except (EOFError, OSError, protocol.ProtocolError) as exc:
            raise SandboxUnavailable(f"The sandbox of a new session does not answer: {str(exc) or type(exc).__name__}.") from exc
        if said["type"] != "begun":
            raise SandboxUnavailable(f"The sandbox of a new session answered {said['type']!r}.")
        self._channel.set_deadline(time.monotonic() + self._ttl + GRACE)

    # What the agent says

    def _listen(self) -> None:
        """In a thread of its own: pass frames to the owner's loop, until the agent is gone."""
        assert self._loop is not None
        try:
            while True:
                frame, body = protocol.read(self._channel.read_exactly)
                # The agent's own words: it is another user than all that runs in the session.
                self._loop.call_soon_threadsafe(self._heard, cast(schema.FromSession, frame), body)
        except (EOFError, OSError, protocol.ProtocolError) as exc:
            self._end(exc)
        except RuntimeError:  # the loop is closed: the owner is gone
            self.destroy()

    def _end(self, exc: Exception) -> None:
        """The agent is gone, or talks nonsense: say why, and leave nothing."""
        over = self._over or self._explain(exc)
        with contextlib.suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._died, over)
        with contextlib.suppress(Exception):  # whoever closes the provider tries again
            self.destroy()

    def _explain(self, exc: Exception) -> SandboxUnavailable:
        state = end_state(self._provider.api, self.container)
        if state.get("ExitCode") == protocol.OVER:
            return SandboxUnavailable(
                f"The session is over: its time to live of {self._ttl:g} seconds has passed.", remedy="Ask for a longer `ttl`."
            )
        if state.get("OOMKilled"):
            return SandboxUnavailable(
                f"The session died: its {self.limits.memory / MiB:.0f} MiB of memory are used up by files or processes.",
                remedy="Ask for more `memory`, or less `disk`.",
            )
        words = self._channel.log.decode("utf-8", "replace").strip().splitlines()
        last = f"; last words: {words[-1]}" if words else ""
        return SandboxUnavailable(f"The session died ({str(exc) or 'its stream ended'}{last}).")

    def _died(self, why: SandboxUnavailable) -> None:
        self._over = self._over or why
        for command in [*self._commands.values()]:
            command.end(self._over)
        self._commands.clear()

    def _heard(self, frame: schema.FromSession, body: bytes) -> None:
        if frame["type"] not in ("output", "taken", "ended") or (command := self._commands.get(frame["id"])) is None:
            return
        if frame["type"] == "output":
            try:
                command.heard(frame["stream"], body)
            except Exception as exc:  # of a callback of the owner's
                del self._commands[command.number]
                command.end(exc)
                self._send_soon({"type": "stop", "id": command.number})
        elif frame["type"] == "taken":
            command.ahead -= frame["size"]
            command.taken.set()
        elif frame["type"] == "ended":
            del self._commands[command.number]
            command.end(frame)

    # What the agent is asked for

    async def start(
        self,
        command: Command,
        work: schema.Errand,
        *,
        input: bytes = b"",
        open_input: bool = False,
        timeout: float | None,
        output: int | None,
    ) -> None:
        """Send a command on its way, with the beginning of its input. `output` is how much of its output is passed on.

        Raises:
            SandboxUnavailable: the session has ended or died.
        """
        if self._over is not None:
            raise _again(self._over)
        if self._loop is None:
            raise SandboxUnavailable("This session was not opened.")
        self._count += 1
        command.number, command.ahead = self._count, len(input)
        self._commands[command.number] = command
        frame: schema.Start = {
            "type": "start",
            "id": command.number,
            "work": work,
            "timeout": timeout,
            "output": output,
            "end": not open_input,
        }
        try:
            await self.send(frame, input)
        except protocol.ProtocolError as exc:
            raise UsageError(f"The command is too long: {exc}", remedy="Pass what is long as `input`, or as a file.") from exc

    async def feed(self, command: Command, data: bytes, *, end: bool) -> None:
        """Send more input, no faster than it is taken. What has ended takes none."""
        view = memoryview(data)
        while len(view) or end:
            while command.ahead + protocol.PIECE > protocol.WINDOW and not command.ended.done():
                command.taken.clear()
                await command.taken.wait()
            if command.ended.done():
                return
            chunk, view = bytes(view[: protocol.PIECE]), view[protocol.PIECE :]
            command.ahead += len(chunk)
            last = end and not len(view)
            await self.send({"type": "input", "id": command.number, "end": last}, chunk)
            if last:
                return

    async def send(self, frame: schema.ToSession, body: bytes = b"") -> None:
        """Send a frame. That nobody is there to read it is noticed by who listens."""
        with contextlib.suppress(OSError):
            await self._provider.in_thread(self._channel.send, protocol.encode(frame, body))

    def _send_soon(self, frame: schema.ToSession) -> None:
        with contextlib.suppress(RuntimeError):  # the provider is closed, and with it the session
            task = asyncio.ensure_future(self.send(frame))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _run(
        self,
        work: schema.Errand,
        *,
        input: bytes = b"",
        timeout: float,
        output: int,
        on_output: OnOutput | None = None,
    ) -> tuple[schema.Ended, Command]:
        """Run a command to its end. Raises SandboxUnavailable."""
        first, rest = input[: protocol.PIECE], input[protocol.PIECE :]
        command = Command(on_output)
        try:
            await self.start(command, work, input=first, open_input=bool(rest), timeout=timeout, output=output)
            async with asyncio.timeout(timeout + GRACE):
                if rest:
                    await self.feed(command, rest, end=True)
                return await asyncio.shield(command.ended), command
        except TimeoutError as exc:
            raise await self.fell_silent() from exc
        except SandboxUnavailable as exc:
            raise _again(exc) from exc
        finally:
            if not command.ended.done():  # whoever waited went away
                command.ended.cancel()
                self._send_soon({"type": "stop", "id": command.number})
            self._commands.pop(command.number, None)

    async def fell_silent(self) -> SandboxUnavailable:
        """End a session whose agent does not answer. Returns what is to be said of that."""
        self._died(SandboxUnavailable("The session fell silent, and was ended."))
        await self.close()
        return SandboxUnavailable("The session fell silent while a command ran in it.")

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
        """Run a command and report what happened; see `base.Session`."""
        work: schema.Exec = {
            **self.bounds,
            "mode": "exec",
            "argv": words(argv),
            "cwd": text(cwd),
            "env": protocol.ENVIRONMENT | variables(env),
        }
        if timeout is not None:  # who gives a command more time means to have it used
            work["cpu_time"] = max(self.limits.cpu_time, timeout)
        data = input.encode("utf-8", "surrogatepass") if isinstance(input, str) else input
        limit = seconds(timeout, self.limits.wall_time)
        end, command = await self._run(work, input=data, timeout=limit, output=self.limits.output, on_output=on_output)
        return read_end(end, command)

    async def read_file(self, path: str) -> bytes:
        """The content of a file; see `base.Session`."""
        work: schema.Read = {**self.bounds, "mode": "read", "path": checked_path(path), "size": protocol.MAX_FILE}
        command = await self._carry(work, f"The file {path!r} cannot be read", output=protocol.MAX_FILE)
        return bytes(command.output["stdout"])

    async def write_file(self, path: str, content: bytes | str) -> None:
        """Write a file; see `base.Session`."""
        data = content_of(path, content)
        if len(data) > protocol.MAX_FILE:
            raise UsageError(
                f"The file {path!r} of {len(data)} bytes is too large.", remedy=f"At most {protocol.MAX_FILE // MiB} MiB fit."
            )
        work: schema.Write = {**self.bounds, "mode": "write", "path": checked_path(path), "size": len(data)}
        await self._carry(work, f"The file {path!r} cannot be written", input=data)

    async def list(self, path: str = "") -> tuple[Entry, ...]:
        """What is in a folder; see `base.Session`."""
        work: schema.List = {**self.bounds, "mode": "list", "path": checked_path(path) if path else ""}
        command = await self._carry(work, f"The folder {path or '.'!r} cannot be listed", output=64 * MiB)
        try:
            found = _ENTRIES.validate_json(bytes(command.output["stdout"]))
            return tuple(Entry.model_validate({"name": name, "kind": kind, "size": size}) for name, kind, size in found)
        except ValidationError as exc:
            raise SandboxUnavailable(f"The session does not say what is in {path or '.'!r}.") from exc

    async def _carry(self, work: schema.Errand, failed: str, *, input: bytes = b"", output: int = _MESSAGE) -> Command:
        """Do something with a file. Raises UsageError with what hinders it."""
        end, command = await self._run(work, input=input, timeout=_FILE_TIMEOUT, output=output)
        if end["status"] != Status.OK:
            said = command.output["stderr"].decode("utf-8", "replace").strip().rstrip(".")
            raise UsageError(f"{failed}: {said or end['detail'] or end['status']}.")
        return command

    async def run_cell(self, code: str, *, timeout: float | None = None, on_output: OnOutput | None = None) -> CellResult:
        """Run Python code that keeps its state; see `base.Session`."""
        return await self._cells.run(code, seconds(timeout, self.limits.wall_time), on_output)

    async def interrupt(self) -> None:
        """Interrupt the cell that runs; see `base.Session`."""
        await self._cells.interrupt()

    async def restart(self) -> None:
        """End the process of the cells; see `base.Session`."""
        await self._cells.restart()

    # The end

    async def close(self) -> None:
        """Destroy the container. Safe to call twice, and shielded from cancellation."""
        if self._closing is None:
            self._died(SandboxUnavailable("The session is closed."))
            self._closing = asyncio.ensure_future(self._provider.in_thread(self.destroy))
        await asyncio.shield(self._closing)

    def destroy(self) -> None:
        """Destroy the container, from any thread. Safe to call twice."""
        with self._destroying:  # who comes second is to wait for the first
            if not self._gone:
                self._channel.close()
                self._provider.remove(self.container)
                self._gone = True


class DockerSessions:
    """Makes containers for sessions, by means of a provider that is given over to it."""

    def __init__(self, provider: DockerProvider) -> None:
        self._provider = provider

    async def create(self) -> DockerSession:
        """Start a container and wait until its agent is ready.

        Raises:
            SandboxUnavailable: the engine refused, or the agent did not come up.
        """
        return await self._provider.shielded(lambda: DockerSession(self._provider, *self._provider.start()))

    def close_now(self) -> None:
        """Destroy everything, synchronously: the last resort of `atexit`. Safe to call twice."""
        self._provider.close_now()

    async def close(self) -> None:
        """Destroy everything that still runs. Safe to call twice."""
        await self._provider.close()


def _again(error: SandboxUnavailable) -> SandboxUnavailable:
    """A new exception that says the same, for a raised one grows a traceback."""
    return SandboxUnavailable(error.message, remedy=error.remedy)
