"""No candidate chooses to have no score: what it says of tests that run in its own interpreter is tried without it."""

from __future__ import annotations

import pytest
from conftest import Execute

from orchestrator.types import Verdict

LEVELS = ("namespace",)

TESTS = "from candidate import f\ndef test_a(): assert f(3) == 9"
FORGES = """
import json, os, stat
def f(x): return 1
for fd in range(3, 64):
    try:
        if stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK):
            for event in {events}: os.write(fd, json.dumps(event).encode() + b"\\n")
    except OSError: pass
os._exit(0)
"""
BY_FILES = {
    "removes what the tests remove": (
        "import os\ndef f(p): os.unlink(p)\n",
        "import os\nfrom candidate import f\nwith open('a.txt', 'w') as file: file.write('x')\n"
        "found = f('a.txt')\nos.remove('a.txt')\ndef test_a(): assert found == 'x'\n",
    ),
    "makes what the tests make": (
        "import os\nos.mkdir('/box/work/out')\ndef f(p): pass\n",
        "import os\nfrom candidate import f\nos.mkdir('out')\ndef test_a():\n    f('out/a.txt')\n"
        "    with open('out/a.txt') as file: assert file.read() == '3'\n",
    ),
}


@pytest.mark.parametrize("name", BY_FILES)
async def test_a_candidate_that_changes_files_of_the_tests_has_failed(execute: Execute, name: str) -> None:
    code, tests = BY_FILES[name]
    result = await execute(code, tests=tests, judging="apart")
    assert result.reward == 0.0, result


ENDED = {"event": "finished", "exit_status": 0}
SKIPPED = {"event": "test", "name": "test_a", "outcome": "skipped", "message": "", "side": ""}
PROVED = {"event": "test", "name": "test_a", "outcome": "failed", "message": "", "side": "tests", "proved": True}
ATTACKS = {
    "raises as if in the tests": "exec(compile('1 / 0', '/box/work/test_candidate.py', 'exec'))",
    "a syntax error of the tests": "raise SyntaxError('bad', ('/box/work/test_candidate.py', 1, 1, 'x'))",
    "skips what imports it": "import pytest\npytest.skip('no', allow_module_level=True)",
    "ends the process": "import os\nos._exit(0)",
    "forges that all were skipped": FORGES.format(events=[{"event": "collected", "tests": ["test_a"]}, SKIPPED, ENDED]),
    "forges a proof": FORGES.format(events=[{"event": "collected", "tests": ["test_a"]}, PROVED, ENDED]),
    "forges that it must be together": FORGES.format(events=[{"event": "not_apart", "message": "x"}, ENDED]),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_candidate_that_blames_right_tests_has_failed(execute: Execute, attack: str) -> None:
    result = await execute(ATTACKS[attack], tests=TESTS, judging="together")
    assert result.reward == 0.0, result


@pytest.mark.parametrize(
    "tests",
    [
        "def test_a(:",
        "from candidate import *\nimport no_such_library\ndef test_a(): assert f(3) == 9",
        "from candidate import f, Base\nclass Mine(Base): pass\nX = undefined\ndef test_a(): assert f(3) == 9",
        "from candidate import f",
        "import pytest\nfrom candidate import f\n@pytest.mark.skip\ndef test_a(): assert f(3) == 9",
    ],
)
async def test_tests_that_are_at_fault_without_a_candidate_are_blamed(execute: Execute, tests: str) -> None:
    result = await execute("class Base: pass\ndef f(x): return x * x", tests=tests, judging="together")
    assert (result.verdict, result.reward) == (Verdict.INVALID_TESTS, None), result
