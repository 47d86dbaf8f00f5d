"""What the frames of `protocol.py` hold, as types, for both sides.

To a running sandbox they are nothing: what names them imports this file for the type checker alone, so no start pays for them.
What the host says holds for the agent as it stands here. What a sandbox says the host checks before it calls it so.

Left out: frames between the host and the process of cells, which is the session's own and can say anything (`sandbox/cells.py`).
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Stream = Literal["stdout", "stderr"]
Outlet = Literal["stdout", "stderr", "channel"]
"""What a command of a session writes to; into the channel only the process of cells does."""
Libraries = Literal["", "arrays", "tables"]
"""What a child has imported before it is given its work; see `zygote.py`."""
Told = Literal["", "candidate", "tests"]
"""Whose doing something was, where that is known."""


# Runs: from the host


class Limits(TypedDict):
    """What a run may use, in bytes and seconds; see `orchestrator.types.Limits`."""

    wall_time: float
    cpu_time: float
    memory: int
    output: int
    disk: int
    processes: int
    artifacts: int


class Work(TypedDict):
    """What a child is told of its run; see `orchestrator.types.Program`."""

    file: str
    module: str
    entry_point: str
    defines: list[str]
    in_place: bool
    argv: list[str]
    args: list[str]
    env: dict[str, str]
    artifacts: list[str]
    files: list[str]
    """Paths, in the order of their contents in the body."""
    parts: list[int]
    """Sizes of the parts of the body."""


Program = Literal["exec", "python", "pytest"]
"""Modes of a run that is one program."""
Parted = Literal["candidate", "judge"]
"""Modes of one side of a run that is judged apart."""


Mode = Program | Parted | Literal["apart"]
"""`apart` is both sides in one sandbox; for a side alone the other is in another one."""


class Job(Work):
    """A run. The body is stdin, `files`, `test_files`, and the sources of the sides that it has."""

    type: Literal["job"]
    mode: Mode
    test_files: list[str]
    limits: Limits
    heavy: bool
    """Whether it wants the libraries, whatever its own text says."""
    stream: bool
    """Whether its output is sent while it runs."""
    adjust: bool
    """Whether the container has other limits than these."""


class Go(TypedDict):
    """The limits are set."""

    type: Literal["go"]


class Stop(TypedDict):
    """The other side of the run is done."""

    type: Literal["stop"]


class Boundary(TypedDict):
    """Either way: the body is bytes from one side of a run to the other, in another container."""

    type: Literal["boundary"]
    end: bool
    """Whether they are the last."""


ToRuns = Job | Go | Boundary | Stop


# Runs: from the agent, of sessions as well where it begins


class Hello(TypedDict):
    """The agent is up."""

    type: Literal["hello"]
    version: int
    cgroup: int
    meter: bool
    """Whether it sees a cgroup of its own."""
    no_gpu: str
    """Why its GPU cannot be watched, or nothing."""
    refused: str
    """Why children get no namespaces, or nothing."""


class Warm(TypedDict):
    """Children wait."""

    type: Literal["warm"]


class Adjust(TypedDict):
    """Set the run's limits."""

    type: Literal["adjust"]
    resident: int
    """Bytes that the container holds already."""


class Again(TypedDict):
    """The run begins anew."""

    type: Literal["again"]


class Output(TypedDict):
    """The body is a piece of a run's output."""

    type: Literal["output"]
    stream: Stream


class Brought(TypedDict):
    """What a run brings out."""

    artifacts: list[tuple[str, int]]
    """Paths and sizes, in the order of their contents in the body."""
    artifact_errors: dict[str, str]


class Device(TypedDict):
    """A run on a GPU."""

    memory_peak: int | None
    left_over: str
    """What is still there after its end, or nothing."""


class Result(Brought):
    """What happened to a run. The body is stdout, stderr and the artefacts."""

    type: Literal["result"]
    status: str
    detail: str
    exit_code: int | None
    signal: int | None
    wall_time: float
    cpu_time: float
    memory_peak: int
    stdout_truncated: bool
    stderr_truncated: bool
    events: list[Event]
    attack: list[str]
    log: str
    """The last that the test side wrote."""
    stages: dict[str, float]
    """Seconds by stage."""
    output: list[int]
    """Sizes of stdout and of stderr."""
    gpu: NotRequired[Device]
    libraries: NotRequired[Libraries]
    """Which libraries it had imported ahead, as the agent adds at the end."""


FromRuns = Hello | Warm | Adjust | Again | Output | Boundary | Result


# What a test side reports, a line each


class Collected(TypedDict):
    """Tests by their names."""

    event: Literal["collected"]
    tests: list[str]


class Deselected(TypedDict):
    """Tests that are not run."""

    event: Literal["deselected"]
    count: int


