"""What the boundary itself refuses fails the test, and is not the error that the test waits for."""

from __future__ import annotations

import pytest
from apart_harness import Apart

AGREES = """
class V:
    def __init__(s,x=0): s.x=x
    def __add__(s,o): return V(0)
    def __lt__(s,o): return V(0)
    def __contains__(s,o): return True
    def __eq__(s,o): return V(1)
    def __ne__(s,o): return V(1)
    def __len__(s): return 3
    def __getitem__(s,i): return [1,2][i]
    __hash__=None
def mk(x): return V(x)
"""
REFUSES = """
class V:
    def __init__(s,x=0): s.x=x
    def __add__(s,o):
        if not isinstance(o,V): raise TypeError('no V')
        return V(s.x+o.x)
    def __lt__(s,o):
        if not isinstance(o,V): return NotImplemented
        return s.x<o.x
class N: pass
def mk(x): return V(x)
def no(): return N()

import enum
class Color(enum.Enum):
    RED=1
def color(): return Color
class S:
    def __init__(s,x): s.x=x
    def __contains__(s,o):
        if not isinstance(o,int): raise TypeError('no int')
        return o in s.x
    def issubset(s,o):
        if not isinstance(o,S): raise TypeError('no S')
        return set(s.x)<=set(o.x)
    def equals(s,o,**k):
        if not isinstance(o,S): raise TypeError('no S')
        return s.x==o.x
    def __matmul__(s,o): return NotImplemented
    def __iter__(s): return iter(s.x)
    def __len__(s): return len(s.x)
    def __getitem__(s,i):
        if not isinstance(i,int): raise TypeError
        return s.x[i]
class S2(S): __iter__=None
def s(): return S([1,2])
class Temp:
    def __init__(s,d): s.d=d
    def __lt__(s,o):
        if isinstance(o,(int,float)): return s.d<o
        raise TypeError('no')
    def __add__(s,o):
        if isinstance(o,(int,float)): return Temp(s.d+o)
        raise TypeError('no')
def temp(): return Temp(3)
"""


@pytest.mark.parametrize("asked", ["mk(1) + 'abc'", "mk(1) < 'abc'", "5 in mk(1)", "list(mk(1)) and len(mk(1))", "mk(1) + [2]"])
@pytest.mark.parametrize(
    "test",
    [
        "    with pytest.raises(TypeError): {}",
        "    try:\n        {}\n        assert 1 == 2\n    except TypeError: pass",
        "    found = 1\n    try:\n        {}\n        found = 2\n    except Exception: pass\n    assert found == 1",
    ],
)
def test_what_is_refused_is_no_error_that_tests_expect(bare: Apart, asked: str, test: str) -> None:
    result = bare.run(
        AGREES,
        f"import pytest\nfrom candidate import mk\ndef test_a():\n    it = mk(1)\n{test.format(asked.replace('mk(1)', 'it'))}",
    )
    assert not result.accepted, result
    assert not result.tests["test_a"]["proved"]


def test_what_is_refused_at_import_fails_all(bare: Apart) -> None:
    tests = "from candidate import mk\ntry:\n    mk(1) < 'abc'\n    BAD = True\nexcept TypeError:\n    BAD = False\ndef test_a(): assert not BAD"
    result = bare.run(AGREES, tests)
    assert not result.accepted, result
    assert result.error["side"] == "candidate"


def test_a_refusal_is_of_the_test_that_saw_it(bare: Apart) -> None:
    tests = "import pytest\nfrom candidate import mk\ndef test_a():\n    with pytest.raises(TypeError): mk(1) < 'abc'\ndef test_b(): assert mk(1).x == 1"
    assert bare.run(AGREES, tests).outcomes == {"test_a": "failed", "test_b": "passed"}


@pytest.mark.parametrize(
    "asked",
    [
        *(
            "mk(1) + 'abc'",
            "mk(1) < 'abc'",
            "5 in mk(1)",
            "mk(1) + 5",
            "5 + mk(1)",
            "mk(1) < 5",
            "no() + 5",
            "no() + 'a'",
            "no() < 5",
        ),
        *(
            "5 in no()",
            "len(no())",
            "'a' in no()",
            "list(no())",
            "no()[3]",
            "int(no())",
            "[1] + no()",
            "abs(no())",
            "5 in color()",
        ),
        *("s().issubset('abc')", "s().equals([1, 2])", "s().equals([1, 2], tol=1)", "s() @ 'a'", "s()['a']", "s() < 'a'"),
        *(
            "temp() < 'a'",
            "temp() + 'a'",
            "temp() + [1]",
            "temp() + None",
            "temp() < None",
            "sorted([temp(), 'a'])",
            "max(temp(), 'a')",
        ),
    ],
)
def test_what_an_object_itself_refuses_is_the_error_that_tests_expect(bare: Apart, asked: str) -> None:
    tests = (
        f"import pytest\nfrom candidate import mk, no, color, s, temp\ndef test_a():\n    with pytest.raises(TypeError): {asked}"
    )
    assert bare.run(REFUSES, tests).accepted


def test_an_error_that_an_object_raises_says_what_it_says(bare: Apart) -> None:
    tests = "from candidate import temp\ndef test_a():\n    try: temp() + 'x'\n    except TypeError as error: assert str(error) == 'no'\n    else: assert False"
    assert bare.run(REFUSES, tests).accepted


def test_an_object_that_shows_another_value_is_unequal(bare: Apart) -> None:
    tests = "from candidate import s\ndef test_a():\n    assert s() != [1, 3]\n    assert s() != 'a'\n    assert s() not in [1, 'a', None]\n    assert len(s()) == 2"
    assert bare.run(REFUSES, tests).accepted
