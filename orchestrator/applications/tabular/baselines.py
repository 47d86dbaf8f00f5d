"""What anybody gets without a model: candidates of our own, on the same rows as all others.

They are written in the form of a candidate, run in the same sandboxes and scored by the same code.
"""

from __future__ import annotations

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.table import Table

DUMMY, LINEAR, BOOSTING = "dummy", "linear", "boosting"

_ENCODED = """
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

NUMBERS, TEXTS = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
"""
_LINEAR = (
    _ENCODED
    + """
from sklearn.linear_model import {kind}


def build(columns):
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", min_frequency=10)
    return make_pipeline(make_column_transformer((numbers, NUMBERS), (texts, TEXTS)), {kind}({options}))
"""
)
_BOOSTING = (
    _ENCODED
    + """
from sklearn.ensemble import {kind}


def build(columns):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    return make_pipeline(make_column_transformer((codes, TEXTS), remainder="passthrough"), {kind}(random_state=0))
"""
)
_DUMMY = """
from sklearn.dummy import {kind}


def build(columns):
    return {kind}({options})
"""


def baselines(table: Table) -> dict[str, Candidate]:
    """The prior or the mean, a linear or logistic model, and scikit-learn's histogram gradient boosting, by name."""
    if table.task == "classification":
        sources = {
            DUMMY: _DUMMY.format(kind="DummyClassifier", options='strategy="prior"'),
            LINEAR: _LINEAR.format(kind="LogisticRegression", options="max_iter=2000"),
            BOOSTING: _BOOSTING.format(kind="HistGradientBoostingClassifier"),
        }
    else:
        sources = {
            DUMMY: _DUMMY.format(kind="DummyRegressor", options=""),
            LINEAR: _LINEAR.format(kind="Ridge", options=""),
            BOOSTING: _BOOSTING.format(kind="HistGradientBoostingRegressor"),
        }
    return {name: Candidate(code=source.lstrip()) for name, source in sources.items()}
