"""The GPU of a sandbox: what a run may use of it, how much it used, and whether anything of it stayed behind.

Readings come from the driver's management library (NVML), which does not initialise CUDA and needs no process on the device.
Nothing here is imported by what runs: a limit on memory is handed to PyTorch's allocator, which keeps it as long as the program
lets it. Where a device is shared, its readings are of all who share it; so then there is no peak and no check for left-overs,
and the end of the run's processes is what frees its memory. A MIG slice is a device of its own here.

Left out: choosing a device. The host does that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .schema import Device

SETTLE = 3.0
"""Seconds that the driver may take to free what ended processes held."""
TOLERANCE = 64 << 20
"""Bytes in use after a run, beyond those before it, that count as the driver's own."""
_STEP = 0.01
_INSUFFICIENT_SIZE = 7
_FRACTION_SINCE = (2, 10)
"""The PyTorch whose allocator reads a memory fraction from the environment; an older one takes an unknown word for an error."""


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("memory", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class GpuError(Exception):
    """The driver does not answer, or shows no device."""


class Gpu:
    """The devices that this sandbox sees: one, unless it was given all.

    `wanted` is a UUID, or `all` for whatever is visible. `fraction` is the share of their memory that a run may take.

    Raises (constructor):
        GpuError: there is no driver here, or no such device.
    """

    def __init__(
        self, wanted: str, fraction: float = 1.0, load: Callable[[], Any] = lambda: ctypes.CDLL("libnvidia-ml.so.1")
    ) -> None:
        self.fraction = fraction
        self._uuid = "" if wanted == "all" else wanted
        try:
            self._library = load()
        except OSError as exc:
            raise GpuError(f"the driver's library is not here ({exc})") from exc
        self._call("nvmlInit_v2")
        self._handles = [self._by_uuid(self._uuid)] if self._uuid else self._visible()
        if not self._handles:
            raise GpuError("no device is visible")

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise GpuError(f"{name} failed with {code}")

    def _by_uuid(self, uuid: str) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle))
        return handle

    def _visible(self) -> list[ctypes.c_void_p]:
        """Every visible GPU, or its visible MIG slices in its place."""
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        found = []
        for index in range(count.value):
            handle = ctypes.c_void_p()
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
            slices = self._slices(handle)
            found += [handle] if slices is None else slices
        return found

    def _slices(self, gpu: ctypes.c_void_p) -> list[ctypes.c_void_p] | None:
        """The MIG slices of a GPU that is in MIG mode; None for another one."""
        now, later, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
        try:
            self._call("nvmlDeviceGetMigMode", gpu, ctypes.byref(now), ctypes.byref(later))
            if not now.value:
                return None
            self._call("nvmlDeviceGetMaxMigDeviceCount", gpu, ctypes.byref(most))
        except (GpuError, AttributeError):  # a GPU or a driver that knows no MIG
            return None
        found = []
        for index in range(most.value):
            handle = ctypes.c_void_p()
            with contextlib.suppress(GpuError):  # a gap in the numbers
                self._call("nvmlDeviceGetMigDeviceHandleByIndex", gpu, ctypes.c_uint(index), ctypes.byref(handle))
                found.append(handle)
        return found

    def used(self) -> int:
        """Bytes of device memory in use now, by everyone."""
        return self._memory("used")

    def total(self) -> int:
        """Bytes of device memory that there are."""
        return self._memory("total")

    def _memory(self, what: str) -> int:
        memory, found = _Memory(), 0
        for handle in self._handles:
            self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
            found += int(getattr(memory, what))
        return found

    def processes(self) -> set[int]:
        """Numbers of the processes with a compute context on the devices, as the driver tells them to this process."""
        found: set[int] = set()
        for handle in self._handles:
            count, room = ctypes.c_uint(0), 0
            array: Any = None
            for _ in range(5):  # more may come between two calls
                code = self._library.nvmlDeviceGetComputeRunningProcesses_v3(handle, ctypes.byref(count), array)
                if code != _INSUFFICIENT_SIZE:
                    break
                room = count.value + 8
                array, count = (_Process * room)(), ctypes.c_uint(room)
            if code:
                raise GpuError(f"nvmlDeviceGetComputeRunningProcesses_v3 failed with {code}")
            if array is not None:
                found |= {array[index].pid for index in range(count.value)}
        return found

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """A run's environment: what it asked for, its device, and its share of the memory."""
        found = dict(given)
        if self._uuid:
            found["CUDA_VISIBLE_DEVICES"] = self._uuid
        if self.fraction < 1 and _torch_version() >= _FRACTION_SINCE:
            # PyTorch reads one of the two, and this one first.
            name = "PYTORCH_CUDA_ALLOC_CONF" if "PYTORCH_CUDA_ALLOC_CONF" in given else "PYTORCH_ALLOC_CONF"
            words = [given[name]] if given.get(name) else []
            found[name] = ",".join([*words, f"per_process_memory_fraction:{self.fraction:.4f}"])
        return found


class Watch:
    """One run on the GPU, from before its start to after its end."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._alone = gpu.fraction >= 1
        self._processes: set[int] = set()
        self._before = self._peak = 0
        self._failed = ""
        if self._alone:
            try:
                self._before, self._processes = gpu.used(), gpu.processes()
            except GpuError as exc:
                self._failed = str(exc)

    def sample(self) -> None:
        """Take a reading of the memory in use."""
        if self._alone and not self._failed:
            try:
                self._peak = max(self._peak, self._gpu.used() - self._before)
            except GpuError as exc:
                self._failed = str(exc)

    def finish(self) -> Device:
        """After the end of all the run's processes: the most bytes it used (None where unknown), and what is left over."""
        if not self._alone:
            return {"memory_peak": None, "left_over": ""}
        left_over = self._failed
        until = time.monotonic() + SETTLE
        while not self._failed:
            try:
                left_over = self._look()
            except GpuError as exc:
                left_over = str(exc)
            if not left_over or time.monotonic() >= until:
                break
            time.sleep(_STEP)
        return {"memory_peak": self._peak, "left_over": left_over}

    def _look(self) -> str:
        more = self._gpu.used() - self._before
        fresh = self._gpu.processes() - self._processes
        if fresh:
            return f"processes {', '.join(map(str, sorted(fresh)))} on the device"
        return f"{more} bytes of device memory" if more > TOLERANCE else ""


@lru_cache(maxsize=1)
def _torch_version() -> tuple[int, ...]:
    """Of the installed PyTorch, without importing it; empty without one."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor = version("torch").split(".")[:2]
        return int(major), int(minor)
    except (PackageNotFoundError, ValueError):
        return ()


def limit_torch(fraction: float) -> None:
    """Let PyTorch's allocator keep to a share of the memory, where PyTorch is imported already, from its first use of CUDA on.

    Nothing is initialised: the call waits in PyTorch's own line for that.
    """
    torch = sys.modules.get("torch")
    if torch is None or fraction >= 1:
        return

    def limit() -> None:
        for index in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(fraction, index)

    with contextlib.suppress(AttributeError):  # a PyTorch without CUDA's module
        torch.cuda._lazy_call(limit)


def bound() -> tuple[Gpu | None, str]:
    """The GPU that the host has bound to this sandbox, or why it cannot be watched."""
    wanted = os.environ.get("FUMEHOOD_GPU")
    if not wanted:
        return None, ""
    try:
        return Gpu(wanted, float(os.environ.get("FUMEHOOD_GPU_FRACTION", "1"))), ""
    except GpuError as exc:
        return None, str(exc)
