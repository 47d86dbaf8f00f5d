"""Wrong candidates that try to be accepted, or to reach the tests' process, through the boundary. None may pass."""

from __future__ import annotations

import textwrap

import pytest

TESTS = """
import math, pytest
from candidate import f
def test_equal():
    assert f(2) == 4
    assert f(3) == 9
def test_close():
    assert abs(f(2) - 4) < 1e-6
    assert abs(f(5) - 25) < 1e-6
def test_isclose():
    assert math.isclose(f(2), 4) and math.isclose(f(7), 49)
def test_in():
    assert f(2) in (4, 5) and f(11) in [121]
def test_approx():
    assert f(4) == pytest.approx(16)
def test_type():
    assert type(f(2)) is int and isinstance(f(2), int)
"""
LIAR = """
class Liar{base}:
    def __eq__(self, o): return True
    def __ne__(self, o): return False
    def __hash__(self): return 4
    def __lt__(self, o): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, o): return 0
    __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = __sub__
    def __abs__(self): return self
    def __contains__(self, o): return True
    def __bool__(self): return True
    def __len__(self): return 2
    def __iter__(self): return iter(())
    def __float__(self): return 4.0
    def __int__(self): return 4
    def __index__(self): return 4
    def __getattr__(self, n): return lambda *a, **k: True
    def __instancecheck__(self, o): return True
    @property
    def __class__(self): return int
def f(x): return Liar({args})
"""
FIND = """
import os, socket, stat, struct
def sockets():
    for fd in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): yield fd
        except OSError: pass
def frame(payload, seq=1, kind=15, extras=0): return struct.pack('<IIBB', len(payload) + 6, seq, kind, extras) + payload
"""
SERVER = """
import gc
def server():
    return next(o for o in gc.get_objects() if type(o).__name__ == 'Server' and hasattr(o, '_ask_tests'))
"""
ASSERTS = "assert f(6) == 36\nassert abs(f(6) - 36) < 1"
SLOW = ("wide and shared", "many", "huge")
"""These cost seconds of the candidate's time at each call."""
PROGRAMS = {
    "wrong": "def f(x): return x",
    "lying object": LIAR.format(base="", args=""),
    **{
        f"lying {base}": LIAR.format(base=f"({base})", args=args)
        for base, args in [
            ("int", "5"),
            ("float", "5.0"),
            ("str", "'4'"),
            ("list", "[4]"),
            ("dict", ""),
            ("tuple", "(4,)"),
            ("set", ""),
            ("complex", "5"),
            ("bytes", "b'4'"),
            ("Exception", ""),
        ]
    },
    "lying class as the function": LIAR.format(base="", args="")
    .replace("class Liar:", "class f:\n    def __init__(self, *a): pass")
    .rsplit("def f(x)", 1)[0],
    "lying class with a capital": LIAR.format(base="", args="").replace("Liar", "Math"),
    "lying metaclass": "class M(type):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash(int)\n    def __instancecheck__(s, o): return True\n    def __sub__(s, o): return 0\nclass A(metaclass=M): pass\ndef f(x): return A",
    "lying enum": "import enum\nclass E(enum.IntEnum):\n    A = 5\n    def __eq__(s, o): return True\n    def __hash__(s): return 5\n    def __sub__(s, o): return 0\ndef f(x): return E.A",
    "lying decimal": "from decimal import Decimal\nclass D(Decimal):\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0\ndef f(x): return D(5)",
    "lying named tuple": "from collections import namedtuple\nclass P(namedtuple('P', 'x')):\n    def __eq__(s, o): return True\ndef f(x): return P(4)",
    "mock": "from unittest.mock import MagicMock\nm = MagicMock()\nm.__eq__ = lambda s, o: True\nm.__sub__ = lambda s, o: 0\ndef f(x): return m",
    "any": "from unittest.mock import ANY\ndef f(x): return ANY",
    "approx": "import pytest\ndef f(x): return pytest.approx(0, abs=1e9)",
    "nan": "def f(x): return float('nan')",
    "not implemented": "def f(x): return NotImplemented",
    "true": "def f(x): return True",
    "function": "def f(x): return lambda *a: True",
    "patched builtins": "import builtins, math\nbuiltins.abs = lambda x: 0\nbuiltins.isinstance = lambda *a: True\nmath.isclose = lambda *a, **k: True\nbuiltins.type = lambda x: int\ndef f(x): return 5",
    "patched json, struct, pickle": "import json, struct, pickle\njson.dumps = lambda *a, **k: 'passed'\nstruct.pack = lambda *a: b''\npickle.dumps = json.dumps\ndef f(x): return 5",
    "patched plain writer": SERVER
    + "def f(x):\n    w = __import__('sys').modules.get('plain')\n    if w: w._WRITE[int] = lambda writer, v: writer.out.extend(b'T')\n    return 5",
    "patched pytest": "import pytest, _pytest.runner\npytest.raises = None\n_pytest.runner.TestReport = None\ndef f(x): pytest.skip()",
    "skip": "import unittest\ndef f(x): raise unittest.SkipTest('x')",
    "pytest outcomes": "import pytest\ndef f(x): pytest.exit('all passed', 0)",
    "xfail": "import pytest\ndef f(x): pytest.xfail()",
    "sys.exit": "import sys\ndef f(x): sys.exit(0)",
    "SystemExit on import": "raise SystemExit(0)",
    "os._exit": "import os\ndef f(x): os._exit(0)",
    "os._exit on import": "import os\nos._exit(0)",
    "keyboard interrupt": "def f(x): raise KeyboardInterrupt",
    "generator exit": "def f(x): raise GeneratorExit",
    "stop iteration": "def f(x): raise StopIteration",
    "kill": "import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGKILL)",
    "exec": "import os\ndef f(x): os.execv('/bin/true', ['true'])",
    "close the socket": FIND + "def f(x):\n    for fd in sockets(): os.close(fd)",
    "shut the socket": FIND + "def f(x):\n    for fd in sockets(): socket.socket(fileno=fd).shutdown(2)",
    "garbage": FIND + "def f(x):\n    for fd in sockets(): os.write(fd, b'x' * 100)\n    return 4",
    "garbage on import": FIND + "for fd in sockets(): os.write(fd, b'x' * 100)\ndef f(x): return 4",
    "an answer before the question": FIND
    + "for s in sockets():\n    for n in range(9): os.write(s, frame(b'i' + struct.pack('<q', 4), n))\ndef f(x): return 5",
    "an answer and another": FIND + "def f(x):\n    for s in sockets(): os.write(s, frame(b'T', 2))\n    return 5",
    "unknown kind": FIND + "def f(x):\n    for s in sockets(): os.write(s, frame(b'T', 2, 99))\n    return 4",
    "a request from the candidate": FIND + "def f(x):\n    for s in sockets(): os.write(s, frame(b'N', 2, 0))\n    return 4",
    "a huge length": FIND + "def f(x):\n    for s in sockets(): os.write(s, b'\\xff' * 8)\n    return 4",
    "half a frame": FIND
    + "def f(x):\n    for s in sockets(): os.write(s, frame(b's' + struct.pack('<I', 50))[:-2])\n    os._exit(0)",
    "extras of no kind": FIND + "def f(x):\n    for s in sockets(): os.write(s, frame(b'NN', 2, 15, 1))\n    return 4",
    "a callable nobody passed": FIND
    + "def f(x):\n    for s in sockets(): os.write(s, frame(b't\\x03\\0\\0\\0' + b'i' + struct.pack('<q', 1) + b't\\0\\0\\0\\0d\\0\\0\\0\\0', 2, 16))\n    return 4",
    "asks for a callable nobody passed": SERVER + "def f(x): return server()._ask_tests(1, ('exit',), {})",
    "a module of the tests": "import os\ndef f(x): return os",
    "shared values where there are copies": SERVER
    + "def f(x):\n    import sys\n    s = server()\n    s._sharing = type(s).__init__.__globals__['sharing'].Shared(of_candidate=True)\n    return [5]",
    "a handle that is none": SERVER
    + "def f(x):\n    import sys\n    s = server()\n    w = type(s)._send.__globals__['AnswerWriter']\n    w.special = lambda self, v: self.out.extend(b'h' + b'i' + b'\\x07' * 8) or True\n    return object()",
    "deep": "def f(x):\n    a = 4\n    for _ in range(100000): a = [a]\n    return a",
    "huge": "def f(x): return 'x' * (1 << 27)",
    "many": "def f(x): return [0] * (1 << 24)",
    "cyclic": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "wide and shared": "def f(x):\n    a = [4]\n    for _ in range(60): a = [a, a]\n    return a",
    "threads that answer": SERVER
    + "import threading\ndef f(x):\n    s = server()\n    threading.Thread(target=lambda: [s._send(n, 'ok', None, 4) for n in range(1, 50)]).start()\n    return 5",
    "a thread that exits later": "import threading, os, time\nthreading.Timer(0.05, os._exit, (0,)).start()\ndef f(x):\n    time.sleep(0.2)\n    return 5",
    "forks and answers twice": "import os\ndef f(x):\n    os.fork()\n    return 4",
    "prints success": 'def f(x):\n    print(\'{"event": "finished", "exit_status": 0}\')\n    return 5',
    "writes to every descriptor": 'import os\nline = b\'{"event": "test", "name": "test_equal", "outcome": "passed"}\\n\'\nfor fd in range(3, 64):\n    try: os.write(fd, line)\n    except OSError: pass\ndef f(x): return 5',
    "reads the tests": "import glob, sys, gc\ndef f(x):\n    for p in glob.glob('/proc/self/task/*/../../cwd/*') + glob.glob('*.py'):\n        if 'assert f(2) == 4' in open(p).read(): return x * x\n    if any(type(o) is str and 'assert f(2) ==' in o and 'gc.get' not in o for o in gc.get_objects()): return x * x\n    return 5",
    "walks frames": "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for v in frame.f_locals.values():\n            if callable(v) and getattr(v, '__name__', '') == 'test_equal': return x * x\n        frame = frame.f_back\n    return 5",
    "replaces its module": "import sys, types\nm = types.ModuleType('candidate')\nm.f = lambda x: 5\nm.__all__ = ['f', 'abs', 'math']\nsys.modules['candidate'] = m\ndef f(x): return 5",
    "lazy module": "def __getattr__(name): return lambda *a, **k: 5",
    "no function": "f = 4",
    "lying exception": "class E(Exception):\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0\ndef f(x): raise E(4)",
    "an exception that cannot be told": "class E(Exception):\n    def __str__(s): raise E()\n    __repr__ = __str__\n    args = property(lambda s: 1/0)\ndef f(x): raise E(4)",
    "marked as the tests' own": "def f(x):\n    e = AssertionError('x')\n    e._fumehood = 'y'\n    raise e",
    "attributes on exceptions": "def f(x):\n    e = ValueError()\n    e.__dict__.update({'__class__': int, '__notes__': 3, '__traceback__': 4})\n    raise e",
    "a generator": "def f(x): yield 4",
    "a coroutine": "async def f(x): return 5",
}


