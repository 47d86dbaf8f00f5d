"""Plain values as bytes: all that crosses the boundary between a candidate and its tests.

`Writer` turns values into bytes through their base classes only, `Reader` builds plain types only, under caps on size, depth and
count, and raises `Garbled` for whatever else it is given. A value that is not plain is left to the side that has it: both classes
are extended by hooks, which decide about handles and callables.

Left out: values of libraries (`arrays.py`, `tables.py`, `hints.py`), which add themselves to what is written and read here; how
values are sent (`wire.py`); and objects: `candidate.py` keeps them, `handles.py` stands for them.
"""

from __future__ import annotations

import array
import builtins
import collections
import collections.abc
import datetime as dt
import importlib
import io
import ipaddress
import math
import operator
import pathlib
import re
import struct
import sys
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

MAX_FRAME = 192 << 20
"""Bytes of one frame."""
MAX_DEPTH = 200
MAX_NODES = 4_000_000
"""Values in one frame, those in containers counted."""
_MAX_DIGITS = 1 << 16
"""Bytes of a Decimal or of a part of a Fraction: their arithmetic grows faster than their size."""
_MAX_NAME = 1000
_MAX_PATTERN = 10_000

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_C128 = struct.Struct("<dd")
TAGGED_COUNT = struct.Struct("<cI")
_TAGGED_I64 = struct.Struct("<cq")
_TAGGED_F64 = struct.Struct("<cd")

TYPES: dict[str, type] = {name: value for name, value in vars(builtins).items() if isinstance(value, type) and value is not super}
"""Built-in types, which cross by name. Names of others are garbled."""
TYPES |= {"NoneType": type(None), "ellipsis": type(Ellipsis), "NotImplementedType": type(NotImplemented)}
TYPES |= {"function": types.FunctionType, "generator": types.GeneratorType, "module": types.ModuleType}
TYPES |= {"async_generator": types.AsyncGeneratorType}
TYPE_NAMES = {value: name for name, value in TYPES.items() if name not in ("IOError", "EnvironmentError")}
_FACTORIES: dict[str, Any] = {
    "": None,
    **{cls.__name__: cls for cls in (int, float, str, bytes, bool, list, dict, set, tuple, frozenset, complex)},
    **{cls.__name__: cls for cls in (Counter, OrderedDict, defaultdict, deque, Decimal, Fraction)},
}
_FACTORY_NAMES = {cls: name for name, cls in _FACTORIES.items()}
LIBRARIES = frozenset(
    [
        "abc",
        "bisect",
        "calendar",
        "cmath",
        "collections",
        "collections.abc",
        "colorsys",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "textwrap",
        "time",
        "typing",
        "unicodedata",
        "uuid",
        "numpy",
        "numpy.random",
        "numpy.linalg",
        "torch",
        "torch.nn",
        "torch.nn.functional",
        "torch.optim",
    ]
)
"""Modules whose functions, classes and selves are the same on both sides, so that they cross by name."""

STATES = {"random": ("getstate", "setstate"), "numpy": ("get_state", "set_state"), "torch": ("get_rng_state", "set_rng_state")}
"""How libraries give and take the state of their generator; NumPy in a module of its own."""

ESTIMATORS = "sklearn."
"""The library whose objects stay where they are, and whose classes isinstance shall find behind them."""

_CONTAINERS = ("Mapping", "MutableMapping", "Sequence", "MutableSequence", "Set", "MutableSet")
_STREAMS = ("IOBase", "RawIOBase", "BufferedIOBase", "TextIOBase")
ABSTRACT: dict[str, Any] = {
    **{name: getattr(collections.abc, name) for name in _CONTAINERS},
    **{name: getattr(io, name) for name in _STREAMS},
}
"""Abstract classes of containers and of streams that a class may be registered with, or derived from, by name."""
ERRORS = frozenset(
    [
        *(
            "argparse",
            "asyncio.exceptions",
            "binascii",
            "concurrent.futures._base",
            "configparser",
            "csv",
            "email.errors",
            "getopt",
        ),
        *(
            "gzip",
            "http.client",
            "json.decoder",
            "locale",
            "lzma",
            "numpy.exceptions",
            "pandas.errors",
            "pickle",
            "queue",
            "select",
            "shutil",
        ),
        *("sqlite3", "ssl", "struct", "subprocess", "tarfile", "tokenize", "tomllib", "urllib.error", "xml.etree.ElementTree"),
        *("zipfile", "zlib", "zoneinfo._common", "sklearn.exceptions", "sklearn.utils._param_validation"),
    ]
)
"""Modules of which only the exceptions cross by name."""
_HOMES = {
    **{"_operator": "operator", "_functools": "functools", "_heapq": "heapq", "_bisect": "bisect", "_collections": "collections"},
    **{"_random": "random", "_statistics": "statistics", "_csv": "csv", "_queue": "queue", "_pickle": "pickle"},
}
"""Where what is written in C is known."""


