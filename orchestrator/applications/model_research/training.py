"""Train a model in a sandbox, and score here what it predicts.

The training program is ours; the model runs in the same process and could change anything in it, so nothing that the process says
about itself counts. What comes out is what the model put out for validation rows after each epoch, as plain numbers; the labels
are here. Test rows enter a sandbox once, in `open_test`, with weights and without anything to train on.

A model can only choose what it predicts. One that looks for a shortcut (loads labels, leaves early, changes the optimiser) gets
the score that its predictions are worth, or a failure of its own.

Left out: which models there are, and the best epoch's weights: tested are those of the last epoch.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.data.arrays import read_array, write_array
from orchestrator.data.images import Split, SplitFacts
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxError, UsageError
from orchestrator.scoring.classes import Classified, Estimated, scores_of
from orchestrator.scoring.metrics import METRICS, Labels, Metric, Predictions, interval, metric_of
from orchestrator.types import ExecutionResult, GiB, Limits, MiB, Program, Status, Value

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]

LARGEST_WEIGHTS = 64 * MiB
"""Of a trained model, as it comes out."""
MOST_OUT = 256 * MiB
"""Of all that comes out of a training."""
KNOWN = 1000
"""Training rows that are predicted after each epoch beside those of the validation."""
_STARTING = 60.0
"""Seconds beside those for training: libraries, predictions, weights."""
_MEMORY = 2 * GiB
_PREDICT_BATCH = 250
_TWICE = 32
"""Test rows that are sent twice: what the model says of a row must not depend on the rows around it."""
_APART = 1e-2
"""How far two predictions of one row may be from each other by rounding, as probabilities or in spreads of the target."""
_PACKAGE = "orchestrator.applications.model_research"
_LOG = {"failure": str, "trace": str, "stopped": bool, "parameters": int, "initial": str, "losses": list, "seconds": list}


class TrainingOptions(Value):
    """How a model is trained."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    batch: Annotated[int, Field(ge=1, le=4096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has a momentum of 0.9."""
    schedule: Literal["constant", "linear"] = "constant"
    """`linear` lets the learning rate fall to zero at the last step."""
    seconds: Annotated[float, Field(gt=0, le=86400)] = 120.0
    """After so many the training stops, in the middle of an epoch if need be, and is scored as it then is."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads; with one, sums have one order and a seed means the same everywhere."""


class EpochScore(Value):
    """What predictions after an epoch were worth; epoch 0 is before the training."""

    epoch: int
    value: float | None
    """The metric on validation rows; None where it is not defined."""
    loss: float
    """On validation rows: mean negative log-probability of the right class, or mean squared error."""
    known_value: float | None
    """The metric on training rows. Their labels are in the sandbox, so this and `known_loss` are only the model's word."""
    known_loss: float
    seconds: float = 0.0
    """That the epoch took, by the sandbox's word."""


class TrainingRecord(Value):
    """What came of one training."""

    model: str
    """Name of the class."""
    data: SplitFacts
    options: TrainingOptions
    seed: int
    metric: str
    epochs: tuple[EpochScore, ...] = ()
    scores: Classified | Estimated | None = None
    """On validation rows after the last epoch; None where it failed."""
    failure: str = ""
    """Why the training failed, in one sentence; the model's own doing."""
    trace: str = ""
    """The last lines of the traceback, where there was one."""
    stopped: bool = False
    """Whether its seconds were over before its epochs."""
    warnings: tuple[str, ...] = ()
    """What a reader should know of the predictions: that they are constant, for instance."""
    parameters: int = 0
    """Weights that the model has, by the sandbox's word."""
    initial: str = ""
    """Digest of the weights before the training, by the sandbox's word; two seeds must differ in it."""
    wall_time: float = 0.0
    """Seconds in the sandbox."""

    @property
    def value(self) -> float | None:
        """The metric on validation rows after the last epoch; None where the training failed."""
        return None if self.failure or not self.epochs else self.epochs[-1].value

    @property
    def score(self) -> float:
        """`value` so that larger is better, and less than any where there is none."""
        return -math.inf if self.value is None else METRICS[self.metric].score(self.value)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training with what is too large for its record."""

    model: ModelSource
    record: TrainingRecord
    predictions: NDArray[np.float64]
    """(epochs + 1, validation rows, classes) probabilities, or (epochs + 1, validation rows) numbers; empty if there are none."""
    weights: bytes = b""
    """After the last epoch, as PyTorch saves them. Bytes of the sandbox's: only a sandbox reads them."""


