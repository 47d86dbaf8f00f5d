"""Training with a loss inside real sandboxes; held-out labels outside."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.applications.loss_functions.datasets import MOST_EPOCHS, open_data
from orchestrator.applications.loss_functions.tasks import builtin_tasks, custom_task
from orchestrator.applications.loss_functions.training import train_with_loss, training_program
from orchestrator.types import Program, Status

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
TASKS = builtin_tasks()
DIGITS, CANCER = open_data("digits"), open_data("breast_cancer")
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
    report = await train_with_loss(task, task.reference, DIGITS, engine.execute, out=tmp_path)
    assert report.failure == ""
    assert report.accuracy > 0.9
    assert report.stock_accuracy > 0.9
    assert 0 < report.stock_cross_entropies[0] < report.cross_entropies[0] < 0.5  # smoothed labels are less sure of themselves
    assert report.stock == "F.cross_entropy(logits, targets)"
    assert len(report.accuracy_curve) == len(report.loss_curve) == len(report.stock_accuracy_curve) == MOST_EPOCHS
    assert report.loss_curve[-1] < report.loss_curve[0]
    assert report.wall_time > 0
    assert report.picture.parent == tmp_path
    assert report.picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", TASKS)
async def test_every_builtin_loss_trains_a_network(once, name):
    task = TASKS[name]
    report = await train_with_loss(task, task.reference, CANCER, once)
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
    assert (await train_with_loss(task, code, CANCER, once)).accuracy > 0.85


async def test_the_same_loss_and_seed_give_the_stock_result(engine):
    task = custom_task("multiclass", "loss(pred, target)")
    code = f"{HEAD}def loss(pred, target): return F.cross_entropy(pred, target)"
    report = await train_with_loss(task, code, CANCER, engine.execute, seed=3)
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
        ("import os; os._exit(0)", "ended the process that it ran in"),
        ("raise SystemExit", "ended the process that it ran in"),
    ],
)
async def test_a_loss_that_cannot_train_is_a_failed_training(once, body, failure):
    task = TASKS["focal"]
    report = await train_with_loss(task, f"{HEAD}def {task.signature}:\n    {body}", CANCER, once)
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
        json.dump({{"losses": [0.5] * {MOST_EPOCHS}, "failure": ""}}, file)
    os._exit(0)
"""
    report = await train_with_loss(TASKS["focal"], code, CANCER, once)
    assert report.failure == "The loss ended the process that it ran in."
    assert report.accuracy is None


CHEATS = {
    "patches torch": """
import torch.nn.functional
torch.Tensor.argmax = lambda self, *args, **options: torch.zeros(len(self), dtype=torch.long)
torch.nn.Linear.forward = lambda self, x: 1 / 0
torch.Tensor.backward = lambda *args, **options: None
""",
    "trains longer": """
import __main__
__main__.CONFIG.update(epochs=1000, batch=1, learning_rate=0.5)
""",
    "prints": """
print('{"accuracy": 1.0}')
""",
}


@pytest.mark.parametrize("cheat", CHEATS)
async def test_what_a_loss_does_beside_its_value_gains_nothing(once, cheat):
    task = custom_task("a multiclass loss", "loss(pred, target)")
    honest = f"{HEAD}def loss(pred, target): return F.cross_entropy(pred, target)\n"
    report = await train_with_loss(task, honest + CHEATS[cheat], CANCER, once)
    assert report.failure == ""
    assert report.accuracy_curve == report.stock_accuracy_curve
    assert report.cross_entropies == report.stock_cross_entropies


async def test_a_loss_sees_neither_rows_nor_the_trainer(once):
    code = f"""{HEAD}
import os, sys
def loss(pred, target):
    seen = [name for name in os.listdir(".") if name.endswith(".npy")]
    frame, held = sys._getframe(), []
    while frame is not None:
        held += [name for name in frame.f_locals if name in ("x", "y", "net", "heldout")]
        frame = frame.f_back
    try:
        open(f"/proc/{{os.getppid()}}/mem", "rb").close()
        seen.append("memory")
    except OSError:
        pass
    raise ValueError(f"seen: {{seen + held}}")
"""
    report = await train_with_loss(custom_task("a multiclass loss", "loss(pred, target)"), code, CANCER, once)
    assert report.failure == "ValueError: seen: []"


async def test_a_convolutional_network_is_trained_on_images(once, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 2
    x = rng.normal(size=(240, 12, 12)) + 1.5 * y[:, None, None] * (np.arange(12) > 5)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    report = await train_with_loss(TASKS["focal"], TASKS["focal"].reference, open_data(str(tmp_path / "own.npz")), once)
    assert report.failure == ""
    assert report.accuracy > 0.9
    assert report.data == "192 rows of 1x12x12 to train on, 48 held out, 20 epochs"


@pytest.mark.parametrize(("name", "data"), [("digits", DIGITS), ("breast_cancer", CANCER)])
async def test_the_sandbox_never_gets_the_held_out_labels(engine, name, data):
    split = data.split(0)
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
    report = await train_with_loss(task, code, DIGITS, engine.execute)
    assert "FileNotFoundError" in report.failure
    assert report.accuracy is None
