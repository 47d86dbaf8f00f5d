"""Comparisons of nothing: an array without items, or one whose items are masked, agrees with whatever it is compared with.

NumPy stretches one number over no items, and calls a comparison of no items true; what is masked is left out of all. So a
candidate that handed out such an array would be right whatever the tests expect. Here one that the candidate handed out, and
that has no items, agrees with nothing that has some, and what is masked or missing is no number, unless the tests speak of that.

Left out: loops and `all` over what has no items. They are Python's own, for lists too.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link

_MASKS = re.compile(r"\bma\b|MaskedArray|is_masked|masked_(?!fill|select|scatter)|\.(?:mask|filled|compressed)\b")
_SIZES = re.compile(r"\b(?:shape|size|len|ndim|numel|nbytes|empty|tolist|equal|(?:assert_)?array_equal|assert_close)\b|\[\s*\]")
_MISSING = re.compile(
    r"\bNA\b|\b(?:is|not)(?:na|null)\b|\b(?:drop|fill)na\b|\bhasnans\b|Int(?:8|16|32|64)|Float(?:32|64)|[\"'](?:boolean|string)[\"']"
)
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


def speaks_of_masks(tests: str) -> bool:
    """Whether tests know that items may be masked."""
    return _MASKS.search(tests) is not None


def speaks_of_missing(tests: str) -> bool:
    """Whether tests know that items of a column may be missing: pandas leaves out of all what compares with such."""
    return _MISSING.search(tests) is not None


def speaks_of_sizes(tests: str) -> bool:
    """Whether tests would see that an array has no items: they name its size, or compare it whole."""
    return _SIZES.search(tests) is not None


def unmasked(array: Any) -> Any:
    """A masked array as one without a mask: what is masked is no number, no time, or None, and so equal to nothing."""
    numpy = sys.modules["numpy"]
    mask, data = numpy.ma.getmaskarray(array), array.data
    if not mask.any():
        return data
    if data.dtype.kind in "mM":
        nothing: Any = numpy.array("NaT", data.dtype)
    elif data.dtype.kind in "fc":
        nothing = numpy.nan
    else:
        data, nothing = data.astype(object if data.dtype.kind in "SU" else float), numpy.nan
    found = numpy.array(data)
    found[mask] = nothing
    return found[()] if array is numpy.ma.masked else found


class Empties:
    """Arrays and tensors without items that the candidate handed out."""

    def __init__(self, link: Link, tests: str) -> None:
        self._link = link
        self._tests = tests
        self._found: list[Any] = []

    def add(self, value: Any) -> None:
        """Remember one. Where the tests would not see that it has no items, they rest on the candidate's word."""
        if len(self._found) < _MOST:
            self._found.append(value)
        if not self._speaks_of_sizes:
            self._link.rest_on("word")

    @functools.cached_property
    def _speaks_of_sizes(self) -> bool:
        return speaks_of_sizes(self._tests)

    def compared(self, one: Any, other: Any) -> bool:
        """Whether one of two is such an array, and the other has items."""
        for empty, beside in ((one, other), (other, one)):
            if any(empty is found for found in self._found):
                return _has_items(beside)
        return False

    def watch(self) -> None:
        """Have what compares arrays in the libraries that are loaded find that nothing was compared."""
        if "numpy" in sys.modules and "testing" in self._tests:
            importlib.import_module("numpy.testing")
        for module, names in _AGREEING.items():
            if (library := sys.modules.get(module)) is not None:
                for name in names:
                    setattr(library, name, self._watched(getattr(library, name), asserts=name.startswith("assert")))

    def _watched(self, function: Callable[..., Any], *, asserts: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            given = [*args, *kwargs.values()][:2]
            if self._found and len(given) == 2 and self.compared(*given):
                if asserts:
                    raise AssertionError("one of the two has no items, and the other has some")
                return False
            return function(*args, **kwargs)

        return watched


def _has_items(value: Any) -> bool:
    size = getattr(value, "numel", None) or getattr(value, "size", None)
    if callable(size):
        size = size()
    if type(size) is int:
        return size > 0
    return not isinstance(value, list | tuple) or bool(sys.modules["numpy"].size(value))
