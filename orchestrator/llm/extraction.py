"""Code out of completions.

A model asked for code answers with an echo of the prompt, prose, several blocks, half a fence, a demo and its output,
or a text that stops in the middle of a line. `extract` finds the code that was meant, or says in one sentence why there is none:

    extract(reply, entry_point="loss", prompt=stub).code

The answer is split into fenced blocks and these into top-level statements, each parsed by itself where the whole does not
parse. What the entry point reaches is kept, the rest (demos, tests, stray imports) is dropped. Nothing is executed.

Left out: repair of the program itself. A misspelt keyword stays a syntax error, for the model to correct.
"""

from __future__ import annotations

import ast
import html
import json
import re
import symtable
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.types import Value

MODULE = "candidate"
"""The name under which tests import the code they test."""


class Extraction(Value):
    """What was found in an answer."""

    code: str = ""
    """Source that parses and defines what was asked; empty where nothing usable was found."""
    draft: str = ""
    """Where nothing usable was found: the closest thing to code, for a correction prompt to show."""
    problems: tuple[str, ...] = ()
    """What was dropped, merged or repaired, each a short phrase."""
    usable: bool = False
    reason: str = ""
    """Why nothing is usable: one sentence."""


def extract(
    text: str, *, entry_point: str | None = None, prompt: str = "", kind: Literal["candidate", "tests"] = "candidate"
) -> Extraction:
    """Find the code in a model's answer.

    Args:
        text: the completion as it came.
        entry_point: for a candidate, the function it must define; for tests, the function under test, imported from `candidate`.
        prompt: what was asked, or its stub alone: tells an echo from an answer and lends its imports and its signature.
        kind: `candidate` keeps what the entry point reaches; `tests` keeps what the test functions reach.
    """
    problems: list[str] = []
    text, reason = _strip_wrappings(text, problems)
    if reason:
        return Extraction(reason=reason, problems=tuple(problems))
    blocks = _blocks(text)
    sources = [_analyse(block) for block in blocks] or [_analyse(_Block(text, "", closed=None))]
    stub = _stub(prompt, entry_point)
    if kind == "tests":
        return _extract_tests(sources, entry_point, problems)
    return _extract_candidate(text, bool(blocks), sources, entry_point, stub, problems)


def normalised(code: str) -> str:
    """A form in which two programs are equal when they differ in layout, comments and docstrings only.

    Source that does not parse is compared by its lines without blanks at the ends.
    """
    try:
        tree = _parse(code)
    except SyntaxError:
        return "\n".join(line.strip() for line in code.splitlines() if line.strip())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


# Text -> blocks


@dataclass(frozen=True)
class _Block:
    """Text between two fences."""

    body: str
    tag: str
    closed: bool | None
    """None where there was no fence at all."""


_FENCE = re.compile(r"^[ \t]*(?:[-*] )?(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")
_TAG = re.compile(r"[\w+#.-]*(?:[ \t]*\{.*\}|[ \t]+\w+=\S+|:\S+|[ \t]+\S+\.py)?")
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
_WRAPPERS = re.compile(r"^[ \t]*(?:</?(?:code|python|answer|solution|pre)>|\[/?(?:PYTHON|CODE|ANSWER)\])[ \t]*$", re.MULTILINE)
_CODE_KEYS = ("code", "solution", "answer", "python", "function", "tests", "content", "completion")


