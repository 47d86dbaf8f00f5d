"""What the tests see of a candidate that runs elsewhere: a module, functions, classes and objects that ask it for everything.

All that arrives is data. A class here is made by us from names and from our own methods; no comparison, hash or conversion runs
code of the candidate's, and what the tests expect is never told to an object that they did not ask for by the name of its class:
such an object could otherwise agree with whatever it is compared with.

Left out: running the tests. `test_side.py` does.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import io
import operator
import select
import socket
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import plain  # type: ignore[import-not-found]
from plain import Garbled, NotApart

MAX_ITEMS = 1_000_000
"""Items taken from one iterator of the candidate's."""
_MAX_NESTED = 300
"""Calls within calls across the boundary."""
_MAX_RAISED = 1000
"""Exceptions of the tests' own that are known again when they come back through the candidate."""
_MAX_KEPT = 4096
"""Tensors with gradients of the tests' whose graphs are remembered."""
_TEXT = 10_000
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
_OURS = ("_fumehood", "_pytest", "__pytest", "pytestmark", "__test__", "__unittest")
"""Names that the test runner asks of everything: a candidate has no say in how tests are run."""


class Broken(BaseException):
    """The boundary is gone: no test can go on. Not an Exception, so that no test takes it for an answer."""


def _marked(exc: BaseException, frames: str = "") -> BaseException:
    """Say of an exception that it is the candidate's, and where it was raised there."""
    exc._fumehood = frames  # type: ignore[attr-defined]
    return exc


def is_verdict(exc: Any) -> bool:
    """Whether an exception is what the tests found: an assertion of theirs, or what ends a test or their runner."""
    return isinstance(exc, AssertionError) or (isinstance(exc, BaseException) and not isinstance(exc, Exception))


def marked(exc: BaseException) -> str | None:
    """The candidate's frames behind an exception, or None where the exception is not the candidate's."""
    found = getattr(exc, "__dict__", {}).get("_fumehood")
    return found if isinstance(found, str) else None


def _check_text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise _marked(TypeError(f"{what} returned non-string"))
    return value


class _Writer(plain.Writer):  # type: ignore[misc]
    """Writes what the tests pass to the candidate."""

    __slots__ = ("link",)

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def special(self, value: Any) -> bool:
        kind, link = type(value), self.link
        if issubclass(kind, Handle | Function):
            self._handle(value._fumehood_id)
        elif kind is Module:
            self._handle(0)
        elif kind is Method:
            self.put(link.ask("get", value._handle, value.__name__))
        elif issubclass(kind, type) and (number := link.number_of_class(value)) is not None:
            self._handle(number)
        elif issubclass(kind, types.GeneratorType | types.CoroutineType) and (source := link.sources.get(value)) is not None:
            self._handle(source._fumehood_id)
        elif issubclass(kind, type) and issubclass(value, BaseException) and value not in plain._TYPE_NAMES:
            self.put(next(base for base in value.__mro__ if base in plain._TYPE_NAMES))
        elif issubclass(kind, BaseException):
            self.out += b"e"
            self.put((kind, tuple(arg if _is_plain(arg) else repr(arg)[:_TEXT] for arg in value.args)))
        else:
            torch = sys.modules.get("torch")
            return torch is not None and issubclass(kind, torch.Tensor) and self._tensor(value, torch)
        return True

    def _handle(self, number: int) -> None:
        self.out += b"#"
        plain._put_int(self, number)

    def _tensor(self, value: Any, torch: Any) -> bool:
        number = self.link.mirror_number(value)
        if number is not None:
            self._handle(number)
        elif value.requires_grad and torch.is_grad_enabled():
            self.out += b"G"
            plain._put_int(self, self.link.remember(value))
            out = len(self.out)
            plain.put_tensor(self, value, torch)
            del self.out[out]  # its tag
        else:
            plain.put_tensor(self, value.detach(), torch)
        return True

    def foreign(self, value: Any) -> None:
        link = self.link
        if id(value) in self.active:
            raise NotApart("A value that contains itself cannot be passed to a candidate judged apart")
        if type(value) in plain._WRITE:
            raise NotApart(f"A value nested deeper than {plain.MAX_DEPTH} cannot be passed to a candidate judged apart")
        torch = sys.modules.get("torch")
        module = torch is not None and isinstance(value, torch.nn.Module)
        if hasattr(type(value), "__next__") and not isinstance(value, io.IOBase):
            number = link.callable_number(value, value.__next__)
            nature = "iterator"
        elif callable(value) and not module:
            number = link.callable_number(value, value)
            nature = "coroutine" if inspect.iscoroutinefunction(value) else ""
        else:
            raise NotApart(f"An object of the tests' own ({type(value).__name__}) cannot be passed to a candidate judged apart")
        self.out += b"k"
        self.put(number)
        self.put(nature)
        self.put(None if nature == "iterator" else _about(value))


def _is_plain(value: Any) -> bool:
    try:
        plain.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _about(function: Any) -> tuple[Any, ...]:
    """Name, documentation and parameters of a callable of the tests'."""
    name = getattr(function, "__name__", None)
    doc = getattr(function, "__doc__", None)
    parameters = None
    if isinstance(function, types.FunctionType | types.MethodType):
        parameters = []
        for found in inspect.signature(function).parameters.values():
            more = {}
            for field in ("default", "annotation"):
                value = getattr(found, field)
                if value is not inspect.Parameter.empty:
                    more[field] = value if _is_plain(value) else repr(value)[:200]
            parameters.append((found.name, int(found.kind), more))
    return (name if type(name) is str else type(function).__name__, doc if type(doc) is str else None, parameters)


