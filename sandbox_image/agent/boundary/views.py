"""What an object shows of itself: length, items, truth, shape and array are those of one thing, the same at each look.

What was seen is kept until the tests have the candidate do something that may change it. Views that disagree fail the test that
sees it, unless the tests made the object: a class that they test may be odd, and that rests on its word.

Left out: comparing with values of the tests. `operators.py` does.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import values
from .handles import LISTING, Handle, has_protocol

if TYPE_CHECKING:
    from .link import Link

_LISTED = tuple(f"{name}()" for name in LISTING)
_MOST = 1000
"""Items of which each is remembered."""


def once(own: Handle, name: str, ask: Callable[[], Any]) -> Any:
    """The answer to a question, asked but once while nothing changes."""
    known = type(own)._fumehood_link.views_of(own)
    if name not in known:
        known[name] = ask()
    return known[name]


def seen(own: Handle, name: str, value: Any) -> Any:
    """Note one view, and hold it against the others. Raises TypeError, the candidate's, where they disagree."""
    link = type(own)._fumehood_link
    known = link.views_of(own)
    if name == "array":
        shape = getattr(value, "shape", None)
        if type(shape) is tuple:
            _agree(own, "array shape", shape)
            for told in ("shape", "len"):  # what it says beside, asked before anything else can change
                _shown_beside(own, told)
        return value
    if name == "bool":
        _agree(own, "truth", value)
    elif name == "len":
        _agree(own, "length", value)
    elif name == "shape" and type(value) is tuple:
        _agree(own, "shape", value)
    elif name in ("items", *_LISTED):
        _agree(own, name, value)
        for place, item in known.get("got", {}).items():
            _hold_item(own, place, place, item)
    return value


def _hold_item(own: Handle, key: int, place: int, told: bytes | None) -> None:
    """Hold what an object has under a key against the item at that place: a graph's node need not be its own neighbours."""
    link = type(own)._fumehood_link
    kept = link.views_of(own).get("all", ())
    if place < len(kept) and None not in (told, kept[place]) and kept[place] != told:
        if _as_bytes(key) not in kept and has_protocol(type(own), "__len__"):
            _disagree(own, f"item {key} and iteration")
        link.rest_on("word")


def _shown_beside(own: Handle, name: str) -> None:
    link = type(own)._fumehood_link
    known = link.views_of(own)
    if name in known:
        return
    known[name] = None
    if name == "len" and has_protocol(type(own), "__len__"):
        seen(own, "len", link.ask("operator", "len", (own,), {}))
    elif name == "shape":
        try:
            value = link.ask("get", own, "shape")
        except Exception:
            return
        if type(value) is tuple:
            seen(own, "shape", value)


def _agree(own: Handle, name: str, value: Any) -> None:
    known = type(own)._fumehood_link.views_of(own).setdefault("told", {})
    known[name] = value
    table = _is_table(own) and name in (*_LISTED, "length", "items")
    views = ("length", "items") if table and name not in _LISTED else _LISTED if table else ("length", "items", *_LISTED)
    sizes = {view: known[view] for view in views if view in known}
    if table and len({known[view] for view in ("length", "items", *_LISTED) if view in known}) > 1:
        if not _has_rows(own):
            _disagree(own, "length and keys")
        type(own)._fumehood_link.rest_on("word")
    for view in ("shape", "array shape"):
        if known.get(view):
            sizes[view] = known[view][0]
    if len(set(sizes.values())) > 1:
        _disagree(own, " and ".join(sizes))
    if "shape" in known and "array shape" in known and known["shape"] != known["array shape"]:
        _disagree(own, "shape and array")
    if "truth" in known and sizes and "shape" not in sizes and known["truth"] != (next(iter(sizes.values())) > 0):
        _disagree(own, "truth and " + next(iter(sizes)))


def _is_table(own: Handle) -> bool:
    """Whether an object has keys, and its items may be others: only a mapping's items are its keys."""
    kind = type(own)
    mapping = issubclass(kind, Mapping) or issubclass(kind._fumehood_base or object, dict)
    return not mapping and has_protocol(kind, "__iter__") and has_protocol(kind, "__len__")


def _has_rows(own: Handle) -> bool:
    """Whether what a table gives as its items is of another kind than its keys; looked at once."""
    known = type(own)._fumehood_link.views_of(own)
    told = known.setdefault("told", {})
    if "rows" not in told:
        told["rows"] = True  # while it is looked at
        keys = _kinds(known.get("map", {}).get("keys()", ()))
        kinds = _kinds(_as_bytes(item) for item in itertools.islice(own, _MOST))
        for views in (told, type(own)._fumehood_link.views_of(own).setdefault("told", {})):  # looking may have made them anew
            views["rows"] = bool(kinds) and not kinds & keys
    return bool(told["rows"])


def _kinds(shown: Iterable[bytes | None]) -> set[bytes]:
    """Of which kinds values are, by the first byte of each as it is written."""
    return {part[:1] for part in shown if part}


