"""Tests in parts side by side: all of them are run, what each part says is shown, and one that fails is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import every_test


def start(tmp_path, setup=(), after=None, **parts):
    """The script, with parts that consist of these tests."""
    for name, tests in parts.items():
        (tmp_path / f"test_{name}.py").write_text(tests)
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null")
    given = {name: (*options, f"{tmp_path}/test_{name}.py") for name in parts}
    made = (
        "{"
        + ", ".join(f"{name!r}: every_test.Part({one!r}, {(after or {}).get(name, ())!r})" for name, one in given.items())
        + "}"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(every_test.ROOT / 'scripts')!r}); import every_test\n"
        f"sys.exit(every_test.run({made}, {setup!r}))"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # quicker
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_every_file_of_tests_is_in_one_part():
    given = [every_test.ROOT / path for part in every_test.parts().values() for path in part.arguments]
    files = [file for path in given for file in (path.glob("**/test_*.py") if path.is_dir() else [path])]
    assert sorted(files) == sorted(every_test.ROOT.glob("tests/**/test_*.py"))


def test_what_does_not_wait_for_the_set_up_needs_no_torch():
    parts = every_test.parts()
    early = [name for name, part in parts.items() if not part.after]
    assert early == ["unit"]
    assert {"tests/unit/test_trainers.py", "tests/unit/test_apart_arrays.py", "tests/unit/test_bench.py"}.isdisjoint(
        parts["unit"].arguments
    )


def test_all_that_passes_is_shown_and_is_a_success(tmp_path):
    with start(tmp_path, one="def test_a(): pass", two="def test_b(): pass\ndef test_c(): pass") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "1 passed" in said
    assert "2 passed" in said
    assert "tests: all passed" in said


def test_one_part_that_fails_fails_the_whole_and_is_named(tmp_path):
    with start(tmp_path, one="def test_a(): pass", two="def test_b(): assert 1 == 2") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "1 passed" in said
    assert "assert 1 == 2" in said
    assert "tests: failed: two," in said


def test_a_part_without_tests_fails(tmp_path):
    with start(tmp_path, none="") as process:
        assert "failed: none" in process.communicate(timeout=60)[0]
    assert process.returncode == 1


def test_one_that_is_ended_lets_its_parts_clean_up(tmp_path):
    """By a signal to it alone, when both parts are at a test."""
    waits = (
        "import pathlib, time\ndef test_a():\n    here = pathlib.Path(__file__)\n    here.with_suffix('.up').touch()\n"
        "    try: time.sleep(60)\n    finally: here.with_suffix('.down').touch()\n"
    )
    with start(tmp_path, one=waits, two=waits) as process:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.up"))) < 2:
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(list(tmp_path.glob("*.down"))) == 2
    assert said.count("KeyboardInterrupt") >= 2


WAITS = (
    "import pathlib, time\ndef test_a():\n    here = pathlib.Path(__file__)\n    end = time.monotonic() + 60\n"
    "    while not here.with_name('ready').exists(): assert time.monotonic() < end; time.sleep(0.05)\n"
)


def test_parts_are_at_work_while_others_wait_for_the_set_up(tmp_path):
    """The first test ends what the set-up waits for, and the second finds it set up."""
    early = f"import pathlib\ndef test_a(): pathlib.Path({str(tmp_path / 'early')!r}).touch()"
    setup = (("sh", "-c", f"until [ -e {tmp_path}/early ]; do sleep 0.1; done"), ("touch", f"{tmp_path}/ready"))
    late = f"import pathlib\ndef test_b(): assert pathlib.Path({str(tmp_path / 'ready')!r}).exists()"
    with start(tmp_path, setup, {"late": ("set-up", "early")}, early=early, late=late) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count("1 passed") == 2


def test_a_set_up_that_fails_ends_all_and_is_named(tmp_path):
    setup = (("sh", "-c", "echo 'setup: no engine'; exit 3"), ("touch", f"{tmp_path}/next"))
    with start(tmp_path, setup, {"late": ("set-up",)}, early=WAITS, late="def test_b(): pass") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "setup: no engine" in said
    assert said.splitlines()[-1].startswith("tests: set-up failed: sh -c")
    assert "1 passed" not in said
    assert not (tmp_path / "next").exists()


def test_one_that_is_ended_ends_the_set_up_too(tmp_path):
    setup = (("sh", "-c", f"touch {tmp_path}/up; sleep 60; touch {tmp_path}/done"), ("touch", f"{tmp_path}/next"))
    with start(tmp_path, setup, {"late": ("set-up",)}, late="def test_b(): pass") as process:
        end = time.monotonic() + 60
        while not (tmp_path / "up").exists():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "tests: failed: late" in said
    assert not list(tmp_path.glob("done")) + list(tmp_path.glob("next"))
