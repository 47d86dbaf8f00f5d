"""Cells of Python code that share their state, in one process of a session.

The process (`sandbox_image/agent/cells.py`) answers through a channel of its own. It is the session's, and so is what it says:
here that is read as if a stranger had written it.

Left out: the process itself, and how it is reached (`session.py`).
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.sandbox.base import OnOutput
from orchestrator.sandbox.commands import Command
from orchestrator.types import CellError, CellResult, MiB, Status, Value
from sandbox_image.agent import protocol, schema

if TYPE_CHECKING:
    from orchestrator.sandbox.session import DockerSession

_GRACE = 1.0
"""Seconds that an interrupted cell has to end."""
_SILENCE = 15.0
"""Seconds after which an agent that does not report its end counts as dead."""
_MOST_HEADER, _MOST_BODY = 8 * MiB, 32 * MiB
"""Bytes of an answer."""
_PNG = b"\x89PNG\r\n\x1a\n"
_LOST = "Its process ended, and the state with it."


class _Answer(Value):
    """What a process says of a cell."""

    type: str
    cell: int
    value: str | None = None
    error: CellError | None = None
    pictures: tuple[int, ...] = ()


class Answers:
    """Frames out of what a process writes into its channel."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, chunk: bytes) -> list[tuple[_Answer, tuple[bytes, ...]]]:
        """The answers that are complete with this chunk, each with its pictures.

        Raises:
            ProtocolError: it is not an answer.
        """
        self._data += chunk
        found = []
        while (size := protocol.whole(self._data, _MOST_HEADER, _MOST_BODY)) is not None:
            frame, self._data = bytes(self._data[:size]), self._data[size:]
            found.append(_read(frame))
        return found


def _read(frame: bytes) -> tuple[_Answer, tuple[bytes, ...]]:
    left = memoryview(frame)

    def read_exactly(count: int) -> bytes:
        nonlocal left
        data, left = bytes(left[:count]), left[count:]
        return data

    header, body = protocol.read(read_exactly)
    try:
        answer = _Answer.model_validate(header)
    except ValidationError as exc:
        raise protocol.ProtocolError("It says something else than what became of a cell.") from exc
    pictures = protocol.split(body, list(answer.pictures))
    return answer, tuple(picture for picture in pictures if picture.startswith(_PNG))


class _Cell:
    """A cell on its way."""

    def __init__(self, number: int, cap: int, on_output: OnOutput | None) -> None:
        self.number, self._cap, self._on_output = number, cap, on_output
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.truncated = {"stdout": False, "stderr": False}
        self.over: asyncio.Future[_Answer | None] = asyncio.get_running_loop().create_future()
        """Its answer, or None where there will be none."""
        self.flooded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once there is more output than is kept. An answer may still come."""
        self.pictures: tuple[bytes, ...] = ()

    def heard(self, stream: str, chunk: bytes) -> None:
        kept = self.output[stream]
        room = self._cap - len(kept)
        if len(chunk) > room:
            self.truncated[stream] = True
            if not self.flooded.done():
                self.flooded.set_result(None)
        if chunk := chunk[:room]:
            kept += chunk
            if self._on_output is not None:
                self._on_output(stream, chunk)

    def end(self, answer: _Answer | None) -> None:
        if not self.over.done():
            self.over.set_result(answer)


class _Process(Command):
    """The process of the cells, with the cell that it is at."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = Answers()
        self.cell: _Cell | None = None
        self.nonsense = ""
        """What is wrong with what it says."""

    def heard(self, stream: str, chunk: bytes) -> None:
        """A chunk of output, or of an answer. What it says between two cells is nobody's."""
        if stream != "channel":
            if self.cell is not None:
                self.cell.heard(stream, chunk)
            return
        if self.nonsense:
            return
        try:
            for answer, pictures in self._answers.add(chunk):
                if self.cell is not None and answer.cell == self.cell.number:
                    self.cell.pictures = pictures
                    self.cell.end(answer)
        except protocol.ProtocolError as exc:
            self.nonsense = str(exc)
            if self.cell is not None:
                self.cell.end(None)


