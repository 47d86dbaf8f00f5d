"""Jobs that draw samples: so many answers for each task, each judged by itself, and pass@k from that.

Samples flow through: while the model writes one, those before it are judged.

Left out: how an answer is judged, and whether it is corrected.
"""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import Field

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.job import JobResult, RecordedJob
from orchestrator.jobs.refusals import Answers, answers_in
from orchestrator.jobs.steps import Step
from orchestrator.scoring.pass_at_k import Estimate, estimates_of, tally
from orchestrator.types import Value, Verdict


class SampledOptions(Value):
    """Which data set, which model, and how it is asked."""

    dataset: str = ""
    data: str = ""
    """File or folder of the data set; empty looks where the settings, a package or the hub have it."""
    split: str = ""
    """Of a data set that has splits; empty takes its standard one."""
    limit: int | None = Field(default=None, ge=1)
    """The first so many tasks."""
    only: tuple[str, ...] = ()
    """Tasks by name; empty: all."""
    n: int = Field(default=1, ge=1, le=1000)
    """Samples for each task."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    top_p: float = Field(default=0.95, gt=0, le=1)
    """What is drawn from where the temperature is above 0."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside those that end a continued function."""
    system: str = ""
    """The system message; empty: none."""
    max_new_tokens: int = Field(default=512, ge=1)
    seed: int = 0
    ks: tuple[int, ...] = ()
    """Empty: 1, 5 and 10, as far as there are samples."""
    base_url: str = ""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the server writes at once."""


class SampledRow(Value):
    """One judged sample."""

    task_id: str
    completion_id: int
    verdict: Verdict
    reward: float | None
    judging: str
    message: str = ""
    """What is wrong with it."""
    tokens: int = 0
    model_time: float = 0.0
    cpu_time: float = 0.0
    finish_reason: str = ""
    """Why the answer ended, in the server's own word where it gave one."""
    refused: str = ""
    """What the server said in place of an answer: the sample is not answerable, and unscored."""


@dataclass(kw_only=True)
class SampledResult(JobResult):
    """What a job found."""

    job: SampledOptions
    source: str
    """File, package, or address on the hub."""
    rows: Sequence[SampledRow]
    """In the order of tasks and samples."""
    problems: list[str] = field(default_factory=list)
    """What was left out, and why."""
    estimates: list[Estimate] = field(default_factory=list)
    wall_time: float = 0.0
    """Seconds, those before an interruption included."""
    error: OrchestratorError | None = None
    """Why it stopped half-way; None where all was done."""
    answers: Answers = field(default_factory=Answers)
    """How many answers were refused, empty or cut off."""

    @property
    def verdicts(self) -> dict[str, int]:
        """How often each verdict was given, the most frequent first."""
        return {str(verdict): count for verdict, count in Counter(row.verdict for row in self.rows).most_common()}

    @property
    def unscored(self) -> int:
        """Samples that the sandbox failed, or whose prompt the server refused; they are in no pass@k."""
        return sum(row.verdict is Verdict.UNSCORED for row in self.rows)

    @abstractmethod
    def measures(self) -> dict[str, Any]:
        """What scripts read beside that which all such jobs say."""

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "dataset": self.job.dataset,
            "source": self.source,
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            "samples": len(self.rows),
            "tasks": len({row.task_id for row in self.rows}),
            "pass_at_k": {str(one.k): one.value for one in self.estimates},
            "confidence_95": {str(one.k): [one.low, one.high] for one in self.estimates},
            "interval": {str(one.k): one.interval for one in self.estimates},
            "tasks_at_k": {str(one.k): one.tasks for one in self.estimates},
            "verdicts": self.verdicts,
            "unscored": self.unscored,
            "not_answerable": self.answers.not_answerable,
            "answers": self.answers.model_dump(mode="json"),
            "tokens": sum(row.tokens for row in self.rows),
            "wall_time": self.wall_time,
            "cpu_time": sum(row.cpu_time for row in self.rows),
            **self.measures(),
            "problems": self.problems,
            "error": None if self.error is None else str(self.error),
            "results": [row.model_dump(mode="json") for row in self.rows],
        }

    def summary(self) -> dict[str, Any]:
        """All but the rows, and what the run's record says already."""
        facts = self.as_json()
        return {key: value for key, value in facts.items() if key not in ("results", "run", "state", "model", "image")}


def chosen(names: Iterable[str], job: SampledOptions) -> list[str]:
    """Those of a data set's tasks that a job is about, in their order.

    Raises:
        UsageError: it names one that is not there.
    """
    known = list(names)
    if job.only:
        for name in job.only:
            if name not in known:
                near = ", ".join(difflib.get_close_matches(name, known, n=3)) or ", ".join(known[:3])
                raise UsageError(f"The data set has no task {name!r}.", remedy=f"It has for example: {near}.")
        known = [name for name in known if name in job.only]
    return known[: job.limit]


def greedy_note(job: SampledOptions) -> list[str]:
    """What to say of several samples that are all the same."""
    if job.n == 1 or job.temperature > 0:
        return []
    return [f"{job.n} samples a task at temperature 0 are {job.n} times the same answer: give --temperature 0.8"]


Options = TypeVar("Options", bound=SampledOptions)
Found = TypeVar("Found", bound=SampledResult)


class SampledJob(RecordedJob[Options, Found], Generic[Options, Found]):
    """A job whose steps are samples."""

    source: str
    """Where the tasks are from."""
    order: Sequence[Step]
    """Tasks and samples as the result has them."""

    @property
    @abstractmethod
    def asks_model(self) -> bool:
        """Whether a model writes; else the samples are there already."""

    @property
    def endpoint(self) -> ModelEndpoint | None:
        """The model of the options."""
        job = self.job
        return ModelEndpoint(base_url=job.base_url, model=job.model, parallel=job.parallel) if self.asks_model else None

    @property
    def concurrency(self) -> int:
        """Enough to keep sandboxes and writers busy; a full queue of sandboxes holds the writers back."""
        return 2 * self.settings.workers + (self.job.parallel if self.asks_model else 0)

    def complete(self, result: Found, notes: Sequence[str] = (), *, continues: bool = False) -> Found:
        """A result with what follows from its rows and from the attempts; `notes` are the application's, about the rows.

        `continues`: first answers were continuations of a text.
        """
        result.answers = answers_in(self.attempts.values(), continues=continues)
        verdicts = ((row.task_id, row.verdict) for row in result.rows)
        result.estimates, lacking = estimates_of(tally(verdicts), self.job.ks, seed=self.job.seed)
        answers = result.answers.notes(len(result.rows), self.job.max_new_tokens)
        result.problems = [*self.problems, *answers, *notes, *lacking]
        result.wall_time, result.error = self.time_spent, self.error
        return result
