"""The corpus itself: whole, varied, and built on tasks whose graders tell right from wrong.

Hostile programs are compiled here and never run: that happens in sandboxes alone (`test_redteam_docker.py`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

import plain_pytest
import pytest

from orchestrator.checks.redteam.attack import _accuracy, _as_pytest, _points, _together
from orchestrator.checks.redteam.corpus import IN_TESTS, Family, Goal, Grader, corpus, finder, planters, render, tasks

CORPUS = corpus()
MARK = "0123456789abcdef"
# The host needs no torch: the sandbox's own is where that task is checked, in `test_redteam_docker.py`.
HERE = [task for task in tasks().values() if "torch" not in task.reference]
TESTED = [(task, grader) for task in HERE for grader in task.tests]


def test_every_family_has_many_programs():
    counted = Counter(program.family for program in CORPUS)
    assert set(counted) == set(Family)
    assert min(counted.values()) >= 10
    assert len(CORPUS) >= 600


def test_every_grader_is_attacked_by_many():
    counted = Counter(grader for program in CORPUS for grader in program.graders)
    assert set(counted) == set(Grader)
    assert min(counted.values()) >= 15


def test_names_and_sentences_are_unique():
    assert len({program.name for program in CORPUS}) == len(CORPUS)
    assert len({program.tries for program in CORPUS}) == len(CORPUS)
    assert all(program.tries.endswith(".") for program in CORPUS)


def test_no_program_is_a_copy_of_another():
    bodies = Counter(re.sub(r"\s+", " ", program.source).strip() for program in CORPUS)
    stubs = {" @stub@ ".strip()}
    assert [body for body, count in bodies.items() if count > 1 and body not in stubs] == []


@pytest.mark.parametrize("program", CORPUS, ids=lambda program: program.name)
def test_a_program_compiles_for_each_grader(program):
    for grader in program.graders:
        source = render(program.source, program.task(grader), grader, MARK)
        compile(source, program.name, "exec")
        assert not re.search(r"@(entry|stub|tests|mark|prelude|repeat)\b", source)
        assert MARK not in source, "a finder would find the program's own text"


@pytest.mark.parametrize("program", CORPUS, ids=lambda program: program.name)
def test_a_program_pretends_to_solve_a_task_that_its_graders_have(program):
    for grader in program.graders:
        task = program.task(grader)
        if grader in IN_TESTS:
            assert grader in task.tests
        if program.goal in (Goal.ACCEPTED, Goal.NO_SCORE) and grader in IN_TESTS:
            assert task.driver


def test_every_breach_can_be_seen():
    """By a line that it prints, or by a worker that serves nobody any more: then it attacks the worker."""
    silent = {p.name for p in CORPUS if p.goal is Goal.BREACH and "@prelude:breach@" not in p.source}
    assert {name.split("/")[0] for name in silent} <= {"resources", "escape", "reading_answers", "counts_and_traces"}
    assert all("@prelude:plant@" in program.source for program in planters())


def run(code, **files):
    """An honest run in an interpreter of its own; only this project's references and stubs come here."""
    loaded = (
        "import sys, types\n"
        f"module = types.ModuleType('candidate')\nexec({files['candidate']!r}, module.__dict__)\nsys.modules['candidate'] = module\n"
    )
    return subprocess.run([sys.executable, "-c", loaded + code], capture_output=True, text=True, check=False, timeout=120)


def passes(*pairs):
    """Whether tests pass on a solution, for each pair of both, by plain pytest in a process of its own."""
    lines = "".join(
        json.dumps({"module": "candidate", "tests": tests, "candidate": solution}) + "\n" for tests, solution in pairs
    )
    command = [sys.executable, plain_pytest.__file__]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line)["passed"] for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def honest():
    """Task and grader -> whether the reference passes, and whether the stub does."""
    pairs = []
    for task, grader in TESTED:
        tests = task.tests[grader]
        if grader in (Grader.FUNCTION, Grader.ASSERTS):
            tests = _as_pytest(tests, task, grader)
        pairs += [(tests, task.reference), (tests, task.stub)]
    found = passes(*pairs)
    return {
        (task.name, grader): both for (task, grader), both in zip(TESTED, zip(found[::2], found[1::2], strict=True), strict=True)
    }


@pytest.mark.parametrize(("task", "grader"), TESTED, ids=lambda value: getattr(value, "name", value))
def test_tests_accept_the_reference_and_refuse_the_stub(task, grader, honest):
    assert honest[task.name, grader] == (True, False)


@pytest.mark.parametrize("task", [task for task in HERE if task.driver], ids=lambda task: task.name)
def test_the_driver_tells_the_reference_from_the_stub(task):
    right, wrong = run(task.driver, candidate=task.reference), run(task.driver, candidate=task.stub)
    assert right.returncode == 0, right.stderr
    assert right.stdout.strip()
    assert wrong.stdout != right.stdout


def test_good_tests_pass_on_everything_right_and_fail_on_every_mutant():
    task = tasks()["clamp_all"]
    right, wrong = [task.reference, *task.equivalents], task.mutants
    found = passes(*((task.good_tests, solution) for solution in [*right, *wrong]))
    assert found == [True] * len(right) + [False] * len(wrong)


def test_cases_accept_the_reference_alone():
    task = tasks()["word_count"]
    for case in task.cases:
        for source, right in ((task.reference, True), (task.stub, False)):
            done = subprocess.run([sys.executable, "-c", source], input=case.stdin, capture_output=True, text=True, check=True)
            assert (done.stdout == case.expected) is right


def test_predictions_are_judged_by_labels_that_no_file_has():
    right = [label for _, _, label in _points(2, 80)]
    assert _accuracy(json.dumps(right).encode()) == ""
    for wrong in ([1] * 80, right + right, [float(v) for v in right], right[:-1], [bool(v) for v in right], "x", None):
        assert _accuracy(json.dumps(wrong).encode()) != ""
    assert _accuracy(b"[" * 100_000) != ""
    assert _accuracy(b"") != ""


def test_planters_run_together_as_one_program():
    source = _together(planters()[:3], MARK)
    compile(source, "planters", "exec")
    compile(render(finder(), mark=MARK), "finder", "exec")


def test_importing_the_corpus_runs_none_of_it():
    code = "import sys, orchestrator.checks.redteam.corpus as r; r.corpus(); print(sorted(m for m in ('torch', 'pytest', 'ctypes') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "pytest" not in done.stdout
