"""The doctor: looks whether this machine can do the work, and says what helps where it cannot.

Limits are not read from a configuration and believed: hostile programs run in a real sandbox, and what became of them counts.

Left out: repairing anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.engine.engine import Engine
from orchestrator.errors import OrchestratorError
from orchestrator.printable import counted
from orchestrator.sandbox.devices import Device, discover, offered, request_for, select
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, GiB, Limits, MiB, Program, Status

State = Literal["ok", "warning", "failed"]

LIMITS = Limits(wall_time=20, cpu_time=15, memory=256 * MiB, disk=16 * MiB, output=64 * 1024, processes=32)
"""What the programs below run into."""
_TOOLKIT = "Install the NVIDIA Container Toolkit and restart the engine."
ROOM = 5 * GiB
"""Free disk below which a warning is given: an image and weights take about three."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    """What is there: one sentence."""
    remedy: str = ""
    """What helps; empty where nothing has to be done."""


@dataclass(frozen=True)
class Probe:
    """A program for the sandbox, and what must become of it."""

    name: str
    code: str
    expected: Status
    limits: Limits = LIMITS
    also: Callable[[ExecutionResult], bool] = lambda result: True


PROBES = (
    Probe("memory limit", "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1", Status.MEMORY_EXCEEDED),
    Probe(
        "process limit",
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)",
        Status.PROCESS_LIMIT_EXCEEDED,
    ),
    Probe("disk limit", "with open('big', 'wb') as f:\n    while True: f.write(b'x' * 65536)", Status.DISK_EXCEEDED),
    Probe(
        "output limit",
        "while True: print('x' * 1000)",
        Status.OUTPUT_EXCEEDED,
        also=lambda result: len(result.stdout) <= LIMITS.output,
    ),
    Probe(
        "wall-clock limit",
        "import time\ntime.sleep(60)",
        Status.TIMED_OUT_WALL,
        LIMITS.model_copy(update={"wall_time": 1.0}),
        also=lambda result: result.wall_time < 10,
    ),
    Probe("CPU limit", "while True: pass", Status.TIMED_OUT_CPU, LIMITS.model_copy(update={"cpu_time": 1.0})),
)

INSIDE = """
import json, os, socket

def fails(action):
    try:
        action()
    except OSError:
        return True
    return False

rows = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
lines = open("/proc/net/dev").read().splitlines()[2:] if os.path.exists("/proc/net/dev") else []
interfaces = [line.split(":")[0].strip() for line in lines]
wall = {
    "no network": [name for name in interfaces if name != "lo"]
    + [host for host in ("1.1.1.1", "8.8.8.8") if not fails(lambda: socket.create_connection((host, 53), 2))],
    "read-only root": [p for p in ("/x", "/etc/x", "/usr/x", "/opt/x", "/bin/sh") if not fails(lambda: open(p, "ab").close())],
    "not root": [] if all((*os.getresuid(), *os.getresgid(), *os.getgroups())) else ["user or group 0"],
    "no capabilities": [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(rows[name], 16)],
    "no new privileges": [] if int(rows["NoNewPrivs"]) == 1 else ["setuid programs would work"],
    "system calls filtered": [] if int(rows["Seccomp"]) == 2 else ["no seccomp filter"],
}
print(json.dumps(wall))
"""
"""Looks at the sandbox from inside: for each property, what breaks it."""

WALL = ("no network", "read-only root", "not root", "no capabilities", "no new privileges", "system calls filtered")
"""What must hold around every program."""


async def diagnose(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything, and give each finding as soon as it is known. Nothing is raised for what is found wrong."""
    yield _python()
    engine, found = await asyncio.to_thread(_engine, settings)
    for finding in found:
        yield finding
    image = await asyncio.to_thread(_image, settings) if engine else _unknown("sandbox image", "the engine does not answer")
    yield image
    if image.state == "failed":
        yield _unknown("sandbox", "there is no image to start one from")
    else:
        async for finding in _sandbox(settings):
            yield finding
    yield await asyncio.to_thread(_gpu, settings, engine)
    yield await _model(settings)
    yield _disk(settings)
    yield await asyncio.to_thread(_store, settings)


def _unknown(name: str, why: str) -> Finding:
    return Finding(name, "failed", f"Not checked: {why}.", "Repair what is named above first.")


def _python() -> Finding:
    version = platform.python_version()
    return Finding("Python", "ok", f"{version} on {platform.system()} {platform.machine()}.")


