"""Skips, parameters and errors at import are the tests' own only where their source shows that the candidate has no hand in them."""

from __future__ import annotations

import uuid

import pytest
from apart_harness import Apart
from test_apart_blame import _verdict

from orchestrator.types import Verdict

WRONG = "FAST = False\ndef caps(): return []\ndef add(a, b): return a + b\ndef fast(x): return 0\n"
RIGHT = "FAST = True\ndef caps(): return ['fast']\ndef add(a, b): return a + b\ndef fast(x): return x * x\n"
HEAD = "import os, sys, pytest\nfrom candidate import FAST, caps, add, fast\ndef test_add(): assert add(1, 2) == 3\n"
UNITTEST = "import unittest\nfrom candidate import FAST, caps, add, fast\nCAPS = caps()\nclass T(unittest.TestCase):\n"
UNITTEST += "    def test_add(self): self.assertEqual(add(1, 2), 3)\n"
END = "    assert fast(3) == 9\n"

SKIPPED_BY_A_VALUE = {
    "one of the module": "CAPS = caps()\ndef test_fast():\n    if 'fast' not in CAPS: pytest.skip()\n" + END,
    "an expected failure": "CAPS = caps()\ndef test_fast():\n    if 'fast' not in CAPS: pytest.xfail('x')\n" + END,
    "one of a fixture": "@pytest.fixture(scope='module')\ndef have(): return caps()\ndef test_0(have): pass\n"
    "def test_fast(have):\n    if not have: pytest.skip()\n" + END,
    "in a fixture for all": "@pytest.fixture(autouse=True)\ndef need():\n    if not FAST: pytest.skip()\ndef test_fast():\n"
    + END,
    "in a fixture by name": "@pytest.fixture\ndef need():\n    if not FAST: pytest.skip()\n"
    "@pytest.mark.usefixtures('need')\ndef test_fast():\n" + END,
    "before a return": "CAPS = caps()\ndef test_fast():\n    if CAPS:\n        assert fast(3) == 9\n        return\n    pytest.skip()\n",
    "a flag": "ok = False\nif caps(): ok = True\ndef test_fast():\n    if not ok: pytest.skip()\n" + END,
    "a list that was filled": "H = []\nH.extend(caps())\ndef test_fast():\n    if not H: pytest.skip()\n" + END,
    "a list that a helper filled": "H = []\ndef fill(xs):\n    for x in xs: H.append(x)\nfill(caps())\n"
    "def test_fast():\n    if not H: pytest.skip()\n" + END,
    "an error that it is caught as": "CAPS = caps()\ndef test_fast():\n    try: CAPS[0]\n    except IndexError: pytest.skip()\n"
    + END,
    "a loop without end": "CAPS = caps()\ndef test_fast():\n    for c in CAPS: break\n    else: pytest.skip()\n" + END,
    "an operator": "CAPS = caps()\ndef test_fast():\n    CAPS or pytest.skip()\n" + END,
    "a match": "CAPS = caps()\ndef test_fast():\n    match CAPS:\n        case []: pytest.skip()\n" + END,
    "an attribute of the class": "class TestA:\n    def setup_class(self): self.caps = caps()\n"
    "    def test_fast(self):\n        if not self.caps: pytest.skip()\n        assert fast(3) == 9\n",
    "a helper's condition": "CAPS = caps()\ndef need(name):\n    if name not in CAPS: pytest.skip()\n"
    "def test_fast():\n    need('fast')\n" + END,
    "a helper's argument": "H = {}\ndef need(have): have or pytest.skip()\ndef test_0(): H['c'] = caps()\n"
    "def test_fast():\n    need(H['c'])\n" + END,
    "a global of a test": "def test_0():\n    global G\n    G = caps()\ndef test_fast():\n    if not G: pytest.skip()\n" + END,
    "the environment": "os.environ['X'] = ''.join(caps())\ndef test_fast():\n    if not os.environ['X']: pytest.skip()\n" + END,
    "the mark of a parameter": "@pytest.mark.parametrize('x', [pytest.param(3, marks=pytest.mark.skipif(not FAST, reason='x'))])\n"
    "def test_fast(x):\n" + END,
    "the mark of a fixture's parameter": "@pytest.fixture(params=[pytest.param(3, marks=pytest.mark.skipif(not FAST, reason='x'))])\n"
    "def v(request): return request.param\ndef test_fast(v):\n" + END,
    "a condition that is a text": "@pytest.mark.skipif('not FAST', reason='x')\ndef test_fast():\n" + END,
    "a mark put on later": "def test_fast():\n" + END + "test_fast = pytest.mark.skipif(not FAST, reason='x')(test_fast)\n",
    "a mark put on as it runs": "def test_fast(request):\n    if not FAST: request.node.add_marker(pytest.mark.xfail())\n" + END,
    "a clock by another name": "from time import monotonic as now\nbegun = now()\nfast(3)\nSLOW = now() - begun > (9 if FAST else 0)\n"
    "def test_fast():\n    if SLOW: pytest.skip()\n" + END,
    "a clock of a class": "import datetime as dt\nbegun = dt.datetime.now()\nfast(3)\nTOOK = (dt.datetime.now() - begun).seconds\n"
    "def test_fast():\n    if TOOK < (0 if FAST else 9): pytest.skip()\n" + END,
    "the whole file": "if not FAST: pytest.skip('x', allow_module_level=True)\ndef test_fast():\n" + END,
}
SKIPPED_IN_UNITTEST = {
    "in the body": "    def test_fast(self):\n        if not CAPS: self.skipTest('x')\n        self.assertEqual(fast(3), 9)\n",
    "in setUp": "    def setUp(self):\n        if not CAPS: self.skipTest('x')\n",
    "in setUpClass": "    @classmethod\n    def setUpClass(cls):\n        if not CAPS: raise unittest.SkipTest('x')\n",
    "in a subtest": "    def test_fast(self):\n        with self.subTest(1):\n            if not CAPS: self.skipTest('x')\n"
    "            self.assertEqual(fast(3), 9)\n",
    "by pytest": "    def test_fast(self):\n        import pytest\n        if not CAPS: pytest.skip('x')\n        self.assertEqual(fast(3), 9)\n",
}


