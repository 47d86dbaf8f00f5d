"""What tests do to a candidate as in one interpreter, judged apart: patches, mocks, derived classes, warnings, copies, errors.

Beside each honest pair stands a program that would use the way that was opened for it.
"""

from __future__ import annotations

import pytest

MOCK = "from unittest.mock import MagicMock, Mock, call, mock_open, patch\nimport pytest\nimport candidate\nfrom candidate import *\n"
CLIENT = MOCK + "def test_a():\n    c = MagicMock()\n    f(c)\n    c.get.assert_called_once_with(5)\n"
BAG = """
class Bag:
    kind = 'bag'
    def __init__(self, size=3): self.size = size; self.items = {}
    def __getitem__(self, k): return self.items[k] if k in self.items else self.__missing__(k)
    def __missing__(self, k): raise KeyError(k)
    def __setitem__(self, k, v): self.items[k] = v; self.changed(k)
    def __len__(self): return len(self.items)
    def changed(self, k): pass
    def label(self): return self.kind + self.name()
    def name(self): return 'x'
    def copy(self): return type(self)(self.size)
    def __eq__(self, other): return self.items == other.items
    __hash__ = None
"""
MINE = """
from candidate import Bag
class Mine(Bag):
    kind = 'mine'
    def __init__(self, size):
        super().__init__(size)
        self.log = []
    def __missing__(self, key):
        self[key] = value = key * 2
        return value
    def changed(self, k): self.log = self.log + [k]
    def name(self): return '!' + super().name()
    @property
    def double(self): return self.size * 2
    @classmethod
    def make(cls): return cls(9)
    @staticmethod
    def one(): return 1
"""
WARNS = """
import warnings
class Odd(UserWarning): pass
def f(x):
    warnings.warn('old ' + str(x), DeprecationWarning, stacklevel=2)
    warnings.warn(Odd('odd'))
    return x
def g(x):
    with warnings.catch_warnings(record=True) as seen: f(x)
    return len(seen)
"""
WRAPS = """
import functools
def deco(f):
    @functools.wraps(f)
    def w(*a): return f(*a)
    w.stats = {'n': 0}
    return w
"""
OUTER = """
import functools
from candidate import deco
def outer(f):
    @functools.wraps(f)
    def w(*a): return f(*a)
    return w
"""
COPIES = (
    "import copy, pickle\nfrom candidate import Bag\ndef same(b): assert pickle.loads(pickle.dumps(b)) == b == copy.deepcopy(b)\n"
)
HTML = "class M(str):\n    def __add__(self, o): return type(self)(str.__add__(self, o))\n    def __html__(self): return self\n"

