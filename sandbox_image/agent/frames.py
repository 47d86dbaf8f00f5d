"""The frames of an exception that lie in given files. Unlike `traceback` this never looks at the disk.

Left out: the exception itself, which each side words in its own way.
"""

from __future__ import annotations

import linecache
import os


def frames_in(exc: BaseException, *files: str) -> list[tuple[str, int, str]]:
    """File, line and function of each, the innermost last."""
    found = []
    trace = exc.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in files:
            found.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return found


def shown(frames: list[tuple[str, int, str]], most: int = 4) -> str:
    """The last of them, a line each: `candidate.py:3 in area: return width * hight`."""
    lines = [(os.path.basename(file), line, name, linecache.getline(file, line).strip()) for file, line, name in frames[-most:]]
    return "".join("{}:{} in {}: {}\n".format(*line) for line in lines)
