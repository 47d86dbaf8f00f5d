"""Which top-level statements of an answer belong to the program: decided by what they do, never by how things are called.

From what is asked for outward, a statement stays if

- it binds a name that a statement which stays needs: the last definition of a function, every binding of a value, and for
  what is executed while the module is imported, those that stand before it;
- it reads or changes such a name, itself or through a function that it calls; a module, function, class or constant cannot be
  changed by being read (`effects` says what does);
- the name is bound by a statement that stays, so other names for a value need no rule of their own.

What else there is goes: output, assertions, main blocks, and demonstrations. A demonstration calls the entry point, reads
standard input or uses what one made; it stays only where it stores into a name that is needed.

Each name and each statement is looked at once, so the work grows with the size of the answer.

Left out: the choice of the entry point's own definition (`candidates`, `suites`).
"""

from __future__ import annotations

import ast
import builtins
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.llm.extraction.effects import ANYTHING, is_constant, says
from orchestrator.llm.extraction.pieces import DEFINITIONS, Piece, is_empty, is_main
from orchestrator.sources import imports, is_future


class Pool:
    """The statements of one block, indexed by the names that they concern."""

    def __init__(self, pieces: Sequence[Piece], problem: str = "") -> None:
        self.pieces = list(pieces)
        self.problem = problem
        """What it means to take something from here."""
        self.place = {id(piece): place for place, piece in enumerate(self.pieces)}
        self.binders = _index(self.pieces, lambda piece: piece.effects.binds)
        self.readers = _index(self.pieces, lambda piece: piece.effects.reads)
        self.callers = _index(self.pieces, lambda piece: piece.effects.later)
        self.changers = _index(self.pieces, lambda piece: piece.effects.changes)
        self.changers_later = _index(self.pieces, lambda piece: piece.effects.changes_later)
        self.receivers = _index(self.pieces, lambda piece: piece.effects.given)
        self._values: dict[str, bool] = {}
        self.modules: dict[str, set[str]] = defaultdict(set)
        for piece in self.pieces:
            for module in _modules(piece.node):
                self.modules[module] |= piece.binds

    def is_value(self, name: str) -> bool:
        """Is the name bound to something that whoever reads it may change?"""
        if name not in self._values:
            found = self.binders.get(name, [])
            fixed = all(isinstance(piece.node, DEFINITIONS) or piece.is_import or is_constant(piece.node) for piece in found)
            self._values[name] = not fixed or name in self.changers_later
        return self._values[name]


def _index(pieces: Iterable[Piece], names: Callable[[Piece], set[str]]) -> dict[str, list[Piece]]:
    index: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        for name in names(piece):
            index[name].append(piece)
    return index


def _modules(node: ast.stmt) -> set[str]:
    """The top-level modules that a statement imports from."""
    if not isinstance(node, ast.Import | ast.ImportFrom | ast.Try):
        return set()
    return {one.module.partition(".")[0] for one in imports(node)}


@dataclass
class _Bindings:
    """The statements of a block that bind one name, in order."""

    pieces: list[Piece]
    places: list[int]
    taken: int = 0
    """How many were needed already."""

    def needed(self, place: int | None) -> list[Piece]:
        """Those that a reader at a place needs, or one at the end: the last function, or every binding of a value."""
        count = len(self.pieces) if place is None else max(1, bisect_left(self.places, place))
        if isinstance(self.pieces[count - 1].node, DEFINITIONS):
            return [self.pieces[count - 1]]
        fresh = self.pieces[self.taken : count]
        self.taken = max(self.taken, count)
        return fresh