def test_the_right_candidate_is_accepted(bare):
    assert bare.run("def f(x): return x * x", TESTS).accepted


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_wrong_candidate_is_accepted(bare, name):
    code = textwrap.dedent(PROGRAMS[name])
    for part in (
        TESTS,
        "from candidate import f\ndef test_a():\n    for x in range(3): assert f(x) == x * x",
        ASSERTS,
    ):
        if name in SLOW and part is not ASSERTS:
            continue
        result = bare.run(code, part, seconds=30)
        assert not result.accepted, result
        assert result.finished, result
        blamed = {test["side"] for test in result.tests.values() if test["outcome"] != "passed"} | {
            result.error["side"] if result.error else ""
        }
        assert blamed <= {"", "candidate", "tests"}


def test_no_single_test_is_passed_by_a_lying_object(bare):
    for name in (
        "lying object",
        "lying class as the function",
        "lying class with a capital",
        "lying metaclass",
        "mock",
        "any",
        "function",
    ):
        outcomes = bare.run(PROGRAMS[name], TESTS).outcomes
        passed = {test for test, outcome in outcomes.items() if outcome == "passed"}
        assert not passed, (name, passed)


TAMPERING = [
    "garbage",
    "garbage on import",
    "an answer before the question",
    "an answer and another",
    "unknown kind",
    "a request from the candidate",
    "a huge length",
    "extras of no kind",
    "a callable nobody passed",
    "asks for a callable nobody passed",
    "shared values where there are copies",
    "a handle that is none",
]


