"""The words between the host and the agent in a sandbox.

This file exists once and is copied into the image beside the agent, so it uses the standard library only.

A frame is two big-endian 32-bit lengths, a JSON object (the header, which has a `type`), and raw bytes (the body):

    host -> agent   job       what to run; the body is stdin, the files, and the sources that are no files
                    go        the limits asked about in `adjust` are set
                    boundary  bytes from the other side of a run that is judged apart in two containers
                    stop      the other side is done
    agent -> host   hello     the agent is up, which protocol it speaks, and why namespaces are refused if they are
                    warm      children wait
                    adjust    before a run with other limits than the container has: set them now, on top of what is resident
                    again     the job is run anew, and its time with it
                    output    a chunk of the program's stdout or stderr, as it was written, where that was asked for
                    boundary  bytes for the other side
                    result    what happened; the body is stdout, stderr and the artefacts

A session runs several commands at once, so its frames name the command by its `id`, a number that the host chose:

    host -> agent   begin     somebody has the session now, and for how long
                    start     a command; the body is the beginning of what it reads
                    input     more of that, and whether it ends here
                    signal    send a signal to its process group
                    stop      kill it, and all that it started
    agent -> host   hello, warm, and `begun` for `begin`
                    taken     so many bytes were passed on, and as many more may be sent
                    output    a chunk of what it wrote, to stdout, to stderr or into its channel
                    ended     what became of it

A cell's frames go between the host and the Python process that keeps the cells' state, through that command's channel. The agent
does not read them:

    host -> cells   cell      code to run
    cells -> host   answered  what its last expression is, or what was raised; the body is its pictures

`schema.py` has what each of them holds, as types.

Left out: compression and encryption. The stream is a pipe of the container engine.
"""

from __future__ import annotations

import fnmatch
import json
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

VERSION = 6
MAX_HEADER = 8 * 1024 * 1024
MAX_BODY = 512 * 1024 * 1024
ENVIRONMENT = {"PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/box/work", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
"""What a program finds in its environment, besides what is asked for."""
NO_PYTEST = "The sandbox image has no pytest, which these tests need. Install it in the image that yours is made from."
_NO_PYTEST = {"event": "collection_error", "message": f"ModuleNotFoundError: {NO_PYTEST}", "side": "tests"}
NO_PYTEST_EVENT = json.dumps(_NO_PYTEST).encode() + b"\n"
CHANGED = "changed a value that the other side had"
AGAIN = "handed out a value again"
TWICE = "passed one value at several places"
OVERLAPS = "handed out memory of another value"
LAID_OUT = "handed out an array whose items lie in an order of their own"
UNSHARED = "changed a value that cannot be shared, or passed it again"
TOO_MANY = "had more values than could be watched"
CALLED_LATE = "called the tests while they waited for no answer"
SIGNS = (CHANGED, AGAIN, TWICE, OVERLAPS, UNSHARED, LAID_OUT, TOO_MANY)
"""What copies of values may have hidden from tests that are judged apart."""
CANDIDATE_CHANGED = f"the candidate {CHANGED}"
CANDIDATE_OVERLAPS = f"the candidate {OVERLAPS}"
TESTS_OVERLAP = f"the tests {OVERLAPS}"
USERS = range(61184, 65280)
"""Users that containers run as, each at a time only one: the kernel counts much by user, for all containers together.

By convention none of them is a person's (systemd gives them to services while they run), and an engine that maps users has them.
"""
GROUP = 10001
SESSION = "FUMEHOOD_SESSION"
"""Environment variable that makes the agent serve a session: the user that its commands run as."""
PIECE = 1024 * 1024
"""Bytes of a command's input in one frame."""
WINDOW = 4 * PIECE
"""How far its input may be ahead of what it has taken."""
MOST_COMMANDS = 64
"""Commands of a session at once, those included whose processes go on in the background."""
MOST_ENTRIES = 10_000
"""Entries of a folder that are listed."""
MAX_FILE = 100 * 1024 * 1024
"""Bytes of a file that is read or written."""
OVER = 124
"""Exit code of a session whose time to live is over."""
_LENGTHS = struct.Struct(">II")


class ProtocolError(Exception):
    """The other side sent something that is not a frame."""


def encode(header: Mapping[str, object], body: bytes = b"") -> bytes:
    """One frame as bytes."""
    head = json.dumps(header, separators=(",", ":")).encode()
    if len(head) > MAX_HEADER or len(body) > MAX_BODY:
        raise ProtocolError(f"A frame of {len(head)} + {len(body)} bytes is larger than the protocol allows.")
    return _LENGTHS.pack(len(head), len(body)) + head + body


def read(read_exactly: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    `read_exactly(n)` returns n bytes or raises EOFError.

    Raises:
        EOFError: the stream ended.
        ProtocolError: lengths over the caps, or a header that is not a JSON object with a type.
    """
    head_length, body_length = _LENGTHS.unpack(read_exactly(_LENGTHS.size))
    if head_length > MAX_HEADER or body_length > MAX_BODY:
        raise ProtocolError(f"A frame announces {head_length} + {body_length} bytes, more than the protocol allows.")
    try:
        header = json.loads(read_exactly(head_length))
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("A frame's header is not JSON.") from exc
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolError("A frame's header is not an object with a type.")
    return header, read_exactly(body_length) if body_length else b""


def whole(data: bytearray, most_header: int, most_body: int) -> int | None:
    """How long the frame is that `data` begins with, or None where it is not all there.

    Raises:
        ProtocolError: it announces more than it may.
    """
    if len(data) < _LENGTHS.size:
        return None
    header, body = _LENGTHS.unpack_from(data)
    if header > most_header or body > most_body:
        raise ProtocolError(f"A frame announces {header} + {body} bytes, more than it may have.")
    size: int = _LENGTHS.size + header + body
    return size if len(data) >= size else None


def split(body: bytes, sizes: list[int]) -> list[bytes]:
    """The parts of a body.

    Raises:
        ProtocolError: the sizes do not add up to the body's.
    """
    if any(size < 0 for size in sizes) or sum(sizes) != len(body):
        raise ProtocolError("A frame's parts do not add up to its body.")
    parts, start = [], 0
    for size in sizes:
        parts.append(body[start : start + size])
        start += size
    return parts


def check_path(path: str) -> str:
    """The one gate for paths that cross the sandbox's wall, in either direction.

    Returns the path unchanged.

    Raises:
        ValueError: it is empty, absolute, too long, has `..`, `.` or empty parts, backslashes or control characters.
    """
    if not path or len(path.encode("utf-8", "surrogatepass")) > 1024:
        raise ValueError(f"The path {path[:80]!r} is empty or longer than 1024 bytes.")
    if path.startswith("/") or "\\" in path or any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF or c == "\x7f" for c in path):
        raise ValueError(f"The path {path[:80]!r} is absolute or has control characters; give a plain relative path.")
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in path.split("/")):
        raise ValueError(f"The path {path[:80]!r} has empty, '.', '..' or overlong parts; give a plain relative path.")
    return path


def matches(path: str, pattern: str) -> bool:
    """Whether a relative path matches a pattern of artefacts: `*` crosses folders, and `**/` stands for any of them, or none."""
    # What `translate` gives ends in two characters that mean the end.
    parts = [fnmatch.translate(part)[:-2] for part in re.split(r"(?:^|(?<=/))\*\*/", pattern)]
    return re.fullmatch("(?s:.*/)?".join(parts), path) is not None