def _disagree(own: Handle, what: str) -> None:
    link = type(own)._fumehood_link
    if own._fumehood_id in link.made:
        link.rest_on("word")
        return
    raise link.refuse(TypeError(f"{type(own).__name__}, which the candidate handed out, is not one thing: its {what} disagree"))


def has_items(own: Handle) -> bool | None:
    """Whether an object shows any items; None where it shows none that could be looked at again."""
    if not has_protocol(type(own), "__iter__") or has_protocol(type(own), "__next__"):
        return None
    try:
        shown: Any = own
        return any(True for _ in shown)
    except Exception:
        return None


def iteration(own: Handle, source: Any) -> Any:
    """An object's iterator, whose items are counted and kept. What was handed out has the same items at each look."""
    link = type(own)._fumehood_link
    generator = isinstance(source, types.GeneratorType)
    if source is own or not (generator or isinstance(source, Handle)) or has_protocol(type(own), "__next__"):
        return source
    if own._fumehood_id in link.made:
        return counted(own, source)
    last = link.readings.get(own._fumehood_id)
    if last is not None and last.source is source:  # one iterator at each look, which goes on where it stood
        return last.items
    if last is None or last.changes != link.changes:
        link.readings[own._fumehood_id] = last = Reading(own, source, last)
    return _again(link, last)


class Reading:
    """The items of an object that was handed out, as they were read first: a second look gives the same ones.

    Else it could be one list for the assertion about its sum, and another for that about its items.
    """

    def __init__(self, own: Handle, source: Any, before: Reading | None) -> None:
        link = type(own)._fumehood_link
        self.source = source if isinstance(source, Handle) else None
        self.items = counted(own, source)
        """Those that were not taken yet."""
        self.changes = link.changes
        """How often the candidate had done what may change an object, when this was read last."""
        self.taken: list[Any] = []
        self.shown: list[bytes | None] = []
        self._before = before.shown if before is not None else []

    def take(self, link: Link) -> bool:
        """Read one item more. Returns False at the end."""
        current = self.changes == link.changes
        try:
            item = next(self.items)
        except StopIteration:
            return False
        finally:
            if current:  # to be read changes nothing
                self.changes = link.changes
        place = len(self.taken)
        self.taken.append(item)
        if place < _MOST:
            self.shown.append(_as_bytes(item))
            if place < len(self._before) and self._before[place] != self.shown[place]:
                link.rest_on("word")  # it has changed, for all that anybody can say
        return True


def _again(link: Link, reading: Reading) -> Iterator[Any]:
    place = 0
    while place < len(reading.taken) or reading.take(link):
        yield reading.taken[place]
        place += 1


def backwards(own: Handle, value: Any) -> Any:
    """What an object gives as its items in reverse, held against its items."""
    if own._fumehood_id in type(own)._fumehood_link.made or not has_protocol(type(own), "__iter__"):
        return value
    found = list(value)
    mine, theirs = [_as_bytes(item) for item in found], [_as_bytes(item) for item in list(own)]
    if None not in (*mine, *theirs) and mine != theirs[::-1]:
        _disagree(own, "items and items in reverse")
    return iter(found)


def searched(own: Handle, name: str, args: tuple[Any, ...], value: Any) -> Any:
    """What `index`, `count` or `get` gave for a value, held against what an object that was handed out shows."""
    if name == "get" and "keys" in type(own)._fumehood_methods and (shown := mapping(own)) is not None:
        if _as_bytes(value) is None or _as_bytes(value) != _as_bytes(shown.get(*args)):
            type(own)._fumehood_link.rest_on("word")
        return value
    if name == "get" or not has_protocol(type(own), "__iter__") or len(args) != 1:
        type(own)._fumehood_link.rest_on("word")
        return value
    items = list(own)
    if type(value) is not int or value != (items.count(args[0]) if name == "count" else items.index(args[0])):
        _disagree(own, f"items and {name}()")
    return value


def attribute(own: Handle, name: str, value: Any) -> Any:
    """An attribute; one that is another at the second look rests on the candidate's word."""
    link = type(own)._fumehood_link
    if name == "shape":
        return seen(own, name, value)
    told = _as_bytes(value)
    if link.views_of(own).setdefault(f".{name}", told) != told and own._fumehood_id not in link.made:
        link.rest_on("word")
    return value


def mapping(own: Handle) -> dict[Any, Any] | None:
    """What an object shows of itself as a mapping of plain keys: None where it is none, or lists a key twice."""
    kind = type(own)
    if not has_protocol(kind, "__getitem__"):
        return None
    keys = list(own.keys()) if "keys" in kind._fumehood_methods else list(own)
    if len(keys) > _MOST or None in map(_as_bytes, keys):
        return None
    answers = kind._fumehood_link.line_up(own, "getitem", keys)
    shown = {key: value for key, (heard, value) in zip(keys, answers, strict=True) if heard}
    return shown if len(shown) == len(keys) else None


def counted(own: Handle, source: Any) -> Any:
    """An iterator over an object, by whose end all its items are known."""
    link = type(own)._fumehood_link
    made = _items(own, source)
    if isinstance(source, types.GeneratorType):
        link.sources[made] = link.sources[source]
    return made


