"""A recorded job: solve loss tasks, train with what was accepted, and be able to go on after an interruption.

It brings together what the parts leave to their caller: sandboxes, a model server (its own, if no URL is given), and the
run store, where every attempt is on the disk before the next one begins.

Left out: what a person sees of it. That is the command line.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from orchestrator.applications.loss_functions.solve import LossOptions, LossOutcome, solve_many
from orchestrator.applications.loss_functions.tasks import LossTask, builtin_tasks
from orchestrator.applications.loss_functions.training import TrainingReport, datasets_for, train_with_loss
from orchestrator.data.store import RunStore
from orchestrator.engine.base import Executor
from orchestrator.errors import CompletionError, UsageError
from orchestrator.files import write_beside
from orchestrator.jobs.job import SAME_PLACE, Elsewhere, Server, Watcher, begin, ending, job_of, opened
from orchestrator.llm.base import Model
from orchestrator.settings import Settings
from orchestrator.types import Attempt, Event, RunRecord, Usage, Value, Verdict

KIND = "solve-loss"
_Recorded = TypeVar("_Recorded", LossOutcome, TrainingReport)


class LossJob(Value):
    """Everything that a job needs to be done, or to be gone on with. Stored as the run's `config`."""

    tasks: tuple[LossTask | str, ...] = Field(min_length=1)
    """Built-in tasks by name, others in full."""
    options: LossOptions = LossOptions()
    base_url: str = ""
    """Model server; empty starts the embedded one for the time of the job."""
    model: str = ""
    """Name at that server, or which embedded model."""
    train: str = ""
    """Data set to train on with the accepted losses; empty trains nothing."""

    def resolved(self) -> list[LossTask]:
        """The tasks themselves.

        Raises:
            UsageError: there is no such built-in task, a task is named twice, or the data set fits none of them.
        """
        known = builtin_tasks()
        tasks = []
        for task in self.tasks:
            if isinstance(task, str) and task not in known:
                raise UsageError(f"There is no built-in task {task!r}.", remedy=f"Choose from: {', '.join(known)}.")
            tasks.append(known[task] if isinstance(task, str) else task)
        if len({task.name for task in tasks}) < len(tasks):
            raise UsageError("A task is named twice.", remedy="Name each task once.")
        if self.train and not any(self.train in datasets_for(task) for task in tasks):
            fitting = sorted({name for task in tasks for name in datasets_for(task)})
            raise UsageError(
                f"None of these losses can be trained on {self.train!r}.",
                remedy=f"Train on {' or '.join(fitting)}, or change the task.",
            )
        return tasks


@dataclass
class JobResult:
    """What became of a job."""

    run: RunRecord
    outcomes: list[LossOutcome]
    training: list[TrainingReport]

    @property
    def accepted(self) -> bool:
        """Every loss was accepted, and every training went through."""
        return all(item.verdict is Verdict.ACCEPTED for item in self.outcomes) and not any(item.failure for item in self.training)


async def do_job(
    job: LossJob, settings: Settings, store: RunStore, *, out: Path | None = None, watcher: Watcher | None = None
) -> JobResult:
    """Do a job from its beginning. Pictures and accepted losses go to `out`, by default a folder of the run in `settings.home`.

    Raises:
        UsageError: a task or the data set makes no sense.
        PrerequisiteError: no engine, no image, no weights.
        CompletionError: the model server refused, or gave nothing but empty answers.
        StoreError: something could not be recorded; what was recorded before is kept.
    """
    return await _Doing(job, settings, store, watcher or Watcher(), out).do()


async def resume_job(
    run_id: str,
    settings: Settings,
    store: RunStore,
    *,
    elsewhere: Elsewhere = SAME_PLACE,
    out: Path | None = None,
    watcher: Watcher | None = None,
) -> JobResult:
    """Go on with a recorded job, with its own options and seeds. Finished attempts and trainings are not repeated.

    Where nothing is left to do, what was recorded comes back at once, without a model server and without sandboxes.

    Raises:
        UsageError: there is no such run, or it cannot be gone on with.
        PrerequisiteError, CompletionError, StoreError: as `do_job`.
    """
    run = await asyncio.to_thread(store.run, run_id)
    job = job_of(run, KIND, LossJob, "loss job", elsewhere)
    return await _Doing(job, settings, store, watcher or Watcher(), out, run).do()


