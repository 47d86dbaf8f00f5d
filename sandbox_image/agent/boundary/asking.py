"""The tests' end of the language: writes questions, in which numbers stand for what stays here, and reads answers.

Left out: what is asked, and what becomes of an answer. `link.py` has that.
"""

from __future__ import annotations

import collections.abc
import contextlib
import enum
import functools
import inspect
import itertools
import operator
import re
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import arrays, coarse, enums, mocks, own, vacuous, values
from .exceptions import alias_of, exception_class
from .gradients import MAX_LEAF
from .handles import ExceptionMeta, Function, Handle, Method, guarded, handle_of, of_errors
from .module import Module
from .sharing import Shared
from .values import Garbled, NotApart

if TYPE_CHECKING:
    from .link import Link

_ITERATORS: tuple[type, ...] = (
    types.GeneratorType,
    *(map, filter, zip, enumerate, reversed),
    *values.ITERATORS.values(),
    *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
)
"""What gives items and does nothing else."""
_VIEWS = (collections.abc.KeysView, collections.abc.ValuesView, collections.abc.ItemsView)
"""What mappings of the tests' own give of what is in them."""
_CALLABLES: tuple[type, ...] = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType),
    *(functools.partial, operator.itemgetter, operator.attrgetter, operator.methodcaller),
    *(type(str.upper), type(str.__len__), type("".__len__), type(functools.cache(len))),
)
"""What is called and does nothing else. An object of the tests' own that can be called is more than that."""
_BUILT = (functools.partial, operator.itemgetter, operator.attrgetter, operator.methodcaller)
"""Those of them that are no more than what they were made with."""
_TEXT = 10_000
_MAX_WORD = 1000


