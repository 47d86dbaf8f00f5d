"""A canary: the same model trained on labels that belong to other rows must know nothing of validation rows.

What still scores above chance then did not learn it from the training: it brought knowledge of the rows along, or found a way to
their labels. A canary that stays at chance proves nothing more than that; it costs one training.

Left out: chance that depends on the model. What knows only how frequent each class is, or the mean, is chance here.
"""

from __future__ import annotations

import asyncio

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.training import (
    Execute,
    TrainingOptions,
    chance,
    metric_for,
    train,
)
from orchestrator.data.images import Split
from orchestrator.scoring.metrics import METRICS, Metric, interval
from orchestrator.types import Value

LEVEL = 0.999
"""Of the interval that must lie above chance before a canary is called: it is looked at once for each model."""


class Canary(Value):
    """What a model was worth after training on labels of other rows."""

    metric: str
    value: float | None
    """On validation rows; None where that training failed."""
    chance: float | None
    """What knows the shares of the classes, or the mean, and nothing of a row."""
    is_suspicious: bool
    """Whether it is better than chance beyond what rows drawn by luck explain."""
    sentence: str


async def canary(
    model: ModelSource,
    split: Split,
    execute: Execute,
    *,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008 - it is frozen
    seed: int = 0,
    metric: Metric | None = None,
) -> Canary:
    """Train on labels of other rows, and compare with chance.

    Raises:
        UsageError, SandboxError: as `train`.
    """
    metric = metric or metric_for(split)
    trained = await train(model, split, execute, options=options, seed=seed, metric=metric, shuffled_labels=True)
    base, value = chance(split, metric), trained.record.value
    if value is None or base is None:
        why = trained.record.failure or f"{metric.name} is not defined here."
        return Canary(
            metric=metric.name, value=value, chance=base, is_suspicious=False, sentence=f"The canary says nothing: {why}"
        )
    last = trained.predictions[-1]
    bounds = await asyncio.to_thread(interval, metric, split.validation_y, last, level=LEVEL)
    worst = None if bounds is None else min(map(METRICS[metric.name].score, bounds))
    suspicious = worst is not None and worst > metric.score(base)
    said = "which it cannot have learnt: it knows these rows from elsewhere" if suspicious else "which is chance"
    sentence = f"Trained on labels of other rows it has {metric.name} {value:.4g} (chance {base:.4g}), {said}."
    return Canary(metric=metric.name, value=value, chance=base, is_suspicious=suspicious, sentence=sentence)
