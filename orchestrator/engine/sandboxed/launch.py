"""Runs in the sandbox in the place of a program of several parts: a folder as Python runs one, or a notebook cell by cell.

The host appends the call. Neither this file nor a frame of it is seen by the program or in its tracebacks.
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import importlib.util
import inspect
import linecache
import shutil
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Package:
    """Finds a folder as the package of that name, so that its files may import each other by it and relatively."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """As `sys.meta_path` asks for a module."""
        if name != self.name:
            return None
        init = self.folder / "__init__.py"
        if init.exists():
            return importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(self.folder)])
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(self.folder)]
        return spec


def run_folder(package: str, main: str) -> None:
    """Run the file `main` of the work folder as `python3 main` does, in the package that the folder is."""
    Path(__file__).unlink()
    folder = Path.cwd()
    path = folder / main
    for place in (folder / "src", path.parent):
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))
    sys.meta_path.insert(0, Package(package, folder))
    module = _main(path, main)
    module.__package__ = ".".join([package, *Path(main).parent.parts])
    _alone(lambda: exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__))


def run_notebook(name: str, folder: str, cells: int) -> None:
    """Run the files `1.py`, `2.py`, ... of `folder` in one module, and show what each ends in, as a notebook does."""
    Path(__file__).unlink()
    sources = [Path(folder, f"{number}.py").read_text(encoding="utf-8") for number in range(1, cells + 1)]
    shutil.rmtree(folder)
    names = _main(Path.cwd() / name, name).__dict__
    names["display"] = _display

    def run_cells() -> None:
        for number, source in enumerate(sources, 1):
            _cell(source, f"{name}, cell {number}", names)

    _alone(run_cells)


def _display(*values: object) -> None:
    """What notebooks find as `display`, for a page of plain text."""
    for value in values:
        sys.displayhook(value)


def _main(path: Path, name: str) -> types.ModuleType:
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=str(path), __builtins__=builtins)
    sys.modules["__main__"] = module
    sys.argv[0] = name
    return module


def _cell(source: str, place: str, names: dict[str, Any]) -> None:
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    body = compile(source, place, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True).body
    shown = body[-1:] if body and isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";") else []
    _run(ast.Module(body[: len(body) - len(shown)], []), place, "exec", names)
    _run(ast.Interactive(shown), place, "single", names)


def _run(tree: ast.Module | ast.Interactive, place: str, mode: str, names: dict[str, Any]) -> None:
    code = compile(tree, place, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    found = eval(code, names)
    if code.co_flags & inspect.CO_COROUTINE:
        import asyncio

        loop = names.setdefault("__loop__", None) or asyncio.new_event_loop()
        names["__loop__"] = loop
        loop.run_until_complete(found)


def _alone(body: Callable[[], object]) -> None:
    """Run a program, and show what ends it without the frames of this file."""
    try:
        body()
    except SystemExit:
        raise
    except BaseException as exc:
        trace = exc.__traceback__
        while trace is not None and trace.tb_frame.f_globals is globals():
            trace = trace.tb_next
        traceback.print_exception(type(exc), exc, trace)
        sys.exit(1)
