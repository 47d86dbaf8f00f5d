"""Run programs and judge them: pools of sandboxes, retries when a sandbox dies, a verdict at the end.

An engine has one pool for its own image, and one more for each image that a run names. Tests run in a sandbox of their own
(`apart`) wherever they and the provider allow it, else in the candidate's interpreter (`together`); the result says which.

Left out: what a whole job makes of its runs. That is `jobs` and the applications.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Literal

from orchestrator.engine.base import LONGEST_LIFE, TIME_TO_LIVE, OnOutput
from orchestrator.engine.in_place import waits_for_changes
from orchestrator.engine.sessions import Kind, SessionPools
from orchestrator.engine.together import as_pytest
from orchestrator.engine.watched import Watched
from orchestrator.errors import PoolExhausted, PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.sandbox.admission import Admission, host_memory
from orchestrator.sandbox.base import Maker, OpenableSession, Provider, Sandbox, Session
from orchestrator.sandbox.devices import Slots, discover, select
from orchestrator.sandbox.metrics import Metrics
from orchestrator.sandbox.pool import IDLE_MEMORY, Pool
from orchestrator.scoring.verdicts import agreed, basis_of, binary_reward, verdict_of_program, verdict_of_tests
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, Program, RunReport, Status, TestOutcome, Verdict
from sandbox_image.agent.protocol import CANDIDATE_CHANGED, CANDIDATE_OVERLAPS, TESTS_OVERLAP

_log = logging.getLogger("fumehood.engine")
_OVERLAPS = frozenset((CANDIDATE_OVERLAPS, TESTS_OVERLAP))
"""Signs of memory that cannot be shared."""
_DECIDED = (Verdict.ACCEPTED, Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR)
"""Verdicts on what the candidate gave, which copies may have made other than one interpreter would."""

_TOGETHER = "Leave judging at `auto`, or ask for `together`."
_NOT_THE_TESTS = "The run said that the tests are at fault, and without the candidate they are not."
_MOST_FAULTY = 1000
"""Tests of which it is remembered whether they are at fault."""
KEEP_IDLE_POOL = 300.0
"""Seconds after its last run until the pool of an image that a run named is shut down."""


class Engine:
    """Executes programs in warm sandboxes. Use it as an async context manager.

    Entering starts the sandboxes in the background and removes what a crashed process left behind. All pools share
    `memory_budget` bytes: 80 % of what this host has available when the engine is entered, unless set (as where the
    sandboxes run on another machine). `provider_of(image)` makes the provider for an image that a run names, `sessions_of(kind)`
    what starts sessions.

    Raises (on entry):
        PrerequisiteError: no engine, no permission, no sandbox image, or not the GPUs that the settings name.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        limits: Limits | None = None,
        provider: Provider | None = None,
        provider_of: Callable[[str], Provider] | None = None,
        sessions_of: Callable[[Kind], Maker[OpenableSession]] | None = None,
        retries: int = 2,
        preload: bool = True,
        refill: bool = True,
        ahead: bool = True,
        max_queued: int = 10_000,
        memory_budget: int | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.limits = limits or Limits()
        """What sandboxes are made for and what a run gets unless it says otherwise."""
        self.metrics = Metrics()
        self._provider = provider
        self._provider_of = provider_of or (None if provider else self._docker)
        self._sessions_of = sessions_of or (None if provider else self._docker_sessions)
        self._sessions: SessionPools | None = None
        self._retries = retries
        self._preload = preload
        """Whether sandboxes wait with numpy, torch and pytest imported: seconds more to warm up, nothing to pay at the run."""
        self._refill = refill
        """False for a single run: no sandbox is started to replace the one that it used."""
        self._ahead = ahead
        """False where runs are not expected: a sandbox is started when there is one."""
        self._max_queued = max_queued
        self._memory_budget = memory_budget
        self._admission: Admission | None = None
        self._size = self.settings.workers
        self._slots: Slots | None = None
        self._pools: dict[str, Pool[Sandbox]] = {}
        """Image -> pool; the engine's own is under the empty name."""
        self._watches: dict[str, asyncio.TimerHandle] = {}
        self._faulty: dict[object, bool] = {}
        """Tests that were said to be at fault where their candidate could say so: whether they are, as `blame.py` has it."""
        self._opening = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()
        self.image = ""
        """Digest of the sandbox image."""

    @property
    def workers(self) -> int:
        """How many programs it runs at once: one in each sandbox of an image."""
        return self._size

    @property
    def _pool(self) -> Pool[Sandbox]:
        return self._pool_now("")

    def _pool_now(self, image: str) -> Pool[Sandbox]:
        try:
            return self._pools[image]
        except KeyError:
            raise RuntimeError("Enter the engine first: `async with Engine() as engine`.") from None

    async def __aenter__(self) -> Engine:
        if self._provider is None:
            assert self._provider_of is not None
            if self.settings.gpus:
                await asyncio.to_thread(self._share_out_gpus)
            self._provider = await asyncio.to_thread(self._provider_of, "")
        if not self.image:
            self.image = str(getattr(self._provider, "image_id", ""))
        # One run of the engine's own limits is always let in: the kernel's limit on the sandbox still holds.
        self._admission = Admission(self._memory_budget or max(host_memory(), self.limits.memory, IDLE_MEMORY))
        await self._open("", self._provider)
        if self._sessions_of is not None:
            self._sessions = SessionPools(
                self._sessions_of, self._admission, self.metrics, limits=self.limits, retries=self._retries, ready=self._refill
            )
        return self

    def _share_out_gpus(self) -> None:
        """Make the slots that all pools take from; there are no more sandboxes than slots."""
        self._slots = Slots(select(self.settings.gpus, discover()), self.settings.gpu_slots)
        if self._size > self._slots.total:
            _log.warning("%d GPU slots, so as many sandboxes instead of %d.", self._slots.total, self._size)
            self._size = self._slots.total

    def _docker(self, image: str) -> Provider:
        from orchestrator.sandbox.docker import DockerProvider
        from orchestrator.sandbox.hardening import ContainerSpec
        from orchestrator.sandbox.image import tag_for

        wanted = self.settings.isolation
        spec = ContainerSpec(
            image=image or tag_for(self.settings),
            limits=self.limits,
            isolation="container" if wanted == "container" else "namespace",
            runtime=self.settings.runtime,
            preload=self._preload,
        )
        # `auto` may fall back to a container for each run, which is said aloud; a level asked for by name must hold.
        provider = DockerProvider(spec, strict=wanted == "namespace", slots=self._slots)
        provider.reap()
        atexit.register(provider.close_now)
        return provider

    def _docker_sessions(self, kind: Kind) -> Maker[OpenableSession]:
        from orchestrator.sandbox.docker import DockerProvider
        from orchestrator.sandbox.hardening import ContainerSpec
        from orchestrator.sandbox.image import tag_for
        from orchestrator.sandbox.session import DockerSessions

        slots = self._slots if kind.gpus else None
        if kind.gpus and (slots is None or slots.total <= self._size):
            raise UsageError(
                "No GPU is left for a session." if slots else "A session asks for a GPU, and the settings name none.",
                remedy="Name GPUs in FUMEHOOD_GPUS, with more slots (FUMEHOOD_GPU_SLOTS) than there are workers.",
            )
        spec = ContainerSpec(
            image=kind.image or tag_for(self.settings),
            limits=self.limits.model_copy(update={"disk": kind.disk}),
            runtime=self.settings.runtime,
            session=True,
        )
        sessions = DockerSessions(DockerProvider(spec, slots=slots))
        atexit.register(sessions.close_now)
        return sessions

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches.values():
            watch.cancel()
        self._watches.clear()
        await asyncio.gather(*(self._close(pool) for pool in self._all_pools()), *self._ends)

    @property
    def session_pools(self) -> list[Pool[OpenableSession]]:
        """Where sessions wait for their owners."""
        return self._sessions.pools if self._sessions else []

    def _all_pools(self) -> list[Pool[Any]]:
        return [*self._pools.values(), *self.session_pools]

    async def _open(self, image: str, provider: Provider) -> Pool[Sandbox]:
        pool = Pool(
            provider,
            self._size,
            max_queued=self._max_queued,
            admission=self._admission,
            refill=self._refill,
            keep=None if self._ahead else 0,
            metrics=self.metrics,
            name=image,
        )
        self._pools[image] = await pool.__aenter__()
        return pool

    async def _close(self, pool: Pool[Any]) -> None:
        await pool.close()
        if last_resort := getattr(pool.provider, "close_now", None):
            atexit.unregister(last_resort)  # nothing is left for it, and it would keep the provider alive

    async def _pool_for(self, image: str) -> Pool[Sandbox]:
        """The pool of an image; the first run that names the image makes it."""
        own = self._pool_now("")
        async with self._opening:
            if image not in self._pools:
                if self._provider_of is None:
                    raise UsageError(
                        f"This engine runs one kind of sandbox and cannot use the image {image!r}.",
                        remedy="Make it with `provider_of=`, or leave `image` out.",
                    )
                provider = await asyncio.to_thread(self._provider_of, image)
                if not own.is_open:
                    await provider.close()
                    raise PoolExhausted("The engine takes no new runs: it is drained or closed.")
                await self._open(image, provider)
                self._watch(image, KEEP_IDLE_POOL)
            return self._pools[image]

    def _watch(self, image: str, seconds: float) -> None:
        self._watches[image] = asyncio.get_running_loop().call_later(seconds, self._look_at, image)

    def _look_at(self, image: str) -> None:
        """Shut a pool down that nobody has used for a while, or look again when it could be so."""
        pool = self._pools[image]
        unused = 0.0 if pool.busy or pool.queued else time.monotonic() - pool.last_used
        if unused < KEEP_IDLE_POOL:
            self._watch(image, KEEP_IDLE_POOL - unused)
            return
        del self._pools[image], self._watches[image]
        task = asyncio.create_task(self._close(pool))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def execute(
        self,
        program: Program,
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        *,
        caller: str = "",
        priority: int = 0,
        image: str = "",
        wait: float | None = None,
    ) -> ExecutionResult:
        """Run a program, judge it if it has tests, and say what it is worth.

        A program that crashes, hangs or floods its output is a normal result. A sandbox that dies is replaced and the
        program sent again; if that keeps failing the result is `sandbox_error`, verdict `unscored`, reward None: never the
        program's fault.
        A wall-clock timeout on a saturated host is run once more before it counts. Tests that turn out, while they run, to need
        the candidate in their own interpreter are judged together under `auto`. A run in which a test has failed is never sent
        again: that failure stands, unless the sandbox died with its report.

        Judged apart, candidate and tests have copies of values. Where copies may have hidden something (`unsure` of the result),
        the program is run once more with values shared, and what fails there has failed. What passes with values shared alone
        rests on the candidate's `word`, unless the program says `in_place`: then it is run so from the beginning.

        Judged together, the tests are at fault (`invalid_tests`) only where they are so without the candidate too, which is tried
        once for the same tests: otherwise the candidate has failed.

        `on_output` is called with each piece of stdout or stderr as it is written. What a program that is run again repeats is
        not passed on twice; where it writes something else, its output is passed on whole.

        Runs of a higher `priority` go first; inside one priority callers take turns by their name `caller`. `image` is another
        sandbox image than the engine's own. `wait` is how many seconds to wait for a sandbox; None waits as long as it takes.
        Cancelling ends the run at once.

        Raises:
            UsageError: the program is contradictory, a path in it does not pass the gate, its tests cannot be judged apart as
                it asks, or its memory limit is more than all runs together may use.
            PrerequisiteError: it asks to be judged apart and these sandboxes cannot, or the image is not there.
            PoolExhausted: no sandbox became free in time, or the engine is drained or closed.
        """
        pool = self._pools.get(image) or await self._pool_for(image)
        limits = limits or self.limits
        asked = program.judging
        declared = program.in_place
        if program.tests is not None:
            judging = _judging(program, pool.provider)
            shares = declared or (judging == "apart" and waits_for_changes(program.tests))
            program = program.model_copy(update={"judging": judging, "in_place": shares})
        run = functools.partial(self._run, pool, asked=asked, limits=limits, caller=caller, priority=priority, wait=wait)
        result = await run(program, on_output=on_output)
        if program.in_place:
            result = _shared_alone(result, declared=declared)
        elif result.unsure and result.judging == "apart" and result.verdict in _DECIDED:
            result = _both_ways(result, await run(program.model_copy(update={"in_place": True}), asked="apart", on_output=None))
        if result.verdict is Verdict.INVALID_TESTS and result.judging == "together":
            result = await self._proved(program, result, run)
        self.metrics.runs[result.status, result.verdict or ""] += 1
        self.metrics.tampered += bool(result.attack)
        _log.debug("A run ended: %s %s after %.3f s.", result.status, result.verdict or "", result.wall_time)
        return result

    async def _proved(
        self, program: Program, result: ExecutionResult, run: Callable[..., Coroutine[Any, Any, ExecutionResult]]
    ) -> ExecutionResult:
        """A result that blames the tests, unless they are right without the candidate: then it has failed."""
        from orchestrator.engine.blame import is_proved, without_candidate

        key = (program.tests, program.module, program.entry_point, program.defines, frozenset(program.test_files.items()))
        if key not in self._faulty:
            alone = await run(without_candidate(program), on_output=None)
            if alone.status is Status.SANDBOX_ERROR:
                return result.model_copy(update={"verdict": Verdict.UNSCORED, "detail": alone.detail})
            if len(self._faulty) >= _MOST_FAULTY:
                self._faulty.clear()
            self._faulty[key] = is_proved(alone)
        if self._faulty[key]:
            return result
        failed: dict[str, Any] = {"verdict": Verdict.RUNTIME_ERROR, "reward": 0.0, "detail": _NOT_THE_TESTS}
        return result.model_copy(update=failed)

    async def _run(
        self,
        pool: Pool[Sandbox],
        program: Program,
        *,
        asked: str,
        limits: Limits,
        on_output: OnOutput | None,
        caller: str,
        priority: int,
        wait: float | None,
    ) -> ExecutionResult:
        """Run a program as it is, again where that is our fault, and judge it. `asked` is how it was to be judged."""
        failures: list[str] = []
        sent, waited_again = 0, False
        watched = None if on_output is None else Watched(on_output)
        while True:
            report = None
            try:
                async with pool.acquire(
                    wait,
                    memory=limits.memory,
                    caller=caller,
                    priority=priority,
                    # A restarted engine leaves several dead sandboxes at once: the last try does not rely on one of them.
                    fresh=0 < len(failures) == self._retries,
                    again=bool(failures) or waited_again,
                ) as sandbox:
                    sent += 1
                    ready = as_pytest(program) if program.judging == "together" else program
                    report = await sandbox.run(ready, limits, None if watched is None else watched.attempt())
            except SandboxUnavailable as exc:
                failures.append(str(exc))
            if report is not None and _has_failed(report):
                pass  # whatever became of the run: it gets no second guess
            elif report is not None and report.not_apart and asked == "auto" and program.judging == "apart":
                program = program.model_copy(update={"judging": "together"})
                continue
            elif report is None or report.status is Status.SANDBOX_ERROR:
                if report is not None:
                    failures.append(report.detail)
                if len(failures) <= self._retries:
                    self.metrics.retries += 1
                    continue
                report = report or RunReport(status=Status.SANDBOX_ERROR, detail=failures[-1])
            elif report.status is Status.TIMED_OUT_WALL and not waited_again and _saturated():
                waited_again = True
                self.metrics.retries += 1
                continue
            return judged(program, report, max(1, sent))

    async def execute_many(
        self,
        programs: Iterable[Program] | AsyncIterable[Program],
        limits: Limits | None = None,
        in_flight: int | None = None,
        *,
        caller: str = "",
        priority: int = 0,
        image: str = "",
    ) -> AsyncGenerator[tuple[int, ExecutionResult], None]:
        """Run programs, and yield (place in the input, result) as they finish.

        At most `in_flight` run or wait for a sandbox at a time (by default twice the number of sandboxes), and as
        many results wait to be read before the input is read on: any number of programs can be streamed through. Leaving the
        loop early cancels what still runs (at once inside `contextlib.aclosing`).

        Raises:
            UsageError, PrerequisiteError, PoolExhausted: as `execute`; the first one ends everything.
        """
        count = in_flight or 2 * self._size
        if count < 1:
            raise UsageError(f"{count} runs in flight are too few.", remedy="Give `in_flight` of at least 1.")
        source = _numbered(programs)
        one_at_a_time = asyncio.Lock()
        done: asyncio.Queue[tuple[int, ExecutionResult] | BaseException | None] = asyncio.Queue(maxsize=count)

        async def work() -> None:
            end: BaseException | None = None
            try:
                while True:
                    async with one_at_a_time:
                        place, program = await anext(source)
                    result = await self.execute(program, limits, caller=caller, priority=priority, image=image)
                    await done.put((place, result))
            except StopAsyncIteration:
                pass
            except Exception as exc:
                end = exc
            await done.put(end)

        tasks = [asyncio.create_task(work()) for _ in range(count)]
        try:
            ended = 0
            while ended < count:
                item = await done.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    ended += 1
                else:
                    yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await source.aclose()

    async def map(
        self,
        programs: Iterable[Program] | AsyncIterable[Program],
        limits: Limits | None = None,
        in_flight: int | None = None,
        *,
        caller: str = "",
        priority: int = 0,
        image: str = "",
    ) -> list[ExecutionResult]:
        """Run programs and return their results in the order of the input.

        Raises:
            UsageError, PrerequisiteError, PoolExhausted: as `execute`.
        """
        results = {}
        stream = self.execute_many(programs, limits, in_flight, caller=caller, priority=priority, image=image)
        async for place, result in stream:
            results[place] = result
        return [results[place] for place in range(len(results))]

    def session(
        self,
        limits: Limits | None = None,
        *,
        image: str = "",
        gpus: int = 0,
        ttl: float = TIME_TO_LIVE,
        caller: str = "",
        priority: int = 0,
        wait: float | None = None,
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        """A container of its own for many steps; see `Executor.session`, and `sandbox.base.Session` for what it can do.

            async with engine.session(ttl=600) as session:
                await session.write_file("data.csv", content)
                print((await session.exec(["wc", "-l", "data.csv"])).stdout)

        It takes the place of no run: what bounds sessions is the memory that all share.
        """
        own = self._pool_now("")
        if self._sessions is None:
            raise UsageError("This engine has no sessions.", remedy="Make it with `sessions_of=`, or without `provider=`.")
        if gpus not in (0, 1):
            raise UsageError(f"A session cannot have {gpus} GPUs.", remedy="Give 0 or 1.")
        if not isinstance(ttl, int | float) or not 0 < ttl <= LONGEST_LIFE:
            raise UsageError(
                f"A session cannot live for {ttl!r} seconds.",
                remedy=f"Give a life time above 0, of at most {LONGEST_LIFE:.0f} seconds.",
            )
        if not own.is_open:
            raise PoolExhausted("The engine takes no new sessions: it is drained or closed.")
        limits = limits or self.limits
        kind = Kind(image, limits.disk, gpus)
        return self._sessions.session(kind, limits, ttl, caller=caller, priority=priority, wait=wait)

    async def drain(self) -> None:
        """Take no new runs and sessions, and wait until those that were taken have ended."""
        await asyncio.gather(*(pool.drain() for pool in self._all_pools()))

    async def resize(self, workers: int) -> None:
        """Keep another number of sandboxes of each image, and run as many at once. What runs is not disturbed.

        Raises:
            UsageError: fewer than one, or more than there are GPU slots for.
        """
        if workers < 1:
            raise UsageError(f"{workers} sandboxes are too few.", remedy="Give at least 1.")
        if self._slots is not None and workers > self._slots.total:
            raise UsageError(
                f"{workers} sandboxes are too many for {self._slots.total} GPU slots.",
                remedy="Give fewer, or share each GPU among more (FUMEHOOD_GPU_SLOTS).",
            )
        self._size = workers
        await asyncio.gather(*(pool.resize(workers) for pool in self._pools.values()))

    def metrics_text(self) -> str:
        """What queues, runs and fails, in Prometheus's text format."""
        memory = (self._admission.used, self._admission.budget) if self._admission else None
        return self.metrics.text(self._all_pools(), memory)


async def _numbered(programs: Iterable[Program] | AsyncIterable[Program]) -> AsyncGenerator[tuple[int, Program], None]:
    place = 0
    if isinstance(programs, AsyncIterable):
        async for program in programs:
            yield place, program
            place += 1
        return
    for program in programs:
        yield place, program
        place += 1


@functools.lru_cache(maxsize=256)
def _why_together(tests: str, module: str, files: frozenset[tuple[str, bytes]]) -> str:
    """Remembered, for many candidates are judged by the same tests."""
    from orchestrator.engine.apart import why_together

    return why_together(tests, module, dict(files))


def _both_ways(copies: ExecutionResult, shared: ExecutionResult) -> ExecutionResult:
    """What two runs of the same tests say, with copies of values and with values shared.

    A test that passes with values shared alone has failed if it compares the result with what the candidate changed, and with
    nothing else: who empties a list and returns nothing agrees with `sorted(xs)`.
    """
    passed = copies.verdict is Verdict.ACCEPTED
    if shared.verdict is Verdict.INVALID_TESTS:  # what cannot be shared decides nothing
        return _on_word(copies) if passed else copies
    if shared.verdict is Verdict.UNSCORED and not passed:
        return copies
    if shared.verdict is not Verdict.ACCEPTED:
        return shared.model_copy(update={"unsure": copies.unsure})
    failed = {test.name for test in copies.tests if test.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)}
    if any(test.circular and test.name in failed for test in shared.tests):
        return copies
    if not passed:
        return _on_word(shared.model_copy(update={"unsure": copies.unsure}))
    if _OVERLAPS & set(shared.unsure):
        return _on_word(copies.model_copy(update={"unsure": shared.unsure}))
    return agreed(copies, shared)


