"""Rows of known formats: each becomes a task whose tests accept a right answer and refuse a wrong one."""

from __future__ import annotations

import contextlib
import itertools
import json
import pickle
import re
import sys
import types
import unittest
import zlib
from base64 import b64encode

import pytest
from format_rows import APPS_CALL, APPS_STDIN, BIGCODEBENCH, EXAMPLES, KODCODE, LCB_CALL, LCB_STDIN, LEETCODE, OWN_CASES, packed
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.benchmarks import load
from orchestrator.data.benchmarks.formats import PREAMBLE, task_of
from orchestrator.data.benchmarks.hidden import ShapeError, calls_source, read_hidden
from orchestrator.data.benchmarks.names import after_future, completed, is_check, module_of
from orchestrator.data.benchmarks.row import RowError

OWN = {"task_id": "own/1", "prompt": "Write f.", "tests": "from candidate import f\n\ndef test_f():\n    assert f(1) == 1\n"}


def accepts(code: str, tests: str, module: str = "candidate") -> bool:
    """What plain Python makes of tests and a candidate: test functions and test cases are called one after the other."""
    candidate, judge = types.ModuleType(module), types.ModuleType("judge")
    exec(compile(code, module, "exec", dont_inherit=True), vars(candidate))
    sys.modules[module] = candidate
    try:
        exec(compile(tests, "tests", "exec", dont_inherit=True), vars(judge))
        functions = [one for name, one in vars(judge).items() if name.startswith("test") and isinstance(one, types.FunctionType)]
        cases = unittest.defaultTestLoader.loadTestsFromModule(judge)
        assert functions or cases.countTestCases()
        for function in functions:
            function()
        return cases.run(unittest.TestResult()).wasSuccessful()
    except AssertionError:
        return False
    finally:
        del sys.modules[module]


CALLED = {name: example for name, example in EXAMPLES.items() if not task_of(example.row, "x:1").cases}


@pytest.mark.parametrize("name", CALLED)
def test_a_row_becomes_tests_that_tell_right_from_wrong(name):
    example = EXAMPLES[name]
    task = task_of(example.row, "x:1")
    assert accepts(task.program(example.right), task.tests, task.module)
    assert not accepts(task.program(example.wrong), task.tests, task.module)
    if task.reference:
        assert accepts(task.whole(task.reference), task.tests, task.module)


@pytest.mark.parametrize("example", [LCB_STDIN, APPS_STDIN, OWN_CASES])
def test_programs_have_cases_in_place_of_tests(example):
    task = task_of(example.row, "x:1")
    assert (task.tests, task.entry_point, len(task.cases)) == ("", "", 2)


def test_lines_of_a_case_are_joined():
    assert [(case.stdin, case.expected) for case in task_of(APPS_STDIN.row, "x:1").cases] == [
        ("1\n2\n", "1.5\n"),
        ("3\n4\n5", "4"),
    ]


def test_formats_name_their_tasks_and_entry_points():
    told = {
        name: (task_of(one.row, "f.jsonl:7").task_id, task_of(one.row, "f.jsonl:7").entry_point) for name, one in EXAMPLES.items()
    }
    assert told["LeetCodeDataset"] == ("longest-chain", "Solution")
    assert told["KodCode"] == ("Prefill_9001_I", "doubled")
    assert told["LiveCodeBench, calls"] == ("9999", "Solution")
    assert told["BigCodeBench"] == ("BigCodeBench/9001", "task_func")
    assert told["ClassEval"] == ("ClassEval_9001", "Account")
    assert told["APPS, calls"] == ("9002", "by_size")
    without = {key: value for key, value in APPS_CALL.row.items() if key != "problem_id"}
    assert task_of(without, "f.jsonl:7").task_id == "7"  # as TACO's rows


