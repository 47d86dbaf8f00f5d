"""Every status, produced by a real program."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import MiB, Program, Status, Verdict

PROGRAMS = {
    "ends_well": ("print('hi')", {}, Status.OK),
    "exit_code": ("import sys; sys.exit(3)", {}, Status.RUNTIME_ERROR),
    "exception": ("1/0", {}, Status.RUNTIME_ERROR),
    "syntax_error": ("def f(:", {}, Status.RUNTIME_ERROR),
    "kills_itself": ("import os; os.kill(os.getpid(), 11)", {}, Status.SIGNALLED),
    "kill_nine_is_not_memory": ("import os; os.kill(os.getpid(), 9)", {}, Status.SIGNALLED),
    "sleeps": ("import time; time.sleep(60)", {"wall_time": 0.5}, Status.TIMED_OUT_WALL),
    "spins": ("while True: pass", {"cpu_time": 0.5}, Status.TIMED_OUT_CPU),
    "spins_in_children": (
        "import os\nfor _ in range(4): os.fork()\nwhile True: pass",
        {"cpu_time": 0.5},
        Status.TIMED_OUT_CPU,
    ),
    "hoards": ("x = []\nwhile True: x.append(bytearray(1 << 24))", {}, Status.MEMORY_EXCEEDED),
    "hoards_in_a_child": (
        "import os\nif os.fork() == 0:\n    x = []\n    while True: x.append(bytearray(1 << 24))\nos.wait()",
        {},
        Status.MEMORY_EXCEEDED,
    ),
    "hoards_little": ("x = bytearray(200 << 20)", {"memory": 128 * MiB}, Status.MEMORY_EXCEEDED),
    "floods_stdout": ("while True: print('x' * 1000)", {}, Status.OUTPUT_EXCEEDED),
    "floods_stderr": ("import sys\nwhile True: print('x' * 1000, file=sys.stderr)", {}, Status.OUTPUT_EXCEEDED),
    "floods_from_a_child": ("import os\nos.system('yes')", {}, Status.OUTPUT_EXCEEDED),
    "fills_the_disk": ("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", {}, Status.DISK_EXCEEDED),
    "fills_tmp": ("f = open('/tmp/big', 'wb')\nwhile True: f.write(bytes(1 << 20))", {}, Status.DISK_EXCEEDED),
    "fills_shared_memory": ("f = open('/dev/shm/big', 'wb')\nwhile True: f.write(bytes(1 << 20))", {}, Status.DISK_EXCEEDED),
    "fills_a_smaller_disk": ("open('big', 'wb').write(bytes(4 << 20))", {"disk": 2 * MiB}, Status.DISK_EXCEEDED),
    "makes_files_without_end": ("i = 0\nwhile True:\n    open(f'f{i}', 'w').close(); i += 1", {}, Status.DISK_EXCEEDED),
    "forks_without_end": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        {},
        Status.PROCESS_LIMIT_EXCEEDED,
    ),
    "threads_without_end": (
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        {},
        Status.PROCESS_LIMIT_EXCEEDED,
    ),
}


KEPT = {
    "while it computes": ("print('so far')\nwhile True: pass", Status.TIMED_OUT_CPU, ""),
    "while it sleeps": ("import time\nprint('so far')\ntime.sleep(60)", Status.TIMED_OUT_WALL, ""),
    "as it crashes": ("import ctypes\nprint('so far')\nctypes.string_at(0)", Status.SIGNALLED, "SIGSEGV (signal 11"),
    "as it aborts": ("import os\nprint('so far')\nos.abort()", Status.SIGNALLED, "SIGABRT (signal 6"),
    "by a signal without a name": ("import os\nprint('so far')\nos.kill(os.getpid(), 44)", Status.SIGNALLED, "signal 44"),
}


@pytest.mark.parametrize("name", KEPT)
async def test_what_it_wrote_before_it_was_ended_is_kept_and_the_signal_is_named(execute, name):
    code, status, named = KEPT[name]
    result = await execute(code, cpu_time=1, **({"wall_time": 1} if status is Status.TIMED_OUT_WALL else {}))
    assert (result.status, result.stdout) == (status, "so far\n"), result
    assert named in result.detail


@pytest.mark.parametrize("name", PROGRAMS)
async def test_the_status_says_what_happened(execute, name):
    code, options, status = PROGRAMS[name]
    result = await execute(code, **options)
    assert result.status is status, result
    assert result.attempts <= (2 if status is Status.TIMED_OUT_WALL else 1)  # a saturated host has a second try
    assert result.wall_time < 15


async def test_measures_are_reported(execute, isolation):
    result = await execute(
        "x = bytearray(100 << 20)\nimport time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass"
    )
    assert result.exit_code == 0
    assert 0.25 < result.cpu_time < 1.5
    assert result.memory_peak > 100 * MiB
    assert result.wall_time >= 0.3
    assert result.image.startswith("sha256:")
    assert result.isolation == isolation


async def test_memory_that_a_run_shared_is_not_the_next_ones():
    """The kernel frees it late."""
    code = (
        "import ctypes\nc = ctypes.CDLL(None)\nc.shmat.restype = ctypes.c_void_p\n"
        "where = c.shmat(c.shmget(0, ctypes.c_size_t(256 << 20), 0o1600), None, 0)\nctypes.memset(where, 1, 256 << 20)"
    )
    async with Engine(Settings(isolation="namespace", workers=1), preload=False) as engine:
        peaks = [(await engine.execute(Program(code=text))).memory_peak for text in [code, "print(1)"] * 4]
    assert min(peaks[::2]) > 256 * MiB
    assert max(peaks[1::2]) < 64 * MiB


async def test_exit_code_and_signal_are_told_apart(execute):
    left = await execute("raise SystemExit(7)")
    killed = await execute("import os; os.kill(os.getpid(), 10)")
    assert (left.exit_code, left.signal) == (7, None)
    assert (killed.exit_code, killed.signal) == (None, 10)
    assert killed.verdict is Verdict.RUNTIME_ERROR


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_is_cut_at_the_cap_while_it_is_read(execute, stream):
    result = await execute(f"import sys\nwhile True: sys.{stream}.write('y' * 1000)", output=5000)
    assert getattr(result, stream) == "y" * 5000
    assert getattr(result, f"{stream}_truncated")


async def test_output_just_at_the_cap_is_whole(execute):
    result = await execute("print('y' * 4999)", output=5000)
    assert result.status is Status.OK
    assert len(result.stdout) == 5000
    assert not result.stdout_truncated


async def test_a_timeout_kills_the_whole_tree_and_keeps_what_was_said(execute):
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('before', flush=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(100)\ntime.sleep(100)"
    )
    result = await execute(code, wall_time=0.5)
    assert result.status is Status.TIMED_OUT_WALL
    assert result.stdout == "before\n"
    assert result.wall_time < 3


async def test_what_a_program_leaves_running_does_not_hold_up_its_end(execute):
    result = await execute("import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(100)\nprint('done')")
    assert result.status is Status.OK
    assert result.stdout == "done\n"
    assert result.wall_time < 5
