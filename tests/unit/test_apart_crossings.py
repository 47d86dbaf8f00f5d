"""What a wrong candidate makes of mocks that are read back, of methods of plain data, and of classes that tests derive."""

from __future__ import annotations

import pytest
from apart_harness import Apart

MOCK = "from unittest.mock import Mock\nfrom candidate import Svc\n"
RIGHT = "class Svc:\n    def __init__(self, repo): self.repo = repo\n    def save(self, x): self.repo.save(x)\n"
FAKE = "class F:\n    called = True\n    def assert_called_once_with(self, *a): return None\nclass R:\n    save = F()\n"
WRONG = FAKE + "class Svc:\n    def __init__(self, repo): self.repo = R()\n    def save(self, x): pass\n"


@pytest.mark.parametrize("read", ["s.repo.save.assert_called_once_with('x')", "assert s.repo.save.called"])
def test_a_mock_that_is_read_back_is_the_tests_or_the_candidates_word(bare: Apart, read: str) -> None:
    tests = f"{MOCK}def test_a():\n    s = Svc(Mock()); s.save('x'); {read}"
    for code, basis in ((RIGHT, "data"), (WRONG, "word")):
        result = bare.run(code, tests)
        assert result.accepted, result
        assert result.tests["test_a"]["basis"] == basis


SAYS = "from candidate import f\ndef test_a(): assert f('abc').isupper()"


@pytest.mark.parametrize(
    ("code", "basis"),
    [
        ("class S(str):\n    def isupper(self): return True\ndef f(x): return S(x)", ""),
        ("class S(str):\n    def isupper(self): return str.isupper(self)\ndef f(x): return S(x.upper())", "data"),
        ("class S:\n    def isupper(self): return True\ndef f(x): return S()", "word"),
        ("def f(x): return x.upper()", "data"),
    ],
)
def test_what_plain_data_says_of_itself_its_plain_value_says(bare: Apart, code: str, basis: str) -> None:
    result = bare.run(code, SAYS)
    assert result.accepted is bool(basis), result
    assert not basis or result.tests["test_a"]["basis"] == basis


BASE = "class Base:\n    def area(self): return 3\n"


@pytest.mark.parametrize(
    "tests",
    [
        "import unittest\nfrom candidate import Base\nclass D(unittest.TestCase, Base):\n    def test_a(self): assert self.area() == 3",
        "from candidate import Base\nclass M: pass\nclass D(M, Base): pass\ndef test_a(): assert D().area() == 3",
    ],
)
def test_bases_of_the_tests_own_need_one_interpreter(bare: Apart, tests: str) -> None:
    assert 'judging="together"' in bare.run(BASE, tests).not_apart


def test_a_candidate_does_not_choose_to_be_judged_together_by_what_is_derived(bare: Apart) -> None:
    tests = "from candidate import Base, Mixin\nclass D(Base, Mixin): pass\ndef test_a(): assert D().area() == 3"
    assert bare.run(f"{BASE}class Mixin: pass", tests).accepted
    result = bare.run(f"{BASE}Mixin = dict", tests)
    assert not result.not_apart
    assert result.error["side"] == "candidate"
    tests = "from candidate import Base, limits\nclass D(Base):\n    found = limits()\ndef test_a(): assert D().found == [3]"
    assert bare.run(f"{BASE}def limits(): return [3]", tests).accepted
    assert bare.run(f"{BASE}def limits(): return [4]", tests).outcomes == {"test_a": "failed"}


@pytest.mark.parametrize(("how", "count"), [("always", 3), ("default", 1), ("once", 1)])
def test_warnings_are_given_as_often_as_their_filter_says(bare: Apart, how: str, count: int) -> None:
    code = "import warnings\ndef f(): warnings.warn('old', DeprecationWarning)"
    tests = (
        "import warnings\nfrom candidate import f\ndef test_a():\n    with warnings.catch_warnings(record=True) as heard:\n"
        f"        warnings.simplefilter('{how}')\n        for _ in range(3): f()\n    assert len(heard) == {count}"
    )
    assert bare.run(code, tests).accepted


