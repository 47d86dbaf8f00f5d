"""Output that is watched while a program runs, where the program may have to be run again.

What was passed on cannot be taken back. So a later attempt is heard in silence as long as it repeats what the one before wrote,
and passed on from where it goes beyond that; where it writes something else, it is passed on whole.

Left out: the result, which holds the output of the last attempt alone.
"""

from __future__ import annotations

from collections import defaultdict

from orchestrator.sandbox.base import OnOutput


class Watched:
    """The output of all attempts of one run, on its way to who watches it."""

    def __init__(self, on_output: OnOutput) -> None:
        self._pass_on = on_output
        self._passed: dict[str, bytearray] = defaultdict(bytearray)
        """What the attempt wrote that was passed on last, by stream."""
        self._written: dict[str, bytearray] = {}

    def attempt(self) -> OnOutput:
        """What hears the next attempt, and nothing more of those before it."""
        written = self._written = defaultdict(bytearray)

        def hear(stream: str, chunk: bytes) -> None:
            if self._written is not written:
                return
            passed, new = self._passed[stream], written[stream]
            place = len(new)
            new += chunk
            if passed is new:
                self._pass_on(stream, chunk)
            elif passed[place : len(new)] != chunk:
                self._passed[stream] = new
                self._pass_on(stream, bytes(new[len(passed) :] if new.startswith(passed) else new))

        return hear
