"""Values that cross a room or a wire.

Seconds are floats, sizes are bytes. Every model is frozen: a value that was recorded does not change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from orchestrator.documented import Documented
from orchestrator.printable import counted
from orchestrator.shown import IN_PYTHON, Ways, hints_for, page

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB
_LAST_WORDS = 4000
"""Characters of stderr in which a program's end is looked for."""


class Value(BaseModel, metaclass=Documented):
    """Base of every value here: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Status(StrEnum):
    """What happened to the process."""

    OK = "ok"
    RUNTIME_ERROR = "runtime_error"
    SIGNALLED = "signalled"
    TIMED_OUT_WALL = "timed_out_wall"
    TIMED_OUT_CPU = "timed_out_cpu"
    MEMORY_EXCEEDED = "memory_exceeded"
    OUTPUT_EXCEEDED = "output_exceeded"
    DISK_EXCEEDED = "disk_exceeded"
    PROCESS_LIMIT_EXCEEDED = "process_limit_exceeded"
    SANDBOX_ERROR = "sandbox_error"


class Verdict(StrEnum):
    """Whether the work is right."""

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    TIMED_OUT = "timed_out"
    MEMORY_EXCEEDED = "memory_exceeded"
    OUTPUT_EXCEEDED = "output_exceeded"
    RESOURCE_EXCEEDED = "resource_exceeded"
    INVALID_CANDIDATE = "invalid_candidate"
    INVALID_TESTS = "invalid_tests"
    TAMPERED = "tampered"
    UNSCORED = "unscored"


class TestOutcome(StrEnum):
    """What one collected test did."""

    __test__ = False  # pytest collects classes by their name
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Limits(Value):
    """What one run may use. The whole sandbox counts, child processes included."""

    wall_time: Annotated[float, Field(gt=0, le=86400)] = 30.0
    """Seconds from start to kill, sleeping included."""
    cpu_time: Annotated[float, Field(gt=0, le=86400)] = 20.0
    """CPU seconds of all processes together."""
    memory: Annotated[int, Field(ge=64 * MiB)] = 2 * GiB
    """Bytes for the whole sandbox: processes, files in tmpfs and page cache that cannot be dropped."""
    output: Annotated[int, Field(ge=0, le=64 * MiB)] = 1 * MiB
    """Bytes kept of stdout and, separately, of stderr; one byte more ends the run."""
    disk: Annotated[int, Field(ge=1 * MiB)] = 128 * MiB
    """Bytes the run may keep in its work folder (a tmpfs)."""
    processes: Annotated[int, Field(ge=1, le=4096)] = 128
    """Processes and threads alive at once."""
    artifacts: Annotated[int, Field(ge=0, le=256 * MiB)] = 16 * MiB
    """Bytes of all artefacts together that are carried out."""


class Program(Value):
    """What a sandbox is asked to run.

    Exactly one of `code` (a Python program), `argv` (any command), or `code` with `tests` (a pytest run).
    """

    code: str | None = None
    """Python source. Without `tests` it runs as `__main__`; with them it is the module `module`."""
    tests: str | None = None
    """pytest source that imports the candidate by the name in `module`."""
    module: str = "candidate"
    """Import name of `code` when there are tests. With dots it is a module of a package, whose other modules are in `files`:
    such a program is judged together."""
    file: str = "main.py"
    """Name of `code` in the work folder when there are no tests, as tracebacks and `sys.argv[0]` show it."""
    entry_point: str = ""
    """Where `tests` define `check(candidate)` (HumanEval): the function of `code` that is passed to it."""
    defines: tuple[str, ...] = ()
    """What else the task has the candidate define. Tests may use these names, and the entry point, without an import; any other
    name that they do not define themselves is their own fault. With neither given, names that they call are the candidate's."""
    judging: Literal["auto", "apart", "together"] = "auto"
    """Candidate and tests in two sandboxes (apart) or in one interpreter (together). `auto` is apart wherever the tests allow
    it; `apart` makes it an error where they do not."""
    in_place: bool = False
    """Judged apart, values that can change are shared between candidate and tests, as in one interpreter: what a function does
    to its arguments is seen by the tests. A candidate can use that to change what it is compared with, so it is for tasks that
    are about changing arguments. Without it they are copies, and shared as well where copies may have hidden something."""
    argv: tuple[str, ...] | None = None
    """A command line instead of Python source; found on PATH inside the sandbox."""
    args: tuple[str, ...] = ()
    """`sys.argv[1:]` for `code`."""
    stdin: bytes = b""
    """What it reads. With `tests` it is the candidate's."""
    env: dict[str, str] = {}
    """Environment variables, besides PATH, HOME, TMPDIR and LANG."""
    files: dict[str, bytes] = {}
    """Relative path -> content, placed in the work folder before the start. The candidate's, where there are tests."""
    test_files: dict[str, bytes] = {}
    """Files of the tests alone: data that they read, modules that they import. Judged apart the candidate never has them;
    together it does, in the one work folder."""
    artifacts: tuple[str, ...] = ()
    """Relative paths that are carried out after the run; in patterns `*` crosses folders, `**/` stands for any or none."""

    @property
    def tests_file(self) -> str:
        """Name of `tests` in the sandbox, as tracebacks show it."""
        return f"test_{self.module.rpartition('.')[2]}.py"


