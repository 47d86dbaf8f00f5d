"""What the tests found, noted the moment it is known: before anything of the candidate's is asked how it looks.

An assertion that failed stays failed. No context manager, decorator or exception class of the candidate's undoes it, nor does a
process that ends while the failure is worded; only a handler in the tests does that names AssertionError or a base of it.

Left out: exceptions that are no assertions. They fail a test by leaving it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .. import light_tests
from .exceptions import Broken, marked
from .guards import CAME, DUE, TURN, Guard
from .handles import Function, HandleMeta, bare, is_below
from .values import NotApart

_FORGIVING = frozenset(("AssertionError", "Exception", "BaseException", "failureException"))
_CATCHING = frozenset(("raises", "assertRaises", "assertRaisesRegex", "assert_raises", "assert_raises_regex", "suppress"))
_STOPS = frozenset(("StopIteration", "StopAsyncIteration"))
_ADVANCING = frozenset(("next", "anext", "__next__", "__anext__", "send", "throw", "asend", "athrow"))
"""What raises them in the usual way."""
_MESSAGE = 4000
"""Characters of what is noted."""


class Findings:
    """The failures of the test that runs."""

    def __init__(self, doubt: Callable[[str, str], None]) -> None:
        self._tree, self._path, self._doubt = ast.Module([], []), "", doubt
        self.now = ""
        """The test that runs; empty while the tests are imported."""
        self.failure = ""
        """What failed in it for good."""
        self.compared: Callable[[int, int], None] = lambda line, column: None
        """Called with the place of an assertion that passed and compared two things, neither of them written out."""
        self.formatting: Callable[[Any, str], Any] = getattr
        """Called for the attribute `format` of what is not written out."""
        self.reducing: Callable[[Any], Any] = lambda value: value
        """Called for what is asked to sum up many values."""
        self.entered: set[int] = set()
        """Marked functions that ever ran."""
        self.due: set[Guard] = set()
        """What the test that runs has come to that assertions stand under (`guards.py`)."""
        self.came: set[Guard] = set()
        """Of these, what it has made an assertion under, and the loops that had a turn."""
        self._handled: dict[frozenset[str], list[tuple[tuple[int, int], bool]]] = {}
        self._done: dict[int, bool] = {}
        self._depth = 0
        self._shown = False

    def read(self, tree: ast.Module, path: str) -> None:
        """Note the tests' source, and the file that it is known as."""
        self._tree, self._path = tree, path

    def begin(self, name: str) -> None:
        """A test begins."""
        self.now, self.failure = name, ""
        self._done.clear()
        self.due.clear()
        self.came.clear()

    def failed(self, what: str) -> None:
        """Note a failure at once."""
        what = what[:_MESSAGE]
        self._doubt(self.now, what)
        if not self.failure and not self._is_expected():
            self.failure = what

    def ran_to_its_end(self, number: int) -> bool:
        """Whether the last run of a marked function came to its end in the test that runs."""
        return self._done.get(number, False)

    # What compiled tests call

    def hooks(self) -> dict[str, Any]:
        """The names that they need."""
        return light_tests.hooks(self) | {DUE: self.due.add, CAME: self.came.update, TURN: self.came.add}

    def explain(self, source: str, shown: list[Any]) -> Callable[..., AssertionError]:
        """The failure of an assertion, noted before its message is worked out and its values are asked how they look."""
        self.failed(f"assert {source}")
        return functools.partial(light_tests.explain, source, shown)

    def failing(self) -> None:
        """The tests raise an AssertionError next."""
        self.failed("AssertionError was raised")

    @contextlib.contextmanager
    def running(self, number: int) -> Iterator[None]:
        """A marked function runs."""
        self.entered.add(number)
        self._done[number] = False
        yield
        self._done[number] = True

    def class_of(self, value: Any) -> type:
        """The class of a value, the candidate's own where it came as plain data with more."""
        return type(bare(value))

    def is_subclass(self, kind: Any, above: Any) -> bool:
        """Whether a class derives from another; one of the candidate's may derive from plain data or from a library's."""
        if not isinstance(kind, HandleMeta):
            return issubclass(kind, above)
        real = kind._fumehood_real
        return is_below(kind, above) or issubclass(kind, above) or (real is not None and issubclass(real, above))

    def decorating(self, decorator: Any) -> Any:
        """A decorator of a test. What the candidate makes of a test is called by a function that pytest can read."""

        def decorated(test: Any) -> Any:
            made = decorator(test)
            if type(made) is not Function:
                return made

            @functools.wraps(test)
            def called(*args: Any, **kwargs: Any) -> Any:
                return made(*args, **kwargs)

            return called

        return decorated

    # Assertions of libraries

    def showing(self) -> None:
        """Something of the candidate's is about to be asked how it looks: inside an assertion that is, most likely, failing."""
        if self._depth and not self._shown:
            self._shown = True
            self._doubt(self.now, "An assertion was comparing.")

    def watch(self, tests: str) -> None:
        """Have the assertions of the libraries that these tests use note their failures."""
        if "unittest" in tests or "unittest" in sys.modules:
            import unittest

            self._watch_all(unittest.TestCase)
            context = importlib.import_module("unittest.case")._BaseTestCaseContext
            context._raiseFailure = self._noting(context._raiseFailure)
        if "mock" in tests and "unittest" in tests:
            self._watch_all(importlib.import_module("unittest.mock").NonCallableMock)
        if "pytest" in sys.modules:
            outcomes = importlib.import_module("_pytest.outcomes")
            outcomes.Failed.__init__ = self._noting(outcomes.Failed.__init__)
        for library in ("numpy", "torch", "pandas"):
            if (library in sys.modules or (library == "pandas" and "pandas" in tests)) and "testing" in tests:
                with contextlib.suppress(ImportError):
                    self._watch_all(importlib.import_module(f"{library}.testing"))
        if "numpy.testing" in sys.modules:
            self._watch_all(importlib.import_module("numpy.testing._private.utils"))

    def _watch_all(self, owner: Any) -> None:
        for name in [name for name in dir(owner) if name.startswith(("assert", "fail"))]:
            function = getattr(owner, name)
            if callable(function) and not isinstance(function, type):
                setattr(owner, name, self._watched(function, name))

    def _watched(self, function: Any, name: str) -> Any:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return function(*args, **kwargs)
            self._depth, self._shown = 1, False
            try:
                return function(*args, **kwargs)
            except (Broken, NotApart):
                raise
            except BaseException as exc:
                if self._shown or (isinstance(exc, AssertionError) and marked(exc) is None):
                    self.failed(f"{name} failed")
                raise
            finally:
                self._depth = 0

        return watched

    def _noting(self, function: Any) -> Any:
        @functools.wraps(function)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self.failed("the tests failed here")
            return function(*args, **kwargs)

        return noting

    # Failures that the tests expect

    def _is_expected(self) -> bool:
        """Whether a handler of the tests' own waits for the failure that is now known."""
        return self._stands_in(self._ranges)

    def expects_stop(self, *, by_next: bool) -> bool:
        """Whether a handler of the tests' own names StopIteration where they stand now: else none comes out of a function.

        Where `next` is called in the block of a `try`, it is `next` that is waited for.
        """
        return self._stands_in([lines for lines, advances in self._handling(_STOPS) if by_next or not advances])

    def expects(self, name: str) -> bool:
        """Whether a handler of the tests' own names this class of exceptions where they stand now."""
        return self._stands_in([lines for lines, _ in self._handling(frozenset((name,)))])

    def expects_error(self) -> bool:
        """Whether the tests catch any error where they stand now."""
        return self._stands_in(self._catching)

    def _stands_in(self, ranges: list[tuple[int, int]]) -> bool:
        frame: Any = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._path and any(first <= frame.f_lineno <= last for first, last in ranges):
                return True
            frame = frame.f_back
        return False

    @functools.cached_property
    def _ranges(self) -> list[tuple[int, int]]:
        """Lines of the tests inside which an AssertionError is caught by name, or by a base of it."""
        names = {node.targets[0].id: node.value for node in self._tree.body if _is_assignment(node)}  # type: ignore[attr-defined]
        found: list[tuple[int, int]] = []
        held: set[int] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Try | ast.TryStar):
                if any(handler.type is None or _forgives(handler.type, names) for handler in node.handlers):
                    found.append(_lines(node.body))
                    if any(isinstance(inner, ast.Yield) for part in node.body for inner in ast.walk(part)):
                        return [(0, sys.maxsize)]  # a context manager of the tests' own, used who knows where
            elif isinstance(node, ast.With | ast.AsyncWith):
                for item in node.items:
                    if _catches(item.context_expr, names):
                        held.add(id(item.context_expr))
                        found.append(_lines(node.body))
            elif _swallows(node):
                return [(0, sys.maxsize)]
        for node in ast.walk(self._tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Call) and id(inner) not in held and _catches(inner, names):
                        found.append(_lines(node.body))
        return found

    @functools.cached_property
    def _catching(self) -> list[tuple[int, int]]:
        """Lines of the tests inside which an error is caught."""
        found: list[tuple[int, int]] = []
        for node in ast.walk(self._tree):
            if (isinstance(node, ast.Try | ast.TryStar) and node.handlers) or (
                isinstance(node, ast.With | ast.AsyncWith) and any(_called(item.context_expr) in _CATCHING for item in node.items)
            ):
                found.append(_lines(node.body))
            elif _called(node) in _CATCHING:
                found.append((node.lineno, node.end_lineno or node.lineno))  # type: ignore[attr-defined]
        return found

    def _handling(self, wanted: frozenset[str]) -> list[tuple[tuple[int, int], bool]]:
        """Lines of the tests inside which such an exception is caught by name, and whether there is a `next` in them."""
        if wanted not in self._handled:
            self._handled[wanted] = self._read_handling(wanted)
        return self._handled[wanted]

    def _read_handling(self, wanted: frozenset[str]) -> list[tuple[tuple[int, int], bool]]:
        names = {node.targets[0].id: node.value for node in self._tree.body if _is_assignment(node)}  # type: ignore[attr-defined]
        found: list[tuple[tuple[int, int], bool]] = []
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Try):
                if any(one.type is not None and _forgives(one.type, names, wanted) for one in node.handlers):
                    found.append((_lines(node.body), any(map(_advances, node.body))))
            elif isinstance(node, ast.With | ast.AsyncWith):
                if any(_catches(item.context_expr, names, wanted) for item in node.items):
                    found.append((_lines(node.body), False))
            elif isinstance(node, ast.Call) and _catches(node, names, wanted):
                found.append(((node.lineno, node.end_lineno or node.lineno), False))
        return found


