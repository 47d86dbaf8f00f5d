"""Whether predictions mean what they say: probabilities beside frequencies, and errors of numbers beside the prediction.

Of two classes it is the probability of the second that is looked at, of more the confidence in the predicted class. The rows are
put into bins of equal size. The expected calibration error (Naeini et al. 2015) is above zero for perfect probabilities too, so
what those would show on as many rows stands beside it (consistency resampling, Bröcker and Smith 2007).

Left out: repairing probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.metrics import Labels, Predictions
from orchestrator.applications.tabular.table import Table
from orchestrator.scoring.pass_at_k import wilson
from orchestrator.types import Value

_BINS, _FEWEST = 10, 20
"""At most so many bins, with at least so many rows in each."""
_BANDS = 5
_DRAWS = 500
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of errors that are shown."""


class Bin(Value):
    """Rows with similar probabilities."""

    rows: int
    predicted: float
    """Mean probability."""
    found: float
    """Share of the rows for which it came true."""
    low: float
    high: float
    """Wilson's 95 % interval of that share."""


class Calibration(Value):
    """Probabilities beside frequencies."""

    of: str
    """Whose probability: a class, or the predicted one."""
    rows: int
    bins: tuple[Bin, ...]
    brier: float
    """Mean squared error of the probabilities over all classes (Brier 1950): 0 is perfect, 2 the worst."""
    brier_of_shares: float
    """That of always predicting the shares of the classes among these rows."""
    error: float
    """Expected calibration error: mean distance of predicted and found over the bins, weighted by rows."""
    by_chance: float
    """What perfect probabilities would show, on average."""
    at_most: float
    """What perfect probabilities stay below in 95 % of the draws."""

    @property
    def is_off(self) -> bool:
        """Whether chance does not explain the error."""
        return self.error > self.at_most


class Spread(Value):
    """Errors, prediction minus target, of rows with similar predictions."""

    rows: int
    predicted: float
    """Mean prediction."""
    target: float
    """Mean target."""
    quantiles: tuple[float, ...]
    """Of the errors, at `SHARES`."""


class Residuals(Value):
    """Errors of a regression."""

    rows: int
    quantiles: tuple[float, ...]
    """Of prediction minus target over all rows, at `SHARES`."""
    bands: tuple[Spread, ...]
    """By fifths of the prediction."""


def calibration_of(table: Table, labels: Labels, predictions: Predictions, *, seed: int = 0) -> Calibration | None:
    """Of a classification; None where it predicts classes and no probabilities."""
    if np.isin(predictions, (0.0, 1.0)).all():
        return None
    truth = labels.astype(np.int64)
    if len(table.classes) == 2:
        of, chances, came_true = f"probability of {table.classes[1]!r}", predictions[:, 1], truth == 1
    else:
        guesses = predictions.argmax(axis=1)
        of, chances, came_true = "probability of the predicted class", predictions.max(axis=1), guesses == truth
    places = _places(chances, min(_BINS, max(1, len(chances) // _FEWEST)))
    bins = []
    for place in np.unique(places):
        inside = places == place
        rows, right = int(inside.sum()), int(came_true[inside].sum())
        low, high = wilson(right, rows)
        bins.append(Bin(rows=rows, predicted=float(chances[inside].mean()), found=right / rows, low=low, high=high))
    rng = np.random.default_rng(seed)
    drawn = [_error(places, chances, rng.random(len(chances)) < chances) for _ in range(_DRAWS)]
    one_hot = np.eye(len(table.classes))[truth]
    return Calibration(
        of=of,
        rows=len(truth),
        bins=tuple(bins),
        brier=_brier(predictions, one_hot),
        brier_of_shares=_brier(one_hot.mean(axis=0), one_hot),
        error=_error(places, chances, came_true),
        by_chance=float(np.mean(drawn)),
        at_most=float(np.quantile(drawn, 0.95)),
    )


def residuals_of(labels: Labels, predictions: Predictions) -> Residuals:
    """Of a regression."""
    errors = predictions - labels
    places = _places(predictions, min(_BANDS, max(1, len(errors) // _FEWEST)))
    bands = [
        Spread(
            rows=int((places == place).sum()),
            predicted=float(predictions[places == place].mean()),
            target=float(labels[places == place].mean()),
            quantiles=_quantiles(errors[places == place]),
        )
        for place in np.unique(places)
    ]
    return Residuals(rows=len(errors), quantiles=_quantiles(errors), bands=tuple(bands))


def _places(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The bin of each value: bins of equal size, but that equal values are in the same one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1))[1:-1])
    return np.searchsorted(edges, values, side="right")


def _error(places: NDArray[np.intp], chances: NDArray[np.float64], came_true: NDArray[np.bool_]) -> float:
    return float(np.abs(np.bincount(places, weights=chances - came_true)).sum() / len(places))


def _brier(predictions: NDArray[np.float64], one_hot: NDArray[np.float64]) -> float:
    return float(((predictions - one_hot) ** 2).sum(axis=1).mean())


def _quantiles(errors: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(float, np.quantile(errors, SHARES)))
