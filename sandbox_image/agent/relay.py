"""The boundary of a run whose other side is in another container: bytes to and from the host.

Left out: the other half of their way, which is the host's (`orchestrator/sandbox/docker.py`).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .schema import Boundary

_CHUNK = 65536
_CAP = 256 * 1024 * 1024


class Relay:
    """Our end of that boundary. Its socket is in `selector` under `name`; when it is ready, `pump` is to be called."""

    def __init__(self, send: Callable[[Boundary, bytes], None], selector: selectors.BaseSelector, name: str) -> None:
        self._send, self._selector, self._name = send, selector, name
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._waiting = bytearray()
        """What the other side wrote, and ours has not read."""
        self._ends = False
        selector.register(self._ours, selectors.EVENT_READ, name)

    def end(self) -> int:
        """The descriptor for our side, once: it is the caller's to close."""
        return self._theirs.detach()

    def add(self, data: bytes, *, last: bool) -> bool:
        """What the other side wrote, to be passed on. Returns whether there is room for more."""
        self._ends = self._ends or last
        self._waiting += data
        self._watch()
        return len(self._waiting) <= _CAP

    def pump(self, mask: int) -> None:
        """Pass on what can be, as the selector says."""
        if mask & selectors.EVENT_WRITE:
            try:
                del self._waiting[: self._ours.send(self._waiting[:_CHUNK])]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.clear()  # nobody reads it any more
        if mask & selectors.EVENT_READ:
            try:
                data = self._ours.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self._send({"type": "boundary", "end": not data}, data)
            if not data:
                self._selector.unregister(self._ours)
                return
        self._watch()

    def close(self) -> None:
        """Pass on what our side wrote before it ended, and let go."""
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data := self._ours.recv(_CHUNK):
                self._send({"type": "boundary", "end": False}, data)
        self._send({"type": "boundary", "end": True}, b"")
        self._ours.close()

    def _watch(self) -> None:
        if self._ends and not self._waiting:  # not before the other side's last words have gone
            with contextlib.suppress(OSError):
                self._ours.shutdown(socket.SHUT_WR)
        with contextlib.suppress(KeyError):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
            self._selector.modify(self._ours, events, self._name)
