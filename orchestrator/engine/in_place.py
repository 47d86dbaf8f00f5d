"""Whether tests mean values that they share with the candidate, and not copies: a reading of their source, before anything runs.

They do where they
- call the candidate, or enter a context of its, with a variable that a later assertion reads without asking the candidate
  (`f(x)`, then `assert x == [1, 2]`);
- change something of the candidate's, or what they have passed to it, and ask it again (`bag.items["x"] = 1`, then
  `bag.count()`);
- have a lambda, or a function that they hand on, that changes what it is passed (`lambda xs: xs.pop()`), or a class of their
  own, whose objects keep values;
- compare by identity (`f(x) is x`).

Only the tests are read, never the candidate: otherwise it could choose to be judged in the weaker way.

Left out: what no reading shows. The engine tries both ways where a run shows it (`execution.py`).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from orchestrator.sources import parse

_CHANGING = frozenset(
    (
        *(
            "append",
            "extend",
            "insert",
            "pop",
            "remove",
            "clear",
            "sort",
            "reverse",
            "appendleft",
            "extendleft",
            "popleft",
            "rotate",
        ),
        *("add", "update", "discard", "setdefault", "popitem", "difference_update", "intersection_update"),
        *("fill", "resize", "partition", "fill_", "add_", "sub_", "mul_", "div_", "zero_", "copy_"),
    )
)
"""Methods by which lists, dictionaries, sets, queues and arrays are changed."""
_POSSIBLY = re.compile(
    r"\bis\b|\bassertIs|==\s*None\b"  # identity, or None for a result
    r"|^\s*(?:class|with|async with)\s|^\s*\w[\w, ]*=[^=]|\bdef test\w*\((?!self\))\w"  # a class, a context, a variable
    r"|(?:^|[;:])\s*(?:await\s+)?[\w.\[\]'\"]+\("  # a call that is a statement
    rf"|[-+*/%|&^@]=|\]\s*=(?!=)|\bdel\b|\.(?:{'|'.join(sorted(_CHANGING))})\s*\(",  # a change
    re.MULTILINE,
)
"""What must be somewhere in tests that mean shared values: most have none, and parsing is a twentieth of a short run."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


