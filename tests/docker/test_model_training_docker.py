"""Models trained inside real sandboxes: one that learns, and many that look for a shortcut."""

from __future__ import annotations

import pytest

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.seeds import alike, train_on_seeds
from orchestrator.applications.model_research.training import TrainingOptions, open_test, train
from orchestrator.data.images import Split, load

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
HEAD = "import torch\nfrom torch import nn\n"
CNN = f"""{HEAD}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
        )

    def forward(self, x):
        return self.layers(x)
"""
MLP = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {made}
        self.layer = nn.Linear(64, 10)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        out = self.layer(x.flatten(1))
        {body}
        return out
"""
TWO = TrainingOptions(epochs=2, learning_rate=3e-3)
SMALL = Split(load("digits", rows=500))
CHANCE = 0.35
"""What no guessing for a hundred rows of ten classes reaches."""


def model(code):
    return ModelSource(code=code, class_name="Net", input_shape=(1, 8, 8), outputs=10)


def small(head="", made="", body=""):
    return model(HEAD + head + MLP.format(made=made or "pass", body=body or "pass"))


async def test_a_small_cnn_learns_digits_and_two_seeds_differ(engine):
    split = Split(load("digits"))
    options = TrainingOptions(epochs=3, learning_rate=3e-3)
    first, second = await train_on_seeds(model(CNN), split, engine.execute, [0, 1], options=options)
    for one in (first, second):
        assert one.record.failure == ""
        assert one.record.value > 0.9
        assert one.record.epochs[0].value < 0.3
        assert one.record.parameters == 9962
        assert 0 < len(one.weights) < 100_000
    assert alike([first, second]) == ""
    tested = await open_test({"cnn": [first, second]}, split, engine.execute)
    assert min(tested.by_name["cnn"].values) > 0.85
    assert tested.by_name["cnn"].warnings == ()
    assert split.opened == 1


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ({"body": "if self.calls > 12: raise ValueError('not today')"}, "ValueError: not today"),
        ({"body": "out = out * float('nan')"}, "The loss became nan in epoch 1"),
        ({"body": "import os; os._exit(0)"}, "ended before its training was over"),
        ({"body": "import sys; sys.exit(0)"}, "ended before its training was over"),
        ({"body": "out = out[:, :3]"}, "returned the shape"),
        ({"body": "return out.tolist()"}, "returned list instead of a tensor"),
        ({"body": "out = out.detach()"}, "does not require grad"),
        ({"head": "import numpy\nnumpy.save = lambda *_: None\n"}, "wrote no predictions.npy"),
        ({"head": "from sklearn.datasets import load_digits\nload_digits()\n"}, "FileNotFoundError"),
        ({"made": "self.rest = nn.Parameter(torch.zeros(1)); raise KeyError('built')"}, "KeyError"),
    ],
)
async def test_a_model_that_cannot_be_trained_is_a_failure_of_its_own(engine, case, failure):
    record = (await train(small(**case), SMALL, engine.execute, options=TWO)).record
    assert failure in record.failure
    assert record.value is None


FORGED = """
import json, os
import numpy as np
rows, known = len(np.load("validation_x.npy")), len(np.load("train_x.npy"))
def sure(count):
    return np.tile(np.eye(10, dtype=np.float32)[np.arange(count) % 10] * 20, (3, 1, 1))
np.save("predictions.npy", sure(rows))
np.save("training.npy", sure(known))
log = {"failure": "", "trace": "", "stopped": False, "parameters": 1, "initial": "", "losses": [0.0, 0.0], "seconds": [0.0, 0.0]}
open("log.json", "w").write(json.dumps(log))
print("validation accuracy: 1.0")
os._exit(0)
"""


@pytest.mark.parametrize(
    "case",
    [
        {"head": FORGED},
        {"body": "print('accuracy 1.0'); out = out * 0 + torch.eye(10)[3]"},
        {"body": "out = out * 0 + torch.randn_like(out)"},
        {"head": "nn.functional.cross_entropy = lambda out, y: out.sum() * 0\n"},
    ],
)
async def test_a_shortcut_is_worth_what_it_predicts(engine, case):
    record = (await train(small(**case), SMALL, engine.execute, options=TWO)).record
    assert record.failure == ""
    assert record.value < CHANCE


async def test_what_patches_an_optimiser_changes_nothing_and_a_seed_of_its_own_is_seen(engine):
    patched = small(head="import torch.optim\ntorch.optim.AdamW = None\n", made="torch.manual_seed(3)")
    trainings = await train_on_seeds(patched, SMALL, engine.execute, [0, 1], options=TWO)
    assert [one.record.failure for one in trainings] == ["", ""]
    assert all(one.record.value > CHANCE for one in trainings)
    assert "begin with the same weights" in alike(trainings)


async def test_a_slow_training_is_stopped_and_scored_as_it_is(engine):
    slow = small(body="import time; time.sleep(0.3 if self.training else 0)")
    record = (await train(slow, SMALL, engine.execute, options=TWO.model_copy(update={"seconds": 0.5}))).record
    assert record.failure == ""
    assert record.stopped
    assert len(record.epochs) == 2
    assert record.warnings[-1] == "It was stopped after 0.5 s, in epoch 1."


async def test_labels_of_other_rows_teach_nothing(engine):
    record = (await train(small(), SMALL, engine.execute, options=TWO, shuffled_labels=True)).record
    assert record.value < CHANCE
