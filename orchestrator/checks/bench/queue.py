"""`queue`: growing numbers of runs, next to the fewest."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from orchestrator.checks.bench.figures import Figures, Runs, Say, machine, percentiles, silent, with_budgets
from orchestrator.checks.bench.running import LIMITS, in_flight, own_pss, warm_engine
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import Program


async def bench_queue(
    settings: Settings, *, sizes: Sequence[int] = (10, 100, 1000, 10000), queued: int = 1000, say: Say = silent
) -> Figures:
    """Runs in growing numbers: time grows with them and memory does not; and what `queued` waiting runs take.

    Every run prints its own number, and each number must come back exactly once.

    Raises:
        PrerequisiteError: no engine, no image.
    """
    before = machine()
    rows: list[Figures] = []
    async with warm_engine(settings, preload=False) as engine:
        for size in sizes:
            seen: Counter[str] = Counter()
            runs = Runs()

            async def one(number: int, seen: Counter[str] = seen, runs: Runs = runs) -> None:
                started = time.perf_counter()
                result = await engine.execute(Program(code=f"print({number})"), LIMITS)
                runs.add(result, time.perf_counter() - started)
                seen[result.stdout] += result.stdout == f"{number}\n"

            first, started = own_pss(), time.perf_counter()
            await in_flight(2 * settings.workers, range(size), one)
            seconds, last = time.perf_counter() - started, own_pss()
            rows.append(
                {
                    "runs": size,
                    "seconds": seconds,
                    "runs_per_second": size / seconds,
                    "lost_or_doubled": size - sum(count == 1 for count in seen.values()),
                    "memory_growth_bytes": None if first is None or last is None else last - first,
                    "latency_ms": percentiles(runs.latencies),
                    "isolation": "+".join(sorted(runs.isolation)),
                }
            )
            say(f"{size} runs in {seconds:.1f} s: {size / seconds:.1f} runs/s")
        waiting = await _queued_memory(engine, queued)
    rates = [row["runs_per_second"] for row in rows]
    figures = {
        "sizes": rows,
        "rate_of_most_to_rate_of_fewest": rates[-1] / rates[0],
        "lost_or_doubled": sum(row["lost_or_doubled"] for row in rows),
        "bytes_per_1000_queued": waiting,
        "workers": settings.workers,
        "isolation": rows[-1]["isolation"],
    }
    figures["valid"] = not figures["lost_or_doubled"]
    return with_budgets("queue", figures, before)


async def _queued_memory(engine: Engine, count: int) -> float | None:
    """Bytes that a thousand waiting runs take, their tasks included. They are cancelled, not run."""
    first = own_pss()
    held = [
        asyncio.create_task(engine.execute(Program(code=f"import time; time.sleep(5); print({i})"), LIMITS)) for i in range(count)
    ]
    try:
        await asyncio.sleep(0.5)  # each has reached the queue
        last = own_pss()
    finally:
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    return None if first is None or last is None else 1000 * (last - first) / count
