"""What extraction asks of a tree and of sources that parse only in part. The parser and its limits are those of `sources`.

Left out: any rule about what the source may do.
"""

from __future__ import annotations

import ast
import warnings

from orchestrator import sources
from orchestrator.sources import TooMuch

MAX_SOURCE = 200_000
"""Characters of the longest answer that is read; the source of a program that a person or a model wrote is far below it."""


MAX_DEPTH = 800
"""Levels of the deepest tree. Each `elif` is one, and a table of hundreds of them is a right answer; nothing here recurses."""


def parse(source: str) -> ast.Module:
    """The syntax tree of a source. Raises TooMuch and SyntaxError as `sources.parse` does."""
    return sources.parse(source, deepest=MAX_DEPTH)


def check(tree: ast.Module) -> None:
    """Raise SyntaxError for what parses and Python refuses all the same: `return` outside a function, `break` outside a loop."""
    try:
        with warnings.catch_warnings(action="ignore"):  # `1 is 1` in a stranger's code is not a concern of ours
            sources.steadily(lambda: compile(tree, "<answer>", "exec", dont_inherit=True))
    except (RecursionError, MemoryError):
        raise TooMuch(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except (ValueError, OverflowError) as exc:
        raise SyntaxError(str(exc)) from None


def parses(source: str) -> bool:
    """Is this Python with at least one statement, such as Python would execute?"""
    try:
        tree = parse(source)
        check(tree)
    except SyntaxError:
        return False
    return bool(tree.body)


def too_much(exc: TooMuch) -> str:
    """The sentence about a source that is not read."""
    return f"The code is not read: {exc.msg}."


def longest_beginning(source: str, *, tries: int = 24) -> str:
    """The longest beginning of a source, in whole lines, that parses; empty where none does.

    The parser says where the first error is, so each try cuts there; `tries` bounds the work, however odd the text.
    """
    lines = source.split("\n")
    for _ in range(tries):
        if not lines:
            break
        text = "\n".join(lines)
        try:
            return text if parse(text).body else ""
        except SyntaxError as exc:
            lines = lines[: min(len(lines) - 1, max((exc.lineno or len(lines)) - 1, 0))]
    return ""


def dump(tree: ast.AST) -> str:
    """The tree as text, without positions and without recursion: equal for programs that differ in layout only."""
    parts: list[str] = []
    waiting: list[object] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.AST):
            parts.append(f"({type(item).__name__}")
            waiting.append(_END)
            waiting += [getattr(item, name, None) for name in reversed(item._fields)]
        elif isinstance(item, list):
            parts.append("[")
            waiting.append(_STOP)
            waiting += reversed(item)
        elif item is _END or item is _STOP:
            parts.append(")" if item is _END else "]")
        else:
            # `repr` refuses integers of more than 4,300 digits.
            parts.append(f"{item:#x}" if type(item) is int else repr(item))
    return " ".join(parts)


_END, _STOP = object(), object()
