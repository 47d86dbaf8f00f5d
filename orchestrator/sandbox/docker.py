"""The Docker provider: hardened containers, spoken to over their attached stdin and stdout.

At the `namespace` level a container is a worker that runs one program after the other, each in fresh namespaces; at the
`container` level it runs one program and is destroyed. Works with a remote DOCKER_HOST: needs no shared folder and no network.

Left out: keeping containers warm (`pool.py`), building the image (`image.py`), the hardening (`hardening.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.processes import is_alive
from orchestrator.sandbox.channel import Channel
from orchestrator.sandbox.devices import Slot, Slots, request_for
from orchestrator.sandbox.engine import connect, end_state, missing_runtime
from orchestrator.sandbox.hardening import KIND, LABEL, MADE, OWNER, ROOM, Ahead, ContainerSpec, container_options
from orchestrator.sandbox.image import LABEL as IMAGE_LABEL
from orchestrator.sandbox.image import NO_IMAGE, how_to_build
from orchestrator.sandbox.jobs import checked, pack, read_result
from orchestrator.types import Limits, Program, RunReport, Status
from sandbox_image.agent import protocol, schema

_START_TIMEOUT = 120.0
"""Seconds a container may take to say that it is warm, on a busy host."""
_FORGET_LIBRARIES = 8
"""After so many runs in a row that need no torch, new sandboxes start without it."""
_GRACE = 15.0
"""Seconds beyond the wall-time limit before a silent agent counts as dead."""
_ARRAYS = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:numpy|torch|pandas|sklearn|scipy)\b", re.MULTILINE)
_PYTEST = re.compile(r"^[ \t]*(?:import|from)[ \t]+(?:pytest|unittest)\b|^[ \t]*@|^[ \t]*def test\w*\((?!\))", re.MULTILINE)
"""Tests for which pytest is imported. A guess: a wrong one costs time only."""
_USERS_TRIED = 1000
"""Users drawn for a container until one is found that no other has."""
_ASKED = "asked-"
"""Begins what a container is called that has no id yet."""
_ANOMALIES = (Status.MEMORY_EXCEEDED, Status.PROCESS_LIMIT_EXCEEDED, Status.SANDBOX_ERROR)
"""After these a worker is replaced: nothing is wrong with it that we know of, and that is not enough."""
_T = TypeVar("_T")


class _Made(Protocol):
    """What a start makes."""

    def destroy(self) -> None:
        """Destroy its container."""


_M = TypeVar("_M", bound=_Made)
_log = logging.getLogger("fumehood.sandbox")


class DockerSandbox:
    """One container: one run at the `container` level, one after the other at the `namespace` level."""

    def __init__(self, provider: DockerProvider, container: str, channel: Channel, spec: ContainerSpec) -> None:
        self._provider, self.container, self._channel, self._spec = provider, container, channel, spec
        self._resident = 0
        """Bytes of memory that the agent and what waits in it hold, as it said last."""
        # A worker for many runs is made with room for its libraries, and has its first run's limits set like any later one's.
        self._applied = (spec.limits.memory, spec.limits.processes) if spec.isolation == "container" else (0, 0)
        self._closed = False
        self._runs = 0
        self.spent = False
        self.preload = spec.preload

    async def run(self, program: Program, limits: Limits, on_output: Callable[[str, bytes], None] | None = None) -> RunReport:
        """Run a program; see `base.Sandbox`."""
        if self.spent or self._closed:
            raise SandboxUnavailable("This sandbox is used up.")
        header, body = pack(program, limits)
        header["stream"] = on_output is not None
        self._runs += 1
        nested = self._spec.isolation == "namespace"
        self.spent = not nested or self._runs >= self._spec.recycle_after
        loop = asyncio.get_running_loop()

        def deliver(stream: str, chunk: bytes) -> None:
            if on_output is not None:
                loop.call_soon_threadsafe(on_output, stream, chunk)

        work = self._run if nested or program.judging != "apart" or program.tests is None else self._run_as_pair
        try:
            report = await self._provider.in_thread(work, header, body, limits, deliver)
        except BaseException as exc:
            self.spent = True
            if isinstance(exc, asyncio.CancelledError):
                await asyncio.shield(self.close())
            raise
        if report.status in _ANOMALIES or report.attack:
            self.spent = True
        return report

    def _run(self, header: schema.Job, body: bytes, limits: Limits, deliver: Callable[[str, bytes], None]) -> RunReport:
        try:
            frame, payload = self._exchange(header, body, limits, deliver, None)
        except (_Refused, _Exhausted) as exc:
            return RunReport(status=Status.MEMORY_EXCEEDED, detail=str(exc), image=self._provider.image_id)
        self._learn(frame)
        return read_result(frame, payload, limits, self._provider.image_id, self._spec.isolation)

    def _learn(self, frame: schema.Result) -> None:
        """Note what a result says of sandboxes to come, and of this one.

        A worker whose device keeps something of a run is destroyed: with its container goes what held it.
        """
        self._provider.used(libraries=frame.get("libraries", ""))
        left_over = frame.get("gpu", {}).get("left_over")
        if left_over:
            self.spent = True
            _log.warning("A run left %s (%s): its sandbox is destroyed.", left_over, self._spec.gpus)

    def _run_as_pair(self, header: schema.Job, body: bytes, limits: Limits, deliver: Callable[[str, bytes], None]) -> RunReport:
        """Judge apart with the candidate in this container and the tests in another; the boundary goes through here."""
        parts = protocol.split(body, header["parts"])
        *files, code, tests = parts[1:]
        mine, theirs = files[: len(header["files"])], files[len(header["files"]) :]
        header["heavy"] = any(_ARRAYS.search(text.decode("utf-8", "replace")) for text in (code, tests))
        first, second = [parts[0], *mine, code], [b"", *theirs, tests]
        candidate: schema.Job = {**header, "mode": "candidate", "test_files": [], "parts": [len(part) for part in first]}
        judging: schema.Job = {**header, "mode": "judge", "files": [], "parts": [len(part) for part in second]}
        judge = self._provider.partner(preload=header["heavy"] or _PYTEST.search(tests.decode("utf-8", "replace")) is not None)
        try:
            return self._join(judge, (candidate, b"".join(first)), (judging, b"".join(second)), limits, deliver)
        finally:
            judge.destroy()

    def _join(
        self,
        judge: DockerSandbox,
        candidate: tuple[schema.Job, bytes],
        judging: tuple[schema.Job, bytes],
        limits: Limits,
        deliver: Callable[[str, bytes], None],
    ) -> RunReport:
        with ThreadPoolExecutor(max_workers=1) as threads:
            mine = threads.submit(self._exchange, *candidate, limits, deliver, judge._channel)
            # A side that died says nothing any more, and its tests shall not wait for it until their time is up.
            mine.add_done_callback(lambda _: _relay(judge._channel, b"", end=True))
            try:
                verdict, _ = judge._exchange(*judging, limits, lambda stream, chunk: None, self._channel)
            finally:
                with contextlib.suppress(OSError):
                    _send(self._channel, {"type": "stop"})
            try:
                frame, payload = mine.result()
            except (_Refused, _Exhausted) as exc:
                return RunReport(status=Status.MEMORY_EXCEEDED, detail=str(exc), image=self._provider.image_id)
        self._learn(frame)
        finished = any(event.get("event") == "finished" for event in verdict["events"])
        frame["events"] = verdict["events"]
        frame["attack"] = [*frame["attack"], *verdict["attack"]]
        frame["cpu_time"] += verdict["cpu_time"]
        frame["memory_peak"] = max(frame["memory_peak"], verdict["memory_peak"])
        frame["log"] = verdict["log"]
        if finished and frame["status"] in ("ok", "runtime_error", "signalled"):
            frame["status"] = "ok"
        elif frame["status"] == "ok" and verdict["status"] not in ("ok", "runtime_error", "signalled"):
            frame["status"], frame["detail"] = verdict["status"], verdict["detail"]
        return read_result(frame, payload, limits, self._provider.image_id, self._spec.isolation)

    def _exchange(
        self,
        header: schema.Job,
        body: bytes,
        limits: Limits,
        deliver: Callable[[str, bytes], None],
        other: Channel | None,
    ) -> tuple[schema.Result, bytes]:
        """Send a job and stay until its result, passing on what crosses the boundary to `other`.

        Raises:
            SandboxUnavailable: the sandbox died or broke the protocol.
        """
        wanted = (limits.memory, limits.processes)
        header = {**header, "adjust": wanted != self._applied}
        self._channel.set_deadline(time.monotonic() + limits.wall_time + _GRACE)
        try:
            _send(self._channel, header, body)
            if not header["adjust"]:
                self._channel.begun.set()
            while True:
                frame, payload = protocol.read(self._channel.read_exactly)
                kind = frame["type"]
                if kind == "output" and frame.get("stream") in ("stdout", "stderr"):
                    deliver(frame["stream"], payload)
                elif kind == "boundary" and other is not None:
                    _relay(other, payload, end=bool(frame.get("end")))
                elif kind == "adjust":
                    if type(frame.get("resident")) is not int:
                        raise SandboxUnavailable("The sandbox did not say how much memory it holds.")
                    self._resident = frame["resident"]
                    self.apply(limits)
                    # The run begins now, however long the engine took over its limits.
                    self._channel.set_deadline(time.monotonic() + limits.wall_time + _GRACE)
                    _send(self._channel, {"type": "go"})
                    self._channel.begun.set()
                elif kind == "again":
                    self._channel.set_deadline(time.monotonic() + limits.wall_time + _GRACE)
                elif kind == "result":
                    return checked(frame), payload
                else:
                    raise SandboxUnavailable(f"The sandbox sent an unexpected {kind!r} frame.")
        except (EOFError, OSError) as exc:
            raise self._explain_death(exc, limits) from exc
        except protocol.ProtocolError as exc:
            raise SandboxUnavailable(f"The sandbox broke the protocol: {exc}") from exc
        finally:
            self._channel.begun.set()

    def apply(self, limits: Limits) -> None:
        """Set a run's limits on the container.

        Raises:
            SandboxUnavailable: the engine refused.
        """
        memory = limits.memory + (self._resident if self._spec.isolation == "namespace" else 0)
        try:
            self._provider.set_limits(self.container, memory, limits.processes + ROOM)
        except _Refused as exc:
            raise _Refused(
                f"{limits.memory} bytes are less than the program's interpreter and libraries hold before it starts."
            ) from exc
        self._applied = (limits.memory, limits.processes)

    def _explain_death(self, exc: Exception, limits: Limits) -> SandboxUnavailable:
        """The agent fell silent: the program's memory killed it, or the sandbox died."""
        state = end_state(self._provider.api, self.container)
        if state.get("OOMKilled") and not state.get("Running"):
            return _Exhausted(f"The sandbox died at {limits.memory} bytes of memory.")
        log = self._channel.log.decode("utf-8", "replace").strip().splitlines()
        what = "fell silent" if isinstance(exc, TimeoutError) else "died"
        return SandboxUnavailable(
            f"The sandbox {what} while a program ran in it (state: {state.get('Status', 'gone')}, "
            f"exit code {state.get('ExitCode', 'unknown')}{', last words: ' + log[-1] if log else ''})."
        )

    async def close(self) -> None:
        """Destroy the container. Safe to call twice."""
        if not self._closed:
            self._closed = True
            await self._provider.in_thread(self.destroy)

    def destroy(self) -> None:
        """Destroy the container, from any thread. Safe to call twice."""
        self._channel.close()
        self._provider.remove(self.container)


