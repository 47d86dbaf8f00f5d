"""The run store: what is recorded comes back, is never lost, and a bad store is explained in one sentence."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import types
from orchestrator.data.store import SCHEMA_VERSION, RunStore
from orchestrator.errors import StoreError, UsageError
from orchestrator.types import (
    Attempt,
    Completion,
    ExecutionResult,
    Fault,
    Message,
    ModelInfo,
    OwnTests,
    RunRecord,
    Sampling,
    Status,
    TestResult,
    Usage,
    Verdict,
)


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'runs.sqlite3'}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.open(url(tmp_path)) as opened:
        yield opened


def attempt(task: str = "focal", index: int = 0, **changes: object) -> Attempt:
    values: dict[str, object] = {"task": task, "index": index, "completion": Completion(text=f"answer {index}")}
    return Attempt.model_validate(values | changes)


FULL = Attempt(
    task="focal",
    index=3,
    kind="tests",
    round=1,
    sample=2,
    parent=0,
    messages=(Message(role="system", content="Write code."), Message(role="user", content="ä «focal» loss\n\x00\t")),
    sampling=Sampling(temperature=0.7, seed=11, stop=("```",)),
    completion=Completion(text="```python\n...", usage=Usage(prompt_tokens=12, completion_tokens=34), seed=13, wall_time=1.5),
    code="def loss(pred, target):\n    return (pred - target).abs().mean()\n",
    fault=Fault.CANDIDATE,
    feedback="expected 1.0, got 2.0",
    hint="take the mean last",
    blamed=("test_a",),
    own_tests=OwnTests(passed=("test_b",), failed=("test_a",), dropped=("test_a",)),
    score=2.5,
    done=True,
    same_as=1,
    details={"components": {"syntax": 0.05}, "flaky": False},
    evidence={"checks": [{"name": "finite", "passed": True}], "spread": 0.25},
    report=ExecutionResult(
        status=Status.RUNTIME_ERROR,
        tests=(TestResult(name="test_value", outcome=types.TestOutcome.FAILED, message="AssertionError"),),
        tests_complete=True,
        wall_time=0.25,
        memory_peak=1234,
        artifacts={"curve.png": b"\x89PNG\xff\x00"},
        verdict=Verdict.WRONG_ANSWER,
        reward=0.5,
        judging="together",
        image="sha256:abc",
    ),
    hidden=ExecutionResult(status=Status.OK, verdict=Verdict.ACCEPTED, reward=1.0),
    verdict=Verdict.WRONG_ANSWER,
    reward=0.5,
    created=1790000000.25,
)


def test_an_attempt_comes_back_as_it_was(store: RunStore) -> None:
    run = store.create_run("solve-loss", {"seed": 1})
    assert store.add_attempt(run.id, FULL)
    assert store.attempts(run.id) == [FULL]


def test_a_run_comes_back_as_it_was(store: RunStore) -> None:
    model = ModelInfo(model="1.5b", server="llama.cpp", sha="cc32", max_total_tokens=4096)
    run = store.create_run("solve-loss", {"seed": 1, "tasks": ["focal", "dice"], "nested": {"a": None}}, model, "sha256:abc")
    assert store.run(run.id) == run
    assert run.state == "running"
    assert run.finished is None
    assert run.model == model
    assert run.image == "sha256:abc"


def test_run_ids_are_short_unique_and_sort_by_time(store: RunStore) -> None:
    ids = [store.create_run("solve-loss", {}).id for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run_id) for run_id in ids)
    assert [run_id[:15] for run_id in ids] == sorted(run_id[:15] for run_id in ids)


def test_runs_are_listed_newest_first_and_limited(store: RunStore) -> None:
    ids = [store.create_run("solve-loss", {"number": number}).id for number in range(3)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(limit=2)] == [ids[2], ids[1]]
    assert store.run("last").id == ids[2]


def test_a_unique_prefix_finds_a_run(tmp_path: Path, store: RunStore) -> None:
    for run_id in ("20260101-000000-aaaa", "20260101-000000-abbb", "20270101-000000-cccc"):
        add_run(store, RunRecord(id=run_id, kind="solve-loss"))
    assert store.run("2027").id == "20270101-000000-cccc"
    assert store.run("20260101-000000-aa").id == "20260101-000000-aaaa"
    with pytest.raises(UsageError, match=r"Several runs start or end with '2026'.*aaaa.*abbb"):
        store.run("2026")


def add_run(store: RunStore, record: RunRecord) -> None:
    """A run with an id of our choice, which the store itself never gives."""
    with sqlite3.connect(str(store._engine.url.database)) as connection:
        connection.execute(
            "INSERT INTO fumehood_runs (id, kind, state, model, image, created, record) VALUES (?, ?, ?, '', '', 0, ?)",
            (record.id, record.kind, record.state, record.model_dump_json()),
        )
    connection.close()


@pytest.mark.parametrize("run_id", ["", "2026", "nothing", "%", "_", "last"])
def test_an_unknown_run_is_a_usage_error(store: RunStore, run_id: str) -> None:
    with pytest.raises(UsageError) as caught:
        store.run(run_id)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


def test_a_wildcard_in_an_id_matches_nothing(store: RunStore) -> None:
    store.create_run("solve-loss", {})
    for run_id in ("%", "_", "2%"):
        with pytest.raises(UsageError, match="no run"):
            store.run(run_id)


def test_an_attempt_is_recorded_once(store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    assert store.add_attempt(run.id, attempt(code="first"))
    assert not store.add_attempt(run.id, attempt(code="second"))
    assert [kept.code for kept in store.attempts(run.id)] == ["first"]


def test_the_same_index_belongs_to_each_task_and_run(store: RunStore) -> None:
    runs = [store.create_run("solve-loss", {}).id for _ in range(2)]
    for run_id in runs:
        for task in ("dice", "focal"):
            assert store.add_attempt(run_id, attempt(task, 0))
    assert [kept.task for kept in store.attempts(runs[0])] == ["dice", "focal"]
    assert store.count_attempts(runs[0]) == 2


def test_attempts_come_in_order_and_by_task(store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    for task, index in [("focal", 10), ("dice", 1), ("focal", 2), ("dice", 0)]:
        store.add_attempt(run.id, attempt(task, index))
    assert [(kept.task, kept.index) for kept in store.attempts(run.id)] == [("dice", 0), ("dice", 1), ("focal", 2), ("focal", 10)]
    assert [kept.index for kept in store.attempts(run.id, "focal")] == [2, 10]
    assert store.attempts(run.id, "huber") == []


def test_an_attempt_of_an_unknown_run_is_refused(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no run"):
        store.add_attempt("20260101-000000-aaaa", attempt())


def test_a_run_ends_with_its_state_and_summary(store: RunStore) -> None:
    run = store.create_run("solve-loss", {"seed": 7})
    store.update_run(run.id, image="sha256:def", model=ModelInfo(model="0.5b"))
    ended = store.finish(run.id, "finished", {"accepted": 3})
    assert ended == store.run(run.id)
    assert (ended.state, ended.summary, ended.image, ended.config) == ("finished", {"accepted": 3}, "sha256:def", {"seed": 7})
    assert ended.finished is not None
    assert ended.finished >= ended.created
    assert ended.model is not None
    assert ended.model.model == "0.5b"


def test_a_resumed_run_is_no_longer_finished(store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    store.finish(run.id, "failed", {})
    assert store.update_run(run.id, state="running").finished is None


def test_removing_a_run_removes_its_attempts(store: RunStore) -> None:
    kept, gone = (store.create_run("solve-loss", {}).id for _ in range(2))
    for run_id in (kept, gone):
        store.add_attempt(run_id, attempt())
    assert store.rm(gone) == gone
    assert [run.id for run in store.runs()] == [kept]
    assert store.count_attempts(gone) == 0
    assert store.count_attempts(kept) == 1


def test_columns_hold_what_people_query(tmp_path: Path, store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    store.add_attempt(run.id, FULL)
    connection = sqlite3.connect(tmp_path / "runs.sqlite3")
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM fumehood_attempts").fetchone())
    connection.close()
    record = json.loads(row.pop("record"))
    assert record["code"] == FULL.code
    assert row == {
        "run_id": run.id,
        "task": "focal",
        "index": 3,
        "kind": "tests",
        "round": 1,
        "sample": 2,
        "parent": 0,
        "fault": "candidate",
        "verdict": "wrong_answer",
        "reward": 0.5,
        "seed": 13,
        "prompt_tokens": 12,
        "completion_tokens": 34,
        "model_time": 1.5,
        "sandbox_time": 0.25,
        "created": 1790000000.25,
    }


def test_text_without_utf8_is_kept_as_far_as_utf8_goes(store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    store.add_attempt(run.id, attempt(completion=Completion(text="cut \ud83d off"), evidence={"seen": ["\udc00"]}))
    (kept,) = store.attempts(run.id)
    assert kept.completion.text == "cut ? off"
    assert kept.evidence == {"seen": ["?"]}


def test_what_was_recorded_survives_a_kill(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from orchestrator.data.store import RunStore
from orchestrator.types import Attempt, Completion
store = RunStore.open(sys.argv[1])
run = store.create_run("solve-loss", {"seed": 1})
for index in range(3):
    store.add_attempt(run.id, Attempt(task="focal", index=index, completion=Completion(text="x")))
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", program, url(tmp_path)], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    with RunStore.open(url(tmp_path)) as store:
        (run,) = store.runs()
        assert run.state == store.run(run.id).state == "interrupted"
        again = store.update_run(run.id, state="running")  # taken up by this process, which is there
        assert store.run(run.id) == again
        assert (again.state, again.finished) == ("running", None)
        assert [kept.index for kept in store.attempts(run.id)] == [0, 1, 2]


def test_a_run_of_a_living_process_is_running(tmp_path: Path) -> None:
    program = """
