"""Runs simple tests in milliseconds: HumanEval's `check`, bare asserts, and `test_*` functions that need nothing of pytest.

A failed assertion says its source and the values that were compared, each evaluated once.

Left out: fixtures, parameters, classes, marks. Real pytest runs whatever has them, and names tests alike.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import re
import symtable
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

_MOST_WAYS = 100
_VALUE = 300
"""Characters shown of one value."""
_SYMBOLS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_EXPLAIN, _FAILING, _RUNNING, _DECORATING, _COMPARED = "@explain", "@failing", "@running", "@decorating", "@compared"
_FORMATTING = "@formatting"
_REDUCING = "@reducing"
"""What compiled tests call: no names that source could have."""
_CLASSES = {"type": ("@class", 1), "issubclass": ("@subclass", 2)}
"""What tests ask about classes, how it is asked here, and with how many arguments."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef
Way = tuple[tuple[ast.expr, bool], ...]
"""What is asked together, each with whether the answer must be no."""
_HOOKS = frozenset(
    [
        "setup_module",
        "teardown_module",
        "setup_function",
        "teardown_function",
        "pytest_plugins",
        "pytestmark",
        "load_tests",
        "setUpModule",
        "tearDownModule",
    ]
)
COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
"""Statements with blocks of statements in them, but for definitions."""
_BLOCKS = (*COMPOUND, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ORDERING = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
COMPARING = frozenset(("allclose", "isclose", "array_equal", "array_equiv", "equal", "equals", "eq", "ne"))
"""Calls that compare their first two arguments, beside `assert...`."""
TRUTHS = frozenset(("all", "any", "bool", "assertTrue", "assertFalse"))
"""Calls that ask for the truth of their first argument."""
ASKING = frozenset(("isinstance", "issubclass", "hasattr", "callable"))
"""Calls that ask what their first argument is."""
REDUCTIONS = frozenset(
    (
        *("all", "any", "sum", "nansum", "prod", "nanprod", "count_nonzero", "dot", "vdot", "inner", "norm", "trapezoid"),
        *("max", "min", "amax", "amin", "nanmax", "nanmin", "mean", "nanmean", "median", "average", "std", "var"),
        *("dist", "einsum", "mse_loss", "l1_loss", "is_unique", "is_monotonic_increasing", "is_monotonic_decreasing"),
    )
)
"""Functions and methods of libraries that make one value of many, or of none."""
_REDUCES = re.compile(rf"\.\s*(?:{'|'.join(sorted(REDUCTIONS))})\b")
_OTHER = ("Raises", "raises", "Warns", "warns", "Logs", "Instance", "Regex", "Is")
"""What assertions of something else than two values have in their names."""
_PYTEST = frozenset(("raises", "approx"))
_NEUTRAL = (0, 1, None, "", b"")
_BUILTIN = frozenset(dir(builtins))
_EMPTY = frozenset((ast.Load, ast.Store, ast.Constant))


def kind_of(tree: ast.Module, entry_point: str) -> str:
    """How tests are run: `check`, `functions`, `asserts`, or `pytest` for all that is not simple."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if entry_point and any(node.name == "check" and len(node.args.args) == 1 for node in functions):
        return "check"
    if not _is_simple(tree):
        return "pytest"
    if any(node.name.startswith("test") for node in functions):
        return "functions"
    return "asserts" if Asserts(tree).names else "pytest"


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return isinstance(node, ast.Assert) or any(map(_asserts, (n for n in ast.iter_child_nodes(node) if _has_statements(n))))


def _has_statements(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case)


def _asserting(tree: ast.Module) -> set[str]:
    """The functions of a script that assert something, or call one that does."""
    found: set[str] = set()
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    while more := {node.name for node in functions if node.name not in found and _checks(node, found)}:
        found |= more
    return found


def _checks(node: ast.AST, asserting: set[str]) -> bool:
    return any(isinstance(inner, ast.Assert) or _is_call_of(inner, asserting) for inner in ast.walk(node))


def _is_call_of(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _is_simple(tree: ast.Module) -> bool:
    mentioned: set[int] = set()
    owners: set[int] = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in ("pytest", "_pytest", "unittest") and (alias.asname or "." in alias.name):
                    return alias.name.startswith("unittest.") and alias.name != "unittest.case"
        elif isinstance(node, ast.ImportFrom):
            root = (node.module or "").split(".")[0]
            if root == "_pytest" or (root == "pytest" and not {alias.name for alias in node.names} <= _PYTEST):
                return False
            if node.module == "unittest" and any(alias.name != "mock" for alias in node.names):
                return False
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "pytest" and node.attr not in _PYTEST:
                return False
            if node.value.id == "unittest" and node.attr != "mock":
                return False
            owners.add(id(node.value))
        elif isinstance(node, ast.Name) and node.id in ("pytest", "unittest"):
            mentioned.add(id(node))
    if mentioned - owners:
        return False
    for statement in tree.body:
        for node in _defined(statement):
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                return False
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test"):
                return False
            if isinstance(node, ast.FunctionDef):
                if node.name in _HOOKS or node.name.startswith("pytest_"):
                    return False
                if node.name.startswith("test") and (statement is not node or not _is_light(node)):
                    return False
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
            if names & _HOOKS or any(name.startswith("test") for name in names):
                return False
    return True


def _defined(statement: ast.stmt) -> list[ast.AST]:
    """Definitions at module level, in compound statements too."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement]
    return [node for node in ast.walk(statement) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def _is_light(node: ast.FunctionDef) -> bool:
    args = node.args
    if node.decorator_list or args.args or args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg:
        return False
    return not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))


