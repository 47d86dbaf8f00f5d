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
    assert found["valid"], found
    assert done.returncode == (0 if all(budget["met"] for budget in found["budgets"].values()) else 1)
    return found


def test_no_run_of_the_queue_is_lost_or_doubled(tmp_path):
    found = bench(tmp_path, "queue", "--runs", "3,12")
    assert [row["runs"] for row in found["sizes"]] == [3, 12]
    assert found["lost_or_doubled"] == 0


def test_a_warm_container_is_compared_with_docker_run(tmp_path):
    found = bench(tmp_path, "container", "--runs", "2", "--workers", "1")
    assert found["isolation"] == "container"
    assert found["ratio_to_docker_run"] > 1
    assert found["docker_run_ms"]["p50"] > 0
