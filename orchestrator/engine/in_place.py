"""Whether tests mean values that they share with the candidate, and not copies: a reading of their source, before anything runs.

They do where they
- call the candidate, or enter a context of its, with a variable that a later assertion reads without asking the candidate
  (`f(x)`, then `assert x == [1, 2]`);
- change something of the candidate's, or what they have passed to it, and ask it again (`bag.items["x"] = 1`, then
  `bag.count()`); a result by an item or as lists and arrays are changed, then ask what it came from in an assertion without it
  (`v = r.view()`, `v[0] = 5`, then `assert r.total() == 5`);
- keep a result, call what it came from in a statement of its own, and read the result without asking the candidate
  (`n = r.names()`, `r.add("b")`, then `assert list(n) == ["b"]`), but not next to a constant (`assert n == 1`);
- have a lambda, or a function that they hand on, that changes what it is passed (`lambda xs: xs.pop()`), or a class of their
  own, whose objects keep values;
- compare by identity (`f(x) is x`), or ask where memory lies (`np.shares_memory`, `data_ptr`, `id`).

What is passed stands for more than its name: for what it is a part or a view of, and for its parts and views (`row = img[0]`,
`x.reshape(2, 2)`, `for row in img`). A variable that is set anew is another. A function of their own is followed where they call
it or hand it on. In a tuple, a list, a dictionary, `and` and `or`, what stands later is a later assertion
(`(f(x), x) == (1, [1])`); in a comparison it is not, for `f(x) == x` compares a result. So does what is computed from a result.

Only the tests are read, never the candidate: otherwise it could choose to be judged in the weaker way.

Left out: what no reading shows, and branches, for statements are read once each, from top to bottom. The engine tries both ways
where a run shows it (`engine.py`).
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Iterable, Iterator

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
_OF_LISTS = frozenset(("append", "extend", "insert", "sort", "reverse", "fill", "fill_", "add_", "sub_", "mul_", "div_", "zero_"))
"""Those of them that hardly any class of a candidate's has too."""
_VIEWS = frozenset(
    (
        *("view", "reshape", "ravel", "transpose", "swapaxes", "squeeze", "unsqueeze", "diagonal", "expand", "narrow", "permute"),
        *(
            "flatten",
            "select",
            "unbind",
            "split",
            "numpy",
            "detach",
            "asarray",
            "from_numpy",
            "as_tensor",
            "frombuffer",
            "memoryview",
        ),
        *("get", "setdefault", "keys", "values", "items", "iter", "next", "reversed", "zip", "enumerate", "filter", "t"),
    )
)
"""Functions and methods whose result has memory, or items, in common with what they are called on or with."""
_CALLING = frozenset(
    (
        *("map", "starmap", "filter", "reduce", "partial", "submit", "apply", "apply_async", "Thread", "to_thread"),
        *("run_in_executor", "raises", "warns", "assertRaises", "assertRaisesRegex", "assertWarns"),
    )
)
"""Functions of libraries that call a function which they are handed."""
_MEMORY = frozenset(("shares_memory", "may_share_memory", "data_ptr", "owndata", "OWNDATA", "__array_interface__"))
"""Words of those who ask where memory lies."""
_OF_MEMORY = re.compile(rf"{'|'.join(_MEMORY)}|\bid\(|\.base\b")
_OF_VALUES = frozenset(
    (
        *("tolist", "sum", "item", "all", "any", "mean", "max", "min", "shape", "size", "T", "flat", "numpy", "copy"),
        *("keys", "values", "items", "get", "index", "count", "decode", "equal", "equals"),
    )
)
"""What lists, dictionaries and arrays are read by; other attributes are those of an object of the candidate's."""
_POSSIBLY = re.compile(
    r"\bis\b|\bassertIs|==\s*None\b"  # identity, or None for a result
    rf"|{'|'.join(_MEMORY)}|\bid\("
    r"|^\s*(?:class|with|async with)\s|^\s*\w[\w., ]*=[^=]|\bdef test\w*\((?!self\))\w"  # a class, a context, a variable
    r"|\bfor\s|:="  # another
    r"|(?:^|[;:])\s*(?:await\s+)?[\w.\[\]'\"]+\("  # a call that is a statement
    rf"|[-+*/%|&^@]=|\]\s*=(?!=)|\bdel\b|\.(?:{'|'.join(sorted(_CHANGING))})\s*\(",  # a change
    re.MULTILINE,
)
"""What must be somewhere in tests that mean shared values: most have none, and parsing is a twentieth of a short run."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_Function = _Definition | ast.Module
_SETTING_UP = ("setUp", "setUpClass", "setup_method", "setup_class", "setup", "setup_function")


def says_in_place(tests: str, module: str, entry_point: str = "") -> bool:
    """Whether these tests mean values that they share with the candidate `module`. Tests that do not parse do not."""
    if _POSSIBLY.search(tests) is None:
        return False
    try:
        tree = parse(tests)
        nodes = _walk(tree)
        reading = _Reading(tree, nodes, module, entry_point, memory=_OF_MEMORY.search(tests) is not None)
        handed_on = _handed_on(nodes)
        return any(_keeps(node, handed_on) for node in nodes) or reading.shares()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _handed_on(nodes: list[ast.AST]) -> set[str]:
    """Names that are read without being called: a function under one of them may be called with values of the candidate's."""
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}


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
    return any(_root(target) in passed for inner in _walk(node) for target in _changed_by(inner))


