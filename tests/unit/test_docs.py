"""What people read says what is: commands, options, settings and links exist, and nothing is without a page."""

from __future__ import annotations

import re

import docs_pages
import pytest

from orchestrator.cli.manual import context_of, subcommands


def commands(path=()):
    """The words of every command that is no group."""
    below = subcommands(context_of(docs_pages.root_command(), path))
    return [words for name in below for words in commands((*path, name))] if below else [" ".join(path)]


@pytest.mark.parametrize("page", docs_pages.pages(), ids=lambda page: page.name)
def test_a_page_says_what_is(page):
    text = page.read_text(encoding="utf-8")
    assert docs_pages.with_help(text) == text, "stale: `make docs` writes it anew"
    assert list(docs_pages.faults(text, page.parent)) == []


def test_every_command_has_a_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in docs_pages.pages())
    shown = set(re.findall(r"<!-- help: (.*?) -->", text))
    assert {words for words in commands() if words not in ("version", "help")} - shown == set()


def test_every_setting_is_listed():
    text = (docs_pages.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in docs_pages.settings() if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`fumehood rnu x.py`", "no command 'rnu'"),
        ("`fumehood run x.py --test t.py`", "no option --test "),
        ("```bash\nfumehood eval humaneval --nn 10   # ten\n```", "no option --nn "),
        ("```\nfumehood model fetch | lst\n```", "no such command"),
        ("`FUMEHOOD_HOUSE`", "no such setting: FUMEHOOD_HOUSE"),
        ("[here](gone.md)", "a link to nothing: gone.md"),
    ],
)
def test_what_is_stale_is_found(text, fault, tmp_path):
    (found,) = docs_pages.faults(text, tmp_path)
    assert fault in found


@pytest.mark.parametrize(
    "text",
    [
        "`fumehood eval DATASET --json`",
        "`fumehood run FILE [--tests FILE] [-- --any]`",
        "```\nfumehood runs ls | show RUN   all of it\n```",
    ],
)
def test_what_is_right_is_not(text, tmp_path):
    assert list(docs_pages.faults(text, tmp_path)) == []
