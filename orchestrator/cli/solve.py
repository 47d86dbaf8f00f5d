"""`fumehood solve`: a model writes loss functions or unit tests, and sandboxes try them.

Left out: tables (`tabular.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.manual import Commands
from orchestrator.cli.messages import note
from orchestrator.cli.shared import (
    Asked,
    BaseUrl,
    Docstrings,
    Json,
    LongestAnswer,
    Model,
    Mutants,
    Parallel,
    Threshold,
    checked,
    console,
    from_environment,
    guarded,
    make_folder,
    nothing_beside_resume,
    nothing_of,
    out_json,
    read_text,
    resumable,
    run_or_resume,
    settings,
)
from orchestrator.errors import UsageError, no_such
from orchestrator.files import write_beside

if TYPE_CHECKING:
    from orchestrator.applications.loss_functions.job import LossJob, LossResult
    from orchestrator.applications.loss_functions.tasks import LossTask
    from orchestrator.applications.unit_tests.results import TestsResult

DEMO_TASKS = ("huber", "triplet")
"""Small enough for a coffee, hard enough that something is corrected."""
FITTING = {2: "focal"}
OTHERWISE = "label_smoothing"
"""Which built-in task to solve where only a data set is named, by the number of its classes."""
_TRAIN = "Then train small networks with it: mnist, cifar10, cats-dogs, digits, breast_cancer, ... or an .npz file."
_Resume = Annotated[str | None, typer.Option(metavar="RUN", help="Resume an interrupted run.")]

solve_app = Commands(
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
        typer.Argument(metavar="DESCRIPTION|TASK", help="What the loss is for, in your words; or built-in tasks by name."),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(metavar="SIGNATURE", help='With a description: signature of the function. ["loss(pred, target)"]'),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="KIND", help="With a description: kind of inputs, such as binary_mask. [guessed]")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Built-in task; repeatable. `fumehood tasks`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All built-in tasks.")] = False,
    demo: Annotated[bool, typer.Option(help="A few built-in tasks.")] = False,
    rounds: Annotated[int | None, typer.Option(metavar="N", help="Rounds: the first attempt and its corrections. [4]")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Samples in each round. [3]")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Random seed. [0]")] = None,
    parallel: Parallel = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Correct the loss in this file, in place of a first answer.")
    ] = None,
    train: Annotated[str | None, typer.Option(metavar="DATASET", help=_TRAIN)] = None,
    train_seeds: Annotated[int | None, typer.Option(metavar="N", help="Pairs of trainings, for an interval. [5]")] = None,
    phrasings: Annotated[
        str | None, typer.Option(metavar="FILE", help="Solve each task in several words and compare; a TOML file or built-in.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(metavar="N", min=1, max=100, help="Runs of each phrasing. [1]")] = None,
    base_url: BaseUrl = None,
    model: Model = None,
    resume: _Resume = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for accepted losses and plots. [beside the run store]")
    ] = None,
    json_: Json = False,
) -> None:
    """Let a model write PyTorch loss functions. Exit code 0: all were accepted; 1: not all.

    Without --base-url the embedded model server is started for as long as it takes.
    """
    from orchestrator.applications.loss_functions.job import LossSolving

    if out is not None:
        make_folder(out, "--out")
    chosen, asked = settings(), Asked(base_url, model, parallel)
    if resume is not None:
        search = (rounds, samples, seed, start, train, train_seeds, phrasings, repeats)
        nothing_beside_resume("tasks", what, signature, inputs, task, every, demo, *search)
        job = None
    else:
        code = None if start is None else _loss_in(start)
        given_search = {"rounds": rounds, "samples": samples, "seed": seed, "parallel": parallel, "start": code}
        tasks, train = _wanted(what or [], signature, inputs, task or [], every, demo, train, code)
        if train is None:
            nothing_of("there is no --train", {"--train-seeds": train_seeds})
        if phrasings is not None:
            tasks = _in_other_words(tasks, phrasings, repeats or 1)
        else:
            nothing_of("there are no --phrasings", {"--repeats": repeats})
        job = _job(tasks, given_search, train, asked.server(chosen), train_seeds)
        job.resolved()
    if demo:
        note(
            f"A model on this machine writes {len(DEMO_TASKS)} PyTorch loss functions ({', '.join(DEMO_TASKS)}). Each is run in a"
            " Docker sandbox; what fails goes back to be corrected."
        )
    with resumable("fumehood solve loss --resume") as (records, watcher):
        solving = LossSolving(chosen, records, watcher=watcher)
        solving.out = out
        result = run_or_resume(solving, job, resume, asked)
    _show(result, chosen.home if out is None else out, demo=demo, as_json=json_)
    raise typer.Exit(0 if result.accepted else 1)


def _loss_in(path: Path) -> str:
    code = read_text(str(path), "The loss")
    if not code.strip():
        raise UsageError(f"{path} holds no loss.", remedy="Name a file with the source of a loss.")
    return code


def _tests_in(path: Path) -> str:
    tests = read_text(str(path), "The tests")
    if not tests.strip():
        raise UsageError(f"{path} holds no tests.", remedy="Name a file with pytest tests.")
    return tests


def _function(place: str) -> str:
    """`FILE::function`, also of `FILE:function`."""
    path, _, name = place.rpartition(":")
    path = path.removesuffix(":")
    return f"{path}::{name}" if path else place


def _write_tests(out: Path, function: str, code: str, run: str) -> None:
    """Write tests; beside a file that is there already, for it may be somebody's work."""
    path = out / f"test_{function.replace('.', '_')}.py"
    written = write_beside(path, code.encode(), run.replace("-", "_"))
    if written != path:
        note(f"{path} is there already and stays; the tests of this run are in {written}.")


