"""Contamination: which rows hold text of a benchmark, or a function that is called like one of its tasks'.

Text is compared by runs of 13 words (letters, digits and underscores, in lower case), the length that the report on GPT-3
chose. A name alone proves little (`add` is everywhere), so the two are counted separately.

Left out: paraphrases, and programs with other names for everything. Neither shares 13 words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.training.preferences.choice import Example, Pair
from orchestrator.training.preferences.programs import defined_functions
from orchestrator.types import Value

WORDS = 13
_WORD = re.compile(r"\w+")


class Reference(Value):
    """A benchmark to be looked for."""

    name: str
    source: str = ""
    texts: Mapping[str, tuple[str, ...]]
    """Task id -> prompt and reference solution."""
    functions: Mapping[str, str] = {}
    """Task id -> name of the function it asks for."""


class Contamination(Value):
    """What was found of one benchmark."""

    benchmark: str
    source: str = ""
    rows: int = 0
    """Rows that were looked at."""
    by_text: int = 0
    """Rows that share 13 words in a row with a task."""
    by_name: int = 0
    """Rows whose program (of a pair: the better one) defines a function called like a task's."""
    by_either: int = 0
    tasks: tuple[str, ...] = ()
    """Tasks that were found by their text."""


class Detector:
    """Looks for one benchmark."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self._grams: dict[tuple[str, ...], str] = {}
        for task, texts in reference.texts.items():
            for text in texts:
                for gram in grams(text):
                    self._grams.setdefault(gram, task)
        self._functions = {name for name in reference.functions.values() if name}
        self._seen: dict[str, frozenset[str]] = {}

    def tasks(self, row: Pair | Example) -> frozenset[str]:
        """Tasks whose text is in a row, its prompt included."""
        found: frozenset[str] = frozenset()
        for text in (*(message.content for message in row.prompt), *(one.text for one in row.answers)):
            if text not in self._seen:
                self._seen[text] = frozenset(self._grams[gram] for gram in grams(text) if gram in self._grams)
            found |= self._seen[text]
        return found

    def named(self, row: Pair | Example) -> bool:
        """Whether the first answer of a row (the chosen one) defines a function that a task asks for."""
        return not self._functions.isdisjoint(defined_functions(row.answers[0].code))

    def finds(self, row: Pair | Example) -> bool:
        """By text or by name."""
        return bool(self.tasks(row)) or self.named(row)


def grams(text: str) -> Iterable[tuple[str, ...]]:
    """The runs of 13 words in a text; none where it is shorter."""
    words = _WORD.findall(text.lower())
    return zip(*(words[start:] for start in range(WORDS)), strict=False)


def check(rows: Sequence[Pair | Example], detector: Detector) -> Contamination:
    """Count the rows that hold something of a benchmark."""
    by_text = [detector.tasks(row) for row in rows]
    by_name = [detector.named(row) for row in rows]
    return Contamination(
        benchmark=detector.reference.name,
        source=detector.reference.source,
        rows=len(rows),
        by_text=sum(map(bool, by_text)),
        by_name=sum(by_name),
        by_either=sum(bool(tasks) or name for tasks, name in zip(by_text, by_name, strict=True)),
        tasks=tuple(sorted(frozenset[str]().union(*by_text))),
    )
