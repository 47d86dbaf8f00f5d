"""Runs in a sandbox, on both sides: classes under test. Their objects stay on the function's side, and the tests hold numbers.

All that tests can do with an object is an operation by its name: call a method, read or set an attribute, apply an operator.
Names with two underscores are none of these, so code, globals and classes stay where they are; what has no form of its own
(`repr`, hash) is made up, for addresses would tell versions apart.

Left out: subclasses that tests define, and lists and dictionaries that an object shares with the tests: they cross as copies.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

_BINARY = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"),
    *("eq", "ne", "lt", "le", "gt", "ge"),
)
_COMPARED = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
_OTHER: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("neg", "pos", "invert", "index", "contains", "getitem", "setitem", "delitem")},
    **{"len": len, "bool": bool, "iter": iter, "next": next, "reversed": reversed, "abs": abs, "int": int, "float": float},
    **{"round": round, "format": format, "copy": copy.copy, "deepcopy": copy.deepcopy},
    "call": lambda held, *args, **kwargs: held(*args, **kwargs),
    "enter": lambda held: type(held).__enter__(held),
    "exit": lambda held, kind: type(held).__exit__(held, kind, None, None),
}
_OPERATIONS = _OTHER | {name: getattr(operator, name) for name in _BINARY}
SAFE = tuple(name for name in (*_OPERATIONS, "repr", "str") if name not in ("enter", "exit", "copy", "deepcopy"))
"""Operations that need no more than operands."""

_PLAIN: Any = object


class Shelf:
    """On the function's side: the module's classes, and what may be done with their objects."""

    def __init__(self, classes: list[type], number_of: Callable[[Any], int]) -> None:
        self._classes = classes
        self._kinds = {cls: place for place, cls in enumerate(classes)}
        self._number_of = number_of

    def kind(self, value: Any) -> int | None:
        """The place of the nearest class of an object; None for what is no object of these."""
        return next((self._kinds[cls] for cls in type(value).__mro__ if cls in self._kinds), None)

    def operate(self, what: str, thing: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Do something with an object, or with the class at a place. Raises what that raises."""
        held = self._classes[thing] if type(thing) is int else thing
        if type(thing) is not int and self.kind(held) is None:
            raise TypeError("this is no object of the module's classes")
        if what == "op":
            return self._operator(held, name, args, kwargs)
        if name.startswith("__"):
            raise AttributeError(f"{type(held).__name__!r} object has no attribute {name!r}")
        if what == "get":
            return getattr(held, name)
        if what == "call":
            return getattr(held, name)(*args, **kwargs)
        return setattr(held, name, *args) if what == "set" else delattr(held, name)

    def _operator(self, held: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kind: Any = type(held)
        if name == "hash" and kind.__hash__ is _PLAIN.__hash__:
            return self._number_of(held)
        if name == "str" and kind.__str__ is not _PLAIN.__str__:
            return str(held)
        if name in ("repr", "str"):
            return f"<{kind.__qualname__} object>" if kind.__repr__ is _PLAIN.__repr__ else repr(held)
        if name == "hash":
            return hash(held)
        if name.startswith("r") and name[1:] in _BINARY:
            return _OPERATIONS[name[1:]](args[0], held)
        return _OPERATIONS[name](held, *args, **kwargs)


Ask = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Operate, over there."""


class _Class(type):
    """A class that is elsewhere."""

    ask: Ask
    make: Callable[..., Any]
    place: int

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.make(args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return type.__getattribute__(cls, "ask")(("get", type.__getattribute__(cls, "place"), name), {})

    def __iter__(cls) -> Any:
        return cls.ask(("op", cls.place, "iter"), {})

    def __len__(cls) -> int:
        return int(cls.ask(("op", cls.place, "len"), {}))

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, item: Any) -> Any:
        return cls.ask(("op", cls.place, "getitem", item), {})

    def __contains__(cls, item: Any) -> Any:
        return cls.ask(("op", cls.place, "contains", item), {})


class Stub(metaclass=_Class):
    """An object that is elsewhere."""

    __slots__ = ("__number__",)
    ask: Ask
    __number__: int

    def __init_subclass__(cls, *, own: bool = False) -> None:
        """Refuse the tests' own subclasses: the function's side would not know them."""
        if not own:
            raise TypeError("tests cannot derive a class from a class under test")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.ask(("get", self, name), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.ask(("set", self, name, value), {})

    def __delattr__(self, name: str) -> None:
        self.ask(("del", self, name), {})

    def __exit__(self, kind: Any, *_: Any) -> Any:
        return self.ask(("op", self, "exit", kind if kind is None or kind.__module__ == "builtins" else Exception), {})

    def __deepcopy__(self, memo: Any) -> Any:
        return self.ask(("op", self, "deepcopy"), {})


def _operation(name: str) -> Any:
    def operation(self: Stub, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.ask(("op", self, name, *args), kwargs)
        except Uncrossable:
            if name in _COMPARED:
                return NotImplemented
            raise

    return operation


class Uncrossable(TypeError):
    """An argument that cannot cross."""


for _name in (*_BINARY, *(f"r{one}" for one in _BINARY if one not in _COMPARED), *_OTHER, "hash", "repr", "str"):
    if _name not in ("exit", "deepcopy"):
        setattr(Stub, f"__{_name.rstrip('_')}__", _operation(_name))


def stub_number(value: Any) -> int | None:
    """The number that stands for an object in the tests; None for anything else."""
    return object.__getattribute__(value, "__number__") if isinstance(value, Stub) else None


def stub_of(kind: type[Stub], number: int) -> Stub:
    """What stands for an object."""
    made = object.__new__(kind)
    object.__setattr__(made, "__number__", number)
    return made


def stub_class(about: dict[str, Any], bases: list[type], ask: Ask, make: Callable[..., Any], place: int, module: str) -> Any:
    """What stands for a class: its methods by name, the rest by asking."""
    body: dict[str, Any] = {"__slots__": (), "__module__": module, "__doc__": about["doc"], "__qualname__": about["name"]}
    for method in about["methods"]:
        body[method["name"]] = _method(method, ask, place)
    made = _Class(about["name"], tuple(bases) or (Stub,), body, own=True)
    for name, value in (("ask", staticmethod(ask)), ("make", staticmethod(make)), ("place", place)):
        type.__setattr__(made, name, value)
    return made


def _method(about: dict[str, Any], ask: Ask, place: int) -> Any:
    name = about["name"]
    if about["bound"] == "class":

        def call(*args: Any, **kwargs: Any) -> Any:
            return ask(("call", place, name, *args), kwargs)

        return staticmethod(_dressed(about, call))

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ask(("call", self, name, *args), kwargs)

    return _dressed(about, method)


def _dressed(about: dict[str, Any], call: Callable[..., Any]) -> Any:
    made = in_form(about["kind"], call)
    made.__name__, made.__doc__ = about["name"], about["doc"]
    return made


def in_form(kind: str, call: Callable[..., Any]) -> Any:
    """A function whose call gives what the original's does: a value, or something that gives values when it is asked."""

    async def later(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    def steps(*args: Any, **kwargs: Any) -> Any:
        yield from call(*args, **kwargs)

    async def flow(*args: Any, **kwargs: Any) -> Any:
        async for item in call(*args, **kwargs):
            yield item

    return {"function": call, "coroutine": later, "generator": steps, "async generator": flow}[kind]
