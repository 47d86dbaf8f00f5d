"""A recorded job: solve loss tasks, train with what was accepted, and be able to resume after an interruption.

Left out: what a person sees of it. That is the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from orchestrator.applications.loss_functions.datasets import DataSet, check_name, fits, misfit, open_data
from orchestrator.applications.loss_functions.phrasings import check_page, write_page
from orchestrator.applications.loss_functions.solve import LossOptions, LossOutcome, solve
from orchestrator.applications.loss_functions.tasks import LossTask, builtin_tasks
from orchestrator.applications.loss_functions.training import TrainingReport, train_on_seeds
from orchestrator.errors import CompletionError, UsageError, no_such
from orchestrator.files import write_beside
from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.job import JobResult, RecordedJob
from orchestrator.jobs.steps import Step
from orchestrator.types import Attempt, Limits, RunRecord, Usage, Value, Verdict

_Recorded = TypeVar("_Recorded", LossOutcome, TrainingReport)


class LossJob(Value):
    """Everything that a job needs to be done, or to be resumed. Stored as the run's `config`."""

    tasks: tuple[LossTask | str, ...] = Field(min_length=1)
    """Built-in tasks by name, others in full."""
    options: LossOptions = LossOptions()
    base_url: str = ""
    """Model server; empty starts the embedded one for the time of the job."""
    model: str = ""
    """Name at that server, or which embedded model."""
    train: str = ""
    """Data set to train on with the accepted losses, a name or a path; empty trains nothing."""
    train_seeds: int = Field(default=5, ge=1, le=100)
    """Trainings with each loss, each beside one with the stock loss from the same weights."""

    def resolved(self) -> list[LossTask]:
        """The tasks themselves.

        Raises:
            UsageError: there is no such built-in task, a task is named twice, there are several for one loss to start from, or
                the data set fits none of them.
        """
        known = builtin_tasks()
        tasks = []
        for task in self.tasks:
            if isinstance(task, str) and task not in known:
                raise no_such("built-in task", task, known)
            tasks.append(known[task] if isinstance(task, str) else task)
        if len({task.name for task in tasks}) < len(tasks):
            raise UsageError("A task is named twice.", remedy="Name each task once.")
        if self.options.start and len(tasks) > 1:
            raise UsageError(f"There are {len(tasks)} tasks for one loss to start from.", remedy="Name the task that it is for.")
        if self.train:
            check_name(self.train, tasks)
        return tasks


@dataclass(kw_only=True)
class LossResult(JobResult):
    """What became of a job."""

    outcomes: list[LossOutcome]
    training: list[TrainingReport]
    attempts: list[Attempt] = field(default_factory=list)
    """All answers, with their code, verdicts and feedback."""
    saved: dict[str, Path] = field(default_factory=dict)
    """Task -> the file with its accepted loss."""

    pages: list[Path] = field(default_factory=list)
    """Files that compare the phrasings of tasks, where there are several."""

    @property
    def accepted(self) -> bool:
        """Every loss was accepted, and every training went through."""
        return all(item.verdict is Verdict.ACCEPTED for item in self.outcomes) and not any(item.failure for item in self.training)

    def summary(self) -> dict[str, Any]:
        """What is finished: `_recorded` reads it when the job is resumed."""
        usage = sum((outcome.usage for outcome in self.outcomes), Usage())
        return {
            "accepted": sum(outcome.verdict is Verdict.ACCEPTED for outcome in self.outcomes),
            "tasks": [outcome.model_dump(mode="json") for outcome in self.outcomes],
            "training": [report.model_dump(mode="json") for report in self.training],
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "saved": time.time(),
        }


