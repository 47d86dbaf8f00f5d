"""Blocks taken apart into top-level statements, each parsed by itself where the whole does not parse.

Typography that keeps a block from parsing is repaired first (`repairs`). What looks like prose is dropped, what looks like code
and does not parse is remembered.

Left out: which statements are wanted (`pruning`).
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from orchestrator.llm.extraction.effects import Effects, effects
from orchestrator.llm.extraction.fences import Block
from orchestrator.llm.extraction.parsing import check, parse, parses, too_much
from orchestrator.llm.extraction.repairs import repair, unescaped
from orchestrator.llm.extraction.result import MODULE
from orchestrator.sources import TooMuch, is_future

DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Piece:
    """One top-level statement that parses."""

    source: str
    node: ast.stmt

    @cached_property
    def effects(self) -> Effects:
        """What it binds, reads and changes."""
        return effects(self.node, self.source)

    @property
    def binds(self) -> set[str]:
        """Names it defines for the module."""
        return self.effects.binds

    @property
    def is_import(self) -> bool:
        """Is it an import statement?"""
        return isinstance(self.node, ast.Import | ast.ImportFrom)


@dataclass(frozen=True)
class Broken:
    """A top-level chunk that looks like code and does not parse."""

    source: str
    error: str
    at_end: bool
    """Nothing follows it: the answer may have been cut off."""


@dataclass(eq=False)
class Source:
    """A block, taken apart."""

    text: str
    raw: str = ""
    """The text as it stood, with its indentation."""
    tag: str = ""
    closed: bool | None = None
    pieces: list[Piece] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole: bool = False
    """The text parsed as it stands, so it can be returned with its comments."""
    refused: str = ""
    """Why it was not read at all: a sentence."""

    def defining(self, name: str) -> list[Piece]:
        """The statements that bind a name."""
        return [piece for piece in self.naming(name) if name in piece.binds]

    def naming(self, name: str) -> list[Piece]:
        """The statements in whose text a name may stand, found in no time. Python reads some letters as others."""
        return [piece for piece in self.pieces if name in piece.source or not piece.source.isascii()]


def analyse(block: Block) -> Source:
    """Take a block apart, repairing its typography where it does not parse as it stands."""
    raw = re.sub(r"\A(?:[ \t]*\n)+", "", block.body).rstrip()
    source = Source(raw, raw=raw, tag=block.tag, closed=block.closed)
    try:
        try:
            tree = parse(raw)
        except TooMuch:
            raise
        except SyntaxError:
            source.text = textwrap.dedent(raw).strip("\n")
            tree = parse(source.text)
        if tree.body:
            text, problem = unescaped(source.text, tree)
            _accept(source, text, parse(text) if problem else tree, problem)
            return source
    except TooMuch as exc:
        source.refused = too_much(exc)
        return source
    except SyntaxError:
        pass
    source.text, source.problems, source.whole = repair(source.text, code_lines)
    if source.whole:
        source.pieces = list(pieces(source.text))
    else:
        _salvage(source)
    return source


def _accept(source: Source, text: str, tree: ast.Module, problem: str) -> None:
    """A text that parses: its statements, but for those that Python refuses all the same."""
    source.text = text
    if problem:
        source.problems.append(problem)
    source.pieces = list(pieces(text, tree))
    try:
        check(tree)
        source.whole = True
    except SyntaxError:
        errors = [error_in(piece.source) for piece in source.pieces]
        found = list(zip(source.pieces, errors, strict=True))
        source.pieces = [piece for piece, error in found if error is None]
        source.broken = [Broken(piece.source, error, at_end=False) for piece, error in found if error is not None]


def pieces(text: str, tree: ast.Module | None = None) -> Iterator[Piece]:
    """The top-level statements of a text that parses, of its tree where it is known."""
    # As the parser counts lines: a form feed or another separator inside a string ends none.
    lines = text.split("\n")
    nodes = (tree or parse(text)).body
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        first, last = _lines_of(node)
        shared = node.col_offset > 0 or (after is not None and _lines_of(after)[0] <= last)
        yield Piece(_segment(lines, node, first, last) if shared else _whole_lines(lines, node, first, last), node)


def _lines_of(node: ast.stmt) -> tuple[int, int]:
    first = node.lineno
    if isinstance(node, DEFINITIONS):
        first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
    return first, node.end_lineno or first


def _whole_lines(lines: Sequence[str], node: ast.stmt, first: int, last: int) -> str:
    if isinstance(node, DEFINITIONS):
        return "\n".join(lines[first - 1 : last])
    return _segment(lines, node, first, last)


def _segment(lines: Sequence[str], node: ast.stmt, first: int, last: int) -> str:
    """Exactly the statement: others may share its lines. Columns count bytes."""
    chosen = list(lines[first - 1 : last])
    chosen[-1] = chosen[-1].encode()[: node.end_col_offset].decode(errors="replace")
    if first == node.lineno:
        chosen[0] = chosen[0].encode()[node.col_offset :].decode(errors="replace")
    return "\n".join(chosen)


_CODE_LINE = re.compile(
    r"(?:async[ \t]+def|def|class)[ \t]+\w+"
    r"|(?:import|from)[ \t]+[\w.]+(?:[ \t,]|$)"
    r"|@\w+"
    r"|\w+(?:[.\[][^=\n]{0,200}?)?[ \t]*(?::[^=\n]{1,200})?(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=[^=]"
    r"|\w+(?:\.\w+)*\("
    r"|(?:if|for|while|with|try|assert|return|del|global|async)\b"
)


def code_lines(text: str) -> int:
    """How many lines look like code."""
    return sum(bool(_CODE_LINE.match(line)) for line in text.split("\n"))


_MERGE = 12
"""How many chunks at column 0 one statement may span: brackets, strings and `else` that are not indented."""
_MERGES = 300
"""How many such attempts a block may cost."""


def _salvage(source: Source) -> None:
    """Keep each top-level chunk that parses and looks like code; remember the broken ones."""
    chunks = _chunks(source.text)
    index, merges = 0, _MERGES
    dropped_prose = False
    while index < len(chunks):
        chunk = chunks[index]
        if not _CODE_LINE.match(chunk) and not chunk.startswith(('"""', "'''", "(", "[")) and not _does_something(chunk):
            dropped_prose = True
            index += 1
            continue
        width = 1
        error = error_in(chunk)
        if error is not None and _unfinished(error):
            widths = range(2, min(_MERGE, len(chunks) - index, merges + 1) + 1)
            for wider in widths:
                merges -= 1
                if parses("\n".join(chunks[index : index + wider])):
                    width, error = wider, None
                    break
        if error is None:
            source.pieces.extend(pieces("\n".join(chunks[index : index + width])))
        elif re.match(r"(?:async[ \t]+def|def|class|@)", chunk) or index == len(chunks) - 1:
            # A chunk of prose that begins like code ("from the definition ...") is prose.
            source.broken.append(Broken(chunk, error, at_end=index == len(chunks) - 1))
        index += width
    if dropped_prose:
        source.problems.append("dropped prose")


def _does_something(chunk: str) -> bool:
    """Is this Python, and no prose that reads as Python: "Done", "x, then y", "Note: it"?"""
    try:
        body = parse(chunk).body
    except SyntaxError:
        return False
    values = [node.value for node in body if isinstance(node, ast.Expr | ast.AnnAssign)]
    return len(values) < len(body) or any(isinstance(value, ast.Call | ast.Await | ast.ListComp) for value in values)


def _chunks(text: str) -> list[str]:
    """What begins at column 0, with all that follows it indented; comments belong to what stands before them."""
    chunks: list[list[str]] = []
    for line in text.split("\n"):
        if line.strip().startswith("```"):
            continue
        continues = (
            not line.strip()
            or line[:1] in {" ", "\t", "#"}
            or line.startswith((")", "]", "}", "else", "elif", "except", "finally"))
        )
        decorated = bool(chunks) and chunks[-1][-1].startswith("@")
        if chunks and (continues or decorated):
            chunks[-1].append(line)
        elif line.strip():
            chunks.append([line])
    return ["\n".join(chunk).rstrip() for chunk in chunks]


_UNFINISHED = ("never closed", "unterminated", "EOF", "expected an indented block", "expected 'except'")


def _unfinished(error: str) -> bool:
    return any(part in error for part in _UNFINISHED)


def error_in(source: str) -> str | None:
    """The first error of a source with the line where it is, or None."""
    try:
        check(parse(source))
    except TooMuch as exc:
        return too_much(exc)
    except SyntaxError as exc:
        lines = source.split("\n")
        number = exc.lineno or len(lines)
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        line = line if len(line) <= 80 else line[:77] + "..."
        return f"{exc.msg} in line {number}" + (f" (`{line}`)" if line else "")
    return None


def cut_off(source: str, closed: bool | None) -> bool:
    """Does the error lie where the text ends, rather than inside it? A closed fence says that the model had finished."""
    if closed:
        return False
    try:
        parse(source)
    except SyntaxError as exc:
        return (exc.lineno or 0) >= len(source.rstrip().split("\n")) or _unfinished(exc.msg or "")
    return False


def join(found: Iterable[Piece]) -> str:
    """Pieces as a module: imports of the future first, definitions two lines apart, each import once."""
    ordered = list(found)
    future = [piece for piece in ordered if is_future(piece.node)]
    ordered = [*future, *(piece for piece in ordered if not is_future(piece.node))]
    seen: set[str] = set()
    text = ""
    before: Piece | None = None
    for piece in ordered:
        if piece.is_import and piece.source in seen:
            continue
        seen.add(piece.source)
        if before is not None:
            text += _gap(before, piece)
        text += piece.source
        before = piece
    return text + "\n"


def _gap(before: Piece, after: Piece) -> str:
    if isinstance(before.node, DEFINITIONS) or isinstance(after.node, DEFINITIONS):
        return "\n\n\n"
    return "\n\n" if before.is_import != after.is_import else "\n"


def drop_own_imports(sources: Sequence[Source], text: str) -> None:
    """Drop imports of what another block defines, from a module that is that block: all become one module.

    Args:
        text: the answer; a module that it names as a file (`utils.py`) is its own, as are `candidate` and `solution`.
    """
    files = {MODULE, "solution", *re.findall(r"\b([A-Za-z_]\w*)\.py\b", text)}
    defined: dict[str, Source] = {}
    for source in sources:
        defined |= {piece.node.name: source for piece in source.pieces if isinstance(piece.node, DEFINITIONS)}

    def is_own(piece: Piece, source: Source) -> bool:
        node = piece.node
        if not isinstance(node, ast.ImportFrom) or any(alias.asname for alias in node.names):
            return False
        return node.module in files and all(defined.get(alias.name, source) is not source for alias in node.names)

    for source in sources if len(sources) > 1 else ():
        kept = [piece for piece in source.pieces if not is_own(piece, source)]
        if len(kept) < len(source.pieces):
            source.pieces, source.whole = kept, False
            source.problems.append("merged modules of the answer")


def is_main(node: ast.stmt) -> bool:
    """`if __name__ == "__main__"`, without an `else` that an import would execute."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    test = node.test
    return (
        isinstance(test, ast.Compare)
        and any(isinstance(operator, ast.Eq) for operator in test.ops)
        and any(isinstance(item, ast.Name) and item.id == "__name__" for item in ast.walk(test))
    )


def is_test(node: ast.stmt) -> bool:
    """A function or a class that a test runner would collect."""
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or any("TestCase" in name for base in node.bases for name in names_in(base))
    return isinstance(node, FUNCTIONS) and node.name.startswith("test")


def names_in(node: ast.AST) -> list[str]:
    """Names and attributes of an expression."""
    items = list(ast.walk(node))
    return [item.id if isinstance(item, ast.Name) else item.attr for item in items if isinstance(item, ast.Name | ast.Attribute)]


def is_docstring(node: ast.stmt) -> bool:
    """A bare constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_empty(node: ast.stmt) -> bool:
    """A function whose body says nothing: docstring, `pass`, `...`, or NotImplementedError."""
    if not isinstance(node, FUNCTIONS):
        return False
    for statement in node.body:
        if isinstance(statement, ast.Pass) or is_docstring(statement):
            continue
        if (
            isinstance(statement, ast.Raise)
            and statement.exc
            and any("NotImplemented" in name for name in names_in(statement.exc))
        ):
            continue
        return False
    return True
