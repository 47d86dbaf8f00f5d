"""What the benchmarks share: a warm engine, runs at once, and what they take of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.checks.bench.figures import Runs
from orchestrator.engine.engine import Engine
from orchestrator.errors import SandboxUnavailable
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program

LIMITS = Limits(wall_time=30, cpu_time=20, memory=1024 * MiB)
_T = TypeVar("_T")


async def in_flight(count: int, work: Iterable[_T], one: Callable[[_T], Any]) -> None:
    """Do one thing after the other, `count` at a time; no task exists before its turn."""
    source = iter(work)

    async def take() -> None:
        for item in source:
            await one(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(take())


async def execute(engine: Engine, program: Program, runs: Runs) -> None:
    """Run a program, and count the run."""
    started = time.perf_counter()
    result = await engine.execute(program, LIMITS)
    runs.add(result, time.perf_counter() - started)


def own_pss() -> int | None:
    """Bytes of memory of this process; see `worker_pss`."""
    return _pss("self")


def _pss(pid: object) -> int | None:
    """Bytes of memory of a process, what it shares divided by how many share it; None where the kernel does not say."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


def worker_pss() -> float | None:
    """Mean bytes of the containers of this process that are up now; None where their processes are not to be seen from here."""
    from orchestrator.processes import owner
    from orchestrator.sandbox.engine import connect
    from orchestrator.sandbox.hardening import OWNER

    client = connect()
    try:
        sums = []
        for container in client.api.containers(filters={"label": f"{OWNER}={owner()}"}):
            top = client.api.top(container["Id"])
            column = top["Titles"].index("PID")
            found = [_pss(row[column]) for row in top["Processes"]]
            if None in found:
                return None
            sums.append(sum(size for size in found if size is not None))
    except Exception:
        return None  # a figure less is better than no benchmark
    finally:
        client.close()
    return statistics.fmean(sums) if sums else None


def daemon_cpu() -> float:
    """CPU seconds so far of the container engine's processes on this machine."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            name, _, rest = stat.read_text(encoding="utf-8", errors="replace").partition("(")[2].rpartition(")")
            if name.startswith(("dockerd", "containerd")):
                ticks += sum(int(field) for field in rest.split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def warm_engine(settings: Settings, *, preload: bool = True) -> AsyncIterator[Engine]:
    """An engine whose sandboxes have all served once."""
    async with Engine(settings, limits=LIMITS, preload=preload) as engine:
        first = await asyncio.gather(
            *(engine.execute(Program(code="import time; time.sleep(0.2)"), LIMITS) for _ in range(settings.workers))
        )
        if failed := next((result for result in first if result.status != "ok"), None):
            raise SandboxUnavailable(f"A first run ended with {failed.status}. {failed.detail}", remedy="Run `fumehood doctor`.")
        yield engine
