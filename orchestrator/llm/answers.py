"""Texts that may be code or the answer of a chat.

A recorded completion is what follows a prompt, or a program; many files hold what a chat said instead, fences and greeting
included. `is_answer` says which it is, so that the right one of the two readings is used, and the other is not guessed.

Left out: the code in answers. `extraction` finds it.
"""

from __future__ import annotations

import json
import keyword
import re

from orchestrator.llm.extraction.fences import fence_of
from orchestrator.llm.extraction.marks import has_mark
from orchestrator.sources import is_python

_TAG = re.compile(r"</?(?:tool_call|answer|solution|function_calls|invoke|function=\w+)\b|\[/?(?:PYTHON|ANSWER|TOOL_CALLS)\]")
_WORD = re.compile(r"[\w'\u2019,.:;!?()`*/-]+")


def is_answer(text: str, program: str) -> bool:
    """Whether a completion is the answer of a chat: the `program` that it makes as it stands does not parse, and the text has a
    fence, a mark of a chat, or begins or ends with a sentence; or it is JSON.

    Code that does not parse and shows none of these stays what it is: wrong, and not ours to mend.
    """
    if _is_json(text):
        return True
    if is_python(program):
        return False
    lines = text.split("\n")
    said = [line.rstrip() for line in lines if line.strip()]
    prose = bool(said) and (_is_sentence(said[0]) or (_is_sentence(said[-1]) and said[-1].endswith((".", "!", ":"))))
    return prose or any(map(fence_of, lines)) or has_mark(text) or bool(_TAG.search(text))


def _is_sentence(line: str) -> bool:
    """Three words or more from the first column on, and nothing that a line of Python begins with."""
    words = line.split()
    begins = line[:1].isalpha() and not keyword.iskeyword(words[0]) and words[0] != "print"
    return begins and len(words) >= 3 and all(map(_WORD.fullmatch, words))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        found = json.loads(text)
        return isinstance(found, dict) or (bool(found) and all(isinstance(item, dict) for item in found))
    except (ValueError, RecursionError):
        return False
