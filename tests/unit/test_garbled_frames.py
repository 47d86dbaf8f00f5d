"""An agent that answers wrong bytes, half of them, or none: the sandbox is blamed, soon, and never the program."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import orchestrator.sandbox.docker as provider_module
from orchestrator.errors import SandboxUnavailable
from orchestrator.sandbox.channel import Channel
from orchestrator.sandbox.docker import DockerSandbox
from orchestrator.sandbox.hardening import ContainerSpec
from orchestrator.types import Limits, Program, RunReport, Status
from sandbox_image.agent import protocol

LIMITS = Limits(wall_time=1)
RESULT: dict[str, Any] = {
    "type": "result",
    "status": "ok",
    "detail": "",
    "exit_code": 0,
    "signal": None,
    "wall_time": 0.1,
    "cpu_time": 0.1,
    "memory_peak": 1000,
    "stdout_truncated": False,
    "stderr_truncated": False,
    "events": [],
    "attack": [],
    "log": "",
    "stages": {},
    "output": [5, 0],
    "artifacts": [],
    "artifact_errors": {},
}
GOOD = protocol.encode(RESULT, b"hello")


class _Api:
    """An engine that has seen the container die."""

    def inspect_container(self, name: str) -> dict[str, Any]:
        return {"State": {"Running": False, "Status": "exited", "ExitCode": 137}}


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(function, *args)


@contextlib.contextmanager
def sandbox(isolation: str = "namespace") -> Iterator[tuple[DockerSandbox, socket.socket]]:
    """A sandbox, and the agent's end of its stream."""
    ours, theirs = socket.socketpair()
    provider: Any = SimpleNamespace(
        api=_Api(), image_id="sha256:0", in_thread=_in_thread, remove=lambda name: None, used=lambda libraries: None
    )
    channel = Channel(ours)
    spec = ContainerSpec(image="none", limits=LIMITS, isolation=isolation)  # type: ignore[arg-type]
    with theirs:
        try:
            yield DockerSandbox(provider, "none", channel, spec), theirs
        finally:
            channel.close()


def multiplexed(data: bytes, stream: int = 1) -> bytes:
    """As the engine carries what a container writes."""
    return struct.pack(">BxxxI", stream, len(data)) + data


async def answered(data: bytes, *, hang_up: bool = True, program: Program | None = None) -> RunReport:
    with sandbox() as (box, agent):
        agent.sendall(data)
        if hang_up:
            agent.shutdown(socket.SHUT_WR)
        return await box.run(program or Program(code="1"), LIMITS)


async def test_a_good_answer_is_a_report():
    report = await answered(multiplexed(GOOD))
    assert (report.status, report.stdout) == (Status.OK, "hello")


async def test_a_good_answer_may_come_in_any_pieces():
    pieces = b"".join(multiplexed(GOOD[i : i + 3]) + multiplexed(b"a word aside", 2) for i in range(0, len(GOOD), 3))
    assert (await answered(pieces)).stdout == "hello"


WRONG = {
    "nothing": b"",
    "text": b"Segmentation fault\n",
    "zeros": bytes(64),
    "a header that is too long": struct.pack(">II", 2**31, 0),
    "a body that is too long": struct.pack(">II", 2, 2**31) + b"{}",
    "no JSON": struct.pack(">II", 4, 0) + b"oops",
    "no UTF-8": struct.pack(">II", 4, 0) + b"\xff\xfe\xfd\xfc",
    "JSON without end": struct.pack(">II", 100_000, 0) + b"[" * 100_000,
    "no object": struct.pack(">II", 2, 0) + b"[]",
    "no type": struct.pack(">II", 2, 0) + b"{}",
    "another kind of frame": protocol.encode({"type": "hello"}),
    "output of no stream": protocol.encode({"type": "output", "stream": ["stdout"]}, b"x"),
    "an adjustment by nothing": protocol.encode({"type": "adjust"}),
    "an adjustment by words": protocol.encode({"type": "adjust", "resident": "much"}),
    "an empty result": protocol.encode({"type": "result"}),
}
WRONG |= {
    f"{key} as {value!r}": protocol.encode({**RESULT, key: value}, b"hello")
    for key in (
        "status",
        "wall_time",
        "events",
        "attack",
        "stages",
        "output",
        "artifacts",
        "exit_code",
        "detail",
        "artifact_errors",
    )
    for value in (["x"], {"x": []}, "x", [[1, 2, 3]], 1e308, -1)
    if (key, value) not in (("attack", ["x"]), ("detail", "x"), ("wall_time", 1e308), ("wall_time", -1), ("exit_code", -1))
}
WRONG |= {
    "sizes that do not add up": protocol.encode({**RESULT, "output": [4, 0]}, b"hello"),
    "a negative size": protocol.encode({**RESULT, "output": [6, -1]}, b"hello"),
    "a path outside": protocol.encode({**RESULT, "output": [0, 0], "artifacts": [["../x", 5]]}, b"hello"),
    "one path twice": protocol.encode({**RESULT, "output": [0, 0], "artifacts": [["x", 2], ["x", 3], 7]}, b"hello"),
    "a gpu of text": protocol.encode({**RESULT, "gpu": "none"}, b"hello"),
    "events of numbers": protocol.encode({**RESULT, "events": [1]}, b"hello"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_answer_is_the_sandboxs_fault(name):
    with pytest.raises(SandboxUnavailable):
        await answered(multiplexed(WRONG[name]))


MALFORMED: list[Any] = [
    {"event": "test"},
    {"event": "test", "name": "test_b", "outcome": "bogus"},
    {"event": "test", "name": "test_b", "outcome": "passed", "side": 7},
    {"event": "collected", "tests": 5},
    {"event": "collection_error", "message": "\ud800", "side": []},
    {"event": "malformed"},
    {"event": []},
    {},
]


@pytest.mark.parametrize("event", MALFORMED, ids=str)
async def test_a_malformed_event_is_not_the_sandboxs_fault(event):
    """Foreign code may write some where the tests do: then their report is not complete."""
    told = [
        {"event": "collected", "tests": ["test_a"]},
        {"event": "test", "name": "test_a", "outcome": "passed", "message": "", "side": ""},
        {"event": "finished", "exit_status": 0},
    ]
    for events, complete in ((told, True), ([event, *told], False), ([*told, event], False)):
        report = await answered(multiplexed(protocol.encode({**RESULT, "events": events}, b"hello")))
        assert (report.status, report.tests_complete) == (Status.OK, complete)
        assert [test.name for test in report.tests] == ["test_a"]


async def test_text_that_no_file_can_hold_is_told_in_another_way():
    told = {"event": "test", "name": "test_\ud800", "outcome": "failed", "message": "\ud800", "side": ""}
    report = await answered(multiplexed(protocol.encode({**RESULT, "events": [told]}, b"hello")))
    assert [(test.name, test.message) for test in report.tests] == [("test_\\ud800", "\\ud800")]


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 15, 16, 17, len(GOOD) // 2, len(GOOD) + 7])
async def test_an_answer_that_is_cut_is_the_sandboxs_fault(cut):
    with pytest.raises(SandboxUnavailable, match="died"):
        await answered(multiplexed(GOOD)[:cut])


async def test_a_garbled_answer_is_a_report_or_the_sandboxs_fault():
    """Nothing else comes out of any change of any byte."""
    chance = random.Random(0)
    whole = multiplexed(GOOD)
    reports = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 20))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            report = await answered(bytes(data))
        except SandboxUnavailable:
            continue
        assert isinstance(report, RunReport)
        reports += 1
    assert 0 < reports < 300


