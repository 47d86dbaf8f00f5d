"""Runs in a sandbox: a process that has pytest ready and forks one child for each run of the tests.

The child has a module `candidate` whose functions live behind a socket, a fresh interpreter state, and no way to leave anything
behind (`mutant_cage`). It is not told which function it faces. What it reports is a claim, and is used as no more than that.

Left out: deciding anything.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import io
import json
import os
import py_compile
import random
import resource
import signal
import socket
import sys
import types
from pathlib import Path
from typing import Any, NoReturn

import mutant_cage  # type: ignore[import-not-found]
import mutant_light  # type: ignore[import-not-found]
import mutant_link  # type: ignore[import-not-found]
import values as plain  # type: ignore[import-not-found]

FILE = "test_candidate.py"
_UNUSED = (
    *("cacheprovider", "terminal", "terminalprogress", "logging", "capture", "doctest", "faulthandler", "junitxml"),
    *("pastebin", "setuponly", "setupplan", "stepwise", "warnings", "threadexception", "unraisableexception", "legacypath"),
    *("reports", "subtests"),
)
"""pytest's own plugins that only show or keep something."""
_TESTS = 1 << 20
"""Bytes of tests, and of what is told about the function's module."""


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
    for name, text in about["constants"].items():
        setattr(module, name, ast.literal_eval(text))
    for name, bases in about["exceptions"]:
        kinds = [link.errors.get(base) or getattr(__import__("builtins"), base, Exception) for base in bases]
        link.errors[name] = type(name, tuple(kinds), {"__module__": "candidate"})
        setattr(module, name, link.errors[name])
    return module


def _stub(link: Any, number: int, function: dict[str, Any]) -> Any:
    def stub(*args: Any, **kwargs: Any) -> Any:
        return link.ask(number, args, kwargs)

    async def later(*args: Any, **kwargs: Any) -> Any:
        return link.ask(number, args, kwargs)

    made = later if function["asynchronous"] else stub
    made.__name__ = made.__qualname__ = function["name"]
    made.__module__ = "candidate"
    made.__doc__ = function["doc"]
    return made


def _session(path: str) -> Any:
    """A session of pytest that has all but the tests: collecting them is what runs their code."""
    _Plugin.pytest_runtest_makereport = importlib.import_module("pytest").hookimpl(wrapper=True)(  # type: ignore[method-assign]
        _Plugin.pytest_runtest_makereport
    )
    options = ["-x", "--noconftest", "--assert=plain", "-c", "/dev/null", "--rootdir", str(Path(path).parent)]
    for name in _UNUSED:
        options += ["-p", f"no:{name}"]
    config = importlib.import_module("_pytest.config")._prepareconfig([*options, path], [])
    config.option.tbstyle = "native"  # the others read the source of every frame
    session = importlib.import_module("_pytest.main").Session.from_config(config)
    config._do_configure()
    config.hook.pytest_sessionstart(session=session)
    return session


def serve(control: socket.socket) -> NoReturn:
    """Take the tests, then fork a child for each order: with it come the function's socket and one for the report.

    Ends when the other side of `control` does.
    """
    given = json.loads(control.recv(_TESTS))
    about, source = given["about"], given["tests"]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    path = str(Path(FILE).absolute())
    Path(path).write_text(source, encoding="utf-8", errors="surrogatepass")
    light = mutant_light.code_of(source, path)
    for name in about["libraries"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    session = None
    if light is None:
        with contextlib.suppress(py_compile.PyCompileError, ValueError, RecursionError, SyntaxError):
            py_compile.compile(path, doraise=True)
        session = _session(path)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    control.sendall(b"+")
    pid = 0
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 16, 2)
        if not data:
            os._exit(0)
        order = json.loads(data)
        if order.get("kill"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            continue
        pid = os.fork()
        if not pid:
            control.close()
            _run(light, session, about, path, order, *fds)
        for fd in fds:
            os.close(fd)


def _run(
    light: Any, session: Any, about: dict[str, Any], path: str, order: dict[str, Any], function: int, report: int
) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (order["cpu"], order["cpu"] + 1))
    random.seed(0)
    mutant_cage.shut()
    link = mutant_link.Link(mutant_link.Wire(socket.socket(fileno=function)))
    sys.modules["candidate"] = _module(link, about)
    if light is not None:
        told = mutant_light.run(light, path, order["shuffle"], first=order["first"])
    else:
        told = _run_pytest(session, path, order["shuffle"], first=order["first"])
    with contextlib.suppress(BaseException):
        if order["copies"]:
            link.wire.close()  # so that the other side tells what was called
        _write(report, told)
        if order["copies"]:
            with os.fdopen(report, "rb", closefd=False) as file:
                calls = json.loads(file.readline())
            _write(report, {"copies": _copies(path, calls)})
    os._exit(0)


def _run_pytest(session: Any, path: str, shuffle: int | None, *, first: bool) -> dict[str, Any]:
    plugin = _Plugin(shuffle, path)
    session.config.pluginmanager.register(plugin)
    session.config.option.maxfail = int(first)
    finished = False
    with contextlib.suppress(BaseException):
        try:
            collector = importlib.import_module("pytest").Module.from_parent(session, path=Path(path))
            session.items = list(session.genitems(collector))
            session.testscollected = len(session.items)
            plugin.collected_are(session.items)
            session.config.hook.pytest_runtestloop(session=session)
        except session.Failed:
            pass
        finished = True
    return {"finished": finished, "collected": plugin.collected, "error": plugin.error, "outcomes": plugin.outcomes}


def _write(fd: int, told: dict[str, Any]) -> None:
    data = json.dumps(told).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def _copies(path: str, calls: list[list[str]]) -> list[str]:
    """Functions in the tests that compute what the function under test computes: each is called as that was called."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8", errors="surrogatepass"))
    names = dict(vars(sys.modules.get(Path(path).stem, types.ModuleType("none"))))
    known = [(plain.loads(bytes.fromhex(given)), bytes.fromhex(got)) for given, got in calls]
    found: list[str] = []
    for node in ast.walk(tree) if known else ():
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("test"):
            body = ast.FunctionDef(node.name, node.args, node.body, [], node.returns)
            made = ast.Module([ast.fix_missing_locations(ast.copy_location(body, node))], [])
            name = node.name
        elif isinstance(node, ast.Lambda):
            name = f"lambda in line {node.lineno}"
            made = ast.Module([ast.Assign([ast.Name("_made", ast.Store())], node)], [])
            ast.fix_missing_locations(made)
        else:
            continue
        own = dict(names)
        agreed = 0
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(made, path, "exec"), own)
                function = own[name if isinstance(node, ast.FunctionDef) else "_made"]
                for (args, kwargs), expected in known:
                    if plain.dumps(function(*args, **kwargs)) != expected:
                        break
                    agreed += 1
        except BaseException:
            continue
        if agreed == len(known):
            found.append(name)
    return found
