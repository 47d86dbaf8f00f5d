"""Is this output right? Comparisons of what a program wrote with what it should have written. Pure functions.

A checker takes the expected and the given text (or file) and returns what is wrong: an empty string means right. What it
returns names the first difference and quotes both sides, cut to a few hundred characters, so it is for people and for
visible cases: it repeats the expected values.

The given side comes from a stranger. It is walked piece by piece and never split as a whole, so that memory stays near that of
the expected side, and what cannot be walked so (JSON) is capped.

Left out: checkers that somebody else wrote. They run in a sandbox, see `engine/outputs.py`.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from orchestrator.errors import UsageError, no_such
from orchestrator.types import KiB, MiB

Checker = Callable[[str, str], str]
"""(expected, got) -> what is wrong; empty for right."""
FileChecker = Callable[[bytes], str]
"""Content of one artefact -> what is wrong; empty for right."""
ArtefactChecker = Callable[[Mapping[str, bytes]], Mapping[str, str]]
"""Artefacts by path -> what is wrong by name of the check; empty strings for right."""
NanPolicy = Literal["wrong", "equal"]
"""A NaN that is given is always wrong, or right where a NaN is expected."""

QUOTED = 240
"""Characters quoted of each side."""
JSON_CAP = 4 * MiB
"""Characters of JSON read from a stranger, unless the expected JSON is itself half as long."""
JSON_DEPTH = 200
CSV_FIELD = 128 * KiB
"""Characters of one CSV cell (Python's csv module stops there)."""

_TOKEN = re.compile(r"\S+")
_DIGITS = re.compile(r"[+-]?[0-9]+", re.ASCII)
_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def quote(value: object, around: int = 0) -> str:
    """A value as a reader can see it, on one line, cut to `QUOTED` characters. `around` is the place in a text that matters."""
    if not isinstance(value, str):
        text = repr(value)
        return text if len(text) <= QUOTED else text[:QUOTED] + "..."
    start = max(0, around - QUOTED // 2) if len(value) > QUOTED else 0
    piece = value[start : start + QUOTED]
    return ("..." if start else "") + repr(piece) + ("..." if start + QUOTED < len(value) else "")


def _difference(where: str, expected: str, got: str) -> str:
    return f"{where}: expected {expected}, got {got}"


def exact(expected: str, got: str) -> str:
    """Every character, white space and the last newline included."""
    if expected == got:
        return ""
    place = _first_difference(expected, got)
    line = expected.count("\n", 0, place) + 1
    where = f"character {place + 1} (line {line})"
    if place == len(got):
        return _difference(where, quote(expected[place:]), "the end of the output")
    if place == len(expected):
        return _difference(where, "the end of the output", quote(got[place : place + 2 * QUOTED]))
    return _difference(where, quote(expected, place), quote(got, place))


def _first_difference(one: str | bytes, two: str | bytes) -> int:
    """Index of the first character or byte that differs, found by halving: comparing slices is fast."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def token(expected: str, got: str) -> str:
    """Words separated by white space; how much of it and which does not matter."""
    return _pairs(_tokens(expected), _tokens(got), lambda one, two: one == two)


def floats(relative: float = 1e-6, absolute: float = 1e-9, nan: NanPolicy = "wrong") -> Checker:
    """Words, and where a number is expected any number within a tolerance of it.

    A number is right if |got - expected| <= max(absolute, relative * |expected|). An infinity is right only where the same
    infinity is expected. Numbers are decimal (`1_000`, `0x10` and digits of other scripts are words).

    Raises:
        UsageError: a tolerance is negative, NaN or infinite.
    """
    close = _closeness(relative, absolute, nan)
    return lambda expected, got: _pairs(_tokens(expected), _tokens(got), close)


def number(expected: str, got: str) -> str:
    """Words, and numbers by their value: where a whole number is expected exactly that one (`7`, `7.0` or `7e0`), where any other
    number is expected (`2.5`, `1e-05`) any within 1e-6 of it, relative or absolute, as judges of programming contests allow.

    Digits that begin with a needless zero are a word, on either side: `0101` is no number.
    """
    close = _closeness(1e-6, 1e-6, "wrong")

    def same(one: str, two: str) -> bool:
        if one == two or not _NUMBER.fullmatch(one):
            return one == two
        return _same_whole(one, two) if _DIGITS.fullmatch(one) else close(one, two)

    return _pairs(_tokens(expected), _tokens(got), same)


def _same_whole(expected: str, got: str) -> bool:
    """The same whole number, exactly, however many digits it has."""
    both = _WHOLE.fullmatch(expected) and _WHOLE.fullmatch(got)
    return both is not None and Decimal(expected) == Decimal(got)


def lines(expected: str, got: str) -> str:
    """Line by line; white space at the end of lines and empty lines at the end do not matter."""
    return _pairs(_trimmed(expected), _trimmed(got), lambda one, two: one == two, "line")


def unordered_lines(expected: str, got: str) -> str:
    """The same lines as often, in any order; white space at the end of lines and empty lines at the end do not matter."""
    missing = Counter(_trimmed(expected))
    for number, line in enumerate(_trimmed(got), 1):
        if missing[line] <= 0:
            return f"line {number}: {quote(line)} is not expected, or not that often"
        missing[line] -= 1
    left = next((line for line, count in missing.items() if count > 0), None)
    return "" if left is None else f"missing: the line {quote(left)}"


def json_equal(expected: str, got: str) -> str:
    """The same JSON value: order of keys and layout do not matter, 1 and 1.0 are one number, true is not a number.

    NaN, infinities, doubled keys and nesting beyond `JSON_DEPTH` are not JSON here.

    Raises:
        UsageError: the expected side is not JSON.
    """
    try:
        wanted = _json(expected)
    except ValueError as exc:
        raise UsageError(f"The expected output is not JSON: {exc}.", remedy="Correct it, or take another checker.") from exc
    if len(got) > max(JSON_CAP, 2 * len(expected)):
        return f"the output has {len(got)} characters, more than are read as JSON"
    try:
        given = _json(got)
    except ValueError as exc:
        return f"the output is not JSON: {exc}"
    return _json_difference("value", wanted, given)


_NAMED: dict[str, Checker] = {
    "exact": exact,
    "token": token,
    "number": number,
    "lines": lines,
    "unordered_lines": unordered_lines,
    "json": json_equal,
}
NAMES = (*_NAMED, "float")
_WRITE_FLOAT = "Write float:1e-6 or float:1e-6:1e-9."


def by_name(name: str) -> Checker:
    """The checker called `exact`, `token`, `number`, `lines`, `unordered_lines`, `json` or `float`.

    `float` may carry its tolerances: `float:relative` or `float:relative:absolute`.

    Raises:
        UsageError: there is none of that name, or its tolerances are not numbers.
    """
    if name in _NAMED:
        return _NAMED[name]
    kind, *tolerances = name.split(":")
    if kind == "float" and len(tolerances) <= 2:
        try:
            relative, absolute = (float(text) for text in (tolerances + ["1e-6", "1e-9"][len(tolerances) :]))
            return floats(relative, absolute)
        except ValueError:
            raise UsageError(f"The tolerances of {name!r} are not numbers.", remedy=_WRITE_FLOAT) from None
    raise no_such("checker", name, NAMES)


def same_bytes(expected: bytes) -> FileChecker:
    """An artefact with exactly this content."""

    def check(got: bytes) -> str:
        if got == expected:
            return ""
        place = _first_difference(expected, got)
        if place in (len(expected), len(got)):
            return f"expected {len(expected)} bytes, got {len(got)}"
        end = place + 16
        return f"byte {place}: expected {expected[place:end].hex(' ')}, got {got[place:end].hex(' ')}"

    return check


def text_file(expected: str, checker: Checker = token) -> FileChecker:
    """An artefact that is UTF-8 text and right by a checker of text."""

    def check(got: bytes) -> str:
        try:
            text = got.decode()
        except UnicodeDecodeError as exc:
            return f"byte {exc.start}: not UTF-8"
        return checker(expected, text)

    return check


def json_file(expected: str) -> FileChecker:
    """An artefact that holds this JSON value; see `json_equal`."""
    return text_file(expected, json_equal)


def csv_numbers(expected: str, relative: float = 1e-6, absolute: float = 1e-9, nan: NanPolicy = "wrong") -> FileChecker:
    """An artefact in CSV, cell by cell: numbers within a tolerance (see `floats`), other cells word for word.

    White space around cells and rows without cells do not matter.
    """
    close = _closeness(relative, absolute, nan)

    def check(wanted: str, got: str) -> str:
        try:
            for number, (one, two) in enumerate(itertools.zip_longest(_rows(wanted), _rows(got)), 1):
                if one is None or two is None:
                    end = "the end of the table"
                    return _difference(f"row {number}", quote(one) if one else end, quote(two) if two else end)
                if len(one) != len(two):
                    return f"row {number}: expected {len(one)} cells, got {len(two)}"
                for column, (left, right) in enumerate(zip(one, two, strict=True), 1):
                    if not close(left, right):
                        return _difference(f"row {number}, cell {column}", quote(left), quote(right))
        except csv.Error as exc:
            return f"no CSV: {exc}"
        return ""

    return text_file(expected, check)


def artefacts(expected: Mapping[str, FileChecker]) -> ArtefactChecker:
    """A checker of several artefacts by path; one that is missing is wrong, others do not matter."""

    def check(got: Mapping[str, bytes]) -> dict[str, str]:
        return {path: checker(got[path]) if path in got else "missing" for path, checker in expected.items()}

    return check


def _tokens(text: str) -> Iterator[str]:
    return (found.group() for found in _TOKEN.finditer(text))


def _lines(text: str) -> Iterator[str]:
    """Lines without their ends, one at a time; only newlines end a line."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    if start < len(text):
        yield text[start:]


def _trimmed(text: str) -> Iterator[str]:
    """Lines without white space at their ends, and without empty lines at the end."""
    empty = 0
    for line in _lines(text):
        line = line.rstrip()
        if not line:
            empty += 1
            continue
        yield from itertools.repeat("", empty)
        empty = 0
        yield line


def _pairs(expected: Iterator[str], got: Iterator[str], same: Callable[[str, str], bool], unit: str = "word") -> str:
    """Compare two streams piece by piece."""
    for number, (one, two) in enumerate(itertools.zip_longest(expected, got), 1):
        if one is None:
            return _difference(f"{unit} {number}", "the end of the output", quote(two))
        if two is None:
            return _difference(f"{unit} {number}", quote(one), "the end of the output")
        if not same(one, two):
            place = _first_difference(one, two)
            return _difference(f"{unit} {number}", quote(one, place), quote(two, place))
    return ""


def _closeness(relative: float, absolute: float, nan: NanPolicy) -> Callable[[str, str], bool]:
    if not all(math.isfinite(value) and value >= 0 for value in (relative, absolute)):
        raise UsageError("A tolerance must be a finite number, 0 or more.", remedy=_WRITE_FLOAT)
    return functools.partial(_close, relative, absolute, nan)


def _close(relative: float, absolute: float, nan: NanPolicy, expected: str, got: str) -> bool:
    if not _NUMBER.fullmatch(expected):
        return expected == got
    if not _NUMBER.fullmatch(got):
        return False
    one, two = float(expected), float(got)
    if math.isnan(two):
        return nan == "equal" and math.isnan(one)
    if math.isinf(one) or math.isinf(two):
        # Beyond the range of floats only the same digits are the same number.
        return one == two and (expected.lower().lstrip("+-")[:1] == got.lower().lstrip("+-")[:1] == "i" or expected == got)
    return abs(two - one) <= max(absolute, relative * abs(one))


def _rows(text: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    return ([cell.strip() for cell in row] for row in reader if row)


def _json(text: str) -> Any:
    """Strict JSON.

    Raises:
        ValueError: the text is not strict JSON.
    """

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not a JSON number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in an object")
        return found

    try:
        return json.loads(text, parse_constant=no_constant, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json_difference(where: str, expected: Any, got: Any, depth: int = 0) -> str:
    pairs: Iterator[tuple[str | int, Any, Any]]
    if depth > JSON_DEPTH:
        return f"{where}: nested too deeply"
    if isinstance(expected, dict) and isinstance(got, dict):
        if (odd := next((key for key in expected if key not in got), None)) is not None:
            return f"{where}: the key {quote(odd)} is missing"
        if (odd := next((key for key in got if key not in expected), None)) is not None:
            return f"{where}: the key {quote(odd)} is not expected"
        pairs = ((key, expected[key], got[key]) for key in expected)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{where}: expected {len(expected)} elements, got {len(got)}"
        pairs = ((index, one, two) for index, (one, two) in enumerate(zip(expected, got, strict=True)))
    else:
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expected, got))
        if expected == got and (numbers or type(expected) is type(got)):
            return ""
        return _difference(where, quote(expected), quote(got))
    for key, one, two in pairs:
        if found := _json_difference(f"{where}[{quote(key)}]"[:QUOTED], one, two, depth + 1):
            return found
    return ""
