"""Unit tests of classes and methods, judged in plain processes: their objects stay on the function's side."""

from __future__ import annotations

import pytest
from mutant_harness import execute

from orchestrator.applications.unit_tests.job import UnitTestWriting
from orchestrator.applications.unit_tests.judge import MutationOptions, Subject, judge_tests, survey
from orchestrator.applications.unit_tests.mutants import mutants
from orchestrator.applications.unit_tests.options import UnitTestJob
from orchestrator.applications.unit_tests.subjects import subject_of, with_module
from orchestrator.data.store import RunStore
from orchestrator.errors import UsageError
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.types import Verdict

pytestmark = pytest.mark.slow

STACKS = '''
class StackError(Exception):
    """A stack that cannot do it."""


class Stack:
    """At most `limit` items."""

    LIMIT = 3

    def __init__(self, limit: int = 3) -> None:
        self.limit = limit
        self._items = []

    def push(self, item: int) -> int:
        """Put an item on top; the new size."""
        if len(self._items) >= self.limit:
            raise StackError("full")
        self._items.append(item)
        return len(self._items)

    def pop(self) -> int:
        """Take the top item."""
        if not self._items:
            raise StackError("empty")
        return self._items.pop()

    @property
    def top(self):
        return self._items[-1] if self._items else None

    @classmethod
    def of(cls, *items):
        made = cls(len(items) + 1)
        for item in items:
            made.push(item)
        return made

    def __len__(self):
        return len(self._items)

    def __eq__(self, other):
        return isinstance(other, Stack) and self._items == other._items
'''
HONEST = """
import pytest
from candidate import Stack, StackError


@pytest.fixture
def stack():
    return Stack(2)


def test_push(stack):
    assert stack.push(5) == 1
    assert stack.push(6) == 2
    assert (len(stack), stack.top, stack.limit) == (2, 6, 2)
    with pytest.raises(StackError):
        stack.push(7)


def test_pop():
    stack = Stack.of(1, 2, 3)
    assert [stack.pop(), stack.pop(), stack.pop()] == [3, 2, 1]
    assert stack.top is None
    with pytest.raises(StackError):
        stack.pop()


def test_objects():
    assert Stack.of(1) == Stack.of(1)
    assert Stack.of(1) != Stack.of(2)
    assert Stack.of() != 3
    assert isinstance(Stack(), Stack)
    assert Stack().limit == Stack.LIMIT == 3
    assert Stack.of(1).limit == 2
"""
WORTHLESS = {
    "true": "def test_a():\n    assert True or Stack\n",
    "no expectation": "def test_a():\n    stack = Stack()\n    stack.push(1)\n    assert stack.pop() is not None\n",
    "calls compared with calls": "def test_a():\n    assert Stack.of(1, 2).pop() == Stack.of(1, 2).pop()\n    assert len(Stack()) >= 0\n",
    "the class in other words": """
class Model:
    def __init__(self):
        self.held = ()

    def push(self, item):
        self.held = (item, *self.held)
        return sum(1 for _ in self.held)

    def pop(self):
        first, *rest = self.held
        self.held = tuple(rest)
        return first


def test_a():
    stack, model = Stack(), Model()
    for item in (3, 1, 4):
        assert stack.push(item) == model.push(item)
    for _ in range(3):
        assert stack.pop() == model.pop()
""",
}
OPTIONS = MutationOptions(references=2, wall=5)


def subject(name="Stack", module=STACKS):
    return Subject(name=name, function=name, module=module, module_name="stacks")


@pytest.fixture(scope="module")
async def stacks():
    return await survey(subject(), execute, OPTIONS)


