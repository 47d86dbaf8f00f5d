"""The few system calls of Linux that Python 3.11 has no function for, through libc.

Left out: what they are used for. That is `isolation.py` and `zygote.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct

CLONE_PARENT = 0x8000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080
NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME
)
"""All flags of clone(2) that make a namespace."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 1 << 12, 1 << 14, 1 << 18

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_GET_TID_ADDRESS = 4, 22, 24, 36, 40
_SECCOMP_MODE_FILTER = 2
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25
_HUGE = 2 << 20

MACHINE = os.uname().machine
_CLONE = {"x86_64": 56, "aarch64": 220}.get(MACHINE, -1)
_CAPSET = {"x86_64": 126, "aarch64": 91}.get(MACHINE, -1)

_libc = ctypes.CDLL(None, use_errno=True)
# This one keeps the interpreter's lock during the call, so that a cloned child owns it as its parent does.
_locked = ctypes.PyDLL(None, use_errno=True)
_locked.syscall.restype = ctypes.c_long
_libc.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def prctl(option: int, one: int = 0, two: int = 0) -> None:
    """prctl(2). Raises OSError."""
    _check(_libc.prctl(option, one, two, 0, 0), "prctl")


def _own_tid_address() -> int:
    """Where libc keeps the thread id of this thread: fork() renews it, and so must a raw clone."""
    address = ctypes.c_ulong()
    if _libc.prctl(PR_GET_TID_ADDRESS, ctypes.addressof(address), 0, 0, 0) == 0:
        return address.value
    return 0


def clone(flags: int) -> int:
    """fork() with flags of clone(2): 0 in the child, its pid in the parent. For processes with one thread.

    Unshare and fork would take two forks to a fresh PID namespace; this takes one.

    Raises:
        OSError: the kernel refuses.
    """
    if _CLONE < 0:
        raise OSError(38, f"clone is not known for {MACHINE}")
    tid = _own_tid_address()
    if tid:
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    # x86-64: flags, stack, parent_tid, child_tid, tls; aarch64: flags, stack, parent_tid, tls, child_tid.
    last = (tid, 0) if MACHINE == "x86_64" else (0, tid)
    api = ctypes.pythonapi
    api.PyOS_BeforeFork()
    pid = _locked.syscall(
        ctypes.c_long(_CLONE),
        ctypes.c_ulong(flags | signal.SIGCHLD),
        ctypes.c_void_p(0),
        ctypes.c_void_p(0),
        ctypes.c_void_p(last[0]),
        ctypes.c_void_p(last[1]),
    )
    code = ctypes.get_errno()
    if pid == 0:
        api.PyOS_AfterFork_Child()
        return 0
    api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(code, f"clone: {os.strerror(code)}")
    return int(pid)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode() or None)
    _check(result, f"mount {target}")


def drop_capabilities() -> None:
    """Give up all capabilities of this thread, for good: it has no-new-privileges set. Raises OSError."""
    with contextlib.suppress(OSError):  # EPERM where there is no capability to begin with, EINVAL after the last one
        for number in range(64):
            prctl(PR_CAPBSET_DROP, number)
    header = struct.pack("=Ii", 0x20080522, 0)  # version 3, this thread
    _check(_libc.syscall(ctypes.c_long(_CAPSET), header, bytes(24)), "capset")


class Filter:
    """A seccomp filter: `program` is an array of struct sock_filter. Laid out once, before any fork."""

    def __init__(self, program: bytes) -> None:
        self._program = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("@HP", len(program) // 8, ctypes.addressof(self._program))
        self._header = ctypes.create_string_buffer(header, len(header))
        self._address = ctypes.addressof(self._header)

    def install(self) -> None:
        """Put it over this process for good. Raises OSError."""
        prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._address)


def collapse_memory() -> int:
    """Put this process's writable anonymous memory into huge pages; return how many bytes were.

    fork() copies one entry for a huge page in place of 512, so a process with PyTorch imported forks ten times faster.
    Where the kernel has no MADV_COLLAPSE (before 6.1) nothing happens.
    """
    done = 0
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        lines = file.readlines()
    for line in lines:
        fields = line.split()
        if not fields[1].startswith("rw") or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        begin, end = (int(part, 16) for part in fields[0].split("-"))
        begin, end = -(-begin // _HUGE) * _HUGE, end // _HUGE * _HUGE
        if begin >= end:
            continue
        where, size = ctypes.c_void_p(begin), ctypes.c_size_t(end - begin)
        _libc.madvise(where, size, _MADV_HUGEPAGE)
        if _libc.madvise(where, size, _MADV_COLLAPSE) == 0:
            done += end - begin
    return done
