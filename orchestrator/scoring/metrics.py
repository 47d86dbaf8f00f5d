"""Metrics of predictions against labels, computed where the labels are: outside every sandbox.

Left out: reading predictions that came from a sandbox; the caller checks them first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
