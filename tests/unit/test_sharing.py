"""What copies of values hide from tests that are judged apart: noticed, and tried with values shared as well."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from apart_harness import ROOM, Apart, Result

from orchestrator.engine.in_place import waits_for_changes
from sandbox_image.agent.boundary.sharing import asks_identity


def judged(apart: Apart, code: str, tests: str) -> list[Result]:
    return apart.judge(textwrap.dedent(code), textwrap.dedent(tests))


def accepted(runs: list[Result]) -> list[bool]:
    return [run.accepted for run in runs]


def is_right(runs: list[Result]) -> bool:
    """As the engine decides it: by the last run."""
    return runs[-1].accepted


UNCHANGED = {
    "list": ("xs = [3, 1]", "3", "xs == [3, 1]", "max(xs)", "(xs.sort(), xs[-1])[1]"),
    "nested list": ("xs = [[1], [2]]", "3", "xs == [[1], [2]]", "sum(x[0] for x in xs)", "sum(x.pop() for x in xs)"),
    "list in a tuple": ("xs = ([1], 2)", "1", "xs == ([1], 2)", "xs[0][0]", "xs[0].pop()"),
    "dict": ("xs = {'a': 1}", "1", "xs == {'a': 1}", "xs['a']", "xs.pop('a')"),
    "dict of lists": ("xs = {'a': [1, 2]}", "2", "xs == {'a': [1, 2]}", "xs['a'][-1]", "xs['a'].pop()"),
    "order of a dict": ("xs = {'a': 1, 'b': 2}", "1", "list(xs) == ['a', 'b']", "xs['a']", "(xs.update(a=xs.pop('a')), 1)[1]"),
    "set": ("xs = {1}", "1", "xs == {1}", "min(xs)", "xs.pop()"),
    "bytearray": ("xs = bytearray(b'ab')", "98", "xs == b'ab'", "xs[-1]", "xs.pop()"),
    "deque": ("from collections import deque\n    xs = deque([1], 3)", "1", "xs == deque([1])", "xs[0]", "xs.popleft()"),
    "counter": (
        "from collections import Counter\n    xs = Counter('aab')",
        "'a'",
        "xs == Counter(a=2, b=1)",
        "max(xs, key=xs.get)",
        "(xs.subtract('a'), 'a')[1]",
    ),
    "deep": ("xs = [[[[[[1]]]]]]", "1", "xs == [[[[[[1]]]]]]", "xs[0][0][0][0][0][0]", "xs[0][0][0][0][0].pop()"),
    "array": (
        "import numpy as np\n    xs = np.array([3.0, 1.0])",
        "3",
        "xs.tolist() == [3, 1]",
        "float(xs.max())",
        "(xs.sort(), float(xs[-1]))[1]",
    ),
    "array that may not be changed": (
        "import numpy as np\n    xs = np.array([3.0, 1.0])\n    xs.flags.writeable = False",
        "3",
        "True",
        "float(xs.max())",
        "(xs.sort(), float(xs[-1]))[1]",
    ),
    "tensor": ("import torch\n    xs = torch.ones(2)", "4", "xs.sum() == 2", "float(2 * xs.sum())", "float(xs.mul_(2).sum())"),
    "typed array": (
        "import array\n    xs = array.array('i', [3, 1])",
        "3",
        "list(xs) == [3, 1]",
        "max(xs)",
        "(xs.reverse(), xs[1])[1]",
    ),
    "keyword": ("xs = [3, 1]", "3", "xs == [3, 1]", "max(xs)", "(xs.sort(), xs[-1])[1]"),
}
"""An argument, a result, how the argument stays as it was, a right expression and one that changes it."""


def unchanged(kind: str) -> str:
    value, result, stays, _, _ = UNCHANGED[kind]
    load = "import operator, candidate\ndef test_a():"  # called in a way that the reading does not see
    xs = "xs=xs" if kind == "keyword" else "xs"
    return f"{load}\n    {value}\n    assert operator.methodcaller('f', {xs})(candidate) == {result}\n    assert {stays}"


@pytest.mark.parametrize("kind", UNCHANGED)
def test_an_argument_that_stays_as_it_was_is_accepted_in_one_run(heavy, kind):
    runs = judged(heavy, f"def f(xs): return {UNCHANGED[kind][3]}", unchanged(kind))
    assert accepted(runs) == [True], runs


@pytest.mark.parametrize("kind", UNCHANGED)
def test_an_argument_that_was_changed_is_seen_where_both_have_it(heavy, kind):
    runs = judged(heavy, f"def f(xs): return {UNCHANGED[kind][4]}", unchanged(kind))
    if kind == "array that may not be changed":  # nor may a copy
        assert accepted(runs) == [False], runs
        return
    assert accepted(runs) == [True, False], runs
    assert runs[0].unsure == ["the candidate changed a value that the other side had"]
    assert not runs[1].tampered


BAG = """
class Bag:
    def __init__(self, items=()): self.items = {keep}(items)
    def add(self, x): self.items.append(x)
    def all(self): return {give}(self.items)
    def size(self): return len(self.items)
