"""Runs in a sandbox: a process that has pytest ready and forks one child for each run of the tests.

The child has a module `candidate` whose functions live behind a socket, a fresh interpreter state, descriptors of its own, and no
way to name anything outside of itself (`mutant_cage`): what tests may import is imported here. It does not know which function it
faces. What it reports is a claim, and is used as no more than that; what code it runs is seen (`mutant_watch`).

Left out: deciding anything.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import json
import linecache
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any, NoReturn

import mutant_cage  # type: ignore[import-not-found]
import mutant_light  # type: ignore[import-not-found]
import mutant_link  # type: ignore[import-not-found]
import mutant_objects  # type: ignore[import-not-found]
import mutant_watch  # type: ignore[import-not-found]

FILE = "test_candidate.py"
_UNUSED = (
    *("cacheprovider", "terminal", "terminalprogress", "logging", "capture", "doctest", "faulthandler", "junitxml"),
    *("pastebin", "setuponly", "setupplan", "stepwise", "warnings", "threadexception", "unraisableexception", "legacypath"),
    *("reports", "subtests"),
)
"""pytest's own plugins that only show or keep something."""
_LATE = (
    *("_strptime", "difflib", "pprint"),
    *(f"encodings.{name}" for name in ("ascii", "latin_1", "cp1252", "utf_16", "utf_32", "utf_8_sig", "idna", "rot_13")),
)
"""Modules that others import only when they are first used."""
_TESTS = 1 << 21
"""Bytes of tests, and of what is said about the function's module."""


class _Plugin:
    """Runs the tests in a random order, and remembers what became of each."""

    def __init__(self, seed: int | None, path: str) -> None:
        self._seed, self._path = seed, path
        self.collected: list[str] = []
        self.error = ""
        self.outcomes: dict[str, list[str]] = {}

    def pytest_collectreport(self, report: Any) -> None:
        """Keep why the tests could not be collected."""
        if report.failed:
            self.error = self.error or str(report.longrepr)[-mutant_light.MESSAGE :]

    def collected_are(self, items: list[Any]) -> None:
        """Name what will run, and bring it into this run's order."""
        if self._seed is not None:
            random.Random(self._seed).shuffle(items)
        self.collected = [item.nodeid.partition("::")[2] for item in items]

    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Note a test's outcome: that of its call, or of the phase before or after it that failed or skipped."""
        report = yield
        name = item.nodeid.partition("::")[2]
        if call.when == "call" or not report.passed:
            outcome = "skipped" if report.skipped else "passed" if report.passed else "failed"
            if hasattr(report, "wasxfail"):
                outcome = "failed" if report.passed else "skipped"
            if self.outcomes.get(name, ["passed"])[0] == "passed":
                self.outcomes[name] = [outcome, "" if report.passed else self._describe(call)]
        return report

    def _describe(self, call: Any) -> str:
        return "" if call.excinfo is None else mutant_light.describe(call.excinfo.value, self._path)


def _module(link: Any, about: dict[str, Any]) -> types.ModuleType:
    """The module `candidate` as the tests see it: functions that are elsewhere, constants, and classes of exceptions."""
    module = types.ModuleType("candidate")
    for number, function in enumerate(about["functions"]):
        setattr(module, function["name"], _stub(link, number, function))
    _classes(link, about, module)
    for name, text in about["constants"].items():
        setattr(module, name, ast.literal_eval(text))
    for name, bases in about["exceptions"]:
        kinds = [link.errors.get(base) or getattr(__import__("builtins"), base, Exception) for base in bases]
        link.errors[name] = type(name, tuple(kinds), {"__module__": "candidate"})
        setattr(module, name, link.errors[name])
    return module


