"""Who is notified of what happens in a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.types import Event, RunRecord


@dataclass(kw_only=True)
class Watcher:
    """Whoever looks on while a job is done."""

    on_start: Callable[[RunRecord], None] = lambda run: None
    """The run is in the store, and can be resumed from here on."""
    on_event: Callable[[Event], None] = lambda event: None
    on_bytes: Callable[[int, int], None] = lambda done, total: None
    """Weights being downloaded: bytes so far and in all."""
    on_count: Callable[[int, int], None] = lambda done, total: None
    """Steps done, corrections included, of those that were left when the job began. Called again where that stays the same."""

    def say(self, sentence: str) -> None:
        """A note."""
        self.on_event(Event(kind="note", text=sentence))