"""
COPYING, LEAKING, KEEPING = (
    BAG.format(keep="list", give="list"),
    BAG.format(keep="list", give=""),
    BAG.format(keep="(lambda x: x)", give="list"),
)
PAIRS = {
    "a list that leaks out, changed by the tests": (
        "from candidate import Bag\ndef test_a():\n    b = Bag([1])\n    got = b.all()\n    got.append(2)\n    assert b.size() == 1",
        COPYING,
        LEAKING,
    ),
    "a list that leaks out, changed by the candidate": (
        "from candidate import Bag\ndef test_a():\n    b = Bag([1])\n    got = b.all()\n    b.add(2)\n    assert got == [1]",
        COPYING,
        LEAKING,
    ),
    "a list that leaks out, asked for again": (
        "from candidate import Bag\ndef test_a():\n    b = Bag([1])\n    assert b.all() is not b.all()",
        COPYING,
        LEAKING,
    ),
    "an argument that is kept, changed by the tests": (
        "from candidate import Bag\ndef test_a():\n    xs = [1]\n    b = Bag(xs)\n    xs.append(2)\n    assert b.items == [1]",
        COPYING,
        KEEPING,
    ),
    "an argument that is kept, changed by the candidate later": (
        "from candidate import Bag\ndef test_a():\n    xs = [1]\n    b = Bag(xs)\n    b.add(2)\n    assert xs == [1]",
        COPYING,
        KEEPING,
    ),
    "an argument that is kept, in a helper's hands": (
        "from candidate import Bag\ndef grow(xs):\n    xs.append(2)\ndef test_a():\n    xs = [1]\n    b = Bag(xs)\n    grow(xs)\n    assert b.size() == 1",
        COPYING,
        KEEPING,
    ),
    "an inner list that is kept": (
        "from candidate import f, g\ndef test_a():\n    row = [1]\n    f([row])\n    row.append(2)\n    assert g() == [[1]]",
        "kept = []\ndef f(x): kept.extend(map(list, x))\ndef g(): return kept",
        "kept = []\ndef f(x): kept.extend(x)\ndef g(): return kept",
    ),
    "a default argument that gathers": (
        "from candidate import f\ndef test_a():\n    a = f(1)\n    b = f(2)\n    assert (a, b) == ([1], [2])",
        "def f(x, to=None):\n    to = [] if to is None else to\n    to.append(x)\n    return to",
        "def f(x, to=[]):\n    to.append(x)\n    return to",
    ),
    "rows that are one list": (
        "from candidate import f\ndef test_a():\n    g = f(2)\n    g[0][0] = 1\n    assert g == [[1, 0], [0, 0]]",
        "def f(n): return [[0] * n for _ in range(n)]",
        "def f(n): return [[0] * n] * n",
    ),
    "a copy that is the argument": (
        "from candidate import f\ndef test_a():\n    xs = [1]\n    ys = f(xs)\n    assert ys == xs and ys is not xs",
        "def f(xs): return list(xs)",
        "def f(xs): return xs",
    ),
    "a shallow copy": (
        "from candidate import f\ndef test_a():\n    xs = [[1]]\n    ys = f(xs)\n    ys[0].append(2)\n    f(0)\n    assert xs == [[1]]",
        "import copy\ndef f(xs): return copy.deepcopy(xs)",
        "import copy\ndef f(xs): return copy.copy(xs)",
    ),
    "the same list, sorted": (
        "from candidate import f\ndef test_a():\n    xs = [2, 1]\n    assert f(xs) is xs\n    assert xs == [1, 2]",
        "def f(xs):\n    xs.sort()\n    return xs",
        "def f(xs): return sorted(xs)",
    ),
    "sorted in place": (
        "from candidate import f\ndef test_a():\n    xs = [2, 1]\n    f(xs)\n    assert xs == [1, 2]",
        "def f(xs): xs.sort()",
        "def f(xs): xs = sorted(xs)",
    ),
    "sorted in place, with None for a result": (
        "from candidate import f\ndef test_a():\n    xs = [2, 1]\n    got = f(xs)\n    assert got is None\n    assert xs == [1, 2]",
        "def f(xs): xs.sort()",
        "def f(xs): return sorted(xs)",
    ),
    "sorted in place by unittest": (
        "import unittest\nfrom candidate import S\nclass TestS(unittest.TestCase):\n    def setUp(self):\n        self.s, self.xs = S(), [2, 1]\n        self.s = S()\n    def test_a(self):\n        self.s.sort(self.xs)\n        self.assertEqual(self.xs, [1, 2])",
        "class S:\n    def sort(self, xs): xs.sort()",
        "class S:\n    def sort(self, xs): return sorted(xs)",
    ),
    "an array, in place": (
        "import numpy as np\nfrom candidate import f\ndef test_a():\n    a = np.zeros((2, 2))\n    f(a)\n    assert a.tolist() == [[1, 1], [1, 1]]",
        "def f(a): a += 1",
        "def f(a): a = a + 1",
    ),
    "one list for two arguments": (
        "from candidate import f\ndef test_a():\n    xs = [1, 2]\n    assert f(xs, xs) == [1, 2, 1, 2]\n    assert xs == [1, 2]",
        "def f(a, b): return a + b",
        "def f(a, b):\n    a.extend(b)\n    return list(a)",
    ),
    "a container of the candidate's, changed by the tests": (
        "from candidate import Bag\ndef test_a():\n    b = Bag()\n    b.items.append(1)\n    assert b.size() == 1",
        COPYING,
        COPYING.replace("return len(self.items)", "return 0"),
    ),
    "a global of the module, changed by the tests": (
        "import candidate\ndef test_a():\n    candidate.OPTIONS['debug'] = True\n    assert candidate.debugs()",
        "OPTIONS = {'debug': False}\ndef debugs(): return OPTIONS['debug']",
        "OPTIONS = {'debug': False}\ndef debugs(): return False",
    ),
    "an argument that is looked at live": (
        "from candidate import View\ndef test_a():\n    xs = [1]\n    v = View(xs)\n    xs.append(2)\n    assert v.size() == 2",
        "class View:\n    def __init__(self, xs): self.xs = xs\n    def size(self): return len(self.xs)",
        "class View:\n    def __init__(self, xs): self.xs = list(xs)\n    def size(self): return len(self.xs)",
    ),
    "a value that contains itself": (
        "from candidate import f\ndef test_a():\n    xs = [1]\n    f(xs)\n    assert xs[1] is xs",
        "def f(xs): xs.append(xs)",
        "def f(xs): xs.append(list(xs))",
    ),
    "what the tests' own function is called with": (
        "from candidate import f\ndef test_a():\n    seen, xs = [], []\n    def note(got):\n        seen.append(got is xs)\n        got.append(9)\n    assert f(xs, note) is xs\n    assert seen == [True] and xs == [1, 9, 2]",
        "def f(xs, note):\n    xs.append(1)\n    note(xs)\n    xs.append(2)\n    return xs",
        "def f(xs, note):\n    xs.append(1)\n    note(list(xs))\n    xs.append(2)\n    return xs",
    ),
    "what an error leaves behind": (
        "import pytest\nfrom candidate import f\ndef test_a():\n    xs = [1]\n    with pytest.raises(ValueError):\n        f(xs, -1)\n    assert xs == [1]",
        "def f(xs, n):\n    if n < 0: raise ValueError(n)\n    xs.append(n)",
        "def f(xs, n):\n    xs.append(n)\n    if n < 0: raise ValueError(n)",
    ),
}
"""Tests, a right candidate, and a wrong one that plain pytest refuses."""


@pytest.mark.parametrize("name", PAIRS)
def test_right_work_is_accepted(heavy, name):
    runs = judged(heavy, PAIRS[name][1], PAIRS[name][0])
    assert is_right(runs), runs


@pytest.mark.parametrize("name", PAIRS)
def test_wrong_work_is_not_accepted(heavy, name):
    runs = judged(heavy, PAIRS[name][2], PAIRS[name][0])
    assert not is_right(runs), runs
    assert not any(run.tampered for run in runs)


ONE_RUN = {
    "results that are compared": (
        "def f(x): return [x, [x]]",
        "from candidate import f\nassert f(1) == [1, [1]]\nassert f(2) == [2, [2]]",
    ),
    "a container that is read again": (
        LEAKING,
        "from candidate import Bag\ndef test_a():\n    b = Bag([1])\n    assert b.items == [1]\n    b.add(2)\n    assert b.items == [1, 2]\n    assert b.items == [1, 2]",
    ),
    "a constant that is handed out again": (
        "K = [1]\ndef f(): return K",
        "from candidate import f\nassert f() == [1]\nassert f() == [1]",
    ),
    "an argument that is passed again": (
        "def f(xs): return sum(xs)",
        "from candidate import f\ndef test_a():\n    xs = [1, 2]\n    assert f(xs) == 3\n    assert f(xs) == 3",
    ),
    "results that the tests change": (
        "def f(n): return list(range(n))",
        "from candidate import f\ndef test_a():\n    xs = f(3)\n    xs.append(3)\n    assert xs == [0, 1, 2, 3]",
    ),
}


@pytest.mark.parametrize("name", ONE_RUN)
def test_where_copies_hide_nothing_one_run_is_enough(heavy, name):
    runs = judged(heavy, *ONE_RUN[name])
    assert accepted(runs) == [True], runs


def test_values_that_nobody_holds_any_more_are_forgotten(heavy):
    code = "def f(xs): return [sum(xs)]\ndef many():\n    import gc\n    s = next(o for o in gc.get_objects() if type(o).__name__ == 'Server' and hasattr(o, 'kept'))\n    return len(s._sharing.entries)"
    tests = "from candidate import f, many\ndef test_a():\n    for n in range(300):\n        assert f([n, n]) == [2 * n]\n    assert many() < 20"
    assert heavy.run(code, tests, in_place=False).accepted
    assert heavy.run(code, tests, in_place=True).accepted


def test_more_values_than_are_remembered_stay_copies(heavy):
    code = "def f(xs):\n    for x in xs: x.append(1)\n    return len(xs)"
    tests = "from candidate import f\ndef test_a():\n    xs = [[] for _ in range(15_000)]\n    assert f(xs) == 15_000\n    assert f(xs) == 15_000"
    runs = [heavy.run(code, tests, in_place=shared, seconds=60) for shared in (False, True)]
    assert all("the tests had more values than could be watched" in run.unsure and run.accepted for run in runs), runs


def test_all_plain_values_that_can_change_are_watched():
    code = """
from agent.boundary import sharing, values
print(*(k.__name__ for k in {*values.WRITE, *values.LIVE_VIEWS} if k.__hash__ is None and k not in sharing._BUILTIN + tuple(values.LIVE_VIEWS)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOM, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["slice"], "a slice cannot be changed, though it has no hash here"


# One memory seen by several arrays, and dictionaries seen by their views

NUMPY, TORCH = "import numpy as np", "import torch"
MEMORY = {
    "a row": (NUMPY, "x[0]", "x[0].copy()", "x = np.zeros((2, 2))\n    r = f(x)\n    r[0] = 9\n    assert x[0, 0] == 0"),
    "a transpose": (NUMPY, "x.T", "x.T.copy()", "x = np.zeros((2, 3))\n    r = f(x)\n    r[0, 1] = 9\n    assert x[1, 0] == 0"),
    "a slice backwards": (
        NUMPY,
        "x[::-2]",
        "x[::-2].copy()",
        "x = np.arange(6)\n    r = f(x)\n    x[5] = 8\n    assert r.tolist() == [5, 3, 1]",
    ),
    "another shape": (
        NUMPY,
        "x.reshape(1, -1)",
        "x.reshape(1, -1).copy()",
        "x = np.arange(3)\n    y = f(x)\n    y += 1\n    assert x.tolist() == [0, 1, 2]",
    ),
    "another type": (
        NUMPY,
        "x.view(np.int32)",
        "x.view(np.int32).copy()",
        "x = np.zeros(2)\n    r = f(x)\n    r[:] = 1\n    assert x.sum() == 0",
    ),
    "in a list": (
        NUMPY,
        "[x[:1], x[1:]]",
        "[x[:1].copy(), x[1:].copy()]",
        "x = np.arange(3)\n    a, b = f(x)\n    a[0] = 7\n    assert x[0] == 0",
    ),
    "asked for": (NUMPY, "x[:2]", "x[:2].copy()", "x = np.arange(3)\n    assert not np.shares_memory(x, f(x))"),
    "its base": (NUMPY, "x[:2]", "x[:2].copy()", "x = np.arange(3)\n    assert f(x).base is not x"),
    "a tensor's row": (
        TORCH,
        "x[0]",
        "x[0].clone()",
        "x = torch.zeros(2, 2)\n    r = f(x)\n    r.add_(1)\n    assert x.sum() == 0",
    ),
    "a detached tensor": (
        TORCH,
        "x.detach()",
        "x.detach().clone()",
        "x = torch.zeros(2)\n    r = f(x)\n    r[0] = 9\n    assert x[0] == 0",
    ),
    "an array of a tensor": (
        TORCH,
        "x.numpy()",
        "x.numpy().copy()",
        "x = torch.zeros(2)\n    r = f(x)\n    r[0] = 9\n    assert x[0] == 0",
    ),
    "a tensor of an array": (
        f"{NUMPY}\n{TORCH}",
        "torch.from_numpy(x)",
        "torch.from_numpy(x).clone()",
        "x = np.zeros(2)\n    r = f(x)\n    r[0] = 9\n    assert x[0] == 0",
    ),
    "keys": ("", "x.keys()", "list(x)", "x = {'a': 1}\n    r = f(x)\n    x['b'] = 2\n    assert list(r) == ['a']"),
    "values": ("", "x.values()", "list(x.values())", "x = {'a': 1}\n    r = f(x)\n    x['b'] = 2\n    assert list(r) == [1]"),
}
"""Imports, what shares memory with x, what does not, and a test that minds."""


@pytest.mark.parametrize("name", MEMORY)
def test_memory_of_an_argument_is_seen_in_what_is_handed_out(heavy, name):
    imports, shares, copies, test = MEMORY[name]
    tests = f"{imports}\nfrom candidate import f\ndef test_a():\n    {test}"
    assert not is_right(judged(heavy, f"{imports}\ndef f(x): return {shares}", tests))
    assert is_right(runs := judged(heavy, f"{imports}\ndef f(x): return {copies}", tests)), runs


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(x): x[1:3] += 1", "x = np.arange(4)\n    y = x[1:3]\n    f(x)\n    assert y.tolist() == [2, 3]"),
        ("def f(x): x += 1", "x = np.arange(4)\n    f(x[1:3])\n    assert x.tolist() == [0, 2, 3, 3]"),
        ("def f(x, y): y += 1", "x = np.arange(4)\n    f(x, x[1:3])\n    assert x.tolist() == [0, 2, 3, 3]"),
        ("def f(x): return x.T", "x = np.arange(4).reshape(2, 2)\n    r = f(x)\n    r[0, 1] = 9\n    assert x[1, 0] == 9"),
        ("def f(x): return x.keys()", "x = {}\n    r = f(x)\n    x['a'] = 1\n    assert list(r) == ['a']"),
    ],
)
def test_views_show_what_they_would_show_in_one_interpreter(heavy, code, test):
    result = heavy.run(code, f"import numpy as np\nfrom candidate import f\ndef test_a():\n    {test}", in_place=True)
    assert result.accepted, result


