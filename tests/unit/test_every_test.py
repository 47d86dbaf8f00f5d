"""Tests in parts side by side: all of them are run, what each part says is shown, and one that fails is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import every_test


def start(tmp_path, **parts):
    """The script, with parts that consist of these tests."""
    for name, tests in parts.items():
        (tmp_path / f"test_{name}.py").write_text(tests)
    given = {name: ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"{tmp_path}/test_{name}.py") for name in parts}
    code = f"import sys; sys.path.insert(0, {str(every_test.ROOT / 'scripts')!r}); import every_test; sys.exit(every_test.run({given!r}))"
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # quicker
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_every_folder_of_tests_is_in_one_part():
    folders = {file.parent.relative_to(every_test.ROOT).as_posix() for file in every_test.ROOT.glob("tests/**/test_*.py")}
    assert sorted(folder for part in every_test.PARTS.values() for folder in part) == sorted(folders)


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
