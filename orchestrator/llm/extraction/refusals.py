"""Why an answer holds nothing usable: one sentence, and the closest thing to code for a correction prompt.

Left out: what is wrong with code that parses and runs (`jobs.classification`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from orchestrator.llm.extraction.pieces import FUNCTIONS, Piece, Source, cut_off, is_empty, is_test
from orchestrator.llm.extraction.result import Extraction

_FOREIGN = {
    "javascript",
    "js",
    "typescript",
    "ts",
    "java",
    "c",
    "cpp",
    "c++",
    "rust",
    "go",
    "bash",
    "sh",
    "shell",
    "console",
    "matlab",
    "r",
    "julia",
    "text",
    "plaintext",
    "output",
}


def unusable(sources: Sequence[Source], entry_point: str | None, problems: Sequence[str]) -> Extraction:
    """Say why there is no code, by the closest thing to it."""
    problems = tuple(dict.fromkeys([*problems, *(problem for source in sources for problem in source.problems)]))
    name = re.split(r"\W", entry_point or "", maxsplit=1)[0]
    pieces = [piece for source in sources for piece in source.pieces]
    for why in (
        _too_much(sources),
        _broken(sources, name),
        _nearly(pieces, name, entry_point or ""),
        _not_python(sources),
        _other(sources, pieces, name),
    ):
        if why is not None:
            reason, draft = why
            return Extraction(reason=reason, draft=draft, problems=problems)
    return Extraction(reason="The answer holds no code.", problems=problems)


_Why = tuple[str, str] | None


def _too_much(sources: Sequence[Source]) -> _Why:
    return next(((source.refused, "") for source in reversed(sources) if source.refused), None)


def _broken(sources: Sequence[Source], name: str) -> _Why:
    """The entry point's own definition does not parse."""
    for source in reversed(sources):
        for broken in reversed(source.broken):
            if not re.search(rf"(?:def|class)[ \t]+{re.escape(name)}\b", broken.source):
                continue
            if _repeats(broken.source):
                return "The answer repeats the same lines over and over.", ""
            if broken.error.startswith("The code is not read"):
                return broken.error, ""
            if broken.at_end and cut_off(broken.source, source.closed):
                return "The answer is cut off before the function is complete.", broken.source
            return f"The code does not parse: {broken.error}.", broken.source
    return None


def _nearly(pieces: Sequence[Piece], name: str, entry_point: str) -> _Why:
    """Something is defined, but not what was asked for."""
    if any(is_empty(piece.node) and name in piece.binds for piece in pieces):
        return "The answer repeats the stub without a body.", ""
    for piece in pieces:
        if isinstance(piece.node, ast.ClassDef):
            methods = [node.name for node in ast.walk(piece.node) if isinstance(node, FUNCTIONS)]
            if name in methods:
                reason = f"The answer defines `{name}` as a method of class `{piece.node.name}`, not as a function."
                return reason, piece.source
    defined = [piece for piece in pieces if isinstance(piece.node, FUNCTIONS | ast.ClassDef) and not is_test(piece.node)]
    if defined and name:
        found = ", ".join(dict.fromkeys(f"`{next(iter(piece.binds))}`" for piece in defined if len(piece.binds) == 1))
        return f"The answer does not define `{entry_point}`; it defines {found}.", "\n\n".join(piece.source for piece in defined)
    return None


def _not_python(sources: Sequence[Source]) -> _Why:
    foreign = [source.tag for source in sources if source.tag in _FOREIGN and not source.pieces]
    return (f"The answer is not Python; its block is marked `{foreign[-1]}`.", "") if foreign else None


def _other(sources: Sequence[Source], pieces: Sequence[Piece], name: str) -> _Why:
    for source in sources:
        if source.broken:
            error = source.broken[-1].error
            return (
                (error, "")
                if error.startswith("The code is not read")
                else (f"The code does not parse: {error}.", source.broken[-1].source)
            )
    if pieces:
        wanted = f"define `{name}`" if name else "hold a program"
        return f"The answer does not {wanted}.", "\n".join(piece.source for piece in pieces)
    if any(source.tag for source in sources):
        return "The block in the answer is not Python.", ""
    return None


def _repeats(source: str) -> bool:
    """Does the text end in at least six turns of the same one to six lines?"""
    lines = [line.strip() for line in source.split("\n") if line.strip()]
    for period in range(1, 7):
        tail = lines[-1 - 6 * period : -1]
        turn = tail[:period]
        if len(tail) == 6 * period and sum(map(len, turn)) >= 8 and all(tail[i] == turn[i % period] for i in range(len(tail))):
            return True
    return False
