"""`humaneval`: reference solutions judged by their own tests, next to OpenAI's harness."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.checks.bench.figures import Figures, Runs, Say, machine, silent, with_budgets
from orchestrator.checks.bench.running import daemon_cpu, execute, in_flight, warm_engine, worker_pss
from orchestrator.checks.bench.yardsticks import harness_path, human_eval_problems, their_round
from orchestrator.data.benchmarks.names import defined
from orchestrator.settings import Settings
from orchestrator.types import Program, Verdict


def reference_program(problem: Mapping[str, str]) -> Program:
    """A problem's own solution, to be judged by the problem's tests, which may use what its prompt defines (HumanEval/32)."""
    code = problem["prompt"] + problem["canonical_solution"]
    names = tuple(sorted(defined(code)))
    return Program(code=code, tests=problem["test"], entry_point=problem["entry_point"], defines=names)


async def bench_humaneval(
    settings: Settings, *, workers: Sequence[int] = (2,), rounds: int = 3, tasks: int | None = None, say: Say = silent
) -> Figures:
    """Judge HumanEval's reference solutions, ours and OpenAI's harness in turns with as many workers, `rounds` times each.

    The figures at the top are those of the first number of workers; `by_workers` has all. `stages` are mean seconds per
    run; what no stage accounts for is `elsewhere`.

    Raises:
        PrerequisiteError: no engine, no image, or the package human-eval is missing.
    """
    problems = human_eval_problems(tasks)
    programs = [reference_program(problem) for problem in problems]
    before = machine()
    by_workers = []
    with tempfile.TemporaryDirectory(prefix="fumehood-bench-") as folder:
        path, edited = harness_path(Path(folder))
        samples = Path(folder) / "samples.jsonl"
        lines = [json.dumps({"task_id": one["task_id"], "completion": one["canonical_solution"]}) for one in problems]
        samples.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for count in workers:
            by_workers.append(await _humaneval(settings, count, rounds, programs, path, samples, say))
    figures = {
        **by_workers[0],
        "valid": all(row["accepted"] == row["runs"] and row["human_eval_pass_at_1"] == 1.0 for row in by_workers),
        "tasks": len(problems),
        "rounds": rounds,
        "harness_edited": edited,
        "by_workers": by_workers,
    }
    return with_budgets("humaneval", figures, before)


async def _humaneval(
    settings: Settings, workers: int, rounds: int, programs: Sequence[Program], path: str, samples: Path, say: Say
) -> Figures:
    runs, ours, theirs, their_rounds, outside, daemon = Runs(), [], [], [], 0.0, 0.0
    pss: float | None = None
    async with warm_engine(settings.model_copy(update={"workers": workers})) as engine:
        for number in range(rounds):
            process, daemons, started = time.process_time(), daemon_cpu(), time.perf_counter()
            await in_flight(workers, programs, lambda program: execute(engine, program, runs))
            ours.append(len(programs) / (time.perf_counter() - started))
            outside += time.process_time() - process
            daemon += daemon_cpu() - daemons
            pss = await asyncio.to_thread(worker_pss)
            their_rounds.append(await asyncio.to_thread(their_round, path, samples, workers))
            theirs.append(len(programs) / their_rounds[-1]["seconds"])
            say(f"{workers} workers, round {number + 1} of {rounds}: {ours[-1]:.1f} runs/s, human-eval {theirs[-1]:.1f}")
    count = len(programs) * rounds
    return {
        "workers": workers,
        "runs_per_second": statistics.median(ours),
        "human_eval_runs_per_second": statistics.median(theirs),
        "ratio_to_human_eval": statistics.median(ours) / statistics.median(theirs),
        **runs.figures(),
        "accepted": runs.verdicts[Verdict.ACCEPTED],
        "rounds_runs_per_second": ours,
        "rounds_human_eval_runs_per_second": theirs,
        "human_eval_pass_at_1": their_rounds[-1]["pass_at_1"],
        "cpu_seconds_per_run": {
            "inside": runs.inside / count,
            "orchestrator": outside / count,
            "container_engine": daemon / count,
            "human_eval": sum(one["cpu"] for one in their_rounds) / count,
        },
        "worker_pss_bytes": pss,
    }
