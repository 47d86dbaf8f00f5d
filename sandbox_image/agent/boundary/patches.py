"""What the tests patch in a library, they patch in the candidate's interpreter too: it is what the candidate uses.

`unittest.mock` changes the tests' own interpreter; the same attribute is set in the candidate's, and set back when the patch
ends. What it is set to crosses as an argument does. Names of the candidate's own module are set there by what stands for it.

Left out: libraries that the judge itself works with while tests run. Tests that patch those need one interpreter.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import TYPE_CHECKING, Any

from .handles import Function, Handle, HandleMeta
from .mocks import is_mock
from .module import Module
from .values import WRITE, NotApart

if TYPE_CHECKING:
    from .link import Link

_OURS = frozenset(
    (
        *("sys", "datetime", "struct", "collections", "functools", "inspect", "types", "threading", "select", "contextlib"),
        *("operator", "itertools", "weakref", "ast", "traceback", "linecache", "importlib", "pytest", "_pytest", "unittest"),
        *("numbers", "stat", "asyncio", "re", "copy", "math", "_socket", "_io", "decimal", "fractions", "uuid", "pickle"),
    )
)
"""Libraries that the judge uses on either side while tests run."""
_BUILTINS = ("open", "print", "input")
"""Built-in functions that it does not use then."""
_PATHS = ("join", "split", "dirname", "abspath", "normpath", "realpath", "islink", "isabs", "fspath")
"""Functions of `os.path` that it uses."""


class Patches:
    """The patches that hold now."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: dict[int, list[int]] = {}
        """Numbers at the candidate's, by the `id` of a patch, the last last."""

    def watch(self, tests: str) -> None:
        """Follow the patches that these tests make."""
        if "patch" not in tests or "mock" not in tests:
            return
        import unittest.mock

        kind: Any = unittest.mock._patch
        enter, leave = kind.__enter__, kind.__exit__

        @functools.wraps(enter)
        def entering(patch: Any) -> Any:
            value = enter(patch)
            try:
                self._begin(patch)
            except BaseException:
                leave(patch, *sys.exc_info())
                raise
            return value

        @functools.wraps(leave)
        def leaving(patch: Any, *about: Any) -> Any:
            try:
                return leave(patch, *about)
            finally:
                self._end(patch)

        kind.__enter__, kind.__exit__ = entering, leaving

    def _begin(self, patch: Any) -> None:
        place = self._place(patch.target, patch.attribute)
        if place is not None:
            number = self._link.ask("patch", *place, patch.attribute, vars(patch.target)[patch.attribute])
            self._held.setdefault(id(patch), []).append(number)

    def _end(self, patch: Any) -> None:
        if not self._held.get(id(patch)) or self._link.broken:
            return
        self._link.ask("unpatch", self._held[id(patch)].pop())

    def _place(self, target: Any, attribute: str) -> tuple[str, tuple[str, ...]] | None:
        """Module and path in it of what is patched, if both sides have it; None where only the tests, or the candidate, do.

        Raises NotApart for what cannot be found at the candidate's, or is the judge's own.
        """
        if isinstance(target, Module | Handle | HandleMeta | Function) or is_mock(target) or type(target) in WRITE:
            return None
        home = target if isinstance(target, type | types.ModuleType) else type(target)
        module = home.__name__ if isinstance(home, types.ModuleType) else home.__module__
        if module == self._link.own_module:
            if target is home and isinstance(home, types.ModuleType) and not any(map(self._link.writes, ("__name__", module))):
                raise self._link.refuse(TypeError(f"A text asks for {attribute!r} of the tests' own module"))
            return None
        parts = tuple(target.__qualname__.split(".")) if isinstance(target, type) else ()
        ours = module.partition(".")[0] in _OURS or (module == "builtins" and (parts or attribute not in _BUILTINS))
        if ours or (module == "posixpath" and attribute in _PATHS) or (target is not home) or _find(module, parts) is not target:
            what = f"What the tests patch ({module}.{attribute}) is patched in their own interpreter alone"
            raise NotApart(what, kind=self._link.writes(module.rpartition(".")[2]) or self._link.writes(attribute))
        return module, parts


def _find(module: str, parts: tuple[str, ...]) -> Any:
    found: Any = sys.modules.get(module)
    for part in parts:
        found = getattr(found, part, None)
    return found