@pytest.mark.parametrize(
    ("imports", "argument", "shown"),
    [
        (NUMPY, "np.arange(6).reshape(2, 3).T", [0, 3]),
        (NUMPY, "np.asfortranarray(np.arange(6).reshape(3, 2))", [0, 1]),
        (NUMPY, "np.arange(12).reshape(3, 4)[:, ::2]", [0, 2]),
        (TORCH, "torch.arange(6).reshape(2, 3).T", [0, 3]),
    ],
)
def test_memory_in_another_order_is_no_view_on_the_other_side_and_is_said(heavy, imports, argument, shown):
    code = f"{imports}\ndef f(x): return x[0]"
    tests = f"{imports}\nfrom candidate import f\ndef test_a():\n    assert f({argument}).tolist() == {shown}"
    kept = tests.replace(f"f({argument})", "f(x)").replace("    assert", f"    x = {argument}\n    assert")
    for shared in (False, True):
        result = heavy.run(code, kept, in_place=shared)
        assert result.accepted, result
    assert result.unsure == ["the candidate handed out memory of another value"]


def test_many_arrays_cross_in_one_frame(heavy):
    code = "import numpy as np\ndef f(n): return [np.zeros(2) for _ in range(n)]"
    tests = "from candidate import f\ndef test_a():\n    assert len(f(2000)) == 2000"
    for shared in (False, True):
        result = heavy.run(code, tests, in_place=shared)
        assert result.accepted, result
        assert not result.unsure
        assert result.seconds < 5, "each is not held against each other"


def test_memory_that_overlaps_only_in_part_is_said(heavy):
    code = "import numpy as np\ndef f():\n    b = np.zeros(4)\n    return b[:2], b[1:3]"
    tests = "from candidate import f\ndef test_a():\n    a, b = f()\n    a[1] = 5\n    assert b[0] == 0"
    assert "the candidate handed out memory of another value" in heavy.run(code, tests, in_place=True).unsure


VIEWS = {
    "of nothing": "(99, 0, (2,), (8,), '<i8', True, False)",
    "before its begin": "(1, -8, (2,), (8,), '<i8', True, False)",
    "past its end": "(1, 24, (2,), (8,), '<i8', True, False)",
    "with wide strides": "(1, 0, (2,), (1 << 40,), '<i8', True, False)",
    "of far too many": "(1, 0, (1 << 62,), (0,), '<i8', True, False)",
    "of objects": "(1, 0, (2,), (8,), '|O', True, False)",
    "of no type": "(1, 0, (2,), (8,), 7, True, False)",
    "of too few parts": "(1, 0)",
    "of a tensor of unknown type": "(1, 0, (2,), (8,), '<M8[s]', True, True)",
}


@pytest.mark.parametrize("name", VIEWS)
def test_forged_views_are_tampering(heavy, name):
    code = f"{FORGE}\nimport numpy as np\ndef f(xs):\n    Shared.view = lambda self, writer, value: {VIEWS[name]}\n    return np.zeros(2)"
    tests = "import numpy as np\nfrom candidate import f\ndef test_a():\n    xs = np.arange(4)\n    assert f(xs).sum() >= 0\n    assert xs[0] == 0"
    result = heavy.run(code, tests, in_place=True)
    assert len(result.tampered) == 1, result
    assert not result.accepted


# A candidate that forges what it says of shared values

