"""The folders that tests and candidate work in, kept alike: each side has its own, and what became of them crosses as data.

A test writes a file and has the candidate read it, or reads what the candidate wrote. So each message says what its side has
made, changed and removed in the work folder and the one for temporary files since the last one, and the other side does the same
to its own. Only plain files and folders cross: no link, no device, and to the tests nothing that Python would import.

Left out: what lies elsewhere, open files, owners. Tests' own files are there from the beginning and cross only if they are
changed.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.machinery
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from os import chmod, lstat, mkdir, rmdir, scandir, unlink, utime  # tests may patch those of `os` meanwhile
from time import time_ns
from typing import Any

from .values import MAX_FRAME, Garbled

_WANTED = re.compile(
    r"\bopen\s*\(|\b(?:tempfile|shutil|pathlib|glob|tmp_path|tmpdir|tmp_path_factory|sqlite3|zipfile|tarfile)\b|\bos\."
    r"|\b(?:savetxt|loadtxt|genfromtxt|fromfile|tofile|ElementTree|configparser)\b|\b(?:np|numpy)\.(?:save|savez|load)\b"
    r"|\b(?:to|read)_(?:csv|json|excel|parquet|html|xml)\b|\.(?:(?:read|write)_(?:text|bytes)|iterdir|touch|is_file|is_dir|exists|glob|rglob)\s*\("
)
_MOST = 4000
"""Files and folders on one side."""
_REMEMBERED = 10 * _MOST
"""Files of which one side remembers that the other changed them; more than that, and any may be."""
_DEEPEST = 30
_RECENT = 50_000_000
"""Nanoseconds for which a file may be changed again without another time of change."""
_IMPORTED = tuple(importlib.machinery.all_suffixes())
_BOXES = ("/box/work", "/box/tmp")

_open = open

Change = tuple[int, str, int, int, Any]
"""Which folder, path in it, mode, nanoseconds of the change; and the content of a file, True for a folder, None if it is gone."""


def wanted(tests: str) -> bool:
    """Whether tests may share files with their candidate."""
    return _WANTED.search(tests) is not None


def roots() -> list[str]:
    """The folders that are kept alike, where this runs."""
    return [root for root in _BOXES if os.path.isdir(root)] if os.path.isdir(_BOXES[0]) else [os.getcwd()]


class Folders:
    """This side's folders, as the other side knows them."""

    def __init__(self, places: list[str]) -> None:
        self._places = places
        self._known: dict[tuple[int, str], tuple[int, int, int, int]] = {}
        """Mode, time of change that nobody can set, size and a sum over the bytes; of a folder but the mode."""
        self._own: set[tuple[int, str]] = set()
        """What this side made or changed."""
        self._given: set[tuple[int, str]] = set()
        """What was there from the beginning."""
        self._theirs: set[str] = set()
        """What the other side made, changed or removed."""

    def keep(self) -> None:
        """Take what is there for given: it does not cross, and the other side cannot change it."""
        self.changes()
        self._given, self._own = self._own, set()
        if not any(path.endswith(_IMPORTED) for place in self._places for path, _ in _walk(place)):
            for place in self._places:  # what the other side wrote there is data, in an archive too
                sys.path_importer_cache[place] = _Nothing()

    def changes(self) -> list[Change]:
        """What this side has made, changed and removed since it was asked last."""
        found: list[Change] = []
        met = set()
        room = MAX_FRAME // 2
        whole = True
        for number, place in enumerate(self._places):
            there = _walk(place)
            whole = whole and len(there) < _MOST
            for path, info in there:
                key = (number, path)
                met.add(key)
                if path.endswith(_IMPORTED):
                    continue
                content = self._changed(key, f"{place}/{path}", info)
                if content is None:
                    continue
                self._own.add(key)
                room -= len(content) if type(content) is bytes else 0
                if room > 0:
                    found.append((number, path, info.st_mode & 0o777, info.st_mtime_ns, content))
        # Where there are too many to walk over, those that were not met may be there still.
        gone = [key for key in self._known if key not in met] if whole else []
        for key in sorted(gone, reverse=True):  # what is in a folder before it
            del self._known[key]
            self._own.discard(key)
            found.append((*key, 0, 0, None))
        return found

    def _changed(self, key: tuple[int, str], path: str, info: os.stat_result) -> Any:
        """What is new of something that is there: True for a folder, the bytes of a file; None for nothing."""
        old = self._known.get(key)
        mode = info.st_mode & 0o777
        if stat.S_ISDIR(info.st_mode):
            self._known[key] = (mode, 0, -1, 0)
            return None if old is not None and old[0] == mode and old[2] == -1 else True
        same = old is not None and old[:3] == (mode, info.st_ctime_ns, info.st_size)
        if same and time_ns() - info.st_ctime_ns > _RECENT:
            return None
        try:
            with _open(path, "rb") as file:
                content = file.read(MAX_FRAME)
        except OSError:  # which this side may not read, no more than anybody
            return None
        self._known[key] = (mode, info.st_ctime_ns, len(content), zlib.crc32(content))
        return None if old is not None and (old[0], *old[2:]) == (mode, len(content), zlib.crc32(content)) else content

    def apply(self, changes: Any) -> bool:
        """Do to these folders what the other side did to its own. Returns whether that touched what this side had made.

        Raises:
            Garbled: it is not what an honest side would say.
        """
        if type(changes) is not list or len(changes) > 2 * _MOST:
            raise Garbled("changes of files that are none")
        touched = False
        for change in changes:
            number, path, mode, changed, content = self._checked(change)
            key = (number, path)
            if key in self._given:
                continue
            target = f"{self._places[number]}/{path}"
            if _leads_away(self._places[number], path):
                continue  # through a link of this side's own
            touched = touched or self._is_own(key, target)
            if len(self._theirs) < _REMEMBERED:
                self._theirs.add(_real(target))
            with contextlib.suppress(OSError):
                self._do(key, target, mode, changed, content)
        return touched

    def _is_own(self, key: tuple[int, str], target: str) -> bool:
        """Whether this side made or changed it: also where there is too much to be looked at each time."""
        if key in self._own or not os.path.lexists(target):
            return key in self._own
        info, known = os.lstat(target), self._known.get(key)
        return known is None or (stat.S_ISREG(info.st_mode) and known[1] != info.st_ctime_ns)

    @property
    def touched(self) -> bool:
        """Whether the other side has done anything to these folders."""
        return bool(self._theirs)

    def may_have_caused(self, error: OSError, *, asked: bool) -> bool:
        """Whether what the other side did may be why a file could not be used: it touched that file or a folder around it.

        So it may where the error names no file, or a folder that is not empty. Of one that is missing in these folders, it may
        not have made it, if it was `asked` for anything.
        """
        given = [os.fsdecode(one) for one in (error.filename, error.filename2) if isinstance(one, str | bytes)]
        named = [path for path in given if "\0" not in path]
        if not named or error.errno == errno.ENOTEMPTY or len(self._theirs) >= _REMEMBERED:
            return bool(self._theirs)
        paths = [_real(path) for path in named]
        if asked and error.errno == errno.ENOENT and any(map(self._is_inside, paths)):
            return True
        return any(part in self._theirs for path in paths for part in _with_folders(path))

    def _is_inside(self, path: str) -> bool:
        """Whether a path lies in one of these folders, or may be made in one."""
        return any(path.startswith(f"{os.path.realpath(place)}/") for place in self._places)

    def _checked(self, change: Any) -> Change:
        if type(change) is not tuple or len(change) != 5:
            raise Garbled("a change of a file that is none")
        number, path, mode, changed, content = change
        if (type(number), type(path), type(mode), type(changed)) != (int, str, int, int) or not 0 <= number < len(self._places):
            raise Garbled("a change of a file that is none")
        parts = path.split("/")
        if (
            len(parts) > _DEEPEST
            or "\0" in path
            or len(path) > 2000
            or any(part in ("", ".", "..") for part in parts)
            or not _is_text(path)
        ):
            raise Garbled("a path that is none")
        if (
            not (content is None or content is True or type(content) is bytes)
            or not 0 <= mode <= 0o777
            or abs(changed) >= 1 << 63
        ):
            raise Garbled("a change of a file that is none")
        if content is not True and path.endswith(_IMPORTED):
            raise Garbled("a file that Python would import")
        return number, path, mode, changed, content

    def _do(self, key: tuple[int, str], target: str, mode: int, changed: int, content: Any) -> None:
        there = _info(target)
        if content is None:
            self._known.pop(key, None)
            if there is not None:
                (rmdir if stat.S_ISDIR(there.st_mode) else unlink)(target)
            return
        if content is True:
            if there is None:
                mkdir(target)
            elif not stat.S_ISDIR(there.st_mode):
                return
            chmod(target, mode | 0o700)
            self._known[key] = (lstat(target).st_mode & 0o777, 0, -1, 0)
            return
        if there is not None and not stat.S_ISREG(there.st_mode):
            return
        with _open(target, "wb") as file:  # in place: who has it open goes on with it
            file.write(content)
        chmod(target, mode)
        utime(target, ns=(changed, changed))
        self._known[key] = (mode, lstat(target).st_ctime_ns, len(content), zlib.crc32(content))


