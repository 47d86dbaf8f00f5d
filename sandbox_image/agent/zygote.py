"""Processes that have paid for start-up and libraries, and fork children that wait for their work.

The agent makes its zygotes before the first job arrives and never again, so no child of theirs inherits a byte of any job:
not of this run's tests, not of other runs. A zygote is only ever told to fork.

Left out: what a child does with its work. That is `child.py`.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import NoReturn

from .child import become, forget_finalizers, furnish
from .isolation import JUDGE, RUN, container
from .linux import CLONE_PARENT, clone, collapse_memory

HEAVY = ("numpy", "numpy.random", "torch", "pytest")
"""What the heavy zygote imports. CUDA is never initialised, so its children may use the GPU."""
TABLES = (
    "numpy",
    "numpy.random",
    "pandas",
    "sklearn.compose",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_selection",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.neighbors",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.svm",
    "sklearn.tree",
)
"""What the zygote for tables imports: as long as one without PyTorch takes, and a third of its memory."""
BARE = (
    "__future__",
    "bisect",
    "cmath",
    "collections",
    "copy",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "typing",
)
"""What short programs import most, small enough for every child to have."""
FOREIGN, TESTS, QUIET = b"r", b"j", b"q"
"""Kinds of children: for a candidate or a program, for tests, and for either side of a run that only computes."""
KINDS = (FOREIGN, TESTS, QUIET)
_SETTLE = b"s"
_POOL = 16 << 10
"""Bytes of a pool of the interpreter's allocator, which lies at a multiple of that."""
_MOST_FREE = 5000
_FILLING: list[bytes] = []
_OURS = (".boundary.candidate", ".boundary.tests")
"""Modules of the agent that a child may need once it is sealed, with all that they import."""


class Waiting:
    """The agent's side of a child that waits for its work."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.control = control

    def wait(self) -> None:
        """Wait until it is isolated. Raises OSError with the host's reason where that failed."""
        said = self.control.recv(400)
        if said != b"+":
            self.discard()
            raise OSError(said.decode("utf-8", "replace") or "a child died while it was prepared")

    def died(self) -> bool:
        """Whether it is gone before it was given any work."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def discard(self) -> None:
        """Kill and reap it."""
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class Zygote:
    """The agent's side of a zygote. It imports nothing before `start`, or before the first child is asked for."""

    def __init__(self, preload: tuple[str, ...], *, namespaces: bool, disk: int) -> None:
        self._link, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asked: dict[bytes, int] = {}
        self._kept: dict[bytes, list[Waiting]] = {kind: [] for kind in KINDS}
        self.started = self.is_warm = self.is_settled = False
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._link.close()
                _serve(link, preload, namespaces, disk)
            finally:
                os._exit(70)
        link.close()

    def fileno(self) -> int:
        """Becomes readable when the zygote has its libraries."""
        return self._link.fileno()

    def start(self, *, ahead: bool = False) -> None:
        """Let it import its libraries, if it has not begun. `ahead` says that nobody waits for it yet."""
        if not self.started:
            self.started = True
            self.is_settled = ahead
            self._link.send(b"a" if ahead else b"n")

    def warmed(self) -> None:
        """Wait until the zygote has its libraries. Raises EOFError where it died of them."""
        self.start()
        if not self.is_warm and not self._link.recv(16):
            raise EOFError("a zygote died")
        self.is_warm = True

    def settle(self) -> None:
        """Have it do what pays in the long run, which takes seconds, and wait for that. Raises EOFError where it is gone."""
        self._link.send(_SETTLE)
        while not self.is_settled:
            self._receive()

    def prepare(self, kind: bytes) -> None:
        """Ask for a child, to be waiting when it is taken."""
        self.start()
        self._asked[kind] = self._asked.get(kind, 0) + 1
        self._link.send(kind)

    def take(self, kind: bytes) -> Waiting:
        """A waiting child.

        Raises:
            EOFError: the zygote is gone.
            OSError: the host refused to make the child.
        """
        if not self._kept[kind] and not self._asked.get(kind):
            self.prepare(kind)
        self.warmed()
        while not self._kept[kind]:
            self._receive()
        waiting = self._kept[kind].pop(0)
        waiting.wait()
        if waiting.died():  # while it waited, so the program that it was for is not to blame
            waiting.discard()
            return self.take(kind)
        return waiting

    def _receive(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._link, 512, 1)
        if not data:
            raise EOFError("a zygote died")
        kind, _, rest = data.partition(b" ")
        if kind == _SETTLE:
            self.is_settled = True
            return
        self._asked[kind] -= 1
        if not fds:
            code, _, text = rest.partition(b" ")
            raise OSError(int(code), text.decode("utf-8", "replace"))
        self._kept[kind].append(Waiting(int(rest), socket.socket(fileno=fds[0])))

    def kill(self) -> None:
        """End it, and the children that wait."""
        for kept in self._kept.values():
            for waiting in kept:
                waiting.discard()
        self._link.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _use_torch() -> None:
    """Use what every run with tensors would have to set up: it reads files that a run does not see."""
    import torch

    repr(torch.ones(2, 2).matmul(torch.rand(2, 2)).softmax(0).sum())


