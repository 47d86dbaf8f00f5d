"""Whose fault it is: the tests' only where that is proved, and never by the candidate's choice."""

from __future__ import annotations

import pytest
from apart_harness import Apart, Result

from orchestrator.sandbox.jobs import _read_events
from orchestrator.scoring.verdicts import basis_of, binary_reward, verdict_of_tests
from orchestrator.types import RunReport, Status, TestOutcome, TestResult, Verdict


def _verdict(result: Result) -> Verdict:
    """As a sandbox and the orchestrator decide it."""
    known = [{key: value for key, value in event.items() if key != "broken"} for event in result.events]
    report = RunReport(
        status=Status.OK if result.finished else Status.RUNTIME_ERROR,
        attack=tuple(result.tampered),
        **_read_events([event for event in known if event["event"] != "doubt"]),
    )
    return verdict_of_tests(report, apart=True)


@pytest.mark.parametrize(
    "tests",
    [
        "def test_a(:",
        "import no_such_library\nfrom candidate import f\ndef test_a(): assert f(1) == 1",
        "from candidate import f\nimport no_such_library\ndef test_a(): assert f(1) == 1",
        "from candidate import f\ndef test_a(): assert f(1) == undefined",
        "from candidate import f\nX = undefined + 1\ndef test_a(): assert f(1) == 1",
        "from candidate import f\ndef test_a(no_such_fixture): assert f(1) == 1",
        "import candidate\n1 / 0\ndef test_a(): pass",
        "def test_a():\n    import no_such_library",
        "def test_a(): assert 1 == 2",
        "from candidate import f",
        "import pytest\nfrom candidate import f\n@pytest.mark.skip\ndef test_a(): assert f(1) == 1",
    ],
)
def test_tests_that_fail_whatever_the_candidate_does_are_at_fault(bare: Apart, tests: str) -> None:
    for code in ("def f(x): return x", "def f(x): return None"):
        assert _verdict(bare.run(code, tests)) is Verdict.INVALID_TESTS, (code, bare.run(code, tests))


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def f(x): return None", "from candidate import f\nFIRST = f([1])[0]\ndef test_a(): assert FIRST == 1"),
        (
            "def f(x): return None",
            "import pytest\nfrom candidate import f\nFIRST = f([1])[0]\nclass TestA:\n    def test_a(self): pass",
        ),
        ("CASES = None", "import pytest, candidate\n@pytest.mark.parametrize('x', candidate.CASES)\ndef test_a(x): pass"),
        ("CASES = None", "from candidate import CASES\nFIRST, SECOND = CASES\ndef test_a(): pass"),
        ("def f(x): return x", "from candidate import f\nassert f(1) == 2\ndef test_a(): pass"),
        ("def f(): return []", "from candidate import f\nfor last in f(): pass\nassert last == 1"),
        ("def f(): return []", "from candidate import f\ndef test_a():\n    for last in f(): pass\n    assert last == 1"),
        ("def f(): raise SystemExit", "from candidate import f\nX = f()\ndef test_a(): pass"),
        (
            "import os\ndef f(): os._exit(0)",
            "import pytest\nfrom candidate import f\nX = f()\nclass TestA:\n    def test_a(self): pass",
        ),
    ],
)
def test_tests_that_fail_over_what_the_candidate_gave_are_not(bare: Apart, code: str, tests: str) -> None:
    verdict = _verdict(bare.run(code, tests))
    assert verdict in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR)
    assert binary_reward(verdict) == 0.0


UNDEFINED_ON_FAILURE = [
    "def test_a():\n    r = f(3)\n    assert r == 9, f'got {resutl}'",
    "def test_a():\n    r = f(3)\n    assert r == 9, explain(r)\ndef explain(r): return difference(r, 9)",
    "import pytest\n@pytest.mark.parametrize('x', [2, 3])\ndef test_a(x): assert f(x) == x * x, 'for %s' % given",
    "import unittest\nclass TestA(unittest.TestCase):\n    def test_a(self):\n        if f(3) != 9: self.fail(mesage)",
    "def test_a():\n    try: assert f(3) == 9\n    except AssertionError:\n        logger.error('wrong')\n        raise",
    "def test_a():\n    for i in range(3):\n        if f(i) == i * i: continue\n        print(undefined)",
    "def test_a(): assert f(3) == 9 or fail_now('wrong')",
    "KIND = f(3)\nif KIND != 9: import nolib\ndef test_a(): assert f(2) == 4",
    "try: assert f(3) == 9\nexcept AssertionError: import nolib\ndef test_a(): assert f(2) == 4",
]


