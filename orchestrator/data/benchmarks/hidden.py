"""Hidden tests in the shapes in which data sets and trainers hold them: source, lists, mappings, arrays, and JSON of these.

| shape | read as |
|---|---|
| text (or its bytes) | test source; JSON in a text, or a dict or list as Python writes it, is read as what it holds |
| list of texts | asserts, or pieces of test source, in this order; or JSON of one case each |
| list of `{input, output}` or `{stdin, stdout}`, with `type` or `testtype` (`stdin`, `functional`) | cases |
| `{inputs: [...], outputs: [...]}` (APPS, TACO, PRIME), `{input: [...], output: [...]}` (CodeContests) | cases |
| a mapping with one of these under a key of `HOLDERS` | the same |

A case is an input for a program and the output that is right, or with `fn_name` the arguments of a call and what it returns.
`func_name` is the same, and both may stand in a `metadata` beside (DeepCoder).

Left out: running anything, and guesses. What has no shape of these is a `ShapeError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import ValidationError

from orchestrator.data.benchmarks.literals import literal
from orchestrator.sources import plain_value
from orchestrator.types import IOCase, Value

HOLDERS = ("tests", "test", "test_code", "test_list", "test_cases", "unit_tests", "assert_case", "functional", "cases")
"""Keys of a mapping under which tests of another shape stand."""
_LARGE = 1 << 16
"""Characters."""
_EXPECTED = frozenset(("output", "expected_output", "expected", "stdout"))
_GIVEN = frozenset(("input", "stdin"))
_NAMES = ("fn_name", "func_name")
"""Keys for the name of the function that is called."""
_KINDS = {"": "", "stdin": "stdin", "stdin_stdout": "stdin", "functional": "call", "function_call": "call"}

_SAME = """\
def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {_key(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _key(key):
    return key if isinstance(key, str) else repr(key)
"""
"""JSON has no tuples, and its keys are text: a result is compared in the form that JSON could have kept."""


class ShapeError(ValueError):
    """Tests in a shape that is not known: one phrase that names the shape."""


class Call(Value):
    """One call of a function, and what it returns."""

    arguments: tuple[Any, ...]
    expected: Any
    wrapped: bool = False
    """Expected is a list of one, and may stand for what it holds: APPS writes both, and its own judge takes either."""


class Hidden(Value):
    """Hidden tests, of one of three kinds."""

    source: str = ""
    """Test source."""
    cases: tuple[IOCase, ...] = ()
    """For a program that reads stdin and writes stdout."""
    calls: tuple[Call, ...] = ()
    """For a function or method."""
    function: str = ""
    """Its name, where the shape says it."""


def read_hidden(value: Any, function: str = "") -> Hidden:
    """The tests in a value of any known shape; none (all fields empty) for an empty one. Cases for `function` are calls of it.

    Raises:
        ShapeError: it has no known shape.
    """
    try:
        return _read(plain(value), function)
    except RecursionError:
        raise ShapeError("nested too deep") from None
    except ValidationError:
        raise ShapeError("text with half characters (lone surrogates)") from None


def _read(value: Any, function: str) -> Hidden:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        held = held_in(value)
        return Hidden(source=value) if held is None else _read(held, function)
    if value is None or value in ([], {}):
        return Hidden()
    if isinstance(value, list):
        return _from_list(value, function)
    if isinstance(value, dict):
        return _from_mapping(value, function)
    raise ShapeError(f"{described(value)}, which is not a known shape of tests")


def holds_tests(value: Mapping[str, Any]) -> bool:
    """Whether tests stand under some key of a mapping, and not beside it."""
    return any(value.get(key) is not None for key in ("inputs", *_GIVEN, *HOLDERS))


def plain(value: Any) -> Any:
    """The same in lists and dicts alone: arrays (anything with `tolist`), tuples and mappings are read as these."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def calls_source(calls: Sequence[Call], entry: str, module: str = "candidate") -> str:
    """Test source for calls of `entry`: a function, or a method written `Solution().method`, of a new object each time."""
    tests = []
    for number, call in enumerate(calls, 1):
        right = [listed(call.expected), *([listed(call.expected[0])] if call.wrapped else [])]
        wanted = " or ".join(f"got == {_written(one)}" for one in right)
        asked = f"{entry}({', '.join(map(_written, call.arguments))})"
        tests.append(f"def test_call_{number}():\n    got = _plain({asked})\n    assert {wanted}\n")
    return "\n\n".join([f"import json\n\nfrom {module} import {entry.partition('(')[0]}\n", _SAME, *tests])


def _written(value: Any) -> str:
    """Source of a value. Large ones are JSON in a text where that keeps them: the compiler takes 100 bytes for each of a list."""
    text = literal(value)
    if len(text) < _LARGE:
        return text
    packed = json.dumps(value)
    return f"json.loads({packed!r})" if json.loads(packed) == value else text


def listed(value: Any) -> Any:
    """What the tests' own `_plain` makes of a value."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


def described(value: Any) -> str:
    """The shape of a value in a few words, for messages."""
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(map(repr, list(value)[:8]))}" if value else "an empty dict"
    if isinstance(value, list):
        kinds = sorted({described(item) if isinstance(item, dict | None) else type(item).__name__ for item in value})
        return f"a list of {' and '.join(kinds[:3])}" if value else "an empty list"
    if value is None or value == "":
        return "null" if value is None else "an empty text"
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def held_in(text: str) -> Any:
    """What a text holds if it is a value, as JSON or Python writes one; None for source. A value alone would test nothing."""
    begin = text.lstrip()[:1]
    if begin not in ("[", "{", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return plain_value(text) if begin != '"' else None
    except SyntaxError:
        return None


def _from_list(items: list[Any], function: str) -> Hidden:
    if all(isinstance(item, str) for item in items):
        held = [held_in(item) for item in items]
        return Hidden(source="\n".join(items)) if None in held else _from_list(held, function)
    if all(isinstance(item, dict) and _GIVEN & item.keys() and _EXPECTED & item.keys() for item in items):
        return _from_cases(items, function)
    raise ShapeError(f"{described(items)}, which is not a known shape of tests")


def _from_cases(items: Sequence[Mapping[str, Any]], function: str) -> Hidden:
    names = {name for item in items if (name := _function_in(item))} or ({function} if function else set())
    given = {str(item.get("testtype") or item.get("type") or "") for item in items}
    if unknown := given - _KINDS.keys():
        raise ShapeError(f"cases of the type {min(unknown)!r}, which is not known")
    kinds = {_KINDS[kind] for kind in given} - {""} or {"call" if names else "stdin"}
    if len(kinds) > 1 or len(names) > 1:
        raise ShapeError("cases of several kinds or functions")
    pairs = [(item[min(_GIVEN & item.keys())], item[min(_EXPECTED & item.keys())]) for item in items]
    if kinds == {"call"}:
        return Hidden(calls=tuple(_call(*pair) for pair in pairs), function=next(iter(names), ""))
    return Hidden(cases=tuple(_case(*pair) for pair in pairs))


def _function_in(given: Mapping[str, Any]) -> str:
    """The function that cases say they call: beside them, or among what DeepCoder and LiveCodeBench say about them."""
    about = given.get("metadata")
    about = held_in(about) if isinstance(about, str) else about
    places = [given, about] if isinstance(about, dict) else [given]
    return next((str(place[key]) for place in places for key in _NAMES if place.get(key)), "")


def _from_mapping(given: Mapping[str, Any], function: str) -> Hidden:
    function = _function_in(given) or function
    for one, other in (("inputs", "outputs"), *product(sorted(_GIVEN), sorted(_EXPECTED))):
        if one in given and other in given:
            return _from_columns(given[one], given[other], function)
    held = [key for key in HOLDERS if given.get(key)]
    if len(held) == 1:
        return _read(given[held[0]], function)
    why = "of which several could be the tests" if held else "which is not a known shape of tests"
    raise ShapeError(f"{described(given)}, {why}")


def _from_columns(inputs: Any, outputs: Any, function: str) -> Hidden:
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        inputs, outputs = [inputs], [outputs]
    if len(inputs) != len(outputs):
        raise ShapeError(f"{len(inputs)} inputs and {len(outputs)} outputs")
    if function:
        return Hidden(calls=tuple(map(_call, inputs, outputs)), function=function)
    return Hidden(cases=tuple(map(_case, inputs, outputs)))


def _case(given: Any, expected: Any) -> IOCase:
    return IOCase(stdin=_text(given), expected=_text(expected))


def _text(value: Any) -> str:
    """A text, a number, or the lines of a text."""
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return "\n".join(map(str, value))
    raise ShapeError(f"an input or output that is {described(value)}, where a program reads and writes text")


def _call(given: Any, expected: Any) -> Call:
    """Arguments as a list, or as text with one JSON value a line, and then the result as JSON too.

    Raises:
        ShapeError: a line is not JSON.
    """
    if isinstance(given, str):
        try:
            arguments = [json.loads(line) for line in given.split("\n") if line.strip()]
            value = json.loads(expected) if isinstance(expected, str) else expected
        except ValueError:
            raise ShapeError(f"arguments {given[:40]!r} that are not JSON, one value a line") from None
        return Call(arguments=tuple(arguments), expected=value)
    if not isinstance(given, list):
        raise ShapeError(f"arguments that are {described(given)} and no list")
    try:
        literal([given, expected])
    except TypeError:
        kinds = {type(value).__name__ for value in [*given, expected]}
        raise ShapeError(f"calls with a value of the type {', '.join(sorted(kinds))}, which cannot be written down") from None
    wrapped = isinstance(expected, list) and len(expected) == 1
    return Call(arguments=tuple(map(_keys, given)), expected=expected, wrapped=wrapped)


def _keys(value: Any) -> Any:
    """Numbers that JSON made text because they are keys."""
    if isinstance(value, dict) and value and all(str(key).lstrip("-").isdigit() for key in value):
        return {int(key): item for key, item in value.items()}
    return value
