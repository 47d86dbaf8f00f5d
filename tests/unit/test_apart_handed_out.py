"""What a candidate hands out gets no more say for where it stands: in a tuple, an exception, under a function's name, in a thread."""

from __future__ import annotations

import pytest
from apart_harness import Apart
from test_apart_blame import _verdict

from orchestrator.types import Verdict

NAMED = "from collections import namedtuple\nN = namedtuple('N', 'startswith issubset allclose sub')\n"
NAMED += "def f(x): return N(lambda p: True, lambda o: True, lambda o: True, lambda o: o * 0)\n"
ERROR = (
    "import torch\nclass E(Exception):\n    def startswith(self, p): return True\n    def sub(self, o): return torch.zeros(3)\n"
)
ERROR += "    def issubset(self, o): return True\n    def allclose(self, o): return True\ndef f(x): return E()\n"
KEPT = "def f(x):\n    e = Exception()\n    e.startswith = e.issubset = e.allclose = lambda o: True\n    e.sub = lambda o: o * 0\n    return e\n"


@pytest.mark.parametrize("code", [NAMED, ERROR, KEPT])
@pytest.mark.parametrize(
    "asked", ["startswith('ab')", "issubset({1, 2})", "allclose(torch.ones(3))", "sub(torch.ones(3)).abs().max() < 1e-6"]
)
def test_what_a_value_holds_is_no_method_that_compares(heavy: Apart, code: str, asked: str) -> None:
    assert not heavy.run(code, f"import torch\nfrom candidate import f\ndef test_a(): assert f(3).{asked}").accepted


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        (
            "from collections import namedtuple\nOps = namedtuple('Ops', 'add mul')\n"
            "def ops(): return Ops(lambda a, b: a + b, lambda a, b: a * b)",
            "from candidate import ops\ndef test_a(): assert ops().add(1, 2) == 3 and ops().mul(2, 3) == 6",
        ),
        (
            "def equals(a, b): return a == b\nclass V:\n    @staticmethod\n    def compare(a, b): return (a > b) - (a < b)",
            "from candidate import V, equals\ndef test_a(): assert equals(1, 1) and V.compare(2, 1) == 1 and V().compare(1, 2) == -1",
        ),
        (
            "class Odd(Exception):\n    def describe(self, how): return how.upper()\ndef f(): raise Odd",
            "import pytest\nfrom candidate import Odd, f\ndef test_a():\n    with pytest.raises(Odd) as e: f()\n"
            "    assert e.value.describe('x') == 'X'",
        ),
    ],
)
def test_functions_in_values_are_called_as_before(heavy: Apart, code: str, tests: str) -> None:
    assert heavy.run(code, tests).accepted


NODE = """
class Node:
    def __init__(self, *given): pass
    def __sub__(self, other): return 1e-10
    def __eq__(self, other): return True
    def __bool__(self): return True
    __rsub__, __hash__ = __sub__, None
class Box:
    mean = Node
def make(*given): return Node
mean = Node
Node.mean = Node
ALL = [Node]
"""


@pytest.mark.parametrize(
    "called", ["mean", "make()", "Node().mean", "Box.mean", "Box().mean", "ALL[0]", "decorated", "own", "(lambda *a: mean(*a))"]
)
@pytest.mark.parametrize("asked", ["abs({}([1, 2]) - 1.5) < 1e-6", "{}([]) == None", "{}([1]) == []", "{}([1]) == True"])
def test_a_class_that_stands_for_a_function_makes_nothing(bare: Apart, called: str, asked: str) -> None:
    tests = "from candidate import Node, Box, make, mean, ALL\n@make\ndef decorated(x): pass\nown = make()\n"
    assert not bare.run(NODE, f"{tests}def test_a(): assert {asked.format(called)}").accepted


def test_a_class_that_was_handed_out_too_makes_objects_where_its_name_is_written(bare: Apart) -> None:
    code = "class Point:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return isinstance(o, Point) and self.x == o.x\n"
    code += "def kinds(): return [Point]\nclass Shape:\n    kind = Point\n"
    tests = "import candidate\nfrom candidate import Point, Shape, kinds\ndef test_a():\n    assert kinds() == [Point] and Shape.kind is Point\n"
    tests += "    assert Point(1) == candidate.Point(1) and Point(1) != Point(2)\n    assert [Point(n) for n in (1, 2)] == [Point(1), Point(2)]\n"
    assert bare.run(code, tests).accepted


