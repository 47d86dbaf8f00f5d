"""Tables and times of pandas as plain values: columns as arrays, indices, and what their dtypes say beside.

Both sides import this, and neither imports pandas for it: `put` is asked only where pandas is loaded, `read` loads it for a value
that was sent. Columns are read as the arrays that they are, dtypes by a few names; nothing of pandas' own serialising is used,
for that runs code.

Left out: sparse columns, periods, dtypes of other libraries, `attrs` and flags. What has those stays with the side that has it.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Callable
from typing import Any

from . import arrays, values
from .values import Garbled

_TAG = b"8"
_UNITS = ("s", "ms", "us", "ns")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}")
_FREQUENCY = re.compile(r"-?\d{0,5}[A-Za-z]{1,6}(?:-[A-Z]{3})?")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds between 1970 and the first and last that a date can have: pandas prints no others."""
_SPAN = _LAST - _FIRST
_SCALARS = (type(None), bool, int, float, str, bytes, complex, dt.date, dt.datetime, dt.timedelta)
_DEEPEST_NAME = 8
_MANY = ("Series", "DataFrame", "array")
"""What holds items that tests compare all at once."""


def put(writer: values.Writer, value: Any, pandas: Any) -> bool:
    """Write a value of pandas. Returns whether it is one that crosses."""
    kind = type(value)
    if str(kind.__module__).partition(".")[0] != "pandas":
        return False
    told = _describe(value, pandas)
    if told is None:
        return False
    writer.out += _TAG
    values.WRITE[str](writer, told[0])
    for part in told[1:]:
        if type(part) is list:
            values.WRITE[list](writer, part)  # of our own making, unlike what is in it
        elif isinstance(part, pandas.Index):
            writer.put(part)
        else:
            writer.put_apart(part)
    return True


def _describe(value: Any, pd: Any) -> tuple[Any, ...] | None:
    """The name of its kind, and the parts that it is written as; None where it does not cross."""
    kind = type(value)
    if value is pd.NaT:
        return ("NaT",)
    if value is pd.NA:
        return ("NA",)
    if kind is pd.Timestamp:
        zone = _zone_of(value.tz)
        return None if zone is None else ("Timestamp", value.unit, int(value._value), zone)
    if kind is pd.Timedelta:
        return ("Timedelta", value.unit, int(value._value))
    if kind is pd.RangeIndex:
        return ("RangeIndex", value.start, value.stop, value.step, value.name) if _may_name(value.name) else None
    if kind is pd.MultiIndex:
        return _describe_levels(value, pd)
    if isinstance(value, pd.Index):
        column = _column(value, pd)
        frequency = getattr(value, "freqstr", None) if isinstance(value, pd.DatetimeIndex | pd.TimedeltaIndex) else None
        if column is None or not _may_name(value.name) or not (frequency is None or _FREQUENCY.fullmatch(frequency)):
            return None
        return ("Index", *column, frequency, value.name)
    if kind is pd.Series:
        column = _column(value, pd)
        if column is None or not _may_name(value.name) or not _crosses(value.index, pd):
            return None
        return ("Series", *column, value.index, value.name)
    if kind is pd.DataFrame:
        columns = [_column(value.iloc[:, place], pd) for place in range(value.shape[1])]
        if None in columns or not _crosses(value.index, pd) or not _crosses(value.columns, pd):
            return None
        flat = [part for column in columns if column for part in column]
        return ("DataFrame", len(columns), value.index, value.columns, *flat)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        column = _column(value, pd)
        return None if column is None else ("array", *column)
    return None


def _crosses(index: Any, pd: Any, *, plain: bool = False) -> bool:
    """Whether an index can be written and the reader takes it. A `plain` one has items that are hashed without asking anybody."""
    return (not plain or _is_plain(index)) and _describe(index, pd) is not None


def _describe_levels(value: Any, pd: Any) -> tuple[Any, ...] | None:
    if not all(map(_may_name, value.names)) or not all(_crosses(level, pd, plain=True) for level in value.levels):
        return None
    parts = [part for level, codes in zip(value.levels, value.codes, strict=True) for part in (level, codes)]
    return ("MultiIndex", len(value.levels), *parts, tuple(value.names))


def _column(column: Any, pd: Any) -> tuple[Any, ...] | None:
    """The name of its kind of column, and three parts. It is an index, a series, or an array of pandas' own."""
    import numpy as np

    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        array = column.to_numpy()
        if dtype.kind == "O":
            return "objects", array.tolist(), None, None
        return ("numpy", array, None, None) if dtype.kind in "biufcmM" else None
    column = getattr(column, "array", column)
    if isinstance(dtype, pd.CategoricalDtype):
        if not _crosses(column.categories, pd, plain=True):
            return None
        return "category", np.asarray(column.codes), column.categories, bool(column.ordered)
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone = _zone_of(dtype.tz)
        return None if zone is None else ("zoned", column.tz_convert("UTC").tz_localize(None).to_numpy(), zone, None)
    if isinstance(dtype, pd.StringDtype):
        given = [None if missing else str(item) for item, missing in zip(column, column.isna(), strict=True)]
        return "string", given, dtype.na_value is pd.NA, None
    if isinstance(dtype, pd.IntervalDtype):
        if not _crosses(column.left, pd) or not _crosses(column.right, pd):
            return None
        return "interval", column.left, column.right, column.closed
    if isinstance(column, pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray):
        return "masked", np.array(column._data), np.array(column._mask), None
    return None


