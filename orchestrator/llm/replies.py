"""What model servers answer, read without trust: whole answers, events of streams, and errors in either.

Servers agree on where a text lies, and on little else: it may come in parts, its reasoning in a field of its own, code as the
argument of a tool call, an error under any status. What is missing or odd beside the text (usage, log probabilities) is left
out; where the text itself cannot be read, the answer is a ValueError.

Left out: how the values come here (`wire.py`), and what an error means for the caller (`client.py`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.llm.dialects import finish_reason
from orchestrator.types import Completion, Usage

Object = Mapping[str, Any]

REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields for what the model thinks: DeepSeek, vLLM, SGLang and llama.cpp; newer vLLM, OpenRouter, Groq; Ollama's own; and
OpenRouter's, in parts."""


# -- texts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A piece of a tool call; in a stream its arguments come bit by bit."""

    place: int
    name: str
    arguments: str


@dataclass(frozen=True)
class Piece:
    """What one event of a stream adds, or one choice of a whole answer is."""

    place: int | None = 0
    """Which of the answers it belongs to, by the server's count; None for counts, which belong to the first."""
    text: str = ""
    whole: str | None = None
    """All of the text, where the server says so at its end."""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    reason: str = ""
    usage: Usage | None = None
    logprobs: tuple[float, ...] | None = None


def pieces(payload: object) -> list[Piece]:
    """The choices in a chat's answer, a text's continuation, or an event of either; none in events that count or prepare.

    Raises:
        ValueError: it is no such thing.
    """
    body = _object(payload)
    choices = body.get("choices")
    if not isinstance(choices, list | None):
        raise ValueError(f"choices are {_short(choices)}")
    usage = _usage(body.get("usage"), "prompt_tokens", "completion_tokens")
    objects = [_object(choice) for choice in choices or ()]
    places = _places(objects)
    found = [
        _choice(choice, place, usage if place == min(places) else None) for place, choice in zip(places, objects, strict=True)
    ]
    return found or ([Piece(place=None, usage=usage)] if usage is not None else [])


def _places(choices: Sequence[Object]) -> list[int]:
    """By the choices' own indices: a stream may begin with any of them. Where these do not tell them apart, by position."""
    given = [choice.get("index") for choice in choices]
    indices = [index for index in given if type(index) is int]
    return indices if len(set(indices)) == len(choices) else list(range(len(choices)))


def generated(payload: object) -> list[Piece]:
    """One token of TGI's `/generate_stream`; the last has the whole text and the counts.

    Raises:
        ValueError: it is no such thing.
    """
    event = _object(payload)
    token = _object(event.get("token"))
    end = event.get("details")
    details = end if isinstance(end, dict) else {}
    whole = event.get("generated_text")
    return [
        Piece(
            text="" if token.get("special") else _text(token.get("text")),
            whole=None if whole is None else _text(whole),
            reason=_word(details.get("finish_reason")),
            usage=_usage(end, "input_length", "generated_tokens"),
            logprobs=_numbers([token.get("logprob")]),
        )
    ]


@dataclass
class Answer:
    """An answer while its pieces come in."""

    parts: list[str] = field(default_factory=list)
    whole: str | None = None
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, list[Call]] = field(default_factory=dict)
    reason: str = ""
    usage: Usage | None = None
    logprobs: list[float] | None = None

    def add(self, piece: Piece) -> None:
        """Take in what came next."""
        self.parts.append(piece.text)
        self.whole = self.whole if piece.whole is None else piece.whole
        self.reasoning.append(piece.reasoning)
        for call in piece.calls:
            self.calls.setdefault(call.place, []).append(call)
        self.reason = piece.reason or self.reason
        self.usage = piece.usage or self.usage
        if piece.logprobs is not None:
            self.logprobs = self.logprobs or []
            self.logprobs += piece.logprobs

    def completion(self) -> Completion:
        """What the pieces come to.

        An answer that ended by itself with nothing but reasoning is that reasoning: servers that look for the end of a
        thought in the answer of a model that does not think put all of it there.
        """
        text = "".join(self.parts) if self.whole is None else self.whole
        reasoning = "".join(self.reasoning)
        called = "\n".join(map(_called, self.calls.values()))
        text = "\n".join(part for part in (text, called) if part)
        if not text.strip() and reasoning and finish_reason(self.reason, reasoning) == "stop":
            text = reasoning
        return Completion(
            text=text,
            finish_reason=finish_reason(self.reason, text),
            reason=self.reason,
            reasoning=reasoning,
            usage=self.usage or Usage(),
            logprobs=None if self.logprobs is None else tuple(self.logprobs),
        )


