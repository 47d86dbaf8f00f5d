"""Rows of known formats made into tasks. The format of a row is told from its keys.

| format | keys |
|---|---|
| EvalPlus | `prompt, entry_point, canonical_solution, base_input, plus_input, atol` |
| HumanEval | `prompt, entry_point, canonical_solution, test` |
| MBPP | `task_id, code, test_list`, with `text` (full) or `prompt` and `test_imports` (sanitized) |
| one's own | `task_id, prompt, tests`; optional `entry_point, visible_tests, reference, continues, limits` |
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from orchestrator.data.benchmarks.evalplus import inputs_of
from orchestrator.data.benchmarks.task import BenchmarkTask
from orchestrator.sources import parse, parse_expression, plain_value
from orchestrator.types import Limits

_OWN = frozenset(("task_id", "prompt", "tests", "entry_point", "visible_tests", "reference", "continues", "limits"))
"""Keys of one's own rows; `test` and `code` are other names of two of them."""


class RowError(ValueError):
    """A row that is no task: one phrase."""


def task_of(row: Mapping[str, Any], place: str) -> BenchmarkTask:
    """The task that a row describes.

    Raises:
        RowError: it lacks something, its tests above all.
    """
    try:
        if "base_input" in row:
            return _evalplus(row, place)
        if "canonical_solution" in row and "test" in row:
            return _humaneval(row, place)
        if "test_list" in row:
            return _mbpp(row, place)
        return _own(row, place)
    except KeyError as exc:
        raise RowError(f"the row has no {exc.args[0]!r}") from None
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise RowError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (TypeError, ValueError, AttributeError) as exc:
        raise exc if isinstance(exc, RowError) else RowError(f"the row makes no sense ({exc})") from None


def _humaneval(row: Mapping[str, Any], place: str) -> BenchmarkTask:
    tests = _tests(row["test"])
    prompt, entry_point = row["prompt"], row["entry_point"]
    return BenchmarkTask(
        task_id=str(row["task_id"]),
        prompt=prompt,
        continues=True,
        entry_point=entry_point,
        tests=_with_helpers(tests, prompt, entry_point),
        visible_tests=_examples(prompt, entry_point),
        reference=prompt + row["canonical_solution"],
        source=place,
    )


def _mbpp(row: Mapping[str, Any], place: str) -> BenchmarkTask:
    asserts = [str(item).replace("\r\n", "\n").strip() for item in row["test_list"]]
    head = [*row.get("test_imports", ()), str(row.get("test_setup_code") or "").replace("\r\n", "\n")]
    whole = _tests("\n".join([*filter(None, head), *asserts]) if any(asserts) else "")
    described = str(row["prompt"] if "prompt" in row else row["text"]).strip()
    reference = row["code"].replace("\r\n", "\n")
    return BenchmarkTask(
        task_id=str(row["task_id"]),
        prompt=f"{described}\nYour code must pass this test:\n{asserts[0]}",
        entry_point=_called(asserts[0], reference),
        tests=whole,
        visible_tests="\n".join([*filter(None, head), asserts[0]]),
        reference=reference,
        source=place,
    )


def _evalplus(row: Mapping[str, Any], place: str) -> BenchmarkTask:
    task_id, prompt, entry_point = str(row["task_id"]), row["prompt"], row["entry_point"]
    # MBPP+ prompts are a docstring with one assertion and end there; HumanEval+ prompts end inside a function.
    continues = not task_id.startswith("Mbpp/")
    visible = _examples(prompt, entry_point) if continues else "\n".join(_asserts(prompt))
    if not row["base_input"] and not row.get("plus_input"):
        raise RowError("the row has no tests: base_input and plus_input are empty")
    return BenchmarkTask(
        task_id=task_id,
        prompt=prompt,
        continues=continues,
        entry_point=entry_point,
        visible_tests=visible,
        reference=(prompt if continues else "") + row["canonical_solution"],
        inputs=inputs_of(task_id, entry_point, row["base_input"], row.get("plus_input") or [], row.get("atol", 0)),
        source=place,
    )


def _own(row: Mapping[str, Any], place: str) -> BenchmarkTask:
    for key in row:
        meant = _meant(key)
        if meant and meant not in row:
            raise RowError(f"the row has {key!r}; is {meant!r} meant?")
    limits = Limits(**row.get("limits", {}))  # a wrong limit is found here, not in the middle of the evaluation
    tests = _tests(row.get("tests", row.get("test", "")))
    told = {key: row[key] for key in _OWN & row.keys() - {"tests", "limits"}}
    if "code" in row:
        told.setdefault("reference", row["code"])
    given = {key: getattr(limits, key) for key in row.get("limits", {})}
    return BenchmarkTask(**(told | {"task_id": str(row["task_id"])}), tests=tests, limits=given, source=place)


@cache  # many rows have the same few keys
def _meant(key: str) -> str:
    """Which of our keys one is that is misspelt; empty for keys of one's own, which are welcome."""
    known = key in _OWN or key in ("test", "code")
    return "" if known else next(iter(get_close_matches(key, _OWN, n=1, cutoff=0.85)), "")


def _tests(text: Any) -> str:
    if not text or (isinstance(text, str) and not text.strip()):
        raise RowError("the row has no tests")
    if not isinstance(text, str):
        raise RowError(f"its tests are no text but a {type(text).__name__}")
    return text


def _with_helpers(tests: str, prompt: str, entry_point: str) -> str:
    """Tests that bring along what they use of the prompt, besides the function that is asked for.

    Three of HumanEval's do (32, 38, 50). Taken from the candidate, `poly` could be zero everywhere.
    """
    try:
        given = parse(f"{prompt}\n    pass\n")
        used = {node.id for node in ast.walk(parse(tests)) if isinstance(node, ast.Name)}
    except SyntaxError:
        return tests
    helpers = [
        node for node in given.body if isinstance(node, ast.FunctionDef) and node.name in used and node.name != entry_point
    ]
    if not helpers:
        return tests
    imports = [node for node in given.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n\n".join([*map(ast.unparse, [*imports, *helpers]), tests])


def _examples(prompt: str, entry_point: str) -> str:
    """The examples of a docstring that call the function and show a plain value, as asserts."""
    lines = [line.strip() for line in prompt.splitlines()]
    kept = []
    # By lines, for many prompts are indented in ways that doctest refuses.
    for line, want in pairwise(lines):
        if not line.startswith(">>> "):
            continue
        source = line.removeprefix(">>> ")
        try:
            plain_value(want)
            call = parse_expression(source).body
        except SyntaxError:
            continue
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == entry_point:
            kept.append(f"assert {source} == {want}")
    return "\n".join(kept)


def _asserts(prompt: str) -> list[str]:
    return [line.strip() for line in prompt.splitlines() if line.strip().startswith("assert ")]


def _called(assertion: str, reference: str) -> str:
    """The function of the reference that an assertion calls first; empty where that is not plain."""
    try:
        defined = {node.name for node in parse(reference).body if isinstance(node, ast.FunctionDef)}
        tree = parse(assertion)
    except SyntaxError:
        return ""
    calls = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return next((name for name in calls if name in defined), "")
