"""What a test speaks of: its own source, and what of the file stands in no other test.

Where tests speak of missing items, infinity or narrow types, they know how those compare, and see what they look for. A word in
one test says nothing of another, and a comment or a docstring says nothing. Helpers, fixtures and constants are everybody's.
Outside of tests, and where what one test was given may be looked at by another (a fixture of a wider scope), it is the whole file
that speaks.
"""

from __future__ import annotations

import ast
import functools
import re
from typing import Any

from .. import light_tests

Place = tuple[int, int]
"""Line and column of a statement."""
_WIDER = re.compile(r"\bscope\s*=|\bset_?up_?(?:class|module)\b", re.IGNORECASE)


class Speech:
    """Reads one file of tests, once it is asked."""

    def __init__(self, tests: str) -> None:
        self._tests = tests
        self.now = ""
        """The test that runs, as pytest names it; empty outside of tests."""
        self._spoken: dict[tuple[str, re.Pattern[str]], bool] = {}

    def of(self, what: re.Pattern[str]) -> bool:
        """Whether the test that runs speaks of this."""
        test = self.now.partition("[")[0]
        key = test, what
        if key not in self._spoken:
            self._spoken[key] = what.search(self._concerning(test)) is not None
        return self._spoken[key]

    def _concerning(self, test: str) -> str:
        """The code without the other tests, comments and texts that stand by themselves."""
        alone = test in self._places and not _WIDER.search(self._tests)
        others = {place for name, place in self._places.items() if alone and name != test}
        return ast.unparse(_Without(others).visit(ast.parse(self._tests)))

    @functools.cached_property
    def _places(self) -> dict[str, Place]:
        """Where each test stands."""
        tree = ast.parse(self._tests)
        asserts = light_tests.Asserts(tree)
        found = {name: _place(tree.body[place]) for place, name in asserts.names.items()}
        return found | dict(_methods(tree, ""))


class _Without(ast.NodeTransformer):
    """Leaves out what is no code, and the tests that stand at some places."""

    def __init__(self, places: set[Place]) -> None:
        self._places = places

    def visit(self, node: ast.AST) -> Any:
        """Without it, or with what is left of it."""
        if isinstance(node, ast.stmt) and _place(node) in self._places:
            return None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return None
        return self.generic_visit(node)


def _methods(node: ast.Module | ast.ClassDef, above: str) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = []
    for inner in node.body:
        if isinstance(inner, ast.ClassDef):
            found += _methods(inner, f"{above}{inner.name}::")
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test"):
            found.append((above + inner.name, _place(inner)))
    return found


def _place(node: ast.stmt) -> Place:
    return node.lineno, node.col_offset