def _strip_wrappings(text: str, problems: list[str]) -> tuple[str, str]:
    """Take away what surrounds the answer as a whole; the second value is a reason to stop."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    text = re.split(r"<\|(?:im_end|endoftext|eot_id|im_start)\|>|</s>", text)[0]
    if "</think>" in text:
        text = text.rsplit("</think>", 1)[1]
        problems.append("dropped a thinking section")
    elif re.match(r"\s*<think>", text):
        return "", "The answer stops inside a thinking section."
    if not text.strip():
        return "", "The answer is empty."
    unwrapped = _from_json(text)
    if unwrapped is not None:
        problems.append("unwrapped JSON")
        text = unwrapped
    if "```" not in text and "~~~" not in text:
        text, count = _WRAPPERS.subn("```", text)
        if count:
            problems.append("unwrapped tags")
    return text, ""


def _from_json(text: str) -> str | None:
    body = text.strip()
    fenced = re.fullmatch(r"```(?:json)?\s*\n(\{.*\})\s*\n?```", body, re.DOTALL)
    if fenced:
        body = fenced[1]
    if not body.startswith("{"):
        return None
    try:
        value = json.loads(body, strict=False)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    texts = {key: item for key, item in value.items() if isinstance(item, str)}
    for key in _CODE_KEYS:
        if key in texts:
            return texts[key]
    return next((item for item in texts.values() if "def " in item), None)


def _blocks(text: str) -> list[_Block]:
    """The fenced blocks of an answer, in order. A fence inside an open docstring is text."""
    blocks: list[_Block] = []
    body: list[str] | None = None
    fence, tag = "", ""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if body is None:
            if match:
                fence, info = match[1], match[2]
                body = []
                if _TAG.fullmatch(info):
                    tag = re.split(r"[ \t{:]", info, maxsplit=1)[0].lower()
                    continue
                # Code on the line of the fence itself.
                tag = "python"
                first = re.sub(r"^(?:python3?|py)[ \t]+", "", info)
                if first.endswith(fence):
                    blocks.append(_Block(first[: -len(fence)], tag, closed=True))
                    body = None
                else:
                    body.append(first)
            continue
        ends = match is not None and match[1][0] == fence[0] and len(match[1]) >= len(fence)
        more_fences = any(_FENCE.match(later) for later in lines[number + 1 :])
        if match and ends and not (_docstring_open(body) and more_fences):
            if not match[2]:
                blocks.append(_Block("\n".join(body), tag, closed=True))
                body = None
                continue
            if _TAG.fullmatch(match[2]):
                # An opening fence inside a block: the one before was never closed.
                if any(part.strip() for part in body):
                    blocks.append(_Block("\n".join(body), tag, closed=False))
                body, tag = [], match[2].lower()
                continue
        if line.rstrip().endswith(fence) and not match:
            body.append(line.rstrip().removesuffix(fence))
            blocks.append(_Block("\n".join(body), tag, closed=True))
            body = None
            continue
        body.append(line)
    if body is not None and any(part.strip() for part in body):
        blocks.append(_Block("\n".join(body), tag, closed=False))
    return [block for block in blocks if block.body.strip()]


def _docstring_open(lines: Sequence[str]) -> bool:
    joined = "\n".join(lines)
    return joined.count('"""') % 2 == 1 or joined.count("'''") % 2 == 1


# Block -> statements


@dataclass(frozen=True)
class _Piece:
    """One top-level statement that parses."""

    source: str
    node: ast.stmt
    binds: frozenset[str]
    """Names it defines for the module."""
    uses: frozenset[str]
    """Names it wants from the module."""

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, ast.Import | ast.ImportFrom)


@dataclass(frozen=True)
class _Broken:
    """A top-level chunk that looks like code and does not parse."""

    source: str
    error: str
    at_end: bool
    """Nothing follows it: the answer may have been cut off."""


@dataclass
class _Source:
    """A block, taken apart."""

    text: str
    tag: str = ""
    closed: bool | None = None
    pieces: list[_Piece] = field(default_factory=list)
    broken: list[_Broken] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole: bool = False
    """The text parsed as it stands, so it can be returned with its comments."""

    def defining(self, name: str) -> list[_Piece]:
        return [piece for piece in self.pieces if name in piece.binds]


def _parse(source: str) -> ast.Module:
    """`ast.parse` whose only failure is SyntaxError, and which says nothing about odd escapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (ValueError, RecursionError, MemoryError) as exc:
            raise SyntaxError(str(exc) or type(exc).__name__) from exc


def _parses(source: str) -> bool:
    try:
        return bool(_parse(source).body)
    except SyntaxError:
        return False


def _analyse(block: _Block) -> _Source:
    """Take a block apart, repairing its typography where it does not parse as it stands."""
    text = textwrap.dedent(block.body.expandtabs(4) if "\t" in block.body else block.body).strip("\n")
    source = _Source(text, tag=block.tag, closed=block.closed)
    if _parses(text):
        if _has_entities(_parse(text)) and _parses(html.unescape(text)):
            source.text = html.unescape(text)
            source.problems.append("unescaped HTML entities")
        source.whole = True
    else:
        for problem, repair in _REPAIRS:
            repaired = repair(source.text)
            if repaired == source.text:
                continue
            # Typography is repaired in prose too, where it harms nothing; the other repairs must prove themselves.
            if _parses(repaired) or _code_lines(repaired) > _code_lines(source.text) or problem in _HARMLESS:
                source.text = repaired
                source.problems.append(problem)
            if _parses(source.text):
                source.whole = True
                break
    if source.whole:
        source.pieces = list(_pieces(source.text))
    else:
        _salvage(source)
    return source


def _has_entities(tree: ast.Module) -> bool:
    """`a &lt; b` parses as `a & lt; b`: only then does an entity become a name."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bool(names & ({"lt", "gt", "amp", "quot"} - stored))


