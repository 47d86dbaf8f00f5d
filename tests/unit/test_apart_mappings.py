"""A mapping that was handed out is one thing: what it lists, counts and has under a key agrees, whatever the lists are made of."""

from __future__ import annotations

import pytest
from apart_harness import Apart

HONEST = {
    "len": "2",
    "keys": "['a', 'b']",
    "values": "[1, 2]",
    "items": "[('a', 1), ('b', 2)]",
    "get": "{'a': 1, 'b': 2}[k]",
    "iter": "['a', 'b']",
}
CODE = """
class Table:
    def __len__(self): return {len}
    def keys(self): return {keys}
    def values(self): return {values}
    def items(self): return {items}
    def __getitem__(self, k): return {get}
    def __iter__(self): return iter({iter})
def f(n): return Table()
"""
KEYS = "    assert set(r.keys()) == {'a', 'b'}\n"


@pytest.mark.parametrize("made_of", ["{}", "(x for x in {})", "Shown({})"])
@pytest.mark.parametrize(
    ("view", "lie", "body"),
    [
        ("items", "[]", KEYS + "    for k, v in r.items(): assert v == 5"),
        ("values", "[]", KEYS + "    assert all(v > 5 for v in r.values())"),
        ("items", "[('a', 5), ('b', 6)]", "    assert r['a'] == 1\n    assert sorted(r.items()) == [('a', 5), ('b', 6)]"),
        ("items", "[('a', 5), ('b', 6)]", "    assert sorted(r.items()) == [('a', 5), ('b', 6)]\n    assert r['a'] == 1"),
        ("values", "[5, 6]", "    assert sorted(r.items()) == [('a', 1), ('b', 2)]\n    assert sorted(r.values()) == [5, 6]"),
        ("keys", "['c', 'd']", "    assert sorted(r) == ['a', 'b']\n    assert sorted(r.keys()) == ['c', 'd']"),
        ("iter", "[]", "    assert len(r) == 2\n    for k in r: assert k == 'x'"),
    ],
)
def test_views_that_disagree_fail_the_test(bare: Apart, view: str, lie: str, body: str, made_of: str) -> None:
    shown = "class Shown:\n    def __init__(self, items): self.kept = items\n    def __iter__(self): return iter(self.kept)\n"
    code = shown + CODE.format(**(HONEST | {view: made_of.format(lie)}))
    tests = f"from candidate import f\ndef test_a():\n    r = f(1)\n{body}"
    result = bare.run(code, tests)
    assert result.outcomes == {"test_a": "failed"}, result
    assert "is not one thing" in result.tests["test_a"]["message"]


def test_views_that_agree_are_believed(bare: Apart) -> None:
    code = """
from collections.abc import Mapping
class Table(Mapping):
    def __init__(self, held): self.held = dict(held)
    def __getitem__(self, key): return self.held[key]
    def __iter__(self): yield from self.held
    def __len__(self): return len(self.held)
def f(n): return Table({"a": 1, "b": 2})
"""
    tests = """
from candidate import f
def test_a():
    r = f(1)
    assert len(r) == 2 and set(r.keys()) == {"a", "b"} and sorted(r.values()) == [1, 2]
    assert sorted(r.items()) == [("a", 1), ("b", 2)] and dict(r) == {"a": 1, "b": 2}
    assert list(r) == ["a", "b"] and [*r] == ["a", "b"] and r["a"] == 1 and r.get("b") == 2 and "a" in r
    it = iter(r)
    assert (next(it), next(it), next(it, None)) == ("a", "b", None)
"""
    result = bare.run(code, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"


def test_a_generator_that_gives_less_than_the_length_says_is_seen(bare: Apart) -> None:
    code = "class Items:\n    def __len__(self): return 3\n    def __iter__(self): yield from ()\ndef f(n): return Items()"
    tests = "from candidate import f\ndef test_a():\n    r = f(1)\n    assert len(r) == 3\n    for a, b in zip(r, [1, 2, 3]): assert a == b"
    assert bare.run(code, tests).outcomes == {"test_a": "failed"}


def test_a_mapping_that_shows_the_keys_alone_equals_no_dict(bare: Apart) -> None:
    code = "class Keys:\n    def __iter__(self): return iter(['a', 'b'])\n    def __getitem__(self, key): return 0\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(n): return Keys()"
    tests = "from candidate import f\ndef test_a(): assert f(1) == {'a': 5, 'b': 6}"
    assert bare.run(code, tests).outcomes == {"test_a": "failed"}
    honest = code.replace("return 0", "return {'a': 5, 'b': 6}[key]").replace("return True", "return other['a'] == 5")
    assert bare.run(honest, tests).accepted


def test_what_the_tests_change_while_they_look_is_no_lie(bare: Apart) -> None:
    code = """
from collections.abc import MutableMapping
class Table(MutableMapping):
    def __init__(self, held): self.held = dict(held)
    def __getitem__(self, key): return self.held[key]
    def __setitem__(self, key, value): self.held[key] = value
    def __delitem__(self, key): del self.held[key]
    def __iter__(self): yield from self.held
    def __len__(self): return len(self.held)
def f(n): return Table({"a": 1, "b": 2})
"""
    tests = """
from candidate import f
def test_a():
    r = f(1)
    assert r["a"] == 1 and sorted(r.items()) == [("a", 1), ("b", 2)]
    for key, value in r.items(): r[key] = value + 4
    assert r["a"] == 5 and dict(r) == {"a": 5, "b": 6} and sorted(r.values()) == [5, 6]
    for key in r: r[key] += 1
    r["c"] = 9
    assert len(r) == 3 and r["b"] == 7 and sorted(r.items()) == [("a", 6), ("b", 7), ("c", 9)]
    del r["c"]
    assert set(r.keys()) == {"a", "b"} and len(r) == 2
"""
    assert bare.run(code, tests).accepted


MISSING = """
import time
from collections import defaultdict
class Node:
    def __init__(self): self.items = []
    def add(self, item): self.items.append(item)
def tree(): return defaultdict(Node)
def nested(): return defaultdict(lambda: defaultdict(int))
def fill(table, key):
    table[key].add(1)
    return table
def drawn(): return defaultdict(time.time)
"""
MADE = {
    "for node in (tree()['a'], defaultdict(Node)['a']):\n    node.add(1)\n    assert node.items == [1]": True,
    "table = nested()\ntable['a']['b'] += 1\nassert table == {'a': {'b': 1}}": True,
    "assert fill(defaultdict(Node), 'k')['k'].items == [1] and isinstance(tree()['x'], Node)": True,
    "assert tree()['a'] == []": False,
    "assert drawn()['a'] > 2": True,
}


@pytest.mark.parametrize("body", MADE)
def test_what_makes_missing_items_is_asked_where_it_lives(bare: Apart, body: str) -> None:
    tests = "from collections import defaultdict\nfrom candidate import Node, drawn, fill, nested, tree\ndef test_a():\n    "
    result = bare.run(MISSING, tests + body.replace("\n", "\n    ") + "\n")
    assert result.accepted is MADE[body], result
    assert not result.tampered