_CALLS = frozenset(("call", "new", "method", "operator", "asked"))
"""Those whose last operand is keyword arguments."""
_LINE_UPS = frozenset(("line_up", "siblings", "each"))


class Garbled(Exception):
    """Bytes that no honest side sends."""


class NotApart(BaseException):
    """A value or an action that cannot cross from the tests to a candidate judged apart.

    Not an Exception, so that tests do not take it for the candidate's answer; each is remembered, so that catching it is no use.
    """

    raised: ClassVar[list[NotApart]] = []
    """All of this process, which judges once."""

    def __init__(self, what: str, *, kind: bool = True) -> None:
        super().__init__(f'{what}; such tests need the candidate in their own interpreter: use judging="together".')
        self.kind = kind
        """Whether it is for what the thing is. Its depth, size or cycles may be what the candidate made of it."""
        self.raised.append(self)


class TooLarge(ValueError):
    """A value beyond the caps."""


# Writing


class Writer:
    """Writes values into `out`. Subclasses say what becomes of what is not plain."""

    __slots__ = ("active", "met", "nodes", "out", "sharing", "write")

    def __init__(self) -> None:
        self.out = bytearray()
        self.write = WRITE
        """How values of plain types are written; `sharing.py` writes those that can change in ways of its own."""
        self.met: Any = None
        """Those of them that were met."""
        self.sharing: Any = None
        self.nodes = 0
        self.active: set[int] = set()
        """Containers that are being written: their number is the depth, and meeting one again is a cycle."""

    def special(self, value: Any) -> bool:
        """Write a value whose type is not plain before its base class is looked at. Returns whether that was done."""
        return False

    def foreign(self, value: Any) -> None:
        """Write a value that is not plain, contains itself, or is too deep."""
        raise TypeError(f"{type(value).__name__} is not a plain value")

    def factory(self, value: Any) -> None:
        """Write what makes the items that a dictionary lacks, where no class of Python's own does. A plain one has none."""
        _put_str(self, "")

    def put(self, value: Any) -> None:
        """Write one value.

        Raises:
            TooLarge: the caps are exceeded.
            TypeError: it is not plain, and `foreign` did not take it.
        """
        write = self.write.get(type(value))
        if write is not None:
            write(self, value)
        else:
            self.other(value)

    def put_apart(self, value: Any) -> None:
        """Write one value that is of our own making, and nobody's to be shared."""
        write, self.write = self.write, WRITE
        try:
            self.put(value)
        finally:
            self.write = write

    def put_question(self, kind: str, operands: Any) -> None:
        """Write the value of a frame. The keyword arguments of a call are a dictionary of our own, as decoys are."""
        if kind in _LINE_UPS:
            self.put_apart(operands)
            return
        if kind not in _CALLS:
            self.put(operands)
            return
        self.out += TAGGED_COUNT.pack(b"t", len(operands))
        for operand in operands[:-1]:
            self.put(operand)
        WRITE[dict](self, operands[-1])

    def other(self, value: Any) -> None:
        """Write a value whose type is not in the table."""
        if self.special(value):
            return
        kind = type(value)
        for library, writes in _LIBRARY_WRITERS.items():
            module = sys.modules.get(library)
            if module is not None and writes(self, value, module):
                return
        if kind in LIVE_VIEWS:
            self.out += LIVE_VIEWS[kind]
            WRITE[list](self, list(value))
        elif issubclass(kind, type) and value in TYPE_NAMES:
            self.out += b"v"
            self.put(TYPE_NAMES[value])
        elif (path := library_path(value)) is not None:
            self.out += b"L"
            self.put(path[0])
            self.put(path[1])
        elif issubclass(kind, tuple) and _is_namedtuple(kind, tuple.__len__(value)):
            self.out += b"n"
            WRITE[bool](self, issubclass(kind, Named))
            self.put(_text(kind.__name__))
            self.put(tuple(map(_text, kind._fields)))  # type: ignore[attr-defined]
            self.put(tuple.__getitem__(value, slice(None)))
        else:
            for base, plain in _BASES:
                if issubclass(kind, base):
                    found = plain(value)
                    WRITE[type(found)](self, found)
                    return
            self.foreign(value)

    def grow(self, count: int) -> None:
        """Account for `count` more values. Raises TooLarge."""
        self.nodes += count
        if self.nodes > MAX_NODES or len(self.out) > MAX_FRAME:
            raise TooLarge(f"a value of more than {MAX_NODES} parts or {MAX_FRAME >> 20} MiB")


def _text(value: Any) -> str:
    return str.__str__(value)[:_MAX_NAME]


