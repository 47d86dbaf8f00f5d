"""Which configurations are trained further: nine for one epoch, the best three for three, the best one for nine.

Successive halving (Jamieson and Talwalkar 2016) by recorded results alone, so a resumed search plans the same. A budget in
seconds takes from the end: what would not fit by the time that an epoch took so far is left out, and that is said.

Left out: running anything, and continuing a training. Each rung trains anew, so that a schedule means the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.types import Value


@dataclass(frozen=True)
class Rung:
    """So many configurations are trained for so many epochs."""

    epochs: int
    keep: int


RUNGS = (Rung(1, 9), Rung(3, 3), Rung(9, 1))
FIRST_STEPS = 100
"""Steps that the first rung takes at least: after fewer, all networks are as good as chance."""


def epochs_of(rows: int, batch: int) -> tuple[int, ...]:
    """Epochs of the rungs for so many rows of training: 1, 3 and 9, or as many times that as the first steps ask for."""
    times = math.ceil(FIRST_STEPS / math.ceil(rows / batch))
    return tuple(rung.epochs * times for rung in RUNGS)


class RungResult(Value):
    """One configuration on one rung, as recorded."""

    name: str
    rung: int
    """From 0."""
    score: float | None
    """Larger is better; None where it failed."""
    seconds: float
    """That the training took."""


class Step(Value):
    """A training that is to be done now."""

    name: str
    rung: int
    epochs: int
    seconds: float | None
    """That it will take, by what its epochs took before; None where nobody knows yet."""


class Plan(Value):
    """What is next, and where the search stands."""

    steps: tuple[Step, ...]
    """May run side by side, the most promising first; empty where the search is over."""
    ranking: tuple[str, ...]
    """Configurations with a score, the best first: by their rung, then by their score on it."""
    spent: float
    """Seconds so far."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to do any more."""
        return not self.steps

    @property
    def best(self) -> str | None:
        """The best configuration so far; None where none has a score."""
        return self.ranking[0] if self.ranking else None


def plan(
    names: Sequence[str], results: Sequence[RungResult], *, rungs: Sequence[Rung] = RUNGS, seconds: float = math.inf
) -> Plan:
    """The next trainings of `names`, in the order that they were proposed, after `results`.

    A rung begins when all of the one before are recorded. `seconds` is the budget of the whole search, in seconds of training.
    """
    by_place = {(one.rung, one.name): one for one in results}
    spent = math.fsum(one.seconds for one in results)
    ranking = _ranking(names, by_place, len(rungs))
    chosen, notes = list(dict.fromkeys(names)), []
    for place, rung in enumerate(rungs):
        left_out = chosen[rung.keep :]
        if place == 0 and left_out:
            notes.append(f"Only {rung.keep} configurations are tried; left out: {', '.join(left_out)}.")
        chosen = chosen[: rung.keep]
        open_ones = [name for name in chosen if (place, name) not in by_place]
        if open_ones:
            steps, skipped = _fitting(open_ones, place, rungs, by_place, seconds - spent)
            if skipped:
                notes.append(
                    f"The budget of {seconds:g} s (spent {spent:.0f}) leaves no time to train "
                    f"{', '.join(skipped)} for {rung.epochs} epochs."
                )
            if steps or place == 0:
                return Plan(steps=tuple(steps), ranking=ranking, spent=spent, notes=tuple(notes))
        scored = [by_place[place, name] for name in chosen if (place, name) in by_place]
        alive = sorted((one for one in scored if one.score is not None), key=lambda one: -(one.score or 0.0))
        chosen = [one.name for one in alive]
    return Plan(steps=(), ranking=ranking, spent=spent, notes=tuple(notes))


def _fitting(
    names: Sequence[str], place: int, rungs: Sequence[Rung], by_place: dict[tuple[int, str], RungResult], left: float
) -> tuple[list[Step], list[str]]:
    """Steps that fit into the seconds left, and the names of others. What nobody can tell the time of fits while any is left."""
    steps, skipped = [], []
    for name in names:
        before = by_place.get((place - 1, name))
        takes = None if before is None else before.seconds * rungs[place].epochs / rungs[place - 1].epochs
        if left <= 0 or (takes or 0.0) > left:
            skipped.append(name)
            continue
        left -= takes or 0.0
        steps.append(Step(name=name, rung=place, epochs=rungs[place].epochs, seconds=takes))
    return steps, skipped


def _ranking(names: Sequence[str], by_place: dict[tuple[int, str], RungResult], rungs: int) -> tuple[str, ...]:
    found: list[str] = []
    for place in reversed(range(rungs)):
        here = [(name, by_place[place, name].score) for name in names if (place, name) in by_place]
        ranked = sorted(((name, score) for name, score in here if score is not None), key=lambda one: -one[1])
        found += [name for name, _ in ranked if name not in found]
    return tuple(found)
