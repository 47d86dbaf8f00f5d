"""Self-check: programs with known ends, run in real sandboxes, to see whether what is promised holds here.

The suite is the same for every isolation level and OCI runtime. A check is one or more programs, one after the other on the
same worker, each with what must become of it. After every program that ran into a limit the worker must serve again.
What cannot hold somewhere is listed in `KNOWN` with its reason, and shown as such.

Left out: performance, and attacks on graders beyond a few (the red-team corpus has those).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.engine.engine import Engine
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, KiB, Limits, MiB, Program, Status, Value, Verdict

Isolation = Literal["namespace", "container"]
Group = Literal["statuses", "isolation", "judging", "resources", "recovery"]
State = Literal["passed", "failed", "exception", "unavailable"]

ISOLATIONS: tuple[Isolation, ...] = ("namespace", "container")
GROUPS: tuple[Group, ...] = ("statuses", "isolation", "judging", "resources", "recovery")
LIMITS = Limits(wall_time=20, cpu_time=10, memory=512 * MiB, disk=16 * MiB, output=64 * KiB, processes=32)
"""What the programs below run into."""


@dataclass(frozen=True)
class Step:
    """A program, and what must become of it."""

    program: Program
    must: Callable[[ExecutionResult], str]
    """What is wrong with the result; empty where it is as it must be."""
    limits: Limits = LIMITS


@dataclass(frozen=True)
class Check:
    """One promise: programs on one worker, or something that also needs the host's side."""

    group: Group
    name: str
    steps: tuple[Step, ...] = ()
    act: Callable[[Engine], Awaitable[str]] | None = None
    """Instead of steps; returns what is wrong."""
    serves_again: bool = False
    """Whether the worker is asked for a plain run afterwards, as a check of its own in the group `recovery`."""


@dataclass(frozen=True)
class Known:
    """A promise that cannot be kept somewhere, with the reason."""

    check: str
    reason: str
    isolation: str = ""
    """Empty for any."""
    runtime: str = ""
    """Beginning of the OCI runtime's name; empty for any."""


class CheckResult(Value):
    """What became of one check at one isolation level with one OCI runtime."""

    isolation: str
    runtime: str
    group: Group
    check: str
    state: State
    detail: str = ""
    """What is wrong, or why it is a known exception."""
    wall_time: float = 0.0
    """Seconds, the wait for a sandbox included."""