@pytest.mark.parametrize("name", SKIPPED_BY_A_VALUE)
def test_a_skip_that_hangs_on_a_value_of_the_candidates_is_its_failure(bare: Apart, name: str) -> None:
    result = bare.run(WRONG, HEAD + SKIPPED_BY_A_VALUE[name])
    assert not result.accepted, result
    assert _verdict(result) is not Verdict.INVALID_TESTS, result
    assert bare.run(RIGHT, HEAD + SKIPPED_BY_A_VALUE[name]).accepted


@pytest.mark.parametrize("name", SKIPPED_IN_UNITTEST)
def test_so_is_one_of_unittests(bare: Apart, name: str) -> None:
    result = bare.run(WRONG, UNITTEST + SKIPPED_IN_UNITTEST[name])
    assert not result.accepted, result
    assert _verdict(result) is not Verdict.INVALID_TESTS, result
    assert bare.run(RIGHT, UNITTEST + SKIPPED_IN_UNITTEST[name]).accepted


@pytest.mark.parametrize(
    "tests",
    [
        "def test_fast():\n    pytest.skip('slow')\n",
        "def test_fast():\n    pytest.xfail('known')\n",
        "def test_fast():\n    if sys.platform != 'win32': pytest.skip()\n",
        "def test_fast():\n    pytest.importorskip('no_such_library')\n",
        "def need(name):\n    if not os.environ.get(name): pytest.skip()\ndef test_fast():\n    need('NETWORK')\n",
        "@pytest.fixture\ndef net():\n    if not os.environ.get('NETWORK'): pytest.skip()\ndef test_fast(net): pass\n",
        "@pytest.mark.parametrize('x, slow', [(3, False), (4, True)])\ndef test_fast(x, slow):\n    if slow: pytest.skip()\n"
        "    assert fast(x) == x * x\n",
        "def test_0():\n    found = fast(2)\n    assert found == 4\ndef test_fast():\n    found = sys.platform\n    if found: pytest.skip()\n",
        "@pytest.mark.skipif('sys.platform != \"win32\"', reason='x')\ndef test_fast(): pass\n",
        "@pytest.mark.skipif(not FAST, reason='x')\ndef test_0(): assert fast(3) == 9\n"
        "@pytest.mark.skipif(sys.platform != 'win32', reason='x')\ndef test_fast(): pass\n",
        "slow = pytest.mark.skipif(not os.environ.get('SLOW'), reason='x')\n@slow\ndef test_fast(): pass\n",
        "@pytest.mark.parametrize('x', [])\ndef test_fast(x): pass\n",
        "class Config: time = 3\nconfig = Config()\ndef test_fast():\n    if config.time < 9: pytest.skip()\n",
        "from types import SimpleNamespace\nevent = SimpleNamespace(now=3)\nLATE = event.now\ndef test_fast():\n    if LATE: pytest.skip()\n",
        "from datetime import datetime\nNOON = datetime(2020, 1, 1, 12).time()\ndef test_fast():\n    if NOON: pytest.skip()\n",
    ],
)
def test_a_skip_by_what_the_tests_know_alone_does_not_decide(bare: Apart, tests: str) -> None:
    assert bare.run(RIGHT, HEAD + "FIRST = add(1, 1)\n" + tests).accepted


