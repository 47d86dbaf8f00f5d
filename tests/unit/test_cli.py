"""The command line without an engine: help, bad input, the run store. Bad input never shows a traceback."""

from __future__ import annotations

import ctypes
import io
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner, Result

from orchestrator import __version__, types
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.loss_functions.job import LossJob, LossSolving
from orchestrator.applications.loss_functions.solve import LossOutcome
from orchestrator.applications.loss_functions.tasks import builtin_tasks
from orchestrator.cli import app
from orchestrator.cli.execute import _show as show_result
from orchestrator.cli.execute import exit_code
from orchestrator.cli.given import input_of, placed
from orchestrator.cli.machine import _packages, in_all
from orchestrator.cli.progress import Lines, Progress, duration
from orchestrator.cli.screen import Screen
from orchestrator.cli.shared import size
from orchestrator.cli.solve import _wanted
from orchestrator.data.store import RunStore
from orchestrator.engine.engine import Engine
from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.jobs.job import ResumeOverrides
from orchestrator.processes import owner
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.settings import Settings
from orchestrator.shown import AS_OPTIONS
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    ModelInfo,
    RunReport,
    Status,
    TestOutcome,
    TestResult,
    Usage,
    Verdict,
)

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command in an empty folder, with a home of its own and no engine."""
    for name in [name for name in os.environ if name.startswith("FUMEHOOD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-such.sock")
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Result:
        result = CliRunner().invoke(app, list(args))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def explained(result: Result, code: int, sentence: str) -> None:
    """One sentence on stderr, a remedy after it, nothing on stdout, the right exit code."""
    assert result.exit_code == code
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 2, result.stderr
    assert lines[0].startswith("fumehood: ")
    assert sentence in lines[0]
    assert lines[1].strip()
    assert result.stdout == ""


def fumehood(*args: str, env: dict[str, str] | None = None, drop: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The installed command as a process; `drop` takes capabilities from root."""

    def before() -> None:
        libc = ctypes.CDLL(None)
        for capability in drop if os.geteuid() == 0 else ():
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    return subprocess.run(
        [str(Path(sys.executable).with_name("fumehood")), *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
        preexec_fn=before,
    )


DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


# -- help ------------------------------------------------------------------------------------------------------------


def test_help_needs_nothing_heavy() -> None:
    heavy = [
        "pydantic",
        "pydantic_settings",
        "sqlalchemy",
        "docker",
        "rich",
        "numpy",
        "torch",
        "sklearn",
        "huggingface_hub",
        "requests",
    ]
    program = f"import sys, orchestrator.cli\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "solve",
        "solve loss",
        "tasks",
        "runs",
        "runs ls",
        "runs show",
        "image",
        "image build",
        "model",
        "model serve",
        "doctor",
    ],
)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_help_says_what_an_argument_is_and_not_its_type(cli: Cli) -> None:
    manual = cli("help").stdout
    assert re.findall(r"<[\w|]+(?:\[\w+\])?>", manual) == []
    usage = [line for line in manual.splitlines() if line.startswith("Usage: ")]
    assert [line for line in usage if re.search(r"\[\[|\{[^|]*\}|\.\.\.\]?\.\.\.", line)] == []
    assert "Usage: fumehood run [OPTIONS] {FILE|FOLDER|NOTEBOOK} [-- ARGS]...\n" in manual
    assert "  --port N " in manual


