"""What an answer is worth: ranges, None for unknown, and the adapters' order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.benchmarks.hidden import read_hidden
from orchestrator.engine.engine import Engine
from orchestrator.errors import UsageError
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring import rewards
from orchestrator.scoring.rewards import Scored
from orchestrator.scoring.verdicts import binary_reward
from orchestrator.settings import Settings
from orchestrator.training import reward_functions
from orchestrator.training.reward_functions import CodeReward, compute_score
from orchestrator.types import ExecutionResult, Limits, Program, RunReport, Status, TestOutcome, TestResult, Verdict


def result(verdict: Verdict, passed: int = 0, failed: int = 0, **more: object) -> ExecutionResult:
    tests = [TestResult(name=f"p{i}", outcome=TestOutcome.PASSED) for i in range(passed)]
    tests += [TestResult(name=f"f{i}", outcome=TestOutcome.FAILED) for i in range(failed)]
    return ExecutionResult.model_validate(
        {"status": Status.OK, "verdict": verdict, "tests": tests, "tests_collected": passed + failed, "judging": "apart"} | more
    )


def scored(verdict: Verdict, passed: int = 0, failed: int = 0, **more: object) -> Scored:
    return Scored("text", "x = 1", result(verdict, passed, failed, **more))


EVERY = [rewards.binary, rewards.fraction_of_tests, rewards.ladder()]


@pytest.mark.parametrize("reward", EVERY)
@pytest.mark.parametrize("verdict", [Verdict.UNSCORED, Verdict.INVALID_TESTS])
def test_what_nobody_knows_is_none_and_not_zero(reward, verdict):
    assert reward(scored(verdict, 1, 1)) is None
    assert reward(Scored("text", "x = 1")) is None


@pytest.mark.parametrize("reward", EVERY)
def test_an_answer_without_code_is_worth_nothing_and_one_that_attacks_neither(reward):
    assert reward(Scored("I cannot.")) == 0
    assert reward(scored(Verdict.TAMPERED, 3)) == 0


@pytest.mark.parametrize("reward", EVERY)
def test_accepted_is_worth_one(reward):
    assert reward(scored(Verdict.ACCEPTED, 3)) == 1


def test_tests_that_passed_count_by_their_number():
    assert rewards.fraction_of_tests(scored(Verdict.WRONG_ANSWER, 3, 1)) == 0.75
    assert rewards.fraction_of_tests(scored(Verdict.RUNTIME_ERROR, 1, tests_collected=4)) == 0.25
    assert rewards.fraction_of_tests(scored(Verdict.TIMED_OUT)) == 0


def test_all_tests_passed_in_a_run_that_was_not_accepted_is_not_everything():
    assert rewards.fraction_of_tests(scored(Verdict.OUTPUT_EXCEEDED, 4)) < 1


def test_the_ladder_has_its_steps():
    reward = rewards.ladder(0.1, 0.3, 0.9)
    assert reward(Scored("", "def f(:")) == 0
    assert reward(scored(Verdict.RUNTIME_ERROR)) == 0.1
    assert reward(scored(Verdict.WRONG_ANSWER, 1, 1)) == 0.3
    assert reward(scored(Verdict.ACCEPTED, 2)) == 0.9
    with pytest.raises(ValueError, match="rise"):
        rewards.ladder(0.5, 0.3)


def test_length_costs_only_beyond_what_is_free():
    penalty = rewards.length_penalty(4, 8)
    assert [penalty(Scored("x" * size)) for size in (0, 4, 6, 8, 100)] == [0, 0, -0.5, -1, -1]
    with pytest.raises(ValueError, match="free"):
        rewards.length_penalty(4, 4)


def test_repetition_costs_what_is_said_again():
    penalty = rewards.repetition_penalty(2)
    assert penalty(Scored("a b c d")) == 0
    assert penalty(Scored("a b a b a b")) == pytest.approx(-3 / 5)
    assert penalty(Scored("")) == 0


@given(st.text(), st.integers(0, 50))
def test_penalties_stay_between_minus_one_and_zero(text, free):
    for penalty in (rewards.length_penalty(free, free + 10), rewards.repetition_penalty()):
        value = penalty(Scored(text))
        assert value is not None
        assert -1 <= value <= 0


def test_a_sum_with_an_unknown_part_is_unknown():
    known, unknown = scored(Verdict.ACCEPTED, 1), scored(Verdict.UNSCORED)
    both = rewards.weighted((rewards.binary, 0.8), (rewards.well_formed, 0.2))
    assert both(known) == pytest.approx(1)
    assert both(unknown) is None
    assert rewards.weighted((rewards.binary, 0), (rewards.well_formed, 0.2))(unknown) == pytest.approx(0.2)
    assert rewards.weighted((rewards.mutation_score, 1))(Scored("", mutation_score=0.4)) == pytest.approx(0.4)
    assert rewards.weighted((rewards.mutation_score, 1))(known) is None


def test_judged_together_is_unscored_when_refused():
    together = scored(Verdict.ACCEPTED, 1, judging="together")
    assert rewards.apart_only(rewards.binary)(together) is None
    assert rewards.binary(together) == 1


def judge(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
    """An engine whose sandboxes pass what says so in its source, on scripted sandboxes."""

    def answer(program: Program) -> RunReport:
        if "broken sandbox" in (program.tests or ""):
            return RunReport(status=Status.SANDBOX_ERROR, isolation="scripted")
        outcome = TestOutcome.PASSED if "return 1" in (program.code or "") else TestOutcome.FAILED
        tests = (TestResult(name="t", outcome=outcome),)
        return RunReport(status=Status.OK, tests=tests, tests_collected=1, tests_complete=True, isolation="scripted")

    async def work() -> list[ExecutionResult]:
        async with Engine(Settings(workers=2), provider=ScriptedProvider(answer)) as engine:
            return await engine.map(programs, limits)

    return asyncio.run(work())


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def test_a_batch_comes_back_in_order_and_unscored_is_none():
    texts = [fenced("def f():\n    return 1"), "No.", fenced("def f():\n    return 2"), fenced("def f():\n    return 1")]
    tests = ["from candidate import f"] * 3 + ["broken sandbox"]
    reward = CodeReward(judge=judge)
    columns = {"entry_point": ["f"] * 4, "other": [1] * 4}
    assert reward([""] * 4, texts, tests=tests, **columns) == [1, 0, 0, None]
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    assert reward([[]] * 4, chats, tests=tests, **columns) == [1, 0, 0, None]


def test_hidden_tests_stand_in_the_column_that_is_named():
    reward = CodeReward(tests="test_list", judge=judge)
    assert reward([""], [fenced("def f():\n    return 1")], test_list=[["assert f() == 1", "assert f()"]]) == [1]
    with pytest.raises(UsageError, match="test_list"):
        reward([""], ["x"], tests=["t"])


def test_the_option_refuses_what_was_judged_together():
    text = fenced("def f():\n    return 1")
    assert CodeReward(judge=judge).score(text, "from candidate import f") == 1
    assert CodeReward(judge=judge, refuse_together=True).score(text, "from candidate import f") is None


def test_verl_gets_a_number_or_an_error(monkeypatch):
    monkeypatch.setattr(reward_functions.background, "run_many", judge)
    good = fenced("def f():\n    return 1")
    assert compute_score("own", good, "from candidate import f", {"entry_point": "f"}) == 1
    assert compute_score("own", "No.", {"tests": "from candidate import f"}) == 0
    # As verl's managers call it: by keyword, some with settings of their own.
    row = {"data_source": "own", "ground_truth": {"tests": "from candidate import f"}, "extra_info": {"index": 3}}
    assert compute_score(solution_str=good, **row, strict_box_verify=False, reward_router_address="a:1") == 1
    with pytest.raises(UsageError, match="could not be scored"):
        compute_score("own", good, {"tests": "broken sandbox"})
    with pytest.raises(UsageError, match="no tests"):
        compute_score("own", good, "")


def outputs(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
    """Programs that double the number they read are right, and others write 4."""

    def answer(program: Program) -> RunReport:
        number = int(program.stdin) * 2 if "2 *" in (program.code or "") else 4
        return RunReport(status=Status.OK, stdout=f"{number}\n", isolation="scripted")

    async def work() -> list[ExecutionResult]:
        async with Engine(Settings(workers=2), provider=ScriptedProvider(answer)) as engine:
            return await engine.map(programs, limits)

    return asyncio.run(work())


DOUBLE = "```python\nprint(2 * int(input()))\n```"


@pytest.mark.parametrize(
    "tests",
    [
        [{"input": "2", "output": "4", "type": "stdin_stdout"}, {"input": "5", "output": "10"}],
        {"inputs": ["2", "5"], "outputs": ["4", "10"]},
        json.dumps({"inputs": ["2", "5"], "outputs": ["4", "10"]}),
    ],
    ids=["list of cases", "columns", "JSON"],
)
def test_inputs_and_outputs_are_judged_by_what_programs_write(tests, monkeypatch):
    reward = CodeReward(rewards.fraction_of_tests, judge=outputs)
    texts = [DOUBLE, "```python\nprint(4)\n```", "I cannot do that."]
    assert reward([""] * 3, texts, tests=[tests] * 3) == [1, 0.5, 0]
    monkeypatch.setattr(reward_functions.background, "run_many", outputs)
    assert compute_score("own", DOUBLE, tests) == 1


def programs_for(tests: object, entry_point: str = "", text: str = fenced("def f():\n    return 1")) -> list[Program]:
    seen: list[Program] = []

    def keep(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
        seen.extend(programs)
        return judge(programs, limits)

    CodeReward(judge=keep).score(text, tests, entry_point=entry_point)
    return seen


def test_tests_that_import_solution_find_the_candidate_there():
    assert programs_for("from solution import f\ndef test_f():\n    assert f() == 1")[0].module == "solution"


def test_tests_without_an_import_get_one():
    assert (programs_for("def test_f():\n    assert f() == 1")[0].tests or "").startswith("from candidate import f\n")
    assert (programs_for("def test_f():\n    assert f(g()) == 1", "f")[0].tests or "").startswith("from candidate import f\n")


def test_a_method_is_judged_by_check_or_by_calls():
    method, function = "class Solution:\n    def f(self):\n        return 1\n", "def f():\n    return 1\n"
    checked = reward_functions._program(method, read_hidden("def check(candidate):\n    assert candidate() == 1"), "Solution().f")
    assert "check(Solution().f)" in (checked.tests or "")
    assert checked.entry_point == ""
    calls = read_hidden({"inputs": [[]], "outputs": [1], "fn_name": "f"})
    assert "from candidate import Solution" in (reward_functions._program(method, calls, "").tests or "")
    assert "from candidate import f\n" in (reward_functions._program(function, calls, "").tests or "")


def test_numpys_arrays_are_read():
    tests = numpy.array(["assert f() == 1", "assert f()"])
    assert compute_score_of({"tests": tests}) == compute_score_of(tests) == 1
    columns = {"tests": numpy.array([tests, tests]), "entry_point": numpy.array(["f", "f"])}
    assert CodeReward(judge=judge)([""] * 2, numpy.array([fenced("def f():\n    return 1")] * 2), **columns) == [1, 1]


def compute_score_of(truth: object) -> float:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward_functions.background, "run_many", judge)
        return compute_score("own", fenced("def f():\n    return 1"), truth)


@pytest.mark.parametrize(
    "completion",
    [
        {"role": "assistant", "content": fenced("def f():\n    return 1")},
        [{"role": "assistant", "content": [{"type": "text", "text": fenced("def f():\n    return 1")}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": {"code": "def f():\n    return 1"}}}]}],
        [
            {
                "role": "assistant",
                "content": fenced("def f():\n    return 1"),
                "reasoning_content": fenced("def f():\n    return 2"),
            }
        ],
        numpy.array([{"role": "assistant", "content": fenced("def f():\n    return 1")}]),
        [{"role": "user", "content": fenced("def f():\n    return 2")}, {"role": "assistant", "content": "def f(): return 1"}],
    ],
    ids=["a message", "parts", "the call of a tool", "reasoning", "an array", "a conversation"],
)
def test_a_completion_is_read_in_every_form_of_a_message(completion):
    assert CodeReward(judge=judge)([""], [completion], tests=["from candidate import f"], entry_point=["f"]) == [1]


@pytest.mark.parametrize(
    "completion", [5, b"def f(): ...", ["def f(): ..."], [{"content": "x"}], [{"role": "assistant", "content": 5}]]
)
def test_a_completion_that_is_no_text_is_refused_by_row(completion):
    with pytest.raises(UsageError, match=r"Row 0 of the batch: its completion is an? .*, and neither a text nor"):
        CodeReward(judge=judge)([""], [completion], tests=["from candidate import f"])


@pytest.mark.parametrize("entry_point", ["Solution.f", "f()", "9f", float("nan")])
def test_an_entry_point_that_no_answer_can_define_is_refused(entry_point):
    with pytest.raises(UsageError, match=r"its entry point .* is neither a name nor written as"):
        CodeReward(judge=judge)([""], ["x"], tests=["from candidate import f"], entry_point=[entry_point])


def test_a_check_without_an_entry_point_checks_the_one_name_that_it_leaves_open():
    check = "def check(candidate):\n    assert candidate() == 1\n"
    assert [one.entry_point for one in programs_for(check + "check(f)\n")] == ["f"]
    with pytest.raises(UsageError, match="a check that does not say of which function"):
        programs_for(check)


def test_a_shape_that_is_not_known_is_refused_by_row_and_shape():
    good = "from candidate import f"
    with pytest.raises(
        UsageError, match=r"Row 1 of the batch: its tests are a dict with the keys 'a', 'b', which is not a known shape"
    ):
        CodeReward(judge=judge)([""] * 2, ["x"] * 2, tests=[good, {"a": 1, "b": 2}])
    with pytest.raises(UsageError, match=r"Row 7 of 'own': its tests are a list of int"):
        compute_score("own", "x", [1, 2], {"index": 7})
    with pytest.raises(UsageError, match="calls that do not say of which function"):
        compute_score("own", "x", [{"input": "1", "output": "1", "testtype": "functional"}])


def test_rows_without_tests_are_none_whatever_the_answer(caplog):
    reward = CodeReward(judge=judge)
    right = fenced("def f():\n    return 1")
    assert reward([""] * 4, [right, "No.", right, right], tests=[None, None, "", "from candidate import f"]) == [
        None,
        None,
        None,
        1,
    ]
    assert caplog.text == ""


def test_a_batch_of_none_says_why_and_says_it_once(caplog):
    reward = CodeReward(judge=judge)
    right = fenced("def f():\n    return 1")
    for _ in range(2):
        assert reward([""] * 2, [right] * 2, tests=["broken sandbox"] * 2) == [None, None]
    assert len(caplog.records) == 1
    assert "None of the 2 answers of a batch could be scored: unscored" in caplog.text
    CodeReward(judge=judge)([""], [right], tests=[None])
    assert "their rows have no tests" in caplog.text
    CodeReward(judge=judge, refuse_together=True)([""], [right], tests=["from candidate import f"])
    assert "accepted and judged together" in caplog.text


def test_verls_error_says_why_there_is_no_score(monkeypatch):
    def fails(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
        return [result(Verdict.INVALID_TESTS, collection_error="test.py:1\nModuleNotFoundError: No module named 'lib'")]

    monkeypatch.setattr(reward_functions.background, "run_many", fails)
    with pytest.raises(UsageError, match="could not be scored: invalid_tests: ModuleNotFoundError: No module named 'lib'"):
        compute_score("own", fenced("def f():\n    return 1"), "import lib")


@pytest.mark.parametrize(("on_word", "value"), [("accept", 1.0), ("zero", 0.0), ("none", None)])
def test_what_is_accepted_on_its_own_word_is_worth_what_was_asked_for(on_word, value):
    def judge(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
        bases = {"a": "word", "b": "data", "c": "line_up"}
        return [result(Verdict.ACCEPTED, 1, basis=bases[(program.tests or "")[-1]]) for program in programs]

    reward = CodeReward(on_word=on_word, judge=judge)
    answers = ["```python\nx = 1\n```"] * 3
    assert reward([""] * 3, answers, tests=["assert x  # a", "assert x  # b", "assert x  # c"]) == [value, 1.0, 1.0]


def test_a_wrong_answer_on_its_word_is_wrong_in_every_way():
    reward = CodeReward(on_word="none", judge=lambda programs, limits: [result(Verdict.WRONG_ANSWER, 0, 1, basis="word")])
    assert reward([""], ["```python\nx = 1\n```"], tests=["assert x"]) == [0.0]
    with pytest.raises(UsageError, match="There is no on_word 'maybe'"):
        CodeReward(on_word="maybe")


def test_parameters_that_a_candidate_chose_do_not_outweigh_other_tests():
    many = [TestResult(name=f"test_a[{i}]", outcome=TestOutcome.PASSED) for i in range(5000)]
    wrong = TestResult(name="test_b", outcome=TestOutcome.FAILED)
    inflated = ExecutionResult(status=Status.OK, verdict=Verdict.WRONG_ANSWER, tests=(*many, wrong), tests_collected=5001)
    assert rewards.fraction_of_tests(Scored("text", "x = 1", inflated)) == 0.5


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_door_has_none_for_the_same_verdicts(verdict):
    unknown = verdict in (Verdict.UNSCORED, Verdict.INVALID_TESTS)
    assert (binary_reward(verdict) is None) is unknown
    assert (rewards.binary(scored(verdict, 1)) is None) is unknown
