"""What people meet of results: one line, a table in a notebook, help with units, what is missing; and `run` for scripts."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pytest

import orchestrator
from orchestrator.engine import background
from orchestrator.engine.background import run
from orchestrator.engine.engine import Engine
from orchestrator.errors import UsageError
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring.verdicts import together
from orchestrator.settings import Settings
from orchestrator.types import (
    CheckerSource,
    ExecutionResult,
    IOCase,
    Limits,
    Program,
    RunReport,
    Status,
    TestResult,
    Value,
    Verdict,
)

PASSED = TestResult(name="test_a", outcome="passed", basis="data")
FAILED = TestResult(name="test_b", outcome="failed", message="assert 1 == 2\n +  more")


def result(verdict: Verdict | None = Verdict.ACCEPTED, **fields) -> ExecutionResult:
    return ExecutionResult(**{"status": Status.OK, "verdict": verdict, "judging": "apart", "wall_time": 1.0} | fields)


def test_a_result_is_one_line():
    shown = repr(result(Verdict.WRONG_ANSWER, reward=0.0, tests=(PASSED, FAILED), stdout="x" * 10_000))
    assert shown == (
        "<ExecutionResult: wrong_answer (status ok), reward 0.0, judging: apart, 1 of 2 tests passed, 1.00 s, 0.00 s CPU, 0 MiB>"
    )
    assert str([FAILED]) == "[<TestResult: failed test_b: assert 1 == 2>]"
    assert repr(ExecutionResult(status=Status.OK)).startswith("<ExecutionResult: ok, 0.00 s")


def test_a_notebook_shows_what_a_stranger_wrote_escaped():
    hostile = '<img src=x onerror="alert(1)">\x1b[2J'
    named = FAILED.model_copy(update={"name": hostile, "message": hostile})
    page = result(Verdict.WRONG_ANSWER, tests=(named,), stdout=hostile, stderr="y" * 30_000, detail=hostile)._repr_html_()
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\x1b[2J") == 4
    assert "and 10000 more characters" in page
    assert "wrong_answer (status ok)" in page


@pytest.mark.parametrize("kind", [Limits, Program, ExecutionResult, TestResult, IOCase, CheckerSource, Settings])
def test_help_says_what_each_field_is(kind):
    told = pydoc.plain(pydoc.render_doc(kind)).partition(" |  Fields:\n")[2].partition(" |  Method resolution order:")[0]
    for name in kind.model_fields:
        assert f" |  {name}: " in told, name
    documented = inspect.getdoc(kind) or ""
    assert documented.count("\n    ") >= len(kind.model_fields) - 5
    assert inspect.getdoc(Value)


@pytest.mark.parametrize(
    ("field", "unit"), [("memory", "Bytes"), ("wall_time", "Seconds"), ("disk", "Bytes"), ("cpu_time", "seconds")]
)
def test_help_tells_units(field, unit):
    told = (inspect.getdoc(Limits) or "").partition(f"\n{field}: ")[2].splitlines()[1]
    assert unit in told


def test_a_class_of_somebody_elses_has_its_own_words():
    class Mine(Limits):
        """Mine."""

    assert (inspect.getdoc(Mine) or "").startswith("Mine.\n\nFields:\n\nwall_time: ")
    typed: dict = {"Limits": Limits}
    exec("class Typed(Limits): 'Typed in.'", typed)
    assert inspect.getdoc(typed["Typed"]).startswith("Typed in.")


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("ModuleNotFoundError: No module named 'requests'", "`fumehood image build --with requests`"),
        ("ModuleNotFoundError: No module named 'cv2.x'", "--with opencv-python-headless"),
        ("OSError: [Errno 101] Network is unreachable", "no network"),
        ("urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>", "no network"),
        ("EOFError: EOF when reading a line", "give it some (stdin=)"),
    ],
)
def test_what_is_missing_is_told_with_its_remedy(stderr, words):
    (hint,) = ExecutionResult(status=Status.RUNTIME_ERROR, stderr=f"Traceback ...\n{stderr}\n").hints
    assert words in hint
    in_tests = TestResult(name="t", outcome="failed", message=stderr)
    assert result(Verdict.RUNTIME_ERROR, tests=(in_tests,)).hints == [hint]
    assert result(stderr=stderr).hints == []
    assert ExecutionResult(status=Status.OK, stderr=stderr).hints == []


# -- several files of tests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "decides"),
    [
        (("accepted", "accepted"), "accepted"),
        (("accepted", "wrong_answer"), "wrong_answer"),
        (("unscored", "wrong_answer"), "wrong_answer"),
        (("wrong_answer", "tampered"), "tampered"),
        (("invalid_tests", "accepted"), "invalid_tests"),
        (("invalid_tests", "unscored"), "unscored"),
    ],
)
def test_a_failure_in_one_is_a_failure_of_all(verdicts, decides):
    results = {f"{i}.py": result(Verdict(verdict), tests=(PASSED,), stdout=verdict) for i, verdict in enumerate(verdicts)}
    found = together(results)
    assert (found.verdict, found.stdout) == (decides, decides)
    assert [test.name for test in found.tests] == ["0.py::test_a", "1.py::test_a"]
    assert found.wall_time == 2.0
    assert together({"x": results["0.py"]}) is results["0.py"]


def test_together_they_rest_on_the_weakest():
    strong, weak = result(basis="data"), result(basis="word", judging="together")
    assert (together({"a": strong, "b": weak}).basis, together({"a": strong, "b": weak}).judging) == ("word", "together")


# -- run and run_many ------------------------------------------------------------------------------------------------


@pytest.fixture
def provider(monkeypatch):
    """Sandboxes that say the program's code, behind `run` and `run_many`."""
    provider = ScriptedProvider(
        lambda program: RunReport(status=Status.OK, stdout=program.code or ""), judges_apart=True, runs=99
    )
    monkeypatch.setattr(background, "Engine", lambda: Engine(Settings(workers=1), provider=provider))
    monkeypatch.setattr(background, "_background", None)
    yield provider
    if background._background is not None:
        background._background.close()


