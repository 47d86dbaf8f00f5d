"""Which answers make pairs and examples, and which of those are kept. Deterministic by seed; whatever is dropped is counted.

| pair | chosen over rejected |
|---|---|
| `correction` | the fixed program over the broken ones along its chain, for the prompt that the chain began with |
| `outcome` | accepted over failed, for the same prompt |
| `reward` | the higher reward over the lower, for the same prompt and by the same measure |

Where rewards have noise, the better side must be better by more than that. Then a correction may also be of what worked.

Answers that were written as corrections speak of what they correct. In `correction` pairs both sides are therefore bare code.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from orchestrator.training.preferences.answers import Answer, Prompt
from orchestrator.training.preferences.programs import canonical, clusters, same
from orchestrator.types import Value, Verdict

PairKind = Literal["correction", "outcome", "reward"]
_KINDS: tuple[PairKind, ...] = ("correction", "outcome", "reward")
Keep = Callable[["Pair | Example"], bool]
_Row = TypeVar("_Row", "Pair", "Example")


class Rules(Value):
    """What makes a pair, and how many are kept."""

    pairs: tuple[PairKind, ...] = _KINDS
    min_margin: Annotated[float, Field(gt=0)] = 0.25
    """The least difference of rewards in a `reward` pair, where rewards have no noise."""
    max_per_prompt: Annotated[int, Field(ge=1)] = 4
    """Pairs for one prompt; also examples for one prompt with one label."""
    max_per_task: Annotated[int, Field(ge=1)] = 8
    """The same for one task over all its prompts, so that a task that was answered often does not outweigh the others."""
    near: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    """Programs as similar as this count as the same one twice; 1 keeps all that differ at all."""
    seed: int = 0


class Pair(Value):
    """A preference."""

    kind: PairKind
    prompt: Prompt
    continues: bool = False
    chosen: Answer
    rejected: Answer
    bare: bool = False
    """Both sides are shown as code alone."""
    margin: float | None = None
    """Reward of the one minus that of the other; None where they were measured differently."""

    @property
    def group(self) -> tuple[str, str, str]:
        """The task."""
        return self.chosen.group

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Both."""
        return self.chosen, self.rejected


class Example(Value):
    """An answer that is right (`label`) or wrong."""

    prompt: Prompt
    continues: bool = False
    answer: Answer
    bare: bool = False
    label: bool

    @property
    def group(self) -> tuple[str, str, str]:
        """The task."""
        return self.answer.group

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The one."""
        return (self.answer,)


class Choice(Value):
    """What was kept, and how much of what was not."""

    pairs: tuple[Pair, ...]
    examples: tuple[Example, ...]
    dropped_pairs: Mapping[str, int]
    """By reason: `same_program, contradictory, tampered_chosen, cut_off_chosen, within_noise, under_margin, duplicate,
    near_duplicate, refused, over_max_per_prompt, over_max_per_task`. Contradictory: one program of the pair was judged right once
    and wrong once."""
    dropped_examples: Mapping[str, int]
    """By reason: `contradictory, cut_off, duplicate, near_duplicate, refused, over_max_per_prompt, over_max_per_task`."""

    @property
    def rows(self) -> list[Pair | Example]:
        """Pairs, then examples."""
        return [*self.pairs, *self.examples]


def choose(answers: Iterable[Answer], rules: Rules | None = None, keep: Keep = lambda row: True) -> Choice:
    """Pairs and examples of answers, also over several runs.

    What `keep` says no to is dropped as `refused`, before it can take the place of another.
    """
    rules = rules or Rules()
    by_key = {(one.run, one.task, one.index): one for one in answers}
    prompts: dict[tuple[str, str, str], dict[tuple[Prompt, bool], _Asked]] = defaultdict(lambda: defaultdict(_Asked))
    for one in by_key.values():
        prompts[one.group][one.prompt, one.continues].answers.append(one)
        chain = list(_chain(one, by_key))
        if one.accepted and one.code and chain and not chain[-1].continues:
            root = prompts[one.group][chain[-1].prompt, False]
            root.fixed.append(one)
            root.corrections += [(one, before) for before in chain if not before.accepted or one.betters(before)]
    pair_drops: Counter[str] = Counter()
    example_drops: Counter[str] = Counter()
    pairs: list[Pair] = []
    examples: list[Example] = []
    doubtful = _doubtful(by_key.values())
    seen: set[tuple[object, ...]] = set()
    for group in sorted(prompts):
        task_pairs = []
        task_examples: dict[bool, list[list[Example]]] = {True: [], False: []}
        for place, ((prompt, continues), asked) in enumerate(prompts[group].items()):
            sieve = _Sieve(rules, keep, doubtful, seen, Random(f"{rules.seed}/{'/'.join(group)}/{place}"))
            task_pairs.append(_pairs(prompt, continues, asked, sieve, pair_drops))
            for label, rows in task_examples.items():
                rows.append(_examples(prompt, continues, asked, label, sieve, example_drops))
        pairs += _capped(task_pairs, rules.max_per_task, pair_drops)
        for label in (True, False):
            examples += _capped(task_examples[label], rules.max_per_task, example_drops)
    return Choice(
        pairs=tuple(pairs), examples=tuple(examples), dropped_pairs=dict(+pair_drops), dropped_examples=dict(+example_drops)
    )


@dataclass(frozen=True)
class _Sieve:
    """What decides which rows for a prompt are kept."""

    rules: Rules
    keep: Keep
    doubtful: frozenset[tuple[object, str]]
    """(prompt or task, program)."""
    seen: set[tuple[object, ...]]
    """Prompt and programs of the rows so far: tasks of two data sets may have one prompt."""
    random: Random

    def doubts(self, prompt: Prompt, *answers: Answer) -> bool:
        """Whether one of these was judged otherwise elsewhere."""
        return any(not self.doubtful.isdisjoint(_places(one, prompt)) for one in answers)


class _Asked:
    """What became of one prompt."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.fixed: list[Answer] = []
        """Right answers to corrections of answers to this prompt."""
        self.corrections: list[tuple[Answer, Answer]] = []


