"""A forked child that waits, isolated, for its work and then becomes it.

The child *is* the run: nothing of the agent but the interpreter stays in it, and it holds no descriptor of the agent's but its
own streams, and the boundary or the channel for test results where its work needs one.

In a PID namespace the first process is not like others (signals pass it by), so a program gets an init of its own as parent;
a candidate or a test side, which only answers and asks, is the first process itself.

A quiet child gets no namespaces: its filter leaves it no system call that names anything.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import atexit
import builtins
import contextlib
import fcntl
import itertools
import marshal
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
import types
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

from . import protocol, pytest_run
from .files import WORK, collect_artifacts, filled, place_files
from .gpu import limit_torch
from .isolation import Container, enter, resize, seal, silence
from .linux import PR_SET_DUMPABLE, prctl

if TYPE_CHECKING:
    from .schema import NotBegun, Order, Report

_AGENT = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = __name__.partition(".")[0]
_MOST_FDS = 8
_DESCRIPTORS = 1024
"""Most descriptors that a run's process may have open."""


_FURNISHED: list[str] = []
"""Names of the agent's modules in a zygote, the latest first."""
_FORGOTTEN: list[types.ModuleType] = []
"""The modules themselves, once nobody is to find them: to free them touches what lies about them."""
_LENGTHS = struct.Struct("=II")


def order_of(header: Order, body: bytes) -> bytes:
    """An order as bytes. It goes one way only, from the agent to a child that has not begun, so that it need not be JSON."""
    data = marshal.dumps(dict(header))
    return _LENGTHS.pack(len(data), len(body)) + data + body


def forget_finalizers() -> None:
    """Let no child finish what imported libraries began: PyTorch would take back every operator before each exit, in 50 ms."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False


def furnish() -> None:
    """What every child finds as it is: done once, in the zygote."""
    forget_finalizers()
    # Under names that lie together, and after all others: a child that forgets them copies few pages.
    for name in [name.encode().decode() for name in reversed(_own_modules())]:
        sys.modules[name] = sys.modules.pop(name)
        _FURNISHED.insert(0, name)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(protocol.ENVIRONMENT)
    # Made over descriptors of the kinds that a child will have there: whether one can seek is asked but once.
    read, write = os.pipe()
    os.dup2(write, 1)
    kept = os.dup(2)
    os.dup2(write, 2)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    # By lines, though nobody looks on: what a program said before it is killed is often all that is known of it.
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    os.dup2(0, 1)
    os.dup2(kept, 2)
    for fd in (read, write, kept):
        os.close(fd)


def become(control: socket.socket, *, judge: bool, outside: Container | None, quiet: bool, disk: int) -> NoReturn:
    """Isolate in namespaces, if `outside` says from what, say so, wait for the order, and do it."""
    os.setsid()
    # Runs together can have no more descriptors under way than one of them may, and one message's 253 more: a quarter leaves
    # room for those even where the engine allows the agent but a thousand.
    own = min(_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (own, own))
    prctl(PR_SET_DUMPABLE, 1)  # the agent is not; /proc/self must be writable for the maps, and a program may open its own
    with contextlib.suppress(OSError):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, b"1000")  # when memory runs out, the run goes first and the agent stays to tell
        os.close(fd)
    namespaces = outside is not None
    if outside is not None:
        try:
            enter(disk, outside)
        except OSError as exc:
            control.sendall(str(exc).encode()[:400])
            os._exit(70)
    try:
        control.sendall(b"+")
    except OSError:
        os._exit(0)  # not needed any more
    # The module behind `signal`: that one makes enumerations of all numbers first.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    data, fds, _, _ = socket.recv_fds(control, 1 << 16, _MOST_FDS)
    if not data:
        os._exit(0)
    buffer = bytearray(data)

    def read_exactly(count: int) -> bytes:
        while len(buffer) < count:
            more = control.recv(1 << 20)
            if not more:
                raise EOFError
            buffer.extend(more)
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    header_length, body_length = _LENGTHS.unpack(read_exactly(_LENGTHS.size))
    order: Order = marshal.loads(read_exactly(header_length))
    body = read_exactly(body_length)
    given = dict(zip(order["fds"], fds, strict=True))
    work = protocol.split(body, order["parts"])
    if namespaces and order["disk"] != disk:
        try:
            resize(order["disk"])
        except OSError as exc:
            _say(control, {"type": "failed", "detail": f"The run's file systems could not be made: {exc}"})
            os._exit(70)
    try:
        place_files(dict(zip(order["files"], work, strict=False)))
    except (OSError, ValueError) as exc:
        _say(control, {"type": "refused", "detail": f"The program's files could not be placed: {exc}"})
        os._exit(0)
    texts = [part.decode("utf-8", "surrogateescape") for part in work[len(order["files"]) :]]
    if namespaces and order["mode"] in ("exec", "python", "pytest"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that it passes the init by, as other signals from inside do
        seal(beside_agent=True)
        prctl(PR_SET_DUMPABLE, 0)  # before there is a program: it may run first, and shall not find the init's memory open
        program = os.fork()
        if program:
            for fd in given.values():
                os.close(fd)
            _watch(control, program, order)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        prctl(PR_SET_DUMPABLE, 1)
    elif not quiet:
        seal(judge=judge, beside_agent=not namespaces)
    control.close()
    with contextlib.suppress(ValueError):
        cpu = int(order["cpu_time"]) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    _do(order, given, texts, quiet=quiet)


def _say(control: socket.socket, word: NotBegun | Report, body: bytes = b"") -> None:
    control.sendall(protocol.encode(word, body))


def _watch(control: socket.socket, program: int, order: Order) -> NoReturn:
    """The run's init: wait for the program or for the agent's word to stop, kill the rest, report. It is sealed."""
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), fd)
    pidfd = os.pidfd_open(program)
    status, full = 0, False
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(control, select.POLLIN)
    while True:
        events = {fd for fd, _ in poller.poll(100)}
        full = full or filled()[1]
        if events:
            break
    done, found = os.waitpid(program, os.WNOHANG)
    if done:
        status = found
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, found = os.waitpid(-1, 0)
            if pid == program:
                status = found
    used, now_full = filled()
    artifacts, refused = collect_artifacts(order["artifacts"], order["artifact_bytes"])
    report: Report = {
        "type": "report",
        "status": status,
        "disk_used": used,
        "disk_full": full or now_full,
        "artifacts": [(path, len(content)) for path, content in artifacts.items()],
        "artifact_errors": refused,
    }
    with contextlib.suppress(OSError):
        _say(control, report, b"".join(artifacts.values()))
    os._exit(0)


def _forget_agent() -> None:
    """Take the agent's own modules and path out of what foreign code finds."""
    _FORGOTTEN.extend(map(sys.modules.pop, [*_own_modules(), *_FURNISHED]))
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(_AGENT)]


