"""Processes that wait to become commands, and those that keep what comes of them together.

A command may start processes that leave its group, its session and their own parents. They cannot leave their keeper: it is a
subreaper, so whoever loses a parent becomes its child, and it lies above all of them. It is the agent's user, so no command can
end it. When nobody is left below it, it keeps the next command.

The child becomes the command's user only when it has its order, so that no command can end one that waits. From then on it
holds nothing of the agent's: its streams are pipes of its own, whose other ends it sends up.

Left out: when a command must end, and what its end means. That is `session.py`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import itertools
import json
import marshal
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from . import protocol
from .files import WORK, open_plain
from .isolation import seal
from .linux import PR_SET_CHILD_SUBREAPER, prctl
from .pipe import widen

if TYPE_CHECKING:
    from .schema import CellsOf, Errand, Exec, List, Outlet, Read, Write

OUTLETS: tuple[Outlet, ...] = ("stdout", "stderr", "channel")
STREAMS = ("stdin", *OUTLETS)
"""Of a command, in the order of their descriptors here."""
TOLD = 512
"""Most bytes of what a keeper, or a child that could not begin, says at once."""
_DESCRIPTORS = 1024
_CHUNK = 1 << 20
_CHANNEL = 3
_PAUSE = 0.001
_WORD = struct.Struct("=II")
"""A child's number, and a signal for its process group, or `_ALL`."""
_ALL = 0
"""Ends all that came of a command."""
_LENGTH = struct.Struct("=I")
_ROOM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_CELLS = "import sys; sys.path.insert(0, sys.argv.pop()); from agent.cells import serve; serve(3)"


