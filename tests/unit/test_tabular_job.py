"""The job that searches a table: what is planned, what a prompt holds, what is resumed, and what the result is held against."""

import asyncio
import json
import subprocess
import sys

import pandas as pd
import pytest
from scripted_tables import BROKEN, FRAME, REPORT, ROWS, STRONG, WEAK, Model, Sandboxes, answer
from typer.testing import CliRunner

from orchestrator.applications.tabular import feedback, prompts
from orchestrator.applications.tabular.answers import completed, functions_in
from orchestrator.applications.tabular.details import TabularDetails
from orchestrator.applications.tabular.job import TabularSolving
from orchestrator.applications.tabular.metrics import METRICS
from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.planning import control_planner, planner
from orchestrator.applications.tabular.reports import write_reports
from orchestrator.applications.tabular.table import read_table
from orchestrator.cli import app
from orchestrator.data.store import RunStore
from orchestrator.errors import UsageError
from orchestrator.jobs.branching import REPAIRS
from orchestrator.jobs.loop import LoopOptions
from orchestrator.scoring.paired import Difference
from orchestrator.settings import Settings
from orchestrator.training.collect import CollectJob, collect
from orchestrator.training.preferences import FORMATS
from orchestrator.types import Attempt, Completion, Fault, Verdict

pytestmark = pytest.mark.slow


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "shop.csv"
    FRAME.to_csv(path, index=False)
    return path


@pytest.fixture
def store(tmp_path):
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:
        yield store


def solving(store, model):
    return TabularSolving(Settings(), store, engine=Sandboxes(), model=model)


async def test_a_search_repairs_improves_and_is_held_against_its_control(table, store, tmp_path):
    model = Model([WEAK, BROKEN, WEAK, STRONG, answer(2), WEAK, WEAK, WEAK, WEAK, WEAK])
    job = TabularJob(source=str(table), target="bought", answers=5, metric="accuracy")
    result = await solving(store, model).run_job(job)
    outcome = result.outcome
    assert [attempt.verdict for attempt in result.of("candidate")][:2] == ["accepted", "runtime_error"]
    assert result.of("candidate")[3].parent == result.of("candidate")[1].index  # the repair
    assert len(result.of("control")) == 5
    assert list(outcome.sealed) == ["winner", "control", "dummy", "linear", "boosting"]
    assert outcome.score.value == 1.0
    assert outcome.sealed["control"].lead.is_resolved
    assert result.standing.opened == 1
    assert any("shuffled targets" in finding for finding in outcome.audit.findings)  # these sandboxes learn from nothing
    prompts_seen = "\n".join(model.asked)
    assert "name 'missing_name' is not defined" in prompts_seen
    assert REPORT in prompts_seen
    assert all(REPORT not in asked for asked in model.asked[:3] + model.asked[-5:])  # drafts and control know nothing
    assert str(job.split_seed) not in prompts_seen

    again = await solving(store, Model([])).resume_job(result.run.id)  # nothing is asked or run again
    assert again.standing == result.standing
    out = tmp_path / "out"
    write_reports(again, out)
    facts = json.loads((out / "report.json").read_text())
    assert facts["standing"]["outcome"]["winner"] == outcome.winner
    page = (out / "report.html").read_text()
    assert "<polyline" in page
    assert "the winner is better by" in page
    assert "Predicted and found" in page
    assert outcome.importances[0].column == "x"
    assert outcome.importances[1].loss.mean == 0
    assert "| x | +" in (out / "report.md").read_text()

    new = tmp_path / "new.csv"
    FRAME.drop(columns="bought").to_csv(new, index=False)
    best = [sys.executable, out / "best.py", table, new]
    await asyncio.to_thread(subprocess.run, best, cwd=tmp_path, check=True, capture_output=True)
    assert (pd.read_csv(tmp_path / "predictions.csv")["bought"] == FRAME["bought"]).all()


async def test_a_run_is_training_data_where_gains_are_above_the_noise(table, store):
    """Against the prior `WEAK` gains nothing and `STRONG` everything; the first fails, and is repaired."""
    model = Model([BROKEN, WEAK, STRONG, STRONG, answer(3), BROKEN, WEAK, answer(3), STRONG, WEAK])
    job = TabularJob(source=str(table), target="bought", answers=5, metric="accuracy")
    result = await solving(store, model).run_job(job)
    first, weak, strong = result.of("candidate")[:3]

    def collected(**found_by_audit):
        """These sandboxes learn from nothing, which an audit finds: it is told otherwise."""
        audit = result.outcome.audit.model_copy(update={"remembers": False, **found_by_audit})
        outcome = result.outcome.model_copy(update={"audit": audit})
        standing = result.standing.model_copy(update={"outcome": outcome}).model_dump(mode="json")
        store.update_run(result.run.id, summary={**result.summary(), "standing": standing})
        return collect([result.run.id], store, CollectJob(against=()))

    found = collected()
    pairs = {(one.kind, one.chosen.code, one.rejected.code) for one in found.choice.pairs}
    assert ("correction", strong.code, first.code) in pairs
    assert ("outcome", strong.code, weak.code) in pairs  # that one is scored, and yet no better than the prior
    labels = {one.answer.code: one.label for one in found.choice.examples}
    assert (labels[first.code], labels[weak.code], labels[strong.code]) == (False, False, True)
    assert found.stages["loaded"] == 2
    assert FORMATS["sft"].rows(found.choice)
    suspicious = collected(uses_batch=True)
    assert suspicious.dropped_attempts == {"suspicious": 3}  # the winner, and what repeats it
    assert strong.code not in {one.answer.code for one in suspicious.choice.examples}


