"""Values of the candidate's that are plain and more: texts, numbers and tuples whose classes add methods to those of plain data.

The tests get a real text, number or tuple, so that all of Python takes it for one: what it is equal to, its order, its items
and its hash are those of the plain value, whatever its class says. Only what plain data lacks is asked of the candidate, and
methods that its class defines, as handles ask for them.

Left out: values that can change, and objects that the tests made. Those are handles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .handles import Handle, HandleMeta

BASES = (str, int, float, tuple, frozenset)
"""Plain classes whose values never change."""
_JOINING = (str, tuple)
"""Those that are joined with others of their kind. A number's difference from another would say whether it is the right one."""


def extended(handle: Handle, plain: Any, operators: dict[str, Any]) -> Any:
    """The plain value of an object, with what its class adds. `operators` are those that two objects are asked about."""
    kind = type(handle)
    made = _CLASSES.get(kind)
    if made is None:
        made = _CLASSES[kind] = _class(kind, type(plain), operators)
    value: Any = type(plain).__new__(made, plain)
    value.__dict__["_fumehood_handle"] = handle
    return value


def handle_of(value: Any) -> Handle | None:
    """The object whose plain value this is."""
    return value._fumehood_handle if type(type(value)) is _Extended else None


def type_of(value: Any) -> Any:
    """`type` in the tests' file: the class of such a value is the candidate's, as in one interpreter."""
    handle = handle_of(value)
    return type(value if handle is None else handle)


class _Extended(type):
    """The class of their classes."""


_CLASSES: dict[type, Any] = {}


def _class(kind: HandleMeta, base: Any, operators: dict[str, Any]) -> Any:
    methods = kind._fumehood_methods

    def own(self: Any, name: str) -> Any:
        if name in methods:
            return getattr(base.__getattribute__(self, "_fumehood_handle"), name)
        return base.__getattribute__(self, name)

    body: dict[str, Any] = {
        "__getattribute__": own,
        "__getattr__": lambda self, name: getattr(base.__getattribute__(self, "_fumehood_handle"), name),
        "__class__": property(lambda self: kind),
        "__reduce_ex__": lambda self, protocol: self._fumehood_handle.__reduce_ex__(protocol),
        "__copy__": lambda self: self,
        "__deepcopy__": lambda self, memo: self,
        "_fumehood_extended": True,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    if base is not str:
        for name in ("__str__", "__repr__", "__format__"):
            body[name] = _shown(getattr(Handle, name))
    for name in kind._fumehood_own & set(operators):
        body[f"__{name}__"] = _operator(name, base, operators[name])
    return _Extended(kind.__name__, (base,), body)


def _shown(ask: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args: ask(self._fumehood_handle, *args)


def _operator(name: str, base: Any, ask: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of its class: it counts between two objects, and where what can be joined meets a plain one."""
    plain = getattr(base, f"__{name}__", None)

    def method(self: Any, other: Any, *more: Any) -> Any:
        handle: Handle = self._fumehood_handle
        theirs = handle_of(other)
        if theirs is not None or isinstance(type(other), HandleMeta):
            return ask(handle, theirs or other, *more)
        if (base in _JOINING and isinstance(other, base)) or (base is str and name == "mod" and isinstance(other, tuple | dict)):
            link = type(handle)._fumehood_link
            link.rest_on("word")
            return link.ask("operator", name, (handle, other, *more), {})
        return plain(self, other, *more) if plain is not None else NotImplemented

    return method