class _Reader(plain.Reader):  # type: ignore[misc]
    """Reads what the candidate sent."""

    __slots__ = ("link", "outputs")

    def __init__(self, data: bytes, link: Link, start: int) -> None:
        super().__init__(data, start)
        self.link = link
        self.outputs: list[Any] = []

    def number(self) -> int:
        """The number of something that the candidate keeps."""
        number: int = self.expect(int)
        if not 0 <= number < 1 << 62:
            raise Garbled("a number that is none")
        return number

    def described(self) -> bool:
        """Whether a description follows."""
        told = self.take()
        if told is not None and told is not True:
            raise Garbled("a description that is none")
        return told is True

    def object(self) -> Any:
        number = self.number()
        self.depth += 1
        kind = self.expect_class()
        nature = self.name()
        self.depth -= 1
        return self.link.handle(number, kind, nature)

    def expect_class(self) -> type:
        """A class of the candidate's."""
        if self.data[self.pos] != ord("c"):
            raise Garbled("no class where one belongs")
        self.pos += 1
        return self.kind()

    def kind(self) -> type:
        number = self.number()
        self.depth += 1
        if self.depth > plain.MAX_DEPTH:
            raise Garbled("too many classes")
        if self.described():
            self.link.add_class(number, self._class(number))
        self.depth -= 1
        found = self.link.classes.get(number)
        if found is None:
            raise Garbled("a class that was not described")
        return found

    def _class(self, number: int) -> type:
        name, qualname, module, exception = self.expect(tuple)
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
        special, methods, base, real = self.expect(tuple)
        doc, hashable = self.expect(tuple)
        texts = (name, qualname, module, doc, *special, *methods, *(real or ()))
        if not all(type(text) is str and "\0" not in text for text in texts) or type(exception) is not bool or not name.strip():
            raise Garbled("a class with names that are none")
        if base is not None and not isinstance(base, type):
            raise Garbled("a class with a base that is none")
        about = {"__module__": module, "__qualname__": qualname, "__doc__": doc}
        if exception:
            return _exception_class(name, bases or [Exception], about)
        return self.link.object_class(number, name, bases, special, methods, base, real, hashable, about)

    def function(self) -> Any:
        number = self.number()
        name, qualname, doc, asynchronous = self.expect(tuple)
        if not all(type(text) is str for text in (name, qualname, doc)) or type(asynchronous) is not bool:
            raise Garbled("a function that is none")
        return self.link.function(number, name, qualname, doc, asynchronous)

    def asked(self) -> Any:
        """A callable of the tests' own that comes back."""
        return self.link.callables[self.number()][0]

    def exception(self) -> Any:
        return self.link.exception(self.deeper())

    def mirror(self) -> Any:
        return self.link.mirrors[self.number()].tensor

    def output(self) -> Any:
        return self.outputs[self.number()]


_Reader.more = {
    ord("h"): _Reader.object,
    ord("c"): _Reader.kind,
    ord("("): _Reader.function,
    ord("k"): _Reader.asked,
    ord("e"): _Reader.exception,
    ord("p"): _Reader.mirror,
    ord("o"): _Reader.output,
}


class _Mirror:
    """Our copy of a tensor of the candidate's that asks for gradients: a parameter, as a rule."""

    def __init__(self, number: int, tensor: Any) -> None:
        self.number, self.tensor = number, tensor
        self.note()

    def note(self) -> None:
        self.data = self.tensor.detach().clone()
        self.grad = None if self.tensor.grad is None else self.tensor.grad.detach().clone()

    def changed(self) -> bool:
        return not (_same(self.tensor.detach(), self.data) and _same(self.tensor.grad, self.grad))


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.dtype == other.dtype and one.shape == other.shape and sys.modules["torch"].equal(one, other))


