"""Attributes that the tests ask for by a text, which may be the candidate's: by `getattr`, and in the fields of `str.format`.

`'{user.__init__.__globals__[EXPECTED]}'.format(user=user)` reads any global of the tests. So a text names nothing by which a
function, a frame or an object of the boundary leads on to what is behind it. What a text that is written out in the tests names
is the tests' own matter, and is not looked at.

Left out: what a class of the tests' own does with a text otherwise, as a dictionary of functions that it looks up.
"""

from __future__ import annotations

import _string  # type: ignore[import-not-found]
import types
from collections.abc import Callable
from typing import Any

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
_RUNNING = (
    *(types.FrameType, types.CodeType, types.TracebackType),
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
)
_TELLING = frozenset(("__name__", "__qualname__", "__doc__", "__module__"))
"""What a function says of itself."""


class Named:
    """Looks at what texts ask for. `refuse` makes the error that is raised for what they may not ask for."""

    def __init__(self, tests: str, refuse: Callable[[BaseException], BaseException]) -> None:
        self._tests, self._refuse = tests, refuse

    def own_getattr(self, value: Any, name: str, *default: Any) -> Any:
        """`getattr` for the tests."""
        if type(name) is not str or not (f"'{name}'" in self._tests or f'"{name}"' in self._tests):
            self._check(value, name)
        return getattr(value, name, *default)

    def formatting(self, value: Any, name: str) -> Any:
        """What the attribute `format` or `format_map` of something is, in the tests."""
        if value is str:
            return lambda text, *args, **fields: self.formatting(text, name)(*args, **fields)
        if not isinstance(value, str):
            return getattr(value, name)

        def format(*args: Any, **fields: Any) -> str:
            by_name = args[0] if name == "format_map" and args else fields
            self._look_into(str(value), args, by_name)
            found: str = getattr(value, name)(*args, **fields)
            return found

        return format

    def _look_into(self, text: str, args: tuple[Any, ...], fields: Any) -> None:
        """Go through the fields of a text as formatting will, and look at each step."""
        number = 0
        for _, field, spec, _ in _string.formatter_parser(text):
            if field is None:
                continue
            first, steps = _string.formatter_field_name_split(field)
            if first == "":
                first, number = number, number + 1
            try:
                value = args[first] if isinstance(first, int) else fields[first]
                for is_attribute, step in steps:
                    if is_attribute:
                        self._check(value, step)
                    value = getattr(value, step) if is_attribute else value[step]
            except (LookupError, AttributeError):
                continue  # formatting will say so itself
            if spec:
                self._look_into(spec, args, fields)

    def _check(self, value: Any, name: Any) -> None:
        if type(name) is not str:
            return
        hidden = name.startswith("__") and name not in _TELLING if isinstance(value, _FUNCTIONS) else isinstance(value, _RUNNING)
        if hidden or name.startswith("_fumehood"):
            raise self._refuse(TypeError(f"A text asks for {name!r} of a {type(value).__name__}, which leads behind the tests"))