async def test_an_agent_that_says_nothing_is_given_up_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(provider_module, "_GRACE", 0.3)
    started = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="silent"):
        await answered(b"", hang_up=False)
    assert 1.2 < time.monotonic() - started < 5


async def test_an_agent_that_talks_without_end_is_given_up_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(provider_module, "_GRACE", 0.3)
    chatter = multiplexed(protocol.encode({"type": "output", "stream": "stdout"}, b"x" * 1000))
    over = threading.Event()
    with sandbox() as (box, agent):

        def talk() -> None:
            with contextlib.suppress(OSError):
                while not over.is_set():
                    agent.sendall(chatter)

        thread = threading.Thread(target=talk)
        thread.start()
        started = time.monotonic()
        try:
            with pytest.raises(SandboxUnavailable, match="silent"):
                await box.run(Program(code="1"), LIMITS)
            assert time.monotonic() - started < 5
        finally:
            over.set()
            box._channel.close()
            thread.join()


async def test_a_frozen_agent_that_does_not_take_its_job_is_given_up_too(monkeypatch):
    """A job larger than what fits the pipe, and nobody who reads it."""
    monkeypatch.setattr(provider_module, "_GRACE", 0.3)
    started = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="silent"):
        await answered(b"", hang_up=False, program=Program(code="1", stdin=bytes(8 << 20)))
    assert 1.2 < time.monotonic() - started < 5


async def test_a_cancelled_run_lets_go_of_a_silent_agent():
    with sandbox() as (box, agent):
        running = asyncio.create_task(box.run(Program(code="1"), LIMITS.model_copy(update={"wall_time": 100})))
        await asyncio.to_thread(agent.recv, 10)
        running.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - started < 2
        assert box.spent


async def test_frames_that_two_threads_write_do_not_mix():
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.set_deadline(time.monotonic() + 20)
    frames = [protocol.encode({"type": "boundary", "n": n}, bytes([n]) * 3_000_000) for n in range(4)]
    threads = [threading.Thread(target=channel.send, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()

    def read_exactly(count: int) -> bytes:
        return theirs.recv(count, socket.MSG_WAITALL)

    with theirs:
        for _ in frames:
            header, body = await asyncio.to_thread(protocol.read, read_exactly)
            assert body == bytes([header["n"]]) * 3_000_000
        for thread in threads:
            thread.join()
        channel.close()


def test_a_reader_is_let_go_although_the_number_of_its_descriptor_is_taken_at_once():
    for _ in range(200):
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        channel.set_deadline(time.monotonic() + 20)
        ended = threading.Event()

        def read(channel: Channel = channel, ended: threading.Event = ended) -> None:
            with contextlib.suppress(EOFError, OSError):
                channel.read_exactly(1)
            ended.set()

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.001)  # it is in recv by now, mostly
        channel.close()
        taken = [*socket.socketpair(), *socket.socketpair()]  # as the request that removes the container does
        assert ended.wait(2), "the reader waits on somebody else's connection"
        reader.join()
        for end in (*taken, theirs):
            end.close()