@dataclass
class Keeper:
    """What stays, built up from the statements that `keep` was called with."""

    pools: Sequence[Pool]
    """Where definitions are looked for, in this order."""
    entry: frozenset[str] = frozenset()
    """Calling one of these is a demonstration."""
    dropped: Callable[[Piece], bool] = lambda piece: False
    """Statements that do not stay for what they change."""
    problems: list[str] = field(default_factory=list)
    given: frozenset[str] = frozenset()
    """Names that come from elsewhere."""

    def __post_init__(self) -> None:
        self._kept: dict[int, Piece] = {}
        self._home: dict[int, Pool] = {id(piece): pool for pool in self.pools for piece in pool.pieces}
        self._demos = {id(piece) for pool in self.pools for piece in demonstrations(pool, self.entry)}
        self._work: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._done: set[tuple[object, ...]] = set()
        self._found: dict[tuple[int, str], _Bindings] = {}

    def keep(self, piece: Piece) -> None:
        """This statement stays, with all that it needs."""
        self._later(self._keep, piece)
        while self._work:
            act, arguments = self._work.pop()
            act(*arguments)

    def want(self, name: str) -> None:
        """This name is needed once the module is imported."""
        self._later(self._want, name, None)
        while self._work:
            act, arguments = self._work.pop()
            act(*arguments)

    def __contains__(self, piece: Piece) -> bool:
        return id(piece) in self._kept

    def kept(self) -> list[Piece]:
        """What stays: first what the later pools gave, then the first pool's own."""
        ordered = [*self.pools[:0:-1], self.pools[0]]
        return [piece for pool in ordered for piece in pool.pieces if id(piece) in self._kept]

    def missing(self) -> set[str]:
        """Names that are needed and that no pool binds."""
        wanted = {name for piece in self._kept.values() for name in piece.effects.uses}
        bound = {name for piece in self._kept.values() for name in piece.binds}
        return wanted - bound

    def _later(self, act: Callable[..., None], *arguments: object) -> None:
        key = (act.__name__, *(id(item) if isinstance(item, Piece | Pool) else item for item in arguments))
        if key not in self._done:
            self._done.add(key)
            self._work.append((act, arguments))

    def _keep(self, piece: Piece) -> None:
        pool = self._home[id(piece)]
        self._kept[id(piece)] = piece
        if pool.problem:
            self.problems.append(pool.problem)
        for name in piece.binds:
            self._later(self._watch, pool, name)
        for name in piece.effects.reads:
            self._later(self._want, name, piece)
        for name in piece.effects.later:
            self._later(self._want, name, None)
        for module in _modules(piece.node) if piece.is_import or isinstance(piece.node, ast.Try) else ():
            for name in pool.modules[module]:
                self._later(self._watch, pool, name)
        self._later(self._watch, pool, ANYTHING)
        if piece.effects.by_text:
            self._later(self._whole, pool)

    def _whole(self, pool: Pool) -> None:
        """Any name of a block may be asked for."""
        for piece in pool.pieces:
            if piece.binds:
                self._offer_call(piece)

    def _offer(self, piece: Piece) -> None:
        """This statement changes something that is needed."""
        if not (self.dropped(piece) or is_main(piece.node) or says(piece.node) or isinstance(piece.node, ast.Assert)):
            self._later(self._keep, piece)

    def _offer_call(self, piece: Piece) -> None:
        if id(piece) not in self._demos:
            self._offer(piece)

    def _want(self, name: str, reader: Piece | None) -> None:
        """The name is needed: while `reader` is executed, or by a function that is called later."""
        if name in self.given:
            return
        # Another block does not replace what Python itself has.
        for pool in self.pools[:1] if hasattr(builtins, name) else self.pools:
            bindings = self._bindings(pool, name)
            if bindings.pieces:
                for piece in bindings.needed(self._place_in(pool, reader)):
                    self._later(self._keep, piece)
                self._later(self._watch, pool, name)
                return
        self._later(self._watch, self.pools[0], name)

    def _place_in(self, pool: Pool, reader: Piece | None) -> int | None:
        return pool.place[id(reader)] if reader is not None and self._home[id(reader)] is pool else None

    def _bindings(self, pool: Pool, name: str) -> _Bindings:
        """What binds a name in a block: a demonstration or an empty function only where nothing else does."""
        key = (id(pool), name)
        if key not in self._found:
            found = [piece for piece in pool.binders.get(name, ()) if not is_main(piece.node)]
            found = [piece for piece in found if id(piece) not in self._demos] or found
            found = [piece for piece in found if not is_empty(piece.node)] or found
            self._found[key] = _Bindings(found, [pool.place[id(piece)] for piece in found])
        return self._found[key]

    def _watch(self, pool: Pool, name: str) -> None:
        """Whatever changes what this name stands for is needed too."""
        binders = pool.binders.get(name, ())
        from_elsewhere = all(binder.is_import for binder in binders)
        for piece in pool.changers.get(name, ()):
            # To be decorated by a module, or derived from one of its classes, changes nothing in it.
            if isinstance(piece.node, DEFINITIONS) and (from_elsewhere or name in piece.binds):
                continue
            if name == ANYTHING:
                self._offer_call(piece)
            else:
                self._offer(piece)
        for piece in pool.changers_later.get(name, ()):
            self._changer(pool, piece)
        if pool.is_value(name):
            for piece in pool.readers.get(name, ()):
                self._offer_call(piece)
            for piece in pool.callers.get(name, ()):
                self._changer(pool, piece)
        elif name not in self.entry:
            for piece in pool.receivers.get(name, ()):
                self._offer_call(piece)

    def _changer(self, pool: Pool, piece: Piece) -> None:
        """A statement defines something that may change what is needed when it is called: who calls it?"""
        for name in piece.binds - self.entry:
            self._later(self._calls, pool, name)

    def _calls(self, pool: Pool, name: str) -> None:
        for piece in pool.readers.get(name, ()):
            if name not in piece.binds or not isinstance(piece.node, DEFINITIONS):
                self._offer_call(piece)
        for piece in pool.callers.get(name, ()):
            self._changer(pool, piece)


def demonstrations(pool: Pool, entry: frozenset[str]) -> list[Piece]:
    """Statements that call the entry point, read standard input, or use what such a statement made, definitions apart."""
    if not entry:
        return []
    found: list[Piece] = []
    demo_functions = _demo_functions(pool, entry)
    made: set[str] = set()
    for piece in pool.pieces:
        if isinstance(piece.node, DEFINITIONS):
            made -= piece.binds
            continue
        calls = piece.effects.calls
        if calls & (entry | demo_functions | {"input"}) or piece.effects.reads & made:
            found.append(piece)
            made |= piece.binds - entry
        else:
            made -= piece.binds
    return found


def _demo_functions(pool: Pool, entry: frozenset[str]) -> set[str]:
    """Functions and classes that call the entry point, themselves or through others."""
    callers = _index(pool.pieces, lambda piece: piece.effects.calls_later)
    found: set[str] = set()
    waiting = [*entry, "input"]
    while waiting:
        for piece in callers.get(waiting.pop(), ()):
            names = (piece.binds if isinstance(piece.node, DEFINITIONS) else set()) - entry - found
            found |= names
            waiting += names
    return found


def why_dropped(piece: Piece, entry_point: str, is_test: Callable[[ast.stmt], bool]) -> str:
    """A phrase for a statement that goes."""
    if piece.is_import:
        return "dropped stray imports"
    if entry_point in piece.binds:
        return "kept the last of several definitions"
    if is_main(piece.node):
        return "dropped the main block"
    if is_test(piece.node) or isinstance(piece.node, ast.Assert):
        return "dropped tests"
    return "dropped code that the entry point does not use"


def is_star_import(node: ast.stmt) -> bool:
    """Does it bind names that cannot be known, or change how the module is read?"""
    return is_future(node) or (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
