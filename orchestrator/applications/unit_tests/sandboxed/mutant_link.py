"""Runs in a sandbox, on both sides: calls of a function that lives in another process, as plain data over one socket.

A side exports functions by number. The other side calls them with plain values, and functions among arguments and results are
exported in turn, as are objects of the module's classes (`mutant_objects`). Nothing else crosses: no source, no frames, no code
objects. So tests can do nothing with the function under test but call it, and can distinguish a mutant from the reference only by
what it does.

Left out: values. `plain` (the agent's) writes and reads them.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import itertools
import socket
import struct
import sys
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar

import mutant_objects  # type: ignore[import-not-found]
from plain import values as plain  # type: ignore[import-not-found]

_SIZE = struct.Struct("<I")
_CALLABLE, _ITERATOR, _FLOW, _OBJECT = 1, 2, 3, 4
"""Tags beside those of plain values."""
_ITEMS = 10_000
"""Items taken of an iterator that a function returned."""
_MUTABLE = (list, dict, set, bytearray, deque)
CALL, RETURNED, RAISED = b"C", b"R", b"E"


class _Taken:
    """What an iterator gave, of either kind: it is read once, inside the call that returned it."""

    def __init__(self, items: Iterable[Any], tag: int = _ITERATOR) -> None:
        self.items, self.tag = list(items), tag


class _Writer(plain.Writer):  # type: ignore[misc]
    __slots__ = ("link",)

    def special(self, value: Any) -> bool:
        found = self.link.numbered(value)
        if found is None:
            return False
        self.out += bytes([_OBJECT]) + _SIZE.pack(found[0]) + _SIZE.pack(found[1])
        return True

    def foreign(self, value: Any) -> None:
        if callable(value) and not isinstance(value, type):
            self.out += bytes([_CALLABLE]) + _SIZE.pack(self.link.export(value))
        elif isinstance(value, _Taken) or hasattr(value, "__next__"):
            taken: _Taken = value if isinstance(value, _Taken) else _Taken(itertools.islice(value, _ITEMS))
            self.out += bytes([taken.tag])
            self.put(taken.items)
        else:
            raise mutant_objects.Uncrossable(f"a {type(value).__name__} cannot be passed between the tests and the function")


class _Reader(plain.Reader):  # type: ignore[misc]
    __slots__ = ("link",)

    def _callable(self) -> Any:
        (number,) = _SIZE.unpack_from(self.data, self.pos)
        self.pos += 4
        return self.link.proxy(number)

    def _object(self) -> Any:
        number, kind = struct.unpack_from("<II", self.data, self.pos)
        self.pos += 8
        return self.link.object(number, kind)

    def _iterator(self) -> Any:
        return iter(self.expect(list))

    def _flow(self) -> Any:
        return _flowing(self.expect(list))

    more: ClassVar[dict[int, Callable[[Any], Any]]] = {
        _CALLABLE: _callable,
        _ITERATOR: _iterator,
        _FLOW: _flow,
        _OBJECT: _object,
    }


async def _flowing(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def _gathered(flow: AsyncIterator[Any]) -> list[Any]:
    found: list[Any] = []
    async for item in flow:
        found.append(item)
        if len(found) == _ITEMS:
            break
    return found


class Wire:
    """Frames over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, frame: bytes) -> None:
        """Send one frame. Raises OSError."""
        self._sock.sendall(_SIZE.pack(len(frame)) + frame)

    def close(self) -> None:
        """Let the other side's `serve` end."""
        self._sock.close()

    def receive(self) -> bytes:
        """The next frame. Raises EOFError, OSError."""
        data = bytearray()
        wanted = 4
        while len(data) < wanted:
            more = self._sock.recv(max(wanted - len(data), 65536) if wanted == 4 else wanted - len(data))
            if not more:
                raise EOFError("the other side has ended")
            data += more
            if wanted == 4 and len(data) >= 4:
                wanted += _SIZE.unpack_from(data)[0]
                if wanted > plain.MAX_FRAME:
                    raise EOFError("a frame that is too large")
        return bytes(data[4:])


