"""A small table, answers of a model to it, and sandboxes that know by an answer what it would predict."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd

from orchestrator.applications.tabular import prompts
from orchestrator.applications.tabular.candidate import STAGES
from orchestrator.applications.tabular.predictions import ARRAY
from orchestrator.data.arrays import write_array
from orchestrator.errors import CompletionError
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.types import ExecutionResult, Limits, Status

RNG = np.random.default_rng(3)
ROWS = 120
X, Y = RNG.normal(size=(2, ROWS))
SECRET = "Zanzibar"
FRAME = pd.DataFrame(
    {"x": X.round(3), "y": Y.round(3), "town": RNG.choice([SECRET, "Ulm"], ROWS), "bought": np.where(X > 0, "yes", "no")}
)


def answer(depth, extra=""):
    return f"""```python
from sklearn.tree import DecisionTreeClassifier

def features(df):
    return df[["x", "y"]]

def build(columns):
    {extra}
    return DecisionTreeClassifier(max_depth={depth}, random_state=0)
```"""


WEAK, STRONG, BROKEN = answer(1, "columns = columns[:1]").replace('["x", "y"]', '["y"]'), answer(1), answer(1, "missing_name")
FEATURES = (
    '```python\ndef sign(df):\n    """Buyers differ by x."""\n    return df["x"]\n\n\ndef same(df):\n    return df["y"]\n```'
)
REPORT = "Tried: a tree\nResult: fine\nCause: luck\nNext: another"


class Sandboxes:
    """Knows by the code of a candidate what it would predict: a fold costs nothing."""

    image, limits, workers = "sha256:test", Limits(), 1

    def __init__(self):
        self.programs = []

    async def execute(self, program, limits=None, **_):
        self.programs.append(program)
        code, rows = program.files["candidate.py"].decode(), pd.read_csv(io.BytesIO(program.files["test.csv"]))
        if "missing_name" in code:
            trace = "Traceback (most recent call last):\n  File \"/x/candidate.py\", line 7, in build\nNameError: name 'missing_name' is not defined"
            said = {"reached": ["loaded"], "failure": "NameError", "traceback": trace}
            return ExecutionResult(status=Status.OK, artifacts={STAGES: json.dumps(said).encode()})
        yes = np.full(len(rows), 0.5)
        if "features" in code:
            column = "x" if '"x"' in code.replace("'", '"') else "y"
            yes = np.where(rows[column] > 0, 0.9, 0.1)
        return ExecutionResult(status=Status.OK, artifacts={ARRAY: write_array(np.column_stack([1 - yes, yes]))})


class Model(ScriptedModel):
    """Answers drafts from a list; asked for a report, it writes one."""

    def __init__(self, answers):
        self.rest = iter(answers)
        super().__init__(self.next)

    def next(self, messages, sampling):
        if messages[0].content == prompts.REPORT_SYSTEM:
            return REPORT
        if "Propose at most" in messages[-1].content:
            return FEATURES
        return next(self.rest, CompletionError("The server is gone."))

    @property
    def asked(self):
        return [call.messages[-1].content for call in self.calls if call.messages[0].content != prompts.REPORT_SYSTEM]
