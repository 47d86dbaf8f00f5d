"""Thinking sections, channels, turns and end tokens: which parts of a completion are the answer.

`readings` gives the texts in which the answer may stand, the best first:

- the final channel, where there are channels; a channel of analysis is thinking;
- what follows the last closing mark that nothing opened; what stood before it comes next, since such a mark may be a stray one;
- else all that is neither thinking nor somebody else's turn, up to the end token.

A mark counts outside of closed fences, strings and inline code, and at its place: an opening mark or a header at the beginning
or the end of its line (or beside another mark), an end token of plain brackets at the end of its line.

Left out: what the texts hold.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from orchestrator.llm.extraction.fences import Fence, fence_of, fence_within

MOST_READINGS = 32
"""How many texts are tried: a completion of nothing but closing marks is still one completion."""


class _Kind(Enum):
    OPEN = auto()
    CLOSE = auto()
    END = auto()
    HEADER = auto()
    CHANNEL = auto()
    NOTHING = auto()
    """A token that means nothing here, such as the beginning of a text."""


_THOUGHT = r"(?:antthinking|think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)"
_P, _Q = "<[|\uff5c]", "[|\uff5c]>"
_ROLE = r"(?P<{0}>assistant|model|bot|ai|user|human|system|developer|tool|ipython|environment|observation)"
_MARK = re.compile(
    rf"""
    (?P<close></(?:\w{{1,20}}[:_])?{_THOUGHT}> | \[/THINK\] | \u25c1/think\u25b7 | <channel\|>
        | {_P}(?:/{_THOUGHT}|end_of_{_THOUGHT}|end_{_THOUGHT}|{_THOUGHT}_end){_Q})
    | (?P<open><(?:\w{{1,20}}[:_])?{_THOUGHT}(?:[ ][^<>\n]{{0,80}})?> | \[THINK\] | \u25c1think\u25b7
        | <\|channel>[ \t]*(?:thought|thinking|analysis)\b
        | {_P}(?:{_THOUGHT}|begin_of_{_THOUGHT}|start_{_THOUGHT}|{_THOUGHT}_start){_Q})
    | (?P<channel><\|channel[|]?>[ \t]*(?P<name>\w{{1,20}})[^<\n]{{0,200}}(?:<\|constrain\|>[^<\n]{{0,80}})?
        (?:<\|message\|>|(?=\n)))
    | (?P<header>
        {_P}(?:im_start|start_header_id|header_start|start_of_role|role_start|start|turn){_Q}
            [ \t]*{_ROLE.format("one")}\b(?:[ ]to=[\w.]{{1,80}})?
            (?:\s{{0,4}}{_P}(?:end_header_id|header_end|end_of_role|role_end|message){_Q})?
        | <(?:start_of_turn|\|turn)>[ \t]*{_ROLE.format("two")}\b
        | {_P}(?:im_)?{_ROLE.format("three")}{_Q}(?:\w{{0,20}}<\|im_middle\|>)?
        | ^(?P<four>assistant):[ \t]*(?=(?:async[ ]def|def|class|from|import)[ ]|@\w|```)
        | \[(?P<inst>/?)INST\] | (?<=\n)\#\#\#[ ]Instruction:[ \t]*(?=\n))
    | (?P<end>{_P}(?:\w{{0,20}}end\w{{0,20}}|end\u2581of\u2581sentence|eot_id|eot|eom_id|eos|return|call){_Q} | <turn\|>
        | (?P<plain></s>|<end_of_turn>|<eos>))
    | (?P<nothing>{_P}[A-Za-z][\w\u2581]{{0,40}}{_Q} | <s>(?=\s|<) | <bos>)
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(
    r"""(?<!`)`(?!`)[^`\n]+`(?!`)|(?<!`)``(?!`)[^`\n]+``(?!`)"""
    r"""|(?<!\w)[rbfuRBFU]{0,2}(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_TRIPLE = re.compile(r'"""|' + "'''")
_ASSISTANT = {"assistant", "model", "bot", "ai"}
_FINAL = {"final", "response", "answer"}
_THINKING = {"analysis", "thought", "thinking", "reasoning"}


@dataclass(frozen=True)
class _Mark:
    kind: _Kind
    start: int
    end: int
    name: str = ""
    """The role or the channel."""
    plain: bool = False


@dataclass
class Readings:
    """Where the answer may stand."""

    texts: list[str]
    """The best first; none is blank."""
    problems: list[str]
    unfinished: bool = False
    """The completion stops inside a thinking section."""
    thought: bool = False
    """It holds a thinking section."""


def has_mark(text: str) -> bool:
    """Does any mark stand in the text, at its place or not?"""
    return _MARK.search(text) is not None


def readings(text: str) -> Readings:
    """The texts in which the answer may stand, the best first."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if _BARE_CHANNELS.match(text):
        _, final, text = text.rpartition("assistantfinal")
        if not final:
            return Readings([], [], unfinished=True, thought=True)
    if (end := _BARE_END.search(text)) and text.count("EOS") == 1:
        text = text[: end.start()]
    turn = _Turn()
    position = 0
    for mark in _counted(text, turn):
        turn.add(text[position : mark.start])
        turn.take(mark)
        position = mark.end
        if turn.over:
            break
    else:
        turn.add(text[position:])
    return turn.readings()


_BARE_CHANNELS = re.compile(r"\s*analysis(?=[A-Z])")
"""Channels whose special tokens a server took away: `analysisWe need ...assistantfinal...`."""


_BARE_END = re.compile(r"\[EOS\]\s*\Z")
"""An end token that is Python as well: an index, in a program that has the name elsewhere."""


@dataclass
class _Turn:
    """The model's own turn, part by part."""

    parts: list[list[str]] = field(default_factory=lambda: [[]])
    """Divided by closing marks that nothing opened."""
    finals: list[list[str]] = field(default_factory=list)
    asides: list[list[str]] = field(default_factory=list)
    """Channels that are neither final nor thinking: calls of tools."""
    into: list[str] | None = field(default_factory=list)
    """Where text goes; None where it is dropped."""
    thinking: bool = False
    ended: bool = False
    over: bool = False
    problems: list[str] = field(default_factory=list)
    unfinished: bool = False

    def __post_init__(self) -> None:
        self.into = self.parts[-1]

    said: bool = False
    """Something that is not a blank was kept."""
    said_here: bool = False
    """And it was kept since the last closing mark that nothing opened."""

    def add(self, text: str) -> None:
        if self.into is not None and text.strip():
            self.into.append(text)
            self.said = self.said_here = True

    def take(self, mark: _Mark) -> None:
        if mark.kind is _Kind.OPEN:
            self._think()
        elif mark.kind is _Kind.CLOSE:
            self._close()
        elif mark.kind is _Kind.END:
            self._end()
        elif mark.kind is _Kind.HEADER:
            self._header(mark.name)
        elif mark.kind is _Kind.CHANNEL:
            self._channel(mark.name)

    def _think(self) -> None:
        self.thinking, self.into = True, None
        self.problems.append("dropped a thinking section")

    def _close(self) -> None:
        if self.thinking:
            self.thinking = False
            self.into = self.parts[-1]
        else:
            if self.said_here:
                self.problems.append("dropped a thinking section")
                self.parts.append([])
            self.said_here = False
            self.into = self.parts[-1]

    def _end(self) -> None:
        """Behind the end only another message of the same turn counts, unless nothing was said yet."""
        self.unfinished |= self.thinking
        self.thinking, self.ended = False, True
        if self.said:
            self.into = None

    def _header(self, role: str) -> None:
        self.unfinished |= self.thinking and not self.ended
        self.thinking = False
        if role in _ASSISTANT:
            self.into, self.ended = self.parts[-1], False
        elif self.said:
            self.over = True
        else:
            self.into = None

    def _channel(self, name: str) -> None:
        self.ended = False
        if name in _THINKING:
            self._think()
            return
        self.thinking = self.unfinished = False
        kind = self.finals if name in _FINAL else self.asides
        kind.append([])
        self.into = kind[-1]

    def readings(self) -> Readings:
        ordered = [*reversed(self.finals), *reversed(self.parts), *reversed(self.asides)]
        texts = ["\n".join(part).strip("\n") for part in ordered]
        return Readings(
            [text for text in texts if text.strip()][:MOST_READINGS],
            list(dict.fromkeys(self.problems)),
            unfinished=self.thinking or self.unfinished,
            thought=bool(self.problems),
        )


# Which marks count


@dataclass
class _Fences:
    """The state of the fences at a place of the text, moved forward mark by mark."""

    lines: list[tuple[int, Fence]]
    """Offsets and fences, in order."""
    triples: list[tuple[int, str]]
    """Offsets of triple quotes, in order."""
    last: dict[str, int]
    """Where in `triples` each quote stands for the last time."""
    next_line: int = 0
    next_triple: int = 0
    open: Fence | None = None
    quote: str = ""

    def forward(self, place: int, *, quotes: bool) -> None:
        while True:
            line = self.lines[self.next_line][0] if self.next_line < len(self.lines) else place
            triple = self.triples[self.next_triple][0] if self.next_triple < len(self.triples) else place
            if min(line, triple) >= place:
                return
            if line <= triple:
                self._pass(self.lines[self.next_line][1])
                self.next_line += 1
            else:
                found = self.triples[self.next_triple][1]
                if quotes:
                    self.quote = "" if self.quote == found else self.quote or found
                self.next_triple += 1

    def _pass(self, fence: Fence) -> None:
        if self.open is not None and self.quote and self.next_line + 1 < len(self.lines):
            return
        if self.open is None:
            self.open = fence if fence.begins_block else None
        elif fence.closes(self.open.mark):
            self.open = None
        elif fence.opens:
            self.open = fence
        self.quote = ""

    @property
    def closed_later(self) -> bool:
        """Is the place inside a block that is closed further on?"""
        return (
            self.open is not None
            and self.next_line < len(self.lines)
            and (bool(self.quote) or self.lines[self.next_line][1].closes(self.open.mark))
        )

    @property
    def quoted(self) -> bool:
        """Is the place inside a triple-quoted string that ends further on?"""
        return bool(self.quote) and self.last[self.quote] >= self.next_triple


def _counted(text: str, turn: _Turn) -> Iterator[_Mark]:
    """The marks that count, in order. What the turn makes of one decides what counts next: thinking is prose."""
    marks = list(_marks(text))
    if not marks:
        return
    fences = _fences(text)
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    starts = [start for start, _ in quoted]
    lone = _lone_closers(text, marks)
    index, before, rescued = 0, -1, -1
    while index < len(marks):
        mark = marks[index]
        fences.forward(mark.start, quotes=not turn.thinking)
        span = bisect_right(starts, mark.start) - 1
        in_string = (span >= 0 and quoted[span][1] >= mark.end) or (fences.quoted and not turn.thinking)
        fenced = fences.closed_later and not (turn.thinking and mark.name in _FINAL)
        counts = not in_string and not fenced and _at_place(text, mark, before, turn)
        if turn.thinking and mark.kind is _Kind.CLOSE and not counts and index in lone and index > rescued:
            # Only where no later mark closes the section: a fence in it that was never closed took this one in.
            counts = not any(_may_close(text, later, quoted, starts) for later in marks[index + 1 :])
            rescued = len(marks)
        if turn.thinking and counts and mark.kind in {_Kind.OPEN, _Kind.NOTHING}:
            counts = False
        if counts:
            fences.open, fences.quote = None, ""
            before = mark.end
            yield mark
        index += 1


def _lone_closers(text: str, marks: list[_Mark]) -> set[int]:
    """Closing marks that stand alone on their lines."""
    return {
        index
        for index, mark in enumerate(marks)
        if mark.kind is _Kind.CLOSE and not _line_before(text, mark.start).strip() and not _line_after(text, mark.end).strip()
    }


def _may_close(text: str, mark: _Mark, quoted: list[tuple[int, int]], starts: list[int]) -> bool:
    if mark.kind is not _Kind.CLOSE:
        return False
    span = bisect_right(starts, mark.start) - 1
    return not (span >= 0 and quoted[span][1] >= mark.end)


_NEAR = 400
"""Characters of a line that are looked at on each side of a mark."""


def _line_before(text: str, place: int) -> str:
    return text[max(text.rfind("\n", max(0, place - _NEAR), place) + 1, place - _NEAR) : place]


def _line_after(text: str, place: int) -> str:
    end = text.find("\n", place, place + _NEAR)
    return text[place : end if end >= 0 else place + _NEAR]


def _at_place(text: str, mark: _Mark, before: int, turn: _Turn) -> bool:
    """Does the mark stand where a model or a server writes one?

    Args:
        before: where the mark before it ends.
    """
    ahead, behind = _line_before(text, mark.start), _line_after(text, mark.end)
    beside = mark.start - before < _NEAR and not text[max(before, 0) : mark.start].strip()
    begins = not ahead.strip() or beside
    ends = not behind.strip() or behind.lstrip().startswith("<")
    if mark.kind is _Kind.OPEN:
        # `x[THINK]` is an index.
        return begins or (not behind.strip() and text[mark.start] != "[" and not _is_comment(ahead))
    if mark.kind in {_Kind.HEADER, _Kind.CHANNEL}:
        return begins or (mark.name in _FINAL and turn.thinking) or (mark.name in _ASSISTANT and turn.into is None)
    if mark.kind is _Kind.CLOSE:
        return turn.thinking or not _is_comment(ahead)
    if mark.plain:
        return ends and (not turn.thinking or not _line_after(text, mark.end + 1).strip())
    return not _is_comment(ahead) or ends


def _is_comment(ahead: str) -> bool:
    return re.search(r"(?:^|\s)#", ahead) is not None


def _marks(text: str) -> Iterator[_Mark]:
    for match in _MARK.finditer(text):
        groups = match.groupdict()
        if groups["open"]:
            kind, name = _Kind.OPEN, ""
        elif groups["close"]:
            kind, name = _Kind.CLOSE, ""
        elif groups["channel"]:
            kind, name = _Kind.CHANNEL, groups["name"].lower()
        elif groups["header"]:
            role = groups["one"] or groups["two"] or groups["three"] or groups["four"]
            kind, name = _Kind.HEADER, role.lower() if role else "assistant" if groups["inst"] else "user"
        elif groups["end"]:
            kind, name = _Kind.END, ""
        else:
            kind, name = _Kind.NOTHING, ""
        yield _Mark(kind, match.start(), match.end(), name, plain=bool(groups["plain"]))


def _fences(text: str) -> _Fences:
    lines: list[tuple[int, Fence]] = []
    offset = 0
    for line in text.split("\n"):
        fence = fence_of(line) or fence_within(line)
        if fence is not None:
            lines.append((offset + fence.start, fence))
        offset += len(line) + 1
    triples = [(match.start(), match[0]) for match in _TRIPLE.finditer(text)]
    return _Fences(lines, triples, {quote: index for index, (_, quote) in enumerate(triples)})
