"""What the source says of who gave a value: where the candidate gave both sides, or a class that is not its own, it has its word."""

from __future__ import annotations

import pytest
from apart_harness import Apart

CODE = """
class P:
    def __init__(s,x): s.x=x; s.last=x
    def to_dict(s): return {"x": 0}
    def __repr__(s): return "P"
    def __hash__(s): return 3
    def __eq__(s,o): return True
def mk(x): return P(x)
def f(x): return 0
def g(x): return 0
def h(x): return [0, 0]
LIMIT = 0

Thing = object
Kinds = (list, object)
"""
IMPORTS = "import math, unittest, pytest\nfrom candidate import P, mk, f, g, h, LIMIT\n"
MODULE = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(3))
    def forward(self, x):
        self.w.data.zero_()
        return x * self.w
    def predict(self, x): return self.forward(x)
def run(net, x): return net.forward(x)
"""


def basis(pairs: Apart, tests: str, *, entry_point: str = "") -> str:
    result = pairs.run(CODE, IMPORTS + tests, entry_point=entry_point)
    assert result.accepted, result
    [found] = {test["basis"] for test in result.tests.values()}
    return str(found)


BOTH = {
    "passed on": "def test_a():\n    x = 4\n    assert f(x) == max(g(x), g(x))",
    "lists": "def test_a():\n    xs = [1, 2]\n    assert [f(x) for x in xs] == [g(x) for x in xs]",
    "twice": "def test_a(): assert 2 * f(1) == g(1)",
    "repr": "def test_a(): assert repr(mk(3)) == repr(P(5))",
    "dict": "def test_a(): assert mk(3).to_dict() == P(5).to_dict()",
    "vars": "def test_a():\n    a = mk(3).to_dict()\n    b = P(5).to_dict()\n    assert a == b",
    "f": "def test_a(): assert f(1) == f(2)",
    "fg loop": "def test_a():\n    for x in range(3): assert f(x) == g(x)",
    "all": "def test_a(): assert all(f(x) == g(x) for x in range(3))",
    "hash": "def test_a(): assert hash(mk(1)) == hash(mk(2))",
    "abs": "def test_a(): assert abs(f(1) - g(1)) < 1e-6",
    "isclose": "def test_a(): assert math.isclose(f(1), g(1))",
    "approx": "def test_a(): assert f(1) == pytest.approx(g(1))",
    "limit": "def test_a(): assert f(1) == LIMIT",
    "not": "def test_a(): assert not f(1) != g(1)",
    "and": "def test_a(): assert f(1) == 0 and f(1) == g(1)",
    "unittest": "class T(unittest.TestCase):\n    def setUp(self): self.p = f(1)\n    def test_a(self):\n        self.assertEqual(self.p, g(1))",
    "zip": "def test_a():\n    for a, b in zip(h(1), h(2)): assert a == b",
    "helper": "def expect(x): return g(x)\ndef test_a(): assert f(1) == expect(1)",
    "check": "def check(candidate):\n    assert candidate(1) == candidate(2)",
    "asserts": "assert f(1) == g(1)",
    "top": "a = f(1)\nassert a == g(1)",
    "a variable": "def test_a():\n    same = f(1) == g(2)\n    assert same",
    "a set": "def test_a(): assert len({f(1), g(2)}) == 1",
    "a set of many": "def test_a(): assert len(set(f(x) for x in (1, 2))) == 1",
    "a list that was filled": "def test_a():\n    xs = []\n    for x in (1, 2): xs.append(f(x))\n    assert len(set(xs)) <= 1",
    "a difference": "def test_a(): assert f(1) - g(2) == 0",
    "a difference that is small": "def test_a():\n    d, eps = f(1) - g(2), 1e-6\n    assert abs(d) < eps",
    "isclose to nothing": "def test_a(): assert math.isclose(abs(f(1) - g(1)), 0)",
    "allclose to nothing": "def test_a():\n    import numpy as np\n    np.testing.assert_allclose(f(1) - g(1), 0)",
    "fail": "def test_a():\n    if f(1) != g(2): pytest.fail()",
    "raise": "def test_a():\n    if f(1) != g(2): raise AssertionError('other')",
    "or fail": "def test_a(): f(1) == g(2) or pytest.fail()",
    "all of zip": "def test_a():\n    a = h(1)\n    b = h(2)\n    ok = all(x == y for x, y in zip(a, b))\n    assert ok",
    "a flag": "def test_a():\n    ok = True\n    for x in (1, 2):\n        if f(x) != g(x): ok = False\n    assert ok",
    "what differs": "def test_a():\n    bad = [x for x in (1, 2) if f(x) != g(x)]\n    assert bad == []",
    "not the opposite": "def test_a(): assert not (f(1) != g(1))",
    "a helper that asserts": "def same(a, b): assert a == b\ndef test_a(): same(f(1), g(1))",
    "a helper of helpers": "def same(a, b):\n    if a != b: raise ValueError\ndef twice(fn): same(fn(1), fn(2))\n"
    "def test_a(): twice(f)",
    "a helper that answers": "def same(a, b):\n    if a != b: return False\n    return True\ndef test_a(): assert same(f(1), g(1))",
    "a lambda": "same = lambda a, b: a == b\ndef test_a(): assert same(f(1), g(1))",
    "a method": "class T(unittest.TestCase):\n    def same(self, a, b): self.assertEqual(a, b)\n"
    "    def test_a(self): self.same(f(1), g(1))",
    "assertTrue": "class T(unittest.TestCase):\n    def test_a(self): self.assertTrue(f(1) == g(1))",
    "sorted": "def test_a(): assert sorted([f(1), g(1)])[0] == sorted([f(1), g(1)])[1]",
    "in": "def test_a(): assert f(1) in [g(1)]",
    "not None": "def test_a():\n    x = 3\n    assert f(x) is not None and f(x) == f(x)",
    "map": "def test_a():\n    xs = [1, 2]\n    assert list(map(f, xs)) == list(map(g, xs))",
    "an index": "def test_a():\n    for i in range(2): assert h(1)[i] == h(2)[i]",
    "a fixture": "@pytest.fixture\ndef one():\n    yield mk(1)\ndef test_a(one): assert one == mk(2)",
    "parameters": "@pytest.mark.parametrize('a, b', [(f(1), g(1))])\ndef test_a(a, b): assert a == b",
    "a helper of lists": "def same(a, b):\n    for x, y in zip(a, b):\n        if x != y: raise ValueError\n"
    "def test_a():\n    pair = h(1), h(2)\n    same(*pair)",
    "a map": "def test_a():\n    xs = [1, 2]\n    assert all(map(lambda x: f(x) == g(x), xs))",
    "what a helper filled": "out = []\ndef ask(x): out.append(f(x))\ndef test_a():\n    ask(1)\n    ask(2)\n    assert out[0] == out[1]",
    "an object of theirs": "class Check:\n    def same(self, a, b): assert a == b\ndef test_a(): Check().same(f(1), g(1))",
    "two errors": "def test_a():\n    with pytest.raises(TypeError) as a: f()\n    with pytest.raises(TypeError) as b: f()\n"
    "    assert str(a.value) == str(b.value)",
}


@pytest.mark.parametrize("name", BOTH)
def test_what_the_candidate_gave_on_both_sides_rests_on_its_word(heavy: Apart, name: str) -> None:
    assert basis(heavy, BOTH[name], entry_point="f" if name == "check" else "") == "word"


ONE = {
    "computed with": "def test_a():\n    x = 0\n    assert f(1) == g(1) * x",
    "a method of theirs": "def test_a():\n    x = 'a'\n    assert f(1) == g(1) + x.count('b')",
    "plain": "def test_a(): assert f(3) == 0",
    "var": "def test_a():\n    e = 0\n    assert f(3) == e",
    "zip": "def test_a():\n    for a, b in zip(h(1), [0, 0]): assert a == b",
    "enum": "def test_a():\n    for i, x in enumerate(h(1)): assert x == i * 0",
    "rows": "def test_a():\n    for fn, want in [(f, 0), (g, 0)]: assert fn(1) == want",
    "helper": "def expect(x): return 0 * x\ndef test_a(): assert f(1) == expect(1)",
    "isinstance": "def test_a(): assert isinstance(f(1), int)",
    "param": "@pytest.mark.parametrize('x,e', [(1, 0)])\ndef test_a(x, e): assert f(x) == e",
    "unittest": "class T(unittest.TestCase):\n    def setUp(self): self.e = 0\n    def test_a(self): self.assertEqual(f(1), self.e)",
    "check": "def check(candidate):\n    assert candidate(1) == 0\n    e = 0\n    assert candidate(2) == e",
    "neutral": "def test_a():\n    got = f(3)\n    assert got == 0 and not got",
    "length": "def test_a(): assert len(h(3)) == 2",
    "is": "def test_a(): assert (f(2) == 0) is True",
    "twice": "def test_a(): assert f(f(3)) == 0",
    "round trip": "def test_a():\n    x = 0\n    y = g(x)\n    assert f(y) == x",
    "bare": "def test_a(): assert not f(2)\n",
    "many": "def test_a(): assert not any(f(x) for x in (1, 2))\n",
    "a list": "def test_a(): assert [f(1), g(1)] == [0, 0]",
    "items": "def test_a(): assert all(v == 0 for v in [f(1), g(1)])",
    "a sum": "def test_a(): assert sum(f(x) for x in (1, 2)) == 0",
    "a difference of theirs": "def test_a(): assert f(5) - 0.5 == -0.5",
    "an error of theirs": "def test_a(): assert abs(f(3) - 0.0) < 1e-6",
    "a difference that is known": "def test_a():\n    want = 2\n    assert f(5) - g(3) + want == 2",
    "whether two are alike": "@pytest.mark.parametrize('a, b, same', [(1, 2, True)])\ndef test_a(a, b, same): assert (f(a) == f(b)) == same",
    "a helper that asserts": "def same(a, b): assert a == b\ndef test_a():\n    same(f(1), 0)\n    x = 0\n    same(f(1), x)",
    "a flag": "def test_a():\n    ok = True\n    for x, want in ((1, 0), (2, 0)):\n        if f(x) != want: ok = False\n    assert ok",
    "a variable": "def test_a():\n    same = f(1) == 0\n    assert same",
    "what one value has": "def test_a(): assert len(set(h(3))) == 1",
    "a class": "def test_a(): assert isinstance(mk(3), P)",
    "fail": "def test_a():\n    if f(1) != 0: pytest.fail()\n    if f(1): raise AssertionError",
    "a helper that calls itself": "def same(a, b):\n    if isinstance(a, list):\n        for x, y in zip(a, b): same(x, y)\n"
    "    else: assert a == b\ndef test_a():\n    want = [0, 0]\n    same(h(1), want)",
    "an error": "def test_a():\n    with pytest.raises(TypeError) as e: f()\n    assert 'f()' in str(e.value)",
}


@pytest.mark.parametrize("name", ONE)
def test_what_the_tests_expect_by_themselves_rests_on_data(heavy: Apart, name: str) -> None:
    assert basis(heavy, ONE[name], entry_point="f" if name == "check" else "") == "data"


@pytest.mark.parametrize(
    "tests",
    [
        "from candidate import Thing\ndef test_a(): assert isinstance(f(3), Thing)",
        "import candidate\ndef test_a(): assert isinstance(f(3), candidate.Thing)",
        "from candidate import Kinds\ndef test_a(): assert isinstance(f(3), Kinds)",
        "from candidate import Thing\ndef is_one(x): return isinstance(x, Thing)\ndef test_a(): assert is_one(f(3))",
    ],
)
def test_a_class_that_is_not_the_candidates_own_vouches_for_little(heavy: Apart, tests: str) -> None:
    assert basis(heavy, tests) == "word"


def test_only_tests_that_use_such_a_class_rest_on_it(heavy: Apart) -> None:
    tests = "from candidate import Thing\ndef test_a(): assert isinstance(f(3), Thing)\ndef test_b(): assert f(3) == 0"
    result = heavy.run(CODE, IMPORTS + tests)
    assert {name: test["basis"] for name, test in result.tests.items()} == {"test_a": "word", "test_b": "data"}


SET = """
import torch
from candidate import Net, run
def test_a():
    net, x = Net(), torch.ones(3)
    with torch.no_grad(): net.w.fill_(2.0)
    out = {how}
    same = bool((out == net.w * x).all())
    assert same
