"""What the tests have of their own and pass: objects, classes, callables, exceptions. The candidate uses them, and no more."""

from __future__ import annotations

import pytest
from apart_harness import Apart

NODE = """
class Node:
    def __init__(self, value, following=None):
        self.value, self.following = value, following
    def double(self):
        return 2 * self.value
"""
BOX = """
class Box:
    def __init__(self, *items): self.items = items
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, place): return self.items[place]
    def __eq__(self, other): return isinstance(other, Box) and other.items == self.items
    def __hash__(self): return hash(self.items)
"""


HONEST = {
    "an object is walked and comes back": (
        "def last(n):\n    while n.following: n = n.following\n    return n",
        f"from candidate import last\n{NODE}\ndef test_a():\n    end = Node(2)\n    assert last(Node(1, end)) is end",
    ),
    "attributes are set": (
        "def turn(n):\n    before = None\n    while n: n.following, before, n = before, n, n.following\n    return before",
        f"from candidate import turn\n{NODE}\ndef test_a():\n    b = Node(2); a = Node(1, b)\n    assert turn(a) is b and b.following is a",
    ),
    "methods are called, and more are made": (
        "def twice(n): return type(n)(n.double())",
        f"from candidate import twice\n{NODE}\ndef test_a():\n    made = twice(Node(3))\n    assert type(made) is Node and made.value == 6",
    ),
    "classes are known": (
        "def about(n, kind): return isinstance(n, kind), type(n).__name__, hasattr(n, 'nothing'), vars(n)['value']",
        f"from candidate import about\n{NODE}\ndef test_a(): assert about(Node(1), Node) == (True, 'Node', False, 1)",
    ),
    "protocols are followed": (
        "def use(b): return len(b), list(b), b[0], b == type(b)(*b), {b: 1}[b], bool(b), callable(b)",
        f"from candidate import use\n{BOX}\ndef test_a(): assert use(Box(1, 2)) == (2, [1, 2], 1, True, 1, True, False)",
    ),
    "objects are keys on arrival": (
        "def f(d): return [d[key] for key in d]",
        f"from candidate import f\n{BOX}\ndef test_a(): assert f({{Box(1): 2}}) == [2]",
    ),
    "a collaborator raises": (
        "def f(c):\n    try: c.send('x')\n    except ConnectionError: return 'lost'",
        "from candidate import f\nclass Client:\n    def send(self, text): raise ConnectionError\ndef test_a(): assert f(Client()) == 'lost'",
    ),
    "a property of the candidate's in a class of the tests'": (
        "class cached:\n    def __init__(self, get): self.get = get\n    def __set_name__(self, owner, name): self.name = name\n"
        "    def __get__(self, own, kind=None):\n        if own is None: return self\n"
        "        value = own.__dict__[self.name] = self.get(own)\n        return value",
        "from candidate import cached\nclass A:\n    made = 0\n    @cached\n    def x(self):\n        self.made += 1\n        return 7\n"
        "def test_a():\n    a = A()\n    assert a.x == 7 and a.x == 7\n    assert a.made == 1",
    ),
    "a function without parameters": (
        "import inspect\ndef f(g): return g(*[1, 2][: len(inspect.signature(g).parameters)])",
        "from candidate import f\ndef test_a(): assert f(lambda: 3) == 3",
    ),
    "what a function says of itself": (
        "import functools\ndef f(g):\n    @functools.wraps(g)\n    def h(*a): return g(*a)\n    return h",
        "from candidate import f\ndef mine(): 'Doc.'\ndef test_a():\n    made = f(mine)\n    assert made.__wrapped__ is mine\n"
        "    assert (made.__module__, made.__qualname__, made.__doc__) == (__name__, 'mine', 'Doc.')",
    ),
    "a partial function": (
        "import functools\ndef f(g): return isinstance(g, functools.partial), g.args, g(2)",
        "import functools\nfrom candidate import f\ndef test_a(): assert f(functools.partial(lambda a, b: a - b, 5)) == (True, (5,), 3)",
    ),
    "an object's own documentation": (
        "class Wrap:\n    def __init__(self, g): self.__doc__ = g.__doc__",
        "from candidate import Wrap\ndef mine(): 'Doc.'\ndef test_a(): assert Wrap(mine).__doc__ == 'Doc.'",
    ),
    "an exception that the candidate says more of": (
        "class Wrong(Exception):\n    where = ()\n    def __str__(self): return self.args[0] + str(list(self.where))\n"
        "def f(check, at):\n    try: check(1)\n    except Wrong as e:\n        e.where = [at]\n        raise",
        "import pytest\nfrom candidate import f, Wrong\ndef check(x): raise Wrong('odd')\ndef test_a():\n"
        "    with pytest.raises(Wrong) as caught: f(check, 3)\n    assert caught.value.where == [3] and str(caught.value) == 'odd[3]'",
    ),
    "the cause of an exception": (
        "def f(g):\n    try: g()\n    except ValueError as e: return type(e.__cause__).__name__",
        "from candidate import f\ndef g(): raise ValueError from KeyError(1)\ndef test_a(): assert f(g) == 'KeyError'",
    ),
    "a function as an operand": (
        "class Pipe:\n    def __init__(self, *fs): self.fs = fs\n    def __or__(self, f): return Pipe(*self.fs, f)\n"
        "    def run(self, x):\n        for f in self.fs: x = f(x)\n        return x\ndef pipe(): return Pipe()",
        "from candidate import pipe\ndef test_a(): assert (pipe() | (lambda x: x + 1) | (lambda x: 2 * x)).run(3) == 8",
    ),
    "a mapping of their own": (
        "def f(m):\n    made = {}\n    made.update(m)\n    return made",
        "from collections.abc import Mapping\nfrom candidate import f\nclass M(Mapping):\n    def __getitem__(self, key): return {1: 2}[key]\n"
        "    def __iter__(self): return iter([1])\n    def __len__(self): return 1\ndef test_a(): assert f(M()) == {1: 2}",
    ),
    "objects of their own in a container": (
        "class Bag:\n    def __init__(self, items): self.items = list(items)\n    def __iter__(self): return iter(self.items)\n"
        "    def __eq__(self, other): return self.items == list(other)",
        f"from candidate import Bag\n{NODE}\ndef test_a():\n    a = Node(1)\n    assert Bag([a]) == [a]\n    assert Bag([a]) != [Node(1)]",
    ),
    "an object that takes the operand's part": (
        "class V:\n    def __or__(self, other): return NotImplemented",
        "from candidate import V\nclass Own:\n    def __ror__(self, other): return 5\ndef test_a(): assert (V() | Own()) == 5",
    ),
    "a function is pickled": (
        "class P:\n    def __init__(self, f): self.f = f",
        "import pickle\nfrom candidate import P\ndef mine(x): return x + 1\ndef test_a():\n"
        "    made = pickle.loads(pickle.dumps(P(mine)))\n    assert made.f is mine and made.f(1) == 2",
    ),
    "an object is pickled": (
        "class P:\n    def __init__(self, x): self.x = x",
        "import pickle\nfrom candidate import P\ndef test_a(): assert pickle.loads(pickle.dumps([P(3)]))[0].x == 3",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_use_of_what_the_tests_pass_is_accepted(bare: Apart, name: str) -> None:
    code, tests = HONEST[name]
    for in_place in (False, True):
        assert bare.run(code, tests, in_place=in_place).accepted, bare.run(code, tests, in_place=in_place)


HOSTILE = {
    "a container that equals a list of the tests' own objects": (
        "class Any:\n    def __eq__(self, other): return True\n    def __iter__(self): return iter([])\ndef f(n): return Any()",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    assert f(n) == [n]",
    ),
    "a method is replaced": (
        "def f(n): n.double = lambda: 7",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    f(n)\n    assert n.double() == 7",
    ),
    "a class is changed": (
        "def f(n): type(n).double = lambda own: 7",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    f(n)\n    assert n.double() == 7",
    ),
    "the class of an object": (
        "def f(n): n.__class__ = object",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    f(n)\n    assert not isinstance(n, Node)",
    ),
    "a subclass": (
        "def f(n):\n    class Sub(type(n)):\n        pass\n    return 1",
        f"{NODE}\ndef test_a(): assert f(Node(1)) == 1",
    ),
    "globals of the tests": (
        "def f(n): return n.__init__.__globals__['SECRET']",
        f"SECRET = 3\n{NODE}\ndef test_a(): assert f(Node(1)) == 3",
    ),
    "globals through a class": (
        "def f(n): return type(n).__init__.__globals__['SECRET']",
        f"SECRET = 3\n{NODE}\ndef test_a(): assert f(Node(1)) == 3",
    ),
    "globals through a method": (
        "def f(n): return n.double.__func__.__globals__['SECRET']",
        f"SECRET = 3\n{NODE}\ndef test_a(): assert f(Node(1)) == 3",
    ),
    "an attribute that equals everything": (
        "class Any:\n    def __eq__(self, other): return True\ndef f(n): n.value = Any()",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    f(n)\n    assert n.value == 5",
    ),
    "an object that equals one of the tests'": (
        "class Any:\n    def __eq__(self, other): return True\ndef f(n): return Any()",
        f"{NODE}\ndef test_a(): assert f(Node(1)) == Node(1)",
    ),
    "a container whose items equal everything": (
        "class Any:\n    def __eq__(self, other): return True\ndef f(n): return [Any()]",
        f"{NODE}\ndef test_a():\n    n = Node(1)\n    assert n in f(n)",
    ),
    "a failure in a method is swallowed": (
        "def f(n):\n    try: n.check(1)\n    except BaseException: pass",
        "class N:\n    def check(self, x): assert x == 2\ndef test_a(): f(N())",
    ),
    "a descriptor that skips what it wraps": (
        "class f:\n    def __init__(self, get): pass\n    def __get__(self, own, kind=None): return Any()\n"
        "class Any:\n    def __eq__(self, other): return True",
        "class A:\n    @f\n    def x(self): return 7\ndef test_a(): assert A().x == 7",
    ),
    "what was pickled is another": (
        "class f:\n    def __reduce__(self): return Any, ()\nclass Any:\n    def __eq__(self, other): return True",
        "import pickle\ndef test_a(): assert pickle.loads(pickle.dumps(f())) == 3",
    ),
    "what is unpickled runs nowhere but with its candidate": (
        "class f:\n    def __reduce__(self): return exec, ('import sys; sys.modules[\"test_candidate\"].DONE = True',)",
        "import pickle\nDONE = False\ndef test_a():\n    pickle.loads(pickle.dumps(f()))\n    assert DONE",
    ),
    "what lies behind a function is not the test": (
        "def f(test):\n    def other(): pass\n    other.__wrapped__ = lambda: None\n    return other",
        "@f\ndef test_a(): assert False",
    ),
}


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        (
            "class Any:\n    def __contains__(self, other): return True\ndef f(n): return Any()",
            f"{NODE}\ndef test_a():\n    n = Node(1)\n    assert n in f(n)",
        ),
        (
            "class Any:\n    def __or__(self, other): return True\ndef f(): return Any()",
            "def test_a(): assert (f() | (lambda x: x)) is True",
        ),
    ],
)
def test_what_an_object_says_of_what_the_tests_pass_is_its_word(bare: Apart, code: str, tests: str) -> None:
    result = bare.run(code, f"from candidate import f\n{tests}")
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_use_of_what_the_tests_pass_is_refused(bare: Apart, name: str) -> None:
    code, tests = HOSTILE[name]
    for in_place in (False, True):
        result = bare.run(code, f"from candidate import f\n{tests}", in_place=in_place)
        assert not result.accepted, result
        assert not result.not_apart, result


def test_classes_of_tests_are_not_passed(bare: Apart) -> None:
    tests = "from candidate import f\nclass TestA:\n    def test_a(self): f(self)\n    def test_b(self): assert False"
    assert bare.run("def f(t): type(t).test_b = lambda own: None", tests).not_apart


def test_a_wrong_candidate_fails_with_objects_as_with_data(bare: Apart) -> None:
    code, tests = HONEST["an object is walked and comes back"]
    assert bare.run("def last(n): return n", tests).outcomes == {"test_a": "failed"}, code
