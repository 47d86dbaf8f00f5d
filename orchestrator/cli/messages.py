"""What goes to stdout, stderr and a log file: how much, and where. Set once, before a command begins.

A stream that cannot be written any more ends no work. Where the reader has left (`| head`), the rest is dropped and the exit code
is what it would have been; where the disk is full, the command says so at its end and has exit code 3.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from orchestrator.errors import StoreError, UsageError
from orchestrator.printable import printable

if TYPE_CHECKING:
    from logging import Logger

quiet = False
"""Whether notes and progress are left out; results and errors never are."""
as_json = False
"""Whether --json is on the command line: what went wrong is JSON then too."""
_log: Logger | None = None
"""Where lines go besides, once `set_up` was asked for it: importing `logging` would cost every start."""


class Outlet:
    """A stream of this process that keeps taking text when nobody takes it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._on_terminal = stream.isatty()
        self.failure: OSError | None = None
        """Why it takes nothing any more."""

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        if self.failure is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Write what was held back, or drop it."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    @property
    def is_full(self) -> bool:
        """Whether it is at fault itself, and not a reader that has left or a terminal that was closed."""
        gone = isinstance(self.failure, BrokenPipeError) or self._on_terminal
        return self.failure is not None and not gone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> None:
        self.failure = error
        with contextlib.suppress(OSError, ValueError):  # what the stream still holds goes nowhere, also at the very end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def outlets() -> Iterator[None]:
    """Stdout and stderr that end no work when they cannot be written, also where the shell has closed them (`>&-`).

    Raises:
        StoreError: stdout could not be written, for another reason than that its reader has left.
    """
    before = sys.stdout, sys.stderr
    given = [open(os.devnull, "w") if stream is None else stream for stream in before]  # noqa: SIM115, PTH123
    told, complaints = map(Outlet, given)
    sys.stdout, sys.stderr = cast(TextIO, told), cast(TextIO, complaints)
    try:
        yield
    finally:
        told.flush()
        complaints.flush()
        sys.stdout, sys.stderr = before
        if told.failure is not None and told.is_full:
            raise StoreError(f"Stdout cannot be written: {told.failure.strerror}.", remedy="Free some space.")


def show(text: str, stream: TextIO) -> None:
    """Text to a stream with no end of line but its own; what the encoding lacks, or what would steer a terminal, as an escape."""
    encoding = stream.encoding or "utf-8"
    stream.write(printable(text).encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def out(text: str) -> None:
    """A line of a result, to stdout."""
    show(f"{text}\n", sys.stdout)


def note(text: str) -> None:
    """A line of progress, to stderr unless it is quiet."""
    if _log is not None:
        _log.info("%s", printable(text))
    if not quiet:
        show(f"{text}\n", sys.stderr)


def complain(text: str) -> None:
    """A line of an error, to stderr."""
    if _log is not None:
        _log.error("%s", printable(text))
    show(f"{text}\n", sys.stderr)


def set_up(*, verbosity: int = 0, be_quiet: bool = False, log_file: Path | None = None) -> None:
    """How much is said: warnings of the engine by default, what it does with 1, each of its steps with 2. A log file has all.

    Raises:
        UsageError: the log file cannot be written, or both more and less is asked for.
    """
    global quiet, _log
    if be_quiet and verbosity:
        raise UsageError("--quiet and --verbose exclude each other.", remedy="Leave one out; --log-file keeps all either way.")
    quiet = be_quiet
    if _log is None and not (be_quiet or verbosity or log_file):
        return
    import logging

    screen = logging.StreamHandler()
    screen.setLevel(logging.ERROR if be_quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(verbosity, 2)])
    screen.addFilter(lambda record: record.name != "fumehood.cli")  # it is on the screen already
    screen.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    handlers: list[logging.Handler] = [screen]
    if log_file is not None:
        try:
            file = logging.FileHandler(log_file, encoding="utf-8")
        except OSError as failure:
            why = f"--log-file {log_file} cannot be written: {failure.strerror}."
            raise UsageError(why, remedy="Name another file.") from None
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    root = logging.getLogger("fumehood")
    for handler in [*root.handlers]:
        root.removeHandler(handler)
        handler.close()
    wanted = bool(be_quiet or verbosity or log_file)
    _log = logging.getLogger("fumehood.cli") if wanted else None
    root.handlers.extend(handlers if wanted else [])
    root.setLevel(logging.DEBUG if wanted else logging.NOTSET)
    root.propagate = not wanted
