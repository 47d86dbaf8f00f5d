"""`fumehood runs`: what the run store holds. People see everything here, hidden tests included."""

from __future__ import annotations

import difflib
import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.manual import Commands
from orchestrator.cli.messages import note
from orchestrator.cli.shared import RUN, Json, console, guarded, nothing_of, number, out_json, store
from orchestrator.errors import UsageError
from orchestrator.printable import counted

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.types import Attempt, ExecutionResult, RunRecord

_ABOUT = 28
"""Characters that say what a run is about."""
runs_app = Commands(help="Show recorded runs.", no_args_is_help=True, rich_markup_mode=None)


@runs_app.command()
@guarded
def ls(limit: Annotated[int, typer.Option(metavar="N", help="Show at most N runs.")] = 20, json_: Json = False) -> None:
    """List runs, newest first."""
    if limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}.", remedy="Leave it out for 20.")
    with store(to_read=True) as records:
        runs = records.runs(limit)
        counts = {run.id: records.count_attempts(run.id) for run in runs}
    if json_:
        out_json([run.model_dump(mode="json") | {"attempts": counts[run.id]} for run in runs])
        return
    if not runs:
        note("No run yet. Start one, for example: fumehood solve loss --demo")
        return
    from rich.table import Table

    screen = console()
    rows = [(run.id, _cut(_what(run), _ABOUT), run.state, _accepted(run)) for run in runs]
    widths = [max(map(len, column)) for column in zip(*rows, ("run", "what", "state", "accepted"), strict=True)]
    room = max(8, screen.width - sum(width + 2 for width in widths))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "what", "state", "accepted", "model"):
        table.add_column(name, no_wrap=name in ("run", "state", "accepted"))
    for run, row in zip(runs, rows, strict=True):
        table.add_row(*row, _cut(_answered_by(run), room))
    screen.print(table)


@runs_app.command()
@guarded
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN)] = "last",
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Only this task.")] = None,
    attempt: Annotated[int | None, typer.Option(metavar="N", help="All of one attempt: prompt, answer, code, results.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only attempts that were not accepted.")] = False,
    json_: Json = False,
) -> None:
    """Show a run and its attempts."""
    from orchestrator.types import Verdict

    if attempt is not None:
        nothing_of("--attempt names one", {"--failed": failed})
    with store(to_read=True) as records:
        record = records.run(run)
        attempts = sorted(records.attempts(record.id), key=lambda item: (_in_numbers(item.task), item.index))
    every = len(attempts)
    if failed:
        attempts = [item for item in attempts if item.verdict is not Verdict.ACCEPTED]
    if task is not None:
        known = list(dict.fromkeys(item.task for item in attempts))
        if task not in known:
            near = difflib.get_close_matches(task, known, n=3) or known[:8]
            some = ", ".join(near) + ", ..." * (len(near) < len(known)) if known else "none"
            raise UsageError(f"Run {record.id} has no attempt for task {task!r}.", remedy=f"It has: {some}.")
        attempts = [item for item in attempts if item.task == task]
    if attempt is not None:
        attempts = [item for item in attempts if item.index == attempt]
        if not attempts:
            raise UsageError(f"Run {record.id} has no attempt {attempt}.", remedy=f"`fumehood runs show {record.id}` lists them.")
        if len(attempts) > 1:
            raise UsageError(
                f"Several tasks have an attempt {attempt}.", remedy=f"Add --task: {', '.join(item.task for item in attempts)}."
            )
    if json_:
        out_json(record.model_dump(mode="json") | {"attempts": [item.model_dump(mode="json") for item in attempts]})
    elif attempt is not None:
        _show_attempt(console(), attempts[0])
    else:
        _show_run(console(), record, attempts, every)


@runs_app.command()
@guarded
def rm(run: Annotated[str, typer.Argument(metavar="RUN", help=RUN)], json_: Json = False) -> None:
    """Remove a run and its attempts from the store."""
    with store() as records:
        gone = records.rm(run)
    if json_:
        out_json({"removed": gone})
    else:
        note(f"Removed {gone}.")


def _show_run(screen: Console, run: RunRecord, attempts: list[Attempt], every: int) -> None:
    """A run with some of its attempts; `every` is how many it has."""
    from rich.table import Table

    lines = [("run", run.id), ("kind", run.kind), ("state", run.state), ("began", _when(run.created))]
    if run.finished is not None:
        lines.append(("took", f"{run.finished - run.created:.0f} s"))
    if run.model is not None:
        lines.append(("model", " ".join(part for part in (run.model.model, run.model.server, run.model.sha) if part)))
    lines.append(("image", run.image))
    options = [(name, _in_words(value)) for name, value in run.config.items() if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in options), default=0)
    lines += [("" if number else "options", f"{name:{width}}  {value}") for number, (name, value) in enumerate(options)]
    for name, value in lines:
        screen.print(f"{name:10}{value}", soft_wrap=True)
    for report in _listed(run.summary.get("training")):
        accuracy = (
            f"{report['accuracy']:.1%}, stock {report['stock_accuracy']:.1%}"
            if report.get("accuracy") is not None
            else report["failure"]
        )
        screen.print(
            f"{'training':10}{report['task']} on {report['dataset']}: {accuracy} {report.get('picture') or ''}", soft_wrap=True
        )
    screen.print()
    if not attempts:
        screen.print(f"{counted(every, 'attempt')}, and each was accepted." if every else "It has no attempt yet.")
        return
    columns: dict[str, list[str]] = {
        "task": [item.task for item in attempts],
        "attempt": [str(item.index) for item in attempts],
        "kind": [item.kind for item in attempts],
        "round": [str(item.round) for item in attempts],
        "sample": [str(item.sample) for item in attempts],
        "corrects": ["" if item.parent is None else str(item.parent) for item in attempts],
        "verdict": [str(item.verdict) for item in attempts],
        "fault": [str(item.fault) for item in attempts],
        "tokens": [str(item.completion.usage.completion_tokens) for item in attempts],
        "feedback": [" ".join((item.feedback or _why(item.hidden)).split())[:100] for item in attempts],
    }
    nothing = {"round": "0", "sample": "0", "corrects": "", "fault": "none", "tokens": "0", "feedback": ""}
    shown = {name: cells for name, cells in columns.items() if {*cells} != {nothing.get(name)}}
    table = Table(box=None)
    for name in shown:
        table.add_column(name, no_wrap=name != "feedback")  # what is too wide for a terminal is taken from the feedback
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    screen.print(table)


