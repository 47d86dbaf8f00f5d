"""Features that a model proposes with a reason, kept only where they help.

After CAAFE (Hollmann, Mueller and Hutter 2023): the model knows what columns mean and writes new ones. A proposed feature is kept
only if the paired gain over five times two folds has a 90 % lower bound above zero; those that are kept are tried once more
together, for two may say the same.

Left out: features made of the target. A proposal sees the columns of a row's features alone.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation, Execute, evaluate
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.paired import over_folds
from orchestrator.applications.tabular.split import Split
from orchestrator.scoring.paired import Difference
from orchestrator.sources import parse
from orchestrator.types import Limits, Value

_PREFIX = "feature_"
"""Of the functions, so that they replace none of the candidate's."""
MOST = 5
"""Features that are proposed at once."""


class Feature(Value):
    """A proposed column: a function of the table, named as the column, with its reason as docstring."""

    name: str
    reason: str
    code: str
    """`def feature_name(df): ...`, which returns the new column."""


class Tried(Value):
    """What became of a proposal."""

    feature: Feature
    gain: Difference | None = None
    """Paired, over the folds; None where it failed."""
    failure: str = ""
    kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A candidate with the features that help, and the table of all."""

    candidate: Candidate
    tried: list[Tried]
    together: Difference | None
    """Gain of those kept, together; None below two."""


def proposals(code: str) -> list[Feature]:
    """The functions of a module that take one argument, in their order; at most five.

    Raises:
        ValueError: there is none, or the source does not parse.
    """
    try:
        tree = parse(code)
    except SyntaxError as error:
        raise ValueError(f"The features do not parse: {error.msg}.") from None
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and len(node.args.args) == 1 and not node.name.startswith("_"):
            reason = " ".join((ast.get_docstring(node) or "").split())
            name, node.name = node.name, f"{_PREFIX}{node.name}"
            found.append(Feature(name=name, reason=reason, code=ast.unparse(node)))
    if not found:
        raise ValueError("There is no function of one argument: write `def name(df): return ...` for each feature.")
    return found[:MOST]


def with_features(
    base: Candidate, features: Sequence[Feature], *, imports: str = "import numpy as np\nimport pandas as pd"
) -> Candidate:
    """A candidate whose table has further columns. Each is computed from the columns as they came."""
    if not features:
        return base
    functions = "\n\n\n".join(feature.code for feature in features)
    names = ", ".join(f"{_PREFIX}{feature.name}" for feature in features)
    code = f"{base.code.rstrip()}\n\n\n{imports}\n\n{functions}\n\n\n" + textwrap.dedent(
        f"""\
        _features_before = globals().get("features", lambda df: df)


        def features(df):
            table = _features_before(df.copy())
            for column in ({names},):
                table[column.__name__.removeprefix("{_PREFIX}")] = np.asarray(column(df.copy()))
            return table
        """
    )
    return base.model_copy(update={"code": code})


async def keep_features(
    base: Candidate, features: Sequence[Feature], split: Split, metric: Metric, execute: Execute, *, limits: Limits, seed: int = 0
) -> Kept:
    """Try each feature by itself, then those that help together, on five times two folds."""
    folds = split.halves()

    async def on_folds(candidate: Candidate) -> Evaluation:
        return await evaluate(candidate, split.table, folds, metric, execute, limits=limits, seed=seed)

    before = await on_folds(base)
    tried = []
    for feature in features:
        after = await on_folds(with_features(base, [feature]))
        gain = None if after.failure or before.failure else over_folds(metric, after.values, before.values, held_out=1.0)
        tried.append(Tried(feature=feature, gain=gain, failure=after.failure, kept=gain is not None and gain.low > 0))
    kept = [one for one in tried if one.kept]
    if len(kept) < 2:
        return Kept(candidate=with_features(base, [one.feature for one in kept]), tried=tried, together=None)
    after = await on_folds(with_features(base, [one.feature for one in kept]))
    together = None if after.failure else over_folds(metric, after.values, before.values, held_out=1.0)
    if together is None or together.low <= 0:
        best = max(kept, key=lambda one: one.gain.mean if one.gain is not None else 0.0)
        tried = [one.model_copy(update={"kept": one is best}) for one in tried]
    chosen = [one.feature for one in tried if one.kept]
    return Kept(candidate=with_features(base, chosen), tried=tried, together=together)
