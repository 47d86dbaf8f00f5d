"""Programs judged by what they leave behind, on scripted sandboxes: which verdict follows, and what never enters a sandbox."""

from __future__ import annotations

import json

import numpy
import pytest

from orchestrator.engine.engine import Engine
from orchestrator.engine.outputs import judge_artefacts, judge_io
from orchestrator.engine.sandboxed import check_outputs
from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring import checkers
from orchestrator.settings import Settings
from orchestrator.types import (
    CheckerSource,
    ExecutionResult,
    IOCase,
    Limits,
    MiB,
    Program,
    RunReport,
    Status,
    TestOutcome,
    Verdict,
)

DOUBLE = Program(code="print(2 * int(input()))")
CASES = [IOCase(stdin="1\n", expected="2"), IOCase(stdin="2\n", expected="4", name="two"), IOCase(stdin="3\n", expected="6")]
SECRET = "only-the-judge-knows-this"


def report(stdout: str = "", status: Status = Status.OK, **fields) -> RunReport:
    return RunReport(status=status, stdout=stdout, isolation="scripted", wall_time=1.0, cpu_time=0.5, memory_peak=7, **fields)


def doubled(program: Program) -> RunReport:
    return report(f"{2 * int(program.stdin)}\n")


async def judge(answer, cases=CASES, checker="token", program=DOUBLE, **options) -> tuple[ExecutionResult, list[Program]]:
    provider = ScriptedProvider(answer)
    async with Engine(Settings(workers=2), provider=provider, retries=0) as engine:
        return await judge_io(engine, program, cases, checker, **options), provider.programs


async def test_right_output_in_every_case_is_accepted():
    result, programs = await judge(doubled)
    assert (result.verdict, result.reward, result.judging, result.status) == (Verdict.ACCEPTED, 1.0, "apart", Status.OK)
    assert [(test.name, test.outcome) for test in result.tests] == [
        ("case 1", TestOutcome.PASSED),
        ("two", TestOutcome.PASSED),
        ("case 3", TestOutcome.PASSED),
    ]
    assert (result.tests_collected, result.tests_complete) == (3, True)
    assert (result.wall_time, result.cpu_time, result.memory_peak) == (3.0, 1.5, 7)
    assert sorted(program.stdin for program in programs) == [b"1\n", b"2\n", b"3\n"]


async def test_one_wrong_output_is_a_wrong_answer_and_tells_where():
    result, _ = await judge(lambda program: report("5") if program.stdin == b"2\n" else doubled(program))
    assert (result.verdict, result.reward) == (Verdict.WRONG_ANSWER, 0.0)
    assert [test.outcome for test in result.tests] == ["passed", "failed", "passed"]
    assert result.tests[1].message == "word 1: expected '4', got '5'"
    assert result.stdout == "5"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (Status.RUNTIME_ERROR, Verdict.RUNTIME_ERROR),
        (Status.SIGNALLED, Verdict.RUNTIME_ERROR),
        (Status.TIMED_OUT_CPU, Verdict.TIMED_OUT),
        (Status.MEMORY_EXCEEDED, Verdict.MEMORY_EXCEEDED),
        (Status.OUTPUT_EXCEEDED, Verdict.OUTPUT_EXCEEDED),
        (Status.DISK_EXCEEDED, Verdict.RESOURCE_EXCEEDED),
        (Status.SANDBOX_ERROR, Verdict.UNSCORED),
    ],
)
async def test_right_output_of_a_run_that_did_not_end_well_does_not_count(status, verdict):
    result, _ = await judge(lambda program: report("4", status) if program.stdin == b"2\n" else doubled(program))
    assert result.verdict is verdict
    assert result.reward == (None if verdict is Verdict.UNSCORED else 0.0)
    assert result.status is status
    assert result.tests[1].outcome is TestOutcome.ERROR
    assert status in result.tests[1].message


