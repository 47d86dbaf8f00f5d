"""Run every test, in parts side by side: `make test`.

Tests of sandboxes mostly wait, for the engine and for limits that are reached by the clock; tests of the host compute. So each
part below is a pytest of its own, and all are at work at once. They share the engine, as any processes on one host may: each has
pools of its own, and counts none but its own containers. What a part says is shown whole, once it has ended; until then a line
now and again says how far each is.

Left out: a choice of tests. `pytest` with a path does that.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "red team": ("tests/redteam",),
    "docker": ("tests/docker", "tests/e2e"),
    "unit": ("tests/unit",),
}
"""Name of a part -> what its pytest is given."""
REMINDER = 30.0
"""Seconds between two lines on how far the parts are."""


def run(parts: Mapping[str, Sequence[str]]) -> int:
    """Run all parts, show what each said, and return 0 if all passed, else 1.

    Ctrl-C and SIGTERM end the parts, not this: they clean up, and what they said until then is shown.
    """
    began = time.monotonic()
    failed = []
    with contextlib.ExitStack() as stack:
        said = {name: stack.enter_context(tempfile.TemporaryFile("w+", errors="replace")) for name in parts}
        running = {
            name: subprocess.Popen(
                [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, stdout=said[name], stderr=subprocess.STDOUT
            )
            for name, arguments in parts.items()
        }
        stack.enter_context(_interruptible(running.values()))
        print(f"tests: {', '.join(parts)}, side by side; what each says is shown when it has ended", flush=True)
        reminded = began
        while running:
            for name in [name for name, process in running.items() if process.poll() is not None]:
                process = running.pop(name)
                print(f"\n#### {name}, {time.monotonic() - began:.0f} s ####", _text(said[name]), sep="\n", flush=True)
                if process.returncode:
                    failed.append(name)
            if running and time.monotonic() > reminded + REMINDER:
                reminded = time.monotonic()
                far = ", ".join(f"{name} {_how_far(_text(said[name]))}" for name in running)
                print(f"tests: {far}, {reminded - began:.0f} s", flush=True)
            time.sleep(0.1)
    print(f"tests: {'failed: ' + ', '.join(failed) if failed else 'all passed'}, {time.monotonic() - began:.0f} s", flush=True)
    return int(bool(failed))


def _text(file: IO[str]) -> str:
    """What a part has said so far. The file is written by its process, at a place of its own."""
    return Path(f"/proc/self/fd/{file.fileno()}").read_text(errors="replace")


def _how_far(said: str) -> str:
    """The share of its tests that a part has done, as pytest says it."""
    return (re.findall(r"\[ *(\d+%)\]$", said, re.MULTILINE) or ["0%"])[-1]


@contextlib.contextmanager
def _interruptible(processes: Collection[subprocess.Popen[bytes]]) -> Iterator[None]:
    """SIGTERM becomes an interruption of the processes. A terminal's Ctrl-C reaches them by itself, so it is left to them."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(signal.SIGINT)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(run(PARTS))
