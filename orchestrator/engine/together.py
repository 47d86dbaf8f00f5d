"""Tests that are not pytest's, as pytest tests: for runs in which candidate and tests share an interpreter, where only pytest is.

Judged apart, the tests' side runs HumanEval's `check(candidate)` and bare asserts itself (`sandbox_image/agent/light_tests.py`
decides what is one of these, here as well). A text for pytest can say the same: `check` is called by a test, and each
assertion becomes one, which first does what stands between it and the one before.

Left out: comments and blank lines of bare asserts; a message shows the line as Python writes it back.
"""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from orchestrator import sources
from orchestrator.types import Program

if TYPE_CHECKING:
    from sandbox_image.agent.light_tests import Asserts


def as_pytest(program: Program) -> Program:
    """The program with tests that pytest collects: the same ones where it does so anyway."""
    if program.tests is None:
        return program
    tests = _rewritten(program.tests, program.module, program.entry_point, program.defines)
    return program if tests == program.tests else program.model_copy(update={"tests": tests})


@functools.lru_cache(maxsize=256)
def _rewritten(tests: str, module: str, entry_point: str, defines: tuple[str, ...]) -> str:
    """Remembered, for many candidates are judged by the same tests."""
    from sandbox_image.agent.light_tests import Asserts, Names, kind_of

    try:
        tree = sources.parse(tests)
        kind = kind_of(tree, entry_point)
        if kind not in ("check", "asserts"):
            return tests
        known = Names(tests, tree)
        wanted = known.wanted(module, known.bound | known.starred(module, entry_point), entry_point, defines)
        imports = sources.parse("".join(f"from {module} import {name}\n" for name in wanted)).body
        if kind == "check":
            statements = [one for one in tree.body if not _calls_check(one)]
            # At the top, so that a candidate without the function is not a candidate, as it is apart.
            imports = sources.parse(f"from {module} import {entry_point} as _asked_for").body + imports
            statements += sources.parse("def test_check():\n    check(_asked_for)").body
        else:
            statements = _each_a_test(Asserts(tree))
        first = [one for one in statements if sources.is_future(one)]
        rest = [one for one in statements if one not in first]
        return ast.unparse(ast.fix_missing_locations(ast.Module([*first, *imports, *rest], []))) + "\n"
    except SyntaxError:
        return tests  # pytest says what is wrong with them


def _calls_check(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    return isinstance(node.value.func, ast.Name) and node.value.func.id == "check"


def _each_a_test(asserts: Asserts) -> list[ast.stmt]:
    """A module in which each assertion is a test. Imports come first: those of all names may stand in no function."""
    imports: list[ast.stmt] = [one for one in asserts.statements if isinstance(one, ast.Import | ast.ImportFrom)]
    tests: list[ast.stmt] = []
    steps: list[ast.stmt] = []
    for place, statement in enumerate(asserts.statements):
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            steps.append(statement)
        if name := asserts.names.get(place):
            test = sources.parse(f"def test_{name}(): pass").body[0]
            assert isinstance(test, ast.FunctionDef)
            bound = sorted(set().union(*map(_bound, steps)))
            test.body = [*([ast.Global(bound)] if bound else []), *steps]
            tests.append(test)
            steps = []
    return [*imports, *tests]


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement binds, those of functions in it among them: to these it makes no difference."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
    return found
