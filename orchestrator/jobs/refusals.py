"""What became of the prompts that a model was given: refused, answered with nothing, cut off.

A server may refuse one prompt (too long, filtered) and answer the next: that is the one sample's record. It may also refuse
every prompt, for it does not take what is asked of it: then there is nothing to record, and the job ends soon. Until one prompt
has been answered nobody knows which it is, so refusals are held back until then.

Left out: retries, and refusals that have to do with no prompt, such as that of a key (`llm/client.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import Field

from orchestrator.errors import CompletionError
from orchestrator.llm.extraction.marks import readings
from orchestrator.printable import counted
from orchestrator.types import Attempt, Completion, Value

FIRST = 8
"""Where so many different prompts, the first that were asked, are all refused, so will the others be."""


class Refusals:
    """The refusals of one job."""

    def __init__(self, before: Iterable[Attempt] = ()) -> None:
        self._answered = any(not attempt.completion.refused for attempt in before)
        self._asked: list[str] = []
        self._refused: dict[str, CompletionError] = {}
        self._held: list[Attempt] = []

    def asking(self, task: str) -> None:
        """A task's prompt goes out."""
        if task not in self._asked:
            self._asked.append(task)

    def answered(self) -> list[Attempt]:
        """A prompt was answered: the attempts that can be recorded now."""
        self._answered = True
        held, self._held = self._held, []
        return held

    def refused(self, attempt: Attempt, error: CompletionError) -> list[Attempt]:
        """A prompt was refused: the attempts that can be recorded now.

        Raises:
            CompletionError: all prompts seem to be.
        """
        self._refused[attempt.task] = error
        self._held.append(attempt)
        if self._answered:
            return self.answered()
        first = self._asked[:FIRST]
        if len(first) == FIRST and self._refused.keys() >= set(first):
            raise self._all()
        return []

    def end(self) -> None:
        """All prompts were asked.

        Raises:
            CompletionError: and all refused.
        """
        if self._held:
            raise self._all()

    def _all(self) -> CompletionError:
        error = next(iter(self._refused.values()))
        count = len(self._refused)
        which = "the only prompt" if count == 1 else f"all of the first {count} prompts, and answered none"
        return CompletionError(
            f"The model server refused {which}. {error.message}",
            remedy=error.remedy,
            status_code=error.status_code,
            prompt_refused=False,
            said=error.said,
        )


def refusal(error: CompletionError) -> Completion:
    """The record of a prompt that was refused.

    Raises:
        CompletionError: the error itself, where it is not a refusal of one prompt.
    """
    if not error.prompt_refused:
        raise error
    status = "" if error.status_code is None else f"{error.status_code}: "
    return Completion(text="", finish_reason="other", refused=f"{status}{error.said}")


def fell_short(attempts: Collection[Attempt], max_new_tokens: int) -> list[str]:
    """Sentences on the attempts of a search whose prompt was refused, and on those whose answer was cut off."""
    refused = [attempt.completion.refused for attempt in attempts if attempt.completion.refused]
    cut = sum(attempt.completion.finish_reason == "length" for attempt in attempts)
    found = [f"The server refused {counted(len(refused), 'prompt')}. It said: {refused[0]}"] if refused else []
    return found + ([_cut_off(cut, max_new_tokens)] if cut else [])


def _cut_off(count: int, max_new_tokens: int) -> str:
    return f"{counted(count, 'answer was', 'answers were')} cut off at --max-new-tokens {max_new_tokens}"


