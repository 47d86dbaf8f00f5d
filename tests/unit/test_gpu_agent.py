"""The agent's side of a GPU against a driver's library that is told what to answer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox_image.agent import gpu
from sandbox_image.agent.gpu import Gpu, GpuError, Watch, limit_torch

GiB = 1 << 30
MiB = 1 << 20
NOT_SUPPORTED, NOT_FOUND, TOO_SMALL, LOST = 3, 6, 7, 15


class Driver:
    """A driver's library: one entry of `used` for each reading, the last one for ever after."""

    def __init__(
        self, uuids: tuple[str, ...] = ("GPU-0",), used: tuple[int, ...] = (0,), slices: dict[int, dict[int, int]] | None = None
    ):
        self.uuids, self.readings, self.slices = uuids, list(used), slices
        self.pids: list[list[int]] = [[]]
        self.broken: dict[str, int] = {}
        self.asked: list[int] = []
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name.startswith("nvml"):
            self.calls.append(name)
            if name in self.broken:
                return lambda *arguments: self.broken[name]
        return value

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.uuids)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: Any, handle: Any) -> int:
        if uuid.value.decode() not in self.uuids:
            return NOT_FOUND
        handle._obj.value = 100 + self.uuids.index(uuid.value.decode())
        return 0

    def nvmlDeviceGetMigMode(self, handle: Any, now: Any, later: Any) -> int:
        if self.slices is None:
            return NOT_SUPPORTED
        now._obj.value = int(handle.value - 100 in self.slices)
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:
        count._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, part: Any) -> int:
        found = (self.slices or {})[handle.value - 100].get(index.value)
        if found is None:
            return NOT_FOUND
        part._obj.value = found
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        self.asked.append(handle.value)
        memory._obj.total = 80 * GiB
        memory._obj.used = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, array: Any) -> int:
        pids = self.pids[0]
        if len(pids) > count._obj.value:
            count._obj.value = len(pids)
            return TOO_SMALL
        if len(self.pids) > 1:
            self.pids.pop(0)
        for place, pid in enumerate(pids):
            array[place].pid = pid
        count._obj.value = len(pids)
        return 0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(gpu, "SETTLE", 0.05)
    gpu._torch_version.cache_clear()
    yield
    gpu._torch_version.cache_clear()


def opened(driver: Driver, wanted: str = "all", fraction: float = 1.0) -> Gpu:
    return Gpu(wanted, fraction, load=lambda: driver)


def handles(driver: Driver, wanted: str = "all") -> list[int]:
    opened(driver, wanted).used()
    return driver.asked


def test_a_device_is_found_by_uuid():
    assert handles(Driver(("GPU-0", "GPU-1")), "GPU-1") == [101]


def test_all_are_all_that_are_visible():
    assert handles(Driver(("GPU-0", "GPU-1"))) == [100, 101]


def test_slices_stand_in_place_of_their_gpu():
    assert handles(Driver(("GPU-0", "GPU-1"), slices={1: {0: 555, 3: 777}})) == [100, 555, 777]


@pytest.mark.parametrize("wanted", ["GPU-9", "all"])
def test_no_such_device_is_said(wanted):
    with pytest.raises(GpuError):
        opened(Driver(uuids=() if wanted == "all" else ("GPU-0",)), wanted)


def test_a_missing_library_is_said():
    with pytest.raises(GpuError, match="not here"):
        Gpu("all", load=lambda: (_ for _ in ()).throw(OSError("no such file")))


def test_a_driver_that_does_not_start_is_said():
    driver = Driver()
    driver.broken["nvmlInit_v2"] = 9
    with pytest.raises(GpuError, match="nvmlInit_v2 failed with 9"):
        opened(driver)


def test_without_a_driver_the_real_library_is_missed_in_one_sentence():
    with pytest.raises(GpuError) as caught:
        Gpu("GPU-00000000-0000-0000-0000-000000000000")
    assert "\n" not in str(caught.value)


def test_processes_are_listed_however_many():
    driver = Driver()
    driver.pids = [list(range(1000, 1200))]
    assert opened(driver).processes() == set(range(1000, 1200))


def test_memory_is_of_all_devices():
    assert opened(Driver(("GPU-0", "GPU-1"), used=(GiB, 2 * GiB))).used() == 3 * GiB
    assert opened(Driver(("GPU-0", "GPU-1"))).total() == 160 * GiB


def test_no_processes_are_none():
    assert opened(Driver()).processes() == set()


# A run

BEFORE, SMALL = 500 * MiB, 500 * MiB + gpu.TOLERANCE


def ran(driver: Driver, samples: int = 3, fraction: float = 1.0) -> dict[str, Any]:
    watch = Watch(opened(driver, fraction=fraction))
    for _ in range(samples):
        watch.sample()
    return watch.finish()


def test_a_clean_run_leaves_nothing_and_its_peak_is_its_own():
    assert ran(Driver(used=(BEFORE, BEFORE, BEFORE + 3 * GiB, BEFORE + GiB, BEFORE))) == {"memory_peak": 3 * GiB, "left_over": ""}


