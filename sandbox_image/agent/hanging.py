"""Whether a place in the tests is reached by the candidate's doing: a skip, parameters, an error at import.

Read from the source, for all that is known at run time is that the candidate was used before. A name hangs on the candidate if it
was given a value that was made with something of the candidate's, or under a condition that was; what a call fills, what a
fixture gives and what a function of the tests' own uses go along. So does whatever can be changed by what the candidate is
handed, in whichever way it stands there (an object, a bound method, a function that changes another, in a list or by a name), for
it may call it or not, and what a clock shows or sets off, for it may take its time. A place does if a condition around it does,
or one before it that could have left the function. In doubt it hangs. What files show does where it is asked for.

Left out: what was captured. `boundary/tests.py` excuses no skip in a test that has used the candidate itself.
"""

from __future__ import annotations

import ast
import copy
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from .light_tests import Definition, last_name

_SKIPPING = frozenset(("skip", "xfail", "skipTest", "importorskip", "SkipTest", "Skipped", "XFailed"))
_MARKS = frozenset(("applymarker", "add_marker", "skipif", "skipIf", "skipUnless", "xfail", "skip", "expectedFailure"))
"""What marks a test to be skipped, or expected to fail."""
_CLOCKS = frozenset(
    (
        *("time", "perf_counter", "monotonic", "process_time", "thread_time", "default_timer", "now", "utcnow", "today"),
        *("time_ns", "perf_counter_ns", "monotonic_ns", "process_time_ns", "thread_time_ns"),
        *("clock_gettime", "clock_gettime_ns", "localtime", "gmtime", "ctime", "strftime", "times", "getrusage"),
        *("Timer", "Thread", "signal", "setitimer", "alarm"),
    )
)
"""What reads a clock, or calls when its time has come, by the last of its names, where it is a library's."""
_FILES = frozenset(
    (
        *("open", "exists", "lexists", "isfile", "isdir", "is_file", "is_dir", "stat", "lstat", "getsize", "getmtime", "access"),
        *("listdir", "scandir", "walk", "iterdir", "glob", "iglob", "rglob", "read_text", "read_bytes", "readlines"),
    )
)
"""What shows of files whether they are there, or what is in them."""
_PLAIN = frozenset(
    (
        *("len", "sum", "str", "repr", "int", "float", "bool", "abs", "round", "ord", "chr", "hash", "id", "any", "all", "range"),
        *("isinstance", "issubclass", "callable", "hasattr", "format", "bytes", "type"),
    )
)
"""Functions of Python's that give nothing by which what they are passed could be changed."""
_LIBRARIES = frozenset((*sys.stdlib_module_names, "pandas"))
_OWN = ("self", "cls")
_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.Constant)
_EXITS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_Key = tuple[int, str]
"""A name in the function that binds it, 0 for the module; attributes are under -1, whatever they are of."""
_Imports = Callable[[ast.Import | ast.ImportFrom], set[str]]


