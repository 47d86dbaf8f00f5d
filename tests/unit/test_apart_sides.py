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


FOLLOWED = {
    "a count": "def test_a():\n    n = 0\n    for x in (1, 2, 3):\n        if f(x) == g(x): n += 1\n    assert n == 3",
    "a sum of agreements": "def test_a(): assert sum(f(x) == g(x) for x in (1, 2, 3)) == 3",
    "a return before fail": "def test_a():\n    if f(1) == g(1): return\n    pytest.fail()",
    "a break before fail": "def test_a():\n    for x in (1, 2):\n        if f(x) != g(x): continue\n        break\n    else: pytest.fail()",
    "a match": "def test_a():\n    match f(1) == g(1):\n        case False: pytest.fail()",
    "a match that captures": "def test_a():\n    match f(1):\n        case want: pass\n    assert g(1) == want",
    "a walrus": "def test_a():\n    if (want := f(1)) is None: pass\n    assert g(1) == want",
    "a walrus in a comprehension": "def test_a():\n    xs = [want := f(x) for x in (1, 2)]\n    assert g(1) == want",
    "a default": "def same(a, b=g(1)): assert a == b\ndef test_a():\n    x = f(1)\n    same(x)",
    "rest": "def same(*xs): assert xs[0] == xs[1]\ndef test_a(): same(f(1), g(1))",
    "keywords": "def same(**k): assert k['a'] == k['b']\ndef test_a(): same(a=f(1), b=g(1))",
    "spread keywords": "def same(a, b): assert a == b\ndef test_a():\n    k = {'a': f(1), 'b': g(1)}\n    same(**k)",
    "setdefault": "def test_a():\n    d = {}\n    want = d.setdefault('a', f(1))\n    assert d['a'] == g(1)",
    "update": "def test_a():\n    d = {}\n    d.update(a=f(1))\n    assert d['a'] == g(1)",
    "nested": "def test_a():\n    d = {'a': []}\n    d['a'].append(f(1))\n    assert d['a'][0] == g(1)",
    "deque": "from collections import deque\ndef test_a():\n    q = deque()\n    q.appendleft(f(1))\n    assert q.popleft() == g(1)",
    "queue": "import queue\ndef test_a():\n    q = queue.Queue()\n    q.put(f(1))\n    assert q.get() == g(1)",
    "future": "from concurrent.futures import Future\ndef test_a():\n    q = Future()\n    q.set_result(f(1))\n    assert q.result() == g(1)",
    "submit": "from concurrent.futures import ThreadPoolExecutor\ndef test_a():\n    def work(x): return f(x)\n    with ThreadPoolExecutor() as ex: assert ex.submit(work, 1).result() == ex.submit(work, 2).result()",
    "a thread": "import threading\ndef test_a():\n    out = []\n    def work(x): out.append(f(x))\n    for x in (1, 2):\n        t = threading.Thread(target=work, args=(x,))\n        t.start()\n        t.join()\n    assert out[0] == out[1]",
    "count": "def test_a():\n    x = 2\n    assert [f(1), g(1)].count(f(1)) == 2",
    "index": "def test_a(): assert [f(1)].index(g(1)) == 0",
    "a key": "def test_a(): assert {f(1): 1}[g(1)] == 1",
    "an attribute": "class Box: pass\ndef test_a():\n    b, c = Box(), Box()\n    b.x = f(1)\n    d = b\n    assert d.x == g(1)",
    "a holder": "class Box:\n    def __init__(self, x): self.x = x\n    def check(self, y): assert self.x == y\ndef test_a(): Box(f(1)).check(g(1))",
    "a closure": "def test_a():\n    def same(b):\n        assert a == b\n    a = f(1)\n    same(g(1))",
    "send": "def gen(out):\n    while True: out.append((yield))\ndef test_a():\n    out = []\n    s = gen(out)\n    next(s)\n    s.send(f(1))\n    s.send(g(1))\n    assert out[0] == out[1]",
    "yield from": "def vals(): yield from map(f, [1, 2])\ndef test_a():\n    a, b = vals()\n    assert a == b",
    "heappush": "import heapq\ndef test_a():\n    out = []\n    heapq.heappush(out, f(1))\n    assert out[0] == g(1)",
    "setattr": "class Box: pass\ndef test_a():\n    b = Box()\n    setattr(b, 'x', f(1))\n    assert b.x == g(1)",
    "a method of the class": "def test_a():\n    out = []\n    list.append(out, f(1))\n    assert out[0] == g(1)",
    "globals": "def test_a():\n    globals()['want'] = f(1)\n    assert want == g(1)",
    "vars": "class Box: pass\ndef test_a():\n    b = Box()\n    b.__dict__['x'] = f(1)\n    assert b.x == g(1)",
    "chosen": "import operator\nOPS = {0: operator.truth}\ndef test_a():\n    assert OPS[f(1)](5)",
    "chosen by get": "import operator\nOPS = {0: operator.add}\ndef test_a(): assert OPS.get(f(1))(2, 3) == 5",
    "a registry": "import math\nclass Registry:\n    def __getitem__(self, name): return [math.sqrt][name]\n"
    "def test_a():\n    known = Registry()\n    assert known[f(1)](4) == 2",
    "chosen var": "import operator\nOPS = {0: operator.add}\ndef test_a():\n    op = OPS[f(1)]\n    assert op(2, 3) == 5",
}
"""What the candidate gave comes by other ways, or what is asked is not an assertion that compares."""