class _Asserts:
    """Makes assertions keep the values that they compare, and say them where they fail.

    Statements only are looked at, and each new node is given its place when it is made: the tools of `ast` for both walk
    every node several times, which was most of what judging a short test cost.
    """

    def __init__(self, source: str, marked: Mapping[int, str], own: set[str]) -> None:
        self._lines = source.encode("utf-8", "surrogatepass").splitlines(keepends=True)
        self._marked = marked
        self._ways_out: set[int] = set()
        """The `id` of each condition by which a test leaves before it would fail."""
        self._own = own
        """Names of the tests' own functions, and of variables that may hold one, or one of two values, as they are met."""

    def rewrite(self, statements: list[ast.stmt], *, in_class: bool = False) -> list[ast.stmt]:
        """The statements, those inside others included, with assertions taken apart; in a class's own body only its methods."""
        made: list[ast.stmt] = []
        self._ways_out.update(map(id, ways_out(statements)))
        for statement in statements:
            if isinstance(statement, ast.Assert) and not in_class:
                made += self._apart(statement)
                continue
            if isinstance(statement, ast.Raise) and raises_failure(statement):
                made.append(ast.Expr(_call(_FAILING, [], statement), **_place(statement)))
            if isinstance(statement, Definition):
                self._own.add(statement.name)
            elif isinstance(statement, ast.Assign) and _is_followed(statement.value):
                self._own.update(one.id for one in statement.targets if isinstance(one, ast.Name))
            agrees = not in_class and _may_agree(statement, self._own, leaves=id(statement) in self._ways_out)
            made += [_compared(statement), statement] if agrees and _branches(statement) else [statement]
            if agrees and isinstance(statement, ast.Expr | ast.Assign):
                made.append(_compared(statement))
            if not isinstance(statement, _BLOCKS):
                continue
            own = isinstance(statement, ast.ClassDef)  # names of ours would become attributes of it
            for part in (statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                for field in ("body", "orelse", "finalbody"):
                    inner = getattr(part, field, None)
                    if isinstance(inner, list):
                        setattr(part, field, self.rewrite(inner, in_class=own or (in_class and not _is_function(statement))))
            if id(statement) in self._marked and isinstance(statement, Definition):
                running = ast.withitem(_call(_RUNNING, [ast.Constant(id(statement), **_place(statement))], statement), None)
                statement.body = [ast.With([running], statement.body, **_place(statement))]
                if statement.name.startswith("test"):
                    decorators = statement.decorator_list
                    statement.decorator_list = [_call(_DECORATING, [one], statement) for one in decorators]
        return made

    def _apart(self, node: ast.Assert) -> list[ast.stmt]:
        test = node.test
        place = _place(node)
        load, store = ast.Load(), ast.Store()
        made: list[ast.stmt] = []

        def kept(name: str, value: ast.expr) -> ast.expr:
            made.append(ast.Assign([ast.Name(name, store, **place)], value, **place))
            return ast.Name(name, load, **place)

        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            left, right = kept("@left", test.left), kept("@right", test.comparators[0])
            condition: ast.expr = ast.Compare(left, test.ops, [right], **place)
            shown: list[ast.expr] = [ast.Constant(_SYMBOLS[type(test.ops[0])], **place), left, right]
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            value = kept("@value", test.operand)
            condition = ast.UnaryOp(ast.Not(), value, **place)
            shown = [ast.Constant("not", **place), value]
        else:
            value = kept("@value", test)
            condition, shown = value, [ast.Constant("", **place), value]
        source = ast.Constant(self._text(test), **place)
        message = [node.msg] if node.msg is not None else []
        # The first call notes that it failed. Only then its message is worked out, which may raise another error.
        explain = ast.Call(_call(_EXPLAIN, [source, ast.List(shown, load, **place)], node), message, [], **place)
        # What was compared is let go: who still holds a value of the candidate's matters (`boundary/sharing.py`).
        kept_names: list[ast.expr] = [ast.Name(value.id, store, **place) for value in shown[1:] if isinstance(value, ast.Name)]
        forget = ast.Assign(kept_names, ast.Constant(None, **place), **place)
        passed: list[ast.stmt] = [forget]
        if _may_agree(node, self._own):
            passed.append(_compared(node))
        made.append(ast.If(condition, passed, [ast.Raise(explain, None, **place)], **place))
        return made

    def _text(self, node: ast.expr) -> str:
        """The source of an expression."""
        first, last, end = node.lineno - 1, node.end_lineno, node.end_col_offset
        if last is None or end is None or last - 1 >= len(self._lines):
            return ast.unparse(node)
        if first == last - 1:
            return self._lines[first][node.col_offset : end].decode("utf-8", "replace")
        text = ast.unparse(node)
        if "@" not in text:
            return text
        lines = [*self._lines[first : last - 1], self._lines[last - 1][:end]]  # without what was put into it since
        lines[0] = lines[0][node.col_offset :]
        return ast.unparse(ast.parse(f"({b''.join(lines).decode('utf-8', 'replace')})", mode="eval"))


class _Formats(ast.NodeTransformer):
    """Has `x.format` looked at where `x` is no text that is written out."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr not in ("format", "format_map") or not isinstance(node.ctx, ast.Load):
            return node
        if isinstance(node.value, ast.Constant):
            return node
        return _call(_FORMATTING, [node.value, ast.Constant(node.attr, **_place(node))], node)


class _Sums(ast.NodeTransformer):
    """Has `x` looked at in `x.sum` and its like, which is asked for here all the same."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr in REDUCTIONS and isinstance(node.ctx, ast.Load) and not isinstance(node.value, ast.Constant):
            node.value = _call(_REDUCING, [node.value], node.value)
        return node


def _place(node: ast.stmt | ast.expr) -> dict[str, Any]:
    return {
        "lineno": node.lineno,
        "col_offset": node.col_offset,
        "end_lineno": node.end_lineno,
        "end_col_offset": node.end_col_offset,
    }


def _call(name: str, arguments: list[ast.expr], node: ast.stmt | ast.expr) -> ast.Call:
    place = _place(node)
    return ast.Call(ast.Name(name, ast.Load(), **place), arguments, [], **place)


def _compared(node: ast.stmt) -> ast.stmt:
    """What says that an assertion passed in which two values met, neither of them written out."""
    place = [ast.Constant(value, **_place(node)) for value in (node.lineno, node.col_offset)]
    return ast.Expr(_call(_COMPARED, [*place], node), **_place(node))


def _may_agree(node: ast.stmt, own: Collection[str], *, leaves: bool = False) -> bool:
    """Whether a statement asserts something of two values that are not written out. `own` are the tests' own functions."""
    if asked := conditions(node, leaves=leaves):
        return any(_may_meet(one, own) for one in asked) or may_excuse(node, leaves=leaves)
    if isinstance(node, ast.Assign) and own:
        return any(isinstance(one, ast.Call) and last_name(one) in own for one in ast.walk(node.value))
    value = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    if isinstance(value, ast.Call):
        name = last_name(value)
        if name in own:
            return any(_values_in(given, own) for given in (*value.args, *value.keywords))
        return name.startswith("assert") and (_may_meet(value, own) or may_excuse(node))
    return isinstance(value, ast.BoolOp) and last_name(value.values[-1]) == "fail" and _may_meet(value, own)


def _may_meet(node: ast.expr, own: Collection[str]) -> bool:
    """Whether two values meet in an asserted expression, neither of them written out."""
    if isinstance(node, ast.UnaryOp):
        return _may_meet(node.operand, own)
    if isinstance(node, ast.BoolOp):
        return any(_may_meet(value, own) for value in node.values)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _may_meet(node.elt, own)
    if isinstance(node, ast.Call) and node.args and last_name(node) in TRUTHS:
        return _may_meet(node.args[0], own)
    sides = compared_by(node)
    if isinstance(node, ast.Call) and any(_values_in(one, own) for one in tolerances(node)):
        return True
    if any(_is_evidence(side) and not _is_count(side) for side in sides):
        return bool(own) and any(isinstance(side, ast.Name) and side.id in own for side in sides)
    return sum(_values_in(side, own) for side in sides or [node]) > 1


def may_excuse(node: ast.stmt, *, leaves: bool = False) -> bool:
    """Whether a statement asserts what is true in several ways, one of which says no more of a value than `excuse` knows."""
    asked = asserted(node, leaves=leaves)
    found = [ways(one, denied=denied) for one, denied in asked if not isinstance(one, ast.Compare) or _chosen_side(one)]
    return any(len(each) > 1 and any(all(excuse(one) for one, _ in way) for way in each) for each in found)


def asserted(node: ast.stmt, *, leaves: bool = False) -> list[tuple[ast.expr, bool]]:
    """What a statement asserts, and whether that this is false. `leaves` says that it is a way out before a failure."""
    if isinstance(node, ast.Assert):
        return [(node.test, False)]
    if isinstance(node, ast.If):
        fails = [any(map(is_failing, block)) for block in _branches(node)]
        return [(node.test, fails[0] and not leaves)] if leaves or any(fails) else []
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and call.args and last_name(call) in ("assertTrue", "assertFalse"):
        return [(call.args[0], last_name(call) == "assertFalse")]
    return []


def ways(node: ast.expr, *, denied: bool = False) -> list[Way]:
    """The ways in which an expression is true or, `denied`, false.

    It is the disjunctive normal form. Of an expression with more than a hundred ways none is given.
    """
    if (known := _known_truth(node)) is not None:
        return [()] if known != denied else []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ways(node.operand, denied=not denied)
    if isinstance(node, ast.IfExp):
        then = _both(ways(node.test), ways(node.body, denied=denied))
        return then + _both(ways(node.test, denied=True), ways(node.orelse, denied=denied))
    if (chosen := _chosen_side(node)) is not None:
        return ways(chosen, denied=denied)
    parts, is_or = _joined(node)
    if not parts:
        return [((node, denied),)]
    found = [ways(value, denied=denied) for value in parts]
    if is_or != denied:
        return [way for part in found for way in part]
    return functools.reduce(_both, found)


def _joined(node: ast.expr) -> tuple[list[ast.expr], bool]:
    """What is joined by `or` or `and`, or stands for that (`|` of comparisons, `any` of a list); and whether it is `or`."""
    if isinstance(node, ast.BoolOp):
        return node.values, isinstance(node.op, ast.Or)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd):
        sides = [node.left, node.right]
        return (sides if all(map(_is_truth, sides)) else []), isinstance(node.op, ast.BitOr)
    if isinstance(node, ast.Call) and last_name(node) in ("any", "all") and len(node.args) == 1:
        given = node.args[0]
        return (given.elts if isinstance(given, ast.List | ast.Tuple | ast.Set) else []), last_name(node) == "any"
    return [], False


