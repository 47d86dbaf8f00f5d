"""`torch`: a small test of a loss, next to `docker run` and to a bare fork."""

from __future__ import annotations

import asyncio
import json
import statistics

from orchestrator.checks.bench.figures import Figures, Runs, Say, machine, percentiles, silent, with_budgets
from orchestrator.checks.bench.running import LIMITS, execute, warm_engine
from orchestrator.checks.bench.yardsticks import docker_run
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxUnavailable
from orchestrator.sandbox.image import tag_for
from orchestrator.settings import Settings
from orchestrator.types import Program, Verdict


async def bench_torch(settings: Settings, *, runs: int = 60, docker_runs: int = 5, say: Say = silent) -> Figures:
    """A small test of a torch loss: ours, one after the other, next to `docker run` for each and to a bare fork.

    The bare fork is that of a process with torch imported, in a container of the same image; its child runs the same test in
    the same interpreter and exits.

    Raises:
        PrerequisiteError: no engine, no image, no docker command.
    """
    before = machine()
    image = tag_for(settings)
    code, tests, forks = (sandboxed("orchestrator.checks", f"bench_{name}") for name in ("loss", "loss_tests", "forks"))
    program = Program(code=code, tests=tests)
    alone = f"{code}\n{tests.replace('from candidate import focal_loss', '')}\ntest_values()\ntest_gradient()\nprint('passed')\n"
    rounds = max(1, docker_runs)
    measured = Runs()
    forked: list[float] = []
    docker: list[float] = []
    async with warm_engine(settings.model_copy(update={"workers": 1})) as engine:
        await engine.execute(program, LIMITS)
        for number in range(rounds):
            for _ in range(max(1, runs // rounds)):
                await execute(engine, program, measured)
            seconds, output = await asyncio.to_thread(docker_run, image, "-c", alone)
            if output.strip() != "passed":
                raise SandboxUnavailable(f"The test did not pass in docker run: {output[-300:]}")
            docker.append(seconds)
            order = json.dumps({"source": alone, "runs": max(1, runs // rounds)})
            _, output = await asyncio.to_thread(docker_run, image, "-c", forks, stdin=order)
            forked += json.loads(output)
            say(
                f"round {number + 1} of {rounds}: {1e3 * statistics.median(measured.latencies):.1f} ms, docker run "
                f"{1e3 * docker[-1]:.0f} ms, bare fork {1e3 * statistics.median(forked):.1f} ms"
            )
    ours = statistics.median(measured.latencies)
    figures = {
        "ratio_to_docker_run": statistics.median(docker) / ours,
        "ratio_to_bare_fork": ours / statistics.median(forked),
        **measured.figures(),
        "valid": measured.verdicts[Verdict.ACCEPTED] == len(measured.latencies),
        "docker_run_ms": percentiles(docker),
        "bare_fork_ms": percentiles(forked),
    }
    return with_budgets("torch", figures, before)
