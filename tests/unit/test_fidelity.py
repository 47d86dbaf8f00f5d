"""How public suites become pairs, and how a pair's results become a line of the table. Nothing here needs a sandbox."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import plain_pytest
from fidelity import Figures, causes, row_of, table
from library_tests import Library, pairs, split
from suites import SUITES, Pair, asserts_of_doctests

from orchestrator.types import ExecutionResult, Status, TestOutcome, TestResult, Verdict


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def outcomes(*rows: tuple[str, str, str]) -> list[dict[str, Any]]:
    """What the script says of (module, candidate, tests) each."""
    lines = "".join(json.dumps(dict(zip(("module", "candidate", "tests"), row, strict=True))) + "\n" for row in rows)
    command = [sys.executable, plain_pytest.__file__, "--timeout", "5"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_package_becomes_one_module_and_each_test_a_pair(tmp_path):
    write(
        tmp_path,
        {
            "shapes/__init__.py": "from .area import *\nfrom . import area as _area\n__all__ = area.__all__",
            "shapes/area.py": "from .units import UNIT as _UNIT\n__all__ = ['square']\ndef square(x):\n    return x * x * _UNIT",
            "shapes/units.py": "UNIT = 1",
            "tests/test_area.py": "import os\nfrom shapes.area import square\nfrom shapes import area\n"
            "SIDE = 2\ndef test_one():\n    assert square(SIDE) == 4\ndef test_two():\n    assert area.square(3) == 9",
        },
    )
    found = list(pairs(Library("shapes", "shapes", "tests/test_*.py"), tmp_path))
    assert [name for name, *_ in found] == ["shapes/test_area::test_one", "shapes/test_area::test_two"]
    assert all(one["passed"] for one in outcomes(*((module, candidate, tests) for _, candidate, tests, module in found)))
    assert "SIDE" in found[0][2]
    assert "SIDE" not in found[1][2]
    assert "import os" not in found[0][2]


def test_a_test_keeps_its_fixtures_and_what_fills_its_data():
    source = (
        "import pytest\nROWS = []\nROWS.append(1)\nOTHER = 2\n"
        "@pytest.fixture\ndef test_rows():\n    return ROWS\ndef test_length(test_rows):\n    assert len(test_rows) == 1\n"
    )
    ((name, text),) = split(ast.parse(source).body)
    assert name == "test_length"
    assert "ROWS.append(1)" in text
    assert "@pytest.fixture" in text
    assert "OTHER" not in text


def test_examples_of_a_docstring_become_asserts():
    source = (
        "import math\ndef half(x):\n    '''\n    >>> half(4)\n    2.0\n    >>> half(math.inf)\n    inf\n"
        "    >>> half('a')\n    Traceback (most recent call last):\n        ...\n    TypeError: no\n    '''\n    return x / 2\n"
    )
    tests = asserts_of_doctests(source, "halves")
    assert "import math" in tests
    assert "from halves import half" in tests
    assert "assert half(4) == 2.0" in tests.replace("(half(4))", "half(4)")
    right, wrong = outcomes(("halves", source, tests), ("halves", source.replace("/ 2", "/ 3"), tests))
    assert right["passed"]
    assert not wrong["passed"]


def test_examples_that_print_are_left_out():
    assert asserts_of_doctests("def f():\n    '''\n    >>> print(f())\n    None\n    '''\n", "m") == ""


def test_what_plain_pytest_refuses_is_not_honest():
    tests = "from candidate import *\ndef test_value():\n    assert value == 1\n"
    refused = {
        "import hypothesis\n": "does not have it",
        "import time\ntime.sleep(60)\n": "no answer in time",
        "import os\nos._exit(0)\n": "no answer",
        "value = 2\n": "assert 2 == 1",
    }
    found = outcomes(*(("candidate", candidate, tests) for candidate in refused), ("candidate", "value = 1\n", tests))
    assert [one["passed"] for one in found] == [False, False, False, False, True]
    for one, why in zip(found, refused.values(), strict=False):
        assert why in one["why"]


def test_bare_asserts_and_a_bare_check_run_under_pytest():
    candidate = "def one():\n    return 1\n"
    asserts = Pair("s", "n", candidate, "assert one() == 1")
    check = Pair("s", "n", candidate, "def check(candidate):\n    assert candidate() == 1", entry_point="one")
    found = outcomes(*(("candidate", candidate, pair.for_pytest()) for pair in (asserts, check)))
    assert [one["passed"] for one in found] == [True, True]
    assert [list(one["outcomes"]) for one in found] == [["test_all"], ["test_check"]]


def result(verdict: Verdict, *tests: TestResult) -> ExecutionResult:
    return ExecutionResult(status=Status.OK, verdict=verdict, tests=tests, tests_collected=len(tests), tests_complete=True)


def test_a_pair_is_compared_test_by_test_and_grouped_by_cause():
    pair = Pair("suite", "name", "", "")
    passed = TestResult(name="test_a", outcome=TestOutcome.PASSED)
    failed = [
        TestResult(name="test_b", outcome=TestOutcome.FAILED, message=f"test.py:{line} in test_b\nKeyError: '{key}'")
        for line, key in ((3, "x"), (9, "y"))
    ]
    plain = {"test_a": "passed", "test_b": "passed"}
    rows = [row_of(pair, plain, result(Verdict.WRONG_ANSWER, passed, one)) for one in failed]
    assert [row.differ for row in rows] == [1, 1]
    assert rows[0].cause == rows[1].cause == "wrong_answer: KeyError: '...'"
    assert "2 of 2 honest modules not accepted" in causes(rows)
    assert row_of(pair, plain, result(Verdict.ACCEPTED, passed)).cause == ""


def test_the_table_ends_with_all_suites_together():
    lines = table([Figures("a", "c" * 40, honest=3, accepted=2, apart=1), Figures("b", "", honest=1, accepted=1, apart=1)])
    assert lines.splitlines()[-1].startswith("| all |  | 4 | 3 | 2 |")


def test_every_suite_from_a_repository_names_its_commit():
    assert len({suite.name for suite in SUITES}) == len(SUITES)
    assert all(len(suite.commit) == 40 for suite in SUITES if suite.repository)
