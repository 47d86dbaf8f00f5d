"""Which top-level statements of an answer belong to the program: decided by what they do, never by how things are called.

From what is asked for outward, a statement stays if

- it binds a name that a statement which stays needs: the last definition of a function, every binding of a value, and for
  what is executed while the module is imported, those that stand before it;
- it reads or changes such a name, itself or through a function that it calls; a module, function, class or constant cannot be
  changed by being read (`effects` says what does);
- the name is bound by a statement that stays, so other names for a value need no rule of their own.

A name of one block stands for what a block before it defines where its own does not, so what changes a table, a class or a
function belongs to it in whichever block it stands. What another block changes counts only if it says so (a store, a call for
no value, a decorator), is no demonstration, and is no quotation: lines of the block that defines the name, or a line of a body
with names that nothing binds.

What else there is goes: output, assertions, main blocks, and demonstrations. A demonstration calls the entry point, reads
standard input or uses what one made; it stays only where it stores into a name that is needed.

Each name and each statement is looked at once, so the work grows with the size of the answer.

Left out: the choice of the entry point's own definition (`candidates`, `suites`).
"""

from __future__ import annotations

import ast
import builtins
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from orchestrator.llm.extraction.effects import ANYTHING, OUTPUT, is_constant, says
from orchestrator.llm.extraction.pieces import DEFINITIONS, Piece, is_empty, is_main
from orchestrator.sources import imports, is_future


class Pool:
    """The statements of one block, indexed by the names that they bind."""

    def __init__(self, pieces: Sequence[Piece], number: int = 0, problem: str = "") -> None:
        self.pieces = list(pieces)
        self.number = number
        """Its place among the blocks."""
        self.problem = problem
        """What it means to take something from here."""
        self.place = {id(piece): place for place, piece in enumerate(self.pieces)}
        self.binders = _index(self.pieces, lambda piece: piece.effects.binds)
        self.provides = {name for name, found in self.binders.items() if not all(_renews(piece, name) for piece in found)}
        """Names that it binds to something new."""
        self.modules: dict[str, set[str]] = defaultdict(set)
        for piece in self.pieces:
            for module in _modules(piece.node):
                self.modules[module] |= piece.binds

    def is_fixed(self, name: str) -> bool:
        """Is the name bound to nothing that whoever reads it may change?"""
        found = self.binders.get(name, [])
        return all(isinstance(piece.node, DEFINITIONS) or piece.is_import or is_constant(piece.node) for piece in found)

    @cached_property
    def defines(self) -> set[str]:
        """Names of its functions and classes."""
        return {piece.node.name for piece in self.pieces if isinstance(piece.node, DEFINITIONS) and not is_empty(piece.node)}

    @cached_property
    def lines(self) -> set[str]:
        """Its lines, without their indentation."""
        return {line for piece in self.pieces for line in _lines(piece)}


def _index(pieces: Iterable[Piece], names: Callable[[Piece], set[str]]) -> dict[str, list[Piece]]:
    index: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        for name in names(piece):
            index[name].append(piece)
    return index


def _lines(piece: Piece) -> Iterator[str]:
    return (line.strip() for line in piece.source.split("\n") if line.strip())


def _renews(piece: Piece, name: str) -> bool:
    """`total = lru_cache(total)`, `K += 1`: it binds the name anew, from what it stood for; by calling it is another matter."""
    effects = piece.effects
    return name in effects.binds and name in effects.reads and name not in effects.calls


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


