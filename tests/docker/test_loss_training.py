"""Training with a loss inside real sandboxes; held-out labels outside."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.applications.loss_functions.tasks import builtin_tasks, custom_task
from orchestrator.applications.loss_functions.training import EPOCHS, train_with_loss, training_program
from orchestrator.data import tabular
from orchestrator.types import Program, Status

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
TASKS = builtin_tasks()
HEAD = "import torch\nimport torch.nn.functional as F\n"


@pytest.fixture(scope="module")
def once(engine):
    """Executes; the same training of a stock loss only once, since its seed fixes everything."""
    known = {}

    async def execute(program, limits):
        key = program.model_dump_json()
        if key not in known:
            known[key] = await engine.execute(program, limits)
        return known[key]

    return execute


async def test_a_good_loss_trains_as_well_as_the_stock_loss_and_is_drawn(engine, tmp_path):
    task = TASKS["label_smoothing"]
    report = await train_with_loss(task, task.reference, "digits", engine.execute, out=tmp_path)
    assert report.failure == ""
    assert report.accuracy > 0.9
    assert report.stock_accuracy > 0.9
    assert report.stock == "F.cross_entropy(logits, targets)"
    assert len(report.accuracy_curve) == len(report.loss_curve) == len(report.stock_accuracy_curve) == EPOCHS
    assert report.loss_curve[-1] < report.loss_curve[0]
    assert report.wall_time > 0
    assert report.picture.parent == tmp_path
    assert report.picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", TASKS)
async def test_every_builtin_loss_trains_a_network(once, name):
    task = TASKS[name]
    report = await train_with_loss(task, task.reference, "breast_cancer", once)
    assert report.failure == ""
    assert report.accuracy > 0.85  # the more frequent class alone would be right in 0.63


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("binary_probabilities", "F.binary_cross_entropy(pred, target)"),
        ("positive_regression", "((pred - target).abs() / target).mean()"),
    ],
)
async def test_the_other_kinds_of_input_train_too(once, kind, body):
    task = custom_task("a loss", "loss(pred, target)", inputs=kind)
    code = f"{HEAD}def loss(pred, target): return {body}"
    assert (await train_with_loss(task, code, "breast_cancer", once)).accuracy > 0.85


async def test_the_same_loss_and_seed_give_the_stock_result(engine):
    task = custom_task("multiclass", "loss(pred, target)")
    code = f"{HEAD}def loss(pred, target): return F.cross_entropy(pred, target)"
    report = await train_with_loss(task, code, "breast_cancer", engine.execute, seed=3)
    assert report.accuracy_curve == report.stock_accuracy_curve
    assert report.loss_curve == report.stock_loss_curve


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("return (logits * float('nan')).sum()", "became nan in epoch 1"),
        ("return (logits * 0).sum() + 1", "constant: its gradient is zero"),
        ("return logits.detach().sum()", "constant: it has no gradient"),
        ("return logits", "no scalar"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("import os; os._exit(0)", "wrote no curve.json"),
    ],
)
async def test_a_loss_that_cannot_train_is_a_failed_training(once, body, failure):
    task = TASKS["focal"]
    report = await train_with_loss(task, f"{HEAD}def {task.signature}:\n    {body}", "breast_cancer", once)
    assert failure in report.failure
    assert report.accuracy is None
    assert report.accuracy_curve == ()
    assert report.stock_accuracy > 0.85


async def test_a_forged_artefact_is_no_accuracy(once):
    code = f"""
import json, os, pickle
def focal_loss(logits, targets):
    with open("predictions.npy", "wb") as file:
        file.write(pickle.dumps([1, 2, 3]))
    with open("curve.json", "w") as file:
        json.dump({{"losses": [0.5] * {EPOCHS}, "failure": ""}}, file)
    os._exit(0)
"""
    report = await train_with_loss(TASKS["focal"], code, "breast_cancer", once)
    assert report.failure == "The predictions were refused. It is not a NumPy .npy file."
    assert report.accuracy is None


@pytest.mark.parametrize("name", tabular.NAMES)
async def test_the_sandbox_never_gets_the_held_out_labels(engine, name):
    split = tabular.load(name)
    program = training_program(TASKS["label_smoothing"], "", split, 0)
    labels = split.heldout_y
    for dtype in (np.int64, np.int32, np.int8, np.float32, np.float64):
        assert not any(labels.astype(dtype).tobytes() in content for content in program.files.values())
    loaded = await engine.execute(Program(code=f"from sklearn.datasets import load_{name}\nprint(load_{name}().target)"))
    assert loaded.status is Status.RUNTIME_ERROR
    assert "FileNotFoundError" in loaded.stderr


async def test_a_loss_that_looks_for_the_labels_finds_none(engine):
    task = TASKS["label_smoothing"]
    code = f"{HEAD}from sklearn.datasets import load_digits\nlabels = load_digits().target\ndef {task.signature}: return F.cross_entropy(logits, targets)"
    report = await train_with_loss(task, code, "digits", engine.execute)
    assert "FileNotFoundError" in report.failure
    assert report.accuracy is None
