"""The candidate's end of the language: writes answers, in which handles stand for its objects, and reads questions.

Left out: what is asked and answered. `candidate.py` has that.
"""

from __future__ import annotations

import enum
import functools
import inspect
import operator
import sys
import types
from typing import TYPE_CHECKING, Any

from . import arrays, classes, enums, values
from .gradients import MAX_LEAVES, Mirror, marks, same_tensor, set_leaf
from .standins import StandIn, StandInMeta

if TYPE_CHECKING:
    from .candidate import Server

_BUILT = (object, functools.partial, operator.itemgetter, operator.attrgetter, operator.methodcaller)
"""Classes of which things of the tests' are made anew here, and go back as what they are."""
_RESUMED = (types.GeneratorType, types.CoroutineType)
"""Those of what goes on step by step."""


class AnswerWriter(values.Writer):
    """Writes an answer: handles for what is not plain, and tensors with a graph by number."""

    __slots__ = ("force", "graded", "server")

    def __init__(self, server: Server, force: Any = None) -> None:
        super().__init__()
        self.server = server
        self.force = force
        """An object that stays here even where its class is a subclass of a plain one."""
        self.graded: list[Any] | None = None
        """Tensors with a graph in this answer, where it may have such."""

    def special(self, value: Any) -> bool:
        """What stays here, or is known to the tests by a number."""
        server, kind = self.server, type(value)
        is_theirs = kind in _BUILT or kind in _RESUMED or issubclass(kind, StandIn | StandInMeta | enum.EnumMeta)
        if is_theirs and (asked := server.asked_for(value)) is not None:
            self.out += b"k"
            values.put_int(self, asked)
        elif issubclass(kind, enum.Enum) and server.asked_for(kind) is not None:
            enums.put(self, value)
        elif issubclass(kind, BaseException):
            self.out += b"e"
            self.put_apart(server.describe(value))
        elif (
            value is self.force
            or server.keeps(value)
            or issubclass(kind, enum.Enum)
            or classes.does_more_than_its_base(kind)
            or classes.has_more(value)
        ):
            self._object(value)
        elif issubclass(kind, types.FunctionType | types.MethodType) and values.library_path(value) is None:
            self._function(value)
        elif issubclass(kind, type) and value not in values.TYPE_NAMES and values.library_path(value) is None:
            self._class(value)
        else:
            if issubclass(kind, tuple) and hasattr(kind, "_fields"):
                key = str(kind.__name__), kind._fields
                server.named_tuples[key] = kind if server.named_tuples.get(key, kind) is kind else None
            torch = sys.modules.get("torch")
            return torch is not None and issubclass(kind, torch.Tensor) and self._tensor(value, torch)
        return True

    def foreign(self, value: Any) -> None:
        """A handle for it."""
        self._object(value)

    def factory(self, value: Any) -> None:
        """What makes the items that a dictionary lacks; it is run here."""
        if values.library_path(value) is None:
            self.put(value)
        elif isinstance(value, type):
            super().factory(value)
        else:  # what crosses by its name would run at the tests'
            self._object(value)

    def _number(self, tag: bytes, value: Any) -> int:
        number: int = self.server.keep(value)
        self.out += tag
        values.put_int(self, number)
        return number

    def _function(self, value: Any) -> None:
        asked = self.server.asked_for(value)
        if asked is not None:
            self.out += b"k"
            values.put_int(self, asked)
            return
        self._number(b"(", value)
        names = [str(getattr(value, name, None) or "")[:1000] for name in ("__name__", "__qualname__", "__doc__", "__module__")]
        self.put((*names, inspect.iscoroutinefunction(value), type(value) is types.MethodType))

    def _class(self, kind: type) -> None:
        own = self.server.own_errors.get(kind)
        if own is not None:
            self.out += b"x"
            values.put_int(self, own)
            return
        told = self.server.classes
        number = self._number(b"c", kind)
        if number in told:
            self.out += b"N"
            return
        told.add(number)
        self.server.described.append(number)
        self.out += b"T"
        exception = issubclass(kind, BaseException)
        mine = [base for base in kind.__bases__ if base is not object and (not exception or issubclass(base, BaseException))]
        self.put((*(classes.named(getattr(kind, name)) for name in ("__name__", "__qualname__", "__module__")), exception))
        self.out += values.TAGGED_COUNT.pack(b"l", len(mine))
        for base in mine:
            self.put(base) if exception else self._class(base)
        special = tuple(name for name in classes.SPECIAL if classes.has(kind, f"__{name}__"))
        if exception:  # what the tests make of one that does more is made here
            special = (
                ("init", *(name for name in classes.COMMON if classes.differs(kind, BaseException, name)))
                if classes.adds(kind)
                else ()
            )
        methods = {
            n for cls in kind.__mro__ if cls is not object for n, v in vars(cls).items() if isinstance(v, types.FunctionType)
        }
        plain_base = classes.base_of(kind)
        own_ways = classes.own_ways(kind, plain_base) if plain_base is not None else ()
        self.put((special, tuple(sorted(n for n in methods if not n.startswith("__"))), plain_base, classes.real(kind), own_ways))
        abstract = tuple(name for name, one in values.ABSTRACT.items() if issubclass(kind, one))
        hashable = getattr(kind, "__hash__", None) is not None
        self.put((str(getattr(kind, "__doc__", None) or "")[:2000], hashable, abstract, classes.checks(kind)))

    def _object(self, value: Any) -> None:
        self._number(b"h", value)
        self._class(type(value))
        nature = ""
        if isinstance(value, types.GeneratorType):
            nature = "begun" if inspect.getgeneratorstate(value) == inspect.GEN_SUSPENDED else "generator"
        elif isinstance(value, types.CoroutineType):
            nature = "coroutine"
        elif issubclass(type(value), values.UNCHANGING):
            nature = "value"
        self.put(nature)
        if classes.base_of(type(value)) is not None:
            plain = values.base_value(value)
            values.WRITE[type(plain)](self, plain)

    def _tensor(self, value: Any, torch: Any) -> bool:
        server = self.server
        if not arrays.is_plain_tensor(value):
            return False
        if value.is_leaf and value.requires_grad and server.inputs.number(value) is None:
            self.out += b"p"
            values.put_int(self, server.tell_leaf(value))
            return True
        if value.requires_grad and self.sharing is not None:
            server.hand_out(value)
        if value.requires_grad and self.graded is not None:
            self.out += b"o"
            values.put_int(self, len(self.graded))
            self.graded.append(value)
            return True
        arrays.put_class(self, type(value), torch)
        arrays.put_tensor(self, value.detach(), torch)
        return True


