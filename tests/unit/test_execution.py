"""The engine's rules, on scripted sandboxes: retries, pool, verdicts, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import types
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import orchestrator
from orchestrator.engine import engine as execution
from orchestrator.engine.engine import Engine
from orchestrator.engine.watched import Watched
from orchestrator.errors import PoolExhausted, PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.sandbox import pool as pools
from orchestrator.sandbox.base import Provider, Sandbox
from orchestrator.sandbox.pool import Pool
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring.verdicts import binary_reward, verdict_of_program, verdict_of_tests
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, GiB, Limits, MiB, Program, RunReport, Status, TestOutcome, TestResult, Verdict

OK = RunReport(status=Status.OK, stdout="x", isolation="scripted")
PASSED = TestResult(name="a", outcome=TestOutcome.PASSED)
DEAD = SandboxUnavailable("It died.")


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch):
    monkeypatch.setattr(pools, "FIRST_BACKOFF", 0.002)


async def until(condition, seconds=5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.001)


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
    assert result.attempts == 1


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
    assert all(sandbox.closed for sandbox in provider.sandboxes)


async def test_a_report_of_a_failed_sandbox_is_tried_again_like_a_dead_one():
    failed = RunReport(status=Status.SANDBOX_ERROR, detail="The disk is full.")
    result, _ = await execute([failed, OK])
    assert (result.status, result.attempts) == (Status.OK, 2)
    result, _ = await execute([failed] * 3)
    assert (result.status, result.verdict, result.detail, result.attempts) == (
        Status.SANDBOX_ERROR,
        Verdict.UNSCORED,
        "The disk is full.",
        3,
    )


async def test_sandboxes_that_all_died_at_once_do_not_use_up_the_tries():
    provider = ScriptedProvider(lambda program: OK, runs=100)
    async with Engine(Settings(workers=8), provider=provider) as engine:
        await until(lambda: engine._pool.idle == 8)
        for sandbox in provider.sandboxes:
            await sandbox.close()
        result = await engine.execute(Program(code="1"))
    assert (result.status, result.attempts) == (Status.OK, 3)


@pytest.mark.parametrize(("load", "times"), [(100.0, 2), (0.0, 1)])
async def test_a_wall_timeout_counts_once_the_host_was_not_saturated(monkeypatch, load, times):
    monkeypatch.setattr(execution.os, "getloadavg", lambda: (load, load, load))
    slow = RunReport(status=Status.TIMED_OUT_WALL)
    result, provider = await execute(lambda program: slow)
    assert (result.verdict, result.attempts, len(provider.programs)) == (Verdict.TIMED_OUT, times, times)


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [
        ("parent\n", "parent\n", "parent\n"),
        ("parent\n", "parent\nchild\n", "parent\nchild\n"),
        ("parent\nchild\n", "parent\n", "parent\nchild\n"),
        ("pid 12\n", "pid 34\n", "pid 12\npid 34\n"),
        ("", "parent\n", "parent\n"),
    ],
)
async def test_what_a_program_repeats_when_it_is_run_again_is_shown_once(monkeypatch, first, second, seen):
    monkeypatch.setattr(execution, "_saturated", lambda: True)
    reports = [RunReport(status=Status.TIMED_OUT_WALL, stdout=first), RunReport(status=Status.OK, stdout=second)]
    shown: list[bytes] = []
    async with Engine(Settings(workers=1), provider=ScriptedProvider(reports, runs=9)) as engine:
        result = await engine.execute(Program(code="1"), on_output=lambda _, chunk: shown.append(chunk))
    assert (b"".join(shown).decode(), result.stdout, result.attempts) == (seen, second, 2)


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"ab"]), max_size=4), min_size=1, max_size=3))
def test_watched_output_ends_with_that_of_the_last_attempt_or_holds_it(attempts):
    shown: list[bytes] = []
    watched = Watched(lambda _, chunk: shown.append(chunk))
    over = None
    for chunks in attempts:
        hear = watched.attempt()
        for chunk in chunks:
            hear("stdout", chunk)
            if over is not None:
                over("stdout", b"late")
        over = hear
    assert b"".join(attempts[-1]) in b"".join(shown)
    assert b"late" not in b"".join(shown)


async def test_whoever_waits_too_long_for_a_sandbox_is_told():
    async with Engine(Settings(workers=1), provider=ScriptedProvider(lambda program: OK, run_delay=60)) as engine:
        task = asyncio.create_task(engine.execute(Program(code="1")))
        await until(lambda: engine._pool.busy)
        with pytest.raises(PoolExhausted, match="in use"):
            await engine.execute(Program(code="2"), wait=0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_run_of_the_engines_own_limits_is_always_let_in_and_a_larger_one_is_refused(monkeypatch):
    monkeypatch.setattr(execution, "host_memory", lambda: 100 * MiB)
    async with Engine(Settings(workers=2), limits=Limits(memory=GiB), provider=ScriptedProvider(lambda program: OK)) as engine:
        results = await asyncio.gather(*(engine.execute(Program(code="1")) for _ in range(5)))
        assert [result.status for result in results] == [Status.OK] * 5
        with pytest.raises(UsageError, match="does not fit"):
            await engine.execute(Program(code="1"), Limits(memory=2 * GiB))


async def test_an_engine_for_one_run_starts_no_second_sandbox():
    provider = ScriptedProvider([OK])
    async with Engine(Settings(workers=4), provider=provider, refill=False) as engine:
        await engine.execute(Program(code="1"))
        await asyncio.sleep(0.01)
    assert provider.created == 1


async def test_each_of_a_thousand_ends_once_while_sandboxes_die():
    provider = ScriptedProvider(
        lambda program: RunReport(status=Status.OK, stdout=program.code or ""), runs=9, death_rate=0.1, start_failure_rate=0.1
    )
    async with Engine(Settings(workers=4), provider=provider, retries=20) as engine:
        results = await engine.map(Program(code=str(i)) for i in range(1000))
        assert [result.stdout for result in results] == [str(i) for i in range(1000)]
        assert {result.status for result in results} == {Status.OK}
        deaths = sum(result.attempts - 1 for result in results)
        assert 50 < deaths == engine.metrics.retries
        assert engine.metrics.runs == {("ok", ""): 1000}


# Many programs.


def echo(program: Program) -> RunReport:
    return RunReport(status=Status.OK, stdout=program.code or "")


async def test_many_are_streamed_in_the_order_of_their_ends_with_a_bound_on_what_is_taken():
    taken = []

    def programs():
        for i in range(100):
            taken.append(i)
            yield Program(code=str(i))

    provider = ScriptedProvider(echo, runs=1000, run_delay=lambda program: 0.02 if program.code == "0" else 0.0)
    seen = []
    async with Engine(Settings(workers=2), provider=provider) as engine:
        async for place, result in engine.execute_many(programs(), in_flight=5):
            assert result.stdout == str(place)
            seen.append(place)
            assert len(taken) <= len(seen) + 2 * 5 + 1
    assert sorted(seen) == list(range(100))
    assert seen.index(0) > 0


async def test_many_from_an_asynchronous_source_and_results_in_order():
    async def programs():
        for i in range(20):
            await asyncio.sleep(0)
            yield Program(code=str(i))

    async with Engine(Settings(workers=3), provider=ScriptedProvider(echo)) as engine:
        assert [result.stdout for result in await engine.map(programs())] == [str(i) for i in range(20)]
        assert await engine.map([]) == []
        with pytest.raises(UsageError, match="too few"):
            await engine.map([], in_flight=-1)


async def test_leaving_early_cancels_what_runs():
    provider = ScriptedProvider(echo, run_delay=lambda program: 0.0 if program.code == "0" else 60.0)
    async with Engine(Settings(workers=3), provider=provider) as engine:
        async with contextlib.aclosing(engine.execute_many(Program(code=str(i)) for i in range(50))) as stream:
            async for _ in stream:
                break
        assert (provider.running, engine._pool.busy, engine._pool.queued) == (0, 0, 0)


async def test_an_error_among_many_ends_them_all():
    def answer(program):
        if program.code == "7":
            raise UsageError("Seven.")
        return OK

    async with Engine(Settings(workers=2), provider=ScriptedProvider(answer)) as engine:
        with pytest.raises(UsageError, match="Seven"):
            await engine.map(Program(code=str(i)) for i in range(50))
        assert (engine._pool.busy, engine._pool.queued) == (0, 0)


async def test_ten_thousand_are_streamed_and_none_is_lost():
    provider = ScriptedProvider(echo, runs=1000, record=False)
    places = bytearray(10_000)
    async with Engine(Settings(workers=4), provider=provider) as engine:
        async for place, result in engine.execute_many((Program(code=str(i)) for i in range(10_000)), in_flight=16):
            assert result.stdout == str(place)
            places[place] += 1
            assert engine._pool.queued + engine._pool.busy <= 16
    assert set(places) == {1}


# Draining, other images, metrics.


async def test_a_retry_of_an_accepted_run_is_taken_while_draining():
    provider = ScriptedProvider([DEAD, OK], run_delay=0.01)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        task = asyncio.create_task(engine.execute(Program(code="1")))
        await until(lambda: provider.running)
        await engine.drain()
        assert (await task).status is Status.OK
        with pytest.raises(PoolExhausted, match="drained"):
            await engine.execute(Program(code="2"))


async def test_an_engine_is_resized_while_it_works():
    provider = ScriptedProvider(echo, runs=1000, run_delay=0.005)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        work = asyncio.create_task(engine.map((Program(code=str(i)) for i in range(40)), in_flight=8))
        await asyncio.sleep(0.01)
        assert provider.most_running == 1
        await engine.resize(4)
        assert len(await work) == 40
        assert provider.most_running == 4
        with pytest.raises(UsageError, match="too few"):
            await engine.resize(0)


async def test_each_image_has_a_pool_that_ends_when_nobody_uses_it(monkeypatch):
    monkeypatch.setattr(execution, "KEEP_IDLE_POOL", 0.3)
    made: dict[str, list[ScriptedProvider]] = {}

    def provider_of(image):
        provider = ScriptedProvider(lambda program: RunReport(status=Status.OK, stdout=image), runs=100)
        made.setdefault(image, []).append(provider)
        return provider

    async with Engine(Settings(workers=2), provider_of=provider_of) as engine:
        images = ["", "one", "two"] * 4
        results = await asyncio.gather(*(engine.execute(Program(code="1"), image=image) for image in images))
        assert [result.stdout for result in results] == images
        assert {image: len(providers) for image, providers in made.items()} == {"": 1, "one": 1, "two": 1}
        for _ in range(10):  # used again and again, one stays
            await asyncio.sleep(0.05)
            await engine.execute(Program(code="1"), image="two")
        assert set(engine._pools) == {"", "two"}
        assert made["one"][0].closed
        assert not made["two"][0].closed
        await engine.execute(Program(code="1"), image="one")
        assert len(made["one"]) == 2
    assert all(provider.closed for providers in made.values() for provider in providers)
    assert engine._admission is not None
    assert engine._admission.used == 0


async def test_an_image_that_is_not_there_is_told_and_asked_for_again():
    def provider_of(image):
        if image:
            raise PrerequisiteError("The sandbox image x is not there.", remedy="Pull it.")
        return ScriptedProvider(echo)

    async with Engine(Settings(workers=1), provider_of=provider_of) as engine:
        for _ in range(2):
            with pytest.raises(PrerequisiteError, match="not there"):
                await engine.execute(Program(code="1"), image="x")
    async with Engine(Settings(workers=1), provider=ScriptedProvider(echo)) as engine:
        with pytest.raises(UsageError, match="one kind of sandbox"):
            await engine.execute(Program(code="1"), image="x")


def test_prometheus_is_imported_by_those_who_ask_for_metrics_only():
    script = "import sys, orchestrator.engine.engine; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_metrics_tell_what_queues_runs_and_fails():
    from prometheus_client.parser import text_string_to_metric_families

    attack = RunReport(status=Status.OK, attack=("ptrace",))
    provider = ScriptedProvider([OK, DEAD, OK, attack], runs=2)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        for _ in range(3):
            await engine.execute(Program(code="1"))
        provider.run_delay = 60
        tasks = [asyncio.create_task(engine.execute(Program(code="1"), priority=i % 2)) for i in range(4)]
        await until(lambda: provider.running)
        text = engine.metrics_text()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    values = {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key not in ("image", "le"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["fumehood_queued", "0"] + values["fumehood_queued", "1"] == 3
    assert values[("fumehood_running",)] == 1
    assert values["fumehood_runs_total", "ok", ""] == 2
    assert values["fumehood_runs_total", "ok", "tampered"] == 1
    assert values[("fumehood_tampered_total",)] == 1
    assert values[("fumehood_retries_total",)] == 1
    assert values["fumehood_worker_recycles_total", "died"] == 1
    assert values["fumehood_worker_recycles_total", "spent"] >= 1
    assert 2 <= values[("fumehood_worker_starts_total",)] <= provider.created == engine.metrics.starts
    assert values[("fumehood_wait_seconds_count",)] == 5
    assert values[("fumehood_run_seconds_count",)] == 4
    assert values[("fumehood_memory_reserved_bytes",)] == Limits().memory
    assert engine.metrics_text() != text


# Verdicts.


class Judging:
    """Stands in for the analysis of tests: white-box ones cannot be judged apart."""

    def __init__(self, monkeypatch):
        self.asked = Counter()
        module = types.ModuleType("orchestrator.engine.apart")
        module.why_together = self.why_together
        monkeypatch.setitem(sys.modules, module.__name__, module)
        execution._why_together.cache_clear()

    def why_together(self, tests, module, files):
        self.asked[tests, module] += 1
        return "they patch the candidate." if "white box" in tests else ""


@pytest.fixture
def analysis(monkeypatch):
    yield Judging(monkeypatch)
    execution._why_together.cache_clear()


TESTS = "from candidate import f\ndef test_f(): assert f() == 1"
ALL_PASSED = RunReport(status=Status.OK, tests=(PASSED,), tests_collected=1, tests_complete=True)


async def judge(judging, tests=TESTS, able=True):
    provider = ScriptedProvider(lambda program: ALL_PASSED, judges_apart=able)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        result = await engine.execute(Program(code="", tests=tests, judging=judging))
    assert [program.judging for program in provider.programs] == [result.judging]
    return result.judging


@pytest.mark.parametrize(
    ("judging", "tests", "able", "how"),
    [
        ("auto", TESTS, True, "apart"),
        ("auto", TESTS, False, "together"),
        ("auto", "# white box", True, "together"),
        ("apart", TESTS, True, "apart"),
        ("together", TESTS, True, "together"),
        ("together", "# white box", False, "together"),
    ],
)
async def test_a_result_says_how_it_was_judged_and_the_sandbox_was_told_so(analysis, judging, tests, able, how):
    assert await judge(judging, tests, able) == how


async def test_apart_is_an_error_where_it_cannot_be(analysis):
    with pytest.raises(UsageError, match="patch the candidate") as told:
        await judge("apart", "# white box")
    assert told.value.remedy == "Leave judging at `auto`, or ask for `together`."
    with pytest.raises(PrerequisiteError, match="cannot judge"):
        await judge("apart", able=False)


async def test_tests_that_many_candidates_share_are_looked_at_once(analysis):
    provider = ScriptedProvider(lambda program: ALL_PASSED, judges_apart=True)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        await engine.map(Program(code=str(i), tests=TESTS) for i in range(20))
    assert analysis.asked == {(TESTS, "candidate"): 1}


CHANGED = "the candidate changed a value that the other side had"
OVERLAPS = "the candidate handed out memory of another value"
UNSURE = ALL_PASSED.model_copy(update={"unsure": (CHANGED,), "stdout": "copies"})
FAILED = RunReport(
    status=Status.OK,
    tests=(PASSED.model_copy(update={"outcome": "failed"}),),
    tests_collected=1,
    tests_complete=True,
    stdout="shared",
)
WAITING = "from candidate import f\ndef test_f():\n    xs = [2, 1]\n    while xs:\n        f(xs)"


async def judge_apart(answers, tests=TESTS, **program) -> tuple[ExecutionResult, list[bool]]:
    """The result, and for each run whether values were shared."""
    provider = ScriptedProvider(answers, judges_apart=True)
    seen = []
    async with Engine(Settings(workers=1), provider=provider) as engine:
        result = await engine.execute(
            Program(code="", tests=tests, **program), on_output=lambda _, data: seen.append(data.decode())
        )
        assert sum(engine.metrics.runs.values()) == 1
    assert seen == [answers[0].stdout] * bool(answers[0].stdout)
    return result, [program.in_place for program in provider.programs]


async def test_copies_that_hid_nothing_are_one_run(analysis):
    result, shared = await judge_apart([ALL_PASSED])
    assert (result.verdict, result.unsure, shared) == (Verdict.ACCEPTED, (), [False])


async def test_what_copies_may_have_hidden_must_pass_with_values_shared(analysis):
    result, shared = await judge_apart([UNSURE, ALL_PASSED.model_copy(update={"stdout": "shared"})])
    assert (result.verdict, result.stdout, result.unsure, shared) == (Verdict.ACCEPTED, "copies", (CHANGED,), [False, True])
    assert result.basis != "word"
    result, shared = await judge_apart([UNSURE, FAILED])
    assert (result.verdict, result.reward, result.stdout, shared) == (Verdict.WRONG_ANSWER, 0.0, "shared", [False, True])
    assert result.unsure == (CHANGED,)


async def test_memory_that_cannot_be_shared_rests_on_the_candidates_word(analysis):
    result, shared = await judge_apart([UNSURE, ALL_PASSED.model_copy(update={"unsure": (OVERLAPS,)})])
    assert (result.verdict, result.basis, shared) == (Verdict.ACCEPTED, "word", [False, True])


async def test_a_sandbox_that_dies_in_the_second_run_leaves_no_acceptance(analysis):
    result, shared = await judge_apart([UNSURE, DEAD, FAILED])
    assert (result.verdict, shared) == (Verdict.WRONG_ANSWER, [False, True, True])
    result, _ = await judge_apart([UNSURE, DEAD, DEAD, DEAD])
    assert (result.verdict, result.reward) == (Verdict.UNSCORED, None)


async def test_what_passes_with_values_shared_alone_rests_on_the_candidates_word(analysis):
    failed = FAILED.model_copy(update={"unsure": (CHANGED,), "stdout": "copies"})
    result, shared = await judge_apart([failed, ALL_PASSED])
    assert (result.verdict, result.basis, result.tests[0].basis, shared) == (Verdict.ACCEPTED, "word", "word", [False, True])
    assert result.unsure == (CHANGED,)
    result, shared = await judge_apart([failed, FAILED])
    assert (result.verdict, result.stdout, shared) == (Verdict.WRONG_ANSWER, "shared", [False, True])
    result, _ = await judge_apart([failed, DEAD, DEAD, DEAD])
    assert (result.verdict, result.stdout) == (Verdict.WRONG_ANSWER, "copies"), "what was decided is not undone"


async def test_what_is_compared_with_its_own_change_stays_refused(analysis):
    failed = FAILED.model_copy(update={"unsure": (CHANGED,), "stdout": "copies"})
    circular = ALL_PASSED.model_copy(update={"tests": (PASSED.model_copy(update={"circular": True}),)})
    result, shared = await judge_apart([failed, circular])
    assert (result.verdict, result.stdout, shared) == (Verdict.WRONG_ANSWER, "copies", [False, True])
    result, _ = await judge_apart([UNSURE, circular])
    assert (result.verdict, result.basis) == (Verdict.ACCEPTED, ""), "with copies it did not agree with itself"


async def test_values_that_cannot_be_shared_decide_nothing(analysis):
    apart = RunReport(status=Status.OK, not_apart="A lock cannot be passed")
    result, shared = await judge_apart([UNSURE, apart])
    assert (result.verdict, result.basis, result.judging, shared) == (Verdict.ACCEPTED, "word", "apart", [False, True])
    failed = FAILED.model_copy(update={"unsure": (CHANGED,), "stdout": "copies"})
    result, shared = await judge_apart([failed, apart])
    assert (result.verdict, result.stdout, shared) == (Verdict.WRONG_ANSWER, "copies", [False, True])


async def test_a_failure_that_copies_do_not_explain_is_final(analysis):
    result, shared = await judge_apart([FAILED])
    assert (result.verdict, shared) == (Verdict.WRONG_ANSWER, [False])


@pytest.mark.parametrize(
    ("tests", "declared", "unsure", "basis"),
    [
        (WAITING, False, (CHANGED,), "word"),
        (WAITING, False, (), ""),
        (WAITING, True, (CHANGED,), ""),
        (TESTS, True, (CHANGED,), ""),
        (TESTS, True, (OVERLAPS,), "word"),
        (WAITING, False, (OVERLAPS,), "word"),
    ],
)
async def test_tests_that_say_in_place_or_wait_for_it_are_run_so_alone(analysis, tests, declared, unsure, basis):
    result, shared = await judge_apart([UNSURE.model_copy(update={"unsure": unsure})], tests, in_place=declared)
    assert (result.verdict, result.basis, result.tests[0].basis, shared) == (Verdict.ACCEPTED, basis, basis, [True])


async def test_judged_together_nothing_is_shared_or_tried_again(analysis):
    result, shared = await judge_apart([UNSURE], WAITING, judging="together")
    assert (result.verdict, shared) == (Verdict.ACCEPTED, [False])


@pytest.mark.parametrize("program", [Program(code="", tests=TESTS, judging="together"), Program(code="")])
async def test_an_attack_that_was_seen_is_worth_nothing(program):
    result, _ = await execute([ALL_PASSED.model_copy(update={"attack": ("It read the judge's memory.",)})], program)
    assert (result.verdict, result.reward) == (Verdict.TAMPERED, 0.0)


# What a repetition may not mend, and tests that turn out to need one interpreter.


A_FAILURE = TestResult(name="test_f", outcome="failed", side="tests")


@pytest.mark.parametrize("status", [Status.SANDBOX_ERROR, Status.TIMED_OUT_WALL])
async def test_a_failure_that_is_known_is_not_run_again(monkeypatch, status):
    monkeypatch.setattr(execution, "_saturated", lambda: True)
    known = RunReport(status=status, tests=(A_FAILURE,), tests_collected=1, received=True)
    result, provider = await execute([known, ALL_PASSED], Program(code="", tests=TESTS, judging="together"))
    assert len(provider.programs) == result.attempts == 1
    assert (result.verdict, result.reward) == (Verdict.WRONG_ANSWER if status is Status.SANDBOX_ERROR else Verdict.TIMED_OUT, 0.0)


async def apart_then_together(reports, judging="auto"):
    provider = ScriptedProvider(reports, judges_apart=True, runs=9)
    async with Engine(Settings(workers=1), provider=provider) as engine:
        return await engine.execute(Program(code="", tests=TESTS, judging=judging)), provider


NEEDS_ONE = RunReport(status=Status.OK, not_apart="An object of the tests' own cannot be passed.", received=True)


async def test_tests_that_turn_out_to_need_one_interpreter_are_judged_together(analysis):
    result, provider = await apart_then_together([NEEDS_ONE, ALL_PASSED])
    assert [program.judging for program in provider.programs] == ["apart", "together"]
    assert (result.verdict, result.judging, result.attempts, result.basis) == (Verdict.ACCEPTED, "together", 2, "")


async def test_where_apart_was_asked_for_it_is_the_tests_fault(analysis):
    result, _ = await apart_then_together([NEEDS_ONE], "apart")
    assert (result.verdict, result.reward, result.judging) == (Verdict.INVALID_TESTS, None, "apart")


async def test_a_failure_before_that_stands(analysis):
    result, provider = await apart_then_together([NEEDS_ONE.model_copy(update={"tests": (A_FAILURE,)}), ALL_PASSED])
    assert (result.verdict, result.judging, len(provider.programs)) == (Verdict.WRONG_ANSWER, "apart", 1)


def report(*outcomes: str, status: Status = Status.OK, complete: bool = True, side: str = "tests", **fields) -> RunReport:
    tests = tuple(TestResult(name=str(i), outcome=o, side=side if o == "failed" else "") for i, o in enumerate(outcomes))
    return RunReport(status=status, tests=tests, tests_collected=len(outcomes), tests_complete=complete and bool(tests), **fields)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (report("passed"), Verdict.ACCEPTED),
        (report("passed", "failed"), Verdict.WRONG_ANSWER),
        (report("passed", "failed", side="candidate"), Verdict.RUNTIME_ERROR),
        (report("passed", "skipped"), Verdict.ACCEPTED),
        (report("skipped", "skipped"), Verdict.INVALID_TESTS),
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