async def test_a_case_without_a_sandbox_leaves_the_work_unscored_even_beside_a_wrong_one():
    def answer(program):
        return SandboxUnavailable("It died.") if program.stdin == b"3\n" else report("wrong")

    result, _ = await judge(answer)
    assert (result.verdict, result.reward, result.tests_complete) == (Verdict.UNSCORED, None, False)


async def test_a_program_that_does_not_parse_is_an_invalid_candidate():
    error = report(status=Status.RUNTIME_ERROR, exit_code=1, stderr="  File ...\nSyntaxError: invalid syntax\n")
    assert (await judge(lambda program: error))[0].verdict is Verdict.INVALID_CANDIDATE


async def test_an_attempt_that_was_seen_is_tampering_though_the_output_is_right():
    result, _ = await judge(lambda program: doubled(program).model_copy(update={"attack": ("ptrace",)}))
    assert (result.verdict, result.attack) == (Verdict.TAMPERED, ("ptrace",))


async def test_stopping_early_runs_nothing_after_the_first_that_is_wrong():
    result, programs = await judge(lambda program: report("4"), stop_early=True)
    assert len(programs) == 1
    assert (result.verdict, len(result.tests), result.tests_collected, result.tests_complete) == (
        Verdict.WRONG_ANSWER,
        1,
        3,
        False,
    )
    assert len((await judge(doubled, stop_early=True))[1]) == 3


async def test_no_cases_are_no_proof():
    assert (await judge(doubled, cases=[]))[0].verdict is Verdict.INVALID_TESTS


async def test_arguments_and_files_of_a_case_come_after_the_programs_own():
    case = IOCase(expected="", args=("b",), files={"y": b"2"})
    _, programs = await judge(lambda program: report(), cases=[case], program=Program(code="1", args=("a",), files={"x": b"1"}))
    assert (programs[0].args, programs[0].files) == (("a", "b"), {"x": b"1", "y": b"2"})
    _, programs = await judge(lambda program: report(), cases=[case], program=Program(argv=("cat", "a")))
    assert programs[0].argv == ("cat", "a", "b")


@pytest.mark.parametrize("program", [Program(code="1", tests="x"), Program(code="1", stdin=b"x")])
async def test_tests_or_stdin_of_its_own_are_refused(program):
    with pytest.raises(UsageError, match="neither tests nor stdin"):
        await judge(doubled, program=program)


async def test_what_is_expected_never_enters_a_candidates_sandbox():
    cases = [IOCase(stdin="1\n", expected=SECRET), IOCase(stdin="2\n", expected=SECRET)]

    def answer(program):
        return report('[["", true], ["", true]]') if "order.json" in program.files else doubled(program)

    for checker in ("token", CheckerSource(code="def check(stdin, expected, got): return True")):
        _, programs = await judge(answer, cases, checker)
        candidates = [program for program in programs if "order.json" not in program.files]
        assert len(candidates) == 2
        assert all(SECRET not in repr(program) for program in candidates)
        assert all(DOUBLE.code not in repr(program) for program in programs if program not in candidates)


def foreign(told: object, **fields):
    """A foreign checker whose sandbox prints this, beside candidates that are all right."""

    def answer(program):
        if "order.json" not in program.files:
            return doubled(program)
        return report(told if isinstance(told, str) else json.dumps(told), **fields)

    return answer


