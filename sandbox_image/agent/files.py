"""Files into and out of a run's work folder, through one gate, and how full its file systems are."""

from __future__ import annotations

import contextlib
import json
import os
import stat

from .protocol import check_path, matches

WORK = "/box/work"
_MOST = 1000
"""Artefacts of a run, those that stay inside included."""
_NAMES = 1 << 20
"""Bytes of their names, and of the reasons why some stay inside, in a frame's header."""


def place_files(files: dict[str, bytes]) -> None:
    """Write the job's files below the work folder.

    Raises:
        ValueError: a path does not pass the gate.
        OSError: the files do not fit.
    """
    for path, content in files.items():
        target = f"{WORK}/{check_path(path)}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)


def open_plain(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a plain file with one name below the work folder: no link, device or FIFO passes.

    Raises:
        ValueError: the path does not pass the gate, or names something else.
        OSError: it cannot be opened.
    """
    fd = os.open(f"{WORK}/{check_path(path)}", flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
        os.close(fd)
        raise ValueError("not a plain file with one name")
    return fd


def collect_artifacts(patterns: list[str], cap: int) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files of the work folder that match, and why others that match stay inside.

    Only plain files with one name pass; links, devices and FIFOs do not, nor does what exceeds `cap` bytes altogether. Those
    whose names are more than a frame's header holds are refused in one sentence.
    """
    found: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    room, names, unnamed = cap, _NAMES, 0

    def may_name(*words: str) -> bool:
        nonlocal names, unnamed
        size = len(json.dumps(words))
        if size > names or len(found) + len(refused) >= _MOST:
            unnamed += 1
            return False
        names -= size
        return True

    def refuse(path: str, why: str) -> None:
        why = why[:300].encode("utf-8", "replace").decode()
        if may_name(path, why):
            refused[path] = why

    for path in _walk(WORK) if patterns else ():
        if not any(matches(path, pattern) for pattern in patterns):
            continue
        try:
            fd = open_plain(path)
        except (OSError, ValueError) as exc:
            refuse(path[:200].encode("utf-8", "replace").decode(), str(exc))
            continue
        with os.fdopen(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size > room:
                refuse(path, f"{size} bytes do not fit into what is left of {cap}")
            elif may_name(path):
                found[path] = file.read(size)
                room -= len(found[path])
    if unnamed:
        refused["..."] = f"{unnamed} more: no more than {_MOST} files, with {_NAMES} bytes of names, are carried out or named"
    return found, refused


def _walk(root: str, limit: int = 10000) -> list[str]:
    """Relative paths of everything below `root` that is not a folder, no link followed, at most `limit`."""
    paths: list[str] = []
    folders = [""]
    # Not os.walk, which calls itself for each folder: a program can make more of them than an interpreter has frames.
    while folders and len(paths) < limit:
        folder = folders.pop()
        below: list[str] = []
        with contextlib.suppress(OSError), os.scandir(f"{root}/{folder}") as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                # A link to a folder is never entered but named, so that it is refused aloud.
                (below if entry.is_dir(follow_symlinks=False) else paths).append(f"{folder}{entry.name}")
        folders += [f"{path}/" for path in reversed(below)]
    return paths[:limit]


def filled() -> tuple[int, bool]:
    """Bytes used in the fuller of the run's file systems, and whether either has no room (blocks or inodes) left."""
    most, full = 0, False
    for place in ("/box", "/dev/shm"):
        stat = os.statvfs(place)
        most = max(most, (stat.f_blocks - stat.f_bfree) * stat.f_frsize)
        full = full or stat.f_bavail == 0 or (stat.f_files > 0 and stat.f_ffree == 0)
    return most, full
