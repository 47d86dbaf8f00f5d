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
async def test_what_watches_a_program_cannot_be_held_up_by_it(execute, name):
    """It is the first process in sight: the agent, or the program's own init."""
    code = f"import os, resource\ntry:\n    {ATTEMPTS[name]}\nexcept OSError as exc:\n    print(exc.errno)"
    result = await execute(code)
    assert (result.status, result.stdout, result.attempts) == (Status.OK, "1\n", 1)


async def test_an_endless_loop_that_would_end_its_init_is_told_as_what_it_is(execute):
    code = (
        "import resource, time\ntry: resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))\nexcept OSError: pass\n"
        "time.sleep(1)\nwhile True: pass"
    )
    assert (await execute(code, cpu_time=1)).status is Status.TIMED_OUT_CPU


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


async def test_more_names_than_a_frame_holds(execute):
    code = """
import os
os.chdir("/box/work")
folder = "/".join(["é" * 120] * 3)
os.makedirs(folder)
for i in range(8000):
    open(f"{folder}/{'é' * 100}{i}", "w").close()
print("made")
"""
    result = await execute(code, artifacts=("*",))
    assert (result.status, result.stdout, result.attempts) == (Status.OK, "made\n", 1), result
    assert 200 < len(result.artifacts) <= 1000
    assert result.artifact_errors["..."].startswith(f"{8001 - len(result.artifacts)} more")


FINDS_THE_REPORT = """
import os, stat
def report(data):
    for fd in range(99, 59, -1):  # the boundary comes before it
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): break
        except OSError: pass
    while data: data = data[os.write(fd, data):]
"""
GARBAGE = {
    "an outcome that is none": b'{"event": "test", "name": "x", "outcome": "bogus"}\n',
    "an event that is none": b'{"event": []}\n[]\n7\n"x"\n',
    "names that are no list": b'{"event": "collected", "tests": 5}\n',
    "half a character": b'{"event": "collection_error", "message": "\\ud800", "side": ""}\n',
    "no JSON": b"\xff\n",
    "a side that is none": b'{"event": "test", "name": "test_f", "outcome": "passed", "message": "", "side": "theirs"}\n',
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("judging", ["apart", "together"])
async def test_garbage_in_the_tests_report_is_not_the_sandboxs_fault(execute, judging, name):
    hostile = f"{FINDS_THE_REPORT}\nreport({GARBAGE[name]!r})"
    code, tests = "def f(x): return x * 2", "from candidate import f\ndef test_f(): assert f(2) == 4\n"
    if judging == "apart":
        result = await execute(code, tests=f"{tests}{hostile}", judging="apart")
    else:
        result = await execute(f"{code}{hostile}", tests=tests, judging="together")
    # Apart, nobody but the tests themselves can say that they could not begin.
    reward = None if judging == "apart" and name == "half a character" else 0.0
    assert (result.status, result.reward, result.attempts) == (Status.OK, reward, 1), result


async def test_a_report_that_grows_when_it_is_passed_on(execute):
    """Each of its letters takes three times as much in a frame's header."""
    line = '{"event": "tampered", "what": "' + "é" * 4000 + '"}\n'
    code = f"{FINDS_THE_REPORT}\nfor _ in range(500): report({line!r}.encode())\ndef f(x): return x * 2"
    result = await execute(code, tests="from candidate import f\ndef test_f(): assert f(2) == 4\n", judging="together")
    assert (result.status, result.reward, result.attempts) == (Status.OK, 0.0, 1), result
    assert len(result.attack) == 16


async def test_signals_pass_the_first_process_by(execute):
    code = "import os, signal\nfor number in range(1, 65):\n    try: os.kill(1, number)\n    except OSError: pass\nprint('still here')"
    result = await execute(code)
    assert (result.status, result.stdout, result.attempts) == (Status.OK, "still here\n", 1)


async def test_files_that_cannot_be_placed_are_the_callers_fault(execute):
    with pytest.raises(UsageError, match="below it"):
        await execute("1", files={"a": b"1", "a/b": b"2"})
    result = await execute("print(sorted(__import__('os').listdir('a')))", files={"a/b": b"1", "a/c": b"2"})
    assert result.stdout == "['b', 'c']\n"