def _chain(answer: Answer, by_key: Mapping[tuple[str, str, int], Answer]) -> Iterator[Answer]:
    """What an answer corrects, and so on to the first; it ends where an attempt was not usable."""
    seen = {answer.index}
    while answer.corrects is not None and answer.corrects not in seen:
        found = by_key.get((answer.run, answer.task, answer.corrects))
        if found is None:
            return
        seen.add(found.index)
        yield found
        answer = found


def _doubtful(answers: Iterable[Answer]) -> frozenset[tuple[object, str]]:
    """Programs that were judged right once and wrong once: by flaky tests, by their own luck, or by stricter tests elsewhere."""
    sides: dict[bool, set[tuple[object, str]]] = {True: set(), False: set()}
    for one in answers:
        sides[one.accepted].update(_places(one, one.prompt))
    return frozenset(sides[True] & sides[False])


def _places(answer: Answer, prompt: Prompt) -> tuple[tuple[object, str], ...]:
    program = canonical(_program(answer))
    return (prompt, program), (answer.group, program)


def _pairs(prompt: Prompt, continues: bool, asked: _Asked, sieve: _Sieve, dropped: Counter[str]) -> list[Pair]:
    rules = sieve.rules
    ways = [
        *(("correction", one, other) for one, other in asked.corrections if "correction" in rules.pairs),
        *_compared(asked.answers, rules),
    ]
    known = _Known([*asked.answers, *asked.fixed, *(broken for _, broken in asked.corrections)], rules.near)
    kept: list[Pair] = []
    taken: set[tuple[object, ...]] = set()
    sieve.random.shuffle(ways)
    ways.sort(key=lambda way: _KINDS.index(way[0]))  # the rarer first: a duplicate gives way to them
    for kind, chosen, rejected in ways:
        margin = _margin(chosen, rejected)
        programs = canonical(_program(chosen)), canonical(_program(rejected))
        place = known.place(chosen), known.place(rejected)
        reason = _refused(kind, chosen, rejected, margin, rules)
        if not reason and sieve.doubts(prompt, chosen, rejected):
            reason = "contradictory"
        if not reason and (prompt, *programs) in sieve.seen:
            reason = "duplicate"
        if not reason and place in taken:
            reason = "near_duplicate"
        if reason:
            dropped[reason] += 1
            continue
        pair = Pair(
            kind=kind,
            prompt=prompt,
            continues=continues,
            chosen=chosen,
            rejected=rejected,
            bare=kind == "correction",
            margin=margin,
        )
        if sieve.keep(pair):
            taken.add(place)
            sieve.seen.add((prompt, *programs))
            kept.append(pair)
        else:
            dropped["refused"] += 1
    return _spread(kept, rules.max_per_prompt, dropped)


