"""What a model is asked for unit tests of a function, method or class."""

from __future__ import annotations

import re

from orchestrator.llm.extraction import MODULE
from orchestrator.llm.prompts import block, conversation
from orchestrator.types import Message


def write_unit_tests(source: str, function: str, *, of_class: bool = False) -> tuple[Message, ...]:
    """Ask for pytest tests of any Python function, or of `Class` or `Class.method`, whose source is shown.

    The form is the function's own: from tests of another function small models copy the values (0.5B, forty functions of
    HumanEval: 10 % of the answers valid so, 65 % with this form).
    """
    # Told of errors, small models expect one of every function.
    raises = re.search(r"^\s*raise\b", source, re.MULTILINE)
    errors, imports = (", and the errors that it raises", "import pytest\n") if raises else ("", "")
    cases = ("first_example", "second_example", "edge_case")

    if of_class:
        return _of_class(source, function, errors, imports)

    def form(case: str) -> str:
        return f"def test_{case}():\n    assert {function}(...) == ..."

    return conversation(
        f"# The function\n{block(source)}",
        f"Write pytest tests for `{function}`: five functions with one short assertion each. First the examples of its "
        f"docstring, if it has any; then edge cases at the bounds of its conditions, such as empty input{errors}. Compare a call "
        "with a literal value that you have worked out by going through the function. Import "
        f"it with `from {MODULE} import {function}`; do not write the function again, and do not compute what is expected.",
        "Answer with one whole python code block in this form, with values in place of the dots:",
        block("\n\n\n".join((f"{imports}from {MODULE} import {function}", *map(form, cases)))),
        system="You are an expert in testing Python. You answer with one python code block.",
    )


def _of_class(source: str, function: str, errors: str, imports: str) -> tuple[Message, ...]:
    owner, _, method = function.partition(".")
    what = f"the method `{method}` of the class `{owner}`" if method else f"all methods of the class `{owner}`"

    def form(case: str) -> str:
        return f"def test_{case}():\n    made = {owner}(...)\n    assert made.{method or 'method'}(...) == ..."

    return conversation(
        f"# The class\n{block(source)}",
        f"Write pytest tests for {what}: short functions, each of which makes an object, calls it, and compares what it returns, "
        "or what the object says afterwards, with a literal value that you have worked out by going through the code. First the "
        f"examples of the docstrings, if there are any; then edge cases at the bounds of the conditions{errors}. Import the "
        f"class with `from {MODULE} import {owner}`; do not write or derive it again, and do not compute what is expected.",
        "Answer with one whole python code block in this form, with values in place of the dots:",
        block("\n\n\n".join((f"{imports}from {MODULE} import {owner}", *map(form, ("first_use", "second_use", "edge_case"))))),
        system="You are an expert in testing Python. You answer with one python code block.",
    )
