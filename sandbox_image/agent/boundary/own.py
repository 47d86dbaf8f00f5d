"""Objects of the tests' own classes that are passed to the candidate: they stay with the tests, which do what it asks of them.

The candidate has a stand-in (`standins.py`), whose attributes and protocols ask here. It may read and set what an object keeps,
call its methods, and make more objects of its class, as in one interpreter. It may not reach what lies behind an object (its
class's functions, their globals) nor replace a method: an object answers as its class in the tests says.

Left out: classes whose objects do more than this can show (`is_own`), among them those of tests. They need one interpreter.
"""

from __future__ import annotations

import abc
import collections.abc
import contextlib
import copy
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Generic, Protocol

from . import values
from .handles import HandleMeta, says_of_itself

_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
SERVED = frozenset(
    (
        *("len", "iter", "next", "reversed", "getitem", "setitem", "delitem", "contains", "call", "enter", "exit"),
        *("eq", "ne", "lt", "le", "gt", "ge", "hash", "bool", "neg", "pos", "abs", "invert", "int", "float", "complex"),
        *("index", "round", "trunc", "floor", "ceil", "bytes", "format", "length_hint", "repr", "str"),
        *(side + name for name in _BINARY for side in ("", "r", "i") if side + name != "idivmod"),
    )
)
"""Protocols of an object that the candidate may use, without their underscores."""
_ORDINARY = frozenset(
    f"__{name}__"
    for name in (
        *("init", "new", "module", "doc", "dict", "weakref", "qualname", "annotations", "slots", "match_args", "post_init"),
        *("dataclass_fields", "dataclass_params", "orig_bases", "parameters", "abstractmethods", "getattr", "getattribute"),
        *("setattr", "delattr", "copy", "deepcopy", "init_subclass", "static_attributes", "firstlineno", "replace"),
    )
)
"""Special names in a class that the candidate need not know of."""
_PYTHONS = frozenset(
    name
    for kind in (object, type, types.FunctionType, types.MethodType, types.ModuleType, property)
    for name in dir(kind)
    if name.startswith("__")
)
_KNOWN = _PYTHONS | {f"__{name}__" for name in ("get", "set", "set_name", "delete", "instancecheck", "missing", "await", "aiter")}
_KNOWN |= {f"__{name}__" for name in ("aenter", "aexit", "anext", "getstate", "setstate", "getnewargs", "class_getitem", "del")}
_PLAIN_BASES = (object, abc.ABC, Generic, Protocol, *(getattr(collections.abc, name) for name in collections.abc.__all__))


def is_own(kind: type, module: str) -> bool:
    """Whether objects of a class may be stood for: one of the tests' own file, on no base that is more than an object."""
    if kind is types.SimpleNamespace:
        return True
    if type(kind) not in (type, abc.ABCMeta, type(Protocol)):
        return False
    return kind.__module__ == module and all(base in _PLAIN_BASES or _is_simple(base, module) for base in kind.__mro__)


def _is_simple(kind: type, module: str) -> bool:
    if kind.__module__ != module or kind.__name__.startswith("Test"):
        return False
    for name, part in vars(kind).items():
        special = name.startswith("__") and name.endswith("__")
        if name.startswith("test") or (name.startswith("_abc_") and name != "_abc_impl"):
            return False
        if special and name not in _ORDINARY and name[2:-2] not in SERVED and name in _KNOWN:
            return False
        if special and (inspect.iscoroutinefunction(part) or (part is None and name not in ("__hash__", "__doc__"))):
            return False
    return True


def describe(kind: type, module: str) -> tuple[Any, ...]:
    """Name, text, protocols, whether it can be hashed, abstract classes that it is one of, and bases of the tests' own."""
    parts = {name for one in kind.__mro__ if one is not object for name in vars(one)}
    protocols = [name for name in sorted(SERVED) if f"__{name}__" in parts and getattr(kind, f"__{name}__") is not None]
    abstract = tuple(name for name, one in values.ABSTRACT.items() if issubclass(kind, one))
    bases = tuple(base for base in kind.__bases__ if base not in _PLAIN_BASES)
    doc = kind.__doc__ if type(kind.__doc__) is str else None
    names = (kind.__name__, kind.__qualname__, module)
    return (*names, doc, tuple(protocols), kind.__hash__ is not None, abstract, bases)