Basis = Literal["", "data", "line_up", "word"]
"""What a result rests on, the strongest first: values that crossed and were compared on the tests' side; answers that a candidate
could single out only by knowing; or what the candidate says of itself. Empty where that is not known."""


class TestResult(Value):
    """One test's outcome, as the test side reported it."""

    __test__ = False
    name: str
    """As pytest has it, without the file: `test_a`, `TestB::test_c[1]`."""
    outcome: TestOutcome
    """`passed`, `failed`, `error` or `skipped`."""
    message: str = ""
    """For a failure: the assertion or exception, and the last frames, cut to a few KiB."""
    side: Literal["", "candidate", "tests"] = ""
    """Whose file the innermost frame of the traceback lies in."""
    proved: bool = False
    """For a failure: the tests fail with it whatever the candidate does (a missing import, an undefined name or fixture)."""
    basis: Basis = ""
    """What a test that was judged apart rests on."""
    circular: bool = False
    """Judged with values shared: it compares what the candidate gave with what that had changed, and with nothing else."""

    def __repr__(self) -> str:
        return f"<TestResult: {self.outcome} {self.name}{': ' if self.message else ''}{self.message.partition(chr(10))[0]}>"

    __str__ = __repr__


class RunReport(Value):
    """What a sandbox reports of one run: facts, no judgement."""

    status: Status
    """What happened to the process: `ok`, `runtime_error`, a limit that was hit, or `sandbox_error`, which is not its fault."""
    tests: tuple[TestResult, ...] = ()
    """Those that reported."""
    tests_collected: int = 0
    """How many there are."""
    tests_complete: bool = False
    """True when the test side collected at least one test and every collected test ran and reported."""
    collection_error: str = ""
    """Why tests could not be collected, as pytest says it."""
    collection_error_side: Literal["", "candidate", "tests"] = ""
    """Whose file the collection error was raised in."""
    received: bool = False
    """Judged apart: the tests had something of the candidate's. What befalls them from then on is not their fault."""
    not_apart: str = ""
    """What the tests did that cannot be done to a candidate judged apart, and that ended the run; one sentence."""
    wall_time: float = 0.0
    """Seconds from start to end, waiting included."""
    cpu_time: float = 0.0
    """CPU seconds of all processes together."""
    memory_peak: int = 0
    """Bytes of the whole sandbox at its fullest."""
    gpu_memory_peak: int | None = None
    """Bytes on the GPU; None without one."""
    exit_code: int | None = None
    """None where a signal ended the process, or where it never ran."""
    signal: int | None = None
    """The number of the signal that ended it."""
    stdout: str = ""
    """At most `limits.output` bytes of it, as UTF-8; invalid bytes are replaced."""
    stderr: str = ""
    """As `stdout`."""
    stdout_truncated: bool = False
    """Whether there was more."""
    stderr_truncated: bool = False
    """Whether there was more."""
    artifacts: dict[str, bytes] = {}
    """Relative path -> content of the files that were asked for."""
    artifact_errors: dict[str, str] = {}
    """Relative path -> why it was not carried out (too large, a link, not a plain file)."""
    isolation: Literal["container", "namespace", "scripted"] = "container"
    """What the run had of its own: a whole container, or namespaces inside one."""
    image: str = ""
    """Digest (image id) of the sandbox image."""
    unsure: tuple[str, ...] = ()
    """Judged apart: what copies of values may have hidden from the tests, or what was shared that nobody had declared."""
    detail: str = ""
    """For `sandbox_error` and limits: one sentence."""
    attack: tuple[str, ...] = ()
    """What was seen of an attempt on the judge, the worker or the host."""
    stages: dict[str, float] = {}
    """Seconds by stage (queue, transport, fork, namespaces, import, run, judge, teardown), as far as they were taken."""


