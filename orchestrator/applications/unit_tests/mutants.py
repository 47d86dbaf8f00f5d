"""Mutants of a function, method or class: copies with one small fault each, to measure tests by those that they notice.

The operators bear the names of the literature (Offutt et al. 1996 for AOR, ROR, LCR and the like; Derezińska and Hałas 2014 for
those of Python). They work on the syntax tree, never on docstrings, annotations or decorators. A mutant whose bytecode is that of
the function, or of an earlier mutant, is left out: it is equivalent for certain.

Left out: running mutants, and guessing which of the others are equivalent (`judge.py`). Libraries of operators were
tried and are not used; `design/unit-tests.md` says why.
"""

from __future__ import annotations

import ast
import random
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.errors import UsageError
from orchestrator.sources import parse, where_and_why
from orchestrator.types import Value

OPERATORS = {
    "AOR": "arithmetic operator replaced",
    "AOD": "sign of a number deleted",
    "ASR": "operator of an augmented assignment replaced",
    "BCR": "break and continue exchanged",
    "COD": "negation of a condition deleted",
    "COI": "condition negated",
    "CRP": "constant replaced",
    "LCR": "`and` and `or` exchanged",
    "LOR": "bitwise operator or shift replaced",
    "OIL": "loop ended after one round",
    "ROR": "relational operator replaced",
    "SDL": "statement deleted",
    "SIR": "bound of a slice removed",
    "ZIL": "loop never entered",
}
"""What each operator does."""
MODULE_LIMIT = 1 << 18
"""Characters of a module whose function is mutated."""

_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult, ast.Add),
    ast.MatMult: (),
}
_BITWISE: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitAnd, ast.BitOr),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_RELATIONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_SKIPPED = frozenset(("annotation", "returns", "decorator_list", "type_comment", "type_params", "format_spec"))
_BODIES = frozenset(("body", "orelse", "finalbody"))
_KEPT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)
"""Statements that are not deleted: without them the rest has no names, which any call shows."""


class Mutant(Value):
    """A module in which one function or method has one fault."""

    name: str
    """Unique among the mutants of the function, and the same each time."""
    operator: str
    line: int
    """In the original module."""
    before: str
    after: str
    source: str
    """The whole module."""


@dataclass(frozen=True)
class _Change:
    """One fault: what to put where."""

    operator: str
    place: ast.AST
    """The node that is shown as `before`."""
    owner: ast.AST
    field: str
    index: int | None
    new: ast.AST | list[ast.stmt]


def mutants(source: str, function: str, *, most: int = 100, seed: int = 0) -> list[Mutant]:
    """Mutants of a top-level function, of `Class.method` or of all methods of `Class`, in the order of lines.

    Where there are more than `most`, a seeded sample of them.

    Raises:
        UsageError: the source does not parse, is too large, or has no such function, method or class.
    """
    node, changed = _find(source, function)
    lines = source.splitlines(keepends=True)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    head, tail = "".join(lines[:first]), "".join(lines[node.end_lineno :])
    seen = {_fingerprint(node)}
    made: list[Mutant] = []
    for change in (change for one in changed for change in _changes(one)):
        before = _text(change.place)
        with _Applied(change):
            fingerprint = _fingerprint(node)
            if fingerprint is None or fingerprint in seen:
                continue
            seen.add(fingerprint)
            mutated = f"{head}{ast.unparse(ast.fix_missing_locations(node))}\n{tail}"
        after = _text(change.new) if not isinstance(change.new, list) else (_text(change.new[0]) if change.new else "(deleted)")
        line = getattr(change.place, "lineno", node.lineno)
        name = f"{change.operator}-{line}-{len(made)}"
        made.append(
            Mutant(name=name, operator=change.operator, line=line, before=before[:200], after=after[:200], source=mutated)
        )
    if len(made) > most:
        kept = set(random.Random(seed).sample(range(len(made)), most))
        made = [mutant for place, mutant in enumerate(made) if place in kept]
    return sorted(made, key=lambda mutant: mutant.line)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def located(tree: ast.Module, name: str) -> tuple[Function | ast.ClassDef, list[Function]] | None:
    """The top-level definition that holds what is named, and the functions that are meant: one, or the methods of a class."""
    first, _, method = name.partition(".")
    found = [node for node in tree.body if isinstance(node, Function | ast.ClassDef) and node.name == first]
    if not found:
        return None
    node = found[-1]
    if not isinstance(node, ast.ClassDef):
        return None if method else (node, [node])
    methods = [one for one in node.body if isinstance(one, Function) and (not method or one.name == method)]
    return (node, methods) if methods else None


def _find(source: str, function: str) -> tuple[Function | ast.ClassDef, list[Function]]:
    if len(source) > MODULE_LIMIT:
        raise UsageError(f"A module of {len(source)} characters is too large to be mutated.", remedy="Move the function out.")
    try:
        tree = parse(source)
    except SyntaxError as exc:
        raise UsageError(f"The module does not parse: {where_and_why(exc)}.", remedy="Give Python source.") from None
    found = located(tree, function)
    if found is None:
        inside = located(tree, function.partition(".")[0])
        if "." in function and inside is not None:
            what, nodes = "method", [f"{inside[0].name}.{one.name}" for one in inside[1] if inside[0] is not one]
        else:
            what, nodes = "function or class", [node.name for node in tree.body if isinstance(node, Function | ast.ClassDef)]
        if function in nodes:
            raise UsageError(f"{function} has no methods of its own.", remedy="Name a function, or a class that has methods.")
        raise UsageError(
            f"There is no {what} {function!r} at the top level of the module.",
            remedy=f"There are: {', '.join(dict.fromkeys(nodes)) or 'none'}.",
        )
    return found