def parameters(function: Any, shown: Callable[[Any], Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Name, kind, default and annotation of each parameter. `shown` makes a text of what cannot cross."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        told = {name: getattr(parameter, name) for name in ("default", "annotation")}
        more = {name: shown(value) for name, value in told.items() if value is not inspect.Parameter.empty}
        found.append((parameter.name, int(parameter.kind), more))
    return found


def _hints(value: Any) -> dict[str, Any]:
    """The types that annotations name, or the annotations as they are where they name none."""
    try:
        return typing.get_type_hints(value)
    except Exception:
        return dict(getattr(value, "__annotations__", {}))


def _reflected(kind: type, shown: Callable[[Any], Any]) -> dict[str, Any]:
    """What a class of the tests' own tells of itself that is data: nothing in it runs."""
    own = vars(kind)
    told: dict[str, Any] = {"annotations": {name: shown(found) for name, found in own.get("__annotations__", {}).items()}}
    told["hints"] = {name: shown(found) for name, found in _hints(kind).items() if name in told["annotations"]}
    told["names"] = [name for name in own if not name.startswith("__")]
    told["properties"] = {name: part.__doc__ for name, part in own.items() if isinstance(part, property)}
    told |= {name: own[f"__{name}__"] for name in ("slots", "match_args") if f"__{name}__" in own}
    with contextlib.suppress(ValueError, TypeError):
        told["signature"] = parameters(kind, shown)
    if isinstance(called := inspect.getattr_static(kind, "__call__", None), types.FunctionType):
        told["call"] = parameters(called, shown)[1:]
    if isinstance(made := own.get("__init__"), types.FunctionType):
        told["init"] = parameters(made, shown), {name: shown(found) for name, found in _hints(made).items()}
    if dataclasses.is_dataclass(kind):
        told["fields"] = [_field(found, shown) for found in dataclasses.fields(kind)]
        params: Any = kind.__dataclass_params__  # type: ignore[attr-defined]
        told["params"] = {name: getattr(params, name) for name in params.__slots__}
    return told


_OF_FIELDS = ("init", "repr", "hash", "compare", "kw_only")


def _field(field: Any, shown: Callable[[Any], Any]) -> tuple[str, Any, dict[str, Any]]:
    """Name, type, and what `dataclasses.field` is called with for one like it."""
    more = {name: getattr(field, name) for name in _OF_FIELDS}
    more |= {
        name: shown(found)
        for name in ("default", "default_factory")
        if (found := getattr(field, name)) is not dataclasses.MISSING
    }
    return field.name, shown(field.type), more | {"metadata": {name: shown(found) for name, found in field.metadata.items()}}


def hash_of(value: Any) -> int | None:
    """The hash of an object whose class has one of its own, which the candidate has to know before it can ask."""
    kind: Any = type(value)
    if kind.__hash__ is None or kind.__hash__ is object.__hash__:
        return None
    try:
        return hash(value)
    except Exception:
        return None


def serving(value: Any, shown: Callable[[Any], Any]) -> Callable[..., Any]:
    """What is called for what the candidate asks of an object or of a class of the tests' own.

    `shown` makes a text of what cannot cross.
    """
    methods: dict[str, Any] = {}

    def serve(what: str, *args: Any, **kwargs: Any) -> Any:
        if type(what) is not str:  # a text of the candidate's could be another one each time that it is read
            raise AttributeError("what is asked has no name")
        if what == "get":
            found = _get(value, *args)
            # A bound method is made anew at each look, and each would get a number of its own.
            return methods.setdefault(args[0], found) if type(found) is types.MethodType else found
        if what == "reflect" and isinstance(value, type):
            return _reflected(value, shown)
        if what in _WAYS:
            return _WAYS[what](value, *args, **kwargs)
        if what == "call" and isinstance(value, type):
            return value(*args, **kwargs)
        if what in SERVED and not isinstance(value, type):
            return getattr(type(value), _SPECIAL[what])(value, *args, **kwargs)
        raise AttributeError(what)

    return serve


_SPECIAL = {name: f"__{name}__" for name in SERVED}


def keeps(value: Any, name: Any) -> bool:
    """Whether an object of the tests' own keeps an attribute of this name itself."""
    return type(name) is str and not isinstance(value, type) and name in getattr(value, "__dict__", ())


def _check(value: Any, name: Any) -> None:
    if type(name) is not str or name in _PYTHONS or name in _ORDINARY:
        raise AttributeError(f"{type(value).__name__!r} object shows no attribute {name!r}")


def _get(value: Any, name: str) -> Any:
    _check(value, name)
    if isinstance(value, type):  # what stands in the class itself, and is a function or a value
        found = next((vars(kind)[name] for kind in value.__mro__ if name in vars(kind) and kind not in _PLAIN_BASES), None)
        if name.startswith("_abc_") or found is None or hasattr(type(found), "__set__"):
            raise AttributeError(f"the class {value.__name__!r} shows no attribute {name!r}")
    return getattr(value, name)


def _check_settable(value: Any, name: str) -> None:
    """Refuse what would change what an object does or what is asked of it, and anything of a class."""
    _check(value, name)
    if says_of_itself(name):
        raise AttributeError(f"{name!r} cannot be set by a candidate judged apart")
    found = inspect.getattr_static(type(value), name, None)
    lives_there = isinstance(type(found), HandleMeta)  # a descriptor of the candidate's own, which keeps its value like this
    is_data = lives_there or hasattr(type(found), "__set__") or not (callable(found) or hasattr(type(found), "__get__"))
    if isinstance(value, type) or not is_data:
        raise AttributeError(f"{name!r} cannot be replaced by a candidate judged apart")


def _set(value: Any, name: str, new: Any) -> None:
    _check_settable(value, name)
    setattr(value, name, new)


def _put(value: Any, name: str, new: Any) -> None:
    _check_settable(value, name)
    vars(value)[name] = new


def _delete(value: Any, name: str) -> None:
    _check_settable(value, name)
    delattr(value, name)


def _vars(value: Any) -> dict[str, Any]:
    return {name: found for name, found in vars(value).items() if name not in _PYTHONS}


def _format(value: Any, spec: Any = "") -> str:
    if type(spec) is not str:
        raise TypeError("a format is a text")
    return format(value, spec)


_WAYS: dict[str, Callable[..., Any]] = {"set": _set, "put": _put, "del": _delete, "vars": _vars, "format": _format}
_WAYS |= {"copy": lambda value: copy.copy(value), "deepcopy": lambda value: copy.deepcopy(value)}
_WAYS |= {"dir": lambda value: [name for name in dir(value) if not name.startswith("_abc_")]}
_WAYS |= {"repr": lambda value: repr(value), "str": lambda value: str(value)}
CHANGES = ("set", "put", "del")
"""Ways by which a candidate changes an object: what is read of it then rests on its word."""
