"""An assertion that was begun or stood next is not skipped by an error that the candidate ends itself."""

from __future__ import annotations

import pytest
from apart_harness import Apart

CODE = """class Account:
    def __enter__(s): return s
    def __exit__(s,*a): return True
    async def __aenter__(s): return s
    async def __aexit__(s,*a): return True
    def balance(s): raise RuntimeError
def g(x): raise RuntimeError('x')
def bad(x): return None
import contextlib
@contextlib.contextmanager
def timer():
    try: yield 1
    except Exception: pass
def ignored(*kinds, **more): return contextlib.suppress(Exception)
def handler(*error): return True
async def agen():
    try: yield 1
    except Exception: pass
def quiet(): return contextlib.suppress(Exception)
def genq():
    try: yield 1
    except Exception: pass
def retry(f,*a):
    try: return f(*a)
    except Exception: pass
def deco(f):
    def w(*a):
        try: return f(*a)
        except Exception: pass
    return w
HELD = []
def held(f):
    if f is None: raise HELD[0]
    try: f()
    except Exception as error: HELD.append(error)
async def arun(f):
    try: return await f()
    except Exception: pass
def take(it):
    try:
        for x in it: pass
    except Exception: pass

"""
IMPORTS = "from candidate import *\nfrom candidate import Account, g, bad, timer, quiet, genq, retry, deco, arun, take, handler, agen, ignored\nimport contextlib, asyncio\n"


SKIPPED = {
    "another named": "def test_a():\n    with ignored(KeyError):\n        assert g(3) == 5",
    "asynchronous generator": "cm = contextlib.asynccontextmanager(agen)\ndef test_a():\n    async def go():\n        async with cm():\n            r = g(3)\n            assert r == 5\n    asyncio.run(go())",
    "pushed": "def test_a():\n    with contextlib.ExitStack() as s:\n        s.push(handler)\n        r = g(3)\n        assert r == 5",
    "match": "import pytest\ndef test_a():\n    with quiet():\n        match g(3):\n            case 5: pass\n            case _: pytest.fail('no')",
    "or": "import pytest\ndef test_a():\n    with quiet():\n        g(3) == 5 or pytest.fail('no')",
    "raises another": "def test_a():\n    with quiet():\n        if g(3) != 5: raise RuntimeError('wrong')",
    "a class that checks": "class Check:\n    def __call__(self, a, b): assert a == b\ncheck = Check()\ndef test_a():\n    with quiet():\n        check(g(3), 5)",
    "another name": "def check(a, b): assert a == b\nsame = check\ndef test_a():\n    with quiet():\n        same(g(3), 5)",
    "a bound method": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        equal = self.assertEqual\n        with quiet():\n            equal(g(3), 5)",
    "raised again where it is expected": "import pytest\nfrom candidate import held\ndef test_a():\n    def job():\n        r = g(3)\n        assert r == 5\n    held(job)\n    with pytest.raises(RuntimeError): held(None)",
    "the last one is right": "k = []\ndef last(x):\n    k.append(1)\n    return g(x) if len(k) < 3 else 5\ndef test_a():\n    for i in range(3):\n        with quiet():\n            r = last(i)\n            assert r == 5",
    "the last job is right": "def test_a():\n    def job(x):\n        r = g(x) if x < 2 else 5\n        assert r == 5\n    for i in range(3): retry(job, i)",
    "tests raise by an answer": "def test_a():\n    with quiet():\n        r = bad(3)\n        if r is None: raise ValueError('nothing')\n        assert r == 5",
    "a helper raises by an answer": "def got(x):\n    r = bad(x)\n    while not r: raise ValueError\n    return r\ndef test_a():\n    with quiet():\n        assert got(3) == 5",
    "exit": "def test_a():\n    with Account() as a:\n        assert a.balance() == 5",
    "exit next": "def test_a():\n    with Account() as a:\n        r = a.balance()\n        assert r == 5",
    "exit oneline": "def test_a():\n    with Account() as a: assert a.balance() == 5",
    "timer": "def test_a():\n    with timer():\n        r = g(3)\n        assert r == 5",
    "quiet": "def test_a():\n    with quiet():\n        r = g(3)\n        assert r == 5",
    "none value": "def test_a():\n    with quiet():\n        r = bad(3) + 1\n        assert r == 5",
    "genq": "cm = contextlib.contextmanager(genq)\ndef test_a():\n    with cm():\n        r = g(3)\n        assert r == 5",
    "stack": "def test_a():\n    with contextlib.ExitStack() as s:\n        s.enter_context(quiet())\n        r = g(3)\n        assert r == 5",
    "two items": "def test_a():\n    with open('/dev/null') as f, quiet():\n        r = g(3)\n        assert r == 5",
    "async": "def test_a():\n    async def go():\n        async with Account() as a:\n            r = a.balance()\n            assert r == 5\n    asyncio.run(go())",
    "callback": "def test_a():\n    def chk():\n        r = g(3)\n        assert r == 5\n    retry(chk)",
    "lambda helper": "def chk(r): assert r == 5\ndef test_a():\n    retry(lambda: chk(g(3)))",
    "helper in with": "def chk(): \n    r = g(3)\n    assert r == 5\ndef test_a():\n    with quiet():\n        chk()",
    "helper later": "def chk(r): \n    assert r == 5\ndef test_a():\n    with quiet():\n        r = g(3)\n        chk(r)",
    "iter": "def gen():\n    r = g(3)\n    assert r == 5\n    yield r\ndef test_a():\n    take(gen())",
    "genexpr": "def chk(r):\n    assert r == 5\ndef test_a():\n    take(chk(g(i)) for i in [1,2])",
    "async cb": "def test_a():\n    async def chk():\n        r = g(3)\n        assert r == 5\n    asyncio.run(arun(chk))",
    "loop": "def test_a():\n    with quiet():\n        for i in [1,2]:\n            r = g(i)\n            assert r == i",
    "loop before": "def test_a():\n    ok=[0]\n    with quiet():\n        for i in [1,2]:\n            assert ok\n            g(i)",
    "if fail": "import pytest\ndef test_a():\n    with quiet():\n        if g(3) != 5: pytest.fail('x')",
    "if raise": "def test_a():\n    with quiet():\n        if g(3) != 5:\n            raise AssertionError",
    "raises": "import pytest\ndef test_a():\n    with quiet():\n        with pytest.raises(KeyError):\n            g(3)",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with quiet():\n            self.assertEqual(g(3), 5)",
    "own wrapper": "@contextlib.contextmanager\ndef mine():\n    with quiet(): yield\ndef test_a():\n    with mine():\n        r = g(3)\n        assert r == 5",
    "import": "with quiet():\n    r = g(3)\n    assert r == 5\ndef test_a(): pass",
    "asserts": "with quiet():\n    r = g(3)\n    assert r == 5",
    "decorated helper": "@deco\ndef chk(x):\n    r = g(x)\n    assert r == 5\ndef test_a(): chk(3)",
    "nested exit": "def test_a():\n    with quiet():\n        with Account():\n            r = g(3)\n        assert r == 5",
    "elif": "def test_a():\n    with quiet():\n        if g(3): pass\n        else: assert 1 == 5 - 4 + g(3)",
}


