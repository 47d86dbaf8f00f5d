"""Files that come with a program, and files of its tests: who is sent which."""

from __future__ import annotations

import pytest

from orchestrator.engine.apart import why_together
from orchestrator.errors import UsageError
from orchestrator.sandbox.jobs import pack
from orchestrator.types import Limits, Program
from sandbox_image.agent import protocol
from sandbox_image.agent.needs import is_quiet, sides


def packed(**options):
    header, body = pack(Program(code="CODE", **options), Limits())
    return header, protocol.split(body, header["parts"])


def test_judged_apart_each_side_has_its_own():
    header, parts = packed(tests="TESTS", judging="apart", files={"a": b"1"}, test_files={"b": b"2", "a": b"3"})
    assert (header["files"], header["test_files"]) == (["a"], ["b", "a"])
    assert parts == [b"", b"1", b"2", b"3", b"CODE", b"TESTS"]
    assert not is_quiet(header, parts)
    assert sides(header, parts) == [("", False), ("", True)]


PANDAS, TORCH = b"import pandas as pd\n", b"def f():\n    import torch\n"


@pytest.mark.parametrize(
    ("code", "tests", "libraries"),
    [
        (b"import math", None, [""]),
        (b"import numpy", None, ["arrays"]),
        (PANDAS, None, ["tables"]),
        (b"from sklearn.svm import SVC", None, ["tables"]),
        (PANDAS + TORCH, None, ["arrays"]),  # PyTorch takes longer to import
        (PANDAS, b"assert f() == 1", ["tables", "tables"]),
        (PANDAS, b"import pytest", ["arrays", "arrays"]),
        (b"def f(): return 1", b"import pytest", ["", "arrays"]),
    ],
)
def test_a_program_gets_the_libraries_that_it_imports(code, tests, libraries):
    header, parts = packed(tests=None if tests is None else "TESTS", judging="apart")
    count = len(parts) - (1 if tests is None else 2)
    wanted = sides(header, [*parts[:count], code, *([] if tests is None else [tests])])
    assert [name for name, _ in wanted] == libraries


def test_judged_together_both_are_in_one_folder():
    header, parts = packed(tests="TESTS", judging="together", files={"a": b"1"}, test_files={"b": b"2"})
    assert header["test_files"] == []
    placed = dict(zip(header["files"], parts[1:], strict=True))
    assert placed == {"a": b"1", "b": b"2", "candidate.py": b"CODE", "test_candidate.py": b"TESTS"}


@pytest.mark.parametrize("path", ["a", "candidate.py", "test_candidate.py"])
def test_in_one_folder_no_file_of_the_tests_takes_the_place_of_another(path):
    with pytest.raises(UsageError, match="so has the candidate"):
        packed(tests="TESTS", judging="together", files={"a": b"1"}, test_files={path: b"2"})


def test_without_tests_there_are_no_files_for_them():
    with pytest.raises(UsageError, match="no tests"):
        packed(test_files={"a": b"1"})


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a//b"])
def test_their_paths_pass_the_same_gate(path):
    with pytest.raises(UsageError):
        packed(tests="TESTS", judging="apart", test_files={path: b"1"})


READS = "import helpers, pathlib\nassert open('x.csv').read() and pathlib.Path('x.csv').read_text()"


def test_tests_with_files_of_their_own_may_read_and_import_them_apart():
    assert "open" not in why_together(READS, "candidate", {"x.csv": b"1", "helpers.py": b"def g(): return 1"})
    assert why_together(READS, "candidate", {"x.csv": b"1", "helpers.py": b"def g(): return 1"}) == ""
    assert why_together(READS, "candidate") == ""  # files pass between the two sides as data does
    assert why_together(READS.replace("x.csv", "x.py"), "candidate") != ""  # code passes neither way


def test_a_module_of_the_tests_is_read_as_the_tests_are():
    assert "source" in why_together("import helpers", "candidate", {"helpers.py": b"import inspect\ninspect.getsource(x)"})
