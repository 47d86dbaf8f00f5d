"""Fit what a candidate builds, and predict rows whose target is not here.

Runs inside the sandbox as text. Reads `task.json`, `train.csv`, `test.csv` and the module `candidate`, which defines
`features(df)` (optional) and `build(columns, **parameters)`; writes `predictions.npy` and `stages.json`.
"""

import inspect
import json
import random
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TASK = json.loads(Path("task.json").read_text())
STAGES: dict[str, Any] = {"reached": [], "failure": "", "traceback": ""}


class Failed(Exception):
    """The candidate did something else than was asked; the message says what."""


def reached(stage: str) -> None:
    """Note how far it came, for a process that is killed later."""
    STAGES["reached"].append(stage)
    Path("stages.json").write_text(json.dumps(STAGES))


def read(name: str) -> pd.DataFrame:
    """A table as it was sent: numbers as float64, texts as str, nothing guessed."""
    kinds = {column: str if kind == "text" else np.float64 for column, kind in TASK["columns"].items()}
    if name == "train.csv":
        kinds[TASK["target"]] = str if TASK["classes"] else np.float64
    return pd.read_csv(name, dtype=kinds, keep_default_na=False, na_values=[""], float_precision="round_trip")


def transformed(candidate: Any, frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """The features of rows."""
    function = getattr(candidate, "features", None)
    if function is None:
        return frame
    found = function(frame.copy())
    if not isinstance(found, pd.DataFrame):
        raise Failed(f"features(df) returned {type(found).__name__} instead of a DataFrame.")
    if len(found) != len(frame):
        raise Failed(f"features(df) returned {len(found)} rows for {len(frame)} {what} rows: keep every row.")
    if found.columns.duplicated().any():
        raise Failed(f"features(df) made two columns of one name: {found.columns[found.columns.duplicated()][0]!r}.")
    return found.reset_index(drop=True)


def built(candidate: Any, columns: list[str]) -> Any:
    """The estimator, with the parameters that are asked for."""
    build = getattr(candidate, "build", None)
    if build is None:
        raise Failed("There is no function build(columns).")
    wanted = TASK["parameters"]
    if wanted and not inspect.signature(build).parameters.keys() & wanted.keys():
        raise Failed(f"build takes none of the parameters {', '.join(wanted)}.")
    estimator = build(columns, **wanted)
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        raise Failed(f"build(columns) returned {type(estimator).__name__}, which has no fit and predict.")
    return estimator


def predicted(estimator: Any, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """(rows, classes) probabilities in the order of the task's classes, or (rows,) numbers."""
    classes: list[str] = TASK["classes"]
    if not classes:
        return np.asarray(estimator.predict(rows), dtype=np.float64).reshape(len(rows))
    places = {name: place for place, name in enumerate(classes)}
    found = np.zeros((len(rows), len(classes)))
    if hasattr(estimator, "predict_proba"):
        known = [places[str(name)] for name in estimator.classes_]
        found[:, known] = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    else:
        found[np.arange(len(rows)), [places[str(name)] for name in estimator.predict(rows)]] = 1.0
    return found


def main() -> None:
    """Fit and predict; what goes wrong stands in `stages.json`."""
    train, test = read("train.csv"), read("test.csv")
    target = train.pop(TASK["target"])
    random.seed(TASK["seed"])
    np.random.seed(TASK["seed"])
    sys.path.insert(0, str(Path.cwd()))
    try:
        import candidate  # type: ignore[import-not-found,unused-ignore]

        learnt, asked = transformed(candidate, train, "training"), transformed(candidate, test, "test")
        missing = [str(column) for column in learnt.columns if column not in asked.columns]
        if missing:
            raise Failed(f"features(df) makes {missing[0]!r} of training rows and not of test rows.")
        asked = asked[list(learnt.columns)]
        reached("loaded")
        estimator = built(candidate, [str(column) for column in learnt.columns])
        estimator.fit(learnt, target)
        reached("fitted")
        found = predicted(estimator, asked)
        np.save("predictions.npy", found)
        reached("predicted")
    except Failed as failure:
        STAGES["failure"] = str(failure)
    except Exception as error:
        STAGES["failure"] = f"{type(error).__name__}: {error}"[:2000]
        STAGES["traceback"] = "".join(traceback.format_exception(error))[-4000:]
    Path("stages.json").write_text(json.dumps(STAGES))


if __name__ == "__main__":
    main()
