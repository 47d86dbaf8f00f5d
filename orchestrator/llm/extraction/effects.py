"""What a top-level statement binds, reads and changes, when it is executed and when a function that it defines is called.

Pruning (`pruning`) asks nothing else of a statement. What it reads is known from Python's own rules of scope; that something
which holds a value may be changed by whoever reads it is left to `pruning`. Here it is decided what changes anything else, such
as a module, a class or a function:

- a store: `table[i] = x`, `table.a = x`, `del table[i]`, `f.calls = 0`, a `global` that is assigned;
- a method call whose value is dropped: `random.seed(0)`, `describe.register(int)(show)`, `getcontext().prec = 50`;
- a decorator that is a method, and being the base of a class: `@app.route("/")`, `class Add(Operation)`.

Left out: what attributes of objects refer to.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

ANYTHING = "*"
"""Stands for every name: `exec`, `globals()[name] = ...`, settings of the interpreter itself."""
_EVERY_NAME = {"exec", "globals", "locals", "vars", "builtins", "__builtins__"}
_BY_TEXT = {"eval", "exec", "globals"}
"""Builtins that find names by their text, so may read any of them."""
_BY_MODULE = {"modules", "import_module"}
"""Attributes that give modules by their names, so this one too."""
OUTPUT = frozenset({"print", "pprint", "pp", "display", "exit", "quit", "breakpoint"})
"""Functions that only say something, unless a program has its own of that name."""
_OUTPUT_METHODS = {("sys", "write"), ("sys", "flush"), ("sys", "writelines"), ("sys", "exit"), ("os", "_exit")}


@dataclass
class Effects:
    """Names that a statement concerns."""

    binds: set[str] = field(default_factory=set)
    """Names it defines for the module."""
    reads: set[str] = field(default_factory=set)
    """Names of the module that it needs while it is executed."""
    later: set[str] = field(default_factory=set)
    """Names of the module that its functions need when they are called."""
    changes: set[str] = field(default_factory=set)
    """What it changes, whatever that is."""
    changes_later: set[str] = field(default_factory=set)
    """What its functions change when they are called, whatever that is."""
    given: set[str] = field(default_factory=set)
    """What it calls for no value, and what it passes there."""
    shown: dict[str, set[str]] = field(default_factory=dict)
    """What it passes to functions that only say something, by their names."""
    calls: set[str] = field(default_factory=set)
    """Names that it calls while it is executed."""
    calls_later: set[str] = field(default_factory=set)
    by_text: bool = False
    """It may read any name, then or later: `eval`, `globals`, `sys.modules`."""

    @property
    def uses(self) -> set[str]:
        """Names of the module that it needs at some time."""
        return self.reads | self.later


def effects(node: ast.stmt, source: str) -> Effects:
    """The effects of one top-level statement.

    Args:
        source: its text, for Python's own rules of scope.
    """
    found = Effects()
    _scopes(found, node, source)
    _changes(found, node)
    wanted = found.reads | found.later | found.binds | _assigned_globals(node) | {ANYTHING}
    for names in (found.changes, found.changes_later, found.given, *found.shown.values()):
        names &= wanted
    return found


def _scopes(found: Effects, node: ast.stmt, source: str) -> None:
    try:
        top = symtable.symtable(source, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    symbols = top.get_symbols()
    found.binds |= {
        symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    own = _bound_first(node)
    found.reads |= {symbol.get_name() for symbol in symbols if symbol.is_referenced()} - own
    # A class body and a comprehension are executed at once, a function when it is called.
    waiting = [(table, False) for table in top.get_children()]
    while waiting:
        table, called = waiting.pop()
        called = called or (table.get_type() == "function" and table.get_name() not in _AT_ONCE)
        names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        if called:
            found.later |= names
        else:
            found.reads |= names - own
        waiting += [(child, called) for child in table.get_children()]


_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _bound_first(node: ast.stmt) -> set[str]:
    """Names that the statement binds before it reads them, such as the variable of a loop."""
    if isinstance(node, _DEFINITIONS):
        return set()
    first: dict[str, bool] = {}
    for item in _in_order(node):
        if isinstance(item, ast.AugAssign) and isinstance(item.target, ast.Name):
            first.setdefault(item.target.id, False)
        elif isinstance(item, ast.Name):
            first.setdefault(item.id, isinstance(item.ctx, ast.Store))
        elif isinstance(item, _DEFINITIONS):
            first.setdefault(item.name, True)
    return {name for name, bound in first.items() if bound}


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes in the order in which they are executed; bodies of functions are not."""
    waiting: list[ast.AST] = [node]
    while waiting:
        item = waiting.pop()
        yield item
        children = list(ast.iter_child_nodes(item))
        if isinstance(item, ast.Assign | ast.AnnAssign | ast.NamedExpr) and item.value is not None:
            children = [item.value, *(child for child in children if child is not item.value)]
        elif isinstance(item, ast.For | ast.AsyncFor | ast.comprehension):
            children = [item.iter, *(child for child in children if child is not item.iter)]
        elif isinstance(item, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            children = [*item.generators, *(child for child in children if child not in item.generators)]
        elif isinstance(item, _DEFINITIONS):
            children = list(item.decorator_list)
        elif isinstance(item, ast.Lambda):
            children = []
        waiting += reversed(children)


def _assigned_globals(node: ast.AST) -> set[str]:
    return {name for item in ast.walk(node) if isinstance(item, ast.Global) for name in item.names}


def _changes(found: Effects, node: ast.stmt) -> None:
    """Walk over the statement; the second of each triple says whether it is executed only when a function is called."""
    waiting: list[tuple[ast.AST, bool, str]] = [(node, False, "")]
    while waiting:
        item, called, owner = waiting.pop()
        changes, calls = (found.changes_later, found.calls_later) if called else (found.changes, found.calls)
        if isinstance(item, _DEFINITIONS):
            for decorator in item.decorator_list:
                # `@register` calls a function, of which it is asked what it changes; `@app.route` may change `app`.
                function = decorator.func if isinstance(decorator, ast.Call) else decorator
                calls |= roots([decorator])
                changes |= roots([decorator]) if isinstance(function, ast.Attribute) else set()
        if isinstance(item, ast.ClassDef):
            found.later |= _named_in_fields(item)
            changes |= roots([*item.bases, *(keyword.value for keyword in item.keywords)])
            owner = item.name
        if isinstance(item, ast.Global):
            changes |= set(item.names)
        if isinstance(item, ast.Subscript | ast.Attribute) and not isinstance(item.ctx, ast.Load):
            changes |= _all_for(roots([item]), owner)
        if isinstance(item, ast.AugAssign) and not called:
            changes |= roots([item.target])
        if isinstance(item, ast.Expr | ast.Await) and isinstance(item.value, ast.Call):
            call = item.value
            output = says(call)
            if not output:
                changes |= _settings(call)
                if not isinstance(call.func, ast.Name):
                    changes |= _all_for(roots([call.func]), owner)
            if not called and (not output or isinstance(call.func, ast.Name)):
                passed = roots([call.func, *call.args, *(keyword.value for keyword in call.keywords)])
                given = found.shown.setdefault(call.func.id, set()) if output and isinstance(call.func, ast.Name) else found.given
                given |= passed
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
            calls.add(item.func.id)
            if item.func.id in _EVERY_NAME:
                changes.add(ANYTHING)
            if item.func.id in {"setattr", "delattr"}:
                changes |= _all_for(roots(item.args[:1]), owner)
        found.by_text |= _finds_by_text(item) or (not called and _is_namespace(item))
        inside = called or isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for name, value in ast.iter_fields(item):
            # Decorators, defaults and annotations of a function are executed with its definition.
            at = inside if name == "body" else called
            children = value if isinstance(value, list) else [value]
            waiting += [(child, at, owner) for child in children if isinstance(child, ast.AST)]


_NAME = re.compile(r"[^\W\d]\w*")


def _named_in_fields(node: ast.ClassDef) -> set[str]:
    """Names in the annotations of fields that are strings, `next: "Node"`: who asks for the types of a class looks them up."""
    notes = [item.annotation for item in node.body if isinstance(item, ast.AnnAssign)]
    texts = [item.value for note in notes for item in ast.walk(note) if isinstance(item, ast.Constant)]
    return {name for text in texts if isinstance(text, str) for name in _NAME.findall(text)}


def _finds_by_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _BY_MODULE
    return isinstance(node, ast.Name) and node.id in _BY_TEXT


def _is_namespace(node: ast.AST) -> bool:
    """Outside of functions, `locals()` and `vars()` are `globals()`."""
    return isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Name) and node.func.id in {"locals", "vars"}


