"""Sandboxes that die, callers that are killed: no program is blamed, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.processes import is_alive, owner
from orchestrator.sandbox.docker import DockerSandbox
from orchestrator.sandbox.engine import connect
from orchestrator.sandbox.hardening import LABEL, OWNER
from orchestrator.types import Limits, Program, Status, Verdict


def containers(who: str | None = None) -> list[str]:
    client = connect()
    try:
        found = client.api.containers(all=True, filters={"label": f"{LABEL}=1"})
        return [c["Id"] for c in found if who is None or c["Labels"].get(OWNER, "").split(":")[1] == who]
    finally:
        client.close()


async def _kill_when_running(engine: Engine, times: int) -> None:
    """Kill the container in which a program sleeps, `times` times, from outside."""
    api = engine._provider.api
    killed: set[str] = set()
    while len(killed) < times:
        for container in list(engine._provider._live - killed):
            with contextlib.suppress(Exception):
                top = await asyncio.to_thread(api.top, container)
                if len(killed) < times and any("sleep" in " ".join(process) for process in top["Processes"]):
                    killed.add(container)
                    await asyncio.to_thread(api.kill, container)
        await asyncio.sleep(0.05)


async def test_a_sandbox_that_dies_is_replaced_and_the_program_not_blamed(engine):
    killer = asyncio.create_task(_kill_when_running(engine, 1))
    result = await engine.execute(Program(argv=("sh", "-c", "sleep 4; echo done")))
    await killer
    assert (result.status, result.stdout, result.attempts) == (Status.OK, "done\n", 2)


async def test_a_sandbox_that_keeps_dying_is_unscored(engine):
    killer = asyncio.create_task(_kill_when_running(engine, 3))
    result = await engine.execute(Program(argv=("sh", "-c", "sleep 30")))
    await killer
    assert (result.status, result.verdict, result.reward) == (Status.SANDBOX_ERROR, Verdict.UNSCORED, None)
    assert "died" in result.detail


async def test_a_cancelled_run_ends_at_once_and_leaves_nothing(engine):
    task = asyncio.create_task(engine.execute(Program(argv=("sleep", "60"))))
    await asyncio.sleep(1)
    started = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 5
    result = await engine.execute(Program(code="print('next')"))
    assert result.stdout == "next\n"


SCRIPT = """
import sys
import orchestrator
def main():
    print(orchestrator.run("print('up')").stdout, end="", flush=True)
    orchestrator.run("import time; time.sleep(60)", limits=orchestrator.Limits(wall_time=60))
main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_process_leaves_no_running_container(how):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "up\n"
        assert containers(str(process.pid))
        time.sleep(0.5)
        process.send_signal(how)
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
    if how is signal.SIGINT:
        assert containers(str(process.pid)) == []
    else:
        # Nobody was left to clean up; the agents end by themselves, and the next start removes what they were.
        script = "import orchestrator; orchestrator.run('1')"
        subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
        assert containers(str(process.pid)) == []


def test_a_script_that_ends_leaves_nothing():
    script = "import os, orchestrator; print(os.getpid(), orchestrator.run('print(6 * 7)').stdout)"
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True)
    pid, answer = done.stdout.split()
    assert answer == "42"
    assert done.stderr == ""
    assert containers(pid) == []


def test_an_owner_tells_processes_apart():
    assert is_alive(owner())
    boot, pid, started = owner().split(":")
    assert not is_alive(f"{boot}:{pid}:{int(started) + 1}")
    assert not is_alive(f"{boot}:{2**22 + 1}:1")
    assert is_alive(f"another-machine:{os.getpid()}:1")


async def test_a_container_of_its_own_runs_one_program_and_a_worker_several(engine, isolation):
    from orchestrator.errors import SandboxUnavailable

    async with engine._pool.acquire() as sandbox:
        assert isinstance(sandbox, DockerSandbox)
        await sandbox.run(Program(code="1"), Limits())
        assert sandbox.spent == (isolation == "container")
        if isolation == "namespace":
            await sandbox.run(Program(code="1"), Limits())
        sandbox.spent = True
        with pytest.raises(SandboxUnavailable, match="used up"):
            await sandbox.run(Program(code="1"), Limits())
