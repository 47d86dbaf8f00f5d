"""Pictures of trainings as PNG bytes: learning curves, confusion, ROC, precision and recall, classes, the tree of attempts.

What is drawn is what was computed here from predictions. A picture of synthetic data says so in its title.

Left out: where pictures go. A page puts them into itself as base64, a run directory keeps them as files.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.model_research.training import TrainingRecord
from orchestrator.data.images import SplitFacts
from orchestrator.printable import printable
from orchestrator.scoring.classes import Classified
from orchestrator.scoring.metrics import METRICS, Labels, Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS, _THEIRS, _FAILED = "#2a9d5c", "#4a7fb5", "#b5524a"
_MOST_NAMED = 20
"""More classes than these are not written into a picture one by one."""


@dataclass(frozen=True)
class Node:
    """An attempt in the tree of a search."""

    index: int
    parent: int | None
    """`index` of the attempt that this one changes; None for a first one."""
    label: str
    """A few words: what was tried."""
    value: float | None
    """The metric; None where it failed."""


def learning_curves(records: Sequence[TrainingRecord]) -> bytes:
    """The metric and the loss by epoch: mean over the seeds with a band from the least to the greatest, and the best epoch.

    Raises:
        ValueError: no record has an epoch.
    """
    known = [record for record in records if record.epochs]
    if not known:
        raise ValueError("No training has curves to draw.")
    figure = _figure(9, 3.6)
    values, losses = figure.subplots(1, 2)
    epochs = range(max(len(record.epochs) for record in known))
    for axes, validation, word in ((values, "value", "known_value"), (losses, "loss", "known_loss")):
        for name, label, color in ((validation, "validation", _OURS), (word, "training (the model's word)", _THEIRS)):
            table = _table(known, name, len(epochs))
            mean, low, high = (_over_seeds(table, how) for how in (np.nanmean, np.nanmin, np.nanmax))
            axes.plot(epochs, mean, "o-", ms=3, color=color, label=label)
            if len(known) > 1:
                axes.fill_between(epochs, low, high, alpha=0.2, color=color)
        axes.set(xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    scores = _over_seeds(_table(known, "value", len(epochs)), np.nanmean) * METRICS[known[0].metric].score(1.0)
    if np.isfinite(scores).any():
        best = int(np.nanargmax(scores))
        values.axvline(best, color="grey", ls=":", label=f"best epoch: {best}")
    values.set(ylabel=known[0].metric)
    losses.set(ylabel="loss")
    values.legend()
    seeds = f"{len(known)} seeds, band from least to greatest" if len(known) > 1 else f"seed {known[0].seed}"
    return _png(figure, f"{known[0].model}: learning curves ({seeds})", known[0].data)


def confusion(scores: Classified, data: SplitFacts) -> bytes:
    """The confusion matrix as counts, and as shares of each class."""
    counts = np.array(scores.confusion)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure = _figure(11, 5)
    names = [printable(one.name) for one in scores.classes]
    for axes, table, title, form in zip(
        figure.subplots(1, 2), (counts, shares), ("rows", "shares of each class"), ("d", ".2f"), strict=True
    ):
        drawn = axes.imshow(table, cmap="Blues", vmin=0)
        axes.set(xlabel="predicted", ylabel="class", title=title)
        if len(names) <= _MOST_NAMED:
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
            for (row, column), value in np.ndenumerate(table):
                ink = "white" if value > table.max() / 2 else "black"
                axes.text(column, row, format(value, form), ha="center", va="center", fontsize=7, color=ink)
        figure.colorbar(drawn, ax=axes, shrink=0.8)
    return _png(figure, f"Confusion ({scores.rows} rows)", data)


def roc_and_precision(labels: Labels, predictions: Predictions, classes: Sequence[str], data: SplitFacts) -> bytes:
    """ROC curves and curves of precision over recall, each class against the rest; of two classes only the second is drawn.

    A class without rows, or with all of them, has no curve.
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    figure = _figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    for place in [1] if len(classes) == 2 else range(len(classes)):
        is_class = labels == place
        if is_class.all() or not is_class.any():
            continue
        false, true, _ = roc_curve(is_class, predictions[:, place])
        precision, recall, _ = precision_recall_curve(is_class, predictions[:, place])
        area, mean = auc(false, true), average_precision_score(is_class, predictions[:, place])
        name = printable(classes[place])
        left.plot(false, true, lw=1, label=f"{name} {area:.3f}")
        right.plot(recall, precision, lw=1, label=f"{name} {mean:.3f}")
    left.plot([0, 1], [0, 1], color="grey", ls=":")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, with its area")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall, with average precision")
    if len(classes) <= _MOST_NAMED:
        left.legend(fontsize=7)
        right.legend(fontsize=7)
    return _png(figure, f"Curves of {len(labels)} rows", data)


