"""A recorded job: search for a program that predicts a column, draw the control, and open the sealed rows once.

1. baselines on the folds of the search;
2. the search: drafts, repairs, improvements;
3. the control: as many answers, each drawn independently with the first prompt;
4. features that the model proposes for the best, and a search over its parameters, where the options ask for them;
5. the best three and the best of the control on new folds;
6. what the winner takes from each column, and whether its predictions mean what they say;
7. the winner, the control's best and the baselines on the sealed rows.

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
from orchestrator.applications.tabular.calibration import calibration_of, residuals_of
from orchestrator.applications.tabular.candidate import Candidate
from orchestrator.applications.tabular.evaluate import Evaluation
from orchestrator.applications.tabular.features import Kept, Tried, keep_features, proposals
from orchestrator.applications.tabular.finalists import FINALISTS, Finalist, choose, open_sealed
from orchestrator.applications.tabular.importances import Importance, importances
from orchestrator.applications.tabular.metrics import metric_for
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.planning import control_planner, planner
from orchestrator.applications.tabular.profile import profile
from orchestrator.applications.tabular.results import CONTROL, WINNER, Outcome, Refinement, Scored, Standing, TabularResult
from orchestrator.applications.tabular.solve import Bench, TabularWork
from orchestrator.applications.tabular.space import space_of, tune
from orchestrator.applications.tabular.split import Fold, Split
from orchestrator.applications.tabular.table import Table
from orchestrator.applications.tabular.weaknesses import bands_of, classes_of
from orchestrator.errors import CompletionError, UsageError
from orchestrator.jobs.branching import best_of, was_scored
from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.job import RecordedJob
from orchestrator.jobs.loop import Kind, Ledger, Planner, search, seed_of
from orchestrator.jobs.refusals import fell_short
from orchestrator.jobs.steps import Step
from orchestrator.llm.extraction import extract
from orchestrator.types import Attempt, Completion, Event, Limits, RunRecord, Sampling


class TabularSolving(RecordedJob[TabularJob, TabularResult]):
    """One table, from baselines to sealed rows."""

    kind = "solve-tabular"
    name = "tabular job"
    job_type = TabularJob
    concurrency = 1

    @property
    def endpoint(self) -> ModelEndpoint:
        """The model of the options."""
        return self.job.endpoint

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
        brief = self._brief()
        work = TabularWork(
            kind=kind, task=ledger.task, job=self.job, brief=brief, bench=bench, model=self.model, ledger=ledger, pen=self.pen
        )
        if kind == "candidate":
            work.is_wanted = self._has_time
        await search(work, self.model, self.job.loop, ledger=ledger, pen=self.pen, planner=plan)

    def _brief(self) -> prompts.Brief:
        return prompts.brief_of(self.table, self.metric, self.profile.text(), self.job.form, space=self.job.trials > 0)

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
        refinements = await self._refined(ranked[0])
        names = [one.name for one in refinements] + [f"attempt {one.index}" for one in ranked]
        candidates = [one.candidate for one in refinements] + [self._candidate(one) for one in ranked]
        self.watcher.say("The best meet new folds.")
        winner, finalists = await choose(
            candidates,
            self.split,
            self.metric,
            self.engine.execute,
            limits=self.job.limits,
            seed=self.job.seed,
        )
        control = best_of(self._attempts("control"))
        bench = self._bench(self.split.folds(repeat=1))
        met = {name: each.evaluation for name, each in zip(names, finalists, strict=False)}
        if control is not None:
            met[CONTROL] = await bench.evaluate(self._candidate(control))
        scored = tuple(_scored(bench, name, found, winner.evaluation) for name, found in met.items())
        origins = [ranked[0]] * len(refinements) + ranked
        origin = next(one for one, each in zip(origins, finalists, strict=False) if each is winner)
        await self._open_sealed(origin, winner, control, scored)

    async def _refined(self, best: Attempt) -> tuple[Refinement, ...]:
        """The best of the search with features that help, and with other parameters; the latest first."""
        if self.standing.refinements is not None:
            return self.standing.refinements
        candidate, found, tried = self._candidate(best), list[Refinement](), list[Tried]()
        if self.job.features:
            kept = await self._with_features(best)
            if kept is not None and kept.candidate != candidate:
                candidate = kept.candidate
                found.insert(0, Refinement(name=f"attempt {best.index} with features", candidate=candidate))
            tried = kept.tried if kept is not None else []
        if self.job.trials:
            candidate = await self._tuned(candidate)
            if candidate.parameters:
                found.insert(0, Refinement(name=f"attempt {best.index} with other parameters", candidate=candidate))
        await self._stand(refinements=tuple(found), features=tuple(tried))
        return tuple(found)

    async def _with_features(self, best: Attempt) -> Kept | None:
        """Let the model propose features for the best, and keep those that help. None where it proposes none."""
        self.watcher.say("The model proposes features for the best.")
        asked = prompts.features(self._brief(), best.code)
        seed = seed_of(self.job.seed, f"{self.table.name}/features", "candidate", 0, 0)
        sampling = Sampling(temperature=self.job.temperature, max_new_tokens=self.job.max_new_tokens, seed=seed)
        answers: list[Completion] = []
        try:
            async with self.pen:
                answers = await self.model.chat(asked, sampling)
            features = proposals(extract(answers[0].text if answers else "").code)
        except CompletionError as error:
            if not error.prompt_refused:
                raise
            self.problems.append(f"The server refused to be asked for features: {error.message}")
            return None
        except ValueError as error:
            self.problems.append(f"No feature was proposed: {error}")
            return None
        self.watcher.say(f"Each of {', '.join(one.name for one in features)} is tried on five times two folds.")
        return await keep_features(
            self._candidate(best),
            features,
            self.split,
            self.metric,
            self.engine.execute,
            limits=self.job.limits,
            seed=self.job.seed,
        )

    async def _tuned(self, candidate: Candidate) -> Candidate:
        """The best choice of parameters in the space that a candidate names; itself where it names none."""
        try:
            space = space_of(candidate.code)
        except ValueError as error:
            self.problems.append(f"Parameters were not searched: {error}")
            return candidate
        if not space:
            self.problems.append("Parameters were not searched: the best candidate names no SPACE")
            return candidate
        self.watcher.say(f"{self.job.trials} choices of {', '.join(space)} are tried.")
        best, _ = await tune(
            candidate,
            space,
            self.table,
            self.split.search_folds(),
            self.metric,
            self.engine.execute,
            trials=self.job.trials,
            limits=self.job.limits,
            seed=self.job.seed,
        )
        return best

    async def _open_sealed(
        self, origin: Attempt, winner: Finalist, control: Attempt | None, finalists: tuple[Scored, ...]
    ) -> None:
        candidate, on_new = winner.candidate, winner.evaluation
        known = None if on_new.predictions is None else (self.table.y[on_new.rows], on_new.predictions)
        weights = await self._importances(candidate)
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
            winner=origin.index,
            candidate=candidate,
            finalists=finalists,
            sealed=final.by_name,
            sealed_rows=len(labels),
            classes=() if predictions is None or not self.table.classes else tuple(classes_of(self.table, labels, predictions)),
            bands=() if predictions is None or self.table.classes else tuple(bands_of(labels, predictions)),
            calibration=None if known is None or not self.table.classes else calibration_of(self.table, *known),
            residuals=None if known is None or self.table.classes else residuals_of(*known),
            importances=weights,
            audit=audited,
        )
        await self._stand(outcome=outcome)

    async def _importances(self, candidate: Candidate) -> tuple[Importance, ...]:
        self.watcher.say("Each column is shuffled in turn, to see what the winner takes from it.")
        folds = self.split.folds(repeat=1)
        try:
            return await importances(
                candidate, self.table, folds, self.metric, self.engine.execute, limits=self.job.limits, seed=self.job.seed
            )
        except ValueError as error:
            self.problems.append(f"There are no importances: {error}")
            return ()

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
        found = fell_short(attempts, self.job.max_new_tokens)
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