HANDED = {
    "a bound method": ("seen = []\nwalk([1], seen.append)", "not seen"),
    "a partial": ("import functools\nseen = []\nwalk([1], functools.partial(seen.append))", "not seen"),
    "in a list": ("seen = []\nwalk([1], *[seen.append])", "not seen"),
    "a method by a name": ("log = []\nalias = log\nadd = alias.append\nwalk([1], add)", "not log"),
    "of an item": ("log = {'a': []}\nwalk([1], log['a'].append)", "not log['a']"),
    "an attribute": ("class Log: pass\nown = Log()\nown.seen = []\nwalk([1], own.seen.append)", "not own.seen"),
    "an iterator in a lambda": (
        "import itertools\ncount = itertools.count()\nwalk([1], lambda x: next(count))",
        "next(count) == 0",
    ),
    "by a helper": ("log = []\ndef run(cb): walk([1], cb)\nrun(log.append)", "not log"),
    "through a helper": ("log = []\ndef add(x): log.append(x)\ndef note(x): add(x)\nwalk([1], note)", "not log"),
    "setattr": ("class Log: seen = 0\nwalk([1], lambda x: setattr(Log, 'seen', x))", "not Log.seen"),
    "a queue": ("import queue\nq = queue.SimpleQueue()\nwalk([1], q.put)", "q.empty()"),
    "a timer": (
        "import threading\nlate = []\nt = threading.Timer(0.1, lambda: late.append(1))\nt.start()\nwalk([1], str)\nt.cancel()",
        "late",
    ),
    "another clock": ("import os\nbegun = os.times().elapsed\nwalk([1], str)", "os.times().elapsed - begun > 0.1"),
    "a clock by another name": (
        "from time import clock_gettime as clock\nbegun = clock(1)\nwalk([1], str)",
        "clock(1) - begun > 0.1",
    ),
    "a file": ("import os\nwalk([1], str)", "os.path.exists('{flag}')"),
}
WALKS = "def g(x): return x * x\ndef walk(xs, cb):\n    for x in xs: cb(x)\n"
IDLE = "import time\ndef g(x): return 0\ndef walk(xs, cb):\n    time.sleep(0.3)\n    open('{flag}', 'w').close()\n"


@pytest.mark.parametrize("name", HANDED)
def test_what_is_handed_to_the_candidate_in_any_way_hangs_on_it(bare: Apart, name: str) -> None:
    before, condition = HANDED[name]
    flag = f"flag_{uuid.uuid4().hex}"  # files stay from run to run
    tests = f"import pytest\nfrom candidate import g, walk\n{before}\n@pytest.mark.skipif({condition}, reason='x')\n"
    tests = tests.replace("{flag}", flag) + "def test_g(): assert g(3) == 9\ndef test_walk(): assert walk([], str) is None\n"
    assert bare.run(WALKS, tests).outcomes == {"test_g": "passed", "test_walk": "passed"}
    assert not bare.run(IDLE.replace("{flag}", flag), tests).accepted


