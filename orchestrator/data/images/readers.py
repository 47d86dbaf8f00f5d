"""Files of labelled rows as people have them: a folder of images, NumPy's `.npz`, CSV, and the format that MNIST came in.

Left out: names of data sets (`named.py`). A file is the user's own: nothing in it is unpickled, and what is wrong is named.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import UsageError
from orchestrator.sources import steadily

if TYPE_CHECKING:
    from PIL.Image import Image

Rows = tuple[NDArray[Any], NDArray[Any]]
"""(rows, ...) and (rows,): what they are, and their labels."""
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LABELS = ("label", "labels", "target", "class", "y", "category")
"""Names that a column of labels goes by where nobody names it."""
SIDE = 64
"""Pixels on a side that images of different sizes are brought to, unless it is said otherwise."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a file holds."""

    rows: Rows
    test: Rows | None = None
    """Rows that the file itself sets apart as a test."""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(path: Path, *, label: str = "", size: int | None = None) -> Read:
    """Read a folder of images (a subfolder for each class), a `.npz` or a CSV file.

    `label` is the column of the labels in a CSV file; `size` is the side in pixels that images of a folder are brought to.

    Raises:
        UsageError: it is none of these, or something in it is wrong.
    """
    if path.is_dir():
        return read_folder(path, size)
    if path.suffix == ".npz":
        return read_npz(path)
    if path.name.removesuffix(".gz").endswith(".csv"):
        return read_csv(path, label)
    raise UsageError(f"{path} is no folder of images, .npz or .csv file.", remedy="Name one of these.")


def read_folder(path: Path, size: int | None = None) -> Read:
    """Images below a folder for each class; with `train` and `test` above these where the folder has both.

    Grey where all images are, else RGB. Images of different sizes are brought to `size` (64) pixels on a side.

    Raises:
        UsageError: fewer than two classes have images, or one cannot be read.
    """
    parts = [path / "train", path / "test"] if all((path / name).is_dir() for name in ("train", "test")) else [path]
    files = [[(place.parent.name, place) for place in sorted(part.glob("*/*")) if _is_image(place)] for part in parts]
    classes = tuple(sorted({name for part in files for name, _ in part}))
    if len(classes) < 2 or not all(files):
        raise UsageError(
            f"{path} has images of {len(classes)} classes.",
            remedy=f"Put the images of each class into a subfolder named after it ({', '.join(ENDINGS[:3])}, ...).",
        )
    pixels, notes = as_pixels([(str(place), _opened(place)) for part in files for _, place in part], size)
    labels = np.array([classes.index(name) for part in files for name, _ in part])
    cut = len(files[0])
    test = (pixels[cut:], labels[cut:]) if len(parts) == 2 else None
    return Read(rows=(pixels[:cut], labels[:cut]), test=test, classes=classes, notes=notes)


def as_pixels(images: Sequence[tuple[str, Image]], size: int | None = None) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(rows, height, width, channels) from images with their names, and what was done to them.

    Raises:
        UsageError: one of them cannot be read.
    """
    sizes = {image.size for _, image in images}
    side = size or (SIDE if len(sizes) > 1 else None)
    grey = all(image.mode in ("1", "L") for _, image in images)
    rows = []
    for name, image in images:
        try:
            fitting = image.convert("L" if grey else "RGB")
            rows.append(np.asarray(fitting if side is None else fitting.resize((side, side))))
        except (OSError, ValueError, SyntaxError) as error:  # Pillow's decoders raise all three
            raise UsageError(f"The image {name} cannot be read: {error}.", remedy="Repair or remove it.") from error
    pixels = np.stack(rows)
    return pixels[..., None] if grey else pixels, () if side is None else (f"images resized to {side}x{side}",)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")


def _opened(path: Path) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # the file is closed then: there may be more of them than a process may have open
            return image
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(f"The image {path} cannot be read: {error}.", remedy="Repair or remove it.") from error


def read_npz(path: Path) -> Read:
    """Arrays `x_train` and `y_train`, with or without `x_test` and `y_test`, or `x` and `y`; and the names `classes`, if there.

    Raises:
        UsageError: these are not there, or it is no `.npz` file, or it holds pickled objects.
    """
    return steadily(lambda: _npz(path))


def _npz(path: Path) -> Read:
    try:
        # numpy leaves a file open that it opened itself and cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = set(file.files)
            pair = next((pair for pair in (("x_train", "y_train"), ("x", "y")) if names >= set(pair)), None)
            if pair is None:
                raise UsageError(
                    f"{path} holds {', '.join(sorted(names)) or 'nothing'}.",
                    remedy="Save x_train, y_train, x_test and y_test, or x and y, by numpy.savez.",
                )
            test = (file["x_test"], file["y_test"]) if names >= {"x_test", "y_test"} else None
            classes = tuple(str(name) for name in file["classes"]) if "classes" in names else ()
            return Read(rows=(file[pair[0]], file[pair[1]]), test=test, classes=classes)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path} cannot be read as .npz: {error}.", remedy="Save plain arrays by numpy.savez.") from error


def read_csv(path: Path, label: str = "") -> Read:
    """A header, a column of labels, and numbers in all others; columns called `pixel...` that make a square are an image.

    Raises:
        UsageError: it cannot be read, has no such column, or one that is not numbers.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:  # what pandas cannot parse is a ValueError
        raise UsageError(f"{path} cannot be read as CSV: {error}.", remedy="Check the file.") from error
    columns = [str(column) for column in frame.columns]
    frame.columns = pd.Index(columns)
    known = [column for column in columns if column.lower() in LABELS]
    if label not in columns and (label or len(known) != 1):
        raise UsageError(
            f"{path} has no column {label!r}." if label else f"It is not clear which column of {path} holds the labels.",
            remedy=f"Name one of: {', '.join(columns[:20])}{', ...' if len(columns) > 20 else ''}.",
        )
    target = frame.pop(label or known[0])
    if target.isna().any():
        raise UsageError(f"{int(target.isna().sum())} rows of {path} have no label.", remedy="Remove them.")
    wrong = next((column for column in frame.columns if frame[column].dtype.kind not in "buif"), None)
    if wrong is not None or not len(frame.columns):
        raise UsageError(
            f"The column {wrong!r} of {path} is not numbers." if wrong else f"{path} has nothing but labels.",
            remedy="Give each feature as a column of numbers.",
        )
    rows = frame.to_numpy()
    side = round(rows.shape[1] ** 0.5)
    if side**2 == rows.shape[1] and all(str(column).lower().startswith("pixel") for column in frame.columns):
        rows = rows.reshape(len(rows), side, side)
    return Read(rows=(rows, target.to_numpy()))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format of MNIST, gzipped or not.

    Raises:
        UsageError: it is not such a file.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:3] != b"\0\0\x08":
            raise ValueError("it does not begin like one")
        shape = np.frombuffer(data, ">u4", data[3], 4).astype(int)
        return np.frombuffer(data, np.uint8, -1, 4 + 4 * len(shape)).reshape(shape)
    except (OSError, ValueError, IndexError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} is no IDX file of bytes: {error}.", remedy="Fetch it again.") from error
