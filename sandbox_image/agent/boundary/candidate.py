"""The candidate's side of the boundary: runs its module and does what the tests ask of it.

Values go out as plain data; everything else stays here, and the tests get a handle. This process is the candidate's own: whatever
it does to this code only changes the values that it sends, which the other side takes for nothing but values.

Left out: tests, expected values, verdicts. They never come here.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import functools
import inspect
import io
import keyword
import linecache
import math
import operator
import os
import pickle
import socket
import sys
import threading
import types
import typing
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .. import protocol
from ..frames import frames_in, shown
from . import enums, sharing, values, wire
from .answering import AnswerWriter, Inputs, QuestionReader
from .exceptions import fields_of
from .folders import Folders, roots
from .gradients import Mirror, set_leaf
from .hints import is_hint
from .loops import CandidatesLoops
from .standins import mocked, signature_of, stand_in, stand_in_class

WORK = "/box/work"
_TEXT = 10_000
"""Characters of a repr, a message or a frame list."""

_TURNS = ("start", "turn", "run")
"""What the tests ask of the event loop itself."""
_FUNCTIONS = ("", "coroutine")
"""Natures of what is called and does nothing else."""
_NOTHING = contextlib.nullcontext()
_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda own, other: function(other, own)


def _descriptor(name: str) -> Callable[..., Any]:
    return lambda own, *args: getattr(type(own), f"__{name}__")(own, *args)


_OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ("eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "delitem", "contains")
    },
    **{name: getattr(operator, name) for name in ("neg", "pos", "abs", "invert", "index", "length_hint")},
    **{name.rstrip("_"): getattr(operator, name) for name in _BINARY},
    **{"r" + name.rstrip("_"): _reflected(getattr(operator, name)) for name in _BINARY},
    **{"i" + name.rstrip("_"): getattr(operator, "i" + name.rstrip("_")) for name in _BINARY},
    "divmod": divmod,
    "rdivmod": _reflected(divmod),
    "len": len,
    "iter": iter,
    "next": next,
    "reversed": reversed,
    "enter": lambda own: type(own).__enter__(own),
    "exit": lambda own, *about: type(own).__exit__(own, *about),
    "aenter": lambda own: type(own).__aenter__(own),
    "aexit": lambda own, *about: type(own).__aexit__(own, *about),
    "aiter": lambda own: type(own).__aiter__(own),
    "anext": lambda own: type(own).__anext__(own),
    "array": lambda own: own.__array__(),
    **{f".{name}": _descriptor(name) for name in ("get", "set", "delete", "set_name")},
    "bool": bool,
    "hash": hash,
    "repr": repr,
    "str": str,
    "int": int,
    "float": float,
    "complex": complex,
    "round": round,
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "bytes": bytes,
    "format": format,
    "dir": dir,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "isinstance": isinstance,
    "issubclass": issubclass,
    "hints": typing.get_type_hints,
    "annotations": inspect.get_annotations,
}


class _TestIterator:
    """An iterator of the tests, as the candidate sees it."""

    def __init__(self, pull: Any) -> None:
        self._pull = pull

    def __iter__(self) -> _TestIterator:
        return self

    def __next__(self) -> Any:
        return self._pull()


def _test_generator(ask: Callable[[str, Any], Any]) -> Any:
    """A generator of the tests, as the candidate sees it."""
    how, sent = "send", None
    while True:
        try:
            item = ask(how, sent)
        except StopIteration as end:
            return end.value
        try:
            how, sent = "send", (yield item)
        except GeneratorExit:
            ask("close", None)
            raise
        except BaseException as exc:
            how, sent = "throw", exc


def _stand_in(ask: Callable[..., Any], parameters: Any, *, asynchronous: bool) -> Any:
    """A function with these parameters, as its code object shows them, that asks; any parameters where they are not known."""
    if parameters is None:
        parameters = [("args", inspect.Parameter.VAR_POSITIONAL, {}), ("kwargs", inspect.Parameter.VAR_KEYWORD, {})]
    names = [name for name, _, _ in parameters]
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        return _stand_in(ask, None, asynchronous=asynchronous)
    given: dict[str, Any] = {"__ask__": ask}
    shown, passed, only = [], [], False
    for place, (name, kind, more) in enumerate(parameters):
        if kind == inspect.Parameter.KEYWORD_ONLY and not only:
            shown += [] if any(k == inspect.Parameter.VAR_POSITIONAL for _, k, _ in parameters) else ["*"]
            only = True
        star = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(kind, "")
        given[f"default{place}"] = more.get("default")
        shown.append(f"{star}{name}" + (f"=default{place}" if "default" in more else ""))
        if kind == inspect.Parameter.POSITIONAL_ONLY and (place + 1 == len(parameters) or parameters[place + 1][1] != kind):
            shown.append("/")
        passed.append(f"{name}={name}" if kind == inspect.Parameter.KEYWORD_ONLY else f"{star}{name}")
    if any("default" in more for _, _, more in parameters):
        given["__ask__"] = _with_their_defaults(ask, parameters)
        passed = [f"({', '.join(names)},)"]
    source = (
        f"{'async ' * asynchronous}def made({', '.join(shown)}): return {'await ' * asynchronous}__ask__({', '.join(passed)})"
    )
    exec(source, given)
    made = given["made"]
    made.__annotations__ = {name: more["annotation"] for name, _, more in parameters if "annotation" in more}
    return made


def _with_their_defaults(ask: Callable[..., Any], parameters: list[tuple[str, int, dict[str, Any]]]) -> Callable[[Any], Any]:
    """Pass on what parameters got; where that is the default, nothing, so that the tests' own value stands there: it may have
    become another since, and what became of it the next call has to see."""
    kinds = inspect.Parameter

    def passed_on(got: tuple[Any, ...]) -> Any:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        skipped: list[Any] = []
        pairs = list(zip(parameters, got, strict=True))
        rest = next((value for (_, kind, _), value in pairs if kind == kinds.VAR_POSITIONAL), ())
        for (name, kind, more), value in pairs:
            if kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD):
                kwargs |= value if kind == kinds.VAR_KEYWORD else {}
            elif kind == kinds.KEYWORD_ONLY:
                kwargs |= {} if "default" in more and value is more["default"] else {name: value}
            elif "default" in more and value is more["default"] and not rest:  # before the rest all were given
                skipped.append(value)
            elif skipped and kind != kinds.POSITIONAL_ONLY:
                kwargs[name] = value
            else:
                args += [*skipped, value]
                skipped.clear()
        return ask(*args, *rest, **kwargs)

    return passed_on


def _own_parameter(parameters: list[tuple[str, int, dict[str, Any]]]) -> tuple[str, int, dict[str, Any]]:
    """The first parameter of a method, before those that its callers see."""
    taken = {name for name, _, _ in parameters}
    kinds = [kind for _, kind, _ in parameters if kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return "self" if "self" not in taken else "_self", min([*kinds, int(inspect.Parameter.POSITIONAL_OR_KEYWORD)]), {}


class _Pickler(pickle.Pickler):
    """Pickles what lives here; what stands for something of the tests' keeps its number, and so does a class made in passing."""

    server: Server

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        """The number of something of the tests', or of a class that is found under no name."""
        asked = self.server.asked_for(value)
        if asked is not None:
            return "theirs", asked
        if isinstance(value, type) and value.__module__ == __name__ and globals().get(value.__qualname__) is not value:
            return "ours", self.server.keep(value)  # its maker took this file for the one that asks for it
        return None


