"""Recorded jobs in which a model writes unit tests: for functions of one's own, or for the references of a benchmark.

While the model writes one answer, those before it are judged. Every judged answer is an attempt in the run store before it
counts, so a job that was interrupted goes on where it stopped.

Left out: corrections. An answer is judged as it came.
"""

from __future__ import annotations

import ast
import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from orchestrator.applications.unit_tests.judge import (
    LIMITS,
    MutationOptions,
    Subject,
    Surveyed,
    TestsJudgement,
    judge_tests,
    survey,
)
from orchestrator.applications.unit_tests.score import Weights, accepted
from orchestrator.data.benchmarks import BenchmarkTask, load
from orchestrator.data.benchmarks.literals import literal
from orchestrator.data.benchmarks.names import functions_of
from orchestrator.data.store import RunStore
from orchestrator.engine.base import Executor
from orchestrator.errors import CompletionError, OrchestratorError, UsageError
from orchestrator.jobs.job import (
    SAME_PLACE,
    Elsewhere,
    Server,
    Watcher,
    begin,
    ending,
    job_of,
    opened,
    record,
    time_spent,
    work_through,
)
from orchestrator.jobs.loop import seed_of
from orchestrator.jobs.refusals import Answers, Refusals, answers_in, refusal
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import MODULE, extract
from orchestrator.llm.prompts import write_unit_tests
from orchestrator.scoring.pass_at_k import Estimate, estimates_of, refuse_k, tally
from orchestrator.settings import Settings
from orchestrator.sources import parse
from orchestrator.types import (
    Attempt,
    Completion,
    Event,
    ExecutionResult,
    Fault,
    Message,
    RunRecord,
    Sampling,
    Status,
    TestOutcome,
    TestResult,
    Value,
    Verdict,
)

KIND = "unit-tests"


class UnitTestJob(Value):
    """Everything that a job needs to be done, or to be gone on with. Stored as the run's `config`."""

    subjects: tuple[Subject, ...] = ()
    """Functions in full; empty takes those of `dataset`."""
    dataset: str = ""
    data: str = ""
    """File or folder of the data set; empty looks where the settings, a package or the hub have it."""
    split: str = ""
    """Of a data set that has splits; empty takes its standard one."""
    limit: int | None = Field(default=None, ge=1)
    """The first so many functions of the data set."""
    given: str = ""
    """Tests to be judged in place of a model's."""
    docstrings: bool = True
    """Whether the model sees them."""
    n: int = Field(default=1, ge=1, le=1000)
    """Answers for each function."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    max_new_tokens: int = Field(default=700, ge=1)
    seed: int = 0
    ks: tuple[int, ...] = ()
    """Empty: 1, 5 and 10, as far as there are answers."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Mutation score from which valid tests are accepted."""
    weights: Weights = Weights()
    mutation: MutationOptions = MutationOptions()
    base_url: str = ""
    model: str = ""
    parallel: int = Field(default=1, ge=1, le=64)
    """Answers the server writes at once."""


class TestsRow(Value):
    """One judged answer."""

    __test__ = False
    task_id: str
    completion_id: int
    verdict: Verdict
    reward: float | None
    valid: bool = False
    flaky: bool = False
    worthless: str = ""
    tests: int = 0
    tests_passed: int = 0
    line_coverage: float | None = None
    branch_coverage: float | None = None
    mutation_score: float | None = None
    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    components: Mapping[str, float] = Field(default_factory=dict)
    message: str = ""
    code: str = ""
    tokens: int = 0
    model_time: float = 0.0
    cpu_time: float = 0.0
    judging: str = "apart"
    finish_reason: str = ""
    """Why the answer ended, in the server's own word where it gave one."""
    refused: str = ""
    """What the server said in place of an answer: the function is not answerable, and unscored."""


