"""The command line: parse, call one function, show.

Results go to stdout, progress and errors to stderr. Exit codes: 0 accepted or healthy, 1 not accepted, 2 wrong usage,
3 infrastructure, 130 and 143 interrupted.

Whatever is slow to import (pydantic included) is imported by the command that needs it, so `fumehood --help` is quick.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from orchestrator import __version__
from orchestrator.cli import messages
from orchestrator.cli.bench import bench_app
from orchestrator.cli.collect import collect
from orchestrator.cli.eval import eval_app
from orchestrator.cli.execute import run
from orchestrator.cli.machine import doctor, image_app, model_app
from orchestrator.cli.manual import Commands, context_of, manual
from orchestrator.cli.messages import complain, out, set_up
from orchestrator.cli.records import runs_app
from orchestrator.cli.redteam import redteam
from orchestrator.cli.research import research
from orchestrator.cli.shared import guarded, out_json, show_error
from orchestrator.cli.shell import shell
from orchestrator.cli.solve import solve_app, tasks
from orchestrator.cli.tabular import tabular
from orchestrator.errors import StoreError


class _Root(TyperGroup):
    """The whole command line; what it refuses is JSON too where --json is asked for."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run a command and end with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        messages.as_json = "--json" in words[: words.index("--") if "--" in words else None]
        try:
            code = super().main(words, *rest, **{**options, "standalone_mode": False})
        except TyperException as refusal:
            refusal.show(sys.stderr)  # type: ignore[attr-defined]  # each that typer raises has it: it is click's, copied
            if messages.as_json:
                context = getattr(refusal, "ctx", None)
                of = f"`{context.command_path} --help`" if context is not None else "`fumehood --help`"
                out_json({"error": refusal.format_message(), "remedy": f"{of} says what there is."})
            sys.exit(refusal.exit_code)
        except typer.Abort:
            complain("Aborted.")
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


app = Commands(
    name="fumehood",
    cls=_Root,
    help="Run, judge and correct code written by language models, in sandboxes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(guarded(run))
app.command()(guarded(shell))
solve_app.command()(guarded(tabular))
app.add_typer(solve_app, name="solve")
app.command()(guarded(research))
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
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Say what the engine does; twice: each step.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only: no notes, no progress.")] = False,
    log_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Add all that is said to this file, with times.")] = None,
) -> None:
    guarded(set_up)(verbosity=verbose, be_quiet=quiet, log_file=log_file)


@app.command()
def version() -> None:
    """Show the version."""
    out(__version__)


@app.command("help")
@guarded
def show_help(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="As in `fumehood help solve loss`.")] = None,
) -> None:
    """Show the help of one command, or a manual of all of them."""
    from pydoc import pager

    command: Any = context.find_root().command
    chosen = context_of(command, words or [])
    if words:
        out(chosen.command.get_help(chosen))
    else:
        pager("\n\n\n".join(manual(chosen)))


def main() -> None:
    """Entry point of `fumehood`."""
    try:
        with messages.outlets():
            _run()
    except StoreError as error:  # on stdout, which takes no JSON either
        show_error(error, as_json=False)
        sys.exit(error.exit_code)


def _run() -> None:
    try:
        app()
    except Exception as error:
        # Nothing that a person did wrong ends here: this is a defect of ours, and the traceback is what helps.
        complain("fumehood broke. Please report the lines below, with the command and `fumehood doctor --json`.")
        complain(traceback.format_exc())
        if messages.as_json:
            out_json(
                {"error": f"fumehood broke: {type(error).__name__}: {error}", "remedy": "Please report it; stderr says more."}
            )
        sys.exit(1)
