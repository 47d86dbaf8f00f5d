"""What a table is like, in a few lines: for the person who brought it, and for the model that is to learn from it.

It is made of the rows that are not sealed.

Left out: rows themselves. A model sees types, ranges and the most frequent values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.table import Table
from orchestrator.types import Value

if TYPE_CHECKING:
    from pandas import Series

GIVES_AWAY = 0.99
"""ROC AUC or R2 that a single column should not reach."""
_SAMPLE = 5000
"""Rows from which that is estimated."""
_LEAVES, _PARTS = 32, 3
_MOST_COLUMNS = 40
"""Columns that are described one by one."""
_MOSTLY_DISTINCT = 0.5
"""Share of distinct texts above which a text is a single row's, and not shown."""
_LONGEST = 24
"""Characters of a value shown."""


class ColumnProfile(Value):
    """One feature."""

    name: str
    kind: Literal["number", "text"]
    missing: float
    """Share of rows without a value."""
    distinct: int
    summary: str
    """Range and median of numbers, or the most frequent texts."""
    alone: float | None = None
    """ROC AUC (R2) of a small tree that sees this column only, cross-validated; None where that is not defined."""


class Profile(Value):
    """A table in numbers."""

    name: str
    task: str
    rows: int
    target: str
    target_summary: str
    columns: tuple[ColumnProfile, ...]
    duplicates: int
    """Rows whose features another row has too."""
    dropped: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What the person should know before anything is believed, a sentence each."""
        what = "R2" if self.task == "regression" else "ROC AUC"
        found = [
            f"The column {column.name!r} alone gives the target away ({what} {column.alone:.3f}): is it known when you predict?"
            for column in self.columns
            if column.alone is not None and column.alone > GIVES_AWAY
        ]
        if self.dropped:
            found.append(f"Dropped, for it only numbers the rows: {', '.join(self.dropped)}.")
        if self.duplicates:
            found.append(
                f"{self.duplicates} of {self.rows} rows have the features of another row; such rows stay on one side of a split."
            )
        empty = [column.name for column in self.columns if column.distinct == 0]
        if empty:
            found.append(f"Columns without any value: {', '.join(empty)}.")
        return found

    def text(self) -> str:
        """For a prompt, or a screen: a line for the target and one for each column."""
        shown = self.columns[:_MOST_COLUMNS]
        lines = [f"{self.rows} rows. Target {self.target!r} ({self.task}): {self.target_summary}", "Columns:"]
        for column in shown:
            missing = f", {column.missing:.0%} missing" if column.missing else ""
            lines.append(f"- {column.name} ({column.kind}, {column.distinct} distinct{missing}): {column.summary}")
        if len(shown) < len(self.columns):
            lines.append(f"- and {len(self.columns) - len(shown)} more, the last of them {self.columns[-1].name}")
        return "\n".join(lines)


def profile(table: Table) -> Profile:
    """Describe a table; give it the rows that are not sealed (`table.rows(split.rest)`)."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(table.features, index=False)
    return Profile(
        name=table.name,
        task=table.task,
        rows=len(table),
        target=table.target,
        target_summary=_target(table),
        columns=tuple(_column(name, table.features[name], table) for name in table.features.columns),
        duplicates=int(hashes.duplicated(keep=False).sum()),
        dropped=table.dropped,
    )


def _target(table: Table) -> str:
    if table.classes:
        shares = np.bincount(table.y, minlength=len(table.classes)) / len(table)
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(table.classes, shares, strict=True))
    low, middle, high = np.quantile(table.y, [0, 0.5, 1])
    return f"from {low:.4g} to {high:.4g}, median {middle:.4g}, standard deviation {table.y.std():.4g}"


def _column(name: str, values: Series[Any], table: Table) -> ColumnProfile:
    known = values.dropna()
    is_number = values.dtype == np.float64
    if known.empty:
        summary = "no value"
    elif is_number:
        low, middle, high = np.quantile(known.to_numpy(), [0, 0.5, 1])
        summary = f"{low:.4g} to {high:.4g}, median {middle:.4g}"
    elif known.nunique() > _MOSTLY_DISTINCT * len(known):
        lengths = known.str.len()
        summary = f"nearly every row has its own, of {lengths.min()} to {lengths.max()} characters"
    else:
        counts = known.value_counts()
        summary = ", ".join(f"{_short(text)} {count / len(known):.0%}" for text, count in counts.head(4).items())
    return ColumnProfile(
        name=name,
        kind="number" if is_number else "text",
        missing=float(values.isna().mean()),
        distinct=int(known.nunique()),
        summary=summary,
        alone=_alone(values, table),
    )


def _short(text: object) -> str:
    one_line = " ".join(str(text).split())
    return one_line if len(one_line) <= _LONGEST else f"{one_line[: _LONGEST - 1]}…"


def _alone(values: Series[Any], table: Table) -> float | None:
    """How well a small tree predicts the target from one column."""
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.random.default_rng(0).permutation(len(table))[:_SAMPLE]
    x, y = _codes(values)[rows, None], table.y[rows]
    if len(np.unique(x)) < 2:
        return None
    options = {"max_leaf_nodes": _LEAVES, "min_samples_leaf": 5, "random_state": 0}
    if not table.classes:
        parts = KFold(_PARTS, shuffle=True, random_state=0)
        return float(r2_score(y, cross_val_predict(DecisionTreeRegressor(**options), x, y, cv=parts)))
    if np.bincount(y, minlength=len(table.classes)).min() < _PARTS:
        return None
    split = StratifiedKFold(_PARTS, shuffle=True, random_state=0)
    found = cross_val_predict(DecisionTreeClassifier(**options), x, y, cv=split, method="predict_proba")
    wanted = np.eye(len(table.classes))[y]
    return float(roc_auc_score(wanted, found, average="macro"))


def _codes(values: Series[Any]) -> NDArray[np.float64]:
    """A column as numbers; missing values are a number of their own, below all others."""
    import pandas as pd

    if values.dtype == np.float64:
        numbers = values.to_numpy(dtype=np.float64)
        known = numbers[np.isfinite(numbers)]
        lowest = float(known.min()) if len(known) else 0.0
        return np.where(np.isfinite(numbers), numbers, lowest - 1)
    return np.asarray(pd.Categorical(values).codes, dtype=np.float64)
