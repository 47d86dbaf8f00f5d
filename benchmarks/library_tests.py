"""A library as one module, and its test files as one pair for each test function or class.

A package's files are put one after the other, each where it is first imported. Of a test file a pair keeps the one test and what
that test uses: imports, helpers, fixtures, constants.

Left out: whether the result still passes. Plain pytest says so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HERE = "__import__('sys').modules[__name__]"


@dataclass(frozen=True)
class Library:
    """Where a library and its tests lie in a checkout."""

    name: str
    source: str
    """A package's folder, or a module's file."""
    tests: str
    """Pattern of test files."""
    module: str = ""
    """Name that the flattened module gets; the package's own unless given."""
    file: str = ""
    """The file of the package that becomes the module; all of it unless given."""
    without: tuple[str, ...] = ()
    """Files of the package that are left out, and with them the imports of them."""
    drop: tuple[str, ...] = ()
    """Statements that only a package can execute."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """Modules that test files import -> the file that is put in place of the import."""

    @property
    def package(self) -> str:
        """Import name of the library."""
        return Path(self.source).stem


Row = tuple[str, str, str, str]
"""Name, candidate, tests, module."""


def pairs(library: Library, folder: Path) -> Iterator[Row]:
    """Each test function or class of the library's test files, with the library as one module."""
    module = library.module or library.package
    candidate = _flat(library, folder)
    prefix = f"{library.package}.{library.file}" if library.file else library.package
    for path in sorted(folder.glob(library.tests)):
        tree = _Renamed(library.package, prefix, module).visit(ast.parse(path.read_text()))
        conftest = path.parent / "conftest.py"
        body = [*(_fixtures(conftest) if conftest.is_file() else []), *inlined(tree.body, library.helpers, folder)]
        for name, text in split(body):
            yield f"{library.package}/{path.stem}::{name}", candidate, text, module


def _flat(library: Library, folder: Path) -> str:
    source = folder / library.source
    if source.is_file():
        return source.read_text()
    flattening = _Flattening(source, library)
    flattening.add(library.file or "__init__")
    flattening.add_late()
    tree = ast.Module(flattening.body, [])
    head = "from __future__ import annotations\n" if flattening.future else ""
    return head + ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Flattening(ast.NodeTransformer):
    """The files of a package, one after the other."""

    def __init__(self, folder: Path, library: Library) -> None:
        self._folder, self._package = folder, library.package
        self._without, self._drop = library.without, library.drop
        self._done: set[str] = set()
        self._late: list[str] = []
        self._depth = 0
        self._at = ""
        self.body: list[ast.stmt] = []
        self.future = False

    def add(self, name: str) -> bool:
        """Append a file (`sub.name`), unless it is there. False where the package has no such file."""
        base = self._folder.joinpath(*name.split("."))
        path = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        if not path.is_file():
            return False
        if name not in self._done:
            self._done.add(name)
            before, depth = self._at, self._depth
            self._at, self._depth = (name if path.name == "__init__.py" else name.rpartition(".")[0]), 0
            for statement in ast.parse(path.read_text()).body:
                if ast.unparse(statement) in self._drop:
                    continue
                made = self.visit(statement)
                self.body += made if isinstance(made, list) else [made] if made is not None else []
            self._at, self._depth = before, depth
            if name != "__init__" and name.isidentifier() and not any(name in names_bound(one) for one in self.body):
                self.body.append(_assign(name, _HERE))  # for `package.file.name`
        return True

    def add_late(self) -> None:
        """Append what only function bodies import."""
        for name in self._late:
            self.add(name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt] | ast.stmt:
        if node.module == "__future__":
            self.future = True
            return [ast.Pass()] if self._depth else []
        source = self._source(node)
        if source is None:
            return node
        made: list[ast.stmt] = []
        for alias in node.names:
            inner = f"{source}.{alias.name}".strip(".")
            if inner in self._without or source in self._without:
                continue
            if self._add(inner):
                made.append(_assign(alias.asname or alias.name, _HERE))
            elif not self._add(source or "__init__"):
                made.append(ast.parse("raise ImportError('it is not in the package')").body[0])
            elif alias.asname and alias.asname != alias.name:
                made.append(_assign(alias.asname, alias.name))
        return made or [ast.Pass()]

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for alias in node.names:
            if alias.name.split(".")[0] == self._package:
                self._add(alias.name.partition(".")[2] or "__init__")
                made.append(_assign(alias.asname or self._package, _HERE))
            else:
                made.append(ast.Import([alias]))
        return made

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        return node if not self._is_all(node.targets[0]) else ast.Pass() if self._depth else None

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt | None:
        return node if not self._is_all(node.target) else ast.Pass() if self._depth else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test).endswith(("TYPE_CHECKING", "__name__ == '__main__'")):
            node.body = [ast.Pass()]
        return self.generic_visit(node)

    def _inside(self, node: ast.AST) -> ast.AST:
        self._depth += 1
        node = self.generic_visit(node)
        self._depth -= 1
        return node

    def _add(self, name: str) -> bool:
        """Add a file now, or at the end where only a function needs it."""
        if not self._depth:
            return self.add(name)
        base = self._folder.joinpath(*name.split("."))
        there = base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()
        if there:
            self._late.append(name)
        return there

    def _source(self, node: ast.ImportFrom) -> str | None:
        """The file of this package that is imported from ("" for the package itself); None for another's."""
        module = node.module or ""
        if not node.level:
            root, _, rest = module.partition(".")
            return rest if root == self._package else None
        here = [part for part in self._at.split(".") if part and part != "__init__"]
        above = here[: len(here) - node.level + 1] if node.level > 1 else here
        return ".".join([*above, *filter(None, [module])])

    @staticmethod
    def _is_all(target: ast.expr) -> bool:
        return isinstance(target, ast.Name) and target.id == "__all__"


