"""What a prompt gives: the head of the function that is asked for, and definitions around it.

Left out: prompts in which the function is described in words alone.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.llm.extraction import fences
from orchestrator.llm.extraction.fences import Block
from orchestrator.llm.extraction.parsing import longest_beginning
from orchestrator.llm.extraction.pieces import FUNCTIONS, Piece, Source, analyse


@dataclass(frozen=True)
class Stub:
    """What the prompt gives."""

    pieces: tuple[Piece, ...] = ()
    head: str = ""
    """Source of the entry point in the prompt, ready for a body to follow."""
    function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    """The entry point, where the prompt gives it as a function."""


def stub_of(prompt: str, entry_point: str | None) -> Stub:
    """The stub in a prompt; an empty one where the prompt holds none."""
    if not prompt.strip() or entry_point is None:
        return Stub()
    texts = [block.body for block in fences.blocks(prompt)] or [prompt]
    for text in reversed(texts):
        for tail in ("", "\n    pass"):
            source = analyse(Block(text.rstrip() + tail, "python", closed=True))
            for piece in reversed(source.defining(entry_point)):
                if isinstance(piece.node, FUNCTIONS):
                    head = piece.source.removesuffix(tail) if tail else piece.source
                    head = re.sub(r"\n[ \t]+(?:pass|\.\.\.|raise NotImplementedError[^\n]*)\s*$", "", head.rstrip())
                    return Stub(tuple(source.pieces), head, piece.node)
    return Stub()


_RETURNS = re.compile(r"\b(?:return|yield)\b")


def continue_stub(sources: Sequence[Source], stub: Stub) -> Source | None:
    """The answer is the body alone: put it under the head that the prompt gives. Prose after the body is not part of it."""
    if stub.function is None:
        return None
    for source in reversed(sources):
        for body in _bodies(source) if _RETURNS.search(source.text) else ():
            whole = longest_beginning(f"{stub.head}\n{body}")
            if len(whole) <= len(stub.head):
                continue
            candidate = analyse(Block(whole, "python", closed=True))
            functions = [piece.node for piece in candidate.defining(stub.function.name)]
            if any(_returns(function) for function in functions):
                return candidate
    return None


def _bodies(source: Source) -> list[str]:
    """The text as a body: as it stands, if it is indented; else indented as a whole, or from its second line on."""
    lines = source.text.strip("\n").split("\n")
    rest = textwrap.dedent("\n".join(lines[1:])).split("\n")
    found = ["\n".join(lines), "\n".join([lines[0].strip(), *rest])]
    bodies = [textwrap.indent(body, "    ") for body in found]
    return [source.raw, *bodies] if source.raw[:1] in {" ", "\t"} else bodies


def _returns(node: ast.AST) -> bool:
    """Does the function itself return or yield, not only one inside it?"""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, inner):
            waiting += ast.iter_child_nodes(item)
    return False
