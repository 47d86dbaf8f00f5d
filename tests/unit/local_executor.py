"""An executor that runs programs as processes of this machine: for tests of what is done with results, not of isolation."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from orchestrator.types import ExecutionResult, Limits, Program, Status


class LocalExecutor:
    """Runs a program in a folder of its own and brings back its artefacts."""

    image = "sha256:local"
    limits = Limits()
    workers = 2

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._free = asyncio.Semaphore(self.workers)

    async def execute(self, program: Program, limits: Limits | None = None, **_: object) -> ExecutionResult:
        """Run it; a program that fails is a result."""
        self.programs.append(program)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in program.files.items():
                (Path(folder) / name).write_bytes(content)
            (Path(folder) / program.file).write_text(program.code or "", encoding="utf-8")
            async with self._free:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, program.file, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
                )
                stdout, stderr = await process.communicate()
            found = {name: Path(folder) / name for name in program.artifacts}
            return ExecutionResult(
                status=Status.OK if process.returncode == 0 else Status.RUNTIME_ERROR,
                stdout=stdout.decode(errors="replace"),
                stderr=stderr.decode(errors="replace"),
                artifacts={name: path.read_bytes() for name, path in found.items() if path.exists()},
            )
