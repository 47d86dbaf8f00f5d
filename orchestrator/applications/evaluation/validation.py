"""Whether a data set holds: every reference against its own tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.applications.evaluation.judge import Judge, checked, message_of
from orchestrator.applications.evaluation.options import Judging
from orchestrator.applications.evaluation.reference_outputs import with_outputs
from orchestrator.data.benchmarks import BenchmarkTask, Loaded
from orchestrator.engine.base import Executor
from orchestrator.engine.concurrency import map_concurrently
from orchestrator.types import ExecutionResult, Limits, Verdict


@dataclass(kw_only=True)
class Validation:
    """Every reference against its own tests."""

    dataset: str
    source: str
    tasks: int
    """How many can be judged, those without a reference included."""
    results: dict[str, ExecutionResult]
    """By task id."""
    problems: list[str]
    """Rows that are broken, each with its place."""

    @property
    def on_word(self) -> list[str]:
        """Tasks whose reference is accepted on its own word alone: their tests do not expose an object that lies."""
        return [task for task, result in self.results.items() if result.verdict is Verdict.ACCEPTED and result.basis == "word"]


async def validate_dataset(
    loaded: Loaded,
    engine: Executor,
    limits: Limits,
    *,
    judging: Judging = "auto",
    folder: Path | None = None,
    in_flight: int = 4,
    on_count: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """Run every reference against its own tests; rows that are broken are named, and `on_count` is called with how many are done.

    Raises:
        PrerequisiteError, SandboxError, UsageError: as `Executor.execute`.
    """
    loaded = checked(loaded)
    judge = Judge(engine=engine, judging=judging, limits=limits)
    problems = [str(problem) for problem in loaded.problems]
    results: dict[str, ExecutionResult] = {}
    done = 0
    on_count(0, len(loaded.tasks))

    async def counted(task: BenchmarkTask) -> None:
        nonlocal done
        await one(task)
        done += 1
        on_count(done, len(loaded.tasks))

    async def one(task: BenchmarkTask) -> None:
        if not task.reference:
            problems.append(f"{task.source}: task {task.task_id} has no reference")
            return
        ready = await with_outputs(task, engine.execute, folder)
        if not isinstance(ready, BenchmarkTask):
            problems.append(str(ready))
            return
        result = await judge.hidden(ready, ready.whole(ready.reference))
        results[task.task_id] = result
        if result.verdict is not Verdict.ACCEPTED:
            why = message_of(result)
            problems.append(f"{task.source}: the reference of {task.task_id} is not accepted: {result.verdict} {why}".rstrip())

    await map_concurrently(counted, loaded.tasks.values(), in_flight)
    in_order = {task: results[task] for task in loaded.tasks if task in results}
    tasks = len(loaded.tasks)
    return Validation(dataset=loaded.name, source=loaded.source, tasks=tasks, results=in_order, problems=problems)