class LossSolving(RecordedJob[LossJob, LossResult]):
    """Each task is solved; then the accepted losses are saved, and trained with."""

    kind = "solve-loss"
    name = "loss job"
    job_type = LossJob
    preload = True

    out: Path | None = None
    """For pictures and accepted losses; None takes a folder of the run in `settings.home`."""

    async def load(self) -> Sequence[Step]:
        """The tasks, and what an interrupted run has finished of them."""
        self.tasks = {task.name: task for task in self.job.resolved()}
        if self.out is not None and any(task.phrasing for task in self.tasks.values()):
            # Before a model is asked, too: what would be replaced is to be known at once.
            check_page(self.out, self.run.id if self.run is not None else "")
        # A task that the sandbox failed is not finished.
        outcomes = _recorded(self.run, "tasks", LossOutcome)
        self.outcomes = {outcome.task: outcome for outcome in outcomes if outcome.verdict is not Verdict.UNSCORED}
        self.saved: dict[str, Path] = {}
        self.pages: list[Path] = []
        self.training = {report.task: report for report in _recorded(self.run, "training", TrainingReport)}
        self.data: DataSet | None = None
        if self.job.train and self.tasks.keys() - self.training.keys():
            # Before a model is asked: a file that cannot be used is to be known at once.
            self.data = data = await asyncio.to_thread(open_data, self.job.train, self.settings.data)
            tasks = list(self.tasks.values())
            if not any(fits(task, data.classes) for task in tasks):
                raise misfit(tasks[0], data.name, data.classes)
            if data.synthetic:
                self.watcher.say(data.warning)
        return [Step(name) for name in self.tasks]

    def is_done(self, step: Step) -> bool:
        """The task has its outcome."""
        return step.task in self.outcomes

    async def one(self, step: Step) -> None:
        """Solve one task; the attempts of an interrupted run are not repeated."""
        self.outcomes[step.task] = await solve(
            self.tasks[step.task],
            self.model,
            self.engine.execute,
            self.job.options,
            record=self.keep,
            previous=list(self.attempts.values()),
            on_event=self.watcher.on_event,
            pen=self.pen,
        )
        await self.save()

    def is_over(self) -> bool:
        """Nothing is left to train either."""
        return not self._untrained()

    async def finish(self) -> None:
        """Save the accepted losses, and train with those that were not trained with yet.

        Raises:
            CompletionError: the model stopped answering, or gave nothing that could be judged.
        """
        if self.error is not None:
            raise self.error
        self._check_answers()
        for outcome in self.outcomes.values():
            if outcome.verdict is Verdict.ACCEPTED:
                code = outcome.code.encode("utf-8", "replace")
                place = self._folder / f"{outcome.task}.py"
                self.saved[outcome.task] = await asyncio.to_thread(write_beside, place, code, self._suffix)
        for task in self._untrained():
            await self._train(task)
        tasks, outcomes = list(self.tasks.values()), list(self.outcomes.values())
        if any(task.phrasing for task in tasks):
            assert self.run is not None
            seed = self.job.options.seed
            self.pages = await asyncio.to_thread(write_page, self._folder, self.run, tasks, outcomes, seed)

    def result(self, run: RunRecord) -> LossResult:
        """Outcomes in the order of the tasks."""
        outcomes = [self.outcomes[name] for name in self.tasks if name in self.outcomes]
        training, attempts = list(self.training.values()), list(self.attempts.values())
        return LossResult(run=run, outcomes=outcomes, training=training, attempts=attempts, saved=self.saved, pages=self.pages)

    @property
    def endpoint(self) -> ModelEndpoint | None:
        """Where only training is left, no model is asked."""
        job = self.job
        if not self.left:
            return None
        return ModelEndpoint(base_url=job.base_url, model=job.model, parallel=job.options.parallel)

    @property
    def limits(self) -> Limits:
        """As the options say."""
        return self.job.options.limits

    @property
    def concurrency(self) -> int:
        """Tasks at once."""
        return self.job.options.tasks_at_once

    def _check_answers(self) -> None:
        completions = [attempt.completion for attempt in self.attempts.values()]
        refused = [completion.refused for completion in completions if completion.refused]
        if refused and len(refused) == len(completions):
            raise CompletionError(f"The model server refused all {len(refused)} prompts. It said: {refused[0]}")
        if completions and not any(completion.text.strip() for completion in completions):
            raise CompletionError(
                f"The model gave {len(completions)} empty answers and nothing else.",
                remedy="Check the model's name and the server's chat template, or choose another model with --model.",
            )

    def _untrained(self) -> list[LossTask]:
        """The tasks whose accepted loss is still to be trained with."""
        accepted = {name for name, outcome in self.outcomes.items() if outcome.verdict is Verdict.ACCEPTED}
        wanted = [task for name, task in self.tasks.items() if name in accepted and name not in self.training]
        data = self.data
        return [] if data is None else [task for task in wanted if fits(task, data.classes)]

    async def _train(self, task: LossTask) -> None:
        assert self.data is not None
        pairs = self.job.train_seeds
        self.watcher.say(f"Training small networks on {self.data.title} with {task.name}, each beside one with the stock loss.")

        def on_pair(done: int, report: TrainingReport) -> None:
            self.watcher.say(report.of_pair(done, pairs))

        code, seed = self.outcomes[task.name].code, self.job.options.seed
        self.training[task.name] = await train_on_seeds(
            task,
            code,
            self.data,
            self.engine.execute,
            seeds=range(seed, seed + pairs),
            out=self._folder,
            tag=self._suffix,
            on_pair=on_pair,
        )
        await self.save()

    @property
    def _folder(self) -> Path:
        assert self.run is not None
        return self.out or self.settings.home / "runs" / self.run.id

    @property
    def _suffix(self) -> str:
        """What a file is named by beside one that is there already."""
        assert self.run is not None
        return self.run.id.replace("-", "_")


def _recorded(run: RunRecord | None, name: str, kind: type[_Recorded]) -> list[_Recorded]:
    """What a run's summary says is finished; what another version wrote is done again."""
    items = run.summary.get(name) if run is not None else None
    try:
        return [kind.model_validate(item) for item in items] if isinstance(items, list) else []
    except ValidationError:
        return []