@pytest.mark.parametrize("target", ["__name__ + '.choice'", "f'{__name__}.choice'", "'%s.choice' % __name__"])
def test_tests_that_share_a_module_with_the_candidate_patch_what_it_imports(target):
    row = BIGCODEBENCH.row | {
        "complete_prompt": "from random import choice\n\ndef task_func(xs):\n",
        "canonical_solution": "    return choice(xs)\n",
        "test": "import unittest\nfrom unittest.mock import patch\n\nclass TestCases(unittest.TestCase):\n"
        f"    @patch({target}, return_value=7)\n    def test_choice(self, mock):\n        self.assertEqual(task_func([1]), 7)\n"
        "\nif __name__ == '__main__':\n    unittest.main()\n",
    }
    task = task_of(row, "x:1")
    assert accepts(task.whole(task.reference), task.tests)
    assert not accepts(task.whole(task.reference).replace("choice(xs)", "xs[0]"), task.tests)


def test_hidden_tests_are_in_no_prompt():
    assert "head = list_node" not in task_of(LEETCODE.row, "x:1").prompt
    assert "-3" not in task_of(LCB_STDIN.row, "x:1").prompt
    assert "starting" not in task_of(BIGCODEBENCH.row, "x:1").prompt


def test_helpers_come_with_the_tests_and_not_from_the_candidate():
    task = task_of(LEETCODE.row, "x:1")
    forged = LEETCODE.wrong + "\n\ndef list_node(values):\n    return None if not values else 3\n"
    assert task.tests.count("def list_node") == 1
    assert not accepts(task.program(forged), task.tests)


def test_a_preamble_stands_behind_imports_from_the_future():
    code = after_future("import math\n", "'''Doc.'''\nfrom __future__ import annotations\nx: Missing = math.pi\n")
    exec(compile(code, "x", "exec", dont_inherit=True), {})
    assert after_future("import math\n", "x = 1\n") == "import math\nx = 1\n"
    exec(PREAMBLE + "assert pow(2, 3, 5) == 3 and sum([1]) == 1 and open is __builtins__['open']", {})


class _Harmful:
    def __reduce__(self):
        return print, ("called",)


def test_packed_tests_that_are_more_than_text_are_refused(capsys):
    forged = b64encode(zlib.compress(pickle.dumps(_Harmful()))).decode()
    with pytest.raises(RowError, match=r"private_test_cases' is a pickle of more than one text"):
        task_of(LCB_STDIN.row | {"private_test_cases": forged}, "x:1")
    assert capsys.readouterr().out == ""


def test_packed_tests_that_unpack_without_end_are_refused(monkeypatch):
    monkeypatch.setattr("orchestrator.data.benchmarks.formats._MOST_PACKED", 1 << 20)
    bomb = packed([{"input": "0" * (2 << 20), "output": "", "testtype": "stdin"}])
    with pytest.raises(RowError, match="unpacks to more than 1 MiB"):
        task_of(LCB_STDIN.row | {"private_test_cases": bomb}, "x:1")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"public_tests": {"input": ["1"], "output": ["2"]}}, "'public_tests', which no format"),
        ({"canonical_solution": "def f(x): return x"}, "'canonical_solution'"),
        ({"testSetup": "import os"}, "'testSetup'"),
        ({"starter_code": "def f(x):"}, "'starter_code'"),
        ({"time_limit": 2}, "'time_limit'"),
        ({"visible_test": "assert f(1)"}, "is 'visible_tests' meant"),
        ({"inplace": True}, "is 'in_place' meant"),
        ({"module": "not a name"}, "is not a valid name"),
        ({"entry_point": "Solution.f"}, "entry point 'Solution.f' is neither a name"),
        ({"entry_point": 3}, "its 'entry_point' is an int, where this format has text"),
        ({"checker": "exact"}, "'checker', which compares the outputs of programs"),
        ({"entry_point": "", "tests": "def check(candidate):\n    assert candidate(1)"}, "does not say of which function"),
        ({"test_cases": [{"input": "1", "output": "1"}]}, "several could be the tests"),
    ],
)
def test_a_key_that_would_be_left_unread_is_refused_by_name(more, words):
    with pytest.raises(RowError, match=words):
        task_of(OWN | more, "x:1")