def class_bars(scores: Classified, data: SplitFacts) -> bytes:
    """Precision, recall and F1 of each class; what is not defined has no bar."""
    figure = _figure(max(6, min(20, 0.7 * len(scores.classes))), 3.6)
    axes = figure.subplots()
    places = np.arange(len(scores.classes))
    for shift, name, color in ((-0.27, "precision", _OURS), (0.0, "recall", _THEIRS), (0.27, "f1", "#c9a23c")):
        values = [getattr(one, name) for one in scores.classes]
        axes.bar(places + shift, [math.nan if value is None else value for value in values], 0.27, label=name, color=color)
    if len(scores.classes) <= _MOST_NAMED:
        axes.set_xticks(places, [f"{printable(one.name)}\n{one.rows}" for one in scores.classes])
    axes.set(ylim=(0, 1), xlabel="class, and its rows")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return _png(figure, "Each class", data)


def attempts(nodes: Sequence[Node], metric: str, data: SplitFacts) -> bytes:
    """The tree of attempts, each below the one that it changes, with its metric; the best is filled.

    Raises:
        ValueError: there is none, or a parent that is not among them.
    """
    if not nodes:
        raise ValueError("There are no attempts to draw.")
    places = _laid_out(nodes)
    depth, width = max(y for _, y in places.values()), max(x for x, _ in places.values())
    figure = _figure(max(5, min(24, 1.7 * (width + 1))), max(2.4, min(40, 1.1 * (depth + 1))))
    axes = figure.subplots()
    known = [node for node in nodes if node.value is not None]
    best = max(known, key=lambda node: METRICS[metric].score(node.value or 0.0), default=None)
    for node in nodes:
        x, y = places[node.index]
        if node.parent is not None:
            above = places[node.parent]
            axes.plot([above[0], x], [-above[1], -y], color="grey", lw=0.8, zorder=1)
        color = _FAILED if node.value is None else _OURS if node is best else "white"
        axes.scatter([x], [-y], s=180, color=color, edgecolors="black", zorder=2)
        said = "failed" if node.value is None else f"{node.value:.4g}"
        label = printable(node.label)
        axes.annotate(
            f"{node.index}: {label[:24]}\n{said}", (x, -y), xytext=(0, -10), textcoords="offset points", ha="center", va="top",
            fontsize=7, parse_math=False, bbox={"color": "white", "pad": 1},
        )  # fmt: skip
    axes.set(xlim=(-0.7, width + 0.7), ylim=(-depth - 0.8, 0.4))
    axes.axis("off")
    return _png(figure, f"Attempts, by {metric}", data)


def _laid_out(nodes: Sequence[Node]) -> dict[int, tuple[float, int]]:
    """Index -> place: leaves side by side, parents above the middle of their children, everything by depth."""
    children: dict[int | None, list[int]] = {}
    known = {node.index for node in nodes}
    for node in nodes:
        if node.parent is not None and (node.parent not in known or node.parent >= node.index):
            raise ValueError(f"Attempt {node.index} changes {node.parent}, which is no attempt before it.")
        children.setdefault(node.parent, []).append(node.index)
    depth: dict[int, int] = {}
    for node in sorted(nodes, key=lambda node: node.index):
        depth[node.index] = 0 if node.parent is None else depth[node.parent] + 1
    x: dict[int, float] = {}
    leaves = 0
    # In the order of a walk, without recursion: a chain of corrections may be long.
    stack = [(index, False) for index in reversed(children.get(None, []))]
    while stack:
        index, seen = stack.pop()
        below = children.get(index, [])
        if seen:
            x[index] = sum(x[one] for one in below) / len(below)
        elif below:
            stack += [(index, True), *((one, False) for one in reversed(below))]
        else:
            x[index], leaves = float(leaves), leaves + 1
    return {index: (x[index], depth[index]) for index in depth}


def _table(records: Sequence[TrainingRecord], name: str, epochs: int) -> NDArray[np.float64]:
    """(seeds, epochs) of a field of each epoch; NaN where a training has no such epoch, or no value."""
    table = np.full((len(records), epochs), np.nan)
    for row, record in enumerate(records):
        for one in record.epochs:
            value = getattr(one, name)
            table[row, one.epoch] = np.nan if value is None else value
    return table


def _over_seeds(table: NDArray[np.float64], how: Any) -> NDArray[np.float64]:
    """A column's mean, least or greatest over the seeds that have a value; NaN where none has."""
    return np.array([how(column[np.isfinite(column)]) if np.isfinite(column).any() else np.nan for column in table.T])


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: it keeps figures and looks for a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure, title: str, data: SplitFacts) -> bytes:
    """The figure with its title. Names come from models and files: none of them is read as a formula."""
    where = f"SYNTHETIC DATA: {data.data}" if data.synthetic else data.data
    figure.suptitle(printable(f"{title}, {where}"), color=_FAILED if data.synthetic else "black", parse_math=False)
    for axes in figure.axes:
        for text in (axes.title, *axes.get_xticklabels(), *axes.get_yticklabels(), *_legend(axes)):
            text.set_parse_math(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _legend(axes: Any) -> list[Any]:
    legend = axes.get_legend()
    return [] if legend is None else list(legend.get_texts())
