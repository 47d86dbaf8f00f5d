"""Mutable values that both sides of the boundary have: watched where each side has copies, kept alike where they are shared.

With *copies*, nothing is numbered. Each side remembers what the values that crossed held, as long as somebody else holds them,
and notices what copies may hide: a value that was changed since, handed out again, or that stood at several places.
*Shared*, each value gets a number when it crosses first. Both sides keep it under that number, and every frame ends with what
became of them: the side that receives it makes its own alike, in place. So tests see what they would see in one interpreter.

What a value holds is compared by the identity of its items, without asking them anything; arrays by a sum over their bytes.

Left out: what follows from what was noticed. `link.py` notes it, and the engine decides (`engine/engine.py`).
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import operator
import re
import sys
import zlib
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from .. import protocol
from . import gradients, values

MAX_OBJECTS = 10_000
"""Values that are remembered at a time; others are copies that nobody watches."""
MAX_BYTES = 64 << 20
"""Bytes of what they hold, as it is remembered."""
_FEW = 200
"""Copies that are looked at whenever a frame is sent, the newest first; where there are more, all are in turn with that."""
_BUILTIN = (list, dict, set, bytearray, array, deque, OrderedDict, defaultdict, Counter)
_ARRAYS = (("numpy", "ndarray"), ("numpy.ma", "MaskedArray"), ("torch", "Tensor"), ("pandas", "DataFrame"), ("pandas", "Series"))
"""What can change beside those, once its library is loaded."""
_entry = [[]]  # type: ignore[var-annotated]
_ALONE = sys.getrefcount(_entry[0])
"""References to a value that nobody but its entry here holds."""
_CONSTANTS = {"None", "True", "False"} | {name for name, kind in vars(builtins).items() if isinstance(kind, type)}
"""Names of what is one object on both sides."""
_IDENTITY = re.compile(
    r"\bis\b(?:\s+not\b)?(?:\s+(?P<name>[A-Za-z_]\w*)\b(?!\s*[.\[(]))?|(?<![.\w\"'])id\b(?![\"'])|\bassertIs(?:Not)?\b"
    r"|\bis_(?:not)?\b|shares?_memory|\.base\b|owndata|OWNDATA|data_ptr|storage|ctypes|__array_interface__"
)
_CLASSES = re.compile(r"(?m)^\s*(?:class\s+(\w+)|(?:from\s+[\w.]+\s+)?import\s+(\([^)]*\)|[^\n#;]+))")
"""Classes of a file's own, and what it imports."""
_WITH_MEMORY = ("ndarray", "Tensor")
_NUMBERS = "biufcMm"
"""Kinds of NumPy's types that may be seen in memory of another, whichever of them that is."""
_TEXTS = "US"
"""Kinds that may be seen in memory of the same type alone, for not all bytes are characters."""
_MOST_VIEWS = 200
"""Arrays that nobody holds and whose memory somebody does."""


def asks_identity(tests: str) -> bool:
    """Whether tests may ask if two values are one object, or one memory: a guess, for speed alone. It can cost a needless run.

    Classes that they define or import are no values that cross: `type(x) is Point` asks for nothing.
    """
    asked = {match["name"] for match in _IDENTITY.finditer(tests)} - _CONSTANTS
    words = {word for found in _CLASSES.findall(tests) if asked for text in found for word in re.findall(r"\w+", text)}
    return not asked <= {word for word in words if word[0].isupper() and not word.isupper()}


Place = tuple[int, int]
"""The first address, and one past the last."""
Parts = list[Any] | bytes
"""What a value holds: its items themselves, or its bytes or a sum over them."""


def _parts(value: Any) -> Parts:
    kind = type(value)
    if hasattr(kind, "requires_grad") and value.requires_grad:
        return _graded_parts(value)
    if kind is list or kind is set or kind is deque:
        return list(value)
    if kind is bytearray or kind is array:
        return bytes(value)
    if _holds_objects(value):
        return list(value.flat)
    if issubclass(kind, dict):
        return [*value, *value.values(), *([value.default_factory] if kind is defaultdict else ())]
    return _fingerprint(value)