@pytest.mark.parametrize(
    "more",
    [{"difficulty": "easy"}, {"tags": ["tests"]}, {"test_id": 7}, {"url": "x"}, {"public_tests": []}, {"metadata": {"tests": 1}}],
)
def test_keys_of_ones_own_are_welcome(more):
    assert task_of(OWN | more, "x:1").tests == OWN["tests"]


def test_a_row_of_no_known_format_is_named_by_its_keys():
    with pytest.raises(RowError, match=r"its keys \(prompt, answer\) are those of no format"):
        task_of({"prompt": "2 + 2?", "answer": "4"}, "x:1")


def test_ones_own_rows_say_in_place_module_and_checker():
    task = task_of(OWN | {"in_place": True, "module": "work", "tests": "from work import f\ndef test_f(): assert f"}, "x:1")
    assert (task.in_place, task.module) == (True, "work")
    with pytest.raises(RowError, match="in_place"):
        task_of(OWN | {"in_place": "sometimes"}, "x:1")
    assert task_of(OWN_CASES.row | {"checker": "exact"}, "x:1").checker == "exact"


@pytest.mark.parametrize("more", [{"reference": "def g(x): return x"}, {"tests": "def check(h):\n    assert h(1)\ncheck(g)"}])
def test_a_check_without_an_entry_point_is_of_the_only_function_there_is(more):
    row = {"task_id": 1, "prompt": "x", "tests": "def check(candidate):\n    assert candidate(1)"}
    assert task_of(row | more, "x:1").entry_point == "g"


@pytest.mark.parametrize(
    ("tests", "names", "module"),
    [
        ("from candidate import f", {"f"}, "candidate"),
        ("from solution import f", set(), "solution"),
        ("import solution", set(), "solution"),
        ("from solution import g\nfrom candidate import f", {"f"}, "candidate"),
        ("from two_fer import two_fer", {"two_fer"}, "two_fer"),
        ("from math import gcd", {"gcd"}, "candidate"),
        ("from numpy import dot", {"dot"}, "candidate"),
        ("from helpers import approx\nf(1)", {"f"}, "candidate"),
        ("def test_f(): assert f(1)", {"f"}, "candidate"),
        ("def broken(", {"f"}, "candidate"),
    ],
)
def test_the_module_is_what_the_tests_import_the_candidate_as(tests, names, module):
    assert module_of(tests, names) == module


def test_what_tests_leave_open_is_imported_from_the_candidate():
    tests = "def test_a():\n    assert total([LIMIT]) == 4 and sorted([1])\n"
    assert completed(tests, entry_point="total", reference="LIMIT = 4\nEND = 1").startswith(
        "from candidate import LIMIT, total\n"
    )
    assert completed(tests, entry_point="total").startswith("from candidate import total\n")
    # Nothing says what is asked for: with one open name it is that, with two it is nobody's business to guess.
    assert completed("def test_a():\n    assert f(1)\n").startswith("from candidate import f\n")
    assert completed(tests) == tests
    assert completed("assert total(1)", entry_point="total") == "assert total(1)"


def test_a_check_is_told_from_pytest_that_defines_one():
    assert is_check("def check(candidate):\n    assert candidate(1)\n")
    assert not is_check("def check(x):\n    assert x\n\ndef test_f():\n    check(1)\n")
    assert not is_check("def test_f():\n    assert 1\n")


class Array:
    """As NumPy's and PyArrow's."""

    def __init__(self, items):
        self.items = items

    def tolist(self):
        return self.items


PAIR = [{"input": "1", "output": "2"}]


