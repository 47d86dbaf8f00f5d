"""Recorded jobs in which a model writes unit tests: for your own functions, or for the references of a benchmark.

Left out: corrections. An answer is judged as it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from orchestrator.applications.unit_tests.judge import (
    LIMITS,
    Subject,
    Surveyed,
    TestsJudgement,
    is_of_class,
    judge_tests,
    survey,
)
from orchestrator.applications.unit_tests.options import UnitTestJob
from orchestrator.applications.unit_tests.prompts import write_unit_tests
from orchestrator.applications.unit_tests.results import TestsDetails, TestsResult, row_of
from orchestrator.applications.unit_tests.score import accepted
from orchestrator.applications.unit_tests.subjects import imported_as_candidate, shown, subject_of_task
from orchestrator.data.benchmarks import load
from orchestrator.errors import UsageError
from orchestrator.jobs.loop import seed_of
from orchestrator.jobs.sampled import SampledJob, chosen
from orchestrator.jobs.steps import Step
from orchestrator.llm.extraction import Extraction, extract
from orchestrator.printable import counted
from orchestrator.scoring.pass_at_k import refuse_k
from orchestrator.types import (
    Attempt,
    Completion,
    ExecutionResult,
    Fault,
    Limits,
    Message,
    RunRecord,
    Sampling,
    Status,
    TestOutcome,
    TestResult,
    Verdict,
)


class UnitTestWriting(SampledJob[UnitTestJob, TestsResult]):
    """Each answer for each function is drawn, or given, and judged on mutants of the function."""

    kind = "unit-tests"
    name = "unit-test job"
    job_type = UnitTestJob

    async def load(self) -> Sequence[Step]:
        """The functions: those of the options, or of the data set."""
        if not self.job.given:
            refuse_k(self.job.ks, self.job.n)
        self.source, subjects = await asyncio.to_thread(self._subjects)
        self.subjects = {subject.name: subject for subject in subjects}
        self.order = [Step(name, number) for name in self.subjects for number in range(self.job.n)]
        self._surveys = self.shared(self._survey)
        return self.order

    async def one(self, step: Step) -> None:
        """One answer, from its text to its verdict."""
        surveyed = await self._surveys.get(step.task)
        if surveyed is None:
            return
        subject, job = self.subjects[step.task], self.job
        asked = _asked(job, subject, step.sample)
        if job.given:
            completion: Completion | None = Completion(text=job.given)
            found = Extraction(code=imported_as_candidate(job.given, subject))
        else:
            completion = await self.ask(asked, lambda asked: self.model.chat(asked.messages, asked.sampling))
            if completion is None:
                return
            found = extract(completion.text, entry_point=subject.function.partition(".")[0], kind="tests")
        judgement = await judge_tests(surveyed, found.code, self.engine.execute, job.mutation, job.weights)
        answered = asked.model_copy(update={"completion": completion})
        await self.record(_judged(job, answered, found, judgement))

    def result(self, run: RunRecord) -> TestsResult:
        """Rows in the order of functions and answers, and pass@k from them."""
        rows = [row_of(self.attempts[step]) for step in self.order if step in self.attempts]
        unscored = sum(row.verdict is Verdict.UNSCORED and not row.refused for row in rows)
        notes = [f"{counted(unscored, 'answer is', 'answers are')} unscored, and in no pass@k"] if unscored else []
        return self.complete(TestsResult(run=run, job=self.job, source=self.source, rows=rows), notes)

    @property
    def asks_model(self) -> bool:
        """Given tests ask none."""
        return not self.job.given

    @property
    def limits(self) -> Limits:
        """Of one run of tests on mutants."""
        return LIMITS

    def _subjects(self) -> tuple[str, list[Subject]]:
        """Where the functions are from, and the functions."""
        job = self.job
        if job.subjects:
            return "", list(job.subjects)
        loaded = load(job.dataset, Path(job.data) if job.data else None, self.settings.data, split=job.split)
        self.problems += map(str, loaded.problems)
        found = []
        for name in chosen(loaded.tasks, job):
            task = loaded.tasks[name]
            subject = subject_of_task(task)
            if isinstance(subject, str):
                self.problems.append(subject)
            else:
                found.append(subject)
        if not found:
            raise UsageError(f"{loaded.source} has no function with a reference.", remedy="Name a data set with references.")
        return loaded.source, found

    async def _survey(self, name: str) -> Surveyed | None:
        """A function with its mutants; None where it cannot be run."""
        try:
            return await survey(self.subjects[name], self.engine.execute, self.job.mutation)
        except UsageError as exc:
            if self.job.subjects:
                raise
            self.problems.append(str(exc))
            return None


def _asked(job: UnitTestJob, subject: Subject, number: int) -> Attempt:
    """An answer that has its prompt, and no text yet."""
    return Attempt(
        task=subject.name,
        index=number,
        kind="tests",
        sample=number,
        messages=() if job.given else _prompt(job, subject),
        sampling=Sampling(
            temperature=job.temperature,
            max_new_tokens=job.max_new_tokens,
            seed=seed_of(job.seed, subject.name, "tests", 0, number),
        ),
        completion=Completion(text=""),
    )


def _prompt(job: UnitTestJob, subject: Subject) -> tuple[Message, ...]:
    source = shown(subject, docstrings=job.docstrings)
    return write_unit_tests(source, subject.function, of_class=is_of_class(subject))


def _judged(job: UnitTestJob, answered: Attempt, found: Extraction, judgement: TestsJudgement) -> Attempt:
    score = judgement.score
    if judgement.unscored or (score.reward is None):
        verdict, fault, reward = Verdict.UNSCORED, Fault.SANDBOX if judgement.unscored else Fault.NONE, None
    elif accepted(score, job.threshold):
        verdict, fault, reward = Verdict.ACCEPTED, Fault.NONE, score.reward
    else:
        verdict = Verdict.WRONG_ANSWER if score.valid else Verdict.INVALID_TESTS
        fault, reward = Fault.TESTS if found.code else Fault.FORMAT, score.reward
    update = {
        "code": found.code,
        "fault": fault,
        "feedback": found.reason or judgement.feedback,
        "details": TestsDetails(score=score, seen=judgement.seen).model_dump(mode="json"),
        "report": _report(judgement, verdict, reward),
        "verdict": verdict,
        "reward": reward,
    }
    return answered.model_copy(update=update)


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