def _graded_parts(tensor: Any) -> bytes:
    """All that a tensor with gradients is, but for how it came to be."""
    grad = tensor.grad if tensor.is_leaf else None  # of others it is no state of theirs, but what backward left
    bare = [_fingerprint(one.detach()) for one in (tensor, grad) if one is not None]
    return repr((gradients.marks(tensor), bare)).encode()


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

    def __init__(self, *, of_candidate: bool = False) -> None:
        self._of_candidate = of_candidate
        self.entries: dict[int, _Entry] = {}
        self.bytes = 0
        self.places: dict[int, Place] = {}
        """Where the numbers of those lie that are arrays or tensors; under the negative key, a mask."""
        self.signs: set[str] = set()
        """What was noticed: see `protocol.SIGNS`."""
        self.leaves: Callable[[], Iterable[Any]] = tuple
        """Tensors with gradients that both sides have, each its own; memory of theirs is shared in neither way."""
        self.lent: set[int] = set()
        """The `id` of those of which memory was handed out."""
        self.ours: Callable[[Any], int] = lambda value: 0
        """How many of the references to a tensor are tables' of this side, by which nobody changes it."""
        self._unshared: dict[int, _Entry] = {}
        """What can change and stays a copy on each side whichever way values cross, by its identity."""
        self._passing: set[int] = set()
        """Those in the frame that is being written."""
        self.keeps = False
        """Whether all is looked at and what nobody holds is kept: a test is over, and what it held is looked at once more."""

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
        self._locate(key, value)

    def note(self, key: int, parts: Parts) -> None:
        """Both sides have this now, if it is still remembered."""
        if (entry := self.entries.get(key)) is not None:
            self.bytes += _size(parts) - _size(entry.parts)
            entry.parts = parts
            self._locate(key, entry.value)  # one that has another size now may lie elsewhere

    def _locate(self, key: int, value: Any) -> None:
        if (place := _place(value)) is not None:
            self.places[key] = place
        if (mask := _mask_of(value)) is not None and (place := _place_of(mask)) is not None:
            self.places[-key] = place

    def lend_of(self, tensor: Any) -> None:
        """Note it of the tensors with gradients in whose memory this one lies."""
        if (place := _place(tensor.detach())) is not None:
            self.lend([place])

    def lend(self, places: Iterable[Place]) -> None:
        """Note of which tensors with gradients memory is handed out here."""
        for leaf in self.leaves():
            if (own := _place(leaf.detach())) and any(own[0] < high and low < own[1] for low, high in places):
                self.lent.add(id(leaf))

    def holds_any(self) -> bool:
        """Whether anything that crossed is remembered."""
        return bool(self.entries or self._unshared)

    def watch(self, value: Any) -> None:
        """Remember what crosses as a copy though it can change. To pass it again is noted: on the other side it is another."""
        key = id(value)
        if key in self._unshared:
            self.is_again(value)
        elif len(self._unshared) < MAX_OBJECTS:
            self._unshared[key] = _Entry(value)
        self._passing.add(key)

    def is_again(self, value: Any) -> None:
        """A value that stays a copy is passed again."""
        self.signs.add(protocol.UNSHARED)

    def _look_at_copies(self) -> None:
        """Notice what became of values that stay copies, the newest ones; forget what nobody else holds."""
        for key in list(self._unshared)[0 if self.keeps else -_FEW :]:
            entry = self._unshared[key]
            value, parts = entry.value, _parts(entry.value)
            if not _same(entry.parts, parts):
                self.signs.add(protocol.UNSHARED)
                entry.parts = parts
            if not self.keeps and key not in self._passing and sys.getrefcount(value) <= _ALONE + 1 + self.ours(value):
                del self._unshared[key]

    def touch(self, leaf: Any) -> None:
        """A tensor with gradients was changed: on the other side, what was handed out of its memory was not."""
        if id(leaf) in self.lent:
            self.signs.add(protocol.UNSHARED)

    def forget(self, key: int) -> None:
        """Remember a value no more."""
        self.bytes -= _size(self.entries.pop(key).parts)
        self.places.pop(key, None)
        self.places.pop(-key, None)

    def changes(self, keys: Iterable[int]) -> list[tuple[int, _Entry, Parts]]:
        """What has changed, with what it holds now; though nobody holds it here any more, the other side may."""
        found = ((key, entry := self.entries[key], _parts(entry.value)) for key in keys)
        return [one for one in found if not _same(one[1].parts, one[2])]

    def release(self, keys: list[int]) -> list[int]:
        """Forget what nobody else holds. Returns the keys of that.

        Arrays are held by who holds their memory: a row that was handed out is gone at once, and what is written to it is not.
        Of those that lie at one place, the last one does for all.
        """
        gone, alone, seen = [], [], set()
        for key in () if self.keeps else reversed(keys):
            value, place = self.entries[key].value, self.places.get(key)
            if sys.getrefcount(value) > _ALONE + 1:  # this name
                seen.add(place)
            elif place is None:
                gone.append(key)
            else:
                alone.append(key)
        if alone:
            held = _Held(entry.value for entry in self.entries.values())
            kept = []
            for key in alone:
                if self.places[key] in seen or not held.elsewhere(self.entries[key].value):
                    gone.append(key)
                else:
                    seen.add(self.places[key])
                    kept.append(key)
            if len(kept) > _MOST_VIEWS:
                self.signs.add(protocol.TOO_MANY)
                gone += kept[_MOST_VIEWS:]
        for key in gone:
            self.forget(key)
        return gone


