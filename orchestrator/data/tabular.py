"""Two small labelled data sets that ship with scikit-learn, split for training and for a held-out test.

The held-out labels are for the caller alone; the sandbox image does not contain these data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import no_such

NAMES = ("digits", "breast_cancer")


@dataclass(frozen=True)
class Split:
    """One data set, split at random within each class; features are standardised by what the training part shows."""

    name: str
    classes: int
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    heldout_x: NDArray[np.float32]
    heldout_y: NDArray[np.int64]
    """Stays outside every sandbox."""


def load(name: str, seed: int = 0) -> Split:
    """A data set with 30 % held out; the same seed gives the same split.

    digits: 1797 images of 8x8 pixels, 10 classes. breast_cancer: 569 rows of 30 numbers, 2 classes.

    Raises:
        UsageError: there is no data set of that name.
    """
    if name not in NAMES:
        raise no_such("data set", name, NAMES)
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    loaders: dict[str, Any] = {"digits": datasets.load_digits, "breast_cancer": datasets.load_breast_cancer}
    x, y = loaders[name](return_X_y=True)
    train_x, heldout_x, train_y, heldout_y = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    mean, spread = train_x.mean(axis=0), train_x.std(axis=0)
    spread[spread == 0] = 1.0  # pixels that are always blank
    return Split(
        name=name,
        classes=int(y.max()) + 1,
        train_x=((train_x - mean) / spread).astype(np.float32),
        train_y=train_y.astype(np.int64),
        heldout_x=((heldout_x - mean) / spread).astype(np.float32),
        heldout_y=heldout_y.astype(np.int64),
    )
