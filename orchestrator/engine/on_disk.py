"""Programs as people have them on disk: a file, a folder or a notebook, and tests that import it by its own name.

Each is read once, and gives a program to run alone, or one for each file of tests.

Left out: what a user said on the command line besides. That is added to the program.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from orchestrator.engine.apart import why_together
from orchestrator.engine.folders import human, read_folder
from orchestrator.engine.imports import by_names, import_any, imported
from orchestrator.engine.notebooks import cells_of
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import UsageError
from orchestrator.files import as_text, read_text
from orchestrator.types import Program
from sandbox_image.agent.protocol import MAX_BODY

_MAINS = ("__main__.py", "main.py")
_LAUNCHER = ".launch.py"
_CELLS = ".cells"
_CONFTEST = "conftest.py"
_ROOM = MAX_BODY - (1 << 20)
"""Bytes that can be sent to a sandbox beside the sources."""


class Work(Protocol):
    """What was read from disk."""

    @property
    def notes(self) -> list[str]:
        """Sentences on what comes along and what was left out."""
        ...

    def alone(self) -> Program:
        """The program, to be run."""
        ...

    def under(self, tests: str, module: str = "", beside: Mapping[str, bytes] | None = None) -> Program:
        """The program with tests, as the module that they import; `module` says which where that is not to be seen.

        `beside` are files of the tests.

        Raises:
            UsageError: there is no such module.
        """
        ...


class Script:
    """One Python file."""

    def __init__(self, source: str, path: Path | None = None) -> None:
        self._source, self._path = source, path
        self.notes: list[str] = []

    def alone(self) -> Program:
        """It runs under its own name, which its tracebacks show, unless an import of another module would find it."""
        name = "main.py" if self._path is None else self._path.name
        usual = name.endswith(".py") and name.removesuffix(".py") not in sys.stdlib_module_names
        return Program(code=self._source, file=name if usual else "main.py")

    def under(self, tests: str, module: str = "", beside: Mapping[str, bytes] | None = None) -> Program:
        """The module that its tests import: `candidate`, or its own name."""
        return Program(code=self._source, tests=tests, module=module or self._module(tests))

    def _module(self, tests: str) -> str:
        found = imported(tests)
        roots = {path.partition(".")[0] for path in found}
        if self._path is None or "candidate" in roots:
            return "candidate"
        stem, package = self._path.stem, self._path.resolve().parent.name
        if stem not in roots and any(f"{path}.".startswith(f"{package}.{stem}.") for path in found):
            raise UsageError(
                f"The tests import `{package}.{stem}`, a module of a package, and only {self._path} is given.",
                remedy=f"Name the package's folder: fumehood run {self._path.parent} --tests ...",
            )
        if stem in roots and stem in sys.stdlib_module_names:
            raise UsageError(
                f"The tests import `{stem}`, which is a module of Python's own.",
                remedy="Rename the file, or let the tests import it as `candidate`.",
            )
        return stem if stem in roots else "candidate"


class Notebook(Script):
    """A notebook: cell by cell where it runs alone, and one module where it has tests."""

    def __init__(self, text: str, path: Path) -> None:
        self._cells, notes = cells_of(text, path.name)
        super().__init__("\n\n".join(self._cells) + "\n", path)
        self.notes = notes

    def alone(self) -> Program:
        """Each cell is named in tracebacks, and what it ends in is shown."""
        assert self._path is not None
        call = f"run_notebook({self._path.name!r}, {_CELLS!r}, {len(self._cells)})"
        files = {f"{_CELLS}/{number}.py": cell.encode() for number, cell in enumerate(self._cells, 1)}
        return Program(code=_launching(call), file=_LAUNCHER, files=files)


class Tree:
    """A folder: run by its main file, as the work folder and as a package of its own name."""

    def __init__(self, path: Path, main: str, secret: Collection[Path], room: int) -> None:
        self._folder = read_folder(path, min(room, _ROOM))
        self._name = path.resolve().name
        files = self._folder.files
        self._main = main or next((name for name in _MAINS if name in files), "")
        hidden = {place.resolve() for place in secret}
        self._secret = [name for name in files if _is_of_tests(name) or hidden & {(path / name).resolve(), *_above(path, name)}]
        self._left: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What comes along."""
        some = ", ".join(self._left[:6]) + ", ..." * (len(self._left) > 6)
        return [str(self._folder), *([f"The tests in it stay here: {some}."] if self._left else [])]

    def alone(self) -> Program:
        """Its files lie in the work folder, where the program also starts; relative imports work, and `import NAME` does."""
        files = self._folder.files
        if self._main not in files:
            has = [name for name in files if name.endswith(".py") and "/" not in name]
            raise UsageError(
                f"{self._folder.path} has no {self._main or ' and no '.join(_MAINS)}.",
                remedy="Name the file to run with --main FILE" + (f"; it has {', '.join(has[:6])}." if has else "."),
            )
        usual = self._name.isidentifier() and self._name not in sys.stdlib_module_names
        taken = {name.partition("/")[0].removesuffix(".py") for name in files}
        package = self._name if usual and self._name not in taken else "_program"
        return Program(code=_launching(f"run_folder({package!r}, {self._main!r})"), file=_LAUNCHER, files=files)

    def under(self, tests: str, module: str = "", beside: Mapping[str, bytes] | None = None) -> Program:
        """The module of it that tests import, or the names that they import of its modules; else a module of a package."""
        found = imported(tests)
        files = self._as_imported({path.partition(".")[0] for path in found})
        modules = {_module_of(path): path for path in files if path.endswith(".py")}
        wanted = [path for path in ([module] if module else found) if path in modules]
        wanted.sort(key=lambda path: (-path.count("."), path))
        if not wanted and "candidate" in found and self._main in files:
            return Program(code=as_text(files.pop(self._main), self._main), tests=tests, files=files)
        if not wanted:
            roots = sorted({path.partition(".")[0] for path in found} - sys.stdlib_module_names - {"pytest"})
            has = ", ".join(sorted(modules)[:8]) or "no modules"
            raise UsageError(
                f"The tests import nothing of {self._folder.path}"
                + (f", which has no module {module}." if module else f"; they import {', '.join(roots) or 'no module'}."),
                remedy=f"It has {has}. Name the folder that holds what they import, or the module with --module.",
            )
        path = modules[wanted[0]]
        if len(wanted) == 1 and path == f"{wanted[0]}.py":
            return Program(code=as_text(files.pop(path), path), tests=tests, module=wanted[0], files=files)
        named = None if module else by_names(tests, modules)
        if named and not why_together(named[1], "candidate", beside) and not import_any(beside, modules):
            return Program(code=named[0], tests=named[1], files=files)
        code = as_text(files.pop(path), path)
        return Program(code=code, tests=tests, module=path.removesuffix(".py").replace("/", "."), files=files)

    def _as_imported(self, roots: Collection[str]) -> dict[str, bytes]:
        """The files where imports find them: below the folder's name where tests import that, those in `src` beside the others.

        Tests do not come along: a candidate shall not have them.
        """
        self._left = self._secret
        files = {path: content for path, content in self._folder.files.items() if path not in self._left}
        tops = {path.removeprefix("src/").partition("/")[0].removesuffix(".py") for path in files}
        if self._name in roots and self._name not in tops:
            return {f"{self._name}/{path}": content for path, content in files.items()}
        return {path.removeprefix("src/"): content for path, content in files.items()}


