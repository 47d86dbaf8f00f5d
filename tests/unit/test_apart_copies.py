"""What stays a copy on each side whichever way values cross: tensors with gradients, defaults and attributes of functions, loops.

Wrong work that plain pytest refuses, and that each side sees as right on its own copy, is refused, or rests on the candidate's word.
"""

from __future__ import annotations

import textwrap

import pytest
from apart_harness import Apart, Result

CODE = "import numpy as np\nimport torch\nfrom torch import nn\n"
TESTS = "from collections import deque\nimport numpy as np\nimport torch\nfrom torch import nn\nfrom candidate import *\n"


def judged(apart: Apart, code: str, test: str) -> list[Result]:
    return apart.judge(CODE + code, f"{TESTS}def test_a():\n{textwrap.indent(test, '    ')}\n")


W = "w = torch.ones(2, requires_grad=True)\n"
HIDDEN = {
    "data of what was computed": (
        "def f(h): h.data.zero_(); return 1",
        W + "h = w * 2\nassert f(h) == 1\nassert h.tolist() == [2, 2]",
    ),
    "of what was kept": (
        "kept = []\ndef f(h): kept.append(h); return 1\ndef g(): kept[0].data.zero_(); return 2",
        W + "h = w * 2\nassert f(h) == 1\nassert g() == 2\nassert h.tolist() == [2, 2]",
    ),
    "a state that is handed out at each step": (
        "class Cell:\n    def __init__(self): self.h = nn.Parameter(torch.ones(1)) * 0\n"
        "    def step(self): self.h.data += 1; return self.h",
        "cell = Cell()\nouts = [cell.step() for _ in range(3)]\nassert [out.item() for out in outs] == [1, 2, 3]",
    ),
    "one tensor twice": (
        "v = nn.Parameter(torch.ones(2)) * 2\ndef f(): return [v, v]",
        "a, b = f()\na.data.zero_()\nassert b.tolist() == [2, 2]",
    ),
    "one tensor in two answers": (
        "v = nn.Parameter(torch.ones(2)) * 2\ndef f(): return v",
        "a, b = f(), f()\na.data.zero_()\nassert b.tolist() == [2, 2]",
    ),
    "a view of a parameter": (
        "class N:\n    def __init__(self): self.w = nn.Parameter(torch.ones(2))\n    def v(self): return self.w.view(2)",
        "n = N()\nv = n.v()\nn.w.data.zero_()\nassert v.tolist() == [1, 1]",
    ),
    "the leaf itself": ("def f(w): return w", W + "assert f(w) is not w"),
    "what was computed itself": ("def f(h): return h", W + "h = w * 1\nassert f(h) is not h"),
    "the leaf itself, changed later": ("def f(w): return w", W + "r = f(w)\nw.data.zero_()\nassert r.tolist() == [1, 1]"),
    "a large leaf": (
        "def f(p): p.data.zero_(); return 1",
        "p = torch.ones(1025, 1024, requires_grad=True)\nassert f(p) == 1\nassert p[0, 0].item() == 1",
    ),
    "the first of many leaves": (
        "def f(ps): ps[0].data.zero_(); return 1",
        "ps = [torch.ones(1, requires_grad=True) for _ in range(130)]\nassert f(ps) == 1\nassert ps[0].item() == 1",
    ),
    "backward": ("def f(x): x.backward(); return float(x)", W + "assert f((w * 2).sum()) == 4\nassert w.grad is None"),
    "a wish for gradients": (
        "def f(w): w.requires_grad_(False); return float(w.sum())",
        W + "assert f(w) == 2\nassert w.requires_grad",
    ),
    "a hook": (
        "def f(w): w.register_hook(lambda g: g * 0); return float(w.sum())",
        W + "assert f(w) == 2\n(w * 3).sum().backward()\nassert w.grad.tolist() == [3, 3]",
    ),
    "the type of an array": (
        "def f(x): x.dtype = np.int64; return 1",
        "x = np.ones(3)\nassert f(x) == 1\nassert x.dtype == float",
    ),
    "the size of a view": ("def f(x): x.resize(5, refcheck=False); return 1", "y = np.zeros(6)\nx = y[:3]\nassert f(x) == 1"),
    "a deque in a loop": (
        "def f(d): d.append(d.popleft()); return len(d)",
        "d = deque([1, 2, 3])\nfor _ in d:\n    assert f(d) == 3",
    ),
    "keys in a loop": (
        "def f(d, k): d[k.upper()] = d.pop(k); return len(d)",
        "d = {'a': 1, 'b': 2}\nfor k in d:\n    assert f(d, k) == 2",
    ),
    "a default, through the function": (
        "def f(g): g.__defaults__[0].append(1); return 1",
        "def log(n, seen=[]): return list(seen)\nassert f(log) == 1\nassert log(3) == []",
    ),
    "an attribute of a function": (
        "def f(g): g.tags.append('x'); return 1",
        "def g(): pass\ng.tags = []\nassert f(g) == 1\nassert g.tags == []",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_change_that_copies_hide_rests_on_the_word_at_best(heavy, name):
    runs = judged(heavy, *HIDDEN[name])
    accepted = all(run.accepted for run in runs)
    assert not accepted or "word" in {run.tests["test_a"]["basis"] for run in runs}, runs


DEFAULTS = {
    "a list": ("seen=[]", "seen.append(n)\n    return list(seen)", "[1, 2, 3]", "[3]"),
    "a dictionary": ("seen={}", "seen[n] = n\n    return dict(seen)", "{1: 1, 2: 2, 3: 3}", "{3: 3}"),
    "by keyword": ("*, seen=[]", "seen.append(n)\n    return list(seen)", "[1, 2, 3]", "[3]"),
    "behind another": ("k=2, seen=[]", "seen.append(n)\n    return list(seen)", "[1, 2, 3]", "[3]"),
    "an array": ("seen=np.zeros(4)", "seen[n] = n\n    return seen.tolist()", "[0, 1, 2, 3]", "[0, 0, 0, 3]"),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_of_the_tests_functions_are_theirs(heavy, name):
    parameters, body, right, wrong = DEFAULTS[name]
    test = f"def log(n, {parameters}):\n    {body}\nassert f(log) == 1\nassert log(3) == "
    code = "def f(g):\n    g(1)\n    g(2)\n    return 1"
    assert judged(heavy, code, test + right)[-1].accepted
    assert not judged(heavy, code, test + wrong)[-1].accepted


@pytest.mark.parametrize(
    ("parameters", "call", "got"),
    [
        ("x, k=2, *, m=3", "g(1)", "(1, 2, 3)"),
        ("x, k=2, *, m=3", "g(1, m=5)", "(1, 2, 5)"),
        ("x, k=2, m=3", "g(1, m=5)", "(1, 2, 5)"),
        ("x, k=2, m=3", "g(1, 2, 5)", "(1, 2, 5)"),
        ("x, k=2, m=3, /", "g(1, 2, 5)", "(1, 2, 5)"),
        ("x, k=2, m=3, /", "g(1, 4)", "(1, 4, 3)"),
        ("x, k=2, /, m=3", "g(1, m=5)", "(1, 2, 5)"),
        ("x, k=2, *m", "g(1, 2, 5, 6)", "(1, 2, (5, 6))"),
        ("x, k=2, *m", "g(1)", "(1, 2, ())"),
        ("x, k=2, **m", "g(1, y=4)", "(1, 2, {'y': 4})"),
        ("x=1, k=2, *, m=3", "g(k=7)", "(1, 7, 3)"),
    ],
)
def test_parameters_with_defaults_get_what_was_passed(bare, parameters, call, got):
    tests = f"from candidate import f\ndef test_a():\n    def g({parameters}): return x, k, m\n    assert f(g) == {got}\n"
    result = bare.run(f"def f(g): return {call}", tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"


HONEST = {
    "a loss, twice": (
        "def loss(p, t): return ((p - t) ** 2).mean()",
        W + "h = w * 2\nx = loss(h, torch.zeros(2))\nx.backward()\nassert x.item() == 4\nassert w.grad.tolist() == [4, 4]\n"
        "assert loss(h, torch.zeros(2)).item() == 4",
    ),
    "a gradient that is kept": (
        "def loss(p, t): return ((p - t) ** 2).mean()",
        W + "h = w * 2\nh.retain_grad()\nloss(h, torch.zeros(2)).backward()\nassert h.grad.tolist() == [2, 2]\n"
        "assert loss(h, torch.zeros(2) + 2).item() == 0",
    ),
    "a conjugate that nobody has worked out": (
        "def f(x): return (x * 1j).conj()",
        "w = torch.ones(2, dtype=torch.complex64, requires_grad=True)\nx = (w * 1j).conj()\n"
        "assert f(x).abs().sum().item() == 2\nassert f(x).abs().sum().item() == 2",
    ),
    "a sparse answer": (
        "def f(x): return x.to_sparse()",
        W + "assert f(w * 1).to_dense().tolist() == [1, 1]\nassert f(w * 2).to_dense().tolist() == [2, 2]",
    ),
    "many losses that are kept": (
        "def loss(p, t): return ((p - t) ** 2).mean()",
        W
        + "kept = [loss(w * i, torch.zeros(2)) for i in range(150)]\nassert [one.item() for one in kept] == [i * i for i in range(150)]",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_gradients_that_nobody_changes_rest_on_data(heavy, name):
    (run,) = judged(heavy, *HONEST[name])
    assert run.accepted, run
    assert run.tests["test_a"]["basis"] == "data"
