"""The command line with real sandboxes: programs, jobs, interruptions, and bad input that only an engine can show."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import MODEL, ChatServer, serving

from orchestrator.applications.loss_functions.tasks import builtin_tasks
from orchestrator.data.store import RunStore
from orchestrator.sandbox.engine import connect
from orchestrator.types import Attempt, RunRecord

pytestmark = pytest.mark.docker

COMMAND = str(Path(sys.executable).with_name("fumehood"))
RIGHT = builtin_tasks()["huber"].reference
WRONG = RIGHT.replace(".mean()", ".sum()")
TESTS = "from candidate import square\ndef test_two(): assert square(2) == 4\ndef test_three(): assert square(3) == 9\n"


class Place:
    """A folder with files, and a home of its own for the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if name not in ("FUMEHOOD_DB", "FUMEHOOD_BASE_URL")}
        self.env |= {"FUMEHOOD_HOME": str(folder / "home"), "FUMEHOOD_WORKERS": "1"}

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *args],
            cwd=self.folder,
            env=self.env | env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [COMMAND, *args],
            cwd=self.folder,
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def store(self) -> RunStore:
        return RunStore.open(f"sqlite:///{self.folder}/home/runs.sqlite3")

    def recorded(self) -> tuple[RunRecord, list[Attempt]]:
        with self.store() as store:
            (run,) = store.runs()
            return run, store.attempts(run.id)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def containers_of(pid: int) -> list[str]:
    """Sandboxes that belong to a process, by the label that names their owner."""
    client = connect()
    try:
        found = client.containers.list(all=True, ignore_removed=True, filters={"label": "fumehood.owner"})
        return [
            item.name for item in found if f"-{pid}-" in f"-{item.labels['fumehood.owner']}-".replace(":", "-").replace(".", "-")
        ]
    finally:
        client.close()


# -- run -------------------------------------------------------------------------------------------------------------


def test_a_program_gets_its_input_and_gives_its_output(place: Place) -> None:
    place.write("data.csv", "1,2\n")
    program = place.write(
        "p.py",
        "import os, sys\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['MODE'], open('data.csv').read().strip(), open('in/b.txt').read())\n"
        "print('to stderr', file=sys.stderr)\n"
        "os.mkdir('made'); open('made/result.bin', 'wb').write(b'\\x00\\xff')\n",
    )
    place.write("b", "carried")
    options = ["--env", "MODE=fast", "--file", "data.csv", "--file", "in/b.txt=b", "--artifact", "made/*", "--out", "results"]
    done = place.run("run", program, "--stdin", "-", *options, "--", "-x", "y", stdin="read me")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['-x', 'y'] read me fast 1,2 carried\n"
    assert done.stderr.startswith("to stderr\n")
    assert (place.folder / "results/made/result.bin").read_bytes() == b"\x00\xff"


def test_artefacts_replace_nothing_and_plant_nothing(place: Place) -> None:
    code = (
        "import os\nos.makedirs('.git/hooks')\nfor name, text in {'.git/hooks/pre-commit': '#!/bin/sh', 'a.txt': 'theirs',"
        " 'tool': '#!/bin/sh'}.items():\n    open(name, 'w').write(text)\n"
    )
    program = place.write("p.py", code)
    place.write("a.txt", "mine")
    done = place.run("run", program, "--artifact", "**/*", "--artifact", "*.txt", "--artifact", "too*", "--artifact", "none.csv")
    assert done.returncode == 1
    assert "2 files written to artifacts." in done.stderr, "a.txt, and the program's own file"
    assert "none.csv was not carried out: no file matches." in done.stderr
    assert "tool was not carried out: hidden, or a program" in done.stderr
    assert not (place.folder / ".git").exists()
    assert (place.folder / "a.txt").read_text() == "mine"
    assert (place.folder / "artifacts/a.txt").read_text() == "theirs"
    again = place.run("run", program, "--artifact", "tool", "--artifact", ".git/hooks/pre-commit")
    assert again.returncode == 0, again.stderr
    assert (place.folder / "artifacts-2/.git/hooks/pre-commit").read_text() == "#!/bin/sh"
    refused = place.run("run", program, "--artifact", "a.txt", "--out", str(place.folder))
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    small = place.run("run", program, "--artifact", "a.txt", "--artifact-limit", "3", "--out", str(place.folder / "new"))
    assert small.returncode == 1
    assert "6 bytes do not fit" in small.stderr
    assert not (place.folder / "new").exists()


