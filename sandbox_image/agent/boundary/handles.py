"""What stands in the tests for an object, a class or a function that lives at the candidate's.

A class here is made by us from names and from our own methods.

Left out: the protocols of Python's operators. `operators.py` has them.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import datetime
import decimal
import enum
import functools
import inspect
import re
import sys
import types
from typing import TYPE_CHECKING, Any, ClassVar

from .exceptions import is_verdict, mark, marked
from .values import ESTIMATORS, ITERATORS, LIBRARIES, TYPES, Named, NotApart, library

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link

MAX_ITEMS = 1_000_000
"""Items taken from one iterator of the candidate's."""
LISTING = ("keys", "values", "items")
"""Methods that list what a mapping holds: views of it."""
_MUTABLE = (list, dict, set, bytearray)
_UNCHANGING = (
    str,
    bytes,
    int,
    float,
    complex,
    tuple,
    frozenset,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)
_PREDICATES = frozenset(
    [
        "startswith",
        "endswith",
        "issubset",
        "issuperset",
        "isdisjoint",
        "difference",
        "symmetric_difference",
        "intersection",
        "compare",
        "rfind",
        "rindex",
        "array_equal",
        "allclose",
        "isclose",
        "equal",
        "equals",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    ]
)
"""Methods that compare: an object whose class nobody asked for does not get to see what it is compared with."""
_GROWING = ("add", "append", "clear", "copy", "extend", "insert", "popitem", "reverse", "setdefault", "sort", "update")
_SAYING = frozenset(name for kind in (str, bytes, list, set, dict, int, float) for name in dir(kind) if not name.startswith("_"))
_SAYING -= {*_GROWING, *LISTING}
"""Methods of plain data that say or give something where they are called with a value: what was handed out in the place of plain
data has been told what is looked for."""
_TESTING = frozenset(name for name in _SAYING if name.startswith("is")) | {"all", "any", "exists", "is_file", "is_dir"}
"""Methods that say something of the object itself."""
_CALLS = frozenset(("called", "call_count", "call_args", "call_args_list", "mock_calls", "method_calls"))
_CALLS |= {"awaited", "await_count", "await_args", "await_args_list"}
_OURS = ("_fumehood", "_pytest", "__pytest", "pytestmark", "__test__", "__unittest")


def _check_text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise mark(TypeError(f"{what} returned non-string"))
    return value


_TELLING = frozenset(
    (
        "__doc__",
        "__name__",
        "__qualname__",
        "__module__",
        "__dict__",
        "__annotations__",
        "__slots__",
        "__version__",
        "__defaults__",
        "__kwdefaults__",
        "__members__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__match_args__",
        "__abstractmethods__",
        "__isabstractmethod__",
        "__origin__",
        "__args__",
        "__parameters__",
        "__supertype__",
        "__bound__",
        "__constraints__",
        "__total__",
        "__required_keys__",
        "__optional_keys__",
    )
)
"""Special names that only tell something of an object."""
_PROTOCOLS = ("__array", "__torch", "__cuda", "__dlpack", "__dataframe")
"""How the names begin by which libraries of arrays ask. Functions have other special names, which `inspect` reads."""


def _is_protocol(name: str) -> bool:
    """Whether a name is one by which a library asks an object to take part in its work.

    `torch.allclose` would ask `__torch_function__`, with the expected tensor in its hand, NumPy would read memory at the address
    that `__array_interface__` names, and pandas takes for a table what says so as `_typ`. What Python's own operators ask is
    defined on handles, one by one.
    """
    return (
        name == "_typ"
        or name.startswith((*_OURS, "_asyncio"))
        or (name.startswith("__") and name.endswith("__") and name not in _TELLING)
    )


_PYTHONS = frozenset(name for kind in vars(builtins).values() if isinstance(kind, type) for name in dir(kind))
_PYTHONS -= {"__wrapped__"}  # which only tells what is behind a function


def is_special_of_nobody(name: str) -> bool:
    """Whether a name is special and neither Python nor a library of arrays asks for it."""
    return name.startswith("__") and name.endswith("__") and name not in _PYTHONS and not name.startswith((*_OURS, *_PROTOCOLS))


