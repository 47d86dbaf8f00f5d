"""A session's commands as the host sees them: what is sent for one is checked here, and what is said of one is read.

Left out: who carries the frames. `session.py` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.sandbox.base import OnOutput
from orchestrator.types import ExecResult
from sandbox_image.agent import protocol, schema

_NO_LINE = 'Give a list of words; for a line of shell: ["sh", "-c", line].'


class Command:
    """One command on its way."""

    def __init__(self, on_output: OnOutput | None = None) -> None:
        self.number = 0
        """Its name in frames, once it was sent."""
        self._on_output = on_output
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.ahead = 0
        """Bytes of input that were sent and not taken yet."""
        self.taken = asyncio.Event()
        self.ended: asyncio.Future[schema.Ended] = asyncio.get_running_loop().create_future()
        """How, as the agent says."""

    def heard(self, stream: str, chunk: bytes) -> None:
        """Keep a chunk of its output, and pass it on."""
        self.output[stream] += chunk
        if self._on_output is not None:
            self._on_output(stream, chunk)

    def end(self, report: schema.Ended | Exception) -> None:
        """It has ended, or nobody will ever know how."""
        self.taken.set()
        if self.ended.done():
            return
        if isinstance(report, Exception):
            self.ended.set_exception(report)
            self.ended.exception()  # who asks will see it; whoever has gone away need not
        else:
            self.ended.set_result(report)


def words(argv: Sequence[str]) -> list[str]:
    """A command line that can be sent. Raises UsageError."""
    if isinstance(argv, str | bytes):
        raise UsageError("A command is a list of words, not one string.", remedy=_NO_LINE)
    if not argv or not argv[0]:
        raise UsageError("There is no command to run.", remedy=_NO_LINE)
    for word in argv:
        text(word)
    return list(argv)


def text(word: str) -> str:
    """A word that can be sent. Raises UsageError."""
    if not isinstance(word, str) or "\0" in word:
        raise UsageError(f"{word!r:.80} cannot be passed to a command: words are text without NUL characters.")
    return word


def variables(env: Mapping[str, str] | None) -> dict[str, str]:
    """Environment variables that can be sent. Raises UsageError."""
    for name, value in (env or {}).items():
        if not name or "=" in text(name) or "\0" in text(value):
            raise UsageError(f"{name!r} cannot be the name of an environment variable.")
    return dict(env or {})


def path(given: str) -> str:
    """A path that passes the gate. Raises UsageError."""
    try:
        return protocol.check_path(given)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def seconds(timeout: float | None, default: float) -> float:
    """A time limit. Raises UsageError."""
    found = default if timeout is None else timeout
    if not 0 < found <= 30 * 86400:
        raise UsageError(f"A time limit of {found:g} seconds is not valid.", remedy="Give a positive number of seconds.")
    return float(found)


def read_end(end: schema.Ended, command: Command) -> ExecResult:
    """What the agent says of a command's end, with its output.

    Raises:
        SandboxUnavailable: that is not what it says.
    """
    try:
        return ExecResult(
            **{key: value for key, value in end.items() if key not in ("type", "id")},
            stdout=command.output["stdout"].decode("utf-8", "replace"),
            stderr=command.output["stderr"].decode("utf-8", "replace"),
        )
    except ValueError as exc:
        raise SandboxUnavailable(f"The session sent an invalid end of a command: {exc}") from exc
