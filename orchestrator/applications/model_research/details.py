"""What an attempt keeps of its network: the plan, how far it came, and what it scored. No row and no prediction.

Left out: weights and predictions, which stay in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.smoke import SmokeReport
from orchestrator.applications.model_research.training import TrainingRecord
from orchestrator.types import Attempt, Value


def layers_of(config: ModelConfig) -> tuple[dict[str, Any], ...]:
    """The layers of a network, as short as they can be written."""
    return tuple(one.model_dump(mode="json", exclude_defaults=True) for one in config.layers)


def as_json(layers: Sequence[Mapping[str, Any]]) -> str:
    """Layers as prompts show them, one on a line; nothing where there are none."""
    return "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in layers) + "\n]" if layers else ""


class Assembly(Value):
    """How a network came out of an answer."""

    hypothesis: str = ""
    decision: str = "continue"
    layers: tuple[dict[str, Any], ...] = ()
    """With what differs from the defaults of their types."""
    notes: tuple[str, ...] = ()
    """What was read into the answer."""
    written_by: str = "assembler"
    """`assembler`, or `model` where a model wrote the source of the plan."""
    parameters: int | None = None
    """By the shapes of the layers' weights, in the smoke test's word."""


class ResearchDetails(Value):
    """`Attempt.details` of this application."""

    assembly: Assembly = Assembly()
    smoke: SmokeReport | None = None
    summary: str = ""
    """torchinfo's table."""
    training: TrainingRecord | None = None
    """On the first rung; None where it did not come so far."""

    @classmethod
    def of(cls, attempt: Attempt) -> ResearchDetails:
        """Those of an attempt; empty where it has none."""
        return cls.model_validate(attempt.details)
