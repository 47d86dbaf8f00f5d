"""What a test side reports, an event a line, as the agent reads it: of its shape is made sure here, of its truth is not.

Left out: who writes it (`reporter.py`, `boundary/tests.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .schema import Event, Finished, Test

_CAP = 6 * 1024 * 1024
"""Bytes of the report, as written and as passed on: less than a frame's header holds."""
_MOST_ATTACKS = 16
"""Attacks that are told of one run."""
_MESSAGE = 4000
"""Characters of a failed test's message."""

MALFORMED: Event = {"event": "malformed"}
"""In place of lines that no honest side writes: a report with one is not complete."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.encode("utf-8", "backslashreplace").decode()  # lone surrogates would go no further


def _message(value: Any) -> str:
    return _text(value)[-_MESSAGE:]


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [_text(item) for item in value]


def _number(value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= 1 << 31:
        raise TypeError
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def word(value: Any) -> str:
        return words[words.index(value)]

    return word


_SIDE = _one_of("", "candidate", "tests")
_READ: dict[str, dict[str, Callable[[Any], Any]]] = {
    "collected": {"tests": _texts},
    "deselected": {"count": _number},
    "collection_error": {"message": _message, "side": _SIDE},
    "test": {
        "name": _text,
        "outcome": _one_of("passed", "failed", "error", "skipped"),
        "message": _message,
        "side": _SIDE,
        "broken": bool,
        "proved": bool,
        "basis": _one_of("", "data", "line_up", "word"),
        "circular": bool,
    },
    "received": {},
    "not_apart": {"message": _message},
    "doubt": {"name": _text, "message": _message},
    "tampered": {"what": _message},
    "finished": {"exit_status": _number, "broken": bool, "unsure": _texts},
}
"""How each part of an event is read."""


def event_of(line: bytes) -> Event:
    """A line of the report, or `MALFORMED`: whoever runs beside the tests may find where they write it."""
    try:
        told = json.loads(line)
        told = {"broken": False, "proved": False, "basis": "", "circular": False, "unsure": [], **told}
        found = {"event": told["event"]} | {key: read(told[key]) for key, read in _READ[told["event"]].items()}
    except (ValueError, TypeError, LookupError, RecursionError):
        return MALFORMED
    return cast("Event", found)


class Events:
    """The report of one run, as it comes in. `known` are failures of the same job, run before."""

    def __init__(self, known: Sequence[Test] = ()) -> None:
        self._events: list[Event] = [*known]
        self._rest = b""
        self._written = self._kept = 0
        self.attack: list[str] = []
        """What the candidate tried, in the tests' words."""
        self.finished: Finished | None = None
        """The event that says that all tests were run."""

    def add(self, data: bytes) -> None:
        """Read what has come in; what is over the cap is not read."""
        self._written += len(data)
        if max(self._written, self._kept) > _CAP:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            event = event_of(line)
            self._kept += len(json.dumps(event))
            if self._kept > _CAP:
                return
            self._events.append(event)
            if event["event"] == "tampered" and len(self.attack) < _MOST_ATTACKS:
                self.attack.append(event["what"][:300])
            elif event["event"] == "finished":
                self.finished = event

    def failures(self) -> list[Test]:
        """Tests that had failed before the boundary broke. They stay failed when the job is run again.

        A candidate that sees what is asked next knows that it was wrong, and shall not have a second guess.
        """
        found: dict[str, Test] = {}
        for event in self._events:
            if event["event"] == "doubt":
                found[event["name"]] = {
                    "event": "test",
                    "name": event["name"],
                    "outcome": "failed",
                    "message": event["message"],
                    "side": "tests",
                    "broken": False,
                    "proved": False,
                    "basis": "",
                }
            elif event["event"] == "test" and event["outcome"] in ("passed", "skipped"):
                found.pop(event["name"], None)  # the tests had expected it
            elif event["event"] == "test" and not event["broken"]:
                found[event["name"]] = event
        return list(found.values())

    def counted(self, *, by_our_fault: bool) -> list[Event]:
        """The events that count. A failure that was known and never reported is one; after a fault of ours nothing else is.

        What decides about a second run alone is not among what they say: that is decided here.
        """
        counted: list[Event] = []
        if not by_our_fault:
            counted += [event for event in self._events if event["event"] != "doubt"]
        if not any(event["event"] == "not_apart" for event in counted):
            reported = {event["name"] for event in counted if event["event"] == "test"}
            counted += [event for event in self.failures() if event["name"] not in reported]
        return [cast("Event", {key: value for key, value in event.items() if key != "broken"}) for event in counted]
