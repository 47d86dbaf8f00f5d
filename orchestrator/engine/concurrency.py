"""The same work for many items at once.

Left out: work that is interrupted and resumed (`jobs/job.py`), and streams of results (`Engine.execute_many`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


async def map_concurrently(function: Callable[[K], Awaitable[T]], items: Iterable[K], limit: int | None = None) -> list[T]:
    """The results of `function` for each item, in the order of the items; at most `limit` run at once, by default all.

    Raises:
        Whatever `function` raises first. The rest is cancelled then, and nothing keeps running.
    """
    tasks: list[asyncio.Task[T]] = []
    semaphore = asyncio.Semaphore(limit) if limit is not None else None

    async def limited(item: K) -> T:
        if semaphore is None:
            return await function(item)
        async with semaphore:
            return await function(item)

    try:
        tasks += [asyncio.create_task(limited(item)) for item in items]
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
