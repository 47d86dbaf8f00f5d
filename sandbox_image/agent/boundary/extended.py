"""Values of the candidate's that are plain and more: texts, numbers, tuples and dates of classes that derive from plain data.

The tests get a real text, number or tuple, so that all of Python takes it for one: what it is equal to, its order, its items
and its hash are those of the plain value. What plain data lacks is asked of the candidate: attributes, methods, how it looks, and
operators that its class has in a way of its own, which `operators.py` holds against the plain value.

Left out: values that can change. Those are handles.
"""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import sys
from collections.abc import Callable
from typing import Any

from . import views
from .handles import Extended, Handle, HandleMeta, handle_of, plain_of
from .operators import ASKED_ALONE, COMMON, SPECIALS, held

_SHOWN = ("str", "repr", "format")
_MADE_OF: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    **dict.fromkeys((dt.date, dt.datetime, dt.timedelta), lambda plain: plain.__reduce__()[1]),
}
"""What a plain value is made of, where it is not made of one like it."""
_CLASSES: dict[type, Any] = {}


def extended(handle: Handle, plain: Any) -> Any:
    """The plain value of an object, with what its class adds."""
    if (known := getattr(handle, "_fumehood_extended", None)) is not None:
        return known
    kind = type(handle)
    made = _CLASSES.get(kind)
    if made is None:
        made = _CLASSES[kind] = _class(kind, type(plain))
    parts = _MADE_OF.get(type(plain), lambda plain: (plain,))(plain)
    value: Any = type(plain).__new__(made, *parts)
    object.__setattr__(value, "_fumehood_handle", handle)
    object.__setattr__(handle, "_fumehood_extended", value)
    return value


def _class(kind: HandleMeta, base: Any) -> Any:
    own_ways, hashable = kind._fumehood_own, vars(kind)["__hash__"] is not None
    real = kind._fumehood_real
    shown = real if real is not None and issubclass(real, enum.Enum) else kind

    def own(self: Any, name: str) -> Any:
        if name in kind._fumehood_methods or name == "__dict__" or f".{name}" in own_ways:
            return getattr(handle_of(self), name)
        return base.__getattribute__(self, name)

    body: dict[str, Any] = {
        "__getattribute__": own,
        "__getattr__": lambda self, name: handle_of(self)._fumehood_get(name, sys._getframe(1)),
        "__setattr__": lambda self, name, value: setattr(handle_of(self), name, value),
        "__delattr__": lambda self, name: delattr(handle_of(self), name),
        "__class__": property(lambda self: shown),
        "__reduce_ex__": lambda self, protocol: handle_of(self).__reduce_ex__(protocol),
        "__copy__": _asked(Handle.__copy__),
        "__deepcopy__": _asked(Handle.__deepcopy__),
        "__hash__": base.__hash__ if "hash" not in own_ways else _asked(Handle.__hash__) if hashable else None,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        **{f"__{name}__": _shown(f"__{name}__") for name in _SHOWN if name in own_ways},
    }
    for name in own_ways & (SPECIALS.keys() - {"array"} | {"eq", "ne", "bool"}):  # an array is made of the plain value
        ask = SPECIALS.get(name) or COMMON[f"__{name}__"]
        if name in ("iter", "reversed") and hasattr(base, "__iter__"):
            body[f"__{name}__"] = _iterated(name, ask)
        else:
            body[f"__{name}__"] = _looked_at(name, ask) if name in ASKED_ALONE else _asked(ask)
    return Extended(kind.__name__, (base,), body)


def _asked(ask: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: ask(handle_of(self), *args, **kwargs)


def _shown(name: str) -> Callable[..., Any]:
    """How it looks: the same at each look, or it is the candidate's word."""
    ask = getattr(Handle, name)
    return lambda self, *args: views.attribute(handle_of(self), f"{name}{args}", ask(handle_of(self), *args))


def _looked_at(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    """What is asked of it alone: the plain value shows the same, if it has such a view at all."""
    return lambda self, *args: held(handle_of(self), name, args, ask(handle_of(self), *args))


def _iterated(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    """The items of what has items as a plain value too: they are the same."""

    def method(self: Any) -> Any:
        handle = handle_of(self)
        items = ask(handle)
        first = list(itertools.islice(items, len(plain_of(handle)) + 1))
        held(handle, name, (), first)
        return itertools.chain(first, items)

    return method
