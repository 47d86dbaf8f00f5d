"""Code inside JSON and tool calls.

A model that was given tools, or asked to answer in JSON, writes its code as a string of a JSON object or as the parameter of
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
_TAGS = re.compile(
    r"^(?:[ \t]*(?:</?(?:code|python|answer|solution|pre)>|\[/?(?:PYTHON|CODE|ANSWER)\]|<!\[CDATA\[|\]\]>))+[ \t]*$", re.MULTILINE
)
_PRE = re.compile(r"^[ \t]*<pre\b[^<>\n]{0,80}>(?:<code\b[^<>\n]{0,80}>)?[ \t]*\n?", re.MULTILINE)
_PRE_ENDS = re.compile(r"\n?(?:</code>)?</pre>[ \t]*$", re.MULTILINE)
"""HTML, whose first line of code may stand beside the tags."""
_CUT = re.compile(rf'"(?:{_KEY})"[ \t\n]*:[ \t\n]*"')


def blocks(text: str, problems: list[str]) -> list[Block]:
    """The blocks of an answer, those inside JSON and tool calls included."""
    if "```" not in text and "~~~" not in text:
        fenced = _TAGS.sub("```", _PRE_ENDS.sub("\n```", _PRE.sub("```\n", text)))
        if fenced != text and not is_program(text):
            text = fenced
            problems.append("unwrapped tags")
    elif is_program(text):
        return [Block(text)]
    result: list[Block] = []
    after = 0
    for start, end, code in _parameters(text):
        problems.append("unwrapped a tool call")
        result += [*_between(text[after:start], problems), *_inner(code)]
        after = end
    return [*result, *_between(text[after:], problems)]


def is_program(text: str) -> bool:
    """Is this Python as it stands, so that its marks are parts of strings or comments? JSON is a mere value of Python's."""
    try:
        return any(not isinstance(node, ast.Expr) for node in parse(text).body)
    except SyntaxError:
        return False


def _between(text: str, problems: list[str]) -> list[Block]:
    """The blocks of a text without parameters of calls."""
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
    begin = text.lstrip()[:1]
    if begin == '"' and isinstance(whole := _json(text), str):
        codes = [whole]
    elif "{" in text or "[" in text:
        codes = list(_json_codes(text)) or (_codes(_literal(text.strip())) if begin == "{" else [])
        if not codes and (rest := _cut_off(text)):
            problems.append("unwrapped JSON")
            return [Block(rest, closed=False)]
    else:
        codes = []
    if codes:
        problems.append("unwrapped JSON" if begin in {"{", "[", '"'} else "unwrapped a tool call")
    return [block for code in codes for block in _inner(code)]


def _inner(code: str) -> list[Block]:
    code = code.strip().removeprefix("<![CDATA[").removesuffix("]]>") if "<![CDATA[" in code else code
    return ([] if "```" not in code or is_program(code) else fences.blocks(code)) or [Block(code, closed=True)]


def _json_codes(text: str) -> Iterator[str]:
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
        yield from _codes(value)


def _cut_off(text: str) -> str:
    """The code that the last string of an unfinished JSON value holds so far."""
    keys = list(_CUT.finditer(text))
    rest = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?\Z", "", text[keys[-1].end() :]) if keys else ""
    found = _json(f'"{rest}"') if rest else None
    return found if isinstance(found, str) else ""


def _parameters(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the parameters of calls begin and end, and the code in them; fences in it are its own.

    A parameter inside a block of something else than calls is part of a string there.
    """
    after = place = 0
    found = fences.blocks(text) if _PARAMETER.search(text) else []
    for match in _PARAMETER.finditer(text):
        if match.start() < after:
            continue
        while place < len(found) and (found[place].end <= match.start() or found[place].start < after):
            place += 1
        if place < len(found) and found[place].start < match.start() and not found[place].body.lstrip().startswith("<"):
            continue
        ends = _PARAMETER_ENDS.search(text, match.end())
        after = ends.end() if ends else len(text)
        yield match.start(), after, text[match.end() : ends.start() if ends else len(text)].removeprefix("\n")


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
