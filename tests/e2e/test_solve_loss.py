"""Loss tasks with real sandboxes: once with a scripted model that is corrected, once with the real 0.5B model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from llm_server import launcher
from orchestrator.applications.loss_functions.solve import LossOptions, solve
from orchestrator.applications.loss_functions.tasks import builtin_tasks
from orchestrator.engine.engine import Engine
from orchestrator.jobs.loop import Record
from orchestrator.llm.client import ModelClient
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.types import Attempt, Fault, Verdict

pytestmark = pytest.mark.docker

TASK = builtin_tasks()["huber"]
MISSPELT = """```python
def huber_loss(predictions, targets, delta=1.0):
    error = (prediction - targets).abs()
    return torch.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta)).mean()
```"""
WRONG_FORMULA = MISSPELT.replace("prediction -", "predictions -").replace("0.5 * error**2", "error**2")
RIGHT = MISSPELT.replace("prediction -", "predictions -")
TESTS = """```python
import torch

def test_equal_tensors_cost_nothing():
    assert huber_loss(torch.ones(3), torch.ones(3)) == 0

def test_small_error():
    assert huber_loss(torch.zeros(2), torch.full((2,), 0.5)).item() == 0.125

def test_misremembered():
    assert huber_loss(torch.zeros(2), torch.full((2,), 2.0)).item() == 4.0
```"""


def into(attempts: list[Attempt]) -> Record:
    async def record(attempt: Attempt) -> None:
        attempts.append(attempt)

    return record


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    async with Engine(Settings(workers=2)) as engine:
        yield engine


async def test_failures_go_back_until_the_loss_is_right(engine: Engine) -> None:
    attempts: list[Attempt] = []

    model = ScriptedModel(
        lambda messages, sampling: TESTS if "pytest functions" in messages[-1].content else next(functions),
    )
    functions = iter([MISSPELT, WRONG_FORMULA, RIGHT])
    outcome = await solve(TASK, model, engine.execute, LossOptions(samples=1), record=into(attempts))

    candidates = [attempt for attempt in attempts if attempt.kind == "candidate"]
    assert [attempt.verdict for attempt in candidates] == [Verdict.RUNTIME_ERROR, Verdict.WRONG_ANSWER, Verdict.ACCEPTED]
    assert [attempt.fault for attempt in candidates] == [Fault.CANDIDATE, Fault.CANDIDATE, Fault.NONE]
    assert "candidate.py" in candidates[0].feedback
    assert "NameError: name 'prediction' is not defined" in candidates[0].feedback
    assert "worked example" in candidates[1].feedback or "must be" in candidates[1].feedback
    assert candidates[2].parent == candidates[1].index
    assert candidates[2].hidden is not None
    assert candidates[2].hidden.verdict is Verdict.ACCEPTED
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.rounds == 3

    [tests] = [attempt for attempt in attempts if attempt.kind == "tests"]
    assert tests.fault is Fault.TESTS
    assert tests.evidence["dropped"] == ["test_misremembered"]
    assert "test_small_error" in outcome.tests
    assert "test_misremembered" not in outcome.tests


@pytest.mark.model
async def test_a_small_model_works_on_a_task(engine: Engine) -> None:
    task = builtin_tasks()["triplet"]
    attempts: list[Attempt] = []
    options = LossOptions(rounds=2, samples=2, max_new_tokens=200, tests_tokens=200, tests_rounds=1, seed=3)
    with launcher.start("0.5b", ctx=4096, parallel=1) as server:
        async with ModelClient(server.base_url) as model:
            outcome = await solve(task, model, engine.execute, options, record=into(attempts))

    assert outcome.attempts == len(attempts) >= 1
    assert outcome.usage.completion_tokens == sum(attempt.completion.usage.completion_tokens for attempt in attempts)
    assert (outcome.verdict is Verdict.ACCEPTED) == any(
        attempt.kind == "candidate" and attempt.verdict is Verdict.ACCEPTED for attempt in attempts
    )
    for attempt in attempts:
        assert attempt.verdict is not Verdict.UNSCORED
        assert attempt.completion.usage.prompt_tokens > 0
        hidden_lines = [line for line in task.hidden_tests.splitlines() if len(line) > 40]
        assert not any(line.strip() in message.content for line in hidden_lines for message in attempt.messages)
    if outcome.verdict is Verdict.ACCEPTED:
        assert "def triplet_loss" in outcome.code
