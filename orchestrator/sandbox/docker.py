"""The Docker provider: one hardened container per sandbox, spoken to over its attached stdin and stdout.

Works with a remote DOCKER_HOST: needs no shared folder and no network. A container runs one program and is destroyed.
Left out: keeping containers warm (`pool.py`) and building the image (`image.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from orchestrator.errors import PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.sandbox import protocol, seccomp
from orchestrator.sandbox.engine import connect
from orchestrator.types import Limits, MiB, Program, RunReport, Status, TestOutcome, TestResult, Value

LABEL = "fumehood.sandbox"
OWNER = "fumehood.owner"
_UID = 10001
_ROOM = 16
"""Processes and threads the agent and the waiting child need beside the program's."""
_START_TIMEOUT = 120.0
"""Seconds a container may take to say that it is warm, on a busy host."""
_GRACE = 15.0
"""Seconds beyond the wall-time limit before a silent agent counts as dead."""
_T = TypeVar("_T")


class ContainerSpec(Value):
    """How sandbox containers are made."""

    image: str
    """Tag or id of the sandbox image."""
    limits: Limits = Limits()
    """What containers are made for; a run with other limits adjusts its container before it starts."""
    cpus: float = Field(default=1.0, gt=0)
    runtime: str = ""
    """OCI runtime; empty means the engine's default."""
    gpus: str = ""
    """Empty for none, `all`, or one device's id or index (also a MIG slice's)."""
    preload: bool = True
    """Whether a child with numpy, torch and pytest imported waits in each container."""


def owner() -> str:
    """This process as sandboxes name it: machine, pid and start time, so that a reused pid is told apart."""
    return f"{_machine()}:{os.getpid()}:{_start_time(os.getpid())}"


