"""What an attempt keeps of its evaluation: enough to plan, to prompt and to report, and no prediction of any row."""

from __future__ import annotations

from orchestrator.scoring.paired import Difference
from orchestrator.types import Attempt, Usage, Value


class TabularDetails(Value):
    """`Attempt.details` of this application."""

    values: tuple[float | None, ...] = ()
    """The metric on each fold; None where it is not defined."""
    value: float | None = None
    """Their mean; None where the candidate failed."""
    standard_error: float | None = None
    over_best: Difference | None = None
    """How much better it is than the best before it, on the same folds; None for the first."""
    weakness: str = ""
    """Where its predictions are worst, in a sentence."""
    stages: tuple[str, ...] = ()
    """How far it came: loaded, fitted, predicted."""
    wall_time: float = 0.0
    """Seconds in sandboxes."""
    report: str = ""
    """What the model itself says of it."""
    usage: Usage = Usage()
    """Tokens of that report."""

    @classmethod
    def of(cls, attempt: Attempt) -> TabularDetails:
        """Those of an attempt; empty where it was not evaluated."""
        return cls.model_validate(attempt.details)

    @property
    def is_gain(self) -> bool:
        """The first that has a value, or better than the best before by more than the noise."""
        return self.value is not None and (self.over_best is None or self.over_best.low > 0)
