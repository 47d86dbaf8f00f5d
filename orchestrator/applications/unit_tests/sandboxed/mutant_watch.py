"""Runs in a sandbox, in a test process: reports to the runner what code the tests make, and what their functions return.

An audit hook, which nothing can remove, sends every code object that is run before it runs. What it means is decided by the
runner (`mutant_carried`). In some runs the values that the tests' functions return are sent too. Tests may send what they like
beside it, which can only harm them.

Who reaches for the interpreter itself (its objects, memory, bytecode, hooks) could blind the hook: such a process ends there.

Left out: deciding anything.
"""

from __future__ import annotations

import marshal
import os
import sys
import types
from collections.abc import Callable
from typing import Any

CODE, RETURNED, REFUSED = b"C", b"R", b"!"
"""How a message begins: code that is run, a call that returned, and what the process was ended for."""
_REFUSED = frozenset(
    (
        *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "code.__new__", "marshal.load", "marshal.loads"),
        *("sys.settrace", "sys.setprofile", "sys._current_frames", "cpython.PyInterpreterState_New"),
    )
)
"""Besides all of `ctypes`."""
_CODE_ATTRIBUTES = frozenset(("__code__", "gi_code", "cr_code", "ag_code"))
_MOST = 160_000
"""Bytes of a message: one that does not fit is a reason to be ended."""
_RETURNS = 4000
_LEAVES = 1000
_PLAIN = frozenset((int, float, complex, bool, str, bytes, dict, set, frozenset))
_FORMAT = 2
"""Of marshal: without references, so that equal values have equal bytes."""


def watch(fd: int, ask: types.CodeType, *, returns: bool) -> None:
    """Begin, for as long as this process lives. With `returns` the values of the tests' functions are sent as well.

    `ask` is the code that asks the function itself: what it answered to a function of the tests is not work of theirs.
    """
    own: set[types.CodeType] = set()
    hook = _hook(fd, own)
    if returns:
        sys.getprofile = lambda: None
        sys.setprofile(_profile(fd, own, ask))
    sys.addaudithook(hook)


def _hook(fd: int, own: set[types.CodeType]) -> Callable[[str, tuple[Any, ...]], None]:
    # All that is used is bound here: the tests can reach modules and builtins, and change them.
    write, leave, dumps, code_type, kind = os.write, os._exit, marshal.dumps, types.CodeType, type
    refused, attributes, most, version, note = _REFUSED, _CODE_ATTRIBUTES, _MOST, _FORMAT, own.update
    nested, length, failure = _nested, len, BaseException

    def send(mark: bytes, data: bytes) -> None:
        try:
            if length(data) <= most and write(fd, mark + data) > 0:
                return
        except failure:
            pass
        leave(70)

    def end(event: str) -> None:
        send(REFUSED, event.encode("ascii", "replace"))
        leave(71)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "exec" or event == "function.__new__":
            code = args[0]
            if kind(code) is code_type:
                note(nested(code))
                try:
                    data = dumps(code, version)
                except failure:
                    end("code of no source")
                send(CODE, data)
        elif event in refused or event.startswith("ctypes."):
            end(event)
        elif event == "object.__setattr__" and args[1] in attributes:
            end("another " + args[1])

    return hook


def _nested(code: types.CodeType) -> list[types.CodeType]:
    found = [code]
    for one in found:
        found += [item for item in one.co_consts if type(item) is types.CodeType]
    return found


def _profile(fd: int, own: set[types.CodeType], ask: types.CodeType) -> Callable[[types.FrameType, str, Any], None]:
    write, dumps, version, most = os.write, marshal.dumps, _FORMAT, _MOST
    arguments_of, spell, place, length, failure, number = _arguments, spelled, _place, len, Exception, id
    library = _library()
    given: dict[int, Any] = {}
    left = [_RETURNS]
    answers: list[bytes] = []
    steps: type[Any] = type(iter([]))

    def note(value: Any) -> None:
        try:
            # An iterator that came is one over a list, and must not be used up here.
            value = value.__reduce__()[1][0] if type(value) is steps else value
            answers.append(dumps(spell(value, library), version))
        except failure:
            return

    def profile(frame: types.FrameType, event: str, value: Any) -> None:
        if frame.f_code is ask and event == "return":
            note(value)
        if frame.f_code not in own or left[0] <= 0:
            return
        try:
            if event == "call":
                given[number(frame)] = arguments_of(frame, library), length(answers)
            elif event == "return" and value is not None and number(frame) in given:
                arguments, since = given[number(frame)]
                result = dumps(spell(value, library), version)
                data = dumps((place(frame.f_code), arguments, result), version)
                if length(data) <= most and result not in answers[since:]:
                    left[0] -= 1
                    write(fd, RETURNED + data)
        except failure:
            given.pop(number(frame), None)  # what cannot be written is compared with nothing

    return profile


def _place(code: types.CodeType) -> str:
    return f"{code.co_qualname}:{code.co_firstlineno}"


def _arguments(frame: types.FrameType, library: frozenset[type]) -> list[Any]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    values = frame.f_locals
    return taken_apart([values.get(name) for name in code.co_varnames[:count]], library)


def _library() -> frozenset[type]:
    """Classes of libraries whose values are known by their text."""
    names = {
        "decimal": ("Decimal",),
        "fractions": ("Fraction",),
        "datetime": ("date", "time", "datetime", "timedelta"),
        "collections": ("OrderedDict", "Counter", "deque"),
        "numpy": ("ndarray", "float64", "float32", "int64", "int32", "bool_"),
    }
    return frozenset(
        getattr(sys.modules[module], name) for module, kinds in names.items() if module in sys.modules for name in kinds
    )


def spelled(value: Any, library: frozenset[type] | None = None) -> Any:
    """A value in a form whose bytes are the same for equal values. What is not plain stays, and cannot be written."""
    library = _library() if library is None else library
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([spelled(item, library) for item in value])
    if kind is dict:
        return {spelled(key, library): spelled(item, library) for key, item in value.items()}
    if kind is set or kind is frozenset:
        return kind.__name__, sorted(marshal.dumps(spelled(item, library), _FORMAT) for item in value)
    return (kind.__name__, repr(value)) if kind in library else value


def taken_apart(values: Any, library: frozenset[type] | None = None) -> list[Any]:
    """What lists and tuples hold, however nested, in order; a copy may take its arguments in another form than the function.

    What is not plain is left out: a copy may be a method. Raises ValueError where there is much.
    """
    library = _library() if library is None else library
    left, found = list(values)[::-1], []
    while left:
        value = left.pop()
        kind = type(value)
        if kind is list or kind is tuple:
            left += value[::-1]
        elif kind in _PLAIN or kind in library:
            found.append(spelled(value, library))
        if len(found) + len(left) > _LEAVES:
            raise ValueError("too many")
    return found