def _use_more_of_torch() -> None:
    """Have PyTorch import what it imports when the first optimizer is made and the first tensors are compared."""
    import torch

    weights = torch.ones(2, requires_grad=True)
    torch.optim.SGD([weights], lr=0.1).zero_grad()
    torch.testing.assert_close(torch.ones(2), torch.ones(2))


def _use_tables() -> None:
    """Have pandas import what it imports when the first file is read and written."""
    import io

    import pandas

    pandas.read_csv(io.StringIO("a,b\n1,x\n2,y\n")).to_csv(io.StringIO(), index=False)


def _settle(gpu: str | None) -> None:
    """What takes seconds, and saves them where many runs are forked from this process."""
    # Not beside a GPU: what that imports may ask for devices, which a process that forks must not.
    if "torch" in sys.modules and not gpu:
        with contextlib.suppress(Exception):
            _use_more_of_torch()
    forget_finalizers()
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError):
        collapse_memory()


def _fill_pools() -> Iterator[bytes]:
    """Take the blocks that lie free among others, so that what a child makes lies together, and not in a page for each.

    A pool of the interpreter's allocator has blocks of one size after a header of 48 bytes. A block that is the first of its
    pool says that all others of its size were full.
    """
    for size in range(48, 513, 16):
        for _ in range(_MOST_FREE):
            block = bytes(size - sys.getsizeof(b""))
            yield block
            if id(block) % _POOL == 48:
                break


def _serve(link: socket.socket, preload: tuple[str, ...], namespaces: bool, disk: int) -> NoReturn:
    """In the zygote: import, then fork on demand until the agent is gone."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    keep = link.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ahead = link.recv(1)
    if not ahead:
        os._exit(0)
    agents = (*_OURS, ".reporter") if "pytest" in preload else _OURS  # every child pays for what its zygote has touched
    # Where it forks for one run only, that run imports what it wants of the small ones.
    for name in (*BARE, *agents, *preload) if namespaces or preload else ():
        # A library that is missing or broken here is found by the program that imports it.
        with contextlib.suppress(Exception):
            importlib.import_module(name, __package__)
    if "torch" in preload:
        with contextlib.suppress(Exception):
            _use_torch()
    if "pandas" in preload:
        with contextlib.suppress(Exception):
            _use_tables()
    if namespaces:  # else it forks for one run, which would not get that time back
        with contextlib.suppress(Exception):
            from .rehearsal import prepare, rehearse

            rehearse()
            gc.collect()
            _FILLING.extend(_fill_pools())
            prepare()
    bound = os.environ.get("FUMEHOOD_GPU")
    outside = container() if namespaces else None
    furnish()
    if namespaces and ahead == b"a":
        _settle(bound)
    else:
        gc.collect()
        gc.freeze()
    link.send(b"warm")
    while True:
        kind = link.recv(1)
        if not kind:
            os._exit(0)
        if kind == _SETTLE:
            _settle(bound)
            link.send(_SETTLE)
            continue
        isolated, quiet = namespaces and kind != QUIET, kind == QUIET
        ours, control = socket.socketpair()
        flags = (JUDGE if kind == TESTS else RUN) if isolated else 0
        try:
            pid = clone(flags | CLONE_PARENT)
        except OSError as exc:
            ours.close()
            control.close()
            link.send(b"%b %d %b" % (kind, exc.errno or 0, str(exc).encode()[:400]))
            continue
        if pid == 0:
            try:
                link.close()
                ours.close()
                become(control, judge=kind == TESTS, outside=outside if isolated else None, quiet=quiet, disk=disk)
            except BaseException as exc:
                with contextlib.suppress(Exception):
                    os.write(2, f"fumehood: a child could not begin: {exc}\n".encode())
            finally:
                os._exit(70)
        link.sendmsg(
            [b"%b %d" % (kind, pid)],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ours.fileno()]))],
        )
        ours.close()
        control.close()
