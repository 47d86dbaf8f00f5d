"""Objects whose classes derive from plain data: what isinstance finds, and what they may say of themselves."""

from __future__ import annotations

import re

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


OWN_WAYS = {
    "money": (
        """
class Money(int):
    def __new__(cls, amount, unit="EUR"):
        made = super().__new__(cls, amount)
        made.unit = unit
        return made
    def __add__(self, other): return Money(int(self) + int(other))
    __radd__ = __add__
    def __str__(self): return f"{int(self)} {self.unit}"
def f(n): return Money(n)
""",
        [
            "str(f(3) + 2) == '5 EUR' and f(3) + 2 == 5 and sum([f(3), f(4)]) == 7",
            "type(f(3)) is Money and issubclass(Money, int) and isinstance(Money(3) + 2, Money)",
            "Money(3, 'USD').unit == 'USD' and f(3).unit == 'EUR' and json.dumps([Money(3), f(4)]) == '[3, 4]'",
            "f'{f(3)}' == '3 EUR' and vars(f(3)) == {'unit': 'EUR'}",
        ],
        ["f(3) + 2 == 6", "str(f(3)) == '3'", "f(3).unit == 'USD'", "type(f(3)) is int"],
    ),
    "wrong operators": (
        """
class Number(int):
    def __add__(self, other): return Number(int(self) + int(other) + 1)
    def __lt__(self, other): return int(self) > int(other)
    def __eq__(self, other): return int(self) != int(other)
    def __hash__(self): return 1
    def __mul__(self, other): return Number(7)
    def __neg__(self): return Number(5)
def f(n): return Number(n)
""",
        [],
        [
            *("f(3) + 2 == 5", "f(3) < 5", "f(3) == 3", "f(3) * 2 == 6", "-f(3) == -3", "f(3) < f(4)", "f(3) == f(3)"),
            *("Number(3) + 2 == 5", "Number(3) < 5", "Number(3) == 3", "Number(3) * 2 == 6", "-Number(3) == -3"),
            *("Number(3) < Number(4)", "sorted([f(3), f(1)]) == [1, 3]", "max(f(1), f(4)) == 4"),
        ],
    ),
    "a vector": (
        """
class Vector(tuple):
    def __new__(cls, *items): return super().__new__(cls, items)
    def __add__(self, other): return Vector(*(a + b for a, b in zip(self, other)))
    def __sub__(self, other): return Vector(*(a - b for a, b in zip(self, other)))
    def __mul__(self, by): return Vector(*(a * by for a in self))
    __rmul__ = __mul__
    def __neg__(self): return self * -1
    def __abs__(self): return sum(a * a for a in self) ** 0.5
    def __matmul__(self, other): return sum(a * b for a, b in zip(self, other))
def f(*items): return Vector(*items)
""",
        [
            "f(1, 2) + (3, 4) == (4, 6) and f(3, 4) - (1, 1) == (2, 3) and 2 * f(1, 2) == (2, 4) and -f(1, 2) == (-1, -2)",
            "abs(f(3, 4)) == 5 and f(1, 2) @ f(3, 4) == 11 and f(1, 2) @ (3, 4) == 11",
            "Vector(1, 2) + Vector(3, 4) == Vector(4, 6) and Vector(1, 2) * 2 == (2, 4) and (9,) + Vector(1, 2) == (9, 1, 2)",
        ],
        ["f(1, 2) + (3, 4) == (1, 2, 3, 4)", "f(1, 2) * 2 == (1, 2, 1, 2)", "Vector(1, 2) * 2 == (1, 2, 1, 2)"],
    ),
    "a text without case": (
        """
class Text(str):
    def __eq__(self, other): return self.lower() == other.lower()
    def __hash__(self): return hash(self.lower())
    def __contains__(self, other): return other.lower() in self.lower()
    def __add__(self, other): return Text(str(self) + str(other))
def f(text): return Text(text)
""",
        [
            "Text('AbC') == 'abc' and 'bc' in Text('ABC') and Text('Hello') + ' World' == 'hello world'",
            "hash(Text('A')) == hash(Text('a')) and len({Text('A'), Text('a'), Text('b')}) == 2 and {'abc': 1}[Text('ABC')] == 1",
            "f('a') == 'a' and f('A') == f('a')",
        ],
        ["f('AbC') == 'abc'", "'bc' in f('ABC')", "Text('AbC') == 'abd'", "len({Text('A'), Text('a')}) == 2"],
    ),
    "a number modulo seven": (
        """
class Mod(int):
    def __new__(cls, n): return super().__new__(cls, n % 7)
    def __add__(self, other): return Mod(int(self) + int(other))
    def __mul__(self, other): return Mod(int(self) * int(other))
    def __eq__(self, other): return int(self) == int(other) % 7
    def __hash__(self): return int(self)
def f(n): return Mod(n)
""",
        [
            "Mod(5) + 4 == 2 and Mod(5) == 12 and (Mod(5) + 4) * 5 == 3 and Mod(5) + Mod(4) == Mod(2)",
            "f(9) == 2 and f(1) + 1 == 2",
        ],
        ["f(5) + 4 == 2", "f(5) == 12", "Mod(5) + 4 == 3"],
    ),
    "other protocols": (
        """
class Ring(tuple):
    def __getitem__(self, place): return super().__getitem__(place % len(self))
class Poly(tuple):
    def __call__(self, x): return sum(part * x ** place for place, part in enumerate(self))
class Text(str):
    kind = "text"
    title = property(lambda self: "T:" + self)
    def __repr__(self): return f"<{self}>"
def f(): return Ring("abc"), Poly((1, 2)), Text("abc")
""",
        [
            "f()[0][4] == 'b' and f()[1](2) == 5 and f()[2].title == 'T:abc' and repr(f()[2]) == '<abc>' and f()[2].kind == 'text'",
            "Ring('abc')[4] == 'b' and '-'.join([Text('a'), 'b']) == 'a-b' and re.match('a', Text('abc'))",
        ],
        ["f()[2].title() == 'Abc'", "repr(f()[2]) == \"'abc'\"", "f()[0][4] == 'c'"],
    ),
    "enumerations and named tuples": (
        """
import enum
from typing import NamedTuple
class Color(enum.IntEnum):
    RED = 1
    label = property(lambda self: self.name.title())
class Kind(enum.StrEnum):
    BEE = "bee"
class Point(NamedTuple):
    x: int
    y: int
    def __repr__(self): return f"<{self.x}, {self.y}>"
def f(): return Color.RED, Kind.BEE, Point(1, 2)
""",
        [
            "f()[0] is Color.RED and f()[0].label == 'Red' and json.dumps(f()[0]) == '1' and type(f()[0]) is Color",
            "'-'.join(['a', f()[1]]) == 'a-bee' and f()[1].startswith('b') and 'x' + f()[1] == 'xbee'",
            "repr(f()[2]) == '<1, 2>' and f()[2] == (1, 2) and '%d-%d' % Point(1, 2) == '1-2'",
        ],
        ["repr(f()[2]) == 'Point(x=1, y=2)'", "f()[0].label == 'RED'", "f()[0] == 2"],
    ),
    "containers": (
        """
class Matrix(list):
    def __add__(self, other): return Matrix([a + b for a, b in zip(self, other)])
    def __repr__(self): return "Matrix"
class Settings(dict):
    def __init__(self, source):
        super().__init__(a=1)
        self.source = source
def f(): return Matrix([1, 2]), Settings("file")
""",
        ["f()[0] + [1, 1] == [2, 3] and repr(f()[0]) == 'Matrix' and f()[1].source == 'file' and f()[1] == {'a': 1}"],
        ["f()[0] + [1, 1] == [1, 2, 1, 1]", "repr(f()[0]) == '[1, 2]'"],
    ),
    "what says that it is right": (
        """
class Number(float):
    def __sub__(self, other): return Number(0)
    __rsub__ = __sub__
    def __abs__(self): return Number(0)
    def __mul__(self, other): return Number(1)
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __hash__(self): return hash(9.5)
class Vector(tuple):
    def __sub__(self, other): return Vector((0, 0))
    def __eq__(self, other): return True
    def __hash__(self): return 1
class Text(str):
    def __sub__(self, other): return ""
    def startswith(self, other): return True
    def __len__(self): return 9
def f(): return Number(1)
def g(): return Vector((1, 2))
def h(): return Text("x")
""",
        [],
        [
            *(
                "abs(f() - 9.5) < 1e-6",
                "abs(9.5 - f()) < 1e-6",
                "f() == 9.5",
                "5 < f() < 9",
                "f() * 3 == 1",
                "{9.5: 1}[f()] == 1",
            ),
            *("g() == (5, 6)", "g() - (5, 6) == (0, 0)", "all(abs(x) < 1e-6 for x in g() - (5, 6))", "Vector((1, 2)) == (5, 6)"),
            *("not h() - 'ab'", "h().startswith('ab')", "len(h()) == 9"),
        ],
    ),
}