class _Held:
    """Who holds the memory of arrays: counts what of it the entries themselves hold."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._ours = Counter(map(_memory, values))

    def elsewhere(self, value: Any) -> bool:
        """Whether somebody beside the entries holds the memory of an array that nobody holds; yes, where that cannot be told."""
        ours = self._ours[_memory(value)]
        if hasattr(value, "untyped_storage"):
            storage, count = value.untyped_storage(), getattr(sys.modules["torch"]._C, "_storage_Use_Count", None)
            return not storage.resizable() or count is None or count(storage._cdata) > ours + 1  # and this name
        if (owner := getattr(value, "base", None)) is None:
            return False
        return type(owner) is not sys.modules["numpy"].ndarray or owner.base is not None or sys.getrefcount(owner) > ours + 2


def _memory(value: Any) -> int | None:
    """What tells the memory of arrays and tensors from other memory."""
    if type(value) in _BUILTIN:
        return None
    if hasattr(value, "untyped_storage"):
        return int(value.untyped_storage().data_ptr()) if _is_plain_array(value) else None
    base = getattr(value, "base", None)
    return id(value if base is None else base)


class Copies(_Memory):
    """Each side has copies, and watches them."""

    def __init__(self, *, of_candidate: bool = False) -> None:
        super().__init__(of_candidate=of_candidate)
        self.holds = False
        """Whether this side has anything that crossed before the last frame, be it in that again."""
        self._frames = 0
        """Sent since all copies were looked at."""

    def writes(self, writer: values.Writer) -> None:
        """A frame's value is about to be written."""
        writer.write, writer.met, writer.sharing = _table(_WATCHED, _watch), [], self
        self._passing.clear()

    def reads(self, reader: values.Reader) -> None:
        """A frame's value is about to be read."""
        reader.met, reader.sharing = [], self

    def wrote(self, writer: values.Writer) -> None:
        """The value was written: notice what has become of what crossed before, and remember what crosses now."""
        if self._unshared:
            self._look_at_copies()
        if not writer.met and not self.entries:
            self.holds = self.holds_any()
            return
        self._frames += 1
        keys = list(self.entries)
        if len(keys) > _FEW * self._frames and not self.keeps:
            keys = keys[-_FEW:]
        else:
            self._frames = 0
        for key, entry, parts in self.changes(keys):
            self.note(key, parts)
            self._sign(protocol.CHANGED, entry.value)
        self.release(keys)
        self.holds = self.holds_any()
        now: set[int] = set()
        crossing: dict[int, Place] = {}
        for value in writer.met:
            if (key := id(value)) in now:
                self._sign(protocol.TWICE, value)
            elif key in self.entries:
                self._sign(protocol.AGAIN, value)
            now.add(key)
            if (numbers := _numbers(value)) is None:
                continue
            if not _keeps_order(value, numbers):
                self.signs.add(protocol.LAID_OUT)
            if (place := _place_of(numbers)) is not None:
                crossing[key] = place
                if self._of_candidate and _meets_itself(numbers, place):
                    self.signs.add(protocol.TWICE)
            if (mask := _mask_of(value)) is not None and (place := _place_of(mask)) is not None:
                crossing[-key] = place
        if crossing:
            if _overlap(crossing.values(), ()):
                self.signs.add(protocol.TWICE)
            if _overlap(crossing.values(), (place for key, place in self.places.items() if key not in crossing)):
                self.signs.add(protocol.OVERLAPS)
            self.lend(crossing.values())
        self._remember(writer.met)

    def read(self, reader: values.Reader) -> None:
        """The value was read: remember what arrived, the outer ones first."""
        if reader.met:
            self._remember(reversed(reader.met))

    def let_go(self) -> None:
        """The other side has nothing that crossed before: what becomes of it here cannot matter."""
        self.entries.clear()
        self.places.clear()
        self._unshared.clear()
        self.bytes = 0

    def value(self, reader: values.Reader) -> Any:
        """There are none with numbers. Raises Garbled."""
        raise values.Garbled("a shared value where values are copies")

    def sent(self, writer: values.Writer) -> None:
        """The frame has gone."""
        self.signs.clear()

    def is_again(self, value: Any) -> None:
        """A value that stays a copy is passed again; twice at once, it is one for who gets it."""
        self.signs.add(protocol.TWICE if id(value) in self._passing else protocol.AGAIN)
        self._passing.add(id(value))

    def _sign(self, sign: str, value: Any) -> None:
        """Note what was noticed of a value, which tells nothing of one that cannot be shared."""
        self.signs.add(protocol.UNSHARED if _stays_a_copy(value) else sign)

    def _remember(self, met: Iterable[Any]) -> None:
        for value in met:
            if id(value) not in self.entries and not self.full():
                self.add(id(value), value)


