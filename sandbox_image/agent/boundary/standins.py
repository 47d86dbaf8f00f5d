"""What a candidate has in place of an object or a class of the tests' own: each attribute and protocol asks the tests.

Left out: what may be asked. `own.py` decides, on the tests' side.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
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
        if name.startswith("_fumehood"):
            raise AttributeError(name)
        if name in _TOLD:
            return _told(cls, name)
        try:
            return cls._fumehood_ask("get", name)
        except AttributeError:
            kinds = [kind for kind in cls.__mro__ if type(kind) is StandInMeta and name in _reflected(kind).get("properties", ())]
            if not kinds:
                raise
            return _part(kinds[0], name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._fumehood_ask("set", name, value)

    def __dir__(cls) -> list[str]:
        return list(cls._fumehood_ask("dir"))

    # What Python and its libraries look at to learn of a class

    @property
    def __mro__(cls) -> tuple[type, ...]:
        return tuple(kind for kind in type.__dict__["__mro__"].__get__(cls) if kind is not StandIn)

    @property
    def __bases__(cls) -> tuple[type, ...]:  # type: ignore[override]
        return tuple(object if kind is StandIn else kind for kind in type.__dict__["__bases__"].__get__(cls))

    @property
    def __annotations__(cls) -> dict[str, Any]:  # type: ignore[override]
        return dict(_reflected(cls).get("annotations", {}))

    @property
    def __signature__(cls) -> Any:
        told = _reflected(cls)
        return signature_of(told["signature"]) if "signature" in told else None

    @property  # type: ignore[misc]
    def __dict__(cls) -> Any:  # type: ignore[override]
        told = _reflected(cls)
        shown = {name: _part(cls, name) for name in told.get("names", ())}
        shown |= {name: part for name, part in type.__dict__["__dict__"].__get__(cls).items() if name.startswith("__")}
        for name in _TOLD:
            shown.pop(name, None)
        shown |= {name: _told(cls, name) for name in _TOLD if _TOLD[name] in told}
        return shown | {"__annotations__": dict(told.get("hints", {}))}


_TOLD = {"__slots__": "slots", "__match_args__": "match_args", "__init__": "init"}
_TOLD |= {"__dataclass_fields__": "fields", "__dataclass_params__": "params"}
"""What a class may have and its objects have too: how it is told."""


def _reflected(cls: StandInMeta) -> dict[str, Any]:
    """What a class of the tests' own tells of itself, asked once."""
    own = type.__dict__["__dict__"].__get__(cls)
    if "_fumehood_told" not in own:
        type.__setattr__(cls, "_fumehood_told", cls._fumehood_ask("reflect") if "_fumehood_ask" in own else {})
    return dict(type.__dict__["__dict__"].__get__(cls)["_fumehood_told"])


def _told(cls: StandInMeta, name: str) -> Any:
    """What a class has under one of these names. Raises AttributeError."""
    found = next((told for kind in cls.__mro__ if type(kind) is StandInMeta and _TOLD[name] in (told := _reflected(kind))), None)
    if found is None:
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
    value = found[_TOLD[name]]
    if name == "__dataclass_fields__":
        return {field.name: field for field in map(_field, value)}
    if name == "__dataclass_params__":
        return types.SimpleNamespace(**value)
    return _making(*value) if name == "__init__" else value


class _Told:
    """What a class tells under a name that every class has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any) -> Any:
        try:
            return _told(owner, self._name)
        except AttributeError:
            if self._name == "__init__":
                return object.__init__
            raise


def _field(told: tuple[str, Any, dict[str, Any]]) -> Any:
    name, kind, more = told
    field: Any = dataclasses.field(**more)
    field.name, field.type, field._field_type = name, kind, dataclasses._FIELD  # type: ignore[attr-defined]
    return field


def signature_of(parameters: list[tuple[str, int, dict[str, Any]]]) -> inspect.Signature:
    """A signature of these parameters."""
    return inspect.Signature([inspect.Parameter(name, inspect._ParameterKind(kind), **more) for name, kind, more in parameters])


def _making(parameters: list[tuple[str, int, dict[str, Any]]], hints: dict[str, Any]) -> Any:
    def __init__(*args: Any, **kwargs: Any) -> None:
        raise TypeError("an object of the tests' own is made by calling its class")

    __init__.__signature__, __init__.__annotations__ = signature_of(parameters), hints  # type: ignore[attr-defined]
    return __init__


def _part(cls: StandInMeta, name: str) -> Any:
    """What stands in a class under a name, as `vars` shows it."""
    told = _reflected(cls)
    if name not in told["properties"]:
        return getattr(cls, name, None)
    return property(lambda own: getattr(own, name), doc=told["properties"][name])


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
        return _told(type(self), name) if name in _TOLD else self._fumehood_asking("get", name)  # type: ignore[arg-type]

    def __setattr__(self, name: str, value: Any) -> None:
        self._fumehood_asking("set", name, value)

    def __delattr__(self, name: str) -> None:
        self._fumehood_asking("del", name)

    @property
    def __signature__(self) -> Any:
        told = _reflected(type(self))  # type: ignore[arg-type]
        if "call" not in told:
            raise AttributeError("__signature__")
        return signature_of(told["call"])

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return _Attributes(self._fumehood_asking)

    def __dir__(self) -> list[str]:
        return list(self._fumehood_asking("dir"))

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
    for shown in ("__init__", "__slots__"):
        type.__setattr__(made, shown, _Told(shown))
    for kind, one in values.ABSTRACT.items():
        if kind in abstract:
            one.register(made)
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
