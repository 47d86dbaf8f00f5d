"""Sizes of what flows through a network, computed without PyTorch.

A shape here is that of one row, without the batch: `(features,)`, `(channels, height, width)`, and with two sizes either
`(steps, features)` or `(channels, length)`, as the layer that takes it reads them.

Left out: which layer computes what (`layers.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, ...]
Sizes = int | tuple[int, ...]
"""One size for all axes, or one for each."""

LARGEST = 1 << 30
"""Numbers in one row of an activation; four GiB of float32."""


class Misfit(ValueError):
    """A layer cannot take what reaches it; `message` is what follows the layer's name, `remedy` a sentence."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def said(shape: Sequence[int]) -> str:
    """A shape as Python writes it."""
    return str(tuple(shape))


def each(sizes: Sizes, axes: int, name: str) -> Shape:
    """One size for each axis.

    Raises:
        Misfit: there are more or fewer.
    """
    if isinstance(sizes, int):
        return (sizes,) * axes
    if len(sizes) != axes:
        raise Misfit(f"has {len(sizes)} sizes in {name} for {axes} axes.", f"Give one number, or {axes}.")
    return sizes


def channels_and_space(shape: Shape, axes: int) -> tuple[int, Shape]:
    """Channels, and the sizes of the axes that follow.

    Raises:
        Misfit: there are more or fewer axes.
    """
    if len(shape) != axes + 1:
        wanted = ("channels", *("depth", "height", "width")[3 - axes :]) if axes > 1 else ("channels", "length")
        raise Misfit(f"takes ({', '.join(wanted)}), not {said(shape)}.", _towards(shape, axes + 1))
    return shape[0], shape[1:]


def steps_and_features(shape: Shape) -> tuple[int, int]:
    """Both sizes of a sequence.

    Raises:
        Misfit: it is not one.
    """
    if len(shape) != 2:
        hint = "PatchEmbedding or Reshape makes a sequence of an image." if len(shape) > 2 else _towards(shape, 2)
        raise Misfit(f"takes (steps, features), not {said(shape)}.", hint)
    return shape[0], shape[1]


def _towards(shape: Shape, sizes: int) -> str:
    if len(shape) > sizes:
        return "Put Flatten or GlobalAvgPool before it." if sizes == 1 else "Another of its family takes so many axes."
    return f"Reshape makes {sizes} sizes of {len(shape)}."


def window(space: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    """Sizes behind a sliding window, as convolutions and pooling have it.

    Raises:
        Misfit: the window is larger than what it slides over.
    """
    found = []
    for size, width, step, pad, gap in zip(space, kernel, stride, padding, dilation, strict=True):
        reach = gap * (width - 1) + 1
        if reach > size + 2 * pad:
            padded = f" with padding {pad}" if pad else ""
            raise Misfit(
                f"slides a window of {reach} over a size of {size}{padded}: it is too small.",
                "Pool less before it, or take a smaller kernel.",
            )
        found.append((size + 2 * pad - reach) // step + 1)
    return tuple(found)


def keeping(kernel: Shape, dilation: Shape) -> Shape:
    """The padding with which a window of an odd width keeps sizes, or divides them by its stride, rounded up."""
    return tuple(gap * (width - 1) // 2 for width, gap in zip(kernel, dilation, strict=True))


def checked(shape: Shape) -> Shape:
    """The shape, unless it is too large.

    Raises:
        Misfit: it is.
    """
    if math.prod(shape) > LARGEST:
        raise Misfit(f"gives {said(shape)}, more than {LARGEST:,} numbers for one row.", "Take fewer channels or smaller sizes.")
    return shape
