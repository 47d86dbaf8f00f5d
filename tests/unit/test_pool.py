"""The pool's rules, on scripted sandboxes: who is served, when sandboxes start and end, and what never happens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
import tracemalloc
from collections import Counter

import pytest

from orchestrator.errors import PoolExhausted, PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.sandbox import pool as pools
from orchestrator.sandbox.admission import Admission, FairQueue, host_memory
from orchestrator.sandbox.pool import IDLE_MEMORY, Pool
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.types import GiB, Limits, MiB, Program, RunReport, Status

OK = RunReport(status=Status.OK, isolation="scripted")
DEAD = SandboxUnavailable("It died.")
ONE = Program(code="1")
ROOMY = 1024 * GiB


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch):
    monkeypatch.setattr(pools, "FIRST_BACKOFF", 0.002)
    monkeypatch.setattr(pools, "LAST_BACKOFF", 0.01)


def provider(answers=None, **script) -> ScriptedProvider:
    return ScriptedProvider(answers or (lambda program: OK), **{"runs": 10**9, **script})


def make(script=None, size=1, *, budget=ROOMY, **options) -> Pool:
    return Pool(script or provider(), size, admission=options.pop("admission", None) or Admission(budget), **options)


async def until(condition, seconds=5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.001)


async def run(pool: Pool, program: Program = ONE, **options) -> RunReport:
    async with pool.acquire(**options) as sandbox:
        return await sandbox.run(program, Limits())


class Served:
    """Runs by name, and the order in which they were served. The pool's one sandbox is held until `go`."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.order, self.tasks = pool, [], []
        self._gate = asyncio.Event()

    async def __aenter__(self):
        self.tasks.append(asyncio.create_task(self._hold()))
        await until(lambda: self.pool.busy == 1)
        return self

    async def _hold(self):
        async with self.pool.acquire():
            await self._gate.wait()

    async def ask(self, name, **options):
        async def one():
            async with self.pool.acquire(**options) as sandbox:
                self.order.append(name)
                await sandbox.run(ONE, Limits())

        self.tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def go(self):
        self._gate.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def __aexit__(self, *exc):
        await self.go()


# Sandboxes: warm, reused, replaced.


async def test_sandboxes_are_ready_before_anyone_asks():
    async with make(size=3) as pool:
        await until(lambda: pool.idle == 3)
        async with pool.acquire(timeout=0):
            assert pool.idle == 2


async def test_a_sandbox_serves_runs_until_it_is_spent():
    script = provider(runs=4)
    async with make(script) as pool:
        for _ in range(9):
            await run(pool)
        await until(lambda: script.created == 3)
    assert [sandbox.runs for sandbox in script.sandboxes] == [4, 4, 1]
    assert all(sandbox.closed for sandbox in script.sandboxes)
    assert pool.metrics.recycled == {"spent": 2, "closed": 1}


async def test_where_a_sandbox_serves_one_run_the_next_is_started_while_it_runs():
    script = provider(runs=1)
    async with make(script, size=2) as pool:
        await run(pool)
        await until(lambda: pool.idle == 2)
        async with pool.acquire():
            await until(lambda: pool.idle == 2)
            async with pool.acquire():
                await until(lambda: pool.idle == 2)
                with pytest.raises(PoolExhausted, match="in use"):
                    await run(pool, timeout=0.01)


async def test_a_sandbox_that_is_spent_while_idle_is_not_lent():
    script = provider()
    async with make(script) as pool:
        await until(lambda: pool.idle == 1)
        script.sandboxes[0].spent = True
        await run(pool)
    assert [sandbox.runs for sandbox in script.sandboxes] == [0, 1]


async def test_a_pool_that_does_not_refill_starts_one_and_then_what_is_asked_for():
    script = provider(runs=1)
    async with make(script, size=4, refill=False) as pool:
        await until(lambda: pool.idle == 1)
        await run(pool)
        await asyncio.sleep(0.01)
        assert script.created == 1
        await asyncio.gather(*(run(pool) for _ in range(3)))
        await asyncio.sleep(0.01)
        assert script.created == 4