def needs_libraries(program: Program) -> bool:
    """Whether a run is likely to use what sandboxes import ahead. A guess, of which only time depends."""
    texts = [program.code or "", program.tests or ""]
    files = (content.decode("utf-8", "replace") for path, content in program.files.items() if path.endswith(".py"))
    return any(_ARRAYS.search(text) for text in (*texts, *files)) or (
        program.judging == "together" and bool(_PYTEST.search(texts[1]))
    )


def _send(channel: Channel, frame: schema.ToRuns, body: bytes = b"") -> None:
    channel.send(protocol.encode(frame, body))


def _relay(channel: Channel, data: bytes, *, end: bool) -> None:
    """Hand one side what the other wrote. A side that is gone is noticed by whoever reads from it."""
    channel.begun.wait(_START_TIMEOUT)
    with contextlib.suppress(OSError):
        _send(channel, {"type": "boundary", "end": end}, data)


class _NamespacesRefused(Exception):
    """The worker just started cannot isolate its runs."""


class _Refused(SandboxUnavailable):
    """A run's memory limit is below what stands before it starts."""


class _Exhausted(SandboxUnavailable):
    """The container died of its memory limit."""


class DockerProvider:
    """Makes sandboxes of one specification on the engine of the environment (DOCKER_HOST or the local socket).

    With `slots` each sandbox is bound to one GPU for as long as it lives; one more than there are slots waits for its turn.

    Raises (constructor):
        PrerequisiteError: no engine, no permission, or the image is missing.
    """

    def __init__(self, spec: ContainerSpec, *, strict: bool = False, slots: Slots | None = None) -> None:
        self._strict = strict
        """Whether the isolation level of `spec` must hold: otherwise what the host refuses is answered with `container`."""
        self._client = connect()
        self.api: Any = self._client.api
        self.spec = spec
        self.image_id = self._find_image(spec.image)
        self._slots = slots
        self._held: dict[str, Slot] = {}
        """Container -> the GPU slot that it has."""
        self._info: Mapping[str, Any] = self.api.info() if slots or spec.runtime else {}
        if spec.runtime and (missing := missing_runtime(self._info, spec.runtime)):
            raise missing
        self._live: set[str] = set()
        """Containers that are there, and such as may be: the engine was asked for those, and they have no id yet."""
        self._left: set[str] = set()
        """What the engine did not remove when it was asked to."""
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(max_workers=512, thread_name_prefix="fumehood-docker")
        self._partners: list[DockerSandbox] = []
        self._without_libraries = 0
        """Runs in a row that used none of the libraries imported ahead."""
        self._libraries: Ahead = "arrays"
        """Those that the latest run with any had: new sandboxes import them ahead."""
        self.judges_apart = True

    def _find_image(self, image: str) -> str:
        import docker.errors

        try:
            found = self.api.inspect_image(image)
        except docker.errors.APIError as exc:
            if exc.status_code not in NO_IMAGE:
                raise
            others = self.api.images(filters={"label": f"{IMAGE_LABEL}=1"})
            remedy = how_to_build(image, (tag for other in others for tag in other["RepoTags"] or () if tag != "<none>:<none>"))
            raise PrerequisiteError(f"The engine has no image {image}.", remedy=remedy) from exc
        if (found["Config"].get("Labels") or {}).get(IMAGE_LABEL) != "1":
            raise PrerequisiteError(
                f"The image {image} has no agent, so no sandbox can be made of it.",
                remedy=f"Make a sandbox image of it: `fumehood image from {image}`.",
            )
        return str(found["Id"])

    async def in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a blocking call of the engine beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def create(self) -> DockerSandbox:
        """Start a container and wait until it is warm.

        Raises:
            SandboxUnavailable: the engine refused, or the agent did not come up.
        """
        return await self.shielded(self._create)

    async def shielded(self, make: Callable[[], _M]) -> _M:
        """Make something in a thread, to be destroyed where nobody waits for it any more. Raises what `make` does."""
        start = asyncio.get_running_loop().run_in_executor(self._threads, make)
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            # The thread cannot be stopped half-way: let it finish, then destroy what it made.
            start.add_done_callback(_destroy_late)
            raise

    def used(self, *, libraries: schema.Libraries) -> None:
        """Take note of the libraries that a run had from a zygote that imports them ahead: new sandboxes are made accordingly.

        They cost a second and more of each container's start, at the `container` level of every run. Without them a container
        still serves every run, by importing then.
        """
        self._without_libraries = 0 if libraries else self._without_libraries + 1
        if libraries in ("arrays", "tables"):
            self._libraries = libraries

    def _create(self, *, with_gpu: bool = True, preload: bool | None = None) -> DockerSandbox:
        return DockerSandbox(self, *self.start(with_gpu=with_gpu, preload=preload))

    def start(self, *, with_gpu: bool = True, preload: bool | None = None) -> tuple[str, Channel, ContainerSpec]:
        """Start a container whose agent is ready: its id, the stream to the agent, and how it was made."""
        if self._closed:
            raise SandboxUnavailable("The provider is closed.")
        name = f"{_ASKED}{uuid.uuid4().hex[:12]}"
        slot = self._slots.take(given_up=lambda: self._closed) if self._slots and with_gpu else None
        plain = self.spec
        libraries: Ahead = "arrays" if preload is not None else self._libraries
        if preload is None:
            preload = self._without_libraries < _FORGET_LIBRARIES
        spec = plain.model_copy(update={"preload": plain.preload and preload, "libraries": libraries})
        if slot is not None:
            gpus = request_for(slot.device, self._info)
            spec = spec.model_copy(update={"gpus": gpus, "gpu_memory_fraction": slot.fraction})
        channel = None
        with self._lock:
            self._live.add(name)
            if slot is not None:
                self._held[name] = slot
        try:
            name = self._named(name, self._create_container(spec, name))
            channel = Channel(self.api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}))
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
            if hello.get("no_gpu"):
                raise SandboxUnavailable(
                    f"The container was given the GPU {spec.gpus} and cannot see it: {hello['no_gpu']}.",
                    remedy="Check that `docker run --gpus all IMAGE nvidia-smi` works with the sandbox image.",
                )
            if hello.get("refused"):
                self._fall_back(plain, hello["refused"])
                raise _NamespacesRefused
            protocol.read(channel.read_exactly)  # it is warm
            _log.info("Sandbox %s of %s is warm.", name[:12], spec.image)
            self._remove_left()
            return name, channel, spec
        except _NamespacesRefused:
            channel.close()  # type: ignore[union-attr]
            self.remove(name)
            return self.start(with_gpu=with_gpu, preload=preload)
        except BaseException as exc:
            words = channel.log.decode("utf-8", "replace").strip() if channel else ""
            if channel is not None:
                channel.close()
            with contextlib.suppress(SandboxUnavailable):  # what stays is removed with the next start
                self.remove(name)
            if isinstance(exc, OSError):
                self._leave(name)  # a slow engine may yet make what it was asked for
            if isinstance(exc, SandboxUnavailable | PrerequisiteError) or not isinstance(exc, Exception):
                raise
            reason = words.splitlines()[-1] if words else str(exc) or type(exc).__name__
            raise SandboxUnavailable(f"A sandbox container could not start: {reason}") from exc

    def set_limits(self, container: str, memory: int, processes: int) -> None:
        """Change what a container may use.

        Raises:
            SandboxUnavailable: the engine refused.
        """
        import docker.errors

        config = {"Memory": memory, "MemorySwap": memory, "PidsLimit": processes}
        try:
            self.api._raise_for_status(self.api._post_json(self.api._url("/containers/{0}/update", container), data=config))
        except docker.errors.APIError as exc:
            if "memory" in str(exc.explanation):  # the kernel cannot reclaim what is held already
                raise _Refused(f"More than {memory} bytes are in use already.") from exc
            raise SandboxUnavailable(f"The engine did not apply the run's limits: {exc.explanation}") from exc
        except OSError as exc:
            raise SandboxUnavailable(f"The engine went away while it applied the run's limits: {exc}") from exc

    def _create_container(self, spec: ContainerSpec, made: str) -> str:
        """Have a container made with a user that no other one of this engine has. Returns its id."""
        import docker.errors

        for _ in range(_USERS_TRIED):
            options = container_options(spec, made, secrets.choice(protocol.USERS))
            host = self.api.create_host_config(**options["host"]) | options["more"]
            try:
                return str(self.api.create_container(**options["container"], host_config=host)["Id"])
            except docker.errors.APIError as exc:
                if exc.status_code != 409:  # another one has the name, and with it the user
                    raise
        raise SandboxUnavailable(f"The {len(protocol.USERS)} users that sandboxes of this engine may have are taken.")

    def _named(self, asked: str, container: str) -> str:
        """Call by its id what was asked for."""
        with self._lock:
            self._live.discard(asked)
            self._live.add(container)
            if asked in self._held:
                self._held[container] = self._held.pop(asked)
        return container

    def _fall_back(self, spec: ContainerSpec, reason: str) -> None:
        """Continue at the `container` level, with a warning.

        Raises:
            PrerequisiteError: the `namespace` level was asked for by name.
        """
        if self._strict:
            raise PrerequisiteError(
                f"This host does not let sandboxes make namespaces: {reason}.",
                remedy="Allow unprivileged user namespaces on the host, or leave FUMEHOOD_ISOLATION at `auto`.",
            )
        with self._lock:
            if self.spec is spec:
                self.spec = spec.model_copy(update={"isolation": "container"})
                _log.warning("Namespaces are refused here (%s): every run gets a container of its own instead.", reason)

    def partner(self, *, preload: bool) -> DockerSandbox:
        """A sandbox for the test side of a run in two containers, without a GPU; the next one is made warm meanwhile.

        Without `preload` it has no libraries imported and is there in a fraction of the time.
        """
        with self._lock:
            found = next((item for item in self._partners if item.preload == preload), None)
            if found is not None:
                self._partners.remove(found)
        self._threads.submit(self._stock, preload)
        return found or self._create(with_gpu=False, preload=preload)

    def _stock(self, preload: bool) -> None:
        with contextlib.suppress(SandboxUnavailable):
            made = self._create(with_gpu=False, preload=preload)
            with self._lock:
                if not self._closed:
                    self._partners.append(made)
                    return
            made.destroy()

    def remove(self, name: str) -> None:
        """Destroy a container by its id, or by what it was called when it was asked for; one that is gone already is fine."""
        import docker.errors

        try:
            for container in self._made(name) if name.startswith(_ASKED) else (name,):
                self.api.remove_container(container, force=True, v=True)
        except docker.errors.APIError as exc:
            if exc.status_code not in (404, 409):  # gone, or its removal is under way
                self._leave(name)
                raise SandboxUnavailable(f"The engine did not remove {name}: {exc.explanation}") from exc
        except OSError as exc:
            self._leave(name)
            raise SandboxUnavailable(f"The engine went away while it removed {name}: {exc}") from exc
        with self._lock:
            self._live.discard(name)
            self._left.discard(name)
            slot = self._held.pop(name, None)
        if slot is not None and self._slots is not None:
            self._slots.give_back(slot)

    def _made(self, asked: str) -> list[str]:
        """Ids of what the engine made when it was asked for that. Not by its name: another process's may have it by now."""
        return [found["Id"] for found in self.api.containers(all=True, filters={"label": f"{MADE}={asked}"})]

    def _leave(self, name: str) -> None:
        with self._lock:
            self._left.add(name)

    def _remove_left(self) -> None:
        """Try again to remove what an engine in trouble did not."""
        with self._lock:
            names = list(self._left)
        for name in names:
            with contextlib.suppress(SandboxUnavailable):
                self.remove(name)

    def reap(self) -> list[str]:
        """Destroy sandboxes whose process is gone, and sessions that are over. Returns their names."""
        reaped = []
        for found in self.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
            labels: Mapping[str, str] = found.get("Labels") or {}
            over = KIND in labels and found.get("State") == "exited"
            if over or not is_alive(labels.get(OWNER, "")):
                with contextlib.suppress(SandboxUnavailable):  # the next one's start tries again
                    self.remove(found["Id"])
                    reaped.append(str(found["Names"][0]).lstrip("/"))
        return reaped

    def close_now(self) -> None:
        """Destroy everything, synchronously: the last resort of `atexit`. Safe to call twice."""
        self._closed = True
        if self._slots is not None:
            self._slots.wake()
        with self._lock:
            names, partners = [*self._live, *self._left], list(self._partners)
            self._partners.clear()
        for partner in partners:
            with contextlib.suppress(Exception):
                partner.destroy()
        for name in names:
            with contextlib.suppress(Exception):
                self.remove(name)

    async def close(self) -> None:
        """Destroy everything that still runs. Safe to call twice."""
        if not self._closed:
            await self.in_thread(self.close_now)
            self._threads.shutdown(wait=False)
            self._client.close()


def _destroy_late(made: asyncio.Future[_M]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().destroy()
