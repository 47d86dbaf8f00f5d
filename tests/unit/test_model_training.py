"""Trainings by a scripted sandbox: what is believed of what comes out, what goes in, and how often the test is opened."""

import io
import json

import numpy as np
import pytest

from orchestrator.applications.model_research.canary import canary
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.training import (
    KNOWN,
    TrainingOptions,
    chance,
    metric_for,
    open_test,
    train,
    training_program,
)
from orchestrator.data.arrays import write_array
from orchestrator.data.images import Split
from orchestrator.data.images.labelled import labelled
from orchestrator.errors import SandboxError, UsageError
from orchestrator.sources import steadily
from orchestrator.types import ExecutionResult, Status

RNG = np.random.default_rng(2)
LABELS = np.arange(300) % 3
PIXELS = RNG.normal(size=(300, 1, 4, 4)) + LABELS[:, None, None, None]
DATA = labelled("bright", "a test", PIXELS, LABELS)
NUMBERS = labelled("numbers", "a test", PIXELS.reshape(300, 16), 50 + 10 * PIXELS.mean(axis=(1, 2, 3)))
MODEL = ModelSource(code="class Net: pass", class_name="Net", input_shape=(1, 4, 4), outputs=3)
LINE = ModelSource(code="class Net: pass", class_name="Net", input_shape=(16,), outputs=1)
TWO = TrainingOptions(epochs=2)


def array(content):
    return steadily(lambda: np.load(io.BytesIO(content), allow_pickle=False))  # judged in threads meanwhile


def logits(x):
    """By brightness: good, not perfect."""
    bright = x.reshape(len(x), -1).mean(axis=1)
    return (-3 * (bright[:, None] - np.array([-1.2, 0, 1.2])) ** 2).astype(np.float32)


class Sandbox:
    """Answers each program as the function `change` leaves an honest answer."""

    def __init__(self, change=None, status=Status.OK, function=logits, **more):
        self.change, self.status, self.function, self.more = change, status, function, more
        self.programs = []

    async def __call__(self, program, limits):
        self.programs.append(program)
        x = {name: array(content) for name, content in program.files.items() if name.endswith("_x.npy")}
        if "rows_x.npy" in x:
            found = {"predictions.npy": self.function(x["rows_x.npy"])}
        else:
            epochs = json.loads(program.files["training.json"])["epochs"]
            log = {"failure": "", "trace": "", "stopped": False, "parameters": 51, "initial": "ab" * 32}
            found = {
                "predictions.npy": np.stack([self.function(x["validation_x.npy"])] * (epochs + 1)),
                "training.npy": np.stack([self.function(x["train_x.npy"][:KNOWN])] * (epochs + 1)),
                "log.json": log | {"losses": [0.5] * epochs, "seconds": [0.1] * epochs},
                "weights.pt": b"weights",
            }
        if self.change:
            self.change(found)
        artefacts = {
            name: write_array(value)
            if isinstance(value, np.ndarray)
            else json.dumps(value).encode()
            if isinstance(value, dict)
            else value
            for name, value in found.items()
        }
        return ExecutionResult(status=self.status, artifacts=artefacts, wall_time=1.5, **self.more)


async def trained(change=None, model=MODEL, data=DATA, **sandbox):
    return await train(model, Split(data), Sandbox(change, **sandbox), options=TWO)


async def test_each_epoch_is_scored_here_with_both_curves():
    found = await trained()
    record = found.record
    assert record.failure == ""
    assert [one.epoch for one in record.epochs] == [0, 1, 2]
    assert 0.7 < record.value < 1
    assert record.scores.accuracy == record.value
    assert record.epochs[2].known_value > 0.7
    assert record.epochs[2].loss < np.log(3)
    assert found.predictions.shape == (3, len(Split(DATA).validation_y), 3)
    assert np.allclose(found.predictions.sum(axis=-1), 1)
    assert record.data.source == "a test"
    assert record.warnings == ()


def test_no_label_of_validation_or_test_goes_in():
    split = Split(DATA)
    program, _ = training_program(MODEL, split, TWO, seed=0)
    assert set(program.files) == {"train_x.npy", "train_y.npy", "validation_x.npy", "candidate_model.py", "training.json"}
    rows = [row.tobytes() for row in split._test_x]
    everything = b"".join(program.files.values())
    assert not any(row in everything for row in rows)
    for dtype in (np.int64, np.int32, np.int8, np.float32):
        assert split.validation_y.astype(dtype).tobytes() not in everything
    assert np.array_equal(array(program.files["train_y.npy"]), split.train_y)
    assert split.opened == 0


