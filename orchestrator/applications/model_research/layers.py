"""The types of layers: what each takes, what it gives, and how it stands in the source.

A layer is a value with the parameters that `torch.nn` has, by the same names; what its input fixes (`in_channels`,
`in_features`) is inferred. Convolutions keep sizes unless they are told otherwise. `LAYERS` has them all by their type.

Left out: reading configurations (`config.py`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, SerializerFunctionWrapHandler, model_serializer

from orchestrator.applications.model_research.reading import branches_of, layers_of
from orchestrator.applications.model_research.shapes import (
    Misfit,
    Shape,
    channels_and_space,
    each,
    keeping,
    said,
    steps_and_features,
    window,
)
from orchestrator.applications.model_research.writing import Call, Text
from orchestrator.types import Value

Positive = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Natural = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Many = Positive | tuple[Positive, ...]
Paddings = Natural | tuple[Natural, ...]
Share = Annotated[float, Field(ge=0, lt=1)]
Flag = Annotated[bool, Field(strict=True)]


class Layer(Value):
    """One layer of a network."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """Write this layer, and say what shape it gives for one that it takes.

        Raises:
            Misfit: it cannot take that shape.
        """
        raise NotImplementedError

    @model_serializer(mode="wrap")
    def _with_type(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"type": type(self).__name__, **handler(self)}


LayerList = Annotated[tuple[SerializeAsAny[Layer], ...], BeforeValidator(lambda given: layers_of(given, LAYERS))]


def _options(**values: tuple[object, object]) -> dict[str, object]:
    """Arguments that differ from PyTorch's default, which stands second; equal sizes of all axes as one."""
    found = {}
    for name, (value, default) in values.items():
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]
        if value != default:
            found[name] = value
    return found


def _divides(part: int, whole: int, what: str) -> None:
    if whole % part:
        divisors = [str(number) for number in range(1, min(whole, 512) + 1) if whole % number == 0]
        raise Misfit(f"cannot divide {whole} {what} by {part}.", f"{whole} can be divided by {', '.join(divisors[:12])}.")


# Every row by itself