def _speaks(handle: Handle, name: str) -> bool:
    """Whether a method without arguments says something of an object that its plain value knows, or that decides by itself."""
    base = type(handle)._fumehood_base
    return name in _TESTING or (base is not None and issubclass(base, _UNCHANGING) and hasattr(base, name))


def is_ours(name: str) -> bool:
    """Whether a name is one by which the judge or what runs the tests marks what it has."""
    return name.startswith(_OURS)


def judges_calls(name: str) -> bool:
    """Whether a name is one by which mocks say how they were called: what the tests read back may be no mock of theirs."""
    return name in _CALLS or name.startswith("assert_")


def says_of_itself(name: str) -> bool:
    """Whether a name is one by which libraries or tests ask an object about itself: special, or a method of plain data."""
    return name.startswith("__") or _is_protocol(name) or name in _PREDICATES or name in _SAYING


class HandleMeta(type):
    """The class of classes that live at the candidate's."""

    _fumehood_class: int
    _fumehood_link: Link

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **more: Any) -> Any:
        """Make what a class statement of the tests' derives from a class of the candidate's."""
        if not bases:
            return type.__new__(cls, name, bases, body)
        from .derived import derive

        if more:
            raise NotApart("A class that lives at the candidate's cannot be derived with keywords by tests judged apart")
        return derive(name, bases, body)

    def __init__(cls, *args: Any, **more: Any) -> None:
        """What a class statement makes is made already."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate make an object."""
        made = call(cls._fumehood_link, "new", (cls, args, kwargs), args, kwargs)
        if isinstance(type(behind := bare(made)), HandleMeta):
            cls._fumehood_link.was_made(behind, cls, args, kwargs, sys._getframe(1))
        return made

    def __instancecheck__(cls, value: Any) -> bool:
        """Whether this is the class of an object. A named tuple without methods of its own has arrived as its items and names."""
        if (below := handle_of(value)) is not None:
            return type.__instancecheck__(cls, below)
        if isinstance(value, Named):
            return cls._fumehood_base is tuple and type(value).__name__ == cls.__name__
        return type.__instancecheck__(cls, value) or _by_its_word(cls, "isinstance", value)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return type.__subclasscheck__(cls, kind) or _by_its_word(cls, "issubclass", kind)

    # What Python's libraries look at to learn of a class

    @property
    def __mro__(cls) -> tuple[type, ...]:
        return tuple(map(_shown_class, (kind for kind in own_mro(cls) if kind is not Handle)))

    @property
    def __bases__(cls) -> tuple[type, ...]:  # type: ignore[override]
        return tuple(object if kind is Handle else _shown_class(kind) for kind in type.__dict__["__bases__"].__get__(cls))

    @property
    def __flags__(cls) -> int:
        own: int = type.__dict__["__flags__"].__get__(cls)
        return own | inspect.TPFLAGS_IS_ABSTRACT if getattr(cls, "__abstractmethods__", None) else own

    @property
    def __annotations__(cls) -> Any:  # type: ignore[override]
        return _attribute(cls._fumehood_link, cls, "__annotations__", known=True)

    @property
    def __signature__(cls) -> inspect.Signature:
        return _signature(cls._fumehood_link, cls)

    def __getattr__(cls, name: str) -> Any:
        if _is_protocol(name):
            raise AttributeError(name)
        link = cls._fumehood_link
        return link.named(name, _attribute(link, cls, name, known=cls._fumehood_link.is_known(cls)))

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._fumehood_link.ask("set", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._fumehood_link.ask("delete", cls, name)

    def __iter__(cls) -> Any:
        return pull(cls._fumehood_link.ask("operator", "iter", (cls,), {}))

    def __len__(cls) -> int:
        return size_of(cls._fumehood_link.ask("operator", "len", (cls,), {}))

    def __getitem__(cls, key: Any) -> Any:
        return cls._fumehood_link.ask("operator", "getitem", (cls, key), {})

    def __contains__(cls, item: Any) -> bool:
        link = cls._fumehood_link
        ask = functools.partial(link.ask, "operator", "contains", (cls, item), {})
        if not isinstance(type(bare(item)), HandleMeta) and not link.is_known(cls):
            return bool(refused(cls, "__contains__", ask))
        link.rest_on("word")
        return bool(ask())

    def __bool__(cls) -> bool:
        return True

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__qualname__}'>"

    def __dir__(cls) -> list[str]:
        return list(cls._fumehood_link.ask("operator", "dir", (cls,), {}))


