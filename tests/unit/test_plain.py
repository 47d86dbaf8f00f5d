"""The codec of the boundary: what goes in comes out, as plain types; everything else is garbled, quickly and always."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_image.agent.boundary import values as plain

PLAIN = (
    type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range, slice, type(...), Decimal, Fraction,
    dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, Counter, OrderedDict, defaultdict, deque, type, type(NotImplemented),
    type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip


def same(one, other):
    """Equal in value and in type, all the way down; NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one.items(), other.items(), strict=True))
    return one == other


hashable = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | st.integers(min_value=-(1 << 300), max_value=1 << 300)
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=()))
        | st.binary()
        | st.dates()
        | st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(dt.timezone(dt.timedelta(hours=-3))))
        | st.timedeltas()
        | st.times()
        | st.decimals(allow_nan=False)
        | st.fractions()
        | st.sampled_from([..., int, ValueError, range(3), range(5, -5, -2), range(1 << 70)])
        | st.tuples(hashable, hashable)
        | st.frozensets(hashable, max_size=4)
    )
)
numbers = st.lists(st.integers(-(1 << 65), 1 << 65) | st.just(True), min_size=4, max_size=9) | st.lists(
    st.floats(), min_size=4, max_size=9
)
values = st.recursive(
    hashable
    | st.complex_numbers()
    | st.just(math.nan)
    | numbers
    | numbers.map(tuple)
    | st.binary().map(bytearray)
    | st.builds(slice, st.none() | st.integers(), st.integers()),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(lambda items: deque(items, 5))
        | st.dictionaries(hashable, inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4).map(OrderedDict)
        | st.dictionaries(hashable, inner, max_size=4).map(lambda items: defaultdict(list, items))
        | st.sets(hashable, max_size=4)
        | st.lists(hashable, max_size=4).map(Counter)
    ),
    max_leaves=30,
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(values)
def test_what_goes_in_comes_out(value):
    assert same(plain.loads(plain.dumps(value)), value)


def _only_plain(value):
    if not isinstance(value, type):
        assert type(value) in PLAIN or isinstance(value, plain.Named), type(value)
    if isinstance(value, list | tuple | set | frozenset | deque):
        for item in value:
            _only_plain(item)
    elif isinstance(value, dict):
        for item in value.items():
            _only_plain(item)


@quick
@given(values, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), st.floats(0, 1))
def test_a_mutated_frame_is_garbled_or_plain(value, changes, cut):
    data = bytearray(plain.dumps(value))
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    for frame in (bytes(data), bytes(data[: int(cut * len(data))])):
        try:
            found = plain.loads(frame)
        except plain.Garbled:
            continue
        _only_plain_or_library(found)


def _only_plain_or_library(value):
    kind = type(value)
    if kind.__module__.split(".")[0] in ("builtins", "collections", "datetime", "decimal", "fractions", "plain"):
        return
    assert kind.__module__.split(".")[0] in {name.split(".")[0] for name in plain.LIBRARIES}, kind


@quick
@given(st.binary(max_size=200))
def test_random_bytes_are_garbled_or_plain(data):
    with contextlib.suppress(plain.Garbled):
        _only_plain_or_library(plain.loads(data))


