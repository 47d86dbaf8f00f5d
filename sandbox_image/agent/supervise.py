"""Run one job in waiting children, enforce its limits while it runs, and tell what happened.

A job is a program, or a candidate and a test side joined by a socket. Memory and process limits are the container's cgroup;
the agent reads there what the kernel did. The clocks are the agent's.

Left out: making children (`zygote.py`), which ones a job needs (`needs.py`), one of them by itself (`side.py`), what it does
(`child.py`), what tests report (`events.py`), and a boundary that leads out of the container (`relay.py`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from . import protocol
from .events import Events
from .files import collect_artifacts, filled
from .gpu import Gpu, Watch
from .meter import Meter
from .pipe import Pipe
from .relay import Relay
from .side import Side
from .zygote import QUIET, TESTS, Zygote

if TYPE_CHECKING:
    from .schema import Brought, FromRuns, Job, NotBegun, Order, Report, Result, Stream, Test, ToRuns

TICK = 0.02
"""Seconds between readings of the meters."""
_LOG_CAP = 4000
_CHUNK = 65536
_LAST_WORDS = 5.0
"""Seconds that a run's init may take to kill the rest and bring out artefacts."""
_NOT_BEGUN = {"refused": "disk_exceeded", "failed": "sandbox_error"}
"""Status of a run whose child said why it did not begin."""
_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


def signal_name(number: int) -> str:
    """A signal for people: its name, its number and what it stands for."""
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(number).name} (signal {number}: {signal.strsignal(number)})"
    return f"signal {number}"


def reduced(header: Result, body: bytes, why: str) -> tuple[Result, bytes]:
    """A result without all that may be long of it but the output, for one that does not fit into a frame."""
    short: Result = {
        **header,
        "events": [],
        "artifacts": [],
        "artifact_errors": {},
        "log": "",
        "detail": f"{header['detail']} {why}".strip(),
    }
    return short, body[: sum(header["output"])]


