"""An option that would do nothing beside the others is refused before anything starts, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

P, T, D = "p.py", "test_p.py", "own.jsonl"

IDLE = [
    (("run", P, "--judging", "apart", "--in-place"), "--judging, --in-place would do nothing: there are no tests."),
    (("run", P, "--entry-point", "f"), "--entry-point would do nothing: there are no tests."),
    (("run", P, "--test-file", T), "--test-file would do nothing: there are no tests."),
    (("run", P, "--tests", T, "--", "1"), "Arguments after -- would do nothing: the program is imported by its tests."),
    (("run", P, "--tests", T, "--judging", "together", "--in-place"), "--in-place would do nothing: tests that are judged"),
    (("run", P, "--out", "o", "--artifact-limit", "1M"), "--out, --artifact-limit would do nothing: there is no --artifact."),
    (("eval", "humaneval", "--repair-temperature", "1"), "--repair-temperature would do nothing: there is no --repair."),
    (("eval", "humaneval", "--top-p", "0.5"), "--top-p would do nothing: at temperature 0"),
    (("eval", "humaneval", "--complete", "--system", "x"), "--system would do nothing: --complete sends the task alone."),
    (("eval", "humaneval", "--samples", D, "--complete"), "--chat/--complete would do nothing: --samples asks no model."),
    (("eval", "humaneval", "--samples", D, "--temperature", "0"), "--temperature would do nothing: --samples asks no model."),
    (("eval", D, "--data", "x"), f"--data would do nothing: {D} holds the data."),
    (("eval", "validate", D, "--data", "x"), f"--data would do nothing: {D} holds the data."),
    (("eval", "unit-tests", D, "--data", "x"), f"--data would do nothing: {D} holds the data."),
    (("eval", "unit-tests", "--resume", "last", "--no-docstrings"), "--resume takes data set and options from the run itself."),
    (("solve", "loss", "focal", "--train-seeds", "3"), "--train-seeds would do nothing: there is no --train."),
    (("solve", "loss", "focal", "--repeats", "3"), "--repeats would do nothing: there are no --phrasings."),
    (("solve", "tests", f"{P}::f", "--tests", T, "--no-docstrings"), "--docstrings would do nothing: no model is asked"),
    (("solve", "tests", f"{P}::f", "--tests", T, "--samples", "2", "--model", "m"), "--samples, --model would do nothing"),
    (("collect", "last", "--out", "o", "--public"), "--public would do nothing: there is no --push-to-hub."),
    (("collect", "last", "--out", "o", "--pairs", "outcome", "--min-margin", "1"), "--min-margin would do nothing: it is about"),
    (("redteam", "--pairs", "3", "--family", "x", "--workers", "2"), "--family, --workers would do nothing: --pairs makes"),
    (("runs", "show", "--attempt", "0", "--failed"), "--failed would do nothing: --attempt names one."),
]


@pytest.mark.parametrize(("words", "sentence"), IDLE, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_what_would_do_nothing_is_refused(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-such.sock")
    monkeypatch.chdir(tmp_path)
    for name, text in ((P, "def f(): return 1\n"), (T, "from p import f\ndef test_f(): assert f() == 1\n"), (D, "{}\n")):
        (tmp_path / name).write_text(text)
    result = CliRunner().invoke(app, list(words))
    told, remedy = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert told.startswith(f"fumehood: {sentence}")
    assert remedy.strip()
