"""One waiting child on its way through its work: ordered, watched, heard and ended.

Left out: what it is ordered to do, and when it must end. That is `supervise.py`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from . import protocol
from .child import order_of
from .zygote import Waiting

if TYPE_CHECKING:
    from .schema import NotBegun, Order, Report

_CHUNK = 65536
_CPUCLOCK_SCHED = 2
"""With a process's number above it, the clock that runs while the process does."""


class Side:
    """One waiting child on its way through its work."""

    def __init__(self, waiting: Waiting) -> None:
        self.pid, self.control = waiting.pid, waiting.control
        self.pidfd = os.pidfd_open(self.pid)
        self.status: int | None = None
        """Wait status of the work itself, once it ended by itself."""
        self.cpu_time = 0.0
        self.memory_peak = 0
        """Bytes that its largest process had mapped in, shared ones included."""
        self.signal = 0
        """That ended it, whoever sent it."""
        self._reaped = False

    def order(self, order: Order, body: bytes, fds: Sequence[int]) -> None:
        """Hand the child its work, and close our copies of the descriptors. A child that is gone is seen later.

        Raises:
            OSError: the kernel does not pass it on.
        """
        data = order_of(order, body)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sent = socket.send_fds(self.control, [data[:_CHUNK]], fds)
                self.control.sendall(data[sent:])
        finally:
            for fd in fds:
                os.close(fd)

    def reap(self, *, kill: bool) -> None:
        """Wait for the child's end, after killing it if asked. With it goes all of its PID namespace."""
        if self._reaped:
            return
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        self._note(status, usage)
        if self.status is None and not kill:
            self.status = status

    def ended(self) -> bool:
        """Whether the child ended by itself; then it is reaped."""
        if self._reaped:
            return True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self._note(status, usage)
            if self.status is None:
                self.status = status
        return self._reaped

    def why_not_begun(self) -> NotBegun | None:
        """What it said in place of beginning its work; None if it began."""
        with contextlib.suppress(EOFError, OSError, protocol.ProtocolError):
            told, _ = self.hear(0.0)  # it is dead: what it said is there
            if told["type"] != "report":
                return told
        return None

    def alone(self) -> bool:
        """Whether it is still there, and has no child whose CPU time would only be known once both are gone."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        try:
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with open(f"/proc/{self.pid}/task/{task}/children", "rb") as file:
                    if file.read(1):
                        return False
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return False
        return fields[13] == fields[14] == b"0"  # CPU time of children that are gone

    def dismiss(self) -> None:
        """Note its CPU time and kill it, to be reaped later."""
        with contextlib.suppress(OSError):
            self.cpu_time = time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def hear(self, timeout: float) -> tuple[Report | NotBegun, bytes]:
        """A frame from the child, each part within `timeout` seconds. Raises EOFError, OSError, ProtocolError."""

        def read_exactly(count: int) -> bytes:
            data = bytearray()
            while len(data) < count:
                more = self.control.recv(min(count - len(data), 1 << 20))
                if not more:
                    raise EOFError
                data += more
            return bytes(data)

        self.control.settimeout(timeout)
        frame, body = protocol.read(read_exactly)
        return cast("Report | NotBegun", frame), body

    def _note(self, status: int, usage: resource.struct_rusage) -> None:
        self._reaped = True
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.cpu_time = usage.ru_utime + usage.ru_stime
        self.memory_peak = usage.ru_maxrss * 1024

    def close(self) -> None:
        """Let go of the descriptors."""
        self.control.close()
        os.close(self.pidfd)
