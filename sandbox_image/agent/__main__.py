"""PID 1 of a sandbox: say hello, keep warm children, run jobs one at a time, report.

At the `container` level a sandbox runs one job and ends. At the `namespace` level it goes on, each job in fresh namespaces.
The agent ends when its stdin closes, so a host process that dies, however it dies, takes its sandboxes with it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import Any

import protocol  # type: ignore[import-not-found]
from files import WORK  # type: ignore[import-not-found]
from gpu import Gpu, GpuError  # type: ignore[import-not-found]
from linux import PR_SET_DUMPABLE, prctl  # type: ignore[import-not-found]
from meter import Meter  # type: ignore[import-not-found]
from supervise import Run, kill_all, sides  # type: ignore[import-not-found]
from zygote import HEAVY, Zygote  # type: ignore[import-not-found]

_DISK = 128 << 20
"""Bytes for which waiting children make their file systems; a run with another limit has them resized."""


class _Pipe:
    """Frames over the two descriptors that the engine attached."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self._write = read, write

    def read_exactly(self, count: int) -> bytes:
        chunks = []
        while count:
            data = os.read(self.read, min(count, 1 << 20))
            if not data:
                raise EOFError
            chunks.append(data)
            count -= len(data)
        return b"".join(chunks)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        frame: tuple[dict[str, Any], bytes] = protocol.read(self.read_exactly)
        return frame

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        view = memoryview(protocol.encode(header, body))
        while view:
            view = view[os.write(self._write, view) :]


def _isolated(zygote: Zygote) -> str:
    """Why children cannot be isolated by namespaces here, or an empty string."""
    try:
        zygote.take().discard()
        zygote.take(judge=True).discard()
    except OSError as exc:
        return str(exc)
    return ""


def _gpu() -> tuple[Gpu | None, str]:
    """The GPU that the host has bound to this sandbox, or why it cannot be watched."""
    wanted = os.environ.get("FUMEHOOD_GPU")
    if not wanted:
        return None, ""
    try:
        return Gpu(wanted, float(os.environ.get("FUMEHOOD_GPU_FRACTION", "1"))), ""
    except GpuError as exc:
        return None, str(exc)


def main(pipe: _Pipe) -> int:
    """Serve jobs. Returns the exit code of the container."""
    # Same-uid programs could otherwise open /proc/1/fd or read this process's memory.
    prctl(PR_SET_DUMPABLE, 0)
    # The kernel drops signals from inside for a PID 1 that has no handler; Python's own for SIGINT must go.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.makedirs(WORK, exist_ok=True)
    os.makedirs("/box/tmp", exist_ok=True)
    namespaces = os.environ.get("FUMEHOOD_ISOLATION") == "namespace"
    meter = Meter()
    bare = Zygote((), namespaces=namespaces, disk=_DISK)
    preload = os.environ.get("FUMEHOOD_PRELOAD", "1") == "1"
    heavy = None
    if preload or not namespaces:
        # Made now even where it is not wanted yet: it must be older than the job. A worker for many runs has it from the
        # start or never, or its memory would be counted as theirs.
        heavy = Zygote(HEAVY, namespaces=namespaces, disk=_DISK)
    bare.start(ahead=True)
    if heavy is not None and preload:
        heavy.start(ahead=True)
    gpu, no_gpu = _gpu()  # after the zygotes, which shall know nothing of the driver
    bare.warmed()
    hello = {
        "type": "hello",
        "version": protocol.VERSION,
        "cgroup": 2 if meter.v2 else 1,
        "meter": meter.present,
        "no_gpu": no_gpu,
    }
    pipe.send({**hello, "refused": _isolated(bare) if namespaces else ""})
    bare.prepare()
    if namespaces:
        bare.prepare(judge=True)
    if heavy is not None and preload:
        ready, _, _ = select.select([heavy, pipe.read], [], [])
        if heavy in ready:
            heavy.warmed()
            heavy.prepare()
            if namespaces:
                heavy.prepare(judge=True)
    pipe.send({"type": "warm", "resident": meter.resident()})
    while True:
        try:
            job, body = pipe.receive()
        except EOFError:
            return 0
        parts = protocol.split(body, job["parts"])
        if heavy is not None and not namespaces and not any(libraries for libraries, _ in sides(job, parts)):
            heavy.kill()  # its memory is not this program's
            heavy = None
        job["repeat"] = namespaces
        if job["adjust"]:  # the host sets other limits on this container, now that only what the run needs is alive
            pipe.send({"type": "adjust"})
            try:
                pipe.receive()
            except EOFError:
                return 0
        run = Run(job, parts, meter, pipe.send, pipe.receive, pipe.read, namespaces=namespaces, gpu=gpu)
        run.start(bare, heavy)
        pipe.send(*run.supervise())
        if not namespaces:
            return 0


if __name__ == "__main__":
    # The frames get descriptors of their own, so that nothing printed by accident can garble them.
    frames = _Pipe(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        code = main(frames)
    finally:
        kill_all()
    sys.exit(code)