class _Reading:
    """Which names lead to the candidate, and what is done with them."""

    def __init__(self, tree: ast.Module, nodes: list[ast.AST], module: str, entry_point: str, *, memory: bool) -> None:
        self.memory = memory
        """Whether a word of those who ask where memory lies is anywhere."""
        self._tree = tree
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
        self.imported = frozenset(self._theirs)
        """The candidate's module and what is in it."""
        self.own = {function.name: function for function in functions}
        """Functions of the tests' own."""
        for function in functions:
            self._follow(function)
        self._functions = functions
        self._entered: dict[object, set[str] | None] = {}

    def _follow(self, function: _Definition) -> None:
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

    def shares(self) -> bool:
        """Whether one function, or the module's own statements, mean shared values."""
        first = _Scope(self, self._theirs)
        if any(map(first.shares, _in_order(self._tree))):
            return True
        for function in self._functions:
            if function.name in _SETTING_UP and any(map(first.shares, _in_order(function))):
                return True
        return any(any(map(_Scope(self, self._theirs, first).shares, _in_order(one))) for one in self._functions)

    @functools.cached_property
    def asking(self) -> set[str]:
        """Names of functions of the tests' own that ask the candidate."""
        names = {name: _names(function) for name, function in self.own.items()}
        asking: set[str] = set()
        while more := {name for name, read in names.items() if name not in asking and read & (self._theirs | asking)}:
            asking |= more | {f"self.{name}" for name in more}
        return asking

    def enter(self, function: _Definition, scope: _Scope) -> set[str] | None:
        """What a function of the tests' own passes to the candidate, called from `scope`; None where it means shared values."""
        key = (function, frozenset(scope.theirs), frozenset(scope.given))
        if key not in self._entered:
            self._entered[key] = set()  # for one that calls itself
            self._entered[key] = None if any(map(scope.shares, _in_order(function))) else scope.given
        return self._entered[key]