class Tape:
    """Frames as they were recorded: what came is played again, and what goes is compared with what went."""

    def __init__(self, frames: list[tuple[bool, bytes]], explicit: set[int], *, whole: bool = True) -> None:
        self._frames, self._explicit = frames, explicit
        self._whole = whole
        """Whether to continue after a difference, to learn of what kind they are."""
        self._next = 0
        self._over = False
        self.differs = False
        self.loud = False
        """Whether a difference shows without any expectation: an exception, or a value of another type."""

    def receive(self) -> bytes:
        """What came next. Raises EOFError at the end."""
        if self._over or self._next >= len(self._frames) or not self._frames[self._next][0]:
            raise EOFError
        self._next += 1
        return self._frames[self._next - 1][1]

    def send(self, frame: bytes) -> None:
        """Compare. Raises EOFError where nothing that follows can be compared any more."""
        if self._over or self._next >= len(self._frames):
            raise EOFError
        incoming, known = self._frames[self._next]
        self._next += 1
        if frame == known and not incoming:
            return
        self.differs = True
        if incoming or frame[:1] == CALL or known[:1] == CALL:
            self._over = True  # callbacks: what would have been answered is not known
            raise EOFError
        if known[:1] == RAISED:
            # A caller that expects nothing passes over a missing exception only where the function itself raises it.
            self.loud |= self._next - 1 not in self._explicit
        else:
            self.loud |= frame[:1] == RAISED or _kind(frame) != _kind(known)
        if self.loud or not self._whole:
            self._over = True  # nothing that follows can change that, or nobody asked
            raise EOFError


def _kind(frame: bytes) -> Any:
    try:
        return type(plain.Reader(frame, 1).take()[0])
    except (plain.Garbled, IndexError, KeyError, TypeError, AttributeError):
        return None