def _is_namedtuple(kind: Any, length: int) -> bool:
    fields = getattr(kind, "_fields", None)
    if type(fields) is not tuple or len(fields) != length or len(set(map(str, fields))) != length:
        return False
    return all(type(name) is str and name.isidentifier() and name[0] != "_" for name in (*fields, str(kind.__name__).lstrip("_")))


class _Sequence:
    """What Python reads by its places, having no better way."""

    def __getitem__(self, place: int) -> Any:
        raise IndexError


_SOME: tuple[Any, ...] = (
    *((), [], set(), "", "\x80", b"", bytearray(), range(0), range(1 << 70), {}, {}.values(), {}.items(), memoryview(b"")),
    *(collections.deque(), collections.OrderedDict(), collections.OrderedDict().items(), collections.OrderedDict().values()),
    *(array.array("i"), _Sequence()),
)
_BACKWARDS: tuple[Any, ...] = ([], {}, {}.values(), {}.items(), range(0), collections.deque(), collections.OrderedDict())
ITERATORS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(type(iter(made)) for made in _SOME),
        *(type(reversed(made)) for made in _BACKWARDS),
        type(iter(int, 0)),
    )
}
"""What Python's own containers are read by."""


_NAMED = type | types.FunctionType | types.BuiltinFunctionType | types.MethodType


def library_path(value: Any) -> tuple[str, str] | None:
    """Module and name of a function, class or module of a library that both sides have."""
    if isinstance(value, types.ModuleType):
        return (value.__name__, "") if value.__name__ in LIBRARIES else None
    if not isinstance(value, _NAMED) and type(value).__module__ not in LIBRARIES:
        return None
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if type(module) is not str or type(name) is not str:
        return None
    module = _HOMES.get(module, module)
    known = module in LIBRARIES or (module in ERRORS and isinstance(value, type) and issubclass(value, BaseException))
    if known and getattr(sys.modules.get(module), name, None) is value:
        return module, name
    return None


