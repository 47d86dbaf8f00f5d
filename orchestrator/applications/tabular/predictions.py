"""Predictions that came out of a sandbox, believed only in what they can be: numbers of the right shape.

Bytes from a sandbox are hostile: sizes are known before anything is read, and nothing is unpickled.

Left out: what they are worth (`metrics.py`).
"""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from orchestrator.applications.tabular.table import Table
from orchestrator.data.arrays import read_array

ARRAY, CSV = "predictions.npy", "predictions.csv"
_SUM = 1e-3
"""How far probabilities of a row may be from a sum of one."""
_LONGEST_CELL = 200


def read_predictions(data: bytes, table: Table, rows: int) -> NDArray[np.float64]:
    """Predictions for `rows` rows as `.npy` bytes: (rows, classes) probabilities, or (rows,) numbers, both float64.

    Raises:
        ValueError: anything else; the message says what.
    """
    shape = (rows, len(table.classes)) if table.classes else (rows,)
    found = np.asarray(read_array(data, np.float64, shape), dtype=np.float64)
    return _checked(found, table)


def read_csv_predictions(data: bytes, table: Table, rows: int) -> NDArray[np.float64]:
    """Predictions as CSV: one column with the predicted class or number, or a column of probabilities named after each class.

    Raises:
        ValueError: anything else; the message says what.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{CSV} is not UTF-8.") from None
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(lines, [])
        cells = [line for line in lines if line]
    except csv.Error as error:
        raise ValueError(f"{CSV} is not CSV: {error}.") from None
    if len(cells) != rows:
        raise ValueError(f"{CSV} has {len(cells)} rows below its header instead of {rows}.")
    if any(len(line) != len(header) for line in cells):
        raise ValueError(f"Rows of {CSV} have different numbers of cells.")
    if len(header) == 1:
        return _one_column([line[0] for line in cells], table)
    if table.classes and set(header) == set(table.classes):
        order = [header.index(name) for name in table.classes]
        return _checked(np.array([[_number(line[place]) for place in order] for line in cells]), table)
    wanted = f" or the columns {', '.join(table.classes)}" if table.classes else ""
    raise ValueError(f"{CSV} must have one column{wanted}; it has {len(header)}: {', '.join(header)[:_LONGEST_CELL]}.")


def _one_column(cells: list[str], table: Table) -> NDArray[np.float64]:
    if not table.classes:
        return _checked(np.array([_number(cell) for cell in cells]), table)
    places = {name: place for place, name in enumerate(table.classes)}
    found = np.zeros((len(cells), len(places)))
    for row, cell in enumerate(cells):
        place = places.get(cell, places.get(_plain(cell)))
        if place is None:
            raise ValueError(f"{CSV} predicts {cell[:_LONGEST_CELL]!r}, which is none of the classes {', '.join(places)}.")
        found[row, place] = 1.0
    return found


def _plain(cell: str) -> str:
    """A whole number as classes are named: `1.0` is the class `1`."""
    try:
        return f"{float(cell):g}"
    except ValueError:
        return cell


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{CSV} holds {cell[:_LONGEST_CELL]!r} where a number belongs.") from None


def _checked(found: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    if not np.isfinite(found).all():
        raise ValueError(f"{int((~np.isfinite(found)).sum())} of the predictions are not finite.")
    if table.classes:
        if (found < -_SUM).any() or (found > 1 + _SUM).any():
            raise ValueError("Probabilities lie outside of 0 to 1.")
        sums = found.sum(axis=1)
        if (np.abs(sums - 1) > _SUM).any():
            raise ValueError(f"The probabilities of a row sum to {sums[np.abs(sums - 1).argmax()]:.3g} instead of 1.")
        found = np.clip(found, 0, 1)
        found = np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float64)
    return found