import sys
from orchestrator.data.store import RunStore
RunStore.open(sys.argv[1]).create_run("solve-loss", {})
print("begun", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, url(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with RunStore.open(url(tmp_path)) as store:
            assert store.run("last").state == "running"
            process.kill()
            process.wait()
            assert store.run("last").state == "interrupted"


def test_a_run_whose_process_nobody_wrote_down_is_left_alone(store: RunStore, tmp_path: Path) -> None:
    record = RunRecord(id="20260101-000000-0000", kind="solve-loss")
    with sqlite3.connect(tmp_path / "runs.sqlite3") as database:
        database.execute(
            "INSERT INTO fumehood_runs (id, kind, state, model, image, created, record) VALUES (?, ?, ?, '', '', 0, ?)",
            (record.id, record.kind, record.state, record.model_dump_json(exclude={"owner"})),
        )
    assert store.run(record.id).state == "running"


@pytest.mark.slow
def test_several_processes_write_at_once(tmp_path: Path) -> None:
    program = """
import sys
from orchestrator.data.store import RunStore
from orchestrator.types import Attempt, Completion
with RunStore.open(sys.argv[1]) as store:
    run = store.create_run("solve-loss", {})
    for index in range(20):
        assert store.add_attempt(run.id, Attempt(task="focal", index=index, completion=Completion(text="x")))
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, url(tmp_path)]) for _ in range(4)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0, 0]
    with RunStore.open(url(tmp_path)) as store:
        assert [store.count_attempts(run.id) for run in store.runs()] == [20, 20, 20, 20]


def test_the_folder_is_made(tmp_path: Path) -> None:
    with RunStore.open(url(tmp_path / "a" / "b")) as store:
        store.create_run("solve-loss", {})
    assert (tmp_path / "a" / "b" / "runs.sqlite3").exists()


def test_a_file_that_is_no_database_is_explained_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite3"
    file.write_bytes(b"these are my holiday notes, not a database\n" * 100)
    before = file.read_bytes()
    with pytest.raises(StoreError, match="is not a readable database") as caught:
        RunStore.open(url(tmp_path))
    assert str(file) in caught.value.message
    assert "FUMEHOOD_DB" in caught.value.remedy
    assert caught.value.exit_code == 3
    assert file.read_bytes() == before


def test_damage_behind_the_header_is_found(tmp_path: Path) -> None:
    with RunStore.open(url(tmp_path)) as store:
        run = store.create_run("solve-loss", {})
        for index in range(50):
            store.add_attempt(run.id, attempt(index=index, code="x" * 5000))
        assert store.check().endswith("runs.sqlite3")
    file = tmp_path / "runs.sqlite3"
    content = bytearray(file.read_bytes())
    content[20 * 4096 :] = b"\xff" * (len(content) - 20 * 4096)
    file.write_bytes(content)
    with RunStore.open(url(tmp_path)) as store, pytest.raises(StoreError, match="is not a readable database"):
        store.check()


def test_a_record_that_does_not_parse_is_explained(tmp_path: Path, store: RunStore) -> None:
    run = store.create_run("solve-loss", {})
    with sqlite3.connect(tmp_path / "runs.sqlite3") as connection:
        connection.execute("UPDATE fumehood_runs SET record = '{}'")
    connection.close()
    with pytest.raises(StoreError, match=f"record of run {run.id}.*cannot be read"):
        store.runs()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with RunStore.open(url(tmp_path)) as store:
        run = store.create_run("solve-loss", {})
    with sqlite3.connect(tmp_path / "runs.sqlite3") as connection:
        connection.execute("INSERT INTO fumehood_schema VALUES (?)", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(StoreError, match="written by a newer Fumehood"):
        RunStore.open(url(tmp_path))
    connection = sqlite3.connect(tmp_path / "runs.sqlite3")
    assert connection.execute("SELECT id FROM fumehood_runs").fetchall() == [(run.id,)]
    connection.close()


def test_a_full_store_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with RunStore.open(url(tmp_path)) as store:
        run = store.create_run("solve-loss", {})
        store.add_attempt(run.id, attempt())
        with store._engine.connect() as connection:
            # SQLite answers SQLITE_FULL for its own page limit as for a full disk.
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="disk is full") as caught:
            store.add_attempt(run.id, attempt(index=1, code="x" * 1_000_000))
        assert "kept" in caught.value.remedy
    with RunStore.open(url(tmp_path)) as store:
        assert [kept.index for kept in store.attempts(run.id)] == [0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_says_so_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "small"
    place.mkdir()
    if libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=512k") != 0:
        pytest.skip(f"this machine forbids mounting: {os.strerror(ctypes.get_errno())}")
    try:
        with RunStore.open(url(place)) as store:
            run = store.create_run("solve-loss", {})
            recorded: list[int] = []

            def fill() -> None:
                for index in range(1000):
                    store.add_attempt(run.id, attempt(index=index, code="x" * 20_000))
                    recorded.append(index)

            with pytest.raises(StoreError, match="disk is full"):
                fill()
            assert recorded
            assert [kept.index for kept in store.attempts(run.id)] == recorded
    finally:
        libc.umount(str(place).encode())


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made") as caught:
        RunStore.open(url(tmp_path / "file" / "deeper"))
    assert "FUMEHOOD_HOME" in caught.value.remedy


def test_a_folder_in_place_of_the_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite3").mkdir()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        RunStore.open(url(tmp_path))


def test_a_store_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with RunStore.open(url(tmp_path)) as store:
        store.create_run("solve-loss", {})
    # A read-only connection is what a read-only file system gives, to root as well.
    file = tmp_path / "runs.sqlite3"
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        RunStore.open(f"sqlite:///file:{file}?mode=ro&immutable=1&uri=true").create_run("solve-loss", {})


def test_a_locked_store_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.data.store.BUSY_TIMEOUT", 0.1)
    with RunStore.open(url(tmp_path)) as store:
        other = sqlite3.connect(tmp_path / "runs.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked by another process for 0\.1 s"):
            store.create_run("solve-loss", {})
        other.execute("ROLLBACK")
        other.close()
        assert store.create_run("solve-loss", {}).state == "running"


@pytest.mark.parametrize(
    "bad",
    ["", "runs.sqlite3", "nosuchdatabase://host/name", "://", "sqlite+nosuchdriver:///x", "sqlite:///x:y@z:abc/d?uri=maybe"],
)
def test_a_bad_url_is_a_usage_error(bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="does not name a run store") as caught:
        RunStore.open(bad)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="needs the Python package") as caught:
        RunStore.open("mysql+mysqldb://me:secret@localhost/fumehood")
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(UsageError) as caught:
        RunStore.open("nosuchdatabase://me:secret@host/name")
    assert "secret" not in str(caught.value)


def test_check_leaves_nothing_behind(store: RunStore) -> None:
    store.check()
    store.check()
    assert store._version() == SCHEMA_VERSION