@dataclass
class _Doing:
    """One job while it is done."""

    job: LossJob
    settings: Settings
    store: RunStore
    watcher: Watcher
    out: Path | None
    run: RunRecord | None = None
    """The run that is gone on with."""
    outcomes: dict[str, LossOutcome] = field(default_factory=dict)
    training: dict[str, TrainingReport] = field(default_factory=dict)
    previous: list[Attempt] = field(default_factory=list)

    async def do(self) -> JobResult:
        tasks = self.job.resolved()
        self._recall()
        left = [task for task in tasks if task.name not in self.outcomes]
        if self.run is not None and self.run.state == "finished" and not left and not self._untrained(tasks):
            self.watcher.on_start(self.run)
            self.watcher.say("This run is finished: nothing is left to do.")
            await self._save_accepted(self.run)
            return self._result(self.run, tasks)
        options = self.job.options
        server = Server(self.job.base_url, self.job.model, options.parallel) if left else None
        async with opened(self.settings, self.watcher, options.limits, server) as (engine, model):
            info = None if model is None else await model.info()
            run = self.run = begin(self.store, KIND, self.job, self.run, info, engine.image, self.watcher)
            with ending(self.store, run, self._summary) as end:
                await self._solve(run, left, model, engine)
                await self._save_accepted(run)
                await self._train(run, tasks, engine)
        return self._result(end.run, tasks)

    def _result(self, run: RunRecord, tasks: list[LossTask]) -> JobResult:
        return JobResult(run, [self.outcomes[task.name] for task in tasks], list(self.training.values()))

    def _recall(self) -> None:
        """What the run that is gone on with has finished."""
        if self.run is None:
            return
        self.previous = self.store.attempts(self.run.id)
        # A task that the sandbox failed is not finished.
        outcomes = _recorded(self.run, "tasks", LossOutcome)
        self.outcomes = {outcome.task: outcome for outcome in outcomes if outcome.verdict is not Verdict.UNSCORED}
        self.training = {report.task: report for report in _recorded(self.run, "training", TrainingReport)}

    async def _solve(self, run: RunRecord, left: list[LossTask], model: Model | None, engine: Executor) -> None:
        attempts = list(self.previous)

        def record(attempt: Attempt) -> None:
            self.store.add_attempt(run.id, attempt)
            attempts.append(attempt)

        def on_event(event: Event) -> None:
            if event.kind == "task_finished":
                self.outcomes[event.task] = LossOutcome.model_validate(event.summary)
                self.store.update_run(run.id, summary=self._summary())
            self.watcher.on_event(event)

        if model is not None:
            found = await solve_many(left, model, engine.execute, self.job.options, record, self.previous, on_event)
            self.outcomes |= {outcome.task: outcome for outcome in found}
        refused = [attempt.completion.refused for attempt in attempts if attempt.completion.refused]
        if refused and len(refused) == len(attempts):
            raise CompletionError(f"The model server refused all {len(refused)} prompts. It said: {refused[0]}")
        if attempts and not any(attempt.completion.text.strip() for attempt in attempts):
            raise CompletionError(
                f"The model gave {len(attempts)} empty answers and nothing else.",
                remedy="Check the model's name and the server's chat template, or choose another model with --model.",
            )

    async def _save_accepted(self, run: RunRecord) -> None:
        for outcome in self.outcomes.values():
            if outcome.verdict is Verdict.ACCEPTED:
                code = outcome.code.encode("utf-8", "replace")
                await asyncio.to_thread(write_beside, self._folder(run) / f"{outcome.task}.py", code, run.id.replace("-", "_"))

    def _untrained(self, tasks: list[LossTask]) -> list[LossTask]:
        """The tasks whose accepted loss is still to be trained with."""
        data = self.job.train
        return [
            task
            for task in tasks
            if data
            and task.name not in self.training
            and task.name in self.outcomes
            and self.outcomes[task.name].verdict is Verdict.ACCEPTED
            and data in datasets_for(task)
        ]

    async def _train(self, run: RunRecord, tasks: list[LossTask], engine: Executor) -> None:
        for task in self._untrained(tasks):
            outcome = self.outcomes[task.name]
            self.watcher.say(f"Training a small network on {self.job.train} with {task.name}, and with the stock loss.")
            report = await train_with_loss(
                task, outcome.code, self.job.train, engine.execute, seed=self.job.options.seed, out=self._folder(run)
            )
            self.training[task.name] = report
            self.store.update_run(run.id, summary=self._summary())

    def _folder(self, run: RunRecord) -> Path:
        return self.out or self.settings.home / "runs" / run.id

    def _summary(self) -> dict[str, Any]:
        usage = sum((outcome.usage for outcome in self.outcomes.values()), Usage())
        return {
            "accepted": sum(outcome.verdict is Verdict.ACCEPTED for outcome in self.outcomes.values()),
            "tasks": [outcome.model_dump(mode="json") for outcome in self.outcomes.values()],
            "training": [report.model_dump(mode="json") for report in self.training.values()],
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "saved": time.time(),
        }


def _recorded(run: RunRecord, name: str, kind: type[_Recorded]) -> list[_Recorded]:
    """What a run's summary says is finished; what another version wrote is done again."""
    items = run.summary.get(name)
    try:
        return [kind.model_validate(item) for item in items] if isinstance(items, list) else []
    except ValidationError:
        return []
