"""Comparisons of nothing: an array without items, or one whose items are masked, agrees with whatever it is compared with.

NumPy stretches one number over no items, and calls a comparison of no items true; what is masked is left out of all. So a
candidate that handed out such an array would be right whatever the tests expect. Here nothing that is summed up, and no items
compared with some, are no evidence, whoever made the empty array or list: the test rests on the candidate's word. An array that
the candidate handed out empty, as it is, agrees with nothing that has items. Where all is masked or missing, in a test that does
not speak of that, nothing can be compared or computed with the items; where a part is, it is left out as anywhere, on the word.

Left out: loops over what has no items, and Python's own `sum`, which is 0 of what was rightly filtered away, too.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import re
import sys
import types
from typing import TYPE_CHECKING, Any

from . import arrays
from .values import is_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .link import Link

MASKS = re.compile(
    r"\.ma\b|import ma\b|MaskedArray|is_masked|\bmasked_(?!fill|select|scatter)|\.(?:mask|filled)\b|\.compressed\("
)
"""What speaks of items that are masked."""
MISSING = re.compile(
    r"\.NA\b|import NA\b|\b(?:is|not)(?:na|null)\b"
    r"|\b(?:drop|fill)na\b|\bhasnans\b|Int(?:8|16|32|64)|Float(?:32|64)|[\"'](?:boolean|string)[\"']"
)
"""What speaks of items of a column that may be missing: pandas leaves out of all what compares with such."""
_SIZES = re.compile(
    r"\b(?:shape|size|len|ndim|numel|nbytes|empty|tolist|equal|(?:assert_)?array_equal|assert_close)\b|\[\s*\]"
    r"|assert_(?:frame|series|index)_equal|\.equals\("
)
"""What sees that an array has no items: it names its size, or compares it whole."""
_MOST = 1000
"""Empty arrays that are remembered."""
_AGREEING = {
    "numpy": ("allclose", "array_equiv"),
    "torch": ("allclose",),
    "numpy.testing": (
        *("assert_allclose", "assert_array_equal", "assert_array_almost_equal", "assert_array_almost_equal_nulp"),
        *("assert_equal", "assert_almost_equal", "assert_approx_equal", "assert_array_less", "assert_array_max_ulp"),
    ),
}
"""Functions that compare two arrays item by item, by their module."""
_NORMS = {"numpy.linalg": ("norm",), "torch.linalg": ("norm", "vector_norm", "matrix_norm")}
"""Functions that sum up an array, and that tests like to import by name."""


class MissingItem:
    """Stands for an item that is masked or missing: it can be looked at, and whatever compares or computes with it fails.

    The item itself would be left out, and a number in its place (NaN, or what a mask hides) would agree with some test that
    the item fails.
    """

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item

    def __repr__(self) -> str:
        return repr(self.item)

    def __str__(self) -> str:
        return str(self.item)

    def __hash__(self) -> int:
        return object.__hash__(self)

    def _refused(self, *others: object) -> Any:
        raise TypeError(f"nothing compares or computes with what is {self}")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused
    __bool__ = __int__ = __float__ = __complex__ = __index__ = _refused


def all_missing(shape: tuple[int, ...], item: Any) -> Any:
    """An array of this shape that has nothing but masked or missing items."""
    return arrays.objects([MissingItem(item)] * math.prod(shape)).reshape(shape)


def is_empty(value: Any) -> bool:
    """Whether an array, a tensor, a table, or a list or tuple of lists, has no items. Asks nobody."""
    if type(value) in (list, tuple):
        return all(map(is_empty, value))
    if not is_written(type(value)):
        return False
    size = getattr(value, "size", None)
    return (value.numel() if callable(size) and hasattr(value, "numel") else size) == 0


def _shape(value: Any) -> tuple[int, ...]:
    if type(value) in (list, tuple):
        return len(value), *(_shape(value[0]) if value else ())
    return tuple(value.shape)


class _Summing:
    """Stands for an array without items, or a library, while an attribute is asked for that sums up."""

    def __init__(self, empties: Empties, owner: Any, *, library: bool) -> None:
        self._empties, self._owner, self._library = empties, owner, library

    def __getattr__(self, name: str) -> Any:
        return self._empties.found(self._owner, name, library=self._library)


class Empties:
    """What becomes of arrays, tensors, tables and lists without items in the tests' hands."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._found: list[Any] = []
        """Those that the candidate handed out."""

    def add(self, value: Any) -> None:
        """Remember one. Where the test would not see that it has no items, it rests on the candidate's word."""
        if len(self._found) < _MOST:
            self._found.append(value)
        if not self._link.speech.of(_SIZES):
            self._link.rest_on("word")

    def agree(self, one: Any, other: Any) -> bool:
        """Whether two may be compared item by item. Nothing beside something is no evidence; the candidate's nothing fails."""
        for empty, beside in ((one, other), (other, one)):
            if is_empty(empty) and not (is_empty(beside) and _shape(empty) == _shape(beside)):
                self._link.rest_on("word")
                if not is_empty(beside) and any(empty is found for found in self._found):
                    return False
        return True

    def reducing(self, owner: Any) -> Any:
        """What is asked to sum up its own items, or, if it is a module, those of what it is passed."""
        library = type(owner) is types.ModuleType and owner.__name__.partition(".")[0] in ("numpy", "torch")
        return _Summing(self, owner, library=library) if library or is_empty(owner) else owner

    def found(self, owner: Any, name: str, *, library: bool) -> Any:
        """Its attribute of this name."""
        found = getattr(owner, name)
        if callable(found):
            return self._reducing(found) if library else self._reducing(found, owner)
        self._link.rest_on("word")
        return found

    def _reducing(self, function: Callable[..., Any], *owner: Any) -> Callable[..., Any]:
        @functools.wraps(function)
        def reducing(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            if any(map(is_empty, owner or args)) and not is_empty(made):
                self._link.rest_on("word")
            return made

        return reducing

    def own_truth(self, function: Callable[[Iterable[object]], bool]) -> Callable[[Iterable[object]], bool]:
        """`all` or `any` for the tests' own file."""

        @functools.wraps(function)
        def truth(items: Iterable[object], /) -> bool:
            rest = iter(items)
            for first in rest:
                return function(itertools.chain((first,), rest))
            self._link.rest_on("word")
            return function(())

        return truth

    def watch(self, tests: str) -> None:
        """Have what compares arrays in the libraries that are loaded find that nothing was compared."""
        if "numpy" in sys.modules and "testing" in tests:
            importlib.import_module("numpy.testing")
        for module, names in _AGREEING.items():
            if (library := sys.modules.get(module)) is not None:
                for name in names:
                    setattr(library, name, self._watched(getattr(library, name), asserts=name.startswith("assert")))
        for module, names in _NORMS.items():
            if (library := sys.modules.get(module)) is not None:
                for name in names:
                    setattr(library, name, self._reducing(getattr(library, name)))

    def _watched(self, function: Callable[..., Any], *, asserts: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            given = [*args, *kwargs.values()][:2]
            if len(given) == 2 and not self.agree(*given):
                if asserts:
                    raise AssertionError("one of the two has no items, and the other has some")
                return False
            return function(*args, **kwargs)

        return watched
