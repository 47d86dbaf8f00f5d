"""The command line: parse, call one function, show.

Results go to stdout, progress and errors to stderr. Exit codes: 0 accepted or healthy, 1 not accepted, 2 wrong usage,
3 infrastructure, 130 and 143 interrupted.

Whatever is slow to import (pydantic included) is imported by the command that needs it, so `fumehood --help` is quick.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from orchestrator import __version__
from orchestrator.cli.bench import bench_app
from orchestrator.cli.collect import collect
from orchestrator.cli.eval import eval_app
from orchestrator.cli.execute import run
from orchestrator.cli.machine import doctor, image_app, model_app
from orchestrator.cli.records import runs_app
from orchestrator.cli.redteam import redteam
from orchestrator.cli.shared import guarded, note, out
from orchestrator.cli.shell import shell
from orchestrator.cli.solve import solve_app, tasks

app = typer.Typer(
    name="fumehood",
    help="Run, judge and correct code written by language models, in sandboxes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(guarded(run))
app.command()(guarded(shell))
app.add_typer(solve_app, name="solve")
app.command()(guarded(tasks))
app.add_typer(eval_app, name="eval")
app.command()(guarded(collect))
app.add_typer(runs_app, name="runs")
app.add_typer(image_app, name="image")
app.add_typer(model_app, name="model")
app.command()(guarded(doctor))
app.command()(guarded(redteam))
app.add_typer(bench_app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        out(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def version() -> None:
    """Show the version."""
    out(__version__)


def main() -> None:
    """Entry point of `fumehood`."""
    try:
        app()
    except Exception:
        # Nothing that a person did wrong ends here: this is a defect of ours, and the traceback is what helps.
        note("fumehood broke. Please report the lines below, with the command and `fumehood doctor --json`.")
        note(traceback.format_exc())
        sys.exit(1)
