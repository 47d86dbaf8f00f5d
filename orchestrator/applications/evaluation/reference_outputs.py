"""Tests for tasks that bring inputs and no outputs: the reference is run in a sandbox, and what it returns is expected.

The outputs become part of the test source, on the test side alone. They are kept in a folder by the digest of reference and
inputs, so that a reference runs once. Where they are large, tests ask the reference itself: calling it costs less than reading
what it returned (9 MB of source are 1 GiB of memory and 3 s in the compiler).

Left out: a judgement on the reference. Where it fails the task is left out, aloud.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.data.benchmarks import BenchmarkTask, Inputs, Problem, literals
from orchestrator.data.benchmarks.literals import literal
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import StoreError, UsageError
from orchestrator.files import write_whole
from orchestrator.types import ExecutionResult, Limits, MiB, Program, Status

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]

LIMITS = Limits(wall_time=120, cpu_time=100, memory=2048 * MiB, artifacts=64 * MiB)
"""For a reference over all its inputs: some of them take many seconds."""

LARGEST = 1 << 20
"""Characters of outputs that become part of a test."""

LARGE_LIMITS = {"wall_time": 60.0, "cpu_time": 30.0, "memory": 2048.0 * MiB}
"""What a judgement needs where they do not: the reference runs with each candidate, and large values travel."""
PATIENCE = 4
"""A candidate may take so many times the reference's CPU time, as with EvalPlus (`gt_time_limit_factor`)."""

_COMPARE = """\
import math


def _flat(value):
    return [item for one in value for item in _flat(one)] if isinstance(value, (list, tuple)) else [value]


def _floats(value):
    return isinstance(value, float) or (isinstance(value, (list, tuple)) and all(isinstance(one, float) for one in value))


def _close(out, expected, atol):
    if type(out) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)) and len(out) != len(expected):
        return False
    pairs = list(zip(_flat(out), _flat(expected)))
    if len(_flat(out)) != len(_flat(expected)):
        return False
    if not all(isinstance(item, (int, float, complex)) for pair in pairs for item in pair):
        return False
    return all(got == want or abs(got - want) <= atol + 1e-07 * abs(want) for got, want in pairs)


def _right(arguments, out, expected):
    if RULE == "any":
        return True
    if RULE == "root":
        return abs(sum(factor * math.pow(out, power) for power, factor in enumerate(arguments[0]))) <= ATOL
    if RULE == "as_set" and set(out) == set(expected):
        return True
    if RULE == "truth" and not isinstance(out, bool) and expected == (out is not None):
        return True
    if RULE == "zero" and out == 0:
        return True
    if out == expected:
        return True
    atol = ATOL or (1e-06 if _floats(expected) else 0)
    return bool(atol) and _close(out, expected, atol)
"""


def tests_of(entry_point: str, inputs: Inputs, outputs: str, reference: str) -> str:
    """Test source with two tests, `test_base` and `test_plus`, as far as there are inputs for them.

    `outputs` is Python source: the outputs for the base inputs, then those for the others, separated by commas. Where it is
    empty, the tests call the `reference`, which may call itself: it keeps its name.
    """
    base = len(inputs.base)
    expected = "OUTPUTS[place]" if outputs else f"{entry_point}(*deepcopy(arguments))"
    parts = [
        *([] if outputs else [reference, "from copy import deepcopy"]),
        f"from candidate import {entry_point} as _candidate",
        _COMPARE,
        f"ATOL = {literal(inputs.atol)}\nRULE = {inputs.rule!r}",
        f"INPUTS = {literal([*inputs.base, *inputs.plus])}",
        *([f"OUTPUTS = [\n{outputs}\n]"] if outputs else []),
    ]
    for name, start, end in (("base", 0, base), ("plus", base, base + len(inputs.plus))):
        if end > start:
            parts.append(
                f"def test_{name}():\n"
                f"    for place in range({start}, {end}):\n"
                f"        arguments = INPUTS[place]\n"
                f"        expected = {expected}\n"
                f"        out = _candidate(*arguments)\n"
                f"        assert _right(arguments, out, expected), 'input %d of {entry_point} gave a wrong output' % place\n"
            )
    return "\n\n".join(parts)


async def with_outputs(task: BenchmarkTask, execute: Execute, folder: Path | None = None) -> BenchmarkTask | Problem:
    """The task with tests made from what its reference returns; a problem where the reference fails.

    `folder` keeps outputs from one time to the next.

    Raises:
        PrerequisiteError, SandboxError: as `Executor.execute`.
    """
    if task.inputs is None or task.tests:
        return task
    text = literal([*task.inputs.base, *task.inputs.plus])
    digest = hashlib.sha256(f"{LARGEST}\0{task.inputs.rule}\0{task.entry_point}\0{task.reference}\0{text}".encode()).hexdigest()
    kept = folder / f"{digest}.txt" if folder is not None else None
    if kept is not None and kept.is_file():
        seconds, _, outputs = kept.read_text(encoding="utf-8").partition("\n")
    else:
        program = Program(
            code=sandboxed("orchestrator.applications.evaluation", "reference_outputs"),
            args=(task.entry_point, task.inputs.rule, str(LARGEST)),
            files={
                "reference.py": task.reference.encode(),
                "inputs.txt": text.encode(),
                "literals.py": inspect.getsource(literals).encode(),
            },
            artifacts=("outputs.txt",),
        )
        result = await execute(program, LIMITS)
        if result.status is not Status.OK or "outputs.txt" not in result.artifacts:
            last = (result.stderr.strip().splitlines() or [result.detail or "It wrote no outputs."])[-1]
            return Problem(
                place=task.source, reason=f"the reference of {task.task_id} failed on its inputs: {result.status} {last}"
            )
        seconds, outputs = f"{result.cpu_time:.1f}", result.artifacts["outputs.txt"].decode()
        if kept is not None:
            _keep(kept, f"{seconds}\n{outputs}")
    cpu_time = PATIENCE * float(seconds)
    at_least = {"cpu_time": cpu_time, "wall_time": 2 * cpu_time} if outputs else LARGE_LIMITS
    tests = tests_of(task.entry_point, task.inputs, outputs, task.reference)
    return task.model_copy(update={"tests": tests, "at_least": at_least})


def _keep(path: Path, text: str) -> None:
    with contextlib.suppress(StoreError, UsageError):  # only time is lost: the reference runs again the next time
        write_whole(path, text.encode())