def make_class(name: str, bases: tuple[type, ...], body: dict[str, Any]) -> HandleMeta:
    """A class after one of the candidate's."""
    made = type.__new__(HandleMeta, name, bases, body)
    type.__setattr__(made, "__slots__", _Told("__slots__"))
    return made


def own_mro(kind: type) -> tuple[type, ...]:
    """The classes that a class of ours consists of, whatever it shows."""
    found: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
    return found


def _shown_class(kind: type) -> type:
    """A class of a library by itself, where it stands among the bases of the candidate's."""
    return vars(kind).get("_fumehood_is") or kind


def is_below(kind: HandleMeta, other: Any) -> bool:
    """Whether a class of the candidate's derives from one of a library's, or one of several, by what it says."""
    return any(issubclass(found, other) for one in own_mro(kind) if (found := vars(one).get("_fumehood_is")) is not None)


def _by_its_word(kind: HandleMeta, question: str, value: Any) -> bool:
    """Whether a class that has its own ways of taking an object for its own, as protocols have, takes this one."""
    if not kind._fumehood_checks or not kind._fumehood_link.crosses(value, passing=True):
        return False
    link = kind._fumehood_link
    found = link.ask("operator", question, (value, kind), {}) is True
    link.rest_on("word")
    return found


class _Told:
    """What the candidate tells of a class under a name that ours have too."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any) -> Any:
        return owner._fumehood_link.ask("get", owner if instance is None else instance, self._name)


def _signature(link: Link, own: Any) -> inspect.Signature:
    told, returned = link.ask("signature", own)
    kinds = list(inspect._ParameterKind)
    parameters = [inspect.Parameter(name, kinds[kind], **more) for name, kind, more in told]
    return inspect.Signature(parameters, return_annotation=returned[0] if returned else inspect.Signature.empty)


_ANNOTATION = re.compile(r"[\w.,| \[\]]*")


def _check_annotations(annotations: dict[Any, Any]) -> None:
    """Refuse texts that do more than name types: `typing.get_type_hints` evaluates them. Raises TypeError, the candidate's."""
    for text in annotations.values():
        if isinstance(text, str) and (type(text) is not str or not _ANNOTATION.fullmatch(text) or "__" in text):
            raise mark(TypeError("an annotation that names no type"))


def _attribute(link: Link, own: Any, name: str, *, known: bool) -> Any:
    """An attribute of something that lives at the candidate's, but for predicates of what the tests did not name."""
    value = link.ask("get", own, name)
    if judges_calls(name) and not (isinstance(value, type) or type(value).__module__ == "unittest.mock"):
        link.rest_on("word")
    if name == "__annotations__" and type(value) is dict:
        _check_annotations(value)
    if name in _PREDICATES and callable(value) and not known:
        raise refusal(own, name)
    return value


def guarded(own: Any, name: str, value: Any) -> Any:
    """What a value that was handed out has under a name; a method that compares by its name is refused what it would be told.

    Named tuples and exceptions cross as values, and what is in them may be called: where a text or an array belongs, that is no
    answer of theirs.
    """
    if not callable(value) or not (name in _PREDICATES or any(hasattr(kind, name) for kind in _plain_kinds())):
        return value

    @functools.wraps(value, (), ())
    def called(*args: Any, **kwargs: Any) -> Any:
        plain = [arg for arg in (*args, *kwargs.values()) if not isinstance(type(bare(arg)), HandleMeta)]
        if plain and (name in _PREDICATES or _is_arrays_own(name, plain)):
            return refused(own, name, functools.partial(value, *args, **kwargs))
        return value(*args, **kwargs)

    return called