def test_so_does_the_skip_of_a_file_and_a_test_that_is_not_made(bare: Apart) -> None:
    tests = "import pytest\nfrom candidate import g, walk\nseen = []\nwalk([1], seen.append)\n"
    for line in ("if not seen: pytest.skip('x', allow_module_level=True)\n", "if seen:\n    def test_h(): assert g(4) == 16\n"):
        result = bare.run(IDLE, f"{tests}{line}def test_g(): assert g(3) == 9\n")
        assert _verdict(result) in (Verdict.RUNTIME_ERROR, Verdict.WRONG_ANSWER), result
        assert bare.run(WALKS, f"{tests}{line}def test_g(): assert g(3) == 9\n").accepted


@pytest.mark.parametrize(
    ("before", "condition"),
    [
        ("LIMIT = 3\nwalk([LIMIT], str)", "LIMIT < 9"),
        ("class Own: limit = 3\nwalk([Own.limit], str)", "Own.limit < 9"),
        ("xs, ys = [], [1]\nwalk([len(xs)], str)\nwalk(ys, lambda y: y + len(xs))", "not xs"),
        ("import os\nwalk([1], str)", "not os.path.exists('/usr/no/such/compiler')"),
        ("import os\nwalk([1], str)", "'NO_SUCH' not in os.environ"),
    ],
)
def test_what_it_could_not_change_does_not(bare: Apart, before: str, condition: str) -> None:
    tests = f"import pytest\nfrom candidate import g, walk\n{before}\n@pytest.mark.skipif({condition}, reason='x')\n"
    result = bare.run(WALKS, tests + "def test_h(): assert 0\ndef test_g(): assert g(3) == 9\n")
    assert result.outcomes == {"test_h": "skipped", "test_g": "passed"}, result
    assert result.accepted


def test_a_file_that_the_tests_miss_before_they_ask_anything_skips(bare: Apart) -> None:
    tests = "import os, pytest\nfrom candidate import g\n@pytest.mark.skipif(not os.path.exists('no_data'), reason='x')\n"
    assert bare.run(WALKS, tests + "def test_h(): assert 0\ndef test_g(): assert g(3) == 9\n").accepted


@pytest.mark.parametrize(
    "tests",
    [
        "def pytest_generate_tests(metafunc):\n    if 'x' in metafunc.fixturenames: metafunc.parametrize('x', caps())\n"
        "def test_fast(x):\n",
        "@pytest.fixture(params=caps())\ndef x(request): return request.param\ndef test_fast(x):\n",
        "GIVEN = []\nGIVEN.extend(caps())\n@pytest.mark.parametrize('x', GIVEN)\ndef test_fast(x):\n",
    ],
)
def test_parameters_that_the_candidate_gave_are_not_missed(bare: Apart, tests: str) -> None:
    only = HEAD.partition("def ")[0]
    for head in (HEAD, only):
        assert _verdict(bare.run(WRONG, head + tests + END)) in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR)
    assert bare.run(RIGHT, HEAD + tests + END).accepted


@pytest.mark.parametrize(
    "tests",
    [
        "class TestX: pass\nfor i, x in enumerate(caps()):\n    setattr(TestX, f'test_{i}', lambda self: None)\n",
        "for i, x in enumerate(caps()):\n    def one(): assert fast(3) == 9\n    globals()[f'test_{i}'] = one\n",
    ],
)
def test_where_no_test_is_left_after_the_candidate_was_used_it_failed(bare: Apart, tests: str) -> None:
    tests = "from candidate import caps, fast\n" + tests
    assert _verdict(bare.run(WRONG, tests)) is Verdict.RUNTIME_ERROR
    assert bare.run(RIGHT, tests).accepted


