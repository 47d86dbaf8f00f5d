"""The ways to ask a server for text: a chat, TGI's own generation, and the OpenAI completion of a text.

A route knows where it lies, what it sends, and how its answers read.

Left out: which route is right for a server, sending, retries and errors. They are in `client.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.llm.dialects import Server, chat_fields, completion_fields, generation_fields
from orchestrator.llm.replies import Piece, generated, pieces
from orchestrator.types import Message, Sampling


class Chat:
    """`/v1/chat/completions`, which all servers have."""

    path = "/v1/chat/completions"

    def __init__(self, messages: Sequence[Message], model: str) -> None:
        self._question: dict[str, Any] = {"messages": [message.model_dump() for message in messages]} | _named(model)

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """Fields of a request for one completion, the question aside."""
        return chat_fields(server, sampling, seed)

    def body(self, fields: dict[str, Any], stream: bool) -> dict[str, Any]:
        """What is sent. Streams count tokens only when they are asked to."""
        return self._question | fields | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

    def read(self, payload: object) -> list[Piece]:
        """What an answer, or one event of a stream, holds.

        Raises:
            ValueError: it is neither.
        """
        return pieces(payload)


class Continuation(Chat):
    """`/v1/completions`: the text is continued, without a chat template."""

    path = "/v1/completions"

    def __init__(self, prompt: str, model: str) -> None:
        self._question = {"prompt": prompt} | _named(model)

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """As `Chat.fields`."""
        return completion_fields(sampling, seed)


class Generation:
    """TGI's `/generate_stream`. Its sibling `/generate` does not count the prompt's tokens unless it scores each of them."""

    path = "/generate_stream"

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    def fields(self, server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        """As `Chat.fields`."""
        return generation_fields(sampling, seed)

    def body(self, fields: dict[str, Any], stream: bool) -> dict[str, Any]:
        """As `Chat.body`; this route streams always."""
        return {"inputs": self._prompt, "parameters": {"details": True, **fields}}

    def read(self, payload: object) -> list[Piece]:
        """As `Chat.read`."""
        return generated(payload)


Route = Chat | Generation


def _named(model: str) -> dict[str, str]:
    return {"model": model} if model else {}
