"""The hidden tests and the loss contract, tried on references and on wrong losses in real sandboxes."""

from __future__ import annotations

import json

from loss_cases import BREACHES, MISREADINGS

from orchestrator.applications.loss_functions.contract import PREFIX, contract_program
from orchestrator.applications.loss_functions.tasks import Inputs, builtin_tasks, custom_task
from orchestrator.types import GiB, Limits, Program, Status, TestOutcome, Verdict

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
TASKS = builtin_tasks()
HEAD = "import torch\nimport torch.nn.functional as F\n\n\n"

# What the ten tasks do not cover: a right loss for each of the other kinds of input.
OTHER_KINDS = {
    Inputs.BINARY_PROBABILITIES: "loss(pred, target): return F.binary_cross_entropy(pred, target)",
    Inputs.POSITIVE_REGRESSION: "loss(pred, target): return ((pred - target).abs() / target).mean()",
    Inputs.BINARY_LOGITS: "loss(pred, target): return F.binary_cross_entropy_with_logits(pred, target)",
    Inputs.PAIRED_EMBEDDINGS: "loss(a, b): return (1 - F.cosine_similarity(a, b)).mean()",
    Inputs.TRIPLET: "loss(a, b, c): return F.triplet_margin_loss(a, b, c)",
}


MANY = """
import json, os, sys
from pathlib import Path
import pytest, torch

class Failures:
    def __init__(self):
        self.found = {}
    def pytest_runtest_makereport(self, item, call):
        if call.excinfo is not None:
            self.found[item.name] = call.excinfo.exconly()

torch.set_num_threads(1)
for number, (name, job) in enumerate(json.loads(Path("jobs.json").read_text()).items()):
    place = Path(str(number))
    place.mkdir()
    for path, content in job.items():
        (place / path).write_text(content)
    child = os.fork()
    if child == 0:
        os.chdir(place)
        sys.path.insert(0, os.getcwd())
        sys.stdout = sys.stderr = open("output", "w")
        seen = Failures()
        code = pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir=.", "test_candidate.py"], plugins=[seen])
        Path("failures.json").write_text(json.dumps(seen.found if code in (0, 1) else None))
        os._exit(0)
    os.waitpid(child, 0)
    print(json.dumps([name, json.loads((place / "failures.json").read_text())]), flush=True)
"""
"""Judges many candidates of ours in one sandbox, each in a fork: a sandbox for each would take minutes."""


async def failures_of_many(engine, jobs):
    files = {
        name: {
            "candidate.py": job.code,
            "test_candidate.py": job.tests,
            **{path: data.decode() for path, data in job.files.items()},
        }
        for name, job in jobs.items()
    }
    result = await engine.execute(
        Program(code=MANY, files={"jobs.json": json.dumps(files).encode()}), Limits(wall_time=240, cpu_time=120, memory=1 * GiB)
    )
    assert result.status is Status.OK, result.stderr
    return dict(json.loads(line) for line in result.stdout.splitlines())


def failures(result):
    return {test.name: test.message for test in result.tests if test.outcome is not TestOutcome.PASSED}


async def test_a_reference_is_accepted(engine):
    task = TASKS["focal"]
    checked = await engine.execute(contract_program(task, task.reference))
    assert (checked.verdict, failures(checked)) == (Verdict.ACCEPTED, {})
    assert sum(test.name.startswith(PREFIX) for test in checked.tests) == 16
    hidden = await engine.execute(Program(code=task.reference, tests=task.hidden_tests))
    assert (hidden.verdict, failures(hidden)) == (Verdict.ACCEPTED, {})


async def test_no_check_fails_on_a_reference(engine):
    jobs = {}
    for task in TASKS.values():
        jobs[f"{task.name}, contract"] = contract_program(task, task.reference)
        jobs[f"{task.name}, hidden tests"] = Program(code=task.reference, tests=task.hidden_tests)
    assert await failures_of_many(engine, jobs) == {name: {} for name in jobs}


async def test_a_right_loss_of_any_kind_meets_the_contract(engine):
    jobs = {}
    for kind, source in OTHER_KINDS.items():
        task = custom_task("a loss", source.split(":")[0], inputs=kind)
        jobs[kind.value] = contract_program(task, f"{HEAD}def {source}")
    assert await failures_of_many(engine, jobs) == {name: {} for name in jobs}


async def test_the_hidden_tests_reject_every_misreading(engine):
    jobs = {}
    for name, misreadings in MISREADINGS.items():
        for misreading, (right, wrong) in misreadings.items():
            assert right in TASKS[name].reference
            code = TASKS[name].reference.replace(right, wrong)
            jobs[f"{name}, {misreading}"] = Program(code=code, tests=TASKS[name].hidden_tests)
    failed = await failures_of_many(engine, jobs)
    assert set(MISREADINGS) == set(TASKS)
    assert set(failed) == set(jobs)
    assert [name for name, tests in failed.items() if not tests] == []


async def test_the_contract_rejects_every_breach_and_says_what_was_called(engine):
    jobs = {}
    for breach, (name, body, _) in BREACHES.items():
        jobs[breach] = contract_program(TASKS[name], f"{HEAD}def {TASKS[name].signature}:\n    {body}\n")
    failed = await failures_of_many(engine, jobs)
    assert set(failed) == set(BREACHES)
    for breach, (name, _, check) in BREACHES.items():
        messages = [message for test, message in failed[breach].items() if test.startswith(PREFIX + check)]
        assert messages, breach
        assert TASKS[name].entry_point in messages[0], breach


async def test_judging_many_at_once_lets_the_right_one_pass(engine):
    task = TASKS["focal"]
    right = Program(code=task.reference, tests=task.hidden_tests)
    broken = Program(code=task.reference.replace(".mean()", ".meen()"), tests=task.hidden_tests)
    failed = await failures_of_many(engine, {"right": right, "broken": broken})
    assert failed["right"] == {}
    assert "meen" in failed["broken"]["test_undecided_element"]


async def test_a_failure_of_the_contract_ends_in_one_line_for_the_model(engine):
    task = TASKS["focal"]
    code = f"{HEAD}def {task.signature}:\n    return F.binary_cross_entropy_with_logits(logits, targets, reduction='none')"
    message = failures(await engine.execute(contract_program(task, code)))["test_contract_scalar"]
    assert message.splitlines()[-1] == (
        "Failed: focal_loss(logits, targets) with logits of shape (12,), targets of shape (12,) returned a tensor of shape (12,); "
        "expected a scalar (zero dimensions): reduce it, for example with .mean()"
    )


async def test_the_contract_can_be_told_that_order_matters(engine):
    task = custom_task("regression of a time series", "loss(pred, target)")
    code = f"{HEAD}def loss(pred, target):\n    w = torch.arange(1, len(pred) + 1, dtype=pred.dtype)\n"
    code += "    return (w * (pred - target).abs().flatten(1).mean(1)).mean() if pred.dim() > 1 else (w * (pred - target).abs()).mean()"
    assert set(failures(await engine.execute(contract_program(task, code)))) == {"test_contract_permutation"}
    told = task.model_copy(update={"permutation_invariant": False})
    assert (await engine.execute(contract_program(told, code))).verdict is Verdict.ACCEPTED


async def test_a_missing_entry_point_is_told(engine):
    task = custom_task("regression", "my_loss(pred, target)")
    result = await engine.execute(contract_program(task, "def loss(pred, target): return ((pred - target) ** 2).mean()"))
    assert "has no function my_loss" in failures(result)["test_contract_scalar"]