@pytest.mark.parametrize(("error", "reason"), [(DEAD, "died"), (ValueError("callback"), "error")])
async def test_a_run_that_breaks_its_sandbox_costs_it(error, reason):
    script = provider()
    async with make(script) as pool:
        with pytest.raises(type(error)):
            async with pool.acquire():
                raise error
        await run(pool)
        assert pool.metrics.recycled == {reason: 1}
    assert script.created == 2


async def test_a_refused_program_costs_nothing():
    script = provider()
    async with make(script) as pool:
        with pytest.raises(UsageError):
            async with pool.acquire():
                raise UsageError("Neither code nor a command.")
        await run(pool)
    assert script.created == 1


async def test_a_sandbox_that_cannot_be_destroyed_does_not_stop_the_pool():
    script = provider(runs=1)
    async with make(script) as pool:
        await until(lambda: pool.idle == 1)

        async def close():
            raise OSError("The engine hangs.")

        script.sandboxes[0].close = close
        await run(pool)
        await run(pool)
        assert pool.metrics.recycled["close_failed"] == 1
        script.sandboxes.pop(0)


async def test_who_asks_for_a_fresh_sandbox_costs_the_pool_one_old_one():
    script = provider()
    async with make(script, size=4) as pool:
        await until(lambda: pool.idle == 4)
        old = list(script.sandboxes)
        async with pool.acquire(fresh=True) as sandbox:
            assert sandbox not in old
            assert pool.metrics.recycled == {"suspect": 1}
            assert (pool.idle, pool.busy) == (3, 1)


# Starts that fail.


class Flaky(ScriptedProvider):
    """Starts fail as long as `broken` says why."""

    broken: Exception | None = None
    tried = 0

    async def create(self):
        self.tried += 1
        if self.broken is not None:
            raise self.broken
        return await super().create()


async def test_after_failed_starts_in_a_row_those_who_wait_are_told_and_the_pool_heals():
    script = Flaky(lambda program: OK)
    script.broken = SandboxUnavailable("The engine said no.")
    async with make(script, size=3) as pool:
        told = await asyncio.gather(*(run(pool) for _ in range(5)), return_exceptions=True)
        assert [str(error) for error in told] == ["The engine said no."] * 5
        assert len({id(error) for error in told}) == 5
        assert script.tried >= pools.GIVE_UP
        script.broken = None
        assert (await run(pool)).status is Status.OK
        await until(lambda: pool.idle == 3)


async def test_a_short_trouble_passes_unnoticed():
    script = Flaky(lambda program: OK)
    script.broken = OSError("connection refused")
    async with make(script, size=2) as pool:
        waiting = asyncio.create_task(run(pool))
        await until(lambda: pool.metrics.start_failures >= 3)
        assert not waiting.done()
        script.broken = None
        assert (await waiting).status is Status.OK


