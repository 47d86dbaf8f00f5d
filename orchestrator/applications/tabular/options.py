"""What a job is asked to do: which table, which target, how candidates are written and scored, and when it ends."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import Field

from orchestrator.applications.tabular.candidate import LIMITS, Form
from orchestrator.applications.tabular.table import Table, Task, read_table
from orchestrator.jobs.branching import BranchingJob
from orchestrator.types import Limits


class TabularJob(BranchingJob):
    """Everything that a job needs to be done, or to be resumed. Stored as the run's `config`.

    The control writes as many answers again.
    """

    source: str
    """A CSV or Parquet file, or a data set of scikit-learn by name."""
    target: str
    """Name of the column to predict."""
    task: Task | None = None
    """None: decided by the target."""
    names: tuple[str, ...] = ()
    """Columns of a file without a header."""
    missing: tuple[str, ...] = ()
    """Texts that stand for missing values, beside the usual ones."""
    text: tuple[str, ...] = ()
    """Columns that hold texts although they look like numbers."""
    encoding: str = "utf-8-sig"
    metric: str = ""
    """Empty: the usual one of the task."""
    form: Form = "functions"
    tokens: int | None = Field(default=None, ge=1)
    """No new candidate is asked for once so many tokens were read and written; None: no such limit."""
    patience: int = Field(default=6, ge=1)
    """The search ends after so many answers in a row without a gain above the noise."""
    features: bool = False
    """Whether the model proposes features for the best candidate, of which those are kept that show a gain."""
    trials: int = Field(default=0, ge=0, le=1000)
    """Choices of parameters that are tried for the best candidate that names a space; 0: none."""
    control: bool = True
    """Whether as many answers are drawn independently, for comparison."""
    split_seed: int = Field(default_factory=lambda: secrets.randbits(32))
    """Of the split into folds and sealed rows: drawn for each run, and shown to no model and no candidate."""
    limits: Limits = LIMITS
    """Of one candidate on one fold."""

    def read(self) -> Table:
        """The table.

        Raises:
            UsageError: it cannot be read, or cannot be learnt from.
        """
        return read_table(
            self.source,
            self.target,
            task=self.task,
            names=self.names,
            missing=self.missing,
            texts=self.text,
            encoding=self.encoding,
        )

    @property
    def name(self) -> str:
        """What the task is called."""
        return Path(self.source).stem
