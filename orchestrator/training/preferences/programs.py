"""Programs compared: the same but for layout and comments, or nearly the same.

Nearly the same is a matter of the edit distance between programs in one layout, exact and without a seed. Only answers to one
prompt are compared, tens or hundreds, so nothing that estimates (MinHash) is needed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache

from orchestrator.sources import parse

_STRING_OR_COMMENT = re.compile(
    r"""('''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|\#[^\n]*""",
    re.DOTALL,
)


@lru_cache(maxsize=4096)
def canonical(code: str) -> str:
    """The program in one layout, without comments and docstrings. What does not parse loses comments and blanks only."""
    try:
        tree = parse(code)
    except SyntaxError:
        return " ".join(_without_comments(code).split())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@lru_cache(maxsize=4096)
def squeezed(text: str) -> str:
    """The text without comments and any white space."""
    return "".join(_without_comments(text).split())


def same(one: str, other: str) -> bool:
    """Whether two programs differ in white space, comments and docstrings at most; indentation that breaks one is white space."""
    return canonical(one) == canonical(other) or squeezed(one) == squeezed(other)


def clusters(codes: Sequence[str], similarity: float) -> list[int]:
    """For each program the place of the first one that it equals, or resembles by at least `similarity` (0 to 1).

    Similarity is that of `canonical` forms: 1 minus insertions and deletions over the characters of both.
    """
    from rapidfuzz.distance import Indel

    firsts: dict[str, int] = {}
    heads: list[tuple[str, int]] = []  # only these are compared with, so that resemblance does not creep from one to the next
    found = []
    for place, code in enumerate(codes):
        form = canonical(code)
        if form not in firsts:
            near = (at for head, at in heads if Indel.normalized_similarity(form, head, score_cutoff=similarity))
            firsts[form] = next(near, place)
            if firsts[form] == place:
                heads.append((form, place))
        found.append(firsts[form])
    return found


def defined_functions(code: str) -> frozenset[str]:
    """Names of the functions that a program defines at its top; none where it does not parse."""
    try:
        body = parse(code).body
    except SyntaxError:
        return frozenset()
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _without_comments(text: str) -> str:
    return _STRING_OR_COMMENT.sub(lambda match: match.group(1) or "", text)
