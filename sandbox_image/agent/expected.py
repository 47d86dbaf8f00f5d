"""Which tests there are, and in which of them the candidate has a hand: read from their source before the candidate is there.

What runs later is held against this, so that no decorator, condition, parametrisation or rebinding of the candidate's makes a
test vanish. It follows pytest: `test*` functions, methods of `Test*` classes and of unittest's, inherited ones included.

Left out: tests that only running the file would show (classes made by calls, bases from libraries). Those count where they run.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .hanging import Hanging
from .light_tests import Definition, has_assertions

_PLAIN_BASES = frozenset(("object", "ABC", "Generic", "Protocol"))
_NO_TESTS = frozenset(("property", "cached_property"))


@dataclass
class Expected:
    """One test that the source has."""

    name: str
    """As pytest names it, without the file and without parameters."""
    node: Definition
    decorated: bool = False
    """Something of the candidate's stands in its decorators, its class's, or the condition that it is under."""
    skippable: bool = False
    """Of those, one that can decide whether it is skipped: all but its parameters."""


@dataclass
class _Class:
    node: ast.ClassDef
    methods: dict[str, Definition | None] = field(default_factory=dict)
    classes: list[_Class] = field(default_factory=list)
    hidden: bool = False
    """`__test__ = False`, or made by an `__init__` of its own, which pytest does not collect."""
    initialised: bool = False
    marks: list[ast.expr] = field(default_factory=list)


class Reading:
    """The tests of a file, and what of it depends on the candidate."""

    def __init__(self, tree: ast.Module, module: str, missing: Iterable[str] = ()) -> None:
        self._tree, self._module = tree, module
        self.foreign: set[str] = set(missing)
        """Names of the candidate's, and those that the tests made from them at module level."""
        self._learn(tree)
        self._classes: dict[str, _Class] = {}
        self._functions: dict[str, tuple[Definition, bool]] = {}
        self._marks: list[ast.expr] = []
        self._hidden: set[str] = set()
        self._statements(tree.body, under=False, certain=True)
        self.tests: dict[str, Expected] = {}
        """By name."""
        if "" not in self._hidden:
            for test in self._found():
                self.tests[test.name] = test
        self.marked: dict[int, str] = {}
        """Functions that something of the candidate's may stand before: the `id` of the node -> what it is called."""
        self._mark(tree)

    def depends(self, *nodes: ast.AST) -> bool:
        """Whether anything of the candidate's is used in these."""
        for node in nodes:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and inner.id in self.foreign:
                    return True
                if isinstance(inner, ast.ImportFrom | ast.Import) and self.imports(inner):
                    return True
        return False

    @functools.cached_property
    def hanging(self) -> Hanging:
        """What of the file hangs on the candidate's values, in detail. Read where it is asked for: it takes longer."""
        return Hanging(self._tree, self.foreign, self.imports)

    @functools.cached_property
    def hanging_or_files(self) -> Hanging:
        """The same, where files may be the candidate's."""
        return Hanging(self._tree, self.foreign, self.imports, files=True)

    def must_be_entered(self) -> dict[int, str]:
        """Functions with assertions, no tests themselves, that the candidate wraps: they are worth nothing if never entered."""
        tests = {id(test.node) for test in self.tests.values()}
        return {number: name for number, name in self.marked.items() if number not in tests}

    # What is the candidate's

    def imports(self, node: ast.Import | ast.ImportFrom) -> set[str]:
        """The names that an import gives to what is the candidate's."""
        names = node.names
        if isinstance(node, ast.ImportFrom):
            names = names if not node.level and (node.module or "").split(".")[0] == self._module else []
        else:
            names = [alias for alias in names if alias.name.split(".")[0] == self._module]
        return {alias.asname or alias.name.split(".")[0] for alias in names}

    def _learn(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.foreign |= self.imports(node)
        self.taken = frozenset(self.foreign)
        """Of these, the ones that the candidate itself gave."""
        known = -1
        while known != len(self.foreign):  # what is made from what is made from it
            known = len(self.foreign)
            for node in tree.body:
                self._pass_on(node)

    def _pass_on(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.lower().startswith("test") and self.depends(node):
                self.foreign.add(node.name)
            return
        if isinstance(node, ast.Import | ast.ImportFrom) or not self.depends(node):
            return
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self.foreign.add(inner.id)

    # Definitions

    def _statements(self, body: list[ast.stmt], *, under: bool, certain: bool) -> None:
        """Note what a block at module level defines. `under` says that the candidate decides whether it runs."""
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if certain:
                    self._functions[node.name] = (node, under)
            elif isinstance(node, ast.ClassDef):
                if certain:
                    self._classes[node.name] = self._class(node)
            elif isinstance(node, ast.If):
                self._either(node)
            elif isinstance(node, ast.Try):
                depends = self.depends(*node.body)
                self._statements([*node.body, *node.orelse], under=depends, certain=certain and depends)
            elif isinstance(node, ast.With):
                self._statements(node.body, under=under, certain=certain)
            else:
                self._assigned(node)

    def _either(self, node: ast.If) -> None:
        """Of two branches that both have tests, those that both have; of one, those that it has if the candidate chooses."""
        first, second = ({n.name: n for n in branch if isinstance(n, Definition)} for branch in (node.body, node.orelse))
        names = set(first) & set(second) if first and second else set(first) | set(second)
        if names and self.hanging.uses(node.test):
            self._functions |= {name: ((first or second)[name], True) for name in names}

    def _assigned(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._functions.pop(target.id, None)
                    self._hidden.add(target.id)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and target.id == "pytestmark" and value is not None:
                self._marks.append(value)
            if _is_off(value):
                if isinstance(target, ast.Name) and target.id == "__test__":
                    self._hidden.add("")
                elif isinstance(target, ast.Attribute) and target.attr == "__test__" and isinstance(target.value, ast.Name):
                    self._hidden.add(target.value.id)

    def _class(self, node: ast.ClassDef) -> _Class:
        found = _Class(node)
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                found.methods[inner.name] = inner
                found.initialised |= inner.name in ("__init__", "__new__")
            elif isinstance(inner, ast.ClassDef):
                found.classes.append(self._class(inner))
            elif isinstance(inner, ast.Assign):
                names = {target.id for target in inner.targets if isinstance(target, ast.Name)}
                found.methods |= dict.fromkeys(names)
                found.hidden |= "__test__" in names and _is_off(inner.value)
                if "pytestmark" in names:
                    found.marks.append(inner.value)
        found.initialised |= any(_last(decorator) == "dataclass" for decorator in node.decorator_list)
        return found

    # Tests

    def _found(self) -> Iterator[Expected]:
        for name, (node, under) in self._functions.items():
            if name.startswith("test") and name not in self._hidden and not _is_fixture(node):
                yield self._test(name, node, node.decorator_list, self._marks, under=under)
        for name, one in self._classes.items():
            if name not in self._hidden:
                yield from self._of_class(name, one)

    def _of_class(self, name: str, one: _Class) -> Iterator[Expected]:
        line, unit = self._line(one)
        if not line or any(part.hidden for part in line) or (not unit and any(part.initialised for part in line)):
            return
        if not unit and not one.node.name.startswith("Test"):
            return
        methods: dict[str, Definition | None] = {}
        for part in reversed(line):
            methods |= part.methods
        above = [decorator for part in line for decorator in part.node.decorator_list]
        marks = [*self._marks, *(mark for part in line for mark in part.marks)]
        for method, node in methods.items():
            if method.startswith("test") and node is not None and not _is_fixture(node):
                yield self._test(f"{name}::{method}", node, [*above, *node.decorator_list], marks)
        if not unit:
            for inner in one.classes:
                yield from self._of_class(f"{name}::{inner.node.name}", inner)

    def _line(self, one: _Class) -> tuple[list[_Class], bool]:
        """A class and its bases in this file, and whether it is unittest's; nothing where a base is not known."""
        line, unit = [one], False
        for base in one.node.bases:
            last = _last(base)
            if isinstance(base, ast.Name) and base.id in self._classes and self._classes[base.id] is not one:
                more, also = self._line(self._classes[base.id])
                if not more:
                    return [], False
                line, unit = line + more, unit or also
            elif last.endswith("TestCase"):
                unit = True
            elif last not in _PLAIN_BASES:
                return [], False
        return line, unit

    def _test(
        self, name: str, node: Definition, decorators: list[ast.expr], marks: list[ast.expr], *, under: bool = False
    ) -> Expected:
        ours = [one for one in (*decorators, *marks) if self.depends(one)]
        return Expected(name, node, under or bool(ours), under or any(_last(one) != "parametrize" for one in ours))

    # Marks

    def _mark(self, tree: ast.Module) -> None:
        tests = {id(test.node) for test in self.tests.values()}
        rebound = self._rebound(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            wraps = [one for one in node.decorator_list if self.depends(one) and _root(one) in self.foreign]
            if (wraps or node.name in rebound) and (id(node) in tests or has_assertions(node)):
                self.marked[id(node)] = node.name

    def _rebound(self, tree: ast.Module) -> set[str]:
        """Functions that are replaced by what the candidate makes of them: `check = cached(check)`."""
        found = set()
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _root(node.value.func) in self.foreign:
                given = {one.id for one in node.value.args if isinstance(one, ast.Name)}
                found |= given & {one.id for one in node.targets if isinstance(one, ast.Name)}
        return found


def _is_off(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def _is_fixture(node: Definition) -> bool:
    return any(_last(one) in ("fixture", *_NO_TESTS) for one in node.decorator_list)


def _last(node: ast.expr) -> str:
    """The last name of a dotted name or of what is called: `pytest.mark.skip(...)` -> `skip`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _root(node: ast.expr) -> str:
    """The first name of a dotted name or of what is called: `a.b(...)` -> `a`."""
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
