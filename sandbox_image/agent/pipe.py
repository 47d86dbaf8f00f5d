"""The stream to the host: frames over the two descriptors that the engine attached.

Left out: what frames say. That is `protocol.py`, and `schema.py` for the type checker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from . import protocol

_WIDE = 1 << 20
_In = TypeVar("_In", bound=Mapping[str, object])
_Out = TypeVar("_Out", bound=Mapping[str, object])


class Pipe(Generic[_In, _Out]):
    """Frames over the two descriptors that the engine attached: which ones come in, and which ones go out."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self._write = read, write

    def read_exactly(self, count: int) -> bytes:
        """The next bytes. Raises EOFError."""
        chunks = []
        while count:
            data = os.read(self.read, min(count, 1 << 20))
            if not data:
                raise EOFError
            chunks.append(data)
            count -= len(data)
        return b"".join(chunks)

    def receive(self) -> tuple[_In, bytes]:
        """The next frame. Raises EOFError, ProtocolError."""
        frame: tuple[Any, bytes] = protocol.read(self.read_exactly)
        return frame

    def send(self, header: _Out, body: bytes = b"") -> None:
        """Write a frame, all of it."""
        view = memoryview(protocol.encode(header, body))
        while view:
            view = view[os.write(self._write, view) :]


def widen(fd: int) -> None:
    """Let a pipe hold as much as the kernel allows everybody: what is long then takes fewer turns."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _WIDE)


def attached() -> Pipe[Any, Any]:
    """Take over the streams of this process. The frames get descriptors of their own, so that nothing printed by accident can
    garble them.
    """
    frames: Pipe[Any, Any] = Pipe(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return frames