class ExecutionResult(RunReport):
    """A run and what it is worth."""

    verdict: Verdict | None = None
    """None for a plain program without tests that ended well: nothing was judged."""
    reward: float | None = None
    """None for `unscored`, for `invalid_tests`, and for runs without tests, unless they were `tampered`."""
    judging: Literal["together", "apart", "none"] = "none"
    """Where the tests ran: in a sandbox of their own, or in the candidate's interpreter, where it could forge them."""
    basis: Basis = ""
    """Judged apart: the weakest that a test rests on."""
    attempts: int = 1
    """How often the run was sent: more than 1 means that sandboxes died under it, that the host was too busy to judge, or that it
    turned out that the tests need the candidate in their own interpreter. Failures of any attempt count; output and measures are
    those of the last."""

    @property
    def hints(self) -> list[str]:
        """Sentences on what the sandbox lacked and how to give it: a package, a file, the network, input. Not recorded."""
        return self.hints_beside()

    def hints_beside(self, *tests: str, ways: Ways = IN_PYTHON) -> list[str]:
        """The same by somebody who knows the source of the tests, for readers who have other `ways` to give things."""
        if self.verdict is Verdict.ACCEPTED or (self.verdict is None and self.status is Status.OK):
            return []
        return hints_for(
            [self.stderr[-_LAST_WORDS:], self.collection_error, *(test.message for test in self.tests)], tests, ways=ways
        )

    def __repr__(self) -> str:
        return f"<ExecutionResult: {self._title()}, {', '.join(self._facts())}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = [(str(test.outcome), test.name, test.message) for test in self.tests]
        texts = {"what helps": "\n".join(self.hints), "why": self.detail, "tests could not be collected": self.collection_error}
        texts |= {"stdout": self.stdout, "stderr": self.stderr}
        return page(self._title(), self._facts(), rows, [(name, text) for name, text in texts.items() if text])

    def _title(self) -> str:
        return str(self.status) if self.verdict is None else f"{self.verdict} (status {self.status})"

    def _facts(self) -> list[str]:
        passed = sum(test.outcome is TestOutcome.PASSED for test in self.tests)
        counts = [f"{passed} of {counted(len(self.tests), 'test')} passed"] if self.tests else []
        judged = [f"reward {self.reward}", f"judging: {self.judging}"] if self.judging != "none" else []
        ended = [f"exit code {self.exit_code}"] if self.exit_code else []
        measures = [f"{self.wall_time:.2f} s", f"{self.cpu_time:.2f} s CPU", f"{self.memory_peak / MiB:.0f} MiB"]
        return [*judged, *counts, *ended, *measures]


