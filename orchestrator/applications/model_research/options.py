"""What a search is asked to do: its goal, its data, who plans and who writes, and when it ends.

Left out: what the goal's words mean (`goal.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from orchestrator.applications.model_research.goal import Goal
from orchestrator.data.images import Labelled, Task, load
from orchestrator.jobs.branching import BranchingJob

Writer = Literal["layers", "code"]
"""Who makes source of a plan: our assembler from a list of layers, or a model."""


class ResearchJob(BranchingJob):
    """Everything that a search needs to be done, or to be resumed. Stored as the run's `config`."""

    goal: Goal
    """With what options say in place of its words."""
    data: str = "digits"
    """A data set by name, or a path."""
    label: str = ""
    """Column of the labels, of a CSV file."""
    rows: int | None = Field(default=None, ge=100)
    """At most so many rows are used; None: all."""
    name: str = ""
    """Of the run directory's model; empty: by the data."""
    answers: int = Field(default=9, ge=1, le=200)
    """Networks that are planned at most."""
    rungs: tuple[int, ...] = ()
    """Epochs of each rung: all configurations go through the first, a third of them through each next. Empty: `epochs_of`."""
    pairs: int = Field(default=5, ge=2, le=20)
    """Seeds that the best and the baseline are trained with at the end. Fewer than five are called indicative."""
    writer: Writer = "layers"
    writer_url: str = ""
    """Server of the model that writes code; empty: the one that plans writes too."""
    writer_model: str = ""
    threads: int = Field(default=1, ge=1, le=64)
    """CPU threads of a training. With one a seed means the same everywhere."""
    training_seconds: float = Field(default=300.0, gt=0)
    """Of one training; what is not done by then is scored as it is."""

    @property
    def title(self) -> str:
        """What the search is called: its name, or its data."""
        return self.name or Path(self.data).stem

    def read(self, data: Path | None) -> Labelled:
        """The rows. `data` is the folder of data sets that the user has set.

        Raises:
            UsageError: there is no such data set, or it cannot be learnt from.
        """
        task: Task | None = self.goal.task
        return load(
            self.data,
            folder=data,
            label=self.label,
            task=task,
            rows=self.rows,
            seed=self.seed,
        )
