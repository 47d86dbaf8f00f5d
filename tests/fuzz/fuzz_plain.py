"""Feeds the boundary's decoder random and mutated frames: `python tests/fuzz/fuzz_plain.py [FRAMES] [SEED]`.

A frame must give a plain value or `Garbled`, within a second and a bounded piece of memory; anything else ends with the frame
that did it. With `atheris` as the first argument it is a coverage-guided target instead (`pip install atheris`); what follows
are libFuzzer's own arguments.

Left out: the conversation around the frames. `tests/unit/test_apart_hostile.py` has that.
"""

from __future__ import annotations

import array
import contextlib
import copy
import datetime as dt
import importlib
import json
import pathlib
import pickle
import random
import re
import resource
import socket
import sys
import time
import uuid
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "sandbox_image"))
if sys.argv[1:2] == ["atheris"]:
    import atheris

    with atheris.instrument_imports(include=["agent"]):
        from agent.boundary import asking, sharing
        from agent.boundary import link as proxies
        from agent.boundary import values as plain
        from agent.boundary.handles import HandleMeta
else:
    from agent.boundary import asking, sharing
    from agent.boundary import link as proxies
    from agent.boundary import values as plain
    from agent.boundary.handles import HandleMeta

SEEDS = [
    plain.dumps(value)
    for value in (
        *(None, True, 7, -(1 << 80), 1.5, 2j, "text\ud800", b"bytes", bytearray(b"x"), [1, [2, [3]]], (1, "a"), {1: {2: 3}}, {1, 2}, frozenset("ab")),
        *(range(1, 9, 2), slice(1, None, 2), ..., Decimal("1.25"), Fraction(1, 3), dt.date(2024, 2, 29), dt.timedelta(1, 2, 3), dt.time(1, 2, 3)),
        *(dt.datetime(2024, 1, 1, tzinfo=dt.UTC), Counter("aab"), OrderedDict(a=1), defaultdict(int, {1: 2}), deque([1], 3), int, {1: 2}.keys()),
        (KeyError, ("k",), "'k'", {"code": 3}, "frames", -1, None, -1),
        *(re.compile("a+"), array.array("i", [1, 2]), dt.UTC, uuid.UUID(int=5), pathlib.PurePosixPath("a/b")),
        (1, (2,), {"a": 3}),
        list(range(9)),
        (0.5,) * 7,
    )
]  # fmt: skip
SEEDS += [
    b"a" + plain.dumps("<f8") + plain.dumps((2, 1)) + plain.dumps(bytes(16)),
    b"a" + plain.dumps("<U2") + plain.dumps((1,)) + plain.dumps(bytes(8)),
    b"g" + plain.dumps("<M8[D]") + plain.dumps(bytes(8)),
    b"g" + plain.dumps("<m8[3as]") + plain.dumps(b"\x01" + bytes(7)),
    b"M"
    + b"a"
    + plain.dumps("<i4")
    + plain.dumps((2,))
    + plain.dumps(bytes(8))
    + b"a"
    + plain.dumps("|b1")
    + plain.dumps((2,))
    + plain.dumps(b"\0\1"),
    b"P"
    + plain.dumps((3,))
    + (
        b"m"
        + plain.dumps("int64")
        + plain.dumps("cpu")
        + plain.dumps(False)
        + plain.dumps((1, 2))
        + plain.dumps(bytes(8) + b"\1" + bytes(7))
    )
    + (b"m" + plain.dumps("float32") + plain.dumps("cpu") + plain.dumps(False) + plain.dumps((2,)) + plain.dumps(bytes(8))),
    b"m" + plain.dumps("float32") + plain.dumps("cpu") + plain.dumps(True) + plain.dumps((1, 2)) + plain.dumps(bytes(8)),
    b"m" + plain.dumps("bool") + plain.dumps("cpu") + plain.dumps(False) + plain.dumps(()) + plain.dumps(bytes(1)),
    b"L" + plain.dumps("math") + plain.dumps("sqrt"),
]
_ABOUT = plain.dumps(("Name", "Name", "candidate", False))
_CLASS = (
    b"c"
    + plain.dumps(5)
    + b"T"
    + _ABOUT
    + b"l\0\0\0\0"
    + plain.dumps((("len", "iter"), ("push",), None, None, ()))
    + plain.dumps(("", True, ()))
)
SEEDS += [
    _CLASS,
    b"h" + plain.dumps(9) + _CLASS + plain.dumps(""),
    b"(" + plain.dumps(3) + plain.dumps(("f", "f", "", False)),
    b"k" + plain.dumps(1),
    b"e" + SEEDS[-2],
    b"p" + plain.dumps(2),
    b"o" + plain.dumps(0),
]
_WORDS = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x01\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x04",
    b"N",
    b"T",
    b"l\x01\0\0\0",
    b"t\x02\0\0\0",
]