def _constant(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        writer.out += tag

    return write


def _put_bool(writer: Writer, value: bool) -> None:
    writer.out += b"T" if value else b"F"


def put_int(writer: Writer, value: int) -> None:
    """Write an integer."""
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        writer.out += _TAGGED_I64.pack(b"i", value)
    else:
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        writer.out += TAGGED_COUNT.pack(b"I", len(data))
        writer.out += data
        writer.grow(0)


_NANS = ("math", "numpy")
"""Libraries of which each has one NaN under its name. It equals nothing, but a list with it equals one with the same."""


def _home_of_nan(value: float) -> int:
    """The place in `_NANS` of the library whose NaN a number is, counted from 1; 0 of any other number."""
    if value == value:
        return 0
    return next((place for place, home in enumerate(_NANS, 1) if vars(sys.modules.get(home, math)).get("nan") is value), 0)


def _put_float(writer: Writer, value: float) -> None:
    if value != value and (place := _home_of_nan(value)):
        writer.out += b"1" + bytes((place,))
        return
    writer.out += _TAGGED_F64.pack(b"f", value)


def _put_complex(writer: Writer, value: complex) -> None:
    writer.out += b"j"
    writer.out += _C128.pack(value.real, value.imag)


def _put_str(writer: Writer, value: str) -> None:
    if len(value) > MAX_FRAME:
        raise TooLarge(f"a text of more than {MAX_FRAME >> 20} MiB")
    data = value.encode("utf-8", "surrogatepass")
    writer.out += TAGGED_COUNT.pack(b"s", len(data))
    writer.out += data
    if len(data) > MAX_DEPTH:
        writer.grow(0)


def _raw(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        if len(value) > MAX_FRAME:
            raise TooLarge(f"bytes of more than {MAX_FRAME >> 20} MiB")
        writer.out += TAGGED_COUNT.pack(tag, len(value))
        writer.out += value
        writer.grow(0)

    return write


_MANY = 6
"""Items from which a list or tuple of numbers of one kind is written at once."""


def _numbers(writer: Writer, tag: bytes, value: Any) -> bool:
    """Write a list or a tuple of small integers or of floats. Returns whether it is one."""
    kinds = set(map(type, value)) if tag in b"lt" else None
    code = "q" if kinds == {int} else "d" if kinds == {float} else ""
    if not code or (code == "d" and math.isnan(sum(value)) and any(map(_home_of_nan, value))):
        return False
    try:
        data = struct.pack(f"<{len(value)}{code}", *value)
    except struct.error:  # an integer of more than 64 bits
        return False
    writer.out += TAGGED_COUNT.pack(b"A", len(value))
    writer.out += tag + code.encode() + data
    return True


def _sequence(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        active, key = writer.active, id(value)
        if key in active or len(active) >= MAX_DEPTH - 4:
            writer.foreign(value)
            return
        if len(value) >= _MANY and _numbers(writer, tag, value):
            writer.grow(0)
            return
        writer.grow(len(value))
        active.add(key)
        writer.out += TAGGED_COUNT.pack(tag, len(value))
        find = writer.write.get
        for item in value:
            write_item = find(type(item))
            if write_item is not None:
                write_item(writer, item)
            else:
                writer.put(item)
        active.discard(key)

    return write


def _pairs(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        active, key = writer.active, id(value)
        if key in active or len(active) >= MAX_DEPTH - 4:
            writer.foreign(value)
            return
        if not value and tag != b"E":
            writer.out += tag + b"\0\0\0\0"
            return
        active.add(key)
        if tag == b"E":
            writer.out += tag
            if (factory := _factory_name(value.default_factory)) is not None:
                _put_str(writer, factory)
            else:
                writer.factory(value.default_factory)
            writer.out += _U32.pack(len(value))
        else:
            writer.out += TAGGED_COUNT.pack(tag, len(value))
        writer.grow(2 * len(value))
        for name, item in value.items():
            writer.put(name)
            writer.put(item)
        active.discard(key)

    return write


def _factory_name(value: Any) -> str | None:
    """The name of what makes items that a dictionary lacks, if it is a class of Python's own, or nothing."""
    return _FACTORY_NAMES.get(value) if value is None or isinstance(value, type) else None


def _parts(tag: bytes, parts: Callable[[Any], tuple[Any, ...]]) -> Callable[[Writer, Any], None]:
    """A value that is written as a few others."""

    def write(writer: Writer, value: Any) -> None:
        writer.out += tag
        for part in parts(value):
            writer.put(part)

    return write


def _zone(value: dt.datetime | dt.time) -> tuple[Any, ...]:
    """Offset from UTC and name: that is all of a time zone that crosses."""
    offset = value.utcoffset() if value.tzinfo is not None else None
    return (None, None) if offset is None else (offset, str(value.tzname()))


_ITEMS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    range: lambda v: (v.start, v.stop, v.step),
    slice: lambda v: (v.start, v.stop, v.step),
    Decimal: lambda v: (Decimal.__str__(v),),
    Fraction: lambda v: (v._numerator, v._denominator),
    dt.date: lambda v: (v.year, v.month, v.day),
    dt.timedelta: lambda v: (v.days, v.seconds, v.microseconds),
    dt.time: lambda v: (v.hour, v.minute, v.second, v.microsecond, v.fold, *_zone(v)),
    dt.datetime: lambda v: (v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, *_zone(v)),
}
_TAGS = {
    range: b"r",
    slice: b"/",
    Decimal: b"D",
    Fraction: b"Q",
    dt.date: b"Y",
    dt.timedelta: b"W",
    dt.time: b"H",
    dt.datetime: b"U",
}


_ADDRESSES: dict[str, Any] = {
    kind.__name__: kind for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
}


def _put_address(writer: Writer, value: Any) -> None:
    """By its text, if that is all that it is: networks keep what was asked of them, and anything may be put there."""
    kind = type(value)
    same = kind(str(value))
    if any(not hasattr(same, name) or getattr(same, name) != kept for name, kept in getattr(value, "__dict__", {}).items()):
        writer.foreign(value)
        return
    writer.out += b"4"
    writer.put(kind.__name__)
    writer.put(str(value))


def _put_deque(writer: Writer, value: Any) -> None:
    writer.out += b"q"
    writer.put(value.maxlen)
    WRITE[list](writer, list(value))


WRITE: dict[type, Callable[[Writer, Any], None]] = {
    type(None): _constant(b"N"),
    type(Ellipsis): _constant(b"."),
    type(NotImplemented): _constant(b"!"),
    bool: _put_bool,
    int: put_int,
    float: _put_float,
    complex: _put_complex,
    str: _put_str,
    bytes: _raw(b"b"),
    bytearray: _raw(b"B"),
    list: _sequence(b"l"),
    tuple: _sequence(b"t"),
    set: _sequence(b"S"),
    frozenset: _sequence(b"Z"),
    dict: _pairs(b"d"),
    Counter: _pairs(b"C"),
    OrderedDict: _pairs(b"O"),
    defaultdict: _pairs(b"E"),
    deque: _put_deque,
    array.array: _parts(b"R", lambda v: (v.typecode, v.tobytes())),
    dt.timezone: _parts(b"J", lambda v: (v.utcoffset(None), None if v == dt.UTC else v.tzname(None))),
    re.Pattern: _parts(b"w", lambda v: (v.pattern, v.flags)),
    uuid.UUID: _parts(b"5", lambda v: (v.int,)),
    pathlib.PurePosixPath: _parts(b"6", lambda v: (str(v),)),
    pathlib.PosixPath: _parts(b"7", lambda v: (str(v),)),
    **dict.fromkeys(_ADDRESSES.values(), _put_address),
    **{kind: _parts(_TAGS[kind], items) for kind, items in _ITEMS.items()},
}
DICTS = (dict, OrderedDict, defaultdict, Counter)
LIVE_VIEWS: dict[type, bytes] = {type({}.keys()): b"K", type({}.values()): b"V", type({}.items()): b"X"}
LIVE_VIEWS |= {type(OrderedDict().keys()): b"K", type(OrderedDict().values()): b"V", type(OrderedDict().items()): b"X"}
_REAL, _IMAG = complex.real.__get__, complex.imag.__get__
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__index__),
    (float, float.__float__),
    (complex, lambda v: complex(_REAL(v), _IMAG(v))),
    (str, str.__str__),
    (bytes, lambda v: memoryview(v).tobytes()),
    (bytearray, lambda v: bytearray(memoryview(v).tobytes())),
    (tuple, lambda v: tuple.__getitem__(v, slice(None))),
    (list, list.copy),
    (set, lambda v: set().union(v)),
    (frozenset, lambda v: frozenset(set().union(v))),
    (OrderedDict, lambda v: OrderedDict(OrderedDict.items(v))),
    (Counter, lambda v: Counter(dict(dict.items(v)))),
    (dict, lambda v: dict(dict.items(v))),
    (deque, lambda v: deque(deque.__iter__(v), v.maxlen)),
    (
        dt.datetime,
        lambda v: dt.datetime(v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.tzinfo, fold=v.fold),
    ),
    (dt.date, lambda v: dt.date(v.year, v.month, v.day)),
    (dt.timedelta, lambda v: dt.timedelta(v.days, v.seconds, v.microseconds)),
    (Decimal, lambda v: Decimal(Decimal.__str__(v))),
)
"""Plain base classes, and how to get the plain value of a subclass's instance without asking the subclass."""


UNCHANGING = (str, int, float, tuple, frozenset, complex, bytes, Decimal, dt.date, dt.timedelta)
"""Plain classes whose values never change."""


def base_of(kind: type) -> type | None:
    """The plain base class of a class, if it has one."""
    return next((base for base, _ in _BASES if issubclass(kind, base)), None)


def base_value(value: Any) -> Any:
    """The plain value inside an instance of a subclass of a plain class."""
    return next(plain(value) for base, plain in _BASES if issubclass(type(value), base))


_LIBRARY_WRITERS: dict[str, Callable[[Writer, Any, Any], bool]] = {}
"""What writes the values of a library, once that is loaded; it says whether it did."""


def is_written(kind: type) -> bool:
    """Whether a class is of a library whose values are written in ways of their own."""
    return str(kind.__module__).partition(".")[0] in _LIBRARY_WRITERS


def add_library(name: str, put: Callable[[Writer, Any, Any], bool], tag: bytes, read: Callable[[Reader], Any]) -> None:
    """Let the values of one more library cross, under a tag of their own."""
    add_writer(name, put)
    add_reader(tag, read)


def add_writer(name: str, put: Callable[[Writer, Any, Any], bool]) -> None:
    """Ask this about the values of one more library; it says whether it wrote one."""
    _LIBRARY_WRITERS[name] = put


def add_reader(tag: bytes, read: Callable[[Reader], Any], *, can_change: bool = False) -> None:
    """Let a tag stand for values that this reads; `can_change` says whether such values can."""
    _READ[ord(tag)] = _met(_given(read)) if can_change else _given(read)


# Reading


class Reader:
    """Reads one value from `data`. Subclasses add tags in `more`."""

    __slots__ = ("data", "depth", "met", "nodes", "pos", "sharing")

    more: ClassVar[dict[int, Callable[[Any], Any]]] = {}
    """Tag -> method for values that are not plain."""

    def __init__(self, data: bytes, start: int = 0) -> None:
        self.data = data
        self.pos = start
        self.depth = 0
        self.nodes = 0
        self.met: list[Any] | None = None
        """What was read of values that can change, where that is wanted."""
        self.sharing: Any = None

    def whole(self) -> Any:
        """The one value that the data is. Raises Garbled."""
        try:
            value = self.take()
            if self.sharing is not None:
                self.sharing.read(self)
        except Garbled:
            raise
        except Exception as exc:
            raise Garbled(f"{type(exc).__name__} while a frame was read") from None
        if self.pos != len(self.data):
            raise Garbled("bytes after the end of a value")
        return value

    def take(self) -> Any:
        """The next value."""
        tag = self.data[self.pos]
        self.pos += 1
        read = _READ[tag] or self.more.get(tag)
        if read is None:
            raise Garbled(f"an unknown tag {tag}")
        return read(self)

    def expect(self, *kinds: type) -> Any:
        """The next value, which must be of one of these very types."""
        value = self.take()
        if type(value) not in kinds:
            raise Garbled(f"a {type(value).__name__} where a {kinds[0].__name__} belongs")
        return value

    def named(self, value: Any, comes_back: bool) -> Any:
        """A named tuple as it is shown; one that comes back is of a class that went out from here."""
        return value

    def name(self) -> str:
        """A short text."""
        value: str = self.expect(str)
        if len(value) > _MAX_NAME:
            raise Garbled("a name that is too long")
        return value

    def from_library(self) -> Any:
        """A part of a library, by its name."""
        return read_library(self)

    def builtin(self) -> type:
        """A built-in class, by its name."""
        return TYPES[self.name()]

    def factory(self) -> Any:
        """What makes the items that a dictionary lacks, where no class of Python's own does."""
        raise Garbled("a function where none belongs")

    def gave(self, value: Any) -> None:
        """A value of a class of a library was read."""

    def stripped(self) -> None:
        """An array comes of a class that stays on the other side."""

    def masked(self, array: Any) -> Any:
        """A masked array, or one item that is masked, as this side has it."""
        return array

    def missing(self, column: Any, mask: Any) -> Any:
        """A column of pandas whose items are missing where the mask is true, as this side has it."""
        return column

    def no_value(self) -> None:
        """An item that is missing was read by itself."""

    def empty(self, array: Any) -> None:
        """An array, a tensor or a table without items was read."""

    def endless(self) -> None:
        """A number that is not finite was read, or a time that is none."""

    def array(self, array: Any) -> Any:
        """An array, a tensor or a scalar of theirs, as this side has it."""
        return array

    def chunk(self) -> bytes:
        """Bytes with their length before them."""
        (size,) = _U32.unpack_from(self.data, self.pos)
        start = self.pos + 4
        end = start + size
        if end > len(self.data):
            raise Garbled("a length beyond the end")
        self.pos = end
        return self.data[start:end]

    def count(self, width: int = 1) -> int:
        """The number of items that follow, each `width` values."""
        count: int
        (count,) = _U32.unpack_from(self.data, self.pos)
        self.pos += 4
        self.nodes += count * width
        if self.nodes > MAX_NODES or count * width > len(self.data) - self.pos:
            raise Garbled("more items than a frame can hold")
        return count

    def plain_count(self, size: int) -> int:
        """The number of items of `size` bytes each that follow in one piece, of which a frame cannot hold too many."""
        count: int
        (count,) = _U32.unpack_from(self.data, self.pos)
        self.pos += 4
        if count * size > len(self.data) - self.pos:
            raise Garbled("more items than a frame can hold")
        return count

    def items(self, count: int) -> list[Any]:
        """The next `count` values, one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Garbled("a value that is too deep")
        take = self.take
        found = [take() for _ in range(count)]
        self.depth -= 1
        return found

    def deeper(self) -> Any:
        """The next value, one level deeper."""
        return self.items(1)[0]


def _read_i64(reader: Reader) -> int:
    value: int
    (value,) = _I64.unpack_from(reader.data, reader.pos)
    reader.pos += 8
    return value


def _read_f64(reader: Reader) -> float:
    value: float
    (value,) = _F64.unpack_from(reader.data, reader.pos)
    reader.pos += 8
    if value - value:  # which is 0 of any number that is finite
        reader.endless()
    return value


def _read_nan(reader: Reader) -> float:
    place = reader.data[reader.pos]
    reader.pos += 1
    if not 1 <= place <= len(_NANS):
        raise Garbled("a number that is none of none")
    reader.endless()
    home = sys.modules.get(_NANS[place - 1])
    nan: float = vars(home)["nan"] if hasattr(home, "nan") else float("nan")
    return nan


def _read_complex(reader: Reader) -> complex:
    real, imag = _C128.unpack_from(reader.data, reader.pos)
    reader.pos += 16
    if real - real or imag - imag:
        reader.endless()
    return complex(real, imag)


def _read_str(reader: Reader) -> str:
    return reader.chunk().decode("utf-8", "surrogatepass")


def _unique(reader: Reader) -> list[Any]:
    count = reader.count()
    return reader.items(count) if count else []


def _read_numbers(reader: Reader) -> Any:
    count = reader.plain_count(8)
    kind, code = chr(reader.data[reader.pos]), chr(reader.data[reader.pos + 1])
    if kind not in "lt" or code not in "qd":
        raise Garbled("numbers of no kind")
    found = struct.unpack_from(f"<{count}{code}", reader.data, reader.pos + 2)
    reader.pos += 2 + 8 * count
    if code == "d" and (total := sum(found)) - total and any(one - one for one in found):
        reader.endless()
    return found if kind == "t" else list(found)


def _read_pairs(reader: Reader) -> list[tuple[Any, Any]]:
    count = reader.count(2)
    if not count:
        return []
    found = reader.items(2 * count)
    return list(zip(found[::2], found[1::2], strict=True))


def _read_defaultdict(reader: Reader) -> Any:
    factory = _FACTORIES[reader.name()] if reader.data[reader.pos] == ord("s") else reader.factory()
    return defaultdict(factory, _read_pairs(reader))


def _read_deque(reader: Reader) -> Any:
    size = reader.expect(int, type(None))
    return deque(reader.expect(list), size)


def _read_decimal(reader: Reader) -> Decimal:
    text = reader.expect(str)
    if len(text) > _MAX_DIGITS:
        raise Garbled("a number that is too long")
    found = Decimal(text)
    if not found.is_finite():
        reader.endless()
    return found


def _read_fraction(reader: Reader) -> Fraction:
    above, below = reader.expect(int), reader.expect(int)
    if max(above.bit_length(), below.bit_length()) > 8 * _MAX_DIGITS or below <= 0:
        raise Garbled("a fraction that is none")
    return Fraction(above, below)


def _zoned(reader: Reader, fields: list[int], kind: Any) -> Any:
    offset, name = reader.expect(dt.timedelta, type(None)), reader.expect(str, type(None))
    zone = None
    if offset is not None:
        zone = dt.UTC if name == "UTC" and not offset else dt.timezone(offset, name[:_MAX_NAME])
    return kind(*fields[:-1], tzinfo=zone, fold=fields[-1])


def _ints(reader: Reader, count: int) -> list[int]:
    return [reader.expect(int) for _ in range(count)]


class Named(tuple):  # type: ignore[type-arg]
    """Base of named tuples on arrival: a tuple whose items have names. It is made and changed as those of Python are."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: ClassVar[dict[str, Any]] = {}

    def __new__(cls, *items: Any, **named: Any) -> Any:
        """Make one of items, each by its place or its name. Raises TypeError unless there is one for each field."""
        rest = [named.pop(field) for field in cls._fields[len(items) :] if field in named]
        if named or len(items) + len(rest) != len(cls._fields):
            raise TypeError(f"{cls.__name__} takes one item for each of {', '.join(cls._fields)}")
        return tuple.__new__(cls, (*items, *rest))

    @classmethod
    def _make(cls, items: Any) -> Any:
        return cls(*items)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Any:
        return type(self)(**(self._asdict() | changes))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in zip(self._fields, self, strict=True))})"


