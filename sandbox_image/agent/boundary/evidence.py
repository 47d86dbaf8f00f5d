"""Which assertions have no evidence: the candidate gave all that meets in them.

`assert f(3) == 9` has a value of the tests' own that one of the candidate's meets. `assert f(1) == f(2)` has none, nor has
`len({f(1), f(2)}) == 1`: what is written out there is no more than what any comparison gives. What an expression is made of is
followed through variables, attributes, conditions, loops, comprehensions and functions of the tests' own. What is passed to the
candidate does not matter, for it gives the answer; of several values the one decides that says least.

Left out: how often its values agree (`n == 3`); returns before a `fail()`; identity, which the boundary keeps itself; and what
the candidate does to the tests' own lists and objects (`sharing.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..expected import Reading
from ..light_tests import (
    COMPARING,
    TRUTHS,
    Definition,
    asserts_another_thing,
    compared_by,
    is_check,
    is_neutral,
    is_written_out,
    last_name,
)
from .kinds import THEIRS, Kind, chosen, compared, deciding, filtered, identical, item, together

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
_ROW = (ast.Tuple, ast.List)
_DIFFERENCES = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.BitXor)
_COMPARING = frozenset(("__eq__", "__ne__", "__contains__", "issubset", "issuperset", "isdisjoint", "startswith", "endswith"))
"""Methods that compare what they are called on."""
_SPREADS = frozenset(
    (
        *("set", "frozenset", "Counter", "fromkeys", "unique", "nunique"),
        *("diff", "ptp", "std", "var", "stdev", "variance", "pstdev", "pvariance"),
    )
)
"""What shows of several values how they differ."""
_EMPTY = frozenset(("set", "dict", "list", "tuple", "frozenset", "Counter", "zeros", "zeros_like"))
"""What makes nothing of nothing: as neutral as what is written out."""
_ASKING = frozenset(("isinstance", "issubclass", "hasattr", "callable"))
_FILLING = frozenset(("append", "appendleft", "add", "extend", "insert", "update", "put"))
_SELF = ("self", "cls")
_CATCHING = frozenset(("raises", "assertRaises", "assertRaisesRegex", "warns"))
_DEEPEST = 6
"""Calls of the tests' own functions in each other that are followed."""
_PASSES = 4


