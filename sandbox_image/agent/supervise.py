"""Run one program in a child, enforce its limits while it runs, and tell what happened.

The agent is PID 1, so `kill(-1)` reaches every process of the sandbox and whatever is left at the end is killed.
Memory and process limits are the container's cgroup; the agent reads there what the kernel did.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import selectors
import signal
import stat
import time
from collections.abc import Callable
from typing import Any

from child import WORK, Child  # type: ignore[import-not-found]
from meter import Meter, filled  # type: ignore[import-not-found]
from protocol import check_path  # type: ignore[import-not-found]

TICK = 0.02
"""Seconds between readings of the meters."""
_RESULTS_CAP = 8 * 1024 * 1024
_CHUNK = 65536
_HEAVY_IMPORT = re.compile(r"^\s*(?:import|from)\s+(?:numpy|torch|pytest|pandas|sklearn|scipy)\b", re.MULTILINE)

Send = Callable[[dict[str, Any], bytes], None]


def wants_heavy(job: dict[str, Any], sources: list[str]) -> bool:
    """Whether the program needs the child that has numpy, torch and pytest imported."""
    return job["mode"] == "pytest" or (job["mode"] == "python" and any(_HEAVY_IMPORT.search(text) for text in sources))


def place_files(files: dict[str, bytes]) -> None:
    """Write the job's files below the work folder.

    Raises:
        ValueError: a path does not pass the gate.
        OSError: the files do not fit.
    """
    for path, content in files.items():
        target = f"{WORK}/{check_path(path)}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)


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


class Run:
    """One program under its limits."""

    def __init__(self, child: Child, job: dict[str, Any], meter: Meter, send: Send) -> None:
        self._child, self._job, self._meter, self._send = child, job, meter, send
        self._limits: dict[str, Any] = job["limits"]
        self._sent = {"stdout": 0, "stderr": 0}
        self._truncated = {"stdout": False, "stderr": False}
        self._results = bytearray()
        self._status = ""
        self._detail = ""

    def _stop(self, status: str, detail: str) -> None:
        if not self._status:
            self._status, self._detail = status, detail

    def supervise(self, stdin: bytes) -> dict[str, Any]:
        """Start the program and stay with it to its end. Returns the result's header."""
        child, meter = self._child, self._meter
        meter.start()
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for name, fd in (("stdout", child.stdout), ("stderr", child.stderr), ("results", child.results)):
                os.set_blocking(fd, False)
                selector.register(fd, selectors.EVENT_READ, name)
            pidfd = os.pidfd_open(child.pid)
            selector.register(pidfd, selectors.EVENT_READ, "exit")
            order = {key: self._job[key] for key in ("mode", "file", "module", "argv", "args", "env")}
            child.begin({**order, "cpu_time": self._limits["cpu_time"]}, stdin)
            ended = False
            next_reading = started + TICK
            while not ended and not self._status:
                for key, _ in selector.select(max(0.0, next_reading - time.monotonic())):
                    if key.data == "exit":
                        ended = True
                    elif not self._drain(key.fd, key.data, 1):
                        selector.unregister(key.fd)
                if (now := time.monotonic()) >= next_reading:
                    next_reading = now + TICK
                    self._read_meters(now - started)
            wall_time = time.monotonic() - started
            cpu_time = meter.cpu_time()
            code = self._reap(child.pid)
            for name, fd in (("stdout", child.stdout), ("stderr", child.stderr), ("results", child.results)):
                self._drain(fd, name, 1 << 30)  # all writers are dead: this ends
                os.close(fd)
            os.close(pidfd)
        events = self._events()
        self._read_final(code, cpu_time, any(event.get("event") == "finished" for event in events))
        return {
            "type": "result",
            "status": self._status,
            "detail": self._detail,
            "exit_code": os.waitstatus_to_exitcode(code) if os.WIFEXITED(code) else None,
            "signal": os.WTERMSIG(code) if os.WIFSIGNALED(code) else None,
            "wall_time": wall_time,
            "cpu_time": cpu_time,
            "memory_peak": meter.memory_peak(),
            "stdout_truncated": self._truncated["stdout"],
            "stderr_truncated": self._truncated["stderr"],
            "load": os.getloadavg()[0],
            "events": events,
        }

    def _reap(self, pid: int) -> int:
        """Kill the whole tree. Returns the wait status of the program itself."""
        code = 0
        for attempt in (os.WNOHANG, 0):
            done, status = os.waitpid(pid, attempt)
            if done:
                code = status
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        kill_all()
        return code

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
                if len(self._results) < _RESULTS_CAP:
                    self._results += data
                continue
            room = self._limits["output"] - self._sent[name]
            if len(data) > room:
                self._truncated[name] = True
                self._stop("output_exceeded", f"More than {self._limits['output']} bytes were written to {name}.")
            if data[:room]:
                self._sent[name] += len(data[:room])
                self._send({"type": "output", "stream": name}, data[:room])
        return True

    def _read_meters(self, elapsed: float) -> None:
        limits, meter = self._limits, self._meter
        meter.sample()
        if meter.oom_kills():
            self._stop("memory_exceeded", f"The kernel killed a process at {limits['memory']} bytes of memory.")
        elif meter.refused_forks():
            self._stop("process_limit_exceeded", f"More than {limits['processes']} processes and threads were asked for.")
        elif meter.cpu_time() > limits["cpu_time"]:
            self._stop("timed_out_cpu", f"More than {limits['cpu_time']} CPU seconds were used.")
        elif elapsed > limits["wall_time"]:
            self._stop("timed_out_wall", f"{limits['wall_time']} seconds passed.")
        else:
            self._read_disk()

    def _read_disk(self) -> None:
        for place in ("/box", "/dev/shm"):
            used, full = filled(place)
            if full or used > self._limits["disk"]:
                self._stop("disk_exceeded", f"More than {self._limits['disk']} bytes (or too many files) were kept in {place}.")

    def _read_final(self, code: int, cpu_time: float, tests_ended: bool) -> None:
        """Name what happened once the program has ended, causes before their effects."""
        if self._status:
            return
        if self._meter.oom_kills():
            self._stop("memory_exceeded", f"The kernel killed a process at {self._limits['memory']} bytes of memory.")
        elif self._meter.refused_forks():
            self._stop("process_limit_exceeded", f"More than {self._limits['processes']} processes and threads were asked for.")
        elif cpu_time > self._limits["cpu_time"] or (os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGXCPU):
            self._stop("timed_out_cpu", f"More than {self._limits['cpu_time']} CPU seconds were used.")
        self._read_disk()
        if not self._status:
            if os.WIFSIGNALED(code):
                self._status = "signalled"
            else:
                # pytest's exit code speaks of the tests, not of the process.
                self._status = "ok" if code == 0 or tests_ended else "runtime_error"

    def _events(self) -> list[dict[str, Any]]:
        events = []
        for line in bytes(self._results).splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events


