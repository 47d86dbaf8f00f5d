"""Rewards for trainers of others, with no glue: TRL's `reward_funcs`, verl's `compute_score`, and a plain call.

    trainer = GRPOTrainer(model=..., reward_funcs=CodeReward(), train_dataset=..., args=...)

The data set has a column of hidden tests (`tests` unless named otherwise), and may have one of entry points (`entry_point`) and
one of stubs that completions go on from (`stub`). A batch is judged in one go by the sandboxes that `orchestrator.run` uses.

Left out: HTTP; a trainer that lives elsewhere asks the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from orchestrator.errors import UsageError
from orchestrator.llm.extraction import extract
from orchestrator.scoring import rewards
from orchestrator.scoring.rewards import Reward, Scored
from orchestrator.types import ExecutionResult, Limits, Program
from orchestrator.workflows import execution
from orchestrator.workflows.judging import defined

Judge = Callable[[Sequence[Program], Limits | None], Sequence[ExecutionResult]]
"""Runs programs and returns their results in the same order, as `execution.run_many` does."""


OnWord = Literal["accept", "none", "zero"]


class CodeReward:
    """A reward function for TRL: called with a batch, it returns one number, or None for unscored, per completion, in order.

    Args:
        reward: what a judged answer is worth; see `scoring.rewards`.
        tests: the column of hidden tests (pytest source that imports `candidate`, or HumanEval's `check`); a list is joined.
        entry_point: the column that names the function asked for.
        stub: the column of what a completion goes on from.
        limits: for each run.
        on_word: what an answer is worth that is accepted on its own word alone (`ExecutionResult.basis`): as others are
            (`accept`), nothing (`zero`), or not to be scored (`none`).
        refuse_together: None for what had to be judged in the candidate's own interpreter, where it could reach the tests.
        judge: who runs the programs.
    """

    def __init__(
        self,
        reward: Reward = rewards.binary,
        *,
        tests: str = "tests",
        entry_point: str = "entry_point",
        stub: str = "stub",
        limits: Limits | None = None,
        on_word: OnWord = "accept",
        refuse_together: bool = False,
        judge: Judge | None = None,
    ) -> None:
        if on_word not in get_args(OnWord):
            raise UsageError(f"There is no on_word={on_word!r}.", remedy=f"Choose from {', '.join(get_args(OnWord))}.")
        if on_word != "accept":
            reward = rewards.on_word(reward, 0.0 if on_word == "zero" else None)
        self._reward = rewards.apart_only(reward) if refuse_together else reward
        self._tests, self._entry_point, self._stub = tests, entry_point, stub
        self._limits, self._judge = limits, judge or execution.run_many
        self.__name__ = getattr(reward, "__name__", "code_reward")  # TRL logs rewards by this

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Judge a batch. Columns it does not know are left alone, as TRL passes all there are.

        Raises:
            UsageError: the column of tests is missing, or columns and completions differ in number.
            PrerequisiteError: nothing can be run here; the remedy says what helps.
        """
        count = len(completions)
        tests = columns.get(self._tests)
        if tests is None:
            raise UsageError(
                f"The data set has no column {self._tests!r} with hidden tests.",
                remedy=f"Name it: CodeReward(tests=...). Columns: {', '.join(_columns(columns)) or 'none'}.",
            )
        entries = columns.get(self._entry_point) or [""] * count
        stubs = columns.get(self._stub) or [""] * count
        if not len(tests) == len(entries) == len(stubs) == count:
            raise UsageError(
                f"There are {count} completions, but {len(tests)} rows of tests.",
                remedy="Give every column one value per completion.",
            )
        answers = [
            _answer(_text(completion), source, entry or "", stub or "")
            for completion, source, entry, stub in zip(completions, tests, entries, stubs, strict=True)
        ]
        values = self._scores(answers)
        if callable(
            log_metric := columns.get("log_metric")
        ):  # TRL's own: it stands beside the mean reward, which leaves None out
            log_metric("unscored", values.count(None) / max(count, 1))
        return values

    def score(self, completion: str, tests: str, *, entry_point: str = "", stub: str = "") -> float | None:
        """The plain call: one completion, its hidden tests, and what it is worth."""
        return self._scores([_answer(completion, tests, entry_point, stub)])[0]

    def _scores(self, answers: Sequence[tuple[Scored, Program | None]]) -> list[float | None]:
        programs = [program for _, program in answers if program]
        results = iter(self._judge(programs, self._limits) if programs else ())
        return [
            self._reward(Scored(scored.text, scored.code, next(results)) if program else scored) for scored, program in answers
        ]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    **_more: Any,
) -> float:
    """verl's signature: the reward of one answer.

    `ground_truth` is the source of the hidden tests, or a mapping with `tests`; `entry_point` and `stub` may stand in it or in
    `extra_info`. `data_source` is not looked at, nor is what some of verl's reward managers add for functions of their own.

    Raises:
        UsageError: there are no tests, or the answer could not be scored: verl has no number for that, and 0 would be a lie.
            Its rate-limited manager makes one of it all the same, and logs the error; the others let it rise.
    """
    truth = ground_truth if isinstance(ground_truth, Mapping) else {"tests": ground_truth}
    known = {**(extra_info or {}), **truth}
    if not known.get("tests"):
        raise UsageError(
            f"A row of {data_source!r} has no tests.", remedy="Put their source into ground_truth, or into ground_truth['tests']."
        )
    value = CodeReward().score(
        solution_str, known["tests"], entry_point=known.get("entry_point") or "", stub=known.get("stub") or ""
    )
    if value is None:
        raise UsageError(
            f"An answer to a row of {data_source!r} could not be scored: its tests or the sandbox failed.",
            remedy="Look at the row with `CodeReward().score`, or catch this and leave the row out.",
        )
    return value


def _answer(text: str, tests: str | Sequence[str], entry_point: str, stub: str) -> tuple[Scored, Program | None]:
    source = tests if isinstance(tests, str) else "\n".join(tests or ())
    code = extract(text, entry_point=entry_point or None, prompt=stub).code
    if not code:
        return Scored(text), None
    return Scored(text, code), Program(code=code, tests=source, entry_point=entry_point, defines=defined(stub))


def _columns(given: Mapping[str, Any]) -> list[str]:
    """Names of columns among what a trainer passes: it adds its own state and ways to log."""
    return sorted(name for name, value in given.items() if isinstance(value, Sequence) and name != "completion_ids")


def _text(completion: Any) -> str:
    """The text of a completion: a string, or the messages of a conversation."""
    if completion is None or isinstance(completion, str):
        return completion or ""
    return "\n".join(str(message.get("content") or "") for message in completion if message.get("role") == "assistant")