def _machine() -> str:
    """The space in which a pid means one process: this boot, and this PID namespace (an orchestrator may be a container)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"


def _start_time(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(who: str) -> bool:
    """Whether the process that made a sandbox may still be using it. A process of another machine may."""
    machine, _, rest = who.partition(":")
    pid, _, started = rest.partition(":")
    return machine != _machine() or (pid.isdigit() and bool(started) and _start_time(int(pid)) == started)


def container_options(spec: ContainerSpec, name: str) -> dict[str, Any]:
    """Arguments for the engine's low-level `create_container` and `create_host_config`: the hardening, in one place."""
    limits = spec.limits
    host: dict[str, Any] = {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp.profile()}"],
        "pids_limit": limits.processes + _ROOM,
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,  # equal means no swap
        "nano_cpus": int(spec.cpus * 1e9),
        "shm_size": min(limits.disk, 64 * MiB),
        "tmpfs": {"/box": f"rw,exec,nosuid,nodev,size={limits.disk},nr_inodes=16384,mode=0700,uid={_UID},gid={_UID}"},
        "ipc_mode": "private",
        "oom_score_adj": 500,
        "log_config": {"Type": "none", "Config": {}},
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 1024, "Hard": 1024}],
    }
    if spec.runtime:
        host["runtime"] = spec.runtime
    if spec.gpus:
        request: dict[str, Any] = {"Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]]}
        host["device_requests"] = [request | ({"Count": -1} if spec.gpus == "all" else {"DeviceIDs": [spec.gpus]})]
    threads = str(max(1, round(spec.cpus)))
    return {
        "host": host,
        "container": {
            "image": spec.image,
            "name": name,
            "hostname": "sandbox",
            "user": f"{_UID}:{_UID}",
            "stdin_open": True,
            "detach": False,  # makes the engine close stdin, and so end the agent, when this process dies
            "labels": {LABEL: "1", OWNER: owner()},
            "environment": {
                "FUMEHOOD_PRELOAD": "1" if spec.preload else "0",
                "OMP_NUM_THREADS": threads,
                "OPENBLAS_NUM_THREADS": threads,
            },
        },
    }


class _Channel:
    """The attached stream of a container: bytes in, multiplexed bytes out. Blocking; used by one thread at a time."""

    def __init__(self, attached: Any) -> None:
        self._keep = attached  # the SDK's object owns the connection
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._out = bytearray()
        self._raw = bytearray()
        self.log = bytearray()
        """The agent's own stderr, last bytes, for error messages."""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def set_deadline(self, deadline: float) -> None:
        """Monotonic time after which reading raises TimeoutError."""
        self._deadline = deadline

    def read_exactly(self, count: int) -> bytes:
        while len(self._out) < count:
            self._receive()
        data = bytes(self._out[:count])
        del self._out[:count]
        return data

    def _receive(self) -> None:
        while len(self._raw) < 8 or len(self._raw) < 8 + struct.unpack(">I", self._raw[4:8])[0]:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(1 << 18)
            if not data:
                raise EOFError
            self._raw += data
        size = struct.unpack(">I", self._raw[4:8])[0]
        payload = self._raw[8 : 8 + size]
        if self._raw[0] == 1:
            self._out += payload
        else:
            self.log = (self.log + payload)[-4000:]
        del self._raw[: 8 + size]

    def close(self) -> None:
        # shutdown wakes a thread that is blocked in recv; close alone would leave it there
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # The SDK's stream, the HTTP response under it and the socket each hold the descriptor.
        for part in (self._keep, getattr(self._keep, "_response", None), self._socket):
            with contextlib.suppress(Exception):
                part.close()  # type: ignore[union-attr]


class DockerSandbox:
    """One container, one run."""

    def __init__(self, provider: DockerProvider, container: str, channel: _Channel, spec: ContainerSpec) -> None:
        self._provider, self.container, self._channel, self._spec = provider, container, channel, spec
        self._closed = False
        self.spent = False

    async def run(self, program: Program, limits: Limits, on_output: Callable[[str, bytes], None] | None = None) -> RunReport:
        """Run a program; see `base.Sandbox`."""
        if self.spent or self._closed:
            raise SandboxUnavailable("This sandbox was used already; a sandbox runs one program.")
        self.spent = True
        header, body = pack(program, limits)
        loop = asyncio.get_running_loop()

        def deliver(stream: str, chunk: bytes) -> None:
            if on_output is not None:
                loop.call_soon_threadsafe(on_output, stream, chunk)

        try:
            return await self._provider.in_thread(self._run, header, body, limits, deliver)
        except asyncio.CancelledError:
            await asyncio.shield(self.close())
            raise

    def _run(self, header: dict[str, Any], body: bytes, limits: Limits, deliver: Callable[[str, bytes], None]) -> RunReport:
        made_for = self._spec.limits
        header["adjust"] = (limits.memory, limits.processes) != (made_for.memory, made_for.processes)
        output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._channel.set_deadline(time.monotonic() + limits.wall_time + _GRACE)
        try:
            self._channel.send(protocol.encode(header, body))
            while True:
                frame, payload = protocol.read(self._channel.read_exactly)
                if frame["type"] == "output" and frame.get("stream") in output:
                    kept = output[frame["stream"]]
                    kept += payload[: max(0, limits.output - len(kept))]
                    deliver(frame["stream"], payload)
                elif frame["type"] == "adjust":
                    if refusal := self._adjust(limits):
                        return RunReport(status=Status.MEMORY_EXCEEDED, detail=refusal, image=self._provider.image_id)
                    self._channel.send(protocol.encode({"type": "go"}))
                elif frame["type"] == "result":
                    return read_result(frame, payload, output, limits, self._provider.image_id)
                else:
                    raise SandboxUnavailable(f"The sandbox sent an unexpected {frame['type']!r} frame.")
        except (EOFError, OSError) as exc:
            return self._explain_death(exc, limits)
        except protocol.ProtocolError as exc:
            raise SandboxUnavailable(f"The sandbox broke the protocol: {exc}") from exc

    def _adjust(self, limits: Limits) -> str:
        """Set the run's limits on the container. Returns why its memory cannot be that small, or an empty string."""
        import docker.errors

        api = self._provider.api
        config = {"Memory": limits.memory, "MemorySwap": limits.memory, "PidsLimit": limits.processes + _ROOM}
        try:
            api._raise_for_status(api._post_json(api._url("/containers/{0}/update", self.container), data=config))
        except docker.errors.APIError as exc:
            if "memory" in str(exc.explanation):  # the kernel cannot reclaim what the imported libraries hold
                return f"{limits.memory} bytes are less than the program's interpreter and libraries hold before it starts."
            raise SandboxUnavailable(f"The engine did not apply the run's limits: {exc.explanation}") from exc
        return ""

    def _explain_death(self, exc: Exception, limits: Limits) -> RunReport:
        """The agent fell silent: the program's memory killed it, or the sandbox died."""
        state: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            for _ in range(20):  # the engine learns of an exit a moment after the stream ended
                state = self._provider.api.inspect_container(self.container)["State"]
                if not state.get("Running"):
                    break
                time.sleep(0.05)
        if state.get("OOMKilled") and not state.get("Running"):
            detail = f"The sandbox died at {limits.memory} bytes of memory."
            return RunReport(status=Status.MEMORY_EXCEEDED, detail=detail, image=self._provider.image_id)
        log = self._channel.log.decode("utf-8", "replace").strip().splitlines()
        what = "fell silent" if isinstance(exc, TimeoutError) else "died"
        raise SandboxUnavailable(
            f"The sandbox {what} while a program ran in it (state: {state.get('Status', 'gone')}, "
            f"exit code {state.get('ExitCode', 'unknown')}{', last words: ' + log[-1] if log else ''})."
        ) from exc

    async def close(self) -> None:
        """Destroy the container. Safe to call twice."""
        if not self._closed:
            self._closed = True
            await self._provider.in_thread(self._destroy)

    def _destroy(self) -> None:
        self._channel.close()
        self._provider.remove(self.container)


class DockerProvider:
    """Makes sandboxes of one specification on the engine of the environment (DOCKER_HOST or the local socket).

    Raises (constructor):
        PrerequisiteError: no engine, no permission, or the image is missing.
    """

    def __init__(self, spec: ContainerSpec) -> None:
        self._client = connect()
        self.api: Any = self._client.api
        self.spec = spec
        self.image_id = self._find_image(spec.image)
        self._live: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(max_workers=512, thread_name_prefix="fumehood-docker")

    def _find_image(self, image: str) -> str:
        import docker.errors

        try:
            return str(self.api.inspect_image(image)["Id"])
        except docker.errors.ImageNotFound as exc:
            raise PrerequisiteError(f"The sandbox image {image} is not there.", remedy="Run `fumehood image build`.") from exc

    async def in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a blocking call of the engine beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def create(self) -> DockerSandbox:
        """Start a container and wait until it is warm.

        Raises:
            SandboxUnavailable: the engine refused, or the agent did not come up.
        """
        start = asyncio.get_running_loop().run_in_executor(self._threads, self._create)
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            # The thread cannot be stopped half-way: let it finish, then destroy what it made.
            start.add_done_callback(_destroy_late)
            raise

    def _create(self) -> DockerSandbox:
        if self._closed:
            raise SandboxUnavailable("The provider is closed.")
        name = f"fumehood-{uuid.uuid4().hex[:12]}"
        options = container_options(self.spec, name)
        channel = None
        with self._lock:
            self._live.add(name)
        try:
            host = self.api.create_host_config(**options["host"])
            self.api.create_container(**options["container"], host_config=host)
            channel = _Channel(self.api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}))
            channel.set_deadline(time.monotonic() + _START_TIMEOUT)
            self.api.start(name)
            hello, _ = protocol.read(channel.read_exactly)
            if hello["type"] != "hello" or hello.get("version") != protocol.VERSION:
                raise SandboxUnavailable(
                    f"The image's agent speaks protocol {hello.get('version')}, this package {protocol.VERSION}.",
                    remedy="Run `fumehood image build`.",
                )
            if not hello.get("meter"):
                raise SandboxUnavailable("The container sees no cgroup of its own, so limits could not be observed.")
            if self.spec.preload:
                protocol.read(channel.read_exactly)
            return DockerSandbox(self, name, channel, self.spec)
        except BaseException as exc:
            words = channel.log.decode("utf-8", "replace").strip() if channel else ""
            if channel is not None:
                channel.close()
            self.remove(name)
            if isinstance(exc, SandboxUnavailable) or not isinstance(exc, Exception):
                raise
            reason = words.splitlines()[-1] if words else str(exc) or type(exc).__name__
            raise SandboxUnavailable(f"A sandbox container could not start: {reason}") from exc

    def remove(self, name: str) -> None:
        """Destroy a container by name; one that is gone already is fine."""
        import docker.errors

        try:
            self.api.remove_container(name, force=True, v=True)
        except docker.errors.APIError as exc:
            if exc.status_code not in (404, 409):  # gone, or its removal is under way
                raise SandboxUnavailable(f"The engine did not remove {name}: {exc.explanation}") from exc
        with self._lock:
            self._live.discard(name)

    def reap(self) -> list[str]:
        """Destroy sandboxes whose process is gone. Returns their names."""
        reaped = []
        for found in self.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
            labels: Mapping[str, str] = found.get("Labels") or {}
            if not _is_alive(labels.get(OWNER, "")):
                reaped.append(str(found["Names"][0]).lstrip("/"))
                self.remove(found["Id"])
        return reaped

    def close_now(self) -> None:
        """Destroy everything, synchronously: the last resort of `atexit`. Safe to call twice."""
        self._closed = True
        with self._lock:
            names = list(self._live)
        for name in names:
            with contextlib.suppress(Exception):
                self.remove(name)

    async def close(self) -> None:
        """Destroy everything that still runs. Safe to call twice."""
        if not self._closed:
            await self.in_thread(self.close_now)
            self._threads.shutdown(wait=False)
            self._client.close()


