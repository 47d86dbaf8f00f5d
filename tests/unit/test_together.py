"""Tests that pytest does not collect by themselves, rewritten for runs in which candidate and tests share an interpreter."""

from __future__ import annotations

import subprocess
import sys

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


def outcomes(tmp_path, tests: str, **fields: str) -> dict[str, str]:
    """What pytest says of each test, in an interpreter of its own."""
    program = as_pytest(Program(code=CODE, tests=tests, **fields))
    (tmp_path / "candidate.py").write_text(CODE)
    (tmp_path / "test_candidate.py").write_text(program.tests or "")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:asyncio", "-c", "/dev/null", "--rootdir", ".", "test_candidate.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    lines = [line.split("::", 1)[1].split() for line in said.splitlines() if line.startswith("test_candidate.py::")]
    return {words[0]: words[1] for words in lines}


@pytest.mark.parametrize(("last", "outcome"), [(2, "PASSED"), (3, "FAILED")])
@pytest.mark.parametrize("end", ["", "check(f)\n"])
def test_a_check_is_one_test(tmp_path, last, outcome, end):
    assert outcomes(tmp_path, CHECK.format(last=last) + end, entry_point="f") == {"test_check": outcome}


def test_each_bare_assertion_is_a_test_after_what_prepares_it(tmp_path):
    expected = {"test_assert_0": "PASSED", "test_assert_1": "FAILED", "test_assert_2": "PASSED"}
    assert outcomes(tmp_path, ASSERTS) == expected


def test_names_from_nowhere_are_the_candidates(tmp_path):
    assert outcomes(tmp_path, "assert f(1) == 2\n", entry_point="f") == {"test_assert_0": "PASSED"}


@pytest.mark.parametrize(
    "tests", ["from candidate import f\ndef test_f():\n    assert f(1) == 2  # as it is\n", "def test_f(:\n"]
)
def test_what_pytest_reads_is_left_as_it_is(tests):
    program = Program(code=CODE, tests=tests)
    assert as_pytest(program) is program