@pytest.mark.parametrize(
    ("value", "source", "cases", "calls"),
    [
        ("def test_a(): pass", "def test_a(): pass", 0, 0),
        (["assert f(1)", "assert f(2)"], "assert f(1)\nassert f(2)", 0, 0),
        (("assert f(1)",), "assert f(1)", 0, 0),
        (Array(["assert f(1)"]), "assert f(1)", 0, 0),
        ('["assert f(1)"]', "assert f(1)", 0, 0),
        ({"tests": Array(["assert f(1)"])}, "assert f(1)", 0, 0),
        ({"assert_case": ["assert f(1)"]}, "assert f(1)", 0, 0),
        ('{"functional": "def check(candidate): pass"}', "def check(candidate): pass", 0, 0),
        (PAIR, "", 1, 0),
        (json.dumps(PAIR), "", 1, 0),
        ([{"input": "1", "output": "2", "type": "stdin_stdout"}], "", 1, 0),
        ([{"input": "1", "expected_output": "2", "testtype": "stdin"}], "", 1, 0),
        ({"inputs": ["1", "2"], "outputs": ["2", "3"]}, "", 2, 0),
        ({"input": Array(["1"]), "output": Array(["2"])}, "", 1, 0),
        ({"inputs": [[1]], "outputs": [2], "fn_name": "f"}, "", 0, 1),
        ({"test_cases": [{"input": "[1]\n2", "output": "3"}], "fn_name": "f"}, "", 0, 1),
        ([{"input": "1", "output": "2", "testtype": "functional"}], "", 0, 1),
        ([json.dumps(case) for case in PAIR], "", 1, 0),
        (str(PAIR), "", 1, 0),
        (json.dumps(PAIR).encode(), "", 1, 0),
        ({"inputs": [1], "outputs": Array([2])}, "", 1, 0),
        ({"stdin": "1", "stdout": "2"}, "", 1, 0),
        (None, "", 0, 0),
        ("", "", 0, 0),
        ([], "", 0, 0),
    ],
)
def test_tests_are_read_in_every_known_shape(value, source, cases, calls):
    hidden = read_hidden(value)
    assert (hidden.source, len(hidden.cases), len(hidden.calls)) == (source, cases, calls)


@pytest.mark.parametrize(
    "named",
    [
        {"metadata": {"func_name": "doubled"}},
        {"metadata": '{"func_name": "doubled"}'},
        {"func_name": "doubled", "metadata": {}},
        {"fn_name": "doubled", "metadata": None},
    ],
)
def test_cases_name_the_function_that_they_call_beside_them_or_in_their_metadata(named):
    hidden = read_hidden([{"input": "2", "output": "4", "testtype": "functional"} | named])
    assert (hidden.function, [call.arguments for call in hidden.calls]) == ("doubled", [(2,)])
    program = read_hidden([{"input": "2", "output": "4", "testtype": "stdin", "metadata": {"func_name": None}}])
    assert (program.function, len(program.cases)) == ("", 1)


@pytest.mark.parametrize(
    "reference", ["def doubled(n):\n    return 2 * n\n", "class Solution:\n    def doubled(self, n):\n        return 2 * n\n"]
)
def test_calls_of_a_row_of_ones_own_are_of_a_function_or_of_a_method_as_its_reference_has_it(reference):
    cases = [{"input": "2", "output": "4", "testtype": "functional", "metadata": {"func_name": "doubled"}}]
    task = task_of({"task_id": "dc", "prompt": "Double it.", "tests": json.dumps(cases), "reference": reference}, "x:1")
    assert accepts(reference, task.tests)
    assert not accepts(reference.replace("2 * n", "n"), task.tests)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "an int, which is not a known shape"),
        ({"question": "x", "answer": "y"}, "a dict with the keys 'question', 'answer'"),
        ([1, 2], "a list of int"),
        (["assert 1", {"input": "1"}], "a list of a dict with the keys 'input' and str"),
        ({"inputs": ["1"], "outputs": []}, "1 inputs and 0 outputs"),
        ([{"input": "1", "output": "2", "type": "interactive"}], "type 'interactive'"),
        ([PAIR[0] | {"fn_name": "f"}, PAIR[0] | {"fn_name": "g"}], "several kinds or functions"),
        ({"inputs": [{"a": 1}], "outputs": ["2"]}, "where a program reads and writes text"),
        ({"inputs": ["not json"], "outputs": ["2"], "fn_name": "f"}, "not JSON"),
        ({"tests": "assert 1", "test_list": ["assert 2"]}, "several could be"),
        ({"inputs": [[object()]], "outputs": [1], "fn_name": "f"}, "a value of the type int, object"),
        (json.loads("[" * 600 + "]" * 600), "nested too deep"),
    ],
)
def test_any_other_shape_is_named(value, words):
    with pytest.raises(ShapeError, match=words):
        read_hidden(value)


