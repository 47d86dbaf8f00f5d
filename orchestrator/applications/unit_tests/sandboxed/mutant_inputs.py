"""Runs in a sandbox: inputs that distinguish mutants from the reference, to estimate which mutants are equivalent to it.

They are what the task's own tests and the examples in the docstring call the function with, seeded variations of those, and where
there are none, guesses by the annotations. An input counts only where the reference answers it soon: it returns, or refuses with
a `raise` of its own.

Left out: functions that take functions, for which only calls by the tests under judgement decide.
"""

from __future__ import annotations

import ast
import contextlib
import io
import random
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from plain import values as plain  # type: ignore[import-not-found]

MOST = 250
"""Inputs."""
_OF_TESTS = 100
TRIES = 1500
SECONDS = 0.5
"""CPU time to find them in."""
ONE = 0.02
"""CPU seconds that the reference may take for an input that was made up."""
_LARGE = 4096
"""Bytes of an input that is varied."""
GUESSES: dict[str, list[Any]] = {
    "int": [0, 1, 2, 3, 5, 7, 10, 12, 100, -1, -4],
    "float": [0.0, 1.0, 0.5, 2.75, -1.5, 10.0],
    "bool": [True, False],
    "str": ["", "a", "ab", "abc", "Hello World", "aba", "123", "a b c", "AbC1", "()"],
    "list": [[], [1], [1, 2, 3], [3, 1, 2], [0, -1, 5, 5], ["a", "b"], [1.5, 2.5]],
    "dict": [{}, {"a": 1}, {"a": "b", "c": "d"}],
    "tuple": [(), (1, 2), (3, 1, 2)],
    "set": [set(), {1, 2}],
    "None": [None],
}


class _Slow(BaseException):
    pass


