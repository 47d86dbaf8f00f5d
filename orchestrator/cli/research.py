"""`fumehood research`: a model plans networks towards a goal, and sealed rows say what the best is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.messages import note
from orchestrator.cli.shared import (
    Asked,
    Json,
    LongestAnswer,
    Parallel,
    checked,
    console,
    nothing_beside_resume,
    nothing_of,
    out_json,
    resumable,
    run_or_resume,
    settings,
)
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.applications.model_research.results import ResearchResult

AGAIN = "fumehood research --resume"


def research(
    goal: Annotated[
        str | None,
        typer.Option("--goal", metavar="TEXT", help='In words: "classify digits with > 95 % accuracy, under 50k parameters".'),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Data set by name, folder of images, .npz or CSV file. [as the goal says, or digits]"
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the labels in a CSV file.")] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Use at most N rows, drawn at random. [all]")] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="What decides. [as the goal says; accuracy, rmse]")] = None,
    target: Annotated[
        float | None, typer.Option(metavar="X", help="What the metric is to reach, as 0.95. [as the goal says]")
    ] = None,
    most_parameters: Annotated[
        int | None, typer.Option(metavar="N", help="Most parameters of a network. [as the goal says]")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the search and of its network's class. [by the data]")
    ] = None,
    answers: Annotated[int | None, typer.Option(metavar="N", help="Networks that are planned at most. [9]")] = None,
    rungs: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Epochs: all, a third, a ninth of the networks. [1,3,9; more on few rows]")
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(metavar="N", help="Seeds of the last comparison; under five is indicative. [5]")
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="Plan no new network after S seconds.")] = None,
    writer: Annotated[
        str | None, typer.Option(metavar="WHO", help="layers: our assembler makes the source; code: a model does. [layers]")
    ] = None,
    writer_base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Server of the model that writes code. [the one that plans]")
    ] = None,
    writer_model: Annotated[str | None, typer.Option(metavar="NAME", help="Its name there.")] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="Sampling temperature; the first plan has 0.2. [0.7]")
    ] = None,
    max_new_tokens: LongestAnswer = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of answers, split and weights. [0]")] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="CPU threads of a training; one makes it repeatable. [1]")
    ] = None,
    parallel: Parallel = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", "--llm-base-url", metavar="URL", help="Server of the planning model. [the embedded one]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "--llm-model", metavar="NAME", help="Model there, or 0.5b, 1.5b.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--llm-api-key", metavar="KEY", help="Key of the server; better set FUMEHOOD_API_KEY.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the run directory; the run store keeps everything either way.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the run directory is made. [here]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show each plan and summary as it comes.")] = False,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Resume an interrupted run.")] = None,
    json_: Json = False,
) -> None:
    """Search for a PyTorch network that meets a goal. Exit code 0: the goal is met, or none was set; 1: it is not.

    A model plans networks; each is assembled, tried in a sandbox and trained there for one epoch. The best go on to more epochs,
    and the best of all is trained with several seeds beside a baseline. Labels of validation and test rows never enter a sandbox;
    the test rows are opened once.
    """
    from orchestrator.applications.model_research.goal import goal_of
    from orchestrator.applications.model_research.job import ModelResearch
    from orchestrator.applications.model_research.options import ResearchJob
    from orchestrator.applications.model_research.reports import write_directory

    chosen, asked = settings(), Asked(base_url, model, parallel)
    if api_key is not None:
        chosen = chosen.model_copy(update={"api_key": api_key})
    options = {
        "label": label,
        "rows": rows,
        "name": name,
        "answers": answers,
        "rungs": _numbers(rungs),
        "pairs": pairs,
        "seconds": seconds,
        "writer": writer,
        "writer_url": writer_base_url,
        "writer_model": writer_model,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "threads": threads,
    }
    job = None
    if resume is not None:
        nothing_beside_resume("the goal", goal, data, metric, target, most_parameters, *options.values())
    elif goal is None:
        raise UsageError("There is no goal.", remedy='Say it in words: fumehood research --goal "digits with > 95 % accuracy".')
    else:
        if writer != "code":
            nothing_of(
                "our assembler writes (--writer layers)", {"--writer-base-url": writer_base_url, "--writer-model": writer_model}
            )
        said = {"metric": metric, "target": target, "most_parameters": most_parameters}
        read = goal_of(goal).model_copy(update={key: value for key, value in said.items() if value is not None})
        source = data or read.data or "digits"
        job = checked(
            ResearchJob,
            goal=read,
            data=str(Path(source).absolute()) if Path(source).exists() else source,
            parallel=parallel,
            **asked.server(chosen),
            **options,
        )
    with resumable(AGAIN) as (records, watcher):
        solving = ModelResearch(chosen, records, watcher=watcher, parent=out or Path(), verbose=verbose)
        try:
            result = run_or_resume(solving, job, resume, asked)
            write_directory(result, solving.directory)
        finally:
            if not keep:
                solving.drop_directory()
    if json_:
        out_json(result.as_json())
    else:
        _show(result)
    if keep:
        note(f"Written: {solving.directory.path}")
    if result.error is not None:
        note(f"fumehood: {result.error.message}\n  Resume with `{AGAIN} {result.run.id}`.")
        raise typer.Exit(result.error.exit_code)
    outcome = result.outcome
    raise typer.Exit(0 if outcome is not None and outcome.reached is not False else 1)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--rungs {text} is not a list of epochs.", remedy="Write numbers with commas: --rungs 1,3,9.") from None


def _show(result: ResearchResult) -> None:
    from rich.table import Table

    from orchestrator.applications.model_research.reports import headline, lead, sealed_rows

    screen = console()
    screen.print(result.card, soft_wrap=True)
    for problem in result.problems:
        screen.print(f"  {problem}", soft_wrap=True)
    if result.outcome is not None:
        table = Table("", f"{result.metric} on sealed rows", "95 % interval over seeds", "parameters")
        for row in sealed_rows(result):
            table.add_row(*row)
        screen.print(table)
        screen.print(lead(result.outcome), soft_wrap=True)
    screen.print(headline(result), soft_wrap=True)
    screen.print(f"Recorded as {result.run.id}: `fumehood runs show {result.run.id}` shows every attempt.", soft_wrap=True)