def test_tests_that_have_none_are_at_fault_whoever_was_used(bare: Apart) -> None:
    assert _verdict(bare.run(RIGHT, "from candidate import fast\nfast(2)\n")) is Verdict.INVALID_TESTS


AT_IMPORT = {
    "a class": ("def Stack(): pass", "import inspect\nfrom candidate import Stack\nassert inspect.isclass(Stack)\n"),
    "a base": ("class A: pass\nclass B: pass", "from candidate import A, B\nassert issubclass(B, A)\n"),
    "a name": ("def f(): pass\ng = f", "from candidate import f, g\nOF = {x.__name__: x for x in (f, g)}\nG = OF['g']\n"),
    "a name by a helper": (
        "def g(): pass\nf = g",
        "from candidate import f\nOF = {}\ndef add(x): OF[x.__name__] = x\nadd(f)\nF = OF['f']\n",
    ),
    "a mark": (
        "LIMIT = None",
        "import pytest\nfrom candidate import LIMIT\n@pytest.mark.skipif(LIMIT < 3, reason='small')\ndef test_b(): pass\n",
    ),
    "parameters": (
        "CASES = None",
        "import pytest\nimport candidate\n@pytest.mark.parametrize('x', [*candidate.CASES])\ndef test_b(x): pass\n",
    ),
    "a default": ("N = None", "from candidate import N\ndef helper(n=N + 1): return n\n"),
    "the class above": ("BASE = None", "from candidate import BASE\nclass Own(BASE.kind): pass\n"),
    "before another error": (
        "def Stack(): pass",
        "import inspect\nfrom candidate import Stack\ntry: assert inspect.isclass(Stack)\nfinally: open('no such file')\n",
    ),
}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_an_error_at_import_that_hangs_on_what_was_imported_is_the_candidates(bare: Apart, name: str) -> None:
    code, tests = AT_IMPORT[name]
    assert _verdict(bare.run(code, tests + "def test_a(): assert True\n")) is Verdict.RUNTIME_ERROR


@pytest.mark.parametrize("line", ["D = open('/no such file')", "D = os.environ['NO_SUCH']", "assert 1 == 2", "len(3)", "[][0]"])
@pytest.mark.parametrize("used", ["", "X = f(3)\n"])
def test_one_that_does_not_is_the_tests_own(bare: Apart, line: str, used: str) -> None:
    result = bare.run("def f(x): return x", f"import os\nfrom candidate import f\n{used}{line}\ndef test_a(): assert f(1) == 1\n")
    assert _verdict(result) is Verdict.INVALID_TESTS, result


WRITES = "def save(path):\n    with open('{log}', 'w') as file: file.write('x')\n    return 1\n"
READS = "import os\nfrom candidate import save\nsave('out')\nD = {line}\ndef test_a(): assert save('out') == 1\n"


@pytest.mark.parametrize("line", ["open('/no such file')", "os.listdir('/none/of/these')"])
def test_a_missing_file_is_the_tests_own_fault_where_the_candidate_could_not_make_it(bare: Apart, line: str) -> None:
    result = bare.run(WRITES.format(log="log_0"), READS.format(line=line))
    assert _verdict(result) is Verdict.INVALID_TESTS, result


FILES = "import json, os\n{imports}\nDATA = json.load(open('{name}'))\ndef test_a(): assert DATA == 4\n"
ELSEWHERE = "import os, tempfile\nos.chdir(tempfile.mkdtemp())\n"
"""Two sandboxes have a folder each. The harness has one for both."""


@pytest.mark.parametrize(
    ("imports", "honest"),
    [
        ("from candidate import save\nsave('saved')", "def save(path): open(path, 'w').write('4')"),
        ("from candidate import save\nNAME = save()", "def save(): open('saved', 'w').write('4')"),
        ("import candidate", "open('saved', 'w').write('4')"),
    ],
)
def test_a_file_that_the_candidate_was_to_make_is_its_failure(bare: Apart, imports: str, honest: str) -> None:
    codes = ("def save(path=''): pass", ELSEWHERE + honest.replace("4", "5"), ELSEWHERE + honest)
    results = []
    for code in codes:
        name = f"saved_{uuid.uuid4().hex}"  # files stay from run to run
        results.append(bare.run(code.replace("saved", name), FILES.format(imports=imports.replace("saved", name), name=name)))
    assert all(_verdict(result) in (Verdict.RUNTIME_ERROR, Verdict.WRONG_ANSWER) for result in results[:2]), results
    assert results[2].accepted, results