def replaced(name, value):
    return lambda found: found.update({name: value(found[name]) if callable(value) else value})


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (replaced("predictions.npy", lambda found: found * np.nan), "are not finite"),
        (replaced("predictions.npy", lambda found: found[:, 1:]), "has the shape"),
        (replaced("predictions.npy", lambda found: found[1:]), "has the shape"),
        (replaced("predictions.npy", lambda found: found.astype(np.float64)), "holds float64 instead of float32"),
        (replaced("predictions.npy", b"\x80\x04."), "is not a NumPy .npy file"),
        (replaced("training.npy", lambda found: found + np.inf), "are not finite"),
        (lambda found: found.pop("predictions.npy"), "wrote no predictions.npy"),
        (lambda found: found.pop("log.json"), "ended before its training was over"),
        (replaced("log.json", b"[" * 100_000), "not JSON"),
        (replaced("log.json", lambda log: log | {"accuracy": 1.0}), "other fields than ours"),
        (replaced("log.json", lambda log: log | {"losses": [0.1]}), "1 epochs; 2 were asked for"),
        (replaced("log.json", lambda log: log | {"losses": [0.1] * 3, "seconds": [0.1] * 3}), "3 epochs; 2 were asked for"),
        (replaced("log.json", lambda log: log | {"losses": [0.1, None]}), "not finite numbers"),
        (replaced("log.json", lambda log: log | {"losses": [0.1, float("nan")]}), "not finite numbers"),
        (replaced("log.json", lambda log: log | {"parameters": True}), "other fields than ours"),
        (replaced("log.json", lambda log: log | {"failure": "ValueError: no\nmore"}), "ValueError: no more"),
    ],
)
async def test_what_does_not_fit_is_a_failed_training(change, failure):
    found = await trained(change)
    assert failure in found.record.failure
    assert found.record.value is None
    assert found.record.score == -np.inf
    assert found.record.scores is None


async def test_epochs_before_a_failure_are_kept_for_people():
    def failed(found):
        found["log.json"] |= {"failure": "The loss became nan in epoch 2.", "losses": [0.5], "seconds": [0.1]}
        found["predictions.npy"], found["training.npy"] = found["predictions.npy"][:2], found["training.npy"][:2]

    record = (await trained(failed)).record
    assert record.failure == "The loss became nan in epoch 2."
    assert len(record.epochs) == 2
    assert record.value is None


async def test_half_characters_in_a_log_do_not_break_the_record():
    record = (await trained(replaced("log.json", lambda log: log | {"failure": "\ud800 half"}))).record
    assert record.model_dump_json().count("half") == 1


async def test_a_limit_is_the_models_failure_and_a_sandbox_error_is_not():
    record = (await trained(lambda found: found.clear(), status=Status.MEMORY_EXCEEDED, detail="It used 2 GiB.")).record
    assert record.failure == "The run ended with memory_exceeded. It used 2 GiB."
    with pytest.raises(SandboxError, match="no engine"):
        await trained(status=Status.SANDBOX_ERROR, detail="no engine")


async def test_constant_predictions_are_named_and_worth_chance():
    found = await trained(function=lambda x: np.tile(np.float32([9, 0, 0]), (len(x), 1)))
    assert "predicts the same for every validation row" in found.record.warnings[0]
    assert found.record.value == pytest.approx(1 / 3, abs=0.02)
    assert found.record.scores.macro.precision is None


async def test_a_training_that_was_stopped_or_has_no_weights_says_so():
    def stopped(found):
        found["log.json"] |= {"stopped": True, "losses": [0.5], "seconds": [0.1]}
        found["predictions.npy"], found["training.npy"] = found["predictions.npy"][:2], found["training.npy"][:2]
        del found["weights.pt"]

    record = (await trained(stopped)).record
    assert record.value > 0.7
    assert record.warnings[0] == "It was stopped after 120 s, in epoch 1."
    assert "cannot be tested" in record.warnings[1]