def text_of(message: Object) -> str:
    """The text of one message of a conversation, in whatever parts it comes; the calls of tools in it are written out.

    Raises:
        ValueError: its content is no such thing.
    """
    answer = Answer()
    answer.add(_choice({"message": message}, 0, None))
    return answer.completion().text


def _choice(choice: Object, place: int, usage: Usage | None) -> Piece:
    said = choice.get("message") or choice.get("delta") or {}
    message = _object(said)
    text, reasoning = _content(message.get("content"))
    kept = next((value for name in REASONING if (value := message.get(name))), None)
    return Piece(
        place=place,
        text=text or _text(choice.get("text")) or _text(message.get("refusal")),
        reasoning=reasoning or "".join(_content(kept)),
        calls=_calls(message),
        reason=_word(choice.get("finish_reason")),
        usage=usage,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _content(content: object) -> tuple[str, str]:
    """(text, reasoning) of a content: a text, or parts of text, of thought, and of what is neither (pictures)."""
    if not isinstance(content, list):
        return (_part(content), "") if isinstance(content, dict) else (_text(content), "")
    text: list[str] = []
    reasoning: list[str] = []
    for part in content:
        kind = _word(part.get("type")) if isinstance(part, dict) else ""
        (reasoning if re.search("think|reason", kind) else text).append(_part(part))
    return "".join(text), "".join(reasoning)


def _part(part: object) -> str:
    if not isinstance(part, dict):
        return _text(part)
    said = next((part[key] for key in ("text", "value", "content", *REASONING, "refusal") if part.get(key)), "")
    return "".join(map(_part, said)) if isinstance(said, list) else _part(said)


def _calls(message: Object) -> tuple[Call, ...]:
    """The tool calls, in the order of their places; OpenAI's older form is one call."""
    calls = message.get("tool_calls")
    items = list(calls) if isinstance(calls, list) else []
    if isinstance(message.get("function_call"), dict):
        items.append({"function": message["function_call"]})
    found = []
    for position, item in enumerate(items):
        function = item.get("function") or item.get("custom") if isinstance(item, dict) else None
        if isinstance(function, dict):
            arguments, place = function.get("arguments", function.get("input")), item.get("index")
            said = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
            found.append(Call(place if isinstance(place, int) else position, _word(function.get("name")), _clean(said)))
    return tuple(found)


def _called(calls: Sequence[Call]) -> str:
    """A tool call as models write it, whose code the extraction finds."""
    said = "".join(call.arguments for call in calls)
    try:
        arguments = json.loads(said)
    except (ValueError, RecursionError):
        arguments = said
    name = next((call.name for call in calls if call.name), "")
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


def _usage(usage: object, prompt: str, completion: str) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(prompt_tokens=_count(usage.get(prompt)), completion_tokens=_count(usage.get(completion)))


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _logprobs(logprobs: object) -> tuple[float, ...] | None:
    """Of the tokens drawn: tokens with numbers in chats, and in all that llama.cpp says; else bare numbers."""
    if not isinstance(logprobs, dict):
        return None
    numbers = logprobs.get("token_logprobs")
    if isinstance(numbers, list):
        return _numbers(numbers)
    tokens = logprobs.get("content")
    return _numbers([token.get("logprob") for token in tokens if isinstance(token, dict)]) if isinstance(tokens, list) else None


def _numbers(values: Sequence[object]) -> tuple[float, ...] | None:
    numbers = [float(value) for value in values if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**53)]
    return tuple(numbers) if len(numbers) == len(values) and all(map(math.isfinite, numbers)) else None


