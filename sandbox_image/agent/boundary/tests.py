"""The tests' side of the boundary: runs tests against a candidate that lives in another process, and reports each of them.

Only what the tests themselves found counts. A boundary that breaks fails the test that it broke in and all that follow, whatever
they make of it; a side that sends what no honest one sends is reported as tampering.

Left out: limits and isolation. The agent has put both around this process.
"""

from __future__ import annotations

import ast
import contextlib
import datetime
import functools
import importlib
import importlib.machinery
import inspect
import linecache
import os
import pickle
import socket
import sys
import traceback
import types
import typing
from collections.abc import Callable, Collection
from json import dumps
from os import write
from typing import Any

from .. import light_tests, protocol, pytest_run
from ..expected import Reading
from ..frames import frames_in, shown
from ..hanging import Hanging
from . import fixtures, guards, values
from .derived import own_super
from .exceptions import Broken, mark, marked
from .findings import Findings
from .folders import Folders, roots, wanted
from .handles import Function, Handle, HandleMeta, Method
from .link import Link
from .module import Module
from .named import Named
from .patches import Patches
from .sides import Sides
from .silent import Silent
from .unreached import Unreached

WORK = "/box/work"
_MESSAGE = 4000
"""Characters of a failure's message."""
_REBINDING = ("globals", "locals", "vars(", "setattr", "exec(", "eval(", "__dict__", "sys.modules")
"""Words of source that may give a name another value without writing the name."""
_REPLACED = frozenset(("hash", "id", "next", "getattr", "super", "all", "any"))
"""Python's own that tests get ours for."""
_FAILING = ("failed", "error")
_NO_TESTS = Reading(ast.Module([], []), "")
"""What is expected where the source is not read: all tests that run are functions of it, which nothing replaces."""
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
        data = dumps(clean).encode() + b"\n"
        while data:
            data = data[write(self._results, data) :]

    def tampered(self, what: str) -> None:
        """Report that the candidate's side attacked the boundary."""
        self.tampering = what
        self.send(event="tampered", what=what)


