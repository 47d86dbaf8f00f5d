"""An assertion that what the candidate gave keeps from being made leaves its word; one that the tests keep does not."""

from __future__ import annotations

import pytest
from apart_harness import Apart

HEAD = "import contextlib, pytest, unittest\nfrom candidate import f\nCASES = [([2, 1], [1, 2]), ([1], [1])]\n"
RIGHT = "def f(x): return sorted(x)\n"
NOTHING, EMPTY, RAISES = "def f(x): return None\n", "def f(x): return []\n", "def f(x): raise ValueError\n"

KEPT = {
    "a condition": (NOTHING, "r = f([2, 1])\nif r is not None:\n    assert r == [1, 2]"),
    "the other branch": (NOTHING, "r = f([2, 1])\nif r is None:\n    pass\nelse:\n    assert r == [1, 2]"),
    "a pattern": (NOTHING, "match f([2, 1]):\n    case [a, b]:\n        assert (a, b) == (1, 2)"),
    "a handler that leaves": (RAISES, "try:\n    r = f([2, 1])\nexcept Exception:\n    return\nassert r == [1, 2]"),
    "a handler that goes on": (RAISES, "try:\n    assert f([2, 1]) == [1, 2]\nexcept ValueError:\n    pass"),
    "an error that is suppressed": (RAISES, "with contextlib.suppress(ValueError):\n    assert f([2, 1]) == [1, 2]"),
    "an early end": (EMPTY, "r = f([2, 1])\nif not r:\n    return\nassert r == [1, 2]"),
    "the next turn of a loop": (EMPTY, "for x, want in CASES:\n    r = f(x)\n    if not r: continue\n    assert r == want"),
    "a loop over pairs": (EMPTY, "for a, b in zip(f([2, 1]), [1, 2]): assert a == b"),
    "a loop over items, beside another assertion": (EMPTY, "r = f([2, 1])\nassert len(f([])) == 0\nfor a, b in zip(r, [1, 2]): assert a == b"),
    "a loop that fails": (EMPTY, "for a, b in zip(f([2, 1]), [1, 2]):\n    if a != b: pytest.fail('no')"),
    "a loop that takes": (EMPTY, "r, n = f([2, 1]), 2\nwhile r:\n    assert r.pop() == n\n    n -= 1"),
    "a helper": (EMPTY, "same(f([2, 1]), [1, 2])\n\ndef same(got, want):\n    for a, b in zip(got, want): assert a == b"),
    "a helper that is called": (EMPTY, "for a, b in zip(f([2, 1]), [1, 2]): same(a, b)\n\ndef same(a, b): assert a == b"),
    "parts of a test": (EMPTY, "pass\n\nclass TestF(unittest.TestCase):\n  def test_b(self):\n    for n, a in enumerate(f([2, 1])):\n      with self.subTest(n): self.assertEqual(a, n + 1)"),
}  # fmt: skip
GATHERED = {
    "a helper that answers": "assert same(f([2, 1]), [1, 2])\n\ndef same(got, want):\n    for a, b in zip(got, want):\n        if a != b: return False\n    return True",
    "a count": "bad = 0\nfor a, b in zip(f([2, 1]), [1, 2]):\n    if a != b: bad += 1\nassert bad == 0",
    "a list": "bad = []\nfor n, a in enumerate(f([2, 1])):\n    if a != n + 1: bad.append(a)\nassert not bad",
    "a flag": "ok = True\nfor a, b in zip(f([2, 1]), [1, 2]): ok = ok and a == b\nassert ok",
    "a flag, beside other assertions": "r, ok = f([2, 1]), True\nassert isinstance(r, list)\nfor n, a in enumerate(r): ok &= a == n + 1\nassert ok",
    "a helper that takes": "assert same(f([2, 1]), [1, 2])\n\ndef same(a, b):\n    while a and b:\n        if a.pop() != b.pop(): return False\n    return True",
    "a loop with an end of its own": "ok = True\nfor a, b in zip(f([2, 1]), [1, 2]):\n    if a != b:\n        ok = False\n        break\nelse:\n    assert ok\nassert ok",
    "a generator": "assert list(wrong(f([2, 1]), [1, 2])) == []\n\ndef wrong(got, want):\n    for a, b in zip(got, want):\n        if a != b: yield a",
}  # fmt: skip
AS_EXPRESSIONS = {
    "a list that is empty": "assert [a for n, a in enumerate(f([2, 1])) if a != n + 1] == []",
    "a list that says no": "r = f([2, 1])\nassert not [a for a in r if a > 2]",
    "a list in a variable": "bad = [a for a in f([2, 1]) if a > 2]\nassert not bad",
    "a length": "assert len([a for a in f([2, 1]) if a > 2]) == 0",
    "a count": "assert sum(1 for a in f([2, 1]) if a > 2) == 0",
    "a set": "assert len({a for a in f([2, 1]) if a > 2}) < 1",
    "a dictionary": "assert {n: a for n, a in enumerate(f([2, 1])) if a != n + 1} == {}",
    "a sum": "assert sum(a > 2 for a in f([2, 1])) == 0",
    "the greatest": "assert max((abs(a - b) for a, b in zip(f([2, 1]), [1, 2])), default=0) <= 0.5",
    "the next": "assert next((a for a in f([2, 1]) if a > 2), None) is None",
    "all": "assert all(a == b for a, b in zip(f([2, 1]), [1, 2]))",
    "any, denied": "r = f([2, 1])\nassert not any(a != b for a, b in zip(r, [1, 2]))",
    "loops in loops": "assert [a for x in ([2, 1], [1, 2]) for a in f(x) if a > 2] == []",
    "a loop in a statement": "for x in ([2, 1], [1, 2]): assert not any(a > 2 for a in f(x))",
    "a helper": "assert same(f([2, 1]), [1, 2])\n\ndef same(a, b): return all(x == y for x, y in zip(a, b))",
    "a lambda": "same = lambda a, b: not [x for x, y in zip(a, b) if x != y]\nassert same(f([2, 1]), [1, 2])",
}
CHECK = "\n\ndef same(a, b): assert a == b"
CALLED = {
    "in a list": (EMPTY, "[same(a, b) for a, b in zip(f([2, 1]), [1, 2])]"),
    "after or": (NOTHING, "r = f([2, 1])\nr is None or same(r, [1, 2])"),
    "after and": (NOTHING, "r = f([2, 1])\nr and same(r, [1, 2])"),
    "in a choice": (NOTHING, "r = f([2, 1])\nsame(r, [1, 2]) if r else None"),
    "in an argument": (EMPTY, "list(same(a, b) for a, b in zip(f([2, 1]), [1, 2]))"),
    "under a condition": (NOTHING, "r = f([2, 1])\nif r is not None: done = same(r, [1, 2])"),
}
EXCUSED = {
    "by its truth": "r = f([2, 1])\nassert not r or r == [1, 2]",
    "by being None": "r = f([2, 1])\nassert r is None or r == [1, 2]",
    "a call's by being None": "assert f([2, 1]) is None or f([2, 1]) == [1, 2]",
    "by being None, in a choice": "r = f([2, 1])\nassert r == [1, 2] if r is not None else True",
    "by being None, denied": "r = f([2, 1])\nassert not (r is not None and r != [1, 2])",
    "by being None, in a variable": "r = f([2, 1])\nok = r is None or r == [1, 2]\nassert ok",
    "by being None, in a helper": "assert ok(f([2, 1]), [1, 2])\n\ndef ok(r, want): return r is None or r == want",
    "by being None, before a failure": "r = f([2, 1])\nif r is not None and r != [1, 2]: pytest.fail('other')",
    "by being None, in a method": "pass\n\nclass TestF(unittest.TestCase):\n  def test_b(self):\n    r = f([2, 1])\n    self.assertTrue(r is None or r == [1, 2])",
    "by its type": "r = f([2, 1])\nassert not (isinstance(r, list) and r) or r == [1, 2]",
    "by its type alone": "r = f([2, 1])\nassert type(r) is list or r == (1, 2)",
    "by how long it is": "r = f([2, 1])\nassert len(r) == 0 or r == [1, 2]",
    "by being None, one of several": "r = f([2, 1])\nassert any([r is None, r == [1, 2]])",
    "by being None, with |": "r = f([2, 1])\nassert (r is None) | (r == [1, 2])",
    "by being None, denied with &": "r = f([2, 1])\nassert not ((r is not None) & (r != [1, 2]))",
    "by being None, in two variables": "r = f([2, 1])\nmissing = r is None\nok = missing or r == [1, 2]\nassert ok",
    "by being None, in what is expected": "r = f([2, 1])\nwant = None if r is None else [1, 2]\nassert r == want",
    "by being None, in a branch of a helper": "assert ok(f([2, 1]))\n\ndef ok(r):\n    if r is None: return True\n    return r == [1, 2]",
    "by its truth, in what is wrong": "r = f([2, 1])\nbad = r and r != [1, 2]\nassert not bad",
    "by another in its place": "r = f([2, 1])\nassert (r or [1, 2]) == [1, 2]",
    "by another in its place, before": "r = f([2, 1]) or [1, 2]\nassert r == [1, 2]",
    "by another in its place, by a choice": "r = f([2, 1])\nx = r if r else [1, 2]\nassert x == [1, 2]",
    "by itself in the place of what is expected": "r = f([2, 1])\nwant = [1, 2] if r else r\nassert r == want",
    "by its length": "want, r = [1, 2], f([2, 1])\nassert want[:len(r)] == r",
}  # fmt: skip
OWN = {
    "an excuse of its own": "for x, want in [*CASES, ([], None)]: assert want is None or f(x) == want",
    "both are None": "for x, want in CASES:\n    r = f(x)\n    assert (r is None and want is None) or r == want",
    "a choice of its own": "for x, want in CASES: assert (f(x) == want if want is not None else f(x) is None)",
    "one of two types": "r = f([2, 1])\nassert isinstance(r, list) or isinstance(r, tuple)\nassert isinstance(r, list) and r == [1, 2]",
    "what must be there and right": "r = f([2, 1])\nif r is None or r != [1, 2]: pytest.fail('other')",
    "a way out that is right": "r = f([2, 1])\nif r is not None and r == [1, 2]: return\npytest.fail('other')",
    "close, or one of two": "r = f([2, 1])\nassert same(r, [1, 2]) or r == [2, 1]\n\ndef same(a, b): return len(a) == len(b) and a == b",
    "one of two values of several": "r = f([2, 1])\nassert any([r == [1, 2], r == [2, 1]]) and (len(r) == 2) & (r[0] == 1)",
    "another in its place that is not right": "r = f([2, 1]) or []\nassert r == [1, 2] and (f([1]) or None) == [1]",
    "what is made of it by its type": "r = f([2, 1])\nout = r if isinstance(r, list) else list(r)\nassert out == [1, 2]",
    "what is expected, by a choice of its own": "for x, _ in CASES:\n    want = [1, 2] if len(x) > 1 else None\n    assert f(x) == (want or [1])",
    "a branch of a helper by its own type": "assert same(f([2, 1]), [1, 2])\n\ndef same(a, b):\n    if len(a) != len(b): return False\n    return a == b",
    "one of two values": "r = f([2, 1])\nassert r == [1, 2] or r == [2, 1]",
    "a part by its own length": "want, r = [1, 2, 3], f([2, 1])\nassert want[:2] == r and want[f([1])[0]:] == [2, 3]",
    "a condition of its own": "if len(CASES) > 5:\n    assert f([1]) == [1]\nassert f([2]) == [2]",
    "branches by what is expected": "for x, want in CASES:\n    if want is None: assert f(x) is None\n    else: assert f(x) == want",
    "what must raise": "with pytest.raises(TypeError):\n    assert f(3) == 3",
    "what must raise, by hand": "try:\n    f(3)\n    assert False\nexcept TypeError as error:\n    assert 'iterable' in str(error)",
    "a helper with branches": "same(f([2, 1]), [1, 2])\n\ndef same(got, want):\n    if want is None: assert got is None\n    else: assert got == want",
    "a loop that came to some": "for x in ([], [1]):\n    for a in f(x): assert a == 1",
    "a count of its own cases": "bad = 0\nfor x, want in CASES:\n    if f(x) != want: bad += 1\nassert bad == 0",
    "a loop over nothing of the candidate's": "n = 0\nfor x in sorted([]): n += x\nassert f([1]) == [1]",
    "a helper's loop that had a turn elsewhere": "assert made(f([])) == []\nassert made(f([1])) == [1]\n\ndef made(r):\n    out = []\n    for a in r: out.append(a)\n    return out",
    "a call that its own values leave out": "len(CASES) < 5 or same(f([1]), [1])\nassert f([1]) == [1]\n\ndef same(a, b): assert a == b",
    "parameters": "pass\n\n@pytest.mark.parametrize('x, want', [([2, 1], [1, 2]), ([1], None)])\ndef test_b(x, want):\n    if want is None: return\n    assert f(x) == want",
    "a list of what is there": "assert [str(a) for a in f([])] == [] and ','.join(str(a) for a in f([])) == ''",
    "a list over its own cases": "assert [x for x, want in CASES if f(x) != want] == []",
    "a list over nothing of the candidate's": "assert [x for x in sorted([]) if f([x]) != [x]] == []",
    "a comprehension that had a turn elsewhere": "for x in ([1], []): assert not [a for a in f(x) if a != 1]",
    "a comprehension that is not come to": "assert f([1]) == [1] or all(a == 1 for a in f([]))",
    "a function that is made and not called": "r = f([2, 1])\nif len(r) == 2:\n    assert r == [1, 2]\ndef check():\n    for a in r: assert a == 1",
}  # fmt: skip


