"""Rules of the house: which way imports point, and how quick the doors are."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_point_one_way():
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@cache
def imported(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_distribution_can_be_imported_by_its_name():
    import fumehood
    import orchestrator

    assert set(fumehood.__all__) == set(orchestrator.__all__)
    for name in fumehood.__all__:
        assert getattr(fumehood, name) is getattr(orchestrator, name)


@pytest.mark.parametrize(
    "heavy", ["torch", "docker", "sqlalchemy", "sklearn", "matplotlib", "huggingface_hub", "xllamacpp", "pydantic"]
)
def test_the_package_imports_nothing_heavy(heavy):
    assert heavy not in imported("import orchestrator")


@pytest.mark.parametrize(
    "heavy",
    [
        "torch",
        "docker",
        "sqlalchemy",
        "sklearn",
        "matplotlib",
        "huggingface_hub",
        "xllamacpp",
        "datasets",
        "pyarrow",
        "rapidfuzz",
    ],
)
def test_the_command_line_imports_nothing_heavy(heavy):
    assert heavy not in imported("import orchestrator.cli")


def test_the_agent_needs_the_standard_library_only():
    files = list((ROOT / "sandbox_image" / "agent").rglob("*.py"))
    for file in files:
        top = {
            line.split()[1].split(".")[0]
            for line in file.read_text().splitlines()
            if line.startswith(("import ", "from ")) and not line.startswith("from __future__")
        }
        allowed = set(sys.stdlib_module_names) | {""} | ({"pytest"} if file.name in ("reporter.py", "rehearsed.py") else set())
        assert top <= allowed, file


def seconds(*command: str) -> float:
    """The best of five: a busy machine only ever adds."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def test_help_is_quick():
    bare = seconds(sys.executable, "-c", "pass")
    # Seconds on a machine at rest; a slow or busy one shows in the interpreter alone.
    assert seconds(sys.executable, "-c", "import orchestrator") - bare < max(0.1, 5 * bare)
    assert seconds(str(Path(sys.executable).parent / "fumehood"), "--help") - bare < max(0.5, 20 * bare)