class Keeper:
    """The agent's side of a keeper, which keeps one command after the other, and of the child that waits below it.

    Raises (constructor):
        OSError: the kernel makes no process.
    """

    def __init__(self, user: int) -> None:
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.order: socket.socket | None = None
        """To the child that waits, and then to the command that it has become; None while there is none."""
        self._round = 0
        """Which child it is: what is meant for one must not reach the next."""
        try:
            self.pid = os.fork()
        except OSError:
            self.control.close()
            control.close()
            raise
        if self.pid == 0:
            _or_say_why(_keep, control, user)
        control.close()
        self.control.setblocking(False)  # for `recv_fds` takes flags and forgets them

    def hear(self) -> tuple[int, float] | None:
        """What it has to say: the command's wait status and CPU time, or that a child waits (None), below `order`.

        Raises:
            BlockingIOError: nothing now.
            EOFError: it is gone.
        """
        try:
            said, fds, _, _ = socket.recv_fds(self.control, TOLD, 1)
        except ConnectionResetError:
            said, fds = b"", []
        if fds:
            self.forget()
            self.order = socket.socket(fileno=fds[0])
            self._round += 1
            return None
        if not said:
            raise EOFError
        told: tuple[int, float] = marshal.loads(said)
        return told

    def begin(self, work: Errand) -> None:
        """Order the child to become a command. Raises OSError."""
        assert self.order is not None
        data = marshal.dumps(dict(work))
        self.order.sendall(_LENGTH.pack(len(data)) + data)

    def begun(self) -> dict[str, int]:
        """Our ends of the command's streams, once it has begun: to be asked when `order` can be read.

        Raises:
            OSError: it could not begin.
        """
        assert self.order is not None
        said, fds, _, _ = socket.recv_fds(self.order, 1, len(STREAMS))
        if said != b"+":
            raise OSError(self.refusal() or "The process that was to become the command died.")
        return dict(zip(STREAMS, fds, strict=False))

    def refusal(self) -> str:
        """Why it did not begin, where it said so."""
        if self.order is not None:
            with contextlib.suppress(OSError):
                return self.order.recv(TOLD, socket.MSG_DONTWAIT).decode("utf-8", "replace")
        return ""

    def kill(self) -> None:
        """Have the command and all that came of it killed."""
        self.signal(_ALL)

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group."""
        with contextlib.suppress(OSError):
            self.control.send(_WORD.pack(self._round, number))

    def forget(self) -> None:
        """Let go of the child that has become a command."""
        if self.order is not None:
            self.order.close()
            self.order = None

    def close(self) -> None:
        """End it, with all that it keeps."""
        self.forget()
        self.control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _or_say_why(work: Callable[..., NoReturn], *args: Any) -> NoReturn:
    """Do the work of a forked process, and never return to what its parent was doing."""
    try:
        work(*args)
    except BaseException as exc:
        with contextlib.suppress(Exception):
            os.write(2, f"fumehood: a command could not begin: {exc}\n".encode())
    finally:
        os._exit(70)


def _only(*kept: int) -> None:
    """Close every descriptor but those."""
    low = 0
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        if low < fd:  # an empty range that begins at 0 is all of them to CPython
            os.closerange(low, fd)
        low = fd + 1


def _keep(control: socket.socket, user: int) -> NoReturn:
    """In the keeper: have a child waiting; when it was a command and all is over, the next one."""
    os.setsid()
    _only(0, 1, 2, control.fileno())
    gc.disable()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poller = select.poll()
    for fd in (control.fileno(), wake):
        poller.register(fd, select.POLLIN)
    for number in itertools.count(1):
        ours, order = socket.socketpair()
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            control.close()
            ours.close()
            _or_say_why(_become, order, user)
        order.close()
        try:
            socket.send_fds(control, [b"waiting"], [ours.fileno()])
        except OSError:
            os._exit(0)
        ours.close()
        _stay_with(child, number, control, wake, poller)
    raise AssertionError


def _stay_with(command: int, number: int, control: socket.socket, wake: int, poller: select.poll) -> None:
    """Until the command has ended and nobody whom it left behind is there, or until they are killed on demand."""
    running, before = True, resource.getrusage(resource.RUSAGE_CHILDREN)
    while True:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == command:
                    running = False
                    _tell(control, ended[1], before)
        except ChildProcessError:
            return
        ready = {fd for fd, _ in poller.poll()}
        if wake in ready:
            os.read(wake, 4096)
        if control.fileno() in ready:
            word = control.recv(_WORD.size)
            about, wanted = _WORD.unpack(word) if word else (number, _ALL)
            if about != number:
                continue  # it was meant for one that is gone
            if wanted != _ALL:
                if running:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(command, wanted)
                continue
            status = _end_all(command)
            if not word:
                os._exit(0)
            if running:
                _tell(control, status, before)
            return


def _tell(control: socket.socket, status: int, before: resource.struct_rusage) -> None:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_time = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    with contextlib.suppress(OSError):  # the agent is gone
        control.send(marshal.dumps((status, cpu_time)))


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
    os.setsid()
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, b"1000")  # when memory runs out a command goes first, and the agent stays to tell
    os.close(fd)
    os.setgroups([])
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    order = socket.socket(fileno=_above(order.detach()))

    def read_exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = order.recv(min(count - len(data), 1 << 20))
            if not more:
                os._exit(0)  # not needed any more
            data += more
        return bytes(data)

    (length,) = _LENGTH.unpack(read_exactly(_LENGTH.size))
    work: Errand = marshal.loads(read_exactly(length))
    try:
        _be(user, work)
        _connect(order, channel=work["mode"] == "cells", wide=work["wide"])
    except OSError as exc:
        order.sendall(f"-{exc}".encode("utf-8", "replace")[:TOLD])
        os._exit(70)
    try:
        _go_to_work()
        code = _do(work)
    except OSError as exc:
        if exc.errno == errno.EAGAIN:  # from an exec of a user that has all the processes that it may
            order.sendall(f"No process could be started: {exc.strerror}.".encode())
        _say(exc.strerror or str(exc))
        code = _CODES.get(type(exc), 1)
    except ValueError as exc:
        _say(str(exc))
        code = 1
    os._exit(code)


def _say(text: str, end: str = "\n") -> None:
    """To the command's stderr, without Python's streams, which are slow to be made."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}{end}".encode("utf-8", "backslashreplace"))


_CODES: dict[type[OSError], int] = {FileNotFoundError: 127, NotADirectoryError: 127, PermissionError: 126}
"""Exit codes as shells have them for what cannot be run."""


