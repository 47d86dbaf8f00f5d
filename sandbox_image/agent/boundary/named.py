"""Attributes that the tests ask for by a text, which may be the candidate's: by `getattr`, and in the fields of `str.format`.

`'{user.__init__.__globals__[EXPECTED]}'.format(user=user)` reads any global of the tests. So a text names nothing by which a
function, a frame, a module or an object of the boundary leads on to what is behind it. What a text that is written out in the
tests names is the tests' own matter, and is not looked at.

What such a text finds that can be called, and is not the candidate's, is a function that the candidate chose: its word.

Left out: dictionaries of functions (`evidence.py`), and what a class of the tests' own does with a text otherwise.
"""

from __future__ import annotations

import _string  # type: ignore[import-not-found]
import string
import types
from collections.abc import Callable
from typing import Any

from .handles import is_candidates

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
_RUNNING = (
    *(types.FrameType, types.CodeType, types.TracebackType),
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
)
_FORMATS = ("format", "format_map")
_TELLING = frozenset(("__name__", "__qualname__", "__doc__", "__module__"))
"""What a function says of itself."""


class Named:
    """Looks at what texts ask for.

    `refuse` makes the error that is raised for what they may not ask for; `chosen` is called where one chose a function.
    """

    def __init__(self, refuse: Callable[[BaseException], BaseException], chosen: Callable[[], None]) -> None:
        self.tests = ""
        """Their source."""
        self._refuse, self._chosen = refuse, chosen

    def own_getattr(self, value: Any, name: str, *default: Any) -> Any:
        """`getattr` for the tests."""
        name = _text(name)
        if name in _FORMATS:
            return self.formatting(value, name, *default)
        if type(name) is not str or not (f"'{name}'" in self.tests or f'"{name}"' in self.tests):
            self._check(value, name)
            found = getattr(value, name, *default)
            if isinstance(value, types.ModuleType) and isinstance(found, types.ModuleType):
                raise self._refuse(TypeError(f"A text asks for the module {name!r}"))
            if callable(found) and not is_candidates(found):
                self._chosen()
            return found
        return getattr(value, name, *default)

    def formatting(self, value: Any, name: str, *default: Any) -> Any:
        """What the attribute `format` or `format_map` of something is, in the tests."""
        if value is str:
            return lambda text, *args, **fields: self.formatting(text, name)(*args, **fields)
        if not issubclass(type(value), str):
            return getattr(value, name, *default)

        def format(*args: Any, **fields: Any) -> Any:
            found = getattr(value, name)
            if type(found) is not types.BuiltinFunctionType:
                return found(*args, **fields)
            by_name = args[0] if name == "format_map" and args else fields
            return _Looking(self._check, self._refuse).vformat(_text(value), args, by_name)

        return format

    def _check(self, value: Any, name: Any) -> None:
        if type(name) is not str:
            return
        hidden = name.startswith("__") and name not in _TELLING if isinstance(value, _FUNCTIONS) else isinstance(value, _RUNNING)
        if hidden or name.startswith("_fumehood"):
            raise self._refuse(TypeError(f"A text asks for {name!r} of a {type(value).__name__}, which leads behind the tests"))


class _Looking(string.Formatter):
    """Formats a text and looks at each step that its fields take: once, for the candidate's objects may change meanwhile."""

    def __init__(self, check: Callable[[Any, Any], None], refuse: Callable[[BaseException], BaseException]) -> None:
        self._check, self._refuse = check, refuse

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        """The value that a field names, and its first name."""
        first, steps = _string.formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, step in steps:
            if isinstance(value, types.ModuleType):  # which leads to all others
                raise self._refuse(TypeError(f"A text asks for {step!r} of a module"))
            self._check(value, step)
            value = getattr(value, step) if is_attribute else value[step]
        return value, first


def _text(value: Any) -> Any:
    """What Python takes for the text of a value, whatever a class below texts says of it."""
    return str.__str__(value) if issubclass(type(value), str) else value
