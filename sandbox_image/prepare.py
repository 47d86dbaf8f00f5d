"""Makes a sandbox image of whatever image this runs in, as a step of the build of `fumehood image from`.

Left out: the agent itself and the check of Python's version. The Dockerfile in `orchestrator/sandbox/image.py` has them.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

UID = 10001
USERS = range(61184, 65280)
"""As `agent/protocol.py` has them."""
COMMANDS = Path("/opt/venv/bin")
"""First on the PATH of every program in a sandbox."""


def name_user() -> None:
    """Give the users and the group that a sandbox may have a name, unless the image has one for them."""
    passwd = {user: f"sandbox:x:{user}:{UID}::/box:/bin/sh" for user in (UID, *USERS)}
    for path, named in (("/etc/group", {UID: f"sandbox:x:{UID}:"}), ("/etc/passwd", passwd)):
        file = Path(path)
        lines = file.read_text().splitlines() if file.exists() else []
        known = {part for entry in lines for part in entry.split(":")[2:3]}
        file.write_text("\n".join([*lines, *(line for number, line in named.items() if str(number) not in known), ""]))


def make_places() -> None:
    """One sized tmpfs at /box is all that a sandbox may write to, so /tmp leads there."""
    for place in (Path("/box"), Path("/box/tmp")):
        place.mkdir(exist_ok=True)
        place.chmod(0o700)
        os.chown(place, UID, UID)
    tmp = Path("/tmp")
    if tmp.is_symlink():
        tmp.unlink()
    elif tmp.exists():
        shutil.rmtree(tmp)
    tmp.symlink_to("/box/tmp")


def name_python() -> None:
    """Let programs find by name the interpreter that the agent runs on. A link would lose a virtual environment's packages."""
    COMMANDS.mkdir(parents=True, exist_ok=True)
    for name in ("python3", "python"):
        command = COMMANDS / name
        if not os.path.lexists(command):
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            command.chmod(0o755)


def forget_agent() -> None:
    """Make room for the agent, where another version of it is already."""
    shutil.rmtree("/opt/agent", ignore_errors=True)


def take_privileges() -> None:
    """No file keeps a setuid or setgid bit."""
    device = os.lstat("/").st_dev
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if os.lstat(f"{folder}/{name}").st_dev == device]
        for name in files:
            mode = os.lstat(f"{folder}/{name}").st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                Path(folder, name).chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


if __name__ == "__main__":
    name_user()
    make_places()
    name_python()
    forget_agent()
    take_privileges()
