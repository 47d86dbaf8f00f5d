"""How many mutants a second are judged: HumanEval's references, with tests derived from their own checks.

    python benchmarks/mutants.py [--limit 40] [--workers 2]

Each check becomes a test module of one test: what it asserts of `candidate` is asserted of the function. Every mutant gets a
verdict, as in `fumehood eval unit-tests`; surveys, which are made once for a function, are timed apart.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import resource
import time

from orchestrator.applications.unit_tests.judge import LIMITS, MutationOptions, Subject, Surveyed, judge_tests, survey
from orchestrator.applications.unit_tests.subjects import subject_of_task
from orchestrator.data.benchmarks import load
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings


def derived(subject: Subject) -> str:
    """A test module made of a task's own check."""
    # Some checks use a helper that stands beside the function.
    names = [node.name for node in ast.parse(subject.module).body if isinstance(node, ast.FunctionDef)]
    imported = f"from candidate import {', '.join(dict.fromkeys(names))}"
    return f"{imported}\n\n{subject.trusted[0]}\n\n\ndef test_check():\n    check({subject.function})\n"


async def measure(limit: int | None, workers: int, mutants: int) -> dict[str, object]:
    """Judge, and count."""
    settings = Settings(workers=workers)
    loaded = load("humaneval", None, settings.data)
    found = [subject_of_task(task) for task in list(loaded.tasks.values())[:limit]]
    subjects = [one for one in found if isinstance(one, Subject)]
    options = MutationOptions(mutants=mutants)
    gate = asyncio.Semaphore(2 * workers)
    async with Engine(settings, limits=LIMITS, preload=False) as engine:

        async def prepare(subject: Subject) -> Surveyed:
            async with gate:
                return await survey(subject, engine.execute, options)

        began = time.monotonic()
        surveyed = await asyncio.gather(*map(prepare, subjects))
        surveying = time.monotonic() - began

        async def judge(one: Surveyed) -> tuple[int, float | None, bool, float, int]:
            async with gate:
                judgement = await judge_tests(one, derived(one.subject), engine.execute, options)
            cpu = sum(run.cpu_time for run in judgement.runs)
            return len(judgement.seen.mutants), judgement.score.mutation_score, judgement.score.valid, cpu, len(judgement.runs)

        began = time.monotonic()
        results = await asyncio.gather(*map(judge, surveyed))
        judging = time.monotonic() - began
    verdicts = sum(count for count, *_ in results)
    scores = [score for _, score, *_ in results if score is not None]
    costly = sorted(((cpu, place) for place, (*_, cpu, _) in enumerate(results)), reverse=True)[:3]
    kept = [one for place, one in enumerate(results) if place not in {place for _, place in costly}]
    rest = (sum(count for count, *_ in kept), sum(cpu for *_, cpu, _ in kept))
    made = sum(len(one.mutants) for one in surveyed)
    return {
        "functions": len(subjects),
        "mutants": made,
        "estimated_equivalent": made - sum(len(one.distinct) for one in surveyed),
        "valid": sum(valid for _, _, valid, *_ in results),
        "verdicts": verdicts,
        "judging_seconds": round(judging, 2),
        "mutants_per_second": round(verdicts / judging, 1),
        "survey_seconds": round(surveying, 2),
        "mutants_per_second_with_survey": round(verdicts / (judging + surveying), 1),
        "sandbox_cpu_seconds": round(sum(cpu for *_, cpu, _ in results), 2),
        "orchestrator_cpu_seconds": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 2),
        "slowest": {subjects[place].name: round(cpu, 2) for cpu, place in costly},
        "mutants_per_cpu_second_without_the_slowest": round(rest[0] / max(rest[1], 1e-9), 1),
        "runs": sum(runs for *_, runs in results),
        "mean_mutation_score": round(sum(scores) / len(scores), 4) if scores else None,
        "invalid": [one.subject.name for one, result in zip(surveyed, results, strict=True) if not result[2]],
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=None, help="the first so many tasks")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mutants", type=int, default=100, help="at most so many of one function")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.limit, options.workers, options.mutants)), indent=2))


if __name__ == "__main__":
    main()
