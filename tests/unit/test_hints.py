"""Hints: the right one for a failure as torch words it, and none that gives a built-in task away."""

from __future__ import annotations

import ast
import re

import pytest

from orchestrator.applications.loss_functions import hints
from orchestrator.applications.loss_functions.hints import hint
from orchestrator.applications.loss_functions.prompts import IDIOMS
from orchestrator.applications.loss_functions.tasks import builtin_tasks

CODE = "def loss(pred, target):\n    return (pred - target).abs().mean()\n"
SUMS = "def loss(pred, target):\n    return ((pred * target).sum() / pred.sum()).mean()\n"
VALUE = "AssertionError: the worked example must be 3, got 7"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("TypeError: max() received an invalid combination of arguments - got (int, Tensor)", "x.clamp(min=0)"),
        ("TypeError: maximum(): argument 'other' (position 2) must be Tensor, not int", "x.clamp(min=0)"),
        ("AttributeError: module 'torch.nn.functional' has no attribute 'log'", "F has no log: "),
        ("Failed: loss(pred, target) returned nan; expected a finite number", "F.logsigmoid"),
        ("Failed: the gradient of pred is inf or nan", "F.logsigmoid"),
        (
            "ValueError: Target size (torch.Size([8])) must be the same as input size (torch.Size([8, 3]))",
            "float tensor of the same",
        ),
        ("RuntimeError: 0D or 1D target tensor expected, multi-target not supported", "long tensor of shape (N,)"),
        ("RuntimeError: 1D tensors expected, but got 2D and 2D tensors", ".flatten(1).sum(1)"),
        ("IndexError: Dimension out of range (expected to be in range of [-1, 0], but got 1)", "no dimension 1"),
        (
            "RuntimeError: The size of tensor a (3) must match the size of tensor b (8) at non-singleton dimension 1",
            ".unsqueeze(1)",
        ),
        (
            "RuntimeError: The size of tensor a (8) must match the size of tensor b (4) at non-singleton dimension 1\n"
            "while calling loss(pred, target) with pred of shape (8, 4), target of shape (8,)",
            "one_hot(target, pred.shape[1])",
        ),
        ("AttributeError: module 'torch.nn.functional' has no attribute 'logsoftmax'", "F.log_softmax(x, dim=1)"),
        ("RuntimeError: Boolean value of Tensor with more than one value is ambiguous", "torch.where(condition, a, b)"),
        ("ValueError: only one element tensors can be converted to Python scalars", "torch.where(condition, a, b)"),
        ("Failed: loss(pred, target) returned a tensor of shape (8,); expected a scalar", "end with .mean() or .sum()"),
        ("Failed: loss gave [-0.1, -2]; expected them to rise, so the sign is the wrong way round", "return the negative"),
    ],
)
def test_a_failure_has_its_remedy(message: str, remedy: str) -> None:
    assert remedy in hint(message, CODE)


@pytest.mark.parametrize(
    "message", ["NameError: name 'targets' is not defined", "ModuleNotFoundError: No module named 'foo'", ""]
)
def test_what_says_all_itself_gets_no_hint(message: str) -> None:
    assert hint(message, SUMS) == ""


def test_a_wrong_value_gets_a_hint_only_where_the_code_sums_over_everything() -> None:
    assert "without dim go over the whole batch" in hint(VALUE, SUMS)
    assert "without dim go over the whole batch" in hint(VALUE, "import torch\ny = torch.sum(x)\n")
    for code in (CODE, "y = x.sum(1)\n", "y = x.sum(dim=1)\n", "import torch\ny = torch.sum(x, 1)\n", "not python (", ""):
        assert hint(VALUE, code) == ""


def test_there_is_one_hint_at_a_time() -> None:
    both = "Failed: loss(pred, target) returned nan\nRuntimeError: 1D tensors expected"
    assert hint(both, SUMS) == hint(both.splitlines()[0], SUMS)


@pytest.mark.parametrize("name", sorted(builtin_tasks()))
def test_no_hint_gives_a_builtin_task_away(name: str) -> None:
    task = builtin_tasks()[name]
    advice = "\n".join([*(text for _, text in hints._BY_MESSAGE), hint(VALUE, SUMS), IDIOMS])
    expressions = {
        ast.unparse(node.value)
        for node in ast.walk(ast.parse(task.reference))
        if isinstance(node, ast.Assign | ast.Return) and node.value is not None
    }
    plain = re.sub(r"\s+", "", advice)
    secrets = [re.sub(r"\s+", "", expression) for expression in expressions if len(expression) > 12]
    assert secrets
    assert not [secret for secret in secrets if secret in plain]
