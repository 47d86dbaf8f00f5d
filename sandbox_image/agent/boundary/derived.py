"""Classes that the tests derive from the candidate's: they are made at the candidate's, and what the tests wrote stays theirs.

The candidate's class gets functions that ask the tests. Here the class that stands for it has the tests' own functions, so what
the tests call of themselves runs with them and is never asked. Their objects live at the candidate's, which may do with them
what it likes: a test for which such a class is made rests on its word.

Left out: bases of the tests' own beside the candidate's, keywords of class statements, and what decides which attributes an
object has. Tests with those need one interpreter.
"""

from __future__ import annotations

import builtins
import sys
import types
from typing import TYPE_CHECKING, Any

from .handles import _PREDICATES, Function, Handle, HandleMeta
from .values import NotApart

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link

_ABOUT = frozenset(
    f"__{name}__" for name in ("module", "qualname", "doc", "classcell", "annotations", "firstlineno", "static_attributes")
)
"""What Python puts into the body of a class itself."""
_DECIDING = frozenset(
    f"__{name}__"
    for name in (
        *("getattr", "getattribute", "setattr", "delattr", "class", "new", "slots", "init_subclass", "orig_bases", "dict"),
        *("set_name", "instancecheck", "subclasscheck", "prepare", "mro_entries", "del", "array", "reduce", "reduce_ex"),
    )
)
_PLAIN = (int, float, complex, bool, str, bytes, tuple, frozenset, type(None))
_ASKED = frozenset(
    f"__{name}__"
    for name in (
        *("init", "getitem", "setitem", "delitem", "missing", "len", "iter", "next", "reversed", "enter", "exit", "call"),
        *("repr", "str", "hash", "bool", "get", "set", "delete"),
    )
)
"""Special methods of the candidate's class that the tests' may call: none of them is told what it is compared with."""


def derive(name: str, bases: tuple[Any, ...], body: dict[str, Any]) -> HandleMeta:
    """The class that a class statement of the tests' makes. Raises NotApart."""
    link: Link = bases[0]._fumehood_link
    if not all(isinstance(base, HandleMeta) for base in bases) or not _DECIDING.isdisjoint(body):
        raise NotApart(f"A class of the tests' own ({name}) cannot be derived like this from one of a candidate judged apart")
    own = {key: value for key, value in body.items() if key not in _ABOUT}
    told = [(key, *_member(name, value)) for key, value in own.items()]
    before = set(link.classes.values())
    link.rest_on("word")
    names = (name, body["__qualname__"], body["__module__"], body.get("__doc__"))
    made = link.ask("subclass", names, bases, told)
    if not isinstance(made, HandleMeta) or made in before or not all(base in made.__mro__ for base in bases):
        raise link.refuse(TypeError(f"a class {name} that is none"))
    link.derived(name, made)
    for key, value in own.items():
        type.__setattr__(made, key, value)
    if "__classcell__" in body:
        body["__classcell__"].cell_contents = made
    return made


def _member(name: str, value: Any) -> tuple[str, tuple[Any, ...]]:
    """How a part of a class is made at the candidate's, and of what."""
    if isinstance(value, staticmethod | classmethod):
        return type(value).__name__, (value.__func__,)
    if type(value) is property:
        return "property", (value.fget, value.fset, value.fdel)
    if type(value) in _PLAIN or isinstance(value, types.FunctionType | Handle | Function):
        return "value", (value,)
    raise NotApart(f"A class of the tests' own ({name}) with such a part cannot be derived from one of a candidate judged apart")


class Above:
    """What `super()` is in a method of such a class."""

    __slots__ = ("_of",)

    def __init__(self, link: Link, kind: HandleMeta, own: Any) -> None:
        self._of = link, kind, own

    def __getattribute__(self, name: str) -> Any:
        link, kind, own = object.__getattribute__(self, "_of")
        if name in _PREDICATES or (name.startswith("__") and name not in _ASKED):
            raise NotApart(f"What a class of the candidate's has as {name} cannot be asked for in one that tests derive from it")
        return link.ask("super", kind, own, name)


def own_super(link: Link) -> Callable[..., Any]:
    """`super` for the tests' own file."""

    def own(*args: Any) -> Any:
        if not args:
            frame = sys._getframe(1)
            first = frame.f_code.co_varnames[:1]
            if "__class__" not in frame.f_locals or not first or first[0] not in frame.f_locals:
                raise RuntimeError("super(): no arguments")
            args = (frame.f_locals["__class__"], frame.f_locals[first[0]])
        if len(args) == 2 and isinstance(args[0], HandleMeta):
            return Above(link, args[0], args[1])
        return builtins.super(*args)

    own.__name__ = own.__qualname__ = "super"
    return own
