"""Reports of an evaluation of unit tests: JSON lines, JSON and Markdown.

Each file is written whole or not at all. What they are made of lies in the run store.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.applications.unit_tests.results import TestsResult
from orchestrator.jobs.reports import write_files

FILES = ("results.jsonl", "report.json", "report.md")


def write_reports(result: TestsResult, folder: Path) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    return write_files(
        folder, result.as_json(), {"report.md": markdown(result)}, f"fumehood eval unit-tests --resume {result.run.id}"
    )


def markdown(result: TestsResult) -> str:
    """The report as Markdown."""
    told = result.as_json()
    model = result.run.model.model if result.run.model else "given tests"
    lines = [
        f"# Unit tests for {result.job.dataset or 'functions'} by {model}",
        "",
        f"- run {result.run.id} ({result.run.state}), sandbox image {result.run.image[:19] or 'unknown'}",
        f"- {told['samples']} answers for {told['tasks']} functions, temperature {result.job.temperature:g}, "
        f"seed {result.job.seed}",
        f"- valid on the reference: {_percent(told['valid_rate'])}",
        f"- mean mutation score of valid answers: {_percent(told['mean_mutation_score'])}",
        f"- mean reward: {_percent(told['mean_reward'])}",
        f"- worthless: {told['worthless']}, flaky: {told['flaky']}, unscored: {told['unscored']}",
        *([f"- drawn {result.answers.drawn_without}"] if result.answers.without else []),
        f"- an answer passes with a mutation score of {result.job.threshold:g}",
        "",
        "| | value | 95 % interval over functions | functions |",
        "|---|---|---|---|",
        *(
            f"| pass@{one.k} | {_percent(one.value)} | {_percent(one.low)} to {_percent(one.high)} | {one.tasks} |"
            for one in result.estimates
        ),
        "",
        "| function | answer | verdict | reward | lines | branches | killed | equivalent |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row.task_id} | {row.completion_id} | {row.verdict} | {'' if row.reward is None else f'{row.reward:.2f}'}"
            f" | {_percent(row.line_coverage)} | {_percent(row.branch_coverage)} | {row.killed} of {row.killed + row.survived}"
            f" | {row.equivalent} |"
            for row in result.rows
        ),
    ]
    if result.problems:
        lines += ["", "## Left out, and noted", "", *(f"- {problem}" for problem in result.problems)]
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
