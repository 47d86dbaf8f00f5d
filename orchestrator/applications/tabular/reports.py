"""Reports of a job: JSON lines, JSON, Markdown, one HTML page that needs no other file, and the winning code as `best.py`.

`report.html`, `report.md` and `best.txt` in this folder are the templates. What they are made of lies in the run store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.applications.tabular.calibration import SHARES, Calibration, Residuals
from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.features import Tried
from orchestrator.applications.tabular.finalists import Sealed
from orchestrator.applications.tabular.importances import Importance
from orchestrator.applications.tabular.metrics import METRICS
from orchestrator.applications.tabular.results import Outcome, Scored, TabularResult
from orchestrator.applications.tabular.standalone import standalone
from orchestrator.jobs.branching import was_scored
from orchestrator.jobs.reports import FACTS, ROWS, render, write_files
from orchestrator.scoring.paired import Difference
from orchestrator.types import Attempt

BEST = "best.py"
PAGES = ("report.md", "report.html")
FILES = (ROWS, FACTS, *PAGES, BEST)
_WIDTH, _HEIGHT, _MARGIN = 640, 240, 24
_SIDE = 240
_MOST_COLUMNS = 20
"""Of the importances that a page shows; `report.json` has all."""


def write_reports(result: TabularResult, folder: Path) -> list[Path]:
    """Write all files and return their paths; `best.py` where there is a winner.

    Raises:
        StoreError, UsageError: one cannot be written, or would replace what is not of this run.
    """
    values = _values(result)
    pages = {name: render(f"applications/tabular/{name}", **values) for name in PAGES}
    best = {}
    if result.outcome is not None:
        source = standalone(result.job, result.table, result.outcome, values["headline"])
        best[BEST] = source.encode("utf-8", "backslashreplace")
    return write_files(folder, result.as_json(), pages, f"fumehood solve tabular --resume {result.run.id}", best)


def _values(result: TabularResult) -> dict[str, Any]:
    """What both pages say."""
    outcome = result.outcome
    model = result.run.model.model if result.run.model else "no model"
    return {
        "title": f"{result.table.target} of {result.table.name}, by {model}",
        "headline": _headline(result),
        "facts": _facts(result),
        "metric": result.metric,
        "profile": result.profile,
        "baselines": [_scored(one) for one in result.standing.baselines],
        "finalists": [_scored(one) for one in outcome.finalists] if outcome else [],
        "features": [_tried(one) for one in result.standing.features],
        "sealed": [sealed_row(name, one) for name, one in outcome.sealed.items()] if outcome else [],
        "findings": outcome.audit.findings if outcome and outcome.audit else [],
        "classes": outcome.classes if outcome else (),
        "bands": outcome.bands if outcome else (),
        "calibration": outcome.calibration if outcome else None,
        "reliability": _reliability(outcome.calibration) if outcome and outcome.calibration else {},
        "residuals": _residuals(outcome.residuals) if outcome and outcome.residuals else [],
        "shares": [f"{share:.0%}" for share in SHARES],
        "importances": [_importance(one) for one in outcome.importances[:_MOST_COLUMNS]] if outcome else [],
        "more_columns": max(0, len(outcome.importances) - _MOST_COLUMNS) if outcome else 0,
        "code": outcome.candidate.code if outcome else "",
        "tree": _tree(result.of("candidate")),
        "control": [_node(attempt).text for attempt in result.of("control")],
        "picture": _picture(result),
        "problems": [*result.profile.warnings, *result.problems],
    }


def _headline(result: TabularResult) -> str:
    outcome = result.outcome
    if outcome is None or outcome.score.value is None:
        return "no candidate could be scored"
    between = _between(outcome.score)
    between = f" (95 % interval {between})" if between else ""
    return f"{result.metric} {outcome.score.value:.4g}{between} on {outcome.sealed_rows} rows that nobody had seen"


def _facts(result: TabularResult) -> list[str]:
    summary, job = result.summary(), result.job
    opened = result.standing.opened
    return [
        f"{summary['answers']} answers, {summary['scored']} of them scored; {summary['control_answers']} of the control",
        f"{summary['tokens']} tokens, {result.wall_time:.0f} seconds; seed {job.seed}, temperature {job.temperature:g}",
        f"The sealed rows were opened {'once' if opened == 1 else f'{opened} times'}",
        f"Run {result.run.id} ({result.run.state}), sandbox image {result.run.image[:19] or 'unknown'}",
    ]


def _scored(one: Scored) -> dict[str, str]:
    return {
        "name": one.name,
        "value": number(one.value),
        "noise": "" if one.standard_error is None else f"±{one.standard_error:.2g}",
        "lead": lead(one.lead),
    }


def _tried(one: Tried) -> dict[str, str]:
    failed = f"failed: {one.failure.splitlines()[-1]}" if one.failure else ""
    return {
        "name": one.feature.name,
        "kept": "yes" if one.kept else "no",
        "gain": failed or lead(one.gain),
        "reason": one.feature.reason,
    }


def notes(outcome: Outcome) -> list[str]:
    """What is to be said on a screen of the winner beside its score, a sentence each."""
    used = [one for one in outcome.importances if one.loss is not None and one.loss.low > 0]
    found = []
    if used:
        shown = ", ".join(f"{one.column} ({one.loss.mean:.2g})" for one in used[:5] if one.loss is not None)
        found.append(f"The winner takes most from {shown}.")
    if outcome.calibration is not None:
        off, error = "" if outcome.calibration.is_off else "not ", outcome.calibration.error
        found.append(f"Its probabilities are {off}off by more than chance explains (expected calibration error {error:.3f}).")
    if outcome.residuals is not None:
        low, _, middle, _, high = outcome.residuals.quantiles
        found.append(f"Prediction minus target: median {middle:+.3g}, nine of ten between {low:+.3g} and {high:+.3g}.")
    return found


def _importance(one: Importance) -> dict[str, str]:
    return {"column": one.column, "loss": lead(one.loss) or "not defined"}


def _residuals(found: Residuals) -> list[dict[str, Any]]:
    """Errors by band of the prediction, then over all rows."""

    def row(predicted: str, target: str, rows: int, errors: Sequence[float]) -> dict[str, Any]:
        return {"predicted": predicted, "target": target, "rows": rows, "errors": [f"{error:+.4g}" for error in errors]}

    bands = [row(f"{one.predicted:.4g}", f"{one.target:.4g}", one.rows, one.quantiles) for one in found.bands]
    return [*bands, row("all", "", found.rows, found.quantiles)]


def _reliability(found: Calibration) -> dict[str, Any]:
    """Predicted and found as places in a square picture."""

    def place(share: float) -> float:
        return round(_MARGIN + share * (_SIDE - 2 * _MARGIN), 1)

    return {
        "side": _SIDE,
        "low": place(0),
        "high": place(1),
        "dots": [
            {
                "x": place(one.predicted),
                "y": _SIDE - place(one.found),
                "low": _SIDE - place(one.low),
                "high": _SIDE - place(one.high),
                "title": f"{one.rows} rows: predicted {one.predicted:.1%}, found {one.found:.1%}",
            }
            for one in found.bins
        ],
    }


def sealed_row(name: str, one: Sealed) -> dict[str, str]:
    """One candidate on the sealed rows, for people."""
    return {"name": name, "value": number(one.value), "interval": _between(one), "lead": lead(one.lead)}


def number(value: float | None) -> str:
    """A value of the metric."""
    return "failed" if value is None else f"{value:.4g}"


def lead(found: Difference | None) -> str:
    """A difference with its interval, and whether the data can tell."""
    if found is None:
        return ""
    resolved = "" if found.is_resolved else ", not resolved"
    return f"{found.mean:+.3g} ({100 * found.level:.0f} % interval {found.low:+.3g} to {found.high:+.3g}{resolved})"


def _between(one: Sealed) -> str:
    return "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"


@dataclass
class Node:
    """An attempt in the tree, with those that were made of it."""

    text: str
    feedback: str
    report: str
    code: str
    children: list[Node] = field(default_factory=list)


def _tree(attempts: list[Attempt]) -> list[Node]:
    nodes = {attempt.index: _node(attempt) for attempt in attempts}
    roots: list[Node] = []
    for attempt in attempts:
        siblings = roots if attempt.parent is None else nodes[attempt.parent].children
        siblings.append(nodes[attempt.index])
    return roots


def _node(attempt: Attempt) -> Node:
    details = TabularDetails.of(attempt)
    if attempt.same_as is not None:
        what = f"repeats attempt {attempt.same_as}"
    elif details.value is not None:
        noise = "" if details.standard_error is None else f" ±{details.standard_error:.2g}"
        what = f"{details.value:.4g}{noise}{', a gain' if details.is_gain else ''}"
    else:
        came = f", {details.stages[-1]}" if details.stages else ""
        what = f"{attempt.verdict}{came}"
    return Node(f"attempt {attempt.index}: {what}", attempt.feedback, details.report, attempt.code)


@dataclass
class Dot:
    """An attempt in the picture."""

    x: float
    y: float
    title: str
    kind: str


def _picture(result: TabularResult) -> dict[str, Any]:
    """Scores over attempts as places in a picture; empty where nothing was scored."""
    dots = [
        (place, TabularDetails.of(attempt).value, attempt)
        for kind in ("candidate", "control")
        for place, attempt in enumerate(result.of(kind))
        if was_scored(attempt)
    ]
    lines = [(one.name, one.value) for one in result.standing.baselines if one.value is not None]
    values = [value for _, value, _ in dots if value is not None] + [value for _, value in lines]
    if not dots:
        return {}
    low, high = min(values), max(values)
    last = max(max(len(result.of("candidate")), len(result.of("control"))) - 1, 1)
    metric = METRICS[result.metric]

    def x(place: int) -> float:
        return round(_MARGIN + place / last * (_WIDTH - 2 * _MARGIN), 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _MARGIN - (value - low) / ((high - low) or 1) * (_HEIGHT - 2 * _MARGIN), 1)

    best, steps = None, []
    for place, value, attempt in dots:
        if attempt.kind == "candidate" and value is not None:
            best = value if best is None or metric.score(value) > metric.score(best) else best
            steps.append(f"{x(place)},{y(best)}")
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "dots": [
            Dot(x(place), y(value), _node(attempt).text, attempt.kind) for place, value, attempt in dots if value is not None
        ],
        "best": " ".join(steps),
        "lines": [{"name": name, "y": y(value)} for name, value in lines],
        "low": f"{low:.4g}",
        "high": f"{high:.4g}",
    }