class TestedModel(Value):
    """One model on the sealed test rows, for each of its seeds."""

    __test__ = False  # pytest collects classes by their name
    values: tuple[float | None, ...] = ()
    """The metric for each seed; None where it is not defined or the run failed."""
    failures: tuple[str, ...] = ()
    """For each seed; empty where it predicted."""
    low: float | None = None
    """Of the 95 % bootstrap interval over rows, for the first seed."""
    high: float | None = None
    scores: Classified | Estimated | None = None
    """Of the first seed that predicted."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tested:
    """All that met the sealed rows, which were opened once for all of them."""

    by_name: dict[str, TestedModel]
    predictions: dict[str, list[Predictions]]
    """Of the seeds that predicted, in the order of the rows."""
    labels: Labels
    opened: int
    """How often the sealed rows have been opened, this time included."""


def metric_for(split: Split, name: str = "") -> Metric:
    """The metric of that name, or accuracy for classes and RMSE for numbers.

    Raises:
        UsageError: there is none of that name, or it is for the other task.
    """
    usual = "accuracy" if split.data.classes else "rmse"
    return metric_of(split.data.task, len(split.data.classes), name or usual)


async def train(
    model: ModelSource,
    split: Split,
    execute: Execute,
    *,
    options: TrainingOptions = TrainingOptions(),  # noqa: B008 - it is frozen
    seed: int = 0,
    metric: Metric | None = None,
    shuffled_labels: bool = False,
) -> Trained:
    """Train a model on the training rows, and score its predictions for the validation rows after each epoch.

    `execute` runs a program in a sandbox. A model that fails gives a record with its failure, never an exception.
    `shuffled_labels` trains on labels that belong to other rows: what scores better than chance then has not learnt it.

    Raises:
        UsageError: the model does not fit the data, or what would come out is too large.
        SandboxError: the sandbox failed.
    """
    metric = metric or metric_for(split)
    program, limits = training_program(model, split, options, seed=seed, shuffled_labels=shuffled_labels)
    result = await execute(program, limits)
    return await asyncio.to_thread(_trained, result, model, split, options, seed, metric)


def training_program(
    model: ModelSource, split: Split, options: TrainingOptions, *, seed: int, shuffled_labels: bool = False
) -> tuple[Program, Limits]:
    """Our training program with the model beside it, and what it may use. Labels of validation rows are not in it.

    Raises:
        UsageError: the model does not fit the data, or what would come out is too large.
    """
    data = split.data
    if model.input_shape != data.input_shape or model.outputs != data.outputs:
        raise UsageError(
            f"{model.class_name} takes {model.input_shape} and puts out {model.outputs}; "
            f"{data.name} has {data.input_shape} and needs {data.outputs}.",
            remedy="Make the model for this data set.",
        )
    y = split.train_y if data.classes else _standard(split, split.train_y).astype(np.float32)
    if shuffled_labels:
        y = np.random.default_rng(seed).permutation(y)
    files = {
        "train_x.npy": write_array(split.train_x),
        "train_y.npy": write_array(y),
        "validation_x.npy": write_array(split.validation_x),
    }
    config = options.model_dump() | {"classes": len(data.classes), "known": KNOWN}
    out = 4 * (options.epochs + 1) * (len(split.validation_x) + min(KNOWN, len(split.train_x))) * data.outputs
    program = _program("train_model", model, files, config, seed, ("predictions.npy", "training.npy", "weights.pt", "log.json"))
    return program, _limits(program, out + LARGEST_WEIGHTS, options)


async def open_test(
    models: Mapping[str, Sequence[Trained]], split: Split, execute: Execute, *, metric: Metric | None = None
) -> Tested:
    """Let trained models predict the sealed rows, opened once for all of them: each by its name, with a training for each seed.

    Trainings that failed are left out. Rows go in in an order that nobody knows, some of them twice: a model whose word on
    a row depends on its neighbours is warned of.

    Raises:
        UsageError: none of the trainings has weights.
        SandboxError: a sandbox failed; the rows count as opened.
    """
    metric = metric or metric_for(split)
    able = {name: [one for one in trained if one.weights and not one.record.failure] for name, trained in models.items()}
    if not any(able.values()):
        raise UsageError("No training came to its end: there is nothing to test.", remedy="Train again, or another model.")
    x, labels = split.open_test()
    places = [(name, one) for name, trained in able.items() for one in trained]
    found = await asyncio.gather(*(_tested(one, split, x, execute) for _, one in places))
    by_name, predictions = {}, {}
    for name in models:
        mine = [outcome for (owner, _), outcome in zip(places, found, strict=True) if owner == name]
        predictions[name] = [one for one, _, _ in mine if one is not None]
        by_name[name] = await asyncio.to_thread(_scored_test, mine, labels, split.data.classes, metric)
    return Tested(by_name=by_name, predictions=predictions, labels=labels, opened=split.opened)


def chance(split: Split, metric: Metric) -> float | None:
    """The metric on validation rows of what knows the training labels and nothing of a row: their shares, or their mean."""
    rows = len(split.validation_y)
    if split.data.classes:
        shares = np.bincount(split.train_y, minlength=len(split.data.classes)) / len(split.train_y)
        return metric.value(split.validation_y, np.tile(shares, (rows, 1)))
    return metric.value(split.validation_y, np.full(rows, split.train_y.mean(dtype=np.float64)))


def _program(
    name: str, model: ModelSource, files: dict[str, bytes], config: dict[str, Any], seed: int, out: tuple[str, ...]
) -> Program:
    config = config | {
        "class_name": model.class_name,
        "outputs": model.outputs,
        "seed": seed,
        "predict_batch": _PREDICT_BATCH,
    }
    return Program(
        code=sandboxed(_PACKAGE, name),
        file=f"{name}.py",
        files=files | {"candidate_model.py": model.code.encode("utf-8", "replace"), "training.json": json.dumps(config).encode()},
        env={"OMP_NUM_THREADS": str(config["threads"])},
        artifacts=out,
    )


def _limits(program: Program, out: int, options: TrainingOptions) -> Limits:
    """What a program may use: its files once on disk and twice in memory, and what comes out.

    Raises:
        UsageError: that is too large.
    """
    if out > MOST_OUT:
        raise UsageError(
            f"Predictions of {options.epochs} epochs take {(out - LARGEST_WEIGHTS) / MiB:.0f} MiB; "
            f"at most {(MOST_OUT - LARGEST_WEIGHTS) // MiB} MiB come out.",
            remedy="Take fewer epochs or fewer validation rows.",
        )
    into = sum(map(len, program.files.values()))
    wall = options.seconds + _STARTING
    return Limits(
        wall_time=wall,
        cpu_time=wall * options.threads,
        memory=_MEMORY + 3 * into + 2 * out,
        disk=into + out + 32 * MiB,
        output=1 * MiB,
        artifacts=out + 1 * MiB,
    )


def _standard(split: Split, y: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers in spreads of the training target from its mean: what networks learn well."""
    mean, spread = _target(split)
    return (np.asarray(y, dtype=np.float64) - mean) / spread