KEYS = st.sampled_from(["tests", "inputs", "outputs", "input", "output", "fn_name", "type", "testtype", "cases", "other"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(["stdin", "functional", "[1]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["", "f"]))
@settings(max_examples=500, deadline=None)
def test_whatever_is_given_is_read_or_refused(value, function):
    with contextlib.suppress(ShapeError):
        hidden = read_hidden(value, function)
        assert sum(map(bool, (hidden.source, hidden.cases, hidden.calls))) <= 1
        assert compile(calls_source(hidden.calls, "f"), "tests", "exec")


@given(
    st.dictionaries(
        st.text() | KEYS | st.sampled_from(["prompt", "task_id", "test", "question", "input_output"]), VALUES, max_size=6
    )
)
@settings(max_examples=500, deadline=None)
def test_whatever_stands_in_a_row_is_a_task_or_refused(row):
    with contextlib.suppress(RowError):
        task_of(row, "x.jsonl:1")


ODD = (None, 5, 1.5, True, "", "x", "{", "[1", [], {}, [1], [None], {"a": 1}, [[]], [{}], [{"a": None}], ["x"], "a b")


EVALPLUS = {
    "task_id": "Mbpp/2",
    "prompt": '"""Write f.\nassert f((1,)) == 1\n"""\n',
    "entry_point": "f",
    "canonical_solution": "def f(x):\n    return x[0]\n",
    "base_input": [[[1]]],
    "plus_input": [],
    "atol": 0,
}
ROWS = {name: example.row for name, example in EXAMPLES.items()} | {"EvalPlus": EVALPLUS, "your own": OWN}


def reason_of(row):
    """Why a row is refused; empty for a task."""
    try:
        task_of(row, "x.jsonl:1")
    except RowError as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize("name", ROWS)
def test_an_odd_value_in_a_row_of_a_known_format_is_read_or_refused_in_words_about_the_row(name):
    reasons = [reason_of(ROWS[name] | {key: value}) for key, value in itertools.product(ROWS[name], ODD)]
    # What Python says of a value is no message about a row.
    assert not [reason for reason in reasons if re.search(r"NoneType|' object|subscript|argument \d|iterable", reason)]
    unforeseen = {reason for reason in reasons if "cannot be read" in reason}
    assert not unforeseen


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("MBPP+ of the hub", {"code": None}, "its 'code' is null, where this format has text"),
        ("MBPP+ of the hub", {"task_id": None}, "its 'task_id' is null, where this format has a text or a number"),
        ("MBPP+ of the hub", {"task_id": ["x"]}, "its 'task_id' is a list of str, where this format has a text or a number"),
        ("MBPP+ of the hub", {"test_list": {"a": 1}}, "its 'test_list' is a dict with the keys 'a', where this format has texts"),
        ("KodCode", {"test_info": 5}, "its 'test_info' is an int, where this format has a list of mappings"),
        ("LiveCodeBench, calls", {"metadata": "no JSON"}, "its 'metadata' is a str, where this format has a mapping"),
        ("LiveCodeBench, calls", {"private_test_cases": None}, "its 'private_test_cases' is null, where this format has a list"),
        ("your own", {"limits": 5}, "its 'limits' is an int, where this format has a mapping"),
        ("your own", {"task_id": ""}, "its 'task_id' is an empty text, where this format has a text or a number"),
        ("your own", {"reference": 5}, "its 'reference' is an int, where this format has text"),
    ],
)
def test_a_value_of_another_kind_is_said_by_key_and_shape(name, more, words):
    assert reason_of(ROWS[name] | more) == words


def test_null_under_a_key_that_may_be_left_out_is_nothing():
    optional = dict.fromkeys(("entry_point", "module", "in_place", "visible_tests", "reference", "limits", "fn_name", "checker"))
    assert task_of(OWN | optional, "x:1") == task_of(OWN, "x:1")


@pytest.mark.parametrize(
    "damaged",
    [
        "not base64!",
        b64encode(b"zz").decode(),
        b64encode(zlib.compress(b"no pickle")).decode(),
        b64encode(zlib.compress(pickle.dumps("no JSON"))).decode(),
        packed([{"input": "1" * 99, "output": "2"}])[:40],
    ],
)
def test_damaged_packed_tests_cost_their_row_alone(tmp_path, damaged):
    path = tmp_path / "lcb.jsonl"
    rows = [LCB_STDIN.row | {"question_id": "1", "private_test_cases": damaged}, LCB_STDIN.row]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load(str(path))
    assert len(loaded.tasks) == 1
    assert [problem.reason for problem in loaded.problems] == [
        "its 'private_test_cases' is neither JSON nor that as a pickled text, compressed, in base64"
    ]


def test_large_values_travel_as_text():
    numbers = list(range(20_000))
    tests = calls_source(read_hidden({"inputs": [[numbers]], "outputs": [numbers], "fn_name": "f"}).calls, "f")
    assert "json.loads('[0, 1, 2" in tests
    assert accepts("def f(xs):\n    return tuple(xs)", tests)
    assert not accepts("def f(xs):\n    return xs[1:]", tests)


@pytest.mark.parametrize(
    ("split", "first", "count"), [("", 11, 500), ("test", 11, 500), ("prompt", 1, 10), ("train", 601, 374), ("all", 1, 974)]
)
def test_mbpp_means_its_test_split(tmp_path, split, first, count):
    rows = [
        {"task_id": n, "text": "Add.", "code": "def add(x): return x", "test_list": ["assert add(1) == 1"]} for n in range(1, 975)
    ]
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load("mbpp", folder=tmp_path, split=split)
    assert (next(iter(loaded.tasks)), len(loaded.tasks)) == (str(first), count)
    assert ("split test (tasks 11 to 510)" in loaded.source) == (count == 500)


def test_a_data_set_by_name_is_found_by_the_name_of_its_file(tmp_path):
    (tmp_path / "apps.jsonl").write_text(json.dumps(APPS_CALL.row) + "\n")
    assert list(load("apps", folder=tmp_path).tasks) == ["9002"]
    (tmp_path / "kod.jsonl").write_text(json.dumps(KODCODE.row) + "\n" + json.dumps(LCB_CALL.row) + "\n")
    assert list(load(str(tmp_path / "kod.jsonl")).tasks) == ["Prefill_9001_I", "9999"]


HUMANEVAL = {
    "task_id": "h/1",
    "prompt": 'def add(a, b):\n    """Sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}


@pytest.mark.parametrize("given", [{}, {"canonical_solution": None}, {"completion": "    return a + b\n"}])
def test_a_prompt_that_begins_the_function_is_gone_on_with_whether_or_not_the_row_has_a_reference(given):
    task = task_of(HUMANEVAL | given, "f:1")
    assert task.program("    return b + a\n").endswith('Sum."""\n    return b + a\n')
    assert task.reference == (HUMANEVAL["prompt"] + given["completion"] if given.get("completion") else "")


@pytest.mark.parametrize(
    "asserts", [["assert add(1, 2) == 3"], '["assert add(1, 2) == 3"]', "['assert add(1, 2) == 3']", "assert add(1, 2) == 3"]
)
@pytest.mark.parametrize("imports", [[], None, "[]", ["import math"], '["import math"]', "import math"])
def test_lists_that_a_table_holds_as_text_are_lists(asserts, imports):
    row = {
        "task_id": 3,
        "prompt": "Add.",
        "code": "def add(a, b):\n    return a + b",
        "test_list": asserts,
        "test_imports": imports,
    }
    head = "import math\n" if "math" in str(imports) else ""
    assert task_of(row, "f:1").tests.strip() == f"{head}assert add(1, 2) == 3"
