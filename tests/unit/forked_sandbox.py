"""Runs programs in forked processes with a folder of their own, without any isolation: for programs that are ours or harmless."""

from __future__ import annotations

import asyncio
import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from orchestrator.types import ExecutionResult, Limits, Program, Status

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when the library is loaded, in the process that forks
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["numpy", "pandas", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "sklearn.compose"]
)


def _run(program: Program, folder: str, ended) -> None:
    os.chdir(folder)
    sys.argv[:] = [program.file, *program.args]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            exec(compile(program.code, program.file, "exec"), {"__name__": "__main__", "__file__": program.file})
        ended.send(("ok", ""))
    except BaseException:
        ended.send(("runtime_error", said.getvalue() + traceback.format_exc()))


def _in_a_process(program: Program) -> ExecutionResult:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in program.files.items():
            Path(folder, name).write_bytes(content)
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_run, args=(program, folder, theirs))
        process.start()
        theirs.close()
        status, stderr = ours.recv()
        process.join()
        process.close()
        ours.close()
        found = {name: Path(folder, name).read_bytes() for name in program.artifacts if Path(folder, name).exists()}
    return ExecutionResult(status=Status(status), stderr=stderr, artifacts=found, wall_time=time.monotonic() - started)


async def execute(program: Program, limits: Limits) -> ExecutionResult:
    """Run a program of one file; its artefacts are plain names."""
    return await asyncio.to_thread(_in_a_process, program)
