"""Numbers that agree with too many: of types that round what they are compared with, or not finite.

NumPy and PyTorch give a number that the tests write out the type of the array that it meets: beside a half, `3.14159` is 3.14,
and 1e9 is infinite; beside a tensor of bytes, 1024 is 0. So a single number that was handed out in such a type is widened,
with the same value, unless the test speaks of types; arrays stay as they are, for tests look at their bytes and pass parts of
them on, and leave the word. A number that is not finite is within any distance that is a share of itself, or beyond none.

Left out: the precision of float32, in which honest code computes all the time.
"""

from __future__ import annotations

import re
import sys
from typing import Any

TYPES = re.compile(
    r"dtype|astype|\.(?:to|type|view|char|byte|short|int)\(|half|autocast|quantiz|float(?:16|8)|int(?:8|16|32)\b"
    r"|(?:Byte|Char|Short|Int)Tensor|itemsize|element_size|nbytes"
)
"""What speaks of the types of numbers."""
ENDLESS = re.compile(
    r"\.(?:nan|inf|nat|na)\b|[\"'](?:[^\"'\n]*[^a-z\"'\n])?(?:nan|inf|nat|na)(?![a-z])"
    r"|import (?:\w+, )*(?:nan|inf|NA)\b|infinit|is(?:nan|inf|finite|nat)|nonfinite|nan(?:min|max|mean|sum)|overflow|errstate"
    r"|(?:is|not)(?:na|null)\b|(?:drop|fill)na\b|hasnans|\de\+?(?:[3-9]\d\d|\d{4,})"
    r"|assert_(?:frame|series|index|extension_array)_equal|\.equals\(",
    re.IGNORECASE,
)
"""What speaks of numbers that are not finite, and of times and items that are none; tables are compared with theirs."""


def widened(array: Any) -> Any:
    """An array, a tensor or a scalar of theirs in a type that rounds nothing that tests write out; itself if it is in one."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return array.astype("f4") if array.dtype.kind == "f" and array.dtype.itemsize < 4 else array
    dtype = array.dtype
    if dtype.is_complex:
        return array.to(torch.complex64) if dtype.itemsize < 8 else array
    if dtype.is_floating_point:
        return array.to(torch.float32) if dtype.itemsize < 4 else array
    # Integers of 64 bits refuse what they cannot hold.
    return array if dtype in (torch.bool, torch.int64, torch.uint64) else array.to(torch.int64)


def is_endless(array: Any) -> bool:
    """Whether a number in an array, a tensor or a scalar of theirs is not finite, a time none, or a span of no unit."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        counts = array.dtype.is_floating_point or array.dtype.is_complex
        return counts and not bool(torch.isfinite(array).all())
    numpy: Any = sys.modules["numpy"]
    if array.dtype.kind in "mM":
        return bool(numpy.isnat(array).any()) or numpy.datetime_data(array.dtype)[0] == "generic"
    return array.dtype.kind in "fc" and not bool(numpy.isfinite(array).all())
