"""Rewards for trainers of others, with no glue: TRL's `reward_funcs`, verl's `compute_score`, and a plain call.

    trainer = GRPOTrainer(model=..., reward_funcs=CodeReward(), train_dataset=..., args=...)

The data set has a column of hidden tests (`tests` unless named otherwise), and may have one of entry points (`entry_point`) and
one of stubs that completions continue (`stub`). Tests may have any shape of `data/benchmarks/hidden.py`: source, asserts,
inputs with outputs, as Python values, arrays or JSON; a row without any is None. A batch is judged in one go by the sandboxes
that `orchestrator.run` uses.

Left out: HTTP; a trainer that lives elsewhere asks the service.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from orchestrator.data.benchmarks import is_check
from orchestrator.data.benchmarks.hidden import Hidden, ShapeError, calls_source, described, holds_tests, plain, read_hidden
from orchestrator.data.benchmarks.names import checked_name, completed, defined, is_entry_point, module_of, of_method
from orchestrator.engine import background
from orchestrator.engine.outputs import judged_outputs, programs_of
from orchestrator.errors import UsageError, no_such
from orchestrator.llm.extraction import extract
from orchestrator.llm.replies import text_of
from orchestrator.scoring import rewards
from orchestrator.scoring.checkers import number
from orchestrator.scoring.rewards import Reward, Scored
from orchestrator.types import ExecutionResult, IOCase, Limits, Program, Verdict

Judge = Callable[[Sequence[Program], Limits | None], Sequence[ExecutionResult]]
"""Runs programs and returns their results in the same order, as `background.run_many` does."""
_log = logging.getLogger("fumehood.rewards")


@dataclass(frozen=True)
class _Answer:
    """One completion on its way to a reward."""

    text: str
    code: str = ""
    """Empty where the completion holds none: nothing is run."""
    programs: tuple[Program, ...] = ()
    """One with its tests, or one for each case."""
    cases: tuple[IOCase, ...] = ()
    is_untested: bool = False
    """Its row has no tests, as rows of other tasks in a mixed data set have none: nothing is known of it."""


OnWord = Literal["accept", "none", "zero"]


class CodeReward:
    """A reward function for TRL: called with a batch, it returns one number, or None for unscored, per completion, in order.

    Args:
        reward: what a judged answer is worth; see `scoring.rewards`.
        tests: the column of hidden tests, in a shape of `data/benchmarks/hidden.py`.
        entry_point: the column that names the function asked for, or the method (`Solution().method`).
        stub: the column with the text that a completion continues.
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
            raise no_such("on_word", str(on_word), get_args(OnWord))
        if on_word != "accept":
            reward = rewards.on_word(reward, 0.0 if on_word == "zero" else None)
        self._reward = rewards.apart_only(reward) if refuse_together else reward
        self._tests, self._entry_point, self._stub = tests, entry_point, stub
        self._limits, self._judge = limits, judge or background.run_many
        self._has_explained = False
        self.__name__ = getattr(reward, "__name__", "code_reward")  # TRL logs rewards by this

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Judge a batch. Columns it does not know are left alone, as TRL passes all there are.

        Raises:
            UsageError: the column of tests is missing, columns and completions differ in number, or a row's completion, tests or
                entry point have no shape that is known: the message names row and shape.
            PrerequisiteError: nothing can be run here; the remedy says what helps.
        """
        count = len(completions)
        tests = columns.get(self._tests)
        if tests is None:
            raise UsageError(
                f"The data set has no column {self._tests!r} with hidden tests.",
                remedy=f"Name it: CodeReward(tests=...). Columns: {', '.join(_columns(columns)) or 'none'}.",
            )
        entries, stubs = (
            columns[name] if columns.get(name) is not None else [""] * count for name in (self._entry_point, self._stub)
        )
        if not len(tests) == len(entries) == len(stubs) == count:
            raise UsageError(
                f"There are {count} completions, but {len(tests)} rows of tests.",
                remedy="Give every column one value per completion.",
            )
        answers = [
            _answer(completion, source, entry or "", stub or "", f"Row {row} of the batch")
            for row, (completion, source, entry, stub) in enumerate(zip(completions, tests, entries, stubs, strict=True))
        ]
        values = self._scores(answers)
        if callable(
            log_metric := columns.get("log_metric")
        ):  # TRL's own: it stands beside the mean reward, which leaves None out
            log_metric("unscored", values.count(None) / max(count, 1))
        return values

    def score(self, completion: str, tests: Any, *, entry_point: str = "", stub: str = "") -> float | None:
        """The plain call: one completion, its hidden tests, and what it is worth.

        Raises:
            UsageError: the tests have no shape that is known.
        """
        return self._scores([_answer(completion, tests, entry_point, stub, "This row")])[0]

    def _scores(self, answers: Sequence[_Answer]) -> list[float | None]:
        scored = _scored(answers, self._judge, self._limits)
        values = [None if answer.is_untested else self._reward(one) for answer, one in zip(answers, scored, strict=True)]
        if scored and all(value is None for value in values) and not self._has_explained:
            self._has_explained = True
            untested = all(answer.is_untested for answer in answers)
            why = "their rows have no tests" if untested else _why(scored)
            _log.warning("None of the %d answers of a batch could be scored: %s. This is said once.", len(values), why)
        return values


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **_more: Any,
) -> float:
    """verl's signature: the reward of one answer.

    `ground_truth` is the hidden tests in a shape of `data/benchmarks/hidden.py`, often JSON; `entry_point`, `stub` and `tests`
    may stand in it or in `extra_info`. `data_source` is not looked at, nor is what some of verl's reward managers add for
    functions of their own.

    Raises:
        UsageError: there are no tests, or none of a shape that is known, or the answer could not be scored: verl has no number
            for that, and 0 would be a lie. Its rate-limited manager makes one of it all the same, and logs the error; the
            others let it rise.
    """
    more = dict(extra_info or {})
    row = f"Row {more['index']} of {data_source!r}" if "index" in more else f"A row of {data_source!r}"
    tests = ground_truth
    if isinstance(ground_truth, Mapping):
        more |= ground_truth
        tests = ground_truth if holds_tests(ground_truth) or "tests" not in more else more["tests"]
    answer = _answer(solution_str, tests, str(more.get("entry_point") or ""), str(more.get("stub") or ""), row)
    if answer.is_untested:
        raise UsageError(f"{row} has no tests.", remedy="Put them into ground_truth, or into ground_truth['tests'].")
    scored = _scored([answer], background.run_many, None)
    value = rewards.binary(scored[0])
    if value is None:
        raise UsageError(
            f"An answer to a row of {data_source!r} could not be scored: {_why(scored)}.",
            remedy="Look at the row with `CodeReward().score`, or catch this and leave the row out.",
        )
    return value


def _answer(completion: Any, tests: Any, entry_point: str, stub: str, row: str) -> _Answer:
    """An answer and what must run to judge it.

    Raises:
        UsageError: the row's completion, tests or entry point have no shape that is known.
    """
    text = _text(completion, row)
    if not is_entry_point(entry_point):
        message = f"{row}: its entry point {entry_point!r} is neither a name nor written as Solution().method."
        raise UsageError(message, remedy="Name the function or class that the answer must define.")
    try:
        hidden = read_hidden(tests)
        if hidden.calls and not (entry_point or hidden.function):
            raise ShapeError("calls that do not say of which function")
        if is_check(hidden.source) and not entry_point:
            entry_point = checked_name(hidden.source)
            if not entry_point:
                raise ShapeError("a check that does not say of which function")
    except ShapeError as exc:
        message = f"{row}: its tests are {exc}."
        raise UsageError(message, remedy="`design/evaluation.md` lists the shapes that are read.") from None
    if not (hidden.source.strip() or hidden.calls or hidden.cases):
        return _Answer(text, is_untested=True)
    if hidden.cases:
        code = extract(text).code
        return _Answer(text, code, tuple(programs_of(Program(code=code), hidden.cases)) if code else (), hidden.cases)
    name = (entry_point or hidden.function).partition("(")[0]
    code = extract(text, entry_point=_asked(text, name), prompt=stub).code
    return _Answer(text, code, (_program(code, hidden, entry_point, stub),)) if code else _Answer(text)


def _asked(text: str, name: str) -> str | None:
    """What an answer must define: the function, or the class `Solution` around it, as contests have it."""
    return "Solution" if name and f"def {name}" in text and "class Solution" in text else name or None


def _program(code: str, hidden: Hidden, entry_point: str, stub: str = "") -> Program:
    """The program that judges some code by test source or by calls."""
    entry = entry_point or hidden.function
    if hidden.calls:
        method = "Solution" in defined(code) and entry not in defined(code) and "(" not in entry
        return Program(code=code, tests=calls_source(hidden.calls, f"Solution().{entry}" if method else entry))
    tests, name = hidden.source, entry.partition("(")[0]
    module = module_of(tests, {name} - {""})
    if is_check(tests) and name == entry:
        return Program(code=code, tests=tests, entry_point=entry, defines=tuple(sorted(defined(stub))))
    tests = of_method(tests, entry, module=module) if is_check(tests) else completed(tests, module=module, entry_point=name)
    return Program(code=code, tests=tests, module=module)


def _scored(answers: Sequence[_Answer], judge: Judge, limits: Limits | None) -> list[Scored]:
    programs = [program for answer in answers for program in answer.programs]
    results = iter(judge(programs, limits) if programs else ())
    scored = []
    for answer in answers:
        came = [next(results) for _ in answer.programs]
        result = judged_outputs(answer.cases, came, number) if answer.cases and came else next(iter(came), None)
        scored.append(Scored(answer.text, answer.code, result))
    return scored


def _why(scored: Sequence[Scored]) -> str:
    """Why answers have no reward: the most frequent reason, and how often it was."""
    reasons = Counter(_reason(one.result) for one in scored)
    (reason, count), *_ = reasons.most_common(1)
    return reason if count == len(scored) else f"{count} times {reason}"


def _reason(result: ExecutionResult | None) -> str:
    if result is None:
        return "the reward says None for answers without code"
    if result.verdict not in (Verdict.UNSCORED, Verdict.INVALID_TESTS):
        return f"the reward says None for what was {result.verdict} and judged {result.judging}"
    texts = [result.collection_error, result.detail, *(test.message for test in result.tests), "no reason was given"]
    text = next(one.strip() for one in texts if one.strip())
    return f"{result.verdict}: {text.splitlines()[-1][:300]}"


def _columns(given: Mapping[str, Any]) -> list[str]:
    """Names of columns among what a trainer passes: it adds its own state and ways to log."""
    return sorted(name for name, value in given.items() if isinstance(value, Sequence) and name != "completion_ids")


def _text(completion: Any, row: str) -> str:
    """The text of a completion: a string, a message, or the messages of a conversation.

    Raises:
        UsageError: it is none of these.
    """
    if completion is None or isinstance(completion, str):
        return completion or ""
    found = plain(completion)
    messages = found if isinstance(found, list) else [found]
    try:
        return "\n".join(text_of(message) for message in messages if message["role"] == "assistant")
    except (KeyError, TypeError, ValueError):
        message = f"{row}: its completion is {described(found)}, and neither a text nor the messages of a conversation."
        raise UsageError(message, remedy="Messages have a role and a content.") from None
