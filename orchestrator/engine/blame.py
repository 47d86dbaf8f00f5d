"""Whether tests are at fault that ran in one interpreter with their candidate: tried without it, for it could say anything.

The same tests are run once more with a module that has every name and can do nothing: whatever uses it fails for that. Tests that
cannot begin, or of which none runs, with this one as well are at fault. It is asked only where the tests were said to be.

Left out: tests judged apart. There the tests' side proves it as it goes (`sandbox_image/agent/boundary/tests.py`).
"""

from __future__ import annotations

import ast
import builtins

from orchestrator.scoring.verdicts import verdict_of_tests
from orchestrator.sources import parse
from orchestrator.types import Program, RunReport, Verdict

_NOBODY = """
def _refuse(*args, **kwargs):
    raise ImportError("no candidate is here", name=__name__)

class _Nobody(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse()

_UNARY = "call iter next len bool getitem contains reversed neg pos abs invert int float complex index round enter exit aiter"
_BINARY = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
for _name in [*_UNARY.split(), *_BINARY.split(), *("r" + name for name in _BINARY.split()), "lt", "le", "gt", "ge", "eq", "ne"]:
    setattr(_Nobody, f"__{_name}__", _refuse)
_Nobody.__hash__ = type.__hash__

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Nobody(name, (), {})
"""
_PROOFS = ("SyntaxError", "IndentationError", "TabError", "ImportError", "ModuleNotFoundError", "NameError", "FileNotFoundError")
"""Errors by which tests fail to begin for what they are. Others they may also have because a name stands for nothing."""
_BY_PYTEST = "Failed:"
"""How pytest begins to say that it cannot read a test: parameters without an argument, and the like."""


def without_candidate(program: Program) -> Program:
    """The same tests, with a candidate of which each module has every name and can do nothing."""
    names = sorted(_from_nowhere(program.tests or "") | {program.entry_point, *program.defines} - {""})
    code = f"{_NOBODY}\n__all__ = {names!r}\n"
    files = {path: code.encode() for path in program.files if path.endswith(".py")}
    return program.model_copy(update={"code": code, "files": files, "artifacts": (), "judging": "together"})


def is_proved(report: RunReport) -> bool:
    """Whether a run of `without_candidate` shows that its tests are at fault."""
    if verdict_of_tests(report) is not Verdict.INVALID_TESTS:
        return False
    last = (report.collection_error.strip().splitlines() or [""])[-1]
    return not last or last.startswith((*_PROOFS, _BY_PYTEST))


def _from_nowhere(tests: str) -> set[str]:
    """Names that tests use and do not bind: they have them from the candidate, by `import *`."""
    try:
        nodes = list(ast.walk(parse(tests)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    bound = set(dir(builtins))
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
    return {node.id for node in nodes if isinstance(node, ast.Name)} - bound
