import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from forked_sandbox import execute

from orchestrator.applications.tabular.audit import audit
from orchestrator.applications.tabular.baselines import BOOSTING, DUMMY, LINEAR, baselines
from orchestrator.applications.tabular.calibration import calibration_of, residuals_of
from orchestrator.applications.tabular.candidate import LIMITS, Candidate, program
from orchestrator.applications.tabular.evaluate import evaluate
from orchestrator.applications.tabular.features import keep_features, proposals
from orchestrator.applications.tabular.finalists import choose, open_sealed
from orchestrator.applications.tabular.importances import importances
from orchestrator.applications.tabular.metrics import METRICS, metric_for
from orchestrator.applications.tabular.predictions import read_csv_predictions, read_predictions
from orchestrator.applications.tabular.space import space_of, tune
from orchestrator.applications.tabular.split import Split
from orchestrator.applications.tabular.table import table_of
from orchestrator.checks.redteam.corpus import corpus, tasks
from orchestrator.checks.redteam.tables import judge_table, table
from orchestrator.data.arrays import write_array
from orchestrator.errors import UsageError

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(1)
ROWS = 400
A, B, NOISE = RNG.normal(size=(3, ROWS))
FRAME = pd.DataFrame(
    {"a": A, "b": B, "town": RNG.choice(["Ulm", "Bonn"], ROWS), "bought": np.where(A * B + 0.3 * NOISE > 0, "yes", "no")}
)
TABLE = table_of(FRAME, "bought", name="shop")
NUMBERS = table_of(FRAME.assign(bought=A + 0.1 * NOISE), "bought", name="shop")
SPLIT, ROC_AUC = Split(TABLE, seed=7), METRICS["roc_auc"]
TREE = """
from sklearn.ensemble import HistGradientBoostingClassifier
def features(df):
    return df[["a", "b"]]
def build(columns, rate=0.1):
    return HistGradientBoostingClassifier(max_iter=30, learning_rate=rate, random_state=0)
"""


async def scored(code, table=TABLE, form="functions", folds=1, metric=None):
    split = Split(table, seed=7)
    candidate = Candidate(code=code, form=form)
    return await evaluate(candidate, table, split.folds()[:folds], metric or metric_for(table), execute, limits=LIMITS)


def test_a_program_has_no_target_of_the_rows_it_predicts():
    fold = SPLIT.folds()[0]
    for form in ("functions", "script"):
        files = program(Candidate(code="", form=form), TABLE, fold, seed=0).files
        assert files["train.csv"].startswith(b"a,b,town,bought\n")
        assert files["test.csv"].startswith(b"a,b,town\n")
        assert files["test.csv"].count(b"\n") == 1 + len(fold.held_out)
        assert b"yes" not in files["test.csv"]


async def test_baselines_are_ordered_as_the_data_says():
    found = {name: (await scored(one.code, folds=2)).value for name, one in baselines(TABLE).items()}
    assert found[DUMMY] == 0.5
    assert abs(found[LINEAR] - 0.5) < 0.25
    assert found[BOOSTING] > 0.8
    numbers = {name: (await scored(one.code, NUMBERS)).value for name, one in baselines(NUMBERS).items()}
    assert numbers[LINEAR] < 0.2 < numbers[DUMMY]


SCRIPT = """
import pandas as pd
train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
print("score: 1.0")
"""


async def test_a_script_is_scored_by_what_it_predicts_and_not_by_what_it_prints():
    said = await scored(
        f"{SCRIPT}pd.DataFrame({{'bought': ['yes'] * len(test)}}).to_csv('predictions.csv', index=False)", form="script"
    )
    assert said.value == 0.5
    right = f"{SCRIPT}test['bought'] = (test.a * test.b > 0).map({{True: 'yes', False: 'no'}})\ntest[['bought']].to_csv('predictions.csv', index=False)"
    assert (await scored(right, form="script")).value > 0.7


FAILURES = {
    "def build(columns):\n    return 3": "returned int, which has no fit and predict",
    "def other(columns):\n    return 3": "no function build",
    "def features(df):\n    return df.dropna().iloc[:3]\n" + TREE.partition("def build")[0] + "def build(c): ...": "has no fit",
    TREE.replace('return df[["a", "b"]]', "return df.iloc[:5]"): "returned 5 rows for",
    "1 / 0": "ZeroDivisionError",
    "import sklearn_missing": "ModuleNotFoundError",
}


@pytest.mark.parametrize("code", FAILURES)
async def test_what_fails_says_why(code):
    found = await scored(code)
    assert found.value is None
    assert found.score == -math.inf
    assert FAILURES[code] in found.failure


FORGED = {
    "not an array": (b"PK", "not a NumPy"),
    "another shape": (write_array(np.full((3, 3), 1 / 3)), "shape"),
    "not finite": (write_array(np.full((3, 2), np.nan)), "6 of the predictions are not finite"),
    "too sure": (write_array(np.tile([2.0, -1.0], (3, 1))), "outside of 0 to 1"),
    "no probabilities": (write_array(np.full((3, 2), 0.9)), "sum to 1.8"),
}