class Answers(Value):
    """How many answers of a job were refused, empty or incomplete."""

    not_answerable: int = 0
    """Samples whose prompt the server refused; they are unscored."""
    tasks: tuple[str, ...] = ()
    """Theirs."""
    refused: Mapping[str, int] = Field(default_factory=dict)
    """What the server said with that, and how often."""
    corrections_refused: int = 0
    """Corrections whose prompt it refused; their samples keep the verdict that they had."""
    empty: int = 0
    """Answers without a text."""
    empty_reasons: Mapping[str, int] = Field(default_factory=dict)
    """Why the server says that they ended; nothing for those of which none says it, as recorded samples."""
    cut_off: int = 0
    """Answers that ended at the most new tokens."""
    cut_while_reasoning: int = 0
    """Those of them that the model had not begun yet: it was still reasoning."""
    from_reasoning: int = 0
    """Answers for which the server gave reasoning only, which was read as the answer."""
    fenced: int = 0
    """Continuations of a text that came as an answer to a chat, its code between fences, and were read as that."""
    without: Mapping[str, int] = Field(default_factory=dict)
    """Fields of the sampling that the server refuses, and how many answers were drawn without each."""

    def notes(self, samples: int, max_new_tokens: int) -> list[str]:
        """A sentence for each of these that there is."""
        found = []
        if self.not_answerable:
            tasks = _listed(dict.fromkeys(self.tasks, 1))
            cannot = f"{self.not_answerable} of {counted(samples, 'sample')} cannot be answered ({tasks})"
            found.append(
                f"{cannot}, for the server refused the prompt: unscored, and in no pass@k. It said: {_listed(self.refused)}"
            )
        if self.corrections_refused:
            found.append(
                f"the server refused the prompts of {counted(self.corrections_refused, 'correction')}; those samples keep "
                f"the verdict that they had. It said: {_listed(self.refused)}"
            )
        if self.empty:
            why = f" (as the server says: {_listed(self.empty_reasons)})" if self.empty_reasons else ""
            found.append(f"{counted(self.empty, 'answer is', 'answers are')} empty{why}")
        if self.cut_off:
            thought = self.cut_while_reasoning
            reasoning = f", {thought} of them while the model was still reasoning" if thought else ""
            found.append(_cut_off(self.cut_off, max_new_tokens) + reasoning)
        if self.from_reasoning:
            found.append(f"{counted(self.from_reasoning, 'answer')} held reasoning only, which was read as the answer")
        if self.fenced:
            found.append(f"{counted(self.fenced, 'continuation')} came with fences, as answers to a chat do, and were read so")
        return found

    @property
    def drawn_without(self) -> str:
        """For a report: what the sampling lacked; empty where it lacked nothing."""
        return f"without {_listed(self.without)}: the server refuses it" if self.without else ""


def answers_in(attempts: Collection[Attempt], *, continues: bool = False) -> Answers:
    """Count them. `continues`: a first answer was the continuation of a text."""
    refused = [attempt for attempt in attempts if attempt.completion.refused]
    drawn = [attempt.completion for attempt in attempts if not attempt.completion.refused]
    empty = [one for one in drawn if not one.text.strip()]
    cut = [one for one in drawn if one.finish_reason == "length"]
    return Answers(
        not_answerable=sum(attempt.round == 0 for attempt in refused),
        tasks=tuple(sorted({attempt.task for attempt in refused if attempt.round == 0})),
        refused=_counted(attempt.completion.refused for attempt in refused),
        corrections_refused=sum(attempt.round > 0 for attempt in refused),
        empty=len(empty),
        empty_reasons=_counted(one.reason for one in empty if one.reason),
        cut_off=len(cut),
        cut_while_reasoning=sum(map(is_reasoning, cut)),
        from_reasoning=sum(bool(one.reasoning.strip()) and one.text == one.reasoning for one in drawn),
        fenced=sum(
            continues and not one.round and is_fenced(text := one.completion.text) and not one.code.endswith(text)
            for one in attempts
        ),
        without=_counted(name for one in drawn for name in one.without),
    )


def is_reasoning(completion: Completion) -> bool:
    """Whether an answer that was cut off ends before the model came to it."""
    found = readings(completion.text)
    if found.thought:
        return found.unfinished
    return not completion.text.strip() and bool(completion.reasoning.strip())


def is_fenced(text: str) -> bool:
    """Whether a line of a text begins or ends a code block of Markdown."""
    return bool(re.search(r"^(?:```|~~~)", text, re.MULTILINE))


def _counted(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first, in an order that does not depend on who answered first."""
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def _listed(counts: Mapping[str, int], most: int = 3) -> str:
    named: Sequence[str] = [f"{word} ({count})" if count > 1 else word for word, count in list(counts.items())[:most]]
    return "; ".join(named) + (f"; and {len(counts) - most} others" if len(counts) > most else "")
