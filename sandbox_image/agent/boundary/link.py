"""The tests' end of the socket: asks the candidate's side, and reads what arrives.

Left out: what handles do. `handles.py` and `operators.py` do.
"""

from __future__ import annotations

import abc
import collections
import collections.abc
import functools
import math
import operator
import pickle
import random
import re
import select
import socket
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .. import protocol
from ..frames import called_name
from . import arrays, mocks, own, sharing, vacuous, values, views, wire
from .asking import AnswerReader, QuestionWriter, is_plain, is_torch_module
from .decoys import COUNT, decoys
from .exceptions import Broken, is_field, is_verdict, make_exception, mark, marked
from .extended import extended
from .folders import Folders
from .gradients import MAX_LEAVES, Graph, Mirror, autograd_function, same_tensor, set_leaf
from .handles import (
    MAX_ITEMS,
    Function,
    Handle,
    HandleMeta,
    Method,
    OwnDoc,
    awaited,
    bare,
    class_below,
    generated,
    guarded,
    is_below,
    is_special_of_nobody,
    library_class,
    make_class,
    own_mro,
    shared_class,
)
from .hints import is_hint
from .loops import TestsLoops
from .module import Module
from .operators import COMMON, DESCRIPTORS, SPECIALS, equal_objects, predicate, says
from .sides import Sides
from .speech import Speech
from .unreached import Unreached
from .values import Garbled, NotApart

