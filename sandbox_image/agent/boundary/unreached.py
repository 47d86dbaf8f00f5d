"""Assertions that an error kept from being reached, where it was the candidate that ended the error.

A context manager, a callback's caller or a generator of the candidate's may end an error that passes through the tests, or raise
another in its place. Where an assertion was begun when it was raised, or stood next in the block that it left, that assertion has
not been made, and the test fails, whoever's error it was: the candidate's plain data raises a KeyError in the tests. What only
marks a place that must not be reached (`assert False`, `pytest.fail()`) is no such assertion, unless a condition stands before
it. An error that the tests raise with `raise` is theirs, where nothing that the candidate gave decides whether they come to it,
and so is one whose class they name where they ask for the context manager.

Left out: failed assertions, which go on whatever ends them (`findings.py`).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

from ..light_tests import Definition, last_name, raises_failure
from .exceptions import marked
from .guards import Guard, decided_by, stands_at
from .mocks import is_mock
from .sides import Scope, Sides

_CHECKS = ("raises", "warns", "deprecated_call")
"""What asserts beside `assert...`."""
_EXPRESSIONS = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_CONDITIONS = (ast.If, ast.While, ast.Match, ast.IfExp, ast.BoolOp)
_LEAVING = (ast.Return, ast.Break, ast.Continue)
_HOLDING = frozenset(("builtins", "collections", "functools", "itertools", "operator"))
"""Modules of classes whose objects may hold functions, and call them."""
_FOLLOWED = 500
"""Objects that are looked at behind one that was handed to the candidate."""
_SHOWN = 300
_NOTHING = contextlib.nullcontext()
_Place = tuple[int, int]
"""Line and column."""


class Unreached:
    """What the test that runs has not come to, by the candidate's doing."""

    def __init__(self, sides: Sides, path: str) -> None:
        self._sides, self._path = sides, path
        self._known: dict[tuple[Any, ...], str] = {}
        self._hanging: dict[Guard, bool] = {}
        self._left: list[tuple[str, int]] = []
        """For each error that counts the assertion that it left out, or an empty text, and the error's `id`."""

    def __len__(self) -> int:
        """How many errors the candidate has ended that were its own, or left out an assertion."""
        return len(self._left)

    @property
    def message(self) -> str:
        """Which assertion was not reached; empty where all were."""
        what = next((what for what, _ in self._left if what), "")
        return f"An assertion was not reached, by the candidate's doing: {what}" if what else ""

    def begin(self) -> None:
        """A test begins."""
        self._left.clear()

    def ended(self, error: BaseException) -> None:
        """The candidate ended an error that left a block of the tests', or is about to; or it ended a thread that nobody asks."""
        what = self._what(error)
        if what or marked(error) is not None:
            self._left.append((what, id(error)))

    def leaves_out(self, error: BaseException) -> bool:
        """Whether an error left out an assertion."""
        return bool(self._what(error))

    def before(self, frames: list[types.FrameType]) -> str:
        """The assertion that functions which wait for the candidate were begun with or have still to come to, if any."""
        traces = [types.TracebackType(None, frame, frame.f_lasti, frame.f_lineno) for frame in frames]
        own = [trace for trace in traces if trace.tb_frame.f_code.co_filename == self._path]
        checks = (self._check_in(node) for trace in own for node in self._left_by(trace, None, None))
        found = next((check for check in checks if check is not None), None)
        return "" if found is None else _text(found)

    def abandoned(self, what: str) -> None:
        """An assertion is never come to, for its function still waited for the candidate at the end."""
        self._left.append((what, 0))

    def replacing(self, error: BaseException | None) -> contextlib.AbstractContextManager[None]:
        """The candidate is asked what becomes of an error. What that left out stays left out where another takes its place."""
        return _NOTHING if error is None else self._replacing(error)

    @contextlib.contextmanager
    def _replacing(self, error: BaseException) -> Iterator[None]:
        try:
            yield
        except BaseException as other:
            if other is not error and (what := self._what(error)):
                self._left.append((what, id(error)))
            raise

    def failed(self, count: int, by: BaseException) -> None:
        """What the candidate was asked for failed as a whole: after the first `count` it has ended none that it passed on."""
        self._left[count:] = [(what, error) for what, error in self._left[count:] if what and error != id(by)]

    def passed_on(self, error: BaseException) -> None:
        """The candidate passed on an error that it was told of before."""
        self._left = [(what, one) for what, one in self._left if one != id(error)]

    def is_certain(self, error: BaseException) -> bool:
        """Whether the tests come to where this was raised, whatever the candidate gave."""
        return self._are_certain(*map(_place, self._own_traces(error)))

    def hang(self, guards: set[Guard]) -> bool:
        """Whether any of these, under which a test has made no assertion, is one by what the candidate gave."""
        return any(map(self._hangs, sorted(guards)))

    def _hangs(self, guard: Guard) -> bool:
        if guard not in self._hanging:
            place = guard[:2]
            found = (node for node in self._nodes if stands_at(node, guard))
            scopes = self._scopes_of(place)
            parts = (part for node in found for part in decided_by(node, guard))
            given = _given_to([node for node in self._nodes if isinstance(node, ast.Lambda) and _holds(node, place)])
            self._hanging[guard] = any(self._sides.decides(scopes, part, given) for part in parts)
        return self._hanging[guard]

    def passes_theirs(self) -> bool:
        """Whether what the tests pass where they stand may hang on what the candidate gave."""
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self._path:
            frame = frame.f_back
        if frame is None:
            return True
        place = _place(types.TracebackType(None, frame, frame.f_lasti, frame.f_lineno))
        calls = [node for node in self._nodes if isinstance(node, ast.Call) and (node.lineno, node.col_offset) == place]
        given = [one for call in calls for one in (*call.args, *(word.value for word in call.keywords))]
        return not calls or any(map(self._sides.leads, given))

    def asserts(self, value: Any) -> bool:
        """Whether a function or a generator of the tests' asserts anything, or what calls one: a wrapper, an iterator."""
        todo, seen = [value], dict[int, Any]()
        while todo and len(seen) < _FOLLOWED:
            one = todo.pop()
            if id(one) not in seen:
                seen[id(one)] = one
                if self._has_assertion(one):
                    return True
                todo += _called_by(one)
        return False

    def _has_assertion(self, value: Any) -> bool:
        code = getattr(value, "gi_code", None) if isinstance(value, types.GeneratorType) else _code(value)
        if code is None or code.co_filename != self._path:
            return False
        for node in self._nodes:
            if isinstance(node, Definition) and node.name == code.co_name:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                if first == code.co_firstlineno and any(map(self._judges, node.body)):
                    return True
            elif isinstance(node, _EXPRESSIONS) and node.lineno == code.co_firstlineno and self._check_in(node) is not None:
                return True
        return False

    def _judges(self, part: ast.AST) -> bool:
        """Whether a statement asserts something, or compares what the candidate gives, to note mistakes."""
        asked = (inner.test for inner in _walk(part) if isinstance(inner, ast.If) and isinstance(inner.test, ast.Compare))
        return self._check_in(part) is not None or any(map(self._sides.leads, asked))

    # What an error left out

    def _what(self, error: BaseException) -> str:
        """The assertion that an error left out, looked for once at each place."""
        running: dict[int, int] = {}
        frame: Any = sys._getframe(2)
        while frame is not None:
            running[id(frame)] = frame.f_lineno
            frame = frame.f_back
        traces = self._own_traces(error)
        places = [(trace, running.get(id(trace.tb_frame))) for trace in traces]
        key = type(error), marked(error) is None, *((trace.tb_frame.f_code, trace.tb_lasti, line) for trace, line in places)
        if key not in self._known:
            own = not traces or (marked(error) is None and self._is_own(traces))
            left = () if own else (node for trace, line in places for node in self._left_by(trace, line, error))
            found = next((what for node in left if (what := self._check_in(node)) is not None), None)
            self._known[key] = "" if found is None else _text(found)
        return self._known[key]

    def _own_traces(self, error: BaseException) -> list[types.TracebackType]:
        return [trace for trace in _traces(error) if trace.tb_frame.f_code.co_filename == self._path]

    def _is_own(self, traces: list[types.TracebackType]) -> bool:
        """Whether the tests raise here with `raise`, and nothing that the candidate gave decides whether they come to it."""
        *calls, last = map(_place, traces)
        around = [node for node in self._nodes if isinstance(node, ast.stmt) and _holds(node, last)]
        if not around or not isinstance(around[-1], ast.Raise):
            return False
        return self._are_certain(*calls, last)

    def _are_certain(self, *places: _Place) -> bool:
        """Whether the tests come to the last of these places, by calls in those before it, whatever the candidate gave."""
        return all(map(self._is_certain, places)) and not any(map(self._is_chosen, places[:-1]))

    def _is_certain(self, place: _Place) -> bool:
        """Whether the tests come to a place, once they are in its function, whatever the candidate gave."""
        scopes = self._scopes_of(place)
        inside = [
            node for node in ast.walk(scopes[-1]) if node is not scopes[-1] and hasattr(node, "lineno") and _holds(node, place)
        ]
        given = _given_to(inside)
        deciding = [part for node in (scopes[-1], *inside) for part in _deciding(node, place)]
        return not any(self._sides.decides(scopes, part, given) for part in deciding)

    def _is_chosen(self, place: _Place) -> bool:
        """Whether what is called at a place is the candidate's, or one of its values chooses it, or whether it is called."""
        found: list[ast.AST] = [
            node for node in self._nodes if isinstance(node, ast.expr) and (node.lineno, node.col_offset) == place
        ]
        calls = [node for node in found if isinstance(node, ast.Call)]
        around = [node for node in self._nodes if isinstance(node, ast.stmt) and _holds(node, place)]
        scopes = self._scopes_of(place)
        for node in calls or found or around[-1:]:
            called = node.func if isinstance(node, ast.Call) and last_name(node) in self._defined else node
            is_own = isinstance(called, ast.Name) and called is not node and not self._sides.is_foreign(called.id)
            if not is_own and self._sides.decides(scopes, called, ()):
                return True
        return False

    @functools.cached_property
    def _defined(self) -> frozenset[str]:
        """Names of the functions and classes of this file, where they stand for nothing else."""
        stored = {node.id for node in self._nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        return frozenset(node.name for node in self._nodes if isinstance(node, Definition | ast.ClassDef)) - stored

    def _scopes_of(self, place: _Place) -> list[Scope]:
        """The functions that have a place in them, the innermost last, or the module."""
        return [self._tree, *(node for node in self._nodes if isinstance(node, Definition) and _holds(node, place))]

    def _left_by(self, trace: types.TracebackType, line: int | None, error: BaseException | None) -> list[ast.AST]:
        """What is left out in one frame: of a `with` that ends at `line` where it still runs, else of all that it had to do."""
        place, code = _place(trace), trace.tb_frame.f_code
        if line is not None:
            held = (node for node in self._nodes if isinstance(node, ast.With | ast.AsyncWith) and _is_headed(node, line))
            ended = next((node for node in held if _in_block(node.body, place)), None)
            return _after(ended.body, place) if ended and not (error and _waits_for(ended, error)) else []
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
            if isinstance(inner, ast.Call) and (_asserts(inner) or last_name(inner) in self._checking):
                return inner
            if isinstance(inner, _CONDITIONS) and any(map(_is_mark, _walk(inner))):
                return inner
            if isinstance(inner, ast.If | ast.While) and self._raises_by_an_answer(inner):
                return inner
        return None

    def _raises_by_an_answer(self, node: ast.If | ast.While) -> bool:
        if not any(isinstance(inner, ast.Raise) for inner in _walk(node)):
            return False
        return self._sides.leads(node.test)

    @property
    def _tree(self) -> ast.Module:
        return self._sides.tree

    @functools.cached_property
    def _nodes(self) -> list[ast.AST]:
        return list(ast.walk(self._tree))

    @functools.cached_property
    def _checking(self) -> frozenset[str]:
        """Names of what has assertions in it: functions, classes, and what is made of them."""
        found: frozenset[str] = frozenset()
        kinds = [node for node in self._nodes if isinstance(node, Definition | ast.ClassDef)]
        made = [node for node in self._nodes if isinstance(node, ast.Assign)]
        while True:
            self.__dict__["_checking"] = found
            more = {node.name for node in kinds if any(self._has_check(part) for part in node.body)}
            for node in made:
                if any(_is_named(inner, found) for inner in ast.walk(node.value)):
                    more.update(target.id for target in node.targets if isinstance(target, ast.Name))
            if more <= found:
                return found
            found |= more

    def _has_check(self, node: ast.stmt) -> bool:
        inner = node.body if isinstance(node, Definition) else [node]  # a method, in the body of a class
        return any(self._check_in(part) is not None for part in inner)


def _code(value: Any) -> Any:
    """The code that runs where this is called: of a function, a method, a coroutine, or an object whose class has `__call__`."""
    if isinstance(value, types.FunctionType | types.MethodType):
        return value.__code__
    if isinstance(value, types.CoroutineType):
        return value.cr_code
    return getattr(type(value).__dict__.get("__call__"), "__code__", None)


def _called_by(value: Any) -> list[Any]:
    """What something may call: what a function closes over, and what an object of Python's or of its libraries holds."""
    if isinstance(value, types.FunctionType):
        cells = [cell for cell in value.__closure__ or () if cell != types.CellType()]
        return [*(cell.cell_contents for cell in cells), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    if is_mock(value):
        return [value.__dict__.get("_mock_side_effect")]
    if isinstance(value, type | types.ModuleType | types.CodeType) or type(value).__module__ not in _HOLDING:
        return []
    return gc.get_referents(value)


def _given_to(nodes: list[ast.AST]) -> set[str]:
    """What the functions without a name among some nodes are passed."""
    lambdas = (node for node in nodes if isinstance(node, ast.Lambda))
    return {one.arg for node in lambdas for one in ast.walk(node.args) if isinstance(one, ast.arg)}


def _text(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0][:_SHOWN]


def _is_named(node: ast.AST, names: frozenset[str]) -> bool:
    """Whether this names something that asserts: `check`, or `self.assertEqual`."""
    if isinstance(node, ast.Attribute):
        return node.attr.startswith("assert")
    return isinstance(node, ast.Name) and node.id in names


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


def _waits_for(node: ast.With | ast.AsyncWith, error: BaseException) -> bool:
    """Whether the tests name the error's class where they ask for the context manager: `with ignored(ValueError)`."""
    kinds = {kind.__name__ for kind in type(error).__mro__ if issubclass(kind, BaseException)}
    calls = (item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call))
    given = (part for call in calls for one in (*call.args, *call.keywords) for part in ast.walk(one))
    return any(getattr(part, "id", getattr(part, "attr", "")) in kinds for part in given)


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


def _deciding(node: ast.AST, place: _Place) -> Iterator[ast.AST]:
    """What decides in a node whether a place in it is come to: conditions, loops, and what may leave before it."""
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test
    elif isinstance(node, ast.For | ast.AsyncFor):
        yield node.iter
    elif isinstance(node, ast.Match):
        yield from (node.subject, *(case.guard for case in node.cases if case.guard is not None))
    elif isinstance(node, ast.BoolOp) or (isinstance(node, ast.Compare) and len(node.ops) > 1):
        yield node
    elif isinstance(node, ast.Assert) and node.msg is not None and _holds(node.msg, place):
        yield node.test
    elif isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
        yield from node.generators
    elif isinstance(node, ast.Try | ast.TryStar) and not _in_block(node.body, place):
        yield from node.body
    for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(part, field, None)
            if isinstance(block, list) and block and _in_block(block, place):
                before = (inner for inner in block if (inner.end_lineno, inner.end_col_offset) <= place)
                yield from (inner for inner in before if any(isinstance(one, _LEAVING) for one in _walk(inner)))


def _asserts(node: ast.Call) -> bool:
    name = last_name(node)
    return name.startswith("assert") or name in _CHECKS


def _is_mark(node: ast.AST) -> bool:
    """Whether this fails a test by being reached: under a condition it is an assertion written out."""
    if isinstance(node, ast.Raise):
        return raises_failure(node)
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and last_name(node) == "fail")