class Link:
    """The tests' end of the boundary."""

    def __init__(self, sock: socket.socket, module: str, *, in_place: bool, tampered: Callable[[str], None]) -> None:
        self._sock = sock
        self.module = module
        self._in_place = in_place
        self._tampered = tampered
        self._lock = threading.RLock()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._seq = 0
        self._depth = 0
        self.broken = ""
        """Why there is no boundary any more."""
        self.callables: dict[int, tuple[Any, Any]] = {}
        """What the tests passed that can be called: by number, the object itself and what is called."""
        self._callable_numbers: dict[int, int] = {}
        self._raised: dict[int, BaseException] = {}
        self._next_raised = 0
        self.classes: dict[int, type] = {}
        self._class_numbers: dict[type, int] = {}
        self._handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.sources: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        """Our generators and coroutines -> the handles that they pull from."""
        self._taken: dict[int, int] = {}
        """Items taken from iterators, by their number."""
        self.mirrors: dict[int, _Mirror] = {}
        self._mirror_numbers: dict[int, int] = {}
        self._graded: dict[int, Any] = {}
        self._graded_numbers: dict[int, int] = {}
        self._next_graded = 1
        self.drop: set[int] = set()
        """Numbers that nobody here needs any more; negative for graphs."""
        self.seeds: list[tuple[str, tuple[Any, ...]]] = []
        """Seeds that the tests set: the candidate's generators are set alike before its next call."""
        self.known: set[type] = set()
        """Classes that the tests named."""
        self.made: set[int] = set()
        """Objects that the tests had made, and that the candidate has not handed out since."""
        self.aliases: dict[type, type] = {}
        """What stands for an exception that would catch what the tests themselves find, where the candidate has a name for it."""
        self.swallowed: BaseException | None = None
        """What the tests found while the candidate called them, until it comes back."""
        self.entry_point = ""

    # Asking

    def greet(self) -> BaseException | None:
        """Wait until the candidate's module was run. Returns the exception that it raised instead."""
        try:
            self._wait(0)
        except Broken:
            raise
        except BaseException as exc:
            return exc
        return None

    def ask(self, kind: str, *operands: Any) -> Any:
        """Have the candidate's side do something, and return the value, or raise what it raised.

        Raises:
            NotApart: something in the operands cannot cross.
            Broken: the candidate's process is gone, or sent what no honest one sends.
        """
        with self._lock:
            if self.broken:
                raise Broken(self.broken)
            if self._depth >= _MAX_NESTED:
                raise RecursionError("too many calls within calls between the tests and the candidate")
            if not self._depth and self._poll.poll(0):
                self._read_unasked()
            body = _Writer(self)
            try:
                body.put(operands)
            except plain.TooLarge as exc:
                raise NotApart(f"The arguments cannot be passed to a candidate judged apart, {exc} is too large") from None
            self._seq = seq = self._seq + 1
            self._send(seq, kind, body)
            self._depth += 1
            try:
                return self._wait(seq)
            finally:
                self._depth -= 1

    def _read_unasked(self) -> None:
        try:
            ended = not self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            ended = True
        self._break("The candidate's process ended before its tests did.") if ended else self.tamper(
            "a frame that nobody asked for"
        )

    def _send(self, seq: int, kind: str, body: _Writer) -> None:
        extras: dict[str, Any] = {}
        if self.drop:
            extras["drop"], self.drop = list(self.drop), set()
        if self.seeds:
            extras["seeds"], self.seeds = self.seeds, []
        if (torch := sys.modules.get("torch")) is not None:
            if not torch.is_grad_enabled():
                extras["grad"] = False
            if self.mirrors:
                changed = [mirror for mirror in self.mirrors.values() if mirror.changed()]
                for mirror in changed:
                    mirror.note()
                if changed:
                    extras["leaves"] = [(mirror.number, mirror.data, mirror.grad) for mirror in changed]
        before = _Writer(self)
        if extras:
            before.put(extras)
        try:
            plain.send(self._sock, seq, kind, before.out, body.out)
        except plain.TooLarge as exc:
            raise NotApart(f"The arguments cannot be passed to a candidate judged apart, {exc} is too large") from None
        except OSError:
            self._break("The candidate's process ended before its tests did.")

    def _break(self, why: str) -> None:
        self.broken = self.broken or why
        raise Broken(self.broken)

    def tamper(self, what: str) -> None:
        """Note an attempt on this side and end the boundary."""
        if not self.broken:
            self._tampered(f"The candidate sent {what}.")
        self._break(f"The candidate's side of the boundary sent {what}.")

    def _wait(self, seq: int) -> Any:
        """Read until the answer to `seq`, and serve what is asked of the tests meanwhile."""
        while True:
            kind, value = self._receive(seq)
            if kind == "ok":
                return value
            if kind == "changed":
                return _Changed(*value)
            if kind == "raised":
                raise value
            self._call_back(*value)

    def _receive(self, seq: int) -> tuple[str, Any]:
        try:
            data = plain.receive(self._sock)
        except (EOFError, OSError):
            self._break("The candidate's process ended before its tests did.")
        except Garbled as exc:
            self.tamper(str(exc))
        try:
            return self._read(data, seq)
        except Garbled as exc:
            self.tamper(str(exc))
        except Broken:
            raise
        except Exception as exc:
            self.tamper(f"a frame that cannot be read ({type(exc).__name__})")
        raise AssertionError  # not reached

    def _read(self, data: bytes, seq: int) -> tuple[str, Any]:
        got, kind, extra = plain.head(data)
        if got != seq & 0xFFFFFFFF:
            raise Garbled("an answer to another question")
        reader = _Reader(data, self, plain.HEAD)
        if extra:
            self._note(reader, reader.expect(dict))
        value = reader.whole()
        if kind == "raised":
            value = self.exception(value)
        elif kind == "asked":
            number, args, kwargs = value
            self.callables[number]
            if type(args) is not tuple or type(kwargs) is not dict or not all(type(name) is str for name in kwargs):
                raise Garbled("a call that is none")
        elif kind == "changed":
            if not self._in_place:
                raise Garbled("changes that nobody asked for")
            _, _ = value
        elif kind != "ok":
            raise Garbled("an answer of no kind")
        return kind, value

    def _call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        body = _Writer(self)
        kind = "returned"
        try:
            target = self.callables[number][1]
            value = target(*args, **kwargs)
            if inspect.iscoroutine(value) and value not in self.sources:
                value = _run_apart(value)
            body.put(value)
        except Broken:
            raise
        except BaseException as exc:
            kind, body, told = "raised", _Writer(self), exc.args
            if is_verdict(exc) and marked(exc) is None:
                self.swallowed, told = exc, ()  # what they expected is none of the candidate's business
            place = self._next_raised = self._next_raised + 1
            self._raised[place] = exc
            self._raised.pop(place - _MAX_RAISED, None)
            what = (type(exc), tuple(arg if _is_plain(arg) else repr(arg)[:_TEXT] for arg in told))
            body.put((what, place))
        self._send(self._seq, kind, body)

    # What arrives

    def exception(self, told: Any) -> BaseException:
        """The exception that the candidate described, marked as its own."""
        kind, args, text, attributes, frames, place, cause = told
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or type(args) is not tuple:
            raise Garbled("an exception that is none")
        if type(text) is not str or type(frames) is not str or type(attributes) is not dict or type(place) is not int:
            raise Garbled("an exception that is none")
        if place in self._raised:
            if self._raised[place] is self.swallowed:
                self.swallowed = None
            return self._raised[place]
        if kind is KeyboardInterrupt or kind is GeneratorExit:  # these would end the test runner, or be swallowed by it
            kind = _stopping(kind.__name__)
        exc = _make(self.aliases.get(kind, kind), args, text[:_TEXT])
        for name, value in attributes.items():
            if type(name) is str and name.isidentifier() and not name.startswith("_"):
                exc.__dict__[name] = value
        if cause is not None:
            exc.__cause__ = self.exception(cause)
        return _marked(exc, frames[-_TEXT:])

    def add_class(self, number: int, kind: type) -> None:
        """Keep a class that was described."""
        if number in self.classes or len(self.classes) > 10_000:
            raise Garbled("a class that was described before")
        self.classes[number] = kind
        self._class_numbers[kind] = number

    def number_of_class(self, kind: type) -> int | None:
        """The number of a class of the candidate's."""
        return self._class_numbers.get(kind)

    def object_class(
        self,
        number: int,
        name: str,
        bases: list[Any],
        special: tuple[str, ...],
        methods: tuple[str, ...],
        base: type | None,
        real: Any,
        hashable: Any,
        about: dict[str, Any],
    ) -> type:
        """A class whose objects are handles: ours, made after a description."""
        own = {f"__{name}__": _SPECIALS[name] for name in special if name in _SPECIALS}
        body = {
            **about,
            **own,
            "__slots__": (),
            "_fumehood_class": number,
            "_fumehood_link": self,
            "_fumehood_methods": frozenset(methods),
            "_fumehood_base": base,
            "_fumehood_real": _real(real, name, bases),
            "_fumehood_name": name,
        }
        if hashable is not True:
            body["__hash__"] = None
        parents = tuple(b for b in bases if issubclass(b, Handle)) or (Handle,)
        try:
            return HandleMeta._make(name, parents, body)
        except TypeError:  # bases that Python would not combine in this order
            return HandleMeta._make(name, (Handle,), body)

    def handle(self, number: int, kind: type, nature: str) -> Any:
        """What stands for an object of the candidate's: the same for the same object."""
        found = self._handles.get(number)
        if found is not None and type(found) is kind:
            return found
        if not issubclass(kind, Handle):
            raise Garbled("an object of no class")
        self.drop.discard(number)  # not told yet, and not true any more
        made = object.__new__(kind)
        object.__setattr__(made, "_fumehood_id", number)
        weakref.finalize(made, self.let_go, number).atexit = False
        if nature == "generator":
            pulled: Any = _generate(self, made)
        elif nature == "coroutine":
            pulled = _await(self, made)
        else:
            self._handles[number] = made
            return made
        self._handles[number] = pulled
        self.sources[pulled] = made
        return pulled

    def handed_out(self, value: Any) -> Any:
        """Note that a value was the candidate's answer: what it says of itself does not count, though the tests made it."""
        if isinstance(type(value), HandleMeta):
            self.made.discard(value._fumehood_id)
        return value

    def count_item(self, number: int) -> None:
        """Note that an iterator gives one more item. Raises RuntimeError beyond the cap."""
        taken = self._taken[number] = self._taken.get(number, 0) + 1
        if taken > MAX_ITEMS:
            raise _marked(RuntimeError(f"an iterator of the candidate's gave more than {MAX_ITEMS} items"))

    def let_go(self, number: int) -> None:
        """Note that nobody here holds an object any more."""
        self.drop.add(number)
        self.made.discard(number)
        self._taken.pop(number, None)

    def function(self, number: int, name: str, qualname: str, doc: str, asynchronous: bool) -> Any:
        """What stands for a function of the candidate's."""
        found = self._handles.get(number)
        if type(found) is not Function:
            found = Function(self, number, name, qualname, doc, asynchronous)
            self._handles[number] = found
            self.drop.discard(number)
            weakref.finalize(found, self.let_go, number).atexit = False
        return found

    # What the tests pass

    def callable_number(self, value: Any, target: Any) -> int:
        """The number under which the candidate may call something of the tests'."""
        number = self._callable_numbers.get(id(value))
        if number is None or self.callables[number][0] is not value:
            number = self._callable_numbers[id(value)] = len(self.callables) + 1
            self.callables[number] = (value, target)
        return number

    # Tensors

    def mirror_number(self, tensor: Any) -> int | None:
        """The number of a tensor of the candidate's that this is our copy of."""
        number = self._mirror_numbers.get(id(tensor))
        return number if number is not None and self.mirrors[number].tensor is tensor else None

    def remember(self, tensor: Any) -> int:
        """A number for a tensor that asks for gradients, to be named when they come back."""
        number = self._graded_numbers.get(id(tensor))
        if number is None or self._graded.get(number) is not tensor:
            number, self._next_graded = self._next_graded, self._next_graded + 1
            self._graded_numbers[id(tensor)] = number
            self._graded[number] = tensor
            if len(self._graded) > _MAX_KEPT:
                oldest = next(iter(self._graded))
                self._graded_numbers.pop(id(self._graded.pop(oldest)), None)
        return number

    def _note(self, reader: _Reader, extras: dict[str, Any]) -> None:
        torch = plain._library("torch")
        for number, parameter, data, grad in extras.get("new", ()):
            if number in self.mirrors or type(number) is not int:
                raise Garbled("a tensor that was told before")
            tensor = torch.nn.Parameter(data) if parameter is True else data.clone().requires_grad_()
            tensor.grad = grad
            self.mirrors[number] = _Mirror(number, tensor)
            self._mirror_numbers[id(tensor)] = number
        for number, data, grad in extras.get("leaves", ()):
            mirror = self.mirrors[number]
            if not isinstance(data, torch.Tensor):
                raise Garbled("a tensor that is none")
            mirror.tensor.data = data
            mirror.tensor.grad = grad
            mirror.note()
        if "graph" in extras:
            graph, refs, outputs = extras["graph"]
            sources = [self._graded.get(n) if ours else self.mirrors[n].tensor for ours, n in refs]
            if type(graph) is not int or not all(isinstance(tensor, torch.Tensor) for tensor in outputs):
                raise Garbled("a graph that is none")
            reader.outputs = list(_functions().apply(_Graph(self, graph, len(refs)), outputs, *sources))


