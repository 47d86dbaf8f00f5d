"""What programs and models wrote cannot steer the terminal of who reads it, and is not lost either."""

from __future__ import annotations

import io

import pytest

from orchestrator import cli
from orchestrator.cli.messages import show
from orchestrator.cli.screen import Screen
from orchestrator.cli.shared import out_json
from orchestrator.jobs.reports import write_files
from orchestrator.printable import counted, printable

HOSTILE = {
    "clears the screen": ("\x1b[2Jgone", "\\x1b[2Jgone"),
    "names the window": ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    "an eight-bit introducer": ("\x9b2J", "\\x9b2J"),
    "overwrites its line": ("failed\rpassed", "failed\\rpassed"),
    "takes back letters": ("bad\b\b\bgood", "bad\\x08\\x08\\x08good"),
    "turns the direction": ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
    "half a character": ("\ud800", "\\ud800"),
    "delete and zero": ("\x7f\0", "\\x7f\\x00"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_steers_is_shown_as_an_escape(name):
    text, shown = HOSTILE[name]
    assert printable(text) == shown


def test_ordinary_text_stays_as_it_is():
    text = "Grüße, 世界 👩\u200d💻\tx\r\n\\x1b [red]\n"
    assert printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_that_is_printed_goes_that_way(name):
    text, shown = HOSTILE[name]
    from rich.table import Table
    from rich.text import Text

    table = Table("head", box=None)
    table.add_row(Text(text))
    plain, rich = io.StringIO(), io.StringIO()
    show(text, plain)
    screen = Screen(file=rich, width=80)
    for thing in (text, Text(text), table):
        screen.print(thing)
    assert plain.getvalue() == shown
    assert not any((ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or ord(char) > 0x2000 for char in rich.getvalue())


def test_a_terminal_still_gets_what_rich_itself_steers_it_with():
    file = io.StringIO()
    Screen(file=file, force_terminal=True, color_system="standard").print("bold", style="bold")
    assert file.getvalue().startswith("\x1b[1mbold")


def test_a_defect_of_ours_shows_its_traceback_in_the_same_way(capsys, monkeypatch):
    def broken() -> None:
        raise RuntimeError("\x1b[2J")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    told = capsys.readouterr().err
    assert told.startswith("fumehood broke.")
    assert told.rstrip().endswith("RuntimeError: \\x1b[2J")


def test_json_keeps_all_as_escapes_of_its_own(capsys):
    out_json({"text": "\x1b[2J\x9b"})
    assert capsys.readouterr().out == '{\n  "text": "\\u001b[2J\\u009b"\n}\n'


def test_pages_have_no_control_characters_and_rows_lose_nothing(tmp_path):
    told = {"run": "r", "results": [{"message": "\x1b[2J"}]}
    write_files(tmp_path, told, {"report.md": "a \x1b[2J", "report.html": "<p>\x9b2J</p>"}, "again")
    assert (tmp_path / "report.md").read_text() == "a \\x1b[2J"
    assert (tmp_path / "report.html").read_text() == "<p>\\x9b2J</p>"
    assert "\\u001b[2J" in (tmp_path / "results.jsonl").read_text()


def test_one_thing_is_counted_in_the_singular():
    assert [counted(count, "test") for count in (0, 1, 2)] == ["0 tests", "1 test", "2 tests"]
    assert [counted(count, "answer is", "answers are") for count in (1, 2)] == ["1 answer is", "2 answers are"]
