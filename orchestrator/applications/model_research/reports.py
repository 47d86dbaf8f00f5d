"""The pages and files of a search: its run directory, with the network, the registry, pictures and a report.

`report.html` and `report.md` in this folder are the templates. What they are made of lies in the run store.

Left out: the pictures themselves (`plots.py`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.applications.model_research import plots
from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.directory import MODEL, RunDirectory
from orchestrator.applications.model_research.dynamics import dynamics_of
from orchestrator.applications.model_research.results import BASELINE, WINNER, Outcome, ResearchResult, iteration
from orchestrator.applications.model_research.work import short
from orchestrator.jobs.branching import was_scored
from orchestrator.jobs.reports import render
from orchestrator.printable import printable
from orchestrator.scoring.classes import Classified
from orchestrator.scoring.metrics import METRICS
from orchestrator.types import Attempt

PAGES = ("report.md", "report.html")


def write_directory(result: ResearchResult, directory: RunDirectory) -> list[Path]:
    """Write everything that the run directory holds, and return the paths.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    directory.write_registry([iteration(attempt) for attempt in result.attempts])
    written = [directory.path / "experiments" / "registry.json"]
    pictures = _pictures(result)
    if result.outcome is not None:
        written.append(directory.write(MODEL, result.outcome.code.encode("utf-8", "backslashreplace")))
    written += [directory.write(f"plots/{name}.png", content) for name, content in pictures.items()]
    values = _values(result, pictures)
    for name in PAGES:
        page = printable(render(f"applications/model_research/{name}", **values))
        written.append(directory.write(name, page.encode("utf-8", "backslashreplace")))
    return written


def lead(outcome: Outcome) -> str:
    """How the winner does beside the baseline."""
    return f"The winner against the baseline: {outcome.lead.sentence}"


def headline(result: ResearchResult) -> str:
    """The end in one sentence."""
    outcome = result.outcome
    made_up = "SYNTHETIC DATA: " if result.facts.synthetic else ""
    if outcome is None:
        return f"{made_up}no network could be trained"
    sealed = outcome.sealed[WINNER]
    value = "failed" if sealed is None else f"{result.metric} {sealed}"
    text = f"{made_up}{value} on {result.facts.test} rows that nobody had seen"
    target = result.goal.target
    if target is None:
        return text
    verdict = (
        "reached" if outcome.surely else "reached by the mean, not by the whole interval" if outcome.reached else "not reached"
    )
    return f"{text}; the goal of {target:g} is {verdict}"


def sealed_rows(result: ResearchResult) -> list[tuple[str, str, str, str]]:
    """Winner and baseline on the sealed rows, for people."""
    outcome = result.outcome
    if outcome is None:
        return []
    rows = []
    for name in (WINNER, BASELINE):
        found, trained = outcome.sealed[name], outcome.trainings[name]
        between = "" if found is None or found.low is None else f"{found.low:.4g} to {found.high:.4g}"
        rows.append((name, "failed" if found is None else f"{found.mean:.4g}", between, f"{trained[0].parameters:,}"))
    return rows


def _values(result: ResearchResult, pictures: dict[str, bytes]) -> dict[str, Any]:
    """What both pages say."""
    outcome = result.outcome
    scores = outcome.tested[WINNER].scores if outcome else None
    model = result.run.model.model if result.run.model else "no model"
    return {
        "title": f"{result.goal.text}, by {model}",
        "headline": headline(result),
        "card": result.card,
        "facts": _facts(result),
        "metric": result.metric,
        "sealed": sealed_rows(result),
        "lead": lead(outcome) if outcome else "",
        "classes": scores.classes if isinstance(scores, Classified) else (),
        "dynamics": _dynamics(outcome),
        "pictures": {name: base64.b64encode(content).decode() for name, content in pictures.items()},
        "tree": _tree(result),
        "code": outcome.code if outcome else "",
        "summary": outcome.summary if outcome else "",
        "problems": [*result.problems, *_warnings(outcome)],
    }