def _own_modules() -> list[str]:
    """Names of the agent's modules, the latest first, but for those noted: to look at the names of all copies their pages."""
    noted = _FURNISHED[0] if _FURNISHED else ""
    later = itertools.takewhile(lambda name: name != noted, reversed(sys.modules))
    return [name for name in later if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]


def _do(order: Order, given: dict[str, int], texts: list[str], *, quiet: bool) -> NoReturn:
    """Take the streams, drop everything else, and run."""
    mode = order["mode"]
    if any("async" in text for text in texts):
        import asyncio  # noqa: F401 - before the run's own files can be taken for it
    if "stdin" not in given:
        # Opened here, where it is read-only but for what is written to it: the agent's own could be given other times.
        given["stdin"] = os.open(os.devnull, os.O_RDONLY)
    keep = {name: given[name] for name in ("results", "boundary") if name in given}
    # Out of the way of 0 to 2 first: a given descriptor may have any number.
    high = {name: _above(fd) for name, fd in given.items()}
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(high[name], number)
    kept = sorted(high[name] for name in keep)
    low = 3
    for fd in (*kept, os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, fd)
        low = fd + 1
    if order["env"] != protocol.ENVIRONMENT:
        os.environ.clear()
        os.environ.update(order["env"])
    limit_torch(order.get("gpu_memory_fraction", 1.0))
    os.chdir(WORK)
    if mode != "exec":
        _seed_afresh()
    if mode == "exec":
        argv = order["argv"]
        try:
            os.execvpe(argv[0], argv, dict(os.environ))
        except OSError as exc:
            print(f"{argv[0]}: {exc.strerror}", file=sys.stderr)
            os._exit(127 if isinstance(exc, FileNotFoundError) else 126)
    if mode == "candidate":
        from .boundary.candidate import serve

        _forget_agent()
        sys.path.insert(0, WORK)
        boundary = socket.socket(fileno=high["boundary"])
        if quiet:
            silence()
        _end(_served, serve, boundary, {"module": order["module"], "source": texts[0], "in_place": order["in_place"]})
    if mode == "judge":
        from .boundary.tests import judge

        sys.path.insert(0, WORK)
        boundary = socket.socket(fileno=high["boundary"])
        work = {key: order[key] for key in ("module", "entry_point", "defines", "in_place")} | {"tests": texts[0]}
        if quiet:
            silence()
        _end(_judged, judge, boundary, high["results"], work)
    if mode == "pytest":
        try:
            from .reporter import Reporter
        except ModuleNotFoundError:
            os.write(high["results"], protocol.NO_PYTEST_EVENT)
            os._exit(4)  # of pytest: it was used wrongly
        _forget_agent()
        sys.path.insert(0, WORK)
        _end(pytest_run.main, order["file"], WORK, Reporter(high["results"], order["module"], order["file"], WORK))
    _forget_agent()
    sys.path.insert(0, WORK)
    _end(_python, order)


def _seed_afresh() -> None:
    """Let no generator be as it is in another child of the same zygote: each side of each run draws its own numbers."""
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.manual_seed(int.from_bytes(os.urandom(8)) >> 1)


def _above(fd: int) -> int:
    """The descriptor moved out of the way of 0, 1 and 2, and not inherited by programs that are executed."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _served(serve: Any, boundary: socket.socket, work: dict[str, Any]) -> int:
    serve(boundary, work)
    return 0


def _judged(judge: Any, *args: Any) -> NoReturn:
    judge(*args)
    sys.stdout.flush()
    while True:  # all is reported: it is killed, and what tests left to be done at their exit is not
        time.sleep(3600)


def _end(body: Any, *args: Any) -> NoReturn:
    """Run `body` and leave as the interpreter would, without the slow tear-down of imported libraries."""
    code = 1
    try:
        try:
            code = body(*args)
        except SystemExit as exc:
            if exc.code is None or isinstance(exc.code, int):
                code = (exc.code or 0) & 0xFF
            else:
                print(exc.code, file=sys.stderr)
        except BaseException as exc:
            _show(exc)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException as exc:
        _show(exc)
        code = code or 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _show(exc: BaseException) -> None:
    """The traceback as the program's author expects it: without the agent's frames."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_AGENT):
        trace = trace.tb_next
    with contextlib.suppress(Exception):
        traceback.print_exception(type(exc), exc, trace)


def _python(order: Order) -> int:
    path = f"{WORK}/{order['file']}"
    sys.argv[:] = [order["file"], *order["args"]]
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins)
    sys.modules["__main__"] = module
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return 0
