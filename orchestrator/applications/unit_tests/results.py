"""What a job found: a row for each answer, and how good the answers are.

Left out: reports for people (`reports`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.applications.unit_tests.options import UnitTestJob
from orchestrator.applications.unit_tests.score import Observed, TestsScore
from orchestrator.jobs.sampled import SampledResult, SampledRow
from orchestrator.types import Attempt, Value, Verdict


class TestsRow(SampledRow, TestsScore):
    """One judged answer and its score."""

    __test__ = False
    judging: str = "apart"
    valid: bool = False
    tests: int = 0
    tests_passed: int = 0
    code: str = ""


@dataclass(kw_only=True)
class TestsResult(SampledResult):
    """What a job found."""

    __test__ = False
    job: UnitTestJob
    rows: list[TestsRow]

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

    def measures(self) -> dict[str, Any]:
        """What is said of unit tests alone."""
        return {
            "threshold": self.job.threshold,
            "valid_rate": self.valid_rate,
            "mean_mutation_score": self.mean_mutation_score,
            "mean_reward": _mean([row.reward for row in self.rows if row.reward is not None]),
            "worthless": sum(bool(row.worthless) for row in self.rows),
            "flaky": sum(row.flaky for row in self.rows),
        }


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