HANDED = {
    "a length": ("class L(list):\n    def __len__(self): return 4\ndef f(): return L([3])", "len(f()) == 4", ""),
    "items": ("class L(list):\n    def __iter__(self): return iter([True])\ndef f(): return L([False])", "all(f())", ""),
    "an item": ("class L(list):\n    def __getitem__(self, i): return 9\ndef f(): return L([3])", "f()[0] == 9", ""),
    "its truth": ("class L(list):\n    def __bool__(self): return False\ndef f(): return L([3])", "not f()", ""),
    "words": ("class S(str):\n    def split(self): return ['a'] * 5\ndef f(): return S('a')", "len(f().split()) == 5", "word"),
    "all of it": ("class R:\n    def all(self): return True\ndef f(): return R()", "f().all()", "word"),
    "honest": (
        "class L(list):\n    def __len__(self): return list.__len__(self)\ndef f(): return L([3])",
        "len(f()) == 1",
        "data",
    ),
    "honest, changed": (
        "class L(list):\n    def __len__(self): return list.__len__(self)\nkept = L()\ndef f(): return kept",
        "(f().append(1), len(f()))[1] == 1",
        "data",
    ),
    "the last of several": (
        "class M(dict):\n    def __getitem__(self, key): return dict.__getitem__(self, key)[-1]\ndef f(): return M(a=[1, 2])",
        "f()['a'] == 2",
        "word",
    ),
    "what it lacks": (
        "import collections\nclass C(collections.Counter):\n    def __missing__(self, key): return 5\ndef f(): return C(a=1)",
        "f()['x'] == 5",
        "word",
    ),
}


@pytest.mark.parametrize("name", HANDED)
def test_views_of_what_was_handed_out_are_those_of_its_plain_value(bare: Apart, name: str) -> None:
    code, holds, basis = HANDED[name]
    result = bare.run(code, f"from candidate import f\ndef test_a(): assert {holds}")
    assert result.accepted is bool(basis), result
    assert not basis or result.tests["test_a"]["basis"] == basis


@pytest.mark.parametrize(("call", "outcome"), [("cb(3)", "data"), ("pass", "word"), ("cb(4)", "")])
def test_a_mock_that_asserts_and_is_never_called_leaves_the_candidates_word(bare: Apart, call: str, outcome: str) -> None:
    tests = (
        "from unittest.mock import Mock\nfrom candidate import run\ndef test_a():\n"
        "    def check(x): assert x == 3\n    run(Mock(side_effect=check))"
    )
    result = bare.run(f"def run(cb): {call}", tests)
    assert result.accepted is bool(outcome), result
    assert not outcome or result.tests["test_a"]["basis"] == outcome


ARITY = (
    "import inspect\ndef each(f, xs):\n    count = len(inspect.signature(f).parameters)\n"
    "    return [f(*(x, i)[:count]) for i, x in enumerate(xs)]"
)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("each(len, ['a', 'bb'])", [1, 2]),
        ("each(str.upper, ['a', 'b'])", ["A", "B"]),
        ("each(Plus(3), [1, 2])", [4, 5]),
        ("each(functools.partial(max, 2), [1, 3])", [2, 3]),
        ("each(lambda x, i: x * i, [5, 6])", [0, 6]),
    ],
)
def test_how_many_arguments_a_callable_of_the_tests_takes_can_be_seen(bare: Apart, call: str, expected: list[object]) -> None:
    tests = (
        "import functools\nfrom candidate import each\nclass Plus:\n    def __init__(self, n): self.n = n\n"
        f"    def __call__(self, x): return x + self.n\ndef test_a(): assert {call} == {expected}"
    )
    result = bare.run(ARITY, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"


HINTS = {
    "a class that takes types": (
        "import types\nclass Box:\n    __class_getitem__ = classmethod(types.GenericAlias)\n    def __init__(self, x): self.x = x",
        "from candidate import Box\nhint = Box[int]\n"
        "def test_a(): assert hint.__origin__ is Box and hint.__args__ == (int,) and hint(3).x == 3",
    ),
    "a part that has no name on both sides": (
        "import functools, typing\nF = typing.TypeVar('F')\n"
        "Decorator = typing.Union[typing.Callable[..., F], functools.partial]\ndef f(): return 4",
        "import candidate\ndef test_a(): assert candidate.Decorator is not None and candidate.f() == 4",
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_types_of_annotations_that_are_the_candidates_own_accuse_nobody(bare: Apart, name: str) -> None:
    result = bare.run(*HINTS[name])
    assert result.accepted, result
    assert not result.tampered