class Evidence:
    """Reads the assertions of one file of tests. `given` are names of Python's and of libraries'."""

    def __init__(self, tree: ast.Module, reading: Reading, given: frozenset[str], entry_point: str) -> None:
        self.given, self.foreign, self.taken, self.imports = given, reading.foreign, reading.taken, reading.imports
        self.entry_point = entry_point
        self.attributes: dict[str, Kind] = {}
        """Of the tests' own objects, as `self.stack`."""
        self.methods: dict[str, Definition] = {}
        self.classes: set[str] = set()
        self.depth = 0
        """How many calls of functions are being followed."""
        self._known: dict[tuple[int, int, tuple[tuple[str, Kind], ...]], _Frame] = {}
        self._assertions: dict[tuple[int, int], list[tuple[list[Definition], ast.stmt]]] = {}
        self._functions: list[list[Definition]] = []
        """Each with those around it."""
        self._sets_elsewhere = False
        self._enter(tree, [])
        self.module = _Frame(self, tree, None, {})
        self.module.read()
        self._known.clear()  # not all of the module was known then
        if self._sets_elsewhere:
            self._read_functions()

    def is_lacking(self, line: int, column: int) -> bool:
        """Whether the assertion that stands there has none."""
        return any(self._frame(functions).lacks(node) for functions, node in self._assertions.get((line, column), ()))

    def frame(self, function: Function, outer: _Frame, given: dict[str, Kind]) -> _Frame:
        """What the names of a function hold where it is called with this."""
        key = id(function), id(outer), tuple(sorted(given.items()))
        if key not in self._known:
            self._known[key] = found = _Frame(self, function, outer, given)
            self.depth += 1
            found.read()
            self.depth -= 1
        return self._known[key]

    def _frame(self, functions: list[Definition]) -> _Frame:
        frame = self.module
        for one in functions:
            frame = self.frame(one, frame, {})
        return frame

    def _read_functions(self) -> None:
        """Learn what functions set elsewhere: attributes, and names of the module."""
        before: object = None
        while before != (self.attributes, self.module.lasting):
            before = dict(self.attributes), dict(self.module.lasting)
            self._known.clear()
            for functions in self._functions:
                self._frame(functions)

    def _enter(self, node: ast.AST, functions: list[Definition]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = functions
            if isinstance(child, Definition):
                inner = [*functions, child]
                self._functions.append(inner)
                if isinstance(node, ast.ClassDef):
                    self.methods[child.name] = child
            elif isinstance(child, ast.ClassDef):
                self.classes.add(child.name)
            elif isinstance(child, ast.Global):
                self._sets_elsewhere = True
            elif isinstance(child, ast.Assign):
                self._sets_elsewhere |= any(isinstance(one, ast.Attribute) for one in child.targets)
            elif isinstance(child, ast.Assert | ast.Expr | ast.If | ast.While):
                self._assertions.setdefault((child.lineno, child.col_offset), []).append((functions, child))
            if not isinstance(child, ast.expr):
                self._enter(child, inner)


class _Frame:
    """The names of a function where it is called, or of the module, and of what kind they are."""

    def __init__(self, file: Evidence, node: ast.Module | Function, outer: _Frame | None, given: dict[str, Kind]) -> None:
        self._file, self._node, self._outer, self._given = file, node, outer, given
        self.returned = Kind.NEUTRAL
        self._has_lacking: bool | None = None
        self._functions: dict[str, Function] = {}
        self._kinds: dict[str, Kind] = {}
        self._before: dict[str, Kind] = {}
        self.lasting: dict[str, Kind] = {}
        """What functions inside make of names."""
        self._instances: set[str] = set()
        """Names of objects of the tests' own classes."""
        self._local: list[dict[str, Kind]] = []
        """Names of the comprehensions that are being read."""
        self._outside: set[str] = set()
        """Names that are set around it: `global`."""
        self._loops = False
        self._blank: frozenset[str] = frozenset()
        """Names that are being set: what they add to themselves is known already."""

    def read(self) -> None:
        """Learn what the names hold, until nothing new is found."""
        for _ in range(_PASSES):
            self._before, self._kinds = self._kinds, {}
            if not isinstance(self._node, ast.Module):
                self._take_parameters(self._node)
            if isinstance(self._node, ast.Lambda):
                self.returned = self.kind(self._node.body)
            else:
                self._block(self._node.body, Kind.NEUTRAL)
            if self._kinds == self._before or not self._loops:
                break

    # Assertions

    def lacks(self, node: ast.stmt) -> bool:
        """Whether a statement is an assertion without evidence, or calls a function of the tests' own in which one is then."""
        if isinstance(node, ast.Assert) or is_check(node):
            return self._truth(node.test) is Kind.AGREEMENT  # type: ignore[attr-defined]
        if not isinstance(node, ast.Expr):
            return False
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            if (called := self._called(value)) is not None:
                return called.has_lacking()
            return last_name(value).startswith("assert") and self._truth(value) is Kind.AGREEMENT
        return isinstance(value, ast.BoolOp) and self._truth(value) is Kind.AGREEMENT

    def has_lacking(self) -> bool:
        """Whether any assertion of the function is without evidence."""
        if self._has_lacking is None:
            self._has_lacking = False  # where it calls itself
            body = [] if isinstance(self._node, ast.Lambda) else self._node.body
            self._has_lacking = any(map(self.lacks, _statements(body)))
        return self._has_lacking

    def _truth(self, node: ast.expr) -> Kind:
        kind = self.kind(node)
        return Kind.AGREEMENT if kind is Kind.MET else kind

    # Statements

    def _block(self, body: list[ast.stmt], under: Kind) -> None:
        for node in body:
            self._statement(node, under)

    def _statement(self, node: ast.stmt, under: Kind) -> None:
        """Note what a statement does to names. `under` says what decides whether it runs, if it says anything."""
        if isinstance(node, Definition):
            self._functions[node.name] = node
            return
        if isinstance(node, ast.ClassDef):
            self._class(node)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in self._file.imports(node):
                self._set(name, Kind.GIVEN)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self._outside |= set(node.names)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value, under)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value is not None:
            self._bind(node.target, node.value, under)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._loops = True
            self._bind_items(node.target, node.iter)
        elif isinstance(node, ast.With | ast.AsyncWith):
            self._with(node)
        elif isinstance(node, ast.Return) and node.value is not None:
            self.returned = max(self.returned, chosen(self.kind(node.value), under))
        elif isinstance(node, ast.If | ast.While):
            self._loops |= isinstance(node, ast.While)
            under = max(under, deciding(self._truth(node.test)))
        elif isinstance(node, ast.Expr):
            self._expression(node.value, under)
        elif isinstance(node, ast.Assert):
            self.kind(node.test)
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            if isinstance(part, ast.ExceptHandler) and part.name:
                self._set(part.name, self._raised_in(node.body))  # type: ignore[attr-defined]
            for field in ("body", "orelse", "finalbody"):
                self._block(getattr(part, field, []), under)

    def _class(self, node: ast.ClassDef) -> None:
        for inner in node.body:
            if isinstance(inner, ast.Assign):
                for target in inner.targets:
                    if isinstance(target, ast.Name):
                        self._set(f"self.{target.id}", self.kind(inner.value))
                        self._set(f"{node.name}.{target.id}", self.kind(inner.value))

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for one in node.items:
            if one.optional_vars is None:
                continue
            if last_name(one.context_expr) in _CATCHING:
                self._set_all(one.optional_vars, self._raised_in(node.body))
            else:
                self._bind(one.optional_vars, one.context_expr, Kind.NEUTRAL)

    def _raised_in(self, body: list[ast.stmt]) -> Kind:
        """What an error is that comes from there: the candidate's, if it is used."""
        used = (inner for part in body for inner in ast.walk(part) if isinstance(inner, ast.Name))
        return Kind.GIVEN if any(self.kind(one) >= Kind.GIVEN for one in used) else Kind.OWN

    def _expression(self, node: ast.expr, under: Kind) -> None:
        self.kind(node)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FILLING and node.args):
            return
        kind = filtered(max(map(self.kind, node.args)), under)
        several = Kind.MET if node.func.attr == "add" else Kind.GATHERED
        if self.kind(node.func.value) < Kind.GIVEN or kind >= Kind.MET:
            self._fill(node.func.value, several if kind is Kind.GIVEN else kind)

    def _fill(self, filled: ast.expr, kind: Kind) -> None:
        """Something holds this among others, be it a variable of this function or of one around it."""
        if isinstance(filled, ast.Name) and filled.id not in self._kinds and (owner := self._owner(filled.id)) is not self:
            owner.lasting[filled.id] = max(kind, owner.lasting.get(filled.id, Kind.NEUTRAL))
        else:
            self._set_all(filled, kind)

    # Names

    def _take_parameters(self, node: Function) -> None:
        known = self._given
        for one in ast.walk(node.args):
            if isinstance(one, ast.arg) and one.arg not in _SELF:
                self._set(one.arg, known.get(one.arg, Kind.OWN) if known else self._parameter(node, one.arg))
        for decorator in getattr(node, "decorator_list", ()) if not known else ():
            if last_name(decorator) == "parametrize" and len(getattr(decorator, "args", ())) > 1:
                names, values = decorator.args[:2]
                self._bind_items(_target(names), values)

    def _parameter(self, node: Function, name: str) -> Kind:
        """What a parameter is of a function that pytest calls, or that nobody says of who does."""
        fixture, outer = self._function(name)
        if isinstance(fixture, Definition) and any(last_name(one) == "fixture" for one in fixture.decorator_list):
            return max(self._file.frame(fixture, outer, {}).returned, Kind.OWN)
        entered = self._file.entry_point and isinstance(node, Definition) and node.name == "check"
        return Kind.GIVEN if entered or name in self._file.foreign else Kind.OWN

    def _set(self, name: str, kind: Kind) -> None:
        known = self._file.attributes if "." in name else self._kinds
        if name in self._outside and (owner := self._owner(name)) is not self:
            known = owner.lasting
        known[name] = max(kind, known.get(name, Kind.NEUTRAL))

    def _owner(self, name: str) -> _Frame:
        """The function around that has set a name, or the module."""
        frame = self._outer
        while frame is not None and frame._outer is not None and name not in frame._kinds:
            frame = frame._outer
        return frame or self

    def _set_all(self, target: ast.expr, kind: Kind) -> None:
        """A target holds this, or something of it."""
        if isinstance(target, _ROW):
            for one in target.elts:
                self._set_all(one, item(kind))
        elif isinstance(target, ast.Starred):
            self._set_all(target.value, kind)
        elif isinstance(target, ast.Name):
            scope = self._local[-1] if self._local else None
            if scope is None:
                self._set(target.id, kind)
            else:
                scope[target.id] = max(kind, scope.get(target.id, Kind.NEUTRAL))
        elif isinstance(target, ast.Subscript):
            self._fill(target.value, Kind.GATHERED if kind is Kind.GIVEN else kind)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            self._set(f"{target.value.id}.{target.attr}", kind)

    def _bind(self, target: ast.expr, value: ast.expr, under: Kind) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Lambda):
            self._functions[target.id] = value
        if isinstance(target, ast.Name) and self._is_own_object(value):
            self._instances.add(target.id)
        if isinstance(target, _ROW) and isinstance(value, _ROW) and len(target.elts) == len(value.elts):
            for one, part in zip(target.elts, value.elts, strict=True):
                self._bind(one, part, under)
            return
        self._blank, outside = frozenset(_stored(target)), self._blank
        kind = self.kind(value)
        self._blank = outside
        self._set_all(target, chosen(kind, under))

    def _bind_items(self, target: ast.expr, value: ast.expr) -> None:
        """A target holds the items of a value, one after the other."""
        if isinstance(target, _ROW) and isinstance(value, ast.Call):
            if last_name(value) == "zip" and len(value.args) == len(target.elts):
                for one, part in zip(target.elts, value.args, strict=True):
                    self._bind_items(one, part)
                return
            if last_name(value) == "enumerate" and len(target.elts) == 2 and value.args:
                self._set_all(target.elts[0], Kind.OWN)
                self._bind_items(target.elts[1], value.args[0])
                return
        if isinstance(value, ast.List | ast.Tuple | ast.Set) and value.elts:
            for part in value.elts:
                self._bind(target, part, Kind.OWN)
            return
        self._set_all(target, item(self.kind(value)))

    def _lookup(self, name: str) -> Kind:
        if name in self._blank:
            return Kind.NEUTRAL
        for scope in reversed(self._local):
            if name in scope:
                return scope[name]
        for known in (self._kinds, self._before):
            if name in known:
                return max(known[name], self.lasting.get(name, Kind.NEUTRAL))
        if name in self.lasting:
            return self.lasting[name]
        if self._outer is not None:
            return self._outer._lookup(name)
        if name in self._file.foreign:
            return Kind.GIVEN
        return Kind.WRITTEN if name in self._file.given else Kind.OWN

    def _function(self, name: str) -> tuple[Function | None, _Frame]:
        """The tests' own function of this name, and where it is defined."""
        if name in self._functions:
            return self._functions[name], self
        return self._outer._function(name) if self._outer is not None else (self._file.methods.get(name), self)

    # Expressions

    def kind(self, node: ast.expr) -> Kind:
        """What an expression is made of."""
        read = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if read is not None:
            found: Kind = read(node)
            return found
        return self._computed([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)])

    def _computed(self, parts: list[ast.expr]) -> Kind:
        """What is computed from these. A variable of the tests' own counts, be it written out elsewhere."""
        return together([self._part(part) for part in parts])

    def _part(self, node: ast.expr) -> Kind:
        if isinstance(node, ast.Name) and node.id not in (*self._blank, *self._file.given):
            return max(self.kind(node), Kind.OWN)
        return self.kind(node)

    def _of_constant(self, node: ast.Constant) -> Kind:
        if not is_neutral(node):
            return Kind.WRITTEN
        return Kind.SMALL if isinstance(node.value, float) and node.value % 1 else Kind.NEUTRAL

    def _of_name(self, node: ast.Name) -> Kind:
        return self._lookup(node.id)

    def _of_namedexpr(self, node: ast.NamedExpr) -> Kind:
        kind = self.kind(node.value)
        self._set(node.target.id, kind)
        return kind

    def _of_attribute(self, node: ast.Attribute) -> Kind:
        key = f"{getattr(node.value, 'id', '')}.{node.attr}"
        if key in self._file.attributes:
            return self._file.attributes[key]
        if getattr(node.value, "id", "") in _SELF:
            return Kind.OWN
        return self._computed([node.value])

    def _of_subscript(self, node: ast.Subscript) -> Kind:
        kind = self.kind(node.value)
        if kind < Kind.GIVEN:
            return self._computed([node.value, node.slice])
        return Kind.GIVEN if kind is Kind.GATHERED else kind

    def _of_slice(self, node: ast.Slice) -> Kind:
        return self._computed([part for part in (node.lower, node.upper, node.step) if part is not None])

    def _of_unaryop(self, node: ast.UnaryOp) -> Kind:
        return self._truth(node.operand) if isinstance(node.op, ast.Not) else self.kind(node.operand)

    def _of_binop(self, node: ast.BinOp) -> Kind:
        kinds = [self._part(node.left), self._part(node.right)]
        if isinstance(node.op, _DIFFERENCES) and all(kind in THEIRS for kind in kinds):
            return Kind.MET
        return together(kinds)

    def _of_boolop(self, node: ast.BoolOp) -> Kind:
        return max(map(self._truth, node.values))

    def _of_ifexp(self, node: ast.IfExp) -> Kind:
        return chosen(max(self.kind(node.body), self.kind(node.orelse)), deciding(self._truth(node.test)))

    def _of_compare(self, node: ast.Compare) -> Kind:
        found = []
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            if isinstance(operator, ast.Is | ast.IsNot):
                found.append(identical(self.kind(left), self.kind(right)))
            else:
                order = isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
                found.append(compared(self.kind(left), self.kind(right), order=order))
        return Kind.EVIDENCE if Kind.EVIDENCE in found else max(found)

    def _of_list(self, node: ast.List | ast.Tuple) -> Kind:
        kinds = [self.kind(one) for one in node.elts]
        if is_written_out(node):
            return Kind.WRITTEN if node.elts else Kind.NEUTRAL
        return max(Kind.GATHERED, *kinds) if sum(kind in THEIRS for kind in kinds) > 1 else max(kinds)

    _of_tuple = _of_list

    def _of_set(self, node: ast.Set) -> Kind:
        kind = self._of_list(node)  # type: ignore[arg-type]
        return Kind.MET if kind is Kind.GATHERED else kind

    def _of_dict(self, node: ast.Dict) -> Kind:
        parts = [part for part in (*node.keys, *node.values) if part is not None]
        return self._of_list(ast.List(parts))

    def _of_lambda(self, node: ast.Lambda) -> Kind:
        return Kind.WRITTEN

    def _of_starred(self, node: ast.Starred) -> Kind:
        return self.kind(node.value)

    def _of_yield(self, node: ast.Yield) -> Kind:
        if node.value is not None:
            self.returned = max(self.returned, self.kind(node.value))
        return Kind.NEUTRAL

    def _of_listcomp(self, node: _Comprehension) -> Kind:
        self._local.append({})
        from_them, under = False, Kind.NEUTRAL
        for one in node.generators:
            from_them |= self.kind(one.iter) >= Kind.GIVEN
            self._bind_items(one.target, one.iter)
            for condition in one.ifs:
                kind = self._truth(condition)
                under = max(under, deciding(kind))
                from_them |= kind is Kind.GIVEN
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        kind = filtered(max(self.kind(one) for one in made), under)
        self._local.pop()
        if from_them:
            return max(kind, Kind.GIVEN)
        return Kind.GATHERED if kind is Kind.GIVEN else max(kind, Kind.WRITTEN)

    _of_generatorexp = _of_dictcomp = _of_listcomp

    def _of_setcomp(self, node: ast.SetComp) -> Kind:
        kind = self._of_listcomp(node)
        return Kind.MET if kind is Kind.GATHERED else kind

    # Calls

    def _of_call(self, node: ast.Call) -> Kind:
        name, args = last_name(node), node.args
        if (called := self._called(node)) is not None:
            return called.returned
        if not isinstance(node.func, ast.Attribute) and self.kind(node.func) in THEIRS:
            return Kind.GIVEN
        if (mapped := self._mapped(node)) is not None:
            return mapped
        if name in TRUTHS and args:
            kind = self._truth(args[0])
            return Kind.GIVEN if kind is Kind.GATHERED else kind
        if name == "approx" and args:
            return self.kind(args[0])
        receiver = self._receiver(node)
        parts = [*receiver, *args, *(word.value for word in node.keywords)]
        if name in _ASKING or asserts_another_thing(name):
            return max(map(self.kind, parts), default=Kind.NEUTRAL)
        if receiver and args and (name in COMPARING or name in _COMPARING):
            return compared(self.kind(receiver[0]), self.kind(args[0]))
        if not receiver and (sides := compared_by(node)):
            return compared(*map(self.kind, sides))
        if receiver and self.kind(receiver[0]) in (Kind.GIVEN, Kind.GATHERED):
            return Kind.GIVEN
        if any(map(self._is_taken, (*args[:1], *(word.value for word in node.keywords)))):  # `map(f, xs)`, `key=f`
            return Kind.GIVEN
        return self._of_library(name, parts)

    def _of_library(self, name: str, parts: list[ast.expr]) -> Kind:
        kinds = [self._part(part) for part in parts]
        kind = together(kinds)
        if kind < Kind.OWN:
            return Kind.NEUTRAL if name in _EMPTY and (not parts or name.startswith("zeros")) else kind
        if kind in THEIRS and (sum(one in THEIRS for one in kinds) > 1 or (kind is Kind.GATHERED and name in _SPREADS)):
            return Kind.MET
        return kind

    def _receiver(self, node: ast.Call) -> list[ast.expr]:
        """What a method is called on, unless that is a library, or the test itself."""
        if not isinstance(node.func, ast.Attribute):
            return []
        root: ast.expr = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        is_library = isinstance(root, ast.Name) and root.id in self._file.given and self.kind(node.func.value) < Kind.OWN
        return [] if is_library else [node.func.value]

    def _is_taken(self, node: ast.expr) -> bool:
        """Whether this is a name that the tests have from the candidate."""
        root = node.value if isinstance(node, ast.Attribute) else node
        return isinstance(root, ast.Name) and root.id in self._file.taken and self._lookup(root.id) is Kind.GIVEN

    def _called(self, node: ast.Call) -> _Frame | None:
        """The tests' own function that is called, with what it is passed; None where that cannot be followed."""
        function, outer, bound = None, self, False
        if isinstance(node.func, ast.Name):
            function, outer = self._function(node.func.id)
        elif isinstance(node.func, ast.Lambda):
            function = node.func
        elif isinstance(node.func, ast.Attribute) and self._is_own_object(node.func.value):
            function, outer, bound = self._file.methods.get(node.func.attr), self._file.module, True
        given = {word.arg: self._part(word.value) for word in node.keywords if word.arg is not None}
        return None if function is None else self._passed(function, outer, node.args, given, bound=bound)

    def _passed(
        self, function: Function, outer: _Frame, args: list[ast.expr], given: dict[str, Kind], *, bound: bool = False
    ) -> _Frame | None:
        """A function of the tests' own, called with this. `bound` says that it is a method of an object."""
        if self._file.depth > _DEEPEST:
            return None
        names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        names = names[1:] if bound and names and names[0] in _SELF else names
        for number, one in enumerate(args):
            if isinstance(one, ast.Starred):
                given |= dict.fromkeys(names[number:], item(self.kind(one.value)))
                break
            given |= dict.fromkeys(names[number : number + 1], self._part(one))
        return self._file.frame(function, outer, given)

    def _is_own_object(self, node: ast.expr) -> bool:
        """Whether this is the test itself, or an object of a class of the tests' own that does not use the candidate."""
        if isinstance(node, ast.Call):
            name = last_name(node)
            return name in self._file.classes and name not in self._file.foreign
        frame: _Frame | None = self
        while frame is not None and isinstance(node, ast.Name):
            if node.id in _SELF or node.id in frame._instances:
                return True
            frame = frame._outer
        return False

    def _mapped(self, node: ast.Call) -> Kind | None:
        """What `map` gives, or what `filter` leaves, by a function of the tests' own; None for all else."""
        if last_name(node) not in ("map", "filter", "starmap") or len(node.args) < 2:
            return None
        given = node.args[0]
        function, outer = (given, self) if isinstance(given, ast.Lambda) else self._function(last_name(given))
        if function is None or self._file.depth > _DEEPEST:
            return None
        names = [one.arg for one in function.args.args]
        items = [item(self.kind(one)) for one in node.args[1:]]
        passed = items if len(items) == len(names) else items[:1] * len(names)
        found = self._file.frame(function, outer, dict(zip(names, passed, strict=True)))
        if last_name(node) == "filter":
            return filtered(items[0], deciding(found.returned))
        return Kind.GATHERED if found.returned is Kind.GIVEN and max(items) < Kind.GIVEN else found.returned


def _stored(target: ast.expr) -> Iterator[str]:
    return (one.id for one in ast.walk(target) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _target(names: ast.expr) -> ast.expr:
    """What parameters are called, as a loop would name them."""
    texts = (
        [names.value] if isinstance(names, ast.Constant) else [getattr(one, "value", "") for one in getattr(names, "elts", ())]
    )
    found: list[ast.expr] = [ast.Name(name.strip(), ast.Store()) for text in texts for name in str(text).split(",")]
    return found[0] if len(found) == 1 else ast.Tuple(found, ast.Store())


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those in them, without those of functions and classes."""
    for node in body:
        if isinstance(node, Definition | ast.ClassDef):
            continue
        yield node
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(part, field, []))
