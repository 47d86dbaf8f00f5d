"""Runs in a sandbox: one test module against the reference of a function and its mutants, each time in two fresh processes.

This process holds reference and mutants; it has read them from its standard input, so no file has them. Before it read them it
forked the process for the tests (`mutant_tests`), which therefore never had them in its memory. One side of each run is forked
from here, the other from there; a socket joins them. In turn:

1. The tests run on the reference. What they call and what they get is recorded, and which lines and branches were passed.
2. Each mutant is called as the reference was, without the tests. One that answers alike in everything survives: the tests
   would do the same again. One that takes far longer is killed by the clock.
3. The others, and among them the reference several times, face the tests in a secret order, without being marked. A test
   module that fails on the reference in there, or does not run the same tests, is flaky or guesses: its kills count for nothing.
   In some of these runs, and in the first, is seen what the functions of the tests return.

Prints a JSON line for each thing that is known, so that a run which is cut off has reported what it knew.

Left out: what to make of it. `applications.unit_tests.judge` does that.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
import itertools
import json
import marshal
import os
import random
import resource
import select
import shutil
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, ".")
sys.dont_write_bytecode = True

import mutant_cage  # type: ignore[import-not-found]  # noqa: E402
import mutant_carried  # type: ignore[import-not-found]  # noqa: E402
import mutant_coverage  # type: ignore[import-not-found]  # noqa: E402
import mutant_link  # type: ignore[import-not-found]  # noqa: E402
import mutant_package  # type: ignore[import-not-found]  # noqa: E402
import mutant_tests  # type: ignore[import-not-found]  # noqa: E402
import mutant_watch  # type: ignore[import-not-found]  # noqa: E402

_READY = 60.0
"""Seconds that pytest may take to be imported."""
_MEMORY = 1 << 30
"""Bytes of addresses that a function's process may have."""
_FASTEST = 0.05
"""CPU seconds that a mutant has at least."""
_SLOWER, _SLOWER_STILL, _MORE = 10, 3, 0.5
"""How much longer than the reference a mutant may take for the same calls; of slow ones three times and half a second."""
_WITH_MARKS = 4
"""How much longer a process may take that runs the reference with marks, and then without."""
_REPORT = 1 << 20
"""Bytes of a report."""
_PURE = frozenset(
    (
        *("__future__", "abc", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses", "enum"),
        *("fractions", "functools", "hashlib", "heapq", "itertools", "math", "numbers", "operator", "statistics"),
        *("typing", "typing_extensions", "unicodedata"),
    )
)
"""A module that imports no others leaves nothing behind in its process: the next one can be run there. Those with caches of what
they were given (`re`, and what uses it) are not among them: how long a call takes would show what was called before."""
_COMPARED = 20
"""Calls by which functions in the tests are compared with the one under test."""
_WATCHED = 2
"""Mutants in whose runs is seen what the tests' functions return, besides one original."""
_MESSAGES, _MESSAGE = 8 << 20, 1 << 18
"""Bytes that the watch of one run may send, in all and at once."""
_UNSEEN = 0.01
"""Seconds that a run may take without a pause after it: the machine's own noise is as large."""
_FOLDERS = (".", *(("/box/tmp", "/dev/shm") if Path("/box").is_dir() else ()))
"""What a function could write to."""


class _Function:
    """A version of the function's module, compiled and not yet run."""

    package: Any = None
    """What its modules are found by, where it imports any of its own."""

    def __init__(self, source: str | ast.Module, **given: Any) -> None:
        self.code = compile(source, mutant_link.MODULE_FILE, "exec", dont_inherit=True)
        self._given = given

    def names(self) -> dict[str, Any]:
        """Run the module in this process. Raises whatever it raises."""
        if self.package is not None:
            return dict(self.package.load(self.code, self._given).__dict__)
        module = types.ModuleType("candidate")
        sys.modules["candidate"] = module
        module.__dict__.update(self._given)
        exec(self.code, module.__dict__)
        return module.__dict__


def _emit(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _limit(cpu: float) -> None:
    """The kernel ends this process after `cpu` seconds of its own, inside long computations of the interpreter too."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu)
    if "numpy" not in sys.modules and "torch" not in sys.modules:  # which map more than they use
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)


class _Runner:
    """One job."""

    def __init__(self, job: dict[str, Any], control: socket.socket | None) -> None:
        self._job, self._control = job, control
        self._names = [function["name"] for function in job["about"]["functions"]]
        self._classes = [one["name"] for one in job["about"]["classes"]]
        if job["package"]:
            _Function.package = mutant_package.Package(job["package"]["name"], job["package"]["siblings"])
        self._reference = _Function(job["reference"])
        tree = ast.parse(job["reference"])
        self._raises = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise | ast.Assert)}
        self._frames: list[tuple[bool, bytes]] = []
        self._explicit: set[int] = set()
        self._cpu = _FASTEST
        """Seconds that a mutant may take for the recorded calls."""
        self._pure = set(job["about"]["imports"]) <= _PURE
        self._messages: dict[bytes, None] = {}
        """What the watch has sent, each once."""
        self._judged_of = 0
        """How many of them were known when they were last judged by."""
        self._known: Any = []
        self._longest = 0.0
        """Seconds of the longest run on the original."""
        self._met = False
        """Whether the original was among the runs."""
        self._server: _Server | None = None
        self._secret = random.SystemRandom()

    def survey(self) -> None:
        """Tell which mutants differ from the reference on inputs that the tests of the task and their variations give."""
        found = self._recorded(self._record_inputs)
        if found is None or "failed" in found:
            _emit(event="failed", detail=found["failed"] if found else "it does not end")
            return
        self._take(found)
        _emit(event="survey", calls=found["calls"])
        for name, how in self._replay_all():
            _emit(event="probed", mutant=name, how=how)

    def judge(self) -> None:
        """Tell what the tests do on the reference and on each mutant."""
        report, recorded = self._first_run()
        if recorded is None:
            _emit(event="reference", told=report, calls=0, coverage=None, **self._judged())
            return
        self._take(recorded)
        self._known = self._distinct()
        _emit(event="reference", told=report, calls=recorded["calls"], coverage=recorded["coverage"], **self._judged())
        if report is None or not report["finished"] or report["error"] or not report["outcomes"]:
            return
        if any(outcome != "passed" for outcome, _ in report["outcomes"].values()):
            return
        # Where more was called than is kept, what comes after could differ.
        hows = [(name, "unknown") for name in self._job["mutants"]] if recorded["truncated"] else list(self._replay_all())
        queue: list[str | None] = [None] * self._job["references"]
        for name, how in hows:
            if how in ("differs", "loud", "unknown"):
                queue.append(name)
            _emit(event="replayed", mutant=name, how=how)
        self._secret.shuffle(queue)
        watched = {queue.index(None), *[place for place, name in enumerate(queue) if name][:_WATCHED]}
        sharp = False  # one kill that only an expectation about a value explains is enough to know
        for place, name in enumerate(queue):
            _emit(event="facing", mutant=name)
            faced = self._face(name, self._secret.randrange(1 << 30), returns=place in watched)
            outcome = _outcome(faced, report["collected"])
            if name and outcome in ("failed", "broken") and not sharp:
                sharp = self._is_quiet(name)
            _emit(event="faced", mutant=name, outcome=outcome, tests=_failed(faced), sharp=sharp, **self._judged())

    def _take(self, recorded: dict[str, Any]) -> None:
        self._frames = [(incoming, bytes.fromhex(frame)) for incoming, frame in recorded["frames"]]
        self._explicit = set(recorded["explicit"])
        self._cpu = max(_FASTEST, min(_SLOWER * recorded["cpu"], _SLOWER_STILL * recorded["cpu"] + _MORE))

    # The function's side

    def _link(self, function: _Function, wire: Any, *, record: bool = False) -> Any:
        names = function.names()
        link = mutant_link.Link(wire, record=record)
        link.raises = self._raises
        for name in self._names:
            link.exports.append(names[name])
        link.shelve([names[name] for name in self._classes])
        return link

    def _forked(self, work: Any, *args: Any, cpu: float) -> int:
        """Do something in a child that is ended after `cpu` seconds of its own. Its exit code is what `work` returns."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        with contextlib.suppress(BaseException):
            if self._control is not None:
                self._control.close()
            _limit(cpu)
            code = work(*args)
        os._exit(code)

    def _recorded(self, work: Any, *args: Any, longer: float = 1, meanwhile: _Ear | None = None) -> Any:
        """What `work` found in a child; None where it broke off. The watch of a test process is heard meanwhile."""
        reader, writer = os.pipe()
        pid = self._forked(work, *args, writer, cpu=longer * self._job["cpu"])
        os.close(writer)
        for held in args:
            held.close()
        data = _read(reader, time.monotonic() + self._job["wall"], meanwhile)
        _end(pid)
        os.close(reader)
        return json.loads(data) if data else None

    def _record_calls(self, sock: socket.socket, fd: int) -> int:
        """Serve the reference with marks for coverage, and report what was called."""
        marks = mutant_coverage.Marks()
        tree = mutant_coverage.marked(self._job["reference"], self._job["function"], marks)
        function = _Function(tree, **marks.names)
        link = self._link(function, mutant_link.Wire(sock), record=True)
        marks.reset()
        began = time.process_time()
        link.serve()
        cpu, coverage = time.process_time() - began, marks.found()
        # The marks cost time themselves. A function that does not repeat what it did is not measured by doing it again.
        self._frames, self._explicit = link.frames, link.explicit  # in this process alone
        tape, seconds = self._played(None, whole=True)
        if not (link.truncated or tape.differs or tape.loud):
            cpu = seconds
        if cpu > self._job["cpu"]:
            return 1
        self._write_recorded(link, fd, cpu, coverage)
        return 0

    def _record_inputs(self, fd: int) -> int:
        """Call the reference with inputs that are known to be of use."""
        import mutant_episodes  # type: ignore[import-not-found]
        import mutant_inputs  # type: ignore[import-not-found]

        try:
            link = self._link(self._reference, None, record=True)
        except BaseException as exc:
            os.write(fd, json.dumps({"failed": f"{type(exc).__name__}: {exc}"}).encode())
            return 1
        names = dict(vars(sys.modules["candidate"]))
        began = time.process_time()
        if self._job["function"] in self._names:
            link.wire = mutant_inputs.Queue(mutant_inputs.frames(names, self._job, link.is_explicit))
            link.serve()
        else:
            classes = [names[name] for name in self._classes]
            episodes = mutant_episodes.Episodes(link, classes, len(self._names), self._job["function"], self._job["seed"])
            episodes.serve()
        self._write_recorded(link, fd, time.process_time() - began, None)
        return 0

    def _write_recorded(self, link: Any, fd: int, cpu: float, coverage: Any) -> None:
        found = {
            "frames": [[incoming, frame.hex()] for incoming, frame in link.frames],
            "explicit": sorted(link.explicit),
            "truncated": link.truncated,
            "calls": link.calls,
            "cpu": cpu,
            "coverage": coverage,
        }
        with os.fdopen(fd, "w", encoding="ascii") as pipe:
            json.dump(found, pipe)

    def _replay_all(self) -> Iterator[tuple[str, str]]:
        """For each mutant what it does when it is called as the reference was, up to the first difference.

        That is `same`, `differs`, `loud` (a difference that shows without any expectation) or `slow`.
        """
        left = dict(self._job["mutants"])
        while left:
            reader, writer = os.pipe()
            some = list(left.items())[: None if self._pure else 1]
            pid = self._forked(self._replay, some, writer, cpu=self._cpu)
            os.close(writer)
            data = _read(reader, time.monotonic() + self._job["wall"] + self._cpu * len(some))
            os.close(reader)
            status = _end(pid, 1.0 if len(data.split()) < len(some) else 0.0)
            done = data.decode("ascii").split()
            for (name, _), how in zip(some, done, strict=False):
                del left[name]
                yield name, how
            if len(done) < len(some):  # it ended in the next one
                name = some[len(done)][0]
                del left[name]
                killed = status is None or os.waitstatus_to_exitcode(status) in (-signal.SIGPROF, -signal.SIGKILL)
                yield name, "slow" if killed else "loud"

    def _replay(self, some: list[tuple[str, str]], fd: int) -> int:
        for _, source in some:
            signal.setitimer(signal.ITIMER_PROF, self._cpu)
            tape, _ = self._played(source, whole=False)
            os.write(fd, b"loud " if tape.loud else b"differs " if tape.differs else b"same ")
        return 0

    def _played(self, source: str | None, *, whole: bool) -> tuple[Any, float]:
        """A mutant, or the reference, called as was recorded; with the CPU seconds of the calls."""
        tape = mutant_link.Tape(self._frames, self._explicit, whole=whole)
        began = time.process_time()
        try:
            link = self._link(self._reference if source is None else _Function(source), tape)
            began = time.process_time()  # the module's own code is not a call
            link.serve()
        except BaseException:
            tape.loud = True  # the module itself could not be run
        return tape, time.process_time() - began

    def _is_quiet(self, name: str) -> bool:
        """Whether a mutant, called as the reference was to the end, gives wrong values of the right types and nothing louder."""

        def play() -> int:
            tape, _ = self._played(self._job["mutants"][name], whole=True)
            return 0 if tape.differs and not tape.loud else 1

        status = _end(self._forked(play, cpu=self._cpu), self._job["wall"])
        return status is not None and os.waitstatus_to_exitcode(status) == 0

    # The tests' side

    def _send(self, order: dict[str, Any], *sockets: socket.socket) -> None:
        assert self._control is not None
        socket.send_fds(self._control, [json.dumps(order).encode()], [one.fileno() for one in sockets])
        for one in sockets:
            one.close()

    def _first_run(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The tests on the reference: what they report, and what was recorded."""
        self._blur()
        ours, function = socket.socketpair()
        with _Ear() as ear:
            self._begin(ear, function, None, first=False, returns=True)
            recorded = self._recorded(self._record_calls, ours, longer=_WITH_MARKS, meanwhile=ear)
            report = ear.report(time.monotonic() + self._job["wall"])
            self._finish(ear)
        return report, recorded

    def _face(self, name: str | None, shuffle: int, *, returns: bool) -> dict[str, Any] | None:
        """The tests on a mutant, or on the reference; None where they broke off."""
        self._blur()
        began = time.monotonic()
        server = self._server or _Server(self)  # first, lest it holds the other end of its own socket
        ours, theirs = socket.socketpair()
        server.serve(name, ours)
        with _Ear() as ear:
            self._begin(ear, theirs, shuffle, first=True, returns=returns)
            report = ear.report(began + self._job["wall"])
            self._finish(ear)
        # One that is still at work, or that ended, is not used again; nor is any whose module could leave something behind.
        self._server = server if server.is_idle(self._cpu) and self._pure else None
        if self._server is None:
            server.end()
        self._lasted(time.monotonic() - began, original=name is None)
        return report

    def _lasted(self, seconds: float, *, original: bool) -> None:
        """Remember how long runs on the original take; until there was one, the shortest on a mutant, which may never end."""
        if original:
            self._longest = max(self._longest, seconds) if self._met else seconds
            self._met = True
        elif not self._met:
            self._longest = min(self._longest or seconds, seconds)

    def _begin(self, ear: _Ear, function: socket.socket, shuffle: int | None, *, first: bool, returns: bool) -> None:
        order = {"shuffle": shuffle, "first": first, "cpu": int(self._job["cpu"]) + 1, "returns": returns}
        self._send(order, ear.their_watch, function, ear.their_report)

    def _finish(self, ear: _Ear) -> None:
        self._send({"kill": True})
        ear.drain()
        self._messages |= dict.fromkeys(ear.messages)

    def _blur(self) -> None:
        """Take away what the end of a run could show to the next one: by its moment, or in files that the function writes.

        A run that waits for a moment of its choosing leaves its word in the clock. It waits as long on the original, which it
        does not know: no run can choose among moments that are further apart than the longest run on the original is long.
        """
        for folder in _FOLDERS:
            _empty(folder)
        time.sleep(self._secret.uniform(0, max(0.0, self._longest - _UNSEEN)))

    def _judged(self) -> dict[str, Any]:
        """What the tests carry of the function, and what their processes were ended for, by all that the watch sent so far."""
        messages = list(self._messages)
        if len(messages) == self._judged_of:
            return {"copies": [], "refused": []}
        self._judged_of = len(messages)
        refused = [one[1:].decode("ascii", "replace")[:100] for one in messages if one[:1] == mutant_watch.REFUSED]

        def judge(fd: int) -> int:
            codes = [one for one in mutant_carried.nested(self._reference.code) if self._is_under_test(one)]
            os.write(fd, json.dumps(mutant_carried.carried(codes, messages, self._known)[:20]).encode())
            return 0

        found = self._recorded(judge)
        if found is None:  # bytes that no watch has sent ended the process that reads them
            found, refused = [], [*refused, "a message in place of the watch"]
        return {"copies": [str(name)[:100] for name in found], "refused": sorted(set(refused))[:20]}

    def _is_under_test(self, code: types.CodeType) -> bool:
        owner, _, _ = code.co_qualname.rpartition(".")
        method = bool(code.co_flags & inspect.CO_OPTIMIZED)
        return self._job["function"] == code.co_qualname or (method and self._job["function"] == owner)

    def _distinct(self) -> list[Any]:
        """Calls that returned, of the function or of each method, enough to tell whether another one does the same."""
        function = self._job["function"]
        if function in self._names:
            return [found] if (found := self._distinct_of(self._names.index(function), "")) else []
        operate = len(self._names) + len(self._classes)
        defined = mutant_coverage.functions(ast.parse(self._job["reference"]), function)
        return [found for name in dict.fromkeys(one.name for one in defined) if (found := self._distinct_of(operate, name))]

    def _distinct_of(self, wanted: int, method: str) -> list[Any]:
        reader = mutant_link.Link(None)
        found: dict[bytes, tuple[list[Any], bytes]] = {}
        for (asked, question), (_, answer) in itertools.pairwise(self._frames):
            if not asked or len(found) >= _COMPARED or answer[:1] != mutant_link.RETURNED:
                continue
            with contextlib.suppress(Exception):
                number, args, kwargs = reader.read(question)
                value = reader.read(answer)[0]
                if method and (value is None or args[2].strip("_") != method.strip("_")):
                    continue
                args = args[3:] if method else args
                arguments = mutant_watch.taken_apart([*args, *kwargs.values()])
                value = list(value) if hasattr(value, "__next__") else value
                if number == wanted and (arguments or method):
                    known = arguments, marshal.dumps(mutant_watch.spelled(value), 2)
                    found.setdefault(marshal.dumps(known if method else arguments, 2), known)
        # Two inputs with one value say little: a function that is constant there is no copy.
        return list(found.values()) if len(found) > 2 and len({value for _, value in found.values()}) > 1 else []


class _Server:
    """A process that stands for one version of the function after the other, each with a module of its own."""

    def __init__(self, runner: _Runner) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = runner._forked(self._work, runner, theirs, cpu=2 * runner._cpu)
        theirs.close()

    def serve(self, function: str | None, sock: socket.socket) -> None:
        """Answer calls of a mutant, or of the reference, at this socket."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._ours, [json.dumps(function).encode()], [sock.fileno()])
        sock.close()

    def is_idle(self, seconds: float) -> bool:
        """Whether it has done its work, or does so soon: its callers are gone."""
        ready, _, _ = select.select([self._ours], [], [], max(seconds, 1.0))
        with contextlib.suppress(OSError):
            return bool(ready) and self._ours.recv(1) == b"."
        return False

    def end(self) -> None:
        """End the process."""
        self._ours.close()
        _end(self._pid)

    def _work(self, runner: _Runner, control: socket.socket) -> int:
        self._ours.close()
        while True:
            data, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
            if not data:
                return 0
            signal.setitimer(signal.ITIMER_PROF, 2 * runner._cpu)
            name = json.loads(data)
            with socket.socket(fileno=fds[0]) as sock, contextlib.suppress(BaseException):
                function = runner._reference if name is None else _Function(runner._job["mutants"][name])
                runner._link(function, mutant_link.Wire(sock)).serve()
            signal.setitimer(signal.ITIMER_PROF, 0)
            control.send(b".")


class _Ear:
    """Where a test process reports, and where it is watched: two fresh sockets, of which it gets the other ends."""

    def __init__(self) -> None:
        self._report, self.their_report = socket.socketpair()
        self._watch, self.their_watch = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.messages: list[bytes] = []
        self._room = _MESSAGES
        self._data = bytearray()

    def __enter__(self) -> _Ear:
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in (self._report, self.their_report, self._watch, self.their_watch):
            sock.close()

    def listen(self, fds: list[int], until: float) -> list[int]:
        """Wait for one of these descriptors, and take in meanwhile what the watch sends. Returns those that are ready."""
        while True:
            heard = [self._watch] if self._room > 0 else []
            wanted: list[Any] = [*fds, *heard]
            ready, _, _ = select.select(wanted, [], [], max(0.0, until - time.monotonic()))
            if self._watch in ready:
                self._take()
            found = [fd for fd in fds if fd in ready]
            if found or not ready:
                return found

    def drain(self) -> None:
        """Take in what is left of the watch."""
        while self._room > 0 and select.select([self._watch], [], [], 0)[0]:
            self._take()

    def _take(self) -> None:
        message = b""
        with contextlib.suppress(OSError):
            message = self._watch.recv(_MESSAGE)
        # One that floods the watch is not heard any more, and hangs.
        self._room = self._room - len(message) - 100 if message else 0
        if message:
            self.messages.append(message)

    def report(self, until: float) -> dict[str, Any] | None:
        """The report: a JSON object in a line, of bounded size, of the form that is agreed; None for anything else."""
        while not self._data.endswith(b"\n"):
            more = b""
            with contextlib.suppress(OSError):
                more = self._report.recv(1 << 16) if self.listen([self._report.fileno()], until) else b""
            self._data += more
            if not more or len(self._data) > _REPORT:
                return None
        try:
            return _checked(json.loads(self._data))
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return None


def _outcome(report: dict[str, Any] | None, collected: list[str]) -> str:
    """What became of the tests as a whole."""
    if report is None or not report["finished"]:
        return "broken"
    outcomes = [outcome for outcome, _ in report["outcomes"].values()]
    if report["error"] or "failed" in outcomes:
        return "failed"
    if sorted(report["outcomes"]) != sorted(collected) or sorted(report["collected"]) != sorted(collected):
        return "broken"
    return "skipped" if "skipped" in outcomes else "passed"


def _empty(folder: str) -> None:
    """Remove what is in a folder, as far as that can be done."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def _failed(report: dict[str, Any] | None) -> list[str]:
    return [name for name, found in report["outcomes"].items() if found[0] == "failed"] if report else []


def _read(fd: int, until: float, meanwhile: _Ear | None = None) -> bytes:
    data = bytearray()
    while True:
        if meanwhile is None:
            ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
        else:
            ready = meanwhile.listen([fd], until)
        more = os.read(fd, 1 << 16) if ready else b""
        if not more:
            return bytes(data)
        data += more


def _checked(report: Any) -> dict[str, Any]:
    """What a test process reports, in the agreed form: it may be hostile."""
    return {
        "finished": report["finished"] is True,
        "collected": [str(name) for name in report["collected"]],
        "error": str(report["error"]),
        "outcomes": {str(name): (str(outcome), str(message)) for name, (outcome, message) in report["outcomes"].items()},
    }


def _end(pid: int, seconds: float | None = None) -> int | None:
    """End a child, at once or where it has not ended by itself within `seconds`; its wait status where it has."""
    if seconds is not None:
        fd = os.pidfd_open(pid)
        ready, _, _ = select.select([fd], [], [], seconds)
        os.close(fd)
        if ready:
            return os.waitpid(pid, 0)[1]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def main() -> None:
    """Read a job, and do it."""
    mutant_cage.hide()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    tests = os.fork()
    if not tests:
        ours.close()
        for fd in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        with contextlib.suppress(BaseException):
            mutant_tests.serve(theirs)
        os._exit(1)
    theirs.close()
    job = json.load(sys.stdin)
    for name in job["about"]["libraries"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if job["tests"] is None:
        ours.close()
        _Runner(job, None).survey()
        return
    ours.send(json.dumps({"about": job["about"], "tests": job["tests"]}).encode())
    runner = _Runner(job, ours)
    ready, _, _ = select.select([ours], [], [], _READY)
    if not ready or ours.recv(1) != b"+":
        raise RuntimeError("pytest could not be started")
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    runner.judge()
    _emit(event="done")


main()
