"""A folder of somebody's as the files that come with a program.

What no program needs and nobody means to hand out stays behind, and is named: hidden files, caches, virtual environments, links.

Left out: what is run of it. `on_disk.py` decides that.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.printable import counted

_CACHES = frozenset(("__pycache__", "node_modules"))
_BLOCK = 4096
"""What a file takes of a disk is a multiple of this."""
MOST_FILES = 10_000
_SHOWN = 6


@dataclass
class Folder:
    """Files of a folder by their paths in it."""

    path: Path
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    def __str__(self) -> str:
        """What comes along and what does not, for people."""
        count = counted(len(self.files), "file")
        summary = f"{count} of {self.path} ({human(self.size)}) {'comes' if len(self.files) == 1 else 'come'} along"
        more = ", ..." if len(self.left_out) > _SHOWN else ""
        return summary + (f"; left out: {', '.join(self.left_out[:_SHOWN])}{more}." if self.left_out else ".")


def human(size: int) -> str:
    """Bytes for people: `1.2 MiB`."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return counted(size, "byte") if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def read_folder(path: Path, room: int) -> Folder:
    """What a folder holds.

    Raises:
        UsageError: it cannot be read, has too many files, or needs more than `room` bytes.
    """
    folder = Folder(path)
    try:
        paths = _walk(path, folder.left_out)
        needed = sum(-(-(path / name).stat().st_size // _BLOCK) * _BLOCK for name in paths)
        if needed > room:
            raise UsageError(
                f"{path} needs {human(needed)}, and there is room for {human(room)} in the work folder.",
                remedy=f"Give more room with --disk {-(-needed * 5 // 4 // 2**20)}M, or name a folder without its data.",
            )
        folder.files.update({name: (path / name).read_bytes() for name in paths})
    except OSError as exc:
        raise UsageError(
            f"{exc.filename or path} cannot be read: {exc.strerror}.", remedy="Check the path and its permissions."
        ) from None
    return folder


def _walk(root: Path, left_out: list[str]) -> list[str]:
    """Paths of the plain files below a folder that come along."""
    found: list[str] = []
    folders = [""]
    while folders:
        below = folders.pop()
        with os.scandir(root / below) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{below}{entry.name}"
                if why := _stays(entry):
                    left_out.append(name if why == "hidden" else f"{name} ({why})")
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                else:
                    found.append(name)
        if len(found) > MOST_FILES:
            raise UsageError(f"{root} has more than {MOST_FILES} files.", remedy="Name a folder without its data.")
    return sorted(found)


def _stays(entry: os.DirEntry[str]) -> str:
    """Why an entry does not come along, in a word or two."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        return "a link"
    if entry.is_dir():
        is_environment = Path(entry.path, "pyvenv.cfg").exists()
        return "a virtual environment" if is_environment else "a cache" if entry.name in _CACHES else ""
    if entry.name.endswith(".pyc"):
        return "a cache"
    return "" if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode) else "no plain file"