async def test_an_interrupted_search_is_resumed_without_asking_again(table, store):
    job = TabularJob(source=str(table), target="bought", answers=4, control=False, metric="accuracy")
    first = Model([WEAK, WEAK])
    result = await solving(store, first).run_job(job)
    assert result.error is not None
    assert result.run.state == "interrupted"
    rest = Model([BROKEN, STRONG, STRONG])
    resumed = await solving(store, rest).resume_job(result.run.id)
    assert resumed.outcome.score.value == 1.0
    assert len(rest.asked) == 2
    assert [attempt.round for attempt in resumed.attempts] == [0, 0, 0, 1]
    assert any("no control" in problem for problem in resumed.problems)


async def test_features_are_kept_for_a_gain_and_parameters_are_searched(table, store, tmp_path):
    searched = WEAK.replace("build(columns)", "build(columns, depth=1)").replace(
        "\ndef build", "\nSPACE = {'depth': (1, 3)}\ndef build"
    )
    job = TabularJob(source=str(table), target="bought", answers=1, control=False, metric="accuracy", features=True, trials=3)
    result = await solving(store, Model([searched])).run_job(job)
    assert [(one.feature.name, one.kept) for one in result.standing.features] == [("sign", True), ("same", False)]
    assert [one.name for one in result.standing.refinements] == ["attempt 0 with features"]  # other depths gained nothing
    assert result.outcome.score.value == 1.0
    assert [one.name for one in result.outcome.finalists] == ["attempt 0 with features", "attempt 0"]
    write_reports(result, tmp_path / "out")
    assert "| sign | yes | +" in (tmp_path / "out" / "report.md").read_text()
    refused = await solving(store, Model([WEAK])).run_job(job.model_copy(update={"features": False}))
    assert any("names no SPACE" in problem for problem in refused.problems)


async def test_a_report_without_a_scored_candidate_has_no_empty_table(table, store, tmp_path):
    job = TabularJob(source=str(table), target="bought", answers=1, control=False)
    result = await solving(store, Model(["nothing that runs"])).run_job(job)
    assert result.outcome is None
    for page in write_reports(result, tmp_path / "out"):
        assert "The best on new folds" not in page.read_text()


async def test_a_table_that_changed_is_not_resumed(table, store):
    job = TabularJob(source=str(table), target="bought", answers=1, control=False)
    result = await solving(store, Model([])).run_job(job)
    FRAME.iloc[:-5].to_csv(table, index=False)
    with pytest.raises(UsageError, match="has changed"):
        await solving(store, Model([WEAK])).resume_job(result.run.id)


def attempts(*verdicts, parents=(), gains=()):
    """One attempt a round after three drafts."""
    made = []
    for index, verdict in enumerate(verdicts):
        good = verdict == "ok"
        over = None if index == 0 else Difference(mean=1.0, low=0.5 if index in gains else -0.5, high=2, level=0.8)
        made.append(
            Attempt(
                task="t",
                index=index,
                round=max(0, index - 2),
                sample=index if index < 3 else 0,
                parent=dict(parents).get(index),
                completion=Completion(text=str(index)),
                verdict=Verdict.ACCEPTED if good else Verdict.RUNTIME_ERROR,
                fault=Fault.NONE if good else Fault.CANDIDATE,
                score=float(index) if good else 0.0,
                details=TabularDetails(value=1.0 if good else None, over_best=over).model_dump(mode="json"),
            )
        )
    return made


def planned(done, **options):
    job = TabularJob(source="s", target="t", **options)
    return [
        None if draft.parent is None else draft.parent.index for draft in planner(job)(done, 1 + done[-1].round, LoopOptions())
    ]


def test_failing_branches_are_repaired_twice_and_then_left_alone():
    assert planned(attempts("bad", "ok", "bad")) == [0, 2]
    chain = attempts("bad", "ok", "ok", "bad", "bad", parents={3: 0, 4: 3}.items())
    assert REPAIRS == 2
    assert planned(chain) == [2]
    assert planned(chain[:-1]) == [3]


def test_the_best_is_improved_and_every_third_time_something_new_is_begun():
    assert planned(attempts("ok", "ok", "ok")) == [2]
    assert planned(attempts("ok", "ok", "ok", "ok", "ok", parents={3: 2, 4: 3}.items())) == [None]


