"""The stream to the host: frames over the two descriptors that the engine attached.

Left out: what frames say. That is `protocol.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Any

from . import protocol

_WIDE = 1 << 20


class Pipe:
    """Frames over the two descriptors that the engine attached."""

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

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next frame. Raises EOFError, ProtocolError."""
        frame: tuple[dict[str, Any], bytes] = protocol.read(self.read_exactly)
        return frame

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Write a frame, all of it."""
        view = memoryview(protocol.encode(header, body))
        while view:
            view = view[os.write(self._write, view) :]


def widen(fd: int) -> None:
    """Let a pipe hold as much as the kernel allows everybody: what is long then takes fewer turns."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _WIDE)


def attached() -> Pipe:
    """Take over the streams of this process. The frames get descriptors of their own, so that nothing printed by accident can
    garble them.
    """
    frames = Pipe(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return frames
