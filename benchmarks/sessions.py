"""What a step of a session costs, next to `docker exec` of the same command in the same container.

    python benchmarks/sessions.py [--runs 200] [--docker-runs 30] [--json FILE]

Takes turns: so many steps of each kind, then `docker exec`, and again, so that all feel the same load. It measures

- `exec`: `true`, from the call to the result;
- `cell`: `x = x + 1` in the process that keeps the state;
- `file`: a file of 1 MiB, written and read back;
- `first exec`: a session from asking for it to its first result, where one waits, and where none does;
- `docker exec`: the same `true`, with the command line of the engine.

Exit code 0: within the budgets (exec 10 ms at the median, first exec 100 ms); 1: not; 3: nothing can be measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.engine.engine import Engine
from orchestrator.errors import OrchestratorError
from orchestrator.sandbox.session import DockerSession
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB

LIMITS = Limits(memory=256 * MiB, processes=64)
BUDGETS = {"exec": 10.0, "first exec, one waits": 100.0}
"""Milliseconds at the median."""
_ROUNDS = 5


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds that some work takes."""
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) * 1000


async def docker_exec(container: str) -> None:
    child = await asyncio.create_subprocess_exec("docker", "exec", container, "true")
    if await child.wait():
        raise SystemExit("`docker exec` failed")


async def steps(engine: Engine, runs: int, docker_runs: int) -> dict[str, list[float]]:
    """Times of each kind of step, in one session."""
    took: dict[str, list[float]] = {"exec": [], "cell": [], "file": [], "docker exec": []}
    async with engine.session(LIMITS) as session:
        assert isinstance(session, DockerSession)
        content = bytes(MiB)

        async def file() -> None:
            await session.write_file("file", content)
            await session.read_file("file")

        await session.run_cell("x = 0")
        for _ in range(_ROUNDS):
            for _ in range(runs // _ROUNDS):
                took["exec"].append(await timed(lambda: session.exec(["true"])))
                took["cell"].append(await timed(lambda: session.run_cell("x = x + 1")))
            for _ in range(docker_runs // _ROUNDS):
                took["file"].append(await timed(file))
                took["docker exec"].append(await timed(lambda: docker_exec(session.container)))
    return took


async def firsts(engine: Engine, runs: int, *, waiting: bool) -> list[float]:
    """Times from asking for a session to its first result."""

    async def first() -> None:
        async with engine.session(LIMITS) as session:
            await session.exec(["true"])
            took.append((time.perf_counter() - begun) * 1000)

    took: list[float] = []
    for _ in range(runs):
        while waiting and not any(pool.idle for pool in engine.session_pools):  # noqa: ASYNC110  nobody is told
            await asyncio.sleep(0.01)
        begun = time.perf_counter()
        await first()
    return took


async def measure(runs: int, docker_runs: int) -> dict[str, list[float]]:
    settings = Settings(workers=1)
    async with Engine(settings, limits=LIMITS, preload=False, ahead=False) as engine:
        took = await steps(engine, runs, docker_runs)
        took["first exec, one waits"] = await firsts(engine, 10, waiting=True)
    async with Engine(settings, limits=LIMITS, preload=False, ahead=False, refill=False) as engine:
        took["first exec, none waits"] = await firsts(engine, 5, waiting=False)
    return took


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--docker-runs", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        took = asyncio.run(measure(options.runs, options.docker_runs))
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return 3
    yardstick = statistics.median(took["docker exec"])
    print(f"{'milliseconds':24}{'n':>6}{'p50':>9}{'p95':>9}{'least':>9}   docker exec / this")
    for name, times in took.items():
        middle = statistics.median(times)
        ratio = yardstick / middle
        print(f"{name:24}{len(times):6}{middle:9.1f}{percentile(times, 0.95):9.1f}{min(times):9.1f}{ratio:12.1f}")
    if options.json:
        options.json.write_text(json.dumps(took))
    return int(any(statistics.median(took[name]) > most for name, most in BUDGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