async def test_numbers_are_learnt_in_spreads_and_scored_in_units():
    split = Split(NUMBERS)
    sandbox = Sandbox(function=lambda x: (x.mean(axis=1, keepdims=True) * 1.5).astype(np.float32))
    found = await train(LINE, split, sandbox, options=TWO)
    y = array(sandbox.programs[0].files["train_y.npy"])
    assert y.dtype == np.float32
    assert abs(y.mean()) < 1e-3
    assert abs(y.std() - 1) < 1e-3
    assert found.record.metric == "rmse"
    assert found.predictions[-1].mean() == pytest.approx(50, abs=15)
    assert found.record.scores.r2 < 1
    assert chance(split, metric_for(split)) == pytest.approx(split.validation_y.std(), rel=0.1)


async def test_labels_of_other_rows_can_be_given_on_purpose():
    sandbox = Sandbox()
    split = Split(DATA)
    await train(MODEL, split, sandbox, options=TWO, shuffled_labels=True)
    y = array(sandbox.programs[0].files["train_y.npy"])
    assert sorted(y) == sorted(split.train_y)
    assert (y != split.train_y).mean() > 0.4


async def test_a_model_that_knows_rows_without_learning_them_is_a_canary():
    knows = await canary(MODEL, Split(DATA), Sandbox(), options=TWO)
    assert knows.is_suspicious
    assert "cannot have learnt" in knows.sentence
    constant = await canary(MODEL, Split(DATA), Sandbox(function=lambda x: np.zeros((len(x), 3), np.float32)), options=TWO)
    assert not constant.is_suspicious
    assert constant.value == pytest.approx(constant.chance, abs=0.05)
    failed = await canary(MODEL, Split(DATA), Sandbox(lambda found: found.clear()), options=TWO)
    assert failed.value is None
    assert not failed.is_suspicious


async def test_the_test_is_opened_once_for_all_and_scored_in_the_order_of_its_rows():
    split, sandbox = Split(DATA), Sandbox()
    first, second, failed = await trained(), await trained(), await trained(lambda found: found.clear())
    tested = await open_test({"ours": [first, second], "other": [failed], "base": [first]}, split, sandbox)
    assert tested.opened == split.opened == 1
    assert len(sandbox.programs) == 3
    assert all("train_x.npy" not in program.files for program in sandbox.programs)
    ours = tested.by_name["ours"]
    assert ours.values[0] == ours.values[1] == pytest.approx(np.mean(logits(split._test_x).argmax(axis=1) == split._test_y))
    assert ours.low < ours.values[0] < ours.high
    assert ours.warnings == ()
    assert tested.by_name["other"].values == ()
    rows = array(sandbox.programs[0].files["rows_x.npy"])
    assert len(rows) == len(split._test_x) + 32
    assert not np.array_equal(rows[:60], split._test_x)
    await open_test({"ours": [first]}, split, sandbox)
    assert split.opened == 2
    with pytest.raises(UsageError, match="nothing to test"):
        await open_test({"other": [failed]}, split, sandbox)
    assert split.opened == 2


async def test_a_model_that_looks_at_the_rows_around_a_row_is_named():
    split = Split(DATA)
    shares = Sandbox(function=lambda x: logits(x) * np.linspace(0, 1, len(x), dtype=np.float32)[:, None])
    tested = await open_test({"ours": [await trained()]}, split, shares)
    assert "depends on the rows around it" in tested.by_name["ours"].warnings[0]


async def test_a_test_that_fails_is_the_models_failure():
    broken = Sandbox(lambda found: found.update({"predictions.npy": found["predictions.npy"] * np.nan}))
    tested = await open_test({"ours": [await trained()]}, Split(DATA), broken)
    assert tested.by_name["ours"].values == (None,)
    assert "not finite" in tested.by_name["ours"].failures[0]
    assert tested.by_name["ours"].scores is None


def test_a_model_of_another_shape_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match=r"takes \(16,\) and puts out 1; bright has \(1, 4, 4\) and needs 3"):
        training_program(LINE, Split(DATA), TWO, seed=0)
    many = np.repeat(PIXELS, 40, axis=0) + RNG.normal(size=(12000, 1, 1, 1))
    big = Split(labelled("big", "a test", many, np.tile(np.arange(100), 120)))
    wide = ModelSource(code="", class_name="Net", input_shape=(1, 4, 4), outputs=100)
    with pytest.raises(UsageError, match="Take fewer epochs"):
        training_program(wide, big, TrainingOptions(epochs=900), seed=0)
