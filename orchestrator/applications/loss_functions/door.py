"""Loss functions for callers that are not async: scripts and notebooks.

    >>> result = orchestrator.solve_loss("focal", train="cats-dogs")
    >>> result.outcomes[0].verdict, result.training[0].described()

Both functions use the sandboxes that `orchestrator.run` uses, and wait.

Left out: resuming. A run that was interrupted is in the run store: `fumehood solve loss --resume last`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.applications.loss_functions.datasets import open_data
from orchestrator.applications.loss_functions.job import LossJob, LossResult, LossSolving
from orchestrator.applications.loss_functions.solve import LossOptions
from orchestrator.applications.loss_functions.tasks import LossTask, builtin_tasks, custom_task
from orchestrator.applications.loss_functions.training import TrainingReport, train_on_seeds
from orchestrator.data.store import RunStore
from orchestrator.engine.background import shared
from orchestrator.errors import UsageError, no_such
from orchestrator.jobs.watcher import Watcher
from orchestrator.settings import Settings
from orchestrator.types import Event

Say = Callable[[str], None]


def solve_loss(
    *tasks: LossTask | str,
    model: str = "",
    base_url: str = "",
    train: str = "",
    train_seeds: int = 5,
    out: Path | None = None,
    say: Say = print,
    **options: Any,
) -> LossResult:
    """Let a model write loss functions, judge and correct them, and train with those that are accepted.

    Args:
        tasks: built-in tasks by name (`fumehood tasks`), descriptions in your words, or tasks in full.
        model: its name at the server, or `0.5b` or `1.5b` for the embedded one; empty: that of the settings.
        base_url: the model's server; empty: that of the settings, which may be the embedded one.
        train: a data set to train a small network on, by name or path; see `help(open_data)`.
        train_seeds: pairs of trainings, one with the loss and one with the stock loss.
        out: folder for accepted losses and pictures; None takes one beside the run store.
        say: called with each sentence of progress, in another thread.
        options: `rounds`, `samples`, `seed` and the other fields of `LossOptions`.

    Raises:
        UsageError: there is no such task, data set or option, or they do not fit each other.
        PrerequisiteError: no engine, no image, or no weights; the remedy says what helps.
        CompletionError: the model server failed; what was judged before is recorded.
    """
    chosen = Settings()
    if unknown := options.keys() - LossOptions.model_fields.keys():
        raise no_such("option", min(unknown), LossOptions.model_fields)
    try:
        job = LossJob(
            tasks=tuple(_task(task) for task in tasks),
            options=LossOptions(**options),
            base_url=base_url or chosen.base_url,
            model=model or chosen.model,
            train=train,
            train_seeds=train_seeds,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"`{first['loc'][0]}`: {first['msg']}.", remedy="See `help(orchestrator.solve_loss)`.") from None
    job.resolved()
    engine = shared()
    with RunStore.open(chosen.database_url) as store:
        solving = LossSolving(chosen, store, watcher=Watcher(on_event=lambda event: _tell(event, say)), engine=engine.engine)
        solving.out = out
        return engine.do(solving.run_job(job))


def train_loss(
    task: LossTask | str,
    code: str,
    data: str,
    *,
    seed: int = 0,
    seeds: int = 5,
    out: Path | None = None,
    say: Say = print,
) -> TrainingReport:
    """Train small networks with the loss in `code`, each beside one with the stock loss: same rows, weights and mini-batches.

    Args:
        task: what the loss is: a built-in task by name, or one in full.
        code: source with the task's function; it runs in sandboxes alone.
        data: a data set by name or path; see `help(open_data)`.
        seed: of the first pair.
        seeds: pairs.
        out: folder for a picture of the learning curves; None draws none.
        say: called with a sentence for each pair, in another thread.

    Raises:
        UsageError: there is no such task or data set, or they do not fit each other.
        PrerequisiteError: no engine or no image; the remedy says what helps.
        SandboxError: a sandbox failed, or the stock loss did not train.
    """
    found = _task(task)
    wanted = builtin_tasks()[found] if isinstance(found, str) else found
    opened = open_data(data, Settings().data)
    if opened.synthetic:
        say(opened.warning)

    def on_pair(done: int, report: TrainingReport) -> None:
        say(report.of_pair(done, seeds))

    engine = shared()
    work = train_on_seeds(wanted, code, opened, engine.engine.execute, seeds=range(seed, seed + seeds), out=out, on_pair=on_pair)
    return engine.do(work)


def _task(given: LossTask | str) -> LossTask | str:
    """A description has more than one word; a name stays a name."""
    return custom_task(given) if isinstance(given, str) and len(given.split()) > 1 else given


def _tell(event: Event, say: Say) -> None:
    if event.kind == "note":
        say(event.text)
    elif event.kind == "attempt_finished" and event.attempt is not None:
        attempt = event.attempt
        reason = attempt.feedback.strip().splitlines()[-1:] or [""]
        what = "tests" if attempt.kind == "tests" else "function"
        place = f"{attempt.task}, {what}, round {attempt.round + 1}, answer {attempt.sample + 1}"
        say(f"{place}: {attempt.verdict}. {reason[0]}".strip())
