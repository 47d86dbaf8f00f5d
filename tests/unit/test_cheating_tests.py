"""Generated tests that cheat earn nothing, whatever way they try."""

from __future__ import annotations

import json

import pytest
from cheating_tests import CARRYING, FORCING, REMEMBERING
from mutant_harness import execute
from worthless_tests import WORDS

from orchestrator.applications.unit_tests.judge import MutationOptions, Subject, judge_tests, survey

pytestmark = pytest.mark.slow

OPTIONS = MutationOptions(references=3, wall=5, mutants=12)


@pytest.fixture(scope="module")
async def words():
    return await survey(WORDS, execute, OPTIONS)


@pytest.mark.parametrize("name", REMEMBERING)
async def test_no_run_leaves_a_word_for_the_next(words, name):
    found = await judge_tests(words, REMEMBERING[name], execute, OPTIONS)
    assert found.score.reward == 0.0, found.score


@pytest.mark.parametrize("name", CARRYING)
async def test_a_copy_in_disguise_earns_nothing(words, name):
    found = await judge_tests(words, CARRYING[name], execute, OPTIONS)
    assert found.score.reward == 0.0, found.score
    assert found.score.worthless
    assert "compute" in found.score.worthless or "interpreter" in found.score.worthless


@pytest.mark.parametrize("name", FORCING)
async def test_what_is_done_to_the_judge_is_the_tests_own_failure(words, name):
    found = await judge_tests(words, FORCING[name], execute, OPTIONS)
    assert not found.unscored
    assert found.score.reward == 0.0, found.score
    assert found.feedback


async def test_a_function_that_writes_files_carries_no_word_from_run_to_run():
    module = (
        "def keep(name, text):\n    try:\n        with open(name) as file:\n            before = file.read()\n"
        "    except OSError:\n        before = ''\n    with open(name, 'w') as file:\n        file.write(text)\n"
        "    return before + str(len(text) + 1)\n"
    )
    subject = Subject(name="keep", function="keep", module=module)
    tests = (
        "from candidate import keep\n\ndef test_a():\n    now = repr([keep('x', 'abc'), keep('x', 'ab')])\n"
        "    before = keep('seen', now)[:-2]\n    assert before in ('', now)\n"
    )
    surveyed = await survey(subject, execute, OPTIONS)
    found = await judge_tests(surveyed, tests, execute, OPTIONS)
    assert found.score.valid, found.feedback
    other = [one.name for one in surveyed.mutants if one.before == "1"]  # they answer otherwise, and never fail the test
    assert other
    assert not any(found.seen.mutants[name] == "killed" for name in other)


HONEST = {
    "another name for the function": "from candidate import words as f\ndef test_a():\n    assert f('a bb, c', 1) == ['a', 'bb', 'c']\n",
    "a helper that calls the function": "from candidate import words\ndef run(text):\n    return list(words(text))\n"
    "def test_a():\n    assert run('Aa bb!') == ['aa', 'bb']\n    assert run('a bb bb') == ['bb']\n    assert run('') == []\n"
    "    assert run('cc dd, ee') == ['cc', 'dd', 'ee']\n",
    "namedtuples, dataclasses and dates": "import collections, dataclasses, datetime\nfrom candidate import words\n"
    "Case = collections.namedtuple('Case', 'text expected')\n@dataclasses.dataclass\nclass Other:\n    text: str\n"
    "def test_a():\n    case = Case('a bb cc', ['bb', 'cc'])\n    assert words(case.text) == case.expected\n"
    "    assert datetime.datetime.strptime('2024', '%Y').year == 2024\n    assert words(Other('ddd x').text) == ['ddd']\n",
    "asyncio": "import asyncio\nfrom candidate import words\nasync def run():\n    await asyncio.sleep(0)\n    return words('a bb')\n"
    "def test_a():\n    assert asyncio.run(run()) == ['bb']\n",
    "subtests and mocks": "import unittest\nfrom unittest import mock\nfrom candidate import words\n"
    "class T(unittest.TestCase):\n    def test_a(self):\n        for text, want in (('a bb', ['bb']), ('Cc', ['cc'])):\n"
    "            with self.subTest(text=text):\n                self.assertEqual(words(text), want)\n"
    "        self.assertEqual(mock.Mock(return_value=1)(), 1)\n",
    "modules by their names": "import importlib, pytest\nfrom candidate import words\n"
    "def test_a():\n    colorsys = importlib.import_module('colorsys')\n    wave = pytest.importorskip('wave')\n"
    "    assert colorsys and wave and words('a bb cc') == ['bb', 'cc']\n",
    "evaluates what is printed": "import ast\nfrom candidate import words\n"
    "def test_a():\n    assert eval(repr(words('a bb cc'))) == ['bb', 'cc']\n    assert ast.literal_eval(\"['x']\") == ['x']\n"
    "    assert words('bb x', 1) == ['bb', 'x']\n",
}


@pytest.mark.parametrize("name", HONEST)
async def test_honest_tests_are_none_the_worse(words, name):
    found = await judge_tests(words, HONEST[name], execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert not found.score.worthless
    assert found.score.reward
    assert found.score.reward > 0.4


async def test_tests_of_async_generators_are_judged():
    module = "async def steps(n):\n    for i in range(n):\n        if i % 2 == 0:\n            yield i\n"
    subject = Subject(name="steps", function="steps", module=module, trusted=("steps(5)",))
    tests = (
        "import asyncio\nfrom candidate import steps\n\nasync def collect(n):\n    return [x async for x in steps(n)]\n\n"
        "def test_steps():\n    assert asyncio.run(collect(5)) == [0, 2, 4]\n    assert asyncio.run(collect(0)) == []\n"
    )
    found = await judge_tests(await survey(subject, execute, OPTIONS), tests, execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert found.score.mutation_score == 1.0


async def test_tests_that_run_others_on_the_original_are_no_tests(words):
    """Their answer must be the same on every original: the same tests, not only none that fails."""

    async def fewer(program, limits):
        result = await execute(program, limits)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert all(line["outcome"] != "passed" for line in lines if line["event"] == "faced" and line["mutant"] is None)
        return result

    tests = (
        "import time\nfrom candidate import words\ndef test_a():\n    assert words('a bb') == ['bb']\n"
        "globals()[f'test_{time.monotonic_ns()}'] = lambda: None\n"
        "import pytest\n@pytest.fixture\ndef x(): return 1\ndef test_b(x): assert words('cc') == ['cc']\n"
    )
    found = await judge_tests(words, tests, fewer, OPTIONS)
    assert found.score.reward == 0.0
