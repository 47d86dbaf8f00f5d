"""Summary of a network by torchinfo, made in a sandbox: parameters, multiply-adds and shapes, as data and as text.

It comes out of a process in which the network's own code ran: it is there to be read, and decides nothing.

torchinfo counts the multiply-adds of modules with weights. What `forward` computes without a module, attention's products of
queries and keys among it, is not in them.

Left out: whether the network works (`smoke.py`).
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.smoke import LIMITS, MODULE, ONE_THREAD, Execute
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxError
from orchestrator.types import ExecutionResult, Limits, Program, Status, Value

_RESULT = "summarised.json"
_Count = Annotated[int, Field(ge=0, le=1 << 60)]


def _sizes(given: Any) -> Any:
    """torchinfo has lists of shapes where a module takes several."""
    return given[0] if isinstance(given, list) and given and isinstance(given[0], list) else given


_Sizes = Annotated[tuple[_Count, ...], BeforeValidator(_sizes), Field(max_length=16)]


class LayerSummary(Value):
    """One module of a network."""

    name: Annotated[str, Field(max_length=200)]
    """Of the attribute; empty for the network itself."""
    kind: Annotated[str, Field(max_length=200)]
    """Its class."""
    depth: _Count
    """0 for the network itself."""
    takes: _Sizes
    """Shape of its input for a batch of one row; empty where it was not called."""
    gives: _Sizes
    """Shape of its output."""
    parameters: _Count
    """Those of modules inside it included."""
    multiply_adds: _Count
    """For one row; 0 for modules that have others inside."""


class ModelSummary(Value):
    """A network at a glance, by the word of the process that it ran in."""

    parameters: _Count
    trainable: _Count
    """Parameters that a gradient can change."""
    multiply_adds: _Count
    """For one row."""
    layers: Annotated[tuple[LayerSummary, ...], Field(max_length=20_000)]
    """In the order in which they are called."""
    text: Annotated[str, Field(max_length=2_000_000)]
    """torchinfo's table. Names in it are the network's: what is shown of it goes through `printable`."""
    failure: str = ""
    """Why there is none: one sentence. Everything else is empty then."""


async def summarise(source: ModelSource, execute: Execute, *, limits: Limits = LIMITS) -> ModelSummary:
    """Summarise a network in a sandbox. One that does not come so far is a failure in the summary.

    Raises:
        SandboxError: the sandbox failed.
    """
    result = await execute(summary_program(source), limits)
    if result.status is Status.SANDBOX_ERROR:
        raise SandboxError(f"The sandbox of a summary failed: {result.detail}", remedy="Run it again, or see `fumehood doctor`.")
    if result.status is not Status.OK:
        return _failed(_why(result))
    try:
        return ModelSummary.model_validate_json(result.artifacts.get(_RESULT, b""))
    except ValidationError:
        return _failed("It wrote no summary.")


def _failed(why: str) -> ModelSummary:
    return ModelSummary(parameters=0, trainable=0, multiply_adds=0, layers=(), text="", failure=why)


def _why(result: ExecutionResult) -> str:
    last = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), result.detail)
    # Said, not raised: a network can print the same.
    remedy = " Build the sandbox image anew: `fumehood image build`." if "No module named 'torchinfo'" in last else ""
    return f"It ended with {result.status.value}. {last[:300]}{remedy}"


def summary_program(source: ModelSource) -> Program:
    """Our summary with a network beside it."""
    task = {"class_name": source.class_name, "input_shape": source.input_shape}
    return Program(
        code=sandboxed("orchestrator.applications.model_research", "summarise_model"),
        file="summarise.py",
        files={MODULE: source.code.encode("utf-8", "replace"), "summary.json": json.dumps(task).encode()},
        env=ONE_THREAD,
        artifacts=(_RESULT,),
    )