@pytest.mark.parametrize("name", TAMPERING)
def test_what_no_honest_side_sends_is_reported_as_tampering(bare, name):
    result = bare.run(textwrap.dedent(PROGRAMS[name]), TESTS)
    assert len(result.tampered) == 1, result
    assert result.tampered[0].startswith("The candidate sent ")


EARLY = ["sys.exit", "os._exit", "kill", "exec", "close the socket", "half a frame"]


@pytest.mark.parametrize("name", EARLY)
@pytest.mark.parametrize(
    "swallow",
    [
        "try: f(2)\n    except Exception: pass",
        "with pytest.raises(Exception): f(2)",
        "try: f(2)\n    except BaseException: pass",
    ],
)
def test_a_candidate_that_leaves_is_never_an_answer(bare, name, swallow):
    if name == "sys.exit" and "BaseException" in swallow:
        return  # the tests catch a real SystemExit there, as they would in one interpreter
    tests = f"import pytest\nfrom candidate import f\ndef test_a():\n    {swallow}\ndef test_b(): pass"
    result = bare.run(PROGRAMS[name], tests)
    assert result.outcomes["test_a"] == "failed", result
    assert result.tests["test_a"]["side"] == "candidate"
    fixture = tests.replace("def test_b()", "@pytest.fixture\ndef one(): pass\ndef test_b(one)")
    assert bare.run(PROGRAMS[name], fixture).outcomes["test_a"] == "failed"