RIGHT = {
    "a patch of a library": (
        "import os\ndef f(p): return os.path.exists(p)",
        MOCK
        + "@patch('os.path.exists', return_value=True)\ndef test_a(m):\n    assert f('/none')\n    m.assert_called_once_with('/none')\n"
        "def test_b(): assert not f('/none')",
    ),
    "a patched open": (
        "def f(p):\n    with open(p, 'w') as h: h.write('abc')\n    return [line for line in open(p)]",
        MOCK + "def test_a():\n    with patch('builtins.open', mock_open(read_data='1\\n2\\n')) as m:\n"
        "        assert f('x') == ['1\\n', '2\\n']\n        m().write.assert_called_once_with('abc')",
    ),
    "a patch of the candidate's": (
        "import time\ndef helper(x): return x\ndef f(x): return helper(x) + 1\nclass C:\n    def send(self, x): raise ValueError\n"
        "    def go(self): return self.send(4)\ndef wait(): time.sleep(3)",
        MOCK + "def test_a():\n    with patch('candidate.helper', return_value=10) as h: assert f(3) == 11\n"
        "    h.assert_called_once_with(3)\n    assert f(3) == 4\n"
        "@patch.object(candidate.C, 'send', return_value=7)\ndef test_b(send):\n    assert candidate.C().go() == 7\n"
        "@patch('candidate.helper', side_effect=ValueError('x'))\ndef test_c(h):\n    with pytest.raises(ValueError): f(1)\n"
        "@patch('candidate.time.sleep')\ndef test_d(sleep):\n    candidate.wait()\n    assert sleep.mock_calls == [call(3)]",
    ),
    "mocks that are passed": (
        "def f(client):\n    r = client.get('u', timeout=3)\n    r.close()\n    client.last = r\n    return r.status",
        MOCK + "def test_a():\n    c = Mock()\n    c.get.return_value.status = 200\n    assert f(c) == 200\n"
        "    c.get.assert_called_once_with('u', timeout=3)\n    c.get.return_value.close.assert_called_once()\n"
        "    assert c.last is c.get.return_value",
    ),
    "a class derived from the candidate's": (
        BAG,
        MINE + "def test_a():\n    m = Mine(4)\n    assert (m.size, m.double, m['a'], len(m), m.log) == (4, 8, 'aa', 1, ['a'])\n"
        "    assert m.label() == 'mine!x' and isinstance(m.copy(), Mine) and type(m) is Mine\n"
        "    assert Mine.make().size == 9 and Mine.one() == 1 and issubclass(Mine, Bag)\n"
        "def test_b():\n    class Local(Mine):\n        def name(self): return super().name() + '?'\n"
        "    assert Local(3).label() == 'mine!x?'",
    ),
    "an abstract class": (
        "import abc\nclass Shape(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\n    def twice(self): return 2 * self.area()",
        "import pytest\nfrom candidate import Shape\nclass Square(Shape):\n    def area(self): return 9\nclass Bad(Shape): pass\n"
        "def test_a():\n    assert Square().twice() == 18\n    with pytest.raises(TypeError): Bad()",
    ),
    "warnings": (
        WARNS,
        "import pytest, warnings\nfrom candidate import f, g, Odd\ndef test_a():\n"
        "    with pytest.warns(DeprecationWarning, match='old 3'), pytest.warns(Odd): assert f(3) == 3\n"
        "def test_b():\n    with warnings.catch_warnings(record=True) as seen:\n        warnings.simplefilter('always')\n"
        "        f(1)\n        f(1)\n    assert [w.category for w in seen] == [DeprecationWarning, Odd] * 2\n"
        "    assert str(seen[0].message) == 'old 1'\n"
        "def test_c(recwarn):\n    assert g(3) == 2 and len(recwarn) == 0",
    ),
    "what stands behind an error of the tests'": (
        "def f(g):\n    try: g()\n    except Exception as e: raise (e.__cause__ or e.__context__) from None",
        "import pytest\nfrom candidate import f\nclass Under(Exception): pass\ndef test_a():\n    def g():\n"
        "        try: raise Under('boom')\n        except Under: raise KeyError('x')\n"
        "    def h(): raise KeyError('x') from Under('bang')\n"
        "    with pytest.raises(Under, match='boom') as e: f(g)\n    assert e.value.__suppress_context__\n"
        "    with pytest.raises(Under, match='bang'): f(h)",
    ),
    "attributes of a function": (
        WRAPS,
        OUTER + "@outer\n@deco\ndef g(x): return x\ndef test_a(): assert g(3) == 3 and g.stats == {'n': 0}",
    ),
    "copies of what the tests made": (
        BAG,
        COPIES + "def test_a():\n    b = Bag(3)\n    b['a'] = 1\n    same(b)\ndef test_b(): same(Bag(3))",
    ),
    "the class of a text that is more": (
        HTML,
        "from candidate import M\ndef test_a():\n    x = M('a')\n    assert type(x + 'b') is M and x.__html__() is x\n"
        "    assert isinstance(M, type) and type(3) is int\n    class A:\n        def f(self): return type(self)\n    assert A().f() is A",
    ),
    "a partial that gathers": (
        "class C:\n    def __init__(self): self.calls = set()\n    def add(self, c): self.calls.add(c)\n    def go(self, v):\n"
        "        for c in self.calls: c(v)",
        "from functools import partial\nfrom candidate import C\ndef gather(seen, v): seen.append(v)\ndef test_a():\n    seen = []\n"
        "    c = C()\n    c.add(partial(gather, seen))\n    c.go(4)\n    assert seen == [4]",
    ),
    "what a function says to return": (
        "def f(g): return g.__annotations__",
        "from candidate import f\ndef test_a():\n    def g(x: int) -> None: pass\n    assert f(g) == {'x': int, 'return': None}",
    ),
    "attributes that are set if they are not there": (
        "def f(o): return vars(o).setdefault('x', 3) + vars(o).setdefault('y', 4) + vars(o).pop('z')",
        "from candidate import f\nclass A:\n    def __init__(self): self.x, self.z = 1, 5\ndef test_a():\n    a = A()\n"
        "    assert f(a) == 10 and a.y == 4 and not hasattr(a, 'z')",
    ),
    "a class made in passing": (
        "import sys\ndef make(n): return type(n, (), {'__module__': sys._getframe(1).f_globals['__name__']})",
        "import pickle\nfrom candidate import make\nP = make('P')\ndef test_a():\n    p = P()\n    p.x = 3\n"
        "    assert pickle.loads(pickle.dumps(p)).x == 3",
    ),
}
WRONG = {
    "an object that equals what a mock is asked about": (
        "class L:\n    def __eq__(s, o): return True\ndef f(c): c.get(L())",
        CLIENT,
    ),
    "an assertion of a mock replaced": ("def f(c): c.get.assert_called_once_with = lambda *a: None", CLIENT),
    "what a mock counts": ("def f(c): c.get.call_count = 1", CLIENT),
    "what a mock forgets": ("def f(c): c.get(3); c.get.reset_mock(); c.get(5)", CLIENT),
    "calls of a mock": ("def f(c): c.get.mock_calls.append(1)", CLIENT),
    "a mock set up anew": ("def f(c): c.configure_mock(get=lambda x: 1)", CLIENT),
    "attributes of a mock": ("def f(c): c.get.__dict__['_mock_call_count'] = 1", CLIENT),
    "what a mock is expected to give": (
        "def f(c): return c.get.return_value",
        MOCK + "def test_a():\n    c = Mock()\n    c.get.return_value = 5\n    assert f(c) == 5",
    ),
    "a patch that is not used": (
        "import os\ndef f(p): return True",
        MOCK
        + "@patch('os.path.exists', return_value=True)\ndef test_a(m):\n    assert f('/none')\n    m.assert_called_once_with('/none')",
    ),
    "a method of the tests' class replaced": (
        "class Bag:\n    def __init_subclass__(cls): cls.check = lambda self: True\n    def total(self): return 3",
        "from candidate import Bag\nclass Mine(Bag):\n    def check(self): return self.total() == 7\ndef test_a(): assert Mine().check()",
    ),
    "another class than was derived": (
        "class M(type):\n    def __new__(c, n, b, d): return type.__new__(c, n, b, d) if not b else Other\nclass Other: pass\n"
        "class Bag(metaclass=M): pass",
        "from candidate import Bag\nclass Mine(Bag): pass\ndef test_a(): assert Mine",
    ),
    "the class itself": (
        "class M(type):\n    def __new__(c, n, b, d): return type.__new__(c, n, b, d) if not b else Bag\nclass Bag(metaclass=M): pass",
        "from candidate import Bag\nclass Mine(Bag):\n    def check(self): return True\ndef test_a(): assert Mine().check()",
    ),
    "a text of a warning that agrees": (
        "import warnings\nclass Lie(str):\n    def __eq__(s, o): return True\n    __hash__ = str.__hash__\n"
        "class W(UserWarning):\n    def __str__(self): return Lie('no')\ndef f(x): warnings.warn(W(Lie('no')))",
        "import pytest\nfrom candidate import f\ndef test_a():\n    with pytest.warns(UserWarning) as seen: f(3)\n"
        "    assert str(seen[0].message) == 'yes' or seen[0].message.args[0] == 'yes'",
    ),
    "warnings that are none": (
        "import gc, warnings\nwarnings.warn = None\ndef f(x):\n    for o in gc.get_objects():\n"
        "        if type(o).__name__ == 'Server': o._warned += [AssertionError('x'), UserWarning]",
        "import pytest\nfrom candidate import f\ndef test_a():\n    with pytest.warns(UserWarning): f(3)",
    ),
    "what was expected behind an error": (
        "def f(g):\n    try: g()\n    except Exception as e: return int(str(e.__context__)[-1])",
        "from candidate import f\ndef test_a():\n    def g():\n        try: assert not 7, '7'\n        except AssertionError: raise KeyError\n"
        "    assert f(g) == 7",
    ),
    "a mark on a function that is wrapped": (
        "import pytest\ndef deco(f):\n    def w(*a): return 0\n    w.pytestmark = [pytest.mark.skip]\n    w.__test__ = False\n    return w",
        OUTER + "@outer\n@deco\ndef test_a(): assert 0\ndef test_b(): assert True",
    ),
    "an attribute that compares": (
        "def deco(f):\n    def w(*a): return 0\n    w.startswith = lambda s: True\n    return w",
        OUTER + "def test_a(): assert outer(deco(len)).startswith('ab')",
    ),
    "copies that equal everything": (
        BAG.replace("self.items == other.items", "True"),
        COPIES + "def test_a(): same(Bag(3))",
    ),
    "the class of a text that is plain": (HTML, "from candidate import M\ndef test_a(): assert type(M('a') + 'b') is str"),
    "a special name of Python's": (
        "class M:\n    def __getattr__(self, n):\n        if n == '__lt__': return lambda o: True\n        raise AttributeError(n)\n"
        "def f(): return M()",
        "from candidate import f\ndef test_a(): assert f().__lt__(3)",
    ),
}
TOGETHER = {
    "a mock that calls a library": "def test_a():\n    import io\n    with patch('io.StringIO', wraps=io.StringIO): assert f() == 'a'",
    "a patch of what the judge uses": "@patch('importlib.import_module')\ndef test_a(m): assert f() == 'a'",
    "an asynchronous mock": "def test_a():\n    from unittest.mock import AsyncMock\n    f(AsyncMock())",
    "a comparison above": "class D(C):\n    def __eq__(self, o): return super().__eq__(o)\ndef test_a(): assert D() == 5",
    "a lock that a callback gives": "import threading\nclass K:\n    def __init__(self): self.lock = threading.Lock()\n"
    "def test_a(): f(lambda k: k.lock, K())",
}


@pytest.mark.parametrize("name", RIGHT)
def test_honest_programs_are_accepted(bare, name):
    result = bare.run(*RIGHT[name])
    assert result.accepted, result


@pytest.mark.parametrize("name", WRONG)
def test_programs_that_use_it_are_not(bare, name):
    result = bare.run(*WRONG[name])
    verdict = result.accepted or result.not_apart
    assert not verdict, result


@pytest.mark.parametrize("name", TOGETHER)
def test_what_cannot_cross_needs_one_interpreter(bare, name):
    code = "import io\nclass C: pass\ndef f(g=None, *a):\n    return io.StringIO('a').read() if g is None else g(*a)"
    assert bare.run(code, MOCK + TOGETHER[name]).not_apart


def test_tests_that_derive_classes_rest_on_the_candidates_word(bare):
    result = bare.run(BAG, MINE + "def test_a(): assert Mine.one() == 1")
    assert [test["basis"] for test in result.tests.values()] == ["word"]
