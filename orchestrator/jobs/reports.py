"""Files of a report: each is written whole or not at all.

Left out: what they say. That is the application's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import unwritable
from orchestrator.printable import printable


def write_files(folder: Path, told: Mapping[str, Any], pages: Mapping[str, str], again: str) -> list[Path]:
    """Write what a result says as JSON, its rows as JSON lines, and the pages. `again` is the command that writes them again.

    Raises:
        StoreError, UsageError: one cannot be written; those before it are there.
    """
    contents = {
        "results.jsonl": "".join(json.dumps(row) + "\n" for row in told["results"]),
        "report.json": json.dumps({key: value for key, value in told.items() if key != "results"}, indent=2) + "\n",
        **{name: printable(text) for name, text in pages.items()},
    }
    return [_write(folder / name, text, again) for name, text in contents.items()]


def _write(path: Path, text: str, again: str) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise unwritable(exc)(
            f"{path} cannot be written: {exc.strerror}. All results are in the run store.",
            remedy=f"Free some space or name another folder: `{again} --out DIR`.",
        ) from exc
    return path
