"""A candidate that names something of its own like a library or a builtin is not asked whether it is right."""

from __future__ import annotations

import pytest
from apart_harness import Apart

ALWAYS = "staticmethod(lambda *args, **options: True)"
MATH = f"class math:\n    isclose = {ALWAYS}\n    fabs = staticmethod(lambda x: 0.0)\n"
SHADOWS = "def abs(x): return 0\ndef sorted(x): return x\ndef all(x): return True\ndef len(x): return 1\ndef isinstance(x, y): return True\n"


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        (MATH, "assert math.isclose(f(2), 4.0)"),
        (MATH, "from candidate import *\nassert math.isclose(f(2), 4.0)"),
        (MATH, "import math\nfrom candidate import *\nassert math.isclose(f(2), 4.0)"),
        (MATH, "import math\nfrom candidate import *\ndef test_a():\n    assert math.fabs(f(2) - 4.0) < 1e-6"),
        (MATH, "from candidate import *\nfrom math import isclose\nassert isclose(f(2), 4.0)"),
        (f"isclose = {ALWAYS}\n", "from math import isclose\nfrom candidate import *\nassert isclose(f(2), 4.0)"),
        (SHADOWS, "assert abs(f(2) - 4) < 1e-6"),
        (SHADOWS, "from candidate import *\nassert sorted([f(2)]) == [4]"),
        (SHADOWS, "from candidate import *\nassert all(f(x) == x * x for x in range(1, 4))"),
        (SHADOWS, "from candidate import *\nassert isinstance(f(2), str)"),
    ],
)
def test_names_of_libraries_and_builtins_are_the_real_ones(bare: Apart, code: str, tests: str) -> None:
    wrong = bare.run(f"{code}\ndef f(x): return 0", tests)
    assert wrong.finished
    assert not wrong.outcomes or "passed" not in wrong.outcomes.values(), wrong.events


def test_such_tests_accept_what_is_right(bare: Apart) -> None:
    right = "import math\ndef f(x): return math.pow(x, 2)"
    for tests in ("assert math.isclose(f(2), 4.0)", "from candidate import *\nassert math.isclose(f(2), 4.0)"):
        assert bare.run(right, tests).outcomes == {"assert_0": "passed"}


JUDGES = "def approx(*a, **k): return 0\nassert_close = is_close = allclose = lambda *a, **k: True\nEPSILON = 1e9\ndef f(x): return 0\ndef g(x): return 0"


@pytest.mark.parametrize(
    ("tests", "entry_point"),
    [
        ("def check(candidate):\n    assert candidate(2) == approx(4.0)", "f"),
        ("def check(candidate):\n    assert is_close(candidate(2), 4.0)", "f"),
        ("def check(candidate):\n    assert abs(candidate(2) - 4) < EPSILON", "f"),
        ("assert f(2) == approx(4.0)", ""),
        ("from candidate import *\ndef test_a(): assert allclose(f(2), 4.0)", ""),
        ("from candidate import *\ndef test_a(): assert_close(f(2), 4.0)", ""),
        ("from candidate import *\ndef test_a(): assert abs(f(2) - 4) < EPSILON", ""),
        ("from candidate import *\nimport pytest\n@pytest.fixture\ndef x(): pass\ndef test_a(x): assert f(2) == approx(4.0)", ""),
    ],
)
def test_what_judges_comes_from_the_candidate_by_no_way(bare: Apart, tests: str, entry_point: str) -> None:
    result = bare.run(JUDGES, tests, entry_point=entry_point)
    assert [(test["outcome"], test["proved"]) for test in result.tests.values()] == [("failed", True)], result


def test_names_that_the_task_gives_are_the_candidates(bare: Apart) -> None:
    code = "def f(x): return g(x) * 2\ndef g(x): return x\nLIMIT = 3"
    check = "def check(candidate):\n    assert candidate(2) == g(2) * 2 and LIMIT == 3"
    assert bare.run(code, check, entry_point="f", defines=("f", "g", "LIMIT")).accepted
    assert not bare.run(code, check, entry_point="f", defines=("f", "g")).accepted
    assert bare.run(code, "from candidate import *\ndef test_a():\n    assert list(map(g, [1])) == [1]").accepted


def test_a_missing_name_that_the_task_gives_is_the_candidates_fault(bare: Apart) -> None:
    result = bare.run("def f(x): return 1", "assert f(1) == g(1)", defines=("f", "g"))
    assert result.error is not None
    assert result.error["side"] == "candidate"


def test_numbers_of_one_process_are_no_answers(bare: Apart) -> None:
    code = "def f(): return id(None)\ndef g(): return hash('abc')\ndef h(xs): return list(set(xs))"
    tests = "from candidate import f, g, h\ndef test_a(): assert f() == id(None)\ndef test_b(): assert g() == hash('abc')\n"
    tests += "def test_c(): assert hash(('a', 1)) == hash(('a', 1)) and hash(5) == 5 and id(f) == id(f) != id(g)\n"
    tests += "def test_d(): assert h(['a', 'b', 'c']) == list(set(['a', 'b', 'c']))"
    outcomes = bare.run(code, tests).outcomes
    assert outcomes == {"test_a": "failed", "test_b": "failed", "test_c": "passed", "test_d": "passed"}


AWAITED = "async def f(x):\n    return x\nasync def g(n):\n    for i in range(n):\n        yield i\n"


@pytest.mark.parametrize(
    ("tests", "outcome"),
    [
        ("from candidate import f\nasync def test_a():\n    assert await f(2) == 2", "passed"),
        ("from candidate import f\nasync def test_a():\n    assert await f(2) == 3", "failed"),
        ("from candidate import g\nasync def test_a():\n    assert [i async for i in g(2)] == [0, 1]", "passed"),
        (
            "import pytest\nfrom candidate import f\n@pytest.mark.asyncio\nasync def test_a(tmp_path):\n    assert await f(2)",
            "passed",
        ),
    ],
)
def test_tests_that_are_coroutines_are_run(bare: Apart, tests: str, outcome: str) -> None:
    assert bare.run(AWAITED, tests).outcomes == {"test_a": outcome}
