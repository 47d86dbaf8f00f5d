"""When the search of a table ends: no answers, tokens or patience are left.

Left out: which candidates are drawn until then (`jobs.branching`).
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.jobs.branching import fresh_drafts, next_drafts, was_scored
from orchestrator.jobs.loop import Draft, LoopOptions, Planner
from orchestrator.types import Attempt


def planner(job: TabularJob) -> Planner:
    """The search of a job."""

    def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        earlier = [attempt for attempt in attempts if attempt.round < round_]
        if (job.tokens is not None and tokens_of(earlier) >= job.tokens) or _is_idle(earlier, job.patience):
            return []
        return next_drafts(earlier, options, job.answers - len(earlier))

    return plan


def control_planner(count: int) -> Planner:
    """As many drafts as the search had answers, each without knowledge of the others."""

    def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        return fresh_drafts(options, count) if round_ == 0 else []

    return plan


def tokens_of(attempts: Sequence[Attempt]) -> int:
    """Tokens read and written, those of the reports included."""
    total = 0
    for attempt in attempts:
        usages = [attempt.completion.usage]
        if attempt.same_as is None:
            usages.append(TabularDetails.of(attempt).usage)
        total += sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
    return total


def _is_idle(attempts: Sequence[Attempt], patience: int) -> bool:
    """Whether the latest answers brought no gain. Drafts are not counted: none of them builds on another."""
    if not any(map(was_scored, attempts)):
        return False
    since = 0
    for attempt in attempts:
        gained = attempt.same_as is None and TabularDetails.of(attempt).is_gain
        since = 0 if gained or attempt.round == 0 else since + 1
    return since >= patience
