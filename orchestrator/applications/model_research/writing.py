"""The text of a network: modules that the constructor makes, and lines that `forward` runs, layer after layer.

What is written is as `ruff format` leaves it, at its own line length and at longer ones.

Left out: which layer writes what (`layers.py`), and the module around it (`assemble.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.applications.model_research.shapes import Misfit, Shape, checked

if TYPE_CHECKING:
    from orchestrator.applications.model_research.layers import Layer

WIDTH = 88
"""Characters of a line, at most."""
MOST_LAYERS = 2000
"""Layers of a network, repeated ones counted as often as they stand there."""


class Call:
    """A call in the source: what is called, and with which arguments."""

    def __init__(self, name: str, *arguments: object, **named: object) -> None:
        self.name = name
        self.arguments = arguments
        self.named = named

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self._parts())})"

    def _parts(self) -> list[str]:
        return [*map(_literal, self.arguments), *(f"{name}={_literal(value)}" for name, value in self.named.items())]

    def lines(self, before: str, indent: int) -> list[str]:
        """The call behind `before`, on one line if it fits, else one argument to a line."""
        line = f"{' ' * indent}{before}{self}"
        if len(line) <= WIDTH:
            return [line]
        found = [f"{' ' * indent}{before}{self.name}("]
        values = [("", value) for value in self.arguments] + [(f"{name}=", value) for name, value in self.named.items()]
        for name, value in values:
            inner = value.lines(name, indent + 4) if isinstance(value, Call) else [f"{' ' * (indent + 4)}{name}{_literal(value)}"]
            found += [*inner[:-1], f"{inner[-1]},"]
        return [*found, f"{' ' * indent})"]


def _literal(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return str(value) if isinstance(value, Call) else repr(value)


@dataclass(frozen=True)
class Row:
    """One layer of a network: where it stands, what it made, and the shapes before and behind it."""

    where: str
    """`layers[2]`, or `layers[2].layers[0]` inside a block."""
    layer: Layer
    modules: tuple[tuple[str, Call], ...]
    """Attributes of the network that it made, and how; those of layers inside it aside."""
    lines: tuple[str, ...]
    """Lines of `forward` that it wrote, those of layers inside it among them."""
    takes: Shape
    gives: Shape
    depth: int
    """How many blocks it stands in."""

    @property
    def kind(self) -> str:
        """Its type in the configuration."""
        return type(self.layer).__name__


@dataclass
class Text:
    """What the layers wrote so far."""

    modules: list[tuple[str, Call]] = field(default_factory=list)
    """Attributes that the constructor makes, and how."""
    lines: list[tuple[str, Shape | None]] = field(default_factory=list)
    """Lines of `forward`; behind the last one of a layer, the shape that `x` has."""
    rows: list[Row] = field(default_factory=list)
    """In the order in which layers stand; a block before what is in it."""
    _count: Counter[str] = field(default_factory=Counter)
    _place: list[str] = field(default_factory=list)
    _own: list[list[tuple[str, Call]]] = field(default_factory=list)

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet: `conv1`, `conv2`."""
        self._count[stem] += 1
        return f"{stem}{self._count[stem]}"

    def module(self, stem: str, call: Call) -> str:
        """Have the constructor make a module; returns how `forward` names it."""
        name = self.fresh(stem)
        self.modules.append((name, call))
        self._own[-1].append((name, call))
        return f"self.{name}"

    def line(self, text: str) -> None:
        """A line of `forward`."""
        self.lines.append((text, None))

    def apply(self, stem: str, call: Call) -> None:
        """Make a module, and put `x` through it."""
        self.line(f"x = {self.module(stem, call)}(x)")

    def layers(self, layers: Sequence[Layer], shape: Shape, group: str = "layers") -> Shape:
        """Write layers one after another. `group` is what the list of them is called where it stands.

        Raises:
            Misfit: one cannot take what reaches it; the message names it.
        """
        for number, layer in enumerate(layers):
            self._place.append(f"{group}[{number}]")
            shape = self._layer(layer, shape)
            self._place.pop()
        return shape

    def _layer(self, layer: Layer, shape: Shape) -> Shape:
        if len(self.rows) == MOST_LAYERS:
            raise _Placed(f"The network has more than {MOST_LAYERS} layers.", "Repeat fewer of them.")
        where, number = ".".join(self._place), len(self.rows)
        self.rows.append(Row(where, layer, (), (), shape, shape, len(self._place) - 1))
        self._own.append([])
        written = len(self.lines)
        try:
            gives = checked(layer.write(self, shape))
        except _Placed:
            raise
        except Misfit as misfit:
            raise _Placed(f"{where} ({type(layer).__name__}) {misfit.message}", misfit.remedy) from None
        lines = tuple(line for line, _ in self.lines[written:])
        self.rows[number] = replace(self.rows[number], modules=tuple(self._own.pop()), lines=lines, gives=gives)
        if len(self.lines) > written:
            self.lines[-1] = (self.lines[-1][0], gives)
        return gives


class _Placed(Misfit):
    """Its message says where."""
