"""What `fumehood run` is given: programs, tests, files and input, as people have them on disk or pipe them in.

Left out: what becomes of it (`execute.py`).
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from orchestrator.cli.messages import note
from orchestrator.cli.shared import read_bytes, read_text
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.engine.on_disk import Work
    from orchestrator.types import Program

_READS = re.compile(rb"\b(?:input\s*\(|sys\.stdin\b|import[^\n]*\bstdin\b|fileinput\b|open\(\s*0\b)|/dev/stdin\b")
"""What a program that reads its input has in its source."""
_PATIENCE = 3.0
"""Seconds for which nothing is said of an input that has not ended."""


def programs(
    what: str,
    main: str,
    tests: Sequence[str],
    module: str,
    carry: Sequence[str],
    test_file: Sequence[str],
    room: int,
) -> dict[str, Program]:
    """A program for each file of tests, by its name; one without a name where there are none. What came along is reported.

    Raises:
        UsageError: something cannot be read, does not fit, or is not there to be tested.
    """
    from orchestrator.engine.on_disk import Script, check_room, read_tests, read_work

    if what == "-":
        if main:
            raise UsageError("--main is for folders.", remedy="Leave it out, or name a folder.")
        work: Work = Script(read_text(what, "The program"))
    else:
        secret = [Path(path) for path in (*tests, *(placed(item)[0] for item in test_file)) if path != "-"]
        work = read_work(Path(what), main=main, secret=secret, room=room)
    sources = {"-": read_text("-", "The tests")} if "-" in tests else {}
    named, beside, notes = read_tests([Path(path) for path in dict.fromkeys(tests) if path != "-"], Path(what), room)
    sources |= named
    files, for_tests = carried(carry, room, notes), beside | carried(test_file, room, notes)
    programs = {name: work.under(source, module, for_tests) for name, source in sources.items()} or {"": work.alone()}
    for note_ in (*work.notes, *notes):
        note(note_)
    for program in programs.values():
        check_room([*program.files.values(), *files.values()], room)
    return {
        name: program.model_copy(update={"files": program.files | files, "test_files": for_tests})
        for name, program in programs.items()
    }


def input_of(what: str, stdin: str | None, programs: Mapping[str, Program]) -> bytes:
    """What the program reads: a file by its name, or what is piped into this command if the program looks as if it read that.

    Only a pipe or a file is read without being asked for: a terminal would be waited for, and tests have no input.

    Raises:
        UsageError: the file cannot be read.
    """
    if stdin is not None:
        return read_bytes(stdin, "The input")
    (program,) = programs.values() if "" in programs else (None,)
    if program is None or what == "-" or not _is_piped():
        return b""
    texts = [(program.code or "").encode(), *(content for path, content in program.files.items() if path.endswith(".py"))]
    if not any(_READS.search(text) for text in texts):
        return b""
    message = "The program's input is read from the pipe, which has not ended yet. --stdin FILE gives another."
    waiting = Timer(_PATIENCE, note, [message])
    waiting.daemon = True
    waiting.start()
    try:
        return sys.stdin.buffer.read()
    finally:
        waiting.cancel()


def _is_piped() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or no stream of the system's
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def variable(item: str) -> tuple[str, str]:
    """An environment variable as NAME=VALUE.

    Raises:
        UsageError: it has another form.
    """
    name, equals, value = item.partition("=")
    if not equals or not name or "\0" in item:
        raise UsageError(f"--env {item!r} is not a variable.", remedy="Write NAME=VALUE.")
    return name, value


def carried(items: Sequence[str], room: int, notes: list[str]) -> dict[str, bytes]:
    """Files and folders by their names in the sandbox: PATH, PATH:NAME, or NAME=PATH."""
    from orchestrator.engine.folders import read_folder

    contents: dict[str, bytes] = {}
    for item in items:
        path, name = placed(item)
        if path == "-" or not Path(path).is_dir():
            contents[name] = read_bytes(path, "The file")
            continue
        folder = read_folder(Path(path), room)
        notes.append(f"{folder}")
        contents |= {inner if name == "." else f"{name}/{inner}": content for inner, content in folder.files.items()}
    return contents


def placed(item: str) -> tuple[str, str]:
    """A path, and its name in the sandbox: the last part of the path unless one is given."""
    if not os.path.exists(item):  # noqa: PTH110 - a name with `:` or `=` in it may be a file's
        path, colon, name = item.rpartition(":")
        if colon and name:
            return path, name
        name, equals, path = item.partition("=")
        if equals:
            return path, name
    return item, Path(item).resolve().name