class Lies(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __index__(self):
        raise RuntimeError

    __int__ = __repr__ = __str__ = __reduce__ = __index__


def _lying(base, *args):
    def refuse(self, *_, **__):
        raise AssertionError("asked")

    names = [
        "__eq__",
        "__len__",
        "__iter__",
        "__getitem__",
        "__repr__",
        "__str__",
        "__contains__",
        "items",
        "keys",
        "values",
        "copy",
        "encode",
        "__float__",
        "__reduce_ex__",
    ]
    return type("Lying", (base,), {**dict.fromkeys(names, refuse), "__hash__": base.__hash__})(*args)


@pytest.mark.parametrize(
    ("base", "args"),
    [(int, (3,)), (float, (3.5,)), (str, ("x",)), (bytes, (b"x",)), (list, ([1],)), (tuple, ((1, 2),)), (dict, ({1: 2},)), (set, ([1],)), (frozenset, ([1],)), (bytearray, (b"x",)), (Decimal, ("1.5",)), (complex, (1j,))],
)  # fmt: skip
def test_an_instance_of_a_subclass_arrives_as_its_base_and_is_not_asked(base, args):
    found = plain.loads(plain.dumps(_lying(base, *args)))
    assert type(found) is base
    assert found == base(*args)


def test_named_tuples_arrive_as_tuples_with_names():
    point = namedtuple("Point", "x y")(1, [2])
    found = plain.loads(plain.dumps(point))
    assert found == (1, [2])
    assert (found.x, found.y, found._fields, repr(found)) == (1, [2], ("x", "y"), "Point(x=1, y=[2])")
    assert found._replace(x=5) == (5, [2])
    assert found._asdict() == {"x": 1, "y": [2]}


def _nested(tag, depth):
    return tag * depth + b"N"


GARBLED = {
    "nothing": b"",
    "an unknown tag": b"\x00",
    "bytes after the end": b"NN",
    "a short integer": b"i123",
    "a short string": b"s\x05\x00\x00\x00ab",
    "invalid UTF-8": b"s\x01\x00\x00\x00\xff",
    "a list longer than the frame": b"l\xff\xff\xff\xffN",
    "a list longer than the cap": b"l" + struct.pack("<I", plain.MAX_NODES + 1) + b"N" * 100,
    "a nest of lists": b"l\x01\x00\x00\x00" * 100_000 + b"N",
    "a nest of dicts": b"d\x01\x00\x00\x00N" * 100_000 + b"N",
    "a nest of named tuples": (b"n" + plain.dumps("P") + plain.dumps(("x",)) + b"t\x01\x00\x00\x00") * 1000 + b"N",
    "a nest of slices": b"/NN" * 1000 + b"N",
    "a nest of deques": b"qN" * 100_000,
    "a nest of views": b"K" * 100_000,
    "unhashable keys": b"d\x01\x00\x00\x00l\x00\x00\x00\x00N",
    "unhashable members": b"S\x01\x00\x00\x00d\x00\x00\x00\x00",
    "numbers of no kind": b"A\x01\0\0\0xq" + bytes(8),
    "fewer numbers": b"A\x02\0\0\0lq" + bytes(8),
    "numbers without end": b"A\xff\xff\xff\xfflq" + bytes(8),
    "a step of zero": b"r" + plain.dumps(1) + plain.dumps(2) + plain.dumps(0),
    "a range of texts": b"r" + plain.dumps("1") * 3,
    "a decimal that is none": b"D" + plain.dumps("x"),
    "a fraction over zero": b"Q" + plain.dumps(1) + plain.dumps(0),
    "a month of thirteen": b"Y" + plain.dumps(2024) + plain.dumps(13) + plain.dumps(1),
    "an unknown type": b"v" + plain.dumps("eval"),
    "a function as a type": b"v" + plain.dumps("print"),
    "os": b"L" + plain.dumps("os") + plain.dumps("system"),
    "builtins": b"L" + plain.dumps("builtins") + plain.dumps("eval"),
    "a private part": b"L" + plain.dumps("random") + plain.dumps("_os"),
    "a module in a module": b"L" + plain.dumps("dataclasses") + plain.dumps("sys"),
    "a factory that is none": b"E" + plain.dumps("eval")[0:] + b"\x00\x00\x00\x00",
    "a named tuple with a dunder": b"n" + plain.dumps("P") + plain.dumps(("__eq__",)) + plain.dumps((1,)),
    "a named tuple of two sizes": b"n" + plain.dumps("P") + plain.dumps(("x", "y")) + plain.dumps((1,)),
    "a dtype of objects": b"aT" + plain.dumps("O") + plain.dumps((1,)) + plain.dumps(b"\x00" * 8),
    "a dtype of fields": b"aT" + plain.dumps("i4,i4") + plain.dumps((1,)) + plain.dumps(b"\x00" * 8),
    "an array of another size": b"aT" + plain.dumps("<i8") + plain.dumps((3,)) + plain.dumps(b"\x00" * 8),
    "an array of a negative size": b"aT" + plain.dumps("<i8") + plain.dumps((-1,)) + plain.dumps(b"\x00" * 8),
    "an array of an endless size": b"aT" + plain.dumps("<U0") + plain.dumps((1 << 26, 1 << 26)) + plain.dumps(b""),
    "characters beyond Unicode": b"aT" + plain.dumps("<U1") + plain.dumps((1,)) + plain.dumps(b"\xff" * 4),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBLED)
def test_garbled(name):
    with pytest.raises(plain.Garbled):
        plain.loads(GARBLED[name])


def test_every_prefix_of_a_frame_is_garbled():
    data = plain.dumps([1, "text", {2: (3.5, b"x")}, Decimal(1), range(3), Counter("aab")])
    for end in range(len(data)):
        with pytest.raises(plain.Garbled):
            plain.loads(data[:end])


def test_what_is_not_plain_is_refused():
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(1000):
        deep = [deep]
    for value in (object(), lambda: 1, loop, deep):
        with pytest.raises(TypeError):
            plain.dumps(value)
    with pytest.raises(plain.TooLarge):
        plain.dumps("x" * (plain.MAX_FRAME + 1))


def test_booleans_of_an_array_are_true_or_false():
    array = plain.loads(b"aTF" + plain.dumps("|b1") + plain.dumps((2,)) + plain.dumps(b"\x02\x00"))
    assert array.view("u1").tolist() == [1, 0]
