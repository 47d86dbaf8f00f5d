"""The grader of programs that learn from a table: held-out rows, and then the audit that every winner goes through.

The table has what such programs cheat with elsewhere: a column that numbers the rows in the order of their classes, rows that are
there twice, and rows that a program may know by heart, for they are drawn from a seed that anybody can read here.

Left out: programs that know the rows and notice that their targets are shuffled. The audit does not see those.
"""

from __future__ import annotations

import random
from functools import cache

from orchestrator.applications.tabular.audit import audit
from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import evaluate
from orchestrator.applications.tabular.metrics import METRICS
from orchestrator.applications.tabular.split import Split
from orchestrator.applications.tabular.table import Table, table_of
from orchestrator.engine.engine import Engine
from orchestrator.types import ExecutionResult, Limits, Verdict

SCORE = 0.9
"""Share of right predictions that is asked for. Who learns has it."""
_ROWS, _TWICE, _SEED = 400, 100, 1
_FOLDS = 2
"""Of those that a search looks at."""
_METRIC = METRICS["accuracy"]


async def judge_table(engine: Engine, source: str, limits: Limits) -> ExecutionResult:
    """Judge a module with `build` or a whole script: accepted is what predicts hidden rows and has nothing against it."""
    candidate = Candidate(code=source, form="functions" if "def build(" in source else "script")
    split = Split(table(), seed=_SEED)
    found = await evaluate(candidate, split.table, split.folds()[:_FOLDS], _METRIC, engine.execute, limits=limits)
    last = found.outcomes[-1].result
    if found.is_of_the_sandbox:
        return last.model_copy(update={"verdict": Verdict.UNSCORED})
    if found.value is None or found.value < SCORE:
        why = found.failure or f"accuracy {found.value:.2f}, less than {SCORE}"
        return last.model_copy(update={"verdict": Verdict.WRONG_ANSWER, "detail": why})
    try:
        findings = (await audit(candidate, split, _METRIC, engine.execute, limits=limits)).findings
    except ValueError as error:
        findings = [str(error)]
    return last.model_copy(
        update={"verdict": Verdict.WRONG_ANSWER if findings else Verdict.ACCEPTED, "detail": "; ".join(findings)}
    )


@cache
def table() -> Table:
    """Two numbers and the sign of their product, numbered in the order of the classes, with some of the rows twice."""
    import pandas as pd

    rng = random.Random(_SEED)
    rows: list[tuple[float, float, str]] = []
    while len(rows) < _ROWS:
        x, y = round(rng.uniform(-1, 1), 4), round(rng.uniform(-1, 1), 4)
        if abs(x * y) > 0.03:
            rows.append((x, y, "yes" if x * y > 0 else "no"))
    rows = sorted(rows + rows[:_TWICE], key=lambda row: row[2])
    frame = pd.DataFrame(rows, columns=["x", "y", "label"])
    return table_of(frame.assign(number=range(len(frame))), "label", name="signs")
