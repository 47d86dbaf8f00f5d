"""One answer of the planning model: read the plan, make its network, try it in a sandbox, and train it for the first rung.

Nothing here sees a sealed row. A network counts once it passed the smoke test and was trained in a sandbox.

Left out: which answers are drawn when (`planning.py`), and what becomes of the best (`job.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.applications.model_research import prompts
from orchestrator.applications.model_research.assemble import model_source
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.details import Assembly, ResearchDetails, as_json, layers_of
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.narrower import narrowed
from orchestrator.applications.model_research.options import ResearchJob
from orchestrator.applications.model_research.proposals import Proposal, Unreadable, layers_in, proposal_of
from orchestrator.applications.model_research.smoke import MOST_PARAMETERS, Execute, SmokeReport, smoke
from orchestrator.applications.model_research.summary import summarise
from orchestrator.applications.model_research.training import Trained, TrainingOptions, TrainingRecord, train
from orchestrator.applications.model_research.written import write_model_code
from orchestrator.data.images import Split
from orchestrator.errors import SandboxError, UsageError
from orchestrator.jobs.branching import best_of
from orchestrator.jobs.classification import LONGEST, Diagnosis, Failure
from orchestrator.jobs.loop import Judged, Kind, Ledger
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import Extraction, normalised
from orchestrator.scoring.metrics import Metric
from orchestrator.types import Attempt, Fault, Message, Status, Verdict

_LIMITS = {
    Status.TIMED_OUT_WALL: Verdict.TIMED_OUT,
    Status.TIMED_OUT_CPU: Verdict.TIMED_OUT,
    Status.MEMORY_EXCEEDED: Verdict.MEMORY_EXCEEDED,
    Status.OUTPUT_EXCEEDED: Verdict.OUTPUT_EXCEEDED,
}

_NARROWINGS = 4
"""How often a network with too many parameters is made narrower: fewer than all of them grow with the square of the widths."""


@dataclass(kw_only=True)
class ResearchWork:
    """A `Work` of the loop."""

    task: str
    job: ResearchJob
    brief: prompts.Brief
    split: Split
    metric: Metric
    execute: Execute
    writer: Model
    """Who writes code of a plan, where a model does."""
    ledger: Ledger
    is_wanted: Callable[[], bool] = lambda: True
    kind: Kind = "candidate"
    _proposals: dict[str, Proposal] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Whether there is time for another round."""
        return self.is_wanted()

    def first(self, sample: int) -> tuple[Message, ...]:
        """A network without one to change."""
        return prompts.first(self.brief, self._history(), self._left, sample)

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        """Repair what cannot be built or trained, or improve what was measured."""
        parent = self.ledger.like(self.kind, failure.code, "") if failure.code else None
        layers = as_json(ResearchDetails.of(parent).assembly.layers if parent is not None else layers_in(failure.code))
        shown = Failure(code=layers, fault=failure.fault, feedback=failure.feedback, hint=failure.hint)
        if failure.fault is Fault.NONE:
            return prompts.improve(self.brief, shown, self._history(), self._left)
        return prompts.repair(self.brief, shown, self._left)

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        """The source of the network that an answer plans; a change is made to the layers of `parent`."""
        try:
            proposal = proposal_of(
                text,
                class_name=self.class_name,
                input_shape=self.split.data.input_shape,
                outputs=self.split.data.outputs,
                before=ResearchDetails.of(parent).assembly.layers if parent is not None else (),
            )
            source = model_source(proposal.config)
        except (Unreadable, UsageError) as error:
            return Extraction(draft=text[-LONGEST:], reason=f"{error}")
        self._proposals[normalised(source.code)] = proposal
        return Extraction(code=source.code, usable=True, problems=proposal.notes)

    @property
    def class_name(self) -> str:
        """Of the networks."""
        return class_name_of(self.job)

    async def judge(self, extraction: Extraction) -> Judged:
        """Try the network, and train it for the first rung."""
        if not extraction.usable:
            return Judged(diagnosis=Diagnosis(fault=Fault.FORMAT, feedback=extraction.reason), verdict=Verdict.INVALID_CANDIDATE)
        proposal = self._proposals[normalised(extraction.code)]
        assembly = Assembly(
            hypothesis=proposal.hypothesis,
            decision=proposal.decision,
            layers=layers_of(proposal.config),
            notes=proposal.notes,
        )
        try:
            return await self._measured(proposal.config, assembly)
        except SandboxError as error:
            diagnosis = Diagnosis(fault=Fault.SANDBOX, feedback=error.message)
            return Judged(diagnosis=diagnosis, verdict=Verdict.UNSCORED, code=extraction.code)

    async def _measured(self, config: ModelConfig, assembly: Assembly) -> Judged:
        config, report, assembly = await self._tried(config, assembly)
        source = model_source(config)
        details = ResearchDetails(assembly=assembly.model_copy(update={"parameters": report.parameters}), smoke=report)
        if not report.passed:
            return self._failed(source, details, report.failure, report.traceback, report.status)
        if self.job.writer == "code":
            written = await write_model_code(config, self.writer, execute=self.execute)
            notes = (*assembly.notes, *([written.note] if written.note else []))
            source = ModelSource(written.code, source.class_name, source.input_shape, source.outputs)
            assembly = details.assembly.model_copy(update={"written_by": written.by, "notes": notes})
            details = details.model_copy(update={"assembly": assembly})
        summary = await summarise(source, self.execute)
        details = details.model_copy(update={"summary": summary.text})
        trained = await self.train(source, self.job.rungs[0], self.job.seed)
        record = trained.record
        details = details.model_copy(update={"training": record})
        if record.failure:
            return self._failed(source, details, record.failure, record.trace, Status.OK)
        return Judged(
            diagnosis=Diagnosis(fault=Fault.NONE, feedback=told(self.metric, record, report, best_of(self.ledger.of(self.kind)))),
            verdict=Verdict.ACCEPTED,
            code=source.code,
            score=record.score,
            details=details.model_dump(mode="json"),
        )

    async def _tried(self, config: ModelConfig, assembly: Assembly) -> tuple[ModelConfig, SmokeReport, Assembly]:
        """The smoke test of a network, made narrower where it has too many parameters, and what became of it."""
        most = self.job.goal.most_parameters or MOST_PARAMETERS
        tried = functools.partial(
            smoke, execute=self.execute, rows=self.split.train_x[:16], seed=self.job.seed, most_parameters=most
        )
        planned = report = await tried(model_source(config))
        for _ in range(_NARROWINGS):
            if report.parameters is None or report.parameters <= most:
                break
            narrow = narrowed(config, parameters=report.parameters, most=most)
            if narrow is None:
                break
            config, report = narrow, await tried(model_source(narrow))
        if report is not planned:
            note = f"widths were scaled down: it had {planned.parameters:,} parameters, and {most:,} are allowed"
            assembly = assembly.model_copy(update={"layers": layers_of(config), "notes": (*assembly.notes, note)})
        return config, report, assembly

    async def train(self, source: ModelSource, epochs: int, seed: int) -> Trained:
        """Train a network in a sandbox for so many epochs."""
        options = TrainingOptions(epochs=epochs, seconds=self.job.training_seconds, threads=self.job.threads)
        return await train(source, self.split, self.execute, options=options, seed=seed, metric=self.metric)

    def _failed(self, source: ModelSource, details: ResearchDetails, failure: str, trace: str, status: Status) -> Judged:
        feedback = "\n".join(part for part in (trace.strip(), failure) if part)[-LONGEST:]
        limit = status in _LIMITS
        return Judged(
            diagnosis=Diagnosis(fault=Fault.RESOURCE_LIMIT if limit else Fault.CANDIDATE, feedback=feedback),
            verdict=_LIMITS.get(status, Verdict.RUNTIME_ERROR),
            code=source.code,
            details=details.model_dump(mode="json"),
        )

    @property
    def _left(self) -> int:
        return max(1, self.job.answers - len(self.ledger.of(self.kind)))

    def _history(self) -> list[str]:
        """A line for each network that was tried, once all drafts are there: drafts know nothing of each other."""
        attempts = [attempt for attempt in self.ledger.of(self.kind) if attempt.same_as is None]
        if all(attempt.round == 0 for attempt in attempts) and len(attempts) < min(3, self.job.answers):
            return []
        return [line for attempt in attempts if (line := history_line(attempt, self.metric))]