def _zone_of(zone: Any) -> Any:
    """A time zone as it crosses: False for none, its offset, or its name; None where it does not."""
    if zone is None:
        return False
    if isinstance(zone, dt.timezone):
        return zone.utcoffset(None)
    key = getattr(zone, "key", None)
    return key if type(key) is str and _ZONE.fullmatch(key) else None


def _may_name(name: Any, depth: int = 0) -> bool:
    """Whether something can be the name of a column or of an index on the other side: plain, hashed without asking anybody."""
    if type(name) is tuple:
        return depth < _DEEPEST_NAME and all(_may_name(part, depth + 1) for part in name)
    return type(name) in _SCALARS or _is_time(name) or _is_numpy(name)


def _is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic) and type(value).__module__ == "numpy"


def _is_time(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NaT or type(value) in (pandas.Timestamp, pandas.Timedelta))


# Reading


def _read(reader: values.Reader) -> Any:
    kind = reader.name()
    if kind not in _KINDS:
        raise Garbled("a value of pandas of no kind")
    reader.depth += 1
    if reader.depth > values.MAX_DEPTH:
        raise Garbled("a value that is too deep")
    pd = values.library("pandas")
    value = _KINDS[kind](reader, pd)
    reader.depth -= 1
    if value is pd.NaT:
        reader.endless()
    elif value is pd.NA:
        reader.no_value()
    elif kind in _MANY and not value.size:
        reader.empty(value)
    if reader.met is not None and kind in ("Series", "DataFrame"):
        reader.met.append(value)
    return value


def _read_timestamp(reader: values.Reader, pd: Any) -> Any:
    np = values.library("numpy")
    unit, number, zone = _unit(reader), reader.expect(int), reader.take()
    _check_times(np.array([number], np.int64), unit)
    found = pd.Timestamp(np.datetime64(number, unit))
    return found if zone is False else found.tz_localize("UTC").tz_convert(_zone(zone))


def _read_timedelta(reader: values.Reader, pd: Any) -> Any:
    np = values.library("numpy")
    unit, number = _unit(reader), reader.expect(int)
    _check_spans(np.array([number], np.int64), unit)
    return pd.Timedelta(np.timedelta64(number, unit))


def _unit(reader: values.Reader) -> str:
    unit = reader.name()
    if unit not in _UNITS:
        raise Garbled("a unit of time that is none")
    return unit


def _zone(told: Any) -> dt.tzinfo:
    if type(told) is dt.timedelta:
        return dt.UTC if not told else dt.timezone(told)
    if type(told) is not str or not _ZONE.fullmatch(told):
        raise Garbled("a time zone that is none")
    import zoneinfo

    return zoneinfo.ZoneInfo(told)


def _check_times(numbers: Any, unit: str) -> None:
    """Raises Garbled for times outside of the years 1 to 9999."""
    factor = 1000 ** _UNITS.index(unit)
    _check_between(numbers, _FIRST * factor, (_LAST + 1) * factor)


def _check_spans(numbers: Any, unit: str) -> None:
    """Raises Garbled for lengths of time beyond those years."""
    factor = 1000 ** _UNITS.index(unit)
    _check_between(numbers, -_SPAN * factor, _SPAN * factor)


def _check_between(numbers: Any, low: int, high: int) -> None:
    given = numbers[numbers != -(1 << 63)]  # which is no time
    if given.size and (int(given.min()) < low or int(given.max()) > high):
        raise Garbled("a time that no calendar has")


def _read_range(reader: values.Reader, pd: Any) -> Any:
    start, stop, step = (reader.expect(int) for _ in range(3))
    found = range(start, stop, step)
    if max(abs(start), abs(stop), abs(step)) > 1 << 60 or len(found) > values.MAX_NODES:
        raise Garbled("an index that is too long")
    return pd.RangeIndex(found, name=_read_name(reader))


def _read_name(reader: values.Reader) -> Any:
    name = reader.take()
    if not _may_name(name):
        raise Garbled("a name that is none")
    return name


def _read_levels(reader: values.Reader, pd: Any) -> Any:
    np = values.library("numpy")
    levels, codes = [], []
    for _ in range(_count(reader)):
        levels.append(_index(reader, pd))
        codes.append(reader.expect(np.ndarray))
    if any(code.dtype.kind != "i" or code.ndim != 1 for code in codes):
        raise Garbled("an index that is none")
    names = reader.expect(tuple)
    if not all(map(_may_name, names)) or any(not _is_plain(level) for level in levels):
        raise Garbled("a name that is none")
    return pd.MultiIndex(levels, codes, names=names, verify_integrity=True)


