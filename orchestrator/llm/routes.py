"""The ways to ask a server for text: a chat, TGI's own generation, and the OpenAI completion of a text.

A route knows its fields, and how its answers read, whole and in pieces. What is sent goes through the `Wire` it is given.

Left out: which route is right for a server, retries and errors. They are in `client.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.llm.dialects import Server, chat_fields, completion_fields, finish_reason, generation_fields
from orchestrator.types import Completion, Message, Sampling, Usage

if TYPE_CHECKING:
    from orchestrator.llm.wire import Wire


@dataclass(frozen=True)
class Piece:
    """What one event of a stream adds."""

    text: str = ""
    whole: str | None = None
    """All of the text, where the server says so at its end."""
    reason: str | None = None
    usage: Usage | None = None
    logprobs: tuple[float, ...] = ()


class Chat:
    """`/v1/chat/completions`, which all servers have."""

    base = "/v1"
    """Path of the server under which the wire works."""
    counts_on_demand = True
    """Streams count tokens only when `stream_options` asks for it."""

    def __init__(self, messages: Sequence[Message], model: str) -> None:
        self._question: dict[str, Any] = {"messages": [message.model_dump() for message in messages], "model": model or None}

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """Fields of a request for one completion, the question aside."""
        return chat_fields(server, sampling, seed)

    async def answer(self, wire: Wire, fields: dict[str, Any]) -> list[Completion]:
        """Ask, and read the whole answer. Nonsense ends in whatever error reading it raises."""
        answer: Any = await wire.chat_completion(**self._question, **_without_format(fields))
        return _completions(answer, [(choice.message.content or "", choice) for choice in answer.choices or []])

    async def stream(self, wire: Wire, fields: dict[str, Any]) -> AsyncIterator[Piece]:
        """Ask, and read the answer as it arrives."""
        chunks: Any = await wire.chat_completion(**self._question, **_without_format(fields), stream=True)
        async for chunk in chunks:
            choice = (chunk.choices or [None])[0]
            yield _piece(chunk, choice, (choice.delta.content if choice and choice.delta else None) or "")


class Continuation:
    """`/v1/completions`: the text goes on, without a chat template. The hub's client has no call for it."""

    base = "/v1/completions"
    counts_on_demand = True

    def __init__(self, prompt: str, model: str) -> None:
        self._question: dict[str, Any] = {"prompt": prompt} | ({"model": model} if model else {})

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """As `Chat.fields`."""
        return completion_fields(sampling, seed)

    async def answer(self, wire: Wire, fields: dict[str, Any]) -> list[Completion]:
        """As `Chat.answer`."""
        answer = _Open(json.loads(await wire.post(self._question | fields)))
        return _completions(answer, [(choice.text or "", choice) for choice in answer.choices or []])

    async def stream(self, wire: Wire, fields: dict[str, Any]) -> AsyncIterator[Piece]:
        """As `Chat.stream`."""
        async for line in await wire.post(self._question | fields | {"stream": True}, stream=True):
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                return
            chunk = _Open(json.loads(data))
            if chunk.error is not None:
                raise ValueError(f"an error in the stream: {data}")
            choice = (chunk.choices or [None])[0]
            yield _piece(chunk, choice, (choice.text if choice else None) or "")


class Generation:
    """TGI's `/generate_stream`. Its sibling `/generate` does not count the prompt's tokens unless it scores each of them."""

    base = "/generate_stream"
    counts_on_demand = False

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """As `Chat.fields`."""
        return generation_fields(sampling, seed)

    async def stream(self, wire: Wire, fields: dict[str, Any]) -> AsyncIterator[Piece]:
        """As `Chat.stream`."""
        async for event in await wire.text_generation(self._prompt, stream=True, details=True, **fields):
            told = event.details
            yield Piece(
                text="" if event.token.special else event.token.text,
                whole=event.generated_text,
                reason=None if told is None else told.finish_reason,
                usage=None if told is None else Usage(prompt_tokens=told.input_length, completion_tokens=told.generated_tokens),
                logprobs=(event.token.logprob,),
            )


Route = Chat | Continuation | Generation


class _Open(dict[str, Any]):
    """JSON whose fields are attributes, as the hub's client has them; what is not there is None."""

    def __getattr__(self, name: str) -> Any:
        value = self.get(name)
        if isinstance(value, list):
            return [_Open(item) if isinstance(item, dict) else item for item in value]
        return _Open(value) if isinstance(value, dict) else value


def _without_format(fields: dict[str, Any]) -> dict[str, Any]:
    """The wire adds it in the server's own dialect."""
    return {name: value for name, value in fields.items() if name != "response_format"}


def _completions(answer: Any, choices: Sequence[tuple[str, Any]]) -> list[Completion]:
    if not choices:
        raise ValueError(f"no choices in {str(dict(answer) or answer)[:200]}")
    return [
        Completion(
            text=text,
            finish_reason=finish_reason(choice.finish_reason, text),
            usage=(_usage(answer.usage) or Usage()) if index == 0 else Usage(),
            logprobs=_logprobs(choice.logprobs),
        )
        for index, (text, choice) in enumerate(choices)
    ]


def _piece(chunk: Any, choice: Any, text: str) -> Piece:
    return Piece(
        text=text,
        reason=choice.finish_reason if choice else None,
        usage=_usage(chunk.usage),
        logprobs=(_logprobs(choice.logprobs) if choice else None) or (),
    )


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    return Usage(prompt_tokens=usage.prompt_tokens or 0, completion_tokens=usage.completion_tokens or 0)


def _logprobs(logprobs: Any) -> tuple[float, ...] | None:
    """Of the tokens drawn: tokens with numbers in chats, and in all that llama.cpp says; else bare numbers."""
    if logprobs is None:
        return None
    numbers = getattr(logprobs, "token_logprobs", None)
    if numbers is not None:
        return tuple(numbers)
    return None if logprobs.content is None else tuple(token.logprob for token in logprobs.content)
