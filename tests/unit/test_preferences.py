"""Preference data: which answers make pairs, which do not, and that each that was dropped was counted."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.training.preferences import FORMATS, Reference, Rules, answers_of, choose
from orchestrator.training.preferences.contamination import Detector, check
from orchestrator.training.preferences.programs import canonical, clusters, same
from orchestrator.types import Attempt, Completion, ExecutionResult, Message, RunRecord, Status, Verdict

RUN = RunRecord(id="r1", kind="eval", config={"dataset": "humaneval", "seed": 3})
ASK = (Message(role="user", content="Write f."),)
RIGHT, WRONG = Verdict.ACCEPTED, Verdict.WRONG_ANSWER


def program(value: object) -> str:
    """Programs that resemble each other little."""
    return f"def f():\n    return {str(value) * 40!r}\n"


def attempt(
    index: int,
    verdict: Verdict,
    code: str | None = None,
    *,
    judging: str = "apart",
    asked: Sequence[Message] = ASK,
    **more: object,
) -> Attempt:
    code = program(index) if code is None else code
    finish = more.pop("finish", "stop")
    return Attempt.model_validate(
        {
            "task": "t",
            "index": index,
            "messages": tuple(asked),
            "completion": Completion(text=f"```python\n{code}\n```", finish_reason=finish, seed=index),
            "code": code,
            "verdict": verdict,
            "reward": 1.0 if verdict is RIGHT else 0.0,
            "hidden": ExecutionResult(status=Status.OK, verdict=verdict, judging=judging),
        }
        | more
    )


def chosen(*attempts: Attempt, run: RunRecord = RUN, together: bool = False, **rules: object):
    answers, dropped = answers_of(run, attempts, together=together)
    return choose(answers, Rules.model_validate(rules)), dropped


def sides(choice) -> set[tuple[int, int]]:
    return {(pair.chosen.index, pair.rejected.index) for pair in choice.pairs}


def test_accepted_is_preferred_to_failed_for_the_same_prompt_only():
    other = (Message(role="user", content="Write g."),)
    choice, _ = chosen(attempt(0, RIGHT), attempt(1, WRONG), attempt(2, WRONG, asked=other), attempt(3, RIGHT, task="u"))
    assert sides(choice) == {(0, 1)}
    (pair,) = choice.pairs
    assert (pair.kind, pair.margin, pair.prompt) == ("outcome", 1.0, ASK)


def test_answers_of_several_runs_to_one_prompt_are_compared():
    second = RUN.model_copy(update={"id": "r2"})
    answers = [*answers_of(RUN, [attempt(0, RIGHT)])[0], *answers_of(second, [attempt(0, WRONG, program("x"))])[0]]
    (pair,) = choose(answers).pairs
    assert (pair.chosen.run, pair.rejected.run) == ("r1", "r2")


def correction(index: int, parent: int, verdict: Verdict, **more: object) -> Attempt:
    asked = (Message(role="user", content=f"This is wrong: {program(parent)}. Correct it."),)
    return attempt(index, verdict, asked=asked, parent=parent, round=index, **more)


def test_fixed_is_preferred_to_every_broken_one_of_its_chain_for_the_first_prompt():
    choice, _ = chosen(attempt(0, WRONG), correction(1, 0, WRONG), correction(2, 1, RIGHT))
    assert sides(choice) == {(2, 0), (2, 1)}
    for pair in choice.pairs:
        assert pair.kind == "correction"
        assert pair.prompt == ASK
    row = FORMATS["preference"].rows(choice)[0]
    assert row["chosen"] == f"```python\n{program(2).strip()}\n```"
    assert "wrong" not in row["prompt"]


def test_what_was_right_already_is_not_the_broken_side_of_a_correction():
    choice, _ = chosen(attempt(0, WRONG), correction(1, 0, RIGHT), correction(2, 1, RIGHT))
    assert sides(choice) == {(1, 0), (2, 0)}


def test_a_chain_without_a_fix_gives_no_pair():
    choice, _ = chosen(attempt(0, WRONG), correction(1, 0, WRONG))
    assert not choice.pairs
    assert {(one.answer.index, one.label) for one in choice.examples} == {(0, False), (1, False)}


def test_a_correction_of_a_continuation_is_not_put_where_the_continuation_stood():
    run = RUN.model_copy(update={"config": {"style": "complete"}})
    choice, _ = chosen(attempt(0, WRONG), correction(1, 0, RIGHT), run=run)
    assert not choice.pairs


def test_higher_reward_is_preferred_from_the_least_margin_on():
    rewards = [0.0, 0.2, 0.5]
    attempts = [attempt(index, WRONG, reward=reward) for index, reward in enumerate(rewards)]
    choice, _ = chosen(*attempts, min_margin=0.3)
    assert sides(choice) == {(2, 0), (2, 1)}
    assert choice.dropped_pairs == {"under_margin": 1}
    assert {pair.kind for pair in choice.pairs} == {"reward"}


def measured(answer, folds):
    return answer.model_copy(
        update={"reward": sum(folds) / len(folds), "scale": "auc", "folds": tuple(folds) if len(folds) > 1 else (), "noise": 0.02}
    )


@pytest.mark.parametrize(
    ("better", "worse", "resolved"),
    [
        ((0.8, 0.81, 0.82, 0.8, 0.81), (0.7, 0.71, 0.73, 0.7, 0.7), True),  # a tenth on each fold
        ((0.9, 0.6, 0.9, 0.6, 0.9), (0.6, 0.9, 0.6, 0.7, 0.6), False),  # a tenth on average
        ((0.8,), (0.7,), True),  # more than both standard errors
        ((0.72,), (0.7,), False),
    ],
)
def test_where_rewards_have_noise_only_a_gain_above_it_makes_a_pair(better, worse, resolved):
    one, other = answers_of(RUN, [attempt(0, RIGHT), attempt(1, RIGHT)])[0]
    choice = choose([measured(one, better), measured(other, worse)], Rules(min_margin=0.5))
    assert sides(choice) == ({(0, 1)} if resolved else set())
    assert choice.dropped_pairs == ({} if resolved else {"within_noise": 1})


def test_an_improvement_above_the_noise_is_preferred_to_what_it_improved():
    first, gain, luck = answers_of(RUN, [attempt(0, RIGHT), correction(1, 0, RIGHT), correction(2, 0, RIGHT)])[0]
    answers = [
        measured(first, (0.7, 0.71, 0.73, 0.7, 0.7)),
        measured(gain, (0.8, 0.81, 0.82, 0.8, 0.81)),
        measured(luck, (0.9, 0.6, 0.9, 0.6, 0.9)),
    ]
    (pair,) = choose(answers).pairs
    assert (pair.kind, pair.chosen.index, pair.rejected.index) == ("correction", 1, 0)


def test_rewards_of_different_measures_are_not_compared():
    attempts = [attempt(0, WRONG, reward=0.9), attempt(1, WRONG, reward=0.1, hidden=None)]
    answers, _ = answers_of(RUN, attempts, reward=lambda one: (one.reward, "hidden" if one.hidden else "visible"))
    assert not choose(answers).pairs


def test_what_nobody_can_learn_from_is_left_out_and_counted():
    attempts = [
        attempt(0, RIGHT),
        attempt(1, Verdict.UNSCORED),
        attempt(2, Verdict.INVALID_TESTS),
        attempt(3, WRONG, judging="together"),
        attempt(4, WRONG, asked=()),
        attempt(5, WRONG, "", completion=Completion(text=" \n")),
    ]
    choice, dropped = chosen(*attempts)
    assert not choice.pairs
    assert dropped == {"unscored": 1, "invalid_tests": 1, "judged_together": 1, "no_prompt": 1, "empty": 1}
    choice, dropped = chosen(*attempts, together=True)
    assert sides(choice) == {(0, 3)}


def test_tests_that_were_found_invalid_are_wrong_answers_to_the_wish_for_tests():
    choice, dropped = chosen(attempt(0, RIGHT, kind="tests"), attempt(1, Verdict.INVALID_TESTS, kind="tests"))
    assert sides(choice) == {(0, 1)}
    assert not dropped


def test_an_attack_is_never_the_better_answer_but_may_be_the_worse():
    attack = attempt(1, Verdict.TAMPERED, reward=0.9)
    choice, _ = chosen(attempt(0, RIGHT), attack, attempt(2, WRONG))
    assert sides(choice) == {(0, 1), (0, 2)}
    assert choice.dropped_pairs["tampered_chosen"] == 1


def test_an_answer_that_was_cut_off_is_not_preferred():
    choice, _ = chosen(attempt(0, RIGHT, finish="length"), attempt(1, WRONG))
    assert not choice.pairs
    assert choice.dropped_pairs == {"cut_off_chosen": 1}
    assert choice.dropped_examples == {"cut_off": 1}


BODY = 'def f(a):\n    """Say it."""\n    return a + "#1"\n'


@pytest.mark.parametrize(
    "other",
    [
        'def f(a):\n    return a + "#1"\n',
        "def f( a ) :\n\n        return (a + '#1')  # one\n",
        'def f(a):\n"""Say it."""\nreturn a + "#1"\n',
        BODY.replace(" ", "\t"),
    ],
)
def test_sides_that_differ_in_white_space_and_comments_only_are_no_pair(other):
    assert same(BODY, other)
    choice, _ = chosen(attempt(0, RIGHT, BODY), attempt(1, WRONG, other))
    assert not choice.pairs
    assert choice.dropped_pairs == {"same_program": 1}


def test_a_program_that_was_judged_both_ways_teaches_nothing():
    choice, _ = chosen(attempt(0, RIGHT, BODY), attempt(1, WRONG, BODY), attempt(2, WRONG), attempt(3, RIGHT))
    assert sides(choice) == {(3, 2)}
    assert choice.dropped_pairs == {"same_program": 1, "contradictory": 2}
    assert {one.answer.index for one in choice.examples} == {2, 3}
    assert choice.dropped_examples == {"contradictory": 2}


def test_two_data_sets_with_one_prompt_are_no_reason_to_say_things_twice():
    stricter = RUN.model_copy(update={"id": "r2", "config": {"dataset": "humaneval+"}})
    attempts = [attempt(0, RIGHT), attempt(1, WRONG)]
    once = answers_of(RUN, attempts)[0]
    choice = choose([*once, *answers_of(stricter, attempts)[0]])
    assert (len(choice.pairs), choice.dropped_pairs) == (1, {"duplicate": 1})
    assert (len(choice.examples), choice.dropped_examples) == (2, {"duplicate": 2})
    # What the stricter tests refuse is right no more.
    choice = choose([*once, *answers_of(stricter, [attempt(0, WRONG)])[0]])
    assert not choice.pairs
    assert {(one.answer.index, one.label) for one in choice.examples} == {(1, False)}


@pytest.mark.parametrize("other", [BODY.replace("#1", "#2"), BODY.replace("+", "*"), BODY.replace("return a", "return f")])
def test_other_programs_are_other_programs(other):
    assert not same(BODY, other)
    choice, _ = chosen(attempt(0, RIGHT, BODY), attempt(1, WRONG, other))
    assert len(choice.pairs) == 1


@given(st.text(max_size=200))
def test_any_text_can_be_compared(text):
    assert same(text, text)
    assert clusters([text, text], 0.95) == [0, 0]
    assert canonical(text) == canonical(text)


def test_equal_and_nearly_equal_programs_count_once():
    long = "".join(f"    total += value * {number}\n" for number in range(30))
    texts = [f"def f(value):\n    total = {start}\n{long}    return total\n" for start in (0, 1)]
    attempts = [
        attempt(0, RIGHT),
        attempt(1, WRONG, texts[0]),
        attempt(2, WRONG, texts[0] + "# again"),
        attempt(3, WRONG, texts[1]),
    ]
    choice, _ = chosen(*attempts)
    assert len(choice.pairs) == 1
    assert choice.dropped_pairs["duplicate"] + choice.dropped_pairs["near_duplicate"] == 2
    assert choice.dropped_pairs["near_duplicate"] >= 1
    choice, _ = chosen(*attempts, near=1)
    assert len(choice.pairs) == 2
    assert choice.dropped_pairs == {"duplicate": 1}


def test_programs_that_resemble_each_other_and_are_worth_different_rewards_are_two():
    long = "".join(f"    total += value * {number}\n" for number in range(30))
    texts = [f"def f(value):\n    total = {start}\n{long}    return total\n" for start in (0, 1)]
    attempts = [attempt(0, WRONG, texts[0], reward=0.9), attempt(1, WRONG, texts[1], reward=0.5), attempt(2, WRONG)]
    choice, _ = chosen(*attempts)
    assert sides(choice) == {(0, 1), (0, 2), (1, 2)}


def test_a_right_answer_may_be_close_to_a_wrong_one():
    long = "".join(f"    total += value * {number}\n" for number in range(30))
    right, wrong = (f"def f(value):\n    total = {start}\n{long}    return total\n" for start in (0, 1))
    choice, _ = chosen(attempt(0, RIGHT, right), attempt(1, WRONG, wrong))
    assert sides(choice) == {(0, 1)}


def test_no_prompt_and_no_task_gets_more_than_its_share():
    attempts = [attempt(index, RIGHT if index < 4 else WRONG, program(chr(65 + index))) for index in range(8)]
    more = [
        attempt(
            10 + index, RIGHT if index < 4 else WRONG, program(chr(75 + index)), asked=(Message(role="user", content="Again."),)
        )
        for index in range(8)
    ]
    choice, _ = chosen(*attempts, *more, max_per_prompt=3, max_per_task=4)
    assert [sum(pair.prompt == prompt for pair in choice.pairs) for prompt in (ASK, more[0].messages)] == [2, 2]
    assert choice.dropped_pairs == {"over_max_per_prompt": 2 * (16 - 3), "over_max_per_task": 2}
    # No answer stands in two pairs while others stand in none.
    assert len({pair.chosen.index for pair in choice.pairs}) == len({pair.rejected.index for pair in choice.pairs}) == 4


def test_every_possible_pair_is_kept_or_counted():
    attempts = [attempt(index, RIGHT if index % 3 else WRONG, program(chr(65 + index // 2))) for index in range(18)]
    choice, _ = chosen(*attempts, max_per_prompt=5)
    right = sum(one.verdict is RIGHT for one in attempts)
    assert len(choice.pairs) + sum(choice.dropped_pairs.values()) == right * (18 - right)
    assert len(choice.examples) + sum(choice.dropped_examples.values()) == 18


def test_the_seed_decides_and_nothing_else():
    attempts = [attempt(index, RIGHT if index % 2 else WRONG, program(chr(65 + index))) for index in range(12)]
    choices = [chosen(*attempts, seed=seed, max_per_prompt=2)[0] for seed in (1, 1, 2, 3, 4)]
    assert choices[0] == choices[1]
    assert any(choices[0].pairs != other.pairs for other in choices[2:])


def test_recorded_completions_get_their_prompt_from_the_data_set():
    one = attempt(0, RIGHT, "def f():\n    return 1", asked=(), completion=Completion(text="    return 1"))
    answers, dropped = answers_of(RUN, [one], prompts={"t": "def f():\n"})
    assert not dropped
    (answer,) = answers
    assert answer.continues
    assert answer.prompt[0].content + answer.text == one.code
    choice = choose(answers)
    assert FORMATS["sft"].rows(choice) == [{"prompt": "def f():\n", "completion": "    return 1"}]
    assert FORMATS["sft-chat"].rows(choice)[0]["messages"][1]["content"] == "```python\ndef f():\n    return 1\n```"


def test_formats_are_as_trainers_read_them():
    asked = (Message(role="system", content="Be brief."), *ASK)
    choice, _ = chosen(attempt(0, RIGHT, asked=asked), attempt(1, WRONG, asked=asked))
    right, wrong = (f"```python\n{program(index)}\n```" for index in (0, 1))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write f."}]
    said = {index: [{"role": "assistant", "content": text}] for index, text in enumerate((right, wrong))}
    rows = {name: form.rows(choice) for name, form in FORMATS.items()}
    plain = "Be brief.\n\nWrite f.\n\n"
    assert rows["preference"] == [{"prompt": plain, "chosen": right, "rejected": wrong}]
    assert rows["preference-chat"] == [{"prompt": messages, "chosen": said[0], "rejected": said[1]}]
    assert rows["unpaired"] == [
        {"prompt": plain, "completion": right, "label": True},
        {"prompt": plain, "completion": wrong, "label": False},
    ]
    assert rows["unpaired-chat"][1] == {"prompt": messages, "completion": said[1], "label": False}
    assert rows["sft"] == [{"prompt": plain, "completion": right}]
    assert rows["sft-chat"] == [{"messages": messages + said[0]}]
    assert rows["alpaca"] == [{"instruction": "Write f.", "input": "", "chosen": right, "rejected": wrong, "system": "Be brief."}]
    assert rows["sharegpt"] == [
        {
            "conversations": [{"from": "human", "value": "Write f."}],
            "chosen": {"from": "gpt", "value": right},
            "rejected": {"from": "gpt", "value": wrong},
            "system": "Be brief.",
        }
    ]
    json.dumps(rows)


def test_a_benchmark_is_found_by_its_text_and_by_its_names():
    words = " ".join(f"word{number}" for number in range(14))
    reference = Reference(name="b", texts={"b/1": (words, ""), "b/2": ("too short", "")}, functions={"b/1": "f", "b/2": "g"})
    other = "def other():\n    return 2\n"
    by_text = (Message(role="user", content=f"Please: {words.upper()}!"),)
    almost = (Message(role="user", content=" ".join(words.split()[:12]) + " too short"),)
    choice, _ = chosen(
        attempt(0, RIGHT, other, asked=by_text),
        attempt(1, RIGHT, other, asked=almost, task="u"),
        attempt(2, RIGHT, asked=almost, task="v"),
        attempt(3, WRONG, asked=almost, task="w"),
    )
    found = check(choice.rows, Detector(reference))
    # A wrong program that is called so is counted too: it shows what the prompt asked for.
    assert (found.rows, found.by_text, found.by_name, found.by_either) == (4, 1, 2, 3)
    assert found.tasks == ("b/1",)


def test_what_is_refused_makes_room_for_another():
    answers, _ = answers_of(RUN, [attempt(0, RIGHT), attempt(1, WRONG), attempt(2, WRONG, program("y"))])
    choice = choose(answers, Rules(max_per_prompt=1), keep=lambda row: all(one.index != 1 for one in row.answers))
    assert sides(choice) == {(0, 2)}
    assert choice.dropped_pairs == {"refused": 1}
