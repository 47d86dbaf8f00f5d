"""The tests' side of the boundary: runs tests against a candidate that lives in another process, and reports each of them.

Only what the tests themselves found counts. A boundary that breaks fails the test that it broke in and all that follow, whatever
they make of it; a side that sends what no honest one sends is reported as tampering.

Left out: limits and isolation. The agent has put both around this process.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import json
import linecache
import os
import socket
import sys
import traceback
import types
from typing import Any

from .. import light_tests
from ..frames import frames_in, shown
from . import values
from .exceptions import Broken, marked
from .handles import Function, HandleMeta
from .link import Link
from .module import Module
from .sharing import asks_identity

WORK = "/box/work"
_MESSAGE = 4000
"""Characters of a failure's message."""
_RECURSION = 6000
"""Frames: calls back and forth between the tests and the candidate take several each."""


class Report:
    """One JSON line for each thing that happened."""

    def __init__(self, results: int) -> None:
        self._results = results
        self.tampering = ""

    def send(self, **event: Any) -> None:
        """Report an event."""
        # Lone surrogates, which an exception's text may have, would make the whole report unreadable.
        clean = {k: v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for k, v in event.items()}
        data = json.dumps(clean).encode() + b"\n"
        while data:
            data = data[os.write(self._results, data) :]

    def tampered(self, what: str) -> None:
        """Report that the candidate's side attacked the boundary."""
        self.tampering = what
        self.send(event="tampered", what=what)


