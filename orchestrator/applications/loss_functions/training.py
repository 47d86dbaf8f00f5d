"""Train a small network with an accepted loss, beside the loss that a library user would have taken.

Both trainings run inside sandboxes, from the same weights, with the same mini-batches. A sandbox gets training rows with labels
and held-out rows without; what comes back is checked and scored here, where the held-out labels are.

Left out: tuning. Epochs, width and learning rate are the same for every loss. Where the rows come from is in `datasets.py`.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import re
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.applications.loss_functions.datasets import BATCH, DataSet, Split, fits, misfit
from orchestrator.applications.loss_functions.tasks import Inputs, LossTask
from orchestrator.data.arrays import read_array, write_array
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxError
from orchestrator.files import write_beside
from orchestrator.scoring.metrics import accuracy, cross_entropy
from orchestrator.scoring.seeds import mean_of
from orchestrator.types import ExecutionResult, GiB, Limits, MiB, Program, Status, Value

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]

LIMITS = Limits(wall_time=300, cpu_time=240, memory=1 * GiB, disk=96 * MiB, output=64 * 1024, artifacts=8 * MiB)
"""What one training may use."""

HIDDEN, CHANNELS, LEARNING_RATE = 64, 8, 3e-3

_SCORES: dict[Inputs, bool] = {
    Inputs.BINARY_LOGITS: True,
    Inputs.BINARY_PROBABILITIES: True,
    Inputs.BINARY_MASK: True,
    Inputs.MULTICLASS_LOGITS: False,
}
"""Kinds for which the network puts out logits, and whether one logit stands for two classes."""

_STOCK: dict[Inputs, tuple[str, str]] = {
    Inputs.BINARY_LOGITS: ("pred, target", "F.binary_cross_entropy_with_logits(pred, target)"),
    Inputs.BINARY_PROBABILITIES: ("pred, target", "F.binary_cross_entropy(pred, target)"),
    Inputs.BINARY_MASK: ("pred, target", "F.binary_cross_entropy_with_logits(pred, target)"),
    Inputs.MULTICLASS_LOGITS: ("pred, target", "F.cross_entropy(pred, target)"),
    Inputs.ORDINAL_LOGITS: (
        "pred, target",
        "F.binary_cross_entropy_with_logits(pred, (target[:, None] > torch.arange(pred.shape[1])).to(pred.dtype))",
    ),
    Inputs.REGRESSION: ("pred, target", "F.mse_loss(pred, target)"),
    Inputs.POSITIVE_REGRESSION: ("pred, target", "F.mse_loss(pred, target)"),
    Inputs.PAIRED_EMBEDDINGS: ("a, b", "F.cross_entropy(F.normalize(a) @ F.normalize(b).T, torch.arange(len(a)))"),
    Inputs.TRIPLET: ("anchor, positive, negative", "F.triplet_margin_loss(anchor, positive, negative)"),
}


class Difference(Value):
    """Mean difference to the stock loss, paired by seed, and its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def is_resolved(self) -> bool:
        """Whether the pairs can tell the two losses apart: the interval leaves out 0."""
        return self.low > 0 or self.high < 0


