"""Typography that keeps code from parsing: curly quotes, entities, line numbers, diff marks, mixed tabs.

Each repair is tried only on text that does not parse, and is kept if it makes the text parse or look more like code.

Left out: repair of the program itself.
"""

from __future__ import annotations

import ast
import html
import re
import textwrap
from collections.abc import Callable

from orchestrator.llm.extraction.parsing import parses
from orchestrator.sources import imports

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


def repair(text: str, code_lines: Callable[[str], int]) -> tuple[str, list[str], bool]:
    """The text with the repairs that prove themselves, what they were, and whether it parses now.

    Args:
        code_lines: how many lines of a text look like code.
    """
    problems: list[str] = []
    for problem, change in _REPAIRS:
        changed = change(text)
        if changed == text:
            continue
        whole = parses(changed)
        # Typography is repaired in prose too, where it harms nothing; the other repairs must prove themselves.
        gained = code_lines(changed) - code_lines(text)
        if problem in _HARMLESS or gained > 0 or (whole and gained == 0):
            text = changed
            problems.append(problem)
            if whole:
                return text, problems, True
    return text, problems, False


def unescaped(text: str, tree: ast.Module) -> tuple[str, str]:
    """A text that parses, with its HTML entities resolved if they became names, and what was done.

    `a &lt; b` parses as `a & lt; b`: only then does an entity become a name that nothing defines.
    """
    if not re.search(r"&(?:lt|gt|amp|quot);", text):
        return text, ""
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    defined = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    defined |= {one.binds for one in imports(tree)}
    defined |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    if {node.id for node in names} & ({"lt", "gt", "amp", "quot"} - defined) and parses(html.unescape(text)):
        return html.unescape(text), "unescaped HTML entities"
    return text, ""


def _plain_spaces(text: str) -> str:
    return textwrap.dedent(text.translate(str.maketrans(_SPACES)))


def _plain_quotes(text: str) -> str:
    return text.translate(str.maketrans(_QUOTES))


def _without_tabs(width: int) -> Callable[[str], str]:
    """Tabs of the indentation as blanks; those in strings stay as they are."""

    def change(text: str) -> str:
        if "\t" not in text:
            return text
        lines: list[str] = []
        quote = ""
        for line in text.split("\n"):
            inner = line.lstrip(" \t")
            indent = line[: len(line) - len(inner)]
            lines.append(line if quote else indent.expandtabs(width) + inner)
            quote = _open_quote(line, quote)
        return textwrap.dedent("\n".join(lines))

    return change


_OPENS = re.compile(r"""(?P<triple>"{3}|'{3})|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\#.*""")
_ENDS = {quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}") for quote in ('"' * 3, "'" * 3)}


def _open_quote(line: str, quote: str) -> str:
    """The triple quote that is open behind a line; one in a comment or in a string of one line opens nothing.

    Args:
        quote: the one that is open before it, or nothing.
    """
    place = 0
    while place <= len(line):
        match = _ENDS[quote].match(line, place) if quote else _OPENS.search(line, place)
        if match is None:
            break
        quote = "" if quote else match["triple"] or ""
        place = match.end()
    return quote


_MARKS = re.compile(
    r"</?(?:think|thinking|thought|answer|solution|code|s|eos|end_of_turn)>|<[|\uff5c][\w/\u2581 ]{1,40}[|\uff5c]>"
)


_PROMPT = re.compile(r"^[ \t]*(?:>>>|In \[\d+\]:) ", re.MULTILINE)
_PROMPTED = re.compile(r"^[ \t]*(?:>>>|In \[\d+\]:|\.\.\.:?)(?: (.*))?$", re.MULTILINE)


def _without_marks(text: str) -> str:
    """Marks of a chat that stand inside a block, each at the end or the beginning of its line."""
    lines = []
    for line in text.split("\n"):
        match = _MARKS.search(line) if "<" in line else None
        at_edge = match is not None and (not line[: match.start()].strip() or not line[match.end() :].strip())
        lines.append(line[: match.start()] + line[match.end() :] if match is not None and at_edge else line)
    return "\n".join(lines)


def _without_escapes(text: str) -> str:
    """A whole program on one line with its line breaks written as backslash and n."""
    if "\n" in text.strip() or "\\n" not in text:
        return text
    return text.replace("\\r", "").replace("\\n", "\n").replace("\\t", "    ").replace('\\"', '"')


def _without_repl(text: str) -> str:
    # A definition without a prompt before it says that the prompts are those of its docstring.
    if not _PROMPT.search(text) or re.search(r"^[ \t]*(?:async def|def|class) ", text, re.MULTILINE):
        return text
    return "\n".join(match[1] or "" for match in _PROMPTED.finditer(text))


def _without_line_numbers(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    matches = [re.match(r"[ \t]*(\d{1,9})(?:[:.|)]|[ \t]*\||(?=[ \t]|$)) ?", line) for line in lines]
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
    kept = [re.sub(r"^> ?", "", line) for line in lines]
    return "\n".join(line for line in kept if not line.startswith("```"))


_REPAIRS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("replaced unusual blanks", _plain_spaces),
    ("replaced tabs in the indentation", _without_tabs(4)),
    ("replaced tabs in the indentation", _without_tabs(8)),
    ("replaced typographic quotes and dashes", _plain_quotes),
    ("dropped marks of the chat", _without_marks),
    ("unescaped HTML entities", html.unescape),
    ("unescaped line breaks", _without_escapes),
    ("dropped quotation marks of a mail", _without_quote_marks),
    ("dropped diff marks", _without_diff),
    ("dropped line numbers", _without_line_numbers),
    ("dropped interpreter prompts", _without_repl),
)
_HARMLESS = {"replaced unusual blanks", "replaced typographic quotes and dashes"}
