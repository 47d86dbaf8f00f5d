"""What every judged run does and makes, once in a zygote before it forks.

Its children then find code specialised by the interpreter, and caches filled, which they would otherwise fill by copying pages.
"""

from __future__ import annotations

import ast
import sys

from . import light_tests, pytest_run
from .boundary import candidate, guards, tests, values

_TESTS = """
import math
METADATA = {"author": "x"}
def check(candidate):
    assert candidate([1.0, 2.0, 3.9], 0.3) == True
    assert candidate("abc", 2) == [1, 2, "x"], "a message"
    assert not candidate({}, None)
    for i in range(3):
        assert abs(candidate(i) - math.pi) < 1e-6
class Helper:
    pass
def test_f():
    with open("x") as file:
        assert f(file)
"""
_VALUES = (1, 2.5, "text", b"x", None, True, [1, 2, 3], (1, "a"), {"a": [1.5]}, {1, 2}, [("a", 1), ("b", 2)], 10**30, [[1], [2]])
_TIMES = 12
"""The interpreter specialises code after eight passes."""


def rehearse() -> None:
    """Pass values through the codec and tests through their preparation, and have pytest run tests of ours."""
    samples = list(_VALUES)
    if torch := sys.modules.get("torch"):
        samples += [torch.ones(2, 2), torch.ones(3).numpy()]
    for _ in range(_TIMES):
        for value in samples:
            values.loads(values.dumps(value))
        tree = ast.parse(_TESTS)
        names = light_tests.Names(_TESTS, tree)
        names.libraries()
        names.wanted("candidate", set(), "f")
        light_tests.kind_of(tree, "")
        found = light_tests.functions_in(tree.body)
        light_tests.compiled(guards.marked(tree.body, _TESTS, found), "tests", _TESTS, {}, found)
    if "pytest" in sys.modules:
        pytest_run.rehearse()


def prepare() -> None:
    """Make what each side of a run begins with."""
    candidate.prepare()
    tests.prepare()
    if "pytest" in sys.modules:
        pytest_run.prepare()
