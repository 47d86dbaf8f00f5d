"""What a run costs on the orchestrator's side, by the number of runs that wait at once.

    python benchmarks/pool_overhead.py [--workers 4] [--serves 1000] [--json]

The sandboxes are scripted and answer at once, so all CPU time that is seen is queueing, lending, judging and bookkeeping.
`pool` is asking for a sandbox and giving it back; `engine` is a whole `Engine.execute` with tests, from a program to a judged
result. Each run is a task of its own, and its cost is counted. What to look at is that the last row equals the first.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from orchestrator import Engine, Limits, Program, Settings
from orchestrator.sandbox.admission import Admission
from orchestrator.sandbox.pool import Pool
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.types import RunReport, Status, TestOutcome, TestResult

PASSED = TestResult(name="test_f", outcome=TestOutcome.PASSED)
REPORT = RunReport(status=Status.OK, tests=(PASSED,), tests_collected=1, tests_complete=True, isolation="scripted")
PROGRAM = Program(code="def f(): return 1", tests="from candidate import f\ndef test_f(): assert f() == 1", judging="together")
LIMITS = Limits()
PLENTY = 1 << 50


def script(serves: int) -> ScriptedProvider:
    return ScriptedProvider(lambda program: REPORT, runs=serves, record=False)


async def cost(pool: Pool, workers: int, run: Callable[[int], Awaitable[object]], count: int) -> float:
    """CPU seconds for each of `count` runs, all of which wait before the first is served."""
    async with full(pool, workers):
        gc.collect()
        started = time.process_time()
        tasks = [asyncio.ensure_future(run(i)) for i in range(count)]
        await asyncio.sleep(0)
        assert pool.queued == count
    await asyncio.gather(*tasks)
    return (time.process_time() - started) / count


async def memory(pool: Pool, workers: int, run: Callable[[int], Awaitable[object]], count: int) -> float:
    """Bytes for each of `count` runs that wait, the task of each included."""
    async with full(pool, workers):
        gc.collect()
        tracemalloc.start()
        tasks = [asyncio.ensure_future(run(i)) for i in range(count)]
        await asyncio.sleep(0)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    await asyncio.gather(*tasks)
    return size / count


@asynccontextmanager
async def full(pool: Pool, workers: int) -> AsyncIterator[None]:
    """All sandboxes are lent meanwhile."""
    while pool.idle < workers:  # noqa: ASYNC110 - an event would change what is measured
        await asyncio.sleep(0.001)
    async with AsyncExitStack() as held:
        for _ in range(workers):
            await held.enter_async_context(pool.acquire())
        yield


async def row(count: int, workers: int, serves: int, repeats: int) -> dict[str, float]:
    async with Pool(script(serves), workers, admission=Admission(PLENTY), max_queued=count + 1) as pool:

        async def borrow(i: int) -> None:
            async with pool.acquire(caller=str(i % 8), priority=i % 3) as sandbox:
                await sandbox.run(PROGRAM, LIMITS)

        in_pool = [await cost(pool, workers, borrow, count) for _ in range(repeats)]
    settings = Settings(workers=workers)
    async with Engine(settings, provider=script(serves), max_queued=count + 1, memory_budget=PLENTY) as engine:

        async def execute(i: int) -> None:
            await engine.execute(PROGRAM, caller=str(i % 8), priority=i % 3)

        in_engine = [await cost(engine._pool, workers, execute, count) for _ in range(repeats)]
        size = await memory(engine._pool, workers, execute, count)
    return {
        "runs": count,
        "pool_us": statistics.median(in_pool) * 1e6,
        "engine_us": statistics.median(in_engine) * 1e6,
        "bytes_waiting": size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4, help="sandboxes (default 4)")
    parser.add_argument("--serves", type=int, default=1000, help="runs until a sandbox is replaced (default 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(f"{'runs':>7} {'pool, us CPU a run':>20} {'engine, us CPU a run':>22} {'bytes a waiting run':>21}")
    for count in (10, 100, 1_000, 10_000):
        found = asyncio.run(row(count, options.workers, options.serves, 5 if count > 1_000 else 15))
        rows.append(found)
        if not options.json:
            print(f"{count:>7} {found['pool_us']:>20.0f} {found['engine_us']:>22.0f} {found['bytes_waiting']:>21.0f}")
    if options.json:
        json.dump({"workers": options.workers, "serves": options.serves, "rows": rows}, sys.stdout)
        print()


if __name__ == "__main__":
    main()
