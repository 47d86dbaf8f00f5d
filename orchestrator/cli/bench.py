"""`fumehood bench`: how fast runs are here, next to what people use today."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.manual import Commands
from orchestrator.cli.messages import note
from orchestrator.cli.shared import Json, console, guarded, out_json, run_async, settings
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.checks.bench.figures import Figures

bench_app = Commands(
    help="Measure speed next to yardsticks, on the same machine at the same time.", no_args_is_help=True, rich_markup_mode=None
)

_Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="New file for the plot: .png, .svg or .pdf. [in FUMEHOOD_HOME]")]
_Workers = Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Sandboxes, and runs at once.")]


@bench_app.command("humaneval")
@guarded
def humaneval(
    workers: Annotated[str, typer.Option(metavar="N[,N...]", help="Sandboxes, and workers of the harness.")] = "2",
    runs: Annotated[int, typer.Option(metavar="K", min=1, help="Rounds of each, taking turns.")] = 3,
    tasks: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N problems.")] = None,
    plot: _Plot = None,
    json_: Json = False,
) -> None:
    """Judge HumanEval's reference solutions, in turns with OpenAI's unsandboxed harness."""
    from orchestrator.checks.bench.humaneval import bench_humaneval

    _report(
        "humaneval",
        lambda: bench_humaneval(settings(), workers=_numbers(workers, "--workers"), rounds=runs, tasks=tasks, say=note),
        plot,
        json_,
    )


@bench_app.command("torch")
@guarded
def torch(
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Number of sandboxed runs, and of forks.")] = 60,
    docker_runs: Annotated[int, typer.Option(metavar="N", min=1, help="Number of `docker run` calls.")] = 5,
    plot: _Plot = None,
    json_: Json = False,
) -> None:
    """Test a small torch loss, next to `docker run` for each test and to a bare fork."""
    from orchestrator.checks.bench.torch import bench_torch

    _report("torch", lambda: bench_torch(settings(), runs=runs, docker_runs=docker_runs, say=note), plot, json_)


@bench_app.command("container")
@guarded
def container(
    workers: _Workers = 2,
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each kind.")] = 20,
    plot: _Plot = None,
    json_: Json = False,
) -> None:
    """A container for each run, from the warm pool, next to `docker run`."""
    from orchestrator.checks.bench.container import bench_container

    _report("container", lambda: bench_container(settings(), workers=workers, runs=runs, say=note), plot, json_)


@bench_app.command("queue")
@guarded
def queue(
    workers: _Workers = 2,
    runs: Annotated[str, typer.Option(metavar="N[,N...]", help="Numbers of runs, in growing order.")] = "10,100,1000,10000",
    plot: _Plot = None,
    json_: Json = False,
) -> None:
    """Growing numbers of runs: time must be linear, memory flat, and none lost or doubled."""
    from orchestrator.checks.bench.queue import bench_queue

    _report("queue", lambda: bench_queue(settings(workers=workers), sizes=_numbers(runs, "--runs"), say=note), plot, json_)


def _numbers(text: str, option: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"{option} {text!r} is not a list of whole numbers from 1.", remedy="Write 2, or 1,2,4,8.")
    return numbers


def _report(kind: str, work: Callable[[], Coroutine[Any, Any, Figures]], plot: Path | None, json_: bool) -> None:
    from orchestrator.checks.bench.pictures import check_picture, draw

    if plot is not None:
        check_picture(plot)
    figures = run_async(work())
    path = draw(kind, figures, plot or settings().home / "bench" / f"{kind}.png")
    if json_:
        out_json(figures | {"plot": str(path)})
    else:
        _show(kind, figures)
    note(f"Picture: {path}")
    missed = [name for name, budget in figures["budgets"].items() if not budget["met"]]
    if missed:
        note(f"Not within budget: {', '.join(missed)}.")
    if not figures["valid"]:
        note("Not every run ended as it must, so these figures say nothing about speed.")
    raise typer.Exit(0 if figures["valid"] and not missed else 1)


def _show(kind: str, figures: Figures) -> None:
    """What is held to a budget first, then all that was measured."""
    from rich.table import Table

    held = Table(f"bench {kind}", "measured", "budget", "")
    for name, budget in figures["budgets"].items():
        side, limit = next((key, value) for key, value in budget.items() if key.startswith("at_"))
        met = "met" if budget["met"] else "not met"
        held.add_row(_words(name), _short(budget["found"]), f"{side.replace('_', ' ')} {_short(limit)}", met)
    rest = Table("figure", "value", box=None)
    for name, value in _rows({name: value for name, value in figures.items() if name not in ("budgets", "valid")}):
        rest.add_row(_words(name), value)
    screen = console()
    screen.print(held)
    screen.print(rest)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _rows(figures: Figures, prefix: str = "") -> list[tuple[str, str]]:
    """Figures as lines: nested ones by their path, lists of rows numbered by what they were run with."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if name == "by_workers" and len(value) == 1:
            continue
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for row in value:
                rows += _rows(row, f"{prefix}{name}[{row.get('workers', row.get('runs'))}].")
        elif isinstance(value, list):
            rows.append((prefix + name, ", ".join(_short(item) for item in value)))
        else:
            rows.append((prefix + name, _short(value)))
    return rows


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
