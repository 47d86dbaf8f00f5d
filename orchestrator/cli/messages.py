"""What goes to stderr and to a log file: how much, and where. Set once, before a command begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from orchestrator.errors import UsageError
from orchestrator.printable import printable

if TYPE_CHECKING:
    from logging import Logger

quiet = False
"""Whether notes and progress are left out; results and errors never are."""
_log: Logger | None = None
"""Where lines go besides, once `set_up` was asked for it: importing `logging` would cost every start."""


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