class CollectionError(TypedDict):
    """There are no tests to run."""

    event: Literal["collection_error"]
    message: str
    side: Told


class Test(TypedDict):
    """What came of a test; see `orchestrator.types.TestResult`."""

    event: Literal["test"]
    name: str
    outcome: Literal["passed", "failed", "error", "skipped"]
    message: str
    side: Told
    proved: bool
    basis: Literal["", "data", "line_up", "word"]
    circular: NotRequired[bool]
    broken: NotRequired[bool]
    """Whether the boundary broke under it. The agent keeps that to itself."""


class Received(TypedDict):
    """The candidate was handed something."""

    event: Literal["received"]


class NotApart(TypedDict):
    """These tests cannot be judged apart."""

    event: Literal["not_apart"]
    message: str


class Doubt(TypedDict):
    """A test is failing, and has not ended."""

    event: Literal["doubt"]
    name: str
    message: str


class Tampered(TypedDict):
    """The candidate tried to change how it is judged."""

    event: Literal["tampered"]
    what: str


class Finished(TypedDict):
    """All tests were run."""

    event: Literal["finished"]
    exit_status: int
    broken: NotRequired[bool]
    unsure: list[str]


class Malformed(TypedDict):
    """Something that no honest side writes."""

    event: Literal["malformed"]


Event = Collected | Deselected | CollectionError | Test | Received | NotApart | Doubt | Tampered | Finished | Malformed


# Runs: between the agent and a child of its own


class Order(Work):
    """A child's work. The body is its files, and then its source where it is no file."""

    mode: Program | Parted
    disk: int
    cpu_time: float
    artifact_bytes: int
    fds: list[str]
    """What the descriptors are that come with it."""
    gpu_memory_fraction: NotRequired[float]


class NotBegun(TypedDict):
    """Why a child did not begin: by its program's fault (`refused`) or by ours."""

    type: Literal["refused", "failed"]
    detail: str


class Report(Brought):
    """The last words of a program's init. The body is the artefacts."""

    type: Literal["report"]
    status: int
    """Wait status of the program."""
    disk_used: int
    disk_full: bool


# Sessions: from the host


class Bounds(TypedDict):
    """What each command of a session may use."""

    processes: int
    cpu_time: float
    """Seconds; 0 for no bound."""
    wide: NotRequired[bool]
    """Whether much will go through its streams, as the agent adds."""


class Exec(Bounds):
    """A command line."""

    mode: Literal["exec"]
    argv: list[str]
    cwd: str
    env: dict[str, str]


class CellsOf(Bounds):
    """The process of the cells."""

    mode: Literal["cells"]
    env: dict[str, str]


class Read(Bounds):
    """A file's content, of at most `size` bytes, to stdout."""

    mode: Literal["read"]
    path: str
    size: int


class Write(Bounds):
    """A file's content, of `size` bytes, from stdin."""

    mode: Literal["write"]
    path: str
    size: int


class List(Bounds):
    """What is in a folder, to stdout as JSON."""

    mode: Literal["list"]
    path: str


Errand = Exec | CellsOf | Read | Write | List


class Begin(TypedDict):
    """Somebody has the session."""

    type: Literal["begin"]
    ttl: float


class Start(TypedDict):
    """A command. The body is the beginning of its input."""

    type: Literal["start"]
    id: int
    work: Errand
    timeout: float | None
    output: int | None
    """Bytes of stdout, and of stderr, that are passed on; None for all."""
    end: bool
    """Whether its input ends with this."""


class Input(TypedDict):
    """The body is more input."""

    type: Literal["input"]
    id: int
    end: bool


class Signal(TypedDict):
    """Send a signal to its process group."""

    type: Literal["signal"]
    id: int
    number: int


class Kill(TypedDict):
    """Kill it, and all that it started."""

    type: Literal["stop"]
    id: int


ToSession = Begin | Start | Input | Signal | Kill


# Sessions: from the agent


class Begun(TypedDict):
    """The session is somebody's."""

    type: Literal["begun"]


class Taken(TypedDict):
    """So much of its input was taken."""

    type: Literal["taken"]
    id: int
    size: int


class Said(TypedDict):
    """The body is a piece of what a command wrote."""

    type: Literal["output"]
    id: int
    stream: Outlet


class Ended(TypedDict):
    """What became of a command. What follows the detail is there where it began."""

    type: Literal["ended"]
    id: int
    status: str
    detail: str
    exit_code: NotRequired[int | None]
    signal: NotRequired[int | None]
    wall_time: NotRequired[float]
    cpu_time: NotRequired[float]
    stdout_truncated: NotRequired[bool]
    stderr_truncated: NotRequired[bool]


FromSession = Hello | Warm | Begun | Taken | Said | Ended
