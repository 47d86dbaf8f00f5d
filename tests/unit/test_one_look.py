"""An object that was handed out is one thing: what it shows at one look it shows at all, and what it is asked about it has."""

from __future__ import annotations

import pytest
from apart_harness import Apart

SHOWS = """
class X:
    def __init__(self, items): self.items = items
    def __iter__(self): return iter(self.items)
    def __len__(self): return len(self.items)
    def __eq__(self, other): return True
    __hash__ = None
"""
LIST = """
class L:
    def __init__(self, items): self.items = list(items)
    def __iter__(self): return iter(self.items)
    def __len__(self): return len(self.items)
    def __getitem__(self, place): return self.items[place]
    def __eq__(self, other): return self.items == list(other)
    def __reversed__(self): return reversed(self.items)
    def index(self, item): return self.items.index(item)
    def count(self, item): return self.items.count(item)
    def push(self, item): self.items.append(item)
def f(x): return L(sorted(x))
"""
ORDER = """
    order = f(graph)
    assert set(order) == set(graph)
    assert all(order.index(u) < order.index(v) for u in graph for v in graph[u])
"""


WRONG = {
    "a dictionary by its keys alone": (
        SHOWS + "def f(x): return X(list(dict.fromkeys(x)))",
        "    assert f('aab') == {'a': 2, 'b': 1}",
    ),
    "a counter by its keys alone": (
        SHOWS + "def f(x): return X(list(dict.fromkeys(x)))",
        "    from collections import Counter\n    assert f('aab') == Counter('aab')",
    ),
    "a set by one member": (SHOWS + "def f(x): return X([2, 2, 2, 2])", "    assert f(10) == {2, 3, 5, 7}"),
    "an order that is told as it is asked": (
        "asked = [0]\n" + SHOWS + "    def index(self, item): asked[0] += 1; return asked[0]\ndef f(x): return X(list(x))",
        "    graph = {'c': [], 'b': ['c'], 'a': ['b']}" + ORDER,
    ),
    "a number of times that is always right": (
        SHOWS + "    def count(self, item): return 1\ndef f(x): return X([x])",
        "    assert all(f(3).count(item) == 1 for item in (1, 2, 3))",
    ),
    "other items at the second look": (
        "class X:\n    looks = 0\n    def __iter__(self):\n        self.looks += 1\n"
        "        return iter([[11, 0, 0], [1, 2, 5]][self.looks - 1])\ndef f(x): return X()",
        "    change = f(11)\n    assert sum(change) == 11\n    assert all(coin in (1, 2, 5) for coin in change)",
    ),
    "other items from the end": (
        SHOWS + "    def __reversed__(self): return iter(self.items)\ndef f(x): return X([3, 1, 2])",
        "    found = f(1)\n    assert list(found) == list(reversed(found))",
    ),
    "another item at the second look": (
        "class X:\n    looks = 0\n    def __getitem__(self, place):\n        self.looks += 1\n        return self.looks\n"
        "def f(x): return X()",
        "    found = f(1)\n    assert found[0] == 1\n    assert found[0] == 2",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_one_thing_is_not_accepted(bare: Apart, name: str) -> None:
    code, tests = WRONG[name]
    result = bare.run(code, f"from candidate import f\ndef test_a():\n{tests}\n")
    assert not result.accepted, result.events


WORD = {
    "a method that was told the text": (
        SHOWS + "    def find(self, text): return 0\ndef f(x): return X([])",
        "    assert f('abc').find('b') >= 0",
    ),
    "a union that is what it was told": (
        SHOWS + "    def union(self, other): return other\ndef f(x): return X([])",
        "    assert f(3).union({1}) == {1}",
    ),
    "an attribute that is another at the second look": (
        "class X:\n    looks = 0\n    @property\n    def v(self):\n        self.looks += 1\n        return [9, 4][self.looks - 1]\n"
        "def f(x): return X()",
        "    found = f(1)\n    assert found.v == 9\n    assert found.v == 4",
    ),
    "what it has under its own members": (
        "class Graph:\n    edges = {0: [1], 1: [0]}\n    def __iter__(self): return iter(self.edges)\n    def __len__(self): return 2\n"
        "    def __getitem__(self, node): return self.edges[node]\ndef f(x): return Graph()",
        "    graph = f(1)\n    assert list(graph) == [0, 1]\n    assert graph[0] == [1]",
    ),
}


@pytest.mark.parametrize("name", WORD)
def test_what_nobody_can_hold_against_it_rests_on_its_word(bare: Apart, name: str) -> None:
    code, tests = WORD[name]
    result = bare.run(code, f"from candidate import f\ndef test_a():\n{tests}\n")
    assert result.accepted, result.events
    assert {event["basis"] for event in result.events if event["event"] == "test"} == {"word"}


RIGHT = {
    "a list": (
        LIST,
        "    found = f([3, 1, 2])\n    assert found == [1, 2, 3] and list(found) == [1, 2, 3] and list(found) == [1, 2, 3]\n"
        "    assert found[-1] == 3 and found[:2] == [1, 2] and list(reversed(found)) == [3, 2, 1]\n"
        "    assert found.index(3) == 2 and found.count(2) == 1\n"
        "    found.push(9)\n    assert list(found) == [1, 2, 3, 9] and len(found) == 4",
    ),
    "loops within loops": (LIST, "    found = f([2, 1])\n    assert [a for a in found for b in found] == [1, 1, 2, 2]"),
    "a mapping": (
        "class M:\n    def __init__(self, held): self.held = held\n    def __getitem__(self, key): return self.held[key]\n"
        "    def keys(self): return self.held.keys()\n    def items(self): return self.held.items()\n"
        "    def __iter__(self): return iter(self.held)\n    def __len__(self): return len(self.held)\n"
        "    def __eq__(self, other): return self.held == dict(other)\n"
        "    def get(self, key, other=None): return self.held.get(key, other)\ndef f(x): return M({c: x.count(c) for c in x})",
        "    found = f('aab')\n    assert found == {'a': 2, 'b': 1} and found.get('a') == 2 and found['b'] == 1\n"
        "    assert dict(found) == {'a': 2, 'b': 1} and sorted(found) == ['a', 'b']",
    ),
    "a set": (
        "class S:\n    def __init__(self, held): self.held = set(held)\n    def __contains__(self, item): return item in self.held\n"
        "    def __iter__(self): return iter(self.held)\n    def __len__(self): return len(self.held)\n"
        "    def __eq__(self, other): return self.held == set(other)\ndef f(x): return S(x)",
        "    found = f('aab')\n    assert found == {'a', 'b'} and 'a' in found and len(found) == 2",
    ),
    "items without end": (
        "class N:\n    def __iter__(self):\n        n = 0\n        while True:\n            yield n\n            n += 1\ndef f(x): return N()",
        "    from itertools import islice\n    found = f(1)\n    assert list(islice(found, 3)) == [0, 1, 2]\n"
        "    assert list(islice(found, 5)) == [0, 1, 2, 3, 4]",
    ),
    "a stream": (
        "class N:\n    def __init__(self): self.items = iter([1, 2])\n    def __iter__(self): return self.items\ndef f(x): return N()",
        "    found = f(1)\n    assert list(found) == [1, 2]\n    assert list(found) == []",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_one_thing_rests_on_data(bare: Apart, name: str) -> None:
    code, tests = RIGHT[name]
    result = bare.run(code, f"from candidate import f\ndef test_a():\n{tests}\n")
    assert result.accepted, result.events
    assert {event["basis"] for event in result.events if event["event"] == "test"} == {"data"}
