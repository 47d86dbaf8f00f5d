"""Mutable values that both sides of the boundary have: watched where each side has copies, kept alike where they are shared.

With *copies*, nothing is numbered. Each side remembers what the values that crossed held, as long as somebody else holds them,
and notices what copies may hide: a value that was changed since, handed out again, or that stood at several places.
*Shared*, each value gets a number when it crosses first. Both sides keep it under that number, and every frame ends with what
became of them: the side that receives it makes its own alike, in place. So tests see what they would see in one interpreter.

What a value holds is compared by the identity of its items, without asking them anything; arrays by a sum over their bytes.

Left out: what follows from what was noticed. `link.py` notes it, and the engine decides (`engine/engine.py`).
"""

from __future__ import annotations

import contextlib
import operator
import re
import sys
import zlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from .. import protocol
from . import values

MAX_OBJECTS = 10_000
"""Values that are remembered at a time; others are copies that nobody watches."""
MAX_BYTES = 64 << 20
"""Bytes of what they hold, as it is remembered."""
_FEW = 200
"""Copies that are looked at whenever a frame is sent, the newest first; where there are more, all are in turn with that."""
_BUILTIN = (list, dict, set, bytearray, deque, OrderedDict, defaultdict, Counter)
_ARRAYS = (("numpy", "ndarray"), ("torch", "Tensor"), ("pandas", "DataFrame"), ("pandas", "Series"))
"""What can change beside those, once its library is loaded."""
_entry = [[]]  # type: ignore[var-annotated]
_ALONE = sys.getrefcount(_entry[0])
"""References to a value that nobody but its entry here holds."""
_ONE_OBJECT = r"(?:None|True|False|[A-Z]\w*|int|float|str|bytes|bool|list|dict|tuple|set|frozenset|complex)\b"
_IDENTITY = re.compile(rf"\bis\b(?!\s+(?:not\s+)?{_ONE_OBJECT})|\bid\s*\(|\bassertIs(?:Not)?\b|\bis_(?:not)?\b")


def asks_identity(tests: str) -> bool:
    """Whether tests may ask if two values are one object: a guess, for speed alone. A needless run is all that it can cost."""
    return _IDENTITY.search(tests) is not None


Parts = list[Any] | bytes
"""What a value holds: its items themselves, or its bytes or a sum over them."""


def _parts(value: Any) -> Parts:
    kind = type(value)
    if kind is list or kind is set or kind is deque:
        return list(value)
    if kind is bytearray:
        return bytes(value)
    return [*value, *value.values()] if issubclass(kind, dict) else _fingerprint(value)


def _fingerprint(value: Any) -> bytes:
    """What an array holds, in few bytes: a side that found another with the same would only deceive itself."""
    writer = values.Writer()
    try:
        writer.other(value)
    except (TypeError, ValueError):  # objects in it, which are not asked
        return b""
    return b"%d %d" % (len(writer.out), zlib.crc32(writer.out))


def _same(old: Parts, new: Parts) -> bool:
    if type(old) is bytes:
        return old == new
    return len(old) == len(new) and all(map(operator.is_, old, new))


def _size(parts: Parts) -> int:
    return len(parts) * (1 if type(parts) is bytes else 8) + 100


