"""The job that researches networks: what is planned, what is trained further, what is opened once, and what is resumed."""

import io
import json
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.directory import MODEL, REGISTRY
from orchestrator.applications.model_research.goal import goal_of
from orchestrator.applications.model_research.job import ModelResearch
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.applications.model_research.reports import write_directory
from orchestrator.applications.model_research.results import BASELINE, WINNER
from orchestrator.applications.model_research.rungs import epochs_of
from orchestrator.cli import app
from orchestrator.data.arrays import write_array
from orchestrator.data.store import RunStore
from orchestrator.errors import CompletionError
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.sources import steadily
from orchestrator.types import ExecutionResult, Limits, Status, Verdict

pytestmark = pytest.mark.slow


def plan(channels, decision="continue", extra=""):
    layers = [{"type": "Conv2d", "out_channels": channels, "kernel_size": 3}, {"type": "ReLU"}, {"type": "GlobalAvgPool"}]
    return f"More channels see more. {extra}\nDecision: {decision}\n```json\n{json.dumps(layers)}\n```"


BROKEN = '```json\n[{"type": "Conv9d"}]\n```'


def array(content):
    return steadily(lambda: np.load(io.BytesIO(content), allow_pickle=False))  # judged in threads meanwhile


class Sandboxes:
    """Networks that know digits the better, the more channels they have; `bad` are those that raise."""

    image, limits, workers = "sha256:test", Limits(), 1

    def __init__(self, bad=()):
        self.programs, self.bad = [], bad

    async def execute(self, program, limits=None, **_):
        self.programs.append(program)
        code = next(content.decode() for name, content in program.files.items() if name.endswith(".py"))
        channels = 4 if "BaselineNet" in code else int(code.split("nn.Conv2d(1, ")[1].split(",")[0])
        if program.file == "smoke.py":
            return self._said("smoked.json", self._smoke(channels, json.loads(program.files["smoke.json"])["most_parameters"]))
        if program.file == "summarise.py":
            layers = {
                "parameters": 10 * channels,
                "trainable": 10 * channels,
                "multiply_adds": 1,
                "layers": [],
                "text": "a table",
            }
            return self._said("summarised.json", layers)
        config = json.loads(program.files["training.json"])
        x = {name: array(content) for name, content in program.files.items() if name.endswith("_x.npy")}
        rng = np.random.default_rng([config["seed"], channels])
        if "rows_x.npy" in x:
            first = array(program.files["rows_x.npy"])
            return ExecutionResult(
                status=Status.OK, artifacts={"predictions.npy": write_array(self._logits(first, channels, None))}
            )
        epochs = config["epochs"]
        out = [self._logits(x["validation_x.npy"], channels, rng) for _ in range(epochs + 1)]
        known = [self._logits(x["train_x.npy"][:1000], channels, rng) for _ in range(epochs + 1)]
        log = {"failure": "", "trace": "", "stopped": False, "parameters": 10 * channels, "initial": f"{config['seed']:064x}"}
        log |= {"losses": [0.5] * epochs, "seconds": [0.1] * epochs}
        artifacts = {"predictions.npy": write_array(np.stack(out)), "training.npy": write_array(np.stack(known))}
        return ExecutionResult(
            status=Status.OK,
            artifacts={**artifacts, "weights.pt": b"weights", "log.json": json.dumps(log).encode()},
            wall_time=1.0,
        )

    def _smoke(self, channels, most):
        failure = "It raised ValueError: too wide" if channels in self.bad else ""
        failure = failure or ("It has too many parameters." if 10 * channels > most else "")
        return {
            "reached": ["imported", "built", "forward", "backward", "learnt"][: 2 if failure else 5],
            "failure": failure,
            "traceback": "",
            "parameters": 10 * channels,
            "unused": [],
            "losses": [1.0, 0.1],
            "goal": 0.5,
            "step_seconds": 0.01,
        }

    def _said(self, name, value):
        return ExecutionResult(status=Status.OK, artifacts={name: json.dumps(value).encode()}, wall_time=0.1)

    def _logits(self, x, channels, rng):
        """Right for a share of rows that grows with the channels: rows are known by their own first pixels."""
        rows = x.reshape(len(x), -1).astype(np.float64)
        labels = self.labels_of(rows)
        found = np.zeros((len(x), 10), dtype=np.float32)
        wrong = (np.abs(rows).sum(axis=1) * 1000).astype(np.int64) % 100 >= 30 + 2 * channels
        found[np.arange(len(x)), np.where(wrong, (labels + 1) % 10, labels)] = 5
        return found if rng is None else found + rng.normal(scale=0.01, size=found.shape).astype(np.float32)

    known: ClassVar[dict[bytes, int]] = {}

    def labels_of(self, rows):
        return np.array([self.known.get(np.round(row, 3).tobytes(), 0) for row in rows])


