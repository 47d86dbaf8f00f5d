"""What tests import, and how names of a package can be judged apart: by a candidate that has nothing but these.

`from pk.core import f` in tests becomes `from candidate import f`, and the candidate is `from pk.core import f`: names that are
fetched once, as they would have been in the tests.

Left out: whether what the tests do with the names can be done apart (`apart.py`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping

from orchestrator.sources import parse

_FROM = re.compile(rb"from[ \t]+[\w.]+[ \t]+import\b")
_BY_TEXT = ("import_module", "__import__")


def imported(tests: str) -> set[str]:
    """Modules that tests import by absolute names, and for `from a import b` also `a.b`, which may be one."""
    try:
        nodes = list(ast.walk(parse(tests)))
    except SyntaxError:
        return set()
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def import_any(files: Mapping[str, bytes] | None, modules: Collection[str]) -> bool:
    """Whether some Python file imports one of these modules."""
    sources = (content.decode("utf-8", "replace") for path, content in (files or {}).items() if path.endswith(".py"))
    return any(imported(source) & set(modules) for source in sources)


def by_names(tests: str, modules: Collection[str]) -> tuple[str, str] | None:
    """A candidate that imports the names which tests import of some modules, and the tests with these names from `candidate`.

    None where the tests have a module itself in hand, name one in a text, or import one name of two modules. Lines keep their
    numbers.
    """
    try:
        tree = parse(tests)
    except SyntaxError:
        return None
    lines = tests.encode().splitlines(keepends=True)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module in modules or node.level)]
    imports.sort(key=lambda node: (node.lineno, node.col_offset))
    for node in reversed(imports):  # an edit moves what follows in its line
        line = lines[node.lineno - 1]
        found = _FROM.match(line, node.col_offset)
        if found is None or node.level:
            return None
        lines[node.lineno - 1] = line[: node.col_offset] + b"from candidate import" + line[found.end() :]
    rewritten = b"".join(lines).decode()
    owners = {(alias.name, node.module or "") for node in imports for alias in node.names}
    if len({name for name, _ in owners}) < len(owners) or any(f"{module}.{name}" in modules for name, module in owners):
        return None
    tops = {name.partition(".")[0] for name in modules}
    still = {*imported(rewritten), *_paths_in_texts(tree, exact=any(word in tests for word in _BY_TEXT))}
    if "candidate" in imported(tests) or any(path.partition(".")[0] in tops for path in still):
        return None
    code = (f"from {node.module} import {', '.join(alias.name for alias in node.names)}\n" for node in imports)
    return "".join(code), rewritten


def _paths_in_texts(tree: ast.Module, *, exact: bool) -> Iterator[str]:
    """Texts by which a module may be found, as `mock.patch` does; `exact` for those without a dot too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (exact or "." in node.value):
            yield node.value
