"""A collection on the disk: the whole folder or nothing of it.

    README.md             the card; its head says which file `datasets.load_dataset(folder, FORMAT)` reads
    FORMAT/train.jsonl    the rows
    FORMAT/train.parquet  the same
    provenance/           which attempts each pair and example came from; line i is row i. files.json lists all files
    dataset_info.json     for LLaMA-Factory, whose `dataset_dir` is this folder

The folder is written under another name beside its place and renamed at the end.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, unwritable
from orchestrator.files import check_unchanged, digest, read_object
from orchestrator.printable import printable
from orchestrator.training.preferences.choice import Choice, Example, Pair
from orchestrator.training.preferences.formats import FORMATS, Row

SPLIT = "train"
_LIST = "provenance/files.json"
"""Names the files of a collection, and how they were written: a folder with any other, or with a changed one, is not replaced."""


def write(choice: Choice, card: str, formats: Sequence[str], folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the folder and return its files. Formats without rows are left out.

    Raises:
        UsageError: the folder is there already and `overwrite` does not say that it may go, it holds what no collection wrote,
            or something cannot be written; then it is as it was before.
    """
    check_place(folder, overwrite=overwrite)
    folder = folder.resolve()  # `.` has no name to put another one beside
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        part.mkdir(parents=True)
        _fill(part, choice, card, formats)
        if folder.exists():
            folder.rename(old)
        try:
            part.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as exc:
        raise unwritable(exc)(
            f"{folder} cannot be written: {exc.strerror or exc}. Nothing was changed; all attempts are in the run store.",
            remedy="Free some space or name another folder with --out, and run the command again.",
        ) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder in which anything lies that an earlier collection did not write, or not so.

    Raises:
        UsageError: it does, or `overwrite` does not say that the collection may go.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", remedy="Name a folder with --out.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    ours = _listed(folder)
    folders = {parent.as_posix() for name in ours for parent in Path(name).parents}
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    others = list(itertools.islice((name for name in names if name not in ours | folders), 3))
    if others:
        raise UsageError(
            f"{folder} holds what no collection wrote, {', '.join(others)} among it. Nothing was changed.",
            remedy="Name another folder with --out.",
        )
    if not overwrite:
        raise UsageError(f"{folder} holds a collection.", remedy="Name another folder, or replace this one with --overwrite.")
    check_unchanged(
        folder, read_object(folder / _LIST).get("sha256"), remedy="Name another folder with --out, or move that file away."
    )


def _listed(folder: Path) -> frozenset[str]:
    """The files that a collection says it wrote here; none where it says nothing."""
    named = read_object(folder / _LIST).get("files")
    return frozenset(name for name in named if isinstance(name, str)) if isinstance(named, list) else frozenset()


def _fill(folder: Path, choice: Choice, card: str, formats: Sequence[str]) -> None:
    listed: dict[str, Any] = {}
    for name in formats:
        rows = FORMATS[name].rows(choice)
        if not rows:
            continue
        place = folder / name
        place.mkdir()
        _lines(place / f"{SPLIT}.jsonl", rows)
        _parquet(place / f"{SPLIT}.parquet", rows)
        if FORMATS[name].llama_factory is not None:
            listed[f"fumehood-{name}"] = {"file_name": f"{name}/{SPLIT}.jsonl", **(FORMATS[name].llama_factory or {})}
    provenance = folder / "provenance"
    provenance.mkdir()
    _lines(provenance / "pairs.jsonl", [_of_pair(pair) for pair in choice.pairs])
    _lines(provenance / "examples.jsonl", [_of_example(example) for example in choice.examples])
    _lines(
        provenance / "right_examples.jsonl",
        [_of_example(example) for example in choice.examples if example.label],
    )
    if listed:
        _text(folder / "dataset_info.json", json.dumps(listed, indent=2) + "\n")
    _text(folder / "README.md", printable(card))
    files = {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    told = {"files": sorted([*files, _LIST]), "sha256": dict(sorted(files.items()))}
    _text(folder / _LIST, json.dumps(told, indent=2) + "\n")


def _of_pair(pair: Pair) -> Row:
    return {
        "kind": pair.kind,
        "dataset": pair.chosen.dataset,
        "task": pair.chosen.task,
        "margin": pair.margin,
        "code_only": pair.bare,
        "chosen": _attempt(pair.chosen),
        "rejected": _attempt(pair.rejected),
    }


def _of_example(example: Example) -> Row:
    one = example.answer
    return {
        "dataset": one.dataset,
        "task": one.task,
        "label": example.label,
        "code_only": example.bare,
        "answer": _attempt(one),
    }


def _attempt(answer: Any) -> Row:
    facts: Mapping[str, Any] = answer.model_dump(mode="json", include={"run", "index", "verdict", "reward", "scale", "seed"})
    return {**facts, "stages": list(answer.stages)} if answer.stages else dict(facts)


def _lines(path: Path, rows: Iterable[Row]) -> None:
    _text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _text(path: Path, text: str) -> None:
    # Half a surrogate pair, as a model cut off inside an emoji may send, has no UTF-8: it becomes a question mark.
    path.write_text(text, encoding="utf-8", errors="replace")


def _parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    whole = json.loads(json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace"))
    try:
        parquet.write_table(pyarrow.Table.from_pylist(whole), path)
    except pyarrow.ArrowException as exc:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise OSError(str(exc)) from exc