SOURCE = CheckerSource(code="def check(stdin, expected, got): ...")


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ([["", True]] * 3, Verdict.ACCEPTED),
        ([["", True], ["", "no"], ["", True]], Verdict.WRONG_ANSWER),
        ([["", True], ["", {"fault": "x"}], ["", True]], Verdict.INVALID_TESTS),
        ([["", True]] * 2, Verdict.INVALID_TESTS),
        ([["", True]] * 4, Verdict.INVALID_TESTS),
        ([["", 1]] * 3, Verdict.INVALID_TESTS),
        ([["", ""]] * 3, Verdict.INVALID_TESTS),
        ([True] * 3, Verdict.INVALID_TESTS),
        ({"": True}, Verdict.INVALID_TESTS),
        (True, Verdict.INVALID_TESTS),
        ("", Verdict.INVALID_TESTS),
        ('[["", true], ["", true], ["", true]]\nmore', Verdict.INVALID_TESTS),
        ("[" * 100_000, Verdict.INVALID_TESTS),
    ],
)
async def test_what_a_foreign_checker_says_passes_a_strict_gate(told, verdict):
    assert (await judge(foreign(told), checker=SOURCE))[0].verdict is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (Status.RUNTIME_ERROR, Verdict.INVALID_TESTS),
        (Status.TIMED_OUT_CPU, Verdict.INVALID_TESTS),
        (Status.SANDBOX_ERROR, Verdict.UNSCORED),
    ],
)
async def test_a_foreign_checker_that_fails_is_not_the_candidates_fault(status, verdict):
    result, _ = await judge(foreign([["", True]] * 3, status=status), checker=SOURCE)
    assert result.verdict is verdict
    assert {test.side for test in result.tests} == ({"tests"} if verdict is Verdict.INVALID_TESTS else {""})


def breaking(breaks_on: str, how: object):
    """A checker that breaks on some outputs: in words, or by ending its whole run."""

    def answer(program):
        if "order.json" not in program.files:
            return doubled(program)
        cases = json.loads(program.files["order.json"])["cases"]
        broken = [breaks_on in got for _, _, got in cases]
        if any(broken) and isinstance(how, Status):
            return report("", how)
        return report(json.dumps([["", how if one else True] for one in broken]))

    return answer


@pytest.mark.parametrize("how", [{"raised": "ValueError"}, Status.TIMED_OUT_WALL, Status.RUNTIME_ERROR, Status.MEMORY_EXCEEDED])
async def test_a_checker_that_breaks_on_one_output_fails_that_case_alone(how):
    cases = [IOCase(stdin="1\n", expected="2"), IOCase(stdin="4\n", expected="7"), IOCase(stdin="3\n", expected="6")]
    result, _ = await judge(breaking("8", how), cases, SOURCE)
    assert (result.verdict, result.reward) == (Verdict.WRONG_ANSWER, 0.0)
    assert [test.outcome for test in result.tests] == ["passed", "failed", "passed"]
    assert "could not take the output" in result.tests[1].message


@pytest.mark.parametrize("how", [{"raised": "ValueError"}, Status.TIMED_OUT_WALL])
async def test_a_checker_that_breaks_on_what_is_expected_is_at_fault(how):
    cases = [IOCase(stdin="1\n", expected="2"), IOCase(stdin="4\n", expected="8")]
    result, _ = await judge(breaking("8", how), cases, SOURCE)
    assert (result.verdict, result.reward) == (Verdict.INVALID_TESTS, None)
    assert [test.outcome for test in result.tests] == ["passed", "error"]


async def test_output_too_large_for_the_checkers_sandbox_is_wrong_and_the_rest_goes_in_batches():
    def answer(program):
        if "order.json" not in program.files:
            return report("x" * (50_000 * int(program.stdin)))
        count = len(json.loads(program.files["order.json"])["cases"])
        assert len(program.files["order.json"]) < MiB / 4
        return report(json.dumps([["", True]] * count))

    cases = [IOCase(stdin=str(size), expected="") for size in (0, 0, 1, 0, 1, 0)]
    result, programs = await judge(answer, cases, SOURCE, checker_limits=Limits(disk=1 * MiB))
    assert [test.outcome for test in result.tests] == ["passed", "passed", "failed", "passed", "failed", "passed"]
    small = [IOCase(stdin="0", expected="x" * 30_000)] * 5
    result, programs = await judge(answer, small, SOURCE, checker_limits=Limits(disk=1 * MiB))
    assert result.verdict is Verdict.ACCEPTED
    assert sum("order.json" in program.files for program in programs) == 5


