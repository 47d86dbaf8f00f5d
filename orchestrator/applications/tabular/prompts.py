"""What a model is asked for, and nothing that it must not see: no row, no label, no prediction.

Every prompt is a conversation of its own. Small models write whole functions rather than changes, complete what they have just
read, and propose too simple features unless they are shown some: the prompt offers pieces to choose from and ends in a skeleton.

Left out: how answers are judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.applications.tabular.candidate import Form
from orchestrator.applications.tabular.features import MOST
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.applications.tabular.table import Table
from orchestrator.jobs.classification import Failure
from orchestrator.llm.prompts import block, conversation
from orchestrator.types import Fault, Message, Value

SYSTEM = "You are an expert in Python, pandas and scikit-learn. You answer with one python code block and nothing else."
REPORT_WORDS = 80
_CHANGES = (
    ("features", "a new feature that joins two columns"),
    ("build", "another model"),
    ("features", "fewer features: leave out what is noise"),
    ("build", "other settings of the model"),
)
"""The function that is to be changed, and how."""
_HEADS = {"features": "def features(df):", "build": "def build(columns):"}
REPORT_SYSTEM = "You are an expert in machine learning. You write short, exact notes."


class Brief(Value):
    """What a model may know of a task."""

    profile: str
    """Columns, types and the target's balance, from rows that are not sealed."""
    goal: str
    """What is to be predicted, and by which metric it is judged."""
    form: Form
    skeleton: str
    """Begin of an answer, for the model to complete."""
    offered: str
    """Imports and a `build`, which an answer without its own is completed by; empty for scripts."""
    rules: str
    pieces: str
    """Templates to choose from."""


def brief_of(table: Table, metric: Metric, profile: str, form: Form, *, space: bool = False) -> Brief:
    """The description of a task in a prompt. `space` asks for the parameters that a search may choose."""
    direction = "larger is better" if metric.greater_is_better else "smaller is better"
    return Brief(
        profile=profile,
        goal=f"Predict `{table.target}` for new rows. {metric.name} on hidden rows decides ({metric.title}; {direction}).",
        form=form,
        skeleton=_skeleton(table, form),
        offered=f"{_imports(table)}\n\n\n{_build(table)}" if form == "functions" else "",
        rules=_RULES[form].format(target=table.target) + (_SPACE if space else ""),
        pieces=_pieces(table, form),
    )


def first(brief: Brief, reports: Sequence[str] = ()) -> tuple[Message, ...]:
    """Ask for a candidate, without one to build on."""
    different = ("Write something that differs from all of these.",) if reports else ()
    return _ask(_task(brief), *_notes(reports), *different, _wanted(brief), block(brief.skeleton))


def repair(brief: Brief, failure: Failure) -> tuple[Message, ...]:
    """Ask for a candidate that runs, showing the one that failed and the end of its traceback."""
    hint = f"\nHint: {failure.hint}" if failure.hint else ""
    complaint = {Fault.FORMAT: "It cannot be used:", Fault.RESOURCE_LIMIT: "It was stopped:"}.get(failure.fault, "It failed:")
    return _ask(
        _task(brief),
        "This answer does not work:",
        block(failure.code) if failure.code.strip() else "(no code)",
        f"{complaint}\n{failure.feedback.strip()}{hint}",
        brief.rules,
        "Write the whole code again with this mistake repaired and the rest unchanged. It begins like this:",
        block("# The mistake was"),
    )


def improve(brief: Brief, failure: Failure, reports: Sequence[str], turn: int = 0) -> tuple[Message, ...]:
    """Ask for a better candidate: the best so far with one change. Turns ask for different kinds of change, one after another.

    Of a module only the function that changes is asked for: a small model that writes all of it again repeats it.
    """
    function, change = _CHANGES[turn % len(_CHANGES)]
    if brief.form == "functions":
        wanted, head = f"Write only the function `{function}` again; the rest stays as it is. Make", _HEADS[function]
    else:
        wanted, head = "Write the whole code again. Make", "# The change is"
    return _ask(
        _task(brief),
        "This is the best code so far:",
        block(failure.code),
        failure.feedback.strip(),
        *_notes(reports),
        brief.pieces,
        brief.rules,
        f"{wanted} one change that improves the result: {change}. Do not repeat what was tried. It begins like this:",
        block(head),
    )


def features(brief: Brief, code: str) -> tuple[Message, ...]:
    """Ask for new columns, each with its reason."""
    return _ask(
        _task(brief),
        "This code works:",
        block(code),
        f"Propose at most {MOST} new columns that help it, made of the columns above by what you know about them. Write each as "
        "a function of df, named after the column, that returns it and looks at each row by itself; its docstring says in a "
        "sentence why it helps. Answer with one python code block that begins like this:",
        block("import numpy as np\nimport pandas as pd\n\n\ndef "),  # small models write down any name and text that is shown
    )


def report(brief: Brief, code: str, result: str) -> tuple[Message, ...]:
    """Ask the model what it learnt from a result."""
    return conversation(
        _task(brief),
        "This code was tried:",
        block(code),
        f"What came of it:\n{result.strip()}",
        f"Write a note of at most {REPORT_WORDS} words in four lines that begin with Tried, Result, Cause and Next. No code.",
        system=REPORT_SYSTEM,
    )


def shortened(text: str) -> str:
    """A report as it is kept: no fences, at most `REPORT_WORDS` words."""
    lines = [line.strip() for line in text.replace("```", "").splitlines() if line.strip()]
    words = 0
    kept = []
    for line in lines:
        pieces = line.split()[: REPORT_WORDS - words]
        words += len(pieces)
        if pieces:
            kept.append(" ".join(pieces))
    return "\n".join(kept)


