"""The attached stream of a container: bytes in, multiplexed bytes out."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any


class Channel:
    """The attached stream of a container: bytes in, multiplexed bytes out. Blocking; one thread reads, any may write."""

    def __init__(self, attached: Any) -> None:
        self._keep = attached  # the SDK's object owns the connection
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._out = bytearray()
        self._deadline = time.monotonic() + 60.0
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self.begun = threading.Event()
        """Set when the job is on its way and its limits hold, or never will: before that the agent takes nothing else."""
        self._raw = bytearray()
        self.log = bytearray()
        """The agent's own stderr, last bytes, for error messages."""

    def send(self, data: bytes) -> None:
        """Write all of it. Raises OSError, TimeoutError at the deadline: a frozen agent reads nothing."""
        with self._writing:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)

    def set_deadline(self, deadline: float) -> None:
        """Monotonic time after which reading and writing raise TimeoutError."""
        self._deadline = deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def read_exactly(self, count: int) -> bytes:
        """The next bytes of the container's stdout. Raises EOFError, TimeoutError, OSError."""
        with self._reading:
            while len(self._out) < count:
                self._receive()
        data = bytes(self._out[:count])
        del self._out[:count]
        return data

    def _receive(self) -> None:
        while len(self._raw) < 8 or len(self._raw) < 8 + struct.unpack(">I", self._raw[4:8])[0]:
            self._socket.settimeout(self._left())
            data = self._socket.recv(1 << 18)
            if not data:
                raise EOFError
            self._raw += data
        size = struct.unpack(">I", self._raw[4:8])[0]
        payload = self._raw[8 : 8 + size]
        if self._raw[0] == 1:
            self._out += payload
        else:
            self.log = (self.log + payload)[-4000:]
        del self._raw[: 8 + size]

    def close(self) -> None:
        """Let go of the connection, and of a thread that waits on it."""
        # shutdown wakes a thread that is blocked in recv; close alone would leave it there
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # Not before that thread is out of it: the number of a closed descriptor is given to the next connection, and a thread
        # that wakes after that waits on the wrong one.
        with self._reading, self._writing:
            # The SDK's stream, the HTTP response under it and the socket each hold the descriptor.
            for part in (self._keep, getattr(self._keep, "_response", None), self._socket):
                with contextlib.suppress(Exception):
                    part.close()  # type: ignore[union-attr]
