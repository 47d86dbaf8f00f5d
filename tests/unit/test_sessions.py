"""Sessions without a sandbox: what is sent, how what is said is read, who gets which, and what a cell's process answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sandbox_image
from orchestrator.cli.shell import _Left, code_of
from orchestrator.engine.base import Executor
from orchestrator.engine.engine import Engine
from orchestrator.engine.sessions import Kind
from orchestrator.errors import PoolExhausted, SandboxUnavailable, UsageError
from orchestrator.sandbox import commands
from orchestrator.sandbox.base import Session, content_of
from orchestrator.sandbox.cells import Answers
from orchestrator.sandbox.channel import Channel
from orchestrator.sandbox.hardening import ContainerSpec, container_options
from orchestrator.sandbox.scripted import ScriptedProvider, ScriptedSessions
from orchestrator.sandbox.session import DockerSession
from orchestrator.settings import Settings
from orchestrator.types import ExecResult, GiB, Limits, MiB, Status
from sandbox_image.agent import protocol

# What is sent


@pytest.mark.parametrize("argv", ["ls -l", b"ls", [], [""], ["a", "b\0"], ["a", 1]])
def test_what_is_no_command_line_is_refused(argv):
    with pytest.raises(UsageError):
        commands.words(argv)


def test_words_and_variables_are_sent_as_they_are():
    assert commands.words(("printf", "", "ä\n")) == ["printf", "", "ä\n"]
    assert commands.variables({"A": "", "B": "x=y"}) == {"A": "", "B": "x=y"}


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}, {"A\0": "x"}])
def test_what_is_no_variable_is_refused(env):
    with pytest.raises(UsageError):
        commands.variables(env)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_time_limit_is_a_positive_number(timeout):
    with pytest.raises(UsageError):
        commands.seconds(timeout, 30)


# How what is said is read


async def test_an_end_is_what_the_agent_says_and_nothing_more():
    command = commands.Command()
    command.heard("stdout", b"ok \xff")
    end = {"type": "ended", "id": 1, "status": "signalled", "signal": 9, "exit_code": None, "wall_time": 0.5, "cpu_time": 0.1}
    result = commands.read_end(end, command)
    assert (result.status, result.signal, result.stdout) == (Status.SIGNALLED, 9, "ok \ufffd")
    with pytest.raises(SandboxUnavailable):
        commands.read_end({**end, "status": "splendid"}, command)


ANSWER = {"type": "answered", "cell": 1, "value": "2", "error": None, "pictures": []}
PNG = b"\x89PNG\r\n\x1a\n"


def test_answers_are_put_together_from_pieces():
    frames = protocol.encode({**ANSWER, "pictures": [9, 3]}, PNG + b"xyzw") + protocol.encode({**ANSWER, "cell": 2})
    answers = Answers()
    found = [answer for place in range(len(frames)) for answer in answers.add(frames[place : place + 1])]
    assert [answer.cell for answer, _ in found] == [1, 2]
    assert [pictures for _, pictures in found] == [(PNG + b"x",), ()], "what is no picture is left out"


@pytest.mark.parametrize(
    "lie",
    [
        b"\xff" * 8,
        protocol.encode({"type": "ended"}),
        protocol.encode({**ANSWER, "value": 3}),
        protocol.encode({**ANSWER, "pictures": [10]}, b"short"),
        protocol.encode({**ANSWER, "pictures": [-1, 1]}),
        protocol.encode({**ANSWER, "error": "none"}),
    ],
)
def test_what_is_no_answer_is_known(lie):
    with pytest.raises(protocol.ProtocolError):
        Answers().add(lie)


# The host's end of the stream, with an agent that says what the test wants


class Agent:
    """The engine's end of an attached stream."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.stream, self.channel = ours, Channel(theirs)
        self.removed: list[str] = []

    def read(self) -> tuple[dict[str, Any], bytes]:
        def exactly(count: int) -> bytes:
            data = b""
            while len(data) < count:
                if not (more := self.stream.recv(count - len(data))):
                    raise EOFError
                data += more
            return data

        return protocol.read(exactly)

    def say(self, header: dict[str, Any], body: bytes = b"") -> None:
        data = protocol.encode(header, body)
        self.stream.sendall(b"\1\0\0\0" + len(data).to_bytes(4, "big") + data)

    # What a session asks of its provider

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    @property
    def api(self) -> Any:
        return SimpleNamespace(inspect_container=lambda name: {"State": {"Running": False, "ExitCode": protocol.OVER}})

    def remove(self, name: str) -> None:
        self.removed.append(name)


