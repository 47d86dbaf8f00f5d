"""Sessions in real containers: what they can do, what they cannot, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from orchestrator.engine.background import Background
from orchestrator.engine.engine import Engine
from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.sandbox.base import Session
from orchestrator.sandbox.engine import connect
from orchestrator.sandbox.session import DockerSession
from orchestrator.settings import Settings
from orchestrator.types import GiB, Limits, MiB, Status
from sandbox_image.agent import protocol

LIMITS = Limits(wall_time=30, cpu_time=20, memory=256 * MiB, disk=128 * MiB, output=64 * 1024, processes=40)


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    async with Engine(Settings(workers=1), limits=LIMITS, preload=False, memory_budget=4 * GiB) as engine:
        yield engine


@pytest.fixture(scope="module")
async def shared(engine: Engine) -> AsyncIterator[Session]:
    """One for all tests that do it no lasting harm."""
    async with engine.session(ttl=600) as session:
        yield session


def sh(line: str) -> list[str]:
    return ["sh", "-c", line]


def python(code: str) -> list[str]:
    return ["python", "-c", code]


def exists(container: str) -> bool:
    client = connect()
    try:
        return bool(client.api.containers(all=True, filters={"id": container}))
    finally:
        client.close()


def container_of(session: Session) -> str:
    assert isinstance(session, DockerSession)
    return session.container


# What it can do


async def test_a_command_says_how_it_ended(shared):
    line = 'cat; printf "%s %s" "$GREETING" "$PWD"; echo oops >&2; exit 3'
    result = await shared.exec(sh(line), input="in ", env={"GREETING": "hello"}, cwd="/tmp")
    assert (result.status, result.exit_code) == (Status.RUNTIME_ERROR, 3)
    assert (result.stdout, result.stderr) == ("in hello /box/tmp", "oops\n")
    assert result.wall_time > 0
    killed = await shared.exec(sh("kill -TERM $$"))
    assert (killed.status, killed.signal, killed.exit_code) == (Status.SIGNALLED, signal.SIGTERM, None)
    missing = await shared.exec(["no-such-program"])
    assert (missing.exit_code, missing.stderr) == (127, "no-such-program: No such file or directory\n")
    assert (await shared.exec(["true"], cwd="nowhere")).exit_code == 126


async def test_output_is_passed_on_while_it_is_written_and_no_more_than_the_limit(shared):
    heard: list[tuple[str, bytes]] = []
    begun = asyncio.Event()

    def hear(stream: str, chunk: bytes) -> None:
        heard.append((stream, chunk))
        begun.set()

    running = asyncio.create_task(shared.exec(sh("echo first; until [ -e go ]; do sleep 0.05; done; yes"), on_output=hear))
    await begun.wait()
    assert heard == [("stdout", b"first\n")]
    await shared.write_file("go", b"")
    result = await running
    assert (result.status, result.stdout_truncated, result.stderr_truncated) == (Status.OUTPUT_EXCEEDED, True, False)
    assert len(result.stdout) == LIMITS.output == sum(len(chunk) for _, chunk in heard)


async def test_eight_commands_at_once(shared):
    begun = time.monotonic()
    results = await asyncio.gather(*(shared.exec(sh(f"cat; sleep 2; echo {n}"), input=f"{n} " * 9) for n in range(8)))
    assert [result.stdout for result in results] == [f"{n} " * 9 + f"{n}\n" for n in range(8)]
    assert time.monotonic() - begun < 8


async def test_a_file_of_100_mib_goes_both_ways(engine):
    content = os.urandom(1 << 20) * 100
    limits = LIMITS.model_copy(update={"memory": 512 * MiB})
    async with engine.session(limits) as session:
        await session.write_file("below/here/large.bin", content)
        assert await session.read_file("below/here/large.bin") == content
        assert [(e.name, e.kind, e.size) for e in await session.list("below/here")] == [("large.bin", "file", len(content))]
        with pytest.raises(UsageError, match="too large"):
            await session.write_file("larger.bin", content + b"x")
        await session.write_file("small", "as it was")
        for path in ("second.bin", "small"):
            with pytest.raises(UsageError, match="No space left"):
                await session.write_file(path, content)
        assert await session.read_file("small") == b"as it was"
        assert [entry.name for entry in await session.list()] == ["below", "small"]
        await session.write_file("below/here/large.bin", content[:5])
        assert await session.read_file("below/here/large.bin") == content[:5]
        counted = await session.exec(["md5sum"], input=content[: 10 << 20])
        assert counted.status is Status.OK


async def test_files_pass_one_gate(shared):
    await shared.exec(sh("mkfifo pipe; ln -s /etc/passwd link; mkdir -p folder; echo x > one; ln one two"))
    for path in ("/etc/passwd", "../up", "a//b", ""):
        with pytest.raises(UsageError):
            await shared.read_file(path)
        with pytest.raises(UsageError):
            await shared.write_file(path, b"")
    for path in ("pipe", "link", "folder", "two", "missing"):
        with pytest.raises(UsageError, match=f"{path!r} cannot be read"):
            await shared.read_file(path)
    for path in ("pipe", "link", "folder"):
        with pytest.raises(UsageError, match="cannot be written"):
            await shared.write_file(path, b"x")
    kinds = {entry.name: entry.kind for entry in await shared.list()}
    assert kinds | {"pipe": "other", "link": "link", "folder": "folder", "one": "file"} == kinds
    with pytest.raises(UsageError, match="cannot be listed"):
        await shared.list("missing")


async def test_what_makes_no_sense_is_refused(shared):
    for argv in ([], "echo hello", ["a\0b"]):
        with pytest.raises(UsageError):
            await shared.exec(argv)
    with pytest.raises(UsageError):
        await shared.exec(["true"], env={"A=B": "C"})
    with pytest.raises(UsageError):
        await shared.exec(["true"], timeout=-1)


# What it cannot do

ISOLATION = """
import os, socket
def refused(act, *args):
    try:
        act(*args)
    except OSError as exc:
        return True
    return False
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
    assert refused(socket.socket, family, socket.SOCK_RAW if family > 10 else socket.SOCK_STREAM), family