def _advances(body: ast.AST) -> bool:
    called = (node.func for node in ast.walk(body) if isinstance(node, ast.Call))
    return any(getattr(one, "attr", getattr(one, "id", "")) in _ADVANCING for one in called)


def _swallows(node: ast.AST) -> bool:
    """Whether a context manager of the tests' own may end an exception."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name not in ("__exit__", "__aexit__"):
        return False
    return any(isinstance(inner, ast.Return) and inner.value is not None for inner in ast.walk(node))


def _is_assignment(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def _lines(body: list[ast.stmt]) -> tuple[int, int]:
    return body[0].lineno, body[-1].end_lineno or body[-1].lineno


def _called(node: ast.AST) -> str:
    """The last name of what is called; empty where this is no call."""
    return light_tests.last_name(node) if isinstance(node, ast.Call) else ""


def _catches(node: ast.expr, names: dict[str, ast.expr], wanted: frozenset[str] = _FORGIVING) -> bool:
    if not isinstance(node, ast.Call):
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return _called(node) in _CATCHING and any(_forgives(one, names, wanted) for one in given)


def _forgives(node: ast.expr, names: dict[str, ast.expr], wanted: frozenset[str] = _FORGIVING) -> bool:
    """Whether an expression names one of these classes, by itself or through a name that the tests gave it."""
    if isinstance(node, ast.Tuple | ast.List):
        return any(_forgives(one, names, wanted) for one in node.elts)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    if isinstance(node, ast.Name) and name in names:
        return _forgives(names[name], {}, wanted)
    if isinstance(node, ast.Attribute) and name == "Exception":
        return wanted is _FORGIVING and ast.unparse(node.value).split(".")[-1] == "fail"  # pytest.fail.Exception
    return name in wanted and (isinstance(node, ast.Name) or name == "failureException" or wanted is not _FORGIVING)
