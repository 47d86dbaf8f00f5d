"""The line-up: what an object that lives at the candidate's says of plain data counts only where it singles out what fits.

Such an object could agree with whatever it is compared with. So it is asked about the value that the tests name and about many
that look like it, in an order drawn by chance, and it must answer as one that knows: equal to the one and to no other, ordered
and computed with as one fixed number would be. An object that the tests made themselves is what they test, and has some credit:
what cannot be lined up rests on its word, and is said to. One that the candidate handed out has none where it is compared; what
an operator gives of it, and what it contains, rest on its word, unless whatever it is asked about it gives the same.

Left out: values that look alike (`decoys.py`), and what an object shows of itself (`views.py`).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import os
import sys
import types
from collections.abc import Callable, ItemsView, KeysView, Set
from typing import TYPE_CHECKING, Any

from . import views
from .decoys import hides, is_number
from .exceptions import Broken, is_verdict, mark, marked
from .handles import (
    Handle,
    HandleMeta,
    awaited,
    bare,
    call,
    has_protocol,
    plain_now,
    plain_of,
    pull,
    refusal,
    refused,
    size_of,
)
from .plainly import JOINING, LOCAL, PLAIN, Answer, alike, plainly, tried
from .values import NotApart

if TYPE_CHECKING:
    from .link import Link

_FEW = 31
"""Decoys where a run has lined up very often: its candidate has been asked thousands of times already."""
_OFTEN = 60
"""Line-ups with all decoys in one run."""
_MOST_ITEMS = 10_000
"""Items of an object that are looked through for one."""
_COARSE = 0.25
"""Share of decoys for which an answer may be the same and still be worth a word: a container has more than one member."""
_OWN_EQUALITY = 0.9
"""The same for two objects that the tests made, and for what shows the value beside: equality of a class may be as coarse as it
likes, but not always true. Whose equality has told others apart may find these alike: they were made with what it does not
compare, as two empty containers are."""


def is_object(value: Any) -> bool:
    """Whether a value lives at the candidate's."""
    return isinstance(type(value), HandleMeta)


def _made(own: Handle) -> bool:
    return own._fumehood_id in type(own)._fumehood_link.made


def _raised(own: Handle, name: str, *args: Any) -> Any:
    """Raise the error that an object answered a line-up with, as it is. An answer to the one value alone is none."""
    _ask(own, name, *args)
    raise refusal(own, f"__{name}__")


def _ask(own: Handle, name: str, *args: Any) -> Any:
    return type(own)._fumehood_link.ask("operator", name, (own, *args), {})


def _lined_up(own: Handle, name: str, value: Any, more: tuple[Any, ...] = ()) -> tuple[Answer, list[tuple[Any, Answer]]]:
    """What an object answers for a value, and for each of its decoys and of `more`."""
    link = type(own)._fumehood_link
    others = [*link.decoys_of(value, _OFTEN, _FEW), *more]
    found = link.line_up(own, name, [value, *others])
    return found[0], list(zip(others, found[1:], strict=True))


def _share(answers: list[tuple[Any, Answer]]) -> float:
    """For which share of the decoys it says yes as well; 1 where there is none."""
    return sum(value is True for _, (_, value) in answers) / len(answers) if answers else 1.0


def _singled_out(own: Handle, value: Any, answers: list[tuple[Any, Answer]], *, coarse: float = 0.0) -> bool:
    """Whether a yes counts; if so, what the test rests on is noted."""
    link = type(own)._fumehood_link
    share = _share(answers)
    if not share and answers:  # an object that the tests made may check what it has not found
        link.rest_on("line_up" if hides(value) and not _made(own) else "word")
        return True
    if answers and share < coarse:
        link.rest_on("word")
        return True
    if not answers and _made(own):  # nothing looks like it: None, an empty list
        link.rest_on("word")
        return True
    return False


# Equality


def _equal(self: Handle, other: Any) -> Any:
    kind, other = type(self), bare(other)
    if is_object(other):
        return equal_objects(self, other)
    if _is_plain(self, "eq"):
        return plain_of(self) == other
    if _is_checked(self, "eq"):
        return _agreed(self, "eq", other)
    if not kind._fumehood_link.crosses(other):
        if isinstance(other, list | tuple | set | frozenset) and kind._fumehood_link.crosses(other, passing=True):
            return _shows(self, other) is True and _ask(self, "eq", other) is True  # objects of the tests' own, which it keeps
        return NotImplemented
    answer, counts = _claims(self, other)
    return counts if answer[1] is True else _unclear(self, "eq", answer, other)


