"""What a test speaks of: its own source, and what of the file stands in no other test.

Where tests speak of missing items, infinity or narrow types, they know how those compare, and see what they look for. A word in
one test says nothing of another. Helpers, fixtures and constants are everybody's. Outside of tests, and where what one test was
given may be looked at by another (a fixture of a wider scope), it is the whole file that speaks.
"""

from __future__ import annotations

import ast
import functools
import re

from .. import light_tests

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
        """The source without the other tests."""
        if test not in self._places or _WIDER.search(self._tests):
            return self._tests
        others = {line for name, lines in self._places.items() if name != test for line in lines}
        lines = self._tests.splitlines()
        return "\n".join(line for number, line in enumerate(lines, 1) if number not in others)

    @functools.cached_property
    def _places(self) -> dict[str, range]:
        """The lines of each test."""
        tree = ast.parse(self._tests)
        asserts = light_tests.Asserts(tree)
        found = {name: _lines(tree.body[place]) for place, name in asserts.names.items()}
        return found | dict(_methods(tree, ""))


def _methods(node: ast.Module | ast.ClassDef, above: str) -> list[tuple[str, range]]:
    found: list[tuple[str, range]] = []
    for inner in node.body:
        if isinstance(inner, ast.ClassDef):
            found += _methods(inner, f"{above}{inner.name}::")
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test"):
            found.append((above + inner.name, _lines(inner)))
    return found


def _lines(node: ast.stmt) -> range:
    """The lines of a statement, its decorators included."""
    decorators = getattr(node, "decorator_list", ())
    return range(min(one.lineno for one in (node, *decorators)), (node.end_lineno or node.lineno) + 1)
