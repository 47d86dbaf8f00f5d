"""The frames of an exception that lie in given files, and what one calls. Unlike `traceback` this never looks at the disk.

Left out: the exception itself, which each side words in its own way.
"""

from __future__ import annotations

import ast
import linecache
import types


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
    lines = [(file.rpartition("/")[2], line, name, linecache.getline(file, line).strip()) for file, line, name in frames[-most:]]
    return "".join("{}:{} in {}: {}\n".format(*line) for line in lines)


def called_name(frame: types.FrameType) -> str:
    """The last name of what a frame calls now, as it is written there: `shapes.Point(1)` -> `Point`; empty where it has none."""
    first, last, start, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    if first is None or last is None or start is None or end is None:
        return ""
    lines = [linecache.getline(frame.f_code.co_filename, line).encode("utf-8", "replace") for line in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    try:
        call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    called = call.func if isinstance(call, ast.Call) else None
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