@pytest.mark.parametrize("command", ["version", "--version"])
def test_version(cli: Cli, command: str) -> None:
    assert cli(command).stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "command", ["nonsense", "run", "run --no-such-option x.py", "run x.py --wall-time soon", "solve loss --rounds many"]
)
def test_wrong_usage_is_2(cli: Cli, command: str) -> None:
    result = cli(*command.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert result.stderr


# -- bad input -------------------------------------------------------------------------------------------------------


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "orchestrator", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_help_of_one_command_and_of_all(cli: Cli) -> None:
    assert cli("help", "runs", "ls").stdout.startswith("Usage: fumehood runs ls ")
    manual = cli("help").stdout
    assert manual.startswith("Usage: fumehood ")
    assert "Usage: fumehood solve loss " in manual
    explained(cli("help", "runs", "nothing"), 2, "has no command 'nothing'")
    explained(cli("help", "run", "extra"), 2, "`fumehood run` is a command itself and has none below it, such as 'extra'")


def test_quiet_leaves_errors_and_results(cli: Cli, tmp_path: Path) -> None:
    assert "No run yet" in cli("runs", "ls").stderr
    assert cli("-q", "runs", "ls").stderr == ""
    explained(cli("-q", "run", "missing.py"), 2, "missing.py")
    explained(cli("-q", "-v", "version"), 2, "exclude each other")


def test_a_log_file_has_what_was_said(cli: Cli, tmp_path: Path) -> None:
    cli("-q", "--log-file", "log", "runs", "ls")
    cli("--log-file", "log", "run", "missing.py")
    first, second, _ = (tmp_path / "log").read_text().splitlines()
    assert "INFO fumehood.cli: No run yet" in first
    assert "ERROR fumehood.cli: fumehood: " in second
    explained(cli("--log-file", "no/log", "version"), 2, "--log-file no/log cannot be written")
    assert cli("version").exit_code == 0
    assert not logging.getLogger("fumehood").handlers, "a command in the same process that asks for none has none"


def test_a_missing_file(cli: Cli) -> None:
    explained(cli("run", "none.py"), 2, "none.py cannot be read: No such file")


def test_a_folder_without_a_main_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    result = cli("run", str(tmp_path))
    explained(result, 2, "has no __main__.py and no main.py")
    assert "it has app.py" in result.stderr
    explained(cli("run", str(tmp_path), "--main", "gone.py"), 2, "has no gone.py")
    explained(cli("run", "app.py", "--main", "app.py"), 2, "--main is for folders")


def test_tests_that_are_not_used_are_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("")
    explained(cli("run", "p.py", "--module", "p"), 2, "--module would do nothing: there are no tests")
    explained(cli("run", "p.py", "--test-file", "p.py"), 2, "no tests")


def test_a_file_that_is_not_utf8(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    explained(cli("run", "latin.py"), 2, "latin.py is not UTF-8 text (byte 5)")


def test_a_file_of_somebody_else(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "secret.py"
    file.write_text("print(1)")
    file.chmod(0)
    done = fumehood("run", str(file), drop=(DAC_OVERRIDE, DAC_READ_SEARCH))
    assert done.returncode == 2
    assert "secret.py cannot be read: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_tests_a_missing_input_and_a_missing_carried_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("")
    explained(cli("run", "p.py", "--tests", "t.py"), 2, "The tests t.py cannot be read")
    explained(cli("run", "p.py", "--stdin", "in.txt"), 2, "The input in.txt cannot be read")
    explained(cli("run", "p.py", "--file", "data.csv"), 2, "The file data.csv cannot be read")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--wall-time", "-1", "--wall-time must be above 0, not -1"),
        ("--wall-time", "0", "--wall-time must be above 0, not 0"),
        ("--wall-time", "nan", "--wall-time must be"),
        ("--cpu-time", "-3", "--cpu-time must be above 0, not -3"),
        ("--memory", "-5", "--memory must be at least 64M, not -5"),
        ("--memory", "1M", "--memory must be at least 64M, not 1M"),
        ("--memory", "much", "--memory 'much' is not a size"),
        ("--disk", "-1G", "--disk must be at least 1M"),
        ("--output", "-1", "--output must be at least 0, not -1"),
        ("--output", "1G", "--output must be at most 64M, not 1024M"),
        ("--processes", "-2", "--processes must be at least 1, not -2"),
    ],
)
def test_a_limit_out_of_range(cli: Cli, tmp_path: Path, option: str, value: str, sentence: str) -> None:
    (tmp_path / "p.py").write_text("")
    explained(cli("run", "p.py", option, value), 2, sentence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512M", 512 * 2**20),
        ("2G", 2**31),
        ("64KiB", 65536),
        ("64kb", 65536),
        ("1048576", 2**20),
        ("1.5k", 1536),
        ("7b", 7),
        ("0", 0),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text, "--memory") == expected


@pytest.mark.parametrize("text", ["", "M", "1 2", "0x10", "inf", "nan", "5Q", "1e999"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        size(text, "--memory")


def test_a_variable_without_a_value(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("")
    explained(cli("run", "p.py", "--env", "DEBUG"), 2, "--env 'DEBUG' is not a variable")


@pytest.mark.parametrize(
    ("given", "packages"),
    [
        (["a,b"], ["a", "b"]),
        (["a", "b>=1, <2,c"], ["a", "b>=1,<2", "c"]),
        (["a,,"], ["a"]),
    ],
)
def test_packages_are_separated_by_commas(given: list[str], packages: list[str]) -> None:
    assert _packages(given) == packages


def test_an_images_name_belongs_to_its_packages(cli: Cli) -> None:
    explained(cli("image", "build", "--tag", "mine"), 2, "--tag names an image that --with makes")
    explained(cli("image", "build", "--with", "./mine"), 2, "'./mine' is not a valid package name")


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ("d/x.csv", ("d/x.csv", "x.csv")),
        ("d/x.csv:in/y.csv", ("d/x.csv", "in/y.csv")),
        ("in/y.csv=d/x.csv", ("d/x.csv", "in/y.csv")),
        ("is:there", ("is:there", "is:there")),
        ("d/..", ("d/..", "here")),
    ],
)
def test_a_carried_file_has_its_own_name_or_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: str, where: tuple[str, str]
) -> None:
    (tmp_path / "here/d").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    Path("is:there").touch()
    assert placed(item) == where


@pytest.mark.parametrize(
    ("code", "read"),
    [("print(input())", b"3\n"), ("import sys\nfor line in sys.stdin: pass", b"3\n"), ("subprocess.run('x', stdin=None)", b"")],
)
def test_what_is_piped_in_is_read_by_programs_that_read(monkeypatch: pytest.MonkeyPatch, code: str, read: bytes) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"3\n")
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert input_of("p.py", None, {"": types.Program(code=code)}) == read
        assert input_of("p.py", None, {"t.py": types.Program(code=code, tests="")}) == b""


def test_stdin_can_be_read_once(cli: Cli) -> None:
    explained(cli("run", "-", "--stdin", "-"), 2, "Only one of")


@pytest.mark.parametrize("option", ["--rounds", "--samples", "--parallel"])
def test_a_negative_search(cli: Cli, option: str) -> None:
    explained(cli("solve", "loss", "focal", option, "-1"), 2, f"{option} must be at least 1, not -1")


def test_a_task_without_description(cli: Cli) -> None:
    explained(cli("solve", "loss"), 2, "nothing to solve")
    assert cli("solve", "loss", "").exit_code == 2
    assert cli("solve", "loss", "   ").exit_code == 2


@pytest.mark.parametrize("signature", ["loss(pred", "def", "", "loss", "loss(pred, target); import os", "1(x)", "loss()"])
def test_a_signature_that_does_not_parse(cli: Cli, signature: str) -> None:
    result = cli("solve", "loss", "regression for data with outliers", "--signature", signature)
    explained(result, 2, "signature")


def test_an_unknown_input_kind(cli: Cli) -> None:
    explained(cli("solve", "loss", "regression with outliers", "--inputs", "sounds"), 2, "sounds")


def test_a_loss_to_start_from(cli, tmp_path):
    words = ("solve", "loss", "regression for data with outliers", "--start")
    explained(cli(*words, str(tmp_path / "none.py")), 2, "none.py")
    for name, code, why in (
        ("empty", " \n", "holds no loss"),
        ("prose", "a loss for you", "is not Python"),
        ("none", "x = 1\n", "0 functions"),
        ("two", "def a(x, y): ...\ndef b(x, y): ...\n", "2 functions"),
    ):
        (tmp_path / f"{name}.py").write_text(code)
        explained(cli(*words, str(tmp_path / f"{name}.py")), 2, why)
    explained(cli("solve", "loss", "--all", "--start", str(tmp_path / "two.py")), 2, "10 tasks")


