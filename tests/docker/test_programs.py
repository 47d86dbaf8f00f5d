"""What a program gets and what it gives back."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.types import Status


async def test_stdin_arguments_and_environment(execute):
    code = "import os, sys\nprint(sys.stdin.read().upper(), sys.argv[1:], os.environ['COLOUR'], sorted(os.environ))"
    result = await execute(code, stdin=b"hello", args=("a b", "c"), env={"COLOUR": "blue"})
    assert result.stdout == "HELLO ['a b', 'c'] blue ['COLOUR', 'HOME', 'LANG', 'PATH', 'TMPDIR']\n"


async def test_a_large_stdin_arrives_whole(execute):
    result = await execute("import sys, hashlib\nprint(len(sys.stdin.buffer.read()))", stdin=bytes(5_000_000))
    assert result.stdout == "5000000\n"


async def test_any_command_runs(execute):
    result = await execute(argv=("sh", "-c", "echo $0 $(id -un); exit 4"))
    assert (result.stdout, result.exit_code) == ("sh sandbox\n", 4)
    missing = await execute(argv=("no-such-program",))
    assert (missing.exit_code, missing.status) == (127, Status.RUNTIME_ERROR)
    assert "no-such-program" in missing.stderr


async def test_a_program_is_main_and_may_use_multiprocessing(execute):
    code = (
        "import multiprocessing as mp\ndef f(x): return x * x\n"
        "if __name__ == '__main__':\n    with mp.get_context('spawn').Pool(2) as p: print(p.map(f, [1, 2, 3]))"
    )
    assert (await execute(code)).stdout == "[1, 4, 9]\n"


async def test_torch_is_there_and_costs_nothing_to_import(execute):
    code = "import time; t = time.time()\nimport torch, numpy\nprint(torch.ones(3).sum().item(), time.time() - t < 0.2)"
    assert (await execute(code)).stdout == "3.0 True\n"


async def test_what_learns_from_tables_finds_its_libraries_imported_and_no_other_does(execute):
    there = "import sys\nprint([name for name in ('torch', 'pytest', 'pandas', 'sklearn.ensemble') if name in sys.modules])"
    assert (await execute(f"{there}\nfrom sklearn.svm import SVC")).stdout == "['pandas', 'sklearn.ensemble']\n"
    assert (await execute(f"{there}\nimport torch, pandas")).stdout == "['torch', 'pytest']\n"
    assert (await execute(there)).stdout == "[]\n"
    fit = "import pandas as pd\nfrom sklearn.ensemble import HistGradientBoostingClassifier as Trees\nimport random\n"
    fit += "frame = pd.DataFrame({'a': range(200)})\nprint(Trees(max_iter=3).fit(frame, frame['a'] > 99).predict(frame).sum())\n"
    results = [await execute(f"{fit}print(random.random())") for _ in range(2)]
    assert [result.stdout.splitlines()[0] for result in results] == ["100", "100"]
    assert results[0].stdout != results[1].stdout  # each run draws its own numbers


async def test_a_traceback_shows_the_program_alone(execute):
    result = await execute("def f():\n    raise KeyError('nothing')\nf()")
    assert "/opt/agent" not in result.stderr
    assert "line 2, in f" in result.stderr
    assert result.stderr.rstrip().endswith("KeyError: 'nothing'")


async def test_atexit_and_threads_run_to_their_end(execute):
    code = "import atexit, threading, time\natexit.register(print, 'bye')\nthreading.Thread(target=lambda: (time.sleep(.2), print('late'))).start()"
    assert (await execute(code)).stdout == "late\nbye\n"


async def test_output_is_streamed_while_the_program_runs(engine):
    from orchestrator.types import Program

    seen: list[tuple[str, bytes]] = []
    program = Program(code="import sys\nprint('a', flush=True); print('b', file=sys.stderr)")
    result = await engine.execute(program, on_output=lambda stream, chunk: seen.append((stream, chunk)))
    assert sorted(seen) == [("stderr", b"b\n"), ("stdout", b"a\n")]
    assert (result.stdout, result.stderr) == ("a\n", "b\n")


async def test_files_go_in_and_artefacts_come_out(execute):
    code = "import os; os.makedirs('out/deep'); open('out/deep/r.bin', 'wb').write(open('in/x', 'rb').read()[::-1]); open('other', 'w')"
    result = await execute(code, files={"in/x": b"\x00\x01"}, artifacts=("out/*",))
    assert result.artifacts == {"out/deep/r.bin": b"\x01\x00"}


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a//b", "./a", "a\x00b", "a\nb", "a\\b", "x" * 300])
async def test_a_path_into_the_sandbox_passes_one_gate(execute, path):
    with pytest.raises(UsageError):
        await execute("1", files={path: b""})


HOSTILE_ARTEFACTS = {
    "symlink": "os.symlink('/etc/passwd', 'x.out')",
    "symlink_to_folder": "os.symlink('/etc', 'x.out')",
    "hardlink": "open('y', 'w'); os.link('y', 'x.out')",
    "fifo": "os.mkfifo('x.out')",
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind('x.out')",
    "too_large": "open('x.out', 'wb').write(bytes(2000))",
    "sparse": "open('x.out', 'wb').truncate(1 << 40)",
    "unreadable": "open('x.out', 'w'); os.chmod('x.out', 0)",
    "newline_in_its_name": "open('a\\nx.out', 'w')",
    "not_unicode": "open(b'\\xff\\xfex.out', 'w')",
}


@pytest.mark.parametrize("name", HOSTILE_ARTEFACTS)
async def test_what_is_not_a_plain_file_of_modest_size_stays_inside(execute, name):
    result = await execute("import os\n" + HOSTILE_ARTEFACTS[name], artifacts=("*x.out",), artifact_bytes=1000)
    assert result.status is Status.OK
    assert result.artifacts == {}
    assert len(result.artifact_errors) == 1


async def test_a_folder_behind_a_link_is_not_walked(execute):
    result = await execute("import os; os.symlink('/etc', 'd')", artifacts=("d/*",))
    assert result.artifacts == {}


async def test_too_many_artefacts_do_not_come_out_in_part_silently(execute):
    code = "for i in range(30): open(f'{i:02}.out', 'wb').write(bytes(100))"
    result = await execute(code, artifacts=("*.out",), artifact_bytes=1000)
    assert len(result.artifacts) == 10
    assert len(result.artifact_errors) == 20