def _plain_kinds() -> list[type]:
    torch = sys.modules.get("torch")
    numpy = sys.modules.get("numpy")
    return [kind for kind in (numpy and numpy.ndarray, torch and torch.Tensor) if kind]


def size_of(value: Any) -> int:
    """What `len` gave, checked. Raises TypeError, the candidate's."""
    if type(value) is not int or value < 0:
        raise mark(TypeError("__len__() of a candidate's object returned no length"))
    return value


class OwnDoc:
    """The documentation of a class; an object of it may have its own."""

    def __init__(self, text: Any) -> None:
        self._text = text

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self._text if instance is None else type(instance)._fumehood_link.ask("get", instance, "__doc__")


class Handle(metaclass=HandleMeta):
    """An object that lives at the candidate's. Never equal to plain data, unless its class is a subclass of plain data's."""

    __slots__ = ("__weakref__", "_fumehood_extended", "_fumehood_id", "_fumehood_value")

    _fumehood_id: int
    _fumehood_value: Any
    _fumehood_extended: Any
    """What the tests have of it, if that is its plain value with what its class adds: the same for the same object."""
    _fumehood_link: Link
    _fumehood_methods: frozenset[str] = frozenset()
    _fumehood_base: type | None = None
    _fumehood_own: frozenset[str] = frozenset()
    """Protocols in which its class differs from the plain one that it derives from."""
    _fumehood_real: type | None = None
    _fumehood_name = ""
    _fumehood_is: type | None = None
    """The class of a library that this stands for."""
    _fumehood_checks = False
    """Whether it has its own ways of taking an object for its own."""
    _fumehood_here: ClassVar[list[Link]] = []
    """The links of this process, the last of which answers."""

    __init__ = _Told("__init__")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        kind = type(self)
        return kind._fumehood_real or kind._fumehood_base or kind

    def __getattr__(self, name: str) -> Any:
        return self._fumehood_get(name, sys._getframe(1))

    def _fumehood_get(self, name: str, frame: types.FrameType) -> Any:
        """An attribute that `frame` asks for."""
        kind = type(self)
        link = kind._fumehood_link
        if _is_protocol(name) and not link.writes_out(name, frame):
            raise AttributeError(name)
        link.shown_alone(self)
        if name in kind._fumehood_methods:
            return _throwing(link, Method(self, name)) if name == "athrow" else Method(self, name)
        if name in _PREDICATES and hasattr(kind._fumehood_base, name) and f".{name}" not in kind._fumehood_own:
            return getattr(plain_of(self), name)
        value = link.noticed(self, name, _attribute(link, self, name, known=self._fumehood_id in link.made))
        return _throwing(link, value) if name == "athrow" else value

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(type(self)._fumehood_link, self)

    def __setattr__(self, name: str, value: Any) -> None:
        type(self)._fumehood_link.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        type(self)._fumehood_link.ask("delete", self, name)

    def __hash__(self) -> int:
        base = type(self)._fumehood_base
        plain = hash(plain_of(self)) if base is not None and base.__hash__ is not None else None
        if plain is not None and "hash" not in type(self)._fumehood_own:
            return plain
        link = type(self)._fumehood_link
        value = _hash_of(link, self)
        if value != plain and self._fumehood_id not in link.made:
            link.rest_on("word")  # whether two are one in a set or a dictionary is for the candidate to say
        return value

    def __repr__(self) -> str:
        link = type(self)._fumehood_link
        if self._fumehood_id not in link.made:
            link.shown_alone(self)
        return _check_text(link.ask("operator", "repr", (self,), {}), "__repr__")

    def __str__(self) -> str:
        type(self)._fumehood_link.shown_alone(self)
        return _check_text(type(self)._fumehood_link.ask("operator", "str", (self,), {}), "__str__")

    def __format__(self, spec: str) -> str:
        type(self)._fumehood_link.shown_alone(self)
        return _check_text(type(self)._fumehood_link.ask("operator", "format", (self, spec), {}), "__format__")

    def __dir__(self) -> list[str]:
        """Names of its attributes, but for special ones that are not shown."""
        link = type(self)._fumehood_link
        names = link.ask("operator", "dir", (self,), {})
        link.rest_on("word")
        return [name for name in names if not (_is_protocol(name) and not hasattr(type(self), name))]

    def __copy__(self) -> Any:
        link = type(self)._fumehood_link
        return link.copied(link.made.get(self._fumehood_id), link.ask("operator", "copy", (self,), {}))

    def __deepcopy__(self, memo: Any) -> Any:
        link = type(self)._fumehood_link
        return link.copied(link.made.get(self._fumehood_id), link.ask("operator", "deepcopy", (self,), {}))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _unpickled, (_pickled(type(self)._fumehood_link, self),)


