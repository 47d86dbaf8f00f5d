"""What a campaign counts: forged, forced to no score, and by what an accepted answer rests on."""

from __future__ import annotations

import pytest

from orchestrator.checks.redteam.attack import run_corpus
from orchestrator.checks.redteam.corpus import Family, Goal, Grader, HostileProgram, tasks
from orchestrator.types import ExecutionResult, Status, Verdict

PROGRAM = HostileProgram(
    name="lying_values/x", family=Family.LYING_VALUES, tries="One.", graders=(Grader.FUNCTION,), source="HOSTILE = 1"
)
REFERENCES = {task.reference for task in tasks().values()}


class Result(ExecutionResult):
    basis: str = ""


class Engine:
    """Accepts references on one basis, refuses stubs, and gives hostile programs what it is told, one result after the other."""

    workers = 1

    def __init__(self, *verdicts, basis="data", reference_basis="data"):
        self.verdicts, self.basis, self.reference_basis = list(verdicts), basis, reference_basis

    async def execute(self, program):
        verdict, basis = Verdict.WRONG_ANSWER, ""
        if "HOSTILE" in program.code:
            verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
            basis = self.basis
        elif program.code in REFERENCES:
            verdict, basis = Verdict.ACCEPTED, self.reference_basis
        return Result(status=Status.OK, verdict=verdict, basis=basis, judging="apart")


async def report(engine, **changes):
    return await run_corpus(engine, [PROGRAM.model_copy(update=changes)])


@pytest.mark.parametrize("basis", ["data", "line_up"])
async def test_an_accepted_program_is_forged_and_counted_by_its_basis(basis):
    found = await report(Engine(Verdict.ACCEPTED, basis=basis))
    assert (found.forged, found.hack_rate) == (1, 1.0)
    assert {key: rate.forged for key, rate in found.by_basis.items()} == {"data": 0, "line_up": 0, "word": 0} | {basis: 1}


async def test_one_accepted_on_its_word_fails_beside_a_reference_that_needs_none():
    found = await report(Engine(Verdict.ACCEPTED, basis="word"))
    assert found.forged == 0
    assert found.by_basis["word"].forged == 1
    assert found.outcomes[0].refused


async def test_one_accepted_on_its_word_is_forged_where_the_reference_rests_on_its_word_too():
    found = await report(Engine(Verdict.ACCEPTED, basis="word", reference_basis="word"))
    assert found.forged == 1


@pytest.mark.parametrize("goal", [Goal.ACCEPTED, Goal.NO_SCORE])
async def test_right_tests_that_are_blamed_are_a_forced_none(goal):
    found = await report(Engine(Verdict.INVALID_TESTS), goal=goal)
    assert (found.forged, found.forced_none, found.unscored) == (0, 1, 0)
    assert found.forced_names == ("lying_values/x x function: invalid_tests",)


async def test_a_program_that_stays_unscored_has_forced_it():
    found = await report(Engine(Verdict.UNSCORED), goal=Goal.NO_SCORE)
    assert (found.forced_none, found.unscored) == (1, 0)


async def test_one_that_is_unscored_once_has_not_forced_it():
    found = await report(Engine(Verdict.UNSCORED, Verdict.WRONG_ANSWER), goal=Goal.NO_SCORE)
    assert (found.forced_none, found.unscored) == (0, 1)


async def test_other_programs_that_are_unscored_are_the_places_fault():
    found = await report(Engine(Verdict.UNSCORED))
    assert (found.forced_none, found.unscored) == (0, 1)