def test_one_that_tests_miss_that_only_take_a_name_is_theirs(bare: Apart) -> None:
    tests = FILES.format(imports="from candidate import f", name="missing") + "def test_b(): assert f(1) == 1\n"
    assert _verdict(bare.run("def f(x): return x", tests)) is Verdict.INVALID_TESTS


@pytest.mark.parametrize(
    "fixture",
    ["params=levels(), ids=names()", "params=levels(), ids=NAMES", "params=[1, 2], scope=SCOPE", "params=[1, 2], scope=scope"],
)
def test_what_pytest_cannot_read_of_a_fixture_is_the_candidates_where_it_gave_it(bare: Apart, fixture: str) -> None:
    tests = "import pytest\nfrom candidate import SCOPE, levels, names\nNAMES = names()\n"
    tests += "def scope(fixture_name, config): return SCOPE\n"
    tests += f"@pytest.fixture({fixture})\ndef level(request): return request.param\ndef test_a(level): assert level > 0\n"
    code = "SCOPE = 'module'\ndef levels(): return [1, 2]\ndef names(): return ['a', 'b']\n"
    assert bare.run(code, tests).accepted
    wrong = code.replace("'module'", "'none'") if "SCOPE" in fixture or "scope=" in fixture else code.replace(", 'b'", "")
    assert _verdict(bare.run(wrong, tests)) is Verdict.RUNTIME_ERROR


def test_it_is_the_tests_fault_where_they_wrote_it_out(bare: Apart) -> None:
    tests = "import pytest\nfrom candidate import f\n@pytest.fixture(params=[1, 2], ids=['a'])\ndef level(request): return 1\n"
    result = bare.run("def f(x): return x", tests + "def test_a(level): assert f(level) == 1\n")
    assert _verdict(result) is Verdict.INVALID_TESTS


@pytest.mark.parametrize(
    "line", ["open('./out')", "open('out/a')", "os.mkdir('log_1')", "os.listdir('log_2')", "open('log_3/x')"]
)
def test_one_that_it_was_to_make_or_that_it_made_is_not(bare: Apart, line: str) -> None:
    log = line.partition("('")[2].partition("'")[0].partition("/")[0]  # files stay from run to run
    result = bare.run(WRITES.format(log=log if log.startswith("log") else "log_0"), READS.format(line=line))
    assert _verdict(result) is Verdict.RUNTIME_ERROR, result


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        (
            "seen = []\ndef timed(f):\n    seen.append(f)\n    return seen[0]",
            "@timed\ndef helper(a, b): return 1\n@pytest.fixture\n@timed\ndef val(): return 3\ndef test_a(val): assert val == 3\n",
        ),
        (
            "def g(x): return 0\ntimed = g",
            "@pytest.fixture(name=timed.__name__)\ndef val(): return 3\ndef test_a(timed): assert timed == 3\n",
        ),
    ],
)
def test_a_fixture_that_the_candidate_may_make_proves_nothing(bare: Apart, code: str, tests: str) -> None:
    assert _verdict(bare.run(code, "import pytest\nfrom candidate import timed\n" + tests)) is not Verdict.INVALID_TESTS


def test_a_test_that_was_replaced_by_what_the_candidate_gave_is_missed(bare: Apart) -> None:
    tests = "from candidate import timed\ndef test_a(): assert 1\ndef test_b(): assert 1\n"
    tests += "for name in ['test_a']: globals()[name] = timed(globals()[name])\n"
    assert bare.run("def timed(f): return f", tests).accepted
    assert not bare.run("def timed(f): return 5", tests).accepted