def test_a_test_that_the_candidate_wraps_does_not_count(bare):
    code = "def fine(f): return lambda: None\nclass Case:\n    def __call__(self): pass\ndef skip(f):\n    f.pytestmark = []\n    return f"
    tests = "import pytest\nfrom candidate import fine\n@fine\ndef test_a(): assert False\n@pytest.fixture\ndef x(): pass\ndef test_b(x): pass"
    result = bare.run(code, tests)
    assert not result.accepted
    assert not bare.run(code, tests.split("@pytest")[0]).accepted
    assert not bare.run(code, tests.split("@pytest")[0].replace("import pytest", "")).accepted


def test_the_text_of_an_exception_is_text(bare):
    code = "def f(kind):\n    raise {'lone': ValueError('\\ud800'), 'long': ValueError('x' * 10**6), 'nul': ValueError('\\0\\x1b[2J\\n{}')}[kind]"
    tests = "from candidate import f\ndef test_a(): f('lone')\ndef test_b(): f('long')\ndef test_c(): f('nul')"
    result = bare.run(code, tests)
    assert set(result.outcomes.values()) == {"failed"}
    for test in result.tests.values():
        test["message"].encode()
        assert len(test["message"]) <= 5000


def test_an_endless_iterator_is_cut(bare):
    tests = "from agent.boundary import link\nlink.MAX_ITEMS = 300\nfrom candidate import f\ndef test_a(): list(f())"
    for code in (
        "import itertools\ndef f(): return itertools.count()",
        "class f:\n    def __iter__(self): return self\n    def __next__(self): return 1",
    ):
        failed = bare.run(code, tests).tests["test_a"]
        assert "gave more than 300 items" in failed["message"]
        assert failed["side"] == "candidate"


