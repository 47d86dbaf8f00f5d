"""Honest work that reflects on what the other side defines is accepted, and what a side says of itself proves nothing more."""

from __future__ import annotations

import pytest
from apart_harness import Apart

POINT = (
    "from dataclasses import dataclass, field\n@dataclass\nclass Point:\n    x: int\n    y: int = 0\n"
    "    tags: list = field(default_factory=list, metadata={'max': 2})\n"
)
NESTED = "from dataclasses import dataclass\n@dataclass\nclass In:\n    v: int\n@dataclass\nclass Out:\n    a: In\n    many: list[In]\n"
LIGHT = "from enum import Enum, auto\nclass Light(Enum):\n    RED = auto()\n    GREEN = auto()\n"
SERVICE = (
    "class Db: pass\nclass Repo:\n    def __init__(self, db: Db, size: int = 3): self.db, self.size = db, size\n"
    "    @property\n    def full(self): return self.size > 2\n    def save(self, x): 'Saves.'\n"
)

OF_THE_TESTS = {
    "dictionaries of dataclasses": (
        "import dataclasses\ndef f(o): return dataclasses.asdict(o), dataclasses.astuple(o)",
        NESTED,
        "f(Out(In(1), [In(2)])) == ({'a': {'v': 1}, 'many': [{'v': 2}]}, ((1,), [(2,)]))",
    ),
    "fields": (
        "import dataclasses\ndef f(k):\n    return [(x.name, x.type, x.default is dataclasses.MISSING, dict(x.metadata)) for x in dataclasses.fields(k)]",
        POINT,
        "f(Point) == f(Point(1)) == [('x', int, True, {}), ('y', int, False, {}), ('tags', list, True, {'max': 2})]",
    ),
    "a copy with a change": (
        "import dataclasses\ndef f(o): return dataclasses.replace(o, y=o.y + 1)",
        POINT,
        "f(Point(1, 2)) == Point(1, 3) and type(f(Point(1))) is Point",
    ),
    "objects of dictionaries": (
        "import dataclasses, typing\ndef f(kind, d):\n    if typing.get_origin(kind) is list: return [f(typing.get_args(kind)[0], x) for x in d]\n"
        "    if not dataclasses.is_dataclass(kind): return d\n    hints = typing.get_type_hints(kind)\n"
        "    return kind(**{name: f(hints[name], value) for name, value in d.items()})",
        "from __future__ import annotations\n" + NESTED,
        "f(Out, {'a': {'v': 1}, 'many': [{'v': 2}]}) == Out(In(1), [In(2)])",
    ),
    "patterns": (
        "def f(o, Point):\n    match o:\n        case Point(0, y): return y\n        case Point(x=x, y=y): return x * y",
        POINT,
        "f(Point(0, 5), Point) == 5 and f(Point(2, 3), Point) == 6",
    ),
    "signatures and hints": (
        "import inspect, typing\ndef f(k):\n    got = {n: f(t) for n, t in typing.get_type_hints(k.__init__).items() if t is not int} if '__init__' in vars(k) else {}\n"
        "    assert list(inspect.signature(k).parameters)[:1] == list(got)\n    return k(**got)",
        SERVICE,
        "isinstance(f(Repo).db, Db) and f(Repo).size == 3",
    ),
    "members": (
        "import inspect\ndef f(o):\n    k = type(o)\n    return [n for n, m in inspect.getmembers(o, inspect.ismethod) if n[0] != '_'], [n for n, v in vars(k).items() if isinstance(v, property)], "
        "k.save.__doc__, 'size' in dir(o), isinstance(k.full, property)",
        SERVICE,
        "f(Repo(Db())) == (['save'], ['full'], 'Saves.', True, True)",
    ),
    "bases": (
        "def f(k): return [c.__name__ for c in k.__mro__], [c.__name__ for c in k.__bases__], k.__slots__",
        "class A: pass\nclass B(A): __slots__ = ('x',)\n",
        "f(B) == (['B', 'A', 'object'], ['A'], ('x',))",
    ),
    "abstract classes": (
        "from collections.abc import Iterable, Sized\ndef f(o): return isinstance(o, Iterable), isinstance(o, Sized)",
        "class B:\n    def __iter__(self): return iter([])\n",
        "f(B()) == (True, False)",
    ),
    "enumerations": (
        "from enum import Enum\ndef f(e):\n    all = list(type(e))\n    return all[(all.index(e) + 1) % len(all)], isinstance(e, Enum), e.name, e is type(e)['RED'], {e: 1}",
        LIGHT,
        "f(Light.RED) == (Light.GREEN, True, 'RED', True, {Light.RED: 1}) and f(Light.RED)[0] is Light.GREEN",
    ),
    "flags and numbers": (
        "def f(p, n): return bool(p & type(p).R), p | type(p).R, n + 1, n.name",
        "from enum import Flag, IntEnum\nclass P(Flag):\n    R = 1\n    W = 2\nclass N(IntEnum):\n    ONE = 1\n",
        "f(P.W, N.ONE) == (False, P.R | P.W, 2, 'ONE')",
    ),
}