async def test_while_starts_fail_one_is_tried_at_a_time_and_ever_more_slowly(monkeypatch):
    monkeypatch.setattr(pools, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(pools, "LAST_BACKOFF", 10.0)
    script = Flaky(lambda program: OK)
    script.broken = OSError("connection refused")
    async with make(script, size=8) as pool:
        await asyncio.sleep(0.2)
        assert 8 + 3 <= script.tried <= 8 + 5
        assert pool.starting == 0


async def test_what_the_user_must_repair_is_told_at_once():
    script = Flaky(lambda program: OK)
    script.broken = PrerequisiteError("The image is gone.", remedy="Run `fumehood image build`.")
    async with make(script) as pool:
        with pytest.raises(PrerequisiteError, match="gone") as told:
            await run(pool)
    assert told.value.remedy == "Run `fumehood image build`."


# The queue.


async def test_callers_take_turns():
    async with make() as pool, Served(pool) as served:
        for i in range(3):
            await served.ask(f"a{i}", caller="a")
        await served.ask("b0", caller="b")
        await served.ask("c0", caller="c")
        await served.ask("b1", caller="b")
        await served.go()
    assert served.order == ["a0", "b0", "c0", "a1", "b1", "a2"]


async def test_higher_priority_goes_first_and_then_who_came_first():
    async with make() as pool, Served(pool) as served:
        for name, priority in (("low", -1), ("first", 0), ("second", 0), ("high", 5), ("higher", 7)):
            await served.ask(name, priority=priority)
        assert pool.queued_by_priority() == {-1: 1, 0: 2, 5: 1, 7: 1}
        await served.go()
    assert served.order == ["higher", "high", "first", "second", "low"]


async def test_low_priority_is_slow_and_never_starves():
    async with make() as pool, Served(pool) as served:
        await served.ask("low", priority=0)
        for i in range(100):
            await served.ask(i, priority=1)
        await served.go()
    assert served.order.index("low") < 20
    assert len(served.order) == 101


async def test_a_full_queue_lets_no_one_in_until_there_is_a_place():
    async with make(max_queued=2) as pool, Served(pool) as served:
        for i in range(5):
            await served.ask(i)
        assert (len(pool._queue), pool.queued) == (2, 5)
        with pytest.raises(PoolExhausted, match="full: 5 runs wait"):
            await run(pool, timeout=0)
        with pytest.raises(PoolExhausted, match="full: 6 runs wait"):
            await run(pool, timeout=0.01)
        assert pool.queued == 5
        await served.go()
    assert served.order == [0, 1, 2, 3, 4]


async def test_a_place_in_the_queue_goes_round_too():
    async with make(max_queued=1) as pool, Served(pool) as served:
        for name in ("a0", "a1", "a2", "b0"):
            await served.ask(name, caller=name[0])
        await served.go()
    assert served.order == ["a0", "a1", "b0", "a2"]


async def test_many_sandboxes_are_not_kept_idle_by_a_short_queue():
    script = provider(run_delay=0.01)
    async with make(script, size=4, max_queued=1) as pool:
        await until(lambda: pool.idle == 4)
        await asyncio.gather(*(run(pool) for _ in range(12)))
    assert script.most_running == 4


async def test_who_waits_too_long_is_told_and_leaves_no_trace():
    async with make() as pool, Served(pool) as served:
        with pytest.raises(PoolExhausted, match="1 are in use"):
            await run(pool, timeout=0.01)
        assert pool.queued == 0
        await served.ask("next")
        await served.go()
        assert served.order == ["next"]
        assert pool.metrics.refused == 1


async def test_a_timeout_that_was_not_needed_does_nothing():
    async with make() as pool, Served(pool) as served:
        task = await served.ask("patient", timeout=0.05)
        await served.go()
        await task
        await asyncio.sleep(0.06)
        assert pool.metrics.refused == 0


async def test_a_cancelled_caller_leaves_the_queue():
    async with make() as pool, Served(pool) as served:
        gone = await served.ask("gone")
        await served.ask("stays")
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert pool.queued == 1
        await served.go()
    assert served.order == ["stays"]


async def test_a_caller_cancelled_in_the_moment_of_being_served_gives_the_sandbox_on():
    script = provider()
    async with make(script) as pool, Served(pool) as served:
        first = await served.ask("first")
        served._gate.set()
        await until(lambda: pool.queued == 0)
        first.cancel()  # its future is done, it has not yet heard
        await served.go()
        assert (pool.busy, pool.idle) == (0, 1)
        await run(pool, timeout=1)
    assert script.created == 1


async def test_cancelling_a_run_destroys_its_sandbox_at_once():
    script = provider(run_delay=60)
    async with make(script) as pool:
        task = asyncio.create_task(run(pool))
        await until(lambda: script.running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (script.running, pool.busy) == (0, 0)
        await until(lambda: script.sandboxes[0].closed)
        script.run_delay = 0
        await run(pool)
        assert pool.metrics.recycled == {"cancelled": 1}
        assert pool.metrics.cancelled == 1


# Memory.


async def test_the_limits_of_all_runs_fit_the_budget():
    now = most = 0

    async def one(pool, memory):
        nonlocal now, most
        async with pool.acquire(memory=memory):
            now += memory
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= memory

    admission = Admission(8 * GiB)
    async with make(size=8, admission=admission) as pool:
        sizes = [(i % 5 + 1) * GiB for i in range(60)]
        await asyncio.gather(*(one(pool, size) for size in sizes))
        assert 5 * GiB <= most <= 8 * GiB
        await until(lambda: admission.used == pool.idle * IDLE_MEMORY)
    assert admission.used == 0


async def test_a_run_larger_than_the_budget_is_refused_with_a_remedy():
    async with make(budget=GiB) as pool:
        with pytest.raises(UsageError, match=r"2\.0 GiB does not fit") as told:
            await run(pool, memory=2 * GiB)
    assert "memory_budget" in told.value.remedy


async def test_a_large_run_waits_while_smaller_ones_pass_but_not_for_ever():
    order = []

    async def one(pool, name, memory):
        async with pool.acquire(memory=memory):
            order.append(name)
            await asyncio.sleep(0.001)

    async with make(size=4, budget=4 * GiB) as pool:
        await until(lambda: pool.idle == 4)
        tasks = []
        for i in range(200):
            tasks.append(asyncio.create_task(one(pool, i, GiB - 128 * MiB)))
            if i == 10:
                tasks.append(asyncio.create_task(one(pool, "large", 4 * GiB)))
        await asyncio.gather(*tasks)
    assert 10 < order.index("large") < 60
    assert len(order) == 201


async def test_idle_sandboxes_make_room():
    script = provider()
    async with make(script, size=4, budget=4 * IDLE_MEMORY) as pool:
        await until(lambda: pool.idle == 4)
        async with pool.acquire(memory=4 * IDLE_MEMORY, timeout=1):
            assert (pool.idle, pool.starting) == (0, 0)
            assert pool.metrics.recycled == {"evicted": 3}
        await until(lambda: pool.idle == 4)


async def test_pools_share_the_memory_and_none_starves():
    admission = Admission(GiB)
    async with make(size=4, admission=admission) as first, make(size=4, admission=admission) as second:
        await until(lambda: first.idle == 4)
        assert second.idle == 0

        async def busy(pool):
            for _ in range(50):
                async with pool.acquire(memory=512 * MiB, timeout=5):
                    await asyncio.sleep(0)

        await asyncio.gather(*(busy(pool) for pool in (first, second) for _ in range(3)))
        assert admission.used <= GiB
    assert (admission.used, admission.leaving) == (0, 0)


async def test_a_pool_that_needs_one_sandbox_gets_it_from_another_that_is_never_quiet():
    admission = Admission(GiB)
    async with make(size=4, admission=admission) as loud, make(size=1, admission=admission) as quiet:
        done = False

        async def noise():
            while not done:
                async with loud.acquire(memory=300 * MiB):
                    await asyncio.sleep(0)

        noises = [asyncio.create_task(noise()) for _ in range(6)]
        await until(lambda: loud.busy > 1)
        try:
            await run(quiet, memory=GiB, timeout=5)
        finally:
            done = True
            await asyncio.gather(*noises)


async def test_mixed_sizes_with_deaths_and_cancellations_lose_no_memory():
    admission = Admission(3 * GiB)
    script = provider(death_rate=0.1, runs=7, run_delay=0.0005)
    async with make(script, size=5, admission=admission) as first, make(size=2, admission=admission) as second:
        tasks = [
            asyncio.create_task(
                run(first if i % 3 else second, memory=(i * 37 % 29 + 1) * 100 * MiB, priority=i % 4, caller=str(i % 7))
            )
            for i in range(400)
        ]
        await asyncio.sleep(0.01)
        for task in tasks[::11]:
            task.cancel()
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        assert all(isinstance(end, RunReport | SandboxUnavailable | asyncio.CancelledError) for end in ends)
        assert (first.busy, first.queued, second.busy, second.queued) == (0, 0, 0, 0)
    assert (admission.used, admission.leaving) == (0, 0)
    assert admission.first() is None


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_mixed_everyone_comes_to_an_end(seed):
    chance = random.Random(seed)
    admission = Admission(chance.choice([GiB, 2 * GiB, 5 * GiB]))
    script = {"death_rate": 0.1, "start_failure_rate": 0.2, "run_delay": lambda program: chance.random() * 0.002}
    ends = Counter()

    async def one(pool):
        try:
            await run(
                pool,
                memory=chance.randrange(admission.budget + 1),
                caller=chance.choice("abc"),
                priority=chance.randrange(3),
                timeout=chance.choice([None, None, 0, 0.005]),
                fresh=chance.random() < 0.1,
            )
            ends["ran"] += 1
        except (SandboxUnavailable, PoolExhausted) as exc:
            ends[type(exc).__name__] += 1

    async with contextlib.AsyncExitStack() as opened:
        shared = []
        for i in range(3):
            pool = make(
                provider(runs=chance.choice([1, 3, 50]), seed=i, **script),
                chance.randrange(1, 5),
                admission=admission,
                max_queued=chance.choice([1, 7, 1000]),
                refill=i != 2,
            )
            shared.append(await opened.enter_async_context(pool))
        tasks = []
        for _ in range(300):
            tasks.append(asyncio.create_task(one(chance.choice(shared))))
            if chance.random() < 0.1:
                chance.choice(tasks).cancel()
            if chance.random() < 0.05:
                await chance.choice(shared).resize(chance.randrange(1, 6))
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            assert 0 <= admission.leaving <= admission.used <= admission.budget
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert all((pool.busy, pool.queued) == (0, 0) for pool in shared)
        assert admission.first() is None
        held = sum((pool.idle + pool.starting) * pool._idle_memory for pool in shared)
        assert admission.used == held + admission.leaving
    assert ends["ran"] > 100
    assert (admission.used, admission.leaving) == (0, 0)


def test_the_host_says_how_much_memory_it_has():
    assert 64 * MiB < host_memory(0.5) < host_memory(1.0)


# Drain, resize, close.


async def test_draining_finishes_what_was_taken_and_takes_nothing_new():
    script = provider(run_delay=0.005)
    async with make(script, size=2) as pool:
        tasks = [asyncio.create_task(run(pool)) for _ in range(6)]
        await until(lambda: pool.busy == 2)
        draining = asyncio.create_task(pool.drain())
        await asyncio.sleep(0)
        with pytest.raises(PoolExhausted, match="drained"):
            await run(pool)
        await draining
        assert all(task.done() for task in tasks)
        assert (await asyncio.gather(*tasks)) == [OK] * 6
    await pool.drain()


async def test_a_pool_grows_and_shrinks_while_it_works():
    script = provider(run_delay=0.005)
    async with make(script, size=1) as pool:
        tasks = [asyncio.create_task(run(pool)) for _ in range(30)]
        await until(lambda: pool.busy == 1)
        await pool.resize(4)
        await until(lambda: pool.busy == 4)
        await pool.resize(2)
        await until(lambda: pool.busy <= 2)
        script.most_running = 0
        await asyncio.gather(*tasks)
        assert script.most_running <= 2
        await until(lambda: pool.idle == 2)
        await pool.resize(1)
        assert (pool.idle, pool.busy, pool.starting) == (1, 0, 0)
        assert sum(not sandbox.closed for sandbox in script.sandboxes) == 1
        with pytest.raises(ValueError, match="at least one"):
            await pool.resize(0)


async def test_closing_ends_everything_and_is_safe_twice():
    script = provider(run_delay=60)
    admission = Admission(ROOMY)
    pool = make(script, size=2, admission=admission)
    async with pool:
        tasks = [asyncio.create_task(run(pool)) for _ in range(5)]
        await until(lambda: script.running == 2)
        await asyncio.gather(pool.close(), pool.close())
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert Counter(type(end) for end in ends) == {SandboxUnavailable: 2, PoolExhausted: 3}
    assert script.closed
    assert all(sandbox.closed for sandbox in script.sandboxes)
    assert admission.used == 0
    with pytest.raises(PoolExhausted, match="closed"):
        await run(pool)


async def test_closing_waits_for_a_start_so_that_nothing_outlives_it():
    script = provider(start_delay=0.02)
    async with make(script, size=2) as pool:
        await until(lambda: pool.starting == 2)
    assert [sandbox.closed for sandbox in script.sandboxes] == [True, True]


# Load.


@pytest.mark.parametrize("seed", range(3))
async def test_each_of_a_thousand_ends_once_while_sandboxes_die_and_do_not_start(seed):
    script = provider(death_rate=0.2, start_failure_rate=0.3, runs=5, seed=seed)
    ended = Counter()
    async with make(script, size=4) as pool:

        async def one(i):
            try:
                await run(pool, Program(code=str(i)), caller=str(i % 10), priority=i % 3)
                ended[i, "ran"] += 1
            except SandboxUnavailable:
                ended[i, "died"] += 1

        await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(1000))), 30)
        assert (pool.busy, pool.queued) == (0, 0)
    assert len(ended) == 1000
    assert set(ended.values()) == {1}
    assert {i for i, _ in ended} == set(range(1000))
    assert sum(how == "died" for _, how in ended) > 100
    assert max(Counter(program.code for program in script.programs).values()) == 1


