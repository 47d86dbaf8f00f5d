"""A model that answers from a list or a function: for unit tests, examples, and trying a workflow without a server.

    model = ScriptedModel(["def loss(pred, target): ...", "no code at all"])

Left out: thinking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import CompletionError, UsageError
from orchestrator.types import Completion, Message, ModelInfo, Sampling, Usage

Answer = str | CompletionError
"""A text to answer with, or an error to raise in its place."""


@dataclass(frozen=True)
class Call:
    """One call of `chat` or `complete`, as it came."""

    messages: tuple[Message, ...]
    sampling: Sampling
    prompt: str | None = None
    """The text to continue; None for a chat."""


class ScriptedModel:
    """A `Model` without a model.

    Args:
        answers: texts, given out in order, one for each completion (an error among them is raised instead);
            or a function of the messages and the sampling, called once for each completion with `n=1` and its own seed;
            a text to continue comes to it as one user message.
        name: what `info` says.

    Tokens are counted as words, so that accounting can be tried out. An answer longer than `max_new_tokens` words is
    cut there, as a server would.
    """

    def __init__(
        self, answers: Iterable[Answer] | Callable[[Sequence[Message], Sampling], Answer], *, name: str = "scripted"
    ) -> None:
        self._answer = answers if callable(answers) else None
        self._rest = iter(()) if callable(answers) else iter(answers)
        self._name = name
        self.calls: list[Call] = []
        """What was asked, in order."""
        self.closed = False

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        """Give out the next `sampling.n` answers; the first is streamed word by word to `on_token`.

        Raises:
            CompletionError: the script is used up, or says so.
        """
        self.calls.append(Call(tuple(messages), sampling))
        return [self._complete(messages, sampling, index, on_token if index == 0 else None) for index in range(sampling.n)]

    async def complete(self, prompt: str, sampling: Sampling, on_token: Callable[[str], None] | None = None) -> list[Completion]:
        """As `chat`, for a text to continue.

        Raises:
            UsageError: a JSON schema was asked for.
            CompletionError: the script is used up, or says so.
        """
        if sampling.json_schema is not None:
            raise UsageError("The continuation of a text cannot be held to a JSON schema.", remedy="Ask in a conversation.")
        messages = (Message(role="user", content=prompt),)
        self.calls.append(Call(messages, sampling, prompt))
        return [self._complete(messages, sampling, index, on_token if index == 0 else None) for index in range(sampling.n)]

    async def info(self) -> ModelInfo:
        """The scripted model's name."""
        return ModelInfo(model=self._name, server="scripted")

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _complete(
        self, messages: Sequence[Message], sampling: Sampling, index: int, on_token: Callable[[str], None] | None
    ) -> Completion:
        started = time.monotonic()
        seed = None if sampling.seed is None else sampling.seed + index
        if self._answer is not None:
            answer = self._answer(messages, sampling.model_copy(update={"n": 1, "seed": seed}))
        else:
            answer = next(self._rest, CompletionError(f"The script has no answer left for call {len(self.calls)}."))
        if isinstance(answer, CompletionError):
            raise answer
        words = _words(answer)
        kept = words[: sampling.max_new_tokens]
        if on_token is not None:
            for word in kept:
                on_token(word)
        reason: Literal["stop", "length", "other"] = "length" if len(kept) < len(words) else "stop" if answer else "other"
        return Completion(
            text="".join(kept),
            finish_reason=reason,
            usage=Usage(prompt_tokens=sum(len(message.content.split()) for message in messages), completion_tokens=len(kept)),
            seed=seed,
            wall_time=time.monotonic() - started,
        )


def _words(text: str) -> list[str]:
    """Words with the space that follows them, so that joined they are the text again."""
    words: list[str] = []
    for line in text.splitlines(keepends=True):
        words += [piece + " " for piece in line.split(" ")[:-1]] + [line.split(" ")[-1]]
    return words
