"""A soak at the `namespace` level: many mixed runs, half of them hostile; memory, descriptors and latency must stay flat.

    python benchmarks/soak.py [--runs 20000] [--block 1000] [--workers 2] [--json]

Ends with 1 where a run ended otherwise than it must, or something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from orchestrator.checks.soak import LIMITS, Row, Soak, soak
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import MiB

MOST = {"p50": 1.3, "p95": 1.4, "rss": 1.1, "descriptors": 1.1, "worker_memory": 1.3}
"""How much of each there may be in the last quarter for one in the second."""
LEAST_RATE = 0.75


def _tell(row: Row) -> None:
    print(
        f"{row.runs:>7} {row.rate:>8.1f} {row.p50:>8.1f} {row.p95:>8.1f} {row.rss / MiB:>8.1f} "
        f"{row.descriptors:>6} {row.worker_memory / MiB:>10.1f} {row.workers:>8}",
        file=sys.stderr,
        flush=True,
    )


async def _soak(options: argparse.Namespace) -> Soak:
    settings = Settings(workers=options.workers, isolation="namespace")
    async with Engine(settings, limits=LIMITS, preload=False) as engine:
        return await soak(engine, options.runs, options.block, _tell)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--block", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print("   runs   runs/s   p50 ms   p95 ms  RSS MiB  files worker MiB  workers", file=sys.stderr)
    found = asyncio.run(_soak(options))
    drift = found.drift()
    grown = [f"{name} x{drift[name]:.2f}" for name, most in MOST.items() if drift[name] > most]
    grown += [f"rate x{drift['rate']:.2f}"] if drift["rate"] < LEAST_RATE else []
    if options.json:
        print(json.dumps(asdict(found) | {"drift": drift, "grown": grown}))
    else:
        print("last quarter / second quarter:", ", ".join(f"{name} {value:.2f}" for name, value in drift.items()))
        print("statuses:", ", ".join(f"{status} {count}" for status, count in found.statuses.most_common()))
        print(f"sent {found.attempts} times; ended otherwise than they must: {len(found.unexpected)}")
        for line in found.unexpected[:20]:
            print("  ", line)
        print("grown:", ", ".join(grown) or "nothing")
    return 1 if found.unexpected or grown else 0


if __name__ == "__main__":
    sys.exit(main())
