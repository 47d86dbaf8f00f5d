"""Warm pool: sandboxes that are started before anyone asks for them.

Starting a container and importing torch takes seconds; a run often takes milliseconds. The pool keeps `size`
sandboxes ready and gives each away once: a used sandbox is destroyed, never cleaned. At most `size` are out at once.

Left out: priorities, and fairness beyond first come, first served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.errors import PoolExhausted, SandboxUnavailable
from orchestrator.sandbox.base import Provider, Sandbox


class Pool:
    """Keeps `size` sandboxes of one provider warm. Use it as an async context manager."""

    def __init__(self, provider: Provider, size: int = 2) -> None:
        if size < 1:
            raise ValueError("A pool needs room for at least one sandbox.")
        self._provider = provider
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._ready: asyncio.Queue[Sandbox | SandboxUnavailable] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Pool:
        for _ in range(self._size):
            self._spawn(self._refill())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refill(self) -> None:
        try:
            self._ready.put_nowait(await self._provider.create())
        except SandboxUnavailable as exc:
            self._ready.put_nowait(exc)  # told to one caller, who may ask again
        except Exception as exc:
            error = SandboxUnavailable(f"A sandbox could not start: {exc}")
            error.__cause__ = exc
            self._ready.put_nowait(error)

    @asynccontextmanager
    async def acquire(self, timeout: float = 600.0) -> AsyncIterator[Sandbox]:
        """A warm sandbox for one run; it is destroyed in the background afterwards.

        Raises:
            PoolExhausted: none became free within `timeout` seconds, or the pool is closed.
            SandboxUnavailable: the sandbox meant for this caller could not start.
        """
        if self._closed:
            raise PoolExhausted("The pool is closed.")
        try:
            async with asyncio.timeout(timeout):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise PoolExhausted(f"No sandbox became free within {timeout} seconds; {self._size} are in use.") from exc
        try:
            try:
                async with asyncio.timeout(timeout):
                    found = await self._ready.get()
            except TimeoutError as exc:
                raise PoolExhausted(f"No sandbox became warm within {timeout} seconds.") from exc
            if not self._closed:
                self._spawn(self._refill())
            if isinstance(found, SandboxUnavailable):
                raise found
            try:
                yield found
            finally:
                self._spawn(found.close())
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Destroy all sandboxes. Safe to call twice, and shielded from cancellation."""
        self._closed = True
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        try:
            while self._tasks:
                await asyncio.gather(*self._tasks, return_exceptions=True)
            while not self._ready.empty():
                found = self._ready.get_nowait()
                if not isinstance(found, SandboxUnavailable):
                    await found.close()
        finally:
            await self._provider.close()
