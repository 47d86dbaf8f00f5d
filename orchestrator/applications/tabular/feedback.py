"""What a model is told of an evaluation: how it compares with the best, where it is worst, or why it failed.

Left out: rows, labels and predictions. Nothing here is made of a single one.
"""

from __future__ import annotations

import re

from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.metrics import Metric
from orchestrator.jobs.classification import LONGEST

_FRAME = re.compile(r'  File "(?:[^"]*/)?(?P<own>(?:candidate|main)\.py", line \d+, in .*\n(?:    .*\n)?)')
_HINTS = {
    r"not found in axis": "df holds features only: do not drop the target, or a column that is not there.",
    r"Input (?:X )?contains NaN|NaN values": "Fill missing values in build: SimpleImputer for numbers, before the model.",
    r"could not convert string to float|Cannot use median strategy|could not convert": (
        "A text column reached a step for numbers: encode texts with OneHotEncoder, or drop them in features."
    ),
    r"not in index|KeyError|not a column of the dataframe|columns are missing": (
        "Use only columns of the table, or those that features makes; do not name columns in build."
    ),
    r"sparse": "Write OneHotEncoder(handle_unknown='ignore', sparse_output=False).",
    r"NotFittedError|is not fitted": "Do not predict or transform in build: return a Pipeline that is not fitted.",
    r"NameError": "Define or import each name before it is used.",
    r"There is (?:no|neither a) function": "Define features(df) and build(columns) at the top level.",
}


def told(metric: Metric, details: TabularDetails) -> str:
    """A result in sentences: the metric, its noise, the difference to the best before, and where it is worst."""
    assert details.value is not None
    direction = "larger" if metric.greater_is_better else "smaller"
    noise = f", noise ±{details.standard_error:.3g}" if details.standard_error is not None else ""
    lines = [f"Result: {metric.name} {details.value:.4g} ({direction} is better{noise})."]
    over = details.over_best
    if over is not None and over.mean == 0:
        lines.append("It equals the best before.")
    elif over is not None:
        size = f"{abs(over.mean):.3g} {'better' if over.mean > 0 else 'worse'}"
        judgement = "a gain" if over.low > 0 else "a loss" if over.high < 0 else "no more than noise"
        noise = f"{(over.high - over.low) / 2:.3g}"
        lines.append(f"It is {size} than the best before (noise ±{noise}): {judgement}.")
    return "\n".join([*lines, *([details.weakness] if details.weakness else [])])


def shortened(failure: str) -> str:
    """A failure as a prompt shows it: the last frames in the candidate's own code, and what was raised there."""
    text = failure.strip()
    if "Traceback (most recent call last)" not in text and 'File "' not in text:
        return text[-LONGEST:]
    frames = [f'File "{own.rstrip()}' for own in _FRAME.findall(text)]
    raised = re.split(r"\n(?=\w[\w.]*(?:Error|Exception|Warning|Interrupt|Failed)\b)", text)[-1]
    return "\n".join([*frames[-2:], raised])[-LONGEST:] if frames else raised[-LONGEST:]


def hint(failure: str) -> str:
    """What usually helps against a failure; empty where nothing is known to."""
    return next((advice for pattern, advice in _HINTS.items() if re.search(pattern, failure)), "")
