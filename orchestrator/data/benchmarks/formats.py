"""Rows of known formats made into tasks. The keys of a row show its format.

| format | keys |
|---|---|
| EvalPlus | `prompt, entry_point, canonical_solution, base_input, plus_input, atol` |
| BigCodeBench | `complete_prompt, instruct_prompt, code_prompt, canonical_solution, test, entry_point` |
| ClassEval | `skeleton, test, solution_code, import_statement, class_name` |
| LiveCodeBench | `question_id, question_content, starter_code, public_test_cases, private_test_cases, metadata` |
| KodCode | `question_id, question, solution, test, test_info` |
| LeetCodeDataset | `prompt, entry_point: "Solution().method", test`, with `completion` or `canonical_solution` |
| HumanEval | `prompt, entry_point, test`, the prompt beginning the function; mostly with `canonical_solution` |
| MBPP | `task_id, code, test_list`, with `text` (full) or `prompt` and `test_imports` (sanitized); `test` (MBPP+ on the hub) |
| APPS, TACO | `question, input_output`, with `solutions, starter_code` |
| your own | `task_id, prompt`, with `tests` (source, or a shape of `hidden.py`) or `inputs` and `outputs`; optional `OPTIONAL` |

Keys that a format does not use are welcome (difficulty, source, tags). One's own rows may have no other key that by its name
would decide something: it would be left unread, and the task judged by half of what its row says.
"""

from __future__ import annotations

import ast
import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pickletools import genops
from typing import Any

from pydantic import ValidationError

from orchestrator.data.benchmarks.evalplus import inputs_of
from orchestrator.data.benchmarks.hidden import HOLDERS, Hidden, ShapeError, calls_source, described, plain, read_hidden
from orchestrator.data.benchmarks.names import (
    METHOD,
    as_in_one_module,
    checked_name,
    completed,
    defined,
    functions_of,
    is_check,
    is_entry_point,
    looped,
    module_of,
    of_method,
    with_helpers,
)
from orchestrator.data.benchmarks.row import Row, RowError
from orchestrator.data.benchmarks.task import BenchmarkTask
from orchestrator.sources import parse, parse_expression, plain_value
from orchestrator.types import Limits

OPTIONAL = ("entry_point", "module", "in_place", "visible_tests", "reference", "continues", "limits", "fn_name", "checker")
"""Keys that your own rows may have."""
_OWN = frozenset(("task_id", "prompt", "tests", "inputs", "outputs", *OPTIONAL))
_FLAGS = ("in_place", "continues")
_TEXTS = ("entry_point", "module", "visible_tests", "checker")
_OTHER_NAMES = frozenset(("test", "code"))
_DECIDING = re.compile(
    r"\b(tests?|testcases?|cases?|asserts?|assertions?|inputs?|outputs?|expected|stdin|stdout|solutions?|checker|canonical|starter"
    r"|setup|imports?|limits?|timeouts?|fn|entry|entrypoint)\b"
)
"""Words in the names of keys that decide what is asked or what is right."""
_LIMITING = re.compile(r"\b(limits?|timeouts?)\b")
_NAMING = (" id", " name", " count", " source", " url")
"""Endings of keys that only say where something comes from."""
_NO_TESTS = "the row has no tests"
_MOST_PACKED = 1 << 29
"""Bytes that packed tests of LiveCodeBench may unpack to."""

PREAMBLE = """\
from string import *
from re import *
from datetime import *
from collections import *
from heapq import *
from bisect import *
from copy import *
from math import *
from random import *
from statistics import *
from itertools import *
from functools import *
from operator import *
from io import *
from sys import *
from json import *
from builtins import *
from typing import *
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics
import itertools, functools, operator, io, sys, json
"""
"""What LiveCodeBench's own judge puts before every answer, and answers rely on; APPS' judge does nearly the same."""


def task_of(given: Mapping[str, Any], place: str) -> BenchmarkTask:
    """The task that a row describes.

    Raises:
        RowError: it lacks something, its tests above all, or cannot be read.
    """
    row = Row(given)
    try:
        return _reader(row)(row, place)
    except RowError:
        raise
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise RowError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ShapeError as exc:
        raise RowError(f"its tests are {exc}") from None
    except RecursionError:
        raise RowError("the row is nested too deep") from None
    except Exception:  # one damaged row never costs the data set
        raise RowError(f"the row cannot be read: {row.shape()}") from None


