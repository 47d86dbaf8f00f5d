"""A network with less wide layers: what a plan with too many parameters is made into, for small models only double widths.

Left out: how many parameters a network has. The smoke test counts them.
"""

from __future__ import annotations

import math
from typing import Any

from orchestrator.applications.model_research.assemble import model_source
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.errors import UsageError

_WIDTHS = ("out_channels", "out_features", "hidden_size")
_STEP = 8
"""Widths are multiples of this, where they are as large: heads and groups divide them."""
_MARGIN = 0.95


def narrowed(config: ModelConfig, *, parameters: int, most: int) -> ModelConfig | None:
    """The same layers with widths that should fit: parameters grow with the square of the width.

    The last layer, which gives the outputs, stays. None where nothing can be made narrower, or layers would not fit each other.
    """
    share = min(_MARGIN, _MARGIN * math.sqrt(most / parameters))
    layers = [one.model_dump(exclude_defaults=True) for one in config.layers]
    fewer = [*(_scaled(one, share) for one in layers[:-1]), layers[-1]]
    if fewer == layers:
        return None
    try:
        narrow = ModelConfig(class_name=config.class_name, input_shape=config.input_shape, layers=fewer)
        model_source(narrow)
    except UsageError:
        return None
    return narrow


def _scaled(layer: Any, share: float) -> Any:
    """A layer, or a list of them, with all widths scaled."""
    if isinstance(layer, list | tuple):
        return [_scaled(one, share) for one in layer]
    if not isinstance(layer, dict):
        return layer
    return {name: _width(value, share) if name in _WIDTHS else _scaled(value, share) for name, value in layer.items()}


def _width(width: int, share: float) -> int:
    scaled = int(width * share)
    return max(1, scaled - scaled % _STEP if scaled >= _STEP else scaled)
