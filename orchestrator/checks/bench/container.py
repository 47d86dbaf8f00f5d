"""`container`: a container for each run, from the warm pool, next to `docker run`."""

from __future__ import annotations

import asyncio
import statistics
import time

from orchestrator.checks.bench.figures import Figures, Runs, Say, machine, percentiles, silent, with_budgets
from orchestrator.checks.bench.running import execute, in_flight, warm_engine
from orchestrator.checks.bench.yardsticks import docker_run
from orchestrator.sandbox.image import tag_for
from orchestrator.settings import Settings
from orchestrator.types import Program


async def bench_container(settings: Settings, *, workers: int = 2, runs: int = 20, say: Say = silent) -> Figures:
    """The `container` level: latency from a warm pool, and the rate when there is no pause, both next to `docker run`.

    Raises:
        PrerequisiteError: no engine, no image, no docker command.
    """
    before = machine()
    image = tag_for(settings)
    code = "print(6 * 7)"
    program = Program(code=code)
    chosen = settings.model_copy(update={"workers": workers, "isolation": "container"})
    warm, busy = Runs(), Runs()
    cold: list[float] = []
    async with warm_engine(chosen, preload=False) as engine:
        for _ in range(runs):
            cold.append((await asyncio.to_thread(docker_run, image, "-c", code))[0])
            # Long enough for the pool to be warm again: what is measured is a caller who finds a sandbox ready.
            await asyncio.sleep(1.5 * max(cold))
            await execute(engine, program, warm)
        say(f"warm pool {1e3 * statistics.median(warm.latencies):.1f} ms, docker run {1e3 * statistics.median(cold):.0f} ms")
        started = time.perf_counter()
        await in_flight(workers, [program] * runs, lambda one: execute(engine, one, busy))
        rate = runs / (time.perf_counter() - started)
    started = time.perf_counter()
    await in_flight(workers, range(runs), lambda _: asyncio.to_thread(docker_run, image, "-c", code))
    plain = runs / (time.perf_counter() - started)
    say(f"without pause: {rate:.2f} runs/s, docker run {plain:.2f}")
    figures = {
        "warm_p50_ms": percentiles(warm.latencies)["p50"],
        "warm_latency_ms": percentiles(warm.latencies),
        "docker_run_ms": percentiles(cold),
        "ratio_to_docker_run": statistics.median(cold) / statistics.median(warm.latencies),
        "sustained_runs_per_second": rate,
        "docker_run_runs_per_second": plain,
        "sustained_ratio_to_docker_run": rate / plain,
        "workers": workers,
        **warm.figures(),
        "valid": warm.verdicts["ok"] + busy.verdicts["ok"] == 2 * runs,
    }
    return with_budgets("container", figures, before)