def test_whatever_may_be_the_candidates_counts_as_its_own(heavy: Apart) -> None:
    found = {name: basis(heavy, tests) for name, tests in FOLLOWED.items()}
    assert found == dict.fromkeys(FOLLOWED, "word")


CALLING = """
def each(fn, xs):
    for x in xs: fn(0)
class K:
    def go(s, fn): fn(0); fn(0)
    def ask(s, o): o.take(0); o.take(0)
"""
CALLED = {
    "a callback": "def test_a():\n    out = []\n    each(lambda x: out.append(x), [1, 2])\n    assert out[0] == out[1]",
    "a bound callback": "def test_a():\n    out = []\n    each(out.append, [1, 2])\n    assert out[0] == out[1]",
    "a held callback": "def test_a():\n    out = []\n    cb = out.append\n    each(cb, [1, 2])\n    assert out[0] == out[1]",
    "a function callback": "def test_a():\n    out = []\n    def cb(x): out.append(x)\n    each(cb, [1, 2])\n    assert out[0] == out[1]",
    "nonlocal callback": "def test_a():\n    want = None\n    def cb(x):\n        nonlocal want\n        want = x\n    each(cb, [1, 2])\n    assert f(1) == want",
    "a method callback": "def test_a():\n    out = []\n    K().go(out.append)\n    assert out[0] == out[1]",
    "a partial": "import functools\ndef put(o, x): o.append(x)\ndef test_a():\n    out = []\n    each(functools.partial(put, out), [1, 2])\n    assert out[0] == out[1]",
    "a mock": "from unittest.mock import Mock\ndef test_a():\n    m = Mock()\n    each(m, [1, 2])\n    assert m.call_args_list[0] == m.call_args_list[1]",
    "an own object": "class Box:\n    x = 5\n    def take(self, y): self.x = y\ndef test_a():\n    b = Box()\n    K().ask(b)\n    assert b.x == f(1)",
    "a callback that asserts": "def test_a():\n    out = []\n    def cb(x):\n        if out: assert out[0] == x\n        out.append(x)\n    each(cb, [1, 2])\n",
}
"""What the candidate calls with values of its own."""


def test_what_the_candidate_can_call_it_may_have_called_with_anything(heavy: Apart) -> None:
    imports = IMPORTS.replace("LIMIT", "LIMIT, each, K")
    found = {name: heavy.run(CODE + CALLING, imports + tests) for name, tests in CALLED.items()}
    assert {name: result.tests["test_a"]["basis"] for name, result in found.items()} == dict.fromkeys(CALLED, "word")


