"""What the kernel counts by user, or for the whole host: a run at its limit leaves a right one elsewhere unharmed."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import Program, Status

HOLDS = {
    "pipe pages": """
import os
for _ in range(2):
    if os.fork() == 0:
        break
kept = []
try:
    while True: kept.append(os.pipe())
except OSError: pass
""",
    "descriptors in flight": """
import array, socket
one, other = socket.socketpair()
try:
    while True: one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 253))])
except OSError: pass
""",
    "pending signals": """
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
libc = ctypes.CDLL(None)
while libc.sigqueue(os.getpid(), 40, None) == 0: pass
""",
    "message queues": """
import ctypes
libc, number = ctypes.CDLL(None), 0
class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("flags", "most", "size", "now")] + [("rest", ctypes.c_long * 4)]
while libc.mq_open(b"/%d" % number, 0o102, 0o600, ctypes.byref(Attributes(0, 10, 8192, 0))) >= 0: number += 1
""",
}
"""Programs that take as much of something as they are given."""
NEEDS = {
    "pipe pages": """
import os
read, write = os.pipe()
os.set_blocking(write, False)
print(os.write(write, bytes(60000)))
""",
    "descriptors in flight": """
import array, socket
one, other = socket.socketpair()
one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 100))])
print(len(other.recvmsg(1, 4096)[1][0][2]) // 4)
""",
    "pending signals": """
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
print(ctypes.CDLL(None).sigqueue(os.getpid(), 40, None))
""",
    "message queues": """
import ctypes
queue = ctypes.CDLL(None).mq_open(b"/mine", 0o102, 0o600, None)
print(queue >= 0)
""",
}
"""Programs that need a little of it."""
SAYS = {"pipe pages": "60000", "descriptors in flight": "100", "pending signals": "0", "message queues": "True"}


@pytest.mark.parametrize("count", HOLDS)
async def test_who_takes_all_of_a_count_hinders_no_other(bare, count):
    held = asyncio.Event()
    program = Program(code=f"{HOLDS[count]}\nprint('held', flush=True)\nimport time\ntime.sleep(30)")
    hog = asyncio.create_task(bare.execute(program, on_output=lambda stream, chunk: held.set()))
    await asyncio.wait([hog, asyncio.create_task(held.wait())], timeout=15, return_when=asyncio.FIRST_COMPLETED)
    assert held.is_set()
    result = await bare.execute(Program(code=NEEDS[count]))
    assert not hog.done()
    hog.cancel()
    assert (result.status, result.stdout.strip()) == (Status.OK, SAYS[count]), result.stderr


async def test_no_two_sandboxes_have_one_user(bare):
    """Epoll watches, too, of which a test would take too many to be short."""
    await asyncio.gather(*(bare.execute(Program(code="import time; time.sleep(1)")) for _ in range(2)))
    provider = bare._pool.provider
    users = [provider.api.inspect_container(container)["Config"]["User"].split(":")[0] for container in set(provider._live)]
    assert len(users) >= 2
    assert len(set(users)) == len(users)
    assert all(61184 <= int(user) < 65280 for user in users)


async def test_every_user_has_a_name(bare):
    result = await bare.execute(Program(code="import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name)"))
    assert result.stdout == "sandbox\n", result.stderr


async def test_there_is_no_loopback_to_keep_memory_in(bare):
    code = """
import socket
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            server = socket.socket(family, kind)
            server.bind((host, 0))
            if kind == socket.SOCK_STREAM: server.listen()
            client = socket.socket(family, kind)
            client.connect(server.getsockname())
            print("kept", client.send(bytes(1000)))
        except OSError as exc:
            print("refused")
"""
    assert (await bare.execute(Program(code=code))).stdout == "refused\n" * 4


async def test_no_terminal_of_the_hosts_can_be_taken(bare):
    result = await bare.execute(Program(code="import os\ntry: print(os.openpty())\nexcept OSError: print('refused')"))
    assert result.stdout == "refused\n"


CHANGES_TIMES = """
import os
for target in ("/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/fd/0", 0):
    for times in (None, (1, 1)):
        try:
            os.utime(target, times)
            print("changed", target)
        except OSError:
            pass
"""


async def test_the_times_of_devices_are_the_same_for_every_run():
    from orchestrator.engine.engine import Engine
    from orchestrator.settings import Settings

    look = Program(
        code="import os; print([(n, os.stat(n)[7:]) for n in ('/dev/null', '/dev/zero', '/dev/urandom', '/dev/stdin')])"
    )
    async with Engine(Settings(isolation="namespace", workers=1), preload=False) as engine:
        before = await engine.execute(look)
        changed = await engine.execute(Program(code=CHANGES_TIMES))
        after = await engine.execute(look)
    assert changed.stdout == ""
    assert before.stdout == after.stdout != ""
