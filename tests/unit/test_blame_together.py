"""Judged together, a candidate could say anything: that the tests are at fault is tried without it, and only then believed."""

from __future__ import annotations

import sys
import types

import pytest

from orchestrator.engine.blame import is_proved, without_candidate
from orchestrator.engine.engine import Engine
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.types import Program, RunReport, Status, TestOutcome, TestResult, Verdict

TESTS = "from candidate import f\ndef test_a(): assert f(3) == 9"
WRONG = TestResult(name="test_a", outcome=TestOutcome.FAILED, side="tests")
RAN = RunReport(status=Status.OK, tests=(WRONG,), tests_collected=1, tests_complete=True)
CLAIMS = {
    "they cannot begin": RunReport(status=Status.OK, collection_error="ZeroDivisionError", collection_error_side="tests"),
    "there is none": RunReport(status=Status.OK),
    "all are skipped": RAN.model_copy(update={"tests": (WRONG.model_copy(update={"outcome": TestOutcome.SKIPPED}),)}),
    "one is proved wrong": RAN.model_copy(update={"tests": (WRONG.model_copy(update={"proved": True}),)}),
    "they cannot be apart": RunReport(status=Status.OK, not_apart="an object"),
}


async def judge(*reports: RunReport, programs: int = 1):
    provider = ScriptedProvider(list(reports))
    async with Engine(Settings(workers=1), provider=provider) as engine:
        results = [await engine.execute(Program(code=f"x = {n}", tests=TESTS)) for n in range(programs)]
    return results, provider.programs


@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_claim_that_does_not_hold_without_the_candidate_is_its_failure(claim):
    [result], sent = await judge(CLAIMS[claim], RAN)
    assert (result.verdict, result.reward) == (Verdict.RUNTIME_ERROR, 0.0)
    assert "without the candidate they are not" in result.detail
    assert "x = 0" not in sent[1].code
    assert sent[1].tests == TESTS


async def test_a_claim_that_holds_without_the_candidate_is_proved_once_for_all_candidates():
    broken = RunReport(status=Status.OK, collection_error="x\nModuleNotFoundError: no_such", collection_error_side="tests")
    results, sent = await judge(broken, broken, broken, programs=2)
    assert [(one.verdict, one.reward) for one in results] == [(Verdict.INVALID_TESTS, None)] * 2
    assert len(sent) == 3


async def test_nothing_is_run_again_where_nobody_blames_the_tests():
    _, sent = await judge(RAN, RAN, programs=2)
    assert len(sent) == 2


async def test_where_it_cannot_be_tried_nothing_is_scored():
    dead = RunReport(status=Status.SANDBOX_ERROR, detail="It died.")
    [result], _ = await judge(CLAIMS["there is none"], dead, dead, dead)
    assert (result.verdict, result.reward, result.detail) == (Verdict.UNSCORED, None, "It died.")


@pytest.fixture
def nobody():
    code = without_candidate(Program(code="x", tests="from nobody import *\nimport os\nX = LIMIT + g(1)", module="nobody")).code
    module = types.ModuleType("nobody")
    sys.modules["nobody"] = module
    exec(code, module.__dict__)
    yield module
    del sys.modules["nobody"]


USES = [
    *(
        "X()",
        "X + 1",
        "1 + X",
        "-X",
        "X < 1",
        "X == 1",
        "X[0]",
        "X['a']",
        "X.attribute",
        "len(X)",
        "list(X)",
        "int(X)",
        "float(X)",
    ),
    *("not X", "1 in X", "f'{X()}'", "a, b = X", "X @ X", "{**X()}", "[*X]", "min(X)", "range(X)", "round(X)", "X()(1)"),
]


@pytest.mark.parametrize("use", USES)
def test_whatever_uses_nobody_fails_for_want_of_a_candidate(nobody, use):
    with pytest.raises(ImportError) as told:
        exec(f"from nobody import X\n{use}")
    assert told.value.name == "nobody"


def test_tests_that_only_name_and_subclass_nobody_can_begin(nobody):
    names: dict[str, object] = {}
    exec("from nobody import Base, f\nclass Mine(Base):\n    kind = f\ndef test_a(): assert f(1)", names)
    assert callable(names["test_a"])


def test_nobody_has_the_names_that_tests_have_from_nowhere(nobody):
    assert nobody.__all__ == ["LIMIT", "g"]


@pytest.mark.parametrize(
    ("error", "proved"),
    [
        ("test.py:1\nModuleNotFoundError: No module named 'x'", True),
        ("SyntaxError: bad", True),
        ("NameError: name 'x' is not defined", True),
        ("Failed: In test_a: function uses no argument 'y'", True),
        ("KeyError: <class 'candidate.X'>", False),
        ("TypeError: expected str, not type", False),
        ("AssertionError", False),
    ],
)
def test_only_errors_that_no_stand_in_brings_about_prove_anything(error, proved):
    report = RunReport(status=Status.OK, collection_error=error, collection_error_side="tests")
    assert is_proved(report) is proved
