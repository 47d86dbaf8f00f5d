"""Classes whose help shows what stands below their fields in the source: meanings, and units.

`help(Limits)` then says that `memory` is in bytes. The source is read when somebody asks, so that an import pays nothing.

Left out: what a type checker or a schema says of fields.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _ModelMetaclass
else:
    _ModelMetaclass = type(BaseModel)  # it has no public name


class Documented(_ModelMetaclass):
    """Metaclass of models whose docstring lists their fields.

    A property of the metaclass, for `help` takes what lies in the class itself as it is.
    """

    @property
    def __doc__(cls) -> str:  # type: ignore[override]
        own = inspect.cleandoc(vars(cls).get("__doc__") or "")
        fields = _fields(cls)
        return f"{own}\n\nFields:\n\n" + "\n".join(fields.values()) if fields else own


@cache
def _fields(kind: type) -> dict[str, str]:
    """Each field with its type, its default and what stands below it; those of parents first."""
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if isinstance(parent, Documented):
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
