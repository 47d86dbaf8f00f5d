"""The agent's side of a run, where no sandbox is needed to see it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox_image.agent import protocol, supervise
from sandbox_image.agent.child import _seed_afresh
from sandbox_image.agent.events import MALFORMED, Events, event_of
from sandbox_image.agent.side import Side

LIMITS = {"disk": 1 << 20, "cpu_time": 5, "wall_time": 5, "output": 1000, "artifacts": 0, "processes": 9, "memory": 1 << 30}
JOB: dict[str, Any] = {
    "mode": "python",
    "files": [],
    "test_files": [],
    "limits": LIMITS,
    "stream": False,
    "file": "main.py",
    "module": "candidate",
    "entry_point": "",
    "defines": [],
    "in_place": False,
    "argv": [],
    "args": [],
    "env": {},
    "artifacts": [],
}


@pytest.mark.parametrize("error", [OSError(109, "Too many references"), TimeoutError(), MemoryError()])
def test_an_order_that_is_not_passed_on_leaves_no_descriptor_open(monkeypatch, error):
    def fails(*args: object) -> int:
        raise error

    monkeypatch.setattr(socket, "send_fds", fails)
    child = subprocess.Popen(["sleep", "60"])
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    os.set_blocking(read, False)
    try:
        side = Side(SimpleNamespace(pid=child.pid, control=ours))
        with pytest.raises(type(error)):
            side.order({}, b"", [write])
        assert os.read(read, 1) == b""  # its end was closed
        side.close()
    finally:
        child.kill()
        child.wait()
        theirs.close()
        os.close(read)


def test_a_run_that_cannot_be_handed_over_ends_at_once(monkeypatch):
    def fails(*args: object) -> int:
        raise OSError(109, "Too many references: cannot splice")

    monkeypatch.setattr(socket, "send_fds", fails)
    child = subprocess.Popen(["sleep", "60"])
    ours, theirs = socket.socketpair()
    zygote = SimpleNamespace(take=lambda kind: SimpleNamespace(pid=child.pid, control=ours), prepare=lambda kind: None)
    meter = supervise.Meter()
    run = supervise.Run(JOB, [b""], meter, SimpleNamespace(), namespaces=True)
    run.start([(zygote, b"r")])
    result, _ = run.supervise()
    theirs.close()
    child.returncode = 0  # reaped
    assert result["status"] == "sandbox_error"
    assert "Too many references" in result["detail"]
    assert result["wall_time"] < 2


def test_a_child_that_is_gone_before_its_order_is_seen_later():
    ours, theirs = socket.socketpair()
    theirs.close()
    with subprocess.Popen(["true"]) as child:
        side = Side(SimpleNamespace(pid=child.pid, control=ours))
        side.order({}, b"", [os.open(os.devnull, os.O_RDONLY)])
        side.close()


def test_a_result_that_does_not_fit_into_a_frame_is_cut_to_what_does():
    """Nothing that foreign code may make long stays but its output, whose length is limited."""
    result = {
        "type": "result",
        "status": "ok",
        "detail": "",
        "output": [3, 2],
        "events": [{"event": "test", "message": "x" * protocol.MAX_HEADER}],
        "artifacts": [["a", 4]],
        "artifact_errors": {"b": "why"},
        "log": "x",
    }
    with pytest.raises(protocol.ProtocolError) as caught:
        protocol.encode(result, b"outer1234")
    header, body = supervise.reduced(result, b"outer1234", str(caught.value))
    assert protocol.encode(header, body)
    assert (header["status"], header["events"], header["artifacts"], body) == ("ok", [], [], b"outer")
    assert "larger than the protocol allows" in header["detail"]


EVENTS = {
    b'{"event": "collected", "tests": ["a"]}': {"event": "collected", "tests": ["a"]},
    b'{"event": "finished", "exit_status": 0}': {"event": "finished", "exit_status": 0, "broken": False, "unsure": []},
    b'{"event": "tampered", "what": "x", "more": 1}': {"event": "tampered", "what": "x"},
    b'{"event": "collection_error", "message": "\\ud800", "side": ""}': {
        "event": "collection_error",
        "message": "\\ud800",
        "side": "",
    },
    b'{"event": "collected", "tests": [7]}': None,
    b'{"event": "test", "name": "a", "outcome": "bogus", "message": "", "side": ""}': None,
    b'{"event": "test", "name": "a"}': None,
    b'{"event": "finished", "exit_status": 1e999}': None,
    b'{"event": ["test"]}': None,
    b'{"event": "unheard of"}': None,
    b"[" * 100_000: None,
    b"[]": None,
    b"\xff": None,
    b"": None,
}


@pytest.mark.parametrize("line", EVENTS, ids=lambda line: line[:50])
def test_a_line_of_the_report_is_an_event_or_malformed(line):
    assert event_of(line) == (EVENTS[line] or MALFORMED)


def test_a_message_is_cut():
    line = b'{"event": "tampered", "what": "%b"}' % (b"x" * 10_000)
    assert len(event_of(line)["what"]) == 4000


def events_of_a_run(events: list[dict[str, Any]], status: str = "") -> list[tuple[str, str]]:
    found = Events()
    found.add("".join(f"{json.dumps(event)}\n" for event in events).encode())
    return [(event["event"], event.get("outcome", "")) for event in found.counted(by_our_fault=status == "sandbox_error")]


DOUBT = {"event": "doubt", "name": "test_a", "message": "assert f() == 1"}
ENDED = {"event": "test", "name": "test_a", "message": "", "side": "candidate"}


def test_a_failure_that_was_known_and_never_reported_counts():
    assert events_of_a_run([DOUBT]) == [("test", "failed")]
    assert events_of_a_run([DOUBT, ENDED | {"outcome": "passed"}]) == [("test", "passed")]
    assert events_of_a_run([DOUBT, ENDED | {"outcome": "failed"}]) == [("test", "failed")]


def test_after_a_fault_of_ours_only_what_had_failed_before_it_counts():
    broken = ENDED | {"outcome": "failed", "broken": True}
    assert events_of_a_run([broken], "sandbox_error") == []
    assert events_of_a_run([DOUBT, broken], "sandbox_error") == [("test", "failed")]
    assert events_of_a_run([ENDED | {"outcome": "passed"}], "sandbox_error") == []


def test_no_generator_is_as_in_another_child():
    import random

    drawn = set()
    for _ in range(3):
        random.seed(0)
        _seed_afresh()
        drawn.add(random.random())
    assert len(drawn) == 3


_FORGETFUL = """
import sys
sys.path.insert(0, sys.argv[1])
from agent import child
import agent.boundary.values
child.furnish()
import string, agent.frames  # what a zygote had not imported
child._forget_agent()
sys.exit(any(name.partition(".")[0] == "agent" for name in sys.modules) or sys.argv[1] in sys.path)
"""


def test_foreign_code_finds_no_module_of_the_agent_whenever_it_was_imported():
    room = Path(__file__).parents[2] / "sandbox_image"
    assert subprocess.run([sys.executable, "-I", "-c", _FORGETFUL, room], stdin=subprocess.DEVNULL, check=False).returncode == 0
