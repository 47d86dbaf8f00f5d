"""Whether tests mean values that they share with the candidate, and not copies: a reading of their source, before anything runs.

They do where they
- call the candidate, or enter a context of its, and do not use what comes back, with a variable that they read afterwards
  (`f(x)`, then `assert x == [1, 2]`, `return x` or `g(x)`);
- use what comes back, and a later assertion reads such a variable without asking the candidate (`f(x) == 1`, then `x == [1]`);
- change something of the candidate's, or what they have passed to it, and ask it again (`bag.items["x"] = 1`, then
  `bag.count()`); a result by an item or as lists and arrays are changed, then ask what it came from in an assertion without it
  (`v = r.view()`, `v[0] = 5`, then `assert r.total() == 5`);
- keep a result, call what it came from in a statement of its own, and read the result without asking the candidate
  (`n = r.names()`, `r.add("b")`, then `assert list(n) == ["b"]`), but not next to a constant (`assert n == 1`);
- call the candidate and read a value that they have imported from it (`add(1)`, then `assert LOG == [1]`);
- have a lambda, or a function that they hand on, that changes what it is passed (`lambda xs: xs.pop()`) or what the candidate is
  passed (`f(x, lambda: x.append(1))`), or a class of their own, whose objects keep values;
- pass one variable twice (`f(x, x)`), compare by identity (`f(x) is x`), or ask where memory lies (`np.shares_memory`, `id`).

The candidate's is what leads to it (aliases, items, `getattr`), and what is called by any name that is not surely a library's, a
builtin or their own: a parameter, a variable of a loop. What operators on its objects get (`out << s`, `out in s`) is passed, and
what its decorators are called with. A function of their own that asks the candidate is called as the candidate is.

What is passed stands for more than its name: for what it is a part or a view of, and for its parts and views (`row = img[0]`,
`x.reshape(2, 2)`, `for row in img`), but not for numbers and texts. A variable that is set anew is another. In a tuple, a list, a
dictionary, `and`, `or` and `if`, what stands later is read later (`(f(x), x) == (1, [1])`, `x if r is None else r`); in a
comparison it is not, for `f(x) == x` compares a result. So does what is computed from a result.

Only the tests are read, never the candidate: otherwise it could choose to be judged in the weaker way. Where there is doubt,
values are shared: that costs time, and hides nothing.

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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CHANGING = _words(
    """append extend insert sort reverse pop remove clear appendleft extendleft popleft rotate add update discard setdefault
    popitem difference_update intersection_update fill resize partition fill_ add_ sub_ mul_ div_ zero_ copy_"""
)
"""Methods by which lists, dictionaries, sets, queues and arrays are changed."""
_VIEWS = _words(
    """view reshape ravel transpose swapaxes squeeze unsqueeze diagonal expand narrow permute flatten select unbind split numpy
    detach asarray from_numpy as_tensor frombuffer memoryview get setdefault keys values items iter next reversed zip enumerate
    filter t"""
)
"""Functions and methods whose result has memory, or items, in common with what they are called on or with."""
_CALLING = _words(
    """map starmap filter reduce partial submit apply apply_async Thread to_thread run_in_executor raises warns assertRaises
    assertRaisesRegex assertWarns"""
)
"""Functions of libraries that call a function which they are handed."""
_MEMORY = r"shares_memory|may_share_memory|data_ptr|owndata|OWNDATA|__array_interface__|\bid\(|\bmap\(id\b|\.base is\b"
"""Words of those who ask where memory lies."""
_OF_VALUES = _words(
    """tolist sum item all any mean max min shape size T flat numpy copy keys values items get index count decode equal equals"""
)
"""What lists, dictionaries and arrays are read by; other attributes are those of an object of the candidate's."""
_NUMBERS = _words("len int float str bool round repr ord chr range")
"""Builtins whose results cannot be changed."""
_FIXTURES = _words("request monkeypatch mocker capsys capfd caplog recwarn tmp_path tmpdir tmp_path_factory subtests benchmark")
"""Parameters that pytest and its plugins fill."""
_POSSIBLY = re.compile(
    rf"\bis\b|\bassertIs|==\s*None\b|:=|\blambda\b|\bfor\s|{_MEMORY}"  # identity, None for a result, a variable
    rf"|\.(?:{'|'.join(sorted(_CHANGING))})\s*\(|\bdef test\w*\((?!self\))\w|\bimport\b.*\b[A-Z][A-Z_]+\b"  # what changes, or may
    r"|(?:^|[;:])[ \t]*(?!(?:assert|from|import|def|class|return|pass|if|try|else)\b)[\w\[({@]",  # any other statement
    re.MULTILINE,
)
"""What must be somewhere in tests that mean shared values: most have none, and parsing is a twentieth of a short run."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_Function = _Definition | ast.Module | ast.Lambda
_Display = ast.List | ast.Tuple | ast.Set
_SETTING_UP = ("setUp", "setUpClass", "setup_method", "setup_class", "setup", "setup_function")


def says_in_place(tests: str, module: str, entry_point: str = "") -> bool:
    """Whether these tests mean values that they share with the candidate `module`. Tests that do not parse do not."""
    if _POSSIBLY.search(tests) is None:
        return False
    try:
        tree = parse(tests)
        if re.search(_MEMORY, tests):
            return True
        nodes = _walk(tree)
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        handed_on = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}
        changers = [node for node in nodes if isinstance(node, ast.Lambda) or getattr(node, "name", "") in handed_on]
        if any(map(_keeps, nodes)) or any(_changed_in(node) & set(_parameters(node)) for node in changers):
            return True
        reading = _Reading(tree, nodes, module, entry_point)
        reading.changing = set().union(*map(_changed_in, changers))
        return reading.shares()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _keeps(node: ast.AST) -> bool:
    """Whether this is a class of the tests' own that is not a class of tests."""
    if not isinstance(node, ast.ClassDef):
        return False
    above = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return not any(name.startswith("Test") or name.endswith(("TestCase", "Error", "Exception")) for name in (node.name, *above))


