"""A candidate that names something of its own like a library or a builtin is not asked whether it is right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apart_harness import Apart

ALWAYS = "staticmethod(lambda *args, **options: True)"
MATH = f"class math:\n    isclose = {ALWAYS}\n    fabs = staticmethod(lambda x: 0.0)\n"
SHADOWS = "def abs(x): return 0\ndef sorted(x): return x\ndef all(x): return True\ndef len(x): return 1\ndef isinstance(x, y): return True\n"


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    pairs = Apart(heavy=False)
    yield pairs
    pairs.close()


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
def test_names_of_libraries_and_builtins_are_the_real_ones(apart: Apart, code: str, tests: str) -> None:
    wrong = apart.run(f"{code}\ndef f(x): return 0", tests)
    assert wrong.finished
    assert not wrong.outcomes or "passed" not in wrong.outcomes.values(), wrong.events


def test_such_tests_accept_what_is_right(apart: Apart) -> None:
    right = "import math\ndef f(x): return math.pow(x, 2)"
    for tests in ("assert math.isclose(f(2), 4.0)", "from candidate import *\nassert math.isclose(f(2), 4.0)"):
        assert apart.run(right, tests).outcomes == {"assert_0": "passed"}