def _reader(row: Row) -> Callable[[Row, str], BenchmarkTask]:
    """Which function reads rows with these keys."""
    if {"prompt", "entry_point", "test"} <= row.keys():
        entry_point = row.any_text("entry_point")
        if not entry_point.isidentifier():
            return _leetcode if {"completion", "canonical_solution"} & row.keys() else _own
        begins = entry_point in functions_of(f"{row.text('prompt')}\n    pass\n")
        if begins and row.keys().isdisjoint(("base_input", "continues")):
            return _humaneval
    return next((read for keys, read in _FORMATS if keys <= row.keys()), _own)


def _humaneval(row: Row, place: str) -> BenchmarkTask:
    tests = _tests(row)
    prompt, entry_point = row.text("prompt"), row.text("entry_point")
    solution = row.any_text("canonical_solution", "completion")
    return BenchmarkTask(
        task_id=row.name("task_id"),
        prompt=prompt,
        continues=True,
        entry_point=entry_point,
        tests=with_helpers(tests, f"{prompt}\n    pass\n", entry_point),
        visible_tests=_examples(prompt, entry_point),
        reference=prompt + solution if solution else "",
        source=place,
    )


def _mbpp(row: Row, place: str) -> BenchmarkTask:
    asserts = [item.replace("\r\n", "\n").strip() for item in row.texts("test_list")] or [""]
    if not any(asserts):
        raise RowError(_NO_TESTS)
    head = [*row.texts("test_imports"), row.any_text("test_setup_code").replace("\r\n", "\n")]
    whole = "\n".join([*filter(None, head), *asserts])
    reference = row.text("code").replace("\r\n", "\n")
    if row.any_text("test"):  # MBPP+ as the hub has it: all inputs and outputs stand there
        whole = looped("\n".join([*filter(None, head), row.text("test")]), _called(asserts[0], reference))
    described = row.text("prompt", "text").strip()
    return BenchmarkTask(
        task_id=row.name("task_id"),
        prompt=f"{described}\nYour code must pass this test:\n{asserts[0]}",
        entry_point=_called(asserts[0], reference),
        tests=whole,
        visible_tests="\n".join([*filter(None, head), asserts[0]]),
        reference=reference,
        source=place,
    )


def _evalplus(row: Row, place: str) -> BenchmarkTask:
    task_id, prompt, entry_point = row.name("task_id"), row.text("prompt"), row.text("entry_point")
    # MBPP+ prompts are a docstring with one assertion and end there; HumanEval+ prompts end inside a function.
    continues = not task_id.startswith("Mbpp/")
    visible = _examples(prompt, entry_point) if continues else "\n".join(_asserts(prompt))
    base, plus = (row.listed(key, list, "lists of arguments") for key in ("base_input", "plus_input"))
    if not base and not plus:
        raise RowError("the row has no tests: base_input and plus_input are empty")
    return BenchmarkTask(
        task_id=task_id,
        prompt=prompt,
        continues=continues,
        entry_point=entry_point,
        visible_tests=visible,
        reference=(prompt if continues else "") + row.text("canonical_solution"),
        inputs=inputs_of(task_id, entry_point, base, plus, row["atol"] if row.has("atol") else 0),
        source=place,
    )


def _leetcode(row: Row, place: str) -> BenchmarkTask:
    """A method of a class. All calls of `check` go to one object, as in the data set's own judge."""
    entry, given = row.text("entry_point"), row.text("prompt")
    if METHOD.fullmatch(entry) is None:
        raise RowError(f"its entry point {entry!r} is neither a name nor written as Solution().method")
    problem = row.any_text("problem_description", "query") or given
    return BenchmarkTask(
        task_id=row.name("task_id"),
        prompt="\n\n".join(filter(None, [problem.strip(), row.any_text("starter_code").strip()])),
        preamble=_line_end(given),
        entry_point=entry.partition("(")[0],
        tests=of_method(_tests(row), entry, given),
        reference=row.text("completion", "canonical_solution"),
        source=place,
    )


def _bigcodebench(row: Row, place: str) -> BenchmarkTask:
    prompt, entry_point = row.text("complete_prompt"), row.text("entry_point")
    reference = prompt + row.text("canonical_solution")
    tests = as_in_one_module(_tests(row))
    return BenchmarkTask(
        task_id=row.name("task_id"),
        prompt=prompt,
        continues=True,
        entry_point=entry_point,
        tests=completed(tests, entry_point=entry_point, given=f"{prompt}\n    pass\n", reference=reference),
        reference=reference,
        source=place,
    )


