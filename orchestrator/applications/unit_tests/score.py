"""What generated unit tests are worth: pure functions over what was seen of them.

The reward is a ladder (they parse, they run, they pass on the reference) extended by coverage and mutation score. A step is paid
only when those before it are. Tests that cannot distinguish right from wrong earn nothing at all, whatever steps they reach: see
`worthless`.

Left out: running anything (`applications.unit_tests.judge`).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.applications.unit_tests.mutants import located
from orchestrator.sources import imports, parse
from orchestrator.types import Value

Outcome = Literal["killed", "survived", "equivalent"]
_GRAM = 5
"""Syntax nodes in a row that are compared to find copies."""
_ENOUGH = 12
"""A function of fewer such runs is too small to be recognised by its form."""
_COPIED = 0.4
"""Part of the function's form that tests may not contain."""


class Weights(Value):
    """What each step adds to the reward; the sum is its range."""

    syntax: Annotated[float, Field(ge=0)] = 0.05
    """The answer holds tests that parse and use the function."""
    runs: Annotated[float, Field(ge=0)] = 0.05
    """They are collected and run, and at least one passes on the reference."""
    passes: Annotated[float, Field(ge=0)] = 0.1
    """All pass on the reference, each time and in every order."""
    line_coverage: Annotated[float, Field(ge=0)] = 0.1
    """Times the fraction of the function's lines that they pass."""
    branch_coverage: Annotated[float, Field(ge=0)] = 0.1
    """Times the fraction of its branches."""
    mutation: Annotated[float, Field(ge=0)] = 0.6
    """Times the mutation score."""


class Observed(Value):
    """What was seen of one test module."""

    parses: bool = False
    uses: bool = False
    """The function's name occurs in it."""
    collected: int = 0
    passed: int = 0
    """Tests that pass on the reference, in their own order."""
    skipped: int = 0
    stable: bool = True
    """They did the same on the reference each time, in other orders."""
    broken: bool = False
    """They ended their process, or never ended, in place of reporting."""
    calls: int = 0
    """How often the function was called."""
    lines: tuple[int, int] = (0, 0)
    """Passed, and there."""
    branches: tuple[int, int] = (0, 0)
    missed: tuple[int, ...] = ()
    """Lines of the reference that were not passed."""
    mutants: Mapping[str, Outcome] = Field(default_factory=dict)
    """By name; empty where the tests did not come that far."""
    sharp: bool = False
    """Whether they failed on a mutant that gave them wrong values of the right types and no exception.

    Only an expectation about a value shows such a fault.
    """
    copies: tuple[str, ...] = ()
    """Where the tests compute what they expect, as the function does."""
    refused: tuple[str, ...] = ()
    """What their processes were ended for: reaching for the interpreter itself, by the names of Python's audit events."""


class TestsScore(Value):
    """What one test module is worth, with all its parts."""

    __test__ = False
    valid: bool
    """Every test ran and passed on the reference, each time and in every order."""
    flaky: bool = False
    worthless: str = ""
    """Why it earns nothing although it runs; empty for tests that test."""
    line_coverage: float | None = None
    branch_coverage: float | None = None
    """1 for a function without branches."""
    mutation_score: float | None = None
    """Killed over those not estimated to be equivalent. None where the tests are not valid, or there was nothing to kill."""
    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    components: Mapping[str, float] = Field(default_factory=dict)
    """What each step added to the reward."""
    reward: float | None
    """From 0 to the sum of the weights; None for valid tests of a function that has no mutants to kill."""


def score(seen: Observed, weights: Weights | None = None) -> TestsScore:
    """The reward of what was seen, and its parts."""
    weights = weights or Weights()
    counts = Counter(seen.mutants.values())
    ran = seen.parses and seen.collected > 0 and seen.passed > 0
    valid = ran and seen.passed == seen.collected and seen.stable
    killed, survived = counts["killed"], counts["survived"]
    mutation = killed / (killed + survived) if valid and killed + survived else None
    line = _fraction(seen.lines) if valid else None
    branch = _fraction(seen.branches) if valid else None
    why = worthless(seen, valid=valid)
    components = dict.fromkeys(Weights.model_fields, 0.0)
    if not why:
        components["syntax"] = weights.syntax if seen.parses and seen.uses else 0.0
        components["runs"] = weights.runs if ran else 0.0
        components["passes"] = weights.passes if valid else 0.0
        components["line_coverage"] = weights.line_coverage * (line or 0.0)
        components["branch_coverage"] = weights.branch_coverage * (branch or 0.0)
        components["mutation"] = weights.mutation * (mutation or 0.0)
    return TestsScore(
        valid=valid,
        flaky=ran and not seen.stable,
        worthless=why,
        line_coverage=line,
        branch_coverage=branch,
        mutation_score=mutation,
        killed=killed,
        survived=survived,
        equivalent=counts["equivalent"],
        components=components,
        reward=None if valid and not why and mutation is None else sum(components.values()),
    )