class _Applied:
    """A change for as long as it is looked at."""

    def __init__(self, change: _Change) -> None:
        self._change = change
        self._old = getattr(change.owner, change.field)

    def __enter__(self) -> None:
        change = self._change
        if change.index is None:
            setattr(change.owner, change.field, change.new)
        else:
            new = change.new if isinstance(change.new, list) else [change.new]
            setattr(change.owner, change.field, [*self._old[: change.index], *new, *self._old[change.index + 1 :]])

    def __exit__(self, *exc: object) -> None:
        setattr(self._change.owner, self._change.field, self._old)


def _text(node: object) -> str:
    if isinstance(node, ast.AST):
        try:
            return ast.unparse(node)
        except (AttributeError, ValueError):
            pass
    return type(node).__name__


def _fingerprint(node: ast.stmt) -> object:
    """The function's bytecode without lines; None where it does not compile."""
    try:
        code = compile(ast.fix_missing_locations(ast.Module([node], [])), "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return _of_code(code)


def _of_code(code: types.CodeType) -> object:
    constants = tuple(
        _of_code(item) if isinstance(item, types.CodeType) else (type(item).__name__, repr(item)) for item in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, code.co_exceptiontable, constants, names, code.co_argcount, code.co_flags


def _changes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Change]:
    for owner, field, index, node in _nodes(function.args, defaults=True):
        yield from _of_node(owner, field, index, node)
    documented = ast.get_docstring(function, clean=False) is not None
    yield from _of_block(function, "body", function.body, skip=int(documented))
    for owner, field, index, node in _nodes(function, skip=int(documented)):
        yield from _of_node(owner, field, index, node)


def _nodes(root: ast.AST, *, skip: int = 0, defaults: bool = False) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Nodes below `root` with their places; the first `skip` statements of its body are left out."""
    for field, value in ast.iter_fields(root):
        if field in _SKIPPED or (field == "args" and not defaults and isinstance(root, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            if not isinstance(item, ast.AST) or (field == "body" and index is not None and index < skip):
                continue
            yield root, field, index, item
            inner = int(
                isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and ast.get_docstring(item, clean=False) is not None
            )
            yield from _nodes(item, skip=inner)


def _of_block(owner: ast.AST, field: str, body: list[ast.stmt], *, skip: int = 0) -> Iterator[_Change]:
    """Deletions of statements."""
    for index, node in enumerate(body[skip:], skip):
        if not isinstance(node, _KEPT) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            alone = len(body) == 1
            yield _Change("SDL", node, owner, field, index, [ast.copy_location(ast.Pass(), node)] if alone else [])


def _of_node(owner: ast.AST, field: str, index: int | None, node: ast.AST) -> Iterator[_Change]:
    def change(operator: str, new: ast.AST) -> _Change:
        return _Change(operator, node, owner, field, index, ast.copy_location(new, node))

    for name in _BODIES:
        inner = getattr(node, name, None)
        if isinstance(inner, list) and inner and isinstance(inner[0], ast.stmt):
            documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
                ast.get_docstring(node, clean=False) is not None
            )
            yield from _of_block(node, name, inner, skip=int(documented and name == "body"))
    match node:
        case ast.BinOp():
            for new in _ARITHMETIC.get(type(node.op), ()):
                yield change("AOR", ast.BinOp(node.left, new(), node.right))
            for new in _BITWISE.get(type(node.op), ()):
                yield change("LOR", ast.BinOp(node.left, new(), node.right))
        case ast.AugAssign():
            for new in (*_ARITHMETIC.get(type(node.op), ()), *_BITWISE.get(type(node.op), ())):
                yield change("ASR", ast.AugAssign(node.target, new(), node.value))
        case ast.UnaryOp(op=ast.USub()):
            yield change("AOD", node.operand)
        case ast.UnaryOp(op=ast.Not()):
            yield change("COD", node.operand)
        case ast.BoolOp():
            yield change("LCR", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        case ast.Compare():
            for place, old in enumerate(node.ops):
                for relation in _RELATIONS[type(old)]:
                    ops = [*node.ops[:place], relation(), *node.ops[place + 1 :]]
                    yield change("ROR", ast.Compare(node.left, ops, node.comparators))
        case ast.Constant():
            for value in _constants(node.value):
                yield change("CRP", ast.Constant(value))
        case ast.Break():
            yield change("BCR", ast.Continue())
        case ast.Continue():
            yield change("BCR", ast.Break())
        case ast.Slice():
            for bound in ("lower", "upper", "step"):
                if getattr(node, bound) is not None:
                    kept = {name: getattr(node, name) for name in ("lower", "upper", "step") if name != bound}
                    yield change("SIR", ast.Slice(**kept))
        case ast.For() | ast.AsyncFor():
            yield _Change("ZIL", node, node, "body", None, [ast.copy_location(ast.Break(), node)])
            yield _Change("OIL", node, node, "body", None, [*node.body, ast.copy_location(ast.Break(), node)])
        case ast.While():
            yield _Change("OIL", node, node, "body", None, [*node.body, ast.copy_location(ast.Break(), node)])
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
        yield _Change("COI", node.test, node, "test", None, _negated(node.test))
    if isinstance(node, ast.comprehension):
        for place, test in enumerate(node.ifs):
            yield _Change("COI", test, node, "ifs", place, _negated(test))


def _negated(test: ast.expr) -> ast.expr:
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _constants(value: object) -> Sequence[str | bytes | float]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value + 1.0, -value] if value else [1.0]
    if isinstance(value, str):
        return ["", f"XX{value}"] if value else ["XX"]
    if isinstance(value, bytes):
        return [b"", b"XX" + value] if value else [b"XX"]
    return []
