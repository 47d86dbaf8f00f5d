"""The Executor contract: what runs programs and judges them, wherever that is.

The engine of this machine is one (`engine.py`). Applications know nothing else of where their programs run.

Left out: how a sandbox is had. That is `sandbox/base.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from orchestrator.sandbox.base import OnOutput as OnOutput
from orchestrator.sandbox.base import Session
from orchestrator.types import ExecutionResult, Limits, Program

TIME_TO_LIVE = 3600.0
"""Seconds after which a session ends unless it is asked for with another number."""
LONGEST_LIFE = 30 * 86400.0
"""Seconds that a session may live."""


@runtime_checkable
class Executor(Protocol):
    """Runs programs and judges them. `execute` says what its results mean."""

    limits: Limits
    """What a run gets unless it says otherwise."""
    image: str
    """Digest of the sandbox image."""

    @property
    def workers(self) -> int:
        """How many programs it runs at once."""
        ...

    async def execute(
        self,
        program: Program,
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        *,
        caller: str = "",
        priority: int = 0,
        image: str = "",
        wait: float | None = None,
    ) -> ExecutionResult:
        """Run a program, judge it if it has tests, and say what it is worth.

        Runs of a higher `priority` go first; inside one priority callers take turns by their name `caller`. `image` is another
        sandbox image than its own. `wait` is how many seconds to wait for a sandbox; None waits as long as it takes.

        Raises:
            UsageError: the program is contradictory, or cannot be run as it asks.
            PrerequisiteError: what it asks for is not there.
            PoolExhausted: no sandbox became free in time.
        """
        ...

    def execute_many(
        self,
        programs: Iterable[Program] | AsyncIterable[Program],
        limits: Limits | None = None,
        in_flight: int | None = None,
        *,
        caller: str = "",
        priority: int = 0,
        image: str = "",
    ) -> AsyncIterator[tuple[int, ExecutionResult]]:
        """Run programs, and yield (place in the input, result) as they finish; at most `in_flight` at a time.

        Raises:
            UsageError, PrerequisiteError, PoolExhausted: as `execute`; the first one ends everything.
        """
        ...

    def session(
        self,
        limits: Limits | None = None,
        *,
        image: str = "",
        gpus: int = 0,
        ttl: float = TIME_TO_LIVE,
        caller: str = "",
        priority: int = 0,
        wait: float | None = None,
    ) -> AbstractAsyncContextManager[Session]:
        """A sandbox of its own for many steps, as an async context manager; `sandbox.base.Session` says what it can do.

        It ends when the block is left, and after `ttl` seconds at the latest, even where nobody is there any more to end it.
        The other arguments are those of `execute`; `gpus` is how many GPUs it gets, 0 or 1.

        Raises (on entry):
            UsageError, PrerequisiteError, PoolExhausted: as `execute`.
            SandboxUnavailable: no sandbox came up.
        """
        ...