def _hash_of(link: Link, own: Any) -> int:
    value = link.ask("operator", "hash", (own,), {})
    if type(value) is not int:
        raise mark(TypeError("__hash__ method should return an integer"))
    return value


def _pickled(link: Link, own: Any) -> bytes:
    """What the candidate pickles of its own. These bytes are data here, and nothing here takes them apart."""
    data = link.ask("dumps", own)
    if type(data) is not bytes:
        raise mark(TypeError("what was pickled is no bytes"))
    link.pickled[data] = link.made.get(getattr(own, "_fumehood_id", -1))
    return data


def _unpickled(data: bytes) -> Any:
    """What the candidate makes of bytes that it pickled: an object that it hands out."""
    link = Handle._fumehood_here[-1]
    return link.copied(link.pickled.get(data), _unraised(link.ask("loads", data)))


def _unraised(value: Any) -> Any:
    """An exception that was not raised: it is the tests' until the candidate raises it."""
    if isinstance(value, BaseException):
        value.__dict__.pop("_fumehood", None)
    return value


class Extended(type):
    """The class of classes of plain values that have more than that (`extended.py`)."""


def handle_of(value: Any) -> Any:
    """The object behind a plain value that has more; None where there is none."""
    return object.__getattribute__(value, "_fumehood_handle") if type(type(value)) is Extended else None


def bare(value: Any) -> Any:
    """The object behind a plain value that has more, or the value itself."""
    handle = handle_of(value)
    return value if handle is None else handle


def is_candidates(value: Any) -> bool:
    """Whether something lives at the candidate's: an object, a function or a class."""
    return type(value) in (Function, Method) or any(
        isinstance(one, HandleMeta | ExceptionMeta) for one in (value, type(bare(value)))
    )


def plain_of(handle: Handle) -> Any:
    """The plain value inside an object whose class is a subclass of plain data's."""
    kind = type(handle)
    link = kind._fumehood_link
    if handle._fumehood_id not in link.made or kind._fumehood_base not in _MUTABLE:
        return handle._fumehood_value
    return plain_now(handle)


def plain_now(handle: Handle) -> Any:
    """The same as it is now, where it may have changed."""
    kind = type(handle)
    link, base = kind._fumehood_link, kind._fumehood_base
    if base is None or issubclass(base, _UNCHANGING):
        return handle._fumehood_value
    value = link.ask("plain", handle)
    if not isinstance(value, base) or isinstance(value, Handle):
        raise link.refuse(TypeError(f"a {kind._fumehood_name} that is no {base.__name__}"))
    return value


def _is_arrays_own(name: str, args: list[Any]) -> bool:
    """Whether a method is one of the arrays that it is called with: what it is called on stands where an array belongs."""
    return any(type(arg).__name__ in ("ndarray", "Tensor") and hasattr(type(arg), name) for arg in args)


def has_protocol(kind: type, name: str) -> bool:
    """Whether objects of a class have a special method. What their metaclass has does not count."""
    return any(name in vars(base) for base in own_mro(kind))


def refusal(own: Any, what: str) -> BaseException:
    """What is raised where an object would have to say of itself that it is right: noted at once, for a test may catch it."""
    name = (own if isinstance(own, HandleMeta) else type(own)).__name__
    here: Link = Handle._fumehood_here[-1]
    return here.refuse(
        TypeError(
            f"{what} between plain data and an object that the candidate handed out ({name}), which does not single out the "
            "right answer: judged apart, only an object that the tests made is taken at its word"
        )
    )


