"""The protocols of Python's operators for objects that live at the candidate's.

Left out: equality, hash and text, which every object has: `handles.py`.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .exceptions import is_verdict, mark, marked
from .handles import Handle, HandleMeta, call, known, plain_of, pull, refusal, size_of

if TYPE_CHECKING:
    from .link import Link


def _operation(name: str) -> Callable[..., Any]:
    """One protocol of a handle."""
    function = _LOCAL.get(name)

    def method(self: Handle, *args: Any) -> Any:
        kind = type(self)
        link = kind._fumehood_link
        foreign = [arg for arg in args if not isinstance(type(arg), HandleMeta)]
        trusted = known(self) and (name not in _COMPUTING or self._fumehood_id in link.made)
        if foreign and name in _TELLING and not trusted:
            if kind._fumehood_base is not None and function is not None:
                return function(plain_of(self), *args)
            if not known(self):
                raise refusal(self, f"__{name}__")
        if name == "next":
            link.count_item(self._fumehood_id)
        found = False
        if name == "exit" or name == "aexit":
            found = is_verdict(args[1]) and marked(args[1]) is None
            args = (AssertionError, AssertionError(), None) if found else (args[0], args[1], None)
        value = link.ask("operator", name, (self, *args), {})
        if foreign and name in _TELLING and not trusted and not isinstance(type(value), HandleMeta):
            raise refusal(self, f"__{name}__")
        if isinstance(value, Handle) and self._fumehood_id in link.made:
            link.made.add(value._fumehood_id)
        if name == "iter":
            return pull(value)
        if name == "len":
            return size_of(value)
        if name == "aenter" or name == "aexit" or name == "anext":
            return _soon(link, value, heard=not found)
        if found:
            return False  # a candidate's object that swallows the tests' findings would be right whatever it does
        if name == "contains":
            return value is True
        if name in ("int", "index") and type(value) is not int:
            raise mark(TypeError(f"__{name}__ returned non-int"))
        if name == "float" and type(value) is not float:
            raise mark(TypeError("__float__ returned non-float"))
        return value

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


async def _soon(link: Link, awaitable: Any, *, heard: bool = True) -> Any:
    value = await awaitable if type(awaitable) is types.CoroutineType else link.ask("run", awaitable)
    return value if heard else None


def _call_handle(self: Handle, *args: Any, **kwargs: Any) -> Any:
    return call(type(self)._fumehood_link, "call", (self, args, kwargs), args, kwargs)


def _wait_for(self: Handle) -> Any:
    return _soon_iter(type(self)._fumehood_link, self)


def _soon_iter(link: Link, awaitable: Any) -> Any:
    return link.ask("run", awaitable)
    yield  # a generator, as __await__ must return an iterator


_TELLING = frozenset(
    [
        "lt",
        "le",
        "gt",
        "ge",
        "contains",
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "divmod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
        "radd",
        "rsub",
        "rmul",
        "rtruediv",
        "rfloordiv",
        "rmod",
        "rdivmod",
        "rpow",
        "rmatmul",
        "rand",
        "ror",
        "rxor",
        "rlshift",
        "rrshift",
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "ifloordiv",
        "imod",
        "ipow",
        "imatmul",
        "iand",
        "ior",
        "ixor",
        "ilshift",
        "irshift",
    ]
)
"""Protocols that would tell an object what it is compared or computed with."""
_COMPUTING = frozenset(("lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow"))
_COMPUTING |= {"r" + name for name in _COMPUTING if name not in ("lt", "le", "gt", "ge")}
"""Those by which an object that stands where a number belongs could say of itself that it is the right one."""
_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda own, other: function(other, own)


_LOCAL: dict[str, Callable[..., Any]] = {
    **{name.rstrip("_"): getattr(operator, name) for name in _BINARY},
    **{"r" + name.rstrip("_"): _reflected(getattr(operator, name)) for name in _BINARY},
    **{name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "contains")},
    "divmod": divmod,
    "rdivmod": lambda own, other: divmod(other, own),
}
SPECIALS: dict[str, Any] = {name: _operation(name) for name in _TELLING}
SPECIALS |= {
    name: _operation(name)
    for name in [
        "len",
        "iter",
        "next",
        "reversed",
        "getitem",
        "setitem",
        "delitem",
        "enter",
        "exit",
        "aenter",
        "aexit",
        "aiter",
        "anext",
        "neg",
        "pos",
        "abs",
        "invert",
        "int",
        "float",
        "complex",
        "index",
        "round",
        "trunc",
        "floor",
        "ceil",
        "bytes",
        "length_hint",
        "array",
    ]
}
SPECIALS |= {"call": _call_handle, "await": _wait_for}
