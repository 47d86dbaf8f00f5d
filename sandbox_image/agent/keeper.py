"""A process that waits to become a command, and the one that keeps what comes of it together.

A command may start processes that leave its group, its session and their own parents. They cannot leave their keeper: it is a
subreaper, so whoever loses a parent becomes its child, and it lies above all of them. It runs as the agent's user, so no command
can end it; its one capability is to end them.

The child becomes the command's user only when it has its order, so that no command can end one that waits. From then on it
holds nothing of the agent's: its streams are pipes of its own, whose other ends it sends up.

Left out: when a command must end, and what its end means. That is `session.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import marshal
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from typing import Any, NoReturn

from . import protocol
from .files import WORK, open_plain
from .isolation import seal
from .linux import CAP_KILL, PR_SET_CHILD_SUBREAPER, drop_capabilities, prctl

STREAMS = ("stdin", "stdout", "stderr", "channel")
"""Of a command, in the order of their descriptors here."""
TOLD = 512
"""Most bytes of what a keeper, or a child that could not begin, says at once."""
_DESCRIPTORS = 1024
_CHUNK = 1 << 18
_CHANNEL = 3
_PAUSE = 0.001
_ROOM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_CELLS = "import sys; sys.path.insert(0, sys.argv.pop()); from agent.cells import serve; serve(3)"


class Keeper:
    """The agent's side of a keeper and of the child below it, which waits for its order.

    Raises (constructor):
        OSError: the kernel makes no process.
    """

    def __init__(self, user: int) -> None:
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.order, order = socket.socketpair()
        try:
            self.pid = os.fork()
        except OSError:
            for end in (self.control, self.order, control, order):
                end.close()
            raise
        if self.pid == 0:
            try:
                _keep(control, order, user)
            except BaseException as exc:
                with contextlib.suppress(Exception):
                    os.write(2, f"fumehood: a command could not begin: {exc}\n".encode())
            finally:
                os._exit(70)
        control.close()
        order.close()

    def started(self) -> dict[str, int]:
        """Our ends of the command's streams, once it has begun: to be asked when `order` can be read.

        Raises:
            OSError: it could not begin.
        """
        said, fds, _, _ = socket.recv_fds(self.order, 1, len(STREAMS))
        if said != b"+":
            raise OSError(self.refusal() or "The process that was to become the command died.")
        return dict(zip(STREAMS, fds, strict=False))

    def refusal(self) -> str:
        """Why it did not begin, where it said so."""
        with contextlib.suppress(OSError):
            return self.order.recv(TOLD, socket.MSG_DONTWAIT).decode("utf-8", "replace")
        return ""

    def kill(self) -> None:
        """Have the command and all that came of it killed."""
        with contextlib.suppress(OSError):
            self.control.send(b"kill")

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group."""
        with contextlib.suppress(OSError):
            self.control.send(b"%d" % number)

    def close(self) -> None:
        """Let go of it; what it keeps is killed if there is anything left."""
        self.control.close()
        self.order.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _only(*kept: int) -> None:
    """Close every descriptor but those."""
    low = 0
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        if low < fd:  # an empty range that begins at 0 is all of them to CPython
            os.closerange(low, fd)
        low = fd + 1


def _keep(control: socket.socket, order: socket.socket, user: int) -> NoReturn:
    """In the keeper: wait for the command's end and for those whom it left behind, or kill them all when told to."""
    os.setsid()
    _only(0, 1, 2, control.fileno(), order.fileno())
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    command = os.fork()
    if command == 0:
        control.close()
        _become(order, user)
    order.close()
    drop_capabilities(CAP_KILL)
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running = True
    poller = select.poll()
    for fd in (control.fileno(), wake):
        poller.register(fd, select.POLLIN)
    while True:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == command:
                    running = False
                    _tell(control, ended[1])
        except ChildProcessError:
            os._exit(0)
        ready = {fd for fd, _ in poller.poll()}
        if wake in ready:
            os.read(wake, 4096)
        if control.fileno() in ready:
            word = control.recv(TOLD)
            if word.isdigit():
                if running:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(command, int(word))
                continue
            status = _end_all(command)
            if running:
                _tell(control, status)
            os._exit(0)


def _tell(control: socket.socket, status: int) -> None:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with contextlib.suppress(OSError):  # the agent is gone
        control.send(marshal.dumps((status, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)))


def _end_all(command: int) -> int:
    """Kill all that is below this process. Returns how the command itself ended.

    They are stopped first: who is stopped starts nobody, so that there is an end to whom one finds, however fast they fork.
    """
    status, stopped = 0, set[int]()
    while fresh := _below() - stopped:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= fresh
    while True:
        for pid in _below():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == command:
                    status = ended[1]
        except ChildProcessError:
            return status
        time.sleep(_PAUSE)


