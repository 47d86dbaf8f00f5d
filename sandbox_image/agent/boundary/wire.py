"""Frames over the socket between a candidate and its tests: a number, a kind, and a value.

Left out: what values are as bytes. That is `values.py`.
"""

from __future__ import annotations

import socket
import struct

from .values import MAX_FRAME, Garbled, TooLarge

_U32 = struct.Struct("<I")
_KINDS = (
    *(
        "call",
        "new",
        "method",
        "get",
        "set",
        "delete",
        "operator",
        *("run", "start", "turn", "cancel", "result"),
        "resume",
        "plain",
        "names",
        "signature",
        "grad",
        "line_up",
        "siblings",
        "each",
        "dumps",
        "loads",
        "files",
        "settle",
        "patch",
        "unpatch",
        "subclass",
        "super",
    ),
    *("returned", "raised", "ok", "asked"),
)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_FRAME = struct.Struct("<IIBB")
"""Length of what follows, number of the question, kind, and whether extras come before the value."""
HEAD = _FRAME.size - 4


def send(sock: socket.socket, seq: int, kind: str, extras: bytes | bytearray, body: bytes | bytearray) -> None:
    """Send one frame. Raises OSError, TooLarge."""
    size = HEAD + len(extras) + len(body)
    if size > MAX_FRAME:
        raise TooLarge(f"a value of more than {MAX_FRAME >> 20} MiB")
    sock.sendall(_FRAME.pack(size, seq & 0xFFFFFFFF, _KIND_NUMBERS[kind], bool(extras)) + extras + body)


def head(data: bytes) -> tuple[int, str, bool]:
    """A frame's number, kind, and whether it has extras; they and the value begin at `HEAD`. Raises Garbled."""
    try:
        _, seq, kind, extras = _FRAME.unpack_from(b"\0\0\0\0" + data[:HEAD])
        return seq, _KINDS[kind], bool(extras)
    except (struct.error, IndexError):
        raise Garbled("a frame of no kind") from None


def receive(sock: socket.socket) -> bytes:
    """Receive one frame. Raises EOFError where the stream ends, Garbled for a frame that is too large."""
    data = sock.recv(1 << 16)
    while len(data) < 4:
        more = sock.recv(1 << 16)
        if not more or not data:
            raise EOFError
        data += more
    (size,) = _U32.unpack_from(data)
    if size > MAX_FRAME:
        raise Garbled(f"a frame of {size} bytes")
    if len(data) - 4 > size:
        raise Garbled("a frame that nobody asked for")
    if len(data) - 4 == size:
        return data[4:]
    buffer = bytearray(size)
    view = memoryview(buffer)
    view[: len(data) - 4] = data[4:]
    done = len(data) - 4
    while done < size:
        got = sock.recv_into(view[done:])
        if not got:
            raise EOFError
        done += got
    return bytes(buffer)