def test_output_and_messages_do_not_steer_the_terminal(place: Place) -> None:
    done = place.run(
        "run",
        place.write("s.py", "import sys\nprint('\\x1b[2J gone')\nsys.stdout.buffer.write(b'\\xff\\xc3')\nsys.exit('\\x9b2J')"),
    )
    assert done.stdout == "\\x1b[2J gone\n\\xff\\xc3"
    assert done.stderr.startswith("\\x9b2J\n")
    tests = "from candidate import f\ndef test_a(): assert f() == 1"
    code = "def f(): raise ValueError('\\x1b[31m red')"
    given = ("run", place.write("c.py", code), "--tests", place.write("t.py", tests))
    shown, told = place.run(*given), place.run(*given, "--json")
    assert "\\x1b[31m red" in shown.stderr
    assert "\x1b" not in shown.stdout + shown.stderr + told.stdout
    assert "\x1b[31m red" in json.loads(told.stdout)["tests"][0]["message"]


def test_a_file_for_the_tests_alone(place: Place) -> None:
    place.write("answers.txt", "42")
    tests = "from candidate import f\ndef test_a(): assert open('answers.txt').read() == '42' and f() == []"
    given = ("run", place.write("s.py", "import os\ndef f(): return os.listdir('.')"), "--tests", place.write("t.py", tests))
    done = place.run(*given, "--test-file", str(place.folder / "answers.txt"))
    assert done.returncode == 0, done.stderr
    assert "judging: apart" in done.stderr


def test_a_folder_with_a_package_its_data_and_its_tests(place: Place) -> None:
    (place.folder / "proj/data").mkdir(parents=True)
    (place.folder / "proj/tests").mkdir()
    (place.folder / "proj/.git").mkdir()
    place.write("proj/__init__.py", "")
    place.write("proj/__main__.py", "from .core import total\nimport os\nprint(total(input()), os.listdir('.'))")
    place.write("proj/core.py", "def total(path): return sum(map(int, open(path).read().split()))\ndef wrong(): return 1 / 0")
    place.write("proj/data/numbers.txt", "1 2 3")
    place.write(
        "proj/tests/test_core.py",
        "from proj.core import total, wrong\ndef test_a(tmp_path):\n"
        "    (tmp_path / 'x').write_text('1 2')\n    assert total(tmp_path / 'x') == 3\ndef test_b(): assert wrong() == 1",
    )
    done = place.run("run", "proj", stdin="data/numbers.txt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 [")
    assert "launch" not in done.stdout
    assert "5 files of proj" in done.stderr
    assert "left out: .git." in done.stderr
    judged = place.run("run", "proj", "--tests", "proj/tests", "--json")
    result = json.loads(judged.stdout)
    assert (judged.returncode, result["verdict"], result["judging"]) == (1, "runtime_error", "apart")
    assert [(test["outcome"], test["side"]) for test in result["tests"]] == [("passed", ""), ("failed", "candidate")]
    place.write("proj/tests/test_core.py", "import proj.core\ndef test_b(): assert proj.core.wrong() == 1")
    judged = place.run("run", "proj", "--tests", "proj/tests")
    assert "runtime_error" in judged.stderr
    assert "Judged together" in judged.stderr
    assert "from proj.core import" in judged.stderr


def test_names_of_a_package_are_judged_apart(place: Place) -> None:
    (place.folder / "pk").mkdir()
    place.write("pk/shapes.py", "from .base import Shape\nclass Square(Shape):\n    def area(self): return self.side ** 2")
    place.write("pk/base.py", "class Shape:\n    def __init__(self, side): self.side = side\ndef double(x): return 2 * x")
    tests = "from pk.shapes import Square\nfrom pk.base import double\n"
    tests += "def test_a(): assert Square(double(2)).area() == 16\ndef test_b(): assert double(2) == 5\n"
    result = json.loads(place.run("run", "pk", "--tests", place.write("t.py", tests), "--json").stdout)
    assert (result["verdict"], result["judging"], result["basis"]) == ("wrong_answer", "apart", "data")
    assert [test["outcome"] for test in result["tests"]] == ["passed", "failed"]
    hostile = "class Liar(int):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
    place.write("pk/base.py", f"{hostile}class Shape:\n    side = Liar(3)\ndef double(x): return Liar(7)\n")
    place.write("pk/shapes.py", "class Square:\n    def __init__(self, side): pass\n    def area(self): return 0")
    result = json.loads(place.run("run", "pk", "--tests", "t.py", "--json").stdout)
    assert (result["verdict"], result["judging"]) == ("wrong_answer", "apart")
    assert [test["outcome"] for test in result["tests"]] == ["failed", "failed"]


