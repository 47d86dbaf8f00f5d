"""Runs in a sandbox: which lines and branches of one function were passed.

Marks are put into the function's syntax tree: one before each statement, one around each condition. The tests cannot see or
set them, for they are on the function's side. A line is that on which a statement begins. A branch is one outcome of a condition
(`if`, `while`, conditional expression, filter of a comprehension), of a loop (entered, run to its end), or a `case`.

Left out: the operands of `and` and `or`.
"""

from __future__ import annotations

import ast
from typing import Any

NAME = "@marks"
"""What the marks are called in the marked module: no source can use this name."""


class Marks:
    """What there is to pass, and what was passed."""

    def __init__(self) -> None:
        self.lines: dict[int, bool] = {}
        self.branches: dict[tuple[int, bool], bool] = {}

    def line(self, number: int) -> None:
        """A statement begins."""
        self.lines[number] = True

    def branch(self, number: int, value: Any) -> bool:
        """A condition has this outcome, which is what it is replaced by."""
        outcome = bool(value)
        self.branches[number, outcome] = True
        return outcome

    def reset(self) -> None:
        """Forget what was passed while the module was run."""
        for kept in (self.lines, self.branches):
            for key in kept:
                kept[key] = False  # type: ignore[index]

    def found(self) -> dict[str, Any]:
        """Lines and branches that were passed, and that there are."""
        return {
            "lines": [sum(self.lines.values()), len(self.lines)],
            "branches": [sum(self.branches.values()), len(self.branches)],
            "missed": sorted(line for line, passed in self.lines.items() if not passed),
        }


def marked(source: str, function: str, marks: Marks) -> ast.Module:
    """The module with marks in one of its functions."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            marker = _Marker(marks)
            node.body = marker.block(node.body, documented=True)
    return ast.fix_missing_locations(tree)


class _Marker(ast.NodeTransformer):
    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._number = 0

    def _call(self, method: str, place: ast.AST, *args: ast.expr) -> ast.Call:
        function = ast.Attribute(ast.Name(NAME, ast.Load()), method, ast.Load())
        return ast.fix_missing_locations(ast.copy_location(ast.Call(function, list(args), []), place))

    def _branches(self, *outcomes: bool) -> int:
        self._number += 1
        for outcome in outcomes:
            self._marks.branches[self._number, outcome] = False
        return self._number

    def _passed(self, number: int, outcome: bool, place: ast.AST) -> ast.stmt:
        call = self._call("branch", place, ast.Constant(number), ast.Constant(outcome))
        return ast.copy_location(ast.Expr(call), place)

    def block(self, body: list[ast.stmt], *, documented: bool = False) -> list[ast.stmt]:
        """Statements with a mark before each."""
        made: list[ast.stmt] = []
        for place, node in enumerate(body):
            if documented and place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                made.append(node)
                continue
            self._marks.lines[node.lineno] = False
            mark = ast.copy_location(ast.Expr(self._call("line", node, ast.Constant(node.lineno))), node)
            made += [mark, self._statement(node)]
        return made

    def _statement(self, node: ast.stmt) -> ast.stmt:
        documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                inner = getattr(part, field, None)
                if isinstance(inner, list) and inner:
                    setattr(part, field, self.block(inner, documented=documented and field == "body"))
        if isinstance(node, ast.For | ast.AsyncFor):
            number = self._branches(True, False)
            node.body.insert(0, self._passed(number, True, node))
            node.orelse.insert(0, self._passed(number, False, node))
        elif isinstance(node, ast.Match):
            for case in node.cases:
                case.body.insert(0, self._passed(self._branches(True), True, node))
        # The bodies are done: only what the statement itself evaluates is left.
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self.visit(value))
            elif isinstance(value, list) and name not in ("body", "orelse", "finalbody", "handlers", "cases"):
                setattr(node, name, [self.visit(item) if isinstance(item, ast.AST) else item for item in value])
        if isinstance(node, ast.If | ast.While):
            node.test = self._condition(node.test)
        return node

    def _condition(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.Constant):
            return test
        return self._call("branch", test, ast.Constant(self._branches(True, False)), test)

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
