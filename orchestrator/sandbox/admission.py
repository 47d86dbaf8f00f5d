"""Who is next, and what fits: the two questions a pool asks before it gives a sandbox away.

`FairQueue` orders those who wait: higher priority first, callers in turn inside one priority, first come, first served inside
one caller. `Admission` is the host's memory, shared by all pools of an engine.

Left out: fairness by what a run costs. A caller's turn is one run, long or short.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.types import GiB

_AGEING = 16
"""Every so many turns the one that has waited longest goes, whatever its priority: low priority is slow, never starved."""
_OVERTAKES = 16
"""How many later runs may pass one that does not fit yet; then memory is kept free for it."""


class Waiting(Protocol):
    """What a queue needs to know of those who wait."""

    caller: str
    priority: int


_W = TypeVar("_W", bound=Waiting)


class _Level(Generic[_W]):
    """Everyone of one priority: callers take turns."""

    __slots__ = ("callers", "count")

    def __init__(self) -> None:
        self.callers: OrderedDict[str, OrderedDict[_W, None]] = OrderedDict()
        self.count = 0


class FairQueue(Generic[_W]):
    """Every operation costs O(log of the priorities in use), however many wait."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level[_W]] = {}
        self._order: list[int] = []
        """Heap of negated priorities; may name levels that are empty by now."""
        self._named: set[int] = set()
        """What `_order` holds."""
        self._arrivals: OrderedDict[_W, None] = OrderedDict()
        self._turns = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def __contains__(self, item: _W) -> bool:
        return item in self._arrivals

    def __iter__(self) -> Iterator[_W]:
        """In the order of arrival."""
        return iter(self._arrivals)

    def by_priority(self) -> dict[int, int]:
        """How many wait with each priority."""
        return {priority: level.count for priority, level in self._levels.items()}

    def push(self, item: _W) -> None:
        """Take a place at the end of its caller's queue."""
        level = self._levels.get(item.priority)
        if level is None:
            level = self._levels[item.priority] = _Level()
            if item.priority not in self._named:
                self._named.add(item.priority)
                heapq.heappush(self._order, -item.priority)
        line = level.callers.get(item.caller)
        if line is None:
            line = level.callers[item.caller] = OrderedDict()
        line[item] = None
        level.count += 1
        self._arrivals[item] = None

    def pop(self) -> _W:
        """Whose turn it is.

        Raises:
            IndexError: nobody waits.
        """
        if not self._arrivals:
            raise IndexError("Nobody waits.")
        self._turns += 1
        if len(self._levels) > 1 and self._turns % _AGEING == 0:
            item = next(iter(self._arrivals))
            self.remove(item)
            return item
        while (priority := -self._order[0]) not in self._levels:
            self._named.discard(priority)
            heapq.heappop(self._order)
        level = self._levels[priority]
        caller, line = next(iter(level.callers.items()))
        item = next(iter(line))
        level.callers.move_to_end(caller)
        self.remove(item)
        return item

    def remove(self, item: _W) -> None:
        """Leave, from wherever one stands.

        Raises:
            KeyError: it does not wait here.
        """
        del self._arrivals[item]
        level = self._levels[item.priority]
        line = level.callers[item.caller]
        del line[item]
        level.count -= 1
        if not line:
            del level.callers[item.caller]
        if not level.count:
            del self._levels[item.priority]


class Member(Protocol):
    """A pool, as far as the shared memory is concerned."""

    def poke(self) -> None:
        """Memory became free: look again."""

    def idle_memory_held(self, asking: Hashable) -> int:
        """Bytes of idle sandboxes that could be given up for `asking`."""

    def give_up(self, amount: int, asking: Hashable) -> int:
        """Close idle sandboxes until `amount` bytes are on their way back; says how many bytes are."""


class Admission:
    """A budget of memory: what running programs may use and what idle sandboxes hold stays below it.

    Whoever is refused is remembered. Others that fit may pass it, but not for ever: after a number of them everything that
    becomes free is kept for the one that was refused first.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        """Bytes."""
        self.used = 0
        """Bytes reserved now, sandboxes that are being destroyed included."""
        self.leaving = 0
        """The part of `used` that sandboxes hold which are being destroyed."""
        self._grants = 0
        self._refused: OrderedDict[Hashable, int] = OrderedDict()
        """Who was refused -> grants made until then."""
        self._members: list[Member] = []
        self._hungry: OrderedDict[Member, None] = OrderedDict()

    def join(self, member: Member) -> None:
        """Share this budget."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """No longer share it. Safe to call twice."""
        if member in self._members:
            self._members.remove(member)
        self._hungry.pop(member, None)

    def check(self, amount: int) -> None:
        """Refuse what can never fit.

        Raises:
            UsageError: `amount` bytes are more than the whole budget.
        """
        if amount > self.budget:
            raise UsageError(
                f"A run with a memory limit of {amount / GiB:.1f} GiB does not fit the {self.budget / GiB:.1f} GiB "
                "that all runs together may use.",
                remedy="Lower the run's memory limit, or make the engine with a larger `memory_budget`.",
            )

    def take(self, amount: int, member: Member, asking: Hashable = None) -> bool:
        """Reserve `amount` bytes if they are free; otherwise `member` is poked when something becomes free.

        `asking` names who waits for it, so that its turn comes; None stands for a sandbox that nobody asked for yet.
        """
        if self._may_pass(asking) and self.used + amount <= self.budget:
            self.used += amount
            self._grants += 1
            return True
        self._hungry[member] = None
        if asking is not None:
            self._refused.setdefault(asking, self._grants)
            self._make_room(amount, asking)
        return False

    def first(self) -> Hashable:
        """Who was refused first and still waits; None if nobody does."""
        return next(iter(self._refused), None)

    def _may_pass(self, asking: Hashable) -> bool:
        if not self._refused:
            return True
        if asking is None:
            return False
        first = self.first()
        return asking is first or self._grants - self._refused[first] < _OVERTAKES

    def _make_room(self, amount: int, asking: Hashable) -> None:
        """Close idle sandboxes where that is enough for the one that was refused first."""
        if asking is not self.first():
            return
        missing = amount - (self.budget - self.used) - self.leaving
        if missing <= 0 or sum(member.idle_memory_held(asking) for member in self._members) < missing:
            return
        for member in self._members:
            if missing > 0:
                missing -= member.give_up(missing, asking)

    def forget(self, asking: Hashable) -> None:
        """It has what it asked for, or went away."""
        if self._refused and self._refused.pop(asking, None) is not None:
            self._poke()

    def give(self, amount: int) -> None:
        """Give reserved bytes back."""
        self.used -= amount
        if self._hungry:
            self._poke()

    def _poke(self) -> None:
        hungry, self._hungry = self._hungry, OrderedDict()
        for member in hungry:
            member.poke()


def host_memory(share: float = 0.8) -> int:
    """Bytes that sandboxes may use together: a share of what this host has available now.

    Raises:
        PrerequisiteError: the kernel does not say.
    """
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(int(line.split()[1]) * 1024 * share)
    raise PrerequisiteError(
        "The kernel does not say how much memory is available.", remedy="Make the engine with `memory_budget=` in bytes."
    )