def refused(own: Any, what: str, ask: Callable[[], Any]) -> Any:
    """What is refused whatever an object says.

    Where the tests wait for an error, it is asked all the same: what it raises is its own answer, and so is that it has no such
    operation. Else it is told nothing of what the tests name.
    """
    value = ask() if Handle._fumehood_here[-1].expects_error() else None
    if value is not NotImplemented:
        raise refusal(own, what)
    return value


def call(link: Link, kind: str, operands: tuple[Any, ...], args: Any, kwargs: Any) -> Any:
    """Call something at the candidate's. What `ExitStack` has it decide of an error is noted, and a verdict is not its to end."""
    ends = (
        len(args) == 3 and isinstance(args[1], BaseException) and args[0] is type(args[1]) and args[1].__traceback__ is not None
    )
    with link.unreached.replacing(args[1] if ends else None):
        value = link.ask(kind, *operands)
    if ends:
        if is_verdict(args[1]) and marked(args[1]) is None:
            return False
        if value := bool(value):
            link.unreached.ended(args[1])
    return value


class ExceptionMeta(type):
    """The class of exception classes of the candidate's."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an exception for the tests: at the candidate's, if its class does more than to be one."""
        if not cls.__dict__.get("_fumehood_adds"):
            return super().__call__(*args, **kwargs)
        link: Link = cls._fumehood_link  # type: ignore[attr-defined]
        made = call(link, "new", (cls, args, kwargs), args, kwargs)
        if not isinstance(made, cls):
            raise link.refuse(TypeError(f"{cls.__name__}() gave something else"))
        if (number := made.__dict__.get("_fumehood_id")) is not None:
            link.made[number] = cls, args, kwargs
        return _unraised(made)


def _reduced(exc: Any, protocol: Any) -> Any:
    if "_fumehood_id" not in exc.__dict__:  # of a class of the tests' own below it
        return BaseException.__reduce_ex__(exc, protocol)
    return _unpickled, (_pickled(type(exc)._fumehood_link, exc),)


def _copied(exc: Any) -> Any:
    return _copy_of(exc, "copy", lambda value: value)


def _copied_deeply(exc: Any, memo: Any) -> Any:
    return _copy_of(exc, "deepcopy", lambda value: copy.deepcopy(value, memo))


def _copy_of(exc: Any, name: str, part: Callable[[Any], Any]) -> Any:
    if "_fumehood_id" in exc.__dict__:
        return _unraised(type(exc)._fumehood_link.ask("operator", name, (exc,), {}))
    made = type(exc)(*part(exc.args))
    made.__dict__.update(part(exc.__dict__))
    return made


def _equal_errors(exc: Any, other: Any) -> Any:
    if not all("_fumehood_id" in getattr(one, "__dict__", {}) for one in (exc, other)):
        return NotImplemented
    return type(exc)._fumehood_link.equal_errors(exc, other)


def _hash_of_error(exc: Any) -> int:
    return _hash_of(type(exc)._fumehood_link, exc) if "_fumehood_id" in exc.__dict__ else BaseException.__hash__(exc)


def _repr_of_error(exc: Any) -> str:
    if "_fumehood_id" not in exc.__dict__:
        return BaseException.__repr__(exc)
    return _check_text(type(exc)._fumehood_link.ask("operator", "repr", (exc,), {}), "__repr__")


_OF_ERRORS = {"eq": _equal_errors, "hash": _hash_of_error, "repr": _repr_of_error}


def of_errors(special: tuple[str, ...], *, hashable: bool) -> dict[str, Any]:
    """What the candidate does with its own exceptions, where their class does more than to be one: `special` says so."""
    if "init" not in special:
        return {}
    ways = {f"__{name}__": way for name, way in _OF_ERRORS.items() if name in special}
    copying = {"__reduce_ex__": _reduced, "__copy__": _copied, "__deepcopy__": _copied_deeply}
    return {"__hash__": BaseException.__hash__ if hashable else None, **ways, **copying}