FORGE = """
import gc
server = next(o for o in gc.get_objects() if type(o).__name__ == 'Server' and hasattr(o, 'kept'))
Shared = type(server._sharing)
values = Shared.__init__.__globals__['values']
def say(*parts):
    # In place of what became of shared values: numbers and contents, and which are forgotten.
    def wrote(self, writer):
        writer.write = values.WRITE
        for part in parts[:-1]: writer.put(part)
        writer.out += b'N'
        writer.put(parts[-1])
    Shared.wrote = wrote
"""
TESTS = (
    "from candidate import f\ndef test_a():\n    xs = [1]\n    assert f(xs) == [2]\n    assert f(xs) == [2]\n    assert xs == [1]"
)
FORGED = {
    "a number that was never given": "def f(xs):\n    Shared.number = lambda self, writer, value: (99998, False)\n    return [2]",
    "a new value under a number of the tests'": "def f(xs):\n    Shared.number = lambda self, writer, value: (77, True)\n    return [2]",
    "a number below one": "def f(xs):\n    Shared.number = lambda self, writer, value: (-2, True)\n    return [2]",
    "one number for two values": "def f(xs):\n    Shared.number = lambda self, writer, value: (2, True)\n    return [2], [2]",
    "a change to what nobody shared": "def f(xs):\n    say(501, [2], [])\n    return 2",
    "a change to another kind": "def f(xs):\n    say(1, {2: 2}, [])\n    return 2",
    "a change without a content": "def f(xs):\n    say(1)\n    return 2",
    "a number that is a truth": "def f(xs):\n    say(True, [2], [])\n    return 2",
    "a number that is a text": "def f(xs):\n    say('1', [2], [])\n    return 2",
    "forgetting what nobody shared": "def f(xs):\n    say([501])\n    return 2",
    "forgetting twice": "def f(xs):\n    say([1, 1])\n    return 2",
    "forgetting no list": "def f(xs):\n    say(None)\n    return 2",
    "forgetting what cannot be a number": "def f(xs):\n    say([[], {}])\n    return 2",
    "a shared value that cannot change": "def f(xs):\n    s = Shared.__init__.__globals__\n    s['_is_whole'] = lambda v: True\n    s['_put_content'] = lambda w, v: w.out.extend(b'i' + bytes(8))\n    return [2]",
    "nothing after the value": "def f(xs):\n    Shared.wrote = lambda self, writer: None\n    return 2",
    "more after that": "def f(xs):\n    say([], 0, [])\n    return 2",
    "far too many": "def f(xs):\n    Shared.full = lambda self, more=0: False\n    return [[] for _ in range(100_000)]",
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_shared_values_are_tampering(heavy, name):
    result = heavy.run(FORGE + FORGED[name], TESTS, in_place=True, seconds=60)
    assert len(result.tampered) == 1, result
    assert not result.accepted
    assert not result.log


ODD = {
    "a list that contains itself": "def f(xs):\n    xs.append(xs)\n    return xs",
    "a list that is deep": "def f(xs):\n    for _ in range(5000): xs = [xs]\n    return xs",
    "a dictionary of itself": "def f(xs):\n    d = {}\n    d[1] = d\n    return d",
    "a changing length": "def f(xs):\n    del xs[:]\n    return [2]",
    "lying items": "class L:\n    def __eq__(self, other): return True\ndef f(xs):\n    xs[:] = [L()]\n    return [L()]",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_shared_values_fail_the_test_and_nothing_else(heavy, name):
    result = heavy.run(ODD[name], TESTS, in_place=True)
    assert result.outcomes == {"test_a": "failed"}, result
    assert result.finished
    assert not result.tampered


def test_a_candidate_changes_only_what_was_shared_with_it(heavy):
    code = "def f(xs):\n    import gc\n    for o in gc.get_objects():\n        if type(o) is list and o == ['the', 'expected']: o[:] = xs\n    return xs"
    tests = "from candidate import f\ndef test_a():\n    want = ['the', 'expected']\n    assert f(['x']) == want"
    assert not heavy.run(code, tests, in_place=True).accepted


# Changes in place that a name alone does not show: tests, a right candidate, and a wrong one

_NP = "import numpy as np\n"
_GROWS, _COPIES = "def f(x):\n    x.append(1)", "def f(x):\n    x = x + [1]"
_ADDS, _ADDS_TO_COPY = "def f(x): x += 1", "def f(x): x = x + 1"
_ONE, _ONE_OF_COPY = "def f(x):\n    x.append(1)\n    return 1", "def f(x):\n    x = [*x, 1]\n    return 1"
_LEDGER = """
class R:
    def __init__(self): self.kept = ['a']
    def names(self): return {give}(self.kept)
    def add(self, x): self.kept.append(x)
    def first(self): return self.kept[0]
    def total(self): return len(self.kept)
"""
_SEEN, _SNAPSHOT = _LEDGER.format(give=""), _LEDGER.format(give="list")
IN_PLACE = {
    "through a slice with a name": (
        f"{_NP}def test_a():\n    x = np.ones(4)\n    v = x[1:3]\n    f(v)\n    assert x.tolist() == [1, 2, 2, 1]",
        _ADDS,
        _ADDS_TO_COPY,
    ),
    "through another shape": (
        f"{_NP}def test_a():\n    x = np.zeros(4)\n    f(x.reshape(2, 2))\n    assert x.tolist() == [1] * 4",
        _ADDS,
        _ADDS_TO_COPY,
    ),
    "through a function of NumPy's": (
        f"{_NP}def test_a():\n    x = np.zeros(4)\n    f(np.asarray(x))\n    assert x.sum() == 4",
        _ADDS,
        _ADDS_TO_COPY,
    ),
    "through a row": (
        f"{_NP}def test_a():\n    img = np.zeros((2, 2))\n    row = img[0]\n    f(row)\n    assert img.tolist() == [[1, 1], [0, 0]]",
        _ADDS,
        _ADDS_TO_COPY,
    ),
    "through another name": ("def test_a():\n    x = []\n    y = x\n    f(y)\n    assert x == [1]", _GROWS, _COPIES),
    "seen by two names": ("def test_a():\n    x = []\n    y = z = x\n    f(y)\n    assert z == [1]", _GROWS, _COPIES),
    "through a list that holds it": (
        "def test_a():\n    x = []\n    d = {'k': x}\n    f(d['k'])\n    assert x == [1]",
        _GROWS,
        _COPIES,
    ),
    "looked at by a variable": ("def test_a():\n    x = []\n    f(x)\n    got = list(x)\n    assert got == [1]", _GROWS, _COPIES),
    "a name given inside": ("def test_a():\n    f(x := [])\n    assert x == [1]", _GROWS, _COPIES),
    "a name that a result had before": (
        "def test_a():\n    x = f([])\n    x = []\n    f(x)\n    assert x == [1]",
        _GROWS,
        _COPIES,
    ),
    "in a loop": ("def test_a():\n    d = [[], []]\n    for e in d:\n        f(e)\n    assert d == [[1], [1]]", _GROWS, _COPIES),
    "in a loop over pairs": (
        "def test_a():\n    d = {'a': []}\n    for _, e in d.items():\n        f(e)\n    assert d == {'a': [1]}",
        _GROWS,
        _COPIES,
    ),
    "in a counted loop": (
        "def test_a():\n    d = [[], []]\n    for i, e in enumerate(d):\n        f(e)\n    assert d == [[1], [1]]",
        _GROWS,
        _COPIES,
    ),
    "in a loop over two": (
        "def test_a():\n    d = [[], []]\n    for e, n in zip(d, 'ab'):\n        f(e)\n    assert d[0] == [1]",
        _GROWS,
        _COPIES,
    ),
    "in a comprehension": ("def test_a():\n    d = [[], []]\n    [f(e) for e in d]\n    assert d == [[1], [1]]", _GROWS, _COPIES),
    "in an assertion's own comprehension": (
        "def test_a():\n    d = [[], []]\n    assert all(f(e) == 1 for e in d) and d == [[1], [1]]",
        _ONE,
        _ONE_OF_COPY,
    ),
    "by map": ("def test_a():\n    d = [[], []]\n    list(map(f, d))\n    assert d == [[1], [1]]", _GROWS, _COPIES),
    "by a helper": ("def test_a():\n    d = []\n    def go(): f(d)\n    go()\n    assert d == [1]", _GROWS, _COPIES),
    "by a helper with a parameter": (
        "def go(n, xs):\n    for _ in range(n): f(xs)\ndef test_a():\n    d = []\n    go(2, d)\n    assert d == [1, 1]",
        _GROWS,
        _COPIES,
    ),
    "by a helper of a helper": (
        "def inner(xs): f(xs)\ndef outer(ys): inner(ys)\ndef test_a():\n    d = []\n    outer(d)\n    assert d == [1]",
        _GROWS,
        _COPIES,
    ),
    "by a helper that is handed the function": (
        "def hold(fn, xs, want):\n    fn(xs)\n    assert xs == want\ndef test_a():\n    hold(f, [], [1])",
        _GROWS,
        _COPIES,
    ),
    "by a lambda with a name": (
        "def test_a():\n    d = []\n    go = lambda: f(d)\n    go()\n    assert d == [1]",
        _GROWS,
        _COPIES,
    ),
    "by a thread": (
        "import threading\ndef test_a():\n    d = []\n    t = threading.Thread(target=f, args=(d,))\n    t.start()\n    t.join()\n    assert d == [1]",
        _GROWS,
        _COPIES,
    ),
    "looked at by a helper": (
        "def look(xs): assert xs == [1]\ndef test_a():\n    d = []\n    f(d)\n    look(d)",
        _GROWS,
        _COPIES,
    ),
    "after `and`": ("def test_a():\n    d = []\n    assert f(d) == 1 and d == [1]", _ONE, _ONE_OF_COPY),
    "after `or`": ("def test_a():\n    d = []\n    assert (f(d) or d) == [1]", _GROWS, _COPIES),
    "in a pair": ("def test_a():\n    d = []\n    assert (f(d), d) == (1, [1])", _ONE, _ONE_OF_COPY),
    "in a list in a call": ("def test_a():\n    d = []\n    assert sorted([f(d), len(d)]) == [1, 1]", _ONE, _ONE_OF_COPY),
    "a list of results that grows": (
        "def test_a():\n    r = R()\n    n = r.names()\n    r.add('b')\n    assert list(n) == ['a', 'b']",
        _SEEN,
        _SNAPSHOT,
    ),
    "a list of results that is bare": (
        "def test_a():\n    r = R()\n    n = r.names()\n    r.add('b')\n    assert n == ['a', 'b']",
        _SEEN,
        _SNAPSHOT,
    ),
    "an item of a result is set": (
        "def test_a():\n    r = R()\n    n = r.names()\n    n[0] = 'z'\n    assert r.first() == 'z'",
        _SEEN,
        _SNAPSHOT,
    ),
    "a result is appended to": (
        "def test_a():\n    r = R()\n    n = r.names()\n    n.append('z')\n    assert r.total() == 2",
        _SEEN,
        _SNAPSHOT,
    ),
    "what an object was given to keep": (
        "def test_a():\n    xs, k = [], K()\n    k['a'] = xs\n    k.grow()\n    assert xs == [1]",
        "class K(dict):\n    def grow(self):\n        for v in self.values(): v.append(1)",
        "class K(dict):\n    def grow(self):\n        for k, v in self.items(): self[k] = v + [1]",
    ),
    "a result that is handed back": (
        "from candidate import make\ndef test_a():\n    m = make()\n    f(m)\n    assert m == [0, 1]",
        _GROWS + "\ndef make(): return [0]",
        _COPIES + "\ndef make(): return [0]",
    ),
    "memory in common": (
        f"{_NP}def test_a():\n    x = np.zeros(3)\n    assert np.shares_memory(f(x), x)",
        "def f(x): return x[1:]",
        "def f(x): return x[1:].copy()",
    ),
    "memory that may be in common": (
        f"{_NP}def test_a():\n    x = np.zeros(3)\n    got = f(x)\n    same = np.may_share_memory(got, x)\n    assert same",
        "def f(x): return x[1:]",
        "def f(x): return x[1:].copy()",
    ),
    "no memory in common": (
        f"{_NP}def test_a():\n    x = np.zeros(3)\n    assert not np.shares_memory(f(x), x)",
        "def f(x): return x[1:].copy()",
        "def f(x): return x[1:]",
    ),
    "a base": (
        f"{_NP}def test_a():\n    x = np.zeros(3)\n    assert f(x).base is x",
        "def f(x): return x[1:]",
        "def f(x): return x[1:].copy()",
    ),
    "where a tensor lies": (
        "import torch\ndef test_a():\n    x = torch.zeros(3)\n    assert f(x).data_ptr() == x.data_ptr()",
        "def f(x): return x.view(3, 1)",
        "def f(x): return x.clone()",
    ),
    "where a tensor does not lie": (
        "import torch\ndef test_a():\n    x = torch.zeros(3)\n    assert f(x).data_ptr() != x.data_ptr()",
        "def f(x): return x.clone()",
        "def f(x): return x.view(3, 1)",
    ),
    "the same by number": (
        "def test_a():\n    x = [1]\n    assert id(f(x)) == id(x)",
        "def f(x): return x",
        "def f(x): return list(x)",
    ),
    "the same, by a variable": (
        "def test_a():\n    x = [1]\n    same = f(x) is x\n    assert same",
        "def f(x): return x",
        "def f(x): return list(x)",
    ),
    "unittest, a row of what was set up": (
        f"import unittest\n{_NP}class TestF(unittest.TestCase):\n    def setUp(self):\n        self.img = np.zeros((2, 2))\n        self.row = self.img[0]\n    def test_a(self):\n        f(self.row)\n        self.assertEqual(self.img.tolist(), [[1, 1], [0, 0]])",
        _ADDS,
        _ADDS_TO_COPY,
    ),
    "unittest, called in setUp": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def setUp(self):\n        self.x = []\n        f(self.x)\n    def test_a(self):\n        self.assertEqual(self.x, [1])",
        _GROWS,
        _COPIES,
    ),
    "unittest, a helper method": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def setUp(self):\n        self.x = []\n    def go(self):\n        f(self.x)\n    def test_a(self):\n        self.go()\n        self.assertEqual(self.x, [1])",
        _GROWS,
        _COPIES,
    ),
    "unittest, a loop": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def setUp(self):\n        self.d = [[], []]\n    def test_a(self):\n        for e in self.d:\n            f(e)\n        self.assertListEqual(self.d, [[1], [1]])",
        _GROWS,
        _COPIES,
    ),
    "unittest, a pair": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def test_a(self):\n        d = []\n        self.assertEqual((f(d), d), (1, [1]))",
        _ONE,
        _ONE_OF_COPY,
    ),
    "unittest, a result that grows": (
        "import unittest\nclass TestR(unittest.TestCase):\n    def setUp(self):\n        self.r = R()\n    def test_a(self):\n        n = self.r.names()\n        self.r.add('b')\n        self.assertEqual(list(n), ['a', 'b'])",
        _SEEN,
        _SNAPSHOT,
    ),
    "unittest, a class's": (
        "import unittest\nclass TestF(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        cls.x = []\n    def test_a(self):\n        f(self.x)\n        self.assertEqual(self.x, [1])",
        _GROWS,
        _COPIES,
    ),
}