TABLE = Program(argv=("make", "table"), artifacts=("*.csv",))


async def judge_files(answer, checker, program=TABLE, **options) -> tuple[ExecutionResult, list[Program]]:
    provider = ScriptedProvider(answer)
    async with Engine(Settings(workers=1), provider=provider, retries=0) as engine:
        return await judge_artefacts(engine, program, checker, **options), provider.programs


async def test_artefacts_are_judged_by_a_function_of_ours():
    check = checkers.artefacts({"a.csv": checkers.csv_numbers("1,2\n"), "b.csv": checkers.same_bytes(b"x")})
    right = report(artifacts={"a.csv": b"1,2.0000001\n", "b.csv": b"x"})
    result, _ = await judge_files([right], check)
    assert (result.verdict, result.judging, result.tests_complete) == (Verdict.ACCEPTED, "apart", True)
    assert [test.name for test in result.tests] == ["a.csv", "b.csv"]
    assert result.wall_time == 1.0
    wrong = report(artifacts={"a.csv": b"1,3\n"}, artifact_errors={"b.csv": "a link"})
    result, _ = await judge_files([wrong], check)
    assert result.verdict is Verdict.WRONG_ANSWER
    assert result.tests[0].message.startswith("row 1, cell 2")
    assert result.tests[1].message == "missing; b.csv was not carried out: a link"


async def test_artefacts_of_a_run_that_failed_do_not_count():
    failed = report(status=Status.MEMORY_EXCEEDED, artifacts={"a.csv": b"1"})
    result, _ = await judge_files([failed], checkers.artefacts({"a.csv": checkers.same_bytes(b"1")}))
    assert (result.verdict, result.reward) == (Verdict.MEMORY_EXCEEDED, 0.0)


async def test_a_checker_that_looks_at_nothing_proves_nothing():
    assert (await judge_files([report()], lambda got: {}))[0].verdict is Verdict.INVALID_TESTS
    assert (await judge_files([report(), report("[]")], SOURCE))[0].verdict is Verdict.INVALID_TESTS


async def test_a_foreign_checker_gets_artefacts_and_data_as_files_apart_from_each_other():
    left = report(artifacts={"a.csv": b"1", "checker.py": b"print('mine')"})
    told = report('[["rows", true], ["values", "too large"]]')
    result, (first, second) = await judge_files([left, told], SOURCE, data={"labels.csv": SECRET.encode()})
    assert SECRET not in repr(first)
    assert set(second.files) == {
        "artefacts/a.csv",
        "artefacts/checker.py",
        "data/labels.csv",
        "checker.py",
        "order.json",
    }
    assert second.files["checker.py"] == SOURCE.code.encode()
    assert [(test.name, test.outcome, test.message) for test in result.tests] == [
        ("rows", "passed", ""),
        ("values", "failed", "too large"),
    ]


async def test_artefacts_must_be_asked_for_and_data_needs_a_source():
    with pytest.raises(UsageError, match="artefacts"):
        await judge_files([report()], SOURCE, program=Program(code="1"))
    with pytest.raises(UsageError, match="given data"):
        await judge_files([report()], lambda got: {"": ""}, data={"x": b""})


@pytest.mark.parametrize("answer", [True, numpy.array([1, 2]) == numpy.array([1, 2]), numpy.float64(1) == 1.0])
def test_a_checker_may_answer_as_numpy_does(answer):
    assert check_outputs._told(numpy.all(answer)) is True
    assert check_outputs._told(numpy.all(answer) & numpy.False_) == "the checker says no"


@pytest.mark.parametrize(("answer", "shown"), [(1, "1"), (None, "None"), (numpy.array([True, True]), "array([ True,  True])")])
def test_what_no_checker_may_answer_is_shown(answer, shown):
    assert check_outputs._told(answer) == {"raised": f"check returned {shown}, and not True, False or a string"}