def _classeval(row: Row, place: str) -> BenchmarkTask:
    preamble = _line_end("\n".join(row.texts("import_statement")))
    name, reference = row.text("class_name"), row.text("solution_code")
    return BenchmarkTask(
        task_id=row.name("task_id"),
        prompt=f"Complete the class {name}:\n\n{row.text('skeleton').strip()}",
        preamble=preamble,
        entry_point=name,
        tests=completed(_tests(row), entry_point=name, given=preamble, reference=reference),
        reference=reference,
        source=place,
    )


def _kodcode(row: Row, place: str) -> BenchmarkTask:
    name = next((Row(one).any_text("function_name") for one in row.listed("test_info", dict, "mappings")), "")
    tests, reference = _tests(row), row.text("solution")
    module = module_of(tests, {name} | defined(reference))
    return BenchmarkTask(
        task_id=row.name("question_id", otherwise=_line(place)),
        prompt=row.text("question"),
        entry_point=name if name in defined(reference) else "",
        module=module,
        tests=completed(tests, module=module, entry_point=name, reference=reference),
        reference=reference,
        source=place,
    )


def _livecodebench(row: Row, place: str) -> BenchmarkTask:
    function = Row(row.mapping("metadata")).any_text("func_name")
    cases = [*_unpacked(row, "public_test_cases"), *_unpacked(row, "private_test_cases")]
    name, prompt = row.name("question_id"), row.text("question_content")
    return _contest(name, prompt, row.any_text("starter_code"), read_hidden(cases, function), "", place)


def _apps(row: Row, place: str) -> BenchmarkTask:
    name, prompt = row.name("problem_id", "task_id", "id", otherwise=_line(place)), row.text("question")
    reference = next(iter(row.texts("solutions")), "")
    return _contest(name, prompt, row.any_text("starter_code"), read_hidden(row["input_output"]), reference, place)


def _contest(name: str, question: str, starter: str, hidden: Hidden, reference: str, place: str) -> BenchmarkTask:
    """A task of a programming contest: a program that is judged by its output, or a function or method by what it returns."""
    prompt = f"{question.strip()}\n\n{starter.strip()}".strip()
    task = BenchmarkTask(task_id=name, prompt=prompt, preamble=PREAMBLE, reference=reference, source=place)
    if hidden.calls:
        if not hidden.function:
            raise RowError("the row does not say which function its tests call")
        if not hidden.function.isidentifier():
            raise RowError(f"the function that its tests call, {hidden.function!r}, is not a valid name")
        method = "class Solution" in (starter or reference)
        entry = f"Solution().{hidden.function}" if method else hidden.function
        tests = calls_source(hidden.calls, entry)
        return task.model_copy(update={"entry_point": "Solution" if method else hidden.function, "tests": tests})
    if not hidden.cases:
        raise RowError(_NO_TESTS)
    return task.model_copy(update={"cases": hidden.cases})


def _unpacked(row: Row, key: str) -> list[Any]:
    """Cases of LiveCodeBench: a list, JSON of one, or that as a pickled text, compressed, in base64.

    The text is looked for in the pickle. Nothing is unpickled, so that a pickle of anything else makes nothing.
    """
    cases = row.get(key)
    if isinstance(cases, str):
        try:
            cases = json.loads(cases)
        except ValueError:
            cases = _packed(key, cases)
    if not row.has(key) or not isinstance(cases := plain(cases), list):
        raise RowError(f"its {key!r} is {described(cases)}, where this format has a list")
    return cases


def _packed(key: str, text: str) -> Any:
    unpacking = zlib.decompressobj()
    try:
        pickled = unpacking.decompress(base64.b64decode(text), _MOST_PACKED)
        texts = [] if unpacking.unconsumed_tail else [said for _, said, _ in genops(pickled) if isinstance(said, str)]
        held = json.loads(texts[0]) if len(texts) == 1 else None
    except (ValueError, zlib.error):
        raise RowError(f"its {key!r} is neither JSON nor that as a pickled text, compressed, in base64") from None
    if unpacking.unconsumed_tail:
        raise RowError(f"its {key!r} unpacks to more than {_MOST_PACKED >> 20} MiB")
    if len(texts) != 1:
        raise RowError(f"its {key!r} is a pickle of more than one text")
    return held


