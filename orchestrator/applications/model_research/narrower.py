"""A network with less wide layers: what a plan with too many parameters is made into, for small models only double widths.

Left out: how many parameters a network has. The smoke test counts them.
"""

from __future__ import annotations

import math
from typing import Any

from orchestrator.applications.model_research.assemble import model_source
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.details import layers_of
from orchestrator.applications.model_research.reading import with_each
from orchestrator.errors import UsageError

_WIDTHS = ("out_channels", "out_features", "hidden_size")
_STEP = 8
"""Widths are multiples of this, where they are as large: heads and groups divide them."""
_MARGIN = 0.95


def narrowed(config: ModelConfig, *, parameters: int, most: int) -> ModelConfig | None:
    """The same layers with widths that should fit: parameters, more than `most`, grow with the square of the width.

    The last layer stays. None where nothing can be made narrower, layers would not fit each other, or the outputs would be fewer,
    as where a convolution gives them.
    """
    share = _MARGIN * math.sqrt(most / parameters)

    def scaled(layer: dict[str, Any]) -> dict[str, Any]:
        return {name: _width(value, share) if name in _WIDTHS else value for name, value in layer.items()}

    *inner, last = layers_of(config)
    fewer = [*with_each(inner, scaled), last]
    if fewer == [*inner, last]:
        return None
    try:
        narrow = ModelConfig(class_name=config.class_name, input_shape=config.input_shape, layers=fewer)
        same = model_source(narrow).outputs == model_source(config).outputs
    except UsageError:
        return None
    return narrow if same else None


def _width(width: int, share: float) -> int:
    scaled = int(width * share)
    return max(1, scaled - scaled % _STEP if scaled >= _STEP else scaled)
