"""Tests against candidates: per-test results, verdicts, rewards, and whose side raised."""

from __future__ import annotations

import pytest

from orchestrator.types import Status, TestOutcome, Verdict

TESTS = "from candidate import add\n\ndef test_small():\n    assert add(1, 2) == 3\n\ndef test_text():\n    assert add('a', 'b') == 'ab'\n"
CASES = {
    "right": ("def add(a, b): return a + b", TESTS, Verdict.ACCEPTED),
    "wrong": ("def add(a, b): return a - b if isinstance(a, int) else a + b", TESTS, Verdict.WRONG_ANSWER),
    "raises": ("def add(a, b): raise ValueError('no')", TESTS, Verdict.RUNTIME_ERROR),
    "does_not_parse": ("def add(a, b) return", TESTS, Verdict.INVALID_CANDIDATE),
    "lacks_the_entry_point": ("def sum(a, b): return a + b", TESTS, Verdict.INVALID_CANDIDATE),
    "raises_on_import": ("1/0", TESTS, Verdict.RUNTIME_ERROR),
    "tests_do_not_parse": ("def add(a, b): return a + b", "def test(:", Verdict.INVALID_TESTS),
    "tests_raise_on_import": ("def add(a, b): return a + b", "import no_such_module", Verdict.INVALID_TESTS),
    "no_tests": ("def add(a, b): return a + b", "x = 1", Verdict.INVALID_TESTS),
    "all_skipped": ("x = 1", "import pytest\n@pytest.mark.skip\ndef test_a(): pass", Verdict.INVALID_TESTS),
    "skips_itself": ("import pytest\ndef add(a, b): pytest.skip()", TESTS, Verdict.RUNTIME_ERROR),
    "xfails_itself": ("import pytest\ndef add(a, b): pytest.xfail()", TESTS, Verdict.RUNTIME_ERROR),
    "leaves_early": ("import os\ndef add(a, b): os._exit(0)", TESTS, Verdict.RUNTIME_ERROR),
    "leaves_on_import": ("import os\nos._exit(0)", TESTS, Verdict.RUNTIME_ERROR),
    "exits_politely": ("import sys\ndef add(a, b): sys.exit(0)", TESTS, Verdict.RUNTIME_ERROR),
    "ends_pytest": ("import pytest\ndef add(a, b): pytest.exit('enough', 0)", TESTS, Verdict.RUNTIME_ERROR),
    "loops": ("def add(a, b):\n    while True: pass", TESTS, Verdict.TIMED_OUT),
    "unittest_style": (
        "def add(a, b): return a + b",
        "import unittest, candidate\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(candidate.add(1, 1), 2)",
        Verdict.ACCEPTED,
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_the_verdict_is_right(execute, name):
    code, tests, verdict = CASES[name]
    result = await execute(code, tests=tests, cpu_time=3)
    assert result.verdict is verdict, result
    assert result.reward == {Verdict.ACCEPTED: 1.0, Verdict.INVALID_TESTS: None}.get(verdict, 0.0)
    assert result.judging == "apart"


@pytest.mark.parametrize("tests", ["def check(candidate):\n    assert candidate(1, 2) == 3\n", "assert add(1, 2) == 3\n"])
@pytest.mark.parametrize("name", ["right", "wrong", "lacks_the_entry_point"])
async def test_tests_that_are_not_pytests_have_the_same_verdict_together(execute, tests, name):
    code, _, verdict = CASES[name]
    together = await execute(code, tests=tests, entry_point="add", judging="together")
    apart = await execute(code, tests=tests, entry_point="add", judging="apart")
    assert (together.verdict, together.judging) == (verdict, "together"), together
    assert apart.verdict is verdict, apart


async def test_results_are_per_test_with_a_short_message(execute):
    result = await execute("def add(a, b): return a + b if isinstance(a, str) else a", tests=TESTS)
    assert result.status is Status.OK
    small, text = result.tests
    assert (small.name, small.outcome, small.side) == ("test_small", TestOutcome.FAILED, "tests")
    assert "assert 1 == 3" in small.message
    assert (text.name, text.outcome, text.message) == ("test_text", TestOutcome.PASSED, "")


async def test_the_side_that_raised_is_named(execute):
    result = await execute("def add(a, b): return a.missing", tests=TESTS)
    assert {test.side for test in result.tests} == {"candidate"}
    assert "AttributeError" in result.tests[0].message
    assert "candidate.py:1 in add" in result.tests[0].message


async def test_a_failure_in_teardown_counts(execute):
    tests = (
        "import pytest\nfrom candidate import count\n@pytest.fixture\ndef f():\n    yield\n    assert count() == 2\n"
        "def test_a(f): assert count() == 1"
    )
    result = await execute("def count(): return 1", tests=tests)
    assert result.verdict is Verdict.WRONG_ANSWER


async def test_a_planted_configuration_is_not_read(execute):
    files = {"conftest.py": b"raise SystemExit(0)", "pytest.ini": b"[pytest]\naddopts = --collect-only\n"}
    result = await execute("def add(a, b): return 0", tests=TESTS, files=files)
    assert result.verdict is Verdict.WRONG_ANSWER


READS_ITS_FILES = """
import helpers
from candidate import listed, read
def test_mine(): assert open("answers.txt").read() == "42" and helpers.double(2) == 4
def test_theirs(): assert listed() == ["numbers.txt"] and read() == "1 2 3"
"""


async def test_files_of_the_tests_are_not_there_for_the_candidate(execute):
    code = "import os\ndef listed(): return os.listdir('.')\ndef read(): return open('numbers.txt').read()"
    result = await execute(
        code,
        tests=READS_ITS_FILES,
        files={"numbers.txt": b"1 2 3"},
        test_files={"answers.txt": b"42", "helpers.py": b"def double(x): return 2 * x"},
    )
    assert (result.verdict, result.judging) == (Verdict.ACCEPTED, "apart"), result


SHARES_FILES = """
import os, shutil, tempfile
import pytest
from candidate import total, split, tidy, look

@pytest.fixture
def folder():
    made = tempfile.mkdtemp()
    yield made
    shutil.rmtree(made)

def test_what_they_wrote_is_read(folder):
    with open(os.path.join(folder, "in.txt"), "w") as file: file.write("1 2 3")
    assert total(os.path.join(folder, "in.txt")) == 6

def test_what_it_wrote_is_read(tmp_path):
    split("a,b", tmp_path)
    assert sorted(os.listdir(tmp_path / "parts")) == ["0.txt", "1.txt"]
    assert (tmp_path / "parts" / "1.txt").read_text() == "b"

def test_what_it_removes_is_gone(folder):
    for name in ("a.log", "b.txt"): open(f"{folder}/{name}", "w").close()
    tidy(folder)
    assert os.listdir(folder) == ["b.txt"]

def test_the_tests_themselves_are_not_there():
    assert look("NEEDLE") == []
"""
SHARED_FILES = """
import os
def total(path): return sum(map(int, open(path).read().split()))
def split(text, folder):
    os.makedirs(f"{folder}/parts")
    for place, part in enumerate(text.split(",")):
        with open(f"{folder}/parts/{place}.txt", "w") as file: file.write(part)
def tidy(folder):
    for name in os.listdir(folder):
        if name.endswith(".log"): os.remove(f"{folder}/{name}")
def look(needle):
    files = [f"{folder}/{name}" for folder, _, names in os.walk("/box") for name in names]
    return [name for name in files if needle in open(name, errors="replace").read()]
"""


async def test_folders_of_tests_and_candidate_are_kept_alike(execute):
    result = await execute(SHARED_FILES, tests=SHARES_FILES)
    assert (result.verdict, result.judging, result.basis) == (Verdict.ACCEPTED, "apart", "word"), result  # for what it removed
    wrong = SHARED_FILES.replace(".endswith", ".startswith")
    assert (await execute(wrong, tests=SHARES_FILES)).verdict is Verdict.WRONG_ANSWER


async def test_what_a_candidate_writes_is_not_imported_by_its_tests(execute):
    code = (
        "import os\ndef f(): return 1\nfor place in ('.', '/tmp'):\n    for name in ('colorsys', 'conftest', 'sitecustomize'):\n"
        "        with open(f'{place}/{name}.py', 'w') as file: file.write('import os; os._exit(0)')\n"
    )
    tests = "import os\nfrom candidate import f\ndef test_f():\n    assert f() == 2 or os.path.exists('x')\n    import colorsys\n"
    result = await execute(code, tests=tests)
    assert (result.verdict, result.judging) == (Verdict.WRONG_ANSWER, "apart"), result


async def test_files_of_the_candidate_are_not_there_for_the_tests(execute):
    tests = "import bisect\nfrom candidate import f\ndef test_f(): assert f() == 1 and bisect.bisect([1, 2], 1) == 1"
    result = await execute(
        "def f(): return 1", tests=tests, judging="apart", files={"bisect.py": b"1 / 0", "numbers.py": b"1 / 0"}
    )
    assert result.verdict is Verdict.ACCEPTED, result
