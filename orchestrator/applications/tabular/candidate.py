"""The two forms of a candidate, as programs that a sandbox runs.

`functions`: a module with `features(df)` and `build(columns)`; our own program reads, fits and predicts. `script`: a whole
program that reads `train.csv` and `test.csv` and writes `predictions.csv`. Both get training rows with the target and other rows
without, and nothing else crosses but predictions.

Left out: what predictions are worth.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Literal

from pydantic import Field, JsonValue

from orchestrator.applications.tabular.predictions import ARRAY, CSV
from orchestrator.applications.tabular.split import Fold
from orchestrator.applications.tabular.table import Table
from orchestrator.engine.programs import sandboxed
from orchestrator.types import GiB, Limits, MiB, Program, Value

Form = Literal["functions", "script"]
LIMITS = Limits(wall_time=120, cpu_time=100, memory=2 * GiB, disk=256 * MiB, output=64 * 1024, artifacts=32 * MiB)
"""What one fit on one fold may use."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Sums in one order, so that a seed means the same everywhere; folds are fitted side by side instead."""
STAGES = "stages.json"
STAGE_NAMES = ("loaded", "fitted", "predicted")
"""How far a candidate comes, in order."""


class Candidate(Value):
    """Code that learns from a table."""

    code: str
    form: Form = "functions"
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Passed to `build` by name."""


def program(candidate: Candidate, table: Table, fold: Fold, *, seed: int) -> Program:
    """A candidate with the rows of a fold: those to learn from with their target, those to predict without.

    `seed` is what Python's and NumPy's generators begin with.
    """
    learnt, asked = table.rows(fold.train), table.rows(fold.held_out)
    files = {"train.csv": _csv(learnt, with_target=True), "test.csv": _csv(asked, with_target=False)}
    if candidate.form == "script":
        return Program(code=candidate.code, file="main.py", files=files, env=ONE_THREAD, artifacts=(CSV,))
    task = {
        "target": table.target,
        "classes": list(table.classes),
        "columns": {name: "number" if kind.kind == "f" else "text" for name, kind in table.features.dtypes.items()},
        "parameters": candidate.parameters,
        "seed": seed,
    }
    files |= {"task.json": json.dumps(task).encode(), "candidate.py": candidate.code.encode("utf-8", "replace")}
    return Program(
        code=sandboxed("orchestrator.applications.tabular", "fit_functions"),
        file="fit.py",
        files=files,
        env=ONE_THREAD,
        artifacts=(ARRAY, STAGES),
    )


def _csv(table: Table, *, with_target: bool) -> bytes:
    """The rows as CSV: UTF-8, missing values empty, numbers with all their digits."""
    frame = table.features
    if with_target:
        labels = [table.classes[place] for place in table.y] if table.classes else table.y
        frame = frame.assign(**{table.target: labels})
    text = io.StringIO()
    frame.to_csv(text, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    return text.getvalue().encode("utf-8", "replace")
