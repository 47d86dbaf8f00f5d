"""A provider that answers from a list: for tests and examples without an engine. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Limits, Program, RunReport

Answer = RunReport | SandboxUnavailable


class ScriptedSandbox:
    """A sandbox whose report is known beforehand."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self._provider = provider
        self.closed = False
        self.spent = False

    async def run(self, program: Program, limits: Limits, on_output: Callable[[str, bytes], None] | None = None) -> RunReport:
        """Give the next answer; see `base.Sandbox`."""
        self.spent = True
        self._provider.programs.append(program)
        answer = self._provider.answer(program)
        if isinstance(answer, SandboxUnavailable):
            raise answer
        if on_output is not None and answer.stdout:
            on_output("stdout", answer.stdout.encode())
        return answer

    async def close(self) -> None:
        """Be closed. Safe to call twice."""
        self.closed = True


class ScriptedProvider:
    """Makes sandboxes that answer in the order of a list, or by a function of the program."""

    def __init__(self, answers: Iterable[Answer] | Callable[[Program], Answer]) -> None:
        self._function = answers if callable(answers) else None
        self._answers: Iterator[Answer] = iter(()) if callable(answers) else iter(answers)
        self.programs: list[Program] = []
        """What was asked, in order."""
        self.sandboxes: list[ScriptedSandbox] = []

    def answer(self, program: Program) -> Answer:
        """The next report.

        Raises:
            SandboxUnavailable: the script is used up.
        """
        if self._function is not None:
            return self._function(program)
        try:
            return next(self._answers)
        except StopIteration:
            raise SandboxUnavailable("The script has no answer left.") from None

    async def create(self) -> ScriptedSandbox:
        """A sandbox at once."""
        self.sandboxes.append(ScriptedSandbox(self))
        return self.sandboxes[-1]

    async def close(self) -> None:
        """Close all. Safe to call twice."""
        for sandbox in self.sandboxes:
            await sandbox.close()