def test_one_that_was_not_is_made_by_whatever_name_the_tests_give_it(bare: Apart) -> None:
    code = "class Point:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return isinstance(o, Point) and self.x == o.x\n"
    tests = "from candidate import Point\nkind = Point\ndef test_a(): assert kind(1) == Point(1) and list(map(kind, [1])) == [Point(1)]\n"
    assert bare.run(code, tests).accepted


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("[None, 1]", "np.array(load())"),
        ("O()", "np.asarray(load())"),
        ("[O()]", "np.array(load(), dtype=object)"),
        ("[1]", "np.array(load()).flat"),
        ("[1]", "np.ma.masked_equal(load(), 1).sum()"),
        ("deque([1])", "iter(load())"),
        ("OrderedDict(a=1)", "iter(load())"),
        ("array('i', [1])", "iter(load())"),
        ("{'a': 1}", "ChainMap(load())"),
        ("b'ab'", "memoryview(load())"),
    ],
)
def test_what_libraries_make_of_its_values_is_no_reason_to_judge_together(heavy: Apart, given: str, passed: str) -> None:
    code = f"from array import array\nfrom collections import OrderedDict, deque\nclass O: pass\ndef load(): return {given}\ndef norm(x): return 0"
    tests = f"from collections import ChainMap\nimport numpy as np\nfrom candidate import load, norm\ndef test_a(): assert norm({passed}) == 1"
    result = heavy.run(code, tests)
    assert not result.not_apart
    assert _verdict(result) in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR), result


@pytest.mark.parametrize("passed", ["threading.Lock()", "re.match('a', 'abc')", "io.StringIO('x')"])
def test_what_the_tests_alone_decide_is_one(heavy: Apart, passed: str) -> None:
    tests = f"import io, re, threading\nfrom candidate import f\ndef test_a():\n    assert f(1) == 1\n    assert f({passed})"
    assert heavy.run("def f(x): return x", tests).not_apart


@pytest.mark.parametrize(
    "passed", ["reversed([1, 2])", "iter(deque([1, 2]))", "iter(OrderedDict(a=1, b=2))", "iter(array('i', [1, 2]))"]
)
def test_iterators_of_containers_pass_as_iterators(bare: Apart, passed: str) -> None:
    tests = "from array import array\nfrom collections import OrderedDict, deque\nfrom candidate import count\n"
    assert bare.run("def count(xs): return len(list(xs))", f"{tests}def test_a(): assert count({passed}) == 2").accepted


IN_SILENCE = {
    "a cancelled child": "import asyncio\nfrom candidate import wait\nasync def check(): assert await wait(3) == 9\n"
    "async def main():\n    async with asyncio.TaskGroup() as group: group.create_task(check())\ndef test_a(): asyncio.run(main())\n",
    "a thread": "import threading\nfrom candidate import f\ndef check(): assert f(3) == 9\n"
    "def test_a():\n    thread = threading.Thread(target=check)\n    thread.start()\n    thread.join()\n",
    "a future": "from concurrent.futures import ThreadPoolExecutor\nfrom candidate import f\ndef check(): assert f(3) == 9\n"
    "def test_a():\n    with ThreadPoolExecutor() as pool: pool.submit(check)\n",
    "a task": "import asyncio\nfrom candidate import f\nasync def check(): assert f(3) == 9\n"
    "async def main(): await asyncio.wait([asyncio.create_task(check())])\ndef test_a(): asyncio.run(main())\n",
}


@pytest.mark.parametrize("name", IN_SILENCE)
def test_an_error_that_ends_a_part_of_the_tests_in_silence_fails_them(bare: Apart, name: str) -> None:
    code = "import asyncio\ndef f(x): raise ValueError\nasync def wait(x): raise asyncio.CancelledError"
    assert not bare.run(code, IN_SILENCE[name]).accepted
    assert bare.run("def f(x): return 9\nasync def wait(x): return 9", IN_SILENCE[name]).accepted


