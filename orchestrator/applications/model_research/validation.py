"""Whether a source is a network's module, seen without running it: imports and one class, and no work when it is imported.

This keeps answers tidy and says early what is wrong with them. It keeps nobody out: a class can do anything as soon as it is
made, so it is made in a sandbox only.

Left out: whether the network works (`smoke.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrator.sources import parse, where_and_why

IMPORTS = ("__future__", "collections", "functools", "itertools", "math", "numpy", "torch", "typing")
"""Modules that a network may import."""
_BASES = ("nn.Module", "torch.nn.Module", "Module")
_DECORATORS = ("classmethod", "property", "staticmethod")
_CALLS = (ast.Call, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def fault_in(code: str, class_name: str) -> str:
    """Why this is not a module with one network of that name: a sentence. Empty where it is one."""
    try:
        tree = parse(code)
    except SyntaxError as error:
        return f"It does not parse: {where_and_why(error)}."
    return next(_faults(tree, class_name), "")


def _faults(tree: ast.Module, class_name: str) -> Iterator[str]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import_faults(node)
        elif not isinstance(node, ast.ClassDef) and not (place == 0 and _is_text(node)):
            what = f"the function {node.name}" if isinstance(node, _Function) else ast.unparse(node).partition("\n")[0][:60]
            yield f"Beside imports and the class there must be nothing in the module, and in line {node.lineno} there is {what}."
    named = [node for node in classes if node.name == class_name]
    if not named:
        has = f"; it has {', '.join(node.name for node in classes)}" if classes else ""
        yield f"It has no class {class_name}{has}."
        return
    if len(classes) > 1:
        others = ", ".join(node.name for node in classes if node is not named[-1])
        yield f"It must have one class and has {others} beside {class_name}: write what they do into it."
    yield from _class_faults(named[-1])


def _import_faults(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        modules = ["." if node.level else node.module or ""]
        if any(alias.name == "*" for alias in node.names):
            yield f"It imports everything of {node.module} in line {node.lineno}: name what is needed."
    else:
        modules = [alias.name for alias in node.names]
    for module in modules:
        if module.partition(".")[0] not in IMPORTS:
            yield f"It imports {module} in line {node.lineno}; a network may import {', '.join(IMPORTS[1:])}."


def _class_faults(node: ast.ClassDef) -> Iterator[str]:
    bases = [ast.unparse(base) for base in node.bases]
    if len(bases) != 1 or bases[0] not in _BASES or node.keywords or node.decorator_list:
        yield f"The class must be written `class {node.name}(nn.Module):`, without anything more."
    methods: dict[str, _Function] = {}
    for place, item in enumerate(node.body):
        if isinstance(item, _Function):
            methods[item.name] = item
            yield from _method_faults(item)
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            parts = [item.value, getattr(item, "annotation", None)]
            if any(_calls(part) for part in parts):
                yield f"Line {item.lineno} calls something when the module is imported: do that in __init__."
        elif not isinstance(item, ast.Pass) and not (place == 0 and _is_text(item)):
            yield f"In the class there must be methods and constants only, and in line {item.lineno} there is {_begin(item)}."
    yield from _signature_faults(node.name, methods)


def _method_faults(method: _Function) -> Iterator[str]:
    if isinstance(method, ast.AsyncFunctionDef):
        yield f"The method {method.name} must not be async."
    for decorator in method.decorator_list:
        if ast.unparse(decorator) not in _DECORATORS:
            yield f"The method {method.name} has the decorator @{_begin(decorator)}: write it without."
    given = method.args
    names = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    evaluated = [*given.defaults, *given.kw_defaults, *(name.annotation for name in names), method.returns]
    if any(map(_calls, evaluated)):
        yield f"The signature of {method.name} calls something when the module is imported: do that inside."


def _signature_faults(name: str, methods: dict[str, _Function]) -> Iterator[str]:
    if "__init__" in methods and _needed(methods["__init__"]) != 1:
        yield f"{name}() must work without arguments: give all parameters of __init__ a default."
    if "forward" not in methods:
        yield f"{name} has no method forward(self, x)."
    elif _needed(methods["forward"]) != 2:
        yield "forward must take one argument: write `def forward(self, x):`."


def _needed(method: _Function) -> int:
    """How many arguments it cannot do without, `self` among them."""
    given = method.args
    named = sum(default is None for default in given.kw_defaults)
    return len(given.posonlyargs) + len(given.args) - len(given.defaults) + named


def _calls(node: ast.AST | None) -> bool:
    return node is not None and any(isinstance(part, _CALLS) for part in ast.walk(node))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _begin(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0][:60]
