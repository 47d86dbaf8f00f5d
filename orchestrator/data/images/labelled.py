"""Labelled rows in one form, whatever file they came from: float32, channels first, pixels from 0 to 1.

Left out: reading (`readers.py`), and any look at which rows are for training; scaling by what rows show is the split's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import UsageError
from orchestrator.types import MiB

Task = Literal["classification", "regression"]
MOST_CLASSES = 1000
MOST_BYTES = 384 * MiB
"""Of all rows together as float32: they are held in memory here, and sent into sandboxes."""
_FEW = 100
"""Whole numbers of at most so many different values are classes."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows with their labels. `test_x` and `test_y` are there where the source itself says which rows test."""

    name: str
    source: str
    """File, folder, package or address on the hub."""
    task: Task
    x: NDArray[np.float32]
    """(rows, channels, height, width) from 0 to 1, or (rows, features) as they are."""
    y: NDArray[Any]
    """(rows,): int64 places in `classes`, or float32 numbers."""
    classes: tuple[str, ...] = ()
    """Names of the classes; empty for regression."""
    test_x: NDArray[np.float32] | None = None
    test_y: NDArray[Any] | None = None
    synthetic: str = ""
    """Why these rows were made up here, in one sentence; empty for real data."""
    notes: tuple[str, ...] = ()
    """What was done to the rows on the way, for people: a part taken, a size changed."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one row: (channels, height, width) or (features,)."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """What a model puts out for a row: a logit for each class, or one number."""
        return len(self.classes) or 1

    def __len__(self) -> int:
        return len(self.x) + (0 if self.test_x is None else len(self.test_x))

    def described(self) -> str:
        """One line for people: what it is, and aloud where it is made up."""
        shape = "x".join(map(str, self.input_shape))
        what = f"{len(self.classes)} classes" if self.classes else "a number to predict"
        line = f"{self.name}: {len(self)} rows of {shape}, {what}, from {self.source}"
        return f"SYNTHETIC DATA. {self.synthetic} {line}" if self.synthetic else line


def labelled(
    name: str,
    source: str,
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    test: tuple[NDArray[Any], NDArray[Any]] | None = None,
    classes: tuple[str, ...] = (),
    task: Task | None = None,
    synthetic: str = "",
    notes: tuple[str, ...] = (),
    rows: int | None = None,
    seed: int = 0,
) -> Labelled:
    """Bring rows and labels of any usual form into ours.

    `x` is (rows, height, width), (rows, height, width, channels), (rows, channels, height, width) or (rows, features), of whole
    numbers or floats. `y` is (rows,) or (rows, 1): names, whole numbers or floats. `classes` names classes that `y` numbers.
    `task` None decides: texts, and few whole numbers, are classes. At most `rows` rows are kept, drawn by `seed`.

    Raises:
        UsageError: they do not fit each other, hold no numbers, or are too large.
    """
    parts = [(x, y)] if test is None else [(x, y), test]
    for part, labels in parts:
        if len(part) != len(labels) or not len(part):
            raise UsageError(f"{source} has {len(part)} rows and {len(labels)} labels.", remedy="Give each row one label.")
    if test is not None and test[0].shape[1:] != x.shape[1:]:
        raise UsageError(
            f"Rows for training in {source} have the shape {x.shape[1:]}, those of the test {test[0].shape[1:]}.",
            remedy="Bring both to one shape.",
        )
    parts, drawn = _drawn(parts, rows, seed)
    size = 4 * sum(part.size for part, _ in parts)
    if size > MOST_BYTES:
        raise UsageError(
            f"{source} takes {size / MiB:.0f} MiB as float32; at most {MOST_BYTES // MiB} MiB are taken.",
            remedy="Take a part of it (rows), or make its images smaller (size).",
        )
    scaled = _scaled([part for part, _ in parts], source)
    numbers, names = _labels([np.asarray(labels).reshape(len(labels), -1) for _, labels in parts], classes, task, source)
    return Labelled(
        name=name,
        source=source,
        task="classification" if names else "regression",
        x=scaled[0],
        y=numbers[0],
        classes=names,
        test_x=scaled[1] if test is not None else None,
        test_y=numbers[1] if test is not None else None,
        synthetic=synthetic,
        notes=(*notes, *drawn),
    )


def _drawn(
    parts: list[tuple[NDArray[Any], NDArray[Any]]], rows: int | None, seed: int
) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], tuple[str, ...]]:
    """At most `rows` rows, drawn at random, the same share of each part; and what is to be said of it."""
    total = sum(len(x) for x, _ in parts)
    if rows is None or rows >= total:
        return parts, ()
    rng, taken = np.random.default_rng(seed), []
    for x, y in parts:
        places = np.sort(rng.permutation(len(x))[: max(1, round(len(x) * rows / total))])
        taken.append((x[places], y[places]))
    return taken, (f"{sum(len(x) for x, _ in taken)} of {total} rows, drawn at random",)


def _scaled(parts: list[NDArray[Any]], source: str) -> list[NDArray[np.float32]]:
    if any(rows.dtype.kind not in "buif" for rows in parts):
        raise UsageError(f"The rows of {source} hold no numbers.", remedy="Write every value as a number.")
    if not 2 <= parts[0].ndim <= 4 or 0 in parts[0].shape:
        raise UsageError(
            f"Rows of {source} have the shape {parts[0].shape[1:]}.",
            remedy="Give images as (rows, height, width[, channels]), or features as (rows, features).",
        )
    low, top = min(float(rows.min()) for rows in parts), max(float(rows.max()) for rows in parts)
    # Features are left to the split, which scales by what training rows show; so are images that somebody has centred already.
    unit = 1.0 if parts[0].ndim == 2 or low < 0 or top <= 1 else 255.0 if top <= 255 else top
    made = [(_channels_first(rows).astype(np.float32) / np.float32(unit)).astype(np.float32, order="C") for rows in parts]
    if not all(np.isfinite(rows).all() for rows in made):
        raise UsageError(f"Rows of {source} hold values that are missing or infinite.", remedy="Fill or remove them.")
    return made


def _channels_first(rows: NDArray[Any]) -> NDArray[Any]:
    if rows.ndim == 3:
        return rows[:, None]
    if rows.ndim == 4 and rows.shape[1] not in (1, 3, 4) and rows.shape[3] in (1, 3, 4):
        return rows.transpose(0, 3, 1, 2)
    return rows


def _labels(
    parts: list[NDArray[Any]], classes: tuple[str, ...], task: Task | None, source: str
) -> tuple[list[NDArray[Any]], tuple[str, ...]]:
    """(rows,) labels of each part, and the names of classes."""
    if any(labels.shape[1] != 1 for labels in parts):
        raise UsageError(f"A row of {source} has several labels.", remedy="Give each row one label.")
    flat = [labels[:, 0] for labels in parts]
    every = np.concatenate(flat)
    if every.dtype.kind == "f" and not np.isfinite(every).all():
        raise UsageError(f"Labels of {source} are missing or infinite.", remedy="Remove these rows.")
    numeric = every.dtype.kind in "buif"
    if numeric and (task == "regression" or (task is None and not _few_whole(every))):
        return [labels.astype(np.float32) for labels in flat], ()
    if task == "regression":
        raise UsageError(f"Labels of {source} are texts, which no regression can predict.", remedy="Name a column of numbers.")
    if numeric and classes and (every.min() < 0 or every.max() >= len(classes)):
        raise UsageError(f"{source} names {len(classes)} classes, and labels go beyond them.", remedy="Name every class.")
    found, places = np.unique(every, return_inverse=True)
    names = tuple(f"{label:g}" if numeric else str(label) for label in found)
    if numeric and classes:
        places, names = every.astype(np.int64), classes
    if len(found) < 2 or len(found) > MOST_CLASSES:
        raise UsageError(
            f"The labels of {source} have {len(found)} different values.",
            remedy=f"Two to {MOST_CLASSES} classes can be learnt; for numbers ask for regression.",
        )
    cuts = np.cumsum([len(labels) for labels in flat])[:-1]
    return [one.astype(np.int64) for one in np.split(places.reshape(-1), cuts)], names


def _few_whole(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind == "b":
        return True
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        return False
    return len(np.unique(labels)) <= _FEW
