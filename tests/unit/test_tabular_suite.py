"""Many tables: what a manifest may say, what is resumed, and what the tables say together."""

from __future__ import annotations

import json

import pytest
from scripted_tables import FRAME, STRONG, WEAK, Model, Sandboxes
from typer.testing import CliRunner

from orchestrator.applications.tabular.baselines import BOOSTING, DUMMY, LINEAR
from orchestrator.applications.tabular.finalists import Sealed
from orchestrator.applications.tabular.manifest import MANIFEST, read_manifest
from orchestrator.applications.tabular.ranking import CellResult, SuiteResult, SuiteStanding
from orchestrator.applications.tabular.suite import SuiteEvaluation
from orchestrator.applications.tabular.suite_reports import write_reports
from orchestrator.cli import app
from orchestrator.data.store import RunStore
from orchestrator.errors import UsageError
from orchestrator.scoring.paired import signed_ranks
from orchestrator.settings import Settings
from orchestrator.types import RunRecord

pytestmark = pytest.mark.slow

TABLES = """
[defaults]
answers = 1
control = false

[[table]]
file = "shop.csv"
target = "bought"
metric = "accuracy"

[[table]]
name = "again"
file = "shop.csv"
target = "bought"
metric = "log_loss"
"""
SETTINGS = """
[[setting]]
name = "plain"

[[setting]]
name = "warm"
temperature = 1.0
"""


@pytest.fixture
def folder(tmp_path):
    FRAME.to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / MANIFEST).write_text(TABLES + SETTINGS)
    return tmp_path


def test_a_manifest_gives_each_setting_the_same_split_of_a_table(folder):
    cells = read_manifest(folder, options={"seed": 5}).cells
    assert [cell.name for cell in cells] == ["plain/shop", "plain/again", "warm/shop", "warm/again"]
    assert [cell.job.temperature for cell in cells] == [0.7, 0.7, 1.0, 1.0]
    assert {(cell.job.answers, cell.job.seed) for cell in cells} == {(1, 5)}
    assert cells[0].job.split_seed == cells[2].job.split_seed != cells[1].job.split_seed
    (folder / MANIFEST).write_text(TABLES)
    models = read_manifest(folder, models=["0.5b", "1.5b"], tables=["again"]).cells
    assert [(cell.name, cell.job.model) for cell in models] == [("0.5b/again", "0.5b"), ("1.5b/again", "1.5b")]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("", "names no table"),
        ("[[table]", "is not TOML"),
        ('[[table]]\nfile = "nothing.csv"', "'nothing.csv' of the table nothing is not in"),
        ('[[table]]\nfile = "shop.csv"', "target of the table shop"),
        (TABLES + "answer = 3", "the unknown key 'answer'"),
        (TABLES.replace('name = "again"', ""), "the same name"),
        (TABLES + '[[setting]]\nname = "a"\ntarget = "x"', "the unknown option 'target'"),
        (TABLES + "[[setting]]\nanswers = 2", "need a `name` each"),
        (TABLES.replace("answers = 1", "answers = 0"), "answers of the table shop"),
        ("table = 3", "must be a list of tables"),
    ],
)
def test_what_a_manifest_cannot_say_is_refused(manifest, said, folder):
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(UsageError, match=said):
        read_manifest(folder)


def test_what_cannot_be_done_is_said_before_anything_runs(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path / "home"))

    def said(*words):
        result = CliRunner().invoke(app, ["eval", "tabular", *map(str, words)])
        assert result.exit_code == 2
        return result.stderr

    assert "There is no folder of tables." in said()
    assert f"has no {MANIFEST}" in said(tmp_path.parent)
    assert "names settings, and so do you" in said(folder, "--model", "0.5b")
    assert "There is no table 'shopp'" in said(folder, "--table", "shopp")
    assert "--resume takes the tables" in said(folder, "--resume", "last")