def test_a_search_ends_with_its_answers_its_tokens_or_its_patience():
    done = attempts("ok", "ok", "ok", "ok", "ok", parents={3: 2, 4: 3}.items())
    assert planned(done, answers=5) == []
    assert planned(done, patience=2) == []
    assert planned(attempts("ok", "ok", "ok", "ok", "ok", parents={3: 2, 4: 3}.items(), gains=(4,)), patience=2) == [None]
    assert planned(done, tokens=1) == [None]  # nothing was counted
    counted = [
        item.model_copy(update={"completion": Completion(text="x", usage={"prompt_tokens": 1, "completion_tokens": 0})})
        for item in done
    ]
    assert planned(counted, tokens=5) == []


def test_a_control_is_drawn_at_once_and_corrects_nothing():
    drafts = control_planner(4)([], 0, LoopOptions())
    assert [draft.parent for draft in drafts] == [None] * 4
    assert control_planner(4)(attempts("bad"), 1, LoopOptions()) == []


def test_a_failure_is_shown_by_the_candidates_own_lines():
    trace = (
        'Traceback (most recent call last):\n  File "/tmp/x/fit.py", line 96, in main\n    estimator.fit(learnt, target)\n'
        '  File "/tmp/x/candidate.py", line 7, in features\n    df["z"] = df["q"]\n'
        "  File \"/opt/venv/pandas/core.py\", line 1, in get\n    raise\nKeyError: 'q'"
    )
    shown = feedback.shortened(trace)
    assert "candidate.py" in shown
    assert "KeyError: 'q'" in shown
    assert "pandas" not in shown
    assert feedback.hint(trace)


def test_what_is_told_says_what_is_noise():
    noise = TabularDetails(value=0.8, standard_error=0.02, over_best=Difference(mean=0.01, low=-0.01, high=0.03, level=0.8))
    assert "no more than noise" in feedback.told(METRICS["roc_auc"], noise)
    gain = noise.model_copy(update={"over_best": Difference(mean=0.1, low=0.05, high=0.15, level=0.8)})
    assert "a gain" in feedback.told(METRICS["roc_auc"], gain)


def test_a_report_has_at_most_eighty_words():
    assert len(prompts.shortened("```\n" + "word " * 200 + "\n```").split()) == prompts.REPORT_WORDS


def test_a_body_is_completed_by_what_was_offered_and_learns_from_texts_and_gaps(tmp_path):
    path = tmp_path / "t.csv"
    FRAME.assign(x=FRAME["x"].mask(FRAME.index % 5 == 0), town=FRAME["town"].mask(FRAME.index % 7 == 0)).to_csv(path, index=False)
    table = read_table(str(path), "bought")
    brief = prompts.brief_of(table, METRICS["roc_auc"], "", "functions")
    names = {}
    answer = "```python\n    df['ratio'] = df['x'] / (df['y'] + 9)\n    return df\n```"
    exec(functions_in(answer, brief.skeleton, brief.offered).code, names)
    made = names["features"](table.features)
    fitted = names["build"](list(made.columns)).fit(made, table.y)
    assert fitted.predict(made).shape == (ROWS,)


OFFERED = "import numpy as np\nfrom sklearn.tree import DecisionTreeClassifier, export_text\n\n\ndef build(columns):\n    return DecisionTreeClassifier()"


def test_an_answer_keeps_all_that_it_wrote():
    own = "from __future__ import annotations\n\n\ndef build(columns):\n    return np.nan\n"
    assert completed(own, OFFERED) == (
        "from __future__ import annotations\nimport numpy as np\n\n\ndef build(columns):\n    return np.nan\n"
    )
    features = "def features(df):\n    return df"
    assert completed(features, OFFERED).startswith("from sklearn.tree import DecisionTreeClassifier\n\n\ndef features")


@pytest.mark.parametrize("text", ["I cannot do that.", "```python\nx = 1\n```"])
def test_an_answer_without_a_function_is_none(text):
    found = functions_in(text, "def features(df):", OFFERED)
    assert not found.usable
    assert found.reason


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no table."),
        (["shop.csv"], "Name the column to predict with --target."),
        (["nothing.csv", "--target", "bought"], "nothing.csv is no file."),
        (["iriss", "--target", "x"], "data sets of scikit-learn: iris"),
        (["shop.csv", "--target", "bougt"], "There is for example: bought"),
        (["iris", "--metric", "rmse"], "Choose from: accuracy"),
        (["iris", "--answers", "0"], "--answers must be at least 1"),
        (["--resume", "last", "--answers", "2"], "--resume takes the table"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_remedy(words, said, table, monkeypatch):
    monkeypatch.chdir(table.parent)
    monkeypatch.setenv("FUMEHOOD_HOME", str(table.parent))
    result = CliRunner().invoke(app, ["solve", "tabular", *words])
    assert result.exit_code == 2
    assert said in result.stderr