def _shared(value: Any) -> bytes:
    """A value as it crosses for the first time where values are shared, with what is in it."""
    writer, ours = plain.Writer(), sharing.Shared(of_candidate=True)
    ours.writes(writer)
    writer.put(value)
    ours.wrote(writer)
    return bytes(writer.out)


SEEDS += map(
    _shared,
    ([1, [2]], {"a": [1, {2}]}, [[0] * 3] * 3, (deque([1], 3), Counter("aab"), defaultdict(list, {1: [2]}), bytearray(b"x"))),
)


def _tables() -> list[bytes]:
    """Values of pandas, in their frames."""
    pd: Any = importlib.import_module("pandas")
    days = pd.date_range("2024-01-31", periods=3, freq="ME")
    both = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None])
    made = (
        *(pd.NaT, pd.NA, pd.Timestamp("2024-02-29 12:00", tz="Europe/Rome"), pd.Timedelta("1 day 3us"), pd.RangeIndex(0, 9, 3)),
        *(days, both, pd.CategoricalIndex(["x", "y", "x"]), pd.interval_range(0, 3), pd.Index(["a", "b"], name=("n", 1))),
        *(
            pd.Series([1.5, None]),
            pd.Series([1, None], dtype="Int64"),
            pd.Series(["a", None], dtype="string"),
            pd.Series([[1], None]),
        ),
        *(
            pd.Series(days.tz_localize("UTC")),
            pd.Series([3, 4, 5], index=both),
            pd.array([True, None]),
            pd.Categorical([1, 2, 1]),
        ),
        pd.DataFrame({"n": [1, 2, 3], "t": ["a", None, "c"], "d": days, "c": pd.Categorical(list("xyx"))}, index=both),
        pd.DataFrame({"a": [0.5, 1.5], "b": pd.array([1, None], dtype="UInt8")}),
        pd.DataFrame(index=days),
    )
    return [plain.dumps(value) for value in made]


_MODULES = {
    "agent",
    "array",
    "builtins",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "pandas",
    "pathlib",
    "re",
    "types",
    "uuid",
}
_LIBRARIES = {name.split(".")[0] for name in plain.LIBRARIES}


def mutated(random: random.Random) -> bytes:
    """A frame that is random, or made of honest ones by a few accidents."""
    if random.random() < 0.1:
        return random.randbytes(random.randrange(64))
    data = bytearray(random.choice(SEEDS))
    # A byte or two leave most frames a value, whose use is tried then; more accidents try the decoder.
    gentle = random.random() < 0.5
    for _ in range(random.randrange(1, 3) if gentle else random.randrange(1, 6)):
        place = random.randrange(len(data) + 1)
        what = random.choice((0, 5)) if gentle else random.randrange(7)
        if what == 0 and place < len(data):
            data[place] = random.randrange(256)
        elif what == 1:
            data[place:place] = random.choice(SEEDS)
        elif what == 2:
            del data[place : place + random.randrange(1, 9)]
        elif what == 3:
            data[place : place + 4] = random.choice(_WORDS)
        elif what == 4:
            data[place:place] = random.choice(_WORDS)
        elif what == 5 and place < len(data):
            data[place] ^= 1 << random.randrange(8)
        else:
            data = data[:place] + bytearray(random.choice(SEEDS))
    return bytes(data)


class _Silent(proxies.Link):  # type: ignore[misc]
    """An end of a boundary whose other end answers nothing."""

    def ask(self, kind, *operands):
        raise plain.Garbled("nobody answers")


def link() -> proxies.Link:
    """A fresh end of a boundary, with a callable to come back to."""
    made = _Silent(socket.socketpair()[0], "candidate", "", in_place=False, tampered=lambda what: None)
    made.callable_number(print, print)
    return made


def feed(data: bytes, end: proxies.Link) -> str:
    """Decode a frame as plain data and as what the tests' side makes of it. Returns what became of it."""
    outcome = "plain"
    try:
        value = plain.loads(data)
    except plain.Garbled:
        outcome = "garbled"
    else:
        check(value)
        use(value)
    try:
        check(asking.AnswerReader(data, end, 0).whole())
        outcome = "a value"
    except plain.Garbled:
        pass
    reader = asking.AnswerReader(data, end, 0)
    sharing.Shared().reads(reader)
    try:
        value = reader.whole()
    except plain.Garbled:
        pass
    else:
        outcome = "a value"
        repr(value)  # it may contain itself
        use(value)
    return outcome