def test_all_of_several_tests_are_run_apart_by_the_modules_own_name(place: Place) -> None:
    module = place.write("square.py", "def square(x): return x * x if x < 4 else 0")
    own = place.write("test_own.py", TESTS.replace("candidate", "square"))
    other = place.write("test_other.py", "from candidate import square\ndef test_four(): assert square(4) == 16\n")
    done = place.run("run", module, "--tests", other, "--tests", own)
    assert done.returncode == 1
    assert "passed  test_own.py::test_two" in done.stderr
    assert "failed  test_other.py::test_four" in done.stderr
    assert "judging: apart, resting on data" in done.stderr


def test_a_notebook_and_what_it_lacks(place: Place) -> None:
    cells = [
        {"cell_type": "code", "source": source}
        for source in ("import numpy as np", "print(np.arange(3).sum())", "import nothere")
    ]
    notebook = place.write("n.ipynb", json.dumps({"cells": cells, "metadata": {}}))
    done = place.run("run", notebook, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["stdout"]) == (1, "3\n")
    assert 'File "n.ipynb, cell 3", line 1' in result["stderr"]
    assert "fumehood image build --with nothere" in result["hints"][0]


def test_json_of_a_judged_run_has_the_agreed_keys(place: Place) -> None:
    done = place.run("run", place.write("s.py", "def square(x): return x * x"), "--tests", place.write("t.py", TESTS), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    agreed = "status verdict reward judging isolation tests wall_time cpu_time memory_peak exit_code signal stdout stderr"
    assert {*agreed.split(), "stdout_truncated", "stderr_truncated", "attack"} <= set(result)
    assert (result["status"], result["verdict"], result["reward"], result["judging"]) == ("ok", "accepted", 1.0, "apart")
    assert [(test["name"], test["outcome"]) for test in result["tests"]] == [("test_two", "passed"), ("test_three", "passed")]


def test_a_wrong_candidate_is_1_and_says_why(place: Place) -> None:
    done = place.run("run", place.write("s.py", "def square(x): return x + x"), "--tests", place.write("t.py", TESTS))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "passed  test_two" in done.stderr
    assert "failed  test_three" in done.stderr
    assert "wrong_answer" in done.stderr


def test_a_limit_that_is_hit_is_1(place: Place) -> None:
    done = place.run("run", place.write("p.py", "import time; time.sleep(60)"), "--wall-time", "0.5", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "timed_out_wall"


@pytest.mark.parametrize(("name", "sentence"), [("/etc/x", "absolute"), ("../x", "'..'")])
def test_a_carried_name_that_leaves_its_folder(place: Place, name: str, sentence: str) -> None:
    place.write("data", "x")
    done = place.run("run", place.write("p.py", ""), "--file", f"{name}=data")
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_missing_image(place: Place) -> None:
    done = place.run("run", place.write("p.py", "print(1)"), "--json", FUMEHOOD_IMAGE="fumehood-sandbox:never-built")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert "fumehood-sandbox:never-built" in told["error"]
    assert told["remedy"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_an_interrupted_program_leaves_no_container(place: Place, number: signal.Signals, code: int) -> None:
    process = place.start("run", place.write("p.py", "import time\nprint('ready', flush=True)\ntime.sleep(60)"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert containers_of(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert containers_of(process.pid) == []


def test_a_program_under_nohup_outlives_its_terminal(place: Place) -> None:
    program = place.write("p.py", "import time\nprint('ready', flush=True)\ntime.sleep(1)\nprint('done')")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = place.start("run", program)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=180)[0] == "done\n"
    assert process.returncode == 0


def test_a_program_whose_output_nobody_reads_ends_as_it_does(place: Place) -> None:
    lines = place.write("p.py", "for number in range(20000): print(number)\nraise SystemExit(4)")
    process = place.start("run", lines)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "exit code 4" in errors
    assert "Exception" not in errors


def test_a_full_disk_under_a_program_s_output_is_3(place: Place) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        call = [COMMAND, "run", place.write("p.py", "print(1)")]
        done = subprocess.run(
            call, cwd=place.folder, env=place.env, text=True, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            timeout=180, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert "fumehood: Stdout cannot be written: No space left on device." in done.stderr
    assert "Exception" not in done.stderr


def test_images_are_listed(place: Place) -> None:
    listed = json.loads(place.run("image", "ls", "--json").stdout)
    assert [info["variant"] for info in listed if info["current"]] == ["cpu"]


def test_the_readme_says_what_comes_back(place: Place) -> None:
    code, told = (Path(__file__).parents[2] / "README.md").read_text().split("```")[1:4:2]
    place.write("ten_lines.py", code.removeprefix("python\n"))
    done = subprocess.run(
        [sys.executable, "ten_lines.py"], cwd=place.folder, env=place.env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == [line.rstrip() for line in told.strip().splitlines()]


# -- solve -----------------------------------------------------------------------------------------------------------

SEARCH = ("--samples", "1", "--rounds", "3")


def fenced(code: str) -> str:
    return f"Here you are:\n\n```python\n{code}\n```\n"


def is_for_tests(request: dict[str, Any]) -> bool:
    """A prompt that asks for tests ends in the head of a test file, one for a loss in the head of the function."""
    return "from candidate import huber_loss" in str(request["messages"][-1]["content"]).rpartition("```python")[2]


def losses(*codes: str) -> Callable[[dict[str, Any], int], str | None]:
    """Answers with these losses, one after another, and with no tests where tests are asked for."""
    left = iter(codes)

    def answer(request: dict[str, Any], number: int) -> str | None:
        return "I would rather not." if is_for_tests(request) else next(left, None)

    return answer


@pytest.fixture
def corrected() -> Iterator[ChatServer]:
    """A model that is wrong once and right when corrected."""
    with serving(losses(fenced(WRONG), fenced(RIGHT))) as server:
        yield server


def test_a_loss_is_corrected_recorded_and_shown(place: Place, corrected: ChatServer) -> None:
    done = place.run("solve", "loss", "huber", *SEARCH, "--base-url", corrected.url, "--out", "results")
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    assert "fixed by" in done.stdout
    assert "huber: accepted after" in done.stderr
    run, attempts = place.recorded()
    assert run.state == "finished"
    assert run.model is not None
    assert run.model.model == MODEL
    assert run.image.startswith("sha256:")
    first, second = [item for item in attempts if item.kind == "candidate"]
    assert (first.verdict, second.verdict, second.parent) == ("wrong_answer", "accepted", first.index)
    assert first.report is not None
    assert "0.875" in first.feedback
    assert second.hidden is not None
    assert second.hidden.verdict == "accepted"
    assert (place.folder / "results/huber.py").read_text() == second.code
    assert run.id in place.run("runs", "ls").stdout
    assert (
        first.feedback.splitlines()[0][:40]
        in place.run("runs", "show", "last", "--task", "huber", "--attempt", str(first.index)).stdout
    )


def test_json_of_a_job_is_all_of_stdout(place: Place, corrected: ChatServer) -> None:
    done = place.run(
        "solve", "loss", "--task", "huber", *SEARCH, "--base-url", corrected.url, "--train", "breast_cancer", "--json"
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["state"], shown["accepted"]) == ("finished", 1)
    assert shown["tasks"][0]["first_failure"]
    (training,) = shown["training"]
    assert 0.5 < training["accuracy"] <= 1
    assert Path(training["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_loss_that_is_never_right_is_1(place: Place) -> None:
    with serving(losses(fenced(WRONG))) as server:
        done = place.run("solve", "loss", "huber", "--samples", "1", "--rounds", "1", "--base-url", server.url, "--json")
    assert done.returncode == 1, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["state"], shown["accepted"], shown["tasks"][0]["verdict"]) == ("finished", 0, "wrong_answer")


def test_a_model_that_returns_nothing(place: Place) -> None:
    with serving(lambda request, number: "") as server:
        done = place.run("solve", "loss", "huber", *SEARCH, "--base-url", server.url, "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert "empty" in told["error"] or "no completion" in told["error"] or "nothing" in told["error"]
    assert told["remedy"]
    run, _ = place.recorded()
    assert run.state == "failed"


def test_a_model_server_that_dies_costs_no_recorded_attempt(place: Place) -> None:
    with serving(losses(fenced(WRONG))) as server:  # then it drops every connection
        done = place.run("solve", "loss", "huber", *SEARCH, "--base-url", server.url)
    assert done.returncode == 3
    run, attempts = place.recorded()
    assert f"--resume {run.id}" in done.stderr
    assert run.state == "failed"
    assert [item.verdict for item in attempts if item.kind == "candidate"] == ["wrong_answer"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_job_goes_on_and_repeats_nothing(place: Place, number: signal.Signals) -> None:
    slow = True

    def answer(request: dict[str, Any], count: int) -> str | None:
        if is_for_tests(request):
            return "I would rather not."
        if len([item for item in server.requests if not is_for_tests(item)]) == 1:
            return fenced(WRONG)
        if slow:
            time.sleep(120)
        return fenced(RIGHT)

    with serving(answer) as server:
        process = place.start("solve", "loss", "huber", "--seed", "5", *SEARCH, "--base-url", server.url)
        deadline = time.monotonic() + 120
        while len([item for item in server.requests if not is_for_tests(item)]) < 2:
            assert time.monotonic() < deadline, process.poll()
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=180)
        slow = False
        run, before = place.recorded()
        assert [item.verdict for item in before if item.kind == "candidate"] == ["wrong_answer"]
        assert run.state == "interrupted"  # after SIGKILL by the look of it, for nobody could write that down
        if number is not signal.SIGKILL:
            assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
            assert f"fumehood solve loss --resume {run.id}" in errors
            assert "Traceback" not in errors
            assert containers_of(process.pid) == []
        unfinished = server.requests[-1]
        asked = len(server.requests)
        done = place.run("solve", "loss", "--resume", run.id, "--json")
        assert done.returncode == 0, done.stderr
        again = [item for item in server.requests[asked:] if not is_for_tests(item)]
    assert [item["seed"] for item in again] == [unfinished["seed"]]
    assert again[0]["messages"] == unfinished["messages"]
    after_run, after = place.recorded()
    assert after_run.state == "finished"
    assert after_run.id == run.id
    assert [item for item in after if item.index <= before[-1].index] == before
    assert [item.verdict for item in after if item.kind == "candidate"] == ["wrong_answer", "accepted"]


def test_a_finished_job_resumed_asks_nothing_and_says_the_same(place: Place, corrected: ChatServer) -> None:
    first = json.loads(place.run("solve", "loss", "huber", *SEARCH, "--base-url", corrected.url, "--json").stdout)
    asked = len(corrected.requests)
    run, attempts = place.recorded()
    again = place.run("solve", "loss", "--resume", first["run"], "--json")
    assert again.returncode == 0, again.stderr
    assert len(corrected.requests) == asked
    second = json.loads(again.stdout)
    assert {**second, "saved": 0} == {**first, "saved": 0}
    assert place.recorded()[1] == attempts
    assert run.state == "finished"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_disk_that_fills_costs_no_recorded_attempt(place: Place) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    small = place.folder / "small"
    small.mkdir()
    if libc.mount(b"tmpfs", str(small).encode(), b"tmpfs", 0, b"size=600k") != 0:
        pytest.skip(f"this machine forbids mounting: {os.strerror(ctypes.get_errno())}")

    def answer(request: dict[str, Any], count: int) -> str | None:
        # Each answer is another wrong loss with a long comment.
        return fenced(WRONG + f"\n\nNUMBER = {count}\n" + f"# {'long ' * 10_000}\n")

    url = f"sqlite:///{small}/runs.sqlite3"
    try:
        with serving(answer) as server:
            done = place.run(
                "solve", "loss", "huber", "--samples", "4", "--rounds", "9", "--base-url", server.url, FUMEHOOD_DB=url
            )
        assert done.returncode == 3, done.stderr
        assert "disk is full" in done.stderr
        with RunStore.open(url) as store:
            (run,) = store.runs()
            assert len(store.attempts(run.id)) >= 1
    finally:
        libc.umount(str(small).encode())