def _is_truth(node: ast.expr) -> bool:
    """Whether this is a comparison, or is made of some."""
    return isinstance(node, ast.Compare) or (isinstance(node, ast.BinOp) and bool(_joined(node)[0]))


def _chosen_side(node: ast.expr) -> ast.expr | None:
    """A comparison one side of which is one of two values, as a choice of two comparisons: `(r or 9) == 9`."""
    if not isinstance(node, ast.Compare) or len(node.ops) > 1:
        return None
    sides = [node.left, node.comparators[0]]
    for place, side in enumerate(sides):
        if isinstance(side, ast.BoolOp):
            first, *rest = side.values
            last = rest[0] if len(rest) == 1 else ast.BoolOp(side.op, rest)
            chosen = (first, first, last) if isinstance(side.op, ast.Or) else (first, last, first)
        elif isinstance(side, ast.IfExp):
            chosen = side.test, side.body, side.orelse
        else:
            continue
        test, *values = chosen
        then, otherwise = (
            ast.Compare(one, node.ops, [sides[1]]) if place == 0 else ast.Compare(sides[0], node.ops, [one]) for one in values
        )
        return ast.IfExp(test, then, otherwise)
    return None


def _known_truth(node: ast.expr) -> bool | None:
    """Whether a constant is true, or a comparison of two that are alike or written out; None where that is not known."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq) or len(node.ops) > 1:
        return None
    sides = [node.left, node.comparators[0]]
    if not all(isinstance(one, ast.Name) or is_written_out(one) for one in sides):
        return None
    same = ast.dump(sides[0]) == ast.dump(sides[1])
    return same == isinstance(node.ops[0], ast.Eq) if same or all(map(is_written_out, sides)) else None


def _both(some: list[Way], others: list[Way]) -> list[Way]:
    return [one + other for one in some for other in others] if len(some) * len(others) <= _MOST_WAYS else []


def excuse(node: ast.expr) -> ast.expr | None:
    """The value of which a question asks no more than its truth, its type, its length, or what it is identical with."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        sides = [node.left, node.comparators[0]]
        if isinstance(node.ops[0], ast.Is | ast.IsNot) or any(
            isinstance(one, ast.Constant) and one.value is None for one in sides
        ):
            return next((one for one in sides if not isinstance(one, ast.Constant)), None)
        return next((found for one in sides if (found := _measured(one)) is not None), None)
    if isinstance(node, ast.Call) and last_name(node) in ASKING and node.args:
        return node.args[0]
    return node if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call) else None