class TrainingReport(Value):
    """What came of training with a loss, and with the stock loss."""

    task: str
    dataset: str
    """With `synthetic` before it where the rows are made up."""
    data: str = ""
    """What was trained on, in a line: rows, what was done to them, epochs."""
    synthetic: str = ""
    """Why the rows are made up, in one sentence; empty for real ones."""
    seed: int
    accuracy: float | None
    """Share of held-out rows that were right after the last epoch; None where the training failed."""
    failure: str = ""
    """Why the training with the candidate's loss failed: one sentence."""
    stock: str
    """The stock loss as an expression."""
    stock_accuracy: float
    loss_curve: tuple[float, ...] = ()
    """Mean training loss of each epoch."""
    stock_loss_curve: tuple[float, ...] = ()
    accuracy_curve: tuple[float, ...] = ()
    """Held-out accuracy after each epoch."""
    stock_accuracy_curve: tuple[float, ...] = ()
    wall_time: float
    """Seconds that both trainings took inside their sandboxes, together."""
    picture: Path | None = None
    """The learning curves as a PNG."""
    accuracies: tuple[float, ...] = ()
    """After the last epoch, for each seed from `seed` on; `accuracy` is their mean where there are several."""
    stock_accuracies: tuple[float, ...] = ()
    """The same with the stock loss: same weights, batches and rows, seed by seed."""
    cross_entropies: tuple[float, ...] = ()
    """Held-out cross-entropy in nats after the last epoch, seed by seed; empty where the outputs are no logits of classes."""
    stock_cross_entropies: tuple[float, ...] = ()

    def described(self) -> str:
        """What came of it, in sentences with the number of pairs, the seed and the intervals."""
        warning = f"SYNTHETIC DATA. {self.synthetic} " if self.synthetic else ""
        if self.accuracy is None:
            return f"{warning}Training on {self.dataset} with {self.task} failed: {self.failure}"
        count = len(self.accuracies)
        seeds = f"seed {self.seed}" if count < 2 else f"means of {count} pairs, seeds from {self.seed} on"
        text = (
            f"{warning}Trained on {self.dataset} with {self.task}: {self.accuracy:.1%} of the held-out rows right;"
            f" with the stock loss {self.stock_accuracy:.1%} ({seeds})."
        )
        if (difference := self.difference()) is not None:
            found = [100 * value for value in (difference.mean, difference.low, difference.high)]
            text += " The difference is {:+.1f} points (95 % interval {:+.1f} to {:+.1f}, paired by seed)".format(*found)
            text += "." if difference.is_resolved else f": {count} pairs cannot tell the two apart."
        if (difference := self.difference_in_cross_entropy()) is not None:
            means = statistics.fmean(self.cross_entropies), statistics.fmean(self.stock_cross_entropies)
            text += " Held-out cross-entropy {:.3f} and {:.3f} nats".format(*means)
            text += f" ({difference.mean:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f})."
        return text

    def of_pair(self, done: int, pairs: int) -> str:
        """Of one pair of `pairs`: a line of progress."""
        return (
            f"Pair {done} of {pairs}: {self.accuracy or 0:.1%} of the held-out rows right, {self.stock_accuracy:.1%} with the"
            f" stock loss ({self.wall_time:.0f} s)."
        )

    def difference(self) -> Difference | None:
        """In accuracy; above zero is better than the stock loss. None below two seeds."""
        return _paired(self.accuracies, self.stock_accuracies)

    def difference_in_cross_entropy(self) -> Difference | None:
        """In held-out cross-entropy; below zero is better than the stock loss. None below two seeds, and where there is none."""
        return _paired(self.cross_entropies, self.stock_cross_entropies)


def _paired(ours: Sequence[float], stock: Sequence[float]) -> Difference | None:
    found = mean_of([one - other for one, other in zip(ours, stock, strict=True)])
    if found is None or found.low is None or found.high is None:
        return None
    return Difference(mean=found.mean, low=found.low, high=found.high, pairs=found.n)


async def train_on_seeds(
    task: LossTask,
    code: str,
    data: DataSet,
    execute: Execute,
    *,
    seeds: Sequence[int],
    out: Path | None = None,
    tag: str = "",
    on_pair: Callable[[int, TrainingReport], None] = lambda done, report: None,
) -> TrainingReport:
    """`train_with_loss` for each seed; curves and picture are those of the first. What fails on one seed has failed.

    `on_pair` is called with the number of pairs that are done and the last one's report.

    Raises:
        UsageError, SandboxError: as `train_with_loss`.
    """
    reports: list[TrainingReport] = []
    for seed in seeds:
        report = await train_with_loss(task, code, data, execute, seed=seed, out=None if reports else out, tag=tag)
        reports.append(report)
        if report.accuracy is None:
            return report
        on_pair(len(reports), report)
    accuracies = tuple(report.accuracy or 0.0 for report in reports)
    stock = tuple(report.stock_accuracy for report in reports)
    found = {
        "accuracies": accuracies,
        "stock_accuracies": stock,
        "accuracy": statistics.fmean(accuracies),
        "stock_accuracy": statistics.fmean(stock),
        "cross_entropies": tuple(value for report in reports for value in report.cross_entropies),
        "stock_cross_entropies": tuple(value for report in reports for value in report.stock_cross_entropies),
        "wall_time": sum(report.wall_time for report in reports),
    }
    return reports[0].model_copy(update=found)