class ExecResult(Value):
    """One command of a session: facts, as far as the agent saw them itself, and the command's own output."""

    status: Status
    exit_code: int | None = None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    stdout_truncated: bool = False
    """Whether it wrote more than the limit, of which this is the beginning. Then it was killed (`output_exceeded`)."""
    stderr_truncated: bool = False
    wall_time: float = 0.0
    cpu_time: float = 0.0
    """Of all its processes that have ended."""
    detail: str = ""
    """For limits and signals: one sentence."""


class CellError(Value):
    """An exception that ended a cell."""

    name: str
    """Of its class."""
    message: str = ""
    traceback: str = ""


class CellResult(Value):
    """One cell: what the Python process that ran it says, except `status`, times and `state_lost`."""

    status: Status
    """`ok`, or `runtime_error` where an exception ended it; otherwise what happened to its process."""
    value: str | None = None
    """The repr of its last expression; None where that is None, or no expression. One of more than 262,144 characters is cut, and
    ends in how many there were: `... (1048578 characters)`."""
    stdout: str = ""
    """At most `limits.output` bytes of it, as UTF-8; invalid bytes are replaced."""
    stderr: str = ""
    """As `stdout`."""
    stdout_truncated: bool = False
    """Whether there was more. Then the cell was interrupted (`output_exceeded`)."""
    stderr_truncated: bool = False
    """As `stdout_truncated`."""
    error: CellError | None = None
    """The exception that ended it, KeyboardInterrupt where it was interrupted."""
    pictures: tuple[bytes, ...] = ()
    """Figures of matplotlib that were open at its end, as PNG."""
    wall_time: float = 0.0
    """Seconds from start to end."""
    state_lost: bool = False
    """Whether the process ended with the cell, so that the next one starts with nothing."""
    detail: str = ""
    """For limits and signals: one sentence."""


class Entry(Value):
    """What a folder of a session holds under one name."""

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int = 0
    """Bytes of a file."""


class Message(Value):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(Value):
    """How completions are drawn."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 0.2
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_new_tokens: Annotated[int, Field(ge=1)] = 768
    n: Annotated[int, Field(ge=1, le=256)] = 1
    seed: int | None = None
    """Completion i of n is drawn with `seed + i`."""
    stop: tuple[str, ...] = ()
    json_schema: dict[str, object] | None = None
    """Constrains the answer to JSON of this schema where the server offers it."""
    logprobs: bool = False


class Usage(Value):
    """Tokens as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


class Completion(Value):
    """One answer of a model."""

    text: str
    finish_reason: Literal["stop", "length", "other"] = "stop"
    reason: str = ""
    """Why it ended, in the server's own word."""
    reasoning: str = ""
    """What the model thought, where the server keeps that apart from the answer."""
    refused: str = ""
    """What the server said when it did not take the prompt: then there is no answer at all."""
    without: tuple[str, ...] = ()
    """Fields of the sampling that the server refuses, so that the answer was drawn without them."""
    usage: Usage = Usage()
    seed: int | None = None
    wall_time: float = 0.0
    logprobs: tuple[float, ...] | None = None

    @property
    def was_drawn(self) -> bool:
        """Whether a model wrote it, and no file or baseline gave it."""
        return bool(self.usage.prompt_tokens or self.usage.completion_tokens or self.wall_time)


class ModelInfo(Value):
    """Which model answers, as far as the server says."""

    model: str
    server: Literal["tgi", "openai", "llama.cpp", "scripted"] = "openai"
    sha: str = ""
    """Revision (TGI) or sha256 of the weights (embedded server); empty where it is not known."""
    max_total_tokens: int | None = None


class Fault(StrEnum):
    """Whose failure an attempt was."""

    NONE = "none"
    CANDIDATE = "candidate"
    TESTS = "tests"
    FORMAT = "format"
    """The completion held no usable code: prose, cut off, wrong entry point, an echo."""
    RESOURCE_LIMIT = "resource_limit"
    SANDBOX = "sandbox"


