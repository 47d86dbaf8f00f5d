"""Rows out of JSON and JSONL files, plain or gzipped, each with its place. A broken line is named, and the rest is read."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.types import Value


class Problem(Value):
    """A row that was left out, and why."""

    place: str
    """File and line."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def read_rows(path: Path, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, row) for each object in a file of JSON lines, or in a JSON list (file#place, counted from 1).

    A line that is not a JSON object is added to `problems`, and so is an end that is missing (a broken gzip stream).

    Raises:
        UsageError: the file cannot be opened.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            if path.name.removesuffix(".gz").endswith(".json"):
                yield from _from_list(path, file.read(), problems)
            else:
                yield from _from_lines(path, file, problems)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        problems.append(Problem(place=str(path), reason=f"the file is cut off or damaged ({exc})"))
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror or exc}.", remedy="Check the path and its permissions.") from exc


def _from_lines(path: Path, file: Any, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            place = f"{path}:{number}"
            for row in _parsed(place, line, problems):
                yield from _object(place, row, problems)


def _from_list(path: Path, content: bytes, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    for rows in _parsed(str(path), content, problems):
        for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
            yield from _object(f"{path}#{number}", row, problems)


def _parsed(place: str, text: bytes, problems: list[Problem]) -> Iterator[Any]:
    """The value, if there is one."""
    try:
        yield json.loads(text)
    except json.JSONDecodeError as exc:
        what = "the line is cut off" if exc.pos >= len(exc.doc.rstrip()) - 1 or "Unterminated" in exc.msg else "no JSON"
        problems.append(Problem(place=place, reason=f"{what} ({exc.msg}, column {exc.colno})"))
    except (UnicodeDecodeError, RecursionError) as exc:
        problems.append(Problem(place=place, reason=f"no JSON ({exc})"))


def _object(place: str, row: Any, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(row, dict):
        yield place, row
    else:
        kind = "null" if row is None else f"a {type(row).__name__}"
        problems.append(Problem(place=place, reason=f"{kind} is not a row"))
