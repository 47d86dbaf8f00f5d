"""Runs a candidate and its tests in two forked processes joined by a socket, as the agent does, without any isolation.

A process of its own forks them, so that nothing of the surrounding pytest is in either.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOM = Path(__file__).parents[2] / "sandbox_image"
"""Where the package of the agent lies, under the name that it has in a sandbox."""


class Apart:
    """Forks pairs on demand. `heavy` has numpy and torch imported."""

    def __init__(self, *, heavy: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        command = [sys.executable, "-I", __file__, "heavy" if heavy else "bare"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder.name, text=True)

    def run(
        self,
        code: str,
        tests: str,
        *,
        entry_point: str = "",
        in_place: bool = False,
        defines: tuple[str, ...] = (),
        seconds: float = 20,
    ) -> Result:
        job = {
            "code": code,
            "tests": tests,
            "entry_point": entry_point,
            "in_place": in_place,
            "defines": defines,
            "seconds": seconds,
        }
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return Result(json.loads(self.process.stdout.readline()))

    def judge(self, code: str, tests: str) -> list[Result]:
        """The runs that the engine makes: with copies of values, and shared where that may have hidden something. The last decides."""
        from orchestrator.engine.in_place import waits_for_changes

        waits = waits_for_changes(tests)
        runs = [self.run(code, tests, in_place=waits)]
        if not waits and runs[0].unsure and not (runs[0].tampered or runs[0].not_apart):
            runs.append(self.run(code, tests, in_place=True))
            failed = {name for name, outcome in runs[0].outcomes.items() if outcome not in ("passed", "skipped")}
            if any(test["circular"] and name in failed for name, test in runs[1].tests.items()):
                runs.reverse()
        return runs

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()


class Result:
    """What the judge reported."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.events: list[dict[str, Any]] = told["events"]
        self.output: str = told["output"]
        self.log: str = told["log"]
        self.seconds: float = told["seconds"]
        self.tests = {e["name"]: e for e in self.events if e["event"] == "test"}
        self.collected = [name for e in self.events if e["event"] == "collected" for name in e["tests"]]
        self.outcomes = {name: e["outcome"] for name, e in self.tests.items()}
        self.error = next((e for e in self.events if e["event"] == "collection_error"), None)
        self.not_apart = next((e["message"] for e in self.events if e["event"] == "not_apart"), "")
        self.tampered = [e["what"] for e in self.events if e["event"] == "tampered"]
        self.unsure = [reason for e in self.events if e["event"] == "finished" for reason in e["unsure"]]
        self.finished = any(e["event"] == "finished" for e in self.events)

    @property
    def accepted(self) -> bool:
        """As the orchestrator decides it."""
        complete = bool(self.collected) and self.finished and sorted(self.collected) == sorted(self.tests)
        passed = "passed" in self.outcomes.values() and set(self.outcomes.values()) <= {"passed", "skipped"}
        return complete and passed and not (self.error or self.tampered or self.not_apart)

    def __repr__(self) -> str:
        return f"{self.events}\n{self.output}\n{self.log}"


def _read(fds: list[int], ends: int | None, until: float) -> dict[int, bytes]:
    """What comes from these descriptors, until `ends` is at its end, or all are, or the time is over."""
    found = dict.fromkeys(fds, b"")
    left = list(fds)
    while left and (ends is None or ends in left):
        ready, _, _ = select.select(left, [], [], max(0.0, until - time.monotonic()))
        if not ready:
            break
        for fd in ready:
            data = os.read(fd, 1 << 16)
            found[fd] += data
            if not data:
                left.remove(fd)
    return found


def _pair(job: dict[str, Any]) -> dict[str, Any]:
    from agent.boundary import candidate as candidate_side
    from agent.boundary import tests as test_side

    ours, theirs = socket.socketpair()
    results, output, log = os.pipe(), os.pipe(), os.pipe()
    started = time.monotonic()
    candidate = os.fork()
    if candidate == 0:
        os.setsid()
        theirs.close()
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        for fd in (0, *results, *log, *output):
            os.close(fd)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        try:
            candidate_side.serve(ours, {"module": "candidate", "source": job["code"], "in_place": job["in_place"]})
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    judge = os.fork()
    if judge == 0:
        os.setsid()
        ours.close()
        os.dup2(log[1], 1)
        os.dup2(log[1], 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        for fd in (0, results[0], *log, *output):
            os.close(fd)
        work = {"module": "candidate"} | {key: job[key] for key in ("tests", "entry_point", "in_place", "defines")}
        code = 70
        try:
            code = test_side.judge(theirs, results[1], work)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    ours.close()
    theirs.close()
    for pipe in (results, output, log):
        os.close(pipe[1])
    fds = [pipe[0] for pipe in (results, output, log)]
    found = _read(fds, results[0], time.monotonic() + job["seconds"])
    seconds = time.monotonic() - started
    for pid in (judge, candidate):
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    rest = _read(fds, None, time.monotonic() + 1)
    texts = [(found[pipe[0]] + rest[pipe[0]]).decode("utf-8", "replace") for pipe in (results, output, log)]
    for pipe in (results, output, log):
        os.close(pipe[0])
    return {
        "events": [json.loads(line) for line in texts[0].splitlines()],
        "output": texts[1],
        "log": texts[2],
        "seconds": seconds,
    }


def _main(kind: str) -> None:
    sys.path.insert(0, str(ROOM))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the image has no plugins either
    import pytest  # noqa: F401

    if kind == "heavy":
        import numpy  # noqa: F401
        import torch

        torch.set_num_threads(1)
    import agent.boundary.candidate
    import agent.boundary.tests  # noqa: F401
    from agent import pytest_run
    from agent.linux import collapse_memory
    from agent.rehearsal import rehearse

    # As in a zygote of the agent: each child costs a fraction of what it would.
    rehearse()
    pytest_run.prepare()
    gc.collect()
    gc.freeze()
    collapse_memory()
    for line in sys.stdin:
        print(json.dumps(_pair(json.loads(line))), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
