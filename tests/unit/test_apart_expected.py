"""Which tests there are is read from their source: the candidate makes none of them vanish, and is blamed for those that do."""

from __future__ import annotations

import ast

import pytest
from apart_harness import ROOM, Apart


def _names(tests: str) -> set[str]:
    import sys

    sys.path.insert(0, str(ROOM))
    try:
        from agent.expected import Reading
    finally:
        sys.path.remove(str(ROOM))
    return set(Reading(ast.parse(tests), "candidate").tests)


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ("def test_a(): pass\nasync def test_b(): pass\ndef helper(): pass", {"test_a", "test_b"}),
        ("import pytest\n@pytest.fixture\ndef test_client(): pass\ndef test_a(): pass", {"test_a"}),
        ("class TestA:\n    def test_a(self): pass\n    def helper(self): pass", {"TestA::test_a"}),
        ("class TestA:\n    class TestB:\n        def test_b(self): pass", {"TestA::TestB::test_b"}),
        ("class TestA:\n    def __init__(self): pass\n    def test_a(self): pass", set()),
        ("class TestA:\n    __test__ = False\n    def test_a(self): pass", set()),
        ("class Helper:\n    def test_a(self): pass", set()),
        ("import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass", {"A::test_a"}),
        (
            "from unittest import TestCase\nclass Base(TestCase):\n    def test_a(self): pass\nclass B(Base):\n    def test_b(self): pass\ndel Base",
            {"B::test_a", "B::test_b"},
        ),
        (
            "import unittest\nclass Mixin:\n    def test_a(self): pass\nclass B(Mixin, unittest.TestCase):\n    def test_b(self): pass",
            {"B::test_a", "B::test_b"},
        ),
        ("class TestA:\n    def test_a(self): pass\nclass TestB(TestA):\n    test_a = None", {"TestA::test_a"}),
        ("from enum import Enum\nclass TestKind(Enum):\n    def test_a(self): pass", set()),
        ("import sys\nif sys.version_info > (4,):\n    def test_a(): pass", set()),
        ("import candidate\nif hasattr(candidate, 'g'):\n    def test_g(): pass", {"test_g"}),
        ("try:\n    from candidate import g\n    def test_g(): pass\nexcept ImportError: pass", {"test_g"}),
        ("def test_a(): pass\ntest_a.__test__ = False", set()),
        ("def test_a(): pass\ndel test_a", set()),
    ],
)
def test_the_source_is_read_as_pytest_collects(tests: str, names: set[str]) -> None:
    assert _names(tests) == names


MADE_TO_VANISH = {
    "a decorator that gives a library's function": (
        "import os\ndef deco(f): return os.getpid",
        "from candidate import deco\n@deco\ndef test_a(): assert 1 == 2\ndef test_b(): pass",
    ),
    "a decorator in a class": (
        "import os\ndef deco(f): return os.getpid",
        "from candidate import deco\nclass TestA:\n    @staticmethod\n    @deco\n    def test_a(): assert 1 == 2\n    def test_b(self): pass",
    ),
    "a decorator that never calls": (
        "def deco(f): return lambda *a: None",
        "from candidate import deco\n@deco\ndef test_a(): assert 1 == 2\ndef test_b(): pass",
    ),
    "a decorator that leaves half-way": (
        "def deco(f):\n    def g(*a):\n        try: f(*a)\n        except ValueError: pass\n    return g\ndef f(x): raise ValueError",
        "from candidate import deco, f\n@deco\ndef test_a(): assert f(1) == 2\ndef test_b(): pass",
    ),
    "a decorator that gives a number": (
        "def deco(f): return 1",
        "from candidate import deco\n@deco\ndef test_a(): assert 1 == 2\ndef test_b(): pass",
    ),
    "a rebound helper": (
        "def cached(f): return lambda *a: None",
        "from candidate import cached\ndef check(a): assert a == 1\ncheck = cached(check)\ndef test_a(): check(2)",
    ),
    "a decorated helper": (
        "def cached(f): return lambda *a: None",
        "import pytest\nfrom candidate import cached\n@cached\ndef check(a): assert a == 1\nclass TestA:\n    def test_a(self): check(2)",
    ),
    "a condition": (
        "def f(): return 1",
        "import candidate\nif hasattr(candidate, 'g'):\n    def test_g(): assert candidate.g() == 1\ndef test_a(): assert candidate.f() == 1",
    ),
    "no parameters": (
        "def cases(): return []\ndef f(): return 1",
        "import pytest, candidate\n@pytest.mark.parametrize('x', candidate.cases())\ndef test_a(x): assert x\ndef test_b(): assert candidate.f() == 1",
    ),
    "no parameters through a name": (
        "def cases(): return []\ndef f(): return 1",
        "import pytest, candidate\nCASES = candidate.cases()\n@pytest.mark.parametrize('x', CASES)\ndef test_a(x): assert x\ndef test_b(): assert candidate.f() == 1",
    ),
    "a skip condition": (
        "READY = False\ndef f(): return 1",
        "import pytest\nfrom candidate import READY, f\n@pytest.mark.skipif(not READY, reason='later')\ndef test_a(): assert f() == 2\ndef test_b(): assert f() == 1",
    ),
    "a skip condition of unittest's": (
        "READY = False\ndef f(): return 1",
        "import unittest, candidate\nclass T(unittest.TestCase):\n    @unittest.skipUnless(candidate.READY, 'later')\n    def test_a(self): assert candidate.f() == 2\n    def test_b(self): pass",
    ),
    "a skip for its answer": (
        "def f(): return None",
        "import pytest\nfrom candidate import f\ndef test_a():\n    if f() is None: pytest.skip('not there')\n    assert f() == 1\ndef test_b(): pass",
    ),
    "a skip in a fixture": (
        "def f(): return None",
        "import pytest\nfrom candidate import f\n@pytest.fixture\ndef value():\n    if f() is None: pytest.skip('not there')\n    return f()\ndef test_a(value): assert value == 1\ndef test_b(): pass",
    ),
    "a failure that is expected for its answer": (
        "def f(): return None",
        "import pytest\nfrom candidate import f\ndef test_a():\n    if f() is None: pytest.xfail('known')\n    assert f() == 1\ndef test_b(): pass",
    ),
    "an expected failure by its value": (
        "BROKEN = True\ndef f(): return None",
        "import pytest\nfrom candidate import f, BROKEN\n@pytest.mark.xfail(BROKEN, reason='known')\ndef test_a(): assert f() == 1\ndef test_b(): pass",
    ),
}