async def train_with_loss(
    task: LossTask, code: str, data: DataSet, execute: Execute, *, seed: int = 0, out: Path | None = None, tag: str = ""
) -> TrainingReport:
    """Train with the loss in `code` and with the stock loss, and compare them on held-out rows.

    `execute` runs a program in a sandbox. `out` is a folder for the picture of the learning curves; None draws nothing. Another
    file of its name stays, and the picture has `tag` in its own.
    A loss that is not finite, constant, or makes the program fail gives a report with `failure` and no accuracy.

    Raises:
        UsageError: the data set does not fit the loss.
        SandboxError: a sandbox failed, or the stock loss did not train.
    """
    if not fits(task, data.classes):
        raise misfit(task, data.name, data.classes)
    split = await asyncio.to_thread(data.split, seed)
    expression, stock_code = _stock(task)
    results = await asyncio.gather(
        execute(training_program(task, code, split, seed), LIMITS),
        execute(training_program(task, stock_code, split, seed), LIMITS),
    )
    candidate, stock = (_outcome(task, result, split) for result in results)
    if stock.failure:
        raise SandboxError(f"The stock loss {expression} did not train: {stock.failure}")
    report = TrainingReport(
        task=task.name,
        dataset=data.title,
        data=_described(data, split),
        synthetic=data.synthetic,
        seed=seed,
        accuracy=candidate.accuracies[-1] if candidate.accuracies else None,
        failure=candidate.failure,
        stock=expression,
        stock_accuracy=stock.accuracies[-1],
        loss_curve=candidate.losses,
        stock_loss_curve=stock.losses,
        accuracy_curve=candidate.accuracies,
        stock_accuracy_curve=stock.accuracies,
        cross_entropies=candidate.cross_entropy,
        stock_cross_entropies=stock.cross_entropy,
        wall_time=sum(result.wall_time for result in results),
    )
    if out is None:
        return report
    return report.model_copy(update={"picture": await asyncio.to_thread(draw, report, out, tag)})


def _described(data: DataSet, split: Split) -> str:
    """What was trained on, for people."""
    shape = "x".join(map(str, split.train_x.shape[1:]))
    rows = f"{len(split.train_y)} rows of {shape} to train on, {len(split.heldout_y)} held out, {split.epochs} epochs"
    return "; ".join([rows, *data.notes])


def training_program(task: LossTask, code: str, split: Split, seed: int) -> Program:
    """Our training program with a loss beside it, training rows with labels, and held-out rows without."""
    config = {
        "inputs": task.inputs.value,
        "entry_point": task.entry_point,
        "classes": split.classes,
        "seed": seed,
        "epochs": split.epochs,
        "batch": BATCH,
        "hidden": HIDDEN,
        "channels": CHANNELS,
        "learning_rate": LEARNING_RATE,
    }
    return Program(
        code=sandboxed("orchestrator.applications.loss_functions", "train_network"),
        files={
            "trained_loss.py": code.encode(),
            "training.json": json.dumps(config).encode(),
            "train_x.npy": write_array(split.train_x),
            "train_y.npy": write_array(split.train_y),
            "heldout_x.npy": write_array(split.heldout_x),
        },
        artifacts=("predictions.npy", "outputs.npy", "curve.json"),
    )


def draw(report: TrainingReport, out: Path, tag: str = "") -> Path:
    """Save both learning curves as a PNG in the folder `out`, beside another file of its name; returns its path.

    Raises:
        UsageError, StoreError: it cannot be written.
    """
    # Not pyplot: it keeps figures and looks for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    last = f"{report.accuracy:.1%}" if report.accuracy is not None else "failed"
    lines = (
        (f"{report.task}: {last}", report.loss_curve, report.accuracy_curve, "-"),
        (f"stock: {report.stock_accuracy:.1%}", report.stock_loss_curve, report.stock_accuracy_curve, "--"),
    )
    for label, loss, share, style in lines:
        losses.plot(range(1, len(loss) + 1), _relative(loss), style, label=label)
        accuracies.plot(range(1, len(share) + 1), share, style, label=label)
    losses.set(xlabel="epoch", ylabel="training loss / first epoch's")
    accuracies.set(xlabel="epoch", ylabel="held-out accuracy")
    accuracies.legend()
    for axes in (losses, accuracies):
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{report.task} on {report.dataset}, seed {report.seed}")
    name = re.sub(r"[^\w.-]+", "-", report.dataset).strip("-")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return write_beside(out / f"{report.task}-{name}-{report.seed}.png", picture.getvalue(), tag)