@dataclass
class TestsResult:
    """What a job found."""

    __test__ = False
    run: RunRecord
    job: UnitTestJob
    source: str
    rows: list[TestsRow]
    """In the order of functions and answers."""
    problems: list[str]
    estimates: list[Estimate]
    wall_time: float = 0.0
    error: OrchestratorError | None = None
    """Why it stopped half-way; None where all was done."""
    answers: Answers = field(default_factory=Answers)
    """How many answers were refused, empty or cut off."""

    @property
    def scored(self) -> list[TestsRow]:
        """Rows that the sandbox did not fail, and whose prompt the server took."""
        return [row for row in self.rows if row.verdict is not Verdict.UNSCORED]

    @property
    def valid_rate(self) -> float | None:
        """Answers whose tests all pass on the reference, always."""
        return sum(row.valid for row in self.scored) / len(self.scored) if self.scored else None

    @property
    def mean_mutation_score(self) -> float | None:
        """Over valid answers."""
        found = [row.mutation_score for row in self.scored if row.mutation_score is not None]
        return sum(found) / len(found) if found else None

    @property
    def best(self) -> dict[str, TestsRow]:
        """Function -> its answer of the highest reward."""
        found: dict[str, TestsRow] = {}
        for row in self.rows:
            if row.task_id not in found or (row.reward or 0.0) > (found[row.task_id].reward or 0.0):
                found[row.task_id] = row
        return found

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        told = Counter(str(row.verdict) for row in self.rows)
        return {
            "dataset": self.job.dataset,
            "source": self.source,
            "run": self.run.id,
            "state": self.run.state,
            "model": self.run.model and self.run.model.model_dump(mode="json"),
            "image": self.run.image,
            "samples": len(self.rows),
            "tasks": len({row.task_id for row in self.rows}),
            "threshold": self.job.threshold,
            "pass_at_k": {str(one.k): one.value for one in self.estimates},
            "confidence_95": {str(one.k): [one.low, one.high] for one in self.estimates},
            "valid_rate": self.valid_rate,
            "mean_mutation_score": self.mean_mutation_score,
            "mean_reward": _mean([row.reward for row in self.rows if row.reward is not None]),
            "verdicts": dict(told.most_common()),
            "worthless": sum(bool(row.worthless) for row in self.rows),
            "flaky": sum(row.flaky for row in self.rows),
            "unscored": told[str(Verdict.UNSCORED)],
            "not_answerable": self.answers.not_answerable,
            "answers": self.answers.model_dump(mode="json"),
            "tokens": sum(row.tokens for row in self.rows),
            "wall_time": self.wall_time,
            "problems": self.problems,
            "error": None if self.error is None else str(self.error),
            "results": [row.model_dump(mode="json") for row in self.rows],
        }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def with_module(tests: str, old: str, new: str) -> str:
    """Tests that import from the module `new` what they imported from `old`, in whatever package that was.

    What does not parse comes back as it is.
    """
    try:
        tree = parse(tests)
    except SyntaxError:
        return tests
    lines = tests.splitlines()
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(found, key=lambda node: -node.lineno):
        before = ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            if old and (node.module or "").rpartition(".")[2] == old:
                node.module, node.level = new, 0
        else:
            for name in node.names:
                if name.name == old:
                    name.name, name.asname = new, name.asname or old
        end = node.end_lineno or node.lineno
        own = lines[node.lineno - 1 : end]
        if ast.unparse(node) != before and ";" not in "".join(own):
            indent = own[0][: len(own[0]) - len(own[0].lstrip())]
            lines[node.lineno - 1 : end] = [indent + ast.unparse(node)]
    return "\n".join(lines) + ("\n" if tests.endswith("\n") else "")


def subject_of(place: str) -> Subject:
    """The function that `FILE::function` names.

    Raises:
        UsageError: it is no such place, the file cannot be read, or it has no such function.
    """
    from orchestrator.applications.unit_tests.mutants import mutants

    path, _, function = place.rpartition("::")
    if not path or not function.isidentifier():
        raise UsageError(f"{place!r} names no function.", remedy="Write FILE::function, as in stats.py::median.")
    try:
        module = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}.", remedy="Check the path; the file is UTF-8 text.") from None
    try:
        mutants(module, function, most=1)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc.message}", remedy=exc.remedy) from None
    return Subject(name=place, module=module, function=function, module_name=Path(path).stem)


def subject_of_task(task: BenchmarkTask) -> Subject | str:
    """The reference of a benchmark's task as a subject; a sentence where it can be none."""
    if not task.reference or not task.entry_point:
        return f"{task.source}: task {task.task_id} has no reference, or does not name its function"
    if task.entry_point not in functions_of(task.reference):
        return f"{task.source}: task {task.task_id} does not ask for a function: {task.entry_point}"
    # Whatever name the data set gave the function's module, tests find it as `candidate` here.
    trusted = [
        source.replace(f"from {task.module} import", "from candidate import") for source in (task.tests, task.visible_tests)
    ]
    trusted = [source for source in trusted if source]
    if task.inputs is not None:
        trusted += [
            f"try:\n    {task.entry_point}(*{literal(arguments)})\nexcept Exception:\n    pass\n"
            for arguments in [*task.inputs.base, *task.inputs.plus][:200]
        ]
    return Subject(name=task.task_id, module=task.whole(task.reference), function=task.entry_point, trusted=tuple(trusted))


