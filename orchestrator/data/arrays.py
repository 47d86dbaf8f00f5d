"""Arrays that cross into a sandbox and back, as `.npy` bytes.

Bytes from a sandbox are hostile: dtype and shape are compared with what is expected before anything is allocated, and
nothing is ever unpickled.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import DTypeLike, NDArray

from orchestrator.sources import steadily


def write_array(array: NDArray[np.generic]) -> bytes:
    """The array as `.npy` bytes.

    Raises:
        ValueError: it holds Python objects.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_array(data: bytes, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The array in `.npy` bytes of exactly this dtype and shape.

    Raises:
        ValueError: anything else; the message says what was found.
    """
    try:
        found_shape, fortran, found_dtype, start = steadily(lambda: _head(io.BytesIO(data)))
    # The header is parsed as a Python literal, which fails in many ways.
    except Exception:
        raise ValueError("It is not a NumPy .npy file.") from None
    wanted = np.dtype(dtype)
    if found_dtype != wanted:
        raise ValueError(f"It holds {found_dtype} instead of {wanted}.")
    if fortran and len(shape) > 1:
        raise ValueError("It is stored by columns instead of by rows.")
    if found_shape != shape:
        raise ValueError(f"It has the shape {found_shape} instead of {shape}.")
    rest = data[start:]
    size = int(np.prod(shape)) * wanted.itemsize
    if len(rest) != size:
        raise ValueError(f"It holds {len(rest)} bytes of data instead of {size}.")
    array: NDArray[np.generic] = np.frombuffer(rest, dtype=wanted).reshape(shape)
    return array


def _head(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """Shape, order, dtype, and where the items begin."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"version {version}")
    return *np.lib.format.read_array_header_1_0(file), file.tell()