_named: dict[tuple[str, tuple[str, ...]], type] = {}


def _live(reader: Reader, made_of: Callable[[list[Any]], dict[Any, Any]]) -> dict[Any, Any]:
    """The dictionary of a view: a shared one, or one that is made of its items."""
    found = reader.expect(list, *DICTS)
    if type(found) is not list:
        return found  # type: ignore[no-any-return]
    made = made_of(found)
    if reader.met is not None:
        reader.met.append(made)
    return made


def _read_named(reader: Reader) -> Any:
    comes_back, name, fields, items = reader.expect(bool), reader.name(), reader.expect(tuple), reader.deeper()
    if type(items) is not tuple or len(fields) != len(items) or len(set(fields)) != len(fields) or len(_named) > 1000:
        raise Garbled("a named tuple that is none")
    key = (name, fields)
    if key not in _named:
        if not all(type(n) is str and n.isidentifier() and n[0] != "_" for n in (*fields, name.lstrip("_"))):
            raise Garbled("a named tuple with names that are none")
        places = {field: property(operator.itemgetter(place)) for place, field in enumerate(fields)}
        _named[key] = type(name, (Named,), {"__slots__": (), "_fields": fields, "__match_args__": fields, **places})
    return reader.named(tuple.__new__(_named[key], items), comes_back)