@solve_app.command("tests")
@guarded
def unit_tests(
    what: Annotated[list[str] | None, typer.Argument(metavar="FILE::function", help="Functions to write tests for.")] = None,
    given: Annotated[Path | None, typer.Option("--tests", metavar="FILE", help="Judge these tests; no model is asked.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Samples for each function. [3]")] = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="Sampling temperature. [0.7; 0 for one answer]")] = None,
    max_new_tokens: LongestAnswer = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of answers, mutants and test orders. [0]")] = None,
    docstrings: Docstrings = None,
    mutants: Mutants = None,
    threshold: Threshold = None,
    parallel: Parallel = None,
    base_url: BaseUrl = None,
    model: Model = None,
    resume: _Resume = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the best tests of each function. [not written]")
    ] = None,
    json_: Json = False,
) -> None:
    """Let a model write pytest tests, and score them on mutants. Exit code 0: each function has accepted tests; 1: not all.

    Tests are accepted that always pass on the function and notice enough of its mutants. They import it as your own tests would:
    `from stats import median` for stats.py::median. FILE::Class wants tests of all methods, FILE::Class.method of that one.
    """
    from orchestrator.applications.unit_tests.job import UnitTestWriting
    from orchestrator.applications.unit_tests.options import UnitTestJob
    from orchestrator.applications.unit_tests.subjects import subject_of

    if out is not None:
        make_folder(out, "--out")
    chosen, asked = settings(), Asked(base_url, model, parallel)
    count = samples or 3
    options: dict[str, Any] = {
        "n": samples,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "docstrings": docstrings,
        "threshold": threshold,
    }
    job = None
    if resume is not None:
        nothing_beside_resume("functions", what, given, mutants, docstrings is not None, *options.values())
    elif not what:
        raise UsageError("There is no function to test.", remedy="Write FILE::function, as in stats.py::median.")
    else:
        if given is not None:
            of_models: dict[str, object] = {
                "--samples": samples,
                "--temperature": temperature,
                "--max-new-tokens": max_new_tokens,
            }
            of_models |= {
                "--docstrings": docstrings is not None,
                "--parallel": parallel,
                "--base-url": base_url,
                "--model": model,
            }
            nothing_of("no model is asked for tests that are there", of_models)
        subjects = [subject_of(place) for place in dict.fromkeys(map(_function, what))]
        for subject in subjects:
            if subject.siblings:
                note(f"  {subject.name} takes along what its module imports: {', '.join(name for name, _ in subject.siblings)}")
        options |= {
            "subjects": subjects,
            "given": "" if given is None else _tests_in(given),
            "n": 1 if given is not None else count,
            "temperature": temperature if temperature is not None else 0.7 if count > 1 else 0.0,
            "parallel": parallel,
            **asked.server(chosen),
        }
        job = checked(UnitTestJob, **with_mutation(options, mutants=mutants, seed=seed, threshold=threshold))
    again = "fumehood solve tests --resume"
    with resumable(again) as (records, watcher):
        writing = UnitTestWriting(chosen, records, watcher=watcher)
        result = run_or_resume(writing, job, resume, asked)
    for problem in result.problems:
        note(f"  {problem}")
    if json_:
        out_json(result.as_json())
    else:
        _show_tests(result, out)
    if out is not None:
        for name, code in accepted_tests(result).items():
            _write_tests(out, name.rpartition("::")[2], code, result.run.id)
    if result.error is not None:
        note(f"fumehood: {result.error.message}\n  Resume with `{again} {result.run.id}`.")
        raise typer.Exit(result.error.exit_code)
    wanted = {subject.name for subject in result.job.subjects}
    solved = {row.task_id for row in result.rows if row.verdict == "accepted"}
    raise typer.Exit(0 if wanted <= solved else 1)


