"""GPUs in real containers without a GPU: a stand-in for the driver's library lies in the image.

It is known to Python's loader alone, so nothing but the agent meets it: `used` of the device jumps by 200 MiB at the second
reading (the run) and, in a leaky image, stays there.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.errors import SandboxUnavailable
from orchestrator.sandbox import base_image, docker, hardening, image
from orchestrator.sandbox.devices import Device, Slots
from orchestrator.sandbox.docker import DockerProvider, DockerSandbox
from orchestrator.sandbox.engine import connect
from orchestrator.sandbox.hardening import ContainerSpec
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program, RunReport, Status

LIMITS = Limits(wall_time=20, cpu_time=10, memory=512 * MiB, processes=64)
DEVICES = [Device(index="0", uuid="GPU-zero"), Device(index="1", uuid="GPU-one")]
RUN = Program(code="import os, time; time.sleep(0.2); print(sorted(k for k in os.environ if 'CUDA' in k or 'TORCH' in k))")
PEAK = 200 * MiB

STAND_IN = """
import ctypes
real = ctypes.CDLL
LEAKY = %r

class Driver:
    readings = 0
    def nvmlInit_v2(self): return 0
    def nvmlDeviceGetCount_v2(self, count): count._obj.value = 1; return 0
    def nvmlDeviceGetHandleByIndex_v2(self, index, handle): handle._obj.value = 1; return 0
    def nvmlDeviceGetHandleByUUID(self, uuid, handle):
        handle._obj.value = 1
        return 0 if uuid.value in (b"GPU-zero", b"GPU-one") else 6
    def nvmlDeviceGetMigMode(self, *_): return 3
    def nvmlDeviceGetMemoryInfo(self, handle, memory):
        self.readings += 1
        memory._obj.used = %d if self.readings == 2 or (LEAKY and self.readings > 2) else 0
        return 0
    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle, count, array): count._obj.value = 0; return 0

def load(name, *args, **kwargs):
    return Driver() if name == "libnvidia-ml.so.1" else real(name, *args, **kwargs)

ctypes.CDLL = load
"""


@contextmanager
def sandbox_image(leaky: bool) -> Iterator[str]:
    """A sandbox image with the stand-in, and with what tells the version of a PyTorch."""
    name = f"fumehood-test-gpu:{uuid.uuid4().hex[:12]}"
    files = {
        "Dockerfile": b"ARG BASE\nFROM ${BASE}\nCOPY site /usr/local/lib/python3.11/dist-packages\n",
        "site/stand_in.py": (STAND_IN % (leaky, PEAK)).encode(),
        "site/stand_in.pth": b"import stand_in\n",
        "site/torch-2.13.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n",
    }
    with closing(connect()) as client:
        base = base_image.resolve(client, Settings().base_image, lambda line: None)
        image.build_from(client, files, [name], {"BASE": base}, lambda line: None)
        try:
            made = image.from_image(name)
            yield made.tag
            image.rm(made.tag)
        finally:
            client.images.remove(name, force=True)


@pytest.fixture(scope="module")
def clean_image() -> Iterator[str]:
    with sandbox_image(leaky=False) as tag:
        yield tag


@pytest.fixture(scope="module")
def leaky_image() -> Iterator[str]:
    with sandbox_image(leaky=True) as tag:
        yield tag


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The device requests, kept from an engine that has no GPU."""
    requests: list[dict[str, Any]] = []

    def without_devices(spec: ContainerSpec, made: str, user: int) -> dict[str, Any]:
        options = hardening.container_options(spec, made, user)
        requests.extend(options["host"].pop("device_requests", []))
        return options

    monkeypatch.setattr(docker, "container_options", without_devices)
    return requests


@asynccontextmanager
async def provider(tag: str, isolation: Any, slots: Slots) -> AsyncIterator[DockerProvider]:
    spec = ContainerSpec(image=tag, limits=LIMITS, isolation=isolation, preload=False)
    made = DockerProvider(spec, slots=slots)
    create, sandboxes = made.create, []

    async def remembered() -> DockerSandbox:
        sandboxes.append(await create())
        return sandboxes[-1]

    made.create = remembered  # type: ignore[method-assign]
    try:
        yield made
    finally:
        for sandbox in sandboxes:
            await sandbox.close()
        await made.close()


async def run(sandbox: DockerSandbox) -> RunReport:
    report = await sandbox.run(RUN, LIMITS)
    assert report.status is Status.OK, report
    return report


async def test_each_sandbox_is_bound_to_a_device_and_its_slot_comes_back(clean_image, isolation, asked):
    slots = Slots(DEVICES)
    async with provider(clean_image, isolation, slots) as made:
        first, second = await made.create(), await made.create()
        assert [request["DeviceIDs"] for request in asked] == [["GPU-zero"], ["GPU-one"]]
        assert slots.free == 0
        for sandbox in (first, second):
            report = await run(sandbox)
            assert report.gpu_memory_peak == PEAK
            assert report.stdout == "['CUDA_VISIBLE_DEVICES']\n"
        await first.close()
        assert slots.free == 1
    assert slots.free == 2


