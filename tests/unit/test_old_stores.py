"""Stores that earlier versions wrote: they are read, and their jobs go on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import test_loss_functions as losses

from orchestrator.applications.evaluation.results import rows_of
from orchestrator.applications.loss_functions.job import LossSolving
from orchestrator.applications.unit_tests.job import UnitTestWriting
from orchestrator.applications.unit_tests.results import row_of
from orchestrator.data.store import SCHEMA_VERSION, RunStore
from orchestrator.settings import Settings
from orchestrator.types import Verdict

WRITTEN = Path(__file__).parent / "stores" / "schema_1.sql"
"""A loss job that was interrupted after two tasks of which one was noted, an evaluation, and a job of unit tests."""


@pytest.fixture
def url(tmp_path):
    with sqlite3.connect(tmp_path / "runs.sqlite3") as connection:
        connection.executescript(WRITTEN.read_text())
    connection.close()
    return f"sqlite:///{tmp_path / 'runs.sqlite3'}"


@pytest.fixture
def store(url):
    with RunStore.open(url) as store:
        yield store


def run_of(store: RunStore, kind: str) -> str:
    return next(run.id for run in store.runs() if run.kind == kind)


def test_facts_of_a_search_are_read(store):
    hinted, tests, wrong, again, right = store.attempts(run_of(store, "solve-loss"), "mae")
    assert hinted.hint.startswith("torch.max and torch.maximum take no plain numbers")
    assert hinted.feedback.endswith("invalid combination of arguments")
    assert (tests.score, tests.done) == (2.0, True)
    assert (wrong.score, wrong.done, wrong.same_as) == (1.0, False, None)
    assert (again.score, again.done, again.same_as, again.hint) == (1.0, False, wrong.index, wrong.hint)
    assert (right.score, right.done) == (3.0, True)
    assert right.evidence == {"passed": 2, "collected": 2, "failed": [], "decided_by": "hidden tests"}
    _, own = store.attempts(run_of(store, "solve-loss"), "custom-d1ffa39d")
    assert own.blamed == ("test_one",)
    assert own.own_tests is not None
    assert (own.own_tests.passed, own.own_tests.failed, own.own_tests.dropped) == (("test_zero",), ("test_one",), ("test_one",))


async def test_a_search_goes_on_where_it_was(store, tmp_path):
    work = LossSolving(Settings(home=tmp_path), store, engine=losses.Engine(), model=losses.Writer([], []))
    result = await work.resume_job(run_of(store, "solve-loss"))
    assert [outcome.verdict for outcome in result.outcomes] == [Verdict.ACCEPTED] * 2
    own = result.outcomes[1]
    assert own.decided_by == "trusted checks and model-written tests"
    assert "test_zero" in own.tests
    assert "test_one" not in own.tests


def test_rows_of_an_evaluation_are_read(store):
    rows = rows_of(store.attempts(run_of(store, "eval")))
    assert [(row.task_id, row.completion_id, str(row.verdict), row.extracted) for row in rows] == [
        ("t0", 0, "accepted", False),
        ("t0", 1, "wrong_answer", True),
        ("t1", 0, "invalid_candidate", True),
    ]
    assert rows[2].result == "failed: The answer holds no code."


async def test_rows_of_unit_tests_are_read(store, tmp_path):
    run = run_of(store, "unit-tests")
    first, second = map(row_of, store.attempts(run))
    assert (first.valid, first.mutation_score, first.killed, first.tests, first.tests_passed) == (True, 1.0, 5, 1, 1)
    assert (second.valid, second.mutation_score, second.message) == (False, None, "The answer holds no code.")
    assert (await UnitTestWriting(Settings(home=tmp_path), store).resume_job(run)).rows == [first, second]


@pytest.mark.slow
def test_a_step_is_taken_once_by_many(url):
    program = "import sys\nfrom orchestrator.data.store import RunStore\nRunStore.open(sys.argv[1]).close()"
    openers = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
    assert [opener.wait(timeout=120) for opener in openers] == [0, 0, 0]
    with RunStore.open(url) as store:
        assert store._version() == SCHEMA_VERSION
        assert store.attempts(run_of(store, "solve-loss"), "mae")[4].done


def test_what_cannot_be_read_stays_as_it_is(tmp_path, url):
    with sqlite3.connect(tmp_path / "runs.sqlite3") as connection:
        connection.execute("UPDATE fumehood_attempts SET record = 'nonsense' WHERE task = 't0'")
    connection.close()
    with RunStore.open(url) as store:
        assert len(store.attempts(run_of(store, "solve-loss"))) == 7