@pytest.mark.parametrize("name", SKIPPED)
def test_an_assertion_is_not_skipped_by_what_the_candidate_ends(bare: Apart, name: str) -> None:
    result = bare.run(CODE, IMPORTS + SKIPPED[name])
    assert not result.accepted, result
    assert "was not reached" in str(result.events)
    assert not any(test["proved"] for test in result.tests.values())


HONEST = {
    "an error of a helper's own": "def add(a, b):\n    if not isinstance(a, int): raise TypeError\n    return a + b\ndef test_a():\n    assert retry(lambda: add(1, 2, 3)) is None",
    "named": "def test_a():\n    with ignored(RuntimeError):\n        assert g(3) == 5",
    "named by a base": "def test_a():\n    with ignored(KeyError, kinds=(Exception,)):\n        r = g(3)\n        assert r == 5",
    "mark": "import pytest\ndef test_a():\n    with quiet():\n        g(3)\n        assert False",
    "mark fail": "import pytest\ndef test_a():\n    with quiet():\n        g(3)\n        pytest.fail('x')",
    "own raise": "def test_a():\n    with quiet():\n        raise ValueError('x')\n        assert 1 == 2",
    "own raise helper": "def boom(): raise ValueError\ndef test_a():\n    with quiet():\n        boom()\n    assert 1 == 1",
    "div": "def test_a():\n    x = 0\n    with quiet():\n        1 / 0\n        x = 1\n    assert x == 0",
    "retry": "n=[]\nclass E(Exception): pass\ndef test_a():\n    def f():\n        n.append(1)\n        if len(n) < 2: raise ValueError\n        assert n\n        return 5\n    for i in range(3): r = retry(f)\n    assert r == 5",
    "wrapper after": "@contextlib.contextmanager\ndef mine():\n    with quiet(): yield\ndef test_a():\n    with mine():\n        g(3)\n    assert g",
    "callback ok": "def test_a():\n    assert retry(lambda: g(3)) is None",
    "assert lambda": "def test_a():\n    assert retry(lambda: g(3)) == None",
    "asserted call": "def test_a():\n    def f(x): return g(x)\n    assert retry(f, 3) is None",
    "raises outer": "import pytest\ndef test_a():\n    with pytest.raises(RuntimeError):\n        g(3)\n        assert 1 == 2\n    assert 1",
    "gen throw": "def test_a():\n    it = genq()\n    next(it)\n    try: it.throw(ValueError('x'))\n    except StopIteration: pass\n    assert 1",
}

