"""What a zygote has pytest do before it forks saves time, and nothing else of it is to be seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOM = Path(__file__).parents[2] / "sandbox_image"
STATE = """
import asyncio, atexit, gc, json, linecache, logging, os, random, signal, sys, tempfile, threading, warnings
sys.path.insert(0, {room!r})
import pytest
from agent import pytest_run

def state():
    found = dict(
        environment=dict(os.environ), path=sys.path, argv=sys.argv, meta=sys.meta_path, hooks=sys.path_hooks, folder=os.getcwd(),
        filters=warnings.filters, handlers=logging.root.handlers, level=logging.root.level,
        signals=[signal.getsignal(number) for number in signal.valid_signals()], at_exit=atexit._ncallbacks(),
        excepthooks=(sys.excepthook, threading.excepthook, sys.unraisablehook, sys.breakpointhook, sys.displayhook),
        last=[hasattr(sys, name) for name in ("last_type", "last_value", "last_traceback")], lines=sorted(linecache.cache),
        temporary=(tempfile.tempdir, tempfile._name_sequence), drawn=random.getstate(), streams=(sys.stdin, sys.stdout, sys.stderr),
        descriptors=os.listdir("/proc/self/fd"), threads=threading.enumerate(), watched=(sys.gettrace(), sys.getprofile()),
        depth=sys.getrecursionlimit(), switches=sys.getswitchinterval(),
    )
    return {{name: repr(value) for name, value in found.items()}}

before = state()
pytest_run.rehearse()
rehearsed = state()
pytest_run.prepare()
prepared = state()
print(json.dumps([before, rehearsed, prepared]))
"""
NESTED = """
import pytest

def test_outer(tmp_path):
    (tmp_path / "test_inner.py").write_text("def test_inner(): assert False")
    assert pytest.main(["-q", "-p", "no:cacheprovider", str(tmp_path)]) == 1
    assert pytest.main(["-q", "-p", "no:cacheprovider", "--collect-only", str(tmp_path)]) == 0

def test_plain(record_property, pytestconfig):
    record_property("a", 1)
    assert str(pytestconfig.invocation_params.dir) == {folder!r}
    assert pytestconfig.invocation_params.args[-1] == "test_candidate.py"
"""
RUN = """
import os, sys
sys.path.insert(0, {room!r})
import pytest
from agent import pytest_run
if {prepared}:
    os.chdir("/")
    pytest_run.rehearse()
    pytest_run.prepare()
    os.chdir({folder!r})
sys.exit(pytest_run.main("test_candidate.py", {folder!r}, None))
"""


def run(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-I", "-c", source]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_rehearsal_leaves_nothing_behind_but_warm_code(tmp_path):
    done = run(STATE.format(room=str(ROOM)), tmp_path)
    before, rehearsed, prepared = json.loads(done.stdout)
    assert done.stderr == ""
    assert rehearsed == before
    assert prepared == before
    assert list(tmp_path.iterdir()) == []


def test_tests_find_the_same_with_a_configuration_that_was_prepared(tmp_path):
    tests = tmp_path / "test_candidate.py"
    tests.write_text(NESTED.format(folder=str(tmp_path)))
    said: list[Any] = []
    for prepared in (False, True):
        done = run(RUN.format(room=str(ROOM), prepared=prepared, folder=str(tmp_path)), tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout.rpartition(" in ")[0])
    assert said[0] == said[1]
    assert "2 passed" in said[0]
