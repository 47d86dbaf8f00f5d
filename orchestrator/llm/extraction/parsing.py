"""The parser, with limits: what it takes in is small and flat enough for whatever walks over it later.

`ast.parse` reads a sum of a thousand terms, but whoever walks over the tree by recursion cannot. The source of a program that a
person or a model wrote is far below both limits; what is above them is refused in one sentence.

Left out: any rule about what the source may do.
"""

from __future__ import annotations

import ast
import warnings

MAX_SOURCE = 200_000
"""Characters of the longest source that is read."""
MAX_DEPTH = 200
"""Levels of the deepest tree. Python itself stops at 100 levels of indentation and 200 brackets."""


class TooMuch(SyntaxError):
    """The source is above one of the limits; its text is a whole sentence."""


def parse(source: str) -> ast.Module:
    """`ast.parse` whose only failure is SyntaxError, and which says nothing about odd escapes.

    Raises:
        TooMuch: the source is longer than `MAX_SOURCE` or nested deeper than `MAX_DEPTH`.
        SyntaxError: it does not parse.
    """
    if len(source) > MAX_SOURCE:
        raise TooMuch(f"The code is longer than {MAX_SOURCE:,} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except ValueError as exc:
        raise SyntaxError(str(exc)) from exc
    except (RecursionError, MemoryError) as exc:
        raise TooMuch(f"The code is nested deeper than {MAX_DEPTH} levels.") from exc
    if _deep(tree):
        raise TooMuch(f"The code is nested deeper than {MAX_DEPTH} levels.")
    return tree


def parses(source: str) -> bool:
    """Is this Python with at least one statement?"""
    try:
        return bool(parse(source).body)
    except SyntaxError:
        return False


def _deep(tree: ast.AST) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return False
    return True


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