class Hanging:
    """Reads one file of tests. `foreign` are names of the candidate's, `imports` says which an import makes.

    `files` says that what files show hangs on it too.
    """

    def __init__(self, tree: ast.Module, foreign: Iterable[str], imports: _Imports, *, files: bool = False) -> None:
        self._tree, self._imports = tree, imports
        self._named: dict[int, list[ast.AST]] = {}
        self._owned: dict[int, list[ast.AST]] = {}
        """Names in each node, and the expressions of each statement."""
        self._scopes: dict[int, int] = {}
        """The function around each node."""
        self._around: dict[int, int] = {0: 0}
        """The function around each function."""
        self._bound: dict[int, set[str]] = {0: set()}
        self._functions: dict[str, list[Definition]] = {}
        self._imported: set[str] = set()
        self._outer: dict[int, set[str]] = {}
        self._enter(tree, 0)
        for scope, names in self._outer.items():
            self._bound[scope] -= names
        self._clocks = _clocks_in(tree) | (files_in(tree) if files else set())
        """The nodes that read a clock, or a file that the candidate may have touched."""
        self._first: frozenset[_Key] = frozenset((0, name) for name in foreign)
        self._found: set[_Key] = set(self._first)
        self._noted: set[int] = set()
        """Functions whose changes are among these, for the candidate was given them, or need not be."""
        self._handed: set[_Key] = set()
        """Names whose value, and what it was made of, the candidate may change."""
        self._settle()

    def _settle(self) -> None:
        """Follow what is found until nothing more is."""
        known = -1
        while known != len(self._found):
            known = len(self._found)
            self._block(self._tree.body, under=False)

    def seen_from(self, function: Definition, passed: set[_Key]) -> Hanging:
        """What hangs on the candidate or on what was `passed`, seen from a function: how often that ran is its own matter."""
        again = id(function) in self._noted
        if not again and self._found.issuperset(passed):
            return self
        other = copy.copy(self)
        other._found = set(self._first if again else self._found) | passed
        other._noted = {id(function)} if again else {*self._noted, id(function)}
        other._handed = set() if again else set(self._handed)
        other._settle()
        return other

    # Questions

    def uses(self, *nodes: ast.AST | None) -> bool:
        """Whether anything in these hangs on the candidate."""
        return any(any(map(self._is_found, self._names_in(node))) for node in nodes if node is not None)

    def _names_in(self, node: ast.AST) -> list[ast.AST]:
        """What could hang on it in a node: asked for again and again, and looked for once."""
        if id(node) in self._named:
            return self._named[id(node)]
        kinds = ast.Name | ast.Attribute | ast.Import | ast.ImportFrom
        found: list[ast.AST] = [one for one in ast.walk(node) if isinstance(one, kinds)]
        if id(node) in self._scopes:  # it stays
            self._named[id(node)] = found
        return found

    def at(self, lines: Iterable[int], *, skipping: bool) -> bool:
        """Whether any of these lines is reached by the candidate's doing. Of one that skips, what it says does not matter."""
        lines = list(lines)
        heads = (one for node in ast.walk(self._tree) for one in _head(node))
        if any(self.uses(one) for one in heads if any(one.lineno <= line <= (one.end_lineno or one.lineno) for line in lines)):
            return True
        return any(self._in_block(self._body_at(line), line, skipping) for line in lines)

    def parameters(self, test: Definition) -> bool:
        """Whether parameters of a test may come from the candidate."""
        fixtures = (node for found in self._functions.values() for node in found)
        made = [one for node in fixtures for one in node.decorator_list if last_name(one) == "fixture"]
        return self.uses(*test.decorator_list, *made, *self._functions.get("pytest_generate_tests", ()), *self._marks())

    def marks(self, test: Definition) -> bool:
        """Whether marks of a test may hang on the candidate: its own and its file's, and those that are no decorators."""
        own = [one for one in test.decorator_list if last_name(one) != "parametrize"]
        if self._conditions(*own, *self._marks()):
            return True
        written = {id(node) for node in self._decorators() if not isinstance(node, ast.keyword)}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.keyword) and node.arg == "marks" and self._conditions(node.value):
                return True
            if not isinstance(node, ast.Call) or last_name(node) not in _MARKS or id(node) in written:
                continue
            if self._conditions(node) or self.at([node.lineno], skipping=True):
                return True
        return False

    def was_handed(self, path: str) -> bool:
        """Whether the tests hand the candidate a text that names this file, or a folder that it lies in."""
        calls = (node for node in ast.walk(self._tree) if isinstance(node, ast.Call) and self.uses(node.func))
        given = (one for node in calls for one in (*node.args, *(word.value for word in node.keywords)))
        texts = (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value)
        folders = {os.path.abspath(text) for text in texts if "\0" not in text}
        path = os.path.abspath(path)
        return any(path == folder or path.startswith(f"{folder}/") for folder in folders)

    def _conditions(self, *nodes: ast.AST) -> bool:
        """Whether anything in marks hangs on the candidate, conditions that are texts included."""
        texts = []
        for node in nodes:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call) and inner.args and isinstance(inner.args[0], ast.Constant):
                    texts.append(inner.args[0].value)
        return self.uses(*nodes) or any(self.uses(_parsed(text)) for text in texts if isinstance(text, str))

    def _decorators(self) -> Iterator[ast.AST]:
        for node in ast.walk(self._tree):
            if isinstance(node, Definition | ast.ClassDef):
                for decorator in node.decorator_list:
                    yield from ast.walk(decorator)

    def _marks(self) -> Iterator[ast.expr]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "pytestmark" for one in node.targets):
                yield node.value
            elif isinstance(node, ast.ClassDef):
                yield from node.decorator_list

    # Names

    def _enter(self, node: ast.AST, scope: int) -> None:
        for child in ast.iter_child_nodes(node):
            self._scopes[id(child)] = scope
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._bound[scope].add(child.name)
            if isinstance(child, Definition):
                inner = id(child)
                self._functions.setdefault(child.name, []).append(child)
                self._bound[inner] = _parameters(child)
                self._around[inner] = scope
            elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                self._bound[scope].add(child.id)
            elif isinstance(child, ast.Import | ast.ImportFrom):
                names = {alias.asname or alias.name.split(".")[0] for alias in child.names}
                self._bound[scope] |= names
                self._imported |= names - self._imports(child)
            elif isinstance(child, ast.ExceptHandler) and child.name:
                self._bound[scope].add(child.name)
            self._enter(child, inner)
            if isinstance(child, ast.Global | ast.Nonlocal):
                self._outer.setdefault(scope, set()).update(child.names)

    def _key(self, node: ast.AST, name: str) -> _Key:
        scope = self._scopes.get(id(node), 0)
        while scope and name not in self._bound[scope]:
            scope = self._around[scope]
        return scope, name

    def _is_found(self, node: ast.AST) -> bool:
        if id(node) in self._clocks:
            return True
        if isinstance(node, ast.Name):
            return self._key(node, node.id) in self._found
        if isinstance(node, ast.Import | ast.ImportFrom):
            return bool(self._imports(node))
        return isinstance(node, ast.Attribute) and (-1, node.attr) in self._found

    def _give(self, target: ast.AST | None, *, filled: bool = False) -> None:
        """What a target names hangs on the candidate. `filled` says that it is only called with what does."""
        if isinstance(target, ast.Name):
            if not (filled and target.id in (*_OWN, *self._imported)):
                self._found.add(self._key(target, target.id))
        elif isinstance(target, ast.Attribute):
            self._found.add((-1, target.attr))
        elif isinstance(target, ast.Subscript | ast.Starred):
            self._give(target.value)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._give(one)

    # What is passed on

    def _block(self, body: list[ast.stmt], *, under: bool) -> None:
        for node in body:
            self._statement(node, under=under)

    def _statement(self, node: ast.stmt, *, under: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node)
            return
        if isinstance(node, ast.ClassDef):
            self._block(node.body, under=False)
            if not node.name.startswith("Test") and self.uses(node):
                self._found.add(self._key(node, node.name))
            return
        decides = under or self._decides(node) or self._may_end(node)
        if id(node) not in self._owned:
            self._owned[id(node)] = list(_own(node))
        for inner in self._owned[id(node)]:
            self._expression(inner, under=decides)
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            if isinstance(part, ast.ExceptHandler) and part.name and decides:
                self._found.add(self._key(part, part.name))
            for field in ("body", "orelse", "finalbody"):
                block = getattr(part, field, None)
                if isinstance(block, list):
                    self._block(block, under=decides)

    def _may_end(self, node: ast.AST) -> bool:
        """Whether the candidate's context manager may end what a block does in the middle."""
        return isinstance(node, ast.With | ast.AsyncWith) and any(self.uses(item.context_expr) for item in node.items)

    def _expression(self, node: ast.AST, *, under: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._found |= {self._key(node, name) for name in self._imports(node)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and under:
            self._give(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            if under or self.uses(node.value):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._give(target)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            if self.uses(node.iter):
                self._give(node.target)
        elif isinstance(node, ast.withitem):
            if self.uses(node.context_expr):
                self._give(node.optional_vars)
        elif isinstance(node, ast.Call):
            self._call(node, under=under)

    def _call(self, node: ast.Call, *, under: bool) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        uses = self.uses(*given)
        if self.uses(node.func) and not self._is_plain(node.func):
            for one in given:  # it may be filled, or called
                self._hand(one)
            self._called(*given)
        if not (uses or under):
            return
        if isinstance(node.func, ast.Attribute):
            self._give(node.func.value, filled=True)
        if last_name(node) == "setattr" and len(given) > 2 and isinstance(given[1], ast.Constant):
            self._found.add((-1, str(given[1].value)))
        if uses:
            for function in self._functions.get(last_name(node), ()):
                self._parameters(function)

    def _hand(self, node: ast.AST) -> None:
        """The candidate may change what an expression gives it: each name that stands in it, and what that was made of."""
        if isinstance(node, ast.Compare | ast.BinOp | ast.JoinedStr | ast.Constant):
            return
        if isinstance(node, ast.Name):
            key = self._key(node, node.id)
            if key[1] in self._bound[key[0]]:
                self._hand_value(key, node)
        elif isinstance(node, ast.Attribute) and (-1, node.attr) in self._made_of:
            self._hand_value((-1, node.attr), node)
        elif isinstance(node, ast.Attribute | ast.Subscript):  # a method of it, or something that it has
            self._hand(node.value)
        elif isinstance(node, ast.Call):
            own = isinstance(node.func, ast.Name)  # what it does when it is called, it does for the tests
            if not (own and last_name(node) in _PLAIN):
                for one in (*(() if own else (node.func,)), *node.args, *(word.value for word in node.keywords)):
                    self._hand(one)
        elif not isinstance(node, ast.Lambda):
            for one in ast.iter_child_nodes(node):
                self._hand(one)

    def _hand_value(self, key: _Key, node: ast.expr) -> None:
        if key in self._handed:
            return
        self._handed.add(key)
        if key not in self._fixed:
            self._give(node, filled=True)
        for value in self._made_of.get(key, ()):
            self._hand(value)

    @functools.cached_property
    def _made_of(self) -> dict[_Key, list[ast.expr]]:
        """What names, attributes and parameters get by the source, as far as it is written there."""
        made: dict[_Key, list[ast.expr]] = {}
        bodies = (part for node in ast.walk(self._tree) if isinstance(node, ast.ClassDef) for part in node.body)
        attributes = {id(node) for part in bodies if not isinstance(part, Definition) for node in ast.walk(part)}

        def note(target: ast.AST, value: ast.expr) -> None:
            for one in ast.walk(target):
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                    made.setdefault((-1, one.id) if id(one) in attributes else self._key(one, one.id), []).append(value)
                elif isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
                    made.setdefault((-1, one.attr), []).append(value)

        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    note(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
                note(node.target, node.value)
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                note(node.target, node.iter)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                note(node.optional_vars, node.context_expr)
            elif isinstance(node, ast.Call):
                for function in self._functions.get(last_name(node), ()):
                    for name, value in _arguments(function, node):
                        made.setdefault((id(function), name), []).append(value)
        for function in (one for found in self._functions.values() for one in found):
            for name, value in defaults(function):
                made.setdefault((id(function), name), []).append(value)
        return made

    @functools.cached_property
    def _fixed(self) -> set[_Key]:
        """Names that hold nothing but numbers and texts that are written out: nobody changes those."""
        return {key for key, values in self._made_of.items() if all(isinstance(one, ast.Constant) for one in values)}

    def _is_plain(self, node: ast.expr) -> bool:
        """Whether this is a method of what the tests wrote out: Python's, whatever has become of it."""
        owner = node.value if isinstance(node, ast.Attribute) else None
        return isinstance(owner, ast.Name) and self._key(owner, owner.id) in self._written_out

    @functools.cached_property
    def _written_out(self) -> set[_Key]:
        """Names that hold nothing but what is written out: `found = []`."""
        nodes = list(ast.walk(self._tree))
        values = {id(one.targets[0]): one.value for one in nodes if isinstance(one, ast.Assign)}
        stored = [one for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        others = {self._key(one, one.id) for one in stored if not isinstance(values.get(id(one)), _DISPLAYS)}
        others |= {(id(one), name) for found in self._functions.values() for one in found for name in _parameters(one)}
        return {self._key(one, one.id) for one in stored} - others

    def _called(self, *given: ast.AST) -> None:
        """The candidate may call what it is given: functions, and the methods of what else there is."""
        for inner in (inner for one in given for inner in ast.walk(one)):
            if isinstance(inner, ast.Lambda):
                self._changed_by(inner)
            elif isinstance(inner, ast.Name):
                for function in (*self._functions.get(inner.id, ()), *self._held.get(inner.id, ())):
                    self._changed_by(function)
        for method in self._methods if given else ():
            self._changed_by(method)

    @functools.cached_property
    def _held(self) -> dict[str, list[Definition | ast.Lambda]]:
        """Functions that variables may hold: `job = [lambda: seen.append(1)]`."""
        held: dict[str, list[Definition | ast.Lambda]] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                inside = list(ast.walk(node.value))
                found: list[Definition | ast.Lambda] = [one for one in inside if isinstance(one, ast.Lambda)]
                found += [one for name in inside if isinstance(name, ast.Name) for one in self._functions.get(name.id, ())]
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for one in ast.walk(target) if found else ():
                        held.setdefault(getattr(one, "id", ""), []).extend(found)
        return held

    def _changed_by(self, function: Definition | ast.Lambda) -> None:
        """What a function sets, or may change, hangs on the candidate."""
        if id(function) in self._noted:
            return
        self._noted.add(id(function))
        body = [function.body] if isinstance(function, ast.Lambda) else function.body
        for inner in (inner for part in body for inner in ast.walk(part)):
            if isinstance(inner, ast.Assign | ast.AnnAssign | ast.AugAssign):
                for target in inner.targets if isinstance(inner, ast.Assign) else [inner.target]:
                    self._give(target)
                    self._hand(getattr(target, "value", target))
            elif isinstance(inner, ast.Call):
                self._hand(inner.func.value if isinstance(inner.func, ast.Attribute) else inner)
                self._called(inner.func)

    @functools.cached_property
    def _methods(self) -> list[Definition]:
        """Those of the tests' own classes that are no tests."""
        classes = (node for node in ast.walk(self._tree) if isinstance(node, ast.ClassDef) and not node.name.startswith("Test"))
        return [one for node in classes if not _is_unittest(node) for one in node.body if isinstance(one, Definition)]

    def _function(self, node: Definition) -> None:
        fixtures = {name for name in self._bound[id(node)] if (0, name) in self._found and name in self._functions}
        self._found |= {(id(node), name) for name in fixtures}
        if self.uses(*node.decorator_list):
            self._parameters(node)
            self._changed_by(node)
        self._block(node.body, under=False)
        if not node.name.startswith("test") and self.uses(node):
            self._found |= {self._key(node, node.name), (-1, node.name)}

    def _parameters(self, node: Definition) -> None:
        self._found |= {(id(node), name) for name in _parameters(node) if name not in _OWN}

    # Places

    def _decides(self, node: ast.AST) -> bool:
        """Whether the candidate decides what of a statement runs."""
        if isinstance(node, ast.If | ast.While):
            return self.uses(node.test)
        if isinstance(node, ast.For | ast.AsyncFor):
            return self.uses(node.iter)
        if isinstance(node, ast.Match):
            return self.uses(node.subject)
        return isinstance(node, ast.Try | ast.TryStar) and self.uses(*node.body)

    def _body_at(self, line: int) -> list[ast.stmt]:
        """The body of the innermost function that a line lies in."""
        found, size = self._tree.body, -1
        for functions in self._functions.values():
            for one in functions:
                first, last = one.body[0].lineno, one.end_lineno or 0
                if first <= line <= last and (size < 0 or last - first < size):
                    found, size = one.body, last - first
        return found

    def _in_block(self, body: list[ast.stmt], line: int, skipping: bool) -> bool:
        for node in body:
            if node.lineno > line:
                break
            if line > (node.end_lineno or node.lineno):
                if self._may_leave(node):
                    return True
            elif self._in_statement(node, line, skipping):
                return True
        return False

    def _may_leave(self, node: ast.stmt) -> bool:
        inside = [inner for inner in _walk(node) if self._decides(inner)]
        return any(isinstance(inner, _EXITS) for one in inside for inner in _walk(one))

    def _in_statement(self, node: ast.stmt, line: int, skipping: bool) -> bool:
        blocks = []
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                block = getattr(part, field, None)
                if isinstance(block, list) and block and block[0].lineno <= line <= (block[-1].end_lineno or line):
                    blocks.append((block, part is node and field == "body"))
        if not blocks:
            return not (skipping and _skips(node)) and self.uses(node)
        for block, begins in blocks:
            tried = begins and isinstance(node, ast.Try | ast.TryStar)
            if (not tried and self._decides(node)) or self._in_block(block, line, skipping):
                return True
        return False


def _arguments(function: Definition, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The parameters that a call of a function gives a value, each with it."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in _OWN]
    yield from zip(names, call.args, strict=False)
    yield from ((word.arg or "", word.value) for word in call.keywords)


def defaults(function: Definition | ast.Lambda) -> Iterator[tuple[str, ast.expr]]:
    """The parameters of a function that have a default, each with it."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    for one, value in zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True):
        yield one.arg, value
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if default is not None:
            yield one.arg, default


def files_in(tree: ast.Module) -> frozenset[int]:
    """The `id` of each node that reads a file, unless its path is written out and lies where the candidate has no folder."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and last_name(node) in _FILES]
    return frozenset(id(node.func) for node in calls if not any(map(_is_elsewhere, ast.walk(node))))


def _is_elsewhere(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and os.path.isabs(node.value)):
        return False
    return not any(node.value.startswith(folder) for folder in ("/box/", "/tmp", os.getcwd()))


def _parameters(node: Definition) -> set[str]:
    return {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}


def _clocks_in(tree: ast.Module) -> set[int]:
    """The `id` of each node that reads a clock: a function of such a name in a library's module or class, or an event loop's."""
    nodes = list(ast.walk(tree))
    owners, functions = set[str](), set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            owners |= {one.asname or _first(one.name) for one in node.names if _first(one.name) in _LIBRARIES}
        elif isinstance(node, ast.ImportFrom) and _first(node.module or "") in _LIBRARIES:
            functions |= {one.asname or one.name for one in node.names if one.name in _CLOCKS}
            functions |= _CLOCKS if any(one.name == "*" for one in node.names) else set()
            owners |= {one.asname or one.name for one in node.names if one.name not in _CLOCKS}
        elif isinstance(node, ast.Assign) and last_name(node.value).endswith("_loop"):
            owners |= {one.id for one in node.targets if isinstance(one, ast.Name)}
    return {id(node) for node in nodes if _reads_a_clock(node, owners, functions)}


def _reads_a_clock(node: ast.AST, owners: set[str], functions: set[str]) -> bool:
    if not isinstance(node, ast.Attribute) or node.attr not in _CLOCKS:
        return isinstance(node, ast.Name) and node.id in functions
    owner = node.value
    if isinstance(owner, ast.Call):
        return last_name(owner).endswith("_loop")
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    return isinstance(owner, ast.Name) and owner.id in owners


def _first(name: str) -> str:
    return name.partition(".")[0]


def _is_unittest(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("TestCase") for base in node.bases)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and the expressions in it, without the statements in it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler):
            continue
        yield from _own(child) if not isinstance(child, ast.match_case) else ast.walk(child.pattern)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those in it, but for what functions and classes in it consist of."""
    if isinstance(node, Definition | ast.ClassDef):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


def _parsed(text: str) -> ast.AST | None:
    try:
        return ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _skips(node: ast.stmt) -> bool:
    """Whether a statement skips, and does nothing else."""
    value = node.exc if isinstance(node, ast.Raise) else getattr(node, "value", None)
    return isinstance(value, ast.Call) and last_name(value) in _SKIPPING


def _head(node: ast.AST) -> list[ast.expr]:
    """What is worked out before a function or a class is made, above or beside its name."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [*node.decorator_list, *node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
    return []
