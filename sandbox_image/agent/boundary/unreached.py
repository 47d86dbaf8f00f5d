"""Assertions that an error kept from being reached, where it was the candidate that ended the error.

A context manager, a callback's caller or a generator of the candidate's may end an error that passes through the tests. Where an
assertion was begun when it was raised, or stood next in the block that it left, that assertion has not been made, and the test
fails unless the block is run to its end later. What only marks a place that must not be reached (`assert False`, `pytest.fail()`)
is no such assertion, unless a condition stands before it; and an error that the tests themselves raise with `raise` is theirs.

Left out: failed assertions, which go on whatever ends them (`findings.py`).
"""

from __future__ import annotations

import ast
import functools
import sys
import types
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from ..light_tests import Definition, raises_failure
from .exceptions import marked

_CHECKS = ("raises", "warns", "deprecated_call")
"""What asserts beside `assert...`."""
_EXPRESSIONS = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_SHOWN = 300
_Place = tuple[int, int]
"""Line and column."""


class _Left(NamedTuple):
    block: Hashable
    error: BaseException
    what: str


class Unreached:
    """What the test that runs has not come to, by the candidate's doing."""

    def __init__(self, tests: str, path: str) -> None:
        self._tests, self._path = tests, path
        self._left: list[_Left] = []

    def __len__(self) -> int:
        """How many errors the candidate has ended that were its own, or left out an assertion."""
        return len(self._left)

    @property
    def message(self) -> str:
        """Which assertion was not reached; empty where all were."""
        what = next((one.what for one in self._left if one.what), "")
        return f"An assertion was not reached, for an error before it was ended: {what}" if what else ""

    def begin(self) -> None:
        """A test begins."""
        self._left.clear()

    def ended(self, error: BaseException, block: Hashable) -> None:
        """The candidate has ended an error, or is about to, that left a block of the tests'."""
        what = self._what(error)
        if what or marked(error) is not None:
            self._left.append(_Left(block, error, what))

    def silenced(self, error: BaseException) -> None:
        """An error has ended a thread or a task of the tests' and nobody asks for it, or the candidate raises another instead."""
        if what := self._what(error):
            self._left.append(_Left(None, error, what))

    def reached(self, block: Hashable) -> None:
        """A block was run to its end."""
        if self._left:
            self._left = [one for one in self._left if one.block != block]

    def came_back(self, error: BaseException) -> None:
        """An error was not ended after all."""
        for block in [one.block for one in self._left if one.error is error]:
            self.reached(block)

    def forget(self, count: int) -> None:
        """What came after the first `count` only counts if it left out an assertion: what the candidate was asked for failed."""
        self._left[count:] = [one for one in self._left[count:] if one.what]

    def block(self) -> Hashable:
        """The statement of the tests that runs now: file, function and line."""
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self._path:
            frame = frame.f_back
        return None if frame is None else (frame.f_code, frame.f_lineno)

    # What an error left out

    def _what(self, error: BaseException) -> str:
        running: dict[int, int] = {}
        frame: Any = sys._getframe(2)
        while frame is not None:
            running[id(frame)] = frame.f_lineno
            frame = frame.f_back
        traces = [trace for trace in _traces(error) if trace.tb_frame.f_code.co_filename == self._path]
        if not traces or (marked(error) is None and self._is_own(traces[-1])):
            return ""
        for trace in traces:
            for node in self._left_by(trace, running.get(id(trace.tb_frame))):
                if (what := self._check_in(node)) is not None:
                    return ast.unparse(what).partition("\n")[0][:_SHOWN]
        return ""

    def _is_own(self, trace: types.TracebackType) -> bool:
        """Whether the tests raise here with `raise`."""
        place = _place(trace)
        return any(isinstance(node, ast.Raise) and _holds(node, place) for node in self._nodes)

    def _left_by(self, trace: types.TracebackType, line: int | None) -> list[ast.AST]:
        """What is left out in one frame: of a `with` that ends at `line` where it still runs, else of all that it had to do."""
        place, code = _place(trace), trace.tb_frame.f_code
        if line is not None:
            held = (node for node in self._nodes if isinstance(node, ast.With | ast.AsyncWith) and _is_headed(node, line))
            ended = next((node for node in held if _in_block(node.body, place)), None)
            return _after(ended.body, place) if ended else []
        if code.co_name.startswith("<") and code.co_name != "<module>":
            inside = [node for node in self._nodes if isinstance(node, _EXPRESSIONS) and _holds(node, place)]
            return [inside[-1]] if inside else []
        functions = [n for n in self._nodes if isinstance(n, Definition) and n.name == code.co_name and _holds(n, place)]
        return _after(functions[-1].body if functions else self._tree.body, place)

    def _check_in(self, node: ast.AST) -> ast.AST | None:
        """An assertion in what was left out. What is defined in it is not called yet."""
        for inner in _walk(node):
            if isinstance(inner, ast.Assert) and not isinstance(inner.test, ast.Constant):
                return inner
            if isinstance(inner, ast.Call) and (_asserts(inner) or _called(inner) in self._checking):
                return inner
            if isinstance(inner, ast.If | ast.While) and any(_is_mark(one) for part in inner.body for one in _walk(part)):
                return inner
        return None

    @functools.cached_property
    def _tree(self) -> ast.Module:
        """As the tests are written: what is compiled has assertions taken apart."""
        return ast.parse(self._tests)

    @functools.cached_property
    def _nodes(self) -> list[ast.AST]:
        return list(ast.walk(self._tree))

    @functools.cached_property
    def _checking(self) -> frozenset[str]:
        """Functions of the tests' with assertions in them, or in those that they call."""
        found: frozenset[str] = frozenset()
        functions = [node for node in self._nodes if isinstance(node, Definition)]
        while True:
            self.__dict__["_checking"] = found
            more = frozenset(node.name for node in functions if any(self._check_in(part) is not None for part in node.body))
            if more <= found:
                return found
            found |= more