def _classes(link: Any, about: dict[str, Any], module: types.ModuleType) -> None:
    first = len(about["functions"])  # as the function's side exports them
    link.stubs = []

    def ask(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return link.ask(first + len(about["classes"]), args, kwargs)

    for place, told in enumerate(about["classes"]):

        def make(args: tuple[Any, ...], kwargs: dict[str, Any], number: int = first + place) -> Any:
            return link.ask(number, args, kwargs)

        bases = [getattr(module, name) for name in told["bases"]]
        link.stubs.append(mutant_objects.stub_class(told, bases, ask, make, place, "candidate"))
        setattr(module, told["name"], link.stubs[-1])


def _stub(link: Any, number: int, function: dict[str, Any]) -> Any:
    def stub(*args: Any, **kwargs: Any) -> Any:
        return link.ask(number, args, kwargs)

    made = mutant_objects.in_form(function["kind"], stub)
    made.__name__ = made.__qualname__ = function["name"]
    made.__module__ = "candidate"
    made.__doc__ = function["doc"]
    return made


def _session(path: str, code: types.CodeType) -> tuple[Any, Any]:
    """A session of pytest, and the module's node in it: all but collecting, which is what runs the tests' code."""
    pytest = importlib.import_module("pytest")
    _Plugin.pytest_runtest_makereport = pytest.hookimpl(wrapper=True)(  # type: ignore[method-assign]
        _Plugin.pytest_runtest_makereport
    )
    setattr(importlib.import_module("_pytest.python"), "importtestmodule", lambda *_: _run_module(path, code))  # noqa: B010
    options = ["-x", "--noconftest", "--assert=plain", "-c", "/dev/null", "--rootdir", str(Path(path).parent)]
    for name in _UNUSED:
        options += ["-p", f"no:{name}"]
    config = importlib.import_module("_pytest.config")._prepareconfig([*options, path], [])
    config.option.tbstyle = "native"  # the others read the source of every frame
    session = importlib.import_module("_pytest.main").Session.from_config(config)
    config._do_configure()
    config.hook.pytest_sessionstart(session=session)
    session.gethookproxy(Path(path))  # it looks at files, once
    return session, pytest.Module.from_parent(session, path=Path(path))


def _run_module(path: str, code: types.CodeType) -> types.ModuleType:
    module = types.ModuleType(Path(path).stem)
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    return module


def serve(control: socket.socket) -> NoReturn:
    """Take the tests, then fork a child for each order: with it come sockets for the watch, the function and the report.

    One child at a time: it is buried before the next one is made. Ends when the other side of `control` does.
    """
    given = json.loads(control.recv(_TESTS))
    about, source = given["about"], given["tests"]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    path = str(Path(FILE).absolute())
    Path(path).write_text(source, encoding="utf-8", errors="surrogatepass")
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    light = mutant_light.code_of(source, path)
    for name in (*about["libraries"], *_LATE):
        with contextlib.suppress(BaseException):
            importlib.import_module(name)
    session = None if light is not None else _session(path, compile(source, path, "exec", dont_inherit=True))
    time.tzset()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    control.sendall(b"+")
    pid = 0
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 16, 3)
        if not data:
            os._exit(0)
        order = json.loads(data)
        if order.get("kill"):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            continue
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                mutant_cage.own_descriptors(*fds)
                _run(light, session, about, path, order)
            os._exit(1)
        for fd in fds:
            os.close(fd)


def _run(light: Any, session: Any, about: dict[str, Any], path: str, order: dict[str, Any]) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CPU, (order["cpu"], order["cpu"] + 1))
    random.seed(0)
    threading.main_thread()._native_id = 0  # type: ignore[attr-defined]  # numbers count what happened before
    sock = socket.socket(fileno=mutant_cage.FUNCTION)
    mutant_cage.shut()
    link = mutant_link.Link(mutant_link.Wire(sock))
    sys.modules["candidate"] = _module(link, about)
    mutant_watch.watch(mutant_cage.WATCH, mutant_link.Link.ask.__code__, returns=order["returns"])
    if light is not None:
        report = mutant_light.run(light, path, order["shuffle"], first=order["first"])
    else:
        report = _run_pytest(session[0], session[1], path, order["shuffle"], first=order["first"])
    with contextlib.suppress(BaseException):
        link.wire.close()  # so that the other side reports what was called
        _write(mutant_cage.REPORT, report)
    os._exit(0)


def _run_pytest(session: Any, collector: Any, path: str, shuffle: int | None, *, first: bool) -> dict[str, Any]:
    plugin = _Plugin(shuffle, path)
    session.config.pluginmanager.register(plugin)
    session.config.option.maxfail = int(first)
    finished = False
    with contextlib.suppress(BaseException):
        try:
            session.items = list(session.genitems(collector))
            session.testscollected = len(session.items)
            plugin.collected_are(session.items)
            session.config.hook.pytest_runtestloop(session=session)
        except session.Failed:
            pass
        finished = True
    return {"finished": finished, "collected": plugin.collected, "error": plugin.error, "outcomes": plugin.outcomes}


def _write(fd: int, report: dict[str, Any]) -> None:
    data = json.dumps(report).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]
