"""A recorded job: search for a network that meets a goal, and say over several seeds what it is worth.

1. the search: plans, their networks assembled, tried and trained for one epoch, repaired and improved;
2. rungs: a third of the networks go on to three epochs, a third of those to nine;
3. the best and a baseline, trained with the same seeds;
4. both on the sealed rows, opened once.

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
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.details import ResearchDetails
from orchestrator.applications.model_research.directory import RunDirectory
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.applications.model_research.planning import going_on, planner
from orchestrator.applications.model_research.proposals import with_head
from orchestrator.applications.model_research.results import BASELINE, WINNER, Outcome, ResearchResult, RungResult, Standing, iteration
from orchestrator.applications.model_research.seeds import paired, spread_of
from orchestrator.applications.model_research.training import (
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
from orchestrator.jobs.steps import Step
from orchestrator.llm.base import Model
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
        return ModelEndpoint(base_url=self.job.base_url, model=self.job.model, parallel=self.job.parallel)

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
            WINNER: await self._with_seeds(source, epochs, seeds),
            BASELINE: await self._with_seeds(baseline, epochs, seeds),
        }
        if not any(one.weights and not one.record.failure for one in trained[WINNER]):
            self.problems.append(f"The winner could not be trained again: {trained[WINNER][0].record.failure}")
            return
        self.watcher.say("The sealed rows are opened.")
        await self._stand(opened=self.split.opened + 1)  # recorded before anything is seen of them
        tested = await open_test(trained, self.split, self.engine.execute, metric=self.metric)
        await self._stand(outcome=self._outcome(winner, source, trained, tested.by_name))

    def _outcome(
        self, winner: Attempt, source: ModelSource, trained: dict[str, list[Trained]], tested: dict[str, TestedModel]
    ) -> Outcome:
        sealed = {name: spread_of(one.values) for name, one in tested.items()}
        target, goal, mean = self.job.goal.target, self.job.goal, sealed[WINNER].mean
        bound = sealed[WINNER].low if self.metric.greater_is_better else sealed[WINNER].high
        return Outcome(
            winner=winner.index,
            class_name=source.class_name,
            code=source.code,
            summary=ResearchDetails.of(winner).summary,
            trainings={name: tuple(one.record for one in several) for name, several in trained.items()},
            validation={name: spread_of([one.record.value for one in several]) for name, several in trained.items()},
            lead=paired(self.metric, tested[WINNER].values, tested[BASELINE].values),
            tested=tested,
            sealed=sealed,
            reached=None if target is None else goal.reached_by(mean, self.metric),
            surely=None if target is None else goal.reached_by(bound, self.metric),
        )

    async def _climb(self, scored: Sequence[Attempt]) -> Attempt:
        """The best after the last rung: on each a third of the networks is left, trained from the beginning."""
        left = list(scored)
        scores = {attempt.index: attempt.score for attempt in left}
        for epochs in self.job.rungs[1:]:
            count = max(1, round(len(left) / 3))
            chosen = going_on([(attempt.index, scores[attempt.index]) for attempt in left], count)
            left = [attempt for attempt in left if attempt.index in chosen]
            if len(left) == 1:
                return left[0]  # its seeds are next
            self.watcher.say(f"The best {len(left)} are trained for {epochs} epochs.")
            for attempt in left:
                known = next((one for one in self.standing.rungs if (one.attempt, one.epochs) == (attempt.index, epochs)), None)
                if known is None:
                    found = await self._train(self._source(attempt), epochs, self.job.seed)
                    known = RungResult(attempt=attempt.index, epochs=epochs, record=found.record)
                    await self._stand(rungs=(*self.standing.rungs, known))
                scores[attempt.index] = known.record.score
                self.watcher.say(f"Attempt {attempt.index}: {self._shown(known.record.value)} after {epochs} epochs.")
        best = going_on([(attempt.index, scores[attempt.index]) for attempt in left], 1)[0]
        return next(attempt for attempt in left if attempt.index == best)

    async def _with_seeds(self, source: ModelSource, epochs: int, seeds: Sequence[int]) -> list[Trained]:
        found = []
        for seed in seeds:
            found.append(await self._train(source, epochs, seed))
            self.watcher.say(f"{source.class_name}, seed {seed}: {self._shown(found[-1].record.value)} on validation rows.")
        if len({one.record.initial for one in found if one.record.initial}) < sum(bool(one.record.initial) for one in found):
            self.problems.append(f"{source.class_name} has the same weights for several seeds: its seeds are not independent")
        return found

    async def _train(self, source: ModelSource, epochs: int, seed: int) -> Trained:
        options = TrainingOptions(epochs=epochs, seconds=self.job.training_seconds, threads=self.job.threads)
        return await train(source, self.split, self.engine.execute, options=options, seed=seed, metric=self.metric)

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
            problems=[*self.problems, *self._notes()],
            wall_time=self.time_spent,
            error=self.error,
        )

    def _notes(self) -> list[str]:
        attempts = self._attempts()
        refused = [attempt.completion.refused for attempt in attempts if attempt.completion.refused]
        cut = sum(attempt.completion.finish_reason == "length" for attempt in attempts)
        found = [f"The server refused {len(refused)} prompts. It said: {refused[0]}"] if refused else []
        if cut:
            found.append(f"{cut} answers were cut off at --max-new-tokens {self.job.max_new_tokens}")
        return found

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
