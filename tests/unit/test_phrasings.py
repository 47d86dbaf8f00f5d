"""Tasks in several words: same checks, other texts; and the page that compares what came of them."""

from __future__ import annotations

import json

import pytest

from orchestrator.applications.loss_functions.phrasings import BUILT_IN, check_page, facts_of, phrased, read_texts, write_page
from orchestrator.applications.loss_functions.solve import LossOutcome, brief_of
from orchestrator.applications.loss_functions.tasks import builtin_tasks
from orchestrator.errors import UsageError
from orchestrator.types import RunRecord, Verdict

TASKS = builtin_tasks()
RUN = RunRecord(id="quiet-fox", kind="solve-loss")


def outcome(task, verdict=Verdict.ACCEPTED, rounds=1, first=False):
    return LossOutcome(task=task, title=task, verdict=verdict, rounds=rounds, accepted_at_first=first, first_failure="a | b")


def test_every_builtin_task_has_three_phrasings_that_name_no_number_of_its_hidden_tests():
    texts = read_texts(BUILT_IN)
    assert texts.keys() == TASKS.keys()
    made = phrased(list(TASKS.values()), texts)
    assert len(made) == 3 * len(TASKS)
    assert {task.phrasing for task in made} == {"long", "short", "formula"}
    for task in made:
        if task.phrasing != "long":
            assert len(task.description) < len(TASKS[task.of].description)
            assert "xample" not in task.description


def test_phrasings_differ_in_what_the_model_reads_and_in_nothing_else():
    long, short, formula = phrased([TASKS["focal"]], read_texts(BUILT_IN))
    assert [task.name for task in (long, short, formula)] == ["focal.long", "focal.short", "focal.formula"]
    same = {"name": "", "description": "", "of": "", "phrasing": ""}
    assert long.model_copy(update=same) == short.model_copy(update=same) == TASKS["focal"].model_copy(update=same)
    assert "Example:" in brief_of(long).description
    assert "(1 - p_t)^gamma" in brief_of(formula).description
    assert len({task.name for task in phrased([TASKS["focal"]], read_texts(BUILT_IN), 3)}) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("short = 3", "holds no phrasings"),
        ("[focal", "holds no phrasings"),
        ('[foal]\nshort = "x"', "no built-in task 'foal'"),
        ('[focal]\nlong = "x"', "not usable: long"),
        ('[focal]\nshort = " "', "not usable: short"),
        ("[focal]", "there are none"),
    ],
)
def test_a_file_that_holds_no_phrasings_is_refused(tmp_path, text, message):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_texts(str(tmp_path / "own.toml"))


def test_a_task_without_other_words_is_refused(tmp_path):
    (tmp_path / "own.toml").write_text('[focal]\nterse = "Focal loss."')
    with pytest.raises(UsageError, match="one phrasing of dice alone"):
        phrased([TASKS["dice"]], read_texts(str(tmp_path / "own.toml")))


def test_shares_have_intervals_and_differences_are_paired_by_task():
    names = ("dice", "focal", "huber", "ordinal")
    tasks = phrased([TASKS[name] for name in names], read_texts(BUILT_IN))
    outcomes = [outcome(f"{name}.long", first=name == "dice", rounds=1 + (name == "huber")) for name in names]
    outcomes += [outcome(f"{name}.short", Verdict.WRONG_ANSWER, rounds=4) for name in names[:3]]
    outcomes += [outcome("ordinal.short", Verdict.UNSCORED), outcome("dice.formula")]
    long, short, formula = facts_of(tasks, outcomes, 0)
    assert (long.runs, long.accepted.value, long.at_first.value, long.rounds) == (4, 1.0, 0.25, 1.25)
    assert long.accepted.low == pytest.approx(0.51, abs=0.01)
    assert long.rounds_low < 1.25 < long.rounds_high
    assert long.against_long is None
    assert (short.runs, short.unscored, short.accepted.value) == (3, 1, 0.0)
    assert (short.against_long.tasks, short.against_long.difference) == (3, -1.0)
    assert short.against_long.worse == names[:3]
    assert short.verdicts == {"unscored": 1, "wrong_answer": 3}
    assert (formula.runs, formula.rounds, formula.rounds_low) == (1, 1.0, None)


def test_repeats_count_by_task():
    tasks = phrased([TASKS["dice"], TASKS["focal"]], read_texts(BUILT_IN), 2)
    verdicts = {"dice.long.1": Verdict.ACCEPTED, "dice.long.2": Verdict.WRONG_ANSWER, "focal.long.1": Verdict.ACCEPTED}
    [long, *_] = facts_of(tasks, [outcome(name, verdict) for name, verdict in verdicts.items()], 0)
    assert (long.runs, long.accepted.tasks, long.accepted.value) == (3, 2, 0.75)


def test_the_page_says_what_it_can_and_cannot_tell(tmp_path):
    tasks = phrased([TASKS["dice"], TASKS["focal"]], read_texts(BUILT_IN))
    outcomes = [outcome("dice.long"), outcome("focal.long"), outcome("dice.short"), outcome("focal.short", Verdict.TIMED_OUT)]
    facts, page = write_page(tmp_path, RUN, tasks, outcomes, 7)
    text = page.read_text()
    assert "seed 7, 4 of 6 runs done" in text
    assert "`short`: -50.0 points accepted" in text
    assert "n = 2 tasks, paired" in text
    assert "These tasks cannot tell the two apart." in text
    assert "| focal | short | timed_out | 1 | 0 | a &#124; b |" in text
    assert TASKS["focal"].description.strip() in text
    said = json.loads(facts.read_text())
    assert [one["phrasing"] for one in said["phrasings"]] == ["long", "short", "formula"]
    assert (said["planned"], len(said["results"])) == (6, 4)


def test_a_page_that_another_run_or_a_person_wrote_stays(tmp_path):
    tasks = phrased([TASKS["dice"]], read_texts(BUILT_IN))
    (tmp_path / "phrasings.md").write_text("mine")
    with pytest.raises(UsageError, match=r"holds phrasings\.md, which no report of ours wrote"):
        write_page(tmp_path, RUN, tasks, [outcome("dice.long")], 7)
    assert (tmp_path / "phrasings.md").read_text() == "mine"
    (tmp_path / "phrasings.md").unlink()
    write_page(tmp_path, RUN, tasks, [outcome("dice.long")], 7)
    write_page(tmp_path, RUN, tasks, [outcome("dice.long"), outcome("dice.short")], 7)
    with pytest.raises(UsageError, match=f"holds the report of run {RUN.id}"):
        check_page(tmp_path, "")
    (tmp_path / "phrasings.md").write_text("my notes")
    with pytest.raises(UsageError, match=r"phrasings\.md was changed"):
        check_page(tmp_path, RUN.id)