Meaning = tuple[Pool | None, str]
"""A name, and the block that binds it: two blocks may mean two things by one name."""


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
        self._ordered = sorted(self.pools, key=lambda pool: pool.number)
        self._home: dict[int, Pool] = {id(piece): pool for pool in self.pools for piece in pool.pieces}
        self._providers: dict[str, list[Pool]] = defaultdict(list)
        self._binding: dict[str, list[Pool]] = defaultdict(list)
        for pool in self.pools:
            for name in pool.binders:
                self._binding[name].append(pool)
        self._first_bound: dict[str, int] = {}
        for pool in self._ordered:
            for name in pool.provides:
                self._providers[name].append(pool)
            for name in {name for piece in pool.pieces for name in piece.effects.binds | piece.effects.changes_later}:
                self._first_bound.setdefault(name, pool.number)
        self._own_output = frozenset(name for name in OUTPUT if any(self._defines(pool, name) for pool in self.pools))
        self._readers = self._by_meaning(lambda piece: piece.effects.reads)
        self._callers = self._by_meaning(lambda piece: piece.effects.later)
        self._changers = self._by_meaning(self._changes)
        self._changers_later = self._by_meaning(lambda piece: piece.effects.changes_later)
        self._receivers = self._by_meaning(self._given)
        self._demos = self._demonstrations()
        self._work: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._done: set[tuple[object, ...]] = set()
        self._found: dict[Meaning, _Bindings] = {}

    # Names and what they mean

    def _meant(self, pool: Pool, name: str) -> Pool | None:
        """The block that binds what a name stands for in a block: itself, or the nearest before it."""
        if name == ANYTHING or name in pool.provides:
            return pool
        found = self._providers.get(name, [])
        before = bisect_left(found, pool.number, key=lambda one: one.number)
        return found[before - 1] if before else None

    def _by_meaning(self, names: Callable[[Piece], set[str]]) -> dict[Meaning, list[Piece]]:
        index: dict[Meaning, list[Piece]] = defaultdict(list)
        for pool in self._ordered:
            for piece in pool.pieces:
                for name in names(piece):
                    index[self._meant(pool, name), name].append(piece)
        return index

    def _defines(self, pool: Pool, name: str) -> bool:
        return any(not piece.is_import for piece in pool.binders.get(name, ()))

    def _given(self, piece: Piece) -> set[str]:
        """What it calls for no value and passes there; `print` counts where the program has its own."""
        shown = piece.effects.shown
        return piece.effects.given.union(*(shown[name] for name in self._own_output & shown.keys()))

    def _changes(self, piece: Piece) -> set[str]:
        """What it changes, names that it binds anew from what another block bound them to among them."""
        pool = self._home[id(piece)]
        renewed = {name for name in piece.binds - pool.provides if _renews(piece, name)}
        return piece.effects.changes | renewed

    def _is_value(self, pool: Pool | None, name: str) -> bool:
        """Is the name bound to something that whoever reads it may change?"""
        return (pool is not None and not pool.is_fixed(name)) or (pool, name) in self._changers_later

    # What stays

    def keep(self, piece: Piece) -> None:
        """This statement stays, with all that it needs."""
        self._later(self._keep, piece)
        self._finish()

    def want(self, name: str) -> None:
        """This name is needed once the module is imported."""
        self._later(self._want, name, None)
        self._finish()

    def prepare(self) -> None:
        """What the blocks before the first pool's set up: how the module is read, the interpreter, and names that are lacking.

        A block that defines what the first pool defines is a draft of it, with a setting of its own.
        """
        first = self.pools[0]
        lacking = any(not hasattr(builtins, name) for name in self.missing())
        for pool in self._ordered:
            if pool.number >= first.number or pool.defines & first.defines:
                continue
            for piece in pool.pieces:
                if is_future(piece.node) or (lacking and is_star_import(piece.node)):
                    self._later(self._keep, piece)
            self._later(self._watch, pool, ANYTHING)
        self._finish()

    def _finish(self) -> None:
        while self._work:
            act, arguments = self._work.pop()
            act(*arguments)

    def __contains__(self, piece: Piece) -> bool:
        return id(piece) in self._kept

    def kept(self) -> list[Piece]:
        """What stays, in the order of the answer; what a statement needs while it is executed goes before it."""
        ordered = [piece for pool in self._ordered for piece in pool.pieces if id(piece) in self._kept]
        binders: dict[str, dict[Pool, deque[Piece]]] = defaultdict(dict)
        for piece in ordered:
            pool = self._home[id(piece)]
            for name in piece.binds & pool.provides:
                binders[name].setdefault(pool, deque()).append(piece)
        seen: set[int] = set()
        done: list[Piece] = []
        for piece in ordered:
            open_ones = [(piece, self._needed_before(piece, binders))] if id(piece) not in seen else []
            seen.add(id(piece))
            while open_ones:
                item, needs = open_ones[-1]
                need = next((need for need in needs if id(need) not in seen), None)
                if need is None:
                    done.append(item)
                    open_ones.pop()
                else:
                    seen.add(id(need))
                    open_ones.append((need, self._needed_before(need, binders)))
        return done

    def _needed_before(self, piece: Piece, binders: dict[str, dict[Pool, deque[Piece]]]) -> Iterator[Piece]:
        """What binds the names that a statement needs: in other blocks, and in its own before it. Each is taken out once.

        A function may need its names as soon as it is defined, for a decorator may call it; its own block knows better.
        """
        home = self._home[id(piece)]
        place = home.place[id(piece)]
        for name in sorted(piece.effects.uses & binders.keys()):
            for pool, rest in list(binders[name].items()):
                while rest and (pool is not home or pool.place[id(rest[0])] < place):
                    yield rest.popleft()
                if not rest:
                    binders[name].pop(pool, None)

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
            self._later(self._watch, self._meant(pool, name), name)
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
        output = says(piece.node, self._own_output)
        if not (self.dropped(piece) or is_main(piece.node) or output or isinstance(piece.node, ast.Assert)):
            self._later(self._keep, piece)

    def _offer_call(self, piece: Piece) -> None:
        if id(piece) not in self._demos:
            self._offer(piece)

    def _want(self, name: str, reader: Piece | None) -> None:
        """The name is needed: while `reader` is executed, or by a function that is called later."""
        if name in self.given:
            return
        for pool in self._binding.get(name, ()):
            if hasattr(builtins, name) and pool is not self.pools[0]:
                continue  # another block does not replace what Python itself has
            bindings = self._bindings(pool, name)
            if bindings.pieces:
                for piece in bindings.needed(self._place_in(pool, reader)):
                    self._later(self._keep, piece)
                self._later(self._watch, self._meant(pool, name), name)
                if name in pool.provides:
                    return
        self._later(self._watch, None, name)

    def _place_in(self, pool: Pool, reader: Piece | None) -> int | None:
        return pool.place[id(reader)] if reader is not None and self._home[id(reader)] is pool else None

    def _bindings(self, pool: Pool, name: str) -> _Bindings:
        """What binds a name in a block: a demonstration or an empty function only where nothing else does."""
        if (pool, name) not in self._found:
            found = [piece for piece in pool.binders.get(name, ()) if not is_main(piece.node)]
            found = [piece for piece in found if id(piece) not in self._demos] or found
            found = [piece for piece in found if not is_empty(piece.node)] or found
            self._found[pool, name] = _Bindings(found, [pool.place[id(piece)] for piece in found])
        return self._found[pool, name]

    def _watch(self, pool: Pool | None, name: str) -> None:
        """Whatever changes what this name stands for is needed too."""
        binders = pool.binders.get(name, ()) if pool else ()
        from_elsewhere = all(binder.is_import for binder in binders)
        for piece in self._concerned(self._changers, pool, name):
            # To be decorated by a module, or derived from one of its classes, changes nothing in it.
            if isinstance(piece.node, DEFINITIONS) and (from_elsewhere or name in piece.binds):
                continue
            if name == ANYTHING:
                self._offer_call(piece)
            else:
                self._offer(piece)
        for piece in self._changers_later.get((pool, name), ()):
            self._changer(piece, sure=True)
        if self._is_value(pool, name):
            for piece in self._concerned(self._readers, pool, name):
                self._offer_call(piece)
            for piece in self._callers.get((pool, name), ()):
                self._changer(piece, sure=False)
        elif name not in self.entry:
            for piece in self._concerned(self._receivers, pool, name):
                self._offer_call(piece)

    def _concerned(self, index: dict[Meaning, list[Piece]], pool: Pool | None, name: str) -> list[Piece]:
        """The statements that concern a name of a block, those of other blocks as far as they count."""
        return [piece for piece in index.get((pool, name), ()) if self._counts(piece, pool, name)]

    def _counts(self, piece: Piece, pool: Pool | None, name: str) -> bool:
        """Does a statement that concerns a name of a block stand in it or in the first pool, or say that it changes something?"""
        home, first = self._home[id(piece)], self.pools[0]
        if home is not first and piece.binds & self.entry - self._changes(piece):
            return False
        if home is pool or home is first:
            return True
        acts = name in self._changes(piece) | self._given(piece) or _calls_for_nothing(piece.node)
        acts = acts or (isinstance(piece.node, DEFINITIONS) and name in piece.effects.reads)
        if not acts or id(piece) in self._demos:
            return False
        # Behind the entry point, what concerns a module is set up for a demonstration.
        module = pool is not None and all(binder.is_import for binder in pool.binders.get(name, ()))
        return not (module and home.number > first.number) and not self._is_quotation(piece, pool)

    def _is_quotation(self, piece: Piece, pool: Pool | None) -> bool:
        """Lines of the program that are shown again, or a line of a body, whose names nothing binds."""
        if pool is not None and all(line in pool.lines for line in _lines(piece)):
            return True
        number = self._home[id(piece)].number
        unbound = {name for name in piece.effects.reads if self._first_bound.get(name, number + 1) > number}
        return any(not hasattr(builtins, name) for name in unbound)

    def _changer(self, piece: Piece, *, sure: bool) -> None:
        """A statement defines something that changes what is needed when it is called, or may: who calls it?"""
        pool = self._home[id(piece)]
        for name in piece.binds - self.entry:
            self._later(self._calls, self._meant(pool, name), name, sure)

    def _calls(self, pool: Pool | None, name: str, sure: bool) -> None:
        for piece in self._concerned(self._readers, pool, name):
            if name in piece.binds and isinstance(piece.node, DEFINITIONS):
                continue
            # What fills a table stays, though it shows the table as well.
            if sure and not self._demos.get(id(piece)):
                self._offer(piece)
            else:
                self._offer_call(piece)
        for piece in self._callers.get((pool, name), ()):
            self._changer(piece, sure=sure)

    def _demonstrations(self) -> dict[int, bool]:
        """Statements that call the entry point, read standard input, or use what such a statement made, definitions apart.

        Returns:
            For each, whether it needs the input.
        """
        found: dict[int, bool] = {}
        if not self.entry:
            return found
        calling, reading = self._reaching(self.entry), self._reaching({"input"})
        made: dict[str, bool] = {}
        for pool in self._ordered:
            for piece in pool.pieces:
                calls, used = piece.effects.calls, piece.effects.reads & made.keys()
                meant = {(self._meant(pool, name), name) for name in calls}
                of_input = "input" in calls or not meant.isdisjoint(reading) or any(made[name] for name in used)
                shows = of_input or used or calls & self.entry or not meant.isdisjoint(calling)
                for name in piece.binds:
                    made.pop(name, None)
                if shows and not isinstance(piece.node, DEFINITIONS):
                    found[id(piece)] = of_input
                    made |= dict.fromkeys(piece.binds - self.entry, of_input)
        return found

    def _reaching(self, names: Collection[str]) -> set[Meaning]:
        """Functions and classes that call one of these, themselves or through others."""
        callers = self._by_meaning(lambda piece: piece.effects.calls_later)
        by_name: dict[str, list[Piece]] = defaultdict(list)
        for (_, name), pieces in callers.items():
            by_name[name] += pieces
        found: set[Meaning] = set()
        waiting = [piece for name in names for piece in by_name[name]]
        while waiting:
            piece = waiting.pop()
            pool = self._home[id(piece)]
            for name in (piece.binds if isinstance(piece.node, DEFINITIONS) else set()) - self.entry:
                meaning = (self._meant(pool, name), name)
                if meaning not in found:
                    found.add(meaning)
                    waiting += callers[meaning]
        return found


def _calls_for_nothing(node: ast.stmt) -> bool:
    """`list(map(rows.append, data))`, `[add(x) for x in data]`; a bare `2 * n` does nothing."""
    return isinstance(node, ast.Expr) and any(isinstance(item, ast.Call) for item in ast.walk(node))


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
