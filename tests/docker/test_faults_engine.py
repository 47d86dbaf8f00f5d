"""Real faults of the engine: slow, cut off, out of reach, restarted, its disk full. No program is blamed, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from census import Census, nothing_left
from docker import DockerClient
from docker_proxy import Proxy

from orchestrator.engine.engine import Engine
from orchestrator.sandbox import base_image, image
from orchestrator.sandbox import engine as engines
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program, Status, Verdict

pytestmark = pytest.mark.docker
LIMITS = Limits(wall_time=20, memory=128 * MiB)
SLOW = "import time; print('up', flush=True); time.sleep(1); print('done')"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's name has room for a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="fh-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy(folder / "docker.sock", engines.host()) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.address)
        yield proxy


@contextlib.asynccontextmanager
async def watched(workers: int = 2, **options: Any) -> AsyncIterator[tuple[Engine, Census]]:
    """Without the count of descriptors: the proxy's are this process's too."""
    settings = Settings(workers=workers, isolation="namespace", image=options.pop("image", ""))
    engine = Engine(settings, limits=LIMITS, preload=False, **options)
    async with nothing_left(descriptors=False) as census, engine:
        census.watch(engine)
        yield engine, census


async def _started(engine: Engine, count: int) -> list[asyncio.Task[Any]]:
    """Runs that are under way."""
    up = asyncio.Semaphore(0)

    def note(stream: str, chunk: bytes) -> None:
        if chunk.startswith(b"up"):
            up.release()

    tasks = [asyncio.create_task(engine.execute(Program(code=SLOW), on_output=note)) for _ in range(count)]
    async with asyncio.timeout(60):
        for _ in tasks:
            await up.acquire()
    return tasks


async def test_a_slow_engine_makes_runs_slow_and_nothing_else(proxy):
    async with watched() as (engine, _):
        await engine.execute(Program(code="1"))
        proxy.delay = 0.4
        other = LIMITS.model_copy(update={"memory": 160 * MiB})
        limits = [LIMITS, other, LIMITS, other]
        results = await asyncio.gather(*(engine.execute(Program(code=f"print({n})"), limits[n]) for n in range(4)))
        assert [(result.status, result.stdout, result.attempts) for result in results] == [
            (Status.OK, f"{n}\n", 1) for n in range(4)
        ]
        proxy.delay = 0.0


async def test_a_connection_that_is_cut_during_runs_sends_them_again(proxy):
    async with watched() as (engine, census):
        running = await _started(engine, 2)
        census.look()
        proxy.cut()
        results = await asyncio.gather(*running)
        assert [(result.status, result.stdout) for result in results] == [(Status.OK, "up\ndone\n")] * 2
        assert all(result.attempts == 2 for result in results)


async def test_an_engine_out_of_reach_for_a_while_is_waited_for(proxy):
    async with watched() as (engine, _):
        running = await _started(engine, 2)
        proxy.refuses = True
        proxy.cut()
        await asyncio.sleep(1.0)
        proxy.refuses = False
        results = await asyncio.gather(*running)
        assert [(result.status, result.stdout) for result in results] == [(Status.OK, "up\ndone\n")] * 2


async def test_an_engine_that_stays_away_leaves_runs_unscored_and_the_pool_heals(proxy, monkeypatch):
    monkeypatch.setattr("orchestrator.sandbox.pool.LAST_BACKOFF", 0.2)
    async with watched(retries=1) as (engine, _):
        running = await _started(engine, 2)
        proxy.refuses = True
        proxy.cut()
        results = await asyncio.gather(*running)
        assert {(result.status, result.verdict, result.reward) for result in results} == {
            (Status.SANDBOX_ERROR, Verdict.UNSCORED, None)
        }
        proxy.refuses = False
        assert (await engine.execute(Program(code="print('healed')"))).stdout == "healed\n"


async def test_limits_that_the_engine_goes_away_over_are_not_the_programs_fault(proxy):
    async with watched(workers=1, retries=0) as (engine, _):
        await engine.execute(Program(code="1"))
        proxy.answers, proxy.answer = b"/update", b""
        result = await engine.execute(Program(code="print(1)"), LIMITS.model_copy(update={"memory": 160 * MiB}))
        assert (result.status, result.verdict) == (Status.SANDBOX_ERROR, Verdict.UNSCORED)
        proxy.answers = b""
        again = await engine.execute(Program(code="print(1)"), LIMITS.model_copy(update={"memory": 160 * MiB}))
        assert again.status is Status.OK


async def test_containers_that_could_not_be_removed_are_removed_later(proxy):
    async with watched(workers=1) as (engine, census):
        await engine.execute(Program(code="1"))
        proxy.answers = b"DELETE"
        proxy.answer = b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 18\r\n\r\n{"message":"busy"}'
        hoarded = await engine.execute(Program(code="x = bytearray(1 << 30)"))  # its worker is retired
        assert hoarded.status is Status.MEMORY_EXCEEDED
        assert (await engine.execute(Program(code="print(1)"))).status is Status.OK
        stuck = census.made[0]
        assert stuck in {found["Id"] for found in engine._provider.api.containers(all=True)}
        proxy.answers = b""
        await engine.execute(Program(code="x = bytearray(1 << 30)"))
        assert (await engine.execute(Program(code="print(1)"))).status is Status.OK
        assert stuck not in {found["Id"] for found in engine._provider.api.containers(all=True)}


class Daemon:
    """An engine of its own, so that the one that others use is left alone. Its disk is small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self.disk = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        runtime = self.folder / "containerd"
        config = self.folder / "containerd.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        # As an engine's service has it: what keeps the containers is not killed with the engine.
        places = [f"--root={self.disk}/containerd", f"--state={runtime}", f"--address={runtime}/socket", f"--config={config}"]
        self._containerd = self._run("containerd", *places)
        self._options = [f"--containerd={runtime}/socket"]

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True)

    def start(self) -> None:
        """Start the engine, and return when it answers."""
        names = ["data-root", "exec-root", "pidfile"]
        options = [f"--{name}={self.folder / part}" for name, part in zip(names, ("data", "exec", "pid"), strict=True)]
        options += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--containerd-namespace=fumehood-test"]
        options += ["--containerd-plugins-namespace=fumehood-test-plugins", f"--host={self.address}"]
        # A network of its own: an engine without a bridge removes the `docker0` that it finds, which is another engine's.
        self._process = self._run("unshare", "--net", "dockerd", *self._options, *options)
        end = time.monotonic() + 60
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "The second engine did not come up."
            time.sleep(0.1)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
            door.settimeout(5)
            door.connect(self.address.removeprefix("unix://"))
            door.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in door.recv(100)
        return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the engine by a signal, and return when it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)

    def close(self) -> None:
        """End everything."""
        self.stop()
        self._containerd.terminate()
        self._containerd.wait(60)

    def take(self, image_id: str) -> None:
        """Copy an image from the engine that all tests use."""
        with contextlib.closing(engines.connect()) as source, contextlib.closing(DockerClient(self.address)) as target:
            target.images.load(b"".join(source.images.get(image_id).save(named=True)))