def _run_apart(coroutine: Any) -> Any:
    """Run a coroutine of the tests' to its end, whatever loop runs already."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(_outcome(coroutine)))
    thread.start()
    thread.join()
    value, exc = found[0]
    if exc is not None:
        raise exc
    return value


def _outcome(coroutine: Any) -> tuple[Any, BaseException | None]:
    import asyncio

    try:
        return asyncio.run(coroutine), None
    except BaseException as exc:
        return None, exc


# Gradients


class _Graph:
    """A graph that the candidate's side keeps for us."""

    def __init__(self, link: Link, number: int, inputs: int) -> None:
        self.link, self.number, self.inputs = link, number, inputs

    def __del__(self) -> None:
        self.link.drop.add(-self.number)


@functools.cache
def _functions() -> Any:
    """The one autograd function: forward is what the candidate computed, backward asks it for gradients."""
    import torch

    class Apart(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, graph: _Graph, outputs: list[Any], *inputs: Any) -> Any:
            ctx.graph = graph
            return tuple(outputs)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            graph = ctx.graph
            # Grad mode is on in here only where the gradients are to be differentiated again.
            found = graph.link.ask("grad", graph.number, list(grads), torch.is_grad_enabled())
            if type(found) is not list or len(found) != graph.inputs:
                raise _marked(RuntimeError("the candidate's gradients are of another number than its inputs"))
            if not all(grad is None or isinstance(grad, torch.Tensor) for grad in found):
                raise _marked(RuntimeError("the candidate's gradients are no tensors"))
            return (None, None, *found)

    return Apart