@contextlib.asynccontextmanager
async def session_with(answer: Callable[[Agent, dict[str, Any], bytes], None]) -> AsyncIterator[tuple[DockerSession, Agent]]:
    """A session whose agent answers each frame by a function."""
    agent = Agent()

    def serve() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                frame, body = agent.read()
                if frame["type"] == "begin":
                    agent.say({"type": "begun"})
                else:
                    answer(agent, frame, body)

    thread = threading.Thread(target=serve)
    thread.start()
    session = DockerSession(agent, "c" * 64, agent.channel, ContainerSpec(image="x"))  # type: ignore[arg-type]
    try:
        await session.open(Limits(), 60)
        yield session, agent
    finally:
        await session.close()
        agent.stream.close()
        thread.join()


def ended(number: int) -> dict[str, Any]:
    return {"type": "ended", "id": number, "status": "ok", "detail": "", "exit_code": 0}


async def test_frames_find_their_commands_however_they_are_mixed():
    waiting: list[int] = []

    def answer(agent: Agent, frame: dict[str, Any], body: bytes) -> None:
        waiting.append(frame["id"])
        if len(waiting) == 3:
            for number in (2, 1, 3, 99):
                agent.say({"type": "output", "id": number, "stream": "stdout"}, b"%d" % number)
            for number in (3, 99, 1, 2):
                agent.say(ended(number))

    async with session_with(answer) as (session, _):
        results = await asyncio.gather(*(session.exec(["x"]) for _ in range(3)))
    assert [result.stdout for result in results] == ["1", "2", "3"]


async def test_input_is_never_further_ahead_than_the_window():
    ahead = most = total = 0

    def answer(agent: Agent, frame: dict[str, Any], body: bytes) -> None:
        nonlocal ahead, most, total
        ahead += len(body)
        total += len(body)
        most = max(most, ahead)
        if frame["end"]:
            agent.say(ended(frame["id"]))
        elif ahead == protocol.WINDOW:
            agent.say({"type": "taken", "id": frame["id"], "size": ahead})
            ahead = 0

    async with session_with(answer) as (session, _):
        await session.exec(["x"], input=bytes(11 * MiB + 1))
    assert (most, total) == (protocol.WINDOW, 11 * MiB + 1)


async def test_what_ends_before_it_has_read_is_sent_no_more():
    async with session_with(lambda agent, frame, body: agent.say(ended(frame["id"]))) as (session, _):
        assert (await session.exec(["x"], input=bytes(20 * MiB))).status is Status.OK


async def test_a_callback_that_raises_ends_its_command_and_tells_who_gave_it():
    seen: list[str] = []

    def answer(agent: Agent, frame: dict[str, Any], body: bytes) -> None:
        seen.append(frame["type"])
        if frame["type"] == "start":
            agent.say({"type": "output", "id": frame["id"], "stream": "stdout"}, b"x")

    def raises(stream: str, chunk: bytes) -> None:
        raise ZeroDivisionError

    async with session_with(answer) as (session, _):
        with pytest.raises(ZeroDivisionError):
            await session.exec(["x"], on_output=raises)
        await asyncio.sleep(0.05)
    assert seen == ["start", "stop"]


