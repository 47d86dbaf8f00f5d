"""`fumehood solve loss`: a model writes loss functions, sandboxes try them, failures go back until they are right."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.shared import Json, checked, console, guarded, make_folder, note, out_json, run_async, settings, store
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.data.loss_tasks import LossTask
    from orchestrator.types import RunRecord
    from orchestrator.workflows.loss_jobs import JobResult, LossJob

DEMO_TASKS = ("triplet", "quantile", "tversky")
"""Small enough for a coffee, hard enough that something is corrected."""
TRAINABLE = {"digits": "label_smoothing", "breast_cancer": "focal"}
"""Which built-in task to solve where only a data set is named."""

solve_app = typer.Typer(
    help="Let a model solve tasks, and correct it until they are solved.", no_args_is_help=True, rich_markup_mode=None
)


@solve_app.callback()
def _group() -> None:
    """Let a model solve tasks, and correct it until they are solved."""


@solve_app.command()
@guarded
def loss(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DESCRIPTION | TASK...]", help="What the loss is for, in your words; or built-in tasks by name."),
    ] = None,
    signature: Annotated[str | None, typer.Option(help='For a description. ["loss(pred, target)"]')] = None,
    inputs: Annotated[str | None, typer.Option(metavar="KIND", help="For a description, such as binary_mask. [guessed]")] = None,
    task: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Built-in task; repeatable. `fumehood tasks`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All built-in tasks.")] = False,
    demo: Annotated[bool, typer.Option(help="A few built-in tasks.")] = False,
    rounds: Annotated[int | None, typer.Option(metavar="N", help="The first try and its corrections. [4]")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Answers drawn in a round. [3]")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="[0]")] = None,
    parallel: Annotated[int | None, typer.Option(metavar="N", help="Answers the server writes at once. [1]")] = None,
    train: Annotated[str | None, typer.Option(metavar="DATASET", help="Then train with it: digits or breast_cancer.")] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="TGI or OpenAI-compatible server. [an embedded one]")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="At that server; embedded: 0.5b or 1.5b. [1.5b]")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For accepted losses and pictures. [beside the run store]")
    ] = None,
    json_: Json = False,
) -> None:
    """Let a model write PyTorch loss functions. Exit code 0: all were accepted; 1: not all.

    Without --base-url the embedded model server is started for as long as it takes.
    """
    from orchestrator.cli.progress import Progress
    from orchestrator.workflows.loss_jobs import Watcher, do_job, resume_job

    if out is not None:
        make_folder(out, "--out")
    chosen = settings()
    if resume is not None:
        given = (what, signature, inputs, task, every, demo, rounds, samples, seed, parallel, train, base_url, model)
        if any(item not in (None, False, []) for item in given):
            raise UsageError(
                "--resume takes tasks and options from the run itself.",
                remedy="Leave the others out, or start a new run without --resume.",
            )
        job = None
    else:
        given_search = {"rounds": rounds, "samples": samples, "seed": seed, "parallel": parallel}
        tasks, train = _wanted(what or [], signature, inputs, task or [], every, demo, train)
        job = _job(
            tasks,
            given_search,
            train,
            chosen.base_url if base_url is None else base_url,
            chosen.model if model is None else model,
        )
        job.resolved()
    if demo:
        note(
            f"A model on this machine writes {len(DEMO_TASKS)} PyTorch loss functions ({', '.join(DEMO_TASKS)}). Each is run in a"
            " Docker sandbox; what fails goes back to be corrected."
        )
    begun: list[RunRecord] = []
    try:
        with store() as records, Progress() as progress:
            watcher = Watcher(on_start=begun.append, on_event=progress.event, on_bytes=progress.download)
            if job is None:
                result = run_async(resume_job(resume or "", chosen, records, out=out, watcher=watcher))
            else:
                result = run_async(do_job(job, chosen, records, out=out, watcher=watcher))
    except OrchestratorError as error:
        if begun and not isinstance(error, UsageError):
            error.remedy = f"{error.remedy} Then go on with `fumehood solve loss --resume {begun[0].id}`.".strip()
        raise
    except BaseException:
        if begun:
            note(f"Nothing that was finished is lost. Resume with `fumehood solve loss --resume {begun[0].id}`.")
        raise
    _show(result, chosen.home if out is None else out, demo=demo, as_json=json_)
    raise typer.Exit(0 if result.accepted else 1)


def tasks(json_: Json = False) -> None:
    """List the built-in loss tasks."""
    from orchestrator.data.loss_tasks import builtin_tasks

    known = builtin_tasks().values()
    if json_:
        keys = {"name", "title", "description", "signature", "inputs", "source"}
        out_json([task.model_dump(mode="json", include=keys) for task in known])
        return
    from rich.table import Table

    table = Table("task", "what", "signature", "inputs", box=None)
    for task in known:
        table.add_row(task.name, task.title, task.signature, str(task.inputs))
    console().print(table)


def _wanted(
    what: list[str], signature: str | None, inputs: str | None, named: list[str], every: bool, demo: bool, train: str | None
) -> tuple[list[LossTask | str], str | None]:
    """Which tasks, and what to train on."""
    from orchestrator.data.loss_tasks import builtin_tasks, custom_task

    known = builtin_tasks()
    if every + demo + bool(what or named) > 1:
        raise UsageError("Tasks, --all and --demo exclude each other.", remedy="Give one of them.")
    described = bool(what) and not all(word in known for word in what)
    if (signature is not None or inputs is not None) and not described:
        raise UsageError("--signature and --inputs belong to a description.", remedy="Built-in tasks bring their own.")
    if every:
        return list(known), train
    if demo:
        return list(DEMO_TASKS), train
    if described:
        if named:
            raise UsageError("A description and --task exclude each other.", remedy="Give one of them.")
        return [custom_task(_description(what), "loss(pred, target)" if signature is None else signature, inputs)], train
    if what or named:
        return [*what, *named], train
    if train is not None and train in TRAINABLE:
        return [TRAINABLE[train]], train
    if train is not None:
        raise UsageError(f"There is no data set {train!r}.", remedy=f"Choose {' or '.join(TRAINABLE)}.")
    raise UsageError(
        "There is nothing to solve: no description and no task.",
        remedy='Describe a loss ("regression for data with outliers"), name tasks (`fumehood tasks`), or try --demo.',
    )


def _description(words: list[str]) -> str:
    """Several words without quotes are a description too; one word is a misspelt task."""
    from orchestrator.data.loss_tasks import builtin_tasks

    text = " ".join(words).strip()
    if text and len(text.split()) == 1:
        near = difflib.get_close_matches(text, list(builtin_tasks()), n=1)
        raise UsageError(
            f"There is no built-in task {text!r}, and one word is no description.",
            remedy=f"Did you mean {near[0]}?" if near else "`fumehood tasks` lists the tasks.",
        )
    return text


def _job(tasks: list[LossTask | str], search: dict[str, Any], train: str | None, base_url: str, model: str) -> LossJob:
    from orchestrator.workflows.loss_functions import LossOptions
    from orchestrator.workflows.loss_jobs import LossJob

    options = checked(LossOptions, **search)
    return LossJob(tasks=tuple(tasks), options=options, base_url=base_url, model=model, train=train or "")


def _show(result: JobResult, home: Path, *, demo: bool, as_json: bool) -> None:
    run = result.run
    if as_json:
        keys = {"run": run.id, "state": run.state, "model": run.model and run.model.model_dump(mode="json"), "image": run.image}
        out_json(keys | run.summary)
        return
    from rich.table import Table

    screen = console()
    table = Table("task", "attempts", "verdict", "first failure, and what fixed it", "tokens", "seconds")
    for outcome in result.outcomes:
        story = [outcome.first_failure, f"fixed by {outcome.fixed_by}" if outcome.fixed_by else ""]
        tokens = outcome.usage.prompt_tokens + outcome.usage.completion_tokens
        table.add_row(
            outcome.task,
            str(outcome.attempts),
            str(outcome.verdict),
            "\n".join(line for line in story if line) or ("right at the first attempt" if outcome.accepted_at_first else ""),
            str(tokens),
            f"{outcome.wall_time:.0f}",
        )
    screen.print(table)
    for report in result.training:
        if report.accuracy is None:
            screen.print(f"Training on {report.dataset} with {report.task} failed: {report.failure}")
            continue
        screen.print(
            f"Trained on {report.dataset} with {report.task}: {report.accuracy:.1%} of the held-out rows right;"
            f" with the stock loss {report.stock_accuracy:.1%} (seed {report.seed})."
        )
        if report.picture is not None:
            screen.print(f"Learning curves: {report.picture}", soft_wrap=True)
    screen.print(f"Recorded as {run.id}: `fumehood runs show {run.id}` shows every attempt.", soft_wrap=True)
    if demo:
        screen.print(
            'Next, a task of your own: fumehood solve loss "binary segmentation of thin vessels, few positive pixels"\n'
            "or a loss that then trains a network: fumehood solve loss --train digits",
            soft_wrap=True,
        )
