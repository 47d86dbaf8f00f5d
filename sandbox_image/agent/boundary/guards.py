"""Assertions that a condition, a loop, a handler or an early end keeps a test from coming to.

`if r is not None: assert r == 9` passes where `r` is None, and `for a, b in zip(r, want): assert a == b` where `r` is empty. So
what an assertion stands under is noted when a test comes to it, and so is each assertion that is made. If none was made under
it in the whole test, and it hangs on the candidate (`unreached.py`), the test rests on its word. A loop in which no assertion
stands may gather what one decides by (`if a != b: return False`, `bad += 1`): it must have been entered. So must a comprehension
that leaves something out, or that is summed up (`sum(x > 9 for x in r)`); any other is as long as what it goes over.

Left out: what stands in one assertion (`evidence.py`), and assertions made for some of several values only.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Collection
from typing import Any

from ..light_tests import COMPOUND, REDUCTIONS, Definition, has_assertions, is_check, is_written_out, last_name

Guard = tuple[int, int, str]
"""Line and column of a statement, and what must be come to: an assertion in it or after it, or a turn (`in`, `after`, `turn`).

Of a comprehension they are its own, and it must have an `item`.
"""
DUE, CAME, TURN = "@due", "@came", "@turn"
"""What marked tests call: with a guard that they come to, with all those of an assertion that was made, with that of a turn."""
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
_CHOOSING = (ast.BoolOp, ast.IfExp, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
"""Expressions that may leave out a part of them."""
_FOR = re.compile(r" for (?=.*\bin\b)")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CHECKS = ("raises", "warns", "assertRaises", "assertRaisesRegex", "assertWarns", "assertLogs")
"""What asserts as a context manager."""


def marked(statements: list[ast.stmt], source: str, functions: Collection[str] = ()) -> list[ast.stmt]:
    """Statements of `source`, tests, that say which guards and assertions they come to. `functions` are names of their own."""
    marks = _Marks(functions, statements)
    made = marks.block(statements)
    if len(_FOR.findall(source.replace("\t", " "))) > marks.loops:  # to look at each expression costs more than all the rest
        items = _Items()
        made = [items.visit(one) for one in made]
    return made


def stands_at(node: ast.AST, guard: Guard) -> bool:
    """Whether a guard is this statement, or this comprehension."""
    kinds: Any = _Comprehension if guard[2] == "item" else ast.stmt
    return isinstance(node, kinds) and (node.lineno, node.col_offset) == guard[:2]


def may_skip(node: ast.stmt) -> bool:
    """Whether what stands in a statement may be left out by what the tests are given."""
    if isinstance(node, ast.If | ast.While):
        return not isinstance(node.test, ast.Constant)
    if isinstance(node, ast.For | ast.AsyncFor):
        return not _is_fixed(node.iter)
    if isinstance(node, ast.With | ast.AsyncWith):
        return any(last_name(item.context_expr) == "suppress" for item in node.items)
    return isinstance(node, ast.Match) or (isinstance(node, ast.Try | ast.TryStar) and bool(node.handlers))


def decided_by(node: ast.AST, guard: Guard) -> list[ast.AST]:
    """What decides whether the assertions under a guard are come to, which is what stands at its place."""
    if isinstance(node, _Comprehension):
        *outer, _ = node.generators
        return [*(one.iter for one in node.generators), *(condition for one in outer for condition in one.ifs)]
    if guard[2] == "after" or isinstance(node, ast.Match):
        return [node]
    if isinstance(node, ast.Expr | ast.Assign | ast.Return):
        return [part for one in ast.walk(node) for part in _choosing(one)]
    if isinstance(node, ast.If | ast.While):
        return [node.test]
    return [node.iter] if isinstance(node, ast.For | ast.AsyncFor) else list(getattr(node, "body", ()))


def _choosing(node: ast.AST) -> list[ast.AST]:
    """What decides which parts of an expression are worked out."""
    if isinstance(node, ast.BoolOp):
        return list(node.values[:-1])
    return [node.test] if isinstance(node, ast.IfExp) else list(getattr(node, "generators", ()))


def may_leave(node: ast.AST, *, in_loop: bool = False) -> bool:
    """Whether what follows a statement in its block may be left out by a `return`, `break` or `continue` in it."""
    in_loop = in_loop or isinstance(node, _LOOPS)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Return) or (isinstance(child, ast.Break | ast.Continue) and not in_loop):
            return True
        inside = isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and not isinstance(child, _SCOPES)
        if inside and may_leave(child, in_loop=in_loop):
            return True
    return False


class _Marks:
    """Marks one function after the other."""

    def __init__(self, functions: Collection[str], statements: list[ast.stmt]) -> None:
        self._functions, self._statements = set(functions), statements
        self._open: list[Guard] = []
        """The guards of the statement that is being read."""
        self._count = 0
        """Assertions found so far in the function that is being read."""
        self.loops = 0
        """Loops so far that are statements and stand behind a space."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Mark a block."""
        made: list[ast.stmt] = []
        outside, leaving = len(self._open), list[tuple[int, Guard, int]]()
        for node in statements:
            self.loops += isinstance(node, ast.AsyncFor) or (isinstance(node, ast.For) and node.col_offset > 0)
            if isinstance(node, _SCOPES):
                self._scope(node)
                made.append(node)
                continue
            asserts = self._asserts(node)
            came = [_mark(CAME, tuple(self._open), node)] if asserts and self._open else []
            decides = isinstance(node, ast.If | ast.While | ast.Match)
            made += [*self._calls(node), *(came if decides else [])]
            place, self._count = len(made), self._count + asserts
            if not isinstance(node, COMPOUND):
                made += [node, *came]
                continue
            guards = self._inside(node, made)
            made += [node, *([] if decides else came)]
            if may_leave(node):
                after = guards[0] if guards and not isinstance(node, _LOOPS) else (node.lineno, node.col_offset, "after")
                self._open.append(after)
                leaving.append((place, after, self._count))
        for place, guard, count in reversed(leaving):
            if self._count > count:
                made.insert(place, _mark(DUE, guard, made[place]))
        del self._open[outside:]
        return made

    def _inside(self, node: ast.stmt, made: list[ast.stmt]) -> list[Guard]:
        """Mark the blocks of a statement. Returns the guard that it is."""
        guards: list[Guard] = [(node.lineno, node.col_offset, "in")] if may_skip(node) else []
        count, outside, asserting = self._count, len(self._open), False
        self._open += guards
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                block = getattr(part, field, None)
                if isinstance(block, list):
                    setattr(part, field, self.block(block))
                    asserting |= field == "body" and self._count > count
        del self._open[outside:]
        made += [_mark(DUE, guard, node) for guard in guards if self._count > count]
        if guards and isinstance(node, _LOOPS) and not asserting:
            turn = (node.lineno, node.col_offset, "turn")
            made.append(_mark(DUE, turn, node))
            node.body.insert(0, _mark(TURN, turn, node.body[0]))
        return guards

    def _scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._functions.add(node.name)
        outer, self._open, self._count = (self._open, self._count), [], 0
        node.body = self.block(node.body)
        self._open, self._count = outer

    @functools.cached_property
    def _asserting(self) -> frozenset[str]:
        """Names of the tests' own functions that assert something themselves."""
        found = (one for part in self._statements for one in ast.walk(part) if isinstance(one, Definition))
        return frozenset(one.name for one in found if has_assertions(one))

    def _calls(self, node: ast.stmt) -> list[ast.stmt]:
        """Mark calls of functions that assert inside of an expression that may leave them out: `r is None or check(r, 9)`."""
        value = node.value if isinstance(node, ast.Expr | ast.Assign | ast.Return) else None
        parts = [value, *value.args] if isinstance(value, ast.Call) else [value]
        if not any(isinstance(one, _CHOOSING) for one in parts):
            return []
        guard = (node.lineno, node.col_offset, "turn")
        marks = _Calls(self._asserting, guard)
        marks.visit(node)
        return [_mark(DUE, guard, node)] if marks.found else []

    def _asserts(self, node: ast.stmt) -> bool:
        """Whether a statement asserts something, or calls a function of the tests' own that may."""
        if isinstance(node, ast.Assert):
            return not isinstance(node.test, ast.Constant)
        if isinstance(node, ast.With | ast.AsyncWith):
            return any(last_name(item.context_expr) in _CHECKS for item in node.items)
        value = node.value if isinstance(node, ast.Expr | ast.Assign) else None
        value = value.value if isinstance(value, ast.Await) else value
        if not isinstance(value, ast.Call):
            return is_check(node)
        if isinstance(node, ast.Assign):
            return last_name(value) in self._functions and last_name(value) in self._asserting
        name = last_name(value)
        return name.startswith("assert") or name in _CHECKS or name in self._functions


