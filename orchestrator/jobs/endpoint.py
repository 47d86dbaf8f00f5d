"""The model that writes for a job: behind a URL, or served here for the time of the job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orchestrator.errors import CompletionError, OrchestratorError
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.base import Model
from orchestrator.settings import Settings

DEFAULT_MODEL = "1.5b"
"""Of the embedded server."""


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """Which model writes for a job, and where it is served."""

    base_url: str
    """Empty starts the embedded server for the time of the job."""
    model: str
    """Name at that server, or which embedded model."""
    parallel: int
    """Answers the server writes at once."""

    @property
    def patience(self) -> float:
        """Seconds of silence that are not a failure: on a CPU the answers written at once share one speed."""
        return 300.0 * self.parallel


@contextlib.asynccontextmanager
async def remote(endpoint: ModelEndpoint, settings: Settings, watcher: Watcher) -> AsyncIterator[Model]:
    """The model at a URL.

    Raises:
        CompletionError: nobody answers there, or it is refused.
    """
    from orchestrator.llm.client import ModelClient

    async with ModelClient(
        endpoint.base_url,
        model=endpoint.model,
        api_key=settings.api_key,
        max_concurrency=endpoint.parallel,
        timeout=endpoint.patience,
        on_note=watcher.say,
    ) as client:
        await client.info()
        yield client


@contextlib.asynccontextmanager
async def embedded(endpoint: ModelEndpoint, settings: Settings, watcher: Watcher) -> AsyncIterator[Model]:
    """A model served on this machine.

    Raises:
        PrerequisiteError: no weights.
        CompletionError: the server died.
    """
    from llm_server.launcher import start_async
    from orchestrator.llm.client import ModelClient

    name = endpoint.model or DEFAULT_MODEL
    watcher.say(f"Starting the embedded model server with {name}.")
    server = await start_async(name, parallel=endpoint.parallel, home=settings.home, progress=watcher.on_bytes, note=watcher.say)
    try:
        async with ModelClient(server.base_url, max_concurrency=endpoint.parallel, timeout=endpoint.patience) as client:
            yield client
    except OrchestratorError as exc:
        if not server.alive:
            raise CompletionError(
                "The embedded model server died.", remedy="Memory may be short: try --model 0.5b, and see `fumehood doctor`."
            ) from exc
        raise
    finally:
        await asyncio.to_thread(server.close)