_FACTS = {"blamed", "own_tests", "score", "done", "same_as", "extracted", "details"}


def _show_attempt(screen: Console, item: Attempt) -> None:
    usage = item.completion.usage
    screen.print(
        f"{item.task}, attempt {item.index}: {item.kind}, round {item.round} sample {item.sample}"
        + (f", corrects attempt {item.parent}" if item.parent is not None else "")
    )
    cost = ""
    if item.completion.was_drawn:
        cost = (
            f"; {usage.prompt_tokens} + {usage.completion_tokens} tokens, {item.completion.wall_time:.1f} s,"
            f" seed {item.completion.seed}, temperature {item.sampling.temperature}"
        )
    screen.print(f"{item.verdict}, fault: {item.fault}, reward: {item.reward}{cost}", soft_wrap=True)
    for message in item.messages:
        _section(screen, f"prompt ({message.role})", message.content)
    _section(screen, "reasoning", item.completion.reasoning)
    _section(screen, f"answer ({item.completion.reason or item.completion.finish_reason})", item.completion.text)
    _section(screen, "not answerable: the server refused the prompt", item.completion.refused)
    _section(screen, "code", item.code, python=True)
    _section(screen, "feedback", item.feedback)
    _section(screen, "hint", item.hint)
    facts = item.model_dump(mode="json", include=_FACTS, exclude_defaults=True) | item.evidence
    _section(screen, "evidence", json.dumps(facts, indent=2) if facts else "")
    _show_result(screen, "visible checks", item.report)
    _show_result(screen, "hidden tests", item.hidden)


def _show_result(screen: Console, title: str, result: ExecutionResult | None) -> None:
    if result is None:
        return
    measures = f"{result.wall_time:.2f} s, {result.cpu_time:.2f} s CPU, {result.memory_peak / 2**20:.0f} MiB"
    lines = [f"{result.status}, {result.verdict}, {measures}"]
    lines += [f"{test.outcome:8}{test.name}" + (f"\n{_indented(test.message)}" if test.message else "") for test in result.tests]
    lines += [text for text in (result.collection_error, result.detail) if text]
    lines += [
        f"{name}:\n{_indented(text)}" for name, text in (("stdout", result.stdout), ("stderr", result.stderr)) if text.strip()
    ]
    _section(screen, title, "\n".join(lines))


def _section(screen: Console, title: str, text: str, *, python: bool = False) -> None:
    if not text.strip():
        return
    screen.print()
    screen.print(f"== {title}", style="bold")
    if python and screen.is_terminal:
        from rich.syntax import Syntax

        screen.print(Syntax(text.rstrip("\n"), "python", background_color="default", word_wrap=True))
    else:
        screen.print(text.rstrip("\n"), soft_wrap=True)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip("\n").splitlines())


def _why(result: ExecutionResult | None) -> str:
    """The last line of what a failed test says."""
    messages = [test.message for test in result.tests if test.outcome in ("failed", "error")] if result is not None else []
    lines = [line for line in (messages[0].splitlines() if messages else []) if not line.startswith(" +")]
    return lines[-1] if lines else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _what(run: RunRecord) -> str:
    """What a run is about: its kind, and its data set, table, tasks or functions."""
    tasks = [str(one) for name in ("tasks", "subjects") for one in _names(run.config.get(name))]
    data = next((run.config[name] for name in ("dataset", "source", "folder") if run.config.get(name)), "")
    about = Path(str(data)).name or ", ".join(tasks[:2]) + (", ..." if len(tasks) > 2 else "")
    return f"{run.kind} {about}".strip()


def _answered_by(run: RunRecord) -> str:
    """The model of a run, or the file that its answers come from."""
    samples = run.config.get("samples")
    return run.model.model if run.model else f"{Path(samples).name} (file)" if isinstance(samples, str) and samples else ""


def _names(value: object) -> list[object]:
    """The items of a list, those that have a name by that."""
    listed = value if isinstance(value, list) else []
    return [one.get("name", one) if isinstance(one, dict) else one for one in listed]


def _in_words(value: object) -> str:
    """The value of an option in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, _names(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    first, *rest = str(number(value)).splitlines() or [""]
    return f"{first} ... ({len(rest) + 1} lines)" if rest else first


def _in_numbers(name: str) -> list[tuple[int, str]]:
    """What sorts names as people count: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _accepted(run: RunRecord) -> str:
    """How many were accepted, of how many."""
    tasks, verdicts = run.config.get("tasks"), run.summary.get("verdicts")
    if isinstance(tasks, list):
        return f"{run.summary.get('accepted', 0)} of {len(tasks)}"
    return f"{verdicts.get('accepted', 0)} of {run.summary.get('samples', 0)}" if isinstance(verdicts, dict) else ""


def _listed(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S} {time.strftime('%Z', time.localtime(seconds))}"
