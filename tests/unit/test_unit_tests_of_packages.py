"""Unit tests of modules that import others of their folder or package, judged in plain processes."""

from __future__ import annotations

import pytest
from mutant_harness import execute

from orchestrator.applications.unit_tests import siblings
from orchestrator.applications.unit_tests.judge import MutationOptions, judge_tests, survey
from orchestrator.applications.unit_tests.subjects import imported_as_candidate, shown, subject_of, with_module
from orchestrator.errors import UsageError

pytestmark = pytest.mark.slow

OPTIONS = MutationOptions(references=2, wall=5)
FILES = {
    "pkg/__init__.py": "from .shapes import area\n",
    "pkg/base.py": "class Shape:\n    def __init__(self, side):\n        self.side = side\n",
    "pkg/shapes.py": """from .base import Shape
import pkg.deep.more as more


def area(shape: Shape, times=1):
    if times < 0:
        raise ValueError(times)
    return more.square(shape.side) * times


class Cube(Shape):
    def volume(self):
        return more.square(self.side) * self.side
""",
    "pkg/deep/more.py": "from ..numbers import ONE\n\n\ndef square(x):\n    return x * x * ONE\n",
    "pkg/numbers.py": "ONE = 1\n",
    "pkg/unused.py": "raise SystemExit\n",
    "helper.py": "def double(x):\n    return 2 * x\n",
    "flat.py": "from helper import double\n\n\ndef four(x: int) -> int:\n    return double(double(x))  + 0\n",
}
TESTS = """
from {module} import area, Cube
from pkg.base import Shape
import pytest
from numbers import Number


def test_area():
    assert area(Shape(3)) == 9
    assert area(Shape(3), 2) == 18
    assert area(Cube(1), 0) == 0
    with pytest.raises(ValueError):
        area(Shape(1), -1)


def test_volume():
    assert Cube(3).volume() == 27
    assert isinstance(Cube(1), Shape)
    assert isinstance(Cube(1).volume(), Number)
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["area", "Cube"])
async def test_a_module_of_a_package_is_tested_with_what_it_imports(folder, name):
    subject = subject_of(f"{folder}/pkg/shapes.py::{name}")
    assert subject.module_name == "pkg.shapes"
    assert [one for one, _ in subject.siblings] == [
        "pkg.__init__",
        "pkg.base",
        "pkg.deep.__init__",
        "pkg.deep.more",
        "pkg.numbers",
    ]
    assert "class Shape" in shown(subject)
    surveyed = await survey(subject, execute, OPTIONS)
    assert name == "Cube" or surveyed.distinct == {one.name for one in surveyed.mutants}  # no guess makes a Shape
    found = await judge_tests(surveyed, imported_as_candidate(TESTS.format(module="pkg.shapes"), subject), execute, OPTIONS)
    assert found.score.valid, found.feedback
    assert found.score.mutation_score == 1.0, found.feedback
    assert with_module("from candidate import area\n", "candidate", subject.module_name) == "from pkg.shapes import area\n"


async def test_a_file_is_tested_with_what_it_imports_of_its_folder(folder):
    subject = subject_of(f"{folder}/flat.py::four")
    assert (subject.module_name, [one for one, _ in subject.siblings]) == ("flat", ["helper"])
    tests = "from candidate import four\n\n\ndef test_a():\n    assert [four(1), four(-2), four(0)] == [4, -8, 0]\n"
    found = await judge_tests(await survey(subject, execute, OPTIONS), tests, execute, OPTIONS)
    assert found.score.valid, found.feedback
    copied = tests.replace("four(1)", "helper.double(2)").replace("candidate import four", "candidate import four\nimport helper")
    assert (
        "No module named 'helper'"
        in (await judge_tests(await survey(subject, execute, OPTIONS), copied, execute, OPTIONS)).feedback
    )


def test_what_goes_along_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(siblings, "_MOST_FILES", 3)
    with pytest.raises(UsageError, match="imports more than 3 files"):
        subject_of(f"{folder}/pkg/shapes.py::area")