def _all_for(names: set[str], owner: str) -> set[str]:
    """`cls` is the class itself, and whoever asks for `globals()` may change every name."""
    found = set(names)
    if owner and "cls" in found:
        found.add(owner)
    if found & _EVERY_NAME:
        found.add(ANYTHING)
    return found


def _settings(call: ast.Call) -> set[str]:
    """`sys.setrecursionlimit` and its like concern the interpreter, so whatever is executed in it."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return {ANYTHING} if name in {"setrecursionlimit", "set_int_max_str_digits", "stack_size"} else set()


def roots(expressions: Iterable[ast.AST]) -> set[str]:
    """The names at the root of expressions: `table` of `table[i].rows`, and `get` of `get("b").rows`."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(expressions)
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, ast.Attribute | ast.Subscript | ast.Await | ast.Starred | ast.NamedExpr):
            waiting.append(item.value)
        elif isinstance(item, ast.Call):
            waiting.append(item.func)
        elif isinstance(item, ast.IfExp | ast.BoolOp | ast.List | ast.Tuple):
            waiting += list(ast.iter_child_nodes(item))
    return found


def says(node: ast.AST, own: Collection[str] = ()) -> bool:
    """Is this output, or the end of the program: nothing that other statements notice?

    Args:
        own: names that the program binds itself: its `display` may do anything.
    """
    if isinstance(node, ast.For | ast.If | ast.With):
        return all(says(part, own) for part in [*node.body, *getattr(node, "orelse", ())])
    call = node.value if isinstance(node, ast.Expr) else node
    if not isinstance(call, ast.Call):
        return False
    if isinstance(call.func, ast.Name):
        return call.func.id in OUTPUT and call.func.id not in own
    if isinstance(call.func, ast.Attribute):
        return any((root, call.func.attr) in _OUTPUT_METHODS for root in roots([call.func]))
    return False


def is_constant(node: ast.AST) -> bool:
    """Does the statement bind its names to values that nothing can change?"""
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        plain = ast.Constant | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop
        return all(isinstance(item, plain) for item in ast.walk(node.value))
    return False