def collect_artifacts(patterns: list[str], cap: int) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files of the work folder that match, and why others that match stay inside.

    Only plain files with one name pass; links, devices and FIFOs do not, nor does what exceeds `cap` bytes altogether.
    """
    found: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    room = cap
    for path in _walk(WORK):
        if not any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            continue
        try:
            check_path(path)
            fd = os.open(f"{WORK}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as exc:
            refused[path[:200].encode("utf-8", "replace").decode()] = str(exc).encode("utf-8", "replace").decode()
            continue
        with os.fdopen(fd, "rb") as file:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                refused[path] = "not a plain file with one name"
            elif info.st_size > room:
                refused[path] = f"{info.st_size} bytes do not fit into what is left of {cap}"
            else:
                found[path] = file.read(info.st_size)
                room -= len(found[path])
    return found, refused


def _walk(root: str, limit: int = 10000) -> list[str]:
    """Relative paths of everything below `root` that is not a folder, no link followed, at most `limit`."""
    paths: list[str] = []
    for folder, folders, files in os.walk(root):
        folders.sort()
        # A link to a folder is listed as a folder and never entered: name it, so that it is refused aloud.
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]
        paths += [os.path.relpath(f"{folder}/{name}", root) for name in sorted(files) + links]
        if len(paths) >= limit:
            break
    return paths[:limit]