"""


@pytest.mark.parametrize("how", ["net(x)", "net.forward(x)"])
def test_a_module_that_is_called_changes_no_parameter_that_the_tests_had_set(heavy: Apart, how: str) -> None:
    assert heavy.run(MODULE, SET.format(how=how)).outcomes == {"test_a": "failed"}


@pytest.mark.parametrize("how", ["net.predict(x)", "run(net, x)"])
def test_a_parameter_that_was_set_and_changed_is_the_candidates_word(heavy: Apart, how: str) -> None:
    result = heavy.run(MODULE, SET.format(how=how))
    assert result.accepted
    assert result.tests["test_a"]["basis"] == "word"


def test_a_module_that_is_called_replaces_no_parameter_that_the_tests_had_set(heavy: Apart) -> None:
    replaces = MODULE.replace("self.w.data.zero_()", "self.w = torch.nn.Parameter(torch.zeros(3))")
    assert heavy.run(replaces, SET.format(how="net(x)")).outcomes == {"test_a": "failed"}
    assert heavy.run(replaces, SET.format(how="net.predict(x)")).tests["test_a"]["basis"] == "word"
    assert (
        heavy.run(MODULE.replace("self.w.data.zero_()\n", "pass\n"), SET.format(how="net(x)")).tests["test_a"]["basis"] == "data"
    )
