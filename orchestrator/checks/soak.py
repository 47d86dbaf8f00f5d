"""Soak: many runs of many kinds, half of them hostile, and whether the host side and the workers stay as they were.

Every run has a known end; one that ends otherwise is a finding. After each block of runs a row says how fast it went and what is
held: `drift` compares the last quarter of the rows with the second, the first being warm-up.

Left out: faults of the engine and of workers. The fault tests have those.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

from orchestrator.engine.engine import Engine
from orchestrator.types import ExecutionResult, KiB, Limits, MiB, Program, Status, Verdict

LIMITS = Limits(wall_time=10, cpu_time=5, memory=128 * MiB, disk=16 * MiB, output=64 * KiB, processes=32)
"""Small, so that who goes beyond them does so soon."""
_TESTS = "from candidate import f\n\ndef test_f():\n    assert f(20) == 6765\n"
_RIGHT = "def f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"


@dataclass(frozen=True)
class Kind:
    """A program and how it must end."""

    name: str
    program: Program
    status: Status
    verdict: Verdict | None = None
    """None where nothing is judged."""
    cpu_time: float = LIMITS.cpu_time
    hostile: bool = True
    often: int = 6
    """How many of it there are among the others."""

    def ended_well(self, result: ExecutionResult) -> bool:
        """Whether it ended as it must."""
        return result.status is self.status and (self.verdict is None or result.verdict is self.verdict)


def _friendly(name: str, program: Program, verdict: Verdict | None = None) -> Kind:
    return Kind(name, program, Status.OK, verdict, hostile=False)


_PTRACE = "import ctypes\nctypes.CDLL(None).ptrace(16, 1, 0, 0)\nprint('still here')"
_DAEMON = """import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
"""
KINDS = (
    _friendly("prints", Program(code="print(sum(range(1000)))")),
    _friendly("reads", Program(code="import sys\nprint(sys.stdin.read()[::-1])", stdin=b"x" * 10_000)),
    _friendly("command", Program(argv=("sh", "-c", "echo one; echo two >&2"))),
    _friendly("artefact", Program(code="open('out.bin', 'wb').write(bytes(100_000))", artifacts=("out.bin",))),
    _friendly("right", Program(code=_RIGHT, tests=_TESTS), Verdict.ACCEPTED),
    _friendly("wrong", Program(code=_RIGHT.replace("0, 1", "1, 1"), tests=_TESTS), Verdict.WRONG_ANSWER),
    Kind("exits", Program(code="import os\nos._exit(3)"), Status.RUNTIME_ERROR),
    Kind("exits in its tests", Program(code="import os\ndef f(n): os._exit(0)", tests=_TESTS), Status.OK, Verdict.RUNTIME_ERROR),
    Kind("kills itself", Program(code="import os\nos.kill(os.getpid(), 9)"), Status.SIGNALLED),
    Kind("floods", Program(code="while True: print('x' * 1000)"), Status.OUTPUT_EXCEEDED),
    Kind("ptrace", Program(code=_PTRACE), Status.SIGNALLED, Verdict.TAMPERED, often=2),
    Kind("fills the disk", Program(code="f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))"), Status.DISK_EXCEEDED),
    Kind("spins", Program(code="while True: pass"), Status.TIMED_OUT_CPU, cpu_time=0.2, often=2),
    Kind("leaves a daemon", Program(code=_DAEMON), Status.OK),
    # After these two the worker is replaced, which costs a hundred times what a run does.
    Kind(
        "fork bomb",
        Program(code="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        Status.PROCESS_LIMIT_EXCEEDED,
        often=1,
    ),
    Kind("memory bomb", Program(code="x = []\nwhile True: x.append(bytearray(1 << 24))"), Status.MEMORY_EXCEEDED, often=1),
)


@dataclass(frozen=True)
class Row:
    """One block of runs, and what was held after it."""

    runs: int
    """All runs so far."""
    rate: float
    """Runs per second."""
    p50: float
    """Milliseconds from asking to the result; `p95` alike."""
    p95: float
    rss: int
    """Resident bytes of this process."""
    descriptors: int
    tasks: int
    worker_memory: int
    """Bytes of the largest worker container; 0 where the engine does not say."""
    workers: int


@dataclass
class Soak:
    """What came of a soak."""

    rows: list[Row] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    """Runs that ended otherwise than they must: kind, status, verdict, detail."""
    attempts: int = 0
    """How often runs were sent; more than there are runs where sandboxes died under them."""

    def drift(self) -> dict[str, float]:
        """Each measure's mean over the last quarter of the rows, divided by that over the second quarter. 1 is flat."""
        quarter = max(1, len(self.rows) // 4)
        early, late = self.rows[quarter : 2 * quarter] or self.rows[:1], self.rows[-quarter:]
        names = ("rate", "p50", "p95", "rss", "descriptors", "worker_memory")
        return {
            name: mean(getattr(row, name) for row in late) / (mean(getattr(row, name) for row in early) or 1.0) for name in names
        }


def mixed() -> Iterator[Kind]:
    """Friendly and hostile kinds in turn, without end."""
    friendly = itertools.cycle(_spread(False))
    hostile = itertools.cycle(_spread(True))
    while True:
        yield next(friendly)
        yield next(hostile)


def _spread(hostile: bool) -> list[Kind]:
    """Each kind as often as it says, spread evenly."""
    placed = [((i + 0.5) / kind.often, kind) for kind in KINDS if kind.hostile is hostile for i in range(kind.often)]
    return [kind for _, kind in sorted(placed, key=lambda item: item[0])]


async def soak(engine: Engine, runs: int, block: int = 1000, on_row: Callable[[Row], None] = lambda row: None) -> Soak:
    """Run a mix, as many at once as the engine has sandboxes, and measure after each block.

    Raises:
        PrerequisiteError, PoolExhausted: as `Engine.execute`.
    """
    found = Soak()
    kinds = mixed()
    done = 0
    while done < runs:
        count = min(block, runs - done)
        latencies: list[float] = []
        turns = iter([next(kinds) for _ in range(count)])
        started = time.perf_counter()
        await asyncio.gather(*(_work(engine, turns, latencies, found) for _ in range(engine.workers)))
        taken = time.perf_counter() - started
        done += count
        cuts = quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
        memory = await asyncio.to_thread(_worker_memory, engine)
        row = Row(
            runs=done,
            rate=count / taken,
            p50=cuts[9] * 1e3,
            p95=cuts[18] * 1e3,
            rss=_resident(),
            descriptors=_descriptors(),
            tasks=len(asyncio.all_tasks()),
            worker_memory=max(memory, default=0),
            workers=len(memory),
        )
        found.rows.append(row)
        on_row(row)
    return found


async def _work(engine: Engine, turns: Iterator[Kind], latencies: list[float], found: Soak) -> None:
    for kind in turns:
        started = time.perf_counter()
        result = await engine.execute(kind.program, LIMITS.model_copy(update={"cpu_time": kind.cpu_time}))
        latencies.append(time.perf_counter() - started)
        found.statuses[result.status] += 1
        found.attempts += result.attempts
        if not kind.ended_well(result):
            found.unexpected.append(f"{kind.name}: {result.status}, {result.verdict}, {result.detail or result.stderr[-200:]}")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _worker_memory(engine: Engine) -> list[int]:
    """Bytes that each worker container holds, as the container engine says."""
    api: Any = getattr(engine._provider, "api", None)
    used = []
    for name in list(getattr(engine._provider, "_live", ())) if api else ():
        with contextlib.suppress(Exception):  # it is being replaced at this moment
            used.append(int(api.stats(name, stream=False, one_shot=True)["memory_stats"]["usage"]))
    return used
