"""GPUs: which there are, and which worker gets which.

`discover` asks the driver's `nvidia-smi`; `Slots` hands devices out, each to one worker (exclusive) or to k of them (shared, each
with 1/k of the memory). The share of a shared device is kept by PyTorch's allocator alone, which a program can undo; a MIG slice
is kept by the hardware.

Left out: several processes on one machine that want the same device (give each its own in FUMEHOOD_GPUS), other vendors, and
taking a slot from an idle worker of one image for another image's.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.types import GiB, MiB, Value

_TIMEOUT = 20.0
"""Seconds that `nvidia-smi` may take: a driver without persistence wakes every device first."""
_CDI = "nvidia.com/gpu"
_QUERY = ("--query-gpu=index,uuid,name,memory.total,mig.mode.current", "--format=csv,noheader,nounits")
_GPU = re.compile(r"GPU (?P<index>\d+): (?P<name>.*) \(UUID: (?P<uuid>GPU-[^)]+)\)")
_MIG = re.compile(r"\s+MIG (?P<profile>\S+)\s+Device\s+(?P<index>\d+): \(UUID: (?P<uuid>MIG-[^)]+)\)")
_PROFILE = re.compile(r"(\d+)gb")


class Device(Value):
    """One GPU, or one MIG slice of a GPU."""

    index: str
    """The driver's number; for a slice `GPU:SLICE`."""
    uuid: str
    """`GPU-...` or `MIG-...`; empty where a device was named by its number and nobody could be asked."""
    name: str = ""
    memory: int = 0
    """Bytes; for a slice what its profile is named after, 0 where unknown."""
    mig: bool = False

    def __str__(self) -> str:
        size = f", {self.memory / GiB:.0f} GiB" if self.memory else ""
        return f"{self.index}: {self.name or self.uuid or 'GPU'}{size}"


class Slot(Value):
    """One worker's claim on a device."""

    device: Device
    number: int
    fraction: float
    """Of the device's memory."""


