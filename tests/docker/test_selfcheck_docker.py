"""The suite of behaviour checks passes on what is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.checks.selfcheck import GROUPS, self_check
from orchestrator.engine.programs import sandboxed
from orchestrator.settings import Settings
from orchestrator.types import Program

FUMEHOOD = str(Path(sys.executable).parent / "fumehood")


@pytest.mark.parametrize("isolation", ["namespace", "container"])
async def test_every_promise_holds_or_is_a_listed_exception(isolation):
    report = await self_check(Settings(), isolations=(isolation,))
    assert report.healthy, "\n".join(f"{result.group}: {result.check}: {result.detail}" for result in report.failed)
    assert all(result.state != "unavailable" for result in report.results)
    assert all(result.detail for result in report.results if result.state == "exception")
    for counts in report.matrix().values():
        assert set(counts) == set(GROUPS)


async def test_who_looks_for_leftovers_would_find_them(bare):
    """Planted and looked for in one and the same run, where they must still be."""
    code = f"{sandboxed('orchestrator.checks', 'look_around')}\nprint(*look(), sep='\\n')"
    result = await bare.execute(Program(code=code, args=("plant",)))
    found = result.stdout.splitlines()
    for expected in ("/tmp/fumehood-planted", "/dev/shm/fumehood-planted", "a planted random.py", "an abstract socket"):
        assert expected in found, result
    assert any(line.startswith("the process") for line in found)


async def test_who_compares_the_surroundings_would_see_a_change(bare):
    """Looked at twice in one run, where what was changed between must be seen."""
    changes = "os.nice(3); _libc.shmget(1, 1, 0o1600); open('/tmp/x', 'w').close(); signal.alarm(99); os.fork() or os._exit(0); os.wait()"
    code = f"{sandboxed('orchestrator.checks', 'look_around')}\nbefore = dict(census())\n{changes}\nafter = dict(census())\n"
    code = code.replace('if __name__ == "__main__":\n    main()\n', "") + "print([k for k in after if before.get(k) != after[k]])"
    result = await bare.execute(Program(code=code, args=("census",)))
    for expected in ("/box/tmp/x", "nice", "alarm", "number of shared memory", "inode number of a new file in /tmp"):
        assert repr(expected) in result.stdout, result


def test_a_broken_runtime_is_told_by_the_command_line(tmp_path):
    environment = os.environ | {"FUMEHOOD_HOME": str(tmp_path), "FUMEHOOD_RUNTIME": "warp"}
    done = subprocess.run([FUMEHOOD, "doctor", "--deep", "--json"], capture_output=True, text=True, env=environment, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 3
    assert found["healthy"] is False
    assert {result["state"] for result in found["self_check"]["results"]} == {"unavailable"}
    assert set(found["self_check"]["matrix"]) == {"namespace/warp", "container/warp"}