async def test_a_clean_worker_goes_on_and_a_leaky_one_is_spent(clean_image, leaky_image, asked, caplog):
    for tag, spent in ((clean_image, False), (leaky_image, True)):
        async with provider(tag, "namespace", Slots(DEVICES)) as made:
            sandbox = await made.create()
            assert (await run(sandbox)).gpu_memory_peak == PEAK
            assert sandbox.spent is spent
    assert "209715200 bytes of device memory (GPU-zero)" in caplog.text


async def test_a_shared_device_is_limited_and_not_measured(leaky_image, isolation, asked):
    slots = Slots(DEVICES[:1], 4)
    async with provider(leaky_image, isolation, slots) as made:
        report = await run(await made.create())
        assert report.gpu_memory_peak is None
        assert report.stdout == "['CUDA_VISIBLE_DEVICES', 'PYTORCH_ALLOC_CONF']\n"
        assert slots.free == 3


async def test_one_more_than_there_are_slots_waits_for_its_turn(clean_image, asked):
    slots = Slots(DEVICES[:1])
    async with provider(clean_image, "namespace", slots) as made:
        first = await made.create()
        later = asyncio.create_task(made.create())
        await asyncio.sleep(0.5)
        assert not later.done()
        await first.close()
        assert (await run(await asyncio.wait_for(later, 60))).gpu_memory_peak == PEAK


async def test_who_waits_for_a_slot_is_told_when_all_is_closed(clean_image, asked):
    slots = Slots(DEVICES[:1])
    held = slots.take()
    async with provider(clean_image, "namespace", slots) as made:
        later = asyncio.create_task(made.create())
        await asyncio.sleep(0.2)
        assert not later.done()
    slots.give_back(held)
    with pytest.raises(SandboxUnavailable, match="being closed"):
        await asyncio.wait_for(later, 60)


async def test_a_container_that_does_not_see_its_device_is_no_sandbox(clean_image, asked):
    slots = Slots([Device(index="0", uuid="GPU-unknown")])
    async with provider(clean_image, "namespace", slots) as made:
        with pytest.raises(SandboxUnavailable, match="nvmlDeviceGetHandleByUUID failed with 6"):
            await made.create()
        assert slots.free == 1


async def test_an_engine_that_has_no_gpu_refuses_and_the_slot_comes_back(clean_image):
    slots = Slots(DEVICES)
    async with provider(clean_image, "namespace", slots) as made:
        with pytest.raises(SandboxUnavailable, match="could not start"):
            await made.create()
        assert slots.free == 2


async def test_the_settings_name_the_devices_and_bound_the_sandboxes(clean_image, asked, isolation):
    settings = Settings(image=clean_image, gpus="GPU-zero,GPU-one", workers=5, isolation=isolation)
    async with Engine(settings, limits=LIMITS, preload=False) as engine:
        assert engine._pool.size == 2
        results = await engine.map([RUN] * 6, LIMITS)
        assert [result.gpu_memory_peak for result in results if result.gpu_memory_peak] == [PEAK] * (
            6 if isolation == "container" else 2
        )
        assert {result.status for result in results} == {Status.OK}
    assert {request["DeviceIDs"][0] for request in asked} == {"GPU-zero", "GPU-one"}


# The zygote and CUDA

ZYGOTE = """
import json, sys
sys.path.insert(0, "/opt/agent")
import torch
calls = []
def spy(name):
    def called(*args, **kwargs):
        calls.append(name)
        raise RuntimeError(name)
    return called
for name in ("_lazy_init", "init", "is_available", "device_count", "current_device", "get_device_properties"):
    setattr(torch.cuda, name, spy(name))
from agent import zygote
zygote._use_torch()
zygote._use_more_of_torch()
quiet = list(calls)
try:
    torch.zeros(1).cuda()
except Exception:
    pass
print(json.dumps([quiet, calls]))
"""

LIMITED = """
import json, sys
sys.path.insert(0, "/opt/agent")
import torch
from agent import gpu
before = len(torch.cuda._queued_calls)
gpu.limit_torch(0.25)
((call, _),) = torch.cuda._queued_calls[before:]
limits = []
torch.cuda.device_count = lambda: 2
torch.cuda.set_per_process_memory_fraction = lambda fraction, index: limits.append([fraction, index])
nothing = list(limits)
call()
print(json.dumps([nothing, limits, torch.cuda.is_initialized()]))
"""


def inside(code: str) -> Any:
    with closing(connect()) as client:
        output = client.containers.run(
            image.build().tag, ["-c", code], entrypoint="/opt/venv/bin/python3", network_mode="none", remove=True, environment={}
        )
    return json.loads(output)


def test_warming_up_touches_nothing_of_cuda():
    quiet, calls = inside(ZYGOTE)
    assert quiet == []
    assert calls, "the spy sees nothing, so the line above says nothing"


def test_the_limit_waits_in_pytorchs_own_line():
    assert inside(LIMITED) == [[], [[0.25, 0], [0.25, 1]], False]


async def test_a_run_starts_without_cuda_and_without_the_driver(execute):
    code = """
import sys
assert "torch" in sys.modules
import torch
print(torch.cuda.is_initialized(), [line.split()[-1] for line in open("/proc/self/maps") if "libcuda" in line or "libnvidia" in line])
"""
    assert (await execute(code)).stdout == "False []\n"