class QuestionWriter(values.Writer):
    """Writes what the tests pass to the candidate."""

    __slots__ = ("link", "passing")

    def __init__(self, link: Link, *, passing: bool = True) -> None:
        super().__init__()
        self.link = link
        self.passing = passing
        """Whether this is passed, and not shown in a question of whether it is equal."""

    def special(self, value: Any) -> bool:
        """What the candidate keeps goes back as its number; what is of the tests' own crosses as far as it can."""
        kind, link = type(value), self.link
        if issubclass(kind, Handle | Function):
            self._handle(value._fumehood_id)
        elif (handle := handle_of(value)) is not None:
            self._handle(handle._fumehood_id)
        elif kind is Module:
            self._handle(0)
        elif kind is Method:
            self.put(link.ask("get", value._handle, value.__name__))
        elif issubclass(kind, type) and (number := link.number_of_class(value)) is not None:
            self._handle(number)
        elif issubclass(kind, types.GeneratorType | types.CoroutineType) and (source := link.sources.get(value)) is not None:
            self._handle(source._fumehood_id)
        elif issubclass(kind, type) and issubclass(value, BaseException) and not _is_shared_class(value):
            self._own_error(value)
        elif issubclass(kind, BaseException) and (number := value.__dict__.get("_fumehood_id")) is not None:
            self._handle(number)
        elif issubclass(kind, BaseException):
            self.out += b"e"
            self.put_apart((kind, tuple(arg if is_plain(arg) else repr(arg)[:_TEXT] for arg in value.args), None))
        elif self.passing and kind.__module__ == link.own_module and issubclass(kind, enum.Enum):
            if not enums.is_simple(kind, link.own_module):
                raise NotApart(
                    f"A member of an enumeration with methods ({kind.__name__}) cannot be passed to a candidate judged apart"
                )
            enums.put(self, value)
        elif self.passing and kind.__module__ == link.own_module and _derives_from_plain(kind):
            raise NotApart(f"A value of a class of the tests' own ({kind.__name__}) cannot be passed to a candidate judged apart")
        elif kind is vacuous.MissingItem:
            self.put(value.item)
        elif kind is types.TracebackType:  # handed on with an error, whose frames are nobody's business
            self.put(None)
        else:
            torch = sys.modules.get("torch")
            return torch is not None and issubclass(kind, torch.Tensor) and self._tensor(value, torch)
        return True

    def _own_error(self, kind: type[BaseException]) -> None:
        """An exception class of the tests' own: the candidate gets one like it, and what it raises of that is of this one."""
        if kind in self.link.aliases.values():
            self.put(next(base for base in kind.__mro__ if base in values.TYPE_NAMES))
            return
        self.out += b"x"
        values.put_int(self, self.link.number_of_error(kind))
        self.put(str(kind.__name__)[:1000])
        self.put(kind.__bases__[0] if issubclass(kind.__bases__[0], BaseException) else Exception)

    def _handle(self, number: int) -> None:
        self.out += b"#"
        values.put_int(self, number)

    def _tensor(self, value: Any, torch: Any) -> bool:
        number = self.link.mirror_number(value)
        if number is not None:
            self._handle(number)
        elif not arrays.is_plain_tensor(value):
            raise NotApart(f"A tensor of {value.dtype} cannot be passed to a candidate judged apart")
        elif value.requires_grad and (value.is_leaf or torch.is_grad_enabled()):
            self.out += b"G"
            values.put_int(self, self.link.remember(value))
            out = len(self.out)
            arrays.put_tensor(self, value, torch)
            del self.out[out]  # its tag
            self.put(leaf := self._leaf(value, torch))
            if leaf is None and self.sharing is not None:
                self.sharing.watch(value)
        else:
            if value.requires_grad and self.sharing is not None:
                self.sharing.watch(value)
            arrays.put_tensor(self, value.detach(), torch)
        return True

    def factory(self, value: Any) -> None:
        """What makes the items that a dictionary lacks, which is called here."""
        self.put(value)

    def _leaf(self, value: Any, torch: Any) -> tuple[bool, Any] | None:
        """Whether a leaf of the tests' own is a parameter, and its gradient; None for what is only computed with."""
        large = value.numel() * value.element_size() > MAX_LEAF
        if large and value.grad is not None:
            what = "A large tensor that has a gradient cannot be passed to a candidate judged apart"
            raise NotApart(what, kind="torch" not in self.link.gave)
        if large or not value.is_leaf:
            return None
        return isinstance(value, torch.nn.Parameter), self.link.leaf(value).grad

    def foreign(self, value: Any) -> None:
        """A number for what can be called or asked, with what is told of it. Raises NotApart for what else there is."""
        link = self.link
        about: Any = None
        if id(value) in self.active:
            raise NotApart("A value that contains itself cannot be passed to a candidate judged apart", kind=False)
        if type(value) in values.WRITE:
            raise NotApart(
                f"A value nested deeper than {values.MAX_DEPTH} cannot be passed to a candidate judged apart", kind=False
            )
        if type(value) in _VIEWS:
            self.put_apart(list(value))
            return
        if type(value) is object:
            number = link.callable_number(value, None)
            nature = "token"
        elif self.passing and mocks.is_mock(value):
            about = mocks.describe(value, link.own_module)
            number = link.callable_number(value, mocks.serving(value, link.own_module))
            nature = "mock"
        elif type(value) is types.GeneratorType:
            number = link.callable_number(value, functools.partial(_resumed, value))
            nature = "generator"
        elif type(value) is types.CoroutineType:
            number = link.coroutine_number(value)
            nature = "awaitable"
        elif isinstance(value, _ITERATORS):
            number = link.callable_number(value, functools.partial(next, value))
            nature = "iterator"
        elif type(value) in _BUILT and not link.gathers(value):
            number = link.callable_number(value, value)
            del link.handed[id(value)]  # its parts are, by themselves
            nature = "partial" if type(value) is functools.partial else "getter"
        elif isinstance(value, _CALLABLES) and not is_torch_module(value):
            value = link.same_method(value)
            number = link.callable_number(value, value)
            nature = "coroutine" if inspect.iscoroutinefunction(value) else ""
            owner = value.__self__ if type(value) is types.MethodType else None
            about = (*_about(value, link.shown), owner if link.is_own(type(owner)) else None)
        elif self.passing and isinstance(value, type) and enums.is_simple(value, link.own_module):
            number = link.callable_number(value, None)
            nature, about = "enum", enums.describe(value)
        elif self.passing and link.is_own(value if isinstance(value, type) else type(value)):
            number = (
                link.callable_number(value, None)
                if link.has_number(value)
                else link.callable_number(value, own.serving(value, link.shown))
            )
            nature = "class" if isinstance(value, type) else "object"
        else:
            chosen = link.chose(value) or (link.used > 0 and _follows(value)) or _is_led_to(value, link.gave)
            what = f"An object of the tests' own ({type(value).__name__}) cannot be passed to a candidate judged apart"
            raise NotApart(what, kind=not chosen)
        self.out += b"k"
        self.put(number)
        self.put(nature)
        if nature == "partial":
            self.put((value.func, value.args, value.keywords))
        elif nature == "getter":
            self.put(value.__reduce__()[:2])
        elif nature == "object":
            self.put_apart((type(value), own.hash_of(value)))
        elif nature == "mock":
            self.put_apart(about)
        elif nature == "class":
            self.put_apart(own.describe(value, link.own_module))
        else:
            self.put_apart(about)