async def test_settings_are_compared_and_a_search_that_stopped_is_resumed(folder, tmp_path):
    job = read_manifest(folder)
    with RunStore.open(f"sqlite:///{tmp_path / 'runs.sqlite3'}") as store:

        def evaluation(answers):
            return SuiteEvaluation(Settings(), store, engine=Sandboxes(), model=Model(answers))

        stopped = await evaluation([WEAK, WEAK, STRONG]).run_job(job)
        assert stopped.error is not None
        assert (stopped.run.state, stopped.tables) == ("interrupted", ["shop"])
        begun = dict(stopped.standing.runs)
        assert set(begun) == {"plain/shop", "plain/again", "warm/shop", "warm/again"}
        result = await evaluation([STRONG]).resume_job(stopped.run.id)
        assert result.standing.runs == begun
        assert {run.id for run in store.runs()} == {result.run.id, *begun.values()}
    assert result.tables == ["shop", "again"]
    scores = result.scores("shop")
    assert scores["warm"] == 1.0 > scores["plain"]
    (contest, *_) = result.contests()
    assert (contest.first, contest.second, contest.wins, contest.losses) == ("plain", "warm", 0, 2)
    assert not contest.is_resolved  # two tables show nothing
    written = write_reports(result, tmp_path / "out")
    assert all(path.stat().st_size for path in written)
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert next(iter(facts["ranks"])) == "warm"
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| shop | accuracy ↑ |" in page
    assert "| plain against warm | 2 | 0 : 2 |" in page
    assert "no p-value can be below 0.5" in page


def many(tables, ours, theirs):
    """Results of two settings on tables whose prior has 0.5 and whose best baseline 0.9; None failed."""
    results = {}
    for setting, values in (("a", ours), ("b", theirs)):
        for table, value in zip(tables, values, strict=True):
            sealed = {DUMMY: Sealed(value=0.5), LINEAR: Sealed(value=0.7), BOOSTING: Sealed(value=0.9)}
            facts = {"run": "r", "metric": "accuracy", "rows": 100, "answers": 1, "scored": 1, "tokens": 1, "wall_time": 1.0}
            results[f"{setting}/{table}"] = CellResult(
                setting=setting,
                table=table,
                sealed=sealed if value is None else {"winner": Sealed(value=value), **sealed},
                **facts,
            )
    return results


def test_ranks_and_differences_are_paired_by_table(folder):
    tables = [f"t{n}" for n in range(6)]
    (folder / MANIFEST).write_text(
        "".join(f'[[table]]\nname = "{name}"\nfile = "iris"\n' for name in tables)
        + '[[setting]]\nname = "a"\n[[setting]]\nname = "b"\n'
    )
    better = many(tables, (0.92, 0.93, 0.95, 0.9, 0.91, 0.99), (0.8, 0.83, 0.85, 0.8, None, 0.7))
    result = SuiteResult(
        run=RunRecord(id="x", kind="eval-tabular"), job=read_manifest(folder), standing=SuiteStanding(results=better)
    )
    assert next(iter(result.ranks().items())) == ("a", pytest.approx((5 + 1.5) / 6))  # on one it equals boosting
    contest = result.contests()[0]
    assert (contest.tables, contest.wins) == (6, 6)
    assert contest.p_value == pytest.approx(2 / 64)
    assert contest.is_resolved
    # In shares of what boosting gains, 0.4; who failed has what the prior has.
    assert contest.mean == pytest.approx((0.12 + 0.1 + 0.1 + 0.1 + 0.41 + 0.29) / 6 / 0.4)


def test_signed_ranks_are_wilcoxons():
    from scipy.stats import wilcoxon

    differences = [0.3, -0.1, 0.5, 0.7, 0.2, -0.05, 0.9, 0.4]
    assert signed_ranks(differences) == pytest.approx(wilcoxon(differences, method="exact").pvalue)
    assert signed_ranks([0.0, 0.0]) == 1.0
    assert signed_ranks([1.0]) == 1.0