async def do_tests(
    job: UnitTestJob,
    settings: Settings,
    store: RunStore,
    *,
    watcher: Watcher | None = None,
    engine: Executor | None = None,
    model: Model | None = None,
) -> TestsResult:
    """Do a job from its beginning. `engine` and `model` are used instead of those that the settings name.

    Where the model stops answering half-way, what it wrote is judged and recorded, and the result says why it stopped (`error`).

    Raises:
        UsageError: no such data set, or no function in it that can be used.
        PrerequisiteError: no engine, no image, no weights, no data set.
        StoreError: something could not be recorded; what was recorded before is kept.
    """
    if not job.given:
        refuse_k(job.ks, job.n)
    return await _Doing(job, settings, store, watcher or Watcher(), engine, model).do()


async def resume_tests(
    run_id: str,
    settings: Settings,
    store: RunStore,
    *,
    elsewhere: Elsewhere = SAME_PLACE,
    watcher: Watcher | None = None,
    engine: Executor | None = None,
    model: Model | None = None,
) -> TestsResult:
    """Go on with a recorded job. What was judged is neither written nor judged again.

    Raises:
        UsageError: there is no such run, or it is no such job.
        PrerequisiteError, StoreError: as `do_tests`.
    """
    run = await asyncio.to_thread(store.run, run_id)
    job = job_of(run, KIND, UnitTestJob, "unit-test job", elsewhere)
    return await _Doing(job, settings, store, watcher or Watcher(), engine, model, run).do()


