"""`fumehood solve tabular`: a model writes programs that learn from a table, and hidden rows say what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.messages import note
from orchestrator.cli.shared import (
    Asked,
    BaseUrl,
    Json,
    LongestAnswer,
    Model,
    Parallel,
    check_reports,
    checked,
    console,
    make_folder,
    nothing_beside_resume,
    nothing_of,
    out_json,
    resumable,
    run_or_resume,
    settings,
)
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.applications.tabular.results import TabularResult

AGAIN = "fumehood solve tabular --resume"


def tabular(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="CSV or Parquet file; or iris, wine, breast_cancer, digits, diabetes of scikit-learn."
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column to predict. [target, of scikit-learn's]")] = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="classification or regression. [by the target]")] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What decides. [roc_auc, balanced_accuracy for more classes than two, rmse]"),
    ] = None,
    names: Annotated[str | None, typer.Option(metavar="A,B,C", help="Columns of a file without a header.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Another text for missing values, such as -999; repeatable.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column of texts that look like numbers; repeatable.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="Of a CSV file. [utf-8-sig]")] = None,
    form: Annotated[
        str | None, typer.Option(metavar="FORM", help="functions (for small models), or script: a whole program. [functions]")
    ] = None,
    answers: Annotated[int | None, typer.Option(metavar="N", help="Candidates at most. [12]")] = None,
    tokens: Annotated[int | None, typer.Option(metavar="N", help="End the search after N tokens read and written.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="End the search after S seconds.")] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="End the search after N answers without a gain above the noise. [6]")
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Let the model propose features for the best; those that show a gain are kept.")
    ] = False,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Choices of parameters tried for the best; needs `fumehood[tuning]`. [0]")
    ] = None,
    control: Annotated[
        bool | None, typer.Option(help="Draw as many answers independently, to see what correction was worth. [yes]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="Sampling temperature; the first draft has 0.2. [0.7]")
    ] = None,
    max_new_tokens: LongestAnswer = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of answers and programs; the split has its own. [0]")
    ] = None,
    parallel: Parallel = None,
    base_url: BaseUrl = None,
    model: Model = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Resume an interrupted run.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for best.py and the report. [beside the run store]")
    ] = None,
    json_: Json = False,
) -> None:
    """Let a model write programs that predict a column of a table. Exit code 0: one could be scored; 1: none.

    A fifth of the rows is sealed until the end; the rest is split into folds by a seed of the run's own. Programs get rows with
    the target and rows without; what they predict is scored outside of the sandbox. Baselines and a control are run on the same
    rows.
    """
    from orchestrator.applications.tabular.job import TabularSolving
    from orchestrator.applications.tabular.options import TabularJob
    from orchestrator.applications.tabular.reports import FILES, write_reports
    from orchestrator.applications.tabular.table import SCIKIT

    check_reports(out, FILES, resume)
    chosen, asked = settings(), Asked(base_url, model, parallel)
    options = {
        "task": task,
        "metric": metric,
        "encoding": encoding,
        "form": form,
        "answers": answers,
        "tokens": tokens,
        "seconds": seconds,
        "patience": patience,
        "features": features or None,
        "trials": trials,
        "control": control,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    job = None
    if resume is not None:
        nothing_beside_resume("the table", data, target, names, missing, text, *options.values())
    elif data is None:
        raise UsageError("There is no table.", remedy="Name a CSV or Parquet file, or try `fumehood solve tabular iris`.")
    else:
        if target is None and data not in SCIKIT:
            raise UsageError("The target is not named.", remedy="Name the column to predict with --target.")
        if form == "script":
            nothing_of("a whole script is its own", {"--features": features, "--trials": trials})
        job = checked(
            TabularJob,
            source=str(Path(data).absolute()) if Path(data).exists() and data not in SCIKIT else data,
            target=target or "target",
            names=tuple(name.strip() for name in names.split(",")) if names else (),
            missing=tuple(missing or ()),
            text=tuple(text or ()),
            parallel=parallel,
            **asked.server(chosen),
            **options,
        )
    with resumable(AGAIN) as (records, watcher):
        solving = TabularSolving(chosen, records, watcher=watcher)
        result = run_or_resume(solving, job, resume, asked)
    folder = out or make_folder(chosen.home / "tabular" / result.run.id, "The folder of the run")
    written = write_reports(result, folder)
    if json_:
        out_json(result.as_json())
    else:
        _show(result)
        console().print(f"Written: {', '.join(map(str, written))}", soft_wrap=True)
    if result.error is not None:
        note(f"fumehood: {result.error.message}\n  Resume with `{AGAIN} {result.run.id}`.")
        raise typer.Exit(result.error.exit_code)
    raise typer.Exit(0 if result.outcome is not None else 1)


def _show(result: TabularResult) -> None:
    from rich.table import Table

    from orchestrator.applications.tabular.reports import notes, sealed_row

    screen = console()
    for problem in (*result.profile.warnings, *result.problems):
        screen.print(f"  {problem}", soft_wrap=True)
    outcome = result.outcome
    if outcome is None:
        screen.print("No candidate could be scored." if result.error is None else "The run is not finished.")
    else:
        table = Table("", f"{result.metric} on {outcome.sealed_rows} sealed rows", "95 % interval", "the winner is better by")
        for name, one in outcome.sealed.items():
            table.add_row(*sealed_row(name, one).values())
        screen.print(table)
        for line in notes(outcome):
            screen.print(f"  {line}", soft_wrap=True)
        for finding in outcome.audit.findings if outcome.audit else ["The winner could not be audited."]:
            screen.print(f"  {finding}", soft_wrap=True)
        screen.print(
            f"The winner is attempt {outcome.winner}, in best.py. The sealed rows were opened {_times(result.standing.opened)}."
        )
    screen.print(f"Recorded as {result.run.id}: `fumehood runs show {result.run.id}` shows every attempt.", soft_wrap=True)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
