"""Leaf tensors with gradients of the tests' own: what the candidate does to them, and what it gains by that."""

from __future__ import annotations

import pytest

CODE = """
import torch
class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr): super().__init__(params, dict(lr=lr))
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None: p.add_(p.grad, alpha=-group["lr"])
class Momentum:
    def __init__(self, params, lr=0.1, beta=0.5):
        self.params, self.lr, self.beta = list(params), lr, beta
        self.kept = [torch.zeros_like(p) for p in self.params]
    def step(self):
        for p, m in zip(self.params, self.kept):
            m.mul_(self.beta).add_(p.grad); p.data -= self.lr * m
    def zero_grad(self):
        for p in self.params: p.grad = None
def clip_(params, most):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    if norm > most:
        for p in params: p.grad.mul_(most / norm)
    return norm
def fill_(w):
    with torch.no_grad(): w.fill_(0.5)
class Average:
    def __init__(self, params, decay): self.params, self.decay = list(params), decay; self.shadow = [p.detach().clone() for p in params]
    def update(self):
        for s, p in zip(self.shadow, self.params): s.mul_(self.decay).add_(p.detach(), alpha=1 - self.decay)
def count(params): return sum(p.numel() for p in params if isinstance(p, torch.nn.Parameter))
"""
HONEST = {
    "an optimizer of PyTorch's kind": """
    w = torch.tensor([1.0, 2.0], requires_grad=True); o = SGD([w], lr=0.5)
    (w ** 2).sum().backward(); o.step()
    assert torch.allclose(w, torch.zeros(2))
    o.zero_grad(); assert w.grad is None or w.grad.abs().sum() == 0""",
    "an optimizer with state, in a loop": """
    w = torch.nn.Parameter(torch.tensor([4.0])); o = Momentum([w])
    for _ in range(60):
        o.zero_grad(); loss = ((w - 1) ** 2).sum(); loss.backward(); o.step()
    assert abs(w.item() - 1) < 1e-2 and loss < 1e-2""",
    "gradients that are clipped": """
    w = torch.tensor([3.0, 4.0], requires_grad=True); (w * w / 2).sum().backward()
    assert clip_([w], 1.0).item() == 5 and torch.allclose(w.grad.norm(), torch.tensor(1.0))""",
    "weights that are set": """
    w = torch.empty(2, 2, requires_grad=True)
    fill_(w)
    assert torch.equal(w.detach(), torch.full((2, 2), 0.5))""",
    "an average of what the tests change": """
    w = torch.zeros(2, requires_grad=True); a = Average([w], 0.5)
    with torch.no_grad(): w.add_(1)
    a.update(); assert torch.allclose(a.shadow[0], torch.tensor([0.5, 0.5]))""",
    "parameters": "\n    assert count([torch.nn.Parameter(torch.zeros(3)), torch.zeros(2)]) == 3",
}


def judged(heavy, code, body):
    tests = f"import torch\nfrom candidate import *\ndef test_a():{body}\n"
    return heavy.judge(code, tests)[-1]


@pytest.mark.parametrize("name", HONEST)
def test_leaves_are_changed_as_in_one_interpreter(heavy, name):
    result = judged(heavy, CODE, HONEST[name])
    assert result.accepted, result


def test_a_changed_leaf_rests_on_the_word_of_who_changed_it(heavy):
    result = judged(heavy, CODE, HONEST["gradients that are clipped"])
    assert result.tests["test_a"]["basis"] == "word", result


def test_a_gradient_of_its_own_making_rests_on_its_word(heavy):
    code = "import torch\ndef f(x):\n    x.grad = torch.full_like(x, 2.0)\n    return x.detach().clone().requires_grad_()"
    body = "\n    x = torch.ones(2, requires_grad=True); f(x).sum().backward(); assert x.grad.tolist() == [2, 2]"
    result = judged(heavy, code, body)
    assert not result.accepted or result.tests["test_a"]["basis"] == "word", result


WRONG = {
    "a step the other way": ("alpha=-group", "alpha=group", "an optimizer of PyTorch's kind"),
    "no clipping": ("p.grad.mul_(most / norm)", "pass", "gradients that are clipped"),
    "another value": ("fill_(0.5)", "fill_(0.4)", "weights that are set"),
    "an average that never moves": ("alpha=1 - self.decay", "alpha=1", "an average of what the tests change"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_work_on_leaves_fails(heavy, name):
    old, new, body = WRONG[name]
    assert old in CODE
    assert not judged(heavy, CODE.replace(old, new), HONEST[body]).accepted


HOSTILE = {
    "an argument without gradients is emptied": (
        "def f(x):\n    x.data.zero_()\n    return x * 0",
        "\n    x = torch.ones(2, requires_grad=True); assert torch.equal(f(x), x * 2)",
    ),
    "a module that empties what it is called with": (
        "class Net(torch.nn.Module):\n    def forward(self, x):\n        x.data.zero_(); return x * 1\ndef f(): return Net()",
        "\n    x = torch.ones(2, requires_grad=True); x.sum().backward(); assert torch.equal(f()(x), x * 2)",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_changing_an_argument_gains_nothing(heavy, name):
    code, body = HOSTILE[name]
    assert not judged(heavy, f"import torch\n{code}\n", body).accepted


def test_a_quantized_tensor_is_judged_together(heavy):
    result = judged(
        heavy,
        "def f(x): return x.dequantize()",
        "\n    q = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8); assert torch.allclose(f(q), torch.ones(2))",
    )
    assert "qint8" in result.not_apart, result
