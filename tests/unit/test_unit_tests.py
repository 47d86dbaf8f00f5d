"""Unit tests judged in plain processes, and jobs in which a scripted model writes them."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from mutant_harness import execute
from typer.testing import CliRunner
from worthless_tests import GOOD, WORDS, WORTHLESS

from orchestrator.applications.unit_tests.job import UnitTestWriting
from orchestrator.applications.unit_tests.judge import MutationOptions, Subject, judge_tests, survey
from orchestrator.applications.unit_tests.options import UnitTestJob
from orchestrator.applications.unit_tests.prompts import write_unit_tests
from orchestrator.applications.unit_tests.reports import FILES, write_reports
from orchestrator.applications.unit_tests.score import Weights
from orchestrator.applications.unit_tests.subjects import shown, subject_of, subject_of_task, with_module
from orchestrator.cli import app
from orchestrator.cli.solve import _write_tests, accepted_tests, with_mutation
from orchestrator.data.store import RunStore
from orchestrator.errors import CompletionError, UsageError
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Fault, Status, Verdict

pytestmark = pytest.mark.slow

ADD = Subject(
    name="add",
    function="add",
    module="def add(a, b=1):\n    return a + b\n",
    trusted=("assert add(2, 3) == 5\nassert add(1) == 2\n",),
)
ADD_TESTS = "from candidate import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n    assert add(4) == 5\n"
OPTIONS = MutationOptions(references=2, wall=5)


@pytest.fixture(scope="module")
async def words():
    return await survey(WORDS, execute, OPTIONS)


@pytest.fixture
def store(tmp_path):
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:
        yield store


class FakeEngine:
    """Plain processes in place of sandboxes. Counts what it ran."""

    image = "sha256:test"

    def __init__(self):
        self.runs = 0

    async def execute(self, program, limits):
        self.runs += 1
        return await execute(program, limits)


async def test_a_survey_tells_which_mutants_any_input_shows(words):
    assert words.inputs > 10
    assert words.distinct == {one.name for one in words.mutants}
    source = "def floor(x, low):\n    if x < low:\n        return low\n    return x\n"
    found = await survey(Subject(name="floor", function="floor", module=source, trusted=("assert floor(1, 2) == 2",)), execute)
    alike = {one.after for one in found.mutants if one.name not in found.distinct}
    assert alike == {"x <= low"}  # where the two are equal, either of them is returned


async def test_a_survey_is_the_same_each_time(words):
    again = await survey(WORDS, execute, OPTIONS)
    assert again.mutants == words.mutants
    assert again.distinct == words.distinct
    assert again.inputs == words.inputs


async def test_good_tests_are_paid_for_what_they_notice(words):
    found = await judge_tests(words, GOOD["values"], execute, OPTIONS)
    assert found.score.valid
    assert not found.score.worthless
    assert found.score.mutation_score is not None
    assert found.score.mutation_score > 0.9
    assert found.score.line_coverage == found.score.branch_coverage == 1.0
    assert found.score.reward is not None
    assert found.score.reward > 0.9
    assert found.seen.calls == 5
    assert "go unnoticed" in found.feedback
    assert [name for name, _, _ in found.outcomes] == ["test_order", "test_short", "test_bad"]


async def test_what_is_found_is_the_same_each_time(words):
    first, again = [await judge_tests(words, GOOD["parametrised class"], execute, OPTIONS) for _ in range(2)]
    assert first.score == again.score
    assert first.seen == again.seen


async def test_the_time_that_marks_take_is_not_the_tests():
    """Here they double it; the tests may take what the function itself needs, and not more."""
    module = "def count(n):\n    found = 0\n    for _ in range(n):\n        found += 1\n    return found\n"
    began = time.process_time()
    exec(module + "count(10**6)", {})
    each = time.process_time() - began
    few = MutationOptions(references=2, mutants=1, cpu=0.3)
    counted = await survey(
        Subject(name="count", function="count", module=module, trusted=("assert count(3) == 3",)), execute, few
    )
    tests = "from candidate import count\n\n\ndef test_count():\n    assert count({}) == {}\n"
    for seconds, valid in ((0.12, True), (1.5, False)):
        many = int(10**6 * seconds / each)
        found = await judge_tests(counted, tests.format(many, many), execute, few)
        assert found.score.valid == valid, found.feedback


@pytest.mark.parametrize("name", ["fixtures", "unittest"])
async def test_what_needs_pytest_itself_is_judged_too(words, name):
    found = await judge_tests(words, GOOD[name], execute, OPTIONS)
    assert found.score.valid
    assert found.score.reward is not None
    assert found.score.reward > 0.6


@pytest.mark.parametrize(
    "name",
    [
        "calls compared with calls",
        "types alone",
        "a copy inside a test",
        "a copy in other words",
        "swallows what fails",
        "everything raises",
        "depends on the order",
        "forges the report",
        "remembers in a file",
    ],
)
async def test_tests_that_test_nothing_earn_nothing(words, name):
    # Tests that pass in one order of four are found out by ten orders, all but once in a million times.
    found = await judge_tests(words, WORTHLESS[name], execute, OPTIONS.model_copy(update={"references": 10}))
    assert found.score.reward == 0.0
    assert not any(found.score.components.values())


async def test_tests_that_fail_in_part_say_where(words):
    tests = GOOD["values"] + "\ndef test_wrong():\n    assert words('a bb') == ['a']\n"
    found = await judge_tests(words, tests, execute, OPTIONS)
    assert not found.score.valid
    assert found.score.mutation_score is None
    assert found.score.reward == pytest.approx(0.1)
    assert "test_wrong fails on the right function" in found.feedback
    assert "words('a bb') == ['a']" in found.feedback


async def test_tests_that_cannot_be_imported_earn_their_syntax(words):
    found = await judge_tests(words, "import nowhere\n" + GOOD["values"], execute, OPTIONS)
    assert found.score.reward == pytest.approx(0.05)
    assert "nowhere" in found.feedback


async def test_source_that_does_not_parse_is_never_run(words):
    async def never(program, limits):
        raise AssertionError

    found = await judge_tests(words, "def test_a(:", never, OPTIONS)
    assert found.score.reward == 0.0
    assert "do not parse" in found.feedback


async def test_weights_are_those_that_are_given(words):
    weights = Weights(syntax=0, runs=0, passes=0, line_coverage=0, branch_coverage=0, mutation=2)
    found = await judge_tests(words, GOOD["values"], execute, OPTIONS, weights)
    assert found.score.reward == pytest.approx(2 * (found.score.mutation_score or 0))


async def test_a_mutant_that_never_ends_is_killed_and_the_others_go_on():
    subject = Subject(
        name="count",
        function="count",
        module="def count(n):\n    found = 0\n    while n > 0:\n        n -= 1\n        found += 2\n    return found\n",
        trusted=("assert count(3) == 6\n",),
    )
    surveyed = await survey(subject, execute, OPTIONS)
    tests = "from candidate import count\ndef test_a():\n    assert count(3) == 6\n    assert count(0) == 0\n"
    found = await judge_tests(surveyed, tests, execute, OPTIONS)
    endless = [one.name for one in surveyed.mutants if one.after == "n += 1" or one.before == "n -= 1"]
    assert endless
    assert all(found.seen.mutants[name] == "killed" for name in endless)
    assert found.score.valid
    assert found.score.survived < len(surveyed.mutants) / 2


async def test_async_functions_exceptions_and_constants_of_the_module_are_there():
    subject = Subject(
        name="fetch",
        function="fetch",
        module=(
            "class Refused(ValueError):\n    pass\n\nLIMIT = 3\n\n"
            "async def fetch(n):\n    if n > LIMIT:\n        raise Refused(n)\n    return [n] * n\n"
        ),
    )
    tests = (
        "import asyncio\nimport pytest\nfrom candidate import LIMIT, Refused, fetch\n\n"
        "def test_a():\n    assert asyncio.run(fetch(2)) == [2, 2]\n    assert asyncio.run(fetch(LIMIT)) == [3, 3, 3]\n\n"
        "def test_b():\n    with pytest.raises(Refused) as caught:\n        asyncio.run(fetch(4))\n"
        "    assert caught.value.args == (4,)\n"
    )
    found = await judge_tests(await survey(subject, execute, OPTIONS), tests, execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert found.score.mutation_score == 1.0


async def test_a_run_that_is_cut_off_is_gone_on_with_after_the_mutant_it_was_cut_off_in(words):
    asked = []

    async def cut(program, limits):
        asked.append(list(json.loads(program.stdin)["mutants"]))
        result = await execute(program, limits)
        if len(asked) > 1:
            return result
        lines = result.stdout.splitlines()
        told = [json.loads(line) for line in lines]
        # In a mutant that the tests notice: one that ends the sandbox counts as noticed.
        killed = [place for place, one in enumerate(told) if one.get("outcome") == "failed"]
        kept = "\n".join(lines[: killed[2]]) + '\n{"event": "fac'
        return result.model_copy(update={"status": Status.MEMORY_EXCEEDED, "stdout": kept})

    found = await judge_tests(words, GOOD["values"], cut, OPTIONS)
    whole = await judge_tests(words, GOOD["values"], execute, OPTIONS)
    assert len(asked) == 2
    assert 0 < len(asked[1]) < len(asked[0])
    assert found.score == whole.score


async def test_a_sandbox_that_fails_makes_no_zero(words):
    async def fails(program, limits):
        return ExecutionResult(status=Status.SANDBOX_ERROR, verdict=Verdict.UNSCORED, detail="it broke")

    found = await judge_tests(words, GOOD["values"], fails, OPTIONS)
    assert found.unscored
    assert found.feedback == "it broke"


async def test_batches_of_mutants_come_to_the_same(words):
    found = await judge_tests(words, GOOD["values"], execute, OPTIONS.model_copy(update={"batch": 10}))
    whole = await judge_tests(words, GOOD["values"], execute, OPTIONS)
    assert len(found.runs) == -(-len(words.mutants) // 10)
    assert found.seen.mutants == whole.seen.mutants


async def test_a_function_whose_module_cannot_be_run_is_said_so():
    broken = Subject(name="f", function="f", module="import nowhere\n\ndef f(x):\n    return x + 1\n")
    with pytest.raises(UsageError, match="nowhere"):
        await survey(broken, execute, OPTIONS)


# Jobs


async def write_tests(job, settings, store, **given):
    return await UnitTestWriting(settings, store, **given).run_job(job)


async def resume(run_id, settings, store, **given):
    return await UnitTestWriting(settings, store, **given).resume_job(run_id)


def job(**options: object) -> UnitTestJob:
    return UnitTestJob(**{"subjects": (ADD,), "n": 2, "mutation": OPTIONS, **options})


def answer(tests: str) -> str:
    return f"Here are tests:\n```python\n{tests}```\nThey test it."


async def test_answers_are_judged_recorded_and_counted(store, tmp_path):
    model = ScriptedModel([answer(ADD_TESTS), answer("from candidate import add\ndef test_a():\n    assert add(1, 1) == 3\n")])
    events = []
    result = await write_tests(
        job(), Settings(home=tmp_path), store, engine=FakeEngine(), model=model, watcher=Watcher(on_event=events.append)
    )
    assert [row.verdict for row in result.rows] == [Verdict.ACCEPTED, Verdict.INVALID_TESTS]
    assert result.rows[0].mutation_score == 1.0
    assert result.rows[0].reward == pytest.approx(1.0)
    assert result.valid_rate == 0.5
    assert result.mean_mutation_score == 1.0
    assert [(one.k, one.value) for one in result.estimates] == [(1, 0.5)]
    assert result.best["add"].completion_id == 0
    assert [event.kind for event in events] == ["attempt_finished"] * 2
    assert "def add(a, b=1):" in model.calls[0].messages[1].content
    assert model.calls[0].sampling.seed != model.calls[1].sampling.seed
    first, second = store.attempts(result.run.id)
    assert first.kind == "tests"
    assert first.verdict is Verdict.ACCEPTED
    assert first.report is not None
    assert first.report.judging == "apart"
    assert [test.name for test in first.report.tests] == ["test_add"]
    assert second.fault is Fault.TESTS
    assert "test_a fails" in second.feedback
    told = store.run(result.run.id)
    assert told.state == "finished"
    assert told.summary["pass_at_k"] == {"1": 0.5}


async def test_an_answer_without_tests_earns_nothing(store, tmp_path):
    model = ScriptedModel(["I would rather not."])
    result = await write_tests(job(n=1), Settings(home=tmp_path), store, engine=FakeEngine(), model=model)
    assert result.rows[0].verdict is Verdict.INVALID_TESTS
    assert result.rows[0].reward == 0.0
    assert store.attempts(result.run.id)[0].fault is Fault.FORMAT


async def test_a_model_that_stops_leaves_what_is_done_and_the_rest_to_be_resumed(store, tmp_path):
    stopped = ScriptedModel([answer(ADD_TESTS), CompletionError("gone"), CompletionError("gone"), CompletionError("gone")])
    settings = Settings(home=tmp_path)
    result = await write_tests(job(n=3), settings, store, engine=FakeEngine(), model=stopped)
    assert result.error is not None
    assert len(result.rows) == 1
    assert store.run(result.run.id).state == "interrupted"
    engine = FakeEngine()
    resumed = await resume(
        result.run.id, settings, store, engine=engine, model=ScriptedModel([answer(ADD_TESTS), answer(ADD_TESTS)])
    )
    assert [row.completion_id for row in resumed.rows] == [0, 1, 2]
    assert resumed.run.state == "finished"
    assert engine.runs == 3  # one survey, two answers
    again = await resume(result.run.id, settings, store, engine=engine, model=ScriptedModel([]))
    assert engine.runs == 3
    assert again.rows == resumed.rows


REFUSED = CompletionError("The prompt is too long (400): 5000 > 4096.", status_code=400, said="5000 > 4096")


async def test_a_prompt_that_is_refused_is_its_answers_record_and_the_others_go_on(store, tmp_path):
    model = ScriptedModel([REFUSED, answer(ADD_TESTS)])
    result = await write_tests(job(), Settings(home=tmp_path), store, engine=FakeEngine(), model=model)
    assert result.error is None
    first = result.rows[0]
    assert (first.verdict, first.reward, first.refused) == (Verdict.UNSCORED, None, "400: 5000 > 4096")
    assert result.rows[1].verdict is Verdict.ACCEPTED
    assert result.as_json()["not_answerable"] == 1
    assert any("1 of 2 samples cannot be answered" in one and "5000 > 4096" in one for one in result.problems)


async def test_a_refusal_of_every_prompt_is_an_error_and_recorded_nowhere(store, tmp_path):
    result = await write_tests(job(), Settings(home=tmp_path), store, engine=FakeEngine(), model=ScriptedModel([REFUSED] * 2))
    assert result.error is not None
    assert "5000 > 4096" in result.error.message
    assert store.attempts(result.run.id) == []


async def test_an_interruption_keeps_what_is_judged(store, tmp_path):
    began = []

    class Slow(ScriptedModel):
        async def chat(self, messages, sampling, on_token=None):
            if self.calls:
                await asyncio.Event().wait()
            return await super().chat(messages, sampling, on_token)

    first = asyncio.Event()
    work = asyncio.create_task(
        write_tests(
            job(n=3),
            Settings(home=tmp_path),
            store,
            engine=FakeEngine(),
            model=Slow([answer(ADD_TESTS)]),
            watcher=Watcher(on_start=began.append, on_event=lambda event: first.set()),
        )
    )
    await asyncio.wait_for(first.wait(), 60)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert store.run(began[0].id).state == "interrupted"
    assert [attempt.verdict for attempt in store.attempts(began[0].id)] == [Verdict.ACCEPTED]


async def test_a_data_set_gives_its_references(store, tmp_path):
    rows = [
        {
            "task_id": "T/0",
            "prompt": "def add(a, b=1):\n",
            "canonical_solution": "    return a + b\n",
            "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
            "entry_point": "add",
        },
        {
            "task_id": "T/1",
            "prompt": "def gone(a):\n",
            "canonical_solution": "    return nowhere\nimport nowhere\n",
            "test": "def check(candidate):\n    assert candidate(2) == 2\n",
            "entry_point": "gone",
        },
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = ScriptedModel(lambda messages, sampling: answer(ADD_TESTS))
    wanted = job(subjects=(), dataset=str(path), n=1)
    result = await write_tests(wanted, Settings(home=tmp_path), store, engine=FakeEngine(), model=model)
    assert [row.task_id for row in result.rows] == ["T/0"]
    assert result.rows[0].verdict is Verdict.ACCEPTED
    assert any("T/1" in problem for problem in result.problems)
    paths = write_reports(result, tmp_path / "out")
    assert [item.name for item in paths] == list(FILES)
    assert json.loads(paths[0].read_text().splitlines()[0])["mutation_score"] == 1.0
    assert "pass@1 | 100.0 %" in paths[2].read_text()
    for page in paths[2:]:
        assert all(part in page.read_text() for part in ("T/0", "reward 1.00", "from candidate import", "T/1"))


def test_a_task_without_a_reference_is_a_problem_and_inputs_are_trusted():
    from orchestrator.data.benchmarks import BenchmarkTask, Inputs

    assert "no reference" in str(subject_of_task(BenchmarkTask(task_id="T/1", prompt="", entry_point="f")))
    task = BenchmarkTask(task_id="T/1", prompt="", entry_point="f", reference="def f(x): return x", inputs=Inputs(base=([1],)))
    found = subject_of_task(task)
    assert isinstance(found, Subject)
    assert "f(*[1])" in found.trusted[0]


def test_the_model_sees_the_function_with_docstring_or_without():
    subject = Subject(name="f", function="f", module='"""M."""\n\n\ndef f(x):\n    """Doc."""\n    return x\n')
    assert '"""Doc."""' in shown(subject)
    assert "Doc" not in shown(subject, docstrings=False)
    assert "return x" in shown(subject, docstrings=False)


@pytest.mark.parametrize(
    ("place", "words"),
    [("stats.py", "names no function"), ("nowhere.py::f", "cannot be read"), ("{file}::g", "no function or class 'g'")],
)
def test_a_place_that_names_no_function_is_said_so(tmp_path, place, words):
    file = tmp_path / "own.py"
    file.write_text("def f(x):\n    return x\n")
    with pytest.raises(UsageError, match=words):
        subject_of(place.replace("{file}", str(file)))
    assert subject_of(f"{file}::f").function == "f"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "tests"], "no function to test"),
        (["solve", "tests", "x.py::f", "--resume", "r"], "--resume takes"),
        (["solve", "tests", "nowhere.py::f"], "cannot be read"),
        (["eval", "unit-tests"], "nothing to write tests for"),
        (["eval", "unit-tests", "humaneval", "--resume", "r"], "--resume takes"),
        (["eval", "unit-tests", "humaneval", "--threshold", "2"], "--threshold must be at most 1"),
        (["eval", "unit-tests", "humaneval", "--mutants", "0"], "--mutants must be at least 1"),
    ],
)
def test_wrong_arguments_end_with_a_sentence(arguments, words, tmp_path, monkeypatch):
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_accepted_tests_are_shown_with_the_name_that_their_module_has_on_disk(tmp_path):
    (tmp_path / "stats.py").write_text("def f(x):\n    return x\n")
    subject = subject_of(f"{tmp_path}/stats.py::f")
    rows = {
        subject.name: SimpleNamespace(verdict=Verdict.ACCEPTED, code="from candidate import f\ndef test_f(): assert f(1) == 1\n"),
        "other": SimpleNamespace(verdict=Verdict.WRONG_ANSWER, code="from candidate import g\n"),
    }
    result = SimpleNamespace(best=rows, job=SimpleNamespace(subjects=[subject]))
    assert accepted_tests(result) == {subject.name: "from stats import f\ndef test_f(): assert f(1) == 1\n"}


def test_the_environment_says_what_is_paid_and_what_is_enough(monkeypatch):
    monkeypatch.setenv("FUMEHOOD_TESTS_MUTATION", "2")
    monkeypatch.setenv("FUMEHOOD_TESTS_THRESHOLD", "0.25")
    chosen = with_mutation({}, mutants=None, seed=None, threshold=None)
    assert (chosen["weights"], chosen["threshold"]) == (Weights(mutation=2), 0.25)
    monkeypatch.setenv("FUMEHOOD_TESTS_THRESHOLD", "2")
    with pytest.raises(UsageError, match="FUMEHOOD_TESTS_THRESHOLD must be at most 1"):
        with_mutation({}, mutants=None, seed=None, threshold=0.5)


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        ("from stats import median, mean as m\n", "from candidate import median, mean as m\n"),
        ("from lib.stats import (\n    median,\n)\nx = 1\n", "from candidate import median\nx = 1\n"),
        (
            "def test_a():\n    from .stats import median\n    assert median",
            "def test_a():\n    from candidate import median\n    assert median",
        ),
        ("import stats\nimport stats as s, os\n", "import candidate as stats\nimport candidate as s, os\n"),
        ("from statistics import median\nimport mystats\n", None),
        ("from stats import median; import os\n", None),
        ("from stats import (", None),
    ],
)
def test_tests_import_the_function_as_their_author_does(tests, told):
    assert with_module(tests, "stats", "candidate") == (tests if told is None else told)


def test_a_function_of_a_file_knows_its_module(tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b=1):\n    return a + b\n")
    subject = subject_of(f"{tmp_path / 'sums.py'}::add")
    assert subject.module_name == "sums"
    with pytest.raises(UsageError, match=r"sums\.py: There is no function or class 'nix'"):
        subject_of(f"{tmp_path / 'sums.py'}::nix")


def test_tests_are_written_beside_those_that_are_there(tmp_path, capsys):
    (tmp_path / "test_f.py").write_text("precious")
    for _ in range(2):
        _write_tests(tmp_path, "f", "mine", "20260101-a")
    assert sorted((path.name, path.read_text()) for path in tmp_path.iterdir()) == [
        ("test_f.py", "precious"),
        ("test_f_20260101_a.py", "mine"),
    ]
    assert "is there already and stays" in capsys.readouterr().err


def test_errors_are_asked_for_only_where_the_function_raises_any():
    quiet = write_unit_tests("def f(x):\n    return x  # no raise here\n", "f")[-1].content
    loud = write_unit_tests("def f(x):\n    if x < 0:\n        raise ValueError(x)\n    return x\n", "f")[-1].content
    assert "errors" not in quiet
    assert "pytest\n" not in quiet
    assert "and the errors that it raises" in loud
    assert "import pytest\nfrom candidate import f" in loud