_QUOTES: dict[str, str | int | None] = {
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'",
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u2033": '"',
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u2026": "...", "\u00d7": "*", "\u00f7": "/", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
    "\uff08": "(", "\uff09": ")", "\uff1a": ":", "\uff0c": ",", "\uff1d": "=",
}  # fmt: skip
_SPACES: dict[str, str | int | None] = {
    "\u00a0": " ", "\u2002": " ", "\u2003": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u3000": "    ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u2028": "\n", "\u2029": "\n",
}  # fmt: skip


def _plain_spaces(text: str) -> str:
    return textwrap.dedent(text.translate(str.maketrans(_SPACES)))


def _plain_quotes(text: str) -> str:
    return text.translate(str.maketrans(_QUOTES))


def _without_escapes(text: str) -> str:
    """A whole program on one line with its line breaks written as backslash and n."""
    if "\n" in text.strip() or "\\n" not in text:
        return text
    return text.replace("\\r", "").replace("\\n", "\n").replace("\\t", "    ").replace('\\"', '"')


def _without_repl(text: str) -> str:
    if not re.search(r"^[ \t]*>>> ", text, re.MULTILINE):
        return text
    kept = [match[1] or "" for match in re.finditer(r"^[ \t]*(?:>>>|\.\.\.)(?: (.*))?$", text, re.MULTILINE)]
    return "\n".join(kept)


def _without_line_numbers(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    matches = [re.match(r"[ \t]*(\d+)(?:[:.|)]|[ \t]*\||(?=[ \t]|$)) ?", line) for line in lines]
    numbers = [int(match[1]) for match in matches if match]
    if len(numbers) < max(2, 0.8 * len(lines)) or numbers != sorted(set(numbers)):
        return text
    return textwrap.dedent("\n".join(line[match.end() :] if match else line for line, match in zip(lines, matches, strict=True)))


def _without_diff(text: str) -> str:
    lines = text.split("\n")
    marked = sum(line[:1] in {"+", "-"} for line in lines)
    if not any(line.startswith("@@") for line in lines) and marked < 0.6 * len([line for line in lines if line.strip()]):
        return text
    kept = [line for line in lines if not line.startswith(("-", "@@", "+++", "diff ", "index "))]
    return "\n".join(line[1:] if line[:1] in {"+", " "} else line for line in kept)


def _without_quote_marks(text: str) -> str:
    lines = text.split("\n")
    if not all(line.startswith(">") for line in lines if line.strip()):
        return text
    return "\n".join(re.sub(r"^> ?", "", line) for line in lines)


_REPAIRS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("replaced unusual blanks", _plain_spaces),
    ("replaced typographic quotes and dashes", _plain_quotes),
    ("unescaped HTML entities", html.unescape),
    ("unescaped line breaks", _without_escapes),
    ("dropped quotation marks of a mail", _without_quote_marks),
    ("dropped diff marks", _without_diff),
    ("dropped line numbers", _without_line_numbers),
    ("dropped interpreter prompts", _without_repl),
)
_HARMLESS = {"replaced unusual blanks", "replaced typographic quotes and dashes"}
_CODE_LINE = re.compile(
    r"(?:async[ \t]+def|def|class)[ \t]+\w+"
    r"|(?:import|from)[ \t]+[\w.]+(?:[ \t,]|$)"
    r"|@\w+"
    r"|\w+[ \t]*(?::[^=]+)?=[^=]"
    r"|(?:if|for|while|with|try|assert|return)\b"
)


def _code_lines(text: str) -> int:
    return sum(bool(_CODE_LINE.match(line)) for line in text.split("\n"))


