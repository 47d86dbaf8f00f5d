"""Run one job in waiting children, enforce its limits while it runs, and tell what happened.

A job is a program, or a candidate and a test side joined by a socket. Memory and process limits are the container's cgroup;
the agent reads there what the kernel did. The clocks are the agent's.

Left out: making children (`zygote.py`) and what they do (`child.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from . import protocol
from .child import order_of
from .files import collect_artifacts, filled
from .gpu import Gpu, Watch
from .meter import Meter
from .zygote import BARE, QUIET, TESTS, Waiting, Zygote

TICK = 0.02
"""Seconds between readings of the meters."""
_RESULTS_CAP = 6 * 1024 * 1024
"""Bytes of the tests' report, as written and as passed on: less than a frame's header holds."""
_MOST_ATTACKS = 16
"""Attacks that are told of one run."""
_RELAY_CAP = 256 * 1024 * 1024
_LOG_CAP = 4000
_MESSAGE = 4000
"""Characters of a failed test's message."""
_CHUNK = 65536
_CPUCLOCK_SCHED = 2
"""With a process's number above it, the clock that runs while the process does."""
_LAST_WORDS = 5.0
"""Seconds that a run's init may take to kill the rest and bring out artefacts."""
_HEAVY_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pytest|pandas|sklearn|scipy)\b", re.MULTILINE)
_ARRAYS = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pandas|sklearn|scipy)\b", re.MULTILINE)
_IMPORTED = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_NOISE = re.compile(rb"\b(?:open|input|exec|eval|__import__)[ \t]*\(")
_QUIET_MODULES = {name.encode() for name in (*BARE, "abc", "enum", "sys", "time")}
"""Modules that every child has; others are files."""

_NOT_BEGUN = {"refused": "disk_exceeded", "failed": "sandbox_error"}
"""Status of a run whose child said why it did not begin."""

MALFORMED = {"event": "malformed"}
"""In place of lines that no honest side writes: a report with one is not complete."""


Send = Callable[..., None]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.encode("utf-8", "backslashreplace").decode()  # lone surrogates would go no further


def _message(value: Any) -> str:
    return _text(value)[-_MESSAGE:]


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [_text(item) for item in value]


def _number(value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= 1 << 31:
        raise TypeError
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def word(value: Any) -> str:
        return words[words.index(value)]

    return word


_SIDE = _one_of("", "candidate", "tests")
_EVENTS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "collected": {"tests": _texts},
    "deselected": {"count": _number},
    "collection_error": {"message": _message, "side": _SIDE},
    "test": {
        "name": _text,
        "outcome": _one_of("passed", "failed", "error", "skipped"),
        "message": _message,
        "side": _SIDE,
        "broken": bool,
        "proved": bool,
        "basis": _one_of("", "data", "line_up", "word"),
    },
    "received": {},
    "not_apart": {"message": _message},
    "doubt": {"name": _text, "message": _message},
    "tampered": {"what": _message},
    "finished": {"exit_status": _number, "broken": bool, "unsure": _texts},
}
"""What a test side reports (`reporter.py`, `boundary/tests.py`), and how each part is read."""


def sides(job: dict[str, Any], parts: list[bytes]) -> list[tuple[bool, bool]]:
    """The children that a job needs: for each, whether with the heavy libraries imported, and whether it judges."""
    mode, count = job["mode"], len(job["files"]) + len(job["test_files"])
    if mode in ("apart", "candidate", "judge"):
        texts = [part.decode("utf-8", "surrogateescape") for part in parts[1 + count :]]
        values = job["heavy"] or any(_ARRAYS.search(text) for text in texts)  # both sides need the library to pass its values
        found = [(values, False)] if mode != "judge" else []
        return found + ([(values or _HEAVY_IMPORT.search(texts[-1]) is not None, True)] if mode != "candidate" else [])
    if mode != "python":
        return [(mode == "pytest", False)]
    texts = [part.decode("utf-8", "replace") for path, part in zip(job["files"], parts[1:], strict=False) if path.endswith(".py")]
    return [(job["heavy"] or any(_HEAVY_IMPORT.search(text) for text in texts), False)]


def is_quiet(job: dict[str, Any], parts: list[bytes]) -> bool:
    """Whether a job looks as if neither side asked the kernel for more than memory and time.

    A guess, for speed alone: quiet children are killed at the first call that is more, and the job is run again, fully isolated.
    """
    if job["mode"] != "apart" or job["files"] or job["test_files"] or job["stream"]:
        return False
    known = {*_QUIET_MODULES, job["module"].encode()}
    for source in parts[-2:]:
        names = (name for line in _IMPORTED.findall(source) for name in line[0].split(b",") + line[1].split(b","))
        if _NOISE.search(source) or any(name.split()[0].split(b".")[0] not in known for name in names if name.strip()):
            return False
    return True


