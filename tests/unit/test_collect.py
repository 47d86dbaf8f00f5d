"""`fumehood collect` from a run store to files: round trips, the card, and what goes wrong on the way."""

from __future__ import annotations

import errno
import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from orchestrator.applications.evaluation.job import Evaluation
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.cli import app
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import Engine
from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.training.collect import CollectJob, collect, push, save
from orchestrator.training.preferences import FORMATS, Rules, files
from orchestrator.types import (
    Attempt,
    Completion,
    ExecutionResult,
    Message,
    ModelInfo,
    Program,
    RunReport,
    Sampling,
    Status,
    TestOutcome,
    TestResult,
    Verdict,
)

HUMANEVAL_2 = "def truncate_number(number: float) -> float:\n    return number % 1.0\n"


def judged(verdict: Verdict, passed: int, failed: int, judging: str = "apart") -> ExecutionResult:
    outcomes = [TestOutcome.PASSED] * passed + [TestOutcome.FAILED] * failed
    tests = tuple(TestResult(name=f"t{place}", outcome=outcome) for place, outcome in enumerate(outcomes))
    return ExecutionResult.model_validate(
        {"status": Status.OK, "verdict": verdict, "tests": tests, "tests_collected": len(tests), "judging": judging}
    )


def attempt(task: str, index: int, passed: int, code: str, parent: int | None = None, **more: object) -> Attempt:
    """One of four tests passed makes a quarter."""
    verdict = Verdict.ACCEPTED if passed == 4 else Verdict.WRONG_ANSWER
    asked = f"Write {task}." if parent is None else f"Correct attempt {parent} of {task}: it says 1 == 2."
    return Attempt.model_validate(
        {
            "task": task,
            "index": index,
            "parent": parent,
            "round": 0 if parent is None else 1,
            "messages": (Message(role="system", content="You write Python."), Message(role="user", content=asked)),
            "sampling": Sampling(temperature=0.8),
            "completion": Completion(text=f"Here \u00e9:\n```python\n{code}\n```", seed=index),
            "code": code,
            "verdict": verdict,
            "reward": float(verdict is Verdict.ACCEPTED),
            "hidden": judged(verdict, passed, 4 - passed),
        }
        | more
    )


