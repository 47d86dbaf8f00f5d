"""A goal in words -> what can be measured: "classify cifar10 with > 70 % accuracy and under 100k parameters".

Read by rules, not by a model, for it decides when a search is over. It is shown back before anything runs, and every part of it
can be set by an option instead.

Left out: goals about anything but one metric and the number of parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from orchestrator.data.images import NAMES, Task
from orchestrator.errors import UsageError
from orchestrator.scoring.metrics import METRICS, Metric
from orchestrator.types import Value


class Goal(Value):
    """What a search is for, as far as words and options say it."""

    text: str
    data: str = ""
    """Name of a data set, or a path; empty where none is named."""
    task: Task | None = None
    """None: decided by the labels."""
    metric: str = ""
    """Of `scoring.metrics.METRICS`; empty where none is named."""
    target: float | None = None
    """What the metric is to reach, in its own unit (accuracy: a share); None: as good as can be had."""
    most_parameters: int | None = Field(default=None, ge=1)
    left_out: tuple[str, ...] = ()
    """Bounds of the text that are no part of the goal here: `within 9 epochs`."""

    def reached_by(self, value: float | None, metric: Metric) -> bool:
        """Whether a value is as good as the target, or better. Never without a target."""
        return self.target is not None and value is not None and metric.score(value) >= metric.score(self.target)


_METRICS = {
    "balanced_accuracy": r"balanced[ -]accuracy",
    "accuracy": r"accuracy|acc\b|correct",
    "f1_macro": r"(?:macro[ -])?f1(?:[ -](?:score|macro))?",
    "roc_auc": r"roc[ -_]?auc|auroc|auc\b",
    "average_precision": r"average[ -]precision|pr[ -_]?auc|auprc",
    "log_loss": r"log[ -]?loss|cross[ -]entropy",
    "rmse": r"rmse|root[ -]mean[ -]squared?(?:[ -]error)?",
    "mae": r"mae\b|mean[ -]absolute[ -]error",
    "r2": r"r2\b|r²|r\^2|r[ -]squared",
}
"""Metric -> how people write it; what comes first wins where two fit."""
_PARAMETERS = re.compile(r"\s*(?:trainable\s+)?(?:parameters?|params?|weights)\b", re.IGNORECASE)
_OTHERS = re.compile(
    r"\s*-?(?:epochs?|steps?|layers?|seconds?|s\b|minutes?|min\b|hours?|h\b|[km]i?b\b|gi?b\b|images?|rows?)", re.IGNORECASE
)
"""What else people bound."""
_BOUND = re.compile(
    r"(?P<most><=?|≤|(?<!\w)(?:(?:no|not)\s+more\s+than|(?:less|fewer|lower|smaller)\s+than|at\s+most|under|below|within|up\s+to))"
    r"|(?P<least>>=?|≥|(?<!\w)(?:(?:more|greater|higher|better|larger)\s+than|at\s+least|above|over|exceed(?:s|ing)?|reach(?:es|ing)?"
    r"|achiev(?:e|es|ing)|beat(?:s|ing)?|of|to))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*=?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s*(%|percent\b|k\b|m\b|thousand\b|million\b))?", re.IGNORECASE)
_PERCENT = ("%", "percent")
_SCALE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}
_TASKS: dict[Task, str] = {
    "classification": r"\bclassif\w*|\brecogni[sz]\w*|\btell\w* apart|\bdistinguish\w*",
    "regression": r"\bregress\w*|\bpredict\w* (?:the |a )?(?:number|value|price|amount)",
}
_PATH = re.compile(r"(?<![\w/.~-])[\w/.~-]+\.(?:npz|csv)\b")


@dataclass(frozen=True)
class _Bound:
    """A number with what it bounds."""

    at_least: bool
    number: float
    unit: str
    start: int
    end: int


def goal_of(text: str) -> Goal:
    """Read a goal.

    Raises:
        UsageError: it says two different things, or something that no metric can be.
    """
    if not text.strip():
        raise UsageError("The goal is empty.", remedy='Say it in words: --goal "digits with > 95 % accuracy".')
    bounds = [*_bounds(text)]
    others = [one for one in bounds if one.unit not in _PERCENT and _OTHERS.match(text, one.end)]
    capped = [one for one in bounds if _PARAMETERS.match(text, one.end)]
    targets = [one for one in bounds if one not in capped and one not in others]
    metric, target = _metric(text, targets)
    return Goal(
        text=text.strip(),
        data=_data(text),
        task=METRICS[metric].task if metric else _task(text),
        metric=metric,
        target=target,
        most_parameters=_cap(capped),
        left_out=tuple(text[one.start : one.end] + _OTHERS.match(text, one.end)[0] for one in others),  # type: ignore[index]  # they match
    )


def _bounds(text: str) -> Iterator[_Bound]:
    for word in _BOUND.finditer(text):
        number = _NUMBER.match(text, word.end())
        if number is not None:
            value, unit = float(number[1].replace(",", "")), (number[2] or "").lower()
            yield _Bound(word["least"] is not None, value * _SCALE.get(unit, 1.0), unit, word.start(), number.end())


def _metric(text: str, bounds: list[_Bound]) -> tuple[str, float | None]:
    """The metric that is named, and what it is to reach."""
    named = [*_named_metrics(text)]
    if len({name for name, _ in named}) > 1 and len(bounds) > 1:
        raise UsageError("The goal names several metrics with a number each.", remedy="Name one; --metric and --target set it.")
    # Where several are named, the one beside the number is meant.
    nearest = min(named, key=lambda one: min((abs(one[1] - bound.start) for bound in bounds), default=one[1]), default=None)
    shares = [bound for bound in bounds if nearest is not None or bound.unit in _PERCENT]
    if not shares:
        return (nearest[0] if nearest else ""), None
    name = nearest[0] if nearest is not None else "accuracy"
    values = {_target(name, bound) for bound in shares}
    if len(values) > 1:
        raise UsageError("The goal has several numbers for one metric.", remedy="Name one; --target sets it.")
    return name, values.pop()


def _named_metrics(text: str) -> Iterator[tuple[str, int]]:
    taken: list[tuple[int, int]] = []
    for name, pattern in _METRICS.items():
        for found in re.finditer(rf"(?<!\w)(?:{pattern})", text, re.IGNORECASE):
            if not any(start < found.end() and found.start() < end for start, end in taken):
                taken.append(found.span())
                yield name, found.start()


def _target(name: str, bound: _Bound) -> float:
    metric = METRICS[name]
    value = bound.number
    if _is_share(name) and (bound.unit in _PERCENT or 1 < value <= 100):
        value /= 100
    if (_is_share(name) and not 0 <= value <= 1) or (name == "r2" and value > 1):
        raise UsageError(f"{name} cannot be {bound.number:g}{bound.unit}.", remedy="It lies between 0 and 1, or 0 and 100 %.")
    if bound.at_least is not metric.greater_is_better:
        word, better = ("at least", "larger") if metric.greater_is_better else ("at most", "smaller")
        raise UsageError(
            f"The goal has a bound of the wrong kind: {name} ({metric.title}) is better when it is {better}.",
            remedy=f"Say {word} so much.",
        )
    return value


def _is_share(name: str) -> bool:
    return METRICS[name].task == "classification" and METRICS[name].greater_is_better


def _cap(bounds: list[_Bound]) -> int | None:
    if any(bound.at_least for bound in bounds):
        raise UsageError("The goal asks for many parameters.", remedy="Say at most how many: under 100k parameters.")
    return int(min(bound.number for bound in bounds)) if bounds else None


def _task(text: str) -> Task | None:
    found = [task for task, pattern in _TASKS.items() if re.search(pattern, text, re.IGNORECASE)]
    return found[0] if len(found) == 1 else None


def _data(text: str) -> str:
    """The data set that is named, or the path of a file."""
    path = _PATH.search(text)
    if path is not None:
        return path[0]
    text = re.sub(r"\bcats?\s+(?:and|or|from|vs\.?|versus)\s+dogs?\b", "cats-dogs", text.lower())
    found = {name for name in NAMES if re.search(rf"(?<!\w){_spelt(name)}(?!\w)", text)}
    if "fashion-mnist" in found:
        found.discard("mnist")
    if len(found) > 1:
        raise UsageError(f"The goal names several data sets: {', '.join(sorted(found))}.", remedy="Name one; --data sets it.")
    return found.pop() if found else ""


def _spelt(name: str) -> str:
    """A pattern for a name with or without what separates its parts."""
    return "[-_ ]?".join(re.findall(r"[a-z]+|\d+", name))
