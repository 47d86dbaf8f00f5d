"""What the plain value of an object answers, where the object's class derives from plain data.

An object that was handed out may answer in a way of its own, which counts as far as it is this one.

Left out: asking the object. `operators.py` does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from .decoys import is_number
from .handles import Handle, HandleMeta, bare, plain_of
from .values import dumps, loads

Answer = tuple[bool, Any]
"""Whether it was answered, and with what."""
_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda own, other: function(other, own)


LOCAL: dict[str, Callable[[Any, Any], Any]] = {
    **{name.rstrip("_"): getattr(operator, name) for name in _BINARY},
    **{"r" + name.rstrip("_"): _reflected(getattr(operator, name)) for name in _BINARY},
    "divmod": divmod,
    "rdivmod": lambda own, other: divmod(other, own),
}
PLAIN: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem")},
    **{name: getattr(operator, name) for name in ("neg", "pos", "abs", "invert", "index")},
    **{name: getattr(math, name) for name in ("trunc", "floor", "ceil")},
    **{kind.__name__: kind for kind in (bool, int, float, complex, bytes)},
    **{"len": len, "round": round, "iter": list, "reversed": lambda plain: list(reversed(plain))},
}
"""The others, as plain values have them."""
JOINING: dict[type | None, tuple[str, ...]] = {
    **dict.fromkeys((str, bytes), ("add", "radd", "mul", "rmul", "mod", "truediv", "rtruediv")),
    **dict.fromkeys((list, tuple), ("add", "radd", "mul", "rmul", "matmul", "rmatmul")),
    **dict.fromkeys((dict, set, frozenset), ("add", "radd", "mul", "rmul")),
}
"""By which operators texts and containers become others: what they are joined with is not what is expected.

A difference would say whether it is right, as any operator of a number would.
"""


def tried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Answer:
    """What a plain value answers, if it does."""
    try:
        value = function(*args, **kwargs)
    except Exception:
        return False, None
    return value is not NotImplemented, value


def plainly(own: Handle, name: str, other: Any, *more: Any) -> list[Answer]:
    """What the plain value of an object gives, and what each of its items does: a vector's difference is that of its items."""
    function, plain = LOCAL[name], plain_of(own)
    found = [tried(function, plain, other, *more)]
    if isinstance(plain, list | tuple):
        others = other if isinstance(other, list | tuple) else [other] * len(plain)
        found.append(tried(lambda: type(plain)(function(*pair) for pair in zip(plain, others, strict=True))))
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one as plain data."""
    try:
        mine, theirs = dumps(_plain(one)), dumps(_plain(other))
    except (TypeError, ValueError, AttributeError):
        return False
    one, other = loads(mine), loads(theirs)
    if all(type(value).__name__ in ("bool", "bool_") for value in (one, other)):
        return bool(one) is bool(other)
    if is_number(one) and is_number(other):
        return bool(one == other) or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-9))
    contains = type(one) is type(other) and type(one) in (list, tuple, dict, set, frozenset)
    return mine == theirs or (contains and bool(one == other))


def _plain(value: Any) -> Any:
    value = bare(value)
    return plain_of(value) if isinstance(type(value), HandleMeta) else value
