"""How a training went, read from its curves: in numbers, and in sentences for people and for the next prompt.

Curves of validation rows are computed here. Those of training rows are the model's word, and so is what is said of the gap.

Left out: curves of several seeds (`plots.py` draws them).
"""

from __future__ import annotations

import math

from orchestrator.applications.model_research.training import TrainingRecord
from orchestrator.scoring.metrics import METRICS
from orchestrator.types import Value

MOST_OF_IT = 0.95
"""It has converged where so much of the way from before the training to the best is done."""
FLAT = 0.02
"""Epochs that together gain less than this share of the way are a plateau."""
BLOWN_UP = 1.5
"""A validation loss that ends so many times above its lowest has diverged, or fits training rows alone."""
WIDE = 0.05
"""A gap of so large a share of the better score is spoken of as overfitting."""
_LONG = 3
"""Epochs that a plateau has at least."""


class Dynamics(Value):
    """What the curves of one training show."""

    best_epoch: int
    """The epoch with the best metric on validation rows; the first of equals. 0 is before the training."""
    best_value: float | None
    gap: float | None
    """How much better training rows are predicted than validation rows after the last epoch, in the metric's units."""
    overfits: bool
    converged: int | None
    """The first epoch that has 95 % of all that is gained; None where nothing is gained."""
    plateau: int | None
    """The epoch after which hardly anything is gained; None where the last three epochs still gain."""
    diverged: bool
    """Whether the loss became infinite, or validation loss ends far above its lowest while training loss rises too."""
    improving: bool
    """Whether the last epoch is the best, and not on a plateau: more epochs may help."""
    sentences: tuple[str, ...]


def dynamics_of(record: TrainingRecord) -> Dynamics | None:
    """What the curves of a training show; None where it has none (it failed before its first epoch was over)."""
    epochs = record.epochs
    if len(epochs) < 2:
        return None
    metric = METRICS[record.metric]
    scores = [-math.inf if one.value is None else metric.score(one.value) for one in epochs]
    best = max(range(len(epochs)), key=scores.__getitem__)
    last = epochs[-1]
    gap = None
    if last.value is not None and last.known_value is not None:
        gap = metric.score(last.known_value) - metric.score(last.value)
    lowest = min(range(len(epochs)), key=lambda place: epochs[place].loss)
    risen = last.loss > BLOWN_UP * epochs[lowest].loss
    known_risen = last.known_loss > BLOWN_UP * min(one.known_loss for one in epochs)
    diverged = "diverged" in record.failure or (risen and known_risen)
    wide = gap is not None and gap > WIDE * max(abs(last.value or 0), abs(last.known_value or 0))
    gained = scores[best] - scores[0]
    converged = None
    if math.isfinite(gained) and gained > 0:
        converged = next(place for place, score in enumerate(scores) if score - scores[0] >= MOST_OF_IT * gained)
    plateau = _plateau(scores, gained)
    improving = best == len(epochs) - 1 and plateau is None and not record.failure
    found = Dynamics(
        best_epoch=best,
        best_value=epochs[best].value,
        gap=gap,
        overfits=wide and not diverged,
        converged=converged,
        plateau=plateau,
        diverged=diverged,
        improving=improving,
        sentences=(),
    )
    return found.model_copy(update={"sentences": tuple(_said(record, found, lowest, risen))})


def _plateau(scores: list[float], gained: float) -> int | None:
    """The epoch after which the best score gains less than `FLAT` of the way, if that is at least three epochs long."""
    if not math.isfinite(gained) or gained <= 0:
        return None
    tops = [max(scores[: place + 1]) for place in range(len(scores))]
    start = next(place for place, top in enumerate(tops) if tops[-1] - top <= FLAT * gained)
    return start if len(scores) - 1 - start >= _LONG else None


def _said(record: TrainingRecord, found: Dynamics, lowest: int, risen: bool) -> list[str]:
    name, last = record.metric, record.epochs[-1]
    said = []
    if found.best_value is not None:
        said.append(f"Best {name} {found.best_value:.4g} after epoch {found.best_epoch} of {last.epoch}.")
    if found.diverged:
        said.append(f"The training diverged: try a smaller learning rate than {record.options.learning_rate:g}.")
    if found.converged is not None:
        said.append(f"95 % of what it gained was there after epoch {found.converged}.")
    elif not record.failure:
        said.append("It gained nothing over its untrained self.")
    if found.plateau is not None:
        said.append(f"After epoch {found.plateau} it hardly gained any more.")
    if found.improving:
        said.append("The last epoch was the best: more epochs may help.")
    if found.gap is not None and found.overfits:
        said.append(f"Overfitting: {name} on training rows is better by {found.gap:.4g} (by the model's own word).")
    if risen and not found.diverged:
        said.append(
            f"Validation loss was lowest after epoch {lowest} ({record.epochs[lowest].loss:.4g}) and ended at {last.loss:.4g}."
        )
    return said