def test_run_takes_what_a_program_can_say(provider, tmp_path: Path):
    (tmp_path / "data").write_bytes(b"\xff")
    given = {"text": "é", "bytes": b"1", "file": tmp_path / "data"}
    tests = "def check(candidate): pass"
    orchestrator.run("C", tests=tests, entry_point="f", module="m", judging="together", in_place=True, files=given, args=["a"])
    program = provider.programs[0]
    assert program.files == {"text": "é".encode(), "bytes": b"1", "file": b"\xff"}
    assert (program.entry_point, program.module, program.judging, program.in_place) == ("f", "m", "together", True)
    assert program.args == ("a",)
    with pytest.raises(UsageError, match="gone cannot be read"):
        orchestrator.run("C", files={"x": tmp_path / "gone"})
    with pytest.raises(UsageError, match="image"):
        orchestrator.run("C", image="another")


def test_run_many_takes_sources_and_tells_each_result(provider):
    seen = {}
    programs = ["A", "B", Program(code="C", args=("own",))]
    results = orchestrator.run_many(programs, files={"x": "1"}, on_result=seen.__setitem__)
    assert [found.stdout for found in results] == ["A", "B", "C"]
    assert seen == dict(enumerate(results))
    assert [program.files for program in provider.programs] == [{"x": b"1"}, {"x": b"1"}, {}]
    with pytest.raises(UsageError, match="this is one"):
        orchestrator.run_many("print(1)")


def test_what_a_callback_raises_ends_run_many(provider):
    def stop(place, found):
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        orchestrator.run_many((str(i) for i in range(100)), on_result=stop)
    assert len(provider.programs) < 100


@pytest.mark.parametrize(
    ("given", "words"), [({"limits": {"wall_time": 5}}, "`limits` is a dict"), ({"judging": "foo"}, "`judging` must be")]
)
def test_an_argument_of_another_type_is_a_sentence(given, words):
    with pytest.raises(UsageError, match=words):
        run("print(1)", **given)