def _shared_alone(result: ExecutionResult, *, declared: bool) -> ExecutionResult:
    """A result with values shared: what the candidate changed of the tests' though nobody `declared` it, and what depends on
    memory that cannot be shared, it says itself; so what its result was compared with."""
    circular = any(test.circular for test in result.tests)
    signs = _OVERLAPS if declared and not circular else _OVERLAPS | {CANDIDATE_CHANGED}
    return _on_word(result) if result.verdict is Verdict.ACCEPTED and signs & set(result.unsure) else result


def _on_word(result: ExecutionResult) -> ExecutionResult:
    tests = tuple(test.model_copy(update={"basis": "word"}) for test in result.tests)
    return result.model_copy(update={"basis": "word", "tests": tests})


def _judging(program: Program, provider: Provider) -> Literal["apart", "together"]:
    """How a program with tests is judged by this provider.

    Raises:
        UsageError: it asks to be judged apart, and its tests cannot be.
        PrerequisiteError: it asks to be judged apart, and the provider cannot do it.
    """
    able = bool(getattr(provider, "judges_apart", False))
    if program.judging == "together" or (program.judging == "auto" and not able):
        return "together"
    why = why_together(program)
    if program.judging == "auto":
        return "together" if why else "apart"
    if why:
        raise UsageError(f"These tests cannot be judged apart: {why}", remedy=_TOGETHER)
    if not able:
        raise PrerequisiteError("These sandboxes cannot judge candidate and tests apart.", remedy=_TOGETHER)
    return "apart"


