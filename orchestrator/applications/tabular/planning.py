"""Which candidates are drawn when: drafts, then repairs of those that fail, then improvements of the best.

Everything is decided from recorded attempts of earlier rounds, so a search that is resumed plans the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.jobs.loop import HEAT, HOTTEST, Draft, LoopOptions, Planner, rounds_of_repeats
from orchestrator.types import Attempt, Fault, Verdict

DRAFTS = 3
"""Candidates that are written without having seen another."""
REPAIRS = 2
"""Corrections in a row before a failing branch is left alone."""
FRESH_EVERY = 3
"""Every so many improvements, one starts afresh."""


def planner(job: TabularJob) -> Planner:
    """The search of a job."""

    def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        earlier = [attempt for attempt in attempts if attempt.round < round_]
        left = job.answers - len(earlier)
        if left <= 0 or (job.tokens is not None and tokens_of(earlier) >= job.tokens) or _is_idle(earlier, job.patience):
            return []
        heat = HEAT * rounds_of_repeats(earlier)
        warm = round(min(options.temperature + heat, HOTTEST), 3)
        if not earlier:
            return drafts(options, DRAFTS)[:left]
        broken = _to_repair(earlier)
        if broken:
            return [Draft(attempt, warm) for attempt in broken][:left]
        return [Draft(None if _starts_afresh(earlier) else best_of(earlier), warm)]

    return plan


def control_planner(count: int) -> Planner:
    """As many drafts as the search had answers, each without knowledge of the others."""

    def plan(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        return drafts(options, count) if round_ == 0 else []

    return plan


def drafts(options: LoopOptions, count: int) -> list[Draft]:
    """Fresh starts, the first one cool."""
    return [Draft(None, options.temperature if place else options.first_temperature) for place in range(count)]


def best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt with the best score, the earliest of equals; None where none could be scored."""
    return max(filter(was_scored, attempts), key=lambda item: item.score, default=None)


def tokens_of(attempts: Sequence[Attempt]) -> int:
    """Tokens read and written, those of the reports included."""
    total = 0
    for attempt in attempts:
        usages = [attempt.completion.usage]
        if attempt.same_as is None:
            usages.append(TabularDetails.of(attempt).usage)
        total += sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
    return total


def was_scored(attempt: Attempt) -> bool:
    """Whether its predictions were taken in every fold."""
    return attempt.verdict is Verdict.ACCEPTED


def _failed(attempt: Attempt) -> bool:
    return attempt.fault not in (Fault.NONE, Fault.SANDBOX)


def _to_repair(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Failures that nobody has tried to repair yet, at the end of chains that are not too long."""
    by_index = {attempt.index: attempt for attempt in attempts}
    parents = {attempt.parent for attempt in attempts}

    def repairs(attempt: Attempt) -> int:
        parent = by_index.get(-1 if attempt.parent is None else attempt.parent)
        return 0 if parent is None or not _failed(parent) else 1 + repairs(parent)

    leaves = [attempt for attempt in attempts if _failed(attempt) and attempt.index not in parents]
    # A fresh start that repeats a failure is repaired where that failure is.
    return [leaf for leaf in leaves if repairs(leaf) < REPAIRS and (leaf.same_as is None or leaf.parent is not None)]


def _starts_afresh(attempts: Sequence[Attempt]) -> bool:
    by_index = {attempt.index: attempt for attempt in attempts}
    improvements = [
        attempt for attempt in attempts if attempt.round > 0 and (attempt.parent is None or was_scored(by_index[attempt.parent]))
    ]
    return len(improvements) % FRESH_EVERY == FRESH_EVERY - 1 or (bool(attempts) and bool(attempts[-1].completion.refused))


def _is_idle(attempts: Sequence[Attempt], patience: int) -> bool:
    """Whether the latest answers brought no gain. Drafts are not counted: none of them builds on another."""
    if not any(map(was_scored, attempts)):
        return False
    since = 0
    for attempt in attempts:
        gained = attempt.same_as is None and TabularDetails.of(attempt).is_gain
        since = 0 if gained or attempt.round == 0 else since + 1
    return since >= patience