class Linear(Layer):
    """A weighted sum of features; of a sequence, at each step."""

    out_features: Positive
    bias: Flag = True

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Linear` over the last axis."""
        if len(shape) > 2:
            raise Misfit(f"takes (features,) or (steps, features), not {said(shape)}.", "Put Flatten or GlobalAvgPool before it.")
        into.apply("linear", Call("nn.Linear", shape[-1], self.out_features, **_options(bias=(self.bias, True))))
        return (*shape[:-1], self.out_features)


class Flatten(Layer):
    """All numbers of a row in one axis."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Flatten`."""
        into.apply("flatten", Call("nn.Flatten"))
        return (math.prod(shape),)


class Reshape(Layer):
    """The same numbers with other sizes; -1 stands for one that follows from the others."""

    sizes: tuple[Annotated[int, Field(strict=True, ge=-1, le=1_000_000)], ...] = Field(min_length=1, max_length=5)

    def write(self, into: Text, shape: Shape) -> Shape:
        """A `reshape` that leaves the batch alone."""
        numbers, known = math.prod(shape), math.prod(size for size in self.sizes if size != -1)
        open_sizes = self.sizes.count(-1)
        if open_sizes > 1 or known == 0 or numbers % known or (not open_sizes and known != numbers):
            raise Misfit(
                f"cannot make {said(self.sizes)} of {said(shape)}, which has {numbers} numbers.", "At most one may be -1."
            )
        sizes = tuple(numbers // known if size == -1 else size for size in self.sizes)
        into.line(f"x = x.reshape(x.shape[0], {', '.join(map(str, sizes))})")
        return sizes


class Permute(Layer):
    """Axes in another order, counted from 0 without the batch: `(1, 0)` makes steps of a length and features of channels."""

    order: tuple[Natural, ...]

    def write(self, into: Text, shape: Shape) -> Shape:
        """A `permute` that leaves the batch alone."""
        if sorted(self.order) != list(range(len(shape))):
            raise Misfit(f"has the order {said(self.order)} for {said(shape)}.", f"Name each of 0 to {len(shape) - 1} once.")
        into.line(f"x = x.permute(0, {', '.join(str(axis + 1) for axis in self.order)})")
        return tuple(shape[axis] for axis in self.order)


class Identity(Layer):
    """Nothing: for one branch of several."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """No line."""
        return shape


# Convolutions


class _Conv(Layer):
    axes: ClassVar[int]

    kernel_size: Many = 3
    stride: Many = 1
    padding: Paddings | Literal["same", "valid"] = "same"
    """`same` keeps sizes, or divides them by the stride; `valid` is none."""
    dilation: Many = 1
    bias: Flag = True

    def _write(self, into: Text, shape: Shape, out: int, groups: int, stem: str = "conv") -> Shape:
        channels, space = channels_and_space(shape, self.axes)
        _divides(groups, channels, "channels that come in")
        _divides(groups, out, "channels that go out")
        kernel, stride, dilation = (each(getattr(self, name), self.axes, name) for name in ("kernel_size", "stride", "dilation"))
        padding: Shape | Literal["same"]
        if self.padding == "same":
            # Only PyTorch's own word pads one side more than the other, as even widths need; it takes no stride.
            uneven = any(gap * (width - 1) % 2 for width, gap in zip(kernel, dilation, strict=True))
            padding = "same" if uneven and set(stride) == {1} else keeping(kernel, dilation)
        else:
            padding = each(0 if self.padding == "valid" else self.padding, self.axes, "padding")
        options = _options(
            stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1), groups=(groups, 1), bias=(self.bias, True)
        )
        width = kernel[0] if len(set(kernel)) == 1 else kernel
        into.apply(stem, Call(f"nn.Conv{self.axes}d", channels, out, width, **options))
        return (out, *(space if padding == "same" else window(space, kernel, stride, padding, dilation)))


class _FullConv(_Conv):
    out_channels: Positive
    groups: Positive = 1

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Conv1d`, `nn.Conv2d`, `nn.Conv3d`."""
        return self._write(into, shape, self.out_channels, self.groups)


class Conv1d(_FullConv):
    """Convolution over `(channels, length)`."""

    axes: ClassVar[int] = 1


class Conv2d(_FullConv):
    """Convolution over `(channels, height, width)`."""

    axes: ClassVar[int] = 2


class Conv3d(_FullConv):
    """Convolution over `(channels, depth, height, width)`."""

    axes: ClassVar[int] = 3


