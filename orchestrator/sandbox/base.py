"""The contracts of places where programs run: a Sandbox takes one at a time, a Session has one owner for many steps.

Providers (`docker.py`, `session.py`, `scripted.py`) implement them; `pool.py` keeps them warm.
Left out: what a run is worth. That is `scoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from orchestrator.errors import UsageError
from orchestrator.types import CellResult, Entry, ExecResult, Limits, Program, RunReport

OnOutput = Callable[[str, bytes], None]
"""Called with "stdout" or "stderr" and a piece of output, while a program runs."""
P_co = TypeVar("P_co", covariant=True)


class Place(Protocol):
    """What a pool keeps. Once `spent` it is closed and replaced."""

    @property
    def spent(self) -> bool:
        """Whether nobody else may have it."""
        ...

    async def close(self) -> None:
        """Destroy it. Safe to call twice."""
        ...


class Maker(Protocol[P_co]):
    """Makes what a pool keeps."""

    async def create(self) -> P_co:
        """Start one and return it when it is ready.

        Raises:
            SandboxUnavailable: it could not start.
        """
        ...

    async def close(self) -> None:
        """Destroy whatever this maker still has running. Safe to call twice."""
        ...


@runtime_checkable
class Sandbox(Protocol):
    """A place for one run at a time. Once `spent` it is closed and replaced."""

    @property
    def spent(self) -> bool:
        """Whether it takes no further run: it was made for one, has had its number of them, or saw an anomaly."""
        ...

    async def run(self, program: Program, limits: Limits, on_output: OnOutput | None = None) -> RunReport:
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


class Provider(Maker[Sandbox], Protocol):
    """Makes sandboxes."""


def content_of(path: str, content: bytes | str) -> bytes:
    """What is to be in a file of a session, as bytes.

    Raises:
        UsageError: it is neither bytes nor text.
    """
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise UsageError(
        f"The content of {path!r} is a {type(content).__name__}, not bytes or text.",
        remedy="Read a file of this machine first, as in `Path(name).read_bytes()`.",
    )


@runtime_checkable
class Session(Protocol):
    """A sandbox with one owner, for as many steps as the owner likes. Nobody had it before, and nobody gets it afterwards.

    **Nothing of a session is a verdict.** Its commands share one user, one folder and one set of processes: whatever runs in it
    can change the files, the programs and the Python state that later steps rely on, and can write what it likes to its own
    output. What comes out is what the session says of itself. To learn whether code is right, run it with tests (`execute`).

    The limits are those of a run: memory and disk for everything in it together, processes at once, and for each command wall
    time, output, and CPU time of each of its processes (no less than a time limit that is given). There is no network.
    """

    @property
    def limits(self) -> Limits:
        """What its commands may use."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it has ended: closed, over its time to live, or dead."""
        ...

    async def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | str = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run a command and report what happened. Several may run at once.

        After `timeout` seconds (the limits' wall time unless given) the command is killed with everything that it started,
        whatever became of their parents and groups, and nothing else. What a command leaves running when it ends by itself goes
        on until the session ends. `cwd` is relative to the work folder. `on_output(stream, chunk)` is called with "stdout" or
        "stderr" while it runs, with what the result will hold and no more. Cancelling kills the command.

        Raises:
            UsageError: there is no command in `argv`, or a NUL character or a wrong name in what is given.
            SandboxUnavailable: the session has ended or died; the command is not to blame.
        """
        ...

    async def read_file(self, path: str) -> bytes:
        """The content of a plain file of at most 100 MiB. `path` is relative to the work folder.

        Raises:
            UsageError: the path does not pass the gate, or it names no such file.
            SandboxUnavailable: as `exec`.
        """
        ...

    async def write_file(self, path: str, content: bytes | str) -> None:
        """Write a file of at most 100 MiB, and the folders above it. `path` is relative to the work folder.

        Raises:
            UsageError: the path does not pass the gate, something else is there, or it does not fit.
            SandboxUnavailable: as `exec`.
        """
        ...

    async def list(self, path: str = "") -> tuple[Entry, ...]:
        """What is in a folder, by name, at most 10,000 entries. `path` is relative to the work folder.

        Raises:
            UsageError: the path does not pass the gate, or it names no folder.
            SandboxUnavailable: as `exec`.
        """
        ...

    async def run_cell(self, code: str, *, timeout: float | None = None, on_output: OnOutput | None = None) -> CellResult:
        """Run Python code in a process that keeps its state from one cell to the next, as a notebook does. One at a time.

        An exception is a normal result. After `timeout` seconds the cell is interrupted, and as soon as it has written more than
        is kept of its output; one that still runs a second later is killed with the process, and the result says that the state
        is lost.

        Raises:
            SandboxUnavailable: as `exec`.
        """
        ...

    async def interrupt(self) -> None:
        """Interrupt the cell that runs, as Ctrl-C would; its state stays. Nothing happens where none runs."""
        ...

    async def restart(self) -> None:
        """End the process of the cells, and the cell that runs. The next one finds nothing of what was before but the files."""
        ...

    async def close(self) -> None:
        """End the session: all processes and files are gone. Safe to call twice."""
        ...


class OpenableSession(Session, Place, Protocol):
    """A session that waits for its owner, as a pool keeps it."""

    async def open(self, limits: Limits, ttl: float) -> None:
        """Become the caller's for `ttl` seconds, with these limits; the disk is what it was made with.

        Raises:
            SandboxUnavailable: it is somebody's already, or has died.
        """
        ...