def _object(value: object) -> Object:
    if not isinstance(value, dict):
        raise ValueError(f"{_short(value)} in place of an object")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} in place of a text")
    return _clean(value)


def _word(value: object) -> str:
    return _clean(value) if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Without halves of characters, which JSON can hold and nothing can store."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _short(value: object) -> str:
    return repr(value)[:200]


# -- errors ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """An error in a server's words."""

    message: str
    status: int = 500
    """Its own code; where it has none, the one that its type stands for."""


_STATUS = (
    (429, r"overloaded|rate.?limit|too.?many|exhausted|throttl"),
    (503, r"unavailable|loading"),
    (424, r"^generation"),
    (401, r"authenti|unauthorized|api.?key"),
    (404, r"not.?found"),
    (422, r"validation|unprocessable"),
    (400, r"invalid.?(?:request|argument|prompt)|bad.?request|context|unsupported|content.?(?:filter|policy)|moderation|safety"),
)
"""What the words for kinds of error stand for."""


def error_in(payload: object) -> Said | None:
    """The error in an answer that may be one, in the shapes of OpenAI, TGI, vLLM, FastAPI and OpenRouter; else None."""
    if not isinstance(payload, dict):
        return None
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    error = payload.get("error") or first.get("error")
    if error is True:
        error = {key: value for key, value in payload.items() if key != "error"} or error
    if not error and (payload.get("object") == "error" or ("choices" not in payload and _says(payload))):
        error = payload
    if not error:
        return None
    return Said(message_of(error), _status(error if isinstance(error, dict) else {}, payload))


_MESSAGES = ("error", "errors", "message", "msg", "error_msg", "detail")
"""Keys under which servers say what is wrong."""


def _says(payload: Object) -> bool:
    """Is this a message and no answer? Answers of another API hold a message that is an object."""
    return any(payload.get(key) and not (key == "message" and isinstance(payload[key], dict)) for key in _MESSAGES)


def _status(error: Object, payload: Object) -> int:
    marks = [place.get(name) for place in (error, payload) for name in ("code", "status", "status_code", "error_type", "type")]
    for mark in marks:
        if isinstance(mark, int | str) and re.fullmatch(r"[45]\d\d", str(mark)):
            return int(mark)
    words = " ".join(mark for mark in marks if isinstance(mark, str)).lower()
    return next((status for status, pattern in _STATUS if re.search(pattern, words)), 500)


def message_of(body: object) -> str:
    """The message in the several shapes of error bodies, as one line: OpenAI's, TGI's, FastAPI's, plain text.

    The field of the request that it is about is named in it.
    """
    field = _field(body)
    for _ in range(10):
        if isinstance(body, dict):
            body = next((body[key] for key in _MESSAGES if body.get(key)), "") or _words(body)
        elif isinstance(body, list) and len(body) == 1 and not (isinstance(body[0], dict) and "loc" in body[0]):
            body = body[0]
        else:
            break
    if isinstance(body, list) and all(isinstance(item, dict) and item.get("msg") for item in body):
        body = "; ".join(f"{_field(item)}: {item['msg']}" for item in body)
    text = body if isinstance(body, str) else json.dumps(body)
    text = " ".join(_clean(text).split())[:500]
    return text if not field or field in text else f"{text} ({field})"


def _words(error: Object) -> str:
    """What an error without a message says of itself."""
    return " ".join(str(error[key]) for key in ("type", "code") if isinstance(error.get(key), str | int))


def _field(body: object) -> str:
    """The field of the request that an error names: OpenAI's `param`, the end of FastAPI's `loc`."""
    for _ in range(10):
        if isinstance(body, list) and body:
            body = body[0]
        if not isinstance(body, dict):
            break
        place = body.get("param") or body.get("loc")
        if isinstance(place, list) and place:
            place = place[-1]
        if isinstance(place, str):
            return _clean(place)[:100]
        body = body.get("error") or body.get("detail") or ""
    return ""


