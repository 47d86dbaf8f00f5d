"""Loss functions with a scripted model and a scripted sandbox: who is corrected, who decides, what the model gets to see."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.applications.loss_functions.contract import PREFIX
from orchestrator.applications.loss_functions.job import LossJob, LossSolving
from orchestrator.applications.loss_functions.prompts import (
    Brief,
    ask_fault,
    correct_candidate,
    correct_tests,
    read_fault,
    write_candidate,
    write_tests,
)
from orchestrator.applications.loss_functions.solve import LossOptions, LossOutcome, brief_of, solve
from orchestrator.applications.loss_functions.tasks import LossTask, builtin_tasks, custom_task
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import judged
from orchestrator.errors import CompletionError
from orchestrator.jobs.classification import Failure
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    Limits,
    Message,
    Program,
    RunReport,
    Sampling,
    Status,
    TestOutcome,
    TestResult,
    Verdict,
)

SECRET = "SECRETVALUE"
HIDDEN = f"import torch\nfrom candidate import loss\n\n\ndef test_hidden():\n    assert loss(1, 2) == 3, '{SECRET}'\n"
REFERENCE = "def loss(pred, target):\n    return (pred - target).abs().mean()  # REFERENCE\n"

TASK = LossTask(
    name="mae",
    title="Mean absolute error",
    description="The mean of the absolute differences.",
    signature="loss(pred, target)",
    inputs="regression",  # type: ignore[arg-type]
    reference=REFERENCE,
    visible_tests="from candidate import loss\n\n\ndef test_worked_example():\n    assert loss(1, 2) == 1\n",
    hidden_tests=HIDDEN,
)
OWN = custom_task("Penalise the absolute difference of two numbers.", "loss(pred, target)", "regression")


def function(body: str) -> str:
    return f"```python\nimport torch\n\n\ndef loss(pred, target):\n    {body}\n```"


RIGHT = function("return (pred - target).abs().mean()")
ALSO_RIGHT = function("return torch.abs(pred - target).mean()")
NAME_ERROR = function("return (pred - targets).abs().mean()")
SUM = function("return (pred - target).abs().sum()")
SLOW = function("while True: pass")
OVERFITTED = function("return (pred - target).clamp(min=0).mean()")
"""Passes what is visible, fails what is hidden."""

TESTS = """```python
import torch
from candidate import loss


def test_zero():
    assert loss(torch.ones(2), torch.ones(2)) == 0


def test_one():
    assert loss(torch.zeros(2), torch.ones(2)) == 1
```"""
WRONG_TESTS = TESTS.replace("== 1", "== 7")
VACUOUS_TESTS = "```python\nfrom candidate import loss\n\n\ndef test_it_runs():\n    loss\n```"


def report(tests: dict[str, str], status: Status = Status.OK) -> RunReport:
    """Names and messages; an empty message is a pass."""
    results = tuple(
        TestResult(
            name=name,
            outcome=TestOutcome.FAILED if message else TestOutcome.PASSED,
            message=message,
            side=("candidate" if "candidate.py" in message else "tests") if message else "",
        )
        for name, message in tests.items()
    )
    return RunReport(status=status, tests=results, tests_collected=len(results), tests_complete=bool(results))


@dataclass
class Sandboxes:
    """Knows by the text of a program what a sandbox would report."""

    programs: list[Program] = field(default_factory=list)
    broken: bool = False
    odd: Callable[[Program], RunReport | None] = lambda program: None

    async def execute(self, program: Program, limits: Limits) -> ExecutionResult:
        self.programs.append(program)
        await asyncio.sleep(0)
        if self.broken:
            return judged(program, RunReport(status=Status.SANDBOX_ERROR, detail="The container died."))
        return judged(program, self.odd(program) or self.report(program))

    def report(self, program: Program) -> RunReport:
        code, tests = program.code or "", program.tests or ""
        if "while True" in code:
            return RunReport(status=Status.TIMED_OUT_CPU)
        wrong = "targets" in code or ".sum()" in code or "clamp" in code
        if SECRET in tests:
            return report({"test_hidden": f"AssertionError: {SECRET}" if wrong else ""})
        if PREFIX in tests:
            if "targets" in code:
                raised = "candidate.py:5 in loss: return\nNameError: name 'targets' is not defined"
                return report({"test_contract_scalar": raised, "test_worked_example": raised})
            value = "AssertionError: the worked example must be 1, got 2" if ".sum()" in code else ""
            return report({"test_contract_scalar": "", "test_worked_example": value})
        return self.model_written(code, tests)

    def model_written(self, code: str, tests: str) -> RunReport:
        idle = "* 0 for x in" in code
        names = re.findall(r"def (test_\w+)", tests)
        outcomes = dict.fromkeys(names, "")
        for name in names:
            body = tests.partition(f"def {name}")[2].partition("\n\n\n")[0]
            if "== 7" in body or ("== 1" in body and (idle or "clamp" in code)):
                outcomes[name] = "AssertionError: assert False"
        return report(outcomes)


@dataclass
class Story:
    """One task and what it left."""

    outcome: LossOutcome
    attempts: list[Attempt]
    events: list[Event]
    prompts: list[str]
    sandboxes: Sandboxes

    def of(self, kind: str) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.kind == kind]


class Writer(ScriptedModel):
    """Answers functions and tests from two lists, whoever comes first."""

    def __init__(self, functions: Sequence[str], tests: Sequence[str], verdict: str = "FUNCTION") -> None:
        self.functions, self.tests = iter(functions), iter(tests)
        self.verdict = verdict
        super().__init__(self.write)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        await asyncio.sleep(0)  # as a server: others come to their turn
        return await super().chat(messages, sampling, on_token)

    def write(self, messages: Sequence[Message], sampling: Sampling) -> str:
        text = messages[-1].content
        if "FUNCTION or TEST" in text:
            return self.verdict
        return next(self.tests) if "pytest functions" in text else next(self.functions)


async def tell(
    functions: Sequence[str],
    tests: Sequence[str] = (TESTS,),
    task: LossTask = TASK,
    options: LossOptions | None = None,
    sandboxes: Sandboxes | None = None,
    previous: Sequence[Attempt] = (),
    verdict: str = "FUNCTION",
) -> Story:
    sandboxes = sandboxes or Sandboxes()
    recorded: list[Attempt] = []
    events: list[Event] = []
    model = Writer(functions, tests, verdict)
    options = options or LossOptions(samples=1, rounds=4)

    async def record(attempt: Attempt) -> None:
        recorded.append(attempt)

    outcome = await solve(task, model, sandboxes.execute, options, record=record, previous=previous, on_event=events.append)
    prompts = ["\n".join(message.content for message in call.messages) for call in model.calls]
    return Story(outcome, recorded, events, prompts, sandboxes)


async def test_a_right_answer_is_accepted_at_first_with_its_tests() -> None:
    story = await tell([RIGHT])
    outcome = story.outcome
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.accepted_at_first
    assert outcome.decided_by == "hidden tests"
    assert (outcome.first_failure, outcome.fixed_by) == ("", "")
    assert outcome.attempts == 2
    assert outcome.rounds == 1
    assert "def test_one" in outcome.tests
    assert outcome.usage.completion_tokens > 0
    assert [attempt.verdict for attempt in story.attempts] == [Verdict.ACCEPTED, Verdict.ACCEPTED]


async def test_a_name_error_is_corrected() -> None:
    story = await tell([NAME_ERROR, RIGHT])
    assert story.outcome.verdict is Verdict.ACCEPTED
    assert not story.outcome.accepted_at_first
    assert "name 'targets' is not defined" in story.outcome.first_failure
    assert "name 'targets' is not defined" in story.outcome.fixed_by
    correction = next(prompt for prompt in story.prompts if "This answer is wrong" in prompt)
    assert "(pred - targets)" in correction
    assert "NameError" in correction
    assert "worked_example" not in correction


async def test_a_wrong_value_is_corrected_with_the_example_that_failed() -> None:
    story = await tell([SUM, RIGHT])
    correction = next(prompt for prompt in story.prompts if "This answer is wrong" in prompt)
    assert "assert loss(1, 2) == 1" in correction
    assert "must be 1, got 2" in correction
    assert story.of("candidate")[0].verdict is Verdict.WRONG_ANSWER


async def test_every_prompt_is_a_conversation_of_its_own_that_ends_in_the_stub() -> None:
    story = await tell([NAME_ERROR, SUM, RIGHT])
    first, *corrections = story.of("candidate")
    for attempt in (first, *corrections):
        assert [message.role for message in attempt.messages] == ["system", "user"]
    assert first.messages[-1].content.rstrip("`\n").endswith("def loss(pred, target):")
    assert len(corrections) == 2
    for attempt in corrections:  # which begin by naming the mistake, or with the remedy where it is known
        parent = next(item for item in (first, *corrections) if item.index == attempt.parent)
        remedy = parent.hint or "The mistake was"
        assert parent.hint in attempt.messages[-1].content.partition("Running it gave:")[2].partition("Write the")[0]
        assert attempt.messages[-1].content.rstrip("`\n").endswith(f"def loss(pred, target):\n    # {remedy}")


async def test_hidden_tests_and_the_reference_never_reach_a_prompt() -> None:
    for functions in ([RIGHT], [OVERFITTED, SUM, NAME_ERROR, RIGHT], [OVERFITTED, OVERFITTED, SUM, SLOW], ["", "no", SUM, RIGHT]):
        for tests in ([TESTS, TESTS], [WRONG_TESTS, TESTS], [VACUOUS_TESTS, "nothing"]):
            story = await tell(functions, tests)
            assert story.prompts
            for prompt in story.prompts:
                assert SECRET not in prompt
                assert "test_hidden" not in prompt
                assert "REFERENCE" not in prompt
            for attempt in story.attempts:
                assert SECRET not in attempt.feedback
                assert SECRET not in str(attempt.evidence)


async def test_the_secret_is_in_the_record_so_the_test_above_can_fail() -> None:
    story = await tell([OVERFITTED, RIGHT])
    hidden = story.of("candidate")[0].hidden
    assert hidden is not None
    assert SECRET in hidden.tests[0].message


async def test_what_only_hidden_tests_refuse_is_told_by_the_models_own_tests() -> None:
    story = await tell([OVERFITTED, RIGHT])
    first = story.of("candidate")[0]
    assert first.verdict is Verdict.WRONG_ANSWER
    assert first.fault is Fault.CANDIDATE
    assert "test_one" in first.feedback
    assert story.of("candidate")[1].parent == first.index


async def test_what_only_hidden_tests_refuse_starts_afresh_when_nothing_visible_fails() -> None:
    story = await tell([OVERFITTED, RIGHT], options=LossOptions(samples=1, write_tests=False))
    first, second = story.of("candidate")
    assert first.feedback == ""
    assert second.parent is None
    assert second.messages == first.messages
    assert second.sampling.temperature > first.sampling.temperature
    assert story.outcome.fixed_by == "another sample"


async def test_tests_that_the_reference_fails_are_dropped() -> None:
    story = await tell([RIGHT], [WRONG_TESTS])
    tests = story.of("tests")[0]
    assert tests.fault is Fault.TESTS
    assert tests.verdict is Verdict.INVALID_TESTS
    assert tests.evidence["dropped"] == ["test_one"]


async def test_wrong_tests_are_corrected() -> None:
    wrong = WRONG_TESTS.replace("== 0", "== 7")
    story = await tell([SUM, SUM, SUM, RIGHT], [wrong, TESTS])
    first, second = story.of("tests")
    assert first.fault is Fault.TESTS
    assert second.parent == first.index
    assert "These tests are wrong" in second.messages[-1].content
    assert "== 7" in second.messages[-1].content
    assert "def test_one" in story.outcome.tests


async def test_tests_that_nothing_fails_are_refused() -> None:
    story = await tell([SUM, SUM, SUM, RIGHT], [VACUOUS_TESTS, TESTS])
    first = story.of("tests")[0]
    assert first.fault is Fault.TESTS
    assert "always returns 0" in first.feedback


async def test_without_hidden_tests_the_checks_and_the_models_tests_decide() -> None:
    story = await tell([RIGHT], task=OWN)
    assert story.outcome.verdict is Verdict.ACCEPTED
    assert story.outcome.decided_by == "trusted checks and model-written tests"


async def test_without_a_reference_the_model_is_asked_only_when_nothing_else_decides() -> None:
    blamed_code = await tell([RIGHT, ALSO_RIGHT], [WRONG_TESTS], task=OWN, verdict="FUNCTION")
    first = blamed_code.of("candidate")[0]
    assert first.evidence["asked_model"] == "candidate"
    assert first.fault is Fault.CANDIDATE
    # The second candidate meets the checks and fails the same test: now the test is suspect, and nobody is asked.
    assert blamed_code.outcome.verdict is Verdict.ACCEPTED
    assert "asked_model" not in blamed_code.of("candidate")[1].evidence
    assert "test_one" not in blamed_code.outcome.tests
    assert "test_zero" in blamed_code.outcome.tests

    blamed_test = await tell([RIGHT], [WRONG_TESTS], task=OWN, verdict="TEST")
    assert blamed_test.outcome.verdict is Verdict.ACCEPTED
    assert blamed_test.outcome.accepted_at_first


async def test_without_tests_the_checks_alone_decide_and_that_is_said() -> None:
    story = await tell([RIGHT], ["no tests", "none"], task=OWN)
    assert story.outcome.verdict is Verdict.ACCEPTED
    assert story.outcome.decided_by == "trusted checks"


async def test_a_limit_is_told_as_a_limit() -> None:
    story = await tell([SLOW, RIGHT])
    first = story.of("candidate")[0]
    assert first.fault is Fault.RESOURCE_LIMIT
    assert first.verdict is Verdict.TIMED_OUT
    assert any("It was stopped" in prompt for prompt in story.prompts)


async def test_a_broken_sandbox_scores_nobody() -> None:
    story = await tell([RIGHT, RIGHT], sandboxes=Sandboxes(broken=True))
    assert story.outcome.verdict is Verdict.UNSCORED
    assert all(attempt.reward is None for attempt in story.attempts)
    assert len(story.of("candidate")) == 1


async def test_a_hidden_run_that_the_sandbox_lost_scores_nobody() -> None:
    def odd(program: Program) -> RunReport | None:
        return RunReport(status=Status.SANDBOX_ERROR) if SECRET in (program.tests or "") else None

    story = await tell([RIGHT, RIGHT], sandboxes=Sandboxes(odd=odd))
    assert story.outcome.verdict is Verdict.UNSCORED


async def test_out_of_rounds_names_the_best() -> None:
    story = await tell([NAME_ERROR, SUM, NAME_ERROR], options=LossOptions(samples=1, rounds=3))
    assert story.outcome.verdict is Verdict.WRONG_ANSWER
    assert ".sum()" in story.outcome.code
    assert story.outcome.rounds == 3
    assert story.outcome.fixed_by == ""


async def test_a_killed_run_goes_on_without_repeating() -> None:
    options = LossOptions(samples=1, rounds=4)
    functions = [NAME_ERROR, SUM, OVERFITTED, RIGHT]
    whole = await tell(functions, options=options)
    assert whole.outcome.verdict is Verdict.ACCEPTED
    for cut in range(len(whole.attempts) + 1):
        kept = whole.attempts[:cut]
        written = sum(attempt.kind == "candidate" for attempt in kept)
        tests = [] if any(attempt.kind == "tests" for attempt in kept) else [TESTS]
        rest = await tell(functions[written:], tests, options=options, previous=kept)
        assert rest.outcome.verdict is Verdict.ACCEPTED
        assert rest.outcome.code == whole.outcome.code
        assert rest.outcome.first_failure == whole.outcome.first_failure
        assert len(kept) + len(rest.attempts) == len(whole.attempts)
        assert sorted(attempt.index for attempt in [*kept, *rest.attempts]) == list(range(len(whole.attempts)))


async def test_a_finished_task_asks_nothing() -> None:
    whole = await tell([SUM, RIGHT])
    again = await tell([], [], previous=whole.attempts)
    assert again.prompts == []
    assert again.attempts == []
    assert again.outcome.model_copy(update={"wall_time": 0.0}) == whole.outcome.model_copy(update={"wall_time": 0.0})


async def test_an_accepted_task_asks_for_no_tests_either() -> None:
    whole = await tell([SUM, RIGHT], [WRONG_TESTS, TESTS], options=LossOptions(samples=1, tests_rounds=3))
    for kept in (whole.of("candidate"), [*whole.of("candidate"), whole.of("tests")[0]]):
        again = await tell([], [], previous=kept)
        assert again.outcome.verdict is Verdict.ACCEPTED
        assert again.outcome.code == whole.outcome.code
        assert (again.prompts, again.attempts, again.sandboxes.programs) == ([], [], [])


async def test_a_task_that_ran_out_of_rounds_asks_nothing() -> None:
    options = LossOptions(samples=2, rounds=2, first_temperature=0.5)
    whole = await tell([NAME_ERROR, SUM, OVERFITTED, SLOW], options=options)
    assert whole.outcome.verdict is not Verdict.ACCEPTED
    again = await tell([], [], options=options, previous=whole.attempts)
    assert (again.prompts, again.attempts, again.sandboxes.programs) == ([], [], [])
    assert again.outcome.model_copy(update={"wall_time": 0.0}) == whole.outcome.model_copy(update={"wall_time": 0.0})


async def test_a_loss_that_is_there_is_judged_first_and_corrected() -> None:
    given = SUM.removeprefix("```python\n").removesuffix("```") + "    # my own words\n"
    options = LossOptions(samples=2, rounds=2, start=given)
    story = await tell([NAME_ERROR, RIGHT], options=options)
    first, *corrections = story.of("candidate")
    assert (first.round, first.sample, first.messages, first.completion.was_drawn) == (0, 0, (), False)
    assert [item.round for item in corrections] == [1, 1]
    assert all(item.parent == first.index for item in corrections)
    asked = next(prompt for prompt in story.prompts if "This answer is wrong" in prompt)
    assert ".sum()" in asked
    assert "my own words" not in asked
    assert story.outcome.verdict is Verdict.ACCEPTED
    assert "the worked example must be 1, got 2" in story.outcome.first_failure
    again = await tell([], [], options=options, previous=story.attempts)
    assert (again.prompts, again.attempts) == ([], [])


async def test_a_right_loss_to_start_from_asks_for_no_other() -> None:
    given = RIGHT.removeprefix("```python\n").removesuffix("```")
    story = await tell([], options=LossOptions(start=given))
    assert story.outcome.accepted_at_first
    assert len(story.of("candidate")) == 1


async def test_a_loss_to_start_from_that_was_never_corrected_is_not_judged_again() -> None:
    options = LossOptions(samples=1, rounds=2, start=SUM)
    story = await tell([NAME_ERROR], options=options)
    assert story.outcome.verdict is Verdict.WRONG_ANSWER
    again = await tell([], [], options=options, previous=story.attempts)
    assert (again.prompts, again.attempts) == ([], [])


async def test_tests_that_were_dropped_stay_dropped() -> None:
    whole = await tell([RIGHT], [WRONG_TESTS], task=OWN, verdict="TEST")
    assert "test_one" not in whole.outcome.tests
    again = await tell([], [], task=OWN, previous=whole.attempts)
    assert again.outcome.tests == whole.outcome.tests


async def test_the_tests_are_asked_for_between_two_functions() -> None:
    story = await tell([SUM, RIGHT], options=LossOptions(samples=2))
    asked = ["tests" if "pytest functions" in prompt else "function" for prompt in story.prompts]
    assert asked == ["function", "tests", "function"]


class Engine:
    """Scripted sandboxes as an engine."""

    image = "sha256:test"

    def __init__(self) -> None:
        self.execute = Sandboxes().execute


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:
        yield store


def many(**options: object) -> LossJob:
    tasks = tuple(TASK.model_copy(update={"name": name}) for name in ("a", "b", "c"))
    return LossJob(tasks=tasks, options=LossOptions(samples=1, **options))  # type: ignore[arg-type]


async def test_many_tasks_are_solved_recorded_and_saved_in_their_order(records: RunStore, tmp_path: Path) -> None:
    model = Writer([SUM, RIGHT, RIGHT, ALSO_RIGHT, RIGHT, RIGHT], [TESTS] * 3)
    result = await LossSolving(Settings(home=tmp_path), records, engine=Engine(), model=model).run_job(many(tasks_at_once=2))
    assert result.run.state == "finished"
    assert result.accepted
    assert [outcome.task for outcome in result.outcomes] == ["a", "b", "c"]
    for name in ("a", "b", "c"):
        own = [attempt.index for attempt in records.attempts(result.run.id, name)]
        assert own == list(range(len(own)))
        assert (tmp_path / "runs" / result.run.id / f"{name}.py").exists()
    again = LossSolving(Settings(home=tmp_path), records, engine=Engine(), model=Writer([], []))
    assert (await again.resume_job(result.run.id)).outcomes == result.outcomes


async def test_a_model_that_stops_fails_the_job_and_what_was_solved_stays_so(records: RunStore, tmp_path: Path) -> None:
    model = Writer([RIGHT, CompletionError("The server is gone.")], [TESTS, TESTS])
    settings = Settings(home=tmp_path)
    with pytest.raises(CompletionError, match="gone"):
        await LossSolving(settings, records, engine=Engine(), model=model).run_job(many())
    run = records.run("last")
    assert run.state == "failed"
    rest = Writer([SUM, RIGHT, RIGHT], [TESTS] * 2)
    resumed = await LossSolving(settings, records, engine=Engine(), model=rest).resume_job(run.id)
    assert [outcome.verdict for outcome in resumed.outcomes] == [Verdict.ACCEPTED] * 3
    assert resumed.outcomes[0].attempts == 2
    assert len(rest.calls) <= 5  # nothing of the first task


async def test_the_watcher_gets_the_end_of_a_task() -> None:
    story = await tell([RIGHT])
    assert story.events[0].kind == "task_started"
    last = story.events[-1]
    assert (last.kind, last.verdict, last.attempts) == ("task_finished", Verdict.ACCEPTED, 2)
    assert last.wall_time == story.outcome.wall_time


@pytest.mark.parametrize("name", sorted(builtin_tasks()))
def test_no_prompt_of_a_builtin_task_knows_its_answer(name: str) -> None:
    task = builtin_tasks()[name]
    brief = brief_of(task)
    failure = Failure(code="x = 1", fault=Fault.CANDIDATE, feedback="wrong")
    prompts = [write_candidate(brief), write_tests(brief), correct_candidate(brief, failure), correct_tests(brief, failure)]
    prompts.append(ask_fault(brief, "x = 1", failure))
    lines = [line.strip() for text in (task.reference, task.hidden_tests) for line in text.splitlines()]
    secrets = [line for line in lines if len(line) > 30 and not line.startswith((f"def {task.entry_point}(", "import", "from"))]
    assert secrets
    for messages in prompts:
        text = "\n".join(message.content for message in messages)
        assert task.description.strip() in text
        assert not [line for line in secrets if line in text]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [("FUNCTION", Fault.CANDIDATE), ("The test.", Fault.TESTS), ("test or function", None), ("", None)],
)
def test_the_models_opinion_is_read(answer: str, fault: Fault | None) -> None:
    assert read_fault(answer) is fault


def test_a_known_remedy_is_written_into_the_code_to_complete() -> None:
    brief = Brief(description="a sum", signature="loss(pred, target)", entry_point="loss", stub="def loss(pred, target):")
    failure = Failure(
        code="def loss(pred, target): ...", fault=Fault.CANDIDATE, feedback="TypeError: max()", hint="write x.clamp(min=0)."
    )
    asked = correct_candidate(brief, failure)[-1].content
    assert "TypeError: max()\nHint: write x.clamp(min=0)." in asked
    assert "    # write x.clamp(min=0).\n```" in asked