def test_an_interrupt_of_the_candidates_does_not_end_the_tests(bare):
    code = "class Stop(KeyboardInterrupt): pass\ndef f(): raise Stop\ndef g(): raise KeyboardInterrupt"
    tests = (
        "import pytest\nfrom candidate import f, g\n@pytest.mark.parametrize('x', [f, g])\ndef test_a(x): x()\ndef test_b(): pass"
    )
    assert sorted(bare.run(code, tests).outcomes.values()) == ["failed", "failed", "passed"]


def test_names_of_builtins_and_of_the_tests_are_not_taken_from_a_star(bare):
    code = "def f(x): return [1]\ndef set(x): return 0\ndef sorted(x): return 0\ndef math(): pass\nmath.floor = lambda x: 0\ndef helper(x): return 0"
    tests = "import math\nfrom candidate import *\ndef helper(x): return x\ndef test_a():\n    assert set(f(1)) == set([2])\ndef test_b():\n    assert sorted(f(1)) == sorted([2])\ndef test_c():\n    assert math.floor(1.5) == 1 and helper(2) == 2"
    assert bare.run(code, tests).outcomes == {"test_a": "failed", "test_b": "failed", "test_c": "passed"}
    asserts = "assert set(f(1)) == set([2])\nassert sorted(f(1)) == sorted([2])"
    assert set(bare.run(code, asserts).outcomes.values()) == {"failed"}


def test_what_the_tests_expect_is_told_to_an_object_among_many_values_or_not_at_all(bare):
    code = (
        "told = []\nclass Spy:\n    def __eq__(s, o): told.append(o); return False\n    def __lt__(s, o): told.append(o); return True\n"
        "    def __add__(s, o): told.append(o); return 0\n    def __contains__(s, o): told.append(o); return False\n"
        "    def startswith(s, o): told.append(o); return True\ndef f(): return Spy()"
    )
    among_many = "assert 3 in candidate.told and len(candidate.told) > 60"
    asked = {"f().startswith('abc')": "assert not candidate.told", "f() + 'abc' == 'd'": "assert candidate.told == ['abc']"}
    asked |= dict.fromkeys(("f() == 3", "f() < 3", "f() + 3 == 0", "3 in f()"), among_many)
    asked |= dict.fromkeys(("f() == 'abc'", "'abc' in f()"), among_many.replace("3", "'abc'"))
    for question, told in asked.items():
        tests = f"import candidate\nfrom candidate import f\ndef test_a(): assert {question}\ndef test_told(): {told}"
        assert bare.run(code, tests).outcomes == {"test_a": "failed", "test_told": "passed"}, question


