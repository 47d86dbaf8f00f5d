"""One kind of answer to one table: ask, extract, evaluate on the folds of the search, and let the model say what it learnt.

Nothing here sees a sealed row. Out-of-fold predictions stay in memory: they are computed again where a resumed search needs them.

Left out: which candidates are drawn when (`planning.py`), and what becomes of the best (`job.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from orchestrator.applications.tabular import feedback, prompts
from orchestrator.applications.tabular.answers import functions_in
from orchestrator.applications.tabular.candidate import STAGE_NAMES, Candidate
from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.evaluate import Evaluation, Execute, evaluate
from orchestrator.applications.tabular.metrics import Metric, bootstrap
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.paired import over_folds, over_rows
from orchestrator.applications.tabular.split import Fold
from orchestrator.applications.tabular.table import Table
from orchestrator.applications.tabular.weaknesses import weakness
from orchestrator.errors import CompletionError
from orchestrator.jobs.branching import DRAFTS, best_of, was_scored
from orchestrator.jobs.classification import Diagnosis, Failure
from orchestrator.jobs.loop import Judged, Kind, Ledger, Pen, seed_of
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import Extraction, extract, normalised
from orchestrator.scoring.paired import Difference
from orchestrator.scoring.verdicts import verdict_of_program
from orchestrator.types import Attempt, Completion, Fault, Message, Sampling, Usage, Verdict

REPORTS = 3
"""How many of the latest reports a prompt shows."""
_REPORT_TOKENS = 160
_DRAWS = 200
_LIMITS = (Verdict.TIMED_OUT, Verdict.MEMORY_EXCEEDED, Verdict.OUTPUT_EXCEEDED, Verdict.RESOURCE_EXCEEDED)


@dataclass(kw_only=True)
class Bench:
    """Evaluations of candidates on the same folds, each made once."""

    job: TabularJob
    table: Table
    metric: Metric
    folds: Sequence[Fold]
    execute: Execute
    _known: dict[tuple[str, str], Evaluation] = field(default_factory=dict)

    async def evaluate(self, candidate: Candidate) -> Evaluation:
        """What a candidate is worth on these folds. What the sandbox failed is tried anew when asked for again."""
        key = (candidate.form, normalised(candidate.code) + repr(candidate.parameters))
        if key not in self._known:
            found = await evaluate(
                candidate, self.table, self.folds, self.metric, self.execute, limits=self.job.limits, seed=self.job.seed
            )
            if found.is_of_the_sandbox:
                return found
            self._known[key] = found
        return self._known[key]

    def lead(self, ours: Evaluation, theirs: Evaluation) -> Difference | None:
        """How much better one is than another: over the folds, or over the rows of a single one. None where one has no value."""
        if ours.predictions is None or theirs.predictions is None:
            return None
        if len(self.folds) > 1:
            shares = [len(fold.held_out) / len(fold.train) for fold in self.folds]
            return over_folds(self.metric, ours.values, theirs.values, held_out=sum(shares) / len(shares))
        return over_rows(self.metric, self.table.y[ours.rows], ours.predictions, theirs.predictions)

    def standard_error(self, found: Evaluation) -> float | None:
        """Of an evaluation's mean over the folds, or over the rows of a single one."""
        if len(self.folds) > 1 or found.predictions is None:
            return found.standard_error
        draws = bootstrap(self.metric, self.table.y[found.rows], [found.predictions], draws=_DRAWS)
        return float(np.nanstd(draws)) if np.isfinite(draws).any() else None


