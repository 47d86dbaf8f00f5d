"""The gate that predictions and curves from a sandbox pass, with a scripted sandbox in its place."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

from orchestrator.applications.loss_functions.datasets import MOST_EPOCHS, MOST_ROWS, NAMES, DataSet, check_name, fits, open_data
from orchestrator.applications.loss_functions.tasks import Inputs, builtin_tasks, custom_task
from orchestrator.applications.loss_functions.training import LIMITS, TrainingReport, draw, train_on_seeds, train_with_loss
from orchestrator.data import tabular
from orchestrator.data.arrays import read_array, write_array
from orchestrator.errors import SandboxError, UsageError
from orchestrator.scoring.metrics import accuracy, balanced_accuracy, cross_entropy
from orchestrator.types import ExecutionResult, Status

TASK = builtin_tasks()["focal"]
DATA = open_data("breast_cancer")
EPOCHS = MOST_EPOCHS
ROWS = 171
CURVE = json.dumps({"losses": [1.0] * EPOCHS, "failure": ""}).encode()


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


OUTPUTS = saved(np.zeros((ROWS, 1), np.float32))


def scripted(artifacts, status=Status.OK, stderr="", detail=""):
    """A sandbox that answers the candidate's training with these artefacts, and the stock's with all zeros."""

    async def execute(program, limits):
        assert limits == LIMITS
        if program.files["trained_loss.py"] == b"candidate":
            return ExecutionResult(status=status, artifacts=artifacts, stderr=stderr, detail=detail, wall_time=1.0)
        zeros = np.zeros((EPOCHS, ROWS), np.int64)
        artifacts_of_stock = {"curve.json": CURVE, "predictions.npy": saved(zeros), "outputs.npy": OUTPUTS}
        return ExecutionResult(status=Status.OK, artifacts=artifacts_of_stock, wall_time=2.0)

    return execute


async def test_accuracy_is_computed_from_labels_that_stayed_here(tmp_path):
    labels = tabular.load("breast_cancer", 5).heldout_y
    predictions = np.stack([1 - labels] * (EPOCHS - 1) + [labels])
    logits = np.where(labels == 1, 2.0, -2.0).astype(np.float32)[:, None]
    execute = scripted({"curve.json": CURVE, "predictions.npy": saved(predictions), "outputs.npy": saved(logits)})
    report = await train_with_loss(TASK, "candidate", DATA, execute, seed=5, out=tmp_path / "pictures")
    assert (report.accuracy, report.failure) == (1.0, "")
    assert report.accuracy_curve == (0.0,) * (EPOCHS - 1) + (1.0,)
    assert report.stock_accuracy == float(np.mean(labels == 0))
    assert report.cross_entropies == pytest.approx([np.log1p(np.exp(-2))])
    assert report.stock_cross_entropies == pytest.approx([np.log(2)])
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
    execute = scripted({"curve.json": CURVE, "predictions.npy": data, "outputs.npy": OUTPUTS})
    report = await train_with_loss(TASK, "candidate", DATA, execute)
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
        TASK, "candidate", DATA, scripted({"curve.json": curve, "predictions.npy": saved(GOOD), "outputs.npy": OUTPUTS})
    )
    assert reason in report.failure
    assert report.accuracy is None


async def test_missing_artefacts_are_told():
    assert (await train_with_loss(TASK, "candidate", DATA, scripted({}))).failure == "The training wrote no curve.json."
    only_curve = await train_with_loss(TASK, "candidate", DATA, scripted({"curve.json": CURVE}))
    assert only_curve.failure == "The training wrote no predictions.npy."
    no_outputs = await train_with_loss(TASK, "candidate", DATA, scripted({"curve.json": CURVE, "predictions.npy": saved(GOOD)}))
    assert no_outputs.failure == "The training wrote no outputs.npy."


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (np.zeros((ROWS, 2), np.float32), "the shape (171, 2) instead of (171, 1)"),
        (np.zeros((ROWS, 1)), "float64 instead of float32"),
        (np.full((ROWS, 1), np.inf, np.float32), "not finite"),
    ],
)
async def test_forged_outputs_are_refused_with_their_reason(outputs, reason):
    artifacts = {"curve.json": CURVE, "predictions.npy": saved(GOOD), "outputs.npy": saved(outputs)}
    report = await train_with_loss(TASK, "candidate", DATA, scripted(artifacts))
    assert reason in report.failure
    assert (report.accuracy, report.cross_entropies) == (None, ())


async def test_a_program_that_fails_is_told_by_its_last_line():
    execute = scripted({}, status=Status.RUNTIME_ERROR, stderr="Traceback\nValueError: no\n")
    assert (await train_with_loss(TASK, "candidate", DATA, execute)).failure == (
        "The training ended with runtime_error. ValueError: no"
    )


async def test_a_dead_sandbox_is_no_failed_training():
    with pytest.raises(SandboxError, match="the engine went away"):
        await train_with_loss(TASK, "candidate", DATA, scripted({}, status=Status.SANDBOX_ERROR, detail="the engine went away"))


async def test_a_data_set_that_does_not_fit_is_refused_with_one_that_does():
    async def never(program, limits):
        raise AssertionError("nothing is to be run")

    with pytest.raises(UsageError, match="for two classes, and digits has 10") as raised:
        await train_with_loss(TASK, "", open_data("digits"), never)
    assert raised.value.remedy.startswith("Train on breast_cancer, cats-dogs or an .npz with two classes")
    with pytest.raises(UsageError, match="no such file") as raised:
        open_data("mnits")
    assert "Did you mean mnist?" in raised.value.remedy
    for name in ("digits", "mnist"):
        with pytest.raises(UsageError, match="for two classes"):
            check_name(name, [TASK])
    check_name("cats_dogs", [TASK])


async def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        await train_with_loss(
            TASK,
            "candidate",
            DATA,
            scripted({"curve.json": CURVE, "predictions.npy": saved(GOOD), "outputs.npy": OUTPUTS}),
            out=tmp_path / "file",
        )


def test_every_kind_of_input_has_a_data_set():
    for kind in Inputs:
        signature = "loss(a, b, c)" if kind is Inputs.TRIPLET else "loss(a, b)"
        assert any(fits(custom_task("a loss", signature, kind), classes) for classes in NAMES.values())


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


def test_an_array_is_read_where_python_counts_two_trees_at_once(monkeypatch):
    """Python 3.11 may raise SystemError where two threads parse; that is no fault of the file."""
    from numpy.lib import format as npy

    failing, read = iter([True, True, False]), npy.read_array_header_1_0

    def sometimes(file):
        if next(failing):
            raise SystemError("AST constructor recursion depth mismatch (before=168, after=35)")
        return read(file)

    monkeypatch.setattr(npy, "read_array_header_1_0", sometimes)
    assert np.array_equal(read_array(write_array(np.arange(3)), np.int64, (3,)), np.arange(3))


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
        artifacts = {"curve.json": CURVE, "predictions.npy": saved(np.stack([last] * EPOCHS)), "outputs.npy": OUTPUTS}
        return await scripted(artifacts)(program, limits)

    pairs = []
    report = await train_on_seeds(
        TASK, "candidate", DATA, execute, seeds=range(3), out=tmp_path, on_pair=lambda done, pair: pairs.append(done)
    )
    assert pairs == [1, 2, 3]
    assert calls == [0, 0, 1, 1, 2, 2]
    assert report.accuracies == pytest.approx([1 - (1 + seed) / ROWS for seed in range(3)])
    assert report.accuracy == pytest.approx(1 - 2 / ROWS)
    found = report.difference()
    middle, low, high = found.mean, found.low, found.high
    assert (found.pairs, found.is_resolved) == (3, True)
    pairs = np.subtract(report.accuracies, report.stock_accuracies)
    assert middle == pytest.approx(pairs.mean())
    assert high - middle == pytest.approx(middle - low) == pytest.approx(4.303 * pairs.std(ddof=1) / 3**0.5, rel=1e-3)
    assert (await train_on_seeds(TASK, "candidate", DATA, execute, seeds=[1])).difference() is None


def test_a_picture_is_drawn_beside_another_file_of_its_name(tmp_path):
    report = report_of((), ())
    first = draw(report, tmp_path)
    assert draw(report, tmp_path) == first
    first.write_text("mine")
    assert draw(report, tmp_path, "run_1").name == f"{first.stem}_run_1.png"
    assert draw(report, tmp_path).name == f"{first.stem}_2.png"
    assert first.read_text() == "mine"


def report_of(ours, stock, **more):
    return TrainingReport(
        task="t", dataset="d", seed=4, accuracy=0.5, stock="", stock_accuracy=0.5, wall_time=1, accuracies=ours,
        stock_accuracies=stock, **more
    )  # fmt: skip


def test_a_difference_that_the_pairs_cannot_resolve_is_called_so():
    near = report_of((0.9, 0.8, 0.85), (0.85, 0.85, 0.86))
    assert not near.difference().is_resolved
    assert "3 pairs cannot tell the two apart" in near.described()
    assert "seeds from 4 on" in near.described()
    far = report_of((0.9, 0.8), (0.5, 0.39), cross_entropies=(0.5, 0.6), stock_cross_entropies=(0.7, 0.8))
    assert "cannot tell" not in far.described()
    assert "0.550 and 0.750 nats (-0.200" in far.described()


def test_cross_entropy_is_that_of_the_softmax():
    logits = np.array([[0.0, 1.0, 2.0], [1000.0, 0.0, 0.0]])
    expected = [-np.log(np.exp(1) / np.exp([0, 1, 2]).sum()), 1000.0]
    assert cross_entropy(logits, np.array([1, 2])) == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="cannot be compared"):
        cross_entropy(logits, np.array([1]))


def npz(path, rows, classes, side=12, **more):
    x = np.random.default_rng(0).integers(0, 255, (rows, side, side, 3), dtype=np.uint8)
    np.savez(path, x_train=x, y_train=np.arange(rows) % classes, **more)
    return str(path)


def test_images_of_a_file_are_split_by_seed_and_travel_narrow(tmp_path):
    data = open_data(npz(tmp_path / "own.npz", 200, 2))
    assert (data.title, data.classes, data.synthetic) == ("own", 2, "")
    one, again, other = data.split(1), data.split(1), data.split(2)
    assert (one.train_x.shape, one.heldout_x.shape) == ((160, 3, 12, 12), (40, 3, 12, 12))
    assert one.train_x.dtype == np.float16
    assert one.epochs == MOST_EPOCHS
    assert np.array_equal(one.heldout_x, again.heldout_x)
    assert not np.array_equal(one.heldout_x, other.heldout_x)
    assert set(np.unique(one.heldout_y)) == {0, 1}


def test_rows_that_a_file_sets_apart_are_held_out_and_a_large_one_is_drawn_from(tmp_path):
    test = {"x_test": np.zeros((50, 12, 12, 3), np.uint8), "y_test": np.arange(50) % 2}
    small = open_data(npz(tmp_path / "own.npz", 200, 2, **test))
    assert len(small.split(0).heldout_y) == len(small.split(5).heldout_y) == 50
    assert np.array_equal(small.split(0).heldout_x.mean(axis=(1, 2, 3)), np.full(50, small.split(0).heldout_x[0].mean()))
    large = open_data(npz(tmp_path / "large.npz", MOST_ROWS + 1000, 2, side=4))
    split = large.split(0)
    assert len(split.train_y) + len(split.heldout_y) == MOST_ROWS
    assert large.notes == (f"{MOST_ROWS} of {MOST_ROWS + 1000} rows, drawn at random",)
    assert 2 <= split.epochs < MOST_EPOCHS


def test_numbers_to_predict_are_no_classes(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((100, 8, 8)), y=np.linspace(0, 1, 100))
    with pytest.raises(UsageError, match="a loss is tried on classes"):
        open_data(str(tmp_path / "own.npz"))


async def test_what_is_made_up_says_so_in_every_number():
    made_up = DataSet(name="mnist", classes=2, split=DATA.split, synthetic="The hub does not answer.")
    artifacts = {"curve.json": CURVE, "predictions.npy": saved(GOOD), "outputs.npy": OUTPUTS}
    report = await train_with_loss(TASK, "candidate", made_up, scripted(artifacts))
    assert report.dataset == "synthetic (mnist)"
    assert report.described().startswith("SYNTHETIC DATA. The hub does not answer.")
    assert made_up.warning.startswith("SYNTHETIC DATA.")
