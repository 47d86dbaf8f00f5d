"""Counting before and after: what an engine must not leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.engine.engine import Engine
from orchestrator.sandbox.engine import connect
from orchestrator.sandbox.hardening import OWNER, owner


def containers_of_this_process() -> set[str]:
    """Ids of all containers of this process, those that ended too."""
    client = connect()
    try:
        return {found["Id"] for found in client.api.containers(all=True, filters={"label": f"{OWNER}={owner()}"})}
    finally:
        client.close()


def _processes() -> Iterator[tuple[int, str, str]]:
    """Every process here: its pid, its cgroups, its PID namespace."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "cgroup").read_text(), (folder / "ns" / "pid").readlink().name


def init_of(api: Any, container: str) -> int:
    """Host pid of the agent."""
    return int(api.inspect_container(container)["State"]["Pid"])


def children_of(pid: int) -> list[int]:
    """Host pids of its children, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _open_descriptors() -> list[str]:
    """What this process holds open, as far as it could belong to an engine."""
    held = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            held.append(str(fd.readlink()).split(":")[0])
    return sorted(held)


class Census:
    """What a watched engine made: containers, and the namespaces seen in them."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._namespaces: set[str] = set()
        self._networks: dict[str, str] = {}
        self._api: Any = None

    def watch(self, engine: Engine) -> None:
        """Note each container that the engine makes."""
        api = self._api = engine._provider.api  # type: ignore[union-attr]
        create = api.create_container

        def noting(*args: Any, **kwargs: Any) -> Any:
            answer = create(*args, **kwargs)
            self.made.append(answer["Id"])
            return answer

        api.create_container = noting

    def look(self) -> None:
        """Note the namespaces that exist now."""
        ids = set(self.made)
        self._namespaces |= {space for _, cgroups, space in _processes() if any(made in cgroups for made in ids)}
        for made in ids - set(self._networks):
            with contextlib.suppress(Exception):  # it is gone
                self._networks[made] = self._api.inspect_container(made)["NetworkSettings"]["SandboxKey"]

    def left(self) -> dict[str, Any]:
        """What is left of all that: containers, processes, namespaces, mounts and cgroups. Empty is good."""
        ids = set(self.made)
        found: dict[str, Any] = {"containers": containers_of_this_process() & ids, "processes": set(), "namespaces": set()}
        own = Path("/proc/self/ns/pid").readlink().name
        for pid, cgroups, space in _processes():
            if any(made in cgroups for made in ids):
                found["processes"].add(pid)
            # The kernel gives the numbers of namespaces again, so one in another container is no longer ours.
            elif space in self._namespaces and space != own and "docker" not in cgroups:
                found["namespaces"].add(space)
        mounts = Path("/proc/self/mounts").read_text()
        named = ids | {key for key in self._networks.values() if key}
        found["mounts"] = {name for name in named if name in mounts}
        root = Path("/sys/fs/cgroup")
        found["cgroups"] = {path.name for path in [*root.glob("*/docker/*"), *root.glob("docker/*")] if path.name in ids}
        return {what: those for what, those in found.items() if those}


@contextlib.asynccontextmanager
async def nothing_left(*, descriptors: bool = True) -> AsyncIterator[Census]:
    """Fails if a container, process, namespace, cgroup, mount, thread or descriptor more is there after the block than before."""
    census = Census()
    held = _Held()
    yield census
    if descriptors:
        await _until(lambda: held.more())
    await _until(lambda: census.left())


class _Held:
    """What this process holds from now on."""

    def __init__(self) -> None:
        gc.collect()
        self._threads, self._descriptors = set(threading.enumerate()), _open_descriptors()

    def more(self) -> dict[str, list[str]]:
        """Threads and descriptors that were not there before. Those of the event loop's own pool come and stay."""
        gc.collect()
        now = _open_descriptors()
        for one in self._descriptors:
            if one in now:
                now.remove(one)
        names = [thread.name for thread in set(threading.enumerate()) - self._threads]
        found = {"threads": [name for name in names if not name.startswith("asyncio_")], "descriptors": now}
        return {what: those for what, those in found.items() if those}


async def _until(left: Callable[[], dict[str, Any]], seconds: float = 10.0) -> None:
    """Wait until nothing is left: the engine takes a moment to clean up."""
    end = time.monotonic() + seconds
    while (found := await asyncio.to_thread(left)) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert not found, found