@dataclass
class _Doing:
    """One job while it is done."""

    job: UnitTestJob
    settings: Settings
    store: RunStore
    watcher: Watcher
    engine: Executor | None
    model: Model | None
    run: RunRecord | None = None
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    error: OrchestratorError | None = None
    refusals: Refusals = field(default_factory=Refusals)
    _surveys: dict[str, asyncio.Task[Surveyed | None]] = field(default_factory=dict)

    async def do(self) -> TestsResult:
        began = time.monotonic() - time_spent(self.run)
        source, subjects = await asyncio.to_thread(self._subjects)
        order = [(subject.name, number) for subject in subjects for number in range(self.job.n)]
        if self.run is not None:
            recorded = await asyncio.to_thread(self.store.attempts, self.run.id)
            self.attempts = {(one.task, one.index): one for one in recorded}
            self.refusals = Refusals(recorded)
        left = [key for key in order if key not in self.attempts]
        if self.run is not None and self.run.state == "finished" and not left:
            self.watcher.on_start(self.run)
            self.watcher.say("This run is finished: nothing is left to do.")
            return self._result(self.run, source, order, began)
        job = self.job
        server = None if job.given else Server(job.base_url, job.model, job.parallel)
        async with opened(self.settings, self.watcher, LIMITS, server, preload=False, engine=self.engine, model=self.model) as (
            engine,
            model,
        ):
            info = None if model is None else await model.info()
            run = begin(self.store, KIND, job, self.run, info, engine.image, self.watcher)
            result = cache(lambda: self._result(run, source, order, began))
            with ending(self.store, run, lambda: _summary(result())) as end:
                await self._all(run, engine, model, {subject.name: subject for subject in subjects}, left)
                end.state = "finished" if self.error is None else "interrupted"
        return replace(result(), run=end.run)

    def _subjects(self) -> tuple[str, list[Subject]]:
        if self.job.subjects:
            return "", list(self.job.subjects)
        job = self.job
        loaded = load(job.dataset, Path(job.data) if job.data else None, self.settings.data, split=job.split)
        self.problems += map(str, loaded.problems)
        found = []
        for task in list(loaded.tasks.values())[: job.limit]:
            subject = subject_of_task(task)
            if isinstance(subject, str):
                self.problems.append(subject)
            else:
                found.append(subject)
        if not found:
            raise UsageError(f"{loaded.source} has no function with a reference.", remedy="Name a data set with references.")
        return loaded.source, found

    async def _all(
        self,
        run: RunRecord,
        engine: Executor,
        model: Model | None,
        subjects: Mapping[str, Subject],
        left: Sequence[tuple[str, int]],
    ) -> None:
        """Write and judge what is left."""
        pen = asyncio.Semaphore(self.job.parallel)

        async def one(key: tuple[str, int]) -> None:
            await self._one(run, engine, model, pen, subjects[key[0]], key[1])

        def on_silence(key: tuple[str, int], error: CompletionError) -> None:
            self.error = error
            self.problems.append(f"the model stopped answering at {key[0]}: {error.message}")

        try:
            await work_through(left, one, 2 * self.settings.workers + self.job.parallel, on_silence, self.watcher.on_count)
            if self.error is None:
                self.refusals.end()
        except CompletionError as error:
            self.error = error
            self.problems.append(error.message)
        finally:
            for making in self._surveys.values():
                making.cancel()

    async def _one(
        self, run: RunRecord, engine: Executor, model: Model | None, pen: asyncio.Semaphore, subject: Subject, number: int
    ) -> None:
        """One answer, from its text to its verdict."""
        surveyed = await self._survey(subject, engine)
        if surveyed is None:
            return
        job = self.job
        messages: tuple[Message, ...] = ()
        sampling = Sampling(
            temperature=job.temperature,
            max_new_tokens=job.max_new_tokens,
            seed=seed_of(job.seed, subject.name, "tests", 0, number),
        )
        if job.given:
            code, reason = with_module(job.given, subject.module_name, MODULE), ""
            completion = Completion(text=job.given)
        else:
            assert model is not None
            messages = write_unit_tests(shown(subject, docstrings=job.docstrings), subject.function)
            async with pen:
                self.refusals.asking(subject.name)
                try:
                    completions = await model.chat(messages, sampling)
                except CompletionError as error:
                    refused = _asked(subject, number, messages, sampling, refusal(error))
                    await self._record(run, self.refusals.refused(refused, error))
                    return
            await self._record(run, self.refusals.answered())
            if not completions:
                raise CompletionError("The model server sent no completion.", remedy="Check the server's log.")
            completion = completions[0]
            found = extract(completion.text, entry_point=subject.function, kind="tests")
            code, reason = found.code, found.reason
        judgement = await judge_tests(surveyed, code, engine.execute, job.mutation, job.weights)
        asked = _asked(subject, number, messages, sampling, completion)
        await self._record(run, [_judged(job, asked, code, reason, judgement)])

    async def _record(self, run: RunRecord, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            await record(self.store, run, attempt)
            self.attempts[attempt.task, attempt.index] = attempt
            self.watcher.on_event(Event(kind="attempt_finished", task=attempt.task, sample=attempt.sample, attempt=attempt))

    async def _survey(self, subject: Subject, engine: Executor) -> Surveyed | None:
        """The subject with its mutants; None where it cannot be run. Answers for one subject share the work."""
        if subject.name not in self._surveys:
            self._surveys[subject.name] = asyncio.create_task(self._surveyed(subject, engine))
        return await asyncio.shield(self._surveys[subject.name])

    async def _surveyed(self, subject: Subject, engine: Executor) -> Surveyed | None:
        try:
            return await survey(subject, engine.execute, self.job.mutation)
        except UsageError as exc:
            if self.job.subjects:
                raise
            self.problems.append(str(exc))
            return None

    def _result(self, run: RunRecord, source: str, order: Sequence[tuple[str, int]], began: float) -> TestsResult:
        rows = [row_of(self.attempts[key]) for key in order if key in self.attempts]
        answers = answers_in(self.attempts.values())
        problems = [*self.problems, *answers.notes(len(rows), self.job.max_new_tokens)]
        if unscored := sum(row.verdict is Verdict.UNSCORED and not row.refused for row in rows):
            problems.append(f"{unscored} answers are unscored; they are in no pass@k")
        estimates, lacking = estimates_of(tally((row.task_id, row.verdict) for row in rows), self.job.ks, seed=self.job.seed)
        problems += lacking
        return TestsResult(run, self.job, source, rows, problems, estimates, time.monotonic() - began, self.error, answers)


def shown(subject: Subject, *, docstrings: bool = True) -> str:
    """The source that the model sees: the whole module, for small ones, else imports and the function."""
    tree = parse(subject.module)
    if docstrings and len(subject.module) <= 6000:
        return subject.module.strip()
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)
        or getattr(node, "name", "") == subject.function
        or len(subject.module) <= 6000
    ]
    if not docstrings:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return "\n\n".join(ast.unparse(node) for node in kept)