def _measured(node: ast.expr) -> ast.expr | None:
    """The value whose length or type this is."""
    if isinstance(node, ast.Call):
        return node.args[0] if last_name(node) in ("len", "type") and len(node.args) == 1 else None
    return node.value if isinstance(node, ast.Attribute) and node.attr in ("size", "shape", "ndim", "__class__") else None


def compared_by(node: ast.expr) -> list[ast.expr]:
    """What a comparison compares, or a call that does: `assertEqual(a, b)`; empty for all else."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    name = last_name(node)
    if not isinstance(node, ast.Call) or not (name in COMPARING or name.startswith("assert")) or asserts_another_thing(name):
        return []
    return node.args[:2] if len(node.args) > 1 else []


def tolerances(node: ast.Call) -> list[ast.expr]:
    """What a call that compares two values is passed beside them, but for messages: `isclose(a, b, abs_tol=1e-6)`."""
    name = last_name(node)
    given = node.args[1:] if name == "approx" else node.args[2:] if "close" in name or "lmost" in name else []
    return [*given, *(word.value for word in node.keywords if not str(word.arg).endswith("msg"))]


def asserts_another_thing(name: str) -> bool:
    """Whether an assertion's name says that it does not compare two values."""
    return any(map(name.__contains__, _OTHER))


