"""Evaluation: samples of a model, or recorded ones, judged by a benchmark's hidden tests, and pass@k from that.

Corrections (`repair`) see visible tests alone. Left out: reports for people (`reports.py`) and the screen.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from orchestrator.applications.evaluation import samples
from orchestrator.applications.evaluation.judge import Judge, beside, checked, fault_of, message_of
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.evaluation.reference_outputs import with_outputs
from orchestrator.applications.evaluation.results import EvalResult, base_counts_of, counts_of, notes_on, rows_of
from orchestrator.data.benchmarks import BenchmarkTask, Loaded, Sample, load, read_samples
from orchestrator.errors import UsageError
from orchestrator.jobs.sampled import SampledJob, chosen, greedy_note
from orchestrator.jobs.steps import Step
from orchestrator.printable import counted
from orchestrator.scoring.pass_at_k import estimates_of, refuse_k
from orchestrator.scoring.verdicts import binary_reward
from orchestrator.types import Attempt, Completion, ExecutionResult, Fault, Limits, RunRecord, Verdict

PROMPTS = 32
"""As many prompts go round at once. All samples of one task at once would let every slot of a server read the same prompt: on a
CPU that reads no faster than it writes (1.5B, HumanEval, 16 slots: 34 tokens/s), that is half of an answer's time."""