async def cost(count: int) -> float:
    """CPU seconds for each of `count` runs that wait together."""
    script = provider(record=False)
    async with make(script, size=4, max_queued=20_000) as pool, contextlib.AsyncExitStack() as held:
        for _ in range(4):
            await held.enter_async_context(pool.acquire())
        gc.collect()
        started = time.process_time()
        tasks = [asyncio.create_task(run(pool, caller=str(i % 5), priority=i % 3)) for i in range(count)]
        await asyncio.sleep(0)
        assert pool.queued == count
        await held.aclose()
        await asyncio.gather(*tasks)
        return (time.process_time() - started) / count


async def test_a_run_costs_as_little_in_a_long_queue_as_in_a_short_one():
    short = min([await cost(1_000) for _ in range(3)])
    long = min([await cost(10_000) for _ in range(2)])
    # Ten times as many fit no cache, which costs up to twice as much. A queue that is searched would cost ten times.
    assert long < 4 * short
    assert long < 0.0006  # seconds; a fifth of it on a quiet machine


async def test_ten_thousand_waiting_runs_take_flat_memory_and_leave_none():
    async with make(provider(record=False), size=2, max_queued=20_000) as pool, Served(pool) as served:
        held = asyncio.create_task(served._hold())
        await until(lambda: pool.busy == 2)
        sizes = []
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tasks = []
            for count in (1_000, 10_000):
                while len(tasks) < count:
                    tasks.append(asyncio.create_task(run(pool)))
                await asyncio.sleep(0)
                sizes.append((tracemalloc.get_traced_memory()[0] - before) / count)
            served._gate.set()
            await asyncio.gather(held, *tasks)
            tasks.clear()
            await asyncio.sleep(0)  # lets go of what this task was woken by, the results above
            gc.collect()
            after = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert sizes[1] < 1.3 * sizes[0]
    assert sizes[1] < 8_000  # bytes, the caller's own task included
    assert after < 500_000


# The order by itself.


class Person:
    def __init__(self, caller="", priority=0):
        self.caller, self.priority = caller, priority


def test_leaving_the_queue_from_anywhere():
    queue: FairQueue[Person] = FairQueue()
    people = [Person(str(i % 3), i % 2) for i in range(12)]
    for person in people:
        queue.push(person)
    for person in people[::2]:
        queue.remove(person)
    assert queue.by_priority() == {1: 6}
    assert {queue.pop() for _ in range(6)} == set(people[1::2])
    assert (len(queue), queue.by_priority()) == (0, {})
    with pytest.raises(IndexError):
        queue.pop()
    with pytest.raises(KeyError):
        queue.remove(people[0])


def test_a_priority_that_comes_back_is_found_again():
    queue: FairQueue[Person] = FairQueue()
    for _ in range(50):
        first, second = Person(priority=1), Person(priority=2)
        queue.push(first)
        queue.push(second)
        queue.remove(second)
        assert queue.pop() is first
    assert len(queue._order) <= 2