def pull(value: Any) -> Any:
    """What `iter` gave, as an iterator."""
    if not hasattr(type(value), "__next__"):
        raise mark(TypeError("iter() returned non-iterator"))
    return value


def generated(link: Link, source: Any, *, begun: bool = False) -> Any:
    """A generator of ours that pulls from one of the candidate's. Where that one waits for a value, so does ours, once begun."""
    how, sent = "send", (yield) if begun else None
    for _ in range(MAX_ITEMS):
        error = sent if how == "throw" else None
        with link.unreached.replacing(error):
            answer = link.ask("resume", source, how, sent)
        if error is not None:
            link.unreached.ended(error)
        if type(answer) is not tuple or len(answer) != 2 or type(answer[0]) is not bool:
            link.tamper("an answer of no kind")
        going, value = answer
        if not going:
            return value
        try:
            how, sent = "send", (yield value)
        except GeneratorExit:
            if not link.broken:
                link.ask("resume", source, "close", None)
            raise
        except BaseException as exc:
            if is_verdict(exc) and marked(exc) is None:  # what the tests found goes on, whatever the candidate makes of it
                with contextlib.suppress(Exception):
                    link.ask("resume", source, "throw", AssertionError())
                raise
            how, sent = "throw", exc
    raise link.refuse(RuntimeError(f"a generator of the candidate's gave more than {MAX_ITEMS} items"))


async def thrown(link: Link, awaitable: Any, error: BaseException) -> Any:
    """What an asynchronous generator of the candidate's makes of an error that is thrown into it: it may end it."""
    try:
        with link.unreached.replacing(error):
            value = await awaitable
    except StopAsyncIteration:
        link.unreached.ended(error)
        raise
    link.unreached.ended(error)
    return value


def _throwing(link: Link, athrow: Any) -> Any:
    """`athrow` of an asynchronous generator, with what it ends noted."""

    def throwing(*args: Any) -> Any:
        error = next((arg for arg in args if isinstance(arg, BaseException)), None)
        return athrow(*args) if error is None else thrown(link, athrow(error), error)

    return throwing


async def awaited(link: Link, source: Any) -> Any:
    """A coroutine of ours for one of the candidate's."""
    return await link.loops.result(source)


class _Keeping:
    """What keeps attributes of its own."""


_kept_by = vars(_Keeping)["__dict__"].__get__
"""What we keep of a function; its `__dict__` is what the candidate has set."""


