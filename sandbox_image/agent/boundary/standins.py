"""What a candidate has in place of an object or a class of the tests' own: each attribute and protocol asks the tests.

Left out: what may be asked. `own.py` decides, on the tests' side.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from typing import Any

from . import values

Ask = Callable[..., Any]


class StandInMeta(type):
    """The class of stand-ins for classes of the tests' own."""

    _fumehood_ask: Ask

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        """Make one. A class statement of the candidate's makes none."""
        if "_fumehood_ask" not in body:
            raise TypeError(f"a class of the tests' own ({bases[0].__name__}) cannot be subclassed by a candidate judged apart")
        return super().__new__(cls, name, bases, body)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Have the tests make an object."""
        return cls._fumehood_ask("call", *args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return cls._fumehood_ask("get", name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._fumehood_ask("set", name, value)


class _Attributes(dict[str, Any]):
    """The attributes of an object of the tests' own: to set one here sets it there."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask("vars"))
        self._ask = ask

    def __setitem__(self, name: str, value: Any) -> None:
        self._ask("put", name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._ask("del", name)
        super().__delitem__(name)

    def setdefault(self, name: str, value: Any = None) -> Any:
        if name not in self:
            self[name] = value
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value


class StandIn:
    """An object of the tests' own."""

    __slots__ = ("__weakref__", "_fumehood_asking", "_fumehood_hash")
    _fumehood_asking: Ask
    _fumehood_hash: int | None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_fumehood"):
            raise AttributeError(name)
        return self._fumehood_asking("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._fumehood_asking("set", name, value)

    def __delattr__(self, name: str) -> None:
        self._fumehood_asking("del", name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return _Attributes(self._fumehood_asking)

    def __repr__(self) -> str:
        return str(self._fumehood_asking("repr"))

    def __copy__(self) -> Any:
        return self._fumehood_asking("copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return self._fumehood_asking("deepcopy")


def _protocol(name: str) -> Any:
    if name == "hash":

        def method(self: StandIn) -> Any:
            return self._fumehood_asking(name) if self._fumehood_hash is None else self._fumehood_hash
    elif name == "exit":  # a traceback stays where it is

        def method(self: StandIn, kind: Any, exc: Any, trace: Any) -> Any:  # type: ignore[misc]
            return self._fumehood_asking(name, kind, exc, None)
    else:

        def method(self: StandIn, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return self._fumehood_asking(name, *args, **kwargs)

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def stand_in_class(ask: Ask, about: tuple[Any, ...]) -> type:
    """A class after the tests' description of one of theirs (`own.describe`)."""
    name, qualname, module, doc, protocols, hashable, abstract, bases = about
    # To be hashed is asked while a value arrives, when nothing can be asked.
    body: dict[str, Any] = {f"__{protocol}__": _protocol(protocol) for protocol in protocols}
    body |= {"__slots__": (), "__module__": module, "__qualname__": qualname, "__doc__": doc, "_fumehood_ask": staticmethod(ask)}
    if ("eq" in protocols and "hash" not in protocols) or not hashable:
        body["__hash__"] = None
    made: Any = StandInMeta(name, tuple(base for base in bases if isinstance(base, StandInMeta)) or (StandIn,), body)
    for kind in values.ABSTRACT:
        if kind in abstract:
            getattr(collections.abc, kind).register(made)
    return made  # type: ignore[no-any-return]


def mocked(ask: Ask, protocols: tuple[str, ...], looks_like: Any) -> StandIn:
    """What stands for a mock of the tests'."""
    body: dict[str, Any] = {f"__{protocol}__": _protocol(protocol) for protocol in protocols}
    body |= {"__slots__": (), "__module__": "unittest.mock", "_fumehood_ask": staticmethod(ask)}
    if looks_like is not None:
        body["__class__"] = property(lambda self: looks_like)
    return stand_in(ask, StandInMeta("Mock", (StandIn,), body), None)


def stand_in(ask: Ask, kind: type, own_hash: int | None) -> StandIn:
    """An object of such a class."""
    made: StandIn = object.__new__(kind)
    object.__setattr__(made, "_fumehood_hash", own_hash)
    object.__setattr__(made, "_fumehood_asking", ask)
    return made
