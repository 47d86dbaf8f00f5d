"""Runs in a sandbox: a filter for system calls that leaves a test process nothing that would outlive it, and nothing to look at.

Tests run once for each mutant, each time in a fresh process. A test module that could leave a word for its next self could
compare mutants with each other and report the odd ones without knowing what is right. Words can be left in files, in their times,
in the page cache, in locks, in flags of descriptors, in the numbers of processes and threads. So there are three rules:

- No names: no call that takes a path. What tests import, their zygote has imported.
- No numbers of the machine: no threads, no process ids, no counts of faults or of memory.
- Descriptors are the run's own, opened for it (`own_descriptors`), and `fcntl` and `ioctl` can do with them what asyncio needs.

Left out: hiding other processes. They are not dumpable, so their memory, files and descriptors are closed to their own user. And
clocks, which a filter cannot take away: the runner waits for a random time before each run.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct

WATCH, FUNCTION, REPORT = 3, 4, 5
"""Descriptors of a test process, beside /dev/null as 0 to 2: what it is watched by, the function, and its report."""

# x86-64, aarch64; -1 where there is none.
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "getcwd": (79, 17),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "memfd_create": (319, 279),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "dup": (32, 23),
    "pipe": (22, -1),
    "pipe2": (293, 59),
    "eventfd2": (290, 19),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "getsockopt": (55, 209),
    "getsockname": (51, 204),
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
    "uname": (63, 160),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getrandom": (318, 278),
    "futex": (202, 98),
    "rseq": (334, 293),
    "arch_prctl": (158, -1),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_NAMELESS = {"getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178)}
"""They answer 0: numbers of processes count what happened before."""
_NOT_OF_THE_WATCH = {"close": (3, 57), "shutdown": (48, 210)}
"""Allowed but for the descriptor of the watch."""
_BY_REQUEST = {
    "fcntl": ((72, 25), (1, 2, 3, 4, 1030)),  # F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
    "ioctl": ((16, 29), (0x5421, 0x5450, 0x5451)),  # FIONBIO, FIONCLEX, FIOCLEX
}
"""Allowed with these second arguments: no locks, owners, signals, leases, sizes of pipes."""
_MACHINE = platform.machine()
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = 0 if _MACHINE == "x86_64" else 1
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ZERO, _EPERM, _KILL = 0x7FFF0000, 0x00050000, 0x00050001, 0x80000000
_FIRST, _SECOND = 16, 24
"""Where the low halves of the first two arguments stand."""
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


def _by_argument(number: int, place: int, values: tuple[int, ...], *, if_among: int, otherwise: int) -> list[bytes]:
    """Decide a system call by one of its arguments."""
    compared = [_word(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    body = [_word(_LOAD, 0, 0, place), *compared, _word(_RETURN, 0, 0, otherwise), _word(_RETURN, 0, 0, if_among)]
    return [_word(_EQUAL, 0, len(body), number), *body]


def _program() -> bytes:
    words = [
        _word(_LOAD, 0, 0, 4),
        _word(_EQUAL, 1, 0, _ARCHITECTURE.get(_MACHINE, 0)),
        _word(_RETURN, 0, 0, _KILL),
        _word(_LOAD, 0, 0, 0),
    ]
    for answer, rows in ((_ALLOW, _ALLOWED), (_ZERO, _NAMELESS)):
        for row in rows.values():
            if row[_COLUMN] >= 0:
                words += [_word(_EQUAL, 0, 1, row[_COLUMN]), _word(_RETURN, 0, 0, answer)]
    for row in _NOT_OF_THE_WATCH.values():
        words += _by_argument(row[_COLUMN], _FIRST, (WATCH,), if_among=_EPERM, otherwise=_ALLOW)
    for row, requests in _BY_REQUEST.values():
        words += _by_argument(row[_COLUMN], _SECOND, requests, if_among=_ALLOW, otherwise=_EPERM)
    return b"".join([*words, _word(_RETURN, 0, 0, _EPERM)])


_FILTER = _program()


def shut() -> None:
    """Give up every system call that would leave something behind. Raises OSError."""
    buffer = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    program = struct.pack("@HP", len(_FILTER) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), program)


def own_descriptors(watch: int, function: int, report: int) -> None:
    """Leave this process these three under their fixed numbers, and a /dev/null of its own. Raises OSError.

    Descriptors that came with the fork would be the same open files in each run: their positions and flags outlive it.
    """
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (watch, function, report)]
    for fd in (0, 1, 2):
        fresh = os.open(os.devnull, os.O_RDWR)
        os.dup2(fresh, fd)
        if fresh > REPORT:
            os.close(fresh)
    for fd, given in zip((WATCH, FUNCTION, REPORT), high, strict=True):
        os.dup2(given, fd, inheritable=False)
    os.closerange(REPORT + 1, 1 << 20)