@pytest.mark.parametrize("tests", UNDEFINED_ON_FAILURE)
def test_an_undefined_name_that_only_wrong_candidates_meet_proves_nothing(bare: Apart, tests: str) -> None:
    tests = "from candidate import f\n" + tests
    verdict = _verdict(bare.run("def f(x): return 5", tests))
    assert verdict not in (Verdict.INVALID_TESTS, Verdict.ACCEPTED)
    assert bare.run("def f(x): return x * x", tests).accepted


@pytest.mark.parametrize(
    "tests",
    [
        "def test_a():\n    for i in range(3): assert f(i) == undefined",
        "def test_a():\n    assert f(3) == 9, 'wrong'\n    import no_such_library",
        "import pytest\n@pytest.mark.parametrize('x, odd', [(2, False), (3, True)])\ndef test_a(x, odd):\n    if odd: y = undefined(f(x))",
        "def helper(x): return undefined(x)\ndef test_a(): assert helper(f(3)) == 9",
    ],
)
def test_one_that_right_candidates_meet_too_is_the_tests_fault(bare: Apart, tests: str) -> None:
    assert _verdict(bare.run("def f(x): return x * x", "from candidate import f\n" + tests)) is Verdict.INVALID_TESTS


def test_a_proved_fault_of_one_test_excuses_no_other(bare: Apart) -> None:
    tests = "from candidate import f\ndef test_a(): assert f(1) == undefined\ndef test_b(): assert f(1) == 1"
    assert _verdict(bare.run("def f(x): return 2", tests)) is Verdict.WRONG_ANSWER
    assert _verdict(bare.run("def f(x): return 1", tests)) is Verdict.INVALID_TESTS


def test_a_test_side_that_dies_over_the_candidates_data_is_the_candidates_doing(bare: Apart) -> None:
    kills = "import os, signal\nfrom candidate import f\ndef test_a():\n    f(1)\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert _verdict(bare.run("def f(x): return 1", kills)) is Verdict.RUNTIME_ERROR
    before = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\ndef test_a(): pass"
    assert _verdict(bare.run("def f(x): return 1", before)) is Verdict.INVALID_TESTS


NOT_APART = {
    "an object of more than the tests' own class": "import io\nclass Odd(io.StringIO): pass\ndef test_a(): f(Odd())",
    "one that is passed where a TypeError is expected": "import io, pytest\nclass Odd(io.StringIO): pass\ndef test_a():\n    with pytest.raises(TypeError): f(Odd())",
    "one whose refusal is swallowed": "import io\nclass Odd(io.StringIO): pass\ndef test_a():\n    try: f(Odd())\n    except: pass",
    "a library's object": "import io\ndef test_a(): f(io.StringIO('x'))",
    "a subclass with keywords": "import candidate as c\nBase = c.C\nclass Mine(Base, x=1): pass\ndef test_a(): pass",
    "in a fixture": "import io, pytest\nclass Odd(io.StringIO): pass\n@pytest.fixture\ndef x(): return f(Odd())\ndef test_a(x): pass\ndef test_b(): pass",
}


@pytest.mark.parametrize("name", NOT_APART)
def test_what_cannot_cross_ends_the_run_and_is_nobodys_answer(bare: Apart, name: str) -> None:
    result = bare.run("class C: pass\ndef f(x): return 0", f"from candidate import f\n{NOT_APART[name]}")
    assert 'judging="together"' in result.not_apart, result
    assert result.finished
    assert _verdict(result) is Verdict.INVALID_TESTS


def test_what_the_candidate_made_too_deep_is_no_reason_to_judge_together(bare: Apart) -> None:
    code = "def make():\n    x = []\n    for _ in range(150): x = [x]\n    return x\ndef f(x): return 1"
    tests = "from candidate import f, make\ndef test_a():\n    x = make()\n    for _ in range(150): x = [x]\n    f(x)"
    result = bare.run(code, tests)
    assert not result.not_apart
    assert result.outcomes == {"test_a": "failed"}
    own = "from candidate import f\ndef test_a():\n    x = []\n    for _ in range(400): x = [x]\n    f(x)"
    assert bare.run(code, own).not_apart


def test_failures_before_what_cannot_cross_stand(bare: Apart) -> None:
    tests = (
        "from candidate import f\nimport io\nclass Odd(io.StringIO): pass\ndef test_a(): assert f(1) == 2\ndef test_b(): f(Odd())"
    )
    assert _verdict(bare.run("def f(x): return 1", tests)) is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(("bases", "weakest"), [(("data", "word"), "word"), (("line_up", "data"), "line_up"), ((), "")])
def test_a_result_rests_on_the_weakest_of_its_tests(bases: tuple[str, ...], weakest: str) -> None:
    tests = tuple(TestResult(name=basis, outcome=TestOutcome.PASSED, basis=basis) for basis in bases)  # type: ignore[arg-type]
    assert basis_of(RunReport(status=Status.OK, tests=tests)) == weakest