def _own(row: Row, place: str) -> BenchmarkTask:
    if not row.keys() & (_OWN | _OTHER_NAMES | set(HOLDERS)) - {"prompt"}:
        raise RowError(f"its keys ({', '.join(map(str, list(row)[:12]))}) are those of no format that is known here")
    for key, value in row.items():
        _refuse(str(key), value, row)
    limits = Limits(**row.mapping("limits"))  # a wrong limit is found here, not in the middle of the evaluation
    held = {key: row[key] for key in ("inputs", "outputs", *HOLDERS) if row.get(key)}
    hidden = read_hidden(held, row.any_text("fn_name")) if held else Hidden()
    fields: dict[str, Any] = {key: row[key] for key in _FLAGS if row.has(key)}
    fields |= {key: row.text(key) for key in _TEXTS if row.has(key)}
    fields |= {"task_id": row.name("task_id"), "prompt": row.text("prompt")}
    if row.has("reference") or row.has("code"):
        fields["reference"] = row.text("reference", "code")
    given = {key: getattr(limits, key) for key in row.mapping("limits")}
    return BenchmarkTask(**(fields | _judged_by(hidden, fields)), limits=given, source=place)


def _judged_by(hidden: Hidden, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a task that come from the tests of a user's own row."""
    if hidden.cases:
        return {"cases": hidden.cases}
    if "checker" in fields:
        raise RowError("the row has 'checker', which compares the outputs of programs, and its tests are none")
    reference = fields.get("reference", "")
    entry = fields.get("entry_point") or _callable(hidden.function, reference)
    if not is_entry_point(entry):
        raise RowError(f"its entry point {entry!r} is neither a name nor written as Solution().method")
    if is_check(hidden.source) and not entry:
        entry = checked_name(hidden.source, reference)
        if not entry:
            raise RowError("its tests are a check that does not say of which function (`entry_point`)")
    name = entry.partition("(")[0]
    if hidden.calls:
        if not entry:
            raise RowError("the row does not say which function its tests call (`fn_name`)")
        return {"entry_point": name, "tests": calls_source(hidden.calls, entry, fields.get("module", "candidate"))}
    tests = _source(hidden.source)
    module = fields["module"] if "module" in fields else module_of(tests, {name} - {""} | defined(reference))
    if not str(module).isidentifier():
        raise RowError(f"its module {module!r} is not a valid name")
    if METHOD.fullmatch(entry) and is_check(tests):
        tests = of_method(tests, entry, module=module)
    return {
        "entry_point": name,
        "module": module,
        "tests": completed(tests, module=module, entry_point=name, reference=reference),
    }


def _callable(function: str, reference: str) -> str:
    """How a function that tests call is written: as a method where the reference has it in the class of a contest."""
    found = defined(reference)
    return f"Solution().{function}" if function and function not in found and "Solution" in found else function


def _refuse(key: str, value: Any, row: Mapping[str, Any]) -> None:
    """Refuse a key of a user's own row that by its name decides something, and is not read.

    Raises:
        RowError: naming it.
    """
    if key in _OWN or key in _OTHER_NAMES or key in HOLDERS:
        return
    meant = _meant(key)
    if meant and meant not in row:
        raise RowError(f"the row has {key!r}; is {meant!r} meant?")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", key).lower()
    is_number = isinstance(value, int | float)
    decides = _DECIDING.search(words) and not words.endswith(_NAMING) and value not in (None, "", [], {})
    if decides and (not is_number or _LIMITING.search(words)):
        raise RowError(f"the row has {key!r}, which no format with its other keys has: rename it, or leave it out")


_FORMATS: tuple[tuple[frozenset[str], Callable[[Row, str], BenchmarkTask]], ...] = (
    (frozenset(("base_input",)), _evalplus),
    (frozenset(("complete_prompt", "canonical_solution", "test")), _bigcodebench),
    (frozenset(("skeleton", "solution_code", "class_name", "test")), _classeval),
    (frozenset(("question_content", "public_test_cases", "private_test_cases")), _livecodebench),
    (frozenset(("question", "solution", "test")), _kodcode),
    (frozenset(("canonical_solution", "test")), _humaneval),
    (frozenset(("test_list", "code")), _mbpp),
    (frozenset(("question", "input_output")), _apps),
)
"""Keys by which a format is known -> who reads it; the first that fits."""


@cache  # many rows have the same few keys
def _meant(key: str) -> str:
    """The known key that a misspelt key is meant to be; empty for keys of the user's own, which are welcome."""
    known = key in _OWN or key in ("test", "code")
    return "" if known else next(iter(get_close_matches(key, _OWN, n=1, cutoff=0.85)), "")


def _tests(row: Row) -> str:
    """Tests that can only be source.

    Raises:
        RowError: there are none, or something else.
    """
    return _source(row.any_text("test"))


def _source(tests: str) -> str:
    if not tests.strip():
        raise RowError(_NO_TESTS)
    return tests


def _line(place: str) -> str:
    """The number of a row in its file, for formats without ids."""
    return re.split(r"[:#]", place)[-1]


def _line_end(code: str) -> str:
    return code if not code or code.endswith("\n") else code + "\n"


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
