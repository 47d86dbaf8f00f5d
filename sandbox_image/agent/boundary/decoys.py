"""Values that look like another one, so that who does not know the answer cannot tell which of them was expected.

All are drawn about one hidden centre, which is itself as far from the expected value as the others are from it: none stands in
the middle. Numbers keep their decimals, texts their length and the kinds of their characters, containers their
shape.

Left out: asking. `operators.py` lines a candidate's object up with these.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import random
import string
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

COUNT = 127
"""Decoys beside the expected value: a guess is right less than once in a hundred times."""
_NUMBERS = (int, float, Fraction, Decimal, complex)
_CLASSES = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_CHANCE = random.SystemRandom()
"""Not the generators that tests seed."""
_MOST_PARTS = 500
"""Parts of a value beyond which decoys would cost more than they show."""
_LEAVES = (int, float, complex, Fraction, Decimal, str, bytes, dt.date, dt.datetime, dt.timedelta)
_SPREADS = {1: 96, 2: 24}
"""Steps between a number and the centre, by how many numbers a value holds; for more than two, eight are enough."""

_Draw = Callable[[], Any]


class _NoneAlike(Exception):
    """There is nothing that looks like this value."""


def is_number(value: Any) -> bool:
    """Whether a value is a plain number; a boolean is none."""
    if type(value) in _NUMBERS:
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.number)


def decoys(value: Any, count: int = COUNT) -> list[Any]:
    """Up to `count` values unlike this one and unlike each other; none where nothing looks like it."""
    found: list[Any] = []
    seen = {repr(value)}
    try:
        parts = sum(1 for _ in _leaves(value))
        if not 0 < parts <= _MOST_PARTS:
            return []
        draw = _family(value, _SPREADS.get(parts, 8))
        for _ in range(3 * count):
            if len(found) == count:
                break
            made = draw()
            if (text := repr(made)) not in seen:
                seen.add(text)
                found.append(made)
    except (_NoneAlike, ArithmeticError, ValueError):
        pass
    return found


def hides(value: Any) -> bool:
    """Whether a value cannot be told from its decoys. Numbers cannot; a text may look more natural than they do."""
    return any(is_number(leaf) or type(leaf).__name__ in ("ndarray", "Tensor") for leaf in _leaves(value))


def _leaves(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif (type(value) in _LEAVES and value not in ("", b"")) or is_number(value) or type(value).__name__ in ("ndarray", "Tensor"):
        yield value


def _family(value: Any, spread: int) -> _Draw:
    """Draws values that look like this one, all about one centre. Raises _NoneAlike."""
    kind = type(value)
    if kind is int:
        return _whole(value, spread)
    if kind is float:
        return _decimal(value, spread)
    if kind is complex:
        real, imaginary = _decimal(value.real, spread), _decimal(value.imag, spread)
        return lambda: complex(real(), imaginary())
    if kind is Fraction:
        above, below = _whole(value.numerator, spread), value.denominator
        return lambda: Fraction(above(), below)
    if kind is Decimal and value.is_finite():
        digits, exponent = _parts(value)
        scaled = _whole(digits, spread)
        return lambda: Decimal(f"{scaled()}e{exponent}")
    if kind is str and value:
        return lambda: "".join(map(_letter, value))
    if kind is bytes and value:
        return lambda: bytes(_CHANCE.randrange(256) for _ in value)
    if kind in (list, tuple, set, frozenset) and value:
        items = _families(list(value), spread)
        return lambda: kind(draw() for draw in items)
    if kind is range and value:
        start, step = _whole(value.start, spread), value.step
        return lambda: range(first := start(), first + value.stop - value.start, step)
    if kind is dict and value:
        drawn = dict(zip(value, _families(list(value.values()), spread), strict=True))
        return lambda: {key: draw() for key, draw in drawn.items()}
    if kind is dt.date or kind is dt.datetime:
        day, days = value.toordinal(), _whole(value.toordinal(), 2000, reach=2000)
        return lambda: value + dt.timedelta(days=days() - day)
    if kind is dt.timedelta:
        length = _whole(value.days, spread)
        return lambda: dt.timedelta(length(), value.seconds, value.microseconds)
    return _array(value, spread)


def _families(items: list[Any], spread: int) -> list[_Draw]:
    """One for each item; those that nothing looks like stay as they are."""
    found: list[_Draw] = []
    for item in items:
        try:
            found.append(_family(item, spread))
        except _NoneAlike:
            found.append(functools.partial(_same, item))
    return found


def _same(item: Any) -> Any:
    return item


def _whole(value: int, spread: int, *, reach: int = 0) -> Callable[[], int]:
    if value.bit_length() > 4000:
        raise _NoneAlike
    zeros = 0 if reach else len(str(value)) - len(str(value).rstrip("0")) if value else 0
    unit = 10**zeros
    steps = abs(value) // unit
    # By chance, so that how far apart the decoys lie does not tell how large the number is.
    reach = reach or max(spread, int(steps * Fraction(10 ** _CHANCE.uniform(-1, 0.5))))
    centre = (value // unit if reach >= steps else steps) + _CHANCE.randint(-reach, reach)
    if reach >= steps:  # of both signs, or the smallest number would stand at the end of all
        return lambda: unit * (centre + _CHANCE.randint(-reach, reach))
    sign = -1 if value < 0 else 1
    return lambda: sign * unit * abs(centre + _CHANCE.randint(-reach, reach))


def _decimal(value: float, spread: int) -> Callable[[], float]:
    if not math.isfinite(value):
        raise _NoneAlike
    digits, exponent = _parts(Decimal(repr(value)))
    draw = _whole(digits, spread)
    return lambda: float(f"{draw()}e{exponent}")


def _parts(value: Decimal) -> tuple[int, int]:
    """A whole number, and the power of ten that it is multiplied by: exact, whatever context the tests compute in."""
    sign, digits, exponent = value.as_tuple()
    whole = int("".join(map(str, digits)))
    return -whole if sign else whole, int(exponent)


def _letter(letter: str) -> str:
    alike = next((kind for kind in _CLASSES if letter in kind), "")
    return _CHANCE.choice(alike) if alike else letter


def _array(value: Any, spread: int) -> _Draw:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.number):
        scalar = _family(value.item(), spread)
        return lambda: type(value)(scalar())
    if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind in "iuf" and 0 < value.size <= _MOST_PARTS:
        cells = _families(value.reshape(-1).tolist(), spread)
        return lambda: numpy.array([draw() for draw in cells]).astype(value.dtype).reshape(value.shape)
    if torch is not None and isinstance(value, torch.Tensor) and 0 < value.numel() <= _MOST_PARTS and not value.is_complex():
        entries = _families(value.detach().reshape(-1).tolist(), spread)
        return lambda: torch.tensor([draw() for draw in entries]).to(value.dtype).reshape(value.shape)
    raise _NoneAlike