def _is_text(path: str) -> bool:
    """Whether a path is one name alone: a lone surrogate would be written as a byte, and be another file's name."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def _info(path: str) -> os.stat_result | None:
    """What lies at a path, which is not followed where it is a link."""
    try:
        return lstat(path)
    except OSError:
        return None


def _leads_away(place: str, path: str) -> bool:
    """Whether a folder on the way to a path is a link."""
    parts = path.split("/")[:-1]
    found = [_info("/".join((place, *parts[: end + 1]))) for end in range(len(parts))]
    return any(info is not None and stat.S_ISLNK(info.st_mode) for info in found)


def _real(path: str) -> str:
    """The path of a file without links on the way to it."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _with_folders(path: str) -> Iterator[str]:
    """A path, and the folders around it."""
    while path != os.path.dirname(path):
        yield path
        path = os.path.dirname(path)


def _walk(place: str) -> list[tuple[str, os.stat_result]]:
    """Plain files and folders below a place, each folder before what is in it."""
    found: list[tuple[str, os.stat_result]] = []
    todo = [""]
    while todo and len(found) < _MOST:
        folder = todo.pop()
        with contextlib.suppress(OSError), scandir(f"{place}/{folder}") as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode) and entry.name != "__pycache__" and path.count("/") < _DEEPEST - 1:
                    todo.append(f"{path}/")
                elif not stat.S_ISREG(info.st_mode):
                    continue
                found.append((path, info))
    return found[:_MOST]


class _Nothing:
    """Finds no module."""

    def find_spec(self, name: str, target: Any = None) -> None:
        """There is none."""