@pytest.mark.parametrize("name", OWN_WAYS)
def test_operators_of_its_own_count_as_far_as_its_plain_value_agrees_or_the_tests_made_it(bare, name):
    code, holds, fails = OWN_WAYS[name]
    names = [word for word in ("f", "g", "h") if f"def {word}(" in code] + re.findall(r"^class (\w+)", code, re.MULTILINE)
    tests = f"import json, re\nfrom candidate import {', '.join(names)}\n"
    expected = {}
    for outcome, asked in (("passed", holds), ("failed", fails)):
        for one in asked:
            test = f"test_{len(expected)}"
            tests += f"def {test}(): assert {one}\n"
            expected[test] = (one, outcome)
    result = bare.run(code, tests)
    assert {asked: result.outcomes[test] for test, (asked, _) in expected.items()} == dict(expected.values()), result


def test_a_plain_value_that_agrees_is_data_and_another_of_what_the_tests_made_a_word(bare):
    code = OWN_WAYS["a number modulo seven"][0]
    tests = "from candidate import Mod, f\ndef test_data(): assert f(9) + 1 == 3\ndef test_word(): assert Mod(5) + 4 == 2\n"
    result = bare.run(code, tests)
    assert [result.tests[name]["basis"] for name in ("test_data", "test_word")] == ["data", "word"], result


def test_an_object_that_shows_another_value_does_not_learn_with_what_it_is_compared(bare):
    code = """
seen = []
class Number(int):
    def __eq__(self, other):
        seen.append(other)
        return int(self) == other
    __hash__ = int.__hash__
def f(n): return Number(seen[-1] if len(seen) == 1 else 5)
"""
    tests = "from candidate import f\ndef test_a():\n    f(1) == 7\n    assert f(1) == 7\n"
    assert not bare.run(code, tests).accepted


def test_scalars_of_a_library_are_what_they_are(heavy):
    code = "import numpy as np\nclass Temp(float): unit = 'C'\ndef f(): return np.float64(2.5), Temp(2.5)\n"
    tests = (
        "import numpy as np\nfrom candidate import Temp, f\ndef test_a():\n    number, temp = f()\n"
        "    assert type(number) is np.float64 and number == 2.5 and type(temp) is Temp and temp.unit == 'C'\n"
        "    assert np.allclose([number, temp], 2.5) and np.asarray(temp).dtype == 'float64'\n"
    )
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"
