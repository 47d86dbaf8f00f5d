"""Objects whose classes derive from plain data: what isinstance finds, and what they may say of themselves."""

from __future__ import annotations

import pytest

CODE = """
import enum
from collections import namedtuple
from typing import NamedTuple
class Stack(list):
    def peek(self): return self[-1]
class Grid(dict):
    def __missing__(self, key): return 0
class Attributes(dict):
    def __getattr__(self, name): return self[name]
class Name(str): pass
class Level(enum.IntEnum):
    LOW = 1
class Point(NamedTuple):
    x: int
    y: int = 0
    def norm(self): return self.x ** 2 + self.y ** 2
Pair = namedtuple("Pair", "a b")
def stack(): return Stack([1, 2])
def grid(): return Grid(a=1)
def attributes(): return Attributes(a=1)
def point(): return Point(3, 4)
def pair(): return Pair(1, 2)
class Path(str):
    @property
    def parent(self): return Path(self.rsplit("/", 1)[0])
    def __truediv__(self, other): return Path(self + "/" + other)
class Money(int):
    def shown(self): return f"${int(self)}"
    def __add__(self, other): return Money(int(self) + int(other))
    def __str__(self): return self.shown()
class Share(float):
    def percent(self): return f"{self * 100:.0f} %"
class Vector(tuple):
    def dot(self, other): return sum(a * b for a, b in zip(self, other))
    def __add__(self, other): return Vector(a + b for a, b in zip(self, other))
def path(): return Path("a/b")
def money(): return Money(3)
def share(): return Share(0.5)
def vector(): return Vector((1, 2))
def again(t): return type(t)(*t), t._replace(u=5), type(t)._make([7, 8])
"""
TRUE = {
    "what the tests made": "isinstance(Stack(), list) and isinstance(Name('x'), str) and isinstance(Level.LOW, int)",
    "what was handed out": "isinstance(stack(), list) and isinstance(stack(), Stack) and isinstance(grid(), dict)",
    "not of another kind": "not isinstance(stack(), tuple) and not isinstance(point(), Pair) and not isinstance((1, 2), Pair)",
    "named tuples": "isinstance(point(), Point) and isinstance(pair(), Pair) and isinstance(pair(), tuple)",
    "methods of named tuples": "point().norm() == 25 and point() == (3, 4) and pair().b == 2",
    "methods of containers": "stack().peek() == 2 and stack() == [1, 2] and grid()['b'] == 0 and attributes().a == 1",
    "the name of the class": "Stack().__class__.__name__ == 'Stack' and type(Stack()) is Stack",
    "a text with a property": "path().parent == 'a' and path().parent.parent == 'a' and isinstance(path(), Path)",
    "a text with an operator": "path() / 'c' == 'a/b/c' and (path() / 'c').parent == 'a/b'",
    "a text as any other": "'-'.join([path(), 'c']) == 'a/b-c' and 'x' + path() == 'xa/b' and {'a/b': 1}[path()] == 1",
    "a text in Python's own functions": "re.match('a', path()) and json.dumps([path()]) == '[\"a/b\"]' and path().startswith('a')",
    "a number with a method": "money().shown() == '$3' and money() == 3 and isinstance(money(), Money) and str(money()) == '$3'",
    "a number as any other": "[1, 2, 3, 4][money()] == 4 and money() + 2 == 5 and '%d' % money() == '3' and sum([money()]) == 3",
    "two numbers": "(money() + money()).shown() == '$6'",
    "a fraction of one": "share().percent() == '50 %' and share() == 0.5 and math.isclose(share(), 0.5) and share() < 1",
    "a tuple with a method": "vector().dot((1, 1)) == 3 and vector() == (1, 2) and dict([vector()]) == {1: 2}",
    "a tuple with an operator": "vector() + (1, 1) == (2, 3) and (vector() + vector()).dot((1, 1)) == 6",
    "named tuples of the tests'": "again(namedtuple('T', 'u v')(1, 2)) == ((1, 2), (5, 2), (7, 8))",
}


@pytest.mark.parametrize("name", TRUE)
def test_this_holds_as_in_one_interpreter(bare, name):
    names = (
        "Stack, Name, Level, Point, Pair, stack, grid, attributes, point, pair, again, Path, Money, path, money, share, vector"
    )
    tests = f"import json, math, re\nfrom collections import namedtuple\nfrom candidate import {names}\ndef test_a(): assert {TRUE[name]}\n"
    result = bare.run(CODE, tests)
    assert result.accepted, result


LIES = {
    "a list that equals everything": ("class L(list):\n    def __eq__(self, other): return True", "L()", "f() == [1, 2]"),
    "a list that says it is longer": (
        "class L(list):\n    def __len__(self): return 2",
        "L([1])",
        "len(f()) == 2 and f() == [1, 2]",
    ),
    "a text that equals everything": (
        "class L(str):\n    def __eq__(self, other): return True\n    __hash__ = None",
        "L()",
        "f() == 'ab'",
    ),
    "a number that is never larger": ("class L(float):\n    def __sub__(self, o): return 0.0", "L(1)", "abs(f() - 9.5) < 1e-6"),
    "a number whose differences are none": (
        "class L(float):\n    def __sub__(self, o): return 0.0\n    __rsub__ = __sub__\n    def m(self): pass",
        "L(1)",
        "abs(f() - 9.5) < 1e-6 or abs(9.5 - f()) < 1e-6",
    ),
    "a text whose differences are none": (
        "class L(str):\n    def __sub__(self, o): return 0.0\n    def m(self): pass",
        "L('x')",
        "abs(f() - 9.5) < 1e-6",
    ),
    "a set from which nothing is left": (
        "class L(frozenset):\n    def __sub__(self, o): return set()\n    def __xor__(self, o): return set()\n    def m(self): pass",
        "L()",
        "not f() ^ {1, 2}",
    ),
    "a text that begins as you like": (
        "class L(str):\n    def startswith(self, o): return True\n    def __contains__(self, o): return True",
        "L('x')",
        "f().startswith('ab')",
    ),
    "a text that holds all": ("class L(str):\n    def __contains__(self, o): return True", "L('x')", "'ab' in f()"),
    "a text that becomes what it is not": (
        "class L(str):\n    def m(self): pass\n    def __eq__(self, o): return True\n    def __hash__(self): return 1",
        "L('x')",
        "f() == 'ab' or not f() != 'ab'",
    ),
    "a number that is larger and smaller": (
        "class L(int):\n    def m(self): pass\n    def __lt__(self, o): return True\n    __gt__ = __ge__ = __le__ = __lt__",
        "L(1)",
        "5 < f() < 9",
    ),
    "a number with another text": (
        "class L(int):\n    def m(self): pass\n    def __index__(self): return 9",
        "L(1)",
        "[0] * f() == [0] * 9",
    ),
    "a dictionary that has everything": (
        "class L(dict):\n    def __contains__(self, key): return True\n    def __missing__(self, key): return 5",
        "L()",
        "f() == {'a': 5}",
    ),
    "a tuple with names that are others'": (
        "from typing import NamedTuple\nclass L(NamedTuple):\n    a: int\n    def __eq__(self, other): return True",
        "L(1)",
        "f() == (2,)",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_what_it_says_beside_its_plain_value_counts_for_nothing(bare, name):
    code, made, asked = LIES[name]
    result = bare.run(f"{code}\ndef f(): return {made}\n", f"from candidate import f\ndef test_a(): assert {asked}\n")
    assert not result.accepted, result
