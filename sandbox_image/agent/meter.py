"""The container's own cgroup as meter: CPU, memory, OOM kills, refused forks.

Reads cgroup v1 and v2. Every reading is of the whole sandbox, child processes included.
"""

from __future__ import annotations

import os
import time

_ROOT = "/sys/fs/cgroup"
_LEFT = 16 << 20
"""Bytes of shared memory, beyond what is always there, that are a past run's."""
_PATIENCE, _PAUSE = 0.2, 0.005
"""Seconds that the kernel is given to free them, and between two looks."""
_LAST_BYTES = 8 << 20
"""How far below the limit the kernel may find that what is asked for does not fit."""


class _File:
    """A file of the kernel that is opened once and read often."""

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> str:
        """Its content now; empty where it cannot be read."""
        try:
            return os.pread(self._fd, 1 << 16, 0).decode("ascii", "replace")
        except OSError:
            return ""


def _field(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return 0


class Meter:
    """Readings since `start`. Where the host shows no cgroup, a reading is 0 and `present` says so."""

    def __init__(self) -> None:
        self.v2 = os.path.exists(f"{_ROOT}/cgroup.controllers")
        names = ["cpu.stat", "memory.current", "memory.peak", "memory.events", "pids.events", "memory.stat"]
        if not self.v2:
            known = (name for name in ("cpuacct", "cpu,cpuacct", "cpuacct,cpu") if os.path.exists(f"{_ROOT}/{name}"))
            memory = [f"memory/memory.{name}" for name in ("usage_in_bytes", "max_usage_in_bytes", "oom_control")]
            names = [f"{next(known, '')}/cpuacct.usage", *memory, "pids/pids.events", "memory/memory.stat"]
        files = [_File(f"{_ROOT}/{name}") for name in names]
        self._cpu, self._memory, self._peak, self._oom, self._pids, self._stat = files
        self.present = bool(self._memory.read())
        self._sampled_peak = self._shared0 = 0
        self.start()

    def start(self) -> None:
        """Begin a run: later readings are relative to now."""
        self._cpu0, self._oom0, self._pids0 = self._cpu_seconds(), self._oom_kills(), self._refusals()
        self._full0 = self._times_full()
        self._peak0 = int(self._peak.read() or 0)
        self._memory0 = min(self._resident(self._settled()), int(self._memory.read() or 0))
        self._sampled_peak = 0

    def _settled(self) -> str:
        """The memory's figures, once what past runs shared is freed: the kernel does that late, and this run is not to pay."""
        until = time.monotonic() + _PATIENCE
        while True:
            text = self._stat.read()
            shared = _field(text, "shmem")
            if shared <= self._shared0 + _LEFT or time.monotonic() > until:
                self._shared0 = shared
                return text
            time.sleep(_PAUSE)

    def _cpu_seconds(self) -> float:
        text = self._cpu.read()
        return _field(text, "usage_usec") / 1e6 if self.v2 else int(text or 0) / 1e9

    def _oom_kills(self) -> int:
        return _field(self._oom.read(), "oom_kill")

    def _refusals(self) -> int:
        return _field(self._pids.read(), "max")

    def _times_full(self) -> int:
        return _field(self._oom.read(), "oom") if self.v2 else 0

    def sample(self) -> None:
        """Take a reading of the memory in use."""
        self._sampled_peak = max(self._sampled_peak, int(self._memory.read() or 0))

    def cpu_time(self) -> float:
        """CPU seconds of all processes since `start`."""
        return self._cpu_seconds() - self._cpu0

    def memory_peak(self) -> int:
        """Most bytes in use since `start` beyond what was there: exact where the run set a new mark, else the highest sample."""
        self.sample()
        peak = int(self._peak.read() or 0)
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
        limit = int(_File(f"{_ROOT}/memory/memory.limit_in_bytes").read() or 0)
        return int(self._peak.read() or 0) < limit - _LAST_BYTES

    def refused_forks(self) -> int:
        """Forks refused by the process limit since `start`."""
        return self._refusals() - self._pids0

    def resident(self) -> int:
        """Bytes of anonymous memory in use now: what stays when caches are dropped."""
        return self._resident(self._stat.read())

    def _resident(self, text: str) -> int:
        return _field(text, "anon" if self.v2 else "rss")
