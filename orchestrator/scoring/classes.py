"""What predictions are worth in detail: each class, averages over classes, the confusion matrix; or the errors of numbers.

What is not defined is None, never 0: the precision of a class that nothing was taken for, an area under a curve where a class has
no rows. An average over classes of which one is not defined is not defined either.

Left out: intervals (`metrics.interval`), and one number that decides (`metrics.METRICS`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.scoring.metrics import METRICS, Labels, Predictions
from orchestrator.types import Value


class ClassScores(Value):
    """One class against the rest."""

    name: str
    rows: int
    """Rows of this class."""
    predicted: int
    """Rows that were taken for it."""
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    """Area under precision and recall."""


class Averages(Value):
    """Over the classes."""

    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None


class Classified(Value):
    """Predictions of classes."""

    rows: int
    accuracy: float
    balanced_accuracy: float
    log_loss: float
    macro: Averages
    """Every class counts the same."""
    weighted: Averages
    """A class counts by its rows."""
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows of each class (first index) by what they were taken for (second)."""

    @property
    def is_constant(self) -> bool:
        """Whether all rows were taken for one class."""
        return sum(one.predicted > 0 for one in self.classes) == 1


class Estimated(Value):
    """Predictions of numbers."""

    rows: int
    mae: float
    """Mean absolute error, in units of the target."""
    rmse: float
    """Root mean squared error, in units of the target."""
    r2: float | None
    """Share of the variance that is explained; None where the labels are all the same."""
    is_constant: bool
    """Whether all rows got the same number."""


def scores_of(labels: Labels, predictions: Predictions, classes: Sequence[str]) -> Classified | Estimated:
    """Everything about predictions: (rows, classes) probabilities, or (rows,) numbers where there are no `classes`.

    Raises:
        ValueError: nothing to compare, or shapes differ.
    """
    wanted = (len(labels), len(classes)) if classes else (len(labels),)
    if predictions.shape != wanted or not len(labels):
        raise ValueError(f"Predictions of the shape {predictions.shape} cannot be compared with {len(labels)} labels.")
    if classes:
        return _classified(labels.astype(np.int64), predictions, classes)
    r2 = METRICS["r2"].value(labels, predictions)
    mae, rmse = (METRICS[name].of(labels, predictions) for name in ("mae", "rmse"))
    return Estimated(rows=len(labels), mae=mae, rmse=rmse, r2=r2, is_constant=bool((predictions == predictions[0]).all()))


def _classified(labels: NDArray[np.int64], predictions: Predictions, names: Sequence[str]) -> Classified:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    found, every = predictions.argmax(axis=1), np.arange(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, found, labels=every, average=None, zero_division=np.nan
    )
    classes = tuple(
        ClassScores(
            name=name,
            rows=int(support[place]),
            predicted=int((found == place).sum()),
            precision=_defined(precision[place]),
            recall=_defined(recall[place]),
            f1=_defined(f1[place]),
            **_areas(labels == place, predictions[:, place]),
        )
        for place, name in enumerate(names)
    )
    return Classified(
        rows=len(labels),
        **{name: METRICS[name].of(labels, predictions) for name in ("accuracy", "balanced_accuracy", "log_loss")},
        macro=_averages(classes, lambda _: 1),
        weighted=_averages(classes, lambda one: one.rows),
        classes=classes,
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(labels, found, labels=every)),
    )


def _areas(is_class: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, float | None]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    if is_class.all() or not is_class.any():
        return {"roc_auc": None, "average_precision": None}
    return {
        "roc_auc": float(roc_auc_score(is_class, scores)),
        "average_precision": float(average_precision_score(is_class, scores)),
    }


def _averages(classes: Sequence[ClassScores], weight: Callable[[ClassScores], int]) -> Averages:
    def average(name: str) -> float | None:
        counted = [(weight(one), getattr(one, name)) for one in classes if weight(one)]
        if any(value is None for _, value in counted):
            return None
        return math.fsum(share * value for share, value in counted) / sum(share for share, _ in counted)

    return Averages(**{name: average(name) for name in Averages.model_fields})


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
