"""Two evaluations over the same tasks, compared."""

from __future__ import annotations

from orchestrator.applications.evaluation.job import Evaluation
from orchestrator.applications.evaluation.results import counts_of, rows_of
from orchestrator.data.store import RunStore
from orchestrator.errors import UsageError
from orchestrator.scoring.pass_at_k import Comparison, compare
from orchestrator.types import RunRecord


def compare_runs(first: str, second: str, store: RunStore) -> tuple[RunRecord, RunRecord, Comparison]:
    """The second run against the first, paired by task. Unscored samples are left out.

    Raises:
        UsageError: one is not an evaluation, or they share no task.
    """
    runs = [store.run(first), store.run(second)]
    counts = []
    for run in runs:
        Evaluation.job_of(run)
        counts.append(counts_of(rows_of(store.attempts(run.id))))
    found = compare(*counts)
    if found is None:
        raise UsageError(f"Runs {runs[0].id} and {runs[1].id} share no task.", remedy="Compare runs over the same data set.")
    return runs[0], runs[1], found