class _Calls(ast.NodeTransformer):
    """Has a guard's turn noted before each call of one of some functions."""

    def __init__(self, functions: Collection[str], guard: Guard) -> None:
        self._functions, self._guard, self.found = functions, guard, False

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if last_name(node) not in self._functions:
            return node
        self.found = True
        turn = _mark(TURN, self._guard, node).value  # it is None
        return ast.copy_location(ast.BoolOp(ast.Or(), [turn, node]), node)


class _Items(ast.NodeTransformer):
    """Has it noted that a comprehension is come to, and that it has an item to look at."""

    def __init__(self) -> None:
        self._summed: set[int] = set()
        """The `id` of what is summed up."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if last_name(node) in REDUCTIONS:
            self._summed.update(map(id, node.args))
        self.generic_visit(node)
        return node

    def _noted(self, node: _Comprehension) -> ast.expr:
        self.generic_visit(node)
        first, last = node.generators[0], node.generators[-1]
        counts = id(node) in self._summed or any(one.ifs for one in node.generators)
        if counts and not all(_is_fixed(one.iter) for one in node.generators):
            guard = (node.lineno, node.col_offset, "item")
            due, item = (_mark(name, guard, node).value for name in (DUE, TURN))  # both are None
            first.iter = ast.copy_location(ast.BoolOp(ast.Or(), [due, first.iter]), first.iter)
            last.ifs.insert(0, ast.copy_location(ast.UnaryOp(ast.Not(), item), node))
        return node

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _noted


def _mark(name: str, told: Any, node: ast.stmt | ast.expr) -> ast.Expr:
    place: Any = {
        "lineno": node.lineno,
        "col_offset": node.col_offset,
        "end_lineno": node.lineno,
        "end_col_offset": node.col_offset,
    }
    call = ast.Call(ast.Name(name, ast.Load(), **place), [ast.Constant(told, **place)], [], **place)
    return ast.Expr(call, **place)


def _is_fixed(node: ast.expr) -> bool:
    """Whether what a loop goes over is written out: it has items."""
    if isinstance(node, ast.Call) and last_name(node) in ("range", "enumerate"):
        return all(map(_is_fixed, node.args)) and not node.keywords
    return is_written_out(node)