def _tests(body: str) -> str:
    first, blank, rest = body.partition("\n\n")
    return f"{HEAD}def test_a():\n" + "".join(f"    {line}\n" for line in first.splitlines()) + (rest if blank else "")


def _bases(bare: Apart, code: str, body: str) -> set[str]:
    result = bare.run(code, _tests(body))
    assert result.accepted, result
    return {event["basis"] for event in result.tests.values()}


@pytest.mark.parametrize("name", KEPT)
def test_an_assertion_that_it_keeps_from_being_made_leaves_its_word(bare: Apart, name: str) -> None:
    code, body = KEPT[name]
    assert "word" in _bases(bare, code, body)
    assert _bases(bare, RIGHT, body) == {"data"}


@pytest.mark.parametrize("name", GATHERED)
def test_a_loop_that_gathers_what_one_decides_by_and_has_no_turn_leaves_its_word(bare: Apart, name: str) -> None:
    assert _bases(bare, EMPTY, GATHERED[name]) == {"word"}
    assert _bases(bare, RIGHT, GATHERED[name]) == {"data"}


@pytest.mark.parametrize("name", AS_EXPRESSIONS)
def test_so_does_a_comprehension_that_leaves_out_or_sums_up(bare: Apart, name: str) -> None:
    assert _bases(bare, EMPTY, AS_EXPRESSIONS[name]) == {"word"}
    assert _bases(bare, RIGHT, AS_EXPRESSIONS[name]) == {"data"}