def _facts(result: ResearchResult) -> list[str]:
    opened = result.standing.opened
    scored = sum(map(was_scored, result.attempts))
    chance = "" if result.chance is None else f"; by the shares of the classes alone {result.metric} is {result.chance:.3g}"
    usage = result.usage
    return [
        f"{len(result.attempts)} plans, {scored} of them trained{chance}",
        f"{usage.prompt_tokens + usage.completion_tokens} tokens, {result.wall_time:.0f} seconds; seed {result.job.seed}",
        f"The sealed rows were opened {'once' if opened == 1 else f'{opened} times'}",
        *([result.outcome.canary.sentence] if result.outcome is not None else []),
        f"Run {result.run.id} ({result.run.state}), sandbox image {result.run.image[:19] or 'unknown'}",
    ]


def _dynamics(outcome: Outcome | None) -> list[str]:
    if outcome is None:
        return []
    found = {one.seed: dynamics_of(one) for one in outcome.trainings[WINNER]}
    return [f"seed {seed}: {' '.join(one.sentences)}" for seed, one in found.items() if one is not None]


def _warnings(outcome: Outcome | None) -> list[str]:
    return [] if outcome is None else sorted({text for one in outcome.tested.values() for text in one.warnings})


def _pictures(result: ResearchResult) -> dict[str, bytes]:
    """PNG by name; what the result has nothing for is left out.

    ROC and precision with recall need predictions for the sealed rows, which only the process that opened them has.
    """
    outcome, facts = result.outcome, result.facts
    nodes = [
        plots.Node(
            index=attempt.index,
            parent=attempt.parent,
            label=f"plan {attempt.index}",
            value=training.value if (training := ResearchDetails.of(attempt).training) is not None else None,
        )
        for attempt in result.attempts
    ]
    found = {"attempts": plots.attempts(nodes, result.metric, facts)} if nodes else {}
    if outcome is None:
        return found
    if any(record.epochs for record in outcome.trainings[WINNER]):
        found["learning_curves"] = plots.learning_curves(outcome.trainings[WINNER])
    scores = outcome.tested[WINNER].scores
    if isinstance(scores, Classified):
        found |= {"confusion": plots.confusion(scores, facts), "classes": plots.class_bars(scores, facts)}
        if result.tested is not None and result.tested.predictions[WINNER]:
            names = [one.name for one in scores.classes]
            predictions = result.tested.predictions[WINNER][0]
            found["roc_and_precision"] = plots.roc_and_precision(result.tested.labels, predictions, names, facts)
    return found


@dataclass
class Node:
    """An attempt in the tree, with those that were made of it."""

    text: str
    hypothesis: str
    feedback: str
    layers: str
    code: str
    notes: tuple[str, ...]
    children: list[Node] = field(default_factory=list)


def _tree(result: ResearchResult) -> list[Node]:
    nodes = {attempt.index: _node(result, attempt) for attempt in result.attempts}
    roots: list[Node] = []
    for attempt in result.attempts:
        siblings = roots if attempt.parent is None else nodes[attempt.parent].children
        siblings.append(nodes[attempt.index])
    return roots


def _node(result: ResearchResult, attempt: Attempt) -> Node:
    details = ResearchDetails.of(attempt)
    training = details.training
    if attempt.same_as is not None:
        what = f"repeats plan {attempt.same_as}"
    elif training is not None and training.value is not None:
        what = f"{METRICS[result.metric].name} {training.value:.4g}, {training.parameters:,} parameters"
    else:
        what = str(attempt.verdict)
    rungs = [
        f"{result.job.rungs[one.rung]} epochs {one.record.value:.4g}"
        for one in result.standing.rungs
        if one.attempt == attempt.index and one.record.value is not None
    ]
    won = ", the winner" if result.outcome is not None and result.outcome.winner == attempt.index else ""
    return Node(
        text=", ".join([f"plan {attempt.index}: {what}", *rungs]) + won,
        hypothesis=details.assembly.hypothesis,
        feedback=attempt.feedback,
        layers=" ".join(map(short, details.assembly.layers)),
        code=attempt.code,
        notes=details.assembly.notes,
    )
