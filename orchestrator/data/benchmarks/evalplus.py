"""What EvalPlus' files leave to their reader: types that JSON lost, and how outputs are compared.

JSON has no tuples, sets and complex numbers. For the tasks of MBPP+ whose arguments need them, `SHAPES` says how the arguments
are made again; the numbers of the tasks are those of EvalPlus' release v0.2.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from orchestrator.data.benchmarks.task import Inputs

Rule = Literal["equal", "root", "as_set", "truth", "any", "zero"]


def _deep(value: Any) -> Any:
    return tuple(map(_deep, value)) if isinstance(value, list) else value


def _rows(value: Any) -> Any:
    """A list of tuples."""
    return [tuple(item) for item in value]


def _tuple(value: Any) -> Any:
    return tuple(value)


def _same(value: Any) -> Any:
    return value


def _each(change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda arguments: [change(argument) for argument in arguments]


def _first(*changes: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """The first arguments, one change each; the others stay."""
    return lambda arguments: [
        *(change(argument) for change, argument in zip(changes, arguments, strict=False)),
        *arguments[len(changes) :],
    ]


SHAPES: dict[int, Callable[[list[Any]], list[Any]]] = {
    **dict.fromkeys((2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596), _each(_tuple)),
    **dict.fromkeys((616, 630, 726, 740, 744, 809), _each(_tuple)),
    **dict.fromkeys((63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780), _each(_rows)),
    **dict.fromkeys((75, 413, 444, 753), _first(_rows)),
    **dict.fromkeys((106, 750), _first(_same, _tuple)),
    115: _first(lambda value: [set(item) if isinstance(item, list) and item else {} for item in value]),
    124: _first(float, complex),
    **dict.fromkeys((250, 405, 446, 617, 720, 763, 808, 307), _first(_tuple)),
    **dict.fromkeys((259, 401, 445), _each(lambda value: tuple(tuple(item) for item in value))),
    278: _first(lambda value: tuple(tuple(item) if isinstance(item, list) else item for item in value)),
    722: _first(lambda value: {key: tuple(item) for key, item in value.items()}),
    252: _first(complex),
    **dict.fromkeys((580, 615, 791), _each(_deep)),
}
"""Number of an MBPP+ task -> its arguments with their types."""

_RULES: dict[str, Rule] = {
    **dict.fromkeys(("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum"), "as_set"),
    **dict.fromkeys(("intersection_array", "find_dissimilar", "Diff"), "as_set"),
    **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), "truth"),
    "are_equivalent": "any",
    "sum_div": "zero",
}
"""Functions of MBPP+ whose task allows more than the one output of the reference."""


def inputs_of(task_id: str, entry_point: str, base: list[Any], plus: list[Any], atol: float) -> Inputs:
    """The inputs of a row, types and comparison included."""
    family, _, number = task_id.rpartition("/")
    shape: Callable[[list[Any]], list[Any]] = list
    rule: Rule = "root" if entry_point == "find_zero" else "equal"
    if family == "Mbpp":
        shape = SHAPES.get(int(number), list)
        rule = _RULES.get(entry_point, "equal")
    return Inputs(base=tuple(map(shape, base)), plus=tuple(map(shape, plus)), atol=atol, rule=rule)
