"""A model server for as long as a command runs.

    with launcher.start("0.5b") as server:
        ...  # server.base_url

The server is a child process, so that a crash of native code is an error message and not ours. It ends with us,
however we end: it watches a pipe that only we hold open.

Left out: servers that somebody else runs; give their URL to the client.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from llm_server.embedded import DEFAULT_CONTEXT, DEFAULT_MODEL, DEFAULT_PARALLEL
from llm_server.weights import Note, Progress, resolve
from orchestrator.errors import PrerequisiteError

READY = "Serving {model} at {url} (sha256 {sha256})"
"""The one line the server prints when it answers."""

_READY = re.compile(r"Serving (?P<model>.+) at (?P<url>http\S+) \(sha256 (?P<sha256>[0-9a-f]{64})\)")

CLOSING = 10.0
"""Seconds a server has to close before it is killed."""


class RunningServer:
    """A model server that answers. Closing it is safe to do twice, and done at exit at the latest."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str], base_url: str, model: str, sha256: str) -> None:
        self._process = process
        self._log = log
        self.base_url = base_url
        self.model = model
        """Name it serves under."""
        self.sha256 = sha256
        """Of the weights."""
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the server: politely, then by force."""
        _end(self._process)
        self._log.close()
        atexit.unregister(self.close)

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def start(
    model: str = DEFAULT_MODEL,
    *,
    port: int | None = None,
    threads: int | None = None,
    ctx: int = DEFAULT_CONTEXT,
    parallel: int = DEFAULT_PARALLEL,
    api_key: str = "",
    home: Path | None = None,
    progress: Progress | None = None,
    note: Note | None = None,
    timeout: float = 180.0,
) -> RunningServer:
    """Have the weights, start a server on loopback, and return it when it answers.

    Args:
        model: a known name, or the path of a GGUF file.
        port: None takes a free one.
        threads: see `embedded.serve`; so are `ctx`, `parallel` and `api_key`.
        ctx: tokens of one request.
        parallel: requests at once.
        api_key: asked of clients.
        home: see `weights.resolve`; so are `progress` and `note`.
        progress: bytes of a download.
        note: sentences while waiting.
        timeout: seconds the server may take to load, the download not counted.

    Raises:
        UsageError: the model is unknown.
        PrerequisiteError: weights cannot be had, or the server died or did not answer in time; the error quotes its last output.
    """
    resolve(model, home, progress, note=note)  # in this process, where the caller sees the progress
    command = [sys.executable, "-m", "llm_server", "--until-stdin-closes", "--model", model, "--port", str(port or 0)]
    command += ["--ctx", str(ctx), "--parallel", str(parallel)]
    command += ["--threads", str(threads)] if threads else []
    command += ["--home", str(home)] if home else []
    environment = {**os.environ, "FUMEHOOD_API_KEY": api_key}  # a command line is for all to read
    log = tempfile.TemporaryFile("w+", prefix="llm-server-", errors="replace")  # noqa: SIM115 - closed with the server
    # Its own session: Ctrl-C in a terminal is ours to handle, and ends the server through `close`.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, env=environment
    )
    try:
        ready = _wait_until_ready(process, timeout)
        if ready is None:
            state = "did not answer in time" if process.poll() is None else f"ended with code {process.returncode}"
            raise PrerequisiteError(
                f"The model server {state}. Its last words: {_last_words(log)}",
                remedy=f"Try `{sys.executable} -m llm_server --model {model}` by hand.",
            )
    except BaseException:
        _end(process)
        log.close()
        raise
    return RunningServer(process, log, ready["url"], ready["model"], ready["sha256"])


async def start_async(model: str = DEFAULT_MODEL, **options: object) -> RunningServer:
    """`start` for callers in an event loop, with the same options. Cancelled, it leaves no server behind."""
    starting = asyncio.ensure_future(asyncio.to_thread(start, model, **options))  # type: ignore[arg-type]
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(starting: asyncio.Future[RunningServer]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().close()


def _wait_until_ready(process: subprocess.Popen[str], timeout: float) -> re.Match[str] | None:
    """The announcement, or None when the server ended or the time ran out."""
    found: list[re.Match[str]] = []
    announced = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:  # to its end, so that the server never blocks on a full pipe
                match = _READY.match(line)
                if match:
                    found.append(match)
                    announced.set()
        announced.set()

    threading.Thread(target=listen, daemon=True).start()
    announced.wait(timeout)
    if not found:
        deadline = time.monotonic() + 1  # its output ends a moment before it does
        while process.poll() is None and announced.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
    return found[0] if found else None


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def _last_words(log: IO[str], lines: int = 8) -> str:
    log.seek(0)
    said = [line.strip() for line in log.read()[-8192:].splitlines() if line.strip()]
    return " | ".join(said[-lines:]) or "none."
