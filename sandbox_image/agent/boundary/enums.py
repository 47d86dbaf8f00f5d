"""Enumerations of the tests' own: the candidate gets one of the same names and values, and a member stays a member on both sides.

Left out: those with methods of their own, or with values that are not plain. They need one interpreter.
"""

from __future__ import annotations

import enum
import types
from typing import Any

from . import values

About = tuple[str, str, str, str, type | None, list[tuple[str, Any]], str | None]


def is_simple(kind: type, module: str) -> bool:
    """Whether a class is an enumeration of the tests' own, and nothing but names for plain values."""
    if not issubclass(kind, enum.Enum) or kind.__module__ != module or not kind.__members__:
        return False
    above = kind.__mro__[1:]
    own = (part for name, part in vars(kind).items() if name not in kind.__members__)
    return all(base.__module__ in ("enum", "builtins") for base in above) and not any(_is_code(part, module) for part in own)


def _is_code(part: Any, module: str) -> bool:
    if isinstance(part, property):
        part = part.fget
    part = getattr(part, "__func__", part)
    return isinstance(part, types.FunctionType) and part.__module__ == module


def describe(kind: type[enum.Enum]) -> About:
    """Names, class of `enum`, class of the values where it says one, names and values, documentation."""
    base = next(one for one in kind.__mro__[1:] if one.__module__ == "enum")
    mixed: type = kind._member_type_  # type: ignore[attr-defined]
    names = [(name, member.value) for name, member in kind.__members__.items()]
    mixed_in = None if mixed is object or issubclass(base, mixed) else mixed
    return kind.__name__, kind.__qualname__, kind.__module__, base.__name__, mixed_in, names, kind.__doc__


def twin(about: About) -> Any:
    """An enumeration after such a description."""
    name, qualname, module, base, mixed, names, doc = about
    made = getattr(enum, base)(name, names, module=module, qualname=qualname, **({} if mixed is None else {"type": mixed}))
    made.__doc__ = doc
    return made


def put(writer: values.Writer, member: enum.Enum) -> None:
    """Write a member: its class and its value."""
    writer.out += TAG
    writer.put_apart((type(member), member.value))


TAG = b"3"


def read(reader: Any, known: Any) -> Any:
    """Read a member of a class that is `known`. Raises Garbled."""
    kind, value = reader.expect(tuple)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum) and known(kind)):
        raise values.Garbled("a member of no enumeration")
    values.dumps(value)  # nothing that answers for itself is looked up
    return kind(value)
