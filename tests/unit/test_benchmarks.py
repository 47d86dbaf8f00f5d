"""Data sets and samples out of files: what is well-formed becomes tasks, what is not is named by its line."""

from __future__ import annotations

import gzip
import json
import math
import sys

import pytest

from orchestrator.data.benchmarks import load, read_samples
from orchestrator.data.benchmarks.evalplus import inputs_of
from orchestrator.data.benchmarks.literals import literal
from orchestrator.errors import PrerequisiteError, UsageError

OWN = {"task_id": "own/1", "prompt": "Write f.", "tests": "from candidate import f\n\ndef test_f():\n    assert f(1) == 1\n"}
MBPP = {
    "task_id": 7,
    "text": "Add one.",
    "code": "def other(x):\r\n  return x\r\ndef add(x):\r\n  return x + 1",
    "test_list": ["assert add(1) == 2", "assert add(2) == 3"],
    "test_setup_code": "import math",
}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_humaneval_comes_with_the_package():
    loaded = load("humaneval")
    assert (len(loaded.tasks), loaded.problems) == (164, [])
    task = loaded.tasks["HumanEval/0"]
    assert task.continues
    assert task.entry_point == "has_close_elements"
    assert "def check(candidate)" in task.tests
    assert task.visible_tests.splitlines() == [
        "assert has_close_elements([1.0, 2.0, 3.0], 0.5) == False",
        "assert has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3) == True",
    ]
    assert task.reference.startswith(task.prompt)


def test_what_tests_use_of_the_prompt_comes_with_them():
    """From the candidate, the polynomial whose zero is sought could be zero everywhere."""
    tasks = load("humaneval").tasks
    heads = {name: task.tests.partition("def check(")[0] for name, task in tasks.items()}
    with_helpers = [name for name, head in heads.items() if "def " in head]
    assert with_helpers == ["HumanEval/32", "HumanEval/38", "HumanEval/50"]
    assert "def poly(xs: list, x: float)" in tasks["HumanEval/32"].tests
    assert "import math" in tasks["HumanEval/32"].tests.partition("def poly")[0]
    assert "def find_zero" not in tasks["HumanEval/32"].tests


def test_an_mbpp_row_shows_one_test_and_hides_all(tmp_path):
    task = load(str(write(tmp_path / "x.jsonl", MBPP))).tasks["7"]
    assert task.entry_point == "add"
    assert not task.continues
    assert "assert add(1) == 2" in task.prompt
    assert "add(2)" not in task.prompt + task.visible_tests
    assert task.tests.splitlines() == ["import math", "assert add(1) == 2", "assert add(2) == 3"]
    assert "\r" not in task.reference


def test_sanitized_mbpp_is_a_json_list_in_a_folder(tmp_path):
    row = {key: MBPP[key] for key in ("task_id", "code", "test_list")} | {"prompt": "Add one.", "test_imports": ["import re"]}
    (tmp_path / "mbpp").mkdir()
    (tmp_path / "mbpp" / "sanitized-mbpp.json").write_text(json.dumps([row]))
    loaded = load("mbpp-sanitized", folder=tmp_path, split="all")
    assert loaded.tasks["7"].tests.startswith("import re\n")
    assert loaded.tasks["7"].source.endswith("sanitized-mbpp.json#1")


def test_broken_rows_are_named_by_line_and_the_rest_goes_on(tmp_path):
    without = {key: value for key, value in OWN.items() if key != "tests"} | {"task_id": "own/2"}
    wrong_limit = OWN | {"task_id": "own/3", "limits": {"wall_time": -1}}
    numbered = OWN | {"task_id": "own/6", "tests": [1, 2]}
    path = write(
        tmp_path / "x.jsonl",
        OWN,
        "",
        without,
        '{"task_id": "own/4", "pro',
        "[1]",
        OWN,
        wrong_limit,
        OWN | {"task_id": "own/5", "difficulty": "easy", "tags": [], "test_id": 7},
        "null",
        numbered,
        OWN | {"task_id": "own/7", "visible_test": "assert f(1) == 1"},
    )
    loaded = load(str(path))
    assert list(loaded.tasks) == ["own/1", "own/5"]
    told = [str(problem) for problem in loaded.problems]
    assert [one.split(": ")[0] for one in told] == [f"{path}:{line}" for line in (3, 4, 5, 6, 7, 9, 10, 11)]
    expected = (
        "own/2: the row has no tests",
        "cut off",
        "list is not a row",
        "twice",
        "wall_time",
        "null is not a row",
        "own/6: its tests are a list of int, which is not a known shape of tests",
        "own/7: the row has 'visible_test'; is 'visible_tests' meant?",
    )
    for words, one in zip(expected, told, strict=True):
        assert words in one


