"""Random networks: layers that follow from a seed, each of which takes what the one before gives."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any

from orchestrator.applications.model_research.assemble import layer_shapes
from orchestrator.applications.model_research.layers import LAYERS
from orchestrator.errors import UsageError

INPUTS = [(7,), (24,), (16, 6), (5, 12), (3, 16, 16), (1, 9, 13), (8, 10, 10), (2, 6, 8, 7)]
MOST = 20_000
"""Numbers in a row, for tests that run hundreds of networks."""


@cache
def network(seed: int) -> dict[str, Any]:
    """A configuration of 1 to 7 layers."""
    rng = random.Random(seed)
    shape = rng.choice(INPUTS)
    return {"class_name": f"Network{seed}", "input_shape": shape, "layers": _layers(rng, shape, rng.randint(1, 7), 2)}


def _layers(rng: random.Random, shape: tuple[int, ...], count: int, depth: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in range(count * 12):
        if len(found) == count:
            break
        layer = _layer(rng, rng.choice([*LAYERS]), shape, depth)
        try:
            rows = layer_shapes({"class_name": "Trial", "input_shape": shape, "layers": [layer]})
        except UsageError:
            continue
        if max(math.prod(row.gives) for row in rows) <= MOST:
            found.append(layer)
            shape = rows[0].gives
    return found or [{"type": "Identity"}]


def _layer(rng: random.Random, kind: str, shape: tuple[int, ...], depth: int) -> dict[str, Any]:
    """A layer with some of its parameters; it may not fit."""
    axes = getattr(LAYERS[kind], "axes", 2)
    layer: dict[str, Any] = {"type": kind}
    for name, field in LAYERS[kind].model_fields.items():
        if name in ("layers", "branches"):
            if not depth:
                return {"type": "Identity"}
            inside = [_layers(rng, shape, rng.randint(1, 3), depth - 1) for _ in range(2)]
            layer[name] = inside[0] if name == "layers" else [*inside, []]
        elif field.is_required() or rng.random() < 0.4:
            layer[name] = _value(rng, name, axes, shape)
    return layer


def _value(rng: random.Random, name: str, axes: int, shape: tuple[int, ...]) -> Any:
    number = rng.randint(1, 4)
    if name == "sizes":
        return rng.choice([[-1], [math.prod(shape) // shape[0], -1], [*reversed(shape)]])
    if name == "order":
        return rng.sample(range(len(shape)), len(shape))
    if name in ("kernel_size", "stride", "dilation", "output_size"):
        return rng.choice([number, [rng.randint(1, 4) for _ in range(axes)]])
    if name == "padding":
        return rng.choice([number, [rng.randint(0, 3) for _ in range(axes)], "same", "valid"])
    if name in ("out_channels", "out_features", "hidden_size", "embedding_dim", "dim_feedforward", "num_embeddings"):
        return rng.choice([4, 6, 8, 12, 16])
    if name in ("bias", "affine", "bidirectional", "norm_first"):
        return rng.random() < 0.5
    choices = {
        "mode": ["nearest", "bilinear"],
        "how": ["mean", "max", "first", "last"],
        "output": ["last", "steps"],
        "merge": ["concat", "sum"],
        "activation": ["relu", "gelu"],
        "p": [0.0, 0.25],
        "dropout": [0.0, 0.25],
        "alpha": [0.5],
        "negative_slope": [0.2],
    }
    return rng.choice(choices.get(name, [number]))
