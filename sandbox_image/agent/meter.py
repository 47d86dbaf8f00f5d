"""The container's own cgroup as meter: CPU, memory, OOM kills, refused forks.

Reads cgroup v1 and v2. Every reading is of the whole sandbox, child processes included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_ROOT = "/sys/fs/cgroup"
_LAST_BYTES = 8 << 20
"""How far below the limit the kernel may find that what is asked for does not fit."""


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _field(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return 0


def _first(paths: Iterable[str]) -> str:
    return next((path for path in paths if os.path.exists(path)), "")


class Meter:
    """Readings since `start`. Where the host shows no cgroup, a reading is 0 and `present` says so."""

    def __init__(self) -> None:
        self.v2 = os.path.exists(f"{_ROOT}/cgroup.controllers")
        if self.v2:
            self._cpu, self._memory, self._peak = f"{_ROOT}/cpu.stat", f"{_ROOT}/memory.current", f"{_ROOT}/memory.peak"
            self._oom, self._pids = f"{_ROOT}/memory.events", f"{_ROOT}/pids.events"
        else:
            self._cpu = _first(f"{_ROOT}/{name}/cpuacct.usage" for name in ("cpuacct", "cpu,cpuacct", "cpuacct,cpu"))
            self._memory, self._peak = f"{_ROOT}/memory/memory.usage_in_bytes", f"{_ROOT}/memory/memory.max_usage_in_bytes"
            self._oom, self._pids = f"{_ROOT}/memory/memory.oom_control", f"{_ROOT}/pids/pids.events"
        self.present = bool(_read(self._memory))
        self._sampled_peak = 0
        self.start()

    def start(self) -> None:
        """Begin a run: later readings are relative to now."""
        self._cpu0, self._oom0, self._pids0 = self._cpu_seconds(), self._oom_kills(), self._refusals()
        self._full0 = self._times_full()
        self._peak0 = int(_read(self._peak) or 0)
        self._memory0 = min(self.resident(), int(_read(self._memory) or 0))
        self._sampled_peak = 0

    def _cpu_seconds(self) -> float:
        text = _read(self._cpu)
        return _field(text, "usage_usec") / 1e6 if self.v2 else int(text or 0) / 1e9

    def _oom_kills(self) -> int:
        return _field(_read(self._oom), "oom_kill")

    def _refusals(self) -> int:
        return _field(_read(self._pids), "max")

    def _times_full(self) -> int:
        return _field(_read(self._oom), "oom") if self.v2 else 0

    def sample(self) -> None:
        """Take a reading of the memory in use."""
        self._sampled_peak = max(self._sampled_peak, int(_read(self._memory) or 0))

    def cpu_time(self) -> float:
        """CPU seconds of all processes since `start`."""
        return self._cpu_seconds() - self._cpu0

    def memory_peak(self) -> int:
        """Most bytes in use since `start` beyond what was there: exact where the run set a new mark, else the highest sample."""
        self.sample()
        peak = int(_read(self._peak) or 0)
        return max(0, (peak if peak > self._peak0 else self._sampled_peak) - self._memory0)

    def oom_kills(self) -> int:
        """Processes the kernel killed for memory since `start`."""
        return self._oom_kills() - self._oom0

    def host_is_full(self) -> bool:
        """Whether the kernel killed for memory though the limit was never reached: then the host had none left."""
        if not self.oom_kills():
            return False
        if self.v2:
            return self._times_full() == self._full0
        limit = int(_read(f"{_ROOT}/memory/memory.limit_in_bytes") or 0)
        return int(_read(self._peak) or 0) < limit - _LAST_BYTES

    def refused_forks(self) -> int:
        """Forks refused by the process limit since `start`."""
        return self._refusals() - self._pids0

    def resident(self) -> int:
        """Bytes of anonymous memory in use now: what stays when caches are dropped."""
        text = _read(f"{_ROOT}/memory.stat" if self.v2 else f"{_ROOT}/memory/memory.stat")
        return _field(text, "anon") if self.v2 else _field(text, "rss")