def _target(split: Split) -> tuple[float, float]:
    return float(split.train_y.mean(dtype=np.float64)), float(split.train_y.std(dtype=np.float64)) or 1.0


def _believed(raw: NDArray[Any], split: Split) -> NDArray[np.float64]:
    """(..., classes) probabilities or (...,) numbers in units of the target, from what a model put out.

    Raises:
        ValueError: some of it is not finite.
    """
    out = raw.astype(np.float64)
    if not np.isfinite(out).all():
        raise ValueError(f"{int((~np.isfinite(out)).sum())} of the predictions are not finite.")
    if not split.data.classes:
        mean, spread = _target(split)
        return np.asarray(out[..., 0] * spread + mean, dtype=np.float64)
    powers = np.exp(out - out.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


def _check(result: ExecutionResult) -> str:
    """Why a run is a failure of the model's; empty where it ended well.

    Raises:
        SandboxError: the sandbox failed.
    """
    if result.status is Status.SANDBOX_ERROR:
        raise SandboxError(f"The training's sandbox failed: {result.detail}", remedy="Run it again, or see `fumehood doctor`.")
    if result.status is Status.OK:
        return ""
    last = result.stderr.strip().splitlines()[-1:] or [result.detail]
    return f"The run ended with {result.status.value}. {last[0]}".strip()


def _trained(
    result: ExecutionResult, model: ModelSource, split: Split, options: TrainingOptions, seed: int, metric: Metric
) -> Trained:
    """Check everything that came out of the sandbox; whatever does not fit is a failed training.

    Raises:
        SandboxError: the sandbox failed.
    """
    known: dict[str, Any] = {
        "model": model.class_name,
        "data": split.facts,
        "options": options,
        "seed": seed,
        "metric": metric.name,
        "wall_time": result.wall_time,
    }
    nothing = np.empty(0)
    failure = _check(result)
    try:
        if "log.json" not in result.artifacts:
            raise ValueError("The process ended before its training was over: the model may have left it.")
        log = _log(result.artifacts["log.json"], options)
    except ValueError as error:
        return Trained(model=model, record=TrainingRecord(**known, failure=failure or str(error)), predictions=nothing)
    known |= {name: log[name] for name in ("trace", "stopped", "parameters", "initial")}
    failure = failure or log["failure"]
    epochs = len(log["losses"])
    try:
        predictions, words = (
            _believed(read_array(_artifact(result, name), np.float32, (epochs + 1, rows, model.outputs)), split)
            for name, rows in (("predictions.npy", len(split.validation_x)), ("training.npy", min(KNOWN, len(split.train_x))))
        )
    except ValueError as error:
        why = failure or f"The predictions were refused. {error}"
        return Trained(model=model, record=TrainingRecord(**known, failure=why), predictions=nothing)
    record = TrainingRecord(
        **known,
        epochs=tuple(
            _epoch(epoch, split, metric, predictions[epoch], words[epoch], [0.0, *log["seconds"]][epoch])
            for epoch in range(epochs + 1)
        ),
        scores=None if failure else scores_of(split.validation_y, predictions[-1], split.data.classes),
        failure=failure,
    )
    weights = result.artifacts.get("weights.pt", b"")
    return Trained(
        model=model,
        record=record.model_copy(update={"warnings": _warnings(record, weights)}),
        predictions=predictions,
        weights=weights,
    )


def _artifact(result: ExecutionResult, name: str) -> bytes:
    """
    Raises:
        ValueError: it did not come out.
    """
    if name not in result.artifacts:
        raise ValueError(f"The training wrote no {name}. {result.artifact_errors.get(name, '')}".strip())
    return result.artifacts[name]


def _log(data: bytes, options: TrainingOptions) -> dict[str, Any]:
    """What the sandbox says of the training, in the form that ours has.

    Raises:
        ValueError: it is anything else.
    """
    try:
        log: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("The training's log is not JSON.") from None
    if not isinstance(log, dict) or {name: type(value) for name, value in log.items()} != _LOG:
        raise ValueError("The training's log has other fields than ours.")
    curves = [log["losses"], log["seconds"]]
    if any(not isinstance(one, float) or not math.isfinite(one) for curve in curves for one in curve):
        raise ValueError("The training's log holds values that are not finite numbers.")
    few = len(log["losses"]) < options.epochs and not log["stopped"] and not log["failure"]
    if few or len(log["losses"]) > options.epochs or len(log["losses"]) != len(log["seconds"]):
        raise ValueError(f"The training's log has {len(log['losses'])} epochs; {options.epochs} were asked for.")
    log |= {name: log[name].encode("utf-8", "replace").decode() for name in ("failure", "trace", "initial")}  # no half characters
    log |= {"failure": " ".join(log["failure"].split())[:500], "trace": log["trace"][-4000:], "initial": log["initial"][:64]}
    log["parameters"] = max(0, min(log["parameters"], 2**63 - 1))
    return log


def _epoch(epoch: int, split: Split, metric: Metric, predictions: Predictions, words: Predictions, seconds: float) -> EpochScore:
    known_y = split.train_y[:KNOWN]
    loss = METRICS["log_loss" if split.data.classes else "rmse"].of
    power = 1 if split.data.classes else 2
    return EpochScore(
        epoch=epoch,
        value=metric.value(split.validation_y, predictions),
        loss=loss(split.validation_y, predictions) ** power,
        known_value=metric.value(known_y, words),
        known_loss=loss(known_y, words) ** power,
        seconds=max(0.0, seconds),
    )


def _warnings(record: TrainingRecord, weights: bytes) -> tuple[str, ...]:
    said = []
    if record.scores is not None and record.scores.is_constant:
        said.append("It predicts the same for every validation row: it has learnt nothing of them.")
    if record.stopped:
        said.append(f"It was stopped after {record.options.seconds:g} s, in epoch {len(record.epochs) - 1}.")
    if not weights and not record.failure:
        said.append(f"Its weights did not come out (at most {LARGEST_WEIGHTS // MiB} MiB): it cannot be tested.")
    return tuple(said)


_Outcome = tuple[Predictions | None, str, str]
"""Predictions in the order of the rows, failure, warning."""


async def _tested(trained: Trained, split: Split, x: NDArray[np.float32], execute: Execute) -> _Outcome:
    """What one training predicts for the sealed rows."""
    rng = np.random.default_rng(secrets.randbits(64))
    twice = rng.permutation(len(x))[:_TWICE]
    order = rng.permutation(np.concatenate([np.arange(len(x)), twice]))
    options = trained.record.options
    files = {"rows_x.npy": write_array(x[order]), "weights.pt": trained.weights}
    program = _program(
        "predict_rows", trained.model, files, {"threads": options.threads}, trained.record.seed, ("predictions.npy",)
    )
    shape = (len(order), trained.model.outputs)
    result = await execute(program, _limits(program, 4 * math.prod(shape), options))
    if failure := _check(result):
        return None, failure, ""
    try:
        found = _believed(read_array(_artifact(result, "predictions.npy"), np.float32, shape), split)
    except ValueError as error:
        return None, f"The predictions were refused. {error}", ""
    _, first = np.unique(order, return_index=True)
    last = len(order) - 1 - np.unique(order[::-1], return_index=True)[1]
    unit = 1.0 if split.data.classes else _target(split)[1]
    apart = float(np.abs(found[first] - found[last]).max()) / unit
    warning = "" if apart <= _APART else "What it says of a row depends on the rows around it, or on chance."
    return found[first], "", warning


def _scored_test(mine: Sequence[_Outcome], labels: Labels, classes: Sequence[str], metric: Metric) -> TestedModel:
    known = [predictions for predictions, _, _ in mine if predictions is not None]
    bounds = interval(metric, labels, known[0]) if known else None
    low, high = bounds or (None, None)
    return TestedModel(
        values=tuple(None if one is None else metric.value(labels, one) for one, _, _ in mine),
        failures=tuple(failure for _, failure, _ in mine),
        low=low,
        high=high,
        scores=scores_of(labels, known[0], classes) if known else None,
        warnings=tuple(sorted({warning for _, _, warning in mine if warning})),
    )
