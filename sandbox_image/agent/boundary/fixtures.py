"""Which fixtures a test asks for by its source: a missing one is the tests' fault where nothing of the candidate's made it so.

Left out: fixtures that are asked for by a value (`getfixturevalue`), for the candidate may have given it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from ..light_tests import Definition, last_name

_BY_NAME = frozenset(("globals", "locals", "vars", "setattr", "exec", "eval"))
"""What may give a name that the source does not write."""


def lacks(tree: ast.Module, test: Definition, name: str, depends: Callable[[ast.AST], bool]) -> bool:
    """Whether a test of this file asks for a fixture that the source nowhere has, whatever the candidate is.

    `depends` says whether something of the candidate's is used in a part of the source. A fixture that it decorates, names or
    decides about may be another than the source shows, and then nothing is known of any.
    """
    nodes = list(ast.walk(tree))
    fixtures = {id(node): node for node in nodes if isinstance(node, Definition) and any(map(_is_fixture, node.decorator_list))}
    shown = {id(part) for node in fixtures.values() for one in node.decorator_list for part in ast.walk(one)}
    used = [part for node in nodes if isinstance(node, ast.Call) and last_name(node) == "usefixtures" for part in node.args]
    texts = {id(part) for part in used}
    if any((_is_named(node, name) and id(node) not in texts) or (_is_fixture(node) and id(node) not in shown) for node in nodes):
        return False
    if any(isinstance(node, ast.Name) and node.id in _BY_NAME for node in nodes) or any(map(_is_hook, nodes)):
        return False
    if any(depends(part) for node in fixtures.values() for part in node.decorator_list):
        return False
    wanted = _parameters(test) | {part.value for part in used if isinstance(part, ast.Constant)}
    for node in fixtures.values():
        if any(word.arg == "autouse" for one in node.decorator_list if isinstance(one, ast.Call) for word in one.keywords):
            wanted |= _parameters(node)
    before = -1
    while before != len(wanted):  # what the fixtures ask for that it asks for
        before = len(wanted)
        for node in fixtures.values():
            wanted |= _parameters(node) if node.name in wanted else set()
    return name in wanted


def _is_fixture(node: ast.AST) -> bool:
    """Whether this makes a fixture: `fixture`, `pytest.fixture`, called or not."""
    return last_name(node) == "fixture"


def _is_hook(node: ast.AST) -> bool:
    """Whether this has a hand in what pytest collects."""
    return isinstance(node, Definition) and node.name.startswith("pytest_")


def _is_named(node: ast.AST, name: str) -> bool:
    """Whether something gets this name, or has it as a text, but for parameters."""
    if isinstance(node, Definition | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == name
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and name in re.split(r"[,\s]+", node.value)


def _parameters(node: Definition) -> set[str]:
    """What a function asks for: parameters with a default are no fixtures."""
    found = [*node.args.posonlyargs, *node.args.args]
    found = found[: len(found) - len(node.args.defaults)] if node.args.defaults else found
    return {one.arg for one in (*found, *node.args.kwonlyargs)}
