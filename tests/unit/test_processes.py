"""Whether a process is gone: known by machine, pid and start time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import processes
from orchestrator.processes import is_alive, owner

ASK = "from orchestrator.processes import owner\nprint(owner(), flush=True)\ninput()\n"


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """Another process, which lives until it is killed."""
    return subprocess.Popen([sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_is_alive_until_it_is_killed(other: subprocess.Popen[str]) -> None:
    with other:
        assert other.stdout is not None
        who = other.stdout.readline().strip()
        assert who != owner()
        assert is_alive(who)
        other.kill()
        # Nobody has waited for it yet: its entry is still there.
        other.stdout.read()
        while (state := Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z":
            assert state in "RSD"
        assert not is_alive(who)
        other.wait()
        assert not is_alive(who)


def test_a_reused_pid_is_somebody_else() -> None:
    machine, pid, started = owner().split(":")
    assert is_alive(owner())
    assert not is_alive(f"{machine}:{pid}:{int(started) + 1}")
    assert not is_alive(f"{machine}:{2**22 + 1}:1")


@pytest.mark.parametrize("who", ["", "another-machine:1:1", "nonsense"])
def test_who_cannot_be_looked_at_may_be_alive(who: str) -> None:
    assert is_alive(who)


@pytest.mark.parametrize("rest", ["", ":", ":x:1", ":1:", "::"])
def test_a_damaged_name_of_this_machine_is_nobody(rest: str) -> None:
    assert not is_alive(owner().split(":")[0] + rest)


def test_another_boot_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    who = owner()
    monkeypatch.setattr(processes, "_machine", lambda: "later")
    assert is_alive(who)
    assert owner().startswith("later:")
