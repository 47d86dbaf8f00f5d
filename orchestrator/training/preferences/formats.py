"""Rows as trainers read them.

| format | columns | read by |
|---|---|---|
| `preference` | prompt, chosen, rejected: text | TRL's DPOTrainer and RewardTrainer |
| `preference-chat` | the same as lists of messages | the same, with the model's chat template |
| `unpaired` | prompt, completion: text; label | TRL's KTOTrainer |
| `unpaired-chat` | the same with messages | the same |
| `sft` | prompt, completion: text | TRL's SFTTrainer |
| `sft-chat` | messages | the same |
| `alpaca` | instruction, input, chosen, rejected, system | LLaMA-Factory, `ranking` |
| `sharegpt` | conversations, chosen, rejected, system | LLaMA-Factory, `ranking`, `formatting: sharegpt` |

No other column: trainers give meaning to some names (`margin`), and where a row comes from stands in `provenance/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from orchestrator.training.preferences.answers import Answer, Prompt
from orchestrator.training.preferences.choice import Choice, Example, Pair
from orchestrator.types import Value

Row = dict[str, Any]
_FROM = {"user": "human", "assistant": "gpt", "system": "system"}


class Format(Value):
    """One format."""

    of: Literal["pairs", "examples", "right"]
    """What its rows are made of: pairs, all examples, or the right ones."""
    row: Callable[[Any], Row]
    llama_factory: Mapping[str, Any] | None = None
    """Its entry in LLaMA-Factory's `dataset_info.json`, without the file."""

    def rows(self, choice: Choice) -> list[Row]:
        """All rows."""
        return [self.row(item) for item in self.items(choice)]

    def items(self, choice: Choice) -> list[Pair] | list[Example]:
        """What its rows are made of, in their order."""
        if self.of == "pairs":
            return list(choice.pairs)
        return [one for one in choice.examples if one.label or self.of == "examples"]


def plain_prompt(prompt: Prompt, continues: bool) -> str:
    """A prompt as one text that an answer follows."""
    text = "\n\n".join(message.content.strip("\n") for message in prompt)
    return prompt[-1].content if continues else f"{text}\n\n"


def fenced(code: str) -> str:
    """Code as a model answers with it in a chat."""
    return f"```python\n{code.strip()}\n```"


def _text(answer: Answer, *, bare: bool, chat: bool) -> str:
    # In a chat nobody continues somebody else's function: there the answer is the whole program.
    shown_as_code = bare or (chat and answer.continues)
    return fenced(answer.code) if shown_as_code and answer.code else answer.text


def _messages(prompt: Prompt) -> list[Row]:
    return [{"role": message.role, "content": message.content} for message in prompt]


def _said(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def _preference(pair: Pair) -> Row:
    return {
        "prompt": plain_prompt(pair.prompt, pair.continues),
        "chosen": _text(pair.chosen, bare=pair.bare, chat=False),
        "rejected": _text(pair.rejected, bare=pair.bare, chat=False),
    }


def _preference_chat(pair: Pair) -> Row:
    return {
        "prompt": _messages(pair.prompt),
        "chosen": _said(_text(pair.chosen, bare=pair.bare, chat=True)),
        "rejected": _said(_text(pair.rejected, bare=pair.bare, chat=True)),
    }


def _sft(example: Example) -> Row:
    return {
        "prompt": plain_prompt(example.prompt, example.continues),
        "completion": _text(example.answer, bare=example.bare, chat=False),
    }


def _sft_chat(example: Example) -> Row:
    return {"messages": _messages(example.prompt) + _said(_text(example.answer, bare=example.bare, chat=True))}


def _unpaired(example: Example) -> Row:
    return {**_sft(example), "label": example.label}


def _unpaired_chat(example: Example) -> Row:
    return {
        "prompt": _messages(example.prompt),
        "completion": _said(_text(example.answer, bare=example.bare, chat=True)),
        "label": example.label,
    }


def _split(prompt: Prompt) -> tuple[str, Prompt]:
    """The system prompt, and the rest."""
    system = "\n\n".join(message.content for message in prompt if message.role == "system")
    return system, tuple(message for message in prompt if message.role != "system")


def _alpaca(pair: Pair) -> Row:
    system, rest = _split(pair.prompt)
    return {
        "instruction": "\n\n".join(message.content for message in rest),
        "input": "",
        "chosen": _text(pair.chosen, bare=pair.bare, chat=True),
        "rejected": _text(pair.rejected, bare=pair.bare, chat=True),
        "system": system,
    }


def _sharegpt(pair: Pair) -> Row:
    system, rest = _split(pair.prompt)
    return {
        "conversations": [{"from": _FROM[message.role], "value": message.content} for message in rest],
        "chosen": {"from": "gpt", "value": _text(pair.chosen, bare=pair.bare, chat=True)},
        "rejected": {"from": "gpt", "value": _text(pair.rejected, bare=pair.bare, chat=True)},
        "system": system,
    }


_ALPACA = {
    "ranking": True,
    "columns": {
        "prompt": "instruction",
        "query": "input",
        "chosen": "chosen",
        "rejected": "rejected",
        "system": "system",
    },
}
_SHAREGPT = {
    "formatting": "sharegpt",
    "ranking": True,
    "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "system": "system"},
}

FORMATS: dict[str, Format] = {
    "preference": Format(of="pairs", row=_preference),
    "preference-chat": Format(of="pairs", row=_preference_chat),
    "unpaired": Format(of="examples", row=_unpaired),
    "unpaired-chat": Format(of="examples", row=_unpaired_chat),
    "sft": Format(of="right", row=_sft),
    "sft-chat": Format(of="right", row=_sft_chat),
    "alpaca": Format(of="pairs", row=_alpaca, llama_factory=_ALPACA),
    "sharegpt": Format(of="pairs", row=_sharegpt, llama_factory=_SHAREGPT),
}
"""By name."""