assert [line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]] == ['lo']
assert not os.path.exists('/var/run/docker.sock')
assert os.getuid() == os.geteuid() != 0 and os.getgroups() in ([], [os.getgid()])
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())
assert int(status['CapEff'], 16) == int(status['CapPrm'], 16) == int(status['CapAmb'], 16) == 0, status
assert status['NoNewPrivs'] == '1' and status['Seccomp'] == '2'
agents = [pid for pid in os.listdir('/proc') if pid.isdigit() and os.stat(f'/proc/{pid}').st_uid == 0]
assert '1' in agents and len(agents) > 1
for pid in agents:
    for name in ('fd', 'environ', 'mem', 'maps', 'cwd', 'root', 'exe'):
        assert refused(os.listdir if name == 'fd' else os.readlink if name in ('cwd', 'root', 'exe') else open, f'/proc/{pid}/{name}'), name
    for number in (9, 15, 19, 14, 2):
        assert refused(os.kill, int(pid), number)
for act in (os.setuid, os.setgid, os.seteuid):
    assert refused(act, 0)
for place in ('/', '/etc', '/opt/agent', '/proc/sys/kernel', '/sys', '/dev'):
    assert refused(open, place + '/mine', 'w'), place
assert {int(fd) for fd in os.listdir('/proc/self/fd')} <= {0, 1, 2, 3}
print('held')
"""


async def test_it_sees_no_network_no_host_and_nothing_of_its_agent(shared):
    result = await shared.exec(python(ISOLATION))
    assert (result.stdout, result.stderr) == ("held\n", "")


async def test_it_runs_under_the_limits_of_a_run(shared):
    client = connect()
    try:
        host = client.api.inspect_container(container_of(shared))["HostConfig"]
    finally:
        client.close()
    assert host["ReadonlyRootfs"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert sorted(name.removeprefix("CAP_") for name in host["CapAdd"]) == ["KILL", "SETGID", "SETUID"]
    assert host["Memory"] == host["MemorySwap"] == LIMITS.memory
    assert "no-new-privileges" in host["SecurityOpt"]


async def test_the_agent_survives_commands_that_kill_whatever_they_can(shared):
    for line in ("kill -9 -1", "kill -STOP -1", "kill -9 1; kill -TERM 1; kill -ALRM 1; exit 5"):
        await shared.exec(sh(line), timeout=3)
    result = await shared.exec(sh("echo still here"))
    assert (result.status, result.stdout) == (Status.OK, "still here\n")


async def test_a_session_that_spoils_its_own_folder_has_done_that_itself(engine):
    async with engine.session() as session:
        await session.exec(sh("cd /; rm -rf /box/work /box/tmp; echo x > /box/work"))
        result = await session.exec(["true"])
        assert (result.status, result.stderr) == (Status.RUNTIME_ERROR, "Not a directory\n")
        with pytest.raises(UsageError, match="Not a directory"):
            await session.read_file("x")


FORGED = """
import glob, os, sys
frame = bytes.fromhex(sys.argv[1])
for path in ['/dev/stdout', '/dev/stderr', *glob.glob('/proc/[0-9]*/fd/*')]:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, frame)
        os.close(fd)
    except OSError:
        pass
