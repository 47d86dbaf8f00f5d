"""Goals in words, and plans in answers: what is read into them, and what is refused."""

import pytest

from orchestrator.applications.model_research.goal import goal_of
from orchestrator.applications.model_research.proposals import Unreadable, changed, proposal_of
from orchestrator.errors import UsageError
from orchestrator.scoring.metrics import METRICS

GOALS = {
    "classify cifar-10 with > 70 % accuracy and under 100k parameters": ("cifar10", "accuracy", 0.7, 100_000),
    "digits to 95%": ("digits", "accuracy", 0.95, None),
    "MNIST, accuracy above 98": ("mnist", "accuracy", 0.98, None),
    "fashion mnist >= 85 percent accuracy with at most 50,000 parameters": ("fashion-mnist", "accuracy", 0.85, 50_000),
    "get rmse below 0.5 on data/house.csv": ("data/house.csv", "rmse", 0.5, None),
    "tell cats and dogs apart with better than 80% accuracy": ("cats-dogs", "accuracy", 0.8, None),
    "Train a CNN on mnist": ("mnist", "", None, None),
    "ROC AUC over 0.9 on x.csv": ("x.csv", "roc_auc", 0.9, None),
    "macro F1 of at least 0.8 on digits, report accuracy too": ("digits", "f1_macro", 0.8, None),
    "achieve an R2 of 0.9": ("", "r2", 0.9, None),
    "cross-entropy below 0.4": ("", "log_loss", 0.4, None),
    "a net for cifar100 that gets over 40 % of the images right": ("cifar100", "accuracy", 0.4, None),
    "fewer than 1.5 million weights for svhn": ("svhn", "", None, 1_500_000),
    "something good": ("", "", None, None),
}


@pytest.mark.parametrize("text", GOALS)
def test_a_goal_is_read(text):
    goal = goal_of(text)
    assert (goal.data, goal.metric, goal.target, goal.most_parameters) == GOALS[text]


def test_other_bounds_are_left_out_and_named():
    goal = goal_of("reach 70% validation accuracy on CIFAR10 within 9 epochs and under 10 minutes")
    assert (goal.target, goal.left_out) == (0.7, ("within 9 epochs", "under 10 minutes"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy below 50 %",
        "accuracy > 170 %",
        "mnist and cifar10",
        "accuracy > 80 % and f1 > 0.7",
        "rmse over 3",
        "over 5k parameters",
    ],
)
def test_a_goal_that_says_two_things_or_none_is_refused(text):
    with pytest.raises(UsageError):
        goal_of(text)


def test_a_goal_is_reached_in_its_metrics_direction():
    accuracy, rmse = goal_of("digits to 95%"), goal_of("rmse below 0.5")
    assert accuracy.reached_by(0.95, METRICS["accuracy"])
    assert not accuracy.reached_by(0.949, METRICS["accuracy"])
    assert rmse.reached_by(0.5, METRICS["rmse"])
    assert not rmse.reached_by(0.6, METRICS["rmse"])
    assert not accuracy.reached_by(None, METRICS["accuracy"])
    assert not goal_of("digits").reached_by(1.0, METRICS["accuracy"])


LAYERS = '[{"type": "Conv2d", "out_channels": 8, "kernel_size": 3}, {"type": "ReLU"}, {"type": "GlobalAvgPool"}]'


def read(text, before=()):
    return proposal_of(text, class_name="Net", input_shape=(1, 8, 8), outputs=10, before=before)


def kinds(proposal):
    return [type(layer).__name__ for layer in proposal.config.layers]


BODY = ["Conv2d", "ReLU", "GlobalAvgPool", "Linear"]


