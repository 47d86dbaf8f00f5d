"""What the host parses of strangers' sources: trees of bounded depth in bounded time, or one sentence."""

from __future__ import annotations

import ast
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.applications.loss_functions.hints import hint
from orchestrator.applications.unit_tests.mutants import mutants
from orchestrator.applications.unit_tests.score import copied, uses
from orchestrator.applications.unit_tests.subjects import with_module
from orchestrator.data.benchmarks.formats import _called
from orchestrator.data.benchmarks.names import with_helpers
from orchestrator.engine.apart import why_together
from orchestrator.errors import UsageError
from orchestrator.scoring.rewards import parses
from orchestrator.sources import LARGEST, imports, is_python, parse, parse_expression, plain_value
from orchestrator.training.preferences.programs import canonical, defined_functions

FORMS = {
    "sum": lambda n: "x" + "+1" * n,
    "attributes": lambda n: "x" + ".a" * n,
    "calls": lambda n: "x" + "()" * n,
    "signs": lambda n: "-" * n + "x",
    "places": lambda n: "x" + "[0]" * n,
    "conditions": lambda n: "1 if x else " * n + "0",
    "lists": lambda n: "[" * n + "]" * n,
    "lambdas": lambda n: "lambda: " * n + "0",
    "negations": lambda n: "not " * n + "x",
    "powers": lambda n: "x" + "**x" * n,
}
REFUSED = {
    "null byte": "x = '\0'\n",
    "lone surrogate": "x = '\ud800'\n",
    "a long number": "x = " + "9" * 5000,
    "many blocks": "".join(" " * n + "if x:\n" for n in range(120)) + " " * 120 + "x\n",
    "many branches": "if x: y\n" + "elif x: y\n" * 400,
    "an f-string of many places": "f'" + "{x}" * 100_000 + "'",
    "a large source": "x = 1\n" * (LARGEST // 6 + 1),
    "no Python": "def f(:\n",
}


@pytest.mark.parametrize("count", [160, 300, 900, 2500, 100_000])
@pytest.mark.parametrize("form", FORMS)
def test_deep_code_is_a_syntax_error_at_any_depth(form, count):
    with pytest.raises(SyntaxError):
        parse(f"y = {FORMS[form](count)}\n")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_can_be_written_walked_and_compiled(form):
    tree = parse(f"y = {FORMS[form](100)}\n")
    assert ast.unparse(tree)
    compile(tree, "x", "exec")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_a_syntax_error_in_little_time(name):
    began = time.process_time()
    with pytest.raises(SyntaxError) as caught:
        parse(REFUSED[name])
    assert time.process_time() - began < 1.0
    assert "\n" not in caught.value.msg
    assert not is_python(REFUSED[name])


def test_every_reader_of_sources_refuses_what_cannot_be_read():
    reference = "def f(x):\n    return x\n"
    for source in [*REFUSED.values(), *(f"def f(x):\n    return {form(900)}\n" for form in FORMS.values())]:
        assert not parses(source)
        assert not uses(source, "f")
        assert copied(source, reference, "f") == ""
        assert why_together(source, "candidate") == ""
        assert with_module(source, "stats", "candidate") == source
        assert defined_functions(source) == frozenset()
        assert isinstance(canonical(source), str)
        assert hint("must be", source) == ""
        assert with_helpers(source, source, "f") == source
        assert _called(source, source) == ""
        with pytest.raises(UsageError):
            mutants(source, "f")


def test_the_form_of_deep_code_is_compared_in_linear_time():
    deep = "def f(x):\n    return " + FORMS["sum"](140) + "\n"
    began = time.process_time()
    assert copied(deep.replace("x", "y") * 200, deep, "f") == "f"
    assert time.process_time() - began < 2.0


def test_ordinary_code_is_read_in_silence():
    with warnings.catch_warnings(action="error"):
        tree = parse("x = '\\d'\nassert (x, 1)\n")
    assert len(tree.body) == 2
    assert isinstance(parse_expression("f(1)").body, ast.Call)


def test_plain_values_are_read_and_nothing_else():
    assert plain_value(" [1, (2, {'a': None})] ") == [1, (2, {"a": None})]
    for text in ("f(1)", "[" * 300, "{[]: 1}", "1 +", ""):
        with pytest.raises(SyntaxError):
            plain_value(text)


def test_what_a_program_imports_is_seen_wherever_it_stands():
    source = """
import os.path, numpy as np
from .own import helper
def f():
    try:
        from a.b import c as d, e
    except ImportError:
        from __future__ import annotations
from math import *
"""
    found = set(imports(parse(source)))
    assert found == {
        ("os.path", "", "os", 0),
        ("numpy", "", "np", 0),
        ("own", "helper", "helper", 1),
        ("a.b", "c", "d", 0),
        ("a.b", "e", "e", 0),
        ("__future__", "annotations", "annotations", 0),
        ("math", "*", "*", 0),
    }


def test_what_is_wrong_is_told_with_its_line_and_no_made_up_file():
    with pytest.raises(UsageError) as told:
        mutants("x = 1\nprint(1", "f")
    assert told.value.message == "The module does not parse: '(' was never closed (line 2)."


class Cycle:
    """Garbage whose finalizer lets another thread run, wherever the collector comes by."""

    def __init__(self):
        self.own = self

    def __del__(self):
        for _ in range(50):
            pass


def test_two_threads_read_at_once():
    """Python 3.11 counts the depth of what it reads for all threads together, so that `ast.parse` by itself fails now and then."""
    source = "\n".join(f"def f{number}(a, b):\n    return [x * a for x in range(b) if x % {number + 1}]" for number in range(300))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            read = [pool.submit(_read_below, frames, source) for frames in (5, 100)]
            assert all(one.result() == {300} for one in read)
    finally:
        sys.setswitchinterval(before)


def _read_below(frames, source):
    if frames:
        return _read_below(frames - 1, source)
    lengths, end = set(), time.monotonic() + 4
    while time.monotonic() < end:
        Cycle()
        lengths.add(len(parse(source).body))
    return lengths
