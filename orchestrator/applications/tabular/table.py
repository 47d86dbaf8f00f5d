"""A table to learn from: read from a user's file, with its mistakes named, before anything is split.

Columns come out as numbers or as texts, the target as numbers or as classes, and what can only identify a row is dropped.

Left out: changing the user's file, and guessing what a wrong value should have been.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Task = Literal["classification", "regression"]

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None")
"""Texts that stand for no value."""
SCIKIT = ("iris", "wine", "breast_cancer", "digits", "diabetes")
"""Data sets of scikit-learn that come with it."""
FEWEST_ROWS = 60
"""Below that, a sealed fifth and five folds of the rest hold too few rows to say anything."""
FEWEST_OF_A_CLASS = 10
"""So that each fold and the sealed part can have some."""
MOST_CLASSES = 50
_MOST_BYTES = 2 * 1024**3
_SNIFFED = 64 * 1024
"""Characters from which the separator is read."""
_MOSTLY = 0.9
"""A column of which so large a share are numbers was meant as numbers."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with a target, in the order of the file."""

    name: str
    task: Task
    features: DataFrame
    """One column for each feature: float64 (missing: NaN) or texts (missing: None)."""
    target: str
    """Name of the target's column."""
    y: NDArray[Any]
    """(rows,): int64 places in `classes`, or float64."""
    classes: tuple[str, ...] = ()
    """Names of the classes, sorted; empty for regression."""
    dropped: tuple[str, ...] = ()
    """Columns that number the rows."""

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, places: NDArray[np.intp]) -> Table:
        """Some of the rows, in the order given."""
        return replace(self, features=self.features.iloc[places].reset_index(drop=True), y=self.y[places])


def read_table(
    source: str,
    target: str,
    *,
    task: Task | None = None,
    names: Sequence[str] = (),
    missing: Sequence[str] = (),
    texts: Sequence[str] = (),
    encoding: str = "utf-8-sig",
) -> Table:
    """Read a CSV or Parquet file, or a data set of scikit-learn by its name.

    Args:
        source: a path, or a name of `SCIKIT`, whose target is called `target`.
        target: the column to predict.
        task: None decides by the target: texts and few whole numbers are classes.
        names: the columns of a file without a header.
        missing: texts that stand for no value, beside `MISSING`.
        texts: columns that are texts although most of their values look like numbers.
        encoding: of a CSV file.

    Raises:
        UsageError: it cannot be read, or cannot be learnt from; the message says what is wrong and the remedy what helps.
    """
    frame = _scikit(source) if source in SCIKIT else _file(Path(source), names, (*MISSING, *missing), encoding)
    return table_of(frame, target, name=Path(source).stem, task=task, texts=texts)


def table_of(frame: DataFrame, target: str, *, name: str, task: Task | None = None, texts: Sequence[str] = ()) -> Table:
    """A table from a frame that was read already.

    Raises:
        UsageError: as `read_table`.
    """
    _check_columns(frame, [target, *texts])
    columns = {str(column): _column(frame[column], as_texts=column in texts) for column in frame.columns}
    answer = columns.pop(target)
    gaps = int(answer.isna().sum())
    if gaps:
        raise UsageError(
            f"The target {target!r} has no value in {gaps} of {len(answer)} rows.",
            remedy="Remove these rows, or name another target.",
        )
    ids = tuple(column for column, values in columns.items() if _numbers_rows(values))
    import pandas as pd

    features = pd.DataFrame({column: values for column, values in columns.items() if column not in ids})
    if not features.shape[1]:
        raise UsageError(f"Beside {target!r} there is no column to predict it from.", remedy="Name another target or file.")
    if len(features) < FEWEST_ROWS:
        raise UsageError(
            f"{len(features)} rows are too few to split: at least {FEWEST_ROWS} are needed.", remedy="Bring more data."
        )
    chosen = task or _guess(answer)
    y, classes = _classes(answer, target) if chosen == "classification" else (_numbers(answer, target), ())
    return Table(name=name, task=chosen, features=features, target=target, y=y, classes=classes, dropped=ids)


