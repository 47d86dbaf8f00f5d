"""The run directory: what a search made, as files that others' tools read.

    run_20261130T093000Z/
      src/models/model.py            the network that won
      experiments/registry.json      a JSON array: prompt, answer, assembly, validation, summary, evaluation, decision
      plots/                         curves, confusion matrix, ...
      report.html, report.md

It is written as the search goes, each file whole or not at all. The run store keeps everything; this is a copy for people.

Left out: reading it back. `fumehood research --resume` reads the run store.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, unwritable
from orchestrator.files import write_whole

_MARK = ".fumehood-run"
"""Says that a folder is ours, so that nothing else is ever removed."""
REGISTRY = "experiments/registry.json"
MODEL = "src/models/model.py"


class RunDirectory:
    """One run directory, made here."""

    def __init__(self, parent: Path) -> None:
        """Make `run_<UTC time>` in a folder; with a number where there is one of that second.

        Raises:
            UsageError, StoreError: it cannot be made.
        """
        name = time.strftime("run_%Y%m%dT%H%M%SZ", time.gmtime())
        for number in range(1, 1000):
            self.path = parent / (name if number == 1 else f"{name}_{number}")
            try:
                self.path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise unwritable(error)(
                    f"{self.path} cannot be made: {error.strerror}.", remedy="Name another folder with --out."
                ) from error
            write_whole(self.path / _MARK, b"")
            return
        raise UsageError(f"{parent} holds too many run directories of this second.", remedy="Name another folder with --out.")

    def write_registry(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """All iterations so far, in place of those before."""
        self.write(REGISTRY, json.dumps(iterations, indent=1).encode("utf-8", "backslashreplace"))

    def write(self, name: str, content: bytes) -> Path:
        """A file by its path in the directory."""
        return write_whole(self.path / name, content)

    def remove(self) -> None:
        """Take it away, for the run store has it all. Only a directory that was made here goes."""
        if (self.path / _MARK).exists():
            shutil.rmtree(self.path)
