"""Classes whose help shows what stands below their fields in the source: meanings, and units.

`help(Limits)` then says that `memory` is in bytes. The source is read when somebody asks, so that an import pays nothing.

Left out: what a type checker or a schema says of fields.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any


class Documentation:
    """A class's docstring with its fields; set it as `__doc__` of the class."""

    def __init__(self, own: str | None) -> None:
        self._own = own

    def __get__(self, instance: object, owner: type) -> str | None:
        """The docstring of a class, or that of the class of an instance."""
        fields = _fields(owner)
        if not fields:
            return self._own
        return f"{inspect.cleandoc(self._own or '')}\n\nFields:\n\n" + "\n".join(fields.values())


def document(kind: type) -> None:
    """Let the docstring of a class list its fields."""
    kind.__doc__ = Documentation(kind.__dict__.get("__doc__"))  # type: ignore[assignment]


@cache
def _fields(kind: type) -> dict[str, str]:
    """Each field with its type, its default and what stands below it; those of parents first."""
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if isinstance(parent.__dict__.get("__doc__"), Documentation):
            found |= _own_fields(parent)
    return found


def _own_fields(kind: type) -> dict[str, str]:
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # its source is not at hand
        return {}
    body: list[Any] = tree.body  # type: ignore[attr-defined]
    found = {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        what = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            what = f"\n{textwrap.indent(inspect.cleandoc(below.value.value), '    ')}"
        default = f" = {ast.unparse(node.value)}" if node.value is not None else ""
        found[node.target.id] = f"{node.target.id}: {ast.unparse(node.annotation)}{default}{what}"
    return found
