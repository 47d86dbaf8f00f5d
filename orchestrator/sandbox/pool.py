"""Warm pool: sandboxes that are started before anyone asks for them.

Starting a container and importing torch takes seconds; a run often takes milliseconds. The pool keeps `size` sandboxes ready
and lends each to one run at a time, until the sandbox says that it is spent; then it is destroyed, never cleaned, and
replaced. Who asks while none is free waits in a bounded queue (`admission.py` has its order and the memory that all share).
Nothing here polls: every step is taken when something was asked, came up, ended or failed.

Left out: what a run is worth, and sending a run again (`engine.engine`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from orchestrator.errors import OrchestratorError, PoolExhausted, SandboxUnavailable, UserError
from orchestrator.sandbox.admission import Admission, FairQueue, host_memory
from orchestrator.sandbox.base import Maker, Place
from orchestrator.sandbox.metrics import Metrics
from orchestrator.types import MiB

IDLE_MEMORY = 256 * MiB
"""What a sandbox without a run is counted with: its agent, and interpreters that have numpy and torch imported."""
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
"""Seconds until a failed start is tried again: doubled with each failure in a row."""
GIVE_UP = 5
"""Failed starts in a row after which waiting callers get an error. Short troubles of an engine, a restart say, pass unnoticed."""
_ASIDE = 4
"""How many runs that do not fit the free memory yet may stand aside while others pass."""
_CLOSE_TIMEOUT = 30.0
"""Seconds that closing a pool waits for its sandboxes before the provider destroys what is left."""

P = TypeVar("P", bound=Place)


class _Worker(Generic[P]):
    """A sandbox that came up, and what the pool knows of it."""

    __slots__ = ("memory", "retired", "runs", "sandbox", "started")

    def __init__(self, sandbox: P, memory: int) -> None:
        self.sandbox = sandbox
        self.memory = memory
        """Bytes reserved for it now."""
        self.runs = 0
        self.started = time.monotonic()
        self.retired = False


class Lease(Generic[P]):
    """One caller's claim on a sandbox, from asking to giving it back. Made by `Pool.acquire`."""

    __slots__ = ("_future", "_pool", "_timer", "_worker", "asked", "caller", "fresh", "granted", "memory", "priority", "timeout")

    def __init__(self, pool: Pool[P], memory: int, caller: str, priority: int, timeout: float | None, fresh: bool) -> None:
        self._pool = pool
        self.memory, self.caller, self.priority, self.timeout, self.fresh = memory, caller, priority, timeout, fresh
        self.asked = self.granted = 0.0
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._worker: _Worker[P] | None = None

    async def __aenter__(self) -> P:
        self._pool._ask(self)
        if self._worker is None:
            assert self._future is not None
            try:
                await self._future
            except BaseException as exc:
                self._pool._went_away(self, exc)
                raise
            assert self._worker is not None
        return self._worker.sandbox

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        self._pool._give_back(self, exc)