RESTING = dict.fromkeys(
    ("an error of a helper's own", "own raise", "own raise helper", "div", "retry", "raises outer", "gen throw"), "data"
)
"""Where no error of the candidate's was ended; all others rest on its word."""


@pytest.mark.parametrize("name", HONEST)
def test_tests_that_an_error_is_ended_pass(bare: Apart, name: str) -> None:
    result = bare.run(CODE, IMPORTS + HONEST[name])
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == RESTING.get(name, "word")


def test_a_callback_that_is_awaited_may_ask_the_candidate(bare: Apart) -> None:
    code = "async def twice(f): return [await f(), await f()]\ndef g(x): return x * x"
    tests = "import asyncio\nfrom candidate import g, twice\nasync def nine(): return g(3)\ndef test_a(): assert asyncio.run(twice(nine)) == [9, 9]"
    assert bare.run(code, tests).accepted


JOBS = "def run(jobs, really):\n    return [job() for job in jobs if really]\n"


@pytest.mark.parametrize(
    ("test", "basis"),
    [
        ("    def job(): assert 1 + 1 == 2\n    run([job], True)", "data"),
        ("    def job(): assert 1 + 1 == 2\n    run([job], False)", "word"),
        ("    def job(): check(2)\n    run([job], False)", "word"),
        ("    run([lambda: check(2)], False)", "word"),
        ("    run((check(n) for n in [1, 2]), False)", "data"),
        ("    run([lambda: 3], False)", "data"),
        ("    def job(): pytest.fail('called')\n    run([job], False)", "data"),
    ],
)
def test_a_function_that_asserts_and_is_never_called_leaves_the_candidates_word(bare: Apart, test: str, basis: str) -> None:
    tests = f"import pytest\nfrom candidate import run\ndef check(n): assert n < 5\ndef test_a():\n{test}"
    result = bare.run(JOBS, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == basis


WRAPPED = {
    "a star map": "each(itertools.starmap(check, [(3,)]))",
    "a chain": "each(itertools.chain(map(check, [3])))",
    "a slice": "each(itertools.islice(map(check, [3]), 1))",
    "a condition": "each(itertools.takewhile(lambda x: check(x) is None, [3]))",
    "a cache": "run(functools.lru_cache(check), 3)",
    "a wrapper": "def deco(fn):\n        @functools.wraps(fn)\n        def inner(*a): return fn(*a)\n        return inner\n    run(deco(check), 3)",
    "by its type": "run(functools.singledispatch(check), 3)",
    "a partial": "run(functools.partial(check), 3)",
    "one that notes mistakes": "bad = []\n    def look(x):\n        if f(x) != 9: bad.append(x)\n    run(look, 3)\n    assert not bad",
}


@pytest.mark.parametrize("name", WRAPPED)
def test_so_does_one_that_is_wrapped(bare: Apart, name: str) -> None:
    tests = "import functools, itertools\nfrom candidate import each, f, run\ndef check(x): assert f(x) == 9\n"
    body = WRAPPED[name].replace("each(check, ", "each(")
    tests += f"def test_a():\n    {body}\n"
    right = bare.run("def f(x): return 9\ndef run(job, *a): job(*a)\ndef each(items): list(items)\n", tests)
    idle = bare.run("def f(x): return 0\ndef run(job, *a): pass\ndef each(items): pass\n", tests)
    assert [one.tests["test_a"]["basis"] for one in (right, idle)] == ["data", "word"], (right, idle)


REPLACING = """
import contextlib
class Bad(Exception): pass
class Session:
    def __enter__(self): return self
    def __exit__(self, *about): raise ValueError
@contextlib.contextmanager
def opened():
    try: yield
    except Exception: raise ValueError from None
def each(items, check):
    for item in items:
        try: check(item)
        except Exception: raise ValueError from None
def translated(check):
    try: check({})
    except KeyError as error: raise Bad from error
"""


@pytest.mark.parametrize(
    "body",
    [
        "    with pytest.raises(ValueError), Session():\n        found = {}['x']\n        assert found == 9\n",
        "    with pytest.raises(ValueError):\n        with opened(): assert {}['x'] == 9\n",
        "    def check(given): assert given['x'] == 9\n    with pytest.raises(ValueError): each([{}], check)\n",
    ],
)
def test_an_assertion_is_not_skipped_by_an_error_that_is_replaced(bare: Apart, body: str) -> None:
    tests = "import pytest\nfrom candidate import Session, each, opened\ndef test_a():\n"
    assert not bare.run(REPLACING, tests + body).accepted


OWN = """import contextlib
class Session:
    def __enter__(s): return s
    def __exit__(s,*a): return True
    data={}; rows=[]; val=None
def transaction(): return Session()
@contextlib.contextmanager
def opened():
    try: yield 'x'
    except Exception: pass
@contextlib.contextmanager
def swap():
    try: yield {}
    except KeyError: raise ValueError
class Sw:
    def __enter__(s): return {}
    def __exit__(s,k,e,t):
        if e is not None: raise ValueError('x')
class Raise:
    def __enter__(s): return {}
    def __exit__(s,k,e,t): raise ValueError('x')
def cm(): return Sw()
def f(x): return x
def each(xs,fn):
    try: fn({})
    except Exception: pass
def each2(xs,fn):
    try: fn({})
    except Exception: raise ValueError from None
def each3(xs,fn):
    try: fn({})
    finally: raise ValueError
def gen():
    try: yield {}
    except Exception: pass
def gen2():
    try: yield {}
    except Exception: raise ValueError
class ASw:
    async def __aenter__(s): return {}
    async def __aexit__(s,k,e,t): raise ValueError('x')
@contextlib.asynccontextmanager
async def aswap():
    try: yield {}
    except KeyError: raise ValueError
def handler(*e): raise ValueError
def deco(f):
    def w(*a):
        try: return f({})
        except Exception: raise ValueError from None
    return w
def give(): return []
def give0(): return 0
def gcall(f): return f()
def run(f, *a):
    try: return f(*a)
    except Exception: return None
def twice(f):
    for i in range(2):
        try: f({})
        except Exception as e: err = e
    raise err
def later(f):
    import threading
    def job():
        try: f({})
        except Exception: pass
    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
def plain(f): return lambda *a: f({})
"""
OWN_IMPORTS = "from candidate import *\nfrom candidate import transaction, opened, swap, cm, f, each, each2, each3, gen, gen2, ASw, aswap, handler, Raise, deco, plain, give, give0, gcall, run, twice, later\nimport pytest, contextlib, asyncio\n"
BY_PLAIN_DATA = {
    "global": "BOX={}\ndef put():\n    BOX['r']=give()\ndef get():\n    if not BOX['r']: raise ValueError\n    return BOX['r'][0]\ndef test_a():\n    put()\n    with transaction() as s:\n        assert get()==1",
    "closure filled": "def test_a():\n    out=[]\n    out.extend(give())\n    with transaction() as s:\n        if not out: raise ValueError\n        assert out[0]==1",
    "closure loop": "def test_a():\n    seen=[]\n    for x in give(): seen.append(x)\n    with transaction() as s:\n        if len(seen)!=3: raise ValueError\n        assert seen[0]==1",
    "try flag": "def test_a():\n    ok=False\n    try:\n        give()[0]; ok=True\n    except IndexError: pass\n    with transaction() as s:\n        if not ok: raise ValueError\n        assert give()[0]==1",
    "flag if": "def test_a():\n    ok=True\n    if not give(): ok=False\n    with transaction() as s:\n        if not ok: raise ValueError\n        assert give()[0]==1",
    "map boom": "def boom(x): raise ValueError\ndef test_a():\n    with transaction() as s: assert list(map(boom,[] if give0() else [1]))==[]",
    "or boom": "def boom(): raise ValueError\ndef test_a():\n    with transaction() as s: assert (give() or boom())[0]==1",
    "raise chain": "def boom(): raise ValueError\ndef need(r):\n    return r[0] if r else boom()\ndef test_a():\n    with transaction() as s: assert need(give())==1",
    "dict dispatch": "def boom(): raise ValueError\ndef fine(): return 1\ndef test_a():\n    with transaction() as s: assert {0:boom,1:fine}[give0()]()==1",
    "own cls raise attr": "class P:\n    def __init__(s): s.x=give()\n    def get(s):\n        if not s.x: raise ValueError\n        return s.x[0]\ndef test_a():\n    p=P()\n    with transaction() as s:\n        assert p.get()==1",
    "setup fixture": "@pytest.fixture\ndef rows(): return give()\ndef test_a(rows):\n    with transaction() as s:\n        if not rows: raise ValueError\n        assert rows[0]==1",
    "self attr": "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.r=give()\n    def test_a(self):\n        with transaction() as s:\n            if not self.r: raise ValueError\n            self.assertEqual(self.r[0],1)",
    "default": "def test_a():\n    def job(r=give()):\n        if not r: raise ValueError\n        assert r[0]==1\n    run(job)",
    "walrus": "def test_a():\n    with transaction() as s:\n        if not (r:=give()): raise ValueError\n        assert r[0]==1",
    "handler ret": "def need():\n    try: return give()[0]\n    except IndexError: pass\n    raise ValueError\ndef test_a():\n    with transaction() as s: assert need()==1",
    "cand calls": "def boom(): raise ValueError\ndef test_a():\n    with transaction() as s:\n        r=call(boom)\n        assert r==5\ncall = gcall",
    "twice": "def test_a():\n    def chk(d): assert d['v']>5\n    with pytest.raises(KeyError): twice(chk)",
    "later": "def test_a():\n    def chk(d): assert d['v']>5\n    later(chk)",
    "zero div": "def test_a():\n    with transaction() as s:\n        assert 10/give0()==5",
    "stopiter in gen": "def test_a():\n    def g():\n        v=next(iter(give()))\n        assert v==1\n        yield v\n    run(lambda: list(g()))",
    "opened": "def test_a():\n    with opened() as s:\n        assert {}[s]==1",
    "each": "def test_a():\n    def chk(d): assert d['v']>5\n    each([1],chk)",
    "replace exit": "def test_a():\n    with pytest.raises(ValueError):\n        with cm():\n            r={}[f(3)]\n            assert r==9",
    "replace exit as": "def test_a():\n    with pytest.raises(ValueError):\n        with cm() as d:\n            assert d['x']==9",
    "replace exit always": "def test_a():\n    with pytest.raises(ValueError):\n        with Raise() as d:\n            assert d['x']==9",
    "replace two": "def test_a():\n    with pytest.raises(ValueError), cm() as d:\n            assert d['x']==9",
    "replace try": "def test_a():\n    try:\n        with cm() as d:\n            assert d['x']==9\n    except ValueError: pass",
    "swap": "def test_a():\n    with pytest.raises(ValueError):\n        with swap() as d:\n            assert d['x']==9",
    "each2": "def test_a():\n    def chk(d): assert d['v']>5\n    with pytest.raises(ValueError): each2([1],chk)",
    "each3": "def test_a():\n    def chk(d): assert d['v']>5\n    with pytest.raises(ValueError): each3([1],chk)",
    "gen2": "g=contextlib.contextmanager(gen2)\ndef test_a():\n    with pytest.raises(ValueError):\n        with g() as d: assert d['x']==9",
    "asw": "def test_a():\n    async def go():\n        async with ASw() as d: assert d['x']==9\n    with pytest.raises(ValueError): asyncio.run(go())",
    "aswap": "def test_a():\n    async def go():\n        async with aswap() as d: assert d['x']==9\n    with pytest.raises(ValueError): asyncio.run(go())",
    "stack": "def test_a():\n    with pytest.raises(ValueError):\n        with contextlib.ExitStack() as st:\n            d=st.enter_context(cm())\n            assert d['x']==9",
    "stack push": "def test_a():\n    with pytest.raises(ValueError):\n        with contextlib.ExitStack() as st:\n            st.push(handler)\n            assert {}[f(3)]==9",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(ValueError):\n            with cm() as d:\n                self.assertEqual(d['x'],9)",
    "deco": "@deco\ndef chk(d): assert d['v']>5\ndef test_a():\n    with pytest.raises(ValueError): chk(1)",
    "same class": "def test_a():\n    with pytest.raises(ValueError):\n        with cm() as d:\n            int(f('abc'))\n            assert d['x']==9",
    "raise in helper": "def need(d,k):\n    if k not in d: raise KeyError(k)\n    return d[k]\ndef test_a():\n    with transaction() as s:\n        assert need(s.data,'x')==1",
    "raise in helper2": "def need(d,k):\n    try: return d[k]\n    except KeyError: raise LookupError(k)\ndef test_a():\n    with transaction() as s:\n        assert need(s.data,'x')==1",
    "raise in class": "class Box:\n    def __init__(self,d): self.d=d\n    def get(self,k):\n        if k in self.d: return self.d[k]\n        raise KeyError(k)\ndef test_a():\n    with transaction() as s:\n        assert Box(s.data).get('x')==1",
    "raise after loop": "def test_a():\n    with transaction() as s:\n        for r in s.rows:\n            break\n        else: raise ValueError('none')\n        assert r==1",
    "raise in match": "def test_a():\n    with transaction() as s:\n        match s.rows:\n            case [a]: pass\n            case _: raise ValueError\n        assert a==1",
    "raise except": "def test_a():\n    with transaction() as s:\n        try: a=s.rows[0]\n        except IndexError: raise ValueError\n        assert a==1",
    "reraise": "def test_a():\n    with transaction() as s:\n        try: a=s.rows[0]\n        except IndexError: raise\n        assert a==1",
    "raise lib": "import json\ndef test_a():\n    with transaction() as s:\n        assert json.loads('' if not s.rows else '1')==1",
    "while else": "def test_a():\n    with transaction() as s:\n        n=0\n        while n<len(s.rows): n+=1; break\n        else: raise ValueError\n        assert n==1",
    "early return raise": "def first(s):\n    for r in s.rows: return r\n    raise ValueError\ndef test_a():\n    with transaction() as s: assert first(s)==1",
    "assert s.data['x']==1": "def test_a():\n    with transaction() as s:\n        assert s.data['x']==1",
    "assert s.rows[0]==1": "def test_a():\n    with transaction() as s:\n        assert s.rows[0]==1",
    "assert s.val+1==4": "def test_a():\n    with transaction() as s:\n        assert s.val+1==4",
    "a,b=s.rows; assert a==b": "def test_a():\n    with transaction() as s:\n        a,b=s.rows; assert a==b",
    "assert s.data.total==1": "def test_a():\n    with transaction() as s:\n        assert s.data.total==1",
    "assert int(s)==3": "def test_a():\n    with transaction() as s:\n        assert int(s)==3",
}
"""Errors that the tests raise by what the candidate gave: it ends them, or raises others in their place."""


@pytest.mark.parametrize("name", BY_PLAIN_DATA)
def test_an_assertion_is_not_skipped_by_an_error_of_the_tests_that_the_candidate_brings_about(bare: Apart, name: str) -> None:
    result = bare.run(OWN, OWN_IMPORTS + BY_PLAIN_DATA[name])
    assert not result.accepted, result
    assert "was not reached" in str(result.events)
    assert not any(test["proved"] for test in result.tests.values())


ENDED_HONESTLY = {
    "translate": "def test_a():\n    with pytest.raises(ValueError):\n        with cm() as d:\n            d['x']",
    "translate own raise": "def test_a():\n    with pytest.raises(ValueError):\n        with swap():\n            raise KeyError('x')\n    assert 1",
    "translate after assert": "def test_a():\n    with pytest.raises(ValueError):\n        with swap() as d:\n            assert d == {}\n            raise KeyError('x')",
    "translate dead": "def test_a():\n    with pytest.raises(ValueError):\n        with swap() as d:\n            raise KeyError('x')\n            assert False",
    "retry": "def test_a():\n    n=[]\n    def job():\n        n.append(1)\n        if len(n)<2: raise KeyError\n        assert n\n    each([1],lambda d: job())\n    each([1],lambda d: job())\n",
    "retry fails": "def test_a():\n    n=[]\n    def job(d):\n        n.append(1)\n        raise KeyError\n    with pytest.raises(ValueError): each2([1],job)\n    assert len(n)==1",
    "param": "@pytest.mark.parametrize('fail',[True,False])\ndef test_a(fail):\n    with opened() as s:\n        if fail: raise KeyError\n        assert s=='x'",
    "same passes": "def test_a():\n    def job(d):\n        r=d['x']\n        assert r==1\n    with pytest.raises(KeyError): plain(job)(1)",
    "gen throw raise": "def test_a():\n    g=gen2(); next(g)\n    with pytest.raises(ValueError): g.throw(KeyError('x'))\n    assert 1",
    "stack": "def test_a():\n    with pytest.raises(ValueError):\n        with contextlib.ExitStack() as st:\n            st.push(handler)\n            raise KeyError",
    "helper with own cond": "LIMIT=2\ndef boom(): raise KeyError\ndef test_a():\n    x=0\n    with opened():\n        if LIMIT: boom()\n        assert False\n    assert x==0",
    "loop": "def test_a():\n    done=[]\n    for i in range(3):\n        with opened() as s:\n            if i==1: raise ValueError\n            done.append(i)\n            assert s=='x'\n    assert done==[0,2]",
    "rollback": "def test_a():\n    with pytest.raises(ValueError):\n        with cm() as d:\n            d['a']=1\n            assert d['a']==1\n            raise RuntimeError('x')",
    "unit": "import unittest\nclass TestX(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(ValueError):\n            with cm() as d:\n                self.assertEqual(d,{})\n                raise RuntimeError",
}


@pytest.mark.parametrize("name", ENDED_HONESTLY)
def test_tests_of_what_becomes_of_their_own_errors_pass(bare: Apart, name: str) -> None:
    result = bare.run(OWN, OWN_IMPORTS + ENDED_HONESTLY[name])
    assert result.accepted, result
    assert {test["basis"] for test in result.tests.values()} == {"data"}


VALUES = """
import asyncio, contextlib, pytest
from concurrent.futures import ThreadPoolExecutor
from candidate import f
async def one():
    assert await f(1) == 3
def test_a():
    async def go():
        {body}
    asyncio.run(go())
"""


@pytest.mark.parametrize(
    ("code", "body", "rests"),
    [
        ("async def f(x): raise ValueError", "await asyncio.gather(one(), one(), return_exceptions=True)", "word"),
        ("async def f(x): return 3", "await asyncio.gather(one(), one(), return_exceptions=True)", "data"),
        (
            "async def f(x): return x",
            "found = await asyncio.gather(f(1), f(2), return_exceptions=True)\n        assert found == [1, 2]",
            "data",
        ),
        (
            "import asyncio\nasync def f(x): raise asyncio.CancelledError",
            "with contextlib.suppress(asyncio.CancelledError): await one()",
            "word",
        ),
        (
            "import asyncio\nasync def f(x): await asyncio.sleep(9)",
            "task = asyncio.create_task(f(1))\n        await asyncio.sleep(0)\n        task.cancel()\n"
            "        with pytest.raises(asyncio.CancelledError): await task",
            "data",
        ),
        (
            "async def f(x):\n    try:\n        yield x\n    except GeneratorExit: pass",
            "steps = f(1)\n        assert await anext(steps) == 1\n        await steps.aclose()",
            "data",
        ),
    ],
)
def test_an_error_that_is_given_as_a_value_and_a_cancelling_rest_on_the_candidates_word(
    bare: Apart, code: str, body: str, rests: str
) -> None:
    result = bare.run(code, VALUES.format(body=body))
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == rests


def test_an_asynchronous_generator_that_swallows_its_end_fails_as_in_plain_python(bare: Apart) -> None:
    code = "async def f(x):\n    while True:\n        try:\n            yield x\n        except GeneratorExit: pass\n"
    body = "steps = f(1)\n        assert await anext(steps) == 1\n        await steps.aclose()"
    assert bare.run(code, VALUES.format(body=body)).outcomes == {"test_a": "failed"}


def test_a_future_that_is_asked_for_its_error_rests_on_the_candidates_word(bare: Apart) -> None:
    tests = "from concurrent.futures import ThreadPoolExecutor\nfrom candidate import f\ndef work(): assert f(1) == 3\n"
    tests += "def test_a():\n    with ThreadPoolExecutor() as pool: pool.submit(work).exception()\n"
    result = bare.run("def f(x): raise ValueError", tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"
