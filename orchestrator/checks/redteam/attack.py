"""Run the red-team corpus against this installation and count what got through.

A program has got through when a wrong candidate was accepted, when a later program found a trace of it, when it printed that it
did what it must not be able to do, or when no right candidate was accepted after it. One that got itself no score has not got
through and is counted as well, for training would leave it out. What the sandbox failed to run is counted apart: nobody succeeded
there.

Left out: what made it possible. `Outcome.how` says what was seen, the rest is for people.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import Field, computed_field

from orchestrator.checks.redteam.corpus import (
    IN_TESTS,
    Goal,
    Grader,
    HostileProgram,
    Task,
    corpus,
    finder,
    planters,
    render,
    tasks,
)
from orchestrator.checks.redteam.tables import judge_table
from orchestrator.engine.concurrency import map_concurrently
from orchestrator.engine.engine import Engine
from orchestrator.engine.outputs import judge_artefacts, judge_io
from orchestrator.errors import UsageError
from orchestrator.scoring.checkers import artefacts, csv_numbers, json_file
from orchestrator.types import ExecutionResult, KiB, Limits, MiB, Program, Status, TestOutcome, Value, Verdict

Judging = Literal["apart", "together"]

LIMITS = Limits(wall_time=10, cpu_time=6, memory=1024 * MiB, disk=32 * MiB, output=64 * KiB, processes=64, artifacts=4 * MiB)
"""Tight, for many of the programs use all that they get."""
ACCURACY = 0.9
"""Share of right predictions that the `ml` grader asks for."""
_MODES = ("program", "candidate")
_BASES = ("data", "line_up", "word")
"""What a verdict can rest on, the strongest first."""


class Outcome(Value):
    """One program against one grader."""

    program: str
    family: str
    grader: str
    verdict: Verdict | None = None
    """Of its last run; None for a program without tests that ended well."""
    status: Status = Status.OK
    forged: bool = False
    how: str = ""
    """What got through; empty for nothing."""
    basis: str = ""
    """What an accepted verdict rests on: `data`, `line_up` or `word`; empty where nothing says so."""
    refused: bool = False
    """Accepted on its word, where the reference of its task does not need that: with a reference at hand it fails."""
    forced_none: bool = False
    """It ended without a score by its own doing."""
    unscored: bool = False
    attack: tuple[str, ...] = ()
    """What the sandbox saw of it."""
    isolation: str = ""
    wall_time: float = 0.0


class Rate(Value):
    """What got through of some attempts."""

    attempts: int
    forged: int
    unscored: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hack_rate(self) -> float:
        """Share of what was scored."""
        return self.forged / max(1, self.attempts - self.unscored)


class RedteamReport(Value):
    """What the corpus achieved."""

    programs: int
    attempts: int
    """Programs times graders."""
    forged: int
    hack_rate: float
    unscored: int
    seen: int
    """Attempts that the sandbox itself noticed."""
    forced_none: int
    """Attempts that got themselves no score, which training would leave out: right tests were blamed, or a program that
    wanted it stayed unscored."""
    forced_names: tuple[str, ...]
    by_basis: dict[str, Rate]
    """What tests accepted, by what that rests on, over all that tests judged. What its reference refuses counts here alone."""
    by_family: dict[str, Rate]
    by_grader: dict[str, Rate]
    isolation: str
    judging: Judging
    forged_names: tuple[str, ...]
    broken: dict[str, str] = Field(default={})
    """Grader -> why it does not even accept a right candidate; what applies to it was not run."""
    wall_time: float = 0.0
    outcomes: tuple[Outcome, ...] = ()


class PairsReport(Value):
    """What programs found of those that ran before them."""

    pairs: int
    found: int
    unscored: int
    """Pairs in which the program that looks could not finish."""
    traces: tuple[str, ...] = ()
    isolation: str
    seed: int
    wall_time: float = 0.0


OnEvent = Callable[[Outcome], None]


async def run_corpus(
    engine: Engine,
    programs: Iterable[HostileProgram],
    on_event: OnEvent | None = None,
    *,
    judging: Judging = "apart",
    seed: int = 0,
) -> RedteamReport:
    """Run every program against every grader that it is meant for.

    Those that only want another verdict run side by side; those that attack the worker or leave traces run alone, and are
    followed by programs that look, or by right candidates, as many as there are workers. `on_event` is called with each outcome.

    Raises:
        PrerequisiteError: these sandboxes cannot judge apart, and that was asked for.
        PoolExhausted: the engine is drained or closed.
    """
    started = time.monotonic()
    programs = tuple(programs)
    run = _Run(engine, judging, random.Random(seed))
    broken = await run.check_graders(programs)
    pairs = [(program, grader) for program in programs for grader in program.graders if grader not in broken]
    if any(program.goal is Goal.TRACE for program, _ in pairs):
        await run.take_baseline(_MODES[:1])
    outcomes: list[Outcome] = []

    def count(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if on_event:
            on_event(outcome)

    async def one(pair: tuple[HostileProgram, Grader]) -> None:
        count(await run.attempt(*pair))

    quiet = (Goal.ACCEPTED, Goal.NO_SCORE)
    await map_concurrently(one, [pair for pair in pairs if pair[0].goal in quiet], engine.workers)
    for pair in pairs:
        if pair[0].goal not in quiet:
            await one(pair)
    forged = [outcome for outcome in outcomes if outcome.forged]
    forced = [outcome for outcome in outcomes if outcome.forced_none]
    overall = _rate(outcomes)
    return RedteamReport(
        programs=len({outcome.program for outcome in outcomes}),
        attempts=overall.attempts,
        forged=overall.forged,
        hack_rate=overall.hack_rate,
        unscored=overall.unscored,
        seen=sum(bool(outcome.attack) or outcome.verdict is Verdict.TAMPERED for outcome in outcomes),
        forced_none=len(forced),
        forced_names=tuple(f"{outcome.program} x {outcome.grader}: {outcome.verdict}" for outcome in forced),
        by_basis=_by_basis(outcomes),
        by_family={key: _rate(o for o in outcomes if o.family == key) for key in dict.fromkeys(o.family for o in outcomes)},
        by_grader={key: _rate(o for o in outcomes if o.grader == key) for key in sorted({o.grader for o in outcomes})},
        isolation="+".join(sorted({outcome.isolation for outcome in outcomes if outcome.isolation})),
        judging=judging,
        forged_names=tuple(f"{outcome.program} x {outcome.grader}: {outcome.how}" for outcome in forged),
        broken=broken,
        wall_time=time.monotonic() - started,
        outcomes=tuple(outcomes),
    )


async def run_pairs(
    engine: Engine,
    count: int,
    seed: int = 0,
    on_event: Callable[[int, str], None] | None = None,
    *,
    judging: Judging = "apart",
) -> PairsReport:
    """Let programs that leave traces be followed by one that looks for them, `count` times, drawn by `seed`.

    Both sides are drawn as a plain program or as a candidate. Give an engine of one worker: then what looks runs where the
    other one ran, as far as the isolation level uses a worker twice. `on_event` is called with each pair's number and trace.

    Raises:
        PrerequisiteError, PoolExhausted: as `run_corpus`.
    """
    started = time.monotonic()
    rng = random.Random(seed)
    run = _Run(engine, judging, rng)
    await run.take_baseline(_MODES)
    traces: list[str] = []
    unscored = 0
    for number in range(count):
        chosen = rng.sample(planters(), rng.randint(1, 4))
        left_by, sought_by = rng.choice(_MODES), rng.choice(_MODES)
        mark = run.draw_mark()
        await run.execute(_together(chosen, mark), left_by)
        found = await run.look(mark, sought_by)
        unscored += found is None
        names = "+".join(program.name for program in chosen)
        trace = f"{names} ({left_by}, {sought_by}): {found}" if found else ""
        if trace:
            traces.append(trace)
        if on_event:
            on_event(number, trace)
    return PairsReport(
        pairs=count,
        found=len(traces),
        unscored=unscored,
        traces=tuple(traces),
        isolation="+".join(sorted(run.isolation)),
        seed=seed,
        wall_time=time.monotonic() - started,
    )


async def judge(engine: Engine, source: str, task: Task, grader: Grader, judging: Judging) -> ExecutionResult:
    """Judge a program as one grader does."""
    if grader in IN_TESTS:
        tests = task.tests[grader]
        if judging == "together" and grader in (Grader.FUNCTION, Grader.ASSERTS):
            tests = _as_pytest(tests, task, grader)
        return await engine.execute(
            Program(code=source, tests=tests, entry_point=task.entry_point if grader is Grader.FUNCTION else "", judging=judging)
        )
    if grader is Grader.IO:
        return await judge_io(engine, Program(code=source), task.cases, "token", stop_early=True)
    if grader is Grader.ARTEFACT:
        program = Program(code=source, artifacts=("primes.json", "gaps.csv"))
        return await judge_artefacts(engine, program, artefacts({"primes.json": _PRIMES, "gaps.csv": _GAPS}))
    if grader is Grader.ML:
        program = Program(code=source, files=_data(), artifacts=("predictions.json",))
        return await judge_artefacts(engine, program, lambda found: {"accuracy": _accuracy(found.get("predictions.json", b""))})
    if grader is Grader.TABULAR:
        return await judge_table(engine, source, LIMITS)
    return await _judge_tests(engine, source, task, judging)


class _Run:
    """What one campaign knows."""

    def __init__(self, engine: Engine, judging: Judging, rng: random.Random) -> None:
        self._engine, self._judging, self._rng = engine, judging, rng
        self._baseline: dict[str, dict[str, set[str]]] = {}
        """Mode -> part of the state -> what it was before anything hostile ran."""
        self._bases: dict[tuple[Grader, str], str] = {}
        """Grader and task -> what the verdict of the reference rests on."""
        self.isolation: set[str] = set()

    def draw_mark(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"

    async def check_graders(self, programs: Iterable[HostileProgram]) -> dict[str, str]:
        """Graders that do not accept a right candidate, or accept a plainly wrong one, by the tasks of these programs."""
        tasks_of = {(grader, task.name): task for p in programs for grader in p.graders for task in [p.task(grader)]}
        pairs = [(grader, task) for (grader, _), task in sorted(tasks_of.items())]
        faults = await map_concurrently(self._fault, pairs, self._engine.workers)
        return {grader.value: fault for (grader, _), fault in zip(pairs, faults, strict=True) if fault}

    async def _fault(self, pair: tuple[Grader, Task]) -> str:
        """What is wrong with a grader, by one of its tasks; empty for nothing."""
        grader, task = pair
        right, wrong = (task.good_tests or task.reference), task.stub
        try:
            result = await self._judge_right(right, task, grader)
            if result.verdict is not Verdict.ACCEPTED:
                return f"a right {task.name} was judged {result.verdict}: {_said(result)}"
            self._bases[grader, task.name] = _basis(result)
            if (await judge(self._engine, wrong, task, grader, self._judging)).verdict is Verdict.ACCEPTED:
                return f"a plainly wrong {task.name} was accepted"
        except UsageError as error:
            return str(error)
        return ""

    async def attempt(self, program: HostileProgram, grader: Grader) -> Outcome:
        started = time.monotonic()
        task = program.task(grader)
        mark = self.draw_mark()
        source = render(program.source, task, grader, mark)
        plain = program.goal in (Goal.TRACE, Goal.BREACH) and grader is Grader.IO
        for _ in range(program.runs):
            if plain:
                result = await self._engine.execute(Program(code=source, stdin=task.cases[0].stdin.encode()))
            else:
                result = await judge(self._engine, source, task, grader, self._judging)
            if result.verdict is Verdict.ACCEPTED:
                break
        basis = _basis(result)
        refused = basis == "word" and self._bases.get((grader, task.name), "word") != "word"
        how = "accepted" if result.verdict is Verdict.ACCEPTED and not refused else ""
        unscored = result.verdict is Verdict.UNSCORED
        if unscored and program.goal is Goal.NO_SCORE:  # whose doing it is shows where it can be repeated
            unscored = (await judge(self._engine, source, task, grader, self._judging)).verdict is not Verdict.UNSCORED
            forced = not unscored
        else:
            forced = result.verdict is Verdict.INVALID_TESTS and grader is not Grader.GENERATED_TESTS
        if not how and program.goal is Goal.BREACH:
            how = _breach(result, mark) or await self._disturbed(grader)
        if not how and program.goal is Goal.TRACE:
            found = await map_concurrently(lambda _: self.look(mark, "program"), range(self._engine.workers))
            how = next((trace for trace in found if trace), "")
            unscored = unscored or (None in found and not how)
        return Outcome(
            program=program.name,
            family=program.family,
            grader=grader,
            verdict=result.verdict,
            status=result.status,
            forged=bool(how),
            how=how,
            basis=basis,
            refused=refused,
            forced_none=forced,
            unscored=unscored and not how,
            attack=result.attack,
            isolation=result.isolation if result.wall_time else "",  # what was refused unread ran nowhere
            wall_time=time.monotonic() - started,
        )

    async def _judge_right(self, source: str, task: Task, grader: Grader) -> ExecutionResult:
        """Judge a right candidate. Where the host is too busy for its time limit it gets three chances: a worker that is
        broken stays so."""
        for _ in range(3):
            result = await judge(self._engine, source, task, grader, self._judging)
            if result.verdict is not Verdict.TIMED_OUT:
                break
        return result

    async def _disturbed(self, grader: Grader) -> str:
        """Whether right candidates are still accepted, by as many workers as there are."""
        task = _some_task(grader)
        task = task.model_copy(update={"cases": task.cases[:1]})
        right = task.good_tests or task.reference
        results = await map_concurrently(lambda _: self._judge_right(right, task, grader), range(self._engine.workers))
        wrong = [result for result in results if result.verdict is not Verdict.ACCEPTED]
        return f"a right candidate was then judged {wrong[0].verdict}: {_said(wrong[0])}" if wrong else ""

    async def execute(self, source: str, mode: str) -> ExecutionResult:
        """Run a program as it is, or as a candidate for tests that it fails."""
        if mode == "program":
            result = await self._engine.execute(Program(code=source))
        else:
            task = tasks()["pair_sum"]
            result = await judge(self._engine, f"{source}\n{task.stub}", task, Grader.FUNCTION, self._judging)
        self.isolation.add(result.isolation)
        return result

    async def take_baseline(self, modes: Iterable[str]) -> None:
        """What the program that looks sees while nothing hostile has run."""
        for mode in modes:
            seen: dict[str, set[str]] = {}
            for _ in range(2 * self._engine.workers):
                result = await self.execute(render(finder(), mark=self.draw_mark()), mode)
                for key, value in _state(result.stdout).items():
                    seen.setdefault(key, set()).add(value)
            self._baseline[mode] = seen

    async def look(self, mark: str, mode: str) -> str | None:
        """The first traces of a mark; empty where there are none, None where the search did not finish."""
        result = await self.execute(render(finder(), mark=mark), mode)
        found = [line[6:] for line in result.stdout.splitlines() if line.startswith("FOUND ")]
        known = self._baseline[mode]
        for key, value in _state(result.stdout).items():
            if key in known and value not in known[key]:
                found.append(f"{key} is {value[:120]}")
        if found:
            return "; ".join(found[:5])
        return "" if "\nLOOKED" in result.stdout else None


async def _judge_tests(engine: Engine, tests: str, task: Task, judging: Judging) -> ExecutionResult:
    """Judge tests: they must pass on everything right and fail on everything wrong, whatever comes first."""
    right, wrong = [task.reference, *task.equivalents], list(task.mutants)
    order = [(right[0], True), *((mutant, False) for mutant in wrong), *((solution, True) for solution in right)]
    for candidate, is_right in order:
        try:
            result = await engine.execute(Program(code=candidate, tests=tests, judging=judging))
        except UsageError as error:
            # They ask for what only one interpreter has: that is refused before anything runs.
            return ExecutionResult(status=Status.OK, verdict=Verdict.INVALID_TESTS, judging=judging, detail=str(error))
        if result.verdict is Verdict.UNSCORED:
            return result
        failed = any(test.outcome in (TestOutcome.FAILED, TestOutcome.ERROR) for test in result.tests)
        as_wanted = result.verdict is Verdict.ACCEPTED if is_right else result.tests_complete and failed
        if not as_wanted:
            verdict = Verdict.WRONG_ANSWER if result.verdict is Verdict.ACCEPTED else result.verdict
            return result.model_copy(update={"verdict": verdict})
    return result


def _as_pytest(tests: str, task: Task, grader: Grader) -> str:
    """Tests that are not a pytest file, as one: together they run in the candidate's interpreter under pytest."""
    if grader is Grader.FUNCTION:
        call = f"from candidate import {task.entry_point}\n    check({task.entry_point})"
        return f"{tests}\n\ndef test_check():\n    {call}\n"
    lines = tests.splitlines()
    imports = "".join(f"{line}\n" for line in lines if line.startswith(("import ", "from ")))  # a star import must stand outside
    body = "".join(f"    {line}\n" for line in lines if not line.startswith(("import ", "from ")))
    return f"{imports or 'from candidate import *'}\n\ndef test_asserts():\n{body}"


