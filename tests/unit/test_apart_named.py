"""Texts and paths of the candidate's that the tests follow: none leads to what they hold, and honest ones work."""

from __future__ import annotations

import pytest
from apart_harness import Apart

EXPECTED = "'Hello, Bob Smith, 42 of 42'"
IMPORTS = f"import pytest\nfrom candidate import f\nEXPECTED = {EXPECTED}\n"
USER = """
class User:
    def __init__(self, first, last): self.first, self.last = first, last
    def full(self): return self.first + ' ' + self.last
class Log:
    def __init__(self): self.lines = []
    def info(self, text, *args): self.lines.append(text.format(*args))
class Node:
    def __init__(self, **items): self.__dict__.update(items)
    def get(self, path):
        found = self
        for part in path.split('.'): found = found[part] if isinstance(found, dict) else getattr(found, part)
        return found
def name(x): return x
"""


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(): return '{user.__init__.__globals__[EXPECTED]}'", "assert f().format(user=User('Bob', 'Smith')) == EXPECTED"),
        ("def f(): return '{0:{1.__globals__[WIDTH]}}'", "assert f().format('x', name) == 'x    '"),
        ("def f(): return '{1.__globals__[EXPECTED]}'", "assert f().format('Bob', name) == EXPECTED"),
        ("def f(): return '{1.__globals__[EXPECTED]}'", "assert str.format(f(), 'Bob', name) == EXPECTED"),
        ("def f(): return '{u.__init__.__globals__[EXPECTED]}'", "assert f().format_map({'u': User('Bob', 'S')}) == EXPECTED"),
        (
            "def f(log): log.info('{0.__init__.__globals__[EXPECTED]}', log)",
            "log = Log(); f(log); assert log.lines == [EXPECTED]",
        ),
        ("def f(n): return n.get('__init__.__globals__.EXPECTED')", "assert f(Node(a=1)) == EXPECTED"),
        (
            "class C:\n    looks = 0\n    @property\n    def fn(self):\n        self.looks += 1\n"
            "        return self.g if self.looks > 1 else 'x'\n"
            "def f(g):\n    c = C()\n    c.g = g\n    return c, '{0.fn.__globals__[EXPECTED]}'",
            "c, text = f(name); assert text.format(c) == EXPECTED",
        ),
        (
            "class T(str):\n    def __str__(self): return 'x'\ndef f(): return T('{0.__globals__[EXPECTED]}')",
            "assert f().format(name) == EXPECTED",
        ),
        (
            "class T(str):\n    def m(self): pass\ndef f(): return T('__globals__')",
            "assert getattr(name, f())['EXPECTED'] == EXPECTED",
        ),
        (
            "class C: pass\ndef f(): return C(), '{0._fumehood_link.unreached._sides.tree.body[2].value.value}'",
            "c, text = f(); assert text.format(c) == EXPECTED",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "fixture"])
def test_a_text_leads_behind_no_object(bare: Apart, code: str, test: str, kind: str) -> None:
    tests = f"{IMPORTS}WIDTH = 5\n{USER}\ndef test_f({'tmp' if kind == 'fixture' else ''}):\n    {test}\n"
    tests = tests + "@pytest.fixture\ndef tmp(): return 1\n" if kind == "fixture" else tests
    result = bare.run(f"class C: pass\n{code}", tests)
    assert result.outcomes == {"test_f": "failed"}, result


@pytest.mark.parametrize(
    ("code", "test"),
    [
        (
            "def f(): return 'Hello, {user.first} {user.last}, {0} of {0}'",
            "assert f().format(42, user=User('Bob', 'Smith')) == EXPECTED",
        ),
        ("def f(): return '{0:>{w}}{0[0]}'", "assert f().format('xy', w=3) == ' xyx'"),
        ("def f(): return '{0.__name__} {1.__class__.__name__}'", "assert f().format(name, User('a', 'b')) == 'name User'"),
        ("def f(): return '{x}'", "assert f().format_map({'x': 3}) == '3'\n    with pytest.raises(KeyError): f().format(y=1)"),
        ("class F:\n    def format(self, x): return f'<{x}>'\nf = F", "assert f().format(3) == '<3>'"),
        ("def f(n): return n.get('a.b')", "assert f(Node(a=Node(b=3))) == 3"),
        ("class C:\n    a, b = 1, 2\ndef f(): return C()", "assert [getattr(f(), name) for name in ('a', 'b')] == [1, 2]"),
        ("def f(x): return x + 1", "assert getattr(f, 'missing', 3) == 3\n    assert '{}'.format(f(1)) == '2'"),
    ],
)
def test_honest_texts_are_followed(bare: Apart, code: str, test: str) -> None:
    result = bare.run(code, f"{IMPORTS}{USER}\ndef test_f():\n    {test}\n")
    assert result.accepted, result


def test_the_file_of_the_tests_says_nothing(bare: Apart) -> None:
    code = "import pathlib\ndef f(x): return pathlib.Path('test_candidate.py')\n"
    tests = "import pathlib\nfrom candidate import f\nclass TestF:\n    def test_f(self):\n        assert 'Total: 42' in open(f(3)).read()\n"
    result = bare.run(code, tests)
    assert result.outcomes == {"TestF::test_f": "failed"}, result


@pytest.mark.parametrize(
    ("code", "test", "basis"),
    [
        ("def f(): return 'sqrt'", "assert getattr(math, f())(4) == 2.0", "word"),
        ("def f(): return 'upper'", "assert getattr('ab', f())() == 'AB'", "word"),
        ("def f(): return {'startswith': lambda p: True}", "assert SimpleNamespace(**f()).startswith('ab')", "word"),
        ("def f(): return {'name': 'ab'}", "assert f()['name'].startswith('ab')", "data"),
        ("class C:\n    def a(self): return 3\nf = C", "for name in 'a': assert getattr(f(), name)() == 3", "data"),
        ("def f(): return 'first'", "assert getattr(User('Bob', 'S'), f()) == 'Bob'", "data"),
    ],
)
def test_a_function_that_a_text_of_the_candidates_names_rests_on_its_word(bare: Apart, code: str, test: str, basis: str) -> None:
    result = bare.run(code, f"import math\nfrom types import SimpleNamespace\n{IMPORTS}{USER}\ndef test_f():\n    {test}\n")
    assert result.accepted, result
    assert result.tests["test_f"]["basis"] == basis


def test_a_patch_that_the_candidate_names_replaces_nothing_of_the_tests(bare: Apart) -> None:
    code = "def f(): return 'test_candidate.EXPECTED'\ndef g(): return 3\n"
    tests = "from unittest.mock import patch\nfrom candidate import f, g\nEXPECTED = 5\n"
    tests += "def test_f():\n    with patch(f(), 3): assert g() == EXPECTED\n"
    assert bare.run(code, tests).outcomes == {"test_f": "failed"}


def test_a_patch_that_the_candidate_names_imports_no_file_of_its_own(bare: Apart) -> None:
    code = "def f():\n    with open('evil.py', 'w') as out: out.write('X = 1')\n    return 'evil.X'\n"
    tests = "from pathlib import Path\nfrom unittest.mock import patch\nfrom candidate import f\n"
    tests += "def test_f():\n    assert not Path('x').exists()\n    with patch(f(), 3): assert True\n"
    assert bare.run(code, tests).outcomes == {"test_f": "failed"}
