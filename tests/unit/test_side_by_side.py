"""The same work for many items at once."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.concurrency import map_concurrently


@pytest.mark.parametrize(("limit", "most"), [(None, 6), (2, 2), (1, 1)])
async def test_results_are_in_order_and_no_more_run_than_may(limit, most):
    running = seen = 0

    async def one(number):
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        await asyncio.sleep(0.01 / (number + 1))
        running -= 1
        return number * 10

    assert await map_concurrently(one, range(6), limit) == [0, 10, 20, 30, 40, 50]
    assert seen == most


@pytest.mark.parametrize("limit", [None, 2])
async def test_the_first_error_ends_it_and_nothing_runs_on(limit):
    ended = []

    async def one(number):
        try:
            if number == 1:
                raise ValueError("one")
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="one"):
        await map_concurrently(one, range(4), limit)
    assert {0, 1} <= set(ended)
    assert (3 in ended) == (limit is None)
    assert len(asyncio.all_tasks()) == 1


async def test_whoever_cancels_it_cancels_all_of_it():
    begun, ended = asyncio.Event(), []

    async def one(number):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    task = asyncio.create_task(map_concurrently(one, range(3)))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]
