"""A failed assertion stays one, whatever the candidate raises, catches, or hands out as the class of an error."""

from __future__ import annotations

import pytest

TRIED = "try:\n    f(-1)\n    assert False, 'no error'\nexcept {}: pass"
FORGED = {
    "AssertionError in a class": ("class Stack:\n    Empty = AssertionError\ndef f(x): return x", "import Stack", TRIED.format("Stack.Empty")),
    "a base of it in a class": ("class Stack:\n    Empty = Exception\ndef f(x): return x", "import Stack", TRIED.format("Stack.Empty")),
    "BaseException in a nested name": ("class errors:\n    class http:\n        Bad = BaseException\ndef f(x): return x", "import errors", TRIED.format("errors.http.Bad")),
    "a tuple of it": ("Err = (AssertionError, ValueError)\ndef f(x): return x", "import Err", TRIED.format("Err")),
    "tuples in tuples": ("Err = ((BaseException,), ValueError)\ndef f(x): return x", "import Err", TRIED.format("Err")),
    "a function's result": ("def kind(): return AssertionError\ndef f(x): return x", "import kind", TRIED.format("kind()")),
    "an instance's attribute": ("class C:\n    def __init__(s): s.error = Exception\ndef f(x): return x", "import C", TRIED.format("C().error")),
    "a value of a dictionary": ("ERRORS = {'bad': AssertionError}\ndef f(x): return x", "import ERRORS", TRIED.format("ERRORS['bad']")),
    "a class of its own below it": ("class Bad(AssertionError): pass\ndef f(x): return x", "import Bad", TRIED.format("Bad")),
    "a class with a checked subclass": (
        "class Meta(type):\n    def __subclasscheck__(c, k): return True\n    def __instancecheck__(c, o): return True\nclass Bad(Exception, metaclass=Meta): pass\ndef f(x): return x",
        "import Bad",
        TRIED.format("Bad"),
    ),
    "raises with what was handed out": ("Err = (AssertionError,)\ndef f(x): return x", "import Err", "with pytest.raises(Err):\n    assert f(-1) == 5"),
    "suppress with what was handed out": ("Err = AssertionError\ndef f(x): return x", "import Err", "with contextlib.suppress(Err):\n    assert f(-1) == 5\n    return\nassert f(-1) == 5"),
    "an exit that raises": (
        "class Tx:\n    def __enter__(s): return s\n    def __exit__(s, *a): raise ValueError('x')\n    def get(s): return 3\ndef f(x): return x",
        "import Tx",
        "with pytest.raises(ValueError):\n    with Tx() as t:\n        assert t.get() == 4",
    ),
    "an exit that is awaited and raises": (
        "class Tx:\n    async def __aenter__(s): return s\n    async def __aexit__(s, *a): raise ValueError('x')\n    def get(s): return 3\ndef f(x): return x",
        "import Tx",
        "async def go():\n    async with Tx() as t:\n        assert t.get() == 4\nwith pytest.raises(ValueError): asyncio.run(go())",
    ),
    "a generator as a context manager": (
        "def tx():\n    try: yield 3\n    except BaseException: raise ValueError('x')\ndef f(x): return x",
        "import tx",
        "with pytest.raises(ValueError):\n    with contextlib.contextmanager(tx)() as v:\n        assert v == 4",
    ),
    "a generator that swallows": ("def tx():\n    try: yield 3\n    except BaseException: pass\ndef f(x): return x", "import tx", "with contextlib.contextmanager(tx)() as v:\n    assert v == 4"),
    "a text that leaves": ("class R:\n    def __repr__(s): raise SystemExit(0)\ndef f(x): return R()\ndef halt(): raise SystemExit", "import halt", "with pytest.raises(SystemExit):\n    assert f(2) == 4\n    halt()"),
    "a text that raises a base of its own": (
        "class Stop(BaseException): pass\nclass R:\n    def __repr__(s): raise Stop\ndef f(x): return R()",
        "import Stop",
        "with pytest.raises(Stop):\n    assert f(2) == 4",
    ),
    "a truth that leaves": ("class R:\n    def __bool__(s): raise SystemExit(0)\ndef f(x): return R()", "import f as g", "with pytest.raises(SystemExit):\n    assert f(2)"),
    "a loop that has no items": ("def f(x): raise StopIteration", "import f as g", "for a, b in zip(map(f, [1, 2]), [1, 4]): assert a == b"),
    "all of nothing": ("def f(x): raise StopIteration", "import f as g", "assert all(map(f, [1, 2])) and list(map(f, [1])) == []"),
    "a loop of its own class of stop": ("class Stop(StopIteration): pass\ndef f(x): raise Stop", "import f as g", "for a in map(f, [1, 2]): assert a == 1"),
}  # fmt: skip
HELD = {
    "an error under its own name": ("class Stack:\n    Empty = IndexError\n    def pop(s): raise s.Empty('x')\ndef f(x): raise ValueError('neg')", "import Stack", "with pytest.raises(Stack.Empty): Stack().pop()\nwith pytest.raises(ValueError, match='neg'): f(1)"),
    "Exception under its own name": ("Err = Exception\ndef f(x): raise Err('x')", "import Err", "with pytest.raises(Err): f(1)\ntry: f(1)\nexcept Exception as e: assert str(e) == 'x'"),
    "an assertion of the candidate's": ("def f(x): assert x > 0, 'positive'", "import f as g", "with pytest.raises(AssertionError, match='positive'): f(-1)"),
    "a tuple of errors": ("Errs = (KeyError, ValueError)\ndef f(x): return {}[x]", "import Errs", "with pytest.raises(Errs): f(1)"),
    "an exit that swallows what it is for": (
        "class Quiet:\n    def __enter__(s): return s\n    def __exit__(s, k, e, t): return k is KeyError\ndef f(x): return x",
        "import Quiet",
        "with Quiet(): {}['a']",
    ),
    "an exit that raises anew": (
        "class Wrap:\n    def __enter__(s): return s\n    def __exit__(s, k, e, t):\n        if k is KeyError: raise ValueError('w') from e\ndef f(x): return x",
        "import Wrap",
        "with pytest.raises(ValueError, match='w'):\n    with Wrap(): {}['a']",
    ),
    "an iterator that stops": ("class Up:\n    def __init__(s, n): s.n = n\n    def __iter__(s): return s\n    def __next__(s):\n        if not s.n: raise StopIteration\n        s.n -= 1\n        return s.n\ndef f(x): return iter(Up(x))", "import Up", "assert list(Up(2)) == [1, 0] and next(f(1)) == 0 and list(f(0)) == []"),
    "a stop that is named": ("class It:\n    def take(s): raise StopIteration\ndef f(x): return x", "import It", "with pytest.raises(StopIteration): It().take()"),
    "an assertion that is expected to fail": ("def f(x): return x", "import f as g", "with pytest.raises(AssertionError): assert f(1) == 2\ntry:\n    assert f(1) == 2\nexcept AssertionError: pass"),
    "attributes, notes and groups": (
        "class Short(Exception):\n    def __init__(s, need, have):\n        super().__init__('short')\n        s.need, s.have = need, have\n    @property\n    def missing(s): return s.need - s.have\n    def twice(s): return 2 * s.missing\n"
        "def f(x):\n    e = Short(5, 3)\n    e.add_note('hint')\n    raise ExceptionGroup('many', [e, ValueError('a')])",
        "import Short",
        "with pytest.raises(ExceptionGroup) as e: f(1)\none, two = e.value.exceptions\nassert isinstance(one, Short) and one.missing == 2 and one.twice() == 4 and one.__notes__ == ['hint'] and str(two) == 'a'",
    ),
    "an error class of the tests' own": ("def f(kind): raise kind('x')\ndef g(do, kind):\n    try: do()\n    except kind: return 'caught'", "import g", "class Mine(Exception): pass\ndef boom(): raise Mine()\nwith pytest.raises(Mine, match='x'): f(Mine)\nassert g(boom, Mine) == 'caught'\nwith pytest.raises(ZeroDivisionError): g(lambda: 1 / 0, Mine)"),
}  # fmt: skip


def _run(bare, code, names, body):
    tests = "import asyncio, contextlib, pytest\n" + f"from candidate {names}\nfrom candidate import f\ndef test_a():\n"
    return bare.run(code, tests + "".join(f"    {line}\n" for line in body.splitlines()))


@pytest.mark.parametrize("name", FORGED)
def test_what_the_tests_found_goes_on(bare, name):
    result = _run(bare, *FORGED[name])
    assert result.outcomes == {"test_a": "failed"}, result.events


@pytest.mark.parametrize("name", HELD)
def test_what_is_expected_is_caught(bare, name):
    result = _run(bare, *HELD[name])
    assert result.outcomes == {"test_a": "passed"}, result.events
