"""Latency of a run from a warm pool, next to `docker run` of the same image, in one go on one machine.

    python benchmarks/warm_pool.py [--runs 20] [--torch] [--json]

Each run waits until the pool is warm again, so the figure is what a caller sees who finds a sandbox ready. The ratio is what
to compare across machines: absolute times move with whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time

from orchestrator import Engine, Program, Settings

PLAIN = "print(6 * 7)"
TORCH = "import torch; print(int((torch.ones(6, 7)).sum()))"


async def warm(code: str, runs: int, preload: bool) -> list[float]:
    times = []
    async with Engine(Settings(workers=1), preload=preload) as engine:
        for _ in range(runs + 1):
            while not engine._pool.idle:  # noqa: ASYNC110 - an event would change the path that is measured
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            started = time.perf_counter()
            result = await engine.execute(Program(code=code))
            times.append(time.perf_counter() - started)
            assert result.stdout == "42\n", result
    return times[1:]


def cold(code: str, runs: int, image: str) -> list[float]:
    times = []
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint", "python3", image, "-c", code]
    for _ in range(runs):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - started)
        assert done.stdout == "42\n"
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs of each kind (default 20)")
    parser.add_argument("--torch", action="store_true", help="a program that imports torch")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a line")
    options = parser.parse_args()
    from orchestrator.sandbox.image import image_tag

    code = TORCH if options.torch else PLAIN
    ours = asyncio.run(warm(code, options.runs, options.torch))
    theirs = cold(code, options.runs, Settings().image or image_tag())
    figures = {
        "program": "torch" if options.torch else "plain",
        "runs": options.runs,
        "warm_pool_ms": {"p50": statistics.median(ours) * 1e3, "p95": sorted(ours)[int(0.95 * (len(ours) - 1))] * 1e3},
        "docker_run_ms": {"p50": statistics.median(theirs) * 1e3},
        "ratio": statistics.median(theirs) / statistics.median(ours),
    }
    if options.json:
        json.dump(figures, sys.stdout)
        print()
    else:
        print(
            f"{figures['program']}: warm pool p50 {statistics.median(ours) * 1e3:.1f} ms, "
            f"docker run p50 {statistics.median(theirs) * 1e3:.0f} ms, ratio {figures['ratio']:.0f}"
        )


if __name__ == "__main__":
    main()
