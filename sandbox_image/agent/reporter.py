"""A pytest plugin that reports each test to the agent, one JSON line each: what was collected, each outcome, the end.

The agent counts a test run only if all of it arrived. This plugin runs in the candidate's process (`judging: together`),
so a hostile candidate can forge what it says.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

import pytest

from .frames import frames_in, shown

_MESSAGE = 4000
"""Characters of a failure's message."""


class Reporter:
    """Writes to the descriptor `results`."""

    def __init__(self, results: int, module: str, tests: str, work: str) -> None:
        self._results = results
        self._module = module
        self._candidate = f"{work}/{module}.py"
        self._tests = f"{work}/{tests}"
        self._failures: dict[str, dict[str, str]] = {}

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

    def pytest_collectreport(self, report: Any) -> None:
        """Say why a file could not be collected."""
        if report.failed:
            found = self._failures.get(report.nodeid) or {"message": str(report.longrepr)[-_MESSAGE:], "side": ""}
            self._send(event="collection_error", **found)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Any:
        """Keep the exception behind a collection error: the report has only its text."""
        report = yield
        call = getattr(report, "call", None)
        if call is not None and call.excinfo is not None:
            exc = call.excinfo.value
            cause = exc.__cause__ if isinstance(exc, collector.CollectError) and exc.__cause__ else exc
            self._failures[report.nodeid] = {"message": self._describe(cause), "side": self._side(cause)}
        return report

    def pytest_collection_finish(self, session: Any) -> None:
        """Name what will run."""
        self._send(event="collected", tests=[item.nodeid.partition("::")[2] for item in session.items])

    def pytest_deselected(self, items: Any) -> None:
        """A deselected test does not pass."""
        self._send(event="deselected", count=len(items))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Report a test once: its call, or the phase before or after it that failed or skipped."""
        report = yield
        name = item.nodeid.partition("::")[2]
        if call.when == "call" or not report.passed:
            outcome = "skipped" if report.skipped else "passed" if report.passed else "failed"
            if hasattr(report, "wasxfail"):
                outcome = "failed" if report.passed else "skipped"
            if outcome == "failed" and call.when != "call":
                outcome = "error"
            about = {"message": "", "side": ""}
            if outcome in ("failed", "error") and call.excinfo is not None:
                about = {"message": self._describe(call.excinfo.value), "side": self._side(call.excinfo.value)}
            self._send(event="test", name=name, outcome=outcome, **about)
        return report

    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> None:
        """All tests ran."""
        self._send(event="finished", exit_status=int(exitstatus))