for fd in range(3, 1024):
    try:
        os.write(fd, frame)
    except OSError:
        pass
sys.exit(4)
"""


async def test_forged_frames_are_output_and_nothing_else(shared):
    told = {"type": "ended", "status": "ok", "detail": "", "exit_code": 0}
    frames = b"".join(protocol.encode({**told, "id": number}) for number in range(1, 200))
    bystander = asyncio.create_task(shared.exec(sh("sleep 2; echo done")))
    await asyncio.sleep(0.2)
    result = await shared.exec([*python(FORGED), frames.hex()])
    assert (result.status, result.exit_code) == (Status.RUNTIME_ERROR, 4)
    assert '"status":"ok"' in result.stdout
    # Its user is that of the other command too, so it can write where that one does. How that one ended it cannot tell.
    other = await bystander
    assert (other.status, other.exit_code, other.stdout[-5:]) == (Status.OK, 0, "done\n")
    assert other.wall_time >= 2


async def test_memory_is_limited_and_only_who_wants_too_much_is_killed(shared):
    bystander = asyncio.create_task(shared.exec(sh("sleep 2; echo done")))
    await asyncio.sleep(0.2)
    result = await shared.exec(python("x = bytearray(1 << 30)"))
    assert (result.status, result.signal) == (Status.MEMORY_EXCEEDED, signal.SIGKILL)
    assert (await bystander).stdout == "done\n"


BOMB = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
COUNT = "import os; print(sum(os.stat('/proc/' + p).st_uid != 0 for p in os.listdir('/proc') if p.isdigit()))"


async def test_a_fork_bomb_is_held_and_ends_with_its_command(shared):
    bomb = asyncio.create_task(shared.exec(python(BOMB), timeout=5))
    await asyncio.sleep(1.5)
    several = await asyncio.gather(*(shared.exec(["sleep", "2"]) for _ in range(3)))
    assert Status.PROCESS_LIMIT_EXCEEDED in {result.status for result in several}
    assert (await bomb).status is Status.TIMED_OUT_WALL
    assert int((await shared.exec(python(COUNT))).stdout) < 5


async def test_disk_is_limited(engine):
    async with engine.session() as session:
        for place in ("large", "/dev/shm/large"):
            result = await session.exec(["dd", "if=/dev/zero", f"of={place}", "bs=1M", "count=200"])
            assert (result.status, result.exit_code) == (Status.DISK_EXCEEDED, 1)
        assert (await session.exec(sh("rm large /dev/shm/large; echo small > small"))).status is Status.OK


HIDES = "for i in 1 2 3; do setsid sh -c 'sleep 300 & exec setsid sleep 300' & done; python -c 'import os,time; os.fork() and os._exit(0); os.setsid(); time.sleep(300)'; sleep 300"


async def test_a_time_limit_ends_the_command_with_all_that_it_started_and_nothing_else(shared):
    await shared.exec(sh("sleep 299 > /dev/null 2>&1 &"))
    result = await shared.exec(sh(HIDES), timeout=2)
    assert (result.status, result.signal) == (Status.TIMED_OUT_WALL, signal.SIGKILL)
    left = await shared.exec(sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))
    assert "sleep 300" not in left.stdout
    assert "time.sleep" not in left.stdout
    assert "sleep 299" in left.stdout


async def test_whoever_goes_away_takes_the_command_along(shared):
    waiting = asyncio.create_task(shared.exec(["sleep", "298"]))
    await asyncio.sleep(0.5)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0.5)
    assert "298" not in (await shared.exec(sh("cat /proc/[0-9]*/cmdline"))).stdout


# Cells


async def test_cells_share_their_state(shared):
    first = await shared.run_cell("import sys\nx = 20\nprint('out')\nprint('err', file=sys.stderr)\nx + 1")
    assert (first.status, first.value, first.stdout, first.stderr) == (Status.OK, "21", "out\n", "err\n")
    failed = await shared.run_cell("def f():\n    return x / 0\nf()")
    assert (failed.status, failed.error.name, failed.error.message) == (
        Status.RUNTIME_ERROR,
        "ZeroDivisionError",
        "division by zero",
    )
    assert failed.error.traceback.splitlines()[0] == "Traceback (most recent call last):"
    assert '"<cell ' in failed.error.traceback
    assert "return x / 0" in failed.error.traceback
    assert "agent" not in failed.error.traceback
    assert (await shared.run_cell("x")).value == "20"
    assert (await shared.run_cell("x =")).error.name == "SyntaxError"
    assert (await shared.run_cell("raise SystemExit(3)")).error.name == "SystemExit"
    assert (await shared.run_cell("import subprocess\nsubprocess.run(['echo', 'child'])\nNone")).stdout == "child\n"


async def test_cells_may_await(shared):
    await shared.run_cell("import asyncio\nasync def double(x):\n    await asyncio.sleep(0)\n    return 2 * x")
    both = await shared.run_cell("first, second = await asyncio.gather(double(1), double(2))\nfirst + await double(second)")
    assert (both.status, both.value) == (Status.OK, "10")
    # One loop for all: what a cell began goes on while a later one awaits.
    await shared.run_cell("began = asyncio.create_task(double(21)) if await double(1) else None")
    assert (await shared.run_cell("await began")).value == "42"
    failed = await shared.run_cell("await double(None)")
    assert failed.error.name == "TypeError"
    assert "asyncio" not in failed.error.traceback
    slow = await shared.run_cell("await asyncio.sleep(60)", timeout=0.5)
    assert slow.status == Status.TIMED_OUT_WALL
    assert (await shared.run_cell("await double(second)")).value == "8"


async def test_a_cell_can_be_interrupted_and_its_process_restarted(shared):
    await shared.run_cell("x = 5")
    slow = await shared.run_cell("while True: pass", timeout=0.5)
    assert (slow.status, slow.error.name, slow.state_lost) == (Status.TIMED_OUT_WALL, "KeyboardInterrupt", False)
    running = asyncio.create_task(shared.run_cell("import time\ntime.sleep(60)"))
    await asyncio.sleep(0.5)
    await shared.interrupt()
    assert (await running).error.name == "KeyboardInterrupt"
    assert (await shared.run_cell("x")).value == "5"
    stubborn = "import time\nwhile True:\n try: time.sleep(60)\n except BaseException: pass"
    assert (await shared.run_cell(stubborn, timeout=0.5)).state_lost
    assert (await shared.run_cell("x")).error.name == "NameError"
    await shared.run_cell("x = 6")
    await shared.restart()
    assert (await shared.run_cell("x")).error.name == "NameError"


async def test_a_cell_that_ends_its_process_or_says_too_much_or_lies_harms_nobody(shared):
    gone = await shared.run_cell("import os\nprint('bye', flush=True)\nos._exit(7)")
    assert (gone.status, gone.stdout, gone.state_lost) == (Status.RUNTIME_ERROR, "bye\n", True)
    assert (await shared.run_cell("import os\nos.kill(os.getpid(), 9)")).status is Status.SIGNALLED
    flood = await shared.run_cell("x = 1\nwhile True: print('y' * 1000)")
    assert (flood.status, len(flood.stdout), flood.stdout_truncated) == (Status.OUTPUT_EXCEEDED, LIMITS.output, True)
    assert ((await shared.run_cell("x")).value, flood.state_lost) == ("1", False)
    lie = await shared.run_cell("import os\nos.write(3, b'\\xff' * 100)\nwhile True: pass", timeout=5)
    assert (lie.status, lie.state_lost) == (Status.RUNTIME_ERROR, True)
    assert (await shared.run_cell("1 + 1")).value == "2"


async def test_pictures_come_as_png(engine):
    async with engine.session() as session:
        drawn = await session.run_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone", timeout=90)
        assert [picture[:8] for picture in drawn.pictures] == [b"\x89PNG\r\n\x1a\n"], drawn
        assert (await session.run_cell("1")).pictures == ()


# Its end


async def test_nothing_is_left_when_the_block_ends_however_it_ends(engine):
    left: list[str] = []
    working = asyncio.Event()
    async with engine.session() as session:
        left.append(container_of(session))
        assert exists(left[0])
    with pytest.raises(SandboxUnavailable, match="closed"):
        await session.exec(["true"])
    with contextlib.suppress(ZeroDivisionError):
        async with engine.session() as session:
            left.append(container_of(session))
            raise ZeroDivisionError

    async def work() -> None:
        async with engine.session() as session:
            left.append(container_of(session))
            working.set()
            await session.exec(["sleep", "60"])

    task = asyncio.create_task(work())
    await working.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(set(left)) == 3
    assert not any(exists(container) for container in left)


async def test_it_ends_with_its_time_to_live(engine):
    async with engine.session(ttl=1.5) as session:
        container = container_of(session)
        with pytest.raises(SandboxUnavailable, match=r"time to live of 1\.5 seconds"):
            await session.exec(["sleep", "60"])
        with pytest.raises(SandboxUnavailable, match="time to live"):
            await session.exec(["true"])
        assert session.closed
        for _ in range(50):
            if not exists(container):
                break
            await asyncio.sleep(0.1)
        assert not exists(container)


ORPHAN = """
import asyncio
from orchestrator.engine.background import Background
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
async def main():
    async with Engine(Settings(workers=1), preload=False) as engine, engine.session() as session:
        print(session.container, flush=True)
        await session.exec(["sleep", "600"])
