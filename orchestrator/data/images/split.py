"""Which rows train, which guide the choice, and which nobody opens before the end.

Rows that the source itself sets apart as a test are the sealed ones; otherwise a fifth is sealed here. Of the rest a fifth
validates. Classes are spread evenly, identical rows are never on both sides of a split that is made here, and all is
standardised by what training rows show: by channel for images, by feature for numbers.

Left out: folds. Networks are trained on one split and several seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.data.images.labelled import Labelled
from orchestrator.errors import UsageError
from orchestrator.types import Value

VALIDATION = TEST = 0.2
"""Shares that are held out, of training rows and of all."""
FEWEST = 10
"""Rows that a part must have to say anything."""
_BINS = 10

Places = NDArray[np.intp]


class SplitFacts(Value):
    """What is to stand beside every number that comes of a split."""

    data: str
    """Name of the data set."""
    source: str
    synthetic: str = ""
    """Why the rows are made up; empty for real ones."""
    notes: tuple[str, ...] = ()
    seed: int
    train: int
    validation: int
    test: int
    test_is_given: bool
    """Whether the source itself set the test rows apart."""
    repeated: int
    """Sealed rows that are also among those for training and validation, pixel for pixel."""


@dataclass
class Split:
    """A data set in three parts by a seed. Labels of validation and test rows are for the caller alone."""

    data: Labelled
    seed: int = 0
    validation: float = VALIDATION
    test: float = TEST
    opened: int = 0
    """How often the sealed rows were asked for."""

    def __post_init__(self) -> None:
        data = self.data
        if data.test_x is None or data.test_y is None:
            rest, sealed = _parted(data.x, data.y, np.arange(len(data.x)), self.test, self.seed)
            test_x, self._test_y = data.x[sealed], data.y[sealed]
        else:
            rest, test_x, self._test_y = np.arange(len(data.x)), data.test_x, data.test_y
        train, validation = _parted(data.x, data.y, rest, self.validation, self.seed + 1)
        for name, count in (("training", len(train)), ("validation", len(validation)), ("test", len(test_x))):
            if count < FEWEST:
                raise UsageError(
                    f"{data.name} gives {count} rows for {name}, too few to say anything.", remedy="Bring more data."
                )
        self.facts = SplitFacts(
            data=data.name,
            source=data.source,
            synthetic=data.synthetic,
            notes=data.notes,
            seed=self.seed,
            train=len(train),
            validation=len(validation),
            test=len(test_x),
            test_is_given=data.test_x is not None,
            repeated=int(np.isin(_digests(test_x), _digests(data.x[rest])).sum()),
        )
        axes = (0, 2, 3) if data.x.ndim == 4 else 0
        mean = data.x[train].mean(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
        spread = data.x[train].std(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
        spread[spread == 0] = 1.0  # what never changes
        self._test_x = (test_x - mean) / spread
        self.train_x, self.train_y = (data.x[train] - mean) / spread, data.y[train]
        """float32 (rows, *shape), and int64 classes or float32 numbers."""
        self.validation_x, self.validation_y = (data.x[validation] - mean) / spread, data.y[validation]
        """As those for training."""

    def open_test(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """The sealed rows and their labels; `opened` says how often this was asked for."""
        self.opened += 1
        return self._test_x, self._test_y

    def described(self) -> str:
        """One line for people; what is made up is said first."""
        facts = self.facts
        given = "set apart by its source" if facts.test_is_given else "sealed here"
        line = f"{self.data.described()}; {facts.train} train, {facts.validation} validate, {facts.test} test ({given})"
        said = [line, *facts.notes]
        if facts.repeated:
            said.append(f"{facts.repeated} of the {facts.test} test rows are also among the others")
        return "; ".join(said)


def _digests(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number for each row, the same for rows of the same values."""
    import pandas as pd

    return np.asarray(pd.util.hash_array(np.array([row.tobytes() for row in rows], dtype=object), categorize=False))


def _parted(x: NDArray[np.float32], y: NDArray[Any], places: Places, share: float, seed: int) -> tuple[Places, Places]:
    """`places` in two, the second with about `share` of each class; rows with the same values stay together.

    Raises:
        UsageError: a class has too few different rows.
    """
    from sklearn.model_selection import train_test_split

    _, first, groups = np.unique(_digests(x[places]), return_index=True, return_inverse=True)
    strata = _strata(y)[places][first]
    try:
        kept, held_out = train_test_split(np.arange(len(first)), test_size=share, random_state=seed % 2**32, stratify=strata)
    except ValueError as error:
        raise UsageError(
            f"The rows cannot be split: {error}", remedy="Give each class at least ten different rows, or leave it out."
        ) from error
    rng = np.random.default_rng(seed)
    return rng.permutation(places[np.isin(groups, kept)]), rng.permutation(places[np.isin(groups, held_out)])


def _strata(y: NDArray[Any]) -> NDArray[np.int64]:
    """What is to be spread evenly: classes, or tenths of the number to predict."""
    if y.dtype.kind == "i":
        return np.asarray(y, dtype=np.int64)
    edges = np.unique(np.quantile(y, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, y, side="right").astype(np.int64)