# Objects


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
        "__match_args__",
    )
)
"""Special names that only tell something of an object."""
_PROTOCOLS = ("__array", "__torch", "__cuda", "__dlpack", "__dataframe")
"""How the names begin by which libraries of arrays ask. Functions have other special names, which `inspect` reads."""


def _is_protocol(name: str) -> bool:
    """Whether a name is one by which a library asks an object to take part in its work.

    `torch.allclose` would ask `__torch_function__`, with the expected tensor in its hand, and NumPy would read memory at the
    address that `__array_interface__` names. What Python's own operators ask is defined on handles, one by one.
    """
    return name.startswith(_OURS) or (name.startswith("__") and name.endswith("__") and name not in _TELLING)


class HandleMeta(type):
    """The class of classes that live at the candidate's."""

    _fumehood_class: int
    _fumehood_link: Link

    @staticmethod
    def _make(name: str, bases: tuple[type, ...], body: dict[str, Any]) -> HandleMeta:
        return type.__new__(HandleMeta, name, bases, body)

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **more: Any) -> Any:
        """Refuse what a class statement of the tests' would make."""
        if bases:
            raise NotApart("A class that lives at the candidate's cannot be subclassed by tests judged apart")
        return type.__new__(cls, name, bases, body)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate make an object."""
        made = _call(cls._fumehood_link, "new", (cls, args, kwargs), args, kwargs)
        if isinstance(type(made), HandleMeta):
            cls._fumehood_link.made.add(made._fumehood_id)
        return made

    def __getattr__(cls, name: str) -> Any:
        if _is_protocol(name):
            raise AttributeError(name)
        return _attribute(cls._fumehood_link, cls, name, known=_is_known(cls))

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._fumehood_link.ask("set", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._fumehood_link.ask("delete", cls, name)

    def __iter__(cls) -> Any:
        return _pull(cls._fumehood_link.ask("operator", "iter", (cls,), {}))

    def __len__(cls) -> int:
        return _size(cls._fumehood_link.ask("operator", "len", (cls,), {}))

    def __getitem__(cls, key: Any) -> Any:
        return cls._fumehood_link.ask("operator", "getitem", (cls, key), {})

    def __contains__(cls, item: Any) -> bool:
        if not isinstance(type(item), HandleMeta) and not _is_known(cls):
            raise _refusal(cls, "__contains__")
        return bool(cls._fumehood_link.ask("operator", "contains", (cls, item), {}))

    def __bool__(cls) -> bool:
        return True

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__qualname__}'>"

    def __dir__(cls) -> list[str]:
        return list(cls._fumehood_link.ask("operator", "dir", (cls,), {}))


def _attribute(link: Link, own: Any, name: str, *, known: bool) -> Any:
    """An attribute of something that lives at the candidate's, but for predicates of what the tests did not name."""
    value = link.handed_out(link.ask("get", own, name))
    if name in _PREDICATES and callable(value) and not known:
        raise _refusal(own, name)
    return value


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise _marked(TypeError("__len__() of a candidate's object returned no length"))
    return value