@pytest.fixture(scope="module")
def daemon() -> Iterator[tuple[Daemon, str]]:
    """A second engine, with an image that has Python and the agent, and little else."""
    folder = Path(tempfile.mkdtemp(prefix="fh-", dir="/tmp"))
    (folder / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "none", folder / "data"], check=True)
    daemon = Daemon(folder)
    try:
        with contextlib.closing(engines.connect()) as client:
            base = base_image.resolve(client, Settings().base_image, lambda line: None)
        there = {found.id for found in image.ls()}
        made = image.from_image(base)
        daemon.start()
        daemon.take(made.tag)
        yield daemon, made.tag
        if made.id not in there:
            image.rm(made.tag)
    finally:
        daemon.close()
        for mounted in sorted(_mounts_below(folder), reverse=True):
            subprocess.run(["umount", "-l", mounted], check=True)
        shutil.rmtree(folder)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restarted_engine_costs_no_run(daemon, how, monkeypatch):
    engine_of_its_own, tag = daemon
    monkeypatch.setenv("DOCKER_HOST", engine_of_its_own.address)
    async with watched(image=tag) as (engine, census):
        running = await _started(engine, 2)
        census.look()

        def restart() -> None:
            engine_of_its_own.stop(how)
            engine_of_its_own.start()

        started = time.monotonic()
        await asyncio.to_thread(restart)
        assert time.monotonic() - started < 9  # the engine does not wait ten seconds for each container to end by itself
        results = await asyncio.gather(*running)
        assert [(result.status, result.stdout.splitlines()[-1]) for result in results] == [(Status.OK, "done")] * 2
        assert (await engine.execute(Program(code="print('healed')"))).stdout == "healed\n"


async def test_a_full_disk_of_the_host_leaves_runs_unscored_and_the_pool_heals(daemon, monkeypatch):
    engine_of_its_own, tag = daemon
    monkeypatch.setenv("DOCKER_HOST", engine_of_its_own.address)
    monkeypatch.setattr("orchestrator.sandbox.pool.LAST_BACKOFF", 0.2)
    ballast = engine_of_its_own.disk / "ballast"
    async with watched(image=tag, workers=1, retries=0) as (engine, _):
        assert (await engine.execute(Program(code="print(1)"))).status is Status.OK
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        running = await engine.execute(Program(code="print('still here')"))
        assert (running.status, running.stdout) == (Status.OK, "still here\n")  # a worker that is up needs no disk
        hoarded = await engine.execute(Program(code="x = bytearray(1 << 30)"))
        assert hoarded.status is Status.MEMORY_EXCEEDED  # and is retired
        result = await engine.execute(Program(code="print(1)"))
        assert (result.status, result.verdict, result.reward) == (Status.SANDBOX_ERROR, Verdict.UNSCORED, None)
        assert "no space left" in result.detail
        ballast.unlink()
        assert (await engine.execute(Program(code="print('healed')"))).stdout == "healed\n"
