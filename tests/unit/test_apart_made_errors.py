"""Exceptions of the candidate's classes that the tests make: what the class does to them is done, and counts."""

from __future__ import annotations

import pytest
from apart_harness import Apart

GOOD = """
class AppError(Exception):
    code = 1
    def __init__(self, message, code=1):
        super().__init__(f"{code}: {message}")
        self.code = code
    def hint(self): return self.code + 1
    @property
    def doubled(self): return 2 * self.code
class Below(AppError): pass
class Insufficient(Exception):
    def __init__(self, balance, amount):
        self.balance, self.amount = balance, amount
    def __str__(self): return f"need {self.amount - self.balance}"
class Plain(Exception): pass
class Coded(ValueError):
    status = 404
seen = []
def fail(x):
    try: raise AppError(x, 3)
    except AppError as error: seen.append(error); raise
def last(): return seen[-1]
def run(job):
    try: return job()
    except AppError as error: return error.code
"""
HEAD = "import pytest\nfrom candidate import AppError, Below, Insufficient, Plain, Coded, fail, last, run\ndef test_a():\n    "
HONEST = (
    "e = AppError('x', 5)\nassert e.code == 5 and str(e) == '5: x' and e.args == ('5: x',) and e.hint() == 6 and e.doubled == 10",
    "e = Below('x', code=7)\nassert isinstance(e, AppError) and type(e) is Below and e.code == 7",
    "with pytest.raises(Insufficient, match='need 20') as ei:\n    raise Insufficient(10, 30)\nassert ei.value.amount == 30",
    "try:\n    raise AppError('x', 7)\nexcept AppError as e:\n    assert e.code == 7",
    "with pytest.raises(TypeError):\n    Insufficient(1)",
    "assert str(Plain('x')) == 'x' and Plain(1, 2).args == (1, 2)",
    "assert Coded('x').status == 404 and isinstance(Coded('x'), ValueError)",
    "def job(): raise AppError('x', 9)\nassert run(job) == 9",
    "with pytest.raises(AppError) as ei:\n    fail('x')\nassert ei.value.code == 3 and last().code == 3",
    "with pytest.raises(AppError):\n    raise AppError('x') from ValueError('y')",
)


def in_a_test(body: str) -> str:
    return HEAD + body.replace("\n", "\n    ") + "\n"


@pytest.mark.parametrize("body", HONEST)
def test_errors_that_tests_make_are_as_their_class_makes_them(bare: Apart, body: str) -> None:
    result = bare.run(GOOD, in_a_test(body))
    assert result.accepted, result


WRONG = {
    "a constructor that fails": ("def __init__(self, m): raise ValueError", "e = AppError('x')\nassert str(e) == 'x'"),
    "another text": ("def __str__(self): return 'q'", "assert str(AppError('x')) == 'x'"),
    "another message": ("def __init__(self, *a): super().__init__('z')", "with pytest.raises(AppError, match='^x$'):\n    raise AppError('x')"),
    "something else": ("def __new__(cls, *a): return 5", "AppError('x')"),
    "no error": ("def __new__(cls, *a): return ValueError('x')", "with pytest.raises(AppError):\n    raise AppError('x')"),
    "an end": ("def __init__(self, *a): raise SystemExit", "AppError('x')"),
    "equal to all": ("def __eq__(self, other): return True", "assert AppError('x') == AppError('y')"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors_that_are_made_wrongly_fail(bare: Apart, name: str) -> None:
    part, body = WRONG[name]
    tests = "import pytest\nfrom candidate import AppError\ndef test_a():\n    " + body.replace("\n", "\n    ") + "\n"
    result = bare.run(f"class AppError(Exception):\n    {part}\n", tests)
    assert not result.accepted, result
    assert not result.tampered
    assert not any(test["proved"] for test in result.tests.values())


COPIED = """
from dataclasses import dataclass
class Coded(Exception):
    def __init__(self, code, message="m"):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message
    def __reduce__(self): return Coded, (self.code, self.message)
class Lossy(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.a, self.b = a, b
class Forgets(Exception):
    def __init__(self, a):
        super().__init__(a)
        self.a = a
    def __reduce__(self): return Forgets, (0,)
class Another(Exception):
    def __init__(self, a): self.a = a
    def __reduce__(self): return AssertionError, ("x",)
@dataclass
class Equal(Exception):
    code: int
def fail(): raise Coded(7, "x")
"""
ARE_COPIED = (
    "for made in (pickle.loads(pickle.dumps(Coded(7, 'x'))), copy.copy(Coded(7, 'x')), copy.deepcopy([Coded(7, 'x')])[0]):\n"
    "    assert type(made) is Coded and made.code == 7 and made.message == 'x' and str(made) == '7: x'",
    "with pytest.raises(Coded) as caught:\n    fail()\nassert pickle.loads(pickle.dumps(caught.value)).code == 7",
    "with pytest.raises(Coded):\n    raise copy.copy(Coded(7))",
    "with pytest.raises(TypeError):\n    pickle.loads(pickle.dumps(Lossy(1, 2)))",
    "made = Equal(3)\nassert copy.copy(made) == made and made != Equal(4) and repr(made) == 'Equal(code=3)'",
)
ARE_NOT = (
    "assert pickle.loads(pickle.dumps(Forgets(3))).a == 3",
    "assert copy.copy(Forgets(3)).a == 3",
    "assert copy.deepcopy(Forgets(3)).args == (3,)",
    "assert pickle.loads(pickle.dumps(Lossy(1, 2))).a == 1",
    "with pytest.raises(Another):\n    raise pickle.loads(pickle.dumps(Another(3)))",
    "assert Equal(3) == Equal(4)",
)


@pytest.mark.parametrize(("body", "accepted"), [*((body, True) for body in ARE_COPIED), *((body, False) for body in ARE_NOT)])
def test_errors_are_copied_and_pickled_as_their_class_does_it(bare: Apart, body: str, accepted: bool) -> None:
    head = "import copy, pickle, pytest\nfrom candidate import Another, Coded, Equal, Forgets, Lossy, fail\ndef test_a():\n    "
    result = bare.run(COPIED, head + body.replace("\n", "\n    ") + "\n")
    assert result.accepted is accepted, result


@pytest.mark.parametrize(
    ("code", "what", "holds"),
    [
        ("def f(): open('nope')", "FileNotFoundError", "e.value.filename == 'nope' and e.value.errno == 2"),
        (
            "def f(): raise PermissionError(13, 'no', 'a', None, 'b')",
            "OSError",
            "(e.value.filename, e.value.filename2) == ('a', 'b')",
        ),
        ("class C: pass\ndef f(): return C().size", "AttributeError", "e.value.name == 'size'"),
        ("def f(): return missing", "NameError", "e.value.name == 'missing'"),
    ],
)
def test_errors_keep_what_python_keeps_in_them(bare, code, what, holds):
    tests = f"import pytest\nfrom candidate import f\ndef test_f():\n    with pytest.raises({what}) as e:\n        f()\n    assert {holds}\n"
    result = bare.run(code, tests)
    assert result.accepted, result
