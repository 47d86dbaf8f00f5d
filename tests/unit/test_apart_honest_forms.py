"""Forms that honest modules and their tests take, and what a wrong or lying candidate makes of each."""

from __future__ import annotations

import pytest
from apart_harness import Apart


def judged(apart: Apart, right: str, wrong: str, tests: str) -> None:
    """The right candidate is accepted; the wrong one is not."""
    result = apart.run(right, tests)
    assert result.accepted, result
    result = apart.run(wrong, tests)
    assert not result.accepted, result
    assert not result.not_apart, result


def test_a_name_with_two_underscores_before_it_is_imported(bare: Apart) -> None:
    tests = "from candidate import __half\ndef test_a(): assert __half(4) == 2"
    judged(bare, "def __half(x): return x // 2", "def __half(x): return x", tests)


@pytest.mark.parametrize("name", ["__pytest_wrapped__", "__unittest", "__path__", "__test__"])
def test_a_name_by_which_tests_are_marked_is_not_the_candidates(bare: Apart, name: str) -> None:
    tests = f"import candidate\ndef test_a(): assert not hasattr(candidate, {name!r})"
    assert bare.run(f"{name} = 1", tests).accepted


STYLE = "from collections import namedtuple\nStyle = namedtuple('Style', 'left right')\n"
STYLED = "from candidate import plain, show\ndef test_a(): assert show(plain()) == '<x>'"


def test_a_named_tuple_comes_back_as_one_of_the_class_that_it_had(bare: Apart) -> None:
    right = (
        f"{STYLE}def plain(): return Style('<', '>')\n"
        "def show(s):\n    assert isinstance(s, Style) and s in {s: 1}\n    return f'{s.left}x{s.right}'"
    )
    wrong = f"{STYLE}def plain(): return Style('[', ']')\ndef show(s): return f'{{s.left}}x{{s.right}}'"
    judged(bare, right, wrong, STYLED)


NAN = "import math\nfrom candidate import f\ndef test_a(): assert f(%d) == [math.nan] * %d"


@pytest.mark.parametrize("count", [2, 10])
def test_the_nan_of_a_library_is_the_same_in_a_list(bare: Apart, count: int) -> None:
    tests = NAN % (count, count)
    judged(bare, "import math\ndef f(n): return [math.nan] * n", "def f(n): return [0.0] * n", tests)
    assert not bare.run("def f(n): return [float('nan')] * n", tests).accepted


def test_the_nan_of_numpy_is_another_than_that_of_python(heavy: Apart) -> None:
    tests = "import numpy as np\nfrom candidate import f\ndef test_a(): assert f() == [np.nan, 1.0]"
    judged(heavy, "import numpy as np\ndef f(): return [np.nan, 1.0]", "def f(): return [float('nan'), 1.0]", tests)


def test_a_nan_where_nobody_speaks_of_one_rests_on_the_word(bare: Apart) -> None:
    tests = "from candidate import f\ndef test_a(): assert not f() < 3"
    result = bare.run("import math\ndef f(): return math.nan", tests)
    assert result.tests["test_a"]["basis"] == "word"


def test_an_address_of_a_network_crosses(bare: Apart) -> None:
    tests = (
        "import ipaddress\nfrom candidate import first\n"
        "def test_a(): assert first(ipaddress.ip_network('10.0.0.0/30')) == ipaddress.ip_address('10.0.0.1')"
    )
    judged(bare, "def first(net): return next(net.hosts())", "def first(net): return net[0]", tests)


def test_a_function_that_only_computes_is_passed_to_one_of_the_tests(bare: Apart) -> None:
    tests = "import math\nfrom candidate import call\ndef test_a(): assert call(lambda f: f(9.0), math.sqrt) == 3.0"
    judged(bare, "def call(g, f): return g(f)", "import math\ndef call(g, f): return g(math.ceil)", tests)


@pytest.mark.parametrize("tool", ["call", "setitem", "getitem", "iadd"])
def test_a_function_that_reaches_behind_what_it_is_given_is_not(bare: Apart, tool: str) -> None:
    tests = (
        "from candidate import call\nWANT = [3]\ndef mine(): return 3\n"
        "def test_a(): assert call(lambda f: f(mine) and 9 if f else 3) == 9"
    )
    result = bare.run(f"import operator\ndef call(g): return g(operator.{tool}) and 9", tests)
    assert not result.accepted, result