class Shared(_Memory):
    """Both sides have the same values, by number: odd ones are the tests', even ones the candidate's."""

    def __init__(self, *, of_candidate: bool = False) -> None:
        super().__init__(of_candidate=of_candidate)
        self._next = 2 if of_candidate else 1
        self._numbers: dict[int, int] = {}
        self._gone: list[int] = []
        """Numbers that are not kept any more, which the other side has not heard of."""
        self._changed: list[tuple[int, _Entry, Parts]] = []
        """In the frame that is being written."""
        self.changed = False
        """Whether the other side has changed a value since it had crossed."""
        self._new: set[int] = set()
        """Numbers of values whose content has not come yet."""
        self._alike: set[int] = set()
        """Numbers of arrays that lie in memory without gaps and in the same order on both sides."""
        self._crossing: dict[int, tuple[Place, bool]] = {}
        """Of arrays that cross first in the frame that is being written, by number: their places, and whether they are alike."""

    def writes(self, writer: values.Writer) -> None:
        """A frame's value is about to be written."""
        writer.write, writer.met, writer.sharing = _table(_SHARING, _share), {}, self
        self._crossing = {}
        self._passing.clear()

    def reads(self, reader: values.Reader) -> None:
        """A frame's value is about to be read."""
        reader.met, reader.sharing = [], self

    def wrote(self, writer: values.Writer) -> None:
        """The value was written: add what has become of all that both sides have, and what is in those that cross first.

        Raises:
            TooLarge, TypeError: as `Writer.put`.
        """
        known = list(self.entries)
        self._changed = self.changes(known)
        self._look_at_copies()
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
        self._gone += self.release(known)  # not before: what is written may be in the memory of what is gone
        writer.out += b"N"
        values.WRITE[list](writer, self._gone)

    def sent(self, writer: values.Writer) -> None:
        """The frame has gone: the other side knows what it says. Of one that could not be sent, nothing holds."""
        for changed, _, parts in self._changed:
            self.note(changed, parts)
        for number, value in writer.met.values():
            self.add(number, value)
        self._alike.update(filter(self.is_alike, self._crossing))
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
        self._alike.discard(key)
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

    def view(self, number: int, value: Any) -> tuple[Any, ...] | None:
        """Where an array that crosses first, as `number`, lies in memory that both sides have; None where it has its own.

        What shares memory in a way that the other side cannot repeat is noted, and crosses as a copy.
        """
        array = _numbers(value)
        if array is None:
            return None
        if not _keeps_order(value, array):
            self.signs.add(protocol.LAID_OUT)
        if (place := _place_of(array)) is None:
            return None
        others = [*((one, where, one in self._alike) for one, where in self.places.items())]
        others += [(one, *known) for one, known in self._crossing.items()]
        can_view = type(value).__name__ in _WITH_MEMORY
        self._crossing[number] = place, can_view and bool(array.flags.c_contiguous)
        touched = [(one, low, high, alike) for one, (low, high), alike in others if place[0] < high and low < place[1]]
        for one, low, high, alike in touched:
            if can_view and alike and low <= place[0] and place[1] <= high:
                offset = array.__array_interface__["data"][0] - low
                kind = type(value).__name__
                return one, offset, array.shape, array.strides, array.dtype.str, bool(array.flags.writeable), kind == "Tensor"
        mask = None if (mask := _mask_of(value)) is None else _place_of(mask)
        meets = mask is not None and any(mask[0] < high and low < mask[1] for _, (low, high), _ in others)
        self.lend([place])
        if touched or meets or (self._of_candidate and _meets_itself(array, place)):
            self.signs.add(protocol.OVERLAPS)
        return None

    def is_alike(self, number: int) -> bool:
        """Whether an array that crosses first will lie in memory as it does here."""
        return number in self._crossing and self._crossing[number][1]

    def _viewed(self, where: tuple[Any, ...]) -> Any:
        """An array in the memory of one that both sides have. Raises Garbled."""
        numpy = sys.modules["numpy"]
        try:
            number, offset, shape, strides, name, writeable, tensor = where
            dtype, whole = numpy.dtype(name), _numbers(self.entries[number].value)
            # NumPy itself refuses what leaves the memory of the whole; pointers to objects are in neither.
            numbers = dtype.kind in _NUMBERS and whole.dtype.kind in _NUMBERS
            if not (numbers or (dtype.kind in _TEXTS and dtype == whole.dtype)) or number not in self._alike:
                raise values.Garbled("memory of objects, or of another order")
            found = numpy.ndarray(shape, dtype, buffer=whole, offset=offset, strides=strides)
            if tensor:
                return sys.modules["torch"].from_numpy(found)
            found.flags.writeable = writeable
            return found
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, MemoryError) as error:
            raise values.Garbled("memory that is in no shared value") from error

    def value(self, reader: values.Reader) -> Any:
        """A value by its number; the first time, one that is like it but empty comes along, or where it lies. Raises Garbled."""
        number, first = reader.expect(int), reader.take()
        if first is None:
            return self.entries[number].value
        if type(first) is tuple:
            if not 0 < number < 1 << 62 or number in self.entries or number % 2 == self._next % 2 or self.full():
                raise values.Garbled("a shared value that is none")
            self.add(number, view := self._viewed(first))
            if _numbers(view).flags.c_contiguous:
                self._alike.add(number)
            return view
        if first is not True or not 0 < number < 1 << 62 or number in self.entries or number % 2 == self._next % 2:
            raise values.Garbled("a shared value that is none")
        value = reader.deeper()
        if not _is_shareable(value) or id(value) in self._numbers or len(self.entries) >= 2 * MAX_OBJECTS:
            raise values.Garbled("a shared value that cannot be one")
        self.add(number, value)
        if type(value).__name__ in _WITH_MEMORY and reader.expect(bool):
            self._alike.add(number)
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
            wanted = _parts(content)
            if _ends_a_loop(entry.value, content):
                self.signs.add(protocol.UNSHARED)
            _make_alike(entry.value, content)
            self.note(number, parts := _parts(entry.value))
            if _is_whole(content) and not _same(wanted, parts):  # it keeps what cannot be set: a size, a wish for gradients
                self.signs.add(protocol.UNSHARED)
        for number in reader.expect(list):
            self.forget(number)
        for value in reader.met or ():
            if _stays_a_copy(value):
                self.watch(value)


