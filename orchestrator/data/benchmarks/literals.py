"""Plain values as Python source. The standard library alone: a sandbox gets a copy of this file."""

from __future__ import annotations

from typing import Any

DECIMAL = 13_000
"""Bits of an integer that is still written with decimal digits, of which the interpreter reads 4,300."""


def literal(value: Any) -> str:
    """Python source of a plain value; infinities and NaN, empty sets and nested containers included.

    Raises:
        TypeError: there is no source for it.
    """
    match value:
        case None | bool() | str() | bytes():
            return repr(value)
        case int():
            # The interpreter reads decimal numbers of limited length only.
            return repr(value) if value.bit_length() < DECIMAL else hex(value)
        case float():
            return repr(value) if value - value == 0 else f'float("{value}")'
        case complex():
            return f"complex({literal(value.real)}, {literal(value.imag)})"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case tuple():
            return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
        case set() | frozenset():
            return f"{type(value).__name__}([{', '.join(sorted(map(literal, value)))}])"
        case dict():
            return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    raise TypeError(f"A {type(value).__name__} cannot be written as source.")