class Evaluation(SampledJob[EvalJob, EvalResult]):
    """Each sample of each task is drawn or read, judged by hidden tests, and corrected as far as that is asked for."""

    kind = "eval"
    name = "evaluation"
    job_type = EvalJob

    async def load(self) -> Sequence[Step]:
        """The data set, and the samples where they are recorded."""
        job = self.job
        if job.samples:
            self._remember(await asyncio.to_thread(_digest, Path(job.samples)))
        else:
            refuse_k(job.ks, job.n)
        place = Path(job.data) if job.data else None
        loaded = checked(await asyncio.to_thread(load, job.dataset, place, self.settings.data, split=job.split))
        self.problems += map(str, loaded.problems)
        self.source = loaded.source
        self.tasks = {name: loaded.tasks[name] for name in chosen(loaded.tasks, job)}
        self.problems += [] if job.samples else greedy_note(job)
        self.samples = await asyncio.to_thread(self._read, loaded) if job.samples else {}
        self.order = list(self.samples) if job.samples else [Step(task, n) for task in self.tasks for n in range(job.n)]
        self._with_tests = self.shared(self._make_tests)
        self._references = self.shared(self._judge_reference)
        return self.order if job.samples else self._by_prompt()

    async def one(self, step: Step) -> None:
        """One sample from its text to its verdict, corrections included."""
        task = await self._ready(step.task)
        if task is None:
            return
        attempt = self._last(step)
        while attempt is None or self._wants_repair(attempt):
            answered = await self._answer(task, step, attempt)
            if answered is None:
                return
            attempt = await self._judged(task, answered)
            await self.record(attempt)

    def result(self, run: RunRecord) -> EvalResult:
        """Rows in the order of the samples, and pass@k from them."""
        job = self.job
        by_step = {Step(row.task_id, row.completion_id): row for row in rows_of(list(self.attempts.values()))}
        rows = [by_step[step] for step in self.order if step in by_step]
        before = estimates_of(counts_of(rows, first=True), job.ks, seed=job.seed)[0] if job.repair else []
        base = estimates_of(base_counts_of(rows), job.ks, seed=job.seed)[0]
        result = EvalResult(
            run=run,
            job=job,
            source=self.source,
            rows=rows,
            before=before,
            base=base,
            planned=len(self.order),
            prompts={name: task.prompt for name, task in self.tasks.items()},
        )
        return self.complete(result, notes_on(rows), continues=job.style == "complete" and self.asks_model)

    @property
    def asks_model(self) -> bool:
        """Recorded samples ask none."""
        return not self.job.samples

    @property
    def limits(self) -> Limits:
        """As the options say."""
        return self.job.limits

    def is_done(self, step: Step) -> bool:
        """All rounds of a sample are recorded."""
        last = self._last(step)
        return last is not None and not self._wants_repair(last)

    def place_of(self, task: str) -> str:
        """The row of the data set."""
        return f"{self.tasks[task].source}: "

    def _remember(self, digest: str) -> None:
        """Note which samples are judged.

        Raises:
            UsageError: the job began with others.
        """
        if self.job.digest and self.run is not None and self.job.digest != digest:
            raise UsageError(
                f"{self.job.samples} is not what it was when run {self.run.id} began.", remedy="Start a new evaluation."
            )
        self.job = self.job.model_copy(update={"digest": digest})

    def _read(self, loaded: Loaded) -> dict[Step, Sample]:
        """The recorded samples."""
        path = self.job.samples
        read = read_samples(Path(path), loaded.tasks.keys() | loaded.outside, self.tasks)
        self.problems += map(str, read.problems)
        if read.elsewhere:
            self.problems.append(f"{counted(read.elsewhere, 'sample is', 'samples are')} of tasks of other splits, or not chosen")
        if without := len(self.tasks) - len({sample.task_id for sample in read.samples}):
            self.problems.append(f"{path}: {without} of {len(self.tasks)} tasks have no sample and are in no pass@k")
        return {Step(one.task_id, one.completion_id): one for one in read.samples}

    def _by_prompt(self) -> list[Step]:
        """The order of writing: the same prompt again only when the server has read it once, and soon enough to remember it."""
        block = {task: position // PROMPTS for position, task in enumerate(self.tasks)}
        return sorted(self.order, key=lambda step: (block[step.task], step.sample))

    def _last(self, step: Step) -> Attempt | None:
        found = None
        for round_ in range(self.job.repair + 1):
            found = self.attempts.get(Step(step.task, round_ * samples.ROUND + step.sample), found)
        return found

    def _wants_repair(self, attempt: Attempt) -> bool:
        return bool(attempt.feedback) and attempt.round < self.job.repair and not self.job.samples

    async def _ready(self, name: str) -> BenchmarkTask | None:
        """The task with its tests; None where its reference fails."""
        task = self.tasks[name]
        return task if task.inputs is None or task.tests else await self._with_tests.get(name)

    async def _make_tests(self, name: str) -> BenchmarkTask | None:
        """Tests from the outputs of the reference."""
        made = await with_outputs(self.tasks[name], self.engine.execute, self.settings.home / "reference-outputs")
        if isinstance(made, BenchmarkTask):
            return made
        self.problems.append(str(made))
        return None

    async def _answer(self, task: BenchmarkTask, step: Step, failed: Attempt | None) -> Attempt | None:
        """A sample with its text and the code in it; None where the model did not take the prompt."""
        if self.job.samples:
            return samples.recorded(self.job, task, step.sample, self.samples[step])
        asked = samples.asked(self.job, task, step.sample, failed)
        completion = await self.ask(asked, self._draw)
        return None if completion is None else samples.answered(self.job, task, asked, completion)

    async def _draw(self, asked: Attempt) -> list[Completion]:
        if samples.continues(self.job, asked):
            return await self.model.complete(asked.messages[0].content, asked.sampling)
        return await self.model.chat(asked.messages, asked.sampling)

    async def _judged(self, task: BenchmarkTask, sample: Attempt) -> Attempt:
        if not sample.code:
            verdict = Verdict.INVALID_CANDIDATE
            return sample.model_copy(update={"verdict": verdict, "fault": Fault.FORMAT, "reward": binary_reward(verdict)})
        judge = self._judge()
        hidden = await judge.hidden(task, sample.code)
        if hidden.verdict is Verdict.ACCEPTED and hidden.basis == "word" and task.reference:
            hidden = beside(hidden, await self._references.get(task.task_id))
        verdict = hidden.verdict or Verdict.UNSCORED
        report, feedback = None, ""
        if self.job.repair and task.visible_tests:
            report = await judge.visible(task, sample.code)
            if report.verdict not in (Verdict.ACCEPTED, Verdict.UNSCORED, Verdict.INVALID_TESTS):
                feedback = message_of(report) or f"It ended with {report.verdict}."
        judged = {"hidden": hidden, "report": report, "feedback": feedback, "fault": fault_of(verdict)}
        return sample.model_copy(update=judged | {"verdict": verdict, "reward": binary_reward(verdict)})

    async def _judge_reference(self, name: str) -> ExecutionResult:
        """The reference, judged by its own tests."""
        task = await self._ready(name)
        assert task is not None
        return await self._judge().hidden(task, task.reference)

    def _judge(self) -> Judge:
        return Judge(engine=self.engine, judging=self.job.judging, limits=self.job.limits)


def _digest(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path} is not a plain file: samples are read more than once, and again when a run is resumed.",
            remedy="Write them into a file first.",
        )
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}.", remedy="Check the path and its permissions.") from exc
