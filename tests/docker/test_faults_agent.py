"""Programs that try to break what watches them: they are judged for what they did, and it lives on."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.types import Status

ATTEMPTS = {
    "no_cpu_time": "resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))",
    "no_memory": "resource.prlimit(1, resource.RLIMIT_AS, (1 << 20, 1 << 20))",
    "no_descriptors": "resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))",
    "lowest_priority": "os.setpriority(os.PRIO_PROCESS, 1, 19)",
    "lowest_priority_of_its_group": "os.setpriority(os.PRIO_PGRP, 1, 19)",
    "lowest_priority_of_its_user": "os.setpriority(os.PRIO_USER, os.getuid(), 19)",
    "when_idle": "os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))",
    "one_processor": "os.sched_setaffinity(1, {0})",
    "no_cpu_time_by_a_long_number": (
        "import ctypes, platform\n"
        "    number = ctypes.c_long({'x86_64': 302, 'aarch64': 261}[platform.machine()])\n"
        "    libc = ctypes.CDLL(None, use_errno=True)\n"
        "    if libc.syscall(number, ctypes.c_long((1 << 32) + 1), ctypes.c_long(0), bytes(16), None) < 0:\n"
        "        raise OSError(ctypes.get_errno(), '')"
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_what_watches_a_program_cannot_be_held_up_by_it(execute, isolation, name):
    code = f"import os, resource\ntry:\n    {ATTEMPTS[name]}\nexcept OSError as exc:\n    print(exc.errno)"
    result = await execute(code)
    assert result.attempts == 1
    if isolation == "container":
        assert (result.status, result.stdout) == (Status.OK, "1\n")
    else:  # the first process in sight is the run's own: what it suffers is the program's doing
        assert result.status in (Status.OK, Status.SIGNALLED, Status.RUNTIME_ERROR)


async def test_a_program_may_still_do_so_to_itself(execute):
    code = """
import os, resource
resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE, (100, 100))
os.setpriority(os.PRIO_PROCESS, 0, 5)
os.sched_setaffinity(0, os.sched_getaffinity(0))
print(resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0))
"""
    result = await execute(code)
    assert (result.status, result.stdout) == (Status.OK, "(100, 100) 5\n"), result.stderr


async def test_more_folders_than_an_interpreter_has_frames(execute):
    code = (
        "import os\nopen('kept', 'w').close()\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\nopen('lost', 'w').close()"
    )
    result = await execute(code, artifacts=("*",))
    assert (result.status, result.attempts) == (Status.OK, 1), result
    assert "kept" in result.artifacts


async def test_signals_pass_the_first_process_by(execute):
    code = "import os, signal\nfor number in range(1, 65):\n    try: os.kill(1, number)\n    except OSError: pass\nprint('still here')"
    result = await execute(code)
    assert (result.status, result.stdout, result.attempts) == (Status.OK, "still here\n", 1)


async def test_files_that_cannot_be_placed_are_the_callers_fault(execute):
    with pytest.raises(UsageError, match="below it"):
        await execute("1", files={"a": b"1", "a/b": b"2"})
    result = await execute("print(sorted(__import__('os').listdir('a')))", files={"a/b": b"1", "a/c": b"2"})
    assert result.stdout == "['b', 'c']\n"
