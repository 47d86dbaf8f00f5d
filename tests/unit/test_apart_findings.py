"""A failed assertion stays failed: nothing of the candidate's runs before it is noted, and nothing of the candidate's undoes it."""

from __future__ import annotations

import pytest
from apart_harness import Apart, Result

LEAVES = "class Gone(BaseException): pass\nclass Odd:\n    def __repr__(self): raise Gone\n    __str__ = __repr__\ndef f(x): return Odd()\ndef leave(): raise Gone"
EXITS = (
    LEAVES.replace("class Gone(BaseException): pass", "Gone = SystemExit")
    + "\nclass Swallows:\n    def __enter__(self): return self\n    def __exit__(self, *a): raise KeyError(1)\n"
)


UNDONE = {
    "its text leaves": (
        LEAVES,
        "import pytest\nfrom candidate import f, Gone, leave\ndef test_a():\n    with pytest.raises(Gone):\n        assert f(2) == 4\n        leave()",
    ),
    "its text exits, and real pytest runs": (
        EXITS,
        "import pytest\nfrom candidate import f, leave\nclass TestF:\n    def test_a(self):\n        with pytest.raises(SystemExit):\n            assert f(2) == 4\n            leave()",
    ),
    "its text exits in unittest": (
        EXITS,
        "import unittest\nfrom candidate import f, leave\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(SystemExit):\n            self.assertEqual(f(2), 4)\n            leave()",
    ),
    "its text exits in a message": (
        EXITS,
        "import pytest\nfrom candidate import f, leave\ndef test_a():\n    with pytest.raises(SystemExit):\n        y = f(2)\n        assert 1 == 4, y\n        leave()",
    ),
    "a failure that is raised by hand": (
        "Wrong = (AssertionError, KeyError)\ndef f(x): return x",
        "from candidate import f, Wrong\ndef test_a():\n    try:\n        if f(2) != 4:\n            raise AssertionError('no')\n    except Wrong: pass",
    ),
    "unittest's fail": (
        "Wrong = (AssertionError,)\ndef f(x): return x",
        "import unittest\nfrom candidate import f, Wrong\nclass T(unittest.TestCase):\n    def test_a(self):\n        try: self.fail('no')\n        except Wrong: pass",
    ),
    "pytest's fail": (
        "Wrong = (BaseException,)\ndef f(x): return x",
        "import pytest\nfrom candidate import f, Wrong\ndef test_a():\n    try: pytest.fail('no')\n    except Wrong: pass",
    ),
    "an error that did not come": (
        "Wrong = (BaseException,)\ndef f(x): return x",
        "import pytest\nfrom candidate import f, Wrong\ndef test_a():\n    try:\n        with pytest.raises(ValueError): f(2)\n    except Wrong: pass",
    ),
    "a context manager that raises what is waited for": (
        EXITS,
        "import pytest\nfrom candidate import Swallows\ndef test_a():\n    with pytest.raises(KeyError):\n        with Swallows():\n            assert 1 == 2",
    ),
    "a decorator that catches": (
        "import functools\ndef quiet(f):\n    @functools.wraps(f)\n    def g(*a):\n        try: return f(*a)\n        except BaseException: return None\n    return g\ndef f(x): return x",
        "from candidate import quiet, f\n@quiet\ndef test_a():\n    assert f(2) == 4\ndef test_b(): pass",
    ),
    "a callback whose failure is swallowed": (
        "def each(xs, g):\n    for x in xs:\n        try: g(x)\n        except BaseException: pass",
        "from candidate import each\ndef test_a():\n    def g(x): assert x == 4\n    each([2], g)",
    ),
    "a handler in another test": (
        "Wrong = (AssertionError,)\ndef f(x): return x",
        "from candidate import f, Wrong\ndef test_a():\n    try: assert f(2) == 4\n    except Wrong: pass\ndef test_b():\n    try: f(1)\n    except Exception: pass",
    ),
}


@pytest.mark.parametrize("name", UNDONE)
def test_no_failure_is_undone_by_the_candidate(bare: Apart, name: str) -> None:
    result = bare.run(*UNDONE[name])
    failed = [test for test in result.tests if test.endswith("test_a")]
    assert failed, result
    assert result.outcomes[failed[0]] == "failed", result
    assert not result.tests[failed[0]]["proved"]


HANDLED = [
    "def test_a():\n    try: assert f(2) == 4\n    except AssertionError: pass",
    "def test_a():\n    try: assert f(2) == 4\n    except Exception: pass",
    "def test_a():\n    try: assert f(2) == 4\n    except: pass",
    "def test_a():\n    with pytest.raises(AssertionError): assert f(2) == 4",
    "KINDS = (ValueError, AssertionError)\ndef test_a():\n    try: assert f(2) == 4\n    except KINDS: pass",
    "import contextlib\ndef test_a():\n    with contextlib.suppress(AssertionError): assert f(2) == 4",
    "def check(): assert f(2) == 4\ndef test_a(): pytest.raises(AssertionError, check)",
    "def check(): assert f(2) == 4\ndef test_a():\n    try: check()\n    except AssertionError: return\n    raise KeyError",
    "import contextlib\n@contextlib.contextmanager\ndef fails():\n    try: yield\n    except AssertionError: pass\ndef test_a():\n    with fails(): assert f(2) == 4",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(AssertionError): self.assertEqual(f(2), 4)",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(self.failureException): self.fail()",
    "def test_a():\n    with pytest.raises(pytest.fail.Exception): pytest.fail('x')",
]


@pytest.mark.parametrize("tests", HANDLED)
def test_a_handler_of_the_tests_own_undoes_it(bare: Apart, tests: str) -> None:
    result = bare.run("def f(x): return x", f"import pytest\nfrom candidate import f\n{tests}")
    assert result.accepted, result


@pytest.mark.parametrize("library", ["numpy.testing", "torch.testing"])
def test_failures_of_array_libraries_are_final(heavy: Apart, library: str) -> None:
    root = library.partition(".")[0]
    name = "assert_allclose" if root == "numpy" else "assert_close"
    array = "np.ones(2)" if root == "numpy" else "np.ones(2)".replace("np", "torch")
    code = f"import {root}\nWrong = (AssertionError,)\ndef f(): return {array.replace('np', root)}"
    tests = f"import {root}, {library}\nfrom candidate import f, Wrong\ndef test_a():\n    try: {library}.{name}(f(), {array.replace('np', root)} * 2)\n    except Wrong: pass"
    assert heavy.run(code, tests).outcomes == {"test_a": "failed"}
    assert heavy.run(code, tests.replace("* 2", "* 1")).accepted


def _doubts(result: Result) -> list[int]:
    return [place for place, event in enumerate(result.events) if event["event"] == "doubt"]


@pytest.mark.parametrize(
    "tests",
    [
        "from candidate import f\ndef test_a(): assert f(2) == 4",
        "import pytest\nfrom candidate import f\n@pytest.fixture\ndef x(): pass\ndef test_a(x): assert f(2) == 4",
        "import unittest\nfrom candidate import f\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(2), 4)",
    ],
)
def test_a_failure_is_noted_before_the_candidate_can_end_over_it(bare: Apart, tests: str) -> None:
    code = "import os\nclass Odd:\n    def __repr__(self): os._exit(0)\ndef f(x): return Odd()"
    assert _doubts(bare.run(code, tests))
