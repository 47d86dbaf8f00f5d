"""Runs in a sandbox: a filter for system calls that leaves a test process nothing that would outlive it.

Tests run once for each mutant, each time in a fresh process. A test module that could leave a word for its next self (a file, a
process, a signal, a priority) could compare mutants with each other and report the odd ones without knowing what is right.
So all is refused but what a computation needs: memory, threads, reading files, its own descriptors.

Left out: hiding other processes. They are not dumpable, so their memory, files and descriptors are closed to their own user.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

# x86-64, aarch64; -1 where there is none.
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "close": (3, 57),
    "stat": (4, -1),
    "lstat": (6, -1),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "lseek": (8, 62),
    "access": (21, -1),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "getdents64": (217, 61),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "mincore": (27, 232),
    "membarrier": (324, 283),
    "memfd_create": (319, 279),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "ioctl": (16, 29),
    "dup": (32, 23),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "pipe": (22, -1),
    "pipe2": (293, 59),
    "eventfd2": (290, 19),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "getsockopt": (55, 209),
    "getsockname": (51, 204),
    "shutdown": (48, 210),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, -1),
    "epoll_pwait": (281, 22),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "select": (23, -1),
    "pselect6": (270, 72),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, -1),
    "times": (100, 153),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "umask": (95, 166),
    "getrandom": (318, 278),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "arch_prctl": (158, -1),
    "set_tid_address": (218, 96),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_CLONE3 = (435, 435)
_CLONE = (56, 220)
_OPEN = (2, -1)
_OPENAT = (257, 56)
_CLONE_THREAD = 0x10000
_MACHINE = platform.machine()
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = 0 if _MACHINE == "x86_64" else 1
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *args: object) -> None:
    if _libc.prctl(option, *args, *([ctypes.c_ulong(0)] * (4 - len(args)))) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl: {os.strerror(code)}")


def hide() -> None:
    """Close this process, and what it forks, to other processes of the same user. Raises OSError."""
    _prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))


def _word(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _conditional(number: int, argument: int, flags: int, *, if_set: int, otherwise: int) -> list[bytes]:
    """Decide a system call by the flags in one of its arguments."""
    if number < 0:
        return []
    return [
        _word(_EQUAL, 0, 4, number),
        _word(_LOAD, 0, 0, 16 + 8 * argument),
        _word(_SET, 0, 1, flags),
        _word(_RETURN, 0, 0, if_set),
        _word(_RETURN, 0, 0, otherwise),
    ]


def _program() -> bytes:
    words = [
        _word(_LOAD, 0, 0, 4),
        _word(_EQUAL, 1, 0, _ARCHITECTURE.get(_MACHINE, 0)),
        _word(_RETURN, 0, 0, _KILL),
        _word(_LOAD, 0, 0, 0),
        *_conditional(_OPEN[_COLUMN], 1, _WRITING, if_set=_EPERM, otherwise=_ALLOW),
        *_conditional(_OPENAT[_COLUMN], 2, _WRITING, if_set=_EPERM, otherwise=_ALLOW),
        *_conditional(_CLONE[_COLUMN], 0, _CLONE_THREAD, if_set=_ALLOW, otherwise=_EPERM),
        _word(_EQUAL, 0, 1, _CLONE3[_COLUMN]),
        _word(_RETURN, 0, 0, _ENOSYS),  # the C library then uses clone, whose flags can be seen
    ]
    for row in _ALLOWED.values():
        if row[_COLUMN] >= 0:
            words += [_word(_EQUAL, 0, 1, row[_COLUMN]), _word(_RETURN, 0, 0, _ALLOW)]
    return b"".join([*words, _word(_RETURN, 0, 0, _EPERM)])


_FILTER = _program()


def shut() -> None:
    """Give up every system call that would leave something behind. Raises OSError."""
    buffer = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    program = struct.pack("@HP", len(_FILTER) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), program)
