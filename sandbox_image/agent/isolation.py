"""What a run is shut into: fresh namespaces and file systems first, then a filter that takes the means away again.

`enter` runs in a freshly cloned child that still has all capabilities within its own user namespace; `seal` drops them and
installs the filter, before any foreign code. The container around it stays as strict as it is without this.

Left out: limits of memory, processes and CPU. The container's cgroup and the agent hold those.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import NamedTuple

from .linux import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MACHINE,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    NAMESPACES,
    Filter,
    drop_capabilities,
    mount,
)

RUN = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
"""Namespaces of a candidate or a program."""
JUDGE = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS
"""Namespaces of a test side: its filter takes away sockets, SysV IPC and message queues, so it needs none for those."""

_UID = 10001
"""The user that a run is to itself. Outside each container has another, so that no two share what the kernel counts by user."""
_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC
_COVERED = ("/sys", "/dev/mqueue", "/dev/pts")
"""Places of the container that would show or keep something between runs."""
_FRESH = ("/box", "/dev/shm")
"""Places that a run may write to, empty when it begins."""


class Container(NamedTuple):
    """What a run's namespaces are made from: read before there are any, for inside it reads otherwise."""

    user: int
    group: int
    writable: tuple[tuple[str, int], ...]
    """Mounts whose files a run could change, with the flags that they must keep. `/dev` is one: its nodes have times."""


def container() -> Container:
    """The container as it is outside of all runs, whose engine mounts nothing at a place with a space in its name.

    Raises:
        OSError: the kernel does not say what is mounted.
    """
    writable = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        places = {line.split(" ", 5)[4] for line in file}
    for place in sorted(places):
        if _below(place, ("/proc", *_FRESH, *_COVERED)):
            continue
        with contextlib.suppress(OSError):  # whose place cannot be reached from here
            flags = os.statvfs(place).f_flag
            if not flags & MS_RDONLY:
                writable.append((place, flags & _QUIET))
    return Container(os.getuid(), os.getgid(), tuple(writable))


def _below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def enter(disk: int, outside: Container) -> None:
    """Map the user, mount fresh file systems of at most `disk` bytes each where a run may write, and make the rest read-only.

    Raises:
        OSError: the host refuses.
    """
    maps = (("setgroups", "deny"), ("uid_map", f"{_UID} {outside.user} 1"), ("gid_map", f"{_UID} {outside.group} 1"))
    for name, text in maps:
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    for place, flags in outside.writable:
        mount("none", place, "none", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)
    _fresh(disk, 0)
    for place in _COVERED:
        if os.path.isdir(place):
            mount("none", place, "tmpfs", MS_RDONLY | _QUIET, "size=4k,nr_inodes=1")
    try:
        mount("proc", "/proc", "proc", _QUIET, "subset=pid,hidepid=2")
    except OSError:  # masked by the engine, or an older kernel: live without
        mount("none", "/proc", "tmpfs", MS_RDONLY | _QUIET, "size=4k,nr_inodes=1")
    os.mkdir("/box/work", 0o700)
    os.mkdir("/box/tmp", 0o700)


def resize(disk: int) -> None:
    """Change what may be kept in the run's file systems, in bytes. Raises OSError."""
    _fresh(disk, MS_REMOUNT)


def _fresh(disk: int, flags: int) -> None:
    mount("none", "/box", "tmpfs", flags | MS_NOSUID | MS_NODEV, f"size={disk},nr_inodes=16384,mode=0700")
    mount("none", "/dev/shm", "tmpfs", flags | MS_NOSUID | MS_NODEV, f"size={min(disk, 64 << 20)},nr_inodes=4096,mode=0700")


def silence() -> None:
    """Leave this process nothing but its memory, the clocks, and the descriptors that it has. Any other system call kills it.

    Raises:
        OSError: the filter cannot be installed.
    """
    _QUIET_FILTER.install()


def seal(*, judge: bool = False, beside_agent: bool = False) -> None:
    """Give up every capability and every system call that could undo the isolation. Raises OSError.

    `beside_agent` says that the first process in sight is the agent: without namespaces it is. A program's init counts as one.
    """
    drop_capabilities()
    _FILTERS[judge, beside_agent].install()


# System call numbers: x86-64, aarch64.
_ATTACKS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "pidfd_getfd": (438, 438),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
}
"""No program that minds its own business calls these: whoever does is killed, and the agent sees the signal."""
_REFUSED = {
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),  # would show which files the test side opens
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
_REFUSED_TO_JUDGES = {
    "socket": (41, 198),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "mq_open": (240, 180),
}
_TO_THE_AGENT = {
    "prlimit64": (302, 261, 0),
    "sched_setaffinity": (203, 122, 0),
    "sched_setattr": (314, 274, 0),
    "sched_setparam": (142, 118, 0),
    "sched_setscheduler": (144, 119, 0),
    "setpriority": (141, 140, 1),
    "ioprio_set": (251, 30, 1),
}
"""What one process may do to another of its user, and which argument names that one. Not to the agent: with a limit of no CPU
time it would die, with the lowest priority it would come too late."""
_FCNTL = (72, 25)
_F_NOTIFY = 1026
"""Would show as `inotify` does which files the test side opens."""
_F_SET_RW_HINT, _F_SET_FILE_RW_HINT = 1036, 1038
"""Would leave a mark on a file that is only open for reading, on kernels that let every user do so."""
_QUIET_CALLS = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "select": (23, -1),
    "pselect6": (270, 72),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "close": (3, 57),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, -1),
    "times": (100, 153),
    "getrusage": (98, 165),
    "sched_yield": (24, 124),
    "getcwd": (79, 17),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
