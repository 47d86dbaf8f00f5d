"""PID 1 of a sandbox: say hello, keep warm children, run jobs one at a time, report.

At the `container` level a sandbox runs one job and ends. At the `namespace` level it goes on, each job in fresh namespaces.
The agent ends when its stdin closes, so a host process that dies, however it dies, takes its sandboxes with it.
"""

from __future__ import annotations

import os
import resource
import select
import signal
from typing import TYPE_CHECKING

from . import protocol
from .files import WORK
from .gpu import bound
from .linux import PR_SET_DUMPABLE, prctl
from .meter import Meter
from .needs import is_quiet, sides
from .pipe import Pipe, attached
from .supervise import Run, kill_all, reduced
from .zygote import FOREIGN, HEAVY, QUIET, TABLES, TESTS, Zygote

if TYPE_CHECKING:
    from .schema import FromRuns, Hello, Libraries, Test, ToRuns

_IDLE = 0.3
"""Seconds without a job after which a worker for many runs imports the libraries that it may need later."""
_SOON = 5
"""Runs with the libraries after which their zygote settles, though nobody gives it time for that."""
_ROOM = 1 << 30
"""Bytes for the import of the libraries, on top of what a worker holds before."""
_DESCRIPTORS = 65536
"""Most descriptors that the agent and its zygotes may have open, far more than a run."""
_DISK = 128 << 20
"""Bytes for which waiting children make their file systems; a run with another limit has them resized."""


def _isolated(zygote: Zygote) -> str:
    """Why children cannot be isolated by namespaces here, or an empty string."""
    try:
        zygote.take(FOREIGN).discard()
        zygote.take(TESTS).discard()
    except OSError as exc:
        return str(exc)
    return ""


def _warm_up(heavy: Zygote, pipe: Pipe[ToRuns, FromRuns], *, judge: bool) -> None:
    """Wait until the libraries are there and have children prepared, or until there is a job."""
    sources: list[Zygote | int] = [heavy, pipe.read]
    if heavy in select.select(sources, [], [])[0]:
        heavy.warmed()
        heavy.prepare(FOREIGN)
        if judge:
            heavy.prepare(TESTS)


def main(pipe: Pipe[ToRuns, FromRuns]) -> int:
    """Serve jobs. Returns the exit code of the container."""
    # Same-uid programs could otherwise open /proc/1/fd or read this process's memory.
    prctl(PR_SET_DUMPABLE, 0)
    # The kernel drops signals from inside for a PID 1 that has no handler; Python's own for SIGINT must go.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The kernel counts descriptors on their way through sockets for all containers of one user together, and lets each sender
    # have as many under way as it may open: what runs leave there (see `child.py`) must never be as much as this.
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.makedirs(WORK, exist_ok=True)
    os.makedirs("/box/tmp", exist_ok=True)
    namespaces = os.environ.get("FUMEHOOD_ISOLATION") == "namespace"
    meter = Meter()
    bare = Zygote((), namespaces=namespaces, disk=_DISK)
    # Made now, for they must be older than every job, and let off when they are wanted.
    zygotes: dict[str, Zygote] = {
        "": bare,
        "arrays": Zygote(HEAVY, namespaces=namespaces, disk=_DISK),
        "tables": Zygote(TABLES, namespaces=namespaces, disk=_DISK),
    }
    heavy = [zygotes["arrays"], zygotes["tables"]]
    ahead = zygotes[os.environ.get("FUMEHOOD_PRELOAD", "arrays")]
    preload = ahead is not bare
    bare.start(ahead=True)
    if preload and not namespaces:
        ahead.start(ahead=True)
    gpu, no_gpu = bound()  # after the zygotes, which shall know nothing of the driver
    bare.warmed()
    hello: Hello = {
        "type": "hello",
        "version": protocol.VERSION,
        "cgroup": 2 if meter.v2 else 1,
        "meter": meter.present,
        "no_gpu": no_gpu,
        "refused": _isolated(bare) if namespaces else "",
    }
    pipe.send(hello)
    for kind in (FOREIGN, TESTS, QUIET, QUIET) if namespaces else (FOREIGN,):
        bare.prepare(kind)
    if preload and not namespaces:
        _warm_up(ahead, pipe, judge=False)
    pipe.send({"type": "warm"})
    if preload and namespaces and not select.select([pipe.read], [], [], _IDLE)[0]:
        ahead.start(ahead=True)
        _warm_up(ahead, pipe, judge=True)
    first, served = True, 0
    counted: set[int] = set()
    """Zygotes whose memory the limits allow for, by their process."""
    due: list[Zygote] = []
    while True:
        try:
            if due and (served >= _SOON or not select.select([pipe.read], [], [], _IDLE)[0]):
                for one in due:
                    one.settle()
                    counted.discard(one.pid)
            job, body = pipe.receive()
            assert job["type"] == "job"  # no other frame is sent between runs
            parts = protocol.split(body, job["parts"])
            wanted = sides(job, parts)
            used: Libraries = next((libraries for libraries, _ in wanted if libraries), "")
            new = [one for one in heavy if (one is zygotes[used] or one.started) and one.pid not in counted]
            if namespaces and new:
                if not first:  # this container has the limits of the run before
                    _adjust(pipe, meter.resident() + len(new) * _ROOM)
                for one in new:
                    one.warmed()  # its memory is not to grow while a run's is counted
                    counted.add(one.pid)
                job["adjust"] = True
            if not namespaces:
                for one in heavy:
                    if one is not zygotes[used]:
                        one.kill()  # its memory is not this program's
            if job["adjust"]:
                _adjust(pipe, meter.resident())
        except EOFError:
            return 0
        first = False
        ways = [[(zygotes[libraries], TESTS if judge else FOREIGN) for libraries, judge in wanted]]
        if namespaces and not used and is_quiet(job, parts):
            ways.insert(0, [(bare, QUIET)] * 2)
        failures: list[Test] = []
        for children in ways:
            run = Run(job, parts, meter, pipe, namespaces=namespaces, gpu=gpu, failures=failures)
            run.start(children)
            result, output = run.supervise()
            if not run.broke_the_silence:
                break
            failures = run.failures()
            pipe.send({"type": "again"})  # its time begins anew
        result["libraries"] = used
        try:
            pipe.send(result, output)
        except protocol.ProtocolError as exc:
            pipe.send(*reduced(result, output, str(exc)))
        run.clear()
        if not namespaces:
            return 0
        served += bool(used)
        # Their memory grows, and only between runs is there room for that: what the last run was allowed.
        due = [one for one in heavy if one.is_warm and not one.is_settled and job["limits"]["memory"] >= _ROOM // 2]


def _adjust(pipe: Pipe[ToRuns, FromRuns], resident: int) -> None:
    """Have the host set the run's limits on this container, on top of what is `resident` in it. Raises EOFError."""
    pipe.send({"type": "adjust", "resident": resident})
    pipe.receive()


def start() -> int:
    """Take over the streams that the engine attached, and serve until they close. Returns the exit code."""
    try:
        return main(attached())
    finally:
        kill_all()