BASES = ("data", "line_up", "word")
"""What a passed test can rest on, the strongest first: values that crossed, an answer singled out among decoys, or what the
candidate says of itself."""
_CHANCE = random.SystemRandom()
TURNING = ("run", "start", "cancel", "result", "turn")
"""What is asked of the candidate's event loop."""
_CHANGING = frozenset((*TURNING, "call", "new", "method", "set", "delete", "resume", "next", "setitem", "delitem"))
_CHANGING |= {"enter", "exit", "aenter", "aexit"}
"""What may change objects, and with them what they show."""
_CHANGING |= {"i" + name for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")}
_STOPPING = ("next", "anext", "resume", "run", "start", "result")
"""What a StopIteration may answer."""
_MUTABLE = (list, dict, set, bytearray)
_CHANGEABLE = (*_MUTABLE, collections.deque, collections.defaultdict, collections.Counter, collections.OrderedDict)
_HARMLESS = (int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, type(None))
"""Classes that may be called with anything."""
_COMPUTING = frozenset(
    (
        *(found for found in vars(math).values() if callable(found) and not isinstance(found, type)),
        *(getattr(operator, name) for name in ("abs", "add", "and_", "floordiv", "invert", "lshift", "matmul", "mod", "mul")),
        *(getattr(operator, name) for name in ("neg", "not_", "or_", "pos", "pow", "rshift", "sub", "truediv", "xor", "index")),
        *(getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    )
)
"""Functions of libraries that compute with what they are called with and reach nothing behind it."""

World = tuple[Any, Any]
"""An object that was computed with a decoy, and by how much it is larger for that; None where that is not known."""
_MAX_NESTED = 300
"""Calls within calls across the boundary."""
_MAX_RAISED = 1000
"""Exceptions of the tests' own that are known again when they come back through the candidate."""
_MAX_KEPT = 4096
"""Tensors with gradients of the tests' whose graphs are remembered."""
_REPLACED = "a parameter that the tests had set was changed by calling the module that holds it"
_OF_WARNINGS = ("warnings", "warns", "deprecated_call", "recwarn", "assertWarns")
_MAX_WARNED = 1000
_TEXT = 10_000
_GREETING = 64
"""Bytes that a candidate's side needs to say that its module was run."""


def _is_module(value: Any) -> bool:
    if (torch := sys.modules.get("torch")) is None:
        return False
    real = getattr(type(value), "_fumehood_real", None)
    return isinstance(real, type) and issubclass(real, torch.nn.Module)


def _computes(kind: str, operands: tuple[Any, ...]) -> bool:
    """Whether a module of PyTorch is called, which changes none of its parameters; other methods may train it."""
    forward = kind == "method" and operands[1] == "forward"
    return (kind == "call" or forward) and _is_module(operands[0])


def _is_borrowed(value: Any) -> bool:
    """Whether a value is a class that is not the candidate's own. Those of errors count only for who catches them."""
    if is_hint(value):
        return True
    return isinstance(value, type) and not isinstance(value, HandleMeta) and not issubclass(value, BaseException)


class Link:
    """The tests' end of the boundary."""

    _sock: socket.socket
    _tampered: Callable[[str], None]

    def __init__(self) -> None:
        self.module = self._tests = ""
        self._sharing: sharing.Copies | sharing.Shared = sharing.Copies()
        self._lock = threading.RLock()
        self._poll = select.poll()
        self._seq = 0
        self._depth = 0
        self.broken = ""
        """Why there is no boundary any more."""
        self.callables: dict[int, tuple[Any, Any]] = {}
        """What the tests passed that can be called: by number, the object itself and what is called."""
        self._callable_numbers: dict[int, int] = {}
        self._methods: dict[tuple[int, int], Any] = {}
        """Methods of objects of the tests' that were passed, by the `id` of both."""
        self.own_module = ""
        """The name of the tests' own module."""
        self._own_classes: dict[type, bool] = {}
        self.handed: dict[int, Any] = {}
        """Of those what the test that runs has passed and the candidate has not called yet, by their `id`."""
        self._raised: dict[int, BaseException] = {}
        self._next_raised = 0
        self._held = False
        """Whether the candidate has something that crossed before its last answer."""
        self._held_again = False
        """Whether it has handed out one value, or one memory, several times: what the tests have of it may be one object."""
        self._late = False
        """Whether a test is over, and what changes now it does not see."""
        self.classes: dict[int, type] = {}
        self._class_numbers: dict[type, int] = {}
        self._handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.sources: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        """Our generators and coroutines -> the handles that they pull from."""
        self._taken: dict[int, int] = {}
        """Items taken from iterators, by their number."""
        self.mirrors: dict[int, Mirror] = {}
        self._mirror_numbers: dict[int, int] = {}
        self._parameters: dict[tuple[int, str], tuple[int, int]] = {}
        """Attributes of objects that are parameters: their numbers when they were last seen, and how much was done by then."""
        self.acts = 0
        """How often the candidate was asked for what may change objects, but for calls of modules and next items."""
        self._graded: dict[int, Any] = {}
        self._graded_numbers: dict[int, int] = {}
        self._next_graded = 1
        self._leaves: dict[int, Mirror] = {}
        """Those of them that no graph made, by number: both sides keep their values and gradients alike."""
        self.drop: set[int] = set()
        """Numbers that nobody here needs any more; negative for graphs."""
        self.seeds: list[tuple[str, tuple[Any, ...]]] = []
        """Seeds that the tests set: the candidate's generators are set alike before its next call."""
        self.seeded: dict[str, tuple[Callable[[], Any], bytes]] = {}
        """Libraries that the tests have seeded since they last asked: what gives the state of a generator, and what it was."""
        self.known: dict[type, set[str]] = {}
        """Classes that the tests named: under which names."""
        self._handed: dict[type, int] = collections.defaultdict(int)
        """How often classes of its own were handed out otherwise: in a value, or under the name of a function."""
        self.borrowed: set[str] = set()
        """Names under which the tests took classes that are not the candidate's own."""
        self.made: dict[int, tuple[type, Any, Any]] = {}
        """Objects that the tests had made and that the candidate has not handed out since: class and arguments."""
        self.pickled: dict[bytes, tuple[type, Any, Any] | None] = {}
        """What was pickled in the test that runs, and how the tests had made it."""
        self.discerning: set[type] = set()
        """Classes whose equality has told objects apart that the tests made with other arguments."""
        self.given: set[type] = set()
        """Classes of libraries that the candidate handed out."""
        self.gave: set[str] = set()
        """Libraries of whose classes values came, and those that such values lead to."""
        self.gave_functions = False
        """Whether it handed out functions of libraries: what those give is of any class."""
        self.errors: dict[int, type[BaseException]] = {}
        """Exception classes of the tests' own that the candidate was passed."""
        self.aliases: dict[type, type] = {}
        """What stands for an exception that would catch what the tests themselves find, where the candidate has one."""
        self.expects_stop: Callable[..., bool] = lambda by_next: False
        """Whether the tests name StopIteration in a handler where they stand: else a function that raises it has an error, and
        ends no loop."""
        self.expects: Callable[[str], bool] = lambda name: False
        """Whether the tests name this class of exceptions in a handler where they stand."""
        self.speech = Speech("")
        self.empties = vacuous.Empties(self)
        self.loops = TestsLoops(self)
        self.folders: Folders | None = None
        """The folders that the tests share with the candidate, if they may share files."""
        self._heard: dict[Any, Any] = {}
        """Which of its warnings were given, as Python notes it for each module."""
        self._warned: list[Warning] = []
        """Warnings of the candidate's that the tests have not heard yet."""
        self._named_warnings = False
        """Whether the candidate has heard that the tests look at warnings."""
        self._named_folders = False
        """Whether the candidate has heard that they do."""
        self._objection = ""
        """What the candidate did that makes its answer count for nothing."""
        self._in_module = False
        """Whether a module of PyTorch is called: what it computes with is the tests' to set."""
        self._asking = ""
        """What the candidate is asked now."""
        self._views: dict[int, dict[str, Any]] = {}
        self.changes = 0
        """How often the candidate has done what may change an object."""
        self._put: set[tuple[int, Any]] = set()
        """Attributes of objects of the tests' own that the candidate has set, by the `id` of the object, which is kept."""
        self.readings: dict[int, views.Reading] = {}
        """What objects that were handed out gave as their items, by number."""
        self.worlds: dict[int, tuple[list[World], bool, bool]] = {}
        """What became of an object computed with decoys of a number, by the number of what became of it with the real one; and
        whether a step without an operand was taken since, and whether it may be the same in all of them: the tests made the
        object that it began with, or name its class, or it is no sum or difference."""
        self.listings: dict[int, tuple[Any, str]] = {}
        """What mappings list of themselves, by its number: the mapping, and what it is."""
        self._decoys: dict[tuple[str, str], list[Any]] = {}
        self.unreached = Unreached(Sides("", "", (), ""), "")
        """Assertions that the test that runs has not come to, by the candidate's doing."""
        self.refused: list[str] = []
        """What of the candidate's was refused in the test that runs, which has failed then, whatever it makes of it."""
        self.swallowed: BaseException | None = None
        """What the tests found while the candidate called them, until it comes back."""
        self.entry_point = ""
        self.received = 0
        """Answers that the candidate has given, its module's names included."""
        self.basis = BASES[0]
        """What the test that runs rests on so far: the weakest of `BASES`."""
        self._basis_outside = BASES[0]
        """What was asked outside of tests rests on, at import and in what prepares them."""
        self.used = 0
        """Questions beyond the names of functions and classes that are imported: what tests do now may hang on the answers."""
        self._greeted = 0
        """The last question before the tests begin."""
        self.taken = False
        """Whether the tests have anything of the candidate's, be it a name."""
        self.heard: Callable[[], None] | None = None
        """Called once, before the first thing of the candidate's is decoded."""
        self.showing: Callable[[], None] = lambda: None
        """Called before the candidate is asked how something looks."""
        self.found: Callable[[BaseException], None] = lambda exc: None
        """Called with what the tests found while the candidate had called them."""
        self.expects_error: Callable[[], bool] = lambda: False
        """Whether the tests catch errors where they stand now."""
        self.compared = self.changed = False
        """Whether the test that runs has compared what the candidate gave with what it had passed to it, and whether the
        candidate has changed anything of the tests'."""
        self.unsure: set[str] = set()
        """What copies of arguments and results may have hidden: reasons, in words."""

    def open(self, sock: socket.socket, module: str, tests: str, *, in_place: bool, tampered: Callable[[str], None]) -> None:
        """Lead to the candidate's `module` at the other end of `sock`, for these tests.

        `in_place` says that values which can change are shared with it. `tampered` is called with what no honest side sends.
        """
        self._sock, self._tampered = sock, tampered
        self._poll.register(sock, select.POLLIN)
        self.module, self.own_module = module, f"test_{module}"
        self._tests, self.speech = tests, Speech(tests)
        if in_place:
            self._sharing = sharing.Shared()
        self._sharing.ours = lambda value: int(self._graded.get(self._graded_numbers.get(id(value), 0)) is value)
        Handle._fumehood_here.append(self)

    # What the tests speak of, read where it is asked for

    @functools.cached_property
    def warns(self) -> bool:
        """Whether the tests look at warnings."""
        return any(word in self._tests for word in _OF_WARNINGS)

    @functools.cached_property
    def _speaks_of_unseen(self) -> bool:
        """Whether any of them may speak of what a tensor has that does not cross; which one does takes a parse for each."""
        return arrays.UNSEEN.search(self._tests) is not None

    @functools.cached_property
    def asks_identity(self) -> bool:
        """Whether they may ask if two values are one object."""
        return sharing.asks_identity(self._tests)

    def begin(self, name: str) -> None:
        """A test begins: it rests on what was asked outside of tests, and so far on nothing less."""
        self.speech.now = name
        self.compared = self.changed = False
        self._basis_outside = self.basis
        self.unreached.begin()
        self.refused.clear()
        self.handed.clear()
        self.pickled.clear()

    def end(self) -> None:
        """A test has ended: what is asked until the next one begins goes for all that follow."""
        self.basis = self._basis_outside
        self.speech.now = ""

    @property
    def shares(self) -> bool:
        """Whether values are shared, and not copied."""
        return isinstance(self._sharing, sharing.Shared)

    def settle(self) -> BaseException | None:
        """A test is over: notice what it has done to values since its last question, and what the candidate did since then.

        That may come from a thread, or from an object that was dropped; the test has not seen it, and rests on its word. Nothing
        is asked where neither side has anything of the other's. Returns why the candidate does not answer.
        """
        if self.received and self._speaks_of_unseen and "torch" in sys.modules and self.speech.of(arrays.UNSEEN):
            self.rest_on("word")
        has_theirs = self._held or self.drop or self.shares
        if self.broken or self._depth or not (has_theirs and (self._sharing.holds_any() or self.callables)):
            return None
        self._late = self._sharing.keeps = True
        try:
            self.ask("settle")
        except (Exception, Broken) as exc:
            return exc
        except NotApart as exc:  # what the test has put into a value since: it is over, and nobody asked for that
            NotApart.raised.remove(exc)
        finally:
            self._late = self._sharing.keeps = False
        return None

    def refuse(self, exc: BaseException) -> BaseException:
        """An error of this side's, raised for what the candidate gave: the candidate's, and a failure whatever catches it."""
        self.refused.append(str(exc))
        return mark(exc)

    def rest_on(self, basis: str) -> None:
        """Note that the test that runs rests on this."""
        self.basis = max(self.basis, basis, key=BASES.index)

    # Asking

    def greet(self) -> BaseException | None:
        """Wait until the candidate's module was run, and for files that it wrote. Returns what it raised instead."""
        try:
            self._wait(0)
            if self.folders is not None:
                self._greeted, greeted = 1, self.taken
                self.ask("files")
                self.taken = greeted or self.folders.touched
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
            if kind == "operator" and operands[0] in ("repr", "str", "format"):
                self.showing()
            if self._depth >= _MAX_NESTED:
                raise RecursionError("too many calls within calls between the tests and the candidate")
            if not self._depth and self._poll.poll(0):
                self._read_unasked()
            body = self._writer()
            try:
                body.put_question(kind, operands)
            except values.TooLarge as exc:
                raise NotApart(
                    f"The arguments cannot be passed to a candidate judged apart, {exc} is too large", kind=False
                ) from None
            except NotApart as exc:
                exc.kind = exc.kind and not self._was_handed_out(kind, operands)
                raise
            self.used += kind not in ("names", "files", "settle") and (kind != "get" or type(operands[0]) is not Module)
            self._seq = seq = self._seq + 1
            self._send(seq, kind, body)
            computes = _computes(kind, operands)
            shared = type(self._sharing) is sharing.Shared  # then the tests may change an object without asking
            if shared or kind in _CHANGING or (kind == "operator" and operands[0] in _CHANGING):
                self._views.clear()
                self.changes += 1
                self.acts += not (computes or kind == "resume" or (kind == "operator" and operands[0] == "next"))
            self._depth += 1
            before, self._asking = self._asking, operands[0] if kind == "operator" else kind
            unreached = len(self.unreached)
            outer, self._in_module = self._in_module, computes
            try:
                return self._wait(seq)
            except Broken:
                raise
            except BaseException as exc:
                self.unreached.failed(unreached, exc)
                if isinstance(exc, Exception):
                    raise
                if kind != "operator" or marked(exc) is None:
                    raise
                # Nothing that tests ask in passing, as for the text of an object, ends a test in another way than an error.
                raise mark(RuntimeError(f"{type(exc).__name__} out of __{operands[0]}__"), marked(exc) or "") from None
            finally:
                self._depth -= 1
                self._asking, self._in_module = before, outer

    def _was_handed_out(self, kind: str, operands: tuple[Any, ...]) -> bool:
        """Whether an operator meets an object that the candidate chose to hand out, where data may belong."""
        if kind not in ("operator", "line_up", "siblings", "each"):
            return False
        if kind == "operator" and operands[0] in DESCRIPTORS:
            return True  # whether it is asked at all is for its class to say
        own = operands[1][0] if kind in ("operator", "each") else operands[0]
        own = own[0] if kind == "each" else own
        return isinstance(own, Handle) and own._fumehood_id not in self.made

    def line_up(self, own: Any, name: str, others: list[Any]) -> list[tuple[bool, Any]]:
        """What an object answers for each of these, asked in an order drawn by chance: (whether it answered, what)."""
        return self._by_chance(others, "line_up", own, name)

    def siblings(self, own: Any, kind: type, made_with: list[Any]) -> list[tuple[bool, Any]]:
        """Whether an object equals others of a class made with these (arguments, keywords), as `line_up`."""
        return self._by_chance([(tuple(args), kwargs) for args, kwargs in made_with], "siblings", own, kind)

    def each(self, name: str, asked: list[tuple[Any, tuple[Any, ...]]]) -> list[tuple[bool, Any]]:
        """What each of these (object, arguments) gives, asked in an order drawn by chance, as `line_up`."""
        return self._by_chance(asked, "each", name)

    def _by_chance(self, asked: list[Any], kind: str, *before: Any) -> list[tuple[bool, Any]]:
        """Ask about all of these in one message, in an order drawn by chance; the answers are in the order of `asked`."""
        order = list(range(len(asked)))
        _CHANCE.shuffle(order)
        told = self._answers(len(asked), self.ask(kind, *before, [asked[place] for place in order]))
        found: list[tuple[bool, Any]] = [(False, None)] * len(asked)
        for place, answer in zip(order, told, strict=True):
            found[place] = answer
        return found

    def keep_worlds(self, value: Any, worlds: list[World], *, stepped: bool = False, credited: bool = False) -> None:
        """Remember what became of an object with decoys, beside what became of it with the value itself."""
        if worlds:
            self.worlds[value._fumehood_id] = worlds, stepped, credited

    def shown_alone(self, own: Any) -> None:
        """An object is asked for something that is not tried in all worlds, though it was computed with what the tests named."""
        if own._fumehood_id in self.worlds:
            self.rest_on("word")

    def decoys_of(self, value: Any, often: int, few: int) -> list[Any]:
        """The decoys of a value, the same each time that it is asked about: what two sets have in common would tell it."""
        key = (type(value).__name__, repr(value))
        if key not in self._decoys:
            self._decoys[key] = decoys(value, COUNT if len(self._decoys) < often else few)
        return self._decoys[key]

    def views_of(self, own: Any) -> dict[str, Any]:
        """What was seen of an object since the candidate last did something that could change it."""
        return self._views.setdefault(own._fumehood_id, {})

    def noticed(self, own: Any, name: str, value: Any) -> Any:
        """Note an attribute that is a view, or a parameter: one that the tests had set is not replaced by computing with it."""
        number = self.mirror_number(value) if self.mirrors else None
        if number is not None:
            before, acts = self._parameters.get((own._fumehood_id, name), (number, self.acts))
            self._parameters[own._fumehood_id, name] = number, self.acts
            if before != number and before in self.mirrors and self.mirrors[before].set:
                self.rest_on("word")
                if acts == self.acts:
                    raise self.refuse(RuntimeError(_REPLACED))
        return views.attribute(own, name, value)

    def equal_errors(self, exc: Any, other: Any) -> Any:
        """Whether two exceptions of the candidate's are equal, in the way of their class."""
        return equal_objects(exc, other)

    def attribute_of(self, exc: Any, name: str) -> Any:
        """A property or a method of a candidate's exception."""
        return guarded(exc, name, self.ask("get", exc, name))

    def listed(self, own: Any, name: str) -> Any:
        """What a mapping lists of itself, one item for each that it holds."""
        known = self.views_of(own)
        value = self.ask("method", own, name, (), {})
        self._views[own._fumehood_id] = known  # to be listed changes nothing
        if isinstance(value, list | tuple | set | frozenset | type({}.keys()) | type({}.values()) | type({}.items())):
            views.listed(own, f"{name}()", value, len(value))
        elif isinstance(value, Handle):
            self.listings[value._fumehood_id] = own, f"{name}()"
        elif isinstance(value, types.GeneratorType) and value in self.sources:
            source = self.sources[value]
            self.listings[source._fumehood_id] = own, f"{name}()"
            value = views.counted(source, value)
        return value

    def predicate(self, own: Any, name: str, args: Any, kwargs: Any) -> Any:
        """A method that compares, of an object that the candidate handed out."""
        return predicate(own, name, args, kwargs)

    def says(self, own: Any, name: str, value: Any) -> Any:
        """What an object that was handed out says of itself under the name of a method of plain data."""
        return says(own, name, value)

    def said(self, own: Any, name: str, args: tuple[Any, ...], value: Any) -> Any:
        """What a method of plain data gave that an object which was handed out has too."""
        if name in ("index", "count", "get"):
            return views.searched(own, name, args, value)
        self.rest_on("word")
        return value

    def crosses(self, value: Any, *, passing: bool = False) -> bool:
        """Whether the candidate can be shown a value; objects of the tests' own are not shown, but passed."""
        if type(value) in values.WRITE and not isinstance(value, list | tuple | dict | set | frozenset):
            return True
        try:
            QuestionWriter(self, passing=passing).put(value)
        except NotApart as exc:
            NotApart.raised.remove(exc)  # a question, and nothing that the tests did
            return False
        except (TypeError, ValueError):
            return False
        return True

    def shown(self, value: Any) -> Any:
        """A value as it is passed to the candidate; a text where it cannot cross."""
        return value if self.crosses(value, passing=True) else repr(value)[:200]

    def _answers(self, count: int, told: Any) -> list[tuple[bool, Any]]:
        if type(told) is not list or len(told) != count:
            raise self.refuse(TypeError("a candidate's object answered another number of questions than it was asked"))
        found = []
        for answer in told:
            if type(answer) is not tuple or len(answer) != 2 or type(answer[0]) is not bool:
                raise self.refuse(TypeError("a candidate's object gave an answer of no kind"))
            value = answer[1]
            found.append((answer[0], bool(value) if type(value).__name__ in ("bool", "bool_") else value))
        return found

    def _writer(self) -> QuestionWriter:
        """What writes a frame's value."""
        writer = QuestionWriter(self)
        self._sharing.writes(writer)
        return writer

    def _read_unasked(self) -> None:
        try:
            ended = not self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            ended = True
        self._break("The candidate's process ended before its tests did.") if ended else self.tamper(
            "a frame that nobody asked for"
        )

    def _drawn(self) -> list[tuple[str, tuple[Any, ...]]]:
        """States of generators from which the tests have drawn since they seeded them: the candidate draws what comes next."""
        found = [(f"{library} state", (state(),), state, then) for library, (state, then) in self.seeded.items()]
        self.seeded.clear()
        return [(what, now) for what, now, state, then in found if pickle.dumps(*now) != then]

    def _send(self, seq: int, kind: str, body: QuestionWriter) -> None:
        extras: dict[str, Any] = {}
        if self.drop:
            dropped, self.drop = self.drop, set()  # the collector may add to it at any time
            extras["drop"] = list(dropped)
        if self.seeds:
            extras["seeds"], self.seeds = [*self.seeds, *self._drawn()], []
        if self.warns and not self._named_warnings:
            extras["warnings"] = self._named_warnings = True
        if self.folders is not None and ((changes := self.folders.changes()) or not self._named_folders):
            extras["files"], self._named_folders = changes, True
        if "asyncio" in sys.modules and (number := self.loops.number()):
            extras["loop"] = number
        if (torch := sys.modules.get("torch")) is not None:
            if not torch.is_grad_enabled():
                extras["grad"] = False
            if self.mirrors:
                changed = [mirror for mirror in self.mirrors.values() if mirror.changed()]
                for mirror in changed:
                    mirror.set = mirror.set or not same_tensor(mirror.tensor.detach(), mirror.data)
                    mirror.note()
                if changed:
                    extras["leaves"] = [(mirror.number, mirror.data, mirror.grad) for mirror in changed]
            if self._leaves and (changed := [leaf for leaf in self._leaves.values() if leaf.changed()]):
                for leaf in changed:
                    leaf.note()
                extras["inputs"] = [(leaf.number, leaf.data, leaf.grad) for leaf in changed]
        before = QuestionWriter(self)
        if extras:
            before.put(extras)
        try:
            self._sharing.wrote(body)
            wire.send(self._sock, seq, kind, before.out, body.out)
        except values.TooLarge as exc:
            raise NotApart(
                f"The arguments cannot be passed to a candidate judged apart, {exc} is too large", kind=False
            ) from None
        except OSError:
            self._break("The candidate's process ended before its tests did.")
        self._notice_own()
        self._sharing.sent(body)

    def _notice_own(self) -> None:
        self._notice(self._sharing.signs, own=True)
        self._sharing.signs.clear()

    def _notice(self, signs: Iterable[str], *, own: bool) -> None:
        """Note what was noticed on our own side, or by the candidate's of itself, as far as the tests could see of it."""
        for sign in signs:
            if sign in (protocol.UNSHARED, protocol.CALLED_LATE) or (
                sign == protocol.LAID_OUT and not own and self.speech.of(arrays.LAYOUT)
            ):
                self.rest_on("word")
            if sign in (protocol.UNSHARED, protocol.CALLED_LATE, protocol.LAID_OUT):
                continue
            if sign == protocol.TOO_MANY and isinstance(self._sharing, sharing.Shared):
                self.rest_on("word")
            if sign in (protocol.AGAIN, protocol.OVERLAPS):
                self._held_again |= not own
                # Where values are shared, memory that overlaps in a way that cannot be is always worth saying.
                shared = isinstance(self._sharing, sharing.Shared)
                seen = (not own and self.asks_identity) or (shared and (not own or sign == protocol.OVERLAPS))
            else:
                seen = own or sign != protocol.CHANGED or self._sharing.holds_any()
            if seen and self._late and not own and sign == protocol.CHANGED:
                self.rest_on("word")
            if seen and sign in protocol.SIGNS:
                self.unsure.add(f"the {'tests' if own else 'candidate'} {sign}")

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
            if self._objection:
                objection, self._objection = self._objection, ""
                raise self.refuse(RuntimeError(objection))
            if self._warned:
                self._warn()
            if kind == "ok":
                return value
            if kind == "raised":
                raise value
            self._call_back(*value)

    def _warn(self) -> None:
        """Warn of what the candidate warned of, as if it were where the tests stand."""
        import warnings

        told, self._warned = self._warned, []
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None and not self.is_tests(frame):
            frame = frame.f_back
        place = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("candidate", 1)
        for message in told:
            warnings.warn_explicit(message, type(message), *place, module=self.own_module, registry=self._heard)

    def _receive(self, seq: int) -> tuple[str, Any]:
        try:
            data = wire.receive(self._sock)
        except (EOFError, OSError):
            self._break("The candidate's process ended before its tests did.")
        except Garbled as exc:
            self.tamper(str(exc))
        self.taken = self.taken or seq > self._greeted or len(data) > _GREETING
        if self.heard is not None and self.taken:
            self.heard()
            self.heard = None
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
        got, kind, extra = wire.head(data)
        if got != seq & 0xFFFFFFFF:
            raise Garbled("an answer to another question")
        reader = AnswerReader(data, self, wire.HEAD)
        if extra:
            reader.types_stay = True
            extras = reader.expect(dict)
            reader.types_stay = False
            self._note(reader, extras)
        else:
            self._note_held(False)
        self._sharing.reads(reader)
        value = reader.whole()
        self._notice_own()  # at once: this may be the last that crosses in a test
        if isinstance(self._sharing, sharing.Shared) and self._sharing.changed:
            self.changed = True
            self.unsure.add(protocol.CANDIDATE_CHANGED)
            if self._late:
                self.rest_on("word")
            self._sharing.changed = False
        self.received += kind != "asked"
        if kind == "raised":
            value = self.exception(value)
        elif kind == "asked":
            number, args, kwargs = value
            self.callables[number]
            if type(args) is not tuple or type(kwargs) is not dict or not all(type(name) is str for name in kwargs):
                raise Garbled("a call that is none")
        elif kind != "ok":
            raise Garbled("an answer of no kind")
        return kind, value

    def _call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        body = self._writer()
        kind = "returned"
        try:
            value, target = self.callables[number]
            self.handed.pop(id(value), None)
            self._check_tools((args, kwargs))
            if self._way(number, args) in own.CHANGES:
                self.rest_on("word")
                self._put.add((id(value), args[1] if len(args) > 1 else ""))
            value = target(*args, **kwargs)
            body.put(value)
        except Broken:
            raise
        except BaseException as exc:
            if not is_verdict(exc) or marked(exc) is not None:
                self.unreached.ended(exc)
            if isinstance(exc, NotApart) and not (self._is_kept(number, args) or self._keeps(args, value)):
                exc.kind = False  # what a callback gives may be what the candidate made of it
            kind, body, told = "raised", self._writer(), exc.args
            if is_verdict(exc) and marked(exc) is None:
                self.swallowed, told = exc, ()  # what they expected is none of the candidate's business
                self.found(exc)
            place = self._next_raised = self._next_raised + 1
            self._raised[place] = exc
            self._raised.pop(place - _MAX_RAISED, None)
            what: Any = (type(exc), tuple(arg if is_plain(arg) else repr(arg)[:_TEXT] for arg in told), None)
            made_there = told is exc.args and "_fumehood_id" in exc.__dict__
            above = (exc.__cause__, exc.__context__) if told is exc.args else ()
            behind = [None if one is None or is_verdict(one) else one for one in above]  # no more of what was expected
            body.put((exc if made_there else what, place, behind))
        self._send(self._seq, kind, body)

    # What arrives

    def exception(self, told: Any) -> BaseException:
        """The exception that the candidate described, marked as its own."""
        kind, args, text, attributes, frames, place, cause, number = told
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or type(args) is not tuple:
            raise Garbled("an exception that is none")
        if (
            type(text) is not str
            or type(frames) is not str
            or type(attributes) is not dict
            or type(place) is not int
            or type(number) is not int
        ):
            raise Garbled("an exception that is none")
        if place in self._raised:
            raised = self._raised[place]
            if raised is self.swallowed:
                self.swallowed = None
            if hasattr(type(raised), "_fumehood_link"):  # one of its own classes, which it may have told more since
                raised.__dict__["_fumehood_text"] = text[:_TEXT]
                _set_attributes(raised, attributes)
            return raised
        if issubclass(kind, StopIteration | StopAsyncIteration) and not (
            self._asking in _STOPPING or self.expects_stop(by_next=False)
        ):
            kind, args = RuntimeError, (f"{kind.__name__} out of a function",)
        if ends := _ends_more(kind):
            if any(map(self.expects, ends)):  # a handler that is most often meant for what the tests cancel themselves
                self.rest_on("word")
            else:
                kind, args = RuntimeError, (f"{kind.__name__} out of a function",)
        exc = make_exception(kind, args, text[:_TEXT])
        _set_attributes(exc, attributes)
        if type(notes := attributes.get("__notes__")) is list and all(type(note) is str for note in notes):
            exc.__notes__ = notes
        if number >= 0 and hasattr(type(exc), "_fumehood_link"):
            exc.__dict__["_fumehood_id"] = number
            self.made.pop(number, None)
            weakref.finalize(exc, self.let_go, number).atexit = False
        if cause is not None:
            exc.__cause__ = self.exception(cause)
        exc.__suppress_context__ = attributes.get("__suppress_context__") is True
        return mark(exc, frames[-_TEXT:])

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
        abstract: Any,
        differs: tuple[str, ...],
        checks: Any,
        about: dict[str, Any],
    ) -> type:
        """A class whose objects are handles: ours, made after a description."""
        own = {f"__{name}__": SPECIALS[name] for name in special if name in SPECIALS}
        body = {
            **about,
            **COMMON,
            **own,
            "__slots__": (),
            "_fumehood_class": number,
            "_fumehood_link": self,
            "_fumehood_methods": frozenset(methods),
            "_fumehood_base": base,
            "_fumehood_own": frozenset(differs),
            "_fumehood_real": library_class(real, name, bases) or class_below(base, about),
            "_fumehood_name": name,
            "_fumehood_is": shared_class(real),
            "_fumehood_checks": checks is True,
            "__doc__": OwnDoc(about["__doc__"]),
        }
        if hashable is not True:
            body["__hash__"] = None
        parents = tuple(b for b in bases if issubclass(b, Handle)) or (Handle,)
        try:
            made: Any = make_class(name, parents, body)
        except TypeError:  # bases that Python would not combine in this order
            made = make_class(name, (Handle,), body)
        for word, kind in values.ABSTRACT.items():
            if word in abstract:
                kind.register(made)
        if is_below(made, abc.ABC):
            abc.ABCMeta.register(abc.ABC, made)
        return made  # type: ignore[no-any-return]

    def handle(self, number: int, kind: type, nature: str, base: list[Any]) -> Any:
        """What stands for an object of the candidate's: the same for the same object.

        `base` holds the plain value of an object whose class is a subclass of plain data's. One that cannot change has the value
        that it first had.
        """
        found = self._handles.get(number)
        if found is not None and type(found) is kind:
            self.made.pop(number, None)
            plain = getattr(kind, "_fumehood_base", None)
            if base and (plain in _MUTABLE or (self._asking == "new" and plain not in values.UNCHANGING)):
                object.__setattr__(found, "_fumehood_value", base[0])
            return found
        if not issubclass(kind, Handle):
            raise Garbled("an object of no class")
        self.drop.discard(number)  # not told yet, and not true any more
        self.made.pop(number, None)
        made: Any = object.__new__(kind)
        object.__setattr__(made, "_fumehood_id", number)
        if base:
            object.__setattr__(made, "_fumehood_value", base[0])
        weakref.finalize(made, self.let_go, number).atexit = False
        if nature in ("generator", "begun"):
            pulled: Any = generated(self, made, begun=nature == "begun")
            if nature == "begun":
                next(pulled)
        elif nature == "coroutine":
            pulled = awaited(self, made)
        else:
            self._handles[number] = made
            return made
        self._handles[number] = pulled
        self.sources[pulled] = made
        return pulled

    def value(self, number: int, kind: type, nature: str, base: list[Any]) -> Any:
        """What the tests get for an object: a handle, or a plain value with what its class adds, if that never changes."""
        handle = self.handle(number, kind, nature, base)
        unchanging = nature == "value" and getattr(kind, "_fumehood_base", None) in values.UNCHANGING
        return extended(handle, base[0]) if unchanging else handle

    def named(self, name: str, value: Any) -> Any:
        """Note what the tests took by its name. A class is written with a capital; a function's name vouches for nothing.

        A class of Python's or a library's under another name says less than the tests may expect: nearly all is an object.
        """
        if name != getattr(value, "__name__", "") and any(map(_is_borrowed, value if type(value) is tuple else (value,))):
            self.borrowed.add(name)
        if type(value) is HandleMeta and name.lstrip("_")[:1].isupper() and name != self.entry_point:
            self.known.setdefault(value, set()).add(name)
            self._handed[value] -= 1
        return value

    def derived(self, name: str, value: type) -> None:
        """Note a class that the tests derive from the candidate's, under the name that they give it."""
        self.known.setdefault(value, set()).add(name)
        self._handed[value] -= 1

    def was_handed(self, value: type) -> None:
        """Note a class that arrives as a value. Where the tests took it by its name, `named` takes that back."""
        if type(value) is HandleMeta:
            self._handed[value] += 1

    def is_known(self, kind: type) -> bool:
        """Whether the tests named this class, or one that it derives from, and have it in no other way."""
        return self._handed[kind] <= 0 and any(base in self.known for base in own_mro(kind))

    def was_made(self, value: Any, kind: type, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """Note an object that the tests made, where they know its class by name; `frame` called it.

        A class that was handed out as well may stand where they expect a function. It is made only where its name is written.
        """
        if kind not in self.known:
            return
        if self._handed[kind] <= 0 or (self.is_tests(frame) and called_name(frame) in self.known[kind]):
            self.made[value._fumehood_id] = (kind, args, kwargs)

    def copied(self, made: tuple[type, Any, Any] | None, value: Any) -> Any:
        """A copy that the tests asked for: of what they made, it is as much their object as that, if it is of the same class."""
        if made is not None and type(value) is made[0]:
            self.made[value._fumehood_id] = made  # type: ignore[attr-defined]  # an object of such a class
        return value

    def count_item(self, number: int) -> None:
        """Note that an iterator gives one more item. Raises RuntimeError beyond the cap."""
        taken = self._taken[number] = self._taken.get(number, 0) + 1
        if taken > MAX_ITEMS:
            raise self.refuse(RuntimeError(f"an iterator of the candidate's gave more than {MAX_ITEMS} items"))

    def let_go(self, number: int) -> None:
        """Note that nobody here holds an object any more."""
        self.drop.add(number)
        self.made.pop(number, None)
        self.worlds.pop(number, None)
        self._views.pop(number, None)
        self.readings.pop(number, None)
        self.listings.pop(number, None)
        self._taken.pop(number, None)

    def function(self, number: int, texts: list[str], asynchronous: bool, bound: bool) -> Any:
        """What stands for a function of the candidate's. The texts are its name, qualified name, documentation and module."""
        found = self._handles.get(number)
        if type(found) is not Function:
            found = Function(self, number, texts, asynchronous, bound)
            self._handles[number] = found
            self.drop.discard(number)
            weakref.finalize(found, self.let_go, number).atexit = False
        return found

    # What the tests pass

    def number_of_error(self, kind: type[BaseException]) -> int:
        """The number under which the candidate knows an exception class of the tests'."""
        for number, known in self.errors.items():
            if known is kind:
                return number
        self.errors[len(self.errors)] = kind
        return len(self.errors) - 1

    def is_own(self, kind: type) -> bool:
        """Whether objects of a class are the tests' own, and can be stood for at the candidate's."""
        if kind not in self._own_classes:
            self._own_classes[kind] = own.is_own(kind, self.own_module)
        return self._own_classes[kind]

    def _is_theirs(self, number: int) -> bool:
        """Whether a number is that of an object or of a class of the tests' own."""
        value = self.callables[number][0]
        return mocks.is_mock(value) or self.is_own(value if isinstance(value, type) else type(value))

    def _way(self, number: int, args: tuple[Any, ...]) -> str:
        """What the candidate asks of an object of the tests' own, by its name; empty where it calls something else."""
        return args[0] if args and type(args[0]) is str and self._is_theirs(number) else ""

    def _is_kept(self, number: int, args: tuple[Any, ...]) -> bool:
        """Whether the candidate asked for what an object of the tests' own keeps, and that it has not set itself.

        So does a mock with what it gives when it is called, unless a function makes that.
        """
        way, value = self._way(number, args), self.callables[number][0]
        if way == "get" and len(args) == 2:
            return (mocks.is_mock(value) or own.keeps(value, args[1])) and (id(value), args[1]) not in self._put
        return bool(way) and mocks.gives_its_own(value)

    def _keeps(self, args: tuple[Any, ...], value: Any) -> bool:
        """Whether a callback gave what an object of the tests' own keeps that it was called with: that could be asked for too."""
        theirs = [arg for arg in args if self.has_number(arg) and self.is_own(arg if isinstance(arg, type) else type(arg))]
        kept = ((id(arg), name) for arg in theirs for name, found in vars(arg).items() if found is value)
        return any(one not in self._put for one in kept)

    def chose(self, value: Any) -> bool:
        """Whether an object that cannot cross is the candidate's choice: its class, or what the tests made it by."""
        if any(kind in self.given for kind in type(value).__mro__):
            return True
        return self.gave_functions and self.unreached.passes_theirs()

    def _check_tools(self, value: Any) -> None:
        """Refuse functions of libraries among what the candidate calls the tests with: they would run here.

        `attrgetter("__globals__")` in the hands of a method that calls what it is given reads whatever the tests know.
        Raises TypeError, the candidate's.
        """
        if isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self._check_tools(item)
        elif isinstance(value, dict):
            for item in (*value, *value.values()):
                self._check_tools(item)
        elif callable(value) and not self._is_harmless(value):
            raise mark(
                TypeError("a function of a library among what the tests are called with: pass one of your own that calls it")
            )

    def _is_harmless(self, value: Any) -> bool:
        if type(value) in (Function, Method) or isinstance(type(bare(value)), HandleMeta) or self.has_number(value):
            return True
        if not isinstance(value, type):
            computing = type(value) is types.BuiltinFunctionType and value in _COMPUTING
            return computing or self.is_own(type(value)) or is_torch_module(value)
        numpy = sys.modules.get("numpy")
        kinds = (BaseException,) if numpy is None else (BaseException, numpy.generic)
        return isinstance(value, HandleMeta) or value in _HARMLESS or issubclass(value, kinds) or self.is_own(value)

    def is_tests(self, frame: types.FrameType) -> bool:
        """Whether a frame is the tests' own file's."""
        return frame.f_globals.get("__name__") == self.own_module

    def writes_out(self, name: str, frame: types.FrameType) -> bool:
        """Whether the tests write a special name that Python does not know (`x.__html__()`), and ask for it themselves."""
        return self.is_tests(frame) and is_special_of_nobody(name) and f".{name}" in self._tests

    def writes(self, name: str) -> bool:
        """Whether a name stands in the tests: what the candidate chose comes under another."""
        return re.search(rf"\b{re.escape(name)}\b", self._tests) is not None

    def has_number(self, value: Any) -> bool:
        """Whether the candidate knows something of the tests' already."""
        number = self._callable_numbers.get(id(value))
        return number is not None and self.callables[number][0] is value

    def gathers(self, value: Any) -> bool:
        """Whether a function of the tests' is bound to a value that it may change, of which the candidate would have a copy."""
        if type(value) is not functools.partial or type(self._sharing) is sharing.Shared:
            return False
        theirs = isinstance(value.func, types.FunctionType) and self.is_tests_function(value.func)
        return theirs and any(type(kept) in _CHANGEABLE for kept in (*value.args, *value.keywords.values()))

    def is_tests_function(self, function: types.FunctionType) -> bool:
        """Whether a function is of the tests' own file."""
        return function.__globals__.get("__name__") == self.own_module

    def callable_number(self, value: Any, target: Any) -> int:
        """The number under which the candidate may call something of the tests'."""
        number = self._callable_numbers.get(id(value))
        self.handed[id(value)] = value
        if number is None or self.callables[number][0] is not value:
            number = self._callable_numbers[id(value)] = len(self.callables) + 1
            self.callables[number] = (value, target)
        return number

    def same_method(self, value: Any) -> Any:
        """A method that was passed before, where this is the same one of the same object: each look makes a new one."""
        if type(value) is not types.MethodType:
            return value
        return self._methods.setdefault((id(value.__self__), id(value.__func__)), value)  # kept, and its object with it

    def coroutine_number(self, value: Any) -> int:
        """The number under which the candidate may await a coroutine of the tests'."""
        target = self.loops.serving(value, lambda: self._callable_numbers[id(value)])
        return self.callable_number(value, target)

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

    def leaf(self, tensor: Any) -> Mirror:
        """What the candidate knows of a leaf of the tests' own, which passes now."""
        number = self.remember(tensor)
        if number not in self._leaves:
            self._leaves[number] = Mirror(number, tensor)
            while len(self._leaves) > MAX_LEAVES:
                del self._leaves[next(iter(self._leaves))]
                self._sharing.signs.add(protocol.TOO_MANY)
        self._leaves[number].note()
        return self._leaves[number]

    def _changed_leaf(self, leaf: Mirror, data: Any, grad: Any, torch: Any) -> None:
        """The candidate changed a leaf of the tests' own: so does ours, where values are shared or it has a gradient to use."""
        if not isinstance(data, torch.Tensor) or not (grad is None or isinstance(grad, torch.Tensor)):
            raise Garbled("a tensor that is none")
        if self.shares or leaf.grad is None:
            self.changed = True
            self.unsure.add(protocol.CANDIDATE_CHANGED)
        if not self.shares and leaf.grad is None:
            return
        if self._in_module and not same_tensor(data, leaf.data):
            self._objection = _REPLACED
        self.rest_on("word")
        set_leaf(leaf.tensor, data, grad)
        leaf.note()

    def _note_held(self, told: bool) -> None:
        """Whether the candidate has something that crossed before: if not, what becomes of ours it cannot notice."""
        self._held = told or self._held_again
        if not self._held and isinstance(self._sharing, sharing.Copies):
            self._sharing.let_go()

    def _note(self, reader: AnswerReader, extras: dict[str, Any]) -> None:
        self._notice([sign for sign in extras.pop("signs", ()) if type(sign) is str], own=False)
        self._note_held(extras.pop("holds", False) is True)
        files = extras.pop("files", None)
        if files is not None and self.folders is not None and self.folders.apply(files):
            self.rest_on("word")  # what the tests look at may be what they wrote down as expected
        if not extras:
            return
        self._warned += [told for told in extras.pop("warnings", ())[:_MAX_WARNED] if isinstance(told, Warning)]
        if not extras:
            return
        torch = values.library("torch")
        for number, parameter, data, grad in extras.get("new", ()):
            if number in self.mirrors or type(number) is not int:
                raise Garbled("a tensor that was told before")
            tensor = torch.nn.Parameter(data) if parameter is True else data.clone().requires_grad_()
            tensor.grad = grad
            self.mirrors[number] = Mirror(number, tensor)
            self._mirror_numbers[id(tensor)] = number
        for number, data, grad in extras.get("inputs", ()):
            if (leaf := self._leaves.get(number)) is not None:
                self._changed_leaf(leaf, data, grad, torch)
        for number, data, grad in extras.get("leaves", ()):
            mirror = self.mirrors[number]
            if not isinstance(data, torch.Tensor):
                raise Garbled("a tensor that is none")
            if mirror.set and not same_tensor(data, mirror.data):
                if self._in_module:
                    self._objection = _REPLACED
                self.rest_on("word")  # what the tests compute with it from now on, the candidate gave
            set_leaf(mirror.tensor, data, grad)
            mirror.note()
        if "graph" in extras:
            graph, refs, outputs = extras["graph"]
            sources = [self._graded.get(n) if ours else self.mirrors[n].tensor for ours, n in refs]
            if type(graph) is not int or not all(isinstance(tensor, torch.Tensor) for tensor in outputs):
                raise Garbled("a graph that is none")
            reader.outputs = list(autograd_function().apply(Graph(self, graph, len(refs)), outputs, *sources))


def _ends_more(kind: type[BaseException]) -> list[str]:
    """Names of the classes of libraries that an exception is of and that are below BaseException alone.

    Libraries take them for something else than an error: whose task was cancelled has not failed.
    """
    return [one.__name__ for one in kind.__mro__ if not issubclass(one, Exception) and values.library_path(one) is not None]


def _set_attributes(exc: BaseException, attributes: dict[Any, Any]) -> None:
    for name, value in attributes.items():
        if type(name) is not str or not name.isidentifier() or name.startswith("_"):
            continue
        if is_field(exc, name, value):
            setattr(exc, name, value)
        else:
            exc.__dict__[name] = guarded(exc, name, value)
