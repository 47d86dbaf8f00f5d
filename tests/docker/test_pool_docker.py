"""The pool with real containers: they are killed under load, resized, drained, and made from another image."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.errors import PoolExhausted, PrerequisiteError
from orchestrator.sandbox.engine import connect
from orchestrator.sandbox.hardening import OWNER, owner
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program, Status

pytestmark = pytest.mark.docker
LIMITS = Limits(memory=256 * MiB, wall_time=30)


def mine() -> set[str]:
    client = connect()
    try:
        return {found["Id"] for found in client.api.containers(filters={"label": f"{OWNER}={owner()}"})}
    finally:
        client.close()


async def test_each_run_ends_once_while_containers_are_killed_and_the_pool_heals():
    before = await asyncio.to_thread(mine)
    chance = random.Random(0)
    killed = 0

    async def kill():
        nonlocal killed
        while True:
            await asyncio.sleep(chance.uniform(0.5, 2))
            if found := await asyncio.to_thread(mine) - before:
                with contextlib.suppress(Exception):  # it may have gone by itself in the meantime
                    await asyncio.to_thread(api.kill, chance.choice(sorted(found)))
                    killed += 1

    ended: Counter[int] = Counter()
    async with Engine(Settings(workers=2), limits=LIMITS, preload=False, retries=5) as engine:
        api = engine._provider.api
        killer = asyncio.create_task(kill())
        programs = (Program(code=f"import time; time.sleep(0.05); print({i})") for i in range(120))
        async for place, result in engine.execute_many(programs):
            ended[place] += 1
            assert (result.status, result.stdout) == (Status.OK, f"{place}\n"), result.detail
        killer.cancel()
        assert killed
        assert engine.metrics.runs == {("ok", ""): 120}
        assert (await engine.execute(Program(code="print('healed')"))).stdout == "healed\n"
    assert set(ended.values()) == {1}
    assert len(ended) == 120
    assert await asyncio.to_thread(mine) <= before


async def test_containers_come_and_go_with_the_size_and_a_drained_engine_finishes_its_runs():
    before = await asyncio.to_thread(mine)
    async with Engine(Settings(workers=2), limits=LIMITS, preload=False) as engine:
        async with asyncio.timeout(60):
            while engine._pool.idle < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await engine.resize(1)
        assert len(await asyncio.to_thread(mine) - before) == 1
        running = [asyncio.create_task(engine.execute(Program(code=f"print({i})"))) for i in range(3)]
        await asyncio.sleep(0)
        await engine.drain()
        assert [(await run).stdout for run in running] == ["0\n", "1\n", "2\n"]
        with pytest.raises(PoolExhausted, match="drained"):
            await engine.execute(Program(code="1"))


async def test_a_run_names_its_image():
    async with Engine(Settings(workers=1), limits=LIMITS, preload=False) as engine:
        result = await engine.execute(Program(code="print('there')"), image=engine.image)
        assert (result.stdout, result.image) == ("there\n", engine.image)
        assert set(engine._pools) == {"", engine.image}
        assert f'fumehood_running{{image="{engine.image}"}} 0.0' in engine.metrics_text()
        with pytest.raises(PrerequisiteError, match="has no image"):
            await engine.execute(Program(code="1"), image="no-such-image:1")
