"""Evaluation with scripted sandboxes and models: a program is right where it says RIGHT."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
from pathlib import Path

import pytest

from orchestrator.applications.evaluation import reports
from orchestrator.applications.evaluation.comparison import compare_runs
from orchestrator.applications.evaluation.job import PROMPTS, Evaluation
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.evaluation.reference_outputs import tests_of as source_of_tests
from orchestrator.applications.evaluation.reports import FILES, markdown, write_reports
from orchestrator.applications.evaluation.samples import recorded
from orchestrator.applications.evaluation.validation import validate_dataset
from orchestrator.cli.eval import _show as show
from orchestrator.data.benchmarks import BenchmarkTask, Sample, load
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import Engine
from orchestrator.errors import CompletionError, PrerequisiteError, StoreError, UsageError
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.types import Completion, Limits, Program, RunReport, Status, TestOutcome, TestResult, Verdict


def answer(program: Program) -> RunReport:
    code = program.code or ""
    if "BROKEN SANDBOX" in code:
        return RunReport(status=Status.SANDBOX_ERROR, detail="it broke")
    right = "RIGHT" in code and not ("VISIBLE" in (program.tests or "") and "HALF" in code)
    test = TestResult(
        name="test_f", outcome=TestOutcome.PASSED if right else TestOutcome.FAILED, message="" if right else "assert 1 == 2"
    )
    return RunReport(status=Status.OK, tests=(test,), tests_collected=1, tests_complete=True, cpu_time=0.01)


async def evaluate(job, settings, records, **given):
    return await Evaluation(settings, records, **given).run_job(job)


async def resume(run_id, settings, records, **given):
    return await Evaluation(settings, records, **given).resume_job(run_id)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", workers=2, data=None)


@pytest.fixture
def records(settings):
    with RunStore.open(settings.database_url) as store:
        yield store


@pytest.fixture
async def engine(settings):
    async with Engine(settings, provider=ScriptedProvider(answer, runs=1000), memory_budget=2**40) as engine:
        yield engine


@pytest.fixture
def dataset(tmp_path):
    rows = [
        {
            "task_id": f"t{i}",
            "prompt": "Write f.",
            "entry_point": "f",
            "tests": "def test_f():\n    assert f()",
            "visible_tests": "# VISIBLE\nassert f()",
        }
        for i in range(4)
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def samples_file(tmp_path, *rows: tuple[str, str] | str) -> str:
    path = tmp_path / "samples.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps({"task_id": row[0], "completion": row[1]})) + "\n" for row in rows)
    )
    return str(path)


def fenced(text: str) -> str:
    return f"```python\ndef f():\n    return {text!r}\n```"


async def test_recorded_samples_are_judged_and_reported_in_their_order(tmp_path, dataset, settings, records, engine):
    path = samples_file(
        tmp_path, ("t2", "RIGHT"), ("t0", "wrong"), ("t2", "wrong"), ("t0", "RIGHT"), ("t1", "RIGHT"), ("t1", "RIGHT")
    )
    result = await evaluate(EvalJob(dataset=dataset, samples=path, ks=(1, 2)), settings, records, engine=engine)
    told = result.as_json()
    assert [(row["task_id"], row["completion_id"], row["verdict"]) for row in told["results"]] == [
        ("t2", 0, "accepted"),
        ("t0", 0, "wrong_answer"),
        ("t2", 1, "wrong_answer"),
        ("t0", 1, "accepted"),
        ("t1", 0, "accepted"),
        ("t1", 1, "accepted"),
    ]
    assert told["pass_at_k"] == {"1": pytest.approx(2 / 3), "2": 1.0}
    assert told["verdicts"] == {"accepted": 4, "wrong_answer": 2}
    assert told["samples"] == 6
    assert told["results"][1]["result"] == "failed: assert 1 == 2"
    assert {"task_id", "completion_id", "verdict", "status", "judging", "reward"} <= told["results"][0].keys()
    assert any("1 of 4 tasks have no sample" in one for one in told["problems"])
    assert records.run(result.run.id).state == "finished"


async def test_bad_samples_are_named_and_the_rest_is_judged(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", "RIGHT"), ("nowhere", "x"), ("t1", "wrong"), '{"task_id": "t2", "compl')
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    assert len(result.rows) == 2
    assert any(one.startswith(f"{path}:2: ") and "nowhere" in one for one in result.problems)
    assert any(one.startswith(f"{path}:4: ") and "cut off" in one for one in result.problems)


async def test_unscored_samples_are_left_out_and_counted_aloud(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", "RIGHT"), ("t0", "BROKEN SANDBOX"), ("t1", "wrong"))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    told = result.as_json()
    assert told["pass_at_k"] == {"1": 0.5}
    assert told["unscored"] == 1
    assert told["results"][1]["reward"] is None
    assert any(one.startswith("1 sample is unscored") for one in result.problems)


async def test_a_k_above_the_number_of_samples_is_named_and_the_others_are_computed(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", "RIGHT"), ("t0", "RIGHT"), ("t1", "wrong"))
    result = await evaluate(EvalJob(dataset=dataset, samples=path, ks=(1, 2, 9)), settings, records, engine=engine)
    assert {one.k: one.value for one in result.estimates} == {1: 0.5, 2: 1.0}
    assert any("pass@9 needs 9 samples" in one for one in result.problems)
    assert any("pass@2 leaves out 1 task with" in one for one in result.problems)


async def test_samples_are_drawn_with_seeds_of_their_own(dataset, settings, records, engine):
    model = ScriptedModel(lambda messages, sampling: fenced("RIGHT" if sampling.seed % 2 else "wrong"))
    job = EvalJob(dataset=dataset, n=5, temperature=0.8, seed=3)
    result = await evaluate(job, settings, records, engine=engine, model=model)
    seeds = [call.sampling.seed for call in model.calls]
    assert len(set(seeds)) == len(seeds) == 20
    assert {call.sampling.temperature for call in model.calls} == {0.8}
    again = await evaluate(job, settings, records, engine=engine, model=ScriptedModel(model._answer))
    assert [row.verdict for row in again.rows] == [row.verdict for row in result.rows]
    assert [one.k for one in result.estimates] == [1, 5]


async def test_an_answer_without_code_is_an_invalid_candidate_and_runs_nothing(dataset, settings, records, engine):
    result = await evaluate(
        EvalJob(dataset=dataset, limit=1), settings, records, engine=engine, model=ScriptedModel(["I cannot do that."])
    )
    (row,) = result.rows
    assert (row.verdict, row.status, row.reward) == (Verdict.INVALID_CANDIDATE, "", 0.0)
    assert row.result.startswith("failed: ")


async def test_a_completion_continues_the_prompt(tmp_path, settings, records, engine):
    row = {
        "task_id": "t",
        "prompt": "def f():\n",
        "continues": True,
        "entry_point": "f",
        "tests": "def test_f():\n    assert f()",
    }
    (tmp_path / "c.jsonl").write_text(json.dumps(row))
    model = ScriptedModel(["    return 'RIGHT'\n"])
    await evaluate(EvalJob(dataset=str(tmp_path / "c.jsonl"), style="complete"), settings, records, engine=engine, model=model)
    assert model.calls[0].prompt == "def f():\n"
    assert engine._provider.programs[-1].code == "def f():\n    return 'RIGHT'\n"


async def test_a_correction_sees_visible_tests_alone(dataset, settings, records, engine):
    """HALF passes the hidden tests and fails the visible ones; `wrong` fails both; both are corrected once."""
    model = ScriptedModel([fenced("wrong"), fenced("RIGHT now")])
    result = await evaluate(EvalJob(dataset=dataset, limit=1, repair=2), settings, records, engine=engine, model=model)
    (row,) = result.rows
    assert (row.first_verdict, row.verdict, row.rounds) == (Verdict.WRONG_ANSWER, Verdict.ACCEPTED, 1)
    assert (result.before[0].value, result.estimates[0].value) == (0.0, 1.0)
    assert [call.sampling.temperature for call in model.calls] == [0.0, 0.8]  # greedily the answer would be the same again
    asked = model.calls[1].messages[0].content
    assert "assert 1 == 2" in asked
    assert "def test_f" not in asked


async def test_a_failure_of_hidden_tests_alone_is_not_corrected(tmp_path, settings, records, engine):
    row = {"task_id": "t", "prompt": "Write f.", "entry_point": "f", "tests": "def test_f():\n    assert f()"}
    (tmp_path / "h.jsonl").write_text(json.dumps(row))
    model = ScriptedModel([fenced("wrong"), fenced("RIGHT")])
    result = await evaluate(EvalJob(dataset=str(tmp_path / "h.jsonl"), repair=2), settings, records, engine=engine, model=model)
    assert len(model.calls) == 1
    assert result.rows[0].verdict is Verdict.WRONG_ANSWER


async def test_a_model_that_stops_answering_loses_nothing_and_is_gone_on_with(dataset, settings, records, engine):
    model = ScriptedModel([fenced("RIGHT"), fenced("wrong"), CompletionError("The server is gone.")])
    result = await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=model)
    assert len(result.rows) == 2
    assert result.error is not None
    assert records.run(result.run.id).state == "interrupted"
    assert any("own.jsonl:3: the model stopped answering at t2" in one for one in result.problems)
    rest = ScriptedModel([fenced("RIGHT"), fenced("RIGHT")])
    resumed = await resume(result.run.id, settings, records, engine=engine, model=rest)
    assert [row.verdict for row in resumed.rows] == ["accepted", "wrong_answer", "accepted", "accepted"]
    assert len(rest.calls) == 2
    assert records.run(result.run.id).state == "finished"
    assert [one.index for one in records.attempts(result.run.id)] == [0, 0, 0, 0]


LONG = CompletionError("The prompt is too long (400): 5000 > 4096.", status_code=400, said="5000 > 4096")


def numbered(tmp_path, count: int) -> str:
    """A data set whose prompts tell their number."""
    rows = [
        {"task_id": f"t{i}", "prompt": f"Write f{i}.", "entry_point": "f", "tests": "def test_f():\n    assert f()"}
        for i in range(count)
    ]
    (tmp_path / "n.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path / "n.jsonl")


def refusing(*numbers: int) -> ScriptedModel:
    """A model whose server refuses some of those prompts."""
    return ScriptedModel(
        lambda messages, _: LONG if any(f"Write f{number}." in messages[0].content for number in numbers) else fenced("RIGHT")
    )


@pytest.mark.parametrize("refused", [0, 2, 3])
async def test_a_prompt_that_is_refused_is_its_samples_record_and_the_others_go_on(tmp_path, settings, records, engine, refused):
    result = await evaluate(EvalJob(dataset=numbered(tmp_path, 4)), settings, records, engine=engine, model=refusing(refused))
    told = result.as_json()
    assert (result.error, records.run(result.run.id).state) == (None, "finished")
    assert told["verdicts"] == {"accepted": 3, "unscored": 1}
    assert (told["not_answerable"], told["pass_at_k"]) == (1, {"1": 1.0})
    row = result.rows[refused]
    assert (row.verdict, row.reward, row.refused) == (Verdict.UNSCORED, None, "400: 5000 > 4096")
    assert row.result == "not answerable: 400: 5000 > 4096"
    (note,) = result.problems
    assert note.startswith(f"1 of 4 samples cannot be answered (t{refused})")
    assert note in markdown(result)
    assert "5000 > 4096" in note
    again = await resume(result.run.id, settings, records, engine=engine)
    assert again.as_json()["not_answerable"] == 1


@pytest.mark.parametrize("count", [1, 4, 30])
async def test_a_refusal_of_every_prompt_ends_soon_and_records_nothing(tmp_path, settings, records, engine, count):
    model = refusing(*range(count))
    result = await evaluate(EvalJob(dataset=numbered(tmp_path, count)), settings, records, engine=engine, model=model)
    assert result.error is not None
    assert "5000 > 4096" in result.error.message
    assert len(model.calls) <= 8 + 4  # those that were under way already
    assert records.count_attempts(result.run.id) == 0
    rest = refusing()
    resumed = await resume(result.run.id, settings, records, engine=engine, model=rest)
    assert resumed.as_json()["verdicts"] == {"accepted": count}


async def test_many_refusals_are_no_end_while_one_of_the_first_prompts_is_still_being_answered(
    tmp_path, settings, records, engine
):
    class Slow(ScriptedModel):
        async def chat(self, messages, sampling, on_token=None):
            if "Write f0." in messages[0].content:
                await asyncio.sleep(0.3)
            return await super().chat(messages, sampling, on_token)

    model = Slow(refusing(*range(1, 20))._answer)
    job = EvalJob(dataset=numbered(tmp_path, 20), parallel=4)
    result = await evaluate(job, settings, records, engine=engine, model=model)
    assert result.as_json()["verdicts"] == {"unscored": 19, "accepted": 1}


async def test_a_correction_that_is_refused_leaves_the_verdict_as_it_was(dataset, settings, records, engine):
    model = ScriptedModel([fenced("wrong"), LONG])
    result = await evaluate(EvalJob(dataset=dataset, limit=1, repair=3), settings, records, engine=engine, model=model)
    (row,) = result.rows
    assert (row.verdict, row.reward, row.rounds) == (Verdict.WRONG_ANSWER, 0.0, 0)
    assert len(model.calls) == 2
    assert result.answers.corrections_refused == 1
    assert result.as_json()["not_answerable"] == 0
    assert any("prompts of 1 correction;" in one for one in result.problems)


class Answering(ScriptedModel):
    """Completions as a server gives them."""

    def __init__(self, *completions: Completion) -> None:
        super().__init__([])
        self._left = list(completions)

    async def chat(self, messages, sampling, on_token=None):
        return [self._left.pop(0)]


async def test_answers_that_are_none_or_less_are_counted_aloud(dataset, settings, records, engine):
    model = Answering(
        Completion(text="", finish_reason="other", reason="content_filter"),
        Completion(text="", finish_reason="length", reason="length", reasoning="Perhaps"),
        Completion(text="<think>\nPerhaps", finish_reason="length", reason="length", without=("seed",)),
        Completion(text="<think>\nPerhaps</think>\ndef f(): RIGHT", finish_reason="length", reason="length"),
    )
    result = await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=model)
    told = result.as_json()["answers"]
    assert (told["empty"], told["empty_reasons"]) == (2, {"content_filter": 1, "length": 1})
    assert (told["cut_off"], told["cut_while_reasoning"], told["without"]) == (3, 2, {"seed": 1})
    assert "2 answers are empty (as the server says: content_filter; length)" in result.problems
    assert "3 answers were cut off at --max-new-tokens 512, 2 of them while the model was still reasoning" in result.problems
    assert "without seed: the server refuses it" in markdown(result)


async def test_of_an_empty_recorded_sample_no_server_has_said_anything(dataset, tmp_path, settings, records, engine):
    samples = samples_file(tmp_path, ("t0", ""))
    result = await evaluate(EvalJob(dataset=dataset, samples=samples), settings, records, engine=engine)
    told = result.as_json()["answers"]
    assert (told["empty"], told["empty_reasons"]) == (1, {})
    assert "1 answer is empty" in result.problems


async def test_where_nothing_was_judged_it_is_said(dataset, settings, records, engine, capsys):
    model = ScriptedModel([CompletionError("The server is gone.")])
    result = await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=model)
    show(result, [])
    assert re.search(r"NOT DONE: 0 of 4 samples in [\d.]+ s: nothing was judged\.", capsys.readouterr().out)
    assert "Judged: nothing" in markdown(result)


async def test_a_continuation_that_is_a_program_with_fences_in_a_text_stays_as_it_is(tmp_path, settings, records, engine):
    row = {
        "task_id": "t",
        "prompt": "def f():\n",
        "continues": True,
        "entry_point": "f",
        "tests": "def test_f():\n    assert f()",
    }
    (tmp_path / "c.jsonl").write_text(json.dumps(row))
    text = '    return """RIGHT\n```python\nx\n```\n"""\n'
    job = EvalJob(dataset=str(tmp_path / "c.jsonl"), style="complete")
    result = await evaluate(job, settings, records, engine=engine, model=ScriptedModel([text]))
    assert (result.rows[0].completion, result.answers.fenced) == (text, 0)


async def test_a_continuation_that_is_an_answer_with_fences_is_read_as_one(tmp_path, settings, records, engine):
    row = {
        "task_id": "t",
        "prompt": "def f():\n",
        "continues": True,
        "entry_point": "f",
        "tests": "def test_f():\n    assert f()",
    }
    (tmp_path / "c.jsonl").write_text(json.dumps(row))
    model = ScriptedModel([f"Here it is:\n{fenced('RIGHT')}"])
    job = EvalJob(dataset=str(tmp_path / "c.jsonl"), style="complete")
    result = await evaluate(job, settings, records, engine=engine, model=model)
    assert [one.verdict for one in result.rows] == ["accepted"]
    assert result.answers.fenced == 1
    assert any("1 continuation came with fences" in one for one in result.problems)


async def test_an_interrupted_evaluation_judges_nothing_twice(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, *((f"t{i % 4}", f"RIGHT {i}") for i in range(40)))
    begun = []
    seen = 0

    def on_event(event):
        nonlocal seen
        seen += event.kind == "attempt_finished"
        if seen == 10:
            task.cancel()

    job = EvalJob(dataset=dataset, samples=path)
    task = asyncio.ensure_future(
        evaluate(job, settings, records, engine=engine, watcher=Watcher(on_start=begun.append, on_event=on_event))
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    run = begun[0].id
    kept = records.count_attempts(run)
    assert 10 <= kept < 40
    assert records.run(run).state == "interrupted"
    judged = len(engine._provider.programs)
    result = await resume(run, settings, records, engine=engine)
    assert len(engine._provider.programs) - judged == 40 - kept
    assert len(result.rows) == records.count_attempts(run) == 40
    assert result.as_json()["pass_at_k"]["1"] == 1.0


async def test_changed_samples_are_not_mixed_with_old_ones(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", "RIGHT"))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    samples_file(tmp_path, ("t0", "other"))
    with pytest.raises(UsageError, match="not what it was"):
        await resume(result.run.id, settings, records, engine=engine)


async def test_the_same_prompt_is_asked_again_when_the_others_were(tmp_path, settings, records, engine):
    rows = [
        {"task_id": f"t{i:02}", "prompt": f"Write f{i:02}.", "entry_point": "f", "tests": "assert f()"}
        for i in range(PROMPTS + 2)
    ]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model = ScriptedModel([fenced("RIGHT")] * 2 * len(rows))
    result = await evaluate(EvalJob(dataset=str(tmp_path / "many.jsonl"), n=2), settings, records, engine=engine, model=model)
    asked = [re.findall(r"Write f(\d\d)", call.messages[-1].content)[0] for call in model.calls]
    names = [f"{i:02}" for i in range(len(rows))]
    assert asked == 2 * names[:PROMPTS] + 2 * names[PROMPTS:]
    assert [(row.task_id, row.completion_id) for row in result.rows] == [(f"t{name}", i) for name in names for i in (0, 1)]


async def test_judging_does_not_wait_for_the_last_sample(dataset, settings, records, engine):
    judged_while_writing = []

    class Slow(ScriptedModel):
        async def chat(self, messages, sampling, on_token=None):
            await asyncio.sleep(0.05)
            judged_while_writing.append(len(engine._provider.programs))
            return await super().chat(messages, sampling, on_token)

    await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=Slow([fenced("RIGHT")] * 4))
    assert judged_while_writing[-1] >= 2


async def test_runs_are_compared_over_their_tasks(tmp_path, dataset, settings, records, engine):
    runs = []
    for texts in (("wrong", "wrong", "wrong", "RIGHT"), ("RIGHT", "RIGHT", "wrong", "RIGHT")):
        path = samples_file(tmp_path, *((f"t{i}", text) for i, text in enumerate(texts)))
        runs.append((await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)).run.id)
    _, _, found = compare_runs(*runs, records)
    assert (found.difference, found.test, found.p_value) == (0.5, "mcnemar", 0.5)
    assert found.better == ("t0", "t1")


async def test_reports_are_whole_and_need_no_other_file(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", "RIGHT"), ("t1", "<script>alert(1)</script>"), ("nowhere", "<b>"))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    written = write_reports(result, tmp_path / "out")
    assert [one.name for one in written] == list(FILES)
    rows = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert [(row["task_id"], row["result"], row["passed"]) for row in rows] == [
        ("t0", "passed", True),
        ("t1", "failed: assert 1 == 2", False),
    ]
    page, text = written[3].read_text(), written[2].read_text()
    assert "data:image/png" not in page, "a curve of one point"
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "http" not in page
    assert "| pass@1 | 50.0 % |" in text
    assert "token" not in text, "no model was asked"
    assert "the model" not in text
    for one in (page, text):  # the failure by its kind, the sample with prompt, code and reason
        assert all(part in one for part in ("wrong_answer", "assert 1 == 2", "alert(1)", "t1"))


async def test_samples_that_can_be_read_once_are_refused(tmp_path, dataset, settings, records, engine):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is not a plain file"):
        await evaluate(EvalJob(dataset=dataset, samples=str(tmp_path / "pipe")), settings, records, engine=engine)


async def test_a_report_groups_failures_and_draws_a_curve(tmp_path, dataset, settings, records, engine, monkeypatch):
    path = samples_file(tmp_path, *((f"t{i}", text) for i in range(4) for text in ("wrong", "RIGHT")))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    page = reports.page(result)
    assert page.count("data:image/png;base64,") == 1
    assert page.count("<details id=") == 4
    assert "(4)" in page
    assert "t3: 1 of 2" in page
    monkeypatch.setattr(reports, "SHOWN", 1)
    assert "(1 of 4)" in reports.page(result)
    assert "3 more are in results.jsonl" in reports.markdown(result)


async def test_a_full_disk_under_a_report_is_named_and_the_report_is_made_later(
    tmp_path, dataset, settings, records, engine, monkeypatch
):
    result = await evaluate(
        EvalJob(dataset=dataset, samples=samples_file(tmp_path, ("t0", "RIGHT"))), settings, records, engine=engine
    )
    real = Path.write_bytes

    def full(self, *args, **options):
        if "report.md" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"report\.md cannot be written: No space left") as caught:
        write_reports(result, tmp_path / "out")
    assert result.run.id in caught.value.remedy
    assert list((tmp_path / "out").iterdir()) == [], "a report is whole or not there"
    monkeypatch.undo()
    again = await resume(result.run.id, settings, records, engine=engine)
    assert len(write_reports(again, tmp_path / "elsewhere")) == 4


async def test_the_validator_names_references_that_fail(tmp_path, engine, monkeypatch):
    from orchestrator.data.benchmarks import load
    from orchestrator.types import Limits

    rows = [
        {"task_id": f"t{i}", "prompt": "p", "tests": "assert f()", "reference": ref}
        for i, ref in enumerate(("RIGHT", "wrong", ""))
    ]
    path = tmp_path / "v.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = await validate_dataset(load(str(path)), engine, Limits())
    assert {task: result.verdict for task, result in found.results.items()} == {"t0": "accepted", "t1": "wrong_answer"}
    assert sorted(one.split(": ")[0] for one in found.problems) == [f"{path}:2", f"{path}:3"]

    async def fails(program, limits):
        raise PrerequisiteError("no engine")

    monkeypatch.setattr(engine, "execute", fails)
    with pytest.raises(PrerequisiteError, match="no engine"):  # itself, not in a group
        await validate_dataset(load(str(path)), engine, Limits())


@pytest.mark.parametrize(
    ("rule", "atol", "argument", "expected", "out", "right"),
    [
        ("equal", 0, 1, 2, 2, True),
        ("equal", 0, 1, 2, 3, False),
        ("equal", 0, 1, 0.3, 0.1 + 0.2, True),
        ("equal", 0, 1, 0.3, 0.3001, False),
        ("equal", 0, 1, [0.3, 1.0], [0.30000001, 1.0], True),
        ("equal", 0, 1, [0.3, 1.0], (0.30000001, 1.0), False),
        ("equal", 0, 1, [0.3], [0.3, 0.3], False),
        ("equal", 0, 1, "a", 0.5, False),
        ("equal", 0.01, 1, 3, 3.001, False),
        ("equal", 0.01, 1, 3.0, 3.001, True),
        ("as_set", 0, 1, (1, 2), [2, 1, 1], True),
        ("as_set", 0, 1, (1, 2), [3], False),
        ("truth", 0, 1, True, "match", True),
        ("truth", 0, 1, False, None, True),
        ("truth", 0, 1, False, True, False),
        ("any", 0, 1, 1, 99, True),
        ("zero", 0, 1, 5, 0, True),
        ("root", 0.001, [-4, 2], 2.0, 2.0000001, True),
        ("root", 0.001, [-4, 2], 2.0, 2.1, False),
    ],
)
def test_outputs_are_compared_by_the_rule_of_the_task(rule, atol, argument, expected, out, right):
    from orchestrator.data.benchmarks import Inputs
    from orchestrator.data.benchmarks.literals import literal

    source = source_of_tests("f", Inputs(base=([argument],), atol=atol, rule=rule), literal(expected), "")
    names: dict[str, object] = {"_candidate": lambda _: out}
    exec(source.replace("from candidate import f as _candidate\n", ""), names)
    if right:
        names["test_base"]()
    else:
        with pytest.raises(AssertionError, match="input 0 of f"):
            names["test_base"]()
    assert "test_plus" not in names


async def test_an_answer_is_told_as_the_program_in_it_and_judged_again_the_same(tmp_path, dataset, settings, records, engine):
    result = await evaluate(
        EvalJob(dataset=dataset, limit=1), settings, records, engine=engine, model=ScriptedModel([fenced("RIGHT")])
    )
    (row,) = result.rows
    assert "```" in row.answer
    assert "```" not in row.completion
    write_reports(result, tmp_path / "out")
    job = EvalJob(dataset=dataset, samples=str(tmp_path / "out" / "results.jsonl"), limit=1)
    again = await evaluate(job, settings, records, engine=engine)
    assert [(one.verdict, one.completion) for one in again.rows] == [(row.verdict, row.completion)]


async def test_what_is_not_done_says_so_and_time_adds_up(dataset, settings, records, engine):
    model = ScriptedModel([fenced("RIGHT"), CompletionError("The server is gone.")])
    result = await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=model)
    assert result.progress == "NOT DONE: 1 of 4 samples"
    assert "NOT DONE: 1 of 4 samples" in markdown(result)
    records.finish(result.run.id, "interrupted", {**result.run.summary, "wall_time": 1000.0})
    rest = ScriptedModel([fenced("RIGHT")] * 3)
    resumed = await resume(result.run.id, settings, records, engine=engine, model=rest)
    assert resumed.progress == "4 samples"
    assert 1000 < resumed.wall_time < 1100
    assert 1000 < (await resume(result.run.id, settings, records, engine=engine)).wall_time < 1100


async def test_a_run_is_not_gone_on_with_by_another_model(dataset, settings, records, engine):
    model = ScriptedModel([fenced("RIGHT"), CompletionError("The server is gone.")])
    result = await evaluate(EvalJob(dataset=dataset), settings, records, engine=engine, model=model)
    other = ScriptedModel([fenced("RIGHT")] * 3, name="other")
    with pytest.raises(UsageError, match=r"began with the model scripted; at this server other answers"):
        await resume(result.run.id, settings, records, engine=engine, model=other)
    assert records.count_attempts(result.run.id) == 1


@pytest.mark.parametrize("number", [10**30, 1_000_000, -1])
async def test_a_completion_id_out_of_range_is_named(tmp_path, dataset, settings, records, engine, number):
    path = tmp_path / "s.jsonl"
    rows = [{"task_id": "t0", "completion": "RIGHT"}, {"task_id": "t1", "completion": "RIGHT", "completion_id": number}]
    path.write_text("\n".join(map(json.dumps, rows)))
    result = await evaluate(EvalJob(dataset=dataset, samples=str(path)), settings, records, engine=engine)
    assert len(result.rows) == 1
    assert any("s.jsonl:2: completion_id must be a whole number from 0 to 999999" in one for one in result.problems)


CHAT = "Sure! Here it is:\n\n```python\ndef f():\n    return 'RIGHT'\n```\nIt returns what is asked for."


async def test_code_in_a_chats_answer_is_judged_and_counted_aloud(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", CHAT), ("t1", "def f():\n    return 'RIGHT'\n"), ("t2", "```python\n```"))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    told = result.as_json()
    assert [(row.verdict, row.extracted) for row in result.rows] == [
        (Verdict.ACCEPTED, True),
        (Verdict.ACCEPTED, False),
        (Verdict.INVALID_CANDIDATE, True),
    ]
    assert told["extracted"] == 2
    assert (result.rows[0].completion, result.rows[0].answer) == ("def f():\n    return 'RIGHT'\n", CHAT)
    words = "2 of 3 samples came as answers of a chat: the code in them was judged, and 1 holds none that can be used"
    assert any(one.startswith(words) for one in result.problems)
    assert words in markdown(result)
    again = await resume(result.run.id, settings, records, engine=engine)
    assert any(one.startswith(words) for one in again.problems)


async def test_samples_outside_of_the_split_are_counted_and_not_named_one_by_one(tmp_path, settings, records, engine):
    rows = [{"task_id": n, "text": "p", "code": "def f(): pass", "test_list": ["assert f()"]} for n in (5, 11, 700, 701)]
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = samples_file(tmp_path, *((str(row["task_id"]), "RIGHT = 1") for row in rows))
    job = EvalJob(dataset="mbpp", data=str(tmp_path), samples=path)
    result = await evaluate(job, settings, records, engine=engine)
    assert [row.task_id for row in result.rows] == ["11"]
    assert result.problems == ["3 samples are of tasks of other splits, or not chosen"]
    whole = await evaluate(job.model_copy(update={"split": "all"}), settings, records, engine=engine)
    assert len(whole.rows) == 4


async def test_raw_samples_are_judged_as_they_are(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, ("t0", CHAT))
    result = await evaluate(EvalJob(dataset=dataset, samples=path, raw=True), settings, records, engine=engine)
    assert (result.rows[0].completion, result.rows[0].extracted) == (CHAT, False)
    assert not any("chat" in one for one in result.problems)


async def test_a_solution_counts_where_there_is_a_completion_too(tmp_path, dataset, settings, records, engine):
    path = samples_file(tmp_path, json.dumps({"task_id": "t0", "completion": CHAT, "solution": "def f(): return 'HALF RIGHT'"}))
    result = await evaluate(EvalJob(dataset=dataset, samples=path), settings, records, engine=engine)
    assert [row.completion for row in result.rows] == ["def f(): return 'HALF RIGHT'"]


@pytest.mark.parametrize(
    ("solution", "follows"),
    [("    return 1\n", True), ("def f():\n    return 1\n", False), ("    return (\n", False), ("import os\n", False)],
)
def test_a_solution_that_parses_only_behind_its_prompt_is_what_follows_it(solution, follows):
    task = BenchmarkTask(task_id="t", prompt="def f():\n", entry_point="f", tests="", continues=True)
    sample = Sample(task_id="t", completion_id=0, text=solution, whole=True)
    assert recorded(EvalJob(dataset="own.jsonl", raw=True), task, 0, sample).code == ("def f():\n" if follows else "") + solution


async def test_programs_are_judged_by_what_they_write_up_to_the_first_case_that_is_wrong(tmp_path, settings, records):
    def double(program: Program) -> RunReport:
        assert program.tests is None
        number = int(program.stdin) * 2 if "RIGHT" in (program.code or "") else 4
        return RunReport(status=Status.OK, stdout=f"{number}\n", cpu_time=0.01)

    row = {"task_id": "io", "prompt": "Double it.", "inputs": ["2", "3", "4"], "outputs": ["4", "6", "8"]}
    path = tmp_path / "io.jsonl"
    path.write_text(json.dumps(row) + "\n")
    program = "import sys\nif __name__ == '__main__':\n    print('RIGHT')\n"
    samples = samples_file(tmp_path, ("io", program), ("io", "print(4)"), ("io", f"```python\n{program}```\nDone."))
    async with Engine(settings, provider=ScriptedProvider(double, runs=1000), memory_budget=2**40) as engine:
        result = await evaluate(EvalJob(dataset=str(path), samples=samples), settings, records, engine=engine)
    assert [(row.verdict, row.tests_passed, row.tests) for row in result.rows] == [
        (Verdict.ACCEPTED, 3, 3),
        (Verdict.WRONG_ANSWER, 1, 3),
        (Verdict.ACCEPTED, 3, 3),
    ]
    assert "__main__" in result.rows[2].completion  # the main block is the program here


async def test_a_program_is_asked_for_where_output_is_judged(tmp_path, settings, records, engine):
    path = tmp_path / "io.jsonl"
    path.write_text(json.dumps({"task_id": "io", "prompt": "Double it.", "inputs": ["2"], "outputs": ["4"]}) + "\n")
    model = ScriptedModel(lambda messages, sampling: CHAT)
    await evaluate(EvalJob(dataset=str(path)), settings, records, engine=engine, model=model)
    assert "reads stdin" in model.calls[0].messages[0].content


async def test_a_checker_that_there_is_not_is_named_before_anything_runs(tmp_path, settings, records, engine):
    path = tmp_path / "io.jsonl"
    row = {"task_id": "io", "prompt": "p", "inputs": ["2"], "outputs": ["4"], "checker": "fuzzy"}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=r"io\.jsonl:1: There is no checker 'fuzzy'"):
        await evaluate(EvalJob(dataset=str(path), samples=samples_file(tmp_path, ("io", "x"))), settings, records, engine=engine)


async def test_a_checker_that_there_is_not_costs_its_row_alone(tmp_path, settings, records):
    row = {"task_id": "io", "prompt": "p", "inputs": ["2"], "outputs": ["4"], "reference": "print('RIGHT')"}
    path = tmp_path / "io.jsonl"
    path.write_text("".join(json.dumps(row | more) + "\n" for more in ({"task_id": "tokens", "checker": "tokens"}, {})))
    async with Engine(settings, provider=ScriptedProvider(answer, runs=1000), memory_budget=2**40) as engine:
        validation = await validate_dataset(load(str(path)), engine, Limits())
        result = await evaluate(
            EvalJob(dataset=str(path), samples=samples_file(tmp_path, ("io", "x"))), settings, records, engine=engine
        )
    for problems in (validation.problems, result.problems):
        assert f"{path}:1: task tokens: There is no checker 'tokens'" in problems[0]
    assert list(validation.results) == ["io"]
    assert [one.task_id for one in result.rows] == ["io"]


async def test_a_k_above_n_is_refused_before_anything_is_drawn(dataset, settings, records, engine):
    model = ScriptedModel(lambda messages, sampling: fenced("RIGHT"))
    with pytest.raises(UsageError, match="pass@10 needs 10 samples"):
        await evaluate(EvalJob(dataset=dataset, n=5, ks=(1, 10)), settings, records, engine=engine, model=model)
    assert model.calls == []
    assert records.runs() == []


async def test_a_row_says_how_its_candidate_is_imported_and_whether_it_changes_arguments(tmp_path, settings, records):
    seen: list[Program] = []

    def keep(program: Program) -> RunReport:
        seen.append(program)
        return answer(program)

    rows = [
        {
            "task_id": "a",
            "prompt": "p",
            "entry_point": "f",
            "in_place": True,
            "tests": "from solution import f\ndef test_f(): f([])",
        },
        {"task_id": "b", "prompt": "p", "entry_point": "f", "module": "work", "tests": "from work import f\ndef test_f(): f([])"},
        {"task_id": "c", "prompt": "p", "entry_point": "f", "tests": "def check(candidate):\n    assert candidate([])"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = samples_file(tmp_path, *((row["task_id"], "RIGHT = 1") for row in rows))
    async with Engine(settings, provider=ScriptedProvider(keep, runs=1000), memory_budget=2**40) as engine:
        await evaluate(EvalJob(dataset=str(path), samples=samples), settings, records, engine=engine)
    told = sorted((one.module, one.in_place, one.entry_point) for one in seen)
    assert told == [("candidate", False, "f"), ("solution", True, ""), ("work", False, "")]


def on_what(program: Program) -> RunReport:
    """A program rests on what it says that it rests on."""
    basis = "word" if "WORD" in (program.code or "") else "data"
    test = TestResult(name="test_f", outcome=TestOutcome.PASSED, basis=basis)
    return RunReport(status=Status.OK, tests=(test,), tests_collected=1, tests_complete=True)


@pytest.mark.parametrize(
    ("reference", "verdict"), [("1", Verdict.WRONG_ANSWER), ("'WORD'", Verdict.ACCEPTED), ("", Verdict.ACCEPTED)]
)
async def test_a_sample_on_its_word_fails_where_the_reference_needs_none(tmp_path, settings, records, reference, verdict):
    row = {"task_id": "t0", "prompt": "Write f.", "entry_point": "f", "tests": "from candidate import f\nassert f()"}
    row |= {"reference": f"def f(): return {reference}"} if reference else {}
    data = tmp_path / "own.jsonl"
    data.write_text(json.dumps(row))
    provider = ScriptedProvider(on_what, runs=100, judges_apart=True)
    async with Engine(settings, provider=provider, memory_budget=2**40) as engine:
        path = samples_file(tmp_path, ("t0", "def f(): return 'WORD'"), ("t0", "def f(): return 2"))
        result = await evaluate(EvalJob(dataset=str(data), samples=path), settings, records, engine=engine)
        assert [row.verdict for row in result.rows] == [verdict, Verdict.ACCEPTED]
        found = await validate_dataset(load(str(data)), engine, Limits())
        assert found.on_word == (["t0"] if "WORD" in reference else [])


async def test_prompts_tasks_and_sampling_are_the_users(dataset, settings, records, engine):
    model = ScriptedModel([fenced("RIGHT")])
    job = EvalJob(
        dataset=dataset,
        only=("t2",),
        system="You are careful.",
        template="Task {entry_point}: {prompt} {braces}",
        top_p=0.5,
        stop=("END",),
        temperature=1.0,
    )
    result = await evaluate(job, settings, records, engine=engine, model=model)
    assert [row.task_id for row in result.rows] == ["t2"]
    (attempt,) = records.attempts(result.run.id)
    assert [(message.role, message.content) for message in attempt.messages] == [
        ("system", "You are careful."),
        ("user", "Task f: Write f. {braces}"),
    ]
    assert (attempt.sampling.top_p, attempt.sampling.stop) == (0.5, ("END",))
    with pytest.raises(UsageError, match=r"no task 't9'.*t0"):
        await evaluate(EvalJob(dataset=dataset, only=("t9",)), settings, records, engine=engine, model=model)


async def test_several_samples_at_temperature_0_are_said_to_be_the_same(dataset, settings, records, engine):
    job = EvalJob(dataset=dataset, n=2, limit=1)
    result = await evaluate(job, settings, records, engine=engine, model=ScriptedModel([fenced("RIGHT")] * 2))
    assert any("2 times the same answer" in problem for problem in result.problems)