def _asked(subject: Subject, number: int, messages: tuple[Message, ...], sampling: Sampling, completion: Completion) -> Attempt:
    """The record of an answer that nothing judged."""
    return Attempt(
        task=subject.name,
        index=number,
        kind="tests",
        sample=number,
        messages=messages,
        sampling=sampling,
        completion=completion,
        created=time.time(),
    )


def _judged(job: UnitTestJob, asked: Attempt, code: str, reason: str, judgement: TestsJudgement) -> Attempt:
    score = judgement.score
    if judgement.unscored or (score.reward is None):
        verdict, fault, reward = Verdict.UNSCORED, Fault.SANDBOX if judgement.unscored else Fault.NONE, None
    elif accepted(score, job.threshold):
        verdict, fault, reward = Verdict.ACCEPTED, Fault.NONE, score.reward
    else:
        verdict = Verdict.WRONG_ANSWER if score.valid else Verdict.INVALID_TESTS
        fault, reward = Fault.TESTS if code else Fault.FORMAT, score.reward
    evidence = {
        "score": score.model_dump(mode="json"),
        "seen": judgement.seen.model_dump(mode="json"),
        "cpu_time": sum(run.cpu_time for run in judgement.runs),
        **({"reason": reason} if reason else {}),
    }
    update = {
        "code": code,
        "fault": fault,
        "feedback": reason or judgement.feedback,
        "evidence": evidence,
        "report": _report(judgement, verdict, reward),
        "verdict": verdict,
        "reward": reward,
    }
    return asked.model_copy(update=update)


def _report(judgement: TestsJudgement, verdict: Verdict, reward: float | None) -> ExecutionResult | None:
    """The runs as one: what the tests did on the reference."""
    if not judgement.runs:
        return None
    runs = judgement.runs
    last = runs[-1]
    tests = [
        TestResult(
            name=name,
            outcome=TestOutcome(outcome) if outcome in tuple(TestOutcome) else TestOutcome.ERROR,
            message=message[:4000],
            side="tests" if message else "",
        )
        for name, outcome, message in judgement.outcomes
    ]
    return ExecutionResult(
        status=last.status if judgement.unscored else Status.OK,
        tests=tuple(tests),
        tests_collected=judgement.seen.collected,
        tests_complete=judgement.score.valid,
        wall_time=sum(run.wall_time for run in runs),
        cpu_time=sum(run.cpu_time for run in runs),
        memory_peak=max(run.memory_peak for run in runs),
        isolation=last.isolation,
        image=last.image,
        detail=last.detail,
        attack=tuple(word for run in runs for word in run.attack),
        verdict=verdict,
        reward=reward,
        judging="apart",
        attempts=sum(run.attempts for run in runs),
    )


def row_of(attempt: Attempt) -> TestsRow:
    """What a table shows of an attempt."""
    score, seen = attempt.evidence.get("score"), attempt.evidence.get("seen")
    score = score if isinstance(score, dict) else {}
    seen = seen if isinstance(seen, dict) else {}
    names = ("valid", "flaky", "worthless", "line_coverage", "branch_coverage", "mutation_score", "killed", "survived")
    usage = attempt.completion.usage
    return TestsRow(
        task_id=attempt.task,
        completion_id=attempt.index,
        verdict=attempt.verdict,
        reward=attempt.reward,
        **{name: score[name] for name in (*names, "equivalent", "components") if name in score},
        tests=seen.get("collected", 0),
        tests_passed=seen.get("passed", 0),
        message=(attempt.feedback or attempt.completion.refused)[:2000],
        finish_reason=attempt.completion.reason or attempt.completion.finish_reason,
        refused=attempt.completion.refused,
        code=attempt.code,
        tokens=usage.prompt_tokens + usage.completion_tokens,
        model_time=attempt.completion.wall_time,
        cpu_time=attempt.report.cpu_time if attempt.report else 0.0,
    )


def _summary(result: TestsResult) -> dict[str, Any]:
    return {key: value for key, value in result.as_json().items() if key not in ("results", "run", "state")}
