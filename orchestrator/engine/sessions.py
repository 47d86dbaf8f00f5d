"""Pools of sessions: a container that waits for an owner is given away once and replaced.

Of the engine's own image, with as much disk as it gives by default, one is kept ready once somebody has had a
session. Others are started when they are asked for.

Left out: what a session can do. That is `sandbox/base.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from orchestrator.errors import SandboxUnavailable
from orchestrator.sandbox.admission import Admission
from orchestrator.sandbox.base import Maker, OpenableSession, Session
from orchestrator.sandbox.metrics import Metrics
from orchestrator.sandbox.pool import Pool
from orchestrator.types import Limits, MiB

_MOST = 256
"""Sessions of one kind at once. Their memory is counted beside that of runs, and is what bounds them in practice."""
_IDLE_MEMORY = 64 * MiB
"""What one is counted with that waits for its owner."""


class Kind(NamedTuple):
    """What cannot be changed of a container once it is there."""

    image: str
    """Empty for the engine's own."""
    disk: int
    gpus: int


class SessionPools:
    """The sessions of one engine. `make(kind)` makes what starts their containers; `ready` lets one wait for its owner."""

    def __init__(
        self,
        make: Callable[[Kind], Maker[OpenableSession]],
        admission: Admission,
        metrics: Metrics,
        *,
        limits: Limits,
        retries: int,
        ready: bool,
    ) -> None:
        self._make, self._admission, self._metrics = make, admission, metrics
        self._usual = Kind("", limits.disk, 0) if ready else None
        self._retries = retries
        self._pools: dict[Kind, Pool[OpenableSession]] = {}
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def session(
        self, kind: Kind, limits: Limits, ttl: float, *, caller: str, priority: int, wait: float | None
    ) -> AsyncIterator[Session]:
        """A session, until the block is left. Raises as `Executor.session`."""
        pool = self._pools.get(kind) or await self._open(kind)
        left = self._retries
        async with contextlib.AsyncExitStack() as stack:
            while True:
                lease = pool.acquire(wait, memory=limits.memory, caller=caller, priority=priority)
                session = await stack.enter_async_context(lease)
                stack.push_async_callback(session.close)
                try:
                    await session.open(limits, ttl)
                    break
                except SandboxUnavailable:  # it died while it waited
                    if not left:
                        raise
                    left -= 1
                    await stack.aclose()
            yield session

    async def _open(self, kind: Kind) -> Pool[OpenableSession]:
        async with self._opening:
            if kind not in self._pools:
                pool = Pool(
                    await asyncio.to_thread(self._make, kind),
                    _MOST,
                    admission=self._admission,
                    idle_memory=_IDLE_MEMORY,
                    keep=int(kind == self._usual),
                    metrics=self._metrics,
                    name=f"{kind.image} session".strip(),
                )
                self._pools[kind] = await pool.__aenter__()
            return self._pools[kind]

    @property
    def pools(self) -> list[Pool[OpenableSession]]:
        """Those that there are."""
        return list(self._pools.values())
