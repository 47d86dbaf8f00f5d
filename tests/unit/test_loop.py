"""The loop with a toy application: `f(x)` must return what the script says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import CompletionError, SandboxUnavailable
from orchestrator.jobs.classification import Diagnosis, Failure
from orchestrator.jobs.loop import (
    HOTTEST,
    Draft,
    Judged,
    Kind,
    Ledger,
    LoopOptions,
    Pen,
    Sealed,
    best,
    plan,
    search,
    seed_of,
)
from orchestrator.llm.extraction import Extraction, extract
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.types import Attempt, Completion, Event, ExecutionResult, Fault, Message, Sampling, Status, Usage, Verdict

RIGHT = "```python\ndef f(x):\n    return x\n```"


def right(code: str) -> Judged:
    return Judged(diagnosis=Diagnosis(fault=Fault.NONE), verdict=Verdict.ACCEPTED, code=code, score=100.0, done=True)


def ledger(recorded: list[Attempt], events: list[Event] | None = None, previous: Sequence[Attempt] = ()) -> Ledger:
    async def record(attempt: Attempt) -> None:
        recorded.append(attempt)

    on_event = (lambda event: None) if events is None else events.append
    return Ledger(task="toy", record=record, on_event=on_event, attempts=list(previous))


def answer(value: int | str) -> str:
    return f"```python\ndef f(x):\n    return {value}\n```"


@dataclass
class Toy:
    """Right is what returns x; a number is as good as it is large."""

    task: str = "toy"
    kind: Kind = "candidate"
    wanted: bool = True
    judging: Callable[[str], Judged] | None = None
    judged: list[str] = field(default_factory=list)
    delay: float = 0.0

    def first(self, sample: int) -> tuple[Message, ...]:
        return (Message(role="user", content="Write f."),)

    def correction(self, failure: Failure) -> tuple[Message, ...]:
        return (Message(role="user", content=f"Correct this: {failure.code} It said: {failure.feedback}"),)

    def extract(self, text: str, parent: Attempt | None = None) -> Extraction:
        return extract(text, entry_point="f", prompt="def f(x):")

    async def judge(self, extraction: Extraction) -> Judged:
        await asyncio.sleep(self.delay)
        self.judged.append(extraction.code)
        if self.judging is not None:
            return self.judging(extraction.code)
        if not extraction.usable:
            return Judged(diagnosis=Diagnosis(fault=Fault.FORMAT, feedback=extraction.reason), verdict=Verdict.INVALID_CANDIDATE)
        value = extraction.code.rpartition("return ")[2].strip()
        if value == "x":
            return right(extraction.code)
        diagnosis = Diagnosis(fault=Fault.CANDIDATE, feedback=f"expected x, got {value}")
        score = float(value) if value.isdigit() else 0.0
        return Judged(diagnosis=diagnosis, verdict=Verdict.WRONG_ANSWER, code=extraction.code, score=score)


@dataclass
class Story:
    """One search and what it left."""

    found: Attempt | None
    attempts: list[Attempt]
    events: list[Event]
    model: ScriptedModel


async def tell(
    answers: Sequence[str | CompletionError] | Callable[[Sequence[Message], Sampling], str],
    options: LoopOptions | None = None,
    work: Toy | None = None,
    previous: Sequence[Attempt] = (),
) -> Story:
    recorded: list[Attempt] = []
    events: list[Event] = []
    model = ScriptedModel(answers)
    found = await search(
        work or Toy(), model, options or LoopOptions(samples=1), ledger=ledger(recorded, events, previous), pen=Pen()
    )
    return Story(found, recorded, events, model)


async def test_the_first_answer_may_be_accepted() -> None:
    story = await tell([RIGHT])
    assert story.found is not None
    assert story.found.done
    assert [(item.index, item.round, item.sample, item.verdict, item.reward) for item in story.attempts] == [
        (0, 0, 0, Verdict.ACCEPTED, 1.0)
    ]


async def test_a_wrong_answer_is_corrected_in_a_fresh_conversation() -> None:
    story = await tell([answer(1), RIGHT])
    assert story.found is not None
    assert story.found.round == 1
    assert story.found.parent == 0
    first, second = story.model.calls
    assert first.messages[0].content == "Write f."
    assert len(second.messages) == 1
    assert "return 1" in second.messages[0].content
    assert "expected x, got 1" in second.messages[0].content


async def test_the_best_attempt_is_carried_on_and_not_the_latest() -> None:
    story = await tell([answer(7), answer(1), answer(3), RIGHT], LoopOptions(samples=1))
    assert [item.parent for item in story.attempts] == [None, 0, 0, 0]
    assert story.model.calls[3].messages[0].content.count("return 7") == 1


async def test_an_application_may_plan_its_own_rounds_and_end_the_search() -> None:
    def planner(attempts: Sequence[Attempt], round_: int, options: LoopOptions) -> list[Draft]:
        return [] if round_ == 2 else [Draft(attempts[0] if attempts else None, 1.1)]

    recorded: list[Attempt] = []
    model = ScriptedModel([answer(1), answer(2), answer(3)])
    await search(Toy(), model, LoopOptions(rounds=9), ledger=ledger(recorded), pen=Pen(), planner=planner)
    assert [(item.parent, item.sampling.temperature) for item in recorded] == [(None, 1.1), (0, 1.1)]


async def test_the_rounds_run_out() -> None:
    story = await tell([answer(i) for i in range(6)], LoopOptions(rounds=3, samples=2))
    assert story.found is None
    assert [(item.round, item.sample) for item in story.attempts] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert [item.index for item in story.attempts] == list(range(6))


async def test_a_repeated_answer_is_not_judged_again_and_raises_the_temperature_then_starts_afresh() -> None:
    work = Toy()
    same_in_other_words = "```python\ndef f(x):\n    # again\n    return (1)\n```"
    story = await tell([answer(1), same_in_other_words, answer(1), RIGHT], LoopOptions(samples=1), work)
    assert len(work.judged) == 2
    assert [item.same_as for item in story.attempts] == [None, 0, 0, None]
    assert story.attempts[1].feedback == story.attempts[0].feedback
    temperatures = [item.sampling.temperature for item in story.attempts]
    assert temperatures == sorted(temperatures)
    assert temperatures[2] > temperatures[1]
    assert [item.parent for item in story.attempts] == [None, 0, 0, None]
    assert story.model.calls[3].messages[0].content == "Write f."


async def test_an_answer_without_code_is_a_format_fault_and_asked_again() -> None:
    story = await tell(["I cannot do that.", RIGHT])
    assert story.attempts[0].fault is Fault.FORMAT
    assert story.attempts[0].verdict is Verdict.INVALID_CANDIDATE
    assert story.attempts[0].code == ""
    assert "no code" in story.model.calls[1].messages[0].content


async def test_an_echo_and_an_empty_answer_are_recorded_as_such() -> None:
    story = await tell(["", "```python\ndef f(x):\n    pass\n```", RIGHT])
    assert "empty" in story.attempts[0].feedback
    assert "repeats the stub" in story.attempts[1].feedback
    assert story.found is not None


async def test_broken_code_is_shown_in_the_correction() -> None:
    story = await tell(["```python\ndef f(x):\n    retrun x\n```", RIGHT])
    assert "retrun x" in story.model.calls[1].messages[0].content
    assert "does not parse" in story.model.calls[1].messages[0].content


async def test_seeds_are_derived_used_and_recorded() -> None:
    story = await tell([answer(i) for i in range(4)], LoopOptions(rounds=2, samples=2, seed=5))
    seeds = [item.sampling.seed for item in story.attempts]
    assert seeds == [seed_of(5, "toy", "candidate", r, s) for r in (0, 1) for s in (0, 1)]
    assert seeds == [call.sampling.seed for call in story.model.calls]
    assert len(set(seeds)) == 4
    assert seed_of(6, "toy", "candidate", 0, 0) != seeds[0]


async def test_a_finished_attempt_is_not_repeated() -> None:
    options = LoopOptions(rounds=3, samples=2)
    script = {seed_of(0, "toy", "candidate", r, s): answer(10 * r + s) for r in range(3) for s in range(2)}
    script[seed_of(0, "toy", "candidate", 2, 1)] = RIGHT

    def by_seed(messages: Sequence[Message], sampling: Sampling) -> str:
        assert sampling.seed is not None
        return script[sampling.seed]

    whole = await tell(by_seed, options)
    assert len(whole.attempts) == 6
    for cut in range(7):
        rest = await tell(by_seed, options, previous=whole.attempts[:cut])
        together = [*whole.attempts[:cut], *rest.attempts]
        assert [strip(item) for item in together] == [strip(item) for item in whole.attempts]
        assert rest.found is not None
        assert strip(rest.found) == strip(whole.attempts[-1])


def strip(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"created": 0.0, "completion": attempt.completion.model_copy(update={"wall_time": 0.0})})


async def test_an_attempt_missing_in_the_middle_of_a_round_is_drawn_again() -> None:
    options = LoopOptions(rounds=1, samples=3)
    whole = await tell([answer(1), answer(2), answer(3)], options)
    rest = await tell([answer(9)], options, previous=[whole.attempts[0], whole.attempts[2]])
    assert [(item.sample, item.index) for item in rest.attempts] == [(1, 3)]


class SlowModel(ScriptedModel):
    """Writes an answer per turn of the event loop, and knows when it was interrupted."""

    def __init__(self, answers: Sequence[str], delays: Sequence[float]) -> None:
        super().__init__(answers)
        self._delays = list(delays)
        self.cancelled = 0

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        try:
            await asyncio.sleep(self._delays.pop(0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().chat(messages, sampling, on_token)


async def test_the_first_accepted_answer_cancels_the_one_being_written() -> None:
    model = SlowModel([RIGHT, answer(1)], [0.0, 30.0])
    recorded: list[Attempt] = []
    found = await search(Toy(), model, LoopOptions(samples=3), ledger=ledger(recorded), pen=Pen())
    assert found is not None
    assert model.cancelled == 1
    assert len(recorded) == 1


async def test_an_answer_is_judged_while_the_next_is_written() -> None:
    judging, written = asyncio.Event(), asyncio.Event()

    class Watched(ScriptedModel):
        async def chat(
            self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
        ) -> list[Completion]:
            if self.calls:
                await asyncio.wait_for(judging.wait(), 10)
                written.set()
            return await super().chat(messages, sampling, on_token)

    class Waiting(Toy):
        async def judge(self, extraction: Extraction) -> Judged:
            judging.set()
            await asyncio.wait_for(written.wait(), 10)
            return await super().judge(extraction)

    recorded: list[Attempt] = []
    await search(Waiting(), Watched([answer(1), answer(2)]), LoopOptions(rounds=1, samples=2), ledger=ledger(recorded), pen=Pen())
    assert len(recorded) == 2


async def test_an_attempt_that_is_being_recorded_is_recorded_under_a_cancellation() -> None:
    recorded: list[Attempt] = []
    writing, disk = asyncio.Event(), asyncio.Event()

    async def record(attempt: Attempt) -> None:
        writing.set()
        await disk.wait()
        recorded.append(attempt)

    slow = Ledger(task="toy", record=record)
    task = asyncio.create_task(search(Toy(), ScriptedModel([answer(1)]), LoopOptions(samples=1), ledger=slow, pen=Pen()))
    await writing.wait()
    task.cancel()
    asyncio.get_running_loop().call_later(0.01, disk.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded == slow.attempts


async def test_more_answers_are_written_at_once_where_the_server_can() -> None:
    together = asyncio.Barrier(4)

    class Together(ScriptedModel):
        async def chat(
            self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
        ) -> list[Completion]:
            await asyncio.wait_for(together.wait(), 10)
            return await super().chat(messages, sampling, on_token)

    recorded: list[Attempt] = []
    model = Together([answer(i) for i in range(4)])
    await search(Toy(), model, LoopOptions(rounds=1, samples=4, parallel=4), ledger=ledger(recorded), pen=Pen(4))
    assert len(recorded) == 4


async def test_cancelling_keeps_what_was_recorded() -> None:
    model = SlowModel([answer(1), answer(2)], [0.0, 30.0])
    recorded: list[Attempt] = []
    one_is_recorded = asyncio.Event()

    async def record(attempt: Attempt) -> None:
        recorded.append(attempt)
        one_is_recorded.set()

    kept = Ledger(task="toy", record=record)
    task = asyncio.create_task(search(Toy(), model, LoopOptions(samples=2), ledger=kept, pen=Pen()))
    await one_is_recorded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(recorded) == 1
    assert model.cancelled == 1


async def test_a_model_that_fails_loses_no_answer_that_was_written() -> None:
    recorded: list[Attempt] = []
    model = ScriptedModel([answer(1), CompletionError("The server is gone.")])
    with pytest.raises(CompletionError, match="gone"):
        await search(Toy(delay=0.01), model, LoopOptions(samples=2), ledger=ledger(recorded), pen=Pen())
    assert len(recorded) == 1


REFUSED = CompletionError("The prompt is too long (400): 5000 > 4096.", status_code=400, said="5000 > 4096")


async def test_a_correction_whose_prompt_is_refused_is_recorded_and_the_search_starts_afresh() -> None:
    story = await tell([answer(1), REFUSED, RIGHT])
    assert [item.completion.refused for item in story.attempts] == ["", "400: 5000 > 4096", ""]
    assert [item.parent for item in story.attempts] == [None, 0, None]
    assert (story.attempts[1].verdict, story.attempts[1].reward) == (Verdict.UNSCORED, None)
    assert story.found is not None


async def test_a_question_that_is_refused_ends_the_search() -> None:
    story = await tell([REFUSED, REFUSED, RIGHT], LoopOptions(samples=2))
    assert story.found is None
    assert len(story.model.calls) == 2
    assert story.attempts[0].feedback == "not answerable: 400: 5000 > 4096"


async def test_an_empty_answer_is_not_taken_for_a_refused_one() -> None:
    story = await tell([REFUSED, ""], LoopOptions(samples=2, rounds=1))
    assert [item.verdict for item in story.attempts] == [Verdict.UNSCORED, Verdict.INVALID_CANDIDATE]


async def test_no_sandbox_is_an_error_and_no_verdict() -> None:
    def judging(code: str) -> Judged:
        raise SandboxUnavailable("No engine.")

    with pytest.raises(SandboxUnavailable):
        await tell([answer(1)], work=Toy(judging=judging))


def unscored(code: str) -> Judged:
    return Judged(diagnosis=Diagnosis(fault=Fault.SANDBOX), verdict=Verdict.UNSCORED, code=code)


async def test_a_dead_sandbox_is_tried_again_and_never_blamed_on_the_answer() -> None:
    work = Toy(judging=unscored)
    story = await tell([answer(1)], LoopOptions(rounds=3, samples=1), work)
    assert len(work.judged) == 2
    assert story.attempts[0].verdict is Verdict.UNSCORED
    assert story.attempts[0].reward is None
    assert len(story.attempts) == 1  # what is broken is not the answers, so no more are drawn


async def test_a_sandbox_that_comes_back_is_not_mentioned() -> None:
    turns = iter([True, False])

    def judging(code: str) -> Judged:
        return unscored(code) if next(turns) else right(code)

    story = await tell([answer(1)], work=Toy(judging=judging))
    assert story.attempts[0].verdict is Verdict.ACCEPTED


async def test_nobody_is_asked_when_nobody_waits() -> None:
    story = await tell([], work=Toy(wanted=False))
    assert story.attempts == []


async def test_the_watcher_sees_rounds_tokens_and_attempts() -> None:
    story = await tell([answer(1), RIGHT])
    kinds = [event.kind for event in story.events if event.kind != "token"]
    assert kinds == ["round_started", "attempt_finished", "round_started", "attempt_finished"]
    assert "".join(event.text for event in story.events if event.kind == "token") == answer(1) + RIGHT


def done(round_: int, sample: int, score: float = 0.0, parent: int | None = None, same_as: int | None = None) -> Attempt:
    return Attempt(
        task="toy",
        index=10 * round_ + sample,
        round=round_,
        sample=sample,
        parent=parent,
        completion=Completion(text="", usage=Usage(prompt_tokens=2, completion_tokens=3)),
        fault=Fault.CANDIDATE,
        feedback="wrong",
        verdict=Verdict.WRONG_ANSWER,
        score=score,
        same_as=same_as,
    )


def test_the_first_round_is_cool_once_and_warm_else() -> None:
    drafts = plan([], 0, LoopOptions(samples=3))
    assert [draft.parent for draft in drafts] == [None, None, None]
    assert drafts[0].temperature < drafts[1].temperature == drafts[2].temperature


def test_a_later_round_corrects_and_tries_one_fresh_start() -> None:
    drafts = plan([done(0, 0, 1), done(0, 1, 5), done(0, 2, 3)], 1, LoopOptions(samples=3))
    assert [draft.parent.index if draft.parent else None for draft in drafts] == [1, 1, None]


def test_an_attempt_that_was_corrected_in_vain_gives_way_to_its_equal() -> None:
    attempts = [done(0, 0, 5), done(0, 1, 5), done(1, 0, 2, parent=1)]
    chosen = best(attempts)
    assert chosen is not None
    assert chosen.index == 0


def test_a_known_remedy_is_tried_first_and_once() -> None:
    good = done(0, 0, score=0.9)
    simple = done(1, 0, score=0.1, parent=good.index).model_copy(update={"hint": "write x.clamp(min=0)."})
    assert best([good, simple]) is simple
    in_vain = done(2, 0, score=0.1, parent=simple.index)
    assert best([good, simple, in_vain]) is good


def test_an_attempt_without_visible_failure_is_no_place_to_go_on_from() -> None:
    silent = done(0, 0, 9).model_copy(update={"feedback": ""})
    assert best([silent]) is None
    assert plan([silent], 1, LoopOptions(samples=1))[0].parent is None


def test_the_temperature_has_an_end() -> None:
    attempts = [done(r, s, same_as=0) for r in range(8) for s in range(3)]
    assert all(draft.temperature <= HOTTEST for draft in plan(attempts, 8, LoopOptions()))


def test_a_plan_looks_at_earlier_rounds_only() -> None:
    attempts = [done(0, 0, 1), done(1, 0, 9)]
    assert plan(attempts, 1, LoopOptions()) == plan(attempts[:1], 1, LoopOptions())


def test_a_sealed_result_shows_its_verdict_alone() -> None:
    result = ExecutionResult(status=Status.OK, verdict=Verdict.WRONG_ANSWER, stdout="SECRET")
    sealed = Sealed(result)
    assert sealed.verdict is Verdict.WRONG_ANSWER
    assert "SECRET" not in f"{sealed!r} {sealed!s}"
    assert [name for name in dir(sealed) if not name.startswith("_")] == ["open_for_record", "verdict"]
    with pytest.raises(AttributeError):
        sealed.feedback = "x"  # type: ignore[attr-defined]
