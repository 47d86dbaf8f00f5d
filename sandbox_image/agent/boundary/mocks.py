"""Mocks of the tests' that are passed to the candidate: they stay with the tests, who ask them afterwards what was done to them.

The candidate has a stand-in (`standins.py`). It may call a mock, use it as what it was set up to be, and read and set attributes
that it would have in one interpreter. What mocks keep for those who made them (`assert_called_with`, `call_count`,
`return_value`) it can neither read, call nor set.

Left out: mocks that pass what they are called with to a function of a library, and asynchronous ones. They need one interpreter.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from .own import SERVED
from .values import TYPE_NAMES, NotApart, library_path

_NOT_SHOWN = ("eq", "ne", "hash", "format", "length_hint")
"""Protocols of which a stand-in has those of any object: there is one for each mock."""
_ON_ANY = frozenset(f"__{name}__" for name in ("str", "repr"))
_OF_TESTS = ("unittest.mock",)
"""The module whose functions mocks of files call, beside the tests' own."""


def is_mock(value: Any) -> bool:
    """Whether a value is a mock of Python's own library."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and isinstance(value, mock.NonCallableMock) and type(value).__mro__[1].__module__ == "unittest.mock"


def describe(value: Any, module: str) -> tuple[tuple[str, ...], Any]:
    """Protocols of a mock, and the class that it was made to look like. `module` is the tests' own. Raises NotApart."""
    if isinstance(value, sys.modules["unittest.mock"].AsyncMockMixin):
        raise NotApart("An asynchronous mock cannot be passed to a candidate judged apart")
    _check_source(value, module)
    kinds = [kind for kind in type(value).__mro__ if kind is not object]
    names = {name for kind in kinds for name in vars(kind)} - _ON_ANY
    protocols = tuple(name for name in sorted(SERVED) if f"__{name}__" in names and name not in _NOT_SHOWN)
    return protocols, _looks_like(value)


def _looks_like(value: Any) -> Any:
    kind = value.__class__
    if kind is type(value) or (kind.__module__ == "builtins" and kind not in TYPE_NAMES):
        return None
    if library_path(kind) is None and kind not in TYPE_NAMES:
        raise NotApart(f"A mock of {kind.__name__} cannot be passed to a candidate judged apart")
    return kind


def gives_its_own(value: Any) -> bool:
    """Whether a mock gives what the tests set when it is called, or cannot be called by a candidate at all."""
    return is_mock(value) and not isinstance(value.__dict__.get("_mock_side_effect"), types.FunctionType | types.MethodType)


def serving(value: Any, module: str) -> Callable[..., Any]:
    """What is called for what the candidate asks of a mock. `module` is the tests' own."""

    def serve(what: Any, /, *args: Any, **kwargs: Any) -> Any:
        if type(what) is not str:  # a text of the candidate's could be another one each time that it is read
            raise AttributeError("what is asked has no name")
        if what in _WAYS:
            return _WAYS[what](value, *args)
        _check_source(value, module)
        if what == "call":
            return value(*args, **kwargs)
        if what in SERVED and what not in _NOT_SHOWN:
            found = inspect.getattr_static(type(value), f"__{what}__")
            bound = found.__get__(value, type(value)) if hasattr(type(found), "__get__") else found
            if is_mock(bound):
                _check_source(bound, module)
            return bound(*args, **kwargs)
        raise AttributeError(what)

    return serve


def _check_source(value: Any, module: str) -> None:
    """Refuse a mock that hands what it is called with to what is not the tests' own. Raises NotApart."""
    effect = value.__dict__.get("_mock_side_effect")
    wrapped = value.__dict__.get("_mock_wraps")
    if wrapped is not None or not (effect is None or _is_tests(effect, module)):
        raise NotApart("A mock that calls a library's function cannot be passed to a candidate judged apart")


def _is_tests(effect: Any, module: str) -> bool:
    if isinstance(effect, BaseException) or (isinstance(effect, type) and issubclass(effect, BaseException)):
        return True
    if not callable(effect):
        return True  # an iterator
    function = effect.__func__ if isinstance(effect, types.MethodType) else effect
    if isinstance(function, types.FunctionType):
        return function.__globals__.get("__name__") in (module, *_OF_TESTS)
    return is_mock(effect) or (isinstance(effect, type) and effect.__module__ == module)


@functools.cache
def _kept() -> frozenset[str]:
    """Names under which mocks keep what is for those who made them."""
    mock = sys.modules["unittest.mock"]
    kinds = (*mock.AsyncMock.__mro__, *mock.MagicMock.__mro__)
    return frozenset(name for kind in kinds for name in vars(kind)) | frozenset(vars(mock.MagicMock()))


def _check(value: Any, name: Any) -> None:
    if type(name) is not str or name in _kept() or name.startswith(("__", "_mock", "_spec", "assert")):
        raise AttributeError(f"a mock shows no attribute {name!r} to a candidate judged apart")


def _get(value: Any, name: Any) -> Any:
    _check(value, name)
    return getattr(value, name)


def _set(value: Any, name: Any, new: Any) -> None:
    _check(value, name)
    setattr(value, name, new)


def _delete(value: Any, name: Any) -> None:
    _check(value, name)
    delattr(value, name)


_WAYS: dict[str, Callable[..., Any]] = {"get": _get, "set": _set, "del": _delete, "repr": lambda value: repr(value)}
_WAYS |= {"str": lambda value: str(value), "copy": lambda value: value, "deepcopy": lambda value: value}
