"""Gradients across the boundary: the graph stays at the candidate's, and backward asks for what it gives.

Left out: tensors themselves, which are values.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from .exceptions import mark

if TYPE_CHECKING:
    from .link import Link


MAX_LEAVES = 128
"""Leaves of the tests' own that both sides keep alike: more than the parameters of what tests make by hand."""
MAX_LEAF = 4 << 20
"""Bytes of one of them."""


class Mirror:
    """A leaf that asks for gradients and that both sides have: a parameter of the candidate's, or a leaf of the tests' own."""

    def __init__(self, number: int, tensor: Any) -> None:
        self.number, self.tensor = number, tensor
        self.set = False
        """Whether the tests gave it the value that it has."""
        self.note()

    def note(self) -> None:
        """Remember how both sides know it now."""
        self.marks = marks(self.tensor)
        self.data = self.tensor.detach().clone()
        self.grad = None if self.tensor.grad is None else self.tensor.grad.detach().clone()

    def changed(self) -> bool:
        """Whether it was changed here since."""
        return not (same_tensor(self.tensor.detach(), self.data) and same_tensor(self.tensor.grad, self.grad))

    def marked(self) -> bool:
        """Whether anything was done here since to how it takes part in gradients, which crosses in no way."""
        return self.marks != marks(self.tensor)


def marks(tensor: Any) -> tuple[bool, bool, int]:
    """How a tensor takes part in gradients: whether it asks for them, keeps them, and how many hooks it has."""
    hooks = [getattr(tensor, name, None) for name in ("_backward_hooks", "_post_accumulate_grad_hooks")]
    return tensor.requires_grad, tensor.retains_grad, sum(len(found) for found in hooks if found)


def same_tensor(one: Any, other: Any) -> bool:
    """Whether two tensors, either of which may be missing, are alike in type, shape and values."""
    if one is None or other is None:
        return one is other
    return same_kind(one, other) and bool(sys.modules["torch"].equal(one, other))


def set_leaf(tensor: Any, data: Any, grad: Any) -> None:
    """Give a leaf another value and another gradient, in place where it can be."""
    if same_kind(tensor, data):
        tensor.data.copy_(data)
    else:
        tensor.data = data
    if grad is not None and tensor.grad is not None and same_kind(tensor.grad, grad):
        tensor.grad.data.copy_(grad)
    else:
        tensor.grad = grad


def same_kind(one: Any, other: Any) -> bool:
    """Whether one tensor can take the values of another."""
    return bool(one.dtype == other.dtype and one.shape == other.shape)


class Graph:
    """A graph that the candidate's side keeps for us."""

    def __init__(self, link: Link, number: int, inputs: int) -> None:
        self.link, self.number, self.inputs = link, number, inputs

    def __del__(self) -> None:
        self.link.drop.add(-self.number)


@functools.cache
def autograd_function() -> Any:
    """The one autograd function: forward is what the candidate computed, backward asks it for gradients."""
    import torch

    class Apart(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, graph: Graph, outputs: list[Any], *inputs: Any) -> Any:
            ctx.graph = graph
            return tuple(outputs)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            graph = ctx.graph
            # Grad mode is on in here only where the gradients are to be differentiated again.
            found = graph.link.ask("grad", graph.number, list(grads), torch.is_grad_enabled())
            if type(found) is not list or len(found) != graph.inputs:
                raise mark(RuntimeError("the candidate's gradients are of another number than its inputs"))
            if not all(grad is None or isinstance(grad, torch.Tensor) for grad in found):
                raise mark(RuntimeError("the candidate's gradients are no tensors"))
            return (None, None, *found)

    return Apart
