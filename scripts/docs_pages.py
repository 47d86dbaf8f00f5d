"""Keeps what is written true: puts the help of each command into its page, and finds commands and names that are no more.

    python scripts/docs_pages.py            write the help between the marks of each page
    python scripts/docs_pages.py --check    only say what is stale; exit code 1 if anything is

A mark is `<!-- help: solve loss -->` on a line of its own; what is between it and `<!-- end -->` is written here.
"""

from __future__ import annotations

import functools
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.cli import app
from orchestrator.cli.manual import WIDTH, context_of, subcommands
from orchestrator.errors import UsageError

ROOT = Path(__file__).parent.parent
_HELP = re.compile(r"<!-- help: (.*?) -->\n.*?<!-- end -->", re.DOTALL)
_FENCED = re.compile(r"^```(?:bash|sh|console)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(fumehood [^`\n]+)`")
_VARIABLE = re.compile(r"\bFUMEHOOD_[A-Z_]+[A-Z]\b")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@functools.cache
def root_command() -> TyperCommand | TyperGroup:
    """The whole command line."""
    return typer.main.get_command(app)  # type: ignore[return-value]


def pages() -> list[Path]:
    """All that people read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "design").glob("*.md"))]


def with_help(text: str) -> str:
    """A page with the help of today between its marks."""

    def written(mark: re.Match[str]) -> str:
        context = context_of(root_command(), mark[1].split(), WIDTH)
        return f"<!-- help: {mark[1]} -->\n```text\n{context.command.get_help(context).strip()}\n```\n<!-- end -->"

    return _HELP.sub(written, text)


def faults(text: str, folder: Path) -> Iterator[str]:
    """Commands and options that do not exist, settings that nobody reads, and links that lead nowhere."""
    known = _variables()
    yield from (f"no such setting: {name}" for name in dict.fromkeys(_VARIABLE.findall(text)) if name not in known)
    yield from (f"a link to nothing: {link}" for link in _LINK.findall(text) if not (folder / link).exists())
    lines = [line for block in _FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *_INLINE.findall(text)]:
        command = re.split(r"\s#\s|\s{3,}", re.sub(r"^(?:\$ |[A-Z_]+=\S+ )+", "", line.strip()))[0]
        if command.startswith("fumehood "):
            yield from _faults_of(command)


def _faults_of(line: str) -> Iterator[str]:
    """What is wrong with one command line; each of its alternatives (`ls | show RUN`) is one."""
    first, *others = (part.strip() for part in line.split("|"))
    try:
        words = shlex.split(first)[1:]
    except ValueError:
        return
    try:
        context, rest = _descended(words)
        for other in others:
            if other.split()[0].islower() and context.parent is not None and other.split()[0] not in subcommands(context.parent):
                yield f"no such command: {line}"
    except UsageError as error:
        yield f"{error.message} ({line})"
        return
    options = {option for one in context.command.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    for word in rest:
        if word.strip("[]") == "--":
            return
        option = word.strip("[]").partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in options:
            yield f"`{context.command_path}` has no option {option} ({line})"


def _descended(words: list[str]) -> tuple[typer.Context, list[str]]:
    """The command that words begin with, and the other words. A word in capitals stands for any."""
    path: list[str] = []
    for place, word in enumerate(words):
        known = subcommands(context_of(root_command(), path))
        if path == ["eval"] and word not in known and not word.startswith("-"):
            return context_of(root_command(), ["eval", "dataset"]), words[place:]  # its data sets are written like commands
        if not known or word.startswith(("-", "[", "<")) or word.isupper() or word == "...":
            return context_of(root_command(), path), words[place:]
        path.append(word)
    return context_of(root_command(), path), []


@functools.cache
def _variables() -> set[str]:
    """Names of settings that something in the project reads."""
    texts = [ROOT / "compose.yaml", ROOT / "scripts/setup", *(ROOT / "llm_server").rglob("*.py")]
    named = {name for path in texts for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))}
    return named | set(settings())


def settings() -> list[str]:
    """Variables of all settings there are."""
    from orchestrator.applications.unit_tests.settings import TestsSettings
    from orchestrator.settings import Settings

    return [
        f"{kind.model_config['env_prefix']}{name.upper()}" for kind in (Settings, TestsSettings) for name in kind.model_fields
    ]


def main() -> int:
    """Write the pages, or only look."""
    only_look, wrong = "--check" in sys.argv[1:], 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        fresh = with_help(text)
        if fresh != text and not only_look:
            page.write_text(fresh, encoding="utf-8")
        found = [*(["its help is stale: `make docs`"] if fresh != text and only_look else []), *faults(fresh, page.parent)]
        wrong += len(found)
        for fault in found:
            print(f"{page.relative_to(ROOT)}: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