def _traces(error: BaseException) -> Iterator[types.TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _place(trace: types.TracebackType) -> _Place:
    """Where in its source a frame was left."""
    positions = list(trace.tb_frame.f_code.co_positions())
    line, _, column, _ = positions[trace.tb_lasti // 2]
    return (line, column) if line is not None and column is not None else (trace.tb_lineno, 0)


def _holds(node: Any, place: _Place) -> bool:
    return (node.lineno, node.col_offset) <= place < (node.end_lineno, node.end_col_offset)


def _in_block(block: list[ast.stmt], place: _Place) -> bool:
    first, last = block[0], block[-1]
    return (first.lineno, first.col_offset) <= place < (last.end_lineno or last.lineno, last.end_col_offset or sys.maxsize)


def _is_headed(node: ast.With | ast.AsyncWith, line: int) -> bool:
    return node.lineno <= line <= (node.items[-1].context_expr.end_lineno or node.lineno)


def _after(block: list[ast.stmt], place: _Place) -> list[ast.AST]:
    """What of a block is left out by an error at a place in it: the statement that was begun, and those that follow it."""
    for number, node in enumerate(block):
        if not _holds(node, place):
            continue
        rest: list[ast.AST] = list(block[number + 1 :])
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                inner = getattr(part, field, None)
                if isinstance(inner, list) and inner and _in_block(inner, place):
                    return [*_after(inner, place), *_around(node, field, part is node), *rest]
        return [node, *rest]
    return []


def _around(node: ast.stmt, field: str, own: bool) -> list[ast.AST]:
    """What else of a statement is left out where its block is left."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.While):
        return [*node.body, *node.orelse]
    if isinstance(node, ast.With | ast.AsyncWith):
        return [item.context_expr for item in node.items]
    if isinstance(node, ast.Try) and own and field == "body":
        return list(node.orelse)
    return []


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those in it, but for what functions and classes in it consist of."""
    todo = [node]
    while todo:
        inner = todo.pop(0)
        if isinstance(inner, Definition | ast.ClassDef):
            continue
        yield inner
        todo += ast.iter_child_nodes(inner)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _asserts(node: ast.Call) -> bool:
    name = _called(node)
    return name.startswith("assert") or name in _CHECKS


def _is_mark(node: ast.AST) -> bool:
    """Whether a place is marked as one that must not be reached."""
    if isinstance(node, ast.Raise):
        return raises_failure(node)
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _called(node) == "fail")
