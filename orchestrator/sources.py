"""Reading the source of strangers: the one place where the host parses what a model or a user wrote, and sees what it imports.

`ast.parse` raises five kinds of errors, takes quadratic time for some f-strings, and returns trees on which whatever walks them
by recursion fails. A source that comes through here is a tree of bounded depth, made in bounded time, or a SyntaxError that says
in one sentence why it is not one.

Left out: running anything; and reading what may be only in part Python (`llm.extraction`).
"""

from __future__ import annotations

import ast
import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

LARGEST = 1 << 20
"""Characters of a source."""
DEEPEST = 150
"""Levels of a syntax tree. Code that people write has under 30; `ast.unparse` takes up to four calls for one."""
_BRACES = 10_000
"""Braces beside f-strings: each place in one is sought from the string's beginning."""
_TRIES = 10
_F_STRING = re.compile(r"(?<!\w)(?:[fF][rR]?|[rR][fF])['\"]")


class TooMuch(SyntaxError):
    """A source that is larger or deeper than anybody writes; `msg` is a phrase that begins with "it"."""


def parse(source: str, *, deepest: int = DEEPEST) -> ast.Module:
    """The syntax tree of a module, at most `deepest` levels deep; more than `DEEPEST` is for who walks it without recursion.

    Raises:
        TooMuch: it is larger or deeper than anybody writes.
        SyntaxError: it is not Python; `msg` has Python's own words.
    """
    return _checked(source, "exec", deepest)  # type: ignore[return-value]


def where_and_why(exc: SyntaxError) -> str:
    """What is wrong with a source, and in which line."""
    return f"{exc.msg} (line {exc.lineno})" if exc.lineno else exc.msg


def parse_expression(source: str) -> ast.Expression:
    """The syntax tree of one expression. Raises SyntaxError as `parse` does."""
    return _checked(source, "eval", DEEPEST)  # type: ignore[return-value]


def plain_value(source: str) -> Any:
    """The plain value that a source spells out, as `ast.literal_eval` reads it. Raises SyntaxError for anything else."""
    try:
        return ast.literal_eval(parse_expression(source.strip()))
    except (ValueError, TypeError, MemoryError) as exc:
        raise SyntaxError(f"it is not a plain value: {exc}") from None


def is_python(source: str, *, deepest: int = DEEPEST) -> bool:
    """Whether this is a module of at least one statement."""
    try:
        return bool(parse(source, deepest=deepest).body)
    except SyntaxError:
        return False


class Import(NamedTuple):
    """One name that an import statement binds."""

    module: str
    """The module that is named: `a.b` for `import a.b` and for `from a.b import c`."""
    name: str
    """What is taken from it, `*` for everything; empty for the module itself."""
    binds: str
    """The name under which it is known from then on; `*` where that cannot be known."""
    level: int = 0
    """Dots before the module, of a relative import."""


def imports(tree: ast.AST) -> Iterator[Import]:
    """All that the import statements of a tree bind, wherever they stand in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", alias.asname or alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.module or "", alias.name, alias.asname or alias.name, node.level)


def is_future(node: ast.AST) -> bool:
    """Whether this is `from __future__ import ...`, which must come first."""
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _checked(source: str, mode: str, deepest: int) -> ast.AST:
    if len(source) > LARGEST:
        raise TooMuch(f"it has {len(source)} characters, and sources of more than {LARGEST} are not read")
    if source.count("{") > _BRACES and _F_STRING.search(source):
        raise TooMuch(f"it has f-strings and more than {_BRACES} braces")
    try:
        with warnings.catch_warnings(action="ignore"):  # "\d" in a stranger's string is not a concern of ours
            tree: ast.AST = steadily(lambda: ast.parse(source, mode=mode))
    except SyntaxError:
        raise
    except (RecursionError, MemoryError):
        raise TooMuch(f"it is nested more than {deepest} levels deep") from None
    except ValueError as exc:  # a null byte, a lone surrogate
        raise SyntaxError(str(exc)) from None
    if not _is_shallow(tree, deepest):
        raise TooMuch(f"it is nested more than {deepest} levels deep")
    return tree


_READING = threading.RLock()


def steadily(read: Callable[[], T]) -> T:
    """What `read` returns; what comes through here reads one after the other, and again where Python itself fails in it.

    Before 3.11.9 Python counts the depth of syntax trees in one place, so that `ast.parse`, and what reads literals by it, such
    as NumPy the head of a file, may fail with SystemError where two threads are in it at once (gh-106905).
    """
    with _READING:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(SystemError):
                return read()
        return read()


def _is_shallow(tree: ast.AST, deepest: int) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(deepest):
        level = [child for node in level for child in _children(node)]
        if not level:
            return True
    return False


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """As `ast.iter_child_nodes`, in a third of the time."""
    for value in vars(node).values():
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, ast.AST))