def test_tests_are_for_functions_and_classes(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("class A:\n    def f(self): return 1\n")
    explained(cli("solve", "tests", "m.py:A.g"), 2, "There is no method 'A.g'")
    explained(cli("solve", "tests", "m.py:g"), 2, "m.py: ")
    explained(cli("solve", "tests", "m.py"), 2, "names no function")


def test_a_misspelt_task(cli: Cli) -> None:
    result = cli("solve", "loss", "focl")
    explained(result, 2, "There is no built-in task 'focl'")
    assert "Did you mean focal?" in result.stderr
    named = cli("solve", "loss", "--task", "focl")
    explained(named, 2, "There is no built-in task 'focl'")
    assert "Did you mean focal? Choose from: " in named.stderr


def test_tasks_exclude_each_other(cli: Cli) -> None:
    explained(cli("solve", "loss", "focal", "--all"), 2, "exclude each other")
    explained(cli("solve", "loss", "--demo", "--all"), 2, "exclude each other")
    explained(cli("solve", "loss", "focal", "--signature", "f(a, b)"), 2, "belong to a description")
    explained(cli("solve", "loss", "focal", "focal"), 2, "named twice")
    explained(cli("solve", "loss", "a robust regression loss", "--task", "focal"), 2, "exclude each other")


def test_quoted_descriptions_are_tasks_of_their_own_and_words_are_one() -> None:
    def wanted(*what: str) -> list[str]:
        tasks, _ = _wanted([*what], None, None, [], False, False, None)
        return [task if isinstance(task, str) else task.description for task in tasks]

    assert wanted("masks of thin vessels", "regression with outliers") == ["masks of thin vessels", "regression with outliers"]
    assert wanted("focal", "regression with outliers") == ["focal", "regression with outliers"]
    assert wanted("regression", "with", "outliers") == ["regression with outliers"]
    assert wanted("focal", "dice") == ["focal", "dice"]
    with pytest.raises(UsageError, match="no built-in task 'focl'"):
        wanted("focl", "regression with outliers")


def test_a_data_set_that_does_not_fit(cli: Cli) -> None:
    explained(cli("solve", "loss", "--train", "imagenet"), 2, "no data set 'imagenet'")
    explained(
        cli("solve", "loss", "focal", "--train", "digits"), 2, "is a loss over binary_logits, for two classes, and digits has 10"
    )
    explained(cli("solve", "loss", "focal", "--train", "nowhere.npz"), 2, "no data set 'nowhere.npz', and no such file")


def test_a_data_set_alone_chooses_a_loss_that_fits_it() -> None:
    def wanted(train: str) -> list[str]:
        tasks, _ = _wanted([], None, None, [], False, False, train)
        return [str(task) for task in tasks]

    assert wanted("cats_dogs") == wanted("breast_cancer") == ["focal"]
    assert wanted("mnist") == wanted("CIFAR10") == ["label_smoothing"]


def test_phrasings_are_those_of_builtin_tasks(cli: Cli, tmp_path: Path) -> None:
    of_own = cli("solve", "loss", "masks of thin vessels", "--phrasings", "built-in")
    explained(of_own, 2, "Phrasings are compared on built-in tasks")
    explained(cli("solve", "loss", "focal", "--phrasings", "none.toml"), 2, "The phrasings none.toml cannot be read")
    (tmp_path / "own.toml").write_text('[focal]\nterse = "Focal loss."')
    explained(cli("solve", "loss", "dice", "--phrasings", "own.toml"), 2, "There is one phrasing of dice alone")


def test_resume_takes_no_other_options(cli: Cli) -> None:
    explained(cli("solve", "loss", "--resume", "last", "--rounds", "9"), 2, "--resume takes tasks and options from the run")


def test_a_run_may_be_resumed_with_another_server() -> None:
    moved = ResumeOverrides(base_url="http://127.0.0.1:9", parallel=4)
    loss, evaluation = LossJob(tasks=("focal",), model="m"), EvalJob(dataset="humaneval", n=3)
    assert LossJob.model_validate(moved.of(loss.model_dump(mode="json"))).options.parallel == 4
    there = EvalJob.model_validate(moved.of(evaluation.model_dump(mode="json")))
    assert there == evaluation.model_copy(update={"base_url": "http://127.0.0.1:9", "parallel": 4})


def test_the_server_named_with_resume_is_asked(cli: Cli) -> None:
    run = finished_job("interrupted")
    again = ("solve", "loss", "--resume", run, "--base-url", "http://127.0.0.1:1")
    explained(cli(*again, "--parallel", "65"), 2, "--parallel is out of range")


def test_resume_of_an_unknown_run(cli: Cli) -> None:
    explained(cli("solve", "loss", "--resume", "2026"), 2, "There is no run '2026'")
    explained(cli("solve", "loss", "--resume", "last"), 2, "holds no run yet")


def finished_job(state: Literal["finished", "interrupted"], train: str = "") -> str:
    """A job in the store whose one task was accepted."""
    job = LossJob(tasks=("focal",), base_url="http://127.0.0.1:9", train=train)
    outcome = LossOutcome(task="focal", title="Focal loss", verdict=Verdict.ACCEPTED, code="def focal_loss(): ...\n", attempts=3)
    with RunStore.open(Settings().database_url) as store:
        run = store.create_run(LossSolving.kind, job.model_dump(mode="json"), ModelInfo(model="m"), "sha256:1")
        store.finish(run.id, state, {"accepted": 1, "tasks": [outcome.model_dump(mode="json")]})
    return run.id


def test_resume_of_a_finished_run_needs_neither_model_nor_engine(cli: Cli, tmp_path: Path) -> None:
    run = finished_job("finished")
    result = cli("solve", "loss", "--resume", run, "--json", "--out", str(tmp_path / "there"))
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert (shown["run"], shown["state"], shown["accepted"]) == (run, "finished", 1)
    assert shown["tasks"][0]["attempts"] == 3
    assert (tmp_path / "there" / "focal.py").read_text() == "def focal_loss(): ...\n"
    assert "nothing is left to do" in result.stderr


def test_resume_of_what_is_not_finished_needs_them(cli: Cli) -> None:
    explained_by_engine = cli("solve", "loss", "--resume", finished_job("interrupted"))
    assert explained_by_engine.exit_code == 3
    assert "No Docker engine answers" in explained_by_engine.stderr
    # Its training is still to be done: for that a sandbox is enough, the model server would refuse.
    assert "No Docker engine answers" in cli("solve", "loss", "--resume", finished_job("finished", "breast_cancer")).stderr


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
def test_a_model_url_that_is_none(cli: Cli, url: str) -> None:
    result = cli("solve", "loss", "focal", "--base-url", url)
    assert result.exit_code in (2, 3)
    assert result.stderr.startswith("fumehood: ")
    assert "Traceback" not in result.stderr


def test_a_model_url_that_refuses(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FUMEHOOD_API_KEY", "secret-key")
    result = cli("solve", "loss", "focal", "--base-url", f"http://127.0.0.1:{port}", "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert f"127.0.0.1:{port}" in told["error"]
    assert told["remedy"]
    assert "secret-key" not in result.output


def test_a_run_whose_process_is_gone_is_shown_as_interrupted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStore.open(Settings().database_url) as records:
        records.create_run(LossSolving.kind, {})
    assert json.loads(cli("runs", "show", "--json").stdout)["state"] == "running"  # this process is there
    machine = owner().split(":")[0]
    monkeypatch.setattr("orchestrator.data.store.owner", lambda: f"{machine}:{2**22 + 1}:1")
    with RunStore.open(Settings().database_url) as records:
        records.update_run("last", state="running")
    assert "interrupted" in cli("runs", "ls").stdout
    assert "interrupted" in cli("runs", "show").stdout
    assert json.loads(cli("runs", "ls", "--json").stdout)[0]["state"] == "interrupted"


@pytest.mark.parametrize("deaths", [0, 1])
def test_a_single_run_starts_no_sandbox_that_nobody_needs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    answers = [SandboxUnavailable("It died.")] * deaths + [RunReport(status=Status.OK, stdout="1")]
    provider = ScriptedProvider(answers)
    monkeypatch.setattr(Engine, "_docker", lambda engine, image: provider)
    (tmp_path / "p.py").write_text("print(1)")
    result = cli("run", "p.py", "--json")
    assert result.exit_code == 0, result.stderr
    assert provider.created == 1 + deaths
    assert provider.closed


def test_messages_name_the_file_of_the_tests_that_was_given(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = TestResult(
        name="test_a", outcome=TestOutcome.FAILED, message="test_stack.py:3 in test_a: assert top() == 'my_test_stack.py'"
    )
    broken = 'File "/box/work/test_candidate.py", line 2\nSyntaxError: invalid syntax'
    answers = [
        RunReport(status=Status.OK, tests=(failed,), tests_collected=1, tests_complete=True),
        RunReport(status=Status.OK, collection_error=broken, collection_error_side="tests"),
    ]
    monkeypatch.setattr(Engine, "_docker", lambda engine, image: ScriptedProvider(answers))
    (tmp_path / "stack.py").write_text("def top(): return 1")
    (tmp_path / "test_one.py").write_text("from stack import top\ndef test_a(): assert top() == 2")
    (tmp_path / "test_two.py").write_text("def test_b(:")
    told = cli("run", "stack.py", "--tests", "test_one.py", "--tests", "test_two.py").stderr
    assert "    test_one.py:3 in test_a: assert top() == 'my_test_stack.py'\n" in told
    assert 'test_two.py: File "test_two.py", line 2\nSyntaxError: invalid syntax\n' in told
    assert "test_stack.py:" not in told
    assert "test_candidate" not in told


def test_no_engine(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("print(1)")
    explained(cli("run", "p.py"), 3, "No Docker engine answers")
    explained(cli("image", "build"), 3, "No Docker engine answers")
    explained(cli("image", "ls"), 3, "No Docker engine answers")
    assert cli("solve", "loss", "focal").exit_code == 3


def test_an_engine_without_permission(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("print(1)")
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        done = fumehood(
            "run",
            str(tmp_path / "p.py"),
            env={"DOCKER_HOST": f"unix://{path}", "FUMEHOOD_HOME": str(tmp_path / "home")},
            drop=(DAC_OVERRIDE, DAC_READ_SEARCH),
        )
    assert done.returncode == 3
    assert "refuses this user" in done.stderr
    assert "usermod" in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_are_json_too(cli: Cli) -> None:
    result = cli("run", "none.py", "--json")
    assert set(json.loads(result.stdout)) == {"error", "remedy"}
    assert result.stderr.startswith("fumehood: ")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("run --json", "Missing argument 'FILE|FOLDER|NOTEBOOK'"),
        ("run x.py --json --wall-time soon", "Invalid value for '--wall-time'"),
        ("--json nonsense", "No such option"),
        ("runs nonsense --json", "No such command 'nonsense'"),
        ("eval --json --n 3 --no-such-option", "No such option"),
        ("-q -v run x.py --json", "exclude each other"),
    ],
)
def test_wrong_usage_is_json_too(cli: Cli, command: str, sentence: str) -> None:
    result = cli(*command.split())
    told = json.loads(result.stdout)
    assert result.exit_code == 2
    assert set(told) == {"error", "remedy"}
    assert sentence in told["error"]
    assert told["error"] in result.stderr
    assert told["remedy"]


def test_json_after_two_dashes_belongs_to_the_program(cli: Cli) -> None:
    result = cli("run", "--wall-time", "soon", "x.py", "--", "--json")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_defect_of_ours_is_json_too() -> None:
    program = (
        "import sys, orchestrator.cli as cli\n"
        "@cli.app.command()\n"
        "def broken(json_: cli.shared.Json = False) -> None:\n"
        "    raise ZeroDivisionError('ours')\n"
        "sys.argv = ['fumehood', 'broken', '--json']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "fumehood broke: ZeroDivisionError: ours"


# -- a stdout that is not read, or cannot be written ------------------------------------------------------------------


def piped(script: str) -> tuple[int, str]:
    """Exit code of the first command of a pipeline, and what was on stderr; `fumehood` in it is this project's."""
    command = f'set -o pipefail; fumehood() {{ {sys.executable} -m orchestrator "$@"; }}; {script}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "help", "--help", "version"])
def test_a_reader_that_leaves_early_changes_nothing(command: str) -> None:
    assert piped(f"fumehood {command} | head -0") == (0, "")
    assert piped(f"fumehood {command} >&-") == (0, "")


def test_a_reader_that_leaves_early_keeps_the_exit_code_of_what_failed() -> None:
    code, said = piped("fumehood run missing.py --json | head -0")
    assert code == 2
    assert said.count("\n") == 2


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "help", "version", "run missing.py --json"])
def test_a_full_disk_under_stdout_is_one_sentence(command: str) -> None:
    code, said = piped(f"fumehood {command} >/dev/full")
    *_, sentence, remedy = said.splitlines()
    assert (code, sentence) == (3, "fumehood: Stdout cannot be written: No space left on device.")
    assert remedy == "  Free some space."
    assert "Traceback" not in said


def test_a_stderr_that_cannot_be_written_changes_nothing() -> None:
    assert piped("fumehood run missing.py 2>/dev/full")[0] == 2


@pytest.mark.parametrize(
    "command", [["runs", "ls"], ["runs", "show"], ["solve", "loss", "--resume", "last"], ["solve", "loss", "focal"]]
)
def test_a_corrupt_store(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    file = tmp_path / "runs.sqlite3"
    file.write_bytes(b"not a database, " * 1000)
    monkeypatch.setenv("FUMEHOOD_DB", f"sqlite:///{file}")
    explained(cli(*command), 3, "is not a readable database")
    assert file.read_bytes() == b"not a database, " * 1000


def test_a_store_url_that_is_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUMEHOOD_DB", "nonsense")
    explained(cli("runs", "ls"), 2, "does not name a run store")


def test_a_setting_that_is_none(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUMEHOOD_WORKERS", "many")
    explained(cli("runs", "ls"), 2, "FUMEHOOD_WORKERS must be")
    monkeypatch.setenv("FUMEHOOD_WORKERS", "-1")
    explained(cli("runs", "ls"), 2, "FUMEHOOD_WORKERS must be at least 1, not -1")
    monkeypatch.setenv("FUMEHOOD_WORKERS", "two")
    explained(cli("runs", "ls"), 2, "FUMEHOOD_WORKERS must be a valid integer, not two.")
    assert cli("redteam", "--pairs", "-1").exit_code == 2
    (tmp_path / "p.py").write_text("print(1)")
    for command in (["run", "p.py"], ["redteam", "--workers", "2"], ["doctor"]):
        explained(cli(*command), 2, "FUMEHOOD_WORKERS must be a valid integer, not two.")


def test_weights_with_a_wrong_hash(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    file.write_bytes(b"GGUF but not the official one")
    explained(cli("model", "fetch", str(file)), 3, "sha256")


def test_weights_that_nobody_knows(cli: Cli) -> None:
    explained(cli("model", "fetch", "900b"), 2, "no weights called '900b'")


def test_a_full_disk(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "small"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip("only root can mount a small file system")
    try:
        (place / "filling").write_bytes(b"x" * 60_000)
        monkeypatch.setenv("FUMEHOOD_DB", f"sqlite:///{place}/runs.sqlite3")
        explained(cli("solve", "loss", "focal"), 3, "disk is full")
    finally:
        libc.umount(str(place).encode())


def test_an_out_folder_that_cannot_be_made(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    explained(cli("solve", "loss", "focal", "--out", "taken/deeper"), 2, "--out taken/deeper cannot be made")


def test_images_and_their_names(cli: Cli) -> None:
    explained(cli("image", "build", "--variant", "rocm"), 2, "no image variant 'rocm'")
    explained(cli("image", "rm"), 2, "Name one image")


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    program = (
        "import sys, orchestrator.cli as cli\n"
        "@cli.app.command()\n"
        "def broken() -> None:\n"
        "    raise ZeroDivisionError('ours')\n"
        "sys.argv = ['fumehood', 'broken']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: ours" in done.stderr
    assert "report" in done.stderr.splitlines()[0]


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_tasks_are_listed(cli: Cli) -> None:
    listed = json.loads(cli("tasks", "--json").stdout)
    assert [task["name"] for task in listed] == list(builtin_tasks())
    assert all(set(task) == {"name", "title", "description", "signature", "inputs", "source"} for task in listed)
    shown = cli("tasks").stdout
    assert all(name in shown for name in builtin_tasks())


def test_models_are_listed(cli: Cli) -> None:
    listed = json.loads(cli("model", "ls", "--json").stdout)
    assert {item["weights"]["name"]: item["state"] for item in listed} == {"0.5b": "missing", "1.5b": "missing"}
    assert "0.5b" in cli("model", "ls").stdout


ATTEMPTS = (
    Attempt(
        task="focal",
        index=0,
        completion=Completion(text="```python\nwrong\n```", usage=Usage(prompt_tokens=10, completion_tokens=20), seed=5),
        messages=(types.Message(role="user", content="Write a focal loss [bold]now[/bold]."),),
        code="def loss(): wrong",
        fault=Fault.CANDIDATE,
        feedback="expected 1.0, got 2.0",
        verdict=Verdict.WRONG_ANSWER,
        reward=0.0,
        report=ExecutionResult(
            status=Status.OK,
            verdict=Verdict.WRONG_ANSWER,
            tests=(types.TestResult(name="test_value", outcome=types.TestOutcome.FAILED, message="assert 1.0 == 2.0"),),
        ),
        hidden=ExecutionResult(status=Status.OK, tests=(types.TestResult(name="test_secret", outcome=types.TestOutcome.PASSED),)),
    ),
    Attempt(task="focal", index=1, parent=0, round=1, completion=Completion(text="right"), verdict=Verdict.ACCEPTED, reward=1.0),
    Attempt(task="dice", index=0, completion=Completion(text="right"), verdict=Verdict.ACCEPTED, reward=1.0),
)


@pytest.fixture
def recorded(tmp_path: Path, cli: Cli) -> str:
    with RunStore.open(f"sqlite:///{tmp_path}/home/runs.sqlite3") as store:
        run = store.create_run(
            "solve-loss", {"tasks": ["focal", "dice"]}, ModelInfo(model="the-model", sha="cafe"), "sha256:beef"
        )
        for attempt in ATTEMPTS:
            store.add_attempt(run.id, attempt)
        store.finish(run.id, "finished", {"accepted": 2})
    return run.id


def test_runs_are_listed(cli: Cli, recorded: str) -> None:
    (run,) = json.loads(cli("runs", "ls", "--json").stdout)
    assert (run["id"], run["state"], run["attempts"], run["model"]["model"]) == (recorded, "finished", 3, "the-model")
    shown = cli("runs", "ls").stdout
    assert recorded in shown
    assert "2 of 2" in shown
    explained(cli("runs", "ls", "--limit", "-1"), 2, "--limit must be at least 1")


@pytest.mark.parametrize(
    "command", ["runs ls", "runs show", "runs show abc --json", "eval compare a b", "collect a --out data", "model ls"]
)
def test_what_only_reads_makes_no_home(cli: Cli, tmp_path: Path, command: str) -> None:
    cli(*command.split())
    assert list(tmp_path.iterdir()) == []


def test_no_runs_yet(cli: Cli) -> None:
    assert json.loads(cli("runs", "ls", "--json").stdout) == []
    assert "No run yet" in cli("runs", "ls").stderr


def test_a_run_is_shown(cli: Cli, recorded: str) -> None:
    for name in (recorded, recorded[:12], recorded[-4:], "last"):
        shown = json.loads(cli("runs", "show", name, "--json").stdout)
        assert shown["id"] == recorded
        assert [Attempt.model_validate(item) for item in shown["attempts"]] == [ATTEMPTS[2], *ATTEMPTS[:2]]
    text = cli("runs", "show").stdout
    assert all(word in text for word in (recorded, "the-model", "cafe", "sha256:beef", "wrong_answer", "expected 1.0, got 2.0"))


def test_options_are_shown_in_words_and_tasks_in_the_order_of_their_numbers(cli: Cli, tmp_path: Path) -> None:
    job = EvalJob(dataset=str(tmp_path / "own.jsonl"), samples=str(tmp_path / "of-gpt.jsonl"), limit=3).model_dump(mode="json")
    with RunStore.open(Settings().database_url) as records:
        run = records.create_run("eval", job)
        assert "It has no attempt yet." in cli("runs", "show").stdout
        for name in ("t/10", "t/2", "t/1"):
            records.add_attempt(run.id, Attempt(task=name, index=0, completion=Completion(text="x"), verdict=Verdict.ACCEPTED))
    shown = cli("runs", "show").stdout
    assert "limit               3\n" in shown
    assert "limits              wall_time 20, cpu_time 10, memory 1024M" in shown
    assert "{" not in shown
    assert [line.split()[0] for line in shown.splitlines() if line.startswith(" t/")] == ["t/1", "t/2", "t/10"]
    assert "3 attempts, and each was accepted." in cli("runs", "show", "--failed").stdout
    listed = cli("runs", "ls").stdout
    assert "eval own.jsonl" in listed
    assert "of-gpt.jsonl (file)" in listed


def test_only_what_failed_is_shown(cli: Cli, recorded: str) -> None:
    (only,) = json.loads(cli("runs", "show", "--failed", "--json").stdout)["attempts"]
    assert only["verdict"] == "wrong_answer"
    assert "dice" not in cli("runs", "show", "--failed").stdout.partition("feedback")[2]


def test_runs_are_listed_in_80_columns_with_what_they_are_about(cli: Cli, recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStore.open(f"sqlite:///{Path.cwd()}/home/runs.sqlite3") as store:
        model = ModelInfo(model="a-model-with-a-name-that-is-longer-than-a-terminal-is-wide-and-then-some-more")
        run = store.create_run("eval", {"dataset": "humaneval"}, model, "")
        store.finish(run.id, "finished", {"verdicts": {"accepted": 31, "wrong_answer": 9}, "samples": 40})
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(
        "orchestrator.cli.records.console", lambda **_: Screen(width=80, markup=False, highlight=False, emoji=False)
    )
    lines = cli("runs", "ls").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert f"{run.id}  eval humaneval" in lines[1]
    assert "31 of 40" in lines[1]
    assert f"{recorded}  solve-loss focal, dice" in lines[2]


def test_ids_are_whole_in_a_narrow_terminal_and_columns_say_something(
    cli: Cli, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = Screen(width=60, markup=False, highlight=False, emoji=False)
    monkeypatch.setattr("orchestrator.cli.records.console", lambda **_: narrow)
    assert recorded in cli("runs", "ls").stdout.splitlines()[1]
    narrow.width = 100
    heading = next(line for line in cli("runs", "show").stdout.splitlines() if "verdict" in line)
    assert heading.split() == ["task", "attempt", "kind", "round", "corrects", "verdict", "fault", "tokens", "feedback"]


def test_a_template_without_a_place_for_the_task(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("Write code.")
    explained(cli("eval", "humaneval", "--template", "t.txt"), 2, "has no {prompt} in it")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")
@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_read(
    cli: Cli, recorded: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file system of its own that is mounted read-only, for root may write to any folder."""
    script = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path} && exec fumehood"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def runs(home: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", f"{script} {' '.join(words)}"]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment | {"FUMEHOOD_HOME": f"{tmp_path}/{home}"}
        )

    assert recorded in runs("home", "runs", "ls").stdout
    assert "focal" in runs("home", "runs", "show").stdout
    assert "No run yet" in runs("nothing", "runs", "ls").stderr
    assert "Both names are of one run" in runs("home", "eval", "compare", "last", recorded).stderr
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "data"
    assert runs("home", "collect", "last", "--out", str(elsewhere)).returncode == 0
    assert (elsewhere / "README.md").exists()
    refused = runs("home", "runs", "rm", "last")
    assert refused.returncode == 3
    assert "cannot be" in refused.stderr or "read" in refused.stderr


def test_an_attempt_is_shown_with_its_hidden_tests(cli: Cli, recorded: str) -> None:
    text = cli("runs", "show", recorded, "--task", "focal", "--attempt", "0").stdout
    expected = (
        "Write a focal loss [bold]now[/bold].",
        "def loss(): wrong",
        "expected 1.0, got 2.0",
        "test_value",
        "test_secret",
        "seed 5",
    )
    assert all(word in text for word in expected), text
    (only,) = json.loads(cli("runs", "show", recorded, "--task", "focal", "--attempt", "1", "--json").stdout)["attempts"]
    assert (only["index"], only["parent"]) == (1, 0)


def test_attempts_that_are_not_there(cli: Cli, recorded: str) -> None:
    explained(cli("runs", "show", recorded, "--attempt", "0"), 2, "Several tasks have an attempt 0")
    explained(cli("runs", "show", recorded, "--attempt", "9"), 2, "has no attempt 9")
    explained(cli("runs", "show", recorded, "--task", "huber"), 2, "has no attempt for task 'huber'")
    explained(cli("runs", "show", "1999"), 2, "There is no run '1999'")


@pytest.mark.parametrize("name", [lambda run: run[:14], lambda run: run[-4:], lambda run: "last"])
def test_a_run_is_removed(cli: Cli, recorded: str, name: Callable[[str], str]) -> None:
    assert json.loads(cli("runs", "rm", name(recorded), "--json").stdout) == {"removed": recorded}
    assert json.loads(cli("runs", "ls", "--json").stdout) == []


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ExecutionResult(status=Status.OK), 0),
        (ExecutionResult(status=Status.RUNTIME_ERROR), 1),
        (ExecutionResult(status=Status.TIMED_OUT_WALL), 1),
        (ExecutionResult(status=Status.SANDBOX_ERROR, verdict=Verdict.UNSCORED), 3),
        (ExecutionResult(status=Status.OK, verdict=Verdict.ACCEPTED, judging="together"), 0),
        (ExecutionResult(status=Status.OK, verdict=Verdict.WRONG_ANSWER, judging="together"), 1),
        (ExecutionResult(status=Status.OK, verdict=Verdict.UNSCORED, judging="together"), 3),
    ],
)
def test_exit_codes_of_a_run(result: ExecutionResult, code: int) -> None:
    assert exit_code(result) == code


# -- progress --------------------------------------------------------------------------------------------------------


def test_plain_progress_is_a_line_for_each_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(live=False, clock=iter([0.0, *(1.5,) * 99]).__next__) as progress:
        progress.event(Event(kind="task_started", task="focal", text="Focal loss"))
        for piece in ("def ", "loss"):
            progress.event(Event(kind="token", task="focal", text=piece))
        progress.event(Event(kind="attempt_finished", task="focal", attempt=ATTEMPTS[0]))
        progress.event(Event(kind="task_finished", task="focal", verdict=Verdict.ACCEPTED, attempts=2, wall_time=3.0))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "   1.5 s  focal: Focal loss",
        "   1.5 s  focal: candidate, round 0 sample 0: wrong_answer (20 tokens, 0.0 s): expected 1.0, got 2.0",
        "   1.5 s  focal: accepted after 2 attempts, 3 s",
    ]


def test_live_progress_shows_speed_and_text_and_no_control_characters() -> None:
    from orchestrator.cli.screen import Screen

    now = [0.0]
    progress = Progress(live=False, clock=lambda: now[0])
    progress.event(Event(kind="attempt_finished", task="focal", attempt=ATTEMPTS[0]))
    for text in ("first line\n", "evil \x1b[2J line\n", "a\n", "b\n", "c\n", "d\n", "e [red]f[/red]"):
        progress.event(Event(kind="token", task="focal", round=2, sample=1, text=text))
    now[0] = 2.0
    screen = Screen(width=120, record=True, force_terminal=False)
    with screen.capture() as capture:
        screen.print(progress.render())
    lines = capture.get().splitlines()
    assert lines[0].split("  ") == ["2 s", "focal, round 2 sample 1", "1 attempt", "0 of 0 accepted", "27 tokens, 3.5 tok/s"]
    assert lines[1:] == ["  evil \\x1b[2J line", "  a", "  b", "  c", "  d", "  e [red]f[/red]"]


def test_downloads_are_a_line_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(live=False)
    for done in range(0, 1001):
        progress.download(done * 10**6, 1000 * 10**6)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1].endswith("1000 of 1000 MB")


def test_long_work_says_how_far_it_is_and_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = Lines(Progress(live=False, clock=lambda: now), clock=lambda: now)
    lines.count(0, 300)
    for done in (1, 2, 3):
        now += 4
        verdict = Verdict.ACCEPTED if done > 1 else Verdict.WRONG_ANSWER
        attempt = Attempt(task=f"t{done}", index=done, completion=Completion(text=""), verdict=verdict)
        lines.event(Event(kind="attempt_finished", task=attempt.task, attempt=attempt))
        lines.count(done, 300)
    assert capsys.readouterr().err == "   8.0 s  2 of 300 judged, 1 accepted; now at t2; about 20 min left\n"


def test_a_terminal_shows_how_many_are_judged() -> None:
    progress = Progress(live=False)
    Lines(progress).count(12, 164)
    screen = Screen(file=io.StringIO(), width=100)
    screen.print(progress.render())
    assert "12 of 164 judged" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_shows_the_task_and_the_tokens_of_what_was_judged_without_a_line() -> None:
    progress = Progress(live=False)
    lines = Lines(progress)

    def shown() -> str:
        screen = Screen(file=io.StringIO(), width=100)
        screen.print(progress.render())
        return screen.file.getvalue()  # type: ignore[attr-defined,no-any-return]

    assert "preparing" in shown()
    assert "token" not in shown()
    lines.count(0, 2)
    assert "nothing judged yet" in shown()
    lines.event(Event(kind="attempt_finished", task="focal", attempt=ATTEMPTS[0]))
    lines.count(1, 2)
    assert "focal, round 0 sample 0  1 of 2 judged  0 of 1 accepted  20 tokens" in shown()


def test_where_no_model_was_asked_no_tokens_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    missed = "These faults in the function go unnoticed:\nline 3: `<` -> `<=`\nline 4: `1` -> `2`"
    for feedback in (missed, "Nothing:"):
        given = Attempt(
            task="f", index=0, kind="tests", completion=Completion(text=""), feedback=feedback, verdict=Verdict.ACCEPTED
        )
        Progress(live=False, clock=lambda: 0.0).event(Event(kind="attempt_finished", task="f", attempt=given))
    assert capsys.readouterr().err.splitlines() == [
        "   0.0 s  f: tests, round 0 sample 0: accepted: These faults in the function go unnoticed: line 3: `<` -> `<=`",
        "   0.0 s  f: tests, round 0 sample 0: accepted: Nothing",
    ]


def test_silence_is_told_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = Lines(Progress(live=False, clock=lambda: now), clock=lambda: now)
    for seconds, done in ((0, 0), (10, 0), (30, 0), (40, 0), (60, 0), (61, 1), (71, 1), (81, 2)):
        now = float(seconds)
        lines.count(done, 3)
    assert [line[10:] for line in capsys.readouterr().err.splitlines()] == [
        "0 of 3 judged; nothing new for 30 s",
        "0 of 3 judged; nothing new for 60 s",
        "2 of 3 judged; about 40 s left",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")])
def test_seconds_are_told_as_people_do(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_samples_ask_no_model(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"task_id": "HumanEval/0", "completion": ""}')
    options = ("eval", "humaneval", "--samples", str(path), "--repair", "2", "--model", "0.5b")
    explained(cli(*options), 2, "--repair, --model would do nothing: --samples asks no model")


def test_a_folder_for_reports_that_cannot_be_one_is_refused_before_the_work(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    explained(cli("eval", "humaneval", "--out", str(tmp_path / "file")), 2, "cannot be made: File exists")


def test_an_empty_file_of_tests_asks_no_model(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "t.py").write_text("\n")
    explained(cli("solve", "tests", f"{tmp_path / 'm.py'}::f", "--tests", str(tmp_path / "t.py")), 2, "t.py holds no tests")


_SLOW_TO_CLOSE = """
import asyncio, typer
from orchestrator.cli.shared import guarded, run_async

async def work():
    try:
        print("at work", flush=True)
        await asyncio.sleep(60)
    finally:
        print("closing", flush=True)
        await asyncio.sleep(SECONDS)
        print("closed", flush=True)

app = typer.Typer()
app.command()(guarded(lambda: run_async(work())))
app()
"""


@pytest.mark.parametrize(
    ("presses", "closing", "told"),
    [
        (1, 0.1, "Interrupted.\n"),
        (2, 1.0, "Closing what is open. Ctrl-C once more leaves it to the next start.\nInterrupted.\n"),
        (3, 60.0, "Closing what is open. Ctrl-C once more leaves it to the next start.\n"),
    ],
)
def test_ctrl_c_closes_says_so_and_leaves(presses: int, closing: float, told: str) -> None:
    command = [sys.executable, "-c", _SLOW_TO_CLOSE.replace("SECONDS", str(closing))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "closing\n"
        for _ in range(presses - 1):
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == told
    assert out == ("" if presses == 3 else "closed\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("humaneval", "--n", "5", "--k", "1,10"), "pass@10 needs 10 samples of each task, and 5 would be drawn"),
        (("unit-tests", "humaneval", "--k", "2"), "pass@2 needs 2 samples"),
        (("humaneval", "--raw"), "--raw would do nothing: it is about recorded --samples"),
        (("humaneval", "--stop="), "--stop is empty"),
        (("humaneval", "--split", "train"), "humaneval has no split 'train'"),
        (("validate", "mbpp", "--split", "dev"), "mbpp has no split 'dev'"),
    ],
)
def test_an_evaluation_that_makes_no_sense_is_refused_before_anything_starts(
    cli: Cli, options: tuple[str, ...], sentence: str
) -> None:
    explained(cli("eval", *options), 2, sentence)


def test_differences_of_runs_are_in_points(cli: Cli) -> None:
    runs = []
    with RunStore.open(Settings().database_url) as records:
        for right in (1, 3):
            runs.append(records.create_run("eval", EvalJob(dataset="d").model_dump(mode="json")).id)
            for number in range(4):
                verdict = Verdict.ACCEPTED if number < right else Verdict.WRONG_ANSWER
                records.add_attempt(
                    runs[-1], Attempt(task=f"t{number}", index=0, completion=Completion(text="x"), verdict=verdict)
                )
    shown = cli("eval", "compare", *runs).stdout
    assert f"25.0% in {runs[0]}, 75.0% in {runs[1]}" in shown
    assert "Difference +50.0 points (95 % interval -26.3 to +93.0), p = 0.5 (mcnemar)" in shown
    assert shown.startswith("4 common tasks: ")
    assert shown.endswith("Better on 2: t1, t2\nWorse on 0.\n")


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ("ok ok", "All 2 checks passed."),
        ("ok warning ok", "2 of 3 checks passed, 1 warned."),
        ("failed ok", "1 of 2 checks failed."),
        ("failed warning warning", "1 of 3 checks failed, and 2 others warned."),
    ],
)
def test_a_check_that_warns_has_not_passed(states: str, told: str) -> None:
    assert in_all(states.split()) == told


def test_a_run_that_was_sent_again_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(ExecutionResult(status=Status.OK, attempts=2), judged=False, in_place=False)
    assert "It was sent 2 times, since sandboxes failed" in capsys.readouterr().err


def test_a_module_that_tests_import_by_another_name_is_most_likely_the_program() -> None:
    error = "E   ModuleNotFoundError: No module named 'median'"
    result = ExecutionResult(status=Status.OK, verdict=Verdict.INVALID_TESTS, collection_error=error)
    (hint,) = result.hints_beside("import pytest\nfrom median import median\n", ways=AS_OPTIONS)
    assert hint.startswith("The tests import `median`. If that is the program, name it so with --module.")
    assert "files=" not in hint
    assert "--" not in result.hints[0].replace("`fumehood image build --with median`", "")
    (hint,) = result.hints_beside("from candidate import f\n")
    assert hint.startswith("The sandbox has no module `median`")
