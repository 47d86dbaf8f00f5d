"""Types as annotations write them: `list[int]`, `str | None`, `typing.Callable[[int], str]`.

They name types and do nothing. Texts in them cross only in `Literal`: elsewhere they would be read as code.

Left out: type variables and what is annotated with objects. Those have no name that both sides know.
"""

from __future__ import annotations

import functools
import operator
import types
import typing
from typing import Any

from . import values

_ALIASES: tuple[type, ...] = (
    type(typing.List[int]),  # noqa: UP006 - the very kind
    type(typing.Optional[int]),  # noqa: UP045
    type(typing.Callable[[int], int]),
    type(typing.Literal[1]),
)
_LITERALS = (str, int, bytes, bool, type(None))
_UNIONS = ("Union", "Optional")


def is_hint(value: Any) -> bool:
    """Whether a value is such a type."""
    return type(value) in (types.GenericAlias, types.UnionType) or (type(value) in _ALIASES and value.__module__ == "typing")


def _is_part(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_part, value))
    if is_hint(value):
        return _is_whole(value)
    return isinstance(value, type) or value is None or value is Ellipsis or value is typing.Any


def _is_whole(hint: Any) -> bool:
    """Whether all that such a type is made of has a name that both sides know."""
    return typing.get_origin(hint) is typing.Literal or all(map(_is_part, typing.get_args(hint)))


def _put(writer: values.Writer, value: Any, module: Any) -> bool:
    if not is_hint(value) or not _is_whole(value):
        return False
    kind, args = type(value), typing.get_args(value)
    form = "" if kind is types.GenericAlias else "|" if kind is types.UnionType else value.__name__
    writer.out += b"2"
    writer.put_apart(form)
    writer.put_apart(typing.get_origin(value) if not form else None)
    writer.put_apart(args)
    return True


def _read(reader: values.Reader) -> Any:
    reader.depth += 1
    if reader.depth > values.MAX_DEPTH:
        raise values.Garbled("types that are too deep")
    form, origin, args = reader.name(), reader.take(), reader.expect(tuple)
    reader.depth -= 1
    if not all(type(arg) in _LITERALS for arg in args) if form == "Literal" else not all(map(_is_part, args)):
        raise values.Garbled("a type of something else")
    if not form:
        if not isinstance(origin, type):
            raise values.Garbled("a type of something else")
        return types.GenericAlias(origin, args)
    if form == "|":
        return functools.reduce(operator.or_, args)
    if form not in typing.__all__:
        raise values.Garbled("a type that is none")
    found = typing.Union if form in _UNIONS else getattr(typing, form)
    return found[args[0] if len(args) == 1 else args]


values.add_library("typing", _put, b"2", _read)