def _destroy_late(made: asyncio.Future[DockerSandbox]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result()._destroy()


def pack(program: Program, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """A program as a job frame.

    Raises:
        UsageError: the program is contradictory, or a path does not pass the gate.
    """
    files = dict(program.files)
    mode, file = "python", "main.py"
    if (program.code is None) == (program.argv is None) or (program.tests is not None and program.code is None):
        raise UsageError("A program is either Python code (with or without tests) or a command line.")
    if program.argv is not None:
        mode = "exec"
        if not program.argv or any("\0" in word for word in program.argv):
            raise UsageError("A command line needs at least one word, and no NUL characters.")
    elif program.tests is not None:
        if not program.module.isidentifier():
            raise UsageError(f"The module name {program.module!r} is not a Python identifier.")
        mode, file = "pytest", f"test_{program.module}.py"
        files[f"{program.module}.py"] = (program.code or "").encode("utf-8", "surrogatepass")
        files[file] = program.tests.encode("utf-8", "surrogatepass")
    else:
        files[file] = (program.code or "").encode("utf-8", "surrogatepass")
    for path in files:
        try:
            protocol.check_path(path)
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
    env = {"PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/box/work", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
    if any("\0" in text or "=" in key or not key for key, value in program.env.items() for text in (key, value)):
        raise UsageError("An environment variable needs a name without '=', and no NUL characters.")
    header = {
        "type": "job",
        "mode": mode,
        "file": file,
        "module": program.module,
        "argv": list(program.argv or ()),
        "args": list(program.args),
        "env": env | program.env,
        "artifacts": list(program.artifacts),
        "limits": limits.model_dump(),
        "stdin": len(program.stdin),
        "files": [[path, len(content)] for path, content in files.items()],
    }
    return header, program.stdin + b"".join(files.values())


def read_result(
    frame: dict[str, Any], body: bytes, output: Mapping[str, bytes | bytearray], limits: Limits, image: str
) -> RunReport:
    """A result frame as a report. Everything in it is checked again: sizes, paths, words.

    Raises:
        SandboxUnavailable: the frame is not a result.
    """
    try:
        artifacts: dict[str, bytes] = {}
        for path, size in frame.get("artifacts", []):
            artifacts[protocol.check_path(path)], body = body[:size], body[size:]
        if sum(map(len, artifacts.values())) > limits.artifacts:
            raise ValueError("more artefacts than the limit")
        keys = (
            "status",
            "detail",
            "exit_code",
            "signal",
            "wall_time",
            "cpu_time",
            "memory_peak",
            "stdout_truncated",
            "stderr_truncated",
        )
        return RunReport(
            **{key: frame[key] for key in keys if frame.get(key) is not None},
            **_read_events(frame["events"]),
            stdout=output["stdout"].decode("utf-8", "replace"),
            stderr=output["stderr"].decode("utf-8", "replace"),
            artifacts=artifacts,
            artifact_errors=frame.get("artifact_errors", {}),
            image=image,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise SandboxUnavailable(f"The sandbox sent a result that is none: {exc}") from exc


def _read_events(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Per-test results from the test side's events; complete only if all that was collected ran, once, and the end was told."""
    collected: list[str] = []
    tests: dict[str, TestResult] = {}
    finished = deselected = doubled = False
    error: dict[str, Any] = {}
    for event in events:
        match event.get("event"):
            case "collected":
                collected += [str(name) for name in event.get("tests", [])]
            case "deselected":
                deselected = True
            case "finished":
                finished = True
            case "collection_error" if not error:
                error = {"collection_error": str(event.get("message", "")), "collection_error_side": event.get("side", "")}
            case "test":
                name = str(event.get("name"))
                # A test that passed and then failed in its teardown reports twice: the failure counts.
                outcome = TestOutcome(str(event.get("outcome")))
                if name in tests and outcome is TestOutcome.PASSED:
                    doubled = True
                    continue
                tests[name] = TestResult(
                    name=name, outcome=outcome, message=str(event.get("message", "")), side=event.get("side", "")
                )
    complete = (
        bool(collected) and finished and not deselected and not doubled and not error and sorted(collected) == sorted(tests)
    )
    return {"tests": tuple(tests.values()), "tests_collected": len(collected), "tests_complete": complete, **error}