def history_line(attempt: Attempt, metric: Metric) -> str:
    """A network and what it scored, in a line; empty where nothing could be read."""
    details = ResearchDetails.of(attempt)
    if not details.assembly.layers:
        return ""
    names = " ".join(short(layer) for layer in details.assembly.layers)
    training = details.training
    if training is None or training.value is None:
        return f"{names}: failed, {attempt.feedback.splitlines()[-1][:120] if attempt.feedback else 'without a word'}"
    return f"{names}: {metric.name} {training.value:.3g}, {details.assembly.parameters or training.parameters:,} parameters"


def short(layer: dict[str, object]) -> str:
    """A layer in a word: `Conv2d(16)`."""
    size = next((layer[name] for name in ("out_channels", "out_features", "hidden_size", "p") if name in layer), None)
    return f"{layer['type']}" if size is None else f"{layer['type']}({size})"


def told(metric: Metric, record: TrainingRecord, report: SmokeReport, best: Attempt | None) -> str:
    """A result in sentences, for the next prompt."""
    assert record.value is not None
    last = record.epochs[-1]
    lines = [f"Result after {len(record.epochs) - 1} epoch(s): {metric.name} {record.value:.3g} on validation rows."]
    before = ResearchDetails.of(best).training if best is not None else None
    if before is not None and before.value is not None:
        gain = metric.score(record.value) - metric.score(before.value)
        lines.append(f"The best before had {before.value:.3g}: this is {'better' if gain > 0 else 'not better'}.")
    if last.known_value is not None:
        gap = metric.score(last.known_value) - metric.score(record.value)
        lines.append(f"On training rows {last.known_value:.3g}: {'it overfits' if gap > 0.05 else 'no overfitting'}.")
    lines.append(f"{record.parameters:,} parameters, {record.wall_time:.0f} s.")
    if report.unused:
        lines.append(f"Never used: {', '.join(report.unused[:3])}.")
    return "\n".join([*lines, *record.warnings])


def class_name_of(job: ResearchJob) -> str:
    """Of the networks of a job: `DigitsNet`."""
    words = "".join(
        part[:1].upper() + part[1:] for part in "".join(c if c.isascii() and c.isalnum() else " " for c in job.title).split()
    )
    return f"{words}Net" if words[:1].isalpha() else f"Net{words}"
