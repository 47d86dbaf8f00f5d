"""Networks in real sandboxes: what the assembler says of them is what PyTorch does, and the smoke test lets no broken one through."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from network_configs import network

from orchestrator.applications.model_research.assemble import assemble_model_code, layer_shapes, model_source
from orchestrator.applications.model_research.layers import LAYERS
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.smoke import LIMITS, smoke
from orchestrator.applications.model_research.summary import summarise
from orchestrator.types import Limits, MiB, Program, Status

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
RUN_ALL = """
import json
import torch

torch.set_num_threads(1)
shapes = {}
for name, (code, shape) in json.load(open("networks.json")).items():
    space = {"__name__": name}
    exec(compile(code, name, "exec"), space)
    net = space[name]()
    found = [list(net.eval()(torch.randn(rows, *shape)).shape) for rows in (1, 3)]
    found.append(list(net.train()(torch.randn(3, *shape)).shape))
    shapes[name] = found
json.dump(shapes, open("shapes.json", "w"))
"""
DIGITS = {
    "class_name": "DigitNet",
    "input_shape": (1, 8, 8),
    "layers": [
        {"type": "Conv2d", "out_channels": 16},
        {"type": "BatchNorm2d"},
        {"type": "ReLU"},
        {"type": "MaxPool2d"},
        {"type": "Flatten"},
        {"type": "Dropout", "p": 0.25},
        {"type": "Linear", "out_features": 10},
    ],
}
HEAD = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
PLAIN = f"""{HEAD}
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, x):
        return self.body(x)
