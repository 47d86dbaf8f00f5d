"""The engine's rules, on scripted sandboxes: retries, pool, verdicts, cancellation."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

import orchestrator
from orchestrator.errors import PoolExhausted, SandboxUnavailable
from orchestrator.sandbox.base import Provider, Sandbox
from orchestrator.sandbox.pool import Pool
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring.verdicts import binary_reward, verdict_of_program, verdict_of_tests
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, Program, RunReport, Status, TestOutcome, TestResult, Verdict
from orchestrator.workflows.execution import Engine

OK = RunReport(status=Status.OK, stdout="x", isolation="scripted")
PASSED = TestResult(name="a", outcome=TestOutcome.PASSED)
DEAD = SandboxUnavailable("It died.")


async def execute(answers, program=None, **options) -> tuple[ExecutionResult, ScriptedProvider]:
    provider = ScriptedProvider(answers)
    async with Engine(Settings(workers=1), provider=provider, **options) as engine:
        return await engine.execute(program or Program(code="1")), provider


async def test_a_dead_sandbox_is_tried_again_with_another():
    result, provider = await execute([DEAD, DEAD, OK])
    assert (result.status, result.attempts) == (Status.OK, 3)
    assert all(sandbox.closed for sandbox in provider.sandboxes)


async def test_sandboxes_that_keep_dying_leave_the_run_unscored():
    result, _ = await execute([DEAD] * 3)
    assert (result.status, result.verdict, result.reward) == (Status.SANDBOX_ERROR, Verdict.UNSCORED, None)
    assert result.detail == "It died."
    assert result.attempts == 3


async def test_a_program_that_fails_is_not_tried_again():
    result, provider = await execute([RunReport(status=Status.RUNTIME_ERROR, exit_code=1)])
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert len(provider.programs) == 1


async def test_output_reaches_the_caller_as_it_comes():
    seen = []
    async with Engine(Settings(workers=1), provider=ScriptedProvider([OK])) as engine:
        await engine.execute(Program(code="1"), on_output=lambda *chunk: seen.append(chunk))
    assert seen == [("stdout", b"x")]


class Slow(ScriptedProvider):
    """Counts how many run at once."""

    running = most = 0

    async def create(self):
        sandbox = await super().create()
        run = sandbox.run

        async def slowly(*args):
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1
            return await run(*args)

        sandbox.run = slowly
        return sandbox


async def test_no_more_runs_at_once_than_the_pool_has_room_for_and_none_is_lost():
    provider = Slow(lambda program: OK)
    async with Engine(Settings(workers=3), provider=provider) as engine:
        results = await asyncio.gather(*(engine.execute(Program(code=str(i))) for i in range(50)))
    assert len(results) == 50
    assert provider.most == 3
    assert sorted(int(p.code) for p in provider.programs) == list(range(50))
    assert all(sandbox.closed for sandbox in provider.sandboxes)


async def test_a_cancelled_caller_gives_its_place_back():
    provider = Slow(lambda program: OK)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        task = asyncio.create_task(engine.execute(Program(code="1")))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await engine.execute(Program(code="2"))).status is Status.OK


class Broken(ScriptedProvider):
    async def create(self):
        raise SandboxUnavailable("The engine said no.")


async def test_sandboxes_that_cannot_start_leave_the_run_unscored():
    async with Engine(Settings(workers=1), provider=Broken([])) as engine:
        result = await engine.execute(Program(code="1"))
    assert result.verdict is Verdict.UNSCORED
    assert result.detail == "The engine said no."


async def test_a_caller_who_waits_too_long_is_told():
    async with Pool(ScriptedProvider(lambda program: OK), 1) as pool, pool.acquire():
        with pytest.raises(PoolExhausted, match="in use"):
            async with pool.acquire(timeout=0.01):
                pass
    with pytest.raises(PoolExhausted, match="closed"):
        async with pool.acquire():
            pass


async def test_closing_twice_is_fine():
    provider = ScriptedProvider([])
    pool = Pool(provider, 2)
    async with pool:
        pass
    await pool.close()
    assert len(provider.sandboxes) == 2


def report(*outcomes: str, status: Status = Status.OK, complete: bool = True, side: str = "tests", **fields) -> RunReport:
    tests = tuple(TestResult(name=str(i), outcome=o, side=side if o == "failed" else "") for i, o in enumerate(outcomes))
    return RunReport(status=status, tests=tests, tests_collected=len(outcomes), tests_complete=complete and bool(tests), **fields)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (report("passed"), Verdict.ACCEPTED),
        (report("passed", "failed"), Verdict.WRONG_ANSWER),
        (report("passed", "failed", side="candidate"), Verdict.RUNTIME_ERROR),
        (report("passed", "skipped"), Verdict.INVALID_TESTS),
        (report("passed", complete=False), Verdict.RUNTIME_ERROR),
        (report(), Verdict.INVALID_TESTS),
        (report("passed", status=Status.SANDBOX_ERROR), Verdict.UNSCORED),
        (report("passed", status=Status.TIMED_OUT_CPU), Verdict.TIMED_OUT),
        (report("passed", status=Status.TIMED_OUT_WALL), Verdict.TIMED_OUT),
        (report("passed", status=Status.MEMORY_EXCEEDED), Verdict.MEMORY_EXCEEDED),
        (report("passed", status=Status.OUTPUT_EXCEEDED), Verdict.OUTPUT_EXCEEDED),
        (report("passed", status=Status.DISK_EXCEEDED), Verdict.RESOURCE_EXCEEDED),
        (report("passed", status=Status.PROCESS_LIMIT_EXCEEDED), Verdict.RESOURCE_EXCEEDED),
        (report("passed", status=Status.SIGNALLED), Verdict.RUNTIME_ERROR),
        (report(collection_error="x\nSyntaxError: bad", collection_error_side="candidate"), Verdict.INVALID_CANDIDATE),
        (report(collection_error="x\nNameError: bad", collection_error_side="candidate"), Verdict.RUNTIME_ERROR),
        (report(collection_error="x\nNameError: bad", collection_error_side="tests"), Verdict.INVALID_TESTS),
    ],
)
def test_a_verdict_follows_from_what_happened(given, verdict):
    assert verdict_of_tests(given) is verdict


def test_every_status_has_a_verdict_without_tests():
    for status in Status:
        assert (verdict_of_program(RunReport(status=status)) is None) is (status is Status.OK)


def test_an_infrastructure_failure_is_never_a_zero():
    assert binary_reward(Verdict.UNSCORED) is None
    assert binary_reward(None) is None
    assert [binary_reward(v) for v in (Verdict.ACCEPTED, Verdict.WRONG_ANSWER)] == [1.0, 0.0]


@pytest.mark.parametrize("field", ["wall_time", "cpu_time", "memory", "output", "disk", "processes", "artifacts"])
def test_a_negative_limit_is_refused(field):
    with pytest.raises(ValidationError, match=field):
        Limits(**{field: -1})


def test_a_result_survives_json():
    result = ExecutionResult(status=Status.OK, artifacts={"x": b"\xff\x00"}, verdict=Verdict.ACCEPTED)
    assert ExecutionResult.model_validate_json(result.model_dump_json()) == result


def test_scripted_parts_keep_the_contracts():
    provider: Provider = ScriptedProvider([])
    assert isinstance(asyncio.run(provider.create()), Sandbox)


def test_the_public_names_are_there():
    assert set(orchestrator.__all__) <= set(dir(orchestrator))
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        orchestrator.nothing  # noqa: B018
