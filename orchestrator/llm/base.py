"""The Model contract: messages or a text in, completions out.

`client.py` speaks to servers, `scripted.py` answers from a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from orchestrator.types import Completion, Message, ModelInfo, Sampling


@runtime_checkable
class Model(Protocol):
    """Something that answers chats and continues texts."""

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        """Draw `sampling.n` answers to a conversation.

        `on_token(text)` is called with each piece of text as it arrives (streaming); of several completions, with the first's.

        Raises:
            CompletionError: the server refused, broke off or answered nonsense, after retries where they help. With
                `prompt_refused` it may answer another prompt.
        """
        ...

    async def complete(self, prompt: str, sampling: Sampling, on_token: Callable[[str], None] | None = None) -> list[Completion]:
        """Draw `sampling.n` continuations of a text; `on_token` is as in `chat`.

        Raises:
            UsageError: a JSON schema was asked for.
            CompletionError: as `chat`.
        """
        ...

    async def info(self) -> ModelInfo:
        """Which model answers.

        Raises:
            CompletionError: the server does not answer.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
