"""Collect preference and training data: from runs in the store to a folder that trainers read.

It brings together what `preferences` leaves out: the store, rewards from recorded results, the prompts of runs that judged
recorded completions, benchmarks to look for, and the hub.

Left out: judging. What a run left unscored stays so.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.applications.tabular.job import TabularSolving
from orchestrator.data.benchmarks import ALL, DATASETS, load
from orchestrator.data.store import RunStore
from orchestrator.errors import PrerequisiteError, UsageError, no_such
from orchestrator.printable import counted
from orchestrator.scoring import rewards
from orchestrator.scoring.rewards import Scored
from orchestrator.training.preferences import FORMATS, Answer, Choice, Contamination, Reference, Rules, answers_of, check, choose
from orchestrator.training.preferences.answers import recorded
from orchestrator.training.preferences.card import card
from orchestrator.training.preferences.contamination import Detector
from orchestrator.training.preferences.files import write
from orchestrator.training.tables import graded, stages_reached
from orchestrator.types import Attempt, RunRecord, Value

Measure = Literal["fraction", "ladder", "recorded"]
_MEASURES: dict[str, rewards.Reward] = {"fraction": rewards.fraction_of_tests, "ladder": rewards.ladder()}


class CollectJob(Value):
    """What to collect and how to write it."""

    rules: Rules = Rules()
    reward: Measure = "fraction"
    """By what answers are compared: tests passed, the ladder (parses, runs, passes), or what the run recorded. Answers to
    tables are compared by their metric."""
    together: bool = False
    """Take what was judged in the candidate's own interpreter too."""
    formats: tuple[str, ...] = tuple(FORMATS)
    against: tuple[str, ...] = ("humaneval", "mbpp", "mbpp-sanitized", "humaneval+", "mbpp+")
    """Benchmarks to look for in the rows."""
    decontaminate: bool = False
    """Leave out rows in which one was found."""
    licence: str = "other"
    title: str = "Preference data from sandboxed runs"


@dataclass
class Collection:
    """What was found."""

    runs: list[RunRecord]
    attempts: int
    dropped_attempts: Mapping[str, int]
    choice: Choice
    contamination: list[Contamination]
    unchecked: dict[str, str]
    """Benchmark -> why it was not looked for."""
    problems: list[str]
    stages: Mapping[str, int] = field(default_factory=dict)
    """How many answers to tables came how far, by the last stage that they say they reached."""

    def as_json(self, formats: Sequence[str] = tuple(FORMATS)) -> dict[str, Any]:
        """What scripts read; rows are counted for these formats."""
        return {
            "runs": [run.id for run in self.runs],
            "attempts": self.attempts,
            "pairs": len(self.choice.pairs),
            "pairs_by_kind": dict(sorted(Counter(pair.kind for pair in self.choice.pairs).items())),
            "examples": len(self.choice.examples),
            "right_examples": sum(one.label for one in self.choice.examples),
            "tasks": len({one.group for one in self.choice.rows}),
            "rows": {name: len(FORMATS[name].items(self.choice)) for name in formats},
            "dropped": {
                "attempts": dict(self.dropped_attempts),
                "pairs": dict(self.choice.dropped_pairs),
                "examples": dict(self.choice.dropped_examples),
            },
            "contamination": [one.model_dump(mode="json") for one in self.contamination],
            "not_looked_for": self.unchecked,
            "stages": dict(self.stages),
            "problems": self.problems,
        }