@pytest.fixture(autouse=True)
def all_labels(monkeypatch):
    """The fake sandbox knows every label: what it scores is decided by its channels alone."""
    from orchestrator.data.images.split import Split

    made = Split.__post_init__

    def remembered(self):
        made(self)
        for x, y in ((self.train_x, self.train_y), (self.validation_x, self.validation_y), (self._test_x, self._test_y)):
            for row, label in zip(x.reshape(len(x), -1).astype(np.float64), y, strict=True):
                Sandboxes.known[np.round(row, 3).tobytes()] = label

    monkeypatch.setattr(Split, "__post_init__", remembered)


def job(goal="digits with > 80 % accuracy", **more):
    return ResearchJob(goal=goal_of(goal), data="digits", **{"answers": 6, "rungs": (1, 2, 3), "pairs": 5, **more})


async def research(tmp_path, answers, given=None, *, sandboxes=None, store=None, resume=None):
    store = store or RunStore.open(f"sqlite:///{tmp_path}/runs.sqlite3")
    sandboxes = sandboxes or Sandboxes()
    solving = ModelResearch(
        Settings(home=tmp_path), store, engine=sandboxes, model=ScriptedModel(answers), parent=tmp_path / "out"
    )
    result = await (solving.resume_job(resume) if resume else solving.run_job(given or job()))
    return solving, result, sandboxes


async def test_the_best_plan_climbs_and_is_held_against_the_baseline(tmp_path):
    answers = [plan(4), plan(8), BROKEN, plan(12), plan(24, "refine"), plan(16)]
    solving, result, sandboxes = await research(tmp_path, answers)
    outcome = result.outcome
    assert [attempt.verdict for attempt in result.attempts].count(Verdict.ACCEPTED) == 5
    assert "nn.Conv2d(1, 24" in outcome.code
    assert result.standing.opened == 1
    assert outcome.sealed[WINNER].n == outcome.sealed[BASELINE].n == 5
    assert outcome.sealed[WINNER].mean > outcome.sealed[BASELINE].mean
    assert outcome.reached is False, "30 + 2 * 24 of 100 rows are right"
    sealed = [program for program in sandboxes.programs if program.file == "predict_rows.py"]
    assert len(sealed) == 10, "each seed of both, once"
    written = write_directory(result, solving.directory)
    assert all(path.exists() for path in written)
    registry = json.loads((solving.directory.path / REGISTRY).read_text())
    assert [entry["verdict"] for entry in registry] == [str(attempt.verdict) for attempt in result.attempts]
    assert {"prompt", "answer", "assembly", "validation", "summary", "evaluation", "decision"} <= set(registry[0])
    assert (solving.directory.path / MODEL).read_text() == outcome.code
    page = (solving.directory.path / "report.html").read_text()
    assert "not reached" in page
    assert outcome.canary.is_suspicious, "these sandboxes know every label, whatever they are trained on"
    assert outcome.canary.sentence in page
    assert "data:image/png" in page


async def test_a_goal_that_is_met_ends_the_search(tmp_path):
    _, result, _ = await research(tmp_path, [plan(4), plan(32), plan(8)], job("digits with > 70 % accuracy"))
    assert len(result.attempts) == 3
    assert result.outcome.reached is True


async def test_stop_is_heard_once_something_was_improved(tmp_path):
    answers = [plan(4, "stop"), plan(6, "stop"), plan(8, "stop"), plan(10, "stop"), plan(12)]
    _, result, _ = await research(tmp_path, answers, job("digits with > 99 % accuracy"))
    assert len(result.attempts) == 4


async def test_a_network_that_fails_is_repaired_and_too_many_parameters_are_refused(tmp_path):
    sandboxes = Sandboxes(bad=(8,))
    answers = [plan(8), plan(12), plan(10), plan(14), plan(15), plan(16)]
    _, result, _ = await research(tmp_path, answers, sandboxes=sandboxes)
    failed = next(attempt for attempt in result.attempts if "too wide" in attempt.feedback)
    repair = next(attempt for attempt in result.attempts if attempt.parent == failed.index)
    assert "too wide" in repair.messages[-1].content
    assert '"out_channels": 8' in repair.messages[-1].content
    smoke = next(program for program in sandboxes.programs if program.file == "smoke.py")
    assert json.loads(smoke.files["smoke.json"])["most_parameters"] > 1_000_000
    capped = Sandboxes()
    await research(tmp_path / "capped", [plan(4)] * 6, job("digits, under 5k parameters"), sandboxes=capped)
    smoke = next(program for program in capped.programs if program.file == "smoke.py")
    assert json.loads(smoke.files["smoke.json"])["most_parameters"] == 5000


async def test_a_plan_with_too_many_parameters_is_made_narrower_and_says_so(tmp_path):
    answers = [plan(128), plan(4), plan(6), plan(8), plan(10), plan(12)]
    _, result, _ = await research(tmp_path, answers, job("digits with > 99 % accuracy, under 400 parameters"))
    wide = result.attempts[0]
    assert wide.verdict is Verdict.ACCEPTED
    assembly = ResearchDetails.of(wide).assembly
    assert assembly.layers[0] == {"type": "Conv2d", "out_channels": 40}
    assert assembly.layers[-1] == {"type": "Linear", "out_features": 10}
    assert "it had 1,280 parameters, and 400 are allowed" in assembly.notes[-1]
    assert "nn.Conv2d(1, 40, 3" in wide.code


