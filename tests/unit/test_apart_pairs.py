"""Objects that the candidate handed out and that are compared with each other: whatever they answer, that is its word."""

from __future__ import annotations

import pytest

CODE = """
class E:
    def __init__(self, key): self.key = key
    def __eq__(self, other): return {0}
    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = equals = __eq__
    def __hash__(self): return 1
def f(n): return [E(1), E(0), E(2)][:n]
"""
ASKED = [
    *("r == sorted(r)", "min(r) is not None", "max(r[0], r[1]) is not None", "r[0] <= r[1] or True", "r[0] == r[0] or True"),
    *("bisect.bisect(r, r[1]) >= 0", "heapq.nsmallest(1, r)[0] is not None", "list(heapq.merge(r, f(2)))"),
    *(
        "r[0] in f(3) or True",
        "f(3).count(r[0]) >= 0",
        "len(set(r)) > 0",
        "len(dict.fromkeys(r + f(3))) > 0",
        "r == f(3) or True",
    ),
    *("r != f(3) or True", "r[1] in r[0] or True", "hash(r[0]) == hash(r[1])", "r[0].equals(r[1]) or True"),
]
METHODS = [
    "assertCountEqual(r, f(3))",
    "assertListEqual(sorted(r), r)",
    "assertSetEqual(set(r), set(f(3)))",
    "assertLess(r[0], r[1])",
]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("asked", ASKED)
def test_what_two_objects_say_of_each_other_is_never_more_than_a_word(bare, asked, answer):
    tests = f"import bisect, heapq\nfrom candidate import f\ndef test_a():\n    r = f(3)\n    assert {asked}\n"
    result = bare.run(CODE.format(answer), tests)
    assert not result.accepted or result.tests["test_a"]["basis"] == "word", result


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("asked", METHODS)
def test_unittest_takes_it_for_no_more_either(bare, asked, answer):
    tests = f"import unittest\nfrom candidate import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        r = f(3)\n        self.{asked}\n"
    result = bare.run(CODE.format(answer), tests)
    assert not result.accepted or result.tests["T::test_a"]["basis"] == "word", result


def test_what_they_show_as_data_is_data(bare):
    tests = "from candidate import f\ndef test_a():\n    r = f(3)\n    assert [e.key for e in sorted(r, key=lambda e: e.key)] == [0, 1, 2]\n"
    result = bare.run(CODE.format(True), tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"


BAG = """
class Bag:
    def __init__(self, items=()): self.items = set(items)
    def __isub__(self, other):
        self.items -= set(other)
        return {0}
    def __eq__(self, other): return {1}
    def __hash__(self): return 1
"""


def test_an_object_that_the_tests_made_stays_theirs_in_its_own_place(bare):
    code = BAG.format("self", "self.items == set(other)")
    tests = "from candidate import Bag\ndef test_a():\n    b = Bag([1, 2, 3])\n    b -= [1]\n    b -= [2]\n    assert b == {3}\n"
    assert bare.run(code, tests).accepted


def test_another_object_in_its_place_is_not_theirs(bare):
    code = BAG.format("Bag()", "True") + "class X(Bag): pass\n"
    tests = "from candidate import Bag\ndef test_a():\n    b = Bag([1, 2, 3])\n    b -= [1]\n    assert b == {2, 3}\n"
    assert not bare.run(code, tests).accepted


KEYS = """
import itertools
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return {equal}
    def __hash__(self): return {hashed}
count = itertools.count()
def f(x): return Point(x)
"""
RIGHT = {"equal": "isinstance(other, Point) and other.x == self.x", "hashed": "hash(self.x)"}
HOLD = (
    "hash(Point('a')) == hash(Point('a'))",
    "{Point(1): 'a'}[Point(1)] == 'a' and {f(1): 'a'}[f(1)] == 'a'",
    "len({Point(1), Point(1)}) == 1 and len({Point(1), Point(2)}) == 2 and Point(3) not in {Point(1)}",
)
LIES = {
    "hashes that differ": ({"hashed": "next(count)"}, HOLD),
    "equal to itself alone": ({"equal": "self is other"}, HOLD[1:]),
    "equal to all": (
        {"equal": "True", "hashed": "hash(5)"},
        ("len({Point(1), Point(2)}) == 2", "f(1) in {5, 6}", "{5} == {f(1)}"),
    ),
}


@pytest.mark.parametrize("asked", HOLD)
def test_objects_are_keys_on_the_word_of_their_class(bare, asked):
    result = bare.run(KEYS.format(**RIGHT), f"from candidate import Point, f\ndef test_a(): assert {asked}\n")
    assert result.accepted, result


@pytest.mark.parametrize(("ways", "asked"), [(ways, one) for ways, asked in LIES.values() for one in asked])
def test_wrong_keys_are_no_keys(bare, ways, asked):
    result = bare.run(KEYS.format(**(RIGHT | ways)), f"from candidate import Point, f\ndef test_a(): assert {asked}\n")
    assert not result.accepted, result
