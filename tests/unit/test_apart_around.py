"""What is found around tests: at import, between them, in what ends them, and in what the candidate was given to call."""

from __future__ import annotations

import pytest
from apart_harness import Apart

CODE = """
import contextlib, time
def timer(): return contextlib.suppress(Exception)
def f(x): raise ValueError
def leave(x): raise SystemExit
def g(x): return 5
def swallow(job):
    try: job()
    except BaseException: pass
def once(job): job()
def never(job): return 0
def slow(x): time.sleep(0.3)
class O:
    def startswith(self, text): return True
    def __eq__(self, other): return True
def obj(): return O()
class Passing(ImportError): pass
def retry(job, times): return job()
def consume(items): return 2
"""
IMPORTS = "import time, pytest\nfrom candidate import *\nfrom candidate import timer, f, g, swallow, once, never, slow, obj, Passing, retry, consume, leave\n"
CHECK = "def check():\n    assert f(1) == 9\n"
FIXTURE = "@pytest.fixture{scope}\ndef made():\n    yield 1\n{end}\ndef test_g(made): assert g(made) == 5\n"
ENDS = {
    "an error that is ended": "    with timer():\n        assert f(1) == 9",
    "a callback": "    swallow(check)",
    "what is refused": "    try:\n        ok = obj().startswith('a')\n    except TypeError:\n        ok = True\n    assert ok",
    "a thread": "    import threading\n    job = threading.Thread(target=check)\n    job.start()\n    job.join()",
}


@pytest.mark.parametrize("scope", ["", "(scope='module')"])
@pytest.mark.parametrize("name", ENDS)
def test_what_is_found_after_a_test_is_found_in_it(bare: Apart, name: str, scope: str) -> None:
    result = bare.run(CODE, IMPORTS + CHECK + FIXTURE.format(scope=scope, end=ENDS[name]))
    assert result.outcomes == {"test_g": "failed"}, result


def test_a_comparison_that_ends_a_test_is_what_it_rests_on(bare: Apart) -> None:
    result = bare.run(CODE, IMPORTS + FIXTURE.format(scope="", end="    assert obj() == obj()"))
    assert result.accepted, result
    assert result.tests["test_g"]["basis"] == "word"


def test_what_ends_well_is_passed(bare: Apart) -> None:
    result = bare.run(CODE, IMPORTS + FIXTURE.format(scope="", end="    assert g(1) == 5"))
    assert result.accepted, result
    assert result.tests["test_g"]["basis"] == "data"


@pytest.mark.parametrize(
    "tests",
    [
        "same = obj() == obj()\ndef test_x(): assert same\n",
        "same = obj() == obj()\ndef test_w(): assert g(1) == 5\ndef test_x(): assert same\n",
        "assert g(1) == 5\nsame = obj() == obj()\nassert same\n",
    ],
)
def test_what_was_asked_outside_of_tests_is_what_they_rest_on(bare: Apart, tests: str) -> None:
    result = bare.run(CODE, IMPORTS + tests)
    assert result.accepted, result
    assert list(result.tests.values())[-1]["basis"] == "word"


NOTED = {
    "by a lambda": "calls = []\nnever(lambda: calls.append(1))\nassert calls == [1]\n",
    "by a function": "N = 0\ndef bump():\n    global N\n    N += 1\nnever(bump)\nassert N == 1\n",
    "by an object": "class Probe:\n    hits = 0\n    def go(self): Probe.hits += 1\nnever(Probe())\nassert Probe.hits == 1\n",
    "by a clock": "begun = time.perf_counter()\nslow(0)\nassert time.perf_counter() - begun < 0.2\n",
}


@pytest.mark.parametrize("name", NOTED)
def test_tests_that_cannot_begin_for_what_was_noted_are_not_at_fault(bare: Apart, name: str) -> None:
    result = bare.run(CODE, IMPORTS + NOTED[name] + "def test_x(): assert g(1) == 5\n", in_place=True)
    assert result.error is not None, result
    assert result.error["side"] == "candidate"


SKIPPING = {
    "by a clock": "begun = time.perf_counter()\nslow(0)\nSLOW = time.perf_counter() - begun > 0.2\n",
    "by a callback": "calls = []\nonce(lambda: calls.append(1))\nSLOW = len(calls) == 1\n",
    "by a decorated function": "STATE = {'n': 0}\n@once\ndef bump(): STATE['n'] += 1\nSLOW = STATE['n'] > 0\n",
}


@pytest.mark.parametrize("name", SKIPPING)
def test_a_skip_for_what_was_noted_is_a_failure(bare: Apart, name: str) -> None:
    tests = (
        SKIPPING[name] + "@pytest.mark.skipif(SLOW, reason='x')\ndef test_f(): assert f(1) == 1\ndef test_g(): assert g(1) == 5\n"
    )
    result = bare.run(CODE, IMPORTS + tests)
    assert result.outcomes == {"test_f": "failed", "test_g": "passed"}, result


