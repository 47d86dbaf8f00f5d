"""Files of a report: each is written whole or not at all, over an earlier report and over nothing else.

Pages are Jinja templates beside the application whose report they are. HTML is escaped; Markdown keeps text as it is, but for the
characters that would end a cell or a fence.

Left out: what they say. That is the application's.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.errors import UsageError
from orchestrator.files import write_whole
from orchestrator.printable import printable

FACTS, ROWS = "report.json", "results.jsonl"


def check_folder(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder with files of these names that are of no earlier report.

    Raises:
        UsageError: there are such.
    """
    there = [name for name in names if (folder / name).exists()]
    if there and not _is_report(folder / FACTS):
        raise UsageError(
            f"{folder} holds {', '.join(there)}, which no report of ours wrote.", remedy="Name another folder with --out."
        )


def _is_report(path: Path) -> bool:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(report, dict) and {"run", "image", "samples"} <= set(report)


def write_files(folder: Path, facts: Mapping[str, Any], pages: Mapping[str, str], again: str) -> list[Path]:
    """Write what a result says as JSON, its rows as JSON lines, and the pages. `again` is the command that writes them again.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    contents = {
        ROWS: "".join(json.dumps(row) + "\n" for row in facts["results"]),
        FACTS: json.dumps({key: value for key, value in facts.items() if key != "results"}, indent=2) + "\n",
        **{name: printable(text) for name, text in pages.items()},
    }
    check_folder(folder, contents)
    remedy = f"All results are in the run store. Free some space or name another folder: `{again} --out DIR`."
    return [
        write_whole(folder / name, text.encode("utf-8", "backslashreplace"), remedy=remedy) for name, text in contents.items()
    ]


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
