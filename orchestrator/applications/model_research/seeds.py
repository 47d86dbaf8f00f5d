"""One model trained with several seeds: whether they really differ, and what they say together.

Left out: drawing seeds. Whoever compares two models gives both the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.training import Execute, Trained, TrainingOptions, train
from orchestrator.data.images import Split
from orchestrator.scoring.metrics import Metric
from orchestrator.scoring.seeds import SeedMean, mean_of


async def train_on_seeds(
    model: ModelSource,
    split: Split,
    execute: Execute,
    seeds: Sequence[int],
    *,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008 - it is frozen
    metric: Metric | None = None,
) -> list[Trained]:
    """A training for each seed, in their order. The first goes alone: what fails there is not tried again.

    Raises:
        UsageError, SandboxError: as `train`.
    """
    first = await train(model, split, execute, options=options, seed=seeds[0], metric=metric)
    if first.record.failure:
        return [first]
    rest = (train(model, split, execute, options=options, seed=seed, metric=metric) for seed in seeds[1:])
    return [first, *await asyncio.gather(*rest)]


def value_over(trainings: Sequence[Trained]) -> SeedMean | None:
    """The metric on validation rows, over seeds; None where one failed or none has a value."""
    return None if any(one.record.failure for one in trainings) else mean_of([one.record.value for one in trainings])


def alike(trainings: Sequence[Trained]) -> str:
    """Why an interval over these seeds would be too narrow, in one sentence; empty where the seeds differ.

    Weights before the training are the sandbox's word; predictions are evidence.
    """
    for one, other in combinations([one for one in trainings if not one.record.failure], 2):
        seeds = f"Seeds {one.record.seed} and {other.record.seed}"
        if np.array_equal(one.predictions[-1], other.predictions[-1]):
            return f"{seeds} predict the same in every row: the model does not follow its seed, and no interval can be given."
        if one.record.initial == other.record.initial:
            return f"{seeds} begin with the same weights: the model sets its own seed, and only the order of batches differs."
    return ""