class DepthwiseConv2d(_Conv):
    """A convolution of each channel by itself, `multiplier` channels of each."""

    axes: ClassVar[int] = 2
    multiplier: Positive = 1

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Conv2d` with as many groups as channels."""
        channels, _ = channels_and_space(shape, self.axes)
        return self._write(into, shape, channels * self.multiplier, channels, "depthwise")


class SeparableConv2d(_Conv):
    """A convolution of each channel by itself, then one of width 1 that mixes them."""

    axes: ClassVar[int] = 2
    out_channels: Positive

    def write(self, into: Text, shape: Shape) -> Shape:
        """Two of `nn.Conv2d`."""
        channels, _ = channels_and_space(shape, self.axes)
        found = self._write(into, shape, channels, channels, "depthwise")
        into.apply("pointwise", Call("nn.Conv2d", channels, self.out_channels, 1, **_options(bias=(self.bias, True))))
        return (self.out_channels, *found[1:])


class _ConvTranspose(Layer):
    axes: ClassVar[int]

    out_channels: Positive
    kernel_size: Many = 2
    stride: Many = 2
    padding: Paddings | None = None
    """None: sizes are multiplied by the stride."""
    bias: Flag = True

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.ConvTranspose1d`, `nn.ConvTranspose2d`."""
        channels, space = channels_and_space(shape, self.axes)
        kernel, stride = each(self.kernel_size, self.axes, "kernel_size"), each(self.stride, self.axes, "stride")
        more = (0,) * self.axes
        if self.padding is None:
            more = tuple(max(step - width, (width - step) % 2) for width, step in zip(kernel, stride, strict=True))
            if any(extra and step == 1 for extra, step in zip(more, stride, strict=True)):
                raise Misfit(
                    "cannot keep sizes with an even kernel and stride 1.", "Take an odd kernel_size, or say the padding."
                )
            padding = tuple(max(0, width - step + extra) // 2 for width, step, extra in zip(kernel, stride, more, strict=True))
        else:
            padding = each(self.padding, self.axes, "padding")
        sizes = tuple(
            (size - 1) * step - 2 * pad + width + extra
            for size, step, pad, width, extra in zip(space, stride, padding, kernel, more, strict=True)
        )
        if min(sizes) < 1:
            raise Misfit(f"gives sizes {said(sizes)}.", "Take less padding.")
        options = _options(stride=(stride, 1), padding=(padding, 0), output_padding=(more, 0), bias=(self.bias, True))
        width = kernel[0] if len(set(kernel)) == 1 else kernel
        into.apply("up", Call(f"nn.ConvTranspose{self.axes}d", channels, self.out_channels, width, **options))
        return (self.out_channels, *sizes)


class ConvTranspose1d(_ConvTranspose):
    """The way back of a convolution, over `(channels, length)`: lengths are multiplied by the stride."""

    axes: ClassVar[int] = 1


class ConvTranspose2d(_ConvTranspose):
    """The way back of a convolution, over images: sizes are multiplied by the stride."""

    axes: ClassVar[int] = 2


# Other sizes


class _Pool(Layer):
    axes: ClassVar[int]
    call: ClassVar[str]

    kernel_size: Many = 2
    stride: Many | None = None
    """None: as the kernel."""
    padding: Paddings = 0

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.MaxPool1d` and its like."""
        channels, space = channels_and_space(shape, self.axes)
        kernel, padding = each(self.kernel_size, self.axes, "kernel_size"), each(self.padding, self.axes, "padding")
        stride = kernel if self.stride is None else each(self.stride, self.axes, "stride")
        if any(2 * pad > width for pad, width in zip(padding, kernel, strict=True)):
            raise Misfit(f"has padding {said(padding)} for a kernel of {said(kernel)}.", "Take at most half of the kernel.")
        width = kernel[0] if len(set(kernel)) == 1 else kernel
        steps = stride[0] if len(set(stride)) == 1 else stride
        into.apply("pool", Call(self.call, width, **_options(stride=(steps, width), padding=(padding, 0))))
        return (channels, *window(space, kernel, stride, padding, (1,) * self.axes))


class MaxPool1d(_Pool):
    """The largest of each window of `(channels, length)`."""

    axes: ClassVar[int] = 1
    call: ClassVar[str] = "nn.MaxPool1d"


class MaxPool2d(_Pool):
    """The largest of each window of an image."""

    axes: ClassVar[int] = 2
    call: ClassVar[str] = "nn.MaxPool2d"


class MaxPool3d(_Pool):
    """The largest of each window of a volume."""

    axes: ClassVar[int] = 3
    call: ClassVar[str] = "nn.MaxPool3d"


class AvgPool1d(_Pool):
    """The mean of each window of `(channels, length)`."""

    axes: ClassVar[int] = 1
    call: ClassVar[str] = "nn.AvgPool1d"


class AvgPool2d(_Pool):
    """The mean of each window of an image."""

    axes: ClassVar[int] = 2
    call: ClassVar[str] = "nn.AvgPool2d"


class AvgPool3d(_Pool):
    """The mean of each window of a volume."""

    axes: ClassVar[int] = 3
    call: ClassVar[str] = "nn.AvgPool3d"


