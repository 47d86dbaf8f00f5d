"""What the tests are told of the candidate's classes: what they have, whether a plain copy of an object would hide any of it.

Left out: how that is written. `answering.py` does.
"""

from __future__ import annotations

import abc
import collections
import itertools
import sys
import types
from typing import Any

from . import values

SPECIAL = frozenset(
    [
        "len",
        "iter",
        "next",
        "reversed",
        "getitem",
        "setitem",
        "delitem",
        "contains",
        "call",
        "enter",
        "exit",
        "get",
        "set",
        "delete",
        "set_name",
        "aenter",
        "aexit",
        "aiter",
        "anext",
        "await",
        "lt",
        "le",
        "gt",
        "ge",
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
        "format",
        "length_hint",
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
        "array",
    ]
)
"""Protocols that a handle has where its object's class has them, without their underscores."""
_CHANGES = ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "add", "discard", "update", "popitem")
"""Methods that change a container."""
COMMON = ("eq", "ne", "bool", "hash", "repr", "str")
"""Protocols that all objects have, and that a subclass of a plain class may have in its own way."""
_CONTAINERS = (list, dict, set, bytearray, collections.deque)
"""Plain classes whose values can change, and whose subclasses may do more than they do."""
_MAKING = ("__init__", "__new__", "__init_subclass__", "__class_getitem__", "__getnewargs__", "__replace__")
"""What a class has for making its objects: a plain copy has no use for it."""
_FIELD = type(vars(collections.namedtuple("_Named", "item"))["item"])
"""What a named tuple has under the names of its items."""


def has(kind: type, name: str) -> bool:
    """Whether objects of a class have a special method. What its metaclass has is the class's own."""
    return getattr(kind, name, None) is not None and any(name in vars(base) for base in kind.__mro__)


def checks(kind: type) -> bool:
    """Whether a class may take objects for its own that are not of it, or of a class below it."""
    own = type(kind).__instancecheck__, type(kind).__subclasscheck__
    plain = own == (type.__instancecheck__, type.__subclasscheck__)
    return issubclass(kind, type) or not (plain or type(kind) is abc.ABCMeta or values.library_path(kind) is not None)


def differs(kind: type, base: type, name: str) -> bool:
    """Whether a class has a special method of its own."""
    return getattr(kind, f"__{name}__", None) is not getattr(base, f"__{name}__", None)


def own_ways(kind: type, base: type) -> tuple[str, ...]:
    """Protocols in which a class differs from the plain one below it, and its attributes, with a dot, in the place of methods."""
    protocols = (name for name in (*SPECIAL, *COMMON) if differs(kind, base, name))
    own = itertools.takewhile(lambda one: one is not base, kind.__mro__)
    parts = {name: part for one in own for name, part in vars(one).items() if name[:1] != "_" and hasattr(base, name)}
    return (*protocols, *sorted(f".{name}" for name, part in parts.items() if not isinstance(part, types.FunctionType)))


def does_more_than_its_base(kind: Any) -> bool:
    """Whether a class derives from a plain one and does more than that: a plain copy would hide it."""
    if kind not in _more:
        _more[kind] = _does_more_than_its_base(kind)
    return _more[kind]


_more: dict[Any, bool] = {}


def _does_more_than_its_base(kind: Any) -> bool:
    if kind in values.WRITE or values.is_written(kind):
        return False
    named = _is_named(kind)
    if issubclass(kind, values.UNCHANGING) and not named:
        return True
    base = tuple if named else next((one for one in _CONTAINERS if issubclass(kind, one)), None)
    own = itertools.takewhile(lambda one: one is not base and one not in values.WRITE, kind.__mro__ if base else ())
    return any(name in _CHANGES or _is_own_part(name, part) for one in own for name, part in vars(one).items())


def _is_named(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _is_own_part(name: str, part: Any) -> bool:
    """Whether a part of a class is one that a plain copy would miss: methods, and what all its objects have."""
    if name in _MAKING or (name == "__repr__" and getattr(part, "__module__", "") == "collections"):  # of named tuples
        return False
    if name.startswith("__"):
        return name.endswith("__") and (callable(part) or isinstance(part, property | classmethod | staticmethod))
    return name[:1] != "_" and not isinstance(part, _FIELD | types.MemberDescriptorType)


def has_more(value: Any) -> bool:
    """Whether an object has attributes of its own beside the plain value of its class."""
    return issubclass(type(value), _CONTAINERS) and bool(getattr(value, "__dict__", None))


def adds(kind: type[BaseException]) -> bool:
    """Whether an exception class, or one that it derives from, has anything of its own."""
    own = (one for one in kind.__mro__ if one not in values.TYPE_NAMES and values.library_path(one) is None)
    return any(name not in _OF_ANY_CLASS for one in own for name in vars(one))


_OF_ANY_CLASS = frozenset(
    f"__{name}__" for name in ("module", "qualname", "doc", "weakref", "dict", "annotations", "orig_bases", "parameters")
)


def named(name: Any) -> str:
    """A name that can be one."""
    return str(name).replace("\0", "")[:1000].strip() or "_"


def base_of(kind: type) -> type | None:
    """The plain class that a class is a subclass of. A plain value itself stays here only where it contains itself."""
    return None if kind in values.WRITE else values.base_of(kind)


def real(kind: type) -> tuple[str, str] | None:
    """Where the other side finds the same library class, for isinstance."""
    nn = getattr(sys.modules.get("torch"), "nn", None)
    name = kind.__name__
    if nn is not None and str(kind.__module__).startswith("torch.nn.") and getattr(nn, name, None) is kind:
        return "torch.nn", name
    module = str(kind.__module__)
    if module.startswith(values.ESTIMATORS) and getattr(sys.modules.get(module), name, None) is kind:
        return module, name
    path: tuple[str, str] | None = values.library_path(kind)
    if path is None and values.ITERATORS.get(name) is kind:
        return "iterators", name
    return path or (("builtins", name) if values.TYPE_NAMES.get(kind) == name else None)
