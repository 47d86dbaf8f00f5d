"""Runs in a sandbox: simple test modules without pytest's machinery, in a fraction of the time and of the memory touched.

Simple are test functions, and test classes without bases, that need nothing of pytest but `raises`, `approx`, `fail`, `skip` and
`parametrize`. They are found, called and reported as pytest does it.

Left out: fixtures, other marks, hooks, unittest. Real pytest runs whatever has them.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import linecache
import random
import sys
import traceback
import types
from pathlib import Path
from typing import Any

MESSAGE = 600
"""Characters of a failure's message."""
_PYTEST = frozenset(("raises", "approx", "fail", "skip", "param", "mark"))
_HOOKS = frozenset(
    (
        *("setup_module", "teardown_module", "setup_function", "teardown_function", "setUpModule", "tearDownModule"),
        *("load_tests", "pytest_plugins", "pytestmark", "__test__", "setup", "teardown", "setup_method", "teardown_method"),
        *("setup_class", "teardown_class", "__init__", "__new__", "collect_ignore"),
    )
)
_Light = tuple[types.CodeType, list[tuple[str, str]]]


def code_of(source: str, path: str) -> _Light | None:
    """The module compiled, with its tests as (class, function) names; None where it is not simple, or does not compile."""
    try:
        tree = ast.parse(source, path)
        tests = _tests(tree)
        if tests is None or not _needs_little(tree):
            return None
        return compile(source, path, "exec", dont_inherit=True), tests
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _tests(tree: ast.Module) -> list[tuple[str, str]] | None:
    found: dict[tuple[str, str], None] = {}
    for node in tree.body:
        defined = [node] if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) else _names(node)
        for item in defined:
            name = item if isinstance(item, str) else item.name
            if name in _HOOKS or name.startswith("pytest_"):
                return None
            if not name.startswith(("test", "Test")):
                continue
            if isinstance(item, ast.FunctionDef) and name.startswith("test"):
                if not _is_simple(item, 0):
                    return None
                found.pop(("", name), None)
                found["", name] = None
            elif isinstance(item, ast.ClassDef) and name.startswith("Test"):
                methods = _methods(item)
                if methods is None:
                    return None
                found |= {(name, method): None for method in methods}
            elif not (isinstance(item, ast.FunctionDef) and name.startswith("Test")):
                return None
    return list(found)


def _names(node: ast.stmt) -> list[str]:
    """Names that a statement of a module binds, those in inner statements included."""
    found = []
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.append(inner.id)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(inner.name)
        elif isinstance(inner, ast.alias):
            # What a star brings is not known here.
            found.append("test" if inner.name == "*" else inner.asname or inner.name)
    return found


def _methods(node: ast.ClassDef) -> list[str] | None:
    if node.bases or node.keywords or node.decorator_list:
        return None
    found: dict[str, None] = {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            if item.name in _HOOKS or (item.name.startswith("test") and not _is_simple(item, 1)):
                return None
            if item.name.startswith("test"):
                found[item.name] = None
        elif isinstance(item, ast.AsyncFunctionDef | ast.ClassDef) or any(
            name in _HOOKS or name.startswith(("test", "Test")) for name in _names(item)
        ):
            return None
    return list(found)


def _is_simple(node: ast.FunctionDef, own: int) -> bool:
    """Whether all arguments after the first `own` come from `parametrize`, and there are no other decorators."""
    given: list[str] = []
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) not in (
            "pytest.mark.parametrize",
            "mark.parametrize",
        ):
            return False
        if len(decorator.args) != 2 or any(keyword.arg != "ids" for keyword in decorator.keywords):
            return False
        try:
            names = ast.literal_eval(decorator.args[0])
        except ValueError:
            return False
        given += [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    args = node.args
    if args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg or args.defaults:
        return False
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node)):
        return False
    wanted = [argument.arg for argument in args.args]
    return len(wanted) >= own and sorted(wanted[own:]) == sorted(given)


def _needs_little(tree: ast.Module) -> bool:
    known: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                if root in ("_pytest", "hypothesis", "unittest") and alias.name != "unittest.mock":
                    return False
                if root == "pytest" and (alias.asname or alias.name != "pytest"):
                    return False
        elif isinstance(node, ast.ImportFrom):
            root = (node.module or "").split(".")[0]
            if root in ("_pytest", "hypothesis") or node.level:
                return False
            if root == "unittest" and not (node.module == "unittest.mock" or {item.name for item in node.names} == {"mock"}):
                return False
            if root == "pytest" and any(item.name not in _PYTEST or item.asname for item in node.names):
                return False
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pytest":
            if node.attr not in _PYTEST:
                return False
            known.add(id(node.value))
        elif isinstance(node, ast.Attribute) and _is_mark(node.value) and node.attr != "parametrize":
            return False
    return all(id(node) in known for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "pytest")


def _is_mark(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "mark") or (isinstance(node, ast.Name) and node.id == "mark")


def run(light: _Light, path: str, shuffle: int | None, *, first: bool) -> dict[str, Any]:
    """Run the module and its tests, in a random order where there is a seed for it; with `first` up to the first failure."""
    code, tests = light
    report: dict[str, Any] = {"finished": False, "collected": [], "error": "", "outcomes": {}}
    module = types.ModuleType(Path(path).stem)
    module.__file__ = path
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
        items = [item for owner, name in tests for item in _items(module, owner, name)]
    except BaseException as exc:
        return report | {"finished": True, "error": describe(exc, path)}
    if shuffle is not None:
        random.Random(shuffle).shuffle(items)
    report["collected"] = [name for name, _, _ in items]
    for name, test, arguments in items:
        outcome, message = "passed", ""
        try:
            test(**arguments)
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt | SystemExit):
                return report
            outcome = "skipped" if type(exc).__name__ == "Skipped" else "failed"
            message = describe(exc, path)
        report["outcomes"][name] = (outcome, message)
        if first and outcome == "failed":
            break
    return report | {"finished": True}


def _items(module: types.ModuleType, owner: str, name: str) -> list[tuple[str, Any, dict[str, Any]]]:
    holder = getattr(module, owner) if owner else module
    function = getattr(holder, name)
    sets = []
    for mark in getattr(function, "pytestmark", ()):
        names = [part.strip() for part in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
        some = []
        for values in mark.args[1]:
            if type(values).__name__ == "ParameterSet":
                if values.marks:
                    raise ValueError("marks of single parameters are for pytest itself")
                values = values.values
            elif len(names) == 1:
                values = (values,)
            some.append(dict(zip(names, values, strict=True)))
        sets.append(some)
    found = []
    for place, parts in enumerate(itertools.product(*sets)):
        arguments = {key: value for part in parts for key, value in part.items()}
        label = f"{owner}::{name}" if owner else name
        found.append((f"{label}[{place}]" if sets else label, _call(holder, name) if owner else function, arguments))
    return found


def _call(holder: Any, name: str) -> Any:
    """A method on an instance of its own."""
    return lambda **arguments: getattr(holder(), name)(**arguments)


def describe(exc: BaseException, path: str) -> str:
    """The lines of the tests that led to an exception, and what it says."""
    lines = []
    with contextlib.suppress(Exception):
        frames = [line for frame, line in traceback.walk_tb(exc.__traceback__) if frame.f_code.co_filename == path]
        lines = [f"line {line}: {linecache.getline(path, line).strip()}" for line in frames[-3:]]
    try:
        text = str(exc)
    except Exception:
        text = ""
    return "\n".join([*lines, f"{type(exc).__name__}: {text}" if text else type(exc).__name__])[-MESSAGE:]