def code(text: str) -> str:
    return f"def g():\n    return {text * 30!r}\n"


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A run with corrections, in the store of the home."""
    with RunStore.open(f"sqlite:///{tmp_path / 'home' / 'runs.sqlite3'}") as store:
        model = ModelInfo(model="tiny-coder", server="openai", sha="abc123")
        run = store.create_run("eval", {"dataset": "humaneval", "seed": 7, "temperature": 0.8}, model, "sha256:feed")
        for one in (
            attempt("t/0", 0, 4, code("a")),
            attempt("t/0", 1, 0, code("b")),
            attempt("t/0", 2, 2, code("c")),
            attempt("t/0", 1_000_001, 4, code("d"), parent=1),
            attempt("t/1", 0, 4, HUMANEVAL_2),
            attempt("t/1", 1, 1, code("e")),
            attempt("t/1", 2, 1, code("f"), verdict=Verdict.UNSCORED),
        ):
            assert store.add_attempt(run.id, one)
        store.finish(run.id, "finished", {})
    return run.id


@pytest.fixture
def store(tmp_path: Path, run_id: str):
    with RunStore.open(f"sqlite:///{tmp_path / 'home' / 'runs.sqlite3'}") as store:
        yield store


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name in [name for name in os.environ if name.startswith("FUMEHOOD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Result:
        result = CliRunner().invoke(app, ["collect", *args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def told(result: Result, code: int, sentence: str) -> None:
    assert result.exit_code == code
    lines = [line for line in result.stderr.strip().splitlines() if "can be used" not in line]
    assert len(lines) == 2, result.stderr
    assert sentence in lines[0]
    assert lines[1].strip()


def test_a_run_becomes_files_and_a_summary(cli, run_id):
    result = cli(run_id, "--out", "data", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["attempts"] == 7
    assert summary["pairs_by_kind"] == {"correction": 1, "outcome": 3, "reward": 1}
    assert summary["dropped"]["attempts"] == {"unscored": 1}
    assert summary["rows"]["sft"] == summary["right_examples"]
    for name in FORMATS:
        lines = Path("data", name, "train.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == summary["rows"][name]
    pairs = [json.loads(line) for line in Path("data/preference/train.jsonl").read_text(encoding="utf-8").splitlines()]
    sources = [json.loads(line) for line in Path("data/provenance/pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(pairs) == len(sources)
    for pair, source in zip(pairs, sources, strict=True):
        assert source["chosen"]["run"] == run_id
        assert f"Write {source['task']}." in pair["prompt"]
        assert source["chosen"]["reward"] > source["rejected"]["reward"]
    correction = sources[[one["kind"] for one in sources].index("correction")]
    assert (correction["chosen"]["index"], correction["rejected"]["index"]) == (1_000_001, 1)


def test_people_see_what_was_left_out(cli, run_id):
    result = cli(run_id[:-1], "--out", "data", "--format", "preference", "--max-per-prompt", "1")
    assert result.exit_code == 0
    assert "unscored" in result.stdout
    assert "over_max_per_prompt" in result.stdout
    assert sorted(path.name for path in Path("data").iterdir()) == ["README.md", "preference", "provenance"]


def test_the_card_says_where_it_comes_from(cli, run_id):
    assert cli(run_id, "--out", "data", "--license", "mit", "--title", "My pairs", "--against", "humaneval").exit_code == 0
    card = Path("data/README.md").read_text(encoding="utf-8")
    for fact in (
        run_id,
        "tiny-coder",
        "abc123",
        "sha256:feed",
        "| 7 |",
        'license: "mit"',
        "# My pairs",
        "prompts of humaneval: MIT",
    ):
        assert fact in card
    assert "| attempt | unscored | 1 |" in card
    # One task of the run is HumanEval/2 under another name: its function and its reference are there.
    row = next(line for line in card.splitlines() if line.startswith("| humaneval |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert int(cells[3]) > 0


def test_contaminated_rows_can_be_left_out(store, run_id):
    job = CollectJob(against=("humaneval",), decontaminate=True)
    found = collect([run_id], store, job)
    assert found.contamination[0].by_either == 0
    assert found.choice.dropped_pairs["refused"] == 1
    assert not any("truncate_number" in pair.chosen.code for pair in found.choice.pairs)
    assert any("truncate_number" in pair.chosen.code for pair in collect([run_id], store).choice.pairs)


def test_benchmarks_that_are_not_here_are_named(store, run_id, tmp_path):
    found = collect([run_id], store, CollectJob(against=("humaneval", "mbpp")), data=tmp_path)
    assert list(found.unchecked) == ["mbpp"]
    save(found, CollectJob(), tmp_path / "out")
    assert "not looked for: mbpp" in (tmp_path / "out/README.md").read_text()


def test_the_same_runs_and_options_give_the_same_bytes(store, run_id, tmp_path):
    job = CollectJob(rules=Rules(seed=5))
    for name in ("one", "two"):
        save(collect([run_id], store, job), job, tmp_path / name)
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_rewards_are_measured_as_asked(store, run_id):
    def margins(reward: str) -> set[float | None]:
        return {pair.margin for pair in collect([run_id], store, CollectJob(reward=reward)).choice.pairs}

    assert margins("fraction") == {0.5, 0.75, 1.0}
    assert margins("recorded") == {1.0}
    assert margins("ladder") == {0.7}


def test_hidden_and_visible_tests_are_no_common_measure(store):
    run = store.create_run("solve-loss", {"options": {"seed": 1}})
    visible = attempt("t", 0, 0, code("a"), report=judged(Verdict.ACCEPTED, 4, 0), hidden=None)  # refused by other means
    store.add_attempt(run.id, visible)
    store.add_attempt(run.id, attempt("t", 1, 1, code("b")))
    store.add_attempt(run.id, attempt("t", 2, 3, code("c")))
    found = collect([run.id], store)
    assert [(pair.chosen.index, pair.rejected.index) for pair in found.choice.pairs] == [(2, 1)]
    answers = {one.answer.index: one.answer for one in found.choice.examples}
    assert answers[0].reward is not None
    assert 0.5 < answers[0].reward < 1  # all its visible tests passed, and yet it is wrong
    assert (answers[0].scale, answers[1].scale) == ("fraction visible", "fraction hidden")


def test_recorded_completions_are_joined_with_their_prompts(tmp_path, store):
    rows = [{"task_id": "own/0", "prompt": "def f():\n", "continues": True, "tests": "assert f() == 1"}]
    data = tmp_path / "own.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = store.create_run("eval", {"dataset": str(data), "samples": "s.jsonl"})
    for index, (text, passed) in enumerate((("    return 1\n", 4), ("    return 'two'\n", 0))):
        one = attempt("own/0", index, passed, "def f():\n" + text, messages=(), completion=Completion(text=text))
        store.add_attempt(run.id, one)
    found = collect([run.id], store)
    assert FORMATS["preference"].rows(found.choice) == [
        {"prompt": "def f():\n", "chosen": "    return 1\n", "rejected": "    return 'two'\n"}
    ]
    data.unlink()
    found = collect([run.id], store)
    assert found.dropped_attempts == {"no_prompt": 2}
    assert "its prompts are not here" in found.problems[0]


def test_a_run_that_is_not_there_is_one_sentence(cli, run_id):
    told(cli("nowhere", "--out", "data"), 2, "There is no run 'nowhere'")
    told(cli(run_id, run_id, "--out", "data"), 2, "named twice")
    told(cli(run_id, "--out", "data", "--format", "csv"), 2, "There is no format 'csv'")
    told(cli(run_id, "--out", "data", "--against", "glue"), 2, "There is no benchmark 'glue'")
    told(cli(run_id, "--out", "data", "--min-margin", "0"), 2, "--min-margin must be above 0")
    told(cli(run_id, "--out", "data", "--pairs", "friends"), 2, "--pairs")
    assert not Path("data").exists()


def test_a_run_without_pairs_says_what_is_missing(cli, tmp_path, store):
    run = store.create_run("eval", {"dataset": "humaneval"})
    store.add_attempt(run.id, attempt("t", 0, 4, code("a")))
    store.finish(run.id, "finished", {})
    told(cli(run.id, "--out", "data", "--format", "alpaca"), 2, "give no row for alpaca")
    assert cli(run.id, "--out", "data").exit_code == 0
    assert sorted(path.name for path in Path("data").iterdir()) == [
        "README.md",
        "provenance",
        "sft",
        "sft-chat",
        "unpaired",
        "unpaired-chat",
    ]


def test_only_a_collection_is_replaced_and_only_when_told_so(cli, run_id):
    assert cli(run_id, "--out", "data").exit_code == 0
    told(cli(run_id, "--out", "data"), 2, "holds a collection")
    assert cli(run_id, "--out", "data", "--overwrite").exit_code == 0
    told(cli(run_id, "--out", "data/README.md"), 2, "is a file")


def test_what_a_person_changed_in_a_collection_is_not_replaced(cli, run_id):
    assert cli(run_id, "--out", "data").exit_code == 0
    card = Path("data/README.md")
    card.write_text(f"{card.read_text()}\nMy notes.\n")
    told(cli(run_id, "--out", "data", "--overwrite"), 2, "README.md was changed")
    assert "My notes." in card.read_text()
    card.unlink()
    assert cli(run_id, "--out", "data", "--overwrite").exit_code == 0
    listed = Path("data/provenance/files.json")
    listed.write_text(json.dumps({"files": json.loads(listed.read_text())["files"]}))  # as earlier versions wrote it
    card.write_text("mine")
    assert cli(run_id, "--out", "data", "--overwrite").exit_code == 0


@pytest.mark.parametrize("place", ["mine.txt", ".git/HEAD", "provenance/mine.txt", "sft/deep/mine.txt"])
@pytest.mark.parametrize("with_collection", [True, False])
def test_nothing_of_anybody_else_goes_with_a_folder(cli, run_id, place, with_collection):
    if with_collection:
        assert cli(run_id, "--out", "data").exit_code == 0
    mine = Path("data") / place
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    told(cli(run_id, "--out", "data", "--overwrite"), 2, "holds what no collection wrote")
    assert mine.read_text() == "mine"


def test_the_current_folder_is_not_emptied(cli, run_id):
    Path(".git").mkdir()
    Path("project.py").write_text("mine")
    told(cli(run_id, "--out", ".", "--overwrite"), 2, "holds what no collection wrote")
    assert Path(".git").is_dir()
    assert Path("project.py").read_text() == "mine"


def test_a_list_of_files_that_makes_no_sense_lists_none(cli, run_id):
    assert cli(run_id, "--out", "data").exit_code == 0
    for text in ("", "[1]", '{"files": 3}', '{"files": [[]]}', "[" * 100_000):
        Path("data/provenance/files.json").write_text(text)
        told(cli(run_id, "--out", "data", "--overwrite"), 2, "holds what no collection wrote")


@pytest.mark.parametrize("broken", ["_lines", "_parquet", "_text"])
def test_a_full_disk_leaves_everything_as_it_was(cli, run_id, monkeypatch, broken):
    assert cli(run_id, "--out", "data").exit_code == 0
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, broken, full)
    told(cli(run_id, "--out", "data", "--overwrite"), 3, "No space left on device. Nothing was changed")
    assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == before
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_put_in_its_place_leaves_what_was_there(cli, run_id, monkeypatch):
    assert cli(run_id, "--out", "data").exit_code == 0
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    rename = Path.rename

    def refuses(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    told(cli(run_id, "--out", "data", "--overwrite"), 3, "Nothing was changed")
    assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == before
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="a small file system needs root")
def test_a_disk_that_is_really_full_is_one_sentence(cli, run_id, tmp_path):
    from subprocess import run

    small = tmp_path / "small"
    small.mkdir()
    if run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        told(cli(run_id, "--out", str(small / "data")), 3, "Nothing was changed")
        assert list(small.iterdir()) == []
    finally:
        run(["umount", small], check=True)


def passes(program: Program) -> RunReport:
    """A sandbox in which a program is right where it says RIGHT."""
    outcome = TestOutcome.PASSED if "RIGHT" in (program.code or "") else TestOutcome.FAILED
    test = TestResult(name="test_f", outcome=outcome, message="" if outcome is TestOutcome.PASSED else "assert 1 == 2")
    return RunReport(status=Status.OK, tests=(test,), tests_collected=1, tests_complete=True)


async def test_an_evaluation_with_corrections_becomes_pairs(tmp_path, store):
    """From the model's answers to rows, with nothing in between made by hand."""
    row = {
        "task_id": "t",
        "prompt": "Write f.",
        "entry_point": "f",
        "tests": "def test_f(): assert f()",
        "visible_tests": "assert f()",
    }
    (tmp_path / "own.jsonl").write_text(json.dumps(row))

    def answer(messages: Sequence[Message], sampling: Sampling) -> str:
        word = "RIGHT" if "Correct it" in messages[-1].content else "WRONG"
        return f"Sure!\n```python\ndef f():\n    return {f'{word} {sampling.seed} ' * 9!r}\n```"

    model = ScriptedModel(answer)
    settings = Settings(home=tmp_path / "home", workers=1)
    provider = ScriptedProvider(passes, runs=100, judges_apart=True)
    job = EvalJob(dataset=str(tmp_path / "own.jsonl"), n=2, repair=1, temperature=0.8)
    async with Engine(settings, provider=provider, memory_budget=2**40) as engine:
        result = await Evaluation(settings, store, engine=engine, model=model).run_job(job)
    found = collect([result.run.id], store)
    assert not found.dropped_attempts
    assert found.as_json()["pairs_by_kind"].keys() == {"correction"}
    for pair, told in zip(FORMATS["preference"].rows(found.choice), found.choice.pairs, strict=True):
        assert "Write f." in pair["prompt"]
        assert "assert 1 == 2" not in pair["prompt"]
        assert "RIGHT" in pair["chosen"]
        assert "RIGHT" not in pair["rejected"]
        assert pair["chosen"].startswith("```python")
        assert told.rejected.index == told.chosen.corrects
    # The answer to the wish for a correction is an example too, for the prompt that it answered.
    assert any(
        "assert 1 == 2" in row["prompt"] and row["completion"].startswith("Sure!") for row in FORMATS["sft"].rows(found.choice)
    )