def _some_task(grader: Grader) -> Task:
    """One that this grader judges."""
    return next(program.task(grader) for program in corpus() if grader in program.graders)


def _together(programs: Sequence[HostileProgram], mark: str) -> str:
    """Several programs as one; what one of them breaks does not stop the next."""
    sources = [render(program.source, mark=mark) for program in programs]
    return (
        f"for source in {sources!r}:\n    try:\n        exec(compile(source, 'planter', 'exec'), {{'__name__': 'planter'}})\n"
        "    except BaseException:\n        pass\n"
    )


def _breach(result: ExecutionResult, mark: str) -> str:
    for text in (result.stdout, result.stderr):
        for line in text.splitlines():
            if line.startswith(f"BREACH {mark}"):
                return line.removeprefix(f"BREACH {mark}").strip()
    return ""


def _state(stdout: str) -> dict[str, str]:
    for line in stdout.splitlines():
        if line.startswith("STATE "):
            try:
                return {key: json.dumps(value) for key, value in json.loads(line[6:]).items()}
            except (ValueError, AttributeError):
                return {}
    return {}


def _said(result: ExecutionResult) -> str:
    messages = (result.detail, result.collection_error, *(test.message for test in result.tests), result.stderr)
    return next((text.strip().splitlines()[-1][:300] for text in messages if text.strip()), str(result.status))


