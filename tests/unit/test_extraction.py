"""Answers as data in `extraction_cases/`; properties that hold for every answer beside them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Literal

import pytest

from orchestrator.llm.extraction import Extraction, extract, normalised

STUB = '''Complete this function. Answer with one python code block.

```python
import torch


def loss(pred, target):
    """Mean absolute error."""
```
'''
FOLDER = Path(__file__).parent / "extraction_cases"


def read_cases(name: str) -> dict[str, dict[str, str]]:
    cases: dict[str, dict[str, str]] = {}
    text = (FOLDER / name).read_text(encoding="utf-8")
    text = text.replace("{NBSP}", "\u00a0").replace("{ZWSP}", "\u200b").replace("{TAB}", "\t")
    for case in text.split("#### ")[1:]:
        title, _, rest = case.partition("\n")
        sections = [section.partition("\n") for section in rest.split("==== ")[1:]]
        assert title not in cases, f"two cases are called {title!r}"
        cases[title] = {key: value.rstrip("\n") for key, _, value in sections}
    return cases


CANDIDATES = read_cases("candidates.txt")
TESTS = read_cases("tests.txt")


def check(case: dict[str, str], kind: Literal["candidate", "tests"]) -> Extraction:
    entry_point = case.get("entry_point", "loss")
    found = extract(case["answer"], entry_point=entry_point, prompt=case.get("prompt", STUB), kind=kind)
    if "code" in case:
        assert found.usable, found
        assert found.code.rstrip("\n") == case["code"]
        ast.parse(found.code)
    else:
        assert not found.usable
        assert found.code == ""
        assert case["reason"] in found.reason
        assert found.reason.endswith(".")
    return found


@pytest.mark.parametrize("title", CANDIDATES)
def test_candidate(title: str) -> None:
    check(CANDIDATES[title], "candidate")


@pytest.mark.parametrize("title", TESTS)
def test_tests(title: str) -> None:
    check(TESTS[title], "tests")


def test_the_table_is_as_wide_as_promised() -> None:
    assert len(CANDIDATES) + len(TESTS) >= 80


@pytest.mark.parametrize("title", [title for title, case in CANDIDATES.items() if "code" in case])
def test_what_was_extracted_is_extracted_again(title: str) -> None:
    case = CANDIDATES[title]
    again = extract(
        f"```python\n{case['code']}\n```", entry_point=case.get("entry_point", "loss"), prompt=case.get("prompt", STUB)
    )
    assert again.code.rstrip("\n") == case["code"]


@pytest.mark.parametrize("title", [*CANDIDATES, *TESTS])
def test_every_beginning_of_an_answer_is_taken_without_an_exception(title: str) -> None:
    """A stream may break off anywhere; what is usable must parse and hold the entry point, wherever it did."""
    case = CANDIDATES.get(title) or TESTS[title]
    entry_point = case.get("entry_point", "loss")
    for end in range(0, len(case["answer"]), 3):
        found = extract(case["answer"][:end], entry_point=entry_point, prompt=case.get("prompt", STUB))
        if found.usable:
            names = [getattr(node, "name", None) for node in ast.parse(found.code).body]
            assert entry_point in names or f"{entry_point} =" in found.code
        else:
            assert found.reason


def test_a_broken_draft_is_kept_for_the_correction() -> None:
    found = extract("```python\ndef loss(pred, target):\n    retrun pred\n```", entry_point="loss", prompt=STUB)
    assert not found.usable
    assert "retrun pred" in found.draft


def test_without_an_entry_point_the_program_is_kept_whole() -> None:
    answer = "Run this:\n```python\nimport sys\nprint(sys.argv)\nfor i in range(3):\n    print(i)\n```"
    assert extract(answer).code == "import sys\nprint(sys.argv)\nfor i in range(3):\n    print(i)\n"


def test_problems_say_what_was_done() -> None:
    problems = check(CANDIDATES["tests mixed in"], "candidate").problems
    assert "dropped tests" in problems
    assert "dropped stray imports" in problems


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(x):\n    return x+1", 'def f(x):\n    """Add."""\n    # more\n    return (x + 1)\n', True),
        ("def f(x):\n    return x + 1", "def f(x):\n    return x + 2", False),
        ("def f(x:\n  return", "def f(x:\n\n    return  ", True),
        ("def f(x:", "def g(x:", False),
    ],
)
def test_the_same_program_is_told_from_another(one: str, other: str, same: bool) -> None:
    assert (normalised(one) == normalised(other)) is same