class Link:
    """One side."""

    def __init__(self, wire: Any, *, record: bool = False, most: int = 8 << 20) -> None:
        self.wire = wire
        self.exports: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._shelf: Any = None
        self.stubs: list[Any] | None = None
        """On the tests' side: what stands for the module's classes."""
        self._held: dict[int, Any] = {}
        self.errors: dict[str, type[BaseException]] = {}
        """Exceptions that the function's module defines, by name."""
        self.frames: list[tuple[bool, bytes]] | None = [] if record else None
        """What came (True) and what went (False)."""
        self.explicit: set[int] = set()
        """Places in `frames` where the module's own `raise` or `assert` ended a call."""
        self.raises: set[int] = set()
        """Lines of the module with such statements."""
        self.calls = 0
        self._room = most
        self.truncated = False

    def export(self, value: Any) -> int:
        """The number by which the other side calls a function."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.exports)
            self.exports.append(value)
        return self._numbers[id(value)]

    def shelve(self, classes: list[type]) -> None:
        """Export these classes, and then what operates on their objects."""
        for cls in classes:
            self.exports.append(cls)  # one by one, for two names may be of the same class
        self._shelf = mutant_objects.Shelf(classes, self.export)
        self.exports.append(self._shelf.operate)

    def numbered(self, value: Any) -> tuple[int, int] | None:
        """Number of an object and of its class; None for what crosses in another way."""
        if self._shelf is None:
            number = mutant_objects.stub_number(value) if self.stubs is not None else None
            return None if number is None else (number, 0)
        kind = self._shelf.kind(value)
        return None if kind is None else (self.export(value), kind)

    def object(self, number: int, kind: int) -> Any:
        """The object of a number: itself where it is, else what stands for it. None where it is only read about."""
        if self._shelf is not None:
            return self.exports[number]
        if self.stubs is not None and number not in self._held:
            self._held[number] = mutant_objects.stub_of(self.stubs[kind], number)
        return self._held.get(number)

    def proxy(self, number: int) -> Callable[..., Any]:
        """A function of the other side."""

        def proxy(*args: Any, **kwargs: Any) -> Any:
            return self.ask(number, args, kwargs)

        return proxy

    def serve(self) -> None:
        """Answer calls until the other side ends."""
        try:
            while True:
                self._answer(self._receive())
        except (EOFError, OSError, plain.Garbled):
            return

    def ask(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the other side, and answer what it asks meanwhile.

        Raises:
            TypeError: an argument cannot cross.
            ConnectionError: the other side has ended.
        """
        frame = self.question(number, args, kwargs)
        try:
            self._send(frame)
            while True:
                frame = self._receive()
                if frame[:1] != CALL:
                    break
                self._answer(frame)
        except (EOFError, OSError):
            raise ConnectionError("the function's process has ended") from None
        answer = self._read(frame)
        arguments = [*args, *kwargs.values()]
        for place, value in answer[1]:
            _change(arguments[place], value)
        if answer[2]:
            sys.stdout.write(answer[2])
        if frame[:1] == RETURNED:
            return arguments[answer[3]] if answer[3] is not None else answer[0]
        raise self._error(*answer[0])

    def question(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The frame that asks for a call. Raises TypeError where an argument cannot cross."""
        return CALL + self._write((number, args, kwargs))

    def _answer(self, frame: bytes) -> None:
        if frame[:1] != CALL:
            raise EOFError
        number, args, kwargs = self._read(frame)
        self.calls += 1
        given = [*args, *kwargs.values()]
        before = [self._write(value) if isinstance(value, _MUTABLE) else None for value in given]
        printed = io.StringIO()
        result: Any = None
        same, failure = None, None
        try:
            with contextlib.redirect_stdout(printed):
                result = self.exports[number](*args, **kwargs)
                if isinstance(result, types.CoroutineType | types.AsyncGeneratorType):
                    import asyncio  # most functions need none, and it takes long to be imported

                    if isinstance(result, types.AsyncGeneratorType):
                        result = _Taken(asyncio.run(_gathered(result)), _FLOW)
                    else:
                        result = asyncio.run(result)
                if hasattr(result, "__next__") and self.numbered(result) is None:
                    result = _Taken(itertools.islice(result, _ITEMS))
        except BaseException as exc:
            failure = exc
        else:
            same = next((i for i, value in enumerate(given) if value is result and isinstance(value, _MUTABLE)), None)
        changed = [
            (place, value)
            for place, value in enumerate(given)
            if before[place] is not None and before[place] != self._write(value)
        ]
        if failure is None:
            try:
                body = self._write((None if same is not None else result, changed, printed.getvalue(), same))
            except (TypeError, plain.TooLarge) as exc:
                failure = exc
        if failure is not None:
            body = self._write((self._described(failure), changed, printed.getvalue(), None))
            if self.frames is not None and self.is_explicit(failure):
                self.explicit.add(len(self.frames))
        self._send((RETURNED if failure is None else RAISED) + body)

    def is_explicit(self, exc: BaseException) -> bool:
        """Whether the module's own `raise` or `assert` ended a call."""
        trace = exc.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        return trace is not None and trace.tb_frame.f_code.co_filename == MODULE_FILE and trace.tb_lineno in self.raises

    def _described(self, exc: BaseException) -> tuple[Any, ...]:
        names = tuple(kind.__name__ for kind in type(exc).__mro__ if issubclass(kind, BaseException))
        try:
            args = exc.args
            self._write(args)
        except Exception:
            args = (str(exc),)
        return names, args

    def _error(self, names: tuple[str, ...], args: tuple[Any, ...]) -> BaseException:
        for name in names:
            kind = self.errors.get(name) or getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, BaseException):
                try:
                    return kind(*args)
                except Exception:
                    return Exception(*args)
        return Exception(*args)

    def read(self, frame: bytes) -> Any:
        """What is in a frame. Raises what bytes of no link make of it."""
        return self._read(frame)

    def _write(self, value: Any) -> bytes:
        writer = _Writer()
        writer.link = self
        writer.put(value)
        return bytes(writer.out)

    def _read(self, frame: bytes) -> Any:
        reader = _Reader(frame, 1)
        reader.link = self
        return reader.whole()

    def _send(self, frame: bytes) -> None:
        self._keep(False, frame)
        self.wire.send(frame)

    def _receive(self) -> bytes:
        frame: bytes = self.wire.receive()
        self._keep(True, frame)
        return frame

    def _keep(self, incoming: bool, frame: bytes) -> None:
        if self.frames is None or self.truncated:
            return
        self._room -= len(frame) + 100
        if self._room < 0:
            self.truncated = True
        else:
            self.frames.append((incoming, frame))


MODULE_FILE = "<function>"
"""What the module's code objects say they come from: there is no file."""


def _change(old: Any, new: Any) -> None:
    """Give an argument the content that the function left in it."""
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict | set):
        old.clear()
        old.update(new)
    elif isinstance(old, deque):
        old.clear()
        old.extend(new)
