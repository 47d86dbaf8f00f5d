"""What came of a job: the candidate that won, what it is worth on sealed rows, and everything it is to be held against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.applications.tabular.audit import Audit
from orchestrator.applications.tabular.calibration import Calibration, Residuals
from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.features import Tried
from orchestrator.applications.tabular.finalists import Sealed
from orchestrator.applications.tabular.importances import Importance
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.planning import tokens_of
from orchestrator.applications.tabular.profile import Profile
from orchestrator.applications.tabular.table import Table
from orchestrator.applications.tabular.weaknesses import Band, ClassRow
from orchestrator.errors import OrchestratorError
from orchestrator.jobs.branching import was_scored
from orchestrator.jobs.job import JobResult
from orchestrator.scoring.paired import Difference
from orchestrator.types import Attempt, Value

WINNER, CONTROL = "winner", "control"


class Scored(Value):
    """A candidate on some folds."""

    name: str
    values: tuple[float | None, ...] = ()
    value: float | None = None
    """Mean over the folds; None where it failed."""
    standard_error: float | None = None
    lead: Difference | None = None
    """How much better the winner is on the same folds; None for the winner itself."""
    failure: str = ""


class Outcome(Value):
    """The end of a search."""

    winner: int
    """`index` of the attempt that won."""
    candidate: Candidate
    finalists: tuple[Scored, ...]
    """The best of the search and of the control on new folds, which none of them was chosen by."""
    sealed: dict[str, Sealed]
    """The winner, the best of the control and the baselines on the sealed rows, by name; the winner comes first."""
    sealed_rows: int
    classes: tuple[ClassRow, ...] = ()
    """The winner's confusion on the sealed rows."""
    bands: tuple[Band, ...] = ()
    """Its errors there by fifths of the target."""
    calibration: Calibration | None = None
    """Its probabilities on the new folds; None for regression, and where it gives none."""
    residuals: Residuals | None = None
    """Its errors on the new folds; None for classification."""
    importances: tuple[Importance, ...] = ()
    """What it loses there without each column, the most important first."""
    audit: Audit | None = None
    """What the winner was looked at for; None where it did not predict the fold that it was looked at on."""

    @property
    def score(self) -> Sealed:
        """The winner on the sealed rows."""
        return self.sealed[WINNER]


class Refinement(Value):
    """The best of the search with features that help, or with other parameters."""

    name: str
    candidate: Candidate


class Standing(Value):
    """What a job has found so far. The run's summary keeps it, and a resumed job reads it back."""

    data: str = ""
    """A digest of the table: a resumed job must find the same."""
    searched: bool = False
    """Whether search and control are over."""
    opened: int = 0
    """How often the sealed rows were opened."""
    baselines: tuple[Scored, ...] = ()
    """On the folds of the search."""
    features: tuple[Tried, ...] = ()
    """Those that the model proposed for the best, and what became of them."""
    refinements: tuple[Refinement, ...] | None = None
    """None where that is still to be done."""
    outcome: Outcome | None = None


@dataclass(kw_only=True)
class TabularResult(JobResult):
    """What became of a job."""

    job: TabularJob
    table: Table
    profile: Profile
    metric: str
    standing: Standing
    attempts: Sequence[Attempt]
    """Of the search, then of the control, in the order of rounds and samples."""
    problems: list[str] = field(default_factory=list)
    wall_time: float = 0.0
    error: OrchestratorError | None = None
    """Why it stopped half-way."""

    @property
    def outcome(self) -> Outcome | None:
        """None while it is not over, and where no candidate could be scored."""
        return self.standing.outcome

    def of(self, kind: str) -> list[Attempt]:
        """Attempts of the search (`candidate`) or of the `control`."""
        return [attempt for attempt in self.attempts if attempt.kind == kind]

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            "samples": len(self.attempts),
            **self.summary(),
            "error": None if self.error is None else str(self.error),
            "results": [_row(attempt) for attempt in self.attempts],
        }

    def summary(self) -> dict[str, Any]:
        """All but the attempts, and what the run's record says already."""
        return {
            "table": self.table.name,
            "target": self.table.target,
            "task": self.table.task,
            "rows": len(self.table),
            "classes": list(self.table.classes),
            "metric": self.metric,
            "warnings": self.profile.warnings,
            "answers": len(self.of("candidate")),
            "scored": sum(map(was_scored, self.of("candidate"))),
            "control_answers": len(self.of("control")),
            "tokens": tokens_of(self.attempts),
            "wall_time": self.wall_time,
            "problems": self.problems,
            "standing": self.standing.model_dump(mode="json"),
            "saved": time.time(),
        }


def _row(attempt: Attempt) -> dict[str, Any]:
    details = TabularDetails.of(attempt)
    return {
        "index": attempt.index,
        "kind": attempt.kind,
        "round": attempt.round,
        "sample": attempt.sample,
        "parent": attempt.parent,
        "same_as": attempt.same_as,
        "verdict": str(attempt.verdict),
        "value": details.value,
        "standard_error": details.standard_error,
        "values": list(details.values),
        "over_best": None if details.over_best is None else details.over_best.model_dump(mode="json"),
        "stages": list(details.stages),
        "feedback": attempt.feedback,
        "report": details.report,
        "code": attempt.code,
    }