def event_of(line: bytes) -> dict[str, Any]:
    """A line of the tests' report, or `MALFORMED`: whoever runs beside the tests may find where they write it."""
    try:
        told = json.loads(line)
        told = {"broken": False, "proved": False, "basis": "", "unsure": [], **told}
        return {"event": told["event"]} | {key: read(told[key]) for key, read in _EVENTS[told["event"]].items()}
    except (ValueError, TypeError, LookupError, RecursionError):
        return MALFORMED


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what decides about a second run alone, which is decided here."""
    return {key: value for key, value in event.items() if key != "broken"}


def signal_name(number: int) -> str:
    """A signal for people: its name, its number and what it stands for."""
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(number).name} (signal {number}: {signal.strsignal(number)})"
    return f"signal {number}"


def reduced(header: dict[str, Any], body: bytes, why: str) -> tuple[dict[str, Any], bytes]:
    """A result without all that may be long of it but the output, for one that does not fit into a frame."""
    short = {"events": [], "artifacts": [], "artifact_errors": {}, "log": ""}
    return {**header, **short, "detail": f"{header['detail']} {why}".strip()}, body[: sum(header["output"])]


class Side:
    """One waiting child on its way through its work."""

    def __init__(self, waiting: Waiting) -> None:
        self.pid, self.control = waiting.pid, waiting.control
        self.pidfd = os.pidfd_open(self.pid)
        self.status: int | None = None
        """Wait status of the work itself, once it ended by itself."""
        self.cpu_time = 0.0
        self.memory_peak = 0
        """Bytes that its largest process had mapped in, shared ones included."""
        self.signal = 0
        """That ended it, whoever sent it."""
        self._reaped = False

    def order(self, header: dict[str, Any], body: bytes, fds: dict[str, int]) -> None:
        """Hand the child its work, and close our copies of the descriptors. A child that is gone is seen later.

        Raises:
            OSError: the kernel does not pass it on.
        """
        data = order_of({**header, "fds": list(fds)}, body)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sent = socket.send_fds(self.control, [data[:_CHUNK]], list(fds.values()))
                self.control.sendall(data[sent:])
        finally:
            for fd in fds.values():
                os.close(fd)

    def reap(self, *, kill: bool) -> None:
        """Wait for the child's end, after killing it if asked. With it goes all of its PID namespace."""
        if self._reaped:
            return
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        self._note(status, usage)
        if self.status is None and not kill:
            self.status = status

    def ended(self) -> bool:
        """Whether the child ended by itself; then it is reaped."""
        if self._reaped:
            return True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self._note(status, usage)
            if self.status is None:
                self.status = status
        return self._reaped

    def why_not_begun(self) -> tuple[str, str]:
        """What it said in place of beginning its work: the kind of its last word, and a sentence. Empty if it began."""
        with contextlib.suppress(EOFError, OSError, protocol.ProtocolError):
            told, _ = self.hear(0.0)  # it is dead: what it said is there
            if told["type"] in _NOT_BEGUN:
                return told["type"], told["detail"]
        return "", ""

    def alone(self) -> bool:
        """Whether it is still there, and has no child whose CPU time would only be known once both are gone."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        try:
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with open(f"/proc/{self.pid}/task/{task}/children", "rb") as file:
                    if file.read(1):
                        return False
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return False
        return fields[13] == fields[14] == b"0"  # CPU time of children that are gone

    def dismiss(self) -> None:
        """Note its CPU time and kill it, to be reaped later."""
        with contextlib.suppress(OSError):
            self.cpu_time = time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def hear(self, timeout: float) -> tuple[dict[str, Any], bytes]:
        """A frame from the child, each part within `timeout` seconds. Raises EOFError, OSError, ProtocolError."""

        def read_exactly(count: int) -> bytes:
            data = bytearray()
            while len(data) < count:
                more = self.control.recv(min(count - len(data), 1 << 20))
                if not more:
                    raise EOFError
                data += more
            return bytes(data)

        self.control.settimeout(timeout)
        frame: tuple[dict[str, Any], bytes] = protocol.read(read_exactly)
        return frame

    def _note(self, status: int, usage: resource.struct_rusage) -> None:
        self._reaped = True
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.cpu_time = usage.ru_utime + usage.ru_stime
        self.memory_peak = usage.ru_maxrss * 1024

    def close(self) -> None:
        """Let go of the descriptors."""
        self.control.close()
        os.close(self.pidfd)


class Run:
    """One job under its limits."""

    def __init__(
        self,
        job: dict[str, Any],
        parts: list[bytes],
        meter: Meter,
        send: Send,
        receive: Callable[[], tuple[dict[str, Any], bytes]],
        incoming: int,
        *,
        namespaces: bool,
        gpu: Gpu | None = None,
        failures: list[dict[str, Any]] | None = None,
    ) -> None:
        self._job, self._meter, self._send, self._namespaces = job, meter, send, namespaces
        self._gpu = gpu
        self._watch = Watch(gpu) if gpu else None
        self._receive, self._incoming = receive, incoming
        self._limits: dict[str, Any] = job["limits"]
        self._stdin, self._parts = parts[0], parts[1:]
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._truncated = {"stdout": False, "stderr": False}
        self._results, self._log = bytearray(), bytearray()
        self._results_kept = self._events_kept = 0
        self._events = failures or []
        self._finished: dict[str, Any] = {}
        """The event that says that all tests were run."""
        self._report: dict[str, Any] = {}
        self._carried = b""
        self._status = self._detail = ""
        self._attack: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._main: Side | None = None
        self._judge: Side | None = None
        self._quiet = False
        self._dismissed: list[Side] = []
        self._pipes: dict[str, int] = {}
        self._relay: socket.socket | None = None
        self._to_relay = bytearray()
        self._relay_ends = False
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
        if self._job["repeat"]:
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
        elif mode in ("candidate", "judge"):
            self._relay, theirs = socket.socketpair()
            self._relay.setblocking(False)
            boundary = (theirs.detach(),) * 2
            self._selector.register(self._relay, selectors.EVENT_READ, "relay")
            self._selector.register(self._incoming, selectors.EVENT_READ, "host")
        if self._main is not None:
            self._begin(self._main, "main", {"boundary": boundary[0]} if boundary else {})
        if self._judge is not None:
            self._begin(self._judge, "judge", {"boundary": boundary[1]} if boundary else {})
        self._stage("transport")

    def _pipe(self, name: str) -> int:
        return self._read_from(name, *os.pipe())

    def _channel(self, name: str) -> int:
        """As a pipe, but that its end has no path to open it by: a pipe has one below `/proc/self/fd`."""
        return self._read_from(name, *(end.detach() for end in socket.socketpair()))

    def _read_from(self, name: str, read: int, write: int) -> int:
        os.set_blocking(read, False)
        self._selector.register(read, selectors.EVENT_READ, name)
        self._pipes[name] = read
        return write

    def _begin(self, side: Side, role: str, fds: dict[str, int]) -> None:
        job = self._job
        count = len(job["files"])
        files, parts, mode = job["files"], self._parts[:count], job["mode"]
        fds = dict(fds)
        if role == "judge":
            mode, files = "judge", job["test_files"]
            parts = [*self._parts[count : count + len(files)], self._parts[-1]]
            log = self._pipe("log")
            fds |= {"stdout": os.dup(log), "stderr": log}
            fds["results"] = self._channel("results")
        else:
            if mode in ("apart", "candidate"):
                mode = "candidate"
                parts = [*parts, self._parts[count + len(job["test_files"])]]
            if self._stdin:
                fds["stdin"] = stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
                view = memoryview(self._stdin)
                while view:
                    view = view[os.write(stdin, view) :]
                os.lseek(stdin, 0, os.SEEK_SET)  # the child shares this offset
            fds |= {"stdout": self._pipe("stdout"), "stderr": self._pipe("stderr")}
            if mode == "pytest":
                fds["results"] = self._channel("results")
            if self._has_init(mode):
                self._selector.register(side.control, selectors.EVENT_READ, "report")
        self._selector.register(side.pidfd, selectors.EVENT_READ, f"{role} ended")
        keys = ("file", "module", "entry_point", "defines", "in_place", "argv", "args", "env", "artifacts")
        order = {key: job[key] for key in keys} | {
            "mode": mode,
            "files": files,
            "parts": [len(part) for part in parts],
            "disk": self._limits["disk"],
            "cpu_time": self._limits["cpu_time"],
            "artifact_bytes": self._limits["artifacts"],
        }
        if self._gpu is not None:
            order |= {"env": self._gpu.environment(job["env"]), "gpu_memory_fraction": self._gpu.fraction}
        try:
            side.order(order, b"".join(parts), fds)
        except OSError as exc:
            side.dismiss()  # it would wait for ever
            self._stop("sandbox_error", f"The run could not be handed to its sandbox: {exc}")

    def _has_init(self, mode: str) -> bool:
        return self._namespaces and mode in ("exec", "python", "pytest")

    # Running

    def supervise(self) -> tuple[dict[str, Any], bytes]:
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
        self._read_final(cpu_time, bool(self._finished))
        main, judge = self._main, self._judge
        measured = sum(side.cpu_time for side in (main, judge) if side)
        code = self._exit_status()
        self._stage("teardown")
        header = {
            "type": "result",
            "status": self._status,
            "detail": self._detail,
            "exit_code": os.waitstatus_to_exitcode(code) if code is not None and os.WIFEXITED(code) else None,
            "signal": os.WTERMSIG(code) if code is not None and os.WIFSIGNALED(code) else None,
            "wall_time": wall_time,
            "cpu_time": measured or cpu_time,
            # A run between two readings leaves no mark in the cgroup.
            "memory_peak": self._meter.memory_peak() or max((side.memory_peak for side in (main, judge) if side), default=0),
            "stdout_truncated": self._truncated["stdout"],
            "stderr_truncated": self._truncated["stderr"],
            "events": [_told(event) for event in self._counted()],
            "attack": self._attack,
            "log": bytes(self._log).decode("utf-8", "replace"),
            "stages": self.stages,
            "output": [len(self._output["stdout"]), len(self._output["stderr"])],
            "artifacts": self._report.get("artifacts", []),
            "artifact_errors": self._report.get("artifact_errors", {}),
        }
        if self._watch is not None:
            header["gpu"] = self._watch.finish()
        return header, bytes(self._output["stdout"] + self._output["stderr"]) + self._carried

    @property
    def broke_the_silence(self) -> bool:
        """Whether it is quiet and a filter killed one of its sides: then nothing that they did counts."""
        return self._quiet and any(side.signal == signal.SIGSYS for side in (self._main, self._judge) if side is not None)

    def failures(self) -> list[dict[str, Any]]:
        """Tests that had failed before the boundary broke. They stay failed when the job is run again.

        A candidate that sees what is asked next knows that it was wrong, and shall not have a second guess.
        """
        found: dict[str, dict[str, Any]] = {}
        for event in self._events:
            kind, name = event["event"], event.get("name", "")
            if kind == "doubt":
                failed = {"event": "test", "outcome": "failed", "side": "tests", "broken": False, "proved": False, "basis": ""}
                found[name] = {**event, **failed}
            elif kind == "test" and event["outcome"] in ("passed", "skipped"):
                found.pop(name, None)  # the tests had expected it
            elif kind == "test" and not event["broken"]:
                found[name] = event
        return list(found.values())

    def _counted(self) -> list[dict[str, Any]]:
        """The events that count. A failure that was known and never reported is one; after a fault of ours nothing else is."""
        if self._status == "sandbox_error":
            return self.failures()
        reported = {event["name"] for event in self._events if event["event"] == "test"}
        counted = [event for event in self._events if event["event"] != "doubt"]
        if any(event["event"] == "not_apart" for event in counted):
            return counted
        return counted + [event for event in self.failures() if event["name"] not in reported]

    def _over(self) -> bool:
        if self._status or self._stopped:
            return True
        if self._judge is not None:
            return bool(self._finished) or self._judge.status is not None
        if self._main is None:
            return True
        if self._report:
            return True
        return self._main.status is not None

    def _serve(self, key: selectors.SelectorKey, mask: int) -> None:
        name = key.data
        if name == "report":
            self._read_report()
        elif name == "relay":
            self._pump(mask)
        elif name == "host":
            self._hear()
        elif name.endswith(" ended"):
            side = self._main if name == "main ended" else self._judge
            if side is self._main and self._has_init(self._job["mode"]) and not self._report:
                self._read_report()  # the init reports before it ends
            if side is not None and side.ended():
                self._selector.unregister(side.pidfd)
                kind, detail = side.why_not_begun()
                if kind:
                    self._stop(_NOT_BEGUN[kind], detail)
        elif not self._drain(key.fd, name, 1):
            self._selector.unregister(key.fd)

    def _read_report(self) -> None:
        """The init's last words."""
        assert self._main is not None
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._main.control)
        try:
            report, self._carried = self._main.hear(_LAST_WORDS)
        except (EOFError, OSError, protocol.ProtocolError):
            return  # it was killed: its exit tells
        self._report = report
        if report["type"] in _NOT_BEGUN:
            self._stop(_NOT_BEGUN[report["type"]], report["detail"])
        else:
            self._main.status = report["status"]

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
                self._read_events(data)
                continue
            if name == "log":
                self._log = (self._log + data)[-_LOG_CAP:]
                continue
            kept = self._output[name]
            sent = self._limits["output"]
            room = sent - len(kept)
            if len(data) > room:
                self._truncated[name] = True
                self._stop("output_exceeded", f"More than {sent} bytes were written to {name}.")
            if data[:room]:
                kept += data[:room]
                if self._job["stream"]:
                    self._send({"type": "output", "stream": name}, data[:room])
        return True

    def _read_events(self, data: bytes) -> None:
        self._results_kept += len(data)
        if max(self._results_kept, self._events_kept) > _RESULTS_CAP:
            return
        *lines, rest = (bytes(self._results) + data).split(b"\n")
        self._results = bytearray(rest)
        for line in lines:
            event = event_of(line)
            self._events_kept += len(json.dumps(event))
            if self._events_kept > _RESULTS_CAP:
                return
            self._events.append(event)
            if event["event"] == "tampered" and len(self._attack) < _MOST_ATTACKS:
                self._attack.append(event["what"][:300])
            elif event["event"] == "finished":
                self._finished = event

    # The boundary, where the other side is in another container

    def _pump(self, mask: int) -> None:
        assert self._relay is not None
        if mask & selectors.EVENT_WRITE:
            try:
                del self._to_relay[: self._relay.send(self._to_relay[:_CHUNK])]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self._to_relay.clear()  # nobody reads it any more
        if mask & selectors.EVENT_READ:
            try:
                data = self._relay.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self._send({"type": "boundary", "end": not data}, data)
            if not data:
                self._selector.unregister(self._relay)
                return
        self._watch_relay()

    def _pump_rest(self) -> None:
        """Pass on what our side wrote before it ended."""
        assert self._relay is not None
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data := self._relay.recv(_CHUNK):
                self._send({"type": "boundary", "end": False}, data)
        self._send({"type": "boundary", "end": True})

    def _hear(self) -> None:
        """A frame from the host during the run: bytes for the boundary, or the word that the other side is done."""
        frame, data = self._receive()
        if frame["type"] == "stop":
            self._stopped = True
        elif frame["type"] == "boundary" and self._relay is not None:
            self._relay_ends = self._relay_ends or bool(frame.get("end"))
            self._to_relay += data
            if len(self._to_relay) > _RELAY_CAP:
                self._stop("memory_exceeded", "Too much was waiting to cross the boundary.")
            self._watch_relay()

    def _watch_relay(self) -> None:
        assert self._relay is not None
        if self._relay_ends and not self._to_relay:  # not before the other side's last words have gone
            with contextlib.suppress(OSError):
                self._relay.shutdown(socket.SHUT_WR)
        with contextlib.suppress(KeyError):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._to_relay else 0)
            self._selector.modify(self._relay, events, "relay")

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
            if self._has_init(self._job["mode"]) and not self._report and main.status is None:
                with contextlib.suppress(OSError, KeyError):
                    main.control.sendall(b"s")
                    self._read_report()
                main.reap(kill=not self._report)
            else:
                main.reap(kill=main.status is None or bool(self._report))
        if not self._namespaces:
            kill_all()
            if self._job["mode"] in ("exec", "python", "pytest"):
                used, full = filled()
                found, refused = collect_artifacts(self._job["artifacts"], self._limits["artifacts"])
                self._report |= {
                    "disk_used": used,
                    "disk_full": full,
                    "artifacts": [[path, len(content)] for path, content in found.items()],
                    "artifact_errors": refused,
                }
                self._carried = b"".join(found.values())
        for name, fd in self._pipes.items():
            self._drain(fd, name, 1 << 30)  # all writers are dead: this ends
            os.close(fd)
        for side in (main, judge):
            if side is not None:
                side.close()
        if self._relay is not None:
            self._pump_rest()
            self._relay.close()
        self._selector.close()

    def _may_dismiss(self, main: Side, judge: Side) -> bool:
        """Whether all is known that will be: then the kernel's work of taking both sides down need not be waited for."""
        if not self._namespaces or self._status or not self._finished or self._finished.get("broken"):
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
                self._attack.append(f"a forbidden system call by the {name if self._judge else 'program'}")
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
        self._read_disk(self._report.get("disk_used", 0), self._report.get("disk_full", False))
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