_FOLLOWING = ("builtins", "collections", "array", "itertools", "numpy", "torch", "pandas")
"""Libraries whose arrays, scalars, iterators and containers are of the kind that their items ask for."""


def _follows(value: Any) -> bool:
    """Whether the kind of a library's object follows from the values in it, which may be the candidate's."""
    kind = type(value)
    if isinstance(value, type) or kind.__module__.partition(".")[0] not in _FOLLOWING or is_torch_module(value):
        return False
    numpy = sys.modules.get("numpy")
    scalar = numpy is not None and isinstance(value, numpy.generic)
    if _has_fields(value):
        return False
    return scalar or hasattr(kind, "__iter__") or kind.__module__.startswith("pandas")


def _has_fields(value: Any) -> bool:
    """Whether an array has fields with names: those are written out, so that it is the tests' choice."""
    return bool(getattr(getattr(value, "dtype", None), "names", None))


_LEADS = {
    "re": ("re", "_sre"),
    "pathlib": ("pathlib", "_io", "os", "posix"),
    "datetime": ("datetime", "time"),
    "numpy": ("numpy", "ctypes", "_ctypes"),
    "torch": ("torch", "builtins"),
}
"""Library -> those of whose classes are what its values give when they are asked; the library's own for others."""


def _is_led_to(value: Any, gave: set[str]) -> bool:
    """Whether a library's object may be what a value of the candidate's gave: what it gives depends on the value's class."""
    kind = value if isinstance(value, type) else type(value)
    return not _has_fields(value) and kind.__module__.partition(".")[0] in gave


def is_torch_module(value: Any) -> bool:
    """Whether a value is a module of PyTorch of the tests' own."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _resumed(generator: Any, how: str, sent: Any) -> Any:
    """Go on with a generator of the tests'."""
    if how not in ("send", "throw", "close"):
        raise Garbled("a question to a generator that is none")
    return generator.close() if how == "close" else getattr(generator, how)(sent)


def _given(value: Any, own: Any) -> Any:
    return value


def _is_shared_class(kind: type) -> bool:
    """Whether both sides have a class."""
    return kind in values.TYPE_NAMES or values.library_path(kind) is not None


def _derives_from_plain(kind: type) -> bool:
    """Whether a class is one of plain data with more to it: a plain copy would lack that."""
    return values.base_of(kind) is not None and not hasattr(kind, "_fields") and not issubclass(kind, enum.Enum)


