"""One engine with a warm pool for all tests that need Docker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, MiB, Program

Execute = Callable[..., Awaitable[ExecutionResult]]

LIMITS = Limits(wall_time=20, cpu_time=15, memory=1024 * MiB, disk=32 * MiB, output=64 * 1024, processes=64)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/docker/" in str(item.path):
            item.add_marker(pytest.mark.docker)


LEVELS = ("namespace", "container")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that executes something does so at each isolation level; a module about what is judged, not how, names one."""
    own = any("isolation" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "isolation" in metafunc.fixturenames and not own:
        metafunc.parametrize("isolation", getattr(metafunc.module, "LEVELS", LEVELS), scope="session")


@pytest.fixture(scope="session")
async def engine(isolation: str) -> AsyncIterator[Engine]:
    """Sandboxes with numpy, torch and pytest imported."""
    async with Engine(Settings(workers=2, isolation=isolation), limits=LIMITS) as engine:
        yield engine


@pytest.fixture(scope="session")
async def bare(isolation: str) -> AsyncIterator[Engine]:
    """Sandboxes that are warm in a fraction of the time."""
    async with Engine(Settings(workers=2, isolation=isolation), limits=LIMITS, preload=False) as engine:
        yield engine


@pytest.fixture(scope="session")
async def execute(engine: Engine, bare: Engine) -> Execute:
    """Run code; keywords of `Program` and of `Limits` may be mixed."""

    async def execute(code: str | None = None, **options: object) -> ExecutionResult:
        limits = {key: options.pop(key) for key in list(options) if key in Limits.model_fields and key != "artifacts"}
        if "artifact_bytes" in options:
            limits["artifacts"] = options.pop("artifact_bytes")
        heavy = "tests" in options or "torch" in (code or "")
        return await (engine if heavy else bare).execute(Program(code=code, **options), LIMITS.model_copy(update=limits))

    return execute