def _below() -> set[int]:
    """All descendants of this process."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found, fresh = set[int](), {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def _become(order: socket.socket, user: int) -> NoReturn:
    """In the child: wait for the order, give up what the agent has, and do it."""

    def read_exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = order.recv(min(count - len(data), 1 << 20))
            if not more:
                os._exit(0)  # not needed any more
            data += more
        return bytes(data)

    work, _ = protocol.read(read_exactly)
    os.setsid()
    order = socket.socket(fileno=_above(order.detach()))
    try:
        _be(user, work)
        _connect(order, channel=work["mode"] == "cells")
    except OSError as exc:
        order.sendall(f"-{exc}".encode("utf-8", "replace")[:TOLD])
        os._exit(70)
    try:
        code = _WORK[work["mode"]](work)
    except OSError as exc:
        if exc.errno == 11:  # EAGAIN, from an exec of a user that has all the processes that it may
            order.sendall(f"No process could be started: {exc.strerror}.".encode())
        print(exc.strerror, file=sys.stderr)
        code = _CODES.get(type(exc), 1)
    except ValueError as exc:
        print(exc, file=sys.stderr)
        code = 1
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


_CODES: dict[type[OSError], int] = {FileNotFoundError: 127, NotADirectoryError: 127, PermissionError: 126}
"""Exit codes as shells have them for what cannot be run."""


def _be(user: int, work: dict[str, Any]) -> None:
    """Become the command's user under its limits, without a way back. Raises OSError."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")  # when memory runs out a command goes first, and the agent stays to tell
    os.setgroups([])
    os.setresgid(protocol.GROUP, protocol.GROUP, protocol.GROUP)
    os.setresuid(user, user, user)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    # Counted by user, and this session's is nobody else's: so what commands may start is what the agent never needs.
    _limit(resource.RLIMIT_NPROC, work["processes"])
    if cpu := int(work["cpu_time"]):
        _limit(resource.RLIMIT_CPU, cpu + 1, cpu + 2)
    for folder in (WORK, "/box/tmp"):
        os.makedirs(folder, exist_ok=True)
    os.chdir(WORK)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    seal(beside_agent=True)


def _limit(kind: int, soft: int, hard: int = 0) -> None:
    """Set a limit of this process, for good, as far as it is not lower already. Raises OSError."""
    most = resource.getrlimit(kind)[1]
    wanted = max(soft, hard)
    hard = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(kind, (min(soft, hard), hard))


def _connect(order: socket.socket, *, channel: bool) -> None:
    """Make the command's streams, so that they are its user's own, and send the other ends up. Raises OSError."""
    read, stdin = os.pipe()
    stdout, out = os.pipe()
    stderr, err = os.pipe()
    own, theirs = [read, out, err], [stdin, stdout, stderr]
    if channel:
        ours, other = socket.socketpair()
        own.append(ours.detach())
        theirs.append(other.detach())
    socket.send_fds(order, [b"+"], theirs)
    for fd in theirs:
        os.close(fd)
    own = [_above(fd) for fd in own]
    for place, fd in enumerate(own):
        os.dup2(fd, place)
    _only(*range(len(own)), order.fileno())
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _above(fd: int) -> int:
    """The descriptor moved out of the way of a command's streams, and not inherited by it."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _exec(work: dict[str, Any]) -> int:
    """A command line."""
    argv = work["argv"]
    try:
        os.chdir(work["cwd"] or WORK)
    except OSError as exc:
        print(f"{work['cwd']}: {exc.strerror}", file=sys.stderr)
        return 126
    try:
        os.execvpe(argv[0], argv, work["env"])
    except (FileNotFoundError, NotADirectoryError, PermissionError) as exc:
        print(f"{argv[0]}: ", end="", file=sys.stderr)
        raise exc


def _cells(work: dict[str, Any]) -> int:
    """The process that keeps the state of cells."""
    os.set_inheritable(_CHANNEL, True)
    os.execve(sys.executable, [sys.executable, "-I", "-c", _CELLS, _ROOM], work["env"])


def _read(work: dict[str, Any]) -> int:
    """A file's content to stdout."""
    fd = open_plain(work["path"])
    if (size := os.fstat(fd).st_size) > work["size"]:
        raise ValueError(f"It has {size} bytes, more than the {work['size']} that are carried out.")
    while data := os.read(fd, _CHUNK):
        _write_all(1, data)
    return 0


def _write(work: dict[str, Any]) -> int:
    """A file's content from stdin. Written in place, for a copy beside it might not fit."""
    path = f"{WORK}/{protocol.check_path(work['path'])}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = open_plain(work["path"], os.O_WRONLY | os.O_CREAT)
    os.ftruncate(fd, 0)
    left = work["size"]
    while left and (data := os.read(0, min(_CHUNK, left))):
        _write_all(fd, data)
        left -= len(data)
    return 1 if left else 0


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _list(work: dict[str, Any]) -> int:
    """What is in a folder, to stdout."""
    folder = f"{WORK}/{protocol.check_path(work['path'])}" if work["path"] else WORK
    found = []
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(protocol.MOST_ENTRIES), strict=False):
            with contextlib.suppress(OSError):  # gone again
                info = entry.stat(follow_symlinks=False)
                name = entry.name.encode("utf-8", "backslashreplace").decode()
                found.append((name, _kind(info.st_mode), info.st_size))
    _write_all(1, json.dumps(sorted(found)).encode())
    return 0


def _kind(mode: int) -> str:
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "other"


_WORK = {"exec": _exec, "cells": _cells, "read": _read, "write": _write, "list": _list}