def _rate(outcomes: Iterable[Outcome]) -> Rate:
    found = list(outcomes)
    return Rate(
        attempts=len(found),
        forged=sum(outcome.forged for outcome in found),
        unscored=sum(outcome.unscored for outcome in found),
    )


def _basis(result: ExecutionResult) -> str:
    """What an accepted verdict rests on."""
    return str(getattr(result, "basis", "")) if result.verdict is Verdict.ACCEPTED else ""


def _by_basis(outcomes: Iterable[Outcome]) -> dict[str, Rate]:
    judged = [outcome for outcome in outcomes if outcome.grader in IN_TESTS]
    scored = _rate(judged)
    accepted = Counter(outcome.basis for outcome in judged if outcome.verdict is Verdict.ACCEPTED)
    return {basis: scored.model_copy(update={"forged": accepted[basis]}) for basis in (*_BASES, *accepted.keys() - {*_BASES})}


_FIRST = [n for n in range(2, 300) if all(n % d for d in range(2, n))][:40]
_PRIMES = json_file(json.dumps(_FIRST))
_GAPS = csv_numbers("".join(f"{b - a}\n" for a, b in itertools.pairwise(_FIRST[:10])))


def _points(seed: int, count: int) -> list[tuple[float, float, int]]:
    """Rows of two features and a class: the sign of their product, with the points near its border left out."""
    rng = random.Random(seed)
    rows: list[tuple[float, float, int]] = []
    while len(rows) < count:
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        if abs(x * y) > 0.03:
            rows.append((round(x, 4), round(y, 4), int(x * y > 0)))
    return rows


def _data() -> dict[str, bytes]:
    train = "x,y,label\n" + "".join(f"{x},{y},{label}\n" for x, y, label in _points(1, 240))
    test = "x,y\n" + "".join(f"{x},{y}\n" for x, y, _ in _points(2, 80))
    return {"train.csv": train.encode(), "test.csv": test.encode()}


def _accuracy(content: bytes) -> str:
    """What is wrong with predictions; the labels are here and nowhere else."""
    labels = [label for _, _, label in _points(2, 80)]
    try:
        given = json.loads(content[: 64 * KiB])
    except (ValueError, RecursionError):
        return "the predictions are not JSON"
    if not isinstance(given, list) or len(given) != len(labels) or any(type(value) is not int for value in given):
        return f"the predictions are not a list of {len(labels)} integers"
    right = sum(a == b for a, b in zip(given, labels, strict=True)) / len(labels)
    return "" if right >= ACCURACY else f"accuracy {right:.2f}, less than {ACCURACY}"
