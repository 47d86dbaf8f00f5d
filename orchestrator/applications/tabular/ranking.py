"""What many tables say together: ranks on each, and differences that are paired by table.

Metrics have different units. So a difference on one table is counted in shares of what its best baseline gains over the prior,
and tested by ranks of these, of which none outweighs the others (Wilcoxon 1945; Demšar 2006 for comparisons over data sets).

Left out: differences on one table. The run of each search has them, with intervals over its rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from pydantic import Field

from orchestrator.applications.tabular.baselines import BOOSTING, DUMMY, LINEAR
from orchestrator.applications.tabular.finalists import Sealed
from orchestrator.applications.tabular.manifest import Cell, SuiteJob
from orchestrator.applications.tabular.metrics import METRICS
from orchestrator.applications.tabular.results import CONTROL, WINNER, TabularResult
from orchestrator.errors import OrchestratorError
from orchestrator.jobs.job import JobResult
from orchestrator.scoring.paired import signed_ranks
from orchestrator.types import Value

BASELINES = (DUMMY, LINEAR, BOOSTING)


class CellResult(Value):
    """What came of one setting on one table."""

    setting: str
    table: str
    run: str
    """Of its search."""
    metric: str
    rows: int
    sealed_rows: int = 0
    answers: int
    scored: int
    tokens: int
    wall_time: float
    sealed: dict[str, Sealed] = Field(default={})
    """The winner, the control's best and the baselines on the sealed rows; empty where no candidate could be scored."""
    findings: tuple[str, ...] = ()
    """What the audit of the winner found."""

    @classmethod
    def of(cls, cell: Cell, result: TabularResult) -> CellResult:
        """Of a search that is over."""
        summary, outcome = result.summary(), result.outcome
        return cls(
            setting=cell.setting,
            table=cell.table,
            run=result.run.id,
            metric=result.metric,
            rows=len(result.table),
            sealed_rows=outcome.sealed_rows if outcome else 0,
            answers=summary["answers"],
            scored=summary["scored"],
            tokens=summary["tokens"],
            wall_time=result.wall_time,
            sealed=outcome.sealed if outcome else {},
            findings=tuple(outcome.audit.findings) if outcome and outcome.audit else (),
        )

    def score(self, name: str) -> float | None:
        """Of the winner, the control or a baseline, so that larger is better; None where it has none."""
        found = self.sealed.get(name)
        return None if found is None or found.value is None else METRICS[self.metric].score(found.value)


class SuiteStanding(Value):
    """What an evaluation has found so far. The run's summary keeps it, and a resumed one reads it back."""

    runs: dict[str, str] = Field(default={})
    """Setting and table -> the run of that search, from its beginning on."""
    results: dict[str, CellResult] = Field(default={})
    """The searches that are over."""


class Contest(Value):
    """One against another over the tables on which both have a score."""

    first: str
    second: str
    tables: int
    wins: int
    """Tables on which the first is better."""
    losses: int
    mean: float
    """Mean difference in shares of what the best baseline gains over the prior; above zero the first is better."""
    p_value: float
    """Two-sided, by signed ranks."""

    @property
    def is_resolved(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.p_value < 0.05


@dataclass(kw_only=True)
class SuiteResult(JobResult):
    """What came of an evaluation over tables."""

    job: SuiteJob
    standing: SuiteStanding
    problems: list[str] = field(default_factory=list)
    wall_time: float = 0.0
    error: OrchestratorError | None = None
    """Why it stopped half-way."""

    @property
    def settings(self) -> list[str]:
        """In the order of the manifest."""
        return list(dict.fromkeys(cell.setting for cell in self.job.cells))

    @property
    def tables(self) -> list[str]:
        """Those on which every setting is done, in the order of the manifest."""
        done = self.standing.results
        open_ = {cell.table for cell in self.job.cells if cell.name not in done}
        return [name for name in dict.fromkeys(cell.table for cell in self.job.cells) if name not in open_]

    @property
    def results(self) -> list[CellResult]:
        """Of the searches that are over, in the order of the manifest."""
        return [self.standing.results[cell.name] for cell in self.job.cells if cell.name in self.standing.results]

    def scores(self, table: str) -> dict[str, float | None]:
        """Who competes on a table, with scores of which larger is better: settings, their controls, baselines."""
        cells = [one for one in self.results if one.table == table]
        found = {one.setting: one.score(WINNER) for one in cells}
        found |= {control_of(one.setting): one.score(CONTROL) for one in cells if CONTROL in one.sealed}
        for name in BASELINES:
            found[name] = next((score for one in cells if (score := one.score(name)) is not None), None)
        return found

    def ranks(self) -> dict[str, float]:
        """Mean rank of whoever competes on all tables, the best first; equals share ranks, and failures come last."""
        each = [_ranks(self.scores(table)) for table in self.tables]
        names = [name for name in (each[0] if each else {}) if all(name in ranks for ranks in each)]
        means = {name: math.fsum(ranks[name] for ranks in each) / len(each) for name in names}
        return dict(sorted(means.items(), key=lambda item: item[1]))

    def contests(self) -> list[Contest]:
        """Settings against each other, against their own control, and against the baselines that learn."""
        pairs = [*combinations(self.settings, 2)]
        for setting in self.settings:
            pairs += [(setting, other) for other in (control_of(setting), LINEAR, BOOSTING)]
        scores = {table: self.scores(table) for table in self.tables}
        return [found for first, second in pairs if (found := _contest(first, second, scores)) is not None]

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "run": self.run.id,
            "state": self.run.state,
            "image": self.run.image,
            "samples": len(self.results),
            **{key: value for key, value in self.summary().items() if key != "standing"},
            "error": None if self.error is None else str(self.error),
            "results": [one.model_dump(mode="json") for one in self.results],
        }

    def summary(self) -> dict[str, Any]:
        """All but the rows, which are part of what it keeps of its standing."""
        return {
            "settings": self.settings,
            "tables": self.tables,
            "ranks": self.ranks(),
            "contests": [one.model_dump(mode="json") for one in self.contests()],
            "wall_time": self.wall_time,
            "problems": self.problems,
            "standing": self.standing.model_dump(mode="json"),
            "saved": time.time(),
        }


def control_of(setting: str) -> str:
    """What the control of a setting is called."""
    return f"{setting}, control"


def _ranks(scores: Mapping[str, float | None]) -> dict[str, float]:
    from scipy.stats import rankdata

    values = [-math.inf if score is None else score for score in scores.values()]
    return dict(zip(scores, map(float, rankdata([-value for value in values])), strict=True))


def _contest(first: str, second: str, scores: Mapping[str, Mapping[str, float | None]]) -> Contest | None:
    differences = [found for each in scores.values() if (found := _difference(first, second, each)) is not None]
    if not differences:
        return None
    return Contest(
        first=first,
        second=second,
        tables=len(differences),
        wins=sum(one > 0 for one in differences),
        losses=sum(one < 0 for one in differences),
        mean=math.fsum(differences) / len(differences),
        p_value=signed_ranks(differences),
    )


def _difference(first: str, second: str, scores: Mapping[str, float | None]) -> float | None:
    """In shares of what the best baseline gains over the prior. Who failed has what the prior has; None where that is unknown."""
    prior = scores.get(DUMMY)
    if prior is None or first not in scores or second not in scores:
        return None
    known: Sequence[float] = [score for name in (LINEAR, BOOSTING) if (score := scores.get(name)) is not None]
    unit = max(known, default=prior) - prior
    ours, theirs = (prior if score is None else score for score in (scores[first], scores[second]))
    return (ours - theirs) / (unit if unit > 0 else 1.0)
