"""Which names tests take from where: read from their source, so that what they leave open is written down as imports.

Many data sets append tests to the program and run both as one file. Here tests are a module of their own: what they use and do
not define comes from the candidate only where the task says that it defines it, else from the task's own code.

Left out: scopes. A name that tests bind anywhere is theirs everywhere.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterable

from orchestrator.sources import imports, is_future, parse

MODULE = "candidate"
"""The name under which tests import the candidate unless they or the data set say otherwise."""
USUAL = (MODULE, "solution")
"""Names that mean the candidate wherever tests import them."""
_LIBRARIES = frozenset(
    ("numpy", "pandas", "pytest", "_pytest", "scipy", "sklearn", "torch", "hypothesis", "matplotlib", "typing_extensions")
)
METHOD = re.compile(r"([A-Za-z_]\w*)\(\)\.([A-Za-z_]\w*)")
"""An entry point as LeetCodeDataset writes it: `Solution().method`."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)


def parsed(source: str) -> ast.Module | None:
    """The tree of a source; None where it does not parse."""
    try:
        return parse(source)
    except SyntaxError:
        return None


def module_of(tests: str, names: Iterable[str] = ()) -> str:
    """The name under which tests import the candidate: `candidate`, `solution`, or where they take one of `names` from.

    `names` are those that the candidate is known to define. A library, or a module of Python's own, is never the candidate.
    """
    tree = parsed(tests)
    if tree is None:
        return MODULE
    wanted = set(names) - {""}
    found = [one for one in imports(tree) if not one.level]
    roots = [one.module for one in found if one.module in USUAL or (one.name in wanted and _is_nobody(one.module))]
    return next((name for name in USUAL if name in roots), next(iter(roots), MODULE))


def _is_nobody(module: str) -> bool:
    return module.isidentifier() and module not in sys.stdlib_module_names and module not in _LIBRARIES


def is_check(tests: str) -> bool:
    """Whether tests are HumanEval's `check(candidate)`, and no pytest beside it."""
    tree = parsed(tests)
    if tree is None or "def check(" not in tests:
        return False
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return any(node.name == "check" and len(node.args.args) == 1 for node in functions) and not _has_tests(tree)


def checked_name(tests: str, reference: str = "") -> str:
    """What a `check(candidate)` checks where nobody says it: the only name that the tests leave open, else the only function
    of the reference; empty where there is a choice.
    """
    return next((name for names in (open_names(tests), functions_of(reference)) if len(names) == 1 for name in names), "")


def is_entry_point(text: object) -> bool:
    """Whether this can name what is asked for: nothing, a name, or a method written `Solution().method`."""
    return isinstance(text, str) and (not text or text.isidentifier() or METHOD.fullmatch(text) is not None)


def of_method(tests: str, entry: str, given: str = "", module: str = MODULE) -> str:
    """HumanEval's `check(candidate)` as a test of a method that is written `Solution().method`."""
    name, _, method = entry.partition("().")
    head = f"from {module} import {name}"
    return "\n\n".join([head, with_helpers(tests, given, name), f"def test_{method}():\n    check({entry})\n"])


def looped(tests: str, entry_point: str) -> str:
    """A script that ends in a loop over inputs and outputs, as MBPP+ has them on the hub, as a test; other source as it is."""
    tree = parsed(tests)
    if tree is None or not tree.body or not isinstance(tree.body[-1], ast.For):
        return tests
    lines = tests.split("\n")
    start = tree.body[-1].lineno - 1
    test = ["", "def test_all():", *(f"    {line}" for line in lines[start:])]
    return "\n".join([f"from {MODULE} import {entry_point}", *lines[:start], *test])


def as_in_one_module(tests: str) -> str:
    """Tests that share a module with the candidate in their own data set: what they call `__name__` is the candidate's module,
    as in `@patch(__name__ + ".random.randint")`.
    """
    tree = parsed(tests) if "__name__" in tests else None
    return tests if tree is None else ast.unparse(_OneModule().visit(tree))


