"""The main job with the real things: a model writes a loss, sandboxes judge it, a network is trained with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_server.weights import KNOWN
from orchestrator.data.store import RunStore
from orchestrator.types import Attempt

pytestmark = [pytest.mark.docker, pytest.mark.model]

COMMAND = str(Path(sys.executable).with_name("fumehood"))


def fumehood(*args: str, db: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *args], env={**os.environ, "FUMEHOOD_DB": db}, capture_output=True, text=True, timeout=1500, check=False
    )


def test_a_small_model_solves_a_loss_and_trains_with_it(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path}/runs.sqlite3"
    search = ["--model", "0.5b", "--rounds", "3", "--samples", "2", "--seed", "0"]
    done = fumehood(
        "solve", "loss", "huber", *search, "--train", "breast_cancer", "--out", str(tmp_path / "out"), "--json", db=db
    )
    assert done.returncode in (0, 1), done.stderr
    shown = json.loads(done.stdout)
    (outcome,) = shown["tasks"]
    assert (done.returncode == 0) == (outcome["verdict"] == "accepted")
    assert shown["model"]["sha"] == KNOWN["0.5b"].sha256
    assert outcome["usage"]["completion_tokens"] > 50

    with RunStore.open(db) as store:
        (run,) = store.runs()
        attempts = store.attempts(run.id)
    assert (run.id, run.state, run.image) == (shown["run"], "finished", shown["image"])
    assert run.image.startswith("sha256:")
    assert len(attempts) == outcome["attempts"]
    for attempt in attempts:
        complete(attempt)
    if outcome["verdict"] == "accepted":
        decided(attempts, outcome["code"])
        (training,) = shown["training"]
        assert training["stock_accuracy"] > 0.9
        assert 0 < training["accuracy"] <= 1
        assert Path(training["picture"]).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "out/huber.py").read_text() == outcome["code"]

    again = fumehood("solve", "loss", "--resume", run.id, "--json", db=db)
    assert again.returncode == done.returncode, again.stderr
    with RunStore.open(db) as store:
        assert store.attempts(run.id) == attempts


def complete(attempt: Attempt) -> None:
    """Everything about an attempt is recorded, and no prompt knows a hidden test or the reference."""
    from orchestrator.applications.loss_functions.tasks import builtin_tasks

    assert attempt.messages
    assert attempt.completion.text
    assert attempt.sampling.seed is not None
    assert attempt.completion.usage.completion_tokens > 0
    task = builtin_tasks()[attempt.task]
    shown = "\n".join(message.content for message in attempt.messages)
    hidden_only = [
        line.strip() for line in task.hidden_tests.splitlines() if len(line.strip()) > 30 and line not in task.visible_tests
    ]
    assert [line for line in hidden_only if line in shown] == []


def decided(attempts: list[Attempt], code: str) -> None:
    """Hidden tests said yes, in a sandbox."""
    accepted = next(item for item in attempts if item.kind == "candidate" and item.verdict == "accepted")
    assert accepted.code == code
    assert accepted.hidden is not None
    assert accepted.hidden.verdict == "accepted"
    assert accepted.hidden.tests_complete
    assert accepted.hidden.judging == "apart"
    assert accepted.hidden.isolation in ("namespace", "container")
