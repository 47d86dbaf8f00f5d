"""Runs in a sandbox, in a process of the runner: whether the tests carry the function in what they ran.

Two ways, both on what the watch of a test process sent. By form: the bytecode of each function that was run, names aside, against
that of the function. By what it computes: a function of the tests that was called as the function was, and returned what that
returned, is the function in another dress.

Left out: code that is not a function and has another form, such as one expression in a test that says the same in other words.
"""

from __future__ import annotations

import dis
import inspect
import marshal
import types
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import mutant_watch  # type: ignore[import-not-found]

_GRAM = 5
"""Instructions in a row that are compared."""
_ENOUGH = 16
"""A function of fewer such runs is too small to be known by its form."""
_ALIKE, _ALIKE_IN_ALL = 0.4, 0.6
"""Part of the function's form that a function of the tests, or all of them together, may not contain."""
_AGREED = 3
"""Calls that a function must share with the one under test to be known by what it computes."""
_PASSED_OVER = frozenset(
    ("CACHE", "RESUME", "PRECALL", "NOP", "EXTENDED_ARG", "PUSH_NULL", "COPY_FREE_VARS", "MAKE_CELL", "KW_NAMES")
)
_NAMED = frozenset(("LOAD_ATTR", "LOAD_METHOD", "BINARY_OP", "COMPARE_OP", "IS_OP", "CONTAINS_OP"))
Known = list[tuple[list[Any], bytes]]
"""Arguments, taken apart, and bytes of the value, of calls of the function."""


def carried(references: list[types.CodeType], messages: Iterable[bytes], known: list[Known]) -> list[str]:
    """Names of the functions in which the tests carry the function, or one of the methods.

    Raises whatever bytes that no watch has sent make of `marshal`: the tests wrote them, in a process of the caller's choosing.
    """
    found: dict[str, None] = {}
    wanted = [Counter(_grams(code)) for code in references]
    returned: dict[str, list[tuple[list[Any], bytes]]] = defaultdict(list)
    for message in messages:
        if message[:1] == mutant_watch.CODE:
            for code in nested(marshal.loads(message[1:])):
                if any(_is_like(one, code) for one in wanted):
                    found[code.co_name] = None
        elif message[:1] == mutant_watch.RETURNED:
            place, given, value = marshal.loads(message[1:])
            returned[place].append((given, value))
    for place, calls in returned.items():
        if any(_computes(calls, one) for one in known):
            found[place.partition(":")[0]] = None
    return list(found)


def nested(code: types.CodeType) -> list[types.CodeType]:
    """A code object and all that are in it."""
    found = [code]
    for one in found:
        found += [item for item in one.co_consts if isinstance(item, types.CodeType)]
    return found


def _is_like(wanted: Counter[tuple[str, ...]], code: types.CodeType) -> bool:
    if wanted.total() < _ENOUGH:
        return False
    part = (wanted & Counter(_grams(code))).total() / wanted.total()
    return part >= (_ALIKE if code.co_flags & inspect.CO_OPTIMIZED else _ALIKE_IN_ALL)


def _grams(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    for one in nested(code):
        tokens = list(_tokens(one))
        yield from (tuple(tokens[place : place + _GRAM]) for place in range(len(tokens) - _GRAM + 1))


def _tokens(code: types.CodeType) -> Iterator[str]:
    """The form of bytecode: what is done, and with which attributes and numbers; not under which names, nor where it jumps."""
    for step in dis.get_instructions(code):
        name = step.opname
        if name in _PASSED_OVER:
            continue
        if name == "LOAD_CONST":
            number = isinstance(step.argval, int | float | complex)
            yield f"{name} {step.argval!r}" if number else name
        elif name in _NAMED:
            yield f"{name} {step.argrepr}"
        else:
            kind, _, _ = name.partition("_")
            yield kind if kind in ("LOAD", "STORE", "DELETE") else name


def _computes(calls: list[tuple[list[Any], bytes]], known: Known) -> bool:
    """Whether the calls of one function of the tests were answered as those of the function were."""
    agreed, differed, values = 0, 0, set()
    for arguments, value in known:
        # A frame has its defaults written out.
        answers = {one for given, one in calls if given[: len(arguments)] == arguments and (arguments or not given)}
        if value in answers:
            agreed += 1
            values.add(value)
        elif answers:
            differed += 1
    return agreed >= _AGREED and len(values) > 1 and 2 * agreed >= len(known) and agreed >= 4 * differed
