"""Runs inside a sandbox: tries one wall of it, named by the first argument, and prints the holes as JSON.

`census` prints no holes but all that is to be seen, as `{what: value}`: two of them, with `disturb` between, must be the same.

Nobody hostile wrote this, so what it prints may be believed. Standard library only, and no import that another run could have
left behind would change what it does.
"""

# What is opened here is there to be refused, and paths are what the kernel says.
# ruff: noqa: PTH101, PTH103, PTH109, PTH111, PTH113, PTH123, PTH208, SIM115

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import platform
import resource
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

MARK = "fumehood-planted"
"""In the name or content of everything that `plant` leaves behind."""
KEY = 0x66756D65
"""Of the System V objects."""
_libc = ctypes.CDLL(None, use_errno=True)
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)

# name: (x86-64, arm64, arguments that would do something, or at least get another answer, where the call is allowed)
_SYSTEM_CALLS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "unshare of a user namespace": (272, 97, (0x10000000,)),
    "unshare of a network namespace": (272, 97, (0x40000000,)),
    "unshare of a mount namespace": (272, 97, (0x00020000,)),
    "clone into a user namespace": (56, 220, (0x10000000 | 17,)),
    "clone3": (435, 435, (0, 0)),
    "setns": (308, 268, (0, 0)),
    "mount": (165, 40, ()),
    "umount2": (166, 39, ()),
    "pivot_root": (155, 41, ()),
    "fsopen": (430, 430, ()),
    "move_mount": (429, 429, ()),
    "open_tree": (428, 428, ()),
    "mount_setattr": (442, 442, ()),
    "ptrace": (101, 117, (0,)),
    "process_vm_readv": (310, 270, (1,)),
    "process_vm_writev": (311, 271, (1,)),
    "kcmp": (312, 272, (1, 1)),
    "pidfd_getfd": (438, 438, (0, 0, 0)),
    "keyctl": (250, 219, ()),
    "add_key": (248, 217, ()),
    "request_key": (249, 218, ()),
    "bpf": (321, 280, ()),
    "perf_event_open": (298, 241, ()),
    "userfaultfd": (323, 282, ()),
    "io_uring_setup": (425, 425, (1,)),
    "open_by_handle_at": (304, 265, ()),
    "kexec_load": (246, 104, ()),
    "init_module": (175, 105, ()),
    "swapon": (167, 224, ()),
    "acct": (163, 89, ()),
    "sethostname": (170, 161, ()),
    "a call from the future": (600, 600, ()),
}


def _fails(action: Callable[..., object], *arguments: Any) -> bool:
    """Whether the system refuses."""
    try:
        found = action(*arguments)
    except OSError:
        return True
    if isinstance(found, socket.socket):
        found.close()
    return False


def _opens(path: str, flags: int) -> bool:
    return not _fails(lambda: os.close(os.open(path, flags)))