def _relative(losses: tuple[float, ...]) -> list[float]:
    """Losses as shares of the first: two losses have no common unit."""
    return [loss / losses[0] if losses[0] else loss for loss in losses]


def _stock(task: LossTask) -> tuple[str, str]:
    """The stock loss as an expression and as a module with the task's entry point."""
    parameters, expression = (", ".join(task.parameters), task.stock) if task.stock else _STOCK[task.inputs]
    return expression, (
        f"import torch\nimport torch.nn.functional as F\n\n\ndef {task.entry_point}({parameters}):\n    return {expression}\n"
    )


class _Outcome(Value):
    """One training as it can be believed: checked predictions, scored here."""

    losses: tuple[float, ...] = ()
    accuracies: tuple[float, ...] = ()
    cross_entropy: tuple[float, ...] = ()
    """One number, or none where the outputs are no logits of classes."""
    failure: str = ""


def _outcome(task: LossTask, result: ExecutionResult, split: Split) -> _Outcome:
    """Check everything that came out of the sandbox; whatever does not fit is a failed training.

    Raises:
        SandboxError: the sandbox failed.
    """
    if result.status is Status.SANDBOX_ERROR:
        raise SandboxError(f"The training's sandbox failed: {result.detail}", remedy="Run it again, or see `fumehood doctor`.")
    if result.status is not Status.OK:
        last = result.stderr.strip().splitlines()[-1:] or [result.detail]
        return _Outcome(failure=f"The training ended with {result.status.value}. {last[0]}".strip())
    if "curve.json" not in result.artifacts:
        return _Outcome(failure="The training wrote no curve.json.")
    try:
        losses, failure = _curve(result.artifacts["curve.json"], split.epochs)
    except ValueError as error:
        return _Outcome(failure=f"The learning curve was refused. {error}")
    if failure:
        return _Outcome(failure=failure)
    for name in ("predictions.npy", "outputs.npy") if task.inputs in _SCORES else ("predictions.npy",):
        if name not in result.artifacts:
            return _Outcome(failure=f"The training wrote no {name}. {result.artifact_errors.get(name, '')}".strip())
    try:
        found = read_array(result.artifacts["predictions.npy"], np.int64, (split.epochs, len(split.heldout_y)))
        predictions = found.astype(np.int64)
        if predictions.min() < 0 or predictions.max() >= split.classes:
            raise ValueError(f"It holds numbers that are not classes from 0 to {split.classes - 1}.")
    except ValueError as error:
        return _Outcome(failure=f"The predictions were refused. {error}")
    try:
        entropy = (_cross_entropy(task, result.artifacts["outputs.npy"], split),) if task.inputs in _SCORES else ()
    except ValueError as error:
        return _Outcome(failure=f"The outputs were refused. {error}")
    accuracies = tuple(accuracy(epoch, split.heldout_y) for epoch in predictions)
    return _Outcome(losses=losses, accuracies=accuracies, cross_entropy=entropy)


def _cross_entropy(task: LossTask, data: bytes, split: Split) -> float:
    """Of what the network put out for the held-out rows, in nats.

    Raises:
        ValueError: it is of another shape, or not finite.
    """
    single = _SCORES[task.inputs]
    found = read_array(data, np.float32, (len(split.heldout_y), 1 if single else split.classes))
    logits = found.astype(np.float64)
    if not np.isfinite(logits).all():
        raise ValueError("They hold numbers that are not finite.")
    # One logit is the distance of two, the first of which is 0.
    return cross_entropy(np.hstack([np.zeros_like(logits), logits]) if single else logits, split.heldout_y)


def _curve(data: bytes, epochs: int) -> tuple[tuple[float, ...], str]:
    """Losses and failure from the learning curve's JSON.

    Raises:
        ValueError: it is anything else.
    """
    try:
        curve: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("It is not JSON.") from None
    if not isinstance(curve, dict) or set(curve) != {"losses", "failure"} or not isinstance(curve["failure"], str):
        raise ValueError("It has other fields than losses and failure.")
    if curve["failure"]:
        return (), " ".join(curve["failure"].split())[:200]
    losses = curve["losses"]
    if not isinstance(losses, list) or len(losses) != epochs:
        raise ValueError(f"It does not have {epochs} losses.")
    if not all(isinstance(loss, float) and math.isfinite(loss) for loss in losses):
        raise ValueError("It holds losses that are not finite numbers.")
    return tuple(losses), ""