def _compared(answers: Sequence[Answer], rules: Rules) -> Iterator[tuple[PairKind, Answer, Answer]]:
    """Pairs of direct answers, better one first."""
    outcome = "outcome" in rules.pairs
    if outcome:
        right = [one for one in answers if one.accepted]
        wrong = [one for one in answers if not one.accepted]
        yield from (("outcome", one, other) for one, other in product(right, wrong))
    if "reward" in rules.pairs:
        for one, other in product(answers, answers):
            if (_margin(one, other) or 0) > 0 and not (outcome and one.accepted and not other.accepted):
                yield "reward", one, other


def _margin(chosen: Answer, rejected: Answer) -> float | None:
    if chosen.reward is None or rejected.reward is None or chosen.scale != rejected.scale:
        return None
    return chosen.reward - rejected.reward


def _refused(kind: PairKind, chosen: Answer, rejected: Answer, margin: float | None, rules: Rules) -> str:
    betters = chosen.betters(rejected)
    if betters is False:
        return "within_noise"
    if kind == "reward" and betters is None and (margin is None or margin < rules.min_margin):
        return "under_margin"
    if chosen.verdict is Verdict.TAMPERED:
        return "tampered_chosen"
    if chosen.cut_off:
        return "cut_off_chosen"
    return "same_program" if same(_program(chosen), _program(rejected)) else ""


def _program(answer: Answer) -> str:
    """What is compared of an answer: its program, or all of it where there is none."""
    return answer.code or answer.text


class _Known:
    """Which answers to a prompt are the same program, or nearly so. Right ones and wrong ones are never the same."""

    def __init__(self, answers: Iterable[Answer], near: float) -> None:
        self._places: dict[tuple[str, str, int], tuple[object, ...]] = {}
        sides: dict[tuple[object, ...], dict[tuple[str, str, int], Answer]] = defaultdict(dict)
        for one in answers:
            sides[one.accepted, one.reward, one.scale][_key(one)] = one
        for side, members in sides.items():
            found = clusters([_program(one) for one in members.values()], near)
            self._places |= {key: (*side, place) for key, place in zip(members, found, strict=True)}

    def place(self, answer: Answer) -> tuple[object, ...]:
        """Equal for answers that count as one."""
        return self._places[_key(answer)]


def _key(answer: Answer) -> tuple[str, str, int]:
    return answer.run, answer.task, answer.index


def _examples(prompt: Prompt, continues: bool, asked: _Asked, label: bool, sieve: _Sieve, dropped: Counter[str]) -> list[Example]:
    answers = [(one, False) for one in asked.answers if one.accepted is label]
    if label:
        answers += [(one, True) for one in asked.fixed]
    known = _Known([one for one, _ in answers], sieve.rules.near)
    sieve.random.shuffle(answers)
    answers.sort(key=lambda answer: answer[1])  # an answer that was asked for so comes before one that was corrected
    kept: list[Example] = []
    taken: set[tuple[object, ...]] = set()
    for answer, bare in answers:
        example = Example(prompt=prompt, continues=continues, answer=answer, bare=bare, label=label)
        place, program = known.place(answer), canonical(_program(answer))
        if sieve.doubts(prompt, answer):
            dropped["contradictory"] += 1
        elif label and answer.cut_off:
            dropped["cut_off"] += 1
        elif (prompt, label, program) in sieve.seen:
            dropped["duplicate"] += 1
        elif place in taken:
            dropped["near_duplicate"] += 1
        elif not sieve.keep(example):
            dropped["refused"] += 1
        else:
            taken.add(place)
            sieve.seen.add((prompt, label, program))
            kept.append(example)
    most = sieve.rules.max_per_prompt
    dropped["over_max_per_prompt"] += max(0, len(kept) - most)
    return kept[:most]


def _spread(pairs: Sequence[Pair], most: int, dropped: Counter[str]) -> list[Pair]:
    """At most so many, each time the one whose answers were used least: one right answer is not to stand in all of them."""
    left = list(pairs)
    kept: list[Pair] = []
    uses: Counter[tuple[str, str, int]] = Counter()
    while left and len(kept) < most:
        best = min(left, key=lambda pair: (uses[_key(pair.chosen)] + uses[_key(pair.rejected)], _KINDS.index(pair.kind)))
        left.remove(best)
        kept.append(best)
        uses.update((_key(best.chosen), _key(best.rejected)))
    dropped["over_max_per_prompt"] += len(left)
    return kept


def _capped(by_prompt: Sequence[Sequence[_Row]], most: int, dropped: Counter[str]) -> list[_Row]:
    """At most so many of a task, taken from its prompts in turn."""
    turns = max(map(len, by_prompt), default=0)
    rows = [rows[turn] for turn in range(turns) for rows in by_prompt if turn < len(rows)]
    dropped["over_max_per_task"] += max(0, len(rows) - most)
    return rows[:most]
