"""Doing the same for many things at once.

Left out: what is interrupted and gone on with (`jobs/job.py`), and streams of results (`Engine.execute_many`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


async def each(one: Callable[[K], Awaitable[T]], items: Iterable[K], at_once: int | None = None) -> list[T]:
    """What `one` makes of each item, in their order; `at_once` of them side by side, else all.

    Raises:
        Whatever `one` raises first. The rest is cancelled then, and nothing runs on.
    """
    tasks: list[asyncio.Task[T]] = []
    seats = asyncio.Semaphore(at_once) if at_once is not None else None

    async def seated(item: K) -> T:
        if seats is None:
            return await one(item)
        async with seats:
            return await one(item)

    try:
        tasks += [asyncio.create_task(seated(item)) for item in items]
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
