"""PID 1 of a sandbox: say hello, keep a warm child, run one job, report, end.

At the `container` isolation level a sandbox runs one program. The agent ends when its stdin closes, so a host process
that dies, however it dies, takes its sandboxes with it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from typing import Any

import protocol  # type: ignore[import-not-found]
from child import HEAVY, PR_SET_DUMPABLE, WORK, Child  # type: ignore[import-not-found]
from meter import Meter  # type: ignore[import-not-found]
from supervise import Run, collect_artifacts, kill_all, place_files, wants_heavy  # type: ignore[import-not-found]


def _read_exactly(count: int) -> bytes:
    chunks = []
    while count:
        data = os.read(_IN, min(count, 1 << 20))
        if not data:
            raise EOFError
        chunks.append(data)
        count -= len(data)
    return b"".join(chunks)


def _send(header: dict[str, Any], body: bytes = b"") -> None:
    view = memoryview(protocol.encode(header, body))
    while view:
        view = view[os.write(_OUT, view) :]


def _unpack(job: dict[str, Any], body: bytes) -> tuple[bytes, dict[str, bytes]]:
    stdin, rest = body[: job["stdin"]], body[job["stdin"] :]
    files = {}
    for path, size in job["files"]:
        files[path], rest = rest[:size], rest[size:]
    return stdin, files


def main() -> int:
    """Serve one job. Returns the exit code of the container."""
    # Same-uid programs could otherwise open /proc/1/fd or read this process's memory.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The kernel drops signals from inside for a PID 1 that has no handler; Python's own for SIGINT must go.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.makedirs(WORK, exist_ok=True)
    os.makedirs("/box/tmp", exist_ok=True)
    meter = Meter()
    _send({"type": "hello", "version": protocol.VERSION, "cgroup": 2 if meter.v2 else 1, "meter": meter.present})
    heavy = Child(HEAVY) if os.environ.get("FUMEHOOD_PRELOAD", "1") == "1" else None
    if heavy is not None:
        ready, _, _ = select.select([heavy.ready, _IN], [], [])
        if heavy.ready in ready:
            _send({"type": "warm", "preloaded": list(HEAVY)})
    try:
        job, body = protocol.read(_read_exactly)
    except EOFError:
        return 0
    stdin, files = _unpack(job, body)
    try:
        place_files(files)
    except (OSError, ValueError) as exc:
        _send(
            {
                "type": "result",
                "status": "disk_exceeded",
                "detail": f"The program's files could not be placed: {exc}",
                "events": [],
            }
        )
        return 0
    sources = [content.decode("utf-8", "replace") for path, content in files.items() if path.endswith(".py")]
    if heavy is not None and wants_heavy(job, sources):
        child = heavy
    else:
        if heavy is not None:  # its memory is not this program's
            os.kill(heavy.pid, signal.SIGKILL)
            os.waitpid(heavy.pid, 0)
        child = Child()
    if job["adjust"]:  # the host sets other limits on this container, now that only what the program needs is alive
        _send({"type": "adjust"})
        try:
            protocol.read(_read_exactly)
        except EOFError:
            return 0
    result = Run(child, job, meter, _send).supervise(stdin)
    artifacts, refused = collect_artifacts(job["artifacts"], job["limits"]["artifacts"])
    result["artifacts"] = [[path, len(content)] for path, content in artifacts.items()]
    result["artifact_errors"] = refused
    _send(result, b"".join(artifacts.values()))
    return 0


if __name__ == "__main__":
    # The frames get descriptors of their own, so that nothing printed by accident can garble them.
    _IN, _OUT = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        code = main()
    finally:
        kill_all()
    sys.exit(code)