class Pool(Generic[P]):
    """Keeps `size` sandboxes of one provider warm. Use it as an async context manager.

    `max_queued` callers may stand in the queue; more wait outside until there is a place. `refill=False` starts one sandbox
    ahead and further ones only for those who wait: for a single run. `keep` is how many are kept ready beside those that are
    lent, where that is another number than `size`. Pools that are given the same `admission` share its
    memory. `idle_memory` is what a sandbox without a run is counted with, in bytes.

    Raises (constructor):
        ValueError: a size below 1.
    """

    def __init__(
        self,
        provider: Maker[P],
        size: int = 2,
        *,
        max_queued: int = 10_000,
        admission: Admission | None = None,
        idle_memory: int = IDLE_MEMORY,
        refill: bool = True,
        keep: int | None = None,
        metrics: Metrics | None = None,
        name: str = "",
    ) -> None:
        if size < 1 or max_queued < 1:
            raise ValueError("A pool needs room for at least one sandbox and one who waits.")
        self.provider = provider
        self.size = size
        """Runs at once, and sandboxes kept."""
        self.name = name
        self.metrics = metrics or Metrics()
        self.admission = admission or Admission(host_memory())
        self.busy = 0
        """Sandboxes that are lent."""
        self.starting = 0
        self.last_used = time.monotonic()
        self._max_queued = max_queued
        self._idle_memory = min(idle_memory, self.admission.budget)
        self._refill_always = refill
        self._keep = keep
        self._queue: FairQueue[Lease[P]] = FairQueue()
        self._outside: FairQueue[Lease[P]] = FairQueue()
        """Who found the queue full."""
        self._aside: dict[Lease[P], None] = {}
        """Left the queue, and waits for memory."""
        self._idle: deque[_Worker[P]] = deque()
        """The one used last is at the right end, and goes first: its caches are warm."""
        self._lent: set[_Worker[P]] = set()
        self._one_run: bool | None = None
        """Whether sandboxes are spent after one run, as seen. Then the next one is started during a run."""
        self._failures = 0
        """Failed starts in a row."""
        self._backoff: asyncio.TimerHandle | None = None
        self._starts: set[asyncio.Task[P]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._poked = False
        self._draining = False
        self._quiet: asyncio.Future[None] | None = None
        """Done when nobody waits and nothing runs."""
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pool[P]:
        self.admission.join(self)
        if self._refill_always:
            self._refill()
        else:
            self._start_one()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def idle(self) -> int:
        """Sandboxes that are ready."""
        return len(self._idle)

    @property
    def is_open(self) -> bool:
        """Whether it takes new runs: neither drained nor closed."""
        return not (self._draining or self._closed)

    @property
    def queued(self) -> int:
        """Callers that wait."""
        return len(self._queue) + len(self._aside) + len(self._outside)

    def queued_by_priority(self) -> dict[int, int]:
        """How many callers wait with each priority."""
        counts = self._queue.by_priority()
        for priority, count in self._outside.by_priority().items():
            counts[priority] = counts.get(priority, 0) + count
        for lease in self._aside:
            counts[lease.priority] = counts.get(lease.priority, 0) + 1
        return counts

    def acquire(
        self,
        timeout: float | None = None,
        *,
        memory: int = 0,
        caller: str = "",
        priority: int = 0,
        fresh: bool = False,
        again: bool = False,
    ) -> Lease[P]:
        """A sandbox for one run, as an async context manager.

        Leaving it with an exception (a cancellation too) destroys the sandbox at once; a `UserError` does not, for then
        nothing ran. `memory` is the run's limit in bytes. Higher priority goes first; inside one priority callers take turns.
        `fresh` asks for a sandbox that is started from now on. `again` marks a run that was accepted before, which a draining
        pool still takes.

        Raises (on entry):
            PoolExhausted: none became free within `timeout` seconds (0: none is free), or the pool drains or is closed.
            SandboxUnavailable: sandboxes cannot start, several times in a row.
            UsageError: `memory` is more than all runs together may use.
        """
        if memory > self.admission.budget:
            self.admission.check(memory)
        if self._closed or (self._draining and not again):
            self.metrics.refused += 1
            raise PoolExhausted("The pool is closed." if self._closed else "The pool takes no new runs: it is being drained.")
        return Lease(self, max(memory, self._idle_memory), caller, priority, timeout, fresh)

    async def drain(self) -> None:
        """Take no new callers, and wait until those who were taken have finished."""
        self._draining = True
        while self.busy or self.queued:
            if self._quiet is None:
                self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._quiet)

    async def resize(self, size: int) -> None:
        """Keep another number of sandboxes from now on. Runs in progress finish; idle sandboxes beyond that number are destroyed.

        Raises:
            ValueError: a size below 1.
        """
        if size < 1:
            raise ValueError("A pool needs room for at least one sandbox.")
        self.size = size
        surplus = []
        while self._idle and self.busy + len(self._idle) + self.starting > self._most():
            surplus.append(self._retire(self._idle.popleft(), "surplus"))
        self._dispatch()
        if surplus:
            await asyncio.wait(surplus)

    async def close(self) -> None:
        """Destroy all sandboxes, those with a run too. Safe to call twice, and shielded from cancellation."""
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            if self._backoff is not None:
                self._backoff.cancel()
            self._fail_all(PoolExhausted, "The pool is closed.")
            for worker in [*self._idle, *self._lent]:
                self._retire(worker, "closed")
            self._idle.clear()
            until = time.monotonic() + _CLOSE_TIMEOUT
            # A start is waited for: what is half-way up cannot be destroyed yet, and would outlive the provider.
            while (left := [*self._starts, *self._ends]) and time.monotonic() < until:
                await asyncio.wait(left, timeout=_CLOSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            for task in self._starts:
                task.cancel()
        finally:
            self.admission.leave(self)
            await self.provider.close()

    # Asking, waiting, giving back.

    def _ask(self, lease: Lease[P]) -> None:
        """Give the lease a sandbox now, or a place and a future."""
        lease.asked = time.monotonic()
        if self._closed:
            raise PoolExhausted("The pool is closed.")
        aside = False
        if not (self._queue or self._aside or lease.fresh) and self.busy < self.size and (worker := self._ready()):
            if self._fits(worker, lease):
                self._lend(worker, lease)
                if self._one_run or self._keep is not None:
                    self._refill()
                return
            aside = True
        if lease.timeout is not None and lease.timeout <= 0:
            self.admission.forget(lease)
            self.metrics.refused += 1
            raise PoolExhausted(self._why_not(lease))
        loop = asyncio.get_running_loop()
        lease._future = loop.create_future()
        if aside:
            self._aside[lease] = None
        else:
            (self._queue if len(self._queue) < self._max_queued else self._outside).push(lease)
        if lease.timeout is not None:
            lease._timer = loop.call_later(lease.timeout, self._expire, lease)
        self._dispatch()

    def _why_not(self, lease: Lease[P]) -> str:
        if lease in self._outside or len(self._queue) >= self._max_queued:
            return f"The queue is full: {self.queued} runs wait."
        return f"No sandbox became free within {lease.timeout} seconds; {self.busy} are in use, {self.starting} are starting."

    def _expire(self, lease: Lease[P]) -> None:
        if lease._future is not None and not lease._future.done():
            self.metrics.refused += 1
            lease._future.set_exception(PoolExhausted(self._why_not(lease)))
            self._leave_line(lease)

    def _leave_line(self, lease: Lease[P]) -> None:
        for line in (self._queue, self._outside):
            if lease in line:
                line.remove(lease)
        self._aside.pop(lease, None)
        self.admission.forget(lease)
        self._let_in()

    def _let_in(self) -> None:
        while self._outside and len(self._queue) < self._max_queued:
            self._queue.push(self._outside.pop())

    def _went_away(self, lease: Lease[P], exc: BaseException) -> None:
        """The caller stopped waiting: cancelled, or given an error."""
        if lease._timer is not None:
            lease._timer.cancel()
        if isinstance(exc, asyncio.CancelledError):
            self.metrics.cancelled += 1
        future = lease._future
        if future is not None and future.done() and not future.cancelled():
            future.exception()  # it got the error while it was being cancelled; asyncio shall not warn of it
        if lease._worker is not None:  # it was served while it was being cancelled
            self._give_back(lease, None, ran=False)
            return
        self._leave_line(lease)
        self._dispatch()
        self._look_quiet()

    def _fits(self, worker: _Worker[P], lease: Lease[P]) -> bool:
        """Reserve what the run may use beyond what the idle worker holds. Who is refused belongs aside, and goes first."""
        extra = lease.memory - worker.memory
        if extra and not self.admission.take(extra, self, lease):
            return False
        self.admission.forget(lease)
        worker.memory = lease.memory
        return True

    def _lend(self, worker: _Worker[P], lease: Lease[P]) -> None:
        """The worker is the last of `_idle`."""
        self._idle.pop()
        self._lent.add(worker)
        self.busy += 1
        worker.runs += 1
        lease._worker = worker
        lease.granted = time.monotonic()
        self.metrics.wait.observe(lease.granted - lease.asked)
        if lease._timer is not None:
            lease._timer.cancel()

    def _give_back(self, lease: Lease[P], exc: BaseException | None, *, ran: bool = True) -> None:
        worker, lease._worker = lease._worker, None
        if worker is None:
            return
        now = time.monotonic()
        self.last_used = now
        self.metrics.run.observe(now - lease.granted)
        self.busy -= 1
        self._lent.discard(worker)
        reason = self._why_destroy(worker, exc)
        if exc is None and ran and self._one_run is not False:
            self._one_run = worker.sandbox.spent and worker.runs == 1
        if not worker.retired:
            if reason:
                self._retire(worker, reason)
            else:
                extra = worker.memory - self._idle_memory
                worker.memory = self._idle_memory
                self._idle.append(worker)
                self.admission.give(extra)
        self._dispatch()
        self._look_quiet()

    def _why_destroy(self, worker: _Worker[P], exc: BaseException | None) -> str:
        """Empty if the worker takes a further run."""
        if exc is not None and not isinstance(exc, UserError):
            if isinstance(exc, (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)):
                self.metrics.cancelled += 1
                return "cancelled"
            return "died" if isinstance(exc, SandboxUnavailable) else "error"
        if worker.sandbox.spent:
            return "spent"
        return "surplus" if self.busy + len(self._idle) + self.starting >= self._most() else ""

    def _look_quiet(self) -> None:
        if self._quiet is not None and not (self.busy or self.queued):
            self._quiet.set_result(None)
            self._quiet = None

    # Who is served next.

    def poke(self) -> None:
        """Memory became free: look again, soon. See `admission.Member`."""
        if not self._poked and not self._closed:
            self._poked = True
            asyncio.get_running_loop().call_soon(self._after_poke)

    def _after_poke(self) -> None:
        self._poked = False
        self._dispatch()

    def _dispatch(self) -> None:
        """Lend what is idle to those who wait, and see to it that the rest will be served."""
        if self._closed:
            return
        while self.busy < self.size and (self._aside or self._queue):
            if self._ready() is None or not self._serve_one():
                break
        self._let_in()
        self._refill()

    def _serve_one(self) -> bool:
        """Lend the next sandbox to whose turn it is and who fits; False when nobody can be served now."""
        for lease in list(self._aside):
            if self._serve(lease):
                del self._aside[lease]
                return True
        while self._queue and len(self._aside) < _ASIDE:
            lease = self._queue.pop()
            self._let_in()
            if lease._future is None or lease._future.done():
                continue  # cancelled a moment ago; it will say so itself
            if self._serve(lease):
                return True
            self._aside[lease] = None
        return False

    def _serve(self, lease: Lease[P]) -> bool:
        worker = self._started_since(lease.asked) if lease.fresh else self._ready()
        if worker is None or lease._future is None or lease._future.done():
            return False
        if not self._fits(worker, lease):
            return False
        self._lend(worker, lease)
        lease._future.set_result(None)
        return True

    def _ready(self) -> _Worker[P] | None:
        """The idle worker that goes next; those that died or aged while idle are sent away."""
        while self._idle and self._idle[-1].sandbox.spent:
            self._retire(self._idle.pop(), "spent")
        return self._idle[-1] if self._idle else None

    def _started_since(self, moment: float) -> _Worker[P] | None:
        """A young idle worker, brought to where it goes next; if there is none, an old one makes room for it."""
        for worker in self._idle:
            if worker.started >= moment and not worker.sandbox.spent:
                self._idle.remove(worker)
                self._idle.append(worker)
                return worker
        if self._idle and not self.starting and self._missing() <= 0:
            self._retire(self._idle.popleft(), "suspect")
        return None

    # Starting and destroying.

    def _most(self) -> int:
        """How many workers there may be, those that are lent and those that are starting included."""
        if self._keep is not None:
            return min(self.size, self.busy + len(self._queue) + len(self._aside) + self._keep)
        return self.size + (min(self.busy, self.size) if self._one_run and self._refill_always else 0)

    def _missing(self) -> int:
        wanted = self._most() if self._refill_always else min(self.size, self.busy + len(self._queue) + len(self._aside))
        return wanted - self.busy - len(self._idle) - self.starting

    def _refill(self) -> None:
        if self._closed or self._backoff is not None:
            return
        while self._missing() > 0 and not (self._failures and self.starting):  # while starts fail, one at a time is tried
            if not self._start_one():
                return

    def _start_one(self) -> bool:
        """Start a worker if memory allows; False if not."""
        if not self.admission.take(self._idle_memory, self) and not self._take_for_one_who_waits():
            return False
        self.starting += 1
        task = asyncio.create_task(self.provider.create())
        self._starts.add(task)
        task.add_done_callback(self._started)
        return True

    def _take_for_one_who_waits(self) -> bool:
        """Memory for a start that somebody needs, so that its turn comes even where other pools keep the memory full."""
        if self.starting or self.busy >= self.size:
            return False
        if self._queue and not self._aside and not self._idle:
            self._aside[self._queue.pop()] = None
        waiting = [lease for lease in self._aside if lease.fresh or not self._idle]
        if not waiting:
            return False
        first = self.admission.first()
        return self.admission.take(self._idle_memory, self, first if first in waiting else waiting[0])

    def _started(self, task: asyncio.Task[P]) -> None:
        self._starts.discard(task)
        self.starting -= 1
        exc = None if task.cancelled() else task.exception()
        if task.cancelled() or exc is not None:
            self.admission.give(self._idle_memory)
            if isinstance(exc, Exception):
                self._start_failed(exc)
            return
        self._failures = 0
        self.metrics.starts += 1
        worker = _Worker(task.result(), self._idle_memory)
        if self._closed:
            self._retire(worker, "closed")
        elif self.busy + len(self._idle) + self.starting >= self._most():
            self._retire(worker, "surplus")
        else:
            self._idle.append(worker)
        self.admission.give(0)  # who was refused may ask for this one's memory now
        self._dispatch()

    def _start_failed(self, exc: Exception) -> None:
        self.metrics.start_failures += 1
        if self._closed:
            return
        if self._backoff is None:  # starts that fail together are one failure
            self._failures += 1
            delay = min(FIRST_BACKOFF * 2 ** min(self._failures - 1, 16), LAST_BACKOFF)
            self._backoff = asyncio.get_running_loop().call_later(delay, self._try_again)
        if isinstance(exc, UserError):
            self._fail_all(type(exc), exc.message, exc.remedy, exc)
        elif self._failures >= GIVE_UP:
            message = exc.message if isinstance(exc, SandboxUnavailable) else f"A sandbox could not start: {exc}"
            self._fail_all(SandboxUnavailable, message, "", exc)

    def _try_again(self) -> None:
        self._backoff = None
        self._dispatch()

    def _fail_all(self, kind: type[OrchestratorError], message: str, remedy: str = "", cause: Exception | None = None) -> None:
        """Tell all who wait. Each gets an exception of its own, for a raised one grows a traceback."""
        waiting = [*self._aside, *self._queue, *self._outside]
        self._aside.clear()
        self._queue, self._outside = FairQueue(), FairQueue()
        for lease in waiting:
            self.admission.forget(lease)
            if lease._future is not None and not lease._future.done():
                error = kind(message, remedy=remedy)
                error.__cause__ = cause
                self.metrics.refused += 1
                lease._future.set_exception(error)

    def _retire(self, worker: _Worker[P], reason: str) -> asyncio.Task[None]:
        """Destroy a worker in the background; its memory is free when it is gone."""
        worker.retired = True
        self.metrics.recycled[reason] += 1
        self.admission.leaving += worker.memory
        task = asyncio.create_task(self._destroy(worker))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        return task

    async def _destroy(self, worker: _Worker[P]) -> None:
        try:
            await worker.sandbox.close()
        except Exception:
            # The provider's own close is the last resort for what cannot be destroyed now.
            self.metrics.recycled["close_failed"] += 1
        finally:
            self.admission.leaving -= worker.memory
            self.admission.give(worker.memory)

    # The shared memory asks back; see `admission.Member`.

    def idle_memory_held(self, asking: Hashable) -> int:
        """Bytes of idle sandboxes that could be given up for `asking`, which keeps one if it waits here."""
        kept = isinstance(asking, Lease) and asking._pool is self
        return max(0, len(self._idle) - kept) * self._idle_memory

    def give_up(self, amount: int, asking: Hashable) -> int:
        """Destroy the idle sandboxes that were used longest ago, until `amount` bytes are on their way back."""
        kept = isinstance(asking, Lease) and asking._pool is self
        given = 0
        while given < amount and len(self._idle) > kept:
            given += self._idle_memory
            self._retire(self._idle.popleft(), "evicted")
        return given
