"""Data sets by the names that people call them: in a folder, in a package, on the hub, or made up where none of these has them.

Names are torchvision's, in any spelling: `FashionMNIST`, `fashion-mnist` and `fashion_mnist` are one.

Left out: fetching into a folder of the user's; the hub's client keeps what it fetched.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.data.images import synthetic
from orchestrator.data.images.labelled import Labelled, Task, labelled
from orchestrator.data.images.readers import Read, as_pixels, read, read_idx, read_npz
from orchestrator.errors import PrerequisiteError, UsageError, no_such

PATIENCE = 5.0
"""Seconds that the hub may take to answer."""
SYNTHETIC = "synthetic"
_SYNTHETIC_ROWS = 3000


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A data set and where it lies on the hub, as Parquet files with a column of images and one of labels."""

    shape: tuple[int, int, int]
    """Of an image: channels, height, width."""
    classes: tuple[str, ...]
    hub: str
    folder: str
    """Of its Parquet files, whose names begin with the split."""
    image: str = "image"
    label: str = "label"


_DIGITS = tuple("0123456789")
_KNOWN = {
    "mnist": _Known(shape=(1, 28, 28), classes=_DIGITS, hub="ylecun/mnist", folder="mnist"),
    "fashionmnist": _Known(
        shape=(1, 28, 28),
        classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        hub="zalando-datasets/fashion_mnist",
        folder="fashion_mnist",
    ),
    "cifar10": _Known(
        shape=(3, 32, 32),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        hub="uoft-cs/cifar10",
        folder="plain_text",
        image="img",
    ),
    "cifar100": _Known(
        shape=(3, 32, 32),
        classes=tuple(map(str, range(100))),
        hub="uoft-cs/cifar100",
        folder="cifar100",
        image="img",
        label="fine_label",
    ),
    "svhn": _Known(shape=(3, 32, 32), classes=_DIGITS, hub="ufldl-stanford/svhn", folder="cropped_digits"),
    "catsdogs": _Known(shape=(3, 64, 64), classes=("cat", "dog"), hub="microsoft/cats_vs_dogs", folder="data", label="labels"),
}
NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "svhn", "cats-dogs", SYNTHETIC)
"""Data sets known by name; `digits` is on every machine, for it comes with scikit-learn."""


def load(
    source: str,
    *,
    data: Path | None = None,
    folder: Path | None = None,
    hub: bool = True,
    fallback: bool = True,
    label: str = "",
    task: Task | None = None,
    size: int | None = None,
    rows: int | None = None,
    seed: int = 0,
    api: Any = None,
) -> Labelled:
    """Labelled rows by a name of `NAMES`, or by the path of a folder of images, an `.npz` or a CSV file.

    A name is looked for in `data`, a file or folder that must have it; else in `folder` (the setting), in scikit-learn, and on
    the hub unless `hub` says no. A known name that none of these has gives made-up images of its shape and classes, which say
    so (`synthetic`), unless `fallback` says no.

    Args:
        source: a name or a path.
        data: a file or folder given for this name.
        folder: the folder of data sets that the user has set.
        hub: whether the hub may be asked.
        fallback: whether made-up images may stand in.
        label: the column of the labels in a CSV file.
        task: None decides by the labels.
        size: side in pixels that images of a folder, and of the hub, are brought to.
        rows: at most so many, drawn by `seed`.
        seed: of drawn and of made-up rows.
        api: a `huggingface_hub.HfApi`; None makes one.

    Raises:
        UsageError: there is no such name or file, or something in it is wrong.
        PrerequisiteError: a known name is nowhere, and nothing may stand in.
    """
    name = _plain(source)
    if name not in {_plain(known) for known in NAMES}:
        path = Path(source)
        if not path.exists():
            error = no_such("data set", source, NAMES)
            remedy = f"{error.remedy.rstrip('.')}; or name a folder of images, an .npz or a CSV file."
            raise UsageError(f"There is no data set {source!r}, and no such file.", remedy=remedy)
        return _made(path.stem, str(path), read(path, label=label, size=size), task=task, rows=rows, seed=seed)
    if name == SYNTHETIC:
        return _synthetic(source, "It was asked for.", rows, seed)
    known = _KNOWN.get(name)
    if known is None:
        return _digits(rows, seed)
    found = _in_files(name, data, required=True) if data is not None else folder and _in_files(name, folder, required=False)
    if found:
        place, content = found
        return _made(source, str(place), content, classes=known.classes, task=task, rows=rows, seed=seed)
    try:
        if not hub:
            raise PrerequisiteError(f"The data set {source} is not on this machine.", remedy=_where(source, known))
        content = _from_hub(source, known, size, api)
    except PrerequisiteError as error:
        if not fallback:
            raise
        return _synthetic(source, f"{error.message} These images only have its shape and classes.", rows, seed)
    return _made(source, known.hub, content, classes=known.classes, task=task, rows=rows, seed=seed)


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def _made(
    name: str,
    source: str,
    found: Read,
    *,
    classes: tuple[str, ...] = (),
    task: Task | None,
    rows: int | None,
    seed: int,
) -> Labelled:
    x, y = found.rows
    names = found.classes or classes
    return labelled(name, source, x, y, test=found.test, classes=names, task=task, notes=found.notes, rows=rows, seed=seed)


