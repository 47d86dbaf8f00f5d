"""Folders that tests and candidate each have, kept alike: what crosses is files and folders, and nothing else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "sandbox_image"))
from agent.boundary.folders import Folders, wanted
from agent.boundary.values import Garbled


@pytest.fixture
def both(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path_importer_cache", dict(sys.path_importer_cache))
    places = tmp_path / "tests", tmp_path / "candidate"
    for place in places:
        place.mkdir()
    mine, theirs = (Folders([str(place)]) for place in places)
    mine.keep()
    return *places, mine, theirs


def test_what_one_side_makes_changes_and_removes_the_other_has(both):
    here, there, mine, theirs = both
    (here / "a").mkdir()
    (here / "a/in.txt").write_text("1 2")
    theirs.apply(mine.changes())
    assert (there / "a/in.txt").read_text() == "1 2"
    (there / "a/in.txt").write_text("3 4")
    (there / "a/out.txt").write_text("5")
    mine.apply(theirs.changes())
    assert ((here / "a/in.txt").read_text(), (here / "a/out.txt").read_text()) == ("3 4", "5")
    (there / "a/in.txt").unlink()
    (there / "a/out.txt").unlink()
    (there / "a").rmdir()
    mine.apply(theirs.changes())
    assert list(here.iterdir()) == []
    assert not mine.changes()


def test_what_is_the_same_does_not_cross_again(both):
    here, _, mine, theirs = both
    (here / "in.txt").write_text("1 2")
    theirs.apply(mine.changes())
    assert not mine.changes()
    assert not theirs.changes()


def test_a_change_at_once_that_leaves_the_size_is_noticed(both):
    here, there, mine, theirs = both
    (here / "in.txt").write_text("abc")
    theirs.apply(mine.changes())
    before = (there / "in.txt").stat().st_mtime_ns
    (there / "in.txt").write_text("xyz")
    os.utime(there / "in.txt", ns=(before, before))
    assert [change[-1] for change in theirs.changes()] == [b"xyz"]


def test_a_change_later_that_leaves_size_and_time_is_noticed(both):
    here, there, mine, theirs = both
    (here / "in.txt").write_text("abc")
    theirs.apply(mine.changes())
    before = (there / "in.txt").stat().st_mtime_ns
    time.sleep(0.06)
    (there / "in.txt").write_text("xyz")
    os.utime(there / "in.txt", ns=(before, before))
    time.sleep(0.06)
    assert [change[-1] for change in theirs.changes()] == [b"xyz"]


def test_too_many_files_make_none_of_the_tests_forgotten(both):
    here, there, mine, theirs = both
    (here / "expected.txt").write_text("1")
    theirs.apply(mine.changes())
    for number in range(4100):
        (there / f"{number}").touch()
    mine.apply(theirs.changes())
    mine.changes()
    assert mine.apply([(0, "expected.txt", 0o644, 1, b"2")]) is True


def test_what_is_not_looked_at_for_there_is_too_much_is_still_this_sides(both, monkeypatch):
    here, there, mine, theirs = both
    monkeypatch.setattr("agent.boundary.folders._MOST", 20)
    for number in range(30):
        (there / f"{number}.txt").touch()
    mine.apply(theirs.changes())
    for place in (here, there):
        (place / "sub").mkdir()
        (place / "sub/expected.txt").write_text("9")
    mine.changes()
    forged = [(0, "sub/expected.txt", 0o644, 1, b"1")]
    assert mine.apply(forged), "made here, and never met"
    assert not mine.apply(forged), "as it was put there"
    (here / "sub/expected.txt").write_text("9")
    assert mine.apply(forged), "changed here since"


def test_a_change_to_what_the_other_side_made_is_told(both):
    here, there, mine, theirs = both
    (here / "expected.txt").write_text("1")
    theirs.apply(mine.changes())
    (there / "out.txt").write_text("2")
    assert mine.apply(theirs.changes()) is False
    (there / "expected.txt").write_text("2")
    assert mine.apply(theirs.changes()) is True


def test_times_and_modes_cross(both):
    here, there, mine, theirs = both
    (here / "old.txt").write_text("1")
    (here / "old.txt").chmod(0o640)
    os.utime(here / "old.txt", ns=(10**18, 10**18))
    theirs.apply(mine.changes())
    info = (there / "old.txt").stat()
    assert (info.st_mode & 0o777, info.st_mtime_ns) == (0o640, 10**18)


def test_what_was_there_from_the_beginning_neither_crosses_nor_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path_importer_cache", dict(sys.path_importer_cache))
    (tmp_path / "expected.txt").write_text("1")
    mine = Folders([str(tmp_path)])
    mine.keep()
    assert not mine.changes()
    mine.apply([(0, "expected.txt", 0o600, 0, b"2"), (0, "expected.txt", 0, 0, None)])
    assert (tmp_path / "expected.txt").read_text() == "1"


@pytest.mark.parametrize("name", ["test_candidate.py", "helper.pyc", "fast.so"])
def test_code_crosses_in_neither_direction(both, name):
    here, _, mine, _ = both
    (here / name).write_text("SECRET = 42")
    assert not mine.changes()
    for content in (b"import os", None):
        with pytest.raises(Garbled):
            mine.apply([(0, name, 0o600, 0, content)])
    assert (here / name).read_text() == "SECRET = 42"


def test_links_and_pipes_do_not_cross(both):
    here, there, mine, theirs = both
    (there / "link").symlink_to("/etc/passwd")
    (there / "folder").symlink_to("/etc")
    os.mkfifo(there / "pipe")
    mine.apply(theirs.changes())
    assert list(here.iterdir()) == []


def test_nothing_is_written_through_a_link(both, tmp_path):
    here, _, mine, _ = both
    outside = tmp_path / "outside"
    outside.mkdir()
    (here / "link").symlink_to(outside)
    (here / "file").symlink_to(outside / "secret.txt")
    mine.apply([(0, "link/x.txt", 0o600, 0, b"1"), (0, "file", 0o600, 0, b"1")])
    assert list(outside.iterdir()) == []


LIES = [
    *("../x", "/x", "a/../../x", "", ".", "a//b", "x\0y", "a/" * 40 + "x"),
]


@pytest.mark.parametrize("path", LIES)
def test_no_path_leads_elsewhere(both, path):
    with pytest.raises(Garbled):
        both[2].apply([(0, path, 0o600, 0, b"1")])


@pytest.mark.parametrize(
    "changes",
    [
        *(None, [None], [(0, "x", 0o600, 0)], [(1, "x", 0o600, 0, b"1")], [(-1, "x", 0o600, 0, b"1")], [(0, 1, 0o600, 0, b"1")]),
        *([(0, "x", 0o4755, 0, b"1")], [(0, "x", -1, 0, b"1")], [(0, "x", 0o600, 1 << 70, b"1")], [(0, "x", 0o600, 0, "text")]),
        [(0, "x", 0o600, 0, b"")] * 10_000,
    ],
)
def test_what_no_honest_side_would_say_is_garbled(both, changes):
    with pytest.raises(Garbled):
        both[2].apply(changes)


def test_nothing_in_them_is_imported(both):
    here, _, _, _ = both
    (here / "planted.py").write_text("x = 1")
    sys.path.insert(0, str(here))
    try:
        with pytest.raises(ImportError):
            __import__("planted")
    finally:
        sys.path.remove(str(here))


def test_only_tests_that_speak_of_files_share_them():
    assert wanted("import tempfile\nd = tempfile.mkdtemp()")
    assert wanted("text = open(path).read()")
    assert wanted("def test_a(tmp_path): pass")
    assert not wanted("from candidate import f\nassert f(1) == 2")


@pytest.mark.parametrize(
    "tests", ["open('a')", "np.loadtxt(f())", "pd.read_csv('a.csv')", "f().to_csv('a.csv')", "np.load('a.npy')", "tmp_path / 'a'"]
)
def test_tests_that_read_or_write_files_share_them(tests):
    assert wanted(tests)


@pytest.mark.parametrize("tests", ["assert f(1) == 2", "model.load(1)", "reopen(1)", "to_celsius(1)"])
def test_others_share_none(tests):
    assert not wanted(tests)