class _Scope:
    """One function's names, statement by statement."""

    def __init__(self, reading: _Reading, theirs: set[str], around: _Scope | None = None) -> None:
        self._reading = reading
        self.theirs = set(theirs)
        """Names that lead to the candidate."""
        self._told: set[str] = set(around._told) if around else set()
        """Those of what was computed from its results."""
        self._live: set[str] = set()
        """Those of what was read off its objects."""
        self.given: set[str] = set(around.given) if around else set()
        """Those of what was passed to it."""
        self._wholes: dict[str, set[str]] = {name: set(of) for name, of in around._wholes.items()} if around else {}
        """Names of what a variable is a part or a view of, by its name."""
        self._from: dict[str, set[str]] = dict(around._from) if around else {}
        """What the candidate was asked for a result, by the result's name: its objects, and "" for its functions."""
        self._moved: set[str] = set()
        """Results whose object was called since."""
        self._set: set[str] = set()
        """Results that were changed."""
        self._changed = False

    def shares(self, node: ast.stmt) -> bool:
        """Whether the next statement shows that values are meant to be shared."""
        within = _within(node)
        asserts = _is_assertion(node)
        if (self._reading.memory and any(map(_asks_memory, within))) or (
            (asserts or (isinstance(node, ast.Assign) and _asks(within, self.theirs))) and any(map(_compares_identity, within))
        ):
            return True
        for inner in within:
            if isinstance(inner, ast.comprehension):
                for target, over in _iterated(inner):
                    self._assign(target, over, part=True)
            elif isinstance(inner, ast.NamedExpr):
                self._assign(inner.target, inner.value)
        calls = [inner for inner in within if isinstance(inner, ast.Call)]
        if asserts and self._asserts(node, within):
            return True
        if self._changed and _asks(within, self.theirs):
            return True
        targets = [target for inner in (node, *calls) for target in _changed_by(inner)]
        self._changed = self._changed or _changes(targets, self.theirs, self._live | self.given)
        self._set |= {name for inner in (node, *calls) for name in _items_set(inner) if name in self._from}
        for inner in within:
            if isinstance(inner, ast.Name | ast.Attribute) and self._means_inside(inner, calls):
                return True
        self._pass(calls)
        self._move(node, asserts)
        for target, value in _assigned(node):
            self._assign(target, value)
        for target, over in _iterated(node):
            self._assign(target, over, part=True)
        return False

    def _asserts(self, node: ast.stmt, within: list[ast.AST]) -> bool:
        """Whether an assertion shows it."""
        names = _names_in(within)
        if names <= self._reading.imported:
            return False
        parts = _parts(node)
        if any(self._shows(part, names if len(parts) == 1 else _names(part)) for part in parts):
            return True
        return len(names - self.theirs) > 0 and self._shows_in_turn(within[0])

    def _assign(self, target: ast.expr, value: ast.expr, *, part: bool = False) -> None:
        """A variable is set, to a part of `value` if `part`."""
        of = _root(target)
        if (
            isinstance(target, ast.Attribute | ast.Subscript)
            and of in self.theirs
            and of != f"self.{getattr(target, 'attr', '')}"
        ):
            self.given |= self._all_of(_sources(value) - self.theirs)  # kept by an object of the candidate's
            return
        names = _bound(target) - {""}
        made = value.elt if isinstance(value, ast.ListComp) else value
        read = _names(value)
        asked = _root(made) in self.theirs
        held = isinstance(value, ast.List | ast.Tuple) and any(
            isinstance(one, ast.Call | ast.Name) and _root(one) in self.theirs for one in value.elts
        )
        effect = bool(_computed_from(value) & self.given)
        for name in names - self._reading.imported:
            self._forget(name)
        if asked or held:
            self._live |= names if isinstance(made, ast.Attribute | ast.Subscript) else set()
            self.theirs |= names if isinstance(made, ast.Call) or held or part else set()
            self._told |= names
            if not held and not (isinstance(made, ast.Call) and _called(made)[:1].isupper()):
                self._from |= dict.fromkeys(names, self._origins(made))
        elif self._is_told(value, read):
            self._told |= names
        elif effect:
            self.given |= names
        sources = _sources(value) - self.theirs
        displayed = isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict) and not part
        for name in names:
            for source in sources - {name}:
                if not displayed:
                    self._wholes.setdefault(name, set()).add(source)
                if displayed or (not part and _is_whole(value)):
                    self._wholes.setdefault(source, set()).add(name)

    def _is_told(self, value: ast.expr, read: set[str]) -> bool:
        """Whether a value, that reads these names, comes from results of the candidate's: a display of its constants does not."""
        if not isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict) or any(isinstance(i, ast.Call) for i in _walk(value)):
            return bool(read & (self.theirs | self._told | self._reading.asking))
        return bool(read & (self.theirs - self._reading.imported | self._told))

    def _forget(self, name: str) -> None:
        """A variable that is set anew is another."""
        for names in (self.theirs, self._told, self._live, self.given, self._moved, self._set):
            names.discard(name)
        self._from.pop(name, None)
        if self._wholes.pop(name, None) or any(name in of for of in self._wholes.values()):
            for of in self._wholes.values():
                of.discard(name)

    def _all_of(self, names: set[str]) -> set[str]:
        """These, what they are parts of, and their parts."""
        found = set(names)
        for step in (self._wholes.get, self._parts_of):
            todo = list(names)
            seen = set(names)
            while todo:
                more = set(step(todo.pop()) or ()) - seen
                seen |= more
                todo += more
            found |= seen
        return found

    def _parts_of(self, name: str) -> set[str]:
        return {part for part, of in self._wholes.items() if name in of}

    def _shows(self, part: ast.AST, names: set[str]) -> bool:
        """Whether a part of an assertion reads what was passed to the candidate, or may be shared with it otherwise."""
        if self._reads(names, self.given):
            return True
        moved = names & self._moved
        if moved and not names & (self.theirs | self._told | self._reading.asking) - moved and _is_read_plainly(part, moved):
            return True
        asked = {"" if name in self._reading.imported else name for name in names & self.theirs}
        return any(asked & self._from[name] for name in self._set - names)

    def _reads(self, names: set[str], given: set[str]) -> bool:
        """Whether these names read what was passed to the candidate, and nothing of the candidate's."""
        return bool(names & given) and not names & (self.theirs | self._told | self._reading.asking)

    def _shows_in_turn(self, node: ast.AST) -> bool:
        """Whether something in a display, or after `and`, reads what was passed to the candidate right before."""
        for row in _in_turn(node, self.theirs):
            passed: set[str] = set()
            for one in row:
                if passed and self._reads(_names(one), passed):
                    return True
                passed |= self._passed([inner for inner in _walk(one) if isinstance(inner, ast.Call)])
        return False

    def _passed(self, calls: list[ast.Call]) -> set[str]:
        found: set[str] = set()
        for call in calls:
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            handed = _called(call) in _CALLING and any(
                isinstance(one, ast.Name | ast.Attribute) and _root(one) in self.theirs for one in arguments
            )
            if handed or _root(call.func) in self.theirs:
                found |= set().union(*map(_sources, arguments))
        return self._all_of(found - self.theirs) if found else found

    def _pass(self, calls: list[ast.Call]) -> None:
        self.given |= self._passed(calls)

    def _means_inside(self, node: ast.Name | ast.Attribute, calls: list[ast.Call]) -> bool:
        """Whether a function of the tests' own, called or handed on here, means shared values; notes what it passes on."""
        function = self._reading.own.get(node.attr if isinstance(node, ast.Attribute) else node.id)
        if function is None or (isinstance(node, ast.Attribute) and _root(node) != f"self.{node.attr}"):
            return False
        parameters = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args) if arg.arg not in ("self", "cls")]
        call = next((call for call in calls if call.func is node), None)
        passed: dict[str, ast.expr] = {}
        if call is not None:
            passed = dict(zip(parameters, call.args, strict=False)) | {one.arg: one.value for one in call.keywords if one.arg}
        scope = _Scope(self._reading, self.theirs - set(parameters), self)
        scope.given -= set(parameters)
        read = _names(function)
        for name, value in passed.items():
            if isinstance(value, ast.Name | ast.Attribute) and _root(value) in self.theirs:
                scope.theirs.add(name)
            elif _sources(value) & self.given:
                scope.given.add(name)
        scope.theirs &= read | self._reading.imported
        scope.given &= read
        if not (scope.given or scope.theirs & read or read & self._reading.asking):
            return False
        if (given := self._reading.enter(function, scope)) is None:
            return True
        local = set(parameters) | {
            inner.id for inner in _walk(function) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        }
        sources = set().union(*(_sources(passed[name]) for name in given & set(passed)))
        self.given |= self._all_of((sources | (given - local)) - self.theirs)
        return False

    def _origins(self, value: ast.AST) -> set[str]:
        """What of the candidate's was asked for a value; nothing where it is a copy."""
        if isinstance(value, ast.Call) and ("copy" in _called(value) or _called(value) == "clone"):
            return set()
        arguments = [*value.args, *(one.value for one in value.keywords)] if isinstance(value, ast.Call) else []
        names = {_root(value), *map(_root, arguments)} & self.theirs
        return {"" if name in self._reading.imported else name for name in names}

    def _move(self, node: ast.stmt, asserts: bool) -> None:
        """Note which results may have become others by this statement: one that calls, or sets something of, their object."""
        if isinstance(node, ast.Expr) and not asserts:
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if not isinstance(value, ast.Call) or _root(value) not in self.theirs:
                return
            self._moved |= set(map(_root, value.args)) & set(self._from)
            of = self._origins(value)
        else:
            targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
            targets = [node.target] if isinstance(node, ast.AugAssign) else targets
            of = {_root(one) for one in targets if isinstance(one, ast.Attribute | ast.Subscript)} & self.theirs
        if of:
            self._moved |= {name for name, origins in self._from.items() if origins & of and name not in of}


