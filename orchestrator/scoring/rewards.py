"""Rewards: from what is known of one answer to a number, or to None where nothing is known.

Every reward is a pure function `(Scored) -> float | None` whose range and source stand in its docstring, so rewards compose:
`weighted((fraction_of_tests, 0.8), (well_formed, 0.1), (length_penalty(400), 0.1))`. None means unscored: the sandbox failed,
the tests were to blame, or the component does not apply. It is never turned into 0, and a sum with an unknown part is unknown.

Left out: running anything. `training.reward_functions` does, and fits these functions to trainers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.scoring.verdicts import binary_reward
from orchestrator.sources import is_python
from orchestrator.types import ExecutionResult, TestOutcome, Verdict


@dataclass(frozen=True)
class Scored:
    """What is known of one answer."""

    text: str
    """The completion as the model wrote it."""
    code: str = ""
    """What was extracted from it; empty where nothing usable was found."""
    result: ExecutionResult | None = None
    """The judged run; None where nothing ran."""
    mutation_score: float | None = None
    """For generated tests: the fraction of mutants that they kill, 0 to 1."""


Reward = Callable[[Scored], float | None]


def binary(scored: Scored) -> float | None:
    """0 or 1: every test passed. Without usable code 0. Source: the verdict."""
    if not scored.code:
        return 0.0
    return binary_reward(scored.result.verdict) if scored.result is not None else None


def fraction_of_tests(scored: Scored) -> float | None:
    """0 to 1: passed tests over collected tests, where all parameters of one test count as one. Source: the test side's report.

    Else a candidate whose values are the parameters could choose how much they weigh. A candidate that attacked gets 0, and one
    that ended the run before all tests had reported gets what had passed by then.
    """
    if (known := binary(scored)) is None or not scored.code:
        return known
    assert scored.result is not None
    if scored.result.verdict is Verdict.TAMPERED:
        return 0.0
    tests = [test for test in scored.result.tests if test.outcome is not TestOutcome.SKIPPED]
    skipped = len(scored.result.tests) - len(tests)
    total = max(scored.result.tests_collected - skipped, len(tests))
    if not total or not tests:
        return known
    parts: dict[str, list[bool]] = defaultdict(list)
    for test in tests:
        parts[test.name.partition("[")[0]].append(test.outcome is TestOutcome.PASSED)
    fraction = sum(sum(part) / len(part) for part in parts.values()) / len(parts) * len(tests) / total
    # Only an accepted run is worth everything: all tests may have passed before the process misbehaved.
    return 1.0 if known == 1.0 else min(fraction, 1 - 1 / (total + 1))


def ladder(syntax: float = 0.1, runs: float = 0.3, passes: float = 1.0) -> Reward:
    """0, `syntax`, `runs` or `passes`: the highest step reached. Source: the parser, then the verdict.

    Syntax: the code parses. Runs: its module was imported and its tests began without it raising. Passes: accepted.

    Raises:
        ValueError: the steps do not rise from 0.
    """
    if not 0 <= syntax <= runs <= passes:
        raise ValueError(f"The steps of a ladder rise from 0, unlike {syntax}, {runs}, {passes}.")

    def reward(scored: Scored) -> float | None:
        if not parses(scored.code):
            return 0.0
        known = binary(scored)
        if known is None:
            return None
        assert scored.result is not None
        if scored.result.verdict is Verdict.TAMPERED:
            return 0.0
        if known:
            return passes
        return runs if scored.result.verdict is Verdict.WRONG_ANSWER else syntax

    return reward


def well_formed(scored: Scored) -> float | None:
    """0 or 1: code was found in the completion and parses. Source: extraction and the parser. Never None."""
    return 1.0 if parses(scored.code) else 0.0


def length_penalty(free: int, most: int | None = None) -> Reward:
    """-1 to 0: 0 up to `free` characters of completion, falling evenly to -1 at `most` (default twice `free`). Never None.

    Raises:
        ValueError: `free` is negative, or `most` is not above it.
    """
    end = 2 * free if most is None else most
    if not 0 <= free < end:
        raise ValueError(f"A penalty on length needs 0 <= free < most, not {free} and {end}.")
    return lambda scored: -min(max((len(scored.text) - free) / (end - free), 0.0), 1.0)


def repetition_penalty(words: int = 4) -> Reward:
    """-1 to 0: minus the fraction of runs of `words` words that occurred before in the completion. Never None.

    Raises:
        ValueError: `words` is less than 1.
    """
    if words < 1:
        raise ValueError(f"Repetition is counted in runs of at least 1 word, not {words}.")

    def reward(scored: Scored) -> float:
        split = scored.text.split()
        grams = Counter(tuple(split[at : at + words]) for at in range(len(split) - words + 1))
        total = grams.total()
        return -(1 - len(grams) / total) if total else 0.0

    return reward


def mutation_score(scored: Scored) -> float | None:
    """0 to 1: mutants of the reference that generated tests kill. Source: `Scored.mutation_score`; None where not measured."""
    return scored.mutation_score


def weighted(*parts: tuple[Reward, float]) -> Reward:
    """The weighted sum of rewards; its range is the weighted sum of theirs. None as soon as one part is None.

    A part with weight 0 is not asked, so it cannot make the sum unknown.

    Raises:
        ValueError: no parts are given.
    """
    if not parts:
        raise ValueError("A weighted sum needs at least one reward.")

    def reward(scored: Scored) -> float | None:
        total = 0.0
        for part, weight in parts:
            if weight == 0:
                continue
            value = part(scored)
            if value is None:
                return None
            total += weight * value
        return total

    return reward


def apart_only(reward: Reward) -> Reward:
    """The same reward, but None for what was judged in the candidate's own interpreter, where it could reach the tests."""

    def refused(scored: Scored) -> float | None:
        return None if scored.result is not None and scored.result.judging == "together" else reward(scored)

    return refused


def on_word(reward: Reward, value: float | None) -> Reward:
    """The same reward, but `value` for what was accepted on the candidate's own word alone."""

    def instead(scored: Scored) -> float | None:
        result = scored.result
        only = result is not None and result.verdict is Verdict.ACCEPTED and result.basis == "word"
        return value if only else reward(scored)

    return instead


def parses(code: str) -> bool:
    """Whether this is Python with at least one statement."""
    return is_python(code)
