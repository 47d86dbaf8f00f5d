"""A recorded job: search for a network that meets a goal, and say over several seeds what it is worth.

1. the search: plans, their networks assembled, tried and trained for one epoch, repaired and improved;
2. rungs: a third of the networks go on to three epochs, a third of those to nine;
3. the best and a baseline, trained with the same seeds;
4. the best on labels of other rows, from which it must learn nothing;
5. both on the sealed rows, opened once.

What is done is recorded, and a resumed job does the rest.

Left out: what a person sees of it. That is the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.applications.model_research import prompts
from orchestrator.applications.model_research.assemble import model_source
from orchestrator.applications.model_research.canary import Canary, canary
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.directory import RunDirectory
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.applications.model_research.planning import planner
from orchestrator.applications.model_research.proposals import with_head
from orchestrator.applications.model_research.results import (
    BASELINE,
    WINNER,
    Climbed,
    Outcome,
    ResearchResult,
    Standing,
    iteration,
)
from orchestrator.applications.model_research.rungs import Rung, RungResult, epochs_of, plan
from orchestrator.applications.model_research.seeds import alike, train_on_seeds, value_over
from orchestrator.applications.model_research.training import (
    Tested,
    TestedModel,
    Trained,
    TrainingOptions,
    chance,
    metric_for,
    open_test,
    train,
)
from orchestrator.applications.model_research.work import ResearchWork, class_name_of
from orchestrator.data.images import Split
from orchestrator.errors import UsageError
from orchestrator.jobs.branching import was_scored
from orchestrator.jobs.endpoint import ModelEndpoint, remote
from orchestrator.jobs.job import RecordedJob
from orchestrator.jobs.loop import Ledger, search
from orchestrator.jobs.refusals import fell_short
from orchestrator.jobs.steps import Step
from orchestrator.llm.base import Model
from orchestrator.scoring.seeds import compare, mean_of
from orchestrator.types import Attempt, Event, GiB, Limits, RunRecord


class ModelResearch(RecordedJob[ResearchJob, ResearchResult]):
    """One goal, from its first plan to the sealed rows."""

    kind = "research"
    name = "model research"
    job_type = ResearchJob
    concurrency = 1

    def __init__(self, *given: Any, parent: Path, verbose: bool = False, **named: Any) -> None:
        """As of every job; `parent` is where the run directory is made, `verbose` shows each plan."""
        super().__init__(*given, **named)
        self._parent, self._verbose = parent, verbose
        self._directory: RunDirectory | None = None
        self._tested: Tested | None = None

    def drop_directory(self) -> None:
        """Take the run directory away, if there is one: the run store has it all."""
        if self._directory is not None:
            self._directory.remove()

    @property
    def directory(self) -> RunDirectory:
        """The run directory, made when it is first wanted."""
        if self._directory is None:
            self._directory = RunDirectory(self._parent)
        return self._directory

    async def keep(self, attempt: Attempt) -> None:
        """Record an attempt, in the run store and in the registry."""
        await super().keep(attempt)
        details = ResearchDetails.of(attempt)
        if self._verbose:
            for text in (details.assembly.hypothesis, *details.assembly.notes, details.summary):
                if text:
                    self.watcher.say(text)
        await asyncio.to_thread(self.directory.write_registry, [iteration(one) for one in self._attempts()])

    @property
    def endpoint(self) -> ModelEndpoint:
        """The model that plans."""
        return self.job.endpoint

    @property
    def limits(self) -> Limits:
        """Of one training; each says its own."""
        return Limits(wall_time=self.job.training_seconds + 60, cpu_time=self.job.training_seconds + 60, memory=4 * GiB)

    async def load(self) -> Sequence[Step]:
        """Read and split the data; recall what an interrupted run has found."""
        data = await asyncio.to_thread(self.job.read, self.settings.data)
        self.standing = Standing.model_validate((self.run.summary if self.run else {}).get("standing", {}))
        self.split = await asyncio.to_thread(Split, data, self.job.seed, opened=self.standing.opened)
        digest = hashlib.sha256(data.x.tobytes() + data.y.tobytes()).hexdigest()
        if self.standing.data not in ("", digest):
            raise UsageError(f"{data.name} has changed since the run began.", remedy="Restore it, or start a new run.")
        self.standing = self.standing.model_copy(update={"data": digest})
        if not self.job.rungs:
            rungs = epochs_of(self.split.facts.train, TrainingOptions().batch)
            self.job = self.job.model_copy(update={"rungs": rungs})
        self.metric = metric_for(self.split, self.job.goal.metric)
        self.chance = chance(self.split, self.metric)
        return [Step(self.job.title)]

    def is_done(self, step: Step) -> bool:
        """The search is over."""
        return self.standing.searched

    def is_over(self) -> bool:
        """The sealed rows were opened, or nothing is worth opening them."""
        return self.standing.outcome is not None or not any(map(was_scored, self.attempts.values()))

    async def one(self, step: Step) -> None:
        """The search."""
        self.watcher.on_event(Event(kind="task_started", task=step.task, text=self._aloud()))
        self.watcher.say(self.split.described())
        ledger = Ledger(task=step.task, record=self.keep, on_event=self.watcher.on_event, attempts=self._attempts())
        async with self._writer() as writer:
            await self._search(ledger, writer)
        await self._stand(searched=True)

    async def _search(self, ledger: Ledger, writer: Model) -> None:
        work = ResearchWork(
            task=ledger.task,
            job=self.job,
            brief=prompts.brief_of(self.job.goal, self.split.data.described(), self.metric, self.split.data.input_shape),
            split=self.split,
            metric=self.metric,
            execute=self.engine.execute,
            writer=writer,
            ledger=ledger,
            is_wanted=lambda: self.job.seconds is None or self.time_spent < self.job.seconds,
        )
        await search(work, self.model, self.job.loop, ledger=ledger, pen=self.pen, planner=planner(self.job, self.metric.name))

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[Model]:
        """Who writes code: the planning model, or one at a server of its own."""
        if not self.job.writer_url:
            yield self.model
            return
        endpoint = ModelEndpoint(base_url=self.job.writer_url, model=self.job.writer_model, parallel=1)
        async with remote(endpoint, self.settings, self.watcher) as writer:
            yield writer

    async def finish(self) -> None:
        """More epochs for the best, several seeds for the winner and the baseline, then the sealed rows, once."""
        if self.error is not None or self.standing.outcome is not None:
            return
        scored = [attempt for attempt in self._attempts() if was_scored(attempt) and attempt.same_as is None]
        if not scored:
            self.problems.append("No network could be trained, so the sealed rows stay sealed")
            return
        winner = await self._climb(scored)
        source = self._source(winner)
        baseline = self._baseline()
        epochs = self.job.rungs[-1]
        seeds = [self.job.seed + 1 + place for place in range(self.job.pairs)]
        self.watcher.say(f"The best and the baseline are trained for {epochs} epochs with {len(seeds)} seeds each.")
        trained = {
            WINNER: await self._with_seeds(WINNER, source, seeds),
            BASELINE: await self._with_seeds(BASELINE, baseline, seeds),
        }
        if not any(one.weights and not one.record.failure for one in trained[WINNER]):
            self.problems.append(f"The winner could not be trained again: {trained[WINNER][0].record.failure}")
            return
        self.watcher.say("The winner is trained on labels of other rows.")
        options = self._options(epochs)
        found = await canary(source, self.split, self.engine.execute, options=options, seed=seeds[0], metric=self.metric)
        self.watcher.say("The sealed rows are opened.")
        await self._stand(opened=self.split.opened + 1)  # recorded before anything is seen of them
        self._tested = await open_test(trained, self.split, self.engine.execute, metric=self.metric)
        await self._stand(outcome=self._outcome(winner, source, trained, self._tested.by_name, found))

    def _outcome(
        self,
        winner: Attempt,
        source: ModelSource,
        trained: dict[str, list[Trained]],
        tested: dict[str, TestedModel],
        found_by_canary: Canary,
    ) -> Outcome:
        sealed = {name: mean_of(one.values) for name, one in tested.items()}
        goal, found = self.job.goal, sealed[WINNER]
        worst = None if found is None else found.low if self.metric.greater_is_better else found.high
        pairs = _by_seed(trained, tested)
        return Outcome(
            winner=winner.index,
            class_name=source.class_name,
            code=source.code,
            summary=ResearchDetails.of(winner).summary,
            trainings={name: tuple(one.record for one in several) for name, several in trained.items()},
            validation={name: value_over(several) for name, several in trained.items()},
            lead=compare(self.metric, *zip(*pairs, strict=True)) if pairs else compare(self.metric, [], []),
            tested=tested,
            sealed=sealed,
            canary=found_by_canary,
            reached=None if goal.target is None else found is not None and goal.reached_by(found.mean, self.metric),
            surely=None if goal.target is None else goal.reached_by(worst, self.metric),
        )

    async def _climb(self, scored: Sequence[Attempt]) -> Attempt:
        """The best after the last rung but one: each rung keeps a third of the networks and trains them from the beginning.

        The last rung is the training with several seeds.
        """
        by_name = {str(attempt.index): attempt for attempt in scored}
        keep = [max(1, round(len(scored) / 3**place)) for place in range(len(self.job.rungs))]
        rungs = [Rung(epochs, count) for epochs, count in zip(self.job.rungs, keep, strict=True)][:-1] or [Rung(1, len(scored))]
        while not (found := plan([*by_name], self._results(scored), rungs=rungs)).is_over:
            for step in found.steps:
                self.watcher.say(f"Plan {step.name} is trained for {step.epochs} epochs.")
                trained = await self._train(self._source(by_name[step.name]), step.epochs, self.job.seed)
                climbed = Climbed(attempt=int(step.name), rung=step.rung, record=trained.record)
                await self._stand(rungs=(*self.standing.rungs, climbed))
                self.watcher.say(f"Plan {step.name}: {self._shown(trained.record.value)} after {step.epochs} epochs.")
        assert found.best is not None  # each has a score on the first rung
        return by_name[found.best]

    def _results(self, scored: Sequence[Attempt]) -> list[RungResult]:
        """What is known of each network on each rung: the first was trained in the search."""
        first = [(attempt.index, 0, ResearchDetails.of(attempt).training) for attempt in scored]
        later = [(one.attempt, one.rung, one.record) for one in self.standing.rungs]
        return [
            RungResult(name=str(index), rung=rung, score=None if record.value is None else record.score, seconds=record.wall_time)
            for index, rung, record in (*first, *later)
            if record is not None
        ]

    async def _with_seeds(self, name: str, source: ModelSource, seeds: Sequence[int]) -> list[Trained]:
        options = self._options(self.job.rungs[-1])
        found = await train_on_seeds(source, self.split, self.engine.execute, seeds, options=options, metric=self.metric)
        why = next((one.record.failure for one in found if one.record.failure), "not defined")
        self.watcher.say(f"The {name} on validation rows: {value_over(found) or why}.")
        if warning := alike(found):
            self.problems.append(f"The {name}: {warning}")
        return found

    async def _train(self, source: ModelSource, epochs: int, seed: int) -> Trained:
        return await train(source, self.split, self.engine.execute, options=self._options(epochs), seed=seed, metric=self.metric)

    def _options(self, epochs: int) -> TrainingOptions:
        return TrainingOptions(epochs=epochs, seconds=self.job.training_seconds, threads=self.job.threads)

    def _baseline(self) -> ModelSource:
        data = self.split.data
        layers = prompts.baseline_layers(data.input_shape)
        return model_source(
            with_head(ModelConfig(class_name="BaselineNet", input_shape=data.input_shape, layers=layers), data.outputs, [])
        )

    def _source(self, attempt: Attempt) -> ModelSource:
        data = self.split.data
        return ModelSource(attempt.code, class_name_of(self.job), data.input_shape, data.outputs)

    def result(self, run: RunRecord) -> ResearchResult:
        """What is known so far."""
        return ResearchResult(
            run=run,
            job=self.job,
            card=self.split.described(),
            facts=self.split.facts,
            metric=self.metric.name,
            chance=self.chance,
            standing=self.standing,
            attempts=self._attempts(),
            tested=self._tested,
            problems=[*self.problems, *fell_short(self._attempts(), self.job.max_new_tokens)],
            wall_time=self.time_spent,
            error=self.error,
        )

    async def _stand(self, **changes: object) -> None:
        """Change what was found, and record it."""
        self.standing = self.standing.model_copy(update=changes)
        await self.save()

    def _attempts(self) -> list[Attempt]:
        return sorted(self.attempts.values(), key=lambda item: (item.round, item.sample))

    def _aloud(self) -> str:
        goal = self.job.goal
        direction = "larger" if self.metric.greater_is_better else "smaller"
        aim = f", to reach {goal.target:g}" if goal.target is not None else ""
        cap = f", at most {goal.most_parameters:,} parameters" if goal.most_parameters else ""
        left = f"; not taken into account: {', '.join(goal.left_out)}" if goal.left_out else ""
        return f"{self.split.data.task} on {self.split.data.name}, {self.metric.name} ({direction} is better){aim}{cap}{left}"

    def _shown(self, value: float | None) -> str:
        return f"{self.metric.name} {value:.4g}" if value is not None else "failed"


def _by_seed(trained: dict[str, list[Trained]], tested: dict[str, TestedModel]) -> list[tuple[float | None, float | None]]:
    """What winner and baseline scored on the sealed rows with the same seed."""
    values = {
        name: dict(
            zip(
                (one.record.seed for one in trained[name] if one.weights and not one.record.failure),
                tested[name].values,
                strict=True,
            )
        )
        for name in (WINNER, BASELINE)
    }
    return [(value, values[BASELINE][seed]) for seed, value in values[WINNER].items() if seed in values[BASELINE]]
