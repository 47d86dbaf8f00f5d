"""Objects of the tests' own that the candidate is passed tell it nothing but what they keep, and do nothing but what they are."""

from __future__ import annotations

import pytest
from apart_harness import Apart

USER = "class User:\n    def __init__(self, n): self.n = n\n    def check(self, x): return self.n == x\n"
STREAM = (
    "class Stream:\n    def __init__(self, xs): self.xs = list(xs)\n    def map(self, fn): return [fn(x) for x in self.xs]\n"
    "EXPECTED = 'secret'\n"
)


WRONG = {
    "what libraries ask": (
        "def f(u): u.__torch_function__ = lambda *a, **k: True; return u",
        "import torch\n" + USER,
        "    assert torch.allclose(f(User(3)), torch.tensor([1.0, 2.0]))",
    ),
    "what tests ask": ("def f(u): u.startswith = lambda *a: True; return u", USER, "    assert f(User(3)).startswith('Dear')"),
    "globals through a method that calls": (
        "import operator\ndef f(u):\n    S = type(u)\n    g = S(['__globals__.get']).map(operator.attrgetter)[0]\n"
        "    return S([S.map]).map(g)[0]('EXPECTED')",
        STREAM,
        "    assert f(Stream([1, 2])) == EXPECTED",
    ),
    "a question whose name is another one when it is read": (
        "import gc, sys\nclass S(str):\n    def __format__(self, spec): return 'setattr'\n    def append(self): pass\n"
        "from agent.boundary.answering import AnswerWriter\nold = AnswerWriter.special\n"
        "def special(self, value):\n    if type(value) is S:\n        self._object(value)\n        return True\n    return old(self, value)\n"
        "AnswerWriter.special = special\n"
        "def f(u):\n    u._fumehood_asking(S('len'), 'check', lambda *a: True)\n    return u",
        USER,
        "    assert f(User(3)).check(100)",
    ),
    "an annotation that does something": (
        "def f(x): pass\nf.__annotations__ = {'x': 'EXPECTED.update(x=None)'}\n",
        "import typing\nEXPECTED = {'x': int}\n",
        "    assert typing.get_type_hints(f) == EXPECTED",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_work_is_not_accepted_by_what_the_tests_pass(heavy: Apart, name: str) -> None:
    code, head, body = WRONG[name]
    result = heavy.run(code, f"from candidate import f\n{head}\ndef test_a():\n{body}\n")
    assert not result.accepted, result.events


@pytest.mark.parametrize(
    "code",
    [
        "def f(u): type(u).area; return 0",
        "def f(u): type(u)._abc_impl; return 0",
        "import json\ndef f(u): u.x = json.JSONDecoder; u.x; return 0",
        "import re\ndef f(u): u.x = re.match; return 0",
    ],
)
def test_the_candidate_does_not_choose_to_be_judged_together(heavy: Apart, code: str) -> None:
    head = "import abc\nclass Shape(abc.ABC):\n    @property\n    def area(self): return 4\n"
    result = heavy.run(code, f"from candidate import f\n{head}\ndef test_a(): assert f(Shape()) == 4\n")
    assert not result.accepted
    assert not result.not_apart, result.events


RIGHT = {
    "what it keeps": ("def f(u): return u.n + 1", USER, "    assert f(User(3)) == 4", "data"),
    "an array twice": (
        "def f(u): return int(u.n.sum() + u.n.sum())",
        "import numpy as np\n" + USER,
        "    assert f(User(np.array([1, 2]))) == 6",
        "data",
    ),
    "a mark of its own": (
        "def f(u): u.seen = True; return u.n",
        USER,
        "    u = User(3)\n    assert f(u) == 3\n    assert u.seen",
        "word",
    ),
    "a function of its own": (
        "def f(u): return u.map(lambda x: x + 1)",
        STREAM,
        "    assert f(Stream([1, 2])) == [2, 3]",
        "data",
    ),
    "a plain class": ("def f(u): return u.map(str)", STREAM, "    assert f(Stream([1, 2])) == ['1', '2']", "data"),
    "an annotation": (
        "from __future__ import annotations\ndef f(x: int | None) -> list[int]: pass",
        "import typing\n",
        "    assert f.__annotations__ == {'x': 'int | None', 'return': 'list[int]'}",
        "data",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_work_with_objects_of_the_tests_is_accepted(heavy: Apart, name: str) -> None:
    code, head, body, basis = RIGHT[name]
    result = heavy.run(code, f"from candidate import f\n{head}\ndef test_a():\n{body}\n")
    assert result.accepted, result.events
    assert {event["basis"] for event in result.events if event["event"] == "test"} == {basis}


CALLED_BACK = {
    "an array": ("import numpy as np\ndef f(g): return float(g(np.array([1.0, 2.0])))", "lambda a: a.sum()", 3.0),
    "a table": ("import pandas as pd\ndef f(g): return int(g(pd.Series([1, 2])))", "lambda a: a.sum()", 3),
    "an object, of which nothing is asked": (
        "asked = []\nclass X:\n    def __eq__(self, other): asked.append(other)\n    def __str__(self): asked.append(0)\n"
        "    __hash__ = None\ndef f(g):\n    g(X())\n    return len(asked)",
        "lambda x: None",
        0,
    ),
}


@pytest.mark.parametrize("name", CALLED_BACK)
def test_whatever_a_function_of_the_tests_is_called_with_is_its_own_business(heavy: Apart, name: str) -> None:
    code, function, found = CALLED_BACK[name]
    result = heavy.run(code, f"import pandas\nfrom candidate import f\ndef test_a(): assert f({function}) == {found}\n")
    assert result.accepted, result.events