class _AdaptivePool(Layer):
    axes: ClassVar[int]
    call: ClassVar[str]

    output_size: Many

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.AdaptiveAvgPool1d` and its like."""
        channels, _ = channels_and_space(shape, self.axes)
        sizes = each(self.output_size, self.axes, "output_size")
        into.apply("pool", Call(self.call, sizes[0] if len(set(sizes)) == 1 else sizes))
        return (channels, *sizes)


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means, as many as are asked for, of `(channels, length)`."""

    axes: ClassVar[int] = 1
    call: ClassVar[str] = "nn.AdaptiveAvgPool1d"


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of an image, as many as are asked for."""

    axes: ClassVar[int] = 2
    call: ClassVar[str] = "nn.AdaptiveAvgPool2d"


class AdaptiveMaxPool1d(_AdaptivePool):
    """Largest values, as many as are asked for, of `(channels, length)`."""

    axes: ClassVar[int] = 1
    call: ClassVar[str] = "nn.AdaptiveMaxPool1d"


class AdaptiveMaxPool2d(_AdaptivePool):
    """Largest values of an image, as many as are asked for."""

    axes: ClassVar[int] = 2
    call: ClassVar[str] = "nn.AdaptiveMaxPool2d"


class _GlobalPool(Layer):
    method: ClassVar[str]

    def write(self, into: Text, shape: Shape) -> Shape:
        """One number for each channel."""
        if len(shape) < 2:
            raise Misfit(f"takes channels and at least one more axis, not {said(shape)}.", "Leave it out.")
        axes = tuple(range(2, len(shape) + 1))
        into.line(f"x = x.{self.method}(dim={axes if len(axes) > 1 else axes[0]})")
        return (shape[0],)


class GlobalAvgPool(_GlobalPool):
    """The mean of each channel; for sequences take PoolSteps."""

    method: ClassVar[str] = "mean"


class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel; for sequences take PoolSteps."""

    method: ClassVar[str] = "amax"


class ZeroPad2d(Layer):
    """Zeros around an image: one number, or those on the left, right, top and bottom."""

    padding: Paddings

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.ZeroPad2d`."""
        channels, (height, width) = channels_and_space(shape, 2)
        left, right, top, bottom = each(self.padding, 4, "padding")
        into.apply("pad", Call("nn.ZeroPad2d", self.padding))
        return (channels, height + top + bottom, width + left + right)


class Upsample(Layer):
    """Each pixel, or each place of a length, `scale_factor` times as large."""

    scale_factor: Positive = 2
    mode: Literal["nearest", "bilinear"] = "nearest"

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Upsample`."""
        if not 2 <= len(shape) <= 4 or (self.mode == "bilinear" and len(shape) != 3):
            raise Misfit(f"cannot take {said(shape)} with mode {self.mode}.", "Only images have the mode bilinear.")
        into.apply("up", Call("nn.Upsample", scale_factor=self.scale_factor, **_options(mode=(self.mode, "nearest"))))
        return (shape[0], *(size * self.scale_factor for size in shape[1:]))


class PixelShuffle(Layer):
    """Channels become pixels: `upscale_factor` times the height and width, of its square times the channels."""

    upscale_factor: Positive = 2

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.PixelShuffle`."""
        channels, (height, width) = channels_and_space(shape, 2)
        factor = self.upscale_factor
        _divides(factor * factor, channels, "channels")
        into.apply("shuffle", Call("nn.PixelShuffle", factor))
        return (channels // factor**2, height * factor, width * factor)


# Norms and noise


class _BatchNorm(Layer):
    axes: ClassVar[int]

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.BatchNorm1d` and its like."""
        if self.axes > 1 or len(shape) > 2:
            channels_and_space(shape, self.axes)
        into.apply("norm", Call(f"nn.BatchNorm{self.axes}d", shape[0]))
        return shape


class BatchNorm1d(_BatchNorm):
    """Norm of `(features,)` or `(channels, length)` by the statistics of the batch."""

    axes: ClassVar[int] = 1


class BatchNorm2d(_BatchNorm):
    """Norm of an image's channels by the statistics of the batch."""

    axes: ClassVar[int] = 2


class BatchNorm3d(_BatchNorm):
    """Norm of a volume's channels by the statistics of the batch."""

    axes: ClassVar[int] = 3


