"""A forked child that waits for its work and then becomes the program.

The child is forked before anyone asks for it. A heavy one imports numpy, torch and pytest while it waits, so a run pays
nothing for them. CUDA is never initialised before the work is known. The child *is* the run: nothing of the agent but the
interpreter stays in it, and it holds no pipe of the agent but its own stdout, stderr and the channel for test results.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import struct
import sys
import threading
import traceback
import types
from typing import Any, NoReturn

WORK = "/box/work"
HEAVY = ("numpy", "torch", "pytest")
PR_SET_DUMPABLE = 4
_AGENT = os.path.dirname(os.path.abspath(__file__))


class Child:
    """The agent's side of a forked child: its pid and the ends of its pipes."""

    def __init__(self, preload: tuple[str, ...] = ()) -> None:
        stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.results, results = os.pipe()
        order, self._order = os.pipe()
        self.ready, ready = os.pipe()
        self._stdin = stdin
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _become(stdin, stdout, stderr, results, order, ready, preload)
            finally:
                os._exit(70)
        for fd in (stdout, stderr, results, order, ready):
            os.close(fd)

    def begin(self, order: dict[str, Any], stdin: bytes) -> None:
        """Hand the child its work.

        Raises:
            OSError: the child is gone.
        """
        view = memoryview(stdin)
        while view:
            view = view[os.write(self._stdin, view) :]
        os.lseek(self._stdin, 0, os.SEEK_SET)  # the child shares this offset
        os.close(self._stdin)
        data = json.dumps(order).encode()
        view = memoryview(struct.pack(">I", len(data)) + data)
        while view:
            view = view[os.write(self._order, view) :]
        os.close(self._order)


def _become(stdin: int, stdout: int, stderr: int, results: int, order: int, ready: int, preload: tuple[str, ...]) -> NoReturn:
    """In the child: take the pipes, warm up, wait, run."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # the agent is not; a program may open its own /proc/self
    results, order, ready = (_above(fd) for fd in (results, order, ready))
    for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    kept = sorted((results, order, ready))
    low = 3
    for fd in (*kept, os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, fd)
        low = fd + 1
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out, the program goes first and the agent stays to tell
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None) and _ours(module)]:
        if name != "__main__":
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != _AGENT]
    for name in preload:
        # A library that is missing or broken here is found by the program that imports it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if preload:
        gc.collect()
        gc.freeze()
    os.write(ready, b"1")
    os.close(ready)
    with os.fdopen(order, "rb") as pipe:
        prefix = pipe.read(4)
        if len(prefix) < 4:
            os._exit(0)
        work = json.loads(pipe.read(struct.unpack(">I", prefix)[0]))
    _run(work, results)


def _ours(module: types.ModuleType) -> bool:
    return str(module.__file__).startswith(_AGENT + "/")


def _above(fd: int) -> int:
    """The descriptor moved out of the way of 0, 1 and 2, and not inherited by programs that are executed."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _run(work: dict[str, Any], results: int) -> NoReturn:
    os.environ.clear()
    os.environ.update(work["env"])
    os.chdir(WORK)
    cpu = int(work["cpu_time"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    if work["mode"] == "exec":
        argv = work["argv"]
        os.closerange(3, 64)
        try:
            os.execvpe(argv[0], argv, dict(os.environ))
        except OSError as exc:
            print(f"{argv[0]}: {exc.strerror}", file=sys.stderr)
            os._exit(127 if isinstance(exc, FileNotFoundError) else 126)
    sys.path.insert(0, WORK)
    if work["mode"] == "pytest":
        _end(_pytest, work, results)
    os.close(results)
    _end(_python, work)


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


def _python(work: dict[str, Any]) -> int:
    path = f"{WORK}/{work['file']}"
    sys.argv[:] = [work["file"], *work["args"]]
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins)
    sys.modules["__main__"] = module
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return 0


def _pytest(work: dict[str, Any], results: int) -> int:
    import pytest

    sys.path.insert(0, _AGENT)
    from reporter import Reporter  # type: ignore[import-not-found]

    sys.path.remove(_AGENT)
    sys.argv[:] = ["pytest"]
    options = ["-q", "--tb=short", "--noconftest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", WORK]
    return int(pytest.main([*options, work["file"]], plugins=[Reporter(results, work["module"], work["file"], WORK)]))
