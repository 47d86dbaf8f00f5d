"""The help of commands: what it looks like, and as text for `fumehood help` and for the pages under `docs/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
WIDTH = 100
"""Columns of the pages."""


class Command(TyperCommand):
    """A command whose help names arguments as people do: by what they are, without the type that Python has for them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and arguments; the latter in plain words."""
        params: list[Any] = super().get_params(ctx)
        for one in params:
            if one.param_type_name == "argument":
                one.display_type_rich = lambda ctx: None
        return params

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands after `Usage: ...`, without braces around a single word."""
        return [re.sub(r"^\{([^|]*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Commands(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """As typer's own."""
        return super().command(name, **{"cls": Command, **options})


def context_of(root: TyperCommand | TyperGroup, words: Iterable[str], width: int | None = None) -> typer.Context:
    """The context of a command by its words, such as `solve loss`.

    Raises:
        UsageError: there is no such command.
    """
    options = {"help_option_names": ["-h", "--help"], "terminal_width": width, "max_content_width": width}
    context = typer.Context(root, info_name="fumehood", **options)  # type: ignore[arg-type]
    for word in words:
        known = subcommands(context)
        if not known:
            raise UsageError(
                f"`{context.command_path}` is a command itself and has none below it, such as {word!r}.",
                remedy=f"`{context.command_path} --help` says what it takes.",
            )
        if word not in known:
            raise UsageError(f"`{context.command_path}` has no command {word!r}.", remedy=f"It has: {', '.join(known)}.")
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
