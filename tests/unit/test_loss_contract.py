"""What a contract run consists of; that it judges rightly is tried in real sandboxes."""

from __future__ import annotations

import ast

import pytest

from orchestrator.applications.loss_functions.contract import PREFIX, contract_program
from orchestrator.applications.loss_functions.tasks import builtin_tasks, custom_task
from orchestrator.engine.programs import sandboxed

TASKS = builtin_tasks()


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_contract_run_holds_nothing_hidden(task):
    program = contract_program(task, "the candidate")
    assert program.code == "the candidate"
    assert program.module == "candidate"
    compile(program.tests, "tests", "exec")
    everything = program.tests
    assert program.judging == "apart"
    assert not program.files
    assert task.visible_tests in everything
    assert task.hidden_tests not in everything
    assert task.reference not in everything
    hidden_names = {line for line in task.hidden_tests.splitlines() if line.startswith("def test_")}
    assert not hidden_names & set(everything.splitlines())


def test_the_contract_is_told_how_to_call_the_loss():
    task = custom_task("robust regression", "robust(y_hat, y, c=2.0)").model_copy(update={"permutation_invariant": False})
    (line,) = [line for line in contract_program(task, "").tests.splitlines() if line.startswith("CONFIG")]
    assert ast.literal_eval(line.partition(" = ")[2]) == {
        "entry_point": "robust",
        "signature": "robust(y_hat, y, c=2.0)",
        "parameters": ["y_hat", "y"],
        "inputs": "regression",
        "permutation_invariant": False,
        "lower_is_better": True,
        "extreme_inputs": True,
    }


def test_tests_of_the_contract_are_told_apart_by_their_names():
    names = [
        line
        for line in sandboxed("orchestrator.applications.loss_functions", "contract_tests").splitlines()
        if line.startswith("def test_")
    ]
    assert names
    assert all(name.startswith(f"def {PREFIX}") for name in names)
    assert not any(f"def {PREFIX}" in task.visible_tests for task in TASKS.values())
