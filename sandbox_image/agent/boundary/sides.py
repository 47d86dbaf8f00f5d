"""What rests on the candidate's word by its source: assertions both of whose sides it gave, and classes that it only borrows.

`assert repr(make(3)) == repr(Point(3))` compares what the candidate says with what it says. Which sides those are is read from
the source: they use the candidate, or a variable that was made with it, and compute with no variable of the tests' own. Only
assertions of which neither side is written out are looked at, once they have passed, so that `assert f(3) == 9` costs nothing.

Left out: what is passed to helpers of the tests' own (`same(f(3), 9)`); and identity, which the boundary keeps itself.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from collections.abc import Iterable

from ..expected import Reading
from ..hanging import CLOCKS
from ..light_tests import Definition
from .evidence import Evidence

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_CLOCKS = frozenset(
    (*(f"{module}.{name}" for module in ("time", "datetime", "date", "timeit") for name in CLOCKS), *(CLOCKS - {"time"}))
)
_KINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Sides:
    """Reads the assertions of one file of tests."""

    def __init__(self, tests: str, module: str, names: Iterable[str], entry_point: str) -> None:
        self._tests, self._module, self._names, self._entry_point = tests, module, names, entry_point
        self._known: dict[tuple[int, int], bool] = {}

    def both_candidates(self, line: int, column: int) -> bool:
        """Whether both sides of the assertion that stands there are the candidate's."""
        place = line, column
        if place not in self._known:
            self._known[place] = self._evidence.is_lacking(line, column)
        return self._known[place]

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

    def leads(self, scope: Scope, node: ast.expr) -> bool:
        """Whether an expression in a function uses the candidate, or what was made with it."""
        return self._leads(node, self._names_in(scope))

    def decides(self, scopes: list[Scope], node: ast.AST, given: Iterable[str]) -> bool:
        """Whether something in the last of these functions may hang on what the candidate gave, or on what was passed to them.

        What is written out as parameters of a test is its own. `given` are further names of this kind.
        """
        place = scopes[-1]
        names = self._changed(place) | _CLOCKS
        for scope in scopes[1:]:
            before = frozenset[str]()
            names |= self._names_in(scope) | _passed(scope)
            while names != before:
                before = names
                names |= self._spread(scope, self._learn(scope, names), place, under=False)
        return self._leads(node, names | frozenset(given))

    @functools.cache  # noqa: B019  the run ends with it
    def _changed(self, place: Scope) -> frozenset[str]:
        """The names of the module that lead to the candidate, seen from a function: those that are changed anywhere included."""
        own = frozenset(name for node in self.tree.body if not isinstance(node, _KINDS) for name in _stored(node))
        names, before = self._names_in(self.tree), frozenset[str]()
        while names != before:
            before = names
            names |= self._spread(self.tree, names, place, under=False) & own
        return names

    def _spread(self, node: ast.AST, names: frozenset[str], place: Scope, *, under: bool) -> frozenset[str]:
        """With the variables that are set or changed by what leads to the candidate, or where that decides: `under` says so.

        Functions that are no tests may have been given to it, which then decides whether they run: but for the one that is
        looked at, `place`, whose own count of its calls is its own matter.
        """
        if isinstance(node, Definition):
            names |= _passed(node)
        elif isinstance(node, ast.If | ast.While):
            under |= self._leads(node.test, names)
        elif isinstance(node, ast.For | ast.AsyncFor):
            under |= self._leads(node.iter, names)
        elif isinstance(node, ast.Match):
            under |= self._leads(node.subject, names)
        elif isinstance(node, ast.With | ast.AsyncWith):
            under |= any(self._leads(item.context_expr, names) for item in node.items)
        elif isinstance(node, ast.Try | ast.TryStar):
            under |= any(self._leads(part, names) for part in node.body)
        elif isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef):
            return names | (_stored(node) - self._given if under or self._leads(node, names) else frozenset())
        found = names
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.stmt | ast.ExceptHandler | ast.match_case):
                given = isinstance(part, Definition) and not part.name.startswith("test") and part is not place
                found |= self._spread(part, found, place, under=under or given)
        return found

    # Names that lead to the candidate

    @functools.cached_property
    def _reading(self) -> Reading:
        return Reading(self.tree, self._module, self._names)

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The tests as they are written: what is compiled has assertions taken apart."""
        return ast.parse(self._tests)

    @functools.cached_property
    def _evidence(self) -> Evidence:
        return Evidence(self.tree, self._reading, self._given, self._entry_point)

    @functools.cache  # noqa: B019  the run ends with it
    def _names_in(self, scope: Scope) -> frozenset[str]:
        """The names that lead to the candidate in a function: its own beside those of the module."""
        names = frozenset(self._reading.foreign) | {self._module}
        if isinstance(scope, ast.Module):
            return names | self._attributes
        if self._entry_point and scope.name == "check":
            names |= {argument.arg for argument in scope.args.args[:1]}
        return self._learn(scope, names | self._attributes)

    @functools.cached_property
    def _attributes(self) -> frozenset[str]:
        """Attributes of the tests' own objects that lead to the candidate, as `self.stack`."""
        names = frozenset(self._reading.foreign) | {self._module}
        found: frozenset[str] = frozenset()
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                found |= {name for name in self._learn(node, names | found) if "." in name}
        return found

    def _learn(self, scope: Scope, names: frozenset[str]) -> frozenset[str]:
        """With the names of variables that are made with what leads to the candidate."""
        while True:
            before = names
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        names |= self._bound(target, node.value, names, pulled=False)
                elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
                    names |= self._bound(node.target, node.value, names, pulled=False)
                elif isinstance(node, ast.For | ast.AsyncFor):
                    names |= self._bound(node.target, node.iter, names)
                elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                    names |= self._bound(node.optional_vars, node.context_expr, names, pulled=False)
            if names == before:
                return names

    def _bound(self, target: ast.expr, value: ast.expr, names: frozenset[str], *, pulled: bool = True) -> frozenset[str]:
        """The names in a target that lead to the candidate by this value, or by the items that are `pulled` from it."""
        columns = _columns(value) if pulled else [[one] for one in value.elts] if isinstance(value, ast.Tuple) else []
        if isinstance(target, ast.Tuple | ast.List) and len(target.elts) == len(columns):
            found = frozenset[str]()
            for one, column in zip(target.elts, columns, strict=True):
                found |= _names_of(one) if any(self._leads(part, names) for part in column) else frozenset()
            return found
        return _names_of(target) if self._leads(value, names) else frozenset()

    @functools.cached_property
    def _given(self) -> frozenset[str]:
        """Names of Python's and of libraries'."""
        imports = (node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom))
        names = {alias.asname or alias.name.split(".")[0] for node in imports for alias in node.names}
        return frozenset(names | set(dir(builtins)) | set(sys.stdlib_module_names) | {"np", "self", "cls"})

    def _leads(self, node: ast.AST, names: frozenset[str]) -> bool:
        """Whether an expression uses the candidate, or what was made with it."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id in names:
                return True
            if isinstance(inner, ast.Attribute) and f"{getattr(inner.value, 'id', '')}.{inner.attr}" in names:
                return True
        return False


def _columns(value: ast.expr) -> list[list[ast.expr]]:
    """What the parts of each item come from: of `zip`, `enumerate`, and of rows that are written out."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id == "zip":
            return [[argument] for argument in value.args]
        if value.func.id == "enumerate" and value.args:
            return [[], [value.args[0]]]
    if isinstance(value, ast.List | ast.Tuple) and value.elts:
        rows = [row.elts for row in value.elts if isinstance(row, ast.Tuple | ast.List)]
        if len(rows) == len(value.elts) and len({len(row) for row in rows}) == 1:
            return [list(column) for column in zip(*rows, strict=True)]
    return []


def _stored(node: ast.AST) -> frozenset[str]:
    """The variables that a statement sets, or may change: those that items or attributes are set in, or methods are called on."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif isinstance(inner, ast.Subscript | ast.Attribute):
            root: ast.expr = inner
            while isinstance(root, ast.Subscript | ast.Attribute):
                root = root.value
            found |= {root.id} if isinstance(root, ast.Name) else set()
    return frozenset(found)


def _passed(scope: Scope) -> frozenset[str]:
    """The parameters of a function, but for those whose values are written with it (`parametrize`)."""
    if isinstance(scope, ast.Module):
        return frozenset()
    written = [one.value for decorator in scope.decorator_list for one in ast.walk(decorator) if isinstance(one, ast.Constant)]
    texts = {name.strip() for text in written if isinstance(text, str) for name in text.split(",")}
    return frozenset(one.arg for one in ast.walk(scope.args) if isinstance(one, ast.arg) and one.arg not in texts)


def _names_of(target: ast.expr) -> frozenset[str]:
    found = set()
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return frozenset((f"{node.value.id}.{node.attr}",))
    return frozenset(found)
