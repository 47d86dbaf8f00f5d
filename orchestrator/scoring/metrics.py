"""Metrics of predictions against labels, computed where the labels are: outside every sandbox.

Every `Metric` has one direction, fixed here. A `score` is larger where it is better, so that nobody compares the wrong way round.

Left out: reading predictions that came from a sandbox; the caller checks them first. Metrics that a candidate computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import UsageError

Task = Literal["classification", "regression"]
Labels = NDArray[np.int64] | NDArray[np.float64]
Predictions = NDArray[np.float64]
"""(rows, classes): probabilities that sum to one, or (rows,): numbers."""


@dataclass(frozen=True)
class Metric:
    """One metric. `of` takes labels and predictions and may give NaN where it is not defined."""

    name: str
    task: Task
    greater_is_better: bool
    of: Callable[[Labels, Predictions], float]
    title: str

    def value(self, labels: Labels, predictions: Predictions) -> float | None:
        """The metric; None where it is not defined on these labels (one class only, no spread)."""
        try:
            found = float(self.of(labels, predictions))
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    def score(self, value: float) -> float:
        """The value so that larger is better."""
        return value if self.greater_is_better else -value


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Share of predictions that equal their label, from 0 to 1.

    Raises:
        ValueError: nothing to compare, or shapes differ.
    """
    _check(predicted, labels)
    return float(np.mean(predicted == labels))


def balanced_accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Mean over the classes among the labels of the share that was found, from 0 to 1: a rare class counts like any other.

    Raises:
        ValueError: nothing to compare, or shapes differ.
    """
    _check(predicted, labels)
    return float(np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)]))


def cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of minus the logarithm of the probability (softmax) of each row's label, in nats. `logits` is (rows, classes).

    Raises:
        ValueError: nothing to compare, or numbers of rows differ.
    """
    _check(logits[:, 0], labels)
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float(np.mean(total - logits[np.arange(len(labels)), labels]))


def _check(predicted: NDArray[Any], labels: NDArray[np.int64]) -> None:
    if predicted.shape != labels.shape or labels.size == 0:
        raise ValueError(f"{predicted.shape} predictions cannot be compared with {labels.shape} labels.")


def _classes(predictions: Predictions) -> NDArray[np.int64]:
    return np.asarray(predictions.argmax(axis=1), dtype=np.int64)


def _one_hot(labels: Labels, count: int) -> NDArray[np.float64]:
    return np.eye(count)[labels.astype(np.int64)]


def _accuracy(labels: Labels, predictions: Predictions) -> float:
    return accuracy(_classes(predictions), labels.astype(np.int64))


def _balanced_accuracy(labels: Labels, predictions: Predictions) -> float:
    return balanced_accuracy(_classes(predictions), labels.astype(np.int64))


def _f1(labels: Labels, predictions: Predictions) -> float:
    from sklearn.metrics import f1_score

    return float(
        f1_score(labels, _classes(predictions), labels=np.arange(predictions.shape[1]), average="macro", zero_division=0)
    )


def _log_loss(labels: Labels, predictions: Predictions) -> float:
    chosen = predictions[np.arange(len(labels)), labels.astype(np.int64)]
    return float(-np.mean(np.log(np.clip(chosen, 1e-15, 1.0))))


def _roc_auc(labels: Labels, predictions: Predictions) -> float:
    from sklearn.metrics import roc_auc_score

    wanted = _one_hot(labels, predictions.shape[1])
    if (wanted.sum(axis=0) == 0).any():
        return math.nan
    if predictions.shape[1] == 2:
        return float(roc_auc_score(wanted[:, 1], predictions[:, 1]))
    return float(roc_auc_score(wanted, predictions, average="macro"))  # one against the rest


def _average_precision(labels: Labels, predictions: Predictions) -> float:
    from sklearn.metrics import average_precision_score

    wanted = _one_hot(labels, predictions.shape[1])
    if (wanted.sum(axis=0) == 0).any():
        return math.nan
    if predictions.shape[1] == 2:
        return float(average_precision_score(wanted[:, 1], predictions[:, 1]))
    return float(average_precision_score(wanted, predictions, average="macro"))


def _rmse(labels: Labels, predictions: Predictions) -> float:
    return float(np.sqrt(np.mean((predictions - labels) ** 2)))


def _mae(labels: Labels, predictions: Predictions) -> float:
    return float(np.mean(np.abs(predictions - labels)))


def _r2(labels: Labels, predictions: Predictions) -> float:
    spread = float(np.sum((labels - labels.mean()) ** 2))
    return math.nan if spread == 0 else 1 - float(np.sum((labels - predictions) ** 2)) / spread


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "classification", True, _accuracy, "share of rows whose class is right"),
        Metric("balanced_accuracy", "classification", True, _balanced_accuracy, "mean over the classes of the share found"),
        Metric("f1_macro", "classification", True, _f1, "mean over the classes of F1"),
        Metric(
            "roc_auc",
            "classification",
            True,
            _roc_auc,
            "area under the ROC curve (several classes: mean of each against the rest)",
        ),
        Metric("average_precision", "classification", True, _average_precision, "area under precision and recall"),
        Metric("log_loss", "classification", False, _log_loss, "mean negative log-probability of the right class"),
        Metric("rmse", "regression", False, _rmse, "root mean squared error"),
        Metric("mae", "regression", False, _mae, "mean absolute error"),
        Metric("r2", "regression", True, _r2, "share of the variance that is explained"),
    )
}


def metric_of(task: Task, classes: int, name: str = "") -> Metric:
    """The metric of that name, or the usual one: ROC AUC for two classes, balanced accuracy for more, RMSE for numbers.

    Raises:
        UsageError: there is none of that name, or it is for the other task.
    """
    if not name:
        name = "rmse" if task == "regression" else "roc_auc" if classes == 2 else "balanced_accuracy"
    fitting = [metric.name for metric in METRICS.values() if metric.task == task]
    if name not in fitting:
        raise UsageError(f"There is no metric {name!r} for {task}.", remedy=f"Choose from: {', '.join(fitting)}.")
    return METRICS[name]


def interval(
    metric: Metric, labels: Labels, predictions: Predictions, *, seed: int = 0, draws: int = 1000, level: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval of a metric over rows (percentile; Efron 1979); None where it is not defined in most draws."""
    values = bootstrap(metric, labels, [predictions], seed=seed, draws=draws)[:, 0]
    values = values[np.isfinite(values)]
    if len(values) < draws / 2:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(
    metric: Metric, labels: Labels, predictions: Sequence[Predictions], *, seed: int = 0, draws: int = 1000
) -> NDArray[np.float64]:
    """(draws, predictions): the metric on the same rows drawn with replacement for each of several predictions."""
    rng = np.random.default_rng(seed)
    values = np.full((draws, len(predictions)), np.nan)
    for draw in range(draws):
        rows = rng.integers(0, len(labels), len(labels))
        for place, one in enumerate(predictions):
            value = metric.value(labels[rows], one[rows])
            values[draw, place] = np.nan if value is None else value
    return values
