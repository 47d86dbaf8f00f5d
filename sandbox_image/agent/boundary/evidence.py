"""Which assertions have no evidence: the candidate gave all that meets in them.

`assert f(3) == 9` has a value of the tests' own that one of the candidate's meets. `assert f(1) == f(2)` has none, nor has
`len({f(1), f(2)}) == 1`: what is written out there is no more than what any comparison gives. What an expression is made of is
followed through variables, attributes, conditions, loops, comprehensions and functions of the tests' own. What is passed to the
candidate does not matter, for it gives the answer; of several values the one decides that says least.

A value is the tests' own only where that is shown. Any method but those that texts and tuples have may fill what it is called on,
and so may a call whose value nobody uses fill what it is passed; what the candidate can call (functions, bound methods, mocks,
objects of the tests' own classes) it may have called with anything; a name that is set nowhere may hold anything.

Left out: identity, which the boundary keeps itself; and what the candidate does to the tests' own lists (`sharing.py`).
"""

from __future__ import annotations

import ast
import builtins
import types
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue

from ..expected import Reading
from ..hanging import defaults, files_in
from ..light_tests import (
    ASKING,
    COMPARING,
    TRUTHS,
    Definition,
    Way,
    asserted,
    asserts_another_thing,
    compared_by,
    conditions,
    excuse,
    is_neutral,
    is_written_out,
    last_name,
    tolerances,
    ways,
    ways_out,
)
from .kinds import THEIRS, Kind, chosen, compared, deciding, filtered, identical, item, together

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
_ROW = (ast.Tuple, ast.List)
_DIFFERENCES = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.BitXor)
_SCALES = (ast.Mult, ast.MatMult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift, ast.BitAnd)
"""What may leave little or nothing of a value, by the other one."""
_CUTS = (ast.FloorDiv, ast.Mod, ast.RShift, ast.BitAnd)
"""Of these, what leaves little of a value that is written out."""
_COMPARING = frozenset(("__eq__", "__ne__", "__contains__", "issubset", "issuperset", "isdisjoint", "startswith", "endswith"))
"""Methods that compare what they are called on."""
_SEARCHING = frozenset(("index", "count", "find"))
"""Methods that compare what is in it."""
_SPREADS = frozenset(
    (
        *("set", "frozenset", "Counter", "fromkeys", "unique", "nunique"),
        *("diff", "ptp", "std", "var", "stdev", "variance", "pstdev", "pvariance"),
    )
)
"""What shows of several values how they differ."""
_EMPTY = frozenset(("set", "dict", "list", "tuple", "frozenset", "Counter", "zeros", "zeros_like"))
"""What makes nothing of nothing: as neutral as what is written out."""
_UNCHANGING = frozenset(
    name
    for kind in (str, bytes, tuple, frozenset, int, float, types.MappingProxyType)
    for name in dir(kind)
    if not name.startswith("__")
)
"""Methods of what never changes: under such a name nothing is filled."""
_FILLING = frozenset(name for kind in (list, set, dict, bytearray, deque, SimpleQueue) for name in dir(kind)) - _UNCHANGING
"""Methods of what may change. Any other method may fill what it is of where nobody uses its value."""
_HARMLESS = frozenset(dir(builtins)) - {"setattr"}
"""Functions that fill nothing of what they are passed."""
_NAMESPACES = frozenset(("SimpleNamespace", "Namespace"))
"""What makes attributes of what it is passed by name, functions among them."""
_SELF = ("self", "cls")
_CATCHING = frozenset(("raises", "assertRaises", "assertRaisesRegex", "warns"))
_DEEPEST = 6
"""Calls of the tests' own functions in each other that are followed."""
_PASSES = 4