def read_work(path: Path, *, main: str = "", secret: Collection[Path] = (), room: int = _ROOM) -> Work:
    """What lies at a path: a folder, of which `main` names the file to run, a notebook, or a Python file.

    `secret` is what a program under tests does not get, though it lies in its folder: files and folders of the tests.

    Raises:
        UsageError: it cannot be read, or holds more than `room` bytes.
    """
    if path.is_dir():
        return Tree(path, main, secret, room)
    text = read_text(path, "The program")
    if main:
        raise UsageError("--main is for folders.", remedy="Leave it out, or name a folder.")
    return Notebook(text, path) if path.suffix == ".ipynb" else Script(text, path)


def read_tests(
    paths: Iterable[Path], of: Path | None = None, room: int = _ROOM
) -> tuple[dict[str, str], dict[str, bytes], list[str]]:
    """Tests by the names of their files, other files of their folders, and sentences on what was left out.

    Where tests lie in the folder of the program that they are of, the others are the program's.

    Raises:
        UsageError: one cannot be read, or a folder has no tests.
    """
    tests: dict[str, str] = {}
    others: dict[str, bytes] = {}
    notes: list[str] = []
    for path in paths:
        if not path.is_dir():
            tests[str(path)] = read_text(path, "The tests")
            continue
        folder = read_folder(path, min(room, _ROOM))
        named = [name for name in folder.files if _is_test(name)]
        if not named:
            raise UsageError(f"{path} has no tests.", remedy="Files of tests are named test_*.py or *_test.py.")
        tests |= {str(path / name): read_text(path / name, "The tests") for name in named}
        shared = [name for name in folder.files if name.rpartition("/")[2] == _CONFTEST]
        if shared:
            notes.append(f"{path}: {_CONFTEST} is not read. Fixtures belong into the files of the tests.")
        if of is None or path.resolve() != of.resolve():
            others |= {name: content for name, content in folder.files.items() if name not in (*named, *shared)}
    return tests, others, notes


def check_room(files: Iterable[bytes], room: int) -> None:
    """That files fit into the work folder together.

    Raises:
        UsageError: they do not.
    """
    size = sum(map(len, files))
    if size > min(room, _ROOM):
        raise UsageError(
            f"The files need {human(size)}, and there is room for {human(min(room, _ROOM))}.",
            remedy="Give more room with --disk, or fewer files." if size < _ROOM else "Give fewer files.",
        )


def _launching(call: str) -> str:
    return f"{sandboxed('orchestrator.engine', 'launch')}\n\n{call}\n"


def _above(folder: Path, name: str) -> set[Path]:
    """The folders inside `folder` in which a file of it lies."""
    return {(folder / place).resolve() for place in Path(name).parents if str(place) != "."}


def _module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def _is_of_tests(path: str) -> bool:
    folders = path.split("/")[:-1]
    return _is_test(path) or path.rpartition("/")[2] == _CONFTEST or "tests" in folders or "test" in folders