def _scikit(name: str) -> DataFrame:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: DataFrame = found.frame
    if hasattr(found, "target_names") and name != "digits":
        frame["target"] = [str(found.target_names[place]) for place in found.target]
    return frame


def _file(path: Path, names: Sequence[str], missing: Sequence[str], encoding: str) -> DataFrame:
    if not path.is_file():
        known = f"; data sets of scikit-learn: {', '.join(SCIKIT)}" if path.parent == Path() and not path.suffix else ""
        what = "a folder" if path.is_dir() else "no file"
        raise UsageError(f"{path} is {what}.", remedy=f"Name a CSV or Parquet file{known}.")
    if path.stat().st_size == 0:
        raise UsageError(f"{path} is empty.", remedy="Name a file with rows.")
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES // 1024**3} GiB.", remedy="Take a sample of its rows.")
    try:
        return _parquet(path) if path.suffix in (".parquet", ".pq") else _csv(path, names, missing, encoding)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}.", remedy="Check the file and its permissions."
        ) from error


def _parquet(path: Path) -> DataFrame:
    import pandas as pd
    from pyarrow.lib import ArrowException

    try:
        return pd.read_parquet(path)
    except (ArrowException, ValueError) as error:
        raise UsageError(
            f"{path} is no Parquet file: {str(error).splitlines()[0]}", remedy="Write it anew, or give CSV."
        ) from error


def _csv(path: Path, names: Sequence[str], missing: Sequence[str], encoding: str) -> DataFrame:
    import pandas as pd
    from pandas.errors import EmptyDataError, ParserError

    try:
        with path.open(encoding=encoding, newline="") as file:
            beginning = file.read(_SNIFFED)
        if "\0" in beginning:
            raise UsageError(f"{path} is no text: it holds zero bytes.", remedy="Give CSV, or Parquet as NAME.parquet.")
        separator = _separator(beginning)
        frame = pd.read_csv(
            path,
            sep=separator,
            header=None,
            dtype=str,
            encoding=encoding,
            keep_default_na=False,
            na_values=list(missing),
            skipinitialspace=True,
            skip_blank_lines=True,
        )
    except (UnicodeError, LookupError) as error:
        raise UsageError(
            f"{path} is not text in {encoding}: {error}.", remedy="Name its encoding with --encoding, for example latin-1."
        ) from error
    except (ParserError, EmptyDataError, csv.Error) as error:
        raise UsageError(
            f"{path} cannot be read as a table: {str(error).strip().removeprefix('Error tokenizing data. C error: ')}.",
            remedy="All lines need the same number of fields; quote texts that hold the separator.",
        ) from error
    return _headed(frame.map(lambda value: value.strip() if isinstance(value, str) else value), names, path)


def _separator(beginning: str) -> str:
    lines = [line for line in beginning.splitlines()[:50] if line.strip()]
    counts = {mark: [line.count(mark) for line in lines] for mark in ",;\t|"}
    even = {mark: found[0] for mark, found in counts.items() if found and found[0] and len(set(found)) == 1}
    if even:
        return max(even, key=lambda mark: even[mark])
    try:
        return csv.Sniffer().sniff("\n".join(lines), delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _headed(frame: DataFrame, names: Sequence[str], path: Path) -> DataFrame:
    """The frame with its columns named: by its first line, or by who has it."""
    width = frame.shape[1]
    if names:
        if len(names) != width:
            raise UsageError(f"{path} has {width} columns, and --names gives {len(names)}.", remedy="Name each column once.")
        return frame.set_axis(list(names), axis=1)
    header = ["" if value is None or value != value else str(value) for value in frame.iloc[0]]
    if any(_is_number(text) for text in header):
        raise UsageError(
            f"The first line of {path} looks like data, not like names of columns: {', '.join(header)[:80]}.",
            remedy="Name the columns with --names A,B,C.",
        )
    return (
        frame.iloc[1:]
        .reset_index(drop=True)
        .set_axis([text or f"column {place + 1}" for place, text in enumerate(header)], axis=1)
    )


def _check_columns(frame: DataFrame, wanted: Sequence[str]) -> None:
    columns = [str(column) for column in frame.columns]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise UsageError(f"Columns have the same name: {', '.join(twice)}.", remedy="Name them apart, or give --names.")
    if not len(frame):
        raise UsageError("The table has no rows.", remedy="Name a file with rows below its header.")
    for name in wanted:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=3) or columns[:12]
            raise UsageError(f"There is no column {name!r}.", remedy=f"There is for example: {', '.join(near)}.")