_SORTS, _SORTS_A_COPY = "def f(x): x.sort()", "def f(x): return sorted(x)"
_SORTED = "\n    xs = [2, 1]\n    {call}\n    assert xs == [1, 2]"
_METHOD = "class K:\n    def f(self, x):\n        {body}"
IN_PLACE |= {
    name: (before + "def test_a({}):".format("g" if "'g'" in before else "") + _SORTED.format(call=call), _SORTS, _SORTS_A_COPY)
    for name, before, call in (
        ("by a parameter", "import pytest\n@pytest.mark.parametrize('g', [f])\n", "g(xs)"),
        ("by a parameter with a name", "import pytest\n@pytest.mark.parametrize('g', [pytest.param(f, id='a')])\n", "g(xs)"),
        (
            "by a fixture's parameter",
            "import pytest\n@pytest.fixture(params=[f], name='g')\ndef one(request): return request.param\n",
            "g(xs)",
        ),
        ("by an item", "SORTS = {'a': f}\n", "SORTS['a'](xs)"),
        ("by a name in a loop", "SORTS = [f]\n", "for g in SORTS: g(xs)"),
        ("by one of two", "", "g = f if xs else sorted\n    g(xs)"),
        ("by an attribute with a name", "import candidate\ng = candidate.f\n", "g(xs)"),
        ("by the name of an attribute", "import candidate\n", "getattr(candidate, 'f')(xs)"),
        ("by what a function of theirs chose", "def pick(): return f\n", "pick()(xs)"),
        ("by its arguments", "", "args = (xs,)\n    f(*args)"),
    )
}
IN_PLACE |= {
    name: (tests, _SORTS, _SORTS_A_COPY)
    for name, tests in (
        ("returned by a helper", "def run(xs):\n    f(xs)\n    return xs\ndef test_a(): assert run([2, 1]) == [1, 2]"),
        (
            "returned by a helper that copies",
            "def run(xs):\n    ys = list(xs)\n    f(ys)\n    return ys\ndef test_a(): assert run((2, 1)) == [1, 2]",
        ),
        (
            "by a helper that is handed what asks",
            "def run(g, xs):\n    g(xs)\n    return xs\ndef test_a(): assert run(f, [2, 1]) == [1, 2]",
        ),
        (
            "compared by a helper",
            "def fine(xs):\n    f(xs)\n    return xs == [1, 2]\ndef test_a(): assert all(fine(xs) for xs in [[2, 1]])",
        ),
        (
            "returned by a fixture",
            "import pytest\n@pytest.fixture\ndef done():\n    xs = [2, 1]\n    f(xs)\n    return xs\ndef test_a(done): assert done == [1, 2]",
        ),
        (
            "yielded by a fixture",
            "import pytest\n@pytest.fixture\ndef done():\n    xs = [2, 1]\n    f(xs)\n    yield xs\ndef test_a(done): assert done == [1, 2]",
        ),
        ("by a lambda that gives it", "run = lambda xs: (f(xs), xs)[1]\ndef test_a(): assert run([2, 1]) == [1, 2]"),
        (
            "by a class's list",
            "class TestF:\n    sorts = [f]\n    def test_a(self):\n        xs = [2, 1]\n        self.sorts[0](xs)\n        assert xs == [1, 2]",
        ),
    )
}
IN_PLACE |= {
    "looked at by the candidate": (
        "from candidate import first\ndef test_a():\n    xs = [2, 1]\n    f(xs)\n    assert first(xs) == 1",
        _SORTS + "\ndef first(x): return x[0]",
        _SORTS_A_COPY + "\ndef first(x): return x[0]",
    ),
    "one or the other": (
        "def test_a():\n    xs = [2, 1]\n    r = f(xs)\n    assert (xs if r is None else r) == [1, 2]",
        _SORTS,
        "def f(x): list.sort(x[:])",
    ),
    "one or the other, with a name": (
        "def test_a():\n    xs = [2, 1]\n    r = f(xs)\n    out = r or xs\n    assert out == [1, 2]",
        _SORTS,
        "def f(x): list.sort(x[:])",
    ),
    "by a method with a name": (
        "def test_a():\n    go = K().f\n    xs = []\n    go(xs)\n    assert xs == [1]",
        _METHOD.format(body="x.append(1)"),
        _METHOD.format(body="return [*x, 1]"),
    ),
    "by an operator": (
        "def test_a():\n    out, k = [], K()\n    k += out\n    assert out == [1]",
        "class K:\n    def __iadd__(self, out):\n        out.append(1)\n        return self",
        "class K:\n    def __iadd__(self, out): return self",
    ),
    "by a decorator": (
        "def test_a():\n    calls = []\n    @f(calls)\n    def add(a, b): return a + b\n    assert add(1, 2) == 3\n    assert calls == [3]",
        "def f(calls):\n    def wrap(g):\n        def new(*a):\n            calls.append(g(*a))\n            return calls[-1]\n        return new\n    return wrap",
        "def f(calls):\n    def wrap(g):\n        return g\n    return wrap",
    ),
    "a value that was imported": (
        "from candidate import LOG\ndef test_a():\n    f(1)\n    assert LOG == [1]",
        "LOG = []\ndef f(x): LOG.append(x)",
        "LOG = []\ndef f(x): pass",
    ),
    "a value of the module": (
        "import candidate\ndef test_a():\n    log = candidate.LOG\n    assert f(1) == 1\n    assert len(candidate.LOG) == 1",
        "LOG = []\ndef f(x):\n    LOG.append(x)\n    return 1",
        "LOG = []\ndef f(x): return 1",
    ),
    "changed by a callback": (
        "def test_a():\n    x = []\n    assert f(x, lambda: x.append(1)) == 1",
        "def f(x, g):\n    g()\n    return len(x)",
        "def f(x, g):\n    g()\n    return 0",
    ),
    "passed twice": (
        "def test_a():\n    x = [1]\n    assert f(x, x) == 'one'\n    assert f([1], [1]) == 'two'",
        "def f(a, b): return 'one' if a is b else 'two'",
        "def f(a, b): return 'two'",
    ),
    "twice in a list": (
        "def test_a():\n    r = [0]\n    assert f([r, r, [0]]) == 2",
        "def f(a): return len({id(one) for one in a})",
        "def f(a): return len(a)",
    ),
    "numbers of results": (
        "def test_a():\n    a = f([1])\n    assert len(set(map(id, a))) == 2",
        "def f(x): return [[x[0]], [x[0]]]",
        "def f(x): return [x, x]",
    ),
}