def is_plain(value: Any) -> bool:
    """Whether a value crosses as plain data alone."""
    try:
        values.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _about(function: Any, shown: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Name, documentation, parameters and what it says to return of a callable of the tests'."""
    name = getattr(function, "__name__", None)
    doc = getattr(function, "__doc__", None)
    parameters, exact = None, True
    returned: tuple[Any, ...] = ()
    if isinstance(function, types.FunctionType | types.MethodType):
        parameters = own.parameters(function, shown)
        defaults = [found.default for found in inspect.signature(function).parameters.values()]
        exact = all(value is inspect.Parameter.empty or shown(value) is value for value in defaults)
        if "return" in (annotations := getattr(function, "__annotations__", {})):
            returned = (shown(annotations["return"]),)
    else:
        with contextlib.suppress(ValueError, TypeError):  # some built-in functions have no signature
            parameters, exact = own.parameters(function, shown), False
    attributes = {
        key: value
        for key, value in getattr(function, "__dict__", {}).items()
        if type(key) is str and (not key.startswith("_") or key == "__isabstractmethod__") and is_plain(value)
    }
    qualname = getattr(function, "__qualname__", name)
    names = [text if type(text) is str else type(function).__name__ for text in (name, qualname)]
    return (*names, doc if type(doc) is str else None, parameters, exact, attributes, _module_of(function), returned)


def _module_of(function: Any) -> str | None:
    module = getattr(function, "__module__", None)
    return module if type(module) is str else None


class AnswerReader(values.Reader):
    """Reads what the candidate sent."""

    __slots__ = ("link", "outputs", "types_stay")

    def __init__(self, data: bytes, link: Link, start: int) -> None:
        super().__init__(data, start)
        self.link = link
        self.outputs: list[Any] = []
        self.types_stay = False
        """Whether tensors are read that take part in gradients, whose types both sides must have alike."""

    def number(self) -> int:
        """The number of something that the candidate keeps."""
        number: int = self.expect(int)
        if not 0 <= number < 1 << 62:
            raise Garbled("a number that is none")
        return number

    @staticmethod
    def short(texts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same, none of whose texts is long: they become names of tests and of classes."""
        if any(type(text) is str and len(text) > _MAX_WORD for text in texts):
            raise Garbled("a name that is too long")
        return texts

    def described(self) -> bool:
        """Whether a description follows."""
        told = self.take()
        if told is not None and told is not True:
            raise Garbled("a description that is none")
        return told is True

    def object(self) -> Any:
        """An object that the candidate keeps."""
        number = self.number()
        self.depth += 1
        kind = self.expect_class()
        nature = self.name()
        plain = getattr(kind, "_fumehood_base", None)
        base = [self.take()] if plain is not None else []
        self.depth -= 1
        if base and type(base[0]) is not plain:
            raise Garbled(f"a {kind.__name__} that is no {getattr(plain, '__name__', plain)}")
        return self.link.value(number, kind, nature, base)

    def expect_class(self) -> type:
        """A class of the candidate's."""
        if self.data[self.pos] != ord("c"):
            raise Garbled("no class where one belongs")
        self.pos += 1
        return self.kind()

    def class_of_its_own(self) -> type:
        """A class of the candidate's as a value."""
        found = self.kind()
        self.link.was_handed(found)
        return found

    def kind(self) -> type:
        """A class of the candidate's, which is described the first time."""
        number = self.number()
        self.depth += 1
        if self.depth > values.MAX_DEPTH:
            raise Garbled("too many classes")
        if self.described():
            self.link.add_class(number, self._class(number))
        self.depth -= 1
        found = self.link.classes.get(number)
        if found is None:
            raise Garbled("a class that was not described")
        return found

    def _class(self, number: int) -> type:
        name, qualname, module, exception = self.short(self.expect(tuple))
        if self.data[self.pos] != ord("l"):
            raise Garbled("no bases where they belong")
        self.pos += 1
        bases: list[Any] = []
        for _ in range(self.count()):
            if exception:
                base = self.take()
                if not (isinstance(base, type) and issubclass(base, BaseException)):
                    raise Garbled("an exception of another kind")
                bases.append(base)
            else:
                bases.append(self.expect_class())
        special, methods, base, real, own = self.expect(tuple)
        doc, hashable, abstract, checks = self.expect(tuple)
        texts = (name, qualname, module, doc, *special, *methods, *own, *(real or ()))
        if not all(type(text) is str and "\0" not in text for text in texts) or type(exception) is not bool or not name.strip():
            raise Garbled("a class with names that are none")
        if base is not None and not (isinstance(base, type) and (base in values.TYPE_NAMES or values.library_path(base))):
            raise Garbled("a class with a base that is none")
        about = {"__module__": module, "__qualname__": qualname, "__doc__": doc}
        if exception:
            about |= {"_fumehood_link": self.link, "_fumehood_adds": "init" in special}
            about |= of_errors(special, hashable=hashable is True)
            return exception_class(name, bases or [Exception], about, ExceptionMeta)
        more = own, checks, about
        return self.link.object_class(number, name, bases, special, methods, base, real, hashable, abstract, *more)

    def function(self) -> Any:
        """A function that the candidate keeps."""
        number = self.number()
        *texts, asynchronous, bound = self.short(self.expect(tuple))
        if [type(text) for text in texts] != [str] * 4 or type(asynchronous) is not bool or type(bound) is not bool:
            raise Garbled("a function that is none")
        return self.link.function(number, texts, asynchronous, bound)

    def from_library(self) -> Any:
        """A part of a library. What the tests make by what the candidate chose is not their own doing."""
        found = values.read_library(self)
        if isinstance(found, type):
            self.link.given.add(found)
        elif callable(found):
            self.link.gave_functions = True
        return found

    def named(self, value: Any, comes_back: bool) -> Any:
        """A named tuple, whose items are not called in the place of a method that compares."""
        shown = {name: guarded(value, name, item) for name, item in zip(value._fields, value, strict=True) if callable(item)}
        kept = {name: found for name, found in shown.items() if found is not getattr(value, name)}
        if not kept:
            return value
        places = {name: property(functools.partial(_given, found)) for name, found in kept.items()}
        return tuple.__new__(type(type(value).__name__, (type(value),), {"__slots__": (), **places}), value)

    def factory(self) -> Any:
        """What makes the items that a dictionary lacks: at the candidate's, or at the tests' if it was theirs."""
        if self.data[self.pos] not in b"(chk":
            raise Garbled("a function of a library where none belongs")
        return self.deeper()

    def masked(self, array: Any) -> Any:
        """What is masked agrees with whatever it is compared with, unless the tests speak of masks."""
        ma = sys.modules["numpy"].ma
        mask = ma.getmaskarray(array)
        if type(array) is ma.MaskedArray and isinstance(self.sharing, Shared):  # it stays what the other side has
            if mask.any() and not self.link.speech.of(vacuous.MASKS):
                self.link.rest_on("word")
            return array
        if not mask.any() and not self.link.speech.of(vacuous.MASKS):
            return array.data
        return self._lacking(array, mask, ma.masked, vacuous.MASKS)

    def missing(self, column: Any, mask: Any) -> Any:
        """What is missing agrees with whatever it is compared with, as what is masked does."""
        return self._lacking(column, mask, sys.modules["pandas"].NA, vacuous.MISSING)

    def _lacking(self, found: Any, mask: Any, item: Any, spoken: re.Pattern[str]) -> Any:
        """What lacks some items stays as it is, on the word of the candidate; what lacks all has none to compare with."""
        if not mask.any() or self.link.speech.of(spoken):
            return found
        self.link.rest_on("word")
        if not mask.all():
            return found
        return vacuous.MissingItem(item) if found is item else vacuous.all_missing(mask.shape, item)

    def no_value(self) -> None:
        """One missing item by itself: what asks for its truth fails, but not all that tests may ask does."""
        if not self.link.speech.of(vacuous.MISSING):
            self.link.rest_on("word")

    def empty(self, array: Any) -> None:
        """Remember what would agree with whatever it is compared with."""
        self.link.empties.add(array)

    def endless(self) -> None:
        """What is not finite is far from no number, or near to none: the tests may see it as they say who speak of such."""
        if self.link.basis != "word" and not self.link.speech.of(coarse.ENDLESS):
            self.link.rest_on("word")

    def array(self, array: Any) -> Any:
        """One whose type would round what the tests compare it with: a single number is widened, else it leaves the word."""
        wide = coarse.widened(array)
        if coarse.is_endless(wide):
            self.endless()
        if wide is array:
            return array
        if array.ndim or self.types_stay or self.link.speech.of(coarse.TYPES):
            self.link.rest_on("word")
            return array
        return wide

    def gave(self, value: Any) -> None:
        """What it gives when it is asked follows from its class, which the candidate chose."""
        kind = value if isinstance(value, type) else type(value)
        library = kind.__module__.partition(".")[0]
        self.link.gave.update(_LEADS.get(library, (library,)))

    def stripped(self) -> None:
        """Operators and methods of that class may be others: the tests see those of NumPy's arrays."""
        self.link.rest_on("word")

    def builtin(self) -> type:
        """A built-in class. Those of exceptions that would catch what the tests themselves find are classes of our own."""
        found = super().builtin()
        catches = issubclass(AssertionError, found) or not issubclass(found, Exception)
        if issubclass(found, BaseException) and catches:
            found = self.link.aliases.setdefault(found, alias_of(found))
        return found

    def asked(self) -> Any:
        """A callable of the tests' own that comes back."""
        return self.link.callables[self.number()][0]

    def member(self) -> Any:
        """A member of an enumeration of the tests'."""
        return enums.read(self, self.link.has_number)

    def own_error(self) -> Any:
        """An exception class of the tests' that comes back."""
        return self.link.errors[self.number()]

    def exception(self) -> Any:
        """An exception as a value."""
        return self.link.exception(self.deeper())

    def mirror(self) -> Any:
        """What stands here for a leaf of the candidate's."""
        return self.link.mirrors[self.number()].tensor

    def output(self) -> Any:
        """A tensor of this answer that has a graph at the candidate's."""
        output = self.outputs[self.number()]
        if self.sharing is not None:
            self.sharing.watch(output)
        return output


AnswerReader.more = {
    ord("h"): AnswerReader.object,
    ord("c"): AnswerReader.class_of_its_own,
    ord("("): AnswerReader.function,
    ord("k"): AnswerReader.asked,
    ord(enums.TAG): AnswerReader.member,
    ord("x"): AnswerReader.own_error,
    ord("e"): AnswerReader.exception,
    ord("p"): AnswerReader.mirror,
    ord("o"): AnswerReader.output,
}
