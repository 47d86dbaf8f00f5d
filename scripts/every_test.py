"""Set up what the tests need and run every test, in parts side by side: `make test`.

Tests of sandboxes mostly wait, for the engine and for limits that are reached by the clock; tests of the host compute. So each
part below is a pytest of its own, and all are at work at once. They share the engine, as any processes on one host may: each has
pools of its own, and counts none but its own containers. Set-up waits for downloads and for one processor, so the part that needs
no more than the virtual environment is at work meanwhile. What a part says is shown whole, once it has ended; until then a line
now and again says how far each is.

Left out: a choice of tests. `pytest` with a path does that.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SETUP = (
    ("scripts/setup", "all", "0.5b"),
    ("scripts/setup", "compose"),
    ("scripts/setup", "training"),
)
"""Commands, one after the other, that bring what the tests need beyond the virtual environment."""
REMINDER = 30.0
"""Seconds between two lines on how far the parts are."""
_WITH_TORCH = re.compile(r"\bheavy\b|importorskip\(.torch|find_spec\(.torch|^\s+import torch$", re.MULTILINE)
"""What a file of tests says that needs PyTorch on the host: `heavy` are processes with it, of the fixtures in `tests/unit`."""

_SHARES_ENGINE = re.compile(r"def test_\w+\(([^)]*\b)?(execute|engine|bare)\b")
"""A test of a sandbox: it takes one from the pools that `tests/docker/conftest.py` keeps warm for all such tests."""


class Part(NamedTuple):
    """One pytest."""

    arguments: Sequence[str]
    after: Sequence[str] = ()
    """What must have ended before: `set-up`, or other parts."""


def parts() -> dict[str, Part]:
    """All tests."""
    files = sorted(ROOT.glob("tests/unit/test_*.py"))
    torch = [file for file in files if file.name == "test_trainers.py" or _WITH_TORCH.search(file.read_text())]
    docker = sorted(ROOT.glob("tests/docker/test_*.py"))
    shared = [file for file in docker if _SHARES_ENGINE.search(file.read_text())]
    return {
        "unit": Part([_path(file) for file in files if file not in torch]),
        "red team": Part(["tests/redteam"], after=["set-up"]),
        "sandboxes": Part([_path(file) for file in shared], after=["set-up"]),
        "unit with torch": Part([_path(file) for file in torch], after=["set-up", "unit"]),
        "commands": Part([*(_path(file) for file in docker if file not in shared), "tests/e2e"], after=["set-up", "unit"]),
    }


def _path(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


class _SetupFailed(Exception):
    """A command of the set-up has failed. It has said why."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"set-up failed: {' '.join(command)}")
        self.code = code


def run(parts: Mapping[str, Part], setup: Sequence[Sequence[str]] = ()) -> int:
    """Run the set-up and all parts, show what each said, and return 0 if all passed, else 1, or what the set-up failed with.

    Ctrl-C and SIGTERM end the set-up and the parts, not this: they clean up, and what they said until then is shown.
    """
    return _Tests(parts, setup).run()


class _Tests:
    """One call of this script."""

    def __init__(self, parts: Mapping[str, Part], setup: Sequence[Sequence[str]]) -> None:
        self._waiting = dict(parts)
        self._commands = list(setup)
        self._setup: subprocess.Popen[bytes] | None = None
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._said: dict[str, IO[str]] = {}
        self._failed: list[str] = []
        self._ended: set[str] = set()
        self._interrupted = False
        self._began = time.monotonic()

    def run(self) -> int:
        """Do all of it."""
        reminded = self._began
        code, ending = 0, ""
        print(f"tests: {', '.join(self._waiting)}, side by side; what each says is shown when it has ended", flush=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._interruptible())
            while True:
                try:
                    self._set_up()
                except _SetupFailed as exc:
                    code, ending = exc.code, str(exc)
                    self._interrupted = True
                    self._interrupt()
                self._start(stack)
                self._collect()
                if not (self._running or self._setup or (self._waiting and not self._interrupted)):
                    break
                if self._running and time.monotonic() > reminded + REMINDER:
                    reminded = time.monotonic()
                    far = ", ".join(f"{name} {_how_far(_text(self._said[name]))}" for name in self._running)
                    print(f"tests: {far}, {reminded - self._began:.0f} s", flush=True)
                time.sleep(0.1)
        failed = [*self._failed, *self._waiting]
        ending = ending or (f"failed: {', '.join(failed)}" if failed else "all passed")
        print(f"tests: {ending}, {time.monotonic() - self._began:.0f} s", flush=True)
        return code or int(bool(failed))

    def _set_up(self) -> None:
        """Go on with the set-up. Raises _SetupFailed."""
        if self._setup is not None and self._setup.poll() is not None:
            command, done, self._setup = self._commands.pop(0), self._setup, None
            if done.returncode and not self._interrupted:
                raise _SetupFailed(command, done.returncode if done.returncode > 0 else 1)
        if self._setup is None and self._commands and not self._interrupted:
            # In a session of its own, so that it can be ended with all that it started.
            self._setup = subprocess.Popen(self._commands[0], cwd=ROOT, start_new_session=True)
        if not self._commands:
            self._ended.add("set-up")

    def _start(self, stack: contextlib.ExitStack) -> None:
        """Start the parts that need wait no longer."""
        for name in [name for name, part in self._waiting.items() if self._ended.issuperset(part.after)]:
            if self._interrupted:
                return
            said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - it is read until the end
            self._said[name] = stack.enter_context(said)
            command = [sys.executable, "-m", "pytest", *self._waiting.pop(name).arguments]
            self._running[name] = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)

    def _collect(self) -> None:
        """Show what has ended."""
        for name in [name for name, process in self._running.items() if process.poll() is not None]:
            process = self._running.pop(name)
            print(f"\n#### {name}, {time.monotonic() - self._began:.0f} s ####", _text(self._said[name]), sep="\n", flush=True)
            self._ended.add(name)
            if process.returncode:
                self._failed.append(name)

    def _interrupt(self) -> None:
        """End the parts, which clean up, and the set-up, which takes up its work where it was when it is called again."""
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
        self._end_setup()

    def _end_setup(self) -> None:
        if self._setup is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._setup.pid, signal.SIGTERM)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """SIGTERM becomes an interruption of the processes. A terminal's Ctrl-C reaches the parts by itself."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupted = True
            if number == signal.SIGTERM:
                self._interrupt()
            else:
                self._end_setup()

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _text(file: IO[str]) -> str:
    """What a part has said so far. The file is written by its process, at a place of its own."""
    return Path(f"/proc/self/fd/{file.fileno()}").read_text(errors="replace")


def _how_far(said: str) -> str:
    """The share of its tests that a part has done, as pytest says it."""
    return (re.findall(r"\[ *(\d+%)\]$", said, re.MULTILINE) or ["0%"])[-1]


if __name__ == "__main__":
    sys.exit(run(parts(), SETUP))
