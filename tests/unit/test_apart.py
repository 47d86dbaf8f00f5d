"""Judging apart: whatever tests may do with a right candidate works as in one interpreter, and wrong ones fail with a message."""

from __future__ import annotations

import pytest

TRANSPARENT = {
    "keyword and default arguments": (
        "def f(a, b=2, *c, d=4, **e): return a, b, c, d, e",
        "assert f(1) == (1, 2, (), 4, {})\nassert f(1, 3, 5, d=6, e=7) == (1, 3, (5,), 6, {'e': 7})",
    ),
    "constants and global state": (
        "LIMIT = 3\ncount = 0\ndef up():\n    global count\n    count += 1\n    return count",
        "import candidate\ndef test_a():\n    assert candidate.LIMIT == 3 and candidate.count == 0\n    candidate.up(); candidate.up()\n    assert candidate.count == 2",
    ),
    "a class": (
        """
class Stack:
    kind = "lifo"
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise IndexError("empty")
        return self.items.pop()
    @property
    def top(self): return self.items[-1]
    @staticmethod
    def of(*items): return Stack(items)
    @classmethod
    def empty(cls): return cls()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x in self.items
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __hash__(self): return hash(tuple(self.items))
    def __add__(self, other): return Stack(self.items + (other.items if isinstance(other, Stack) else [other]))
    def __lt__(self, other): return len(self) < len(other)
    def __bool__(self): return bool(self.items)
    def __repr__(self): return f"Stack({self.items})"
    def __call__(self, x): return x * 2
    def __enter__(self): self.items.append("in"); return self
    def __exit__(self, kind, value, trace): self.items.append(kind is not None and kind.__name__); return True
""",
        """
import pytest
from candidate import Stack
def test_all():
    s = Stack([1, 2])
    assert isinstance(s, Stack) and type(s) is Stack and s.__class__ is Stack and Stack.__name__ == "Stack"
    assert Stack.kind == "lifo" and s.kind == "lifo"
    assert s.push(3) is s and len(s) == 3 and s.top == 3 and list(s) == [1, 2, 3] and 2 in s and 9 not in s
    assert s[0] == 1 and s[1:] == [2, 3]
    s[0] = 7
    assert s.pop() == 3 and s.items == [7, 2]
    assert Stack.of(1, 2) == Stack([1, 2]) and Stack.of(1) != Stack.empty() and not Stack.empty()
    assert (s + Stack([5])).items == [7, 2, 5] and (s + 5).items == [7, 2, 5]
    assert Stack([1]) < s and not s < Stack()
    assert repr(s) == "Stack([7, 2])" and str(s) == "Stack([7, 2])" and f"{s}" == "Stack([7, 2])"
    assert s(4) == 8 and callable(s)
    assert {Stack([1]): "a"}[Stack([1])] == "a" and hash(Stack([1])) == hash(Stack([1]))
    with pytest.raises(IndexError, match="empty"):
        Stack().pop()
    with s as inside:
        assert inside is s
        raise ValueError("x")
    assert s.items[-2:] == ["in", "ValueError"]
    s.label = "hello"
    assert s.label == "hello" and not hasattr(s, "nothing")
    assert s != [7, 2] and s != "Stack" and [7, 2] != s
    with pytest.raises(AttributeError):
        s.nothing
""",
    ),
    "inheritance": (
        "class A:\n    def f(self): return 'a'\nclass B(A):\n    def f(self): return 'b' + super().f()\ndef make(): return B()",
        "from candidate import A, B, make\ndef test_a():\n    b = make()\n    assert isinstance(b, A) and isinstance(b, B) and issubclass(B, A) and b.f() == 'ba' and not isinstance(A(), B)",
    ),
    "dataclass, enum, named tuple": (
        "from dataclasses import dataclass\nfrom enum import Enum, IntEnum\nfrom collections import namedtuple\n"
        "@dataclass\nclass P:\n    x: int\n    y: int = 2\nclass C(Enum):\n    RED = 1\n    BLUE = 2\nclass N(IntEnum):\n    ONE = 1\nT = namedtuple('T', 'a b')\n"
        "def p(): return P(1)\ndef c(): return C.RED\ndef t(): return T(1, 2)",
        """
from candidate import P, C, N, T, p, c, t
def test_a():
    assert p() == P(1, 2) and p().x == 1 and p() != P(2) and repr(p()) == "P(x=1, y=2)"
    assert c() is C.RED and c() == C.RED and C.RED != C.BLUE and C(1) is C.RED and C["BLUE"].value == 2 and c().name == "RED"
    assert [m.name for m in C] == ["RED", "BLUE"] and len(C) == 2 and C.RED in C
    assert N.ONE == 1 and N.ONE + 1 == 2 and N.ONE < 2 and N.ONE.name == "ONE"
    assert t() == (1, 2) and t().a == 1 and t()._fields == ("a", "b") and repr(t()) == "T(a=1, b=2)"
    assert {C.RED: 1}[c()] == 1
""",
    ),
    "a subclass of list": (
        "class L(list):\n    def double(self): return L(x * 2 for x in self)\ndef plain(): return L([1])",
        "from candidate import L, plain\ndef test_a():\n    l = L([1, 2])\n    l.append(3)\n    assert l == [1, 2, 3] and len(l) == 3 and [1, 2, 3] == l and l != [1]\n    assert l.double() == [2, 4, 6] and plain() == [1] and isinstance(l, L)",
    ),
    "generators and iterators": (
        "def squares():\n    n = 0\n    while True:\n        yield n * n\n        n += 1\n"
        "def echo():\n    got = None\n    while got != 'stop':\n        got = yield got\n    return 'end'\n"
        "def lazy(xs): return map(str, xs)\nclass Range:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return (i for i in range(self.n))\n",
        """
import itertools, types, pytest
from candidate import squares, echo, lazy, Range
def test_a():
    assert list(itertools.islice(squares(), 4)) == [0, 1, 4, 9]
    assert isinstance(squares(), types.GeneratorType)
    g = echo()
    assert next(g) is None and g.send(5) == 5
    with pytest.raises(StopIteration) as stopped:
        g.send("stop")
    assert stopped.value.value == "end"
    assert list(lazy([1, 2])) == ["1", "2"] and next(lazy([3])) == "3" and isinstance(lazy([]), map)
    assert list(Range(3)) == [0, 1, 2] and sum(Range(4)) == 6 and [*Range(2)] == [0, 1]
    g = squares(); next(g); g.close()
    with pytest.raises(StopIteration):
        next(g)
    with pytest.raises(KeyError):
        squares_ = squares(); next(squares_); squares_.throw(KeyError("k"))
""",
    ),
    "exceptions": (
        "class MyError(ValueError):\n    def __init__(self, code): super().__init__(f'code {code}'); self.code = code\n"
        "class Odd(Exception):\n    def __str__(self): return 'odd!'\n"
        "def fail(kind):\n    if kind == 'mine': raise MyError(7)\n    if kind == 'odd': raise Odd(1)\n    if kind == 'key': return {}['k']\n    if kind == 'exit': raise SystemExit(3)\n    if kind == 'os': open('/nope/x')\n    if kind == 'chain':\n        try: 1/0\n        except ZeroDivisionError as e: raise RuntimeError('r') from e\n    if kind == 'unicode': b'\\xff'.decode()\n    raise ZeroDivisionError('z')",
        """
import pytest, candidate
from candidate import fail, MyError
def test_a():
    with pytest.raises(MyError) as e: fail("mine")
    assert str(e.value) == "code 7" and e.value.code == 7 and e.value.args == ("code 7",) and isinstance(e.value, ValueError)
    with pytest.raises(candidate.Odd, match="odd!"): fail("odd")
    with pytest.raises(KeyError) as e: fail("key")
    assert e.value.args == ("k",)
    with pytest.raises(SystemExit) as e: fail("exit")
    assert e.value.code == 3
    with pytest.raises(FileNotFoundError) as e: fail("os")
    assert e.value.errno == 2
    with pytest.raises(RuntimeError) as e: fail("chain")
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    with pytest.raises(UnicodeDecodeError): fail("unicode")
    with pytest.raises(ZeroDivisionError): fail("")
    with pytest.raises(TypeError): fail()
    assert issubclass(MyError, ValueError) and MyError.__name__ == "MyError"
""",
    ),
    "callables are called back": (
        "def apply(f, *xs): return [f(x) for x in xs]\ndef twice(f): return lambda x: f(f(x))\n"
        "def memo(f):\n    seen = {}\n    def g(n):\n        if n not in seen: seen[n] = f(n)\n        return seen[n]\n    return g\n"
        "def count(f):\n    import functools\n    @functools.wraps(f)\n    def g(*a, **k):\n        g.calls += 1\n        return f(*a, **k)\n    g.calls = 0\n    return g\n"
        "def args_of(f):\n    import inspect\n    return list(inspect.signature(f).parameters)\ndef same(f, g): return f is g\ndef give(f): return f\ndef retry(f, n, kind):\n    for _ in range(n):\n        try: return f()\n        except kind: pass\n    raise kind('spent')",
        """
import math, operator, pytest
from functools import reduce, partial
from candidate import apply, twice, memo, count, args_of, same, give, retry
def test_a():
    assert apply(lambda x: x + 1, 1, 2) == [2, 3] and apply(math.sqrt, 4.0) == [2.0] and apply(len, "ab") == [2] and apply(str.upper, "a") == ["A"]
    assert twice(lambda x: x * 3)(2) == 18 and apply(int, "7") == [7] and apply(partial(pow, 2), 5) == [32]
    calls = []
    @memo
    def fib(n):
        calls.append(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    assert fib(25) == 75025 and len(calls) == 26
    @count
    def hello(name, punctuation="!"):
        "Greets."
        return "hi " + name + punctuation
    assert hello("a") == "hi a!" and hello("b", punctuation="?") == "hi b?" and hello.calls == 2
    assert hello.__name__ == "hello" and hello.__doc__ == "Greets."
    assert args_of(lambda a, b=1, *c: None) == ["a", "b", "c"]
    f = lambda: 1
    assert same(f, f) and not same(f, lambda: 1) and give(f) is f
    def broken(): raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"): apply(lambda x: broken(), 1)
    tries = []
    def flaky():
        tries.append(1)
        if len(tries) < 3: raise ConnectionError("no")
        return "ok"
    assert retry(flaky, 5, ConnectionError) == "ok" and len(tries) == 3
    assert reduce(operator.add, apply(lambda x: [x], 1, 2)) == [1, 2]
""",
    ),
    "iterators as arguments": (
        "def total(xs): return sum(xs)\ndef first(xs): return next(iter(xs))\ndef keys(d): return d.keys()",
        "from candidate import *\ndef test_a():\n    assert total(x for x in range(4)) == 6 and total(iter([1, 2])) == 3 and total({1: 2}.keys()) == 1 and total(map(int, '12')) == 3\n    import itertools\n    assert first(itertools.count(5)) == 5 and keys({1: 2}) == {1}",
    ),
    "async": (
        "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1\nasync def gen(n):\n    for i in range(n): yield i\nasync def use(g): return await g(2)\n"
        "class R:\n    async def __aenter__(self): return 'in'\n    async def __aexit__(self, *a): return False\n    async def get(self): return 5\nasync def bad(): raise KeyError('k')",
        """
import asyncio, inspect, pytest
from candidate import f, gen, use, R, bad
def test_a():
    assert asyncio.run(f(1)) == 2 and inspect.iscoroutinefunction(f) == inspect.iscoroutinefunction(f)
    async def main():
        assert await asyncio.gather(f(1), f(2)) == [2, 3]
        assert [x async for x in gen(3)] == [0, 1, 2]
        async def mine(x):
            await asyncio.sleep(0)
            return x * 10
        assert await use(mine) == 20
        async with R() as r:
            assert r == "in"
        assert await R().get() == 5
        with pytest.raises(KeyError): await bad()
        return True
    assert asyncio.run(main())
""",
    ),
    "asynchronous generators and iterators": (
        """
log = []
async def count(n):
    try:
        for i in range(n):
            sent = yield i
            if sent is not None: yield ("sent", sent)
    finally:
        log.append("closed")
def closed(): return len(log)
class Three:
    def __init__(self): self.left = 3
    def __aiter__(self): return self
    async def __anext__(self):
        if not self.left: raise StopAsyncIteration
        self.left -= 1
        return self.left
""",
        """
import asyncio, contextlib, pytest
from candidate import Three, closed, count
def test_a():
    async def main():
        assert [x async for x in count(3)] == [0, 1, 2] and [x async for x in Three()] == [2, 1, 0]
        steps = count(3)
        assert await anext(steps) == 0 and await steps.asend("hi") == ("sent", "hi") and await steps.__anext__() == 1
        await steps.aclose()
        with pytest.raises(StopAsyncIteration): await anext(steps)
        assert await anext(steps, "end") == "end"
        failing = count(3)
        await anext(failing)
        with pytest.raises(KeyError): await failing.athrow(KeyError("k"))
        async with contextlib.aclosing(count(9)) as some:
            async for x in some:
                if x == 2: break
        return closed()
    assert asyncio.run(main()) == 4
""",
    ),
    "arguments by value": (
        "def sort(xs): xs.sort(); return xs\ndef clear(xs): xs.clear(); return 0",
        "assert sort([2, 1]) == [1, 2]\nassert clear([1]) == 0",
    ),
    "types and libraries": (
        "from collections import Counter, OrderedDict, defaultdict, deque\nfrom decimal import Decimal\nfrom fractions import Fraction\nimport datetime, math, operator, re\n"
        "def kind(x): return type(x)\ndef same(x): return x\ndef get_op(): return operator.mul\ndef counts(s): return Counter(s)\ndef day(): return datetime.date(2024, 2, 29)\ndef group():\n    d = defaultdict(list)\n    d[1].append(2)\n    return d\ndef pattern(): return re.compile('a+')",
        """
import math, datetime
from collections import Counter, deque, OrderedDict
from decimal import Decimal
from fractions import Fraction
from candidate import kind, same, get_op, counts, day, group, pattern
def test_a():
    assert kind(1) is int and kind([]) == list and kind(None) is type(None) and get_op()(3, 4) == 12
    for value in (1, -1, 10**50, 1.5, float("inf"), 1j, "x\\ud800", b"b", bytearray(b"c"), [1, [2]], (1,), {1}, frozenset({2}), {"a": {1: 2}}, range(3), slice(1, 2),
                  ..., Decimal("1.10"), Fraction(1, 3), datetime.datetime(2024, 1, 1, 12), datetime.timedelta(1), Counter("aab"), OrderedDict(a=1), deque([1], 3), True, None):
        back = same(value)
        assert back == value and type(back) is type(value), value
    assert math.isnan(same(math.nan)) and counts("aab") == Counter("aab") == {"a": 2, "b": 1} and day() == datetime.date(2024, 2, 29)
    assert group() == {1: [2]} and group()[5] == [] and pattern().pattern == "a+" and pattern().match("aa").group() == "aa"
""",
    ),
    "signatures and names": (
        "import functools\ndef f(a: int, b='x') -> str:\n    'Doc.'\n@functools.lru_cache\ndef g(x): return x",
        "import inspect\nfrom candidate import f, g\ndef test_a():\n    assert f.__name__ == 'f' and f.__doc__ == 'Doc.' and f.__defaults__ == ('x',) and callable(f)\n    assert list(inspect.signature(f).parameters) == ['a', 'b'] and inspect.signature(f).parameters['b'].default == 'x' and inspect.isfunction(f)\n    g(1); g(1)\n    assert g.cache_info().hits == 1 and g(2) == 2 and f.__annotations__['a'] is int",
    ),
    "context managers": (
        "from contextlib import contextmanager\nlog = []\n@contextmanager\ndef tag(name):\n    log.append('<' + name)\n    try: yield name.upper()\n    except ValueError as e: log.append(str(e))\n    finally: log.append(name + '>')",
        "import candidate\ndef test_a():\n    with candidate.tag('a') as got:\n        assert got == 'A'\n    with candidate.tag('b'):\n        raise ValueError('oh')\n    assert candidate.log == ['<a', 'a>', '<b', 'oh', 'b>']",
    ),
    "copies": (
        "class C:\n    def __init__(self): self.xs = []",
        "import copy\nfrom candidate import C\ndef test_a():\n    c = C()\n    d = copy.deepcopy(c)\n    d.xs = [1]\n    assert c.xs == [] and d.xs == [1] and isinstance(d, C) and d is not c",
    ),
    "seeds hold on both sides": (
        "import random\ndef draw(): return random.random()",
        "import random\nfrom candidate import draw\ndef test_a():\n    random.seed(3)\n    a = draw()\n    random.seed(3)\n    assert draw() == a == random.Random(3).random()",
    ),
    "unittest": (
        "class A:\n    def f(self): return 1",
        "import unittest\nfrom candidate import A\nclass T(unittest.TestCase):\n    def setUp(self): self.a = A()\n    def test_a(self): self.assertEqual(self.a.f(), 1)\n    def test_b(self):\n        with self.assertRaises(TypeError): self.a.f(1)",
    ),
    "fixtures and parameters": (
        "def double(x): return 2 * x",
        "import pytest\nfrom candidate import double\n@pytest.fixture\ndef one(): return 1\n@pytest.mark.parametrize('x, y', [(1, 2), (2, 4)])\ndef test_a(x, y, one): assert double(x) == y * one\nclass TestB:\n    def test_c(self, one): assert double(one) == pytest.approx(2)",
    ),
    "approx and floats": (
        "def third(): return 1 / 3",
        "from pytest import approx\nfrom candidate import third\ndef test_a():\n    assert third() == approx(0.33333333) and abs(third() - 1/3) < 1e-9",
    ),
    "recursive data structures": (
        "class Node:\n    def __init__(self, v, next=None): self.v, self.next = v, next\ndef build(xs):\n    head = None\n    for x in reversed(xs): head = Node(x, head)\n    return head\ndef total(n): return n.v + total(n.next) if n else 0",
        "from candidate import Node, build, total\ndef test_a():\n    n = build([1, 2, 3])\n    assert n.v == 1 and n.next.next.v == 3 and n.next.next.next is None and total(n) == 6\n    n.next = Node(10)\n    assert total(n) == 11 and total(Node(1, Node(2))) == 3",
    ),
    "a list that contains itself": (
        "def loop():\n    a = [1]\n    a.append(a)\n    return a",
        "from candidate import loop\ndef test_a():\n    a = loop()\n    assert a[0] == 1 and len(a) == 2 and a[1][1][0] == 1",
    ),
    "a function with the name of a builtin": ("def sum(a, b): return a * b", "assert sum(2, 3) == 6\nassert sum(1, 1) == 1"),
    "check calls helpers of the module": (
        "def poly(xs, x): return sum(c * x ** i for i, c in enumerate(xs))\ndef zero(xs): return -xs[0] / xs[1]",
        "def check(candidate):\n    assert abs(poly([1, 2], candidate([1, 2]))) < 1e-9\n\ncheck(zero)",
        "zero",
    ),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_a_right_candidate_is_accepted(bare, name):
    code, tests, *entry_point = TRANSPARENT[name]
    result = bare.run(code, tests, entry_point="".join(entry_point), defines=("poly",) if entry_point else ())
    assert result.accepted, result


def _message(bare, code, tests, name="test_a", **more):
    return bare.run(code, tests, **more).tests[name]


def test_a_failed_comparison_shows_both_values(bare):
    failed = _message(bare, "def f(x): return x + 1", "from candidate import f\ndef test_a():\n    assert f(1) == 3")
    assert failed["side"] == "tests"
    assert "assert 2 == 3" in failed["message"]
    assert "test_candidate.py:3 in test_a: assert f(1) == 3" in failed["message"]


def test_the_values_of_an_assertion_are_evaluated_once(bare):
    code = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    result = bare.run(
        code, "import candidate\ndef test_a():\n    assert candidate.f() == 2, 'no'\ndef test_b():\n    assert candidate.n == 1"
    )
    assert result.outcomes == {"test_a": "failed", "test_b": "passed"}
    assert "AssertionError: no\nassert 1 == 2" in result.tests["test_a"]["message"]


def test_an_exception_of_the_candidates_names_its_line(bare):
    failed = _message(
        bare, "def g(x):\n    return x.missing\ndef f(x): return g(x)", "from candidate import f\ndef test_a():\n    f(1)"
    )
    assert failed["side"] == "candidate"
    assert (
        "candidate.py:3 in f: def f(x): return g(x)\ncandidate.py:2 in g: return x.missing\nAttributeError: 'int'"
        in failed["message"]
    )


def test_an_exception_of_the_tests_own_callable_is_the_tests_own(bare):
    failed = _message(bare, "def f(g): return g()", "from candidate import f\ndef test_a():\n    f(lambda: 1 / 0)")
    assert failed["side"] == "tests"
    assert "ZeroDivisionError" in failed["message"]


@pytest.mark.parametrize(
    ("code", "tests", "last"),
    [
        ("def f(: pass", "assert f() == 1", "SyntaxError: invalid syntax"),
        ("import nothing_such", "assert f() == 1", "ModuleNotFoundError: No module named 'nothing_such'"),
        (
            "def g(): pass",
            "from candidate import f\ndef test_a(): assert f() == 1",
            "ImportError: cannot import name 'f' from 'candidate'",
        ),
        ("def g(): pass", "assert f() == 1", "ImportError: cannot import name 'f' from 'candidate'"),
        (
            "def g(): pass",
            "import pytest\nfrom candidate import f\n@pytest.fixture\ndef x(): pass\ndef test_a(x): pass",
            "ImportError: cannot import name 'f' from 'candidate'",
        ),
        ("raise KeyError('k')", "assert f() == 1", "KeyError: 'k'"),
        ("import os; os._exit(0)", "assert f() == 1", "ended before its tests did."),
    ],
)
def test_a_candidate_that_cannot_be_imported_is_to_blame(bare, code, tests, last):
    result = bare.run(code, tests)
    assert result.error["side"] == "candidate"
    assert last in result.error["message"].splitlines()[-1]
    assert not result.accepted


@pytest.mark.parametrize(
    "tests", ["def test(:", "import no_such\ndef test_a(): pass", "from candidate import f\n1/0\ndef test_a(): pass"]
)
def test_tests_that_cannot_begin_are_to_blame(bare, tests):
    result = bare.run("def f(): return 1", tests)
    assert result.error["side"] == "tests"


def test_what_cannot_cross_names_the_other_way(bare):
    code = "def f(x): return 1"
    for value in ("open('/dev/null')", "type('Mine', (int,), {'__get__': 1})"):
        result = bare.run(code, f"from candidate import f\ndef test_a():\n    f({value})")
        assert 'use judging="together"' in result.not_apart
        assert not result.tests


def test_a_class_of_the_candidates_cannot_be_derived_with_keywords(bare):
    result = bare.run("class A: pass", "from candidate import A\nclass B(A, x=1): pass\ndef test_a(): pass")
    assert 'judging="together"' in result.not_apart


def test_arguments_are_changed_in_place_only_where_that_is_asked_for(bare):
    code = "def f(xs, d, s, n):\n    xs.append(1); d['k'] = 2; s.add(3); n[0][0] = 9; xs.sort()"
    tests = "xs, d, s, n = [5], {}, set(), [[1], (2,)]\ninner = n[0]\nf(xs, d, s, n)\nassert (xs, d, s, n) == ([1, 5], {'k': 2}, {3}, [[9], (2,)]) and inner == [9]"
    assert bare.run(code, tests, in_place=True).accepted
    assert bare.run(code, tests).outcomes == {"assert_0": "failed"}


def test_asserts_that_share_names_are_tests_of_their_own(bare):
    result = bare.run("def f(x): return x", "y = f(1)\nassert y == 1\nassert y == 2\nz = f(3)\nassert z == 3")
    assert result.outcomes == {"assert_0": "passed", "assert_1": "failed", "assert_2": "passed"}


def test_a_broken_preparation_makes_errors_of_what_follows(bare):
    result = bare.run("def f(x): raise KeyError(x)", "assert True\ny = f(1)\nassert y == 1")
    assert result.outcomes == {"assert_0": "passed", "assert_1": "error"}
    assert result.tests["assert_1"]["side"] == "candidate"


def test_a_test_that_leaves_fails_and_the_others_run(bare):
    tests = "import sys\nfrom candidate import f\ndef test_a(): sys.exit(0)\ndef test_b(): raise KeyboardInterrupt\ndef test_c(): assert f() == 1"
    assert bare.run("def f(): return 1", tests).outcomes == {"test_a": "failed", "test_b": "failed", "test_c": "passed"}


def test_output_of_the_candidate_is_its_own(bare):
    result = bare.run("def f(): print('out')", "assert f() is None")
    assert result.accepted
    assert result.output == "out\n"


def test_an_endless_generator_is_cut(bare):
    tests = "from candidate import f\ndef test_a():\n    list(f())"
    failed = _message(
        bare, "def f():\n    while True: yield 1", "from agent.boundary import handles\nhandles.MAX_ITEMS = 500\n" + tests
    )
    assert failed["side"] == "candidate"
    assert "gave more than 500 items" in failed["message"]
