"""Files of a report: all are written or none, over an earlier report of the same run and over nothing else.

Pages are Jinja templates beside the application whose report they are. HTML is escaped; Markdown keeps text as it is, but for the
characters that would end a cell or a fence.

Left out: what they say. That is the application's.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.errors import UsageError
from orchestrator.files import check_unchanged, digest, read_object, write_all
from orchestrator.printable import printable

FACTS, ROWS = "report.json", "results.jsonl"
_DIGESTS = "sha256"
"""The key of the facts that says how the other files were written: what a person changed is not replaced."""


def check_folder(folder: Path, names: Iterable[str], run: str = "", *, facts: str = FACTS, key: str = "samples") -> None:
    """Refuse a folder with files of these names, unless they are the report of this run as it was written.

    `facts` is the file that says of which run a report is, and `key` something that it has to say beside.

    Raises:
        UsageError: there are files of somebody else's or of another run, or one that was changed.
    """
    there = [name for name in names if os.path.lexists(folder / name)]
    if not there:
        return
    report = read_object(folder / facts)
    if not {"run", "image", key} <= report.keys():
        raise UsageError(
            f"{folder} holds {', '.join(there)}, which no report of ours wrote.", remedy="Name another folder with --out."
        )
    if report["run"] != run:
        raise UsageError(
            f"{folder} holds the report of run {report['run']}, which would be replaced.",
            remedy="Name another folder with --out, or remove that report.",
        )
    check_unchanged(folder, report.get(_DIGESTS), remedy="Name another folder with --out, or move that file away.")


def write_files(
    folder: Path, facts: Mapping[str, Any], pages: Mapping[str, str], again: str, more: Mapping[str, bytes] | None = None
) -> list[Path]:
    """Write what a result says as JSON, its rows as JSON lines, the pages, and other files as they are.

    `again` is the command that writes them again.

    Raises:
        StoreError, UsageError: one cannot be written, or would replace what `check_folder` refuses; then none is.
    """
    more = dict(more or {})
    rows = "".join(json.dumps(row) + "\n" for row in facts["results"])
    texts = {ROWS: rows, **{name: printable(text) for name, text in pages.items()}}
    write_report(
        folder,
        {key: value for key, value in facts.items() if key != "results"},
        {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()} | more,
        remedy=f"All results are in the run store. Free some space or name another folder: `{again} --out DIR`.",
    )
    return [folder / name for name in (ROWS, FACTS, *pages, *more)]


def write_report(
    folder: Path,
    facts: Mapping[str, Any],
    contents: Mapping[str, bytes],
    *,
    name: str = FACTS,
    key: str = "samples",
    remedy: str,
) -> list[Path]:
    """Write facts as JSON under `name`, with what the files beside them are recognised by, and these files.

    Raises:
        StoreError, UsageError: as `write_files`.
    """
    check_folder(folder, (name, *contents), str(facts["run"]), facts=name, key=key)
    told = {**facts, _DIGESTS: {file: digest(content) for file, content in contents.items()}}
    files = {name: (json.dumps(told, indent=2) + "\n").encode(), **contents}
    return write_all({folder / file: content for file, content in files.items()}, remedy=remedy)


def render(template: str, **facts: Any) -> str:
    """A page by its template, a path in this package."""
    return _environment().get_template(template).render(**facts)


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("orchestrator", ""),
        autoescape=lambda name: (name or "").endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters |= {"percent": percent, "cell": _cell, "fenced": _fenced}
    return made


def percent(value: float | None) -> str:
    """A share between 0 and 1 for people; nothing for None."""
    return "" if value is None else f"{100 * value:.1f} %"


def _cell(value: object) -> str:
    """A text in a cell or a heading of Markdown."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "&#124;")


def _fenced(text: str, language: str) -> str:
    """A block of code in Markdown, by a fence longer than any in it."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
