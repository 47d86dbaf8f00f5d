"""A model as everything else here knows it: the text of a module that nobody on this machine runs.

The module defines one class, a `torch.nn.Module` whose constructor needs no arguments. `forward(x)` takes float32
`(N, *input_shape)`, images with their channels first, and returns float32 `(N, outputs)`: logits of classes, or one number.

Left out: how it is made, and what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSource:
    """The source of a model and what goes in and comes out of it. It is text: only a sandbox runs it."""

    code: str
    """Source of the module."""
    class_name: str
    """The class that it defines."""
    input_shape: tuple[int, ...]
    """Of one row, without the batch: `(channels, height, width)`, `(features,)`, or `(steps, features)`."""
    outputs: int
    """Columns of what `forward` returns: the classes, or 1 for a number."""