def test_what_the_driver_itself_keeps_is_no_left_over():
    assert ran(Driver(used=(BEFORE, BEFORE, SMALL)))["left_over"] == ""


def test_memory_that_stays_is_told():
    assert ran(Driver(used=(BEFORE, BEFORE, SMALL + 1)))["left_over"] == f"{gpu.TOLERANCE + 1} bytes of device memory"


def test_the_driver_gets_time_to_free_it():
    readings = (BEFORE, *[BEFORE + GiB] * 5, BEFORE)
    assert ran(Driver(used=readings)) == {"memory_peak": GiB, "left_over": ""}


def test_a_process_that_stays_is_told():
    driver = Driver()
    driver.pids = [[7], [7, 12, 9]]
    assert ran(driver)["left_over"] == "processes 9, 12 on the device"


def test_a_process_that_was_there_before_is_not_the_runs():
    driver = Driver()
    driver.pids = [[7, 8], [7]]
    assert ran(driver)["left_over"] == ""


@pytest.mark.parametrize("call", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses_v3"])
def test_a_device_that_is_lost_meanwhile_counts_as_not_clean(call):
    driver = Driver()
    watch = Watch(opened(driver))
    driver.broken[call] = LOST
    watch.sample()
    assert watch.finish()["left_over"] == f"{call} failed with {LOST}"


def test_a_device_that_is_lost_before_counts_as_not_clean():
    driver = Driver()
    watched = opened(driver)
    driver.broken["nvmlDeviceGetMemoryInfo"] = LOST
    watch = Watch(watched)
    driver.broken.clear()
    watch.sample()
    assert "failed" in watch.finish()["left_over"]


def test_a_shared_device_is_not_measured():
    driver = Driver(used=(0, 5 * GiB))
    driver.pids = [[], [5]]
    assert ran(driver, fraction=0.5) == {"memory_peak": None, "left_over": ""}
    assert "nvmlDeviceGetMemoryInfo" not in driver.calls


# What a run is given


@pytest.fixture
def torch_of(monkeypatch):
    def install(text: str | None) -> None:
        def version(name: str) -> str:
            if text is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return text

        monkeypatch.setattr(importlib.metadata, "version", version)

    return install


def test_a_run_sees_its_device_alone_whatever_it_asks_for(torch_of):
    torch_of("2.13.0+cu130")
    given = {"HOME": "/x", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert opened(Driver(), "GPU-0").environment(given) == {"HOME": "/x", "CUDA_VISIBLE_DEVICES": "GPU-0"}


def test_a_device_given_by_number_is_all_that_the_container_sees(torch_of):
    torch_of("2.13.0")
    assert opened(Driver()).environment({"HOME": "/x"}) == {"HOME": "/x"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.2500"}),
        (
            {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
            {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True,per_process_memory_fraction:0.2500"},
        ),
        ({"PYTORCH_ALLOC_CONF": ""}, {"PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.2500"}),
    ],
)
def test_the_share_of_the_memory_is_in_the_environment(given, expected, torch_of):
    torch_of("2.13.0")
    assert opened(Driver(), fraction=0.25).environment(given) == expected


@pytest.mark.parametrize("version", [None, "2.8.0", "1.13", "unknown", "2.x"])
def test_a_pytorch_that_does_not_know_the_word_is_not_told(version, torch_of):
    torch_of(version)
    assert opened(Driver(), fraction=0.25).environment({}) == {}


class Torch:
    """What of PyTorch `limit_torch` touches."""

    def __init__(self, count: int) -> None:
        self.line: list[Any] = []
        self.limits: list[tuple[float, int]] = []
        self.cuda = SimpleNamespace(
            _lazy_call=self.line.append,
            device_count=lambda: count,
            set_per_process_memory_fraction=lambda fraction, index: self.limits.append((fraction, index)),
        )


def test_an_imported_pytorch_is_limited_at_its_first_use_of_cuda(monkeypatch):
    torch = Torch(2)
    monkeypatch.setitem(gpu.sys.modules, "torch", torch)
    limit_torch(0.25)
    assert torch.limits == []
    (waiting,) = torch.line
    waiting()
    assert torch.limits == [(0.25, 0), (0.25, 1)]


def test_a_whole_device_needs_no_limit(monkeypatch):
    torch = Torch(1)
    monkeypatch.setitem(gpu.sys.modules, "torch", torch)
    limit_torch(1.0)
    assert torch.line == []


def test_without_pytorch_nothing_happens(monkeypatch):
    monkeypatch.setitem(gpu.sys.modules, "torch", None)
    limit_torch(0.25)
    monkeypatch.setitem(gpu.sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace()))
    limit_torch(0.25)


def test_without_a_gpu_the_benchmark_says_so_in_a_line(tmp_path):
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_agent.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == "gpu_agent: there is no GPU: `nvidia-smi -L` shows none.\n"