def test_a_gzip_file_that_ends_early_gives_what_it_holds(tmp_path):
    rows = "".join(json.dumps(OWN | {"task_id": str(i), "prompt": f"{i * 7919}" * 50}) + "\n" for i in range(2000))
    whole = gzip.compress(rows.encode())
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    loaded = load(str(path))
    assert 0 < len(loaded.tasks) < 2000
    assert any("damaged" in str(problem) for problem in loaded.problems)


@pytest.mark.parametrize("content", ["", "\n\n", '{"task_id": 1}\n'])
def test_an_empty_data_set_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"x\.jsonl holds no task"):
        load(str(path))


def test_what_is_not_there_is_said_with_a_remedy(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load("humanevil")
    with pytest.raises(UsageError, match="HumanEvalPlus"):
        load("humaneval+", tmp_path)


def test_without_a_hub_library_the_remedy_names_the_option(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["orchestrator.data.benchmarks.load"], "find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match="--data"):
        load("mbpp", folder=tmp_path)


def test_samples_are_numbered_in_the_order_of_the_file(tmp_path):
    path = write(
        tmp_path / "s.jsonl", *({"task_id": task, "completion": text} for task, text in [("a", "1"), ("b", "2"), ("a", "3")])
    )
    read = read_samples(path, {"a", "b"})
    assert [(one.task_id, one.completion_id, one.text) for one in read.samples] == [("a", 0, "1"), ("b", 0, "2"), ("a", 1, "3")]


def test_unusable_samples_are_named_by_line(tmp_path):
    path = write(
        tmp_path / "s.jsonl",
        {"task_id": "a", "completion_id": 0, "completion": "1"},
        {"task_id": "nowhere", "completion": "1"},
        {"task_id": "a", "completion_id": 0, "completion": "2"},
        {"task_id": "a", "completion": None},
        {"completion": "x"},
        {"task_id": "a", "solution": "whole"},
        '{"task_id": "a", "completion": "def f',
    )
    read = read_samples(path, {"a"})
    assert [(one.text, one.whole) for one in read.samples] == [("1", False), ("whole", True)]
    told = [str(one) for one in read.problems]
    assert [one.split(": ")[0] for one in told] == [f"{path}:{line}" for line in (2, 3, 4, 5, 7)]
    for words, one in zip(("no task 'nowhere'", f"first is {path}:1", "no text", "no task_id", "cut off"), told, strict=True):
        assert words in one


def test_samples_of_tasks_that_are_not_wanted_are_counted(tmp_path):
    path = write(tmp_path / "s.jsonl", *({"task_id": task, "completion": "1"} for task in "abb"))
    read = read_samples(path, {"a", "b"}, {"a"})
    assert ([one.task_id for one in read.samples], read.problems, read.elsewhere) == (["a"], (), 2)


def test_a_file_without_any_usable_sample_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        read_samples(write(tmp_path / "s.jsonl", {"task_id": "nowhere", "completion": ""}), {"a"})


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        10**5000,
        0.1,
        math.inf,
        -math.inf,
        2j,
        "a\n'\"",
        b"\0",
        [1, (2,), ()],
        {1: {2}},
        set(),
        frozenset([1]),
        {"k": [None]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_literal_is_read_back_as_the_same_value(value):
    again = eval(literal(value))
    assert again == value
    assert type(again) is type(value)


def test_a_literal_of_nan_is_nan():
    assert math.isnan(eval(literal(math.nan)))


def test_what_has_no_literal_is_refused():
    with pytest.raises(TypeError, match="object"):
        literal([object()])


@pytest.mark.parametrize(
    ("task", "stored", "real"),
    [
        ("Mbpp/2", [[3, 4], [5]], [(3, 4), (5,)]),
        ("Mbpp/63", [[[1, 2], [3, 4]]], [[(1, 2), (3, 4)]]),
        ("Mbpp/75", [[[1, 2]], 3], [[(1, 2)], 3]),
        ("Mbpp/106", [[1], [2]], [[1], (2,)]),
        ("Mbpp/115", [[[1], []]], [[{1}, {}]]),
        ("Mbpp/252", ["1j"], [1j]),
        ("Mbpp/580", [[1, [2, [3]]]], [(1, (2, (3,)))]),
        ("Mbpp/3", [[1, 2]], [[1, 2]]),
        ("HumanEval/2", [[1, 2]], [[1, 2]]),
    ],
)
def test_types_that_json_lost_come_back(task, stored, real):
    assert inputs_of(task, "f", [stored], [], 0).base == (real,)