def _column(values: Series[Any], *, as_texts: bool) -> Series[Any]:
    """A column as numbers where all its values are such, else as texts.

    Raises:
        UsageError: most are numbers and some are not: that is a mistake, or a marker for missing values.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype) and not as_texts:  # truth values are among them
        return values.astype("float64")
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S").astype(object)
    texts = values.astype(object).where(~values.isna(), None)
    known = texts.dropna()
    numbers = pd.to_numeric(known, errors="coerce")
    odd = known[numbers.isna()]
    if (known.empty or odd.empty) and not as_texts:
        return pd.to_numeric(texts, errors="coerce").astype("float64")
    if len(odd) < (1 - _MOSTLY) * len(known) and not as_texts:
        raise UsageError(
            f"The column {values.name!r} mixes numbers with texts: {len(odd)} of {len(known)} values, such as {odd.iloc[0]!r}.",
            remedy="Name what stands for missing values with --missing, or say with --text that the column holds texts.",
        )
    return texts.map(lambda value: value if value is None else str(value)).astype(object)


def _numbers_rows(values: Series[Any]) -> bool:
    """Whether a column only counts the rows: whole numbers, each once, without a gap."""
    if values.dtype != np.float64 or len(values) < 3 or values.isna().any():
        return False
    order = np.sort(values.to_numpy())
    return bool(np.all(np.diff(order) == 1) and order[0] == np.floor(order[0]))


def _guess(values: Series[Any]) -> Task:
    if values.dtype != np.float64:
        return "classification"
    numbers = values.to_numpy()
    few = len(np.unique(numbers)) <= 20
    return "classification" if few and bool(np.all(numbers == np.floor(numbers))) else "regression"


def _numbers(values: Series[Any], target: str) -> NDArray[np.float64]:
    if values.dtype != np.float64:
        raise UsageError(f"The target {target!r} holds texts, such as {values.iloc[0]!r}.", remedy="Say --task classification.")
    numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise UsageError(f"The target {target!r} holds values that are not finite.", remedy="Remove these rows.")
    if np.all(numbers == numbers[0]):
        raise UsageError(f"The target {target!r} has the same value in all rows.", remedy="Name another target.")
    return numbers


def _classes(values: Series[Any], target: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    numeric = values.dtype == np.float64
    found, places = np.unique(values.to_numpy(dtype=np.float64 if numeric else str), return_inverse=True)
    if len(found) < 2:
        raise UsageError(f"The target {target!r} has one class only.", remedy="Name another target.")
    counts = np.bincount(places)
    names = tuple(f"{value:g}" for value in found) if numeric else tuple(map(str, found))
    if len(found) > MOST_CLASSES:
        raise UsageError(
            f"The target {target!r} has {len(found)} classes; at most {MOST_CLASSES} are possible.",
            remedy="If it is a number, say --task regression.",
        )
    rare = [f"{name!r} ({count})" for name, count in zip(names, counts, strict=True) if count < FEWEST_OF_A_CLASS]
    if rare:
        help_ = " If it is a number, say --task regression." if numeric else ""
        raise UsageError(
            f"Classes of {target!r} with fewer than {FEWEST_OF_A_CLASS} rows cannot be split: {', '.join(rare[:6])}.",
            remedy=f"Join them with others, or remove their rows.{help_}",
        )
    return places.astype(np.int64), names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "infinity")
