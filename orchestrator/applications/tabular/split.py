"""Which rows a candidate learns from, which it is scored on, and which nobody opens before the end.

A fifth of the rows is sealed. The rest is split into folds, in which each row is held out once. Rows with the same features are
never on both sides, classes (for regression: tenths of the target) are spread evenly, and the seed is a secret of the run:
nobody can look for a split that suits him.

Source: StratifiedGroupKFold of scikit-learn, over groups of identical rows.

Left out: splits by time, and by groups that only the user knows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.table import Table
from orchestrator.errors import UsageError

Places = NDArray[np.intp]
FOLDS = 5
SEALED = 5
"""One of so many parts is sealed."""
LARGE = 5000
"""From so many rows on, the search looks at one fold: it holds enough of them."""
_BINS = 10


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to predict, as places in the table, each in an order drawn by chance."""

    train: Places
    held_out: Places


@dataclass
class Split:
    """The split of a table by a seed that no candidate knows."""

    table: Table
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    opened: int = 0
    """How often the sealed rows were asked for."""

    def __post_init__(self) -> None:
        groups = _groups(self.table)
        sealed = next(_folds(self.table, groups, np.arange(len(self.table)), SEALED, self.seed))
        self._sealed, self._rest, self._groups = sealed.held_out, sealed.train, groups

    @property
    def rest(self) -> Places:
        """All rows that are not sealed."""
        return self._rest

    def folds(self, repeat: int = 0) -> list[Fold]:
        """The rest in five folds; each `repeat` is another partition of it."""
        return list(_folds(self.table, self._groups, self._rest, FOLDS, self.seed + 1 + repeat))

    def halves(self, repeats: int = 5) -> list[Fold]:
        """The rest split in two, both ways round, `repeats` times: for paired comparisons (Dietterich 1998)."""
        seeds = (self.seed - 1 - repeat for repeat in range(repeats))
        return [fold for seed in seeds for fold in _folds(self.table, self._groups, self._rest, 2, seed % 2**32)]

    def search_folds(self) -> list[Fold]:
        """What every attempt is scored on: all folds, or one where that holds enough rows."""
        folds = self.folds()
        return folds[:1] if len(self.table) > LARGE else folds

    def open_sealed(self) -> Fold:
        """All other rows to learn from, and the sealed ones; the report says how often this was asked for."""
        self.opened += 1
        return Fold(self._rest, self._sealed)


def _groups(table: Table) -> NDArray[np.int64]:
    """A number for each row, the same for rows whose features are the same."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(table.features, index=False).to_numpy()
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def _folds(table: Table, groups: NDArray[np.int64], places: Places, count: int, seed: int) -> Iterator[Fold]:
    """Partitions of `places`.

    Raises:
        UsageError: too few different rows.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if len(np.unique(groups[places])) < 2 * count:
        raise UsageError("Most rows of the table have the same features: there is nothing to learn.", remedy="Bring other data.")
    strata = _strata(table)[places]
    rng = np.random.default_rng(seed)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    for train, held_out in splitter.split(places, strata, groups[places]):
        if not len(train) or not len(held_out):
            raise UsageError("Most rows of the table have the same features: they cannot be split.", remedy="Bring other data.")
        yield Fold(rng.permutation(places[train]), rng.permutation(places[held_out]))


def _strata(table: Table) -> NDArray[np.int64]:
    """What is to be spread evenly: classes, or tenths of the target."""
    if table.task == "classification":
        return table.y.astype(np.int64)
    edges = np.unique(np.quantile(table.y, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, table.y, side="right").astype(np.int64)