class Inputs:
    """Numbers of the tensors that came with a wish for gradients."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[int, Any]] = {}
        self.leaves: dict[int, Mirror] = {}
        """What stands for the leaves among them: always the same tensor for the same one."""

    def leaf(self, number: int, tensor: Any, grad: Any, parameter: Any) -> Any:
        """The tensor that stands for a leaf of the tests', which has this value and this gradient now."""
        known = self.leaves.get(number)
        if known is None:
            found = sys.modules["torch"].nn.Parameter(tensor) if parameter else tensor.requires_grad_()
            found.grad = grad
            self.leaves[number] = Mirror(number, found)
            if len(self.leaves) > MAX_LEAVES:
                del self.leaves[next(iter(self.leaves))]
            self.add(number, found)
            return found
        self.told(number, tensor, grad)
        return known.tensor

    def told(self, number: int, data: Any, grad: Any) -> None:
        """The tests changed a leaf of theirs."""
        if (known := self.leaves.get(number)) is not None:
            if not (same_tensor(known.tensor.detach(), data) and same_tensor(known.tensor.grad, grad)):
                set_leaf(known.tensor, data, grad)
            known.note()

    def marked(self) -> bool:
        """Whether the candidate did anything to how a leaf of the tests' takes part in gradients."""
        marked = [leaf for leaf in self.leaves.values() if leaf.marked()]
        for leaf in marked:
            leaf.marks = marks(leaf.tensor)
        return bool(marked)

    def changed(self) -> list[tuple[int, Any, Any]]:
        """What the candidate changed of the tests' leaves: number, value and gradient."""
        changed = [leaf for leaf in self.leaves.values() if leaf.changed()]
        for leaf in changed:
            leaf.note()
        return [(leaf.number, leaf.data, leaf.grad) for leaf in changed]

    def add(self, number: int, tensor: Any) -> None:
        """Remember a tensor by its number."""
        self._by_id[id(tensor)] = (number, tensor)
        if len(self._by_id) > 2000:  # long before, the tests have forgotten it too
            del self._by_id[next(iter(self._by_id))]

    def number(self, tensor: Any) -> int | None:
        """The number of this very tensor, if it has one."""
        found = self._by_id.get(id(tensor))
        return found[0] if found is not None and found[1] is tensor else None


class QuestionReader(values.Reader):
    """Reads what the tests sent."""

    __slots__ = ("server",)

    def __init__(self, data: bytes, server: Server, start: int) -> None:
        super().__init__(data, start)
        self.server = server

    def _handle(self) -> Any:
        return self.server.kept[self.expect(int)]

    def _callable(self) -> Any:
        number, nature = self.expect(int), self.expect(str)
        about = self.take()
        return self.server.callback(number, nature, about)

    def factory(self) -> Any:
        """What makes the items that a dictionary lacks."""
        return self.deeper()

    def named(self, value: Any, comes_back: bool) -> Any:
        """A named tuple: one that comes back is of the class that one with this name and these fields had."""
        kind = self.server.named_tuples.get((type(value).__name__, value._fields)) if comes_back else None
        return value if kind is None else tuple.__new__(kind, value)

    def _exception(self) -> Any:
        return self.server.rebuild(self.deeper())

    def _member(self) -> Any:
        return enums.read(self, lambda kind: self.server.asked_for(kind) is not None)

    def _own_error(self) -> Any:
        number, name, base = self.expect(int), self.expect(str), self.take()
        return self.server.own_error(number, name, base)

    def _input(self) -> Any:
        number = self.expect(int)
        tensor, _ = arrays.read_tensor(self)
        if (leaf := self.take()) is not None:
            parameter, grad = leaf
            return self.server.inputs.leaf(number, tensor, grad, parameter)
        tensor.requires_grad_()
        self.server.inputs.add(number, tensor)
        if self.sharing is not None:
            self.sharing.watch(tensor)
        return tensor


QuestionReader.more = {
    ord("#"): QuestionReader._handle,
    ord("k"): QuestionReader._callable,
    ord("e"): QuestionReader._exception,
    ord("G"): QuestionReader._input,
    ord("x"): QuestionReader._own_error,
    ord(enums.TAG): QuestionReader._member,
}
