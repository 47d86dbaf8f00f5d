"""Real faults of workers, with runs in them: each run ends once, the right side is blamed, the pool heals, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from census import Census, children_of, init_of, nothing_left

import orchestrator.sandbox.docker as provider_module
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import GiB, Limits, MiB, Program, Status, Verdict

pytestmark = pytest.mark.docker
LIMITS = Limits(wall_time=2, memory=128 * MiB)
SLOW = "import time; print('up', flush=True); time.sleep(0.5); print('done')"


@contextlib.asynccontextmanager
async def watched(isolation: str, workers: int = 1, **options: Any) -> AsyncIterator[tuple[Engine, Census]]:
    settings = Settings(workers=workers, isolation=isolation)  # type: ignore[arg-type]
    engine = Engine(settings, limits=options.pop("limits", LIMITS), preload=False, **options)
    async with nothing_left() as census, engine:
        census.watch(engine)
        yield engine, census


async def _busy(engine: Engine) -> str:
    """The container of the one run."""
    async with asyncio.timeout(20):
        while not engine._pool._lent:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (worker,) = engine._pool._lent
    return str(worker.sandbox.container)  # type: ignore[attr-defined]


async def _struck(engine: Engine, census: Census, fault: Callable[[Any, str], None]) -> Any:
    """The result of a program during whose first run the fault happens."""
    up = asyncio.Event()
    running = asyncio.create_task(engine.execute(Program(code=SLOW), on_output=lambda stream, chunk: up.set()))
    await asyncio.wait_for(up.wait(), 30)
    census.look()
    await asyncio.to_thread(fault, engine._provider.api, await _busy(engine))
    return await running


def _signal_agent(number: int) -> Callable[[Any, str], None]:
    return lambda api, container: os.kill(init_of(api, container), number)


def _remove(api: Any, container: str) -> None:
    api.remove_container(container, force=True)


FAULTS: dict[str, Callable[[Any, str], None]] = {
    "its container is killed": lambda api, container: api.kill(container),
    "its container is paused": lambda api, container: api.pause(container),
    "its container is removed": _remove,
    "its agent is killed": _signal_agent(signal.SIGKILL),
    "its agent is frozen": _signal_agent(signal.SIGSTOP),
}


BOTH = ("its container is killed", "its agent is frozen")


@pytest.mark.parametrize(
    ("level", "fault"), [("namespace", fault) for fault in FAULTS] + [("container", fault) for fault in BOTH]
)
async def test_a_run_ends_well_elsewhere_when(level, fault, monkeypatch):
    monkeypatch.setattr(provider_module, "_GRACE", 0.5)
    async with watched(level) as (engine, census):
        result = await _struck(engine, census, FAULTS[fault])
        assert (result.status, result.stdout, result.attempts) == (Status.OK, "up\ndone\n", 2), result.detail
        assert engine.metrics.runs == {("ok", ""): 1}
        assert engine.metrics.recycled["died"] == 1


async def test_an_idle_worker_that_died_is_replaced_without_blame():
    async with watched("namespace", workers=2) as (engine, _):
        await engine.execute(Program(code="1"))
        async with asyncio.timeout(30):
            while engine._pool.idle < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for worker in list(engine._pool._idle):
            await asyncio.to_thread(engine._provider.api.kill, worker.sandbox.container)
        result = await engine.execute(Program(code="print(1)"))
        assert (result.status, result.stdout) == (Status.OK, "1\n")
        assert result.attempts <= 3


async def _idle_agent(engine: Engine) -> tuple[str, int]:
    await engine.execute(Program(code="1"))
    container = engine._pool._idle[-1].sandbox.container  # type: ignore[attr-defined]
    return container, await asyncio.to_thread(init_of, engine._provider.api, container)


async def test_a_dead_zygote_costs_its_worker_and_no_run():
    async with watched("namespace") as (engine, _):
        container, agent = await _idle_agent(engine)
        zygote = min(children_of(agent))
        os.kill(zygote, signal.SIGKILL)
        results = [await engine.execute(Program(code=f"print({n})")) for n in range(3)]
        assert [(result.status, result.stdout) for result in results] == [(Status.OK, f"{n}\n") for n in range(3)]
        assert container not in engine._provider._live


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("tests", [None, "from candidate import f\ndef test_f(): assert f() == 1\n"], ids=["program", "apart"])
async def test_a_child_that_died_while_it_waited_is_not_the_programs_fault(tests):
    async with watched("namespace") as (engine, _):
        container, agent = await _idle_agent(engine)
        waiting = children_of(agent)[3:]  # after the zygotes
        assert waiting
        for child in waiting:
            os.kill(child, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not all(_is_dead(child) for child in waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        result = await engine.execute(Program(code="def f(): return 1", tests=tests))
        assert (result.status, result.attempts) == (Status.OK, 1), result
        assert result.verdict is (Verdict.ACCEPTED if tests else None)
        assert container in engine._provider._live


async def test_a_program_killed_for_the_hosts_lack_of_memory_is_not_blamed(monkeypatch, request):
    """The worker's parent cgroup stands for the host: it is full while the run is far below its own limit."""
    parent = f"fumehood-test-{os.getpid()}"
    real = provider_module.container_options

    def below(spec: Any, made: str, user: int) -> dict[str, Any]:
        options = real(spec, made, user)
        options["host"]["cgroup_parent"] = f"/{parent}"
        return options

    monkeypatch.setattr(provider_module, "container_options", below)
    request.addfinalizer(lambda: [folder.rmdir() for folder in _cgroups(parent)])
    code = "import time; print('up', flush=True); time.sleep(0.3); x = bytearray(400 << 20); print('done')"
    limits = Limits(wall_time=20, memory=1 * GiB)
    async with watched("namespace", limits=limits, retries=0) as (engine, _):
        await _idle_agent(engine)
        _set_memory_limit(parent, 200 * MiB)
        result = await engine.execute(Program(code=code))
        assert (result.status, result.verdict, result.reward) == (Status.SANDBOX_ERROR, Verdict.UNSCORED, None), result
        assert "host had no memory" in result.detail
        _set_memory_limit(parent, 8 * GiB)
        healed = await engine.execute(Program(code=code))
        assert (healed.status, healed.stdout) == (Status.OK, "up\ndone\n")
        own = await engine.execute(Program(code="x = bytearray(2 << 30)"))
        assert own.status is Status.MEMORY_EXCEEDED


