"""Answers: what training needs of a recorded attempt, and which attempts it can need.

Left out: attempts that nobody can learn from. `answers_of` counts them by reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from orchestrator.scoring.paired import corrected
from orchestrator.types import Attempt, Message, RunRecord, Value, Verdict

Prompt = tuple[Message, ...]
_Z = 1.2816
"""One-sided 90 % of the normal distribution."""


class Answer(Value):
    """One answer to one prompt, judged."""

    run: str
    dataset: str = ""
    """The benchmark, or the application that asked."""
    task: str
    index: int
    """(run, task, index) finds the attempt again."""
    kind: str = "candidate"
    """`candidate`, or `tests` where the answer was unit tests."""
    prompt: Prompt
    continues: bool = False
    """The answer continues where the prompt ends, so prompt + text is the program."""
    text: str
    """As the model wrote it."""
    code: str = ""
    """What was extracted from it; empty where nothing usable was found."""
    verdict: Verdict
    reward: float | None = None
    scale: str = ""
    """What the reward was measured by. Rewards of different scales are not compared."""
    folds: tuple[float, ...] = ()
    """Where the reward is a mean over folds, the same ones for all rewards of its scale: its value on each."""
    noise: float | None = None
    """Standard error of the reward; None where it has none."""
    stages: tuple[str, ...] = ()
    """How far its program says that it came, for people: nothing is decided by it."""
    cut_off: bool = False
    """The model ran out of tokens."""
    seed: int | None = None
    corrects: int | None = None
    """`index` of the answer that this one corrects."""
    created: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether it is right."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def group(self) -> tuple[str, str, str]:
        """The task, distinguished from tasks of other data sets with the same name."""
        return self.dataset, self.task, self.kind

    def betters(self, other: Answer) -> bool | None:
        """Whether its reward is higher by more than the noise of both (one-sided 90 %); None where one of them has no noise."""
        if self.reward is None or other.reward is None or self.scale != other.scale or None in (self.noise, other.noise):
            return None
        count = len(self.folds)
        if count > 1 and len(other.folds) == count:
            gain = corrected([a - b for a, b in zip(self.folds, other.folds, strict=True)], held_out=1 / (count - 1))
            return gain is not None and gain.low > 0
        return self.reward - other.reward > _Z * math.hypot(self.noise or 0.0, other.noise or 0.0)


Reward = Callable[[Attempt], tuple[float | None, str]]
"""(reward, scale) of an attempt."""


def recorded(attempt: Attempt) -> tuple[float | None, str]:
    """The reward that the attempt was recorded with."""
    return attempt.reward, "recorded"


def answers_of(
    run: RunRecord,
    attempts: Sequence[Attempt],
    *,
    reward: Reward = recorded,
    prompts: Mapping[str, str] | None = None,
    together: bool = False,
) -> tuple[list[Answer], Counter[str]]:
    """The usable answers of a run in the order of its attempts, and how many attempts have none, by reason.

    `prompts` (by task) are for runs that judged recorded completions and so have asked nothing themselves. `together` keeps
    what was judged in the candidate's own interpreter, where it could have reached its tests.

    Reasons: `unscored`, `invalid_tests` (for answers that are tests that is a verdict on them, and they stay), `judged_together`,
    `no_prompt`, `empty`.
    """
    dropped: Counter[str] = Counter()
    found = []
    for attempt in attempts:
        asked, continues = _asked(run, attempt, prompts or {})
        if reason := _unusable(attempt, asked, together):
            dropped[reason] += 1
            continue
        value, scale = reward(attempt)
        found.append(
            Answer(
                run=run.id,
                dataset=dataset_of(run),
                task=attempt.task,
                index=attempt.index,
                kind="tests" if attempt.kind == "tests" else "candidate",  # a control is a candidate
                prompt=asked,
                continues=continues,
                text=attempt.completion.text,
                code=attempt.code,
                verdict=attempt.verdict,
                reward=value,
                scale=scale,
                cut_off=attempt.completion.finish_reason == "length",
                seed=attempt.completion.seed if attempt.completion.seed is not None else attempt.sampling.seed,
                corrects=attempt.parent,
                created=attempt.created,
            )
        )
    return found, dropped


def dataset_of(run: RunRecord) -> str:
    """The benchmark of a run, a file by its name alone; for other applications what they are called."""
    return PurePath(str(run.config.get("dataset") or run.kind)).name


def judging_of(attempt: Attempt) -> str:
    """How the run that decided was judged: `apart`, `together`, or `none` where nothing ran."""
    decided = attempt.hidden or attempt.report
    return "none" if decided is None else decided.judging


def _unusable(attempt: Attempt, asked: Prompt, together: bool) -> str:
    if attempt.verdict is Verdict.UNSCORED:
        return "unscored"
    if attempt.verdict is Verdict.INVALID_TESTS and attempt.kind == "candidate":
        return "invalid_tests"
    if judging_of(attempt) == "together" and not together:
        return "judged_together"
    if not asked:
        return "no_prompt"
    return "" if attempt.completion.text.strip() else "empty"


def _asked(run: RunRecord, attempt: Attempt, prompts: Mapping[str, str]) -> tuple[Prompt, bool]:
    """The prompt, and whether the answer continues it."""
    if attempt.messages:
        return attempt.messages, run.config.get("style") == "complete" and attempt.parent is None
    prompt = prompts.get(attempt.task, "")
    if not prompt:
        return (), False
    return (Message(role="user", content=prompt),), attempt.code == prompt + attempt.completion.text
