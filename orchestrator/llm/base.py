"""The Model contract: messages in, completions out.

`client.py` speaks to servers, `scripted.py` answers from a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from orchestrator.types import Completion, Message, ModelInfo, Sampling


@runtime_checkable
class Model(Protocol):
    """Something that answers chats."""

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        """Draw `sampling.n` completions.

        `on_token(text)` is called with each piece of text as it arrives (streaming).

        Raises:
            CompletionError: the server refused, broke off or answered nonsense, after retries where they help.
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