def accepted_tests(result: TestsResult) -> dict[str, str]:
    """The best tests of each function that has accepted ones; they import its module by the name that it has on disk."""
    from orchestrator.applications.unit_tests.subjects import with_module
    from orchestrator.llm.extraction import MODULE

    modules = {subject.name: subject.module_name or MODULE for subject in result.job.subjects}
    best = {name: row.code for name, row in result.best.items() if row.verdict == "accepted"}
    return {name: with_module(code, MODULE, modules[name]) for name, code in best.items()}


def with_mutation(options: dict[str, Any], *, mutants: int | None, seed: int | None, threshold: float | None) -> dict[str, Any]:
    """Options of a job with how mutants are made, what rewards are made of, and what is enough.

    Raises:
        UsageError: one of them is out of its range.
    """
    from orchestrator.applications.unit_tests.judge import MutationOptions
    from orchestrator.applications.unit_tests.settings import TestsSettings

    chosen = from_environment(TestsSettings)
    return options | {
        "mutation": checked(MutationOptions, mutants=mutants, seed=seed),
        "weights": chosen.weights,
        "threshold": chosen.threshold if threshold is None else threshold,
    }


def _show_tests(result: TestsResult, out: Path | None) -> None:
    from rich.table import Table

    screen = console()
    table = Table("function", "answer", "verdict", "reward", "lines", "branches", "mutants killed", "what is missing")
    for row in result.rows:
        percent = ["" if value is None else f"{value:.0%}" for value in (row.line_coverage, row.branch_coverage)]
        killed = f"{row.killed} of {row.killed + row.survived}" if row.mutation_score is not None else ""
        reward = "" if row.reward is None else f"{row.reward:.2f}"
        table.add_row(row.task_id, str(row.completion_id), str(row.verdict), reward, *percent, killed, row.message[:400])
    screen.print(table)
    for name, code in accepted_tests(result).items() if out is None else ():
        screen.print(f"The best tests for {name}:\n\n{code}", soft_wrap=True)
    screen.print(f"Recorded as {result.run.id}: `fumehood runs show {result.run.id}` shows every answer.", soft_wrap=True)