@pytest.mark.parametrize("name", OF_THE_TESTS)
def test_the_candidate_reflects_on_what_the_tests_pass(bare: Apart, name: str) -> None:
    code, head, claim = OF_THE_TESTS[name]
    future = "from __future__ import annotations\n"
    tests = (
        f"{future * head.startswith(future)}from candidate import f\n{head.removeprefix(future)}\ndef test_a(): assert {claim}"
    )
    result = bare.run(code, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"
    assert not bare.run("def f(*args): return args[0]", tests).accepted


NOTHING_BEHIND = {
    "what makes an object": "def f(o): return type(o).__init__.__globals__['SECRET']",
    "what a class consists of": "def f(o): return vars(type(o))['check'].__globals__['SECRET']",
    "what makes a default": "import dataclasses\ndef f(o): return dataclasses.fields(o)[1].default_factory.__globals__['SECRET']",
    "the function of a method": "def f(o): return o.check.__func__.__globals__['SECRET']",
    "fields that are set": "def f(o): type(o).__dataclass_fields__ = {}; return 41",
}


@pytest.mark.parametrize("name", NOTHING_BEHIND)
def test_what_is_told_of_a_class_leads_to_nothing_behind_it(bare: Apart, name: str) -> None:
    head = "from dataclasses import dataclass, field\nSECRET = 41\n@dataclass\nclass P:\n    x: int\n    xs: list = field(default_factory=lambda: [])\n    def check(self): return SECRET\n"
    assert not bare.run(NOTHING_BEHIND[name], f"from candidate import f\n{head}def test_a(): assert f(P(1)) == 41").accepted


@pytest.mark.parametrize(
    "code",
    [
        "def f(e):\n    forged = object.__new__(type(e))\n    forged._value_ = 99\n    return forged",
        "def f(e):\n    e._value_ = 2\n    return e",
        "def f(e):\n    type(e).__eq__ = lambda own, other: True\n    return type(e).GREEN",
        "def f(e): return 1",
    ],
)
def test_a_member_is_one_that_the_tests_have(bare: Apart, code: str) -> None:
    assert not bare.run(code, f"from candidate import f\n{LIGHT}def test_a(): assert f(Light.RED) == Light.RED").accepted


def test_members_with_methods_need_one_interpreter(bare: Apart) -> None:
    tests = "from enum import IntEnum\nfrom candidate import f\nclass N(IntEnum):\n    ONE = 1\n    def double(self): return 2 * self\ndef test_a(): assert f(N.ONE) == 2"
    assert "enumeration with methods" in bare.run("def f(n): return n.double()", tests).not_apart


SHAPES = (
    "from abc import ABC, abstractmethod\nfrom typing import Optional\nclass Shape(ABC):\n    @abstractmethod\n    def area(self) -> float: ...\n"
    "class Sq(Shape):\n    'A square.'\n    __slots__ = ('side',)\n    side: Optional[int]\n    def __init__(self, side: int = 1): self.side = side\n"
    "    def area(self) -> float:\n        'Side by side.'\n        return self.side ** 2\n    @property\n    def name(self): 'Its name.'\n"
    "    @classmethod\n    def unit(cls): return cls()\n    async def later(self): pass\n    def each(self): yield 1\n"
)
BARE_SHAPES = "class Shape:\n    def area(self): ...\nclass Sq(Shape):\n    def __init__(self, side=1, *more): self.side = side\n    def area(self): return self.side ** 2\n    name = unit = later = each = area\n"
OF_THE_CANDIDATE = {
    "abstract": "inspect.isabstract(Shape) and not inspect.isabstract(Sq) and Shape.__abstractmethods__ == {'area'}",
    "an abstract base": "issubclass(Shape, ABC) and isinstance(Sq(), ABC) and issubclass(Sq, Shape) and not issubclass(Shape, Sq)",
    "bases": "Sq.__mro__ == (Sq, Shape, ABC, object) and Sq.__bases__ == (Shape,) and Shape.__bases__ == (ABC,)",
    "annotations": "Sq.__annotations__ == {'side': Optional[int]} == typing.get_type_hints(Sq) == inspect.get_annotations(Sq)",
    "hints of a method": "typing.get_type_hints(Sq.area) == {'return': float} and Sq.__init__.__annotations__ == {'side': int}",
    "signatures": "str(inspect.signature(Sq)) == '(side: int = 1)' and str(inspect.signature(Sq().area)) == '() -> float'",
    "documentation": "inspect.getdoc(Sq) == 'A square.' and Sq().area.__doc__ == 'Side by side.' and Sq.name.__doc__ == 'Its name.'",
    "kinds": "inspect.ismethod(Sq.unit) and inspect.ismethod(Sq().area) and isinstance(Sq.name, property) and not callable(Sq())",
    "kinds of functions": "inspect.iscoroutinefunction(Sq.later) and inspect.isgeneratorfunction(Sq().each) and not inspect.iscoroutinefunction(Sq.each)",
    "slots": "Sq.__slots__ == ('side',)",
}


@pytest.mark.parametrize("name", OF_THE_CANDIDATE)
def test_the_tests_reflect_on_classes_of_the_candidate(bare: Apart, name: str) -> None:
    head = "import inspect, typing\nfrom abc import ABC\nfrom typing import Optional\nfrom candidate import Shape, Sq\n"
    tests = f"{head}def test_a(): assert {OF_THE_CANDIDATE[name]}"
    assert bare.run(SHAPES, tests).accepted, bare.run(SHAPES, tests)
    assert not bare.run(BARE_SHAPES, tests).accepted


OTHERS = {
    "named tuples": (
        "from collections import namedtuple\nNT = namedtuple('NT', 'a b', defaults=[7])",
        "NT._make([1, 2]) == NT(1, 2) and NT._make([1, 2]).b == 2 and issubclass(NT, tuple) and NT._field_defaults == {'b': 7}",
        "from collections import namedtuple\nNT = namedtuple('NT', 'b a', defaults=[7])",
    ),
    "enumerations": (
        "from enum import Enum\nclass NT(Enum):\n    A = 1",
        "isinstance(NT.A, enum.Enum) and issubclass(NT, enum.Enum) and NT(1) is NT.A and [m.name for m in NT] == ['A']",
        "class NT:\n    A = 1",
    ),
    "protocols": (
        "from typing import Protocol, runtime_checkable\n@runtime_checkable\nclass NT(Protocol):\n    def quack(self): ...",
        "isinstance(Duck(), NT) and not isinstance(3, NT)",
        "class NT:\n    def quack(self): ...",
    ),
    "aliases": (
        "from typing import Dict, List\nNT = Dict[str, List[int]]",
        "NT == typing.Dict[str, typing.List[int]]",
        "NT = dict",
    ),
    "hints": (
        "from __future__ import annotations\nfrom typing import Callable, Literal\nclass P: pass\nclass NT:\n    p: P | None\n    c: Callable[[int], str]\n    l: Literal['a']",
        "list(typing.get_type_hints(NT).values())[1:] == [typing.Callable[[int], str], typing.Literal['a']]",
        "class NT:\n    p: int\n    c: int\n    l: int",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_tests_reflect_on_what_else_the_candidate_has(bare: Apart, name: str) -> None:
    code, claim, wrong = OTHERS[name]
    tests = f"import enum, typing\nfrom candidate import NT\nclass Duck:\n    def quack(self): pass\ndef test_a(): assert {claim}"
    assert bare.run(code, tests).accepted, bare.run(code, tests)
    assert not bare.run(wrong, tests).accepted


ANY = "class Any:\n    def __eq__(self, other): return True\n    def items(self): return []\n    def __iter__(self): return iter([])\n"
LIES = {
    "annotations": ("class C: pass\nC.__annotations__ = Any()", "C.__annotations__ == {'x': int}"),
    "hints": ("class C:\n    x: Any()", "typing.get_type_hints(C) == {'x': int}"),
    "hints that are code": (
        "class C: pass\nC.__annotations__ = {'x': '__import__(\"sys\").modules[\"test_candidate\"].__dict__.clear()'}",
        "typing.get_type_hints(C) == {'x': int}",
    ),
    "a default": ("def C(a=Any()): pass", "inspect.signature(C).parameters['a'].default == 7"),
    "documentation": ("class C:\n    def go(self): pass\nC.go.__doc__ = Any()", "C.go.__doc__ == 'Goes.'"),
    "slots": ("class C: pass\nC.__slots__ = Any()", "C.__slots__ == ('x',)"),
    "parts of an alias": ("class C: __args__ = Any()", "C.__args__ == (int,)"),
    "bases": (
        "class M(type):\n    @property\n    def __mro__(cls): return (cls, int, object)\nclass C(metaclass=M): pass",
        "[k.__name__ for k in C.__mro__] == ['C', 'int', 'object']",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_what_a_class_says_of_itself_does_not_agree_with_the_tests(bare: Apart, name: str) -> None:
    code, claim = LIES[name]
    assert not bare.run(ANY + code, f"import inspect, typing\nfrom candidate import C\ndef test_a(): assert {claim}").accepted


@pytest.mark.parametrize(
    "code",
    [
        "class M(type):\n    def __instancecheck__(cls, one): return True\nclass Point(metaclass=M): pass",
        "Point = object | int",
        "import typing\nPoint = typing.Union[int, str]",
    ],
)
def test_a_class_that_takes_all_for_its_own_has_its_word(bare: Apart, code: str) -> None:
    result = bare.run(
        f"{code}\ndef f(x): return 3", "from candidate import Point, f\ndef test_a(): assert isinstance(f(1), Point)"
    )
    assert result.tests["test_a"]["basis"] == "word"


# Coroutines

LOCK = (
    "import asyncio\nclass C:\n    def __init__(self): self.n, self.lock = 0, asyncio.Lock()\n    async def add(self):\n        async with self.lock:\n"
    "            n = self.n\n            await asyncio.sleep(0)\n            self.n = n + 1\n"
)
BESIDE = {
    "a lock": (
        LOCK,
        "c = C()\nawait asyncio.gather(*[c.add() for _ in range(5)])\nassert c.n == 5",
        LOCK.replace("self.lock:", "asyncio.Lock():"),
    ),
    "a group of tasks": (
        LOCK,
        "c = C()\nasync with asyncio.TaskGroup() as g:\n    for _ in range(5): g.create_task(c.add())\nassert c.n == 5",
        LOCK.replace("self.lock:", "asyncio.Lock():"),
    ),
    "a queue that is empty at first": (
        "import asyncio\nclass C:\n    def __init__(self): self.q = asyncio.Queue()\n    async def put(self, x): await self.q.put(x)\n    async def get(self): return await self.q.get()",
        "c = C()\nassert (await asyncio.gather(c.get(), c.put(5)))[0] == 5",
        "class C:\n    async def put(self, x): pass\n    async def get(self): return 6",
    ),
    "an event that the tests set": (
        "import asyncio\nclass C:\n    def __init__(self): self.e = asyncio.Event()\n    async def wait(self):\n        self.on = True\n        await self.e.wait()\n        return 1\n    def set(self): self.e.set()",
        "c = C()\nt = asyncio.create_task(c.wait())\nawait asyncio.sleep(0)\nassert c.on and not t.done()\nc.set()\nassert await t == 1",
        "class C:\n    on = True\n    async def wait(self): return 1\n    def set(self): pass",
    ),
    "a semaphore around functions of the tests'": (
        "import asyncio\nclass C:\n    async def map(self, f, xs, most):\n        s = asyncio.Semaphore(most)\n        async def one(x):\n            async with s: return await f(x)\n"
        "        return await asyncio.gather(*map(one, xs))",
        "now = most = 0\nasync def f(x):\n    nonlocal now, most\n    now += 1\n    most = max(most, now)\n    await asyncio.sleep(0.002)\n    now -= 1\n    return 2 * x\n"
        "assert await C().map(f, range(5), 2) == [0, 2, 4, 6, 8] and most == 2",
        "import asyncio\nclass C:\n    async def map(self, f, xs, most): return await asyncio.gather(*map(f, xs))",
    ),
    "coroutines of the tests'": (
        "import asyncio\nclass C:\n    async def within(self, seconds, coroutine):\n        try: return await asyncio.wait_for(coroutine, seconds)\n        except asyncio.TimeoutError: return None",
        "async def slow(): await asyncio.sleep(2)\nasync def fast(): return 3\nassert await C().within(1, fast()) == 3 and await C().within(0.02, slow()) is None",
        "class C:\n    async def within(self, seconds, coroutine): return coroutine.close()",
    ),
    "a timeout": (
        "import asyncio\nclass C:\n    async def slow(self):\n        try: await asyncio.sleep(9)\n        except asyncio.CancelledError:\n            self.left = True\n            raise",
        "c = C()\ntry:\n    await asyncio.wait_for(c.slow(), 0.02)\n    assert False\nexcept asyncio.TimeoutError: assert c.left",
        "import asyncio\nclass C:\n    left = True\n    async def slow(self): raise asyncio.CancelledError",
    ),
    "tasks in the background": (
        "import asyncio\nclass C:\n    n = 0\n    def start(self): self.t = asyncio.create_task(self.run())\n    async def run(self):\n        while True:\n            self.n += 1\n            await asyncio.sleep(0.001)\n"
        "    def stop(self): self.t.cancel()",
        "c = C()\nc.start()\nawait asyncio.sleep(0.1)\nc.stop()\nawait asyncio.sleep(0)\nn = c.n\nassert n > 2\nawait asyncio.sleep(0.02)\nassert c.n == n",
        "class C:\n    n = 0\n    def start(self): pass\n    def stop(self): pass",
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_coroutines_of_the_candidate_run_beside_each_other(bare: Apart, name: str) -> None:
    code, body, wrong = BESIDE[name]
    lines = "\n".join("        " + line for line in body.splitlines())
    tests = f"import asyncio\nfrom candidate import C\ndef test_a():\n    async def main():\n{lines}\n    asyncio.run(main())"
    assert bare.run(code, tests).accepted, bare.run(code, tests)
    assert not bare.run(wrong, tests).accepted


SLOW = "import asyncio\nasync def f(x): await asyncio.sleep(9)\nasync def run(*cs): "
ABANDONED = {
    "by an end": (SLOW, "asyncio.create_task(check())\nawait asyncio.sleep(0)"),
    "by a wait that is over": (SLOW, "await asyncio.wait([asyncio.create_task(check())], timeout=0.02)"),
    "by the candidate's cancelling": (
        SLOW + "\n    t = asyncio.ensure_future(cs[0])\n    await asyncio.sleep(0)\n    t.cancel()\n    await asyncio.wait([t])",
        "await run(check())",
    ),
    "by the candidate's catching": (
        SLOW.replace("await asyncio.sleep(9)", "raise asyncio.CancelledError")
        + "\n    try: await cs[0]\n    except BaseException: pass",
        "await run(check())",
    ),
}


@pytest.mark.parametrize("name", ABANDONED)
def test_an_assertion_that_waits_for_the_candidate_at_the_end_was_not_reached(bare: Apart, name: str) -> None:
    code, body = ABANDONED[name]
    code += "pass" * code.endswith(" ")
    lines = "\n".join("        " + line for line in body.splitlines())
    head = "import asyncio\nfrom candidate import f, run\nasync def check(): assert await f(3) == 9\n"
    result = bare.run(code, f"{head}def test_a():\n    async def main():\n{lines}\n    asyncio.run(main())")
    assert "not reached" in result.tests["test_a"]["message"], result


def test_a_coroutine_that_is_handed_over_in_vain_is_on_the_candidates_word(bare: Apart) -> None:
    code = "async def f(x): return 9\nasync def run(c): c.close()"
    head = "import asyncio\nfrom candidate import f, run\nasync def check(): assert await f(3) == 9\n"
    assert bare.run(code, f"{head}def test_a(): asyncio.run(run(check()))").tests["test_a"]["basis"] == "word"