def _cgroups(name: str) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [path for path in [*root.glob(f"*/{name}"), root / name] if path.is_dir() and not path.parent.is_symlink()]


def _set_memory_limit(name: str, amount: int) -> None:
    files = [folder / file for folder in _cgroups(name) for file in ("memory.limit_in_bytes", "memory.max")]
    (file,) = [file for file in files if file.exists()]
    file.write_text(str(amount))


async def test_a_thousand_submissions_end_once_each_while_workers_die():
    chance = random.Random(0)
    ended: Counter[int] = Counter()
    kills = 0
    async with watched("namespace", workers=4, retries=5) as (engine, census):

        async def strike() -> None:
            """Kill a container: one that runs something, waits or, at times, is just coming up."""
            nonlocal kills
            await asyncio.to_thread(census.look)
            up = [worker.sandbox.container for worker in [*engine._pool._lent, *engine._pool._idle]]
            name = chance.choice(sorted(up if up and kills % 4 else engine._provider._live))
            with contextlib.suppress(docker.errors.APIError):  # it is not up yet, or gone
                await asyncio.to_thread(engine._provider.api.kill, name)
                kills += 1

        strikes = set()
        async for place, result in engine.execute_many((_trivial(n) for n in range(1000)), in_flight=8):
            ended[place] += 1
            assert _as_expected(place, result), (place, result)
            if ended.total() % 60 == 0:
                strikes.add(asyncio.create_task(strike()))
        await asyncio.gather(*strikes)
        assert kills >= 10
        assert sum(engine.metrics.runs.values()) == 1000
        assert (await engine.execute(Program(code="print('healed')"))).stdout == "healed\n"
        async with asyncio.timeout(30):
            while engine._pool.idle < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert engine._pool.busy == engine._pool.queued == 0
    assert len(ended) == 1000
    assert set(ended.values()) == {1}


def _trivial(n: int) -> Program:
    match n % 4:
        case 0:
            return Program(code=f"raise SystemExit({n % 7 + 1})")
        case 1:
            return Program(code="def f(): return 1", tests="from candidate import f\ndef test_f(): assert f() == 1\n")
        case _:
            return Program(code=f"print({n})")


def _as_expected(n: int, result: Any) -> bool:
    match n % 4:
        case 0:
            return (result.status, result.exit_code) == (Status.RUNTIME_ERROR, n % 7 + 1)
        case 1:
            return bool(result.verdict is Verdict.ACCEPTED)
        case _:
            return (result.status, result.stdout) == (Status.OK, f"{n}\n")