class _Renamed(ast.NodeTransformer):
    """Imports of a package's files become imports of the one module."""

    def __init__(self, package: str, prefix: str, module: str) -> None:
        self._package, self._prefix, self._module = package, prefix, module

    def _is_ours(self, name: str) -> bool:
        return name == self._prefix or name.startswith(self._prefix + ".")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        name = node.module or ""
        if node.level == 2 and not name:
            name = self._package
        if node.level and name != self._package:
            return node
        whole = [alias for alias in node.names if f"{name}.{alias.name}" == self._prefix]
        made: list[ast.stmt] = [ast.Import([ast.alias(self._module, alias.asname or alias.name)]) for alias in whole]
        rest = [alias for alias in node.names if alias not in whole]
        if rest:
            made.append(ast.ImportFrom(self._module if self._is_ours(name) else node.module, rest, 0))
        return made

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        ours = [self._is_ours(alias.name) for alias in node.names]
        names = [
            ast.alias(self._module, alias.asname or (None if "." not in alias.name else alias.name.split(".")[0]))
            if mine
            else alias
            for alias, mine in zip(node.names, ours, strict=True)
        ]
        return ast.Import(names)


def inlined(body: list[ast.stmt], helpers: Mapping[str, str], folder: Path) -> Iterator[ast.stmt]:
    """Statements with helper files in place of their imports."""
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            dots = "." * statement.level
            name = dots + (statement.module or "")
            if name in helpers:
                yield from ast.parse((folder / helpers[name]).read_text()).body
                renamed = [alias for alias in statement.names if alias.asname]
                yield from (_assign(alias.asname or "", alias.name) for alias in renamed)
                continue
            whole = f"{dots}{statement.names[0].name}"
            if not statement.module and whole in helpers:
                body = ast.parse((folder / helpers[whole]).read_text()).body
                names = sorted({name for one in body for name in names_bound(one)})
                space = f"__import__('types').SimpleNamespace({', '.join(f'{name}={name}' for name in names)})"
                yield from [*body, _assign(statement.names[0].asname or statement.names[0].name, space)]
                continue
        yield statement


def _fixtures(conftest: Path) -> list[ast.stmt]:
    """What a conftest gives to tests: its hooks stay behind."""
    return [
        statement
        for statement in ast.parse(conftest.read_text()).body
        if not (isinstance(statement, ast.FunctionDef) and statement.name.startswith("pytest_"))
    ]


def split(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Each test function or class with what it uses of the other statements, as (name, source)."""
    for test in body:
        if _is_test(test):
            kept = _closure(test, body)
            chosen = sorted((one for one in body if one in kept), key=lambda one: not _is_future(one))
            source = ast.unparse(ast.fix_missing_locations(ast.Module(chosen, [])))
            yield str(getattr(test, "name", "")), source + "\n"


def _is_test(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test") and not any("fixture" in ast.unparse(one) for one in node.decorator_list)
    return isinstance(node, ast.ClassDef) and (
        node.name.startswith("Test") or any(ast.unparse(base).endswith("TestCase") for base in node.bases)
    )


def _closure(test: ast.stmt, body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that a test needs: those that bind or fill a name that it uses, and so on."""
    used = names_used(test) | {"pytestmark"}
    kept: list[ast.stmt] = [test]
    changed = True
    while changed:
        changed = False
        for one in body:
            needed = names_bound(one) & used or names_filled(one) & used or _is_star(one) or _is_future(one)
            if one not in kept and needed:
                kept.append(one)
                used |= names_used(one)
                changed = True
    return kept


def _is_star(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def names_used(node: ast.AST) -> set[str]:
    """Names that are read, and those of fixtures: parameters, and strings in decorators."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.arg):
            found.add(one.arg)
        elif isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            for decorator in one.decorator_list:
                found |= {str(leaf.value) for leaf in ast.walk(decorator) if isinstance(leaf, ast.Constant)}
    return found


def names_bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds at the level it stands on."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    found: set[str] = set()
    todo: list[ast.AST] = [node]
    while todo:
        for child in ast.iter_child_nodes(todo.pop()):
            if isinstance(child, ast.stmt):
                found |= names_bound(child)
                continue
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                found.add(child.id)
            todo.append(child)
    return found


def names_filled(node: ast.stmt) -> set[str]:
    """Names whose objects a statement changes: `x.y = ...`, `x[0] = ...`, `x.update(...)`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets: list[ast.expr] = [node.value.func]
    elif isinstance(node, ast.Assign):
        targets = [target for target in node.targets if isinstance(target, ast.Attribute | ast.Subscript)]
    else:
        return set()
    return {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}


def _assign(name: str, value: str) -> ast.stmt:
    return ast.parse(f"{name} = {value}").body[0]
