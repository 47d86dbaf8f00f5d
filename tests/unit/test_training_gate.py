"""The gate that predictions and curves from a sandbox pass, with a scripted sandbox in its place."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

from orchestrator.applications.loss_functions.tasks import Inputs, builtin_tasks, custom_task
from orchestrator.applications.loss_functions.training import EPOCHS, LIMITS, datasets_for, train_on_seeds, train_with_loss
from orchestrator.data import tabular
from orchestrator.data.arrays import read_array, write_array
from orchestrator.errors import SandboxError, UsageError
from orchestrator.scoring.metrics import accuracy, balanced_accuracy
from orchestrator.types import ExecutionResult, Status

TASK = builtin_tasks()["focal"]
ROWS = 171
CURVE = json.dumps({"losses": [1.0] * EPOCHS, "failure": ""}).encode()


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def scripted(artifacts, status=Status.OK, stderr="", detail=""):
    """A sandbox that answers the candidate's training with these artefacts, and the stock's with all zeros."""

    async def execute(program, limits):
        assert limits == LIMITS
        if program.files["trained_loss.py"] == b"candidate":
            return ExecutionResult(status=status, artifacts=artifacts, stderr=stderr, detail=detail, wall_time=1.0)
        zeros = np.zeros((EPOCHS, ROWS), np.int64)
        return ExecutionResult(status=Status.OK, artifacts={"curve.json": CURVE, "predictions.npy": saved(zeros)}, wall_time=2.0)

    return execute


async def test_accuracy_is_computed_from_labels_that_stayed_here(tmp_path):
    labels = tabular.load("breast_cancer", 5).heldout_y
    predictions = np.stack([1 - labels] * (EPOCHS - 1) + [labels])
    execute = scripted({"curve.json": CURVE, "predictions.npy": saved(predictions)})
    report = await train_with_loss(TASK, "candidate", "breast_cancer", execute, seed=5, out=tmp_path / "pictures")
    assert (report.accuracy, report.failure) == (1.0, "")
    assert report.accuracy_curve == (0.0,) * (EPOCHS - 1) + (1.0,)
    assert report.stock_accuracy == float(np.mean(labels == 0))
    assert report.wall_time == 3.0
    assert report.picture.read_bytes().startswith(b"\x89PNG")


GOOD = np.zeros((EPOCHS, ROWS), np.int64)
HUGE = saved(GOOD).replace(b"(20, 171)", b"(9999999999999, 171)")
FORGERIES = {
    "a pickle": (pickle.dumps([1]), "not a NumPy .npy file"),
    "an archive": (b"PK\x03\x04", "not a NumPy .npy file"),
    "nothing": (b"", "not a NumPy .npy file"),
    "an array of objects": (saved(np.array([{}])), "object instead of int64"),
    "nan": (saved(np.full((EPOCHS, ROWS), np.nan)), "float64 instead of int64"),
    "other byte order": (saved(GOOD.astype(">i8")), ">i8 instead of int64"),
    "another shape": (saved(GOOD[:, :3]), "the shape (20, 3) instead of (20, 171)"),
    "columns first": (saved(np.asfortranarray(GOOD)), "by columns"),
    "a huge shape": (HUGE, "instead of (20, 171)"),
    "cut off": (saved(GOOD)[:-8], "bytes of data"),
    "too long": (saved(GOOD) + b"12345678", "bytes of data"),
    "no such class": (saved(GOOD + 2), "not classes from 0 to 1"),
    "negative class": (saved(GOOD - 1), "not classes from 0 to 1"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_forged_predictions_are_refused_with_their_reason(name):
    data, reason = FORGERIES[name]
    execute = scripted({"curve.json": CURVE, "predictions.npy": data})
    report = await train_with_loss(TASK, "candidate", "breast_cancer", execute)
    assert reason in report.failure
    assert (report.accuracy, report.accuracy_curve) == (None, ())


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (b"[", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "other fields"),
        (b'{"accuracy": 1.0}', "other fields"),
        (b'{"losses": [], "failure": 3}', "other fields"),
        (b'{"losses": [1.0], "failure": ""}', "20 losses"),
        (CURVE.replace(b"1.0]", b"NaN]"), "not finite"),
        (CURVE.replace(b"1.0]", b'"1"]'), "not finite"),
        (b'{"losses": [], "failure": "because\\nof this"}', "because of this"),
    ],
)
async def test_a_forged_curve_is_refused_with_its_reason(curve, reason):
    report = await train_with_loss(
        TASK, "candidate", "breast_cancer", scripted({"curve.json": curve, "predictions.npy": saved(GOOD)})
    )
    assert reason in report.failure
    assert report.accuracy is None


async def test_missing_artefacts_are_told():
    assert (
        await train_with_loss(TASK, "candidate", "breast_cancer", scripted({}))
    ).failure == "The training wrote no curve.json."
    only_curve = await train_with_loss(TASK, "candidate", "breast_cancer", scripted({"curve.json": CURVE}))
    assert only_curve.failure == "The training wrote no predictions.npy."


async def test_a_program_that_fails_is_told_by_its_last_line():
    execute = scripted({}, status=Status.RUNTIME_ERROR, stderr="Traceback\nValueError: no\n")
    assert (await train_with_loss(TASK, "candidate", "breast_cancer", execute)).failure == (
        "The training ended with runtime_error. ValueError: no"
    )


async def test_a_dead_sandbox_is_no_failed_training():
    with pytest.raises(SandboxError, match="the engine went away"):
        await train_with_loss(
            TASK, "candidate", "breast_cancer", scripted({}, status=Status.SANDBOX_ERROR, detail="the engine went away")
        )


async def test_a_data_set_that_does_not_fit_is_refused_with_one_that_does():
    async def never(program, limits):
        raise AssertionError("nothing is to be run")

    with pytest.raises(UsageError, match="Train on breast_cancer"):
        await train_with_loss(TASK, "", "digits", never)
    with pytest.raises(UsageError, match="digits, breast_cancer"):
        await train_with_loss(TASK, "", "mnist", never)


async def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        await train_with_loss(
            TASK,
            "candidate",
            "breast_cancer",
            scripted({"curve.json": CURVE, "predictions.npy": saved(GOOD)}),
            out=tmp_path / "file",
        )


def test_every_kind_of_input_has_a_data_set():
    for kind in Inputs:
        signature = "loss(a, b, c)" if kind is Inputs.TRIPLET else "loss(a, b)"
        assert datasets_for(custom_task("a loss", signature, kind))


@pytest.mark.parametrize(("name", "rows", "columns", "classes"), [("digits", 1797, 64, 10), ("breast_cancer", 569, 30, 2)])
def test_a_split_is_whole_seeded_and_stratified(name, rows, columns, classes):
    split, again, other = tabular.load(name, 1), tabular.load(name, 1), tabular.load(name, 2)
    assert len(split.train_x) + len(split.heldout_x) == rows
    assert split.train_x.shape[1] == columns
    assert split.classes == classes
    assert np.array_equal(split.heldout_x, again.heldout_x)
    assert not np.array_equal(split.heldout_x, other.heldout_x)
    shares = [np.bincount(part, minlength=classes) / len(part) for part in (split.train_y, split.heldout_y)]
    assert np.allclose(*shares, atol=0.01)


def test_an_array_survives_the_way_there_and_back():
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert np.array_equal(read_array(write_array(array), np.int64, (2, 3)), array)
    with pytest.raises(ValueError, match="Object arrays"):
        write_array(np.array([{}]))


def test_metrics():
    predicted, labels = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert accuracy(predicted, labels) == 0.75
    assert balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])) == 0.5
    with pytest.raises(ValueError, match="cannot be compared"):
        accuracy(predicted[:2], labels)
    with pytest.raises(ValueError, match="cannot be compared"):
        accuracy(predicted[:0], labels[:0])


async def test_several_seeds_give_means_and_a_paired_interval(tmp_path):
    calls = []

    async def execute(program, limits):
        seed = json.loads(program.files["training.json"])["seed"]
        calls.append(seed)
        labels = tabular.load("breast_cancer", seed).heldout_y
        last = np.where(np.arange(len(labels)) <= seed, 1 - labels, labels)
        return await scripted({"curve.json": CURVE, "predictions.npy": saved(np.stack([last] * EPOCHS))})(program, limits)

    report = await train_on_seeds(TASK, "candidate", "breast_cancer", execute, seeds=range(3), out=tmp_path)
    assert calls == [0, 0, 1, 1, 2, 2]
    assert report.accuracies == pytest.approx([1 - (1 + seed) / ROWS for seed in range(3)])
    assert report.accuracy == pytest.approx(1 - 2 / ROWS)
    middle, low, high = report.difference()
    pairs = np.subtract(report.accuracies, report.stock_accuracies)
    assert middle == pytest.approx(pairs.mean())
    assert high - middle == pytest.approx(middle - low) == pytest.approx(4.303 * pairs.std(ddof=1) / 3**0.5, rel=1e-3)
    assert (await train_on_seeds(TASK, "candidate", "breast_cancer", execute, seeds=[1])).difference() is None
