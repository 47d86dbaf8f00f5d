"""A StopIteration of the candidate's ends no loop of the tests', whatever they mention; where they wait for one, it comes."""

from __future__ import annotations

import pytest
from apart_harness import Apart

CODE = """
class Counter:
    def __init__(self, n): self.n, self.at = n, 0
    def __iter__(self): return self
    def __next__(self):
        if self.at >= self.n: raise StopIteration
        self.at += 1
        return self.at
    def advance(self): return self.__next__()
def count(n): yield from range(1, n + 1)
def f(x): raise StopIteration
def peek(items): raise StopIteration("nothing left")
"""
IMPORTS = "import pytest, unittest, contextlib\nfrom candidate import Counter, count, f, peek\nCASES = [(1, 1), (2, 4)]\n"
MENTIONS = "def test_end():\n    with pytest.raises(StopIteration): next(iter([]))\n"


@pytest.mark.parametrize(
    "body",
    [
        "    assert all(map(lambda c: f(c[0]) == c[1], CASES))",
        "    assert next(filter(lambda c: f(c[0]) != c[1], CASES), None) is None",
        "    for x, (_, y) in zip(map(f, [1, 2]), CASES): assert x == y",
        "    assert [x for x in map(lambda c: f(c[0]) - c[1], CASES) if x] == []",
        "    it = count(0)\n    assert all(map(lambda c: next(it) == c[1], CASES))",
        "    it = Counter(0)\n    assert all(map(lambda c: next(it) == c[1], CASES))",
        "    it = Counter(2)\n    try:\n        while True:\n            x = next(it)\n            assert f(x) == x * x\n    except StopIteration: pass",
    ],
)
@pytest.mark.parametrize("before", ["", MENTIONS])
def test_it_ends_no_loop_of_the_tests(bare: Apart, body: str, before: str) -> None:
    result = bare.run(CODE, f"{IMPORTS}{before}def test_a():\n{body}")
    assert result.outcomes["test_a"] == "failed", result


HONEST = [
    "    with pytest.raises(StopIteration): peek([])",
    "    with pytest.raises(StopIteration, match='nothing'): peek([])",
    "    pytest.raises(StopIteration, peek, [])",
    "    with contextlib.suppress(StopIteration): peek([])",
    "    with pytest.raises((StopIteration, KeyError)): Counter(0).advance()",
    "    try: peek([])\n    except StopIteration: return\n    assert 1 == 2",
    "    it = count(2)\n    assert (next(it), next(it)) == (1, 2)\n    with pytest.raises(StopIteration): next(it)",
    "    it = Counter(1)\n    assert [next(it, 7), next(it, 7)] == [1, 7]",
    "    it, found = Counter(3), []\n    try:\n        while True: found.append(next(it))\n    except StopIteration: pass\n    assert found == [1, 2, 3]",
    "    assert list(Counter(3)) == [1, 2, 3] and list(zip(count(2), 'ab')) == [(1, 'a'), (2, 'b')]",
    "    class Twice:\n        def __init__(self): self.it = count(2)\n        def __iter__(self): return self\n        def __next__(self): return 2 * next(self.it)\n    assert list(Twice()) == [2, 4]",
]


@pytest.mark.parametrize("body", HONEST)
def test_where_the_tests_wait_for_it_it_comes(bare: Apart, body: str) -> None:
    assert bare.run(CODE, f"{IMPORTS}def test_a():\n{body}").accepted


def test_unittest_waits_for_it_too(bare: Apart) -> None:
    tests = "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertRaises(StopIteration, next, count(0))\n        self.assertRaises(StopIteration, peek, [])"
    assert bare.run(CODE, IMPORTS + tests).accepted
