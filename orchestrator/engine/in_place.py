"""Whether tests wait for the candidate to use up what they pass: a reading of their source, before anything runs.

`while heap: out.append(pop(heap))` never ends where the candidate has a copy. All else that copies change shows in a run, and
both ways are tried then (`engine.py`).

Left out: loops that end by a `break`.
"""

from __future__ import annotations

import ast
import functools
import re

from orchestrator.sources import parse

_MAY_WAIT = re.compile(r"\bwhile\b(?!\s*True\b)")


@functools.lru_cache(maxsize=256)  # many candidates are judged by the same tests
def waits_for_changes(tests: str) -> bool:
    """Whether a loop of the tests goes on while a variable says so that a call in it is passed. Tests that do not parse: no."""
    if _MAY_WAIT.search(tests) is None:
        return False
    try:
        return any(_waits(node) for node in ast.walk(parse(tests)) if isinstance(node, ast.While))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _waits(loop: ast.While) -> bool:
    asked = _names([loop.test])
    calls = [node for statement in (loop.test, *loop.body) for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(asked & _names([*call.args, *(keyword.value for keyword in call.keywords)]) for call in calls)


def _names(nodes: list[ast.expr]) -> set[str]:
    return {node.id for outer in nodes for node in ast.walk(outer) if isinstance(node, ast.Name)}