class SelfCheckReport(Value):
    """All results, in the order they were had."""

    results: tuple[CheckResult, ...] = ()

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The promises that do not hold here."""
        return tuple(result for result in self.results if result.state == "failed")

    @property
    def healthy(self) -> bool:
        """Nothing failed, and at least one level works."""
        return not self.failed and any(result.state == "passed" for result in self.results)

    def matrix(self) -> dict[str, dict[str, dict[State, int]]]:
        """How many checks ended how: by `isolation/runtime`, by group."""
        counts: dict[str, dict[str, dict[State, int]]] = {}
        for result in self.results:
            cell = counts.setdefault(f"{result.isolation}/{result.runtime}", {}).setdefault(result.group, {})
            cell[result.state] = cell.get(result.state, 0) + 1
        return counts


KNOWN: tuple[Known, ...] = (
    Known(
        "isolation: processes",
        "The agent's processes live in the one container that the run has; they are closed to it, which `agent` checks.",
        isolation="container",
    ),
    Known(
        "isolation: privileges",
        "gVisor filters system calls itself, below the container: programs see no filter of theirs.",
        runtime="runsc",
    ),
)
"""What cannot hold at an isolation level or under a runtime. A check that passes there nevertheless is simply passed."""


def _last(result: ExecutionResult) -> str:
    lines = (result.detail or result.stderr or result.stdout).strip().splitlines()
    return lines[-1][:200] if lines else ""


def _ends(status: Status, verdict: Verdict | None = None) -> Callable[[ExecutionResult], str]:
    def must(result: ExecutionResult) -> str:
        if result.status is not status:
            return f"ended with {result.status} instead of {status}. {_last(result)}".rstrip()
        if verdict is not None and result.verdict is not verdict:
            return f"got the verdict {result.verdict} instead of {verdict}. {_last(result)}".rstrip()
        return ""

    return must


def _says(stdout: str) -> Callable[[ExecutionResult], str]:
    def must(result: ExecutionResult) -> str:
        wrong = _ends(Status.OK)(result)
        return wrong or ("" if result.stdout == stdout else f"wrote {result.stdout[:200]!r} instead of {stdout!r}")

    return must


def _sealed(wall: str) -> Callable[[ExecutionResult], str]:
    """That `look_around.py` found no hole, or that the attempt itself was seen and ended."""

    def must(result: ExecutionResult) -> str:
        if result.attack and not result.stdout:
            return ""
        try:
            answer = json.loads(result.stdout)
            holes = [str(hole) for hole in answer["holes"]] if answer["wall"] == wall else ["it looked elsewhere"]
        except (ValueError, KeyError, TypeError):
            return f"the probe gave no valid report ({result.status}). {_last(result)}".rstrip()
        return f"does not hold: {', '.join(holes)}" if holes else ""

    return must


def _look(wall: str, *args: str) -> Program:
    return Program(code=sandboxed("orchestrator.checks", "look_around"), args=(wall, *args))


PING = Step(Program(code="print(6 * 7)"), _says("42\n"))

_STATUSES: tuple[tuple[str, Status, Program, dict[str, float]], ...] = (
    ("ends well", Status.OK, Program(code="print('hi')"), {}),
    ("exit code", Status.RUNTIME_ERROR, Program(code="raise SystemExit(3)"), {}),
    ("exception", Status.RUNTIME_ERROR, Program(code="1 / 0"), {}),
    ("no such command", Status.RUNTIME_ERROR, Program(argv=("no-such-command",)), {}),
    ("segmentation fault", Status.SIGNALLED, Program(code="import os; os.kill(os.getpid(), 11)"), {}),
    ("kills itself", Status.SIGNALLED, Program(code="import os; os.kill(os.getpid(), 9)"), {}),
    ("sleeps", Status.TIMED_OUT_WALL, Program(code="import time; time.sleep(60)"), {"wall_time": 1.0}),
    (
        "sleeps and ignores signals",
        Status.TIMED_OUT_WALL,
        Program(argv=("sh", "-c", "trap '' TERM INT HUP; sleep 60 & wait; sleep 60")),
        {"wall_time": 1.0},
    ),
    ("spins", Status.TIMED_OUT_CPU, Program(code="while True: pass"), {"cpu_time": 1.0}),
    (
        "spins in children",
        Status.TIMED_OUT_CPU,
        Program(code="import os\nfor _ in range(3): os.fork()\nwhile True: pass"),
        {"cpu_time": 1.0},
    ),
    ("hoards memory", Status.MEMORY_EXCEEDED, Program(code="x = []\nwhile True: x.append(b'x' * (1 << 24))"), {}),
    ("writes without end", Status.OUTPUT_EXCEEDED, Program(code="while True: print('x' * 1000)"), {}),
    (
        "fills its disk",
        Status.DISK_EXCEEDED,
        Program(code="with open('big', 'wb') as f:\n    while True: f.write(b'x' * 65536)"),
        {},
    ),
    (
        "forks without end",
        Status.PROCESS_LIMIT_EXCEEDED,
        Program(code="import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)"),
        {},
    ),
)
_WALLS = ("root", "privileges", "system_calls", "kernel", "processes", "agent", "environment")
_ADD = "from candidate import add\n\ndef test_small(): assert add(1, 2) == 3\n\ndef test_large(): assert add(40, 50) == 90\n"
_LIAR = "class Liar(int):\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
_CANDIDATES: tuple[tuple[str, str, Verdict | None], ...] = (
    ("right", "def add(a, b): return a + b", Verdict.ACCEPTED),
    ("wrong", "def add(a, b): return a - b", Verdict.WRONG_ANSWER),
    ("right once", "def add(a, b): return 3", Verdict.WRONG_ANSWER),
    ("raises", "def add(a, b): raise ValueError('no')", Verdict.RUNTIME_ERROR),
    ("does not parse", "def add(a, b) return", Verdict.INVALID_CANDIDATE),
    ("lacks the entry point", "def sub(a, b): return a - b", Verdict.INVALID_CANDIDATE),
    ("loops", "def add(a, b):\n    while True: pass", Verdict.TIMED_OUT),
    ("leaves with os._exit(0)", "import os\ndef add(a, b): os._exit(0)", None),
    ("leaves with sys.exit(0)", "import sys\ndef add(a, b): sys.exit(0)", None),
    ("skips the tests", "import pytest\ndef add(a, b): pytest.skip()", None),
    ("a value that equals everything", f"{_LIAR}def add(a, b): return Liar(0)", None),
    ("patches pytest", "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None", None),
    (
        "walks up to the tests",
        "import sys\ndef add(a, b):\n    frame = sys._getframe(1)\n    while frame:\n"
        "        frame.f_globals['add'] = lambda a, b: 90\n        frame = frame.f_back\n    return 3 if a == 1 else 0",
        None,
    ),
)
"""Name, candidate, verdict; None is any but accepted: these are wrong and try to pass."""
_TOGETHER = "tests and candidate ran in one interpreter (judging: together), where a candidate can forge what it likes"
_RESOURCES: tuple[tuple[str, Status, Program], ...] = (
    (
        "inodes",
        Status.DISK_EXCEEDED,
        Program(code="import itertools\nfor i in itertools.count(): open(f'f{i}', 'w').close()"),
    ),
    ("files in /tmp", Status.DISK_EXCEEDED, Program(argv=("sh", "-c", "cat /dev/zero > /tmp/big"))),
    ("files in /dev/shm", Status.DISK_EXCEEDED, Program(argv=("sh", "-c", "cat /dev/zero > /dev/shm/big"))),
    (
        "threads",
        Status.PROCESS_LIMIT_EXCEEDED,
        Program(code="import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"),
    ),
    (
        "fork bomb in orphans",
        Status.PROCESS_LIMIT_EXCEEDED,
        Program(
            code="import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass",
        ),
    ),
    (
        "memory in a child",
        Status.MEMORY_EXCEEDED,
        Program(code="import os\nif os.fork() == 0:\n    x = []\n    while True: x.append(b'x' * (1 << 24))\nos.wait()"),
    ),
    (
        "memory in many children",
        Status.MEMORY_EXCEEDED,
        Program(
            code="import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = b'x' * (100 << 20)\n"
            "        time.sleep(60)\n        os._exit(0)\nfor _ in range(8): os.wait()"
        ),
    ),
    (
        "memory in a memfd",
        Status.MEMORY_EXCEEDED,
        Program(code="import os\nf = os.memfd_create('x')\nwhile True: os.write(f, bytes(1 << 24))"),
    ),
    ("stderr", Status.OUTPUT_EXCEEDED, Program(code="import sys\nwhile True: print('x' * 1000, file=sys.stderr)")),
    ("both streams", Status.OUTPUT_EXCEEDED, Program(argv=("sh", "-c", "yes >&2 & yes"))),
    ("output of an orphan", Status.OUTPUT_EXCEEDED, Program(argv=("sh", "-c", "setsid yes & sleep 60"))),
)


def _judged(verdict: Verdict | None) -> Callable[[ExecutionResult], str]:
    def must(result: ExecutionResult) -> str:
        if verdict is None:
            forged = result.verdict is Verdict.ACCEPTED or result.verdict is Verdict.UNSCORED
            return f"got the verdict {result.verdict} ({result.judging})" if forged else ""
        return (
            ""
            if result.verdict is verdict
            else f"got the verdict {result.verdict} instead of {verdict}. {_last(result)}".rstrip()
        )

    return must


def _within_output(result: ExecutionResult) -> str:
    largest = max(len(result.stdout.encode()), len(result.stderr.encode()))
    return "" if largest <= LIMITS.output else f"kept {largest} bytes of output, more than the limit of {LIMITS.output}"


def _all_of(*musts: Callable[[ExecutionResult], str]) -> Callable[[ExecutionResult], str]:
    return lambda result: next((wrong for must in musts if (wrong := must(result))), "")


async def _closed_to_the_host(engine: Engine) -> str:
    """Listen on this host, and see that a run reaches none of it."""
    name = f"fumehood-{secrets.token_hex(8)}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("0.0.0.0", 0))
        tcp.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        result = await engine.execute(_look("network", str(tcp.getsockname()[1]), name), LIMITS)
    return _sealed("network")(result)


async def _surroundings_unchanged(engine: Engine) -> str:
    """Everything that a run can see is the same after one that changed what it could, times and numbers included."""
    limits = LIMITS.model_copy(update={"output": 1 * MiB, "wall_time": 60.0})
    first, between, second = [
        await engine.execute(_look(wall, engine.settings.isolation), limits) for wall in ("census", "disturb", "census")
    ]
    if wrong := _sealed("disturb")(between):
        return wrong
    before, after = _census(first), _census(second)
    if not before or not after:
        return f"the probe gave no valid report ({first.status}, {second.status}). {_last(second)}".rstrip()
    changed = sorted(what for what in before.keys() | after.keys() if before.get(what) != after.get(what))
    return f"what a later run sees differs: {', '.join(changed[:10])}" if changed else ""


def _census(result: ExecutionResult) -> dict[str, str]:
    """What a program that looked around saw; empty where it did not say."""
    with contextlib.suppress(ValueError, AttributeError):
        return dict(json.loads(result.stdout).items())
    return {}


async def _dies_under_a_run(engine: Engine) -> str:
    """Kill each container that a run gets, until the engine gives up: `sandbox_error`, unscored, and no reward."""
    from orchestrator.sandbox.engine import connect
    from orchestrator.sandbox.hardening import LABEL

    mark = f"{secrets.randbelow(10**9) + 10**6}"
    client = await asyncio.to_thread(connect)
    api = client.api

    def kill() -> None:
        for container in api.containers(filters={"label": f"{LABEL}=1"}):
            with contextlib.suppress(Exception):  # one that is gone by now, or has no process list yet
                if any(mark in " ".join(row) for row in api.top(container["Id"])["Processes"]):
                    api.kill(container["Id"])

    async def keep_killing() -> None:
        while True:
            await asyncio.to_thread(kill)
            await asyncio.sleep(0.05)

    killer = asyncio.create_task(keep_killing())
    try:
        result = await engine.execute(Program(argv=("sleep", mark)), LIMITS)
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
        await asyncio.to_thread(client.close)
    if result.reward is not None:
        return f"an infrastructure failure got the reward {result.reward}"
    return _ends(Status.SANDBOX_ERROR, Verdict.UNSCORED)(result)


async def _many_at_once(engine: Engine) -> str:
    """Right and hostile programs, mixed: each gets its own answer."""
    hostile = [Program(code=code) for code in ("1 / 0", "import os; os.kill(os.getpid(), 9)", "import os; os._exit(7)")]
    plain = [Program(code=f"print({number})") for number in range(6)]
    work = [program for pair in zip(plain, hostile * 2, strict=True) for program in pair]
    results = await asyncio.gather(*(engine.execute(program, LIMITS) for program in work))
    outputs = [result.stdout for result in results[::2]]
    if outputs != [f"{number}\n" for number in range(6)]:
        return f"answers were lost or mixed up: {outputs}"
    bad = [str(result.status) for result in results[1::2] if result.status not in (Status.RUNTIME_ERROR, Status.SIGNALLED)]
    return f"hostile programs ended with {', '.join(bad)}" if bad else ""


def checks() -> tuple[Check, ...]:
    """The suite."""
    found: list[Check] = []
    for name, status, program, changed in _STATUSES:
        step = Step(program, _all_of(_ends(status), _within_output), LIMITS.model_copy(update=changed))
        found.append(Check("statuses", name, (step,), serves_again=status not in (Status.OK, Status.RUNTIME_ERROR)))
    found.append(Check("statuses", "its sandbox dies", act=_dies_under_a_run, serves_again=True))
    found += [Check("isolation", wall, (Step(_look(wall), _sealed(wall)),)) for wall in _WALLS]
    found.append(Check("isolation", "network", act=_closed_to_the_host))
    found.append(
        Check("isolation", "leftovers", (Step(_look("plant"), _sealed("plant")), Step(_look("look"), _sealed("look")))),
    )
    found.append(Check("isolation", "surroundings", act=_surroundings_unchanged))
    for name, code, verdict in _CANDIDATES:
        step = Step(Program(code=code, tests=_ADD), _judged(verdict), LIMITS.model_copy(update={"cpu_time": 3.0}))
        found.append(Check("judging", name, (step,)))
    for name, status, program in _RESOURCES:
        found.append(
            Check("resources", name, (Step(program, _all_of(_ends(status), _within_output)),), serves_again=True),
        )
    descriptors = (
        "import os\nn = 0\ntry:\n    while n < 100000:\n        os.dup(0)\n        n += 1\nexcept OSError: pass\nprint(n < 10000)"
    )
    found.append(Check("resources", "descriptors", (Step(Program(code=descriptors), _says("True\n")),), serves_again=True))
    found.append(Check("recovery", "many at once", act=_many_at_once))
    return tuple(found)


def runtimes_here() -> tuple[str, ...]:
    """OCI runtimes that the engine has and that run Linux programs of ours: its default one, and runsc, kata, crun, youki.

    Raises:
        PrerequisiteError: no engine, or no permission.
    """
    from orchestrator.sandbox.engine import connect

    client = connect(timeout=15.0)
    try:
        info = client.info()
    finally:
        client.close()
    default = str(info.get("DefaultRuntime") or "runc")
    others = sorted(name for name in info.get("Runtimes") or {} if name.startswith(("runsc", "kata", "crun", "youki", "runc")))
    return (default, *(name for name in others if name != default))


async def self_check(
    settings: Settings | None = None,
    *,
    isolations: Sequence[Isolation] = ISOLATIONS,
    runtimes: Sequence[str] | None = None,
    groups: Iterable[Group] = GROUPS,
    make_engine: Callable[[Settings, Isolation], Engine] | None = None,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> SelfCheckReport:
    """Run the suite at each isolation level with each OCI runtime (by default those that the engine has).

    A level that the host refuses is one result, `unavailable`. A check that fails is a result, never an error.
    """
    settings = settings or Settings()
    wanted = set(groups)
    results: list[CheckResult] = []
    if runtimes is None:
        runtimes = (settings.runtime,) if settings.runtime else await asyncio.to_thread(runtimes_here)
    for runtime in runtimes:
        for isolation in isolations:
            chosen = settings.model_copy(update={"isolation": isolation, "runtime": runtime, "workers": 1})
            async for result in _suite(chosen, isolation, runtime, wanted, make_engine or _engine):
                results.append(result)
                on_result(result)
    return SelfCheckReport(results=tuple(results))


def _engine(settings: Settings, isolation: Isolation) -> Engine:
    # A container that serves one run would import everything again for each.
    return Engine(settings, limits=LIMITS, preload=isolation == "namespace")


async def _suite(
    settings: Settings, isolation: Isolation, runtime: str, groups: set[Group], make: Callable[[Settings, Isolation], Engine]
) -> AsyncIterator[CheckResult]:
    def check_result(group: Group, name: str, state: State, detail: str, started: float) -> CheckResult:
        spent = time.monotonic() - started
        return CheckResult(
            isolation=isolation, runtime=runtime, group=group, check=name, state=state, detail=detail, wall_time=spent
        )

    started = time.monotonic()
    try:
        async with make(settings, isolation) as engine:
            first = await engine.execute(PING.program, LIMITS)
            refused = PING.must(first) or ("" if first.isolation == isolation else f"runs got {first.isolation} instead")
            if refused:
                yield check_result("recovery", "a first run", "unavailable", refused, started)
                return
            for check in checks():
                if check.group not in groups:
                    continue
                started = time.monotonic()
                wrong, results = await _attempt(engine, check)
                state, detail = _state(check, wrong, results, isolation, runtime)
                yield check_result(check.group, check.name, state, detail, started)
                if check.serves_again and "recovery" in groups:
                    started = time.monotonic()
                    wrong = PING.must(await engine.execute(PING.program, PING.limits))
                    yield check_result("recovery", f"after: {check.name}", "failed" if wrong else "passed", wrong, started)
    except OrchestratorError as exc:
        yield check_result("recovery", "a first run", "unavailable", f"{exc.message} {exc.remedy}".strip(), started)


async def _attempt(engine: Engine, check: Check) -> tuple[str, list[ExecutionResult]]:
    results: list[ExecutionResult] = []
    if check.act is not None:
        return await check.act(engine), results
    for step in check.steps:
        try:
            results.append(await engine.execute(step.program, step.limits))
        except UsageError as exc:
            return exc.message, results
        if wrong := step.must(results[-1]):
            return wrong, results
    return "", results


def _state(check: Check, wrong: str, results: Sequence[ExecutionResult], isolation: str, runtime: str) -> tuple[State, str]:
    if not wrong:
        return "passed", ""
    if check.group == "judging" and results and results[-1].judging == "together" and results[-1].verdict is Verdict.ACCEPTED:
        return "exception", _TOGETHER
    name = f"{check.group}: {check.name}"
    for known in KNOWN:
        if known.check == name and known.isolation in ("", isolation) and runtime.startswith(known.runtime):
            return "exception", known.reason
    return "failed", wrong
