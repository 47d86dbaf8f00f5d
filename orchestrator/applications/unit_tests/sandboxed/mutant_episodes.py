"""Runs in a sandbox: inputs for classes. Objects are made and used at random, seeded, and what the reference answers is recorded.

Arguments are guessed by annotations; those without one get values of one kind for as long as an object is in use. A call counts
where the reference answers it soon: it returns, or refuses by a `raise` of its own. Any other ends the use of its object, and is
taken back.

Left out: the examples of docstrings, and constructors that need more than plain values and objects of the same module.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import mutant_inputs  # type: ignore[import-not-found]
import mutant_objects  # type: ignore[import-not-found]

_STEPS = 10
"""Calls of one object."""
_OFTEN = 0.4
"""Part of the calls that go to the method under test."""


class _Slow(BaseException):
    """A call takes too long."""


class Episodes:
    """A wire on which questions are made up one by one, for objects that the answers bring."""

    def __init__(self, link: Any, classes: list[type], names: int, function: str, seed: int) -> None:
        owner, _, self._method = function.partition(".")
        self._link, self._classes, self._names = link, classes, names
        self._chance = random.Random(seed)
        target = next(cls for cls in classes if cls.__name__ == owner)
        self._usable = [cls for cls in classes if issubclass(cls, target)]
        self._questions = self._use()
        self._until = time.process_time() + mutant_inputs.SECONDS
        self._failed = False
        signal.signal(signal.SIGVTALRM, _stop)

    def serve(self) -> None:
        """Ask and record, to the end."""
        link = self._link
        link.wire = self
        with contextlib.suppress(_Slow):
            link.serve()
        if link.frames and link.frames[-1][0]:
            del link.frames[-1]  # a question that has no answer
        link.calls = len(link.frames) // 2

    def receive(self) -> bytes:
        """The next question. Raises EOFError after the last."""
        if self._link.truncated or len(self._link.frames) >= 2 * mutant_inputs.MOST or time.process_time() > self._until:
            raise EOFError
        frame = next(self._questions, None)
        if frame is None:
            raise EOFError
        signal.setitimer(signal.ITIMER_VIRTUAL, mutant_inputs.ONE)
        return frame

    def send(self, frame: bytes) -> None:
        """Look at an answer, which is the last that was recorded; one that nobody gave on purpose is taken back."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self._failed = frame[:1] != b"R" and len(self._link.frames) - 1 not in self._link.explicit
        if self._failed:
            del self._link.frames[-2:]

    def _use(self) -> Iterator[bytes]:
        for _ in range(mutant_inputs.TRIES):
            cls = self._chance.choice(self._usable)
            kind = self._chance.choice(["int", "int", "str", "float"])
            before = len(self._link.exports)
            yield self._made(cls, kind)
            if self._failed or len(self._link.exports) == before:
                continue
            held = self._link.exports[-1]
            for _ in range(_STEPS):
                question = self._step(cls, held, kind)
                if question is None:
                    break
                yield question
                if self._failed:
                    break

    def _made(self, cls: type, kind: str) -> bytes:
        members = list(getattr(cls, "__members__", ()))
        if members:
            return self._operate("get", self._classes.index(cls), self._chance.choice(members))
        args = self._arguments(cls, kind) or ()
        return bytes(self._link.question(self._names + self._classes.index(cls), args, {}))

    def _operate(self, what: str, thing: Any, name: str, *args: Any) -> bytes:
        return bytes(self._link.question(self._names + len(self._classes), (what, thing, name, *args), {}))

    def _step(self, cls: type, held: Any, kind: str) -> bytes | None:
        """A call of a method, by an operator where it is one; or a look at an attribute."""
        defined = {name for one in cls.__mro__ if one in self._classes for name in vars(one)}
        names = sorted(name for name in defined if not name.startswith("_") or _operator(name))
        names += sorted(name for name in getattr(held, "__dict__", ()) if not name.startswith("_"))
        if not names and not self._method:
            return None
        name = self._method if self._method and self._chance.random() < _OFTEN else self._chance.choice(names or [self._method])
        found = inspect.getattr_static(held, name, None)
        if isinstance(found, staticmethod | classmethod):
            return self._operate("call", self._classes.index(cls), name, *(self._arguments(getattr(cls, name), kind) or ()))
        if not inspect.isfunction(found):
            return self._operate("get", held, name)
        operation = _operator(name)
        args = self._arguments(getattr(held, name), kind) or ()
        if operation:
            return self._operate("op", held, operation, *args)
        # A method that only other methods call is called by them.
        return self._operate("get", held, name) if name.startswith("__") else self._operate("call", held, name, *args)

    def _arguments(self, called: Any, kind: str) -> tuple[Any, ...] | None:
        try:
            parameters = list(inspect.signature(called).parameters.values())
        except (TypeError, ValueError):
            return None
        args: list[Any] = []
        for one in parameters:
            if one.kind is one.VAR_POSITIONAL:
                args += [self._argument(one, kind) for _ in range(self._chance.randrange(4))]
            elif one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
                if one.default is not one.empty and self._chance.random() < 0.4:
                    break
                args.append(self._argument(one, kind))
        return tuple(args)

    def _argument(self, parameter: inspect.Parameter, kind: str) -> Any:
        text = str(getattr(parameter.annotation, "__name__", parameter.annotation))
        own = [cls for cls in self._classes if cls.__name__ in text] if parameter.annotation is not parameter.empty else []
        if own or (parameter.name == "other" and self._chance.random() < 0.8):
            held = [one for one in self._link.exports if isinstance(one, tuple(own or self._usable))]
            if held:
                return self._chance.choice(held[-20:])
        return self._chance.choice(mutant_inputs.pool(parameter) or mutant_inputs.GUESSES[kind])


def _operator(name: str) -> str:
    """The operation by which a method with underscores is called; "" where there is none."""
    return next((one for one in mutant_objects.SAFE if name == f"__{one.rstrip('_')}__"), "")


def _stop(*_: Any) -> None:
    raise _Slow