class Cells:
    """Runs the cells of one session, one at a time."""

    def __init__(self, session: DockerSession) -> None:
        self._session = session
        self._one_at_a_time = asyncio.Lock()
        self._process: _Process | None = None
        self._count = 0

    async def run(self, code: str, timeout: float, on_output: OnOutput | None) -> CellResult:
        """Run a cell; see `base.Session`."""
        async with self._one_at_a_time:
            process = await self._ready()
            self._count += 1
            cell = process.cell = _Cell(self._count, self._session.limits.output, on_output)
            begun = time.monotonic()
            frame = protocol.encode({"type": "cell", "cell": cell.number}, code.encode("utf-8", "surrogatepass"))
            try:
                await self._session.feed(process, frame, end=False)
                status, detail = await self._settled(process, cell, timeout)
            except asyncio.CancelledError:
                await asyncio.shield(self.interrupt())  # its answer, should one come, is another cell's no more
                raise
            finally:
                process.cell = None
            return _result(cell, status, detail, time.monotonic() - begun, lost=process.ended.done())

    async def _ready(self) -> _Process:
        """The process, started where there is none. Raises SandboxUnavailable."""
        if self._process is None or self._process.ended.done() or self._process.nonsense:
            self._process = _Process()
            work: schema.CellsOf = {
                **self._session.bounds,
                "mode": "cells",
                "env": protocol.ENVIRONMENT | {"MPLBACKEND": "Agg"},
                "cpu_time": 0,
            }
            await self._session.start(self._process, work, open_input=True, timeout=None, output=None)
        return self._process

    async def _settled(self, process: _Process, cell: _Cell, timeout: float) -> tuple[Status | None, str]:
        """Wait for the cell's end, or bring it about. Returns what happened to the process, if anything did.

        A cell that takes too long or floods its output is interrupted. Where it ends by that, the state stays.
        """
        await _first(process.ended, cell.over, cell.flooded, timeout=timeout)
        if process.ended.done():
            return _end_of(process)
        found: tuple[Status | None, str]
        if cell.flooded.done():
            found = Status.OUTPUT_EXCEEDED, f"More than {self._session.limits.output} bytes were written."
        elif cell.over.done():
            found = None, ""
        else:
            found = Status.TIMED_OUT_WALL, f"{timeout:g} seconds passed."
        if not cell.over.done():
            await self.interrupt()
            await _first(process.ended, cell.over, timeout=_GRACE)
        if cell.over.done() and cell.over.result() is not None:
            return found
        await self._kill(process)
        if process.nonsense:
            return Status.RUNTIME_ERROR, f"Its process wrote into the channel of answers: {process.nonsense} {_LOST}"
        return found[0], f"{found[1]} {_LOST}"

    async def _kill(self, process: _Process) -> None:
        """Kill the process, and wait for its end. Raises SandboxUnavailable."""
        await self._session.send({"type": "stop", "id": process.number})
        if not await _first(process.ended, timeout=_SILENCE):
            raise await self._session.fell_silent()

    async def interrupt(self) -> None:
        """Interrupt the cell that runs."""
        if self._process is not None and self._process.cell is not None and not self._process.ended.done():
            await self._session.send({"type": "signal", "id": self._process.number, "number": int(signal.SIGINT)})

    async def restart(self) -> None:
        """End the process."""
        if self._process is not None and not self._process.ended.done():
            await self._kill(self._process)


async def _first(*futures: asyncio.Future[Any], timeout: float) -> bool:
    """Whether one of them is done in time."""
    done, _ = await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


def _end_of(process: _Process) -> tuple[Status, str]:
    """What happened to a process that ended in the middle of a cell. Raises SandboxUnavailable."""
    end = process.ended.result()
    status = Status(end["status"])
    if status is Status.OK:  # it left by itself, which no cell may
        status = Status.RUNTIME_ERROR
    code = end.get("exit_code")
    why = end["detail"] or (f"It ended with exit code {code}." if code is not None else "")
    return status, f"{why} {_LOST}".strip()


def _result(cell: _Cell, status: Status | None, detail: str, wall_time: float, *, lost: bool) -> CellResult:
    answer = cell.over.result() if cell.over.done() else None
    if status is None:
        status = Status.OK if answer is not None and answer.error is None else Status.RUNTIME_ERROR
    return CellResult(
        status=status,
        value=answer.value if answer else None,
        error=answer.error if answer else None,
        pictures=cell.pictures,
        stdout=cell.output["stdout"].decode("utf-8", "replace"),
        stderr=cell.output["stderr"].decode("utf-8", "replace"),
        stdout_truncated=cell.truncated["stdout"],
        stderr_truncated=cell.truncated["stderr"],
        wall_time=wall_time,
        state_lost=lost,
        detail=detail,
    )