def _items(own: Handle, source: Any) -> Any:
    link = type(own)._fumehood_link
    kept: list[bytes | None] = []
    parts: list[Any] = []
    count = 0
    seen_before = dict(link.views_of(own))
    mapping, listing = link.listings.get(own._fumehood_id, (own if "keys" in type(own)._fumehood_methods else None, "items"))
    listed_before = dict(link.views_of(mapping)) if mapping is not None else {}
    acts = link.acts
    for item in source:
        count += 1
        if count <= _MOST:
            kept.append(_as_bytes(item))
            parts.append(item)
        yield item
    # Taking an item may change an object; a whole iteration is one look, unless the tests have it change meanwhile.
    known = _restored(own, seen_before if link.acts == acts else {"told": seen_before.get("told", {})})
    if mapping is None:
        known["all"] = kept
    elif link.acts == acts:
        _restored(mapping, listed_before)
        listed(mapping, listing, parts, count)
    if mapping is not own:
        seen(own, "items", count)


def _restored(own: Handle, before: dict[str, Any]) -> dict[str, Any]:
    """What was seen of an object, with what was seen before it was asked for what changes nothing."""
    known = type(own)._fumehood_link.views_of(own)
    for name in ("told", "got", "map", "pairs"):
        if name in before:
            known[name] = before[name] | known.get(name, {})
    return known


# Mappings


def listed(own: Handle, name: str, parts: Iterable[Any], count: int) -> None:
    """Note what a mapping lists of itself: its `keys()`, `values()` or `items()`, or its own items, which are keys."""
    known = type(own)._fumehood_link.views_of(own)
    if count <= _MOST:
        told = known.setdefault("map", {})
        told[name] = [_pair(part) if name == "items()" else _as_bytes(part) for part in parts]
    seen(own, name, count)
    _shown_beside(own, "len")
    _agree_as_mapping(own)


def _pair(part: Any) -> tuple[bytes | None, bytes | None]:
    if type(part) is tuple and len(part) == 2:
        return _as_bytes(part[0]), _as_bytes(part[1])
    return None, None


def _agree_as_mapping(own: Handle) -> None:
    """Hold what a mapping says of its keys and values against each other, as far as both are plain."""
    known = type(own)._fumehood_link.views_of(own)
    told = known.get("map", {})
    pairs = told.get("items()", ())
    keys = {name: told[name] for name in ("keys()", "items") if name in told}
    if _is_table(own) and len(keys) > 1 and not _kinds(keys["items"]) & _kinds(keys["keys()"]):
        del keys["items"]  # rows, where the keys are columns
    values = {"values()": told["values()"]} if "values()" in told else {}
    if "items()" in told:
        keys["items()"] = [key for key, _ in pairs]
        values["items()"] = [value for _, value in pairs]
    for views in (keys, values):
        plain = {name: sorted(view) for name, view in views.items() if None not in view}
        if len({tuple(view) for view in plain.values()}) > 1:
            _disagree(own, " and ".join(plain))
    got = known.get("pairs", {})
    for key, value in pairs:
        if None not in (key, value, got.get(key, value)) and got.get(key, value) != value:
            _disagree(own, "items() and what it has under a key")


def item(own: Handle, key: Any, value: Any) -> Any:
    """Note what an object gives for an index or a slice, and hold it against its other views."""
    link = type(own)._fumehood_link
    known = link.views_of(own)
    kind = type(own)
    if "keys" in kind._fumehood_methods:
        told = _as_bytes(value)
        if known.setdefault("pairs", {}).setdefault(_as_bytes(key), told) != told:
            _disagree(own, "answers for one key")
        _agree_as_mapping(own)
        return value
    if type(key) is int and (key >= 0 or has_protocol(kind, "__len__")):
        place = key if key >= 0 else key + own.__len__()
        told = _as_bytes(value)
        if known.setdefault("got", {}).setdefault(place, told) != told:
            _disagree(own, f"answers for item {key}")
        _hold_item(own, key, place, told)
    elif type(key) is slice and isinstance(value, list | tuple | str) and has_protocol(kind, "__len__"):
        size = own.__len__()
        if size <= _MOST:
            chosen = list(range(*key.indices(size)))
            picked = link.line_up(own, "getitem", chosen) if chosen else []
            mine = [_as_bytes(found) for heard, found in picked if heard]
            told_items = list(map(_as_bytes, value))
            if len(picked) == len(mine) and (len(told_items) != len(mine) or (None not in mine and mine != told_items)):
                _disagree(own, "slice and items")
    return value


def ended(own: Handle, key: Any) -> None:
    """An object has no item at an index: hold that against its length."""
    kind = type(own)
    if type(key) is int and key >= 0 and has_protocol(kind, "__len__") and "keys" not in kind._fumehood_methods:
        size = kind._fumehood_link.views_of(own).get("told", {}).get("length")
        if size is not None and key < size:
            _disagree(own, f"length and item {key}")


def _as_bytes(value: Any) -> bytes | None:
    """A plain value, to be compared without asking it; None for an object."""
    try:
        return values.dumps(value)
    except (TypeError, ValueError):
        return None
