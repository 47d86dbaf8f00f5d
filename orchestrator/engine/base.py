"""The Executor contract: what runs programs and judges them, wherever that is.

The engine of this machine is one (`engine.py`). Applications know nothing else of where their programs run.

Left out: how a sandbox is had. That is `sandbox/base.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Protocol, runtime_checkable

from orchestrator.types import ExecutionResult, Limits, Program

OnOutput = Callable[[str, bytes], None]
"""Called with "stdout" or "stderr" and a piece of output, while a program runs."""


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