asyncio.run(main())
"""


async def test_a_session_whose_process_was_killed_ends_and_is_removed(engine):
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", ORPHAN, stdout=subprocess.PIPE)
    assert child.stdout is not None
    container = (await child.stdout.readline()).decode().strip()
    child.kill()
    await child.wait()
    client = connect()
    try:
        for _ in range(100):
            state = client.api.inspect_container(container)["State"]
            if not state["Running"]:
                break
            await asyncio.sleep(0.1)
        assert not state["Running"]
    finally:
        client.close()
    await asyncio.to_thread(engine._pool.provider.reap)
    assert not exists(container)


async def test_one_waits_for_its_owner_and_is_given_away_once(engine):
    seen = set()
    for _ in range(3):
        async with engine.session() as session:
            assert (await session.exec(sh("ls -A; touch mine"))).stdout == ""
            seen.add(container_of(session))
    assert len(seen) == 3


async def test_limits_may_differ_from_the_engine_s(engine):
    limits = Limits(memory=100 * MiB, disk=2 * MiB, processes=10, wall_time=1)
    async with engine.session(limits) as session:
        assert (await session.exec(["sleep", "60"])).status is Status.TIMED_OUT_WALL
        assert (await session.exec(python("x = bytearray(120 << 20)"), timeout=20)).status is Status.MEMORY_EXCEEDED
        assert (await session.exec(["dd", "if=/dev/zero", "of=x", "bs=1M", "count=3"], timeout=20)).status is Status.DISK_EXCEEDED


# Its doors


async def test_callers_that_are_not_async_have_the_same(engine):
    def work() -> tuple[str, bytes, str | None, bool]:
        background = Background(Engine(Settings(workers=1), limits=LIMITS, ahead=False, refill=False))
        try:
            with background.session(LIMITS, ttl=60) as session:
                session.write_file("name", "Ada")
                said = session.exec(sh("cat name; printf ' %s' x > name")).stdout
                read = session.read_file("name")
                value = session.run_cell("open('name').read()").value
                assert [entry.name for entry in session.list()] == ["name"]
            return said, read, value, session.closed
        finally:
            background.close()

    assert await asyncio.to_thread(work) == ("Ada", b" x", "' x'", True)


async def command_line(*words: str, typed: str) -> tuple[int, str, str]:
    call = [sys.executable, "-c", "from orchestrator.cli import main; main()", "shell", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = await asyncio.create_subprocess_exec(*call, **pipes)
    out, err = await child.communicate(typed.encode())
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_the_shell_runs_what_it_is_given(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    script = "wc -l < data.csv\nfor i in 1 2; do\n  echo $i\ndone\nexit 4\n"
    code, out, err = await command_line(str(tmp_path / "data.csv"), typed=script)
    assert (code, out, err) == (1, "2\n1\n2\n", "exit code 4\n")
    code, out, _ = await command_line("--json", "--ttl", "60", typed="cd /tmp; export A=b\n\necho $PWD $A\nexit\nfalse\n")
    results = [json.loads(line) for line in out.splitlines()]
    assert (code, [result["stdout"] for result in results]) == (0, ["", "/tmp b\n", ""])
    code, out, _ = await command_line("--json", typed="true\nexit 3\n")
    assert (code, [json.loads(line)["exit_code"] for line in out.splitlines()]) == (1, [0, 3])
