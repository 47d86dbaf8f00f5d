"""When a search is over.

Decided from recorded attempts alone, so a search that is resumed plans the same.

Left out: what is drawn until then (`jobs.branching`), and which networks go on to more epochs (`rungs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.jobs.branching import DRAFTS, next_drafts, was_scored
from orchestrator.jobs.loop import Draft, LoopOptions, Planner
from orchestrator.scoring.metrics import METRICS
from orchestrator.types import Attempt


def planner(job: ResearchJob, metric: str) -> Planner:
    """The search of a job: it ends when its answers are used up, the goal is met, or the planning model says stop."""

    def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        earlier = [attempt for attempt in attempts if attempt.round < round_]
        if is_met(job, metric, earlier) or has_stopped(earlier):
            return []
        return next_drafts(earlier, options, job.answers - len(earlier))

    return plan


def is_met(job: ResearchJob, metric: str, attempts: Sequence[Attempt]) -> bool:
    """Whether a network of the first rung reached the goal on validation rows already."""
    return any(
        was_scored(attempt)
        and (training := ResearchDetails.of(attempt).training) is not None
        and job.goal.reached_by(training.value, METRICS[metric])
        for attempt in attempts
    )


def has_stopped(attempts: Sequence[Attempt]) -> bool:
    """Whether the planning model said stop in its latest answer, once all drafts and one improvement were measured.

    Earlier it cannot know: drafts see nothing of each other.
    """
    if len(attempts) <= DRAFTS or not any(map(was_scored, attempts)):
        return False
    return ResearchDetails.of(attempts[-1]).assembly.decision == "stop"