class _InstanceNorm(Layer):
    axes: ClassVar[int]
    affine: Flag = False

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.InstanceNorm1d`, `nn.InstanceNorm2d`."""
        channels, space = channels_and_space(shape, self.axes)
        if math.prod(space) == 1:
            raise Misfit(f"needs more than one place in each channel, not {said(shape)}.", "Take LayerNorm or GroupNorm.")
        into.apply("norm", Call(f"nn.InstanceNorm{self.axes}d", channels, **_options(affine=(self.affine, False))))
        return shape


class InstanceNorm1d(_InstanceNorm):
    """Norm of each channel of `(channels, length)` by itself."""

    axes: ClassVar[int] = 1


class InstanceNorm2d(_InstanceNorm):
    """Norm of each channel of an image by itself."""

    axes: ClassVar[int] = 2


class GroupNorm(Layer):
    """Norm of groups of channels."""

    num_groups: Positive = 8

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.GroupNorm`."""
        _divides(self.num_groups, shape[0], "channels")
        if math.prod(shape) == self.num_groups:
            raise Misfit(f"has one number in each of {self.num_groups} groups of {said(shape)}.", "Take fewer groups.")
        into.apply("norm", Call("nn.GroupNorm", self.num_groups, shape[0]))
        return shape


class LayerNorm(Layer):
    """Norm over the features of a row or of each step; over all numbers of an image."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.LayerNorm`."""
        into.apply("norm", Call("nn.LayerNorm", _normed(shape)))
        return shape


class RMSNorm(Layer):
    """As LayerNorm, by the root of the mean square alone."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.RMSNorm`."""
        into.apply("norm", Call("nn.RMSNorm", _normed(shape)))
        return shape


def _normed(shape: Shape) -> int | Shape:
    return shape if len(shape) > 2 else shape[-1]


class LocalResponseNorm(Layer):
    """Norm by the neighbouring channels."""

    size: Positive = 5

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.LocalResponseNorm`."""
        if len(shape) < 2:
            raise Misfit(f"takes channels and at least one more axis, not {said(shape)}.", "Take LayerNorm.")
        into.apply("norm", Call("nn.LocalResponseNorm", self.size))
        return shape


class Dropout(Layer):
    """Zeros in place of a share of all numbers, while it learns."""

    p: Share = 0.5

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Dropout`."""
        into.apply("drop", Call("nn.Dropout", self.p))
        return shape


class AlphaDropout(Layer):
    """Dropout that keeps mean and variance, for SELU."""

    p: Share = 0.5

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.AlphaDropout`."""
        into.apply("drop", Call("nn.AlphaDropout", self.p))
        return shape


class Dropout2d(Layer):
    """Zeros in place of a share of an image's channels, while it learns."""

    p: Share = 0.5

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Dropout2d`."""
        channels_and_space(shape, 2)
        into.apply("drop", Call("nn.Dropout2d", self.p))
        return shape


# Functions of single numbers


class _Activation(Layer):
    def write(self, into: Text, shape: Shape) -> Shape:
        """The module of that name."""
        into.apply("act", Call(f"nn.{type(self).__name__}", **self._parameters()))
        return shape

    def _parameters(self) -> dict[str, object]:
        return {name: value for name, value in self if value != type(self).model_fields[name].default}


class ReLU(_Activation):
    """max(0, x)."""


class ReLU6(_Activation):
    """min(max(0, x), 6)."""


class LeakyReLU(_Activation):
    """x, below zero `negative_slope` times x."""

    negative_slope: Annotated[float, Field(ge=0, le=1)] = 0.01


class PReLU(_Activation):
    """As LeakyReLU with a slope that is learnt."""


class ELU(_Activation):
    """x, below zero `alpha` (exp(x) - 1)."""

    alpha: Annotated[float, Field(gt=0, le=100)] = 1.0


class SELU(_Activation):
    """ELU with the constants that keep mean and variance."""


class GELU(_Activation):
    """x times the share of a normal distribution below x."""


class SiLU(_Activation):
    """x sigmoid(x)."""


class Mish(_Activation):
    """x tanh(softplus(x))."""


class Hardswish(_Activation):
    """SiLU in straight pieces."""


class Hardtanh(_Activation):
    """x between -1 and 1."""


class Tanh(_Activation):
    """Hyperbolic tangent."""


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""


class Softplus(_Activation):
    """log(1 + exp(x))."""


class _OverChannels(Layer):
    def _axis(self, shape: Shape) -> int:
        # Features are last; channels come first where there is an image.
        return 1 if len(shape) > 2 else -1


class Softmax(_OverChannels):
    """Shares that sum to one, over features or channels."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Softmax`."""
        into.apply("act", Call("nn.Softmax", dim=self._axis(shape)))
        return shape


class LogSoftmax(_OverChannels):
    """The logarithm of Softmax."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.LogSoftmax`."""
        into.apply("act", Call("nn.LogSoftmax", dim=self._axis(shape)))
        return shape