class _Entry:
    """A value that is remembered, and what it held when both sides had the same."""

    __slots__ = ("parts", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.parts = _parts(value)


class _Memory:
    """Values that are remembered for as long as anybody else holds them."""

    def __init__(self) -> None:
        self.entries: dict[int, _Entry] = {}
        self.bytes = 0
        self.signs: set[str] = set()
        """What was noticed: see `protocol.SIGNS`."""

    def full(self, more: int = 0) -> bool:
        """Whether no more values are remembered; that is noted."""
        if len(self.entries) + more < MAX_OBJECTS and self.bytes < MAX_BYTES:
            return False
        self.signs.add(protocol.TOO_MANY)
        return True

    def add(self, key: int, value: Any) -> None:
        """Remember a value."""
        entry = self.entries[key] = _Entry(value)
        self.bytes += _size(entry.parts)

    def note(self, key: int, parts: Parts) -> None:
        """Both sides have this now, if it is still remembered."""
        if (entry := self.entries.get(key)) is not None:
            self.bytes += _size(parts) - _size(entry.parts)
            entry.parts = parts

    def forget(self, key: int) -> None:
        """Remember a value no more."""
        self.bytes -= _size(self.entries.pop(key).parts)

    def sweep(self, keys: Iterable[int]) -> tuple[list[int], list[tuple[int, _Entry, Parts]]]:
        """Forget what nobody else holds. Returns the keys of that, and what has changed of all, with what it holds now."""
        gone, changed = [], []
        for key in keys:
            entry = self.entries[key]
            if not _same(entry.parts, parts := _parts(entry.value)):
                changed.append((key, entry, parts))  # though nobody holds it any more, the other side may
            if sys.getrefcount(entry.value) <= _ALONE:
                self.forget(key)
                gone.append(key)
        return gone, changed


class Copies(_Memory):
    """Each side has copies, and watches them."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = False
        """Whether this side has anything that crossed before, besides what the last frame held."""
        self._frames = 0
        """Sent since all copies were looked at."""

    def writes(self, writer: values.Writer) -> None:
        """A frame's value is about to be written."""
        writer.write, writer.met = _table(_WATCHED, _watch), []

    def reads(self, reader: values.Reader) -> None:
        """A frame's value is about to be read."""
        reader.met, reader.sharing = [], self

    def wrote(self, writer: values.Writer) -> None:
        """The value was written: notice what has become of what crossed before, and remember what crosses now."""
        if not writer.met and not self.entries:
            self.holds = False
            return
        self._frames += 1
        keys = list(self.entries)
        if len(keys) > _FEW * self._frames:
            keys = keys[-_FEW:]
        else:
            self._frames = 0
        _, changed = self.sweep(keys)
        for key, _, parts in changed:
            self.note(key, parts)
            self.signs.add(protocol.CHANGED)
        now: set[int] = set()
        for value in writer.met:
            if (key := id(value)) in now:
                self.signs.add(protocol.TWICE)
            elif key in self.entries:
                self.signs.add(protocol.AGAIN)
            now.add(key)
        self.holds = any(key not in now for key in self.entries)
        self._remember(writer.met)

    def read(self, reader: values.Reader) -> None:
        """The value was read: remember what arrived, the outer ones first."""
        if reader.met:
            self._remember(reversed(reader.met))

    def let_go(self) -> None:
        """The other side has nothing that crossed before: what becomes of it here cannot matter."""
        self.entries.clear()
        self.bytes = 0

    def value(self, reader: values.Reader) -> Any:
        """There are none with numbers. Raises Garbled."""
        raise values.Garbled("a shared value where values are copies")

    def sent(self, writer: values.Writer) -> None:
        """The frame has gone."""
        self.signs.clear()

    def _remember(self, met: Iterable[Any]) -> None:
        for value in met:
            if id(value) not in self.entries and not self.full():
                self.add(id(value), value)


class Shared(_Memory):
    """Both sides have the same values, by number: odd ones are the tests', even ones the candidate's."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._next = first
        self._numbers: dict[int, int] = {}
        self._gone: list[int] = []
        """Numbers that are not kept any more, which the other side has not heard of."""
        self._changed: list[tuple[int, _Entry, Parts]] = []
        """In the frame that is being written."""
        self.changed = False
        """Whether the other side has changed a value since it had crossed."""
        self._new: set[int] = set()
        """Numbers of values whose content has not come yet."""

    def writes(self, writer: values.Writer) -> None:
        """A frame's value is about to be written."""
        writer.write, writer.met, writer.sharing = _table(_SHARING, _share), {}, self

    def reads(self, reader: values.Reader) -> None:
        """A frame's value is about to be read."""
        reader.sharing = self

    def wrote(self, writer: values.Writer) -> None:
        """The value was written: add what has become of all that both sides have, and what is in those that cross first.

        Raises:
            TooLarge, TypeError: as `Writer.put`.
        """
        gone, self._changed = self.sweep(list(self.entries))
        self._gone += gone
        for number, entry, _ in self._changed:
            values.put_int(writer, number)
            _put_content(writer, entry.value)
        done = 0
        while done < len(writer.met):  # it grows meanwhile
            for number, value in list(writer.met.values())[done:]:
                done += 1
                if not _is_whole(value):
                    values.put_int(writer, number)
                    _put_content(writer, value)
        writer.out += b"N"
        values.WRITE[list](writer, self._gone)

    def sent(self, writer: values.Writer) -> None:
        """The frame has gone: the other side knows what it says. Of one that could not be sent, nothing holds."""
        for changed, _, parts in self._changed:
            self.note(changed, parts)
        for number, value in writer.met.values():
            self.add(number, value)
        self._next += 2 * len(writer.met)
        self._changed, self._gone = [], []
        self.signs.clear()

    def add(self, key: int, value: Any) -> None:
        """Keep a value under its number."""
        super().add(key, value)
        self._numbers[id(value)] = key

    def forget(self, key: int) -> None:
        """Keep a value no more."""
        del self._numbers[id(self.entries[key].value)]
        super().forget(key)

    def number(self, writer: values.Writer, value: Any) -> tuple[int | None, bool]:
        """The number of a value, None where it stays a copy; and whether it crosses for the first time."""
        known = self._numbers.get(id(value))
        if known is not None:
            return known, False
        if (met := writer.met.get(id(value))) is not None:
            return met[0], False
        if self.full(len(writer.met)):
            return None, False
        number = self._next + 2 * len(writer.met)
        writer.met[id(value)] = (number, value)
        return number, True

    def value(self, reader: values.Reader) -> Any:
        """A value by its number; the first time, one that is like it but empty comes along. Raises Garbled."""
        number, first = reader.expect(int), reader.take()
        if first is None:
            return self.entries[number].value
        if first is not True or not 0 < number < 1 << 62 or number in self.entries or number % 2 == self._next % 2:
            raise values.Garbled("a shared value that is none")
        value = reader.deeper()
        if not _is_shareable(value) or id(value) in self._numbers or len(self.entries) >= 2 * MAX_OBJECTS:
            raise values.Garbled("a shared value that cannot be one")
        if type(value).__name__ == "ndarray":
            value.flags.writeable = reader.expect(bool)
        self.add(number, value)
        if not _is_whole(value):
            self._new.add(number)
        return value

    def read(self, reader: values.Reader) -> None:
        """The value was read: make what both sides have alike, and forget what the other side does. Raises Garbled."""
        while (number := reader.expect(int, type(None))) is not None:
            entry, content = self.entries[number], reader.take()
            if type(content) is not type(entry.value) or content is entry.value:
                raise values.Garbled("a change to another kind of value")
            self.changed = self.changed or number not in self._new
            self._new.discard(number)
            _make_alike(entry.value, content)
            self.note(number, _parts(entry.value))
        for number in reader.expect(list):
            self.forget(number)


# Writing and reading


def _watch(kind: type) -> Callable[[values.Writer, Any], None]:
    write = values.WRITE.get(kind, values.Writer.other)

    def watch(writer: values.Writer, value: Any) -> None:
        if kind in values.WRITE or _is_plain_array(value):
            writer.met.append(value)
        write(writer, value)

    return watch


def _share(kind: type) -> Callable[[values.Writer, Any], None]:
    write = values.WRITE.get(kind, values.Writer.other)

    def share(writer: values.Writer, value: Any) -> None:
        number, first = writer.sharing.number(writer, value) if _is_shareable(value) else (None, False)
        if number is None:
            write(writer, value)
            return
        writer.out += b"="
        values.put_int(writer, number)
        writer.out += b"T" if first else b"N"
        if first:
            _put_content(writer, value if _is_whole(value) else _emptied(value))
            if type(value).__name__ == "ndarray":
                writer.put(bool(value.flags.writeable))

    return share


_Table = dict[type, Callable[[values.Writer, Any], None]]
_WATCHED: _Table = values.WRITE | {kind: _watch(kind) for kind in _BUILTIN}
_SHARING: _Table = values.WRITE | {kind: _share(kind) for kind in _BUILTIN}


def _table(table: _Table, hook: Callable[[type], Callable[[values.Writer, Any], None]]) -> _Table:
    """How values are written, with `hook` for those that can change; arrays are among them once their library is there."""
    for library, name in _ARRAYS:
        if (module := sys.modules.get(library)) is None:
            continue
        # A library that is just being imported may have no such name yet.
        if (kind := getattr(module, name, None)) is not None and kind not in table:
            table[kind] = hook(kind)
    return table


def _is_plain_array(value: Any) -> bool:
    """Whether this is an array, a tensor or a table whose bytes are all that it is."""
    if _is_table(value):
        return True
    if hasattr(value, "requires_grad"):
        strided = value.layout is sys.modules["torch"].strided
        return not value.requires_grad and strided and not value.is_quantized and value.device.type in ("cpu", "cuda")
    return value.dtype.kind in "biufcUSMm"


def _is_table(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) in (getattr(pandas, "DataFrame", None), getattr(pandas, "Series", None))


def _is_shareable(value: Any) -> bool:
    kind = type(value)
    if kind in _BUILTIN:
        return True
    arrays = (getattr(sys.modules.get(library), name, None) for library, name in _ARRAYS)
    return kind in arrays and _is_plain_array(value)


def _is_whole(value: Any) -> bool:
    """Whether a value crosses with all that it holds, for nothing in it can lead back to it."""
    return type(value) is bytearray or type(value) not in _BUILTIN


def _emptied(value: Any) -> Any:
    """A value of the same kind with nothing in it."""
    if type(value) is deque:
        return deque(maxlen=value.maxlen)
    return defaultdict(value.default_factory) if type(value) is defaultdict else type(value)()


def _put_content(writer: values.Writer, value: Any) -> None:
    """Write a value itself, and what is in it as the writer does."""
    values.WRITE.get(type(value), values.Writer.other)(writer, value)


def _make_alike(old: Any, new: Any) -> None:
    """Give `old` what `new` holds, in place."""
    kind = type(old)
    if kind is list or kind is bytearray:
        old[:] = new
    elif kind is deque:
        old.clear()
        old.extend(new)
    elif kind in _BUILTIN:
        old.clear()
        (dict.update if kind is Counter else type(old).update)(old, new)  # Counter's own would take pairs for items
    elif _is_table(old):
        old._update_inplace(new)  # as pandas' own methods do with `inplace`
    elif hasattr(old, "requires_grad"):
        with sys.modules["torch"].no_grad():
            old.resize_(new.shape).copy_(new) if old.shape != new.shape else old.copy_(new)
    elif old.flags.writeable:
        if old.shape != new.shape:
            with contextlib.suppress(ValueError):  # memory that is another array's keeps its size
                old.resize(new.shape, refcheck=False)
        if old.shape == new.shape:
            old[...] = new