def is_failing(node: ast.stmt) -> bool:
    """Whether a test fails by coming to a statement."""
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant)
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and last_name(node.value) == "fail")


def is_check(node: ast.stmt) -> bool:
    """Whether this is a condition under which a test fails: an assertion written out."""
    return any(is_failing(one) for block in _branches(node) for one in block)


def _branches(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks that a condition chooses from."""
    if isinstance(node, ast.Match):
        return [case.body for case in node.cases]
    return [node.body, node.orelse] if isinstance(node, ast.If | ast.While) else []


def ways_out(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The conditions in a block by which a test leaves before it would fail: `if right: return`, and then `fail()`."""
    last = max((number for number, node in enumerate(block) if is_failing(node)), default=0)
    for node in block[:last]:
        yield from _leaving(node)
    for node in block:
        if isinstance(node, ast.For | ast.AsyncFor | ast.While) and any(map(is_failing, node.orelse)):
            yield from (inner for one in node.body for inner in _leaving(one))


def _leaving(node: ast.stmt) -> Iterator[ast.stmt]:
    if isinstance(node, Definition | ast.ClassDef):
        return
    if any(isinstance(one, ast.Return | ast.Break | ast.Continue) for part in _branches(node) for one in part):
        yield node
    for inner in ast.iter_child_nodes(node):
        for one in inner.body if isinstance(inner, ast.ExceptHandler | ast.match_case) else [inner]:
            if isinstance(one, ast.stmt):
                yield from _leaving(one)


def conditions(node: ast.stmt, *, leaves: bool = False) -> list[ast.expr]:
    """What a statement asserts of its own: what must be true, or decides whether the test fails; empty for all else.

    `leaves` says that it is a way out before a failure.
    """
    if isinstance(node, ast.Assert):
        return [node.test]
    if not (leaves or is_check(node)):
        return []
    if isinstance(node, ast.Match):
        return [node.subject, *(case.guard for case in node.cases if case.guard is not None)]
    return [node.test]  # type: ignore[attr-defined]


def _is_count(node: ast.expr) -> bool:
    """Whether a whole number is written out: it may be how often values of the candidate's agree."""
    return isinstance(node, ast.Constant) and type(node.value) is int


def _values_in(node: ast.AST, own: Collection[str]) -> int:
    """How many values an expression is made of, none of them written out; two for a variable, which may hold several."""
    found, todo = 0, [node]
    for one in todo:  # it grows meanwhile
        if isinstance(one, ast.Name):
            found += 0 if one.id in _BUILTIN else 2
        elif isinstance(one, ast.Call) and (last_name(one) in own or _is_chosen(one)):
            found += 2
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id not in _BUILTIN:
            found += 1
        else:
            todo += ast.iter_child_nodes(one)
    return found


def _is_followed(node: ast.expr) -> bool:
    """Whether this may give a function of the tests' own, one that was looked up, or one of two values."""
    return _is_made_here(node) or _is_looked_up(node) or isinstance(node, ast.BoolOp | ast.IfExp)


def _is_made_here(node: ast.expr) -> bool:
    return isinstance(node, ast.Lambda) or (isinstance(node, ast.Call) and last_name(node) == "partial")


def _is_looked_up(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant | ast.Slice)


def _is_chosen(node: ast.Call) -> bool:
    """Whether what is called is looked up, or attributes are named by a dictionary: either may be for the candidate to say."""
    return _is_looked_up(node.func) or any(word.arg is None for word in node.keywords)


def is_neutral(node: ast.expr) -> bool:
    """Whether this is written out and no more than what a comparison gives: nothing, a truth, 0 or 1, or a tolerance."""
    if isinstance(node, ast.UnaryOp):
        return is_neutral(node.operand)
    if isinstance(node, ast.Constant):
        return node.value in _NEUTRAL or (isinstance(node.value, float) and abs(node.value) < 1)
    return not getattr(node, "elts", getattr(node, "keys", True))


def _is_evidence(node: ast.expr) -> bool:
    """Whether a side of a comparison is written out, and more than what a comparison gives."""
    return is_written_out(node) and not is_neutral(node)


def is_written_out(node: ast.expr) -> bool:
    """Whether an expression consists of constants."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return is_written_out(node.operand)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(map(is_written_out, node.elts))
    if isinstance(node, ast.Dict):
        return all(map(is_written_out, node.values))
    return False


def last_name(node: ast.AST) -> str:
    """The last name of what is named or called: `pytest.mark.skip(...)` -> `skip`; empty where it has none."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def raises_failure(node: ast.Raise) -> bool:
    """Whether it raises an AssertionError by that name."""
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "AssertionError"


def has_assertions(node: ast.AST) -> bool:
    """Whether something can fail in it, other than by being reached at all."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert) and not isinstance(inner.test, ast.Constant):
            return True
        if isinstance(inner, ast.Call):
            called = last_name(inner)
            if called.startswith("assert"):
                return True
    return False


def explain(source: str, shown: list[Any], *message: Any) -> AssertionError:
    """The failure of `assert source`, where `shown` is an operator and its operands' values."""
    symbol, *values = shown
    texts = [_show(value) for value in values]
    text = f"assert {texts[0]} {symbol} {texts[1]}" if len(texts) == 2 else f"assert {symbol} {texts[0]}".replace("  ", " ", 1)
    if text != f"assert {source}":
        text += f"\n +  where the assertion is: {source[:500]}"
    return AssertionError(f"{_show(message[0], str)}\n{text}" if message else text)


def _show(value: Any, how: Any = repr) -> str:
    try:
        text = how(value)
    except BaseException as exc:  # the failure counts, whatever its values do now
        return f"<{type(value).__name__}, which cannot be shown: {type(exc).__name__}>"
    return text if len(text) <= _VALUE else f"{text[: _VALUE // 2]}...{text[-_VALUE // 2 :]}"


class Names:
    """The names that tests use and bind, read off their syntax tree in one pass: several were most of what judging cost."""

    def __init__(self, source: str, tree: ast.Module) -> None:
        self.source, self.tree = source, tree
        self.used: set[str] = set()
        self.called: set[str] = set()
        """Names that are called, as `f` in `f(1)`."""
        self.decorated = False
        """Whether a function has a decorator, or a name is bound to what a call makes of another: then it may be wrapped."""
        self.handed: set[str] = set()
        """Names that are handed to what calls them, as `f` in `map(f, items)`."""
        self.bounds: set[str] = set()
        """Names that others are measured by, as `EPSILON` in `abs(x - 1) < EPSILON`."""
        self.owners: set[str] = set()
        """Names of which an attribute is used, as `math` in `math.pi`."""
        for node in _nodes(tree):
            kind = type(node)
            if kind is ast.Name:
                self.used.add(node.id)
            elif kind is ast.Call:
                if type(node.func) is ast.Name:
                    self.called.add(node.func.id)
                    if node.func.id in _CALLING:
                        self.handed.update(one.id for one in node.args if type(one) is ast.Name)
                elif type(node.func) is ast.Attribute and node.func.attr in _CALLING:
                    self.handed.update(one.id for one in node.args if type(one) is ast.Name)
                self.bounds.update(word.value.id for word in node.keywords if type(word.value) is ast.Name)
            elif kind is ast.Compare:
                if any(type(one) in _ORDERING for one in node.ops):
                    self.bounds.update(one.id for one in (node.left, *node.comparators) if type(one) is ast.Name)
            elif kind is ast.Attribute and type(node.value) is ast.Name:
                self.owners.add(node.value.id)
            elif kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                self.decorated = self.decorated or bool(node.decorator_list)
                for decorator in node.decorator_list:
                    if type(decorator) is ast.Name:
                        self.called.add(decorator.id)
                    for inner in ast.walk(decorator):  # as in `parametrize("f", [one, other])`
                        if isinstance(inner, ast.List | ast.Tuple):
                            self.handed.update(one.id for one in inner.elts if type(one) is ast.Name)
            elif kind is ast.Assign and type(node.value) is ast.Call:
                self.decorated = self.decorated or any(type(one) is ast.Name for one in node.value.args)
        self.bound: set[str] = set()
        """Those bound by the tests themselves at module level."""
        self._table: symtable.SymbolTable | None = None
        with contextlib.suppress(SyntaxError, ValueError):
            self._table = symtable.symtable(source, "<tests>", "exec")
            self.bound = {
                symbol.get_name() for symbol in self._table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
            }

    def libraries(self) -> dict[str, str]:
        """Libraries that the tests use by name (`math.isclose`) without an import of their own: name -> module."""
        free = self.owners - self.called - self.bound
        return {name: _LIBRARIES.get(name, name) for name in free if name in _LIBRARIES or name in sys.stdlib_module_names}

    def starred(self, module: str, entry_point: str) -> set[str]:
        """Names that the tests have from `from library import *`, for any library but the candidate's `module`.

        The function that the tests are about stays the candidate's, and so does everything where else nothing would be.
        """
        found: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and node.module != module and not node.level:
                with contextlib.suppress(BaseException):  # the tests will say so: they import it next
                    library = importlib.import_module(node.module or "")
                    found.update(getattr(library, "__all__", [name for name in vars(library) if name[:1] != "_"]))
        found &= self.used
        return found - {entry_point} if self.called - found or entry_point else set()

    def wanted(self, module: str, bound: set[str], entry_point: str, defines: Collection[str] = ()) -> list[str]:
        """Names that the tests have from nowhere, and so from the candidate's `module`: see `of_candidate`.

        A name of a builtin is never among them, lest a candidate's own `set` or `sorted` decides what is equal; unless it is
        the one function that all of the tests are about.
        """
        if self.stars(module):
            return []
        found = self.of_candidate(module, bound, entry_point, defines)
        if not self.missing(bound) and not bound and (entry_point in self.called or len(self.called) == 1):
            found = {entry_point} if entry_point in self.called else self.called
        return sorted(found)

    def stars(self, module: str) -> bool:
        """Whether the tests import all of a module's names."""
        stars = (node for node in self.tree.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
        return any(node.module == module for node in stars)

    def of_candidate(self, module: str, bound: set[str], entry_point: str, defines: Collection[str] = ()) -> set[str]:
        """Those of the names from nowhere that the task says the candidate defines: its entry point, and what the task names.

        Where the task says nothing, they are the functions and classes that the tests use, but never one that judges: a
        candidate's own `isclose` would find itself right.
        """
        missing = self.missing(bound)
        if self.stars(module):
            return {name for name in missing if name in (entry_point, *defines) or not (judges(name) or name in self.bounds)}
        if entry_point or defines:
            return missing & {entry_point, *defines}
        classes = {name for name in missing if name[:1].isupper() and not name.isupper()}
        used = missing & (self.called | self.handed | self.owners | classes)
        plain = {name for name in used if not judges(name)}
        return plain or (used if len(used) == 1 and len(missing) == 1 else set())

    def missing(self, bound: set[str]) -> set[str]:
        """Names that the tests use and nobody but the candidate could define."""
        return self._global - bound

    @functools.cached_property
    def _global(self) -> set[str]:
        """Names that the tests use of their module, but for those that every module has."""
        found: set[str] = set()
        tables = [self._table] if self._table else []
        while tables:
            table = tables.pop()
            tables += table.get_children()
            top = table.get_type() == "module"
            for symbol in table.get_symbols():
                if symbol.is_referenced() and (top or symbol.is_global()):
                    found.add(symbol.get_name())
        return {name for name in found if not hasattr(builtins, name) and not name.startswith("__")}


_CALLING = frozenset(("map", "filter", "reduce", "partial", "raises", "assertRaises", "assertRaisesRegex"))
_JUDGES = frozenset(
    [
        "allclose",
        "approx",
        "array_almost_equal",
        "array_equal",
        "array_equiv",
        "close",
        "deprecated_call",
        "fail",
        "isclose",
        "isfinite",
        "isinf",
        "isnan",
        "raises",
        "skip",
        "skipTest",
        "subTest",
        "warns",
        "xfail",
    ]
)


def judges(name: str) -> bool:
    """Whether a name is one of those by which test libraries (pytest, unittest, numpy, torch, math) decide what is right."""
    return name in _JUDGES or name.lower().startswith("assert")


def _nodes(tree: ast.AST) -> list[Any]:
    """All nodes under a tree, except those that hold nothing."""
    nodes: list[Any] = [tree]
    for node in nodes:  # it grows meanwhile
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                nodes += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and type(value) not in _EMPTY:
                nodes.append(value)
    return nodes


_LIBRARIES = {"numpy": "numpy", "np": "numpy", "torch": "torch", "pytest": "pytest", "pandas": "pandas", "pd": "pandas"}
"""What tests without imports of their own mean by these names."""


class Asserts:
    """Top-level statements with assertions, or that call functions with such (`main()`), each a test, in one namespace."""

    def __init__(self, tree: ast.Module) -> None:
        self.statements = tree.body
        self.names: dict[int, str] = {}
        self.functions = functions_in(tree.body)
        asserting = _asserting(tree)
        for place, statement in enumerate(tree.body):
            if _asserts(statement) or (isinstance(statement, ast.Expr) and _checks(statement, asserting)):
                self.names[place] = f"assert_{len(self.names)}"


def compiled(
    statements: list[ast.stmt],
    path: str,
    source: str,
    marked: Mapping[int, str] | None = None,
    functions: Collection[str] = (),
) -> Any:
    """Code of statements of `source` whose assertions explain themselves, and whose `marked` functions say that they run.

    `functions` are names of functions in the rest of the source.
    """
    if "format" in source:
        statements = [_Formats().visit(statement) for statement in statements]
    made = _Asserts(source, marked or {}, functions_in(statements) | set(functions))
    tree = ast.Module(made.rewrite(statements), [])
    if _REDUCES.search(source):
        tree = _Sums().visit(tree)
    for name in _CLASSES:
        if f"{name}(" in source:
            _ask(tree, name)
    return compile(tree, path, "exec", dont_inherit=True)


def functions_in(statements: list[ast.stmt]) -> set[str]:
    """Names of the functions and methods that statements define."""
    inside = (inner for one in statements if isinstance(one, ast.ClassDef) for inner in one.body)
    named = (one.targets[0] for one in statements if isinstance(one, ast.Assign) and _is_made_here(one.value))
    found = {one.name for one in (*statements, *inside) if isinstance(one, Definition)}
    return found | {one.id for one in named if isinstance(one, ast.Name)}


def _ask(tree: ast.Module, name: str) -> None:
    """Let a question about classes be asked of ours, where its name is Python's own."""
    nodes = list(ast.walk(tree))
    bound = any(name in (getattr(node, "arg", ""), getattr(node, "name", ""), getattr(node, "asname", "")) for node in nodes)
    names = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
    if bound or not all(isinstance(node.ctx, ast.Load) for node in names):
        return
    asked, count = _CLASSES[name]
    for node in nodes:
        if isinstance(node, ast.Call) and node.func in names and len(node.args) == count and not node.keywords:
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            node.func = node.func if starred else ast.Name(asked, ast.Load(), **_place(node))


class Calls(Protocol):
    """What compiled tests call."""

    def class_of(self, value: Any) -> type:
        """The class of a value."""

    def is_subclass(self, kind: Any, above: Any) -> bool:
        """Whether a class derives from another, or from one of several."""

    def explain(self, source: str, shown: list[Any]) -> Callable[..., AssertionError]:
        """An assertion failed; returns what makes of its message, if it has one, what is raised."""

    def failing(self) -> None:
        """The tests raise an AssertionError next."""

    def running(self, number: int) -> contextlib.AbstractContextManager[object]:
        """A marked function runs."""

    def decorating(self, decorator: Any) -> Any:
        """The decorator of a marked test, so that pytest finds a function of ours behind it."""

    def compared(self, line: int, column: int) -> None:
        """The assertion that stands there passed, and two values met in it, neither of them written out."""

    def formatting(self, value: Any, name: str) -> Any:
        """The attribute `format` or `format_map` of something that is not written out."""

    def reducing(self, value: Any) -> Any:
        """Something that may sum up many values, or what stands for it."""


def hooks(calls: Calls) -> dict[str, Any]:
    """The names that compiled tests need."""
    return {
        _EXPLAIN: calls.explain,
        _FAILING: calls.failing,
        _RUNNING: calls.running,
        _DECORATING: calls.decorating,
        _COMPARED: calls.compared,
        _CLASSES["type"][0]: calls.class_of,
        _CLASSES["issubclass"][0]: calls.is_subclass,
        _FORMATTING: calls.formatting,
        _REDUCING: calls.reducing,
    }


def namespace(path: str, name: str, hooks: Mapping[str, Any]) -> dict[str, Any]:
    """A fresh module's names, with what its assertions call."""
    return {"__name__": name, "__file__": path, "__builtins__": builtins, "__doc__": None, **hooks}
