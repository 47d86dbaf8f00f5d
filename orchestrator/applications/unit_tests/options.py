"""What a job is asked to do: which functions tests are wanted for, from whom, and what they are measured by."""

from __future__ import annotations

from pydantic import Field

from orchestrator.applications.unit_tests.judge import MutationOptions, Subject
from orchestrator.applications.unit_tests.score import Weights
from orchestrator.jobs.sampled import SampledOptions


class UnitTestJob(SampledOptions):
    """Everything that a job needs to be done, or to be resumed. Stored as the run's `config`."""

    subjects: tuple[Subject, ...] = ()
    """Functions in full; empty takes those of `dataset`."""
    given: str = ""
    """Tests to be judged in place of a model's."""
    docstrings: bool = True
    """Whether the model sees them."""
    max_new_tokens: int = Field(default=700, ge=1)
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Mutation score from which valid tests are accepted."""
    weights: Weights = Weights()
    mutation: MutationOptions = MutationOptions()