def why_together(program: Program) -> str:
    """Why the tests of a program need it in their own interpreter, before anything runs: one sentence; "" where they do not."""
    if "." in program.module:
        name = program.module.removesuffix(".__init__")
        return f"The tests have {name} in hand as a module of a package; only names of one (`from {name} import ...`) can pass."
    return _why_together(program.tests or "", program.module, frozenset(program.test_files.items()))


def _has_failed(report: RunReport) -> bool:
    """Whether a test failed that no repetition could mend."""
    return any(test.outcome in (TestOutcome.FAILED, TestOutcome.ERROR) and not test.proved for test in report.tests)


def _saturated() -> bool:
    """Whether more work wants to run than the host has cores, so that a wall clock says little."""
    with contextlib.suppress(OSError):
        return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
    return False


def judged(program: Program, report: RunReport, attempts: int = 1) -> ExecutionResult:
    """A report with its verdict and reward. `program.judging` is how its tests were run; `auto` stands for together."""
    tested = program.tests is not None
    verdict = verdict_of_tests(report, apart=program.judging == "apart") if tested else verdict_of_program(report)
    return ExecutionResult(
        **dict(report),
        verdict=verdict,
        reward=binary_reward(verdict) if tested or verdict is Verdict.TAMPERED else None,
        basis=basis_of(report) if tested and program.judging == "apart" else "",
        judging=("apart" if program.judging == "apart" else "together") if tested else "none",
        attempts=attempts,
    )