def _unequal(self: Handle, other: Any) -> Any:
    kind, other = type(self), bare(other)
    if is_object(other):
        value = _ask(self, "ne", other)
        kind._fumehood_link.rest_on("word")
        return value if value is not False else not equal_objects(self, other)
    if _is_plain(self, "ne"):
        return plain_of(self) != other
    if _is_checked(self, "ne"):
        return _agreed(self, "ne", other)
    if not kind._fumehood_link.crosses(other):
        return NotImplemented
    if kind._fumehood_base is not None:
        kind._fumehood_link.rest_on("word")
        return _unclear(self, "ne", _lined_up(self, "ne", other)[0], other)
    # By its equality alone: a question about what is unequal would tell it the one value.
    answer, counts = _claims(self, other)
    if answer[1] is True and not counts:
        raise refusal(self, "__ne__")  # not one that knows: neither equal nor unequal
    found = True if answer[1] is True else _unclear(self, "eq", answer, other)
    return not found if type(found) is bool else found


def _claims(own: Handle, other: Any) -> tuple[Answer, bool]:
    """What an object answers to whether it equals a value, and whether a yes counts."""
    before = _same_in_worlds(own, "eq", other)
    if not _made(own):
        shown = _shows(own, other)  # asked before it is told what is expected, and told nothing if it shows another value
        if shown is False:
            return (True, False), False
        if shown:
            answer = (True, _ask(own, "eq", other))
            return answer, answer[1] is True and before in (None, answer)
    answer, rest = _lined_up(own, "eq", other)
    if before not in (None, answer):
        raise refusal(own, "__eq__")
    if not _made(own):
        counts = bool(rest) and not _share(rest)
        if answer[1] is True and counts:
            type(own)._fumehood_link.rest_on("word")  # it may have checked what it has not found
        return answer, counts
    coarse = 0.0
    if type(own)._fumehood_base is not None:  # a number modulo five equals many
        coarse = _OWN_EQUALITY if plain_of(own) == other else _COARSE
    return answer, answer[1] is True and _singled_out(own, other, rest, coarse=coarse)


def _shows(own: Handle, other: Any) -> bool | None:
    """Whether what an object shows of itself is the value that it is compared with; None where it shows nothing of this kind.

    Who can check an answer without having it can single it out of a line-up: a list is sorted, or it is not. So an object that
    was handed out is asked for its text, items or number by itself, before it sees the expected one.
    """
    link = type(own)._fumehood_link
    refused = len(link.refused)
    try:
        return _compared_by_view(own, other)
    except (Broken, NotApart):
        raise
    except Exception:
        if len(link.refused) == refused:
            return None
        del link.refused[refused:]  # nobody is shown it: its views disagree, and it is not what is expected
        return False


def _compared_by_view(own: Handle, other: Any) -> bool | None:
    kind = type(own)
    if isinstance(other, str):
        return str(own) == other or None  # every object has some text
    if isinstance(other, bytes):
        return bytes(own) == other if has_protocol(kind, "__bytes__") else None
    if isinstance(other, KeysView | ItemsView):
        other = frozenset(other)
    if isinstance(other, dict):
        return None if (shown := views.mapping(own)) is None else shown == other
    if isinstance(other, list | tuple | set | frozenset):
        if (items := _items(own, len(other) + 1)) is None:
            return None
        plain = not any(map(is_object, items))
        if isinstance(other, list | tuple):
            return items == list(other) or (False if plain else None)
        return len(items) == len(other) and set(items) == other if plain else None
    if is_number(other):
        named = [f"__{name}__" for name in ("complex", "float", "int", "index") if has_protocol(kind, f"__{name}__")]
        shown = getattr(kind, named[0])(own) if named else None
        return None if shown is None or 0 < abs(shown - other) < 1 else bool(shown == other)  # what was rounded is no other
    if has_protocol(kind, "__array__") and (numpy := sys.modules.get("numpy")) is not None:
        return bool(numpy.array_equal(numpy.asarray(own), numpy.asarray(other)))
    return None


def _items(own: Any, most: int) -> list[Any] | None:
    """The first items that an object shows, by iteration or by index; None where it shows none."""
    kind = type(own)
    refused = len(kind._fumehood_link.refused)
    if not (has_protocol(kind, "__iter__") or all(has_protocol(kind, name) for name in ("__getitem__", "__len__"))):
        return None
    try:
        return list(itertools.islice(iter(own), most))
    except (Broken, NotApart):
        raise
    except Exception:
        if len(kind._fumehood_link.refused) > refused:
            raise
        return None


