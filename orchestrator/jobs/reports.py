"""Files of a report: each is written whole or not at all, over an earlier report and over nothing else.

Left out: what they say. That is the application's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and {"run", "image", "samples"} <= set(told)


def write_files(folder: Path, told: Mapping[str, Any], pages: Mapping[str, str], again: str) -> list[Path]:
    """Write what a result says as JSON, its rows as JSON lines, and the pages. `again` is the command that writes them again.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    contents = {
        ROWS: "".join(json.dumps(row) + "\n" for row in told["results"]),
        FACTS: json.dumps({key: value for key, value in told.items() if key != "results"}, indent=2) + "\n",
        **{name: printable(text) for name, text in pages.items()},
    }
    check_folder(folder, contents)
    remedy = f"All results are in the run store. Free some space or name another folder: `{again} --out DIR`."
    return [
        write_whole(folder / name, text.encode("utf-8", "backslashreplace"), remedy=remedy) for name, text in contents.items()
    ]
