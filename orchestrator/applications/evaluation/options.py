"""What an evaluation is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.types import Limits, MiB, Value

Judging = Literal["auto", "apart", "together"]


class EvalJob(Value):
    """Everything that an evaluation needs to be done, or to be resumed. Stored as the run's `config`."""

    dataset: str
    data: str = ""
    """File or folder; empty looks where the settings, a package or the hub have it."""
    split: str = ""
    """Of a data set that has splits; empty takes its standard one."""
    samples: str = ""
    """File of recorded completions; empty lets the model write."""
    raw: bool = False
    """Recorded completions are judged as they are, answers of a chat too."""
    n: int = Field(default=1, ge=1, le=1000)
    """Samples for each task."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    max_new_tokens: int = Field(default=512, ge=1)
    seed: int = 0
    limit: int | None = Field(default=None, ge=1)
    """The first so many tasks."""
    style: Literal["chat", "complete"] = "chat"
    ks: tuple[int, ...] = ()
    """Empty: 1, 5 and 10, as far as there are samples."""
    repair: int = Field(default=0, ge=0, le=20)
    """Rounds of correction for samples that fail the visible tests."""
    repair_temperature: float = Field(default=0.8, ge=0, le=5)
    """Of corrections, where it is above that of the samples: greedily, small models give the same wrong answer again (the 1.5B on
    HumanEval: 26 of 28 corrections)."""
    judging: Judging = "auto"
    limits: Limits = Limits(wall_time=20, cpu_time=10, memory=1024 * MiB, processes=64)
    base_url: str = ""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the server writes at once."""
    digest: str = ""
    """sha256 of the samples file, so that going on with another one is noticed."""
