"""Smoke test: does a network do what a network must, before anyone trains it?

In a sandbox it is built, takes batches of two sizes, gives finite logits, has finite gradients, and learns one batch by heart in
50 steps. A network that cannot do the last will not learn a data set either.

The report comes out of a process in which the network's own code ran, so it is that code's word: it decides whether to go on with
the network or not, and nothing else. What a network is worth is measured on predictions, elsewhere. Only `status` and the meters
(`wall_time`, `cpu_time`, `memory_peak`) are the sandbox's.

Left out: data. Rows are random unless some are given.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.data.arrays import write_array
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxError, UsageError
from orchestrator.types import ExecutionResult, GiB, Limits, MiB, Program, Status, Value

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]
Stage = Literal["imported", "built", "forward", "backward", "learnt"]

LIMITS = Limits(wall_time=90, cpu_time=60, memory=2 * GiB, disk=64 * MiB, output=64 * 1024, artifacts=4 * MiB)
"""What one smoke test may use."""
MOST_PARAMETERS = 20_000_000
STEPS, BATCH = 50, 16
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
MODULE = "network.py"
"""What a network is called in a sandbox."""
_PACKAGE = "orchestrator.applications.model_research"
_RESULT = "smoked.json"
_DOING: dict[int, str] = {0: "imported", 1: "built", 2: "given rows", 3: "learning", 4: "learning", 5: "ending"}
"""What was being done after so many stages."""


class SmokeReport(Value):
    """What came of a smoke test. Where it says nothing else, it is the word of the process that the network ran in."""

    passed: bool
    """Go on with it, or not."""
    failure: str = ""
    """Why not: one or two sentences."""
    traceback: str = ""
    """The last frames in the network's own file, where it raised."""
    reached: tuple[Stage, ...] = ()
    """Stages that it passed, in order."""
    parameters: int | None = None
    """How many numbers it learns, and holds fixed."""
    unused: tuple[str, ...] = ()
    """Parameters without a gradient in the last step, at most 20."""
    losses: tuple[float, ...] = ()
    """Of the batch that it learns by heart, step by step."""
    goal: float | None = None
    """What the loss had to reach: half of what the best constant has."""
    step_seconds: float | None = None
    """Seconds of one step with `BATCH` rows on one core."""
    status: Status
    """What happened to the process, as the sandbox saw it."""
    wall_time: float
    """Seconds of the whole test, by the sandbox."""
    cpu_time: float
    """CPU seconds, by the sandbox."""
    memory_peak: int
    """Bytes at its fullest, PyTorch included, by the sandbox."""


class _Said(Value):
    """`smoked.json`, as far as it can be believed: numbers that are some, and texts that are short."""

    reached: Annotated[tuple[Stage, ...], Field(max_length=5)]
    failure: Annotated[str, Field(max_length=2000)]
    traceback: Annotated[str, Field(max_length=4000)]
    parameters: Annotated[int, Field(ge=0, le=1 << 50)] | None
    unused: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=20)]
    losses: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(max_length=STEPS)]
    goal: Annotated[float, Field(allow_inf_nan=False)] | None
    step_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


async def smoke(
    source: ModelSource,
    execute: Execute,
    *,
    rows: NDArray[np.float32] | None = None,
    most_parameters: int = MOST_PARAMETERS,
    limits: Limits = LIMITS,
    seed: int = 0,
) -> SmokeReport:
    """Try a network in a sandbox.

    Args:
        source: the network.
        execute: what runs programs, such as an engine's `execute`.
        rows: float32 `(n, *input_shape)`, all different, of which the first 16 are taken; without any they are drawn from a
            normal distribution. A network that takes ids wants real ones.
        most_parameters: a network with more is refused.
        limits: what the test may use.
        seed: of weights, rows and targets.

    Raises:
        SandboxError: the sandbox failed; the network is not to blame.
        UsageError: the rows do not have the network's shape, or are fewer than 5.
    """
    result = await execute(smoke_program(source, rows=rows, most_parameters=most_parameters, seed=seed), limits)
    if result.status is Status.SANDBOX_ERROR:
        raise SandboxError(
            f"The sandbox of a smoke test failed: {result.detail}", remedy="Run it again, or see `fumehood doctor`."
        )
    return _report(result)


def smoke_program(
    source: ModelSource,
    *,
    rows: NDArray[np.float32] | None = None,
    most_parameters: int = MOST_PARAMETERS,
    seed: int = 0,
) -> Program:
    """Our smoke test with a network beside it. Raises UsageError as `smoke`."""
    if rows is None:
        rows = np.random.default_rng(seed).standard_normal((BATCH, *source.input_shape)).astype(np.float32)
    if rows.dtype != np.float32 or rows.shape[1:] != source.input_shape or len(rows) < 5:
        raise UsageError(
            f"The rows are {rows.dtype} {rows.shape}.", remedy=f"Give at least 5 of float32 (n, {str(source.input_shape)[1:]}."
        )
    task = {
        "class_name": source.class_name,
        "outputs": source.outputs,
        "most_parameters": most_parameters,
        "steps": STEPS,
        "seed": seed,
    }
    return Program(
        code=sandboxed(_PACKAGE, "smoke_model"),
        file="smoke.py",
        files={
            MODULE: source.code.encode("utf-8", "replace"),
            "smoke.json": json.dumps(task).encode(),
            "rows.npy": write_array(np.ascontiguousarray(rows[:BATCH])),
        },
        env=ONE_THREAD,
        artifacts=(_RESULT,),
    )


def _report(result: ExecutionResult) -> SmokeReport:
    said, failure = _said(result)
    if result.status is not Status.OK:
        failure = failure or _ended(result, said)
    elif not failure and said.reached[-1:] != ("learnt",):
        failure = "It ended the test before its end."
    return SmokeReport(
        **{**said.model_dump(), "failure": failure},
        passed=not failure,
        status=result.status,
        wall_time=result.wall_time,
        cpu_time=result.cpu_time,
        memory_peak=result.memory_peak,
    )


def _said(result: ExecutionResult) -> tuple[_Said, str]:
    """What the process wrote, and what is wrong with it or with the network."""
    nothing = _Said(reached=(), failure="", traceback="", parameters=None, unused=(), losses=(), goal=None, step_seconds=None)
    data = result.artifacts.get(_RESULT)
    if data is None:
        return nothing, "" if result.status is not Status.OK else "It ended the test before it was imported."
    try:
        said = _Said.model_validate_json(data)
    except ValidationError:
        return nothing, "What the test wrote was changed into something else." if result.status is Status.OK else ""
    return said, said.failure


def _ended(result: ExecutionResult, said: _Said) -> str:
    doing = _DOING[len(said.reached)]
    if result.status is Status.RUNTIME_ERROR:
        last = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "")
        return f"It ended the process while it was {doing}. {last[:300]}".strip()
    return f"It was stopped while it was {doing}: {result.status.value}. {result.detail}".strip()