def _items_set(node: ast.AST) -> set[str]:
    """The variables that a statement or a call changes as one changes lists and arrays."""
    if isinstance(node, ast.Call) and _called(node) not in _OF_LISTS:
        return set()
    return {_root(target) for target in _changed_by(node)}


def _is_read_plainly(part: ast.AST, names: set[str]) -> bool:
    """Whether these are read as lists, dictionaries and arrays are: not by other attributes, and not held against a constant."""
    for node in _walk(part):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            return False
        if isinstance(node, ast.Attribute) and _root(node.value) in names and node.attr not in _OF_VALUES:
            return False
        if isinstance(node, ast.Compare | ast.Call):
            operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else node.args
            if any(_root(one) in names and isinstance(one, ast.Name | ast.Attribute) for one in operands) and any(
                isinstance(one, ast.Constant) for one in operands
            ):
                return False
    return True


def _assigned(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The targets of an assignment or a context, each with what it is set to; those of a tuple one by one."""
    pairs = [(target, node.value) for target in node.targets] if isinstance(node, ast.Assign) else []
    pairs += [(node.target, node.value)] if isinstance(node, ast.AnnAssign) and node.value is not None else []
    for target, value in pairs:
        parts = [one.elts for one in (target, value) if isinstance(one, ast.Tuple | ast.List)]
        if len(parts) == 2 and len(parts[0]) == len(parts[1]):
            yield from zip(*parts, strict=True)
        else:
            yield target, value
    for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
        if item.optional_vars is not None:
            yield item.optional_vars, item.context_expr


def _iterated(loop: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The targets of a loop or a comprehension, each with what it runs over."""
    if not isinstance(loop, ast.For | ast.AsyncFor | ast.comprehension):
        return
    target, over = loop.target, loop.iter
    name = _called(over) if isinstance(over, ast.Call) else ""
    if isinstance(over, ast.Call) and isinstance(target, ast.Tuple):
        if name == "zip" and len(target.elts) == len(over.args):
            yield from zip(target.elts, over.args, strict=True)
            return
        if name == "enumerate" and len(target.elts) == 2 and over.args:
            yield target.elts[1], over.args[0]
            return
    if name != "range":
        yield target, over


def _asks(within: list[ast.AST], theirs: set[str]) -> bool:
    return any(_root(inner) in theirs for inner in within if isinstance(inner, ast.Attribute | ast.Call | ast.Name))


def _changes(targets: list[ast.expr], theirs: set[str], values: set[str]) -> bool:
    """Whether what is changed is a value of the candidate's, or one of these."""
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


def _asks_memory(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _MEMORY
    if isinstance(node, ast.Compare):
        return isinstance(node.left, ast.Attribute) and node.left.attr == "base" and isinstance(node.ops[0], ast.Is | ast.IsNot)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("id", *_MEMORY) and len(node.args) > 0
    return isinstance(node, ast.Constant) and node.value == "OWNDATA"


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


def _walk(node: ast.AST) -> list[ast.AST]:
    """As `ast.walk`, in a third of the time."""
    found = [node]
    for one in found:
        for value in vars(one).values():
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
    return found


def _within(node: ast.stmt) -> list[ast.AST]:
    return [inner for part in _expressions(node) for inner in _walk(part)]


def _called(call: ast.Call) -> str:
    """The last part of the name under which a function is called."""
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _sources(value: ast.AST) -> set[str]:
    """The variables that a value is, holds, is a part or a view of, as far as it shows."""
    if isinstance(value, ast.Call):
        parts: list[ast.AST] = [value.func, *value.args] if _called(value) in _VIEWS else []
    elif isinstance(value, ast.Attribute | ast.Subscript):
        if _root(value).startswith("self."):
            return {_root(value)}
        parts = [value.value]
    elif isinstance(value, ast.Starred | ast.Await | ast.NamedExpr):
        parts = [value.value, *([value.target] if isinstance(value, ast.NamedExpr) else [])]
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        parts = [*value.elts]
    elif isinstance(value, ast.Dict):
        parts = [*value.values]
    elif isinstance(value, ast.IfExp):
        parts = [value.body, value.orelse]
    elif isinstance(value, ast.ListComp | ast.GeneratorExp):
        parts = [value.elt]
    else:
        return {value.id} if isinstance(value, ast.Name) else set()
    return set().union(*map(_sources, parts))


def _computed_from(value: ast.expr) -> set[str]:
    """The variables that a value is computed from as one looks at lists and arrays: `list(x)`, `x.tolist()`."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and hasattr(builtins, value.func.id) and value.args:
        return set() if value.func.id == "open" else set().union(*map(_computed_from, value.args))
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _OF_VALUES:
        return _computed_from(value.func.value)
    return _sources(value)


def _is_whole(value: ast.expr) -> bool:
    """Whether this is all of a variable, or a view of it, and not a part."""
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, ast.Slice | ast.Tuple)
    return isinstance(value, ast.Name | ast.Call) or (isinstance(value, ast.Attribute) and _root(value) == f"self.{value.attr}")


def _bound(target: ast.expr) -> set[str]:
    """The variables that a target sets."""
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*map(_bound, target.elts))
    return {_root(target.value if isinstance(target, ast.Starred) else target)}


def _in_turn(node: ast.AST, theirs: set[str]) -> Iterator[list[ast.expr]]:
    """What is evaluated in turn, with nothing made of both: displays, `and`, `or`; not what is passed to the candidate."""
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Call) and _root(node) in theirs:
            continue
        if isinstance(node, ast.Tuple | ast.List):
            yield node.elts
        elif isinstance(node, ast.BoolOp | ast.Dict | ast.JoinedStr):
            yield [one for one in node.values if one is not None]
        todo += ast.iter_child_nodes(node)


def _root(node: ast.AST) -> str:
    """The name that an expression of attributes, items and calls begins with; `self.name` counts as one."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Await):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
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
    """Whether a statement asserts something, or raises or fails where something is so.

    Calls of unittest's or NumPy's assertions are among them, and of the tests' own.
    """
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.If):
        then = node.body[0]
        fails = isinstance(then, ast.Expr) and isinstance(then.value, ast.Call) and _called(then.value) == "fail"
        return fails or isinstance(then, ast.Raise)
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    return _called(node.value).lower().lstrip("_").startswith(("assert", "check"))


def _parts(node: ast.stmt) -> list[ast.AST]:
    """What an assertion holds, one by one."""
    test: ast.AST = node.test if isinstance(node, ast.Assert | ast.If) else node
    return list(test.values) if isinstance(test, ast.BoolOp) else [test]


def _names(node: ast.AST) -> set[str]:
    return _names_in(_walk(node))


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    return {_root(inner) for inner in nodes if isinstance(inner, ast.Name | ast.Attribute)}


def _is_unique(node: ast.expr) -> bool:
    """Whether an operand is one object wherever it stands: a constant, a class, a member of an enumeration."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Call):
        return _root(node.func) == "type"
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name[:1].isupper() or hasattr(builtins, name) or name in ("__class__", "dtype", "device")
