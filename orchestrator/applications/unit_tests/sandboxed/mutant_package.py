"""Runs in a sandbox, on the function's side: the modules that the function's module imports from its folder or package.

They came with the versions, and are in memory alone. Each version of the module gets them anew.

Left out: files that are no modules.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any


class Package(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds these modules, and in their midst the version of the function's module that is run."""

    def __init__(self, name: str, siblings: Mapping[str, str]) -> None:
        self._name = name
        self._codes: dict[str, types.CodeType] = {}
        self._packages: set[str] = set()
        for one, source in siblings.items():
            dotted = one.removesuffix(".__init__")
            self._codes[dotted] = compile(source, f"<{one}>", "exec", dont_inherit=True)
            if dotted != one:
                self._packages.add(dotted)
        if any(one.startswith(f"{name}.") for one in siblings):
            self._packages.add(name)
        self._given: dict[str, Any] = {}
        sys.meta_path.insert(0, self)

    def load(self, code: types.CodeType, given: dict[str, Any]) -> types.ModuleType:
        """Run a version of the module, and what it imports. Raises whatever that raises."""
        self._codes[self._name], self._given = code, given
        for one in self._codes:
            sys.modules.pop(one, None)
        return importlib.import_module(self._name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """One of them, for Python."""
        if name not in self._codes:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name in self._packages)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run one of them, for Python."""
        if module.__name__ == self._name:
            module.__dict__.update(self._given)
            sys.modules["candidate"] = module
        exec(self._codes[module.__name__], module.__dict__)
