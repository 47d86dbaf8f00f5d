"""Live progress on stderr: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli import messages
from orchestrator.cli.messages import note
from orchestrator.cli.shared import console
from orchestrator.printable import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from orchestrator.types import Attempt, Event

TAIL_LINES = 6
"""Lines shown of the text being written."""
_SILENCE = 25.0
"""Seconds without news after which a line says so: whoever waits for a model should see that it is the model."""


class Progress:
    """Shows the events of a job. Use it as a context manager, so that the terminal is left in order."""

    def __init__(self, *, live: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.live = sys.stderr.isatty() and not messages.quiet if live is None else live
        self._clock = clock
        self._began = clock()
        self._task = ""
        self._round = 0
        self._sample = 0
        self._text = ""
        self._pieces = 0
        self._writing_since = 0.0
        self._attempts = 0
        self._tokens = 0
        self._accepted = 0
        self._finished = 0
        self._planned: int | None = None
        """Of how many steps; None where tasks are shown one by one."""
        self._status = ""
        self._percent = -1
        self._panel: Live | None = None

    def __enter__(self) -> Progress:
        if self.live:
            from rich.live import Live

            # `transient`: what stays on the screen are the lines printed above it.
            self._panel = Live(
                console=console(stderr=True),
                get_renderable=self.render,
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,
            )
            self._panel.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._panel is not None:
            self._panel.stop()
            self._panel = None

    def event(self, event: Event) -> None:
        """Show what happened."""
        match event.kind:
            case "task_started":
                self._task = event.task
                self.line(f"{event.task}: {event.text}")
            case "round_started":
                self._round = event.round
                self._status = ""
            case "token":
                self._token(event)
            case "attempt_finished":
                if event.attempt is not None:
                    self._attempt(event.attempt)
            case "task_finished":
                self._finished += 1
                self._accepted += event.verdict == "accepted"
                self.line(f"{event.task}: {event.verdict} after {counted(event.attempts, 'attempt')}, {event.wall_time:.0f} s")
            case "note":
                self._status = event.text
                self.line(event.text)

    def download(self, done: int, total: int) -> None:
        """Show bytes of a download, a line each tenth where there is no panel."""
        percent = 100 * done // max(total, 1)
        self._status = f"Fetching weights: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
        if not self.live and percent // 10 > self._percent // 10:
            self.line(self._status)
        self._percent = percent

    def judged(self, attempt: Attempt) -> None:
        """One more attempt, without a line of its own."""
        self._attempts += 1
        self._tokens += attempt.completion.usage.completion_tokens
        self._text, self._pieces = "", 0
        self._task, self._round, self._sample = attempt.task, attempt.round, attempt.sample

    def counts(self, done: int, planned: int, accepted: int) -> None:
        """How far a job of many samples is."""
        self._finished, self._planned, self._accepted = done, planned, accepted

    def line(self, text: str) -> None:
        """One line that stays, with the seconds so far."""
        line = f"{self._elapsed():6.1f} s  {text}"
        if self._panel is not None:
            self._panel.console.print(line, soft_wrap=True)
        else:
            note(line)

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _token(self, event: Event) -> None:
        if (event.task, event.round, event.sample) != (self._task, self._round, self._sample) or not self._pieces:
            self._task, self._round, self._sample = event.task, event.round, event.sample
            self._text, self._pieces, self._writing_since = "", 0, self._clock()
        self._text = (self._text + event.text)[-4000:]
        self._pieces += 1

    def _attempt(self, attempt: Attempt) -> None:
        self.judged(attempt)
        self.line(
            f"{attempt.task}: {attempt.kind}, round {attempt.round} sample {attempt.sample}: {attempt.verdict}"
            f"{_cost(attempt)}{_because(attempt)}"
        )

    def _where(self) -> str:
        """What is being done, or was done last."""
        if self._task:
            return f"{self._task}, round {self._round} sample {self._sample}"
        return "preparing" if self._planned is None else "nothing judged yet" if not self._finished else "judging"

    def render(self) -> RenderableType:
        """The panel as it is now."""
        from rich.console import Group
        from rich.text import Text

        speed = self._pieces / max(self._clock() - self._writing_since, 1e-3) if self._pieces > 1 else 0.0
        tokens = self._tokens + self._pieces
        head = [
            f"{self._elapsed():.0f} s",
            self._where(),
            counted(self._attempts, "attempt") if self._planned is None else f"{self._finished} of {self._planned} judged",
            f"{self._accepted} of {self._finished} accepted",
            *([f"{counted(tokens, 'token')}" + (f", {speed:.1f} tok/s" if speed else "")] if tokens else []),
        ]
        lines = [Text("  ".join(head), style="bold", no_wrap=True, overflow="ellipsis")]
        if self._status:
            lines.append(Text(self._status, no_wrap=True, overflow="ellipsis"))
        tail = self._text.splitlines()[-TAIL_LINES:]
        lines += [Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in tail]
        return Group(*lines)


def _cost(attempt: Attempt) -> str:
    """What the model took for it; nothing where none was asked."""
    drawn = attempt.completion
    return f" ({counted(drawn.usage.completion_tokens, 'token')}, {drawn.wall_time:.1f} s)" if drawn.was_drawn else ""


def _because(attempt: Attempt) -> str:
    """The first line of the feedback that says something; of a heading, also what is under it."""
    lines = [line.strip() for line in attempt.feedback.splitlines() if line.strip()]
    said = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    return f": {said[:110].rstrip(':')}" if said else ""


class Lines:
    """A line of progress every few seconds in place of one for each sample: recorded samples come by the hundred."""

    def __init__(self, progress: Progress, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._judged = self._accepted = 0
        self._task = ""
        self._done: int | None = None
        self._began = self._shown = self._news = clock()

    def event(self, event: Event) -> None:
        """Remember a judged attempt; everything else is shown as it comes."""
        if event.kind != "attempt_finished" or event.attempt is None:
            self._progress.event(event)
            return
        self._judged += 1
        self._accepted += event.attempt.verdict == "accepted"
        self._task = event.task
        self._progress.judged(event.attempt)

    def count(self, done: int, total: int) -> None:
        """Show how much is done, and when the rest will be at this rate; or for how long nothing happened."""
        now = self._clock()
        self._progress.counts(done, total, self._accepted)
        if done == self._done:
            if now - max(self._shown, self._news) > _SILENCE:
                self._shown = now
                self._progress.line(f"{done} of {total} judged; nothing new for {duration(now - self._news)}")
            return
        self._done, self._news = done, now
        if done == 0:
            self._began = now
        elif now - self._shown > 5 and done < total:
            self._shown = now
            accepted = f", {self._accepted} accepted" if self._judged else ""
            at = f"; now at {self._task}" if self._task else ""
            left = duration((now - self._began) / done * (total - done))
            self._progress.line(f"{done} of {total} judged{accepted}{at}; about {left} left")


def duration(seconds: float) -> str:
    """Seconds for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
