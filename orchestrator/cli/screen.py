"""A Rich console that shows text as it is: no markup, no guessing of colours, and nothing in it that steers the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from orchestrator.printable import printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType


class Screen(Console):
    """For text of programs and models."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed of it, piece by piece; pieces that Rich steers the terminal with are its own."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