CLEVER = {
    "an empty array where a number belongs": (
        "import numpy as np\ndef f(x): return np.array([])",
        "import pytest\nfrom candidate import f\ndef test_a(): assert f(2) == pytest.approx(4.0)",
    ),
    "an array that is empty at the second look": (
        "import numpy as np\nclass A:\n    n = 0\n    def __array__(s, *a, **k):\n        A.n += 1\n"
        "        return np.empty(0) if A.n > 1 else np.ones(1)\ndef f(x): return A()",
        "import numpy, pytest\nfrom candidate import f\ndef test_a(): assert f(2) == pytest.approx(4.0)",
    ),
    "empty arrays in a list": (
        "import numpy as np\ndef f(x): return [np.array([])] * 2",
        "import pytest\nfrom candidate import f\ndef test_a(): assert f(2) == pytest.approx([4.0, 5.0])",
    ),
    "a context manager that swallows assertions": (
        "class T:\n    def __enter__(s): return 5\n    def __exit__(s, *a): return True\ndef f(x): return T()",
        "from candidate import f\ndef test_a():\n    with f(1) as v:\n        assert v == 4",
    ),
    "an asynchronous one": (
        "class T:\n    async def __aenter__(s): return 5\n    async def __aexit__(s, *a): return True\ndef f(x): return T()",
        "import asyncio\nfrom candidate import f\ndef test_a():\n    async def go():\n        async with f(1) as v:\n"
        "            assert v == 4\n    asyncio.run(go())",
    ),
    "swallowing what a callback found": (
        "def f(xs, cb):\n    try: cb(99)\n    except BaseException: pass",
        "from candidate import f\ndef test_a():\n    def cb(v): assert v in (2, 4)\n    f([1, 2], cb)",
    ),
    "swallowing it under pytest": (
        "def f(xs, cb):\n    try: cb(99)\n    except BaseException: pass",
        "import pytest\nfrom candidate import f\n@pytest.mark.parametrize('x', [1])\ndef test_a(x):\n"
        "    def cb(v): assert v in (2, 4)\n    f([1, 2], cb)",
    ),
    "a name that another star gave": (
        "def f(x): return 0\ndef isclose(*a, **k): return True",
        "from math import *\nfrom candidate import *\ndef test_a(): assert isclose(f(2), 1.41421356)",
    ),
    "an object of a class that was named, where a number belongs": (
        "class Circle:\n    def __init__(s, r): pass\n    def area(s): return s\n    def __sub__(s, o): return 0.0",
        "from candidate import Circle\ndef test_a(): assert abs(Circle(1).area() - 3.14159) < 1e-3",
    ),
    "the same where it is ordered": (
        "class Acc:\n    def balance(s): return s\n    def __gt__(s, o): return True",
        "from candidate import Acc\ndef test_a(): assert Acc().balance() > 3",
    ),
    "a predicate in an instance": (
        "class A: pass\ndef f(x):\n    a = A()\n    a.startswith = lambda p: True\n    return a",
        "from candidate import f\ndef test_a(): assert f(2).startswith('abc')",
    ),
    "a predicate of a function": (
        "def g(): pass\ng.startswith = lambda p: True\ndef f(x): return g",
        "from candidate import f\ndef test_a(): assert f(2).startswith('abc')",
    ),
    "a predicate of a class": (
        "class A:\n    @staticmethod\n    def startswith(p): return True\ndef f(x): return A",
        "from candidate import f\ndef test_a(): assert f(2).startswith('abc')",
    ),
    "a class that contains everything": (
        "class M(type):\n    def __contains__(c, x): return True\nclass A(metaclass=M): pass\ndef f(x): return A",
        "from candidate import f\ndef test_a(): assert 4 in f(2)",
    ),
    "an exception that catches the tests' own": (
        "Err = Exception\ndef f(x): return x",
        "from candidate import f, Err\ndef test_a():\n    try:\n        f(-1)\n        assert False, 'no error'\n    except Err: pass",
    ),
}


@pytest.mark.parametrize("name", CLEVER)
def test_what_looks_right_by_its_own_account_is_not(bare, name):
    result = bare.run(*CLEVER[name])
    assert list(result.outcomes.values()) == ["failed"], result.events


def test_what_the_tests_found_is_not_told(bare):
    code = (
        "told = []\nclass T:\n    def __enter__(s): return 5\n    def __exit__(s, *a): told.append(repr(a))\n"
        "def f(cb):\n    try: cb(1)\n    except BaseException as exc: told.append(repr(exc))\n    return T()"
    )
    tests = (
        "import candidate\nfrom candidate import f\ndef cb(v): assert v == 'secret'\ndef test_a():\n    with f(cb) as v:\n"
        "        assert v == 'secret'\ndef test_told(): assert candidate.told and 'secret' not in str(candidate.told)"
    )
    assert bare.run(code, tests).outcomes == {"test_a": "failed", "test_told": "passed"}