class _Unpickler(pickle.Unpickler):
    server: Server

    def persistent_load(self, kept: tuple[str, int]) -> Any:
        """What stands for something of the tests', or a class that is found under no name."""
        whose, number = kept
        return self.server.kept[number] if whose == "ours" else self.server.stands_for(number)


class _Left(BaseException):
    """The tests closed the connection."""


class Server:
    """What a candidate's process keeps for its tests, and does for them."""

    _sock: socket.socket
    _module: types.ModuleType

    def __init__(self) -> None:
        self._file = ""
        self._sharing: sharing.Copies | sharing.Shared = sharing.Copies(of_candidate=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._seq = 0
        self._grad = True
        self._loops = CandidatesLoops(lambda number, how: self._ask_tests(number, (how,), {}))
        self._loop = 0
        """The number of the tests' event loop that runs while they ask; 0 where none does."""
        self.kept: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._next = 1
        self.classes: set[int] = set()
        """Numbers of classes that were described."""
        self.described: list[int] = []
        """Those of them in the frame that is being written."""
        self.named_tuples: dict[tuple[str, Any], type | None] = {}
        """Classes of named tuples that went out as their items, by their names and fields; None where there are several."""
        self.own_errors: dict[type, int] = {}
        """Classes that stand for exception classes of the tests' own."""
        self._callbacks: dict[int, Any] = {}
        self._callback_numbers: dict[int, int] = {}
        self._attributes: dict[int, dict[str, Any]] = {}
        """Attributes that functions of the tests' had when they came last, by number."""
        self._raised: dict[int, tuple[int, BaseException]] = {}
        self.leaves: dict[int, Mirror] = {}
        """Tensors that ask for gradients and that the tests have copies of, as parameters are."""
        self._new_leaves: list[int] = []
        self.inputs = Inputs()
        self._graphs: dict[int, tuple[list[Any], list[Any]]] = {}
        self._folders: Folders | None = None
        """The folders that are kept as the tests have theirs, once they say that they share them."""
        self._warned: list[Any] = []
        """Warnings that the tests have not heard of."""
        self._patched: dict[int, Callable[[], None]] = {}
        """What sets back what the tests patched, by number."""

    def open(self, sock: socket.socket, module: types.ModuleType, *, in_place: bool) -> None:
        """Serve a module to the tests at the other end of `sock`. `in_place`: values that can change are shared with them."""
        self._sock, self._module, self._file = sock, module, str(module.__file__)
        self.kept[0], self._numbers[id(module)] = module, 0
        if in_place:
            self._sharing = sharing.Shared(of_candidate=True)
        self._sharing.leaves = lambda: [one.tensor for one in (*self.leaves.values(), *self.inputs.leaves.values())]
        self._sharing.ours = lambda value: int(self.inputs.number(value) is not None)

    # What is kept

    def keep(self, value: Any) -> int:
        """The number of an object; it lives on until the tests let it go."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = self._next
            self.kept[number] = value
            self._next += 1
        return number

    def keeps(self, value: Any) -> bool:
        """Whether the tests have a handle for this object."""
        number = self._numbers.get(id(value))
        return number is not None and self.kept.get(number) is value and values.base_of(type(value)) is not None

    def tell_leaf(self, tensor: Any) -> int:
        """The number of a tensor that the tests get a copy of, once."""
        number = self.keep(tensor)
        if number not in self.leaves:
            self.leaves[number] = Mirror(number, tensor)
            self._new_leaves.append(number)
        return number

    def hand_out(self, tensor: Any) -> None:
        """Note a tensor with gradients that the tests get another one for."""
        if any(tensor is leaf.tensor for leaf in self.inputs.leaves.values()):
            self._sharing.is_again(tensor)
        else:
            self._sharing.watch(tensor)
        self._sharing.lend_of(tensor)

    def _drop(self, numbers: list[int]) -> None:
        depth, self._depth = self._depth, 0  # what ends with its last holder asks the tests nothing meanwhile
        value = None
        for number in numbers:
            if number < 0:
                self._graphs.pop(-number, None)
            elif number and (value := self.kept.pop(number, None)) is not None:
                self._numbers.pop(id(value), None)
        del value
        self._depth = depth

    # Calling the tests back

    def callback(self, number: int, nature: str, about: Any) -> Any:
        """The function that stands for a callable of the tests; always the same one."""
        if number in self._callbacks:
            if nature in _FUNCTIONS and about[5]:
                self._set_attributes(number, about[5])
            return self._callbacks[number]
        if nature == "token":
            made: Any = object()
        elif nature == "iterator":
            made = _TestIterator(lambda: self._ask_tests(number, (), {}))
        elif nature == "generator":
            made = _test_generator(lambda how, sent: self._ask_tests(number, (how, sent), {}))
        elif nature == "awaitable":
            made = self._loops.theirs(number)
        elif nature == "partial":
            function, args, kwargs = about
            made = functools.partial(function, *args, **kwargs)
        elif nature == "getter":
            kind, args = about
            made = kind(*args)
        elif nature == "object":
            made = stand_in(lambda *args, **kwargs: self._ask_tests(number, args, kwargs), *about)
        elif nature == "enum":
            made = enums.twin(about)
        elif nature == "mock":
            made = mocked(lambda *args, **kwargs: self._ask_tests(number, args, kwargs), *about)
        elif nature == "class":
            made = stand_in_class(lambda *args, **kwargs: self._ask_tests(number, args, kwargs), about)
        else:
            made = self._function(number, nature == "coroutine", about)
        self._callbacks[number] = made
        self._callback_numbers[id(made)] = number
        return made

    def _set_attributes(self, number: int, told: dict[str, Any]) -> None:
        """The tests have set attributes of a function of theirs since it came. What was set here stays."""
        before = self._attributes.get(number, {})
        own = getattr(self._callbacks[number], "__func__", self._callbacks[number]).__dict__
        own.update(
            {
                name: value
                for name, value in told.items()
                if name not in before or values.dumps(before[name]) != values.dumps(value)
            }
        )
        self._attributes[number] = told

    def _function(self, number: int, asynchronous: bool, about: Any) -> Any:
        name, qualname, doc, parameters, exact, attributes, module, returned, owner = about
        bound = 0
        if owner is not None and parameters is not None:
            bound, parameters = 1, [_own_parameter(parameters), *parameters]

        def ask(*args: Any, **kwargs: Any) -> Any:
            return self._ask_tests(number, args[bound:], kwargs)

        callback = _stand_in(ask, parameters if exact else None, asynchronous=asynchronous)
        if returned:
            callback.__annotations__["return"] = returned[0]
        callback.__dict__.update(attributes)
        self._attributes[number] = attributes
        for value in (*attributes.values(), *(more["default"] for _, _, more in parameters or () if "default" in more)):
            if sharing.can_change(value):
                self._sharing.watch(value)
        callback.__name__, callback.__qualname__ = name, qualname
        callback.__doc__, callback.__module__ = doc, module
        with contextlib.suppress(ValueError, TypeError):
            if parameters is not None and not exact:
                callback.__signature__ = signature_of(parameters)
        return types.MethodType(callback, owner) if bound else callback

    def own_error(self, number: int, name: str, base: type) -> type:
        """The class that stands for an exception class of the tests'."""
        for made, known in self.own_errors.items():
            if known == number:
                return made
        made = type(name, (base,), {})
        self.own_errors[made] = number
        return made

    def asked_for(self, function: Any) -> int | None:
        """The number of the tests' callable that a function stands for."""
        number = self._callback_numbers.get(id(function))
        return number if number is not None and self._callbacks[number] is function else None

    def stands_for(self, number: int) -> Any:
        """What stands for something of the tests' that came under this number."""
        return self._callbacks[number]

    def _ask_tests(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._lock:
            if not self._depth:
                self._sharing.signs.add(protocol.CALLED_LATE)
                raise RuntimeError("a function of the tests can only be called while the tests wait for an answer")
            seq = self._seq
            self._send(seq, "asked", None, (number, args, kwargs))
            while True:
                kind, value = self._receive()
                if kind == "returned":
                    return value
                if kind == "raised":
                    what, place, behind = value
                    exc = self.rebuild(what)
                    if behind and behind[0] is not None:
                        exc.__cause__ = behind[0]
                    if behind and behind[1] is not None:
                        exc.__context__ = behind[1]
                    self._raised[id(exc)] = (place, exc)
                    raise exc
                box = [value]
                del value
                self._answer(kind, box)
                self._seq = seq

    # Exceptions

    def describe(self, exc: BaseException, depth: int = 0) -> tuple[Any, ...]:
        """Class, arguments, text, attributes, frames in the candidate's file, place at the tests, cause."""
        kind = ValueError if type(exc) is values.TooLarge else type(exc)
        args = tuple(self._plain_or_kept(arg) for arg in (exc.args if type(exc.args) is tuple else ()))
        try:
            text = str(exc)[:_TEXT]
        except Exception:
            text = ""
        own = getattr(exc, "__dict__", {})
        attributes = {
            str(name): self._plain_or_kept(value)
            for name, value in list(own.items())[:20]
            if type(name) is str and (not name.startswith("_") or name == "__notes__")
        }
        attributes = fields_of(exc) | attributes
        if exc.__suppress_context__:
            attributes["__suppress_context__"] = True
        number = self.keep(exc) if values.library_path(kind) is None and kind not in values.TYPE_NAMES else -1
        place, kept = self._raised.get(id(exc), (-1, None))
        cause = exc.__cause__
        told = self.describe(cause, depth + 1) if isinstance(cause, BaseException) and depth < 3 else None
        # A module that a candidate brought along could lie about its classes, but only to itself.
        return (kind, args, text, attributes, self._frames(exc), place if kept is exc else -1, told, number)

    def _plain_or_kept(self, value: Any) -> Any:
        """A value as it is, which may become a handle; only what is large is shown."""
        try:
            large = len(values.dumps(value)) > 1 << 20
        except TypeError:
            large = False
        except Exception:
            large = True
        if not large:
            return value
        try:
            return repr(value)[:_TEXT]
        except Exception:
            return type(value).__name__

    def _frames(self, exc: BaseException) -> str:
        try:
            return shown(frames_in(exc, self._file))[-_TEXT:]
        except Exception:
            return ""

    def rebuild(self, what: Any) -> BaseException:
        """The exception that the tests described, or that was made here for them."""
        if isinstance(what, BaseException):
            return what
        kind, args, cause = what
        try:
            exc = kind(*args)
        except Exception:
            exc = None
        exc = exc if isinstance(exc, BaseException) else RuntimeError(*args)
        exc.__cause__ = cause
        return exc

    # The conversation

    def run(self) -> None:
        """Answer until the tests are done."""
        while True:
            try:
                kind, value = self._receive()
            except (EOFError, OSError, _Left):
                return
            box = [value]
            del value
            self._answer(kind, box)

    def _receive(self) -> tuple[str, Any]:
        try:
            data = wire.receive(self._sock)
        except (EOFError, OSError):
            raise _Left from None
        seq, kind, extra = wire.head(data)
        reader = QuestionReader(data, self, wire.HEAD)
        self._grad, self._loop = True, 0
        if extra:
            extras = reader.take()
            self._note(extras)
            self._grad, self._loop = extras.get("grad", True), extras.get("loop", 0)
        self._sharing.reads(reader)
        value = reader.take()
        self._sharing.read(reader)
        if kind not in ("returned", "raised"):
            self._seq = seq
        return kind, value

    def _note(self, extras: dict[str, Any]) -> None:
        self._drop(extras.get("drop", []))
        if "warnings" in extras:
            self._record_warnings()
        if "files" in extras:
            self._folders = self._folders or Folders(roots())
            self._folders.apply(extras["files"])
        for library, args in extras.get("seeds", []):
            with contextlib.suppress(Exception):
                _seed(library, args)
        for number, data, grad in extras.get("leaves", []):
            leaf = self.leaves[number]
            self._sharing.touch(leaf.tensor)
            set_leaf(leaf.tensor, data, grad)
            leaf.note()
        for number, data, grad in extras.get("inputs", []):
            if (known := self.inputs.leaves.get(number)) is not None:
                self._sharing.touch(known.tensor)
            self.inputs.told(number, data, grad)

    def _record_warnings(self) -> None:
        """Tell the tests of all warnings from now on, which their filters decide about."""
        import warnings

        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *about, **more: self._warned.append(message)

    def _answer(self, kind: str, box: list[tuple[Any, ...]]) -> None:
        """Do what the tests ask. The operands come in a box, so that nobody has them once it is done (`sharing.py`)."""
        seq = self._seq
        self._depth += 1
        try:
            with self._without_grad(), self._within_loop(kind):
                value = self._do(kind, box.pop())
            outcome = "ok"
        except _Left:
            raise
        except BaseException as exc:
            outcome, value = "raised", exc
        finally:
            self._depth -= 1
        with self._lock:
            self._reply(seq, outcome, value, kind == "new")

    def _without_grad(self) -> contextlib.AbstractContextManager[Any]:
        return _NOTHING if self._grad else sys.modules["torch"].no_grad()

    def _within_loop(self, kind: str) -> contextlib.AbstractContextManager[Any]:
        return self._loops.within(self._loop) if self._loop and kind not in _TURNS else _NOTHING

    def _reply(self, seq: int, outcome: str, value: Any, new: bool) -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # this process is killed once the tests have ended
        try:
            if outcome == "ok":
                self._send(seq, "ok", value if new else None, value)
                return
        except _Left:
            raise
        except BaseException as exc:
            value = exc
        try:
            self._send(seq, "raised", None, self.describe(value))
        except _Left:
            raise
        except BaseException:
            self._send(seq, "raised", None, (RuntimeError, (), "an exception that cannot be told", {}, "", -1, None, -1))

    def _send(self, seq: int, kind: str, force: Any, value: Any) -> None:
        body = AnswerWriter(self, force)
        torch = sys.modules.get("torch")
        if torch is not None and kind == "ok":
            body.graded = []
        self.described.clear()
        extras = AnswerWriter(self)
        self._sharing.writes(body)
        try:
            body.put_question(kind, value)
            self._sharing.wrote(body)
            self._sharing.keeps = False
            files = self._folders.changes() if self._folders is not None else []
            told = ({"files": files} if files else {}) | ({"warnings": list(self._warned)} if self._warned else {})
            if body.graded or self.leaves or self.inputs.leaves or self._sharing.signs or told or self._holds():
                extras.put(self._extras(body.graded, torch) | told)
                self._warned.clear()
            wire.send(self._sock, seq, kind, extras.out, body.out)
            self._sharing.sent(body)
        except OSError:
            raise _Left from None
        except BaseException:
            # What was described in the frame that is not sent must be described again.
            self.classes.difference_update(self.described)
            raise
        self._new_leaves.clear()

    def _holds(self) -> bool:
        kept = self._sharing
        return isinstance(kept, sharing.Copies) and bool(kept.holds or kept.lent or threading.active_count() > 1)

    def _extras(self, graded: list[Any] | None, torch: Any) -> dict[str, Any]:
        changed = [(number, leaf) for number, leaf in self.leaves.items() if leaf.changed()]
        if self.inputs.marked():
            self._sharing.signs.add(protocol.UNSHARED)
        inputs = self.inputs.changed() if self.inputs.leaves else []
        for mirror in (*(leaf for _, leaf in changed), *(self.inputs.leaves[number] for number, _, _ in inputs)):
            self._sharing.touch(mirror.tensor)
        extras: dict[str, Any] = {"signs": sorted(self._sharing.signs)} if self._sharing.signs else {}
        if self._holds():
            extras["holds"] = True
        if graded:
            leaves = _leaves_of(graded, torch)
            graph, self._next = self._next, self._next + 1
            self._graphs[graph] = (graded, leaves)
            refs = [(False, self.tell_leaf(leaf)) if (n := self.inputs.number(leaf)) is None else (True, n) for leaf in leaves]
            extras["graph"] = (graph, refs, [tensor.detach() for tensor in graded])
        if self._new_leaves:
            leaf_type = torch.nn.Parameter
            told = [(number, self.leaves[number]) for number in self._new_leaves]
            extras["new"] = [(n, isinstance(leaf.tensor, leaf_type), leaf.data, leaf.grad) for n, leaf in told]
        if changed:
            for _, leaf in changed:
                leaf.note()
            extras["leaves"] = [(number, leaf.data, leaf.grad) for number, leaf in changed]
        if inputs:
            extras["inputs"] = inputs
        return extras

    # What the tests ask

    def _do(self, kind: str, operands: tuple[Any, ...]) -> Any:
        if kind in ("call", "new"):
            function, args, kwargs = operands
            return function(*args, **kwargs)
        if kind == "method":
            target, name, args, kwargs = operands
            return getattr(target, name)(*args, **kwargs)
        if kind == "get":
            return getattr(*operands)
        if kind == "set":
            return setattr(*operands)
        if kind == "delete":
            return delattr(*operands)
        if kind == "operator":
            name, args, kwargs = operands
            value = _OPERATORS[name](*args, **kwargs)
            return value[:_TEXT] if name in ("repr", "str") else value
        if kind == "line_up":
            return self._line_up(*operands)
        if kind == "each":
            name, asked = operands
            return [_answered(_OPERATORS[name], own, *args) for own, args in asked]
        if kind == "siblings":
            return self._siblings(*operands)
        if kind in ("start", "cancel", "result", "turn", "run"):
            return self._turn(kind, operands)
        if kind == "resume":
            return self._resume(*operands)
        if kind == "plain":
            return values.base_value(operands[0])
        if kind == "names":
            return self._names()
        if kind in ("files", "settle"):
            self._sharing.keeps = kind == "settle"
            return None  # what there is to say comes with the answer
        if kind == "dumps":
            return self._pickled(*operands)
        if kind == "loads":
            unpickler = _Unpickler(io.BytesIO(operands[0]))
            unpickler.server = self
            return unpickler.load()
        if kind == "subclass":
            return _subclass(*operands)
        if kind == "super":
            own_class, own, name = operands
            return getattr(super(own_class, own), name)
        if kind == "patch":
            return self._patch(*operands)
        if kind == "unpatch":
            return self._patched.pop(operands[0])()
        if kind == "signature":
            return _signature(operands[0])
        if kind == "grad":
            return self._gradients(*operands)
        raise ValueError(f"an unknown request {kind!r}")

    def _patch(self, module: str, path: tuple[str, ...], name: str, value: Any) -> int:
        """Set what the tests patch in a library. Returns the number under which it is set back."""
        target: Any = import_module(module)
        for part in path:
            target = getattr(target, part)
        old = vars(target).get(name, self)
        setattr(target, name, value)
        self._next, number = self._next + 1, self._next
        self._patched[number] = (lambda: delattr(target, name)) if old is self else (lambda: setattr(target, name, old))
        return number

    def _line_up(self, own: Any, name: str, others: list[Any]) -> list[tuple[bool, Any]]:
        """What an object answers for each of these: (True, answer), or (False, None) where it raises."""
        ask = _OPERATORS.get(name) or (lambda own, other: getattr(own, name[1:])(other))
        return [_answered(ask, own, other) for other in others]

    def _siblings(self, own: Any, kind: Any, made_with: list[tuple[Any, Any]]) -> list[tuple[bool, Any]]:
        """Whether an object equals others of a class, each made with these arguments."""
        return [_answered(lambda args, kwargs: own == kind(*args, **kwargs), *arguments) for arguments in made_with]

    def _pickled(self, value: Any) -> bytes:
        data = io.BytesIO()
        pickler = _Pickler(data)
        pickler.server = self
        pickler.dump(value)
        return data.getvalue()

    def _names(self) -> list[str]:
        """What `from module import *` would give."""
        public = getattr(self._module, "__all__", None)
        names = vars(self._module)
        chosen = [n for n in public if n in names] if isinstance(public, list | tuple) else [n for n in names if n[:1] != "_"]
        return [name for name in chosen[:10_000] if type(name) is str]

    def _turn(self, kind: str, operands: tuple[Any, ...]) -> Any:
        """What is asked of the event loop."""
        return self._loops.start(self._loop, *operands) if kind == "start" else getattr(self._loops, kind)(*operands)

    def _resume(self, generator: Any, how: str, value: Any) -> Any:
        """Go on with a generator: (True, item), or (False, returned) at its end."""
        try:
            if how == "close":
                generator.close()
                return False, None
            return True, generator.throw(value) if how == "throw" else generator.send(value)
        except StopIteration as exc:
            return False, exc.value

    def _gradients(self, graph: int, grads: list[Any], create: bool) -> list[Any]:
        torch = sys.modules["torch"]
        outputs, leaves = self._graphs[graph]
        with torch.enable_grad():
            if not any(output.is_complex() for output in outputs):
                # The same gradients as those with `grads` for the outputs, without what torch does there: it imports sympy,
                # half a second of work in every run, to compare shapes.
                outputs = [sum((output * grad).sum() for output, grad in zip(outputs, grads, strict=True))]
                grads = [None]
            return list(torch.autograd.grad(outputs, leaves, grads, allow_unused=True, retain_graph=True, create_graph=create))


_MEMBERS: dict[str, Callable[..., Any]] = {
    "value": lambda value: value,
    "staticmethod": staticmethod,
    "classmethod": classmethod,
    "property": property,
}


def _subclass(names: tuple[str, str, str, str | None], bases: tuple[Any, ...], members: list[tuple[str, str, Any]]) -> type:
    """The class that the tests derive from classes of the candidate's; its functions ask the tests."""
    name, qualname, module, doc = names

    def fill(body: dict[str, Any]) -> None:
        body |= {"__module__": module, "__qualname__": qualname, "__doc__": doc}
        for key, how, parts in members:
            body[key] = _MEMBERS[how](*parts)

    return types.new_class(name, bases, {}, fill)


def _answered(ask: Callable[..., Any], *operands: Any) -> tuple[bool, Any]:
    try:
        return True, ask(*operands)
    except Exception:
        return False, None


def _leaves_of(graded: list[Any], torch: Any) -> list[Any]:
    """The tensors at the ends of a graph that ask for gradients."""
    found: dict[int, Any] = {}
    seen: set[Any] = set()
    todo: list[Any] = []
    for tensor in graded:
        if tensor.grad_fn is None:
            found[id(tensor)] = tensor
        else:
            todo.append(tensor.grad_fn)
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            found[id(variable)] = variable
        todo += [following for following, _ in node.next_functions]
    return list(found.values())


def _signature(function: Any) -> tuple[list[tuple[Any, ...]], tuple[Any, ...]]:
    """Name, kind, default and annotation of each parameter; and what it returns, if that is said."""
    found = []
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        told = {name: getattr(parameter, name) for name in ("default", "annotation")}
        more = {name: _shown(value) for name, value in told.items() if value is not inspect.Parameter.empty}
        found.append((parameter.name, int(parameter.kind), more))
    returned = signature.return_annotation
    return found, () if returned is inspect.Signature.empty else (_shown(returned),)


def _shown(value: Any) -> Any:
    """A class, a function or a plain value as it is, of others their text."""
    if isinstance(value, type | types.FunctionType) or is_hint(value):
        return value
    try:
        values.dumps(value)
    except (TypeError, ValueError):
        return repr(value)[:200]
    return value


def _seed(library: str, args: tuple[Any, ...]) -> None:
    if library.endswith(" state"):
        name = library.removesuffix(" state")
        module = import_module("numpy.random" if name == "numpy" else name)
        getattr(module, values.STATES[name][1])(*args)
    elif library == "random":
        import random

        random.seed(*args)
    elif library == "numpy":
        import numpy as np

        np.random.seed(*args)
    elif library == "torch":
        import torch

        torch.manual_seed(*args)


_prepared: list[Server] = []


def prepare() -> None:
    """Make what the next `serve` begins with: in a zygote, for all of its children."""
    _prepared.append(Server())


def serve(sock: socket.socket, work: dict[str, Any]) -> None:
    """Run the candidate and answer its tests until they close `sock`.

    `work` has the name of the `module`, its `source`, and whether values that can change are shared with the tests (`in_place`).
    The first frame says whether the module could be run.
    """
    name, source = work["module"], work["source"]
    path = f"{WORK}/{name}.py"
    module = types.ModuleType(name)
    module.__file__ = path
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    server = _prepared.pop() if _prepared else Server()
    server.open(sock, module, in_place=bool(work.get("in_place")))
    os.register_at_fork(after_in_child=sock.close)  # a child that comes back from what it was forked for has nothing to answer
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException as exc:
        with contextlib.suppress(_Left):
            server._reply(0, "raised", exc, new=False)
        return
    sys.modules[name] = module  # a module that replaced itself would answer from elsewhere
    try:
        server._send(0, "ok", None, "ready")
        server.run()
    except _Left:
        return