def _digits(rows: int | None, seed: int) -> Labelled:
    from sklearn.datasets import load_digits

    found = load_digits()
    return labelled("digits", "scikit-learn", found.images / 16, found.target, classes=_DIGITS, rows=rows, seed=seed)


def _synthetic(name: str, why: str, rows: int | None, seed: int) -> Labelled:
    known = _KNOWN.get(_plain(name), _KNOWN["mnist"])
    x, y = synthetic.images(known.shape, len(known.classes), min(rows or _SYNTHETIC_ROWS, _SYNTHETIC_ROWS), seed)
    title = SYNTHETIC if _plain(name) == SYNTHETIC else f"{SYNTHETIC} ({name})"
    return labelled(title, "our generator", x, y, classes=known.classes, synthetic=why)


def _in_files(name: str, place: Path, *, required: bool) -> tuple[Path, Read] | None:
    """The data set in a file, or in a folder or one below it: an `.npz` or a folder of images whose name begins with its own, or
    MNIST's own four files.

    Raises:
        UsageError: it is not there and `required`, or cannot be read.
    """
    if place.is_file():
        return place, read(place)
    if place.is_dir():
        below = sorted(path for path in place.iterdir() if path.is_dir())
        for folder in (place, *below, *(path / "raw" for path in below if (path / "raw").is_dir())):
            fits = sorted((path for path in folder.glob("*.npz") if _fits(name, path.stem)), key=lambda path: len(path.name))
            if fits:
                return fits[0], read_npz(fits[0])
            parent = folder.parent if folder.name == "raw" else folder
            if _plain(parent.name) == name and (idx := _idx(folder)) is not None:
                return folder, idx
        for folder in below:
            if _plain(folder.name) == name and any(folder.iterdir()):
                return folder, read(folder)
    if required:
        raise UsageError(f"{place} holds no {name}.", remedy=f"Name a file, or a folder with {name}.npz.")
    return None


def _fits(name: str, stem: str) -> bool:
    """`mnist_10k` and `cats_dogs_64` hold a data set, or a part of it; `cifar100` is none of `cifar10`."""
    words = re.split(r"[-_ ]", stem.lower())
    return any("".join(words[:count]) == name for count in range(1, len(words) + 1))


def _idx(folder: Path) -> Read | None:
    """MNIST's own files, which its relatives have copied."""

    def part(split: str) -> tuple[Any, Any] | None:
        found = [
            next((path for end in ("", ".gz") if (path := folder / f"{split}-{kind}-ubyte{end}").is_file()), None)
            for kind in ("images-idx3", "labels-idx1")
        ]
        return None if found[0] is None or found[1] is None else (read_idx(found[0]), read_idx(found[1]))

    rows = part("train")
    return None if rows is None else Read(rows=rows, test=part("t10k"))


def _from_hub(name: str, known: _Known, size: int | None, api: Any) -> Read:
    """Fetch its Parquet files.

    Raises:
        PrerequisiteError: the hub does not answer, or does not have them.
    """
    try:
        if api is None:
            api = _hub_api()
        files: list[str] = api.list_repo_files(known.hub, repo_type="dataset")
        parts = [sorted(file for file in files if file.startswith(f"{known.folder}/{split}-")) for split in ("train", "test")]
        fetched = [[Path(api.hf_hub_download(known.hub, file, repo_type="dataset")) for file in part] for part in parts]
    except Exception as exc:  # whatever the transport raises, and that changes with the library
        raise PrerequisiteError(
            f"The data set {name} could not be fetched from the hub ({type(exc).__name__}).", remedy=_where(name, known)
        ) from exc
    if not fetched[0]:
        raise PrerequisiteError(f"The hub's {known.hub} has no training rows as Parquet.", remedy=_where(name, known))
    images, labels, cut = [], [], 0
    for part in fetched:
        for path in part:
            new_images, new_labels = _parquet(path, known)
            images += new_images
            labels += new_labels
        cut = cut or len(labels)
    pixels, notes = as_pixels(images, size)
    every = np.array(labels)
    test = (pixels[cut:], every[cut:]) if cut < len(every) else None
    return Read(rows=(pixels[:cut], every[:cut]), test=test, notes=notes)


def _hub_api() -> Any:
    """The hub's client, once the hub has answered: by itself it waits long for one that cannot be reached."""
    from huggingface_hub import HfApi, get_session

    api = HfApi()
    get_session().head(api.endpoint, timeout=PATIENCE)
    return api


def _parquet(path: Path, known: _Known) -> tuple[list[tuple[str, Any]], list[int]]:
    import pyarrow.parquet as parquet
    from PIL import Image

    table = parquet.read_table(path, columns=[known.image, known.label])
    cells = table.column(known.image).to_pylist()
    images = [(f"{path.name}#{place}", Image.open(io.BytesIO(cell["bytes"]))) for place, cell in enumerate(cells, 1)]
    return images, table.column(known.label).to_pylist()


def _where(name: str, known: _Known) -> str:
    return f"Give its file with --data, or set FUMEHOOD_DATA to a folder with {_plain(name)}.npz. On the hub it is {known.hub}."