class Handle(metaclass=HandleMeta):
    """An object that lives at the candidate's. Never equal to plain data, unless its class is a subclass of plain data's."""

    __slots__ = ("__weakref__", "_fumehood_id")

    _fumehood_id: int
    _fumehood_link: Link
    _fumehood_methods: frozenset[str] = frozenset()
    _fumehood_base: type | None = None
    _fumehood_real: type | None = None
    _fumehood_name = ""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self)._fumehood_real or type(self)

    def __getattr__(self, name: str) -> Any:
        if _is_protocol(name):
            raise AttributeError(name)
        kind = type(self)
        if name in kind._fumehood_methods:
            return Method(self, name)
        return _attribute(kind._fumehood_link, self, name, known=_known(self))

    def __setattr__(self, name: str, value: Any) -> None:
        type(self)._fumehood_link.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        type(self)._fumehood_link.ask("delete", self, name)

    def __eq__(self, other: Any) -> Any:
        return _compare(self, other, "eq", operator.eq)

    def __ne__(self, other: Any) -> Any:
        return _compare(self, other, "ne", operator.ne)

    def __hash__(self) -> int:
        base = type(self)._fumehood_base
        if base is not None and base.__hash__ is not None:
            return hash(_plain(self))
        value = type(self)._fumehood_link.ask("operator", "hash", (self,), {})
        if type(value) is not int:
            raise _marked(TypeError("__hash__ method should return an integer"))
        return value

    def __bool__(self) -> bool:
        value = type(self)._fumehood_link.ask("operator", "bool", (self,), {})
        if type(value) is not bool:
            raise _marked(TypeError("__bool__ should return bool"))
        return value

    def __repr__(self) -> str:
        return _check_text(type(self)._fumehood_link.ask("operator", "repr", (self,), {}), "__repr__")

    def __str__(self) -> str:
        return _check_text(type(self)._fumehood_link.ask("operator", "str", (self,), {}), "__str__")

    def __format__(self, spec: str) -> str:
        return _check_text(type(self)._fumehood_link.ask("operator", "format", (self, spec), {}), "__format__")

    def __dir__(self) -> list[str]:
        return list(type(self)._fumehood_link.ask("operator", "dir", (self,), {}))

    def __copy__(self) -> Any:
        return type(self)._fumehood_link.ask("operator", "copy", (self,), {})

    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)._fumehood_link.ask("operator", "deepcopy", (self,), {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotApart("An object that lives at the candidate's cannot be pickled by tests judged apart")


def _plain(handle: Handle) -> Any:
    """The plain value inside an object whose class is a subclass of plain data's."""
    kind = type(handle)
    value = kind._fumehood_link.ask("plain", handle)
    base = kind._fumehood_base
    if base is None or not isinstance(value, base) or isinstance(value, Handle):
        raise _marked(TypeError(f"a {kind._fumehood_name} that is no {getattr(base, '__name__', base)}"))
    return value


def _known(handle: Handle) -> bool:
    """Whether the tests named this object's class, so that they mean its own behaviour."""
    return _is_known(type(handle))


def _is_known(kind: HandleMeta) -> bool:
    """Whether the tests named this class."""
    return any(base in kind._fumehood_link.known for base in kind.__mro__)


def _compare(own: Handle, other: Any, name: str, compare: Callable[[Any, Any], Any]) -> Any:
    kind = type(own)
    if isinstance(type(other), HandleMeta):
        return kind._fumehood_link.ask("operator", name, (own, other), {})
    if kind._fumehood_base is not None:
        return compare(_plain(own), other)
    return NotImplemented


def _refusal(own: Any, what: str) -> BaseException:
    name = (own if isinstance(own, HandleMeta) else type(own)).__name__
    return _marked(
        TypeError(
            f"{what} between plain data and an object that the candidate handed out ({name}): judged apart, only one that the "
            "tests made, or whose class they ask for by name, has a say in what it is compared with"
        )
    )


def _operation(name: str) -> Callable[..., Any]:
    """One protocol of a handle."""
    function = _LOCAL.get(name)

    def method(self: Handle, *args: Any) -> Any:
        kind = type(self)
        link = kind._fumehood_link
        foreign = [arg for arg in args if not isinstance(type(arg), HandleMeta)]
        trusted = _known(self) and (name not in _COMPUTING or self._fumehood_id in link.made)
        if foreign and name in _TELLING and not trusted:
            if kind._fumehood_base is not None and function is not None:
                return function(_plain(self), *args)
            if not _known(self):
                raise _refusal(self, f"__{name}__")
        if name == "next":
            link.count_item(self._fumehood_id)
        found = False
        if name == "exit" or name == "aexit":
            found = is_verdict(args[1]) and marked(args[1]) is None
            args = (AssertionError, AssertionError(), None) if found else (args[0], args[1], None)
        value = link.ask("operator", name, (self, *args), {})
        if foreign and name in _TELLING and not trusted and not isinstance(type(value), HandleMeta):
            raise _refusal(self, f"__{name}__")
        if isinstance(value, Handle) and self._fumehood_id in link.made:
            link.made.add(value._fumehood_id)
        if name == "iter":
            return _pull(value)
        if name == "len":
            return _size(value)
        if name == "aenter" or name == "aexit" or name == "anext":
            return _soon(link, value, heard=not found)
        if found:
            return False  # a candidate's object that swallows the tests' findings would be right whatever it does
        if name == "contains":
            return value is True
        if name in ("int", "index") and type(value) is not int:
            raise _marked(TypeError(f"__{name}__ returned non-int"))
        if name == "float" and type(value) is not float:
            raise _marked(TypeError("__float__ returned non-float"))
        return value

    method.__name__ = method.__qualname__ = f"__{name}__"
    return method


async def _soon(link: Link, awaitable: Any, *, heard: bool = True) -> Any:
    value = await awaitable if type(awaitable) is types.CoroutineType else link.ask("run", awaitable)
    return value if heard else None


def _call(link: Link, kind: str, operands: tuple[Any, ...], args: Any, kwargs: Any) -> Any:
    """Call something at the candidate's; with `in_place`, bring back what it did to the arguments."""
    value = link.ask(kind, *operands)
    if type(value) is _Changed:
        _update([list(args), dict(kwargs)], [list(value.args), value.kwargs])
        value = value.result
    return link.handed_out(value)


class _Changed:
    """A result with the arguments as the candidate left them."""

    def __init__(self, result: Any, arguments: Any) -> None:
        args, kwargs = arguments
        if type(args) is not tuple or type(kwargs) is not dict:
            raise _marked(RuntimeError("the candidate's side did not hand back the arguments"))
        self.result, self.args, self.kwargs = result, args, kwargs


def _update(old: Any, new: Any) -> Any:
    """Make `old` like `new` in place where both are containers of one kind; returns what should stand in its place."""
    kind = type(old)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if kind is not type(new):
        return new
    if kind is list:
        old[:] = [_update(before, after) for before, after in zip(old, new, strict=False)] + new[len(old) :]
    elif kind is tuple:
        found = tuple(_update(before, after) for before, after in zip(old, new, strict=False))
        return old if len(old) == len(new) and all(a is b for a, b in zip(old, found, strict=True)) else new
    elif issubclass(kind, dict):
        merged = {key: _update(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(merged)
    elif kind is set:
        old.clear()
        old.update(new)
    elif kind is bytearray:
        old[:] = new
    elif kind.__name__ == "deque":
        old.clear()
        old.extend(new)
    elif numpy is not None and kind is numpy.ndarray and old.shape == new.shape and old.dtype == new.dtype:
        old[...] = new
    elif torch is not None and kind is torch.Tensor and old.shape == new.shape and not old.requires_grad:
        old.copy_(new)
    else:
        return old if kind in (int, str, float, bytes, bool, type(None)) and old == new else new
    return old


def _call_handle(self: Handle, *args: Any, **kwargs: Any) -> Any:
    return _call(type(self)._fumehood_link, "call", (self, args, kwargs), args, kwargs)


def _wait_for(self: Handle) -> Any:
    return _soon_iter(type(self)._fumehood_link, self)


def _soon_iter(link: Link, awaitable: Any) -> Any:
    return link.ask("run", awaitable)
    yield  # a generator, as __await__ must return an iterator


_TELLING = frozenset(
    [
        "lt",
        "le",
        "gt",
        "ge",
        "contains",
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "divmod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
        "radd",
        "rsub",
        "rmul",
        "rtruediv",
        "rfloordiv",
        "rmod",
        "rdivmod",
        "rpow",
        "rmatmul",
        "rand",
        "ror",
        "rxor",
        "rlshift",
        "rrshift",
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "ifloordiv",
        "imod",
        "ipow",
        "imatmul",
        "iand",
        "ior",
        "ixor",
        "ilshift",
        "irshift",
    ]
)
"""Protocols that would tell an object what it is compared or computed with."""
_COMPUTING = frozenset(("lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow"))
_COMPUTING |= {"r" + name for name in _COMPUTING if name not in ("lt", "le", "gt", "ge")}
"""Those by which an object that stands where a number belongs could say of itself that it is the right one."""
_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda own, other: function(other, own)


_LOCAL: dict[str, Callable[..., Any]] = {
    **{name.rstrip("_"): getattr(operator, name) for name in _BINARY},
    **{"r" + name.rstrip("_"): _reflected(getattr(operator, name)) for name in _BINARY},
    **{name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "contains")},
    "divmod": divmod,
    "rdivmod": lambda own, other: divmod(other, own),
}
_SPECIALS: dict[str, Any] = {name: _operation(name) for name in _TELLING}
_SPECIALS |= {
    name: _operation(name)
    for name in [
        "len",
        "iter",
        "next",
        "reversed",
        "getitem",
        "setitem",
        "delitem",
        "enter",
        "exit",
        "aenter",
        "aexit",
        "aiter",
        "anext",
        "neg",
        "pos",
        "abs",
        "invert",
        "int",
        "float",
        "complex",
        "index",
        "round",
        "trunc",
        "floor",
        "ceil",
        "bytes",
        "length_hint",
        "array",
    ]
}
_SPECIALS |= {"call": _call_handle, "await": _wait_for}


def _pull(value: Any) -> Any:
    """What `iter` gave, as an iterator."""
    if not hasattr(type(value), "__next__"):
        raise _marked(TypeError("iter() returned non-iterator"))
    return value


def _generate(link: Link, source: Any) -> Any:
    """A generator of ours that pulls from one of the candidate's."""
    how, sent = "send", None
    for _ in range(MAX_ITEMS):
        answer = link.ask("resume", source, how, sent)
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
            how, sent = "throw", exc
    raise _marked(RuntimeError(f"a generator of the candidate's gave more than {MAX_ITEMS} items"))


async def _await(link: Link, source: Any) -> Any:
    """A coroutine of ours for one of the candidate's."""
    return link.ask("run", source)


class Function:
    """A function that lives at the candidate's."""

    def __init__(self, link: Link, number: int, name: str, qualname: str, doc: str, asynchronous: bool) -> None:
        own = self.__dict__
        own["_fumehood_link"], own["_fumehood_id"] = link, number
        own["__name__"], own["__qualname__"], own["__doc__"], own["__module__"] = name, qualname, doc or None, link.module
        if asynchronous:
            import asyncio

            own["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate call it."""
        return _call(self._fumehood_link, "call", (self, args, kwargs), args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return types.FunctionType

    @property
    def __signature__(self) -> inspect.Signature:
        told = self._fumehood_link.ask("signature", self)
        kinds = list(inspect._ParameterKind)
        return inspect.Signature([inspect.Parameter(name, kinds[kind], **more) for name, kind, more in told])

    def __getattr__(self, name: str) -> Any:
        if name.startswith((*_OURS, *_PROTOCOLS)) or name in ("__wrapped__", "_is_coroutine"):
            raise AttributeError(name)
        return _attribute(self._fumehood_link, self, name, known=False)

    def __setattr__(self, name: str, value: Any) -> None:
        self._fumehood_link.ask("set", self, name, value)

    def __repr__(self) -> str:
        return f"<function {self.__dict__['__qualname__']}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotApart("A function that lives at the candidate's cannot be pickled by tests judged apart")

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
        if name in _PREDICATES and args and not _known(handle):
            raise _refusal(handle, name)
        return _call(type(handle)._fumehood_link, "method", (handle, name, args, kwargs), args, kwargs)

    @property
    def __self__(self) -> Any:
        return self._handle

    def __eq__(self, other: Any) -> bool:
        return type(other) is Method and other._handle is self._handle and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash((id(self._handle), self.__name__))

    def __getattr__(self, name: str) -> Any:
        link = type(self._handle)._fumehood_link
        return getattr(link.ask("get", self._handle, self.__dict__["__name__"]), name)


_ITERATORS = ("map", "filter", "zip", "enumerate", "reversed")


def _real(path: Any, name: str, bases: list[Any]) -> type | None:
    """The library class that isinstance shall find behind a handle, or a class of ours below it."""
    if type(path) is tuple and len(path) == 2:
        module, word = path
        found = None
        if module == "builtins" and word in _ITERATORS:
            found = getattr(builtins, word)
        elif module == "torch.nn" and "torch" in sys.modules:
            found = vars(sys.modules["torch.nn"]).get(word)
        return found if isinstance(found, type) else None
    above = next((base._fumehood_real for base in bases if issubclass(base, Handle) and base._fumehood_real), None)
    torch = sys.modules.get("torch")
    if above is not None and torch is not None and issubclass(above, torch.nn.Module):
        return type(name, (above,), {})
    return None


# Exceptions


def _exception_class(name: str, bases: list[Any], about: dict[str, Any]) -> type:
    """A real exception class after a candidate's."""
    body = {**about, "__str__": _say}
    # These two would end the test runner, or be swallowed by it.
    bases = [BaseException if base in (KeyboardInterrupt, GeneratorExit) else base for base in bases]
    for parents in (tuple(bases), tuple(bases[:1])):
        try:
            return type(name, parents, dict(body))
        except TypeError:
            continue
    raise Garbled("an exception with bases that do not combine")


def _say(self: BaseException) -> str:
    told = self.__dict__.get("_fumehood_text")
    return told if isinstance(told, str) else BaseException.__str__(self)


@functools.cache
def _stopping(name: str) -> type[BaseException]:
    return type(name, (BaseException,), {})


def _make(kind: type[BaseException], args: tuple[Any, ...], text: str) -> BaseException:
    try:
        exc = kind(*args)
    except Exception:
        exc = None
    if type(exc) is not kind:
        try:
            exc = kind.__new__(kind, *args)
        except Exception:
            kind = type(kind.__name__, (Exception if issubclass(kind, Exception) else BaseException,), {"__str__": _say})
            exc = kind(*args)
    if "__str__" in vars(kind):
        exc.__dict__["_fumehood_text"] = text
    return exc


# The module


class Module(types.ModuleType):
    """What the tests import instead of the candidate."""

    def __init__(self, link: Link, names_used: set[str], names_bound: set[str]) -> None:
        super().__init__(link.module)
        own = self.__dict__
        own["_fumehood_link"] = link
        own["_fumehood_id"] = 0
        own["_fumehood_used"] = (names_used, names_bound)
        for name in ("__spec__", "__loader__", "__package__", "__doc__"):
            own[name] = None

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        link: Link = own["_fumehood_link"]
        if name == "__all__":
            return self._star()
        if name.startswith("__") and name not in ("__doc__", "__version__", "__author__", "__annotations__"):
            raise AttributeError(f"module {link.module!r} has no attribute {name!r}")
        value = link.handed_out(link.ask("get", self, name))
        if type(value) is type and value in (AssertionError, Exception, BaseException):
            value = link.aliases.setdefault(value, type(name, (value,), {}))
        self._name(name, value)
        return value

    def _name(self, name: str, value: Any) -> None:
        """The tests took this by its name. A class is written with a capital; a function's name vouches for nothing."""
        link: Link = self.__dict__["_fumehood_link"]
        if type(value) is HandleMeta and name.lstrip("_")[:1].isupper() and name != link.entry_point:
            link.known.add(value)

    def _star(self) -> list[str]:
        """Names for `from module import *`: those that the tests use and have from nowhere else.

        A candidate that defines `sorted` or `math` must not replace those of the tests.
        """
        link: Link = self.__dict__["_fumehood_link"]
        used, bound = self.__dict__["_fumehood_used"]
        names = link.ask("names")
        if type(names) is not list:
            raise _marked(ImportError(f"{link.module} has no names"))
        return [n for n in names if type(n) is str and n in used and n not in bound and not hasattr(builtins, n)]

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_fumehood_link"].ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self.__dict__["_fumehood_link"].ask("delete", self, name)

    def __dir__(self) -> list[str]:
        return list(self.__dict__["_fumehood_link"].ask("names"))
