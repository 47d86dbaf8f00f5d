"""Honest work that copies and handles used to fail, each with what would use the same way to be paid for nothing."""

from __future__ import annotations

import pytest

TABLE = """
class Table:
    def __init__(self, rows): self.rows = rows
    def keys(self): return list(self.rows[0])
    def __len__(self): return SIZE
    def __iter__(self): return iter(self.rows)
    def __getitem__(self, place): return self.rows[place]
def table(): return Table([{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5, "b": 6}])
"""
LOOKS = """
from candidate import table
def test_a():
    t = table()
    assert t.keys() == ["a", "b"] and len(t) == 3 and [row["a"] for row in t] == [1, 3, 5] and t[1]["b"] == 4
"""


def test_a_table_has_keys_for_its_columns_and_items_for_its_rows(bare):
    result = bare.run(TABLE.replace("SIZE", "len(self.rows)"), LOOKS)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"


def test_a_table_has_as_many_rows_as_it_says(bare):
    assert not bare.run(
        TABLE.replace("SIZE", "3").replace(', {"a": 5, "b": 6}', ""), LOOKS.replace("[1, 3, 5]", "[1, 3]")
    ).accepted


def test_a_mapping_that_is_not_registered_has_as_many_keys_as_items(bare):
    code = TABLE.replace("SIZE", "3").replace("iter(self.rows)", "iter(['a', 'b', 'c'])")
    tests = "from candidate import table\ndef test_a():\n    t = table(); assert len(t) == 3 and t.keys() == ['a', 'b']\n"
    assert not bare.run(code, tests).accepted


GENERATORS = """
import functools
def primed(function):
    @functools.wraps(function)
    def made(*args):
        generator = function(*args); next(generator); return generator
    return made
@primed
def average():
    total = count = 0
    result = None
    while True:
        total += (yield result); count += 1; result = total / count
def feed(generator, items):
    next(generator)
    for item in items: generator.send(item)
    generator.close()
def through(generator): return (yield from generator)
"""
USES = {
    "a generator that was begun": "a = average(); assert a.send(2) == 2 and a.send(4) == 3; a.close()",
    "a generator of the tests' that was begun": "s = primed(sink)(); s.send(1); s.send(2); s.close(); assert out == [1, 2, 'closed']",
    "a generator of the tests' that is fed": "feed(sink(), [5, 6]); assert out == [5, 6, 'closed']",
    "a generator that goes through another": "assert list(through(x for x in range(3))) == [0, 1, 2]",
}


@pytest.mark.parametrize("name", USES)
def test_generators_pass_both_ways(bare, name):
    sink = "def sink():\n    try:\n        while True: out.append((yield))\n    finally: out.append('closed')\n"
    tests = f"from candidate import *\nout = []\n{sink}def test_a():\n    {USES[name]}\n"
    result = bare.run(GENERATORS, tests)
    assert result.accepted, result
    wrong = (
        GENERATORS.replace("generator.send(item)", "pass")
        .replace("next(generator);", "")
        .replace("yield from generator", "yield 9")
    )
    assert not bare.run(wrong, tests).accepted


ITERATORS = ["reversed([1, 2])", "iter(deque([1, 2]))", "reversed(deque([1, 2]))", "iter(OrderedDict({1: 0, 2: 0}))"]
ITERATORS += ["reversed({1: 0, 2: 0})", "iter(bytearray([1, 2]))", "iter(array('i', [1, 2]))", "iter(UserList([1, 2]))"]


@pytest.mark.parametrize("made", ITERATORS)
def test_iterators_of_plain_containers_pass(bare, made):
    tests = f"from array import array\nfrom collections import *\nfrom candidate import f\ndef test_a(): assert f({made}) == 3\n"
    assert bare.run("def f(xs): return sum(xs)", tests).accepted
    assert not bare.run("def f(xs): return 2", tests).accepted


SCRIPTS = {
    "a script": "from candidate import f\ndef main():\n    assert f(3) == 9\nmain()\n",
    "a script in parts": "from candidate import f\ndef check(x): assert f(x) == x * x\ndef main():\n    check(3)\nmain()\n",
    "an asynchronous script": "import asyncio\nfrom candidate import f\nasync def main():\n    assert f(3) == 9\nasyncio.run(main())\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_calls_its_assertions_is_one_test(bare, name):
    result = bare.run("def f(x): return x * x", SCRIPTS[name])
    assert result.accepted, result
    assert len(result.tests) == 1
    wrong = bare.run("def f(x): return x + x", SCRIPTS[name])
    assert list(wrong.outcomes.values()) == ["failed"], wrong


def test_a_value_of_a_class_of_the_tests_that_is_more_than_plain_is_judged_together(bare):
    tests = "from candidate import f\nclass Own(set): pass\ndef test_a(): assert isinstance(f(Own([1])), Own)\n"
    assert "Own" in bare.run("def f(x): return x", tests).not_apart
