"""Files that a user named: read, or the reason why not; written whole or not at all, and never over work that is not ours.

Left out: what is in them, and the run store.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, unwritable


def read_bytes(path: Path, what: str) -> bytes:
    """A file's content.

    Raises:
        UsageError: it is missing, no plain file, or closed to this user.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{what} {path} cannot be read: {error.strerror}.", remedy="Check the path and its permissions."
        ) from None


def read_text(path: Path, what: str) -> str:
    """A text file's content.

    Raises:
        UsageError: as `read_bytes`, or it is not UTF-8.
    """
    return as_text(read_bytes(path, what), f"{what} {path}")


def as_text(content: bytes, what: str) -> str:
    """Bytes as text.

    Raises:
        UsageError: they are not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8.") from None


def write_whole(path: Path, content: bytes, *, remedy: str = "Name another folder with --out, or free some space.") -> Path:
    """Write a file in place of one that is ours, whole or not at all. Its folder is made.

    Raises:
        StoreError: the disk is full or failed.
        UsageError: it cannot be written there.
    """
    return write_all({path: content}, remedy=remedy)[0]


def write_all(contents: Mapping[Path, bytes], *, remedy: str) -> list[Path]:
    """Write files that belong together, in place of those that are ours: all of them or, where the disk is full, none.

    Raises:
        StoreError, UsageError: as `write_whole`.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_bytes(content)
        for path, part in parts.items():
            part.replace(path)
    except OSError as exc:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        raise unwritable(exc)(f"{path} cannot be written: {exc.strerror}.", remedy=remedy) from exc
    return [*contents]


def write_beside(path: Path, content: bytes, tag: str = "") -> Path:
    """Write a file, or where there is another one of that name, beside it with `tag` in its name. Returns where it is now.

    Raises:
        StoreError, UsageError: as `write_whole`.
    """
    stem = f"{path.stem}_{tag}" if tag else path.stem
    more = (path.with_stem(f"{stem}_{number}") for number in itertools.count(2))
    for place in itertools.chain([path, path.with_stem(stem)] if tag else [path], more):
        if not os.path.lexists(place):
            return write_whole(place, content)
        with contextlib.suppress(OSError):
            if place.read_bytes() == content:
                return place
    raise AssertionError("names without end")


def check_free(
    path: str | os.PathLike[str], what: str = "", *, overwrite: bool = False, remedy: str = "Name another file."
) -> Path:
    """A file that is not there yet, or that may be replaced. `what` is the option that names it.

    Raises:
        UsageError: it is a folder, or it is there and `overwrite` is not set.
    """
    place = Path(path)
    named = f"{what} {place}".strip()
    if place.is_dir():
        raise UsageError(f"{named} is a folder.", remedy="Name a file in it.")
    if os.path.lexists(place) and not overwrite:
        raise UsageError(f"{named} is there already.", remedy=remedy)
    return place


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def digest(content: bytes) -> str:
    """What a file's content is recognised by."""
    return hashlib.sha256(content).hexdigest()


def check_unchanged(folder: Path, digests: object, *, remedy: str) -> None:
    """Refuse a folder in which somebody changed a file that we wrote. What has no digest is not looked at.

    Raises:
        UsageError: there is such a file, or one that cannot be read.
    """
    for name, known in digests.items() if isinstance(digests, dict) else ():
        place = folder / str(name)
        if os.path.lexists(place) and digest(read_bytes(place, "The file")) != known:
            raise UsageError(f"{place} was changed after it was written, and would be replaced.", remedy=remedy)


def check_empty(folder: Path, option: str = "--out") -> Path:
    """The folder, if it is not there yet or has nothing in it.

    Raises:
        UsageError: something is in it, or it is not a folder.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{option} {folder} is not a folder.", remedy="Name another one.")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{option} {folder} is not empty.", remedy="Name a new folder, so that nothing in it is replaced.")
    except OSError as exc:
        raise UsageError(f"{option} {folder} cannot be read: {exc.strerror}.", remedy="Name another folder.") from exc
    return folder


def new_folder(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that is not there yet."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))