# Writing and reading


def _watch(kind: type) -> Callable[[values.Writer, Any], None]:
    write = values.WRITE.get(kind, values.Writer.other)

    def watch(writer: values.Writer, value: Any) -> None:
        if kind in values.WRITE or _is_plain_array(value) or _stays_a_copy(value):
            writer.met.append(value)
        write(writer, value)

    return watch


def _watch_view(kind: type) -> Callable[[values.Writer, Any], None]:
    """A view of a dictionary shows what becomes of the dictionary."""

    def watch(writer: values.Writer, value: Any) -> None:
        (of,) = gc.get_referents(value)
        if type(of) in values.DICTS:
            writer.met.append(of)
        values.Writer.other(writer, value)

    return watch


def _share(kind: type) -> Callable[[values.Writer, Any], None]:
    write = values.WRITE.get(kind, values.Writer.other)

    def share(writer: values.Writer, value: Any) -> None:
        number, first = writer.sharing.number(writer, value) if _is_shareable(value) else (None, False)
        if number is None:
            if _stays_a_copy(value):
                writer.sharing.watch(value)
            write(writer, value)
            return
        writer.out += b"="
        values.put_int(writer, number)
        if first and (where := writer.sharing.view(number, value)) is not None:
            writer.put(where)
            return
        writer.out += b"T" if first else b"N"
        if first:
            _put_content(writer, value if _is_whole(value) else _emptied(value))
            if type(value).__name__ in _WITH_MEMORY:
                writer.put(writer.sharing.is_alike(number))

    return share


