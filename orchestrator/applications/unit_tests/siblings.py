"""What a module on disk imports from its own folder or package: these files go along with it into the sandbox.

Left out: modules that are imported by a computed name, and files that are no modules.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.sources import imports, parse

_MOST_BYTES, _MOST_FILES = 1 << 20, 200
Siblings = tuple[tuple[str, str], ...]
"""Dotted names and sources; those of packages end with `.__init__`."""


def place_of(path: Path, source: str) -> tuple[Path, str]:
    """The folder from which a module is imported, and its dotted name there. Relative imports make packages of its folders."""
    path = path.resolve()
    folder, parts = path.parent, [] if path.stem == "__init__" else [path.stem]
    levels = max((one.level for one in imports(parse(source))), default=0) - (path.stem == "__init__")
    while folder != folder.parent and ((folder / "__init__.py").is_file() or len(parts) <= levels or not parts):
        folder, parts = folder.parent, [folder.name, *parts]
    return folder, ".".join(parts)


def siblings_of(path: Path, source: str) -> tuple[str, Siblings]:
    """The dotted name of a module, and all modules beside it that are imported, by it or by one another.

    Raises:
        UsageError: they are many or large, or one cannot be read.
    """
    root, name = place_of(path, source)
    found: dict[str, str] = {}
    package = path.stem == "__init__"
    left = [*_prefixes(name), *imported(source, name, package=package)]
    found |= _bare(root, name)
    while left:
        one = left.pop()
        if one in found or f"{one}.__init__" in found or one == name or one.partition(".")[0] in sys.stdlib_module_names:
            continue
        file = root.joinpath(*one.split("."))
        if file.with_suffix(".py").is_file() and not (file / "__init__.py").is_file():
            key, text = one, _read(file.with_suffix(".py"))
        elif (file / "__init__.py").is_file():
            key, text = f"{one}.__init__", _read(file / "__init__.py")
        else:
            continue
        found |= {key: text} | _bare(root, one)
        left += [*_prefixes(one), *imported(text, one, package=key != one)]
        if len(found) > _MOST_FILES or sum(map(len, found.values())) > _MOST_BYTES:
            raise UsageError(
                f"{path} imports more than {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB of its own folder or package.",
                remedy="Move what tests are wanted for into a module that imports less.",
            )
    return name, tuple(sorted(found.items()))


def imported(source: str, name: str, *, package: bool) -> Iterator[str]:
    """Dotted names of what a module imports; for `from a import b` also `a.b`, which may be a module."""
    try:
        tree = parse(source)
    except SyntaxError:
        return
    for one in imports(tree):
        module = absolute(one.module, one.level, name, package=package)
        yield from (part for part in (*_prefixes(module), module) if part)
        if one.name and module:
            yield f"{module}.{one.name}"


def absolute(module: str, level: int, name: str, *, package: bool) -> str:
    """The name of a module that is imported with so many dots from the module `name`."""
    if not level:
        return module
    base = name.split(".")[: len(name.split(".")) - level + int(package)]
    return ".".join([*base, *([module] if module else [])])


def borrowed(source: str, name: str, siblings: Siblings) -> list[ast.stmt]:
    """Definitions of siblings that a module imports at its top, under the names that it gives them."""
    sources = dict(siblings)
    found: list[ast.stmt] = []
    for node in parse(source).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        origin = absolute(node.module or "", node.level, name, package=is_package(name, siblings))
        try:
            tree = parse(sources.get(origin) or sources.get(f"{origin}.__init__") or "")
        except SyntaxError:
            continue
        names = {alias.name: alias.asname or alias.name for alias in node.names}
        for one in tree.body:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and one.name in names:
                one.name = names[one.name]
                found.append(one)
    return found


def _bare(root: Path, name: str) -> dict[str, str]:
    """Packages around a module that have no `__init__.py`."""
    bare = [one for one in _prefixes(name) if not root.joinpath(*one.split("."), "__init__.py").is_file()]
    return {f"{one}.__init__": "" for one in bare}


def is_package(name: str, siblings: Siblings) -> bool:
    """Whether the module is the `__init__.py` of a package."""
    return any(one.startswith(f"{name}.") for one, _ in siblings)


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}.", remedy="The module imports it; it is UTF-8 text.") from None
