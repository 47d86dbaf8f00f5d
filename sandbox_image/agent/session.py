"""PID 1 of a session: start commands, pass on what goes into them and comes out, and end them in time.

Unlike the agent of runs (`main.py`) it is another user than what it starts: its commands can neither end it nor look into it,
and what they say about themselves reaches the host only as their output. It ends when its stdin closes and when the session's
time to live is over; the kernel ends everything else in the container then.

Left out: what keeps the processes of one command together. That is `keeper.py`.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import selectors
import signal
import time
from typing import TYPE_CHECKING, NoReturn

from . import protocol
from .files import filled
from .gpu import Gpu, bound
from .keeper import OUTLETS, STREAMS, Keeper
from .linux import PR_SET_DUMPABLE, prctl
from .meter import Meter
from .pipe import Pipe, attached, widen

if TYPE_CHECKING:
    from .schema import Errand, FromSession, Outlet, Start, ToSession

_CHUNK = 1 << 20
_MOST_WAITING = 8
"""Children that wait: as many commands may come at once without waiting for a fork."""
_TRIES = 3
"""Children that are tried, where those that wait have died."""
_MOST_READS = 64
"""Reads of one stream at a time: more than a pipe holds, and not for ever where somebody goes on writing."""


class Command:
    """What the agent knows of one command."""

    def __init__(self, keeper: Keeper, frame: Start, body: bytes) -> None:
        assert keeper.order is not None
        self.keeper, self.order = keeper, keeper.order
        self.id = frame["id"]
        self.cap = frame["output"]
        """Bytes of stdout, and of stderr, that are passed on; None for all of them."""
        self.begun = time.monotonic()
        self.time_limit = frame["timeout"]
        self.streams: dict[str, int] = {}
        """Our ends that are open."""
        self.input = bytearray(body)
        """What it has not taken yet."""
        self.input_ends = frame["end"]
        self.written = {"stdout": 0, "stderr": 0}
        self.stopped: tuple[str, str] | None = None
        """Status and a sentence, once it was told to end."""
        self.oom_kills = self.refused_forks = 0
        """How many there had been when it began."""
        self.ended = False


class Session:
    """Serves one session from its beginning to its end."""

    def __init__(self, pipe: Pipe[ToSession, FromSession], user: int, meter: Meter, gpu: Gpu | None = None) -> None:
        self._pipe, self._user, self._meter, self._gpu = pipe, user, meter, gpu
        self._selector = selectors.DefaultSelector()
        self._commands: dict[int, Command] = {}
        """Those that were not told of as ended."""
        self._keepers: dict[Keeper, Command | None] = {}
        """With the command that each is at, or whose processes it waits for."""

    def serve(self) -> None:
        """Do what the host asks for, until it closes the stream: then EOFError is raised."""
        self._selector.register(self._pipe.read, selectors.EVENT_READ, self._hear)
        while True:
            self._prepare()
            for key, _ in self._selector.select(self._patience()):
                # What an event before this one closed is not to be read, even where its number is in use again.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._look_at_clocks()

    def _prepare(self) -> None:
        """Have a child waiting, if there is none and nobody is about to make one."""
        if None not in self._keepers.values():
            with contextlib.suppress(OSError):
                self._add_keeper()

    def _add_keeper(self) -> Keeper:
        keeper = Keeper(self._user)
        self._keepers[keeper] = None
        self._selector.register(keeper.control, selectors.EVENT_READ, lambda: self._keeper_spoke(keeper))
        return keeper

    def _take_keeper(self) -> Keeper:
        """One with a child that waits. Raises OSError."""
        free = [keeper for keeper, command in self._keepers.items() if command is None]
        keeper = next((keeper for keeper in free if keeper.order is not None), None) or (free[0] if free else self._add_keeper())
        while keeper.order is None:
            select.select([keeper.control], [], [])
            try:
                keeper.hear()
            except EOFError:
                self._lose(keeper)
                raise OSError(errno.EAGAIN, "The kernel makes no more processes") from None
        return keeper

    def _patience(self) -> float | None:
        ends = [command.begun + command.time_limit for command in self._commands.values() if command.time_limit is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        for command in list(self._commands.values()):
            limit = command.time_limit
            if limit is not None and now >= command.begun + limit:
                self._stop(command, "timed_out_wall", f"{limit:g} seconds passed.")

    def _stop(self, command: Command, status: str, detail: str) -> None:
        if command.stopped is None:
            command.stopped = status, detail
            command.time_limit = None
            command.keeper.kill()

    # What the host says

    def _hear(self) -> None:
        frame, body = self._pipe.receive()
        if frame["type"] == "begin":
            _end_after(frame["ttl"])
            self._pipe.send({"type": "begun"})
        elif frame["type"] == "start":
            self._start(frame, body)
        elif (command := self._commands.get(frame["id"])) is None:
            pass  # it has ended, and the host does not know yet
        elif frame["type"] == "input":
            command.input += body
            command.input_ends = frame["end"]
            self._feed(command)
        elif frame["type"] == "signal":
            command.keeper.signal(frame["number"])
        elif frame["type"] == "stop":
            self._stop(command, "signalled", "It was stopped.")

    def _start(self, frame: Start, body: bytes) -> None:
        if sum(command is not None for command in self._keepers.values()) >= protocol.MOST_COMMANDS:
            self._refuse(frame, f"There are {protocol.MOST_COMMANDS} commands already, or processes that they left behind.")
            return
        work = frame["work"]
        work["wide"] = bool(body) or work["mode"] == "read"
        if self._gpu is not None and (work["mode"] == "exec" or work["mode"] == "cells"):
            work["env"] = self._gpu.environment(work["env"])
        try:
            keeper = self._ordered(work)
        except OSError as exc:
            self._refuse(frame, f"No process could be started: {exc.strerror}.")
            return
        command = Command(keeper, frame, body)
        command.oom_kills, command.refused_forks = self._meter.oom_kills(), self._meter.refused_forks()
        self._commands[command.id] = self._keepers[keeper] = command
        self._selector.register(command.order, selectors.EVENT_READ, lambda: self._began(command))

    def _ordered(self, work: Errand) -> Keeper:
        """A keeper whose child has its order. Raises OSError."""
        for _ in range(_TRIES - 1):
            keeper = self._take_keeper()
            try:
                keeper.begin(work)
                return keeper
            except OSError:  # the child died while it waited
                keeper.forget()
        keeper = self._take_keeper()
        keeper.begin(work)
        return keeper

    def _refuse(self, frame: Start, detail: str) -> None:
        self._pipe.send({"type": "ended", "id": frame["id"], "status": "process_limit_exceeded", "detail": detail})

    # What becomes of a command

    def _began(self, command: Command) -> None:
        """Its streams are there, or it could not begin."""
        self._selector.unregister(command.order)
        try:
            streams = command.keeper.begun()
        except OSError as exc:
            command.stopped = command.stopped or ("sandbox_error", str(exc))
            return
        command.streams = streams
        for name in OUTLETS:
            if name in streams:
                os.set_blocking(streams[name], False)
                self._watch(command, name)
        if "channel" in streams:  # its input goes there
            os.close(streams["stdin"])
            streams["stdin"] = os.dup(streams["channel"])
        os.set_blocking(streams["stdin"], False)
        self._feed(command)

    def _watch(self, command: Command, name: Outlet) -> None:
        fd = command.streams[name]

        def read() -> None:
            if name == "channel":  # what was printed before it spoke comes first
                self._drain(command, "stdout")
                self._drain(command, "stderr")
            self._read(command, name)

        self._selector.register(fd, selectors.EVENT_READ, read)

    def _read(self, command: Command, name: Outlet) -> bool:
        """Pass a chunk on. Returns whether there may be more now."""
        fd = command.streams.get(name)
        if fd is None:
            return False
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self._close(command, name)
            return False
        if not command.ended:  # else it is what somebody in the background has to say, to nobody
            self._pass_on(command, name, data)
        return True

    def _drain(self, command: Command, name: Outlet) -> None:
        for _ in range(_MOST_READS):
            if not self._read(command, name):
                return

    def _pass_on(self, command: Command, name: Outlet, data: bytes) -> None:
        if name in command.written and command.cap is not None:
            room = max(0, command.cap - command.written[name])
            command.written[name] += len(data)
            if len(data) > room:
                data = data[:room]
                self._stop(command, "output_exceeded", f"More than {command.cap} bytes were written to {name}.")
        if data:
            self._pipe.send({"type": "output", "id": command.id, "stream": name}, data)

    def _feed(self, command: Command) -> None:
        """Write what the command reads, as far as it takes it."""
        fd = command.streams.get("stdin")
        if fd is None:  # not there yet, or closed: then it wants no more
            if command.streams:
                self._taken(command, len(command.input))
                command.input.clear()
            return
        left = len(command.input)
        try:
            while command.input:
                del command.input[: os.write(fd, command.input)]
        except BlockingIOError:
            self._taken(command, left - len(command.input))
            with contextlib.suppress(KeyError):  # it waits already
                self._selector.register(fd, selectors.EVENT_WRITE, lambda: self._feed(command))
            return
        except OSError:  # it reads no more
            command.input.clear()
            self._taken(command, left)
            command.input_ends = True
        else:
            self._taken(command, left)
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)
        if command.input_ends:
            self._close(command, "stdin")

    def _taken(self, command: Command, count: int) -> None:
        if count and not command.input_ends:  # else the host has no more to send
            self._pipe.send({"type": "taken", "id": command.id, "size": count})

    def _close(self, command: Command, name: str) -> None:
        fd = command.streams.pop(name, None)
        if fd is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(fd)
            os.close(fd)

    def _keeper_spoke(self, keeper: Keeper) -> None:
        """A command has ended; or all that it left behind, and the next child waits; or the keeper itself."""
        command = self._keepers[keeper]
        try:
            told = keeper.hear()
        except BlockingIOError:
            return  # somebody has listened since this was known to be there
        except EOFError:
            self._lose(keeper)
            return
        if command is None:
            return
        if told is not None:
            self._tell_end(command, *told)
            keeper.forget()
            return
        for name in STREAMS:
            self._close(command, name)
        self._keepers[keeper] = None
        if list(self._keepers.values()).count(None) > _MOST_WAITING:
            self._dismiss(keeper)

    def _lose(self, keeper: Keeper) -> None:
        """It is gone: nobody but the kernel could do that. What it kept together is anybody's, and ends with the session."""
        command = self._keepers[keeper]
        if command is not None:
            if not command.ended:
                self._tell_end(command, None, 0.0)
            for name in STREAMS:
                self._close(command, name)
        self._dismiss(keeper)

    def _dismiss(self, keeper: Keeper) -> None:
        self._selector.unregister(keeper.control)
        del self._keepers[keeper]
        keeper.close()

    def _tell_end(self, command: Command, code: int | None, cpu_time: float) -> None:
        wall_time = time.monotonic() - command.begun
        if self._selector.get_map().get(command.order) is not None:
            self._began(command)  # it was over before anybody looked
        for name in OUTLETS:
            self._drain(command, name)
        self._close(command, "stdin")
        command.ended = True
        del self._commands[command.id]
        status, detail = command.stopped or self._why(command, code)
        self._pipe.send(
            {
                "type": "ended",
                "id": command.id,
                "status": status,
                "detail": detail,
                "exit_code": os.WEXITSTATUS(code) if code is not None and os.WIFEXITED(code) else None,
                "signal": os.WTERMSIG(code) if code is not None and os.WIFSIGNALED(code) else None,
                "wall_time": wall_time,
                "cpu_time": cpu_time,
                "stdout_truncated": command.cap is not None and command.written["stdout"] > command.cap,
                "stderr_truncated": command.cap is not None and command.written["stderr"] > command.cap,
            }
        )

    def _why(self, command: Command, code: int | None) -> tuple[str, str]:
        """What happened to a command that ended by itself, causes before their effects, and a sentence."""
        if code is None:
            return "sandbox_error", "What kept the command's processes together is gone."
        if code == 0:
            return "ok", ""
        if refusal := command.keeper.refusal():
            return "process_limit_exceeded", refusal
        if self._meter.oom_kills() > command.oom_kills:
            return "memory_exceeded", "The kernel killed a process because the session's memory was used up."
        if self._meter.refused_forks() > command.refused_forks:
            return "process_limit_exceeded", "More processes and threads were asked for than the session may have."
        if os.WIFSIGNALED(code):
            number = os.WTERMSIG(code)
            if number == signal.SIGXCPU:
                return "timed_out_cpu", "The CPU time of a process was used up."
            return "signalled", f"It was ended by {signal.Signals(number).name} (signal {number})."
        if filled()[1]:
            return "disk_exceeded", "There is no room left in the session's folders."
        return "runtime_error", ""


def _end_after(seconds: float) -> None:
    """End this process, and with it the session, after so many seconds, whatever it waits for then."""

    def over(*_: object) -> NoReturn:
        os._exit(protocol.OVER)

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def start() -> int:
    """Take over the streams that the engine attached, and serve until they close. Returns the exit code."""
    prctl(PR_SET_DUMPABLE, 0)
    # The kernel drops signals from inside for a PID 1 that has no handler; Python's own for SIGINT must go.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    pipe, meter = attached(), Meter()
    widen(pipe.read)
    hello = {"type": "hello", "version": protocol.VERSION, "cgroup": 2 if meter.v2 else 1, "meter": meter.present}
    gpu, no_gpu = bound()
    pipe.send({**hello, "no_gpu": no_gpu, "refused": ""})
    session = Session(pipe, int(os.environ[protocol.SESSION]), meter, gpu)
    gc.collect()
    gc.freeze()  # so that what a keeper shares with this process stays shared
    session._prepare()
    pipe.send({"type": "warm"})
    with contextlib.suppress(EOFError):
        session.serve()
    return 0
