"""The doctor: healthy here, and no blind spot for what it is there to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.checks.doctor import PROBES, WALL, Finding, Probe, _judge, _wall, diagnose
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Status

pytestmark = pytest.mark.docker


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding async for finding in diagnose(settings)}


async def test_a_working_engine_passes_every_check_of_the_sandbox(tmp_path: Path) -> None:
    found = await findings(Settings(home=tmp_path))
    expected = ["engine", "cgroups", "runtime", "seccomp", "sandbox image", "sandbox", "run store", "Python"]
    expected += [f"sandbox: {name}" for name in (*WALL, *(probe.name for probe in PROBES))]
    assert [name for name in expected if name not in found or found[name].state != "ok"] == [], found
    assert found["model server"].state == "warning"  # a home without weights
    assert "fumehood model fetch 1.5b" in found["model server"].remedy


async def test_no_engine_is_one_failure_and_the_rest_says_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    found = await findings(Settings(home=tmp_path))
    assert found["engine"].state == "failed"
    assert found["engine"].remedy
    assert found["sandbox image"].found.startswith("Not checked")
    assert found["sandbox"].found.startswith("Not checked")
    assert found["run store"].state == "ok"


async def test_a_missing_image_a_strange_runtime_a_dead_server_and_a_broken_store(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite3").write_bytes(b"no database" * 500)
    settings = Settings(home=tmp_path, image="fumehood-sandbox:never-built", runtime="warp", base_url="http://127.0.0.1:9")
    found = await findings(settings)
    for name in ("sandbox image", "runtime", "model server", "run store"):
        assert found[name].state == "failed", name
        assert found[name].remedy, name
    assert "warp" in found["runtime"].found


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_program_that_is_not_stopped_is_a_failure(probe: Probe) -> None:
    finding = _judge(probe, ExecutionResult(status=Status.OK, wall_time=30.0))
    assert (finding.state, bool(finding.remedy)) == ("failed", True)


def test_output_beyond_the_limit_is_a_failure_though_the_status_is_right() -> None:
    (probe,) = [probe for probe in PROBES if probe.name == "output limit"]
    finding = _judge(probe, ExecutionResult(status=Status.OUTPUT_EXCEEDED, stdout="x" * (probe.limits.output + 1)))
    assert finding.state == "failed"


def test_a_hole_in_the_wall_is_named() -> None:
    inside = {name: [] for name in WALL} | {"no network": ["eth0"]}
    found = {finding.name: finding for finding in _wall(ExecutionResult(status=Status.OK, stdout=json.dumps(inside)))}
    assert found["sandbox: no network"].state == "failed"
    assert "eth0" in found["sandbox: no network"].found
    assert all(finding.state == "ok" for name, finding in found.items() if name != "sandbox: no network")


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"no network": []}', "null"])
def test_a_wall_that_tells_nothing_is_a_failure(told: str) -> None:
    assert [finding.state for finding in _wall(ExecutionResult(status=Status.OK, stdout=told))] == ["failed"]


def test_the_program_that_looks_around_sees_the_holes_of_an_open_place() -> None:
    """Run where nothing is sealed off, it must find the open root, and the missing filter if there is none."""
    from orchestrator.checks.doctor import INSIDE

    done = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, text=True, check=True, timeout=60)
    seen = json.loads(done.stdout)
    status = Path("/proc/self/status").read_text()
    assert bool(seen["system calls filtered"]) == ("Seccomp:\t2" not in status)
    assert bool(seen["no new privileges"]) == ("NoNewPrivs:\t1" not in status)
    interfaces = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    assert interfaces - {"lo"} <= set(seen["no network"])


def test_the_command_shows_findings_and_ends_with_3_when_something_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path))
    command = [str(Path(sys.executable).with_name("fumehood")), "doctor"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 3
    assert "FAIL engine: " in shown.stdout
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 3
    report = json.loads(told.stdout)
    assert report["healthy"] is False
    assert set(report["findings"][0]) == {"name", "state", "found", "remedy"}