def both(name: str) -> tuple[str, str, str]:
    tests, right, wrong = IN_PLACE[name]
    return f"from candidate import {'R' if 'R()' in tests else 'K' if 'K()' in tests else 'f'}\n{tests}", right, wrong


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_change_in_place_that_is_meant_is_accepted(heavy, name):
    tests, right, _ = both(name)
    assert is_right(runs := judged(heavy, right, tests)), runs


@pytest.mark.parametrize("name", IN_PLACE)
def test_work_on_a_copy_is_not_accepted_where_a_change_is_meant(heavy, name):
    tests, _, wrong = both(name)
    runs = judged(heavy, wrong, tests)
    assert not is_right(runs), runs
    assert not any(run.tampered for run in runs)


_KEEPS = "class S:\n    def dedupe(self, n):\n        k = 0\n        for x in n:\n            if k == 0 or n[k - 1] != x:\n                n[k] = x; k += 1\n        return k"
_READS = "from candidate import S\ndef test_a():\n    nums = [1, 1, 2]\n    k = S().dedupe(nums)\n    assert k == 2\n    "
_GRID = "class B:\n    def __init__(self): self.c = [[0, 0]]\n    def cells(self): return {give}\n    def total(self): return sum(map(sum, self.c))"
BESIDE = {
    "a part up to the result": (_READS + "assert nums[:k] == [1, 2]", _KEEPS),
    "items up to the result": (_READS + "want = [1, 2]\n    for i in range(k): assert nums[i] == want[i]", _KEEPS),
    "items in an expression": (_READS + "want = [1, 2]\n    assert all(nums[i] == want[i] for i in range(k))", _KEEPS),
    "a sorted part": (_READS + "assert sorted(nums[:k]) == [1, 2]", _KEEPS),
    "bytes that were read": (
        "from candidate import fill\ndef test_a():\n    buf = bytearray(3)\n    n = fill(buf)\n    assert bytes(buf[:n]) == b'ab'",
        "def fill(buf):\n    buf[:2] = b'ab'\n    return 2",
    ),
    "an item of what nobody holds": (
        "from candidate import B\ndef test_a():\n    b = B()\n    b.cells()[0][1] = 7\n    assert b.total() == 7",
        _GRID.format(give="self.c"),
    ),
    "a loop that the candidate ends": (
        "from candidate import pop\ndef test_a():\n    xs, out = [2, 1], []\n    while xs: out.append(pop(xs))\n    assert out == [1, 2]",
        "def pop(xs):\n    xs.sort()\n    return xs.pop(0)",
    ),
}
"""Tests that read what was changed together with a result."""


@pytest.mark.parametrize("name", BESIDE)
def test_what_was_changed_may_be_read_beside_a_result(heavy, name):
    tests, code = BESIDE[name]
    assert is_right(runs := judged(heavy, code, tests)), runs
    copying = code.replace("(self, n):", "(self, n):\n        n = [*n]").replace("(buf):", "(buf):\n    buf = buf[:]")
    copying = copying.replace("return self.c", "return [[*row] for row in self.c]").replace("(xs):", "(xs):\n    xs = xs[:]")
    assert copying != code
    if "while" not in tests:  # which would go on for ever
        assert not is_right(runs := judged(heavy, copying, tests)), runs


EMPTIED = {
    "a list": ("xs = [2, 1]", "f(xs) == sorted(xs)", "(xs.clear(), [])[1]"),
    "a list, with a name": ("xs = [2, 1]\n    r = f(xs)\n    want = sorted(xs)", "r == want", "(xs.clear(), [])[1]"),
    "a dictionary": ("xs = {1: 2}", "f(xs) == sum(xs.values())", "(xs.clear(), 0)[1]"),
    "an array": ("import numpy as np\n    xs = np.ones(3)", "f(xs) == xs.sum() * 2", "(xs.fill(0), 0)[1]"),
    "a tensor": ("import torch\n    xs = torch.ones(3)", "torch.equal(f(xs), xs * 2)", "xs.zero_() * 0"),
    "a leaf": ("import torch\n    xs = torch.ones(3, requires_grad=True)", "torch.equal(f(xs), xs * 2)", "xs.data.zero_() * 0"),
}


@pytest.mark.parametrize("name", EMPTIED)
def test_who_changes_what_it_is_compared_with_gains_nothing(heavy, name):
    before, asked, body = EMPTIED[name]
    tests = f"from candidate import f\ndef test_a():\n    {before}\n    assert {asked}"
    assert not is_right(runs := judged(heavy, f"def f(xs): return {body}", tests)), runs


_BOTH = "from candidate import sort, largest\ndef test_a():\n    xs = [3, 1]\n    assert largest(xs) == max(xs)\ndef test_b():\n    xs = [3, 1]\n    {body}"
_SORTING = "def sort(xs):\n    xs.sort()\n    return xs\ndef largest(xs): return max(xs)"
AROUND = {
    "another test": _BOTH.format(body="sort(xs)\n    assert xs == [1, 3]"),
    "the same test": _BOTH.format(body="r = sort(xs)\n    assert r == xs\n    assert xs == [1, 3]"),
    "a result and a change": _BOTH.format(
        body="assert sort(xs) == sorted(xs)\n    ys = [2, 1]\n    sort(ys)\n    assert ys == [1, 2]"
    ),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_is_compared_with_its_own_change_does_not_count_against_others(heavy, name):
    assert is_right(runs := judged(heavy, _SORTING, AROUND[name])), runs
    assert not is_right(runs := judged(heavy, _SORTING.replace("xs.sort()", "xs = sorted(xs)"), AROUND[name])), runs


@pytest.mark.parametrize("name", ["X_train", "Data", "Xs"])
def test_a_variable_with_a_capital_is_no_class(heavy, name):
    tests = f"from candidate import f\ndef test_a():\n    {name} = [1, 2]\n    out = f({name})\n    assert out == [1, 2]\n    assert out is not {name}"
    assert is_right(runs := judged(heavy, "def f(x): return list(x)", tests)), runs
    assert not is_right(runs := judged(heavy, "def f(x): return x", tests)), runs
    assert is_right(runs := judged(heavy, "def f(x): return x", tests.replace("is not", "is"))), runs


def test_a_class_that_is_asked_for_takes_no_second_run():
    assert not asks_identity("from shapes import (Circle,\n  Point)\nassert type(f(1)) is Point and type(f(2)) is not int")
    assert not asks_identity("class Own: pass\nassert type(f(Own)) is Own or f() is None or identity(3)")
    assert asks_identity("from shapes import CACHE\nassert f() is not CACHE")
    assert asks_identity("ident = id\nassert ident(f(x)) != ident(x)")


LEFT_ALONE = {
    "compared with the result": (
        "def test_a():\n    x = [2, 1]\n    want = sorted(x)\n    assert f(x) == want == sorted(x)",
        "def f(x): return sorted(x)",
        "def f(x): return [x.pop()]",
    ),
    "an alias that stays": (
        "def test_a():\n    x = [2, 1]\n    y = x\n    assert f(y) == [1, 2]\n    assert x == [2, 1]",
        "def f(x): return sorted(x)",
        "def f(x):\n    x.sort()\n    return x",
    ),
    "a row that stays": (
        f"{_NP}def test_a():\n    x = np.zeros((2, 2))\n    row = x[0]\n    got = f(row)\n    assert x.sum() == 0 and got.sum() == 2",
        "def f(x): return x + 1",
        "def f(x):\n    x += 1\n    return x",
    ),
    "several that stay": (
        "def test_a():\n    d = [[2, 1], [3]]\n    assert [f(e) for e in d] == [[1, 2], [3]]\n    assert d == [[2, 1], [3]]",
        "def f(x): return sorted(x)",
        "def f(x):\n    x.sort()\n    return x",
    ),
    "a snapshot": ("def test_a():\n    r = R()\n    n = r.names()\n    r.add('b')\n    assert n == ['a']", _SNAPSHOT, _SEEN),
    "a result that the object does not see": (
        "def test_a():\n    r = R()\n    n = r.names()\n    n.append('z')\n    assert r.total() == 1",
        _SNAPSHOT,
        _SEEN,
    ),
    "one that stays beside its result": (
        "def test_a():\n    d = [2, 1]\n    assert (f(d), d) == ([1, 2], [2, 1])",
        "def f(x): return sorted(x)",
        "def f(x):\n    x.sort()\n    return list(x)",
    ),
    "in unittest": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def setUp(self):\n        self.x = [2, 1]\n    def test_a(self):\n        self.assertEqual(f(self.x), [1, 2])\n        self.assertEqual(self.x, [2, 1])",
        "def f(x): return sorted(x)",
        "def f(x):\n    x.sort()\n    return x",
    ),
}
"""Tests that want a value left as it is, a right candidate, and one that changes it."""


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_a_value_that_is_to_stay_as_it_was(heavy, name):
    tests, right, wrong = LEFT_ALONE[name]
    tests = f"from candidate import {'R' if 'R()' in tests else 'f'}\n{tests}"
    assert is_right(runs := judged(heavy, right, tests)), runs
    assert not is_right(runs := judged(heavy, wrong, tests)), runs