async def test_who_goes_away_has_the_command_stopped():
    seen = []
    async with session_with(lambda agent, frame, body: seen.append(frame["type"])) as (session, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.exec(["x"])
        await asyncio.sleep(0.05)
    assert seen == ["start", "stop"]


async def test_an_agent_that_is_gone_is_explained_once_and_its_container_removed():
    async with session_with(lambda agent, frame, body: agent.stream.shutdown(socket.SHUT_RDWR)) as (session, agent):
        with pytest.raises(SandboxUnavailable, match="time to live of 60 seconds"):
            await session.exec(["x"])
        with pytest.raises(SandboxUnavailable, match="time to live"):
            await session.read_file("x")
        assert session.closed
    assert agent.removed == ["c" * 64]


async def test_nonsense_of_the_agent_ends_the_session():
    async with session_with(lambda agent, frame, body: agent.stream.sendall(b"\1\0\0\0\0\0\0\x08" + b"\xff" * 8)) as (session, _):
        with pytest.raises(SandboxUnavailable):
            await session.exec(["x"])


# Who gets which


def engine(script: ScriptedSessions, memory: int = 256 * MiB) -> Engine:
    return Engine(
        Settings(workers=1),
        provider=ScriptedProvider([]),
        sessions_of=lambda kind: script,
        limits=Limits(memory=memory),
        memory_budget=2 * GiB,
    )


async def test_each_owner_gets_a_session_of_its_own_and_one_is_kept_ready():
    script = ScriptedSessions(command=lambda argv: ExecResult(status=Status.OK, stdout=argv[0]))
    async with engine(script) as made:
        assert isinstance(made, Executor)
        assert not script.sessions, "who asks for none pays for none"
        async with made.session(ttl=5) as one, made.session() as other:
            assert isinstance(one, Session)
            assert (one is not other, (await one.exec(["hello"])).stdout) == (True, "hello")
            assert script.sessions[0].ttl == 5
        await asyncio.sleep(0)
        assert one.closed
        assert other.closed
        assert [session.spent for session in script.sessions] == [True, True, False]
    assert all(session.closed for session in script.sessions)


async def test_one_that_died_while_it_waited_is_replaced():
    script = ScriptedSessions()
    async with engine(script) as made:
        async with made.session():
            pass
        script.sessions[-1].closed = True
        async with made.session() as session:
            assert not session.closed


async def test_sessions_share_the_memory_of_runs():
    async with engine(ScriptedSessions(), memory=900 * MiB) as made:
        async with made.session(), made.session():
            with pytest.raises(PoolExhausted, match="free within"):
                async with made.session(wait=0.05):
                    pass
        async with made.session(wait=5):
            pass


async def test_what_an_engine_cannot_give_is_refused():
    async with engine(ScriptedSessions()) as made:
        with pytest.raises(UsageError, match="2 GPUs"):
            made.session(gpus=2)
        for ttl in (0, -1, float("nan"), 1e9, "5"):
            with pytest.raises(UsageError, match="cannot live"):
                made.session(ttl=ttl)
        with pytest.raises(UsageError, match="content of 'a' is a PosixPath, not bytes or text"):
            content_of("a", Path("b"))
        await made.drain()
        with pytest.raises(PoolExhausted):
            made.session()
    async with Engine(Settings(workers=1), provider=ScriptedProvider([])) as made:
        with pytest.raises(UsageError, match="no sessions"):
            made.session()


def test_a_session_container_is_a_run_s_but_for_what_its_agent_needs():
    run = container_options(ContainerSpec(image="x"), "asked-1", 61184)
    session = container_options(ContainerSpec(image="x", session=True), "asked-1", 61184)
    assert session["container"].pop("user") == "0:0"
    assert session["container"].pop("working_dir") == "/"
    assert session["container"]["environment"].pop(protocol.SESSION) == "61184"
    assert session["container"]["labels"].pop("fumehood.session") == "1"
    assert session["host"].pop("cap_add") == ["SETUID", "SETGID", "KILL"]
    assert session["host"].pop("pids_limit") > run["host"].pop("pids_limit")
    assert run["container"].pop("user") == "61184:10001"
    assert session == run


def test_what_cannot_be_changed_of_a_container_makes_a_kind():
    assert Kind("", 1, 0) == Kind("", 1, 0) != Kind("", 2, 0)


@pytest.mark.parametrize("answers_first", [True, False])
async def test_a_cell_that_floods_its_output_is_interrupted_and_keeps_the_state(answers_first):
    seen = []

    def answer(agent: Agent, frame: dict[str, Any], body: bytes) -> None:
        seen.append(frame["type"])
        if frame["type"] == "start":
            return
        if frame["type"] == "input":
            for _ in range(3):  # what comes after the limit changes nothing
                agent.say({"type": "output", "id": frame["id"], "stream": "stdout"}, b"x" * MiB)
        if frame["type"] == ("input" if answers_first else "signal"):
            agent.say({"type": "output", "id": frame["id"], "stream": "channel"}, protocol.encode(ANSWER))

    async with session_with(answer) as (session, _):
        flood = await session.run_cell("print('x' * 3_000_000)")
    assert (flood.status, flood.state_lost, flood.detail) == (
        Status.OUTPUT_EXCEEDED,
        False,
        "More than 1048576 bytes were written.",
    )
    assert (len(flood.stdout), flood.stdout_truncated, flood.value) == (MiB, True, "2")
    assert seen[:2] == ["start", "input"]
    assert "stop" not in seen


# What a cell's process answers


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., tuple[dict[str, Any], bytes]]]:
    """Runs a cell in a process as the agent starts it."""
    ours, theirs = socket.socketpair()
    room = Path(sandbox_image.__file__).parent
    start = f"import sys; sys.path.insert(0, {str(room)!r}); from agent.cells import serve; serve({theirs.fileno()})"
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", start],
        pass_fds=[theirs.fileno()],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"MPLBACKEND": "Agg", "HOME": str(Path.home())},
    )
    theirs.close()

    def ask(code: str, before: Callable[[subprocess.Popen[bytes]], None] = lambda process: None) -> tuple[dict[str, Any], bytes]:
        ours.sendall(protocol.encode({"type": "cell", "cell": 7}, code.encode()))
        before(process)
        return protocol.read(lambda count: ours.recv(count, socket.MSG_WAITALL))

    yield ask
    ours.close()
    process.wait(timeout=10)
    process.stdout.close()