async def test_a_plan_that_stays_too_large_fails_with_what_was_tried_last(tmp_path):
    answers = [plan(64000), plan(4), plan(6), plan(8), plan(10), plan(12)]
    _, result, _ = await research(tmp_path, answers, job("digits with > 99 % accuracy, under 60 parameters"))
    wide = ResearchDetails.of(result.attempts[0])
    assert result.attempts[0].verdict is Verdict.RUNTIME_ERROR
    assert wide.assembly.parameters == wide.smoke.parameters == 10 * wide.assembly.layers[0]["out_channels"]


async def test_a_plan_whose_convolution_gives_the_outputs_keeps_them(tmp_path):
    answers = [plan(10), plan(4), plan(6), plan(7), plan(8), plan(5)]
    _, result, _ = await research(tmp_path, answers, job("digits with > 99 % accuracy, under 80 parameters"))
    assert result.attempts[0].verdict is Verdict.RUNTIME_ERROR
    assert "too many parameters" in result.attempts[0].feedback


async def test_after_an_answer_without_layers_one_is_asked_for_anew(tmp_path):
    answers = ["I would take a network.", plan(4), plan(6), plan(8), plan(10), plan(12)]
    _, result, _ = await research(tmp_path, answers)
    repair = next(attempt for attempt in result.attempts if attempt.parent == 0)
    asked = repair.messages[-1].content
    assert "I would take a network" not in asked
    assert "There is no list of layers" in asked
    assert "A plain network looks like this" in asked


async def test_no_prompt_and_no_program_holds_a_label_that_is_hidden(tmp_path):
    _, result, sandboxes = await research(tmp_path, [plan(4), plan(6), plan(8), plan(10), plan(12), plan(14)])
    for program in sandboxes.programs:
        assert not {"validation_y.npy", "test_y.npy", "rows_y.npy"} & set(program.files)
        if program.file == "train_model.py":
            assert not any(name.startswith("rows") for name in program.files), "sealed rows enter no training"
    assert all("sealed" not in message.content for attempt in result.attempts for message in attempt.messages)


async def test_an_interrupted_search_is_resumed_without_repeating_anything(tmp_path):
    store = RunStore.open(f"sqlite:///{tmp_path}/runs.sqlite3")
    broken = [plan(4), plan(8), plan(12), CompletionError("The server is gone.")]
    _, first, sandboxes = await research(tmp_path, broken, store=store)
    assert first.outcome is None
    assert str(first.error)
    assert first.run.state == "interrupted"
    count = len(sandboxes.programs)
    _, second, _ = await research(tmp_path, [plan(20), plan(24), plan(28)], store=store, sandboxes=sandboxes, resume=first.run.id)
    assert second.run.state == "finished"
    assert sorted(attempt.index for attempt in second.attempts) == [0, 1, 2, 3, 4, 5]
    smoked = [program for program in sandboxes.programs[count:] if program.file == "smoke.py"]
    assert len(smoked) == 3
    count = len(sandboxes.programs)
    _, third, _ = await research(tmp_path, [], store=store, sandboxes=sandboxes, resume=first.run.id)
    assert third.outcome == second.outcome
    assert len(sandboxes.programs) == count


async def test_nothing_is_opened_where_nothing_could_be_trained(tmp_path):
    _, result, sandboxes = await research(tmp_path, ["no"] * 6)
    assert result.outcome is None
    assert result.standing.opened == 0
    assert "No network could be trained, so the sealed rows stay sealed" in result.problems
    assert not sandboxes.programs


async def test_the_run_directory_is_new_and_only_it_is_removed(tmp_path):
    theirs = tmp_path / "out" / "notes.txt"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    solving, _, _ = await research(tmp_path, [plan(4)] * 6)
    assert solving.directory.path.parent == tmp_path / "out"
    solving.drop_directory()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no goal."),
        (["--goal", "mnist and cifar10"], "several data sets"),
        (["--goal", "digits", "--rungs", "one"], "--rungs one is not a list of epochs"),
        (["--goal", "digits", "--writer-model", "x"], "--writer-model"),
        (["--goal", "digits", "--data", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_wrong_usage_is_a_sentence(words, said, tmp_path, monkeypatch):
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["research", *words])
    assert found.exit_code == 2
    assert said in found.output
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("run_")]


@pytest.mark.parametrize(
    ("rows", "epochs"), [(60_000, (1, 3, 9)), (6_400, (1, 3, 9)), (1_149, (6, 18, 54)), (10, (100, 300, 900))]
)
def test_few_rows_are_seen_more_often_so_that_the_first_rung_tells_networks_apart(rows: int, epochs: tuple[int, ...]) -> None:
    assert epochs_of(rows, 64) == epochs