class Queue:
    """A wire on which prepared questions come, and from which answers go nowhere."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = iter(frames)

    def receive(self) -> bytes:
        """The next question. Raises EOFError after the last."""
        frame = next(self._frames, None)
        if frame is None:
            raise EOFError
        return frame

    def send(self, frame: bytes) -> None:
        """Drop an answer."""


def frames(names: dict[str, Any], job: dict[str, Any], is_explicit: Callable[[BaseException], bool]) -> list[bytes]:
    """Questions for the function of the job, the surest ones first."""
    number = [function["name"] for function in job["about"]["functions"]].index(job["function"])
    function = names[job["function"]]
    found: dict[bytes, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    until = time.process_time() + SECONDS

    def add(args: tuple[Any, ...], kwargs: dict[str, Any], most: int) -> bool:
        """Whether it is new, plain, and there is room."""
        if len(found) >= most or time.process_time() > until:
            return False
        try:
            data = plain.dumps((number, args, kwargs))
        except (TypeError, ValueError):
            return False
        if data in found:
            return False
        found[data] = plain.loads(data)[1:]  # a copy that the call cannot change
        return True

    def recorder(*args: Any, **kwargs: Any) -> Any:
        add(args, kwargs, _OF_TESTS)
        return function(*args, **kwargs)

    with contextlib.redirect_stdout(io.StringIO()):
        for source in job["trusted"]:
            with contextlib.suppress(BaseException):
                _run_tests(source, job["function"], names, recorder)
        for example in _examples(function):
            with contextlib.suppress(BaseException):
                exec(example, {**names, job["function"]: recorder})
        chance = random.Random(job["seed"])
        seeds = list(found.values())
        if not seeds:
            seeds = list(_guesses(function, chance))
            for args, kwargs in seeds:
                add(args, kwargs, MOST)
        for args, kwargs in seeds:
            add(*_with_defaults(function, args, kwargs), MOST)
        good = {data: value for data, value in found.items() if _answers(function, *value, is_explicit)}
        small = [value for data, value in good.items() if len(data) <= _LARGE and value[0]]
        for _ in range(TRIES if small else 0):
            if len(found) >= MOST or time.process_time() > until:
                break
            args, kwargs = chance.choice(small)
            place = chance.randrange(len(args))
            if add((*args[:place], _varied(args[place], chance), *args[place + 1 :]), kwargs, MOST):
                data, value = next(reversed(found.items()))
                if _answers(function, *value, is_explicit):
                    good[data] = value
                    small.append(value)  # to go further from there
    return [b"C" + data for data in good]


def _run_tests(source: str, name: str, names: dict[str, Any], recorder: Callable[..., Any]) -> None:
    module = types.ModuleType("candidate")
    module.__dict__.update({**names, name: recorder})
    sys.modules["candidate"] = module
    own: dict[str, Any] = {**module.__dict__, "__name__": "tests"}
    # A test that fails ends itself alone.
    for node in ast.parse(source).body:
        with contextlib.suppress(Exception):
            exec(compile(ast.Module([node], []), "tests", "exec"), own)
    if callable(own.get("check")):
        own["check"](recorder)
    for test, value in list(own.items()):
        if test.startswith("test") and isinstance(value, types.FunctionType):
            with contextlib.suppress(Exception):
                value()


def _examples(function: Any) -> list[str]:
    import doctest

    try:
        return [example.source for example in doctest.DocTestParser().get_examples(function.__doc__ or "")]
    except ValueError:
        return []


def _answers(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], is_explicit: Callable[[BaseException], bool]) -> bool:
    """Whether the reference returns soon, or refuses the input by a statement of its own."""

    def too_slow(*_: Any) -> None:
        raise _Slow

    args, kwargs = plain.loads(plain.dumps((args, kwargs)))
    before = signal.signal(signal.SIGVTALRM, too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, ONE)
    try:
        function(*args, **kwargs)
        return True
    except _Slow:
        return False
    except Exception as exc:
        return is_explicit(exc)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _guesses(function: Any, chance: random.Random) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    pools = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY) and parameter.default is not parameter.empty:
            continue
        pools.append(pool(parameter) or [value for values in GUESSES.values() for value in values])
    for _ in range(60):
        yield tuple(chance.choice(pool) for pool in pools), {}


def pool(parameter: Any) -> list[Any]:
    """Values of the kind that a parameter's annotation names first; none where it names none."""
    if parameter.annotation is parameter.empty:
        return []
    text = str(getattr(parameter.annotation, "__name__", parameter.annotation)).lower()
    places = {text.find(kind.lower()): values for kind, values in GUESSES.items() if kind.lower() in text}
    return places[min(places)] if places else []


def _with_defaults(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same call with what it leaves to defaults, so that those are varied too."""
    import inspect

    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return args, kwargs
    bound.apply_defaults()
    return bound.args, bound.kwargs


def _varied(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice([value - 1, value + 1, -value, 0, 1, 2, value // 2, value + chance.randint(2, 9)])
    if isinstance(value, float):
        return chance.choice([value + 1, value - 0.5, -value, 0.0, value / 2, round(value)])
    if isinstance(value, str):
        place = chance.randint(0, len(value))
        letters = value or "aA1 "
        return chance.choice(
            [
                "",
                value[:place],
                value[place:],
                value[::-1],
                value.swapcase(),
                value[:place] + chance.choice(letters) + value[place:],
                value[:place] + chance.choice("aZ 0,(") + value[place + 1 :],
                "".join(chance.sample(value, len(value))),
            ]
        )
    if isinstance(value, list | tuple):
        items = list(value)
        place = chance.randrange(len(items)) if items else 0
        choices = [[], items[::-1], items[:place], items[place:], chance.sample(items, len(items))]
        if items:
            varied = _varied(items[place], chance)
            choices += [[*items[:place], varied, *items[place + 1 :]], [*items, varied], [*items, items[place]]]
        return type(value)(chance.choice(choices)) if type(value) in (list, tuple) else value
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        return chance.choice([rest, {**value, key: _varied(value[key], chance)}])
    return value