class GLU(_OverChannels):
    """Half of the features or channels, each times the sigmoid of one of the other half."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.GLU`."""
        axis = self._axis(shape)
        place = 0 if axis == 1 else len(shape) - 1
        _divides(2, shape[place], "features" if axis == -1 else "channels")
        into.apply("act", Call("nn.GLU", dim=axis))
        return (*shape[:place], shape[place] // 2, *shape[place + 1 :])


# Sequences


class Embedding(Layer):
    """Ids, `(steps,)` -> `(steps, embedding_dim)`. Numbers are rounded towards zero; ids out of range become the nearest."""

    num_embeddings: Positive
    embedding_dim: Positive

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Embedding`."""
        if len(shape) != 1:
            raise Misfit(f"takes ids (steps,), not {said(shape)}.", "Put it first.")
        name = into.module("embedding", Call("nn.Embedding", self.num_embeddings, self.embedding_dim))
        into.line(f"x = {name}(x.long().clamp(0, {self.num_embeddings - 1}))")
        return (*shape, self.embedding_dim)


class PositionEmbedding(Layer):
    """A learnt vector for each step, added to it."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """An `nn.Parameter`."""
        steps, features = steps_and_features(shape)
        name = into.module("positions", Call("nn.Parameter", Call("torch.zeros", steps, features)))
        into.line(f"x = x + {name}")
        return shape


class PatchEmbedding(Layer):
    """A sequence of an image: square patches side by side, each a vector of `embedding_dim` features."""

    patch_size: Positive
    embedding_dim: Positive

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.Conv2d` with a stride as wide as its kernel."""
        channels, (height, width) = channels_and_space(shape, 2)
        _divides(self.patch_size, height, "rows of pixels")
        _divides(self.patch_size, width, "columns of pixels")
        call = Call("nn.Conv2d", channels, self.embedding_dim, self.patch_size, stride=self.patch_size)
        into.line(f"x = {into.module('patches', call)}(x).flatten(2).transpose(1, 2)")
        return (height // self.patch_size * (width // self.patch_size), self.embedding_dim)


class ClassToken(Layer):
    """A learnt step before all others, where PoolSteps can take the first."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """An `nn.Parameter`."""
        steps, features = steps_and_features(shape)
        name = into.module("token", Call("nn.Parameter", Call("torch.zeros", 1, 1, features)))
        into.line(f"x = torch.cat([{name}.expand(x.shape[0], -1, -1), x], dim=1)")
        return (steps + 1, features)


class PoolSteps(Layer):
    """One vector of a sequence: the mean or the largest of its steps, the first, or the last."""

    how: Literal["mean", "max", "first", "last"] = "mean"

    def write(self, into: Text, shape: Shape) -> Shape:
        """A reduction over steps."""
        _, features = steps_and_features(shape)
        took = {"mean": "x.mean(dim=1)", "max": "x.amax(dim=1)", "first": "x[:, 0]", "last": "x[:, -1]"}
        into.line(f"x = {took[self.how]}")
        return (features,)


class _Recurrent(Layer):
    state: ClassVar[str] = "state"

    hidden_size: Positive
    num_layers: Positive = 1
    bidirectional: Flag = False
    dropout: Share = 0.0
    """Between layers."""
    output: Literal["last", "steps"] = "last"
    """The state at the end, or those of all steps."""

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.RNN`, `nn.GRU`, `nn.LSTM`."""
        steps, features = steps_and_features(shape)
        if self.dropout and self.num_layers == 1:
            raise Misfit("has dropout, which acts between layers, and one layer.", "Put a Dropout behind it.")
        options = _options(
            num_layers=(self.num_layers, 1),
            batch_first=(True, False),
            dropout=(self.dropout, 0.0),
            bidirectional=(self.bidirectional, False),
        )
        kind = type(self).__name__
        name = into.module(kind.lower(), Call(f"nn.{kind}", features, self.hidden_size, **options))
        wide = self.hidden_size * (2 if self.bidirectional else 1)
        if self.output == "steps":
            into.line(f"x, _ = {name}(x)")
            return (steps, wide)
        into.line(f"_, {self.state} = {name}(x)")
        # Backwards, the state at the end is that of the first step: the last output has not read anything yet.
        into.line("x = torch.cat([state[-2], state[-1]], dim=1)" if self.bidirectional else "x = state[-1]")
        return (wide,)


class RNN(_Recurrent):
    """Plain recurrent layers."""


class GRU(_Recurrent):
    """Gated recurrent layers."""


class LSTM(_Recurrent):
    """Long short-term memory."""

    state: ClassVar[str] = "(state, _)"


class MultiheadAttention(Layer):
    """Each step looks at all steps."""

    num_heads: Positive = 4
    dropout: Share = 0.0

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.MultiheadAttention` of a sequence with itself."""
        _, features = steps_and_features(shape)
        _divides(self.num_heads, features, "features")
        options = _options(dropout=(self.dropout, 0.0), batch_first=(True, False))
        name = into.module("attention", Call("nn.MultiheadAttention", features, self.num_heads, **options))
        into.line(f"x, _ = {name}(x, x, x, need_weights=False)")
        return shape


class TransformerEncoderLayer(Layer):
    """Attention and two linear layers, each with a norm and a way around it."""

    nhead: Positive = 4
    dim_feedforward: Positive | None = None
    """None: four times the features."""
    dropout: Share = 0.1
    activation: Literal["relu", "gelu"] = "gelu"
    norm_first: Flag = True

    def write(self, into: Text, shape: Shape) -> Shape:
        """`nn.TransformerEncoderLayer`."""
        _, features = steps_and_features(shape)
        _divides(self.nhead, features, "features")
        options = _options(
            dim_feedforward=(self.dim_feedforward or 4 * features, 2048),
            dropout=(self.dropout, 0.1),
            activation=(self.activation, "relu"),
            batch_first=(True, False),
            norm_first=(self.norm_first, False),
        )
        into.apply("encoder", Call("nn.TransformerEncoderLayer", features, self.nhead, **options))
        return shape


# Blocks


class SqueezeExcite(Layer):
    """Channels of an image weighed by their means, after a narrow layer of channels / `reduction`."""

    reduction: Positive = 16

    def write(self, into: Text, shape: Shape) -> Shape:
        """Two of `nn.Conv2d` around a mean."""
        channels, _ = channels_and_space(shape, 2)
        narrow = max(1, channels // self.reduction)
        weigh = Call(
            "nn.Sequential",
            Call("nn.AdaptiveAvgPool2d", 1),
            Call("nn.Conv2d", channels, narrow, 1),
            Call("nn.ReLU"),
            Call("nn.Conv2d", narrow, channels, 1),
            Call("nn.Sigmoid"),
        )
        into.line(f"x = x * {into.module('weigh', weigh)}(x)")
        return shape


class Residual(Layer):
    """Layers and a way around them, added. Where shapes differ, the way around is a convolution of width 1, or a linear layer."""

    layers: LayerList = Field(min_length=1)

    def write(self, into: Text, shape: Shape) -> Shape:
        """The layers, then a sum."""
        around = into.fresh("around")
        into.line(f"{around} = x")
        gives = into.layers(self.layers, shape)
        way = around if gives == shape else f"{into.module('project', _projection(self, shape, gives))}({around})"
        into.line(f"x = x + {way}")
        return gives


def _projection(block: Residual, shape: Shape, gives: Shape) -> Call:
    """What makes one shape of another.

    Raises:
        Misfit: nothing simple does.
    """
    if len(shape) == len(gives):
        if len(shape) == 1 or (len(shape) == 2 and shape[0] == gives[0] and not _over_channels(block.layers)):
            return Call("nn.Linear", shape[-1], gives[-1])
        strides = tuple(-(-size // wanted) for size, wanted in zip(shape[1:], gives[1:], strict=True))
        if gives[1:] == tuple(-(-size // stride) for size, stride in zip(shape[1:], strides, strict=True)):
            return Call(f"nn.Conv{len(strides)}d", shape[0], gives[0], 1, **_options(stride=(strides, 1)))
    raise Misfit(
        f"cannot add {said(shape)} and {said(gives)}, which its layers make of it.",
        "Let them keep the sizes, or divide them by a stride.",
    )


def _over_channels(layers: tuple[Layer, ...]) -> bool:
    """Whether these read two sizes as channels and length, not as steps and features."""
    return any(
        getattr(layer, "axes", 0) == 1
        or _over_channels(getattr(layer, "layers", ()))
        or any(map(_over_channels, getattr(layer, "branches", ())))
        for layer in layers
    )


class Parallel(Layer):
    """Branches that all take the same, joined: channels (or features) side by side, or the sum. An empty branch is the input."""

    branches: Annotated[tuple[LayerList, ...], BeforeValidator(lambda given: branches_of(given, LAYERS))] = Field(
        min_length=2, max_length=16
    )
    merge: Literal["concat", "sum"] = "concat"

    def write(self, into: Text, shape: Shape) -> Shape:
        """Branch after branch, then `torch.cat` or a sum."""
        entry, parts = into.fresh("entry"), into.fresh("parts")
        into.line(f"{entry} = x")
        into.line(f"{parts} = []")
        found = []
        for number, branch in enumerate(self.branches):
            if number:
                into.line(f"x = {entry}")
            found.append(into.layers(branch, shape, f"branches[{number}]"))
            into.line(f"{parts}.append(x)")
        if self.merge == "sum":
            if len(set(found)) > 1:
                raise Misfit(f"cannot add {', '.join(map(said, found))}.", "Let all branches end in the same shape.")
            into.line(f"x = sum({parts})")
            return found[0]
        axis = len(found[0]) - 1 if len(found[0]) == 2 and not any(map(_over_channels, self.branches)) else 0
        if (
            len({(*one[:axis], *one[axis + 1 :]) if len(one) > axis else None for one in found}) > 1
            or len(set(map(len, found))) > 1
        ):
            raise Misfit(f"cannot put {', '.join(map(said, found))} side by side.", "Let branches differ in their channels only.")
        into.line(f"x = torch.cat({parts}, dim={axis + 1})")
        return (*found[0][:axis], sum(one[axis] for one in found), *found[0][axis + 1 :])


class Repeat(Layer):
    """Layers, several times one after another, each time with weights of their own."""

    layers: LayerList = Field(min_length=1)
    times: Positive

    def write(self, into: Text, shape: Shape) -> Shape:
        """All of them."""
        for _ in range(self.times):
            shape = into.layers(self.layers, shape)
        return shape


def _all(kind: type[Layer]) -> list[type[Layer]]:
    below = [found for child in kind.__subclasses__() for found in _all(child)]
    return below if kind.__name__.startswith("_") or kind is Layer else [kind, *below]


LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in _all(Layer)}
"""All types of layers by their names."""
