"""The notebooks run from their first cell to their last, on a scripted model and a few made images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks
import numpy as np
import pytest
from chat_server import serving

SCRIPT = Path(notebooks.__file__)
HEAD = "```python\nimport torch\nimport torch.nn.functional as F\n\n\ndef loss(pred, target):\n    return "
WRONG = {"binary": f"{HEAD}-(target * torch.sigmoid(pred).log()).mean()\n```", "": f"{HEAD}F.softmax(pred, 1).log().mean()\n```"}
RIGHT = {
    "binary": f"{HEAD}F.binary_cross_entropy_with_logits(pred, target)\n```",
    "": f"{HEAD}F.cross_entropy(pred, target)\n```",
}


def answered(request, number):
    """The first answers are wrong where the notebook is about a wrong one, and what corrects them is right."""
    prompt = request["messages"][-1]["content"]
    kind = "binary" if "binary classification" in prompt else ""
    return (WRONG if "written out" in prompt and "This answer is wrong" not in prompt else RIGHT)[kind]


def few_images(folder):
    rng = np.random.default_rng(0)
    for name, shape, classes in (("mnist", (28, 28), 10), ("cifar10", (32, 32, 3), 10), ("cats_dogs", (64, 64, 3), 2)):
        y = np.arange(80) % classes
        np.savez(folder / f"{name}.npz", x=rng.integers(0, 255, (80, *shape), dtype=np.uint8), y=y)


@pytest.mark.parametrize("names", [tuple(notebooks.NOTEBOOKS)], ids=["all"])
def test_every_notebook_runs_and_says_what_was_measured(names, tmp_path):
    few_images(tmp_path)
    with serving(answered) as model:
        settings = {"FUMEHOOD_BASE_URL": model.url, "FUMEHOOD_DATA": str(tmp_path), "FUMEHOOD_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *names, "--pairs", "2", "--out", str(tmp_path / "out")],
            env={**os.environ, **settings, "PYTHONPATH": str(SCRIPT.parent.parent)},
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        notebook = nbformat.read(tmp_path / "out" / f"{name}.ipynb", as_version=4)
        said = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
        assert "means of 2 pairs" in said
        assert "95 % interval" in said
        assert "SYNTHETIC" not in said
        if name.startswith("wrong-loss"):
            assert "--- wrong" in said
            assert "The accepted one." in said
        else:
            assert "image/png" in said
