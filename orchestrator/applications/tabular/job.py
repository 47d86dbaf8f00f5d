"""A recorded job: search for a program that predicts a column, draw the control, and open the sealed rows once.

1. baselines on the folds of the search;
2. the search: drafts, repairs, improvements;
3. the control: as many answers, each drawn independently with the first prompt;
4. the best three and the best of the control on new folds;
5. the winner, the control's best and the baselines on the sealed rows.

What is done is recorded, and a resumed job does the rest.

Left out: what a person sees of it. That is the command line.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from orchestrator.applications.tabular import prompts
from orchestrator.applications.tabular.audit import audit
from orchestrator.applications.tabular.baselines import baselines
from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation
from orchestrator.applications.tabular.finalists import FINALISTS, choose, open_sealed
from orchestrator.applications.tabular.metrics import metric_for
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.planning import best_of, control_planner, planner, was_scored
from orchestrator.applications.tabular.profile import profile
from orchestrator.applications.tabular.results import CONTROL, WINNER, Outcome, Scored, Standing, TabularResult
from orchestrator.applications.tabular.solve import Bench, TabularWork
from orchestrator.applications.tabular.split import Fold, Split
from orchestrator.applications.tabular.table import Table
from orchestrator.applications.tabular.weaknesses import bands_of, classes_of
from orchestrator.errors import UsageError
from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.job import RecordedJob
from orchestrator.jobs.loop import Kind, Ledger, Planner, search
from orchestrator.jobs.steps import Step
from orchestrator.types import Attempt, Event, Limits, RunRecord


class TabularSolving(RecordedJob[TabularJob, TabularResult]):
    """One table, from baselines to sealed rows."""

    kind = "solve-tabular"
    name = "tabular job"
    job_type = TabularJob
    concurrency = 1

    @property
    def endpoint(self) -> ModelEndpoint:
        """The model of the options."""
        return ModelEndpoint(base_url=self.job.base_url, model=self.job.model, parallel=self.job.parallel)

    @property
    def limits(self) -> Limits:
        """Of one candidate on one fold."""
        return self.job.limits

    async def load(self) -> Sequence[Step]:
        """Read and split the table; recall what an interrupted run has found."""
        self.table = await asyncio.to_thread(self.job.read)
        self.metric = metric_for(self.table, self.job.metric)
        self.standing = Standing.model_validate((self.run.summary if self.run else {}).get("standing", {}))
        data = _digest(self.table)
        if self.standing.data not in ("", data):
            raise UsageError(f"{self.job.source} has changed since the run began.", remedy="Restore it, or start a new run.")
        self.standing = self.standing.model_copy(update={"data": data})
        self.split = Split(self.table, seed=self.job.split_seed, opened=self.standing.opened)
        self.profile = await asyncio.to_thread(profile, self.table.rows(self.split.rest))
        return [Step(self.table.name)]

    def is_done(self, step: Step) -> bool:
        """Search and control are over."""
        return self.standing.searched

    def is_over(self) -> bool:
        """The sealed rows were opened, or nothing is worth opening them."""
        return self.standing.outcome is not None or not any(map(was_scored, self._attempts("candidate")))

    async def one(self, step: Step) -> None:
        """Baselines, the search and the control."""
        self.watcher.on_event(Event(kind="task_started", task=step.task, text=self._aloud()))
        for line in (*self.profile.text().splitlines(), *self.profile.warnings):
            self.watcher.say(line)
        bench = self._bench(self.split.search_folds())
        if not self.standing.baselines:
            self.watcher.say("Baselines are run on the folds of the search.")
            found = {name: await bench.evaluate(candidate) for name, candidate in baselines(self.table).items()}
            await self._stand(baselines=tuple(_scored(bench, name, one) for name, one in found.items()))
        for one in self.standing.baselines:
            self.watcher.say(f"Baseline {one.name}: {self._shown(one)}")
        ledger = Ledger(
            task=step.task, record=self.keep, on_event=self.watcher.on_event, attempts=self._attempts("candidate", "control")
        )
        await self._search("candidate", bench, ledger, planner(self.job))
        answers = len(ledger.of("candidate"))
        if self.job.control:
            self.watcher.say(f"The control: {answers} answers, each drawn independently.")
            await self._search("control", bench, ledger, control_planner(answers))
        await self._stand(searched=True)

    async def _search(self, kind: Kind, bench: Bench, ledger: Ledger, plan: Planner) -> None:
        brief = prompts.brief_of(self.table, self.metric, self.profile.text(), self.job.form)
        work = TabularWork(
            kind=kind, task=ledger.task, job=self.job, brief=brief, bench=bench, model=self.model, ledger=ledger, pen=self.pen
        )
        if kind == "candidate":
            work.is_wanted = self._has_time
        await search(work, self.model, self.job.loop, ledger=ledger, pen=self.pen, planner=plan)

    def _has_time(self) -> bool:
        return self.job.seconds is None or self.time_spent < self.job.seconds

    async def finish(self) -> None:
        """New folds for the best, then the sealed rows, once."""
        if self.error is not None or self.standing.outcome is not None:
            return
        ranked = sorted(filter(was_scored, self._attempts("candidate")), key=lambda item: -item.score)
        ranked = [attempt for attempt in ranked if attempt.same_as is None][:FINALISTS]
        if not ranked:
            self.problems.append("No candidate could be scored, so the sealed rows stay sealed")
            return
        self.watcher.say("The best meet new folds.")
        winner, finalists = await choose(
            [self._candidate(one) for one in ranked],
            self.split,
            self.metric,
            self.engine.execute,
            limits=self.job.limits,
            seed=self.job.seed,
        )
        control = best_of(self._attempts("control"))
        bench = self._bench(self.split.folds(repeat=1))
        met = {f"attempt {one.index}": each.evaluation for one, each in zip(ranked, finalists, strict=True)}
        if control is not None:
            met[CONTROL] = await bench.evaluate(self._candidate(control))
        scored = tuple(_scored(bench, name, found, winner.evaluation) for name, found in met.items())
        chosen = next(one for one, each in zip(ranked, finalists, strict=True) if each is winner)
        await self._open_sealed(chosen, control, scored)

    async def _open_sealed(self, winner: Attempt, control: Attempt | None, finalists: tuple[Scored, ...]) -> None:
        candidate = self._candidate(winner)
        self.watcher.say("The winner is audited: shuffled targets, half of the rows, a second run.")
        try:
            audited = await audit(
                candidate, self.split, self.metric, self.engine.execute, limits=self.job.limits, seed=self.job.seed
            )
        except ValueError as error:
            audited = None
            self.problems.append(f"The winner could not be audited: {error}")
        self.watcher.say("The sealed rows are opened.")
        await self._stand(opened=self.split.opened + 1)  # recorded before anything is seen of them
        others = {} if control is None else {CONTROL: self._candidate(control)}
        candidates = {WINNER: candidate, **others, **baselines(self.table)}
        final = await open_sealed(
            WINNER, candidates, self.split, self.metric, self.engine.execute, limits=self.job.limits, seed=self.job.seed
        )
        labels, predictions = final.labels, final.predictions.get(WINNER)
        outcome = Outcome(
            winner=winner.index,
            candidate=candidate,
            finalists=finalists,
            sealed=final.by_name,
            sealed_rows=len(labels),
            classes=() if predictions is None or not self.table.classes else tuple(classes_of(self.table, labels, predictions)),
            bands=() if predictions is None or self.table.classes else tuple(bands_of(labels, predictions)),
            audit=audited,
        )
        await self._stand(outcome=outcome)

    def result(self, run: RunRecord) -> TabularResult:
        """What is known so far."""
        attempts = [*self._attempts("candidate"), *self._attempts("control")]
        return TabularResult(
            run=run,
            job=self.job,
            table=self.table,
            profile=self.profile,
            metric=self.metric.name,
            standing=self.standing,
            attempts=attempts,
            problems=[*self.problems, *self._notes(attempts)],
            wall_time=self.time_spent,
            error=self.error,
        )

    def _notes(self, attempts: Sequence[Attempt]) -> list[str]:
        """What to say of the answers: refused prompts, answers that were cut off, and no control."""
        found = []
        refused = [attempt.completion.refused for attempt in attempts if attempt.completion.refused]
        if refused:
            found.append(f"The server refused {len(refused)} prompts. It said: {refused[0]}")
        cut = sum(attempt.completion.finish_reason == "length" for attempt in attempts)
        if cut:
            found.append(f"{cut} answers were cut off at --max-new-tokens {self.job.max_new_tokens}")
        if not self.job.control:
            found.append("There is no control (--no-control): what correction was worth is not known")
        return found

    async def _stand(self, **changes: object) -> None:
        """Change what was found, and record it."""
        self.standing = self.standing.model_copy(update=changes)
        await self.save()

    def _attempts(self, *kinds: Kind) -> list[Attempt]:
        found = [attempt for attempt in self.attempts.values() if attempt.kind in kinds]
        return sorted(found, key=lambda item: (item.round, item.sample))

    def _candidate(self, attempt: Attempt) -> Candidate:
        return Candidate(code=attempt.code, form=self.job.form)

    def _bench(self, folds: Sequence[Fold]) -> Bench:
        return Bench(job=self.job, table=self.table, metric=self.metric, folds=folds, execute=self.engine.execute)

    def _aloud(self) -> str:
        direction = "larger" if self.metric.greater_is_better else "smaller"
        return f"{self.table.task} of {self.table.target!r}, judged by {self.metric.name} ({direction} is better)"

    def _shown(self, one: Scored) -> str:
        if one.value is None:
            return f"failed: {one.failure.splitlines()[-1] if one.failure else 'no value'}"
        return f"{self.metric.name} {one.value:.4g}" + (f" ±{one.standard_error:.2g}" if one.standard_error is not None else "")


def _scored(bench: Bench, name: str, found: Evaluation, winner: Evaluation | None = None) -> Scored:
    return Scored(
        name=name,
        values=tuple(found.values),
        value=found.value,
        standard_error=bench.standard_error(found),
        lead=None if winner is None or winner is found else bench.lead(winner, found),
        failure=found.failure,
    )


def _digest(table: Table) -> str:
    """Of the rows in their order, without what they are called in memory."""
    import pandas as pd

    digest = hashlib.sha256(repr((table.target, table.classes, list(table.features.columns))).encode())
    digest.update(pd.util.hash_pandas_object(table.features, index=False).to_numpy().tobytes())
    digest.update(table.y.tobytes())
    return digest.hexdigest()
