"""Runs that only compute have no namespaces: what they say is the same, and what asks for more is run again in namespaces."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import Limits, Program, Verdict


@pytest.fixture(scope="module")
async def execute():
    async with Engine(
        Settings(isolation="namespace", workers=2), limits=Limits(wall_time=20, cpu_time=10, output=4096)
    ) as engine:
        yield lambda code, tests: engine.execute(Program(code=code, tests=tests, judging="apart"))


QUIET = {
    "right": ("def f(x): return x * 2", "assert f(2) == 4"),
    "wrong": ("def f(x): return x", "assert f(2) == 4, 'twice'"),
    "raises": ("def f(x):\n    return [x][\n        x\n    ]", "from candidate import f\ndef test_f():\n    assert f(2) == 4"),
    "raises while it is imported": ("1 / 0", "assert f(2) == 4"),
    "does not parse": ("def f(x) return x", "assert f(2) == 4"),
    "prints": ("print('loading')\ndef f(x):\n    print('called', x)\n    return 4", "assert f(2) == 4"),
    "fails in the tests' own code": ("def f(x): return 4", "def test_f():\n    assert f(2) == 4\n    {}['no']"),
    "answers with an object": ("class A:\n    def __repr__(self): return 'A'\ndef f(x): return A()", "assert f(2) == 4"),
    "leaves": ("import sys\ndef f(x): sys.exit(0)", "assert f(2) == 4"),
    "recurses": ("def f(x): return f(x)", "assert f(2) == 4"),
}
_SAME = (
    "status",
    "verdict",
    "reward",
    "tests",
    "collection_error",
    "stdout",
    "stderr",
    "attack",
    "judging",
)


@pytest.mark.parametrize("name", QUIET)
async def test_a_quiet_run_says_what_a_fully_isolated_one_says(execute, name):
    """The words `# open()` are enough to make a run look as if it were not quiet."""
    code, tests = QUIET[name]
    quiet = await execute(code, tests)
    full = await execute(code, f"{tests}\n# open()")
    for field in _SAME:
        assert getattr(quiet, field) == getattr(full, field), field


async def test_a_candidate_that_ends_by_itself_costs_no_sandbox(execute):
    """It may do so before, while or after the agent lets go of both sides."""
    for tests in ("assert f(2) == 4", "assert f(2) == 4  # open()"):
        results = [await execute("1 / 0", tests) for _ in range(40)]
        assert {(result.verdict, result.attempts) for result in results} == {(Verdict.RUNTIME_ERROR, 1)}


LOUD = {
    "a process number": ("import sys\nprint('loading')\ndef f(x): return sys.modules['posix'].getpid()", "assert f(2) in (1, 2)"),
    "a file": ("import sys\nprint('loading')\ndef f(x): return sys.modules['posix'].listdir('/box/work')", "assert f(2) == []"),
    "a thread": (
        "import sys\nprint('loading')\ndef f(x):\n    t = sys.modules['threading'].Thread(target=print)\n    t.start()\n    t.join()\n"
        "    return 4",
        "assert f(2) == 4",
    ),
    "a process": (
        "import sys\nprint('loading')\ndef f(x):\n    p = sys.modules['posix']\n    pid = p.fork()\n    if not pid: p._exit(7)\n"
        "    return p.waitstatus_to_exitcode(p.waitpid(pid, 0)[1])",
        "assert f(2) == 7",
    ),
    "a signal to a stranger": (
        "import sys\nprint('loading')\ndef f(x):\n    try: sys.modules['posix'].kill(2, 0)\n    except OSError as e: return e.errno",
        "assert f(2) == 3",
    ),
}


@pytest.mark.parametrize("name", LOUD)
async def test_what_asks_for_more_is_run_again_as_if_it_had_not_run(execute, name):
    code, tests = LOUD[name]
    result = await execute(code, tests)
    assert result.verdict is Verdict.ACCEPTED, result
    assert result.stdout.count("loading\n") == 1
    assert result.attack == ()
    assert result.attempts == 1


async def test_a_quiet_candidate_cannot_reach_what_its_filter_forbids(execute):
    """The attack is seen, and told, by the run that counts."""
    code = "import sys\ndef f(x):\n    c = sys.modules['ctypes'].CDLL(None)\n    return c.syscall(101, 0, 1, 0, 0)"
    result = await execute(code, "assert f(2) == 0")
    assert result.verdict is Verdict.TAMPERED
    assert result.attack == ("a forbidden system call by the candidate",)


ORACLE = """
import sys
frame, quiet = sys._getframe(), False
while frame:
    quiet = quiet or frame.f_locals.get("quiet") is True
    server = frame.f_locals.get("server")
    if server: break
    frame = frame.f_back
while frame:
    quiet = quiet or frame.f_locals.get("quiet") is True
    frame = frame.f_back
class Answer(int):
    def __repr__(self):  # asked where the comparison has failed
        sys.modules["posix"].getpid()
        return "4"
def f(x):
    answer = Answer(7 if quiet else 4)
    server.keep(answer)
    return answer
"""


async def test_a_wrong_answer_is_not_corrected_in_the_second_run(execute):
    """What failed stays failed, though the candidate makes its quiet run end as soon as it learns of that."""
    result = await execute(ORACLE, "assert f(2) == 4")
    assert result.verdict is Verdict.WRONG_ANSWER, result
    guess = (
        ORACLE.split("class Answer")[0]
        + "def f(x):\n    if x == 3: sys.modules['posix'].getpid()\n    return 4 if x == 3 or not quiet else 7"
    )
    result = await execute(
        guess, "from candidate import f\ndef test_a():\n    assert f(2) == 4\ndef test_b():\n    assert f(3) == 4"
    )
    assert [test.outcome for test in result.tests] == ["failed", "passed"], result
    assert result.verdict is Verdict.WRONG_ANSWER


async def test_an_assertion_that_the_tests_expect_to_fail_does_not_count(execute):
    tests = "from candidate import f\ndef test_a():\n    try:\n        assert f(2) == 5\n    except AssertionError:\n        pass\ndef test_b():\n    assert f(3) == 4"
    code = "import sys\ndef f(x):\n    if x == 3: sys.modules['posix'].getpid()\n    return 4"
    result = await execute(code, tests)
    assert result.verdict is Verdict.ACCEPTED, result