class Function(_Keeping):
    """A function that lives at the candidate's."""

    def __init__(self, link: Link, number: int, texts: list[str], asynchronous: bool, bound: bool) -> None:
        own = _kept_by(self)
        own["_fumehood_link"], own["_fumehood_id"], own["_fumehood_bound"] = link, number, bound
        own["__name__"], own["__qualname__"], doc, own["__module__"] = texts
        own["__doc__"] = doc or None
        if asynchronous:
            import asyncio

            own["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate call it."""
        return call(self._fumehood_link, "call", (self, args, kwargs), args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return types.MethodType if _kept_by(self)["_fumehood_bound"] else types.FunctionType

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        """What the candidate has set, as `functools.wraps` copies it. Nothing in it is called in the place of what compares."""
        told = self._fumehood_link.ask("get", self, "__dict__")
        if type(told) is not dict or not all(type(name) is str for name in told):
            raise mark(TypeError("the attributes of a function are no dictionary"))
        return {name: guarded(self, name, value) for name, value in told.items() if not name.startswith(("_", *_OURS))}

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._fumehood_link, self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith((*_OURS, *_PROTOCOLS)) or name == "_is_coroutine":
            raise AttributeError(name)
        if name == "__wrapped__" and not self._fumehood_link.is_tests(sys._getframe(1)):
            raise AttributeError(name)  # libraries look behind functions, and would find another
        return _attribute(self._fumehood_link, self, name, known=False)

    def __setattr__(self, name: str, value: Any) -> None:
        self._fumehood_link.ask("set", self, name, value)
        _kept_by(self).pop(name, None)  # what it is called was noted when it came

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _unpickled, (_pickled(self._fumehood_link, self),)

    def __copy__(self) -> Function:
        return self

    def __deepcopy__(self, memo: Any) -> Function:
        return self


class Method:
    """A method of a handle."""

    def __init__(self, handle: Handle, name: str) -> None:
        self._handle = handle
        self.__name__ = self.__qualname__ = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate call it."""
        handle, name = self._handle, self.__name__
        link = type(handle)._fumehood_link
        plain = [arg for arg in (*args, *kwargs.values()) if not isinstance(type(bare(arg)), HandleMeta)]
        if plain and (name in _PREDICATES or _is_arrays_own(name, plain)) and handle._fumehood_id not in link.made:
            return link.predicate(handle, name, args, kwargs)
        if name in _PREDICATES and handle._fumehood_id not in link.made:
            link.rest_on("word")
        if name in LISTING and not args and not kwargs:
            return link.listed(handle, name)
        if judges_calls(name):
            link.rest_on("word")
        value = call(link, "method", (handle, name, args, kwargs), args, kwargs)
        if not args and not kwargs and handle._fumehood_id not in link.made and _speaks(handle, name):
            return link.says(handle, name, value)
        if plain and name in _SAYING and handle._fumehood_id not in link.made:
            return link.said(handle, name, (*args, *kwargs.values()), value)
        return value

    @property
    def __self__(self) -> Any:
        return self._handle

    @property
    def __func__(self) -> Any:
        return getattr(type(self._handle), self.__name__)

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.__func__.__doc__

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return types.MethodType

    def __eq__(self, other: Any) -> bool:
        return type(other) is Method and other._handle is self._handle and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash((id(self._handle), self.__name__))

    def __getattr__(self, name: str) -> Any:
        if name == "_handle":  # a copy that is being made
            raise AttributeError(name)
        link = type(self._handle)._fumehood_link
        return getattr(link.ask("get", self._handle, self.__dict__["__name__"]), name)


_KINDS = ("map", "filter", "zip", "enumerate", "reversed", "property", "staticmethod", "classmethod", "async_generator")
"""Built-in classes that isinstance shall find behind what stays at the candidate's."""


def class_below(base: type | None, about: dict[str, Any]) -> type | None:
    """A class of ours below a plain one, under the name of the candidate's: what isinstance finds, and `__class__` shows."""
    try:
        return None if base is None else type(about["__qualname__"].rpartition(".")[2], (base,), {"__slots__": (), **about})
    except TypeError:  # nothing derives from it, or it has no room for slots
        return None


def shared_class(path: Any) -> type | None:
    """The class that both sides have under a path."""
    if type(path) is not tuple or len(path) != 2:
        return None
    module, word = path
    if module == "builtins":
        return TYPES.get(word)
    found = vars(library(module)).get(word) if module in LIBRARIES else None
    return found if isinstance(found, type) else None


def library_class(path: Any, name: str, bases: list[Any]) -> type | None:
    """The library class that isinstance shall find behind a handle, or a class of ours below it."""
    if type(path) is tuple and len(path) == 2:
        module, word = path
        found = None
        if module == "builtins" and word in _KINDS:
            found = TYPES[word]
        elif module == "enum":
            found = vars(enum).get(word)
        elif module == "iterators":
            found = ITERATORS.get(word)
        elif module == "torch.nn" and "torch" in sys.modules:
            found = vars(sys.modules["torch.nn"]).get(word)
        elif type(module) is str and module.startswith(ESTIMATORS) and module in sys.modules:  # by the tests' own import
            found = vars(sys.modules[module]).get(word)
        return found if isinstance(found, type) else None
    above = next((base._fumehood_real for base in bases if issubclass(base, Handle) and base._fumehood_real), None)
    torch = sys.modules.get("torch")
    if above is not None and issubclass(above, enum.Enum):  # without members
        return types.new_class(name, (above,))
    if above is not None and torch is not None and issubclass(above, torch.nn.Module):
        return type(name, (above,), {})
    return above if above is not None and above.__module__.startswith(ESTIMATORS) else None