def _share_view(kind: type) -> Callable[[values.Writer, Any], None]:
    """A view of a dictionary crosses with the dictionary."""

    def share(writer: values.Writer, value: Any) -> None:
        (of,) = gc.get_referents(value)
        if type(of) in values.DICTS:
            writer.out += values.LIVE_VIEWS[kind]
            writer.put(of)
        else:
            values.Writer.other(writer, value)

    return share


_Table = dict[type, Callable[[values.Writer, Any], None]]
_WATCHED: _Table = (
    values.WRITE | {kind: _watch(kind) for kind in _BUILTIN} | {kind: _watch_view(kind) for kind in values.LIVE_VIEWS}
)
_SHARING: _Table = (
    values.WRITE | {kind: _share(kind) for kind in _BUILTIN} | {kind: _share_view(kind) for kind in values.LIVE_VIEWS}
)


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


def can_change(value: Any) -> bool:
    """Whether this is of a kind of plain values that can be changed in place."""
    kind = type(value)
    return kind in _BUILTIN or any(getattr(sys.modules.get(library), name, None) is kind for library, name in _ARRAYS)


def _holds_objects(value: Any) -> bool:
    """Whether this is an array of objects."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is getattr(numpy, "ndarray", None) and value.dtype.kind == "O"


def _stays_a_copy(value: Any) -> bool:
    """Whether this can change, and cannot be shared: an array of objects, or a sparse tensor."""
    return _holds_objects(value) or (
        hasattr(value, "is_coalesced") and not value.requires_grad and value.layout is not sys.modules["torch"].strided
    )


def _is_table(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) in (getattr(pandas, "DataFrame", None), getattr(pandas, "Series", None))


def _numbers(value: Any) -> Any:
    """An array, a tensor or a buffer as an array of NumPy's with the same memory; None for what has none."""
    if type(value) in _BUILTIN and type(value) not in (bytearray, array):
        return None
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is None or not hasattr(numpy, "ndarray"):
        return None
    if type(value) is numpy.ndarray:
        return value
    if type(value) in (bytearray, array):
        return numpy.frombuffer(value, "u1") if len(value) else None
    if type(value).__name__ == "MaskedArray":
        return value.view(numpy.ndarray)
    if torch is not None and type(value) is getattr(torch, "Tensor", None) and _is_plain_array(value):
        with contextlib.suppress(TypeError, RuntimeError, ValueError):  # of a type, or on a device, that NumPy does not know
            return value.numpy()
    return None


def _keeps_order(value: Any, numbers: Any) -> bool:
    """Whether the items of an array lie in the same order on the other side, as NumPy's do by rows or by columns."""
    flags = numbers.flags
    return bool(flags.c_contiguous if type(value).__name__ != "ndarray" else flags.forc)


def _mask_of(value: Any) -> Any:
    """The mask of an array, if it has one of its own."""
    mask = getattr(value, "_mask", None) if type(value).__name__ == "MaskedArray" else None
    return mask if getattr(mask, "shape", ()) else None


def _place(value: Any) -> Place | None:
    """Where the numbers of an array, a tensor or a buffer lie; None for what has none."""
    numbers = _numbers(value)
    return None if numbers is None else _place_of(numbers)


def _place_of(numbers: Any) -> Place | None:
    """Where the numbers of an array of NumPy's lie; None for what has none."""
    if not numbers.size or numbers.dtype.kind not in _NUMBERS + _TEXTS:
        return None
    low = high = numbers.__array_interface__["data"][0]
    for count, stride in zip(numbers.shape, numbers.strides, strict=True):
        low, high = low + min(0, (count - 1) * stride), high + max(0, (count - 1) * stride)
    return low, high + numbers.itemsize