def _unclear(own: Handle, name: str, answer: Answer, other: Any) -> Any:
    """What a comparison gives that was not simply true."""
    heard, value = answer
    if heard and type(value) is bool:
        return value
    if not heard:
        return _raised(own, name, other)
    if value is NotImplemented:
        return value
    if not _made(own):
        raise refusal(own, f"__{name}__")
    type(own)._fumehood_link.rest_on("word")  # an array of answers, a query, ...
    return value


def equal_objects(own: Any, other: Any) -> Any:
    """Equality of two objects of the candidate's, one of which the tests made: it is lined up with others made alike.

    What the tests expect, they have told the candidate when they made it, so more than its word this never is.
    """
    link = type(own)._fumehood_link
    value = _ask(own, "eq", other)
    if value is not True or own is other:
        if not (_made(own) or _made(other)):
            link.rest_on("word")
        return value
    for one, made in ((own, other), (other, own)):
        if made._fumehood_id not in link.made:
            continue
        kind, args, kwargs = link.made[made._fumehood_id]
        alike = link.decoys_of((list(args), kwargs), _OFTEN, _FEW)
        if alike:
            answers = link.siblings(one, kind, [([*args], kwargs), *alike])
            rest = [answer for answer in answers[1:] if answer[0]]
            share = sum(answer[1] is True for answer in rest) / len(rest) if rest else 1.0
            both = _made(own) and _made(other)
            if rest and share < _COARSE:
                link.discerning.add(kind)
            elif rest and share >= (_OWN_EQUALITY if both else _COARSE) and not (both and kind in link.discerning):
                raise link.refuse(TypeError(f"{type(own).__name__} is equal to whatever it is compared with"))
        break
    link.rest_on("word")
    return True


# Order

_FAR = (-(10**30), 10**30)
"""Between these lies every number: what is always smaller, or always larger, is none."""


def _order(name: str) -> Callable[..., Any]:
    rising = name in ("lt", "le")
    """Whether a larger other makes it true."""

    def method(self: Handle, other: Any) -> Any:
        kind, other = type(self), bare(other)
        link = kind._fumehood_link
        if is_object(other):
            link.rest_on("word")
            return _ask(self, name, other)
        if _is_plain(self, name):
            return getattr(operator, name)(plain_of(self), other)
        if _is_checked(self, name):
            return _agreed(self, name, other)
        if not link.crosses(other):
            return NotImplemented
        if not is_number(other) or isinstance(other, complex):
            return _by_word(self, name, other)
        before = _same_in_worlds(self, name, other)
        answer, rest = _lined_up(self, name, other, _FAR)
        if before not in (None, answer):
            raise refusal(self, f"__{name}__")
        if not (answer[0] and type(answer[1]) is bool):
            return _unclear(self, name, answer, other)
        told = [(float(value), found) for value, (heard, found) in ((other, answer), *rest) if heard]
        _as_one_number(self, [(value, found if rising else not found) for value, found in told])
        if answer[1]:
            link.rest_on("line_up")
        return answer[1]

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def _as_one_number(own: Handle, told: list[tuple[float, Any]]) -> None:
    """Hold what an object says, whether it lies below each of these, against its being one number, the same at each look.

    Raises TypeError, the candidate's.
    """
    link = type(own)._fumehood_link
    low, high = link.views_of(own).get("between", (-math.inf, math.inf))
    low = max([low, *(value for value, below in told if below is not True)])
    high = min([high, *(value for value, below in told if below is True)])
    if low > high or high <= _FAR[0] or low >= _FAR[1]:
        if _made(own) and low <= high:
            link.rest_on("word")
            return
        raise link.refuse(TypeError(f"{type(own).__name__} does not compare with numbers as one number would"))
    link.views_of(own)["between"] = low, high


def _by_word(own: Handle, name: str, other: Any) -> Any:
    """How an object compares with what is no number. One that was handed out must not say the same of all that looks like it.

    With a set a set compares as the items that it has shown do.
    """
    if isinstance(other, set | frozenset | KeysView | ItemsView) and issubclass(type(own), Set) and not _made(own):
        items = _items(own, _MOST_ITEMS + 1)
        plain = tried(lambda: getattr(operator, name)(set(items or ()), other))
        if items is not None and len(items) <= _MOST_ITEMS and not any(map(is_object, items)) and plain[0]:
            return _held(own, f"__{name}__", _ask(own, name, other), plain)
    if _made(own):
        value = _ask(own, name, other)
    else:
        answer, rest = _lined_up(own, name, other)
        if not (answer[0] and type(answer[1]) is bool):
            return _unclear(own, name, answer, other)
        if {found for _, (heard, found) in rest if heard and type(found) is bool} != {True, False}:
            raise refusal(own, f"__{name}__")
        value = answer[1]
    if not (_made(own) and value is False):
        type(own)._fumehood_link.rest_on("word")
    return value