def network() -> Iterator[str]:
    """Interfaces, ways out, and the listeners of the host that the arguments name: a TCP port and an abstract socket."""
    with contextlib.suppress(OSError):
        names = [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]]
        yield from (f"the interface {name}" for name in names if name != "lo")
    port, abstract = (int(sys.argv[2]), sys.argv[3]) if len(sys.argv) > 3 else (22, "")
    places = [("1.1.1.1", 53), ("8.8.8.8", 443), ("169.254.169.254", 80), ("172.17.0.1", port), ("127.0.0.1", port)]
    for host, number in places:
        if not _fails(socket.create_connection, (host, number), 2):
            yield f"a connection to {host}:{number}"
    if abstract:
        with socket.socket(socket.AF_UNIX) as unix:
            if not _fails(unix.connect, "\0" + abstract):
                yield "an abstract socket of the host"
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("8.8.8.8", 53))
        yield "a datagram to 8.8.8.8"
    kinds = {"raw": (socket.AF_INET, socket.SOCK_RAW, 1), "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0)}
    for name, kind in kinds.items():
        if not _fails(socket.socket, *kind):
            yield f"a {name} socket"
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
        with socket.socket(socket.AF_UNIX) as unix:
            if not _fails(unix.connect, path):
                yield f"the engine's socket {path}"


def _own_places() -> set[str]:
    return {"/box", "/tmp", "/dev/shm", "/dev/mqueue", os.path.expanduser("~"), os.getcwd(), tempfile.gettempdir()}


def _below(path: str, places: set[str]) -> bool:
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def root() -> Iterator[str]:
    """Folders and programs outside of the run's own places that can be written."""
    own = _own_places()
    for folder, folders, files in os.walk("/"):
        if folder.startswith(("/proc", "/sys")) or (_below(folder, own) and folder != "/"):
            folders.clear()
            continue
        if folder.count("/") >= 4:
            folders.clear()
        if _opens(f"{folder}/{MARK}", os.O_CREAT | os.O_WRONLY):
            yield f"the folder {folder} can be written"
        for name in files[:50]:
            path = f"{folder}/{name}"
            with contextlib.suppress(OSError):
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                    yield f"{path} raises privileges"
                elif stat.S_ISREG(mode) and _opens(path, os.O_WRONLY | os.O_APPEND):
                    yield f"{path} can be written"
    for name, mode, number in (("block", stat.S_IFBLK, os.makedev(8, 0)), ("memory", stat.S_IFCHR, os.makedev(1, 1))):
        if not _fails(os.mknod, f"{MARK}-{name}", mode | 0o600, number):
            yield f"a {name} device can be made"


def privileges() -> Iterator[str]:
    """User, capabilities, no-new-privileges and the seccomp filter."""
    if not all((*os.getresuid(), *os.getresgid(), *os.getgroups())):
        yield "user or group 0"
    # /proc may be covered, so the kernel is asked directly as well.
    if _libc.prctl(39, 0, 0, 0, 0) != 1:  # PR_GET_NO_NEW_PRIVS
        yield "setuid programs would work"
    if _libc.prctl(21, 0, 0, 0, 0) != 2:  # PR_GET_SECCOMP
        yield "no seccomp filter"
    held = [number for number in range(64) if _libc.prctl(23, number, 0, 0, 0) == 1]  # PR_CAPBSET_READ
    if held:
        yield f"the bounding set has {len(held)} capabilities"
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if _libc.capget(header, data) == 0 and any(data):
        yield "capabilities are held"
    with contextlib.suppress(OSError):
        rows = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
        yield from (f"{name} is {rows[name].strip()}" for name in rows if name.startswith("Cap") and int(rows[name], 16))
    for name, action in (("user", os.setuid), ("group", os.setgid)):
        if not _fails(action, 0):
            yield f"setting the {name} works"
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_CPU):
        _, hard = resource.getrlimit(what)
        if hard == resource.RLIM_INFINITY:
            yield f"the limit {what} is off"
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        yield "core dumps can be switched on"


def system_calls() -> Iterator[str]:
    """Calls that programs do not need and attackers do, each from a child of its own: a filter may answer by killing."""
    column = {"x86_64": 0, "aarch64": 1}.get(platform.machine())
    if column is None:
        yield f"the system calls of {platform.machine()} are not known here"
        return
    for name, call in _SYSTEM_CALLS.items():
        pid = os.fork()
        if pid == 0:
            arguments = (*call[2], 0, 0, 0, 0, 0, 0)[:6]
            answer = _libc.syscall(call[column], *(ctypes.c_ulong(value) for value in arguments))
            os._exit(0 if answer == -1 and ctypes.get_errno() in _REFUSED else 1)
        status = os.waitpid(pid, 0)[1]
        if not (status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSYS, signal.SIGKILL))):
            yield name


def kernel() -> Iterator[str]:
    """Files of /proc and /sys that can be opened for writing, outside of the run's own."""
    for place in ("/proc/sys", "/sys", "/proc/irq", "/proc/bus", "/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg"):
        paths = [place] if os.path.isfile(place) else []
        for folder, folders, files in os.walk(place):
            if folder.count("/") >= 6:
                folders.clear()
            paths += [f"{folder}/{name}" for name in files]
        for path in paths[:20000]:
            if os.access(path, os.W_OK) and _opens(path, os.O_WRONLY):
                yield f"{path} can be written"
    for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/proc/kcore"):
        if _opens(path, os.O_RDONLY):
            yield f"{path} can be opened"