OWN = {
    "a count of right answers": "def test_a():\n    n = 0\n    for x, want in ((1, 0), (2, 0)):\n        if f(x) == want: n += 1\n    assert n == 2",
    "a default": "def same(a, b=0): assert a == b\ndef test_a():\n    x = f(1)\n    same(x)",
    "rest": "def same(got, *wants): assert got in wants\ndef test_a():\n    want = 0\n    same(f(1), want, 5)",
    "keywords": "def same(**k): assert k['got'] == 0\ndef test_a(): same(got=f(1))",
    "a return before fail": "def test_a():\n    want = 0\n    if f(1) == want: return\n    pytest.fail()",
    "a match": "def test_a():\n    match f(1):\n        case 0: pass\n        case _: pytest.fail()",
    "an object of theirs": "class Box:\n    def __init__(self, want): self.want = want\n    def check(self, got): assert got == self.want\n"
    "def test_a(): Box(0).check(f(1))",
    "what is taken away": "def test_a():\n    want = [0, 0]\n    for x in h(1): want.remove(x)\n    assert not want",
    "a reference": "def ref(x):\n    if x < 2: return 0\n    return ref(x - 1)\ndef test_a():\n    for x in range(4): assert f(x) == ref(x)",
    "an argument": "def test_a():\n    xs = [3, 1]\n    got = h(xs)\n    assert len(got) == len(xs)",
    "a plain attribute": "class User:\n    def __init__(self, name): self.name = name\ndef test_a():\n    u = User('')\n"
    "    assert f(u.name) == len(u.name)",
    "a table": "WANT = {1: 0, 2: 0}\ndef test_a():\n    for x in (1, 2): assert f(x) == WANT[x]",
    "a method that computes": "import torch\ndef test_a():\n    want = torch.zeros(2)\n    print(want, h(1))\n"
    "    assert want.equal(torch.tensor(h(1), dtype=torch.float32)) and want.dot(torch.tensor(h(1)) + 0.0) == 0",
    "names of theirs": "import candidate\ndef test_a():\n    for name in ('f', 'g'):\n        fn = getattr(candidate, name)\n"
    "        assert fn(1) == 0 and getattr(candidate, name)(2) == 0",
    "functions of theirs": "FNS = {'f': f, 'g': g}\ndef test_a():\n    for name in FNS: assert FNS[name](1) == 0",
    "a wrapper": "import functools\ndef test_a():\n    fn = functools.partial(f, 1)\n    want = 0\n    assert fn() == want",
    "a comprehension": "def test_a():\n    want = {x: x * 0 for x in (1, 2)}\n    assert {x: f(x) for x in want} == want",
}
"""The tests' own, though it passes through the same holders."""


def test_what_is_shown_to_be_the_tests_own_rests_on_data(heavy: Apart) -> None:
    found = {name: basis(heavy, tests) for name, tests in OWN.items()}
    assert found == dict.fromkeys(OWN, "data")


READ = """
import pathlib
from candidate import save
def test_a():
    save()
    a, b = (pathlib.Path(name).read_text() for name in ("a.txt", "b.txt"))
    assert a == {want}
"""


@pytest.mark.parametrize(("want", "rests"), [("b", "word"), ("'x'", "data")])
def test_what_the_candidate_wrote_into_files_it_gave(bare: Apart, want: str, rests: str) -> None:
    code = "def save():\n    for name in ('a.txt', 'b.txt'):\n        with open(name, 'w') as out: out.write('x')\n"
    result = bare.run(code, READ.format(want=want))
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == rests


def test_what_one_test_fills_is_not_anothers_own(bare: Apart) -> None:
    tests = "from candidate import f\nOUT = []\ndef test_a():\n    OUT.append(f(1))\n    OUT.append(f(2))\n"
    tests += "def test_b():\n    want = OUT[:1]\n    assert OUT[1:] == want\n"
    result = bare.run(CODE, tests)
    assert result.accepted, result
    assert result.tests["test_b"]["basis"] == "word"


