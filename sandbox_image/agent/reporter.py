"""A pytest plugin that reports each test to the agent, one JSON line each: what was collected, each outcome, the end.

The agent counts a test run only if all of it arrived. This plugin runs in the candidate's process (`judging: together`),
so a hostile candidate can forge what it says.
"""

from __future__ import annotations

import inspect
import json
import os
import traceback
import unittest
from typing import Any

import pytest

from .frames import frames_in, shown

_SKIPPING = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
_MESSAGE = 4000
"""Characters of a failure's message."""


class Reporter:
    """Writes to the descriptor `results`."""

    def __init__(self, results: int, module: str, tests: str, work: str) -> None:
        self._results = results
        self._module = module
        self._candidate = f"{work}/{module.replace('.', '/')}.py"
        self._tests = f"{work}/{tests}"
        self._failures: dict[str, BaseException] = {}
        self.failed_to_collect = False
        self._inside = False
        self._part: BaseException | None = None
        """What the first subtest failed with that did not pass."""

    def _send(self, **event: Any) -> None:
        data = json.dumps(event).encode() + b"\n"
        while data:
            data = data[os.write(self._results, data) :]

    def _side(self, exc: BaseException) -> str:
        """Whose file the innermost frame of the traceback lies in, candidate's or tests'; a missing name is the candidate's."""
        if isinstance(exc, ImportError) and exc.name == self._module:
            return "candidate"
        if isinstance(exc, SyntaxError):
            return {self._candidate: "candidate", self._tests: "tests"}.get(exc.filename or "", "")
        frames = frames_in(exc, self._candidate, self._tests)
        return "" if not frames else "candidate" if frames[-1][0] == self._candidate else "tests"

    def _describe(self, exc: BaseException) -> str:
        """The exception, and the frames that lie in the two files, last ones first to be kept."""
        what = "".join(traceback.format_exception_only(type(exc), exc)).strip()
        where: str = shown(frames_in(exc, self._candidate, self._tests))
        return (where + what)[-_MESSAGE:]

    def _test(self, name: str, outcome: str, exc: BaseException | None, message: str) -> None:
        about = {"message": message, "side": ""}
        if exc is not None:
            about = {"message": self._describe(exc), "side": self._side(exc)}
        self._send(event="test", name=name, outcome=outcome, **about)

    def _collected(self, tests: list[str]) -> None:
        self._send(event="collected", tests=tests)

    def _collection_error(self, message: str, exc: BaseException | None) -> None:
        about = {"message": message, "side": ""}
        if exc is not None:
            about = {"message": self._describe(exc), "side": self._side(exc)}
        self._send(event="collection_error", **about)

    def _is_excused(self, name: str, exc: BaseException | None, reason: str) -> bool:
        """Whether a test that was skipped was so without the candidate's doing; `exc` is what skipped it while it ran."""
        return exc is None or self._side(exc) != "candidate"

    def _known(self, exc: BaseException) -> None:
        """A test has failed with this. Called before anything shows it."""

    def pytest_collectreport(self, report: Any) -> None:
        """Say why a file could not be collected."""
        if report.failed:
            self.failed_to_collect = True
            self._collection_error(str(report.longrepr)[-_MESSAGE:], self._failures.get(report.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Any:
        """Keep the exception behind a collection error: the report has only its text."""
        report = yield
        call = getattr(report, "call", None)
        if call is not None and call.excinfo is not None:
            exc = call.excinfo.value
            self._failures[report.nodeid] = exc.__cause__ if isinstance(exc, collector.CollectError) and exc.__cause__ else exc
        return report

    def pytest_collection_finish(self, session: Any) -> None:
        """Name what will run."""
        self._collected([item.nodeid.partition("::")[2] for item in session.items])

    def pytest_deselected(self, items: Any) -> None:
        """A deselected test does not pass."""
        self._send(event="deselected", count=len(items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: Any) -> bool | None:
        """Run a test that is a coroutine in a loop of its own, as its author's plug-in would; pytest alone fails all of them."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        import asyncio

        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        """What is reported while a test runs is of a subtest."""
        self._inside, self._part = True, None
        try:
            return (yield)
        finally:
            self._inside = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Report a test once: its call, or the phase before or after it that failed or skipped. Its subtests are parts of it."""
        exc = call.excinfo.value if call.excinfo is not None else None
        skipped = isinstance(exc, _SKIPPING)
        if exc is not None and not skipped:
            self._known(exc)
        report = yield
        if self._inside:
            if report.failed and self._part is None:
                self._part = exc
            return report
        if call.when == "call" or not report.passed:
            self._report(item.nodeid.partition("::")[2], call, report, exc if skipped else None)
        return report

    def _report(self, name: str, call: Any, report: Any, skipped: BaseException | None) -> None:
        outcome = "skipped" if report.skipped or hasattr(report, "wasxfail") else "passed" if report.passed else "failed"
        if outcome == "failed" and call.when != "call":
            outcome = "error"
        exc, message = None, ""
        if call.when == "call" and self._part is not None and not hasattr(report, "wasxfail"):
            outcome, exc = "failed", self._part
        elif outcome in ("failed", "error"):
            exc = call.excinfo.value if call.excinfo is not None else None
            message = "" if exc is not None else str(report.longrepr)[-_MESSAGE:]
        elif outcome == "skipped":
            reason = getattr(report, "wasxfail", "") or (str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "")
            # What a mark does, pytest's own plugin raises: no test has begun, and no fixture.
            by_mark = skipped is None or frames_in(skipped, self._tests, self._candidate) == []
            message = reason[-_MESSAGE:]
            if not self._is_excused(name, None if by_mark else skipped, reason):
                outcome, message = "failed", f"Skipped for what the candidate gave: {message}"
        self._test(name, outcome, exc, message)

    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> None:
        """All tests ran."""
        self._send(event="finished", exit_status=int(exitstatus))
