"""A table searched in sandboxes from beginning to end: a script of a model beside baselines that are functions."""

from __future__ import annotations

import pytest

from orchestrator.applications.tabular.candidate import LIMITS
from orchestrator.applications.tabular.job import TabularSolving
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import Engine
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
ANSWER = """```python
import pandas as pd
from sklearn.linear_model import LogisticRegression

train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
target = train.pop("target")
model = LogisticRegression(max_iter=1000).fit(train, target)
print("score: 1.0")
pd.DataFrame(model.predict_proba(test), columns=model.classes_).to_csv("predictions.csv", index=False)
```"""


@pytest.fixture(scope="module")
async def sandboxes(isolation):
    async with Engine(Settings(workers=2, isolation=isolation), limits=LIMITS, preload=False) as engine:
        yield engine


async def test_a_script_is_scored_on_rows_that_it_never_saw(sandboxes, tmp_path):
    job = TabularJob(source="iris", target="target", form="script", answers=1, control=False)
    model = ScriptedModel([ANSWER, "Tried: a line\nResult: good\nCause: it is\nNext: nothing"])
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:
        result = await TabularSolving(Settings(), store, engine=sandboxes, model=model).run_job(job)
    outcome = result.outcome
    assert outcome.score.value > 0.8
    assert outcome.sealed["dummy"].value == pytest.approx(1 / 3)
    assert outcome.audit.findings == []
    assert outcome.importances[0].column.startswith("petal")
    assert outcome.importances[0].loss.low > 0
    assert sum(one.rows for one in outcome.calibration.bins) == 120
    assert result.standing.opened == 1
    assert outcome.sealed_rows == 30
