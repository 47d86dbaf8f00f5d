"""An executor that runs programs as processes of this machine: for tests of what is done with results, not of isolation.

Processes are forked from one that has imported scikit-learn, so that a run takes milliseconds.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from orchestrator.types import ExecutionResult, Limits, Program, Status

_ONE_AT_A_TIME = threading.Lock()
_ZYGOTE = """
import contextlib, json, os, runpy, sys, traceback
import numpy, pandas, sklearn.compose, sklearn.ensemble, sklearn.impute, sklearn.linear_model, sklearn.pipeline, sklearn.preprocessing, sklearn.dummy

for line in sys.stdin:
    folder, name = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        sys.path.insert(0, folder)
        code = 0
        with open("stderr", "w") as errors, contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
            try:
                runpy.run_path(name, run_name="__main__")
            except BaseException:
                traceback.print_exc()
                code = 1
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def _zygote() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    return process


class LocalExecutor:
    """Runs a program in a folder of its own and brings back its artefacts."""

    image = "sha256:local"
    limits = Limits()
    workers = 1

    def __init__(self) -> None:
        self.programs: list[Program] = []

    async def execute(self, program: Program, limits: Limits | None = None, **_: object) -> ExecutionResult:
        """Run it; a program that fails is a result."""
        self.programs.append(program)
        return await asyncio.to_thread(self._execute, program)

    def _execute(self, program: Program) -> ExecutionResult:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in program.files.items():
                (Path(folder) / name).write_bytes(content)
            (Path(folder) / program.file).write_text(program.code or "", encoding="utf-8")
            with _ONE_AT_A_TIME:
                zygote = _zygote()
                assert zygote.stdin is not None
                assert zygote.stdout is not None
                print(json.dumps([folder, program.file]), file=zygote.stdin, flush=True)
                code = int(zygote.stdout.readline())
            found = {name: Path(folder) / name for name in program.artifacts}
            errors = Path(folder) / "stderr"
            return ExecutionResult(
                status=Status.OK if code == 0 else Status.RUNTIME_ERROR,
                stderr=errors.read_text() if errors.exists() else "",
                artifacts={name: path.read_bytes() for name, path in found.items() if path.exists()},
            )
