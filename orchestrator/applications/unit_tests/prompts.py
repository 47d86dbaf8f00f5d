"""What a model is asked for unit tests of a function."""

from __future__ import annotations

import re

from orchestrator.llm.extraction import MODULE
from orchestrator.llm.prompts import block, conversation
from orchestrator.types import Message


def write_unit_tests(source: str, function: str) -> tuple[Message, ...]:
    """Ask for pytest tests of any Python function, whose source is shown.

    The form is the function's own: from tests of another function small models copy the values (0.5B, forty functions of
    HumanEval: 10 % of the answers valid so, 65 % with this form).
    """
    # Told of errors, small models expect one of every function.
    raises = re.search(r"^\s*raise\b", source, re.MULTILINE)
    errors, imports = (", and the errors that it raises", "import pytest\n") if raises else ("", "")
    cases = ("first_example", "second_example", "edge_case")

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
