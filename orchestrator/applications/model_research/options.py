"""What a search is asked to do: its goal, its data, who plans and who writes, and when it ends.

Left out: what the goal's words mean (`goal.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from orchestrator.applications.model_research.goal import Goal
from orchestrator.data.images import Labelled, Task, load
from orchestrator.jobs.loop import LoopOptions
from orchestrator.types import Value

Writer = Literal["layers", "code"]
"""Who makes source of a plan: our assembler from a list of layers, or a model."""


class ResearchJob(Value):
    """Everything that a search needs to be done, or to be resumed. Stored as the run's `config`."""

    goal: Goal
    """With what options say in place of its words."""
    data: str = "digits"
    """A data set by name, or a path."""
    label: str = ""
    """Column of the labels, of a CSV file."""
    rows: int | None = Field(default=None, ge=100)
    """At most so many rows are used; None: all."""
    folder: str = ""
    """A file or folder that must have the named data set."""
    name: str = ""
    """Of the run directory's model; empty: by the data."""
    answers: int = Field(default=9, ge=1, le=200)
    """Configurations that are planned at most."""
    rungs: tuple[int, ...] = (1, 3, 9)
    """Epochs of each rung: all configurations go through the first, a third of them through each next."""
    pairs: int = Field(default=5, ge=2, le=20)
    """Seeds that the best and the baseline are trained with at the end. Fewer than five are called indicative."""
    seconds: float | None = Field(default=None, gt=0)
    """No new configuration is asked for after so many seconds; None: no such limit."""
    writer: Writer = "layers"
    writer_url: str = ""
    """Server of the model that writes code; empty: the one that plans writes too."""
    writer_model: str = ""
    first_temperature: float = Field(default=0.2, ge=0, le=2)
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_new_tokens: int = Field(default=700, ge=1)
    seed: int = Field(default=0, ge=0)
    """Of the answers, the split and the weights."""
    threads: int = Field(default=1, ge=1, le=64)
    """CPU threads of a training. With one a seed means the same everywhere."""
    training_seconds: float = Field(default=300.0, gt=0)
    """Of one training; what is not done by then is scored as it is."""
    base_url: str = ""
    """Model server; empty starts the embedded one for the time of the job."""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)

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
            data=Path(self.folder) if self.folder else None,
            folder=data,
            label=self.label,
            task=task,
            rows=self.rows,
            seed=self.seed,
        )

    @property
    def loop(self) -> LoopOptions:
        """What the loop is given: each round has an answer, so there are no more rounds than answers."""
        return LoopOptions(
            rounds=self.answers,
            first_temperature=self.first_temperature,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            parallel=self.parallel,
        )