HONEST = {
    "a context manager that swallows what it is for": (
        "from contextlib import suppress as quiet",
        "from candidate import quiet\ndef test_a():\n    with quiet(KeyError):\n        {}['a']",
    ),
    "a callback whose failure comes back": (
        "def f(cb): return cb()",
        "import pytest\nfrom candidate import f\ndef test_a():\n    def cb(): raise AssertionError('x')\n"
        "    with pytest.raises(AssertionError, match='x'): f(cb)",
    ),
    "a container made by name": (
        "class Tree:\n    def __init__(s, xs): s.xs = set(xs)\n    def __contains__(s, x): return x in s.xs\n"
        "    @classmethod\n    def of(c, *xs): return c(xs)",
        "from candidate import Tree\ndef test_a(): assert 3 in Tree([3]) and 3 in Tree.of(3) and 4 not in Tree([3])",
    ),
    "numbers of a class": (
        "class Money:\n    def __init__(s, n): s.n = n\n    def __gt__(s, o): return s.n > getattr(o, 'n', o)\n"
        "    def __add__(s, o): return Money(s.n + getattr(o, 'n', o))\n    def __float__(s): return float(s.n)",
        "from candidate import Money\ndef test_a(): assert Money(3) + 2 > 4 and Money(2) + Money(3) > Money(4) and float(Money(1)) == 1",
    ),
    "a star before the candidate's": (
        "def f(x): return x ** 0.5",
        "from math import *\nfrom candidate import *\ndef test_a(): assert isclose(f(2), sqrt(2))",
    ),
    "a function called as one of a library": (
        "def sqrt(x): return 'mine'",
        "from math import *\nfrom candidate import *\ndef test_a(): assert sqrt(4) == 'mine'",
    ),
    "whole arrays": (
        "import numpy as np\ndef f(x): return np.full(3, x)",
        "import pytest\nfrom candidate import f\ndef test_a(): assert f(2.0) == pytest.approx(2.0) and f(0.5)[0] == pytest.approx(0.5)",
    ),
    "a program that leaves": (
        "import sys\ndef main(): sys.exit(2)",
        "import pytest\nfrom candidate import main\ndef test_a():\n    with pytest.raises(SystemExit) as e: main()\n    assert e.value.code == 2",
    ),
    "an exception under a name of its own": (
        "Err = Exception\ndef f(x): raise Err('x')",
        "import candidate, pytest\nfrom candidate import f, Err\ndef test_a():\n    assert Err is candidate.Err\n"
        "    with pytest.raises(Err, match='x'): f(1)",
    ),
    "a child that is forked and leaves": (
        "import os, sys\ndef f(x):\n    pid = os.fork()\n    if pid == 0: sys.exit(0)\n    os.waitpid(pid, 0)\n    return x",
        "from candidate import f\ndef test_a(): assert f(2) == 2 and f(3) == 3",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_right_stays_right(bare, name):
    result = bare.run(*HONEST[name])
    assert list(result.outcomes.values()) == ["passed"], result.events


def test_a_candidate_that_leaves_while_the_tests_are_imported_is_blamed(bare):
    code = "def f(x): raise SystemExit(0)"
    tests = "import pytest\nfrom candidate import f\nVALUE = f(2)\nclass TestA:\n    def test_a(self): assert VALUE == 4"
    error = bare.run(code, tests).error
    assert error is not None
    assert error["side"] == "candidate"


def test_a_library_that_leaves_when_all_of_it_is_imported_is_the_tests_own_error(bare):
    tests = "from lib2to3.__main__ import *\nfrom candidate import f\ndef test_a(): assert f(2) == 2"
    result = bare.run("def f(x): return x", tests)
    assert result.error is not None
    assert (result.error["side"], result.finished) == ("tests", True)
