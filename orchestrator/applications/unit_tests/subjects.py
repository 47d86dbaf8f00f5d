"""Functions and classes that tests are wanted for: those of a file, and the references of a benchmark."""

from __future__ import annotations

import ast
from pathlib import Path

from orchestrator.applications.unit_tests.judge import Subject, is_exception
from orchestrator.applications.unit_tests.mutants import mutants
from orchestrator.applications.unit_tests.siblings import borrowed, siblings_of
from orchestrator.data.benchmarks import BenchmarkTask
from orchestrator.data.benchmarks.literals import literal
from orchestrator.data.benchmarks.names import functions_of
from orchestrator.errors import UsageError
from orchestrator.files import read_text
from orchestrator.llm.extraction import MODULE
from orchestrator.sources import parse


def with_module(tests: str, old: str, new: str, *, whole: bool = False) -> str:
    """Tests that import from the module `new` what they imported from `old`, in whatever package that was.

    With `whole` the name has its package, and only names are taken from the module. What does not parse comes back as it is.
    """
    try:
        tree = parse(tests)
    except SyntaxError:
        return tests
    lines = tests.splitlines()
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(found, key=lambda node: -node.lineno):
        before = ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            if old and old == (node.module if whole else (node.module or "").rpartition(".")[2]):
                node.module, node.level = new, 0
        elif not whole:
            for name in node.names:
                if name.name == old:
                    name.name, name.asname = new, name.asname or old
        end = node.end_lineno or node.lineno
        own = lines[node.lineno - 1 : end]
        if ast.unparse(node) != before and ";" not in "".join(own):
            indent = own[0][: len(own[0]) - len(own[0].lstrip())]
            lines[node.lineno - 1 : end] = [indent + ast.unparse(node)]
    return "\n".join(lines) + ("\n" if tests.endswith("\n") else "")


def subject_of(place: str) -> Subject:
    """What `FILE::function`, `FILE::Class` or `FILE::Class.method` names.

    Raises:
        UsageError: it is no such place, the file cannot be read, or it has no such function, class or method.
    """
    path, _, function = place.rpartition("::")
    parts = function.split(".")
    if not path or len(parts) > 2 or not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"{place!r} names no function.",
            remedy="Write FILE::function, as in stats.py::median, FILE::Class or FILE::Class.method.",
        )
    module = read_text(Path(path), "The module")
    try:
        mutants(module, function, most=1)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc.message}", remedy=exc.remedy) from None
    if is_exception(module, parts[0]):
        raise UsageError(
            f"{path}: {parts[0]} is an exception, and tests are scored for functions and other classes.",
            remedy="Name what raises it.",
        )
    name, siblings = siblings_of(Path(path), module)
    return Subject(name=place, module=module, function=function, module_name=name, siblings=siblings)


def imported_as_candidate(tests: str, subject: Subject) -> str:
    """Tests that import from `candidate` what they import from the subject's module, or from a module that this imports from."""
    tests = with_module(tests, subject.module_name.rpartition(".")[2], MODULE)
    for name, _ in subject.siblings:
        tests = with_module(tests, name.removesuffix(".__init__"), MODULE, whole=True)
    return tests


def subject_of_task(task: BenchmarkTask) -> Subject | str:
    """The reference of a benchmark's task as a subject; a sentence where it can be none."""
    if not task.reference or not task.entry_point:
        return f"{task.source}: task {task.task_id} has no reference, or does not name its function"
    if task.entry_point not in functions_of(task.reference):
        return f"{task.source}: task {task.task_id} does not ask for a function: {task.entry_point}"
    # Whatever name the data set gave the function's module, tests find it as `candidate` here.
    trusted = [
        source.replace(f"from {task.module} import", "from candidate import") for source in (task.tests, task.visible_tests)
    ]
    trusted = [source for source in trusted if source]
    if task.inputs is not None:
        trusted += [
            f"try:\n    {task.entry_point}(*{literal(arguments)})\nexcept Exception:\n    pass\n"
            for arguments in [*task.inputs.base, *task.inputs.plus][:200]
        ]
    return Subject(name=task.task_id, module=task.whole(task.reference), function=task.entry_point, trusted=tuple(trusted))


def shown(subject: Subject, *, docstrings: bool = True) -> str:
    """The source that the model sees: the whole module, for small ones, else imports and the function or class.

    Before it stands what the module takes from siblings.
    """
    tree = parse(subject.module)
    others = borrowed(subject.module, subject.module_name, subject.siblings)
    if docstrings and len(subject.module) <= 6000:
        return "\n\n".join([*map(ast.unparse, others), subject.module.strip()])
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)
        or getattr(node, "name", "") == subject.function.partition(".")[0]
        or len(subject.module) <= 6000
    ]
    if not docstrings:
        for node in (inner for one in (*others, tree) for inner in ast.walk(one)):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return "\n\n".join(ast.unparse(node) for node in (*others, *kept))
