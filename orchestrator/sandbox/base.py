"""The Sandbox contract: one place where programs run, one at a time.

Providers (`docker.py`, `scripted.py`) implement it; `pool.py` keeps sandboxes warm.
Left out: what a run is worth. That is `scoring`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from orchestrator.types import Limits, Program, RunReport


@runtime_checkable
class Sandbox(Protocol):
    """A place for one run at a time. Once `spent` it is closed and replaced."""

    @property
    def spent(self) -> bool:
        """Whether it takes no further run: it was made for one, has had its number of them, or saw an anomaly."""
        ...

    async def run(self, program: Program, limits: Limits, on_output: Callable[[str, bytes], None] | None = None) -> RunReport:
        """Run a program and report what happened to it.

        A program that crashes, hangs or floods its output is a normal report, seen in `status`.
        `on_output(stream, chunk)` is called with "stdout" or "stderr" while the program runs.

        Raises:
            SandboxUnavailable: the sandbox died or broke the protocol; the program is not to blame.
        """
        ...

    async def close(self) -> None:
        """Destroy the sandbox. Safe to call twice."""
        ...


class Provider(Protocol):
    """Makes sandboxes."""

    async def create(self) -> Sandbox:
        """Start a sandbox and return it when it is ready for a program.

        Raises:
            SandboxUnavailable: it could not start.
        """
        ...

    async def close(self) -> None:
        """Destroy whatever this provider still has running. Safe to call twice."""
        ...