_INPUT = (
    r"context|n_ctx|prompt|\binputs?\b|messages|conversation|\brequest was|model.?len|seq.?len|sequence length|\btokens in\b"
    r"|(?:requested|number of|too many|total) tokens|tokens? (?:count|limit)"
)
_EXCESS = (
    r"exceed|overflow|too (?:long|large|many|big)|(?:longer|larger|greater|more) than|[<>]=? ?\d|less than \d"
    r"|max(?:imum)? \w+ (?:length|size|is \d)|\bmax(?:imum)? is\b|limit is\b|at most \d|> ?max"
    r"|\bover (?:the )?(?:context|max)|\bfull\b|not fit|is only|reduce the length|shorter|must be within|length should be \["
)

_SENT = r"\b(?:texts?|prompts?|inputs?|context|messages?|contents?|requests?)\b"
_SIZE = r"\b(?:tokens?|bytes|char(?:acter)?s|length|long|large|size)\b"
_LIMIT = r"(?:>|\b(?:over|above|beyond|exceed\w*|than|max\w*|limit\w*|allow\w*|only|at most|up to)\b)\D{0,40}?(\d+)"
_ANOTHER = r"max_\w*tokens|(?:completion|output|new) tokens|\bstop\b|\bper (?:second|minute|min|hour|day)|\brate\b|memory"
"""What else has a size and a limit: answers, stop sequences, quotas, the machine."""


def is_too_long(message: str) -> bool:
    """Whether an error says that the prompt, or it and the tokens asked for, are more than the model's context holds.

    No two servers word it alike. Most name the input or the context, and an excess; the rest give the size of what was sent as
    a number, and a limit that is smaller.
    """
    words = message.lower().replace("input should be", "")  # FastAPI's way to begin, whatever the field
    if re.search(r"max_tokens must be at least 1, got -", words):  # vLLM: what the prompt leaves
        return True
    return bool(re.search(_INPUT, words) and re.search(_EXCESS, words)) or _is_over_a_limit(words)


def _is_over_a_limit(words: str) -> bool:
    if not re.search(_SENT, words) or not re.search(_SIZE, words) or re.search(_ANOTHER, words):
        return False
    plain = re.sub(r"(?<=\d)[,_](?=\d{3})", "", words)
    # As floats, for what a server writes may have more digits than Python makes a whole number of.
    largest = max(map(float, re.findall(r"\d+", plain)), default=0.0)
    return any(largest > float(limit) for limit in re.findall(_LIMIT, plain))


_OUT_OF_RANGE = (
    r"must be|between|range|at (?:most|least)|(?:less|greater|more|larger|smaller) than|[<>]=? ?-?\d"
    r"|too (?:large|small|high|low)"
)
_UNKNOWN = (
    r"support|unknown|unrecogni[sz]ed|unexpected|extra|not (?:permit|allow|accept|available)|deprecated|disabled|cannot"
    r"|for this model"
)
_ONE_VALUE = (
    r"only the default|only (?:be )?(?:set to|supports?) -?\d|only -?\d[\d.]* is|must be -?\d[\d.]*(?!\.?\d| ?(?:to|and|or|-))"
)
"""A field of which one value is taken need not be sent."""


def refused_field(message: str, fields: Collection[str]) -> str:
    """Which of the fields the server does not take, whatever its value; empty where the refusal is about something else.

    A value that is out of range is not such a case: the caller asked for it and should hear of it.
    """
    words = message.lower()
    if not re.search(_ONE_VALUE, words) and (not re.search(_UNKNOWN, words) or re.search(_OUT_OF_RANGE, words)):
        return ""
    return next((name for name in sorted(fields, key=len, reverse=True) if re.search(rf"\b{name}\b", words)), "")