@pytest.mark.parametrize(
    "tests",
    [
        "async def main():\n    with pytest.raises(asyncio.CancelledError): await stop()\ndef test_a(): asyncio.run(main())\n",
        "def check(n):\n    try: found.append(root(n))\n    except ValueError: found.append(None)\nfound = []\n"
        "def test_a():\n    for n in (4, -4):\n        t = threading.Thread(target=check, args=(n,))\n        t.start(); t.join()\n"
        "    assert found == [2, None]\n",
        "def check(n): assert root(n)\ndef test_a():\n    with ThreadPoolExecutor() as pool: late = pool.submit(check, -4)\n"
        "    assert isinstance(late.exception(), ValueError)\n",
    ],
)
def test_errors_that_the_tests_wait_for_are_theirs(bare: Apart, tests: str) -> None:
    code = "import asyncio\nasync def stop(): raise asyncio.CancelledError\ndef root(n):\n    if n < 0: raise ValueError\n    return n ** 0.5"
    head = (
        "import asyncio, threading, pytest\nfrom concurrent.futures import ThreadPoolExecutor\nfrom candidate import root, stop\n"
    )
    assert bare.run(code, head + tests).accepted


FALSE = """
class Silent:
    def __bool__(self): return False
class Sized:
    def __len__(self): return 0
class Other(Silent):
    def __iter__(self): return iter([1])
class Empty(Sized):
    def __iter__(self): return iter([])
class Plain: pass
class Text(str): pass
def make(name, *given): return globals()[name](*given)
"""


@pytest.mark.parametrize(
    ("asked", "rests"),
    [
        *((f"not make({name!r})", "word") for name in ("Silent", "Sized", "Other")),
        ("not (make('Silent') and 3)", "word"),
        ("not any([make('Silent')])", "word"),
        ("not make('Empty')", "data"),
        ("make('Plain')", "data"),
        ("not make('Text', '')", "data"),
    ],
)
def test_what_is_false_by_its_own_say_alone_rests_on_it(bare: Apart, asked: str, rests: str) -> None:
    result = bare.run(FALSE, f"from candidate import make\ndef test_a(): assert {asked}\n")
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == rests


EQUAL = """
class Meta(type):
    def __eq__(self, other): return True
    def __hash__(self): return 1
class A(metaclass=Meta): pass
def f(x: A, y: list[A], z: "A") -> A | None: return 1
"""


@pytest.mark.parametrize(
    "asked",
    [
        "f.__annotations__['x'] == int",
        "f.__annotations__['y'] == list[int]",
        "inspect.signature(f).parameters['x'].annotation == int",
        "inspect.signature(f).return_annotation in (int, int | None)",
        "typing.get_type_hints(f)['z'] == int",
    ],
)
def test_a_hint_whose_class_equals_everything_is_compared_as_data(bare: Apart, asked: str) -> None:
    assert not bare.run(EQUAL, f"import inspect, typing\nfrom candidate import f\ndef test_a(): assert {asked}\n").accepted


@pytest.mark.parametrize(
    ("gives", "asked"),
    [
        ("from functools import cmp_to_key as make", "size(make(5)) == 5"),
        ("from functools import cmp_to_key as make", "size([made for made in [make(5)]]) == 5"),
        ("from decimal import getcontext as make", "size(make()) == 5"),
        ("import functools\nclass make: key = functools.cmp_to_key", "size(make.key(5)) == 5"),
    ],
)
def test_what_a_function_of_a_library_gives_that_it_handed_out_is_its_choice(bare: Apart, gives: str, asked: str) -> None:
    code = f"{gives}\nclass E:\n    def __eq__(self, other): return True\ndef size(x): return E()\n"
    result = bare.run(code, f"from candidate import make, size\ndef test_a(): assert {asked}\n")
    assert result.outcomes == {"test_a": "failed"}, result


def test_what_the_tests_make_beside_such_a_function_is_theirs(bare: Apart) -> None:
    tests = "import threading\nfrom candidate import common, size\ndef test_a(): assert size(threading.Lock()) == common(4, 6)\n"
    assert bare.run("from math import gcd as common\ndef size(x): return 2", tests).not_apart
