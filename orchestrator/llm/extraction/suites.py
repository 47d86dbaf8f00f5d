"""Statements of an answer -> a test module: the test functions and all that they reach.

Left out: whether the tests are any good.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence

from orchestrator.llm.extraction.effects import ANYTHING
from orchestrator.llm.extraction.parsing import longest_beginning, parses
from orchestrator.llm.extraction.pieces import (
    DEFINITIONS,
    FUNCTIONS,
    Piece,
    Source,
    cut_off,
    is_docstring,
    is_main,
    is_test,
    join,
    names_in,
    pieces,
)
from orchestrator.llm.extraction.pruning import Keeper, Pool
from orchestrator.llm.extraction.refusals import unusable
from orchestrator.llm.extraction.result import MODULE, Extraction


def suite(sources: list[Source], entry_point: str | None, problems: list[str]) -> Extraction:
    """The tests in an answer.

    Args:
        entry_point: the function under test, imported from `candidate`.
    """
    found = [piece for source in sources for piece in (*source.pieces, *_begun_test(source))]
    for source in sources:
        problems.extend(source.problems)
        if source.broken:
            problems.append("dropped an unfinished tail" if source.broken[-1].at_end else "dropped what does not parse")
    makers = {name for piece in found if isinstance(piece.node, FUNCTIONS) and _asserts(piece.node) for name in piece.binds}
    tests = [piece for piece in found if is_test(piece.node) or _makes_tests(piece, makers)]
    if not tests:
        return _wrap_asserts(sources, found, entry_point, problems)
    latest = {next(iter(piece.binds), piece.source): piece for piece in tests}
    if len(latest) < len(tests):
        problems.append("kept the last of several definitions")
    fixtures = _fixtures(found)
    for piece in found:
        if isinstance(piece.node, DEFINITIONS):
            # Arguments of tests and of fixtures name fixtures.
            piece.effects.later.update(_arguments(piece.node))
        # So do strings: `usefixtures("db")`, `request.getfixturevalue("db")`.
        piece.effects.later.update(fixtures.keys() & _strings(piece.node))
        piece.effects.binds.update(name for name, fixture in fixtures.items() if fixture is piece)
    chosen = {id(piece) for piece in latest.values()}
    old = {id(piece) for piece in tests} - chosen
    given = frozenset([entry_point]) if entry_point else frozenset()
    keeper = Keeper([Pool(found)], problems=problems, given=given, dropped=lambda piece: id(piece) in old)
    for piece in found:
        if id(piece) in chosen or _is_read_by_pytest(piece):
            keeper.keep(piece)
    return _module(keeper.kept(), found, entry_point, problems)


_HOOKS = re.compile(
    r"(?:setup|teardown)(?:_module|_function)?|setUpModule|tearDownModule|pytestmark|pytest_\w+|load_tests"
    r"|collect_ignore|collect_ignore_glob"
)
"""Names of a module that pytest looks up by themselves."""


def _is_read_by_pytest(piece: Piece) -> bool:
    """A hook, a mark for the whole module, or a fixture that every test uses."""
    named = any(_HOOKS.fullmatch(name) for name in piece.binds)
    return (named and not piece.is_import) or any(_is_true(_keywords(call).get("autouse")) for call in _fixture_calls(piece))


def _is_true(value: ast.expr | None) -> bool:
    return value is not None and not (isinstance(value, ast.Constant) and not value.value)


def _fixture_calls(piece: Piece) -> list[ast.expr]:
    """Decorators that make a function a fixture."""
    decorators = piece.node.decorator_list if isinstance(piece.node, FUNCTIONS) else []
    return [decorator for decorator in decorators if any("fixture" in name for name in names_in(decorator))]


def _keywords(call: ast.expr) -> dict[str, ast.expr]:
    given = call.keywords if isinstance(call, ast.Call) else []
    return {keyword.arg: keyword.value for keyword in given if keyword.arg}


def _fixtures(found: Sequence[Piece]) -> dict[str, Piece]:
    """The fixtures by the names under which tests ask for them: `name="db"` goes before the function's own."""
    fixtures: dict[str, Piece] = {}
    for piece in found:
        for call in _fixture_calls(piece):
            name = _keywords(call).get("name")
            given = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
            fixtures |= dict.fromkeys([given] if given else piece.binds, piece)
    return fixtures