def _engine(settings: Settings) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The engine's own account of itself, and what is to be said of it."""
    from orchestrator.sandbox.engine import connect, host, missing_runtime

    try:
        client = connect(timeout=15.0)
        try:
            info: dict[str, Any] = client.info()
        finally:
            client.close()
    except OrchestratorError as exc:
        return None, [Finding("engine", "failed", exc.message, exc.remedy)]
    findings = [Finding("engine", "ok", f"Docker {info.get('ServerVersion')} at {host()}.")]
    missing = [
        name for name, key in (("memory", "MemoryLimit"), ("pids", "PidsLimit"), ("cpu", "CpuCfsQuota")) if not info.get(key)
    ]
    version = info.get("CgroupVersion") or "1"
    if missing:
        findings.append(
            Finding(
                "cgroups",
                "failed",
                f"Version {version} without limits for {', '.join(missing)}.",
                "Enable these cgroup controllers, on the kernel command line or for the rootless engine's slice.",
            )
        )
    else:
        findings.append(Finding("cgroups", "ok", f"Version {version} with limits for memory, processes and CPU."))
    runtimes = sorted(info.get("Runtimes") or {})
    wanted = settings.runtime or str(info.get("DefaultRuntime", "runc"))
    if unknown := missing_runtime(info, wanted):
        findings.append(Finding("runtime", "failed", unknown.message, unknown.remedy))
    else:
        findings.append(Finding("runtime", "ok", f"{wanted} (the engine has {', '.join(runtimes)})."))
    options = [str(option) for option in info.get("SecurityOptions") or []]
    if any("name=seccomp" in option for option in options):
        findings.append(Finding("seccomp", "ok", "The engine filters system calls."))
    else:
        findings.append(
            Finding(
                "seccomp",
                "failed",
                "The engine does not filter system calls.",
                "Use a kernel with CONFIG_SECCOMP and an engine built with seccomp.",
            )
        )
    return info, findings


def _image(settings: Settings) -> Finding:
    from orchestrator.sandbox.image import find, how_to_build, tag_for

    try:
        tag = tag_for(settings)
        found = find(tag)
    except OrchestratorError as exc:
        return Finding("sandbox image", "failed", exc.message, exc.remedy)
    if found is None:
        remedy = "Name an image of `fumehood image ls` in FUMEHOOD_IMAGE, or unset it." if settings.image else how_to_build(tag)
        return Finding("sandbox image", "failed", f"The engine has no image {tag}.", remedy)
    return Finding("sandbox image", "ok", f"{tag}, {found.size / 1e6:.0f} MB.")


async def _sandbox(settings: Settings) -> AsyncIterator[Finding]:
    """Start sandboxes, look at one from inside, and run what must be stopped."""
    try:
        async with Engine(settings, limits=LIMITS) as engine:
            first = await engine.execute(Program(code=INSIDE), LIMITS)
            if first.status is not Status.OK:
                yield Finding(
                    "sandbox", "failed", f"A program that only looks around ended with {first.status}. {_last(first)}", _DISTRUST
                )
                return
            yield Finding("sandbox", "ok", "A warm one starts and runs a program.")
            for finding in _wall(first):
                yield finding
            running = [asyncio.create_task(engine.execute(Program(code=probe.code), probe.limits)) for probe in PROBES]
            try:
                for probe, result in zip(PROBES, running, strict=True):
                    yield _judge(probe, await result)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
    except OrchestratorError as exc:
        yield Finding("sandbox", "failed", exc.message, exc.remedy or "See the engine's log.")


_DISTRUST = "Run no foreign code on this engine until this holds. Check its version, its runtime and its cgroups."


def _wall(result: ExecutionResult) -> list[Finding]:
    """What the sandbox looks like from inside. Nobody hostile wrote that program, so it may be believed."""
    try:
        broken = json.loads(result.stdout)
        found = {name: [str(item) for item in broken[name]] for name in WALL}
    except (ValueError, KeyError, TypeError):
        return [Finding("sandbox wall", "failed", f"The probe gave no valid report. {_last(result)}", _DISTRUST)]
    return [
        Finding(f"sandbox: {name}", "failed", f"Does not hold: {', '.join(items)}.", _DISTRUST)
        if items
        else Finding(f"sandbox: {name}", "ok", "Holds, seen from inside.")
        for name, items in found.items()
    ]


def _judge(probe: Probe, result: ExecutionResult) -> Finding:
    name = f"sandbox: {probe.name}"
    if result.status is probe.expected and probe.also(result):
        return Finding(name, "ok", f"Stops a real program ({result.status} after {result.wall_time:.1f} s).")
    return Finding(
        name, "failed", f"The program ended with {result.status} instead of {probe.expected}. {_last(result)}", _DISTRUST
    )