class _OneModule(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(MODULE) if node.id == "__name__" and isinstance(node.ctx, ast.Load) else node


def with_helpers(tests: str, given: str, entry_point: str) -> str:
    """Tests that bring along what they use of the code that is given, besides what is asked for.

    Three of HumanEval's do (32, 38, 50). Taken from the candidate, `poly` could be zero everywhere.
    """
    return "\n\n".join([*filter(None, [taken(given, open_names(tests) - {entry_point})]), tests])


def completed(tests: str, *, module: str = MODULE, entry_point: str = "", given: str = "", reference: str = "") -> str:
    """Pytest source with imports for what it uses and does not define; any other source as it is.

    From `given`, the code that the task brings along, come imports and definitions, as they stand there; from the candidate the
    entry point and what the `reference` defines beside.
    """
    tree = parsed(tests)
    if tree is None or not _has_tests(tree) or any(one.module == module and not one.level for one in imports(tree)):
        return tests
    open_ = _open(tree)
    brought = taken(given, open_ - {entry_point})
    if brought:
        open_ -= _bound(parse(brought))
    known = {entry_point} | defined(reference)
    # Where nobody says what is asked for and one name is open, it is that one.
    wanted = sorted(open_ if known == {""} and len(open_) == 1 else open_ & known)
    return "\n\n".join([*filter(None, [brought]), *([f"from {module} import {', '.join(wanted)}\n"] if wanted else []), tests])


def taken(given: str, names: set[str]) -> str:
    """The imports and top-level definitions of some code that `names` need, and what these need in turn."""
    tree = parsed(given)
    if tree is None or not names:
        return ""
    kept: set[int] = set()
    while True:
        more = [
            place for place, node in enumerate(tree.body) if place not in kept and _is_plain(node) and names & _bound_by(node)
        ]
        if not more:
            break
        kept.update(more)
        names = names | set().union(*(_open(ast.Module([tree.body[place]], [])) for place in more))
    stars = {place for place, node in enumerate(tree.body) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"}
    if any(not isinstance(tree.body[place], ast.Import | ast.ImportFrom) for place in kept):
        kept |= stars  # what a definition takes from them cannot be seen
    return "\n\n".join(ast.unparse(node) for place, node in enumerate(tree.body) if place in kept)


def open_names(source: str) -> set[str]:
    """Names that a source uses and binds nowhere, Python's own left out."""
    tree = parsed(source)
    return set() if tree is None else _open(tree)


def defined(source: str) -> set[str]:
    """Names that a program defines at its top level, imports left out."""
    tree = parsed(source)
    if tree is None:
        return set()
    nodes = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return set().union(*map(_bound_by, nodes)) if nodes else set()


def functions_of(source: str) -> set[str]:
    """Names of a program's top-level functions."""
    tree = parsed(source)
    return {node.name for node in tree.body if isinstance(node, _FUNCTIONS)} if tree else set()


def after_future(preamble: str, code: str) -> str:
    """A preamble before some code, but behind its imports from `__future__`, which must come first."""
    tree = parsed(code) if "__future__" in code else None
    ends = [node.end_lineno or 0 for node in (tree.body if tree else []) if is_future(node)]
    if not ends:
        return preamble + code
    lines = code.split("\n")
    return "\n".join([*lines[: ends[-1]], preamble.rstrip("\n"), *lines[ends[-1] :]])


def _has_tests(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, _FUNCTIONS) and node.name.startswith("test"))
        or (
            isinstance(node, ast.ClassDef)
            and any(isinstance(one, _FUNCTIONS) and one.name.startswith("test") for one in node.body)
        )
        for node in tree.body
    )


def _is_plain(node: ast.stmt) -> bool:
    """An import, a definition, or an assignment: what code that is given along consists of."""
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, *_DEFINITIONS))


def _bound_by(node: ast.stmt) -> set[str]:
    """Names that one top-level statement binds for the module."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    return _bound(node)


def _bound(tree: ast.AST) -> set[str]:
    found = {one.binds for one in imports(tree)}
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _open(tree: ast.AST) -> set[str]:
    """Names that are used and bound nowhere."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return used - _bound(tree) - set(vars(builtins))