# Membership


def _contains(self: Handle, item: Any) -> bool:
    kind, item = type(self), bare(item)
    link = kind._fumehood_link
    if not is_object(item) and _is_plain(self, "contains"):
        return item in plain_of(self)
    if not is_object(item) and _is_checked(self, "contains"):
        return bool(_agreed(self, "contains", item))
    if not is_object(item) and not link.crosses(item) and not _made(self):  # an object of the tests' own
        if not has_protocol(kind, "__iter__"):
            if not link.crosses(item, passing=True):
                raise refusal(self, "__contains__")
            link.rest_on("word")
            return _ask(self, "contains", item) is True
        return any(found is item or found == item for found in itertools.islice(iter(self), _MOST_ITEMS))
    if is_object(item) or not link.crosses(item):
        found = _ask(self, "contains", item) is True
        if found or not _made(self):
            link.rest_on("word")
        return found
    if not _made(self) and has_protocol(kind, "__iter__"):
        items = _items(self, _MOST_ITEMS)
        if items is not None and (not items or any(type(one) is type(item) for one in items)):
            return item in items  # else it is asked about something in these
    answer, rest = _lined_up(self, "contains", item)
    if answer[1] is not True:
        if not _made(self):
            link.rest_on("word")  # nothing that it shows says so
        return bool(_unclear(self, "contains", answer, item))
    if not _singled_out(self, item, rest):
        if not _made(self) and _share(rest) == 1 and _has_anything(self, item):
            raise refusal(self, "__contains__")
        link.rest_on("word")  # an interval contains most of what looks like one of its numbers
    return True


def _has_anything(own: Handle, item: Any) -> bool:
    """Whether an object says that it contains even what is of another kind than its items, drawn by chance."""
    kinds: tuple[Any, ...] = (os.urandom(8).hex(), int.from_bytes(os.urandom(7)), (os.urandom(4).hex(),))
    others = [other for other in kinds if type(other) is not type(item)]
    return all(_lined_up(own, "contains", other)[0][1] is True for other in others)


_EQUALITIES = frozenset(("array_equal", "allclose", "equal", "equals", "eq"))
"""Methods that compare with the whole of an object."""