def _meets_itself(numbers: Any, place: Place) -> bool:
    """Whether items of an array lie at one place, as those do that were broadcast: a change of one changes others.

    It is asked of the candidate's alone. What the tests broadcast they seldom write to, and gradients are such arrays.
    """
    return bool(numbers.size * numbers.itemsize > place[1] - place[0])


def _overlap(new: Iterable[Place], old: Iterable[Place]) -> bool:
    """Whether one of the new places has memory in common with another, or with an old one."""
    end = end_of_new = 0
    for (low, high), is_new in sorted([*((place, True) for place in new), *((place, False) for place in old)]):
        if low < (end if is_new else end_of_new):
            return True
        end, end_of_new = max(end, high), max(end_of_new, high) if is_new else end_of_new
    return False


def _is_shareable(value: Any) -> bool:
    return type(value) in _BUILTIN or (can_change(value) and _is_plain_array(value))


def _is_whole(value: Any) -> bool:
    """Whether a value crosses with all that it holds, for nothing in it can lead back to it."""
    return type(value) in (bytearray, array) or type(value) not in _BUILTIN


def _emptied(value: Any) -> Any:
    """A value of the same kind with nothing in it."""
    if type(value) is deque:
        return deque(maxlen=value.maxlen)
    return defaultdict(value.default_factory) if type(value) is defaultdict else type(value)()


def _put_content(writer: values.Writer, value: Any) -> None:
    """Write a value itself, and what is in it as the writer does."""
    values.WRITE.get(type(value), values.Writer.other)(writer, value)


def _is_key(old: Any, new: Any) -> bool:
    """Whether two keys are one, without asking any that could say so of itself."""
    return old is new or (type(old) is type(new) and type(old) in (str, int, bytes) and old == new)


def _keeps_keys(old: Any, new: Any) -> bool:
    """Whether two dictionaries have the same keys in the same order."""
    return len(old) == len(new) and all(map(_is_key, old, new))


def _ends_a_loop(old: Any, new: Any) -> bool:
    """Whether somebody loops over a value that is about to be changed in a way that ends such a loop with an error, and not here.

    A dictionary whose keys change, or a deque, that is as long as before looks to a loop over it as if nothing had happened.
    """
    if type(old) is deque:
        may = len(old) == len(new)
    else:
        may = isinstance(old, dict) and len(old) == len(new) and not _keeps_keys(old, new)
    return may and any(type(one).__name__.endswith("iterator") for one in gc.get_referrers(old))


def _make_alike(old: Any, new: Any) -> None:
    """Give `old` what `new` holds, in place."""
    kind = type(old)
    if kind is list or kind is bytearray or kind is array:
        with contextlib.suppress(BufferError):  # one that is looked at as memory keeps its size
            old[:] = new
    elif kind is deque and len(old) == len(new):  # a loop over it goes on
        for place, one in enumerate(new):
            old[place] = one
    elif kind is deque:
        old.clear()
        old.extend(new)
    elif kind in _BUILTIN:
        if kind is not set and _keeps_keys(old, new):
            for key, one in new.items():
                dict.__setitem__(old, key, one)  # an OrderedDict's own would end a loop over it
        else:
            old.clear()
            (dict.update if kind is Counter else type(old).update)(old, new)  # Counter's own would take pairs for items
        if kind is defaultdict:
            old.default_factory = new.default_factory
    elif _is_table(old):
        old._update_inplace(new)  # as pandas' own methods do with `inplace`
        if hasattr(new, "name"):
            old.name = new.name
    elif hasattr(old, "requires_grad"):
        with sys.modules["torch"].no_grad():
            if old.shape == new.shape and old.dtype == new.dtype:
                old.copy_(new)
            else:
                old.data = new
    else:
        if type(old).__name__ == "MaskedArray":
            old.soften_mask()
            if old.shape != new.shape:
                old.shape = new.shape
            old.mask = new._mask
            old._fill_value = new._fill_value
        with contextlib.suppress(ValueError):  # memory that is another array's keeps its size, and may be for reading alone
            if not old.flags.writeable:  # memory of a tensor can be written to, and refuses to be told so
                old.flags.writeable = True
            if old.shape != new.shape:
                old.resize(new.shape, refcheck=False)
            if old.shape == new.shape:
                old[...] = new
            if old.flags.writeable != new.flags.writeable:
                old.flags.writeable = new.flags.writeable
        if getattr(new, "hardmask", False):
            old.harden_mask()
