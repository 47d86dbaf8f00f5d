"""Where predictions are wrong, in numbers over many rows: the confusion of classes, or the error by band of the target.

What a model is shown of it is a sentence; no row, label or prediction is in it.
"""

from __future__ import annotations

import numpy as np

from orchestrator.applications.tabular.metrics import Labels, Predictions
from orchestrator.applications.tabular.table import Table
from orchestrator.types import Value

_BANDS = 5


class ClassRow(Value):
    """One class."""

    name: str
    rows: int
    found: int
    """Its rows that were predicted as such."""
    predicted: int
    """Rows that were predicted as this class."""
    taken_for: tuple[int, ...]
    """How many of its rows were predicted as each class."""

    @property
    def recall(self) -> float | None:
        """Share of its rows that were found."""
        return self.found / self.rows if self.rows else None

    @property
    def precision(self) -> float | None:
        """Share of the rows predicted as this class that are of it."""
        return self.found / self.predicted if self.predicted else None


class Band(Value):
    """Rows whose target lies between two values."""

    low: float
    high: float
    rows: int
    error: float
    """Mean absolute error."""
    bias: float
    """Mean of prediction minus target."""


def classes_of(table: Table, labels: Labels, predictions: Predictions) -> list[ClassRow]:
    """One row of the confusion matrix for each class."""
    guesses = predictions.argmax(axis=1)
    counts = np.zeros((len(table.classes), len(table.classes)), dtype=np.int64)
    np.add.at(counts, (labels.astype(np.int64), guesses), 1)
    return [
        ClassRow(
            name=name,
            rows=int(counts[place].sum()),
            found=int(counts[place, place]),
            predicted=int(counts[:, place].sum()),
            taken_for=tuple(map(int, counts[place])),
        )
        for place, name in enumerate(table.classes)
    ]


def bands_of(labels: Labels, predictions: Predictions) -> list[Band]:
    """Errors in fifths of the target."""
    edges = np.unique(np.quantile(labels, np.linspace(0, 1, _BANDS + 1)))
    places = np.clip(np.searchsorted(edges, labels, side="right") - 1, 0, max(len(edges) - 2, 0))
    bands = []
    for place in np.unique(places):
        inside = places == place
        off = predictions[inside] - labels[inside]
        bands.append(
            Band(
                low=float(labels[inside].min()),
                high=float(labels[inside].max()),
                rows=int(inside.sum()),
                error=float(np.abs(off).mean()),
                bias=float(off.mean()),
            )
        )
    return bands


def weakness(table: Table, labels: Labels, predictions: Predictions) -> str:
    """Where it is worst, in a sentence; empty where every class is found."""
    if table.classes:
        rows = [row for row in classes_of(table, labels, predictions) if row.rows]
        worst = min(rows, key=lambda row: row.found / row.rows)
        if worst.found == worst.rows:
            return ""
        wrong = [(count, name) for count, name in zip(worst.taken_for, table.classes, strict=True) if name != worst.name]
        share = worst.found / worst.rows
        return f"Worst class: of {worst.name!r} {share:.0%} are found, most others are taken for {max(wrong)[1]!r}."
    band = max(bands_of(labels, predictions), key=lambda band: band.error)
    place = f"between {band.low:.4g} and {band.high:.4g}"
    side = "too low" if band.bias < 0 else "too high"
    return f"Worst where the target lies {place}: off by {band.error:.4g} on average, mostly {side}."
