"""The self-check has no blind spot: a promise that is not kept is found, told and counted."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from orchestrator.checks import selfcheck
from orchestrator.checks.selfcheck import GROUPS, Check, checks, self_check
from orchestrator.engine.engine import Engine
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Program, RunReport, Status, Verdict

PLAIN = [check for check in checks() if check.steps]


def ended(status: Status, **fields) -> ExecutionResult:
    return ExecutionResult(status=status, **fields)


def test_every_status_and_every_group_has_its_checks():
    expected = {status for _, status, *_ in selfcheck._STATUSES} | {Status.SANDBOX_ERROR}
    assert expected == set(Status)
    assert {check.group for check in checks()} == set(GROUPS)
    names = [(check.group, check.name) for check in checks()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("check", PLAIN, ids=lambda check: f"{check.group}: {check.name}")
def test_a_run_that_ends_otherwise_is_a_failure(check: Check):
    """Whatever the promise: a sandbox that lets everything pass, tells nothing, or dies, is not waved through."""
    step = check.steps[-1]
    wrong = [
        ended(Status.SANDBOX_ERROR, verdict=Verdict.UNSCORED),
        ended(Status.OK, stdout="", verdict=Verdict.ACCEPTED, judging="apart"),
        ended(Status.OK, stdout="nonsense\n", verdict=Verdict.ACCEPTED, judging="apart"),
    ]
    told = [step.must(result) for result in wrong]
    right_by_chance = check.name in ("ends well", "right")
    assert told[0]
    assert right_by_chance or all(told)


def test_output_beyond_the_limit_is_a_failure_though_the_status_is_right():
    (check,) = [check for check in checks() if check.name == "both streams"]
    flood = "x" * (selfcheck.LIMITS.output + 1)
    assert check.steps[0].must(ended(Status.OUTPUT_EXCEEDED, stderr=flood))
    assert not check.steps[0].must(ended(Status.OUTPUT_EXCEEDED, stderr=flood[1:]))


def test_a_hole_is_named_and_another_wall_does_not_count():
    (check,) = [check for check in checks() if check.name == "root"]
    must = check.steps[0].must
    assert must(ended(Status.OK, stdout='{"wall": "root", "holes": []}')) == ""
    assert "the folder /etc" in must(ended(Status.OK, stdout='{"wall": "root", "holes": ["the folder /etc"]}'))
    assert must(ended(Status.OK, stdout='{"wall": "kernel", "holes": []}'))
    assert must(ended(Status.OK, stdout='{"wall": "root"}'))
    assert must(ended(Status.OK, stdout="[]"))


async def run(answer, isolation="container", **options):
    provider = ScriptedProvider(answer)
    return await self_check(
        Settings(runtime="runc"),
        isolations=(isolation,),
        make_engine=lambda settings, level: Engine(settings, provider=provider, retries=0),
        **options,
    )


def lenient(program: Program) -> RunReport:
    """A sandbox that lets everything pass."""
    return RunReport(status=Status.OK, stdout="42\n", isolation="container", tests_collected=0)


async def test_a_sandbox_that_stops_nothing_fails_and_is_not_healthy():
    report = await run(lenient, groups=["resources", "recovery"])
    states = {result.check: result.state for result in report.results}
    assert {name: states[name] for name, *_ in selfcheck._RESOURCES} == {name: "failed" for name, *_ in selfcheck._RESOURCES}
    assert states["after: threads"] == "passed"
    assert states["many at once"] == "failed"
    assert not report.healthy
    assert report.matrix()["container/runc"]["resources"]["failed"] >= len(selfcheck._RESOURCES)


async def test_less_isolation_than_was_asked_for_is_told_and_nothing_else_is_tried():
    report = await run(lenient, isolation="namespace")
    assert [(result.state, result.detail) for result in report.results] == [("unavailable", "runs got container instead")]
    assert not report.healthy


@pytest.mark.parametrize("refusal", [SandboxUnavailable("No."), PrerequisiteError("No.", remedy="Do.")])
async def test_a_level_that_does_not_come_up_is_unavailable(refusal):
    class Broken(ScriptedProvider):
        async def create(self):
            raise refusal

    report = await self_check(
        Settings(runtime="runc"),
        isolations=("container",),
        make_engine=lambda settings, level: Engine(settings, provider=Broken([]), retries=0),
    )
    assert [result.state for result in report.results] == ["unavailable"]
    assert "No." in report.results[0].detail


def test_a_forgery_is_an_exception_together_and_a_failure_apart():
    check = next(check for check in checks() if check.name == "patches pytest")
    for judging, state in (("together", "exception"), ("apart", "failed")):
        result = ended(Status.OK, verdict=Verdict.ACCEPTED, judging=judging)
        assert selfcheck._state(check, check.steps[0].must(result), [result], "container", "runc")[0] == state


def test_a_known_exception_holds_only_where_it_is_listed():
    seen, filtered = Check("isolation", "processes"), Check("isolation", "privileges")
    assert selfcheck._state(seen, "hole", [], "container", "runc")[0] == "exception"
    assert selfcheck._state(seen, "hole", [], "namespace", "runc")[0] == "failed"
    assert selfcheck._state(filtered, "hole", [], "container", "runsc-ptrace")[0] == "exception"
    assert selfcheck._state(filtered, "hole", [], "container", "runc")[0] == "failed"
    assert selfcheck._state(seen, "", [], "container", "runc")[0] == "passed"
    assert all(any(f"{check.group}: {check.name}" == known.check for check in checks()) for known in selfcheck.KNOWN)
    assert all(known.reason for known in selfcheck.KNOWN)


@pytest.mark.parametrize("wall", ["privileges", "environment", "network", "processes", "agent"])
def test_the_program_that_looks_around_sees_the_holes_of_an_open_place(wall):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        arguments = [str(listener.getsockname()[1]), "x"]
        command = [sys.executable, "-c", sandboxed("orchestrator.checks", "look_around"), wall, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"SECRET": "x", "PATH": "/bin"})
    answer = json.loads(done.stdout)
    assert answer["wall"] == wall
    expected = {
        "processes": "the process",
        "agent": "can be read",
        "privileges": "user or group 0",
        "environment": "the variable SECRET",
        "network": "a connection to 127.0.0.1",
    }
    holes = ", ".join(answer["holes"])
    assert expected[wall] in holes or (wall == "privileges" and holes)