LEFT_OUT = {
    "a callback": "def test_a():\n    calls = []\n    def cb(): calls.append(1)\n    with timer():\n        never(cb)\n"
    "        if not calls: raise RuntimeError\n        assert g(1) == 9\n",
    "a callback of the module": "N = 0\ndef cb():\n    global N\n    N += 1\ndef test_a():\n    with timer():\n        never(cb)\n"
    "        if N != 1: raise RuntimeError\n        assert g(1) == 9\n",
    "a callback by another name": "def test_a():\n    calls = []\n    def cb(): calls.append(1)\n    job = [cb]\n"
    "    with timer():\n        never(job)\n        if not calls: raise RuntimeError\n        assert g(1) == 9\n",
    "a block that it ended": "def test_a():\n    done = False\n    with timer():\n        f(1)\n        done = True\n"
    "    with timer():\n        if not done: raise RuntimeError\n        assert g(1) == 9\n",
    "a clock": "def test_a():\n    begun = time.perf_counter()\n    with timer():\n        slow(1)\n"
    "        if time.perf_counter() - begun > 0.1: raise TimeoutError\n        assert g(1) == 9\n",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_error_under_a_condition_that_was_noted_is_not_the_tests_own(bare: Apart, name: str) -> None:
    assert not bare.run(CODE, IMPORTS + LEFT_OUT[name]).accepted


IN_SILENCE = {
    "a task that is held": "import asyncio\nheld = set()\nasync def look(): assert f(3) == 6\nasync def run():\n"
    "    held.add(asyncio.get_running_loop().create_task(look()))\n    await asyncio.sleep(0.01)\ndef test_a(): asyncio.run(run())\n",
    "a bare thread": "import _thread\ndef test_a():\n    done = []\n    def work():\n        try: assert f(3) == 6\n"
    "        finally: done.append(1)\n    _thread.start_new_thread(work, ())\n    while not done: time.sleep(0.001)\n"
    "    time.sleep(0.01)\n",
    "a callback of a future": "from concurrent.futures import ThreadPoolExecutor\ndef look(future): assert f(3) == 6\n"
    "def test_a():\n    with ThreadPoolExecutor(1) as pool: pool.submit(len, 'x').add_done_callback(look)\n",
    "what begins a pool's thread": "from concurrent.futures import ThreadPoolExecutor\ndef look(): assert f(3) == 6\n"
    "def test_a():\n    with ThreadPoolExecutor(1, initializer=look) as pool: pool.submit(len, 'x')\n",
    "the end of a bare thread": "import _thread\ndef look(): assert leave(3) == 6\n"
    "def test_a():\n    _thread.start_new_thread(look, ())\n    time.sleep(0.2)\n",
}


@pytest.mark.parametrize("name", IN_SILENCE)
def test_an_error_that_nobody_asks_for_is_found(bare: Apart, name: str) -> None:
    result = bare.run(CODE, IMPORTS + IN_SILENCE[name])
    assert result.outcomes == {"test_a": "failed"}, result


THREADS = {
    "a mistake is noted": "    bad = []\n    def work(x):\n        if f(x) != x * x: bad.append(x)\n"
    "    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]\n    for t in threads: t.start()\n"
    "    for t in threads: t.join()\n    assert bad == []\n",
    "it goes on": "    def work(): assert f(3) == 9\n    t = threading.Thread(target=work, daemon=True)\n    t.start()\n    t.join(0.3)\n",
}


@pytest.mark.parametrize("name", THREADS)
def test_a_thread_that_ends_or_goes_on_without_its_assertion_leaves_the_candidates_word(bare: Apart, name: str) -> None:
    tests = "import threading\nfrom candidate import f\ndef test_a():\n" + THREADS[name]
    wrong = "def f(x): raise ValueError" if "noted" in name else "import time\ndef f(x):\n    time.sleep(3)\n    return 1"
    for code, basis in (("def f(x): return x * x", "data"), (wrong, "word")):
        result = bare.run(code, tests)
        assert result.tests["test_a"]["basis"] == basis, result


@pytest.mark.parametrize("name", ["Passing", "ImportError"])
def test_an_error_that_the_tests_raise_is_no_missing_library(bare: Apart, name: str) -> None:
    code = CODE if name == "Passing" else CODE.replace("class Passing(ImportError): pass", "Passing = ImportError")
    tests = "n = []\ndef job():\n    n.append(1)\n    if len(n) < 3: raise Passing('x')\n    return 'ok'\ndef test_a(): assert retry(job, 5) == 'ok'\n"
    result = bare.run(code, IMPORTS + tests)
    assert result.outcomes == {"test_a": "failed"}
    assert not result.tests["test_a"]["proved"]


@pytest.mark.parametrize("items", ["map(look, [1])", "filter(look, [1])", "zip(map(look, [1]), [1])", "(look(x) for x in [1])"])
def test_what_asserts_and_is_never_pulled_leaves_the_candidates_word(bare: Apart, items: str) -> None:
    result = bare.run(
        CODE, IMPORTS + f"def test_c():\n    def look(x):\n        assert x == 2\n    assert consume({items}) == 2\n"
    )
    assert result.tests["test_c"]["basis"] == "word"
