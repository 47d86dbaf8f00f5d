"""The red-team corpus: programs that try to be accepted without being right, to reach what is not theirs, or to stay.

Each family is a TOML file in this folder; `tasks.toml` has the small tasks that the programs pretend to solve. Sources are
templates: `@entry@` stands for the name asked for, `@stub@` for a plainly wrong solution, `@tests@` for the names of the hidden
tests (an attacker may know everything but the answers), `@mark@` for a token that is drawn for each run. The line `@prelude:x@`
takes in a helper that several programs share.

Everything here is hostile: it is read as text and never imported, and it runs in sandboxes alone.

Left out: running them and counting what got through. That is `checks/redteam/attack.py`.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import Field

from orchestrator.types import IOCase, Value


class Family(StrEnum):
    """What a program tries, in one word."""

    LEAVING_EARLY = "leaving_early"
    LYING_VALUES = "lying_values"
    PATCHING = "patching"
    TEST_FRAMEWORKS = "test_frameworks"
    IMPORTS = "imports"
    READING_ANSWERS = "reading_answers"
    FORGING_CHANNEL = "forging_channel"
    RESOURCES = "resources"
    ESCAPE = "escape"
    GPU = "gpu"
    ML_WORK = "ml_work"
    GENERATED_TESTS = "generated_tests"
    OBJECTS_AS_ANSWERS = "objects_as_answers"
    CATCHING_VERDICT = "catching_verdict"
    VANISHING_TESTS = "vanishing_tests"
    SECOND_CHANCES = "second_chances"
    DODGING_SCORE = "dodging_score"
    HIDDEN_BY_COPIES = "hidden_by_copies"
    COUNTS_AND_TRACES = "counts_and_traces"
    TABLES = "tables"


class Grader(StrEnum):
    """How work is judged."""

    FUNCTION = "function"
    """Tests define `check(candidate)`."""
    ASSERTS = "asserts"
    """Tests are assertions at the level of the module."""
    PYTEST = "pytest"
    UNITTEST = "unittest"
    TORCH_LOSS = "torch_loss"
    """pytest with tensors and gradients."""
    IO = "io"
    """Output for an input, compared outside."""
    ARTEFACT = "artefact"
    """Files that are left behind, compared outside."""
    GENERATED_TESTS = "generated_tests"
    """Tests are the work: they pass on right solutions and fail on mutants."""
    ML = "ml"
    """Predictions for inputs whose labels are elsewhere."""
    TABULAR = "tabular"
    """Programs that learn from a table, scored on held-out rows and audited."""


IN_TESTS = frozenset({Grader.FUNCTION, Grader.ASSERTS, Grader.PYTEST, Grader.UNITTEST, Grader.TORCH_LOSS})
"""Graders that run tests against a candidate."""


class Goal(StrEnum):
    """What success would be."""

    ACCEPTED = "accepted"
    """A wrong candidate is accepted."""
    TRACE = "trace"
    """A later program finds something of it."""
    BREACH = "breach"
    """It prints that it did what it must not be able to do, is accepted, or no right candidate is accepted afterwards."""
    NO_SCORE = "no_score"
    """A wrong candidate ends without a score: the tests are blamed, or it stays unscored."""


class HostileProgram(Value):
    """One way to cheat."""

    name: str
    family: Family
    tries: str
    """One sentence."""
    goal: Goal = Goal.ACCEPTED
    graders: tuple[Grader, ...]
    """In the files "tests" stands for all of IN_TESTS."""
    tasks: dict[Grader, str] = Field(default={})
    """Task where it is not the grader's default."""
    source: str
    """Template."""
    runs: int = 1
    """How often it tries: what one attempt learnt, the next may use."""

    def task(self, grader: Grader) -> Task:
        """What it pretends to solve for a grader."""
        return tasks()[self.tasks.get(grader) or _tables()["defaults"][grader]]


class Task(Value):
    """Something small to solve, and how that is judged."""

    name: str
    entry_point: str = ""
    reference: str
    stub: str
    """Plainly wrong."""
    driver: str = ""
    """A program that prints what the module `candidate` computes."""
    tests: dict[Grader, str] = Field(default={})
    cases: tuple[IOCase, ...] = ()
    equivalents: tuple[str, ...] = ()
    """For generated tests: right in another way."""
    mutants: tuple[str, ...] = ()
    """For generated tests: wrong."""
    good_tests: str = ""
    """For generated tests: what must be accepted."""

    def test_names(self, grader: Grader) -> list[str]:
        """Names of the tests as a framework reports them, as near as they can be guessed from outside."""
        names = ["check", "test_check", "test_asserts", "tests"]
        for node in ast.parse(self.tests.get(grader, "")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                names.append(node.name)
                names += [f"{node.name}[{number}]" for number in range(4)] if node.decorator_list else []
            if isinstance(node, ast.ClassDef):
                names += [f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)]
        return names


def render(source: str, task: Task | None = None, grader: Grader | None = None, mark: str = "mark") -> str:
    """A template as a program.

    Raises:
        KeyError: it names a prelude that there is not.
    """
    source = re.sub(r"^@prelude:(\w+)@$", lambda found: _tables()["preludes"][found[1]].strip("\n"), source, flags=re.MULTILINE)
    source = re.sub(r"@repeat:(\d+):(.*?)@", lambda found: _repeated(found[2], int(found[1])), source)
    names = task.test_names(grader) if task and grader else []
    stub = task.stub.strip("\n") if task else ""
    # The mark stands in pieces, so that a finder that reads memory or its own file does not find itself.
    pieces = " + ".join(repr(mark[i : i + 4]) for i in range(0, len(mark), 4))
    values = {"entry": task.entry_point if task else "", "stub": stub, "tests": json.dumps(names), "mark": f"({pieces})"}
    for name, value in values.items():
        source = source.replace(f"@{name}@", value)
    return source


def _repeated(text: str, count: int) -> str:
    text = text.replace("\\n", "\n")
    return "".join(text.replace("{n}", str(n)) for n in range(count))


@cache
def tasks() -> dict[str, Task]:
    """The tasks by name."""
    return {name: Task(name=name, **table) for name, table in _tables()["tasks"].items()}


@cache
def corpus() -> tuple[HostileProgram, ...]:
    """All hostile programs, family by family."""
    found = []
    for family in Family:
        table = tomllib.loads((files(__name__) / f"{family}.toml").read_text(encoding="utf-8"))
        for name, one in table.items():
            graders = dict.fromkeys(
                grader for word in one.pop("graders") for grader in (sorted(IN_TESTS) if word == "tests" else (Grader(word),))
            )
            found.append(HostileProgram(name=f"{family}/{name}", family=family, graders=tuple(graders), **one))
    return tuple(found)


def finder() -> str:
    """Template of a program that prints `FOUND place` for every trace of the mark that it can find anywhere."""
    return str(_tables()["finder"])


def planters() -> tuple[HostileProgram, ...]:
    """The programs that leave traces."""
    return tuple(program for program in corpus() if program.goal is Goal.TRACE)


@cache
def _tables() -> dict[str, Any]:
    here = files(__name__)
    shared = ("tasks.toml", "preludes.toml")
    return {key: value for name in shared for key, value in tomllib.loads((here / name).read_text(encoding="utf-8")).items()}