def parse_query(text: str) -> list[tuple[Device, bool]]:
    """Whole GPUs from `nvidia-smi --query-gpu=...`, and whether each is in MIG mode. Other lines are skipped."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) < 5 or not fields[0].isdigit() or not fields[1].startswith("GPU-"):
            continue
        index, uuid, *name, memory, mig = fields
        size = int(memory) * MiB if memory.isdigit() else 0
        found.append((Device(index=index, uuid=uuid, name=", ".join(name), memory=size), mig == "Enabled"))
    return found


def parse_list(text: str) -> list[Device]:
    """GPUs and MIG slices from `nvidia-smi -L`, each slice after its GPU. Other lines are skipped."""
    found: list[Device] = []
    gpu: Device | None = None
    for line in text.splitlines():
        if whole := _GPU.match(line):
            gpu = Device(index=whole["index"], uuid=whole["uuid"], name=whole["name"])
            found.append(gpu)
        elif gpu is not None and (part := _MIG.match(line)):
            size = _PROFILE.search(part["profile"])
            found.append(
                Device(
                    index=f"{gpu.index}:{part['index']}",
                    uuid=part["uuid"],
                    name=f"{gpu.name} MIG {part['profile']}",
                    memory=int(size[1]) * GiB if size else 0,
                    mig=True,
                )
            )
    return found


def usable(listed: Sequence[Device], queried: Sequence[tuple[Device, bool]]) -> list[Device]:
    """What work can be given to: GPUs with their memory, or in place of a GPU in MIG mode its slices."""
    whole = {device.uuid: (device, mig) for device, mig in queried}
    split = {device.index.partition(":")[0] for device in listed if device.mig}
    found = []
    for device in listed:
        known, in_mig_mode = whole.get(device.uuid, (device, False))
        if device.mig or not (in_mig_mode or device.index in split):
            found.append(known)
    return found


def _nvidia_smi(*arguments: str) -> str:
    """What it prints, or nothing where there is no driver or no device."""
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def discover(ask: Callable[..., str] = _nvidia_smi) -> list[Device]:
    """The devices of this machine; none is an empty list, never an error."""
    listed = parse_list(ask("-L"))
    return usable(listed, parse_query(ask(*_QUERY))) if listed else []


def select(wanted: str, found: Sequence[Device]) -> list[Device]:
    """The devices that FUMEHOOD_GPUS names: `all`, or numbers and UUIDs separated by commas. Empty means none.

    Where none was found (the engine may be another machine's) names are taken as they are.

    Raises:
        PrerequisiteError: `all` of none, or a device that is not there.
        UsageError: a device is named twice.
    """
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if names == ["all"]:
        if not found:
            raise PrerequisiteError(
                "FUMEHOOD_GPUS asks for all GPUs, and `nvidia-smi` shows none.",
                remedy="Install NVIDIA's driver, name the devices of a remote engine one by one, or unset FUMEHOOD_GPUS.",
            )
        return list(found)
    chosen = []
    for name in names:
        device = next((device for device in found if name in (device.index, device.uuid)), None)
        if device is None and found:
            raise PrerequisiteError(
                f"There is no GPU {name!r}; there are {'; '.join(map(str, found))}.",
                remedy="Correct FUMEHOOD_GPUS: numbers or UUIDs as `nvidia-smi -L` shows them, separated by commas.",
            )
        if device is None:
            uuid = name if name.startswith(("GPU-", "MIG-")) else ""
            device = Device(index="" if uuid else name, uuid=uuid, mig=name.startswith("MIG-") or ":" in name)
        if device in chosen:
            raise UsageError(f"FUMEHOOD_GPUS names the GPU {name!r} twice.", remedy="Name each device once.")
        chosen.append(device)
    return chosen


def offered(engine: Mapping[str, Any]) -> list[str]:
    """GPUs that the engine says it can hand in by CDI, as `nvidia.com/gpu=...` (engines from 28.2 on say so)."""
    devices = engine.get("DiscoveredDevices") or []
    names = [str(item.get("ID", "")) for item in devices if isinstance(item, dict) and item.get("Source", "cdi") == "cdi"]
    return [name for name in names if name.startswith(f"{_CDI}=")]


def request_for(device: Device, engine: Mapping[str, Any]) -> str:
    """How the engine is asked for a device, for `ContainerSpec.gpus`: its CDI name where the engine has it, else its id.

    `engine` is the engine's account of itself (`docker info`). Engines from 25 to 28.1 look for CDI specifications and do not
    say what they found; there CDI is used where no NVIDIA runtime is registered.
    """
    names = offered(engine)
    for name in (device.uuid, device.index):
        if name and f"{_CDI}={name}" in names:
            return f"{_CDI}={name}"
    silent = "DiscoveredDevices" not in engine and bool(engine.get("CDISpecDirs"))
    if silent and "nvidia" not in (engine.get("Runtimes") or {}):
        return f"{_CDI}={device.index or device.uuid}"
    return device.uuid or device.index


class Slots:
    """Hands out devices, first come first served, the least used device first. For threads.

    Raises (constructor):
        ValueError: no device, or fewer than one slot on each.
    """

    def __init__(self, devices: Sequence[Device], per_device: int = 1) -> None:
        if not devices or per_device < 1:
            raise ValueError("Slots need a device, and at least one slot on each.")
        self._free = {device: list(range(per_device)) for device in devices}
        self.total = len(devices) * per_device
        self._fraction = 1.0 / per_device
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        with self._changed:
            return sum(map(len, self._free.values()))

    def take(self, timeout: float | None = None, given_up: Callable[[], bool] = lambda: False) -> Slot:
        """A slot, when it is this caller's turn. `timeout` is in seconds; None waits as long as it takes.

        Who waits looks at `given_up` whenever a slot changes hands, and after `wake`.

        Raises:
            SandboxUnavailable: none became free in time, or the caller has given up.
        """
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                came = self._changed.wait_for(lambda: given_up() or (self._line[0] is place and self._any()), timeout)
                if given_up():
                    raise SandboxUnavailable("The GPU is not wanted any more: the sandboxes are being closed.")
                if not came:
                    raise SandboxUnavailable(f"None of the {self.total} GPU slots became free within {timeout} seconds.")
                device = max(self._free, key=lambda device: len(self._free[device]))
                return Slot(device=device, number=self._free[device].pop(0), fraction=self._fraction)
            finally:
                self._line.remove(place)
                self._changed.notify_all()

    def _any(self) -> bool:
        return any(self._free.values())

    def give_back(self, slot: Slot) -> None:
        """Let the next one have it.

        Raises:
            ValueError: nobody holds this slot.
        """
        with self._changed:
            if slot.device not in self._free or slot.number in self._free[slot.device]:
                raise ValueError(f"Nobody holds slot {slot.number} of the GPU {slot.device}.")
            self._free[slot.device].append(slot.number)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let all who wait look whether they still want to."""
        with self._changed:
            self._changed.notify_all()