def test_a_cell_answers_with_its_value_and_keeps_its_state(ask):
    header, body = ask("x = [1, 2]\nx")
    assert (header["cell"], header["value"], header["error"], body) == (7, "[1, 2]", None, b"")
    assert ask("_ is x")[0]["value"] == "True"
    assert ask("None")[0]["value"] is None
    assert ask("y = 1;")[0]["value"] is None
    assert ask("")[0]["value"] is None
    assert ask("__name__")[0]["value"] == "'__main__'"
    assert ask("import sys; [name for name in sys.modules if 'agent' in name], sys.path[0]")[0]["value"] == "([], '')"


def test_exceptions_are_told_as_the_author_of_the_cell_expects_them(ask):
    ask("def f(n):\n    return 1 / n")
    error = ask("f(0)")[0]["error"]
    assert (error["name"], error["message"]) == ("ZeroDivisionError", "division by zero")
    assert [line.strip() for line in error["traceback"].splitlines() if "^" not in line and "~" not in line] == [
        "Traceback (most recent call last):",
        'File "<cell 2>", line 1, in <module>',
        "f(0)",
        'File "<cell 1>", line 2, in f',
        "return 1 / n",
        "ZeroDivisionError: division by zero",
    ]
    assert ask("class A:\n def __repr__(self): raise ValueError('no')\nA()")[0]["error"]["name"] == "ValueError"
    assert ask("class E(Exception):\n def __str__(self): raise E\nraise E")[0]["error"]["name"] == "E"
    lines = ask("x = = 1")[0]["error"]["traceback"].splitlines()
    assert [line.strip() for line in lines] == ['File "<cell 5>", line 1', "x = = 1", "^", "SyntaxError: invalid syntax"]
    assert ask("1 + 1")[0]["value"] == "2"


def test_an_interrupt_ends_the_cell_and_not_the_state(ask):
    ask("x = 1")

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        time.sleep(0.3)
        process.send_signal(2)

    assert ask("import time\ntime.sleep(60)", interrupt)[0]["error"]["name"] == "KeyboardInterrupt"
    assert ask("x")[0]["value"] == "1"


def test_what_is_too_long_is_cut(ask):
    value = ask("'x' * (1 << 20)")[0]["value"]
    assert value.endswith("... (1048578 characters)")
    assert len(value) < 1 << 19
    assert ask("'\\ud800'")[0]["value"] == "'\\ud800'"


def test_figures_come_as_pictures_and_are_closed(ask):
    pytest.importorskip("matplotlib")
    header, body = ask("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.figure()\nNone")
    sizes = header["pictures"]
    assert len(sizes) == 2, header["error"]
    assert all(picture.startswith(PNG) for picture in protocol.split(body, sizes))
    assert ask("1")[0]["pictures"] == []


@pytest.mark.parametrize(("line", "code"), [("exit", None), ("exit 7", 7), ("exit 300", 44), ("exit now", None)])
def test_exit_may_name_its_code(line, code):
    assert _Left(line).code == code


@pytest.mark.parametrize(
    ("line", "last", "status", "code"),
    [
        ("exit", None, "ok", 0),
        ("exit", ExecResult(status=Status.OK, exit_code=0), "ok", 0),
        ("exit", ExecResult(status=Status.RUNTIME_ERROR, exit_code=4), "runtime_error", 1),
        ("exit", ExecResult(status=Status.TIMED_OUT_WALL), "timed_out_wall", 1),
        ("exit 0", ExecResult(status=Status.RUNTIME_ERROR, exit_code=4), "ok", 0),
        ("exit 3", ExecResult(status=Status.OK, exit_code=0), "runtime_error", 1),
    ],
)
def test_whoever_leaves_a_shell_ends_it_with_0_or_1(line, last, status, code):
    result = _Left(line).result(last)
    assert (result.status, code_of(result)) == (status, code)