"""What computing takes. None of them names a file, a process, an address or anything else that another run could know."""
_CLONE = (56, 220)
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = 0 if MACHINE == "x86_64" else 1
_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _EPERM = 0x80000000, 0x7FFF0000, 0x00050001
_X32 = 0x40000000


def _word(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _own_architecture() -> list[bytes]:
    """Kill whoever calls in the manner of another architecture, and load the number of the call."""
    return [
        _word(_LOAD, 0, 0, 4),
        _word(_JUMP_EQ, 1, 0, _ARCHITECTURE.get(MACHINE, 0)),
        _word(_RETURN, 0, 0, _KILL),
        _word(_LOAD, 0, 0, 0),
        _word(_JUMP_GE, 0, 1, _X32),
        _word(_RETURN, 0, 0, _KILL),
    ]


def _assemble_quiet() -> bytes:
    allowed = [row[_COLUMN] for row in _QUIET_CALLS.values() if row[_COLUMN] >= 0]
    tests = [_word(_JUMP_EQ, len(allowed) - place, 0, number) for place, number in enumerate(allowed)]
    return b"".join([*_own_architecture(), *tests, _word(_RETURN, 0, 0, _KILL), _word(_RETURN, 0, 0, _ALLOW)])


def _assemble(refused: dict[str, tuple[int, int]], *, beside_agent: bool) -> bytes:
    """The filter as classic BPF. Everything else was decided by the container's own profile."""
    attacks = [row[_COLUMN] for row in _ATTACKS.values() if row[_COLUMN] >= 0]
    errors = [row[_COLUMN] for row in refused.values() if row[_COLUMN] >= 0]
    body = [
        (_CLONE[_COLUMN], "clone"),
        (_FCNTL[_COLUMN], "fcntl"),
        *((nr, "kill") for nr in attacks),
        *((nr, "errno") for nr in errors),
    ]
    if beside_agent:
        body += [(row[_COLUMN], f"agent {row[2]}") for row in _TO_THE_AGENT.values()]
    program = _own_architecture()
    count = len(body)
    for index, (number, action) in enumerate(body):
        left = count - index - 1  # comparisons between this one and the tail
        target = {"allow": 0, "errno": 1, "kill": 2, "clone": 3, "agent 0": 7, "agent 1": 11, "fcntl": 17}[action]
        program.append(_word(_JUMP_EQ, left + target, 0, number))
    program += [
        _word(_RETURN, 0, 0, _ALLOW),
        _word(_RETURN, 0, 0, _EPERM),
        _word(_RETURN, 0, 0, _KILL),
        _word(_LOAD, 0, 0, 16),  # low half of clone's first argument
        _word(_JUMP_SET, 0, 1, NAMESPACES & 0xFFFFFFFF),
        _word(_RETURN, 0, 0, _KILL),
        _word(_RETURN, 0, 0, _ALLOW),
        _word(_LOAD, 0, 0, 16),
        _word(_JUMP_EQ, 0, 1, 1),  # the first process
        _word(_RETURN, 0, 0, _EPERM),
        _word(_RETURN, 0, 0, _ALLOW),
        _word(_LOAD, 0, 0, 24),
        _word(_JUMP_EQ, 2, 0, 1),  # the first process, or its group
        _word(_LOAD, 0, 0, 16),
        _word(_JUMP_GE, 0, 1, 2),  # all processes of a user
        _word(_RETURN, 0, 0, _EPERM),
        _word(_RETURN, 0, 0, _ALLOW),
        _word(_LOAD, 0, 0, 24),  # what fcntl is asked for
        _word(_JUMP_EQ, 2, 0, _F_NOTIFY),
        _word(_JUMP_EQ, 1, 0, _F_SET_RW_HINT),
        _word(_JUMP_EQ, 0, 1, _F_SET_FILE_RW_HINT),
        _word(_RETURN, 0, 0, _EPERM),
        _word(_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(program)


_QUIET_FILTER = Filter(_assemble_quiet())
_FILTERS = {
    (judge, beside_agent): Filter(_assemble(_REFUSED | (_REFUSED_TO_JUDGES if judge else {}), beside_agent=beside_agent))
    for judge in (False, True)
    for beside_agent in (False, True)
}
"""For a program or a test side, with the agent in sight or without."""