async def test_honest_tests_of_a_class_are_paid_for_what_they_notice(stacks):
    changed = {STACKS.splitlines()[one.line - 1].strip() for one in stacks.mutants}
    assert {"self.limit = limit", "return self._items.pop()", "return made"} <= changed
    found = await judge_tests(stacks, HONEST, execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert found.score.line_coverage == found.score.branch_coverage == 1.0
    assert found.score.mutation_score is not None
    assert found.score.mutation_score > 0.8


@pytest.mark.parametrize("name", WORTHLESS)
async def test_tests_of_a_class_that_test_nothing_earn_nothing(stacks, name):
    found = await judge_tests(stacks, "from candidate import Stack\n" + WORTHLESS[name], execute, OPTIONS)
    assert found.score.worthless
    assert found.score.reward == 0.0


async def test_a_method_is_mutated_alone_and_may_be_tested_with_the_whole_class():
    surveyed = await survey(subject("Stack.pop"), execute, OPTIONS)
    assert {one.line for one in surveyed.mutants} == {24, 25, 26}
    found = await judge_tests(surveyed, HONEST, execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert found.score.line_coverage == 1.0
    other = "from candidate import Stack\n\n\ndef test_a():\n    assert Stack().push(1) == 1\n"
    assert (await judge_tests(surveyed, other, execute, OPTIONS)).feedback == "The tests never use Stack.pop."


async def test_tests_cannot_look_at_a_class_nor_derive_from_it(stacks):
    look = """
from candidate import Stack


def test_a():
    stack = Stack()
    for name in ("__class__", "__dict__", "__init__", "__reduce__"):
        for held in (stack, 0):
            try:
                found = Stack.ask(("get", held, name), {})
            except AttributeError:
                continue
            raise RuntimeError(found)
    assert not hasattr(stack.push, "__wrapped__")
    assert "0x" not in repr(stack)
    assert Stack.of(1).pop() == 1
"""
    found = await judge_tests(stacks, look, execute, OPTIONS)
    assert found.score.valid, found.feedback
    derived = "from candidate import Stack\n\n\nclass Own(Stack):\n    pass\n\n\ndef test_a():\n    assert Own().push(1) == 1\n"
    assert "cannot derive a class" in (await judge_tests(stacks, derived, execute, OPTIONS)).feedback


async def test_objects_of_other_kinds_are_used_as_their_author_does():
    module = """
import enum
from collections import namedtuple
from dataclasses import dataclass


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Point(namedtuple("Point", "x y")):
    pass


class Shape:
    def area(self):
        raise NotImplementedError


@dataclass
class Square(Shape):
    side: int = 1
    colour: Colour = Colour.RED

    def area(self):
        return self.side * self.side

    def corners(self):
        yield Point(0, 0)
        yield Point(self.side, self.side)

    def __add__(self, other: "Square") -> "Square":
        return Square(self.side + other.side)

    async def later(self):
        return self.side


def total(shapes):
    return sum(shape.area() for shape in shapes)
"""
    tests = """
import asyncio
import pytest
from candidate import Colour, Point, Shape, Square, total


def test_all():
    three = Square(3)
    assert three.area() == 9
    assert total([three, Square(side=2)]) == 13
    assert (three + Square()).side == 4
    assert three == Square(3, Colour.RED)
    assert three != Square(3, Colour["BLUE"])
    assert isinstance(three, Shape)
    assert list(three.corners()) == [Point(0, 0), Point(3, 3)]
    x, y = list(three.corners())[1]
    assert x == y == 3
    assert asyncio.run(three.later()) == 3
    assert [one.name for one in Colour] == ["RED", "BLUE"]
    assert three.colour is Colour.RED
    three.side = 5
    assert repr(three).startswith("Square(side=5")
    with pytest.raises(NotImplementedError):
        Shape().area()
    with pytest.raises(AttributeError):
        three.nothing
"""
    for name in ("Square", "total"):
        surveyed = await survey(subject(name, module), execute, OPTIONS)
        found = await judge_tests(surveyed, tests, execute, OPTIONS)
        assert found.score.valid, found.feedback
        assert found.score.mutation_score == 1.0, found.feedback


async def test_a_model_is_shown_the_class_and_its_tests_import_it(tmp_path):
    (tmp_path / "stacks.py").write_text(STACKS)
    asked = subject_of(f"{tmp_path / 'stacks.py'}::Stack")
    model = ScriptedModel([f"```python\n{HONEST}\n```"])
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:
        writing = UnitTestWriting(Settings(home=tmp_path), store, engine=Engine(), model=model)
        result = await writing.run_job(UnitTestJob(subjects=(asked,), n=1, docstrings=False, mutation=OPTIONS))
    assert result.rows[0].verdict is Verdict.ACCEPTED, result.rows[0].message
    assert "from stacks import Stack, StackError" in with_module(result.rows[0].code, "candidate", asked.module_name)
    prompt = model.calls[0].messages[1].content
    assert "def __eq__" in prompt
    assert "Put an item on top" not in prompt
    assert "from candidate import Stack\n" in prompt


class Engine:
    """Plain processes in place of sandboxes."""

    image = "sha256:test"

    async def execute(self, program, limits):
        return await execute(program, limits)


def test_what_a_class_does_not_have_is_said(tmp_path):
    file = tmp_path / "stacks.py"
    file.write_text(STACKS + "\n\nclass Full(StackError):\n    def __str__(self):\n        return 'full'\n")
    for name, words in (
        ("Stack.peek", r"no method 'Stack.peek'"),
        ("Heap", "no function or class 'Heap'"),
        ("StackError", "has no methods of its own"),
        ("Full", "is an exception"),
        ("Stack.a.b", "names no function"),
    ):
        with pytest.raises(UsageError, match=words):
            subject_of(f"{file}::{name}")
    assert all("def push" in one.source for one in mutants(STACKS, "Stack.pop"))