class _Judge:
    """One run of tests."""

    def __init__(self, link: Link, report: Report, tests: str, entry_point: str, path: str) -> None:
        self._link, self._report = link, report
        self._tests, self._entry_point, self._path = tests, entry_point, path
        self._failed = False
        self._now = ""
        """The test that runs."""
        linecache.cache[path] = (len(tests), None, tests.splitlines(keepends=True), path)

    # What happened, in words

    def side(self, exc: BaseException) -> str:
        """Whose exception it is."""
        if isinstance(exc, Broken) or marked(exc) is not None:
            return "candidate"
        if isinstance(exc, ImportError) and exc.name == self._link.module:
            return "candidate"
        if isinstance(exc, SyntaxError):
            return "tests" if exc.filename == self._path else ""
        if isinstance(exc, values.NotApart):
            return "tests"
        return "tests" if frames_in(exc, self._path) else ""

    def describe(self, exc: BaseException) -> str:
        """The exception, and the frames that lie in the two files, last ones first to be kept."""
        try:
            what = "".join(traceback.format_exception_only(type(exc), exc)).strip()
        except Exception:
            what = type(exc).__name__
        where: str = shown(frames_in(exc, self._path))
        return (where + (marked(exc) or "") + what)[-_MESSAGE:]

    def hidden(self) -> BaseException | None:
        """Why a test failed that says it passed: the boundary broke, or the candidate swallowed what the test found."""
        swallowed: BaseException | None = self._link.swallowed
        self._link.swallowed = None
        return Broken(self._link.broken) if self._link.broken else swallowed

    def explain(self, source: str, shown: list[Any], *message: Any) -> AssertionError:
        """The failure of an assertion, which is noted before the candidate is asked how its objects look."""
        self._report.send(event="doubt", name=self._now, message=f"assert {source[:_MESSAGE]}")
        failure: AssertionError = light_tests.explain(source, shown, *message)
        return failure

    def _test(self, name: str, exc: BaseException | None, outcome: str = "failed") -> None:
        hidden = self.hidden()
        exc = exc or hidden
        if exc is None:
            self._report.send(event="test", name=name, outcome="passed", message="", side="")
        else:
            self._failed = True
            broken = isinstance(exc, Broken)
            about = {"message": self.describe(exc), "side": self.side(exc), "broken": broken}
            self._report.send(event="test", name=name, outcome=outcome, **about)

    def collection_error(self, exc: BaseException) -> int:
        """The tests could not begin."""
        self._report.send(event="collection_error", message=self.describe(exc), side=self.side(exc))
        self._report.send(event="collected", tests=[])
        return self._finish(2)

    def _finish(self, status: int = 0) -> int:
        status = status or int(self._failed)
        self._report.send(event="finished", exit_status=status, broken=bool(self._link.broken), unsure=sorted(self._link.unsure))
        return status

    # Kinds of tests

    def run(self) -> int:
        """Run the tests in the lightest way that they allow."""
        try:
            tree = ast.parse(self._tests, self._path)
        except (SyntaxError, ValueError, RecursionError) as exc:
            if isinstance(exc, SyntaxError):
                exc.filename = self._path
            return self.collection_error(exc)
        known = light_tests.Names(self._tests, tree)
        # A candidate that calls something `math` would be asked whether it is right.
        libraries = {name: importlib.import_module(library) for name, library in known.libraries().items()}
        bound = known.bound | set(libraries) | known.starred(self._link.module, self._entry_point)
        module = Module(self._link, known.used, bound)
        sys.modules[self._link.module] = module
        _forward_seeds(self._link, self._tests)
        if "approx" in self._tests:
            _compare_whole_arrays()
        kind = light_tests.kind_of(tree, self._entry_point)
        if kind == "pytest":
            return self._pytest()
        names = light_tests.namespace(self._path, os.path.basename(self._path)[:-3], self.explain) | libraries
        sys.modules[names["__name__"]] = _module_of(names)
        try:
            if kind != "functions":
                for name in known.wanted(module.__name__, bound, self._entry_point):
                    names[name] = self._import(module, name)
            if kind == "asserts":
                return self._asserts(light_tests.Asserts(tree), names)
            calls = "check" if kind == "check" else ""
            body = [node for node in tree.body if not _calls(node, calls)]
            entry = self._import(module, self._entry_point) if kind == "check" else None
            exec(light_tests.compiled(body, self._path, self._tests), names)
        except BaseException as exc:
            return self.collection_error(exc)
        if kind == "check":
            found = {"check": lambda: names["check"](entry)}
        else:
            own = {n: f for n, f in names.items() if n.startswith("test") and type(f) is types.FunctionType}
            found = {name: function for name, function in own.items() if function.__code__.co_filename == self._path}
        return self._functions(found)

    def _import(self, module: Module, name: str) -> Any:
        try:
            return getattr(module, name)
        except AttributeError:
            raise ImportError(f"cannot import name {name!r} from {module.__name__!r}", name=module.__name__) from None

    def _functions(self, tests: dict[str, Any]) -> int:
        self._report.send(event="collected", tests=list(tests))
        for self._now, test in tests.items():
            self._test(self._now, _outcome(test))
        return self._finish()

    def _asserts(self, asserts: light_tests.Asserts, names: dict[str, Any]) -> int:
        self._report.send(event="collected", tests=list(asserts.names.values()))
        broken: BaseException | None = None
        for place, statement in enumerate(asserts.statements):
            name = asserts.names.get(place)
            self._now = name or ""
            if broken is None:
                exc = _outcome(functools.partial(exec, light_tests.compiled([statement], self._path, self._tests), names))
                if name is not None:
                    self._test(name, exc)
                else:
                    broken = exc  # what prepares the tests that follow
            elif name is not None:
                self._test(name, broken, "error")
        return self._finish()

    def _pytest(self) -> int:
        import pytest

        from ..reporter import Reporter

        judge, link, report = self, self._link, self._report

        class Apart(Reporter):
            """Reports as in one interpreter, and knows the candidate's exceptions by their mark."""

            def _send(self, **event: Any) -> None:
                if event.get("event") == "test" and (exc := judge.hidden()) and event["outcome"] == "passed":
                    event |= {"outcome": "failed", "message": judge.describe(exc), "side": judge.side(exc)}
                if event.get("event") == "finished":
                    event |= {"broken": bool(link.broken), "unsure": sorted(link.unsure)}
                report.send(**event)

            def pytest_collection_finish(self, session: Any) -> None:
                """Name what will run. A test that is the candidate's own function would pass whenever that likes."""
                for item in session.items:
                    if isinstance(type(getattr(item, "obj", None)), HandleMeta) or type(item.obj) is Function:
                        report.send(event="collection_error", message=f"{item.name} is wrapped by the candidate", side="tests")
                super().pytest_collection_finish(session)

            def pytest_internalerror(self, excrepr: Any, excinfo: Any) -> None:
                """Blame a candidate that leaves while the tests are imported, which pytest lets through."""
                if marked(excinfo.value) is not None:
                    judge.collection_error(excinfo.value)

            def _side(self, exc: BaseException) -> str:
                return judge.side(exc)

            def _describe(self, exc: BaseException) -> str:
                return judge.describe(exc)

        folder = os.path.dirname(self._path)
        with open(self._path, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(self._tests)
        sys.argv[:] = ["pytest"]
        options = ["-q", "--tb=short", "--noconftest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", folder]
        reporter = Apart(-1, link.module, os.path.basename(self._path), folder)
        return int(pytest.main([*options, self._path], plugins=[reporter]))


def _outcome(test: Any) -> BaseException | None:
    """What a test raised. Leaving, being interrupted or skipping is no way to pass."""
    try:
        test()
    except BaseException as exc:
        return exc
    return None


def _calls(node: ast.stmt, name: str) -> bool:
    """Whether a statement is a bare call of `name`."""
    if not (name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return isinstance(node.value.func, ast.Name) and node.value.func.id == name


def _module_of(names: dict[str, Any]) -> types.ModuleType:
    module = types.ModuleType(names["__name__"])
    module.__dict__.update(names)
    return module


def _compare_whole_arrays() -> None:
    """Make an empty array unequal to `pytest.approx` of a number: pytest asks each item, and none of them differs."""
    import pytest

    kind = type(pytest.approx(1.0))
    equal = kind.__eq__

    def __eq__(self: Any, actual: Any) -> bool:
        numpy = sys.modules.get("numpy")
        if numpy is not None and not numpy.isscalar(actual) and hasattr(actual, "__array__"):
            actual = numpy.asarray(actual)  # once: a candidate's object could answer differently the next time
            if not actual.size:
                return False
        return bool(equal(self, actual))

    kind.__eq__ = __eq__  # type: ignore[method-assign]


def _forward_seeds(link: Link, tests: str) -> None:
    """Let seeds that the tests set hold for the candidate's generators too, as in one interpreter."""
    import random

    libraries: list[tuple[str, Any, str]] = [("random", random, "seed")]
    for name, attribute in (("numpy", "seed"), ("torch", "manual_seed")):
        if name in sys.modules or name in tests:
            with contextlib.suppress(ImportError):
                __import__(name)
                found = sys.modules[name]
                libraries.append((name, found.random if name == "numpy" else found, attribute))
    for name, module, attribute in libraries:
        setattr(module, attribute, _seeding(link, name, getattr(module, attribute)))


def _seeding(link: Link, library: str, original: Any) -> Any:
    def seed(*args: Any, **kwargs: Any) -> Any:
        values = (*args, *kwargs.values())
        if all(type(value) in (int, float, str, bytes, type(None)) for value in values):
            link.seeds.append((library, values))
        return original(*args, **kwargs)

    seed.__name__ = seed.__qualname__ = original.__name__
    return seed


def judge(sock: socket.socket, results_fd: int, work: dict[str, Any]) -> int:
    """Run tests against the candidate at the other end of `sock`; report to the descriptor `results_fd`.

    `work` has the name of the candidate's `module`, the source of the `tests`, the `entry_point` for tests that define
    `check(candidate)`, and whether values that can change are shared with the candidate (`in_place`). Returns pytest's exit code:
    0 where all passed.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    report = Report(results_fd)
    link = Link(sock, work["module"], in_place=bool(work.get("in_place")), tampered=report.tampered)
    link.entry_point = work.get("entry_point") or ""
    link.asks_identity = asks_identity(work["tests"])
    link.names_stop = "StopIteration" in work["tests"] or "StopAsyncIteration" in work["tests"]
    folder = os.getcwd()
    run = _Judge(link, report, work["tests"], link.entry_point, f"{folder}/test_{work['module']}.py")
    try:
        exc = link.greet()
    except Broken as broken:
        exc = broken
    if exc is not None:
        return run.collection_error(exc)
    return run.run()
