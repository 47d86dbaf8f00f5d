"""Mutants: which there are, that they compile, differ, and are the same each time."""

from __future__ import annotations

import ast

import pytest

from orchestrator.applications.unit_tests.mutants import OPERATORS, mutants
from orchestrator.errors import UsageError


def of(body: str, head: str = "def f(a, b, c):") -> list[tuple[str, str, str]]:
    """(operator, before, after) of each mutant of a function with this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return [(one.operator, one.before, one.after) for one in mutants(f"{head}\n{lines}\n", "f")]


def by(operator: str, body: str) -> set[str]:
    return {after for name, _, after in of(body) if name == operator}


@pytest.mark.parametrize(
    ("operator", "body", "expected"),
    [
        ("AOR", "return a + b", {"a - b", "a * b"}),
        ("AOR", "return a // b", {"a / b", "a * b"}),
        ("AOD", "return -a", {"a"}),
        ("ASR", "a += b\nreturn a", {"a -= b", "a *= b"}),
        ("BCR", "for x in a:\n    if x:\n        break", {"continue"}),
        ("COD", "return not a", {"a"}),
        ("COI", "if a > b:\n    return c", {"not a > b"}),
        ("COI", "return [x for x in a if x]", {"not x"}),
        ("CRP", "return 7", {"8", "6"}),
        ("CRP", "return True", {"False"}),
        ("CRP", "return 'yes'", {"''", "'XXyes'"}),
        ("CRP", "return 2.5", {"3.5", "-2.5"}),
        ("LCR", "return a and b", {"a or b"}),
        ("LOR", "return a << b", {"a >> b"}),
        ("OIL", "while a:\n    a = b", {"a = b"}),
        ("ROR", "return a < b", {"a <= b", "a >= b"}),
        ("ROR", "return a in b", {"a not in b"}),
        ("SIR", "return a[1:b]", {":b", "1:"}),
        ("ZIL", "for x in a:\n    b = x\nreturn b", {"break"}),
    ],
)
def test_an_operator_makes_the_faults_of_the_literature(operator, body, expected):
    assert by(operator, body) == expected
    assert operator in OPERATORS


def test_statements_are_deleted_one_by_one():
    deleted = [before for name, before, _ in of("x = a\nif b:\n    x = c\nreturn x") if name == "SDL"]
    assert deleted == ["x = a", "if b:\n    x = c", "x = c", "return x"]


def test_every_mutant_parses_and_differs_from_the_function_in_its_bytecode():
    source = "LIMIT = 3\n\n\ndef f(a, b=2):\n    for x in a:\n        if x > b and x != LIMIT:\n            return -x\n    return a[0:1]\n"
    made = mutants(source, "f")
    assert len({one.source for one in made}) == len(made) >= 20
    assert len({one.name for one in made}) == len(made)
    for one in made:
        tree = ast.parse(one.source)
        assert one.source.startswith("LIMIT = 3\n")
        assert ast.unparse(tree) != ast.unparse(ast.parse(source))


def test_what_cannot_be_told_from_the_function_by_its_bytecode_is_no_mutant():
    # The deletion of the second `return` leaves the same code, for the first one ends the function.
    assert all(before != "return b" for _, before, _ in of("return a\nreturn b"))


def test_docstrings_annotations_and_decorators_are_left_alone():
    source = '@mark(1)\ndef f(a: "x" = 2) -> "y":\n    """Text."""\n    return a\n'
    changed = {(one.operator, one.before) for one in mutants(source, "f")}
    assert changed == {("CRP", "2"), ("SDL", "return a")}


def test_the_rest_of_the_module_is_kept_as_it_is():
    source = "import math  # why\n\n\ndef f(a):\n    return a + 1\n\n\ndef g():\n    return 5  # kept\n"
    for one in mutants(source, "f"):
        assert one.source.startswith("import math  # why\n")
        assert one.source.endswith("def g():\n    return 5  # kept\n")


def test_a_sample_of_the_mutants_is_the_same_for_a_seed():
    source = "def f(a, b):\n" + "".join(f"    a = a + {number}\n" for number in range(40)) + "    return a\n"
    first, again, other = (mutants(source, "f", most=30, seed=seed) for seed in (1, 1, 2))
    assert [one.name for one in first] == [one.name for one in again] != [one.name for one in other]
    assert len(first) == 30
    assert {one.name for one in first} <= {one.name for one in mutants(source, "f", most=1000)}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def g(): pass", "no function or class 'f'"),
        ("def f(:", "does not parse"),
        ("class A:\n    def f(self): pass", "no function"),
    ],
)
def test_a_function_that_is_not_there_is_said_so(source, words):
    with pytest.raises(UsageError, match=words):
        mutants(source, "f")


def test_methods_of_async_and_nested_functions_are_mutated_too():
    assert ("AOR", "x + 1", "x - 1") in of("async def g(x):\n    return x + 1\nreturn g", head="async def f():")