def _last(result: ExecutionResult) -> str:
    """The last line that says something."""
    lines = (result.detail or result.stderr or result.stdout).strip().splitlines()
    return lines[-1][:200] if lines else ""


def _gpu(settings: Settings, engine: dict[str, Any] | None, found: Sequence[Device] | None = None) -> Finding:
    """The GPUs of this machine and of the engine, and whether those that the settings name can be handed in."""
    found = discover() if found is None else found
    names = "; ".join(map(str, found))
    try:
        chosen = select(settings.gpus, found)
    except OrchestratorError as exc:
        return Finding("GPU", "failed", exc.message, exc.remedy)
    if engine is None:
        return _unknown("GPU", "the engine does not answer") if chosen else Finding("GPU", "ok", names or "None: CPU only.")
    by_engine = offered(engine)
    able = bool(by_engine) or bool(engine.get("CDISpecDirs")) or "nvidia" in (engine.get("Runtimes") or {})
    if chosen and not able:
        return Finding(
            "GPU", "failed", "The engine cannot hand a GPU to a container" + (f" ({names})." if names else "."), _TOOLKIT
        )
    if chosen:
        requests = ", ".join(request_for(device, engine) for device in chosen)
        return Finding(
            "GPU", "ok", f"Sandboxes get {requests}, {settings.gpu_slots} on each. Found: {names or 'not on this host'}."
        )
    if found and not able:
        return Finding("GPU", "warning", f"{names}, and the engine cannot hand one to a container.", _TOOLKIT)
    if found or by_engine:
        return Finding("GPU", "ok", f"{names or ', '.join(by_engine)}. Not used: FUMEHOOD_GPUS is not set.")
    if Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists():
        return Finding(
            "GPU", "warning", "NVIDIA's driver is here, and `nvidia-smi` shows no device.", "Run `nvidia-smi` and see."
        )
    return Finding("GPU", "ok", "None: CPU only.")


async def _model(settings: Settings) -> Finding:
    if settings.base_url:
        from orchestrator.llm.client import ModelClient

        try:
            async with ModelClient(
                settings.base_url, model=settings.model, api_key=settings.api_key, timeout=10.0, retries=0
            ) as client:
                info = await client.info()
        except OrchestratorError as exc:
            return Finding("model server", "failed", exc.message, exc.remedy)
        return Finding("model server", "ok", f"{info.model} ({info.server}) answers at {settings.base_url}.")
    from importlib.util import find_spec

    from llm_server import weights

    if find_spec("xllamacpp") is None:
        return Finding(
            "model server",
            "warning",
            "No server is named, and the embedded one is not installed.",
            "Install it (`pip install 'fumehood[embedded]'`), or name a server in FUMEHOOD_BASE_URL.",
        )
    name = settings.model or "1.5b"
    ready = {state.weights.name: state for state in weights.ls(settings.home) if state.state == "ready"}
    if name in ready or os.path.isfile(os.path.expanduser(name)):  # noqa: ASYNC240, PTH111, PTH113 - a local stat
        return Finding("model server", "ok", f"The embedded one will serve {name}; its weights are here.")
    return Finding(
        "model server", "warning", f"The weights {name} are not here yet.", f"Run `fumehood model fetch {name}`; about a minute."
    )


def _disk(settings: Settings) -> Finding:
    place = settings.home
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as exc:
        return Finding("disk", "failed", f"{place} cannot be looked at: {exc.strerror}.", "Set FUMEHOOD_HOME to another folder.")
    if not os.access(place, os.W_OK):
        return Finding(
            "disk", "failed", f"{place} cannot be written.", "Change its permissions, or set FUMEHOOD_HOME to another folder."
        )
    if free < ROOM:
        return Finding(
            "disk", "warning", f"{free / GiB:.1f} GiB free at {place}.", "Free some: images and weights take about three GiB."
        )
    return Finding("disk", "ok", f"{free / GiB:.1f} GiB free at {place}.")


def _store(settings: Settings) -> Finding:
    from orchestrator.data.store import RunStore

    try:
        with RunStore.open(settings.database_url) as store:
            where = store.check()
            count = len(store.runs())
    except OrchestratorError as exc:
        return Finding("run store", "failed", exc.message, exc.remedy)
    return Finding("run store", "ok", f"{counted(count, 'run')} in {where}.")
