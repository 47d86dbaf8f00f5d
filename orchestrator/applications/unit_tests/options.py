"""What a job is asked to do: which functions tests are wanted for, from whom, and what they are measured by."""

from __future__ import annotations

from pydantic import Field

from orchestrator.applications.unit_tests.judge import MutationOptions, Subject
from orchestrator.applications.unit_tests.score import Weights
from orchestrator.types import Value


class UnitTestJob(Value):
    """Everything that a job needs to be done, or to be resumed. Stored as the run's `config`."""

    subjects: tuple[Subject, ...] = ()
    """Functions in full; empty takes those of `dataset`."""
    dataset: str = ""
    data: str = ""
    """File or folder of the data set; empty looks where the settings, a package or the hub have it."""
    split: str = ""
    """Of a data set that has splits; empty takes its standard one."""
    limit: int | None = Field(default=None, ge=1)
    """The first so many functions of the data set."""
    given: str = ""
    """Tests to be judged in place of a model's."""
    docstrings: bool = True
    """Whether the model sees them."""
    n: int = Field(default=1, ge=1, le=1000)
    """Answers for each function."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    max_new_tokens: int = Field(default=700, ge=1)
    seed: int = 0
    ks: tuple[int, ...] = ()
    """Empty: 1, 5 and 10, as far as there are answers."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Mutation score from which valid tests are accepted."""
    weights: Weights = Weights()
    mutation: MutationOptions = MutationOptions()
    base_url: str = ""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the server writes at once."""