def says_in_place(tests: str, module: str, entry_point: str = "") -> bool:
    """Whether these tests mean values that they share with the candidate `module`. Tests that do not parse do not."""
    if _POSSIBLY.search(tests) is None:
        return False
    try:
        tree = parse(tests)
        reading = _Reading(tree, module, entry_point)
        handed_on = _handed_on(tree)
        return any(_keeps(node, handed_on) for node in ast.walk(tree)) or any(map(reading.shares, _scopes(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _scopes(tree: ast.Module) -> Iterator[_Function]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _handed_on(tree: ast.Module) -> set[str]:
    """Names that are read without being called: a function under one of them may be called with values of the candidate's."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def _keeps(node: ast.AST, handed_on: set[str]) -> bool:
    """Whether this is a class of the tests' own that is not a class of tests, or a function that changes what it is passed."""
    if isinstance(node, ast.ClassDef):
        above = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
        return not any(
            name.startswith("Test") or name.endswith(("TestCase", "Error", "Exception")) for name in (node.name, *above)
        )
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name not in handed_on:
            return False
    elif not isinstance(node, ast.Lambda):
        return False
    passed = {arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    return any(_root(target) in passed for inner in ast.walk(node) for target in _changed_by(inner))


class _Reading:
    """Which names lead to the candidate, and what is done with them."""

    def __init__(self, tree: ast.Module, module: str, entry_point: str) -> None:
        nodes = list(ast.walk(tree))
        self._theirs = {module, entry_point} - {""}
        bound = set(dir(builtins)) | {"__name__", "__file__"}
        for node in nodes:
            if isinstance(node, ast.ImportFrom | ast.Import):
                own = isinstance(node, ast.ImportFrom) and node.module == module
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    (self._theirs if own or alias.name == module else bound).add(name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(getattr(node, "name", None), str):  # definitions, handlers, patterns
                bound.add(node.name)  # type: ignore[attr-defined]
        # What the tests have from nowhere is the candidate's.
        self._theirs |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} - bound
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        if entry_point:
            self._theirs.update(arg.arg for function in functions if function.name == "check" for arg in function.args.args)
        for function in functions:
            self._follow(function)

    def _follow(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Note what a function makes of the candidate's objects: attributes of `self`, and what it returns, as fixtures do."""
        theirs = set(self._theirs)
        for node in _in_order(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _root(node.value) in theirs:
                theirs |= set(map(_root, node.targets))
            value = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield) else None
            value = node.value if isinstance(node, ast.Return) else value
            if value is not None and _root(value) in theirs:
                self._theirs.add(function.name)
        self._theirs |= {name for name in theirs if name.startswith("self.")}

    def shares(self, scope: _Function) -> bool:
        """Whether one function, or the module's own statements, mean shared values."""
        here = _Scope(set(self._theirs))
        return any(map(here.shares, _in_order(scope)))


class _Scope:
    """One function's names, statement by statement."""

    def __init__(self, theirs: set[str]) -> None:
        self._theirs = theirs
        """Names that lead to the candidate."""
        self._live: set[str] = set()
        """Those of what was read off its objects."""
        self._given: set[str] = set()
        """Those of what was passed to it."""
        self._same: dict[str, set[str]] = {}
        """Names of what was taken out of a variable, by its name: they may be parts of it."""
        self._changed = False

    def shares(self, node: ast.stmt) -> bool:
        """Whether the next statement shows that values are meant to be shared."""
        reads = any(map(self._reads_effect, _parts(node))) or any(map(_compares_identity, ast.walk(node)))
        if _is_assertion(node) and reads:
            return True
        if self._changed and _asks(node, self._theirs):
            return True
        self._changed = self._changed or _changes(node, self._theirs, self._live | self._given)
        for call in _calls(node):
            if _root(call.func) in self._theirs:
                self._note(call)
        for target, value in _assigned(node):
            self._assign(_root(target), value)
        for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
            if item.optional_vars is not None:
                self._assign(_root(item.optional_vars), item.context_expr)
        return False

    def _assign(self, name: str, value: ast.expr) -> None:
        """A variable is set."""
        made = value.elt if isinstance(value, ast.ListComp) else value
        if _root(made) in self._theirs:
            self._live |= {name} if isinstance(made, ast.Attribute | ast.Subscript) else set()
            self._theirs |= {name} if isinstance(made, ast.Call) else set()
        elif isinstance(value, ast.Name | ast.Subscript | ast.Attribute):
            self._same.setdefault(_root(value), set()).add(name)
        elif isinstance(value, ast.List | ast.Tuple):
            parts = {part.id for part in _in_display(value) if isinstance(part, ast.Name)}
            self._same.setdefault(name, set()).update(parts)
            if any(isinstance(part, ast.Call) and _root(part) in self._theirs for part in value.elts):
                self._theirs.add(name)

    def _reads_effect(self, part: ast.AST) -> bool:
        """Whether a part of an assertion reads what was passed to the candidate, and nothing of the candidate's."""
        names = _names(part)
        return bool(names & self._given) and not names & self._theirs

    def _note(self, call: ast.Call) -> None:
        arguments = {_root(value) for value in _arguments(call)} - self._theirs - {""}
        self._given |= arguments.union(*(self._same.get(name, set()) for name in arguments))


def _assigned(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The targets of an assignment, each with what it is set to; those of a tuple one by one."""
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        parts = [one.elts for one in (target, node.value) if isinstance(one, ast.Tuple | ast.List)]
        if len(parts) == 2 and len(parts[0]) == len(parts[1]):
            yield from zip(*parts, strict=True)
        else:
            yield target, node.value


def _asks(node: ast.stmt, theirs: set[str]) -> bool:
    return any(
        _root(inner) in theirs
        for part in _expressions(node)
        for inner in ast.walk(part)
        if isinstance(inner, ast.Attribute | ast.Call | ast.Name)
    )


def _changes(node: ast.stmt, theirs: set[str], values: set[str]) -> bool:
    """Whether a statement changes a value of the candidate's, or one of these."""
    targets = [target for inner in (node, *_calls(node)) for target in _changed_by(inner)]
    return any(_is_read_off(target, theirs) or _root(target) in values for target in targets)


def _changed_by(node: ast.AST) -> list[ast.expr]:
    """What a statement or a call changes in place."""
    if isinstance(node, ast.Assign | ast.Delete):
        return [target.value for target in node.targets if isinstance(target, ast.Subscript)]
    if isinstance(node, ast.AugAssign):
        return [node.target.value if isinstance(node.target, ast.Subscript) else node.target]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        return [node.func.value]
    return []


def _compares_identity(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        return isinstance(node.ops[0], ast.Is | ast.IsNot) and not any(map(_is_unique, operands))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("assertIs", "assertIsNot"):
        return not any(map(_is_unique, node.args[:2]))
    return False


def _in_order(scope: _Function) -> Iterator[ast.stmt]:
    """The statements of a scope, those inside others too, but for those of functions and classes in it."""
    todo: list[ast.AST] = list(reversed(scope.body))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.stmt):
            yield node
        inner = [
            child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        ]
        todo += reversed(inner)


def _expressions(node: ast.stmt) -> list[ast.AST]:
    """What a statement itself evaluates."""
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr | ast.withitem)]


def _calls(node: ast.stmt) -> list[ast.Call]:
    return [inner for part in _expressions(node) for inner in ast.walk(part) if isinstance(inner, ast.Call)]


def _arguments(call: ast.Call) -> list[ast.expr]:
    found = [*call.args, *(keyword.value for keyword in call.keywords)]
    return [part for value in found for part in _in_display(value) if not isinstance(part, ast.Call)]


def _in_display(value: ast.expr) -> list[ast.expr]:
    """What a list or a tuple that is written out holds; anything else itself."""
    value = value.value if isinstance(value, ast.Starred) else value
    return [part for item in value.elts for part in _in_display(item)] if isinstance(value, ast.List | ast.Tuple) else [value]


def _root(node: ast.AST) -> str:
    """The name that an expression of attributes, items and calls begins with; `self.name` counts as one."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Await):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            return f"self.{node.attr}"
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_read_off(node: ast.expr, theirs: set[str]) -> bool:
    """Whether this is an attribute of something of the candidate's, or an item of one."""
    while isinstance(node, ast.Subscript):
        node = node.value
    own = isinstance(node, ast.Attribute) and _root(node) == f"self.{node.attr}"  # the object itself, kept by a test case
    return isinstance(node, ast.Attribute) and not own and _root(node) in theirs


def _is_assertion(node: ast.stmt) -> bool:
    """Whether a statement asserts something, or is a call of unittest's or NumPy's assertions, or of one of the tests' own."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    func = node.value.func
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return name.lower().lstrip("_").startswith(("assert", "check"))


def _parts(node: ast.stmt) -> list[ast.AST]:
    """What an assertion holds, one by one."""
    test: ast.AST = node.test if isinstance(node, ast.Assert) else node
    return list(test.values) if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]


def _names(node: ast.AST) -> set[str]:
    return {_root(inner) for inner in ast.walk(node) if isinstance(inner, ast.Name | ast.Attribute)}


def _is_unique(node: ast.expr) -> bool:
    """Whether an operand is one object wherever it stands: a constant, a class, a member of an enumeration."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Call):
        return _root(node.func) == "type"
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name[:1].isupper() or hasattr(builtins, name) or name in ("__class__", "dtype", "device")
