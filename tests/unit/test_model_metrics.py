"""Scores of classes and numbers, seeds, curves, rungs and pictures: what is computed of trainings that are over."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from orchestrator.applications.model_research import plots
from orchestrator.applications.model_research.dynamics import dynamics_of
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.plots import Node
from orchestrator.applications.model_research.rungs import Rung, RungResult, plan
from orchestrator.applications.model_research.seeds import alike, value_over
from orchestrator.applications.model_research.training import EpochScore, Trained, TrainingOptions, TrainingRecord
from orchestrator.data.images import SplitFacts
from orchestrator.scoring.classes import scores_of
from orchestrator.scoring.metrics import METRICS
from orchestrator.scoring.seeds import compare, mean_of

FACTS = SplitFacts(data="digits", source="here", seed=0, train=10, validation=5, test=5, test_is_given=False, repeated=0)
ACCURACY, RMSE = METRICS["accuracy"], METRICS["rmse"]
NAMES = ("a", "b", "c")


def probabilities(classes, count=3, sure=0.8):
    return np.eye(count)[list(classes)] * (sure - (1 - sure) / (count - 1)) + (1 - sure) / (count - 1)


def test_each_class_and_the_averages_are_scikit_learns():
    from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    found = np.where(rng.random(200) < 0.6, labels, rng.integers(0, 3, 200))
    predictions = probabilities(found) * rng.uniform(0.9, 1.1, (200, 3))
    predictions /= predictions.sum(axis=1, keepdims=True)
    scores = scores_of(labels, predictions, NAMES)
    for average, ours in (("macro", scores.macro), ("weighted", scores.weighted)):
        assert ours.f1 == pytest.approx(f1_score(labels, found, average=average))
        assert ours.precision == pytest.approx(precision_score(labels, found, average=average))
        assert ours.recall == pytest.approx(recall_score(labels, found, average=average))
        assert ours.roc_auc == pytest.approx(roc_auc_score(labels, predictions, average=average, multi_class="ovr"))
    assert [sum(row) for row in scores.confusion] == [one.rows for one in scores.classes]
    assert sum(scores.confusion[place][place] for place in range(3)) == round(200 * scores.accuracy)
    assert not scores.is_constant


def test_what_is_not_defined_is_none_and_never_zero():
    scores = scores_of(np.array([0, 0, 1, 1]), probabilities([0, 0, 0, 0]), NAMES)
    never, absent = scores.classes[1], scores.classes[2]
    assert (never.precision, never.recall, never.f1) == (None, 0, 0)
    assert (absent.precision, absent.recall, absent.f1, absent.roc_auc, absent.average_precision) == (None,) * 5
    assert scores.macro.precision is None
    assert scores.macro.roc_auc is None
    assert scores.weighted.recall == 0.5
    assert scores.is_constant
    numbers = scores_of(np.full(4, 3.0), np.array([3.0, 4, 3, 2]), ())
    assert numbers.r2 is None
    assert numbers.mae == 0.5
    assert numbers.rmse == pytest.approx(math.sqrt(0.5))
    with pytest.raises(ValueError, match="cannot be compared"):
        scores_of(np.array([0, 1]), probabilities([0, 1, 2]), NAMES)


def test_a_mean_over_seeds_has_students_interval():
    found = mean_of([0.8, 0.9, 1.0, None])
    assert (found.mean, found.n) == (pytest.approx(0.9), 3)
    assert found.high - found.mean == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    single = mean_of([0.5])
    assert (single.low, single.high) == (None, None)
    assert str(single) == "0.5 (one seed)"
    assert mean_of([None]) is None


@pytest.mark.parametrize(
    ("ours", "claim"),
    [
        ([0.9], "too few seeds"),
        ([0.9, 0.91, 0.92], "indicative"),
        ([0.9, 0.91, 0.92, 0.9, 0.91], "better"),
        ([0.7, 0.71, 0.72, 0.7, 0.71], "worse"),
        ([0.7, 0.91, 0.72, 0.9, 0.81], "not resolved"),
        ([0.8, 0.8, 0.8, 0.8, 0.8], "not resolved"),
    ],
)
def test_a_claim_takes_five_paired_seeds(ours, claim):
    found = compare(ACCURACY, ours, [0.8] * len(ours))
    assert found.claim == claim
    assert found.n == len(ours)
    if claim in ("better", "worse"):
        assert found.p == 2 / 32


def test_smaller_errors_are_better_and_failures_are_left_out():
    found = compare(RMSE, [1.0, 1.1, 1.0, 1.1, 1.0, None], [2.0, 2.0, 2.1, 2.2, 2.0, 1.0])
    assert found.claim == "better"
    assert found.n == 5
    assert found.difference.mean > 0
    assert found.sentence.startswith("rmse 1.02 better on 5 paired seeds")


def record(values, losses=None, known=None, known_losses=None, metric="accuracy", **more):
    losses, known = losses or [1.0] * len(values), known or values
    epochs = [
        EpochScore(
            epoch=place, value=value, loss=losses[place], known_value=known[place], known_loss=(known_losses or losses)[place]
        )
        for place, value in enumerate(values)
    ]
    defaults = {"model": "Net", "data": FACTS, "options": TrainingOptions(), "seed": 0, "metric": metric}
    return TrainingRecord(**(defaults | more), epochs=tuple(epochs))


def test_curves_that_still_rise_say_so():
    found = dynamics_of(record([0.1, 0.5, 0.7, 0.8]))
    assert (found.best_epoch, found.best_value) == (3, 0.8)
    assert found.improving
    assert found.plateau is None
    assert found.converged == 3
    assert not found.overfits
    assert not found.diverged
    assert "The last epoch was the best: more epochs may help." in found.sentences


def test_a_plateau_and_convergence_have_their_epochs():
    found = dynamics_of(record([0.1, 0.6, 0.9, 0.901, 0.9, 0.902]))
    assert found.converged == 2
    assert found.plateau == 2
    assert not found.improving


def test_overfitting_is_a_gap_and_a_rising_loss():
    found = dynamics_of(
        record(
            [0.1, 0.8, 0.79, 0.78], losses=[2.3, 0.6, 0.8, 1.2], known=[0.1, 0.85, 0.95, 1.0], known_losses=[2.3, 0.5, 0.2, 0.01]
        )
    )
    assert found.gap == pytest.approx(0.22)
    assert found.overfits
    assert not found.diverged
    assert found.best_epoch == 1
    assert any("lowest after epoch 1 (0.6) and ended at 1.2" in sentence for sentence in found.sentences)


def test_divergence_is_an_infinite_loss_or_both_losses_blown_up():
    failed = dynamics_of(record([0.1, 0.5], failure="The loss became nan in epoch 2: the training diverged."))
    assert failed.diverged
    assert not failed.improving
    blown = dynamics_of(record([0.1, 0.6, 0.1], losses=[2.3, 1.0, 9.0]))
    assert blown.diverged
    assert not blown.overfits


def test_curves_of_errors_are_read_the_other_way_round():
    found = dynamics_of(record([10.0, 4.0, 2.0], known=[10.0, 3.0, 1.0], metric="rmse"))
    assert found.best_epoch == 2
    assert found.gap == pytest.approx(1.0)
    flat = dynamics_of(record([10.0, 10.0, 10.0, 10.0], metric="rmse"))
    assert flat.converged is None
    assert "It gained nothing over its untrained self." in flat.sentences


def test_a_training_without_an_epoch_has_no_dynamics():
    assert dynamics_of(record([])) is None
    assert dynamics_of(record([0.1], failure="no")) is None


def trained(seed, predictions, initial):
    source = ModelSource(code="", class_name="Net", input_shape=(1,), outputs=3)
    return Trained(model=source, record=record([0.1, 0.5 + seed / 10], seed=seed, initial=initial), predictions=predictions)


def test_seeds_that_are_alike_are_no_seeds():
    first, second = probabilities([0, 1])[None], probabilities([1, 0])[None]
    assert alike([trained(0, first, "x"), trained(1, second, "y")]) == ""
    assert "predict the same in every row" in alike([trained(0, first, "x"), trained(1, first, "y")])
    assert "Seeds 0 and 2 begin with the same weights" in alike(
        [trained(0, first, "x"), trained(1, second, "y"), trained(2, first * 0.9, "x")]
    )
    assert value_over([trained(0, first, "x"), trained(1, second, "y")]).mean == pytest.approx(0.55)


def results(rung, scores, seconds=10.0):
    return [RungResult(name=name, rung=rung, score=score, seconds=seconds) for name, score in scores.items()]


TEN = [f"c{place}" for place in range(10)]
FIRST = results(0, {name: place / 10 for place, name in enumerate(TEN[:9])})


def test_nine_are_tried_three_go_on_and_one_is_trained_long():
    begun = plan(TEN, [])
    assert [(step.name, step.epochs) for step in begun.steps] == [(name, 1) for name in TEN[:9]]
    assert begun.notes == ("Only 9 configurations are tried; left out: c9.",)
    assert [step.name for step in plan(TEN, FIRST[:5]).steps] == TEN[5:9]
    second = plan(TEN, FIRST)
    assert [(step.name, step.rung, step.epochs, step.seconds) for step in second.steps] == [
        ("c8", 1, 3, 30.0),
        ("c7", 1, 3, 30.0),
        ("c6", 1, 3, 30.0),
    ]
    third = FIRST + results(1, {"c8": 0.5, "c7": 0.9, "c6": None}, seconds=30.0)
    assert [(step.name, step.epochs, step.seconds) for step in plan(TEN, third).steps] == [("c7", 9, 90.0)]
    over = plan(TEN, third + results(2, {"c7": 0.2}))
    assert over.is_over
    assert over.best == "c7"
    assert over.ranking[:3] == ("c7", "c8", "c6")
    assert over.spent == pytest.approx(9 * 10 + 3 * 30 + 10)


def test_failures_go_no_further():
    failed = plan(["a", "b"], results(0, {"a": None, "b": None}))
    assert failed.is_over
    assert failed.best is None
    assert [step.name for step in plan(["a", "b"], results(0, {"a": None, "b": 0.1})).steps] == ["b"]


def test_a_budget_takes_from_the_end_aloud():
    found = plan(TEN, FIRST, seconds=160)
    assert [step.name for step in found.steps] == ["c8", "c7"]
    assert "no time to train c6 for 3 epochs" in found.notes[-1]
    done = FIRST + results(1, {"c8": 0.5, "c7": 0.9}, seconds=30.0)
    over = plan(TEN, done, seconds=160)
    assert over.is_over
    assert over.best == "c7"
    assert "no time to train c7 for 9 epochs" in over.notes[-1]
    none = plan(TEN, FIRST[:3], seconds=30)
    assert none.is_over
    assert none.best == "c2"


def test_rungs_of_equal_scores_keep_the_order_of_proposal():
    found = plan(["x", "y", "z"], results(0, {"x": 0.5, "y": 0.5, "z": 0.5}), rungs=[Rung(2, 3), Rung(4, 2)])
    assert [(step.name, step.seconds) for step in found.steps] == [("x", 20.0), ("y", 20.0)]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_pictures_are_drawn_and_say_what_is_synthetic():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    predictions = probabilities(np.where(rng.random(60) < 0.7, labels, 0))
    hostile = ("$\\frac$", "\x1b[31m", "b")
    scores = scores_of(labels, predictions, hostile)
    curves = [record([0.1, 0.5, 0.7 + seed / 20], seed=seed) for seed in range(3)]
    made = FACTS.model_copy(update={"synthetic": "Nothing was there."})
    nodes = [
        Node(0, None, "a CNN", 0.7),
        Node(1, 0, "$more$ layers", 0.9),
        Node(2, 0, "dropout", None),
        Node(3, None, "MLP", 0.6),
    ]
    draw = {
        "curves": lambda facts: plots.learning_curves([one.model_copy(update={"data": facts}) for one in curves]),
        "confusion": lambda facts: plots.confusion(scores, facts),
        "roc": lambda facts: plots.roc_and_precision(labels, predictions, hostile, facts),
        "classes": lambda facts: plots.class_bars(scores, facts),
        "tree": lambda facts: plots.attempts(nodes, "accuracy", facts),
    }
    for name, function in draw.items():
        real, synthetic = pixels(function(FACTS)), pixels(function(made))
        assert real.std() > 5, name
        assert real.shape != synthetic.shape or not np.array_equal(real, synthetic), name
    with pytest.raises(ValueError, match="has curves to draw"):
        plots.learning_curves([record([])])
    with pytest.raises(ValueError, match="changes 7"):
        plots.attempts([Node(0, 7, "lost", 0.1)], "accuracy", FACTS)


def test_a_long_chain_of_attempts_is_laid_out():
    nodes = [Node(place, place - 1 if place else None, "again", 0.1) for place in range(2000)]
    found = plots._laid_out(nodes)
    assert found[1999] == (0.0, 1999)