class Evidence:
    """Reads the assertions of one file of tests. `given` are names of Python's and of libraries'.

    `files` says that the candidate has written files: what the tests read of any may be its own. `changes` says that it changes
    what it is passed, where the tests use what comes back: `f(xs) == sorted(xs)` has none then, and `f(xs)`, `xs == [1]` has.
    """

    def __init__(
        self,
        tree: ast.Module,
        reading: Reading,
        given: frozenset[str],
        entry_point: str,
        *,
        files: bool = False,
        changes: bool = False,
    ) -> None:
        self.given, self.foreign, self.taken, self.imports = given, reading.foreign, reading.taken, reading.imports
        self.entry_point = entry_point
        self.attributes: dict[str, Kind] = {}
        """Of the tests' own objects, as `.stack`, whichever object it is."""
        self.methods: dict[str, list[Definition]] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.files = files_in(tree) if files else frozenset()
        """The `id` of each node that reads a file."""
        self.learnt = 0
        """How often anything new was found of a name."""
        self.depth = 0
        """How many calls of functions are being followed."""
        self._known: dict[tuple[int, int, tuple[tuple[str, Kind], ...]], _Frame] = {}
        self._assertions: dict[tuple[int, int], list[tuple[list[Definition], ast.stmt]]] = {}
        self.ways_out: set[int] = set()
        """The `id` of each condition by which a test leaves before it would fail."""
        self._functions: list[list[Definition]] = []
        """Each with those around it."""
        self._sets_elsewhere = False
        self._touched: set[str] = set()
        """Names of what functions may fill."""
        nodes = list(ast.walk(tree))
        self.changing = {id(node) for node in nodes if isinstance(node, ast.Call)} if changes else set()
        """The `id` of each call that changes what it is passed if it is the candidate's."""
        self.changing -= {id(inner) for node in nodes if isinstance(node, ast.Expr) for inner in _effects(node.value)}
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        self.passed = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}
        """Names that stand elsewhere than in a call: who calls such a function with what is not known."""
        self._enter(tree, [])
        self.module = _Frame(self, tree, None, {})
        self.module.read()
        self._known.clear()  # not all of the module was known then
        if self._sets_elsewhere or not self._touched.isdisjoint(self.module.names):
            self._read_functions()

    def is_lacking(self, line: int, column: int) -> bool:
        """Whether the assertion that stands there has none."""
        return any(self._frame(functions).lacks(node) for functions, node in self._assertions.get((line, column), ()))

    def has_any(self, test: ast.AST) -> bool:
        """Whether an assertion that stands in this function has some."""
        here = (one for found in self._assertions.values() for one in found if test in one[0])
        return any(_is_assertion(node) and not self._frame(functions).lacks(node) for functions, node in here)

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
        for block in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            if isinstance(block, list):
                self.ways_out.update(map(id, ways_out(block)))
        for child in ast.iter_child_nodes(node):
            inner = functions
            if isinstance(child, Definition):
                inner = [*functions, child]
                self._functions.append(inner)
                if isinstance(node, ast.ClassDef):
                    self.methods.setdefault(child.name, []).append(child)
            elif isinstance(child, ast.ClassDef):
                self.classes[child.name] = child
            elif isinstance(child, ast.Global):
                self._sets_elsewhere = True
            elif isinstance(child, ast.Assign):
                self._sets_elsewhere |= any(isinstance(one, ast.Attribute) for one in child.targets)
                self._touched |= {_root(one) for one in child.targets if functions and isinstance(one, ast.Subscript)}
            elif isinstance(child, ast.Expr) and functions and isinstance(child.value, ast.Call):
                self._touched |= set(map(_root, (child.value.func, *child.value.args)))
            if isinstance(child, ast.Assert | ast.Assign | ast.Expr | ast.If | ast.While | ast.Match):
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
        self._partials: dict[str, ast.Call] = {}
        """Names of functions of the tests' own that some arguments were bound to (`functools.partial`)."""
        self._kinds: dict[str, Kind] = {}
        self._before: dict[str, Kind] = {}
        self.lasting: dict[str, Kind] = {}
        """What functions inside make of names."""
        self._instances: set[str] = set()
        """Names of objects of the tests' own classes."""
        self._mixed: set[str] = set()
        """Of these and of classes that use the candidate."""
        self._held: dict[str, list[ast.expr]] = {}
        """Names of what may hold something that is called: what they were set to."""
        self._filled_names: dict[str, Kind] = {}
        """What names were filled with: of a parameter, what was passed holds it too."""
        self._worked_out: dict[int, tuple[int, Kind]] = {}
        """What expressions are made of, and how much was learnt when that was found."""
        self._under = Kind.NEUTRAL
        """What decides whether the statement runs that is being read."""
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
            self._file.learnt += 1
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
        leaves = id(node) in self._file.ways_out
        if any(self._is_excused(one, denied=denied) for one, denied in asserted(node, leaves=leaves)):
            return True
        if asked := conditions(node, leaves=leaves):
            return any(self._truth(one) is Kind.AGREEMENT for one in asked)
        if isinstance(node, ast.Assign):
            calls = (one for one in ast.walk(node.value) if isinstance(one, ast.Call))
            return any(frame.has_lacking() for one in calls for frame in self._called(one))
        if not isinstance(node, ast.Expr):
            return False
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            if called := self._called(value) or self._called_of_mixed(value):
                return any(one.has_lacking() for one in called)
            return last_name(value).startswith("assert") and self._truth(value) is Kind.AGREEMENT
        return isinstance(value, ast.BoolOp) and self._truth(value) is Kind.AGREEMENT

    def has_lacking(self) -> bool:
        """Whether any assertion of the function is without evidence."""
        if self._has_lacking is None:
            self._has_lacking = False  # where it calls itself
            body = [] if isinstance(self._node, ast.Lambda) else self._node.body
            self._has_lacking = any(map(self.lacks, _statements(body)))
        return self._has_lacking

    def _is_excused(self, node: ast.expr, *, denied: bool = False, depth: int = 0) -> bool:
        """Whether one of the ways in which this is true says nothing of the candidate's values but what excuses another.

        Followed are variables, and the values that functions of the tests' own return.
        """
        found = self._ways(node, denied=denied)
        excused = [way for way in found if all(self._is_excuse(one) for one, _ in way)]
        if len(found) > 1 and excused and len(excused) < len(found):
            return True
        if depth > _DEEPEST:
            return False
        for one, no in (one for way in found for one in way):
            if isinstance(one, ast.Name):
                made = [(self, value) for value in self._values_of(one.id)]
            else:
                frames = self._called(one) if isinstance(one, ast.Call) else []
                made = [(frame, value) for frame in frames for value in frame.returns()]
            if any(frame._is_excused(value, denied=no, depth=depth + 1) for frame, value in made):
                return True
        return False

    def _ways(self, node: ast.expr, *, denied: bool, depth: int = 0) -> list[Way]:
        """The ways in which an expression is true, where variables that are set once stand for what they are set to."""
        found: list[Way] = []
        for way in ways(node, denied=denied):
            for place, (one, no) in enumerate(way):
                value = self._put_in(one) if depth <= _DEEPEST else None
                if value is not None:
                    inner = self._ways(value, denied=no, depth=depth + 1)
                    found += [way[:place] + other + way[place + 1 :] for other in inner]
                    break
            else:
                found.append(way)
        return found

    def _put_in(self, node: ast.expr) -> ast.expr | None:
        """A question in which a variable is replaced by the truth, or the choice of two values, that it is set to."""
        if isinstance(node, ast.Name):
            value = self._set_once(node.id)
            return value if isinstance(value, ast.Compare | ast.BoolOp | ast.IfExp | ast.UnaryOp) else None
        if not isinstance(node, ast.Compare) or len(node.ops) > 1:
            return None
        sides = [node.left, node.comparators[0]]
        chosen = [self._set_once(one.id) if isinstance(one, ast.Name) else None for one in sides]
        if not any(isinstance(one, ast.BoolOp | ast.IfExp) for one in chosen):
            return None
        left, right = (
            value if isinstance(value, ast.BoolOp | ast.IfExp) else one for one, value in zip(sides, chosen, strict=True)
        )
        return ast.Compare(left, node.ops, [right])

    def _set_once(self, name: str) -> ast.expr | None:
        """What a variable is set to, where that is one expression that does not use it."""
        made = self._values_of(name)
        if len(made) != 1 or any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(made[0])):
            return None
        return made[0]

    def _is_excuse(self, node: ast.expr) -> bool:
        value = excuse(node)
        return value is not None and self.kind(value) in THEIRS

    def _values_of(self, name: str) -> list[ast.expr]:
        """What a variable is set to in this function."""
        body = [] if isinstance(self._node, ast.Lambda) else self._node.body
        made = (one for one in _statements(body) if isinstance(one, ast.Assign))
        return [one.value for one in made if any(isinstance(target, ast.Name) and target.id == name for target in one.targets)]

    def returns(self) -> list[ast.expr]:
        """What the function returns."""
        if isinstance(self._node, ast.Lambda):
            return [self._node.body]
        if not isinstance(self._node, ast.Module) and (chosen := _chosen_by(self._node.body)) is not None:
            return [chosen]
        return [one.value for one in _statements(self._node.body) if isinstance(one, ast.Return) and one.value is not None]

    def _truth(self, node: ast.expr) -> Kind:
        kind = self.kind(node)
        return Kind.AGREEMENT if kind is Kind.MET else kind

    # Statements

    @property
    def names(self) -> set[str]:
        """Names that are set here, other than by definitions and imports."""
        return set(self._kinds)

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
            return
        self._under = under
        for part in _expressions(node):  # for what it does, and for names that it sets
            self.kind(part)
        if isinstance(node, ast.Global | ast.Nonlocal):
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
        elif isinstance(node, ast.Match):
            for name in _captured(node):
                self._set(name, item(self.kind(node.subject)))
            under = max(under, *(deciding(self._truth(one)) for one in conditions(node, leaves=True)))
        elif isinstance(node, ast.Expr):
            self._done(node.value)
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
                        self._set(f".{target.id}", self.kind(inner.value))

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

    def _done(self, node: ast.expr) -> None:
        """A call whose value nobody uses is made for what it does: it may fill what its method is of, and what it is passed."""
        node = node.value if isinstance(node, ast.Await) else node
        name = last_name(node)
        if not isinstance(node, ast.Call) or name.startswith("assert") or self._called(node):
            return
        receiver = self._receiver(node)
        if receiver and name not in _UNCHANGING:
            self._fill_with(receiver[0], node)
        elif not receiver and name not in _HARMLESS and self.kind(node.func) not in THEIRS:  # `heappush(found, f(1))`
            for one in node.args:
                self._fill_with(one, node)

    def _fill_with(self, filled: ast.expr, node: ast.Call) -> None:
        """Something may hold what a call is passed."""
        kind = filtered(max(map(self.kind, _given_to(node)), default=Kind.NEUTRAL), self._under)
        several = Kind.MET if last_name(node) == "add" else Kind.GATHERED
        if _given_to(node):
            self._filled(filled, several if kind is Kind.GIVEN else kind)

    def _filled(self, node: ast.expr, kind: Kind) -> None:
        """What an expression gives holds this among others: of a name, an attribute, or what is reached through one."""
        while isinstance(node, ast.Call | ast.Subscript | ast.Starred | ast.Attribute):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in _SELF:
                break
            node = node.func if isinstance(node, ast.Call) else node.value
        own = isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id not in self._file.given)
        if own and (self.kind(node) < Kind.GIVEN or kind >= Kind.MET):
            self._fill(node, kind)

    def _changed(self, node: ast.Call, receiver: list[ast.expr]) -> None:
        """What a call may do to what its method is of, and to what the functions set that it is passed."""
        given = _given_to(node)
        most = max(map(self.kind, given), default=Kind.NEUTRAL)
        name = last_name(node)
        if receiver and (name in _FILLING or name.endswith("_")):
            self._fill_with(receiver[0], node)
        if self._is_own_object(node) and self._file.depth <= _DEEPEST:
            for part in self._file.classes[name].body:
                if isinstance(part, Definition) and part.name == "__init__":
                    self._passed(part, self._file.module, node, bound=True)
        theirs = self.kind(receiver[0] if receiver else node.func) in THEIRS
        for one in given:
            self._handed(one, Kind.GIVEN if theirs or most in THEIRS else Kind.OWN, theirs=theirs)
            if theirs and id(node) in self._file.changing:
                self._filled(one, Kind.GIVEN)

    def _handed(self, node: ast.expr, kind: Kind, *, theirs: bool) -> None:
        """An expression is passed on. What it gives may be called with values of this kind; `theirs` says by the candidate."""
        if isinstance(node, ast.Name):
            function, outer = self._function(node.id)
            if function is not None:
                self._run(function, outer, kind)
            held, self._held[node.id] = self._held.get(node.id, []), []  # once
            for one in held:
                self._handed(one, kind, theirs=theirs)
            self._held[node.id] = held
            if theirs and self._is_own_object(node):
                self._filled(node, Kind.GATHERED)
                for method in (one for found in self._file.methods.values() for one in found):
                    self._run(method, self._file.module, kind)
        elif isinstance(node, ast.Lambda):
            self._run(node, self, kind)
        elif isinstance(node, ast.Attribute):
            for method in self._file.methods.get(node.attr, ()):
                self._run(method, self._file.module, kind)
            if node.attr in _FILLING and theirs:
                self._filled(node.value, Kind.GATHERED)
        else:
            own = isinstance(node, ast.Call) and any(
                isinstance(one, ast.Lambda) or (isinstance(one, ast.Name) and self._function(one.id)[0]) for one in node.args
            )
            for one in _given_to(node) if theirs and own and isinstance(node, ast.Call) else ():  # `partial(put, found)`
                self._filled(one, Kind.GATHERED)
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.keyword):
                    part = part.value
                if isinstance(part, ast.expr) and not (isinstance(node, ast.Call) and part is node.func):
                    self._handed(part, kind, theirs=theirs)

    def _run(self, function: Function, outer: _Frame, kind: Kind) -> Kind:
        """What a function of the tests' own gives that is called with values of this kind, after all that it does."""
        if self._file.depth > _DEEPEST:
            return Kind.GIVEN
        names = (one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg) and one.arg not in _SELF)
        return self._file.frame(function, outer, dict.fromkeys(names, kind)).returned

    def _fill(self, filled: ast.expr, kind: Kind) -> None:
        """Something holds this among others, be it a variable of this function or of one around it."""
        if isinstance(filled, ast.Name):
            self._filled_names[filled.id] = max(kind, self._filled_names.get(filled.id, Kind.NEUTRAL))
        if isinstance(filled, ast.Name) and filled.id not in self._kinds and (owner := self._owner(filled.id)) is not self:
            self._learn(owner.lasting, filled.id, kind)
        else:
            self._set_all(filled, kind)

    # Names

    def _take_parameters(self, node: Function) -> None:
        known = self._given
        for one in ast.walk(node.args):
            if isinstance(one, ast.arg) and one.arg not in _SELF:
                self._set(one.arg, known.get(one.arg, Kind.OWN) if known else self._parameter(node, one.arg))
        for name, default in defaults(node):
            if name not in known:
                self._set(name, (self._outer or self).kind(default))
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
        passed = isinstance(node, Definition) and node.name in self._file.passed
        patched = any("patch" in ast.unparse(one) for one in getattr(node, "decorator_list", ()))
        return Kind.GIVEN if entered or passed or patched or name in self._file.foreign else Kind.OWN

    def _set(self, name: str, kind: Kind) -> None:
        known = self._file.attributes if "." in name else self._kinds
        if name in self._outside and (owner := self._owner(name)) is not self:
            known = owner.lasting
        self._learn(known, name, kind)

    def _learn(self, known: dict[str, Kind], name: str, kind: Kind) -> None:
        if known.get(name, -1) < kind:
            known[name] = kind
            self._file.learnt += 1

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
            kind = max(kind, self.kind(target.slice) if self.kind(target.slice) in THEIRS else Kind.NEUTRAL)
            self._filled(target.value, Kind.GATHERED if kind is Kind.GIVEN else kind)
        elif isinstance(target, ast.Attribute):
            self._set(f".{target.attr}", kind)

    def _bind(self, target: ast.expr, value: ast.expr, under: Kind) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Lambda):
            self._functions[target.id] = value
        if isinstance(target, ast.Name) and self._is_partial(value):
            self._partials[target.id] = value  # type: ignore[assignment]
        if isinstance(target, ast.Name) and (self._is_own_object(value) or _is_mock(value)):
            self._instances.add(target.id)
        if isinstance(target, ast.Name) and isinstance(value, ast.Call) and last_name(value) in self._file.classes:
            self._mixed.add(target.id)
        for one in ast.walk(target) if isinstance(value, _HOLDING) else ():
            if isinstance(one, ast.Name):
                self._held.setdefault(one.id, []).append(value)
        if isinstance(target, _ROW) and isinstance(value, _ROW) and len(target.elts) == len(value.elts):
            for one, part in zip(target.elts, value.elts, strict=True):
                self._bind(one, part, under)
            return
        self._blank, outside = frozenset(_stored(target)), self._blank
        self._file.learnt += 1
        kind = self.kind(value)
        self._blank = outside
        self._file.learnt += 1
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
        if name in self._file.given:
            return Kind.WRITTEN
        return Kind.OWN if name in self._file.classes else Kind.GIVEN  # set in a way that is not followed

    def _function(self, name: str) -> tuple[Function | None, _Frame]:
        """The tests' own function of this name, and where it is defined."""
        if name in self._functions:
            return self._functions[name], self
        return self._outer._function(name) if self._outer is not None else (None, self)

    # Expressions

    def kind(self, node: ast.expr) -> Kind:
        """What an expression is made of. Asked for again and again, and worked out anew where anything was learnt since."""
        known = self._worked_out.get(id(node))
        if known is not None and known[0] == self._file.learnt:
            return known[1]
        found = self._kind(node)
        self._worked_out[id(node)] = self._file.learnt, found
        return found

    def _kind(self, node: ast.expr) -> Kind:
        read = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if read is not None:
            found: Kind = read(node)
            return found
        return self._computed([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)])

    def _computed(self, parts: list[ast.expr]) -> Kind:
        """What is computed from these. A variable of the tests' own counts, be it written out elsewhere."""
        return together([self._part(part) for part in parts])

    def _part(self, node: ast.expr) -> Kind:
        if isinstance(node, ast.Name) and node.id not in self._blank and node.id not in self._file.given:
            return max(self.kind(node), Kind.OWN)
        return self.kind(node)

    def _of_constant(self, node: ast.Constant) -> Kind:
        if not is_neutral(node):
            return Kind.WRITTEN
        return Kind.SMALL if isinstance(node.value, float) and node.value % 1 else Kind.NEUTRAL

    def _of_name(self, node: ast.Name) -> Kind:
        function, outer = (None, self) if self._is_set(node.id) else self._function(node.id)
        return self._lookup(node.id) if function is None else self._as_value(function, outer)

    def _is_set(self, name: str) -> bool:
        """Whether a name is set otherwise than by a definition, nearer than the next one."""
        known = (self._blank, self._kinds, self._before, *self._local)
        if any(name in one for one in known) or name in self._functions:
            return name not in self._functions
        return self._outer is not None and self._outer._is_set(name)

    def _as_value(self, function: Function, outer: _Frame) -> Kind:
        """What a function is where it is passed on: the candidate's, if it gives what is."""
        return Kind.WRITTEN if self._run(function, outer, Kind.OWN) < Kind.GIVEN else Kind.GIVEN

    def _of_namedexpr(self, node: ast.NamedExpr) -> Kind:
        kind = self.kind(node.value)
        self._set(node.target.id, kind)
        return kind

    def _of_attribute(self, node: ast.Attribute) -> Kind:
        kind = self._file.attributes.get(f".{node.attr}")
        if kind is not None and (self.kind(node.value) < Kind.GIVEN or kind > Kind.MET):
            return kind
        if getattr(node.value, "id", "") in _SELF:
            return Kind.OWN
        return self._computed([node.value])

    def _of_subscript(self, node: ast.Subscript) -> Kind:
        kind = self.kind(node.value)
        if kind is Kind.GATHERED and self.kind(node.slice) in THEIRS:  # `{f(1): 2}[f(3)]`
            return Kind.AGREEMENT
        if kind < Kind.GIVEN:
            return self._computed([node.value, node.slice])
        return Kind.GIVEN if kind is Kind.GATHERED else kind

    def _of_slice(self, node: ast.Slice) -> Kind:
        return self._computed([part for part in (node.lower, node.upper, node.step) if part is not None])

    def _of_unaryop(self, node: ast.UnaryOp) -> Kind:
        return self._truth(node.operand) if isinstance(node.op, ast.Not) else self.kind(node.operand)

    def _of_binop(self, node: ast.BinOp) -> Kind:
        kinds = [self._part(node.left), self._part(node.right)]
        theirs = [kind in THEIRS for kind in kinds]
        if isinstance(node.op, _DIFFERENCES) and all(theirs):
            return Kind.MET
        if isinstance(node.op, _CUTS) and theirs[1] and kinds[0] is Kind.OWN:  # `want % MOD`
            return Kind.GIVEN
        if isinstance(node.op, _SCALES) and any(theirs) and min(kinds) >= Kind.GIVEN and self._are_others(node.left, node.right):
            return Kind.MET  # `(f(2) - want) * SCALE`
        return together(kinds)

    def _are_others(self, left: ast.expr, right: ast.expr) -> bool:
        """Whether either holds a value of the candidate's that the other has not: `r * r` does not."""
        some, others = (set(self._values_of_theirs(one)) for one in (left, right))
        return bool(some - others and others - some)

    def _values_of_theirs(self, node: ast.AST) -> Iterator[str]:
        """The candidate's variables, and calls that give its values, in an expression."""
        value = node.func if isinstance(node, ast.Call) else node
        if isinstance(value, ast.Name | ast.Attribute) and self.kind(value) in THEIRS:
            yield ast.dump(node)
            return
        for child in ast.iter_child_nodes(node):
            yield from self._values_of_theirs(child)

    def _of_boolop(self, node: ast.BoolOp) -> Kind:
        return max(map(self._truth, node.values))

    def _of_ifexp(self, node: ast.IfExp) -> Kind:
        return chosen(max(self.kind(node.body), self.kind(node.orelse)), deciding(self._truth(node.test)))

    def _of_compare(self, node: ast.Compare) -> Kind:
        found = []
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            if any(map(self._is_cut, (left, right), (right, left))):
                found.append(Kind.AGREEMENT)
            elif isinstance(operator, ast.Is | ast.IsNot):
                found.append(identical(self.kind(left), self.kind(right)))
            else:
                order = isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
                found.append(compared(self.kind(left), self.kind(right), order=order))
        return Kind.EVIDENCE if Kind.EVIDENCE in found else max(found)

    def _is_cut(self, node: ast.expr, other: ast.expr) -> bool:
        """Whether the candidate says how much of a value it is compared with: `want[:len(r)] == r`."""
        cut = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and self.kind(node.value) < Kind.GIVEN
        return cut and self.kind(node.slice) in (*THEIRS, Kind.EVIDENCE) and self.kind(other) in THEIRS  # type: ignore[attr-defined]

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
        kind = self._of_list(ast.List(parts))
        return max(kind, Kind.GATHERED) if any(self.kind(one) in THEIRS for one in node.keys if one is not None) else kind

    def _of_lambda(self, node: ast.Lambda) -> Kind:
        return self._as_value(node, self)

    def _of_starred(self, node: ast.Starred) -> Kind:
        return self.kind(node.value)

    def _of_yield(self, node: ast.Yield) -> Kind:
        if node.value is not None:
            self.returned = max(self.returned, self.kind(node.value))
        return Kind.GIVEN  # what is sent, nobody shows

    def _of_yieldfrom(self, node: ast.YieldFrom) -> Kind:
        self.returned = max(self.returned, self.kind(node.value))
        return Kind.GIVEN

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
        receiver = self._receiver(node)
        self._changed(node, receiver)
        if called := self._called(node):
            return max(one.returned for one in called)
        if any(one.returned is Kind.AGREEMENT for one in self._called_of_mixed(node)):
            return Kind.AGREEMENT
        if id(node.func) in self._file.files or (name == "getattr" and args and self.kind(args[0]) in THEIRS):
            return Kind.GIVEN
        if self._is_chosen(node):
            return Kind.AGREEMENT
        if not isinstance(node.func, ast.Attribute) and self.kind(node.func) in THEIRS:
            return Kind.GIVEN
        if (mapped := self._mapped(node)) is not None:
            return mapped
        if name in TRUTHS and args:
            kind = self._truth(args[0])
            return Kind.GIVEN if kind is Kind.GATHERED else kind
        if name == "approx" and args:
            return Kind.GIVEN if self._is_loose(node) else self.kind(args[0])
        parts = [*receiver, *args, *(word.value for word in node.keywords)]
        if name in ASKING or asserts_another_thing(name):
            return max(map(self.kind, parts), default=Kind.NEUTRAL)
        compares = name in COMPARING or name in _COMPARING
        if (compares or compared_by(node)) and self._is_loose(node):
            return Kind.AGREEMENT
        if receiver and args and (compares or (name in _SEARCHING and self.kind(args[0]) >= Kind.GIVEN)):
            return compared(self.kind(receiver[0]), self.kind(args[0]))
        if not receiver and (sides := compared_by(node)):
            return compared(*map(self.kind, sides))
        if receiver and self.kind(receiver[0]) in (Kind.GIVEN, Kind.GATHERED):
            return Kind.GIVEN
        if any(map(self._is_taken, (*args[:1], *(word.value for word in node.keywords)))):  # `map(f, xs)`, `key=f`
            return Kind.GIVEN
        if _is_patch(node):  # the candidate calls it
            return Kind.GIVEN
        return self._of_library(name, parts)

    def _is_loose(self, node: ast.Call) -> bool:
        """Whether the candidate says how far what a call compares may be off."""
        return any(self.kind(one) >= Kind.GIVEN for one in tolerances(node))

    def _is_chosen(self, node: ast.Call) -> bool:
        """Whether a value of the candidate's says what is called here: `TABLE[f(1)](2)`, or an attribute that it named."""
        if last_name(node) in _NAMESPACES:
            return any(word.arg is None and self.kind(word.value) in THEIRS for word in node.keywords)
        if isinstance(node.func, ast.Subscript):
            return self.kind(node.func.value) < Kind.GIVEN and self.kind(node.func.slice) >= Kind.GIVEN
        return isinstance(node.func, ast.Name | ast.Call) and self.kind(node.func) is Kind.EVIDENCE

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
        """Whether this is a name that the tests have from the candidate, or a function of theirs that gives what is its own."""
        root = node.value if isinstance(node, ast.Attribute) else node
        if isinstance(node, ast.Lambda) or (
            isinstance(node, ast.Name) and not self._is_set(node.id) and self._function(node.id)[0]
        ):
            return self.kind(node) is Kind.GIVEN
        return isinstance(root, ast.Name) and root.id in self._file.taken and self._lookup(root.id) is Kind.GIVEN

    def _is_partial(self, node: ast.expr) -> bool:
        """Whether this binds arguments to a function of the tests' own."""
        if not isinstance(node, ast.Call) or last_name(node) != "partial" or not node.args:
            return False
        function = node.args[0]
        is_own = isinstance(function, ast.Name) and self._function(function.id)[0] is not None
        return is_own or isinstance(function, ast.Lambda)

    def _partial(self, name: str) -> ast.Call | None:
        if name in self._partials or self._outer is None:
            return self._partials.get(name)
        return self._outer._partial(name)

    def _called(self, node: ast.Call) -> list[_Frame]:
        """The tests' own functions that may be called, with what they are passed; none where that cannot be followed."""
        found: list[Function] = []
        outer, bound = self, False
        if isinstance(node.func, ast.Name):
            if (bound_to := self._partial(node.func.id)) is not None:
                return self._called(
                    ast.Call(bound_to.args[0], [*bound_to.args[1:], *node.args], [*bound_to.keywords, *node.keywords])
                )
            function, outer = self._function(node.func.id)
            found = [] if function is None else [function]
        elif isinstance(node.func, ast.Lambda):
            found = [node.func]
        elif isinstance(node.func, ast.Attribute) and self._is_own_object(node.func.value):
            found, outer, bound = [*self._file.methods.get(node.func.attr, ())], self._file.module, True
        if self._file.depth > _DEEPEST:
            return []
        return [self._passed(one, outer, node, bound=bound) for one in found]

    def _called_of_mixed(self, node: ast.Call) -> list[_Frame]:
        """The methods that may be called here of an object whose class is the tests' own, and uses the candidate or is called."""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        made = isinstance(owner, ast.Call) and last_name(owner) in self._file.classes
        held = isinstance(owner, ast.Name) and self._is_mixed(owner.id)
        if not (made or held) or self._file.depth > _DEEPEST:
            return []
        found = self._file.methods.get("__call__" if owner is node.func else last_name(node), ())
        return [self._passed(one, self._file.module, node, bound=True) for one in found]

    def _is_mixed(self, name: str) -> bool:
        return name in self._mixed or (self._outer is not None and self._outer._is_mixed(name))

    def _passed(self, function: Function, outer: _Frame, node: ast.Call, *, bound: bool) -> _Frame:
        """A function of the tests' own, as it is called here. `bound` says that it is a method of an object."""
        about = function.args
        names = [one.arg for one in (*about.posonlyargs, *about.args)]
        names = names[1:] if bound and names and names[0] in _SELF else names
        given: dict[str, Kind] = {}
        sources: list[tuple[str, ast.expr]] = []

        def give(name: str, kind: Kind, source: ast.expr) -> None:
            if name:
                given[name] = max(kind, given.get(name, Kind.NEUTRAL))
                sources.append((name, source))

        rest = about.vararg.arg if about.vararg else ""
        others = about.kwarg.arg if about.kwarg else ""
        for number, one in enumerate(node.args):
            if isinstance(one, ast.Starred):
                for name in (*names[number:], rest):
                    give(name, item(self.kind(one.value)), one)
                break
            give(names[number] if number < len(names) else rest, self._part(one), one)
        known = {*names, *(one.arg for one in about.kwonlyargs)}
        for word in node.keywords:
            if word.arg is None:
                for name in (*(known - set(given)), others):
                    give(name, item(self.kind(word.value)), word.value)
            else:
                give(word.arg if word.arg in known else others, self._part(word.value), word.value)
        given |= {name: Kind.GATHERED for name in (rest, others) if given.get(name) is Kind.GIVEN}
        frame = self._file.frame(function, outer, given)
        for name, source in sources:
            if (kind := frame._filled_names.get(name, Kind.NEUTRAL)) >= Kind.GIVEN:
                self._filled(source, kind)
        return frame

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


