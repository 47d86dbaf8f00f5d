"""What an evaluation is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.jobs.sampled import SampledOptions
from orchestrator.types import Limits, MiB

Judging = Literal["auto", "apart", "together"]


class EvalJob(SampledOptions):
    """Everything that an evaluation needs to be done, or to be resumed. Stored as the run's `config`."""

    dataset: str
    samples: str = ""
    """File of recorded completions; empty lets the model write."""
    raw: bool = False
    """Recorded completions are judged as they are, answers of a chat too."""
    style: Literal["chat", "complete"] = "chat"
    template: str = ""
    """What a chat is asked in place of our own words, with `{prompt}` and `{entry_point}` in it; empty: our own words."""
    repair: int = Field(default=0, ge=0, le=20)
    """Rounds of correction for samples that fail the visible tests."""
    repair_temperature: float = Field(default=0.8, ge=0, le=5)
    """Of corrections, where it is above that of the samples: greedily, small models give the same wrong answer again (the 1.5B on
    HumanEval: 26 of 28 corrections)."""
    judging: Judging = "auto"
    limits: Limits = Limits(wall_time=20, cpu_time=10, memory=1024 * MiB, processes=64)
    digest: str = ""
    """sha256 of the samples file, so that resuming with another one is noticed."""
