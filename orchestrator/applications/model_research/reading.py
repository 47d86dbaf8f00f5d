"""Layers as people and models write them, `{"type": "Conv2d", "out_channels": 32}`, read into values.

What is wrong is said with its place and the nearest right name.

Left out: which types there are (`layers.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.applications.model_research.layers import Layer

DEEPEST = 24
"""Levels of lists and objects in a configuration: a block has two, or three with branches."""
INFERRED = (
    "in_channels",
    "in_features",
    "num_features",
    "input_size",
    "embed_dim",
    "d_model",
    "num_channels",
    "normalized_shape",
)
"""Parameters of PyTorch's that follow from the input."""


class Misread(Exception):
    """Something in a list of layers is not valid; `place` says where, from the outside in."""

    def __init__(self, place: tuple[str, ...], message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.remedy = remedy

    def usage_error(self) -> UsageError:
        """The same for the person who wrote it."""
        return UsageError(f"{'.'.join(self.place)}{self.message}", remedy=self.remedy)


def layers_of(given: object, types: Mapping[str, type[Layer]]) -> tuple[Layer, ...]:
    """A list of layers.

    Raises:
        Misread: it is none, or one of them is not valid.
    """
    return tuple(_inside(f"layers[{number}]", one, types) for number, one in enumerate(_list(given, "layers")))


def branches_of(given: object, types: Mapping[str, type[Layer]]) -> tuple[tuple[Layer, ...], ...]:
    """Lists of layers.

    Raises:
        Misread: as `layers_of`.
    """
    return tuple(
        tuple(
            _inside(f"branches[{branch}][{number}]", one, types)
            for number, one in enumerate(_list(layers, f"branches[{branch}]"))
        )
        for branch, layers in enumerate(_list(given, "branches"))
    )


def with_each(given: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A list of layers as they were written, with each of them changed, those inside others first."""
    if isinstance(given, list | tuple):
        return [with_each(one, change) for one in given]
    if not isinstance(given, Mapping):
        return given
    return change({name: with_each(value, change) for name, value in given.items()})


def is_deep(given: object) -> bool:
    """Whether lists and objects stand in each other more than `DEEPEST` levels deep. Asked first, for reading is recursive."""
    level = [given]
    for _ in range(DEEPEST):
        inside = (one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list | tuple))
        level = [child for children in inside for child in children]
    return bool(level)


def nearest(name: str, known: Iterable[str], what: str) -> str:
    """What was most likely meant, or all that there is."""
    names = [*known]
    likeness = {one: difflib.SequenceMatcher(None, name.lower(), one.lower()).ratio() for one in names}
    best = max(likeness.values(), default=0.0)
    if best < 0.6:
        return f"There {what}: {', '.join(names) or 'none'}."
    return f"Did you mean {' or '.join(one for one in names if likeness[one] == best)}?"


def _list(given: object, what: str) -> Sequence[Any]:
    if not isinstance(given, list | tuple):
        raise Misread((what,), f" is no list but {_kind(given)}.", 'Write a list of layers: [{"type": "Flatten"}, ...].')
    return given


def _inside(place: str, given: object, types: Mapping[str, type[Layer]]) -> Layer:
    try:
        return _layer(given, types)
    except Misread as inner:
        message = inner.message if inner.place else f" {inner.message}"
        raise Misread((place, *inner.place), message, inner.remedy) from None


def _layer(given: object, types: Mapping[str, type[Layer]]) -> Layer:
    if type(given) in types.values():
        return cast("Layer", given)
    if not isinstance(given, Mapping):
        raise Misread((), f"is no layer but {_kind(given)}.", 'A layer is an object with its type: {"type": "Flatten"}.')
    if "type" not in given:
        raise Misread((), "has no type.", 'A layer is an object with its type: {"type": "Flatten"}.')
    name = given["type"]
    if not isinstance(name, str) or name not in types:
        raise Misread((), f"has the type {name!r}, which is none.", nearest(str(name), types, "are"))
    kind = types[name]
    values = {key: value for key, value in given.items() if key != "type"}
    for key in values:
        if key not in kind.model_fields:
            remedy = nearest(str(key), kind.model_fields, f"is in {name}")
            if key in INFERRED:
                remedy = "It follows from the input: leave it out."
            raise Misread((), f"({name}) has no parameter {key!r}.", remedy)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise Misread((), f"({name}) {_what(error)}.", f"help(orchestrator.applications.model_research.layers.{name})") from None


def _what(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "missing":
        return f"needs {name}"
    return f"has the wrong {name}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {_shown(first['input'])}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