@pytest.mark.parametrize("name", CALLED)
def test_so_does_a_call_of_what_asserts_that_an_expression_leaves_out(bare: Apart, name: str) -> None:
    code, body = CALLED[name]
    assert _bases(bare, code, body + CHECK) == {"word"}
    assert _bases(bare, RIGHT, body + CHECK) == {"data"}


@pytest.mark.parametrize("name", EXCUSED)
def test_so_does_one_that_its_value_excuses(bare: Apart, name: str) -> None:
    code = NOTHING if "None" in name else EMPTY
    assert "word" in _bases(bare, code, EXCUSED[name])


@pytest.mark.parametrize("name", OWN)
def test_one_that_the_tests_keep_from_it_does_not(bare: Apart, name: str) -> None:
    assert _bases(bare, RIGHT, OWN[name]) == {"data"}


@pytest.mark.parametrize("tests", ["for a, b in zip(f([2, 1]), [1, 2]): assert a == b", "def check(candidate):\n    r = candidate([2, 1])\n    if r: assert r == [1, 2]"])  # fmt: skip
def test_so_it_does_in_tests_of_other_forms(bare: Apart, tests: str) -> None:
    head = "from candidate import f\n" if tests.startswith("for") else ""
    for code, rests in ((EMPTY, "word"), (RIGHT, "data")):
        result = bare.run(code, head + tests, entry_point="f")
        assert result.accepted, result
        assert {event["basis"] for event in result.tests.values()} == {rests}


def test_a_comprehension_is_shown_as_it_was_written(bare: Apart) -> None:
    result = bare.run(RIGHT, _tests("assert sum(\n  a for a in f([2, 1]) if a\n) == 4"))
    assert "assert 3 == 4" in result.tests["test_a"]["message"]
    assert "sum((a for a in f([2, 1]) if a)) == 4" in result.tests["test_a"]["message"]
