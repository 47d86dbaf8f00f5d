"""The container engine: where it is, and what its refusals mean.

Every call to Docker starts at `connect`, so an engine that is missing, stopped or closed to this user is
explained at one place. `DOCKER_HOST` names the engine; without it, the CLI's current context does.

Left out: starting or installing an engine. That is `scripts/setup`.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from orchestrator.errors import PrerequisiteError

if TYPE_CHECKING:
    from docker import DockerClient

_CORRECT = "Correct DOCKER_HOST, or unset it to use the engine of this machine."


def host() -> str:
    """Address of the engine: `DOCKER_HOST`, else the CLI's current context, else the local socket."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        return named
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    return str(context.Host) if context and context.Host else "unix:///var/run/docker.sock"


def connect(*, timeout: float = 60.0) -> DockerClient:
    """Open a client and make sure that the engine answers.

    `timeout` is in seconds and bounds each single read from the engine. Close the client after use.

    Raises:
        PrerequisiteError: no engine there, it is stopped, or it refuses this user; the remedy says what helps.
    """
    from docker import DockerClient
    from docker.errors import DockerException

    address = host()
    with translated(address):
        try:
            if address.startswith("unix://"):
                _knock(address.removeprefix("unix://"), timeout).close()
            client: DockerClient = DockerClient.from_env(timeout=timeout, environment={**os.environ, "DOCKER_HOST": address})
            _close_refused(client)
        except (OSError, DockerException) as exc:
            raise _explain(exc, address) from exc
    return client


def missing_runtime(info: Mapping[str, Any], runtime: str) -> PrerequisiteError | None:
    """Why an engine, by its own account of itself, cannot start containers with a runtime; None where it can."""
    known = info.get("Runtimes") or {}
    if runtime in known:
        return None
    return PrerequisiteError(
        f"The engine has no runtime {runtime!r}, only {', '.join(sorted(known))}.",
        remedy="Register it in the engine's daemon.json, or unset FUMEHOOD_RUNTIME.",
    )


def end_state(api: Any, container: str) -> dict[str, Any]:
    """The state of a container whose stream ended; empty where nobody knows it any more."""
    state: dict[str, Any] = {}
    with suppress(Exception):
        for _ in range(20):  # the engine learns of an exit a moment after the stream ended
            state = api.inspect_container(container)["State"]
            if not state.get("Running"):
                break
            time.sleep(0.05)
    return state


def _knock(path: str, timeout: float) -> socket.socket:
    """Connect; nothing stays open where nobody opens."""
    door = socket.socket(socket.AF_UNIX)
    try:
        door.settimeout(timeout)
        door.connect(path)
    except BaseException:
        door.close()
        raise
    return door


def _close_refused(client: DockerClient) -> None:
    """Let the client close the socket of a connection that a local engine refuses: the SDK itself leaks it."""
    from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection

    class Connection(UnixHTTPConnection):  # type: ignore[misc]
        def connect(self) -> None:
            self.sock = _knock(self.unix_socket, self.timeout)

    class Adapter(UnixHTTPAdapter):  # type: ignore[misc]
        def get_connection(self, url: str, proxies: object = None) -> Any:
            pool = super().get_connection(url, proxies)
            pool._new_conn = lambda: Connection(pool.base_url, pool.socket_path, pool.timeout)
            return pool

    for adapter in client.api.adapters.values():
        if isinstance(adapter, UnixHTTPAdapter):
            adapter.__class__ = Adapter


@contextmanager
def translated(address: str = "") -> Iterator[None]:
    """Turn a lost connection to the engine into a PrerequisiteError; let the engine's own answers through."""
    from requests.exceptions import ConnectionError as Unreachable
    from requests.exceptions import Timeout

    try:
        yield
    except (Unreachable, Timeout) as exc:
        raise _explain(exc, address or host()) from exc


def _explain(exc: BaseException, address: str) -> PrerequisiteError:
    named = bool(os.environ.get("DOCKER_HOST"))
    match _errno(exc):
        case errno.EACCES | errno.EPERM:
            return PrerequisiteError(
                f"The Docker engine at {address} refuses this user.",
                remedy="Add yourself to its group (`sudo usermod -aG docker $USER`) and log in again, or run as root.",
            )
        case errno.ENOENT:
            return PrerequisiteError(
                f"No Docker engine answers at {address}: there is no such socket.",
                remedy=_CORRECT
                if named
                else "Install and start one (`scripts/setup engine`), or name a running one in DOCKER_HOST.",
            )
        case errno.ECONNREFUSED:
            return PrerequisiteError(
                f"No Docker engine answers at {address}: nothing listens there.",
                remedy=_CORRECT if named else "Start it (`scripts/setup engine`), or name a running one in DOCKER_HOST.",
            )
        case _:
            return PrerequisiteError(
                f"The Docker engine at {address} does not answer: {_first_line(exc)}.",
                remedy="Check DOCKER_HOST, and that `docker version` shows a server.",
            )


def _errno(exc: BaseException | None) -> int | None:
    """The system's error number, dug out of the layers of requests and urllib3 that hide it."""
    seen: set[int] = set()
    todo: list[object] = [exc]
    while todo:
        item = todo.pop()
        if id(item) in seen or not isinstance(item, BaseException):
            continue
        seen.add(id(item))
        if isinstance(item, OSError) and item.errno:
            return item.errno
        todo += [*item.args, getattr(item, "reason", None), item.__context__, item.__cause__]
    return None


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
