"""A search that branches: drafts, then repairs of those that fail, then improvements of the best.

What is drawn next is decided from recorded attempts of earlier rounds alone, so a search that is resumed plans the same.

Left out: when a search ends. The application says that.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.loop import HEAT, HOTTEST, Draft, LoopOptions, rounds_of_repeats
from orchestrator.types import Attempt, Fault, Value, Verdict

DRAFTS = 3
"""Candidates that are written without having seen another."""
REPAIRS = 2
"""Corrections in a row before a failing branch is left alone."""
FRESH_EVERY = 3
"""Every so many improvements, one starts afresh."""


class BranchingJob(Value):
    """What every job with such a search is given: how answers are drawn, who writes them, and how many."""

    answers: int = Field(default=12, ge=1, le=1000)
    """Candidates that the model writes at most."""
    seconds: float | None = Field(default=None, gt=0)
    """No new round is begun after so many seconds; None: no such limit."""
    first_temperature: float = Field(default=0.2, ge=0, le=2)
    """Of the first draft."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Of all other answers."""
    max_new_tokens: int = Field(default=700, ge=1)
    seed: int = Field(default=0, ge=0)
    """Of the answers, and of what runs in sandboxes."""
    base_url: str = ""
    """Model server; empty starts the embedded one for the time of the job."""
    model: str = ""
    """Name at that server, or which embedded model."""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers that the server writes at once."""

    @property
    def loop(self) -> LoopOptions:
        """What the loop is given. Each round has an answer, so there are no more rounds than answers."""
        return LoopOptions(
            rounds=self.answers,
            first_temperature=self.first_temperature,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            parallel=self.parallel,
        )

    @property
    def endpoint(self) -> ModelEndpoint:
        """The model that writes."""
        return ModelEndpoint(base_url=self.base_url, model=self.model, parallel=self.parallel)


def next_drafts(earlier: Sequence[Attempt], options: LoopOptions, left: int) -> list[Draft]:
    """What is drawn after these attempts, at most `left`: all drafts, or repairs, or one improvement or fresh start."""
    if left <= 0:
        return []
    warm = round(min(options.temperature + HEAT * rounds_of_repeats(earlier), HOTTEST), 3)
    if not earlier:
        return fresh_drafts(options, DRAFTS)[:left]
    broken = _to_repair(earlier)
    if broken:
        return [Draft(attempt, warm) for attempt in broken][:left]
    return [Draft(None if _starts_afresh(earlier) else best_of(earlier), warm)]


def fresh_drafts(options: LoopOptions, count: int) -> list[Draft]:
    """Fresh starts, the first one cool."""
    return [Draft(None, options.temperature if place else options.first_temperature) for place in range(count)]


def best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt with the best score, the earliest of equals; None where none could be scored."""
    return max(filter(was_scored, attempts), key=lambda item: item.score, default=None)


def was_scored(attempt: Attempt) -> bool:
    """Whether it was measured."""
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