def test_the_same_object_has_the_same_id(bare: Apart) -> None:
    tests = "from candidate import f\ndef test_a(): assert len({id(one.lock) for one in f()}) == 1"
    kind = "class L: pass\nclass T:\n    def __init__(self, lock): self.lock = lock\n"
    right = f"{kind}def f():\n    lock = L()\n    return [T(lock) for _ in range(3)]"
    judged(bare, right, f"{kind}def f(): return [T(L()) for _ in range(3)]", tests)


def test_what_the_candidate_sets_of_a_mock_is_seen(bare: Apart) -> None:
    tests = (
        "from unittest.mock import Mock\nfrom candidate import f\n"
        "def test_a():\n    show = Mock()\n    f(show)\n    assert '__signature__' not in vars(show)"
    )
    judged(bare, "def f(show): show(3)", "import inspect\ndef f(show): show.__signature__ = inspect.signature(f)", tests)


def test_an_error_of_a_library_is_caught_by_its_class(heavy: Apart) -> None:
    pytest.importorskip("sklearn")
    tests = (
        "import pytest\nfrom sklearn.exceptions import NotFittedError\nfrom candidate import f\n"
        "def test_a():\n    with pytest.raises(NotFittedError): f()"
    )
    right = "from sklearn.exceptions import NotFittedError\ndef f(): raise NotFittedError('no')"
    judged(heavy, right, "def f(): raise ValueError('no')", tests)


def test_an_operator_that_changes_its_own_object_is_seen(bare: Apart) -> None:
    kind = "class M:\n    def __init__(self, n): self.n = n\n    def __add__(self, k):\n        {body}\n"
    tests = "from candidate import M\ndef test_a():\n    m = M(4)\n    assert (m + 3).n == 7\n    assert m.n == 4"
    judged(bare, kind.format(body="return M(self.n + k)"), kind.format(body="self.n += k\n        return M(self.n)"), tests)


def test_a_named_tuple_of_the_tests_is_no_class_of_the_candidates(bare: Apart) -> None:
    code = (
        "import collections\nP = collections.namedtuple('P', 'x')\ndef make(): return P(1)\n"
        "def f(p):\n    if type(p) {how} P: raise TypeError\n    return p.x"
    )
    tests = (
        "import collections\nfrom candidate import f, make\nP = collections.namedtuple('P', 'x')\n"
        "def test_a():\n    assert make().x == 1\n    assert f(P(3)) == 3"
    )
    judged(bare, code.format(how="is"), code.format(how="is not"), tests)


STREAM = "import io\nfrom candidate import make\ndef test_a():\n    s = make()\n    assert isinstance(s, io.IOBase)\n    assert s.read() == 'x'"


def test_a_stream_is_one_by_its_class(bare: Apart) -> None:
    kind = "import io\nclass S({base}):\n    def read(self): return {read}\ndef make(): return S()"
    judged(bare, kind.format(base="io.IOBase", read="'x'"), kind.format(base="object", read="'x'"), STREAM)
    assert not bare.run(kind.format(base="io.IOBase", read="'y'"), STREAM).accepted


def test_what_an_object_lists_can_be_asked_for(bare: Apart) -> None:
    tests = (
        "from candidate import D\n"
        "def test_a():\n    d = D(a=1)\n    assert all(hasattr(d, name) for name in dir(d))\n    assert d.more() == 2"
    )
    kind = "class D(dict):\n    def more(self): return self['a'] + {add}"
    judged(bare, kind.format(add=1), kind.format(add=2), tests)


KEYS = (
    "from candidate import keys\nD = {{'a': 1, 'b': 2}}\ndef test_a():\n    k = keys(D)\n    assert k {how} D.keys()\n"
    "    assert not k < D.keys()"
)
SET = "from collections.abc import {kind}View as V\nclass K(V):\n{body}\ndef keys(d): return K({given})"


@pytest.mark.parametrize("how", ["==", "<=", ">="])
def test_a_set_that_was_handed_out_compares_as_what_it_shows(bare: Apart, how: str) -> None:
    tests = KEYS.format(how=how)
    right = SET.format(kind="Keys", body="    pass", given="dict(d)")
    for wrong in (
        SET.format(kind="Keys", body="    pass", given="{'c': 1}"),
        SET.format(kind="Keys", body="    def __le__(s, o): return False\n    __ge__ = __eq__ = __le__", given="d"),
        SET.format(
            kind="Keys",
            body="    def __le__(s, o): return True\n    __ge__ = __eq__ = __le__\n    def __lt__(s, o): return False",
            given="{'c': 1}",
        ),
    ):
        judged(bare, right, wrong, tests)


