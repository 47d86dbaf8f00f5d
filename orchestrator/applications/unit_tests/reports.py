"""Reports of an evaluation of unit tests: JSON lines, JSON, Markdown, and one HTML page that needs no other file.

`report.html` and `report.md` in this folder are the templates of the pages. Each file is written whole or not at all. What they
are made of lies in the run store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.applications.unit_tests.results import TestsResult, TestsRow
from orchestrator.jobs.reports import percent, render, write_files
from orchestrator.printable import counted

FILES = ("results.jsonl", "report.json", "report.md", "report.html")


def write_reports(result: TestsResult, folder: Path) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        StoreError, UsageError: one cannot be written, or would replace what is not of this run.
    """
    values = _values(result)
    pages = {name: render(f"applications/unit_tests/{name}", **values) for name in ("report.md", "report.html")}
    return write_files(folder, result.as_json(), pages, f"fumehood eval unit-tests --resume {result.run.id}")


def _values(result: TestsResult) -> dict[str, Any]:
    """What both pages say."""
    model = result.run.model.model if result.run.model else "given tests"
    return {
        "title": f"Unit tests for {result.job.dataset or 'functions'} by {model}",
        "facts": _facts(result),
        "estimates": result.estimates,
        "rows": [_row(row) for row in result.rows],
        "problems": result.problems,
    }


def _facts(result: TestsResult) -> list[str]:
    facts, job = result.as_json(), result.job
    answers = f"{counted(facts['samples'], 'answer')} for {counted(facts['tasks'], 'function')}"
    return [
        f"{answers}, temperature {job.temperature:g}, seed {job.seed}",
        f"Valid on the reference: {percent(facts['valid_rate'])}",
        f"Mean mutation score of valid answers: {percent(facts['mean_mutation_score'])}",
        f"Mean reward: {percent(facts['mean_reward'])}",
        f"Worthless: {facts['worthless']}, flaky: {facts['flaky']}, unscored: {facts['unscored']}",
        *([f"Drawn {result.answers.drawn_without}"] if result.answers.without else []),
        f"An answer passes with a mutation score of {job.threshold:g}",
        f"Run {result.run.id} ({result.run.state}), sandbox image {result.run.image[:19] or 'unknown'}",
    ]


def _row(row: TestsRow) -> dict[str, object]:
    measured = [("lines", row.line_coverage), ("branches", row.branch_coverage)]
    parts = [f"{percent(value)} of {name}" for name, value in measured if value is not None]
    if row.mutation_score is not None:
        parts.append(f"{row.killed} of {counted(row.killed + row.survived, 'mutant')} killed")
    parts += [] if row.reward is None else [f"reward {row.reward:.2f}"]
    return {
        "name": row.task_id if row.completion_id == 0 else f"{row.task_id}, answer {row.completion_id}",
        "verdict": str(row.verdict),
        "brief": ", ".join(parts),
        "message": row.refused or row.message,
        "code": row.code,
    }
