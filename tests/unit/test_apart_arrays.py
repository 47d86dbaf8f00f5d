"""Judging apart with NumPy arrays and torch tensors, with gradients through the boundary."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the boundary's gradients need torch")


LOSS = "import torch\ndef loss(p, t, scale=1.0):\n    return ((p - t) ** 2).mean() * scale\n"
NET = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.fc = nn.Linear(n, 2)
        self.drop = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x): return self.drop(self.fc(x)) * self.scale
def train(net, x, y, steps):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses
"""
RIGHT = {
    "arrays": (
        "import numpy as np\ndef same(x): return x\ndef twice(x): return x * 2\ndef stats(x): return {'mean': x.mean(), 'max': x.max(), 'arg': x.argmax()}",
        """
import numpy as np
from candidate import same, twice, stats
def test_a():
    for x in (np.arange(6).reshape(2, 3), np.array(3.5), np.zeros((0, 4)), np.array([True, False]), np.array(["a", "bc"]), np.array([b"x"]), np.arange(3, dtype=">i2"),
              np.array(["2020-01-01"], dtype="M8[D]"), np.array([1 + 2j]), np.float32(1.5), np.int8(-3), np.array([np.nan, np.inf]), np.asfortranarray(np.eye(3))[:, ::2], np.timedelta64(3, "s"), np.dtype("f4"), np.float16):
        back = same(x)
        assert type(back) is type(x)
        if isinstance(x, np.ndarray):
            assert back.dtype == x.dtype and back.shape == x.shape
            np.testing.assert_array_equal(back, x)
        else:
            assert back == x
    x = np.ones(3)
    assert (twice(x) == [2, 2, 2]).all() and (x == 1).all()
    assert stats(np.array([1.0, 4.0]))["mean"] == 2.5 and isinstance(stats(np.arange(3))["arg"], np.integer)
    class Mine(np.ndarray):
        def __eq__(self, other): return True
    assert type(same(x.view(Mine))) is np.ndarray
""",
    ),
    "tensors": (
        "import torch\ndef same(x): return x\ndef info(x): return x.dtype, x.shape, str(x.device), x.requires_grad\ndef make(): return torch.nn.Parameter(torch.ones(2))",
        """
import torch
from candidate import same, info, make
def test_a():
    for x in (torch.arange(6).reshape(2, 3), torch.tensor(1.5), torch.zeros(0, 2), torch.tensor([True]), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.float16),
              torch.ones(2, dtype=torch.complex64), torch.tensor([float("nan"), float("inf")]), torch.arange(6).reshape(2, 3).t(), torch.tensor([1, 2], dtype=torch.uint8)):
        back = same(x)
        assert type(back) is torch.Tensor and back.dtype == x.dtype and back.shape == x.shape and not back.requires_grad
        assert torch.equal(back, x) or x.isnan().any()
    assert info(torch.ones(2, 3)) == (torch.float32, torch.Size([2, 3]), "cpu", False)
    assert info(torch.ones(2, requires_grad=True))[3] is True
    assert same(torch.float64) is torch.float64 and same(torch.device("cpu")) == torch.device("cpu")
    class Mine(torch.Tensor): pass
    assert type(same(torch.ones(2).as_subclass(Mine))) is torch.Tensor
    p = make()
    assert isinstance(p, torch.nn.Parameter) and p.requires_grad and p.is_leaf
""",
    ),
    "gradients": (
        LOSS,
        """
import torch, pytest
from candidate import loss
def test_backward():
    p = torch.randn(4, requires_grad=True); t = torch.randn(4)
    out = loss(p, t, scale=2.0)
    assert out.requires_grad and out.shape == ()
    out.backward()
    assert torch.allclose(p.grad, 2.0 * 2 * (p.detach() - t) / 4) and t.grad is None
def test_through_own_operations():
    w = torch.randn(3, requires_grad=True); x = torch.randn(3)
    (loss(torch.tanh(w * x), torch.zeros(3)) * 5).backward()
    v = w.detach().clone().requires_grad_()
    (((torch.tanh(v * x)) ** 2).mean() * 5).backward()
    assert torch.allclose(w.grad, v.grad)
def test_gradcheck():
    p, t = torch.randn(3, dtype=torch.float64, requires_grad=True), torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (p, t)) and torch.autograd.gradgradcheck(loss, (p, t))
def test_second_derivative():
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(loss(p, torch.zeros(2)), p, create_graph=True)
    assert torch.allclose(g, p) and g.requires_grad
    (h,) = torch.autograd.grad(g.sum(), p)
    assert torch.allclose(h, torch.ones(2))
def test_no_grad():
    p = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not loss(p, torch.zeros(2)).requires_grad
    assert not loss(torch.ones(2), torch.zeros(2)).requires_grad
def test_retain_graph_and_training():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1); x, y = torch.randn(16, 3), torch.randn(16, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    first = None
    for _ in range(10):
        opt.zero_grad(); value = loss(model(x), y); value.backward(); opt.step()
        first = first or value.item()
    assert value.item() < first
""",
    ),
    "gradients in nested values": (
        "import torch\ndef f(d, xs): return {'a': d['w'] * xs[0], 'b': [xs[1].sum(), (d['w'] * 2).detach()], 'n': 3}\n"
        "class Mem:\n    def __init__(self): self.total = 0\n    def add(self, x): self.total = self.total + x.sum()\n    def get(self): return self.total\ndef ident(x): return x\ndef unused(x, y): return x * 2",
        """
import torch
from candidate import f, Mem, ident, unused
def test_a():
    w, x, y = (torch.randn(2, requires_grad=True) for _ in range(3))
    out = f({"w": w}, [x, y])
    assert out["n"] == 3 and not out["b"][1].requires_grad
    (out["a"].sum() + out["b"][0]).backward()
    assert torch.allclose(w.grad, x.detach()) and torch.allclose(x.grad, w.detach()) and torch.allclose(y.grad, torch.ones(2))
def test_a_graph_over_several_calls():
    m = Mem(); a = torch.ones(2, requires_grad=True); b = torch.ones(3, requires_grad=True)
    m.add(a * 2); m.add(b)
    m.get().backward()
    assert torch.allclose(a.grad, torch.full((2,), 2.0)) and torch.allclose(b.grad, torch.ones(3))
def test_identity_and_unused():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    ident(a).sum().backward()
    assert torch.allclose(a.grad, torch.ones(2))
    unused(a, b).sum().backward()
    assert b.grad is None
""",
    ),
    "modules": (
        NET,
        """
import copy, torch
from torch import nn
from candidate import Net, train
def test_shape_and_names():
    net = Net(4)
    assert net(torch.randn(5, 4)).shape == (5, 2) and isinstance(net, nn.Module) and isinstance(net, Net)
    assert [n for n, _ in net.named_parameters()] == ["scale", "fc.weight", "fc.bias"]
    assert sum(p.numel() for p in net.parameters()) == 11 and net.fc.weight.shape == (2, 4) and isinstance(net.fc, nn.Linear)
    assert net.fc.in_features == 4 and len(list(net.children())) == 2 and "Linear" in repr(net)
def test_modes():
    net = Net(); x = torch.ones(64, 3)
    assert net.training and net.eval() is net and not net.training
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))
def test_gradients_reach_parameters():
    net = Net().eval(); x = torch.randn(6, 3, requires_grad=True)
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters()) and x.grad.shape == (6, 3)
    assert torch.allclose(net.fc.bias.grad, torch.full((2,), 6.0))
    net.zero_grad()
    assert net.fc.bias.grad is None or not net.fc.bias.grad.any()
def test_state():
    a, b = Net(), Net()
    assert not torch.equal(a.fc.weight, b.fc.weight)
    b.load_state_dict(a.state_dict())
    assert torch.equal(a.fc.weight, b.fc.weight) and list(a.state_dict()) == ["scale", "fc.weight", "fc.bias"]
    c = copy.deepcopy(a)
    assert torch.equal(c.fc.weight, a.fc.weight) and c is not a
def test_training_by_the_tests():
    torch.manual_seed(1)
    net = Net().eval(); x, y = torch.randn(32, 3), torch.randn(32, 2)
    opt = torch.optim.Adam(net.parameters(), lr=0.05); before = net.fc.weight.detach().clone(); losses = []
    for _ in range(15):
        opt.zero_grad(); loss = ((net(x) - y) ** 2).mean(); loss.backward(); opt.step(); losses.append(loss.item())
    assert losses[-1] < losses[0] and not torch.equal(before, net.fc.weight)
def test_training_by_the_candidate():
    net = Net().eval(); weight = net.fc.weight; before = weight.detach().clone()
    losses = train(net, torch.randn(16, 3), torch.randn(16, 2), 5)
    assert len(losses) == 5 and not torch.equal(before, weight) and weight is net.fc.weight and weight.grad is not None
def test_same_seed_same_network():
    torch.manual_seed(7); a = Net().fc.weight
    torch.manual_seed(7); b = Net().fc.weight
    assert torch.equal(a, b)
def test_double():
    net = Net().double().eval()
    assert net(torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64 and net.fc.weight.dtype == torch.float64
""",
    ),
    "an autograd function": (
        "import torch\nclass Square(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): ctx.save_for_backward(x); return x * x\n    @staticmethod\n    def backward(ctx, g): (x,) = ctx.saved_tensors; return 2 * x * g\n",
        "import torch\nfrom candidate import Square\ndef test_a():\n    x = torch.tensor([3.0], requires_grad=True)\n    Square.apply(x).backward()\n    assert x.grad.item() == 6\n    assert torch.autograd.gradcheck(Square.apply, (torch.ones(2, dtype=torch.float64, requires_grad=True),))",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_candidate_is_accepted(heavy, name):
    code, tests = RIGHT[name]
    result = heavy.run(code, tests, seconds=60)
    assert result.accepted, result


def test_arrays_are_changed_in_place_only_where_that_is_asked_for(heavy):
    code = "def f(a, t):\n    a += 1\n    t.add_(2)"
    tests = "import numpy, torch\na, t = numpy.zeros(2), torch.zeros(2)\nf(a, t)\nassert a.tolist() == [1, 1] and t.tolist() == [2, 2]"
    assert heavy.run(code, tests, in_place=True).accepted
    assert not heavy.run(code, tests).accepted


WRONG = {
    "a constant without a graph": "import torch\ndef loss(p, t, scale=1.0): return torch.tensor(0.5, requires_grad=True)",
    "no gradient": "def loss(p, t, scale=1.0): return ((p.detach() - t) ** 2).mean() * scale",
    "a lying tensor": "import torch\nclass L(torch.Tensor):\n    def __eq__(self, o): return torch.ones(())\n    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None): return True\ndef loss(p, t, scale=1.0): return torch.zeros(()).as_subclass(L)",
    "patched allclose": "import torch, numpy\ntorch.allclose = torch.equal = lambda *a, **k: True\nnumpy.allclose = lambda *a, **k: True\ntorch.autograd.gradcheck = lambda *a, **k: True\ntorch.Tensor.__eq__ = lambda *a: True\ndef loss(p, t, scale=1.0): return p.sum()",
    "a wrong backward": "import torch\nclass F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, p, t): return ((p - t) ** 2).mean()\n    @staticmethod\n    def backward(ctx, g): return torch.zeros(4), None\ndef loss(p, t, scale=1.0): return F.apply(p, t) * scale",
    "an object that agrees": "class A:\n    requires_grad, shape = True, ()\n    def backward(self): pass\n    def __eq__(self, o): return True\n    def __getattr__(self, n): return lambda *a, **k: True\ndef loss(p, t, scale=1.0): return A()",
    "nan": "def loss(p, t, scale=1.0): return ((p - t) ** 2).mean() * float('nan')",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_loss_is_never_accepted(heavy, name):
    tests = RIGHT["gradients"][1].split("def test_through")[0]
    assert heavy.run(LOSS, tests).accepted
    assert not heavy.run(WRONG[name], tests).accepted
