"""What usually helps against a failure in PyTorch: one sentence for each of the commonest, and for limits.

Small models recognise a failure and still cannot think of the remedy; given the remedy, they apply it. A hint follows from the
message and the code alone, never from the task, and it is added to feedback that is visible anyway.

Left out: anything that a single task would want to hear.
"""

from __future__ import annotations

import ast
import re

from orchestrator.jobs.classification import Advice
from orchestrator.sources import parse
from orchestrator.types import Status

_BY_MESSAGE: tuple[tuple[str, str], ...] = (
    (
        r"(?:max|min|maximum|minimum)\(\)(?::| received)",
        "torch.max and torch.maximum take no plain numbers: write x.clamp(min=0) for max(0, x), x.clamp(max=1) for min(1, x).",
    ),
    (r"has no attribute 'logsoftmax'", "it is F.log_softmax(x, dim=1)."),
    (
        r"torch\.nn\.functional' has no attribute '(\w+)'",
        "F has no {0}: plain mathematics is in torch (torch.log, torch.exp, torch.where), stable logarithms are F.logsigmoid(x) "
        "and F.log_softmax(x, dim=1).",
    ),
    (
        r"returned (?:-?inf|nan)|is inf or nan",
        "never take torch.log of a sigmoid or softmax: log(sigmoid(x)) is F.logsigmoid(x), log(1 - sigmoid(x)) is "
        "F.logsigmoid(-x), log(softmax(x)) is F.log_softmax(x, dim=1).",
    ),
    (
        r"must be the same as input size|0D or 1D target|multi-target not supported|expected scalar type|class probabilities",
        "the target of F.cross_entropy is a long tensor of shape (N,); that of F.binary_cross_entropy_with_logits is a float "
        "tensor of the same shape as the logits.",
    ),
    (
        r"1D tensors expected",
        "torch.dot is for single vectors: for a batch, write (a * b).flatten(1).sum(1).",
    ),
    (
        r"Dimension out of range",
        "a tensor of shape (N,) has no dimension 1: leave .flatten(1), .sum(1) and dim=1 out, and end with .mean().",
    ),
    (
        r"(?s)(?:must match the size of tensor b|broadcast|shape mismatch).*of shape \((\d+), \d+\), \w+ of shape \(\1,\)",
        "each target is the number of a class: torch.nn.functional.one_hot(target, pred.shape[1]) has the shape of pred, and "
        "pred.gather(1, target.unsqueeze(1)) takes what belongs to each target.",
    ),
    (
        r"must match the size of tensor b|broadcast|shape mismatch",
        "the two tensors have different shapes: choose per element with torch.where(condition, a, b), not by indexing with a "
        "mask, and add a missing dimension with .unsqueeze(1).",
    ),
    (
        r"only one element tensors can be converted|Boolean value of Tensor",
        "a tensor is no condition for if: choose per element with torch.where(condition, a, b).",
    ),
    (r"the sign is the wrong way round", "the sign is the wrong way round: return the negative of this value, -(...).mean()."),
    (r"returned a tensor of shape", "end with .mean() or .sum() over everything."),
)


def hint(message: str, code: str) -> str:
    """A sentence that usually helps against this failure of this code, or nothing."""
    for pattern, text in _BY_MESSAGE:
        match = re.search(pattern, message)
        if match:
            return text.format(*match.groups())
    if "must be" in message and _means_a_number(code):
        return (
            ".sum() and .mean() without dim go over the whole batch, and the mean of that does nothing: where something "
            "is meant for each sample, sum with x.flatten(1).sum(1) and take the mean last."
        )
    return ""


def _means_a_number(code: str) -> bool:
    """Does the code sum over everything, without a dimension?"""
    try:
        tree = parse(code)
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sum" and not node.keywords:
            of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
            if len(node.args) == int(of_torch):
                return True
    return False


_NO_LOOPS = "Use tensor operations instead of loops, and end every loop."

ADVICE = Advice(
    hint=hint,
    on_limits={
        Status.TIMED_OUT_WALL: _NO_LOOPS,
        Status.TIMED_OUT_CPU: _NO_LOOPS,
        Status.MEMORY_EXCEEDED: "Do not build tensors that are larger than the inputs need.",
    },
)