def _be(user: int, work: Errand) -> None:
    """Become the command's user under its limits, without a way back. Raises OSError."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    # Counted by user, and this session's is nobody else's: so what commands may start is what the agent never needs. It is
    # looked at when the user changes, so this comes before.
    _limit(resource.RLIMIT_NPROC, work["processes"])
    if cpu := int(work["cpu_time"]):
        _limit(resource.RLIMIT_CPU, cpu + 1, cpu + 2)
    os.setresgid(protocol.GROUP, protocol.GROUP, protocol.GROUP)
    os.setresuid(user, user, user)
    seal(beside_agent=True)


def _go_to_work() -> None:
    """Be in the work folder, which may be whatever a command before has made of it. Raises OSError."""
    try:
        os.chdir(WORK)
    except FileNotFoundError:  # nobody was here before
        for folder in (WORK, "/box/tmp"):
            os.makedirs(folder, exist_ok=True)
        os.chdir(WORK)


def _limit(kind: int, soft: int, hard: int = 0) -> None:
    """Set a limit of this process, for good, as far as it is not lower already. Raises OSError."""
    most = resource.getrlimit(kind)[1]
    wanted = max(soft, hard)
    hard = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(kind, (min(soft, hard), hard))


def _connect(order: socket.socket, *, channel: bool, wide: bool) -> None:
    """Make the command's streams, so that they are its user's own, and send the other ends up. Raises OSError."""
    read, stdin = os.pipe()
    stdout, out = os.pipe()
    stderr, err = os.pipe()
    own, theirs = [read, out, err], [stdin, stdout, stderr]
    if channel:
        ours, other = socket.socketpair()
        own.append(ours.detach())
        theirs.append(other.detach())
    if wide:
        for fd in (read, stdout):
            widen(fd)
    socket.send_fds(order, [b"+"], theirs)
    for fd in theirs:
        os.close(fd)
    own = [_above(fd) for fd in own]
    for place, fd in enumerate(own):
        os.dup2(fd, place)
    _only(*range(len(own)), order.fileno())


def _above(fd: int) -> int:
    """The descriptor moved out of the way of a command's streams, and not inherited by it."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _do(work: Errand) -> int:
    """An errand, to its end. Returns the exit code. Raises OSError, ValueError."""
    match work["mode"]:
        case "exec":
            return _exec(work)
        case "cells":
            return _cells(work)
        case "read":
            return _read(work)
        case "write":
            return _write(work)
        case "list":
            return _list(work)


def _exec(work: Exec) -> int:
    """A command line."""
    argv = work["argv"]
    try:
        os.chdir(work["cwd"] or ".")
    except OSError as exc:
        _say(f"{work['cwd']}: {exc.strerror}")
        return 126
    try:
        os.execvpe(argv[0], argv, work["env"])
    except (FileNotFoundError, NotADirectoryError, PermissionError) as exc:
        _say(argv[0], end=": ")
        raise exc


def _cells(work: CellsOf) -> int:
    """The process that keeps the state of cells."""
    os.set_inheritable(_CHANNEL, True)
    os.execve(sys.executable, [sys.executable, "-I", "-c", _CELLS, _ROOM], work["env"])


def _read(work: Read) -> int:
    """A file's content to stdout."""
    fd = open_plain(work["path"])
    if (size := os.fstat(fd).st_size) > work["size"]:
        raise ValueError(f"It has {size} bytes, more than the {work['size']} that are carried out.")
    while data := os.read(fd, _CHUNK):
        _write_all(1, data)
    return 0


def _write(work: Write) -> int:
    """A file's content from stdin. In place, for a copy might not fit; what does not fit leaves it as it was."""
    path = f"{WORK}/{protocol.check_path(work['path'])}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    is_new = not os.path.lexists(path)
    fd = open_plain(work["path"], os.O_RDWR | os.O_CREAT)
    try:
        if work["size"]:
            os.posix_fallocate(fd, 0, work["size"])
    except OSError:
        if is_new:
            os.unlink(path)
        raise
    left = work["size"]
    while left and (data := os.read(0, min(_CHUNK, left))):
        _write_all(fd, data)
        left -= len(data)
    os.ftruncate(fd, work["size"] - left)
    return 1 if left else 0


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _list(work: List) -> int:
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
