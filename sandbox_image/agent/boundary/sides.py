"""What the source of the tests says of who gave a value, asked for where that matters.

Where both sides of an assertion are the candidate's (`evidence.py`), or a class is not its own, the test rests on its word. Only
assertions are looked at in which two values meet that are not written out, once they have passed, so that `assert f(3) == 9`
costs nothing. What may hang on the candidate is another question, asked of what an error left out (`unreached.py`, `hanging.py`).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import sys
from collections.abc import Iterable

from ..expected import Reading
from ..hanging import Hanging
from ..light_tests import Definition
from .evidence import Evidence

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


class Sides:
    """Reads the assertions of one file of tests."""

    def __init__(self, tests: str, module: str, names: Iterable[str], entry_point: str) -> None:
        self._tests, self._module, self._names, self._entry_point = tests, module, names, entry_point
        self._known: dict[tuple[int, int, bool, bool], bool] = {}

    def both_candidates(self, line: int, column: int, *, files: bool = False, changes: bool = False) -> bool:
        """Whether both sides of the assertion that stands there are the candidate's.

        `files` says that it has written some, `changes` that it changes what it is passed.
        """
        place = line, column, files, changes
        if place not in self._known:
            try:
                self._known[place] = self._evidence(files, changes).is_lacking(line, column)
            except RecursionError:  # nested too deeply to be read
                self._known[place] = True
        return self._known[place]

    def is_circular(self, test: str) -> bool:
        """Whether no assertion in a test, by its name, has evidence if the candidate changes what it is passed."""
        nodes = [one.node for one in self._reading.tests.values() if one.name == test]
        with contextlib.suppress(RecursionError):
            return not any(self._evidence(False, True).has_any(node) for node in nodes)
        return True

    def uses(self, test: str, names: set[str]) -> bool:
        """Whether a test, by its name, or something that is no test uses one of these names."""
        tests = {id(one.node): one.name for one in self._reading.tests.values()}
        todo: list[ast.AST] = [self.tree]
        for node in todo:  # it grows meanwhile
            if tests.get(id(node), test) == test and not isinstance(node, ast.Import | ast.ImportFrom):
                todo += ast.iter_child_nodes(node)
                if {getattr(node, "id", ""), getattr(node, "attr", "")} & names:
                    return True
        return False

    def is_foreign(self, name: str) -> bool:
        """Whether a name of the module's is the candidate's, or made with something of it."""
        return name in self._reading.foreign

    def leads(self, node: ast.expr) -> bool:
        """Whether an expression uses the candidate, or what was made with it."""
        return self._reading.hanging.uses(node)

    def decides(self, scopes: list[Scope], node: ast.AST, given: Iterable[str]) -> bool:
        """Whether something in the last of these functions may hang on what the candidate gave, or on what was passed to them.

        What is written out as parameters of a test is its own. `given` are further names of this kind.
        """
        names = frozenset(given)
        if any(isinstance(inner, ast.Name) and inner.id in names for inner in ast.walk(node)):
            return True
        return self._hanging(*scopes[1:]).uses(node)

    @functools.cache  # noqa: B019  the run ends with it
    def _hanging(self, *functions: Definition) -> Hanging:
        passed = {(id(one), name) for one in functions for name in _passed(one)}
        hanging = self._reading.hanging
        return hanging.seen_from(functions[-1], passed) if functions else hanging

    @functools.cached_property
    def _reading(self) -> Reading:
        return Reading(self.tree, self._module, self._names)

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The tests as they are written: what is compiled has assertions taken apart."""
        return ast.parse(self._tests)

    @functools.cache  # noqa: B019  the run ends with it
    def _evidence(self, files: bool, changes: bool) -> Evidence:
        return Evidence(self.tree, self._reading, self._given, self._entry_point, files=files, changes=changes)

    @functools.cached_property
    def _given(self) -> frozenset[str]:
        """Names of Python's and of libraries'."""
        imports = (node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom))
        names = {alias.asname or alias.name.split(".")[0] for node in imports for alias in node.names}
        return frozenset(names | set(dir(builtins)) | set(sys.stdlib_module_names) | {"np", "self", "cls"})


def _passed(scope: Definition) -> frozenset[str]:
    """The parameters of a function, but for those whose values are written with it (`parametrize`)."""
    written = [one.value for decorator in scope.decorator_list for one in ast.walk(decorator) if isinstance(one, ast.Constant)]
    texts = {name.strip() for text in written if isinstance(text, str) for name in text.split(",")}
    return frozenset(one.arg for one in ast.walk(scope.args) if isinstance(one, ast.arg) and one.arg not in texts)