class _Judge:
    """One run of tests."""

    _report: Report

    def __init__(self) -> None:
        self._link = link = Link()
        self._tests = self._entry_point = self._path = ""
        self._defines: frozenset[str] = frozenset()
        self._failed = False
        self._ended = False
        self._reported: set[str] = set()
        self._collected: list[str] = []
        self._missing: frozenset[str] = frozenset()
        """Names that nobody defines: neither the tests nor, by what the task says, the candidate."""
        self._names: set[str] = set()
        """Those that it defines."""
        self._expected = _NO_TESTS
        self._findings = Findings(self._doubt)
        self._sides = Sides("", "", (), "")
        self._named = Named(link.refuse, lambda: link.rest_on("word"))
        self._silent = Silent(lambda error: link.unreached.ended(error), link.loops.finish, self._given_error)
        self._used = 0
        """How much of the candidate had been used when the test that runs began."""
        self._refused = 0
        """And how much could not cross."""
        self._used_to_import: int | None = None
        """How much when all of the tests' file had run."""
        self._used_to_collect = 0
        """How much when it was known which tests there are."""
        self._skipping: list[int] = []
        """Lines of the tests that stood around when a test of unittest's skipped itself."""
        self.skipped: BaseException | None = None
        """What skipped the whole file."""

    def open(self, sock: socket.socket, report: Report, work: dict[str, Any], path: str) -> Link:
        """Take up the work, whose tests are known as the file `path`. Returns the link to the candidate."""
        link, tests = self._link, work["tests"]
        link.open(sock, work["module"], tests, in_place=bool(work.get("in_place")), tampered=report.tampered)
        self._report, self._tests, self._path = report, tests, path
        self._entry_point = link.entry_point = work.get("entry_point") or ""
        self._defines = frozenset(work.get("defines") or ())
        self._named.tests = tests
        linecache.cache[path] = (len(tests), None, tests.splitlines(keepends=True), path)
        return link

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
            return "tests" if self._is_their_kind(exc) else "candidate"
        return "tests" if frames_in(exc, self._path) else ""

    def _is_their_kind(self, exc: BaseException) -> bool:
        """Whether something cannot cross for what it is, which the tests chose, or nothing of the candidate's was used."""
        return isinstance(exc, values.NotApart) and (exc.kind or not self._link.used)

    def is_proved(self, exc: BaseException) -> bool:
        """Whether the tests fail with this whatever the candidate does: blame needs that."""
        if isinstance(exc, Broken) or marked(exc) is not None:
            return False
        if isinstance(exc, NameError):
            return exc.name in self._missing and self._is_certain(exc)
        if isinstance(exc, ImportError):
            return exc.name != self._link.module and self._is_of_imports(exc) and self._is_certain(exc)
        if isinstance(exc, SyntaxError):
            return exc.filename == self._path
        if type(exc).__name__ == "FixtureLookupError":  # what the candidate made of a test may have other parameters
            test = self._expected.tests.get(self._findings.now.partition("[")[0])
            if test is None or test.decorated:
                return False
            return fixtures.lacks(self._sides.tree, test.node, getattr(exc, "argname", "") or "", self._expected.depends)
        if type(exc).__name__ == "Failed" and not frames_in(exc, self._path):  # parameters that pytest cannot read
            return not any(test.decorated or self._hanging.parameters(test.node) for test in self._reading.tests.values())
        return not self._link.taken and not (isinstance(exc, OSError) and self._is_of_their_files(exc))

    def _is_certain(self, exc: BaseException) -> bool:
        """Whether the tests come to where this was raised whatever the candidate gives.

        An undefined name in what they do about a failure is met by wrong candidates alone.
        """
        return not self._link.taken or (not self._findings.failure and self._link.unreached.is_certain(exc))

    def _is_of_imports(self, exc: ImportError) -> bool:
        """Whether an import failed, or a library lacks another: what the tests raise themselves, the candidate may have named."""
        if type(exc) not in (ImportError, ModuleNotFoundError):
            return False
        frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__)]
        return exc.name is not None or bool(frames and frames[-1].f_code.co_filename != self._path)

    def describe(self, exc: BaseException) -> str:
        """The exception, and the frames that lie in the two files, last ones first to be kept."""
        try:
            what = "".join(traceback.format_exception_only(type(exc), exc)).strip()
        except BaseException:
            what = type(exc).__name__
        where: str = shown(frames_in(exc, self._path))
        return (where + (marked(exc) or "") + what)[-_MESSAGE:]

    def hidden(self) -> BaseException | None:
        """Why a test failed that says it passed: the boundary broke, or the candidate swallowed what the test found."""
        swallowed: BaseException | None = self._link.swallowed
        self._link.swallowed = None
        return Broken(self._link.broken) if self._link.broken else swallowed

    def _doubt(self, name: str, message: str) -> None:
        self._report.send(event="doubt", name=name, message=message)

    def _given_error(self, error: BaseException) -> None:
        """The tests were given an error as a value. Where it left out an assertion, nobody need have looked at it."""
        if self._link.unreached.leaves_out(error):
            self._link.rest_on("word")

    # Reporting

    def begin(self, name: str) -> None:
        """A test begins."""
        self._findings.begin(name)
        self._link.begin(name)
        self._skipping = []
        self._silent.begin()
        self._used, self._refused = self._link.used, len(values.NotApart.raised)

    def known(self, exc: BaseException) -> None:
        """A test has failed with this, which is noted before anything else is asked."""
        self._doubt(self._findings.now, type(exc).__name__)

    def collected(self, tests: list[str]) -> None:
        """Name what will run."""
        self._collected += tests
        self._used_to_collect = self._link.used
        self._report.send(event="collected", tests=tests)

    def test(self, name: str, outcome: str, exc: BaseException | None = None, about: dict[str, Any] | None = None) -> None:
        """Report a test, once what it hides is known. `about` has the message and the side where there is no exception."""
        if self._stopped():
            return
        hidden = self.hidden()
        self._silent.finish()
        told = {"message": "", "side": "", "broken": False, "proved": False} | (about or {})
        if exc is None and outcome == "passed":
            exc = hidden or self._link.settle()
            why = "" if exc else self._why_not_passed(name)
            outcome = "failed" if exc or why else "passed"
            if (
                self._link.unreached
                or self._uses_borrowed(name)
                or self._handed_in_vain()
                or self._outlived()
                or self._left_out()
            ):
                self._link.rest_on("word")
            if why:
                told |= {"message": why, "side": "tests" if self._findings.failure else "candidate"}
        if exc is not None:
            told |= {"message": self.describe(exc), "side": self.side(exc), "broken": isinstance(exc, Broken)}
            told["proved"] = outcome in _FAILING and self.is_proved(exc)
        self._failed |= outcome in _FAILING
        self._reported.add(name)
        circular = self._link.compared and self._link.changed and self._sides.is_circular(name.partition("[")[0])
        self._report.send(event="test", name=name, outcome=outcome, basis=self._link.basis, circular=circular, **told)
        if outcome in _FAILING:
            self._link.settle()  # now that it is reported: for what copies may have hidden
        self._link.end()

    def _why_not_passed(self, name: str) -> str:
        """Why a test that ended well did not pass all the same."""
        if self._skipping and self._link.used and self._skipping_by.at(self._skipping, skipping=True):
            return "A part of it was skipped for what the candidate gave."
        if self._findings.failure:
            return f"An assertion failed, whatever became of it: {self._findings.failure}"
        if self._link.unreached.message:
            return self._link.unreached.message
        if self._link.refused:
            return self._link.refused[0]
        if len(values.NotApart.raised) > self._refused:
            return str(values.NotApart.raised[-1])
        test = self._expected.tests.get(name.partition("[")[0])
        if test is not None and id(test.node) in self._expected.marked and not self._findings.ran_to_its_end(id(test.node)):
            return "The test was not run to its end by what the candidate made of it."
        return ""

    def _handed_in_vain(self) -> bool:
        """Whether a test gave the candidate a function that asserts, which was never called."""
        return any(map(self._link.unreached.asserts, self._link.handed.values()))

    def _left_out(self) -> bool:
        """Whether it has come to what assertions stand under, and made none, by what the candidate gave."""
        left = self._findings.due - self._findings.came
        return bool(left) and self._link.unreached.hang(left)

    def _outlived(self) -> bool:
        """Whether a thread goes on after a test with assertions of the tests' to make, which nobody waits for."""
        return any(map(self._link.unreached.before, self._silent.running()))

    def _uses_borrowed(self, name: str) -> bool:
        """Whether a test uses a name under which the candidate gave a class that is not its own: `isinstance` says little."""
        return bool(self._link.borrowed) and self._sides.uses(name.partition("[")[0], self._link.borrowed)

    def is_excused(self, name: str, exc: BaseException | None, reason: str) -> bool:
        """Whether a test is skipped, or expected to fail, without the candidate's doing. Without `exc` it did not begin."""
        if not self._link.used:
            return True
        test = self._reading.tests.get(name.partition("[")[0])
        hanging = self._skipping_by
        if exc is None and "empty parameter set" in reason:
            fixed = test is not None and not test.decorated and not hanging.parameters(test.node)
            return fixed or not self._used_to_collect
        if exc is None and not self._skipping:
            return test is None or not (test.skippable or hanging.marks(test.node))
        if exc is None:
            return not hanging.at(self._skipping, skipping=True)
        if marked(exc) is not None or self._link.used != self._used:
            return False
        return self._is_free(exc, skipping=True)

    @property
    def _hanging(self) -> Hanging:
        """What hangs on the candidate, by the source."""
        return self._reading.hanging

    @property
    def _skipping_by(self) -> Hanging:
        """What of skips does: files too, if they were asked about after the candidate was, or it has touched any."""
        asked = self._link.used if self._used_to_import is None else self._used_to_import
        folders = self._link.folders
        files = asked or (folders is not None and folders.touched)
        return self._reading.hanging_or_files if files else self._reading.hanging

    @functools.cached_property
    def _reading(self) -> Reading:
        """The source as it is written: what is compiled has assertions taken apart."""
        return Reading(ast.parse(self._tests), self._link.module, self._names)

    def _is_free(self, exc: BaseException, *, skipping: bool = False) -> bool:
        """Whether by the tests' source an exception comes from them, and from nothing that hangs on the candidate."""
        if not frames_in(exc, self._path) or isinstance(exc, Broken | MemoryError | RecursionError):
            return False
        seen: BaseException | None = exc
        hanging = self._skipping_by if skipping else self._hanging
        while seen is not None:
            lines = [line for _, line, _ in frames_in(seen, self._path)]
            if marked(seen) is not None or hanging.at(lines, skipping=skipping):
                return False
            if isinstance(seen, OSError) and self._is_of_their_files(seen):
                return False
            seen = seen.__cause__ or seen.__context__
        return True

    def _is_of_their_files(self, error: OSError) -> bool:
        """Whether a file that could not be used is one that the candidate touched, or was to make."""
        folders = self._link.folders
        if folders is None:
            return False
        handed = isinstance(error.filename, str) and self._hanging.was_handed(error.filename)
        return handed or folders.may_have_caused(error, asked=self._link.used > 0 or self._runs_a_script)

    @functools.cached_property
    def _runs_a_script(self) -> bool:
        """Whether the tests import the candidate and use nothing of it: what it was to do, it was to do then."""
        tree = ast.parse(self._tests)
        taken = Reading(tree, self._link.module).taken
        return bool(taken) and not any(isinstance(node, ast.Name) and node.id in taken for node in ast.walk(tree))

    def watch_skips(self) -> None:
        """Note where a test of unittest's skips itself: pytest shows no more than that it did."""
        if "unittest" not in self._tests:
            return
        import unittest

        import pytest

        for kind in (unittest.SkipTest, pytest.skip.Exception):
            kind.__init__ = self._noting_skip(kind.__init__)  # type: ignore[method-assign]

    def _noting_skip(self, made: Callable[..., None]) -> Callable[..., None]:
        def skip(own: Any, *args: Any, **kwargs: Any) -> None:
            self._skipping += [line for file, line in _stack() if file == self._path]
            made(own, *args, **kwargs)

        return skip

    def collection_error(self, exc: BaseException) -> int:
        """The tests could not begin: by their own fault where that is proved, or nothing of the candidate's was taken.

        What pytest finds of itself, without a frame of theirs, it finds of them as long as the candidate was only imported.
        """
        side = self.side(exc)
        theirs = frames_in(exc, self._path) or self._link.used or isinstance(exc, TypeError | AttributeError)
        if theirs and not (self._is_their_kind(exc) or self.is_proved(exc) or self._is_free(exc)):
            side = "candidate"
        if not self._stopped():
            self._report.send(event="collection_error", message=self.describe(exc), side=side)
            self._report.send(event="collected", tests=[])
        return self._finish(2)

    def _is_empty(self) -> bool:
        """Whether no test is left, after the candidate was used, of tests that have some by their source or make some."""
        if self._collected or self._reported or not self._link.used or "test" not in self._without_imports().lower():
            return False
        return self.skipped is None or not self._is_free(self.skipped, skipping=True)

    def _without_imports(self) -> str:
        """The tests' source but for what they import, and from where."""
        tree = ast.parse(self._tests)
        return "\n".join(ast.unparse(node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom))

    def _stopped(self) -> bool:
        """Whether the tests need the candidate in their own interpreter, which is reported once and ends them."""
        if not self._ended:
            for exc in values.NotApart.raised:
                if self._is_their_kind(exc):
                    self._ended = True
                    self._report.send(event="not_apart", message=str(exc))
                    self._report.send(event="finished", exit_status=2, broken=False, unsure=[])
                    break
        return self._ended

    def _finish(self, status: int = 0) -> int:
        if not self._stopped():
            if status != 2 and self._is_empty():
                message = "No test was left once the candidate had been used."
                self._report.send(event="collection_error", message=message, side="candidate")
                status = 2
            if status != 2:
                self._report_missing()
            self._ended = True
            unsure = sorted(self._link.unsure)
            status = status or int(self._failed)
            self._report.send(event="finished", exit_status=status, broken=bool(self._link.broken), unsure=unsure)
        return status or int(self._failed)

    def _report_missing(self) -> None:
        """Report tests that the source has and that did not run, and assertions that the candidate kept from running."""
        if self.skipped is not None and self._is_free(self.skipped, skipping=True):
            return
        missing = {}
        ran = {name.partition("[")[0] for name in self._reported}
        for test in self._expected.tests.values():
            if test.name not in ran:
                ours = bool(test.decorated or self._link.used)
                missing[test.name] = ("The test stands in the source and was not run.", ours)
        for number, name in self._expected.must_be_entered().items():
            if number not in self._findings.entered:
                missing[name] = (f"The assertions in {name} were never reached through what the candidate made of it.", True)
        if not missing:
            return
        self._failed = True
        self._report.send(event="collected", tests=[name for name in missing if name not in self._collected])
        for name, (message, ours) in missing.items():
            about = {"message": message, "side": "candidate" if ours else "tests", "broken": False, "proved": not ours}
            self._report.send(event="test", name=name, outcome="failed", basis="", **about)

    # Kinds of tests

    def run(self) -> int:
        """Run the tests in the lightest way that they allow."""
        link = self._link
        try:
            tree = ast.parse(self._tests, self._path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            if isinstance(exc, SyntaxError):
                exc.filename = self._path
            return self.collection_error(exc)
        known = light_tests.Names(self._tests, tree)
        # A candidate that calls something `math` would be asked whether it is right.
        libraries: dict[str, Any] = {name: importlib.import_module(library) for name, library in known.libraries().items()}
        bound = known.bound | set(libraries) | known.starred(link.module, self._entry_point)
        if replaced := (known.used & _REPLACED) - bound:
            libraries |= {name: own for name, own in _own_builtins(link, self._named).items() if name in replaced}
        names_of_candidate = known.of_candidate(self._link.module, bound, self._entry_point, self._defines)
        self._names = names_of_candidate
        self._missing = frozenset(known.missing(bound) - names_of_candidate)
        module = Module(link, names_of_candidate)
        sys.modules[link.module] = module
        _forward_seeds(link, self._tests)
        if "approx" in self._tests:
            _compare_whole_arrays()
        link.empties.watch(self._tests)
        self._silent.watch(self._tests)
        Patches(link).watch(self._tests)
        kind = light_tests.kind_of(tree, self._entry_point)
        if kind in ("functions", "pytest") and not known.stars(link.module):  # they import what they use
            self._missing = frozenset(known.missing(bound))
            self._names = set()
        rebinds = _rebinds(self._tests, known.used)
        if kind == "pytest" or known.decorated or rebinds:
            self._expected = Reading(tree, link.module, names_of_candidate)
        if kind == "check" or kind == "asserts":
            self._expected.tests.clear()  # what they define is called by them
        if rebinds:  # whatever stands under a test's name in the end must run it
            self._expected.marked |= {id(test.node): test.name for test in self._expected.tests.values()}
        findings = self._findings
        findings.read(tree, self._path)
        link.found, link.showing = lambda exc: findings.failed(type(exc).__name__), findings.showing
        link.expects_stop, link.expects, link.expects_error = findings.expects_stop, findings.expects, findings.expects_error
        self._sides = Sides(self._tests, link.module, self._names, self._entry_point)
        findings.compared = self._compared
        findings.formatting = self._named.formatting
        findings.reducing = link.empties.reducing
        link.unreached = Unreached(self._sides, self._path)
        if kind == "pytest":
            return self._pytest(tree, libraries)
        findings.watch(self._tests)
        names = light_tests.namespace(self._path, os.path.basename(self._path)[:-3], findings.hooks()) | libraries
        sys.modules[names["__name__"]] = own = _module_of(names)
        names = own.__dict__
        try:
            if kind != "functions":
                for name in known.wanted(module.__name__, bound, self._entry_point, self._defines):
                    names[name] = self._import(module, name)
            if kind == "asserts":
                return self._asserts(light_tests.Asserts(tree), names)
            calls = "check" if kind == "check" else ""
            body = [node for node in tree.body if not _calls(node, calls)]
            entry = self._import(module, self._entry_point) if kind == "check" else None
            tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
            exec(self._compiled(body), names)
            self._raise_found()
        except BaseException as exc:
            return self.collection_error(exc)
        if kind == "check":
            found = {"check": lambda: names["check"](entry)}
        else:
            found = {name: names[name] for name in dict.fromkeys(tests) if self._is_test(names.get(name))}
            if len(found) < len(set(tests)):  # something else stands under their names now
                self._expected = Reading(ast.parse(self._tests, self._path), link.module, names_of_candidate)
        return self._functions(found)

    def _compiled(self, statements: list[ast.stmt], functions: Collection[str] = ()) -> Any:
        """Code of statements of the tests. `functions` are names of functions in the rest of them."""
        found = light_tests.functions_in(statements) | set(functions)
        statements = guards.marked(statements, self._tests, found)
        return light_tests.compiled(statements, self._path, self._tests, self._expected.marked, found)

    def _is_test(self, value: Any) -> bool:
        """Whether what stands under a test's name is run as one: a function of this file, or what the candidate made of it."""
        return type(value) is Function or (type(value) is types.FunctionType and value.__code__.co_filename == self._path)

    def _compared(self, line: int, column: int) -> None:
        """An assertion passed: where the candidate gave both of its sides, on its word."""
        if self._link.basis == "word" and not self._link.shares:
            return
        files = self._link.folders is not None and self._link.folders.touched
        if self._sides.both_candidates(line, column, files=files):
            self._link.rest_on("word")
        elif self._link.shares and self._sides.both_candidates(line, column, files=files, changes=True):
            self._link.compared = True

    def _raise_found(self) -> None:
        """The tests were imported. Fail where an assertion failed meanwhile."""
        self._used_to_import = self._link.used
        if self._left_out():
            self._link.rest_on("word")
        if found := self._findings.failure or self._link.unreached.message or next(iter(self._link.refused), ""):
            raise mark(AssertionError(found))

    def _import(self, module: Module, name: str) -> Any:
        try:
            return getattr(module, name)
        except AttributeError:
            raise ImportError(f"cannot import name {name!r} from {module.__name__!r}", name=module.__name__) from None

    def _functions(self, tests: dict[str, Any]) -> int:
        self.collected(list(tests))
        for name, test in tests.items():
            self.begin(name)
            exc = _outcome(test)
            self.test(name, "failed" if exc else "passed", exc)
            if self._ended:
                break
        return self._finish()

    def _asserts(self, asserts: light_tests.Asserts, names: dict[str, Any]) -> int:
        self.collected(list(asserts.names.values()))
        broken: BaseException | None = None
        for place, statement in enumerate(asserts.statements):
            name = asserts.names.get(place)
            if name:
                self.begin(name)
            if broken is None:
                code = self._compiled([statement], asserts.functions)
                exc = _outcome(functools.partial(exec, code, names))
                if name is not None:
                    self.test(name, "failed" if exc else "passed", exc)
                else:
                    broken = exc  # what prepares the tests that follow
            elif name is not None:
                self.test(name, "error", broken)
            if self._ended:
                break
        return self._finish()

    def _pytest(self, tree: ast.Module, libraries: dict[str, Any]) -> int:
        try:
            import pytest
        except ModuleNotFoundError as exc:
            exc.msg = protocol.NO_PYTEST
            return self.collection_error(exc)

        from ..reporter import Reporter

        judge = self
        self._findings.watch(self._tests)
        self.watch_skips()

        class Apart(Reporter):
            """Reports as in one interpreter, and knows the candidate's exceptions by their mark."""

            _passed = ""
            """The test that passed and is not torn down yet: what is found until then is found in it."""

            def _test(self, name: str, outcome: str, exc: BaseException | None, message: str) -> None:
                self._passed = name if outcome == "passed" else ""
                if not self._passed:
                    judge.test(name, outcome, exc, {"message": message})

            def _collected(self, tests: list[str]) -> None:
                judge.collected(tests)

            def _collection_error(self, message: str, exc: BaseException | None) -> None:
                judge.collection_error(exc or AssertionError(message))

            def _send(self, **event: Any) -> None:
                judge._report.send(**event)

            def _is_excused(self, name: str, exc: BaseException | None, reason: str) -> bool:
                return judge.is_excused(name, exc, reason)

            def pytest_collectreport(self, report: Any) -> None:
                super().pytest_collectreport(report)
                if report.skipped:
                    judge.skipped = self._failures.get(report.nodeid)

            def _known(self, exc: BaseException) -> None:
                judge.known(exc)

            def pytest_runtest_logstart(self, nodeid: str) -> None:
                judge.begin(nodeid.partition("::")[2])

            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_protocol(self, item: Any) -> Any:
                done = yield
                if self._passed:
                    judge.test(self._passed, "passed")
                    self._passed = ""
                if judge._stopped():
                    item.session.shouldstop = "the tests need the candidate in their own interpreter"
                return done

            def pytest_internalerror(self, excrepr: Any, excinfo: Any) -> None:
                """Blame a candidate that leaves while the tests are imported, which pytest lets through."""
                judge.collection_error(excinfo.value)

            def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> None:
                if judge._stopped() or judge._ended:
                    return
                if not self.failed_to_collect:
                    judge._finish()
                else:
                    judge._finish(2)

        folder = os.path.dirname(self._path)
        with open(self._path, "w"):
            pass  # pytest wants a file by this name: what is in it would be there for a path that the candidate hands out
        hooks = self._findings.hooks() | libraries
        code = self._compiled(tree.body)
        sys.meta_path.insert(0, _Import(self._path, code, hooks, self._raise_found))
        reporter = Apart(-1, self._link.module, os.path.basename(self._path), folder)
        return pytest_run.main(self._path, folder, reporter, "--assert=plain")


class _Import:
    """Lets pytest import the tests as we compiled them. No subclass of `importlib.abc`: that imports archives and more."""

    def __init__(self, path: str, code: Any, names: dict[str, Any], then: Callable[[], None]) -> None:
        self._path, self._code, self._names, self._then = path, code, names, then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The tests' own file, by its name."""
        if name != os.path.basename(self._path)[:-3]:
            return None
        loader: Any = self
        spec = importlib.machinery.ModuleSpec(name, loader, origin=self._path)
        spec.has_location = True
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """A module as any other."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the tests' module."""
        module.__dict__.update(self._names)
        exec(self._code, module.__dict__)
        self._then()


def _rebinds(tests: str, used: set[str]) -> bool:
    """Whether something else may come to stand under the name of a test than the function that the source has there."""
    return any(name.startswith("test") for name in used) or any(way in tests for way in _REBINDING)


def _own_builtins(link: Link, named: Named) -> dict[str, Callable[..., Any]]:
    """What stands for those that are `_REPLACED` in the tests' own file.

    Both sides are forked from one process, so texts hash alike and None lies where it lies: a candidate that returns `id(None)`
    would know what the tests expect. What the first two are in the tests' hands is a secret of this run; equal stays equal. The
    order of sets stays shared, for `list(set(words))` is an honest answer. Where the candidate's iterator ends under `next` in a
    function of the tests', the loop that calls this function does not end.
    """
    key = int.from_bytes(os.urandom(6)) << 4

    def own_hash(value: Any) -> int:
        found = hash(value)
        return hash((found, key)) if _is_salted(value) else found

    kept: list[Any] = []

    def own_id(value: Any) -> int:
        if isinstance(value, Handle | Function):
            kept.append(value)  # what it stands for lives on, and is to have the same one when it comes again
        return id(value) ^ key

    def own_next(source: Any, *default: Any) -> Any:
        try:
            return next(source, *default)
        except StopIteration:
            theirs = isinstance(source, Handle) or (isinstance(source, types.GeneratorType) and source in link.sources)
            if not theirs or sys._getframe(1).f_code.co_name == "__next__" or link.expects_stop(by_next=True):
                raise
            raise mark(RuntimeError("StopIteration out of next()")) from None

    own_hash.__name__, own_id.__name__, own_next.__name__ = "hash", "id", "next"
    truths = {truth.__name__: link.empties.own_truth(truth) for truth in (all, any)}
    return {"hash": own_hash, "id": own_id, "next": own_next, "getattr": named.own_getattr, "super": own_super(link), **truths}


def _asking(original: Any, name: str) -> Any:
    @functools.wraps(original)
    def ask(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(obj, HandleMeta) or type(obj) in (Function, Method):
            return Handle._fumehood_here[-1].ask("operator", name, (obj,), {})
        return original(obj, *args, **kwargs)

    return ask


_HINTS, _ANNOTATIONS = _asking(typing.get_type_hints, "hints"), _asking(inspect.get_annotations, "annotations")
"""What lets the candidate read its own annotations: nothing that it writes there is run here."""


def _is_salted(value: Any) -> bool:
    """Whether Python hashes a value differently in each process that it starts."""
    if type(value) in (tuple, frozenset):
        return any(map(_is_salted, value))
    return isinstance(value, str | bytes | datetime.date | datetime.time) or value is None


def _stack() -> list[tuple[str, int]]:
    """File and line of each frame that runs."""
    found = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


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
        state: Any = getattr(module, values.STATES[name][0])
        setattr(module, attribute, _seeding(link, name, getattr(module, attribute), state))


def _seeding(link: Link, library: str, original: Any, state: Callable[[], Any]) -> Any:
    def seed(*args: Any, **kwargs: Any) -> Any:
        values = (*args, *kwargs.values())
        simple = all(type(value) in (int, float, str, bytes, type(None)) for value in values)
        if simple:
            link.seeds.append((library, values))
        made = original(*args, **kwargs)
        link.seeded.pop(library, None)
        if simple and values and None not in values:  # a state that was drawn by chance is nobody's business
            link.seeded[library] = state, pickle.dumps(state())
        return made

    seed.__name__ = seed.__qualname__ = original.__name__
    return seed


_prepared: list[_Judge] = []


def prepare() -> None:
    """Make what the next `judge` begins with: in a zygote, for all of its children."""
    _prepared.append(_Judge())


def judge(sock: socket.socket, results_fd: int, work: dict[str, Any]) -> int:
    """Run tests against the candidate at the other end of `sock`; report to the descriptor `results_fd`.

    `work` has the name of the candidate's `module`, the source of the `tests`, the `entry_point` for tests that define
    `check(candidate)`, what else the candidate `defines`, and whether values that can change are shared with it (`in_place`).
    Returns pytest's exit code: 0 where all passed.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    run = _prepared.pop() if _prepared else _Judge()
    report = Report(results_fd)
    link = run.open(sock, report, work, f"{os.getcwd()}/test_{work['module']}.py")
    if wanted(work["tests"]):
        link.folders = Folders(roots())
        link.folders.keep()
    link.heard = lambda: report.send(event="received")
    typing.get_type_hints, inspect.get_annotations = _HINTS, _ANNOTATIONS
    try:
        exc = link.greet()
    except Broken as broken:
        exc = broken
    if exc is not None:
        return run.collection_error(exc)
    return run.run()
