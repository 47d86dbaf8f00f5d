"""Unit tests judged in sandboxes: what they earn, and that they can do nothing there but test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.applications.unit_tests.judge import LIMITS, MutationOptions, Surveyed, judge_tests, survey
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from worthless_tests import GOOD, SNOOPS, WORDS, WORTHLESS

LEVELS = ("namespace",)
"""What is judged is the matter here; how it is isolated is tried elsewhere."""
OPTIONS = MutationOptions(references=2, wall=5)


@pytest.fixture(scope="module")
async def sandboxes(isolation: str) -> AsyncIterator[Engine]:
    """Two sandboxes for whole batches of mutants."""
    async with Engine(Settings(workers=2, isolation=isolation), limits=LIMITS, preload=False) as engine:
        yield engine


@pytest.fixture(scope="module")
async def words(sandboxes: Engine) -> Surveyed:
    return await survey(WORDS, sandboxes.execute, OPTIONS)


async def test_good_tests_are_paid_and_bad_ones_are_not(sandboxes, words):
    bad = ("types alone", "a copy in other words", "forges the report", "remembers in a process", "ends its parent")
    good = ("values", "unittest")  # without pytest's machinery, and with it
    cases = {**{name: GOOD[name] for name in good}, **{name: WORTHLESS[name] for name in bad}}
    found = await asyncio.gather(*(judge_tests(words, tests, sandboxes.execute, OPTIONS) for tests in cases.values()))
    rewards = {name: one.score.reward for name, one in zip(cases, found, strict=True)}
    assert {name for name, reward in rewards.items() if reward and reward > 0.6} == set(good)
    assert all(rewards[name] == 0 for name in bad)
    assert not any(one.unscored or any(run.attack for run in one.runs) for one in found)


async def test_tests_find_nothing_to_read_and_nothing_to_change(sandboxes, words):
    found = await asyncio.gather(*(judge_tests(words, tests, sandboxes.execute, OPTIONS) for tests in SNOOPS.values()))
    for name, one in zip(SNOOPS, found, strict=True):
        assert not one.unscored
        assert one.score.reward == 0, (name, one.feedback)


async def test_what_is_measured_is_the_same_in_a_sandbox_of_either_kind(sandboxes, words):
    found = await judge_tests(words, GOOD["values"], sandboxes.execute, OPTIONS)
    assert len(words.mutants) == len(words.distinct) == 24
    assert (found.score.killed, found.score.survived) == (23, 1)
    assert (found.seen.lines, found.seen.branches) == ((8, 8), (6, 6))


async def test_a_mutant_that_takes_all_memory_does_not_end_the_others(sandboxes):
    module = "def grow(n):\n    found = [0]\n    while len(found) < n:\n        found = found + found\n    return len(found)\n"
    subject = WORDS.model_copy(update={"name": "grow", "function": "grow", "module": module, "trusted": ("grow(5)",)})
    surveyed = await survey(subject, sandboxes.execute, OPTIONS)
    tests = "from candidate import grow\ndef test_grow():\n    assert grow(5) == 8\n    assert grow(1) == 1\n    assert grow(0) == 1\n"
    found = await judge_tests(surveyed, tests, sandboxes.execute, OPTIONS)
    assert found.score.valid
    assert found.score.mutation_score == 1.0
    assert all(found.seen.mutants[one.name] == "killed" for one in surveyed.mutants if one.operator == "COI")