def _changed_in(node: ast.AST) -> set[str]:
    """The variables that a function changes in place."""
    return {_root(target) for inner in _walk(node) for target in _changed_by(inner)} if isinstance(node, _Function) else set()


def _parameters(function: ast.AST) -> list[str]:
    if not isinstance(function, _Definition | ast.Lambda):
        return []
    args = function.args
    return [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs) if arg.arg not in ("self", "cls")]


class _Reading:
    """Which names lead to the candidate, and what is done with them."""

    def __init__(self, tree: ast.Module, nodes: list[ast.AST], module: str, entry_point: str) -> None:
        self.changing: set[str] = set()
        """Variables that a function changes which may be handed to the candidate."""
        self.module = module
        self.theirs = {module, entry_point} - {""}
        self.foreign = set(dir(builtins)) | {"__name__", "__file__"} | _FIXTURES
        """Names of builtins, of libraries, of the tests' own classes, and of what pytest gives."""
        self.own: dict[str, _Definition | ast.Lambda] = {}
        """Functions of the tests' own."""
        bound: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.ImportFrom | ast.Import):
                own = isinstance(node, ast.ImportFrom) and node.module == module
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    (self.theirs if own or alias.name == module else self.foreign).add(name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(getattr(node, "name", None), str):  # definitions, handlers, patterns
                bound.add(node.name)  # type: ignore[attr-defined]
                self.own |= {node.name: node} if isinstance(node, _Definition) else {}
                self.foreign |= {node.name} if isinstance(node, ast.ClassDef) else set()
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda) and isinstance(node.targets[0], ast.Name):
                self.own[node.targets[0].id] = node.value
        # What the tests have from nowhere is the candidate's.
        loaded = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        self.theirs |= loaded - bound - self.foreign
        self.made = {
            _root(node.targets[0])
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and not _roots(node.value) - self.foreign
        }
        """What libraries made."""
        self._functions = [node for node in nodes if isinstance(node, _Definition)]
        if entry_point:
            self.theirs.update(arg for function in self._functions if function.name == "check" for arg in _parameters(function))
        self.imported = frozenset(self.theirs)
        """The candidate's module and what is in it."""
        called = {_called(node) for node in nodes if isinstance(node, ast.Call)} | {module, entry_point}
        places = {id(node): node.id for node in nodes if isinstance(node, ast.Name) and node.id in self.imported}
        places |= {id(node): node.attr for node in nodes if isinstance(node, ast.Attribute) and _names(node) == {module}}
        classes = {name for name in places.values() if name[:1].isupper() and not (len(name) > 1 and name.isupper())}
        self.data = {place for place, name in places.items() if name not in called | classes}
        """Where values of the candidate's are named that are neither called, so far as it shows, nor classes."""
        self._tree = tree
        self._inside: dict[object, _Scope] = {}
        for node in nodes:
            if isinstance(node, _Definition | ast.ClassDef):
                self._follow(node)

    def _follow(self, scope: _Definition | ast.ClassDef) -> None:
        """Note what is made of the candidate's objects: attributes of `self` or a class, and what is returned, as by fixtures."""
        theirs = set(self.theirs)
        for node in _in_order(scope):
            for target, value in _assigned(node):
                if isinstance(scope, ast.ClassDef) and _roots(value) & theirs:
                    theirs.add(f"self.{_root(target)}")
                elif isinstance(value, ast.Call) and _root(value) in theirs:
                    theirs.add(_root(target))
            given = node.value if isinstance(node, ast.Return | ast.Expr) else None
            if isinstance(node, ast.Expr):
                given = given.value if isinstance(given, ast.Yield) else None
            if given is not None and _roots(given) & theirs:
                self.theirs.add(scope.name)
        self.theirs |= {name for name in theirs if name.startswith("self.")}

    def shares(self) -> bool:
        """Whether one function, or the module's own statements, mean shared values."""
        first = _Scope(self, self._tree)
        if any(map(first.shares, _in_order(self._tree))):
            return True
        for function in self._functions:
            if function.name in _SETTING_UP and any(map(first.shares, _in_order(function))):
                return True
        self._inside.clear()
        return any(self.inside(function, first).shared for function in self._functions)

    def inside(self, function: _Definition | ast.Lambda, around: _Scope) -> _Scope:
        """The scope of a function of the tests' own, read to its end."""
        if function not in self._inside:
            scope = self._inside[function] = _Scope(self, function, around)
            scope.shared = any(map(scope.shares, _in_order(function)))
        return self._inside[function]

    def called(self, function: _Function) -> set[str]:
        """Names under which something is called that may be the candidate's: no library's, and no function of the tests' own."""
        calls = {node.func.id for node in _walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        return calls - (self.foreign | self.made | self.own.keys() - {*_parameters(function)})

    @functools.cached_property
    def asking(self) -> set[str]:
        """Names of functions of the tests' own that ask the candidate."""
        names = {name: _names(function) for name, function in self.own.items()}
        asking = {name for name, read in names.items() if read & self.theirs or self.called(self.own[name])}
        while more := {
            name for name, read in names.items() if name not in asking and read & (asking | {f"self.{n}" for n in asking})
        }:
            asking |= more
        return asking | {f"self.{name}" for name in asking}


class _Scope:
    """One function's names, statement by statement."""

    def __init__(self, reading: _Reading, function: _Function, around: _Scope | None = None) -> None:
        parameters = set(_parameters(function))
        self._reading = reading
        self.shared = False
        self._called = frozenset() if isinstance(function, ast.Module) else frozenset(reading.called(function) - reading.imported)
        """Names under which this function calls what may be the candidate's, whatever they were set to."""
        self.theirs: set[str] = reading.theirs | (around.theirs if around else set()) | self._called
        """Names that lead to the candidate."""
        self._told: set[str] = set(around._told) if around else set()
        """Those of what was computed from its results."""
        self._live: set[str] = set()
        """Those of what was read off its objects."""
        self.given: set[str] = around.given - parameters if around else set()
        """Those of what was passed to it."""
        self.effects: set[str] = around.effects - parameters if around else set()
        """Those of what was passed to it in a call whose value nobody uses."""
        self._fixed: set[str] = around._fixed - parameters if around else set()
        """Those of numbers and texts."""
        self._wholes: dict[str, set[str]] = {name: set(of) for name, of in around._wholes.items()} if around else {}
        """Names of what a variable is a part or a view of, by its name."""
        self._from: dict[str, set[str]] = dict(around._from) if around else {}
        """What the candidate was asked for a result, by the result's name: its objects, and "" for its functions."""
        self._moved: set[str] = set()
        """Results whose object was called since."""
        self._set: set[str] = set()
        """Results that were changed."""
        self._changed = False
        self._asked = False
        self.local = parameters | {
            inner.id
            for inner in (_walk(function) if around else ())
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        }
        for decorator in getattr(function, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and _called(decorator) == "parametrize" and len(decorator.args) > 1:
                names = decorator.args[0]
                if isinstance(names, ast.Constant) and _is_fixed(decorator.args[1], items=True):
                    self._fixed |= set(re.findall(r"\w+", str(names.value)))

    def shares(self, node: ast.stmt) -> bool:
        """Whether the next statement shows that values are meant to be shared."""
        within = _within(node)
        asserts = self._asserting(node)
        asks = _asks(within, self.theirs)
        if (asserts or (isinstance(node, ast.Assign) and asks)) and any(map(_compares_identity, within)):
            return True
        for inner in within:
            if isinstance(inner, ast.comprehension):
                for target, over in _iterated(inner):
                    self._assign(target, over, part=True)
            elif isinstance(inner, ast.NamedExpr):
                self._assign(inner.target, inner.value)
        names = _names_in(inner for inner in within if isinstance(getattr(inner, "ctx", None), ast.Load))
        own = [function for inner in within if (function := self._own(inner)) is not None]
        insides = [self._reading.inside(function, self) for function in own]
        read = names.union(*(_names(function) - inside.local for function, inside in zip(own, insides, strict=True)))
        if (self.effects & read) or (self._changed and asks) or (asserts and self._asserts(node, within)):
            return True
        if names - self._reading.imported - self._reading.foreign and self._shows_in_turn(within):
            return True
        changes = [node, *(inner for inner in within if isinstance(inner, ast.Call))]
        targets = [target for inner in changes for target in _changed_by(inner)]
        self._changed = self._changed or self._changes(targets)
        self._set |= {_root(target) for target in targets} & self._from.keys()
        self._asked = self._asked or asks
        for inside in insides:
            self.given |= self._all_of(inside.given - inside.local - self.theirs)
            self.effects |= self._all_of(inside.effects - inside.local)
        unused = {id(one) for one in self._unused(node, asserts)}
        if any(self._pass(one, id(one) in unused) for one in (node, *within)):
            return True
        for target, value in _assigned(node):
            self._assign(target, value)
            self._move({_root(target)} if isinstance(target, ast.Attribute | ast.Subscript) else set())
        for target, over in _iterated(node):
            self._assign(target, over, part=True)
        return False

    def _own(self, node: ast.AST) -> _Definition | ast.Lambda | None:
        """The function of the tests' own that is called, or handed on, by this name."""
        if isinstance(node, ast.Attribute):
            return self._reading.own.get(node.attr) if _root(node) == f"self.{node.attr}" else None
        return self._reading.own.get(node.id) if isinstance(node, ast.Name) else None

    def _asserting(self, node: ast.stmt) -> bool:
        """Whether a statement asserts something, or calls a function of the tests' own that does."""
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            return _is_assertion(node)
        function = self._own(node.value.func)
        return _is_assertion(node) if function is None else any(isinstance(inner, ast.Assert) for inner in _walk(function))

    # What is passed to the candidate

    def _unused(self, node: ast.stmt, asserts: bool) -> list[ast.AST]:
        """What a statement does for its effect: calls and operators whose value nobody uses."""
        todo: list[ast.AST] = []
        if isinstance(node, ast.Expr) and not (asserts and self._own(getattr(node.value, "func", node)) is None):
            todo = [node.value]
        elif isinstance(node, ast.With | ast.AsyncWith):
            todo = [item.context_expr for item in node.items if _root(item.context_expr) in self.theirs]
        elif isinstance(node, ast.AugAssign):
            todo = [node]
        elif isinstance(node, _Definition | ast.ClassDef):
            todo = [*node.decorator_list]
        for one in todo:
            if isinstance(one, ast.Await | ast.Starred | ast.NamedExpr):
                todo.append(one.value)
            elif isinstance(one, ast.ListComp | ast.SetComp | ast.GeneratorExp):
                todo.append(one.elt)
            elif isinstance(one, ast.Call) and not self._is_asked(one.func) and _called(one) not in _CHANGING | {"print"}:
                todo += one.args  # `list(map(f, rows))`, `asyncio.run(f(x))`
            elif isinstance(one, ast.BoolOp | ast.IfExp | ast.BinOp | ast.Compare):
                todo += [child for child in ast.iter_child_nodes(one) if isinstance(child, ast.expr)]
        return todo

    def _is_asked(self, func: ast.expr, unsure: bool = True) -> bool:
        """Whether what is called is the candidate's, or may be, if `unsure`."""
        root = _root(func)
        if _roots(func) & (self.theirs | self._reading.asking):
            return True
        foreign = self._reading.foreign | self._reading.own.keys() | self._reading.made
        known = not root or root in foreign or root.startswith("self.") or getattr(func, "attr", "") in _CHANGING | _OF_VALUES
        return unsure and not known

    def _is_object(self, node: ast.AST) -> bool:
        """Whether an operand is an object of a class of the candidate's."""
        if isinstance(node, ast.Call):
            return _root(node) in self.theirs and _called(node)[:1].isupper()
        return isinstance(node, ast.Name | ast.Attribute) and _root(node) in self.theirs - self._from.keys()

    def _passed(self, node: ast.AST, unsure: bool = False) -> list[ast.expr]:
        """What a call or an operator passes to the candidate."""
        if isinstance(node, ast.Call):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            handed = _called(node) in _CALLING and any(
                isinstance(one, ast.Name | ast.Attribute) and _root(one) in self.theirs for one in arguments
            )
            return arguments if handed or self._is_asked(node.func, unsure) else []
        if isinstance(node, ast.BinOp):
            sides = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            sides = [node.target, node.value]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            return [node.left] if self._is_object(node.comparators[0]) else []
        else:
            return []
        return [side for side, other in zip(sides, reversed(sides), strict=True) if self._is_object(other)]

    def _pass(self, node: ast.AST, unused: bool) -> bool:
        """Note what a call or an operator passes to the candidate; whether that shows that values are shared."""
        passed = self._passed(node, unused)
        if not passed and not unused:
            return False
        objects = self.theirs - self._from.keys()
        names = self._all_of(set().union(*map(_sources, passed)))
        self.given |= names - self.theirs
        if unused:
            own = self._own(node.func) if isinstance(node, ast.Call) else None
            if own is None or self._reading.inside(own, self).effects:
                self.effects |= names - objects - self._fixed - self._reading.foreign
            if isinstance(node, ast.Call) and _root(node) in self.theirs:
                self._move(self._origins(node))
        twice = list(_plainly(passed))
        known = objects | self._fixed | self._reading.foreign | self._reading.own.keys()
        return bool(names & self._reading.changing) or any(twice.count(name) > 1 for name in {*twice} - known)

    def _move(self, of: set[str]) -> None:
        """These of the candidate's were called, or something of them was set: which results may have become others."""
        if of & (self.theirs | {""}):
            self._moved |= {name for name, origins in self._from.items() if origins & of and name not in of}

    def _origins(self, value: ast.AST) -> set[str]:
        """What of the candidate's was asked for a value; nothing where it is a copy."""
        if isinstance(value, ast.Call) and ("copy" in _called(value) or _called(value) == "clone"):
            return set()
        arguments = [*value.args, *(one.value for one in value.keywords)] if isinstance(value, ast.Call) else []
        names = {_root(value), *map(_root, arguments)} & self.theirs
        return {"" if name in self._reading.imported else name for name in names}

    # What is read afterwards

    def _asserts(self, node: ast.stmt, within: list[ast.AST]) -> bool:
        """Whether an assertion shows it."""
        if self._asked and any(id(inner) in self._reading.data for inner in within):
            return True
        return any(self._shows(part, _names(part)) for part in _parts(node))

    def _shows(self, part: ast.AST, names: set[str]) -> bool:
        """Whether a part of an assertion reads what was passed to the candidate, or may be shared with it otherwise."""
        if self._reads(names, self.given):
            return True
        moved = names & self._moved
        if moved - _beside_constants(part) and not names & (self.theirs | self._told | self._reading.asking) - moved:
            return True
        asked = {"" if name in self._reading.imported else name for name in names & self.theirs}
        return any(asked & self._from[name] for name in self._set - names)

    def _reads(self, names: set[str], given: set[str]) -> bool:
        """Whether these names read what was passed to the candidate, and nothing of the candidate's."""
        return bool(names & given) and not names & (self.theirs | self._told | self._reading.asking)

    def _shows_in_turn(self, within: list[ast.AST]) -> bool:
        """Whether something in a display, or after `and`, `or` or `if`, reads what was passed to the candidate right before."""
        for row in _in_turn(within, self.theirs):
            chosen = not isinstance(row, list)
            passed: set[str] = set()
            for one in row:
                names = _names(one)
                if passed and self._reads(names, passed):
                    return True
                for inner in _walk(one):
                    passed |= self._all_of(set().union(*map(_sources, self._passed(inner)))) - self.theirs
                if chosen and names & (self._told | self.theirs):
                    passed |= self.given
        return False

    # What variables are

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
        asked = bool((_roots(made) if isinstance(made, ast.IfExp) else {_root(made)}) & self.theirs)
        held = isinstance(value, _Display | ast.Dict) and bool(_roots(value) & self.theirs)
        effect = bool(_computed_from(value) & self.given)
        for name in names - self._reading.imported:
            self._forget(name)
        if asked or held:
            self._live |= names if isinstance(made, ast.Attribute | ast.Subscript) else set()
            self.theirs |= names if not isinstance(made, ast.Attribute | ast.Subscript | ast.Name) or held or part else set()
            self._told |= names
            if not held and not (isinstance(made, ast.Call) and _called(made)[:1].isupper()):
                self._from |= dict.fromkeys(names, self._origins(made))
        elif self._is_told(value, read):
            self._told |= names
        elif effect:
            self.given |= names
        self._fixed |= names if _is_fixed(value, items=part) else set()
        sources = _sources(value) - self.theirs
        displayed = isinstance(value, _Display | ast.Dict) and not part
        for name in names:
            for source in sources - {name}:
                if not displayed:
                    self._wholes.setdefault(name, set()).add(source)
                if displayed or (not part and _is_whole(value)):
                    self._wholes.setdefault(source, set()).add(name)

    def _is_told(self, value: ast.expr, read: set[str]) -> bool:
        """Whether a value, that reads these names, comes from results of the candidate's: a display of its constants does not."""
        if not isinstance(value, _Display | ast.Dict) or any(isinstance(i, ast.Call) for i in _walk(value)):
            return bool(read & (self.theirs | self._told | self._reading.asking))
        return bool(read & (self.theirs - self._reading.imported | self._told))

    def _forget(self, name: str) -> None:
        """A variable that is set anew is another."""
        for names in (
            self.theirs,
            self._told,
            self._live,
            self.given,
            self.effects,
            self._fixed,
            self._moved,
            self._set,
        ):
            names.discard(name)
        self.theirs |= {name} & self._called
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

    def _changes(self, targets: list[ast.expr]) -> bool:
        """Whether what is changed is a value of the candidate's, or was passed to it."""
        values = self._live | self.given | self._reading.imported
        return any(_is_read_off(target, self.theirs) or _root(target) in values for target in targets)


def _beside_constants(part: ast.AST) -> set[str]:
    """The variables that are held against a constant."""
    found: set[str] = set()
    for node in _walk(part):
        operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else getattr(node, "args", [])
        if isinstance(node, ast.Compare | ast.Call) and any(isinstance(one, ast.Constant) for one in operands):
            found |= {_root(one) for one in operands if isinstance(one, ast.Name | ast.Attribute)}
    return found


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
            yield target.elts[0], ast.Constant("")
            yield target.elts[1], over.args[0]
            return
    yield target, over


def _asks(within: list[ast.AST], theirs: set[str]) -> bool:
    return any(_root(inner) in theirs for inner in within if isinstance(inner, ast.Attribute | ast.Call | ast.Name))


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


def _in_order(scope: _Function | ast.ClassDef) -> Iterator[ast.stmt]:
    """The statements of a scope, those inside others too, but for those of functions and classes in it; a lambda is one."""
    todo: list[ast.AST] = [ast.Expr(scope.body)] if isinstance(scope, ast.Lambda) else list(reversed(scope.body))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, _Definition | ast.ClassDef):
            continue
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


def _in_turn(within: list[ast.AST], theirs: set[str]) -> Iterator[list[ast.expr] | tuple[ast.expr, ...]]:
    """What is evaluated in turn, with nothing made of both: displays, and tuples for choices; nothing passed to the candidate."""
    inside = {id(one) for call in within if isinstance(call, ast.Call) and _root(call) in theirs for one in _walk(call)}
    for node in within:
        if id(node) in inside:
            continue
        if isinstance(node, ast.Tuple | ast.List):
            yield node.elts
        elif isinstance(node, ast.Dict | ast.JoinedStr):
            yield [one for one in node.values if one is not None]
        elif isinstance(node, ast.BoolOp):
            yield tuple(node.values)
        elif isinstance(node, ast.IfExp):
            yield (node.test, node.body, node.orelse)


def _root(node: ast.AST) -> str:
    """The name that an expression of attributes, items and calls begins with; `self.name` counts as one."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Await):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            return f"self.{node.attr}"
        if isinstance(node, ast.Call) and _called(node) in ("getattr", "partial", "staticmethod", "param") and node.args:
            node = node.args[0]
        else:
            node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _roots(node: ast.AST) -> set[str]:
    """The roots of what a value may be, or holds, but for attributes and items of them."""
    if isinstance(node, ast.IfExp):
        return _roots(node.body) | _roots(node.orelse)
    if isinstance(node, _Display | ast.Dict):
        return set().union(*map(_roots, node.values if isinstance(node, ast.Dict) else node.elts))
    return {_root(node)}


def _plainly(values: Iterable[ast.AST]) -> Iterator[str]:
    """The variables among values, and in the displays among them, as often as they stand there."""
    for value in values:
        if isinstance(value, ast.Name):
            yield value.id
        elif isinstance(value, _Display | ast.Dict):
            yield from _plainly(value.values if isinstance(value, ast.Dict) else value.elts)


def _is_fixed(value: ast.AST, *, items: bool) -> bool:
    """Whether a value, or each of its items, is surely a number, a text or a tuple of them."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in _NUMBERS
    if isinstance(value, ast.Tuple) or (items and isinstance(value, ast.List | ast.Set)):
        return all(_is_fixed(one, items=False) for one in value.elts)
    if isinstance(value, ast.BinOp):
        return _is_fixed(value.left, items=False) and _is_fixed(value.right, items=False)
    return isinstance(value, ast.Constant | ast.JoinedStr) or (
        isinstance(value, ast.UnaryOp) and _is_fixed(value.operand, items=False)
    )


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
