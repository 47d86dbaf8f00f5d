"""The notebooks run from their first cell to their last, on recorded answers in place of a model and on a few made images."""

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


@pytest.fixture
def model():
    """A server that answers what the recorded model answered, by seed."""
    kept = json.loads((notebooks.FOLDER / notebooks.ANSWERS).read_text())
    by_seed = {seed: text for answers in kept.values() for seed, text in answers.items()}
    with serving(lambda request, number: by_seed.get(str(request.get("seed")), "There is no such answer.")) as server:
        yield server


def few_images(folder):
    rng = np.random.default_rng(0)
    for name, shape, classes in (("mnist", (28, 28), 10), ("cifar10", (32, 32, 3), 10), ("cats_dogs", (64, 64, 3), 2)):
        y = np.arange(200) % classes
        np.savez(folder / f"{name}.npz", x=rng.integers(0, 255, (200, *shape), dtype=np.uint8), y=y)


def test_every_notebook_runs_and_says_what_was_measured(model, tmp_path):
    few_images(tmp_path)
    settings = {"FUMEHOOD_BASE_URL": model.url, "FUMEHOOD_DATA": str(tmp_path), "FUMEHOOD_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--pairs", "2", "--out", str(tmp_path / "out")],
        env={**os.environ, **settings, "PYTHONPATH": str(SCRIPT.parent.parent)},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in notebooks.NOTEBOOKS:
        notebook = nbformat.read(tmp_path / "out" / f"{name}.ipynb", as_version=4)
        said = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
        assert "means of 2 pairs" in said or "failed:" in said
        assert "95 % interval" in said
        assert "SYNTHETIC" not in said
    assert model.requests