def predicate(own: Handle, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method that compares (`issubset`), called on an object that the candidate handed out: what it shows decides.

    Not a line-up: `[1, 2, 3]` and a matrix of zeros stand out among whatever looks like them.
    """
    link = type(own)._fumehood_link
    ask = functools.partial(link.ask, "method", own, name, args, kwargs)
    if hasattr(type(own)._fumehood_base, name):
        return _held(own, name, ask(), tried(getattr(plain_of(own), name), *args, **kwargs))
    if len(args) != 1 or kwargs or is_object(bare(args[0])) or isinstance(args[0], str | bytes) or not link.crosses(args[0]):
        return refused(own, name, ask)
    if name in _EQUALITIES:
        return _shows(own, args[0]) is True and ask() is True
    if hasattr(set, name) and has_protocol(type(own), "__iter__"):
        items = list(itertools.islice(iter(own), _MOST_ITEMS))
        if not any(map(is_object, items)):
            return getattr(set(items), name)(args[0])
    return refused(own, name, ask)


# Arithmetic

_PROBES: dict[str, Any] = {"and": -1, "or": 0, "xor": 0, "lshift": 0, "rshift": 0, "floordiv": 1, "pow": 1, "mod": 10**30}
"""Operands for which the result is the number itself."""
_SOLVE: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda result, other: result - other,
    "radd": lambda result, other: result - other,
    "sub": lambda result, other: result + other,
    "rsub": lambda result, other: other - result,
    "mul": lambda result, other: result / other,
    "rmul": lambda result, other: result / other,
    "truediv": lambda result, other: result * other,
    "rtruediv": lambda result, other: other / result,
    "rpow": lambda result, other: math.log(result) / math.log(other),
}
"""The number that an operation was done with, from its result and the other operand."""
_ALWAYS = {"mul": 0, "rmul": 0, "rpow": 1, "and": 0, "rand": 0}
"""What a zero gives with whatever it is computed with."""
_IN_PLACE = frozenset(f"i{name}" for name in LOCAL if f"r{name}" in LOCAL and name != "divmod")


def _arithmetic(name: str) -> Callable[..., Any]:
    function = LOCAL.get(name.removeprefix("i") if name in _IN_PLACE else name)

    def method(self: Handle, other: Any, *more: Any) -> Any:
        link, operands = type(self)._fumehood_link, [self, *filter(is_object, (bare(other),))]
        kept = {one._fumehood_id: link.made[one._fumehood_id] for one in operands if _made(one)}
        value = compute(self, bare(other), *more)
        link.made.update(kept)  # one that gives itself is not handed out
        return _credited(self, value, *operands[1:])

    def compute(self: Handle, other: Any, *more: Any) -> Any:
        kind = type(self)
        link = kind._fumehood_link
        if is_object(other):
            value = _ask(self, name, other, *more)
            if not is_object(value):
                link.rest_on("word")
            return value
        if kind._fumehood_base is not None and function is not None and not _made(self):
            return _of_plain(self, name, other, *more) if name in kind._fumehood_own else function(plain_of(self), other)
        if not link.crosses(other):
            if not link.crosses(other, passing=True):
                return NotImplemented
            link.rest_on("word")
            return _ask(self, name, other, *more)  # an object of the tests' own
        if name in _IN_PLACE and _made(self):
            before = link.made[self._fumehood_id]
            value = _ask(self, name, other)  # it may change; what it becomes is looked at later
            if value is self:  # in its own place: it is not handed out
                link.made[self._fumehood_id] = before
            return value if is_object(value) else _told(self, value)
        if isinstance(other, types.FunctionType):  # no value that one could expect
            value = _ask(self, name, other, *more)
            return value if is_object(value) else _told(self, value)
        stands_out = isinstance(other, str | bytes) and not _made(self)  # among its decoys
        changes = name in _IN_PLACE and not has_protocol(kind, f"__{name.removeprefix('i')}__")
        if more or stands_out or changes:
            return _told(self, _ask(self, name, other, *more))
        return _computed(self, name.removeprefix("i") if name in _IN_PLACE else name, other, function)

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def _told(own: Handle, value: Any) -> Any:
    """What an object gave when it had seen the other operand."""
    if value is not NotImplemented:
        type(own)._fumehood_link.rest_on("word")
    return value


def _computed(own: Handle, name: str, other: Any, function: Any) -> Any:
    """What an object gives with a number: an object, or what one fixed number would give."""
    probes = (_PROBES[name],) if name in _PROBES else ()
    link = type(own)._fumehood_link
    kept = link.made.get(own._fumehood_id)
    answer, rest = _lined_up(own, name, other, probes)
    if kept is not None:
        link.made[own._fumehood_id] = kept
    if not answer[0]:
        return _raised(own, name, other)
    value = answer[1]
    if value is NotImplemented:
        return value
    if is_object(value):
        worlds = [(found, _larger_by(name, number, other)) for number, (heard, found) in rest if heard and is_object(found)]
        if not worlds and not _made(own):
            link.rest_on("word")
        link.keep_worlds(value, worlds, credited=_made(own) or link.is_known(type(own)) or name not in _MOVED)
        return value
    told = [(number, found) for number, (heard, found) in rest if heard]
    if len(told) > 1 and sum(repr(found) == repr(value) for _, found in told) >= _OWN_EQUALITY * len(told):
        if _made(own) and is_number(value) and value == _ALWAYS.get(name):
            return _told(own, value)
        raise refusal(own, f"__{name}__")  # whatever it is computed with, it gives the same
    if is_number(value) and function is not None and _fixed(name, function, [(other, value), *told]):
        link.rest_on("line_up")
        return value
    return _told(own, value)


_MOVED = {"add": 1, "radd": 1, "rsub": 1, "sub": -1}
"""Operators that give another number for each other operand, and by how much it grows with that."""


def _larger_by(name: str, decoy: Any, other: Any) -> Any:
    """By how much a result is larger with a decoy than with the number itself, if that is known."""
    if not (is_number(decoy) and is_number(other)) or isinstance(other, complex):
        return None
    return _MOVED[name] * (decoy - other) if name in _MOVED else None


def _fixed(name: str, function: Any, told: list[tuple[Any, Any]]) -> bool:
    """Whether all results are those of one number."""
    if name in ("pow", "rpow"):  # of negative numbers they are complex
        told = [(other, result) for other, result in told if other > 0]
    try:
        if name in _PROBES:
            number = next(result for other, result in told if other == _PROBES[name])
            if name == "and" and number == -1:  # what it was given comes back, whatever that is
                return False
        elif name in _SOLVE and len(told) > 1:
            other, result = next((other, result) for other, result in told[1:] if other and result and other != 1)
            number = _SOLVE[name](result, other)
        else:
            return False
        return len(told) > 1 and all(
            is_number(result) and math.isclose(function(number, other), result, rel_tol=1e-6, abs_tol=1e-9)
            for other, result in told
        )
    except (ArithmeticError, TypeError, ValueError, StopIteration):
        return False


# Objects whose classes derive from plain data


def _is_plain(own: Handle, name: str) -> bool:
    """Whether the plain value of an object answers for it: its class has this operator from plain data."""
    kind = type(own)
    return kind._fumehood_base is not None and name not in kind._fumehood_own


def _is_checked(own: Handle, name: str) -> bool:
    """Whether its plain value has an operator too that its class has in a way of its own, where it was handed out."""
    base = type(own)._fumehood_base
    return base is not None and hasattr(base, f"__{name}__") and not _made(own)


def _held(own: Handle, name: str, value: Any, plain: Answer) -> Any:
    """What an object said of itself that its plain value says as well: else it would have to say that it is right."""
    if plain[0] and alike(value, plain[1]):
        return value
    raise refusal(own, name)


def _agreed(own: Handle, name: str, other: Any) -> Any:
    """How an object compares with plain data, in its own way and as its plain value. It does not learn with what."""
    if not type(own)._fumehood_link.crosses(other):
        return NotImplemented
    plain = tried(PLAIN[name], plain_of(own), other)
    known = name == "eq" and plain[1] is True  # it has that value
    answer = (True, _ask(own, name, other)) if known else _lined_up(own, name, other)[0]
    if not answer[0]:
        return _raised(own, name, other)
    return answer[1] if answer[1] is NotImplemented else _held(own, f"__{name}__", answer[1], plain)


def _of_plain(own: Handle, name: str, other: Any, *more: Any) -> Any:
    """What an object that was handed out gives with plain data in its own way."""
    link, way = type(own)._fumehood_link, name.removeprefix("i") if name in _IN_PLACE else name
    if not link.crosses(other):
        return NotImplemented
    once = more or name in _IN_PLACE  # it may change
    answer = (True, _ask(own, name, other, *more)) if once else _lined_up(own, name, other)[0]
    if not answer[0]:
        return _raised(own, name, other)
    value = answer[1]
    if value is NotImplemented or any(heard and alike(value, plain) for heard, plain in plainly(own, way, other, *more)):
        return value
    if way not in JOINING.get(type(own)._fumehood_base, ()):
        raise refusal(own, f"__{name}__")
    link.rest_on("word")
    return value


def _credited(own: Handle, value: Any, *others: Any) -> Any:
    """What an operator gives: another of its class, of what the tests made, is taken for one that they made."""
    made = type(own)._fumehood_link.made
    behind = bare(value)
    if type(behind) is type(own) and all(map(_made, (own, *others))):
        base = type(own)._fumehood_base
        made[behind._fumehood_id] = made[own._fumehood_id] if base is None else (type(own), (plain_of(behind),), {})
    return value


def held(own: Handle, name: str, args: tuple[Any, ...], value: Any) -> Any:
    """A view of an object, or what an operator gives of it alone: that of its plain value, if it has one."""
    plain = tried(PLAIN[name], plain_of(own), *args)
    if plain[0] and _made(own) and not alike(value, plain[1]):
        type(own)._fumehood_link.rest_on("word")
    elif plain[0]:
        value = _held(own, f"__{name}__", value, plain)
    return _credited(own, value) if name in _ALONE else value


def says(own: Handle, name: str, value: Any) -> Any:
    """What a method without arguments (`isupper`, `split`) says of an object that was handed out.

    What asks whether the value is something, its plain value answers as well; what else agrees with it is no more than data.
    """
    if hasattr(type(own)._fumehood_base, name):
        plain = tried(getattr(plain_of(own), name))
        if name.startswith("is"):
            return _held(own, name, value, plain)
        if plain[0] and alike(value, plain[1]):
            return value
    type(own)._fumehood_link.rest_on("word")
    return value


# What asks about nothing but the object


def _unary(name: str) -> Callable[..., Any]:
    def method(self: Handle, *args: Any) -> Any:
        value = views.once(self, f"{name}{args!r}", lambda: _in_all_worlds(self, name, *args))
        if name in ("int", "index") and type(value) is not int:
            raise mark(TypeError(f"__{name}__ returned non-int"))
        if name == "float" and type(value) is not float:
            raise mark(TypeError("__float__ returned non-float"))
        if name == "len":
            value = _overridden(self, name, args, size_of(value))
        value = views.seen(self, name, value)
        return _credited(self, value) if name in _ALONE else value

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def _in_all_worlds(own: Handle, name: str, *args: Any) -> Any:
    """Ask an object something; with it, all that became of it with decoys. A result that is always the same shows nothing."""
    link = type(own)._fumehood_link
    worlds, _, credited = link.worlds.get(own._fumehood_id, ([], False, False))
    if not worlds:
        return _ask(own, name, *args)
    (heard, value), *rest = link.each(name, [(own, args), *((world, args) for world, _ in worlds)])
    if not heard:
        return _raised(own, name, *args)
    found = [answer for told, answer in rest if told]
    if is_object(value):
        link.keep_worlds(value, [(answer, None) for answer in found if is_object(answer)], stepped=True, credited=credited)
    else:
        _weigh(own, name, [repr(answer) == repr(value) for answer in found], credited=credited or name in _SIZES)
    return value


def _weigh(own: Handle, name: str, same: list[bool], *, credited: bool) -> None:
    """What an answer is worth that these of the decoys give as well.

    Raises TypeError, the candidate's, where nearly all do: a sum that is the same whatever was added is none.
    """
    share = sum(same) / len(same) if same else 1.0
    if same and share >= _OWN_EQUALITY and not credited:
        raise refusal(own, f"__{name}__")
    if share >= _COARSE:
        type(own)._fumehood_link.rest_on("word")


def _same_in_worlds(own: Handle, name: str, other: Any) -> Answer | None:
    """Compare what became of an object with decoys as well: its answer, or None where there is none of these.

    A sum compares with a bound as it does with a decoy's where the bound is moved by as much. A distance is not small whatever it
    is from.
    """
    link = type(own)._fumehood_link
    worlds, stepped, credited = link.worlds.get(own._fumehood_id, ([], False, False))
    if not worlds:
        return None
    moved = [(world, by) for world, by in worlds if by is not None]
    if moved and is_number(other):
        answer, *rest = link.each(name, [(own, (other,)), *((world, (other + by,)) for world, by in moved)])
        if sum(told == answer for told in rest) < _OWN_EQUALITY * len(rest):
            raise refusal(own, f"__{name}__")
        return answer
    answer, *rest = link.each(name, [(own, (other,)), *((world, (other,)) for world, _ in worlds)])
    small = answer[1] is (name in ("eq", "lt", "le"))
    if small or not stepped:
        _weigh(own, name, [told[1] is answer[1] for told in rest], credited=credited)
    return answer


def _looked_at(own: Handle) -> None:
    """Note that an object is asked for something that is not tried with decoys, unless the tests made it."""
    if not _made(own):
        type(own)._fumehood_link.shown_alone(own)


def _operation(name: str) -> Callable[..., Any]:
    """A protocol that changes the object, or that asks for one thing in it."""

    def method(self: Handle, *args: Any) -> Any:
        link = type(self)._fumehood_link
        if name == "next":
            link.count_item(self._fumehood_id)
        _looked_at(self)
        try:
            value = _ask(self, name, *args)
        except IndexError:
            if name == "getitem":
                views.ended(self, args[0])
            raise
        if name == "getitem":
            return views.item(self, args[0], _overridden(self, name, args, value))
        return views.backwards(self, value) if name == "reversed" else value

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def _iterate(self: Handle) -> Any:
    _looked_at(self)
    items = pull(_ask(self, "iter"))
    if type(self)._fumehood_base is not None and "iter" in type(self)._fumehood_own and not _made(self):
        first = list(itertools.islice(items, len(plain_now(self)) + 1))
        items = itertools.chain(_overridden(self, "iter", (), first), items)
    return views.iteration(self, items)


def _overridden(own: Handle, name: str, args: tuple[Any, ...], value: Any) -> Any:
    """A view of an object that was handed out and whose class has it in a way of its own: that of the plain value below."""
    kind = type(own)
    base = kind._fumehood_base
    by_key = name == "getitem" and base is not None and issubclass(base, dict)  # which may keep several values for one
    if base is None or not (name in kind._fumehood_own or (by_key and args[0] not in own._fumehood_value)):
        return value
    plain = tried(PLAIN[name], plain_now(own), *args)
    if plain[0] and not (by_key or _made(own)):
        return _held(own, f"__{name}__", value, plain)
    if not (plain[0] and alike(value, plain[1])):
        kind._fumehood_link.rest_on("word")
    return value


def _leave(name: str) -> Callable[..., Any]:
    """`__exit__`: what the tests found goes on, whatever the candidate makes of it."""

    def method(self: Handle, kind: Any, exc: Any, trace: Any) -> Any:
        link = type(self)._fumehood_link
        found = is_verdict(exc) and marked(exc) is None
        if not found:
            with link.unreached.replacing(exc):
                value = _ask(self, name, kind, exc, None)
            return _ended(link, exc, value) if name == "exit" else _ended_soon(link, exc, value)
        try:
            value = _ask(self, name, AssertionError, AssertionError(), None)
        except Exception:
            value = None
        return False if name == "exit" else _soon(link, value, heard=False)

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


def _ended(link: Link, exc: BaseException | None, value: Any) -> Any:
    """What `__exit__` gave; noted where it ends an error."""
    if exc is not None and (value := bool(value)):
        link.unreached.ended(exc)
    return value


async def _ended_soon(link: Link, exc: BaseException | None, awaitable: Any) -> Any:
    with link.unreached.replacing(exc):
        value = await _soon(link, awaitable)
    return _ended(link, exc, value)


def _entering(name: str) -> Callable[..., Any]:
    def method(self: Handle, *args: Any) -> Any:
        return _soon(type(self)._fumehood_link, _ask(self, name, *args))

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


async def _soon(link: Link, awaitable: Any, *, heard: bool = True) -> Any:
    try:
        value = await (awaitable if type(awaitable) is types.CoroutineType else awaited(link, awaitable))
    except Exception:
        if heard:
            raise
        return False
    return value if heard else False


def _call_handle(self: Handle, *args: Any, **kwargs: Any) -> Any:
    _looked_at(self)
    return call(type(self)._fumehood_link, "call", (self, args, kwargs), args, kwargs)


def _wait_for(self: Handle) -> Any:
    return awaited(type(self)._fumehood_link, self).__await__()


def _truth(self: Handle) -> bool:
    value = views.once(self, "bool", lambda: _is_true(self))
    if type(value) is not bool:
        raise mark(TypeError("__bool__ should return bool"))
    views.seen(self, "bool", _overridden(self, "bool", (), value))
    if not value and type(self)._fumehood_base is None and not _made(self) and views.has_items(self) is not False:
        type(self)._fumehood_link.rest_on("word")  # it is false by its own say; true it would be without any
    return bool(value)


def _is_true(own: Handle) -> Any:
    """Whether an object is true; that it is not, as a difference of nothing, is tried with decoys."""
    link = type(own)._fumehood_link
    worlds, _, credited = link.worlds.get(own._fumehood_id, ([], False, False))
    if not worlds:
        return _ask(own, "bool")
    (heard, value), *rest = link.each("bool", [(own, ()), *((world, ()) for world, _ in worlds)])
    if not heard:
        return _raised(own, "bool")
    if value is False:
        _weigh(own, "bool", [told[1] is False for told in rest], credited=credited)
    return value


DESCRIPTORS = (".get", ".set", ".delete", ".set_name")
"""What is asked of an object that stands in a class of the tests' own."""


def _descriptor(name: str) -> Callable[..., Any]:
    def method(self: Handle, *args: Any) -> Any:
        return _ask(self, f".{name}", *args)

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


_SIZES = ("len", "length_hint", "bytes")
"""What does not follow from a number that was added: all sums of a table have its rows."""
_ALONE = ("neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil")
"""Operators that compute with an object alone."""
ASKED_ALONE = ("len", "getitem", "bool", "int", "float", "complex", "index", "bytes", *_ALONE)
"""Those, and the ones that show what an object holds: they are asked about nothing that is expected."""
COMMON: dict[str, Any] = {"__eq__": _equal, "__ne__": _unequal, "__bool__": _truth, "__hash__": Handle.__hash__}
"""What every object has."""
SPECIALS: dict[str, Any] = {name: _order(name) for name in ("lt", "le", "gt", "ge")}
SPECIALS |= {name: _arithmetic(name) for name in (*LOCAL, *_IN_PLACE)}
SPECIALS |= {
    name: _unary(name)
    for name in (
        *("len", "neg", "pos", "abs", "invert", "int", "float", "complex", "index", "round", "trunc", "floor", "ceil"),
        *("bytes", "length_hint", "array"),
    )
}
SPECIALS |= {name: _operation(name) for name in ("next", "reversed", "getitem", "setitem", "delitem", "enter", "aiter")}
SPECIALS |= {"iter": _iterate, "contains": _contains, "call": _call_handle, "await": _wait_for}
SPECIALS |= {name: _leave(name) for name in ("exit", "aexit")} | {name: _entering(name) for name in ("aenter", "anext")}
SPECIALS |= {name[1:]: _descriptor(name[1:]) for name in DESCRIPTORS}
"""Protocols that an object has where its class has them."""
