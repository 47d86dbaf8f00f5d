"""What answers of `fumehood solve tabular` are worth as training data.

Right is an answer whose predictions of hidden rows are better than the prior's by more than the noise; one that only runs has
learnt nothing that is worth learning from. Rewards are the metric: of two answers one is preferred for a paired gain alone.

Left out: stages as a reward. A program reports them itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from orchestrator.applications.tabular.baselines import DUMMY
from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.metrics import METRICS, Metric
from orchestrator.applications.tabular.results import Scored, Standing
from orchestrator.llm.extraction import normalised
from orchestrator.training.preferences.answers import Answer
from orchestrator.types import Attempt, RunRecord, Verdict


def graded(run: RunRecord, answers: Sequence[Answer], attempts: Sequence[Attempt]) -> tuple[list[Answer], Counter[str]]:
    """The answers with the metric as reward and what that says of them; and how many are left out, by reason.

    Reasons: `suspicious`, for the winner of a run whose audit found that it knows the targets from elsewhere or uses the test
    batch, and answers that repeat it.
    """
    standing = Standing.model_validate(run.summary.get("standing", {}))
    metric = METRICS.get(str(run.summary.get("metric")))
    if metric is None:  # it was interrupted before anything was scored
        return list(answers), Counter()
    by_index = {attempt.index: attempt for attempt in attempts}
    winner = by_index.get(_suspicious(standing))
    dummy = next((one for one in standing.baselines if one.name == DUMMY), None)
    found, dropped = [], Counter[str]()
    for answer in answers:
        attempt = by_index[answer.index]
        if winner is not None and normalised(winner.code) == normalised(attempt.code):
            dropped["suspicious"] += 1
            continue
        found.append(_graded(answer, TabularDetails.of(attempt), metric, dummy))
    return found, dropped


def stages_reached(answers: Sequence[Answer]) -> Mapping[str, int]:
    """How many answers came how far, by the last stage that they reached."""
    return Counter(answer.stages[-1] if answer.stages else "none" for answer in answers)


def _suspicious(standing: Standing) -> int:
    """Index of the attempt that won and that nobody should learn from; -1 where there is none."""
    outcome = standing.outcome
    if outcome is None or outcome.audit is None:
        return -1
    return outcome.winner if outcome.audit.remembers or outcome.audit.uses_batch else -1


def _graded(answer: Answer, details: TabularDetails, metric: Metric, dummy: Scored | None) -> Answer:
    if not answer.accepted or details.value is None:
        return answer.model_copy(update={"reward": None, "scale": "", "stages": details.stages})
    found = _measured(answer, metric, details.value, details.values, details.standard_error)
    found = found.model_copy(update={"stages": details.stages})
    if dummy is None or dummy.value is None:
        return found
    prior = _measured(answer, metric, dummy.value, dummy.values, dummy.standard_error)
    return found if found.betters(prior) else found.model_copy(update={"verdict": Verdict.WRONG_ANSWER})


def _measured(answer: Answer, metric: Metric, value: float, values: Sequence[float | None], noise: float | None) -> Answer:
    folds = [metric.score(one) for one in values if one is not None]
    return answer.model_copy(
        update={
            "reward": metric.score(value),
            "scale": f"{metric.name} on the folds of {answer.run}",
            "folds": tuple(folds) if len(folds) == len(values) > 1 else (),
            "noise": noise or 0.0,
        }
    )