def check(value: object) -> None:
    """Only our own kinds of objects come out."""
    todo = [value]
    while todo:
        value = todo.pop()
        kind = value if isinstance(value, type) else type(value)
        if isinstance(kind, HandleMeta) or issubclass(kind, BaseException):
            continue
        module = kind.__module__.split(".")[0]
        assert module in _MODULES or module in _LIBRARIES, kind
        if isinstance(value, list | tuple | set | frozenset | deque):
            todo += list(value)
        elif isinstance(value, dict):
            todo += [*value.keys(), *value.values()]


_USES: tuple[Callable[[Any], Any], ...] = (
    *(repr, str, bool, hash, len, list, sorted, sum, max, float, complex, abs, round, copy.deepcopy, pickle.dumps),
    *(lambda v: v == v, lambda v: v != 0, lambda v: v < v, lambda v: v < 1, lambda v: v in [0, "a", None], lambda v: 0 in v),
    *(lambda v: v + v, lambda v: v - v, lambda v: v * 2, lambda v: v / 3, lambda v: v // 2, lambda v: v % 7, lambda v: 1 + v),
    *(lambda v: v[0], lambda v: v[::-1], lambda v: f"{v}", lambda v: [*map(repr, v)], lambda v: json.dumps(v, default=str)),
)


def use(value: Any) -> None:
    """Do to a value what tests do: it may raise what Python raises, and must not end the process.

    What takes long because it is large, as the items of a range, is left alone: time is limited elsewhere.
    """
    with contextlib.suppress(TypeError, OverflowError):
        if len(value) > 1000:
            return
    if isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > 1000):
        return
    if isinstance(value, range):
        return
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series | pandas.DataFrame | pandas.Index):
        _use_table(value)
        return
    for action in _USES:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            action(value)
    for action in (numpy.asarray, numpy.sum, lambda v: numpy.allclose(v, 1)) if numpy is not None else ():
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            action(value)
    if torch is not None and isinstance(value, torch.Tensor):
        for action in (lambda v: torch.allclose(v, v), lambda v: v.sum().item(), lambda v: v.to_dense(), torch.isnan):
            with contextlib.suppress(Exception):
                action(value)


_USES_OF_TABLES: tuple[Callable[[Any], Any], ...] = (
    *(
        repr,
        list,
        plain.dumps,
        copy.deepcopy,
        lambda v: v == v,
        lambda v: v + v,
        lambda v: v - v,
        lambda v: v < v,
        lambda v: v.equals(v),
    ),
    *(lambda v: v.to_numpy(), lambda v: v.isna(), lambda v: v.unique(), lambda v: v.sort_values(), lambda v: v.sort_index()),
    *(lambda v: v.reset_index(), lambda v: v.iloc[-1], lambda v: v.loc[v.index[0]], lambda v: v.astype(str), lambda v: v.sum()),
)


def _use_table(value: Any) -> None:
    for action in _USES_OF_TABLES:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            action(value)


def run(frames: int, seed: int) -> dict[str, object]:
    """Decode so many frames. Returns figures; raises on the first frame that does what none may."""
    for library in ("numpy", "torch"):  # their import is not what is measured
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    with contextlib.suppress(ImportError):
        SEEDS.extend(_tables())
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    started = time.perf_counter()
    end = link()
    for number in range(frames):
        data = mutated(chance)
        before = time.process_time()  # a busy machine is not the frame's doing
        try:
            outcomes[feed(data, end)] += 1
        except BaseException:
            print(f"frame {number} of seed {seed}: {data!r}", file=sys.stderr)
            raise
        took = time.process_time() - before
        assert took < 1.0, f"frame {number} of seed {seed} took {took:.2f} s: {data!r}"
        slowest = max(slowest, took)
        if number % 2000 == 1999:
            end._sock.close()
            end = link()
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rate = round(frames / seconds)
    return {
        "frames": frames,
        "outcomes": dict(outcomes),
        "slowest_ms": round(slowest * 1e3, 2),
        "per_second": rate,
        "memory_peak": memory,
    }


def with_atheris() -> None:
    """The same as a target of atheris."""
    end = [link(), 0]

    def one(data: bytes) -> None:
        end[1] += 1
        if end[1] % 2000 == 0:
            end[0]._sock.close()
            end[0] = link()
        feed(bytes(data), end[0])

    atheris.Setup(sys.argv[:1] + sys.argv[2:], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["atheris"]:
        with_atheris()
    else:
        count, seed = (int(word) for word in (sys.argv[1:3] + ["1000000", "0"][len(sys.argv[1:3]) :]))
        print(json.dumps(run(count, seed)))
