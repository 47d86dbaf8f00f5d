"""What came of a search: the network that won, what it is worth on sealed rows over several seeds, and what it is held against.

Left out: what a person sees of it (`reports.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.applications.model_research.canary import Canary
from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.goal import Goal
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.applications.model_research.training import Tested, TestedModel, TrainingRecord
from orchestrator.data.images import SplitFacts
from orchestrator.errors import OrchestratorError
from orchestrator.jobs.branching import was_scored
from orchestrator.jobs.job import JobResult
from orchestrator.jobs.loop import usage_of
from orchestrator.scoring.seeds import SeedComparison, SeedMean
from orchestrator.types import Attempt, Usage, Value

WINNER, BASELINE = "winner", "baseline"


class Climbed(Value):
    """A network on a rung above the first."""

    attempt: int
    """`index` of its attempt."""
    rung: int
    """From 0."""
    record: TrainingRecord


class Outcome(Value):
    """The end of a search."""

    winner: int
    """`index` of the attempt that won."""
    class_name: str
    code: str
    """Its source."""
    summary: str = ""
    """torchinfo's table."""
    trainings: dict[str, tuple[TrainingRecord, ...]]
    """Winner and baseline with each seed, for the most epochs."""
    validation: dict[str, SeedMean | None]
    """The metric on validation rows over the seeds."""
    lead: SeedComparison
    """How much better the winner is than the baseline with the same seeds, on sealed rows."""
    tested: dict[str, TestedModel]
    """On the sealed rows, for each seed."""
    sealed: dict[str, SeedMean | None]
    """The metric on sealed rows over the seeds."""
    canary: Canary
    """The winner after training on labels of other rows."""
    reached: bool | None = None
    """Whether the mean over the seeds on sealed rows is as good as the goal's target; None without a target."""
    surely: bool | None = None
    """Whether the whole interval is."""


class Standing(Value):
    """What a job has found so far. The run's summary keeps it, and a resumed job reads it back."""

    data: str = ""
    """A digest of the rows: a resumed job must find the same."""
    searched: bool = False
    rungs: tuple[Climbed, ...] = ()
    """Beyond the first."""
    opened: int = 0
    """How often the sealed rows were opened."""
    outcome: Outcome | None = None


@dataclass(kw_only=True)
class ResearchResult(JobResult):
    """What became of a job."""

    job: ResearchJob
    card: str
    """The data in a line; what is made up is said first."""
    facts: SplitFacts
    metric: str
    chance: float | None
    """The metric of what knows the shares of the classes and nothing else, on validation rows."""
    standing: Standing
    attempts: Sequence[Attempt]
    tested: Tested | None = None
    """Predictions and labels of the sealed rows, in the process that opened them; they are recorded nowhere."""
    problems: list[str] = field(default_factory=list)
    wall_time: float = 0.0
    error: OrchestratorError | None = None
    """Why it stopped half-way."""

    @property
    def outcome(self) -> Outcome | None:
        """None while it is not over, and where no network could be trained."""
        return self.standing.outcome

    @property
    def goal(self) -> Goal:
        """What the search was for."""
        return self.job.goal

    @property
    def usage(self) -> Usage:
        """Tokens of all answers."""
        return usage_of(self.attempts)

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            **self.summary(),
            "error": None if self.error is None else str(self.error),
            "iterations": [iteration(attempt) for attempt in self.attempts],
        }

    def summary(self) -> dict[str, Any]:
        """All but the attempts, and what the run's record says already."""
        return {
            "goal": self.goal.model_dump(mode="json"),
            "data": self.facts.model_dump(mode="json"),
            "card": self.card,
            "metric": self.metric,
            "chance": self.chance,
            "answers": len(self.attempts),
            "scored": sum(map(was_scored, self.attempts)),
            "accepted": self.outcome is not None,
            "tokens": self.usage.prompt_tokens + self.usage.completion_tokens,
            "wall_time": self.wall_time,
            "problems": self.problems,
            "standing": self.standing.model_dump(mode="json"),
            "saved": time.time(),
        }


def iteration(attempt: Attempt) -> dict[str, Any]:
    """One entry of the registry: prompt, answer, assembly, validation, summary, evaluation and decision."""
    details = ResearchDetails.of(attempt)
    return {
        "iteration": attempt.index,
        "round": attempt.round,
        "parent": attempt.parent,
        "same_as": attempt.same_as,
        "prompt": [message.model_dump(mode="json") for message in attempt.messages],
        "answer": attempt.completion.text,
        "assembly": {**details.assembly.model_dump(mode="json"), "code": attempt.code},
        "validation": None if details.smoke is None else details.smoke.model_dump(mode="json"),
        "summary": details.summary,
        "evaluation": None if details.training is None else details.training.model_dump(mode="json"),
        "decision": details.assembly.decision,
        "verdict": str(attempt.verdict),
        "feedback": attempt.feedback,
    }
