"""The help of commands as text: for `fumehood help`, and for the pages under `docs/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.errors import UsageError

WIDTH = 100
"""Columns of the pages."""


def context_of(root: TyperCommand | TyperGroup, words: Iterable[str], width: int | None = None) -> typer.Context:
    """The context of a command by its words, such as `solve loss`.

    Raises:
        UsageError: there is no such command.
    """
    options = {"help_option_names": ["-h", "--help"], "terminal_width": width, "max_content_width": width}
    context = typer.Context(root, info_name="fumehood", **options)  # type: ignore[arg-type]
    for word in words:
        known = subcommands(context)
        if word not in known:
            raise UsageError(
                f"`{context.command_path}` has no command {word!r}.", remedy=f"It has: {', '.join(known) or 'none'}."
            )
        context = typer.Context(known[word], info_name=word, parent=context)
    return context


def subcommands(context: typer.Context) -> dict[str, TyperCommand]:
    """The commands of a group by their names; none of any other command."""
    return dict(context.command.commands) if isinstance(context.command, TyperGroup) else {}  # type: ignore[arg-type]


def manual(context: typer.Context) -> Iterator[str]:
    """The help of a command, and of all below it."""
    yield context.command.get_help(context)
    for name, command in subcommands(context).items():
        yield from manual(typer.Context(command, info_name=name, parent=context))
