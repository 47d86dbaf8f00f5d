"""The embedded model server: llama.cpp in this process, speaking the OpenAI chat API on loopback.

It needs no GPU, no compiler and no container. What it serves is pinned by sha256 (`weights.py`), and its
`/v1/models` shows that hash as a tag, so that a client can record it.

Left out: TGI, which is deployed by compose, and models that are not GGUF.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from llm_server.weights import Progress, ResolvedWeights, resolve
from orchestrator.errors import PrerequisiteError, UsageError

DEFAULT_MODEL = "1.5b"
DEFAULT_CONTEXT = 4096
DEFAULT_PARALLEL = 2
PROMPT_CACHE = 1024
"""MiB of prompts that were read, kept for requests that begin like them: further samples and corrections. A token of the 1.5B
takes 28 KiB. Twenty prompts of HumanEval a second time: 43 s without, 24 s with it (24 tokens each, two cores)."""


def serve(
    model: str = DEFAULT_MODEL,
    host: str = "127.0.0.1",
    port: int = 8080,
    threads: int | None = None,
    ctx: int = DEFAULT_CONTEXT,
    parallel: int = DEFAULT_PARALLEL,
    api_key: str = "",
    *,
    home: Path | None = None,
    progress: Progress | None = None,
    ready: Callable[[str, ResolvedWeights], None] | None = None,
    until: SimpleQueue[None] | None = None,
) -> None:
    """Serve until SIGTERM, Ctrl-C or something in `until`, then close cleanly.

    Args:
        model: a known name, or the path of a GGUF file.
        host: address to listen on; anything but loopback should come with an `api_key`.
        port: 0 takes a free one.
        threads: CPU threads; by default as many as this process may run on.
        ctx: tokens of prompt and answer together that one request may have.
        parallel: requests answered at once; memory grows with `ctx * parallel`.
        api_key: clients must send it; empty means that none is asked for.
        home: see `weights.resolve`.
        progress: see `weights.resolve`.
        ready: called with the base URL and the weights once requests are answered.
        until: another way to stop it: whatever is put in does.

    Raises:
        UsageError: a number makes no sense, or the model is unknown.
        PrerequisiteError: weights cannot be had, xllamacpp is missing, the port is taken, or the file does not load.
    """
    if not 0 <= port <= 65535 or ctx < 256 or parallel < 1 or (threads is not None and threads < 1):
        raise UsageError("A model server needs a port up to 65535, ctx >= 256, parallel >= 1 and threads >= 1.")
    _require_free(host, port)
    weights = resolve(model, home, progress)
    stop: SimpleQueue[None] = SimpleQueue() if until is None else until
    with _stopping(stop):
        server = _load(_parameters(weights, host, port, threads or _cores(), ctx, parallel, api_key), weights)
        if ready is not None and stop.empty():
            ready(str(server.listening_address), weights)
        _wait(stop)
        del server  # closes it: no request is answered after this line


def _parameters(weights: ResolvedWeights, host: str, port: int, threads: int, ctx: int, parallel: int, api_key: str) -> Any:
    # llama.cpp's threads wait for each other after every layer, by default spinning. As soon as anything else wants a core,
    # a sandbox for example, most of the time goes into waiting for a thread that is not running: measured on two busy cores,
    # 1 to 5 tokens a second spinning, 8 to 17 sleeping. OpenMP reads these when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        from xllamacpp import CommonParams
    except ImportError as error:
        raise PrerequisiteError(
            "The embedded model server needs the package xllamacpp.", remedy="Install it: pip install 'fumehood[embedded]'."
        ) from error
    params = CommonParams()
    params.model.path = str(weights.path)
    params.model_alias = {weights.model}
    params.model_tags = {f"sha256:{weights.sha256}"}
    params.hostnames = [host]
    params.port = port
    params.n_ctx = ctx * parallel  # llama.cpp divides it among the parallel requests
    params.n_parallel = parallel
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.api_keys = [api_key] if api_key else []
    params.endpoint_metrics = True
    params.ui = False
    params.verbosity = 0
    params.cache_ram_mib = PROMPT_CACHE  # by default up to 8 GiB
    params.cors_origins = "http://localhost"  # by default any web page may use the model
    return params


def _load(params: Any, weights: ResolvedWeights) -> Any:
    from xllamacpp import Server

    try:
        return Server(params)
    except RuntimeError as error:
        raise PrerequisiteError(
            f"{weights.path} could not be served: {error}",
            remedy="Check that it is a GGUF model, that memory suffices (a smaller --ctx needs less) and that the port is free.",
        ) from error


def _require_free(host: str, port: int) -> None:
    """Refuse a taken port before a gigabyte is loaded. llama.cpp would only say that it failed."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PrerequisiteError(
            f"The model server cannot listen on {host}:{port}: {error.strerror}.",
            remedy="Another server may run there already: use it, or choose another --port (0 takes a free one).",
        ) from error


def _wait(stop: SimpleQueue[None]) -> None:
    """Wait until something is in.

    In steps: Python runs a handler only between two of its instructions, so a signal that arrives when the last of them is over
    and the wait has not begun would be handled when the wait ends.
    """
    while True:
        with contextlib.suppress(Empty):
            return stop.get(timeout=0.5)


@contextlib.contextmanager
def _stopping(stop: SimpleQueue[None]) -> Iterator[None]:
    """SIGTERM and SIGINT put something in while this lasts. Only a main thread may say so.

    A queue of this kind may be put into by a signal handler; `threading.Event` deadlocks when it is being waited for just then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.put(None)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
