"""Runs in a sandbox: which lines and branches of a function, method or class were passed.

Marks are put into the function's syntax tree: one before each statement, one in each outcome of a condition. The tests cannot see
or set them, for they are on the function's side. A line is that on which a statement begins. A branch is one outcome of a
condition (`if`, `while`, conditional expression, filter of a comprehension), of a loop (entered, run to its end), or a `case`.

Left out: the operands of `and` and `or`.
"""

from __future__ import annotations

import ast
from typing import Any

_PASSED, _BRANCH = "@passed", "@branch"
"""What the marks are called in the marked module: no source can use these names."""


class Marks:
    """What there is to pass, and what was passed."""

    def __init__(self) -> None:
        self._passed: list[int] = []
        self._lines: dict[int, int] = {}
        self._branches: dict[tuple[int, bool], int] = {}

    @property
    def names(self) -> dict[str, Any]:
        """What the marked module needs. Marks in blocks are stores into a list: in tight loops calls would dominate."""
        return {_PASSED: self._passed, _BRANCH: self._branch}

    def _branch(self, number: int, value: Any) -> bool:
        outcome = bool(value)
        self._passed[self._branches[number, outcome]] = 1
        return outcome

    def line(self, number: int) -> int:
        """The place of a line's mark."""
        return self._place(self._lines, number)

    def branch(self, number: int, outcome: bool) -> int:
        """The place of a branch's mark."""
        return self._place(self._branches, (number, outcome))

    def _place(self, places: dict[Any, int], key: Any) -> int:
        if key not in places:
            places[key] = len(self._passed)
            self._passed.append(0)
        return places[key]

    def reset(self) -> None:
        """Forget what was passed while the module was run."""
        self._passed[:] = [0] * len(self._passed)

    def found(self) -> dict[str, Any]:
        """Lines and branches that were passed, and that there are."""
        lines, branches = self._lines.values(), self._branches.values()
        return {
            "lines": [sum(self._passed[place] for place in lines), len(lines)],
            "branches": [sum(self._passed[place] for place in branches), len(branches)],
            "missed": sorted(line for line, place in self._lines.items() if not self._passed[place]),
        }


def marked(source: str, function: str, marks: Marks) -> ast.Module:
    """The module with marks in a function, in a method, or in all methods of a class."""
    tree = ast.parse(source)
    marker = _Marker(marks)
    for node in functions(tree, function):
        node.body = marker.block(node.body, documented=True)
    return ast.fix_missing_locations(tree)


def functions(tree: ast.Module, name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """What `function`, `Class.method` or `Class` names: definitions at the top of a module or of a class in it."""
    first, _, rest = name.partition(".")
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == first:
            inner = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            found += [one for one in inner if not rest or one.name == rest]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            found.append(node)
    return found


class _Marker(ast.NodeTransformer):
    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._number = 0

    def _mark(self, mark: int, place: ast.AST) -> ast.stmt:
        target = ast.Subscript(ast.Name(_PASSED, ast.Load()), ast.Constant(mark), ast.Store())
        return ast.fix_missing_locations(ast.copy_location(ast.Assign([target], ast.Constant(1)), place))

    def _outcomes(self, node: ast.If | ast.While | ast.For | ast.AsyncFor) -> None:
        """Mark both ways out of a statement: its body, and what comes where that is not entered (again)."""
        number = self._next()
        node.body.insert(0, self._mark(self._marks.branch(number, True), node))
        node.orelse.insert(0, self._mark(self._marks.branch(number, False), node))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def block(self, body: list[ast.stmt], *, documented: bool = False) -> list[ast.stmt]:
        """Statements with a mark before each."""
        made: list[ast.stmt] = []
        for place, node in enumerate(body):
            if documented and place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                made.append(node)
                continue
            made += [self._mark(self._marks.line(node.lineno), node), self._statement(node)]
        return made

    def _statement(self, node: ast.stmt) -> ast.stmt:
        documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                inner = getattr(part, field, None)
                if isinstance(inner, list) and inner:
                    setattr(part, field, self.block(inner, documented=documented and field == "body"))
        if isinstance(node, ast.For | ast.AsyncFor) or (
            isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant)
        ):
            self._outcomes(node)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                case.body.insert(0, self._mark(self._marks.branch(self._next(), True), node))
        # The bodies are done: only what the statement itself evaluates is left.
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self.visit(value))
            elif isinstance(value, list) and name not in ("body", "orelse", "finalbody", "handlers", "cases"):
                setattr(node, name, [self.visit(item) if isinstance(item, ast.AST) else item for item in value])
        return node

    def _condition(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.Constant):
            return test
        number = self._next()
        for outcome in (True, False):
            self._marks.branch(number, outcome)
        call = ast.Call(ast.Name(_BRANCH, ast.Load()), [ast.Constant(number), test], [])
        return ast.fix_missing_locations(ast.copy_location(call, test))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """A conditional expression."""
        self.generic_visit(node)
        node.test = self._condition(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        """The filters of a comprehension."""
        self.generic_visit(node)
        node.ifs = [self._condition(test) for test in node.ifs]
        return node