class Run:
    """One job under its limits."""

    def __init__(
        self,
        job: Job,
        parts: list[bytes],
        meter: Meter,
        pipe: Pipe[ToRuns, FromRuns],
        *,
        namespaces: bool,
        gpu: Gpu | None = None,
        failures: Sequence[Test] = (),
    ) -> None:
        self._job, self._meter, self._pipe, self._namespaces = job, meter, pipe, namespaces
        self._gpu = gpu
        self._watch = Watch(gpu) if gpu else None
        self._limits = job["limits"]
        self._stdin, self._parts = parts[0], parts[1:]
        self._output: dict[Stream, bytearray] = {name: bytearray() for name in _STREAMS}
        self._truncated = dict.fromkeys(_STREAMS, False)
        self._log = bytearray()
        self._events = Events(failures)
        self._last_words: Report | NotBegun | None = None
        """Of the child that runs the program, in namespaces."""
        self._brought: Brought = {"artifacts": [], "artifact_errors": {}}
        self._carried = b""
        """The contents of what is brought out."""
        self._disk = (0, False)
        """Bytes that were kept at the end, and whether that was all that there is."""
        self._status = self._detail = ""
        self._forbidden: list[str] = []
        """System calls for which a side was killed, in words."""
        self._selector = selectors.DefaultSelector()
        self._main: Side | None = None
        self._judge: Side | None = None
        self._quiet = False
        self._dismissed: list[Side] = []
        self._pipes: dict[str, int] = {}
        self._relay: Relay | None = None
        self._stopped = False
        self.stages: dict[str, float] = {}
        self._mark = time.monotonic()

    def _stage(self, name: str) -> None:
        now = time.monotonic()
        self.stages[name] = self.stages.get(name, 0.0) + now - self._mark
        self._mark = now

    def _stop(self, status: str, detail: str) -> None:
        if not self._status:
            self._status, self._detail = status, detail

    # Starting

    def start(self, wanted: list[tuple[Zygote, bytes]]) -> None:
        """Take a child of each kind from its zygote, and hand them their work.

        Raises:
            EOFError, OSError: no child could be made.
        """
        mode = self._job["mode"]
        self._meter.start()
        self._mark = time.monotonic()
        taken = [(kind, Side(zygote.take(kind))) for zygote, kind in wanted]
        if self._namespaces:
            for zygote, kind in wanted:  # the next run's, while this one runs
                zygote.prepare(kind)
        for place, (kind, side) in enumerate(taken):
            if place or kind == TESTS:  # of two, the second judges
                self._judge = side
            else:
                self._main = side
        self._quiet = all(kind == QUIET for _, kind in wanted)
        self._stage("fork")
        boundary: tuple[int, int] | None = None
        if mode == "apart":
            ours, theirs = socket.socketpair()
            boundary = (ours.detach(), theirs.detach())
        elif mode == "candidate" or mode == "judge":
            self._relay = Relay(self._pipe.send, self._selector, "relay")
            boundary = (self._relay.end(),) * 2
            self._selector.register(self._pipe.read, selectors.EVENT_READ, "host")
        if self._main is not None:
            self._begin(self._main, "main", {"boundary": boundary[0]} if boundary else {})
        if self._judge is not None:
            self._begin(self._judge, "judge", {"boundary": boundary[1]} if boundary else {})
        self._stage("transport")

    def _pipe_for(self, name: str) -> int:
        return self._read_from(name, *os.pipe())

    def _channel(self, name: str) -> int:
        """As a pipe, but that its end has no path to open it by: a pipe has one below `/proc/self/fd`."""
        return self._read_from(name, *(end.detach() for end in socket.socketpair()))

    def _read_from(self, name: str, read: int, write: int) -> int:
        os.set_blocking(read, False)
        self._selector.register(read, selectors.EVENT_READ, name)
        self._pipes[name] = read
        return write

    def _begin(self, side: Side, role: Literal["main", "judge"], given: dict[str, int]) -> None:
        job = self._job
        count = len(job["files"])
        files, parts, mode = job["files"], self._parts[:count], job["mode"]
        fds = dict(given)
        if role == "judge":
            mode, files = "judge", job["test_files"]
            parts = [*self._parts[count : count + len(files)], self._parts[-1]]
            log = self._pipe_for("log")
            fds |= {"stdout": os.dup(log), "stderr": log}
            fds["results"] = self._channel("results")
        else:
            if mode == "apart" or mode == "candidate":
                mode = "candidate"
                parts = [*parts, self._parts[count + len(job["test_files"])]]
            if self._stdin:
                fds["stdin"] = stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
                view = memoryview(self._stdin)
                while view:
                    view = view[os.write(stdin, view) :]
                os.lseek(stdin, 0, os.SEEK_SET)  # the child shares this offset
            fds |= {name: self._pipe_for(name) for name in _STREAMS}
            if mode == "pytest":
                fds["results"] = self._channel("results")
            if self._has_init(mode):
                self._selector.register(side.control, selectors.EVENT_READ, "report")
        self._selector.register(side.pidfd, selectors.EVENT_READ, f"{role} ended")
        order: Order = {
            "mode": mode,
            "file": job["file"],
            "module": job["module"],
            "entry_point": job["entry_point"],
            "defines": job["defines"],
            "in_place": job["in_place"],
            "argv": job["argv"],
            "args": job["args"],
            "env": job["env"],
            "artifacts": job["artifacts"],
            "files": files,
            "parts": [len(part) for part in parts],
            "disk": self._limits["disk"],
            "cpu_time": self._limits["cpu_time"],
            "artifact_bytes": self._limits["artifacts"],
            "fds": list(fds),
        }
        if self._gpu is not None:
            order["env"] = self._gpu.environment(job["env"])
            order["gpu_memory_fraction"] = self._gpu.fraction
        try:
            side.order(order, b"".join(parts), list(fds.values()))
        except OSError as exc:
            side.dismiss()  # it would wait for ever
            self._stop("sandbox_error", f"The run could not be handed to its sandbox: {exc}")

    def _has_init(self, mode: str) -> bool:
        return self._namespaces and mode in ("exec", "python", "pytest")

    # Running

    def supervise(self) -> tuple[Result, bytes]:
        """Stay with the job to its end. Returns the result's header and body."""
        started = time.monotonic()
        next_reading = started + TICK
        while not self._over():
            for key, mask in self._selector.select(max(0.0, next_reading - time.monotonic())):
                self._serve(key, mask)
            if (now := time.monotonic()) >= next_reading:
                next_reading = now + TICK
                self._read_meters(now - started)
        wall_time = time.monotonic() - started
        self._stage("run")
        cpu_time = self._meter.cpu_time()
        self._end()
        self._read_final(cpu_time, self._events.finished is not None)
        sides = [side for side in (self._main, self._judge) if side is not None]
        measured = sum(side.cpu_time for side in sides)
        code = self._exit_status()
        self._stage("teardown")
        header: Result = {
            "type": "result",
            "status": self._status,
            "detail": self._detail,
            "exit_code": os.waitstatus_to_exitcode(code) if code is not None and os.WIFEXITED(code) else None,
            "signal": os.WTERMSIG(code) if code is not None and os.WIFSIGNALED(code) else None,
            "wall_time": wall_time,
            "cpu_time": measured or cpu_time,
            # A run between two readings leaves no mark in the cgroup.
            "memory_peak": self._meter.memory_peak() or max((side.memory_peak for side in sides), default=0),
            "stdout_truncated": self._truncated["stdout"],
            "stderr_truncated": self._truncated["stderr"],
            "events": self._events.counted(by_our_fault=self._status == "sandbox_error"),
            "attack": [*self._events.attack, *self._forbidden],
            "log": bytes(self._log).decode("utf-8", "replace"),
            "stages": self.stages,
            "output": [len(self._output[name]) for name in _STREAMS],
            "artifacts": self._brought["artifacts"],
            "artifact_errors": self._brought["artifact_errors"],
        }
        if self._watch is not None:
            header["gpu"] = self._watch.finish()
        return header, b"".join(self._output.values()) + self._carried

    @property
    def broke_the_silence(self) -> bool:
        """Whether it is quiet and a filter killed one of its sides: then nothing that they did counts."""
        return self._quiet and any(side.signal == signal.SIGSYS for side in (self._main, self._judge) if side is not None)

    def failures(self) -> list[Test]:
        """Tests that failed, and stay failed when the job is run again."""
        return self._events.failures()

    def _over(self) -> bool:
        if self._status or self._stopped:
            return True
        if self._judge is not None:
            return self._events.finished is not None or self._judge.status is not None
        if self._main is None or self._last_words is not None:
            return True
        return self._main.status is not None

    def _serve(self, key: selectors.SelectorKey, mask: int) -> None:
        name = key.data
        if name == "report":
            self._read_report()
        elif name == "relay":
            assert self._relay is not None
            self._relay.pump(mask)
        elif name == "host":
            self._hear()
        elif name.endswith(" ended"):
            side = self._main if name == "main ended" else self._judge
            if side is self._main and self._has_init(self._job["mode"]) and self._last_words is None:
                self._read_report()  # the init reports before it ends
            if side is not None and side.ended():
                self._selector.unregister(side.pidfd)
                if (why := side.why_not_begun()) is not None:
                    self._stop(_NOT_BEGUN[why["type"]], why["detail"])
        elif not self._drain(key.fd, name, 1):
            self._selector.unregister(key.fd)

    def _read_report(self) -> None:
        """The init's last words."""
        assert self._main is not None
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._main.control)
        try:
            said, self._carried = self._main.hear(_LAST_WORDS)
        except (EOFError, OSError, protocol.ProtocolError):
            return  # it was killed: its exit tells
        self._last_words = said
        if said["type"] == "report":
            self._brought = {"artifacts": said["artifacts"], "artifact_errors": said["artifact_errors"]}
            self._disk = said["disk_used"], said["disk_full"]
            self._main.status = said["status"]
        else:
            self._stop(_NOT_BEGUN[said["type"]], said["detail"])

    def _drain(self, fd: int, name: str, chunks: int) -> bool:
        """Read what is there, keeping no more than the cap. Returns False at the end of the stream."""
        for _ in range(chunks):
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            if name == "results":
                self._events.add(data)
            elif name == "log":
                self._log = (self._log + data)[-_LOG_CAP:]
            else:
                self._keep("stdout" if name == "stdout" else "stderr", data)
        return True

    def _keep(self, name: Stream, data: bytes) -> None:
        """Of a program's output, as far as there is room."""
        kept, most = self._output[name], self._limits["output"]
        room = most - len(kept)
        if len(data) > room:
            self._truncated[name] = True
            self._stop("output_exceeded", f"More than {most} bytes were written to {name}.")
        if data := data[:room]:
            kept += data
            if self._job["stream"]:
                self._pipe.send({"type": "output", "stream": name}, data)

    def _hear(self) -> None:
        """A frame from the host during the run: bytes for the boundary, or the word that the other side is done."""
        frame, data = self._pipe.receive()
        if frame["type"] == "stop":
            self._stopped = True
        elif frame["type"] == "boundary" and self._relay is not None and not self._relay.add(data, last=frame["end"]):
            self._stop("memory_exceeded", "Too much was waiting to cross the boundary.")

    # Ending

    def _end(self) -> None:
        """Kill what is left, reap it, and read what it left in the pipes."""
        main, judge = self._main, self._judge
        if main is not None and judge is not None and self._may_dismiss(main, judge):
            self._meter.sample()  # while both are there
            main.dismiss()
            judge.dismiss()
            self._dismissed = [main, judge]
        elif judge is not None:
            judge.reap(kill=judge.status is None)
        if main is not None and not self._dismissed:
            if self._has_init(self._job["mode"]) and self._last_words is None and main.status is None:
                with contextlib.suppress(OSError, KeyError):
                    main.control.sendall(b"s")
                    self._read_report()
                main.reap(kill=self._last_words is None)
            else:
                main.reap(kill=main.status is None or self._last_words is not None)
        if not self._namespaces:
            kill_all()
            if self._job["mode"] in ("exec", "python", "pytest"):
                self._disk = filled()
                found, refused = collect_artifacts(self._job["artifacts"], self._limits["artifacts"])
                sizes = [(path, len(content)) for path, content in found.items()]
                self._brought = {"artifacts": sizes, "artifact_errors": refused}
                self._carried = b"".join(found.values())
        for name, fd in self._pipes.items():
            self._drain(fd, name, 1 << 30)  # all writers are dead: this ends
            os.close(fd)
        for side in (main, judge):
            if side is not None:
                side.close()
        if self._relay is not None:
            self._relay.close()
        self._selector.close()

    def _may_dismiss(self, main: Side, judge: Side) -> bool:
        """Whether all is known that will be: then the kernel's work of taking both sides down need not be waited for."""
        finished = self._events.finished
        if not self._namespaces or self._status or finished is None or finished["broken"]:
            return False
        if main.status is not None or judge.status is not None:  # one has ended by itself: its figures are there already
            return False
        return self._quiet or (main.alone() and judge.alone())

    def clear(self) -> None:
        """Wait until nothing of the run is left. To be called after `supervise`, before the next run."""
        for side in self._dismissed:
            side.reap(kill=False)

    def _exit_status(self) -> int | None:
        return self._main.status if self._main is not None else self._judge.status if self._judge is not None else None

    def _read_meters(self, elapsed: float) -> None:
        limits, meter = self._limits, self._meter
        meter.sample()
        if self._watch is not None:
            self._watch.sample()
        if meter.oom_kills():
            self._stop_for_memory()
        elif meter.refused_forks():
            self._stop("process_limit_exceeded", f"More than {limits['processes']} processes and threads were asked for.")
        elif meter.cpu_time() > limits["cpu_time"]:
            self._stop("timed_out_cpu", f"More than {limits['cpu_time']} CPU seconds were used.")
        elif elapsed > limits["wall_time"]:
            self._stop("timed_out_wall", f"{limits['wall_time']} seconds passed.")
        elif not self._namespaces:
            self._read_disk(*filled())

    def _stop_for_memory(self) -> None:
        if self._meter.host_is_full():
            self._stop("sandbox_error", "The kernel killed a process of the run because the host had no memory left.")
        else:
            self._stop("memory_exceeded", f"The kernel killed a process at {self._limits['memory']} bytes of memory.")

    def _read_disk(self, used: int, full: bool) -> None:
        if full or used > self._limits["disk"]:
            self._stop("disk_exceeded", f"More than {self._limits['disk']} bytes (or too many files) were kept.")

    def _read_final(self, cpu_time: float, tests_ended: bool) -> None:
        """Name what happened once all is over, causes before their effects."""
        code = self._exit_status()
        for name, side in (("candidate", self._main), ("test side", self._judge)):
            if side is not None and signal.SIGSYS in (side.signal, os.WTERMSIG(side.status or 0)):
                self._forbidden.append(f"a forbidden system call by the {name if self._judge else 'program'}")
        if self._status:
            return
        if self._meter.oom_kills():
            self._stop_for_memory()
        elif self._meter.refused_forks():
            self._stop("process_limit_exceeded", f"More than {self._limits['processes']} processes and threads were asked for.")
        elif cpu_time > self._limits["cpu_time"] + 1 or (
            code is not None and os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGXCPU
        ):
            self._stop("timed_out_cpu", f"More than {self._limits['cpu_time']} CPU seconds were used.")
        self._read_disk(*self._disk)
        if self._status:
            return
        if self._stopped or (self._judge is not None and tests_ended):
            self._status = "ok"
        elif code is None:
            self._status = "ok" if tests_ended else "runtime_error"
        elif os.WIFSIGNALED(code):
            self._status = "signalled"
            self._detail = f"It was ended by {signal_name(os.WTERMSIG(code))}."
        else:
            # pytest's exit code speaks of the tests, not of the process.
            self._status = "ok" if code == 0 or tests_ended else "runtime_error"


def kill_all() -> None:
    """Kill and reap every other process of the sandbox."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return
