"""Which process something belongs to, so that what a crash left behind is not taken for what is in use.

Read from /proc. Where there is none, nobody is said to be gone.

Left out: ending processes.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def owner() -> str:
    """This process in words: machine, pid and start time, so that a reused pid is recognised."""
    return f"{_machine()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_alive(who: str) -> bool:
    """Whether the process that `owner` named may still be there. One of another machine may, and so may one that is not named."""
    machine, _, rest = who.partition(":")
    pid, _, started = rest.partition(":")
    if machine != _machine() or not Path("/proc/self/stat").exists():
        return True
    return pid.isdigit() and bool(started) and _start_time(int(pid)) == started


def _machine() -> str:
    """The space in which a pid means one process: this boot, and this PID namespace (an orchestrator may be a container)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname().replace(":", ".")


def _start_time(pid: int) -> str:
    """In clock ticks since boot; empty where no such process runs. One that only waits to be buried runs no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