def worthless(seen: Observed, *, valid: bool) -> str:
    """Why tests that run show nothing: one sentence; "" where they can, or did not come that far."""
    if seen.copies:
        return f"They compute what they expect as the function does: {', '.join(seen.copies)}."
    if seen.refused:
        return f"They reach for the interpreter itself, which no test of a function needs: {', '.join(seen.refused)}."
    if seen.broken:
        return "They break off: they take too long, or end their process."
    if not seen.collected:
        return ""
    if not seen.calls:
        return "They never call the function."
    if not seen.passed:
        return "None of them passes on the reference."
    if not seen.stable:
        return "They do not always pass on the right function."
    if valid and seen.mutants and "killed" not in seen.mutants.values() and "survived" in seen.mutants.values():
        return "No mutant fails any of them."
    if valid and not seen.sharp and "killed" in seen.mutants.values():
        return "They fail on crashes and wrong types alone, and on no wrong value."
    return ""


def accepted(found: TestsScore, threshold: float) -> bool:
    """Whether tests pass as an answer: valid, of worth, and with a mutation score of at least `threshold`."""
    return found.valid and not found.worthless and found.mutation_score is not None and found.mutation_score >= threshold


def _fraction(part: tuple[int, int]) -> float:
    return part[0] / part[1] if part[1] else 1.0


def uses(tests: str, function: str) -> bool:
    """Whether the tests name the function other than in an import; a name that an import gives it is one of its names.

    Of a method its class must be named so, and the method itself where it is not called by an operator.
    """
    function, _, method = function.partition(".")
    try:
        tree = parse(tests)
    except SyntaxError:
        return False
    names = {function, *(one.binds for one in imports(tree) if one.name == function)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = function in attributes or any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(tree))
    return named and (not method or method.startswith("__") or method in attributes)


def copied(tests: str, reference: str, function: str) -> str:
    """Where the tests contain the function in another dress: names, layout, comments and docstrings do not count. "" for nowhere.

    The form of a small function may be a coincidence; its copies are found by what they compute, in the run.
    """
    try:
        tests_tree, tree = parse(tests), parse(reference)
    except SyntaxError:
        return ""
    own = located(tree, function)
    if own is None:
        return ""
    bodies = [_body(node) for node in own[1]]
    for body in bodies:
        if where := _carries(tests_tree, body, _COPIED):
            return where
    return _carries(tests_tree, [node for body in bodies for node in body], _COPIED + 0.2)


def _carries(tests: ast.Module, body: list[ast.stmt], part: float) -> str:
    wanted = Counter(_grams(body))
    if wanted.total() < _ENOUGH:
        return ""
    for node in tests.body:
        found = Counter(_grams([node]))
        if (wanted & found).total() / wanted.total() >= part:
            return getattr(node, "name", f"line {node.lineno}")
    found = Counter(_grams(list(tests.body)))
    return "the module" if (wanted & found).total() / wanted.total() >= _COPIED + 0.2 else ""


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def _grams(nodes: list[ast.stmt]) -> Iterator[tuple[str, ...]]:
    tokens = [token for node in nodes for token in _tokens(node)]
    for place in range(len(tokens) - _GRAM + 1):
        yield tuple(tokens[place : place + _GRAM])


def _tokens(root: ast.AST) -> Iterator[str]:
    """The form of a piece of code: kinds of nodes, attributes, constants that are not text. By a stack, for code may be deep."""
    left = [root]
    while left:
        node = left.pop()
        if isinstance(node, ast.expr_context | ast.arguments | ast.arg | ast.alias):
            continue
        kind = type(node).__name__
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes):
            kind = f"{kind} {node.value!r}"
        elif isinstance(node, ast.Attribute):
            kind = f"{kind} {node.attr}"
        elif isinstance(node, ast.AugAssign):
            kind = "Assign"  # `x += 1` and `x = x + 1` are alike enough
        yield kind
        left += reversed(list(ast.iter_child_nodes(node)))