class OwnTests(Value):
    """What tests that the model wrote said of a candidate that it wrote, by their names."""

    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    """Those that this candidate showed to be wrong."""


class Attempt(Value):
    """One completion of a model and everything that became of it."""

    task: str
    index: int
    """Place in the order of this task's attempts, from 0; (run, task, index) is the key in the run store."""
    kind: Literal["candidate", "tests", "control"] = "candidate"
    """`control` are candidates that were drawn for comparison, independently and without correction."""
    round: int = 0
    """0 is the first try, 1 the first correction."""
    sample: int = 0
    """Which of the samples drawn in that round."""
    parent: int | None = None
    """`index` of the attempt that this one corrects."""
    messages: tuple[Message, ...] = ()
    sampling: Sampling = Sampling()
    completion: Completion
    code: str = ""
    """What was extracted; empty where nothing usable was found."""
    fault: Fault = Fault.NONE
    feedback: str = ""
    """The smallest useful failure, from visible evidence alone: what a correction prompt shows."""
    hint: str = ""
    """What usually helps against that, in one sentence."""
    blamed: tuple[str, ...] = ()
    """Names of the model-written tests that `fault` follows from."""
    own_tests: OwnTests | None = None
    """What the model's own tests said; None where they were not run."""
    score: float = 0.0
    """How good it is as a starting point, by visible evidence: higher is better."""
    done: bool = False
    """It ended the search for an answer of its kind."""
    same_as: int | None = None
    """`index` of the attempt that it repeats, and whose result it has."""
    extracted: bool = False
    """The completion was recorded elsewhere and is the answer of a chat, the code in which was judged."""
    details: dict[str, JsonValue] = {}
    """What its application reads back, as one type of the application's writes it."""
    evidence: dict[str, object] = {}
    """Facts behind `fault`, for people: nothing is decided by them."""
    report: ExecutionResult | None = None
    """The judged run with visible checks."""
    hidden: ExecutionResult | None = None
    """The judged run with hidden tests; never shown to a model."""
    verdict: Verdict = Verdict.UNSCORED
    reward: float | None = None
    created: float = 0.0
    """Seconds since the epoch."""


class RunRecord(Value):
    """One job in the run store."""

    id: str
    kind: str
    """Application, for example `solve-loss`."""
    state: Literal["running", "interrupted", "finished", "failed"] = "running"
    config: dict[str, object] = {}
    """Everything needed to continue it, seeds included."""
    model: ModelInfo | None = None
    image: str = ""
    created: float = 0.0
    finished: float | None = None
    summary: dict[str, object] = {}
    owner: str = ""
    """The process that last took it up, as `processes.owner` names it."""


class Event(Value):
    """What a workflow reports to the person who watches it."""

    kind: Literal["task_started", "round_started", "token", "attempt_finished", "task_finished", "note"]
    task: str = ""
    round: int = 0
    sample: int = 0
    text: str = ""
    """The piece of text for `token`; one sentence for `note`."""
    attempt: Attempt | None = None
    verdict: Verdict | None = None
    """For `task_finished`."""
    attempts: int = 0
    """For `task_finished`: how many it took."""
    wall_time: float = 0.0
    """For `task_finished`: seconds."""


class IOCase(Value):
    """One input of a program that reads stdin and writes stdout, and the output that is right for it."""

    stdin: str = ""
    expected: str
    """Never enters the candidate's sandbox."""
    name: str = ""
    """Empty means its place in the list."""
    args: tuple[str, ...] = ()
    """Arguments after the program's own."""
    files: dict[str, bytes] = {}
    """Beside the program's own."""


class CheckerSource(Value):
    """Python source that decides what is right; it runs in a sandbox of its own, never here and never with a candidate.

    For outputs it defines `check(stdin: str, expected: str, got: str)`, for artefacts `check(artefacts: Path, data: Path)`.
    It returns True, False, or a string that says what is wrong; for artefacts also a dict of these by name.
    """

    code: str
