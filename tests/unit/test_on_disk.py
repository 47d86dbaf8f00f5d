"""Programs as people have them on disk: what is sent of a folder or a notebook, how it runs, and what tests import it as."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.engine.engine import why_together
from orchestrator.engine.folders import read_folder
from orchestrator.engine.on_disk import read_tests, read_work
from orchestrator.errors import UsageError
from orchestrator.sandbox.jobs import pack
from orchestrator.types import Limits, Program

MiB = 2**20


def place(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def started(program: Program, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """A program as the sandbox starts it: its files in one folder, and `code` under its name."""
    place(folder, {name: content.decode() for name, content in program.files.items()})
    place(folder, {program.file: program.code or ""})
    command = [sys.executable, program.file, *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


PACKAGE = {
    "__main__.py": "from .helper import n\nimport helper, sys\nfrom proj.helper import n as same\n"
    "print(n, helper.n, same, open('data/n.txt').read(), sys.argv)\n1 / (n - 5 + len(sys.argv) - 1)\n",
    "helper.py": "n = 5\n",
    "data/n.txt": "5",
}


def test_a_folder_runs_as_the_work_folder_and_as_a_package(tmp_path):
    program = read_work(place(tmp_path / "proj", PACKAGE)).alone()
    done = started(program, tmp_path / "box", "x")
    assert (done.stdout, done.stderr) == ("5 5 5 5 ['__main__.py', 'x']\n", "")
    assert not (tmp_path / "box" / program.file).exists()
    failed = started(program, tmp_path / "box2")
    assert failed.returncode == 1
    assert [line.strip() for line in failed.stderr.splitlines() if "File" in line] == [
        f'File "{tmp_path}/box2/__main__.py", line 5, in <module>'
    ]


def test_a_packages_init_is_run_where_it_is_imported_and_main_can_be_named(tmp_path):
    files = {"__init__.py": "print('init')", "app/go.py": "from .. import x\nimport near\n", "x.py": "print('x')"}
    folder = place(tmp_path / "json", files | {"app/near.py": "print(__name__)"})  # json: a package of Python's has that name
    done = started(read_work(folder, main="app/go.py").alone(), tmp_path / "box")
    assert (done.stdout, done.stderr) == ("init\nx\nnear\n", "")


def test_what_no_program_needs_stays_and_is_named(tmp_path):
    files = {"a.py": "1", ".env": "key", ".git/config": "x", "__pycache__/a.pyc": "x", "ve/pyvenv.cfg": "", "ve/b.py": ""}
    folder = place(tmp_path / "p", files)
    (folder / "link").symlink_to("/etc/passwd")
    found = read_folder(folder, MiB)
    assert found.files == {"a.py": b"1"}
    assert found.left_out == [".env", ".git", "__pycache__ (a cache)", "link (a link)", "ve (a virtual environment)"]
    assert str(found).startswith(f"1 file of {folder} (1 byte) comes along; left out: .env")


def test_a_folder_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    folder = place(tmp_path / "p", {"main.py": ""})
    with (folder / "data.bin").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(UsageError, match=r"needs 931.3 GiB, and there is room for 128.0 MiB") as told:
        read_work(folder, room=Limits().disk)
    assert "--disk" in told.value.remedy


# -- notebooks -------------------------------------------------------------------------------------------------------


def notebook(path: Path, *cells: str, language: str = "python") -> Path:
    every = [{"cell_type": "markdown", "source": "Words"}, *({"cell_type": "code", "source": [cell]} for cell in cells)]
    path.write_text(json.dumps({"cells": every, "metadata": {"kernelspec": {"language": language}}}))
    return path


def test_cells_run_in_order_and_errors_name_them(tmp_path):
    cells = ["%matplotlib inline\n!pip install numpy\nx = 2", "x + 1", "x;", "import asyncio\nawait asyncio.sleep(0, 7)", "1 / 0"]
    work = read_work(notebook(tmp_path / "n.ipynb", *cells, "print('never')"))
    assert len(work.notes) == 2
    assert "Left out of cell 1 of n.ipynb: `!pip install numpy`" in work.notes[1]
    program = work.alone()
    done = started(program, tmp_path / "box")
    assert done.stdout == "3\n7\n"
    assert 'File "n.ipynb, cell 5", line 1, in <module>\n    1 / 0' in done.stderr
    assert "launch" not in done.stderr
    assert list((tmp_path / "box").iterdir()) == []


@pytest.mark.parametrize("cell", ["%%bash\nls", "!ls", "x = 1\n%run other.py"])
def test_what_only_jupyter_runs_is_refused(tmp_path, cell):
    with pytest.raises(UsageError, match=r"Cell 1 of n\.ipynb has `.*`, which only Jupyter runs"):
        read_work(notebook(tmp_path / "n.ipynb", cell))


def test_a_text_with_a_percent_sign_is_no_magic(tmp_path):
    done = started(read_work(notebook(tmp_path / "n.ipynb", 'print("""\n%time\n!""")')).alone(), tmp_path / "box")
    assert done.stdout == "\n%time\n!\n"


def test_what_is_no_notebook_of_python(tmp_path):
    (tmp_path / "n.ipynb").write_text("[1]")
    with pytest.raises(UsageError, match="not a notebook"):
        read_work(tmp_path / "n.ipynb")
    with pytest.raises(UsageError, match="no code cells"):
        read_work(notebook(tmp_path / "e.ipynb"))
    with pytest.raises(UsageError, match="a notebook of R"):
        read_work(notebook(tmp_path / "r.ipynb", "1", language="R"))


# -- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "module"),
    [
        ("from stack import S", "stack"),
        ("import stack as s", "stack"),
        ("from candidate import S", "candidate"),
        ("import candidate, stack", "candidate"),
        ("def check(candidate): pass", "candidate"),
        ("import os.path, numpy", "candidate"),
        ("this is no Python", "candidate"),
    ],
)
def test_tests_import_a_file_by_its_own_name_or_as_the_candidate(tmp_path, tests, module):
    work = read_work(place(tmp_path, {"stack.py": "S = 1"}) / "stack.py")
    assert work.under(tests).module == module
    assert work.under(tests, "other").module == "other"
    assert work.alone().file == "stack.py"


def test_a_file_with_the_name_of_a_module_of_pythons(tmp_path):
    work = read_work(place(tmp_path, {"queue.py": "class Q: pass"}) / "queue.py")
    assert work.alone().file == "main.py"
    with pytest.raises(UsageError, match="`queue`, which is a module of Python's own"):
        work.under("from queue import Q")


def test_a_file_of_a_package_needs_its_folder(tmp_path):
    work = read_work(place(tmp_path / "pk", {"a.py": ""}) / "a.py")
    with pytest.raises(UsageError, match=r"`pk\.a`, a module of a package"):
        work.under("from pk.a import f")


PROJECT = {
    "main.py": "M = 1",
    "near.py": "N = 1",
    "pk/__init__.py": "",
    "pk/core.py": "C = 1",
    "tests/test_core.py": "",
    "key.txt": "k",
}


@pytest.mark.parametrize(
    ("tests", "module", "code"),
    [
        ("from near import N", "near", "N = 1"),
        ("import pk.core", "pk.core", "C = 1"),
        ("from pk import core", "pk.core", "C = 1"),
        ("import pk", "pk.__init__", ""),
        ("import proj.near", "proj.near", "N = 1"),
        ("from proj.near import N", "candidate", "from proj.near import N\n"),
        ("from candidate import M", "candidate", "M = 1"),
    ],
)
def test_tests_import_a_module_of_a_folder_and_are_not_sent_with_it(tmp_path, tests, module, code):
    folder = place(tmp_path / "proj", PROJECT)
    program = read_work(folder, secret=[folder / "key.txt"]).under(tests)
    assert (program.module, program.code) == (module, code)
    assert not any(word in name for word in ("test", "key") for name in program.files)
    assert bool(why_together(program)) is ("." in module)


BOTH = "from pk.core import C\nimport numpy\ndef test_a():\n    x = 'near'; from near import N as n\n    assert C == n"


def test_names_of_several_modules_can_be_judged_apart(tmp_path):
    work = read_work(place(tmp_path / "proj", PROJECT))
    program = work.under(BOTH)
    assert program.code == "from pk.core import C\nfrom near import N\n"
    assert program.tests == BOTH.replace("pk.core", "candidate").replace("from near", "from candidate")
    assert (program.module, why_together(program)) == ("candidate", "")
    assert {"pk/core.py", "near.py", "main.py"} <= set(program.files)
    helper = {"helper.py": b"from pk.core import C"}
    assert work.under(BOTH + "\nimport helper", beside=helper).module == "pk.core"


@pytest.mark.parametrize(
    "more",
    [
        "import pk.core",
        "import pk",
        "from pk import core",
        "from near import C",  # which one?
        "import importlib\nm = importlib.import_module('pk.core')",
        "from unittest.mock import patch\npatch('near.N')",
        "from candidate import z",
        "from . import z",
        "from pk.core \\\n import C",
        "def test_b(monkeypatch): pass",
    ],
)
def test_tests_with_a_module_in_hand_have_it_as_it_is(tmp_path, more):
    tests = f"{BOTH}\n{more}\n"
    program = read_work(place(tmp_path / "proj", PROJECT)).under(tests)
    assert (program.module, program.tests) == ("pk.core", tests)
    assert why_together(program)


def test_modules_below_src_are_found(tmp_path):
    program = read_work(place(tmp_path / "proj", {"src/pk/__init__.py": "x = 1", "setup.py": ""})).under("import pk")
    assert (program.module, set(program.files)) == ("pk.__init__", {"setup.py"})


def test_tests_of_something_else(tmp_path):
    work = read_work(place(tmp_path / "proj", PROJECT))
    with pytest.raises(UsageError, match=r"import nothing of .*; they import numpy, stack") as told:
        work.under("import numpy, stack, sys")
    assert "main, near, pk, pk.core" in told.value.remedy
    with pytest.raises(UsageError, match="has no module gone"):
        work.under("import near", "gone")


def test_a_module_of_a_package_is_one_in_the_sandbox_too():
    program = Program(code="C", tests="T", module="pk.core", judging="together", files={"pk/__init__.py": b""})
    header, _ = pack(program, Limits())
    assert (header["module"], header["file"]) == ("pk.core", "test_core.py")
    assert set(header["files"]) == {"pk/__init__.py", "pk/core.py", "test_core.py"}
    with pytest.raises(UsageError, match="not a Python identifier"):
        pack(program.model_copy(update={"module": "pk..core"}), Limits())


def test_a_folder_of_tests_is_each_of_them_and_what_they_read(tmp_path):
    files = {"test_a.py": "A", "sub/b_test.py": "B", "conftest.py": "", "data/x.csv": "1"}
    tests, others, notes = read_tests([place(tmp_path / "tests", files)])
    assert tests == {str(tmp_path / "tests/sub/b_test.py"): "B", str(tmp_path / "tests/test_a.py"): "A"}
    assert others == {"data/x.csv": b"1"}
    assert "conftest.py is not read" in notes[0]
    assert read_tests([tmp_path / "tests"], tmp_path / "tests")[1] == {}
    with pytest.raises(UsageError, match="has no tests"):
        read_tests([place(tmp_path / "none", {"a.py": ""})])