class Hub:
    """The two calls of `HfApi` that are made."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        self.fails = fails
        self.calls: list[tuple[str, dict[str, object]]] = []

    def create_repo(self, repo_id: str, **options: object) -> object:
        self.calls.append(("create_repo", {"repo_id": repo_id, **options}))
        if self.fails:
            raise self.fails
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, **options: object) -> None:
        self.calls.append(("upload_folder", options))


def test_pushing_creates_a_private_data_set_and_uploads_the_folder(tmp_path):
    hub = Hub()
    push(tmp_path, "me/pairs", api=hub)
    (created, options), (uploaded, folder) = hub.calls
    assert (created, uploaded) == ("create_repo", "upload_folder")
    assert options == {"repo_id": "me/pairs", "repo_type": "dataset", "private": True, "exist_ok": True}
    assert folder["folder_path"] == str(tmp_path)
    assert folder["repo_type"] == "dataset"


def test_what_the_hub_did_not_take_lies_in_the_folder(cli, run_id, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: Hub(fails=ConnectionError("no route")))
    result = cli(run_id, "--out", "data", "--format", "sft", "--push-to-hub", "me/pairs", "--json")
    assert result.exit_code == 3
    assert "no route. The data lies in data" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["hub"], list(summary["rows"])) == ("", ["sft"])
    assert Path("data/sft/train.parquet").is_file()


def test_a_hub_that_refuses_or_is_away_is_one_sentence(tmp_path):
    from huggingface_hub import HfApi

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(PrerequisiteError, match="status 401") as refused:
            push(tmp_path, "me/pairs", api=HfApi(endpoint=address, token="hf_no"))
        server.shutdown()
    assert "hf auth login" in refused.value.remedy
    with pytest.raises(PrerequisiteError, match="cannot be reached"):
        push(tmp_path, "me/pairs", api=HfApi(endpoint="http://127.0.0.1:9", token="hf_no"))
    with pytest.raises(UsageError, match="names no repository"):
        push(tmp_path, "not a name!", api=HfApi(endpoint="http://127.0.0.1:9", token="hf_no"))