WAITS = {
    "a heap": "while heap:\n    out.append(pop(heap))",
    "a number of items": "while len(xs) > 1:\n    if True:\n        n = f(3, xs=xs)",
    "in its condition": "while step(board) and board:\n    pass",
}
WAITS_NOT = {
    "for ever": "while True:\n    if f(xs):\n        break",
    "a number of its own": "while n < 3:\n    n += f(xs)",
    "no loop": "f(xs)\nassert xs == [1]",
    "what does not parse": "while (",
    "a deep one": "while f(" + "(" * 5000 + ")" * 5000 + "):\n    pass",
}


@pytest.mark.parametrize("name", WAITS)
def test_loops_that_the_candidate_must_end_are_known(name):
    assert waits_for_changes(WAITS[name])


@pytest.mark.parametrize("name", WAITS_NOT)
def test_other_loops_are_known(name):
    assert not waits_for_changes(WAITS_NOT[name])


NO_COPIES = {
    "memory of a tensor, as an array": (
        "def f(x):\n    r = float(x.sum())\n    x[:] = 0\n    return r",
        "import torch\n    x = torch.ones(2).numpy()\n    assert f(x) == 2\n    assert x.tolist() == [1, 1]",
    ),
    "memory of a leaf, changed by the tests": (
        "def f(x): return x.detach()",
        "import torch\n    w = torch.ones(2, requires_grad=True)\n    o = f(w)\n    with torch.no_grad(): w.fill_(5)\n    assert o.tolist() == [1, 1]",
    ),
    "memory of a leaf, changed by its other name": (
        "def f(x): return x.detach()",
        "import torch\n    x = torch.zeros(2, requires_grad=True)\n    y = f(x)\n    y[0] = 9\n    assert x[0] == 0",
    ),
    "weights that are followed": (
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.w = torch.nn.Parameter(torch.ones(1))\n"
        "class Mean:\n    def __init__(self, n): self.s = n.w.detach()\n    def update(self, n): self.s = self.s / 2 + n.w.detach() / 2",
        "import torch\n    n = Net()\n    e = Mean(n)\n    with torch.no_grad(): n.w.fill_(3)\n    e.update(n)\n    assert e.s.item() == 2",
    ),
    "a wish for gradients that stays": (
        "def f(x):\n    x.requires_grad_()\n    return float(x.detach().sum())",
        "import torch\n    x = torch.ones(2)\n    assert f(x) == 2\n    assert not x.requires_grad",
    ),
    "a name of a column": (
        "def f(s):\n    s[:] = s * 2\n    s.name = 'z'",
        "import pandas as pd\n    s = pd.Series([1, 2], name='q')\n    f(s)\n    assert s.tolist() == [2, 4]\n    assert s.name == 'q'",
    ),
    "windows that overlap": (
        "def f(x, n): return [x[i:i + n] for i in range(len(x) - n + 1)]",
        "w = f(np.arange(4.0), 2)\n    for v in w: v -= v.mean()\n    assert all(np.allclose(v, [-0.5, 0.5]) for v in w)",
    ),
    "an array and a part of it": ("def f(x): return x, x[1:]", "a, b = f(np.zeros(3))\n    a[1] = 5\n    assert b[0] == 0"),
    "a row twice": ("def f(x): return [x[0], x[0]]", "a, b = f(np.zeros((2, 2)))\n    a[0] = 5\n    assert b[0] == 0"),
    "what was broadcast": (
        "import numpy as np\ndef f(row, n): return np.lib.stride_tricks.as_strided(row, (n, len(row)), (0, row.itemsize))",
        "g = f(np.zeros(2), 3)\n    g[0, 0] = 1\n    assert g.tolist() == [[1, 0], [0, 0], [0, 0]]",
    ),
    "read only": (
        "import numpy as np\ndef f(x):\n    a = np.ones(2)\n    a.flags.writeable = False\n    return a",
        "x = f(1)\n    x += 1\n    assert x.tolist() == [2, 2]",
    ),
    "an argument made read only": (
        "def f(x):\n    x.flags.writeable = False\n    return 1",
        "x = np.zeros(2)\n    assert f(x) == 1\n    x[0] = 5\n    assert x[0] == 5",
    ),
    "objects sorted": (
        "def f(x):\n    x.sort()\n    return x[-1]",
        "x = np.array(['b', 'a'], dtype=object)\n    assert f(x) == 'b'\n    assert x.tolist() == ['b', 'a']",
    ),
    "objects in a list": (
        "def f(xs):\n    xs[0].sort()\n    return xs[0][-1]",
        "x = np.array(['b', 'a'], dtype=object)\n    assert f([x]) == 'b'\n    assert x.tolist() == ['b', 'a']",
    ),
    "a matrix": (
        "import numpy as np\ndef f(): return np.matrix([[1, 2], [3, 4]])",
        "assert (f() * f()).tolist() == [[1, 4], [9, 16]]",
    ),
    "a tensor of a class of its own": (
        "import torch\nclass A(torch.Tensor):\n    def sum(self): return torch.tensor(99)\ndef f(): return torch.ones(3).as_subclass(A)",
        "assert f().sum() == 3",
    ),
    "a tensor in another order": (
        "def f(x): return x.t()",
        "import torch\n    assert f(torch.zeros(2, 3)).view(6).shape == (6,)",
    ),
    "keys of what changes": (
        "class R:\n    def __init__(self): self.d = {'a': 1, 'b': 2}\n    def remove(self, key): del self.d[key]\n"
        "    def items(self): return self.d.items()\n    def size(self): return len(self.d)",
        "r = R()\n    for key, value in r.items():\n        if value == 1: r.remove(key)\n    assert r.size() == 1",
    ),
    "memory that the tests share": (
        "def f(src, dst):\n    for i in range(len(src)): dst[i] = src[i]\n    return dst.tolist()",
        "x = np.arange(5)\n    assert f(x[:-1], x[1:]) == [0, 1, 2, 3]",
    ),
    "bytes under an array": (
        "import numpy as np\ndef f(b): return np.frombuffer(b, np.uint8)",
        "b = bytearray(b'abc')\n    a = f(b)\n    b[0] = 0\n    assert a.tolist() == [97, 98, 99]",
    ),
    "a part of a masked array": (
        "def f(m): return m[1:]",
        "m = np.ma.array([1, 2, 3], mask=[1, 0, 0])\n    r = f(m)\n    r[0] = 9\n    assert m[1] == 2",
    ),
    "one list twice, changed at the end": (
        "B = [1]\ndef f(): return B",
        "a, b = f(), f()\n    a.append(2)\n    assert b == [1]",
    ),
    "one list twice, in rows": (
        "B = [1]\ndef f(): return B",
        "rows = [f() for _ in range(3)]\n    rows[0].append(2)\n    assert rows == [[1, 2], [1], [1]]",
    ),
    "a default that is shared": (
        "class C:\n    def __init__(self, xs=[]): self.xs = xs",
        "a, b = C().xs, C().xs\n    a.append(1)\n    assert b == []",
    ),
    "an argument handed back, changed much later": (
        "def f(x): return x\ndef n(): return 0",
        "import candidate\n    h = candidate.f\n    x = [1]\n    r = h(x)\n    assert n() == 0\n    x.append(2)\n"
        "    assert n() == 0\n    assert r == [1]",
    ),
    "an argument in an error": (
        "class E(Exception):\n    def __init__(self, x): self.x = x\ndef f(x): raise E(x)",
        "x = [1]\n    try: f(x)\n    except E as e: r = e.x\n    x.append(2)\n    assert r == [1]",
    ),
    "a row that nobody holds": (
        "import numpy as np\nclass M:\n    def __init__(self): self.m = np.zeros((2, 3))\n    def row(self, i): return self.m[i]\n"
        "    def total(self): return float(self.m.sum())",
        "m = M()\n    r = m.row(0)\n    assert m.total() == 0\n    r[0] = 5\n    assert m.total() == 0",
    ),
    "weights that nobody holds": (
        "import torch\nclass M:\n    def __init__(self): self.w = torch.zeros(3)\n    def weights(self): return self.w.detach()\n"
        "    def total(self): return float(self.w.sum())",
        "m = M()\n    w = m.weights()\n    assert m.total() == 0\n    w += 1\n    assert m.total() == 0",
    ),
    "a part of weights that the tests make": (
        "import torch\nclass M:\n    def __init__(self): self.w = torch.zeros(3)\n    def weights(self): return self.w\n"
        "    def total(self): return float(self.w.sum())",
        "m = M()\n    w = m.weights().view(-1)\n    assert m.total() == 0\n    w += 1\n    assert m.total() == 0",
    ),
    "the data of an argument, kept": (
        "class M:\n    def __init__(self, q): self.q = q.data\n    def total(self): return float(self.q.sum())",
        "import torch\n    w = torch.zeros(3)\n    m = M(w)\n    assert m.total() == 0\n    w += 1\n    assert m.total() == 0",
    ),
    "chunks in a list": (
        "def f(x): return list(x.chunk(2))",
        "import torch\n    x = torch.zeros(4)\n    a, b = f(x)\n    a += 1\n    assert x.sum() == 0",
    ),
    "what a missing key gives": (
        "def f(x):\n    x.default_factory = None\n    return len(x)",
        "import collections\n    x = collections.defaultdict(list, a=[1])\n    assert f(x) == 1\n    x['b'].append(2)\n    assert x['b'] == [2]",
    ),
    "what stands for masked items": (
        "import numpy as np\ndef f(): return np.ma.array([1, 2], mask=[0, 1], fill_value=7)",
        "assert f().filled().tolist() == [1, 999999]",
    ),
    "one mask for two": (
        "import numpy as np\ndef f(x): return np.ma.array([3, 4], mask=x.mask)",
        "x = np.ma.array([1, 2], mask=[False, True])\n    r = f(x)\n    r.mask[0] = True\n    assert x.mask.tolist() == [False, True]",
    ),
    "texts in one memory": (
        "def f(x): return x[:1]",
        "x = np.array(['a', 'b'])\n    r = f(x)\n    r[0] = 'z'\n    assert x[0] == 'a'",
    ),
    "a sparse tensor changed": (
        "def f(x): x.values().mul_(2)",
        "import torch\n    x = torch.eye(2).to_sparse().coalesce()\n    f(x)\n    assert x.to_dense().sum().item() == 2",
    ),
    "how often a tensor was changed": (
        "def f(x): x.add_(1).sub_(1)",
        "import torch\n    x = torch.zeros(2)\n    v = x._version\n    f(x)\n    assert x._version == v",
    ),
    "by columns": ("import numpy as np\ndef f(x): return np.asfortranarray(x)", "assert not np.isfortran(f(np.zeros((2, 3))))"),
    "in the order of its memory": (
        "import numpy as np\ndef f(x): return x.T",
        "assert [int(v) for v in np.nditer(f(np.arange(4).reshape(2, 2)))] == [0, 2, 1, 3]",
    ),
    "an address": ("def f(x): return x", "x = np.zeros(3)\n    assert f(x).ctypes.data != x.ctypes.data"),
    "a change of a result from a thread": (
        "import threading\nL = []\ndef f():\n    threading.Timer(0.05, lambda: L.append(1)).start()\n    return L",
        "import time\n    r = f()\n    time.sleep(0.2)\n    assert r == []",
    ),
    "a result that changes as its maker is dropped": (
        "class A:\n    def __init__(self): self.l = []\n    def __del__(self): self.l.append(1)\ndef f():\n    a = A()\n    return a, a.l",
        "a, l = f()\n    del a\n    assert l == []",
    ),
    "what is behind a mask": (
        "def f(x): x.data[1] = 55",
        "x = np.ma.array([1, 2, 3], mask=[0, 1, 0])\n    f(x)\n    assert x.data[1] == 2",
    ),
    "rows of a sparse tensor": (
        "def f(s): s.values().fill_(4)",
        "import torch\n    s = torch.eye(2).to_sparse_csr()\n    f(s)\n    assert s.to_dense().sum() == 2",
    ),
    "written through a shape": (
        "import numpy as np\ndef f(): return np.zeros((4, 4))[:, :2]",
        "x = f()\n    x.ravel()[0] = 7\n    assert x[0, 0] == 7",
    ),
    "a call from a thread": (
        "import threading\ndef f(call):\n    threading.Timer(0.05, lambda: call(1)).start()\n    return 1",
        "import time\n    got = []\n    assert f(got.append) == 1\n    time.sleep(0.2)\n    assert got == []",
    ),
    "the first of many rows": (
        "R = [[0] for _ in range(500)]\ndef rows(): return R\ndef hit(n): R[n].append(1)",
        "r = rows()\n    hit(0)\n    r = r[0]\n    assert r == [0]",
    ),
    "a change from a thread": (
        "import threading\ndef f(x):\n    threading.Timer(0.05, lambda: x.append(1)).start()\n    return len(x)",
        "import time\n    x = []\n    assert f(x) == 0\n    time.sleep(0.2)\n    assert x == []",
    ),
    "a change as an object is dropped": (
        "class D:\n    def __init__(self, x): self.x = x\n    def __del__(self): self.x.append(1)",
        "x = []\n    d = D(x)\n    del d\n    assert x == []",
    ),
}
"""Wrong work that one interpreter refuses, and that copies would hide."""