LOOSE = "def f(x): return 17.0\ndef tol(): return 1e9\nclass Config:\n    tol = 1e9\nTOL, MOD, SCALE = 1e9, 1, 0\n"
OF_LOOSE = "import functools, math, unittest, pytest\nfrom candidate import f, tol, Config, TOL, MOD, SCALE\nCASES = [(2, 4)]\n"
BY_ITS_OWN = {
    "approx": "def test_a(): assert f(2) == pytest.approx(4, abs=TOL)",
    "approx of a variable": "def test_a():\n    for x, want in CASES: assert f(x) == pytest.approx(want, rel=tol())",
    "isclose": "def test_a(): assert math.isclose(f(2), 4.5, abs_tol=TOL)",
    "a position": "def test_a():\n    import numpy as np\n    assert np.allclose(f(2), [4, 5], 0, TOL)",
    "a keyword": "def test_a():\n    import numpy as np\n    np.testing.assert_allclose(f(2), 4, rtol=TOL)",
    "a delta": "class T(unittest.TestCase):\n    def test_a(self): self.assertAlmostEqual(f(2), 4, delta=TOL)",
    "a bound": "def test_a():\n    for x, want in CASES: assert abs(f(x) - want) < TOL",
    "between two": "def test_a():\n    for x, want in CASES: assert want - TOL <= f(x) <= want + TOL",
    "a default": "def near(a, b, t=TOL): return abs(a - b) <= t\ndef test_a(): assert near(f(2), 4)",
    "a default by name": "def near(a, b, *, t=Config.tol): return abs(a - b) <= t\ndef test_a(): assert near(f(2), 4)",
    "a lambda's": "def test_a():\n    near = lambda a, b, t=TOL: abs(a - b) <= t\n    assert near(f(2), 4)",
    "a partial": "near = functools.partial(lambda t, a, b: abs(a - b) <= t, TOL)\ndef test_a(): assert near(f(2), 4)",
    "an attribute": "class Near:\n    tol = TOL\n    def ok(self, a, b): return abs(a - b) <= self.tol\n"
    "def test_a(): assert Near().ok(f(2), 4)",
    "an object that is called": "class Near:\n    tol = TOL\n    def __call__(self, a, b): return abs(a - b) <= self.tol\n"
    "def test_a(): assert Near()(f(2), 4)",
    "a scale": "def test_a(): assert (f(2) - 4) * SCALE == 0",
    "a scale that is rounded": "def test_a(): assert round((f(2) - 4) * SCALE, 3) == 0",
    "a scale of a variable's": "def test_a():\n    for x, want in CASES: assert (f(x) - want) * SCALE == 0",
    "a scale on both sides": "def test_a():\n    for x, want in CASES: assert f(x) * SCALE == want * SCALE",
    "a modulus": "def test_a():\n    for x, want in CASES: assert f(x) % MOD == want % MOD",
}  # fmt: skip


def test_a_tolerance_or_a_scale_of_the_candidates_own_leaves_its_word(heavy: Apart) -> None:
    found = {name: heavy.run(LOOSE, OF_LOOSE + tests) for name, tests in BY_ITS_OWN.items()}
    assert all(result.accepted for result in found.values()), found
    rests = {name: test["basis"] for name, result in found.items() for test in result.tests.values()}
    assert rests == dict.fromkeys(BY_ITS_OWN, "word")


RIGHT = "TWO = 2\ndef f(x): return x * x\ndef g(x): return x + 1\ndef h(x): return divmod(x, 5)\ndef root(x): return x ** 0.5\n"
OF_RIGHT = "import math, unittest, pytest\nfrom candidate import f, g, h, root, TWO\nCASES = [(2, 4)]\n"
BY_THE_TESTS = {
    "an argument": "def test_a(): assert f(TWO) == 4",
    "arguments": "def test_a(): assert f(g(f(1))) == 4",
    "two values that are joined": "def test_a(): assert f(1) + g(1) == 3 and f(2) - g(1) == 2 and f(2) * g(2) == 12",
    "one value twice": "def test_a():\n    r = root(2)\n    assert abs(r * r - 2) < 1e-9",
    "two that make the tests' own": "def test_a():\n    n = 17\n    q, r = h(n)\n    assert q * 5 + r == n and 0 <= r < 5",
    "a tolerance": "EPS = 1e-6\ndef test_a():\n    for x, want in CASES: assert abs(f(x) - want) < EPS and math.isclose(f(x), want, rel_tol=EPS)",
    "a tolerance by what is compared": "def close(a, b, t=1e-6): return abs(a - b) <= t * max(abs(a), abs(b))\n"
    "def test_a():\n    for x, want in CASES: assert close(f(x), want)",
    "a message": "class T(unittest.TestCase):\n    def test_a(self):\n        r = f(2)\n        self.assertEqual(r, 4, f'got {r}')\n"
    "        self.assertAlmostEqual(r, 4, msg=str(r))",
}  # fmt: skip


def test_a_tolerance_or_a_scale_of_the_tests_own_does_not(heavy: Apart) -> None:
    found = {name: heavy.run(RIGHT, OF_RIGHT + tests) for name, tests in BY_THE_TESTS.items()}
    assert all(result.accepted for result in found.values()), found
    rests = {name: test["basis"] for name, result in found.items() for test in result.tests.values()}
    assert rests == dict.fromkeys(BY_THE_TESTS, "data")
