"""scripts/setup and the Makefile: what they say, and what they leave alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def setup(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "setup"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_without_a_step_it_lists_them():
    done = setup()
    assert done.returncode == 2
    for step in ("venv", "engine", "compose", "image", "model", "all", "engine-stop"):
        assert f"scripts/setup {step}" in done.stdout


def test_a_finished_step_is_silent_and_quick():
    started = time.perf_counter()
    done = setup("venv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.perf_counter() - started < 5


def test_an_engine_that_was_named_and_is_not_there_is_one_line(tmp_path):
    done = setup("engine", DOCKER_HOST="unix:///nonexistent/docker.sock", FUMEHOOD_HOME=str(tmp_path))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "DOCKER_HOST" in done.stderr


def test_stopping_ends_the_process_that_was_noted(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        (tmp_path / "dockerd.pid").write_text(f"{process.pid} {start_of(process.pid)}\n")
        assert setup("engine-stop", FUMEHOOD_HOME=str(tmp_path)).returncode == 0
        assert process.wait(timeout=5) != 0
    assert not (tmp_path / "dockerd.pid").exists()


def test_stopping_leaves_a_process_alone_that_has_the_number_by_chance(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        (tmp_path / "dockerd.pid").write_text(f"{process.pid} {int(start_of(process.pid)) - 1}\n")
        assert setup("engine-stop", FUMEHOOD_HOME=str(tmp_path)).returncode == 0
        assert process.poll() is None
        process.kill()


def test_stopping_where_nothing_was_started_does_nothing(tmp_path):
    done = setup("engine-stop", FUMEHOOD_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_make_help_lists_every_command():
    done = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("setup", "demo", "test", "test-quick", "check", "image", "model", "clean"):
        assert f"make {command}" in done.stdout
