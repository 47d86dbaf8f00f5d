"""What a job found: a row for each answer, and how good the answers are.

Left out: reports for people (`reports`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from orchestrator.applications.unit_tests.options import UnitTestJob
from orchestrator.applications.unit_tests.score import Observed, TestsScore
from orchestrator.errors import OrchestratorError
from orchestrator.jobs.job import JobResult
from orchestrator.jobs.refusals import Answers
from orchestrator.scoring.pass_at_k import Estimate
from orchestrator.types import Attempt, Value, Verdict


class TestsRow(Value):
    """One judged answer."""

    __test__ = False
    task_id: str
    completion_id: int
    verdict: Verdict
    reward: float | None
    valid: bool = False
    flaky: bool = False
    worthless: str = ""
    tests: int = 0
    tests_passed: int = 0
    line_coverage: float | None = None
    branch_coverage: float | None = None
    mutation_score: float | None = None
    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    components: Mapping[str, float] = Field(default_factory=dict)
    message: str = ""
    code: str = ""
    tokens: int = 0
    model_time: float = 0.0
    cpu_time: float = 0.0
    judging: str = "apart"
    finish_reason: str = ""
    """Why the answer ended, in the server's own word where it gave one."""
    refused: str = ""
    """What the server said in place of an answer: the function is not answerable, and unscored."""


@dataclass(kw_only=True)
class TestsResult(JobResult):
    """What a job found."""

    __test__ = False
    job: UnitTestJob
    source: str
    rows: list[TestsRow]
    """In the order of functions and answers."""
    problems: list[str]
    estimates: list[Estimate]
    wall_time: float = 0.0
    error: OrchestratorError | None = None
    """Why it stopped half-way; None where all was done."""
    answers: Answers = field(default_factory=Answers)
    """How many answers were refused, empty or cut off."""

    @property
    def scored(self) -> list[TestsRow]:
        """Rows that the sandbox did not fail, and whose prompt the server took."""
        return [row for row in self.rows if row.verdict is not Verdict.UNSCORED]

    @property
    def valid_rate(self) -> float | None:
        """Answers whose tests all pass on the reference, always."""
        return sum(row.valid for row in self.scored) / len(self.scored) if self.scored else None

    @property
    def mean_mutation_score(self) -> float | None:
        """Over valid answers."""
        found = [row.mutation_score for row in self.scored if row.mutation_score is not None]
        return sum(found) / len(found) if found else None

    @property
    def best(self) -> dict[str, TestsRow]:
        """Function -> its answer of the highest reward."""
        found: dict[str, TestsRow] = {}
        for row in self.rows:
            if row.task_id not in found or (row.reward or 0.0) > (found[row.task_id].reward or 0.0):
                found[row.task_id] = row
        return found

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        told = Counter(str(row.verdict) for row in self.rows)
        return {
            "dataset": self.job.dataset,
            "source": self.source,
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            "samples": len(self.rows),
            "tasks": len({row.task_id for row in self.rows}),
            "threshold": self.job.threshold,
            "pass_at_k": {str(one.k): one.value for one in self.estimates},
            "confidence_95": {str(one.k): [one.low, one.high] for one in self.estimates},
            "valid_rate": self.valid_rate,
            "mean_mutation_score": self.mean_mutation_score,
            "mean_reward": _mean([row.reward for row in self.rows if row.reward is not None]),
            "verdicts": dict(told.most_common()),
            "worthless": sum(bool(row.worthless) for row in self.rows),
            "flaky": sum(row.flaky for row in self.rows),
            "unscored": told[str(Verdict.UNSCORED)],
            "not_answerable": self.answers.not_answerable,
            "answers": self.answers.model_dump(mode="json"),
            "tokens": sum(row.tokens for row in self.rows),
            "wall_time": self.wall_time,
            "problems": self.problems,
            "error": None if self.error is None else str(self.error),
            "results": [row.model_dump(mode="json") for row in self.rows],
        }

    def summary(self) -> dict[str, Any]:
        """All but the rows, and what the run's record says already."""
        return {key: value for key, value in self.as_json().items() if key not in ("results", "run", "state")}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


class TestsDetails(Value):
    """What is recorded of a judgement beside the common fields: `Attempt.details`."""

    __test__ = False
    score: TestsScore
    seen: Observed


def row_of(attempt: Attempt) -> TestsRow:
    """What a table shows of an attempt."""
    usage = attempt.completion.usage
    details = TestsDetails.model_validate(attempt.details) if attempt.details else None  # none: its prompt was refused
    return TestsRow(
        task_id=attempt.task,
        completion_id=attempt.index,
        verdict=attempt.verdict,
        reward=attempt.reward,
        **(details.score.model_dump(exclude={"reward"}) if details else {}),
        tests=details.seen.collected if details else 0,
        tests_passed=details.seen.passed if details else 0,
        message=(attempt.feedback or attempt.completion.refused)[:2000],
        finish_reason=attempt.completion.reason or attempt.completion.finish_reason,
        refused=attempt.completion.refused,
        code=attempt.code,
        tokens=usage.prompt_tokens + usage.completion_tokens,
        model_time=attempt.completion.wall_time,
        cpu_time=attempt.report.cpu_time if attempt.report else 0.0,
    )