@pytest.mark.parametrize("name", MADE_TO_VANISH)
def test_no_test_vanishes_by_the_candidates_doing(bare: Apart, name: str) -> None:
    result = bare.run(*MADE_TO_VANISH[name])
    assert result.finished
    assert sorted(result.collected) == sorted(result.tests)
    failed = [test for test in result.tests.values() if test["outcome"] in ("failed", "error")]
    assert failed, result
    assert not any(test["proved"] for test in failed), result


HONEST = {
    "a decorator of the candidate's around a test": (
        "import functools\ndef retry(n):\n    def deco(f):\n        @functools.wraps(f)\n        def g(*a, **k):\n            for i in range(n):\n"
        "                try: return f(*a, **k)\n                except KeyError: pass\n            raise RuntimeError\n        return g\n    return deco",
        "from candidate import retry\ntries = []\n@retry(3)\ndef test_a():\n    tries.append(1)\n    if len(tries) < 2: raise KeyError\n    assert len(tries) == 2",
    ),
    "a decorated helper that is called": (
        "def same(f): return f",
        "from candidate import same\n@same\ndef check(a): assert a == 1\ndef test_a(): check(1)",
    ),
    "a helper that must not be called": (
        "def lazy(f): return lambda: 1",
        "from candidate import lazy\n@lazy\ndef never(): assert False\ndef test_a(): assert never() == 1",
    ),
    "a skip with a reason": (
        "def f(): return 1",
        "import pytest, sys\nfrom candidate import f\n@pytest.mark.skipif(sys.platform == 'linux', reason='x')\ndef test_a(): assert f() == 2\ndef test_b(): assert f() == 1",
    ),
    "an expected failure, and one that passes": (
        "def f(): return 1",
        "import pytest\nfrom candidate import f\n@pytest.mark.xfail\ndef test_a(): assert f() == 2\n@pytest.mark.xfail\ndef test_b(): assert f() == 1\ndef test_c(): assert f() == 1",
    ),
    "a skip before anything is asked": (
        "def f(): return 1",
        "import unittest\nfrom candidate import f\nclass T(unittest.TestCase):\n    def test_a(self): self.skipTest('x')\n    def test_b(self): self.assertEqual(f(), 1)",
    ),
    "parameters from the candidate": (
        "KINDS = ['a', 'b']\ndef f(x): return x",
        "import pytest, candidate\n@pytest.mark.parametrize('x', candidate.KINDS)\ndef test_a(x): assert candidate.f(x) == x",
    ),
    "subtests": (
        "def f(x): return x",
        "import unittest\nfrom candidate import f\nclass T(unittest.TestCase):\n    def test_a(self):\n        for x in range(3):\n            with self.subTest(x=x): self.assertEqual(f(x), x)",
    ),
    "pytest's subtests": (
        "def f(x): return x",
        "from candidate import f\ndef test_a(subtests):\n    for x in range(3):\n        with subtests.test(x=x): assert f(x) == x",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_tests_of_these_kinds_are_accepted(bare: Apart, name: str) -> None:
    result = bare.run(*HONEST[name])
    assert result.accepted, result


@pytest.mark.parametrize("name", ["subtests", "pytest's subtests"])
def test_a_failed_part_fails_the_test_and_no_other(bare: Apart, name: str) -> None:
    _, tests = HONEST[name]
    wrong = bare.run(
        "def f(x): return 1", tests + ("\ndef test_b(): pass" if name != "subtests" else "\n    def test_b(self): pass")
    )
    assert sorted(wrong.outcomes.values()) == ["failed", "passed"]
    assert len(wrong.collected) == 2


def test_tests_that_all_skip_are_no_tests(bare: Apart) -> None:
    result = bare.run("f = 1", "import pytest, candidate\n@pytest.mark.skip(reason='x')\ndef test_a(): assert candidate.f == 1")
    assert result.outcomes == {"test_a": "skipped"}
    assert not result.accepted