def _strings(node: ast.AST) -> set[str]:
    return {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def _asserts(node: ast.AST) -> bool:
    return any(isinstance(item, ast.Assert) for item in ast.walk(node))


def _makes_tests(piece: Piece, makers: set[str]) -> bool:
    """`test_one = check(1)` and `globals()[f"test_{n}"] = check(n)`, where `check` holds an assertion."""
    if isinstance(piece.node, DEFINITIONS) or not makers & piece.effects.calls:
        return False
    return any(name.startswith("test") for name in piece.binds) or (
        ANYTHING in piece.effects.changes and any(text.startswith("test") for text in _strings(piece.node))
    )


def _begun_test(source: Source) -> list[Piece]:
    """A test that the answer stops in, as far as it is whole: with an assertion less it is still a test."""
    last = source.broken[-1] if source.broken else None
    if last is None or not last.at_end or not cut_off(last.source, source.closed):
        return []
    whole = longest_beginning("\n".join(last.source.split("\n")[:-1]))
    return [piece for piece in pieces(whole) if is_test(piece.node)] if whole else []


def _arguments(node: ast.stmt) -> list[str]:
    functions = [item for item in ast.walk(node) if isinstance(item, ast.FunctionDef)]
    return [argument.arg for function in functions for argument in function.args.args]


def _wrap_asserts(sources: list[Source], found: list[Piece], entry_point: str | None, problems: list[str]) -> Extraction:
    """Bare asserts at module level: they and what stands between them become one test."""
    if not any(isinstance(piece.node, ast.Assert) for piece in found):
        refused = unusable(sources, None, problems)
        reason = refused.reason if not found else "The answer holds no test function."
        return refused.model_copy(update={"reason": reason})
    outer = [
        piece for piece in found if piece.is_import or (isinstance(piece.node, DEFINITIONS) and entry_point not in piece.binds)
    ]
    apart = {id(piece) for piece in outer}
    inner = [
        piece.source
        for piece in found
        if id(piece) not in apart and not is_main(piece.node) and entry_point not in piece.binds and not is_docstring(piece.node)
    ]
    problems.append("put bare asserts into a test function")
    source = "def test_examples():\n" + textwrap.indent("\n".join(inner), "    ")
    wrapped = list(pieces(source)) if parses(source) else []
    return _module([*outer, *wrapped], found, entry_point, problems)


def _module(kept: list[Piece], found: Sequence[Piece], entry_point: str | None, problems: list[str]) -> Extraction:
    """Tests test the candidate: a copy of it, or an import of it from elsewhere, gives way to the import from `candidate`."""
    chosen = [piece for piece in kept if entry_point is None or entry_point not in piece.binds]
    if entry_point is not None:
        if any(entry_point in piece.binds and not piece.is_import for piece in found):
            problems.append("dropped the tests' own copy of the function")
        whole = [piece for piece in kept if _takes(piece, entry_point)]
        # `from somewhere import loss, other` keeps nothing of `somewhere`: there is no such module in the sandbox.
        others = [piece for piece in kept if piece not in whole and entry_point in piece.binds and piece.is_import]
        if any(len(piece.binds) > 1 for piece in others):
            problems.append("dropped names imported beside the function")
        chosen = [*(whole or pieces(f"from {MODULE} import {entry_point}")), *chosen]
    code = join(chosen)
    said = tuple(dict.fromkeys(problems))
    if not parses(code):
        return Extraction(draft=code, reason="The tests do not parse once they are put together.", problems=said)
    return Extraction(code=code, usable=True, problems=said)


def _takes(piece: Piece, entry_point: str) -> bool:
    """Whether this takes the function, and perhaps what belongs to it, from where the tests find it."""
    node = piece.node
    if not isinstance(node, ast.ImportFrom) or node.module != MODULE or node.level:
        return False
    return any(alias.name == entry_point and alias.asname is None for alias in node.names)