@pytest.mark.parametrize("name", NO_COPIES)
def test_what_copies_would_hide_is_refused_or_rests_on_the_candidates_word(heavy, name):
    code, body = NO_COPIES[name]
    runs = judged(heavy, code, f"import numpy as np\nfrom candidate import *\ndef test_a():\n    {body}")
    assert not any(run.tampered or run.error for run in runs), runs
    if is_right(runs):
        last = runs[-1]
        assert "word" in {test["basis"] for run in runs for test in run.tests.values()} or {
            "the candidate handed out memory of another value",
            "the tests handed out memory of another value",
        } & set(last.unsure), runs


LED = {
    "a match": ("import re\ndef make(): return re.compile('a')", "r.match('abc')"),
    "a scanner": ("import re\ndef make(): return re.compile('a')", "r.scanner('abc')"),
    "memory": ("import numpy as np\ndef make(): return np.ones(2)", "r.ctypes"),
    "a graph": ("import torch\ndef make(): return torch.ones(2, requires_grad=True)", "(r * 2).grad_fn"),
}


@pytest.mark.parametrize("name", LED)
def test_what_the_candidates_values_lead_to_is_no_way_to_be_judged_together(heavy, name):
    code, led = LED[name]
    tests = f"from candidate import make, score\ndef test_a():\n    r = make()\n    assert score({led}) == 9"
    result = heavy.run(f"{code}\ndef score(x): return 3", tests)
    assert not result.not_apart
    assert not result.accepted


FRESH = {
    "a loop over what is changed": (
        "def f(x, k): x[k] = [1]",
        "from collections import OrderedDict, deque\n    od, dq = OrderedDict(a=[0], b=[0]), deque([0, 0])\n    for k in od: f(od, k)\n"
        "    for k, _ in enumerate(dq): f(dq, k)\n    assert od == {'a': [1], 'b': [1]} and list(dq) == [[1], [1]]",
    ),
    "an array of a tensor": (
        "def f(x): x[:] = 5",
        "import torch\n    x = torch.zeros(2).numpy()\n    f(x)\n    assert x.tolist() == [5, 5]",
    ),
    "lists": ("def f(): return [1]", "a, b = f(), f()\n    a.append(2)\n    assert b == [1]"),
    "rows": (
        "import numpy as np\nclass M:\n    def __init__(self): self.m = np.zeros((2, 3))\n    def row(self, i): return self.m[i].copy()\n"
        "    def total(self): return float(self.m.sum())",
        "m = M()\n    r = m.row(0)\n    assert m.total() == 0\n    r[0] = 5\n    assert m.total() == 0",
    ),
    "a view that is meant": (
        "import numpy as np\nclass M:\n    def __init__(self): self.m = np.zeros((2, 3))\n    def row(self, i): return self.m[i]\n"
        "    def total(self): return float(self.m.sum())",
        "m = M()\n    r = m.row(0)\n    assert m.total() == 0\n    r[0] = 5\n    assert m.total() == 5",
    ),
    "by columns": ("import numpy as np\ndef f(x): return np.asfortranarray(x)", "assert np.isfortran(f(np.zeros((2, 3))))"),
    "what stands for masked items": (
        "import numpy as np\ndef f(): return np.ma.array([1, 2], mask=[0, 1], fill_value=7)",
        "assert f().filled().tolist() == [1, 7]",
    ),
    "what no mask is": ("import numpy as np\ndef f(): return np.ma.array([1, 2])", "assert f().mask is np.ma.nomask"),
    "small numbers behind a mask": (
        "import numpy as np\ndef f(x): return x + np.int16(1)",
        "r = f(np.ma.array([1, 2], mask=[0, 1], dtype='i2'))\n    assert r.mask.tolist() == [False, True] and r[0] == 2",
    ),
    "bytes that are looked at": (
        "def f(b):\n    try: b.extend(b'x')\n    except BufferError: pass\n    return len(b) > 1",
        "b = bytearray(b'ab')\n    m = memoryview(b)\n    assert f(b)\n    assert bytes(m) == b'ab'",
    ),
    "a lock in an argument, later": (
        "def f(x): return len(x)",
        "import threading\n    class K: pass\n    x = [1]\n    assert f(x) == 1\n    x.append(threading.Lock())",
    ),
    "a tensor of another size in its place": (
        "import torch\ndef f(x):\n    x.data = torch.ones(5)\n    return x",
        "import torch\n    x = torch.zeros(3)\n    r = f(x)\n    assert r is x and x.tolist() == [1] * 5",
    ),
    "many rows of one array": (
        "import numpy as np\nM = np.zeros((3, 2))\ndef row(i): return M[i % 3]",
        "rows = [row(i) for i in range(600)]\n    rows[0][0] = 1\n    assert row(3)[0] == 1 and rows[3][0] == 1",
    ),
}
"""Right work beside it."""


@pytest.mark.parametrize("name", FRESH)
def test_right_work_beside_what_copies_would_hide_is_accepted(heavy, name):
    code, body = FRESH[name]
    assert is_right(judged(heavy, code, f"import numpy as np\nfrom candidate import *\ndef test_a():\n    {body}"))
