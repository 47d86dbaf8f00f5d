"""A test that is no longer the tests' own function is missing, and a fixture that the candidate made vanish proves nothing."""

from __future__ import annotations

import pytest
from apart_harness import Apart

CODE = """class Y:
    def __enter__(s): return 5
    def __exit__(s, *a): pass
seen = []
def timed(f): return Y() if f == 3 else 5
def first(f):
    seen.append(f)
    return seen[0]
def quiet(f): return lambda: None
def g(x): return x
def names(): return ['test_a']
"""
TESTS = "from candidate import timed, first, quiet, g, names\ndef helper(): pass\ndef test_a(): assert g(3) == 9\ndef test_b(): assert g(3) == 3\n"
CLASS = "import unittest\nclass TestX(unittest.TestCase):\n    def test_x(self): pass\n"
"""Has real pytest run the tests."""
WRAPS = "import functools\ndef g(x): return x\ndef timed(f):\n    @functools.wraps(f)\n    def run(*a): return f(*a)\n    return run\n"


@pytest.mark.parametrize("more", ["", CLASS])
@pytest.mark.parametrize(
    "rebinding",
    [
        "for name in ['test_a']: globals()[name] = timed(globals()[name])",
        "globals().update(test_a=timed(test_a))",
        "vars().update(test_a=timed(test_a))",
        "for test_a in [timed(test_a)]: pass",
        "with timed(3) as test_a: pass",
        "first(helper)\nglobals()['test_a'] = first(test_a)",
        "globals()['test_a'] = quiet(test_a)",
        "for name in names(): globals()[name] = test_b",
        "for name in names(): globals()[name] = helper",
        "for name in names(): globals().pop(name)",
        "for name in names(): exec(f'{name} = None')",
        "for name in names(): exec(f'del {name}')",
        "test_a.__code__ = first(helper).__code__",
    ],
)
def test_a_test_that_the_candidate_replaces_or_removes_is_not_passed(bare: Apart, rebinding: str, more: str) -> None:
    result = bare.run(CODE, more + TESTS + rebinding)
    assert not result.accepted, result
    assert not any(test["proved"] for test in result.tests.values())


@pytest.mark.parametrize(
    "more",
    [
        "globals()['test_a'] = timed(test_a)",
        "def twice(f):\n    def run():\n        f()\n        f()\n    return run\nfor name in ['test_a']: globals()[name] = twice(globals()[name])",
        "def test_all():\n    test_a()\n    test_b()",
        "if __name__ == '__main__':\n    test_a()",
        "def test_c():\n    found = {}\n    exec('x = 1', found)\n    if found['x']: return\n    assert 0",
    ],
)
def test_tests_that_are_run_by_what_stands_under_their_names_pass(bare: Apart, more: str) -> None:
    tests = "from candidate import timed, g\ndef test_a(): assert g(3) == 3\ndef test_b(): assert g(3) == 3\n"
    result = bare.run(WRAPS, tests + more)
    assert result.accepted, result
    assert {"test_a", "test_b"} <= set(result.outcomes)


FIXTURES = """seen = []
def first(f):
    seen.append(f)
    return seen[0]
def g(x): return x
f = g
FAST = False
def name(): return 'x'
def names(): return []
"""
FIXTURE = "@pytest.fixture\ndef val(): return 3\n"


@pytest.mark.parametrize(
    "tests",
    [
        "@first\ndef helper(a, b): return a + b\n@pytest.fixture\n@first\ndef val(): return 3\ndef test_a(val): assert val == 9",
        "@pytest.fixture(name=f.__name__)\ndef made(): return 3\ndef test_a(f): assert f == 9",
        "N = name()\n@pytest.fixture(name=N)\ndef made(): return 3\ndef test_a(val): assert val == 3",
        FIXTURE + "@pytest.mark.usefixtures(name())\ndef test_a(): assert name() == 'val'",
        FIXTURE + "def test_a(request): assert request.getfixturevalue(name()) == 3",
        FIXTURE
        + "@pytest.fixture\ndef outer(request): return request.getfixturevalue(name())\ndef test_a(outer): assert outer == 3",
        "def made(): return 3\nglobals()[name()] = pytest.fixture(made)\ndef test_a(val): assert val == 9",
        "@pytest.fixture\ndef other(): return 3\nglobals()[name()] = other\ndef test_a(val): assert val == 9",
        "if FAST:\n    @pytest.fixture\n    def val(): return 3\ndef test_a(val): assert val == 3",
        "def pytest_generate_tests(metafunc):\n    for one in names(): metafunc.parametrize(one, [1])\ndef test_a(val): assert val == 1",
    ],
)
def test_a_fixture_that_the_candidate_made_vanish_is_no_fault_of_the_tests(bare: Apart, tests: str) -> None:
    result = bare.run(FIXTURES, f"import pytest\nfrom candidate import first, f, g, FAST, name, names\n{tests}")
    assert not result.accepted
    assert result.tests["test_a"]["proved"] is False, result


@pytest.mark.parametrize(
    "tests",
    [
        "def test_a(mocker): assert g(3) == 3",
        "@pytest.fixture\ndef val(mocker): return 3\ndef test_a(val): assert g(val) == 3",
        "@pytest.fixture(autouse=True)\ndef val(mocker): return 3\ndef test_a(): assert g(3) == 3",
        "@pytest.mark.usefixtures('db')\ndef test_a(): assert g(3) == 3",
        "@pytest.mark.parametrize('x', [1, 2])\ndef test_a(x, mocker): assert g(x) == x",
        "class TestA:\n    def test_a(self, mocker): assert g(3) == 3",
    ],
)
def test_a_fixture_that_the_source_asks_for_and_nobody_has_is_the_tests_fault(bare: Apart, tests: str) -> None:
    result = bare.run(FIXTURES, f"import pytest\nfrom candidate import g\n{tests}")
    assert result.tests
    assert all(test["proved"] for test in result.tests.values()), result
