"""Texts that may be code or the answer of a chat, and whole programs out of answers.

A recorded completion is what follows a prompt, or a program; many files hold what a chat said instead, fences and greeting
included. `is_answer` says which it is, so that the right one of the two readings is used, and the other is not guessed.

Left out: functions out of answers. `extraction` finds them.
"""

from __future__ import annotations

import json
import keyword
import re

from orchestrator.llm.extraction import Extraction, extract
from orchestrator.sources import parse

_FENCE = re.compile(r"^[ \t]*(?:[-*] )?(`{3,}|~{3,})([^`]*)$")
_MARK = re.compile(r"<\|\w+\|>|</?(?:think|thinking|thought|tool_call|answer|solution)>|\[/?(?:THINK|PYTHON|ANSWER)\]")
_WORD = re.compile(r"[\w'\u2019,.:;!?()`*/-]+")
_PYTHON = ("", "python", "python3", "py")


def is_answer(text: str, program: str) -> bool:
    """Whether a completion is the answer of a chat: the `program` that it makes as it stands does not parse, and the text has a
    fence, a mark of a chat, or begins or ends with a sentence; or it is JSON.

    Code that does not parse and shows none of these stays what it is: wrong, and not ours to mend.
    """
    if _is_json(text):
        return True
    if _parses(program):
        return False
    lines = text.split("\n")
    said = [line.rstrip() for line in lines if line.strip()]
    prose = bool(said) and (_is_sentence(said[0]) or (_is_sentence(said[-1]) and said[-1].endswith((".", "!", ":"))))
    return prose or any(map(_FENCE.match, lines)) or bool(_MARK.search(text))


def extract_program(text: str) -> Extraction:
    """A whole program out of an answer: nothing of it is dropped, for what it does at its top level is what is asked for.

    The last fenced block of Python that parses, or the text itself if it does. Where there is neither, what `extract` finds.
    """
    blocks = [block for tag, block in _blocks(_said(text)) if tag in _PYTHON]
    found = next((block for block in reversed(blocks) if block.strip() and _parses(block)), "")
    if not found and not blocks and _parses(_said(text)) and not _is_json(text):
        found = _said(text)
    return Extraction(code=found, usable=True) if found.strip() else extract(text)


def _said(text: str) -> str:
    """Without what was thought before."""
    return re.split(r"</(?:think|thinking|thought)>|\[/THINK\]", text.replace("\r\n", "\n"))[-1]


def _is_sentence(line: str) -> bool:
    """Three words or more from the first column on, and nothing that a line of Python begins with."""
    words = line.split()
    begins = line[:1].isalpha() and not keyword.iskeyword(words[0]) and words[0] != "print"
    return begins and len(words) >= 3 and all(map(_WORD.fullmatch, words))


def _blocks(text: str) -> list[tuple[str, str]]:
    """(tag, content) of each fenced block; one that is not closed ends with the text."""
    found: list[tuple[str, str]] = []
    fence, tag = "", ""
    body: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence and match and match[1].startswith(fence) and not match[2].strip():
            found.append((tag, "\n".join(body) + "\n"))
            fence, body = "", []
        elif fence:
            body.append(line)
        elif match:
            fence, tag = match[1], (match[2].split() or [""])[0].lower()
    return [*found, (tag, "\n".join(body).rstrip("\n") + "\n")] if fence else found


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] != "{":
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _parses(source: str) -> bool:
    try:
        return bool(parse(source).body)
    except SyntaxError:
        return False
