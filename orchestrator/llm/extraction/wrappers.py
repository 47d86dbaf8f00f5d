"""Code inside JSON and tool calls.

A model that was given tools, or told to answer in JSON, writes its code as a string of a JSON object or as the parameter of
a call. Such a string is a block like any other, at the place where the object stands.

Left out: Python that calls a tool with its code as an argument.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.llm.extraction import fences
from orchestrator.llm.extraction.fences import Block
from orchestrator.llm.extraction.parsing import parse

_CODE_KEYS = (
    "code",
    "solution",
    "answer",
    "python",
    "function",
    "tests",
    "source",
    "source_code",
    "python_code",
    "program",
    "script",
    "implementation",
    "file_text",
    "content",
    "completion",
    "cmd",
    "input",
    "text",
)
_RANK = {key: rank for rank, key in enumerate(_CODE_KEYS)}
_KEY = "|".join(_CODE_KEYS)
_ATTEMPTS = 16
"""How many places of a text are read as JSON: each may be read to the end of the text before it turns out to be none."""
_MOST_VALUES = 10_000
_JSON_START = re.compile(r"(?:^[ \t]*|(?<=[>\]\w:])[ \t]*)(?=[{[][ \t\n]*[{\"\[])", re.MULTILINE)
_PARAMETER = re.compile(
    rf"<parameter=(?:{_KEY})>|<(?:\w+:)?parameter name=[\"'](?:{_KEY})[\"'][^<>\n]{{0,80}}>"
    rf"|<arg_key>\s{{0,4}}(?:{_KEY})\s{{0,4}}</arg_key>\s{{0,8}}<arg_value>"
)
_PARAMETER_ENDS = re.compile(r"\n?</(?:\w+:)?(?:parameter|arg_value)>")
_TAGS = re.compile(r"^[ \t]*(?:</?(?:code|python|answer|solution|pre)>|\[/?(?:PYTHON|CODE|ANSWER)\])[ \t]*$", re.MULTILINE)


def blocks(text: str, problems: list[str]) -> list[Block]:
    """The blocks of an answer, those inside JSON and tool calls included."""
    if "```" not in text and "~~~" not in text:
        text, count = _TAGS.subn("```", text)
        if count:
            problems.append("unwrapped tags")
    found = fences.blocks(text)
    result: list[Block] = []
    for number, (start, end) in enumerate(fences.gaps(text, found)):
        result += _loose(text[start:end], problems)
        if number < len(found):
            result += _unwrapped(found[number], problems)
    return result


def _unwrapped(block: Block, problems: list[str]) -> list[Block]:
    """The block itself, or what the JSON in it holds."""
    body = block.body.strip()
    if not body.startswith(("{", "[", "<")):
        return [block]
    inner = _loose(body, problems)
    if not inner and body[0] != "<":
        inner = [found for code in _codes(_literal(body)) for found in _inner(code)]
        if inner:
            problems.append("unwrapped JSON")
    return inner or [block]


def _loose(text: str, problems: list[str]) -> list[Block]:
    """Code in the JSON objects and parameters of a text without fences."""
    if "{" not in text and "[" not in text and "<" not in text:
        return []
    spans = [*_json_spans(text), *_parameter_spans(text)]
    if not spans and text.strip()[:1] == "{":
        spans = [(0, code) for code in _codes(_literal(text.strip()))]
    if spans:
        problems.append("unwrapped JSON" if text.strip()[:1] in {"{", "["} else "unwrapped a tool call")
    return [block for _, code in sorted(spans, key=lambda span: span[0]) for block in _inner(code)]


def _inner(code: str) -> list[Block]:
    return fences.blocks(code) or [Block(code, closed=True)]


def _json_spans(text: str) -> Iterator[tuple[int, str]]:
    decoder = json.JSONDecoder(strict=False)
    after = 0
    attempts = 0
    for match in _JSON_START.finditer(text):
        if match.end() < after:
            continue
        attempts += 1
        if attempts > _ATTEMPTS:
            return
        try:
            value, after = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        for code in _codes(value):
            yield match.end(), code


def _parameter_spans(text: str) -> Iterator[tuple[int, str]]:
    after = 0
    for match in _PARAMETER.finditer(text):
        if match.start() < after:
            continue
        ends = _PARAMETER_ENDS.search(text, match.end())
        after = ends.end() if ends else len(text)
        yield match.start(), text[match.end() : ends.start() if ends else len(text)].removeprefix("\n")


def _literal(text: str) -> Any:
    """The value of a dictionary written as Python writes it, or None."""
    try:
        tree = parse(text)
        return ast.literal_eval(tree.body[0].value) if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _codes(value: Any) -> list[str]:
    """The strings of a JSON value that hold code: those under the first of the usual keys, else those that define something."""
    if not isinstance(value, dict | list):
        return []
    texts: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting and len(texts) < _MOST_VALUES:
        key, item = waiting.pop()
        if isinstance(item, str):
            # A tool call gives its arguments as JSON inside JSON.
            inner = _json(item) if item.lstrip()[:1] == "{" else None
            if isinstance(inner, dict):
                waiting.append((key, inner))
            else:
                texts.append((key, item))
        elif isinstance(item, dict):
            waiting += [(str(name).lower(), part) for name, part in reversed(item.items())]
        elif isinstance(item, list):
            if item and all(isinstance(part, str) for part in item):
                texts.append((key, ("" if item[0].endswith("\n") else "\n").join(item)))
            else:
                waiting += [(key, part) for part in reversed(item)]
    defining = [(key, text) for key, text in texts if re.search(r"^[ \t]*(?:async def|def|class)\b", text, re.MULTILINE)]
    chosen = [(key, text) for key, text in defining if key in _RANK] or [(key, text) for key, text in texts if key in _RANK]
    if not chosen:
        return [text for _, text in defining]
    best = min(_RANK[key] for key, _ in chosen)
    return [text for key, text in chosen if _RANK[key] == best]


def _json(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
