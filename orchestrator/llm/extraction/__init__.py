"""Code out of completions.

A model asked for code answers with an echo of the prompt, prose, several blocks, half a fence, a demo and its output,
or a text that stops in the middle of a line. `extract` finds the code that was meant, or says in one sentence why there is none:

    extract(reply, entry_point="loss", prompt=stub).code

One step, one module: `marks` finds the answer in the completion, `fences` and `wrappers` its blocks, `pieces` (with `parsing`
and `repairs`) their top-level statements, `candidates` and `suites` choose among these with `pruning` and `effects`, and
`refusals` says why nothing is usable. Nothing is executed. The work grows no faster than the text, and what is longer or nested
deeper than a program gets is refused.

Left out: repair of the program itself. A misspelt keyword stays a syntax error, for the model to correct.
"""

from __future__ import annotations

import ast
import functools
import re
from typing import Literal

from orchestrator.llm.extraction import fences, wrappers
from orchestrator.llm.extraction.candidates import candidate, whole_program
from orchestrator.llm.extraction.fences import Block, indented, without_fences
from orchestrator.llm.extraction.marks import Readings, readings
from orchestrator.llm.extraction.parsing import MAX_SOURCE, dump, parse
from orchestrator.llm.extraction.pieces import FUNCTIONS, Source, analyse, drop_own_imports
from orchestrator.llm.extraction.result import MODULE, Extraction
from orchestrator.llm.extraction.stub import Stub, stub_of
from orchestrator.llm.extraction.suites import suite

__all__ = ["MODULE", "Extraction", "extract", "normalised"]

MAX_BLOCKS = 1_000
"""How many blocks of an answer are read."""


def extract(
    text: str, *, entry_point: str | None = None, prompt: str = "", kind: Literal["candidate", "tests"] = "candidate"
) -> Extraction:
    """Find the code in a model's answer.

    Args:
        text: the completion as it came.
        entry_point: for a candidate, the function or class it must define, or an expression that begins with one
            (`Solution().total`); for tests, the function under test, imported from `candidate`.
        prompt: what was asked, or its stub alone: distinguishes an echo from an answer, and gives imports and the signature.
        kind: `candidate` keeps what the entry point reaches; `tests` keeps what the test functions reach.
    """
    found = readings(text)
    stub = stub_of(prompt, entry_point)
    refused: list[Extraction] = []
    for reading in found.texts:
        for part in _answers(reading):
            extraction = _read(part, entry_point, stub, kind, list(found.problems))
            if extraction.usable:
                return extraction
            refused.append(extraction)
    return _refusal(found, refused)


def _refusal(found: Readings, refused: list[Extraction]) -> Extraction:
    if found.unfinished and not any(extraction.draft for extraction in refused):
        return Extraction(reason="The answer stops inside a thinking section.", problems=tuple(found.problems))
    # A reading with something like code in it says more than prose does.
    best = next((extraction for extraction in refused if extraction.draft), refused[0] if refused else None)
    if best is not None:
        return best
    reason = "The answer holds nothing but a thinking section." if found.thought else "The answer is empty."
    return Extraction(reason=reason, problems=tuple(found.problems))


_ANSWER_TAGS = ("answer", "solution", "code", "python")
_TAG = re.compile(rf"(?<![\"'`])<({'|'.join(_ANSWER_TAGS)})>")


def _answers(text: str) -> list[str]:
    """What stands between the last `<answer>` and its end, then the whole text.

    A tag in a block, a program or quotation marks is part of what stands there.
    """
    if not _TAG.search(text) or wrappers.is_program(text):
        return [text]
    gaps = fences.gaps(text, fences.blocks(text))
    last = {match[1]: match for start, end in gaps for match in _TAG.finditer(text, start, end)}
    for tag in _ANSWER_TAGS:
        if tag in last:
            start, end = last[tag].end(), text.find(f"</{tag}>", last[tag].end())
            inner = text[start : end if end >= 0 else len(text)]
            if inner.strip():
                return [inner, text]
    return [text]


def _read(text: str, entry_point: str | None, stub: Stub, kind: Literal["candidate", "tests"], problems: list[str]) -> Extraction:
    if len(text) > MAX_SOURCE:
        return Extraction(reason=f"The answer is longer than {MAX_SOURCE:,} characters.", problems=tuple(problems))
    blocks = wrappers.blocks(text, problems)
    if len(blocks) > MAX_BLOCKS:
        return Extraction(reason=f"The answer holds more than {MAX_BLOCKS:,} blocks.", problems=tuple(problems))
    sources = [analyse(block) for block in blocks] or [analyse(Block(_without_stray_fence(text)))]
    if kind == "tests":
        return suite(sources, entry_point, problems)
    drop_own_imports(sources, text)

    @functools.cache
    def loose() -> Source:
        return analyse(Block(without_fences(text) if blocks else indented(text)))

    if entry_point is None:
        return whole_program(sources, problems, loose)
    return candidate(sources, entry_point, stub, problems, loose)


def _without_stray_fence(text: str) -> str:
    """A text without blocks may still end in a fence that nothing opened."""
    return without_fences(text) if "```" in text else text


def normalised(code: str) -> str:
    """A form in which two programs are equal when they differ in layout, comments and docstrings only.

    Source that does not parse is compared by its lines without blanks at the ends.
    """
    try:
        tree = parse(code)
    except SyntaxError:
        return "\n".join(line.strip() for line in code.splitlines() if line.strip())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | FUNCTIONS | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return dump(tree)