def _others() -> list[int]:
    """What is to be seen of processes beside this one. Ended ones that nobody has reaped yet are nothing any more."""
    with contextlib.suppress(OSError):
        found = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}
        return [pid for pid in sorted(found) if _field(pid, "stat").rpartition(")")[2].split()[:1] != ["Z"]]
    return []


def _field(pid: int, name: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", errors="replace") as file:
        return file.read()
    return ""


def processes() -> Iterator[str]:
    """Other processes than this one, its parent and PID 1."""
    yield from (f"the process {pid}" for pid in _others() if pid not in (1, os.getppid()))


def agent() -> Iterator[str]:
    """What can be learnt from or done to whatever other processes are to be seen, and descriptors of theirs."""
    for pid in _others():
        for name in ("mem", "environ", "fd", "maps", "root", "cwd", "exe", "stack", "io"):
            path = f"/proc/{pid}/{name}"
            read = os.listdir if name in ("fd", "root", "cwd") else os.readlink if name == "exe" else _read_some
            if not _fails(read, path):
                yield f"{path} can be read"
        if not _fails(os.pidfd_open, pid) and not _fails(_take_descriptor, pid):
            yield f"a descriptor of process {pid} can be taken"
    open_now = [fd for fd in range(3, 1024) if not _fails(os.fstat, fd)]
    if open_now:
        yield f"inherited descriptors {open_now}"


def _take_descriptor(pid: int) -> None:
    if _libc.syscall(438, os.pidfd_open(pid), 0, 0) < 0:  # pidfd_getfd
        raise OSError(ctypes.get_errno(), "refused")


def _read_some(path: str) -> bytes:
    with open(path, "rb") as file:
        if not (data := file.read(1)):
            raise OSError("nothing to read")
        return data


def environment() -> Iterator[str]:
    """Variables beyond the few that a program needs, and modules of the agent."""
    yield from (f"the variable {name}" for name in os.environ if name not in {"HOME", "LANG", "PATH", "TMPDIR", "LC_CTYPE"})
    ours = [
        name
        for name, module in list(sys.modules.items())
        if name != "__main__" and str(getattr(module, "__file__", "")).startswith("/opt/agent")
    ]
    yield from (f"the agent's module {name}" for name in ours)


def plant() -> Iterator[str]:
    """Leave behind whatever can be left: files, System V objects, a socket, and processes that outlive this one."""
    for place in sorted(_own_places() | {"/var/tmp", "/run", "/run/lock", "/"}):
        with contextlib.suppress(OSError):
            open(f"{place}/{MARK}", "w").write(MARK)
            os.makedirs(f"{place}/.{MARK}/deep", exist_ok=True)
    for name in ("random.py", "sitecustomize.py", "conftest.py", "json.py"):
        for place in (os.getcwd(), os.path.expanduser("~")):
            with contextlib.suppress(OSError):
                open(f"{place}/{name}", "w").write(f"print({MARK!r})\n")
    _libc.shmget(KEY, 4096, 0o1600)
    _libc.semget(KEY, 1, 0o1600)
    _libc.msgget(KEY, 0o1600)
    _libc.mq_open(f"/{MARK}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            for fd in range(3):
                os.close(fd)
            _libc.prctl(15, MARK.encode(), 0, 0, 0)  # PR_SET_NAME
            server = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                server.bind("\0" + MARK)
                server.listen()
            time.sleep(600)
        os._exit(0)
    time.sleep(0.2)
    yield from ()


def look() -> Iterator[str]:
    """What an earlier run planted."""
    for place in sorted(_own_places() | {"/var/tmp", "/run", "/"}):
        for folder, folders, files in os.walk(place):
            if folder.startswith(("/proc", "/sys")) or folder.count("/") > 6:
                folders.clear()
                continue
            yield from (f"{folder}/{name}" for name in [*files, *folders] if MARK in name)
    yield from (f"a planted {name}" for name in os.listdir(".") if name in ("random.py", "sitecustomize.py", "json.py"))
    objects = {
        "shared memory": _libc.shmget(KEY, 0, 0),
        "semaphores": _libc.semget(KEY, 0, 0),
        "a message queue": _libc.msgget(KEY, 0),
        "a POSIX message queue": _libc.mq_open(f"/{MARK}".encode(), os.O_RDONLY),
    }
    yield from (f"System V or POSIX {name}" for name, answer in objects.items() if answer != -1)
    with socket.socket(socket.AF_UNIX) as client:
        if not _fails(client.connect, "\0" + MARK):
            yield "an abstract socket"
    yield from (f"the process {pid}" for pid in _others() if _field(pid, "comm").strip() == MARK[:15])


_TIMELESS = ("/proc", "/sys", "/dev/pts", "/dev/mqueue")
"""Mounted for the run, as its own places are: what is in them is compared, not when it was made."""
_MADE = ("/", "/.dockerenv", "/etc", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf")
"""By the engine, with each container."""
_MOVING = """
/proc/buddyinfo /proc/cgroups /proc/diskstats /proc/dynamic_debug/ /proc/fs/ /proc/interrupts /proc/key-users /proc/loadavg
/proc/locks /proc/meminfo /proc/mounts /proc/net /proc/pagetypeinfo /proc/pressure/ /proc/schedstat /proc/slabinfo
/proc/softirqs /proc/stat /proc/swaps /proc/sys/fs/aio-nr /proc/sys/fs/dentry-state /proc/sys/fs/file-nr /proc/sys/fs/inode-
/proc/sys/fs/quota/ /proc/sys/kernel/ns_last_pid /proc/sys/kernel/pty/nr /proc/sys/kernel/random/ /proc/timer_list
/proc/uptime /proc/vmallocinfo /proc/vmstat /proc/zoneinfo
/sys/block/ /sys/devices/ /sys/firmware/ /sys/fs/ /sys/kernel/ /sys/module/"""
"""What of /proc and /sys is not compared: it speaks of the whole host, and advances with everything that happens there."""


def _facts(path: str, *, timeless: bool) -> str:
    """All that stat says of a file, and its extended attributes."""
    info = os.lstat(path)
    facts: list[Any] = [info.st_mode, "own" if info.st_uid == os.getuid() else info.st_uid, info.st_gid, info.st_rdev]
    if not timeless:
        facts += [info.st_nlink, info.st_size, info.st_ino, info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns]
    with contextlib.suppress(OSError):
        names = os.listxattr(path, follow_symlinks=False)
        facts += [(name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in names]
    return repr(facts)


def _in_own_container() -> bool:
    """Whether the container ends with this run: then what was made with it is this run's."""
    return sys.argv[2:] == ["container"]


def _everything() -> Iterator[tuple[str, bool]]:
    """Everything outside of /proc and /sys, folders included, and whether it was made for this run."""
    root, fresh = os.lstat("/").st_dev, _in_own_container()
    timeless = _own_places() | set(_TIMELESS)
    for folder, folders, files in os.walk("/"):
        if folder in ("/proc", "/sys"):
            folders.clear()
            continue
        with contextlib.suppress(OSError):
            own = _below(folder, timeless) or (fresh and os.lstat(folder).st_dev != root)
            for path in (folder, *(f"{folder.rstrip('/')}/{name}" for name in files)):
                yield path, own or (fresh and path in _MADE) or _below(os.path.realpath(path), timeless)


def census() -> Iterator[tuple[str, str]]:
    """What is to be seen of files, of the kernel, and of what a process is given."""
    digests: dict[str, Any] = {}
    image = os.lstat("/").st_dev
    for path, timeless in _everything():
        with contextlib.suppress(OSError):
            facts = _facts(path, timeless=timeless)
            if os.lstat(path).st_dev == image and path.count("/") > 2:  # too many to report one by one
                digest = digests.setdefault("/".join(path.split("/")[:3]), hashlib.sha256())
                digest.update(f"{path}{facts}".encode("utf-8", "replace"))
            else:
                yield path, facts
    yield from ((f"{place}/**", digest.hexdigest()) for place, digest in digests.items())
    for place in ("/proc", "/sys"):
        for folder, folders, files in os.walk(place):
            folders[:] = [name for name in folders if not name.isdigit()]  # processes: `processes` and `agent` look at them
            for path in (f"{folder}/{name}" for name in files):
                if not path.startswith(tuple(_MOVING.split())):
                    with contextlib.suppress(OSError):
                        yield path, hashlib.sha256(_head(path)).hexdigest()[:16]
    yield from _given()


def _head(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


def _given() -> Iterator[tuple[str, str]]:
    """What this process was started with, and the numbers that the next ones get."""
    for name in (name for name in dir(resource) if name.startswith("RLIMIT_")):
        yield name, repr(resource.getrlimit(getattr(resource, name)))
    process = {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": os.sched_getscheduler(0),
        "processors": sorted(os.sched_getaffinity(0)),
        "umask": os.umask(0o077),
        "groups": os.getgroups(),
        "leads session and group": (os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()),
        "timer slack": _libc.prctl(30, 0, 0, 0, 0),  # PR_GET_TIMERSLACK
        "signals ignored": [number for number in range(1, 32) if signal.getsignal(number) is signal.SIG_IGN],
        "signals blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "host": platform.uname()[:4],
        "streams": [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in range(3)],
        "input": _facts("/dev/stdin", timeless=True),
    }
    yield from ((name, repr(value)) for name, value in process.items())
    for name, call in (("shared memory", _libc.shmget), ("semaphores", _libc.semget)):
        number = call(0, 1, 0o1600)
        yield f"number of {name}", str(number)
    yield "number of a message queue", str(_libc.msgget(0, 0o1600))
    if not _in_own_container():  # there the agent's processes are numbered too
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        yield "number of a child after this process", str(pid - os.getpid())
    with contextlib.suppress(OSError), socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield "a port was given", str(server.getsockname()[1] > 0)
    for place in (tempfile.gettempdir(), "/dev/shm"):
        with tempfile.TemporaryFile(dir=place) as file:
            yield f"inode number of a new file in {place}", str(os.fstat(file.fileno()).st_ino)


_CHANGES: tuple[Callable[[str], object], ...] = (
    os.utime,
    lambda path: os.utime(path, (1, 1)),
    lambda path: os.chmod(path, 0o777),
    lambda path: os.setxattr(path, "user.mark", b"x"),
)


def disturb() -> Iterator[str]:
    """Change whatever can be changed of what a later run may see: times, modes, attributes, hints, locks, numbers, settings."""
    for path, own in _everything():
        if not own and not all([_fails(change, path) for change in _CHANGES]):  # noqa: C419 - all are tried
            yield f"the metadata of {path} can be changed"
        if not stat.S_ISREG(os.lstat(path).st_mode) or path.count("/") < 3:
            _touch(path)
    settings: tuple[Callable[[], object], ...] = (
        lambda: os.nice(5),
        lambda: os.sched_setaffinity(0, {0}),
        lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        lambda: fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK),
        lambda: fcntl.fcntl(1, fcntl.F_SETFL, os.O_APPEND),
    )
    for setting in settings:
        _fails(setting)
    os.umask(0)
    for number in range(50):
        _libc.shmget(0, 4096, 0o1600)
        _libc.semget(0, 1, 0o1600)
        _libc.msgget(0, 0o1600)
        _libc.mq_open(f"/{MARK}{number}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
        if os.fork() == 0:
            os._exit(0)
        os.wait()


def _touch(path: str) -> None:
    """Read it, write nothing to it, hint at its use, and lock it."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        actions: tuple[Callable[[], object], ...] = (
            lambda: os.read(fd, 1),
            lambda: os.listdir(fd),
            lambda: fcntl.fcntl(fd, 1036, (4).to_bytes(8, "little")),  # F_SET_RW_HINT
            lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)),
        )
        for action in actions:
            _fails(action)
        os.close(fd)


WALLS: dict[str, Callable[[], Iterator[str]]] = {
    function.__name__: function
    for function in (network, root, privileges, system_calls, kernel, processes, agent, environment, plant, look, disturb)
}


def main() -> None:
    """Try the wall and report."""
    wall = sys.argv[1]
    if wall == "census":
        print(json.dumps(dict(census())))
        return
    answer: dict[str, Any] = {"wall": wall, "holes": list(WALLS[wall]())[:50]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
