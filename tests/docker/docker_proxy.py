"""A way to the engine that can be slow, cut or closed: a proxy before its socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any


class Proxy:
    """Carries bytes between clients of a socket of its own and the engine's. Use it as a context manager."""

    def __init__(self, path: Path, engine: str) -> None:
        self.address = f"unix://{path}"
        self.delay = 0.0
        """Seconds that each piece of what the engine says is held back."""
        self.refuses = False
        """New connections are closed at once."""
        self.answer = b""
        """What requests whose first line has `answers` in it get in place of the engine's answer."""
        self.answers = b""
        self._engine = engine.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(100)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Break all connections that are open."""
        with self._lock:
            broken = list(self._open)
        for end in broken:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            engine = socket.socket(socket.AF_UNIX)
            try:
                engine.connect(self._engine)
            except OSError:
                client.close()
                engine.close()
                continue
            self._start(self._join, client, engine)

    def _join(self, client: socket.socket, engine: socket.socket) -> None:
        with self._lock:
            self._open |= {client, engine}
        back = threading.Thread(target=self._carry, args=(engine, client, True), daemon=True)
        back.start()
        self._carry(client, engine, False)
        back.join()
        with self._lock:
            self._open -= {client, engine}
        client.close()
        engine.close()

    def _carry(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if answers:
                    time.sleep(self.delay)
                elif self.answers and self.answers in data.partition(b"\r\n")[0]:
                    source.sendall(self.answer)
                    break
                target.sendall(data)
            else:
                target.shutdown(socket.SHUT_WR)  # a half of a connection ends alone: an attached stdin, say
                return
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
