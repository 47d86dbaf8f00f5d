"""A recorded job over many tables: every setting searches every table, and the settings are compared, paired by table.

Each search is a run of its own (`job.py`), which can be looked at, resumed and made training data of. This job says which ones
there are, and starts the model of one setting after the other.

Left out: what the numbers say together (`ranking.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from orchestrator.applications.tabular.job import TabularSolving
from orchestrator.applications.tabular.manifest import Cell, SuiteJob
from orchestrator.applications.tabular.ranking import CellResult, SuiteResult, SuiteStanding
from orchestrator.jobs.endpoint import ModelEndpoint, embedded, remote
from orchestrator.jobs.job import RecordedJob
from orchestrator.jobs.steps import Step
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.base import Model
from orchestrator.types import Event, Limits, RunRecord


class SuiteEvaluation(RecordedJob[SuiteJob, SuiteResult]):
    """Settings on tables."""

    kind = "eval-tabular"
    name = "tabular evaluation"
    job_type = SuiteJob
    concurrency = 1
    _served: tuple[ModelEndpoint, Model] | None = None
    """What runs now."""
    _models: contextlib.AsyncExitStack

    @property
    def endpoint(self) -> ModelEndpoint | None:
        """None: each setting has its own."""
        return None

    @property
    def limits(self) -> Limits:
        """Of one candidate on one fold."""
        return self.job.cells[0].job.limits

    async def load(self) -> Sequence[Step]:
        """Recall what is done, and read each table once, so that a mistake in the last one is not found at the end."""
        self.standing = SuiteStanding.model_validate((self.run.summary if self.run else {}).get("standing", {}))
        self.cells = {cell.name: cell for cell in self.job.cells}
        for job in {cell.table: cell.job for cell in self.job.cells if cell.name not in self.standing.results}.values():
            await asyncio.to_thread(job.read)
        return [Step(name) for name in self.cells]

    def is_done(self, step: Step) -> bool:
        """Its search is over."""
        return step.task in self.standing.results

    async def one(self, step: Step) -> None:
        """Search one table with one setting, or resume that."""
        cell = self.cells[step.task]
        self.watcher.on_event(Event(kind="task_started", task=step.task, text=f"{cell.setting} on {cell.table}"))
        watcher = Watcher(
            on_start=lambda run: self._began_with(cell, run), on_event=self.watcher.on_event, on_bytes=self.watcher.on_bytes
        )
        search = TabularSolving(self.settings, self.store, watcher=watcher, engine=self.engine, model=await self._writer(cell))
        known = self.standing.runs.get(cell.name)
        result = await (search.run_job(cell.job) if known is None else search.resume_job(known))
        if result.error is not None:
            raise result.error
        results = {**self.standing.results, cell.name: CellResult.of(cell, result)}
        self.standing = self.standing.model_copy(update={"results": results})
        await self.save()

    def _began_with(self, cell: Cell, run: RunRecord) -> None:
        """Remember the run of a search before anything comes of it, so that it is resumed and not begun again."""
        assert self.run is not None
        self.standing = self.standing.model_copy(update={"runs": {**self.standing.runs, cell.name: run.id}})
        self.store.update_run(self.run.id, summary=self.result(self.run).summary())

    async def _writer(self, cell: Cell) -> Model:
        """The model of a setting; the one before it is stopped first."""
        if self._model is not None:
            return self._model
        endpoint = ModelEndpoint(base_url=cell.job.base_url, model=cell.job.model, parallel=cell.job.parallel)
        if self._served is None or self._served[0] != endpoint:
            self._served = None
            await self._models.aclose()
            serve = remote if endpoint.base_url else embedded
            self._served = endpoint, await self._models.enter_async_context(serve(endpoint, self.settings, self.watcher))
        return self._served[1]

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        async with super()._open(), contextlib.AsyncExitStack() as self._models:
            yield

    def result(self, run: RunRecord) -> SuiteResult:
        """What is known so far."""
        return SuiteResult(
            run=run,
            job=self.job,
            standing=self.standing,
            problems=list(self.problems),
            wall_time=self.time_spent,
            error=self.error,
        )
