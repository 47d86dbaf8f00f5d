"""Runs the programs that judge unit tests in a plain subprocess: the same code as in a sandbox, without one."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.types import ExecutionResult, Limits, Program, Status


async def execute(program: Program, limits: Limits) -> ExecutionResult:
    """What `Engine.execute` would report."""
    assert program.code is not None
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in program.files.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_bytes(content)
        (Path(folder) / "main.py").write_text(program.code, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "main.py"),
            cwd=folder,
            env={**program.env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(program.stdin), limits.wall_time)
        except BaseException:
            process.kill()
            await process.wait()
            raise
    return ExecutionResult(
        status=Status.OK if process.returncode == 0 else Status.RUNTIME_ERROR,
        exit_code=process.returncode,
        stdout=out.decode(),
        stderr=err.decode(),
        wall_time=time.monotonic() - began,
        isolation="scripted",
    )