def _ask(*parts: str) -> tuple[Message, ...]:
    return conversation(*(part for part in parts if part), system=SYSTEM)


def _task(brief: Brief) -> str:
    # First and alike in all prompts of a task: servers keep what they computed for a common beginning.
    return f"# Task\n{brief.goal}\n{brief.profile}"


def _wanted(brief: Brief) -> str:
    return (
        f"{brief.pieces}\n\n{brief.rules}\nAnswer with one python code block that holds all of it, no explanations. "
        "It begins like this:"
    )


def _notes(reports: Sequence[str]) -> tuple[str, ...]:
    return ("Notes on the latest attempts:\n" + "\n\n".join(reports),) if reports else ()


_RULES: dict[Form, str] = {
    "functions": (
        "Write `features(df)`, and `build(columns)` where you want another than the one above. `features` gets the columns "
        "above for training rows and for new rows alike, never `{target}`, and ends with `return df`, with the same rows; it "
        "looks at each row by itself (no mean over df, no fit). `build` gets the names of these features and returns a "
        "scikit-learn Pipeline that is not fitted yet; missing values and texts are its work. Do not read files, fit, predict "
        "or print."
    ),
    "script": (
        "Write a whole program. It reads `train.csv` (with the column `{target}`) and `test.csv` (without it), fits on the "
        "first, and writes `predictions.csv` with one line for each row of `test.csv` in its order: a column for each class, "
        "named after it, with probabilities that sum to one; or for a number one column `{target}`. Empty cells are missing "
        "values. Do not look at test rows when fitting."
    ),
}
_SPACE = (
    ' Beside them write `SPACE = {"depth": (2, 10), "rate": (0.01, 0.3, "log"), "kind": ["a", "b"]}`, the parameters that are to '
    "be searched, and take them in `build(columns, depth=3, rate=0.1, kind='a')`."
)
_SKELETONS: dict[Form, str] = {
    "functions": """\
import numpy as np
import pandas as pd


def features(df):
    df = df.copy()
    # df has no column {target}. Three new columns that decide it, then return df:""",
    "script": """\
import numpy as np
import pandas as pd

train = pd.read_csv("train.csv")
test = pd.read_csv("test.csv")
target = train.pop("{target}")
""",
}


_IMPORTS = """\
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import {ensembles}
from sklearn.impute import SimpleImputer
from sklearn.linear_model import {linear}
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler"""
_BUILD = """\
def build(columns):
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", min_frequency=10, sparse_output=False)
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (texts, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(prepare, {model})"""


def _skeleton(table: Table, form: Form) -> str:
    return _SKELETONS[form].format(target=table.target)


def _imports(table: Table) -> str:
    kind = _kind(table)
    ensembles = ", ".join(f"{name}{kind}" for name in ("ExtraTrees", "HistGradientBoosting", "RandomForest", "Voting"))
    return _IMPORTS.format(ensembles=ensembles, linear="LogisticRegression" if table.classes else "Ridge")


def _build(table: Table) -> str:
    return _BUILD.format(model=_models(table)[1])


def _models(table: Table) -> tuple[str, ...]:
    kind = _kind(table)
    return (
        f"HistGradientBoosting{kind}(learning_rate=0.05, max_leaf_nodes=15)",
        f"RandomForest{kind}(n_estimators=300, min_samples_leaf=3)",
        f"ExtraTrees{kind}(n_estimators=300, min_samples_leaf=3)",
        "LogisticRegression(C=0.3, max_iter=2000)" if table.classes else "Ridge(alpha=10)",
        f"Voting{kind} of several",
    )


def _kind(table: Table) -> str:
    return "Classifier" if table.classes else "Regressor"


def _pieces(table: Table, form: Form) -> str:
    """Templates made of this table's own columns: small models copy what fits."""
    frame = table.features
    numbers = [name for name in frame.columns if frame[name].dtype == "float64"]
    texts = [name for name in frame.columns if name not in numbers]
    made = []
    if len(numbers) > 1:
        a, b = numbers[-2:]
        made += [f'df["ratio"] = df[{a!r}] / (df[{b!r}] + 1)', f'df["sum"] = df[{a!r}] + df[{b!r}]']
    if numbers:
        a = numbers[-1]
        made += [
            f'df["log"] = np.log1p(df[{a!r}].clip(lower=0))',
            f'df["band"] = np.floor(2 * np.log1p(df[{a!r}].clip(lower=0)))',
            f'df["missing"] = df[{a!r}].isna().astype(float)',
        ]
    if texts:
        a = max(texts, key=lambda name: frame[name].nunique())
        made += [
            f'df["length"] = df[{a!r}].str.len()',
            f'df["first"] = df[{a!r}].str[0]',
            f'df["word"] = df[{a!r}].str.extract(r"([A-Za-z]+)\\.", expand=False)',
            f"df = df.drop(columns=[{a!r}])  # a text with too many values",
        ]
    lines = [f"Models: {', '.join(_models(table))}"]
    if form == "functions":
        # What a small model reads last it goes on with: the features, up to their `return`, and not the model.
        lines.append(f"`build` is there already; you need not write it:\n{block(_build(table))}")
        made = ["def features(df):", *(f"    {line}" for line in ("df = df.copy()", *made, "return df"))]
    if made:
        lines.append("Kinds of features, each shown on one column; choose few, and the columns that matter:")
        lines.append(block("\n".join(made)))
    return "\n".join(lines)
