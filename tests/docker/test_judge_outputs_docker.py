"""Programs judged by what they leave behind, in real sandboxes."""

from __future__ import annotations

import pytest

from orchestrator.engine.outputs import judge_artefacts, judge_io
from orchestrator.scoring import checkers
from orchestrator.types import CheckerSource, IOCase, Limits, MiB, Program, Verdict

LIMITS = Limits(wall_time=20, cpu_time=5, memory=512 * MiB, disk=32 * MiB, output=64 * 1024, processes=32)
CASES = [IOCase(stdin="3\n1 2 3\n", expected="6\n"), IOCase(stdin="1\n5\n", expected="5\n")]
READ = "input(); xs = [int(x) for x in input().split()]\n"

OUTPUTS = {
    "right": (READ + "print(sum(xs))", Verdict.ACCEPTED),
    "wrong": (READ + "print(max(xs))", Verdict.WRONG_ANSWER),
    "right_once_then_silent": (READ + "print(sum(xs)) if len(xs) == 3 else None", Verdict.WRONG_ANSWER),
    "right_and_more": (READ + "print(sum(xs)); print(sum(xs))", Verdict.WRONG_ANSWER),
    "leaves_early": ("import os; os._exit(0)", Verdict.WRONG_ANSWER),
    "claims_success": ("print('accepted'); print('[[\"\", true]]')", Verdict.WRONG_ANSWER),
    "raises_after_right_output": (READ + "print(sum(xs), flush=True); 1 / 0", Verdict.RUNTIME_ERROR),
    "does_not_parse": ("def f(:", Verdict.INVALID_CANDIDATE),
    "spins": ("while True: pass", Verdict.TIMED_OUT),
    "floods": ("while True: print(6)", Verdict.OUTPUT_EXCEEDED),
}


@pytest.mark.parametrize("name", OUTPUTS)
async def test_the_verdict_on_output_is_right(bare, name):
    code, verdict = OUTPUTS[name]
    result = await judge_io(bare, Program(code=code), CASES, limits=LIMITS.model_copy(update={"cpu_time": 1.0}))
    assert result.verdict is verdict, result
    assert result.judging == "apart"


CHECKERS = {
    "accepts": ("def check(stdin, expected, got): print('talks'); return got.split() == expected.split()", Verdict.ACCEPTED),
    "rejects": ("def check(stdin, expected, got): return 'no: ' + got", Verdict.WRONG_ANSWER),
    "says_no": ("def check(stdin, expected, got): return False", Verdict.WRONG_ANSWER),
    "raises": ("def check(stdin, expected, got): return 1 / 0", Verdict.INVALID_TESTS),
    "says_one": ("def check(stdin, expected, got): return 1", Verdict.INVALID_TESTS),
    "is_missing": ("x = 1", Verdict.INVALID_TESTS),
    "does_not_parse": ("def check(:", Verdict.INVALID_TESTS),
    "leaves": ("import os\ndef check(stdin, expected, got): os._exit(0)", Verdict.INVALID_TESTS),
    "hangs": ("def check(stdin, expected, got):\n    while True: pass", Verdict.INVALID_TESTS),
}


@pytest.mark.parametrize("name", CHECKERS)
async def test_a_foreign_checker_decides_or_is_at_fault(bare, name):
    source, verdict = CHECKERS[name]
    result = await judge_io(
        bare,
        Program(code=READ + "print(sum(xs))"),
        CASES,
        CheckerSource(code=source),
        limits=LIMITS,
        checker_limits=LIMITS.model_copy(update={"cpu_time": 1.0}),
    )
    assert result.verdict is verdict, result
    if name == "rejects":
        assert [test.message for test in result.tests] == ["no: 6\n", "no: 5\n"]


async def test_a_command_is_judged_by_its_artefacts(bare):
    program = Program(argv=("sh", "-c", 'printf "a,1.0000001\\n" > t.csv; printf x > note'), artifacts=("t.csv", "note"))
    right = checkers.artefacts({"t.csv": checkers.csv_numbers("a,1"), "note": checkers.same_bytes(b"x")})
    wrong = checkers.artefacts({"t.csv": checkers.csv_numbers("a,2")})
    assert (await judge_artefacts(bare, program, right, limits=LIMITS)).verdict is Verdict.ACCEPTED
    result = await judge_artefacts(bare, program, wrong, limits=LIMITS)
    assert result.verdict is Verdict.WRONG_ANSWER
    assert result.tests[0].message == "row 1, cell 2: expected '2', got '1.0000001'"


ACCURACY = """
import json
def check(artefacts, data):
    labels = json.loads((data / "labels.json").read_text())
    if not (artefacts / "predictions.json").exists():
        return "no predictions"
    given = json.loads((artefacts / "predictions.json").read_text())
    hits = sum(type(one) is int and one == two for one, two in zip(given, labels))
    return {"length": len(given) == len(labels), "accuracy": True if hits >= 3 else f"{hits} of {len(labels)}"}
"""


@pytest.mark.parametrize(
    ("code", "verdict", "outcomes"),
    [
        ("import json; json.dump([0, 1, 1, 0], open('predictions.json', 'w'))", Verdict.ACCEPTED, ["passed", "passed"]),
        ("import json; json.dump([0, 0, 0, 0], open('predictions.json', 'w'))", Verdict.WRONG_ANSWER, ["passed", "failed"]),
        ("import os; os.symlink('/proc/self/environ', 'predictions.json')", Verdict.WRONG_ANSWER, ["failed"]),
        ("open('predictions.json', 'w').write('[')", Verdict.WRONG_ANSWER, ["failed"]),
    ],
)
async def test_predictions_are_scored_where_the_labels_are_and_the_candidate_is_not(bare, code, verdict, outcomes):
    result = await judge_artefacts(
        bare,
        Program(code=code, artifacts=("predictions.json",)),
        CheckerSource(code=ACCURACY),
        data={"labels.json": b"[0, 1, 1, 1]"},
        limits=LIMITS,
    )
    assert result.verdict is verdict, result
    assert [test.outcome for test in result.tests] == outcomes
