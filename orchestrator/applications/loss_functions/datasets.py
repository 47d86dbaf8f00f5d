"""What a network can be trained on with a loss: tables that ship with scikit-learn, named sets of images, or a file.

Left out: reading images (`orchestrator.data.images`), and training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.loss_functions.tasks import Inputs, LossTask
from orchestrator.data import images, tabular
from orchestrator.errors import UsageError, no_such
from orchestrator.types import MiB

NAMES = {
    "digits": 10,
    "breast_cancer": 2,
    "mnist": 10,
    "fashion-mnist": 10,
    "cifar10": 10,
    "cifar100": 100,
    "svhn": 10,
    "cats-dogs": 2,
    "synthetic": 10,
}
"""Data sets known by name, and how many classes each has. Underscores and hyphens are one."""

MOST_ROWS = 6000
"""Of images: a training then takes seconds. A larger set is drawn from at random, and that is said."""
MOST_BYTES = 48 * MiB
"""Of all images together as they travel into a sandbox, at two bytes a value."""
STEPS, BATCH = 300, 64
"""On images about so many mini-batches of so many rows are learnt from."""
MOST_EPOCHS = 20

_BINARY = (Inputs.BINARY_LOGITS, Inputs.BINARY_PROBABILITIES, Inputs.BINARY_MASK)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to train on and rows that are held out, by a seed."""

    train_x: NDArray[np.floating]
    """(rows, features) as float32, or (rows, channels, height, width) as float16; standardised by what these rows show."""
    train_y: NDArray[np.int64]
    heldout_x: NDArray[np.floating]
    heldout_y: NDArray[np.int64]
    """Stays outside every sandbox."""
    classes: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Labelled rows that were found, and can be split."""

    name: str
    classes: int
    split: Callable[[int], Split]
    """The same seed gives the same split. Held-out rows that the source sets apart itself are those of every seed."""
    synthetic: str = ""
    """Why the rows are made up; empty for real ones."""
    notes: tuple[str, ...] = ()
    """What was done to the rows on the way."""

    @property
    def title(self) -> str:
        """What its numbers are shown with."""
        if not self.synthetic or self.name.startswith("synthetic"):
            return self.name
        return f"synthetic ({self.name})"

    @property
    def warning(self) -> str:
        """What is said aloud of made-up rows, before anything is learnt from them."""
        return f"SYNTHETIC DATA. {self.synthetic} Numbers that come of it say nothing of real images."


def known_name(given: str) -> str | None:
    """How a name of `NAMES` is written here; None for any other text, such as a path."""
    return {_plain(name): name for name in NAMES}.get(_plain(given))


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def open_data(given: str, folder: Path | None = None) -> DataSet:
    """A data set by its name, or from an `.npz`, a CSV file or a folder of images. `folder` is the setting for data sets.

    Raises:
        UsageError: there is no such name or file, or it cannot be trained on.
    """
    name = known_name(given)
    if name in tabular.NAMES:
        return DataSet(name=name, classes=NAMES[name], split=lambda seed: _of_table(name, seed))
    if name is None and not Path(given).exists():
        raise _unknown(given)
    found = images.load(given, folder=folder, rows=MOST_ROWS)
    if not found.classes:
        raise UsageError(
            f"The labels of {given} are numbers, and a loss is tried on classes.", remedy="Bring rows with a class each."
        )
    epochs_of = _epochs if found.x.ndim == 4 else lambda rows: MOST_EPOCHS
    return DataSet(
        name=name or found.name,
        classes=len(found.classes),
        split=lambda seed: _of_images(found, seed, epochs_of),
        synthetic=found.synthetic,
        notes=found.notes,
    )


def check_name(given: str, tasks: list[LossTask]) -> None:
    """Refuse, before anything is loaded, what cannot be trained on with any of these losses.

    Raises:
        UsageError: there is no such data set, or it fits none of them.
    """
    name = known_name(given)
    if name is None:
        if not Path(given).exists():
            raise _unknown(given)
    elif not any(fits(task, NAMES[name]) for task in tasks):
        raise misfit(tasks[0], given, NAMES[name])


def fits(task: LossTask, classes: int) -> bool:
    """Whether a network can be trained on so many classes with this loss: one for two classes can be trained on these alone."""
    return classes == 2 or task.inputs not in _BINARY


def misfit(task: LossTask, name: str, classes: int) -> UsageError:
    """Why a loss cannot be trained on a data set, and on which it can."""
    fitting = [known for known, count in NAMES.items() if fits(task, count)]
    return UsageError(
        f"{task.name} is a loss over {task.inputs.value}, for two classes, and {name} has {classes}.",
        remedy=f"Train on {', '.join(fitting)} or an .npz with two classes; or choose a loss for any number of classes.",
    )


def _unknown(given: str) -> UsageError:
    error = no_such("data set", given, NAMES)
    return UsageError(
        f"There is no data set {given!r}, and no such file.", remedy=f"{error.remedy.rstrip('.')}; or name an .npz file."
    )


def _of_table(name: str, seed: int) -> Split:
    found = tabular.load(name, seed)
    return Split(
        train_x=found.train_x,
        train_y=found.train_y,
        heldout_x=found.heldout_x,
        heldout_y=found.heldout_y,
        classes=found.classes,
        epochs=MOST_EPOCHS,
    )


def _of_images(found: images.Labelled, seed: int, epochs_of: Callable[[int], int]) -> Split:
    """Nothing is chosen by what validation shows, so those rows train too; the sealed ones are held out."""
    split = images.Split(found, seed)
    x, y = np.concatenate([split.train_x, split.validation_x]), np.concatenate([split.train_y, split.validation_y])
    heldout_x, heldout_y = split.open_test()
    kept = min(1.0, MOST_BYTES / (2 * (x.size + heldout_x.size)))
    rng = np.random.default_rng(seed)
    train, held = (np.sort(rng.permutation(len(rows))[: max(1, int(kept * len(rows)))]) for rows in (x, heldout_x))
    narrow = np.float16 if x.ndim == 4 else np.float32
    return Split(
        train_x=x[train].astype(narrow),
        train_y=y[train],
        heldout_x=heldout_x[held].astype(narrow),
        heldout_y=heldout_y[held],
        classes=len(found.classes),
        epochs=epochs_of(len(train)),
    )


def _epochs(rows: int) -> int:
    return max(2, min(MOST_EPOCHS, round(STEPS * BATCH / rows)))