@pytest.mark.parametrize("case", FORGED)
def test_predictions_are_believed_only_as_numbers_of_their_shape(case):
    data, message = FORGED[case]
    with pytest.raises(ValueError, match=message):
        read_predictions(data, TABLE, 3)


CELLS = {
    "bought\nyes\nno\n": "2 rows below its header instead of 3",
    "bought\nyes\nno\nperhaps\n": "'perhaps', which is none of the classes no, yes",
    "a,b\n1,2\n1,2\n1,2\n": "must have one column or the columns no, yes",
    "no,yes\n0.5,x\n1,0\n1,0\n": "'x' where a number belongs",
    "no,yes\n0.5,0.5,1\n1,0\n1,0\n": "different numbers of cells",
    "\x00\xff": "instead of 3",
}


@pytest.mark.parametrize("text", CELLS)
def test_predictions_as_csv_are_refused_with_what_is_wrong(text):
    with pytest.raises(ValueError, match=CELLS[text]):
        read_csv_predictions(text.encode(), TABLE, 3)


def test_predictions_as_csv_may_be_classes_or_probabilities():
    classes = read_csv_predictions(b"bought\nyes\nno\nyes\n", TABLE, 3)
    chances = read_csv_predictions(b"yes,no\n1,0\n0,1\n1,0\n", TABLE, 3)
    assert classes.tolist() == chances.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert read_csv_predictions(b"bought\n1\n2.5\n-3\n", NUMBERS, 3).tolist() == [1, 2.5, -3]


def test_metrics_have_one_direction_and_are_null_where_they_are_not_defined():
    labels, flat = np.array([0, 0, 1, 1]), np.full((4, 2), 0.5)
    assert METRICS["roc_auc"].value(np.zeros(4, int), flat) is None
    assert METRICS["r2"].value(np.ones(3), np.ones(3)) is None
    assert METRICS["log_loss"].score(0.5) == -0.5
    assert METRICS["accuracy"].value(labels, np.eye(2)[labels]) == 1.0
    assert METRICS["rmse"].value(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(2**0.5)
    with pytest.raises(UsageError, match="no metric 'rmse' for classification"):
        metric_for(TABLE, "rmse")


MEMORY = f"""
import numpy as np
KNOWN = {dict(zip(np.round(A, 6).tolist(), (FRAME.bought == "yes").astype(int).tolist(), strict=True))!r}
class Remembers:
    def fit(self, X, y):
        self.classes_ = np.array(["no", "yes"])
        return self
    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]
    def predict_proba(self, X):
        return np.eye(2)[[KNOWN[round(a, 6)] for a in X["a"]]]
def build(columns):
    return Remembers()
"""
BATCH = TREE.replace('return df[["a", "b"]]', 'return df[["a", "b"]].rank(pct=True)')
RESTLESS = TREE.replace("random_state=0", "max_features=0.5, random_state=__import__('os').urandom(1)[0]")
CONSTANT = "from sklearn.dummy import DummyClassifier\ndef build(columns):\n    return DummyClassifier()"


@pytest.mark.parametrize(
    ("code", "finding"),
    [(TREE, ""), (MEMORY, "suspicious"), (BATCH, "uses the test batch"), (RESTLESS, "not deterministic"), (CONSTANT, "constant")],
)
async def test_an_audit_finds_cheats_and_nothing_in_honest_work(code, finding):
    found = await audit(Candidate(code=code), SPLIT, ROC_AUC, execute, limits=LIMITS)
    assert [text.partition(":")[0] for text in found.findings] == ([finding] if finding else [])


async def test_of_equals_the_simplest_is_chosen_and_sealed_rows_are_opened_once():
    simple, long = Candidate(code=TREE), Candidate(code=TREE + "\nUNUSED = [1, 2, 3]\n")
    bad = Candidate(code=CONSTANT)
    split = Split(TABLE, seed=7)
    winner, finalists = await choose([long, simple, bad], split, ROC_AUC, execute, limits=LIMITS)
    assert winner.candidate is simple
    assert len(finalists) == 3
    final = await open_sealed(
        "result", {"result": simple, "dummy": bad, "broken": Candidate(code="1 / 0")}, split, ROC_AUC, execute, limits=LIMITS
    )
    assert (final.opened, split.opened) == (1, 1)
    result, dummy = final.by_name["result"], final.by_name["dummy"]
    assert result.low < result.value < result.high
    assert result.lead is None
    assert dummy.lead.low > 0.2
    assert dummy.lead.is_resolved
    assert "ZeroDivisionError" in final.by_name["broken"].failure


FEATURES = '''
def product(df):
    """Buyers differ by the product."""
    return df["a"] * df["b"]
def noise(df):
    """A guess."""
    return df["a"].rank() % 7
def broken(df):
    return df["nothing"]
'''


async def test_a_feature_is_kept_only_for_a_gain_that_shows():
    base = baselines(TABLE)[LINEAR]
    kept = await keep_features(base, proposals(FEATURES), SPLIT, ROC_AUC, execute, limits=LIMITS)
    assert [(one.feature.name, one.kept) for one in kept.tried] == [("product", True), ("noise", False), ("broken", False)]
    assert kept.tried[0].gain.low > 0.1
    assert kept.tried[0].feature.reason == "Buyers differ by the product."
    assert "KeyError" in kept.tried[2].failure
    assert (await scored(kept.candidate.code)).value > 0.85


def test_proposals_are_functions_of_the_table():
    with pytest.raises(ValueError, match="no function of one argument"):
        proposals("x = 3")
    with pytest.raises(ValueError, match="do not parse"):
        proposals("def f(:")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("SPACE = build()", "written out"),
        ("SPACE = [1]", "dictionary"),
        ('SPACE = {"rate": (0.5, 0.1)}', "low, high"),
        ('SPACE = {"r": (0, 1, "log")}', "log"),
    ],
)
def test_a_space_that_is_not_one_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        space_of(source)