def library(name: str) -> Any:
    """A library that both sides have. A candidate chooses when the tests' side imports it, but not what."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Garbled(f"a value of {name}, which is not installed here") from None


def _read_typed_array(reader: Reader) -> array.array[Any]:
    code, data = reader.name(), reader.expect(bytes)
    if len(code) != 1 or code not in "bBhHiIlLqQfd":
        raise Garbled("an array of no kind")
    made = array.array(code)
    made.frombytes(data)
    if code in "fd" and any(one - one for one in made):
        reader.endless()
    return made


def _read_zone(reader: Reader) -> dt.timezone:
    offset, name = reader.expect(dt.timedelta), reader.expect(str, type(None))
    if name is None:
        return dt.UTC if not offset else dt.timezone(offset)
    return dt.timezone(offset, name[:_MAX_NAME])


def _read_address(reader: Reader) -> Any:
    kind, text = reader.name(), reader.name()
    if kind not in _ADDRESSES:
        raise Garbled("an address of no kind")
    return _ADDRESSES[kind](text)


def _read_pattern(reader: Reader) -> Any:
    text, flags = reader.expect(str, bytes), reader.expect(int)
    if len(text) > _MAX_PATTERN:
        raise Garbled("a pattern that is too long")
    return re.compile(text, flags & ~re.DEBUG)


def read_library(reader: Reader) -> Any:
    """A module or what is in it, of the few that both sides have."""
    module, name = reader.name(), reader.name()
    if module not in LIBRARIES and (module not in ERRORS or not name):
        raise Garbled("a library that does not cross")
    found = library(module)
    if not name:
        return found
    value = vars(found).get(name)
    if module not in LIBRARIES and not (isinstance(value, type) and issubclass(value, BaseException)):
        raise Garbled("a part of a library that does not cross")
    if name.startswith("_") or not callable(value) or isinstance(value, types.ModuleType):
        raise Garbled("a part of a library that is none")
    return value


def _met(read: Callable[[Reader], Any]) -> Callable[[Reader], Any]:
    """Reads a value that can change, and remembers it where that is wanted."""

    def reading(reader: Reader) -> Any:
        value = read(reader)
        if reader.met is not None and type(value) is not tuple:
            reader.met.append(value)
        return value

    return reading


def _given(read: Callable[[Reader], Any]) -> Callable[[Reader], Any]:
    """Reads a value of a library's class, and says so."""

    def reading(reader: Reader) -> Any:
        value = read(reader)
        reader.gave(value)
        return value

    return reading


