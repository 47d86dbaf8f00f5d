"""Settings of unit tests: from the environment (`FUMEHOOD_TESTS_*`)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.applications.unit_tests.score import Weights


class TestsSettings(BaseSettings):
    """What rewards of generated unit tests are made of, and what is enough. `Weights` says what each part means."""

    __test__ = False
    model_config = SettingsConfigDict(env_prefix="FUMEHOOD_TESTS_", extra="ignore")

    syntax: float = Field(default=0.05, ge=0)
    runs: float = Field(default=0.05, ge=0)
    passes: float = Field(default=0.1, ge=0)
    line_coverage: float = Field(default=0.1, ge=0)
    branch_coverage: float = Field(default=0.1, ge=0)
    mutation: float = Field(default=0.6, ge=0)
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Mutation score from which generated tests are accepted."""

    @property
    def weights(self) -> Weights:
        """The parts of the reward."""
        return Weights(**self.model_dump(exclude={"threshold"}))