def _count(reader: values.Reader) -> int:
    count: int = reader.expect(int)
    if not 0 <= count <= min(values.MAX_NODES, len(reader.data)):
        raise Garbled("a count that is none")
    return count


def _index(reader: values.Reader, pd: Any) -> Any:
    value = reader.take()
    if not isinstance(value, pd.Index):
        raise Garbled("no index where one belongs")
    return value


def _is_plain(index: Any) -> bool:
    """Whether all items of an index can be hashed without asking anybody."""
    return index.dtype != object or all(map(_may_name, index))


def _read_index(reader: values.Reader, pd: Any) -> Any:
    column = _read_column(reader, pd)
    frequency, name = reader.expect(str, type(None)), _read_name(reader)
    made = pd.Index(column, dtype=column.dtype, name=name, tupleize_cols=False)
    if frequency is None:
        return made
    if not _FREQUENCY.fullmatch(frequency) or not isinstance(made, pd.DatetimeIndex | pd.TimedeltaIndex):
        raise Garbled("a frequency that is none")
    return type(made)(made, freq=frequency, name=name)


def _read_series(reader: values.Reader, pd: Any) -> Any:
    column = _read_column(reader, pd)
    index, name = _index(reader, pd), _read_name(reader)
    return pd.Series(column, index=index, dtype=column.dtype, name=name)


def _read_frame(reader: values.Reader, pd: Any) -> Any:
    count = _count(reader)
    index, columns = _index(reader, pd), _index(reader, pd)
    if len(columns) != count:
        raise Garbled("a table with names for other columns")
    if not count:
        return pd.DataFrame(index=index, columns=columns)
    # The index comes last: what pandas would align by it, it would compare.
    made = pd.DataFrame({place: _unindexed(reader, pd) for place in range(count)})
    made.index, made.columns = index, columns
    return made


def _unindexed(reader: values.Reader, pd: Any) -> Any:
    column = _read_column(reader, pd)
    return pd.Series(column, dtype=column.dtype)


def _read_column(reader: values.Reader, pd: Any) -> Any:
    np = values.library("numpy")
    kind, first, second, third = reader.name(), reader.take(), reader.take(), reader.take()
    if kind == "objects":
        if type(first) is not list:
            raise Garbled("a column that is none")
        return arrays.objects(first)
    if kind == "string":
        if type(first) is not list or not all(item is None or type(item) is str for item in first):
            raise Garbled("texts that are none")
        texts = pd.array(first, dtype=pd.StringDtype(na_value=pd.NA if second is True else np.nan))
        return reader.missing(texts, texts.isna()) if second is True else texts
    if kind == "interval":
        if not (isinstance(first, pd.Index) and isinstance(second, pd.Index) and third in ("left", "right", "both", "neither")):
            raise Garbled("intervals that are none")
        return pd.arrays.IntervalArray.from_arrays(first, second, closed=third)
    if type(first) is not np.ndarray or first.ndim != 1:
        raise Garbled("a column that is none")
    if kind == "category":
        if not isinstance(second, pd.Index) or not _is_plain(second) or first.dtype.kind != "i":
            raise Garbled("categories that are none")
        return pd.Categorical.from_codes(first, categories=second, ordered=bool(third))
    if kind == "masked":
        return reader.missing(_masked(first, second, pd, np), second)
    if kind not in ("numpy", "zoned"):
        raise Garbled("a column of no kind")
    if first.dtype.kind in "mM":
        unit = np.datetime_data(first.dtype)
        if unit[1] != 1 or unit[0] not in _UNITS:
            raise Garbled("a unit of time that is none")
        (_check_times if first.dtype.kind == "M" else _check_spans)(first.view(np.int64), unit[0])
    elif first.dtype.kind not in "biufc" or not first.dtype.isnative:
        raise Garbled("a column of no kind")
    if kind == "numpy":
        return first
    if first.dtype.kind != "M":
        raise Garbled("times that are none")
    return pd.DatetimeIndex(first).tz_localize("UTC").tz_convert(_zone(second)).array


def _masked(data: Any, mask: Any, pd: Any, np: Any) -> Any:
    if type(mask) is not np.ndarray or mask.dtype != bool or mask.shape != data.shape or not data.dtype.isnative:
        raise Garbled("a mask that does not fit")
    made = {"b": pd.arrays.BooleanArray, "i": pd.arrays.IntegerArray, "u": pd.arrays.IntegerArray, "f": pd.arrays.FloatingArray}
    if data.dtype.kind not in made or data.dtype.itemsize > 8 or data.dtype == np.float16:
        raise Garbled("a column of no kind")
    return made[data.dtype.kind](data, mask)


_KINDS: dict[str, Callable[[values.Reader, Any], Any]] = {
    "NaT": lambda reader, pd: pd.NaT,
    "NA": lambda reader, pd: pd.NA,
    "Timestamp": _read_timestamp,
    "Timedelta": _read_timedelta,
    "RangeIndex": _read_range,
    "MultiIndex": _read_levels,
    "Index": _read_index,
    "Series": _read_series,
    "DataFrame": _read_frame,
    "array": _read_column,
}

values.add_library("pandas", put, _TAG, _read)