DRAWN = (
    "import random\nfrom candidate import f\n"
    "def test_a():\n    random.seed({seed})\n    first = random.random()\n    got = f()\n    assert got == {want}"
)


def test_who_draws_after_the_tests_draws_what_comes_next(bare: Apart) -> None:
    import random

    source = random.Random(3)
    source.random()
    tests = DRAWN.format(seed=3, want=source.random())
    wrong = "import random\ndef f():\n    random.seed(3)\n    return random.random()"
    judged(bare, "import random\ndef f(): return random.random()", wrong, tests)


def test_what_the_tests_draw_by_chance_is_not_shared(bare: Apart) -> None:
    again = "import random\ndef f():\n    return random.random()"
    assert not bare.run(again, DRAWN.format(seed="", want="random.random()")).accepted
    for seed in ("None", "3)\n    random.seed("):
        assert not bare.run(again, DRAWN.format(seed=seed, want="random.random()")).accepted


def test_the_state_of_numpys_generator_is_carried_on(heavy: Apart) -> None:
    tests = (
        "import numpy as np\nfrom candidate import f\n"
        "def test_a():\n    np.random.seed(1)\n    np.random.rand()\n    assert round(float(f()), 6) == 0.720324"
    )
    judged(heavy, "import numpy as np\ndef f(): return np.random.rand()", "def f(): return 0.417022", tests)


SET_LATER = (
    "from candidate import mark, read\n"
    "def test_a():\n    @mark\n    def g(): pass\n    assert read(g) == 1\n    g.count = 5\n    assert read(g) == 5"
)


def test_an_attribute_that_the_tests_set_of_their_function_later_is_seen(bare: Apart) -> None:
    right = "def mark(g):\n    g.count = 1\n    return g\ndef read(g): return g.count"
    wrong = "def mark(g):\n    g.count = 1\n    return g\ndef read(g): return 1"
    judged(bare, right, wrong, SET_LATER)


def test_an_attribute_that_the_candidate_has_set_since_stays(bare: Apart) -> None:
    tests = (
        "from candidate import count\ndef g(): pass\ng.n = 0\ng.kind = 'x'\n"
        "def test_a():\n    count(g)\n    g.kind = 'y'\n    assert count(g) == (2, 'y')"
    )
    right = "def count(g):\n    g.n += 1\n    return g.n, g.kind"
    judged(bare, right, "def count(g):\n    g.n = 1\n    return g.n, g.kind", tests)


ABSTRACT = (
    "import abc, pytest\nfrom candidate import lazy\n"
    "class A(abc.ABC):\n    @lazy\n    @abc.abstractmethod\n    def f(self): pass\n"
    "def test_a():\n    with pytest.raises(TypeError): A()"
)


def test_what_wraps_an_abstract_method_may_be_abstract(bare: Apart) -> None:
    kind = "class lazy:\n    def __init__(self, f): self.__isabstractmethod__ = {value}\n    def __get__(self, one, kind=None): return 1"
    judged(bare, kind.format(value="getattr(f, '__isabstractmethod__', False)"), kind.format(value="False"), ABSTRACT)


ZERO = "from candidate import R\ndef test_a(): assert 2 ** R({of}) == {want}"
POWER = "class R:\n    def __init__(self, n): self.n = n\n    def __rpow__(self, other): return {gives}"


def test_a_zero_that_the_tests_made_may_give_the_same_with_every_number(bare: Apart) -> None:
    result = bare.run(POWER.format(gives="other ** self.n"), ZERO.format(of=0, want=1))
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"


@pytest.mark.parametrize(("gives", "of", "want"), [("8", 3, 8), ("1", 3, 8), ("0", 0, 1)])
def test_what_always_gives_the_same_is_no_other_number(bare: Apart, gives: str, of: int, want: int) -> None:
    assert not bare.run(POWER.format(gives=gives), ZERO.format(of=of, want=want)).accepted


def test_a_zero_that_was_handed_out_is_not_taken_at_its_word(bare: Apart) -> None:
    tests = "from candidate import f\ndef test_a(): assert 2 ** f() == 1"
    assert not bare.run(f"{POWER.format(gives='1')}\ndef f(): return R(0)", tests).accepted