def tasks(json_: Json = False) -> None:
    """List the built-in loss tasks."""
    from orchestrator.applications.loss_functions.tasks import builtin_tasks

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
    what: list[str],
    signature: str | None,
    inputs: str | None,
    named: list[str],
    every: bool,
    demo: bool,
    train: str | None,
    start: str | None = None,
) -> tuple[list[LossTask | str], str | None]:
    """Which tasks, and what to train on."""
    from orchestrator.applications.loss_functions.tasks import builtin_tasks, custom_task, signature_of

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
        form = signature if signature is not None else "loss(pred, target)" if start is None else signature_of(start)
        # Words that were not quoted are one description; where any was, each is a task of its own.
        each = what if any(" " in word.strip() for word in what) else [" ".join(what)]
        return [word if word in known else custom_task(_description(word), form, inputs) for word in each], train
    if what or named:
        return [*what, *named], train
    if train is not None:
        from orchestrator.applications.loss_functions.datasets import NAMES, known_name

        if (name := known_name(train)) is not None:
            return [FITTING.get(NAMES[name], OTHERWISE)], train
        if Path(train).exists():
            raise UsageError(
                "There is no loss to train with on this file.", remedy="Name a task (`fumehood tasks`) or describe a loss."
            )
        raise no_such("data set", train, NAMES)
    raise UsageError(
        "There is nothing to solve: no description and no task.",
        remedy='Describe a loss ("regression for data with outliers"), name tasks (`fumehood tasks`), or try --demo.',
    )


def _in_other_words(tasks: list[LossTask | str], given: str, repeats: int) -> list[LossTask | str]:
    """Built-in tasks in each of their phrasings."""
    from orchestrator.applications.loss_functions.phrasings import phrased, read_texts
    from orchestrator.applications.loss_functions.tasks import builtin_tasks

    texts, known = read_texts(given), builtin_tasks()
    for task in tasks:
        if not isinstance(task, str):
            raise UsageError("Phrasings are compared on built-in tasks.", remedy="Name some (`fumehood tasks`), or give --all.")
        if task not in known:
            raise no_such("built-in task", task, known)
    return [*phrased([known[str(task)] for task in tasks], texts, repeats)]


def _description(text: str) -> str:
    """What a loss is for; one word is a misspelt task."""
    from orchestrator.applications.loss_functions.tasks import builtin_tasks

    text = text.strip()
    if text and len(text.split()) == 1:
        error = no_such("built-in task", text, builtin_tasks())
        raise UsageError(f"{error.message.rstrip('.')}, and a description needs more than one word.", remedy=error.remedy)
    return text


def _job(
    tasks: list[LossTask | str], search: dict[str, Any], train: str | None, server: dict[str, str], train_seeds: int | None
) -> LossJob:
    from orchestrator.applications.loss_functions.job import LossJob
    from orchestrator.applications.loss_functions.solve import LossOptions

    options = checked(LossOptions, **search)
    return checked(LossJob, tasks=tuple(tasks), options=options, train=_resolved(train), train_seeds=train_seeds, **server)


def _resolved(train: str | None) -> str:
    """A data set as it is recorded: a file by its whole path, for a run may be resumed elsewhere."""
    from orchestrator.applications.loss_functions.datasets import known_name

    if train is None or known_name(train) is not None or not Path(train).exists():
        return train or ""
    return str(Path(train).absolute())


def _show(result: LossResult, home: Path, *, demo: bool, as_json: bool) -> None:
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
        screen.print(report.described(), soft_wrap=True)
        if report.data:
            screen.print(f"Data: {report.data}", soft_wrap=True)
        if report.picture is not None:
            screen.print(f"Learning curves: {report.picture}", soft_wrap=True)
    if demo:
        for outcome in result.outcomes:
            if outcome.verdict == "accepted":
                screen.print(f"\nThe accepted {outcome.task}:\n\n{outcome.code.strip()}\n")
    for page in result.pages:
        screen.print(f"What the phrasings came to is in {page}", soft_wrap=True)
    for task, path in result.saved.items():
        screen.print(f"The accepted {task} is in {path}", soft_wrap=True)
    screen.print(f"Recorded as {run.id}: `fumehood runs show {run.id}` shows every attempt.", soft_wrap=True)
    if demo:
        screen.print(
            'Next, a task of your own: fumehood solve loss "binary segmentation of thin vessels, few positive pixels"\n'
            "or a loss that then trains a network: fumehood solve loss --train digits",
            soft_wrap=True,
        )