@pytest.mark.parametrize(
    "text",
    [
        f"More channels help.\nDecision: refine\n```json\n{LAYERS}\n```",
        f"```\n{LAYERS}\n```\nand that is it",
        f"layers = {LAYERS}",
        f'```json\n{{"hypothesis": "x", "layers": {LAYERS}}}\n```',
        f"```json\n{{'layers': {LAYERS.replace(chr(34), chr(39))},}}\n```",
        "```json\n" + LAYERS.replace("]", ",]") + "\n```",
        "```json\n" + LAYERS.replace("}, {", "}, // a comment\n{") + "\n```",
        "```json\n" + LAYERS.replace('"kernel_size"', '"in_channels": 1, "kernel_size"') + "\n```",
        "```json\n" + LAYERS[:-1] + ', {"type": "Linear", "out_features": 10}, {"type": "Softmax"}]\n```',
        f"First I had ```json\n[]\n``` and now\n```json\n{LAYERS}",
    ],
)
def test_layers_are_found_and_end_in_the_outputs(text):
    assert kinds(read(text)) == BODY


def test_what_was_read_into_an_answer_is_noted():
    proposal = read(
        f"Because it is small.\n\nDecision: stop\n```json\n{LAYERS.replace('3}', '3, ' + chr(34) + 'in_channels' + chr(34) + ': 1}')}\n```"
    )
    assert (proposal.decision, proposal.hypothesis) == ("stop", "Because it is small.")
    assert proposal.notes == (
        "in_channels follow from the input and were left out",
        "Linear were added at the end, for 10 outputs",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would use a CNN.",
        "```json\n{}\n```",
        '```json\n[{"type": "Conv9d"}]\n```',
        '```json\n[{"type": "Conv2d", "out_channels": "many"}]\n```',
        '```json\n[{"type": "LSTM", "hidden_size": 3}]\n```',
        "[" * 100_000,
        "```json\n" + '[{"type": "Residual", "layers": ' * 500 + "\n```",
    ],
)
def test_an_answer_without_a_network_says_why(text):
    with pytest.raises(Unreadable, match=r"\w"):
        read(text)


def test_a_change_is_made_to_the_list_before():
    before = [{"type": "Conv2d", "out_channels": 8, "kernel_size": 3}, {"type": "ReLU"}, {"type": "GlobalAvgPool"}]
    proposal = read('```json\n{"replace": {"1": {"type": "GELU"}}, "insert": {"1": {"type": "BatchNorm2d"}}}\n```', before)
    assert kinds(proposal) == ["Conv2d", "BatchNorm2d", "GELU", "GlobalAvgPool", "Linear"]
    assert changed(before, {"remove": [1]}) == [before[0], before[2]]
    for change in ({"remove": [3]}, {"replace": {"x": {}}}, {"insert": {"4": {}}}, {"insert": {"1": None}}):
        with pytest.raises(Unreadable):
            changed(before, change)


def test_a_type_that_can_mean_but_one_is_taken_as_that_and_noted() -> None:
    answer = '[{"type": "conv", "out_channels": 4}, {"type": "Batch_Norm"}, {"type": "Residual", "layers": [{"type": "relu"}]}, '
    found = read(answer + '{"type": "GlobalAvgPool2d"}]')
    inner = [one.model_dump(exclude_defaults=True)["type"] for one in found.config.layers]
    assert inner[:4] == ["Conv2d", "BatchNorm2d", "Residual", "GlobalAvgPool"]
    assert {"conv was read as Conv2d", "relu was read as ReLU"} <= set(found.notes)
    with pytest.raises(Unreadable, match="Did you mean"):
        read('[{"type": "Conv9d"}]')


def test_json_that_is_not_valid_is_shown_where_it_breaks() -> None:
    answer = '```json\n{"layers": [\n  {"type": "Conv2d", "padding": 1"},\n  {"type": "ReLU"}\n]}\n```'
    with pytest.raises(Unreadable, match=r'not valid at `\{"type": "Conv2d", "padding": 1"\},`. There is no list of layers'):
        read(answer)
    with pytest.raises(Unreadable, match=r"^There is no list"):
        read("I would take three layers.")