def _pieces(text: str) -> Iterator[_Piece]:
    lines = text.split("\n")
    for node in _parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            last = node.end_lineno or first
            # Two statements may share a line: then only the segment itself is this one's.
            source = "\n".join(lines[first - 1 : last]) if node.col_offset == 0 else ast.get_source_segment(text, node) or ""
        else:
            source = ast.get_source_segment(text, node) or ""
        yield _Piece(source, node, *_names(source))


def _names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names that a statement binds in the module and names that it wants from there, by Python's own scope rules."""
    try:
        top = symtable.symtable(source, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(), frozenset()
    binds = {
        symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    uses = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        uses |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return frozenset(binds), frozenset(uses)


_MERGE = 12
"""How many chunks at column 0 one statement may span: brackets, strings and `else` that are not indented."""


def _salvage(source: _Source) -> None:
    """Keep each top-level chunk that parses and looks like code; remember the broken ones."""
    chunks = _chunks(source.text)
    index = 0
    dropped_prose = False
    while index < len(chunks):
        chunk = chunks[index]
        if not _CODE_LINE.match(chunk) and not chunk.startswith(('"""', "'''", "(", "[")):
            dropped_prose = True
            index += 1
            continue
        for width in range(min(_MERGE, len(chunks) - index), 0, -1):
            merged = "\n".join(chunks[index : index + width])
            if _parses(merged):
                source.pieces.extend(_pieces(merged))
                break
        else:
            width = 1
            error = _error(chunk)
            if error is None:
                dropped_prose = True
            else:
                # A chunk of prose that begins like code ("from the definition ...") is prose.
                looks_like_code = bool(re.match(r"(?:async[ \t]+def|def|class|@)", chunk))
                last = index == len(chunks) - 1
                if looks_like_code or last:
                    source.broken.append(_Broken(chunk, error, at_end=last))
        index += width
    if dropped_prose:
        source.problems.append("dropped prose")


def _chunks(text: str) -> list[str]:
    chunks: list[list[str]] = []
    for line in text.split("\n"):
        if line.strip().startswith("```"):
            continue
        continues = (
            not line.strip() or line[:1] in {" ", "\t"} or line.startswith((")", "]", "}", "else", "elif", "except", "finally"))
        )
        decorated = bool(chunks) and chunks[-1][-1].startswith("@")
        if chunks and (continues or decorated):
            chunks[-1].append(line)
        elif line.strip():
            chunks.append([line])
    return ["\n".join(chunk).rstrip() for chunk in chunks]


def _error(source: str) -> str | None:
    try:
        _parse(source)
    except SyntaxError as exc:
        lines = source.split("\n")
        number = exc.lineno or len(lines)
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        line = line if len(line) <= 80 else line[:77] + "..."
        return f"{exc.msg} in line {number}" + (f" (`{line}`)" if line else "")
    return None


# Prompt -> stub


@dataclass(frozen=True)
class _Stub:
    """What the prompt gives: the head of the entry point, and definitions around it."""

    pieces: tuple[_Piece, ...] = ()
    head: str = ""
    """Source of the entry point in the prompt, ready for a body to follow."""
    function: ast.FunctionDef | ast.AsyncFunctionDef | None = None


def _stub(prompt: str, entry_point: str | None) -> _Stub:
    if not prompt.strip() or entry_point is None:
        return _Stub()
    texts = [block.body for block in _blocks(prompt)] or [prompt]
    for text in reversed(texts):
        for tail in ("", "\n    pass"):
            source = _analyse(_Block(text.rstrip() + tail, "python", closed=True))
            for piece in reversed(source.defining(entry_point)):
                if isinstance(piece.node, ast.FunctionDef | ast.AsyncFunctionDef):
                    head = piece.source.removesuffix(tail) if tail else piece.source
                    head = re.sub(r"\n[ \t]+(?:pass|\.\.\.|raise NotImplementedError.*)\s*$", "", head.rstrip())
                    return _Stub(tuple(source.pieces), head, piece.node)
    return _Stub()


def _is_empty(node: ast.stmt) -> bool:
    """A function whose body says nothing: docstring, `pass`, `...`, or NotImplementedError."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    for statement in node.body:
        if isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            continue
        if isinstance(statement, ast.Raise) and "NotImplemented" in ast.dump(statement):
            continue
        return False
    return True


# Statements -> candidate


def _extract_candidate(
    text: str, fenced: bool, sources: list[_Source], entry_point: str | None, stub: _Stub, problems: list[str]
) -> Extraction:
    if entry_point is None:
        return _whole_program(sources, problems)
    chosen = _choose(sources, entry_point)
    if chosen is None and fenced:
        # Perhaps the code stands outside the fences, or the fences cut it in two.
        loose = _analyse(_Block("\n".join(line for line in text.split("\n") if not _FENCE.match(line)), "", closed=None))
        if _choose([loose], entry_point) is not None:
            problems.append("took code from outside the fences")
            sources, chosen = [*sources, loose], loose
    if chosen is None:
        continued = _continue_stub(sources, stub)
        if continued is not None:
            problems.append("put the body under the stub")
            sources, chosen = [*sources, continued], continued
    if chosen is None:
        return _unusable(sources, entry_point, stub, problems)

    definitions = [piece for piece in chosen.defining(entry_point) if not _is_empty(piece.node)]
    entry = definitions[-1]
    wrong = _wrong_kind(entry.node, entry_point, stub)
    if wrong:
        return Extraction(draft=entry.source, reason=wrong, problems=(*problems, *chosen.problems))
    if len(definitions) > 1:
        problems.append("kept the last of several definitions")
    problems.extend(chosen.problems)
    if chosen.closed is False:
        problems.append("the fence was not closed")
    if chosen.broken:
        problems.append("dropped an unfinished tail" if chosen.broken[-1].at_end else "dropped what does not parse")
    others = [source for source in sources if source is not chosen]
    code = _assemble(entry, entry_point, chosen, others, stub, problems)
    return Extraction(code=code, usable=True, problems=tuple(dict.fromkeys(problems)))


def _whole_program(sources: list[_Source], problems: list[str]) -> Extraction:
    """No entry point is asked for: the longest block, without its tests and its main block."""
    best = max(sources, key=lambda source: sum(len(piece.source) for piece in source.pieces))
    kept = [piece for piece in best.pieces if not _is_main(piece.node) and not _is_test(piece.node)]
    if not any(not isinstance(piece.node, ast.Expr) or isinstance(piece.node.value, ast.Call) for piece in kept):
        return _unusable(sources, None, _Stub(), problems)
    if len(kept) == len(best.pieces) and best.whole:
        code = best.text.strip() + "\n"
    else:
        if len(kept) < len(best.pieces):
            problems.append("dropped tests or a main block")
        code = _join(kept)
    return Extraction(code=code, usable=True, problems=tuple(dict.fromkeys([*problems, *best.problems])))


def _choose(sources: Sequence[_Source], entry_point: str) -> _Source | None:
    """The last block that defines the entry point with a body, as far as it is complete.

    Functions go before other definitions: a later `loss = loss(a, b)` in a demo is no definition.
    """
    for callable_kinds in ((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef), (ast.Assign, ast.AnnAssign)):
        for source in reversed(sources):
            pieces = source.defining(entry_point)
            if any(isinstance(piece.node, callable_kinds) and _may_define(piece.node, entry_point) for piece in pieces):
                source.pieces = [
                    piece
                    for piece in source.pieces
                    if entry_point not in piece.binds
                    or (isinstance(piece.node, callable_kinds) and _may_define(piece.node, entry_point))
                ]
                return source
    return None


def _may_define(node: ast.stmt, entry_point: str) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        value = node.value
        calls_itself = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == entry_point
        return value is not None and not calls_itself and not isinstance(value, ast.Constant)
    return not _is_empty(node)


def _wrong_kind(node: ast.stmt, entry_point: str, stub: _Stub) -> str:
    if isinstance(node, ast.ClassDef):
        what = "an nn.Module" if any("Module" in ast.unparse(base) for base in node.bases) else "a class"
        return f"The answer defines `{entry_point}` as {what}, where a function is asked for."
    if isinstance(node, ast.AsyncFunctionDef) and not isinstance(stub.function, ast.AsyncFunctionDef):
        return f"The answer defines `{entry_point}` as a coroutine (`async def`), where a plain function is asked for."
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and stub.function is not None:
        asked = [argument.arg for argument in (*stub.function.args.posonlyargs, *stub.function.args.args)]
        given = node.args
        names = [argument.arg for argument in (*given.posonlyargs, *given.args)]
        needed = len(names) - len(given.defaults)
        lacks = [argument.arg for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
        fits = needed <= len(asked) and (len(names) >= len(asked) or given.vararg is not None)
        if not fits or (lacks and not stub.function.args.kwonlyargs):
            return (
                f"The answer defines `{entry_point}({', '.join(names)})`, where `{entry_point}({', '.join(asked)})` is asked for."
            )
    return ""


def _assemble(
    entry: _Piece, entry_point: str, chosen: _Source, others: Sequence[_Source], stub: _Stub, problems: list[str]
) -> str:
    """The entry point and everything it reaches, from its own block first, then from the other blocks, then from the prompt."""
    pools: list[tuple[str, Sequence[_Piece]]] = [("", chosen.pieces)]
    pools += [("merged definitions of another block", source.pieces) for source in others if source is not chosen]
    pools.append(("took definitions from the prompt", stub.pieces))
    order = {id(piece): (len(pools) - rank, place) for rank, (_, pool) in enumerate(pools) for place, piece in enumerate(pool)}
    kept: dict[int, _Piece] = {id(entry): entry}
    given = {piece.source for piece in stub.pieces if piece.is_import}
    for piece in chosen.pieces:
        if _is_star_import(piece.node) or _is_setting(piece.node) or piece.source in given:
            kept[id(piece)] = piece
    wanted = [name for piece in kept.values() for name in piece.uses]
    # Whoever calls the entry point may count on the other functions that the prompt defines.
    wanted += [name for piece in stub.pieces if isinstance(piece.node, ast.FunctionDef | ast.ClassDef) for name in piece.binds]
    resolved = {entry_point}
    while wanted:
        name = wanted.pop()
        if name in resolved:
            continue
        resolved.add(name)
        for problem, pool in pools:
            found = [piece for piece in pool if name in piece.binds and not _is_main(piece.node)]
            if not found:
                continue
            if isinstance(found[-1].node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                complete = [piece for piece in found if not _is_empty(piece.node)]
                found = (complete or found)[-1:]
            for piece in found:
                if id(piece) not in kept:
                    kept[id(piece)] = piece
                    wanted.extend(piece.uses)
                    if problem:
                        problems.append(problem)
            break
    dropped = [piece for piece in chosen.pieces if id(piece) not in kept and not _is_docstring(piece.node)]
    if not dropped and chosen.whole and len(kept) == len([piece for piece in chosen.pieces if not _is_docstring(piece.node)]):
        return chosen.text.strip() + "\n"
    for piece in dropped:
        problems.append(_why_dropped(piece, entry_point))
    return _join(sorted(kept.values(), key=lambda piece: order[id(piece)]))


def _why_dropped(piece: _Piece, entry_point: str) -> str:
    if piece.is_import:
        return "dropped stray imports"
    if entry_point in piece.binds:
        return "kept the last of several definitions"
    if _is_main(piece.node):
        return "dropped the main block"
    if _is_test(piece.node) or isinstance(piece.node, ast.Assert):
        return "dropped tests"
    return "dropped code that the entry point does not use"


def _join(pieces: Iterable[_Piece]) -> str:
    """Pieces as a module: imports first, then definitions two lines apart."""
    pieces = list(pieces)
    future = [piece for piece in pieces if isinstance(piece.node, ast.ImportFrom) and piece.node.module == "__future__"]
    imports = [piece for piece in pieces if piece.is_import and piece not in future]
    rest = [piece for piece in pieces if not piece.is_import]
    head = "\n".join(dict.fromkeys(piece.source for piece in (*future, *imports)))
    body = ""
    for piece in rest:
        defines = isinstance(piece.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        body += ("\n\n\n" if defines and body else "\n" if body else "") + piece.source
    gap = "\n\n\n" if body.startswith(("def ", "async def ", "class ", "@")) else "\n\n"
    return gap.join(part for part in (head, body) if part) + "\n"


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


def _is_test(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or any("TestCase" in ast.unparse(base) for base in node.bases)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_star_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module == "__future__" or node.names[0].name == "*")


def _is_setting(node: ast.stmt) -> bool:
    """The one call at module level that programs depend on."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "sys.setrecursionlimit"
    )


def _continue_stub(sources: Sequence[_Source], stub: _Stub) -> _Source | None:
    """The answer is the body alone: put it under the head that the prompt gives."""
    if stub.function is None:
        return None
    name = stub.function.name
    for source in reversed(sources):
        lines = source.text.strip("\n").split("\n")
        first_apart = [lines[0].strip(), *textwrap.dedent("\n".join(lines[1:])).split("\n")]
        for body in ("\n".join(lines), "\n".join(first_apart)):
            # Prose after the body is no part of it: the longest beginning that parses counts.
            body_lines = body.split("\n")
            for end in range(len(body_lines), 0, -1):
                whole = f"{stub.head}\n{textwrap.indent(chr(10).join(body_lines[:end]), '    ')}"
                if not _parses(whole):
                    continue
                candidate = _analyse(_Block(whole, "python", closed=True))
                functions = [piece.node for piece in candidate.defining(name)]
                if len(candidate.pieces) == 1 and any(_returns(function) for function in functions):
                    return candidate
                break
    return None


def _returns(function: ast.AST) -> bool:
    """Does the function itself return, not only one inside it?"""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    children = [child for child in ast.iter_child_nodes(function) if not isinstance(child, inner)]
    return any(isinstance(child, ast.Return) or _returns(child) for child in children)


def _unusable(sources: list[_Source], entry_point: str | None, stub: _Stub, problems: list[str]) -> Extraction:
    """Say why there is no code, by the closest thing to it."""
    problems = list(dict.fromkeys([*problems, *(problem for source in sources for problem in source.problems)]))
    name = entry_point or ""

    def refuse(reason: str, draft: str = "") -> Extraction:
        return Extraction(reason=reason, draft=draft, problems=tuple(problems))

    for source in reversed(sources):
        for broken in reversed(source.broken):
            if not re.search(rf"def[ \t]+{re.escape(name)}\b", broken.source):
                continue
            if _repeats(broken.source):
                return refuse("The answer repeats the same lines over and over.")
            if broken.at_end and _cut_off(broken.source, source.closed):
                return refuse("The answer is cut off before the function is complete.", broken.source)
            return refuse(f"The code does not parse: {broken.error}.", broken.source)
    pieces = [piece for source in sources for piece in source.pieces]
    if any(_is_empty(piece.node) for piece in pieces if name in piece.binds):
        return refuse("The answer repeats the stub without a body.")
    for piece in pieces:
        if isinstance(piece.node, ast.ClassDef):
            methods = [node.name for node in ast.walk(piece.node) if isinstance(node, ast.FunctionDef)]
            if name in methods:
                return refuse(
                    f"The answer defines `{name}` as a method of class `{piece.node.name}`, not as a function.", piece.source
                )
    defined = [piece for piece in pieces if isinstance(piece.node, ast.FunctionDef | ast.ClassDef) and not _is_test(piece.node)]
    if defined and name:
        found = ", ".join(f"`{next(iter(piece.binds))}`" for piece in defined if len(piece.binds) == 1)
        return refuse(f"The answer does not define `{name}`; it defines {found}.", "\n\n".join(piece.source for piece in defined))
    foreign = [source.tag for source in sources if source.tag in _FOREIGN and not source.pieces]
    if foreign:
        return refuse(f"The answer is not Python; its block is marked `{foreign[-1]}`.")
    for source in sources:
        if source.broken:
            return refuse(f"The code does not parse: {source.broken[-1].error}.", source.broken[-1].source)
    if pieces:
        wanted = f"define `{name}`" if name else "hold a program"
        return refuse(f"The answer does not {wanted}.", "\n".join(piece.source for piece in pieces))
    if any(source.tag for source in sources):
        return refuse("The block in the answer is not Python.")
    return refuse("The answer holds no code.")


def _cut_off(source: str, closed: bool | None) -> bool:
    """Does the error lie where the text ends, rather than inside it? A closed fence says that the model had finished."""
    if closed:
        return False
    try:
        _parse(source)
    except SyntaxError as exc:
        unfinished = ("never closed", "unterminated", "EOF", "expected an indented block")
        return (exc.lineno or 0) >= len(source.rstrip().split("\n")) or any(part in (exc.msg or "") for part in unfinished)
    return False


def _repeats(source: str) -> bool:
    """Does the text end in at least six turns of the same one to six lines?"""
    lines = [line.strip() for line in source.split("\n") if line.strip()]
    for period in range(1, 7):
        tail = lines[-1 - 6 * period : -1]
        turn = tail[:period]
        if len(tail) == 6 * period and sum(map(len, turn)) >= 8 and all(tail[i] == turn[i % period] for i in range(len(tail))):
            return True
    return False


# Statements -> tests


def _extract_tests(sources: list[_Source], entry_point: str | None, problems: list[str]) -> Extraction:
    pieces = [piece for source in sources for piece in (*source.pieces, *_begun_test(source))]
    for source in sources:
        problems.extend(source.problems)
        if source.broken:
            problems.append("dropped an unfinished tail" if source.broken[-1].at_end else "dropped what does not parse")
    tests = {id(piece): piece for piece in pieces if _is_test(piece.node)}
    if not tests:
        return _wrap_asserts(sources, pieces, entry_point, problems)
    latest = {next(iter(piece.binds), ""): piece for piece in tests.values()}
    kept = {id(piece): piece for piece in latest.values()}
    if len(kept) < len(tests):
        problems.append("kept the last of several definitions")
    wanted = [name for piece in kept.values() for name in piece.uses]
    wanted += [argument.arg for piece in kept.values() for argument in _arguments(piece.node)]
    resolved: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in resolved or name == entry_point:
            continue
        resolved.add(name)
        for piece in pieces:
            if name in piece.binds and id(piece) not in kept and not _is_main(piece.node):
                kept[id(piece)] = piece
                wanted.extend(piece.uses)
    return _tests_module([piece for piece in pieces if id(piece) in kept], pieces, entry_point, problems)


def _begun_test(source: _Source) -> list[_Piece]:
    """A test that the answer stops in, as far as it is whole: with an assertion less it is still a test."""
    last = source.broken[-1] if source.broken else None
    if last is None or not last.at_end or not _cut_off(last.source, source.closed):
        return []
    lines = last.source.split("\n")
    for end in range(len(lines) - 1, 1, -1):
        if _parses("\n".join(lines[:end])):
            return [piece for piece in _pieces("\n".join(lines[:end])) if _is_test(piece.node)]
    return []


def _arguments(node: ast.stmt) -> list[ast.arg]:
    """Arguments of test functions name fixtures."""
    functions = [item for item in ast.walk(node) if isinstance(item, ast.FunctionDef)]
    return [argument for function in functions for argument in function.args.args]


def _wrap_asserts(sources: list[_Source], pieces: list[_Piece], entry_point: str | None, problems: list[str]) -> Extraction:
    """Bare asserts at module level: they and what stands between them become one test."""
    if not any(isinstance(piece.node, ast.Assert) for piece in pieces):
        found = _unusable(sources, None, _Stub(), problems)
        reason = found.reason if not pieces else "The answer holds no test function."
        return found.model_copy(update={"reason": reason})
    outer = [
        piece
        for piece in pieces
        if piece.is_import or (isinstance(piece.node, ast.FunctionDef | ast.ClassDef) and entry_point not in piece.binds)
    ]
    inner = [
        piece.source
        for piece in pieces
        if piece not in outer and not _is_main(piece.node) and entry_point not in piece.binds and not _is_docstring(piece.node)
    ]
    problems.append("put bare asserts into a test function")
    source = "def test_examples():\n" + textwrap.indent("\n".join(inner), "    ")
    wrapped = list(_pieces(source))
    return _tests_module([*outer, *wrapped], pieces, entry_point, problems)


def _tests_module(kept: list[_Piece], pieces: list[_Piece], entry_point: str | None, problems: list[str]) -> Extraction:
    """Tests test the candidate: a copy of it, or an import of it from elsewhere, gives way to the import from `candidate`."""
    sources: list[_Piece] = []
    for piece in kept:
        if entry_point is not None and entry_point in piece.binds:
            continue
        sources.append(piece)
    if entry_point is not None:
        if any(entry_point in piece.binds and not piece.is_import for piece in pieces):
            problems.append("dropped the tests' own copy of the function")
        for piece in kept:
            # `from somewhere import loss, other` keeps nothing of `somewhere`: there is no such module in the sandbox.
            if entry_point in piece.binds and piece.is_import and len(piece.binds) > 1:
                problems.append("dropped names imported beside the function")
        imported = f"from {MODULE} import {entry_point}"
        sources = [*_pieces(imported), *sources]
    code = _join(sources)
    if not _parses(code):
        return Extraction(
            draft=code, reason="The tests do not parse once they are put together.", problems=tuple(dict.fromkeys(problems))
        )
    return Extraction(code=code, usable=True, problems=tuple(dict.fromkeys(problems)))