async def test_parameters_are_searched_in_the_space_that_a_candidate_names():
    code = TREE.replace("rate=0.1", "rate=1e-4") + '\nSPACE = {"rate": (0.0001, 0.3, "log")}\n'
    space = space_of(code)
    assert space == {"rate": (0.0001, 0.3, True)}
    folds = SPLIT.folds()[:1]
    log_loss = METRICS["log_loss"]
    before = await evaluate(Candidate(code=code), TABLE, folds, log_loss, execute, limits=LIMITS)
    best, found = await tune(Candidate(code=code), space, TABLE, folds, log_loss, execute, trials=6, limits=LIMITS)
    assert found.value < before.value
    assert best.parameters["rate"] > 1e-3


def test_probabilities_that_come_true_are_not_called_off_and_others_are():
    chances = np.random.default_rng(5).uniform(size=2000)
    labels = (np.random.default_rng(6).random(2000) < chances).astype(np.int64)
    honest = calibration_of(TABLE, labels, np.column_stack([1 - chances, chances]))
    assert not honest.is_off
    assert honest.by_chance <= honest.at_most < 0.06
    assert [one.rows for one in honest.bins] == [200] * 10
    assert all(one.low <= one.found <= one.high for one in honest.bins)
    assert honest.brier == pytest.approx(1 / 3, abs=0.03)
    assert honest.brier_of_shares == pytest.approx(0.5, abs=0.01)
    sure = np.clip(2 * chances - 0.5, 0.01, 0.99)
    boastful = calibration_of(TABLE, labels, np.column_stack([1 - sure, sure]))
    assert boastful.is_off
    assert boastful.error > honest.error
    assert calibration_of(TABLE, labels, np.eye(2)[labels]) is None


def test_errors_of_numbers_stand_beside_the_prediction():
    predictions = np.linspace(0, 100, 500)
    found = residuals_of(predictions - np.where(predictions > 80, 10.0, 0.0), predictions)
    assert [band.rows for band in found.bands] == [100] * 5
    assert [band.quantiles[2] for band in found.bands] == [0, 0, 0, 0, 10]
    assert found.bands[4].target == pytest.approx(found.bands[4].predicted - 10, abs=0.2)
    assert found.quantiles == (0, 0, 0, 0, 10)


async def test_what_is_shuffled_is_missed_only_where_it_was_used():
    found = await importances(Candidate(code=TREE), TABLE, SPLIT.folds()[:3], ROC_AUC, execute, limits=LIMITS)
    losses = {one.column: one.loss for one in found}
    assert [one.column for one in found][2] == "town"
    assert losses["town"].mean == losses["town"].high == 0
    assert losses["a"].low > 0.1
    assert losses["b"].low > 0.1
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        await importances(Candidate(code="1 / 0"), TABLE, SPLIT.folds()[:1], ROC_AUC, execute, limits=LIMITS)


@pytest.mark.parametrize(("source", "verdict"), [("reference", "accepted"), ("stub", "wrong_answer")])
async def test_the_grader_of_tables_tells_who_learns(source, verdict):
    """Without a sandbox, for both programs are ours."""
    found = await judge_table(SimpleNamespace(execute=execute), getattr(tasks()["signs"], source), LIMITS)
    assert found.verdict == verdict


CAUGHT = {
    "ranks_in_the_test_batch": "uses the test batch",
    "fitted_before_the_split": "uses the test batch",
    "data_known_by_heart": "suspicious",
    "estimator_known_by_heart": "suspicious",
}
"""Programs that would score, and only compute: they run here without a sandbox."""


@pytest.mark.parametrize("name", CAUGHT)
async def test_who_scores_by_a_cheat_is_caught_by_the_audit(name):
    (program,) = (one for one in corpus() if one.name == f"tables/{name}")
    found = await judge_table(SimpleNamespace(execute=execute), program.source, LIMITS)
    assert found.verdict == "wrong_answer"
    assert CAUGHT[name] in found.detail


def test_the_table_has_what_is_cheated_with_and_gives_away_none_of_it():
    found = table()
    assert found.dropped == ("number",)
    assert list(found.features.columns) == ["x", "y"]
    assert found.features.duplicated().sum() == 100
