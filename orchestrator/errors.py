"""Every error this package raises.

OrchestratorError
├── SandboxError               the place failed, not the program
│   ├── SandboxUnavailable     died, could not start, or answered nonsense
│   └── PoolExhausted          nothing became free in time
├── CompletionError            the model server refused, timed out, or answered nonsense
├── StoreError                 the run store cannot be read or written
└── UserError                  the caller can repair this: shown as one sentence with its remedy
    ├── UsageError             a wrong argument, task, signature or file (exit code 2)
    └── PrerequisiteError      the machine lacks something: engine, image, weights (exit code 3)

A failing program is data (see `types.Status`), never one of these.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable


class OrchestratorError(Exception):
    """Root of the tree. `exit_code` is what the command line ends with."""

    exit_code = 3

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        """What the reader can do about it: one sentence or a command."""

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class SandboxError(OrchestratorError):
    """The sandbox failed; the program in it is not to blame."""


class SandboxUnavailable(SandboxError):
    """A sandbox died, could not start, or answered outside the protocol."""


class PoolExhausted(SandboxError):
    """No sandbox became free within the time the caller was willing to wait."""


class CompletionError(OrchestratorError):
    """A model server refused a request, broke off, or answered nonsense."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        status_code: int | None = None,
        retryable: bool = False,
        retry_after: float = 0.0,
        prompt_refused: bool | None = None,
        said: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        """Seconds that the server asks to wait before the next try."""
        self.prompt_refused = status_code in (400, 413, 422) if prompt_refused is None else prompt_refused
        """The server would not take this prompt; it may take another one."""
        self.said = said or message
        """What the server said, without our words around it."""


class StoreError(OrchestratorError):
    """The run store cannot be opened, read or written."""


class UserError(OrchestratorError):
    """Something the caller can repair; shown without a traceback."""

    exit_code = 2


class UsageError(UserError):
    """A wrong argument, task, signature or file."""


class PrerequisiteError(UserError):
    """The machine lacks something the work needs."""

    exit_code = 3


def no_such(what: str, name: str, known: Iterable[str]) -> UsageError:
    """A name that is none of those that there are, with the one that was most likely meant."""
    import difflib

    names = [*known]
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return UsageError(f"There is no {what} {name!r}.", remedy=f"{meant}Choose from: {', '.join(names)}.")


def unwritable(exc: OSError) -> type[StoreError] | type[UsageError]:
    """What a file that cannot be written is: the disk's fault (exit code 3), or that of the name that was given (2)."""
    return StoreError if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else UsageError
