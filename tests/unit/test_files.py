"""Files that go where a user said: nothing of anybody else's is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.files import check_empty, check_free, new_folder, write_all, write_beside, write_whole
from orchestrator.jobs.reports import check_folder, write_files

REPORT = {"run": "r", "image": "", "samples": 1, "results": []}


def test_a_file_is_written_beside_one_that_holds_something_else(tmp_path):
    path = tmp_path / "test_f.py"
    assert write_beside(path, b"a", "run") == path
    assert write_beside(path, b"a", "run") == path
    assert write_beside(path, b"b", "run") == tmp_path / "test_f_run.py"
    assert write_beside(path, b"c", "run") == tmp_path / "test_f_run_2.py"
    assert write_beside(path, b"b", "run") == tmp_path / "test_f_run.py"
    assert path.read_bytes() == b"a"
    assert len(list(tmp_path.iterdir())) == 3
    assert write_beside(path, b"d") == tmp_path / "test_f_2.py"


def test_a_link_to_nowhere_is_somebody_s(tmp_path):
    (tmp_path / "f.py").symlink_to(tmp_path / "elsewhere")
    assert write_beside(tmp_path / "f.py", b"a", "run") == tmp_path / "f_run.py"
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_whole(tmp_path / "file" / "x", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_whole(tmp_path / "folder", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_folders_that_are_empty_or_new(tmp_path):
    assert check_empty(tmp_path) == tmp_path
    assert check_empty(tmp_path / "new") == tmp_path / "new"
    assert new_folder(tmp_path / "artifacts") == tmp_path / "artifacts"
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts-2").symlink_to("nowhere")
    assert new_folder(tmp_path / "artifacts") == tmp_path / "artifacts-3"
    with pytest.raises(UsageError, match="is not empty"):
        check_empty(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("file", "artifacts-2"):
        with pytest.raises(UsageError, match="is not a folder"):
            check_empty(tmp_path / name)


def test_a_report_replaces_a_report_and_nothing_else(tmp_path):
    assert [path.name for path in write_files(tmp_path, REPORT, {"report.md": "a"}, "again")] == [
        "results.jsonl",
        "report.json",
        "report.md",
    ]
    write_files(tmp_path, REPORT, {"report.md": "b"}, "again")
    assert (tmp_path / "report.md").read_text() == "b"


def test_a_report_of_another_run_stays_and_so_does_what_a_person_wrote_into_one(tmp_path):
    write_files(tmp_path, REPORT, {"report.md": "a"}, "again")
    with pytest.raises(UsageError, match="holds the report of run r,"):
        write_files(tmp_path, REPORT | {"run": "other"}, {"report.md": "b"}, "again")
    with pytest.raises(UsageError, match="holds the report of run r,"):
        check_folder(tmp_path, ["report.md"])
    check_folder(tmp_path, ["report.md"], "r")
    (tmp_path / "report.md").write_text("a, and my notes")
    for check in (
        lambda: check_folder(tmp_path, ["report.md"], "r"),
        lambda: write_files(tmp_path, REPORT, {"report.md": "b"}, "again"),
    ):
        with pytest.raises(UsageError, match=r"report\.md was changed"):
            check()
    assert (tmp_path / "report.md").read_text() == "a, and my notes"
    (tmp_path / "report.md").rename(tmp_path / "notes.md")
    write_files(tmp_path, REPORT, {"report.md": "b"}, "again")
    assert (tmp_path / "report.md").read_text() == "b"


def test_a_report_of_a_version_that_kept_no_digests_is_replaced_by_its_run(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "report.md").write_text("old")
    write_files(tmp_path, REPORT, {"report.md": "b"}, "again")
    assert (tmp_path / "report.md").read_text() == "b"


def test_a_new_file_is_not_there_yet(tmp_path):
    assert check_free(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"--plot .*link is there already"):
        check_free(tmp_path / "link", "--plot")
    check_free(tmp_path / "link", overwrite=True)
    with pytest.raises(UsageError, match="is a folder"):
        check_free(tmp_path, overwrite=True)


def test_files_that_belong_together_are_all_written_or_none(tmp_path):
    (tmp_path / "a").write_text("before")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"x cannot be written"):
        write_all({tmp_path / "a": b"after", tmp_path / "a" / "x": b""}, remedy="")
    assert (tmp_path / "a").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]


@pytest.mark.parametrize("facts", [None, "", "{}", "[]", "{", json.dumps({"run": 1})])
def test_a_report_of_somebody_else_s_stays(tmp_path: Path, facts: str | None):
    (tmp_path / "report.md").write_text("mine")
    if facts is not None:
        (tmp_path / "report.json").write_text(facts)
    with pytest.raises(UsageError, match=r"holds .*report\.md"):
        write_files(tmp_path, REPORT, {"report.md": "a"}, "again")
    with pytest.raises(UsageError, match="which no report of ours wrote"):
        check_folder(tmp_path, ["report.md"])
    assert (tmp_path / "report.md").read_text() == "mine"
    assert not (tmp_path / "results.jsonl").exists()
