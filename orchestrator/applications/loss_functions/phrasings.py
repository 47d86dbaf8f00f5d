"""How the words of a task change the losses that a model writes: each task in several phrasings, solved like any other.

The checks are those of the task whatever its words are: contract, worked examples and hidden tests. So phrasings differ in what
the model reads and in nothing else. What came of them is one page.

Left out: writing phrasings. Three of each built-in task come with the project; a file brings others.
"""

from __future__ import annotations

import statistics
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestrator.applications.loss_functions.solve import LossOutcome
from orchestrator.applications.loss_functions.tasks import LossTask, builtin_tasks
from orchestrator.errors import UsageError, no_such
from orchestrator.files import read_text
from orchestrator.jobs.reports import check_folder, render, write_report
from orchestrator.scoring.pass_at_k import Comparison, Estimate, compare, estimate
from orchestrator.scoring.seeds import mean_of
from orchestrator.types import RunRecord, Value, Verdict

BUILT_IN = "built-in"
LONG = "long"
"""The task's own description, which the others are compared with."""
PAGE, FACTS = "phrasings.md", "phrasings.json"

Texts = Mapping[str, Mapping[str, str]]
"""Task -> phrasing -> description."""


class PhrasingFacts(Value):
    """What came of one phrasing over the tasks."""

    phrasing: str
    runs: int
    """Tasks times repeats that have a verdict."""
    unscored: int
    """Runs that the sandbox failed: they count for nothing."""
    verdicts: dict[str, int]
    """How many runs ended with each."""
    accepted: Estimate | None
    """Share of runs whose loss was accepted, over tasks; None where nothing has a verdict."""
    at_first: Estimate | None
    """Share of runs whose first answer was accepted."""
    rounds: float | None
    """Mean number of rounds that were begun; a run without an accepted loss began all that it was given."""
    rounds_low: float | None = None
    """95 % interval over tasks (Student's t); None below two tasks."""
    rounds_high: float | None = None
    against_long: Comparison | None = None
    """Accepted shares, paired by task: this phrasing minus the long one."""


def read_texts(given: str) -> Texts:
    """Phrasings of a TOML file, a table for each built-in task; or the built-in ones.

    Raises:
        UsageError: the file cannot be read, or is not of that form, or names a task that there is not.
    """
    if given == BUILT_IN:
        text = files("orchestrator.applications.loss_functions").joinpath("phrasings.toml").read_text(encoding="utf-8")
    else:
        text = read_text(Path(given), "The phrasings")
    remedy = 'Write a table for each built-in task, such as [focal] with short = "Focal loss, gamma 2."'
    try:
        found = TypeAdapter(dict[str, dict[str, str]]).validate_python(tomllib.loads(text), strict=True)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"{given} holds no phrasings: {str(error).splitlines()[0]}.", remedy=remedy) from None
    for task, texts in found.items():
        if task not in builtin_tasks():
            raise no_such("built-in task", task, builtin_tasks())
        wrong = [name for name, words in texts.items() if name == LONG or not name.isidentifier() or not words.strip()]
        if wrong or not texts:
            raise UsageError(
                f"The phrasings of {task} are not usable: {', '.join(wrong) or 'there are none'}.",
                remedy=f"Give each a name of one word other than {LONG}, and a text.",
            )
    return found


def phrased(tasks: Sequence[LossTask], texts: Texts, repeats: int = 1) -> list[LossTask]:
    """Each task in its own words and in the others that there are for it, `repeats` times, each time with seeds of its own.

    Raises:
        UsageError: there are no other words for one of the tasks.
    """
    made = []
    for task in tasks:
        if task.name not in texts:
            raise UsageError(
                f"There is one phrasing of {task.name} alone.", remedy=f"Choose from: {', '.join(texts)}; or bring a file."
            )
        for phrasing, words in {LONG: task.description, **texts[task.name]}.items():
            for repeat in range(1, repeats + 1):
                name = f"{task.name}.{phrasing}" + (f".{repeat}" if repeats > 1 else "")
                made.append(task.model_copy(update={"name": name, "description": words, "of": task.name, "phrasing": phrasing}))
    return made


