"""The process that keeps the state of cells: run one after the other, say what came of each.

It is one of the session's own processes. Code in a cell can change whatever it finds here, this module included, so an answer
is what the session says of itself and no more.

Left out: time limits. The host has them, and sends SIGINT.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import io
import linecache
import os
import signal
import socket
import sys
import traceback
import types
from typing import Any, NoReturn

from . import protocol

_MOST_TEXT = 1 << 18
"""Characters of a value's repr, of a message, and of a traceback."""
_MOST_PICTURES = 16
_PICTURE_BYTES = 16 << 20
"""Of all pictures of one cell."""
_AWAITS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
"""Cells may `await`, as in a notebook."""
_OURS = os.path.abspath(__file__)
_BELOW_CELLS = (_OURS, os.path.join(os.path.dirname(os.__file__), "asyncio", ""))
"""Where the files of what runs a cell begin."""


_loop: Any = None
"""The `asyncio.Runner` of all cells, once one has awaited anything."""


def serve(channel: int) -> NoReturn:
    """Answer cells from the descriptor `channel` until it closes."""
    stream = socket.socket(fileno=channel)
    stream.set_inheritable(False)
    _forget_agent()
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv[:] = [""]
    sys.path.insert(0, "")
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    count = 0
    while True:
        try:
            frame, body = protocol.read(lambda size: _exactly(stream, size))
        except (EOFError, OSError):
            os._exit(0)
        count += 1
        answer, pictures = _answer(body.decode("utf-8", "surrogatepass"), f"<cell {count}>", module.__dict__)
        answer |= {"type": "answered", "cell": frame.get("cell"), "pictures": [len(picture) for picture in pictures]}
        stream.sendall(protocol.encode(answer, b"".join(pictures)))


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = stream.recv(min(count - len(data), 1 << 20))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def _forget_agent() -> None:
    """Take the agent's package out of what cells find by its name."""
    package = __name__.rpartition(".")[0]
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    room = os.path.dirname(os.path.dirname(_OURS))
    sys.path[:] = [entry for entry in sys.path if entry != room]


def _answer(code: str, name: str, namespace: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Run a cell. Returns what is said of it, and its pictures."""
    told: dict[str, Any] = {"value": None, "error": None}
    pictures: list[bytes] = []
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            value = _run(code, name, namespace)
            if value is not None:
                namespace["_"] = value
                told["value"] = _text(repr(value))
            pictures = _pictures()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException as exc:
        told["error"] = _error(exc)
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            output.flush()
    return told, pictures


def _run(code: str, name: str, namespace: dict[str, Any]) -> Any:
    """The value of the last expression, or None."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    # Not `ast.parse`: a syntax error shall show no frame but the cell's.
    tree: ast.Module = compile(code, name, "exec", ast.PyCF_ONLY_AST | _AWAITS, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    _execute(compile(tree, name, "exec", _AWAITS, dont_inherit=True), namespace)
    if not isinstance(last, ast.Expr):
        return None
    return _execute(compile(ast.Expression(last.value), name, "eval", _AWAITS, dont_inherit=True), namespace)


def _execute(code: types.CodeType, namespace: dict[str, Any]) -> Any:
    """What the code gives; code that awaits runs in the one event loop of all cells, which stands still between them."""
    global _loop
    value = eval(code, namespace)
    if not code.co_flags & inspect.CO_COROUTINE:
        return value
    import asyncio

    if _loop is None:
        _loop = asyncio.Runner()
    return _loop.run(value)


def _error(exc: BaseException) -> dict[str, str]:
    """An exception in words, without the frames of this module and of the event loop."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_BELOW_CELLS):
        trace = trace.tb_next
    try:
        lines = "".join(traceback.format_exception(type(exc), exc, trace))
    except Exception:
        lines = f"{type(exc).__name__}\n"
    try:
        message = str(exc)
    except Exception:
        message = ""
    return {"name": type(exc).__name__, "message": _text(message), "traceback": _text(lines)}


def _text(value: str) -> str:
    cut = value if len(value) <= _MOST_TEXT else f"{value[:_MOST_TEXT]}... ({len(value)} characters)"
    return cut.encode("utf-8", "backslashreplace").decode()


def _pictures() -> list[bytes]:
    """The figures that matplotlib has open, as PNG, which are closed by that."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    found: list[bytes] = []
    room = _PICTURE_BYTES
    for number in pyplot.get_fignums() if pyplot is not None else ():
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, format="png", bbox_inches="tight")
        if len(found) < _MOST_PICTURES and file.tell() <= room:
            found.append(file.getvalue())
            room -= file.tell()
    if pyplot is not None:
        pyplot.close("all")
    return found
