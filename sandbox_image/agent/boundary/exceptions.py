"""Exceptions across the boundary: whose they are, and what classes they arrive as.

Left out: when they count. `tests.py` knows.
"""

from __future__ import annotations

from typing import Any

from .values import Garbled


class Broken(BaseException):
    """The boundary is gone: no test can go on. Not an Exception, so that no test takes it for an answer."""


def mark(exc: BaseException, frames: str = "") -> BaseException:
    """Say of an exception that it is the candidate's, and where it was raised there."""
    exc._fumehood = frames  # type: ignore[attr-defined]
    return exc


def is_verdict(exc: Any) -> bool:
    """Whether an exception is what the tests found: an assertion of theirs, or what ends a test or their runner."""
    return isinstance(exc, AssertionError) or (isinstance(exc, BaseException) and not isinstance(exc, Exception))


def marked(exc: BaseException) -> str | None:
    """The candidate's frames behind an exception, or None where the exception is not the candidate's."""
    found = getattr(exc, "__dict__", {}).get("_fumehood")
    return found if isinstance(found, str) else None


def exception_class(name: str, bases: list[Any], about: dict[str, Any], meta: type) -> type:
    """A real exception class after a candidate's. `meta` makes what the tests make of it."""
    body = {**about, "__str__": _say, "__getattr__": _attribute}
    for parents in (tuple(bases), tuple(bases[:1])):
        try:
            made: type = meta(name, parents, dict(body))
            return made
        except TypeError:
            continue
    raise Garbled("an exception with bases that do not combine")


_FIELDS: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("filename", "filename2"),
    AttributeError: ("name",),
    NameError: ("name",),
}
"""What built-in exceptions keep beside their arguments."""


def fields_of(exc: BaseException) -> dict[str, Any]:
    """What a built-in exception, or one below it, keeps beside its arguments: texts, bytes and numbers."""
    found = {}
    for kind, names in _FIELDS.items():
        if isinstance(exc, kind):
            found.update({name: vars(kind)[name].__get__(exc) for name in names})
    return {name: value for name, value in found.items() if type(value) in (str, bytes, int)}


def is_field(exc: BaseException, name: str, value: Any) -> bool:
    """Whether an attribute is one that a built-in exception keeps itself."""
    return type(value) in (str, bytes, int) and any(isinstance(exc, kind) and name in names for kind, names in _FIELDS.items())


def _attribute(self: BaseException, name: str) -> Any:
    """A property or a method of a candidate's exception."""
    if name.startswith("_") or "_fumehood_id" not in self.__dict__:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    return type(self)._fumehood_link.attribute_of(self, name)  # type: ignore[attr-defined]


def _say(self: BaseException) -> str:
    told = self.__dict__.get("_fumehood_text")
    return told if isinstance(told, str) else BaseException.__str__(self)


def alias_of(kind: type[BaseException]) -> type[BaseException]:
    """A class of our own that stands for a built-in one: what the candidate raises is of it, what the tests raise is not.

    A candidate that hands out AssertionError, or a base of it, cannot make the tests catch their own failures with it. The last
    two of these would end the test runner, or be swallowed by it.
    """
    base = BaseException if kind in (KeyboardInterrupt, GeneratorExit) else kind
    return type(kind.__name__, (base,), {"__module__": "builtins", "__qualname__": kind.__name__})


def make_exception(kind: type[BaseException], args: tuple[Any, ...], text: str) -> BaseException:
    """An exception of this class, whatever its constructor wants, that says `text`."""
    try:
        exc = type.__call__(kind, *args)
    except Exception:
        exc = None
    if type(exc) is not kind:
        try:
            exc = kind.__new__(kind, *args)
        except Exception:
            kind = type(kind.__name__, (Exception if issubclass(kind, Exception) else BaseException,), {"__str__": _say})
            exc = kind(*args)
    if "__str__" in vars(kind):
        exc.__dict__["_fumehood_text"] = text
    return exc
