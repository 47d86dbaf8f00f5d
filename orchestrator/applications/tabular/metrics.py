"""The metric of a table. What metrics there are stands in `scoring/metrics.py`, where every application has them from."""

from __future__ import annotations

from orchestrator.applications.tabular.table import Table
from orchestrator.scoring.metrics import METRICS as METRICS
from orchestrator.scoring.metrics import Labels as Labels
from orchestrator.scoring.metrics import Metric as Metric
from orchestrator.scoring.metrics import Predictions as Predictions
from orchestrator.scoring.metrics import bootstrap as bootstrap
from orchestrator.scoring.metrics import interval as interval
from orchestrator.scoring.metrics import metric_of


def metric_for(table: Table, name: str = "") -> Metric:
    """The metric of that name, or the usual one for the table's task and classes.

    Raises:
        UsageError: as `metric_of`.
    """
    return metric_of(table.task, len(table.classes), name)
