"""Tests that pytest does not collect by themselves, rewritten for runs in which candidate and tests share an interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from orchestrator.engine.together import as_pytest
from orchestrator.types import Program

CODE = "def f(x):\n    if x == 3:\n        return 0\n    return x + 1\n"
CHECK = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate({last}) == {last} + 1\n"
ASSERTS = """
from __future__ import annotations
from math import *
from candidate import f
value = f(1)
assert value == 2
value = f(3)
assert value == 4
class Own:
    pass
value = f(floor(5.5))
for text in ['''a
b''']:
    assert value == 6 and Own() and text
"""


def outcomes(monkeypatch, tests: str, **fields: str) -> dict[str, bool]:
    """Which of the functions that pytest would call in turn, in the module that it would import, ends well."""
    candidate = ModuleType("candidate")
    exec(CODE, candidate.__dict__)
    monkeypatch.setitem(sys.modules, "candidate", candidate)
    names: dict[str, Any] = {}
    exec(as_pytest(Program(code=CODE, tests=tests, **fields)).tests or "", names)
    return {name: passes(test) for name, test in list(names.items()) if name.startswith("test_")}


def passes(test: Callable[[], None]) -> bool:
    try:
        test()
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(("last", "outcome"), [(2, True), (3, False)])
@pytest.mark.parametrize("end", ["", "check(f)\n"])
def test_a_check_is_one_test(monkeypatch, last, outcome, end):
    assert outcomes(monkeypatch, CHECK.format(last=last) + end, entry_point="f") == {"test_check": outcome}


def test_each_bare_assertion_is_a_test_after_what_prepares_it(monkeypatch):
    expected = {"test_assert_0": True, "test_assert_1": False, "test_assert_2": True}
    assert outcomes(monkeypatch, ASSERTS) == expected


def test_names_from_nowhere_are_the_candidates(monkeypatch):
    assert outcomes(monkeypatch, "assert f(1) == 2\n", entry_point="f") == {"test_assert_0": True}


@pytest.mark.parametrize(
    "tests", ["from candidate import f\ndef test_f():\n    assert f(1) == 2  # as it is\n", "def test_f(:\n"]
)
def test_what_pytest_reads_is_left_as_it_is(tests):
    program = Program(code=CODE, tests=tests)
    assert as_pytest(program) is program