@dataclass(kw_only=True)
class TabularWork:
    """A `Work` of the loop: candidates of the search (`kind` candidate), or of the control, which learns from nothing."""

    kind: Kind
    task: str
    job: TabularJob
    brief: prompts.Brief
    bench: Bench
    model: Model
    ledger: Ledger
    pen: Pen
    is_wanted: Callable[[], bool] = lambda: True

    @property
    def wanted(self) -> bool:
        """Whether there is time for another round."""
        return self.is_wanted()

    def first(self, sample: int) -> tuple[Message, ...]:
        """A draft, or once all drafts are there, something else than what was tried."""
        return prompts.first(self.brief, self._reports())

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        """Repair what failed, or improve what works."""
        if failure.fault is Fault.NONE:
            turn = sum(map(was_scored, self.ledger.of(self.kind)))
            return prompts.improve(self.brief, failure, self._reports(), turn)
        return prompts.repair(self.brief, failure)

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        """The program, or the module completed by what it improves, or by what the prompt offered."""
        if self.job.form == "script":
            return extract(text)
        improves = parent is not None and was_scored(parent)
        return functions_in(text, self.brief.skeleton, parent.code if parent is not None and improves else self.brief.offered)

    async def judge(self, extraction: Extraction) -> Judged:
        """Evaluate the code on the folds of the search."""
        if not extraction.usable:
            return Judged(
                diagnosis=Diagnosis(fault=Fault.FORMAT, feedback=extraction.reason, hint=feedback.hint(extraction.reason)),
                verdict=Verdict.INVALID_CANDIDATE,
            )
        found = await self.bench.evaluate(Candidate(code=extraction.code, form=self.job.form))
        if found.is_of_the_sandbox:
            return Judged(diagnosis=Diagnosis(fault=Fault.SANDBOX), verdict=Verdict.UNSCORED, code=extraction.code)
        details = await self._details(found)
        if found.value is None:
            why = feedback.shortened(found.failure) or f"{self.bench.metric.name} is not defined on its predictions."
            diagnosis = Diagnosis(fault=_fault(found), feedback=why, hint=feedback.hint(found.failure))
        else:
            diagnosis = Diagnosis(fault=Fault.NONE, feedback=feedback.told(self.bench.metric, details))
        if self.kind == "candidate":
            details = await self._with_report(details, extraction.code, diagnosis)
        return Judged(
            diagnosis=diagnosis,
            verdict=_verdict(found),
            code=extraction.code,
            score=0.0 if found.value is None else found.score,
            details=details.model_dump(mode="json"),
            report=found.outcomes[-1].result.model_copy(update={"artifacts": {}}),
        )

    async def _details(self, found: Evaluation) -> TabularDetails:
        labels = self.bench.table.y
        if found.value is None or found.predictions is None:
            return TabularDetails(stages=found.stages, wall_time=found.wall_time)
        best = best_of(self.ledger.of(self.kind))
        before = None if best is None else await self.bench.evaluate(Candidate(code=best.code, form=self.job.form))
        return TabularDetails(
            values=tuple(found.values),
            value=found.value,
            standard_error=self.bench.standard_error(found),
            over_best=None if before is None else self.bench.lead(found, before),
            weakness=weakness(self.bench.table, labels[found.rows], found.predictions),
            stages=found.stages,
            wall_time=found.wall_time,
        )

    async def _with_report(self, details: TabularDetails, code: str, diagnosis: Diagnosis) -> TabularDetails:
        """Let the model say what it learnt; where the server refuses the prompt there is no report."""
        place = len(self.ledger.attempts)
        sampling = Sampling(
            temperature=0.0,
            max_new_tokens=_REPORT_TOKENS,
            seed=seed_of(self.job.seed, f"{self.task}/report", self.kind, 0, place),
        )
        answers: list[Completion] = []
        try:
            async with self.pen:
                answers = await self.model.chat(prompts.report(self.brief, code, diagnosis.feedback), sampling)
        except CompletionError as error:
            if not error.prompt_refused:
                raise
        text = prompts.shortened(answers[0].text) if answers else ""
        return details.model_copy(update={"report": text, "usage": answers[0].usage if answers else Usage()})

    def _reports(self) -> list[str]:
        """The latest reports, once all drafts are there: drafts know nothing of each other."""
        attempts = self.ledger.of(self.kind)
        if self.kind == "control" or sum(attempt.round == 0 for attempt in attempts) < min(DRAFTS, self.job.answers):
            return []
        return [report for attempt in attempts if (report := _report_of(attempt))][-REPORTS:]


def _report_of(attempt: Attempt) -> str:
    return "" if attempt.same_as is not None else TabularDetails.of(attempt).report


def _verdict(found: Evaluation) -> Verdict:
    """Accepted is what could be scored; how well it did is its score."""
    if found.value is not None:
        return Verdict.ACCEPTED
    failed = next((one for one in found.outcomes if one.failure), None)
    if failed is None or failed.stages == STAGE_NAMES:
        return Verdict.WRONG_ANSWER
    return verdict_of_program(failed.result) or Verdict.RUNTIME_ERROR


def _fault(found: Evaluation) -> Fault:
    return Fault.RESOURCE_LIMIT if _verdict(found) in _LIMITS else Fault.CANDIDATE