"""
SHORT = LIMITS.model_copy(update={"cpu_time": 3.0})


async def test_every_type_of_layer_gives_in_pytorch_what_was_inferred(engine):
    configs = [network(seed) for seed in range(300)]
    assert {row.kind for config in configs for row in layer_shapes(config)} == set(LAYERS)
    sources = {config["class_name"]: (assemble_model_code(config), config["input_shape"]) for config in configs}
    program = Program(code=RUN_ALL, files={"networks.json": json.dumps(sources).encode()}, artifacts=("shapes.json",))
    limits = Limits(wall_time=180, cpu_time=120, memory=1024 * MiB)
    result = await engine.execute(program, limits)
    assert result.status is Status.OK, result.stderr
    found = json.loads(result.artifacts["shapes.json"])
    for config in configs:
        gives = [row.gives for row in layer_shapes(config) if not row.depth][-1]
        assert found[config["class_name"]] == [[rows, *gives] for rows in (1, 3, 3)], config


async def test_a_good_network_passes_and_is_measured(engine):
    report = await smoke(model_source(DIGITS), engine.execute)
    assert report.failure == ""
    assert report.passed
    assert report.reached == ("imported", "built", "forward", "backward", "learnt")
    assert report.parameters == (9 + 1) * 16 + 2 * 16 + 16 * 4 * 4 * 10 + 10
    assert len(report.losses) == 50
    assert min(report.losses) < report.goal < report.losses[0]
    assert report.unused == ()
    assert 0 < report.step_seconds * 50 < report.wall_time
    assert report.cpu_time > 0
    assert report.memory_peak > 10 * MiB


async def test_numbers_are_learnt_as_classes_are(engine):
    report = await smoke(ModelSource(PLAIN.replace("32, 3", "32, 1"), "Net", (6,), 1), engine.execute)
    assert report.failure == ""


@pytest.mark.parametrize(
    ("old", "new", "failure"),
    [
        ("return self.body(x)", "return self.body(x) * float('nan')", "not finite"),
        ("return self.body(x)", "return self.body(x)[:, :2]", "returned the shape (5, 2) for (5, 6): it must be (5, 3)"),
        ("return self.body(x)", "return self.body(x).squeeze()", "returned the shape (3,) for (1, 6): it must be (1, 3)"),
        ("return self.body(x)", "return self.body(x).double()", "torch.float64 instead of torch.float32"),
        ("return self.body(x)", "return self.body(x).tolist()", "returned list instead of a tensor"),
        ("return self.body(x)", "return self.body(x - x.mean(0))", "depends on the other rows of its batch"),
        ("return self.body(x)", "return nn.functional.dropout(self.body(x), 0.5)", "different outputs for the same rows"),
        ("return self.body(x)", "return self.body(x.detach() * 0)", "cannot learn 16 rows by heart"),
        ("return self.body(x)", "return self.body(x).detach()", "does not require grad"),
        ("return self.body(x)", "raise KeyError('not today')", "KeyError: 'not today'"),
        ("return self.body(x)", "import os; os._exit(0)", "ended the test before its end"),
        ("return self.body(x)", "import os; os._exit(3)", "It ended the process while it was given rows"),
        ("nn.Linear(6, 32)", "nn.Linear(6, 8_000_000)", "parameters, more than the 20,000,000 that are allowed"),
        ("self.body = nn.Sequential(", "self.body = (lambda *layers: lambda x: layers[0](x)[:, :3])(", "no parameters to learn"),
        ("super().__init__()", "super().__init__()\n        raise SystemExit('enough')", "ended the process while it was built"),
    ],
)
async def test_a_broken_network_does_not_pass_and_it_is_said_why(engine, old, new, failure):
    report = await smoke(ModelSource(PLAIN.replace(old, new, 1), "Net", (6,), 3), engine.execute)
    assert not report.passed
    assert failure in report.failure


async def test_a_constructor_that_never_ends_is_stopped(engine):
    code = PLAIN.replace("super().__init__()", "super().__init__()\n        while True:\n            pass", 1)
    report = await smoke(ModelSource(code, "Net", (6,), 3), engine.execute, limits=SHORT)
    assert not report.passed
    assert report.status is Status.TIMED_OUT_CPU
    assert report.reached == ("imported",)
    assert "stopped while it was built" in report.failure


async def test_memory_without_end_is_stopped(engine):
    code = PLAIN.replace(
        "super().__init__()", "super().__init__()\n        self.kept = [torch.ones(2**24) for _ in range(10**6)]", 1
    )
    report = await smoke(
        ModelSource(code, "Net", (6,), 3), engine.execute, limits=LIMITS.model_copy(update={"memory": 512 * MiB})
    )
    assert not report.passed
    assert report.status is Status.MEMORY_EXCEEDED


async def test_a_forged_report_can_say_go_on_and_nothing_of_the_meters(engine):
    forged = {
        "reached": ["imported", "built", "forward", "backward", "learnt"],
        "failure": "",
        "traceback": "",
        "parameters": 1,
        "unused": [],
        "losses": [1.0],
        "goal": 0.5,
        "step_seconds": 0.0,
    }
    code = f"import json, os\nopen('smoked.json', 'w').write(json.dumps({forged!r}))\nos._exit(0)\n"
    report = await smoke(ModelSource(code, "Net", (6,), 3), engine.execute)
    assert report.passed
    assert report.wall_time > 0
    assert report.memory_peak > 1 * MiB


async def test_a_summary_has_parameters_multiply_adds_and_shapes(engine):
    summary = await summarise(model_source(DIGITS), engine.execute)
    assert summary.failure == ""
    assert summary.parameters == summary.trainable == (9 + 1) * 16 + 2 * 16 + 16 * 4 * 4 * 10 + 10
    convolution = next(layer for layer in summary.layers if layer.name == "conv1")
    assert (convolution.kind, convolution.takes, convolution.gives) == ("Conv2d", (1, 1, 8, 8), (1, 16, 8, 8))
    assert convolution.multiply_adds == (9 + 1) * 16 * 64
    assert summary.multiply_adds == sum(layer.multiply_adds for layer in summary.layers)
    assert "conv1" in summary.text
    assert "Total params" in summary.text


async def test_a_network_that_does_not_run_has_no_summary(engine):
    summary = await summarise(ModelSource(PLAIN.replace("6, 32", "7, 32"), "Net", (6,), 3), engine.execute)
    assert "runtime_error" in summary.failure
    assert summary.text == ""