def facts_of(tasks: Sequence[LossTask], outcomes: Sequence[LossOutcome], seed: int) -> list[PhrasingFacts]:
    """What came of each phrasing; phrasings in the order of the tasks."""
    by_name = {outcome.task: outcome for outcome in outcomes}
    done = [(task, by_name[task.name]) for task in tasks if task.name in by_name]
    counts = {
        phrasing: _counts([(task.of, outcome) for task, outcome in done if task.phrasing == phrasing])
        for phrasing in dict.fromkeys(task.phrasing for task in tasks)
    }
    return [_facts(name, [pair for pair in done if pair[0].phrasing == name], counts, seed) for name in counts]


def _counts(runs: Sequence[tuple[str, LossOutcome]]) -> dict[str, tuple[int, int]]:
    """Task -> (runs with a verdict, accepted ones)."""
    scored = [(task, outcome.verdict is Verdict.ACCEPTED) for task, outcome in runs if outcome.verdict is not Verdict.UNSCORED]
    every, right = Counter(task for task, _ in scored), Counter(task for task, accepted in scored if accepted)
    return {task: (count, right[task]) for task, count in every.items()}


def _facts(
    phrasing: str, runs: Sequence[tuple[LossTask, LossOutcome]], counts: Mapping[str, dict[str, tuple[int, int]]], seed: int
) -> PhrasingFacts:
    scored = [(task.of, outcome) for task, outcome in runs if outcome.verdict is not Verdict.UNSCORED]
    first = Counter(task for task, outcome in scored if outcome.accepted_at_first)
    by_task: dict[str, list[int]] = {}
    for task, outcome in scored:
        by_task.setdefault(task, []).append(outcome.rounds)
    rounds = mean_of([statistics.fmean(each) for each in by_task.values()])
    own = counts[phrasing]
    return PhrasingFacts(
        phrasing=phrasing,
        runs=len(scored),
        unscored=len(runs) - len(scored),
        verdicts=dict(sorted(Counter(str(outcome.verdict) for _, outcome in runs).items())),
        accepted=estimate(own, 1, seed=seed),
        at_first=estimate({task: (n, first[task]) for task, (n, _) in own.items()}, 1, seed=seed),
        rounds=rounds and rounds.mean,
        rounds_low=rounds and rounds.low,
        rounds_high=rounds and rounds.high,
        against_long=compare(counts[LONG], own, seed=seed) if phrasing != LONG and LONG in counts else None,
    )


def check_page(folder: Path, run: str) -> None:
    """Refuse a folder in which the page of this run would replace something else.

    Raises:
        UsageError: it would.
    """
    check_folder(folder, (FACTS, PAGE), run, facts=FACTS, key="phrasings")


def write_page(folder: Path, run: RunRecord, tasks: Sequence[LossTask], outcomes: Sequence[LossOutcome], seed: int) -> list[Path]:
    """Write the page as Markdown, and what it says as JSON, in place of those that the run wrote before.

    Raises:
        UsageError, StoreError: one cannot be written, or would replace what is not of this run.
    """
    found = facts_of(tasks, outcomes, seed)
    by_name = {task.name: task for task in tasks}
    rows = [
        {
            "task": by_name[outcome.task].of,
            "phrasing": by_name[outcome.task].phrasing,
            "verdict": str(outcome.verdict),
            "rounds": outcome.rounds,
            "answers": outcome.attempts,
            "first_failure": outcome.first_failure,
            "code": outcome.code,
        }
        for outcome in outcomes
    ]
    texts = {of: {task.phrasing: task.description.strip() for task in tasks if task.of == of} for of in {t.of for t in tasks}}
    facts = {
        "run": run.id,
        "model": run.model.model if run.model else "",
        "image": run.image,
        "seed": seed,
        "planned": len(tasks),
        "phrasings": [one.model_dump(mode="json") for one in found],
        "results": rows,
        "texts": dict(sorted(texts.items())),
    }
    page = render("applications/loss_functions/phrasings.md", **{**facts, "phrasings": found, "long": LONG})
    remedy = "Name another folder with --out, or free some space."
    return write_report(
        folder, facts, {PAGE: page.encode("utf-8", "backslashreplace")}, name=FACTS, key="phrasings", remedy=remedy
    )
