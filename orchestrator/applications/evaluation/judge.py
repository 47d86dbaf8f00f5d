"""Judging a sample: by a task's hidden tests or its cases, and by its visible tests for those who correct it.

Left out: where samples come from, and what is recorded of them (`job`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from orchestrator.applications.evaluation.options import Judging
from orchestrator.data.benchmarks import BenchmarkTask, Loaded, Problem, is_check
from orchestrator.data.benchmarks.names import defined
from orchestrator.engine.base import Executor
from orchestrator.engine.outputs import judge_io
from orchestrator.errors import UsageError
from orchestrator.scoring.checkers import by_name
from orchestrator.types import ExecutionResult, Fault, Limits, Program, TestOutcome, Verdict


def checked(loaded: Loaded) -> Loaded:
    """The same data set with the tasks that can be judged; a row that names a checker that there is not is a problem of it.

    Raises:
        UsageError: it has no other row.
    """
    refused = {name: error for name, task in loaded.tasks.items() if task.cases and (error := _no_checker(task.checker))}
    if refused and len(refused) == len(loaded.tasks):
        name, error = next(iter(refused.items()))
        raise UsageError(f"{loaded.tasks[name].source}: {error.message}", remedy=error.remedy)
    found = [Problem(place=loaded.tasks[name].source, reason=f"task {name}: {error}") for name, error in refused.items()]
    tasks = {name: task for name, task in loaded.tasks.items() if name not in refused}
    return replace(loaded, tasks=tasks, problems=[*loaded.problems, *found])


def _no_checker(name: str) -> UsageError | None:
    try:
        by_name(name)
    except UsageError as exc:
        return exc
    return None


def beside(result: ExecutionResult, reference: ExecutionResult) -> ExecutionResult:
    """A sample that is accepted on its word alone, beside the reference: where that needed no word, the sample failed."""
    if reference.verdict is not Verdict.ACCEPTED or reference.basis not in ("data", "line_up"):
        return result
    why = "It was accepted on its own word alone, where the reference hands out what can be compared."
    return result.model_copy(update={"verdict": Verdict.WRONG_ANSWER, "reward": 0.0, "detail": why})


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges whole programs, in the sandboxes of an engine."""

    engine: Executor
    judging: Judging = "auto"
    limits: Limits
    """Of each run, where the task asks for no others."""

    async def hidden(self, task: BenchmarkTask, code: str) -> ExecutionResult:
        """By the task's hidden tests, or by its cases up to the first that is not right."""
        limits = _limits(task, self.limits)
        if task.cases:
            return await judge_io(self.engine, Program(code=code), task.cases, task.checker, limits=limits, stop_early=True)
        return await self.engine.execute(self._program(task, code), limits)

    async def visible(self, task: BenchmarkTask, code: str) -> ExecutionResult:
        """By the tests that a correction may see."""
        program = self._program(task, code).model_copy(update={"tests": task.visible_tests, "entry_point": ""})
        return await self.engine.execute(program, _limits(task, self.limits))

    def _program(self, task: BenchmarkTask, code: str) -> Program:
        return Program(
            code=code,
            tests=task.tests,
            module=task.module,
            entry_point=task.entry_point if _is_check(task.tests) else "",
            defines=_defined(task.reference or task.prompt),
            in_place=task.in_place,
            judging=self.judging,
        )


_is_check = lru_cache(maxsize=256)(is_check)  # many samples have the same tests


@lru_cache(maxsize=1024)
def _defined(source: str) -> tuple[str, ...]:
    return tuple(sorted(defined(source)))


def _limits(task: BenchmarkTask, limits: Limits) -> Limits:
    if not task.limits and not task.at_least:
        return limits
    wanted = {**limits.model_dump(), **task.limits}
    return Limits(**wanted | {name: max(least, wanted[name]) for name, least in task.at_least.items()})


def message_of(result: ExecutionResult) -> str:
    """The first failing test's message, or what else says why."""
    messages = [test.message for test in result.tests if test.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)]
    texts = [*messages, result.collection_error, result.detail, *result.stderr.strip().splitlines()[-1:]]
    return next((text.strip() for text in texts if text.strip()), "")


def fault_of(verdict: Verdict) -> Fault:
    """Whose fault a sample's verdict is, by hidden tests."""
    match verdict:
        case Verdict.ACCEPTED:
            return Fault.NONE
        case Verdict.UNSCORED:
            return Fault.SANDBOX
        case Verdict.INVALID_TESTS:
            return Fault.TESTS
        case Verdict.TIMED_OUT | Verdict.MEMORY_EXCEEDED | Verdict.OUTPUT_EXCEEDED | Verdict.RESOURCE_EXCEEDED:
            return Fault.RESOURCE_LIMIT
    return Fault.CANDIDATE