_HOLDING = (ast.Lambda, ast.Attribute, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Call, ast.Name)
"""What may give something that can be called."""


def _is_assertion(node: ast.stmt) -> bool:
    """Whether a statement is an assertion, or a call of a method that makes one."""
    called = node.value if isinstance(node, ast.Expr) else None
    return isinstance(node, ast.Assert) or (isinstance(called, ast.Call) and last_name(called).startswith("assert"))


def _effects(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression is that is a statement: a call for what it does."""
    yield node
    if isinstance(node, ast.Await):
        yield node.value


def _is_mock(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and (last_name(node).endswith("Mock") or last_name(node) == "create_autospec")


def _is_patch(node: ast.Call) -> bool:
    """Whether this puts a mock where the candidate will call it."""
    return any(isinstance(one, ast.Name | ast.Attribute) and last_name(one) == "patch" for one in ast.walk(node.func))


def _root(node: ast.expr) -> str:
    """The name that an expression begins with."""
    while isinstance(node, ast.Call | ast.Subscript | ast.Starred | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _chosen_by(body: list[ast.stmt]) -> ast.expr | None:
    """What a block returns that sets variables and then returns, under conditions, as one choice; None for all else."""
    for place, node in enumerate(body):
        if isinstance(node, ast.Return):
            return node.value
        if isinstance(node, ast.If):
            then, otherwise = _chosen_by(node.body), _chosen_by([*node.orelse, *body[place + 1 :]])
            return ast.IfExp(node.test, then, otherwise) if then is not None and otherwise is not None else None
        if not isinstance(node, ast.Assign | ast.Expr):
            return None
    return None


def _given_to(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(word.value for word in node.keywords)]


def _expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement, but for those of statements in it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and isinstance(getattr(child, "ctx", None), ast.Load | None):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr
        elif isinstance(child, ast.match_case) and child.guard is not None:
            yield child.guard


def _captured(node: ast.Match) -> Iterator[str]:
    """The names that patterns set."""
    for inner in (inner for case in node.cases for inner in ast.walk(case.pattern)):
        if isinstance(inner, ast.MatchAs | ast.MatchStar) and inner.name is not None:
            yield inner.name
        elif isinstance(inner, ast.MatchMapping) and inner.rest is not None:
            yield inner.rest


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
