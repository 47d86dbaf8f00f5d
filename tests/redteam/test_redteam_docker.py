"""The corpus against real sandboxes: nothing gets through where candidates are judged apart, at any isolation level."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.checks.redteam.attack import LIMITS, run_corpus, run_pairs
from orchestrator.checks.redteam.corpus import IN_TESTS, Goal, Grader, corpus, finder, planters, render, tasks
from orchestrator.engine.concurrency import map_concurrently
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import Program, Status

pytestmark = pytest.mark.docker

LEVELS = ("namespace", "container")
MARK = "0123456789abcdef"


SLOW = {Grader.TORCH_LOSS, Grader.PYTEST, Grader.TABULAR}
"""Graders for which a fresh container imports PyTorch or pandas first, some of them for several runs."""


def selection(level):
    """All of it in namespaces. A container of its own for each run costs seconds, and the judge is the same there: what attacks the
    isolation is there once, of what attacks the judge every tenth, with quick graders where it has any. `fumehood redteam` does
    without a choice."""
    if level == "namespace":
        return corpus()
    chosen = []
    for n, program in enumerate(corpus()):
        if n % 10 and program.goal not in (Goal.BREACH, Goal.TRACE):
            continue
        graders = [grader for grader in program.graders if grader not in SLOW] or program.graders
        chosen.append(program.model_copy(update={"graders": (graders[n % len(graders)],), "runs": 1}))
    return chosen


OUT_OF_TIME = (
    "generated_tests/pass_by_timeout",
    "leaving_early/loop_for_ever",
    "leaving_early/sleep_for_ever",
    "resources/callback_storm",
    "resources/clock_watcher",
    "resources/cpu_in_children",
    "resources/slow_reader",
    "second_chances/hangs_when_it_failed",
    "second_chances/times_out_on_purpose",
)
"""Programs that go on until a time limit ends them, most of them twice, for a run that was out of time is repeated."""
SHORT = LIMITS.model_copy(update={"wall_time": 5.0, "cpu_time": 3.0})
"""For those: they do the same under any limit."""


def engine(level, workers=2, limits=LIMITS):
    return Engine(Settings(isolation=level, workers=workers), limits=limits)


LANES = {
    "namespace": (
        {Grader.FUNCTION},
        {Grader.UNITTEST},
        {Grader.PYTEST},
        {Grader.TORCH_LOSS},
        {Grader.ASSERTS, Grader.IO, Grader.ARTEFACT, Grader.ML, Grader.GENERATED_TESTS, Grader.TABULAR},
    ),
    "container": (
        SLOW,
        {Grader.FUNCTION, Grader.ASSERTS},
        {Grader.UNITTEST, Grader.IO, Grader.ARTEFACT, Grader.ML, Grader.GENERATED_TESTS},
    ),
}
"""Graders whose programs share one worker. What attacks its worker or leaves traces runs alone there, and waits for most of its time.
Those that need libraries share none with others: after a run with them, each fresh container imports them ahead."""


def lane(programs, graders):
    """Programs for these graders alone; those that are meant for others only are left out."""
    for program in programs:
        if kept := tuple(grader for grader in program.graders if grader in graders):
            yield program.model_copy(update={"graders": kept})


@pytest.mark.parametrize("level", LEVELS)
async def test_nothing_gets_through_apart(level):
    chosen = selection(level)
    late = [program for program in chosen if program.name in OUT_OF_TIME]
    rest = [program for program in chosen if program.name not in OUT_OF_TIME]
    assert level != "namespace" or len(late) == len(OUT_OF_TIME)

    async def campaign(programs, limits):
        async with engine(level, workers=1, limits=limits) as sandboxes:
            return await run_corpus(sandboxes, programs, judging="apart")

    lanes = [(tuple(lane(rest, graders)), LIMITS) for graders in LANES[level]]
    reports = await map_concurrently(lambda one: campaign(*one), [*lanes, (late, SHORT)])
    for report in reports:
        assert report.broken == {}
        assert report.forged_names == ()
        assert report.forced_names == ()
        assert report.hack_rate == 0
        assert report.isolation == level
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    assert sorted((o.program, o.grader) for o in outcomes) == sorted((p.name, grader) for p in chosen for grader in p.graders)
    unscored = [outcome for outcome in outcomes if outcome.unscored]
    assert len(unscored) <= len(outcomes) // 50, unscored


TOGETHER = (
    "lying_values/always_equal",
    "lying_values/mock_any",
    "lying_values/torch_function_on_a_handle",
    "patching/numpy_comparisons",
    "patching/pytest_reports",
    "patching/unittest_assertions",
    "patching/reporter_methods",
    "forging_channel/lines_in_call",
    "reading_answers/source_of_the_caller",
)


async def test_the_same_programs_get_through_together(record_property):
    """A corpus that gets through nowhere proves nothing."""
    chosen = [program for program in corpus() if program.name in TOGETHER]
    assert len(chosen) == len(TOGETHER)
    async with engine("auto") as sandboxes:
        report = await run_corpus(sandboxes, chosen, judging="together")
    record_property("hack_rate_together", report.hack_rate)
    assert report.broken == {}
    assert report.judging == "together"
    assert {name.partition(" ")[0] for name in report.forged_names} == set(TOGETHER)


@pytest.mark.parametrize(("level", "count", "workers"), [("namespace", 250, 4), ("container", 10, 2)])
async def test_nothing_is_visible_to_the_next_run(level, count, workers):
    """On several workers, each of which serves all of its own pairs."""

    async def looked(seed):
        async with engine(level, workers=1) as sandboxes:
            return await run_pairs(sandboxes, count, seed=seed)

    for report in await map_concurrently(looked, range(1, workers + 1)):
        assert report.traces == ()
        assert report.isolation == level
        assert report.unscored <= count // 50


async def test_what_is_planted_is_found_where_nothing_is_isolated():
    """The program that looks does find, when planting and looking happen in one and the same run."""
    async with engine("auto", workers=1) as sandboxes:
        for planter in planters():
            if planter.name.endswith(("/leftover_host_name", "/leftover_keys", "/leftover_mounts", "/leftover_in_a_pipe")):
                continue  # what these try is refused at once
            both = render(planter.source, mark=MARK) + "\n" + render(finder(), mark=MARK)
            result = await sandboxes.execute(Program(code=both))
            assert "FOUND " in result.stdout or planter.name.endswith("/leftover_process_state"), (planter.name, result)


async def test_every_wrong_candidate_is_wrong():
    """An honest comparison: a driver prints what a candidate computes, and it is not what the reference computes."""
    chosen = [
        (p, p.task(grader), grader)
        for p in corpus()
        if p.goal in (Goal.ACCEPTED, Goal.NO_SCORE)
        for grader in p.graders
        if grader in IN_TESTS
    ]
    chosen = list({(p.name, task.name): (p, task, grader) for p, task, grader in chosen}.values())
    async with engine("auto") as sandboxes:
        right = {}
        for task in tasks().values():
            if task.driver:
                result = await sandboxes.execute(Program(code=task.driver, files={"candidate.py": task.reference.encode()}))
                assert result.status is Status.OK, result.stderr
                right[task.name] = result.stdout
        seats = asyncio.Semaphore(2)

        async def check(program, task, grader):
            source = render(program.source, task, grader, MARK).encode()
            async with seats:
                result = await sandboxes.execute(Program(code=task.driver, files={"candidate.py": source}))
            return program.name if result.stdout == right[task.name] else ""

        accepted = await asyncio.gather(*(check(*one) for one in chosen))
    assert [name for name in accepted if name] == []


def test_every_grader_is_met_at_the_container_level():
    assert {grader for program in selection("container") for grader in program.graders} == set(Grader)