def _read_shared(reader: Reader) -> Any:
    if reader.sharing is None:
        raise Garbled("a shared value where none belongs")
    return reader.sharing.value(reader)


_READ: list[Callable[[Reader], Any] | None] = [None] * 256
for _tag, _read in {
    "N": lambda r: None,
    ".": lambda r: Ellipsis,
    "!": lambda r: NotImplemented,
    "T": lambda r: True,
    "F": lambda r: False,
    "i": _read_i64,
    "I": lambda r: int.from_bytes(r.chunk(), "little", signed=True),
    "f": _read_f64,
    "1": _read_nan,
    "j": _read_complex,
    "s": _read_str,
    "b": lambda r: r.chunk(),
    "B": lambda r: bytearray(r.chunk()),
    "l": _unique,
    "t": lambda r: tuple(_unique(r)),
    "A": _read_numbers,
    "S": lambda r: set(_unique(r)),
    "Z": lambda r: frozenset(_unique(r)),
    "d": lambda r: dict(_read_pairs(r)),
    "C": lambda r: Counter(dict(_read_pairs(r))),
    "O": lambda r: OrderedDict(_read_pairs(r)),
    "E": _read_defaultdict,
    "q": _read_deque,
    "r": lambda r: range(*_ints(r, 3)),
    "/": lambda r: slice(*r.items(3)),
    "D": _read_decimal,
    "Q": _read_fraction,
    "Y": lambda r: dt.date(*_ints(r, 3)),
    "W": lambda r: dt.timedelta(*_ints(r, 3)),
    "H": lambda r: _zoned(r, _ints(r, 5), dt.time),
    "U": lambda r: _zoned(r, _ints(r, 8), dt.datetime),
    "K": lambda r: _live(r, dict.fromkeys).keys(),
    "V": lambda r: _live(r, lambda items: dict(enumerate(items))).values(),
    "X": lambda r: _live(r, dict).items(),
    "n": _read_named,
    "v": lambda r: r.builtin(),
    "L": lambda r: r.from_library(),
    "R": _read_typed_array,
    "J": _read_zone,
    "w": _read_pattern,
    "5": lambda r: uuid.UUID(int=r.expect(int)),
    "6": lambda r: pathlib.PurePosixPath(r.expect(str)),
    "7": lambda r: pathlib.PosixPath(r.expect(str)),
    "4": _read_address,
    "=": _read_shared,
}.items():
    _read = _given(_read) if _tag in "LRJw4567DQYWHU" else _read
    _READ[ord(_tag)] = _met(_read) if _tag in "BlASdCOEqR" else _read


def dumps(value: Any) -> bytes:
    """A plain value as bytes. Raises TypeError for what is not plain, TooLarge beyond the caps."""
    writer = Writer()
    writer.put(value)
    if len(writer.out) > MAX_FRAME:
        raise TooLarge(f"a value of more than {MAX_FRAME >> 20} MiB")
    return bytes(writer.out)


def loads(data: bytes) -> Any:
    """The plain value that bytes are. Raises Garbled for anything else."""
    return Reader(data).whole()