def collect(
    run_ids: Sequence[str],
    store: RunStore,
    job: CollectJob | None = None,
    *,
    data: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Collection:
    """Make pairs and examples of the attempts of runs. `data` is the folder with data sets.

    Raises:
        UsageError: there is no such run, one is named twice, or a benchmark or format is unknown.
        StoreError: the store could not be read.
    """
    job = job or CollectJob()
    _known("format", job.formats, FORMATS)
    _known("benchmark", job.against, DATASETS)
    runs = [store.run(name) for name in run_ids]
    if len({run.id for run in runs}) < len(runs):
        raise UsageError("A run is named twice.", remedy="Name each run once.")
    dropped: Counter[str] = Counter()
    answers: list[Answer] = []
    stages: Counter[str] = Counter()
    problems: list[str] = []
    count = 0
    for run in runs:
        attempts = store.attempts(run.id)
        count += len(attempts)
        prompts = _prompts(run, data, problems) if any(not one.messages for one in attempts) else {}
        found, left = answers_of(run, attempts, reward=_reward(job.reward), prompts=prompts, together=job.together)
        if run.kind == TabularSolving.kind:
            found, suspicious = graded(run, found, attempts)
            left += suspicious
            stages.update(stages_reached(found))
        answers += found
        dropped += left
        if run.state == "running":
            problems.append(f"Run {run.id} is still at work; what it has recorded so far was taken.")
        say(f"{run.id}: {len(found)} of {counted(len(attempts), 'attempt')} can be used")
    detectors, unchecked = _detectors(job.against, data)
    keep = (lambda row: not any(one.finds(row) for one in detectors)) if job.decontaminate else (lambda row: True)
    choice = choose(answers, job.rules, keep)
    return Collection(
        runs=runs,
        attempts=count,
        dropped_attempts=dict(dropped),
        choice=choice,
        contamination=[check(choice.rows, one) for one in detectors],
        unchecked=unchecked,
        problems=problems,
        stages=stages,
    )


def save(collection: Collection, job: CollectJob, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a collection with its card, whole or not at all, and return the files.

    Raises:
        UsageError: there is nothing to write, the folder is taken, or it cannot be written.
    """
    if not any(FORMATS[name].items(collection.choice) for name in job.formats):
        why = Counter({**collection.dropped_attempts}) + Counter({**collection.choice.dropped_pairs})
        most = ", ".join(f"{count} {reason}" for reason, count in why.most_common(3))
        raise UsageError(
            f"These runs give no row for {', '.join(job.formats)}" + (f" (left out: {most})." if most else "."),
            remedy="Pairs need right and wrong answers to one prompt: draw several (--n), or correct (--repair).",
        )
    text = card(
        collection.choice,
        collection.runs,
        job.rules,
        job.formats,
        title=job.title,
        version=importlib.metadata.version("fumehood"),
        licence=job.licence,
        reward=job.reward,
        together=job.together,
        dropped_attempts=collection.dropped_attempts,
        contamination=collection.contamination,
        unchecked=collection.unchecked,
        decontaminated=job.decontaminate,
    )
    return write(collection.choice, text, job.formats, folder, overwrite=overwrite)


def push(folder: Path, repository: str, *, private: bool = True, api: Any = None) -> str:
    """Put a written folder on the hub as a data set, and return its address. `api` is a `huggingface_hub.HfApi`.

    Raises:
        UsageError: that is not a valid repository name.
        PrerequisiteError: the hub cannot be reached, or refuses; the folder stays as it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    hub = HfApi() if api is None else api
    try:
        made = hub.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=made.repo_id, folder_path=str(folder), repo_type="dataset", commit_message="Collected by Fumehood"
        )
    except HFValidationError as exc:
        raise UsageError(f"{repository!r} names no repository.", remedy="Write OWNER/NAME.") from exc
    except (HfHubHTTPError, LocalTokenNotFoundError) as exc:
        code = getattr(getattr(exc, "response", None), "status_code", None)
        cause = f"status {code}" if code else "no token"
        raise PrerequisiteError(
            f"The hub refused {repository} ({cause}). The data lies in {folder}.",
            remedy="Log in (`hf auth login`, or HF_TOKEN) with a token that may write there.",
        ) from exc
    except Exception as exc:  # whatever the transport raises, and that changes with the library
        first = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
        raise PrerequisiteError(
            f"The hub cannot be reached for {repository}: {first}. The data lies in {folder}.",
            remedy="Check the network, then run the command again with --overwrite.",
        ) from exc
    return str(made)


def _known(what: str, names: Sequence[str], known: Mapping[str, object]) -> None:
    for name in names:
        if name not in known:
            raise no_such(what, name, known)


def _reward(measure: Measure) -> Callable[[Attempt], tuple[float | None, str]]:
    if measure == "recorded":
        return recorded

    def reward(attempt: Attempt) -> tuple[float | None, str]:
        if attempt.kind == "tests":  # tests that were written are judged by more than a run
            return recorded(attempt)
        decided = attempt.hidden or attempt.report
        if decided is not None:
            decided = decided.model_copy(update={"verdict": attempt.verdict})
        # Fractions of hidden and of visible tests passed cannot be compared.
        scale = "hidden" if attempt.hidden else "visible" if attempt.report else ""
        return _MEASURES[measure](Scored(attempt.completion.text, attempt.code, decided)), f"{measure} {scale}".strip()

    return reward


def _prompts(run: RunRecord, data: Path | None, problems: list[str]) -> dict[str, str]:
    """What the tasks of a run ask, where the run itself asked nothing."""
    name = str(run.config.get("dataset") or "")
    given = str(run.config.get("data") or "")
    if run.config.get("given"):
        problems.append(f"Run {run.id} judged tests of yours: no model was asked for them, so there is no prompt to learn from.")
        return {}
    try:
        loaded = load(name, Path(given) if given else None, data, split=ALL, hub=False)
    except (UsageError, PrerequisiteError) as exc:
        problems.append(f"Run {run.id} judged recorded completions, and its prompts are not here: {exc.message}")
        return {}
    return {task.task_id: task.prompt for task in loaded.tasks.values()}


def _detectors(names: Sequence[str], data: Path | None) -> tuple[list[Detector], dict[str, str]]:
    """Detectors of the benchmarks that are on this machine, and why there is none of the others."""
    found, missing = [], {}
    for name in names:
        try:
            loaded = load(name, None, data, split=ALL, hub=False)
        except (UsageError, PrerequisiteError) as exc:
            missing[name] = exc.message
            continue
        tasks = loaded.tasks
        found.append(
            Detector(
                Reference(
                    name=name,
                    source=loaded.source,
                    texts={key: (task.prompt, task.reference) for key, task in tasks.items()},
                    functions={key: task.entry_point for key, task in tasks.items()},
                )
            )
        )
    return found, missing
