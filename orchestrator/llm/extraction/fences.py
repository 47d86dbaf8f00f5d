"""Fenced blocks of an answer, in order.

Fences are read as models write them: never closed, closed by another length, opened at the end of a line of prose, with code on
the line of the fence itself. A fence inside an open docstring is text. Each line is looked at once.

Left out: what the blocks hold (`sources`), and code in JSON and tool calls (`wrappers`).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Block:
    """Text between two fences."""

    body: str
    tag: str = ""
    closed: bool | None = None
    """None where there was no fence at all."""
    start: int = 0
    """Where the opening fence begins in the text."""
    end: int = 0
    """Where the closing fence ends, or the body of a block that has none."""


@dataclass(frozen=True)
class Fence:
    """A line with a fence."""

    mark: str
    info: str
    """What stands behind it."""
    before: str
    """What stands before it; blank for a fence at its place."""
    start: int
    """Offset of the mark in its line."""

    @property
    def opens(self) -> bool:
        """Does a language stand behind it? Inside a block that says that the block before was never closed."""
        return bool(self.info) and is_tag(self.info)

    @property
    def begins_block(self) -> bool:
        """Does it open a block where none is open? At the end of a line of prose it does: "Here it is:```python".

        A line of code that ends with one is the end of a block that was never opened.
        """
        before = self.before.strip()
        if not before:
            return True
        return self.opens or (not self.info and before.endswith(":") and not _CODE_HEAD.match(before))

    def closes(self, other: str) -> bool:
        """Does it end a block that `other` opened?"""
        if self.before.strip() and self.info:
            return False
        return self.mark[0] == other[0] and len(self.mark) >= len(other) and not self.opens


_TAG = re.compile(r"""[\w+#.-]*(?:[ \t]*\{.*\}|(?:[ \t]+\w+=(?:"[^"]*"|'[^']*'|\S+))+|:\S+|[ \t]+\S+\.py)?""")
_LONGEST_TAG = 200
_AT_PLACE = re.compile(r"[ \t]*(?:(?:[-*]|\d+[.)]) )?(`{3,}|~{3,})")
_WITHIN = re.compile(r"```+")
_CODE_HEAD = re.compile(r"(?:async|def|class|if|for|while|else|elif|with|try|except|finally|match|case)\b")


def is_tag(info: str) -> bool:
    """Is this a language, with or without attributes?"""
    return len(info) <= _LONGEST_TAG and _TAG.fullmatch(info) is not None


def fence_of(line: str) -> Fence | None:
    """The fence at the beginning of a line."""
    match = _AT_PLACE.match(line)
    if match is None:
        return None
    return Fence(match[1], line[match.end() :].strip(), "", match.start(1))


def fence_within(line: str) -> Fence | None:
    """The last fence of a line that does not begin with one, where the marks before it are paired."""
    if "```" not in line:
        return None
    marks = list(_WITHIN.finditer(line))
    if len(marks) % 2 == 0:
        return None
    last = marks[-1]
    return Fence(last[0], line[last.end() :].strip(), line[: last.start()], last.start())


@dataclass
class _Scan:
    """Where a scan of the lines stands."""

    blocks: list[Block] = field(default_factory=list)
    body: list[str] | None = None
    mark: str = ""
    tag: str = ""
    start: int = 0
    quotes: dict[str, int] = field(default_factory=dict)
    """How often each triple quote stands in the body."""

    def open(self, fence: Fence, start: int) -> None:
        self.body, self.mark, self.start, self.quotes = [], fence.mark, start, {}
        self.tag = re.split(r"[ \t{:]", fence.info, maxsplit=1)[0].lower()

    def add(self, line: str) -> None:
        assert self.body is not None
        self.body.append(line)
        for quote in ('"""', "'''"):
            self.quotes[quote] = self.quotes.get(quote, 0) + line.count(quote)

    def close(self, end: int, *, closed: bool) -> None:
        if self.body is not None and any(line.strip() for line in self.body):
            self.blocks.append(Block("\n".join(self.body), self.tag, closed=closed, start=self.start, end=end))
        self.body = None

    @property
    def in_docstring(self) -> bool:
        return any(count % 2 for count in self.quotes.values())


def blocks(text: str) -> list[Block]:
    """The fenced blocks of an answer, in order."""
    scan = _Scan()
    lines = text.split("\n")
    places = [(number, fence) for number, line in enumerate(lines) if (fence := fence_of(line)) is not None]
    after = 0
    offset = 0
    for number, line in enumerate(lines):
        while after < len(places) and places[after][0] <= number:
            after += 1
        if scan.body is None:
            _outside(scan, line, offset)
        else:
            _inside(scan, line, offset, places[after][1] if after < len(places) else None)
        offset += len(line) + 1
    scan.close(len(text), closed=False)
    return scan.blocks


def _outside(scan: _Scan, line: str, offset: int) -> None:
    fence = fence_of(line) or fence_within(line)
    if fence is None or not fence.begins_block:
        return
    scan.open(fence, offset + fence.start)
    if is_tag(fence.info):
        return
    # Code on the line of the fence itself.
    scan.tag = "python"
    margin = "" if fence.before.strip() else " " * fence.start
    first = margin + re.sub(r"^(?:python3?|py)[ \t]+", "", fence.info)
    if first.endswith(fence.mark):
        scan.add(first.removesuffix(fence.mark))
        scan.close(offset + len(line), closed=True)
    else:
        scan.add(first)


def _inside(scan: _Scan, line: str, offset: int, later: Fence | None) -> None:
    fence = fence_of(line) or fence_within(line)
    if fence is None or (scan.in_docstring and later is not None) or (later is not None and _is_remark(fence, later, scan.mark)):
        scan.add(line)
    elif fence.closes(scan.mark):
        if fence.before.strip():
            scan.add(fence.before)
        scan.close(offset + fence.start + len(fence.mark), closed=True)
    elif fence.opens and not fence.before.strip():
        scan.close(offset, closed=False)
        scan.open(fence, offset + fence.start)
    else:
        scan.add(line)


def _is_remark(fence: Fence, later: Fence, mark: str) -> bool:
    """A mark at the end of a comment, in a block that the next fence at its place closes."""
    return re.search(r"(?:^|\s)#", fence.before) is not None and later.closes(mark)


def without_fences(text: str) -> str:
    """The text without its fences, what they hold included: for code that stands outside of them or is cut in two."""
    kept: list[str] = []
    for line in text.split("\n"):
        if fence_of(line) is not None:
            continue
        within = fence_within(line)
        kept.append(within.before if within is not None and not within.info else line)
    return "\n".join(kept)


def indented(text: str) -> str:
    """The indented paragraphs of a text, each moved to the left: code as Markdown writes it without fences."""
    runs: list[list[str]] = []
    inside = False
    for line in text.split("\n"):
        if line[:1] in {" ", "\t"} and line.strip():
            if not inside:
                runs.append([])
            runs[-1].append(line)
            inside = True
        elif not line.strip() and inside:
            runs[-1].append("")
        else:
            inside = False
    return "\n".join(textwrap.dedent("\n".join(run)) for run in runs)


def gaps(text: str, found: Sequence[Block]) -> list[tuple[int, int]]:
    """What lies between the blocks: offsets, one more than there are blocks."""
    edges = [0, *(edge for block in found for edge in (block.start, block.end)), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))
